//! Restoring into everything that may stand there: what was there stays, or the new one is there,
//! and nothing third.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod chains;
mod into;
#[cfg(unix)]
mod links;
mod next;
mod refused;
#[path = "../support/mod.rs"]
mod support;
mod system;
#[path = "../faults/tiny.rs"]
mod tiny;

use std::path::Path;

use cimrepo::format::Dialect;
use cimrepo::storage::{MemStorage, Storage};

use support::Files;
use tiny::{save, single, stored_at, tiny};

/// Where the backup lies that is restored.
pub const BACKUP: &str = "kept/backup";

/// The directory that is restored to, and its name.
pub const TARGET: &str = "place/target";

/// A storage with a backup of a version at [`BACKUP`], and files at [`TARGET`].
pub fn storage(backup: (Dialect, u8), target: &Files) -> MemStorage {
    let storage = MemStorage::new();
    for directory in ["kept", "place"] {
        storage.create_dir(Path::new(directory)).unwrap();
    }
    keep(&storage, BACKUP, backup);
    stored_at(&storage, TARGET, target);
    storage
}

/// Adds a backup of a version.
pub fn keep(storage: &MemStorage, path: &str, (dialect, version): (Dialect, u8)) {
    let source = format!("source {dialect} {version}");
    stored_at(storage, &source, &tiny(dialect, version));
    save(storage, &source, path, &single()).unwrap();
}

/// The names in a directory, sorted.
pub fn names(storage: &impl Storage, path: &str) -> Vec<String> {
    let mut names: Vec<String> = storage
        .read_dir(Path::new(path))
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    names.sort();
    names
}

/// The content of a version.
pub fn content_of((dialect, version): (Dialect, u8)) -> tiny::Content {
    tiny::content(&support::open(&tiny(dialect, version)).unwrap().snapshot())
}

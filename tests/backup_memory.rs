//! What opening a chain of backups holds in memory is measured: a manifest of a few bytes may list
//! hundreds of thousands of pages.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/counting.rs"]
mod counting;
#[allow(dead_code, reason = "the tests of backups use more of it")]
#[path = "backup/forge.rs"]
mod forge;
mod support;
#[path = "faults/tiny.rs"]
mod tiny;

use std::path::Path;

use cimrepo::backup::OpenBackup;
use cimrepo::base::limits::{MAX_BACKUP_CHAIN, MAX_LOGICAL_PAGES};
use cimrepo::format::Dialect;
use cimrepo::format::own::backup_file::BackupFlags;
use cimrepo::format::own::manifest::PageState;
use cimrepo::storage::MemStorage;

use counting::peak_of;
use forge::Parts;
use support::{PLACE, in_memory};
use tiny::{bytes_of, fault_of, save, shared, single};

/// As long a chain as there may be, each backup of as many logical pages as there may be, none of
/// which has a page.
fn chain_of_nothing() -> (MemStorage, usize) {
    let (source, _) = in_memory(&tiny::tiny(Dialect::V22, 1));
    save(&source, PLACE, "one", &single()).unwrap();
    let storage = MemStorage::new();
    let mut parts = Parts::of(&bytes_of(&source, Path::new("one")));
    let mapping = parts.payloads.pop().unwrap();
    let entry = parts.manifest.chunks.pop().unwrap();
    (parts.payloads, parts.manifest.chunks) = (vec![mapping], vec![entry]);
    for space in &mut parts.manifest.spaces {
        space.pages = vec![PageState::Unmapped; usize::try_from(MAX_LOGICAL_PAGES).unwrap()];
    }
    parts.settle();
    let mut size = 0;
    for number in 0..MAX_BACKUP_CHAIN {
        let bytes = parts.to_bytes();
        size += bytes.len();
        let seal = forge::seal(&parts.header.to_bytes(), &parts.manifest.to_bytes());
        storage.put(format!("{number}"), bytes);
        parts.header.base = Some((parts.header.identity, seal));
        parts.header.identity[15] = u8::try_from(number + 1).unwrap();
        parts.header.flags |= BackupFlags::INCREMENTAL;
        parts.manifest.base_name = number.to_string();
    }
    (storage, size)
}

#[test]
fn a_chain_of_backups_that_hold_nothing_costs_no_more_than_three_of_them() {
    let (storage, size) = chain_of_nothing();
    let last = (MAX_BACKUP_CHAIN - 1).to_string();
    let (error, peak) = peak_of(|| {
        OpenBackup::new()
            .open_in(&shared(&storage), last)
            .unwrap_err()
    });
    // Its mapping has a dozen pages: the whole chain was opened before that was seen.
    assert!(
        fault_of(&error).unwrap().to_string().contains("disagree"),
        "{error}"
    );
    let peak = peak >> 20;
    println!(
        "{MAX_BACKUP_CHAIN} backups of {} MiB: {peak} MiB at once",
        size >> 20
    );
    let one = 2 * usize::try_from(MAX_LOGICAL_PAGES).unwrap() * size_of::<PageState>();
    assert!(peak < (one >> 20) * 3 + 32, "{peak} MiB");
}

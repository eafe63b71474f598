//! Every walk ends, and costs no more than the files are large: whatever they claim, and whatever the system refuses.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::path::Path;

use cimrepo::base::page_no::Space;
use cimrepo::repository::{OpenOptions, Repository};
use cimrepo::storage::sim::{Fault, FaultPlan, SimStorage};
use cimrepo::storage::{Directory, Storage};
use cimrepo::{Direction, Error, KeyRange};

use support::small::{small_v21, small_v22};
use support::{Files, PLACE};

/// A disk with a repository, opened.
fn on_disk(files: &Files) -> (SimStorage, Repository) {
    let disk = SimStorage::new();
    for (name, bytes) in files {
        disk.put(Path::new(PLACE).join(name), bytes);
    }
    let storage: std::sync::Arc<dyn Storage> = std::sync::Arc::new(disk.clone());
    let repository = OpenOptions::new().open_in(&Directory::new(storage, PLACE)).unwrap();
    (disk, repository)
}

#[test]
fn a_disk_that_stays_broken_ends_every_walk() {
    for files in [small_v21(), small_v22()] {
        let (disk, repository) = on_disk(&files);
        let snapshot = repository.snapshot();
        let pages = |space| usize::try_from(snapshot.mapping().section(space).mapped_count()).unwrap();
        disk.set_plan(FaultPlan::from(disk.operations(), Fault::Io));
        let errors: Vec<Error> = snapshot.records().map(Result::unwrap_err).take(1_000).collect();
        assert!((1..=pages(Space::Objects)).contains(&errors.len()), "{} errors", errors.len());
        assert!(errors.iter().all(|error| matches!(error, Error::Io { .. })), "{errors:?}");
        for direction in [Direction::Forward, Direction::Backward] {
            let errors = snapshot.keys(KeyRange::all(), direction).map(Result::unwrap_err).take(1_000).count();
            assert!((1..=pages(Space::Index)).contains(&errors), "{errors} errors");
        }
        assert!(snapshot.counts().unreadable >= 2);
    }
}

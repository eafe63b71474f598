//! A directory of backups: whatever breaks, each of its chains is whole, and the newest backup is
//! the older one or the new one.

use std::num::NonZeroUsize;
use std::path::Path;

use cimrepo::Result;
use cimrepo::backup::{BackupSet, SetOptions};
use cimrepo::base::progress::Unobserved;
use cimrepo::format::Dialect;
use cimrepo::storage::sim::SimStorage;

use crate::lab::{Depth, Scenario, State};
use crate::tiny::{checked, content, directory, listing, opened, single, tiny};

const KEPT: &str = "kept";

fn keeping(keep: usize, full_after: usize) -> SetOptions {
    SetOptions {
        backup: single(),
        keep: NonZeroUsize::new(keep),
        full_after,
        full: false,
    }
}

fn set(disk: &SimStorage) -> Result<BackupSet> {
    BackupSet::open_in(&directory(disk, KEPT))
}

fn back_up(disk: &SimStorage, options: &SetOptions) -> Result<()> {
    set(disk)?
        .back_up(&opened(disk, "repository")?, options, &Unobserved)
        .map(drop)
}

fn put(disk: &SimStorage, version: u8) {
    for (name, bytes) in tiny(Dialect::V22, version) {
        disk.put(Path::new("repository").join(name), &bytes);
    }
}

/// A disk with a full backup, one that is based on it, and a repository of another version.
fn disk() -> SimStorage {
    let disk = SimStorage::new();
    put(&disk, 0);
    disk.put("kept/other file", b"it stays");
    for _ in 0..2 {
        back_up(&disk, &keeping(9, 1)).unwrap();
    }
    put(&disk, 1);
    disk
}

/// The full one that follows takes the place of both.
fn full(disk: &SimStorage) -> Result<()> {
    back_up(disk, &keeping(1, 1))
}

/// One more increment, which needs all of them.
fn increment(disk: &SimStorage) -> Result<()> {
    back_up(disk, &keeping(1, 5))
}

/// All backups that are there are whole and were there before, but for the newest where that is the
/// new one.
fn look(before: &SimStorage) -> Box<dyn Fn(&SimStorage) -> State> {
    let new = content(&opened(before, "repository").unwrap().snapshot());
    let old = listing(before, KEPT);
    Box::new(move |disk| {
        let found = listing(disk, KEPT);
        let mut state = State::Old;
        for entry in set(disk).unwrap().entries().unwrap() {
            let name = entry.path.file_name().unwrap().to_str().unwrap().to_owned();
            entry.info.unwrap();
            // The others are, byte for byte, what they were.
            if !old.contains_key(&name) {
                let backup = checked(disk, entry.path.to_str().unwrap()).unwrap();
                assert!(content(&backup.snapshot()) == new);
                state = State::New;
            }
        }
        let are_there = |name: &String| found.get(name) == old.get(name);
        match state {
            State::New => assert!(
                found
                    .keys()
                    .filter(|name| old.contains_key(*name))
                    .all(are_there)
            ),
            _ => assert!(
                old.keys().all(are_there),
                "none is removed before the new one is there"
            ),
        }
        state
    })
}

fn scenario(name: &'static str, act: fn(&SimStorage) -> Result<()>) -> Scenario {
    let disk = disk();
    let look = look(&disk);
    Scenario {
        name,
        disk,
        act,
        again: act,
        look,
        switch: ("rename", "Z-"),
        has_gap: false,
        depth: Depth::Every(29),
    }
}

fn scenarios() -> [Scenario; 2] {
    [
        scenario("full backup of a set, the rest removed", full),
        scenario("increment of a set", increment),
    ]
}

#[test]
fn a_backup_of_a_set_that_fails_leaves_every_chain_whole() {
    for scenario in scenarios() {
        let tally = scenario.fail_everywhere();
        assert!(tally.faults >= 100 && tally.survived > 0, "{tally:?}");
    }
}

#[test]
fn a_backup_of_a_set_without_power_leaves_every_chain_whole() {
    // An increment removes nothing: where it breaks is shown by the backups of the tests beside.
    let [full, _] = scenarios();
    let tally = full.lose_power_everywhere();
    assert!(tally.images > 800 && tally.new > 0, "{tally:?}");
}

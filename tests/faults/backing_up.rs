//! Backups: the file under the name is the older one or the new one, whole.

use std::path::Path;

use cimrepo::Result;
use cimrepo::backup::BackupOptions;
use cimrepo::format::Dialect;
use cimrepo::storage::Storage;
use cimrepo::storage::sim::SimStorage;

use crate::lab::{Depth, Scenario, State};
use crate::support::Files;
use crate::tiny::{checked, content, mini, opened, save, single, tiny, tiny_v22};

const TARGET: &str = "kept/backup";

fn put(disk: &SimStorage, place: &str, files: &Files) {
    for (name, bytes) in files {
        disk.put(Path::new(place).join(name), bytes);
    }
}

/// A disk with a repository of version 1 and a directory for backups, in which there is one of
/// version 0 as `base`.
fn disk() -> SimStorage {
    disk_of(tiny_v22)
}

fn disk_of(version: fn(u8) -> Files) -> SimStorage {
    let disk = SimStorage::new();
    put(&disk, "repository", &version(0));
    disk.put("kept/other file", b"it stays");
    save(&disk, "repository", "kept/base", &single()).unwrap();
    put(&disk, "repository", &version(1));
    disk
}

fn full(disk: &SimStorage) -> Result<()> {
    save(disk, "repository", TARGET, &single()).map(drop)
}

fn incremental(disk: &SimStorage) -> Result<()> {
    let options = BackupOptions {
        base: Some("kept/base".into()),
        ..single()
    };
    save(disk, "repository", TARGET, &options).map(drop)
}

fn scrubbed(disk: &SimStorage) -> Result<()> {
    save(
        disk,
        "repository",
        TARGET,
        &BackupOptions {
            scrub: true,
            ..single()
        },
    )
    .map(drop)
}

/// The target holds version 1, or, where there was an older one, version 0; the other files are as
/// they were.
fn look(before: &SimStorage) -> Box<dyn Fn(&SimStorage) -> State> {
    let new = content(&opened(before, "repository").unwrap().snapshot());
    let old = before.get(TARGET);
    let others = ["kept/base", "kept/other file"].map(|path| before.get(path));
    Box::new(move |disk| {
        assert!(["kept/base", "kept/other file"].map(|path| disk.get(path)) == others);
        let found = disk.get(TARGET);
        if found == old {
            assert!(old.is_none() || checked(disk, TARGET).is_ok());
            return State::Old;
        }
        let backup = checked(disk, TARGET).unwrap();
        assert!(content(&backup.snapshot()) == new);
        State::New
    })
}

fn scenario(name: &'static str, disk: SimStorage, act: fn(&SimStorage) -> Result<()>) -> Scenario {
    let look = look(&disk);
    Scenario {
        name,
        disk,
        act,
        again: act,
        look,
        switch: ("rename", TARGET),
        has_gap: false,
        depth: Depth::Every(3),
    }
}

fn to_a_new_file() -> Scenario {
    scenario("backup to a new file", disk(), full)
}

fn over_an_older_one(version: fn(u8) -> Files) -> Scenario {
    let disk = disk_of(version);
    let base = disk.get("kept/base").unwrap();
    disk.put(TARGET, &base);
    scenario("backup over an older one", disk, full)
}

fn increment() -> Scenario {
    scenario("incremental backup", disk(), incremental)
}

/// Dialect 2.1 has its checksums in the admin pages, and scrubbing makes them anew.
fn scrubbed_v21() -> Scenario {
    let disk = disk();
    let old = SimStorage::new();
    put(&old, "repository", &tiny(Dialect::V21, 1));
    for path in ["kept/base", "kept/other file"] {
        old.put(path, &disk.get(path).unwrap());
    }
    scenario("scrubbed backup of dialect 2.1", old, scrubbed)
}

#[test]
fn a_backup_that_fails_leaves_nothing_or_the_older_one() {
    for scenario in [
        to_a_new_file(),
        over_an_older_one(tiny_v22),
        increment(),
        scrubbed_v21(),
    ] {
        let tally = scenario.fail_everywhere();
        assert!(tally.faults >= 100 && tally.in_doubt <= 4, "{tally:?}");
    }
}

#[test]
fn a_backup_without_power_leaves_nothing_or_the_older_one() {
    for scenario in [
        to_a_new_file(),
        over_an_older_one(tiny_v22),
        increment(),
        scrubbed_v21(),
    ] {
        let tally = scenario.lose_power_everywhere();
        assert!(tally.images > 800 && tally.new > 0, "{tally:?}");
    }
}

#[test]
fn of_small_repositories_each_write_is_lost_torn_and_kept_alone() {
    let tally = Scenario {
        depth: Depth::Each,
        ..over_an_older_one(mini)
    }
    .lose_power_everywhere();
    assert!(tally.images > 200 && tally.new > 0, "{tally:?}");
}

#[test]
fn the_disk_of_the_tests_is_durable_before_they_begin() {
    let disk = disk();
    disk.sync_dir(Path::new("kept")).unwrap();
    assert_eq!(disk.unsynced(), 0, "{:?}", disk.unsynced_log());
}

//! Restores: under the name is the old repository or the new one.

use std::path::Path;

use cimrepo::backup::BackupOptions;
use cimrepo::base::error::Error;
use cimrepo::format::Dialect;
use cimrepo::restore::{Installed, RestoreOptions};
use cimrepo::storage::Storage;
use cimrepo::storage::sim::{CrashPolicy, SimStorage};
use cimrepo::store::OpenOptions;

use crate::lab::{Depth, Scenario, State};
use crate::support::Files;
use crate::support::edit::edit_mapping;
use crate::support::small::small_v22;
use crate::tiny::{
    Content, NEW, REPLACE, directory, load_into, mini, opened, save, single, sound, tiny, tiny_v22,
};

const TARGET: &str = "target";

fn put(disk: &SimStorage, place: &str, files: &Files) {
    for (name, bytes) in files {
        disk.put(Path::new(place).join(name), bytes);
    }
}

/// A disk with a backup of a repository, and what that repository holds.
fn disk(files: &Files, options: &BackupOptions) -> (SimStorage, Content) {
    let disk = SimStorage::new();
    put(&disk, "source", files);
    disk.put("kept/other file", b"it stays");
    save(&disk, "source", "kept/backup", options).unwrap();
    let content = sound(&disk, "source").unwrap();
    // Another disk, on which the repository itself never was.
    let other = SimStorage::new();
    other.put("kept/backup", &disk.get("kept/backup").unwrap());
    (other, content)
}

fn restore(disk: &SimStorage, options: RestoreOptions) -> cimrepo::Result<Installed> {
    load_into(disk, "kept/backup", TARGET, options).map(|summary| summary.installed)
}

fn restore_new(disk: &SimStorage) -> cimrepo::Result<()> {
    restore(disk, NEW).map(|installed| assert_eq!(installed, Installed::New))
}

fn restore_next(disk: &SimStorage) -> cimrepo::Result<()> {
    let installed = restore(disk, REPLACE)?;
    assert!(
        matches!(installed, Installed::NextGeneration { .. }),
        "{installed:?}"
    );
    Ok(())
}

fn restore_aside(disk: &SimStorage) -> cimrepo::Result<()> {
    let installed = restore(disk, REPLACE)?;
    assert!(
        matches!(installed, Installed::SetAside { .. }),
        "{installed:?}"
    );
    Ok(())
}

/// Whatever stands there now.
fn restore_over(disk: &SimStorage) -> cimrepo::Result<()> {
    restore(disk, REPLACE).map(drop)
}

/// Nothing that can be opened is the old state: no file there bears the name of a mapping.
fn look_for_new(new: Content) -> Box<dyn Fn(&SimStorage) -> State> {
    Box::new(move |disk| match sound(disk, TARGET) {
        Ok(found) => {
            assert!(found == new, "a repository, but another one");
            State::New
        }
        Err(Error::Io { .. } | Error::NotARepository { .. }) => State::Old,
        Err(error) => panic!("{error}"),
    })
}

fn into_missing() -> Scenario {
    into_missing_of(&tiny(Dialect::V22, 1))
}

fn into_missing_of(files: &Files) -> Scenario {
    let (disk, new) = disk(files, &single());
    Scenario {
        name: "restore into a missing directory",
        disk,
        act: restore_new,
        again: restore_new,
        look: look_for_new(new),
        switch: ("rename", "to target/MAPPING"),
        has_gap: false,
        depth: Depth::Every(1),
    }
}

/// Pages of the base and of what is based on it.
fn increment() -> Scenario {
    let source = SimStorage::new();
    source.put("kept/other file", b"it stays");
    for version in [0, 1] {
        let place = format!("source {version}");
        put(&source, &place, &tiny(Dialect::V22, version));
        let base = (version > 0).then(|| "kept/base".into());
        let target = if version > 0 {
            "kept/backup"
        } else {
            "kept/base"
        };
        save(&source, &place, target, &BackupOptions { base, ..single() }).unwrap();
    }
    let disk = SimStorage::new();
    for file in ["kept/base", "kept/backup"] {
        disk.put(file, &source.get(file).unwrap());
    }
    let name = "restore of an increment into a missing directory";
    Scenario {
        name,
        disk,
        look: look_for_new(sound(&source, "source 1").unwrap()),
        ..into_missing()
    }
}

fn into_empty(files: &Files, options: &BackupOptions, name: &'static str) -> Scenario {
    let (disk, new) = disk(files, options);
    disk.create_dir(Path::new(TARGET)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    Scenario {
        name,
        disk,
        ..Scenario {
            look: look_for_new(new),
            ..into_missing()
        }
    }
}

fn into_empty_v22() -> Scenario {
    into_empty(
        &tiny(Dialect::V22, 1),
        &single(),
        "restore into an empty directory",
    )
}

fn into_empty_v21() -> Scenario {
    into_empty(
        &tiny(Dialect::V21, 1),
        &single(),
        "restore of dialect 2.1 into an empty directory",
    )
}

/// Of the repository that is restored here the generations differ: an older one alone would be a
/// third state.
fn forensic() -> Scenario {
    let options = BackupOptions {
        forensic: true,
        ..single()
    };
    Scenario {
        depth: Depth::Every(7),
        ..into_empty(
            &older_generations_differ(),
            &options,
            "forensic restore into an empty directory",
        )
    }
}

/// Version 1 as the next generation of version 0.
fn older_generations_differ() -> Files {
    let (disk, _) = disk(&tiny(Dialect::V22, 1), &single());
    put(&disk, TARGET, &tiny(Dialect::V22, 0));
    restore_next(&disk).unwrap();
    crate::tiny::listing(&disk, TARGET)
}

/// The generation that is opened holds the old content or that of the backup, and the old one stays
/// what it was. Where the system refused to read it, it was set aside as it is.
fn look_for_next(before: &SimStorage) -> Box<dyn Fn(&SimStorage) -> State> {
    let old = sound(before, TARGET).unwrap();
    let old_files = crate::tiny::listing(before, TARGET);
    let new = crate::tiny::content(
        &crate::tiny::checked(before, "kept/backup")
            .unwrap()
            .snapshot(),
    );
    let generation = opened(before, TARGET)
        .unwrap()
        .snapshot()
        .mapping()
        .generation();
    Box::new(move |disk| {
        let found = sound(disk, TARGET).unwrap();
        if disk.kind(Path::new("target.001")).unwrap().is_some() {
            assert!(
                found == new && crate::tiny::listing(disk, "target.001") == old_files,
                "what was set aside"
            );
            return State::New;
        }
        let before = OpenOptions::new()
            .generation(generation)
            .open_in(&directory(disk, TARGET))
            .unwrap();
        assert!(
            before.is_whole() && crate::tiny::content(&before.snapshot()) == old,
            "the generation before is lost"
        );
        if found == old {
            return State::Old;
        }
        assert!(found == new, "neither of the two");
        State::New
    })
}

/// Over a healthy repository.
fn next_generation() -> Scenario {
    next_generation_of(tiny_v22)
}

fn next_generation_of(version: fn(u8) -> Files) -> Scenario {
    let (disk, _) = disk(&version(1), &single());
    put(&disk, TARGET, &version(0));
    let look = look_for_next(&disk);
    Scenario {
        name: "restore as next generation",
        disk,
        act: restore_over,
        again: restore_next,
        look,
        switch: ("write", "target/MAPPING"),
        has_gap: false,
        depth: Depth::Every(5),
    }
}

/// The same where the two generations that followed were refused: the one that counts is the oldest
/// on disk.
fn next_after_refused() -> Scenario {
    let mut scenario = next_generation();
    let mut files = crate::tiny::listing(&scenario.disk, TARGET);
    for name in ["MAPPING1.MAP", "MAPPING2.MAP"] {
        // The stamp of the first entry.
        edit_mapping(&mut files, name, |mapping| {
            mapping.objects.entries[0].stamp = 1_000
        });
    }
    put(&scenario.disk, TARGET, &files);
    assert_eq!(opened(&scenario.disk, TARGET).unwrap().refused().len(), 2);
    scenario.name = "restore as next generation of the oldest on disk";
    scenario.look = look_for_next(&scenario.disk);
    scenario
}

/// The same where an earlier restore was interrupted while it wrote the mapping of the same number:
/// all of it but the first sector is on the disk, stamped with the number that is written now, and
/// it has pages in other places.
fn next_after_torn() -> Scenario {
    let (disk, _) = disk(&small_v22(), &single());
    let mut files = tiny(Dialect::V22, 0);
    put(&disk, TARGET, &files);
    let done = disk.crash(CrashPolicy::KeepAll);
    restore_next(&done).unwrap();
    // Generation 4 follows the three of the builder.
    let name = "MAPPING3.MAP";
    files.insert(
        name.to_owned(),
        crate::tiny::listing(&done, TARGET).remove(name).unwrap(),
    );
    edit_mapping(&mut files, name, |mapping| {
        // Two entries in the second sector.
        let place = |number: usize| mapping.objects.entries[number].physical;
        let (first, second) = (place(22), place(25));
        assert!(first.is_some() && second.is_some());
        (
            mapping.objects.entries[22].physical,
            mapping.objects.entries[25].physical,
        ) = (second, first);
    });
    files.get_mut(name).unwrap()[..512].fill(0);
    put(&disk, TARGET, &files);
    assert_eq!(opened(&disk, TARGET).unwrap().refused().len(), 1);
    let look = look_for_next(&disk);
    Scenario {
        name: "restore as next generation over a torn one",
        disk,
        look,
        depth: Depth::Every(23),
        ..next_generation()
    }
}

/// Over a damaged repository with a file of someone else's beside it.
fn set_aside() -> Scenario {
    set_aside_of(tiny_v22)
}

fn set_aside_of(version: fn(u8) -> Files) -> Scenario {
    let (disk, new) = disk(&version(1), &single());
    let mut damaged = version(0);
    damaged.get_mut("INDEX.BTR").unwrap()[..4096].fill(0xAA);
    damaged.insert("my notes".to_owned(), b"they stay".to_vec());
    put(&disk, TARGET, &damaged);
    let look = move |disk: &SimStorage| {
        let is_there = |path: &str| disk.kind(Path::new(path)).unwrap().is_some();
        let holds_old = |path: &str| {
            let mut files = crate::tiny::listing(disk, path);
            files.remove("cimrepo.lock");
            // The notes go to the new directory last.
            files
                .entry("my notes".to_owned())
                .or_insert_with(|| b"they stay".to_vec());
            files == damaged
        };
        let notes: Vec<_> = ["target", "target.001"]
            .iter()
            .filter_map(|at| disk.get(Path::new(at).join("my notes")))
            .collect();
        assert_eq!(notes, [b"they stay".to_vec()], "the file of someone else's");
        if !is_there(TARGET) {
            assert!(
                holds_old("target.001") && sound(disk, "target.restoring").unwrap() == new,
                "the gap"
            );
            return State::Gap;
        }
        if !is_there("target.001") {
            assert!(holds_old(TARGET), "the damaged repository was touched");
            return State::Old;
        }
        assert!(
            holds_old("target.001"),
            "what was set aside is not what was there"
        );
        assert!(
            sound(disk, TARGET).unwrap() == new,
            "the new repository is not the one that was backed up"
        );
        State::New
    };
    Scenario {
        name: "restore over a damaged repository",
        disk,
        act: restore_aside,
        again: restore_over,
        look: Box::new(look),
        switch: ("rename", "target.restoring to target"),
        has_gap: true,
        depth: Depth::Every(5),
    }
}

#[test]
fn a_restore_that_fails_leaves_nothing_or_all() {
    for scenario in [
        into_missing(),
        increment(),
        into_empty_v22(),
        into_empty_v21(),
        forensic(),
    ] {
        let tally = scenario.fail_everywhere();
        assert!(tally.faults >= 100, "{tally:?}");
    }
}

#[test]
fn a_restore_without_power_leaves_nothing_or_all() {
    for scenario in [
        into_missing(),
        increment(),
        into_empty_v22(),
        into_empty_v21(),
        forensic(),
    ] {
        let tally = scenario.lose_power_everywhere();
        assert!(tally.images > 800 && tally.new > 0, "{tally:?}");
    }
}

#[test]
fn a_next_generation_that_fails_leaves_the_one_before() {
    for scenario in [next_generation(), next_after_refused(), next_after_torn()] {
        let tally = scenario.fail_everywhere();
        assert!(tally.faults >= 100, "{tally:?}");
    }
}

#[test]
fn a_next_generation_without_power_leaves_the_one_before() {
    for scenario in [next_generation(), next_after_refused(), next_after_torn()] {
        let tally = scenario.lose_power_everywhere();
        assert!(tally.images > 800 && tally.new > 0, "{tally:?}");
    }
}

#[test]
fn a_damaged_repository_is_set_aside_or_in_place_after_every_fault() {
    let tally = set_aside().fail_everywhere();
    assert!(tally.faults >= 100, "{tally:?}");
}

#[test]
fn a_damaged_repository_is_set_aside_or_in_place_after_every_loss_of_power() {
    let tally = set_aside().lose_power_everywhere();
    assert!(
        tally.images > 800 && tally.new > 0 && tally.gaps > 0,
        "{tally:?}"
    );
}

#[test]
fn of_small_repositories_each_write_is_lost_torn_and_kept_alone() {
    for scenario in [
        into_missing_of(&mini(1)),
        next_generation_of(mini),
        set_aside_of(mini),
    ] {
        let tally = Scenario {
            depth: Depth::Each,
            ..scenario
        }
        .lose_power_everywhere();
        assert!(tally.images > 800 && tally.new > 0, "{tally:?}");
    }
}

#[test]
fn what_a_crash_left_is_durable_itself() {
    let (disk, _) = disk(&small_v22(), &single());
    restore_new(&disk).unwrap();
    let after = disk.crash(CrashPolicy::DropAll);
    assert_eq!(after.unsynced(), 0);
    assert!(sound(&after, TARGET).is_ok());
}

//! What becomes of what stood there.

use std::path::Path;

use cimrepo::base::error::Error;
use cimrepo::format::Dialect;
use cimrepo::repository::{BulkBuilder, OpenOptions};
use cimrepo::restore::{Installed, RestoreSummary};
use cimrepo::storage::{MemStorage, Storage};

use crate::support::{Files, assert_clean};
use crate::tiny::{
    DIALECTS, NEW, REPLACE, bytes_of, directory, listing, load_into, opened, save, single, sound, stored_at, tiny,
};
use crate::{BACKUP, TARGET, content_of, names, storage};

fn missing(dialect: Dialect) -> MemStorage {
    storage((dialect, 1), &Files::new())
}

fn assert_restored(storage: &MemStorage, dialect: Dialect, what: &str) {
    assert!(sound(storage, TARGET).unwrap() == content_of((dialect, 1)), "{what}");
    assert_clean(&opened(storage, TARGET).unwrap(), what);
    assert!(!names(storage, "place").iter().any(|name| name.contains("restoring")), "{what}: leftovers");
    assert!(!names(storage, TARGET).iter().any(|name| name.contains("lock")), "{what}: the lock is left");
}

#[test]
fn a_missing_and_an_empty_directory_get_a_new_repository() {
    for dialect in DIALECTS {
        for is_there in [false, true] {
            let storage = missing(dialect);
            if is_there {
                storage.create_dir(Path::new(TARGET)).unwrap();
            }
            let summary = load_into(&storage, BACKUP, TARGET, NEW).unwrap();
            assert_eq!(summary.installed, Installed::New);
            assert_eq!(summary.directory, Path::new(TARGET));
            assert!(summary.pages_written > 0 && summary.pages_kept == 0);
            assert_restored(&storage, dialect, "a new repository");
            let expected: &[&str] = match dialect {
                Dialect::V22 => &["INDEX.BTR", "MAPPING1.MAP", "MAPPING2.MAP", "MAPPING3.MAP", "OBJECTS.DATA"],
                Dialect::V21 => &[
                    "INDEX.BTR",
                    "INDEX.MAP",
                    "MAPPING.VER",
                    "MAPPING1.MAP",
                    "MAPPING2.MAP",
                    "OBJECTS.DATA",
                    "OBJECTS.MAP",
                ],
            };
            assert_eq!(names(&storage, TARGET), expected);
        }
    }
}

#[test]
fn leftovers_of_an_interrupted_restore_are_taken_away() {
    for dialect in DIALECTS {
        let mapping = if dialect == Dialect::V22 { "MAPPING3.MAP" } else { "MAPPING1.MAP" };
        let waiting = format!("{mapping}.restoring");
        let stages: [&[&str]; 4] = [
            &["OBJECTS.DATA.restoring", "cimrepo.lock"],
            &["OBJECTS.DATA.restoring", "INDEX.BTR.restoring", &waiting],
            &["OBJECTS.DATA", "INDEX.BTR.restoring", &waiting],
            &["OBJECTS.DATA", "INDEX.BTR", &waiting, "OBJECTS.MAP"],
        ];
        for stage in stages {
            let storage = missing(dialect);
            for name in stage {
                storage.put(Path::new(TARGET).join(name), b"half of it".to_vec());
            }
            let summary = load_into(&storage, BACKUP, TARGET, NEW).unwrap();
            assert_eq!(summary.installed, Installed::New, "{stage:?}");
            assert_restored(&storage, dialect, &format!("{stage:?}"));
        }
    }
}

#[test]
fn data_files_without_any_mapping_are_someones_data() {
    // No mapping waits: nothing says that a restore left them.
    let mut files = tiny(Dialect::V22, 0);
    files.retain(|name, _| !name.starts_with("MAPPING"));
    let storage = storage((Dialect::V22, 1), &files);
    assert!(matches!(load_into(&storage, BACKUP, TARGET, NEW), Err(Error::InvalidArgument(_))));
    assert!(listing(&storage, TARGET) == files);
    let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
    assert_eq!(old(&summary), "place/target.001");
    assert!(listing(&storage, "place/target.001") == files);
}

fn old(summary: &RestoreSummary) -> &str {
    match &summary.installed {
        Installed::SetAside { old } => old.to_str().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Ways to damage a repository of dialect 2.2, such that it cannot take a next generation.
fn damages() -> Vec<(&'static str, Files)> {
    let healthy = || tiny(Dialect::V22, 0);
    let changed = |change: &dyn Fn(&mut Files)| {
        let mut files = healthy();
        change(&mut files);
        files
    };
    let mappings = ["MAPPING1.MAP", "MAPPING2.MAP", "MAPPING3.MAP"];
    vec![
        ("zeroed mappings", changed(&|files| mappings.iter().for_each(|name| files.get_mut(*name).unwrap().fill(0)))),
        ("empty mappings", changed(&|files| mappings.iter().for_each(|name| files.get_mut(*name).unwrap().clear()))),
        ("no mappings", changed(&|files| files.retain(|name, _| !mappings.contains(&name.as_str())))),
        ("garbage in the index", changed(&|files| files.get_mut("INDEX.BTR").unwrap()[..8192].fill(0xAA))),
        ("garbage in the objects", changed(&|files| files.get_mut("OBJECTS.DATA").unwrap()[8192..9000].fill(0xAA))),
        ("no index", changed(&|files| drop(files.remove("INDEX.BTR")))),
        ("no objects", changed(&|files| drop(files.remove("OBJECTS.DATA")))),
        ("cut objects", changed(&|files| files.get_mut("OBJECTS.DATA").unwrap().truncate(9000))),
    ]
}

#[test]
fn a_damaged_repository_is_set_aside_as_it_is() {
    for (what, damaged) in damages() {
        let storage = storage((Dialect::V22, 1), &damaged);
        assert!(matches!(load_into(&storage, BACKUP, TARGET, NEW), Err(Error::InvalidArgument(_))), "{what}");
        assert!(listing(&storage, TARGET) == damaged, "{what}");
        let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
        assert_eq!(old(&summary), "place/target.001", "{what}");
        assert!(listing(&storage, "place/target.001") == damaged, "{what}: what was set aside is not what was there");
        assert_restored(&storage, Dialect::V22, what);
    }
}

#[test]
fn nine_are_set_aside_and_the_tenth_is_refused() {
    let damaged = damages().swap_remove(0).1;
    let storage = storage((Dialect::V22, 1), &damaged);
    for number in 1..=9 {
        let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
        assert_eq!(old(&summary), format!("place/target.00{number}"));
        assert_restored(&storage, Dialect::V22, "set aside");
        stored_at(&storage, TARGET, &damaged);
    }
    let before = listing(&storage, TARGET);
    let error = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)) && error.to_string().contains(".009"), "{error}");
    assert!(listing(&storage, TARGET) == before);
    assert_eq!(names(&storage, "place").len(), 10);
    // A gap is filled.
    for (name, _) in listing(&storage, "place/target.004") {
        storage.remove_file(&Path::new("place/target.004").join(name)).unwrap();
    }
    storage.remove_dir(Path::new("place/target.004")).unwrap();
    assert_eq!(old(&load_into(&storage, BACKUP, TARGET, REPLACE).unwrap()), "place/target.004");
}

#[test]
fn other_files_in_the_directory_stay_where_they_were() {
    for (what, mut damaged) in damages() {
        damaged.insert("my notes.txt".to_owned(), b"notes".to_vec());
        let storage = storage((Dialect::V22, 1), &damaged);
        // The backup itself lies there.
        let inside = format!("{TARGET}/inside.cimbak");
        storage.put(&inside, bytes_of(&storage, Path::new(BACKUP)));
        load_into(&storage, &inside, TARGET, REPLACE).unwrap();
        assert_restored(&storage, Dialect::V22, what);
        assert_eq!(storage.get(format!("{TARGET}/my notes.txt")).unwrap(), b"notes");
        assert_eq!(storage.get(&inside), storage.get(BACKUP));
        // And from there once more, now over a healthy repository.
        let summary = load_into(&storage, &inside, TARGET, REPLACE).unwrap();
        assert!(matches!(summary.installed, Installed::NextGeneration { .. }), "{what}");
        assert_eq!(storage.get(&inside), storage.get(BACKUP));
    }
}

#[test]
fn what_has_no_next_generation_is_set_aside() {
    // Over a repository of dialect 2.1, and of one over the other dialect.
    for (from, over) in [(Dialect::V21, Dialect::V21), (Dialect::V22, Dialect::V21), (Dialect::V21, Dialect::V22)] {
        let storage = storage((from, 1), &tiny(over, 0));
        let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
        assert_eq!(old(&summary), "place/target.001", "{from} over {over}");
        assert!(listing(&storage, "place/target.001") == tiny(over, 0));
        assert_restored(&storage, from, &format!("{from} over {over}"));
    }
}

#[test]
fn the_repository_may_lie_below_the_directory() {
    for below in ["FS", "Repository", "repository/fs"] {
        let storage = missing(Dialect::V22);
        stored_at(&storage, &format!("{TARGET}/{below}"), &tiny(Dialect::V22, 0));
        let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
        assert!(matches!(summary.installed, Installed::NextGeneration { .. }));
        assert_eq!(summary.directory, Path::new(TARGET).join(below));
        assert!(sound(&storage, TARGET).unwrap() == content_of((Dialect::V22, 1)), "{below}");
    }
}

#[test]
fn a_snapshot_of_what_was_set_aside_can_still_be_read() {
    let storage = storage((Dialect::V21, 1), &tiny(Dialect::V21, 0));
    let snapshot = OpenOptions::new().cache_pages(0).open_in(&directory(&storage, TARGET)).unwrap().snapshot();
    load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
    assert!(crate::tiny::content(&snapshot) == content_of((Dialect::V21, 0)));
}

#[test]
fn what_was_interrupted_before_the_switch_is_begun_anew() {
    let damaged = damages().swap_remove(0).1;
    let storage = storage((Dialect::V22, 1), &damaged);
    storage.put("place/target.restoring/OBJECTS.DATA.restoring", b"half of it".to_vec());
    storage.put("place/target.restoring/MAPPING1.MAP", b"half of it".to_vec());
    load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
    assert_restored(&storage, Dialect::V22, "anew");
    // A directory of that name with anything else in it is not ours.
    stored_at(&storage, TARGET, &damaged);
    storage.put("place/target.restoring/letter.txt", b"dear".to_vec());
    let error = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    assert!(error.to_string().contains("letter.txt"), "{error}");
    assert_eq!(storage.get("place/target.restoring/letter.txt").unwrap(), b"dear");
    let files = listing(&storage, TARGET);
    assert!(damaged.iter().all(|(name, bytes)| files.get(name) == Some(bytes)));
}

#[test]
fn restores_into_two_directories_at_once_do_not_meet() {
    let storage = missing(Dialect::V22);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let storage = &storage;
            scope.spawn(move || load_into(storage, BACKUP, &format!("place/{number}"), NEW).unwrap());
        }
    });
    for number in 0..4 {
        assert!(sound(&storage, &format!("place/{number}")).unwrap() == content_of((Dialect::V22, 1)));
    }
}

#[test]
fn a_built_repository_and_a_restored_one_are_alike_to_the_next_backup() {
    let storage = missing(Dialect::V22);
    storage.create_dir(Path::new("built")).unwrap();
    let mut builder = BulkBuilder::create_seeded(directory(&storage, "built"), 1).unwrap();
    let record = builder.record(b"one record").unwrap();
    builder.key(b"NS_A\\CD_B", Some(record)).unwrap();
    builder.finish().unwrap();
    let built = save(&storage, "built", "kept/built", &single()).unwrap();
    load_into(&storage, "kept/built", TARGET, NEW).unwrap();
    let restored = save(&storage, TARGET, "kept/restored", &single()).unwrap();
    assert_eq!(built.content_identity, restored.content_identity);
}

//! What becomes of what stood there.

use std::path::Path;

use cimrepo::base::error::{Error, ExitCode};
use cimrepo::base::site::FileRole;
use cimrepo::format::Dialect;
use cimrepo::format::mapping::Mapping;
use cimrepo::restore::{Installed, RestoreOptions, RestoreSummary};
use cimrepo::storage::{MemStorage, Storage};
use cimrepo::store::{BulkBuilder, OpenOptions};

use crate::support::{Files, assert_clean};
use crate::tiny::{
    DIALECTS, NEW, REPLACE, bytes_of, directory, listing, load_into, opened, save, single, sound,
    stored_at, tiny,
};
use crate::{BACKUP, TARGET, content_of, names, storage};

fn missing(dialect: Dialect) -> MemStorage {
    storage((dialect, 1), &Files::new())
}

fn assert_restored(storage: &MemStorage, dialect: Dialect, what: &str) {
    assert!(
        sound(storage, TARGET).unwrap() == content_of((dialect, 1)),
        "{what}"
    );
    assert_clean(&opened(storage, TARGET).unwrap(), what);
    assert!(
        !names(storage, "place")
            .iter()
            .any(|name| name.contains("restoring")),
        "{what}: leftovers"
    );
    assert!(
        !names(storage, TARGET)
            .iter()
            .any(|name| name.contains("lock")),
        "{what}: the lock is left"
    );
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
                Dialect::V22 => &[
                    "INDEX.BTR",
                    "MAPPING1.MAP",
                    "MAPPING2.MAP",
                    "MAPPING3.MAP",
                    "OBJECTS.DATA",
                ],
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

/// The files of a restore that was interrupted: those named wait for their names or have them.
fn interrupted(dialect: Dialect, names: &[&str]) -> (MemStorage, Files) {
    let storage = missing(dialect);
    load_into(&storage, BACKUP, "model", NEW).unwrap();
    let model = listing(&storage, "model");
    let bytes = |name: &str| model[name.strip_suffix(".restoring").unwrap_or(name)].clone();
    let files: Files = names
        .iter()
        .map(|name| ((*name).to_owned(), bytes(name)))
        .collect();
    stored_at(&storage, TARGET, &files);
    (storage, files)
}

/// Stages at which a restore can be interrupted, the last one of dialect 2.1 alone.
fn stages(dialect: Dialect) -> Vec<Vec<&'static str>> {
    let waiting = if dialect == Dialect::V22 {
        "MAPPING3.MAP.restoring"
    } else {
        "MAPPING1.MAP.restoring"
    };
    let mut stages = vec![
        vec!["OBJECTS.DATA.restoring"],
        vec!["OBJECTS.DATA.restoring", "INDEX.BTR.restoring", waiting],
        vec!["OBJECTS.DATA", "INDEX.BTR.restoring", waiting],
        vec!["OBJECTS.DATA", "INDEX.BTR", waiting],
    ];
    if dialect == Dialect::V21 {
        stages.push(vec![
            "OBJECTS.DATA",
            "INDEX.BTR",
            waiting,
            "MAPPING.VER.restoring",
            "OBJECTS.MAP",
        ]);
    }
    stages
}

#[test]
fn leftovers_of_an_interrupted_restore_are_taken_away() {
    for dialect in DIALECTS {
        for stage in stages(dialect) {
            let (storage, _) = interrupted(dialect, &stage);
            storage.put(
                Path::new(TARGET).join("cimrepo.lock"),
                b"process 4711 (restore)".to_vec(),
            );
            // What was cut off before it had its name says nothing.
            storage.put(
                Path::new(TARGET).join("INDEX.MAP.restoring"),
                b"half of it".to_vec(),
            );
            let summary = load_into(&storage, BACKUP, TARGET, NEW).unwrap();
            assert_eq!(summary.installed, Installed::New, "{stage:?}");
            assert_restored(&storage, dialect, &format!("{stage:?}"));
        }
    }
}

#[test]
fn data_files_that_the_waiting_mapping_does_not_describe_are_someones() {
    for dialect in DIALECTS {
        let [.., stage] = &stages(dialect)[..4] else {
            panic!()
        };
        let (_, ours) = interrupted(dialect, stage);
        let waiting = stage[2];
        let other = |name: &str| {
            if dialect == Dialect::V22 {
                tiny(dialect, 0)[name].clone()
            } else {
                vec![1; 8192]
            }
        };
        let mut cases = vec![
            (
                "other objects",
                vec![("OBJECTS.DATA", other("OBJECTS.DATA"))],
            ),
            ("another index", vec![("INDEX.BTR", other("INDEX.BTR"))]),
            (
                "a mapping that is torn",
                vec![(waiting, ours[waiting][..40].to_vec())],
            ),
            (
                "ours still waits",
                vec![("OBJECTS.DATA.restoring", ours["OBJECTS.DATA"].clone())],
            ),
        ];
        if dialect == Dialect::V22 {
            let role = FileRole::Mapping(waiting.as_bytes()[7] - b'0');
            let mut mapping = Mapping::parse(&ours[waiting], dialect, role)
                .unwrap()
                .mapping;
            mapping
                .objects
                .entries
                .iter_mut()
                .for_each(|entry| entry.physical = None);
            cases.push((
                "a mapping without pages",
                vec![(waiting, mapping.to_bytes())],
            ));
        }
        if dialect == Dialect::V21 {
            cases.push((
                "another map",
                vec![("INDEX.MAP", tiny(dialect, 0)["OBJECTS.MAP"].clone())],
            ));
            cases.push(("a version", vec![("MAPPING.VER", vec![1, 0, 0, 0])]));
        }
        for (what, changes) in cases {
            let (storage, mut files) = interrupted(dialect, stage);
            for (name, bytes) in changes {
                storage.put(Path::new(TARGET).join(name), bytes.clone());
                files.insert(name.to_owned(), bytes);
            }
            let error = load_into(&storage, BACKUP, TARGET, NEW).unwrap_err();
            assert!(
                matches!(error, Error::InvalidArgument(_)),
                "{dialect}, {what}: {error}"
            );
            assert!(
                BulkBuilder::create(directory(&storage, TARGET)).is_err(),
                "{dialect}, {what}"
            );
            assert!(
                listing(&storage, TARGET) == files,
                "{dialect}, {what}: something was lost"
            );
            let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
            assert!(
                listing(&storage, old(&summary)) == files,
                "{dialect}, {what}: something was lost"
            );
        }
    }
}

#[test]
fn data_files_without_any_mapping_are_someones_data() {
    // No mapping waits: nothing says that a restore left them.
    let mut files = tiny(Dialect::V22, 0);
    files.retain(|name, _| !name.starts_with("MAPPING"));
    let storage = storage((Dialect::V22, 1), &files);
    assert!(matches!(
        load_into(&storage, BACKUP, TARGET, NEW),
        Err(Error::InvalidArgument(_))
    ));
    assert!(listing(&storage, TARGET) == files);
    let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
    assert_eq!(old(&summary), Path::new("place/target.001"));
    assert!(listing(&storage, "place/target.001") == files);
}

fn old(summary: &RestoreSummary) -> &Path {
    match &summary.installed {
        Installed::SetAside { old } => old,
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
        (
            "zeroed mappings",
            changed(&|files| {
                mappings
                    .iter()
                    .for_each(|name| files.get_mut(*name).unwrap().fill(0))
            }),
        ),
        (
            "empty mappings",
            changed(&|files| {
                mappings
                    .iter()
                    .for_each(|name| files.get_mut(*name).unwrap().clear())
            }),
        ),
        (
            "no mappings",
            changed(&|files| files.retain(|name, _| !mappings.contains(&name.as_str()))),
        ),
        (
            "garbage in the index",
            changed(&|files| files.get_mut("INDEX.BTR").unwrap()[..8192].fill(0xAA)),
        ),
        (
            "garbage in the objects",
            changed(&|files| files.get_mut("OBJECTS.DATA").unwrap()[8192..9000].fill(0xAA)),
        ),
        (
            "no index",
            changed(&|files| drop(files.remove("INDEX.BTR"))),
        ),
        (
            "no objects",
            changed(&|files| drop(files.remove("OBJECTS.DATA"))),
        ),
        (
            "cut objects",
            changed(&|files| files.get_mut("OBJECTS.DATA").unwrap().truncate(9000)),
        ),
    ]
}

#[test]
fn a_damaged_repository_is_set_aside_as_it_is() {
    for (what, damaged) in damages() {
        let storage = storage((Dialect::V22, 1), &damaged);
        assert!(
            matches!(
                load_into(&storage, BACKUP, TARGET, NEW),
                Err(Error::InvalidArgument(_))
            ),
            "{what}"
        );
        assert!(listing(&storage, TARGET) == damaged, "{what}");
        let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
        assert_eq!(old(&summary), Path::new("place/target.001"), "{what}");
        assert!(
            listing(&storage, "place/target.001") == damaged,
            "{what}: what was set aside is not what was there"
        );
        assert_restored(&storage, Dialect::V22, what);
    }
}

/// Commits that wait in a journal are those of the repository that is set aside: in another they
/// would be lost, or keep it from being written.
#[test]
fn a_journal_stays_with_its_repository() {
    let mut damaged = damages().swap_remove(0).1;
    let name = "cimrepo-0000004000.journal";
    damaged.insert(name.to_owned(), vec![7; 100]);
    damaged.insert("notes.txt".to_owned(), vec![1]);
    let storage = storage((Dialect::V22, 1), &damaged);
    let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
    assert!(
        storage.get(old(&summary).join(name)).is_some()
            && storage.get(Path::new(TARGET).join(name)).is_none()
    );
    assert!(
        storage.get(Path::new(TARGET).join("notes.txt")).is_some(),
        "other files go back"
    );
}

#[test]
fn nine_are_set_aside_and_the_tenth_is_refused() {
    let damaged = damages().swap_remove(0).1;
    let storage = storage((Dialect::V22, 1), &damaged);
    for number in 1..=9 {
        let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
        assert_eq!(
            old(&summary),
            Path::new(&format!("place/target.00{number}"))
        );
        assert_restored(&storage, Dialect::V22, "set aside");
        stored_at(&storage, TARGET, &damaged);
    }
    let before = listing(&storage, TARGET);
    let error = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap_err();
    assert!(
        matches!(error, Error::InvalidArgument(_)) && error.to_string().contains(".009"),
        "{error}"
    );
    assert!(listing(&storage, TARGET) == before);
    assert_eq!(names(&storage, "place").len(), 10);
    // A gap is filled.
    for (name, _) in listing(&storage, "place/target.004") {
        storage
            .remove_file(&Path::new("place/target.004").join(name))
            .unwrap();
    }
    storage.remove_dir(Path::new("place/target.004")).unwrap();
    assert_eq!(
        old(&load_into(&storage, BACKUP, TARGET, REPLACE).unwrap()),
        Path::new("place/target.004")
    );
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
        assert_eq!(
            storage.get(format!("{TARGET}/my notes.txt")).unwrap(),
            b"notes"
        );
        assert_eq!(storage.get(&inside), storage.get(BACKUP));
        // And from there once more, now over a healthy repository.
        let summary = load_into(&storage, &inside, TARGET, REPLACE).unwrap();
        assert!(
            matches!(summary.installed, Installed::NextGeneration { .. }),
            "{what}"
        );
        assert_eq!(storage.get(&inside), storage.get(BACKUP));
    }
}

#[test]
fn what_has_no_next_generation_is_set_aside() {
    // Over a repository of dialect 2.1, and of one over the other dialect.
    for (from, over) in [
        (Dialect::V21, Dialect::V21),
        (Dialect::V22, Dialect::V21),
        (Dialect::V21, Dialect::V22),
    ] {
        let storage = storage((from, 1), &tiny(over, 0));
        if from != over {
            let before = (listing(&storage, "place"), listing(&storage, TARGET));
            let error = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap_err();
            assert!(matches!(error, Error::OtherDialect { .. }), "{error}");
            assert_eq!(
                (error.hresult().0, error.exit_code()),
                (0x8004_1078, ExitCode::Usage)
            );
            assert!(error.to_string().contains("--change-dialect"), "{error}");
            assert!((listing(&storage, "place"), listing(&storage, TARGET)) == before);
        }
        let change = RestoreOptions {
            change_dialect: from != over,
            ..REPLACE
        };
        let summary = load_into(&storage, BACKUP, TARGET, change).unwrap();
        assert_eq!(
            old(&summary),
            Path::new("place/target.001"),
            "{from} over {over}"
        );
        assert!(listing(&storage, "place/target.001") == tiny(over, 0));
        assert_restored(&storage, from, &format!("{from} over {over}"));
    }
}

#[test]
fn the_repository_may_lie_below_the_directory() {
    for below in ["FS", "Repository", "repository/fs"] {
        let storage = missing(Dialect::V22);
        stored_at(
            &storage,
            &format!("{TARGET}/{below}"),
            &tiny(Dialect::V22, 0),
        );
        let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
        assert!(matches!(
            summary.installed,
            Installed::NextGeneration { .. }
        ));
        assert_eq!(summary.directory, Path::new(TARGET).join(below));
        assert!(
            sound(&storage, TARGET).unwrap() == content_of((Dialect::V22, 1)),
            "{below}"
        );
    }
}

#[test]
fn a_snapshot_of_what_was_set_aside_can_still_be_read() {
    let storage = storage((Dialect::V21, 1), &tiny(Dialect::V21, 0));
    let snapshot = OpenOptions::new()
        .cache_pages(0)
        .open_in(&directory(&storage, TARGET))
        .unwrap()
        .snapshot();
    load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
    assert!(crate::tiny::content(&snapshot) == content_of((Dialect::V21, 0)));
}

#[test]
fn what_was_interrupted_before_the_switch_is_begun_anew() {
    let damaged = damages().swap_remove(0).1;
    let storage = storage((Dialect::V22, 1), &damaged);
    let staging = Path::new("place/target.restoring");
    // With its mark, whole or not; without it as long as nothing has its name.
    storage.put(staging.join("cimrepo.restoring"), Vec::new());
    stored_at(&storage, "place/target.restoring", &tiny(Dialect::V22, 2));
    load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
    assert_restored(&storage, Dialect::V22, "anew");
    assert!(
        storage
            .kind(&Path::new(TARGET).join("cimrepo.restoring"))
            .unwrap()
            .is_none(),
        "the mark is left"
    );
    stored_at(&storage, TARGET, &damaged);
    storage.put(
        staging.join("OBJECTS.DATA.restoring"),
        b"half of it".to_vec(),
    );
    load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
    assert_restored(&storage, Dialect::V22, "anew");
    assert_eq!(
        names(&storage, "place"),
        ["target", "target.001", "target.002"]
    );
}

#[test]
fn a_directory_where_the_new_one_would_be_made_is_someones() {
    let damaged = damages().swap_remove(0).1;
    let mut no_mapping = tiny(Dialect::V22, 2);
    no_mapping.retain(|name, _| !name.starts_with("MAPPING"));
    let letter = [
        ("letter.txt".to_owned(), b"dear".to_vec()),
        ("cimrepo.restoring".to_owned(), Vec::new()),
    ];
    let cases = [
        (tiny(Dialect::V22, 2), "INDEX.BTR"),
        (no_mapping, "INDEX.BTR"),
        (Files::from(letter), "letter.txt"),
    ];
    for (files, named) in cases {
        let storage = storage((Dialect::V22, 1), &damaged);
        stored_at(&storage, "place/target.restoring", &files);
        let error = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap_err();
        assert!(
            matches!(error, Error::InvalidArgument(_)) && error.to_string().contains(named),
            "{error}"
        );
        assert!(
            listing(&storage, "place/target.restoring") == files,
            "someone's repository is lost"
        );
        assert!(listing(&storage, TARGET) == damaged);
    }
}

#[test]
fn restores_into_two_directories_at_once_do_not_meet() {
    let storage = missing(Dialect::V22);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let storage = &storage;
            scope.spawn(move || {
                load_into(storage, BACKUP, &format!("place/{number}"), NEW).unwrap()
            });
        }
    });
    for number in 0..4 {
        assert!(
            sound(&storage, &format!("place/{number}")).unwrap() == content_of((Dialect::V22, 1))
        );
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

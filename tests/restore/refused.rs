//! Restores that do not take place, and leave everything as it was.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use cimrepo::backup::{Backup, OpenBackup, backup};
use cimrepo::base::error::{Error, HResult};
use cimrepo::base::progress::{Observer, Progress, Unobserved};
use cimrepo::format::Dialect;
use cimrepo::format::own::backup_file::CHUNK_HEADER_SIZE;
use cimrepo::restore::{RestoreOptions, restore, restore_in};
use cimrepo::storage::{MemStorage, RealStorage, Storage};
use cimrepo::store::Repository;

use crate::support::{Files, write_to};
use crate::tiny::{
    DIALECTS, NEW, REPLACE, directory, listing, load_into, shared, single, sound, tiny,
};
use crate::{BACKUP, TARGET, content_of, names, storage};

fn assert_invalid(storage: &MemStorage, into: &str, options: RestoreOptions) {
    let error = load_into(storage, BACKUP, into, options).unwrap_err();
    assert!(
        matches!(error, Error::InvalidArgument(_)),
        "{into}: {error}"
    );
    assert_eq!(error.hresult(), HResult::INVALID_PARAMETER);
}

#[test]
fn a_repository_is_replaced_only_when_that_is_said() {
    for dialect in DIALECTS {
        let storage = storage((dialect, 1), &tiny(dialect, 0));
        assert_invalid(&storage, TARGET, NEW);
        assert_invalid(&storage, TARGET, RestoreOptions::default());
        assert!(listing(&storage, TARGET) == tiny(dialect, 0));
        assert_eq!(names(&storage, "place"), ["target"]);
        load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
        assert!(sound(&storage, TARGET).unwrap() == content_of((dialect, 1)));
    }
}

#[test]
fn what_is_no_directory_for_a_repository_is_refused() {
    let storage = storage((Dialect::V22, 1), &Files::new());
    storage.put("place/a file", b"text".to_vec());
    storage.put("place/letters/letter.txt", b"dear".to_vec());
    storage.put("place/only a backup/backup", storage.get(BACKUP).unwrap());
    storage.create_dir(Path::new("place/nested")).unwrap();
    storage
        .create_dir(Path::new("place/nested/directory"))
        .unwrap();
    for options in [NEW, REPLACE] {
        for into in [
            "",
            "place/a file",
            BACKUP,
            "place/letters",
            "place/only a backup",
            "place/nested",
        ] {
            assert_invalid(&storage, into, options);
        }
        for into in ["place/missing/target", "place/a file/target"] {
            let error = load_into(&storage, BACKUP, into, options).unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{into}: {error}");
        }
    }
    assert_eq!(
        names(&storage, "place"),
        ["a file", "letters", "nested", "only a backup"]
    );
    assert_eq!(names(&storage, "place/letters"), ["letter.txt"]);
    assert_eq!(storage.get("place/a file").unwrap(), b"text");
}

#[test]
fn a_path_without_a_name_cannot_be_set_aside() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("repository");
    std::fs::create_dir_all(target.join("below")).unwrap();
    let files = tiny(Dialect::V22, 0);
    write_to(&files, &target, str::to_owned);
    let file = place.path().join("backup");
    backup(
        &Repository::open_read_only(&target).unwrap(),
        &file,
        &single(),
        &Unobserved,
    )
    .unwrap();
    std::fs::remove_file(target.join("INDEX.BTR")).unwrap();
    let before = listing(&RealStorage, &target);
    let error = restore(
        &Backup::open(&file).unwrap(),
        target.join("below/.."),
        REPLACE,
        &Unobserved,
    )
    .unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    assert!(listing(&RealStorage, &target) == before);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
}

#[test]
fn while_another_writes_nothing_is_touched_and_the_holder_is_named() {
    for (dialect, damage) in [
        (Dialect::V22, false),
        (Dialect::V22, true),
        (Dialect::V21, false),
    ] {
        let mut files = tiny(dialect, 0);
        if damage {
            files.get_mut("INDEX.BTR").unwrap()[..4096].fill(0);
        }
        let storage = storage((dialect, 1), &files);
        let lock = storage
            .lock(
                &Path::new(TARGET).join("cimrepo.lock"),
                "process 4711 (defragmenting)",
            )
            .unwrap();
        let before = listing(&storage, TARGET);
        match load_into(&storage, BACKUP, TARGET, REPLACE).unwrap_err() {
            Error::Locked { path, holder } => {
                assert_eq!(&*path, Path::new(TARGET));
                assert!(holder.contains("process 4711 (defragmenting)"), "{holder}");
            }
            error => panic!("{error}"),
        }
        assert!(listing(&storage, TARGET) == before);
        assert_eq!(names(&storage, "place"), ["target"]);
        drop(lock);
        load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
    }
}

#[test]
fn an_empty_directory_that_is_locked_stays_empty() {
    let storage = storage((Dialect::V22, 1), &Files::new());
    storage.create_dir(Path::new(TARGET)).unwrap();
    let lock = storage
        .lock(
            &Path::new(TARGET).join("cimrepo.lock"),
            "process 4711 (building)",
        )
        .unwrap();
    assert!(matches!(
        load_into(&storage, BACKUP, TARGET, NEW),
        Err(Error::Locked { .. })
    ));
    drop(lock);
    assert!(names(&storage, TARGET).is_empty());
    load_into(&storage, BACKUP, TARGET, NEW).unwrap();
}

/// Ends the operation at a call.
struct StopAt {
    stop: u64,
    calls: AtomicU64,
}

impl Observer for StopAt {
    fn progress(&self, _: Progress) -> ControlFlow<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if call == self.stop {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

#[test]
fn cancelled_at_any_call_nothing_has_happened() {
    let mut damaged = tiny(Dialect::V22, 0);
    damaged.get_mut("INDEX.BTR").unwrap()[..4096].fill(0);
    let cases: [(&str, Files, RestoreOptions); 4] = [
        ("missing", Files::new(), NEW),
        ("healthy", tiny(Dialect::V22, 0), REPLACE),
        ("damaged", damaged, REPLACE),
        (
            "old",
            tiny(Dialect::V21, 0),
            RestoreOptions {
                change_dialect: true,
                ..REPLACE
            },
        ),
    ];
    for (what, files, options) in cases {
        let storage = storage((Dialect::V22, 1), &files);
        let before = names(&storage, "place");
        let backup = OpenBackup::new()
            .open_in(&shared(&storage), BACKUP)
            .unwrap();
        let mut calls = 0;
        loop {
            let observer = StopAt {
                stop: calls,
                calls: 0.into(),
            };
            match restore_in(&backup, &directory(&storage, TARGET), options, &observer) {
                Err(Error::Cancelled) => {
                    assert_eq!(names(&storage, "place"), before, "{what}, call {calls}");
                    assert!(
                        files.is_empty() || listing(&storage, TARGET) == files,
                        "{what}, call {calls}"
                    );
                }
                Ok(_) => break assert_eq!(observer.calls.into_inner(), calls, "{what}"),
                Err(error) => panic!("{what}, call {calls}: {error}"),
            }
            calls += 1;
        }
        assert!(calls >= 5, "{what}: {calls} calls");
        println!("{what}: cancelled at each of {calls} calls");
        assert!(sound(&storage, TARGET).unwrap() == content_of((Dialect::V22, 1)));
    }
}

#[test]
fn on_files_a_lock_of_another_names_its_holder_too() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("repository");
    std::fs::create_dir(&target).unwrap();
    write_to(&tiny(Dialect::V22, 0), &target, str::to_owned);
    let file = place.path().join("backup");
    backup(
        &Repository::open_read_only(&target).unwrap(),
        &file,
        &single(),
        &Unobserved,
    )
    .unwrap();
    let backup = Backup::open(&file).unwrap();
    let lock = RealStorage
        .lock(&target.join("cimrepo.lock"), "process 4711 (compacting)")
        .unwrap();
    match restore(&backup, &target, REPLACE, &Unobserved).unwrap_err() {
        // Where a lock keeps others from reading the file, its holder is not known.
        Error::Locked { holder, .. } => {
            assert!(holder.contains("4711") || cfg!(windows), "{holder}")
        }
        error => panic!("{error}"),
    }
    drop(lock);
    restore(&backup, &target, REPLACE, &Unobserved).unwrap();
    assert_eq!(names(&RealStorage, target.to_str().unwrap()).len(), 5);
}

#[test]
fn what_the_file_system_refuses_leaves_the_target_alone() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("source");
    std::fs::create_dir(&source).unwrap();
    write_to(&tiny(Dialect::V22, 0), &source, str::to_owned);
    let file = place.path().join("backup");
    backup(
        &Repository::open_read_only(&source).unwrap(),
        &file,
        &single(),
        &Unobserved,
    )
    .unwrap();
    let backup = Backup::open(&file).unwrap();
    let long = place.path().join("n".repeat(300));
    let mut targets = vec![
        place.path().join("missing/target"),
        file.join("target"),
        long,
    ];
    if cfg!(target_os = "linux") {
        targets.push("/proc/target".into());
    }
    for target in targets {
        let error = restore(&backup, &target, NEW, &Unobserved).unwrap_err();
        assert!(
            matches!(error, Error::Io { .. }),
            "{}: {error}",
            target.display()
        );
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
}

/// Pages are written while the backup is checked: what was written is taken away when a later byte
/// is wrong.
#[test]
fn a_chunk_that_is_damaged_leaves_nothing_behind() {
    for dialect in DIALECTS {
        let storage = storage((dialect, 1), &Files::new());
        storage.create_dir(Path::new("place/empty")).unwrap();
        let bytes = storage.get(BACKUP).unwrap();
        let backup = OpenBackup::new()
            .open_in(&shared(&storage), BACKUP)
            .unwrap();
        let chunks = &backup.manifest().chunks;
        assert!(chunks.len() > 2, "{} chunks", chunks.len());
        for chunk in chunks {
            let mut damaged = bytes.clone();
            let at = usize::try_from(chunk.offset).unwrap() + CHUNK_HEADER_SIZE;
            damaged[at + usize::try_from(chunk.header.stored).unwrap() / 2] ^= 1;
            storage.put(BACKUP, damaged);
            let mut before = Vec::new();
            for threads in [1, 2].map(NonZeroUsize::new) {
                for into in [TARGET, "place/empty"] {
                    let options = RestoreOptions { threads, ..NEW };
                    let error = load_into(&storage, BACKUP, into, options).unwrap_err();
                    assert!(matches!(error, Error::Backup { .. }), "{error}");
                    before.push(error.to_string());
                    assert_eq!(names(&storage, "place"), ["empty"]);
                    assert!(names(&storage, "place/empty").is_empty());
                }
            }
            before.dedup();
            assert_eq!(before.len(), 1, "{before:?}");
        }
        storage.put(BACKUP, bytes);
        load_into(&storage, BACKUP, TARGET, NEW).unwrap();
    }
}

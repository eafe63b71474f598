//! What the system refuses at a chosen place, and what others do at a chosen moment.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use cimrepo::base::error::Error;
use cimrepo::format::Dialect;
use cimrepo::restore::{Installed, RestoreOptions};
use cimrepo::storage::{MemStorage, Storage};
use cimrepo::store::{BulkBuilder, OpenOptions};

use crate::support::hooked::Hooked;
use crate::support::small::small_v22;
use crate::support::{Files, PLACE, in_memory};
use crate::tiny::{DIALECTS, NEW, REPLACE, directory, listing, load_into, sound, stored_at, tiny};
use crate::{BACKUP, TARGET, content_of, names, storage};

/// Refuses these calls on paths that end like this.
fn refusing(
    call: &'static str,
    end: &'static str,
) -> impl Fn(&str, &Path) -> io::Result<()> + Send + Sync {
    move |asked, path| match asked == call && path.ends_with(end) {
        true => Err(io::Error::other("refused")),
        false => Ok(()),
    }
}

#[test]
fn a_page_that_the_system_does_not_read_is_no_reason_to_take_an_older_generation() {
    for file in ["OBJECTS.DATA", "INDEX.BTR"] {
        let storage = Hooked::new(in_memory(&small_v22()).0, refusing("read", file));
        let error = OpenOptions::new()
            .open_in(&storage.directory(PLACE))
            .unwrap_err();
        assert!(
            matches!(error, Error::Io { .. }) && error.path().unwrap().ends_with(file),
            "{error}"
        );
    }
}

/// A storage with a backup and a repository of dialect 2.2 whose index is damaged.
fn with_damaged() -> (MemStorage, Files) {
    let mut files = tiny(Dialect::V22, 0);
    files.get_mut("INDEX.BTR").unwrap()[..4096].fill(0xAA);
    (storage((Dialect::V22, 1), &files), files)
}

#[test]
fn nothing_in_a_directory_is_open_while_it_is_renamed() {
    for dialect in DIALECTS {
        // Damaged, and whole but of the dialect that has no next generation.
        let mut files = tiny(dialect, 0);
        if dialect == Dialect::V22 {
            files.get_mut("INDEX.BTR").unwrap()[..4096].fill(0xAA);
        }
        let storage = storage((dialect, 1), &files);
        let summary = load_into(
            &Hooked::new(storage.clone(), |_, _| Ok(())),
            BACKUP,
            TARGET,
            REPLACE,
        )
        .unwrap();
        assert!(matches!(summary.installed, Installed::SetAside { .. }));
        assert!(listing(&storage, "place/target.001") == files);
        assert!(sound(&storage, TARGET).unwrap() == content_of((dialect, 1)));
        assert_eq!(names(&storage, "place"), ["target", "target.001"]);
    }
}

#[test]
fn a_backup_in_the_directory_that_cannot_be_renamed_is_named() {
    let (storage, files) = with_damaged();
    let inside = format!("{TARGET}/inside.cimbak");
    storage.put(&inside, storage.get(BACKUP).unwrap());
    let error = load_into(
        &Hooked::new(storage.clone(), |_, _| Ok(())),
        &inside,
        TARGET,
        REPLACE,
    )
    .unwrap_err();
    assert!(
        matches!(error, Error::InvalidArgument(_)) && error.to_string().contains("inside.cimbak"),
        "{error}"
    );
    let left = listing(&storage, TARGET);
    assert!(files.iter().all(|(name, bytes)| left[name] == *bytes));
    assert_eq!(names(&storage, "place"), ["target"]);
}

#[test]
fn while_a_directory_is_renamed_no_other_writer_gets_it() {
    let (storage, _) = with_damaged();
    let inner = storage.clone();
    let hook = move |call: &str, path: &Path| {
        if call == "rename" && (path.ends_with("target") || path.ends_with("target.restoring")) {
            let restored = load_into(&inner, BACKUP, TARGET, REPLACE);
            assert!(
                matches!(restored, Err(Error::Locked { .. })),
                "{restored:?}"
            );
            assert!(matches!(
                BulkBuilder::create(directory(&inner, TARGET)),
                Err(Error::Locked { .. })
            ));
        }
        Ok(())
    };
    load_into(&Hooked::new(storage.clone(), hook), BACKUP, TARGET, REPLACE).unwrap();
    assert_eq!(names(&storage, "place"), ["target", "target.001"]);
}

#[test]
fn what_another_puts_into_a_new_directory_is_not_written_over() {
    let storage = storage((Dialect::V22, 1), &Files::new());
    let (inner, done) = (storage.clone(), AtomicBool::new(false));
    let hook = move |call: &str, path: &Path| {
        if call == "lock"
            && path.ends_with("target/cimrepo.lock")
            && !done.swap(true, Ordering::Relaxed)
        {
            stored_at(&inner, TARGET, &tiny(Dialect::V22, 0));
        }
        Ok(())
    };
    let error = load_into(&Hooked::new(storage.clone(), hook), BACKUP, TARGET, NEW).unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    assert!(
        listing(&storage, TARGET) == tiny(Dialect::V22, 0),
        "someone's repository was written over"
    );
}

#[test]
fn a_repository_that_cannot_be_read_is_set_aside() {
    for file in ["OBJECTS.DATA", "INDEX.BTR", "MAPPING1.MAP", "MAPPING2.MAP"] {
        for call in ["open", "read"] {
            let storage = storage((Dialect::V22, 1), &tiny(Dialect::V22, 0));
            let hooked = Hooked::new(storage.clone(), move |asked: &str, path: &Path| {
                let is_it = asked == call && path == Path::new(TARGET).join(file);
                if is_it {
                    Err(io::Error::other("bad sector"))
                } else {
                    Ok(())
                }
            });
            let summary = load_into(&hooked, BACKUP, TARGET, REPLACE).unwrap();
            assert!(
                matches!(summary.installed, Installed::SetAside { .. }),
                "{file}, {call}"
            );
            assert!(
                listing(&storage, "place/target.001") == tiny(Dialect::V22, 0),
                "{file}, {call}"
            );
            assert!(sound(&storage, TARGET).unwrap() == content_of((Dialect::V22, 1)));
        }
    }
    // Of a directory that cannot be read nothing is known.
    let storage = storage((Dialect::V22, 1), &tiny(Dialect::V22, 0));
    let error = load_into(
        &Hooked::new(storage, refusing("read_dir", TARGET)),
        BACKUP,
        TARGET,
        REPLACE,
    )
    .unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn a_switch_that_can_go_neither_on_nor_back_names_both_repositories() {
    let (storage, files) = with_damaged();
    let refuse = |call: &str, path: &Path| {
        let is_second = call == "rename"
            && (path.ends_with("target.restoring") || path.ends_with("target.001"));
        if is_second {
            Err(io::Error::other("refused"))
        } else {
            Ok(())
        }
    };
    let error = load_into(
        &Hooked::new(storage.clone(), refuse),
        BACKUP,
        TARGET,
        REPLACE,
    )
    .unwrap_err();
    assert!(matches!(error, Error::Stranded { .. }), "{error:?}");
    let named = |name| {
        error
            .to_string()
            .contains(&*Path::new("place").join(name).to_string_lossy())
    };
    assert!(
        ["target.001", "target.restoring"].into_iter().all(named),
        "{error}"
    );
    assert_eq!(error.path().unwrap(), Path::new(TARGET));
    assert!(listing(&storage, "place/target.001") == files);
    assert!(sound(&storage, "place/target.restoring").unwrap() == content_of((Dialect::V22, 1)));
    // Restored again, nothing is left of the first attempt but what was set aside.
    load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
    assert_eq!(names(&storage, "place"), ["target", "target.001"]);
}

#[test]
fn going_back_is_made_durable_and_the_new_one_kept_until_it_is() {
    // The sync of the rename back is refused: a loss of power now could leave nothing under the
    // name.
    for refused in [1, 2] {
        let (storage, files) = with_damaged();
        let (syncs, renamed) = (std::sync::atomic::AtomicU32::new(0), AtomicBool::new(false));
        let hook = move |call: &str, path: &Path| {
            renamed.fetch_or(
                call == "rename" && path.ends_with("target"),
                Ordering::Relaxed,
            );
            let is_sync =
                call == "sync_dir" && path == Path::new("place") && renamed.load(Ordering::Relaxed);
            let is_refused = is_sync && syncs.fetch_add(1, Ordering::Relaxed) < refused;
            if is_refused {
                Err(io::Error::other("refused"))
            } else {
                Ok(())
            }
        };
        let error =
            load_into(&Hooked::new(storage.clone(), hook), BACKUP, TARGET, REPLACE).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        assert!(listing(&storage, TARGET) == files);
        let kept: &[&str] = if refused == 1 {
            &["target"]
        } else {
            &["target", "target.restoring"]
        };
        assert_eq!(names(&storage, "place"), kept);
        load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
        assert_eq!(names(&storage, "place"), ["target", "target.001"]);
    }
}

#[test]
fn where_nothing_can_be_made_beside_a_repository_it_still_takes_a_next_generation() {
    for (over, is_there) in [
        (Dialect::V22, false),
        (Dialect::V21, false),
        (Dialect::V22, true),
    ] {
        let storage = storage((Dialect::V22, 1), &tiny(over, 0));
        let beside = "place/target.cimrepo.lock";
        if is_there {
            storage.put(beside, b"process 4711 (restore)".to_vec());
        }
        let denied = |call: &str, path: &Path| match call == "lock" && path == Path::new(beside) {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => Ok(()),
        };
        let change = RestoreOptions {
            change_dialect: true,
            ..REPLACE
        };
        let result = load_into(
            &Hooked::new(storage.clone(), denied),
            BACKUP,
            TARGET,
            change,
        );
        if over == Dialect::V22 && !is_there {
            assert!(matches!(
                result.unwrap().installed,
                Installed::NextGeneration { .. }
            ));
        } else {
            // To set a repository aside needs more; and the lock of someone with more rights is not
            // passed by.
            assert!(matches!(result.unwrap_err(), Error::Io { .. }));
            assert!(listing(&storage, TARGET) == tiny(over, 0));
        }
    }
}

#[test]
fn a_builder_locks_its_directory_and_leaves_nothing_when_it_is_given_up() {
    let storage = storage((Dialect::V22, 1), &Files::new());
    storage.create_dir(Path::new(TARGET)).unwrap();
    let mut builder = BulkBuilder::create(directory(&storage, TARGET)).unwrap();
    builder.record(b"a record").unwrap();
    assert!(matches!(
        BulkBuilder::create(directory(&storage, TARGET)),
        Err(Error::Locked { .. })
    ));
    assert!(matches!(
        load_into(&storage, BACKUP, TARGET, NEW),
        Err(Error::Locked { .. })
    ));
    drop(builder);
    assert!(names(&storage, TARGET).is_empty() && names(&storage, "place") == ["target"]);
    // Without a key there is no repository.
    BulkBuilder::create(directory(&storage, TARGET))
        .unwrap()
        .finish()
        .unwrap_err();
    assert!(names(&storage, TARGET).is_empty() && names(&storage, "place") == ["target"]);
    load_into(&storage, BACKUP, TARGET, NEW).unwrap();
}

#[test]
fn a_builder_takes_no_directory_that_holds_anything() {
    for name in ["OBJECTS.DATA", "mapping2.map", "letter.txt"] {
        let storage = MemStorage::new();
        storage.put(Path::new(TARGET).join(name), b"someone's".to_vec());
        let before = listing(&storage, TARGET);
        let error = BulkBuilder::create(directory(&storage, TARGET)).unwrap_err();
        assert!(
            matches!(error, Error::InvalidArgument(_)) && error.to_string().contains(name),
            "{error}"
        );
        assert!(listing(&storage, TARGET) == before);
    }
}

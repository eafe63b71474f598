//! Where a backup may go, and what is left when it did not get there.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;

use cimrepo::Error;
use cimrepo::backup::{Backup, BackupOptions, backup, backup_in};
use cimrepo::base::error::{ExitCode, HResult};
use cimrepo::base::misuse::Misuse;
use cimrepo::base::progress::{Progress, Unobserved};
use cimrepo::format::Dialect;
use cimrepo::restore::RestoreOptions;
use cimrepo::storage::sim::{Fault, FaultPlan, SimStorage};
use cimrepo::storage::{RealStorage, Storage};
use cimrepo::store::Repository;

use crate::support::{PLACE, in_memory, write_to};
use crate::tiny::{DIALECTS, VERIFY, checked, listing, opened, save, shared, single, tiny};

/// A directory with a repository in it.
fn real_repository() -> (tempfile::TempDir, Repository) {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("repository");
    std::fs::create_dir(&directory).unwrap();
    write_to(&tiny(Dialect::V22, 1), &directory, str::to_owned);
    let repository = Repository::open_read_only(&directory).unwrap();
    (place, repository)
}

#[test]
fn targets_that_cannot_be_one_are_refused_and_nothing_is_created() {
    let (place, repository) = real_repository();
    let inside = place.path().join("repository");
    let before = (
        listing(&RealStorage, place.path()),
        listing(&RealStorage, &inside),
    );
    let mut targets = vec![
        Path::new("").to_owned(),
        Path::new("/").to_owned(),
        Path::new("..").to_owned(),
    ];
    targets.extend([
        inside.clone(),
        inside.join(""),
        place.path().join("new/"),
        place.path().join(".."),
    ]);
    for name in [
        "OBJECTS.DATA",
        "objects.data",
        "Index.Btr",
        "MAPPING1.MAP",
        "mapping3.map",
        "MAPPING.VER",
        "Objects.Map",
    ] {
        targets.extend([inside.join(name), place.path().join(name)]);
    }
    for name in [
        "OBJECTS.DATA.restoring",
        "cimrepo.lock",
        "CIMREPO.LOCK",
        "x.cimrepo.lock",
        "cimrepo.restoring",
        "Index.btr.Restoring",
    ] {
        targets.push(inside.join(name));
    }
    for target in targets {
        let error = backup(&repository, &target, &single(), &Unobserved).unwrap_err();
        assert!(
            matches!(error, Error::InvalidArgument(_)),
            "{}: {error}",
            target.display()
        );
        assert_eq!(error.hresult(), HResult::INVALID_PARAMETER);
    }
    assert!(
        (
            listing(&RealStorage, place.path()),
            listing(&RealStorage, &inside)
        ) == before
    );
}

#[test]
fn what_the_system_refuses_is_an_io_error() {
    let (place, repository) = real_repository();
    let file = place.path().join("a file");
    std::fs::write(&file, b"text").unwrap();
    let mut targets = vec![place.path().join("missing/backup"), file.join("backup")];
    targets.push(place.path().join("n".repeat(300)));
    #[cfg(target_os = "linux")]
    targets.push(Path::new("/proc/backup").to_owned());
    for target in targets {
        let error = backup(&repository, &target, &single(), &Unobserved).unwrap_err();
        assert!(
            matches!(error, Error::Io { .. }),
            "{}: {error}",
            target.display()
        );
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"text");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_directory_that_may_not_be_written_is_an_io_error() {
    use std::os::unix::fs::PermissionsExt;
    let (place, repository) = real_repository();
    let closed = place.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(closed.join("probe"), b"").is_ok() {
        return eprintln!("*** not tested: permissions mean nothing to this user ***");
    }
    let error = backup(&repository, closed.join("backup"), &single(), &Unobserved).unwrap_err();
    assert_eq!(error.hresult(), HResult(0x8007_0005), "{error}");
}

#[test]
fn a_full_disk_has_its_own_code_and_leaves_nothing() {
    let disk = SimStorage::new();
    for (name, bytes) in tiny(Dialect::V22, 1) {
        disk.put(Path::new(PLACE).join(name), &bytes);
    }
    let repository = opened(&disk, PLACE).unwrap();
    disk.set_plan(FaultPlan::from(disk.operations(), Fault::NoSpace));
    let error = backup_in(
        &repository,
        &shared(&disk),
        "backup",
        &single(),
        &Unobserved,
    )
    .unwrap_err();
    assert_eq!(error.hresult(), HResult::OUT_OF_DISK_SPACE);
    disk.set_plan(FaultPlan::none());
    assert_eq!(disk.read_dir(Path::new(".")).unwrap().len(), 1);
}

#[test]
fn an_older_backup_is_replaced_and_nothing_else_is_left() {
    let (place, repository) = real_repository();
    let target = place.path().join("backup");
    std::fs::write(&target, b"").unwrap();
    let first = backup(&repository, &target, &single(), &Unobserved).unwrap();
    let second = backup(&repository, &target, &single(), &Unobserved).unwrap();
    assert_ne!(first.identity, second.identity);
    assert_eq!(first.content_identity, second.content_identity);
    assert_eq!(
        Backup::open(&target).unwrap().header().identity,
        second.identity
    );
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
}

/// A file of someone's is not taken for an older backup, whatever it is called and whenever it
/// comes.
#[test]
fn what_is_neither_missing_nor_empty_nor_a_backup_is_replaced_by_whoever_says_so_alone() {
    let (storage, _) = in_memory(&tiny(Dialect::V22, 1));
    let overwrite = BackupOptions {
        overwrite: true,
        ..single()
    };
    for (begin, may_go) in [
        (&b""[..], true),
        (b"CIMBK\r\n\x1A", true),
        (b"CIMBK\r\n\x1A of a newer version", true),
        (b"CIMBK\r\n", false),
        (b"CIMBJ\r\n\x1A and more", false),
        (&[0; 100], false),
        (b"x", false),
        (b"a letter", false),
    ] {
        storage.put("it", begin.to_vec());
        let done = save(&storage, PLACE, "it", &single());
        assert_eq!(done.is_ok(), may_go, "{begin:?}");
        if let Err(error) = done {
            assert!(
                matches!(&error, Error::InvalidArgument(what) if what.misuse == Misuse::Overwrite),
                "{error}"
            );
            assert_eq!(
                (error.hresult(), error.exit_code()),
                (HResult::INVALID_PARAMETER, ExitCode::Usage)
            );
            assert!(error.to_string().contains("--overwrite"), "{error}");
            assert_eq!(storage.get("it").as_deref(), Some(begin));
            save(&storage, PLACE, "it", &overwrite).unwrap();
        }
        checked(&storage, "it").unwrap();
        assert_eq!(storage.read_dir(Path::new(".")).unwrap().len(), 2);
    }
    // One that comes while the backup is written is no more ours.
    let repository = opened(&storage, PLACE).unwrap();
    let comes = |_: Progress| {
        storage.put("new", b"a letter".to_vec());
        ControlFlow::Continue(())
    };
    let error = backup_in(&repository, &shared(&storage), "new", &single(), &comes).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidArgument(what) if what.misuse == Misuse::Overwrite),
        "{error}"
    );
    assert_eq!(storage.get("new").as_deref(), Some(&b"a letter"[..]));
    assert_eq!(storage.read_dir(Path::new(".")).unwrap().len(), 3);
}

#[test]
fn a_backup_may_lie_in_the_directory_of_the_repository() {
    let (place, repository) = real_repository();
    let inside = place.path().join("repository");
    let mut expected = listing(&RealStorage, &inside);
    for name in ["my.cimbak", "OBJECTS.DATA.bak"] {
        backup(&repository, inside.join(name), &single(), &Unobserved).unwrap();
        assert!(
            Backup::open(inside.join(name))
                .unwrap()
                .verify(VERIFY, &Unobserved)
                .unwrap()
                .is_consistent()
        );
    }
    let mut after = listing(&RealStorage, &inside);
    for name in ["my.cimbak", "OBJECTS.DATA.bak"] {
        expected.insert(name.to_owned(), after.remove(name).unwrap());
        after.insert(name.to_owned(), expected[name].clone());
    }
    assert!(after == expected, "{:?}", after.keys());
}

#[test]
fn a_relative_path_is_one_from_the_working_directory() {
    let (storage, _) = in_memory(&tiny(Dialect::V22, 1));
    for target in ["bare", "./dotted", "repository/inside"] {
        save(&storage, PLACE, target, &single()).unwrap();
        checked(&storage, target).unwrap();
    }
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    let (storage, _) = in_memory(&tiny(Dialect::V22, 1));
    let options = BackupOptions {
        scrub: true,
        forensic: true,
        ..single()
    };
    assert!(matches!(
        save(&storage, PLACE, "backup", &options),
        Err(Error::InvalidArgument(_))
    ));
    assert!(storage.get("backup").is_none());
}

#[test]
fn without_a_data_file_only_a_forensic_backup_is_made() {
    for missing in ["OBJECTS.DATA", "INDEX.BTR"] {
        let mut files = tiny(Dialect::V22, 1);
        files.remove(missing);
        let (storage, _) = in_memory(&files);
        let error = save(&storage, PLACE, "backup", &single()).unwrap_err();
        assert!(
            matches!(error, Error::NotARepository { .. }) && error.to_string().contains(missing),
            "{error}"
        );
        assert!(storage.get("backup").is_none());
        save(
            &storage,
            PLACE,
            "backup",
            &BackupOptions {
                forensic: true,
                ..single()
            },
        )
        .unwrap();
    }
}

/// An observer that ends the operation at a call.
pub struct StopAt {
    stop: u64,
    calls: std::sync::atomic::AtomicU64,
}

impl StopAt {
    pub fn new(stop: u64) -> Self {
        Self {
            stop,
            calls: 0.into(),
        }
    }

    /// How often it was called.
    pub fn calls(&self) -> u64 {
        self.calls.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl cimrepo::base::progress::Observer for StopAt {
    fn progress(&self, _: Progress) -> ControlFlow<()> {
        let call = self
            .calls
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if call == self.stop {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

#[test]
fn a_cancelled_backup_leaves_the_older_file_and_nothing_else() {
    for dialect in DIALECTS {
        let (storage, _) = in_memory(&tiny(dialect, 1));
        storage.create_dir(Path::new("kept")).unwrap();
        save(&storage, PLACE, "kept/it", &single()).unwrap();
        let before = listing(&storage, "kept");
        let repository = opened(&storage, PLACE).unwrap();
        let mut calls = 0;
        loop {
            let observer = StopAt::new(calls);
            let result = backup_in(
                &repository,
                &shared(&storage),
                "kept/it",
                &single(),
                &observer,
            );
            match result {
                Err(Error::Cancelled) => {
                    assert!(listing(&storage, "kept") == before, "call {calls}")
                }
                Ok(_) => break assert_eq!(observer.calls(), calls),
                Err(error) => panic!("call {calls}: {error}"),
            }
            calls += 1;
        }
        assert!(calls >= 2, "{dialect}: {calls} calls");
        println!("{dialect}: cancelled at each of {calls} calls");
    }
}

#[test]
fn progress_grows_to_its_total() {
    let (storage, _) = in_memory(&crate::support::small::small_v22());
    let repository = opened(&storage, PLACE).unwrap();
    let seen = parking_lot::Mutex::new(Vec::new());
    let observer = |progress: Progress| {
        seen.lock().push(progress);
        ControlFlow::Continue(())
    };
    backup_in(
        &repository,
        &shared(&storage),
        "backup",
        &single(),
        &observer,
    )
    .unwrap();
    let seen = seen.into_inner();
    let last = Cell::new(0);
    assert!(
        seen.iter()
            .all(|progress| progress.done >= last.replace(progress.done))
    );
    assert!(
        seen.last()
            .is_some_and(|progress| progress.done == progress.total && progress.total > 0)
    );
}

#[cfg(unix)]
#[test]
fn a_target_that_is_a_link_or_no_regular_file_is_refused() {
    let (place, repository) = real_repository();
    let at = |name: &str| place.path().join(name);
    std::fs::write(at("victim"), b"precious").unwrap();
    std::os::unix::fs::symlink(at("victim"), at("link")).unwrap();
    std::os::unix::fs::symlink(at("nothing"), at("dangling")).unwrap();
    let mut targets = vec![at("link"), at("dangling")];
    targets.extend(
        ["/dev/null", "/dev/stdout"]
            .map(|path| Path::new(path).to_owned())
            .into_iter()
            .filter(|p| p.exists()),
    );
    for target in targets {
        let error = backup(&repository, &target, &single(), &Unobserved).unwrap_err();
        assert!(
            matches!(error, Error::InvalidArgument(_)),
            "{}: {error}",
            target.display()
        );
    }
    assert_eq!(std::fs::read(at("victim")).unwrap(), b"precious");
    assert!(std::fs::symlink_metadata(at("link")).unwrap().is_symlink() && !at("nothing").exists());
    // Another name of an older backup keeps the older backup.
    backup(&repository, at("older"), &single(), &Unobserved).unwrap();
    let older = std::fs::read(at("older")).unwrap();
    std::fs::hard_link(at("older"), at("other")).unwrap();
    backup(&repository, at("other"), &single(), &Unobserved).unwrap();
    assert!(
        std::fs::read(at("older")).unwrap() == older
            && std::fs::read(at("other")).unwrap() != older
    );
}

#[test]
fn what_interrupted_backups_left_goes_and_what_is_someones_stays() {
    let (storage, _) = in_memory(&tiny(Dialect::V22, 1));
    storage.create_dir(Path::new("kept")).unwrap();
    let magic = b"CIMBK\r\n\x1A and more".to_vec();
    let left = [
        "kept/it.partial-0123abcd",
        "kept/it.partial-ffffffff",
        "kept/it.partial-00000000",
    ];
    storage.put(left[0], magic.clone());
    storage.put(left[1], Vec::new());
    storage.put(left[2], vec![0; 5_000]);
    let stays = [
        ("kept/it.partial-1111111", magic.clone()),
        ("kept/it.partial-1111111g", magic.clone()),
        ("kept/it.partial-22222222", b"someone's letter".to_vec()),
        ("kept/it.partial-33333333", b"short".to_vec()),
        ("kept/that.partial-44444444", magic.clone()),
        ("kept/it", magic.clone()),
    ];
    for (path, bytes) in &stays {
        storage.put(path, bytes.clone());
    }
    // As long as another process writes there nothing is touched, and it is named.
    let lock = storage
        .lock(Path::new("kept/it.cimrepo.lock"), "process 4711 (backup)")
        .unwrap();
    let before = listing(&storage, "kept");
    let error = save(&storage, PLACE, "kept/it", &single()).unwrap_err();
    assert!(
        matches!(error, Error::Locked { .. }) && error.to_string().contains("4711"),
        "{error}"
    );
    assert!(listing(&storage, "kept") == before);
    drop(lock);
    save(&storage, PLACE, "kept/it", &single()).unwrap();
    checked(&storage, "kept/it").unwrap();
    assert!(left.iter().all(|path| storage.get(path).is_none()));
    assert!(
        stays
            .iter()
            .take(5)
            .all(|(path, bytes)| storage.get(path).as_ref() == Some(bytes))
    );
    assert_eq!(
        storage.read_dir(Path::new("kept")).unwrap().len(),
        stays.len()
    );
}

#[test]
fn what_no_restore_would_take_is_not_backed_up_over_what_one_does() {
    for dialect in DIALECTS {
        let (storage, _) = in_memory(&tiny(dialect, 1));
        save(&storage, PLACE, "it", &single()).unwrap();
        let older = storage.get("it").unwrap();
        // Every page and checksum is right, but a key says that its record has another size.
        let mut files = tiny(dialect, 1);
        let at = files["INDEX.BTR"]
            .windows(5)
            .position(|bytes| bytes == b".2000")
            .unwrap();
        let page = at / cimrepo::base::page_no::PAGE_SIZE;
        files.get_mut("INDEX.BTR").unwrap()[at + 4] = b'1';
        crate::support::edit::restate_checksum(
            &mut files,
            cimrepo::base::page_no::Space::Index,
            page,
        );
        let (storage, _) = in_memory(&files);
        storage.put("it", older.clone());
        let error = save(&storage, PLACE, "it", &single()).unwrap_err();
        assert!(matches!(error, Error::NotARepository { .. }), "{error}");
        assert!(
            error.to_string().contains("reference.") && error.to_string().contains("forensic"),
            "{error}"
        );
        assert!(
            storage.get("it").unwrap() == older,
            "the older one was replaced"
        );
        assert_eq!(storage.read_dir(Path::new(".")).unwrap().len(), 2);
        let forensic = BackupOptions {
            forensic: true,
            skip_verify: true,
            ..single()
        };
        let summary = save(&storage, PLACE, "it", &forensic).unwrap();
        assert!(
            summary.damage.is_some_and(|damage| damage.findings > 0),
            "a forensic one is verified in any case"
        );
        // Whoever skips it gets a backup that says nothing, and is refused when it is to be
        // restored.
        let summary = save(
            &storage,
            PLACE,
            "unverified",
            &BackupOptions {
                skip_verify: true,
                ..single()
            },
        )
        .unwrap();
        assert!(summary.damage.is_none());
        let restored =
            crate::tiny::load_into(&storage, "unverified", "new", RestoreOptions::default());
        assert!(
            matches!(restored, Err(Error::Backup { .. })),
            "{restored:?}"
        );
        assert!(
            storage.read_dir(Path::new("new")).is_err(),
            "nothing was made"
        );
    }
}

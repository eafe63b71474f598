//! Backups of a repository in use.

use std::path::PathBuf;
use std::thread;

use cimrepo::backup::{BackupOptions, BackupSet, OpenBackup, SetOptions};
use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::base::progress::Phase;
use cimrepo::restore::{RestoreOptions, restore_in};

use crate::restoring::At;

use super::*;

/// What a backup holds, restored elsewhere and verified there.
fn elsewhere(storage: &MemStorage, file: &str) -> Vec<String> {
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let backup = OpenBackup::new().open_in(&shared, file).unwrap();
    let other = MemStorage::new();
    other.create_dir(Path::new("/other")).unwrap();
    let directory = Directory::new(Arc::new(other), "/other");
    restore_in(&backup, &directory, RestoreOptions::default(), &Unobserved).unwrap();
    names(&read(&directory))
}

#[test]
fn a_hot_backup_is_the_state_at_its_instant() {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    put(&connection, "IN_FILES", 20_000).unwrap();
    service.checkpoint().unwrap();
    put(&connection, "IN_JOURNAL", 20_000).unwrap();
    let mut running = connection.begin_write().unwrap();
    running.insert_key(b"NS_0\\NOT_COMMITTED").unwrap();
    let object = service.backup_restore();
    // A transaction that runs holds up no backup.
    let summary = object.backup("/b", NONE).unwrap();
    assert!(summary.pages > 0);
    assert_eq!(
        elsewhere(&storage, "/b"),
        ["FIRST", "IN_FILES", "IN_JOURNAL"]
    );
    running.commit().unwrap();
    assert_eq!(
        elsewhere(&storage, "/b"),
        ["FIRST", "IN_FILES", "IN_JOURNAL"]
    );
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let backup = OpenBackup::new().open_in(&shared, "/b").unwrap();
    let report = backup
        .verify(VerifyOptions::default(), &Unobserved)
        .unwrap();
    assert!(
        report.repository.is_consistent(),
        "{:?}",
        report.repository.findings
    );
}

#[test]
fn writers_and_readers_go_on_during_a_backup_and_what_they_write_is_not_in_it() {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    (0..10).for_each(|number| put(&connection, &format!("OLD{number}"), 30_000).unwrap());
    let before = names(&service.snapshot().unwrap());
    let object = service.backup_restore();
    let act = || {
        assert_eq!(service.activity().backups, 1);
        put(&connection, "MEANWHILE", 20_000).unwrap();
        let mut transaction = connection.begin_write().unwrap();
        let key = transaction.find(b"NS_0\\OLD3").unwrap().unwrap();
        let record = cimrepo::format::index::key::reference(key.as_bytes())
            .unwrap()
            .unwrap();
        transaction.remove_key(key.as_bytes()).unwrap();
        transaction.remove_record(record).unwrap();
        transaction.commit().unwrap();
        service.checkpoint().unwrap();
        put(&connection, "LATER", 20_000).unwrap();
        service.checkpoint().unwrap();
        assert!(connection.find(b"NS_0\\FIRST").unwrap().is_some());
        // Another backup beside it, of the state as it is now.
        service.backup_restore().backup("/second", NONE).unwrap();
        assert_eq!(service.activity().backups, 1);
    };
    let observer = At::new(Phase::Backup, &act);
    object
        .backup_with("/first", NONE, &BackupOptions::default(), &observer)
        .unwrap();
    assert!(observer.was_there());
    assert_eq!(service.activity().backups, 0);
    assert!(!connection.is_broken());
    assert_eq!(elsewhere(&storage, "/first"), before);
    let after = names(&service.snapshot().unwrap());
    assert_eq!(elsewhere(&storage, "/second"), after);
    assert!(after.contains(&"LATER".to_owned()) && !after.contains(&"OLD3".to_owned()));
}

#[test]
fn a_backup_takes_no_flags_and_no_odd_path() {
    let (storage, service) = service();
    let object = service.backup_restore();
    storage.put("/old", b"an older file".to_vec());
    for bits in [1, 2, 0x8000_0000] {
        fails(
            object.backup("/new", BackupRestoreFlags::from_bits_retain(bits)),
            INVALID_PARAMETER,
        );
        fails(
            object.backup("/old", BackupRestoreFlags::from_bits_retain(bits)),
            INVALID_PARAMETER,
        );
    }
    storage.create_dir(Path::new("/directory")).unwrap();
    for path in [
        "",
        "/",
        "/directory",
        "/new/",
        "/r/OBJECTS.DATA",
        "/r/mapping1.map",
        "/r/cimrepo.lock",
    ] {
        fails(object.backup(path, NONE), INVALID_PARAMETER);
    }
    let forensic = BackupOptions {
        forensic: true,
        ..BackupOptions::default()
    };
    fails(
        object.backup_with("/new", NONE, &forensic, &Unobserved),
        INVALID_PARAMETER,
    );
    let parent = object.backup("/not there/new", NONE).unwrap_err();
    assert_eq!(parent.hresult(), HResult::PATH_NOT_FOUND, "{parent}");
    let long = format!("/{}/x", "very long ".repeat(5000));
    assert!(object.backup(long, NONE).unwrap_err().hresult().0 & 0x8000_0000 != 0);
    assert_eq!(service.activity().backups, 0, "on every way out");
    assert_eq!(storage.get("/old").unwrap(), b"an older file");
    assert_eq!(storage.get("/new"), None);
    let left: Vec<String> = storage
        .read_dir(Path::new("/"))
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert!(
        !left.iter().any(|name| name.contains("partial")),
        "{left:?}"
    );
}

#[test]
fn an_older_backup_is_replaced_by_a_whole_one_or_stays() {
    let (storage, service) = service();
    let object = service.backup_restore();
    object.backup("/b", NONE).unwrap();
    let old = storage.get("/b").unwrap();
    put(&service.connect().unwrap(), "NEW", 30_000).unwrap();
    let stop = |_: cimrepo::base::progress::Progress| std::ops::ControlFlow::Break(());
    let stopped = object.backup_with("/b", NONE, &BackupOptions::default(), &stop);
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(storage.get("/b").unwrap(), old);
    assert_eq!(service.activity().backups, 0);
    object.backup("/b", NONE).unwrap();
    assert_eq!(elsewhere(&storage, "/b"), ["FIRST", "NEW"]);
    let path = PathBuf::from(PLACE).join("back.x");
    object.backup(&path, NONE).unwrap();
    assert_eq!(
        elsewhere(&storage, "/r/back.x"),
        ["FIRST", "NEW"],
        "inside the directory of the repository"
    );
    read(&copy(&storage));
}

#[test]
fn eight_backups_to_one_file_queue() {
    let (storage, service) = service();
    let (connection, other) = (service.connect().unwrap(), service.clone());
    (0..10).for_each(|number| put(&connection, &format!("N{number}"), 30_000).unwrap());
    let expected = names(&service.snapshot().unwrap());
    thread::scope(|scope| {
        let backups: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| other.backup_restore().backup("/b", NONE).map(drop)))
            .collect();
        backups
            .into_iter()
            .for_each(|backup| backup.join().unwrap().unwrap());
    });
    assert_eq!(elsewhere(&storage, "/b"), expected);
    // One that another process holds up is given up at the limit, and when it is cancelled.
    let _lock = storage
        .lock(Path::new("/b.cimrepo.lock"), "process 4711 (backup)")
        .unwrap();
    let options = |wait| BackupOptions {
        wait: Some(wait),
        ..BackupOptions::default()
    };
    let object = service.backup_restore();
    let start = Instant::now();
    let error = object
        .backup_with("/b", NONE, &options(Duration::from_millis(50)), &Unobserved)
        .unwrap_err();
    assert!(
        matches!(error, Error::Locked { .. }) && start.elapsed() >= Duration::from_millis(50),
        "{error}"
    );
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let stop = |_| match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0..3 => std::ops::ControlFlow::Continue(()),
        _ => std::ops::ControlFlow::Break(()),
    };
    let error = object
        .backup_with("/b", NONE, &options(Duration::from_secs(60)), &stop)
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert_eq!(elsewhere(&storage, "/b"), expected);
}

#[test]
fn a_backup_replaces_a_backup_and_nothing_else() {
    let (storage, service) = service();
    let object = service.backup_restore();
    storage.put("/letter", b"a letter".to_vec());
    storage.put("/empty", Vec::new());
    let error = object.backup("/letter", NONE).unwrap_err();
    assert_eq!(error.hresult(), HResult::INVALID_PARAMETER, "{error}");
    assert_eq!(storage.get("/letter").as_deref(), Some(&b"a letter"[..]));
    for target in ["/empty", "/empty", "/new"] {
        object.backup(target, NONE).unwrap();
        assert_eq!(elsewhere(&storage, target), ["FIRST"]);
    }
    let overwrite = BackupOptions {
        overwrite: true,
        ..BackupOptions::default()
    };
    object
        .backup_with("/letter", NONE, &overwrite, &Unobserved)
        .unwrap();
    assert_eq!(elsewhere(&storage, "/letter"), ["FIRST"]);
}

#[test]
fn an_incremental_backup_of_a_live_repository() {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    put(&connection, "OLD", 100_000).unwrap();
    let object = service.backup_restore();
    object.backup("/full", NONE).unwrap();
    put(&connection, "NEW", 100).unwrap();
    let options = BackupOptions {
        base: Some("/full".into()),
        ..BackupOptions::default()
    };
    let summary = object
        .backup_with("/next", NONE, &options, &Unobserved)
        .unwrap();
    assert!(summary.pages < summary.pages_in_base, "{summary:?}");
    assert_eq!(elsewhere(&storage, "/next"), ["FIRST", "NEW", "OLD"]);
    // The base was replaced by another file of the same name: refused, before anyone is
    // disconnected.
    object.backup("/full", NONE).unwrap();
    fails(object.restore("/next", FORCE), CRITICAL_ERROR);
    assert!(!connection.is_broken());
}

#[test]
fn anyone_may_back_up_while_paused() {
    let (storage, service) = service();
    put(&service.connect().unwrap(), "N", 10_000).unwrap();
    let (pauser, other) = (service.backup_restore(), service.backup_restore());
    pauser.pause().unwrap();
    let before = files(&storage);
    for (object, file) in [(&pauser, "/own"), (&other, "/others")] {
        object.backup(file, NONE).unwrap();
        assert_eq!(elsewhere(&storage, file), ["FIRST", "N"]);
    }
    assert_eq!(files(&storage), before);
    assert_eq!(service.activity().paused_by, Some(pauser.owner()));
    pauser.resume().unwrap();
}

/// Pages of both data files.
fn pages(storage: &MemStorage) -> u64 {
    let len = |name: &str| storage.get(Path::new(PLACE).join(name)).unwrap().len();
    ((len("OBJECTS.DATA") + len("INDEX.BTR")) / PAGE_SIZE) as u64
}

/// Changes every page many times over, with a checkpoint each time; gives the pages of the files at
/// the end.
fn churn(storage: &MemStorage, service: &Service, rounds: usize) -> u64 {
    let connection = service.connect().unwrap();
    for round in 0..rounds {
        let mut transaction = connection.begin_write().unwrap();
        for number in 0..20 {
            let key = transaction
                .find(format!("NS_0\\N{number:02}.").as_bytes())
                .unwrap()
                .unwrap();
            let record = cimrepo::format::index::key::reference(key.as_bytes())
                .unwrap()
                .unwrap();
            transaction.remove_key(key.as_bytes()).unwrap();
            transaction.remove_record(record).unwrap();
            let record = transaction
                .insert_record(&vec![u8::try_from(round % 250).unwrap(); 12_000])
                .unwrap();
            transaction
                .insert_key(format!("NS_0\\N{number:02}.{record}").as_bytes())
                .unwrap();
        }
        transaction.commit().unwrap();
        service.checkpoint().unwrap();
    }
    pages(storage)
}

#[test]
fn a_repository_grows_by_no_more_than_a_backup_holds() {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    (0..20).for_each(|number| put(&connection, &format!("N{number:02}"), 12_000).unwrap());
    drop(connection);
    // What churning costs without a backup: the pages of the generations that must stay.
    let settled = churn(&storage, &service, 40);
    assert_eq!(
        churn(&storage, &service, 40),
        settled,
        "without a backup it does not grow"
    );
    let mapped: u64 = Space::ALL
        .into_iter()
        .map(|space| {
            u64::from(
                service
                    .snapshot()
                    .unwrap()
                    .mapping()
                    .section(space)
                    .mapped_count(),
            )
        })
        .sum();
    let grown = std::sync::atomic::AtomicU64::new(0);
    let act = || {
        let first = churn(&storage, &service, 40);
        let second = churn(&storage, &service, 40);
        assert_eq!(first, second, "a longer backup costs no more");
        grown.store(second, std::sync::atomic::Ordering::SeqCst);
    };
    let observer = At::new(Phase::Backup, &act);
    service
        .backup_restore()
        .backup_with("/b", NONE, &BackupOptions::default(), &observer)
        .unwrap();
    assert!(observer.was_there());
    let grown = grown.into_inner();
    assert!(
        grown <= settled + mapped,
        "{settled} pages grew to {grown}; the backup holds {mapped}"
    );
    println!(
        "{settled} pages without a backup, {grown} with one of {mapped} pages, however long it \
            takes"
    );
    assert_eq!(elsewhere(&storage, "/b").len(), 21);
    assert_eq!(
        churn(&storage, &service, 40),
        grown,
        "afterwards the pages are used again"
    );
}

#[test]
fn backups_by_many_objects_at_once() {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    put(&connection, "N", 50_000).unwrap();
    thread::scope(|scope| {
        for number in 0..4 {
            let service = &service;
            scope.spawn(move || {
                service
                    .backup_restore()
                    .backup(format!("/b{number}"), NONE)
                    .unwrap()
            });
        }
        (0..20).for_each(|number| put(&connection, &format!("M{number}"), 100).unwrap());
    });
    for number in 0..4 {
        let held = elsewhere(&storage, &format!("/b{number}"));
        let expected = held.len() - 2;
        assert!(held.contains(&"N".to_owned()));
        // A prefix of the commits, whichever.
        (0..expected).for_each(|number| assert!(held.contains(&format!("M{number}")), "{held:?}"));
    }
}

/// A bound on the rate makes it last; nobody waits for it meanwhile.
#[test]
fn a_backup_with_a_rate_takes_its_time_and_no_one_waits_for_it() {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    (0..8).for_each(|number| put(&connection, &format!("OLD{number}"), 60_000).unwrap());
    service.checkpoint().unwrap();
    let before = names(&service.snapshot().unwrap());
    let snapshot = service.snapshot().unwrap();
    let pages: usize = Space::ALL
        .into_iter()
        .map(|space| snapshot.mapping().section(space).mapped().count())
        .sum();
    // One second for all pages.
    let rate = std::num::NonZeroU64::new(pages as u64 * PAGE_SIZE as u64);
    let options = BackupOptions {
        rate,
        ..BackupOptions::default()
    };
    let object = service.backup_restore();
    let start = Instant::now();
    let written = thread::scope(|scope| {
        let backup = scope.spawn(|| {
            object
                .backup_with("/b", NONE, &options, &Unobserved)
                .unwrap()
        });
        until("the backup", || service.activity().backups == 1);
        let mut written = 0;
        while service.activity().backups == 1 {
            put(&connection, "MEANWHILE", 500).unwrap();
            written += 1;
            thread::sleep(Duration::from_millis(5));
        }
        backup.join().unwrap();
        written
    });
    assert!(
        start.elapsed() >= Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    assert!(written > 5, "{written} commits meanwhile");
    assert_eq!(elsewhere(&storage, "/b"), before);
    // One that is stopped does not wait for what is due.
    let slow = BackupOptions {
        rate: std::num::NonZeroU64::MIN.into(),
        ..BackupOptions::default()
    };
    let stop = |_| std::ops::ControlFlow::Break(());
    assert!(matches!(
        object.backup_with("/c", NONE, &slow, &stop),
        Err(Error::Cancelled)
    ));
}

#[test]
fn a_repository_in_use_is_backed_up_into_a_directory_of_backups() {
    let (storage, service) = service();
    storage.create_dir(Path::new("/kept")).unwrap();
    let connection = service.connect().unwrap();
    let set = BackupSet::open_in(&Directory::new(Arc::new(storage.clone()), "/kept")).unwrap();
    let keep = std::num::NonZeroUsize::new(2);
    let options = SetOptions {
        keep,
        full_after: 2,
        ..SetOptions::default()
    };
    let object = service.backup_restore();
    let mut expected = Vec::new();
    for number in 0..5 {
        put(&connection, &format!("N{number}"), 2_000).unwrap();
        expected.push(names(&service.snapshot().unwrap()));
        let done = object.backup_into(&set, &options, &Unobserved).unwrap();
        assert_eq!(
            elsewhere(&storage, done.path.to_str().unwrap()),
            expected[number]
        );
    }
    let entries = set.entries().unwrap();
    assert_eq!(entries.len(), 2);
    for (entry, expected) in entries.iter().zip(&expected[3..]) {
        assert_eq!(elsewhere(&storage, entry.path.to_str().unwrap()), *expected);
        let other = service.backup_restore();
        other.restore(&entry.path, FORCE).unwrap();
        assert_eq!(names(&service.snapshot().unwrap()), *expected);
    }
}

//! Restoring over a repository in use.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cimrepo::backup::{Backup, OpenBackup};
use cimrepo::base::progress::{Observer, Phase, Progress};
use cimrepo::restore::Installed;
use cimrepo::service::{Caller, LiveRestoreOptions, Operation, Root};

use super::*;

const BACKUP: &str = "/monday.cimbak";

/// A service, with a backup of the state {FIRST, OLD} beside the repository, which holds {FIRST,
/// NEW, OLD}.
fn changed() -> (MemStorage, Service) {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    put(&connection, "OLD", 20_000).unwrap();
    service.backup_restore().backup(BACKUP, NONE).unwrap();
    put(&connection, "NEW", 30_000).unwrap();
    (storage, service)
}

fn current(service: &Service) -> Vec<String> {
    names(&service.snapshot().unwrap())
}

#[test]
fn the_flags_are_those_of_windows() {
    assert_eq!(BackupRestoreFlags::default().bits(), 0);
    assert_eq!(BackupRestoreFlags::FORCE_SHUTDOWN.bits(), 1);
    assert_eq!(BackupRestoreFlags::all().bits(), 1);
    let (_, service) = changed();
    let connection = service.connect().unwrap();
    let object = service.backup_restore();
    for bits in [2, 3, 4, 0x8000_0000, u32::MAX] {
        let flags = BackupRestoreFlags::from_bits_retain(bits);
        fails(object.restore(BACKUP, flags), INVALID_PARAMETER);
        assert_eq!(current(&service), ["FIRST", "NEW", "OLD"]);
        assert!(!connection.is_broken());
    }
    fails(object.restore("", FORCE), INVALID_PARAMETER);
    assert_eq!(service.activity().restoring, None);
}

#[test]
fn without_force_a_restore_is_refused_while_clients_are_connected() {
    let (_, service) = changed();
    let object = service.backup_restore();
    let (first, second) = (service.connect().unwrap(), service.connect().unwrap());
    let error = fails(object.restore(BACKUP, NONE), WINMGMT_RUNNING);
    assert!(matches!(error, Error::ConnectionsActive { count: 2 }));
    assert_eq!(
        (service.activity().connections, service.activity().restoring),
        (2, None)
    );
    assert_eq!(current(&service), ["FIRST", "NEW", "OLD"]);
    assert!(first.find(b"NS_0\\FIRST").unwrap().is_some());
    put(&second, "MORE", 10).unwrap();
    // What a client holds counts for it.
    drop(first);
    let mut keys = second.keys(KeyRange::all(), Direction::Forward).unwrap();
    drop(second);
    fails(object.restore(BACKUP, NONE), WINMGMT_RUNNING);
    assert!(keys.next().unwrap().is_ok());
    drop(keys);
    // A snapshot is no connection, nor is an object like this.
    let snapshot = service.snapshot().unwrap();
    let _other = service.backup_restore();
    object.restore(BACKUP, NONE).unwrap();
    assert_eq!(current(&service), ["FIRST", "OLD"]);
    assert_eq!(names(&snapshot), ["FIRST", "MORE", "NEW", "OLD"]);
}

#[test]
fn a_restore_by_force_breaks_every_connection_and_replaces_everything() {
    let (storage, service) = changed();
    let object = service.backup_restore();
    let (idle, reading) = (service.connect().unwrap(), service.connect().unwrap());
    let view = reading.view().unwrap();
    let mut enumeration = view.keys(KeyRange::all(), Direction::Forward);
    let mut records = view.records();
    assert!(enumeration.next().unwrap().is_ok() && records.next().unwrap().is_ok());
    let before = service.snapshot().unwrap();
    let summary = object.restore(BACKUP, FORCE).unwrap();
    let Installed::NextGeneration { generation } = summary.installed else {
        panic!("{summary:?}")
    };
    for connection in [&idle, &reading] {
        for _ in 0..2 {
            assert!(connection.is_broken());
            fails(connection.view(), DISCONNECTED);
            fails(connection.contains_key(b"NS_0\\FIRST"), DISCONNECTED);
            fails(
                connection.keys(KeyRange::all(), Direction::Forward),
                DISCONNECTED,
            );
            fails(connection.begin_write(), DISCONNECTED);
            fails(connection.try_begin_write(), DISCONNECTED);
        }
    }
    fails(view.find(b"NS_0"), DISCONNECTED);
    fails(enumeration.next().unwrap(), DISCONNECTED);
    assert!(enumeration.next().is_none());
    fails(records.next().unwrap(), DISCONNECTED);
    assert_eq!(
        names(&before),
        ["FIRST", "NEW", "OLD"],
        "a snapshot goes on showing what it shows"
    );
    // A new connection works, and sees what was restored: nothing was merged.
    let connection = service.connect().unwrap();
    let found = connection
        .keys(KeyRange::all(), Direction::Forward)
        .unwrap();
    let found: Vec<String> = found
        .map(|key| name_of_key(&key.unwrap().to_string()))
        .collect();
    assert_eq!(found, ["FIRST", "OLD"]);
    assert_eq!(service.activity().connections, 1);
    put(&connection, "AFTER", 5000).unwrap();
    assert_eq!(names(&before), ["FIRST", "NEW", "OLD"]);
    drop((
        connection,
        idle,
        reading,
        view,
        enumeration,
        records,
        before,
    ));
    assert_eq!(service.activity().connections, 0);
    service.close().unwrap();
    let directory = Directory::new(Arc::new(storage.clone()), PLACE);
    let snapshot = read(&directory);
    assert_eq!(names(&snapshot), ["AFTER", "FIRST", "OLD"]);
    assert!(snapshot.mapping().generation() > generation);
}

#[test]
fn what_is_restored_is_what_was_backed_up() {
    let (storage, service) = changed();
    let object = service.backup_restore();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let identity = |file: &str| {
        let backup: Backup = OpenBackup::new().open_in(&shared, file).unwrap();
        backup.info().content_identity
    };
    object.restore(BACKUP, FORCE).unwrap();
    object.backup("/again.cimbak", NONE).unwrap();
    assert_eq!(identity(BACKUP), identity("/again.cimbak"));
    assert_eq!(
        names(&read(&copy(&storage))),
        ["FIRST", "OLD"],
        "it is in the files when restore returns"
    );
    // Back and forth, with commits that only the journal holds.
    for round in 0..6 {
        let connection = service.connect().unwrap();
        put(&connection, &format!("ROUND{round}"), 9000 * round).unwrap();
        if round % 2 == 0 {
            service.checkpoint().unwrap();
        }
        object.restore(BACKUP, FORCE).unwrap();
        object.backup("/again.cimbak", NONE).unwrap();
        assert_eq!(identity(BACKUP), identity("/again.cimbak"), "round {round}");
        read(&copy(&storage));
    }
}

#[test]
fn a_client_that_keeps_a_transaction_does_not_hold_up_a_restore_by_force() {
    let (_, service) = changed();
    let object = service.backup_restore();
    let (stuck, waiting) = (service.connect().unwrap(), service.connect().unwrap());
    let mut transaction = stuck.begin_write().unwrap();
    transaction.insert_key(b"NS_0\\LOST").unwrap();
    let keys = transaction
        .keys(KeyRange::all(), Direction::Forward)
        .unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| waiting.begin_write().map(drop));
        until("the wait of the other", || {
            service.activity().waiting_writers == 1
        });
        object.restore(BACKUP, FORCE).unwrap();
        fails(waiter.join().unwrap(), DISCONNECTED);
    });
    fails(transaction.insert_key(b"NS_0\\MORE"), DISCONNECTED);
    fails(transaction.find(b"NS_0"), DISCONNECTED);
    fails(transaction.commit(), DISCONNECTED);
    let mut keys = keys;
    fails(keys.next().unwrap(), DISCONNECTED);
    assert_eq!(current(&service), ["FIRST", "OLD"]);
    put(&service.connect().unwrap(), "AFTER", 100).unwrap();
    assert_eq!(current(&service), ["AFTER", "FIRST", "OLD"]);
}

#[test]
fn everything_is_checked_before_anyone_is_disconnected() {
    let (storage, service) = changed();
    let object = service.backup_restore();
    let connection = service.connect().unwrap();
    let good = storage.get(BACKUP).unwrap();
    let mut bent = good.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    let mut newer = good.clone();
    newer[8] = 2;
    let crc = crc32fast::hash(&newer[..124]);
    newer[124..128].copy_from_slice(&crc.to_le_bytes());
    let cases: [(&str, &[u8], u32); 5] = [
        (
            "/foreign",
            b"this is no backup at all, whatever its name is",
            INVALID_PARAMETER,
        ),
        ("/empty", b"", INVALID_PARAMETER),
        ("/truncated", &good[..good.len() - 1], CRITICAL_ERROR),
        ("/bent", &bent, CRITICAL_ERROR),
        ("/newer", &newer, VER_MISMATCH),
    ];
    for (path, bytes, code) in cases {
        storage.put(path, bytes.to_vec());
        for flags in [NONE, FORCE] {
            let flags_code = if flags == NONE { WINMGMT_RUNNING } else { code };
            let error = fails(object.restore(path, flags), flags_code);
            assert_ne!(error.hresult(), HResult(ACCESS_DENIED));
            assert!(
                !connection.is_broken() && service.activity().restoring.is_none(),
                "{path}: {error}"
            );
            assert_eq!(current(&service), ["FIRST", "NEW", "OLD"]);
        }
    }
    let missing = object.restore("/not there", FORCE).unwrap_err();
    assert_eq!(missing.hresult(), HResult(0x8007_0002), "{missing}");
    let directory = object.restore(PLACE, FORCE).unwrap_err();
    assert!(directory.hresult().0 & 0x8000_0000 != 0, "{directory}");
    put(&connection, "STILL", 100).unwrap();
    assert!(connection.find(b"NS_0\\FIRST").unwrap().is_some());
    drop(connection);
    fails(object.restore("/bent", NONE), CRITICAL_ERROR);
    assert_eq!(current(&service), ["FIRST", "NEW", "OLD", "STILL"]);
}

#[test]
fn a_backup_inside_the_repository_directory_is_restored() {
    let (_, service) = service();
    let object = service.backup_restore();
    let path = PathBuf::from(PLACE).join("back.x");
    object.backup(&path, NONE).unwrap();
    for (number, flags) in [FORCE, NONE].into_iter().enumerate() {
        put(&service.connect().unwrap(), &format!("NEW{number}"), 100).unwrap();
        object.restore(&path, flags).unwrap();
        assert_eq!(current(&service), ["FIRST"]);
    }
}

/// Someone who watches, and does something in a phase, once.
pub(crate) struct At<'a> {
    phase: Phase,
    act: &'a (dyn Fn() + Sync),
    is_done: AtomicBool,
}

impl<'a> At<'a> {
    pub(crate) fn new(phase: Phase, act: &'a (dyn Fn() + Sync)) -> Self {
        Self {
            phase,
            act,
            is_done: AtomicBool::new(false),
        }
    }

    pub(crate) fn was_there(&self) -> bool {
        self.is_done.load(Ordering::SeqCst)
    }
}

impl Observer for At<'_> {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        if progress.phase == self.phase && !self.is_done.swap(true, Ordering::SeqCst) {
            (self.act)();
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn during_a_restore_nothing_else_begins() {
    let (_, service) = changed();
    let object = service.backup_restore();
    let other = service.backup_restore();
    let connection = service.connect().unwrap();
    for phase in [Phase::Verify, Phase::Restore] {
        let act = || {
            assert_eq!(service.activity().restoring, Some(object.owner()));
            for object in [&object, &other] {
                fails(object.pause(), INVALID_OPERATION);
                fails(object.try_pause(), INVALID_OPERATION);
                fails(object.backup("/other", NONE), INVALID_OPERATION);
                fails(object.restore(BACKUP, FORCE), INVALID_OPERATION);
                fails(object.resume(), INVALID_OPERATION);
            }
            if phase == Phase::Verify {
                // Checks disturb no one.
                put(&service.connect().unwrap(), "MEANWHILE", 10).unwrap();
                assert!(!connection.is_broken());
            } else {
                // A new connection waits for the new content; from here it would wait for itself.
                assert!(connection.is_broken());
                assert_eq!(service.activity().connections, 0);
                let limit = Some(Duration::from_millis(5));
                let connect = || service.connect_as(Arc::new(cimrepo::service::Trusted), limit);
                fails(connect(), INVALID_OPERATION);
                thread::scope(|scope| fails(scope.spawn(connect).join().unwrap(), TIMED_OUT));
            }
        };
        let observer = At::new(phase, &act);
        object
            .restore_with(BACKUP, FORCE, &LiveRestoreOptions::default(), &observer)
            .unwrap();
        assert!(observer.was_there());
        assert_eq!(current(&service), ["FIRST", "OLD"]);
        assert_eq!(service.activity().restoring, None);
    }
    other.try_pause().unwrap();
}

#[test]
fn a_client_that_connects_during_the_checks_refuses_a_restore_without_force() {
    let (_, service) = changed();
    let object = service.backup_restore();
    let come = parking_lot::Mutex::new(None);
    let act = || *come.lock() = Some(service.connect().unwrap());
    let observer = At::new(Phase::Verify, &act);
    fails(
        object.restore_with(BACKUP, NONE, &LiveRestoreOptions::default(), &observer),
        WINMGMT_RUNNING,
    );
    assert!(!come.lock().take().unwrap().is_broken());
    assert_eq!(current(&service), ["FIRST", "NEW", "OLD"]);
}

#[test]
fn one_who_connects_while_a_restore_switches_sees_the_new_content() {
    let (_, service) = changed();
    let object = service.backup_restore();
    thread::scope(|scope| {
        let early = parking_lot::Mutex::new(Vec::new());
        let act = || {
            let clients = (0..4).map(|_| {
                scope.spawn(|| {
                    let connection = service.connect().unwrap();
                    connection
                        .keys(KeyRange::all(), Direction::Forward)
                        .unwrap()
                        .count()
                })
            });
            early.lock().extend(clients);
        };
        object
            .restore_with(
                BACKUP,
                FORCE,
                &LiveRestoreOptions::default(),
                &At::new(Phase::Restore, &act),
            )
            .unwrap();
        let clients = std::mem::take(&mut *early.lock());
        assert_eq!(clients.len(), 4);
        clients
            .into_iter()
            .for_each(|client| assert_eq!(client.join().unwrap(), 2));
    });
}

#[test]
fn a_restore_while_paused_is_refused_for_everyone() {
    let (_, service) = changed();
    let (pauser, other) = (service.backup_restore(), service.backup_restore());
    let connection = service.connect().unwrap();
    pauser.pause().unwrap();
    for object in [&pauser, &other] {
        fails(object.restore(BACKUP, FORCE), INVALID_OPERATION);
        fails(object.restore(BACKUP, NONE), INVALID_OPERATION);
    }
    assert!(!connection.is_broken());
    assert_eq!(service.activity().paused_by, Some(pauser.owner()));
    pauser.resume().unwrap();
    other.restore(BACKUP, FORCE).unwrap();
}

#[test]
fn a_restore_that_is_cancelled_leaves_the_old_content() {
    let (storage, service) = changed();
    let object = service.backup_restore();
    for phase in [Phase::Verify, Phase::Restore] {
        let connection = service.connect().unwrap();
        let stop = move |progress: Progress| {
            if progress.phase == phase {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let result = object.restore_with(BACKUP, FORCE, &LiveRestoreOptions::default(), &stop);
        assert!(matches!(result, Err(Error::Cancelled)));
        assert_eq!(connection.is_broken(), phase == Phase::Restore);
        assert_eq!(current(&service), ["FIRST", "NEW", "OLD"]);
        assert_eq!(service.activity().restoring, None);
    }
    put(&service.connect().unwrap(), "ON", 100).unwrap();
    service.backup_restore().pause().unwrap();
    assert_eq!(names(&read(&copy(&storage))), ["FIRST", "NEW", "OLD", "ON"]);
}

#[test]
fn a_damaged_page_of_the_live_repository_is_written_anew() {
    let (storage, directory) = place();
    let service = ServiceOptions::new()
        .engine(still().cache_pages(16))
        .open_in(&directory)
        .unwrap();
    let connection = service.connect().unwrap();
    put(&connection, "OLD", 20_000).unwrap();
    service.checkpoint().unwrap();
    let object = service.backup_restore();
    object.backup(BACKUP, NONE).unwrap();
    service.close().unwrap();
    // Damage every page of the object heap that is there.
    let data = PathBuf::from(PLACE).join("OBJECTS.DATA");
    let mut bytes = storage.get(&data).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    storage.put(&data, bytes);
    let service = ServiceOptions::new()
        .engine(still())
        .open_in(&directory)
        .unwrap();
    let summary = service.backup_restore().restore(BACKUP, NONE).unwrap();
    assert!(summary.pages_written > 0);
    assert_eq!(current(&service), ["FIRST", "OLD"]);
    service.close().unwrap();
    let repository = OpenOptions::new().open_in(&directory).unwrap();
    let report = verify(&repository, VerifyOptions::default(), &Unobserved).unwrap();
    assert!(report.is_consistent(), "{report:?}");
}

/// A dry run names the connections that a restore would cost, changes nothing and hinders no one;
/// it is refused where the restore would be.
#[test]
fn a_plan_names_the_connections_that_it_would_cost() {
    #[derive(Debug)]
    struct Named(&'static str);
    impl Caller for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn check(&self, _: Operation, _: &Root<'_>) -> Result<()> {
            Ok(())
        }
    }

    let (storage, directory) = place();
    let service = ServiceOptions::new()
        .engine(still())
        .open_in(&directory)
        .unwrap();
    let object = service.backup_restore();
    object.backup("/b", NONE).unwrap();
    let plan = |flags| {
        object.plan_restore(
            Path::new("/b"),
            flags,
            &LiveRestoreOptions::default(),
            &Unobserved,
        )
    };
    let connected = |flags| {
        let plan = plan(flags).unwrap();
        assert_eq!(names(&plan.replaced), ["FIRST"]);
        let clients = plan
            .connections
            .iter()
            .map(|client| client.name().to_owned());
        (clients.collect::<Vec<_>>(), plan.is_refused)
    };
    assert_eq!(connected(NONE), (vec![], false));
    let clients = ["one", "two"].map(|name| service.connect_as(Arc::new(Named(name)), None));
    let both = vec!["one".to_owned(), "two".to_owned()];
    let before = files(&storage);
    assert_eq!(connected(NONE), (both.clone(), true));
    assert_eq!(connected(FORCE), (both, false));
    assert!(files(&storage) == before, "nothing is written");
    for client in &clients {
        client.as_ref().unwrap().view().unwrap();
    }
    assert_eq!(service.activity().restoring, None);

    let other = service.backup_restore();
    other.pause().unwrap();
    assert!(matches!(plan(FORCE), Err(Error::InvalidOperation(_))));
    other.resume().unwrap();
    storage.put("/b", b"no backup".to_vec());
    assert!(matches!(plan(FORCE), Err(Error::Backup { .. })));
    fails(
        plan(BackupRestoreFlags::from_bits_retain(2)).map(drop),
        INVALID_PARAMETER,
    );
    drop(clients);
}

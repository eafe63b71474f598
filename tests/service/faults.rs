//! A call fails, the disk is full, or the power is lost, at every I/O step of a pause, a backup and
//! a restore of a repository in use. What the simulated disk cannot show is listed in
//! `cimrepo::storage::sim`.

use std::num::NonZeroUsize;

use cimrepo::backup::{BackupOptions, OpenBackup};
use cimrepo::service::LiveRestoreOptions;
use cimrepo::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};

use super::*;

const BACKUP: &str = "/monday.cimbak";
const OLD: [&str; 3] = ["FIRST", "NEW", "OLD"];
const RESTORED: [&str; 2] = ["FIRST", "OLD"];

fn at(disk: &SimStorage) -> Directory {
    Directory::new(Arc::new(disk.clone()), PLACE)
}

fn open(disk: &SimStorage) -> Service {
    ServiceOptions::new()
        .engine(still())
        .open_in(&at(disk))
        .unwrap()
}

/// A disk with a repository of the state `OLD`, whose last commit is in the journal alone, and a
/// backup of `RESTORED`.
fn start() -> SimStorage {
    let disk = SimStorage::new();
    found(&disk, &at(&disk));
    let service = open(&disk);
    let connection = service.connect().unwrap();
    put(&connection, "OLD", 9_000).unwrap();
    service.checkpoint().unwrap();
    service.backup_restore().backup(BACKUP, NONE).unwrap();
    put(&connection, "NEW", 9_000).unwrap();
    // Someone pulls the plug; everything had reached the disk.
    disk.crash(CrashPolicy::KeepAll)
}

fn current(service: &Service) -> Vec<String> {
    names(&service.snapshot().unwrap())
}

/// What the engine finds when it opens the disk; it verifies.
fn reopened(disk: &SimStorage) -> Vec<String> {
    let service = open(disk);
    let found = current(&service);
    put(&service.connect().unwrap(), "ON", 300).unwrap();
    service.close().unwrap();
    assert_eq!(names(&read(&at(disk))).len(), found.len() + 1);
    found
}

/// Does something on a disk that strikes at each of its steps in turn; `check` gets the service,
/// what came out and the disk. Gives how many steps there were.
fn strike<T>(
    start: &SimStorage,
    fault: Fault,
    persists: bool,
    act: impl Fn(&Service) -> Result<T>,
    check: impl Fn(&Service, Result<T>, &SimStorage),
) -> u64 {
    for step in 0.. {
        let disk = start.crash(CrashPolicy::KeepAll);
        let service = open(&disk);
        let first = disk.operations();
        let plan = if persists {
            FaultPlan::from(first + step, fault)
        } else {
            FaultPlan::once(first + step, fault)
        };
        disk.set_plan(plan);
        let result = act(&service);
        let struck = disk.faults_struck() > 0;
        let is_last = disk.operations() <= first + step;
        disk.set_plan(FaultPlan::none());
        if let (false, Err(error)) = (struck, &result) {
            panic!("nothing struck, and yet: {error}");
        }
        check(&service, result, &disk);
        if is_last {
            return step;
        }
    }
    0
}

#[test]
fn a_pause_that_cannot_bring_the_state_to_the_files_fails_and_leaves_the_gate_open() {
    for (fault, persists) in [
        (Fault::NoSpace, true),
        (Fault::NoSpace, false),
        (Fault::Io, false),
    ] {
        let pause = |service: &Service| {
            let object = service.backup_restore();
            object.pause().map(|_| object)
        };
        let steps = strike(&start(), fault, persists, pause, |service, result, disk| {
            let connection = service.connect().unwrap();
            match result {
                Ok(object) => {
                    assert_eq!(service.activity().paused_by, Some(object.owner()));
                    assert_eq!(names(&read(&at(&disk.crash(CrashPolicy::DropAll)))), OLD);
                    assert!(matches!(connection.try_begin_write(), Err(Error::Busy)));
                    object.resume().unwrap();
                }
                Err(error) => {
                    assert!(error.hresult().0 & 0x8000_0000 != 0);
                    assert_eq!(service.activity().paused_by, None, "{error}");
                }
            }
            // Who writes is let in; whether writing still works is another matter.
            match connection.try_begin_write() {
                Ok(transaction) => drop(transaction),
                Err(error) => assert!(
                    fault == Fault::Io && matches!(error, Error::Poisoned(_)),
                    "{fault:?}: {error}"
                ),
            }
            assert_eq!(reopened(&disk.crash(CrashPolicy::KeepAll)), OLD);
        });
        assert!(steps > 10, "{fault:?}: {steps}");
        println!("pause, {fault:?}, lasting {persists}: {steps} steps");
    }
}

fn restore(service: &Service) -> Result<()> {
    let options = LiveRestoreOptions {
        threads: NonZeroUsize::new(1),
        ..LiveRestoreOptions::default()
    };
    let restored = service
        .backup_restore()
        .restore_with(BACKUP, FORCE, &options, &Unobserved);
    restored.map(drop)
}

#[test]
fn a_restore_that_fails_at_any_step_leaves_the_old_content() {
    for (fault, persists) in [
        (Fault::NoSpace, true),
        (Fault::NoSpace, false),
        (Fault::Io, false),
    ] {
        let steps = strike(
            &start(),
            fault,
            persists,
            restore,
            |service, result, disk| {
                assert_eq!(service.activity().restoring, None);
                let left = reopened(&disk.crash(CrashPolicy::KeepAll));
                match &result {
                    Ok(()) => assert_eq!(
                        (current(service), left),
                        (
                            RESTORED.map(str::to_owned).to_vec(),
                            RESTORED.map(str::to_owned).to_vec()
                        )
                    ),
                    Err(Error::Unconfirmed { .. }) => {
                        assert!(left == OLD || left == RESTORED, "{left:?}")
                    }
                    Err(error) => {
                        // A mapping that may have been written in part is the one thing that is not
                        // known.
                        let is_known = fault == Fault::NoSpace || left == OLD;
                        assert!(is_known, "{fault:?}: {error}: {left:?}");
                        assert_eq!(current(service), OLD, "{error}");
                        if fault == Fault::NoSpace {
                            assert_eq!(left, OLD, "{error}");
                        }
                    }
                }
                // New connections work, and read.
                let connection = service.connect().unwrap();
                assert!(connection.find(b"NS_0\\FIRST").unwrap().is_some());
                match put(&connection, "ON", 100) {
                    Ok(()) => {}
                    Err(error) => {
                        assert!(
                            fault == Fault::Io && matches!(error, Error::Poisoned(_)),
                            "{result:?}: {error}"
                        );
                    }
                }
            },
        );
        assert!(steps > 15, "{steps}");
        println!("restore, {fault:?}, lasting {persists}: {steps} steps");
    }
}

#[test]
fn a_loss_of_power_during_a_restore_leaves_the_old_content_or_the_new() {
    let mut images = 0_u32;
    let mut seen = [0_u32; 2];
    let images_and_seen = parking_lot::Mutex::new((&mut images, &mut seen));
    let steps = strike(&start(), Fault::PowerOff, true, restore, |_, _, disk| {
        let policies = [CrashPolicy::DropAll, CrashPolicy::KeepAll]
            .into_iter()
            .chain((0..6).map(CrashPolicy::Seeded));
        for policy in policies {
            let left = reopened(&disk.crash(policy));
            let mut counts = images_and_seen.lock();
            *counts.0 += 1;
            if left == OLD {
                counts.1[0] += 1;
            } else {
                assert_eq!(left, RESTORED);
                counts.1[1] += 1;
            }
        }
    });
    assert!(steps > 15 && seen[0] > 0 && seen[1] > 0, "{seen:?}");
    println!(
        "restore, power lost at {steps} steps: {images} images, {} old and {} new",
        seen[0], seen[1]
    );
}

#[test]
fn a_loss_of_power_while_paused_leaves_what_was_acknowledged() {
    let disk = start();
    let service = open(&disk);
    let object = service.backup_restore();
    object.pause().unwrap();
    for policy in [
        CrashPolicy::DropAll,
        CrashPolicy::KeepAll,
        CrashPolicy::Seeded(1),
    ] {
        assert_eq!(reopened(&disk.crash(policy)), OLD);
    }
    assert_eq!(
        disk.unsynced_log()
            .iter()
            .filter(|line| !line.contains("journal") && !line.contains("lock"))
            .count(),
        0
    );
}

#[test]
fn a_backup_that_fails_at_any_step_leaves_the_older_one_and_the_repository() {
    let start = start();
    let older = start.get(BACKUP).unwrap();
    let back_up = |service: &Service| {
        let options = BackupOptions {
            threads: NonZeroUsize::new(1),
            ..BackupOptions::default()
        };
        service
            .backup_restore()
            .backup_with(BACKUP, NONE, &options, &Unobserved)
            .map(drop)
    };
    for (fault, persists) in [
        (Fault::NoSpace, true),
        (Fault::NoSpace, false),
        (Fault::Io, false),
    ] {
        let steps = strike(&start, fault, persists, back_up, |service, result, disk| {
            assert_eq!(service.activity().backups, 0);
            let file = disk.get(BACKUP).unwrap();
            match result {
                Ok(()) | Err(Error::Unconfirmed { .. }) => {
                    let shared: Arc<dyn Storage> = Arc::new(disk.clone());
                    let backup = OpenBackup::new().open_in(&shared, BACKUP).unwrap();
                    assert_eq!(names(&backup.snapshot()), OLD);
                }
                Err(error) => {
                    assert_eq!(file, older, "{error}");
                    if persists {
                        assert_eq!(error.hresult(), HResult(0x8004_103B), "{error}");
                    }
                }
            }
            // The repository has no part in it.
            put(&service.connect().unwrap(), "ON", 100).unwrap();
            assert_eq!(current(service).len(), 4);
        });
        assert!(steps > 10, "{steps}");
        println!("backup, {fault:?}, lasting {persists}: {steps} steps");
    }
    for policy in (0..4).map(CrashPolicy::Seeded) {
        strike(&start, Fault::PowerOff, true, back_up, |_, _, disk| {
            let image = disk.crash(policy);
            let shared: Arc<dyn Storage> = Arc::new(image.clone());
            let backup = OpenBackup::new().open_in(&shared, BACKUP).unwrap();
            let held = names(&backup.snapshot());
            assert!(held == OLD || held == RESTORED, "{held:?}");
            assert_eq!(reopened(&image), OLD);
        });
    }
}

/// Whether a pause that fails at this call of its own leaves the engine unable to write.
fn ends_writing(call: u64) -> bool {
    let disk = start();
    let service = open(&disk);
    let connection = service.connect().unwrap();
    disk.set_plan(FaultPlan::once(disk.operations() + call, Fault::Io));
    let has_failed = service.backup_restore().pause().is_err();
    disk.set_plan(FaultPlan::none());
    has_failed && matches!(put(&connection, "ON", 10), Err(Error::Poisoned(_)))
}

#[test]
fn an_engine_that_can_write_no_more_disconnects_no_one() {
    let call = (0..200).find(|&call| ends_writing(call)).unwrap();
    let disk = start();
    let service = open(&disk);
    let connection = service.connect().unwrap();
    let object = service.backup_restore();
    disk.set_plan(FaultPlan::once(disk.operations() + call, Fault::Io));
    object.pause().unwrap_err();
    disk.set_plan(FaultPlan::none());
    assert!(matches!(
        put(&connection, "ON", 10),
        Err(Error::Poisoned(_))
    ));
    assert!(matches!(object.pause(), Err(Error::Poisoned(_))));
    assert!(matches!(
        object.restore(BACKUP, FORCE),
        Err(Error::Poisoned(_))
    ));
    assert!(!connection.is_broken());
    assert!(connection.find(b"NS_0\\OLD").unwrap().is_some());
    // What can be read can be backed up, elsewhere if need be.
    object.backup("/rescue", NONE).unwrap();
    assert_eq!(service.activity().paused_by, None);
}

//! Files that no one has to have open.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use cimrepo::backup::OpenBackup;
use cimrepo::service::{BackupAndRestore, ObjectOptions, Standby, StandbyObject, Trusted};
use cimrepo::store::Engine;

use super::*;

fn object(standby: &Standby) -> StandbyObject {
    standby.backup_restore_as(Arc::new(Trusted))
}

fn names_in_backup(storage: &MemStorage, file: &str) -> Vec<String> {
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    names(&OpenBackup::new().open_in(&shared, file).unwrap().snapshot())
}

fn add(engine: &Engine, name: &str) {
    let mut transaction = engine.begin_write().unwrap();
    transaction
        .insert_key(format!("NS_0\\{name}").as_bytes())
        .unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_journal_that_waits_is_in_the_backup() {
    let (storage, directory) = place();
    let engine = still().open_in(&directory).unwrap();
    (0..5).for_each(|number| add(&engine, &format!("K{number}")));
    // Beside the process that has it open, and after that has died.
    let standby = Standby::with_lease(&directory, Duration::from_secs(20));
    object(&standby)
        .back_up_to(Path::new("/b"), NONE, &Unobserved)
        .unwrap();
    assert_eq!(
        names_in_backup(&storage, "/b"),
        ["FIRST", "K0", "K1", "K2", "K3", "K4"]
    );
    let died = copy(&storage);
    let standby = Standby::with_lease(&died, Duration::from_secs(20));
    object(&standby)
        .back_up_to(Path::new("/b"), NONE, &Unobserved)
        .unwrap();
    let shared = died.storage.clone();
    let backup = OpenBackup::new().open_in(&shared, "/b").unwrap();
    assert_eq!(names(&backup.snapshot()).len(), 6);
}

/// Another process commits and makes checkpoints as fast as it can.
#[test]
fn a_backup_beside_a_process_that_writes_begins_again() {
    let (storage, directory) = place();
    let engine = still().open_in(&directory).unwrap();
    (0..200).for_each(|number| add(&engine, &format!("K{number:03}")));
    let standby = Standby::with_lease(&directory, Duration::from_secs(20));
    let (is_over, commits) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let number = commits.fetch_add(1, Ordering::Relaxed);
                add(&engine, &format!("W{number:06}"));
                engine.checkpoint().unwrap();
                thread::sleep(Duration::from_millis(2));
            }
        });
        let object = object(&standby);
        for round in 0..40 {
            let result = object.back_up_to(Path::new("/b"), NONE, &Unobserved);
            assert!(result.is_ok(), "round {round}: {result:?}");
            assert!(names_in_backup(&storage, "/b").len() > 200);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!(
        "40 backups beside {} commits, each a generation",
        commits.into_inner()
    );
}

/// One that is overtaken each time is given up within the bound, and the older backup stays.
#[test]
fn a_backup_that_is_overtaken_each_time_is_given_up() {
    let (storage, directory) = place();
    let engine = still().open_in(&directory).unwrap();
    let standby = Standby::with_lease(&directory, Duration::from_secs(20));
    let object = object(&standby);
    object
        .back_up_to(Path::new("/b"), NONE, &Unobserved)
        .unwrap();
    let older = storage.get("/b").unwrap();
    let tries = AtomicUsize::new(0);
    let overtake = |progress: cimrepo::base::progress::Progress| {
        if progress.done == 0 && progress.phase == cimrepo::base::progress::Phase::Backup {
            let number = tries.fetch_add(1, Ordering::Relaxed);
            for generation in 0..4 {
                add(&engine, &format!("T{number:03}{generation}"));
                engine.checkpoint().unwrap();
            }
        }
        std::ops::ControlFlow::Continue(())
    };
    let error = object
        .back_up_to(Path::new("/b"), NONE, &overtake)
        .unwrap_err();
    assert!(matches!(error, Error::Overtaken { .. }), "{error}");
    assert_eq!(error.hresult(), HResult(INVALID_OPERATION));
    // It is called several times before the first page, each time it begins.
    assert!((8..8 * 8).contains(&tries.into_inner()));
    assert!(storage.get("/b").unwrap() == older && standby.activity().backups == 0);
}

/// A repository of dialect 2.1 is locked, and nothing in it is touched.
#[test]
fn a_pause_of_the_older_dialect_is_a_lock() {
    let storage = MemStorage::new();
    for (name, bytes) in support::small::small_v21() {
        storage.put(format!("{PLACE}/{name}"), bytes);
    }
    let directory = Directory::new(Arc::new(storage.clone()), PLACE);
    let before = files(&storage);
    let standby = Standby::with_lease(&directory, Duration::from_secs(20));
    let (owner, other) = (object(&standby), object(&standby));
    owner.pause_now().unwrap();
    assert!(matches!(
        still().open_in(&directory),
        Err(Error::Locked { .. })
    ));
    fails(other.pause_now(), INVALID_OPERATION);
    other
        .back_up_to(Path::new("/b"), NONE, &Unobserved)
        .unwrap();
    fails(
        other.restore_from(Path::new("/b"), NONE, &Unobserved),
        INVALID_OPERATION,
    );
    let copied: Vec<_> = files(&storage)
        .into_iter()
        .filter(|(name, _)| name != "cimrepo.lock")
        .collect();
    assert_eq!(copied, before);
    owner.end_pause().unwrap();
    assert_eq!(files(&storage), before);
    assert!(matches!(
        still().open_in(&directory),
        Err(Error::Unsupported(_))
    ));
    other.pause_now().unwrap();
    drop(other);
    assert_eq!(files(&storage), before, "released");
}

/// The waiting form waits for another object and for another process, as long as it may.
#[test]
fn a_pause_may_wait() {
    let (_, directory) = place();
    let standby = Standby::with_options(
        &directory,
        ObjectOptions::new()
            .lease(Duration::from_secs(20))
            .limit(Duration::from_millis(40)),
    );
    let (first, second) = (object(&standby), object(&standby));
    first.pause().unwrap();
    fails(second.pause(), TIMED_OUT);
    fails(second.pause_within(Duration::from_millis(10)), TIMED_OUT);
    thread::scope(|scope| {
        let waits = scope.spawn(|| second.pause_within(Duration::from_secs(60)));
        until("the wait", || standby.activity().waiting_pauses == 1);
        first.resume().unwrap();
        waits.join().unwrap().unwrap();
    });
    assert_eq!(standby.activity().paused_by, Some(second.owner()));
    assert!(matches!(
        still().open_in(&directory),
        Err(Error::Locked { .. })
    ));
    second.resume().unwrap();
    // Another process has it open.
    let engine = still().open_in(&directory).unwrap();
    let start = Instant::now();
    assert!(matches!(first.try_pause(), Err(Error::Locked { .. })));
    assert!(matches!(first.pause(), Err(Error::Locked { .. })));
    assert!(start.elapsed() >= Duration::from_millis(40));
    assert_eq!(
        standby.activity(),
        cimrepo::store::Activity::default(),
        "nothing is left of what failed"
    );
    thread::scope(|scope| {
        let waits = scope.spawn(|| first.pause_within(Duration::from_secs(60)));
        thread::sleep(Duration::from_millis(30));
        // Meanwhile a call that does not wait is told that another is about to pause.
        let told = second.try_pause().unwrap_err();
        assert_eq!(told.hresult(), HResult(INVALID_OPERATION));
        engine.close().unwrap();
        waits.join().unwrap().unwrap();
    });
    first.resume().unwrap();
    // A lease gives the lock back whatever its owner does.
    let standby = Standby::with_lease(&directory, Duration::from_millis(20));
    let owner = object(&standby);
    owner.pause().unwrap();
    until("the lock", || still().open_in(&directory).is_ok());
    fails(owner.resume(), INVALID_OPERATION);
}

/// A process that ends within the limit hinders neither a pause that does not wait for other
/// objects nor a restore; one that stays is waited for no longer than that.
#[test]
fn another_process_is_waited_for_where_that_is_asked_for() {
    type Call<'c> = &'c (dyn Fn(&StandbyObject) -> Result<()> + Sync);

    let (_, directory) = place();
    let object_within = |limit| {
        let options = ObjectOptions::new().lock_limit(limit);
        Standby::with_options(&directory, options).backup_restore_as(Arc::new(Trusted))
    };
    let (impatient, patient) = (
        object_within(Duration::from_millis(40)),
        object_within(Duration::from_secs(60)),
    );
    let target = Path::new("/b");
    impatient.back_up_to(target, NONE, &Unobserved).unwrap();
    let engine = still().open_in(&directory).unwrap();
    let calls: [Call<'_>; 2] = [
        &|object| object.pause_now().and_then(|()| object.end_pause()),
        &|object| object.restore_from(target, NONE, &Unobserved),
    ];
    for call in calls {
        let start = Instant::now();
        assert!(matches!(call(&impatient), Err(Error::Locked { .. })));
        assert!(start.elapsed() >= Duration::from_millis(40));
    }
    engine.close().unwrap();
    for call in calls {
        let engine = still().open_in(&directory).unwrap();
        thread::scope(|scope| {
            let waits = scope.spawn(|| call(&patient));
            thread::sleep(Duration::from_millis(60));
            assert!(!waits.is_finished(), "it waits");
            engine.close().unwrap();
            waits.join().unwrap().unwrap();
        });
    }
}

/// Two `Standby`s of one place, as two processes are, and 8 threads that do everything, in memory;
/// the state stays whole and no lock stays. 1 s in the ordinary tests; CIMREPO_STANDBY_SECONDS says
/// longer.
#[test]
fn two_of_them_and_eight_threads() {
    let (_, directory) = place();
    eight_threads(&directory, &|name| Path::new("/").join(name));
}

/// The same with files and the locks of the system.
#[test]
fn two_of_them_and_eight_threads_on_disk() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::real(place.path().join("r"));
    std::fs::create_dir(&directory.path).unwrap();
    let mut builder = BulkBuilder::create_seeded(directory.clone(), 1).unwrap();
    let record = builder.record(b"the first").unwrap();
    builder.key(b"NS_0\\FIRST", Some(record)).unwrap();
    builder.finish().unwrap();
    eight_threads(&directory, &|name| place.path().join(name));
    // Of what was written beside it only whole backups are left.
    let entries = std::fs::read_dir(place.path()).unwrap();
    for name in entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        assert!(
            ["r", "good"].contains(&name.as_str())
                || name
                    .strip_prefix('b')
                    .is_some_and(|number| number.len() == 1),
            "{name}"
        );
    }
}

fn eight_threads(directory: &Directory, at: &(dyn Fn(&str) -> PathBuf + Sync)) {
    let seconds = std::env::var("CIMREPO_STANDBY_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let standbys = [(); 2].map(|()| {
        Standby::with_options(
            directory,
            ObjectOptions::new()
                .lease(Duration::from_millis(15))
                .limit(Duration::from_millis(5)),
        )
    });
    object(&standbys[0])
        .back_up_to(&at("good"), NONE, &Unobserved)
        .unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    let done: Vec<AtomicUsize> = (0..5).map(|_| AtomicUsize::new(0)).collect();
    let is_each_done = || done.iter().all(|count| count.load(Ordering::Relaxed) > 0);
    // On a slow system one of them may not have had its turn by then.
    let last = end + Duration::from_secs(60);
    let is_over = || Instant::now() >= end && is_each_done() || Instant::now() >= last;
    thread::scope(|scope| {
        for number in 0..8_usize {
            let (standby, done, is_over) = (&standbys[number % 2], &done, &is_over);
            scope.spawn(move || {
                let target = at(&format!("b{number}"));
                let mut turn = number;
                while !is_over() {
                    let object = object(standby);
                    turn = turn
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let what = (turn >> 33) % 5;
                    let result = match what {
                        0 => object.back_up_to(&target, NONE, &Unobserved),
                        1 => object.restore_from(&at("good"), FORCE, &Unobserved),
                        2 => object.pause_now().and_then(|()| object.end_pause()),
                        3 => object
                            .pause()
                            .map(|_| thread::sleep(Duration::from_millis(1))),
                        _ => object
                            .pause_now()
                            .map(|()| thread::sleep(Duration::from_millis(16))),
                    };
                    match result {
                        Ok(()) => _ = done[what].fetch_add(1, Ordering::Relaxed),
                        Err(
                            Error::InvalidOperation(_)
                            | Error::Locked { .. }
                            | Error::Timeout { .. }
                            | Error::Overtaken { .. },
                        ) => {}
                        Err(error) => panic!("{what}: {error:?}"),
                    }
                }
            });
        }
    });
    assert!(is_each_done(), "{done:?}");
    println!("backups, restores, pauses resumed, released, run out: {done:?}");
    drop(standbys);
    assert_eq!(names(&read(directory)), ["FIRST"]);
    let left = directory.storage.read_dir(&directory.path).unwrap();
    assert!(
        !left
            .iter()
            .any(|entry| entry.name.contains("lock") || entry.name.contains("restoring")),
        "{left:?}"
    );
    still().open_in(directory).unwrap().close().unwrap();
}

//! Pause and resume.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cimrepo::base::moment::Moment;
use cimrepo::base::progress::Phase;
use cimrepo::service::{ObjectOptions, PauseOptions, ServiceOptions, pause_repository};
use cimrepo::storage::Directory;
use cimrepo::store::{Durability, Engine, EngineOptions};
use parking_lot::Mutex;

use super::restoring::At;
use super::*;

#[test]
fn a_pause_brings_every_acknowledged_commit_to_the_files() {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    let object = service.backup_restore();
    for (number, durability) in [
        Durability::Journal,
        Durability::None,
        Durability::Checkpoint,
        Durability::None,
    ]
    .into_iter()
    .enumerate()
    {
        let mut transaction = connection.begin_write().unwrap();
        transaction.set_durability(durability).unwrap();
        transaction
            .insert_key(format!("NS_0\\KEY{number}").as_bytes())
            .unwrap();
        transaction.commit().unwrap();
    }
    put(&connection, "LARGE", 40_000).unwrap();
    object.pause().unwrap();
    let acknowledged = names(&service.snapshot().unwrap());
    assert_eq!(
        acknowledged,
        ["FIRST", "KEY0", "KEY1", "KEY2", "KEY3", "LARGE"]
    );
    let copied = copy(&storage);
    assert_eq!(
        names(&read(&copied)),
        acknowledged,
        "a reader that knows of no journal"
    );
    assert!(
        !files(&storage)
            .iter()
            .any(|(name, _)| name.ends_with(".journal")),
        "the journal is folded"
    );
    let engine = still().open_in(&copied).unwrap();
    assert_eq!(
        names(&engine.snapshot()),
        acknowledged,
        "the engine takes over the copy"
    );
    object.resume().unwrap();
}

#[test]
fn while_paused_not_one_byte_of_the_directory_changes() {
    let (storage, directory) = place();
    // A checkpoint is due at every moment.
    let engine = EngineOptions::new().checkpoint_at(0, Duration::ZERO);
    let options = ServiceOptions::new()
        .engine(engine)
        .lease(Duration::from_secs(20));
    let service = options.open_in(&directory).unwrap();
    let connection = service.connect().unwrap();
    (0..20).for_each(|number| put(&connection, &format!("N{number:02}"), 3000).unwrap());
    let object = service.backup_restore();
    object.pause().unwrap();
    let before = files(&storage);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|number| {
                scope.spawn({
                    let service = &service;
                    move || put(&service.connect().unwrap(), &format!("W{number}"), 500)
                })
            })
            .collect();
        let compactor = scope.spawn(|| service.compact(&Unobserved));
        until("the wait of the writers", || {
            service.activity().waiting_writers == 4
        });
        // Reads, backups and calls for a checkpoint go on.
        assert!(connection.find(b"NS_0\\FIRST").unwrap().is_some());
        assert_eq!(
            connection
                .keys(KeyRange::all(), Direction::Forward)
                .unwrap()
                .count(),
            21
        );
        service.backup_restore().backup("/b", NONE).unwrap();
        service.checkpoint().unwrap();
        // Longer than the thread that makes checkpoints sleeps.
        thread::sleep(Duration::from_millis(500));
        assert_eq!(files(&storage), before);
        object.resume().unwrap();
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap().unwrap());
        compactor.join().unwrap().unwrap();
    });
    assert_eq!(
        names(&service.snapshot().unwrap()).len(),
        24,
        "who waited has written"
    );
    service.close().unwrap();
}

#[test]
fn writers_come_in_the_order_in_which_they_asked() {
    let (_, service) = service();
    let object = service.backup_restore();
    object.pause().unwrap();
    let order = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..8 {
            let (service, order) = (&service, &order);
            scope.spawn(move || {
                let transaction = service.connect().unwrap().begin_write().unwrap();
                order.lock().push(number);
                drop(transaction);
            });
            until("the next in line", || {
                service.activity().waiting_writers == number + 1
            });
        }
        object.resume().unwrap();
    });
    assert_eq!(*order.lock(), [0, 1, 2, 3, 4, 5, 6, 7]);
}

/// Calls from another thread: the one that has paused is refused at once.
fn elsewhere<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(call).join().unwrap())
}

/// Whoever would wait for itself is told so at once, and nothing is changed by it.
#[test]
fn a_thread_that_would_wait_for_itself_is_refused_at_once() {
    let (_, service) = service();
    let (connection, object, other) = (
        service.connect().unwrap(),
        service.backup_restore(),
        service.backup_restore(),
    );
    let long = Duration::from_secs(60);
    let is = |error: Option<Error>, moment: Moment| {
        let error = error.expect("it is refused");
        assert!(
            matches!(error, Error::InvalidOperation(found) if found == moment),
            "{error:?}"
        );
        assert_eq!(error.hresult(), HResult(INVALID_OPERATION));
    };
    let start = Instant::now();
    object.pause().unwrap();
    is(connection.begin_write().err(), Moment::OwnPause);
    is(connection.begin_write_within(long).err(), Moment::OwnPause);
    is(service.compact(&Unobserved).err(), Moment::OwnPause);
    assert!(matches!(connection.try_begin_write(), Err(Error::Busy)));
    assert_eq!(
        (
            service.activity().waiting_writers,
            service.activity().paused_by
        ),
        (0, Some(object.owner()))
    );
    object.resume().unwrap();
    // One whose pause is over writes, and so does one that only shares the object with the thread
    // that paused.
    connection.begin_write().unwrap().commit().unwrap();
    elsewhere(|| object.pause().unwrap());
    thread::scope(|scope| {
        let writer = scope.spawn(|| connection.begin_write().map(drop));
        until("the wait of the writer", || {
            service.activity().waiting_writers == 1
        });
        object.resume().unwrap();
        writer.join().unwrap().unwrap();
    });

    let transaction = connection.begin_write().unwrap();
    for object in [&object, &other] {
        is(object.pause().err(), Moment::OwnTransaction);
        is(object.pause_within(long).err(), Moment::OwnTransaction);
        is(object.try_pause().err(), Moment::OwnTransaction);
    }
    is(object.while_paused(|_| ()).err(), Moment::OwnTransaction);
    assert_eq!(service.activity().waiting_pauses, 0);
    drop(transaction);
    object.pause().unwrap();
    object.resume().unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}

/// From the observer of a compaction nothing waits for the compaction, a close neither.
#[test]
fn calls_from_an_observer_of_what_has_the_turn_are_refused() {
    let (_, service) = service();
    let connection = service.connect().unwrap();
    (0..20).for_each(|number| put(&connection, &format!("N{number}"), 30_000).unwrap());
    for number in 0..10 {
        let mut transaction = connection.begin_write().unwrap();
        let key = transaction
            .find(format!("NS_0\\N{number}.").as_bytes())
            .unwrap()
            .unwrap();
        transaction.remove_key(key.as_bytes()).unwrap();
        transaction
            .remove_record(
                cimrepo::format::index::key::reference(key.as_bytes())
                    .unwrap()
                    .unwrap(),
            )
            .unwrap();
        transaction.commit().unwrap();
    }
    let object = service.backup_restore();
    let act = || {
        let inside = [
            service.clone().close().err(),
            connection.begin_write().err(),
            object.pause().err(),
            service.checkpoint().err(),
            service.compact(&Unobserved).err(),
        ];
        for (call, error) in inside.into_iter().enumerate() {
            assert!(
                matches!(error, Some(Error::InvalidOperation(Moment::InsideCall))),
                "call {call}: {error:?}"
            );
        }
        assert!(
            connection.find(b"NS_0\\FIRST").unwrap().is_some(),
            "whoever reads goes on"
        );
        object.backup("/b", NONE).unwrap();
    };
    let observer = At::new(Phase::Compact, &act);
    let summary = service.compact(&observer).unwrap();
    assert!(observer.was_there() && summary.is_rewritten);
    put(&connection, "AFTER", 10).unwrap();
    service.close().unwrap();
}

/// No call waits longer than the service allows, where it gives no limit of its own.
#[test]
fn nothing_waits_for_ever_unasked() {
    let (_, service) = serve(ServiceOptions::new().limit(Duration::from_millis(30)));
    let (connection, object, other) = (
        service.connect().unwrap(),
        service.backup_restore(),
        service.backup_restore(),
    );
    let transaction = connection.begin_write().unwrap();
    elsewhere(|| fails(object.pause(), TIMED_OUT));
    elsewhere(|| fails(object.try_pause(), TIMED_OUT));
    drop(transaction);
    object.pause().unwrap();
    fails(other.pause(), TIMED_OUT);
    assert_eq!(
        (
            service.activity().waiting_pauses,
            service.activity().paused_by
        ),
        (0, Some(object.owner()))
    );
}

#[test]
fn a_writer_waits_tries_or_gives_up() {
    let (_, service) = service();
    let connection = service.connect().unwrap();
    let object = service.backup_restore();
    object.pause().unwrap();
    assert!(matches!(connection.try_begin_write(), Err(Error::Busy)));
    elsewhere(|| {
        fails(
            connection.begin_write_within(Duration::from_millis(20)),
            TIMED_OUT,
        )
    });
    elsewhere(|| fails(connection.begin_write_within(Duration::ZERO), TIMED_OUT));
    object.resume().unwrap();
    let running = connection.try_begin_write().unwrap();
    assert!(matches!(connection.try_begin_write(), Err(Error::Busy)));
    fails(
        connection.begin_write_within(Duration::from_millis(20)),
        TIMED_OUT,
    );
    drop(running);
    connection.try_begin_write().unwrap().commit().unwrap();
}

#[test]
fn the_engine_alone_has_the_same_line() {
    let (_, directory) = place();
    let engine: Engine = still().open_in(&directory).unwrap();
    let running = engine.begin_write().unwrap();
    assert!(matches!(engine.try_begin_write(), Err(Error::Busy)));
    assert!(matches!(
        engine.begin_write_within(Duration::from_millis(10)),
        Err(Error::Timeout { .. })
    ));
    drop(running);
    engine.try_begin_write().unwrap().commit().unwrap();
    engine
        .begin_write_within(Duration::from_secs(60))
        .unwrap()
        .commit()
        .unwrap();
}

#[test]
fn a_pause_waits_for_the_transaction_that_runs() {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    let object = service.backup_restore();
    let mut transaction = connection.begin_write().unwrap();
    transaction.insert_key(b"NS_0\\RUNNING").unwrap();
    elsewhere(|| fails(object.pause_within(Duration::from_millis(20)), TIMED_OUT));
    elsewhere(|| {
        fails(
            object.try_pause_within(Duration::from_millis(20)),
            TIMED_OUT,
        )
    });
    assert_eq!(
        service.activity().waiting_pauses,
        0,
        "who gave up is out of the line"
    );
    thread::scope(|scope| {
        let pauser = scope.spawn(|| object.pause());
        until("the wait of the pause", || {
            service.activity().waiting_pauses == 1
        });
        // Who asks now comes behind the pause.
        assert!(matches!(
            service.connect().unwrap().try_begin_write(),
            Err(Error::Busy)
        ));
        transaction.commit().unwrap();
        pauser.join().unwrap().unwrap();
    });
    assert_eq!(names(&read(&copy(&storage))), ["FIRST", "RUNNING"]);
    assert_eq!(service.activity().paused_by, Some(object.owner()));
}

const DEFAULT_LEASE: Duration = ObjectOptions::DEFAULT_LEASE;

#[test]
fn a_second_pause_of_the_same_object_fails_and_lengthens_nothing() {
    let (_, service) = serve(ServiceOptions::new());
    let object = service.backup_restore();
    object.pause().unwrap();
    let left = object.remaining_lease().unwrap();
    assert!(
        left <= DEFAULT_LEASE && left > DEFAULT_LEASE - Duration::from_secs(60),
        "{left:?}"
    );
    thread::sleep(Duration::from_millis(5));
    fails(object.pause(), INVALID_OPERATION);
    fails(object.try_pause(), INVALID_OPERATION);
    let other = service.backup_restore();
    fails(other.try_pause(), INVALID_OPERATION);
    fails(other.pause_within(Duration::from_millis(5)), TIMED_OUT);
    assert!(object.remaining_lease().unwrap() <= left - Duration::from_millis(10));
    assert_eq!(service.activity().paused_by, Some(object.owner()));
    assert_eq!(other.remaining_lease(), None);
    object.resume().unwrap();
}

#[test]
fn a_pause_of_another_object_waits_until_the_first_has_ended() {
    for end in 0..3 {
        let lease = if end == 2 {
            Duration::from_millis(60)
        } else {
            Duration::from_secs(20)
        };
        let (_, service) = serve(ServiceOptions::new().lease(lease));
        let (first, second) = (service.backup_restore(), service.backup_restore());
        first.pause().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| second.pause());
            until("the wait of the second", || {
                service.activity().waiting_pauses == 1 || waiting.is_finished()
            });
            match end {
                0 => first.resume().unwrap(),
                1 => drop(first),
                // The lease runs out.
                _ => {}
            }
            waiting.join().unwrap().unwrap();
        });
        if end < 2 {
            assert_eq!(service.activity().paused_by, Some(second.owner()));
            second.resume().unwrap();
        }
    }
}

#[test]
fn a_lease_runs_out_by_itself() {
    let (_, service) = serve(ServiceOptions::new().lease(Duration::from_millis(100)));
    let object = service.backup_restore();
    let connection = service.connect().unwrap();
    let start = Instant::now();
    object.pause().unwrap();
    // No one but the waiting writer is there, and the writer only waits.
    thread::scope(|scope| {
        scope
            .spawn(|| put(&connection, "AFTER", 100))
            .join()
            .unwrap()
            .unwrap()
    });
    assert!(
        start.elapsed() >= Duration::from_millis(100),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        (service.activity().paused_by, object.remaining_lease()),
        (None, None)
    );
    let told = fails(object.resume(), INVALID_OPERATION);
    assert!(told.to_string().contains("not to be trusted"), "{told}");
    // And again, with a full lease.
    object.pause().unwrap();
    assert!(object.remaining_lease().unwrap() > Duration::from_millis(50));
    object.resume().unwrap();
    // Without a writer and without a call: the state says it, whoever asks.
    object.pause().unwrap();
    until("the end of the lease", || {
        service.activity().paused_by.is_none()
    });
    fails(object.resume(), INVALID_OPERATION);
    drop(object);
    put(&connection, "LAST", 100).unwrap();
}

#[test]
fn a_lease_of_no_time_never_closes_the_gate() {
    let (_, service) = serve(ServiceOptions::new().lease(Duration::ZERO));
    let object = service.backup_restore();
    object.pause().unwrap();
    assert_eq!(service.activity().paused_by, None);
    fails(object.resume(), INVALID_OPERATION);
    put(&service.connect().unwrap(), "N", 10).unwrap();
    // One that ends behind the end of time never does.
    let (_, service) = serve(ServiceOptions::new().lease(Duration::MAX));
    let object = service.backup_restore();
    object.pause().unwrap();
    assert!(object.remaining_lease().unwrap() > DEFAULT_LEASE);
    object.resume().unwrap();
}

#[test]
fn only_the_object_that_paused_resumes() {
    let (_, service) = service();
    let (object, other) = (service.backup_restore(), service.backup_restore());
    fails(object.resume(), INVALID_OPERATION);
    object.pause().unwrap();
    let left = object.remaining_lease().unwrap();
    fails(other.resume(), INVALID_OPERATION);
    drop(other);
    assert_eq!(service.activity().paused_by, Some(object.owner()));
    assert!(object.remaining_lease().unwrap() <= left);
    object.resume().unwrap();
    assert_eq!(service.activity().paused_by, None);
    fails(object.resume(), INVALID_OPERATION);
    object.pause().unwrap();
    object.resume().unwrap();
}

#[test]
fn dropping_and_unwinding_resume() {
    let (_, service) = service();
    let connection = service.connect().unwrap();
    let object = service.backup_restore();
    object.pause().unwrap();
    drop(object);
    put(&connection, "ONE", 10).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let object = service.backup_restore();
        object.pause().unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    put(&connection, "TWO", 10).unwrap();
    // The same for what is done while paused; the object lives on.
    let object = service.backup_restore();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        object.while_paused(|_| panic!("on purpose"))
    }));
    assert!(panicked.is_err());
    put(&connection, "THREE", 10).unwrap();
    // A writer that panics gives its turn back too.
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _running = connection.begin_write().unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert!(object.while_paused(|_| ()).unwrap().held);
    // An object whose lease has run out has nothing to give back.
    let (_, service) = serve(ServiceOptions::new().lease(Duration::from_millis(1)));
    let (expired, holder) = (service.backup_restore(), service.backup_restore());
    expired.pause().unwrap();
    until("the end of the lease", || {
        service.activity().paused_by.is_none()
    });
    drop(expired);
    holder.pause().unwrap();
}

#[test]
fn what_is_done_while_paused_is_told_whether_the_lease_held() {
    let (storage, service) = serve(ServiceOptions::new().lease(Duration::from_millis(200)));
    put(&service.connect().unwrap(), "N", 10).unwrap();
    let object = service.backup_restore();
    let run = object
        .while_paused(|directory| (directory.path.clone(), names(&read(&copy(&storage)))))
        .unwrap();
    assert!(run.held);
    assert_eq!(
        run.value,
        (PLACE.into(), vec!["FIRST".to_owned(), "N".to_owned()])
    );
    let run = object
        .while_paused(|_| {
            until("the end of the lease", || {
                service.activity().paused_by.is_none()
            })
        })
        .unwrap();
    assert!(!run.held);
}

#[test]
fn a_repository_that_no_one_has_open_is_paused_as_well() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("Repository");
    std::fs::create_dir(&path).unwrap();
    let mut builder = BulkBuilder::create_seeded(Directory::real(&path), 1).unwrap();
    builder.key(b"NS_0\\FIRST", None).unwrap();
    builder.finish().unwrap();
    let run = pause_repository(&path, PauseOptions::default(), |directory, _| {
        let locked = Service::open(&path).unwrap_err();
        assert!(
            matches!(&locked, Error::Locked { holder, .. } if holder.contains("process")),
            "{locked}"
        );
        names(&read(directory))
    });
    let run = run.unwrap();
    assert_eq!((run.value, run.held), (vec!["FIRST".to_owned()], true));
    // A journal that a dead process left is folded first.
    let engine = still().open(&path).unwrap();
    let mut transaction = engine.begin_write().unwrap();
    transaction.insert_key(b"NS_0\\SECOND").unwrap();
    transaction.commit().unwrap();
    let died = place.path().join("died");
    std::fs::create_dir(&died).unwrap();
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        // Windows lets no one read it while it is locked, and it means nothing in a copy.
        if entry.file_name() == "cimrepo.lock" {
            continue;
        }
        std::fs::copy(entry.path(), died.join(entry.file_name())).unwrap();
    }
    drop(engine);
    // A reader replays it in memory.
    assert_eq!(names(&read(&Directory::real(&died))), ["FIRST", "SECOND"]);
    let run = pause_repository(&died, PauseOptions::default(), |directory, _| {
        names(&read(directory))
    })
    .unwrap();
    assert_eq!(run.value, ["FIRST", "SECOND"]);
    // When the lease runs out the lock is given back while the work goes on.
    let run = pause_repository(
        &path,
        PauseOptions {
            lease: Duration::from_millis(50),
            wait: None,
        },
        |_, _| {
            until("the lock", || Service::open(&path).is_ok());
        },
    );
    assert!(!run.unwrap().held);
    Service::open(&path).unwrap();
}

#[test]
fn the_state_is_seen_while_an_owner_hangs() {
    let (_, service) = service();
    let object = service.backup_restore();
    let asked = AtomicUsize::new(0);
    let (enter, entered) = std::sync::mpsc::channel();
    let (leave, may_leave) = std::sync::mpsc::channel::<()>();
    thread::scope(|scope| {
        let object = &object;
        let hanging = scope.spawn(move || {
            object.while_paused(|_| {
                enter.send(()).unwrap();
                may_leave.recv().unwrap();
            })
        });
        entered.recv().unwrap();
        for _ in 0..100 {
            let activity = service.activity();
            assert!(activity.paused_by.is_some() && activity.remaining_lease.is_some());
            asked.fetch_add(1, Ordering::Relaxed);
        }
        leave.send(()).unwrap();
        assert!(hanging.join().unwrap().unwrap().held);
    });
    assert_eq!(asked.into_inner(), 100);
}

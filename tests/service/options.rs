//! Choices for backup and restore objects: the lease, the limit of waiting, the meaning of flag 0,
//! who opens the files.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cimrepo::base::progress::{Observer, Progress};
use cimrepo::service::{
    BackupAndRestore, Caller, FlagZero, ObjectOptions, Operation, Root, Standby, StandbyObject,
    Trusted,
};
use cimrepo::verify::verify_snapshot;

use super::*;

const FILE: &str = "/monday.cimbak";

#[test]
fn flag_zero_means_what_was_chosen() {
    let (_, service) = service();
    let object = |meaning| {
        service.backup_restore_with(Arc::new(Trusted), ObjectOptions::new().flag_zero(meaning))
    };
    service.backup_restore().backup(FILE, NONE).unwrap();
    let connection = service.connect().unwrap();
    put(&connection, "NEW", 10).unwrap();
    fails(
        object(FlagZero::Refuse).restore(FILE, NONE),
        WINMGMT_RUNNING,
    );
    fails(
        service.backup_restore().restore(FILE, NONE),
        WINMGMT_RUNNING,
    );
    assert!(!connection.is_broken());
    object(FlagZero::Break).restore(FILE, NONE).unwrap();
    fails(connection.find(b"NS_0\\FIRST"), DISCONNECTED);
    assert_eq!(names(&service.snapshot().unwrap()), ["FIRST"]);
    // Other flags are refused as before.
    fails(
        object(FlagZero::Break).restore(FILE, BackupRestoreFlags::from_bits_retain(2)),
        INVALID_PARAMETER,
    );
}

#[test]
fn a_service_has_the_options_of_its_objects() {
    let options = ServiceOptions::new()
        .flag_zero(FlagZero::Break)
        .lease(Duration::from_secs(7));
    let (_, service) = serve(options.limit(Duration::from_millis(5)));
    let expected = ObjectOptions::new()
        .lease(Duration::from_secs(7))
        .limit(Duration::from_millis(5));
    assert_eq!(
        service.object_options(),
        expected.flag_zero(FlagZero::Break)
    );
    let object = service.backup_restore();
    object.backup(FILE, NONE).unwrap();
    let connection = service.connect().unwrap();
    object.restore(FILE, NONE).unwrap();
    assert!(connection.is_broken());
    object.pause().unwrap();
    assert!(object.remaining_lease().unwrap() <= Duration::from_secs(7));
}

#[test]
fn each_object_has_its_own_lease_and_limit() {
    let (_, directory) = place();
    let standby = Standby::new("/elsewhere");
    let object =
        |standby: &Standby, options| standby.backup_restore_with(Arc::new(Trusted), options);
    fails(object(&standby, ObjectOptions::new()).pause(), 0x8007_0002);
    let standby = Standby::with_options(&directory, ObjectOptions::new());
    let short = ObjectOptions::new().lease(Duration::from_millis(20));
    let hasty = ObjectOptions::new().limit(Duration::from_millis(10));
    let (owner, other) = (
        object(&standby, ObjectOptions::new()),
        object(&standby, hasty),
    );
    owner.pause().unwrap();
    assert!(standby.activity().remaining_lease.unwrap() > Duration::from_secs(60));
    fails(other.pause(), TIMED_OUT);
    owner.resume().unwrap();
    let brief = object(&standby, short);
    brief.pause().unwrap();
    until("the end of the lease", || {
        standby.activity().paused_by.is_none()
    });
    fails(brief.resume(), INVALID_OPERATION);
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what} does not come"
        );
        thread::sleep(Duration::from_millis(1));
    }
}

/// Someone whose files are somewhere else.
#[derive(Debug)]
struct Elsewhere(Arc<dyn Storage>);

impl Caller for Elsewhere {
    fn name(&self) -> &str {
        "elsewhere"
    }

    fn check(&self, _: Operation, _: &Root<'_>) -> Result<()> {
        Ok(())
    }

    fn files(&self, _: &Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        Ok(self.0.clone())
    }
}

/// Someone whose identity is of no use.
#[derive(Debug)]
struct Nobody;

impl Caller for Nobody {
    fn name(&self) -> &str {
        "nobody"
    }

    fn check(&self, _: Operation, _: &Root<'_>) -> Result<()> {
        Ok(())
    }

    fn files(&self, _: &Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        Err(Error::AccessDenied("nobody".into()))
    }
}

/// Asks both kinds of object.
fn with_both(act: impl Fn(&MemStorage, &dyn Fn(Arc<dyn Caller>) -> Box<dyn BackupAndRestore>)) {
    let (storage, service) = service();
    act(&storage, &|caller| {
        Box::new(service.backup_restore_as(caller))
    });
    let (storage, directory) = place();
    let standby = Standby::with_options(&directory, ObjectOptions::new());
    act(&storage, &|caller| {
        Box::new(standby.backup_restore_as(caller))
    });
}

#[test]
fn the_files_that_a_caller_names_are_its_own() {
    with_both(|storage, object| {
        let own = MemStorage::new();
        let theirs = object(Arc::new(Elsewhere(Arc::new(own.clone()))));
        theirs
            .back_up_to(Path::new(FILE), NONE, &Unobserved)
            .unwrap();
        assert!(own.get(FILE).is_some() && storage.get(FILE).is_none());
        theirs
            .restore_from(Path::new(FILE), NONE, &Unobserved)
            .unwrap();
        fails(
            object(Arc::new(Trusted)).restore_from(Path::new(FILE), NONE, &Unobserved),
            0x8007_0002,
        );
        let nobody = object(Arc::new(Nobody));
        fails(
            nobody.back_up_to(Path::new(FILE), NONE, &Unobserved),
            ACCESS_DENIED,
        );
        fails(
            nobody.restore_from(Path::new(FILE), NONE, &Unobserved),
            ACCESS_DENIED,
        );
        assert!(storage.get(FILE).is_none());
    });
}

/// Asks to stop on the thread of the call alone, as a COM client's wish is known, when it was asked
/// there so often.
struct OnTheCall {
    call: thread::ThreadId,
    heard: AtomicUsize,
    ends_at: usize,
}

impl Observer for OnTheCall {
    fn progress(&self, _: Progress) -> ControlFlow<()> {
        let is_here = thread::current().id() == self.call;
        if is_here && self.heard.fetch_add(1, Ordering::Relaxed) + 1 == self.ends_at {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

fn on_the_call(ends_at: usize) -> OnTheCall {
    OnTheCall {
        call: thread::current().id(),
        heard: AtomicUsize::new(0),
        ends_at,
    }
}

/// A repository large enough for several threads: a few hundred pages.
fn large() -> (Directory, StandbyObject) {
    let (_, directory) = place();
    let service = ServiceOptions::new().open_in(&directory).unwrap();
    let connection = service.connect().unwrap();
    for number in 0..40_u8 {
        let mut transaction = connection.begin_write().unwrap();
        let record = transaction.insert_record(&vec![number; 100_000]).unwrap();
        transaction
            .insert_key(format!("NS_0\\LARGE{number}.{record}").as_bytes())
            .unwrap();
        transaction.commit().unwrap();
    }
    drop(connection);
    service.close().unwrap();
    let standby = Standby::with_options(&directory, ObjectOptions::new());
    let object = standby.backup_restore_as(Arc::new(Trusted));
    (directory, object)
}

/// The threads that verify see what is known on the thread of the call alone, also when all of the
/// work is theirs.
#[test]
fn the_thread_of_a_call_is_asked_while_others_verify() {
    let (directory, _) = large();
    let repository = OpenOptions::new().open_in(&directory).unwrap();
    for threads in [2, 4] {
        let options = VerifyOptions {
            threads: NonZeroUsize::new(threads),
            ..VerifyOptions::default()
        };
        let listening = on_the_call(usize::MAX);
        verify_snapshot(&repository.snapshot(), options, &listening).unwrap();
        assert!(listening.heard.load(Ordering::Relaxed) > 1);
        let stopped = verify_snapshot(&repository.snapshot(), options, &on_the_call(2));
        assert!(matches!(stopped, Err(Error::Cancelled)), "{threads}");
    }
}

#[test]
fn the_thread_of_a_call_is_asked_from_its_beginning_to_its_end() {
    let (directory, object) = large();
    let call = |number: usize, observer: &OnTheCall| match number {
        0 => object.back_up_to(Path::new(FILE), NONE, observer),
        _ => object.restore_from(Path::new(FILE), NONE, observer),
    };
    for number in [0, 1] {
        let listening = on_the_call(usize::MAX);
        call(number, &listening).unwrap();
        let heard = listening.heard.load(Ordering::Relaxed);
        assert!(heard >= 4, "call {number} was asked {heard} times");
        let is_cancelled =
            |ends_at| matches!(call(number, &on_the_call(ends_at)), Err(Error::Cancelled));
        for ends_at in [1, 2, heard / 2] {
            assert!(is_cancelled(ends_at), "call {number}, {ends_at} of {heard}");
        }
        // How often it is asked while it waits for others is a matter of time.
        let is_heard_last = (0..10).any(|_| {
            let listening = on_the_call(usize::MAX);
            call(number, &listening).unwrap();
            is_cancelled(listening.heard.into_inner())
        });
        assert!(is_heard_last, "call {number}");
        println!("call {number}: asked {heard} times on its thread");
    }
    assert_eq!(names(&read(&directory)).len(), 41);
}

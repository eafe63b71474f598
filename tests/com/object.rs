//! What the object makes of calls: arguments, codes, panics, the last release.

use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;
use std::thread;

use cimrepo::Error;
use cimrepo::base::error::HResult;
use cimrepo::base::moment::Moment;
use cimrepo::com::{
    Failure, IClassFactory, IWbemBackupRestore, IWbemBackupRestoreEx, class_factory,
};
use windows_core::{IUnknown, Interface};

use crate::host::{Event, Log, LoggingHost};
use crate::{
    E_NOINTERFACE, E_POINTER, E_UNEXPECTED, INVALID_OPERATION, INVALID_PARAMETER, S_OK, code,
    create, object, wide,
};

fn logged() -> (Arc<Log>, IClassFactory) {
    let log = Arc::new(Log::default());
    (log.clone(), class_factory(Arc::new(LoggingHost(log))))
}

#[test]
fn each_method_is_the_one_at_its_place() {
    let (log, factory) = logged();
    let made = object(&factory);
    assert_eq!(log.take(), [], "nothing is opened before it is needed");
    let path = wide("ä 日.cimbak");
    let base: IWbemBackupRestore = made.cast().unwrap();
    // SAFETY: the path ends with a zero.
    let results = unsafe {
        [
            made.Backup(path.as_ptr(), 0),
            made.Restore(path.as_ptr(), 1),
            made.Pause(),
            made.Resume(),
            base.Backup(path.as_ptr(), 7),
            base.Restore(path.as_ptr(), -1),
        ]
    };
    assert_eq!(results.map(code), [S_OK; 6]);
    let path = PathBuf::from("ä 日.cimbak");
    let expected = [
        Event::Opened,
        Event::Backup(path.clone(), 0),
        Event::Restore(path.clone(), 1),
        Event::Paused,
        Event::Resumed,
        Event::Backup(path.clone(), 7),
        Event::Restore(path, -1),
    ];
    assert_eq!(log.take(), expected);
    drop(made);
    assert_eq!(log.take(), []);
    drop(base);
    assert_eq!(log.take(), [Event::Dropped], "the last release");
}

#[test]
fn an_object_that_was_not_used_opens_nothing() {
    let (log, factory) = logged();
    drop(object(&factory));
    assert_eq!(log.take(), []);
}

#[test]
fn the_code_is_the_one_of_the_failure() {
    let (log, factory) = logged();
    let made = object(&factory);
    let failures: [(u32, fn() -> Error); 4] = [
        (INVALID_OPERATION, || {
            Error::InvalidOperation(Moment::NotPaused)
        }),
        (0x8004_1060, || Error::ConnectionsActive { count: 2 }),
        (0x8001_0108, || Error::Disconnected),
        (0x8004_1033, || Error::Closed),
    ];
    for (number, failure) in failures {
        *log.failure.lock().unwrap() = Some(failure);
        // SAFETY: the calls take no pointer.
        let results = unsafe { [made.Pause(), made.Resume()] };
        assert_eq!(results.map(code), [number; 2]);
        *log.failure.lock().unwrap() = None;
        // SAFETY: as above.
        assert_eq!(code(unsafe { made.Pause() }), S_OK);
    }
}

#[test]
fn what_cannot_be_opened_is_tried_again_by_the_next_call() {
    let (log, factory) = logged();
    let made = object(&factory);
    *log.refused.lock().unwrap() = Some(Failure::new(HResult(0x8004_1014), "not configured"));
    // SAFETY: the calls take no pointer.
    let pause = || code(unsafe { made.Pause() });
    assert_eq!((pause(), pause()), (0x8004_1014, 0x8004_1014));
    *log.refused.lock().unwrap() = None;
    assert_eq!((pause(), pause()), (S_OK, S_OK));
    assert_eq!(log.take(), [Event::Opened, Event::Paused, Event::Paused]);
}

#[test]
fn paths_that_are_none_do_not_reach_the_service() {
    let (log, factory) = logged();
    let made = object(&factory);
    let (empty, endless) = ([0_u16], vec![u16::from(b'x'); 40_000]);
    for path in [ptr::null(), empty.as_ptr(), endless.as_ptr()] {
        // SAFETY: null, a text that ends with a zero, and one that is longer than a path can be.
        let results = unsafe { [made.Backup(path, 0), made.Restore(path, 0)] };
        assert_eq!(results.map(code), [INVALID_PARAMETER; 2]);
    }
    assert_eq!(log.take(), [Event::Opened]);
}

#[test]
fn a_panic_stays_inside() {
    let (log, factory) = logged();
    let made = object(&factory);
    let path = wide("x");
    *log.panics.lock().unwrap() = true;
    // SAFETY: the path ends with a zero.
    let results = unsafe { [made.Pause(), made.Backup(path.as_ptr(), 0)] };
    assert_eq!(results.map(code), [E_UNEXPECTED; 2]);
    *log.panics.lock().unwrap() = false;
    // SAFETY: the calls take no pointer.
    assert_eq!(code(unsafe { made.Pause() }), S_OK, "the object goes on");
    *log.panics.lock().unwrap() = true;
    log.take();
    drop(made);
    assert_eq!(
        log.take(),
        [Event::Dropped],
        "nor does it leave the last release"
    );
}

#[test]
fn factories_refuse_what_they_cannot_make() {
    let (_, factory) = logged();
    assert_eq!(
        create(&factory, &IClassFactory::IID),
        (E_NOINTERFACE, ptr::null_mut())
    );
    // SAFETY: null pointers are refused before they are used.
    let nowhere = unsafe { factory.CreateInstance(None, &IUnknown::IID, ptr::null_mut()) };
    assert_eq!(code(nowhere), E_POINTER);
    let mut out = ptr::dangling_mut();
    // SAFETY: as above.
    let nameless = unsafe { factory.CreateInstance(None, ptr::null(), &raw mut out) };
    assert_eq!(code(nameless), E_POINTER);

    let outer: IUnknown = factory.cast().unwrap();
    let mut out = ptr::dangling_mut();
    // SAFETY: the pointers are to values on this stack.
    let result = unsafe { factory.CreateInstance(&outer, &IUnknown::IID, &raw mut out) };
    assert_eq!((code(result), out), (0x8004_0110, ptr::null_mut()));
}

/// An interface pointer that may go to another thread: the objects are free-threaded.
struct Shared(IWbemBackupRestoreEx);

// SAFETY: the object says so, and this test is there to show it.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

#[test]
fn an_object_is_called_from_many_threads() {
    let (log, factory) = logged();
    let made = Shared(object(&factory));
    thread::scope(|scope| {
        for _ in 0..4 {
            let made = &made;
            scope.spawn(move || {
                let path = wide("x");
                for _ in 0..50 {
                    let clone = made.0.clone();
                    // SAFETY: the path ends with a zero.
                    assert_eq!(code(unsafe { clone.Backup(path.as_ptr(), 0) }), S_OK);
                }
            });
        }
    });
    let Shared(made) = made;
    drop(made);
    let events = log.take();
    assert_eq!(events.len(), 202);
    assert_eq!(
        (&events[0], &events[201]),
        (&Event::Opened, &Event::Dropped)
    );
}

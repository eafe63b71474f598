//! A thread that acts when a lease is over, whether or not anyone calls.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::base::parallel::join_other;

/// Runs `act` on a thread of its own when the lease is over. Dropping it before calls that off.
///
/// Dropping waits until the thread has ended: the module that this code is in may be unloaded next
/// (a DLL after the last release), and a thread in it would run into nothing.
#[derive(Debug)]
pub(super) struct LeaseWatch {
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LeaseWatch {
    pub(super) fn start(lease: Duration, act: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (ended, has_ended) = channel::<()>();
        let watch = move || {
            if has_ended.recv_timeout(lease) == Err(RecvTimeoutError::Timeout) {
                act();
            }
        };
        let thread = thread::Builder::new().name("cimrepo lease of the lock".to_owned());
        Ok(Self { ended: Some(ended), thread: Some(thread.spawn(watch)?) })
    }
}

impl Drop for LeaseWatch {
    fn drop(&mut self) {
        self.ended = None;
        if let Some(thread) = self.thread.take() {
            join_other(thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn dropping_it_waits_for_what_it_does() {
        let (begun, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (began, did) = (begun.clone(), done.clone());
        let watch = LeaseWatch::start(Duration::ZERO, move || {
            began.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(50));
            did.store(true, Ordering::SeqCst);
        });
        let watch = watch.unwrap();
        while !begun.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        drop(watch);
        assert!(done.load(Ordering::SeqCst));
    }

    #[test]
    fn a_lease_that_is_called_off_does_nothing() {
        let done = Arc::new(AtomicBool::new(false));
        let did = done.clone();
        drop(LeaseWatch::start(Duration::from_secs(600), move || did.store(true, Ordering::SeqCst)).unwrap());
        assert_eq!((Arc::strong_count(&done), done.load(Ordering::SeqCst)), (1, false), "its thread is gone");
    }

    #[test]
    fn it_may_drop_itself() {
        let slot: Arc<Mutex<Option<LeaseWatch>>> = Arc::default();
        let own = slot.clone();
        let mut held = slot.lock();
        *held = Some(LeaseWatch::start(Duration::ZERO, move || drop(own.lock().take())).unwrap());
        drop(held);
        while Arc::strong_count(&slot) > 1 {
            thread::yield_now();
        }
        assert!(slot.lock().is_none());
    }
}

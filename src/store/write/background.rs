//! The thread that makes checkpoints.

use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Shared;
use crate::base::parallel::join_other;

/// The thread, and the signal that ends it.
#[derive(Debug)]
pub(super) struct Background {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
pub(super) struct Signal {
    is_ending: Mutex<bool>,
    changed: Condvar,
}

impl Background {
    /// Starts the thread. `None` if the system refuses; commits make the checkpoints then.
    pub(super) fn start(shared: &Arc<Shared>) -> Option<Self> {
        let signal = Arc::new(Signal::default());
        let period = shared.options.checkpoint_age.clamp(PERIODS.0, PERIODS.1);
        let (shared, its_signal) = (Arc::downgrade(shared), signal.clone());
        let thread = thread::Builder::new()
            .name("cimrepo checkpoint".to_owned())
            .spawn(move || run(&shared, &its_signal, period));
        Some(Self {
            signal,
            thread: Some(thread.ok()?),
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        *self.signal.is_ending.lock() = true;
        self.signal.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            join_other(thread);
        }
    }
}

/// Bounds on the interval at which the thread checks whether a checkpoint is due. The interval
/// follows from the allowed age of commits.
const PERIODS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(200));

fn run(shared: &Weak<Shared>, signal: &Signal, period: Duration) {
    loop {
        let mut is_ending = signal.is_ending.lock();
        if !*is_ending {
            signal.changed.wait_for(&mut is_ending, period);
        }
        if *is_ending {
            return;
        }
        drop(is_ending);
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if shared.is_due() {
            // An error is ignored here, because the next commit or checkpoint meets and reports it
            // too. The journal keeps the commits.
            shared.checkpoint().ok();
        }
    }
}

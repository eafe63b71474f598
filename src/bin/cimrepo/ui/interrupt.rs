//! Handling of Ctrl-C (and SIGTERM): partial output is removed before the process ends.
//!
//! The first signal asks a cancellable operation to stop; the second ends the process at once. If
//! nothing can be cancelled, so does the first. The process then ends by the signal, so that a
//! shell notices and stops its loop. A signal that the parent process has set to be ignored stays
//! ignored.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

static STATE: LazyLock<State> = LazyLock::new(State::new);

struct State {
    /// True if a signal ends the process at once.
    at_once: Arc<AtomicBool>,
    /// The signals that arrived, among those that are not ignored.
    came: Vec<(i32, Arc<AtomicBool>)>,
}

impl State {
    /// If the system accepts no handler, signals end the process as usual.
    fn new() -> Self {
        let at_once = Arc::new(AtomicBool::new(true));
        let ignored = ignored();
        let any = Arc::new(AtomicBool::new(false));
        let came = [SIGINT, SIGTERM]
            .into_iter()
            .filter(|signal| ignored & (1 << (signal - 1)) == 0)
            .map(|signal| {
                let came = Arc::new(AtomicBool::new(false));
                // The order of registration matters: a second signal finds the flag set by the
                // first, whichever signals they are.
                flag::register_conditional_default(signal, at_once.clone()).ok();
                flag::register_conditional_default(signal, any.clone()).ok();
                flag::register(signal, any.clone()).ok();
                flag::register(signal, came.clone()).ok();
                (signal, came)
            });
        Self {
            came: came.collect(),
            at_once,
        }
    }

    fn signal(&self) -> Option<i32> {
        self.came
            .iter()
            .find(|(_, came)| came.load(Ordering::Relaxed))
            .map(|&(signal, _)| signal)
    }
}

/// The signals that the process ignored from its start, one bit each, the lowest for signal 1.
/// Systems that do not report them are assumed to ignore none.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// While this exists, an operation is running that checks [`requested`].
pub struct Cancellable(());

impl Cancellable {
    pub fn new() -> Self {
        STATE.at_once.store(false, Ordering::SeqCst);
        Self(())
    }

    /// True if the operation should stop.
    pub fn is_requested(&self) -> bool {
        was_requested()
    }
}

/// True if a signal has asked to stop.
pub fn was_requested() -> bool {
    STATE.signal().is_some()
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        STATE.at_once.store(true, Ordering::SeqCst);
    }
}

/// Ends the process as the signal that cancelled an operation would have done.
pub fn end_by_signal() {
    if let Some(signal) = STATE.signal() {
        low_level::emulate_default_handler(signal).ok();
    }
}

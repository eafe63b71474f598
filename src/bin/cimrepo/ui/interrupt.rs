//! Ctrl-C (and SIGTERM) in the middle: what is being written is taken away before the process ends.
//!
//! The first one asks an operation that can be cancelled to stop, the second one ends the process
//! at once; so does the first where nothing can be cancelled. The process then ends by the signal,
//! so that a shell knows and stops its loop. A signal that whoever started the process wants it to
//! ignore stays ignored.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

static STATE: LazyLock<State> = LazyLock::new(State::new);

struct State {
    /// Whether a signal ends the process at once.
    at_once: Arc<AtomicBool>,
    /// Which signals came, of those that are not ignored.
    came: Vec<(i32, Arc<AtomicBool>)>,
}

impl State {
    /// Where the system takes no handler, signals end the process, as they do without one.
    fn new() -> Self {
        let at_once = Arc::new(AtomicBool::new(true));
        let ignored = ignored();
        let any = Arc::new(AtomicBool::new(false));
        let came = [SIGINT, SIGTERM]
            .into_iter()
            .filter(|signal| ignored & (1 << (signal - 1)) == 0)
            .map(|signal| {
                let came = Arc::new(AtomicBool::new(false));
                // In the order in which they were registered: a second signal finds what the first
                // one left, whichever each is.
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

/// The signals that the process ignored from its start, a bit each, the lowest for signal 1.
/// Systems that do not tell ignore none.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// While it lives, an operation is running that looks at [`requested`].
pub struct Cancellable(());

impl Cancellable {
    pub fn new() -> Self {
        STATE.at_once.store(false, Ordering::SeqCst);
        Self(())
    }

    /// True if the operation is to stop.
    pub fn is_requested(&self) -> bool {
        was_requested()
    }
}

/// True if a signal came that asks to stop.
pub fn was_requested() -> bool {
    STATE.signal().is_some()
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        STATE.at_once.store(true, Ordering::SeqCst);
    }
}

/// Ends the process as the signal would have that cancelled an operation.
pub fn end_by_signal() {
    if let Some(signal) = STATE.signal() {
        low_level::emulate_default_handler(signal).ok();
    }
}

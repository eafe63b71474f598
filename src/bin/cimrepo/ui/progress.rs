//! Progress on a terminal only, and the check for Ctrl-C.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use cimrepo::base::progress::{Observer, Phase, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::interrupt::Cancellable;
use super::output::has_terminal;

/// An operation that ends sooner than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// A bar on standard error.
pub struct Bar {
    bar: ProgressBar,
    started: Instant,
    cancellable: Cancellable,
}

impl Bar {
    pub fn new() -> Self {
        let bar = ProgressBar::hidden();
        if let Ok(style) = ProgressStyle::with_template("{msg:18} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        Self {
            bar,
            started: Instant::now(),
            cancellable: Cancellable::new(),
        }
    }
}

impl Observer for Bar {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        if self.started.elapsed() >= PATIENCE && has_terminal() {
            if self.bar.is_hidden() {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            self.bar.set_length(progress.total);
            self.bar.set_position(progress.done);
            self.bar.set_message(match progress.phase {
                Phase::Verify => "checking",
                Phase::Backup => "backing up",
                Phase::Restore => "restoring",
                Phase::Compact => "compacting",
                Phase::Convert => "converting",
                Phase::Search => "looking",
                Phase::Carve => "searching",
                Phase::Read => "reading",
                _ => "working",
            });
        }
        if self.cancellable.is_requested() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

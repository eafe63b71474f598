//! Progress reports and cancellation of long operations.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::error::{Error, Result};

/// The current activity of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Checking the pages of the object heap and of the index.
    Verify,
    /// Reading pages and writing them to a backup.
    Backup,
    /// Writing the pages of a restored repository.
    Restore,
    /// Copying the content of a repository into fewer pages.
    Compact,
    /// Reading namespaces, classes and instances. The unit is keys; their total is unknown.
    Read,
    /// Copying classes and instances into another repository. The unit is objects.
    Convert,
    /// Searching the data files for remains of earlier states. The unit is pages, counted once for
    /// each pass.
    Carve,
    /// Searching for repositories below a directory. The unit is directory entries.
    Search,
}

/// Progress of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The current phase.
    pub phase: Phase,
    /// Pages done in this phase.
    pub done: u64,
    /// Pages to do in this phase.
    pub total: u64,
}

/// Observes an operation and may end it: once an observer returns `Break`, the operation soon fails
/// with [`Error::Cancelled`].
///
/// Called from worker threads, a few hundred times per operation.
pub trait Observer: Sync {
    /// Receives the progress of the operation; returns whether to go on.
    fn progress(&self, progress: Progress) -> ControlFlow<()>;
}

impl<F: Fn(Progress) -> ControlFlow<()> + Sync> Observer for F {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        self(progress)
    }
}

/// An observer that ignores everything and never stops an operation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn progress(&self, _: Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// One phase of an operation, shared by its workers.
pub(crate) struct Monitor<'o> {
    observer: &'o dyn Observer,
    phase: Phase,
    total: u64,
    done: AtomicU64,
    cancelled: AtomicBool,
}

impl<'o> Monitor<'o> {
    pub(crate) fn new(observer: &'o dyn Observer, phase: Phase, total: u64) -> Self {
        Self {
            observer,
            phase,
            total,
            done: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
        }
    }

    /// Reports `count` more pages to the observer. Fails once the observer has asked to stop.
    pub(crate) fn advance(&self, count: u64) -> Result<()> {
        let done = self
            .done
            .fetch_add(count, Ordering::Relaxed)
            .saturating_add(count);
        self.report(done)
    }

    fn report(&self, done: u64) -> Result<()> {
        // Pages that are read a second time count once.
        let progress = Progress {
            phase: self.phase,
            done: done.min(self.total),
            total: self.total,
        };
        if self.observer.progress(progress).is_break() {
            self.cancelled.store(true, Ordering::Relaxed);
        }
        if self.cancelled.load(Ordering::Relaxed) {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Asks the observer whether to go on, without reporting progress.
    pub(crate) fn check(&self) -> Result<()> {
        self.report(self.done.load(Ordering::Relaxed))
    }
}

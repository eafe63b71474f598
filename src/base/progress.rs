//! Progress and cancellation of long operations.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::error::{Error, Result};

/// What an operation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Checking the pages of the object heap and of the index.
    Verify,
    /// Reading pages and writing them to a backup.
    Backup,
    /// Writing the pages of a restored repository.
    Restore,
    /// Writing the content of a repository into fewer pages.
    Compact,
    /// Reading namespaces, classes and instances; what is counted is keys, and how many there are
    /// is not known.
    Read,
    /// Taking classes and instances over into another repository; what is counted is objects.
    Convert,
    /// Looking for repositories below a directory; what is counted is directory entries.
    Search,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Pages done in this phase.
    pub done: u64,
    /// Pages to do in this phase.
    pub total: u64,
}

/// Watches an operation, and may end it: it fails with [`Error::Cancelled`] soon after `Break`.
///
/// Called from worker threads, a few hundred times an operation.
pub trait Observer: Sync {
    /// Told how far the operation is; says whether to go on.
    fn progress(&self, progress: Progress) -> ControlFlow<()>;
}

impl<F: Fn(Progress) -> ControlFlow<()> + Sync> Observer for F {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        self(progress)
    }
}

/// An observer that never looks and never stops anything.
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

    /// Tells the observer of `count` more pages; fails once it has asked to stop.
    pub(crate) fn advance(&self, count: u64) -> Result<()> {
        let done = self
            .done
            .fetch_add(count, Ordering::Relaxed)
            .saturating_add(count);
        self.report(done)
    }

    fn report(&self, done: u64) -> Result<()> {
        // What is looked at a second time counts once.
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

    /// Asks the observer whether to go on, without anything done.
    pub(crate) fn check(&self) -> Result<()> {
        self.report(self.done.load(Ordering::Relaxed))
    }
}

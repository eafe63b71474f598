//! Rate limiting of long operations.

use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::page_no::PAGE_SIZE;
use super::progress::{Observer, Progress};

/// Length of one sleep. After each one the observer is asked whether to go on.
const SLICE: Duration = Duration::from_millis(50);

/// An observer that limits the rate of an operation by sleeping in the threads that report
/// progress. Those threads hold no lock that others wait for.
pub(crate) struct Paced<'o> {
    observer: &'o dyn Observer,
    /// Limit in bytes of pages per second.
    rate: Option<NonZeroU64>,
    /// Pages reported so far.
    told: AtomicU64,
    start: Instant,
    /// Time at which the reported pages are due, in nanoseconds since `start`. Idle time is not
    /// made up for.
    due: AtomicU64,
}

impl<'o> Paced<'o> {
    pub(crate) fn new(observer: &'o dyn Observer, rate: Option<NonZeroU64>) -> Self {
        Self {
            observer,
            rate,
            told: AtomicU64::new(0),
            start: Instant::now(),
            due: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Time at which the pages reported now are due.
    fn due(&self, rate: NonZeroU64, done: u64) -> u64 {
        let pages = done.saturating_sub(self.told.fetch_max(done, Ordering::Relaxed));
        let nanos = u128::from(pages) * PAGE_SIZE as u128 * 1_000_000_000 / u128::from(rate.get());
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        let (now, mut due) = (self.now(), 0);
        let later = |earlier: u64| {
            due = earlier.max(now).saturating_add(nanos);
            Some(due)
        };
        self.due
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, later)
            .ok();
        if pages == 0 { now } else { due }
    }
}

impl Observer for Paced<'_> {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        self.observer.progress(progress)?;
        let Some(rate) = self.rate else {
            return ControlFlow::Continue(());
        };
        let due = self.due(rate, progress.done);
        loop {
            let left = Duration::from_nanos(due.saturating_sub(self.now()));
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            thread::sleep(left.min(SLICE));
            self.observer.progress(progress)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::{Phase, Unobserved};
    use super::*;

    fn at(done: u64) -> Progress {
        Progress {
            phase: Phase::Backup,
            done,
            total: 1000,
        }
    }

    #[test]
    fn pages_are_due_at_their_rate_and_rest_is_not_made_up_for() {
        let rate = NonZeroU64::new(PAGE_SIZE as u64 * 1000);
        let paced = Paced::new(&Unobserved, rate);
        // Two threads: each waits until after the pages of the other.
        let (first, second) = (paced.due(rate.unwrap(), 10), paced.due(rate.unwrap(), 15));
        assert!((10_000_000..1_000_000_000).contains(&first), "{first}");
        assert_eq!(second - first, 5_000_000);
        assert!(
            paced.due(rate.unwrap(), 15) < second,
            "nothing new is not waited for"
        );
        let start = Instant::now();
        assert!(paced.progress(at(60)).is_continue());
        assert!(start.elapsed() >= Duration::from_millis(45));
        thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        assert!(paced.progress(at(80)).is_continue());
        assert!(
            start.elapsed() >= Duration::from_millis(20),
            "what was slept is no credit"
        );
        assert!(
            Paced::new(&Unobserved, None)
                .progress(at(u64::MAX))
                .is_continue()
        );
    }

    #[test]
    fn one_who_stops_does_not_wait_for_what_is_due() {
        let asked = AtomicU64::new(0);
        let stop = |_| match asked.fetch_add(1, Ordering::Relaxed) {
            0..2 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        // At this rate a page is due in two hours.
        assert!(
            Paced::new(&stop, NonZeroU64::new(1))
                .progress(at(1))
                .is_break()
        );
    }
}

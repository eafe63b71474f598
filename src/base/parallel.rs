//! Distribution of work over threads.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::limits::MAX_THREADS;

/// Number of threads for an operation: the requested number, or else one per processor; bounded.
pub(crate) fn thread_count(wanted: Option<NonZeroUsize>) -> usize {
    // The answer is cached because asking the system takes as long as reading some hundred pages.
    static PROCESSORS: OnceLock<Option<NonZeroUsize>> = OnceLock::new();
    let processors = || *PROCESSORS.get_or_init(|| thread::available_parallelism().ok());
    wanted
        .or_else(processors)
        .map_or(1, NonZeroUsize::get)
        .min(MAX_THREADS)
}

/// A builder for a thread. The system may refuse to start it, so every caller can do the work
/// itself.
pub(crate) fn new_thread() -> thread::Builder {
    #[cfg(test)]
    if tests::is_refused() {
        // No system grants a stack of this size.
        return thread::Builder::new().stack_size(1 << 60);
    }
    thread::Builder::new()
}

/// Runs `work` on consecutive pieces of `0..len` and returns the results in the order of the
/// pieces. A thread that has finished a piece takes the next one, so pieces may differ in cost. The
/// calling thread takes part, which lets an observer bound to that thread hear of the progress and
/// be asked whether to go on.
pub(crate) fn split<T: Send>(
    len: u32,
    piece: u32,
    threads: usize,
    work: impl Fn(Range<u32>) -> T + Sync,
) -> Vec<T> {
    let piece = piece.max(1);
    let pieces = len.div_ceil(piece);
    let range = |number: u32| number * piece..(number + 1).saturating_mul(piece).min(len);
    let threads = u32::try_from(threads).unwrap_or(u32::MAX).min(pieces);
    if threads <= 1 {
        return (0..pieces).map(|number| work(range(number))).collect();
    }
    let next = AtomicU32::new(0);
    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < pieces);
    let worker = || {
        std::iter::from_fn(take)
            .map(|number| (number, work(range(number))))
            .collect::<Vec<_>>()
    };
    let mut results: Vec<(u32, T)> = thread::scope(|scope| {
        let handles: Vec<_> = (1..threads)
            .map_while(|_| new_thread().spawn_scoped(scope, worker).ok())
            .collect();
        let own = worker();
        handles.into_iter().flat_map(join).chain(own).collect()
    });
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs `jobs` jobs on several threads and passes the results to `consume` in the order of the
/// jobs, on the calling thread. The first error, from a job or from `consume`, ends the run. Each
/// worker is at most two results ahead.
///
/// `new_worker` creates the state that a worker keeps between its jobs.
pub(crate) fn ordered<T: Send, E: Send, W>(
    jobs: usize,
    threads: usize,
    new_worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, usize) -> Result<T, E> + Sync,
    mut consume: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.min(jobs);
    if threads <= 1 {
        let mut worker = new_worker();
        return (0..jobs).try_for_each(|job| consume(work(&mut worker, job)?));
    }
    let (new_worker, work) = (&new_worker, &work);
    thread::scope(|scope| {
        let lane = |first: usize| {
            let (sender, receiver) = mpsc::sync_channel(2);
            let run = move || {
                let mut worker = new_worker();
                for job in (first..jobs).step_by(threads) {
                    let result = work(&mut worker, job);
                    let failed = result.is_err();
                    // The receiver is dropped only after an error, which ends this worker as well.
                    if sender.send(result).is_err() || failed {
                        return;
                    }
                }
            };
            match new_thread().spawn_scoped(scope, run) {
                Ok(_) => Lane::Beside(receiver),
                Err(_) => Lane::Inline(new_worker()),
            }
        };
        let mut lanes: Vec<_> = (0..threads).map(lane).collect();
        for job in 0..jobs {
            match lanes.get_mut(job % threads) {
                Some(Lane::Beside(receiver)) => match receiver.recv() {
                    Ok(result) => consume(result?)?,
                    // A sender is dropped early only by a panic, which the scope propagates.
                    Err(_) => break,
                },
                Some(Lane::Inline(worker)) => consume(work(worker, job)?)?,
                None => {}
            }
        }
        Ok(())
    })
}

/// One worker's share of the jobs, every n-th of them. Runs on its own thread, or inline if none
/// could be started.
enum Lane<R, W> {
    Beside(Receiver<R>),
    Inline(W),
}

/// Runs `aside` on its own thread while `main` runs. With a single thread, or if none can be
/// started, `aside` runs first.
pub(crate) fn both<A: Send, B>(
    threads: usize,
    aside: impl Fn() -> A + Sync,
    main: impl FnOnce() -> B,
) -> (A, B) {
    both_watched(threads, aside, main, || ())
}

/// How often `watch` is called by [`both_watched`].
const WATCH: Duration = Duration::from_millis(20);

/// As [`both`]. When `main` is done and `aside` is not, calls `watch` on the calling thread until it
/// is: a wish of the caller to end the call may be known on that thread alone.
pub(crate) fn both_watched<A: Send, B>(
    threads: usize,
    aside: impl Fn() -> A + Sync,
    main: impl FnOnce() -> B,
    watch: impl Fn(),
) -> (A, B) {
    if threads <= 1 {
        return (aside(), main());
    }
    // The sender goes when `aside` has ended, by a panic too.
    let (running, ended) = mpsc::channel::<()>();
    let aside = &aside;
    let run = move || {
        let _running = running;
        aside()
    };
    thread::scope(|scope| match new_thread().spawn_scoped(scope, run) {
        Ok(handle) => {
            let result = main();
            while ended.recv_timeout(WATCH) == Err(RecvTimeoutError::Timeout) {
                watch();
            }
            (join(handle), result)
        }
        Err(_) => (aside(), main()),
    })
}

/// Waits for a worker and returns its result. Resumes the worker's panic in the caller.
pub(crate) fn join<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Waits until `thread` has ended, because its code may be unloaded next (as a DLL). Returns at
/// once if called on that very thread, which can happen through a callback.
pub(crate) fn join_other(thread: thread::JoinHandle<()>) {
    if thread.thread().id() != thread::current().id() {
        // A panic of the thread was reported when it happened.
        thread.join().ok();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;
    use std::sync::atomic::AtomicBool;

    use super::*;

    thread_local! {
        /// Number of threads that the simulated system still grants to this thread; `None` for no
        /// bound.
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// True if the next thread must be refused.
    pub(super) fn is_refused() -> bool {
        LEFT.with(|left| {
            let now = left.get();
            left.set(now.map(|left| left.saturating_sub(1)));
            now == Some(0)
        })
    }

    /// Runs `run` while the system grants at most `count` threads besides the calling one.
    pub(crate) fn with_threads(count: usize, run: impl FnOnce()) {
        LEFT.set(Some(count));
        run();
        LEFT.set(None);
    }

    #[test]
    fn threads_that_cannot_be_had_are_done_without() {
        for count in 0..4 {
            with_threads(count, || {
                assert_eq!(
                    split(100, 7, 4, |range| range)
                        .into_iter()
                        .flatten()
                        .count(),
                    100
                );
            });
            with_threads(count, || {
                let mut seen = Vec::new();
                let consume = |job| {
                    seen.push(job);
                    Ok::<_, ()>(())
                };
                assert_eq!(ordered(50, 4, || (), |(), job| Ok(job), consume), Ok(()));
                assert_eq!(seen, (0..50).collect::<Vec<_>>());
            });
            with_threads(count, || assert_eq!(both(2, || 1, || 2), (1, 2)));
        }
    }

    #[test]
    fn what_waits_for_work_aside_is_watched_on_its_own_thread() {
        let (is_asked, here) = (AtomicBool::new(false), thread::current().id());
        let aside = || {
            while !is_asked.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            1
        };
        let watch = || {
            assert_eq!(thread::current().id(), here);
            is_asked.store(true, Ordering::Relaxed);
        };
        assert_eq!(both_watched(2, aside, || 2, watch), (1, 2));
    }

    #[test]
    fn results_come_in_order_and_errors_end_it() {
        for threads in [1, 2, 5] {
            let mut seen = Vec::new();
            let done = ordered(
                20,
                threads,
                || (),
                |(), job| if job == 13 { Err(job) } else { Ok(job) },
                |job| {
                    seen.push(job);
                    Ok(())
                },
            );
            assert_eq!(done, Err(13));
            assert_eq!(seen, (0..13).collect::<Vec<_>>());
            let refused = ordered(
                20,
                threads,
                || (),
                |(), job| Ok(job),
                |job| if job == 4 { Err("full") } else { Ok(()) },
            );
            assert_eq!(refused, Err("full"));
            assert_eq!(
                ordered(0, threads, || (), |(), _| Err("never"), |(): ()| Ok(())),
                Ok(())
            );
        }
    }

    #[test]
    fn parts_cover_the_range_in_order() {
        for (len, piece, threads) in [
            (0, 1, 4),
            (1, 1, 4),
            (7, 2, 3),
            (1000, 7, 16),
            (5, 0, 1),
            (9, u32::MAX, 2),
        ] {
            let parts = split(len, piece, threads, |range| range);
            let all: Vec<u32> = parts.into_iter().flatten().collect();
            assert_eq!(all, (0..len).collect::<Vec<_>>());
        }
    }
}

//! Work spread over threads.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::limits::MAX_THREADS;

/// Threads an operation uses: what the caller asks for, else one a processor; bounded.
pub(crate) fn thread_count(wanted: Option<NonZeroUsize>) -> usize {
    // Asking the system takes as long as reading some hundred pages.
    static PROCESSORS: OnceLock<Option<NonZeroUsize>> = OnceLock::new();
    let processors = || *PROCESSORS.get_or_init(|| thread::available_parallelism().ok());
    wanted
        .or_else(processors)
        .map_or(1, NonZeroUsize::get)
        .min(MAX_THREADS)
}

/// A thread to be started. The system may refuse it, so every caller can do its work without.
pub(crate) fn new_thread() -> thread::Builder {
    #[cfg(test)]
    if tests::is_refused() {
        // More memory than any system gives a stack.
        return thread::Builder::new().stack_size(1 << 60);
    }
    thread::Builder::new()
}

/// Runs `work` on consecutive pieces of `0..len` and gives the results in order of the pieces. A
/// thread that is done with a piece takes the next one, so it does not matter that some are more
/// work than others. The calling thread is one of them: an observer of the work hears from it too,
/// and only there can be asked what belongs to the call.
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

/// Does `jobs` pieces of work on several threads and hands the results to `consume` in order of the
/// pieces, on the calling thread. The first error, of a piece or of `consume`, ends it. Each worker
/// is at most two results ahead.
///
/// `new_worker` makes what a worker keeps between its pieces.
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
                    // A receiver that is gone has met an error; so it is over here too.
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
                    // A sender goes early only by a panic, which the scope hands on.
                    Err(_) => break,
                },
                Some(Lane::Inline(worker)) => consume(work(worker, job)?)?,
                None => {}
            }
        }
        Ok(())
    })
}

/// Every so-maniest piece of work: done by a thread, or, where the system gave none, when its turn
/// comes.
enum Lane<R, W> {
    Beside(Receiver<R>),
    Inline(W),
}

/// Does `aside` on a thread of its own while `main` runs, or before it when there is one thread
/// alone, or no other to be had.
pub(crate) fn both<A: Send, B>(
    threads: usize,
    aside: impl Fn() -> A + Sync,
    main: impl FnOnce() -> B,
) -> (A, B) {
    if threads <= 1 {
        return (aside(), main());
    }
    thread::scope(|scope| match new_thread().spawn_scoped(scope, &aside) {
        Ok(handle) => {
            let result = main();
            (join(handle), result)
        }
        Err(_) => (aside(), main()),
    })
}

/// The result of a worker; its panic goes on in the caller.
pub(crate) fn join<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Waits until a thread has ended, with everything of this module that it runs: the module may be
/// unloaded next, as a DLL is. The thread itself may come here, through code of a caller that it
/// runs, and does not wait.
pub(crate) fn join_other(thread: thread::JoinHandle<()>) {
    if thread.thread().id() != thread::current().id() {
        // Its panic was reported when it began.
        thread.join().ok();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// How many more threads the system gives to this one; `None`: as many as it wants.
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// True if the next thread is one too many.
    pub(super) fn is_refused() -> bool {
        LEFT.with(|left| {
            let now = left.get();
            left.set(now.map(|left| left.saturating_sub(1)));
            now == Some(0)
        })
    }

    /// Runs something with this many threads to be had besides the calling one.
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

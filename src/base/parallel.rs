//! Work spread over threads.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::thread;

use super::limits::MAX_THREADS;

/// Threads an operation uses: what the caller asks for, else one a processor; bounded.
pub(crate) fn thread_count(wanted: Option<NonZeroUsize>) -> usize {
    wanted.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get).min(MAX_THREADS)
}

/// Runs `work` on equal parts of `0..len`, one a thread, and gives the results in order of the parts.
pub(crate) fn split<T: Send>(len: u32, threads: usize, work: impl Fn(Range<u32>) -> T + Sync) -> Vec<T> {
    let parts = u32::try_from(threads.max(1)).unwrap_or(1).min(len.max(1));
    let bound = |part: u32| {
        let scaled = u64::from(len) * u64::from(part) / u64::from(parts);
        u32::try_from(scaled).unwrap_or(len)
    };
    if parts == 1 {
        return vec![work(0..len)];
    }
    let work = &work;
    thread::scope(|scope| {
        let handles: Vec<_> = (0..parts).map(|part| scope.spawn(move || work(bound(part)..bound(part + 1)))).collect();
        handles.into_iter().map(join).collect()
    })
}

/// The result of a worker; its panic goes on in the caller.
pub(crate) fn join<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_range_in_order() {
        for (len, threads) in [(0, 4), (1, 4), (7, 3), (1000, 16)] {
            let parts = split(len, threads, |range| range);
            let all: Vec<u32> = parts.into_iter().flatten().collect();
            assert_eq!(all, (0..len).collect::<Vec<_>>());
        }
    }
}

//! A counting allocator for tests of memory use. It is that of the whole test program.

// Each program uses a part of it.
#![allow(dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes that are handed out.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call is passed unchanged to the allocator of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of the trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    /// Counts a growing block by its growth, because the number of reallocations depends on the
    /// order in which threads reach it.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let grown = size.saturating_sub(layout.size());
        let held = HELD.fetch_add(grown, Ordering::Relaxed) + grown;
        HELD.fetch_sub(layout.size().saturating_sub(size), Ordering::Relaxed);
        PEAK.fetch_max(held, Ordering::Relaxed);
        ALLOCATED.fetch_add(grown, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of the trait.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs something. Also returns the peak of the bytes held beyond those at the start.
pub fn peak_of<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = run();
    (result, PEAK.load(Ordering::Relaxed) - before)
}

/// The memory that something requested.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Peak of the bytes held beyond those at the start.
    pub held: usize,
    /// Total number of bytes allocated.
    pub allocated: usize,
}

/// Runs something. Also returns the memory that it requested.
pub fn memory_of<T>(run: impl FnOnce() -> T) -> (T, Memory) {
    let before = ALLOCATED.load(Ordering::Relaxed);
    let (result, held) = peak_of(run);
    (
        result,
        Memory {
            held,
            allocated: ALLOCATED.load(Ordering::Relaxed) - before,
        },
    )
}

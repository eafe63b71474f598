//! How long the module must stay loaded.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Objects alive, class factories among them.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// `LockServer` calls not taken back.
static LOCKS: AtomicUsize = AtomicUsize::new(0);

/// Counts an object for as long as it lives. It stands last in the object: fields are dropped in
/// their order, and while the others are, the module must not be unloaded.
#[derive(Debug)]
pub(super) struct Alive(());

impl Alive {
    pub(super) fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Keeps the module loaded.
pub(super) fn lock() {
    LOCKS.fetch_add(1, Ordering::SeqCst);
}

/// Takes one [`lock`] back; `false` when there is none.
pub(super) fn unlock() -> bool {
    LOCKS
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |locks| {
            locks.checked_sub(1)
        })
        .is_ok()
}

/// True if nothing needs the module: every object and class factory of this library is released,
/// every `LockServer` taken back. The answer of a module's own `DllCanUnloadNow`; no thread of the
/// library outlives the objects.
pub fn may_unload() -> bool {
    ALIVE.load(Ordering::SeqCst) == 0 && LOCKS.load(Ordering::SeqCst) == 0
}

//! The thread that ends a pause when its lease runs out, even if no one calls.

use std::io;
use std::sync::Arc;
use std::thread;

use parking_lot::MutexGuard;

use super::{Gate, Inner, Shared};
use crate::base::trace::tell;

/// Starts the thread of a gate at its first pause. If the system refuses a thread, waiting callers
/// end the lease themselves and queries consult the clock. Only the hook for the moment of expiry
/// is then delayed.
pub(super) fn start(gate: &Gate, inner: &mut Inner) -> io::Result<()> {
    if inner.thread.is_some() || inner.is_closed {
        return Ok(());
    }
    let (shared, number) = (gate.0.clone(), inner.last_thread + 1);
    let thread = thread::Builder::new()
        .name("cimrepo lease".to_owned())
        .spawn(move || run(&shared, number));
    inner.last_thread = number;
    inner.thread = Some(thread?);
    Ok(())
}

/// Runs until the gate is gone (an engine closes its gate when it is closed or dropped) or the
/// thread is sent to rest.
fn run(shared: &Arc<Shared>, number: u64) {
    let mut inner = shared.lock();
    while !inner.is_closed && inner.thread.is_some() && inner.last_thread == number {
        match inner
            .state
            .expiry()
            .and_then(|expiry| shared.start.checked_add(expiry))
        {
            Some(moment) => _ = shared.changed.wait_until(&mut inner, moment),
            None => shared.changed.wait(&mut inner),
        }
        shared.step(&mut inner, |_| ());
        if let Some(_owner) = inner.expired.take() {
            MutexGuard::unlocked(&mut inner, || {
                tell!(
                    WARN,
                    owner = _owner.0,
                    "a lease has expired: writers continue, and no copy made under it can be trusted"
                );
                if let Some(hook) = shared.on_expiry.get() {
                    (hook.act)();
                }
            });
        }
    }
}

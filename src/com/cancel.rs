//! Asks if the client has cancelled the running call (`CoCancelCall`).

#![cfg_attr(
    windows,
    expect(
        unsafe_code,
        reason = "the system tells it through an interface of its own"
    )
)]

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};

use crate::base::progress::{Observer, Progress};

/// Ends an operation when the client of the call cancels it. COM tells that on the thread of the
/// call alone; the other threads of the operation see what was seen there.
pub(super) struct UntilCancelled {
    call: ThreadId,
    is_cancelled: AtomicBool,
}

impl UntilCancelled {
    /// The observer for the call that runs on this thread.
    pub(super) fn new() -> Self {
        Self {
            call: thread::current().id(),
            is_cancelled: AtomicBool::new(false),
        }
    }
}

impl Observer for UntilCancelled {
    fn progress(&self, _: Progress) -> ControlFlow<()> {
        if thread::current().id() == self.call && is_cancelled() {
            self.is_cancelled.store(true, Ordering::Relaxed);
        }
        match self.is_cancelled.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Elsewhere nobody cancels calls.
#[cfg(not(windows))]
fn is_cancelled() -> bool {
    false
}

#[cfg(windows)]
use windows::is_cancelled;

#[cfg(windows)]
#[allow(
    missing_docs,
    non_snake_case,
    reason = "the macro makes items of its own"
)]
mod windows {
    use std::ffi::c_void;
    use std::ptr;

    use windows_core::IUnknown_Vtbl;
    use windows_core::{HRESULT, IUnknown, Interface, interface};
    use windows_sys::Win32::Foundation::RPC_E_CALL_CANCELED;
    use windows_sys::Win32::System::Com::CoGetCallContext;

    #[interface("00000029-0000-0000-c000-000000000046")]
    unsafe trait ICancelMethodCalls: IUnknown {
        unsafe fn Cancel(&self, seconds: u32) -> HRESULT;
        unsafe fn TestCancel(&self) -> HRESULT;
    }

    /// What `CoTestCancel` answers, by the interface that it asks: not every system that runs
    /// programs of Windows has the function. A call without a context, by a plain pointer, cannot
    /// be cancelled.
    pub(super) fn is_cancelled() -> bool {
        let iid = ICancelMethodCalls::IID;
        let mut raw: *mut c_void = ptr::null_mut();
        // SAFETY: both types of identifiers have one layout, and `raw` is where the result belongs.
        if unsafe { CoGetCallContext((&raw const iid).cast(), &raw mut raw) } < 0 || raw.is_null() {
            return false;
        }
        // SAFETY: the system gave a reference to this interface, and it is ours.
        let context = unsafe { ICancelMethodCalls::from_raw(raw) };
        // SAFETY: the call takes nothing; it is made on the thread of the call, as it must be.
        unsafe { context.TestCancel() }.0 == RPC_E_CALL_CANCELED
    }
}

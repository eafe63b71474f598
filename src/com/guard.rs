//! Around every method: no panic leaves it, and the caller finds the reason of a failure.

use std::panic::{AssertUnwindSafe, catch_unwind};

use windows_core::HRESULT;

use super::error_info;
use super::failure::Failure;

/// `S_OK`.
pub(super) const S_OK: HRESULT = HRESULT(0);
/// `S_FALSE`.
pub(super) const S_FALSE: HRESULT = HRESULT(1);
/// `E_POINTER`.
pub(super) const E_POINTER: HRESULT = HRESULT(0x8000_4003_u32.cast_signed());

/// Runs a method. A panic that crossed into COM would end the process of the caller.
///
/// Nothing is broken when a call is cut off: what it shares with others is behind locks, which are
/// released, and the engine lets nothing more be written after a write that did not end.
pub(super) fn call(method: impl FnOnce() -> Result<(), Failure>) -> HRESULT {
    error_info::clear();
    let result = catch_unwind(AssertUnwindSafe(method));
    match result.unwrap_or_else(|payload| Err(Failure::panicked(&*payload))) {
        Ok(()) => S_OK,
        Err(failure) => {
            error_info::set(&failure);
            failure.hresult()
        }
    }
}

/// Runs what no one waits for, and lets no panic out.
pub(super) fn contain(work: impl FnOnce()) {
    // The panic was reported when it began; nobody is here to be told again.
    catch_unwind(AssertUnwindSafe(work)).ok();
}

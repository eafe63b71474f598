//! Vocabulary of all layers: page numbers, sites, errors, limits, progress. No bytes, no I/O.

pub mod calendar;
pub mod corruption;
pub mod error;
pub mod escape;
pub mod filetime;
pub(crate) mod findings;
pub mod hresult;
pub mod io_op;
pub mod limits;
pub mod misuse;
pub mod moment;
pub(crate) mod pace;
pub mod page_no;
pub(crate) mod parallel;
pub mod progress;
pub mod query_error;
pub(crate) mod random;
pub mod reason;
pub mod rule;
pub mod site;
pub(crate) mod trace;

/// Widens a 32-bit number from a file to an index. Lossless on every supported platform.
pub(crate) const fn widen(value: u32) -> usize {
    const { assert!(usize::BITS >= 32) };
    value as usize
}

/// Narrows a length to 32 bits, or to `u32::MAX` if it does not fit. Meant for counts that are
/// already bounded.
pub(crate) fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

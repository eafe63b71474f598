//! The COM object through its real vtables, in this process, on every platform. What only Windows
//! has (the token, the registry, error info, apartments) the native clients beside this file drive.

#![cfg(feature = "windows")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]
#![allow(unsafe_code, reason = "a COM object is called through raw pointers")]

mod calls;
mod host;
mod object;
mod repository;

use calls::*;

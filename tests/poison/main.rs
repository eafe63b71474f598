//! One poisonous repository through the printer, the MOF writer and every verb of the command.
//!
//! On Unix alone: what names of files may hold differs elsewhere, and each call is slow under Wine.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

#[cfg(feature = "cli")]
#[path = "../support/bmf.rs"]
mod bmf;
#[path = "../support/mod.rs"]
mod support;

mod brew;
mod mof;
mod shows;
#[cfg(feature = "cli")]
mod verbs;

//! One poisonous repository through the printer, the MOF writer and every verb of the command.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on stops")]

#[path = "../support/mod.rs"]
mod support;

mod brew;
mod mof;
mod shows;
#[cfg(feature = "cli")]
mod verbs;

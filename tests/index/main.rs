//! A damaged index: one bad page hides only the keys it holds itself, and "not there" is said only
//! when every page on the way was read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod damage;
mod each_page;
mod hostile;
mod model;
#[path = "../support/mod.rs"]
mod support;
mod torn_copy;
#[cfg(feature = "cli")]
mod verb;

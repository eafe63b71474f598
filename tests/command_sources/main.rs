//! Several repositories and collected trees in one run: the search in the library, and the command that reads what it finds.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on stops")]
#![cfg(feature = "cli")]

mod finder;

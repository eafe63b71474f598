//! MOF as text: what is read, what is refused and where, and that the printer and the parser agree.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod syntax;
mod trees;

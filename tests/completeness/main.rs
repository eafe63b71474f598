//! Nothing is done to the wrong object, and nothing is hidden: what a damaged repository still
//! holds is shown, and what is lost is named or counted.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

#[path = "../support/mod.rs"]
mod support;

mod lab;
mod left;
mod model;
mod paths;
mod shapes;
mod torn;

//! Binary MOF: what is written is read again, real files are read wholly, and damage is an error.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

#[path = "../support/bmf.rs"]
mod encoder;

mod damage;
mod made;
mod real;
mod round_trip;

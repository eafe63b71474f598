//! WQL: what is read and refused, what a query answers, and by which way.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod codes;
mod comparing;
mod generated;
mod like;
mod made_up;
mod naive;
mod parsing;
mod plans;
mod rules;
mod schema;
mod states;

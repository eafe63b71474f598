//! Classes, instances and references: what holds for those of every real repository, and for any
//! that can be made up.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod catalog;
mod levels;
mod made_up;
mod real;

//! Objects are changed, and every key, record and rule is what it has to be.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod creating;
mod edits;
mod importing;
mod lab;
mod model;
mod namespaces;
mod part;
mod real_edits;
mod rebuild;
mod rules;

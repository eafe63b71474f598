//! The index: a B-tree of keys in the pages of INDEX.BTR.

pub mod build;
pub mod edit;
mod levels;
mod merge;
mod node;
pub mod scan;
pub mod search;
mod strays;
pub mod survey;
mod walk;

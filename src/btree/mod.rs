//! The index: a B-tree of keys in the pages of INDEX.BTR.

pub mod build;
pub mod edit;
mod node;
pub mod scan;
pub mod search;

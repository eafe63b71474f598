//! The parts that verbs share: the printer, sources, listings, progress and interrupts.

pub mod affected;
pub mod diagnostic;
pub mod file;
pub mod inside;
pub mod interrupt;
pub mod journal;
pub mod listing;
pub mod mof_text;
pub mod near;
pub mod output;
pub mod progress;
pub mod proof;
pub mod query_rows;
pub mod signing;
pub mod source;

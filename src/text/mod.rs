//! The languages that people write and read CIM objects in: text to model and back; no I/O.

pub mod cursor;
pub mod diagnostic;
pub mod excerpt;
pub mod mof;
pub mod span;
pub mod wql;

//! Objects: namespaces, classes and instances, read from a snapshot and changed in a transaction.

mod convert;
pub mod create;
pub(crate) mod read;
pub(crate) mod write;

pub use convert::{Converted, convert};
pub use create::{create, create_bare};
pub use read::*;
pub use write::*;

//! The handles people hold: a repository, and snapshots of it.

mod open;
mod snapshot;

pub use open::{OpenOptions, Repository};
pub use snapshot::{Counts, Snapshot};

//! The handles people hold: a repository, snapshots of it, and the builder of new ones.

mod build;
pub(crate) mod gate;
pub(crate) mod lock;
mod open;
mod snapshot;
mod unmapped;

pub use crate::pager::survey::IndexHealth;
pub use build::BulkBuilder;
pub use gate::Activity;
pub use gate::state::OwnerId;
pub use open::{OpenOptions, Repository};
pub use snapshot::{Counts, Snapshot};
pub use unmapped::UnmappedFiles;

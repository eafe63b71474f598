//! The handles people hold: a repository, snapshots of it, and the builder of new ones.

mod build;
pub(crate) mod gate;
pub(crate) mod journals;
pub(crate) mod lock;
mod open;
pub(crate) mod replay;
mod snapshot;
mod token;
mod unmapped;

pub use crate::pager::survey::IndexHealth;
pub use build::BulkBuilder;
pub use gate::Activity;
pub use gate::state::OwnerId;
pub use journals::{JournalFate, JournalFile, Journals};
pub use open::{OpenOptions, Repository};
pub use snapshot::{Counts, Snapshot};
pub use token::PauseToken;
pub use unmapped::UnmappedFiles;

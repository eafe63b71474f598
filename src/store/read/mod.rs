//! The handles that callers hold: a repository, snapshots of it, and the builder of new ones.

mod build;
pub(crate) mod journals;
mod open;
pub(crate) mod replay;
mod snapshot;
mod token;
mod unmapped;

pub use build::BulkBuilder;
pub use journals::{JournalFate, JournalFile, Journals};
pub use open::{OpenOptions, Repository};
pub use snapshot::{Counts, Snapshot};
pub use token::PauseToken;
pub use unmapped::UnmappedFiles;

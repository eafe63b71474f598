//! Keys and records: repositories and snapshots for reading, an engine with transactions for
//! writing.

pub(crate) mod read;
pub(crate) mod write;

pub use crate::gate::Activity;
pub use crate::gate::state::OwnerId;
pub use crate::pager::state::survey::IndexHealth;
pub use read::{
    BulkBuilder, Counts, JournalFate, JournalFile, Journals, OpenOptions, PauseToken, Repository,
    Snapshot, UnmappedFiles,
};
pub use write::{
    CompactSummary, Durability, Engine, EngineInfo, EngineOptions, Savepoint, SpaceSize,
    Transaction,
};
pub(crate) use write::{Referrer, Replacing};

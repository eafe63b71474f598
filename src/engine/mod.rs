//! Writing a repository: transactions, snapshots, a journal, checkpoints.
//!
//! One transaction writes at a time; it works on pages in memory. A commit appends one frame to the journal and syncs it;
//! commits that wait at the same moment share a sync. Now and then a checkpoint writes the changed pages to free places and
//! a whole mapping behind them, as Windows does (`docs::invariants`), and the journal begins anew. So the files are a
//! repository at every moment, and a reader that knows nothing of the journal sees the last checkpoint.

mod background;
mod checkpoint;
mod group_commit;
mod journaling;
mod recovery;
mod transaction;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::base::error::{Error, Result};
use crate::format::journal::CommitBuilder;
use crate::heap::edit::HeapEditor;
use crate::pager::files::RepositoryFiles;
use crate::pager::image::{DEFAULT_CACHE_PAGES, Image};
use crate::pager::journal::Journal;
use crate::pager::working::Working;
use crate::repository::Snapshot;
use crate::repository::lock::WriterLock;
use crate::storage::Directory;

use background::Background;
use checkpoint::OnDisk;
use group_commit::GroupCommit;
pub use transaction::{Savepoint, Transaction};

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When its frame in the journal is durable.
    #[default]
    Journal,
    /// When the repository itself is: each commit writes a generation. Slow, and leaves no journal.
    Checkpoint,
    /// At once; it is durable with the next checkpoint, which [`Engine::checkpoint`] makes. A crash before it takes back this
    /// commit and all behind it. For bulk loads.
    None,
}

/// How a repository is opened for writing.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    durability: Durability,
    cache_pages: usize,
    checkpoint_bytes: u64,
    checkpoint_age: Duration,
    background: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            cache_pages: DEFAULT_CACHE_PAGES,
            checkpoint_bytes: 16 << 20,
            checkpoint_age: Duration::from_secs(60),
            background: true,
        }
    }
}

impl EngineOptions {
    /// Commits are durable by the journal; a thread makes checkpoints when the journal has 16 MiB or is a minute old.
    pub fn new() -> Self {
        Self::default()
    }

    /// When commits count as done, unless a transaction says otherwise.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Pages of 8 KiB that are kept in memory, of each generation that someone looks at; index pages take up to three times as much.
    pub fn cache_pages(mut self, pages: usize) -> Self {
        self.cache_pages = pages;
        self
    }

    /// Size of the journal in bytes, and age of its oldest commit, at which a checkpoint is made.
    pub fn checkpoint_at(mut self, bytes: u64, age: Duration) -> Self {
        (self.checkpoint_bytes, self.checkpoint_age) = (bytes, age);
        self
    }

    /// Whether a thread makes checkpoints. Without it a commit that finds the journal full makes one itself.
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// Opens the repository at `path` for writing. Commits that an earlier process left in the journal are taken over.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process writes; [`Error::Unsupported`] for dialect 2.1; [`Error::NotARepository`] when no
    /// generation is whole, or a journal continues one that is not there; [`Error::Io`] when the system refuses.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Engine> {
        self.open_in(&Directory::real(path.as_ref()))
    }

    /// As [`open`](Self::open), for a directory of any storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(self, directory: &Directory) -> Result<Engine> {
        recovery::open(directory, self)
    }
}

/// A repository opened for writing. Dropping it closes it; [`close`](Self::close) says whether that worked.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    background: Option<Background>,
}

/// What transactions, checkpoints and the background thread share.
///
/// Locks are taken in this order: `writer`, `on_disk`, the group commit's, `published`.
#[derive(Debug)]
struct Shared {
    files: RepositoryFiles,
    options: EngineOptions,
    writer: Mutex<Writer>,
    on_disk: Mutex<OnDisk>,
    group: GroupCommit,
    published: RwLock<Arc<Image>>,
    /// Why nothing can be written any more.
    poison: OnceLock<Box<str>>,
    _lock: WriterLock,
}

/// The state that transactions change, one at a time.
#[derive(Debug)]
struct Writer {
    working: Working,
    /// Made with the first change of the heap.
    heap: Option<HeapEditor>,
    /// Made with the first commit after a checkpoint.
    journal: Option<Journal>,
    /// When its first commit was made.
    journal_since: Option<Instant>,
    next_commit: u64,
    /// For the operations of the next transaction: the memory of the last one's.
    spare: CommitBuilder,
    /// Whether there are commits that the journal does not hold: then no later one may go there.
    is_unlogged: bool,
}

impl Engine {
    /// Opens a repository for writing, with default options.
    ///
    /// # Errors
    /// As [`EngineOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        EngineOptions::new().open(path)
    }

    /// The state after the last commit that is done. It never changes, and keeps the pages it needs from being reused.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.shared.published.read().clone())
    }

    /// Begins a transaction; waits until no other runs.
    ///
    /// # Errors
    /// [`Error::Poisoned`] after a write that failed.
    pub fn begin_write(&self) -> Result<Transaction<'_>> {
        self.shared.check()?;
        Ok(Transaction::begin(&self.shared, self.shared.writer.lock()))
    }

    /// Writes all commits into the repository itself; does nothing when it has them. Waits until no transaction runs.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses: nothing is lost then, the journal still has the commits.
    /// [`Error::Poisoned`] after a write that failed.
    pub fn checkpoint(&self) -> Result<()> {
        self.shared.checkpoint()
    }

    /// The files.
    pub fn directory(&self) -> &Directory {
        &self.shared.files.directory
    }

    /// Makes a checkpoint, marks the repository as closed in order, removes the journal and releases the lock.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn close(mut self) -> Result<()> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<()> {
        drop(self.background.take());
        self.shared.close()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Whoever wants to know whether it worked calls `close`; the journal keeps what could not be written.
        self.shut_down().ok();
    }
}

impl Shared {
    /// Fails when a write failed before.
    fn check(&self) -> Result<()> {
        match self.poison.get() {
            Some(reason) => Err(Error::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    /// After this error it is not known what the files hold: nothing more is written.
    fn poison(&self, error: &Error) {
        self.poison.get_or_init(|| error.to_string().into());
    }
}

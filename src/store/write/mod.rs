//! Writing a repository: transactions, snapshots, a journal, checkpoints.
//!
//! One transaction writes at a time; it works on pages in memory. A commit appends one frame to the
//! journal and syncs it. Commits that wait at the same moment share a sync. Now and then a
//! checkpoint writes the changed pages to free places and then a complete mapping, as Windows does
//! (`docs::invariants`), and the journal starts over. So the files are a valid repository at every
//! moment, and a reader that knows nothing of the journal sees the last checkpoint.

mod background;
mod checkpoint;
mod compact;
mod group_commit;
mod journaling;
mod recovery;
mod referrers;
mod replace;
mod rewrite;
mod transaction;

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::base::error::{Error, Result};
use crate::base::limits::WINDOWS_REPOSITORY_BYTES;
use crate::base::page_no::{PAGE_SIZE, Space};
use crate::format::own::journal::CommitBuilder;
use crate::gate::state::ConnectionId;
use crate::gate::{Gate, Wait};
use crate::heap::edit::HeapEditor;
use crate::pager::files::RepositoryFiles;
use crate::pager::journal::Journal;
use crate::pager::lock::{LockWait, WriterLock};
use crate::pager::state::image::{DEFAULT_CACHE_PAGES, Image};
use crate::pager::state::working::Working;
use crate::storage::Directory;
use crate::store::{PauseToken, Snapshot};

use background::Background;
use checkpoint::OnDisk;
pub use compact::{CompactSummary, SpaceSize};
use group_commit::GroupCommit;
pub(crate) use referrers::Referrer;
use referrers::Referrers;
pub(crate) use replace::Replacing;
pub use transaction::{Savepoint, Transaction};

/// The point at which a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When its frame in the journal is durable.
    #[default]
    Journal,
    /// When the repository itself contains it durably: each commit writes a generation. Slow, but
    /// leaves no journal.
    Checkpoint,
    /// At once. It becomes durable with the next checkpoint, which [`Engine::checkpoint`] makes. A
    /// crash before that undoes this commit and all later ones. Meant for bulk loads.
    None,
}

/// A check of the state in a directory.
pub(crate) type Check = fn(&Directory, &Snapshot) -> Result<()>;

/// Options for opening a repository for writing.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    durability: Durability,
    cache_pages: usize,
    checkpoint_bytes: u64,
    checkpoint_age: Duration,
    background: bool,
    check: Option<Check>,
    wait: Option<Duration>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            cache_pages: DEFAULT_CACHE_PAGES,
            checkpoint_bytes: 16 << 20,
            checkpoint_age: Duration::from_secs(60),
            background: true,
            check: None,
            wait: None,
        }
    }
}

impl EngineOptions {
    /// The defaults: the journal makes commits durable, and a thread makes checkpoints when the
    /// journal reaches 16 MiB or is a minute old.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets when commits count as done, unless a transaction overrides it.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Number of pages of 8 KiB that are kept in memory for each generation in use. Index pages
    /// take up to three times as much.
    pub fn cache_pages(mut self, pages: usize) -> Self {
        self.cache_pages = pages;
        self
    }

    /// Sets the size of the journal in bytes and the age of its oldest commit that trigger a
    /// checkpoint.
    pub fn checkpoint_at(mut self, bytes: u64, age: Duration) -> Self {
        (self.checkpoint_bytes, self.checkpoint_age) = (bytes, age);
        self
    }

    /// If true, a thread makes checkpoints. Otherwise a commit that finds the journal full makes
    /// one itself.
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// Sets a check of the state before the first write. If it returns an error, opening fails.
    pub(crate) fn check(mut self, check: Option<Check>) -> Self {
        self.check = check;
        self
    }

    /// Sets how long to wait for another process that has the repository open for writing. The
    /// default is not to wait.
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = Some(limit);
        self
    }

    /// Opens the repository at `path` for writing. Commits that an earlier process left in the
    /// journal are included.
    ///
    /// # Errors
    /// Returns [`Error::Locked`] while another process writes, [`Error::Unsupported`] for dialect
    /// 2.1, [`Error::NotARepository`] if no generation is whole, a journal continues a missing one,
    /// or a check found damage, and [`Error::Io`] if the system refuses.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Engine> {
        self.open_in(&Directory::real(path.as_ref()))
    }

    /// Opens the repository in a directory of any storage; otherwise like [`open`](Self::open).
    ///
    /// # Errors
    /// The errors of [`open`](Self::open).
    pub fn open_in(self, directory: &Directory) -> Result<Engine> {
        LockWait::new(self.wait, &|| Ok(())).take(|| recovery::open(directory, self.clone()))
    }
}

/// The size of a repository, and the amount of work for the next checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineInfo {
    /// The generation on disk.
    pub generation: u32,
    /// Number of commits that are in the journal or only in memory, and not in that generation.
    pub commits_waiting: u32,
    /// Number of pages that the next checkpoint writes.
    pub pages_waiting: u64,
    /// Length of the journal in bytes.
    pub journal_bytes: u64,
    /// Length of both data files in bytes.
    pub data_bytes: u64,
    /// True if the data files, with the waiting pages, exceed the size that Windows documents for a
    /// repository (4 GB). The engine goes on, up to mapping files of 16 MiB, but Windows may not.
    pub is_beyond_windows: bool,
}

/// A repository opened for writing. Dropping it closes it; [`close`](Self::close) also reports
/// whether that succeeded.
///
/// ```no_run
/// # fn main() -> cimrepo::Result<()> {
/// let engine = cimrepo::Engine::open("Repository")?;
/// let mut writer = engine.begin_catalog_write()?;
/// writer.delete_class(r"root\Shop", "Shelf")?;
/// writer.commit()?;
/// engine.close()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    background: Option<Background>,
}

/// The state shared by transactions, checkpoints and the background thread.
///
/// The turn at the gate is taken before all locks. The locks are taken in this order: `writer`,
/// `on_disk`, the group commit's, `published`.
#[derive(Debug)]
struct Shared {
    files: RepositoryFiles,
    options: EngineOptions,
    gate: Gate,
    writer: Arc<Mutex<Writer>>,
    on_disk: Mutex<OnDisk>,
    group: GroupCommit,
    published: RwLock<Arc<Image>>,
    /// Why nothing can be written any more, if so.
    poison: OnceLock<Box<str>>,
    /// The greatest time stamp of any object; 0 while unknown. `changes` finds and maintains it.
    last_stamp: AtomicU64,
    /// References into missing namespaces. `changes` finds and maintains them.
    referrers: Mutex<Referrers>,
    _lock: WriterLock,
}

/// The state that transactions change, one at a time.
#[derive(Debug)]
struct Writer {
    working: Working,
    /// Created at the first change of the heap.
    heap: Option<HeapEditor>,
    /// Created at the first commit after a checkpoint.
    journal: Option<Journal>,
    /// Time of its first commit.
    journal_since: Option<Instant>,
    next_commit: u64,
    /// The memory of the last transaction's operations, for the next one.
    spare: CommitBuilder,
    /// True if there are commits outside the journal, so that no later commit may go there.
    is_unlogged: bool,
}

impl Engine {
    /// Opens a repository for writing with default options.
    ///
    /// # Errors
    /// The errors of [`EngineOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        EngineOptions::new().open(path)
    }

    /// The state after the last completed commit. It never changes, and its pages are not reused as
    /// long as this engine lives. A snapshot that outlives the engine can be read until another
    /// writer reuses its pages, which takes at least five generations. Reused pages are detected by
    /// their checksums.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.shared.published.read().clone())
    }

    /// Begins a transaction. Waits until no other one is running and no pause is in force. Callers
    /// are served in order of arrival.
    ///
    /// # Errors
    /// Returns [`Error::Poisoned`] after a failed write.
    pub fn begin_write(&self) -> Result<Transaction<'_>> {
        self.begin(None, Wait::ForEver)
    }

    /// Begins a transaction, waiting at most `limit`.
    ///
    /// # Errors
    /// Returns [`Error::Timeout`] if the turn does not come in time, and [`Error::Poisoned`] after
    /// a failed write.
    pub fn begin_write_within(&self, limit: Duration) -> Result<Transaction<'_>> {
        self.begin(None, Wait::at_most(Some(limit)))
    }

    /// Begins a transaction without waiting.
    ///
    /// # Errors
    /// Returns [`Error::Busy`] if the turn is taken, and [`Error::Poisoned`] after a failed write.
    pub fn try_begin_write(&self) -> Result<Transaction<'_>> {
        self.begin(None, Wait::No)
    }

    /// Begins a transaction that does not borrow the engine. It must end before the engine is
    /// closed.
    pub(crate) fn begin(
        &self,
        connection: Option<ConnectionId>,
        wait: Wait,
    ) -> Result<Transaction<'static>> {
        self.shared.check()?;
        let pass = self.shared.gate.enter(connection, wait)?;
        self.shared.check()?;
        let writer = match wait {
            Wait::Until(moment) => self.shared.writer.try_lock_arc_until(moment),
            Wait::No => self.shared.writer.try_lock_arc(),
            Wait::ForEver => Some(self.shared.writer.lock_arc()),
        };
        // A checkpoint holds the lock.
        let writer = writer.ok_or(match wait {
            Wait::No => Error::Busy,
            _ => Error::Timeout {
                what: "the end of a checkpoint",
            },
        })?;
        Ok(Transaction::begin(self.shared.clone(), writer, pass))
    }

    /// Fails if nothing can be written any more.
    pub(crate) fn need_writable(&self) -> Result<()> {
        self.shared.check()
    }

    /// The gate where writers wait for their turn.
    pub(crate) fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// Writes all commits into the repository itself, if there are any. Waits until no transaction
    /// is running.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the system refuses; nothing is lost then, because the journal still
    /// has the commits. Returns [`Error::Poisoned`] after a failed write.
    pub fn checkpoint(&self) -> Result<()> {
        self.shared.gate.ensure_outside()?;
        self.shared.checkpoint()
    }

    /// Brings everything to the files, and returns the token of the resulting state. The caller
    /// holds the turn of a pause, so nobody writes in the meantime.
    pub(crate) fn pause_token(&self) -> Result<PauseToken> {
        self.checkpoint()?;
        PauseToken::of_image(&self.shared.files, self.snapshot().image())
    }

    /// The size of the repository, and the part of it that waits in the journal.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the system refuses.
    pub fn info(&self) -> Result<EngineInfo> {
        self.shared.gate.ensure_outside()?;
        let writer = self.shared.writer.lock();
        let image = writer.working.image();
        let data = self.shared.files.open_data()?;
        let pages_waiting = Space::ALL
            .map(|space| image.overlay().table(space).len() as u64)
            .iter()
            .sum();
        let bytes = |space| data.get(space).map_or(0, |file| file.len);
        let data_bytes = bytes(Space::Objects) + bytes(Space::Index);
        Ok(EngineInfo {
            generation: image.base().mapping().generation(),
            commits_waiting: image.overlay().commits,
            pages_waiting,
            journal_bytes: writer.journal.as_ref().map_or(0, Journal::len),
            data_bytes,
            is_beyond_windows: data_bytes + pages_waiting * PAGE_SIZE as u64
                > WINDOWS_REPOSITORY_BYTES,
        })
    }

    /// The directory of the files.
    pub fn directory(&self) -> &Directory {
        &self.shared.files.directory
    }

    /// Makes a checkpoint, marks the repository as closed in order, removes the journal and
    /// releases the lock.
    ///
    /// # Errors
    /// The errors of [`checkpoint`](Self::checkpoint).
    pub fn close(mut self) -> Result<()> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<()> {
        self.shared.gate.close();
        drop(self.background.take());
        self.shared.close()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Callers that need the result call `close`. The journal keeps what could not be written.
        self.shut_down().ok();
    }
}

impl Shared {
    /// Fails after a failed write.
    fn check(&self) -> Result<()> {
        match self.poison.get() {
            Some(reason) => Err(Error::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    /// Stops all writing, because after this error the content of the files is unknown.
    fn poison(&self, error: &Error) {
        self.poison.get_or_init(|| error.to_string().into());
    }
}

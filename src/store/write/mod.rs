//! Writing a repository: transactions, snapshots, a journal, checkpoints.
//!
//! One transaction writes at a time; it works on pages in memory. A commit appends one frame to the
//! journal and syncs it; commits that wait at the same moment share a sync. Now and then a
//! checkpoint writes the changed pages to free places and a whole mapping behind them, as Windows
//! does (`docs::invariants`), and the journal begins anew. So the files are a repository at every
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

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When its frame in the journal is durable.
    #[default]
    Journal,
    /// When the repository itself is: each commit writes a generation. Slow, and leaves no journal.
    Checkpoint,
    /// At once; it is durable with the next checkpoint, which [`Engine::checkpoint`] makes. A crash
    /// before it takes back this commit and all behind it. For bulk loads.
    None,
}

/// A judgement of the state in a directory.
pub(crate) type Check = fn(&Directory, &Snapshot) -> Result<()>;

/// How a repository is opened for writing.
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
    /// Commits are durable by the journal; a thread makes checkpoints when the journal has 16 MiB
    /// or is a minute old.
    pub fn new() -> Self {
        Self::default()
    }

    /// When commits count as done, unless a transaction says otherwise.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Pages of 8 KiB that are kept in memory, of each generation that someone looks at; index
    /// pages take up to three times as much.
    pub fn cache_pages(mut self, pages: usize) -> Self {
        self.cache_pages = pages;
        self
    }

    /// Size of the journal in bytes, and age of its oldest commit, at which a checkpoint is made.
    pub fn checkpoint_at(mut self, bytes: u64, age: Duration) -> Self {
        (self.checkpoint_bytes, self.checkpoint_age) = (bytes, age);
        self
    }

    /// True if a thread makes checkpoints. Without it a commit that finds the journal full makes
    /// one itself.
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// Has a state judged before the first write: an error refuses to open it.
    pub(crate) fn check(mut self, check: Option<Check>) -> Self {
        self.check = check;
        self
    }

    /// How long another process that has the repository open for writing is waited for; not at all
    /// unless given.
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = Some(limit);
        self
    }

    /// Opens the repository at `path` for writing. Commits that an earlier process left in the
    /// journal are taken over.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process writes; [`Error::Unsupported`] for dialect 2.1;
    /// [`Error::NotARepository`] when no generation is whole, a journal continues one that is not
    /// there, or what was verified is damaged; [`Error::Io`] when the system refuses.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Engine> {
        self.open_in(&Directory::real(path.as_ref()))
    }

    /// As [`open`](Self::open), for a directory of any storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(self, directory: &Directory) -> Result<Engine> {
        LockWait::new(self.wait, &|| Ok(())).take(|| recovery::open(directory, self.clone()))
    }
}

/// How large a repository is, and what waits for the next checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineInfo {
    /// The generation on disk.
    pub generation: u32,
    /// Commits that are in the journal, or in memory alone, and not in that generation.
    pub commits_waiting: u32,
    /// Pages that the next checkpoint writes.
    pub pages_waiting: u64,
    /// Length of the journal in bytes.
    pub journal_bytes: u64,
    /// Length of both data files in bytes.
    pub data_bytes: u64,
    /// True if that, with what waits, is more than Windows documents for a repository (4 GB): the
    /// engine goes on, up to mapping files of 16 MiB; Windows may not.
    pub is_beyond_windows: bool,
}

/// A repository opened for writing. Dropping it closes it; [`close`](Self::close) says whether that
/// worked.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    background: Option<Background>,
}

/// What transactions, checkpoints and the background thread share.
///
/// The turn at the gate is taken before all locks. Locks are taken in this order: `writer`,
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
    /// Why nothing can be written any more.
    poison: OnceLock<Box<str>>,
    /// The greatest time stamp that an object has, 0 while that is not known: `changes` finds and
    /// keeps it.
    last_stamp: AtomicU64,
    /// What refers into namespaces that are not there: `changes` finds and keeps it.
    referrers: Mutex<Referrers>,
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
    /// True if there are commits that the journal does not hold: then no later one may go there.
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

    /// The state after the last commit that is done. It never changes, and keeps the pages it needs
    /// from being reused, as long as this engine lives. One that outlives it can be read until
    /// another writer takes its pages, which are left alone for five generations at least; a page
    /// that was taken is told by its checksum.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.shared.published.read().clone())
    }

    /// Begins a transaction; waits until no other runs and no pause is in force. Who asks first
    /// comes first.
    ///
    /// # Errors
    /// [`Error::Poisoned`] after a write that failed.
    pub fn begin_write(&self) -> Result<Transaction<'_>> {
        self.begin(None, Wait::ForEver)
    }

    /// As [`begin_write`](Self::begin_write), but waits at most so long.
    ///
    /// # Errors
    /// [`Error::Timeout`] when the turn did not come; [`Error::Poisoned`] after a write that
    /// failed.
    pub fn begin_write_within(&self, limit: Duration) -> Result<Transaction<'_>> {
        self.begin(None, Wait::at_most(Some(limit)))
    }

    /// As [`begin_write`](Self::begin_write), but does not wait.
    ///
    /// # Errors
    /// [`Error::Busy`] when another has the turn; [`Error::Poisoned`] after a write that failed.
    pub fn try_begin_write(&self) -> Result<Transaction<'_>> {
        self.begin(None, Wait::No)
    }

    /// Begins a transaction that does not borrow the engine. It has to be gone before the engine is
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
        // A checkpoint has it.
        let writer = writer.ok_or(match wait {
            Wait::No => Error::Busy,
            _ => Error::Timeout {
                what: "the end of a checkpoint",
            },
        })?;
        Ok(Transaction::begin(self.shared.clone(), writer, pass))
    }

    /// Fails when nothing can be written any more.
    pub(crate) fn need_writable(&self) -> Result<()> {
        self.shared.check()
    }

    /// Where writers wait for their turn.
    pub(crate) fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// Writes all commits into the repository itself; does nothing when it has them. Waits until no
    /// transaction runs.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses: nothing is lost then, the journal still has the
    /// commits. [`Error::Poisoned`] after a write that failed.
    pub fn checkpoint(&self) -> Result<()> {
        self.shared.gate.ensure_outside()?;
        self.shared.checkpoint()
    }

    /// Brings everything to the files, and names the state that they hold then. The caller has the
    /// turn of a pause, so nobody writes meanwhile.
    pub(crate) fn pause_token(&self) -> Result<PauseToken> {
        self.checkpoint()?;
        PauseToken::of_image(&self.shared.files, self.snapshot().image())
    }

    /// How large the repository is, and how much of it waits in the journal.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses.
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

    /// The files.
    pub fn directory(&self) -> &Directory {
        &self.shared.files.directory
    }

    /// Makes a checkpoint, marks the repository as closed in order, removes the journal and
    /// releases the lock.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
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
        // Whoever wants to know whether it worked calls `close`; the journal keeps what could not
        // be written.
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

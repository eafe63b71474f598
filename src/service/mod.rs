//! A repository in use: clients on connections, and objects that back it up, pause it and restore
//! it beneath them.
//!
//! [`Service`] is what a server has for its repository, and an embedder that wants the same
//! promises. It gives [`Connection`]s, on which clients read and write, and [`BackupRestore`]
//! objects, the twins of the COM object of `IWbemBackupRestoreEx`. What each of them promises
//! stands in `docs::pausing` and, requirement by requirement, in `docs::contract`.

mod backup_restore;
mod caller;
mod connection;
mod namespace;
mod namespace_query;
mod namespace_writer;
mod options;
mod paused;
mod root;
mod standby;
mod writing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};

use crate::base::error::{Error, Result};
use crate::base::progress::Observer;
use crate::gate::state::ConnectionId;
use crate::gate::{Activity, Gate, Wait};
use crate::storage::Directory;
use crate::store::{CompactSummary, Engine, EngineOptions};
use crate::store::{OwnerId, PauseToken, Snapshot};

pub use backup_restore::{BackupAndRestore, BackupRestore, BackupRestoreFlags, LiveRestoreOptions};
pub use caller::{Caller, EachCall, Identified, Operation, Trusted};
pub use connection::{Connection, Enumeration, View};
pub use namespace::{NamespaceConnection, NamespaceView};
pub use namespace_query::NamespaceRows;
pub use namespace_writer::NamespaceWriter;
pub use options::{FlagZero, ObjectOptions};
pub use paused::{PauseOptions, PausedRun, pause_repository};
pub use root::Root;
pub use standby::{Standby, StandbyObject};
pub use writing::WriteTransaction;

use connection::Link;

/// How long a pause lasts at most, unless told otherwise: 15 minutes, as Windows has it.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(15 * 60);

/// How long a call waits at most for others, unless told otherwise: as long as a pause may last, so
/// that one that waits for the end of a pause sees it.
pub const DEFAULT_LIMIT: Duration = DEFAULT_LEASE;

/// How a repository is put to use.
#[derive(Debug, Clone, Default)]
pub struct ServiceOptions {
    engine: EngineOptions,
    objects: ObjectOptions,
}

impl ServiceOptions {
    /// The engine's default options; pauses last 15 minutes at most.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the repository is written.
    pub fn engine(mut self, options: EngineOptions) -> Self {
        self.engine = options;
        self
    }

    /// Sets how long a pause lasts at most ([`ObjectOptions::lease`]).
    pub fn lease(mut self, lease: Duration) -> Self {
        self.objects = self.objects.lease(lease);
        self
    }

    /// Sets how long a call waits at most for others ([`ObjectOptions::limit`]).
    pub fn limit(mut self, limit: Duration) -> Self {
        self.objects = self.objects.limit(limit);
        self
    }

    /// Sets what a restore without flags means while clients are connected.
    pub fn flag_zero(mut self, meaning: FlagZero) -> Self {
        self.objects = self.objects.flag_zero(meaning);
        self
    }

    /// Opens the repository at `path`.
    ///
    /// # Errors
    /// As [`EngineOptions::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Service> {
        self.open_in(&Directory::real(path.as_ref()))
    }

    /// As [`open`](Self::open), for a directory of any storage.
    ///
    /// # Errors
    /// As [`EngineOptions::open`].
    pub fn open_in(self, directory: &Directory) -> Result<Service> {
        let engine = self.engine.open_in(directory)?;
        let core = Core {
            gate: engine.gate().clone(),
            directory: engine.directory().clone(),
            engine: RwLock::new(Some(engine)),
            is_closing: AtomicBool::new(false),
            links: Mutex::new(BTreeMap::new()),
            objects: self.objects,
            paused: Mutex::new(None),
        };
        Ok(Service {
            core: Arc::new(core),
        })
    }
}

/// A repository in use. It is closed with the last of its handles: this one, connections, and
/// backup and restore objects; or by [`close`](Self::close), whatever handles there are. Clones are
/// handles of the same.
#[derive(Debug, Clone)]
pub struct Service {
    core: Arc<Core>,
}

/// What the handles of a repository share.
///
/// Locks are taken in this order: `engine`, then those of the engine. `links` and the locks of
/// connections are taken beside them and never held while the gate is waited for.
#[derive(Debug)]
struct Core {
    /// Taken away when the repository is closed. Calls hold it for reading while they last.
    engine: RwLock<Option<Engine>>,
    gate: Gate,
    directory: Directory,
    is_closing: AtomicBool,
    /// The connections that are not gone, to break them.
    links: Mutex<BTreeMap<ConnectionId, Weak<Link>>>,
    objects: ObjectOptions,
    /// What the last pause gave its owner. Whether it is in force is the gate's to say.
    paused: Mutex<Option<(OwnerId, PauseToken)>>,
}

impl Service {
    /// Opens a repository with default options.
    ///
    /// # Errors
    /// As [`EngineOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        ServiceOptions::new().open(path)
    }

    /// Connects code of this process; waits while a restore replaces the content.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn connect(&self) -> Result<Connection> {
        self.connect_as(Arc::new(Trusted), None)
    }

    /// Connects a client; waits while a restore replaces the content, at most as long as `limit`.
    ///
    /// # Errors
    /// What the caller's check says, [`Error::AccessDenied`] as a rule; [`Error::Timeout`];
    /// [`Error::Closed`].
    pub fn connect_as(
        &self,
        caller: Arc<dyn Caller>,
        limit: Option<Duration>,
    ) -> Result<Connection> {
        self.core.ask(caller.as_ref(), Operation::Connect)?;
        let id = self.core.gate.connect(Wait::at_most(limit))?;
        Ok(Connection::new(&self.core, id, caller))
    }

    /// A backup and restore object for code of this process.
    pub fn backup_restore(&self) -> BackupRestore {
        self.backup_restore_as(Arc::new(Trusted))
    }

    /// A backup and restore object; every call on it asks the caller first whether it may.
    pub fn backup_restore_as(&self, caller: Arc<dyn Caller>) -> BackupRestore {
        self.backup_restore_with(caller, self.core.objects)
    }

    /// A backup and restore object with options of its own, whatever those of the service are.
    pub fn backup_restore_with(
        &self,
        caller: Arc<dyn Caller>,
        options: ObjectOptions,
    ) -> BackupRestore {
        BackupRestore::new(
            self.core.clone(),
            OwnerId(self.core.gate.number()),
            caller,
            options,
        )
    }

    /// The options of the objects that are given none.
    pub fn object_options(&self) -> ObjectOptions {
        self.core.objects
    }

    /// The state after the last commit. It is no connection: a restore does not wait for it and
    /// does not break it, it goes on showing what it shows.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.core.engine()?.snapshot())
    }

    /// Whose connections are not gone, in the order in which they were made: whom a restore without
    /// force waits for. Broken ones that their clients still hold are left out.
    pub fn clients(&self) -> Vec<Arc<dyn Caller>> {
        let links: Vec<Arc<Link>> = self
            .core
            .links
            .lock()
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        links
            .iter()
            .filter(|link| link.check().is_ok())
            .map(|link| link.caller.clone())
            .collect()
    }

    /// What goes on: who has paused, for how long yet, whether backups, restores and transactions
    /// run.
    pub fn activity(&self) -> Activity {
        self.core.gate.activity()
    }

    /// The token of the pause that is in force, whoever has paused.
    pub fn pause_token(&self) -> Option<PauseToken> {
        self.core.pause_token().map(|(_, token)| token)
    }

    /// The files.
    pub fn directory(&self) -> &Directory {
        &self.core.directory
    }

    /// Writes all commits into the repository itself.
    ///
    /// # Errors
    /// As [`Engine::checkpoint`]; [`Error::Closed`].
    pub fn checkpoint(&self) -> Result<()> {
        self.core.engine()?.checkpoint()
    }

    /// Writes the content anew into as few pages as it needs ([`Engine::compact`]); takes its turn
    /// as a writer does, so it waits while the repository is paused.
    ///
    /// # Errors
    /// As [`Engine::compact`].
    pub fn compact(&self, observer: &dyn Observer) -> Result<CompactSummary> {
        self.core.engine()?.compact(observer)
    }

    /// Ends pauses, breaks connections, takes running transactions back and closes the repository.
    /// Calls on handles that are left fail with [`Error::Closed`] or [`Error::Disconnected`].
    ///
    /// # Errors
    /// As [`Engine::close`]: the journal keeps what could not be written.
    /// [`Error::InvalidOperation`] from the observer of a compaction or a restore, which would be
    /// waited for: the repository stays open.
    pub fn close(self) -> Result<()> {
        self.core.close()
    }
}

impl Core {
    /// The engine, for a call.
    fn engine(&self) -> Result<MappedRwLockReadGuard<'_, Engine>> {
        if self.is_closing.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        // Recursive: a call may come to need it twice, and must not wait for a close that waits for
        // it.
        let engine = RwLockReadGuard::try_map(self.engine.read_recursive(), Option::as_ref);
        engine.map_err(|_| Error::Closed)
    }

    /// Asks a caller whether it may.
    fn ask(&self, caller: &dyn Caller, operation: Operation) -> Result<()> {
        let snapshot = || Ok(self.engine()?.snapshot());
        caller.check(operation, &Root::new(&snapshot))
    }

    /// The pause that is in force, and its token.
    fn pause_token(&self) -> Option<(OwnerId, PauseToken)> {
        let paused = *self.paused.lock();
        paused.filter(|(owner, _)| self.gate.activity().paused_by == Some(*owner))
    }

    /// Breaks connections.
    fn cut(&self, connections: &[ConnectionId]) {
        for connection in connections {
            let link = self.links.lock().get(connection).and_then(Weak::upgrade);
            if let Some(link) = link {
                link.cut();
            }
        }
    }

    fn close(&self) -> Result<()> {
        self.gate.ensure_outside()?;
        self.is_closing.store(true, Ordering::Release);
        let connections = self.gate.close();
        self.cut(&connections);
        let engine = self.engine.write().take();
        engine.map_or(Ok(()), Engine::close)
    }
}

//! A repository in use, with clients on connections and objects that back it up, pause it and
//! restore it while it is in use.
//!
//! [`Service`] is the interface for a server, and for an embedder that needs the same guarantees.
//! It provides [`Connection`]s, on which clients read and write, and [`BackupRestore`] objects, the
//! counterparts of the COM object of `IWbemBackupRestoreEx`. Their guarantees are described in
//! `docs::pausing` and, requirement by requirement, in `docs::contract`.

mod backup_restore;
mod caller;
mod connection;
mod live_plan;
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
pub use connection::Connection;
#[cfg(feature = "raw")]
pub use connection::{Enumeration, View};
#[cfg(feature = "raw")]
pub use live_plan::LiveRestorePlan;
pub use namespace::{NamespaceConnection, NamespaceView};
#[cfg(feature = "raw")]
pub use namespace_query::NamespaceRows;
pub use namespace_writer::NamespaceWriter;
pub use options::{FlagZero, ObjectOptions};
#[cfg(feature = "raw")]
pub use paused::PausedRun;
pub use paused::{PauseOptions, pause_repository};
pub use root::Root;
pub use standby::{Standby, StandbyObject};
#[cfg(feature = "raw")]
pub use writing::WriteTransaction;

use connection::Link;

/// Options for using a repository.
#[derive(Debug, Clone, Default)]
pub struct ServiceOptions {
    engine: EngineOptions,
    objects: ObjectOptions,
}

impl ServiceOptions {
    /// The engine's default options, with pauses of at most 15 minutes.
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

    /// Sets how long a call waits for others at most ([`ObjectOptions::limit`]).
    pub fn limit(mut self, limit: Duration) -> Self {
        self.objects = self.objects.limit(limit);
        self
    }

    /// Sets the meaning of a restore without flags while clients are connected.
    pub fn flag_zero(mut self, meaning: FlagZero) -> Self {
        self.objects = self.objects.flag_zero(meaning);
        self
    }

    /// Opens the repository at `path`.
    ///
    /// # Errors
    /// The errors of [`EngineOptions::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Service> {
        self.open_in(&Directory::real(path.as_ref()))
    }

    /// Opens the repository in a directory of any storage.
    ///
    /// # Errors
    /// The errors of [`EngineOptions::open`].
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

/// A repository in use. It is closed with the last of its handles (this one, connections, and
/// backup and restore objects), or by [`close`](Self::close) regardless of handles. Clones are
/// handles of the same repository.
///
/// ```no_run
/// # fn main() -> cimrepo::Result<()> {
/// let service = cimrepo::Service::open("Repository")?;
/// let client = service.connect()?;
/// // Until the pause ends, clients read and no one writes.
/// let object = service.backup_restore();
/// object.pause()?;
/// assert!(client.try_begin_write().is_err());
/// object.resume()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Service {
    core: Arc<Core>,
}

/// The state shared by the handles of a repository.
///
/// Locks are taken in this order: `engine`, then those of the engine. `links` and the locks of
/// connections are independent of them and never held while waiting for the gate.
#[derive(Debug)]
struct Core {
    /// `None` after the repository is closed. Calls hold the lock for reading while they last.
    engine: RwLock<Option<Engine>>,
    gate: Gate,
    directory: Directory,
    is_closing: AtomicBool,
    /// The live connections, so that they can be broken.
    links: Mutex<BTreeMap<ConnectionId, Weak<Link>>>,
    objects: ObjectOptions,
    /// The token of the last pause and its owner. The gate knows whether it is still in force.
    paused: Mutex<Option<(OwnerId, PauseToken)>>,
}

impl Service {
    /// Opens a repository with default options.
    ///
    /// # Errors
    /// The errors of [`EngineOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        ServiceOptions::new().open(path)
    }

    /// Connects code of this process. Waits while a restore replaces the content.
    ///
    /// # Errors
    /// Returns [`Error::Closed`].
    pub fn connect(&self) -> Result<Connection> {
        self.connect_as(Arc::new(Trusted), None)
    }

    /// Connects a client. Waits while a restore replaces the content, at most `limit`.
    ///
    /// # Errors
    /// Returns the error of the caller's check, usually [`Error::AccessDenied`],
    /// [`Error::Timeout`], or [`Error::Closed`].
    pub fn connect_as(
        &self,
        caller: Arc<dyn Caller>,
        limit: Option<Duration>,
    ) -> Result<Connection> {
        self.core.ask(caller.as_ref(), Operation::Connect)?;
        let id = self.core.gate.connect(Wait::at_most(limit))?;
        Ok(Connection::new(&self.core, id, caller))
    }

    /// Creates a backup and restore object for code of this process.
    pub fn backup_restore(&self) -> BackupRestore {
        self.backup_restore_as(Arc::new(Trusted))
    }

    /// Creates a backup and restore object. Every call on it checks first that the caller may make
    /// it.
    pub fn backup_restore_as(&self, caller: Arc<dyn Caller>) -> BackupRestore {
        self.backup_restore_with(caller, self.core.objects)
    }

    /// Creates a backup and restore object with its own options instead of those of the service.
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

    /// The options of objects that are created without their own.
    pub fn object_options(&self) -> ObjectOptions {
        self.core.objects
    }

    /// The state after the last commit. It is not a connection: a restore neither waits for it nor
    /// breaks it, and it keeps its content.
    ///
    /// # Errors
    /// Returns [`Error::Closed`].
    /// [`Error::Closed`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.core.engine()?.snapshot())
    }

    /// Callers of all live connections, oldest first. A restore without force is refused while any
    /// remain. Broken connections that clients still hold are left out.
    pub fn clients(&self) -> Vec<Arc<dyn Caller>> {
        self.core.clients()
    }

    /// The present activity: the pause and its remaining time, and the running backups, restores
    /// and transactions.
    pub fn activity(&self) -> Activity {
        self.core.gate.activity()
    }

    /// The token of the pause in force, whichever object owns it.
    pub fn pause_token(&self) -> Option<PauseToken> {
        self.core.pause_token().map(|(_, token)| token)
    }

    /// The directory of the files.
    pub fn directory(&self) -> &Directory {
        &self.core.directory
    }

    /// Writes all commits into the repository itself.
    ///
    /// # Errors
    /// The errors of [`Engine::checkpoint`], and [`Error::Closed`].
    pub fn checkpoint(&self) -> Result<()> {
        self.core.engine()?.checkpoint()
    }

    /// Rewrites the content into as few pages as it needs ([`Engine::compact`]). Takes its turn
    /// like a writer, so it waits while the repository is paused.
    ///
    /// # Errors
    /// The errors of [`Engine::compact`].
    pub fn compact(&self, observer: &dyn Observer) -> Result<CompactSummary> {
        self.core.engine()?.compact(observer)
    }

    /// Ends pauses, breaks connections, rolls running transactions back and closes the repository.
    /// Calls on remaining handles fail with [`Error::Closed`] or [`Error::Disconnected`].
    ///
    /// # Errors
    /// Returns the errors of [`Engine::close`]; the journal keeps what could not be written.
    /// Returns [`Error::InvalidOperation`] if called from the observer of a compaction or restore,
    /// for which it would have to wait; the repository stays open then.
    pub fn close(self) -> Result<()> {
        self.core.close()
    }
}

impl Core {
    /// The engine, for the duration of a call.
    fn engine(&self) -> Result<MappedRwLockReadGuard<'_, Engine>> {
        if self.is_closing.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        // Recursive, because a call may need it twice and must not wait for a close that waits for
        // the call.
        let engine = RwLockReadGuard::try_map(self.engine.read_recursive(), Option::as_ref);
        engine.map_err(|_| Error::Closed)
    }

    /// Callers of all live connections, oldest first.
    fn clients(&self) -> Vec<Arc<dyn Caller>> {
        let links: Vec<Arc<Link>> = self
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

    /// Checks that a caller may perform an operation.
    fn ask(&self, caller: &dyn Caller, operation: Operation) -> Result<()> {
        let snapshot = || Ok(self.engine()?.snapshot());
        caller.check(operation, &Root::new(&snapshot))
    }

    /// The owner of the pause in force, and its token.
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

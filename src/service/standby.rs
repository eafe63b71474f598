//! Backup and restore objects for a repository that need not be open. Each call does its work on
//! its own, and only a pause keeps the repository open and locked.
//!
//! The gate, which a [`Service`](super::Service) has too, decides what is permitted when, so both
//! behave alike. In addition, the writer lock keeps other processes out while a pause is in force.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::backup::{BackupOptions, OpenBackup, backup_directory};
use crate::base::error::{Error, Result};
use crate::base::progress::Observer;
use crate::gate::{Activity, Gate, Wait};
use crate::pager::files::RepositoryFiles;
use crate::pager::lock::{LockWait, WriterLock};
use crate::restore::{Existing, RestoreOptions, restore_in};
use crate::storage::Directory;
use crate::store::{Engine, EngineOptions};
use crate::store::{OpenOptions, OwnerId, PauseToken};

use super::backup_restore::need_path;
use super::{BackupAndRestore, BackupRestoreFlags, Caller, ObjectOptions, Operation, Root};

/// The files of a repository, for backup and restore objects in a process that does not otherwise
/// use it. Nobody writes to a repository paused in this way: other processes wait for the writer
/// lock. Objects of one `Standby` see each other's pauses and restores. Objects of another process
/// meet the lock and fail with [`Error::Locked`].
///
/// A backup takes no lock. It contains the files with the commits of the journal, and starts again
/// if another process overwrote what it read ([`backup_directory`]). A pause locks a repository of
/// dialect 2.1, which nobody writes to, without opening it.
#[derive(Debug, Clone)]
pub struct Standby(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    directory: Directory,
    objects: ObjectOptions,
    gate: Gate,
    /// The resources of a pause. They are released before the pause ends, or under the same lock,
    /// so that nothing in this process meets the writer lock of an owner that is just leaving.
    held: Mutex<Option<Held>>,
}

/// The resources that keep other processes from writing.
#[derive(Debug)]
struct Held {
    by: Means,
    owner: OwnerId,
    /// The state in the files.
    token: PauseToken,
}

#[derive(Debug)]
enum Means {
    /// A repository of dialect 2.2 whose files are complete.
    Open(Engine),
    /// One of dialect 2.1.
    Locked { _lock: WriterLock },
}

impl Held {
    /// Takes the lock, and brings the journal to the files.
    fn take(directory: &Directory, owner: OwnerId, wait: LockWait<'_>) -> Result<Self> {
        let options = EngineOptions::new().background(false);
        match wait.take(|| options.clone().open_in(directory)) {
            Ok(engine) => {
                let token = engine.pause_token()?;
                Ok(Self {
                    by: Means::Open(engine),
                    owner,
                    token,
                })
            }
            // At this point it is known to be a repository, and its dialect.
            Err(Error::Unsupported(_)) => {
                let directory = RepositoryFiles::locate(directory)?.directory;
                let lock = wait.take(|| WriterLock::acquire(&directory, "pause"))?;
                let repository = OpenOptions::new().open_in(&directory)?;
                let snapshot = repository.snapshot();
                let token = PauseToken::of_image(repository.files(), snapshot.image())?;
                Ok(Self {
                    by: Means::Locked { _lock: lock },
                    owner,
                    token,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Releases the lock. The pause has written everything, so failure loses only the mark of an
    /// orderly shutdown.
    fn give_back(self) {
        if let Means::Open(engine) = self.by {
            engine.close().ok();
        }
    }
}

impl Standby {
    /// The repository at a path, which need not exist yet.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::with_options(&Directory::real(path.as_ref()), ObjectOptions::default())
    }

    /// The repository in a directory of any storage, with pauses of at most `lease`.
    pub fn with_lease(directory: &Directory, lease: Duration) -> Self {
        Self::with_options(directory, ObjectOptions::new().lease(lease))
    }

    /// The repository in a directory of any storage. The options apply to objects without their
    /// own. The meaning of a restore without flags is irrelevant, because no client can be
    /// connected.
    pub fn with_options(directory: &Directory, objects: ObjectOptions) -> Self {
        let (directory, gate, held) = (directory.clone(), Gate::default(), Mutex::new(None));
        let shared = Arc::new(Shared {
            directory,
            objects,
            gate,
            held,
        });
        let weak: Weak<Shared> = Arc::downgrade(&shared);
        shared.gate.on_expiry(&shared.directory.path, move || {
            if let Some(shared) = weak.upgrade() {
                shared.tidy();
            }
        });
        Self(shared)
    }

    /// Creates a backup and restore object. Every call on it checks first that the caller may make
    /// it.
    pub fn backup_restore_as(&self, caller: Arc<dyn Caller>) -> StandbyObject {
        self.backup_restore_with(caller, self.0.objects)
    }

    /// Creates a backup and restore object with its own options instead of those of the `Standby`.
    pub fn backup_restore_with(
        &self,
        caller: Arc<dyn Caller>,
        options: ObjectOptions,
    ) -> StandbyObject {
        StandbyObject {
            owner: OwnerId(self.0.gate.number()),
            shared: self.0.clone(),
            caller,
            options,
        }
    }

    /// The present activity: the pause and its remaining time, and the running backups and
    /// restores.
    pub fn activity(&self) -> Activity {
        self.0.gate.activity()
    }

    /// The token of the pause in force, whichever object owns it.
    pub fn pause_token(&self) -> Option<PauseToken> {
        self.0.pause_token().map(|(_, token)| token)
    }
}

/// A backup and restore object of a [`Standby`]. Its calls have the meaning of those of a
/// [`BackupRestore`](super::BackupRestore).
#[derive(Debug)]
pub struct StandbyObject {
    shared: Arc<Shared>,
    owner: OwnerId,
    caller: Arc<dyn Caller>,
    options: ObjectOptions,
}

impl Shared {
    fn ask(&self, caller: &dyn Caller, operation: Operation) -> Result<()> {
        let snapshot = || Ok(OpenOptions::new().open_in(&self.directory)?.snapshot());
        caller.check(operation, &Root::new(&snapshot))
    }

    /// Releases the resources of a pause that is over.
    fn tidy(&self) {
        let mut held = self.held.lock();
        if !self.gate.is_pausing()
            && let Some(held) = held.take()
        {
            held.give_back();
        }
    }

    /// Acquires the resources of a pause. The caller has the turn at the gate, so nothing else does
    /// the same.
    fn hold(&self, owner: OwnerId, limit: Option<Duration>) -> Result<PauseToken> {
        // An expired lease may have left resources.
        if let Some(over) = self.held.lock().take() {
            over.give_back();
        }
        let held = Held::take(&self.directory, owner, LockWait::new(limit, &|| Ok(())))?;
        let token = held.token;
        *self.held.lock() = Some(held);
        Ok(token)
    }

    /// The owner of the pause in force, and its token.
    fn pause_token(&self) -> Option<(OwnerId, PauseToken)> {
        let paused = self
            .held
            .lock()
            .as_ref()
            .map(|held| (held.owner, held.token));
        paused.filter(|(owner, _)| self.gate.activity().paused_by == Some(*owner))
    }

    /// Ends a pause by `end`, and releases its resources and the thread that watches the lease.
    fn end<T>(&self, end: impl FnOnce(&Gate) -> T) -> T {
        let mut held = self.held.lock();
        // Read before the pause ends: the next in the queue gets the turn at once and waits for
        // this lock.
        let paused = self.gate.activity().paused_by;
        let ended = end(&self.gate);
        let is_over = paused != self.gate.activity().paused_by || !self.gate.is_pausing();
        if let Some(held) = held.take_if(|_| is_over) {
            held.give_back();
        }
        drop(held);
        self.gate.rest();
        ended
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.gate.close();
        if let Some(held) = self.held.get_mut().take() {
            held.give_back();
        }
    }
}

impl StandbyObject {
    /// The number that identifies this object within the `Standby`.
    pub const fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Pauses like [`BackupRestore::pause`](super::BackupRestore::pause). Waits until another
    /// object has ended its pause, or another process that has the repository open for writing has
    /// closed it.
    ///
    /// # Errors
    /// The errors of that method, [`Error::Timeout`] at the limit of the `Standby`, and
    /// [`Error::Locked`] if another process still has the repository by then.
    pub fn pause(&self) -> Result<PauseToken> {
        self.close_gate(false, Some(self.options.limit), Some(self.options.limit))
    }

    /// Pauses like [`pause`](Self::pause), but waits at most `limit`.
    ///
    /// # Errors
    /// The errors of [`pause`](Self::pause).
    pub fn pause_within(&self, limit: Duration) -> Result<PauseToken> {
        self.close_gate(false, Some(limit), Some(limit))
    }

    /// Pauses like [`pause`](Self::pause), but fails at once if another object has paused. Another
    /// process that has the repository open for writing is waited for as long as
    /// [`ObjectOptions::lock_limit`] allows. `IWbemBackupRestoreEx::Pause` behaves this way.
    ///
    /// # Errors
    /// The errors of [`pause`](Self::pause), [`Error::Locked`], and [`Error::InvalidOperation`] if
    /// another object has paused.
    pub fn try_pause(&self) -> Result<PauseToken> {
        self.close_gate(true, Some(self.options.limit), self.options.lock_limit)
    }

    fn close_gate(
        &self,
        at_once: bool,
        limit: Option<Duration>,
        lock_limit: Option<Duration>,
    ) -> Result<PauseToken> {
        let shared = &self.shared;
        shared.ask(self.caller.as_ref(), Operation::Pause)?;
        let start = Instant::now();
        let persist = || {
            let rest = lock_limit.map(|limit| limit.saturating_sub(start.elapsed()));
            shared.hold(self.owner, rest)
        };
        let paused = shared.gate.pause(
            self.owner,
            at_once,
            Wait::at_most(limit),
            self.options.lease,
            persist,
        );
        if paused.is_err() {
            shared.tidy();
            shared.gate.rest();
        }
        paused
    }

    /// The token of this object's pause; see
    /// [`BackupRestore::pause_token`](super::BackupRestore::pause_token).
    pub fn pause_token(&self) -> Option<PauseToken> {
        let (owner, token) = self.shared.pause_token()?;
        (owner == self.owner).then_some(token)
    }

    /// Ends the pause of this object; see [`BackupRestore::resume`](super::BackupRestore::resume).
    ///
    /// # Errors
    /// The errors of that method.
    pub fn resume(&self) -> Result<()> {
        self.shared.ask(self.caller.as_ref(), Operation::Resume)?;
        self.shared.end(|gate| gate.resume(self.owner))
    }
}

impl BackupAndRestore for StandbyObject {
    fn back_up_to(
        &self,
        file: &Path,
        flags: BackupRestoreFlags,
        observer: &dyn Observer,
    ) -> Result<()> {
        let shared = &self.shared;
        shared.ask(self.caller.as_ref(), Operation::Backup)?;
        flags.need_none()?;
        let _noted = shared.gate.begin_backup()?;
        // While the repository is paused its files are complete, so they can be read then, and read
        // to the end even if the pause ends.
        let options = BackupOptions {
            wait: Some(self.options.limit),
            ..BackupOptions::default()
        };
        let files = self.caller.files(&shared.directory.storage)?;
        backup_directory(&shared.directory, &files, file, &options, observer).map(drop)
    }

    /// No connection can be open, so the flags only need to be valid.
    fn restore_from(
        &self,
        file: &Path,
        flags: BackupRestoreFlags,
        observer: &dyn Observer,
    ) -> Result<()> {
        let shared = &self.shared;
        shared.ask(self.caller.as_ref(), Operation::Restore)?;
        flags.need_known()?;
        need_path(file)?;
        let _noted = shared.gate.begin_restore(self.owner)?;
        shared.tidy();
        let files = self.caller.files(&shared.directory.storage)?;
        let backup = OpenBackup::new().open_in(&files, file)?;
        let options = RestoreOptions {
            existing: Existing::Replace,
            wait: self.options.lock_limit,
            ..RestoreOptions::default()
        };
        restore_in(&backup, &shared.directory, options, observer).map(drop)
    }

    fn pause_now(&self) -> Result<()> {
        self.try_pause().map(drop)
    }

    fn end_pause(&self) -> Result<()> {
        self.resume()
    }
}

impl Drop for StandbyObject {
    fn drop(&mut self) {
        self.shared.end(|gate| gate.release(self.owner));
    }
}

//! A repository that no one has to have open: each call does what it needs, and only a pause keeps
//! it open, and locked.
//!
//! Who may do what when is decided by the gate that a [`Service`](super::Service) has too, so both
//! answer alike. What is its own here is the writer lock, by which other processes are kept out
//! while a pause is in force.

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

/// The files of a repository, for backup and restore objects in a process that does not use it
/// otherwise. What is paused in this way no one writes: another process waits for the writer lock.
/// Objects of one `Standby` see each other's pauses and restores; objects of another process meet
/// the lock, and are told of that ([`Error::Locked`]).
///
/// A backup takes no lock: it holds what the files and a journal next to them hold, and begins
/// again when another process wrote over what it read ([`backup_directory`]). A repository of
/// dialect 2.1, which no one writes, is locked by a pause and not opened.
#[derive(Debug, Clone)]
pub struct Standby(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    directory: Directory,
    objects: ObjectOptions,
    gate: Gate,
    /// What a pause holds. It is dropped before, or under the same lock as, the pause that holds it
    /// ends: so no one in this process meets the writer lock of another who is just going.
    held: Mutex<Option<Held>>,
}

/// What keeps other processes from writing.
#[derive(Debug)]
struct Held {
    by: Means,
    owner: OwnerId,
    /// The state that the files hold.
    token: PauseToken,
}

#[derive(Debug)]
enum Means {
    /// A repository of dialect 2.2, whose files hold everything.
    Open(Engine),
    /// One of dialect 2.1.
    Locked { _lock: WriterLock },
}

impl Held {
    /// Takes the lock, and brings to the files what a journal holds.
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
            // That the repository is one, and of which dialect, is known by then.
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

    /// Gives the lock back. There is nothing to write that the pause has not written: what is
    /// missing when this fails is the mark of an orderly end.
    fn give_back(self) {
        if let Means::Open(engine) = self.by {
            engine.close().ok();
        }
    }
}

impl Standby {
    /// The repository at a path; it does not have to be there yet.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::with_options(&Directory::real(path.as_ref()), ObjectOptions::default())
    }

    /// The repository in a directory of any storage, with pauses that last at most as long as
    /// `lease`.
    pub fn with_lease(directory: &Directory, lease: Duration) -> Self {
        Self::with_options(directory, ObjectOptions::new().lease(lease))
    }

    /// The repository in a directory of any storage. The options are those of objects that are
    /// given none. The meaning of a restore without flags makes no difference: no client can be
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

    /// A backup and restore object; every call on it asks the caller first whether it may.
    pub fn backup_restore_as(&self, caller: Arc<dyn Caller>) -> StandbyObject {
        self.backup_restore_with(caller, self.0.objects)
    }

    /// A backup and restore object with options of its own, whatever those of the `Standby` are.
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

    /// What goes on: who has paused, for how long yet, whether backups and restores run.
    pub fn activity(&self) -> Activity {
        self.0.gate.activity()
    }

    /// The token of the pause that is in force, whoever has paused.
    pub fn pause_token(&self) -> Option<PauseToken> {
        self.0.pause_token().map(|(_, token)| token)
    }
}

/// A backup and restore object of a [`Standby`]. Its calls mean what those of a
/// [`BackupRestore`](super::BackupRestore) mean.
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

    /// Gives back what a pause held that is over.
    fn tidy(&self) {
        let mut held = self.held.lock();
        if !self.gate.is_pausing()
            && let Some(held) = held.take()
        {
            held.give_back();
        }
    }

    /// Takes what a pause holds. It has the turn at the gate, so no other does the same.
    fn hold(&self, owner: OwnerId, limit: Option<Duration>) -> Result<PauseToken> {
        // A lease that ran out may have left something.
        if let Some(over) = self.held.lock().take() {
            over.give_back();
        }
        let held = Held::take(&self.directory, owner, LockWait::new(limit, &|| Ok(())))?;
        let token = held.token;
        *self.held.lock() = Some(held);
        Ok(token)
    }

    /// The pause that is in force, and its token.
    fn pause_token(&self) -> Option<(OwnerId, PauseToken)> {
        let paused = self
            .held
            .lock()
            .as_ref()
            .map(|held| (held.owner, held.token));
        paused.filter(|(owner, _)| self.gate.activity().paused_by == Some(*owner))
    }

    /// Ends a pause by `end`, and gives back what it held; the thread that watches leases too.
    fn end<T>(&self, end: impl FnOnce(&Gate) -> T) -> T {
        let mut held = self.held.lock();
        // Looked at before: the next in line has the turn at once, and waits for this lock.
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
    /// The name of this object among all of the `Standby`.
    pub const fn owner(&self) -> OwnerId {
        self.owner
    }

    /// As [`BackupRestore::pause`](super::BackupRestore::pause): waits until another object, or
    /// another process that has the repository open for writing, has ended.
    ///
    /// # Errors
    /// As there; [`Error::Timeout`] at the limit of the `Standby`, and [`Error::Locked`] where it
    /// is another process that did not end by then.
    pub fn pause(&self) -> Result<PauseToken> {
        self.close_gate(false, Some(self.options.limit), Some(self.options.limit))
    }

    /// As [`pause`](Self::pause), but waits at most so long.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub fn pause_within(&self, limit: Duration) -> Result<PauseToken> {
        self.close_gate(false, Some(limit), Some(limit))
    }

    /// As [`pause`](Self::pause), but fails at once when another object or process is in the way.
    /// This is what `IWbemBackupRestoreEx::Pause` does.
    ///
    /// # Errors
    /// As [`pause`](Self::pause); [`Error::Locked`]; [`Error::InvalidOperation`] when another
    /// object has paused.
    pub fn try_pause(&self) -> Result<PauseToken> {
        self.close_gate(true, Some(self.options.limit), None)
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

    /// The token of the pause of this object, as
    /// [`BackupRestore::pause_token`](super::BackupRestore::pause_token).
    pub fn pause_token(&self) -> Option<PauseToken> {
        let (owner, token) = self.shared.pause_token()?;
        (owner == self.owner).then_some(token)
    }

    /// Ends the pause of this object, as [`BackupRestore::resume`](super::BackupRestore::resume).
    ///
    /// # Errors
    /// As there.
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
        // While it is paused the files hold everything, so they are read then too; and they are
        // read to the end if the pause ends.
        let options = BackupOptions {
            wait: Some(self.options.limit),
            ..BackupOptions::default()
        };
        let files = self.caller.files(&shared.directory.storage)?;
        backup_directory(&shared.directory, &files, file, &options, observer).map(drop)
    }

    /// No connection can be open: so the flags make no difference but that others are refused.
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

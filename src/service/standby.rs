//! A repository that no one has to have open: each call does what it needs, and only a pause keeps it open, and locked.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::backup::{BackupOptions, OpenBackup, backup_in};
use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::progress::Unobserved;
use crate::engine::EngineOptions;
use crate::repository::OpenOptions;
use crate::restore::{Existing, RestoreOptions, restore_in};
use crate::storage::Directory;

use super::backup_restore::need_path;
use super::watch::LeaseWatch;
use super::{
    BackupAndRestore, BackupRestore, BackupRestoreFlags, Caller, Core, DEFAULT_LEASE, Operation, Root, Service,
    ServiceOptions,
};

/// The files of a repository, for backup and restore objects in a process that does not use it otherwise. What is paused in this way no
/// one writes: another process waits for the writer lock. Objects of one `Standby` see each other's pauses and restores; objects of
/// another process meet the lock, and are told that the moment is wrong.
///
/// A backup takes no lock and reads what the files hold: what another process has committed and not yet written into them (its
/// journal, [`journal`](crate::docs::journal)) is not in it.
#[derive(Debug, Clone)]
pub struct Standby(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    directory: Directory,
    lease: Duration,
    now: Mutex<Now>,
}

/// What is being done with the files. The lock is held while they are opened and closed, so that no one in this process meets the
/// writer lock of another who is just going.
#[derive(Debug)]
enum Now {
    Nothing,
    /// Paused: open, for the one object that has paused.
    Paused(Service),
    Restoring,
}

impl Standby {
    /// The repository at a path; it does not have to be there yet.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::with_lease(&Directory::real(path.as_ref()), DEFAULT_LEASE)
    }

    /// That in a directory of any storage, with pauses that last at most so long.
    pub fn with_lease(directory: &Directory, lease: Duration) -> Self {
        Self(Arc::new(Shared { directory: directory.clone(), lease, now: Mutex::new(Now::Nothing) }))
    }

    /// A backup and restore object; every call on it asks the caller first whether it may.
    pub fn backup_restore_as(&self, caller: Arc<dyn Caller>) -> StandbyObject {
        StandbyObject { shared: self.0.clone(), caller, pauses: Arc::default() }
    }
}

/// A backup and restore object of a [`Standby`]. Its calls mean what those of a [`BackupRestore`] mean.
#[derive(Debug)]
pub struct StandbyObject {
    shared: Arc<Shared>,
    caller: Arc<dyn Caller>,
    pauses: Arc<Mutex<Pauses>>,
}

/// The pause of an object, and what is left of the one before. The lock is never held while a watch
/// is dropped: that waits for a thread which may be waiting for the lock.
#[derive(Debug, Default)]
struct Pauses {
    held: Option<Held>,
    /// The watch of a pause whose lease ran out. Its thread may still be closing the repository, so
    /// the object must not be gone before it.
    ended: Option<LeaseWatch>,
}

/// The pause of an object.
#[derive(Debug)]
struct Held {
    object: BackupRestore,
    watch: LeaseWatch,
}

/// A restore that is noted, until this is dropped.
struct Restoring<'s>(&'s Shared);

impl Drop for Restoring<'_> {
    fn drop(&mut self) {
        *self.0.now.lock() = Now::Nothing;
    }
}

impl Shared {
    fn ask(&self, caller: &dyn Caller, operation: Operation) -> Result<()> {
        let snapshot = || Ok(OpenOptions::new().open_in(&self.directory)?.snapshot());
        caller.check(operation, &Root::new(&snapshot))
    }

    /// Opens the repository and pauses it.
    fn pause(&self) -> Result<BackupRestore> {
        let mut now = self.now.lock();
        now.need_nothing()?;
        let engine = EngineOptions::new().background(false);
        let service = ServiceOptions::new().engine(engine).lease(self.lease).open_in(&self.directory)?;
        let object = service.backup_restore();
        object.try_pause()?;
        *now = Now::Paused(service);
        Ok(object)
    }

    /// Ends a pause and gives the lock back; fails when the lease ran out before.
    fn end(&self, object: &BackupRestore) -> Result<()> {
        let mut now = self.now.lock();
        let resumed = object.resume();
        // Another may have found that the lease was over, and have paused since.
        if let Now::Paused(service) = &*now
            && Arc::ptr_eq(&service.core, &object.core)
        {
            now.close();
        }
        resumed
    }

    fn begin_restore(&self) -> Result<Restoring<'_>> {
        let mut now = self.now.lock();
        now.need_nothing()?;
        *now = Now::Restoring;
        Ok(Restoring(self))
    }
}

impl Now {
    /// Fails while something is being done. A pause whose lease is over is ended, whatever became of the thread that has to.
    fn need_nothing(&mut self) -> Result<()> {
        match self {
            Now::Paused(service) if service.activity().paused_by.is_none() => {
                self.close();
                Ok(())
            }
            Now::Nothing => Ok(()),
            Now::Paused(_) => Err(Error::InvalidOperation("the repository is paused; wait until it is resumed".into())),
            Now::Restoring => {
                Err(Error::InvalidOperation("a restore is in progress; try again when it has ended".into()))
            }
        }
    }

    /// Closes the repository. There is nothing to write that the pause has not written: what is missing when this fails is the
    /// mark of an orderly end.
    fn close(&mut self) {
        if let Now::Paused(service) = std::mem::replace(self, Now::Nothing) {
            service.close().ok();
        }
    }
}

impl StandbyObject {
    /// Ends the pause when its lease is over, whether or not anyone calls.
    fn watch(&self, core: Weak<Core>) -> Result<LeaseWatch> {
        let (shared, pauses) = (self.shared.clone(), self.pauses.clone());
        let watch = LeaseWatch::start(shared.lease, move || {
            let mut now = pauses.lock();
            // It may be another pause by now.
            let over = now.held.take_if(|held| core.as_ptr() == Arc::as_ptr(&held.object.core));
            let Some(Held { object, watch }) = over else { return };
            let before = now.ended.replace(watch);
            drop(now);
            drop(before);
            shared.end(&object).ok();
        });
        watch.map_err(|error| Error::io(IoOp::SpawnThread, &self.shared.directory.path, error))
    }
}

impl BackupAndRestore for StandbyObject {
    fn back_up_to(&self, file: &Path, flags: BackupRestoreFlags) -> Result<()> {
        self.shared.ask(self.caller.as_ref(), Operation::Backup)?;
        flags.need_none()?;
        if matches!(&*self.shared.now.lock(), Now::Restoring) {
            return Err(Error::InvalidOperation("a restore is in progress; try again when it has ended".into()));
        }
        // While it is paused the files hold everything, so they are read then too; and they are read to the end if the pause ends.
        let repository = OpenOptions::new().open_in(&self.shared.directory)?;
        let storage = &self.shared.directory.storage;
        backup_in(&repository, storage, file, &BackupOptions::default(), &Unobserved).map(drop)
    }

    /// No connection can be open: so the flags make no difference but that others are refused.
    fn restore_from(&self, file: &Path, flags: BackupRestoreFlags) -> Result<()> {
        self.shared.ask(self.caller.as_ref(), Operation::Restore)?;
        flags.need_known()?;
        need_path(file)?;
        let _noted = self.shared.begin_restore()?;
        let backup = OpenBackup::new().open_in(&self.shared.directory.storage, file)?;
        let options = RestoreOptions { existing: Existing::Replace, ..RestoreOptions::default() };
        restore_in(&backup, &self.shared.directory, options, &Unobserved).map(drop)
    }

    fn pause_now(&self) -> Result<()> {
        self.shared.ask(self.caller.as_ref(), Operation::Pause)?;
        let mut pauses = self.pauses.lock();
        let object = self.shared.pause()?;
        let before = match self.watch(Arc::downgrade(&object.core)) {
            Ok(watch) => (pauses.held.replace(Held { object, watch }), pauses.ended.take()),
            Err(error) => {
                // The gate alone would not keep other processes out for ever; the lock would.
                self.shared.now.lock().close();
                return Err(error);
            }
        };
        drop(pauses);
        drop(before);
        Ok(())
    }

    fn end_pause(&self) -> Result<()> {
        self.shared.ask(self.caller.as_ref(), Operation::Resume)?;
        let held = self.pauses.lock().held.take();
        match held {
            Some(held) => self.shared.end(&held.object),
            None => {
                let text = "this object has no pause to end: it has none, or the lease ran out; what was copied is not to be trusted then";
                Err(Error::InvalidOperation(text.into()))
            }
        }
    }
}

impl Drop for StandbyObject {
    fn drop(&mut self) {
        // Both watches are dropped at the end: no thread of the object outlives it.
        let Pauses { held, ended: _ended } = std::mem::take(&mut *self.pauses.lock());
        if let Some(held) = held {
            self.shared.end(&held.object).ok();
        }
    }
}

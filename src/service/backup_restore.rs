//! The backup and restore object: the twin of one COM object of `IWbemBackupRestoreEx`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::backup::{Backup, BackupOptions, BackupSummary, OpenBackup, backup_snapshot};
use crate::base::error::{Error, Result};
use crate::base::progress::{Observer, Unobserved};
use crate::repository::OwnerId;
use crate::repository::gate::Wait;
use crate::restore::{Existing, RestoreOptions, RestoreSummary, live};

use super::{Caller, Core, Operation};

bitflags::bitflags! {
    /// `WBEM_BACKUP_RESTORE_FLAGS`. The default, 0, is the empty set. Bits that mean nothing are kept, and refused where they are used.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct BackupRestoreFlags: u32 {
        /// `WBEM_FLAG_BACKUP_RESTORE_FORCE_SHUTDOWN`: break all connections. For a restore alone.
        const FORCE_SHUTDOWN = 1;
    }
}

/// How a backup is restored over a live repository.
#[derive(Debug, Clone, Default)]
pub struct LiveRestoreOptions {
    /// Where the bases of an incremental backup are, if not beside it.
    pub bases: Vec<PathBuf>,
    /// Threads; one a processor unless given.
    pub threads: Option<NonZeroUsize>,
    /// How long the end of a running transaction is waited for; without a limit as long as it takes.
    pub limit: Option<Duration>,
}

/// A backup and restore object. Each is an owner of its own: the pause of one is ended by that one alone, or when it is dropped,
/// or when its lease runs out.
#[derive(Debug)]
pub struct BackupRestore {
    pub(super) core: Arc<Core>,
    pub(super) owner: OwnerId,
    caller: Arc<dyn Caller>,
}

impl BackupRestore {
    pub(super) const fn new(core: Arc<Core>, owner: OwnerId, caller: Arc<dyn Caller>) -> Self {
        Self { core, owner, caller }
    }

    /// The name of this object among all of the repository.
    pub const fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Backs up the state after the last commit to one file; `flags` must be empty. Writers and readers go on meanwhile.
    ///
    /// # Errors
    /// As [`backup_with`](Self::backup_with).
    pub fn backup(&self, file: impl AsRef<Path>, flags: BackupRestoreFlags) -> Result<BackupSummary> {
        self.backup_with(file, flags, &BackupOptions::default(), &Unobserved)
    }

    /// As [`backup`](Self::backup), with options and someone who watches.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::InvalidArgument`] for flags, and for a path that cannot be a backup's;
    /// [`Error::InvalidOperation`] during a restore; else as [`backup_snapshot`]. An older file of that name is untouched then.
    pub fn backup_with(
        &self,
        file: impl AsRef<Path>,
        flags: BackupRestoreFlags,
        options: &BackupOptions,
        observer: &dyn Observer,
    ) -> Result<BackupSummary> {
        self.caller.check(Operation::Backup)?;
        if !flags.is_empty() {
            let text = format!("a backup takes no flags: {:#X} was given", flags.bits());
            return Err(Error::invalid(text));
        }
        let _noted = self.core.gate.begin_backup()?;
        let snapshot = self.core.engine()?.snapshot();
        backup_snapshot(&snapshot, &self.core.directory.storage, file, options, observer)
    }

    /// Replaces the content of the repository by that of a backup. Without flags it is refused while connections are open; with
    /// [`BackupRestoreFlags::FORCE_SHUTDOWN`] they are broken, when everything in the backup has been checked.
    ///
    /// # Errors
    /// As [`restore_with`](Self::restore_with).
    pub fn restore(&self, file: impl AsRef<Path>, flags: BackupRestoreFlags) -> Result<RestoreSummary> {
        self.restore_with(file, flags, &LiveRestoreOptions::default(), &Unobserved)
    }

    /// As [`restore`](Self::restore), with options and someone who watches.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::InvalidArgument`] for flags and an empty path; [`Error::InvalidOperation`] while anyone has
    /// paused or restores; [`Error::Backup`] for a file that is no backup, of an unknown version, or damaged;
    /// [`Error::Unsupported`] for a backup of dialect 2.1; [`Error::Poisoned`] after a write that failed;
    /// [`Error::ConnectionsActive`]. All these have no effect.
    ///
    /// Connections may be broken already when it fails with [`Error::Timeout`], [`Error::Io`] or [`Error::Cancelled`]: the
    /// repository has its old content then, and new connections work. [`Error::Unconfirmed`]: the new content is in place, the last
    /// sync was refused, and nothing more is written until the repository is opened anew.
    pub fn restore_with(
        &self,
        file: impl AsRef<Path>,
        flags: BackupRestoreFlags,
        options: &LiveRestoreOptions,
        observer: &dyn Observer,
    ) -> Result<RestoreSummary> {
        self.caller.check(Operation::Restore)?;
        if !BackupRestoreFlags::all().contains(flags) {
            let text = format!("a restore takes the flags 0 and 1: {:#X} was given", flags.bits());
            return Err(Error::invalid(text));
        }
        let force = flags.contains(BackupRestoreFlags::FORCE_SHUTDOWN);
        if file.as_ref().as_os_str().is_empty() {
            return Err(Error::invalid("an empty path names no backup"));
        }
        let restoring = self.core.gate.begin_restore(self.owner)?;
        if !force {
            restoring.need_no_connections()?;
        }
        let backup = self.open_backup(file.as_ref(), options)?;
        let how = RestoreOptions { existing: Existing::Replace, threads: options.threads, damaged: false };
        live::check(&backup, how, observer)?;
        self.core.engine()?.need_writable()?;
        // Everything is checked: from here on there are effects.
        restoring.switch(force, Wait::at_most(options.limit), |broken| self.core.cut(broken))?;
        let engine = self.core.engine()?;
        live::over_live(&backup, &engine, how, observer)
    }

    fn open_backup(&self, file: &Path, options: &LiveRestoreOptions) -> Result<Backup> {
        let open = options.bases.iter().fold(OpenBackup::new(), |open, base| open.base(base));
        open.open_in(&self.core.directory.storage, file)
    }

    /// Pauses: brings everything to the files, and lets no one write until it is resumed, this object is dropped, or the lease has
    /// run out. Waits for the transaction that runs and those that asked before; while another object has paused, until that
    /// has ended. A thread that has a transaction itself waits for ever. The lease begins when this returns.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::InvalidOperation`] when this object has paused already, which leaves that pause as it is, and
    /// during a restore; [`Error::Closed`]; what [`Engine::checkpoint`](crate::engine::Engine::checkpoint) says when the
    /// state cannot be brought to the files: writers go on then.
    pub fn pause(&self) -> Result<()> {
        self.close_gate(false, None)
    }

    /// As [`pause`](Self::pause), but waits at most so long for its turn.
    ///
    /// # Errors
    /// As [`pause`](Self::pause); [`Error::Timeout`].
    pub fn pause_within(&self, limit: Duration) -> Result<()> {
        self.close_gate(false, Some(limit))
    }

    /// As [`pause`](Self::pause), but fails at once when another object has paused. It still waits for transactions. This is what
    /// `IWbemBackupRestoreEx::Pause` does.
    ///
    /// # Errors
    /// As [`pause`](Self::pause); [`Error::InvalidOperation`] when another object has paused, or is about to.
    pub fn try_pause(&self) -> Result<()> {
        self.close_gate(true, None)
    }

    /// As [`try_pause`](Self::try_pause), but waits at most so long for transactions.
    ///
    /// # Errors
    /// As [`try_pause`](Self::try_pause); [`Error::Timeout`].
    pub fn try_pause_within(&self, limit: Duration) -> Result<()> {
        self.close_gate(true, Some(limit))
    }

    fn close_gate(&self, at_once: bool, limit: Option<Duration>) -> Result<()> {
        self.caller.check(Operation::Pause)?;
        let engine = self.core.engine()?;
        let (gate, lease) = (&self.core.gate, self.core.lease);
        gate.pause(self.owner, at_once, Wait::at_most(limit), lease, || engine.checkpoint())
    }

    /// Ends the pause of this object.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::InvalidOperation`] when it has none. After a pause that means that its lease ran out:
    /// writers may have been at work, and what was copied is not to be trusted.
    pub fn resume(&self) -> Result<()> {
        self.caller.check(Operation::Resume)?;
        self.core.gate.resume(self.owner)
    }

    /// How long the pause of this object lasts yet; `None` without one.
    pub fn remaining_lease(&self) -> Option<Duration> {
        let activity = self.core.gate.activity();
        activity.remaining_lease.filter(|_| activity.paused_by == Some(self.owner))
    }
}

impl Drop for BackupRestore {
    fn drop(&mut self) {
        self.core.gate.release(self.owner);
    }
}

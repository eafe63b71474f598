//! The backup and restore object: the twin of one COM object of `IWbemBackupRestoreEx`.

use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::backup::{
    Backup, BackupOptions, BackupSet, BackupSummary, OpenBackup, SetOptions, SetSummary,
    backup_snapshot,
};
use crate::base::error::{Error, Result};
use crate::base::misuse::Misuse;
use crate::base::progress::{Observer, Unobserved};
use crate::gate::Wait;
use crate::restore::{Existing, RestoreOptions, RestoreSummary, live};
use crate::storage::Storage;
use crate::store::{OwnerId, PauseToken};

use super::{Caller, Core, FlagZero, ObjectOptions, Operation};

bitflags::bitflags! {
    /// `WBEM_BACKUP_RESTORE_FLAGS`. The default, 0, is the empty set. Bits that mean nothing are
    /// kept, and refused where they are used.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct BackupRestoreFlags: u32 {
        /// `WBEM_FLAG_BACKUP_RESTORE_FORCE_SHUTDOWN`: break all connections. For a restore alone.
        const FORCE_SHUTDOWN = 1;
    }
}

impl BackupRestoreFlags {
    /// What a backup takes.
    pub(super) fn need_none(self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        Err(Error::invalid(
            Misuse::Flags,
            format!("a backup takes no flags: {:#X} was given", self.bits()),
        ))
    }

    /// What a restore takes.
    pub(super) fn need_known(self) -> Result<()> {
        if Self::all().contains(self) {
            return Ok(());
        }
        Err(Error::invalid(
            Misuse::Flags,
            format!(
                "a restore takes the flags 0 and 1: {:#X} was given",
                self.bits()
            ),
        ))
    }
}

/// Refuses a path without a name.
pub(super) fn need_path(file: &Path) -> Result<()> {
    if file.as_os_str().is_empty() {
        Err(Error::invalid(
            Misuse::EmptyPath,
            "an empty path names no backup",
        ))
    } else {
        Ok(())
    }
}

/// The four calls of `IWbemBackupRestoreEx` on one object, with the meaning that they have there.
/// The value is the owner of a pause: dropping it resumes.
pub trait BackupAndRestore: Debug + Send + Sync {
    /// `Backup`: as [`BackupRestore::backup`], with someone who watches and may end it.
    ///
    /// # Errors
    /// As there.
    fn back_up_to(
        &self,
        file: &Path,
        flags: BackupRestoreFlags,
        observer: &dyn Observer,
    ) -> Result<()>;

    /// `Restore`: as [`BackupRestore::restore`], with someone who watches and may end it.
    ///
    /// # Errors
    /// As there.
    fn restore_from(
        &self,
        file: &Path,
        flags: BackupRestoreFlags,
        observer: &dyn Observer,
    ) -> Result<()>;

    /// `Pause`: as [`BackupRestore::try_pause`], for it does not wait for another holder.
    ///
    /// # Errors
    /// As there.
    fn pause_now(&self) -> Result<()>;

    /// `Resume`: as [`BackupRestore::resume`].
    ///
    /// # Errors
    /// As there.
    fn end_pause(&self) -> Result<()>;
}

impl BackupAndRestore for BackupRestore {
    fn back_up_to(
        &self,
        file: &Path,
        flags: BackupRestoreFlags,
        observer: &dyn Observer,
    ) -> Result<()> {
        self.backup_with(file, flags, &BackupOptions::default(), observer)
            .map(drop)
    }

    fn restore_from(
        &self,
        file: &Path,
        flags: BackupRestoreFlags,
        observer: &dyn Observer,
    ) -> Result<()> {
        self.restore_with(file, flags, &LiveRestoreOptions::default(), observer)
            .map(drop)
    }

    fn pause_now(&self) -> Result<()> {
        self.try_pause().map(drop)
    }

    fn end_pause(&self) -> Result<()> {
        self.resume()
    }
}

/// How a backup is restored over a live repository.
#[derive(Debug, Clone, Default)]
pub struct LiveRestoreOptions {
    /// Where the bases of an incremental backup are, if not beside it.
    pub bases: Vec<PathBuf>,
    /// Threads; one a processor unless given.
    pub threads: Option<NonZeroUsize>,
    /// How long the end of a running transaction is waited for; as long as
    /// [`ServiceOptions::limit`](super::ServiceOptions::limit) says unless given.
    pub limit: Option<Duration>,
}

/// A backup and restore object. Each is an owner of its own: the pause of one is ended by that one
/// alone, or when it is dropped, or when its lease runs out.
#[derive(Debug)]
pub struct BackupRestore {
    pub(super) core: Arc<Core>,
    pub(super) owner: OwnerId,
    caller: Arc<dyn Caller>,
    options: ObjectOptions,
}

impl BackupRestore {
    pub(super) const fn new(
        core: Arc<Core>,
        owner: OwnerId,
        caller: Arc<dyn Caller>,
        options: ObjectOptions,
    ) -> Self {
        Self {
            core,
            owner,
            caller,
            options,
        }
    }

    /// The name of this object among all of the repository.
    pub const fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Backs up the state after the last commit to one file; `flags` must be empty. Writers and
    /// readers go on meanwhile.
    ///
    /// # Errors
    /// As [`backup_with`](Self::backup_with).
    pub fn backup(
        &self,
        file: impl AsRef<Path>,
        flags: BackupRestoreFlags,
    ) -> Result<BackupSummary> {
        self.backup_with(file, flags, &BackupOptions::default(), &Unobserved)
    }

    /// As [`backup`](Self::backup), with options and someone who watches. Backups to one file
    /// queue, at most as long as [`BackupOptions::wait`] or else
    /// [`ServiceOptions::limit`](super::ServiceOptions::limit) says.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::InvalidArgument`] for flags, and for a path that cannot be
    /// a backup's; [`Error::InvalidOperation`] during a restore; else as [`backup_snapshot`]. An
    /// older file of that name is untouched then.
    pub fn backup_with(
        &self,
        file: impl AsRef<Path>,
        flags: BackupRestoreFlags,
        options: &BackupOptions,
        observer: &dyn Observer,
    ) -> Result<BackupSummary> {
        self.core.ask(self.caller.as_ref(), Operation::Backup)?;
        flags.need_none()?;
        let _noted = self.core.gate.begin_backup()?;
        let snapshot = self.core.engine()?.snapshot();
        let options = BackupOptions {
            wait: options.wait.or(Some(self.options.limit)),
            ..options.clone()
        };
        backup_snapshot(&snapshot, &self.files()?, file, &options, observer)
    }

    /// As [`backup_with`](Self::backup_with), into a directory that keeps several backups.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::InvalidOperation`] during a restore; else as
    /// [`BackupSet::back_up_snapshot`].
    pub fn backup_into(
        &self,
        set: &BackupSet,
        options: &SetOptions,
        observer: &dyn Observer,
    ) -> Result<SetSummary> {
        self.core.ask(self.caller.as_ref(), Operation::Backup)?;
        let _noted = self.core.gate.begin_backup()?;
        let snapshot = self.core.engine()?.snapshot();
        set.back_up_snapshot(&snapshot, options, observer)
    }

    /// The storage of the files that the caller names.
    fn files(&self) -> Result<Arc<dyn Storage>> {
        self.caller.files(&self.core.directory.storage)
    }

    /// Replaces the content of the repository by that of a backup. Without flags it is refused
    /// while connections are open, unless [`FlagZero::Break`] was chosen; with
    /// [`BackupRestoreFlags::FORCE_SHUTDOWN`] they are broken, when everything in the backup has
    /// been checked.
    ///
    /// # Errors
    /// As [`restore_with`](Self::restore_with).
    pub fn restore(
        &self,
        file: impl AsRef<Path>,
        flags: BackupRestoreFlags,
    ) -> Result<RestoreSummary> {
        self.restore_with(file, flags, &LiveRestoreOptions::default(), &Unobserved)
    }

    /// As [`restore`](Self::restore), with options and someone who watches.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::InvalidArgument`] for flags and an empty path;
    /// [`Error::InvalidOperation`] while anyone has paused or restores; [`Error::Backup`] for a
    /// file that is no backup, of an unknown version, or damaged; [`Error::OtherDialect`] for a
    /// backup of dialect 2.1; [`Error::Poisoned`] after a write that failed;
    /// [`Error::ConnectionsActive`]. All these have no effect.
    ///
    /// Connections may be broken already when it fails with [`Error::Timeout`], [`Error::Io`] or
    /// [`Error::Cancelled`]: the repository has its old content then, and new connections work.
    /// [`Error::Unconfirmed`]: the new content is in place, the last sync was refused, and nothing
    /// more is written until the repository is opened anew.
    pub fn restore_with(
        &self,
        file: impl AsRef<Path>,
        flags: BackupRestoreFlags,
        options: &LiveRestoreOptions,
        observer: &dyn Observer,
    ) -> Result<RestoreSummary> {
        self.core.ask(self.caller.as_ref(), Operation::Restore)?;
        flags.need_known()?;
        need_path(file.as_ref())?;
        let force = flags.contains(BackupRestoreFlags::FORCE_SHUTDOWN)
            || self.options.flag_zero == FlagZero::Break;
        let restoring = self.core.gate.begin_restore(self.owner)?;
        if !force {
            restoring.need_no_connections()?;
        }
        let backup = self.open_backup(file.as_ref(), options)?;
        let how = RestoreOptions {
            existing: Existing::Replace,
            threads: options.threads,
            ..RestoreOptions::default()
        };
        live::check(&backup, how, observer)?;
        self.core.engine()?.need_writable()?;
        // Everything is checked: from here on there are effects.
        let wait = Wait::at_most(options.limit.or(Some(self.options.limit)));
        restoring.switch(force, wait, |broken| self.core.cut(broken))?;
        let engine = self.core.engine()?;
        live::over_live(&backup, &engine, how, &self.core.gate.inside(observer))
    }

    fn open_backup(&self, file: &Path, options: &LiveRestoreOptions) -> Result<Backup> {
        let open = options
            .bases
            .iter()
            .fold(OpenBackup::new(), |open, base| open.base(base));
        open.open_in(&self.files()?, file)
    }

    /// Pauses: brings everything to the files, and lets no one write until it is resumed, this
    /// object is dropped, or the lease has run out. Waits for the transaction that runs and those
    /// that asked before; while another object has paused, until that has ended. A thread that has
    /// a transaction itself waits for ever. The lease begins when this returns.
    ///
    /// Gives the token of the state that the files hold now: [`prove`](crate::verify::prove) holds
    /// a copy against it.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::InvalidOperation`] when this object has paused already,
    /// which leaves that pause as it is, and during a restore; [`Error::Closed`]; what
    /// [`Engine::checkpoint`](crate::store::Engine::checkpoint) says when the state cannot be
    /// brought to the files: writers go on then.
    pub fn pause(&self) -> Result<PauseToken> {
        self.close_gate(false, self.options.limit)
    }

    /// As [`pause`](Self::pause), but waits at most so long for its turn.
    ///
    /// # Errors
    /// As [`pause`](Self::pause); [`Error::Timeout`].
    pub fn pause_within(&self, limit: Duration) -> Result<PauseToken> {
        self.close_gate(false, limit)
    }

    /// As [`pause`](Self::pause), but fails at once when another object has paused. It still waits
    /// for transactions. This is what `IWbemBackupRestoreEx::Pause` does.
    ///
    /// # Errors
    /// As [`pause`](Self::pause); [`Error::InvalidOperation`] when another object has paused, or is
    /// about to.
    pub fn try_pause(&self) -> Result<PauseToken> {
        self.close_gate(true, self.options.limit)
    }

    /// As [`try_pause`](Self::try_pause), but waits at most so long for transactions.
    ///
    /// # Errors
    /// As [`try_pause`](Self::try_pause); [`Error::Timeout`].
    pub fn try_pause_within(&self, limit: Duration) -> Result<PauseToken> {
        self.close_gate(true, limit)
    }

    fn close_gate(&self, at_once: bool, limit: Duration) -> Result<PauseToken> {
        self.core.ask(self.caller.as_ref(), Operation::Pause)?;
        let engine = self.core.engine()?;
        let (gate, lease) = (&self.core.gate, self.options.lease);
        gate.pause(
            self.owner,
            at_once,
            Wait::at_most(Some(limit)),
            lease,
            || {
                let token = engine.pause_token()?;
                *self.core.paused.lock() = Some((self.owner, token));
                Ok(token)
            },
        )
    }

    /// Ends the pause of this object.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::InvalidOperation`] when it has none. After a pause that
    /// means that its lease ran out: writers may have been at work, and what was copied is not to
    /// be trusted.
    pub fn resume(&self) -> Result<()> {
        self.core.ask(self.caller.as_ref(), Operation::Resume)?;
        self.core.gate.resume(self.owner)
    }

    /// The token of the pause of this object; `None` without one, and after its lease ran out. So a
    /// caller whose token is still this one knows that its pause has held up to now.
    pub fn pause_token(&self) -> Option<PauseToken> {
        let (owner, token) = self.core.pause_token()?;
        (owner == self.owner).then_some(token)
    }

    /// How long the pause of this object lasts yet; `None` without one.
    pub fn remaining_lease(&self) -> Option<Duration> {
        let activity = self.core.gate.activity();
        activity
            .remaining_lease
            .filter(|_| activity.paused_by == Some(self.owner))
    }
}

impl Drop for BackupRestore {
    fn drop(&mut self) {
        self.core.gate.release(self.owner);
    }
}

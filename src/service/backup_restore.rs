//! The backup and restore object, which behaves like one COM object of `IWbemBackupRestoreEx`.

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
    /// `WBEM_BACKUP_RESTORE_FLAGS`. The default, 0, is the empty set. Unknown bits are kept, and
    /// rejected when used.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct BackupRestoreFlags: u32 {
        /// `WBEM_FLAG_BACKUP_RESTORE_FORCE_SHUTDOWN`: break all connections. Valid only for a
        /// restore.
        const FORCE_SHUTDOWN = 1;
    }
}

impl BackupRestoreFlags {
    /// Fails for flags that a backup does not accept.
    pub(super) fn need_none(self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        Err(Error::invalid(
            Misuse::Flags,
            format!("a backup takes no flags: {:#X} was given", self.bits()),
        ))
    }

    /// Fails for flags that a restore does not accept.
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

/// Fails for an empty path.
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

/// The four calls of `IWbemBackupRestoreEx` on one object, with the same meanings. The object owns
/// its pause; dropping it resumes.
pub trait BackupAndRestore: Debug + Send + Sync {
    /// `Backup`: [`BackupRestore::backup`] with an observer that can end it.
    ///
    /// # Errors
    /// The errors of that method.
    fn back_up_to(
        &self,
        file: &Path,
        flags: BackupRestoreFlags,
        observer: &dyn Observer,
    ) -> Result<()>;

    /// `Restore`: [`BackupRestore::restore`] with an observer that can end it.
    ///
    /// # Errors
    /// The errors of that method.
    fn restore_from(
        &self,
        file: &Path,
        flags: BackupRestoreFlags,
        observer: &dyn Observer,
    ) -> Result<()>;

    /// `Pause`: [`BackupRestore::try_pause`], since it does not wait for another holder.
    ///
    /// # Errors
    /// The errors of that method.
    fn pause_now(&self) -> Result<()>;

    /// `Resume`: [`BackupRestore::resume`].
    ///
    /// # Errors
    /// The errors of that method.
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

/// Options for restoring a backup over a live repository.
#[derive(Debug, Clone, Default)]
pub struct LiveRestoreOptions {
    /// Paths of the bases of an incremental backup, if they are not next to it.
    pub bases: Vec<PathBuf>,
    /// Number of threads; one per processor by default.
    pub threads: Option<NonZeroUsize>,
    /// How long to wait for the end of a running transaction; by default
    /// [`ServiceOptions::limit`](super::ServiceOptions::limit).
    pub limit: Option<Duration>,
}

impl LiveRestoreOptions {
    /// The same for the layer below.
    pub(super) fn over_existing(&self) -> RestoreOptions {
        RestoreOptions {
            existing: Existing::Replace,
            threads: self.threads,
            ..RestoreOptions::default()
        }
    }
}

/// A backup and restore object. Each one is a separate owner: its pause ends only through it, when
/// it is dropped, or when its lease expires.
#[derive(Debug)]
pub struct BackupRestore {
    pub(super) core: Arc<Core>,
    pub(super) owner: OwnerId,
    pub(super) caller: Arc<dyn Caller>,
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

    /// The number that identifies this object within the repository.
    pub const fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Backs up the state after the last commit to one file; `flags` must be empty. Writers and
    /// readers continue in the meantime.
    ///
    /// # Errors
    /// The errors of [`backup_with`](Self::backup_with).
    pub fn backup(
        &self,
        file: impl AsRef<Path>,
        flags: BackupRestoreFlags,
    ) -> Result<BackupSummary> {
        self.backup_with(file, flags, &BackupOptions::default(), &Unobserved)
    }

    /// Backs up like [`backup`](Self::backup), with options and an observer. Backups to one file
    /// queue, for at most [`BackupOptions::wait`] or else
    /// [`ServiceOptions::limit`](super::ServiceOptions::limit).
    ///
    /// # Errors
    /// Returns [`Error::AccessDenied`], [`Error::InvalidArgument`] for flags and for a path that
    /// cannot be a backup's, [`Error::InvalidOperation`] during a restore, and otherwise the errors
    /// of [`backup_snapshot`]. An older file of that name is then untouched.
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

    /// Backs up like [`backup_with`](Self::backup_with), into a directory that keeps several
    /// backups.
    ///
    /// # Errors
    /// Returns [`Error::AccessDenied`], [`Error::InvalidOperation`] during a restore, and otherwise
    /// the errors of [`BackupSet::back_up_snapshot`].
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

    /// The storage for the files that the caller names.
    fn files(&self) -> Result<Arc<dyn Storage>> {
        self.caller.files(&self.core.directory.storage)
    }

    /// Replaces the content of the repository by that of a backup. Without flags it fails while
    /// connections are open, unless [`FlagZero::Break`] was chosen. With
    /// [`BackupRestoreFlags::FORCE_SHUTDOWN`] connections are broken once everything in the backup
    /// has been checked.
    ///
    /// # Errors
    /// The errors of [`restore_with`](Self::restore_with).
    pub fn restore(
        &self,
        file: impl AsRef<Path>,
        flags: BackupRestoreFlags,
    ) -> Result<RestoreSummary> {
        self.restore_with(file, flags, &LiveRestoreOptions::default(), &Unobserved)
    }

    /// Restores like [`restore`](Self::restore), with options and an observer.
    ///
    /// # Errors
    /// The following have no effect: [`Error::AccessDenied`]; [`Error::InvalidArgument`] for flags
    /// and an empty path; [`Error::InvalidOperation`] while any object has paused or restores;
    /// [`Error::Backup`] for a file that is not a backup, is of an unknown version, or is damaged;
    /// [`Error::OtherDialect`] for a backup of dialect 2.1; [`Error::Poisoned`] after a failed
    /// write; [`Error::ConnectionsActive`].
    ///
    /// Connections may be broken already when it fails with [`Error::Timeout`], [`Error::Io`] or
    /// [`Error::Cancelled`]. The repository has its old content then, and new connections work.
    /// After [`Error::Unconfirmed`] the new content is in place but the last sync failed, and
    /// nothing more is written until the repository is opened again.
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
        let force = self.breaks_connections(flags);
        let restoring = self.core.gate.begin_restore(self.owner)?;
        if !force {
            restoring.need_no_connections()?;
        }
        let backup = self.open_backup(file.as_ref(), options)?;
        let how = options.over_existing();
        live::check(&backup, how, observer)?;
        self.core.engine()?.need_writable()?;
        // Everything has been checked; from here on there are effects.
        let wait = Wait::at_most(options.limit.or(Some(self.options.limit)));
        restoring.switch(force, wait, |broken| self.core.cut(broken))?;
        let engine = self.core.engine()?;
        live::over_live(&backup, &engine, how, &self.core.gate.inside(observer))
    }

    /// True if a restore with these flags breaks connections; else they refuse it.
    pub(super) fn breaks_connections(&self, flags: BackupRestoreFlags) -> bool {
        flags.contains(BackupRestoreFlags::FORCE_SHUTDOWN)
            || self.options.flag_zero == FlagZero::Break
    }

    pub(super) fn open_backup(&self, file: &Path, options: &LiveRestoreOptions) -> Result<Backup> {
        let open = options
            .bases
            .iter()
            .fold(OpenBackup::new(), |open, base| open.base(base));
        open.open_in(&self.files()?, file)
    }

    /// Pauses the writers: brings everything to the files and prevents writing until the pause is
    /// resumed, this object is dropped, or the lease expires. Waits for the running transaction and
    /// those queued before it, and for the end of another object's pause. A thread that itself
    /// holds a transaction is refused. The lease begins when this returns.
    ///
    /// Returns the token of the state in the files, with which [`prove`](crate::verify::prove)
    /// compares a copy.
    ///
    /// # Errors
    /// Returns [`Error::AccessDenied`], [`Error::InvalidOperation`] if this object has paused
    /// already (that pause continues) and during a restore, [`Error::Closed`], and the errors of
    /// [`Engine::checkpoint`](crate::store::Engine::checkpoint) if the state cannot be brought to
    /// the files, in which case writers continue.
    pub fn pause(&self) -> Result<PauseToken> {
        self.close_gate(false, self.options.limit)
    }

    /// Pauses like [`pause`](Self::pause), but waits at most `limit` for its turn.
    ///
    /// # Errors
    /// The errors of [`pause`](Self::pause), and [`Error::Timeout`].
    pub fn pause_within(&self, limit: Duration) -> Result<PauseToken> {
        self.close_gate(false, limit)
    }

    /// Pauses like [`pause`](Self::pause), but fails at once if another object has paused. It still
    /// waits for transactions. `IWbemBackupRestoreEx::Pause` behaves this way.
    ///
    /// # Errors
    /// The errors of [`pause`](Self::pause), and [`Error::InvalidOperation`] if another object has
    /// paused or is about to.
    pub fn try_pause(&self) -> Result<PauseToken> {
        self.close_gate(true, self.options.limit)
    }

    /// Pauses like [`try_pause`](Self::try_pause), but waits at most `limit` for transactions.
    ///
    /// # Errors
    /// The errors of [`try_pause`](Self::try_pause), and [`Error::Timeout`].
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
    /// Returns [`Error::AccessDenied`], and [`Error::InvalidOperation`] if there is no pause. After
    /// a pause the latter means that its lease expired: writers may have been active, so a copy
    /// made in the meantime must not be trusted.
    pub fn resume(&self) -> Result<()> {
        self.core.ask(self.caller.as_ref(), Operation::Resume)?;
        self.core.gate.resume(self.owner)
    }

    /// The token of this object's pause; `None` without a pause and after its lease has expired. If
    /// it still equals the caller's token, the pause has held so far.
    pub fn pause_token(&self) -> Option<PauseToken> {
        let (owner, token) = self.core.pause_token()?;
        (owner == self.owner).then_some(token)
    }

    /// Time until the pause of this object expires; `None` without a pause.
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

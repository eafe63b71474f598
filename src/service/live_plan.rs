//! The dry run of a restore over a repository that clients use.

use std::path::Path;
use std::sync::Arc;

use crate::base::error::Result;
use crate::base::progress::Observer;
use crate::restore::live;
use crate::store::Snapshot;

use super::backup_restore::need_path;
use super::{BackupRestore, BackupRestoreFlags, Caller, LiveRestoreOptions, Operation};

/// Effects that a restore over a live repository would have.
#[derive(Debug)]
pub struct LiveRestorePlan {
    /// Callers of the connections that are open, oldest first. The restore would break these
    /// connections, or be refused because of them.
    pub connections: Vec<Arc<dyn Caller>>,
    /// True if the connections would refuse the restore
    /// ([`Error::ConnectionsActive`](crate::Error::ConnectionsActive)): it was planned without
    /// [`BackupRestoreFlags::FORCE_SHUTDOWN`].
    pub is_refused: bool,
    /// State that would be replaced, commits that wait in the journal included.
    pub replaced: Snapshot,
}

impl BackupRestore {
    /// Checks a backup wholly and reports what [`restore_with`](Self::restore_with) would do with
    /// the same arguments: which connections it would cost, and which state. Nothing is changed;
    /// pauses, backups and connections are as free as before.
    ///
    /// # Errors
    /// As [`restore_with`](Self::restore_with) before it has an effect, except that open
    /// connections are no error.
    pub fn plan_restore(
        &self,
        file: impl AsRef<Path>,
        flags: BackupRestoreFlags,
        options: &LiveRestoreOptions,
        observer: &dyn Observer,
    ) -> Result<LiveRestorePlan> {
        self.core.ask(self.caller.as_ref(), Operation::Restore)?;
        flags.need_known()?;
        need_path(file.as_ref())?;
        // A restore would be refused now by a pause or another restore. It is not kept begun: what
        // is only planned must not hinder what is done.
        drop(self.core.gate.begin_restore(self.owner)?);
        let backup = self.open_backup(file.as_ref(), options)?;
        live::check(&backup, options.over_existing(), observer)?;
        let engine = self.core.engine()?;
        engine.need_writable()?;
        let connections = self.core.clients();
        let is_refused = !connections.is_empty() && !self.breaks_connections(flags);
        Ok(LiveRestorePlan {
            connections,
            is_refused,
            replaced: engine.snapshot(),
        })
    }
}

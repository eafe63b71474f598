//! Actions while nobody writes, such as copying the directory or taking a volume snapshot.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::base::error::Result;
use crate::pager::files::RepositoryFiles;
use crate::storage::Directory;
use crate::store::PauseToken;

use super::{BackupRestore, ObjectOptions, Standby, Trusted};

/// Result of an action that ran while the repository was paused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct PausedRun<T> {
    /// The value that the action returned.
    pub value: T,
    /// True if the pause held to the end. If not, others may have written in the meantime, and a
    /// copy must not be trusted.
    pub held: bool,
    /// The paused state, for comparison with a copy.
    pub token: PauseToken,
}

impl BackupRestore {
    /// Pauses, runs `act` on the directory of the repository, and resumes, even if `act` panics.
    ///
    /// # Errors
    /// The errors of [`pause`](Self::pause).
    pub fn while_paused<T>(&self, act: impl FnOnce(&Directory) -> T) -> Result<PausedRun<T>> {
        struct Resume<'a>(&'a BackupRestore);
        impl Drop for Resume<'_> {
            fn drop(&mut self) {
                self.0.core.gate.resume(self.0.owner).ok();
            }
        }
        let token = self.pause()?;
        let resume = Resume(self);
        let value = act(&self.core.directory);
        std::mem::forget(resume);
        Ok(PausedRun {
            value,
            held: self.core.gate.resume(self.owner).is_ok(),
            token,
        })
    }
}

/// Options for pausing a repository that no other process writes to.
#[derive(Debug, Clone, Copy)]
pub struct PauseOptions {
    /// Longest duration of the pause.
    pub lease: Duration,
    /// How long to wait for another process that writes; not at all by default.
    pub wait: Option<Duration>,
}

impl Default for PauseOptions {
    fn default() -> Self {
        Self {
            lease: ObjectOptions::DEFAULT_LEASE,
            wait: None,
        }
    }
}

/// Runs an action on the directory of a repository that no other process writes to, with the token
/// of its state. It takes the writer lock, brings the journal to the files, and prevents writing
/// until the action is done or the lease expires. Then the lock is released in either case. A
/// repository of dialect 2.1 is only locked.
///
/// # Errors
/// Returns [`Error::Locked`](crate::Error::Locked) while another process has the repository open
/// for writing, and otherwise the errors of
/// [`EngineOptions::open`](crate::store::EngineOptions::open) and
/// [`Engine::checkpoint`](crate::store::Engine::checkpoint).
pub fn pause_repository<T>(
    path: impl AsRef<Path>,
    options: PauseOptions,
    act: impl FnOnce(&Directory, &PauseToken) -> T,
) -> Result<PausedRun<T>> {
    let directory = Directory::real(path.as_ref());
    let standby = Standby::with_lease(&directory, options.lease);
    let object = standby.backup_restore_as(Arc::new(Trusted));
    let token = match options.wait {
        Some(limit) => object.pause_within(limit)?,
        None => object.try_pause()?,
    };
    let value = act(&RepositoryFiles::locate(&directory)?.directory, &token);
    Ok(PausedRun {
        value,
        held: object.resume().is_ok(),
        token,
    })
}

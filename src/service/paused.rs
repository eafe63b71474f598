//! Something done while nobody writes: a copy of the directory, a volume snapshot.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::base::error::Result;
use crate::pager::files::RepositoryFiles;
use crate::storage::Directory;
use crate::store::PauseToken;

use super::{BackupRestore, DEFAULT_LEASE, Standby, Trusted};

/// What came of something that was done while the repository was paused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct PausedRun<T> {
    /// What it gave.
    pub value: T,
    /// True if the pause held to its end. If not, others may have written meanwhile: what was
    /// copied is not to be trusted.
    pub held: bool,
    /// The state that was paused: what a copy is held against.
    pub token: PauseToken,
}

impl BackupRestore {
    /// Pauses, does something with the directory of the repository, and resumes, also when it
    /// panics.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
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

/// How a repository that no other process writes is paused.
#[derive(Debug, Clone, Copy)]
pub struct PauseOptions {
    /// How long the pause lasts at most.
    pub lease: Duration,
    /// How long another process that writes is waited for; not at all unless given.
    pub wait: Option<Duration>,
}

impl Default for PauseOptions {
    fn default() -> Self {
        Self {
            lease: DEFAULT_LEASE,
            wait: None,
        }
    }
}

/// Does something with the directory of a repository that no other process writes, and with the
/// token of the state in it: takes the writer lock, brings to the files what a journal holds, and
/// keeps others from writing until it is done or the lease has run out. Then the lock is given
/// back, done or not. A repository of dialect 2.1 is locked alone.
///
/// # Errors
/// [`Error::Locked`](crate::Error::Locked) while another process has the repository open for
/// writing; else as [`EngineOptions::open`](crate::store::EngineOptions::open) and
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

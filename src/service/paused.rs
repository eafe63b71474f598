//! Something done while nobody writes: a copy of the directory, a volume snapshot.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::engine::EngineOptions;
use crate::storage::Directory;

use super::{BackupRestore, ServiceOptions};

/// What came of something that was done while the repository was paused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct PausedRun<T> {
    /// What it gave.
    pub value: T,
    /// Whether the pause held to its end. If not, others may have written meanwhile: what was copied is not to be trusted.
    pub held: bool,
}

impl BackupRestore {
    /// Pauses, does something with the directory of the repository, and resumes, also when it panics.
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
        self.pause()?;
        let resume = Resume(self);
        let value = act(&self.core.directory);
        std::mem::forget(resume);
        Ok(PausedRun { value, held: self.core.gate.resume(self.owner).is_ok() })
    }
}

/// Does something with the directory of a repository that no other process writes: takes the writer lock, brings to the files
/// what a journal holds, and keeps others from writing until it is done or the lease has run out. Then the lock is given back, done
/// or not.
///
/// # Errors
/// [`Error::Locked`] while another process has the repository open for writing; else as
/// [`EngineOptions::open`](crate::engine::EngineOptions::open) and [`Engine::close`](crate::engine::Engine::close).
pub fn pause_repository<T>(
    path: impl AsRef<Path>,
    lease: Duration,
    act: impl FnOnce(&Directory) -> T,
) -> Result<PausedRun<T>> {
    pause_repository_in(&Directory::real(path.as_ref()), lease, act)
}

fn pause_repository_in<T>(
    directory: &Directory,
    lease: Duration,
    act: impl FnOnce(&Directory) -> T,
) -> Result<PausedRun<T>> {
    let engine = EngineOptions::new().background(false);
    let service = ServiceOptions::new().engine(engine).lease(lease).open_in(directory)?;
    let object = service.backup_restore();
    let (done, is_done) = channel::<()>();
    let run = thread::scope(|scope| {
        // Others wait for the lock of this process, not at its gate: when the lease has run out they get it.
        let core = &service.core;
        let watch = move || {
            if is_done.recv_timeout(lease) == Err(RecvTimeoutError::Timeout) {
                core.close().ok();
            }
        };
        object.pause()?;
        let watch = thread::Builder::new().name("cimrepo lease of the lock".to_owned()).spawn_scoped(scope, watch);
        watch.map_err(|error| Error::io(IoOp::SpawnThread, &directory.path, error))?;
        let _done = done;
        let value = act(service.directory());
        Ok::<_, Error>(PausedRun { value, held: object.resume().is_ok() })
    })?;
    drop(object);
    service.close()?;
    Ok(run)
}

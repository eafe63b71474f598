//! The writer lock, which lets one process at a time change a repository.
//!
//! It consists of two operating-system locks on separate files, so both end with their process. One
//! file lies next to the directory and one inside it, and the locks are taken in this order. While
//! a directory is renamed, no file in it may be open (Windows refuses that) and for a moment no
//! directory has its name. During that time the outer lock keeps others out. Readers neither need
//! nor touch the locks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::io_op::IoOp;
use crate::base::misuse::Misuse;
use crate::pager::leftovers::{LOCK_NAME, LOCK_SUFFIX};
use crate::pager::targets::ensure_plain_name;
use crate::storage::{Directory, LOCK_NOTE, LockGuard, OpenMode, Protection, Storage, read_whole};

/// The writer lock, held until it is dropped.
#[derive(Debug)]
pub(crate) struct WriterLock {
    // Declared so that they are dropped in the reverse of the order in which they were taken.
    inside: Option<Box<dyn LockGuard>>,
    beside: Beside,
    directory: Directory,
    note: String,
}

/// The lock next to the directory.
#[derive(Debug)]
enum Beside {
    Held {
        _guard: Box<dyn LockGuard>,
    },
    /// The path does not end with a name, so nothing can be renamed by it.
    Nameless,
    /// The system does not let the caller create a file there. The caller therefore cannot rename
    /// the directory either, but may change its content.
    Denied(io::Error),
}

impl WriterLock {
    /// Takes the lock of a repository. `purpose` is shown to others.
    pub(crate) fn acquire(directory: &Directory, purpose: &str) -> Result<Self> {
        let mut lock = Self::beside(directory, purpose)?;
        lock.enter()?;
        Ok(lock)
    }

    /// Takes the outer lock, the only one for a name that no directory has yet. Every writer passes
    /// here, so this also rejects a name that refers to another directory.
    pub(crate) fn beside(directory: &Directory, purpose: &str) -> Result<Self> {
        let note = format!("{LOCK_NOTE}{} ({purpose})", std::process::id());
        ensure_plain_name(directory.storage.as_ref(), &directory.path)?;
        let beside = match path_beside(&directory.path) {
            None => Beside::Nameless,
            Some(path) => match take(
                directory.storage.as_ref(),
                &directory.path,
                &path,
                &note,
                &rights(directory),
            ) {
                Ok(guard) => Beside::Held { _guard: guard },
                Err(Error::Io { source, .. })
                    if is_denied(&source) && !is_there(directory, &path) =>
                {
                    Beside::Denied(source)
                }
                Err(error) => return Err(error),
            },
        };
        Ok(Self {
            inside: None,
            beside,
            directory: directory.clone(),
            note,
        })
    }

    /// Takes the inner lock, in the directory.
    pub(crate) fn enter(&mut self) -> Result<()> {
        let path = self.directory.join(LOCK_NAME);
        self.inside = Some(take(
            self.directory.storage.as_ref(),
            &self.directory.path,
            &path,
            &self.note,
            &rights(&self.directory),
        )?);
        Ok(())
    }

    /// Fails unless the directory may be renamed under the lock.
    pub(crate) fn need_beside(&self) -> Result<()> {
        let path = self.directory.path.as_path();
        match &self.beside {
            Beside::Held { .. } => Ok(()),
            Beside::Nameless => {
                let text = "has no name of its own, so nothing can be put next to it; give the \
                    path with the name of the directory";
                Err(Error::invalid(
                    Misuse::UnnamedPath,
                    format!("{} {text}", escape_path(path)),
                ))
            }
            Beside::Denied(error) => Err(Error::io(IoOp::CreateBeside, path, error.kind().into())),
        }
    }

    /// Releases the inner lock, so that no file in the directory is open. The outer lock is kept,
    /// and other writers need that first.
    pub(crate) fn leave(&mut self) {
        self.inside = None;
    }
}

/// Limits of the wait for a lock held by another process or thread.
#[derive(Clone, Copy)]
pub(crate) struct LockWait<'a> {
    /// End of the wait; `None` for no waiting.
    until: Option<Instant>,
    /// Asked before each attempt after the first.
    may_go_on: &'a (dyn Fn() -> Result<()> + Sync),
}

impl<'a> LockWait<'a> {
    /// Waits up to `limit`, as long as `may_go_on` permits.
    pub(crate) fn new(
        limit: Option<Duration>,
        may_go_on: &'a (dyn Fn() -> Result<()> + Sync),
    ) -> Self {
        Self {
            until: limit.and_then(|limit| Instant::now().checked_add(limit)),
            may_go_on,
        }
    }

    /// Tries until no other process has the lock. The system has no call that waits with a limit,
    /// so this polls: first after a millisecond, and at least 20 times a second.
    pub(crate) fn take<T>(self, mut take: impl FnMut() -> Result<T>) -> Result<T> {
        let mut pause = Duration::from_millis(1);
        loop {
            match take() {
                Err(error @ Error::Locked { .. }) => {
                    let rest = self
                        .until
                        .map(|until| until.saturating_duration_since(Instant::now()));
                    let Some(rest) = rest.filter(|rest| !rest.is_zero()) else {
                        return Err(error);
                    };
                    thread::sleep(pause.min(rest));
                    pause = (pause * 2).min(Duration::from_millis(50));
                    (self.may_go_on)()?;
                }
                result => return result,
            }
        }
    }
}

/// Takes the lock next to a file that is to be written and replaced, so that only one process at a
/// time does so. `None` if the file system has no locks. In that case nothing that looks abandoned
/// may be touched.
pub(crate) fn lock_file(
    storage: &Arc<dyn Storage>,
    file: &Path,
    purpose: &str,
) -> Result<Option<Box<dyn LockGuard>>> {
    ensure_plain_name(storage.as_ref(), file)?;
    let Some(path) = path_beside(file) else {
        return Ok(None);
    };
    let note = format!("{LOCK_NOTE}{} ({purpose})", std::process::id());
    match take(storage.as_ref(), file, &path, &note, &Protection::private()) {
        Ok(guard) => Ok(Some(guard)),
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

/// The process that holds the writer lock of a directory, in the words of its lock file; `None`
/// where no one does. Takes no lock and makes no file.
pub(crate) fn lock_holder(directory: &Directory) -> Result<Option<String>> {
    let storage = directory.storage.as_ref();
    let places = path_beside(&directory.path).into_iter();
    for path in places.chain([directory.join(LOCK_NAME)]) {
        let is_locked = storage.is_locked(&path);
        if is_locked.map_err(|error| Error::io(IoOp::Lock, &path, error))? {
            return Ok(Some(holder(storage, &path)));
        }
    }
    Ok(None)
}

/// The path of the lock file next to a directory or file.
fn path_beside(path: &Path) -> Option<PathBuf> {
    let mut name = path.file_name()?.to_os_string();
    name.push(LOCK_SUFFIX);
    Some(path.with_file_name(name))
}

fn is_denied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// True if there is a lock file that the caller may not lock. Its holder may be a user who may
/// rename the directory.
fn is_there(directory: &Directory, path: &Path) -> bool {
    !matches!(directory.storage.kind(path), Ok(None))
}

/// The rights of the lock files of a directory: every user who may write there can take over an
/// abandoned lock file.
fn rights(directory: &Directory) -> Protection {
    directory.protection().for_file().kept()
}

fn take(
    storage: &dyn Storage,
    locked: &Path,
    path: &Path,
    note: &str,
    rights: &Protection,
) -> Result<Box<dyn LockGuard>> {
    storage
        .lock_with(path, note, rights)
        .map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Locked {
                path: locked.into(),
                holder: holder(storage, path).into_boxed_str(),
            },
            _ => Error::io(IoOp::Lock, path, error),
        })
}

/// The holder as recorded in the lock file.
fn holder(storage: &dyn Storage, path: &Path) -> String {
    let note = storage.open(path, OpenMode::Read).ok();
    let note = note
        .and_then(|file| read_whole(file.as_ref(), 1024).ok())
        .unwrap_or_default();
    let note: String = String::from_utf8_lossy(&note)
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    if note.is_empty() {
        "another process".to_owned()
    } else {
        note
    }
}

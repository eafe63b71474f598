//! The writer lock: one process at a time changes a repository.
//!
//! It is an operating-system lock on a file of its own beside those of the repository, so it ends with its process.
//! Whoever only reads neither needs nor touches it.

use std::io;

use crate::base::error::{Error, Result};
use crate::storage::{Directory, LOCK_NOTE, LockGuard, OpenMode, read_whole};

/// Name of the lock file.
pub(crate) const LOCK_NAME: &str = "cimrepo.lock";

/// The writer lock, held until it is dropped.
#[derive(Debug)]
pub(crate) struct WriterLock {
    _guard: Box<dyn LockGuard>,
}

impl WriterLock {
    /// Takes the lock of a repository for a purpose that others are told.
    pub(crate) fn acquire(directory: &Directory, purpose: &str) -> Result<Self> {
        let path = directory.join(LOCK_NAME);
        let note = format!("{LOCK_NOTE}{} ({purpose})", std::process::id());
        match directory.storage.lock(&path, &note) {
            Ok(guard) => Ok(Self { _guard: guard }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let path = directory.path.as_path().into();
                Err(Error::Locked { path, holder: holder(directory).into_boxed_str() })
            }
            Err(error) => Err(Error::io("lock", &path, error)),
        }
    }
}

/// What the lock file says of its holder.
fn holder(directory: &Directory) -> String {
    let note = directory.storage.open(&directory.join(LOCK_NAME), OpenMode::Read).ok();
    let note = note.and_then(|file| read_whole(file.as_ref(), 1024).ok()).unwrap_or_default();
    let note: String = String::from_utf8_lossy(&note).chars().filter(|c| !c.is_control()).collect();
    if note.is_empty() { "another process".to_owned() } else { note }
}

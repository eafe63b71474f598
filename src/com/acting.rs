//! Files opened under the identity of a caller.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::token::{self, Token};
use crate::base::error::Result;
use crate::storage::{
    DirEntry, EntryKind, FileId, LockGuard, NameFault, OpenMode, Protection, RawEntry, Storage,
    StorageFile, Ties,
};

/// The storage, as the caller of the call that runs on this thread may use it. The process itself
/// uses it as it is.
pub(super) fn as_caller(storage: &Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
    let Some(token) = token::to_act_as()? else {
        return Ok(storage.clone());
    };
    Ok(Arc::new(Acting {
        storage: storage.clone(),
        token: Arc::new(token),
    }))
}

/// A storage whose names are looked up as another user. The token goes along, so that threads of
/// the call that the client never called are that user too.
#[derive(Debug)]
struct Acting {
    storage: Arc<dyn Storage>,
    token: Arc<Token>,
}

impl Acting {
    /// Does something as the user. A thread that cannot become itself again fails whatever it did.
    fn act<T>(&self, act: impl FnOnce(&dyn Storage) -> io::Result<T>) -> io::Result<T> {
        let worn = self.token.wear()?;
        let result = act(self.storage.as_ref());
        worn.end()?;
        result
    }

    /// Keeps who takes the lock away: the file is removed as the user who made it.
    fn lock(
        &self,
        take: impl FnOnce(&dyn Storage) -> io::Result<Box<dyn LockGuard>>,
    ) -> io::Result<Box<dyn LockGuard>> {
        let guard = self.act(take)?;
        Ok(Box::new(ActingLock {
            guard: Some(guard),
            token: self.token.clone(),
        }))
    }
}

#[derive(Debug)]
struct ActingLock {
    guard: Option<Box<dyn LockGuard>>,
    token: Arc<Token>,
}

impl LockGuard for ActingLock {}

impl Drop for ActingLock {
    fn drop(&mut self) {
        // Without the identity the lock ends all the same; its file may stay, and the next holder
        // takes it over.
        let worn = self.token.wear();
        drop(self.guard.take());
        drop(worn);
    }
}

impl Storage for Acting {
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.act(|storage| storage.kind(path))
    }

    fn ties(&self, path: &Path) -> io::Result<Ties> {
        self.act(|storage| storage.ties(path))
    }

    fn file_id(&self, path: &Path) -> io::Result<Option<FileId>> {
        self.act(|storage| storage.file_id(path))
    }

    /// The text of the name tells it.
    fn name_fault(&self, path: &Path) -> Option<NameFault> {
        self.storage.name_fault(path)
    }

    fn read_dir(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.act(|storage| storage.read_dir(dir))
    }

    fn walk_dir(
        &self,
        dir: &Path,
        visit: &mut dyn FnMut(RawEntry) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.act(|storage| storage.walk_dir(dir, visit))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        self.act(|storage| storage.open(path, mode))
    }

    fn protection(&self, path: &Path) -> io::Result<Protection> {
        self.act(|storage| storage.protection(path))
    }

    fn create(&self, path: &Path, protection: &Protection) -> io::Result<Box<dyn StorageFile>> {
        self.act(|storage| storage.create(path, protection))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.act(|storage| storage.create_dir(dir))
    }

    fn create_dir_with(&self, dir: &Path, protection: &Protection) -> io::Result<()> {
        self.act(|storage| storage.create_dir_with(dir, protection))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(|storage| storage.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.act(|storage| storage.remove_file(path))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.act(|storage| storage.remove_dir(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.act(|storage| storage.sync_dir(dir))
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn LockGuard>> {
        self.lock(|storage| storage.lock(path, note))
    }

    fn lock_with(
        &self,
        path: &Path,
        note: &str,
        protection: &Protection,
    ) -> io::Result<Box<dyn LockGuard>> {
        self.lock(|storage| storage.lock_with(path, note, protection))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.act(|storage| storage.is_locked(path))
    }
}

//! A storage that calls a hook before every call, which can refuse the call or imitate another
//! process at that moment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cimrepo::storage::{
    DirEntry, Directory, EntryKind, LockGuard, OpenMode, Protection, Storage, StorageFile, Ties,
};
use parking_lot::Mutex;

/// Called with the name of a call and its path before the call is made.
pub type Hook = dyn Fn(&str, &Path) -> io::Result<()> + Send + Sync;

/// A storage with a hook. Like Windows, it refuses to rename a directory in which a file is open.
#[derive(Clone)]
pub struct Hooked {
    inner: Arc<dyn Storage>,
    hook: Arc<Hook>,
    open: Arc<Mutex<Vec<PathBuf>>>,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}

impl Hooked {
    pub fn new(
        inner: impl Storage + 'static,
        hook: impl Fn(&str, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner: Arc::new(inner),
            hook: Arc::new(hook),
            open: Arc::default(),
        }
    }

    /// A directory of it.
    pub fn directory(&self, path: &str) -> Directory {
        Directory::new(Arc::new(self.clone()), path)
    }

    fn hold(&self, path: &Path) -> Held {
        self.open.lock().push(path.to_owned());
        Held {
            path: path.to_owned(),
            open: self.open.clone(),
        }
    }
}

/// Counts as an open file until it is dropped.
struct Held {
    path: PathBuf,
    open: Arc<Mutex<Vec<PathBuf>>>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        let at = open.iter().position(|path| *path == self.path).unwrap();
        open.swap_remove(at);
    }
}

#[derive(Debug)]
struct HookedFile {
    inner: Box<dyn StorageFile>,
    storage: Hooked,
    held: Held,
}

#[derive(Debug)]
struct HookedLock {
    _inner: Box<dyn LockGuard>,
    _held: Held,
}

impl LockGuard for HookedLock {}

impl HookedFile {
    fn ask(&self, call: &str) -> io::Result<()> {
        (self.storage.hook)(call, &self.held.path)
    }
}

impl StorageFile for HookedFile {
    fn len(&self) -> io::Result<u64> {
        self.ask("len")?;
        self.inner.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.ask("read")?;
        self.inner.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.ask("write")?;
        self.inner.write_at(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.ask("set_len")?;
        self.inner.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.ask("sync")?;
        self.inner.sync()
    }
}

impl Storage for Hooked {
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        (self.hook)("kind", path)?;
        self.inner.kind(path)
    }

    fn ties(&self, path: &Path) -> io::Result<Ties> {
        self.inner.ties(path)
    }

    fn read_dir(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        (self.hook)("read_dir", dir)?;
        self.inner.read_dir(dir)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        (self.hook)("open", path)?;
        let inner = self.inner.open(path, mode)?;
        Ok(Box::new(HookedFile {
            inner,
            storage: self.clone(),
            held: self.hold(path),
        }))
    }

    fn protection(&self, path: &Path) -> io::Result<Protection> {
        self.inner.protection(path)
    }

    fn create(&self, path: &Path, protection: &Protection) -> io::Result<Box<dyn StorageFile>> {
        (self.hook)("open", path)?;
        let inner = self.inner.create(path, protection)?;
        Ok(Box::new(HookedFile {
            inner,
            storage: self.clone(),
            held: self.hold(path),
        }))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        (self.hook)("create_dir", dir)?;
        self.inner.create_dir(dir)
    }

    fn create_dir_with(&self, dir: &Path, protection: &Protection) -> io::Result<()> {
        (self.hook)("create_dir", dir)?;
        self.inner.create_dir_with(dir, protection)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.hook)("rename", from)?;
        let is_directory = self.inner.kind(from)? == Some(EntryKind::Directory);
        if is_directory && self.open.lock().iter().any(|path| path.starts_with(from)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        (self.hook)("remove_file", path)?;
        self.inner.remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        (self.hook)("remove_dir", dir)?;
        self.inner.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        (self.hook)("sync_dir", dir)?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn LockGuard>> {
        (self.hook)("lock", path)?;
        let inner = self.inner.lock(path, note)?;
        Ok(Box::new(HookedLock {
            _inner: inner,
            _held: self.hold(path),
        }))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.inner.is_locked(path)
    }

    fn lock_with(
        &self,
        path: &Path,
        note: &str,
        protection: &Protection,
    ) -> io::Result<Box<dyn LockGuard>> {
        (self.hook)("lock", path)?;
        let inner = self.inner.lock_with(path, note, protection)?;
        Ok(Box::new(HookedLock {
            _inner: inner,
            _held: self.hold(path),
        }))
    }
}

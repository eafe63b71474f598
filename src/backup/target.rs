//! The file to which a backup is written: under a temporary name, then made durable, then renamed
//! over the target (W-6).
//!
//! So an older backup of that name is only ever replaced by a complete new one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::io_op::IoOp;
use crate::base::misuse::Misuse;
use crate::base::random::random_u64;
use crate::format::own::backup_file::MAGIC;
use crate::pager::lock::{LockWait, lock_file};
use crate::pager::targets::{ensure_no_repository_file, ensure_plain_name};
use crate::storage::{
    EarlySync, EntryKind, LockGuard, OpenMode, Protection, Storage, StorageFile, Ties, parent_of,
    read_exact_at, write_all_at,
};

/// A backup while it is being written.
#[derive(Debug)]
pub(crate) struct Target {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    temporary: PathBuf,
    file: Option<Arc<dyn StorageFile>>,
    written: u64,
    early_sync: EarlySync,
    /// True if a file that is not a backup may be replaced.
    overwrite: bool,
    /// Dropped last: while it is held, no other process takes the temporary file for an abandoned
    /// one.
    _lock: Option<Box<dyn LockGuard>>,
}

/// Separates the name of the backup and a number in the name of the temporary file.
const PARTIAL: &str = ".partial-";

impl Target {
    /// Begins to write. Fails if the path cannot be a target. The file is no more accessible than
    /// `source`, the content being backed up, or than the backup that it replaces.
    pub(crate) fn create(
        storage: &Arc<dyn Storage>,
        path: &Path,
        source: &Protection,
        threads: usize,
        overwrite: bool,
        wait: LockWait<'_>,
    ) -> Result<Self> {
        check(storage.as_ref(), path, overwrite)?;
        let lock = wait.take(|| lock_file(storage, path, "backup"))?;
        if lock.is_some() {
            clear_leftovers(storage.as_ref(), path);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!("{name}{PARTIAL}{:08x}", random_u64() >> 32));
        let rights = match storage.protection(path) {
            Ok(replaced) => source.in_place_of(&replaced),
            Err(error) if error.kind() == io::ErrorKind::NotFound => source.clone(),
            Err(error) => return Err(Error::io(IoOp::Metadata, path, error)),
        };
        let file = storage.create(&temporary, &rights);
        let file = file.map_err(|error| Error::io(IoOp::Create, &temporary, error))?;
        Ok(Self {
            storage: storage.clone(),
            path: path.to_owned(),
            temporary,
            file: Some(file.into()),
            written: 0,
            early_sync: EarlySync::new(threads),
            overwrite,
            _lock: lock,
        })
    }

    /// Number of bytes written so far.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Starts to make the written part durable while the rest is being written, so that the last
    /// sync has less to do.
    pub(crate) fn sync_early(&mut self) {
        if let Some(file) = &self.file {
            self.early_sync.begin(file);
        }
    }

    /// Appends bytes. Returns their offset.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        let offset = self.written;
        if let Some(file) = &self.file {
            let write = write_all_at(file.as_ref(), offset, bytes);
            write.map_err(|error| Error::io(IoOp::Write, &self.temporary, error))?;
        }
        self.written = offset.saturating_add(bytes.len() as u64);
        Ok(offset)
    }

    /// Makes the backup durable and gives it its name, unless `may_replace` then objects.
    pub(crate) fn publish(mut self, may_replace: impl FnOnce() -> Result<()>) -> Result<()> {
        let early = self.early_sync.join();
        if let Some(file) = self.file.take() {
            early
                .and_then(|()| file.sync())
                .map_err(|error| Error::io(IoOp::Sync, &self.temporary, error))?;
        }
        may_replace()?;
        // A file that got the name in the meantime is treated like one that had it before.
        check(self.storage.as_ref(), &self.path, self.overwrite)?;
        let rename = self.storage.rename(&self.temporary, &self.path);
        rename.map_err(|error| Error::io(IoOp::RenameTo, &self.path, error))?;
        // The temporary name is gone, so `drop` has nothing to remove.
        self.temporary = PathBuf::new();
        let parent = parent_of(&self.path);
        self.storage
            .sync_dir(parent)
            .map_err(|error| Error::unconfirmed(IoOp::SyncDirectory, parent, error))
    }
}

impl Drop for Target {
    /// Removes an incomplete backup.
    fn drop(&mut self) {
        self.early_sync.join().ok();
        self.file = None;
        if !self.temporary.as_os_str().is_empty() {
            self.storage.remove_file(&self.temporary).ok();
        }
    }
}

/// Removes the remains of interrupted backups to the same target. A file is recognised by its name,
/// by having only that name, and by its first bytes. Failure is ignored, because the new backup
/// does not depend on it.
fn clear_leftovers(storage: &dyn Storage, target: &Path) {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let number = |entry: &str| {
        entry
            .strip_prefix(&*name)?
            .strip_prefix(PARTIAL)
            .map(str::to_owned)
    };
    let is_number =
        |text: String| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for entry in storage.read_dir(parent_of(target)).unwrap_or_default() {
        if entry.kind == EntryKind::File && number(&entry.name).is_some_and(is_number) {
            let path = target.with_file_name(&entry.name);
            if storage.ties(&path).is_ok_and(|ties| ties == Ties::None)
                && begins_like_one(storage, &path)
            {
                storage.remove_file(&path).ok();
            }
        }
    }
}

/// True if a file begins like a backup, or like one that lost its beginning in a power failure.
fn begins_like_one(storage: &dyn Storage, path: &Path) -> bool {
    let mut begin = [0; MAGIC.len()];
    let Ok(file) = storage.open(path, OpenMode::Read) else {
        return false;
    };
    match file.len() {
        Ok(0) => true,
        Ok(_) => {
            read_exact_at(file.as_ref(), 0, &mut begin).is_ok()
                && (begin == MAGIC || begin == [0; MAGIC.len()])
        }
        Err(_) => false,
    }
}

/// Fails if the target is a file other than a backup, unless the caller wants it replaced. An empty
/// file may always be replaced.
fn ensure_replaceable(storage: &dyn Storage, path: &Path, overwrite: bool) -> Result<()> {
    if overwrite || is_replaceable(storage, path)? {
        return Ok(());
    }
    let text = "is there and is no backup; give another name, or allow that it is replaced \
        (`BackupOptions::overwrite`, on the command line --overwrite)";
    Err(Error::invalid(
        Misuse::Overwrite,
        format!("{} {text}", escape_path(path)),
    ))
}

fn is_replaceable(storage: &dyn Storage, path: &Path) -> Result<bool> {
    let file = match storage.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(Error::io(IoOp::Open, path, error)),
    };
    let mut begin = [0; MAGIC.len()];
    let read = file.len().and_then(|len| match len {
        0 => Ok(true),
        len if len < MAGIC.len() as u64 => Ok(false),
        _ => read_exact_at(file.as_ref(), 0, &mut begin).map(|()| begin == MAGIC),
    });
    read.map_err(|error| Error::io(IoOp::Read, path, error))
}

fn check(storage: &dyn Storage, path: &Path, overwrite: bool) -> Result<()> {
    if path.file_name().is_none() {
        let text = format!(
            "`{}` names no file to write the backup to",
            escape_path(path)
        );
        return Err(Error::invalid(Misuse::PathKind, text));
    }
    ensure_plain_name(storage, path)?;
    let trailing = path
        .as_os_str()
        .as_encoded_bytes()
        .last()
        .is_some_and(|&byte| std::path::is_separator(byte.into()));
    let parent = parent_of(path);
    if storage
        .kind(parent)
        .map_err(|error| Error::io(IoOp::Metadata, parent, error))?
        .is_none()
    {
        let reason = "it is not there; create it, the backup is written in it";
        return Err(Error::no_directory(parent, reason));
    }
    let kind = storage
        .kind(path)
        .map_err(|error| Error::io(IoOp::Metadata, path, error))?;
    if trailing || kind.is_some_and(|kind| kind != EntryKind::File) {
        let text = "is no regular file; give the name of a file to write the backup to";
        return Err(Error::invalid(
            Misuse::PathKind,
            format!("{} {text}", escape_path(path)),
        ));
    }
    // Writing through the link would change a file that nobody named. Putting the backup in its
    // place would lose the link.
    if storage
        .ties(path)
        .map_err(|error| Error::io(IoOp::Metadata, path, error))?
        == Ties::Link
    {
        let text = "is a symbolic link; name the file that it leads to, or remove it";
        return Err(Error::invalid(
            Misuse::Link,
            format!("{} {text}", escape_path(path)),
        ));
    }
    ensure_no_repository_file(storage, path)?;
    ensure_replaceable(storage, path, overwrite)
}

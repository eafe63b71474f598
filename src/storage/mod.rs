//! The I/O seam: every read and write of the engine goes through [`Storage`].
//!
//! There are three implementations: [`RealStorage`] (the file system), [`MemStorage`] (memory) and,
//! with feature `sim`, a simulator that fails calls and loses power. All calls are synchronous and
//! positional. Transfers may be short; only [`read_exact_at`] and [`write_all_at`] loop over them.
//!
//! The engine relies on the following and on nothing else, as the simulator shows:
//!
//! * a write is durable once [`StorageFile::sync`] on its file has returned; before that, writes
//!   may become durable in any order;
//! * a create, rename or remove is durable once [`Storage::sync_dir`] on its directory has
//!   returned;
//! * a rename is atomic: after a crash the name refers to the old file or to the new one.

mod early_sync;
mod file_id;
mod fs;
mod mem;
#[cfg(feature = "mmap")]
mod mmap;
pub(crate) mod names;
mod protection;
#[cfg(unix)]
#[path = "rights_unix.rs"]
mod rights;
#[cfg(windows)]
#[path = "rights_windows.rs"]
mod rights;
#[cfg(feature = "sim")]
pub mod sim;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use early_sync::EarlySync;
pub use file_id::FileId;
pub use fs::RealStorage;
pub use mem::MemStorage;
#[cfg(feature = "mmap")]
pub use mmap::MappedStorage;
pub use names::{NameFault, windows_fault};
pub use protection::Protection;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; the file must exist and is not changed.
    Read,
    /// For reading and writing; the file must exist.
    Write,
    /// For reading and writing. The file is created, accessible only to its owner, or emptied if it
    /// exists.
    Create,
    /// For reading and writing. The file is created, accessible only to its owner, and must not
    /// exist. [`Storage::create`] creates files for others too.
    CreateNew,
}

/// The kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file, or a link to one.
    File,
    /// A directory, or a link to one.
    Directory,
    /// Anything else.
    Other,
}

/// A directory entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Name within the directory.
    pub name: String,
    /// The kind of the entry.
    pub kind: EntryKind,
}

/// A directory entry without following links: a symbolic link is a link, whatever its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEntry {
    /// Name within the directory. It need not be Unicode.
    pub name: OsString,
    /// Kind of the entry itself.
    pub kind: RawKind,
}

/// Kind of a directory entry, with no link followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, or on Windows a junction.
    Link,
    /// Anything else, or an entry whose kind the system does not report.
    Other,
}

/// How a name is tied to others, so that writing under it would show under another name too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// Not at all: the file has only this name, or there is no file.
    None,
    /// The name is a symbolic link, so opening it opens another file.
    Link,
    /// The file has this number of names (hard links), all of them equal.
    Names(u64),
}

/// A tree of files: the file system or a substitute for it.
///
/// The default implementations of the calls that change something fail; a read-only storage keeps
/// them.
pub trait Storage: Send + Sync + Debug {
    /// The kind of the entry at `path`; `None` if there is none.
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>>;

    /// The ties of the name `path`. A storage without links need not implement it.
    fn ties(&self, _path: &Path) -> io::Result<Ties> {
        Ok(Ties::None)
    }

    /// The identity of the file at `path`, with links followed; `None` if there is none. Two names
    /// of one file have the same identity. If the storage gives each file one name, the name is
    /// enough.
    fn file_id(&self, path: &Path) -> io::Result<Option<FileId>> {
        Ok(self.kind(path)?.map(|_| FileId::of_name(path)))
    }

    /// Why the storage takes `path` for another file than its text says; `None` if it does not.
    /// Only the file system of Windows does so. Nothing is written under such a name, because
    /// companion files would be placed next to the wrong file.
    fn name_fault(&self, _path: &Path) -> Option<NameFault> {
        None
    }

    /// The entries of a directory, in no particular order. Names that are not Unicode are left out,
    /// since no file of this engine has such a name.
    fn read_dir(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Passes each entry of a directory to `visit`, in no particular order and without following
    /// links, until `visit` breaks. The entries are not collected, so that a directory with
    /// millions of them takes no memory.
    fn walk_dir(
        &self,
        dir: &Path,
        visit: &mut dyn FnMut(RawEntry) -> ControlFlow<()>,
    ) -> io::Result<()> {
        for DirEntry { name, kind } in self.read_dir(dir)? {
            let kind = match kind {
                _ if self.ties(&dir.join(&name))? == Ties::Link => RawKind::Link,
                EntryKind::File => RawKind::File,
                EntryKind::Directory => RawKind::Directory,
                EntryKind::Other => RawKind::Other,
            };
            if visit(RawEntry {
                name: name.into(),
                kind,
            })
            .is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// Opens a file. Fails with `NotFound` or `AlreadyExists` as the mode demands, for a directory
    /// with `IsADirectory` (Windows itself gives `PermissionDenied`), and for a file to be created
    /// in a missing directory with `NotFound`.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>>;

    /// The access rights of the file or directory at `path`, with links followed. A storage without
    /// access rights returns the default.
    fn protection(&self, _path: &Path) -> io::Result<Protection> {
        Ok(Protection::default())
    }

    /// Creates a file for reading and writing; it must not exist. At no time may anyone read it
    /// whom `protection` does not admit. If the file system cannot represent all of the rights, the
    /// file gets fewer, which is not an error.
    fn create(&self, path: &Path, _protection: &Protection) -> io::Result<Box<dyn StorageFile>> {
        self.open(path, OpenMode::CreateNew)
    }

    /// Creates a directory accessible only to its owner. Its parent must exist and it must not.
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        read_only()
    }

    /// Creates a directory with the given protection, like [`create`](Self::create) for a file.
    fn create_dir_with(&self, dir: &Path, _protection: &Protection) -> io::Result<()> {
        self.create_dir(dir)
    }

    /// Renames a file or directory atomically; open files stay open. A file replaces a file of the
    /// new name. A directory never replaces one with content. Whether it replaces an empty one
    /// depends on the storage (Linux does, Windows and the other storages here do not), so callers
    /// check first.
    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        read_only()
    }

    /// Removes a file.
    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        read_only()
    }

    /// Removes an empty directory.
    fn remove_dir(&self, _dir: &Path) -> io::Result<()> {
        read_only()
    }

    /// Makes the creations, renames and removals in a directory durable.
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        read_only()
    }

    /// Takes the exclusive lock that the file at `path` represents, creating the file. The lock
    /// ends with the guard or with the process, and the guard removes the file. Fails with
    /// [`io::ErrorKind::WouldBlock`] while another holder exists.
    ///
    /// `note` must begin with [`LOCK_NOTE`]. In the file system, a file with other content, or an
    /// entry that is no file, fails with [`io::ErrorKind::InvalidData`] and is left unchanged.
    fn lock(&self, _path: &Path, _note: &str) -> io::Result<Box<dyn LockGuard>> {
        read_only()
    }

    /// Takes the lock like [`lock`](Self::lock), but creates the file with `protection` instead of
    /// for its owner alone.
    fn lock_with(
        &self,
        path: &Path,
        note: &str,
        _protection: &Protection,
    ) -> io::Result<Box<dyn LockGuard>> {
        self.lock(path, note)
    }

    /// True while someone holds the lock that the file at `path` stands for. Nothing is created or
    /// changed. A storage without locks has none that is held.
    fn is_locked(&self, _path: &Path) -> io::Result<bool> {
        Ok(false)
    }
}

/// The error of a read-only storage for a call that would change something.
pub(crate) fn read_only<T>() -> io::Result<T> {
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "this storage is for reading only",
    ))
}

/// Prefix of the notes in lock files. It distinguishes an abandoned lock file from an unrelated
/// file.
pub const LOCK_NOTE: &str = "process ";

/// A held lock; dropping it releases it.
pub trait LockGuard: Send + Sync + Debug {}

/// An open file. Offsets and lengths are in bytes.
pub trait StorageFile: Send + Sync + Debug {
    /// Length of the file, in bytes.
    fn len(&self) -> io::Result<u64>;

    /// True if the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads at an offset. Returns the number of bytes read, 0 at the end of the file.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes at an offset, extending the file if needed. Returns the number of bytes written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Truncates the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes everything that was written to the file, and its length, durable.
    fn sync(&self) -> io::Result<()>;
}

/// Fills `buf` from an offset. Fails with [`io::ErrorKind::UnexpectedEof`] if the file ends before.
pub fn read_exact_at(
    file: &dyn StorageFile,
    mut offset: u64,
    mut buf: &mut [u8],
) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(offset, buf) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                let (_, rest) = buf.split_at_mut(count.min(buf.len()));
                buf = rest;
                offset = offset.saturating_add(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `bytes` at an offset.
pub fn write_all_at(file: &dyn StorageFile, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                let (_, rest) = bytes.split_at(count.min(bytes.len()));
                bytes = rest;
                offset = offset.saturating_add(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A directory of a storage, which can hold a repository.
#[derive(Debug, Clone)]
pub struct Directory {
    /// The storage that holds the directory.
    pub storage: Arc<dyn Storage>,
    /// The path of the directory.
    pub path: PathBuf,
}

impl Directory {
    /// A directory in the file system.
    pub fn real(path: impl Into<PathBuf>) -> Self {
        Self {
            storage: Arc::new(RealStorage),
            path: path.into(),
        }
    }

    /// A directory in `storage`.
    pub fn new(storage: Arc<dyn Storage>, path: impl Into<PathBuf>) -> Self {
        Self {
            storage,
            path: path.into(),
        }
    }

    /// The protection of the directory, or that of a private file if it cannot be determined.
    pub(crate) fn protection(&self) -> Protection {
        self.storage
            .protection(&self.path)
            .unwrap_or_else(|_| Protection::private().for_directory())
    }

    /// The path of the entry `name`.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// The directory that contains `path`; `.` for a bare name.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Reads a whole file. Fails if it has more than `limit` bytes.
pub(crate) fn read_whole(file: &dyn StorageFile, limit: u64) -> io::Result<Vec<u8>> {
    let len = file.len()?;
    if len > limit {
        let text =
            format!("the file has {len} bytes, more than the {limit} that make sense for its kind");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; len];
    read_exact_at(file, 0, &mut bytes)?;
    Ok(bytes)
}

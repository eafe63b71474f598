//! The I/O seam: everything the engine reads or writes goes through [`Storage`].
//!
//! Three implementations: [`RealStorage`] (the file system), [`MemStorage`] (memory) and, behind
//! feature `sim`, a simulator that fails calls and loses power. All calls are synchronous and
//! positional; transfers may be short and [`read_exact_at`] and [`write_all_at`] are the only
//! places that loop over them.
//!
//! What the engine relies on, and the simulator takes away everything else:
//!
//! * a write is durable once [`StorageFile::sync`] on its file returned, not before and in no
//!   order;
//! * a create, rename or remove is durable once [`Storage::sync_dir`] on its directory returned;
//! * a rename is atomic: after a crash the name means the old file or the new one.

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

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; the file must exist and is not touched.
    Read,
    /// For reading and writing; the file must exist.
    Write,
    /// For reading and writing; the file is created, for its owner alone, and emptied if it exists.
    Create,
    /// For reading and writing; the file is created, for its owner alone, and must not exist.
    /// [`Storage::create`] creates one for others too.
    CreateNew,
}

/// What a directory entry is.
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
    /// What it is.
    pub kind: EntryKind,
}

/// A directory entry as it stands there: a symbolic link is a link, whatever it leads to.
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
    /// A symbolic link; on Windows a junction too.
    Link,
    /// Anything else, and what the system cannot say.
    Other,
}

/// What a name has to do with others: whether what is written under it shows elsewhere too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// Nothing: the file, or whatever stands there, has this name alone. Also where there is
    /// nothing.
    None,
    /// The name is a symbolic link: what is opened by it is something else.
    Link,
    /// The file has so many names (hard links), all of them equal.
    Names(u64),
}

/// A tree of files: the file system, or something that stands for it.
///
/// The calls that change something fail as they stand here: a storage for reading only leaves them
/// so.
pub trait Storage: Send + Sync + Debug {
    /// What stands at `path`, `None` for nothing.
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>>;

    /// What ties the name `path` has. A storage without links needs not say anything.
    fn ties(&self, _path: &Path) -> io::Result<Ties> {
        Ok(Ties::None)
    }

    /// The identity of what stands at `path`, where a link leads; `None` for nothing. Two names of
    /// one file have the same. In a storage in which a file has one name, that name is enough.
    fn file_id(&self, path: &Path) -> io::Result<Option<FileId>> {
        Ok(self.kind(path)?.map(|_| FileId::of_name(path)))
    }

    /// Why `path` means another file to the storage than its text says; `None` where it means
    /// itself, as in every storage but the file system of Windows. Nothing is written under such a
    /// name: what belongs beside it would be beside another.
    fn name_fault(&self, _path: &Path) -> Option<NameFault> {
        None
    }

    /// The entries of a directory, in no order. Names that are not Unicode are left out: no file of
    /// ours has one.
    fn read_dir(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Hands each entry of a directory to `visit`, in no order and with no link followed, until
    /// `visit` breaks. Nothing of the directory is kept, so that one of millions of entries takes
    /// no memory.
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

    /// Opens a file. Fails with `NotFound` or `AlreadyExists` where the mode says so, for a
    /// directory with `IsADirectory` (by Windows itself with `PermissionDenied`), and to create
    /// where there is no directory with `NotFound`.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>>;

    /// The rights of the file or directory at `path`, where a link leads. A storage without rights
    /// says nothing.
    fn protection(&self, _path: &Path) -> io::Result<Protection> {
        Ok(Protection::default())
    }

    /// Creates a file, which must not exist, for reading and writing. At no time may it be read by
    /// anyone whom `protection` does not let; what of it the file system cannot keep is left
    /// narrower, and is no error.
    fn create(&self, path: &Path, _protection: &Protection) -> io::Result<Box<dyn StorageFile>> {
        self.open(path, OpenMode::CreateNew)
    }

    /// Creates a directory, for its owner alone; its parent must exist and it must not.
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        read_only()
    }

    /// Creates a directory with a protection, as [`create`](Self::create) does a file.
    fn create_dir_with(&self, dir: &Path, _protection: &Protection) -> io::Result<()> {
        self.create_dir(dir)
    }

    /// Gives a file or directory another name, atomically; what is open stays open. A file replaces
    /// a file of that name. A directory replaces nothing that has content; whether it replaces an
    /// empty directory differs (Linux does it, Windows and the others here do not), so callers look
    /// first.
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

    /// Takes the exclusive lock that the file at `path` stands for, creating the file. The lock
    /// ends with the guard, or with the process; the guard removes the file. Fails with
    /// [`io::ErrorKind::WouldBlock`] while another holds it.
    ///
    /// A note begins with [`LOCK_NOTE`]: in the file system a file that holds anything else, or is
    /// none, fails with [`io::ErrorKind::InvalidData`] and stays as it is.
    fn lock(&self, _path: &Path, _note: &str) -> io::Result<Box<dyn LockGuard>> {
        read_only()
    }

    /// Takes the lock as [`lock`](Self::lock); the file gets a protection instead of being for its
    /// owner alone.
    fn lock_with(
        &self,
        path: &Path,
        note: &str,
        _protection: &Protection,
    ) -> io::Result<Box<dyn LockGuard>> {
        self.lock(path, note)
    }
}

/// What a storage for reading only answers to whoever wants to write.
pub(crate) fn read_only<T>() -> io::Result<T> {
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "this storage is for reading only",
    ))
}

/// Beginning of the notes in lock files: by it a file that a holder left behind is told from
/// someone else's.
pub const LOCK_NOTE: &str = "process ";

/// A held lock; dropping it releases it.
pub trait LockGuard: Send + Sync + Debug {}

/// An open file. Offsets and lengths are in bytes.
pub trait StorageFile: Send + Sync + Debug {
    /// Length of the file.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads at an offset; gives how many bytes were read, 0 at the end of the file.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes at an offset, extending the file; gives how many bytes were written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes everything written to the file, and its length, durable.
    fn sync(&self) -> io::Result<()>;
}

/// Fills `buf` from an offset; the end of the file before that is [`io::ErrorKind::UnexpectedEof`].
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

/// A directory of a storage: what a repository lives in.
#[derive(Debug, Clone)]
pub struct Directory {
    /// The storage the directory is in.
    pub storage: Arc<dyn Storage>,
    /// Its path there.
    pub path: PathBuf,
}

impl Directory {
    /// A directory of the file system.
    pub fn real(path: impl Into<PathBuf>) -> Self {
        Self {
            storage: Arc::new(RealStorage),
            path: path.into(),
        }
    }

    /// A directory of a storage.
    pub fn new(storage: Arc<dyn Storage>, path: impl Into<PathBuf>) -> Self {
        Self {
            storage,
            path: path.into(),
        }
    }

    /// The rights of the directory; those of nobody but the owner where they cannot be found out.
    pub(crate) fn protection(&self) -> Protection {
        self.storage
            .protection(&self.path)
            .unwrap_or_else(|_| Protection::private().for_directory())
    }

    /// The path of an entry.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// The directory that holds `path`: `.` for a bare name.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Reads a whole file of at most `limit` bytes.
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

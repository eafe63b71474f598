//! Storage in the file system.

#[cfg(unix)]
use std::fs::TryLockError;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{
    DirEntry, EntryKind, FileId, LOCK_NOTE, LockGuard, NameFault, OpenMode, Protection, RawEntry,
    RawKind, Storage, StorageFile, Ties, file_id, rights, windows_fault,
};

/// The file system of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealStorage;

/// Number of attempts to rename a file over one that is open elsewhere.
const RENAME_ATTEMPTS: u32 = if cfg!(windows) { 40 } else { 1 };

/// Pause between two attempts.
const RENAME_PAUSE: Duration = Duration::from_millis(5);

/// Renames a file. Windows refuses to replace a file that is open anywhere, even if only to
/// identify it. Virus scanners and this crate's own checks of targets do so, but close it after a
/// moment.
fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    let mut left = RENAME_ATTEMPTS;
    loop {
        left -= 1;
        match fs::rename(from, to) {
            Err(error)
                if left > 0 && error.kind() == io::ErrorKind::PermissionDenied && to.is_file() =>
            {
                thread::sleep(RENAME_PAUSE);
            }
            result => return result,
        }
    }
}

impl Storage for RealStorage {
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(entry_kind(&metadata))),
            // A path below a file does not exist.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn ties(&self, path: &Path) -> io::Result<Ties> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => Ok(Ties::Link),
            Ok(metadata) => Ok(hard_links(&metadata)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(Ties::None)
            }
            Err(error) => Err(error),
        }
    }

    fn file_id(&self, path: &Path) -> io::Result<Option<FileId>> {
        match fs::metadata(path).and_then(|metadata| file_id::of_real(path, &metadata)) {
            Ok(id) => Ok(Some(id)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn name_fault(&self, path: &Path) -> Option<NameFault> {
        if cfg!(windows) {
            windows_fault(&path.to_string_lossy())
        } else {
            None
        }
    }

    fn read_dir(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let kind = kind_of_entry(&entry.path());
            // An entry without a kind was removed in the meantime.
            if let Some(kind) =
                kind.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?
            {
                entries.push(DirEntry { name, kind });
            }
        }
        Ok(entries)
    }

    fn walk_dir(
        &self,
        dir: &Path,
        visit: &mut dyn FnMut(RawEntry) -> ControlFlow<()>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_symlink() => RawKind::Link,
                Ok(kind) if kind.is_dir() => RawKind::Directory,
                Ok(kind) if kind.is_file() => RawKind::File,
                _ => RawKind::Other,
            };
            if visit(RawEntry {
                name: entry.file_name(),
                kind,
            })
            .is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let mut options = File::options();
        options.read(true).write(true);
        let file = match mode {
            OpenMode::Read => open_for_reading(path)?,
            OpenMode::Write => options.open(path)?,
            OpenMode::Create => rights::for_owner(&mut options)
                .create(true)
                .truncate(true)
                .open(path)?,
            OpenMode::CreateNew => return self.create(path, &Protection::private()),
        };
        Ok(Box::new(RealFile(file)))
    }

    fn protection(&self, path: &Path) -> io::Result<Protection> {
        rights::protection(path)
    }

    fn create(&self, path: &Path, protection: &Protection) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(RealFile(rights::create(path, protection)?)))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.create_dir_with(dir, &Protection::private().for_directory())
    }

    fn create_dir_with(&self, dir: &Path, protection: &Protection) -> io::Result<()> {
        rights::create_dir(dir, protection)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        // Windows would put a directory in the place of a file.
        if cfg!(windows)
            && fs::symlink_metadata(from)?.is_dir()
            && fs::symlink_metadata(to).is_ok_and(|to| !to.is_dir())
        {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        rename_over(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    /// Does nothing on Windows, which journals changes of directories with the file and cannot
    /// flush a directory.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if cfg!(windows) {
            Ok(())
        } else {
            File::open(dir)?.sync_all()
        }
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn LockGuard>> {
        self.lock_with(path, note, &Protection::private())
    }

    fn lock_with(
        &self,
        path: &Path,
        note: &str,
        protection: &Protection,
    ) -> io::Result<Box<dyn LockGuard>> {
        for _ in 0..LOCK_TRIES {
            let Some(file) = open_lock_file(path, protection)? else {
                continue;
            };
            if hold(&file, path)? {
                need_note(&file)?;
                file.set_len(0)?;
                (&file).write_all(note.as_bytes())?;
                return Ok(Box::new(FileLock {
                    file: Some(file),
                    path: path.to_owned(),
                }));
            }
        }
        // Each time another process took the lock and released it.
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// A file that a holder left when it died is locked for a moment to find out that it is free: a
    /// writer that comes in that moment is refused.
    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => is_held(path),
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// True if the lock of a lock file is held. The file may go away meanwhile.
#[cfg(unix)]
fn is_held(path: &Path) -> io::Result<bool> {
    let file = match open_untouched(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// True if the lock of a lock file is held: then it cannot be opened for writing.
#[cfg(windows)]
fn is_held(path: &Path) -> io::Result<bool> {
    match File::options().read(true).write(true).open(path) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Number of attempts to create a lock file that disappears while it is being locked.
const LOCK_TRIES: u32 = 1000;

/// Longest note in a lock file, in bytes.
const MAX_NOTE: u64 = 1024;

/// Others may open the file for reading, but may neither write nor remove it.
#[cfg(windows)]
const FILE_SHARE_READ: u32 = 1;

#[cfg(windows)]
const ERROR_SHARING_VIOLATION: i32 = 32;

/// Takes the lock of an open lock file. Returns `false` if the file is no longer the one at `path`:
/// its former holder may have removed it between our opening and locking it, and the next caller
/// would then lock another file of the same name.
#[cfg(unix)]
fn hold(file: &File, path: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(same_file(file, path)),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// On Windows opening the file is taking the lock, because of the share mode: nobody else can open
/// it for writing or remove it. A lock on its bytes would prevent others from reading the name of
/// the holder.
#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn hold(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Opens a lock file or creates it. Returns `None` if it appeared or disappeared in the meantime.
/// Links are not followed, because their targets belong to others and would be overwritten.
fn open_lock_file(path: &Path, protection: &Protection) -> io::Result<Option<File>> {
    let mut options = File::options();
    options.read(true).write(true);
    #[cfg(windows)]
    {
        use std::os::windows::fs::OpenOptionsExt;
        options.share_mode(FILE_SHARE_READ);
    }
    let (opened, passing) = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => (options.open(path), io::ErrorKind::NotFound),
        Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => return Err(no_lock_file("it is a link or a device")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (
            rights::create_by(options.create_new(true), path, protection),
            io::ErrorKind::AlreadyExists,
        ),
        Err(error) => return Err(error),
    };
    match opened {
        Err(error) if error.kind() == passing => Ok(None),
        #[cfg(windows)]
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        opened => opened.map(Some),
    }
}

/// Fails unless the file is empty, or holds a note of an earlier holder or what a loss of power
/// left of one. Anything else must not be overwritten.
fn need_note(mut file: &File) -> io::Result<()> {
    let mut text = Vec::new();
    file.take(MAX_NOTE + 1).read_to_end(&mut text)?;
    file.rewind()?;
    let begin = LOCK_NOTE.as_bytes();
    let is_note =
        text.starts_with(begin) || begin.starts_with(&text) || text.iter().all(|&byte| byte == 0);
    if is_note && text.len() as u64 <= MAX_NOTE {
        Ok(())
    } else {
        Err(no_lock_file("it holds something else"))
    }
}

fn no_lock_file(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{why}, not the note of a process; move it away"),
    )
}

/// Opens a file for reading. Fails for a directory, although some systems can open one.
pub(super) fn open_for_reading(path: &Path) -> io::Result<File> {
    let file = open_untouched(path)?;
    if file.metadata()?.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else {
        Ok(file)
    }
}

/// Opens for reading without updating the time of last access, where the system permits it. On
/// Linux only the owner of the file may do so.
fn open_untouched(path: &Path) -> io::Result<File> {
    #[cfg(all(
        target_os = "linux",
        any(
            target_arch = "x86_64",
            target_arch = "x86",
            target_arch = "aarch64",
            target_arch = "riscv64"
        )
    ))]
    {
        use std::os::unix::fs::OpenOptionsExt;
        const O_NOATIME: i32 = 0o1_000_000;
        match File::options()
            .read(true)
            .custom_flags(O_NOATIME)
            .open(path)
        {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            result => return result,
        }
    }
    File::open(path)
}

/// Number of names of a file. For a directory the count would be that of its subdirectories, which
/// is no help.
#[cfg(unix)]
fn hard_links(metadata: &fs::Metadata) -> Ties {
    use std::os::unix::fs::MetadataExt;
    if metadata.is_file() && metadata.nlink() > 1 {
        Ties::Names(metadata.nlink())
    } else {
        Ties::None
    }
}

/// The standard library does not provide the count on this system.
#[cfg(not(unix))]
fn hard_links(_: &fs::Metadata) -> Ties {
    Ties::None
}

fn entry_kind(metadata: &fs::Metadata) -> EntryKind {
    if metadata.is_file() {
        EntryKind::File
    } else if metadata.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::Other
    }
}

/// The kind of a directory entry; `None` if it is gone. A broken link exists but is not a file. If
/// the system reports no kind, this is an error, because a file of unknown kind would otherwise be
/// taken for missing.
fn kind_of_entry(path: &Path) -> io::Result<Option<EntryKind>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(entry_kind(&metadata))),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            match fs::symlink_metadata(path) {
                Ok(_) => Ok(Some(EntryKind::Other)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// True if `path` itself, not following links, still names the open `file`.
#[cfg(unix)]
pub(super) fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[derive(Debug)]
struct FileLock {
    /// Present until the guard is dropped.
    file: Option<File>,
    path: PathBuf,
}

impl LockGuard for FileLock {}

impl Drop for FileLock {
    // A file that remains after this does not block anyone.
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        // Removed before it is released, and only if the name still refers to our file.
        #[cfg(unix)]
        if same_file(&file, &self.path) {
            fs::remove_file(&self.path).ok();
        }
        drop(file);
        // An open file cannot be removed, nor can one that the next holder has already opened.
        #[cfg(windows)]
        fs::remove_file(&self.path).ok();
    }
}

#[derive(Debug)]
struct RealFile(File);

impl StorageFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.0, buf, offset)
    }

    #[cfg(unix)]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

//! Identity of files: two names of one file have the same identity.
//!
//! Names differ by case, links, hard links, mounts and short names. The volume and the number of
//! the file on it do not.

use std::path::{Path, PathBuf};

/// Identity of a file or directory. It is the same for all names of a file while the file exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId(Inner);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Inner {
    /// The volume and the number of the file on it.
    #[cfg_attr(
        all(windows, not(any(feature = "cli", feature = "windows"))),
        expect(
            dead_code,
            reason = "there the standard library does not tell the numbers"
        )
    )]
    Numbers { volume: u64, number: u64 },
    /// The only name of the file.
    Name(PathBuf),
}

impl FileId {
    /// The identity of a file in a storage that gives each file one name.
    pub fn of_name(path: &Path) -> Self {
        Self(Inner::Name(path.components().collect()))
    }
}

/// The identity of the file at `path`, with links followed.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(super) fn of_real(_: &Path, metadata: &std::fs::Metadata) -> std::io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    Ok(FileId(Inner::Numbers {
        volume: metadata.dev(),
        number: metadata.ino(),
    }))
}

/// The closest substitute without a system call: the path with links, short names and case
/// resolved. It does not recognise hard links.
#[cfg(all(windows, not(any(feature = "cli", feature = "windows"))))]
pub(super) fn of_real(path: &Path, _: &std::fs::Metadata) -> std::io::Result<FileId> {
    Ok(FileId(Inner::Name(std::fs::canonicalize(path)?)))
}

#[cfg(all(windows, any(feature = "cli", feature = "windows")))]
pub(super) use system::of_real;

#[cfg(all(windows, any(feature = "cli", feature = "windows")))]
#[expect(
    unsafe_code,
    reason = "the standard library does not tell the numbers of a file here"
)]
mod system {
    use std::fs::{File, Metadata};
    use std::io;
    use std::os::windows::fs::OpenOptionsExt;
    use std::os::windows::io::AsRawHandle;
    use std::path::Path;

    use windows_sys::Win32::Storage::FileSystem::{
        BY_HANDLE_FILE_INFORMATION, FILE_FLAG_BACKUP_SEMANTICS, FILE_READ_ATTRIBUTES,
        GetFileInformationByHandle,
    };

    use super::{FileId, Inner};

    pub fn of_real(path: &Path, _: &Metadata) -> io::Result<FileId> {
        let mut options = File::options();
        // This access suffices for the query and is granted while others hold the file. The flag
        // opens directories too.
        let file = options
            .access_mode(FILE_READ_ATTRIBUTES)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)?;
        let mut found = BY_HANDLE_FILE_INFORMATION::default();
        // SAFETY: the handle is open, and `found` is a valid place for the result.
        if unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) } == 0 {
            return Err(io::Error::last_os_error());
        }
        let number = u64::from(found.nFileIndexHigh) << 32 | u64::from(found.nFileIndexLow);
        Ok(FileId(Inner::Numbers {
            volume: found.dwVolumeSerialNumber.into(),
            number,
        }))
    }
}

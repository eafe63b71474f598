//! What a name leads to, whatever it looks like: two names of one file have one identity.
//!
//! Names differ in case, by links, hard links, mounts and short names; the volume and the number of
//! the file on it do not.

use std::path::{Path, PathBuf};

/// Identity of a file or directory: equal for all of its names, as long as it is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId(Inner);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Inner {
    /// The volume, and the number of the file on it.
    #[cfg_attr(
        all(windows, not(any(feature = "cli", feature = "windows"))),
        expect(
            dead_code,
            reason = "there the standard library does not tell the numbers"
        )
    )]
    Numbers { volume: u64, number: u64 },
    /// The one name that leads there.
    Name(PathBuf),
}

impl FileId {
    /// The identity in a storage in which a file has one name.
    pub fn of_name(path: &Path) -> Self {
        Self(Inner::Name(path.components().collect()))
    }
}

/// The identity of what `path` leads to, through links.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(super) fn of_real(_: &Path, metadata: &std::fs::Metadata) -> std::io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    Ok(FileId(Inner::Numbers {
        volume: metadata.dev(),
        number: metadata.ino(),
    }))
}

/// Without a call of the system, what comes next to it: the path with links, short names and case
/// resolved. It does not know hard links.
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
        // Enough to ask, and granted while others hold the file; the flag opens directories too.
        let file = options
            .access_mode(FILE_READ_ATTRIBUTES)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)?;
        let mut found = BY_HANDLE_FILE_INFORMATION::default();
        // SAFETY: the handle is open, and `found` is where the result belongs.
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

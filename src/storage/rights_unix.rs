//! Access rights of files on Unix: permission bits, owner, group, and (in the command, on Linux)
//! access lists.
//!
//! A file is created empty and for its owner alone. Only then does it receive its intended group
//! and bits. So at no moment can anyone open it who may not read what will be written to it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use super::Protection;
use super::fs::same_file;
use super::protection::Made;

/// Bits of a file, and of a directory, made for its owner alone.
const FILE: u32 = 0o600;
const DIRECTORY: u32 = 0o700;

/// Sets options to create a file for its owner alone.
pub(super) fn for_owner(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(FILE)
}

/// The protection of an existing file or directory.
pub(super) fn protection(path: &Path) -> io::Result<Protection> {
    let metadata = fs::metadata(path)?;
    let plain = Protection::unix(metadata.mode(), metadata.uid(), metadata.gid());
    Ok(plain.with_list(access_list::of(path)?))
}

/// Creates a file.
pub(super) fn create(path: &Path, wanted: &Protection) -> io::Result<File> {
    create_by(
        File::options().read(true).write(true).create_new(true),
        path,
        wanted,
    )
}

/// Creates a file with the given options.
pub(super) fn create_by(
    options: &mut OpenOptions,
    path: &Path,
    wanted: &Protection,
) -> io::Result<File> {
    let umask = umask();
    if let Some(mode) = first_mode(wanted, umask, false) {
        options.mode(mode);
    }
    let file = options.open(path)?;
    settle(&file, wanted, umask, false);
    Ok(file)
}

/// Creates a directory.
pub(super) fn create_dir(path: &Path, wanted: &Protection) -> io::Result<()> {
    let umask = umask();
    let mut builder = fs::DirBuilder::new();
    if let Some(mode) = first_mode(wanted, umask, true) {
        builder.mode(mode);
    }
    builder.create(path)?;
    // A directory that someone put in its place must not be changed.
    match File::open(path) {
        Ok(directory) if same_file(&directory, path) => settle(&directory, wanted, umask, true),
        // It stays as it was created: for its owner alone.
        _ => {}
    }
    Ok(())
}

/// The bits to create something with; `None` to leave them to the system. If the umask is unknown,
/// the system gets the most that the result may have, whatever its group will be, and applies the
/// umask itself.
fn first_mode(wanted: &Protection, umask: Option<u32>, is_directory: bool) -> Option<u32> {
    let most = wanted.bits(Made {
        is_directory,
        has_group: false,
        umask: 0,
    })?;
    let private = if is_directory { DIRECTORY } else { FILE };
    Some(if umask.is_some() { private } else { most })
}

/// Sets the group, owner and bits of something just created. If the system refuses any of them, the
/// result is less accessible than intended.
fn settle(file: &File, wanted: &Protection, umask: Option<u32>, is_directory: bool) {
    if wanted.mode().is_none() {
        return;
    }
    let Ok(made) = file.metadata() else { return };
    // Cleared before the bits can admit users named only in an inherited list.
    access_list::clear(file, is_directory);
    let has_group = give(file, &made, wanted);
    let umask = umask.unwrap_or(!made.mode() & 0o777);
    if let Some(bits) = wanted.bits(Made {
        is_directory,
        has_group,
        umask,
    }) {
        file.set_permissions(Permissions::from_mode(bits)).ok();
    }
    if wanted.is_kept() && has_group {
        access_list::set(file, wanted);
    }
}

/// Sets the owner and the group of a file as far as the caller may. Returns true if it has the
/// group.
fn give(file: &File, made: &fs::Metadata, wanted: &Protection) -> bool {
    let owner = wanted.new_owner().filter(|&owner| owner != made.uid());
    let group = wanted.group().filter(|&group| group != made.gid());
    if owner.is_some() && fchown(file, owner, group).is_ok() {
        return wanted.group().is_some();
    }
    let has_group = group.is_none() || fchown(file, None, group).is_ok();
    has_group && wanted.group().is_some()
}

/// The umask of the process, if it can be read without changing it.
fn umask() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

/// POSIX access lists. Only the command reads them, since they need a package that the library does
/// without. In the library, the permission bits of a file stand for its list.
#[cfg(not(all(target_os = "linux", feature = "cli")))]
mod access_list {
    use super::{File, Path, Protection, io};
    use crate::storage::protection::AccessList;

    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(super) fn of(_: &Path) -> io::Result<AccessList> {
        Ok(AccessList::None)
    }

    pub(super) fn clear(_: &File, _: bool) {}

    pub(super) fn set(_: &File, _: &Protection) {}
}

/// POSIX access lists.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod access_list {
    use rustix::fs::{XattrFlags, fremovexattr, fsetxattr, getxattr};
    use rustix::io::Errno;

    use super::{File, Path, Protection, io};
    use crate::storage::protection::AccessList;

    const ACCESS: &str = "system.posix_acl_access";
    /// The list that a directory passes on to its new entries.
    const DEFAULT: &str = "system.posix_acl_default";

    /// Longest list that is copied, in bytes; enough for 500 entries.
    const MAX_BYTES: usize = 4096;

    pub(super) fn of(path: &Path) -> io::Result<AccessList> {
        let mut bytes = vec![0; MAX_BYTES];
        match getxattr(path, ACCESS, &mut bytes[..]) {
            Ok(len) => {
                bytes.truncate(len);
                Ok(AccessList::Given(bytes))
            }
            Err(Errno::NODATA | Errno::NOTSUP | Errno::NOSYS) => Ok(AccessList::None),
            // The list exists but is longer than any in use.
            Err(Errno::RANGE) => Ok(AccessList::Unlike),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn clear(file: &File, is_directory: bool) {
        fremovexattr(file, ACCESS).ok();
        if is_directory {
            fremovexattr(file, DEFAULT).ok();
        }
    }

    pub(super) fn set(file: &File, wanted: &Protection) {
        if let AccessList::Given(bytes) = wanted.list() {
            fsetxattr(file, ACCESS, bytes, XattrFlags::empty()).ok();
        }
    }
}

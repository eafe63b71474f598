//! Rights of files on Unix: permission bits, owner, group, and (in the command, on Linux) access
//! lists.
//!
//! A file is created for its owner alone and empty; only then it gets the group and the bits it is
//! meant to have. So there is no moment at which someone could open it who may not read what will
//! be written to it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use super::Protection;
use super::fs::same_file;
use super::protection::Made;

/// Bits of what is made for its owner alone: of a file and of a directory.
const FILE: u32 = 0o600;
const DIRECTORY: u32 = 0o700;

/// Options that create a file for its owner alone.
pub(super) fn for_owner(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(FILE)
}

/// The rights of what is there.
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

/// Creates a file by options that say so.
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
    // A directory that someone has put in its place is not ours to change.
    match File::open(path) {
        Ok(directory) if same_file(&directory, path) => settle(&directory, wanted, umask, true),
        // It stays as it was made: for its owner alone.
        _ => {}
    }
    Ok(())
}

/// The bits to create something with; `None` where the system decides. Where the umask is not known
/// the system is given what may be had at most, whatever the group will be, and takes the umask
/// from it.
fn first_mode(wanted: &Protection, umask: Option<u32>, is_directory: bool) -> Option<u32> {
    let most = wanted.bits(Made {
        is_directory,
        has_group: false,
        umask: 0,
    })?;
    let private = if is_directory { DIRECTORY } else { FILE };
    Some(if umask.is_some() { private } else { most })
}

/// Gives what was just made its group, owner and bits. What the system refuses leaves it narrower
/// than it could be.
fn settle(file: &File, wanted: &Protection, umask: Option<u32>, is_directory: bool) {
    if wanted.mode().is_none() {
        return;
    }
    let Ok(made) = file.metadata() else { return };
    // Before the bits let anyone in whom only an inherited list names.
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

/// Gives a file its owner and its group, as far as the caller may; whether it has the group.
fn give(file: &File, made: &fs::Metadata, wanted: &Protection) -> bool {
    let owner = wanted.new_owner().filter(|&owner| owner != made.uid());
    let group = wanted.group().filter(|&group| group != made.gid());
    if owner.is_some() && fchown(file, owner, group).is_ok() {
        return wanted.group().is_some();
    }
    let has_group = group.is_none() || fchown(file, None, group).is_ok();
    has_group && wanted.group().is_some()
}

/// The umask of the process, where it can be read without changing it.
fn umask() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

/// Access lists of POSIX. Only the command sees them: they need a package that the library does
/// without. A file that has one then counts as what its bits say.
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

/// Access lists of POSIX.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod access_list {
    use rustix::fs::{XattrFlags, fremovexattr, fsetxattr, getxattr};
    use rustix::io::Errno;

    use super::{File, Path, Protection, io};
    use crate::storage::protection::AccessList;

    const ACCESS: &str = "system.posix_acl_access";
    /// What a directory hands down to what is made in it.
    const DEFAULT: &str = "system.posix_acl_default";

    /// Longest list that is copied, in bytes: 500 entries.
    const MAX_BYTES: usize = 4096;

    pub(super) fn of(path: &Path) -> io::Result<AccessList> {
        let mut bytes = vec![0; MAX_BYTES];
        match getxattr(path, ACCESS, &mut bytes[..]) {
            Ok(len) => {
                bytes.truncate(len);
                Ok(AccessList::Given(bytes))
            }
            Err(Errno::NODATA | Errno::NOTSUP | Errno::NOSYS) => Ok(AccessList::None),
            // It is there, but longer than anyone's.
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

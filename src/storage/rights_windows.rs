//! Access rights of files on Windows: security descriptors. The standard library has no call for
//! them, so this module has unsafe code. Without the features `cli` and `windows`, files inherit
//! the rights of their directory.
//!
//! A file or directory is created with its access list, so that it never has another one.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use super::Protection;

/// Options for a new file with the rights inherited from its directory; [`create`] sets others.
pub(super) fn for_owner(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(not(any(feature = "cli", feature = "windows")))]
pub(super) use plain::{create, create_by, create_dir, protection};
#[cfg(any(feature = "cli", feature = "windows"))]
pub(super) use system::{create, create_by, create_dir, protection};

#[cfg(not(any(feature = "cli", feature = "windows")))]
mod plain {
    use super::{File, OpenOptions, Path, Protection, io};

    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub fn protection(_: &Path) -> io::Result<Protection> {
        Ok(Protection::default())
    }

    pub fn create(path: &Path, _: &Protection) -> io::Result<File> {
        File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
    }

    pub fn create_by(options: &mut OpenOptions, path: &Path, _: &Protection) -> io::Result<File> {
        options.open(path)
    }

    pub fn create_dir(path: &Path, _: &Protection) -> io::Result<()> {
        std::fs::create_dir(path)
    }
}

#[cfg(any(feature = "cli", feature = "windows"))]
#[expect(
    unsafe_code,
    reason = "the system takes and gives security descriptors as raw pointers"
)]
mod system {
    use std::os::windows::ffi::OsStrExt;
    use std::os::windows::io::FromRawHandle;
    use std::ptr;

    use windows_sys::Win32::Foundation::{
        ERROR_SUCCESS, GENERIC_READ, GENERIC_WRITE, INVALID_HANDLE_VALUE, LocalFree,
    };
    use windows_sys::Win32::Security::Authorization::{GetNamedSecurityInfoW, SE_FILE_OBJECT};
    use windows_sys::Win32::Security::{
        DACL_SECURITY_INFORMATION, GROUP_SECURITY_INFORMATION, GetSecurityDescriptorLength,
        OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, SetFileSecurityW,
    };
    use windows_sys::Win32::Storage::FileSystem::{
        CREATE_NEW, CreateDirectoryW, CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_DELETE,
        FILE_SHARE_READ, FILE_SHARE_WRITE,
    };

    use super::{File, OpenOptions, Path, Protection, io};
    use crate::storage::protection::AccessList;

    /// The retained parts of a descriptor: owner, group and access list. The audit list is only for
    /// holders of a privilege.
    const KEPT: u32 =
        OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;

    /// Longest descriptor that is copied, in bytes; an access list has at most 64 KiB.
    const MAX_BYTES: u32 = 1 << 17;

    /// Offsets of the flags, the owner and the group in a self-relative descriptor.
    const FLAGS: usize = 2;
    const OWNER_AND_GROUP: std::ops::Range<usize> = 4..12;

    /// Flag that blocks inheritance from the directory, in the second byte of the flags.
    const IS_PROTECTED: u8 = 0x10;

    /// `D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)`: the system, the administrators, the
    /// owner.
    const PRIVATE: [u8; 92] = [
        1, 0, 0x04, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0,
        0, // descriptor: its list is 20 bytes from here
        2, 0, 72, 0, 3, 0, 0, 0, // list of 72 bytes and three entries
        0, 3, 20, 0, 0xff, 0x01, 0x1f, 0, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, // S-1-5-18
        0, 3, 24, 0, 0xff, 0x01, 0x1f, 0, 1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0,
        0, // S-1-5-32-544
        0, 3, 20, 0, 0xff, 0x01, 0x1f, 0, 1, 1, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, // S-1-3-4
    ];

    pub fn protection(path: &Path) -> io::Result<Protection> {
        let name = wide(path);
        let mut found: PSECURITY_DESCRIPTOR = ptr::null_mut();
        let (mut owner, mut group, mut list) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: the name ends with a zero, and each pointer leads to a place for a result.
        let code = unsafe {
            GetNamedSecurityInfoW(
                name.as_ptr(),
                SE_FILE_OBJECT,
                KEPT,
                &raw mut owner,
                &raw mut group,
                &raw mut list,
                ptr::null_mut(),
                &raw mut found,
            )
        };
        if code != ERROR_SUCCESS {
            return Err(io::Error::from_raw_os_error(code.cast_signed()));
        }
        // SAFETY: the system has just returned the descriptor, and it is freed after the copy.
        let bytes = unsafe {
            let len = GetSecurityDescriptorLength(found);
            let bytes = (len <= MAX_BYTES)
                .then(|| std::slice::from_raw_parts(found.cast::<u8>(), len as usize).to_vec());
            LocalFree(found);
            bytes
        };
        // A descriptor without a list lets everyone do everything, and is copied like any other.
        Ok(Protection::default().with_list(bytes.map_or(AccessList::Unlike, AccessList::Given)))
    }

    pub fn create(path: &Path, wanted: &Protection) -> io::Result<File> {
        create_shared(
            path,
            wanted,
            FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
        )
    }

    /// Creates a lock file, which others may read but not write or remove.
    pub fn create_by(_: &mut OpenOptions, path: &Path, wanted: &Protection) -> io::Result<File> {
        create_shared(path, wanted, FILE_SHARE_READ)
    }

    fn create_shared(path: &Path, wanted: &Protection, sharing: u32) -> io::Result<File> {
        let name = wide(path);
        let mut first = first_descriptor(wanted);
        let attributes = attributes(first.as_mut());
        let attributes = attributes.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the name ends with a zero; attributes and descriptor outlive the call.
        let handle = unsafe {
            CreateFileW(
                name.as_ptr(),
                GENERIC_READ | GENERIC_WRITE,
                sharing,
                attributes,
                CREATE_NEW,
                FILE_ATTRIBUTE_NORMAL,
                ptr::null_mut(),
            )
        };
        if handle == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        keep(&name, wanted);
        // SAFETY: the system has just returned the handle, and nothing else closes it.
        Ok(unsafe { File::from_raw_handle(handle) })
    }

    pub fn create_dir(path: &Path, wanted: &Protection) -> io::Result<()> {
        let name = wide(path);
        let mut first = first_descriptor(wanted);
        let attributes = attributes(first.as_mut());
        let attributes = attributes.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the name ends with a zero; attributes and descriptor outlive the call.
        if unsafe { CreateDirectoryW(name.as_ptr(), attributes) } == 0 {
            return Err(io::Error::last_os_error());
        }
        keep(&name, wanted);
        Ok(())
    }

    /// The descriptor to create something with: the wanted list, without inheritance from the
    /// directory, and the caller as owner. `None` if the directory decides.
    fn first_descriptor(wanted: &Protection) -> Option<Vec<u8>> {
        let mut bytes = match wanted.list() {
            AccessList::None => return None,
            AccessList::Given(bytes) => bytes.clone(),
            AccessList::Unlike => PRIVATE.to_vec(),
        };
        bytes.get_mut(OWNER_AND_GROUP)?.fill(0);
        *bytes.get_mut(FLAGS + 1)? |= IS_PROTECTED;
        Some(bytes)
    }

    fn attributes(descriptor: Option<&mut Vec<u8>>) -> Option<SECURITY_ATTRIBUTES> {
        let length = u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).ok()?;
        let descriptor = descriptor?.as_mut_ptr().cast();
        Some(SECURITY_ATTRIBUTES {
            nLength: length,
            lpSecurityDescriptor: descriptor,
            bInheritHandle: 0,
        })
    }

    /// Sets the owner, group and access list of something that replaces another, as far as the
    /// caller may.
    fn keep(name: &[u16], wanted: &Protection) {
        if !wanted.is_kept() {
            return;
        }
        if let AccessList::Given(bytes) = wanted.list() {
            let mut bytes = bytes.clone();
            for what in [
                DACL_SECURITY_INFORMATION,
                GROUP_SECURITY_INFORMATION,
                OWNER_SECURITY_INFORMATION,
            ] {
                // SAFETY: the name ends with a zero, and the system itself returned the descriptor.
                unsafe { SetFileSecurityW(name.as_ptr(), what, bytes.as_mut_ptr().cast()) };
            }
        }
    }

    fn wide(path: &Path) -> Vec<u16> {
        path.as_os_str().encode_wide().chain([0]).collect()
    }
}

//! Windows result codes, and the mapping from errors of the operating system to them.

use std::io;

/// A Windows result code. Values: [MS-WMI] and the WMI SDK's page "WMI Error Constants".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HResult(pub u32);

impl HResult {
    /// `WBEM_S_NO_ERROR`, which is `S_OK`.
    pub const NO_ERROR: HResult = HResult(0);
    /// `WBEM_E_FAILED`.
    pub const FAILED: HResult = HResult(0x8004_1001);
    /// `WBEM_E_NOT_FOUND`.
    pub const NOT_FOUND: HResult = HResult(0x8004_1002);
    /// `WBEM_E_ACCESS_DENIED`.
    pub const ACCESS_DENIED: HResult = HResult(0x8004_1003);
    /// `WBEM_E_OUT_OF_MEMORY`.
    pub const OUT_OF_MEMORY: HResult = HResult(0x8004_1006);
    /// `WBEM_E_INVALID_PARAMETER`.
    pub const INVALID_PARAMETER: HResult = HResult(0x8004_1008);
    /// `WBEM_E_CRITICAL_ERROR`.
    pub const CRITICAL_ERROR: HResult = HResult(0x8004_100A);
    /// `WBEM_E_NOT_SUPPORTED`.
    pub const NOT_SUPPORTED: HResult = HResult(0x8004_100C);
    /// `WBEM_E_INVALID_OBJECT`.
    pub const INVALID_OBJECT: HResult = HResult(0x8004_100F);
    /// `WBEM_E_INITIALIZATION_FAILURE`.
    pub const INITIALIZATION_FAILURE: HResult = HResult(0x8004_1014);
    /// `WBEM_E_INVALID_OPERATION`.
    pub const INVALID_OPERATION: HResult = HResult(0x8004_1016);
    /// `WBEM_E_UNEXPECTED`.
    pub const UNEXPECTED: HResult = HResult(0x8004_101D);
    /// `WBEM_E_CALL_CANCELLED`.
    pub const CALL_CANCELLED: HResult = HResult(0x8004_1032);
    /// `WBEM_E_SHUTTING_DOWN`.
    pub const SHUTTING_DOWN: HResult = HResult(0x8004_1033);
    /// `WBEM_E_OUT_OF_DISK_SPACE`.
    pub const OUT_OF_DISK_SPACE: HResult = HResult(0x8004_103B);
    /// `WBEM_E_BACKUP_RESTORE_WINMGMT_RUNNING`.
    pub const BACKUP_RESTORE_WINMGMT_RUNNING: HResult = HResult(0x8004_1060);
    /// `WBEM_E_PRIVILEGE_NOT_HELD`.
    pub const PRIVILEGE_NOT_HELD: HResult = HResult(0x8004_1062);
    /// `WBEM_E_TIMED_OUT`.
    pub const TIMED_OUT: HResult = HResult(0x8004_1069);
    /// `HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND)`.
    pub const PATH_NOT_FOUND: HResult = HResult(0x8007_0003);
    /// `WBEM_E_DATABASE_VER_MISMATCH`.
    pub const DATABASE_VER_MISMATCH: HResult = HResult(0x8004_1078);
    /// `WBEM_E_ENCRYPTED_CONNECTION_REQUIRED`.
    pub const ENCRYPTED_CONNECTION_REQUIRED: HResult = HResult(0x8004_1087);
    /// `E_UNEXPECTED`: a fault of this library, met in a call of the COM object.
    pub const E_UNEXPECTED: HResult = HResult(0x8000_FFFF);
    /// `RPC_E_DISCONNECTED`.
    pub const DISCONNECTED: HResult = HResult(0x8001_0108);

    /// The result code for an error of the operating system.
    pub(super) fn from_io(error: &io::Error) -> Self {
        if is_disk_full(error) {
            return Self::OUT_OF_DISK_SPACE;
        }
        let win32 = match (
            cfg!(windows),
            error
                .raw_os_error()
                .and_then(|code| u32::try_from(code).ok()),
        ) {
            (true, Some(code)) => code,
            _ => win32_code(error.kind()),
        };
        HResult(0x8007_0000 | (win32 & 0xFFFF))
    }
}

/// The Win32 code closest to a kind of error; `ERROR_GEN_FAILURE` for the rest.
fn win32_code(kind: io::ErrorKind) -> u32 {
    match kind {
        io::ErrorKind::NotFound => 2,
        io::ErrorKind::PermissionDenied => 5,
        io::ErrorKind::ReadOnlyFilesystem => 19,
        io::ErrorKind::AlreadyExists => 80,
        io::ErrorKind::InvalidFilename => 123,
        io::ErrorKind::NotADirectory => 267,
        io::ErrorKind::UnexpectedEof => 38,
        _ => 31,
    }
}

/// Windows codes that mean [`io::ErrorKind::StorageFull`] or [`io::ErrorKind::QuotaExceeded`]:
/// `ERROR_HANDLE_DISK_FULL`, `ERROR_DISK_FULL` and `ERROR_DISK_QUOTA_EXCEEDED`. Not every version
/// of the standard library recognises all of them.
const WINDOWS_DISK_FULL: [i32; 3] = [39, 112, 1295];

/// True if there was no room on the disk or in the user's quota. This is the only definition of a
/// full disk.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    let is_code = |code| cfg!(windows) && WINDOWS_DISK_FULL.contains(&code);
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    ) || error.raw_os_error().is_some_and(is_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_used_up_quota_are_the_same() {
        // ENOSPC and EDQUOT, whose numbers differ between platforms.
        let codes: &[i32] = match () {
            () if cfg!(windows) => &WINDOWS_DISK_FULL,
            () if cfg!(target_os = "linux") => &[28, 122],
            () if cfg!(target_os = "macos") => &[28, 69],
            () => &[28],
        };
        let raw = codes.iter().map(|&code| io::Error::from_raw_os_error(code));
        let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].map(io::Error::from);
        for error in raw.chain(kinds) {
            assert!(is_disk_full(&error), "{error:?}");
            assert_eq!(HResult::from_io(&error), HResult::OUT_OF_DISK_SPACE);
        }
        for kind in [
            io::ErrorKind::FileTooLarge,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::OutOfMemory,
        ] {
            assert!(!is_disk_full(&kind.into()), "{kind:?}");
        }
    }
}

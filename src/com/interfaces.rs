//! The interfaces, as COM lays them out.
//!
//! Paths are plain pointers to UTF-16 and results plain codes: what a method means and how it fails
//! is told in `object`.

#![allow(
    missing_docs,
    reason = "the macro makes items of its own, without documents"
)]
#![allow(non_snake_case, reason = "the methods have the names of the interface")]

use std::ffi::c_void;

use windows_core::IUnknown_Vtbl;
use windows_core::{BOOL, GUID, HRESULT, IUnknown, Ref, interface};

/// Makes objects of one class.
#[interface("00000001-0000-0000-c000-000000000046")]
pub unsafe trait IClassFactory: IUnknown {
    /// Makes an object and gives the interface `iid` of it.
    pub unsafe fn CreateInstance(
        &self,
        outer: Ref<IUnknown>,
        iid: *const GUID,
        out: *mut *mut c_void,
    ) -> HRESULT;
    /// Keeps the module loaded, or lets it go again.
    pub unsafe fn LockServer(&self, lock: BOOL) -> HRESULT;
}

/// Says for which interfaces an object gives error info.
#[interface("df0b3d60-548f-101b-8e65-08002b2bd119")]
pub unsafe trait ISupportErrorInfo: IUnknown {
    /// `S_OK` if the methods of `iid` do, else `S_FALSE`.
    pub unsafe fn InterfaceSupportsErrorInfo(&self, iid: *const GUID) -> HRESULT;
}

/// Backs up and restores the repository ([MS-WMI] 3.1.4.10).
#[interface("c49e32c7-bc8b-11d2-85d4-00105a1f8304")]
pub unsafe trait IWbemBackupRestore: IUnknown {
    /// Backs the repository up to a file; `flags` must be 0.
    pub unsafe fn Backup(&self, path: *const u16, flags: i32) -> HRESULT;
    /// Replaces the repository by what is in a backup; with flag 1 clients are disconnected first.
    pub unsafe fn Restore(&self, path: *const u16, flags: i32) -> HRESULT;
}

/// Holds the repository still as well, while someone else copies it ([MS-WMI] 3.1.4.11).
#[interface("a359dec5-e813-4834-8a2a-ba7f1d777d76")]
pub unsafe trait IWbemBackupRestoreEx: IWbemBackupRestore {
    /// Writes everything to disk and lets nothing be written until [`Resume`](Self::Resume),
    /// release, or 15 minutes later.
    pub unsafe fn Pause(&self) -> HRESULT;
    /// Lets writers go on.
    pub unsafe fn Resume(&self) -> HRESULT;
}

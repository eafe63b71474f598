//! Calls as a COM client makes them, and the codes they give.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::ffi::c_void;
use std::path::Path;
use std::ptr;

use cimrepo::com::{IClassFactory, IWbemBackupRestoreEx};
use windows_core::{GUID, HRESULT, Interface};

pub const S_OK: u32 = 0;
pub const S_FALSE: u32 = 1;
pub const INVALID_PARAMETER: u32 = 0x8004_1008;
pub const INVALID_OPERATION: u32 = 0x8004_1016;
pub const ACCESS_DENIED: u32 = 0x8004_1003;
pub const WINMGMT_RUNNING: u32 = 0x8004_1060;
pub const SHUTTING_DOWN: u32 = 0x8004_1033;
pub const DISCONNECTED: u32 = 0x8001_0108;
pub const CRITICAL_ERROR: u32 = 0x8004_100A;
pub const E_NOINTERFACE: u32 = 0x8000_4002;
pub const E_POINTER: u32 = 0x8000_4003;
pub const E_UNEXPECTED: u32 = 0x8000_FFFF;

pub fn code(result: HRESULT) -> u32 {
    result.0.cast_unsigned()
}

/// A path as COM callers give it.
pub fn wide(path: impl AsRef<Path>) -> Vec<u16> {
    path.as_ref()
        .to_str()
        .unwrap()
        .encode_utf16()
        .chain([0])
        .collect()
}

/// The interface `iid` of a new object.
pub fn create(factory: &IClassFactory, iid: &GUID) -> (u32, *mut c_void) {
    let mut out = ptr::dangling_mut::<c_void>();
    // SAFETY: the pointers are to values on this stack; no outer object is named.
    let result = unsafe { factory.CreateInstance(None, iid, &raw mut out) };
    (code(result), out)
}

pub fn object(factory: &IClassFactory) -> IWbemBackupRestoreEx {
    let (result, out) = create(factory, &IWbemBackupRestoreEx::IID);
    assert_eq!(result, S_OK);
    // SAFETY: the factory gave a reference to this interface, and it is ours.
    unsafe { IWbemBackupRestoreEx::from_raw(out) }
}

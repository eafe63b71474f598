//! What COM calls in the DLL.

#![expect(unsafe_code, reason = "COM finds these functions by their names and calls them with raw pointers")]

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use windows_core::{GUID, HRESULT, Interface};

use super::configured::Configured;
use super::guard::{E_POINTER, S_FALSE, S_OK};
use super::{CLASS_ID, class_factory, lifetime};

/// `CLASS_E_CLASSNOTAVAILABLE`.
const CLASS_NOT_AVAILABLE: HRESULT = HRESULT(0x8004_0111_u32.cast_signed());

/// Gives the class factory of [`CLASS_ID`], for the repository that is configured.
///
/// # Safety
/// Each pointer is null, or leads to an identifier and to where the result belongs.
// SAFETY: the name is COM's, and no other function of a process that loads the DLL is found by it.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn DllGetClassObject(
    class: *const GUID,
    iid: *const GUID,
    out: *mut *mut c_void,
) -> HRESULT {
    if class.is_null() || iid.is_null() || out.is_null() {
        return E_POINTER;
    }
    // SAFETY: none is null, so each leads where the caller of this function promises.
    unsafe {
        out.write(ptr::null_mut());
        if *class != CLASS_ID {
            return CLASS_NOT_AVAILABLE;
        }
        class_factory(Arc::new(Configured)).query(iid, out)
    }
}

/// Whether the DLL can be unloaded: no object is alive and nobody locked it.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "system" fn DllCanUnloadNow() -> HRESULT {
    if lifetime::may_unload() { S_OK } else { S_FALSE }
}

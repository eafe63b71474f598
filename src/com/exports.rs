//! The functions that COM calls in the DLL.

#![expect(
    unsafe_code,
    reason = "COM finds these functions by their names and calls them with raw pointers"
)]

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

/// `S_OK` if the DLL can be unloaded: no object is alive and nobody locked it.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "system" fn DllCanUnloadNow() -> HRESULT {
    if lifetime::may_unload() {
        S_OK
    } else {
        S_FALSE
    }
}

#[cfg(windows)]
mod system {
    use windows_core::{BOOL, HRESULT};
    use windows_registry::Result;

    use crate::com::guard::S_OK;
    use crate::com::registration::{Scope, register, unregister};
    use crate::com::{module, wide};

    /// `E_INVALIDARG`.
    const INVALID_ARGUMENT: HRESULT = HRESULT(0x8007_0057_u32.cast_signed());

    /// Registers the class, with this module as its server, for all users of the machine; wholly or
    /// not at all.
    // SAFETY: as for `DllGetClassObject`.
    #[unsafe(no_mangle)]
    pub extern "system" fn DllRegisterServer() -> HRESULT {
        answer(change(true, Scope::Machine))
    }

    /// Takes this module's registration back; it is no error when there is none. Another module's
    /// stays.
    // SAFETY: as for `DllGetClassObject`.
    #[unsafe(no_mangle)]
    pub extern "system" fn DllUnregisterServer() -> HRESULT {
        answer(change(false, Scope::Machine))
    }

    /// The same for whom the text names: `user` for the user who calls, `machine` or nothing for
    /// all users (`regsvr32 /n /i:user`).
    ///
    /// # Safety
    /// `text` is null or ends with a zero.
    // SAFETY: as for `DllGetClassObject`.
    #[unsafe(no_mangle)]
    pub unsafe extern "system" fn DllInstall(install: BOOL, text: *const u16) -> HRESULT {
        // SAFETY: as the caller promises.
        match unsafe { scope(text) } {
            Some(scope) => answer(change(install.as_bool(), scope)),
            None => INVALID_ARGUMENT,
        }
    }

    /// # Safety
    /// As for [`DllInstall`].
    unsafe fn scope(text: *const u16) -> Option<Scope> {
        // SAFETY: the caller promises that a text that is not null has at least its zero.
        if text.is_null() || unsafe { *text } == 0 {
            return Some(Scope::Machine);
        }
        // SAFETY: as the caller promises.
        let name = unsafe { wide::path(text) }.ok()?;
        let is = |word: &str| {
            name.to_str()
                .is_some_and(|name| name.eq_ignore_ascii_case(word))
        };
        [("machine", Scope::Machine), ("user", Scope::User)]
            .into_iter()
            .find(|(word, _)| is(word))
            .map(|(_, scope)| scope)
    }

    fn change(install: bool, scope: Scope) -> Result<()> {
        let module = module::path()?;
        if install {
            register(scope, &module)
        } else {
            unregister(scope, &module)
        }
    }

    fn answer(result: Result<()>) -> HRESULT {
        result.map_or_else(|error| error.code(), |()| S_OK)
    }
}

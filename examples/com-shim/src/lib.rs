//! A COM server around `cimrepo`, as somebody else would write it: `IWbemBackupRestoreEx` over the
//! library's public items, with a class of its own. The library is built without its features
//! `windows` and `dll`, so every export below is this module's.
//!
//! | file | content |
//! |---|---|
//! | `object` | the object and its class factory |
//! | `served` | the repository that is configured, shared by all objects of the process |
//! | `caller` | who calls: the token of the client, with its enabled privileges |
//! | `failure` | codes, error info, and panics that stay inside |
//! | `registration` | what `regsvr32` asks for |
//! | `module` | the path of this DLL; keeping it in the process |

#![cfg(windows)]

mod caller;
mod failure;
mod module;
mod object;
mod registration;
mod served;

use std::ffi::c_void;
use std::ptr;

use windows::Win32::Foundation::{
    CLASS_E_CLASSNOTAVAILABLE, E_INVALIDARG, E_POINTER, S_FALSE, S_OK,
};
use windows::Win32::System::Com::IClassFactory;
use windows::core::{BOOL, GUID, HRESULT, Interface, PCWSTR};

use object::Factory;
use registration::Scope;

/// The class of the object. Take one of your own; it is neither the system's nor the library's.
const CLASS_ID: GUID = GUID::from_u128(0x8e5f0c1a_2b7d_4c39_9a64_51d0e7b3f208);

/// Gives the class factory.
///
/// # Safety
/// Each pointer is null, or leads to an identifier and to where the result belongs.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn DllGetClassObject(
    class: *const GUID,
    iid: *const GUID,
    out: *mut *mut c_void,
) -> HRESULT {
    if class.is_null() || iid.is_null() || out.is_null() {
        return E_POINTER;
    }
    // SAFETY: none is null, so each leads where the caller promises.
    unsafe {
        out.write(ptr::null_mut());
        if *class != CLASS_ID {
            return CLASS_E_CLASSNOTAVAILABLE;
        }
        IClassFactory::from(Factory::new()).query(iid, out)
    }
}

/// Says whether no object is alive. No thread of the library is left then: releasing an object
/// waits for those of its pause.
#[unsafe(no_mangle)]
pub extern "system" fn DllCanUnloadNow() -> HRESULT {
    if object::nothing_is_alive() { S_OK } else { S_FALSE }
}

/// Registers the class for all users of the machine.
#[unsafe(no_mangle)]
pub extern "system" fn DllRegisterServer() -> HRESULT {
    registration::change(true, Scope::Machine)
}

/// Takes that back.
#[unsafe(no_mangle)]
pub extern "system" fn DllUnregisterServer() -> HRESULT {
    registration::change(false, Scope::Machine)
}

/// Registers the class, or takes that back, for the one whom `text` names: `user` or `machine`.
///
/// # Safety
/// `text` is null or ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn DllInstall(install: BOOL, text: PCWSTR) -> HRESULT {
    // SAFETY: it is not null, so it ends with a zero.
    let text = if text.is_null() { Ok(String::new()) } else { unsafe { text.to_string() } };
    match text.map(|text| text.to_ascii_lowercase()).as_deref() {
        Ok("" | "machine") => registration::change(install.as_bool(), Scope::Machine),
        Ok("user") => registration::change(install.as_bool(), Scope::User),
        _ => E_INVALIDARG,
    }
}

//! Registration of the class with the machine: what `regsvr32` calls.

#![expect(unsafe_code, reason = "the system finds these functions by their names and tells where the module lies")]

use std::ptr;

use windows_core::{GUID, HRESULT, HSTRING};
use windows_registry::{LOCAL_MACHINE, Result};
use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_INSUFFICIENT_BUFFER, GetLastError};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, GetModuleFileNameW,
    GetModuleHandleExW,
};

use super::CLASS_ID;
use super::guard::S_OK;

/// Longest path of Windows, in units, with its zero.
const MAX_PATH_UNITS: u32 = 32_768;

/// The key of the class.
fn class_key(class: &GUID) -> String {
    format!("SOFTWARE\\Classes\\CLSID\\{{{class:?}}}")
}

/// Registers the class, with this module as its server, for all users of the machine.
// SAFETY: the name is COM's, and no other function of a process that loads the DLL is found by it.
#[unsafe(no_mangle)]
pub extern "system" fn DllRegisterServer() -> HRESULT {
    answer(module_path().and_then(|path| register(&path)))
}

/// Takes the registration back; it is no error when there is none.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "system" fn DllUnregisterServer() -> HRESULT {
    match LOCAL_MACHINE.remove_tree(class_key(&CLASS_ID)) {
        Err(error) if error.code() == HRESULT::from_win32(ERROR_FILE_NOT_FOUND) => S_OK,
        result => answer(result),
    }
}

fn answer(result: Result<()>) -> HRESULT {
    result.map_or_else(|error| error.code(), |()| S_OK)
}

fn register(module: &HSTRING) -> Result<()> {
    let class = LOCAL_MACHINE.create(class_key(&CLASS_ID))?;
    class.set_string("", "cimrepo backup and restore")?;
    let server = class.create("InprocServer32")?;
    server.set_hstring("", module)?;
    // Objects may be called from every thread, and need no proxy between those of one process.
    server.set_string("ThreadingModel", "Both")
}

/// The path of the module that this code is in.
fn module_path() -> Result<HSTRING> {
    let mut module = ptr::null_mut();
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    let here = (DllRegisterServer as extern "system" fn() -> HRESULT) as *const u16;
    // SAFETY: with this flag the name is an address, here that of a function of the module; `module` is where the result belongs.
    if unsafe { GetModuleHandleExW(flags, here, &raw mut module) } == 0 {
        return Err(last_error());
    }
    let mut units = vec![0; MAX_PATH_UNITS as usize];
    // SAFETY: the buffer has as many units as are said.
    let len = unsafe { GetModuleFileNameW(module, units.as_mut_ptr(), MAX_PATH_UNITS) };
    match units.get(..len as usize) {
        None | Some([]) => Err(last_error()),
        // A path that was cut fills the buffer.
        Some(path) if path.len() == units.len() => Err(HRESULT::from_win32(ERROR_INSUFFICIENT_BUFFER).into()),
        Some(path) => Ok(HSTRING::from_wide(path)),
    }
}

fn last_error() -> windows_core::Error {
    // SAFETY: it only reads a number of this thread.
    HRESULT::from_win32(unsafe { GetLastError() }).into()
}

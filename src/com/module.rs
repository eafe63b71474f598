//! The module that this code is in: where it lies, and that it stays.

#![expect(unsafe_code, reason = "the system tells it through raw pointers")]

use std::ptr;

use windows_core::{HRESULT, HSTRING};
use windows_registry::Result;
use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, GetLastError, HMODULE};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN,
    GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, GetModuleFileNameW, GetModuleHandleExW,
};

/// Longest path of Windows, in units, with its zero.
const MAX_PATH_UNITS: u32 = 32_768;

/// Keeps the module in the process until its end. The end of the last apartment unloads what COM
/// loaded without asking `DllCanUnloadNow`, objects and their threads or not.
pub(super) fn pin() -> Result<()> {
    handle(GET_MODULE_HANDLE_EX_FLAG_PIN).map(drop)
}

/// The path of the module.
pub(super) fn path() -> Result<HSTRING> {
    let module = handle(GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT)?;
    let mut units = vec![0; MAX_PATH_UNITS as usize];
    // SAFETY: the buffer has as many units as are said.
    let len = unsafe { GetModuleFileNameW(module, units.as_mut_ptr(), MAX_PATH_UNITS) };
    match units.get(..len as usize) {
        None | Some([]) => Err(last_error()),
        // A path that was cut fills the buffer.
        Some(path) if path.len() == units.len() => {
            Err(HRESULT::from_win32(ERROR_INSUFFICIENT_BUFFER).into())
        }
        Some(path) => Ok(HSTRING::from_wide(path)),
    }
}

/// The handle of the module, found by the address of something in it. The flag says what becomes of
/// the count of its users.
fn handle(flag: u32) -> Result<HMODULE> {
    let mut module = ptr::null_mut();
    let here = (pin as fn() -> Result<()>) as *const u16;
    // SAFETY: with this flag the name is an address, here that of a function of the module;
    // `module` is where the result belongs.
    match unsafe {
        GetModuleHandleExW(
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | flag,
            here,
            &raw mut module,
        )
    } {
        0 => Err(last_error()),
        _ => Ok(module),
    }
}

fn last_error() -> windows_core::Error {
    // SAFETY: it only reads a number of this thread.
    HRESULT::from_win32(unsafe { GetLastError() }).into()
}

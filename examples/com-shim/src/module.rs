//! This DLL: where it lies, and that it stays.

use windows::Win32::Foundation::{E_UNEXPECTED, HMODULE};
use windows::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN,
    GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, GetModuleFileNameW, GetModuleHandleExW,
};
use windows::core::{HSTRING, PCWSTR, Result};

/// Longest path of Windows, in units, with its zero.
const MAX_PATH: usize = 32_768;

/// Keeps the DLL in the process until its end.
pub fn pin() -> Result<()> {
    handle(GET_MODULE_HANDLE_EX_FLAG_PIN).map(drop)
}

pub fn path() -> Result<HSTRING> {
    let module = handle(GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT)?;
    let mut units = vec![0; MAX_PATH];
    // SAFETY: the handle is that of this DLL.
    let len = unsafe { GetModuleFileNameW(Some(module), &mut units) } as usize;
    // A path that was cut fills the buffer.
    if len == 0 || len == MAX_PATH {
        return Err(E_UNEXPECTED.into());
    }
    Ok(HSTRING::from_wide(&units[..len]))
}

/// The handle of the DLL, found by the address of a function in it.
fn handle(flag: u32) -> Result<HMODULE> {
    let here = PCWSTR((pin as fn() -> Result<()>) as *const u16);
    let mut module = HMODULE::default();
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | flag;
    // SAFETY: with this flag the name is an address; `module` is where the result belongs.
    unsafe { GetModuleHandleExW(flags, here, &mut module) }?;
    Ok(module)
}

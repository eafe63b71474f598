//! The text and the number that a caller finds when a method failed: `GetErrorInfo` gives them on
//! the thread of the call.

#[cfg(windows)]
pub(super) use windows::{clear, set};

/// Nowhere but on Windows is there a place for it.
#[cfg(not(windows))]
pub(super) fn clear() {}

/// As [`clear`].
#[cfg(not(windows))]
pub(super) fn set(_failure: &super::failure::Failure) {}

#[cfg(windows)]
#[expect(unsafe_code, reason = "error info is kept by the system")]
#[allow(
    missing_docs,
    non_snake_case,
    reason = "the macro makes items of its own"
)]
mod windows {
    use std::ffi::c_void;
    use std::ptr;

    use windows_core::IUnknown_Vtbl;
    use windows_core::{GUID, HRESULT, IUnknown, Interface, interface};
    use windows_sys::Win32::System::Com::SetErrorInfo;
    use windows_sys::Win32::System::Ole::CreateErrorInfo;

    use crate::base::reason::Reason;
    use crate::com::failure::Failure;
    use crate::com::interfaces::IWbemBackupRestoreEx;
    use crate::com::wide::zero_ended;

    #[interface("22f03340-547d-101b-8e65-08002b2bd119")]
    unsafe trait ICreateErrorInfo: IUnknown {
        unsafe fn SetGUID(&self, iid: *const GUID) -> HRESULT;
        unsafe fn SetSource(&self, source: *const u16) -> HRESULT;
        unsafe fn SetDescription(&self, description: *const u16) -> HRESULT;
        unsafe fn SetHelpFile(&self, file: *const u16) -> HRESULT;
        unsafe fn SetHelpContext(&self, context: u32) -> HRESULT;
    }

    const IERROR_INFO: GUID = GUID::from_u128(0x1cf2b120_547d_101b_8e65_08002b2bd119);

    /// Takes away what an earlier call left: it would be taken for the reason of this one.
    pub(in crate::com) fn clear() {
        // SAFETY: null is how the system is told that there is nothing.
        unsafe { SetErrorInfo(0, ptr::null_mut()) };
    }

    /// Leaves the text and the number of a failure. Where the system has no memory for them the
    /// code must do.
    pub(in crate::com) fn set(failure: &Failure) {
        let mut raw: *mut c_void = ptr::null_mut();
        // SAFETY: `raw` is where the result belongs.
        if unsafe { CreateErrorInfo(&raw mut raw) } < 0 || raw.is_null() {
            return;
        }
        // SAFETY: the system made an object with this interface, and the reference to it is ours.
        let info = unsafe { ICreateErrorInfo::from_raw(raw) };
        let (source, text) = (zero_ended("cimrepo"), zero_ended(&failure.text));
        let number = failure.reason.map_or(0, Reason::number);
        let mut error: *mut c_void = ptr::null_mut();
        // SAFETY: the texts end with a zero and are copied; `error` is where the result belongs.
        let code = unsafe {
            let steps = [
                info.SetGUID(&IWbemBackupRestoreEx::IID),
                info.SetSource(source.as_ptr()),
                info.SetDescription(text.as_ptr()),
                info.SetHelpContext(number),
                info.query(&IERROR_INFO, &raw mut error),
            ];
            steps.into_iter().find(|step| step.is_err())
        };
        if error.is_null() {
            return;
        }
        // SAFETY: the reference that the query gave is ours, and ends with this value.
        let error = unsafe { IUnknown::from_raw(error) };
        if code.is_none() {
            // SAFETY: the object is alive; the system takes a reference of its own.
            unsafe { SetErrorInfo(0, error.as_raw()) };
        }
    }
}

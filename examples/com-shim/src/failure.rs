//! Why a call failed: a code, and a text that the caller finds with `GetErrorInfo`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cimrepo::Reason;
use windows::Win32::Foundation::E_UNEXPECTED;
use windows::Win32::System::Com::{IErrorInfo, SetErrorInfo};
use windows::Win32::System::Ole::CreateErrorInfo;
use windows::Win32::System::Wmi::{
    IWbemBackupRestoreEx, WBEM_E_INITIALIZATION_FAILURE, WBEM_E_INVALID_PARAMETER,
};
use windows::core::{Error, HRESULT, HSTRING, Interface, Result};

pub struct Failure {
    code: HRESULT,
    /// Number of the reason where several share the code; else 0.
    number: u32,
    text: String,
}

impl Failure {
    pub fn invalid(reason: Reason, text: &str) -> Self {
        let code = HRESULT(WBEM_E_INVALID_PARAMETER.0);
        Self { code, number: reason.number(), text: text.to_owned() }
    }

    pub fn not_configured(text: impl Into<String>) -> Self {
        Self { code: HRESULT(WBEM_E_INITIALIZATION_FAILURE.0), number: 0, text: text.into() }
    }
}

/// The library knows the code of each of its errors, the number of its reason, and its message with
/// all causes.
impl From<cimrepo::Error> for Failure {
    fn from(error: cimrepo::Error) -> Self {
        let code = HRESULT(error.hresult().0.cast_signed());
        let number = error.reason().map_or(0, Reason::number);
        Self { code, number, text: error.full_text() }
    }
}

/// Runs a method. No panic leaves it: one that crossed into COM would end the caller's process.
pub fn call(method: impl FnOnce() -> std::result::Result<(), Failure>) -> Result<()> {
    // What an earlier call left would be taken for the reason of this one.
    // SAFETY: nothing is how the system is told that there is none.
    unsafe { SetErrorInfo(0, None::<&IErrorInfo>) }.ok();
    let result = catch_unwind(AssertUnwindSafe(method)).unwrap_or_else(|_| {
        Err(Failure { code: E_UNEXPECTED, number: 0, text: "the call panicked".to_owned() })
    });
    result.map_err(|failure| {
        // Where the system has no memory for the text, the code must do.
        tell(&failure).ok();
        Error::from_hresult(failure.code)
    })
}

fn tell(failure: &Failure) -> Result<()> {
    // SAFETY: the texts and the identifier live as long as the calls, which copy them.
    unsafe {
        let info = CreateErrorInfo()?;
        info.SetGUID(&IWbemBackupRestoreEx::IID)?;
        info.SetSource(&HSTRING::from("com-shim"))?;
        info.SetDescription(&HSTRING::from(&failure.text))?;
        info.SetHelpContext(failure.number)?;
        SetErrorInfo(0, &info.cast::<IErrorInfo>()?)
    }
}

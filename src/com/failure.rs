//! Why a call failed, as a COM caller is told: a code, a number where several reasons share it, and
//! a text.

use std::any::Any;

use windows_core::HRESULT;

use crate::base::error::{Error, HResult};
use crate::base::reason::Reason;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The result of the method.
    pub code: HResult,
    /// Reason among those that share the code. Its number is the help context of the error info,
    /// which is 0 without one.
    pub reason: Option<Reason>,
    /// The text of the error info.
    pub text: String,
}

impl Failure {
    /// A failure with a code of its own.
    pub fn new(code: HResult, text: impl Into<String>) -> Self {
        Self {
            code,
            reason: None,
            text: text.into(),
        }
    }

    /// A call whose arguments make no sense.
    pub(super) fn invalid(reason: Reason, text: impl Into<String>) -> Self {
        Self {
            code: HResult::INVALID_PARAMETER,
            reason: Some(reason),
            text: text.into(),
        }
    }

    /// A module that cannot serve.
    #[cfg(feature = "dll")]
    pub(super) fn not_ready(text: impl Into<String>) -> Self {
        Self::new(HResult::INITIALIZATION_FAILURE, text)
    }

    /// The failure that stands for a panic: the caller's process must live on.
    pub(super) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no reason given");
        Self::new(
            HResult::E_UNEXPECTED,
            format!("cimrepo has a fault, please report it: {text}"),
        )
    }

    /// The code as methods return it.
    pub(super) fn hresult(&self) -> HRESULT {
        HRESULT(self.code.0.cast_signed())
    }
}

impl From<Error> for Failure {
    /// The message with all its causes: COM has one text.
    fn from(error: Error) -> Self {
        Self {
            code: error.hresult(),
            reason: error.reason(),
            text: error.full_text(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;
    use crate::base::io_op::IoOp;
    use crate::base::moment::Moment;

    #[test]
    fn the_text_has_every_cause() {
        let source = io::Error::new(io::ErrorKind::NotFound, "it is not there");
        let failure = Failure::from(Error::io(IoOp::Open, Path::new("a.cimbak"), source));
        assert_eq!(
            failure,
            Failure::new(
                HResult(0x8007_0002),
                "cannot open a.cimbak: it is not there"
            )
        );
        assert_eq!(failure.hresult().0.cast_unsigned(), 0x8007_0002);
    }

    #[test]
    fn a_reason_comes_along() {
        let failure = Failure::from(Error::InvalidOperation(Moment::Restoring));
        assert_eq!(
            (failure.code, failure.reason),
            (HResult::INVALID_OPERATION, Some(Reason::Restoring))
        );
    }

    #[test]
    fn a_panic_tells_its_reason() {
        let reasons: [Box<dyn Any + Send>; 3] =
            [Box::new("short"), Box::new("long".to_owned()), Box::new(7)];
        let texts = reasons.map(|reason| Failure::panicked(&*reason).text);
        for (text, end) in texts.iter().zip([": short", ": long", ": no reason given"]) {
            assert!(text.ends_with(end), "{text}");
        }
    }
}

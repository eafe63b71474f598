//! Refusals on the way: of what a text says, at its place, and of the engine.

use crate::base::error::Error;
use crate::text::diagnostic::{Code, Diagnostic, Place};

use super::code;

/// Why an object was not stored.
#[derive(Debug)]
pub(super) enum Stop {
    /// The text is wrong.
    Refused(Box<Diagnostic>),
    /// The engine cannot go on.
    Failed(Error),
}

pub(super) type Fold<T> = Result<T, Stop>;

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

impl From<Diagnostic> for Stop {
    fn from(diagnostic: Diagnostic) -> Self {
        Stop::Refused(Box::new(diagnostic))
    }
}

/// A refusal at a place.
pub(super) fn refuse<T>(code: Code, place: Place, message: impl Into<String>) -> Fold<T> {
    Err(Diagnostic::error(code, place, message).into())
}

/// An error of the engine: a broken rule is the fault of the text at `place`.
pub(super) fn placed(error: Error, place: Place) -> Stop {
    match error {
        Error::Rule { rule, text } => Diagnostic::error(code::of_rule(rule), place, text).into(),
        error @ Error::WrongKeys { .. } => {
            Diagnostic::error(code::INVALID_OBJECT_PATH, place, error.to_string()).into()
        }
        error => Stop::Failed(error),
    }
}

//! Conversions of the model's errors into the crate's, for `?`.

use crate::base::error::Error;
use crate::base::misuse::Misuse;
use crate::base::rule::Rule;

use super::datetime::DateTimeError;
use super::full_class::ComposeError;
use super::instance::InstanceError;
use super::path::PathError;
use super::value_as::ValueError;

impl From<InstanceError> for Error {
    /// Names the rule of the model that is broken.
    fn from(error: InstanceError) -> Self {
        let rule = match &error {
            InstanceError::NoProperty { .. } => Rule::InvalidProperty,
            InstanceError::WrongType { .. } | InstanceError::OutOfRange { .. } => {
                Rule::TypeMismatch
            }
            InstanceError::NoKeyValue { .. } => Rule::IllegalNull,
            InstanceError::NoKey { .. } => Rule::InvalidClass,
        };
        Error::rule(rule, error.to_string())
    }
}

impl From<ValueError> for Error {
    /// `WBEM_E_TYPE_MISMATCH`.
    fn from(error: ValueError) -> Self {
        Error::rule(Rule::TypeMismatch, error.to_string())
    }
}

impl From<ComposeError> for Error {
    /// Names the rule that is broken by a class that is incompatible with its superclass.
    fn from(error: ComposeError) -> Self {
        let rule = match &error {
            ComposeError::Superclass { .. } => Rule::InvalidSuperclass,
            ComposeError::OverrideType { .. } => Rule::TypeMismatch,
            ComposeError::Twice { .. } => Rule::InvalidObject,
            ComposeError::TooMany { .. } => Rule::TooManyProperties,
        };
        Error::rule(rule, error.to_string())
    }
}

impl From<PathError> for Error {
    /// `WBEM_E_INVALID_OBJECT_PATH`.
    fn from(error: PathError) -> Self {
        Error::rule(Rule::InvalidObjectPath, error.to_string())
    }
}

impl From<DateTimeError> for Error {
    fn from(error: DateTimeError) -> Self {
        Error::invalid(Misuse::Value, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use crate::base::error::Result;
    use crate::cim::datetime::DateTime;
    use crate::cim::path::ObjectPath;

    #[test]
    fn a_question_mark_takes_them_along() {
        fn path(text: &str) -> Result<ObjectPath> {
            Ok(text.parse::<ObjectPath>()?)
        }
        fn moment(text: &str) -> Result<DateTime> {
            Ok(text.parse::<DateTime>()?)
        }
        assert_eq!(path("C=").unwrap_err().hresult().0, 0x8004_103A);
        assert_eq!(moment("tomorrow").unwrap_err().hresult().0, 0x8004_1008);
    }
}

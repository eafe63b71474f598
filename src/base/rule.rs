//! Rules of the model that a change can break, each with the result code that Windows documents for
//! it.
//!
//! Values and meanings: WMI SDK, "WMI Error Constants". Where the SDK does not say which code
//! belongs to which rule, `docs::changes` decides.

use super::error::HResult;

macro_rules! rules {
    ($($name:ident = $code:literal, $constant:literal, $meaning:literal;)*) => {
        /// A rule that a change can break.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $(#[doc = concat!("`", $constant, "`: ", $meaning, ".")] $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Rule] = &[$(Rule::$name),*];

            /// The result code that a COM caller receives.
            pub const fn hresult(self) -> HResult {
                match self {
                    $(Rule::$name => HResult($code),)*
                }
            }

            /// The name of the result code.
            pub const fn constant(self) -> &'static str {
                match self {
                    $(Rule::$name => $constant,)*
                }
            }
        }
    };
}

rules! {
    NotFound = 0x8004_1002, "WBEM_E_NOT_FOUND", "the object is not there";
    TypeMismatch = 0x8004_1005, "WBEM_E_TYPE_MISMATCH", "a value or property is of another type";
    InvalidSuperclass = 0x8004_100D, "WBEM_E_INVALID_SUPERCLASS", "the superclass is not there";
    InvalidNamespace = 0x8004_100E, "WBEM_E_INVALID_NAMESPACE", "the namespace is not there";
    InvalidObject = 0x8004_100F, "WBEM_E_INVALID_OBJECT", "the object cannot be stored";
    InvalidClass = 0x8004_1010, "WBEM_E_INVALID_CLASS", "the class is not there, or has no \
        instances";
    AlreadyExists = 0x8004_1019, "WBEM_E_ALREADY_EXISTS", "the object is there already";
    OverrideNotAllowed = 0x8004_101A, "WBEM_E_OVERRIDE_NOT_ALLOWED", "a qualifier may not be \
        declared again";
    CannotBeKey = 0x8004_101F, "WBEM_E_CANNOT_BE_KEY", "the property cannot be a key";
    ReadOnly = 0x8004_1023, "WBEM_E_READ_ONLY", "the object cannot be changed";
    ProviderNotCapable = 0x8004_1024, "WBEM_E_PROVIDER_NOT_CAPABLE", "only a provider could do \
        it";
    ClassHasChildren = 0x8004_1025, "WBEM_E_CLASS_HAS_CHILDREN", "other classes are derived from \
        the class";
    ClassHasInstances = 0x8004_1026, "WBEM_E_CLASS_HAS_INSTANCES", "the class has instances";
    IllegalNull = 0x8004_1028, "WBEM_E_ILLEGAL_NULL", "a property that needs a value is NULL";
    InvalidQualifierType = 0x8004_1029, "WBEM_E_INVALID_QUALIFIER_TYPE", "a qualifier is of a type \
        that none may have";
    CannotBeSingleton = 0x8004_102C, "WBEM_E_CANNOT_BE_SINGLETON", "a class with keys cannot be a \
        singleton";
    SystemProperty = 0x8004_1030, "WBEM_E_SYSTEM_PROPERTY", "names that begin with two \
        underscores are reserved for the system";
    InvalidProperty = 0x8004_1031, "WBEM_E_INVALID_PROPERTY", "the class has no such property";
    MissingParameterId = 0x8004_1036, "WBEM_E_MISSING_PARAMETER_ID", "a parameter has no ID";
    NonconsecutiveParameterIds = 0x8004_1038, "WBEM_E_NONCONSECUTIVE_PARAMETER_IDS", "parameters \
        are not numbered 0, 1, 2, …";
    ParameterIdOnReturnValue = 0x8004_1039, "WBEM_E_PARAMETER_ID_ON_RETVAL", "the return value has \
        an ID";
    InvalidObjectPath = 0x8004_103A, "WBEM_E_INVALID_OBJECT_PATH", "the path does not denote an \
        instance";
    CircularReference = 0x8004_1047, "WBEM_E_CIRCULAR_REFERENCE", "the class would be derived from \
        itself";
    UnsupportedClassUpdate = 0x8004_1048, "WBEM_E_UNSUPPORTED_CLASS_UPDATE", "the class cannot be \
        changed so";
    CannotChangeKeyInheritance = 0x8004_1049, "WBEM_E_CANNOT_CHANGE_KEY_INHERITANCE", "an \
        inherited key stays a key";
    TooManyProperties = 0x8004_1051, "WBEM_E_TOO_MANY_PROPERTIES", "the class has more properties \
        than one can have";
    UpdateTypeMismatch = 0x8004_1052, "WBEM_E_UPDATE_TYPE_MISMATCH", "a derived class has the \
        property with another type";
    UpdateOverrideNotAllowed = 0x8004_1053, "WBEM_E_UPDATE_OVERRIDE_NOT_ALLOWED",
        "a derived class has a qualifier that it then may not have";
    CannotBeAbstract = 0x8004_1065, "WBEM_E_CANNOT_BE_ABSTRACT",
        "a class derived from one that is not abstract cannot be abstract";
    PropertyNameTooWide = 0x8004_1073, "WBEM_E_PROPERTY_NAME_TOO_WIDE", "the name of a property is \
        too long";
    ClassNameTooWide = 0x8004_1074, "WBEM_E_CLASS_NAME_TOO_WIDE", "the name of a class is too long";
    MethodNameTooWide = 0x8004_1075, "WBEM_E_METHOD_NAME_TOO_WIDE", "the name of a method is too \
        long";
    QualifierNameTooWide = 0x8004_1076, "WBEM_E_QUALIFIER_NAME_TOO_WIDE", "the name of a qualifier \
        is too long";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_and_names_are_one_to_one() {
        let codes: BTreeSet<u32> = Rule::ALL.iter().map(|rule| rule.hresult().0).collect();
        let names: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.constant()).collect();
        assert_eq!(
            (codes.len(), names.len()),
            (Rule::ALL.len(), Rule::ALL.len())
        );
        assert!(
            codes
                .iter()
                .all(|code| (0x8004_1001..0x8004_10A0).contains(code))
        );
        assert_eq!(Rule::NotFound.hresult(), HResult::NOT_FOUND);
        assert_eq!(Rule::InvalidObject.hresult(), HResult::INVALID_OBJECT);
    }
}

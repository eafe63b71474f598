//! The codes of the MOF compiler. Source: WMI SDK, "WMI Error Constants"; for
//! `EXPECTED_PROPERTY_NAME` Microsoft's knowledge base 2543399, since that page prints the number
//! of another code.

use crate::base::hresult::HResult;
use crate::text::diagnostic::Code;

macro_rules! codes {
    ($($name:ident = $low:literal, $meaning:literal;)*) => {
        $(
            #[doc = concat!("`WBEMMOF_E_", stringify!($name), "`: ", $meaning, ".")]
            pub const $name: Code =
                Code { name: concat!("WBEMMOF_E_", stringify!($name)), value: HResult(0x8004_4000 | $low) };
        )*

        /// Every code of the compiler, in ascending order.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    EXPECTED_QUALIFIER_NAME = 0x01, "a list of qualifiers has no name where one must stand";
    EXPECTED_SEMI = 0x02, "a semicolon or an equals sign is missing";
    EXPECTED_OPEN_BRACE = 0x03, "an opening brace is missing";
    EXPECTED_CLOSE_BRACE = 0x04, "a closing brace is missing";
    EXPECTED_CLOSE_BRACKET = 0x05, "a closing bracket is missing";
    EXPECTED_CLOSE_PAREN = 0x06, "a closing parenthesis is missing";
    ILLEGAL_CONSTANT_VALUE = 0x07, "a constant is malformed";
    EXPECTED_TYPE_IDENTIFIER = 0x08, "a type is missing";
    EXPECTED_OPEN_PAREN = 0x09, "an opening parenthesis is missing";
    UNRECOGNIZED_TOKEN = 0x0A, "the text is no MOF here";
    UNRECOGNIZED_TYPE = 0x0B, "a qualifier is declared with a type that none can have";
    EXPECTED_PROPERTY_NAME = 0x0C, "the name of a property is missing";
    TYPEDEF_NOT_SUPPORTED = 0x0D, "type definitions are not supported";
    UNEXPECTED_ALIAS = 0x0E, "an alias stands where no reference can";
    UNEXPECTED_ARRAY_INIT = 0x0F, "a list stands where a single value must";
    INVALID_AMENDMENT_SYNTAX = 0x10, "the pragma `amendment` is malformed";
    INVALID_DUPLICATE_AMENDMENT = 0x11, "the pragma `amendment` is given twice";
    INVALID_PRAGMA = 0x12, "there is no such pragma";
    INVALID_NAMESPACE_SYNTAX = 0x13, "the path of a namespace is malformed";
    EXPECTED_CLASS_NAME = 0x14, "the name of a class is missing";
    TYPE_MISMATCH = 0x15, "a value is not of the type that it must be";
    EXPECTED_ALIAS_NAME = 0x16, "a dollar sign has no name after it";
    INVALID_CLASS_DECLARATION = 0x17, "the declaration of a class is malformed";
    INVALID_INSTANCE_DECLARATION = 0x18, "the declaration of an instance is malformed";
    EXPECTED_DOLLAR = 0x19, "an alias has no dollar sign before it";
    CIMTYPE_QUALIFIER = 0x1A, "the qualifier `CIMTYPE` cannot be written";
    DUPLICATE_PROPERTY = 0x1B, "a property stands twice";
    INVALID_NAMESPACE_SPECIFICATION = 0x1C, "a namespace lies on another server";
    OUT_OF_RANGE = 0x1D, "a number does not fit its type";
    INVALID_FILE = 0x1E, "the file is neither text nor binary MOF";
    ALIASES_IN_EMBEDDED = 0x1F, "an alias stands in an embedded object";
    NULL_ARRAY_ELEM = 0x20, "an element of an array is NULL";
    DUPLICATE_QUALIFIER = 0x21, "a qualifier stands twice";
    EXPECTED_FLAVOR_TYPE = 0x22, "a flavor is missing or unknown";
    INCOMPATIBLE_FLAVOR_TYPES = 0x23, "two flavors contradict each other";
    MULTIPLE_ALIASES = 0x24, "an alias is defined twice";
    INCOMPATIBLE_FLAVOR_TYPES2 = 0x25, "`Restricted` contradicts a flavor that propagates";
    NO_ARRAYS_RETURNED = 0x26, "a method cannot return an array";
    MUST_BE_IN_OR_OUT = 0x27, "a parameter is neither `in` nor `out`";
    INVALID_FLAGS_SYNTAX = 0x28, "flags are malformed";
    EXPECTED_BRACE_OR_BAD_TYPE = 0x29, "the text ends inside a declaration";
    UNSUPPORTED_CIMV22_QUAL_VALUE = 0x2A, "a value of a later version of MOF";
    UNSUPPORTED_CIMV22_DATA_TYPE = 0x2B, "a type of a later version of MOF";
    INVALID_DELETEINSTANCE_SYNTAX = 0x2C, "the pragma `deleteinstance` is malformed";
    INVALID_QUALIFIER_SYNTAX = 0x2D, "the declaration of a qualifier is malformed";
    QUALIFIER_USED_OUTSIDE_SCOPE = 0x2E, "a qualifier stands outside its declared scope";
    ERROR_CREATING_TEMP_FILE = 0x2F, "a temporary file could not be made; never raised here";
    ERROR_INVALID_INCLUDE_FILE = 0x30, "an included file cannot be read";
    INVALID_DELETECLASS_SYNTAX = 0x31, "the pragma `deleteclass` is malformed";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_consecutive_and_named_once() {
        let values: Vec<u32> = ALL.iter().map(|code| code.value.0).collect();
        assert_eq!(values, (0x8004_4001..=0x8004_4031).collect::<Vec<_>>());
        let mut names: Vec<&str> = ALL.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}

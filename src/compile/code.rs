//! The codes of what the repository refuses to store. Source: WMI SDK, "WMI Error Constants".

use crate::base::hresult::HResult;
use crate::base::rule::Rule;
use crate::text::diagnostic::Code;

macro_rules! codes {
    ($($name:ident = $value:literal;)*) => {
        $(
            pub(super) const $name: Code =
                Code { name: concat!("WBEM_E_", stringify!($name)), value: HResult($value) };
        )*
    };
}

codes! {
    NOT_FOUND = 0x8004_1002;
    INVALID_PARAMETER = 0x8004_1008;
    INVALID_SUPERCLASS = 0x8004_100D;
    INVALID_NAMESPACE = 0x8004_100E;
    INVALID_CLASS = 0x8004_1010;
    INVALID_OPERATION = 0x8004_1016;
    OVERRIDE_NOT_ALLOWED = 0x8004_101A;
    READ_ONLY = 0x8004_1023;
    ILLEGAL_NULL = 0x8004_1028;
    SYSTEM_PROPERTY = 0x8004_1030;
    INVALID_PARAMETER_ID = 0x8004_1037;
    NONCONSECUTIVE_PARAMETER_IDS = 0x8004_1038;
    INVALID_OBJECT_PATH = 0x8004_103A;
    CIRCULAR_REFERENCE = 0x8004_1047;
    UPDATE_TYPE_MISMATCH = 0x8004_1052;
    UPDATE_PROPAGATED_METHOD = 0x8004_1054;
    CANNOT_BE_ABSTRACT = 0x8004_1065;
    QUOTA_VIOLATION = 0x8004_106C;
}

/// The code of a broken rule.
pub(super) const fn of_rule(rule: Rule) -> Code {
    Code {
        name: rule.constant(),
        value: rule.hresult(),
    }
}

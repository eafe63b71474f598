//! CIM types, with the numbers that repositories and published interfaces share.

use std::fmt;

/// The type of a single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum ScalarType {
    /// Signed, 16 bits.
    Sint16 = 2,
    /// Signed, 32 bits.
    Sint32 = 3,
    /// IEEE 754, 32 bits.
    Real32 = 4,
    /// IEEE 754, 64 bits.
    Real64 = 5,
    /// Text.
    String = 8,
    /// TRUE or FALSE.
    Boolean = 11,
    /// An embedded object.
    Object = 13,
    /// Signed, 8 bits.
    Sint8 = 16,
    /// Unsigned, 8 bits.
    Uint8 = 17,
    /// Unsigned, 16 bits.
    Uint16 = 18,
    /// Unsigned, 32 bits.
    Uint32 = 19,
    /// Signed, 64 bits.
    Sint64 = 20,
    /// Unsigned, 64 bits.
    Uint64 = 21,
    /// A point in time or an interval, as text.
    DateTime = 101,
    /// An object path, as text.
    Reference = 102,
    /// A UTF-16 code unit.
    Char16 = 103,
}

impl ScalarType {
    /// Every type.
    pub const ALL: [ScalarType; 16] = [
        ScalarType::Sint16,
        ScalarType::Sint32,
        ScalarType::Real32,
        ScalarType::Real64,
        ScalarType::String,
        ScalarType::Boolean,
        ScalarType::Object,
        ScalarType::Sint8,
        ScalarType::Uint8,
        ScalarType::Uint16,
        ScalarType::Uint32,
        ScalarType::Sint64,
        ScalarType::Uint64,
        ScalarType::DateTime,
        ScalarType::Reference,
        ScalarType::Char16,
    ];

    /// The type with this number.
    pub const fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            2 => ScalarType::Sint16,
            3 => ScalarType::Sint32,
            4 => ScalarType::Real32,
            5 => ScalarType::Real64,
            8 => ScalarType::String,
            11 => ScalarType::Boolean,
            13 => ScalarType::Object,
            16 => ScalarType::Sint8,
            17 => ScalarType::Uint8,
            18 => ScalarType::Uint16,
            19 => ScalarType::Uint32,
            20 => ScalarType::Sint64,
            21 => ScalarType::Uint64,
            101 => ScalarType::DateTime,
            102 => ScalarType::Reference,
            103 => ScalarType::Char16,
            _ => return None,
        })
    }

    /// The number of the type.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The name of the type in MOF and JSON: `uint32`, `datetime`, `reference`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            ScalarType::Sint16 => "sint16",
            ScalarType::Sint32 => "sint32",
            ScalarType::Real32 => "real32",
            ScalarType::Real64 => "real64",
            ScalarType::String => "string",
            ScalarType::Boolean => "boolean",
            ScalarType::Object => "object",
            ScalarType::Sint8 => "sint8",
            ScalarType::Uint8 => "uint8",
            ScalarType::Uint16 => "uint16",
            ScalarType::Uint32 => "uint32",
            ScalarType::Sint64 => "sint64",
            ScalarType::Uint64 => "uint64",
            ScalarType::DateTime => "datetime",
            ScalarType::Reference => "reference",
            ScalarType::Char16 => "char16",
        }
    }

    /// True for the integers; `char16` is none.
    pub(crate) const fn is_integer(self) -> bool {
        matches!(
            self,
            ScalarType::Sint8
                | ScalarType::Uint8
                | ScalarType::Sint16
                | ScalarType::Uint16
                | ScalarType::Sint32
                | ScalarType::Uint32
                | ScalarType::Sint64
                | ScalarType::Uint64
        )
    }

    /// Size in bytes of a value in a table of values.
    pub(crate) const fn slot_size(self) -> usize {
        match self {
            ScalarType::Sint8 | ScalarType::Uint8 => 1,
            ScalarType::Sint16 | ScalarType::Uint16 | ScalarType::Boolean | ScalarType::Char16 => 2,
            ScalarType::Real64 | ScalarType::Sint64 | ScalarType::Uint64 => 8,
            _ => 4,
        }
    }

    /// True if a table of values holds an offset into a heap instead of the value.
    pub(crate) const fn is_on_heap(self) -> bool {
        matches!(
            self,
            ScalarType::String | ScalarType::Object | ScalarType::DateTime | ScalarType::Reference
        )
    }
}

impl fmt::Display for ScalarType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for ScalarType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The type of a value: a scalar type, or an array of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CimType {
    /// The type of the value, or of each element of an array.
    pub scalar: ScalarType,
    /// True if it is an array.
    pub array: bool,
}

impl CimType {
    /// A single value of this type.
    pub const fn one(scalar: ScalarType) -> Self {
        Self {
            scalar,
            array: false,
        }
    }

    /// An array with elements of this type.
    pub const fn array(scalar: ScalarType) -> Self {
        Self {
            scalar,
            array: true,
        }
    }

    /// Size in bytes of a value in a table of values.
    pub(crate) const fn slot_size(self) -> usize {
        if self.array {
            4
        } else {
            self.scalar.slot_size()
        }
    }

    /// True if a table of values holds an offset into a heap instead of the value.
    pub(crate) const fn is_on_heap(self) -> bool {
        self.array || self.scalar.is_on_heap()
    }
}

impl From<ScalarType> for CimType {
    fn from(scalar: ScalarType) -> Self {
        Self::one(scalar)
    }
}

impl fmt::Display for CimType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scalar, if self.array { "[]" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_types_are_one_to_one() {
        let numbered =
            (0..=u16::MAX).filter_map(|number| Some((number, ScalarType::from_number(number)?)));
        let numbered: Vec<_> = numbered.collect();
        assert_eq!(
            numbered,
            ScalarType::ALL.map(|scalar| (scalar.number(), scalar))
        );
    }
}

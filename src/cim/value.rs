//! Values of CIM types.
//!
//! Datetimes and references are kept as the stored text, because any text may occur there and keys
//! are made from it. [`DateTime`](super::DateTime) and [`ObjectPath`](super::ObjectPath) parse it.

use super::class::Class;
use super::instance::Instance;
use super::types::{CimType, ScalarType};

/// An embedded object.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A class.
    Class(Box<Class>),
    /// An instance, with the class that is stored with it.
    Instance(Box<Instance>),
    /// An object that could not be decoded; its bytes are kept.
    Opaque(Box<[u8]>),
}

/// Equality of stored bytes: a NaN equals itself, and zero differs from minus zero.
trait Same {
    fn same(&self, other: &Self) -> bool;
}

macro_rules! same_by_equality {
    ($($kind:ty),*) => {
        $(impl Same for $kind {
            fn same(&self, other: &Self) -> bool {
                self == other
            }
        })*
    };
}

same_by_equality!(
    bool,
    u8,
    i8,
    u16,
    i16,
    u32,
    i32,
    u64,
    i64,
    String,
    Box<Object>,
    Option<String>,
    Option<Object>
);

impl Same for f32 {
    fn same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl Same for f64 {
    fn same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl<T: Same> Same for Vec<T> {
    fn same(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other).all(|(a, b)| a.same(b))
    }
}

/// An element of an array, which has its own form there.
trait Element {
    /// The form that a single value has.
    type Value;

    /// The element as a single value; `None` for NULL.
    fn single(&self) -> Option<Self::Value>;
}

macro_rules! elements_as_they_are {
    ($($kind:ty),*) => {
        $(impl Element for $kind {
            type Value = Self;

            fn single(&self) -> Option<Self> {
                Some(*self)
            }
        })*
    };
}

elements_as_they_are!(bool, u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

impl Element for Option<String> {
    type Value = String;

    fn single(&self) -> Option<String> {
        self.clone()
    }
}

impl Element for Option<Object> {
    type Value = Box<Object>;

    fn single(&self) -> Option<Box<Object>> {
        self.clone().map(Box::new)
    }
}

macro_rules! values {
    ($($kind:ident $one:ty, $many:ty, $words:literal;)*) => {
        /// A value that is not NULL.
        ///
        /// ```
        /// use cimrepo::Value;
        ///
        /// let value = Value::from(vec![3u8, 5]);
        /// assert_eq!(value.to_string(), "{3, 5}");
        /// assert_eq!(Value::from(7u64).as_u32(), Some(7));
        /// assert!(i8::try_from(Value::from(200u8)).is_err());
        /// ```
        #[derive(Debug, Clone)]
        pub enum Value {
            $(#[doc = $words] $kind($one),)*
            /// An array.
            Array(Array),
        }

        /// An array whose elements all have one type. Elements that lie in a heap may be NULL.
        #[derive(Debug, Clone)]
        pub enum Array {
            $(#[doc = concat!($words, " Several of them.")] $kind(Vec<$many>),)*
        }

        impl Value {
            /// The type.
            pub const fn cim_type(&self) -> CimType {
                match self {
                    $(Value::$kind(_) => CimType::one(ScalarType::$kind),)*
                    Value::Array(array) => CimType::array(array.scalar_type()),
                }
            }
        }

        impl Array {
            /// The type of the elements.
            pub const fn scalar_type(&self) -> ScalarType {
                match self {
                    $(Array::$kind(_) => ScalarType::$kind,)*
                }
            }

            /// The number of elements.
            pub const fn len(&self) -> usize {
                match self {
                    $(Array::$kind(elements) => elements.len(),)*
                }
            }

            /// The element at a place, counted from 0: `None` where the array ends,
            /// `Some(None)` for NULL.
            pub fn get(&self, index: usize) -> Option<Option<Value>> {
                match self {
                    $(Array::$kind(elements) => {
                        let element = elements.get(index)?;
                        Some(element.single().map(Value::$kind))
                    })*
                }
            }

            /// True if there are no elements.
            pub const fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }

        impl PartialEq for Value {
            /// Equal if stored alike: a NaN equals itself.
            fn eq(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Value::$kind(a), Value::$kind(b)) => a.same(b),)*
                    (Value::Array(a), Value::Array(b)) => a == b,
                    _ => false,
                }
            }
        }

        impl PartialEq for Array {
            /// Equal if stored alike: a NaN equals itself.
            fn eq(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Array::$kind(a), Array::$kind(b)) => a.same(b),)*
                    _ => false,
                }
            }
        }
    };
}

values! {
    Sint16 i16, i16, "Signed, 16 bits.";
    Sint32 i32, i32, "Signed, 32 bits.";
    Real32 f32, f32, "IEEE 754, 32 bits.";
    Real64 f64, f64, "IEEE 754, 64 bits.";
    String String, Option<String>, "Text.";
    Boolean bool, bool, "TRUE or FALSE.";
    Object Box<Object>, Option<Object>, "An embedded object.";
    Sint8 i8, i8, "Signed, 8 bits.";
    Uint8 u8, u8, "Unsigned, 8 bits.";
    Uint16 u16, u16, "Unsigned, 16 bits.";
    Uint32 u32, u32, "Unsigned, 32 bits.";
    Sint64 i64, i64, "Signed, 64 bits.";
    Uint64 u64, u64, "Unsigned, 64 bits.";
    DateTime String, Option<String>, "A point in time or an interval, as its text.";
    Reference String, Option<String>, "An object path, as its text.";
    Char16 u16, u16, "A UTF-16 code unit.";
}

impl Array {
    /// The elements, each as a single value; `None` for NULL.
    pub fn iter(&self) -> impl Iterator<Item = Option<Value>> + '_ {
        (0..self.len()).map_while(|index| self.get(index))
    }
}

impl Value {
    /// The text of a string, datetime or reference.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::String(text) | Value::DateTime(text) | Value::Reference(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a boolean.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of an integer of any size. A `char16` is not an integer.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Value::Sint8(value) => value.into(),
            Value::Sint16(value) => value.into(),
            Value::Sint32(value) => value.into(),
            Value::Sint64(value) => value.into(),
            Value::Uint8(value) => value.into(),
            Value::Uint16(value) => value.into(),
            Value::Uint32(value) => value.into(),
            Value::Uint64(value) => value.into(),
            _ => return None,
        })
    }

    /// The text of the value in the key of an instance. Texts stay as they are, integers are
    /// decimal, booleans are `TRUE` or `FALSE`, and a `char16` is its number. Other types cannot be
    /// keys.
    pub fn key_text(&self) -> Option<String> {
        match self {
            Value::Boolean(value) => Some(if *value { "TRUE" } else { "FALSE" }.to_owned()),
            Value::Char16(value) => Some(value.to_string()),
            _ => self
                .as_text()
                .map(str::to_owned)
                .or_else(|| Some(self.as_integer()?.to_string())),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

macro_rules! from_one {
    ($($rust:ty => $kind:ident),*) => {
        $(impl From<$rust> for Value {
            fn from(value: $rust) -> Self {
                Value::$kind(value)
            }
        }

        impl From<Vec<$rust>> for Value {
            fn from(values: Vec<$rust>) -> Self {
                Value::Array(Array::$kind(values))
            }
        })*
    };
}

from_one!(bool => Boolean, u8 => Uint8, i8 => Sint8, u16 => Uint16, i16 => Sint16, u32 => Uint32, i32 => Sint32,
    u64 => Uint64, i64 => Sint64, f32 => Real32, f64 => Real64);

//! Values as those of Rust, and those of Rust as values.

use thiserror::Error;

use super::datetime::DateTime;
use super::instance::Instance;
use super::path::ObjectPath;
use super::types::{CimType, ScalarType};
use super::value::{Array, Object, Value};

/// Why a value is not of the wanted type of Rust.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValueError {
    /// It is of a type that never is.
    #[error("the value is {given}, not {wanted}")]
    WrongType {
        /// The wanted type of Rust.
        wanted: &'static str,
        /// The type of the value.
        given: CimType,
    },
    /// It is an integer that the wanted type cannot hold.
    #[error("{value} is no {wanted}")]
    OutOfRange {
        /// The wanted type of Rust.
        wanted: &'static str,
        /// The value.
        value: i128,
    },
}

impl ValueError {
    fn wrong_type(wanted: &'static str, value: &Value) -> Self {
        let given = value.cim_type();
        Self::WrongType { wanted, given }
    }
}

/// Forwards `TryFrom<Value>` to `TryFrom<&Value>`.
macro_rules! from_owned {
    ($($rust:ty),*) => {
        $(impl TryFrom<Value> for $rust {
            type Error = ValueError;

            fn try_from(value: Value) -> Result<Self, ValueError> {
                Self::try_from(&value)
            }
        })*
    };
}

macro_rules! integers {
    ($($rust:ident $as_rust:ident $kind:ident;)*) => {
        impl Value {
            $(#[doc = concat!("An integer of any size that a `", stringify!($rust), "` can hold.")]
            pub fn $as_rust(&self) -> Option<$rust> {
                self.try_into().ok()
            })*

            /// The integer as a value of this type; `None` if it cannot hold it.
            fn of_integer(integer: i128, scalar: ScalarType) -> Option<Self> {
                match scalar {
                    $(ScalarType::$kind => integer.try_into().ok().map(Value::$kind),)*
                    _ => None,
                }
            }
        }

        impl Array {
            /// The elements as those of this type, if they are integers and it can hold them all.
            fn of_integers(&self, scalar: ScalarType) -> Option<Self> {
                let integers = self.iter().map(|element| element?.as_integer());
                match scalar {
                    $(ScalarType::$kind => {
                        let elements = integers.map(|integer| integer?.try_into().ok());
                        elements.collect::<Option<_>>().map(Array::$kind)
                    })*
                    _ => None,
                }
            }
        }

        $(impl TryFrom<&Value> for $rust {
            type Error = ValueError;

            fn try_from(value: &Value) -> Result<Self, ValueError> {
                let wanted = stringify!($rust);
                let integer = value.as_integer();
                let integer = integer.ok_or_else(|| ValueError::wrong_type(wanted, value))?;
                let out_of_range = |_| ValueError::OutOfRange {
                    wanted,
                    value: integer,
                };
                integer.try_into().map_err(out_of_range)
            }
        }

        from_owned!($rust);)*
    };
}

integers! {
    u8 as_u8 Uint8;
    i8 as_i8 Sint8;
    u16 as_u16 Uint16;
    i16 as_i16 Sint16;
    u32 as_u32 Uint32;
    i32 as_i32 Sint32;
    u64 as_u64 Uint64;
    i64 as_i64 Sint64;
}

impl Value {
    /// A floating-point number of either size.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::Real32(value) => Some(value.into()),
            Value::Real64(value) => Some(value),
            _ => None,
        }
    }

    /// An array.
    pub const fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// An embedded object.
    pub const fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// A datetime whose text is one.
    pub fn as_datetime(&self) -> Option<DateTime> {
        match self {
            Value::DateTime(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A reference whose text is an object path.
    pub fn as_path(&self) -> Option<ObjectPath> {
        match self {
            Value::Reference(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The value as one of the wanted type, if integers of another size are all that keeps it from
    /// being one; else the value as it is.
    pub(crate) fn fitted(self, wanted: CimType) -> Self {
        let fitted = match &self {
            _ if self.cim_type() == wanted => None,
            Value::Array(array) if wanted.array => {
                array.of_integers(wanted.scalar).map(Value::Array)
            }
            one if !wanted.array => one
                .as_integer()
                .and_then(|integer| Self::of_integer(integer, wanted.scalar)),
            _ => None,
        };
        fitted.unwrap_or(self)
    }
}

impl TryFrom<&Value> for bool {
    type Error = ValueError;

    fn try_from(value: &Value) -> Result<Self, ValueError> {
        let boolean = value.as_bool();
        boolean.ok_or_else(|| ValueError::wrong_type("bool", value))
    }
}

impl TryFrom<&Value> for f64 {
    type Error = ValueError;

    fn try_from(value: &Value) -> Result<Self, ValueError> {
        let real = value.as_f64();
        real.ok_or_else(|| ValueError::wrong_type("f64", value))
    }
}

impl<'v> TryFrom<&'v Value> for &'v str {
    type Error = ValueError;

    /// The text of a string, datetime or reference.
    fn try_from(value: &'v Value) -> Result<Self, ValueError> {
        let text = value.as_text();
        text.ok_or_else(|| ValueError::wrong_type("str", value))
    }
}

impl TryFrom<&Value> for String {
    type Error = ValueError;

    /// The text of a string, datetime or reference.
    fn try_from(value: &Value) -> Result<Self, ValueError> {
        <&str>::try_from(value).map(str::to_owned)
    }
}

from_owned!(bool, f64, String);

impl From<DateTime> for Value {
    fn from(datetime: DateTime) -> Self {
        Value::DateTime(datetime.to_string())
    }
}

impl From<ObjectPath> for Value {
    fn from(path: ObjectPath) -> Self {
        Value::Reference(path.to_string())
    }
}

impl From<Instance> for Value {
    fn from(instance: Instance) -> Self {
        Value::Object(Box::new(Object::Instance(Box::new(instance))))
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Value::Array(Array::String(texts.into_iter().map(Some).collect()))
    }
}

impl From<Vec<&str>> for Value {
    fn from(texts: Vec<&str>) -> Self {
        texts
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_size_are_taken_where_they_fit() {
        let value = Value::Sint64(200);
        assert_eq!((value.as_u8(), value.as_i8()), (Some(200), None));
        assert_eq!(u32::try_from(&value), Ok(200));
        let wanted = "i8";
        let out_of_range = ValueError::OutOfRange { wanted, value: 200 };
        assert_eq!(i8::try_from(value), Err(out_of_range));

        let text = Value::from("200");
        let given = CimType::one(ScalarType::String);
        let wrong_type = ValueError::WrongType { wanted, given };
        assert_eq!(i8::try_from(&text), Err(wrong_type));
        // A code unit of UTF-16 is no number.
        assert_eq!(Value::Char16(65).as_u16(), None);
    }

    #[test]
    fn the_other_types_are_taken_as_they_are() {
        assert_eq!(f64::try_from(Value::Real32(0.5)), Ok(0.5));
        assert!(f64::try_from(Value::Sint32(1)).is_err());
        assert_eq!(bool::try_from(Value::Boolean(true)), Ok(true));
        assert_eq!(String::try_from(Value::from("x")), Ok("x".to_owned()));
        let many = Value::from(vec!["x", "y"]);
        assert_eq!(many.as_array().map(Array::len), Some(2));
        assert!(<&str>::try_from(&many).is_err());
    }

    #[test]
    fn moments_and_paths_come_back_as_they_went_in() {
        let moment: DateTime = "20240229235959.000000+060".parse().unwrap();
        assert_eq!(Value::from(moment).as_datetime(), Some(moment));
        let path: ObjectPath = "Shelf.Name=\"left\"".parse().unwrap();
        assert_eq!(Value::from(path.clone()).as_path(), Some(path));
        assert_eq!(Value::DateTime("tomorrow".into()).as_datetime(), None);
        assert_eq!(Value::from("C").as_path(), None);
    }

    #[test]
    fn a_value_is_fitted_by_its_integers_alone() {
        let fitted = |value: Value, scalar, array| value.fitted(CimType { scalar, array });
        let uint8 = ScalarType::Uint8;
        assert_eq!(fitted(7.into(), uint8, false), Value::Uint8(7));
        assert_eq!(
            fitted(vec![1, 255].into(), uint8, true),
            vec![1u8, 255].into()
        );
        // What does not fit stays what it is, to be refused.
        for (value, array) in [
            (Value::from(300), false),
            (vec![1, 300].into(), true),
            (7.into(), true),
            (vec![7].into(), false),
            ("7".into(), false),
            (vec!["7"].into(), true),
            (true.into(), false),
            (Value::Char16(7), false),
        ] {
            assert_eq!(fitted(value.clone(), uint8, array), value);
        }
    }
}

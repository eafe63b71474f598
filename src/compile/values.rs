//! Values of a text in the type that they are stored in. Windows' compiler is generous; so is this.
//! Source: `docs::mof`, "Conversions".

use super::code as store;
use super::compiler::Compiler;
use super::places::{Fold, refuse};
use crate::cim::class::Setting;
use crate::cim::datetime::DateTime;
use crate::cim::path::ObjectPath;
use crate::cim::types::{CimType, ScalarType};
use crate::cim::value::{Array, Object, Value};
use crate::text::diagnostic::Place;
use crate::text::mof::tree::{self, Initializer, ValueKind};
use crate::text::mof::{code, integer_text, real_text};

/// The character of a UTF-16 unit; U+FFFD for half a surrogate pair.
pub(super) fn character(unit: u16) -> char {
    char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER)
}

macro_rules! gather {
    ($scalar:expr, $values:expr, $($kind:ident => $wrap:expr),*) => {
        match $scalar {
            $(ScalarType::$kind => {
                let mut all = Vec::with_capacity($values.len());
                for value in $values {
                    match value {
                        Value::$kind(one) => all.push($wrap(one)),
                        other => return Err(other),
                    }
                }
                Array::$kind(all)
            })*
        }
    };
}

/// An array of these values; of `empty` where there are none.
///
/// # Errors
/// The first value that is of another type than the first one.
pub(super) fn array(empty: ScalarType, values: Vec<Value>) -> Result<Value, Value> {
    let scalar = values
        .first()
        .map_or(empty, |first| first.cim_type().scalar);
    fn same<T>(one: T) -> T {
        one
    }
    #[expect(clippy::boxed_local, reason = "a value holds its object in a box")]
    fn object(one: Box<Object>) -> Option<Object> {
        Some(*one)
    }
    let array = gather!(scalar, values,
        Sint8 => same, Sint16 => same, Sint32 => same, Sint64 => same,
        Uint8 => same, Uint16 => same, Uint32 => same, Uint64 => same,
        Real32 => same, Real64 => same, Boolean => same, Char16 => same,
        String => Some, DateTime => Some, Reference => Some, Object => object);
    Ok(Value::Array(array))
}

/// An integer in this type; `None` where it does not fit.
fn integer(scalar: ScalarType, number: i128) -> Option<Value> {
    Some(match scalar {
        ScalarType::Sint8 => Value::Sint8(number.try_into().ok()?),
        ScalarType::Sint16 => Value::Sint16(number.try_into().ok()?),
        ScalarType::Sint32 => Value::Sint32(number.try_into().ok()?),
        ScalarType::Sint64 => Value::Sint64(number.try_into().ok()?),
        ScalarType::Uint8 => Value::Uint8(number.try_into().ok()?),
        ScalarType::Uint16 => Value::Uint16(number.try_into().ok()?),
        ScalarType::Uint32 => Value::Uint32(number.try_into().ok()?),
        ScalarType::Uint64 => Value::Uint64(number.try_into().ok()?),
        ScalarType::Char16 => Value::Char16(number.try_into().ok()?),
        _ => return None,
    })
}

/// A real number rounded to an integer, half to even; `None` beyond 127 bits.
fn rounded(real: f64) -> Option<i128> {
    // The decimal digits of a whole number are exact.
    format!("{:.0}", real.round_ties_even()).parse().ok()
}

/// A real number in this type; `None` where it becomes infinite.
fn real(scalar: ScalarType, real: f64) -> Option<Value> {
    if scalar == ScalarType::Real64 {
        return real.is_finite().then_some(Value::Real64(real));
    }
    // Parsing rounds to the nearest; a cast may not be used for what may not fit.
    let narrow: f32 = format!("{real:?}").parse().ok()?;
    narrow.is_finite().then_some(Value::Real32(narrow))
}

/// The outcome of a conversion.
enum Converted {
    Value(Value),
    /// The value cannot be of this type.
    Mismatch,
    /// The number does not fit.
    TooLarge,
}

impl From<Option<Value>> for Converted {
    fn from(value: Option<Value>) -> Self {
        value.map_or(Converted::TooLarge, Converted::Value)
    }
}

const fn is_integer(scalar: ScalarType) -> bool {
    matches!(
        scalar,
        ScalarType::Sint8
            | ScalarType::Sint16
            | ScalarType::Sint32
            | ScalarType::Sint64
            | ScalarType::Uint8
            | ScalarType::Uint16
            | ScalarType::Uint32
            | ScalarType::Uint64
    )
}

const fn is_real(scalar: ScalarType) -> bool {
    matches!(scalar, ScalarType::Real32 | ScalarType::Real64)
}

/// The nearest real number of an integer.
fn to_real(number: i128) -> f64 {
    number.to_string().parse().unwrap_or(f64::INFINITY)
}

/// A value of text in this type, as far as no repository and no message is needed.
fn simple(kind: &ValueKind<'_>, scalar: ScalarType) -> Converted {
    match (kind, scalar) {
        (ValueKind::Integer(number), ScalarType::Boolean) => Value::Boolean(*number != 0).into(),
        (ValueKind::Integer(number), ScalarType::String) => {
            Value::String(number.to_string()).into()
        }
        (ValueKind::Integer(number), _) if is_real(scalar) => real(scalar, to_real(*number)).into(),
        (ValueKind::Integer(number), ScalarType::Char16) => integer(scalar, *number).into(),
        (ValueKind::Integer(number), _) if is_integer(scalar) => integer(scalar, *number).into(),
        (ValueKind::Real(number), _) if is_integer(scalar) => rounded(*number)
            .and_then(|number| integer(scalar, number))
            .into(),
        (ValueKind::Real(number), _) if is_real(scalar) => real(scalar, *number).into(),
        (ValueKind::Real(number), ScalarType::String) => Value::String(number.to_string()).into(),
        (ValueKind::Boolean(value), ScalarType::Boolean) => Value::Boolean(*value).into(),
        (ValueKind::Boolean(value), ScalarType::String) => {
            Value::String(if *value { "TRUE" } else { "FALSE" }.to_owned()).into()
        }
        (ValueKind::Boolean(value), _) if is_integer(scalar) => {
            integer(scalar, (*value).into()).into()
        }
        (ValueKind::Char(unit), ScalarType::Char16) => Value::Char16(*unit).into(),
        (ValueKind::Char(unit), ScalarType::String) => match char::from_u32((*unit).into()) {
            Some(c) if c != '\0' => Value::String(c.to_string()).into(),
            _ => Converted::Mismatch,
        },
        (ValueKind::Char(unit), _) if is_integer(scalar) => integer(scalar, (*unit).into()).into(),
        (ValueKind::Text(text), _) => of_text(text, scalar),
        _ => Converted::Mismatch,
    }
}

fn of_text(text: &str, scalar: ScalarType) -> Converted {
    let number = || integer_text(text);
    match scalar {
        ScalarType::String => Value::String(text.to_owned()).into(),
        ScalarType::DateTime => Value::DateTime(text.to_owned()).into(),
        ScalarType::Reference => Value::Reference(text.to_owned()).into(),
        ScalarType::Boolean if text.eq_ignore_ascii_case("TRUE") => Value::Boolean(true).into(),
        ScalarType::Boolean if text.eq_ignore_ascii_case("FALSE") => Value::Boolean(false).into(),
        ScalarType::Boolean => number().map_or(Converted::Mismatch, |number| {
            Value::Boolean(number != 0).into()
        }),
        ScalarType::Char16 => {
            let mut units = text.encode_utf16();
            match (units.next(), units.next()) {
                (Some(unit), None) => Value::Char16(unit).into(),
                _ => Converted::Mismatch,
            }
        }
        _ if is_integer(scalar) => {
            number().map_or(Converted::Mismatch, |number| integer(scalar, number).into())
        }
        _ if is_real(scalar) => {
            real_text(text).map_or(Converted::Mismatch, |number| real(scalar, number).into())
        }
        _ => Converted::Mismatch,
    }
}

impl From<Value> for Converted {
    fn from(value: Value) -> Self {
        Converted::Value(value)
    }
}

/// The letter-free form of a point in time or an interval, with stars in whole fields.
fn is_datetime(text: &str) -> bool {
    text.parse::<DateTime>().is_ok()
}

impl<'t> Compiler<'_, 't> {
    /// What an initializer sets an element of this type to; `class` is the declared class of
    /// embedded objects.
    pub(super) fn setting(
        &mut self,
        initializer: &Initializer<'t>,
        cim_type: CimType,
        class: Option<&str>,
    ) -> Fold<Setting> {
        let is_null = |value: &tree::Value<'_>| value.kind == ValueKind::Null;
        match initializer {
            Initializer::One(value) if is_null(value) => Ok(Setting::Null),
            Initializer::One(value) => {
                let one = self.scalar(value, cim_type.scalar, class)?;
                match cim_type.array {
                    false => Ok(Setting::Value(one)),
                    true => self.gathered(cim_type.scalar, vec![one], initializer),
                }
            }
            Initializer::List(values, at) if !cim_type.array => match &values[..] {
                [only] if !is_null(only) => self
                    .scalar(only, cim_type.scalar, class)
                    .map(Setting::Value),
                _ => {
                    let text = "a list cannot be the value of an element that is no array";
                    refuse(code::UNEXPECTED_ARRAY_INIT, self.place(*at), text)
                }
            },
            Initializer::List(values, _) => {
                let mut all = Vec::with_capacity(values.len());
                for value in values {
                    if is_null(value) {
                        let text = "an element of an array cannot be NULL";
                        return refuse(code::NULL_ARRAY_ELEM, self.place(value.at), text);
                    }
                    all.push(self.scalar(value, cim_type.scalar, class)?);
                }
                self.gathered(cim_type.scalar, all, initializer)
            }
        }
    }

    fn gathered(
        &self,
        scalar: ScalarType,
        values: Vec<Value>,
        from: &Initializer<'_>,
    ) -> Fold<Setting> {
        match array(scalar, values) {
            Ok(array) => Ok(Setting::Value(array)),
            Err(_) => refuse(
                code::TYPE_MISMATCH,
                self.place(from.at()),
                "the elements are of several types",
            ),
        }
    }

    fn scalar(
        &mut self,
        value: &tree::Value<'t>,
        scalar: ScalarType,
        class: Option<&str>,
    ) -> Fold<Value> {
        let place = self.place(value.at);
        match &value.kind {
            ValueKind::Alias(alias) if scalar == ScalarType::Reference => {
                return self.alias_path(alias, place).map(Value::Reference);
            }
            ValueKind::Alias(alias) => {
                let text =
                    format!("the alias ${alias} stands for a path, and this is no reference");
                return refuse(code::UNEXPECTED_ALIAS, place, text);
            }
            ValueKind::Instance(instance) if scalar == ScalarType::Object => {
                return self
                    .embedded(instance, class)
                    .map(|instance| Value::Object(Box::new(Object::Instance(Box::new(instance)))));
            }
            ValueKind::Boolean(_) if is_integer(scalar) => {
                self.warn(code::TYPE_MISMATCH, place, "a boolean stands for a number");
            }
            _ => {}
        }
        match simple(&value.kind, scalar) {
            Converted::Value(value) => self.checked(value, place),
            Converted::TooLarge => refuse(
                code::OUT_OF_RANGE,
                place,
                format!("the number does not fit into {scalar}"),
            ),
            Converted::Mismatch => {
                let text = format!("{} cannot be {scalar}", described(&value.kind));
                refuse(code::TYPE_MISMATCH, place, text)
            }
        }
    }

    /// Checks the form of datetimes and references, which are stored as their text.
    fn checked(&mut self, value: Value, place: Place) -> Fold<Value> {
        match &value {
            Value::DateTime(text) if !is_datetime(text) => {
                let text = format!("`{text}` is no datetime; it is stored as it is");
                self.doubt(code::TYPE_MISMATCH, place, text);
            }
            Value::Reference(text) => {
                if let Err(error) = text.parse::<ObjectPath>() {
                    // A repository holds what was never compiled.
                    let text = error.to_string();
                    if !self.options.exact {
                        return refuse(store::INVALID_OBJECT_PATH, place, text);
                    }
                    self.warn(store::INVALID_OBJECT_PATH, place, text);
                }
            }
            _ => {}
        }
        Ok(value)
    }
}

fn described(kind: &ValueKind<'_>) -> &'static str {
    match kind {
        ValueKind::Null => "NULL",
        ValueKind::Boolean(_) => "a boolean",
        ValueKind::Integer(_) => "an integer",
        ValueKind::Real(_) => "a real number",
        ValueKind::Text(_) => "this string",
        ValueKind::Char(_) => "a character",
        ValueKind::Alias(_) => "an alias",
        ValueKind::Instance(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(kind: ValueKind<'_>, scalar: ScalarType) -> Result<Value, &'static str> {
        match simple(&kind, scalar) {
            Converted::Value(value) => Ok(value),
            Converted::Mismatch => Err("mismatch"),
            Converted::TooLarge => Err("range"),
        }
    }

    #[test]
    fn every_cell_of_the_table_of_conversions() {
        use ScalarType::{
            Boolean, Char16, DateTime, Real32, Real64, Reference, Sint8, Sint64, Uint8, Uint16,
            Uint64,
        };
        let text = |text: &'static str| ValueKind::Text(text.into());
        let string = |text: &str| Ok(Value::String(text.into()));
        let rows: Vec<(ValueKind<'_>, ScalarType, Result<Value, &str>)> = vec![
            (ValueKind::Integer(255), Uint8, Ok(Value::Uint8(255))),
            (ValueKind::Integer(256), Uint8, Err("range")),
            (ValueKind::Integer(-1), Uint64, Err("range")),
            (ValueKind::Integer(-128), Sint8, Ok(Value::Sint8(-128))),
            (
                ValueKind::Integer(u64::MAX.into()),
                Uint64,
                Ok(Value::Uint64(u64::MAX)),
            ),
            (
                ValueKind::Integer(i64::MIN.into()),
                Sint64,
                Ok(Value::Sint64(i64::MIN)),
            ),
            (ValueKind::Integer(3), Real32, Ok(Value::Real32(3.0))),
            (ValueKind::Integer(0), Boolean, Ok(Value::Boolean(false))),
            (ValueKind::Integer(7), Boolean, Ok(Value::Boolean(true))),
            (ValueKind::Integer(65), Char16, Ok(Value::Char16(65))),
            (ValueKind::Integer(65_536), Char16, Err("range")),
            (ValueKind::Integer(23), ScalarType::String, string("23")),
            (ValueKind::Integer(1), DateTime, Err("mismatch")),
            (ValueKind::Real(1000.4), Uint16, Ok(Value::Uint16(1000))),
            (ValueKind::Real(2.5), Uint8, Ok(Value::Uint8(2))),
            (ValueKind::Real(3.5), Uint8, Ok(Value::Uint8(4))),
            (ValueKind::Real(-0.5), Uint8, Ok(Value::Uint8(0))),
            (ValueKind::Real(1e300), Sint64, Err("range")),
            (ValueKind::Real(1e300), Real32, Err("range")),
            (ValueKind::Real(0.1), Real32, Ok(Value::Real32(0.1))),
            (ValueKind::Real(1.5), Real64, Ok(Value::Real64(1.5))),
            (ValueKind::Real(1.5), Boolean, Err("mismatch")),
            (ValueKind::Real(1.5), ScalarType::String, string("1.5")),
            (text("0"), Uint16, Ok(Value::Uint16(0))),
            (text("0x10"), Uint16, Ok(Value::Uint16(16))),
            (text("010"), Uint16, Ok(Value::Uint16(8))),
            (text("-1"), Uint16, Err("range")),
            (text("08"), Uint16, Err("mismatch")),
            (text(""), Uint16, Err("mismatch")),
            (text(" 1"), Uint16, Err("mismatch")),
            (text("1.5"), Real64, Ok(Value::Real64(1.5))),
            (text("x"), Real64, Err("mismatch")),
            (text("true"), Boolean, Ok(Value::Boolean(true))),
            (text("False"), Boolean, Ok(Value::Boolean(false))),
            (text("2"), Boolean, Ok(Value::Boolean(true))),
            (text("yes"), Boolean, Err("mismatch")),
            (text("é"), Char16, Ok(Value::Char16(0xE9))),
            (text("ab"), Char16, Err("mismatch")),
            (text("x"), ScalarType::Object, Err("mismatch")),
            (text("C=1"), Reference, Ok(Value::Reference("C=1".into()))),
            (ValueKind::Boolean(true), Uint8, Ok(Value::Uint8(1))),
            (ValueKind::Boolean(true), Real32, Err("mismatch")),
            (
                ValueKind::Boolean(false),
                ScalarType::String,
                string("FALSE"),
            ),
            (ValueKind::Boolean(true), Char16, Err("mismatch")),
            (ValueKind::Char(66), Uint8, Ok(Value::Uint8(66))),
            (ValueKind::Char(66), Char16, Ok(Value::Char16(66))),
            (ValueKind::Char(66), ScalarType::String, string("B")),
            (ValueKind::Char(66), Real64, Err("mismatch")),
        ];
        for (kind, scalar, expected) in rows {
            assert_eq!(
                converted(kind.clone(), scalar),
                expected,
                "{kind:?} to {scalar}"
            );
        }
    }

    #[test]
    fn arrays_are_of_one_type() {
        let of = |values: Vec<Value>| array(ScalarType::Uint8, values);
        assert_eq!(
            of(vec![]).unwrap().cim_type(),
            CimType::array(ScalarType::Uint8)
        );
        assert_eq!(
            of(vec![1i32.into(), 2i32.into()]).unwrap(),
            Value::from(vec![1i32, 2])
        );
        assert_eq!(of(vec!["a".into(), true.into()]), Err(true.into()));
    }
}

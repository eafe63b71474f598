//! Comparisons of values with constants. Numbers compare exactly, texts without regard to case.
//! Source: `docs::query`, "Comparisons".

use std::cmp::Ordering;

use super::moment::{self, Moment};
use crate::cim::name;
use crate::cim::types::ScalarType;
use crate::cim::value::Value;
use crate::text::wql::{Constant, Number, Relation, number_in};

/// A constant in the type of the property that it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Integer(i128),
    Real(f64),
    Boolean(bool),
    Text(String),
    Moment(String, Option<Moment>),
    /// One UTF-16 unit, as text.
    Unit(String),
}

/// Why a constant cannot be compared with a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// The type does not have the operator.
    Operator,
    /// The constant cannot be converted.
    Constant,
    /// The text is no datetime.
    Datetime,
}

impl Operand {
    /// A constant other than NULL in a type.
    pub(super) fn new(
        scalar: ScalarType,
        relation: Relation,
        constant: &Constant,
    ) -> Result<Self, Mismatch> {
        match scalar {
            ScalarType::Object => Err(Mismatch::Operator),
            ScalarType::Boolean if relation.is_order() => Err(Mismatch::Operator),
            ScalarType::Boolean => boolean(constant)
                .map(Operand::Boolean)
                .ok_or(Mismatch::Constant),
            ScalarType::String => match constant {
                Constant::Text(text) => Ok(Operand::Text(text.clone())),
                Constant::Number(number) => Ok(Operand::Text(number.text().to_owned())),
                Constant::Boolean(_) | Constant::Null => Err(Mismatch::Constant),
            },
            ScalarType::Reference => match constant {
                Constant::Text(text) => Ok(Operand::Text(text.clone())),
                _ => Err(Mismatch::Constant),
            },
            ScalarType::DateTime => match constant {
                Constant::Text(text) if text.parse::<crate::cim::DateTime>().is_ok() => {
                    Ok(Operand::Moment(text.clone(), Moment::of(text)))
                }
                Constant::Text(_) => Err(Mismatch::Datetime),
                _ => Err(Mismatch::Constant),
            },
            ScalarType::Char16 => match constant {
                Constant::Number(Number::Integer { value, .. }) => Ok(Operand::Integer(*value)),
                Constant::Text(text) if text.encode_utf16().count() == 1 => {
                    Ok(Operand::Unit(text.clone()))
                }
                _ => Err(Mismatch::Constant),
            },
            _ => number(scalar, relation, constant),
        }
    }
}

fn boolean(constant: &Constant) -> Option<bool> {
    match constant {
        Constant::Boolean(value) => Some(*value),
        Constant::Number(Number::Integer { value: 0, .. }) => Some(false),
        Constant::Number(Number::Integer { value: 1 | -1, .. }) => Some(true),
        Constant::Text(text)
            if ["TRUE", "1", "-1"]
                .iter()
                .any(|own| own.eq_ignore_ascii_case(text)) =>
        {
            Some(true)
        }
        Constant::Text(text)
            if ["FALSE", "0"]
                .iter()
                .any(|own| own.eq_ignore_ascii_case(text)) =>
        {
            Some(false)
        }
        _ => None,
    }
}

fn number(
    scalar: ScalarType,
    relation: Relation,
    constant: &Constant,
) -> Result<Operand, Mismatch> {
    match constant {
        Constant::Boolean(_) if relation.is_order() => Err(Mismatch::Operator),
        Constant::Boolean(value) => Ok(Operand::Integer(i128::from(*value))),
        Constant::Number(number) => Ok(of_number(scalar, number)),
        Constant::Text(text) => number_in(text)
            .map(|number| of_number(scalar, &number))
            .ok_or(Mismatch::Constant),
        Constant::Null => Err(Mismatch::Constant),
    }
}

fn of_number(scalar: ScalarType, number: &Number) -> Operand {
    match number {
        Number::Integer { value, .. } => Operand::Integer(*value),
        // What is stored was rounded too: 0.1 is found.
        Number::Real { value, text } if scalar == ScalarType::Real32 => {
            Operand::Real(text.parse::<f32>().map_or(*value, f64::from))
        }
        Number::Real { value, .. } => Operand::Real(*value),
    }
}

/// True if a value stands in a relation to a constant. What cannot be compared does not.
pub(super) fn holds(value: &Value, relation: Relation, operand: &Operand) -> bool {
    match (value, operand) {
        (Value::String(text) | Value::Reference(text), Operand::Text(constant)) => match relation {
            Relation::Equal => name::same(text, constant),
            Relation::NotEqual => !name::same(text, constant),
            order => order.holds(Some(name::order(text, constant))),
        },
        (Value::DateTime(text), Operand::Moment(constant, moment)) => {
            match (moment::order(text, *moment), relation) {
                (Some(order), relation) => relation.holds(Some(order)),
                (None, Relation::Equal) => text == constant,
                (None, Relation::NotEqual) => text != constant,
                (None, _) => false,
            }
        }
        (Value::Boolean(value), Operand::Boolean(constant)) => {
            relation.holds(Some(value.cmp(constant)))
        }
        (Value::Char16(unit), Operand::Integer(constant)) => {
            relation.holds(Some(i128::from(*unit).cmp(constant)))
        }
        (Value::Char16(unit), Operand::Unit(constant)) => {
            relation.holds(Some(name::order(&unit_text(*unit), constant)))
        }
        (Value::Real32(value), operand) => of_real(f64::from(*value), relation, operand),
        (Value::Real64(value), operand) => of_real(*value, relation, operand),
        (value, Operand::Integer(constant)) => value
            .as_integer()
            .is_some_and(|value| relation.holds(Some(value.cmp(constant)))),
        (value, Operand::Real(constant)) => value
            .as_integer()
            .is_some_and(|value| relation.holds(exact_order(value, *constant))),
        _ => false,
    }
}

fn of_real(value: f64, relation: Relation, operand: &Operand) -> bool {
    match operand {
        Operand::Real(constant) => relation.holds(value.partial_cmp(constant)),
        Operand::Integer(constant) => {
            relation.holds(exact_order(*constant, value).map(Ordering::reverse))
        }
        _ => false,
    }
}

/// A UTF-16 unit as text; half of a character is the sign for what cannot be shown.
pub(super) fn unit_text(unit: u16) -> String {
    String::from_utf16_lossy(&[unit])
}

/// The order of an integer of at most 64 bits and a sign to a real, nothing rounded; `None` where
/// the real is no number.
fn exact_order(integer: i128, real: f64) -> Option<Ordering> {
    if real.is_nan() {
        return None;
    }
    let Some((whole, has_fraction)) = whole_part(real) else {
        return Some(if real > 0.0 {
            Ordering::Less
        } else {
            Ordering::Greater
        });
    };
    let behind = match (has_fraction, real > 0.0) {
        (false, _) => Ordering::Equal,
        (true, true) => Ordering::Less,
        (true, false) => Ordering::Greater,
    };
    Some(integer.cmp(&whole).then(behind))
}

/// The whole part of a real, rounded towards zero, and whether something is left; `None` beyond 100
/// bits.
pub(super) fn whole_part(real: f64) -> Option<(i128, bool)> {
    const FRACTION_BITS: u32 = 52;
    const BIAS: u32 = 1023;
    let bits = real.to_bits();
    let exponent = u32::try_from((bits >> FRACTION_BITS) & 0x7FF).ok()?;
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    // Numbers too small for a leading one are fractions anyway.
    let significand = i128::from(fraction | 1 << FRACTION_BITS);
    let (whole, has_fraction) = match exponent.checked_sub(BIAS) {
        None => (0, real != 0.0),
        Some(above @ 0..=FRACTION_BITS) => {
            let below = FRACTION_BITS - above;
            (significand >> below, significand & ((1 << below) - 1) != 0)
        }
        Some(above @ ..=100) => (significand << (above - FRACTION_BITS), false),
        Some(_) => return None,
    };
    Some((
        if real.is_sign_negative() {
            -whole
        } else {
            whole
        },
        has_fraction,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_reals_compare_exactly() {
        let max = i128::from(u64::MAX);
        for (integer, real, order) in [
            (0, 0.0, Ordering::Equal),
            (0, -0.0, Ordering::Equal),
            (10, 10.5, Ordering::Less),
            (11, 10.5, Ordering::Greater),
            (-10, -10.5, Ordering::Greater),
            (-11, -10.5, Ordering::Less),
            (0, 5e-324, Ordering::Less),
            (0, -5e-324, Ordering::Greater),
            (max, 18_446_744_073_709_551_616.0, Ordering::Less),
            (1 << 53, 9_007_199_254_740_992.0, Ordering::Equal),
            ((1 << 53) + 1, 9_007_199_254_740_992.0, Ordering::Greater),
            (max, 1e300, Ordering::Less),
            (max, f64::INFINITY, Ordering::Less),
            (-max, f64::NEG_INFINITY, Ordering::Greater),
            (1, 1.0, Ordering::Equal),
            (3, 3.999_999_999, Ordering::Less),
        ] {
            assert_eq!(exact_order(integer, real), Some(order), "{integer} {real}");
        }
        assert_eq!(exact_order(0, f64::NAN), None);
    }

    #[test]
    fn a_nan_differs_from_everything() {
        let nan = Value::Real64(f64::NAN);
        for operand in [Operand::Real(1.0), Operand::Integer(1)] {
            assert!(holds(&nan, Relation::NotEqual, &operand));
            for relation in [
                Relation::Equal,
                Relation::Less,
                Relation::Greater,
                Relation::AtMost,
                Relation::AtLeast,
            ] {
                assert!(!holds(&nan, relation, &operand), "{relation}");
            }
        }
    }
}

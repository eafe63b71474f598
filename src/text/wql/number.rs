//! Numbers: integers of 64 bits with or without sign, and reals. A number keeps its spelling, which
//! is what a text is compared with.

use super::lexer::is_white;
use crate::base::query_error::QueryCode;
use crate::text::cursor::Cursor;

/// A number as it is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// An integer, from -2^63 to 2^64-1.
    Integer {
        /// Its value.
        value: i128,
        /// Its spelling.
        text: Box<str>,
    },
    /// A finite real.
    Real {
        /// Its value.
        value: f64,
        /// Its spelling.
        text: Box<str>,
    },
}

impl Number {
    /// The spelling.
    pub fn text(&self) -> &str {
        match self {
            Number::Integer { text, .. } | Number::Real { text, .. } => text,
        }
    }
}

/// The only number in a text, white space around it left out.
pub fn number_in(text: &str) -> Option<Number> {
    let text = text.trim_matches(is_white);
    let mut cursor = Cursor::new(text);
    let number = if begins(&cursor) {
        take(&mut cursor).ok()?
    } else {
        return None;
    };
    cursor.is_at_end().then_some(number)
}

/// True if a number begins here, its sign included.
pub(super) fn begins(cursor: &Cursor<'_>) -> bool {
    let signed = usize::from(matches!(cursor.peek_byte(), Some(b'+' | b'-')));
    let is_digit = |ahead| {
        cursor
            .peek_byte_at(ahead)
            .is_some_and(|byte| byte.is_ascii_digit())
    };
    is_digit(signed) || cursor.peek_byte_at(signed) == Some(b'.') && is_digit(signed + 1)
}

/// Passes the number that [begins](begins) here.
///
/// # Errors
/// `bad-number` when a letter follows directly, `number-range`.
pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Number, QueryCode> {
    let start = cursor.offset();
    let is_negative = cursor.eat('-');
    if !is_negative {
        cursor.eat('+');
    }
    let number = match cursor.peek_byte_at(1) {
        Some(b'x' | b'X') if cursor.peek_byte() == Some(b'0') => hexadecimal(cursor, is_negative),
        _ => decimal(cursor, is_negative, start),
    };
    if cursor.peek().is_some_and(super::lexer::begins_name) {
        return Err(QueryCode::BadNumber);
    }
    let text = cursor.text_from(start);
    match number? {
        Parsed::Integer(value) => Ok(Number::Integer {
            value,
            text: text.into(),
        }),
        Parsed::Real(value) => Ok(Number::Real {
            value,
            text: text.into(),
        }),
    }
}

enum Parsed {
    Integer(i128),
    Real(f64),
}

fn hexadecimal(cursor: &mut Cursor<'_>, is_negative: bool) -> Result<Parsed, QueryCode> {
    let mut ahead = *cursor;
    ahead.skip(2);
    let digits = ahead.take_ascii_while(|byte| byte.is_ascii_hexdigit());
    if digits.is_empty() {
        return Err(QueryCode::BadNumber);
    }
    *cursor = ahead;
    integer(digits, 16, is_negative)
}

fn decimal(cursor: &mut Cursor<'_>, is_negative: bool, start: u32) -> Result<Parsed, QueryCode> {
    let digits = cursor.take_ascii_while(|byte| byte.is_ascii_digit());
    // A point without a digit after it is the operator between names.
    let has_fraction = cursor.peek_byte() == Some(b'.')
        && cursor
            .peek_byte_at(1)
            .is_some_and(|byte| byte.is_ascii_digit());
    if has_fraction {
        cursor.skip(1);
        cursor.take_ascii_while(|byte| byte.is_ascii_digit());
    }
    let has_exponent = take_exponent(cursor);
    if !has_fraction && !has_exponent {
        return integer(digits, 10, is_negative);
    }
    let value: f64 = cursor
        .text_from(start)
        .parse()
        .map_err(|_| QueryCode::BadNumber)?;
    if value.is_finite() {
        Ok(Parsed::Real(value))
    } else {
        Err(QueryCode::NumberRange)
    }
}

/// Passes an exponent, if there is one.
fn take_exponent(cursor: &mut Cursor<'_>) -> bool {
    let mut ahead = *cursor;
    if !ahead.eat('e') && !ahead.eat('E') {
        return false;
    }
    if !ahead.eat('+') {
        ahead.eat('-');
    }
    let is_there = !ahead
        .take_ascii_while(|byte| byte.is_ascii_digit())
        .is_empty();
    if is_there {
        *cursor = ahead;
    }
    is_there
}

fn integer(digits: &str, radix: u32, is_negative: bool) -> Result<Parsed, QueryCode> {
    let size = u64::from_str_radix(digits, radix).map_err(|_| QueryCode::NumberRange)?;
    let value = if is_negative {
        -i128::from(size)
    } else {
        i128::from(size)
    };
    if value < i128::from(i64::MIN) {
        Err(QueryCode::NumberRange)
    } else {
        Ok(Parsed::Integer(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<String, &'static str> {
        let mut cursor = Cursor::new(text);
        assert!(begins(&cursor), "{text}");
        let number = take(&mut cursor).map_err(QueryCode::as_str)?;
        let value = match &number {
            Number::Integer { value, .. } => value.to_string(),
            Number::Real { value, .. } => format!("{value:?}"),
        };
        Ok(format!("{value} {}", cursor.rest()))
    }

    #[test]
    fn numbers_are_read() {
        for (text, expected) in [
            ("0", "0 "),
            ("-0x10)", "-16 )"),
            ("+7 ", "7  "),
            ("0XfF", "255 "),
            ("18446744073709551615", "18446744073709551615 "),
            ("-9223372036854775808", "-9223372036854775808 "),
            ("1.", "1 ."),
            ("1..5", "1 ..5"),
            (".5", "0.5 "),
            ("-1.5e3", "-1500.0 "),
            ("1e10", "10000000000.0 "),
            ("2E-1,", "0.2 ,"),
        ] {
            assert_eq!(value(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_refused() {
        for text in [
            "12abc",
            "1e",
            "0x",
            "0xg",
            "0xffg",
            "1_",
            "1é",
            "1.5x",
            "18446744073709551616z",
        ] {
            assert_eq!(value(text), Err("bad-number"), "{text}");
        }
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "0x10000000000000000",
            "1e999",
        ] {
            assert_eq!(value(text), Err("number-range"), "{text}");
        }
    }

    #[test]
    fn a_number_in_a_text_stands_alone() {
        assert!(number_in(" \t10\r\n").is_some());
        assert!(number_in("-1.5").is_some());
        for text in ["", "ten", "1 2", "1.", "0x", "10a", "1e999", "\u{a0}1"] {
            assert!(number_in(text).is_none(), "{text}");
        }
    }
}

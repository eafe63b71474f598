//! Literals of MOF: numbers, strings and characters, read and written. Source: `docs::mof`,
//! "Tokens".

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::print::write_quoted;

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i128),
    Real(f64),
}

/// Reads a number: decimal, hexadecimal (`0x`), octal (`0`), binary (`b`) or real. `None` when it
/// is malformed or has more than 127 bits.
pub(super) fn number(text: &str) -> Option<Number> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let signed = |value: i128| {
        Number::Integer(if is_negative {
            value.saturating_neg()
        } else {
            value
        })
    };
    let radix = |digits: &str, radix| {
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_plain
            .then(|| i128::from_str_radix(digits, radix).ok())
            .flatten()
            .map(signed)
    };
    if let Some(digits) = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        return radix(digits, 16);
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_octal = digits.len() > 1 && digits.starts_with('0');
        return radix(digits, if is_octal { 8 } else { 10 });
    }
    if let Some(digits) = digits.strip_suffix(['b', 'B']) {
        return radix(digits, 2);
    }
    real(digits).map(|value| Number::Real(if is_negative { -value } else { value }))
}

/// Reads a real number without sign: digits and a point, an exponent, or both. It may be infinite.
fn real(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !(whole.is_empty() && part.is_empty());
    let has_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && are_digits(digits)
    });
    let is_real = has_digits && has_exponent && are_digits(whole) && are_digits(part);
    is_real.then(|| text.parse().ok()).flatten()
}

/// Reads a whole text as an integer by the rules of C: decimal, hexadecimal or octal.
pub(crate) fn integer_text(text: &str) -> Option<i128> {
    let is_binary = text.ends_with(['b', 'B']) && !text.contains(['x', 'X']);
    match number(text) {
        Some(Number::Integer(value)) if !is_binary => Some(value),
        _ => None,
    }
}

/// Reads a whole text as a real number; an integer is one too.
pub(crate) fn real_text(text: &str) -> Option<f64> {
    match number(text) {
        Some(Number::Real(value)) => Some(value),
        Some(Number::Integer(_)) => text
            .parse()
            .ok()
            .or_else(|| integer_text(text)?.to_string().parse().ok()),
        None => None,
    }
}

/// An oddity of a literal: its offset from the opening quote, its length, and its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Oddity {
    pub at: usize,
    pub length: usize,
    pub kind: OddityKind,
}

/// The kinds of oddities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OddityKind {
    /// A backslash before a character that it does not go with; both were kept.
    UnknownEscape,
    /// An escape that means NUL.
    Nul,
    /// Half a surrogate pair.
    LoneSurrogate,
    /// A line end within the quotes, the first one.
    LineEnd,
}

/// Adds what stands between the quotes of a string, `raw`, to `text`; reports oddities. Without
/// escapes and with an empty `text` nothing is copied.
pub(super) fn read_text<'t>(raw: &'t str, text: &mut Cow<'t, str>, mut report: impl FnMut(Oddity)) {
    if let Some(at) = memchr::memchr2(b'\r', b'\n', raw.as_bytes()) {
        report(Oddity {
            at: at.saturating_add(1),
            length: 1,
            kind: OddityKind::LineEnd,
        });
    }
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        match text.is_empty() {
            true => *text = Cow::Borrowed(raw),
            false => text.to_mut().push_str(raw),
        }
        return;
    }
    let out = text.to_mut();
    out.reserve(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let at = raw.len().saturating_sub(after.len());
        rest = escape(after, out, at, &mut report);
    }
    out.push_str(rest);
}

/// Reads what follows a backslash and returns what follows the escape. `at` is the offset of the
/// backslash from the opening quote.
fn escape<'t>(
    after: &'t str,
    out: &mut String,
    at: usize,
    report: &mut impl FnMut(Oddity),
) -> &'t str {
    let mut chars = after.chars();
    let plain = match chars.next() {
        Some('b') => '\u{8}',
        Some('t') => '\t',
        Some('n') => '\n',
        Some('f') => '\u{c}',
        Some('r') => '\r',
        Some(c @ ('"' | '\'' | '\\')) => c,
        Some('x' | 'X') => match unit(chars.as_str()) {
            Some((unit, rest)) => return push_unit(unit, rest, out, at, report),
            None => return keep(after, out, at, report),
        },
        _ => return keep(after, out, at, report),
    };
    out.push(plain);
    chars.as_str()
}

/// Keeps a backslash and the character after it.
fn keep<'t>(
    after: &'t str,
    out: &mut String,
    at: usize,
    report: &mut impl FnMut(Oddity),
) -> &'t str {
    report(Oddity {
        at,
        length: 2,
        kind: OddityKind::UnknownEscape,
    });
    out.push('\\');
    let mut chars = after.chars();
    out.extend(chars.next());
    chars.as_str()
}

/// One to four hexadecimal digits, as many as there are.
fn unit(text: &str) -> Option<(u16, &str)> {
    let count = text
        .bytes()
        .take(4)
        .take_while(u8::is_ascii_hexdigit)
        .count();
    let (digits, rest) = text.split_at_checked(count)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

/// Adds a UTF-16 unit, with the one that follows as an escape too where both are a pair.
fn push_unit<'t>(
    first: u16,
    rest: &'t str,
    out: &mut String,
    at: usize,
    report: &mut impl FnMut(Oddity),
) -> &'t str {
    if first == 0 {
        report(Oddity {
            at,
            length: 2,
            kind: OddityKind::Nul,
        });
    }
    if let Some(c) = char::from_u32(first.into()) {
        out.push(c);
        return rest;
    }
    let second = rest
        .strip_prefix("\\x")
        .or_else(|| rest.strip_prefix("\\X"))
        .and_then(unit);
    if let Some((second, rest)) = second
        && let Some(Ok(c)) = char::decode_utf16([first, second]).next()
    {
        out.push(c);
        return rest;
    }
    report(Oddity {
        at,
        length: 2,
        kind: OddityKind::LoneSurrogate,
    });
    out.push(char::REPLACEMENT_CHARACTER);
    rest
}

/// Reads what stands between the quotes of a character: one UTF-16 unit. `None` when it is
/// malformed.
pub(super) fn character(raw: &str) -> Option<u16> {
    let mut chars = raw.chars();
    let first = chars.next()?;
    if first == '\\' {
        if let Some(digits) = chars.as_str().strip_prefix(['x', 'X']) {
            return unit(digits).and_then(|(unit, rest)| rest.is_empty().then_some(unit));
        }
        let mut out = String::new();
        let mut is_odd = false;
        let rest = escape(chars.as_str(), &mut out, 0, &mut |_| is_odd = true);
        let unit = out.encode_utf16().next()?;
        return (rest.is_empty() && !is_odd).then_some(unit);
    }
    let mut units = [0; 2];
    let is_one = chars.next().is_none() && first.encode_utf16(&mut units).len() == 1;
    is_one.then(|| units.first().copied()).flatten()
}

/// Columns after which a long string goes on in a literal of its own.
const WIDTH: usize = 100;

/// Writes a string as literals: one, or, where it is long, several, each on a line of its own that
/// begins with `indent`.
pub(super) fn write_text(out: &mut String, text: &str, indent: &str) {
    if text.len() < WIDTH.saturating_sub(indent.len()) {
        // Nothing can fail that writes into a string.
        write_quoted(out, text).ok();
        return;
    }
    for (number, part) in parts(text, WIDTH.saturating_sub(indent.len())).enumerate() {
        if number > 0 {
            out.push('\n');
            out.push_str(indent);
        }
        write_quoted(out, part).ok();
    }
}

/// The pieces of a long text: they end after a blank or line end. A word that is longer than a line
/// is one piece.
fn parts(text: &str, width: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0usize;
        for (at, c) in rest.char_indices() {
            let next = at.saturating_add(c.len_utf8());
            if next > width && end > 0 {
                break;
            }
            if matches!(c, ' ' | '\n') {
                end = next;
            }
            if c == '\n' || next > width && end > 0 {
                break;
            }
        }
        let (part, tail) = rest
            .split_at_checked(if end > 0 { end } else { rest.len() })
            .unwrap_or((rest, ""));
        rest = tail;
        Some(part)
    })
}

/// Writes a character: in quotes where it is plain, else as its number.
pub(super) fn write_character(out: &mut impl Write, unit: u16) -> fmt::Result {
    match u8::try_from(unit) {
        Ok(byte) if (byte.is_ascii_graphic() || byte == b' ') && !matches!(byte, b'\'' | b'\\') => {
            write!(out, "'{}'", char::from(byte))
        }
        _ => write!(out, "'\\x{unit:04X}'"),
    }
}

/// Writes a finite real number so that it is read back as the same one, always with a point or an
/// exponent.
pub(super) fn write_real(out: &mut impl Write, value: f64) -> fmt::Result {
    write!(out, "{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> (String, Vec<OddityKind>) {
        let (mut text, mut oddities) = (Cow::Borrowed(""), Vec::new());
        read_text(raw, &mut text, |oddity| oddities.push(oddity.kind));
        (text.into_owned(), oddities)
    }

    #[test]
    fn numbers_of_every_form() {
        use Number::{Integer, Real};
        let rows: [(&str, Option<Number>); 22] = [
            ("0", Some(Integer(0))),
            ("-12", Some(Integer(-12))),
            ("+7", Some(Integer(7))),
            ("017", Some(Integer(15))),
            ("08", None),
            ("09", None),
            ("0x1F", Some(Integer(31))),
            ("-0Xff", Some(Integer(-255))),
            ("0x", None),
            ("101b", Some(Integer(5))),
            ("0B", Some(Integer(0))),
            ("12b", None),
            ("0x1b", Some(Integer(27))),
            ("12abc", None),
            ("1.5", Some(Real(1.5))),
            ("1.", Some(Real(1.0))),
            ("-.5", Some(Real(-0.5))),
            ("1e3", Some(Real(1000.0))),
            ("1.5E-2", Some(Real(0.015))),
            ("1e", None),
            ("1.2.3", None),
            ("18446744073709551615", Some(Integer(u64::MAX.into()))),
        ];
        for (text, expected) in rows {
            assert_eq!(number(text), expected, "{text}");
        }
        assert_eq!(number(&"9".repeat(100)), None);
    }

    #[test]
    fn escapes_are_read() {
        use OddityKind::{LineEnd, LoneSurrogate, Nul, UnknownEscape};
        assert_eq!(read("plain"), ("plain".into(), vec![]));
        assert_eq!(
            read(r#"a\\\"\'\b\t\n\f\rz"#),
            ("a\\\"'\u{8}\t\n\u{c}\rz".into(), vec![])
        );
        assert_eq!(read(r"\x41\X4a\x00e9z"), ("AJéz".into(), vec![]));
        assert_eq!(read(r"\x20AC1"), ("€1".into(), vec![]));
        assert_eq!(read(r"\xD834\xDD1E"), ("𝄞".into(), vec![]));
        assert_eq!(
            read(r"\xD834\xD834\xDD1E"),
            ("\u{FFFD}𝄞".into(), vec![LoneSurrogate])
        );
        assert_eq!(
            read(r"class\sub\0\é"),
            (r"class\sub\0\é".into(), vec![UnknownEscape; 3])
        );
        assert_eq!(read(r"\x\xg"), (r"\x\xg".into(), vec![UnknownEscape; 2]));
        assert_eq!(read(r"\x0000"), ("\0".into(), vec![Nul]));
        assert_eq!(read("a\nb"), ("a\nb".into(), vec![LineEnd]));
    }

    #[test]
    fn characters_are_one_unit() {
        let rows = [
            ("a", Some(97)),
            ("é", Some(0xE9)),
            (r"\x0", Some(0)),
            (r"\n", Some(10)),
            (r"\'", Some(39)),
        ];
        for (raw, expected) in rows {
            assert_eq!(character(raw), expected, "{raw}");
        }
        for raw in ["", "ab", "𝄞", r"\q", r"\x12345", r"\", r"\nn"] {
            assert_eq!(character(raw), None, "{raw}");
        }
    }

    #[test]
    fn long_texts_are_several_literals_and_the_same_text() {
        let long = "word ".repeat(60) + "\n\n" + &"x".repeat(300) + " end\u{1b}";
        let mut out = String::new();
        write_text(&mut out, &long, "    ");
        assert!(
            out.lines().count() > 4 && out.lines().all(|line| line.len() <= 320),
            "{out}"
        );
        let mut text = Cow::Borrowed("");
        for line in out.lines() {
            let raw = line
                .trim()
                .strip_prefix('"')
                .and_then(|line| line.strip_suffix('"'))
                .unwrap();
            read_text(raw, &mut text, |oddity| panic!("{oddity:?}"));
        }
        assert_eq!(text, long);
    }
}

//! Identifiers, texts, numbers and characters.

use std::fmt::{self, Write};

use crate::base::escape::Visible;

/// Columns that a line of a long text takes at most, unless a word is longer.
const COLUMNS: usize = 96;

/// A name where MOF wants an identifier. One that is none is printed as a string.
#[derive(Clone, Copy)]
pub(super) struct Identifier<'n>(pub(super) &'n str);

impl Identifier<'_> {
    /// True if it has letters, digits and low lines alone, and beyond ASCII what shows and is no
    /// white space.
    pub(super) fn is_one(self) -> bool {
        let is_ascii_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts_well = self.0.starts_with(|c: char| !c.is_ascii_digit());
        if !starts_well || self.0.bytes().all(is_ascii_part) {
            return starts_well;
        }
        let mut visible = Visible::new();
        let is_part = |c: char| {
            let is_letter = c.is_ascii_alphanumeric() || c == '_';
            visible.shows(c) && (is_letter || !c.is_ascii() && !c.is_whitespace())
        };
        self.0.chars().all(is_part)
    }
}

impl fmt::Display for Identifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_one() {
            return f.write_str(self.0);
        }
        write_quoted(f, self.0)?;
        f.write_str(" /* no identifier */")
    }
}

/// Writes a string literal. What does not show is written by its UTF-16 units, always with four
/// digits, since a fifth would be taken for one of them.
pub(in crate::text::mof) fn write_quoted(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    write_escaped(out, text, &mut Visible::new())?;
    out.write_char('"')
}

fn write_escaped(out: &mut impl Write, text: &str, visible: &mut Visible) -> fmt::Result {
    let needs_no_escape = |byte: u8| byte != b'"' && byte != b'\\';
    if visible.shows_all(text) && text.bytes().all(needs_no_escape) {
        return out.write_str(text);
    }
    for c in text.chars() {
        let shows = visible.shows(c);
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{C}' => out.write_str("\\f")?,
            c if shows => out.write_char(c)?,
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\x{unit:04X}")?;
                }
            }
        }
    }
    Ok(())
}

/// Writes a string literal, a long one as several that a compiler joins: each on a line of its own.
pub(super) fn write_wrapped(out: &mut String, text: &str, indent: &str) -> fmt::Result {
    let column = out.len() - out.rfind('\n').map_or(0, |end| end + 1);
    if column + text.len() <= COLUMNS {
        return write_quoted(out, text);
    }

    let mut visible = Visible::new();
    out.push('"');
    let mut used = column;
    let mut word = String::new();
    for part in text.split_inclusive([' ', '\n']) {
        word.clear();
        write_escaped(&mut word, part, &mut visible)?;
        if used + word.len() > COLUMNS && !out.ends_with('"') {
            write!(out, "\"\n{indent}\"")?;
            used = indent.len() + 1;
        }
        out.push_str(&word);
        used += word.len();
    }
    out.push('"');
    Ok(())
}

/// A number that reads as itself again.
pub(super) fn write_real32(out: &mut String, value: f32) -> fmt::Result {
    let start = out.len();
    write!(out, "{value:?}")?;
    // A compiler reads it as a longer number first; rarely, it is then rounded twice.
    let written = out.get(start..).unwrap_or_default();
    let reads = written
        .parse::<f64>()
        .is_ok_and(|read| narrowed(read) == value.to_bits());
    if !reads {
        out.truncate(start);
        write!(out, "{:?}", f64::from(value))?;
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "the rounding is the point")]
const fn narrowed(value: f64) -> u32 {
    (value as f32).to_bits()
}

/// A character, or its number where it does not show.
pub(super) fn write_char16(out: &mut String, unit: u16) -> fmt::Result {
    let c = u8::try_from(unit).ok().map(char::from);
    match c.filter(|c| matches!(c, ' '..='~') && !"'\\".contains(*c)) {
        Some(c) => write!(out, "'{c}'"),
        None => write!(out, "{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_words() {
        let words = "one two three ".repeat(40);
        let mut out = String::from("  X = ");
        write_wrapped(&mut out, &words, "    ").unwrap();
        assert!(
            out.lines().count() > 5 && out.lines().all(|line| line.len() <= COLUMNS + 2),
            "{out}"
        );
        let joined = out.replace("\"\n    \"", "");
        assert_eq!(joined, format!("  X = \"{words}\""));
        let mut out = String::new();
        write_wrapped(&mut out, &"x".repeat(300), "").unwrap();
        assert_eq!(out.len(), 302);
    }

    #[test]
    fn what_does_not_show_is_written_by_number() {
        let text = |text: &str| {
            let mut out = String::new();
            write_quoted(&mut out, text).unwrap();
            out
        };
        assert_eq!(
            text("a\u{8}\u{C}\n\r\t\\\"\u{1}9"),
            r#""a\b\f\n\r\t\\\"\x00019""#
        );
        assert_eq!(text("ä\u{2028}\u{1D173}"), r#""ä\x2028\xD834\xDD73""#);
    }

    #[test]
    fn characters_and_reals_read_as_themselves() {
        let char16 = |unit: u16| {
            let mut out = String::new();
            write_char16(&mut out, unit).unwrap();
            out
        };
        assert_eq!(
            ['a', '\'', '\\', 'ä'].map(|c| char16(c as u16)),
            ["'a'", "39", "92", "228"]
        );
        let mut seed = 1u32;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(seed);
            if value.is_finite() {
                let mut out = String::new();
                write_real32(&mut out, value).unwrap();
                assert_eq!(narrowed(out.parse().unwrap()), value.to_bits(), "{out}");
                assert!(out.contains(['.', 'e']), "{out}");
            }
        }
    }
}

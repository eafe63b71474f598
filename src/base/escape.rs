//! Escaping of text from evidence: names, values, keys, paths, arguments, notes in files.
//!
//! Such text can move the cursor of a terminal, end a line early, or reverse the direction of
//! writing, so that the printed text differs from the stored one. Every character of that kind is
//! printed as `\u{1b}`. All of them have this one form: `\n` would be mistaken for a part of
//! `root\new`. A backslash stays a backslash, since paths are full of them. Only a backslash that
//! precedes `u{` in the evidence is printed as `\u{5c}`, so that no stored text can pose as an
//! escape.
//!
//! There are two lines of defence. Types that hold evidence are printed through [`escape`]: their
//! `Display` is for people, their `as_str` or `text` is for machines. [`guard`] and
//! [`EscapingWriter`] escape what remains in a message composed of several texts. They leave
//! backslashes alone, so that text that is already escaped passes through unchanged.

use std::fmt::{self, Display, Write};
use std::path::Path;

/// Longest run of combining marks that is shown. Unicode's security mechanisms (UTS 39, 5.4) treat
/// longer ones as an attack.
const MAX_MARKS: usize = 4;

/// Prepares a text from evidence for printing: every invisible character of `text` is escaped.
pub const fn escape(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// Prepares a path for printing, as [`escape`] does for a text.
pub fn escape_path(path: impl AsRef<Path>) -> String {
    escape(&path.as_ref().to_string_lossy()).to_string()
}

/// Prepares a message for printing: every invisible character that formatting `message` yields is
/// escaped.
pub const fn guard<T: Display>(message: T) -> Guarded<T> {
    Guarded(message)
}

/// Text from evidence whose `Display` escapes it. Made by [`escape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = EscapingWriter::new(f);
        let mut rest = self.0;
        while let Some((before, after)) = rest.split_once("\\u{") {
            writer.write_str(before)?;
            writer.write_str("\\u{5c}u{")?;
            rest = after;
        }
        writer.write_str(rest)
    }
}

/// A message whose `Display` is safe to print. Made by [`guard`].
#[derive(Debug, Clone, Copy)]
pub struct Guarded<T>(T);

impl<T: Display> Display for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(EscapingWriter::new(f), "{}", self.0)
    }
}

/// A writer that escapes invisible characters and passes the text on to `W`.
#[derive(Debug)]
pub struct EscapingWriter<W> {
    inner: W,
    visible: Visible,
}

impl<W: Write> EscapingWriter<W> {
    /// Wraps `inner`, at the beginning of a text.
    pub const fn new(inner: W) -> Self {
        Self {
            inner,
            visible: Visible::new(),
        }
    }
}

impl<W: Write> Write for EscapingWriter<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.visible.shows_all(text) {
            return self.inner.write_str(text);
        }
        let mut shown = 0;
        for (at, c) in text.char_indices() {
            if !self.visible.shows(c) {
                self.inner
                    .write_str(text.get(shown..at).unwrap_or_default())?;
                write!(self.inner, "\\u{{{:x}}}", u32::from(c))?;
                shown = at + c.len_utf8();
            }
        }
        self.inner.write_str(text.get(shown..).unwrap_or_default())
    }
}

/// Decides for each character of a text whether it can be shown as itself.
#[derive(Debug, Clone, Copy)]
pub struct Visible {
    /// Combining marks since the last base character.
    marks: usize,
}

impl Visible {
    /// State at the beginning of a text, where a mark has nothing to combine with.
    pub const fn new() -> Self {
        Self { marks: MAX_MARKS }
    }

    /// True if all of `text`, which comes next, can be shown as itself because it is printable
    /// ASCII. Nearly every text is, and this test is much faster than one by character. If it
    /// returns false, the characters have not been examined yet.
    pub fn shows_all(&mut self, text: &str) -> bool {
        let is_plain = is_printable_ascii(text);
        if is_plain && !text.is_empty() {
            self.marks = 0;
        }
        is_plain
    }

    /// True if `c`, the next character of the text, can be shown as itself.
    pub fn shows(&mut self, c: char) -> bool {
        if matches!(c, ' '..='~') {
            self.marks = 0;
            return true;
        }
        if is_invisible(c) {
            // No mark of the evidence may combine with the escape that is shown in its place.
            self.marks = MAX_MARKS;
            return false;
        }
        if !is_mark(c) {
            self.marks = 0;
            return true;
        }
        let shows = self.marks < MAX_MARKS;
        self.marks += usize::from(shows);
        shows
    }
}

impl Default for Visible {
    fn default() -> Self {
        Self::new()
    }
}

/// True if a text is printable ASCII. All output passes here, mostly a few bytes at a time, so
/// eight bytes are tested together. The last group may overlap bytes that were tested before.
fn is_printable_ascii(text: &str) -> bool {
    const ONES: u64 = u64::MAX / 0xFF;
    let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    // The first term sets the highest bit of a byte from 0x80 on, the second at 0x7F, the third
    // below 0x20. A carry into the next byte can only come from a byte whose bit is set already.
    let signs = |word: u64| {
        (word | word.wrapping_add(ONES) | word.wrapping_sub(ONES * 0x20)) & (ONES * 0x80)
    };

    let bytes = text.as_bytes();
    if let Some(last) = bytes.last_chunk() {
        let (words, _) = bytes.as_chunks();
        let all = words
            .iter()
            .fold(signs(u64::from_le_bytes(*last)), |all, word| {
                all | signs(u64::from_le_bytes(*word))
            });
        return all == 0;
    }
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => signs(half(first) | half(last) << 32) == 0,
        _ => bytes.iter().all(|byte| matches!(byte, b' '..=b'~')),
    }
}

/// True if a character does not show as itself, or changes how its neighbours show. These are
/// Unicode's categories Cc, Cf, Zl and Zp, `Default_Ignorable_Code_Point`, and the code points that
/// will never be characters.
///
/// Spaces and characters for private use are shown. A lone surrogate is not a `char`.
pub const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fdd0}'..='\u{fdef}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        // The last two code points of every plane.
        || c as u32 & 0xFFFE == 0xFFFE
}

/// True if a visible character combines with the one before it.
///
/// The standard library's table is used: `char::escape_debug` escapes marks, spaces other than the
/// plain one, and unassigned code points. The last count as marks too, since a later version of
/// Unicode may make them marks.
fn is_mark(c: char) -> bool {
    let is_escaped = || c.escape_debug().len() > 1;
    !c.is_ascii() && !c.is_whitespace() && !is_private(c) && is_escaped()
}

/// True if a character is for private use.
const fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_syntax::hir::{Class, HirKind};
    use std::collections::HashSet;

    /// The characters of a class as defined by Unicode's own tables, which another library carries.
    fn defined(class: &str) -> impl Fn(char) -> bool {
        let hir = regex_syntax::parse(class).unwrap();
        let HirKind::Class(Class::Unicode(class)) = hir.kind().clone() else {
            panic!("{class} is no class")
        };
        let members: HashSet<char> = class
            .ranges()
            .iter()
            .flat_map(|range| range.start()..=range.end())
            .collect();
        move |c| members.contains(&c)
    }

    #[test]
    fn what_does_not_show_is_what_unicode_defines() {
        let invisible = defined(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{DI}\p{Bidi_C}\p{NChar}]");
        for c in '\0'..=char::MAX {
            assert_eq!(is_invisible(c), invisible(c), "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn marks_are_what_unicode_defines() {
        let (mark, other) = (
            defined(r"[\p{Mn}\p{Me}]"),
            defined(r"[\p{L}\p{N}\p{P}\p{S}\p{Zs}\p{Co}--\p{Grapheme_Extend}]"),
        );
        for c in ('\0'..=char::MAX).filter(|c| !is_invisible(*c)) {
            assert!(is_mark(c) || !mark(c), "U+{:04X} is a mark", u32::from(c));
            assert!(!is_mark(c) || !other(c), "U+{:04X} is none", u32::from(c));
        }
    }

    #[test]
    fn what_moves_or_turns_is_escaped_and_the_rest_is_not() {
        let escaped = |text| escape(text).to_string();
        for plain in [
            "",
            "a b-Ä/日本.bak",
            "root\\cimv2:C.K=\"v\"",
            "ROOT\\new\\u1b",
            "Việt",
            "שָׁלוֹם",
            "🙂 \u{e000}",
        ] {
            assert_eq!(escaped(plain), plain);
        }
        assert_eq!(escaped("a\u{1b}[2Jb\n\t"), "a\\u{1b}[2Jb\\u{a}\\u{9}");
        assert_eq!(escaped("x\u{202e}cba"), "x\\u{202e}cba");
        assert_eq!(escape_path("d/\r"), "d/\\u{d}");
    }

    #[test]
    fn nothing_poses_as_an_escape_and_nothing_is_escaped_twice() {
        let posing = escape(r"\u{1b} \\u{a}").to_string();
        assert_eq!(posing, r"\u{5c}u{1b} \\u{5c}u{a}");
        assert_eq!(guard(&posing).to_string(), posing);
        assert_eq!(guard(escape("\u{7}")).to_string(), r"\u{7}");
        assert_eq!(guard("\u{7}").to_string(), r"\u{7}");
    }

    #[test]
    fn printable_ascii_is_told_whatever_stands_beside() {
        for length in [1, 2, 3, 4, 5, 7, 8, 9, 16, 23] {
            for at in 0..length {
                for c in '\0'..='\u{180}' {
                    let text: String = (0..length)
                        .map(|place| if place == at { c } else { '~' })
                        .collect();
                    assert_eq!(
                        is_printable_ascii(&text),
                        matches!(c, ' '..='~'),
                        "{text:?}"
                    );
                    assert_eq!(
                        is_printable_ascii(&text.replace('~', " ")),
                        matches!(c, ' '..='~'),
                        "{text:?}"
                    );
                }
            }
        }
        assert!(is_printable_ascii(""));
    }

    #[test]
    fn marks_stay_few_and_on_their_own_base() {
        let escaped = |text: &str| escape(text).to_string();
        assert_eq!(escaped("e\u{301}"), "e\u{301}");
        assert_eq!(escaped("\u{338}="), "\\u{338}=");
        let piled = format!("e{}x\u{301}", "\u{301}".repeat(6));
        assert_eq!(
            escaped(&piled),
            format!("e{}\\u{{301}}\\u{{301}}x\u{301}", "\u{301}".repeat(4))
        );
        assert_eq!(escaped("\n\u{301}"), "\\u{a}\\u{301}");
    }
}

//! Places in a text: spans in bytes, and the lines and columns that people count.

use std::borrow::Cow;
use std::ops::Range;

/// A stretch of a text, in bytes from its start. Texts beyond 4 GiB are refused before anything
/// takes a span of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// The bytes from `start` up to `end`.
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// The empty stretch at `offset`.
    pub const fn at(offset: u32) -> Self {
        Self::new(offset, offset)
    }

    /// The least stretch that holds this one and `other`.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self::new(self.start.min(other.start), self.end.max(other.end))
    }

    /// True if it holds nothing.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The stretch as a range of indices.
    pub const fn range(self) -> Range<usize> {
        crate::base::widen(self.start)..crate::base::widen(self.end)
    }

    /// The characters of `text` in this stretch; empty where the stretch does not fit the text.
    pub fn of(self, text: &str) -> &str {
        text.get(self.range()).unwrap_or_default()
    }
}

/// A place as people count: both numbers start at 1, columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character in the line.
    pub column: u32,
}

/// Bytes between two places whose characters are counted beforehand.
const STRIDE: usize = 4096;

/// Where the lines of a text begin, and how many characters stand before some of its places.
#[derive(Debug, Clone)]
pub(super) struct LineMap {
    starts: Vec<u32>,
    /// The number of characters before every `STRIDE`th byte: the columns of a line of any length
    /// cost no more than those of a short one.
    characters: Vec<u32>,
}

impl LineMap {
    /// Finds the lines of `text`, in one pass.
    pub(super) fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for end in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            let next = end.saturating_add(1);
            let is_half = bytes.get(end) == Some(&b'\r') && bytes.get(next) == Some(&b'\n');
            if !is_half {
                starts.push(crate::base::narrow(next));
            }
        }
        let mut counted = 0usize;
        let mut characters = vec![0];
        for stretch in bytes.chunks(STRIDE) {
            counted = counted.saturating_add(characters_of(stretch));
            characters.push(crate::base::narrow(counted));
        }
        Self { starts, characters }
    }
}

/// The number of characters that begin in a part of a text.
fn characters_of(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

/// The lines of a text. CR, LF and CRLF each end one.
#[derive(Debug, Clone)]
pub struct Lines<'t> {
    text: &'t str,
    map: Cow<'t, LineMap>,
}

impl<'t> Lines<'t> {
    /// Finds the lines of `text`, in one pass.
    pub fn new(text: &'t str) -> Self {
        let map = Cow::Owned(LineMap::new(text));
        Self { text, map }
    }

    /// The lines of `text` as they were found before.
    pub(super) const fn of(text: &'t str, map: &'t LineMap) -> Self {
        Self {
            text,
            map: Cow::Borrowed(map),
        }
    }

    /// The number of lines; a text without any line end has one.
    pub fn count(&self) -> usize {
        self.map.starts.len()
    }

    /// The line and column of the byte at `offset`; an offset past the end counts as the end.
    pub fn position(&self, offset: u32) -> Position {
        let line = self.line_of(offset);
        let start = self.map.starts.get(line).copied().unwrap_or_default();
        let before = self.characters_before(start);
        let column = self
            .characters_before(self.boundary(offset))
            .saturating_sub(before);
        Position {
            line: crate::base::narrow(line.saturating_add(1)),
            column: crate::base::narrow(column.saturating_add(1)),
        }
    }

    /// The number of characters before the byte at `offset`, which begins one.
    fn characters_before(&self, offset: u32) -> usize {
        let offset = crate::base::widen(offset);
        let stride = offset / STRIDE;
        let counted = self.map.characters.get(stride).copied().unwrap_or_default();
        let bytes = self.text.as_bytes();
        let rest = bytes.get(stride.saturating_mul(STRIDE)..offset);
        crate::base::widen(counted).saturating_add(rest.map_or(0, characters_of))
    }

    /// The text of the line with this number, from 1, without its line end; `None` past the last
    /// line.
    pub fn text_of(&self, line: u32) -> Option<&'t str> {
        let span = self.span_of(line)?;
        Some(span.of(self.text).trim_end_matches(['\r', '\n']))
    }

    /// The stretch of the line with this number, from 1, its line end included; `None` past the
    /// last line.
    pub fn span_of(&self, line: u32) -> Option<Span> {
        let number = crate::base::widen(line).checked_sub(1)?;
        let start = *self.map.starts.get(number)?;
        let end = self.map.starts.get(number.saturating_add(1)).copied();
        Some(Span::new(
            start,
            end.unwrap_or_else(|| crate::base::narrow(self.text.len())),
        ))
    }

    /// The number, from 0, of the line that holds the byte at `offset`.
    fn line_of(&self, offset: u32) -> usize {
        self.map
            .starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1)
    }

    /// The last boundary between characters that is not after `offset`.
    fn boundary(&self, offset: u32) -> u32 {
        let mut at = crate::base::widen(offset).min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at = at.saturating_sub(1);
        }
        crate::base::narrow(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_end_counts_once() {
        let lines = Lines::new("a\r\nbé\rc\n\nd");
        let at = |offset| {
            let Position { line, column } = lines.position(offset);
            (line, column)
        };
        assert_eq!(lines.count(), 5);
        assert_eq!(
            [at(0), at(1), at(2), at(3)],
            [(1, 1), (1, 2), (1, 3), (2, 1)]
        );
        assert_eq!(
            [at(4), at(5), at(6), at(7)],
            [(2, 2), (2, 2), (2, 3), (3, 1)]
        );
        assert_eq!(
            [at(9), at(10), at(11), at(99)],
            [(4, 1), (5, 1), (5, 2), (5, 2)]
        );
        assert_eq!(lines.text_of(2), Some("bé"));
        assert_eq!(lines.text_of(4), Some(""));
        assert_eq!(lines.text_of(5), Some("d"));
        assert_eq!([lines.text_of(0), lines.text_of(6)], [None, None]);
    }

    #[test]
    fn columns_of_a_long_line_are_counted() {
        let text = format!("a\n{}x", "é".repeat(5_000));
        let lines = Lines::new(&text);
        for (offset, column) in [(2, 1), (4, 2), (5, 2), (8_194, 4_097), (10_002, 5_001)] {
            let position = lines.position(offset);
            assert_eq!((position.line, position.column), (2, column), "{offset}");
        }
    }

    #[test]
    fn spans_join_and_stay_inside_their_text() {
        let joined = Span::new(2, 3).to(Span::new(5, 9));
        assert_eq!(joined, Span::new(2, 9));
        assert_eq!(joined.of("0123456789"), "2345678");
        assert_eq!(joined.of("012"), "");
        assert_eq!(Span::new(1, 2).of("é"), "", "not a boundary");
        assert!(Span::at(4).is_empty() && !joined.is_empty());
    }
}

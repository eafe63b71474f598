//! Places in a text: spans in bytes, and the lines and columns that people count.

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

/// The lines of a text. CR, LF and CRLF each end one.
#[derive(Debug, Clone)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<u32>,
}

impl<'t> Lines<'t> {
    /// Finds the lines of `text`, in one pass.
    pub fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for end in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            let next = end.saturating_add(1);
            let is_half = bytes.get(end) == Some(&b'\r') && bytes.get(next) == Some(&b'\n');
            if !is_half {
                starts.push(crate::base::narrow(next));
            }
        }
        Self { text, starts }
    }

    /// The number of lines; a text without any line end has one.
    pub const fn count(&self) -> usize {
        self.starts.len()
    }

    /// The line and column of the byte at `offset`; an offset past the end counts as the end.
    pub fn position(&self, offset: u32) -> Position {
        let line = self.line_of(offset);
        let start = self.starts.get(line).copied().unwrap_or_default();
        let before = Span::new(start, self.boundary(offset)).of(self.text);
        let column = before.chars().count().saturating_add(1);
        Position {
            line: crate::base::narrow(line.saturating_add(1)),
            column: crate::base::narrow(column),
        }
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
        let start = *self.starts.get(number)?;
        let end = self.starts.get(number.saturating_add(1)).copied();
        Some(Span::new(
            start,
            end.unwrap_or_else(|| crate::base::narrow(self.text.len())),
        ))
    }

    /// The number, from 0, of the line that holds the byte at `offset`.
    fn line_of(&self, offset: u32) -> usize {
        self.starts
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
    fn spans_join_and_stay_inside_their_text() {
        let joined = Span::new(2, 3).to(Span::new(5, 9));
        assert_eq!(joined, Span::new(2, 9));
        assert_eq!(joined.of("0123456789"), "2345678");
        assert_eq!(joined.of("012"), "");
        assert_eq!(Span::new(1, 2).of("é"), "", "not a boundary");
        assert!(Span::at(4).is_empty() && !joined.is_empty());
    }
}

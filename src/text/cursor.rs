//! A place in a text that moves forward: the ground of every lexer here.
//!
//! It stands always between two characters, so that what lies between two of its places is text.
//! Nothing it does panics or allocates. The byte methods are for the tokens, which are all ASCII;
//! the `char` ones for names and texts.

use super::span::Span;

/// A cursor over a text. A copy of it remembers a place.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    /// A cursor at the start of `text`.
    pub const fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The whole text.
    pub const fn text(&self) -> &'t str {
        self.text
    }

    /// The bytes passed so far.
    pub fn offset(&self) -> u32 {
        crate::base::narrow(self.at)
    }

    /// True if nothing is left.
    pub const fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// The text not yet passed.
    pub fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The bytes not yet passed.
    pub fn rest_bytes(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte, which may begin a character of several.
    pub fn peek_byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The byte `ahead` bytes after the next one.
    pub fn peek_byte_at(&self, ahead: usize) -> Option<u8> {
        self.text
            .as_bytes()
            .get(self.at.saturating_add(ahead))
            .copied()
    }

    /// The next character.
    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Passes the next character and returns it.
    pub fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.advance(c.len_utf8());
        Some(c)
    }

    /// Passes the next character if it is `wanted`; returns whether it was.
    pub fn eat(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        if is_there {
            self.advance(wanted.len_utf8());
        }
        is_there
    }

    /// Passes `wanted` if the rest begins with it; returns whether it does.
    pub fn eat_str(&mut self, wanted: &str) -> bool {
        let is_there = self.rest_bytes().starts_with(wanted.as_bytes());
        if is_there {
            self.advance(wanted.len());
        }
        is_there
    }

    /// Passes the characters up to the first that `is_part` refuses, and returns them.
    pub fn take_while(&mut self, mut is_part: impl FnMut(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.advance(end);
        rest.get(..end).unwrap_or_default()
    }

    /// Passes the ASCII bytes up to the first that `is_part` refuses, and returns them. Stops at
    /// any other character.
    pub fn take_ascii_while(&mut self, is_part: impl Fn(u8) -> bool) -> &'t str {
        let bytes = self.rest_bytes();
        let is_end = |byte: &u8| !byte.is_ascii() || !is_part(*byte);
        let end = bytes.iter().position(is_end).unwrap_or(bytes.len());
        let taken = self.rest().get(..end).unwrap_or_default();
        self.advance(end);
        taken
    }

    /// Moves to `offset`, to the end if the text is shorter. An offset inside a character moves to
    /// its end.
    pub fn move_to(&mut self, offset: u32) {
        self.at = crate::base::widen(offset).min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at = self.at.saturating_add(1);
        }
    }

    /// Passes `bytes` bytes, rounded up to a whole character.
    pub fn skip(&mut self, bytes: usize) {
        self.advance(bytes);
        while !self.text.is_char_boundary(self.at) {
            self.at = self.at.saturating_add(1);
        }
    }

    /// The stretch from `start` to here.
    pub fn span_from(&self, start: u32) -> Span {
        Span::new(start, self.offset())
    }

    /// The text from `start` to here.
    pub fn text_from(&self, start: u32) -> &'t str {
        self.span_from(start).of(self.text)
    }

    fn advance(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes).min(self.text.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_passes_what_it_takes() {
        let mut cursor = Cursor::new("ab12é= x");
        assert_eq!(
            cursor.take_ascii_while(|byte| byte.is_ascii_alphabetic()),
            "ab"
        );
        assert_eq!(
            (cursor.peek(), cursor.peek_byte_at(1), cursor.offset()),
            (Some('1'), Some(b'2'), 2)
        );
        assert!(!cursor.eat('2') && cursor.eat('1') && cursor.eat_str("2é"));
        assert_eq!(cursor.take_while(|c| c != 'x'), "= ");
        assert_eq!(
            (cursor.bump(), cursor.bump(), cursor.is_at_end()),
            (Some('x'), None, true)
        );
        assert_eq!(
            (cursor.text_from(2), cursor.span_from(6)),
            ("12é= x", Span::new(6, 9))
        );
    }

    #[test]
    fn a_cursor_never_stands_inside_a_character() {
        let mut cursor = Cursor::new("é€");
        assert_eq!(cursor.take_ascii_while(|_| true), "");
        cursor.skip(1);
        assert_eq!((cursor.offset(), cursor.rest()), (2, "€"));
        cursor.move_to(3);
        assert_eq!((cursor.offset(), cursor.rest()), (5, ""));
        cursor.move_to(99);
        cursor.skip(usize::MAX);
        assert_eq!(cursor.offset(), 5);
    }
}

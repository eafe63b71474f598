//! The tokens of MOF: kinds and places, no values. Source: `docs::mof`, "Tokens".
//!
//! A token is 12 bytes and allocates nothing; what a literal means is read by
//! [`literal`](super::literal) when the parser asks for it. Bytes decide: every token but names and
//! texts is ASCII.

use crate::text::cursor::Cursor;
use crate::text::span::Span;

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword.
    Word,
    /// `$name`.
    Alias,
    /// A `$` without a name.
    Dollar,
    /// A number that is well formed or not.
    Number,
    /// A string with both quotes.
    Text,
    /// A character with both quotes, well formed or not.
    Char,
    /// One of `{ } [ ] ( ) : ; , = #`.
    Mark(u8),
    /// A string, character or comment that the text ends in.
    Unterminated,
    /// A character that begins no token.
    Unknown,
    /// The end of the text.
    End,
}

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub span: Span,
    /// True if it is the first token on its line.
    pub is_first: bool,
}

impl Token {
    /// True if it is this mark.
    pub(super) fn is(self, mark: u8) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// Reads tokens. A copy of it looks ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexer<'t> {
    cursor: Cursor<'t>,
    /// The first no-break space that was taken for white space.
    pub no_break_space: Option<u32>,
}

impl<'t> Lexer<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self {
            cursor: Cursor::new(text),
            no_break_space: None,
        }
    }

    pub(super) const fn text(&self) -> &'t str {
        self.cursor.text()
    }

    /// Goes back, or on, to a byte of the text.
    pub(super) fn move_to(&mut self, offset: u32) {
        self.cursor.move_to(offset);
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Token {
        let mut is_first = self.cursor.offset() == 0;
        if let Some(unterminated) = self.skip_space(&mut is_first) {
            return Token {
                kind: Kind::Unterminated,
                span: unterminated,
                is_first,
            };
        }
        let start = self.cursor.offset();
        let kind = self.kind();
        Token {
            kind,
            span: self.cursor.span_from(start),
            is_first,
        }
    }

    fn kind(&mut self) -> Kind {
        let Some(byte) = self.cursor.peek_byte() else {
            return Kind::End;
        };
        match byte {
            b'{' | b'}' | b'[' | b']' | b'(' | b')' | b':' | b';' | b',' | b'=' | b'#' => {
                self.cursor.skip(1);
                Kind::Mark(byte)
            }
            b'"' => self.quoted(b'"', Kind::Text),
            b'\'' => self.quoted(b'\'', Kind::Char),
            b'$' => {
                self.cursor.skip(1);
                if self.word() {
                    Kind::Alias
                } else {
                    Kind::Dollar
                }
            }
            b'0'..=b'9' => self.number(),
            b'+' | b'-' | b'.' if self.is_number_ahead() => self.number(),
            _ if self.word() => Kind::Word,
            _ => {
                self.cursor.bump();
                Kind::Unknown
            }
        }
    }

    /// Passes white space and comments; gives the place of a comment that does not end.
    fn skip_space(&mut self, is_first: &mut bool) -> Option<Span> {
        loop {
            match self.cursor.peek_byte()? {
                b' ' | b'\t' | 0x0B | 0x0C => self.cursor.skip(1),
                b'\r' | b'\n' => {
                    *is_first = true;
                    self.cursor.skip(1);
                }
                b'\\' if matches!(self.cursor.peek_byte_at(1), Some(b'\r' | b'\n')) => {
                    self.cursor.skip(1)
                }
                b'/' => match self.cursor.peek_byte_at(1) {
                    Some(b'/') => self.skip_line(),
                    Some(b'*') => {
                        if let Some(unterminated) = self.skip_comment() {
                            return Some(unterminated);
                        }
                    }
                    _ => return None,
                },
                byte if byte.is_ascii() => return None,
                _ => {
                    let at = self.cursor.offset();
                    let c = self.cursor.peek().filter(|c| c.is_whitespace())?;
                    if c == '\u{a0}' {
                        self.no_break_space.get_or_insert(at);
                    }
                    self.cursor.bump();
                }
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = self.cursor.rest_bytes();
        self.cursor
            .skip(memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()));
    }

    fn skip_comment(&mut self) -> Option<Span> {
        let start = self.cursor.offset();
        self.cursor.skip(2);
        let rest = self.cursor.rest_bytes();
        match memchr::memmem::find(rest, b"*/") {
            Some(end) => {
                self.cursor.skip(end.saturating_add(2));
                None
            }
            None => {
                self.cursor.skip(rest.len());
                Some(Span::new(start, start.saturating_add(2)))
            }
        }
    }

    /// Passes a string or character up to its closing quote. Without one a string takes the rest of
    /// the text, a character that of its line: to read it again as something else would cost the
    /// square of it.
    fn quoted(&mut self, quote: u8, kind: Kind) -> Kind {
        self.cursor.skip(1);
        loop {
            let rest = self.cursor.rest_bytes();
            let next = match quote {
                b'"' => memchr::memchr2(b'"', b'\\', rest),
                _ => rest
                    .iter()
                    .position(|byte| matches!(byte, b'\'' | b'\\' | b'\r' | b'\n')),
            };
            let Some(next) = next else {
                self.cursor.skip(rest.len());
                return Kind::Unterminated;
            };
            match rest.get(next) {
                Some(b'\\') => self.cursor.skip(next.saturating_add(2)),
                Some(&byte) if byte == quote => {
                    self.cursor.skip(next.saturating_add(1));
                    return kind;
                }
                _ => {
                    self.cursor.skip(next);
                    return Kind::Unterminated;
                }
            }
        }
    }

    /// True if a sign or a point begins a number.
    fn is_number_ahead(&self) -> bool {
        let digit_at = |ahead| {
            self.cursor
                .peek_byte_at(ahead)
                .is_some_and(|byte| byte.is_ascii_digit())
        };
        let is_sign = matches!(self.cursor.peek_byte(), Some(b'+' | b'-'));
        digit_at(1) || (is_sign && self.cursor.peek_byte_at(1) == Some(b'.') && digit_at(2))
    }

    /// Passes all that hangs together with a number, so that `12abc` is one bad number and not two
    /// tokens.
    fn number(&mut self) -> Kind {
        let start = self.cursor.offset();
        if matches!(self.cursor.peek_byte(), Some(b'+' | b'-')) {
            self.cursor.skip(1);
        }
        loop {
            self.cursor.take_while(|c| c == '.' || is_word_part(c));
            let so_far = self
                .cursor
                .text_from(start)
                .trim_start_matches(['+', '-'])
                .as_bytes();
            let is_hexadecimal = matches!(so_far, [b'0', b'x' | b'X', ..]);
            let is_exponent = matches!(so_far, [.., b'e' | b'E']) && !is_hexadecimal;
            let sign = matches!(self.cursor.peek_byte(), Some(b'+' | b'-'));
            if !(is_exponent && sign) {
                return Kind::Number;
            }
            self.cursor.skip(1);
        }
    }

    /// Passes a name; returns whether there was one.
    fn word(&mut self) -> bool {
        let start = self.cursor.offset();
        if self
            .cursor
            .peek_byte()
            .is_some_and(|byte| byte.is_ascii_digit())
        {
            return false;
        }
        loop {
            self.cursor
                .take_ascii_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            match self.cursor.peek() {
                Some(c) if !c.is_ascii() && is_word_part(c) => _ = self.cursor.bump(),
                _ => return self.cursor.offset() > start,
            }
        }
    }
}

/// True if a character may stand inside a name.
pub(super) fn is_word_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || (!c.is_ascii() && !c.is_whitespace())
}

/// True if a text is a name.
pub(super) fn is_word(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(is_word_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<(Kind, &str)> {
        let mut lexer = Lexer::new(text);
        let next = || {
            let token = lexer.next();
            (token.kind != Kind::End).then(|| (token.kind, token.span.of(text)))
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn tokens_of_every_kind() {
        use Kind::{Alias, Char, Dollar, Mark, Number, Text, Unknown, Unterminated, Word};
        let text = "a_1 é$b /* c */ -0x1F 1.5e-3 .5 101b \"x\\\"y\"'z'{// end\n#$ @\\\r\n12ab+.";
        let expected = [
            (Word, "a_1"),
            (Word, "é"),
            (Alias, "$b"),
            (Number, "-0x1F"),
            (Number, "1.5e-3"),
            (Number, ".5"),
            (Number, "101b"),
            (Text, "\"x\\\"y\""),
            (Char, "'z'"),
            (Mark(b'{'), "{"),
            (Mark(b'#'), "#"),
            (Dollar, "$"),
            (Unknown, "@"),
            (Number, "12ab"),
            (Unknown, "+"),
            (Unknown, "."),
        ];
        assert_eq!(tokens(text), expected);
        assert_eq!(tokens("\"a"), [(Unterminated, "\"a")]);
        assert_eq!(tokens("'a\nb"), [(Unterminated, "'a"), (Word, "b")]);
        assert_eq!(tokens("a /* b"), [(Word, "a"), (Unterminated, "/*")]);
        assert_eq!(tokens("\"\\"), [(Unterminated, "\"\\")]);
    }

    #[test]
    fn line_starts_and_no_break_spaces_are_seen() {
        let mut lexer = Lexer::new("a\u{a0}b\n /**/ c");
        let firsts =
            [lexer.next(), lexer.next(), lexer.next(), lexer.next()].map(|token| token.is_first);
        assert_eq!(
            (firsts, lexer.no_break_space),
            ([true, false, true, false], Some(1))
        );
    }
}

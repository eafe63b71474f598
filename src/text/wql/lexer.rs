//! Tokens of a query, each made when it is asked for.

use super::number::{self, Number};
use super::tree::Relation;
use crate::base::query_error::{QueryCode, QueryError, quote};
use crate::text::cursor::Cursor;
use crate::text::span::Span;

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    /// A name or keyword.
    Name(&'t str),
    /// A text: what stands between its quotes, escapes as they are.
    Text(&'t str),
    Number(Number),
    Relation(Relation),
    Open,
    Close,
    Comma,
    Star,
    Dot,
    /// Text between braces.
    Path(&'t str),
    End,
}

impl Token<'_> {
    /// True if it is the keyword, in any case.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Name(name) if name.eq_ignore_ascii_case(keyword))
    }
}

/// True if a character is white space: it separates tokens and means nothing else.
pub const fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}')
}

/// True if a name may begin with a character.
pub(super) const fn begins_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c > '\u{7f}'
}

pub(super) const fn is_of_name(c: char) -> bool {
    begins_name(c) || c.is_ascii_digit()
}

/// The tokens of a text. A copy of it looks ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexer<'t> {
    cursor: Cursor<'t>,
}

impl<'t> Lexer<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self {
            cursor: Cursor::new(text),
        }
    }

    /// Passes the next token; gives it with its place.
    pub(super) fn next(&mut self) -> Result<(Token<'t>, Span), QueryError> {
        self.cursor.take_while(is_white);
        let start = self.cursor.offset();
        let Some(c) = self.cursor.peek() else {
            return Ok((Token::End, Span::at(start)));
        };
        let token = match c {
            '"' | '\'' => self.text(c)?,
            '{' => self.path()?,
            _ if begins_name(c) => Token::Name(self.cursor.take_while(is_of_name)),
            _ if number::begins(&self.cursor) => self.number()?,
            _ => self.sign()?,
        };
        Ok((token, self.cursor.span_from(start)))
    }

    fn number(&mut self) -> Result<Token<'t>, QueryError> {
        let start = self.cursor.offset();
        number::take(&mut self.cursor)
            .map(Token::Number)
            .map_err(|code| {
                let rest = |c: char| is_of_name(c);
                self.cursor.take_while(rest);
                let text = match code {
                    QueryCode::NumberRange => "the number is outside of what 64 bits hold",
                    _ => "a letter follows the number directly",
                };
                QueryError::new(code, self.cursor.span_from(start).range(), text)
            })
    }

    /// A text up to its own quote. A backslash takes the next character along, whatever that means
    /// later.
    fn text(&mut self, quote: char) -> Result<Token<'t>, QueryError> {
        let open = self.cursor.offset();
        self.cursor.skip(1);
        let start = self.cursor.offset();
        loop {
            self.cursor.take_while(|c| c != quote && c != '\\');
            let inside = self.cursor.text_from(start);
            match self.cursor.bump() {
                Some('\\') => _ = self.cursor.bump(),
                Some(_) => return Ok(Token::Text(inside)),
                None => {
                    let what = "the text has no closing quote";
                    let at = Span::new(open, open.saturating_add(1)).range();
                    return Err(QueryError::new(QueryCode::UnterminatedText, at, what)
                        .help("a quote inside a text, and a backslash, stands after a backslash"));
                }
            }
        }
    }

    /// An object path up to the closing brace. Braces inside quotes belong to it.
    fn path(&mut self) -> Result<Token<'t>, QueryError> {
        let open = self.cursor.offset();
        self.cursor.skip(1);
        let start = self.cursor.offset();
        let mut quote = None;
        loop {
            let inside = self.cursor.text_from(start);
            match (self.cursor.bump(), quote) {
                (None, _) => {
                    let at = Span::new(open, open.saturating_add(1)).range();
                    return Err(QueryError::new(
                        QueryCode::UnclosedBrace,
                        at,
                        "the brace is never closed",
                    ));
                }
                (Some('\\'), Some(_)) => _ = self.cursor.bump(),
                (Some(c), Some(open)) if c == open => quote = None,
                (Some(c @ ('"' | '\'')), None) => quote = Some(c),
                (Some('}'), None) => return Ok(Token::Path(inside)),
                (Some(_), _) => {}
            }
        }
    }

    fn sign(&mut self) -> Result<Token<'t>, QueryError> {
        const SIGNS: [(&str, Token<'static>); 12] = [
            ("<>", Token::Relation(Relation::NotEqual)),
            ("!=", Token::Relation(Relation::NotEqual)),
            ("<=", Token::Relation(Relation::AtMost)),
            (">=", Token::Relation(Relation::AtLeast)),
            ("<", Token::Relation(Relation::Less)),
            (">", Token::Relation(Relation::Greater)),
            ("=", Token::Relation(Relation::Equal)),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
            ("*", Token::Star),
            (".", Token::Dot),
        ];
        for (text, token) in SIGNS {
            if self.cursor.eat_str(text) {
                return Ok(token);
            }
        }
        let start = self.cursor.offset();
        let c = self.cursor.bump().map(String::from).unwrap_or_default();
        let text = format!("{} means nothing here", quote(&c));
        Err(QueryError::new(
            QueryCode::UnexpectedCharacter,
            self.cursor.span_from(start).range(),
            text,
        ))
    }
}

/// Decodes a text that is compared: a backslash stands before a backslash or a quote alone. `start`
/// is where the text begins inside its quotes.
///
/// # Errors
/// `bad-escape`.
pub(super) fn unescape(inside: &str, start: u32) -> Result<String, QueryError> {
    resolve(inside).map_err(|offset| {
        let at = crate::base::widen(start).saturating_add(offset);
        let text = "a backslash must be doubled in a text";
        let help = format!("write \"{}\"", doubled(inside));
        QueryError::new(QueryCode::BadEscape, at..at.saturating_add(1), text).help(help)
    })
}

/// The text without its escapes, or the offset of the backslash that begins none.
fn resolve(inside: &str) -> Result<String, usize> {
    let mut text = String::with_capacity(inside.len());
    let mut chars = inside.char_indices();
    while let Some((offset, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, escaped @ ('\\' | '"' | '\''))) => text.push(escaped),
                _ => return Err(offset),
            },
            c => text.push(c),
        }
    }
    Ok(text)
}

/// A text with every backslash doubled that begins no escape.
fn doubled(inside: &str) -> String {
    let mut text = String::with_capacity(inside.len());
    let mut chars = inside.chars().peekable();
    while let Some(c) = chars.next() {
        text.push(c);
        if c != '\\' {
            continue;
        }
        match chars.next_if(|next| matches!(next, '\\' | '"' | '\'')) {
            Some(escaped) => text.push(escaped),
            None => text.push('\\'),
        }
    }
    quote(&text)
}

/// Decodes a pattern of LIKE: as a text that is compared, but a backslash before anything else is
/// itself.
pub(super) fn unescape_pattern(inside: &str) -> String {
    let mut text = String::with_capacity(inside.len());
    let mut chars = inside.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' {
            chars.next_if(|next| matches!(next, '\\' | '"' | '\''))
        } else {
            None
        };
        text.push(escaped.unwrap_or(c));
    }
    text
}

//! The parser: `SELECT`, its columns, and the words that ask for events.

use super::assoc;
use super::lexer::{Lexer, Token};
use super::number::Number;
use super::tree::{At, Column, Columns, Event, Group, Query, Select};
use crate::base::limits::{MAX_QUERY_BYTES, MAX_QUERY_COLUMNS, MAX_QUERY_NAMES};
use crate::base::query_error::{QueryCode, QueryError, quote};
use crate::cim::name::Name;
use crate::text::span::Span;

/// Names that never mean a property.
const RESERVED: [&str; 3] = ["NULL", "TRUE", "FALSE"];

/// Reads a query.
///
/// # Errors
/// The leftmost reason why `text` is none; `limit` when it is larger than [`MAX_QUERY_BYTES`] and
/// its neighbours allow.
pub fn parse(text: &str) -> Result<Query, QueryError> {
    if text.len() > MAX_QUERY_BYTES {
        return Err(too_many("bytes of the text", MAX_QUERY_BYTES, Span::at(0)));
    }
    let mut parser = Parser::new(text);
    let (first, span) = parser.peek()?;
    match first {
        Token::End => Err(QueryError::new(
            QueryCode::Empty,
            0..text.len(),
            "there is no query",
        )),
        token if token.is("SELECT") => parser.select(),
        token if token.is("ASSOCIATORS") || token.is("REFERENCES") => assoc::parse(&mut parser),
        token => Err(unexpected(
            &token,
            span,
            "SELECT, ASSOCIATORS OF or REFERENCES OF",
        )),
    }
}

/// The refusal of what is larger than a bound.
pub(super) fn too_many(what: &str, most: usize, span: Span) -> QueryError {
    QueryError::new(
        QueryCode::Limit,
        span.range(),
        format!("there are more than {most} {what}"),
    )
}

/// The refusal of a token that does not fit.
pub(super) fn unexpected(token: &Token<'_>, span: Span, expected: &str) -> QueryError {
    let found = match token {
        Token::Name(name) => quote(name),
        Token::Text(_) => "a text".to_owned(),
        Token::Number(number) => quote(number.text()),
        Token::Relation(_) => "an operator".to_owned(),
        Token::Open => "(".to_owned(),
        Token::Close => ")".to_owned(),
        Token::Comma => "a comma".to_owned(),
        Token::Star => "*".to_owned(),
        Token::Dot => "a point".to_owned(),
        Token::Path(_) => "an object path".to_owned(),
        Token::End => "the end".to_owned(),
    };
    QueryError::new(
        QueryCode::Syntax,
        span.range(),
        format!("{expected} is expected here, not {found}"),
    )
}

/// True if a name may be that of a property or class.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// A place in the tokens of a query.
pub(super) struct Parser<'t> {
    lexer: Lexer<'t>,
}

impl<'t> Parser<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self {
            lexer: Lexer::new(text),
        }
    }

    pub(super) fn next(&mut self) -> Result<(Token<'t>, Span), QueryError> {
        self.lexer.next()
    }

    pub(super) fn peek(&self) -> Result<(Token<'t>, Span), QueryError> {
        let mut ahead = self.lexer;
        ahead.next()
    }

    /// The token after the next; `End` where it cannot be read, since nothing has come to it yet.
    fn peek_second(&self) -> Token<'t> {
        let mut ahead = self.lexer;
        let second = ahead.next().and_then(|_| ahead.next());
        second.map_or(Token::End, |(token, _)| token)
    }

    /// Passes a keyword if it comes next; gives its place.
    pub(super) fn eat(&mut self, keyword: &str) -> Result<Option<Span>, QueryError> {
        let (token, span) = self.peek()?;
        if !token.is(keyword) {
            return Ok(None);
        }
        self.next()?;
        Ok(Some(span))
    }

    pub(super) fn expect(&mut self, keyword: &str) -> Result<Span, QueryError> {
        let (token, span) = self.next()?;
        if token.is(keyword) {
            Ok(span)
        } else {
            Err(unexpected(&token, span, keyword))
        }
    }

    pub(super) fn end(&mut self, expected: &str) -> Result<(), QueryError> {
        match self.next()? {
            (Token::End, _) => Ok(()),
            (token, span) => Err(unexpected(&token, span, expected)),
        }
    }

    /// A name that is not reserved.
    pub(super) fn name(&mut self, expected: &str) -> Result<At<Name>, QueryError> {
        match self.next()? {
            (Token::Name(name), span) if !is_reserved(name) => Ok(At::new(Name::from(name), span)),
            (token, span) => Err(unexpected(&token, span, expected)),
        }
    }

    /// A column whose first name comes next.
    pub(super) fn column(&mut self) -> Result<Column, QueryError> {
        let mut names = vec![self.name("a property")?];
        while matches!(self.peek()?, (Token::Dot, _)) {
            let (_, span) = self.next()?;
            if names.len() == MAX_QUERY_NAMES {
                return Err(too_many("names in a column", MAX_QUERY_NAMES, span));
            }
            names.push(self.name("a property")?);
        }
        Ok(Column { names })
    }

    fn select(mut self) -> Result<Query, QueryError> {
        self.expect("SELECT")?;
        let columns = self.columns()?;
        self.expect("FROM")?;
        let class = self.name("a class")?;
        let (mut first_word, mut within) = (self.eat("WITHIN")?, None);
        if first_word.is_some() {
            within = Some(self.number("a number of seconds")?);
        }
        let condition = if self.eat("WHERE")?.is_some() {
            Some(self.condition()?)
        } else {
            None
        };
        let group_word = self.eat("GROUP")?;
        first_word = first_word.or(group_word);
        let group = if group_word.is_some() {
            Some(self.group()?)
        } else {
            None
        };
        self.end(match (&condition, &group) {
            (None, None) => "WHERE or the end",
            (Some(_), None) => "AND, OR or the end",
            _ => "the end",
        })?;

        let select = Select {
            columns,
            class,
            condition,
        };
        Ok(match first_word {
            None => Query::Select(select),
            Some(span) => Query::Event(Event {
                select,
                within,
                group,
                first_word: At::new((), span),
            }),
        })
    }

    fn columns(&mut self) -> Result<At<Columns>, QueryError> {
        let (token, start) = self.peek()?;
        if token == Token::Star {
            self.next()?;
            return Ok(At::new(Columns::All, start));
        }
        if token.is("COUNT") && self.peek_second() == Token::Open {
            return self.count(start);
        }
        let mut named = Vec::new();
        loop {
            if named.len() == MAX_QUERY_COLUMNS {
                return Err(too_many("columns", MAX_QUERY_COLUMNS, self.peek()?.1));
            }
            self.refuse_missing_column()?;
            named.push(self.column()?);
            match self.peek()? {
                (Token::Comma, _) => _ = self.next()?,
                (_, end) => {
                    return Ok(At::new(
                        Columns::Named(named),
                        Span::new(start.start, end.start),
                    ));
                }
            }
        }
    }

    /// `FROM` is a column only where the list goes on after it.
    fn refuse_missing_column(&self) -> Result<(), QueryError> {
        let (token, span) = self.peek()?;
        let second = self.peek_second();
        let goes_on = matches!(second, Token::Comma | Token::Dot) || second.is("FROM");
        if token.is("FROM") && !goes_on {
            return Err(QueryError::new(
                QueryCode::Syntax,
                span.range(),
                "a column is missing before FROM",
            ));
        }
        Ok(())
    }

    fn count(&mut self, start: Span) -> Result<At<Columns>, QueryError> {
        self.next()?;
        self.next()?;
        for (wanted, expected) in [(Token::Star, "*"), (Token::Close, ")")] {
            let (token, span) = self.next()?;
            if token != wanted {
                return Err(unexpected(&token, span, expected));
            }
        }
        Ok(At::new(Columns::Count, start))
    }

    fn number(&mut self, expected: &str) -> Result<At<Number>, QueryError> {
        match self.next()? {
            (Token::Number(number), span) => Ok(At::new(number, span)),
            (token, span) => Err(unexpected(&token, span, expected)),
        }
    }

    /// Reads the clause after `GROUP`.
    fn group(&mut self) -> Result<Group, QueryError> {
        self.expect("WITHIN")?;
        let within = match self.number("a number of seconds")? {
            At {
                value: Number::Real { text, .. },
                span,
            } => {
                let token = Token::Number(Number::Real { value: 0.0, text });
                return Err(unexpected(&token, span, "a whole number of seconds"));
            }
            within => within,
        };
        let mut by = Vec::new();
        if self.eat("BY")?.is_some() {
            by.push(self.column()?);
            while matches!(self.peek()?, (Token::Comma, _)) {
                let (_, span) = self.next()?;
                if by.len() == MAX_QUERY_COLUMNS {
                    return Err(too_many("columns", MAX_QUERY_COLUMNS, span));
                }
                by.push(self.column()?);
            }
        }
        let having = if self.eat("HAVING")?.is_some() {
            Some(self.condition()?)
        } else {
            None
        };
        Ok(Group { within, by, having })
    }
}

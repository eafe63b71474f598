//! Conditions. Parentheses wait on a stack of their own, not on that of the thread.

use super::lexer::{Token, unescape, unescape_pattern};
use super::parser::{Parser, is_reserved, too_many, unexpected};
use super::tree::{At, Column, Condition, Constant, Relation, Term, Test};
use crate::base::limits::{MAX_CONDITION_DEPTH, MAX_CONDITION_TERMS, MAX_PATTERN_CHARS};
use crate::base::query_error::{QueryCode, QueryError};
use crate::cim::name::Name;
use crate::text::span::Span;

/// Columns that may be compared with a name without quotes.
const NAMED: [&str; 3] = ["__CLASS", "__SUPERCLASS", "__DYNASTY"];

/// Conditions read since a parenthesis was opened.
#[derive(Default)]
struct Level {
    /// The parts of the OR before the AND at hand.
    any: Vec<Condition>,
    /// The parts of the AND at hand.
    all: Vec<Condition>,
    /// NOTs that wait for what they turn round.
    nots: usize,
}

impl Level {
    fn negated(&mut self, condition: Condition) -> Condition {
        let nots = std::mem::take(&mut self.nots);
        (0..nots).fold(condition, |inner, _| Condition::Not(Box::new(inner)))
    }

    fn end_and(&mut self) {
        let all = std::mem::take(&mut self.all);
        self.any.extend(joined(all, Condition::All));
    }

    fn finish(mut self) -> Option<Condition> {
        self.end_and();
        joined(self.any, Condition::Any)
    }
}

/// The only part, or all of them joined.
fn joined(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Option<Condition> {
    if parts.len() > 1 {
        Some(join(parts))
    } else {
        parts.pop()
    }
}

impl<'t> Parser<'t> {
    /// A condition, up to the first token that does not go on with it.
    pub(super) fn condition(&mut self) -> Result<Condition, QueryError> {
        let mut open: Vec<Level> = Vec::new();
        let mut level = Level::default();
        let (mut depth, mut terms) = (0, 0);
        loop {
            let (token, span) = self.peek()?;
            if token.is("NOT") || token == Token::Open {
                depth += 1;
                if depth > MAX_CONDITION_DEPTH {
                    return Err(too_many(
                        "parentheses and NOTs in each other",
                        MAX_CONDITION_DEPTH,
                        span,
                    ));
                }
                self.next()?;
                match token {
                    Token::Open => open.push(std::mem::take(&mut level)),
                    _ => level.nots += 1,
                }
                continue;
            }
            terms += 1;
            if terms > MAX_CONDITION_TERMS {
                return Err(too_many(
                    "terms in the condition",
                    MAX_CONDITION_TERMS,
                    span,
                ));
            }
            let mut complete = Condition::Term(Box::new(self.term()?));

            // What is complete goes into its level, and ends as many levels as parentheses are
            // closed.
            loop {
                depth = depth.saturating_sub(level.nots);
                let part = level.negated(complete);
                level.all.push(part);
                let (token, span) = self.peek()?;
                match (&token, open.pop()) {
                    (Token::Close, Some(outer)) => {
                        self.next()?;
                        depth = depth.saturating_sub(1);
                        let inner = std::mem::replace(&mut level, outer).finish();
                        complete = inner.ok_or_else(|| unexpected(&token, span, "a condition"))?;
                        continue;
                    }
                    (_, outer) => open.extend(outer),
                }
                if token.is("AND") {
                    self.next()?;
                } else if token.is("OR") {
                    self.next()?;
                    level.end_and();
                } else if open.is_empty() {
                    let whole = level.finish();
                    return whole.ok_or_else(|| unexpected(&token, span, "a condition"));
                } else {
                    return Err(unexpected(&token, span, "AND, OR or )"));
                }
                break;
            }
        }
    }

    fn term(&mut self) -> Result<Term, QueryError> {
        match self.peek()? {
            (Token::Name(name), _) if !is_reserved(name) => {
                let column = self.column()?;
                self.test(column)
            }
            (Token::Name(_) | Token::Text(_) | Token::Number(_), _) => self.turned(),
            (token, span) => Err(unexpected(&token, span, "a property, a constant, NOT or (")),
        }
    }

    /// Reads the test after a column.
    fn test(&mut self, column: Column) -> Result<Term, QueryError> {
        let (token, span) = self.next()?;
        let test = match token {
            Token::Relation(relation) => self.compared(&column, At::new(relation, span))?,
            ref token if token.is("IS") => self.null()?,
            ref token if token.is("ISA") => Test::Isa(self.name_or_text("the name of a class")?),
            ref token if token.is("LIKE") => Test::Like(At::new((), span), self.pattern()?),
            token if token.is("NOT") && self.peek()?.0.is("LIKE") => {
                let text = "NOT stands before the property";
                let help = format!("write NOT {} LIKE …", super::print::column_text(&column));
                return Err(QueryError::new(QueryCode::NotPlacement, span.range(), text).help(help));
            }
            token => return Err(unexpected(&token, span, "an operator")),
        };
        Ok(Term { column, test })
    }

    /// Reads the operand after a column and a relation.
    fn compared(&mut self, column: &Column, relation: At<Relation>) -> Result<Test, QueryError> {
        let (token, span) = self.peek()?;
        let constant = match token {
            Token::Name(name) if !is_reserved(name) => {
                let other = self.column()?;
                // Between names that compare by equality, a name without quotes is the text.
                let takes_name = column
                    .single()
                    .is_some_and(|own| NAMED.iter().any(|named| own.value == *named));
                if !takes_name || relation.value.is_order() || other.single().is_none() {
                    let text = "two properties cannot be compared with each other";
                    let error = QueryError::new(QueryCode::TwoProperties, span.range(), text);
                    return Err(error.help("a text stands in quotes"));
                }
                At::new(Constant::Text(name.to_owned()), span)
            }
            _ => self.constant("a constant")?,
        };
        refuse_order_of_null(&constant.value, &relation)?;
        Ok(Test::Compare(relation, constant))
    }

    /// A term with its constant on the left.
    fn turned(&mut self) -> Result<Term, QueryError> {
        let constant = self.constant("a constant")?;
        let relation = match self.next()? {
            (Token::Relation(relation), span) => At::new(relation, span),
            (token, span) => return Err(unexpected(&token, span, "an operator that compares")),
        };
        match self.peek()? {
            (Token::Name(name), _) if !is_reserved(name) => {}
            (Token::Name(_) | Token::Text(_) | Token::Number(_), _) => {
                let text = "two constants are compared; one side must be a property";
                return Err(QueryError::new(
                    QueryCode::TwoConstants,
                    constant.span.range(),
                    text,
                ));
            }
            (token, span) => return Err(unexpected(&token, span, "a property")),
        }
        let column = self.column()?;
        refuse_order_of_null(&constant.value, &relation)?;
        let relation = At::new(relation.value.turned(), relation.span);
        Ok(Term {
            column,
            test: Test::Compare(relation, constant),
        })
    }

    fn constant(&mut self, expected: &str) -> Result<At<Constant>, QueryError> {
        let (token, span) = self.next()?;
        let constant = match token {
            Token::Text(inside) => Constant::Text(unescape(inside, span.start.saturating_add(1))?),
            Token::Number(number) => Constant::Number(number),
            Token::Name(name) if name.eq_ignore_ascii_case("NULL") => Constant::Null,
            Token::Name(name) if is_reserved(name) => {
                Constant::Boolean(name.eq_ignore_ascii_case("TRUE"))
            }
            token => return Err(unexpected(&token, span, expected)),
        };
        Ok(At::new(constant, span))
    }

    /// Reads the rest of a test after `IS`.
    fn null(&mut self) -> Result<Test, QueryError> {
        let negated = self.eat("NOT")?.is_some();
        match self.next()? {
            (token, _) if token.is("NULL") => Ok(Test::Null(negated)),
            (token @ Token::End, span) => Err(unexpected(&token, span, "NULL or NOT NULL")),
            (_, span) => {
                let text = "IS stands before NULL or NOT NULL alone";
                Err(QueryError::new(QueryCode::IsNeedsNull, span.range(), text)
                    .help("compare with = or <>"))
            }
        }
    }

    /// Reads the pattern after `LIKE`.
    fn pattern(&mut self) -> Result<At<String>, QueryError> {
        match self.next()? {
            (Token::Text(inside), span) => {
                let pattern = unescape_pattern(inside);
                if pattern.chars().nth(MAX_PATTERN_CHARS).is_some() {
                    return Err(too_many(
                        "characters in the pattern",
                        MAX_PATTERN_CHARS,
                        span,
                    ));
                }
                Ok(At::new(pattern, span))
            }
            (token @ Token::End, span) => Err(unexpected(&token, span, "a pattern")),
            (_, span) => {
                let text = "LIKE needs a pattern in quotes";
                Err(QueryError::new(
                    QueryCode::LikeNeedsText,
                    span.range(),
                    text,
                ))
            }
        }
    }

    /// A name, bare or in quotes.
    pub(super) fn name_or_text(&mut self, expected: &str) -> Result<At<Name>, QueryError> {
        match self.peek()? {
            (Token::Text(inside), span) => {
                self.next()?;
                Ok(At::new(
                    Name::from(unescape(inside, span.start.saturating_add(1))?),
                    span,
                ))
            }
            _ => self.name(expected),
        }
    }
}

fn refuse_order_of_null(constant: &Constant, relation: &At<Relation>) -> Result<(), QueryError> {
    if *constant != Constant::Null || !relation.value.is_order() {
        return Ok(());
    }
    let Span { start, end } = relation.span;
    let error = QueryError::new(
        QueryCode::NullOrder,
        Span::new(start, end).range(),
        "NULL has no order",
    );
    Err(error.help("IS NULL and IS NOT NULL test for it"))
}

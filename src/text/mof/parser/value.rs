//! Values and instances.

use std::borrow::Cow;

use super::{Parse, Parser, Reported};
use crate::text::mof::code;
use crate::text::mof::lexer::Kind;
use crate::text::mof::literal::{self, Number, Oddity, OddityKind};
use crate::text::mof::tree::{
    Assignment, At, Initializer, InstanceDeclaration, Qualifiers, Text, Value, ValueKind,
};
use crate::text::span::Span;

impl<'t> Parser<'t> {
    /// A value, or a list of values in braces.
    pub(super) fn initializer(&mut self) -> Parse<Initializer<'t>> {
        match self.token.is(b'{') {
            true => self.list(),
            false => self.value().map(Initializer::One),
        }
    }

    /// A list of values, from its opening brace.
    pub(super) fn list(&mut self) -> Parse<Initializer<'t>> {
        let start = self.token.span.start;
        self.bump();
        let mut values = Vec::new();
        while !self.eat(b'}') {
            if self.token.is(b'{') {
                return self.fail(
                    code::EXPECTED_CLOSE_BRACE,
                    "an array cannot be an element of an array",
                );
            }
            values.push(self.value()?);
            if self.token.is(b'}') {
                continue;
            }
            if !self.eat(b',') {
                return self.expected(code::EXPECTED_CLOSE_BRACE, "`,` or `}`");
            }
            if self.token.is(b'}') {
                let text = "a comma stands before the closing brace";
                self.doubt(code::EXPECTED_CLOSE_BRACE, self.token.span, text);
            }
        }
        Ok(Initializer::List(values, self.span_from(start)))
    }

    pub(super) fn value(&mut self) -> Parse<Value<'t>> {
        let start = self.token.span.start;
        let kind = match self.token.kind {
            Kind::Text => ValueKind::Text(self.text()?.value),
            Kind::Number => self.number()?,
            Kind::Char => self.character()?,
            Kind::Alias => {
                let name = self.spelling().get(1..).unwrap_or_default();
                self.bump();
                ValueKind::Alias(name.into())
            }
            Kind::Dollar => {
                return self.expected(code::EXPECTED_ALIAS_NAME, "the name of an alias after `$`");
            }
            Kind::Word => self.word_value(start)?,
            Kind::Mark(b'[') => {
                let qualifiers = self.qualifiers()?;
                self.embedded(start, qualifiers)?
            }
            _ => return self.expected(code::ILLEGAL_CONSTANT_VALUE, "a value"),
        };
        Ok(Value {
            kind,
            at: self.span_from(start),
        })
    }

    fn word_value(&mut self, start: u32) -> Parse<ValueKind<'t>> {
        let kind = match self.spelling() {
            word if word.eq_ignore_ascii_case("TRUE") => ValueKind::Boolean(true),
            word if word.eq_ignore_ascii_case("FALSE") => ValueKind::Boolean(false),
            word if word.eq_ignore_ascii_case("NULL") => ValueKind::Null,
            word if word.eq_ignore_ascii_case("instance") => {
                return self.embedded(start, Vec::new());
            }
            word if word.eq_ignore_ascii_case("value")
                && self.ahead().next().kind == Kind::Word =>
            {
                let text = "`value of` belongs to MOF 3 (DSP0221), which is not supported";
                return self.fail(code::UNSUPPORTED_CIMV22_QUAL_VALUE, text);
            }
            _ => return self.expected(code::ILLEGAL_CONSTANT_VALUE, "a value"),
        };
        self.bump();
        Ok(kind)
    }

    fn embedded(&mut self, start: u32, qualifiers: Qualifiers<'t>) -> Parse<ValueKind<'t>> {
        let instance = self.deeper(|parser| parser.instance(start, qualifiers, true))?;
        Ok(ValueKind::Instance(Box::new(instance)))
    }

    fn number(&mut self) -> Parse<ValueKind<'t>> {
        let kind = match literal::number(self.spelling()) {
            Some(Number::Integer(value)) => ValueKind::Integer(value),
            Some(Number::Real(value)) if value.is_finite() => ValueKind::Real(value),
            Some(Number::Real(_)) => {
                return self.fail(code::OUT_OF_RANGE, "the number is too large for a real64");
            }
            None => {
                let text = format!(
                    "`{}` is no number",
                    self.spelling().chars().take(40).collect::<String>()
                );
                return self.fail(code::ILLEGAL_CONSTANT_VALUE, text);
            }
        };
        self.bump();
        Ok(kind)
    }

    fn character(&mut self) -> Parse<ValueKind<'t>> {
        let quoted = self.spelling();
        let raw = quoted
            .get(1..quoted.len().saturating_sub(1))
            .unwrap_or_default();
        match literal::character(raw) {
            Some(unit) => {
                self.bump();
                Ok(ValueKind::Char(unit))
            }
            None => self.fail(
                code::ILLEGAL_CONSTANT_VALUE,
                "single quotes hold one UTF-16 unit or one escape",
            ),
        }
    }

    /// Adjacent strings, joined.
    pub(super) fn text(&mut self) -> Parse<Text<'t>> {
        let start = self.token.span.start;
        let mut value = Cow::Borrowed("");
        let mut is_bad = false;
        while self.token.kind == Kind::Text {
            let quoted = self.spelling();
            let raw = quoted
                .get(1..quoted.len().saturating_sub(1))
                .unwrap_or_default();
            let base = self.token.span.start;
            literal::read_text(raw, &mut value, |oddity| is_bad |= self.odd(base, oddity));
            self.bump();
        }
        if self.token.kind == Kind::Unknown && self.spelling() == "+" {
            let text = "joining strings by `+` belongs to MOF 3 (DSP0221); adjacent strings join \
                by themselves";
            return self.fail(code::UNSUPPORTED_CIMV22_QUAL_VALUE, text);
        }
        if is_bad {
            return Err(Reported);
        }
        Ok(Text {
            value,
            at: self.span_from(start),
        })
    }

    /// Reports an oddity of the string that begins at `base`; returns whether the string cannot be
    /// used.
    fn odd(&mut self, base: u32, oddity: Oddity) -> bool {
        let at = base.saturating_add(crate::base::narrow(oddity.at));
        let span = Span::new(at, at.saturating_add(crate::base::narrow(oddity.length)));
        let code = code::ILLEGAL_CONSTANT_VALUE;
        match oddity.kind {
            OddityKind::UnknownEscape => {
                self.doubt(
                    code,
                    span,
                    "the backslash begins no escape; it was kept (write `\\\\` for one backslash)",
                );
            }
            OddityKind::LoneSurrogate => {
                self.doubt(
                    code,
                    span,
                    "half a surrogate pair is no character; U+FFFD stands for it",
                );
            }
            OddityKind::LineEnd => {
                self.warn(
                    code,
                    span,
                    "the string goes over the end of the line; it was kept as it is",
                );
            }
            OddityKind::Nul => {
                self.report(code, span, "a string cannot hold the character NUL");
                return true;
            }
        }
        false
    }

    /// An instance, from the word `instance` up to its closing brace.
    pub(super) fn instance(
        &mut self,
        start: u32,
        qualifiers: Qualifiers<'t>,
        is_embedded: bool,
    ) -> Parse<InstanceDeclaration<'t>> {
        if !self.eat_word("instance") {
            return self.expected(code::INVALID_INSTANCE_DECLARATION, "`instance`");
        }
        if !self.eat_word("of") {
            return self.expected(code::INVALID_INSTANCE_DECLARATION, "`of`");
        }
        let class = self.ident(code::INVALID_INSTANCE_DECLARATION, "the name of a class")?;
        let alias = if is_embedded { None } else { self.alias()? };
        let open = self.token.span;
        self.expect(b'{', code::EXPECTED_OPEN_BRACE)?;
        let assignments = self.assignments(open)?;
        Ok(InstanceDeclaration {
            qualifiers,
            class,
            alias,
            assignments,
            at: self.span_from(start),
        })
    }

    fn assignments(&mut self, open: Span) -> Parse<Vec<Assignment<'t>>> {
        let (mut assignments, level) = (Vec::new(), self.braces);
        loop {
            if self.eat(b'}') {
                return Ok(assignments);
            }
            if self.token.kind == Kind::End {
                return self.end_in_body(open, "instance");
            }
            if self.is_new_declaration() {
                return self.forgotten_brace(open, "instance");
            }
            match self.assignment() {
                Ok(assignment) => assignments.push(assignment),
                Err(Reported) => self.recover_inside(level),
            }
        }
    }

    fn assignment(&mut self) -> Parse<Assignment<'t>> {
        let start = self.token.span.start;
        let qualifiers = self.qualifiers()?;
        let name = self.ident(code::EXPECTED_PROPERTY_NAME, "the name of a property")?;
        let value = match self.eat(b'=') {
            true => Some(self.initializer()?),
            false => None,
        };
        let at = name.at.to(At(Span::new(start, self.end)));
        self.expect_semicolon()?;
        Ok(Assignment {
            qualifiers,
            name,
            value,
            at,
        })
    }
}

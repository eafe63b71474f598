//! Qualifiers and their declarations.

use std::collections::HashMap;

use super::{Parse, Parser, Reported};
use crate::cim::types::ScalarType;
use crate::text::mof::code;
use crate::text::mof::lexer::Kind;
use crate::text::mof::tree::{
    At, FlavorWords, Ident, Initializer, Qualifier, QualifierDeclaration, QualifierType, Qualifiers,
};
use crate::text::span::Span;

/// The base type with this name, in any case.
pub(super) fn base_type(word: &str) -> Option<ScalarType> {
    // The word for a reference in JSON and messages is no type in MOF.
    let all = ScalarType::ALL
        .into_iter()
        .filter(|scalar| *scalar != ScalarType::Reference);
    all.into_iter()
        .find(|scalar| scalar.as_str().eq_ignore_ascii_case(word))
}

/// The flavor with this name, in any case. `Translatable` is DMTF's word for `Amended`.
fn flavor(word: &str) -> Option<FlavorWords> {
    if word.eq_ignore_ascii_case("Translatable") {
        return Some(FlavorWords::AMENDED);
    }
    let found = FlavorWords::WORDS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map(|(_, flavor)| *flavor)
}

impl<'t> Parser<'t> {
    /// The lists of qualifiers that stand here, joined; empty if there is none.
    pub(super) fn qualifiers(&mut self) -> Parse<Qualifiers<'t>> {
        let mut all = Vec::new();
        while self.eat(b'[') {
            self.list_of_qualifiers(&mut all)?;
        }
        if all.len() > 1 {
            self.check_duplicates(&all);
        }
        Ok(all)
    }

    fn list_of_qualifiers(&mut self, all: &mut Qualifiers<'t>) -> Parse<()> {
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            all.push(self.qualifier()?);
            if self.eat(b']') {
                return Ok(());
            }
            self.expect_comma_or(b']')?;
            if self.token.is(b']') {
                let text = "a comma stands before the closing bracket";
                self.doubt(code::EXPECTED_QUALIFIER_NAME, self.token.span, text);
                self.bump();
                return Ok(());
            }
        }
    }

    fn expect_comma_or(&mut self, close: u8) -> Parse<()> {
        match self.eat(b',') {
            true => Ok(()),
            false => {
                let code = if close == b']' {
                    code::EXPECTED_CLOSE_BRACKET
                } else {
                    code::EXPECTED_CLOSE_PAREN
                };
                self.expected(code, &format!("`,` or `{}`", char::from(close)))
            }
        }
    }

    fn qualifier(&mut self) -> Parse<Qualifier<'t>> {
        let start = self.token.span.start;
        let name = self.ident(code::EXPECTED_QUALIFIER_NAME, "the name of a qualifier")?;
        let value = match self.token.kind {
            Kind::Mark(b'(') => {
                self.bump();
                let value = self.value()?;
                self.expect(b')', code::EXPECTED_CLOSE_PAREN)?;
                Some(Initializer::One(value))
            }
            Kind::Mark(b'{') => Some(self.list()?),
            _ => None,
        };
        let flavors = if self.eat(b':') {
            self.flavors()?
        } else {
            FlavorWords::empty()
        };
        let at = self.span_from(start);
        let is_cimtype = name.is("CIMTYPE") || (name.is("SYNTAX") && names_type(value.as_ref()));
        if is_cimtype {
            let text = format!(
                "the qualifier {} cannot be written; the type before the name says it",
                name.text
            );
            self.report(code::CIMTYPE_QUALIFIER, at.0, text);
        }
        Ok(Qualifier {
            name,
            value,
            flavors,
            at,
        })
    }

    /// One or more flavors.
    fn flavors(&mut self) -> Parse<FlavorWords> {
        let start = self.token.span.start;
        let mut flavors = self.flavor()?;
        while self.token.kind == Kind::Word {
            flavors |= self.flavor()?;
        }
        self.check_flavors(flavors, self.span_from(start).0);
        Ok(flavors)
    }

    fn flavor(&mut self) -> Parse<FlavorWords> {
        let found = (self.token.kind == Kind::Word)
            .then(|| flavor(self.spelling()))
            .flatten();
        match found {
            Some(flavor) => {
                self.bump();
                Ok(flavor)
            }
            None => self.expected(code::EXPECTED_FLAVOR_TYPE, "a flavor"),
        }
    }

    fn check_flavors(&mut self, flavors: FlavorWords, span: Span) {
        let both = |a: FlavorWords, b: FlavorWords| flavors.contains(a | b);
        let contradicts = both(FlavorWords::ENABLE_OVERRIDE, FlavorWords::DISABLE_OVERRIDE)
            || both(FlavorWords::TO_INSTANCE, FlavorWords::NOT_TO_INSTANCE)
            || both(FlavorWords::TO_SUBCLASS, FlavorWords::NOT_TO_SUBCLASS);
        if contradicts {
            self.report(
                code::INCOMPATIBLE_FLAVOR_TYPES,
                span,
                "two of these flavors contradict each other",
            );
        }
        let propagates = flavors.intersects(FlavorWords::TO_INSTANCE | FlavorWords::TO_SUBCLASS);
        if flavors.contains(FlavorWords::RESTRICTED) && propagates {
            let text = "`Restricted` contradicts `ToInstance` and `ToSubclass`";
            self.report(code::INCOMPATIBLE_FLAVOR_TYPES2, span, text);
        }
    }

    fn check_duplicates(&mut self, all: &[Qualifier<'t>]) {
        // Names are ASCII nearly always; others are compared as they are spelled.
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(all.len());
        for qualifier in all {
            let span = qualifier.name.at.0;
            if let Some(first) = seen.insert(crate::cim::name::to_upper(&qualifier.name.text), span)
            {
                let text = format!(
                    "the qualifier {} stands twice in one list",
                    qualifier.name.text
                );
                let diagnostic = crate::text::diagnostic::Diagnostic::error(
                    code::DUPLICATE_QUALIFIER,
                    self.place(span),
                    text,
                )
                .label(self.place(first), "first given here");
                self.push(diagnostic);
            }
        }
    }

    pub(super) fn qualifier_declaration(&mut self) -> Parse<QualifierDeclaration<'t>> {
        let start = self.token.span.start;
        self.bump();
        let name = self.ident(code::EXPECTED_QUALIFIER_NAME, "the name of a qualifier")?;
        self.expect(b':', code::INVALID_QUALIFIER_SYNTAX)?;
        let is_flavor = self.token.kind == Kind::Word && flavor(self.spelling()).is_some();
        let (typed, flavors) = match is_flavor {
            true => (None, self.flavors()?),
            false => {
                let (typed, flavors) = self.typed_declaration()?;
                (Some(typed), flavors)
            }
        };
        self.expect_semicolon()?;
        Ok(QualifierDeclaration {
            name,
            typed,
            flavors,
            at: self.span_from(start),
        })
    }

    fn typed_declaration(&mut self) -> Parse<(QualifierType<'t>, FlavorWords)> {
        if ["enumeration", "structure"]
            .iter()
            .any(|word| self.is_word(word))
        {
            let text = "this type belongs to MOF 3 (DSP0221), which is not supported";
            return self.fail(code::UNSUPPORTED_CIMV22_DATA_TYPE, text);
        }
        let known = (self.token.kind == Kind::Word)
            .then(|| base_type(self.spelling()))
            .flatten();
        let Some(scalar) = known.filter(|scalar| *scalar != ScalarType::Object) else {
            return self.expected(
                code::UNRECOGNIZED_TYPE,
                "a flavor, or a type that a qualifier can have",
            );
        };
        self.bump();
        let array = self.array()?;
        let default = if self.eat(b'=') {
            Some(self.initializer()?)
        } else {
            None
        };
        let mut typed = QualifierType {
            scalar,
            array,
            default,
            scope: Vec::new(),
        };
        let flavors = self.clauses(&mut typed.scope)?;
        Ok((typed, flavors))
    }

    /// `Scope(…)`, `Flavor(…)` and bare flavors, each after a comma.
    fn clauses(&mut self, scope: &mut Vec<Ident<'t>>) -> Parse<FlavorWords> {
        let (start, mut flavors, mut has_flavor) =
            (self.token.span.start, FlavorWords::empty(), false);
        while self.eat(b',') {
            if self.is_word("scope") && scope.is_empty() {
                self.bump();
                *scope = self.words()?;
            } else if self.is_word("flavor") && !has_flavor {
                self.bump();
                has_flavor = true;
                flavors |= self.flavor_clause()?;
            } else if self.is_word("policy") {
                let text = "a policy belongs to MOF 3 (DSP0221), which is not supported";
                return self.fail(code::UNSUPPORTED_CIMV22_QUAL_VALUE, text);
            } else if self.token.kind == Kind::Word && flavor(self.spelling()).is_some() {
                flavors |= self.flavor()?;
            } else {
                return self.expected(
                    code::INVALID_QUALIFIER_SYNTAX,
                    "`Scope(…)`, `Flavor(…)` or a flavor, once",
                );
            }
        }
        self.check_flavors(flavors, self.span_from(start).0);
        Ok(flavors)
    }

    fn flavor_clause(&mut self) -> Parse<FlavorWords> {
        let mut flavors = FlavorWords::empty();
        self.expect(b'(', code::EXPECTED_OPEN_PAREN)?;
        loop {
            flavors |= self.flavor()?;
            if self.eat(b')') {
                return Ok(flavors);
            }
            self.expect_comma_or(b')')?;
        }
    }

    fn words(&mut self) -> Parse<Vec<Ident<'t>>> {
        let mut words = Vec::new();
        self.expect(b'(', code::EXPECTED_OPEN_PAREN)?;
        loop {
            words.push(self.ident(code::INVALID_QUALIFIER_SYNTAX, "a word")?);
            if self.eat(b')') {
                return Ok(words);
            }
            self.expect_comma_or(b')')?;
        }
    }

    /// Brackets after a name or type, if they stand here.
    pub(super) fn array(&mut self) -> Parse<Option<crate::text::mof::tree::ArraySize>> {
        let start = self.token.span.start;
        if !self.eat(b'[') {
            return Ok(None);
        }
        let size = match self.token.kind {
            Kind::Number => Some(self.array_size()?),
            _ => None,
        };
        self.expect(b']', code::EXPECTED_CLOSE_BRACKET)?;
        Ok(Some(crate::text::mof::tree::ArraySize {
            size,
            at: self.span_from(start),
        }))
    }

    fn array_size(&mut self) -> Result<u32, Reported> {
        // It is stored as a sint32.
        const MAX: u32 = i32::MAX.unsigned_abs();
        let size = match crate::text::mof::literal::number(self.spelling()) {
            Some(crate::text::mof::literal::Number::Integer(size)) => u32::try_from(size).ok(),
            _ => None,
        };
        match size.filter(|size| *size <= MAX) {
            Some(size) => {
                self.bump();
                Ok(size)
            }
            None => self.expected(code::ILLEGAL_CONSTANT_VALUE, "the size of an array"),
        }
    }
}

/// True if the value of `SYNTAX` is the name of a type: an old way to say what `CIMTYPE` says.
fn names_type(value: Option<&Initializer<'_>>) -> bool {
    use crate::text::mof::tree::{Value, ValueKind};
    match value {
        Some(Initializer::One(Value {
            kind: ValueKind::Text(text),
            ..
        })) => base_type(text).is_some(),
        _ => false,
    }
}

impl At {
    /// The place from this one to `other`.
    pub(super) fn to(self, other: At) -> At {
        At(self.0.to(other.0))
    }
}

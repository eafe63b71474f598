//! Classes: properties, methods and their parameters.

use super::qualifier::base_type;
use super::{Parse, Parser, Reported};
use crate::text::mof::code;
use crate::text::mof::lexer::Kind;
use crate::text::mof::tree::{
    ArraySize, ClassDeclaration, Feature, Ident, MethodDeclaration, PropertyDeclaration,
    Qualifiers, TypeKind, TypeName,
};
use crate::text::span::Span;

impl<'t> Parser<'t> {
    /// A class, from the word `class`.
    pub(super) fn class(
        &mut self,
        start: u32,
        qualifiers: Qualifiers<'t>,
    ) -> Parse<ClassDeclaration<'t>> {
        self.bump();
        let name = self.ident(code::EXPECTED_CLASS_NAME, "the name of a class")?;
        let mut alias = self.alias()?;
        let superclass = match self.eat(b':') {
            true => Some(self.ident(code::EXPECTED_CLASS_NAME, "the name of the superclass")?),
            false => None,
        };
        if let Some(second) = self.alias()? {
            if alias.is_some() {
                self.report(
                    code::MULTIPLE_ALIASES,
                    second.at.0,
                    "the class has an alias already",
                );
            }
            alias = Some(second);
        }
        if self.eat(b';') {
            let at = self.span_from(start);
            return Ok(ClassDeclaration {
                qualifiers,
                name,
                alias,
                superclass,
                features: Vec::new(),
                at,
            });
        }
        let open = self.token.span;
        self.expect(b'{', code::EXPECTED_OPEN_BRACE)?;
        let features = self.features(open)?;
        let at = self.span_from(start);
        self.end_of_declaration("class");
        Ok(ClassDeclaration {
            qualifiers,
            name,
            alias,
            superclass,
            features,
            at,
        })
    }

    /// Properties and methods up to the closing brace.
    fn features(&mut self, open: Span) -> Parse<Vec<Feature<'t>>> {
        let (mut features, level) = (Vec::new(), self.braces);
        loop {
            if self.eat(b'}') {
                return Ok(features);
            }
            if self.token.kind == Kind::End {
                return self.end_in_body(open, "class");
            }
            if self.is_new_declaration() {
                return self.forgotten_brace(open, "class");
            }
            match self.feature() {
                Ok(feature) => features.push(feature),
                Err(Reported) => self.recover_inside(level),
            }
        }
    }

    /// True if the next declaration begins inside a body.
    pub(super) fn is_new_declaration(&self) -> bool {
        self.token.is_first && (self.token.is(b'#') || self.begins_body())
    }

    pub(super) fn end_in_body<T>(&mut self, open: Span, what: &str) -> Parse<T> {
        let text = format!("the text ends inside of the {what}");
        let at = self.place(self.token.span);
        let diagnostic =
            crate::text::diagnostic::Diagnostic::error(code::EXPECTED_BRACE_OR_BAD_TYPE, at, text);
        self.push(diagnostic.label(self.place(open), "this brace is not closed"));
        Err(Reported)
    }

    pub(super) fn forgotten_brace<T>(&mut self, open: Span, what: &str) -> Parse<T> {
        let text = format!("a closing brace is missing before this: the {what} goes on here");
        let at = self.place(self.token.span);
        let diagnostic =
            crate::text::diagnostic::Diagnostic::error(code::EXPECTED_CLOSE_BRACE, at, text);
        self.push(diagnostic.label(self.place(open), "this brace is not closed"));
        self.braces = 0;
        Err(Reported)
    }

    fn feature(&mut self) -> Parse<Feature<'t>> {
        let start = self.token.span.start;
        let qualifiers = self.qualifiers()?;
        let (kind, array) = self.type_name()?;
        let name = self.ident(
            code::EXPECTED_PROPERTY_NAME,
            "the name of a property or method",
        )?;
        let array = self.array()?.or(array);
        if self.token.is(b'(') {
            if let Some(array) = array {
                self.report(
                    code::NO_ARRAYS_RETURNED,
                    array.at.0,
                    "a method cannot return an array",
                );
            }
            return self
                .method(start, qualifiers, kind, name)
                .map(Feature::Method);
        }
        let Some(kind) = kind else {
            let text = "a property cannot be `void`; only a method can";
            self.report(code::EXPECTED_TYPE_IDENTIFIER, name.at.0, text);
            return Err(Reported);
        };
        let property = self.property(start, qualifiers, kind, name, array)?;
        self.expect_semicolon()?;
        Ok(Feature::Property(property))
    }

    fn property(
        &mut self,
        start: u32,
        qualifiers: Qualifiers<'t>,
        kind: TypeName<'t>,
        name: Ident<'t>,
        array: Option<ArraySize>,
    ) -> Parse<PropertyDeclaration<'t>> {
        let default = match self.eat(b'=') {
            true => Some(self.initializer()?),
            false => None,
        };
        let at = self.span_from(start);
        Ok(PropertyDeclaration {
            qualifiers,
            kind,
            name,
            array,
            default,
            at,
        })
    }

    fn method(
        &mut self,
        start: u32,
        qualifiers: Qualifiers<'t>,
        returns: Option<TypeName<'t>>,
        name: Ident<'t>,
    ) -> Parse<MethodDeclaration<'t>> {
        self.bump();
        let parameters = self.parameters()?;
        let at = self.span_from(start);
        self.expect_semicolon()?;
        Ok(MethodDeclaration {
            qualifiers,
            returns,
            name,
            parameters,
            at,
        })
    }

    /// Parameters up to the closing parenthesis.
    fn parameters(&mut self) -> Parse<Vec<PropertyDeclaration<'t>>> {
        let mut parameters = Vec::new();
        if self.is_word("void") && self.ahead().next().is(b')') {
            self.bump();
        }
        if self.eat(b')') {
            return Ok(parameters);
        }
        loop {
            parameters.push(self.parameter()?);
            if self.eat(b')') {
                return Ok(parameters);
            }
            if !self.eat(b',') {
                return self.expected(code::EXPECTED_CLOSE_PAREN, "`,` or `)`");
            }
        }
    }

    fn parameter(&mut self) -> Parse<PropertyDeclaration<'t>> {
        let start = self.token.span.start;
        let qualifiers = self.qualifiers()?;
        let place = self.token.span;
        let (kind, array) = self.type_name()?;
        let Some(kind) = kind else {
            self.report(
                code::EXPECTED_TYPE_IDENTIFIER,
                place,
                "a parameter cannot be `void`",
            );
            return Err(Reported);
        };
        let name = self.ident(code::EXPECTED_PROPERTY_NAME, "the name of a parameter")?;
        let array = self.array()?.or(array);
        self.property(start, qualifiers, kind, name, array)
    }

    /// A type, and brackets directly after it; `None` for `void`.
    fn type_name(&mut self) -> Parse<(Option<TypeName<'t>>, Option<ArraySize>)> {
        if ["enumeration", "structure", "typedef"]
            .iter()
            .any(|word| self.is_word(word))
            && self.is_definition()
        {
            let text = "this belongs to MOF 3 (DSP0221), which is not supported";
            return self.fail(code::TYPEDEF_NOT_SUPPORTED, text);
        }
        let word = self.ident(code::EXPECTED_TYPE_IDENTIFIER, "a type")?;
        let array = self.array()?;
        // `ref` is a keyword only before another name: a property may be called so.
        if self.is_word("ref") && self.ahead().next().kind == Kind::Word {
            self.bump();
            return Ok((
                Some(TypeName {
                    word,
                    kind: TypeKind::Reference,
                }),
                array,
            ));
        }
        if word.is("void") {
            return Ok((None, array));
        }
        let kind = base_type(&word.text).map_or(TypeKind::Class, TypeKind::Base);
        Ok((Some(TypeName { word, kind }), array))
    }

    /// True if a definition of a type follows, and no property of a class of that name.
    fn is_definition(&self) -> bool {
        let mut ahead = self.ahead();
        let is_named = ahead.next().kind == Kind::Word;
        is_named && matches!(ahead.next().kind, Kind::Mark(b'{' | b':') | Kind::Word)
    }
}

//! Directives: the lines that begin with `#`. Source: WMI SDK, "#pragma" and its pages,
//! "Preprocessor Commands".

use super::{Parse, Parser};
use crate::text::diagnostic::Code;
use crate::text::mof::code;
use crate::text::mof::lexer::Kind;
use crate::text::mof::literal::{self, Number};
use crate::text::mof::tree::{At, Directive, DirectiveKind, FlagMode, Flags, Removal, Text};
use crate::text::span::Span;

/// Pragmas of DMTF that say nothing to a repository.
const WITHOUT_MEANING: [&str; 7] = [
    "locale",
    "instancelocale",
    "nonlocal",
    "nonlocaltype",
    "source",
    "sourcetype",
    "translatable",
];

impl<'t> Parser<'t> {
    /// A directive, from its `#`.
    pub(super) fn directive(&mut self) -> Parse<Directive<'t>> {
        if !self.token.is_first {
            return self.fail(code::UNRECOGNIZED_TOKEN, "a directive begins its line");
        }
        let start = self.bump().span.start;
        let kind = match self.spelling() {
            word if word.eq_ignore_ascii_case("pragma") => {
                self.bump();
                self.pragma()?
            }
            word if word.eq_ignore_ascii_case("include") => {
                self.bump();
                DirectiveKind::Include(self.include()?)
            }
            word if word.eq_ignore_ascii_case("line") => {
                self.bump();
                self.line()?
            }
            _ => {
                let text = "this file needs a C preprocessor: compile what it makes of the file";
                self.report(
                    code::UNRECOGNIZED_TOKEN,
                    Span::new(start, self.token.span.end),
                    text,
                );
                // All that follows may hang on lines like this one.
                self.stop();
                return Err(super::Reported);
            }
        };
        Ok(Directive {
            kind,
            at: self.span_from(start),
        })
    }

    fn pragma(&mut self) -> Parse<DirectiveKind<'t>> {
        let name = self.ident(code::INVALID_PRAGMA, "the name of a pragma")?;
        match &*name.text.to_ascii_lowercase() {
            "namespace" => Ok(DirectiveKind::Namespace(
                self.argument(code::INVALID_NAMESPACE_SYNTAX)?,
            )),
            "classflags" => Ok(DirectiveKind::ClassFlags(self.flags(true)?)),
            "instanceflags" => Ok(DirectiveKind::InstanceFlags(self.flags(false)?)),
            "deleteclass" => Ok(DirectiveKind::DeleteClass(
                self.removal(code::INVALID_DELETECLASS_SYNTAX)?,
            )),
            "deleteinstance" => Ok(DirectiveKind::DeleteInstance(
                self.removal(code::INVALID_DELETEINSTANCE_SYNTAX)?,
            )),
            "autorecover" => {
                if self.eat(b'(') {
                    self.expect(b')', code::EXPECTED_CLOSE_PAREN)?;
                }
                Ok(DirectiveKind::AutoRecover)
            }
            "amendment" => self.amendment(name.at.0),
            "include" => Ok(DirectiveKind::Include(self.include()?)),
            word if WITHOUT_MEANING.contains(&word) => {
                let arguments = self.arguments()?;
                if self.options.strict {
                    let text = format!("the pragma `{word}` says nothing here");
                    self.note(code::INVALID_PRAGMA, name.at.0, text);
                }
                Ok(DirectiveKind::Other { name, arguments })
            }
            word => {
                let text = format!("there is no pragma `{word}`");
                self.report(code::INVALID_PRAGMA, name.at.0, text);
                Err(super::Reported)
            }
        }
    }

    /// A string in parentheses.
    fn argument(&mut self, code: Code) -> Parse<Text<'t>> {
        self.expect(b'(', code::EXPECTED_OPEN_PAREN)?;
        if self.token.kind != Kind::Text {
            return self.expected(code, "a string");
        }
        let text = self.text()?;
        self.expect(b')', code::EXPECTED_CLOSE_PAREN)?;
        Ok(text)
    }

    /// Strings in parentheses, commas between them.
    fn arguments(&mut self) -> Parse<Vec<Text<'t>>> {
        let mut arguments = Vec::new();
        self.expect(b'(', code::EXPECTED_OPEN_PAREN)?;
        while !self.eat(b')') {
            if self.token.kind != Kind::Text {
                return self.expected(code::EXPECTED_CLOSE_PAREN, "a string or `)`");
            }
            arguments.push(self.text()?);
            if !self.eat(b',') && !self.token.is(b')') {
                return self.expected(code::EXPECTED_CLOSE_PAREN, "`,` or `)`");
            }
        }
        Ok(arguments)
    }

    /// Flags in parentheses: a number, a string, a string with a list, or several strings.
    fn flags(&mut self, of_class: bool) -> Parse<Flags> {
        self.expect(b'(', code::EXPECTED_OPEN_PAREN)?;
        let start = self.token.span.start;
        let flags = match self.token.kind {
            Kind::Number => {
                let number = literal::number(self.spelling());
                self.bump();
                match number {
                    Some(Number::Integer(number)) => Flags::from_number(number),
                    _ => None,
                }
            }
            Kind::Text => self.flag_words()?,
            _ => {
                return self.expected(
                    code::INVALID_FLAGS_SYNTAX,
                    "flags: a number or words in quotes",
                );
            }
        };
        let span = self.span_from(start).0;
        self.expect(b')', code::EXPECTED_CLOSE_PAREN)?;
        match flags.filter(|flags| of_class || flags.mode == FlagMode::Compatible) {
            Some(flags) => Ok(flags),
            None => {
                let all = "createonly (2), updateonly (1), safeupdate (32), forceupdate (64)";
                let all = if of_class {
                    all
                } else {
                    "createonly (2), updateonly (1)"
                };
                let text = format!("these are no flags; there are {all}, and not all go together");
                self.report(code::INVALID_FLAGS_SYNTAX, span, text);
                Err(super::Reported)
            }
        }
    }

    fn flag_words(&mut self) -> Parse<Option<Flags>> {
        let mut number = 0i128;
        let mut are_known = true;
        loop {
            let text = self.text()?;
            for word in text.value.split(',') {
                match Flags::number_of_word(word) {
                    Some(flag) => number |= flag,
                    None => are_known = false,
                }
            }
            if !self.eat(b',') || self.token.kind != Kind::Text {
                return Ok(Flags::from_number(number).filter(|_| are_known));
            }
        }
    }

    /// `("target", FAIL)`.
    fn removal(&mut self, code: Code) -> Parse<Removal<'t>> {
        self.expect(b'(', code::EXPECTED_OPEN_PAREN)?;
        if self.token.kind != Kind::Text {
            return self.expected(code, "a string");
        }
        let target = self.text()?;
        if !self.eat(b',') {
            return self.expected(code, "a comma and `FAIL` or `NOFAIL`");
        }
        let word = self.spelling().trim_matches('"');
        let must_exist = word.eq_ignore_ascii_case("FAIL");
        let is_known = must_exist || word.eq_ignore_ascii_case("NOFAIL");
        if !is_known || !matches!(self.token.kind, Kind::Word | Kind::Text) {
            return self.expected(code, "`FAIL` or `NOFAIL`");
        }
        self.bump();
        self.expect(b')', code::EXPECTED_CLOSE_PAREN)?;
        Ok(Removal { target, must_exist })
    }

    fn amendment(&mut self, place: Span) -> Parse<DirectiveKind<'t>> {
        let text = self.argument(code::INVALID_AMENDMENT_SYNTAX)?;
        let digits = text
            .value
            .get(..3)
            .filter(|mark| mark.eq_ignore_ascii_case("MS_"));
        let digits = digits.and_then(|_| text.value.get(3..)).unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = "a locale is `MS_` and hexadecimal digits, as `MS_409`";
            self.report(code::INVALID_AMENDMENT_SYNTAX, text.at.0, message);
        }
        if std::mem::replace(&mut self.has_amendment, true) {
            self.report(
                code::INVALID_DUPLICATE_AMENDMENT,
                place,
                "a file has one amendment at most",
            );
        }
        Ok(DirectiveKind::Amendment(text))
    }

    /// The name of a file, in parentheses or not. Backslashes are part of it: the first quote ends
    /// it.
    fn include(&mut self) -> Parse<Text<'t>> {
        let is_enclosed = self.eat(b'(');
        let name = self.raw_text(code::ERROR_INVALID_INCLUDE_FILE)?;
        if is_enclosed {
            self.expect(b')', code::EXPECTED_CLOSE_PAREN)?;
        }
        Ok(name)
    }

    fn raw_text(&mut self, code: Code) -> Parse<Text<'t>> {
        // A backslash before the last quote makes the lexer miss that one: it is looked for here.
        let start = self.token.span.start;
        let rest = self
            .lexer
            .text()
            .get(crate::base::widen(start)..)
            .and_then(|rest| rest.strip_prefix('"'));
        let end = rest.and_then(|rest| rest.find(['"', '\r', '\n']));
        let name = rest.zip(end).and_then(|(rest, end)| {
            rest.get(..end)
                .filter(|_| rest.get(end..).is_some_and(|rest| rest.starts_with('"')))
        });
        let Some(name) = name else {
            return self.expected(code, "the name of a file in quotes");
        };
        let end = start
            .saturating_add(crate::base::narrow(name.len()))
            .saturating_add(2);
        self.lexer.move_to(end);
        self.end = end;
        self.token = self.lexer.next();
        Ok(Text {
            value: name.into(),
            at: At(Span::new(start, end)),
        })
    }

    /// `#line 12 "file"`.
    fn line(&mut self) -> Parse<DirectiveKind<'t>> {
        let number = match literal::number(self.spelling()) {
            Some(Number::Integer(number)) => u32::try_from(number).ok(),
            _ => None,
        };
        let Some(number) = number.filter(|_| self.token.kind == Kind::Number) else {
            return self.expected(code::UNRECOGNIZED_TOKEN, "the number of a line");
        };
        self.bump();
        let file = match self.spelling().starts_with('"') && !self.token.is_first {
            true => {
                let name = self.raw_text(code::UNRECOGNIZED_TOKEN)?;
                Some(Text {
                    value: name.value.replace("\\\\", "\\").into(),
                    at: name.at,
                })
            }
            false => None,
        };
        Ok(DirectiveKind::Line { number, file })
    }
}

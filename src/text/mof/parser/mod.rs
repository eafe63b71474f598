//! Text to syntax tree, by recursive descent. Source: `docs::mof`, "Grammar".
//!
//! After an error the parser goes on at the next semicolon, closing brace or declaration, so that
//! one text yields several errors and none that follows from another. Depth is bounded, and every
//! token is passed a bounded number of times.

mod class;
mod directive;
mod qualifier;
mod value;

use super::code;
use super::lexer::{Kind, Lexer, Token};
use super::tree::{At, Directive, DirectiveKind, File, Ident, Item};
use crate::base::limits::{MAX_MOF_BYTES, MAX_MOF_DEPTH, MAX_MOF_ERRORS};
use crate::text::diagnostic::{Code, Diagnostic, Place, Renumbered, Severity, SourceId};
use crate::text::span::{Lines, Span};

/// How a text is parsed.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ParseOptions {
    /// The number of the text in the diagnostics.
    pub source: SourceId,
    /// True if what is doubtful is refused.
    pub strict: bool,
}

impl ParseOptions {
    /// Options for the text with this number.
    pub const fn of(source: SourceId) -> Self {
        Self {
            source,
            strict: false,
        }
    }

    /// The options, with doubtful text refused or not.
    #[must_use]
    pub const fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }
}

/// A parsed text.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<'t> {
    /// The tree. Where the text has errors, the parts without.
    pub file: File<'t>,
    /// Errors, warnings and notes, in the order in which they were found.
    pub diagnostics: Vec<Diagnostic>,
    /// The `#line` directives.
    pub renumbered: Vec<Renumbered>,
}

impl Parsed<'_> {
    /// True if the text has an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Parses a text.
pub fn parse(text: &str, options: ParseOptions) -> Parsed<'_> {
    let mut parser = Parser::new(text, options);
    if text.len() > MAX_MOF_BYTES {
        parser.report(
            code::INVALID_FILE,
            Span::at(0),
            format!("the text is longer than {MAX_MOF_BYTES} bytes"),
        );
        parser.stop();
    }
    if let Some(nul) = memchr::memchr(0, text.as_bytes()) {
        let at = crate::base::narrow(nul);
        let span = Span::new(at, at.saturating_add(1));
        parser.report(
            code::UNRECOGNIZED_TOKEN,
            span,
            "the character NUL stands in the text",
        );
    }
    let file = parser.file();
    if let Some(at) = parser.lexer.no_break_space {
        let span = Span::new(at, at.saturating_add(2));
        parser.warn(
            code::UNRECOGNIZED_TOKEN,
            span,
            "a no-break space was taken for a blank",
        );
    }
    let renumbered = renumbered(text, &file);
    Parsed {
        file,
        diagnostics: parser.diagnostics,
        renumbered,
    }
}

/// The `#line` directives of a file.
fn renumbered(text: &str, file: &File<'_>) -> Vec<Renumbered> {
    let is_line = |directive: &Directive<'_>| matches!(directive.kind, DirectiveKind::Line { .. });
    let mut lines = None;
    let mut found = Vec::new();
    for item in &file.items {
        let Item::Directive(directive) = item else {
            continue;
        };
        if !is_line(directive) {
            continue;
        }
        let DirectiveKind::Line { number, file } = &directive.kind else {
            continue;
        };
        let lines = lines.get_or_insert_with(|| Lines::new(text));
        let from = lines.position(directive.at.0.end).line.saturating_add(1);
        found.push(Renumbered {
            from,
            line: *number,
            name: file.as_ref().map(|file| file.value.to_string()),
        });
    }
    found
}

/// An error that has been reported: the caller finds a place where reading can go on.
#[derive(Debug, Clone, Copy)]
struct Reported;

type Parse<T> = Result<T, Reported>;

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// The token that is looked at.
    token: Token,
    /// The byte after the last token that was passed.
    end: u32,
    /// How deep embedded objects are nested here.
    depth: usize,
    /// Braces that are open here.
    braces: usize,
    options: ParseOptions,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    /// Nothing more is read or reported.
    is_over: bool,
    has_amendment: bool,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, options: ParseOptions) -> Self {
        let mut lexer = Lexer::new(text);
        let token = lexer.next();
        Self {
            lexer,
            token,
            end: 0,
            depth: 0,
            braces: 0,
            options,
            diagnostics: Vec::new(),
            errors: 0,
            is_over: false,
            has_amendment: false,
        }
    }

    fn file(&mut self) -> File<'t> {
        let mut items = Vec::new();
        while self.token.kind != Kind::End {
            let start = self.token.span.start;
            self.braces = 0;
            match self.item() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => {}
                Err(Reported) => self.recover_between(start),
            }
        }
        File { items }
    }

    /// One item; `None` for a stray semicolon.
    fn item(&mut self) -> Parse<Option<Item<'t>>> {
        if self.token.is(b';') {
            self.warn(
                code::UNRECOGNIZED_TOKEN,
                self.token.span,
                "a stray semicolon was passed over",
            );
            self.bump();
            return Ok(None);
        }
        if self.token.is(b'#') {
            return self
                .directive()
                .map(|directive| Some(Item::Directive(directive)));
        }
        let start = self.token.span.start;
        let qualifiers = self.qualifiers()?;
        if self.is_word("class") {
            return self
                .class(start, qualifiers)
                .map(|class| Some(Item::Class(class)));
        }
        if self.is_word("instance") {
            let instance = self.instance(start, qualifiers, false)?;
            self.end_of_declaration("instance");
            return Ok(Some(Item::Instance(instance)));
        }
        if self.is_word("qualifier") && qualifiers.is_empty() {
            return self
                .qualifier_declaration()
                .map(|declaration| Some(Item::Qualifier(declaration)));
        }
        self.no_item(!qualifiers.is_empty())
    }

    fn no_item<T>(&mut self, has_qualifiers: bool) -> Parse<T> {
        if ["typedef", "enum", "enumeration", "structure"]
            .iter()
            .any(|word| self.is_word(word))
        {
            let word = self.spelling();
            return self.fail(
                code::TYPEDEF_NOT_SUPPORTED,
                format!("`{word}` belongs to MOF 3 (DSP0221), which is not supported"),
            );
        }
        let wanted = if has_qualifiers {
            "`class` or `instance`"
        } else {
            "a declaration"
        };
        self.expected(code::UNRECOGNIZED_TOKEN, wanted)
    }

    /// The semicolon after the closing brace of a declaration.
    fn end_of_declaration(&mut self, what: &str) {
        if self.eat(b';') {
            return;
        }
        let message = format!("the {what} has no semicolon after its closing brace");
        match self.token.kind {
            Kind::End => self.warn(code::EXPECTED_SEMI, Span::at(self.end), message),
            _ => self.report(code::EXPECTED_SEMI, Span::at(self.end), message),
        }
    }

    // Tokens.

    fn bump(&mut self) -> Token {
        let token = self.token;
        match token.kind {
            Kind::Mark(b'{') => self.braces = self.braces.saturating_add(1),
            Kind::Mark(b'}') => self.braces = self.braces.saturating_sub(1),
            _ => {}
        }
        self.end = token.span.end;
        self.token = self.lexer.next();
        token
    }

    fn eat(&mut self, mark: u8) -> bool {
        let is_there = self.token.is(mark);
        if is_there {
            self.bump();
        }
        is_there
    }

    /// Passes a mark that must stand here.
    fn expect(&mut self, mark: u8, code: Code) -> Parse<()> {
        match self.eat(mark) {
            true => Ok(()),
            false => self.expected(code, &format!("`{}`", char::from(mark))),
        }
    }

    /// Passes a semicolon. One that is missing at the end of a line is reported, and reading goes
    /// on as if it were there.
    fn expect_semicolon(&mut self) -> Parse<()> {
        if self.eat(b';') {
            return Ok(());
        }
        if self.token.is_first || self.token.is(b'}') {
            self.report(
                code::EXPECTED_SEMI,
                Span::at(self.end),
                "a semicolon is missing",
            );
            return Ok(());
        }
        self.expected(code::EXPECTED_SEMI, "`;`")
    }

    /// The text of the token that is looked at.
    fn spelling(&self) -> &'t str {
        self.token.span.of(self.lexer.text())
    }

    fn is_word(&self, word: &str) -> bool {
        self.token.kind == Kind::Word && self.spelling().eq_ignore_ascii_case(word)
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let is_there = self.is_word(word);
        if is_there {
            self.bump();
        }
        is_there
    }

    /// The tokens after the one that is looked at.
    fn ahead(&self) -> Ahead<'t> {
        Ahead(self.lexer)
    }

    fn ident(&mut self, code: Code, wanted: &str) -> Parse<Ident<'t>> {
        if self.token.kind != Kind::Word {
            return self.expected(code, wanted);
        }
        let text = self.spelling();
        let token = self.bump();
        Ok(Ident {
            text: text.into(),
            at: At(token.span),
        })
    }

    /// `as $Alias`, if it stands here.
    fn alias(&mut self) -> Parse<Option<Ident<'t>>> {
        if !self.eat_word("as") {
            return Ok(None);
        }
        match self.token.kind {
            Kind::Alias => {
                let text = self.spelling().get(1..).unwrap_or_default();
                let token = self.bump();
                Ok(Some(Ident {
                    text: text.into(),
                    at: At(token.span),
                }))
            }
            Kind::Dollar => {
                self.expected(code::EXPECTED_ALIAS_NAME, "the name of an alias after `$`")
            }
            _ => self.expected(code::EXPECTED_DOLLAR, "an alias, which begins with `$`"),
        }
    }

    fn span_from(&self, start: u32) -> At {
        At(Span::new(start, self.end.max(start)))
    }

    // Diagnostics.

    fn push(&mut self, diagnostic: Diagnostic) {
        if self.is_over {
            return;
        }
        self.errors = self
            .errors
            .saturating_add(usize::from(diagnostic.is_error()));
        self.diagnostics.push(diagnostic);
        if self.errors >= MAX_MOF_ERRORS {
            self.stop();
        }
    }

    /// Reads no further.
    fn stop(&mut self) {
        self.is_over = true;
        let end = crate::base::narrow(self.lexer.text().len());
        self.lexer.move_to(end);
        self.token = Token {
            kind: Kind::End,
            span: Span::at(end),
            is_first: true,
        };
    }

    fn place(&self, span: Span) -> Place {
        Place::new(self.options.source, span)
    }

    fn report(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.push(Diagnostic::error(code, self.place(span), message));
    }

    fn warn(&mut self, code: Code, span: Span, message: impl Into<String>) {
        // A hostile text has as many oddities as characters.
        const MAX_WARNINGS: usize = 1_000;
        if self.diagnostics.len() < MAX_WARNINGS {
            self.push(Diagnostic::warning(code, self.place(span), message));
        }
    }

    /// Reports what is doubtful: an error in strict mode, else a warning.
    fn doubt(&mut self, code: Code, span: Span, message: impl Into<String>) {
        match self.options.strict {
            true => self.report(code, span, message),
            false => self.warn(code, span, message),
        }
    }

    fn note(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.push(Diagnostic::new(
            Severity::Note,
            code,
            Some(self.place(span)),
            message,
        ));
    }

    /// Reports an error at the token that is looked at.
    fn fail<T>(&mut self, code: Code, message: impl Into<String>) -> Parse<T> {
        if self.token.kind == Kind::Unterminated {
            return self.unterminated();
        }
        self.report(code, self.token.span, message);
        Err(Reported)
    }

    fn expected<T>(&mut self, code: Code, wanted: &str) -> Parse<T> {
        let found = match self.token.kind {
            Kind::End => "the end of the text".to_owned(),
            _ => format!("`{}`", self.spelling().chars().take(40).collect::<String>()),
        };
        self.fail(code, format!("expected {wanted}, found {found}"))
    }

    /// Reports a literal or comment without an end. After a string or comment nothing is left to
    /// read.
    fn unterminated<T>(&mut self) -> Parse<T> {
        let Span { start, .. } = self.token.span;
        let span = Span::new(start, start.saturating_add(1));
        let (code, what, is_last) = match self.spelling().as_bytes().first() {
            Some(b'/') => (code::UNRECOGNIZED_TOKEN, "comment", true),
            Some(b'\'') => (code::ILLEGAL_CONSTANT_VALUE, "character", false),
            _ => (code::ILLEGAL_CONSTANT_VALUE, "string", true),
        };
        self.report(
            code,
            span,
            format!("the {what} that begins here does not end"),
        );
        match is_last {
            true => self.stop(),
            false => _ = self.bump(),
        }
        Err(Reported)
    }

    // Recovery.

    /// Passes the rest of a failed item: up to a semicolon outside of braces, the closing brace of
    /// a body, or what begins a declaration on a line of its own.
    fn recover_between(&mut self, start: u32) {
        loop {
            let token = self.token;
            let is_new = token.span.start > start && token.is_first;
            let is_outside = self.braces == 0;
            match token.kind {
                Kind::End => return,
                Kind::Unterminated => _ = self.unterminated::<()>(),
                Kind::Mark(b'#') if is_new => return,
                Kind::Mark(b'[') if is_new && is_outside => return,
                Kind::Word if is_new && is_outside && self.begins_declaration() => return,
                Kind::Mark(b'}') if self.braces <= 1 => {
                    self.bump();
                    self.eat(b';');
                    return;
                }
                Kind::Mark(b';') if is_outside => {
                    self.bump();
                    return;
                }
                _ => {}
            }
            if self.token == token {
                self.bump();
            }
        }
    }

    /// Passes the rest of a failed part of a body in which `level` braces are open: past the next
    /// semicolon, or up to the brace that closes the body.
    fn recover_inside(&mut self, level: usize) {
        loop {
            let token = self.token;
            let is_outside = self.braces <= level;
            match token.kind {
                Kind::End => return,
                Kind::Unterminated => _ = self.unterminated::<()>(),
                Kind::Mark(b'#') if token.is_first => return,
                Kind::Word if token.is_first && self.begins_body() => return,
                Kind::Mark(b'}') if is_outside => return,
                Kind::Mark(b';') if is_outside => {
                    self.bump();
                    return;
                }
                _ => {}
            }
            if self.token == token {
                self.bump();
            }
        }
    }

    fn begins_declaration(&self) -> bool {
        ["class", "instance", "qualifier"]
            .iter()
            .any(|word| self.is_word(word))
    }

    /// True if the declaration of a class or an instance begins here, and no property of such a
    /// name: a brace was forgotten before it.
    fn begins_body(&self) -> bool {
        let mut ahead = self.ahead();
        if self.is_word("class") {
            let is_named = ahead.next().kind == Kind::Word;
            return is_named && matches!(ahead.next().kind, Kind::Mark(b'{' | b':'));
        }
        let is_of = |token: Token| token.span.of(self.lexer.text()).eq_ignore_ascii_case("of");
        self.is_word("instance") && is_of(ahead.next()) && ahead.next().kind == Kind::Word
    }

    /// One level deeper into embedded objects.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth >= MAX_MOF_DEPTH {
            let message = format!("objects are embedded more than {MAX_MOF_DEPTH} deep");
            return self.fail(code::INVALID_INSTANCE_DECLARATION, message);
        }
        self.depth = self.depth.saturating_add(1);
        let parsed = parse(self);
        self.depth = self.depth.saturating_sub(1);
        parsed
    }
}

/// Tokens ahead of the parser.
struct Ahead<'t>(Lexer<'t>);

impl Ahead<'_> {
    fn next(&mut self) -> Token {
        self.0.next()
    }
}

//! Messages about a text: a code, a place, further places, and a way out. No terminal, no colour;
//! the command draws them.

use std::fmt::{self, Write};
use std::sync::OnceLock;

use super::excerpt::Excerpt;
use super::span::{LineMap, Lines, Position, Span};
use crate::base::escape::{escape, guard};
use crate::base::hresult::HResult;

/// The weight of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something that the reader may want to know.
    Note,
    /// The text was read in a way that its author may not have meant.
    Warning,
    /// The text was refused.
    Error,
}

impl Severity {
    /// The word for it: `note`, `warning`, `error`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A documented code: its name, and the number that a COM caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code {
    /// The name, as in `WBEMMOF_E_EXPECTED_SEMI`.
    pub name: &'static str,
    /// The number.
    pub value: HResult,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:08X})", self.name, self.value.0)
    }
}

/// The number of a text among those that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SourceId(pub u32);

/// A stretch of one of several texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The text.
    pub source: SourceId,
    /// The stretch of it.
    pub span: Span,
}

impl Place {
    /// The stretch `span` of the text `source`.
    pub const fn new(source: SourceId, span: Span) -> Self {
        Self { source, span }
    }
}

/// A further place that belongs to a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub place: Place,
    /// Its part in the matter: "first declared here".
    pub text: String,
}

/// A message about a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Its weight.
    pub severity: Severity,
    /// The documented code.
    pub code: Code,
    /// One sentence, without a full stop.
    pub message: String,
    /// The place; `None` where the matter concerns no text that can be shown.
    pub place: Option<Place>,
    /// Further places.
    pub labels: Vec<Label>,
    /// A way out, if one is known.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, Some(place), message)
    }

    /// A warning at a place.
    pub fn warning(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, Some(place), message)
    }

    /// A diagnostic of any weight, with or without a place.
    pub fn new(
        severity: Severity,
        code: Code,
        place: Option<Place>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            place,
            labels: Vec::new(),
            help: None,
        }
    }

    /// The diagnostic with a further place.
    #[must_use]
    pub fn label(mut self, place: Place, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            place,
            text: text.into(),
        });
        self
    }

    /// The diagnostic with a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// True if the text was refused.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// A text that diagnostics point into.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name: the path of a file.
    pub name: String,
    /// The text.
    pub text: String,
    /// Where the text says that other lines begin (`#line`): the first line after the directive,
    /// its number in the other text, and the name of that one.
    pub renumbered: Vec<Renumbered>,
    /// Its lines, found when the first place is looked up.
    lines: OnceLock<LineMap>,
}

impl Source {
    fn lines(&self) -> Lines<'_> {
        let map = self.lines.get_or_init(|| LineMap::new(&self.text));
        Lines::of(&self.text, map)
    }

    /// The directive that renumbers a line.
    fn renumbering(&self, line: u32) -> Option<&Renumbered> {
        let mut all = self.renumbered.iter().rev();
        all.find(|other| other.from <= line)
    }
}

/// A `#line` directive: the lines after it are those of another text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renumbered {
    /// The first line that it concerns, as counted here.
    pub from: u32,
    /// The number that this line has in the other text.
    pub line: u32,
    /// The name of the other text; `None` where the directive gave none.
    pub name: Option<String>,
}

/// The texts that diagnostics point into, by their numbers.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<Source>);

/// A place as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The name of the text.
    pub name: String,
    /// Line and column where the stretch begins.
    pub start: Position,
    /// Line and column after its end.
    pub end: Position,
    /// The first line of the stretch, as far as it is worth showing.
    pub excerpt: Excerpt,
}

impl Sources {
    /// No texts.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a text and gives it the next number.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let id = SourceId(crate::base::narrow(self.0.len()));
        self.0.push(Source {
            name: name.into(),
            text: text.into(),
            renumbered: Vec::new(),
            lines: OnceLock::new(),
        });
        id
    }

    /// The text with this number.
    pub fn get(&self, source: SourceId) -> Option<&Source> {
        self.0.get(crate::base::widen(source.0))
    }

    /// Notes the `#line` directives of a text.
    pub fn renumber(&mut self, source: SourceId, renumbered: Vec<Renumbered>) {
        if let Some(source) = self.0.get_mut(crate::base::widen(source.0)) {
            source.renumbered = renumbered;
        }
    }

    /// The name, lines and columns of a place; `None` when its text is not among these.
    pub fn locate(&self, place: Place) -> Option<Location> {
        let source = self.get(place.source)?;
        let lines = source.lines();
        let start = lines.position(place.span.start);
        let end = lines.position(place.span.end);
        let excerpt = Excerpt::new(&source.text, lines.span_of(start.line)?, place.span);

        let other = source.renumbering(start.line);
        let name = other.and_then(|other| other.name.as_ref());
        let name = name.unwrap_or(&source.name).clone();
        let moved = |position: Position| match other {
            Some(other) => {
                let after = position.line.saturating_sub(other.from);
                let line = after.saturating_add(other.line);
                Position { line, ..position }
            }
            None => position,
        };
        Some(Location {
            name,
            start: moved(start),
            end: moved(end),
            excerpt,
        })
    }

    /// A diagnostic as plain text: place, severity, code and message; the line with the stretch
    /// marked; further places; help.
    pub fn render(&self, diagnostic: &Diagnostic) -> String {
        let mut out = String::new();
        // Nothing can fail that writes into a string.
        self.write(&mut out, diagnostic).ok();
        out
    }

    fn write(&self, out: &mut String, diagnostic: &Diagnostic) -> fmt::Result {
        let Diagnostic {
            severity,
            code,
            message,
            ..
        } = diagnostic;
        let location = diagnostic.place.and_then(|place| self.locate(place));
        if let Some(location) = &location {
            let Position { line, column } = location.start;
            write!(out, "{}:{line}:{column}: ", escape(&location.name))?;
        }
        writeln!(out, "{severity}: {}: {code}", guard(message))?;
        if let Some(location) = &location {
            write_excerpt(out, location, '^', "")?;
        }
        for label in &diagnostic.labels {
            let Some(location) = self.locate(label.place) else {
                continue;
            };
            let Position { line, column } = location.start;
            writeln!(
                out,
                "{}:{line}:{column}: {}",
                escape(&location.name),
                guard(&label.text)
            )?;
            write_excerpt(out, &location, '-', "")?;
        }
        if let Some(help) = &diagnostic.help {
            writeln!(out, "help: {}", guard(help))?;
        }
        Ok(())
    }
}

/// Writes a line of a text and below it the marks of a stretch.
fn write_excerpt(out: &mut String, location: &Location, mark: char, note: &str) -> fmt::Result {
    let Excerpt { text, at, .. } = &location.excerpt;
    // One column a character: what takes none or several is shown by its code elsewhere, here by
    // a blank.
    let plain = |c: char| match c.is_ascii_graphic() || c.is_alphanumeric() || c == '…' {
        true => c,
        false => ' ',
    };
    let shown: String = text.chars().map(plain).collect();
    let count = |part: Option<&str>| part.unwrap_or_default().chars().count();
    let before = count(text.get(..at.start));
    let width = count(text.get(at.clone())).max(1);
    let line = location.start.line.to_string();
    let margin = " ".repeat(line.len());
    writeln!(out, "{line} | {}", shown.trim_end())?;
    let marks: String = std::iter::repeat_n(mark, width).collect();
    writeln!(out, "{margin} | {}{marks}{note}", " ".repeat(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Code = Code {
        name: "WBEMMOF_E_EXPECTED_SEMI",
        value: HResult(0x8004_4002),
    };

    #[test]
    fn a_diagnostic_shows_its_places() {
        let mut sources = Sources::new();
        let source = sources.add("a.mof", "class A {}\r\nclass B {}\r\n");
        let place = |start, end| Place::new(source, Span::new(start, end));
        let diagnostic = Diagnostic::error(CODE, place(18, 19), "expected `;`")
            .label(place(0, 5), "the class begins here")
            .help("end the class by `;`");
        let expected = "a.mof:2:7: error: expected `;`: WBEMMOF_E_EXPECTED_SEMI (0x80044002)\n\
            2 | class B {}\n  |       ^\n\
            a.mof:1:1: the class begins here\n1 | class A {}\n  | -----\n\
            help: end the class by `;`\n";
        assert_eq!(sources.render(&diagnostic), expected);
    }

    #[test]
    fn hostile_texts_stay_in_their_place() {
        let mut sources = Sources::new();
        let source = sources.add("a\u{1b}[2J", format!("{}\u{202e}\u{1b}x", "y".repeat(500)));
        let end = Diagnostic::warning(CODE, Place::new(source, Span::new(500, 505)), "no\nline");
        let text = sources.render(&end);
        assert!(
            !text.contains(['\u{1b}', '\u{202e}']) && text.lines().count() == 3,
            "{text}"
        );
        let outside = Diagnostic::warning(CODE, Place::new(SourceId(9), Span::at(7)), "gone");
        assert_eq!(
            sources.render(&outside),
            "warning: gone: WBEMMOF_E_EXPECTED_SEMI (0x80044002)\n"
        );
    }

    #[test]
    fn lines_are_those_of_the_text_that_a_directive_names() {
        let mut sources = Sources::new();
        let source = sources.add("stored.mof", "#line 40 \"real.mof\"\nclass\n");
        sources.renumber(
            source,
            vec![Renumbered {
                from: 2,
                line: 40,
                name: Some("real.mof".into()),
            }],
        );
        let location = sources
            .locate(Place::new(source, Span::new(20, 25)))
            .unwrap();
        assert_eq!(
            (
                &*location.name,
                location.start.line,
                &*location.excerpt.text
            ),
            ("real.mof", 40, "class")
        );
    }
}

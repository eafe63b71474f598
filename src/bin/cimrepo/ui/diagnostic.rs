//! Messages about places in a text, for people and as JSON, for MOF and for queries.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use cimrepo::base::error::HResult;
use cimrepo::base::escape::{escape, guard};
use cimrepo::text::diagnostic::{Diagnostic, Location, Place, Severity, Sources};
use cimrepo::text::span::Span;
use cimrepo::text::wql::{QueryCode, QueryError};
use serde::Serialize;

use super::output::complain;

/// A message about a text, as JSON.
#[derive(Serialize)]
pub struct DiagnosticRow<'d> {
    severity: &'static str,
    code: &'static str,
    hresult: String,
    message: &'d str,
    #[serde(flatten)]
    place: PlaceRow,
    labels: Vec<LabelRow<'d>>,
    help: Option<&'d str>,
}

/// A place in a text. Every field is null if there is none.
#[derive(Serialize, Default)]
struct PlaceRow {
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    end_line: Option<u32>,
    end_column: Option<u32>,
    /// The line, or the part of it around the place.
    excerpt: Option<String>,
}

/// An additional place of a message.
#[derive(Serialize)]
struct LabelRow<'d> {
    message: &'d str,
    #[serde(flatten)]
    place: PlaceRow,
}

impl PlaceRow {
    fn new(sources: &Sources, place: Option<Place>) -> Self {
        let Some(at) = place.and_then(|place| sources.locate(place)) else {
            return Self::default();
        };
        Self {
            file: Some(at.name),
            line: Some(at.start.line),
            column: Some(at.start.column),
            end_line: Some(at.end.line),
            end_column: Some(at.end.column),
            excerpt: Some(at.excerpt.text),
        }
    }
}

impl<'d> DiagnosticRow<'d> {
    /// The row for a message about one of `sources`.
    pub fn new(sources: &Sources, diagnostic: &'d Diagnostic) -> Self {
        let label = |label: &'d cimrepo::text::diagnostic::Label| LabelRow {
            message: &label.text,
            place: PlaceRow::new(sources, Some(label.place)),
        };
        Self {
            severity: diagnostic.severity.as_str(),
            code: diagnostic.code.name,
            hresult: hexadecimal(diagnostic.code.value),
            message: &diagnostic.message,
            place: PlaceRow::new(sources, diagnostic.place),
            labels: diagnostic.labels.iter().map(label).collect(),
            help: diagnostic.help.as_deref(),
        }
    }

    /// The row for the rejection of a query.
    pub fn of_query(refused: &'d QueryError, text: &str) -> Self {
        let mut sources = Sources::new();
        let source = sources.add("", text);
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        let span = Span::new(offset(refused.at.start), offset(refused.at.end));
        let place = PlaceRow::new(&sources, Some(Place::new(source, span)));
        Self {
            severity: Severity::Error.as_str(),
            code: refused.code.as_str(),
            hresult: hexadecimal(refused.code.hresult()),
            message: &refused.text,
            // A query has no file.
            place: PlaceRow {
                file: None,
                ..place
            },
            labels: Vec::new(),
            help: refused.help.as_deref(),
        }
    }
}

fn hexadecimal(HResult(value): HResult) -> String {
    format!("0x{value:08X}")
}

/// Prints a message about one of `sources` to standard error: severity, code and sentence; its
/// place with the line; additional places; help.
pub fn complain_of(sources: &Sources, diagnostic: &Diagnostic) {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let code = diagnostic.code.name;
    let value = hexadecimal(diagnostic.code.value);
    let title = guard(format_args!("{} ({value})", diagnostic.message)).to_string();
    let mut report = Group::with_title(level.primary_title(title).id(code));

    if let Some(location) = diagnostic.place.and_then(|place| sources.locate(place)) {
        report = with_place(report, &location, AnnotationKind::Primary, "");
    }
    for label in &diagnostic.labels {
        if let Some(location) = sources.locate(label.place) {
            let text = guard(&label.text).to_string();
            report = with_place(report, &location, AnnotationKind::Context, &text);
        }
    }
    if let Some(help) = &diagnostic.help {
        report = report.element(Level::HELP.message(guard(help).to_string()));
    }
    print(report);
}

/// Adds a place to a message: file, line and column, the line itself, and the marked range. All
/// text from the source is made visible.
fn with_place<'r>(
    report: Group<'r>,
    location: &Location,
    kind: AnnotationKind,
    label: &str,
) -> Group<'r> {
    let Location {
        name,
        start,
        excerpt,
        ..
    } = location;
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let name = escape(name).to_string();
    let column = number(start.column);
    let (shown, at) = visible(&excerpt.text, excerpt.at.clone());
    let before = shown.get(..at.start).unwrap_or_default().chars().count();
    let label = (!label.is_empty()).then(|| label.to_owned());
    let snippet = Snippet::source(shown)
        .line_start(number(start.line))
        .annotation(kind.span(at).label(label));
    if before + 1 == column {
        return report.element(snippet.path(name));
    }
    // If an excerpt is shown, the renderer's own columns would be wrong.
    let origin = Origin::path(name).line(number(start.line));
    let report = report.element(origin.char_column(column));
    report.element(snippet)
}

fn print(report: Group<'_>) {
    for line in Renderer::plain().render(&[report]).lines() {
        complain(line.trim_end());
    }
}

/// Number of bytes of a query that are shown before and after the place.
const AROUND: usize = 400;

/// Prints the rejection of a query to standard error: code, sentence, result code, place and help.
pub fn complain_of_query(refused: &QueryError, text: &str, namespace: &str) {
    let QueryError {
        code,
        text: sentence,
        help,
        ..
    } = refused;
    let HResult(value) = code.hresult();
    let title = guard(format!("{sentence} ({}, 0x{value:08X})", code.constant())).to_string();
    // These depend on the content of the namespace; the others are the same everywhere.
    let place = match code {
        QueryCode::UnknownNamespace | QueryCode::Limit | QueryCode::Empty => String::new(),
        _ => format!("asked in {}", escape(namespace)),
    };
    let help = help.as_ref().map(|help| guard(help).to_string());
    let (shown, at) = visible(text, refused.at.clone());

    let snippet = Snippet::source(shown.as_str())
        .annotation(AnnotationKind::Primary.span(at).label(place.as_str()));
    let mut report = Level::ERROR
        .primary_title(title.as_str())
        .id(code.as_str())
        .element(snippet);
    if let Some(help) = &help {
        report = report.element(Level::HELP.message(help.as_str()));
    }
    print(report);
}

/// The text around a place with every character visible, and the position of the place in it. Line
/// ends and tabs stay, because the renderer turns tabs into blanks.
fn visible(text: &str, at: std::ops::Range<usize>) -> (String, std::ops::Range<usize>) {
    let boundary = |mut offset: usize| {
        offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let start = boundary(at.start.saturating_sub(AROUND));
    let end = boundary(at.end.saturating_add(AROUND)).max(start);
    let part = |from: usize, to: usize| {
        let lines = text.get(from..to.max(from)).unwrap_or_default().split('\n');
        lines.map(visible_line).collect::<Vec<_>>().join("\n")
    };
    let (before, inside) = (
        part(start, boundary(at.start)),
        part(boundary(at.start), boundary(at.end)),
    );
    let from = before.len();
    let to = from + inside.len();
    (
        format!("{before}{inside}{}", part(boundary(at.end), end)),
        from..to,
    )
}

fn visible_line(line: &str) -> String {
    let parts: Vec<String> = line
        .split('\t')
        .map(|part| escape(part).to_string())
        .collect();
    parts.join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_where_it_was_when_the_text_is_made_visible() {
        let text = "SELECT\t*\nFROM \u{202e}x";
        let at = text.find('x').unwrap();
        let (shown, place) = visible(text, at..at + 1);
        assert_eq!(shown, "SELECT\t*\nFROM \\u{202e}x");
        assert_eq!(shown.get(place), Some("x"));
        let long = "é".repeat(5_000);
        let (shown, place) = visible(&long, 5_000..5_002);
        assert!(shown.len() <= 2 * AROUND + 4 && place.end <= shown.len());
        assert_eq!(visible("ab", 2..2), ("ab".to_owned(), 2..2));
    }
}

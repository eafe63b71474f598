//! The refusal of a query with the place in its text, for people.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use cimrepo::base::error::HResult;
use cimrepo::base::escape::{escape, guard};
use cimrepo::text::wql::{QueryCode, QueryError};

use super::output::complain;

/// Bytes of a query that are shown before and after the place.
const AROUND: usize = 400;

/// Prints the refusal of a query on standard error: code, sentence, result code, place and help.
pub fn complain_of_query(refused: &QueryError, text: &str, namespace: &str) {
    let QueryError {
        code,
        text: sentence,
        help,
        ..
    } = refused;
    let HResult(value) = code.hresult();
    let title = guard(format!("{sentence} ({}, 0x{value:08X})", code.constant())).to_string();
    // What a namespace has decides these; the others are the same everywhere.
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
    Renderer::plain()
        .render(&[report])
        .lines()
        .for_each(complain);
}

/// The text around a place, every character in it visible, and where the place is then. Line ends
/// stay.
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
        lines
            .map(|line| escape(line).to_string())
            .collect::<Vec<_>>()
            .join("\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_where_it_was_when_the_text_is_made_visible() {
        let text = "SELECT\t*\nFROM \u{202e}x";
        let at = text.find('x').unwrap();
        let (shown, place) = visible(text, at..at + 1);
        assert_eq!(shown, "SELECT\\u{9}*\nFROM \\u{202e}x");
        assert_eq!(shown.get(place), Some("x"));
        let long = "é".repeat(5_000);
        let (shown, place) = visible(&long, 5_000..5_002);
        assert!(shown.len() <= 2 * AROUND + 4 && place.end <= shown.len());
        assert_eq!(visible("ab", 2..2), ("ab".to_owned(), 2..2));
    }
}

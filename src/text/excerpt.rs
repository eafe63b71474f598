//! The part of a line that is shown with a message about it.

use std::ops::Range;

use super::span::Span;

/// Bytes of a line that an excerpt shows before the stretch, and after its beginning.
const BEFORE: usize = 60;
const AFTER: usize = 100;

/// Stands where a line goes on outside of an excerpt.
const CUT: &str = "…";

/// A part of a line with a stretch in it: short, however long the line is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Excerpt {
    /// The text of the line around the stretch, without its line end. `…` stands where it is cut.
    pub text: String,
    /// The bytes of `text` that the stretch takes; empty where it begins at the line's end.
    pub at: Range<usize>,
}

impl Excerpt {
    /// The part of the line `line` of `text` around `stretch`, which begins in it. Of a stretch
    /// over several lines the first is shown.
    pub(super) fn new(text: &str, line: Span, stretch: Span) -> Self {
        let whole = line.of(text).trim_end_matches(['\r', '\n']);
        let offset = |at: u32| crate::base::widen(at.saturating_sub(line.start));
        let start = boundary(whole, offset(stretch.start));
        let from = boundary(whole, start.saturating_sub(BEFORE));
        let to = boundary(whole, start.saturating_add(AFTER));
        let end = boundary(whole, offset(stretch.end)).clamp(start, to.max(start));

        let mut text = String::new();
        text.push_str(if from > 0 { CUT } else { "" });
        let before = text.len();
        text.push_str(whole.get(from..to).unwrap_or_default());
        text.push_str(if to < whole.len() { CUT } else { "" });
        let moved = |at: usize| at.saturating_sub(from).saturating_add(before);
        Self {
            text,
            at: moved(start)..moved(end),
        }
    }
}

/// The last boundary between characters that is not after `offset`.
fn boundary(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at = at.saturating_sub(1);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_around_the_stretch() {
        let text = format!("first\r\n{}here{}\n", "é".repeat(3_000), "z".repeat(3_000));
        let line = Span::new(7, crate::base::narrow(text.len()));
        let at = u32::try_from(text.find("here").unwrap()).unwrap();
        let excerpt = Excerpt::new(&text, line, Span::new(at, at + 4));
        assert_eq!(excerpt.text.get(excerpt.at.clone()), Some("here"));
        assert!(excerpt.text.starts_with("…é") && excerpt.text.ends_with("z…"));
        assert!(excerpt.text.len() <= BEFORE + AFTER + 2 * CUT.len());

        let ends = [(0, 5, 0..5), (2, 999, 2..5), (5, 9, 5..5), (9, 9, 5..5)];
        for (start, end, at) in ends {
            let excerpt = Excerpt::new(&text, Span::new(0, 7), Span::new(start, end));
            assert_eq!((&*excerpt.text, excerpt.at), ("first", at));
        }
    }
}

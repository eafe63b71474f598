//! Patterns of LIKE: `%` any run, `_` one character, `[a-f]` and `[^…]` sets. Letters match in
//! either case.
//!
//! Matching goes back to the last `%` alone, so that its steps are at most pattern times text.
//! Source: `docs::query`, "LIKE".

use crate::cim::name::{lower, upper};

/// A pattern, ready to be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
    /// True if a bracket is never closed: then nothing matches.
    is_unclosed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A character in upper case.
    Char(char),
    One,
    Run,
    Set(Set),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    is_negated: bool,
    /// Ranges of characters in lower case, their ends included.
    ranges: Vec<(char, char)>,
}

impl Set {
    /// Characters between brackets.
    fn new(inside: &[char]) -> Self {
        let (is_negated, mut rest) = match inside {
            ['^', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let mut ranges = Vec::new();
        while let [first, after @ ..] = rest {
            // A hyphen that is first or last means itself.
            let (last, next) = match after {
                ['-', last, next @ ..] => (last, next),
                next => (first, next),
            };
            ranges.push((lower(*first), lower(*last)));
            rest = next;
        }
        Self { is_negated, ranges }
    }

    fn has(&self, c: char) -> bool {
        let c = lower(c);
        self.ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&c))
            != self.is_negated
    }
}

impl Pattern {
    /// The pattern of a text whose escapes are resolved.
    pub fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let (mut parts, mut rest, mut is_unclosed) = (Vec::new(), &chars[..], false);
        while let [first, after @ ..] = rest {
            rest = after;
            match first {
                // Several runs after each other are one.
                '%' if parts.last() == Some(&Part::Run) => {}
                '%' => parts.push(Part::Run),
                '_' => parts.push(Part::One),
                '[' => match after.iter().position(|c| *c == ']') {
                    Some(end) => {
                        let (inside, behind) = after.split_at(end);
                        parts.push(Part::Set(Set::new(inside)));
                        rest = behind.get(1..).unwrap_or_default();
                    }
                    None => {
                        is_unclosed = true;
                        break;
                    }
                },
                c => parts.push(Part::Char(upper(*c))),
            }
        }
        Self { parts, is_unclosed }
    }

    /// True if a bracket is never closed, so that nothing matches.
    pub const fn is_unclosed(&self) -> bool {
        self.is_unclosed
    }

    /// True if a whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.matches_counted(text).0
    }

    /// The same, with the number of characters that were looked at.
    pub fn matches_counted(&self, text: &str) -> (bool, u64) {
        if self.is_unclosed {
            return (false, 0);
        }
        let (mut part, mut rest, mut steps) = (0, text.chars(), 0);
        // Where the last run began, and what it has not taken yet.
        let mut back: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            steps += 1;
            let before = rest.clone();
            match (self.parts.get(part), rest.next()) {
                (Some(Part::Run), _) => {
                    part += 1;
                    rest = before;
                    back = Some((part, rest.clone()));
                }
                (None, None) => return (true, steps),
                (Some(wanted), Some(c)) if wanted.is(c) => part += 1,
                (_, None) => return (false, steps),
                // The last run takes one character more.
                _ => {
                    let Some((after_run, taken)) = &mut back else {
                        return (false, steps);
                    };
                    if taken.next().is_none() {
                        return (false, steps);
                    }
                    part = *after_run;
                    rest = taken.clone();
                }
            }
        }
    }
}

impl Part {
    fn is(&self, c: char) -> bool {
        match self {
            Part::Char(wanted) => upper(c) == *wanted,
            Part::One => true,
            Part::Set(set) => set.has(c),
            Part::Run => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_table_says() {
        for (pattern, yes, no) in [
            ("", &[""][..], &["a"][..]),
            ("%%", &["", "a", "abc"], &[]),
            ("c%", &["c", "CAT"], &["", "ac"]),
            ("_a_", &["cat", "éaß"], &["ca", "cats"]),
            ("%a%b%", &["ab", "xaxbx", "aab"], &["ba", "a"]),
            ("[a-c]", &["a", "B"], &["d", "-", ""]),
            ("[ac-]", &["a", "-"], &["b"]),
            ("[-ac]", &["a", "-"], &["b"]),
            ("[a-c-e]", &["b", "-", "e"], &["d"]),
            ("[^a-c]", &["d", "^"], &["a", "B", ""]),
            ("[^]", &["a", "]"], &["", "ab"]),
            ("[]%", &[], &["", "a"]),
            ("[f-a]", &[], &["a", "c", "f", "-"]),
            ("[x^]", &["x", "^"], &["y"]),
            ("[^^]", &["a"], &["^"]),
            ("100[%][_][[]x]^-", &["100%_[x]^-"], &["100a_[x]^-"]),
            ("%.dll", &["a.dll", ".dll.DLL"], &["a.dll.x"]),
            ("\u{10400}_", &["\u{10400}\u{10400}"], &["\u{10400}"]),
        ] {
            let matched = |text: &&str| Pattern::new(pattern).matches(text);
            assert!(yes.iter().all(matched), "{pattern} matches {yes:?}");
            assert!(!no.iter().any(matched), "{pattern} matches none of {no:?}");
        }
        let unclosed = Pattern::new("%[a");
        assert!(unclosed.is_unclosed() && !unclosed.matches("[a") && !unclosed.matches("a"));
    }

    #[test]
    fn hostile_patterns_take_pattern_times_text_steps_at_most() {
        let text = "a".repeat(2_000);
        for pattern in [
            "%a".repeat(500) + "b",
            "%[a]_".repeat(300) + "b%",
            "_%".repeat(500) + "%b",
        ] {
            let (found, steps) = Pattern::new(&pattern).matches_counted(&text);
            assert!(!found);
            assert!(
                steps <= 2 * (pattern.len() as u64 + 1) * (text.len() as u64 + 1),
                "{steps}"
            );
        }
    }
}

//! LIKE against a regular expression engine, and the work of hostile patterns.

use cimrepo::query::like::Pattern;
use proptest::prelude::*;
use regex::Regex;

/// A pattern as a regular expression; `None` where a bracket is never closed.
fn translated(pattern: &str) -> Option<String> {
    let (mut out, mut rest) = (String::from("(?is)\\A"), pattern);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '[' => {
                let (inside, after) = rest.split_once(']')?;
                rest = after;
                out.push_str(&set(inside));
            }
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    Some(out + "\\z")
}

fn set(inside: &str) -> String {
    let (negated, inside) = inside
        .strip_prefix('^')
        .map_or((false, inside), |rest| (true, rest));
    if inside.is_empty() {
        return if negated { "." } else { "[a&&b]" }.to_owned();
    }
    let chars: Vec<char> = inside.chars().collect();
    let quoted = |c: char| format!("\\x{{{:x}}}", u32::from(c));
    let (mut parts, mut at) = (String::new(), 0);
    while at < chars.len() {
        match (chars.get(at + 1), chars.get(at + 2)) {
            (Some('-'), Some(last)) => {
                let (first, last) = (chars[at].to_ascii_lowercase(), last.to_ascii_lowercase());
                if first <= last {
                    parts.push_str(&format!("{}-{}", quoted(first), quoted(last)));
                }
                at += 3;
            }
            _ => {
                parts.push_str(&quoted(chars[at]));
                at += 1;
            }
        }
    }
    match (parts.is_empty(), negated) {
        (true, false) => "[a&&b]".to_owned(),
        (true, true) => ".".to_owned(),
        (false, _) => format!("[{}{parts}]", if negated { "^" } else { "" }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    // Letters that have one upper and one lower case; others are folded as names are, and not as
    // regular expressions fold.
    #[test]
    fn like_is_a_regular_expression(pattern in "[abAé%_\\[\\]^.*0-]{0,12}", text in "[abABé^.*0\\[\\]_% -]{0,8}") {
        let matched = Pattern::new(&pattern).matches(&text);
        match translated(&pattern) {
            Some(regex) => prop_assert_eq!(matched, Regex::new(&regex).unwrap().is_match(&text), "{} {}", pattern, regex),
            None => prop_assert!(!matched),
        }
    }

    #[test]
    fn work_is_at_most_pattern_times_text(pattern in "[a%_\\[\\]]{0,200}", text in "[ab]{0,200}") {
        let (_, steps) = Pattern::new(&pattern).matches_counted(&text);
        prop_assert!(steps <= 2 * (pattern.len() as u64 + 1) * (text.len() as u64 + 2));
    }
}

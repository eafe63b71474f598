//! What must not stand in an output, by Unicode's own tables: the printer has a table of its own.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

fn members(class: &str) -> HashSet<char> {
    let hir = regex_syntax::parse(class).unwrap();
    let HirKind::Class(Class::Unicode(class)) = hir.kind().clone() else {
        panic!("{class} is no class")
    };
    class
        .ranges()
        .iter()
        .flat_map(|range| range.start()..=range.end())
        .collect()
}

static HIDDEN: LazyLock<HashSet<char>> =
    LazyLock::new(|| members(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{DI}\p{Bidi_C}\p{NChar}]"));
static MARKS: LazyLock<HashSet<char>> = LazyLock::new(|| members(r"[\p{Mn}\p{Me}]"));

/// Whether a character moves, turns or hides what is around it.
pub fn is_hidden(c: char) -> bool {
    HIDDEN.contains(&c)
}

/// The first thing in a line that a terminal would not show as it is.
pub fn fault(line: &str) -> Option<String> {
    let mut marks = 0;
    for c in line.chars() {
        marks = if MARKS.contains(&c) { marks + 1 } else { 0 };
        if is_hidden(c) || marks > 4 {
            return Some(format!("U+{:04X} in {line:?}", u32::from(c)));
        }
    }
    None
}

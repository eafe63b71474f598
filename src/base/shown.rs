//! Names from elsewhere, as they are shown: a file name or a text in a file may hold what moves the cursor of a terminal or
//! turns the direction of the line, and then a message says something else than it holds.

use std::path::Path;

/// A path to show: like `display`, what does not show as itself escaped.
pub fn shown(path: &Path) -> String {
    shown_text(&path.to_string_lossy())
}

/// The same for a text.
pub(crate) fn shown_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Characters without width that change how what is beside them is shown: marks of direction, joiners, tags.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_or_turns_is_escaped_and_the_rest_is_not() {
        assert_eq!(shown_text("a b-Ä/日本.bak"), "a b-Ä/日本.bak");
        assert_eq!(shown_text("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(shown_text("x\u{202e}cba"), "x\\u{202e}cba");
        assert_eq!(shown(Path::new("d/\r")), "d/\\r");
    }
}

//! The namespace that a pragma names. Source: WMI SDK, "#pragma namespace", and what Windows
//! stored.

use super::places::{Fold, refuse};
use crate::text::diagnostic::Place;
use crate::text::mof::code;

/// The namespace that `value` means in `current`. A path that begins with `root` is absolute, any
/// other goes on from `current`.
///
/// # Errors
/// `INVALID_NAMESPACE_SPECIFICATION` for another server, `INVALID_NAMESPACE_SYNTAX` for a malformed
/// path.
pub(super) fn namespace(value: &str, current: &str, place: Place) -> Fold<String> {
    let is_separator = |c| matches!(c, '\\' | '/');
    let mut rest = value;
    if let Some(after) = value
        .strip_prefix(r"\\")
        .or_else(|| value.strip_prefix("//"))
    {
        let (server, path) = after.split_once(is_separator).unwrap_or((after, ""));
        let is_here = server == "." || server.eq_ignore_ascii_case("localhost");
        if !is_here {
            let text = format!(
                "the namespace lies on the server `{server}`; only this one can be compiled into"
            );
            return refuse(code::INVALID_NAMESPACE_SPECIFICATION, place, text);
        }
        rest = path;
    }
    let rest = rest.strip_prefix(is_separator).unwrap_or(rest);
    let parts: Vec<&str> = rest.split(is_separator).collect();
    let is_bad =
        |part: &&str| part.is_empty() || part.contains([':', '"', '\'', '=', ',']) || is_dots(part);
    if let Some(bad) = parts.iter().find(|part| is_bad(part)) {
        let text = format!("`{bad}` cannot be a part of the path of a namespace");
        return refuse(code::INVALID_NAMESPACE_SYNTAX, place, text);
    }
    let path = parts.join("\\");
    let is_absolute = parts
        .first()
        .is_some_and(|first| first.eq_ignore_ascii_case("root"));
    Ok(if is_absolute {
        path
    } else {
        format!("{current}\\{path}")
    })
}

fn is_dots(part: &str) -> bool {
    matches!(part, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::places::Stop;

    #[test]
    fn paths_are_absolute_relative_or_wrong() {
        let rows = [
            (r"\\.\root\x", r"root\x"),
            (r"\\.\ROOT\x", r"ROOT\x"),
            (r"\\LocalHost\root\x", r"root\x"),
            (r"\root\x", r"root\x"),
            ("//./root/x", r"root\x"),
            ("root", "root"),
            ("ms_409", r"root\a\ms_409"),
            (r"rooted\b", r"root\a\rooted\b"),
        ];
        for (value, expected) in rows {
            assert_eq!(
                namespace(value, r"root\a", Place::default()).unwrap(),
                expected,
                "{value}"
            );
        }
        let codes = [
            (r"\\other\root\x", code::INVALID_NAMESPACE_SPECIFICATION),
            ("", code::INVALID_NAMESPACE_SYNTAX),
            (r"root\\x", code::INVALID_NAMESPACE_SYNTAX),
            (r"root\..", code::INVALID_NAMESPACE_SYNTAX),
            (r"root\a:b", code::INVALID_NAMESPACE_SYNTAX),
            (r"root\a'", code::INVALID_NAMESPACE_SYNTAX),
        ];
        for (value, expected) in codes {
            match namespace(value, r"root\a", Place::default()) {
                Err(Stop::Refused(diagnostic)) => assert_eq!(diagnostic.code, expected, "{value}"),
                other => panic!("{value}: {other:?}"),
            }
        }
    }
}

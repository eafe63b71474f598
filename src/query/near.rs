//! Help for a name that is not there: names at most two edits away, and other places where it lies.

use crate::base::query_error::quote;
use crate::catalog::Catalog;
use crate::cim::name::to_upper;
use crate::format::index::object_key::SYSTEM_NAMESPACE;

/// Names that are suggested at most.
const SUGGESTIONS: usize = 3;

/// Longer names are not compared.
const MAX_COMPARED: usize = 256;

/// Edits between a name and one that is suggested for it.
const MAX_EDITS: usize = 2;

/// A sentence that suggests those of `names` that are most like `wanted`; `None` where none is.
pub(super) fn suggestion(wanted: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    if wanted.len() > MAX_COMPARED {
        return None;
    }
    let folded: Vec<char> = to_upper(wanted).chars().collect();
    let most = MAX_EDITS.min(folded.len().saturating_sub(1));
    let edits = |name: &str| {
        let name: Vec<char> = to_upper(name).chars().collect();
        (0..=most).find(|&edits| is_within(&folded, &name, edits))
    };
    let near = names.into_iter().filter(|name| name.len() <= MAX_COMPARED);
    let mut near: Vec<(usize, String)> = near
        .filter_map(|name| Some((edits(&name)?, name)))
        .collect();
    near.sort();
    near.dedup();
    near.truncate(SUGGESTIONS);
    let near: Vec<String> = near.iter().map(|(_, name)| quote(name)).collect();
    match near.as_slice() {
        [] => None,
        [only] => Some(format!("did you mean {only}?")),
        [most @ .., last] => Some(format!("did you mean {} or {last}?", most.join(", "))),
    }
}

/// True if so many insertions, removals, changes and exchanges of neighbours lead from one name to
/// the other. The work is the length times a constant, as `edits` is small.
fn is_within(a: &[char], b: &[char], edits: usize) -> bool {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (
        a.get(same..).unwrap_or_default(),
        b.get(same..).unwrap_or_default(),
    );
    let ([first, a_rest @ ..], [other, b_rest @ ..]) = (a, b) else {
        return a.len() + b.len() <= edits;
    };
    let Some(left) = edits.checked_sub(1) else {
        return false;
    };
    if a.len().abs_diff(b.len()) > edits {
        return false;
    }
    let are_exchanged = a_rest.first() == Some(other) && b_rest.first() == Some(first);
    let behind = |rest: &'_ [char]| rest.get(1..).unwrap_or_default().to_vec();
    is_within(a_rest, b_rest, left)
        || is_within(a_rest, b, left)
        || is_within(a, b_rest, left)
        || are_exchanged && is_within(&behind(a_rest), &behind(b_rest), left)
}

/// Where a class lies that a namespace has not, or else classes of it with a name like that.
pub(super) fn class(catalog: &Catalog, namespace: &str, wanted: &str) -> Option<String> {
    let has = |other: &String| {
        let key = catalog.keys().class(other, wanted);
        catalog
            .snapshot()
            .reference(key.as_bytes())
            .is_ok_and(|record| record.is_some())
    };
    let lies_in: Vec<String> = catalog
        .namespaces()
        .into_iter()
        .flatten()
        .filter(has)
        .take(SUGGESTIONS)
        .collect();
    if !lies_in.is_empty() {
        let lies_in: Vec<String> = lies_in.iter().map(|namespace| quote(namespace)).collect();
        return Some(format!("it lies in {}", lies_in.join(", ")));
    }
    let of = |namespace: &str| {
        catalog
            .class_names(namespace)
            .flatten()
            .map(|(name, _)| name.as_str().to_owned())
    };
    suggestion(wanted, of(namespace).chain(of(SYSTEM_NAMESPACE)))
}

/// Namespaces like the one that is not there, or with its last part elsewhere.
pub(super) fn namespace(catalog: &Catalog, wanted: &str) -> Option<String> {
    let all: Vec<String> = catalog.namespaces().into_iter().flatten().collect();
    let end = |path: &str| to_upper(path.rsplit('\\').next().unwrap_or_default());
    let found = suggestion(wanted, all.iter().cloned());
    found.or_else(|| {
        let same_end = all.iter().filter(|path| end(path) == end(wanted));
        let same_end: Vec<String> = same_end.take(SUGGESTIONS).map(|path| quote(path)).collect();
        (!same_end.is_empty()).then(|| format!("did you mean {}?", same_end.join(" or ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_two_edits_away_are_suggested() {
        let near =
            |wanted: &str| suggestion(wanted, ["Name", "Names", "Status", "N"].map(str::to_owned));
        assert_eq!(near("nmae").as_deref(), Some("did you mean Name or Names?"));
        assert_eq!(near("Stauts").as_deref(), Some("did you mean Status?"));
        assert_eq!(near("Statusxxx"), None);
        assert_eq!(near("x"), None, "a name of one letter is like every other");
        assert_eq!(near(&"x".repeat(300)), None);
    }
}

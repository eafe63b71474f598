//! Names, which are compared without regard to case and keep their spelling.
//!
//! Upper case is that of the index: one UTF-16 code unit at a time, one to one, without locale. A
//! character stays as it is if its upper case is longer (`ß`) or it takes two units. Names are
//! ordered by lower case, so that `_` sorts before letters, as in the property table of a class.
//! Source: `docs::objects`, "Names".

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::base::escape::escape;

/// A character in upper case, as the index folds it.
pub fn upper(c: char) -> char {
    if c.is_ascii() {
        c.to_ascii_uppercase()
    } else {
        one_to_one(c, c.to_uppercase())
    }
}

/// A character in lower case, folded one to one like [`upper`].
pub fn lower(c: char) -> char {
    if c.is_ascii() {
        c.to_ascii_lowercase()
    } else {
        one_to_one(c, c.to_lowercase())
    }
}

/// The only character of `folded`, if both it and `c` take one UTF-16 unit; otherwise `c`.
fn one_to_one(c: char, mut folded: impl Iterator<Item = char>) -> char {
    match (folded.next(), folded.next()) {
        (Some(one), None) if c.len_utf16() == 1 && one.len_utf16() == 1 => one,
        _ => c,
    }
}

#[cfg(feature = "sim")]
thread_local! {
    static COMPARISONS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Number of names compared on this thread, for tests of how the work grows.
#[cfg(feature = "sim")]
pub fn comparisons() -> u64 {
    COMPARISONS.get()
}

#[inline]
fn count_comparison() {
    #[cfg(feature = "sim")]
    COMPARISONS.set(COMPARISONS.get().wrapping_add(1));
}

/// A text in upper case, in the form that the index hashes.
pub fn to_upper(text: &str) -> String {
    // Nearly every name is ASCII.
    if text.is_ascii() {
        text.to_ascii_uppercase()
    } else {
        text.chars().map(upper).collect()
    }
}

/// True if two names are the same, ignoring case.
pub fn same(a: &str, b: &str) -> bool {
    count_comparison();
    // The second comparison stops at the first difference, so that long names cost little when they
    // differ early.
    a.eq_ignore_ascii_case(b) || a.chars().map(upper).eq(b.chars().map(upper))
}

/// Orders two names. They are equal exactly if they are the [`same`].
pub fn order(a: &str, b: &str) -> Ordering {
    count_comparison();
    // Most names differ early. A difference after nothing but ASCII decides at once.
    for (x, y) in a.bytes().zip(b.bytes()) {
        if !(x.is_ascii() && y.is_ascii()) {
            return order_folded(a, b);
        }
        let (x, y) = (x.to_ascii_lowercase(), y.to_ascii_lowercase());
        if x != y {
            return x.cmp(&y);
        }
    }
    a.len().cmp(&b.len())
}

fn order_folded(a: &str, b: &str) -> Ordering {
    let folded = |text: &str| text.chars().map(|c| lower(upper(c))).collect::<String>();
    let units = |text: &str| folded(text).encode_utf16().collect::<Vec<u16>>();
    units(a)
        .cmp(&units(b))
        .then_with(|| to_upper(a).cmp(&to_upper(b)))
}

/// The name of a class, property, method, parameter or qualifier. Cheap to clone: the spelling is
/// shared.
#[derive(Clone)]
pub struct Name(Arc<str>);

impl Name {
    /// The name with this spelling.
    pub fn new(spelling: impl Into<Arc<str>>) -> Self {
        Self(spelling.into())
    }

    /// The spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || same(&self.0, &other.0)
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        same(&self.0, other)
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        same(&self.0, other)
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        order(&self.0, &other.0)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut pieces = UpperPieces {
            rest: self.0.chars(),
            buffer: [0; PIECE_BYTES],
        };
        while let Some(piece) = pieces.next_piece() {
            state.write(piece);
        }
        // This byte occurs in no text, so that no name is a prefix of another.
        state.write_u8(0xFF);
    }
}

/// Number of bytes that go to a hasher at once. A hasher may distinguish pieces, so where a name is
/// cut must depend on its upper case alone.
const PIECE_BYTES: usize = 32;

/// The UTF-8 text in upper case, piece by piece.
struct UpperPieces<'t> {
    rest: std::str::Chars<'t>,
    buffer: [u8; PIECE_BYTES],
}

impl UpperPieces<'_> {
    fn next_piece(&mut self) -> Option<&[u8]> {
        let mut used = 0;
        // There is space left for any character.
        while let Some(free) = self.buffer.get_mut(used..).filter(|free| free.len() >= 4) {
            let Some(c) = self.rest.next() else { break };
            used += upper(c).encode_utf8(free).len();
        }
        self.buffer.get(..used).filter(|piece| !piece.is_empty())
    }
}

impl From<&str> for Name {
    fn from(spelling: &str) -> Self {
        Self::new(spelling)
    }
}

impl From<String> for Name {
    fn from(spelling: String) -> Self {
        Self::new(spelling)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// For people: invisible characters are escaped. [`as_str`](Name::as_str) returns the name itself.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(&self.0).fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Finds members of a list by name. A short list is searched, a long one has a table, so that
/// finding each of many members stays linear. Of several members with one name the first is found.
pub(crate) struct ByName<'n, T> {
    members: &'n [T],
    name: fn(&T) -> &Name,
    table: Option<HashMap<&'n Name, &'n T>>,
}

impl<'n, T> ByName<'n, T> {
    /// Up to this length searching is faster than hashing. Nearly all real lists are shorter.
    const SHORT: usize = 16;

    pub(crate) fn new(members: &'n [T], name: fn(&T) -> &Name) -> Self {
        let is_long = members.len() > Self::SHORT;
        // Inserted in reverse, so that the first member of a name is inserted last and stays.
        let table = is_long.then(|| {
            members
                .iter()
                .rev()
                .map(|member| (name(member), member))
                .collect()
        });
        Self {
            members,
            name,
            table,
        }
    }

    /// The member with this name.
    pub(crate) fn get(&self, name: &Name) -> Option<&'n T> {
        match &self.table {
            Some(table) => table.get(name).copied(),
            None => self
                .members
                .iter()
                .find(|member| (self.name)(member) == name),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_keep_their_spelling() {
        let name = Name::new("__SystemClass");
        assert_eq!(name, Name::new("__SYSTEMCLASS"));
        assert_eq!(name.as_str(), "__SystemClass");
        assert_eq!(Name::new("a\u{202e}b").to_string(), "a\\u{202e}b");
        assert_eq!(Name::new("Größe"), "GRÖßE");
        assert_ne!(Name::new("Größe"), "GRÖSSE");
        assert_ne!(Name::new("\u{10428}"), "\u{10400}");
    }

    #[test]
    fn members_are_found_by_name_in_short_and_long_lists() {
        for length in [0, 3, 16, 17, 400] {
            let names: Vec<Name> = (0..length)
                .map(|number| Name::from(format!("N{}", number % 300)))
                .collect();
            let found = ByName::new(&names, |name| name);
            for name in &names {
                let first = names.iter().find(|other| *other == name).unwrap();
                assert!(std::ptr::eq(
                    found
                        .get(&Name::from(name.as_str().to_lowercase()))
                        .unwrap(),
                    first
                ));
            }
            assert!(found.get(&Name::new("N300")).is_none());
        }
    }

    #[test]
    fn the_low_line_sorts_before_letters() {
        let mut names = ["ab", "A_c", "AB_", "a"].map(Name::new);
        names.sort();
        assert_eq!(
            names.map(|name| name.as_str().to_owned()),
            ["a", "A_c", "ab", "AB_"]
        );
    }

    #[test]
    fn order_and_equality_agree() {
        let names = [
            "k", "K", "\u{212A}", "s", "\u{17F}", "S", "i", "\u{131}", "\u{130}", "µ", "\u{3BC}",
            "z",
        ];
        for a in names.map(Name::new) {
            for b in names.map(Name::new) {
                assert_eq!(a == b, a.cmp(&b).is_eq(), "{a} {b}");
                assert_eq!(a.cmp(&b), b.cmp(&a).reverse(), "{a} {b}");
            }
        }
    }
}

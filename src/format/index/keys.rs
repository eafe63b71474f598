//! The keys of an index page, decoded once for many look-ups and scans in memory.
//!
//! In the page a key is a list of token numbers, each of which leads through two tables to its
//! text. Here the keys are stored one after the other without their common prefix. The first six
//! bytes of each, together with the end of the key, form a number in a separate table, which a
//! search examines first. In an index of hashes this nearly always settles it.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::page::{IndexPage, Layout};
use crate::base::page_no::PAGE_SIZE;

/// Largest size of the decoded keys of a page, in bytes. Keys share their tokens, so a page may
/// stand for much more text.
const MAX_TEXT: usize = 3 * PAGE_SIZE;

/// The keys of a page.
#[derive(Debug)]
pub struct IndexKeys {
    /// The places of the tables of the page.
    pub layout: Layout,
    /// The child pointer of the page, if all are the same: "none" in a leaf.
    pub only_child: Option<u32>,
    /// Length of the common prefix of all keys.
    prefix: u16,
    /// For each key the first six bytes after the prefix (padded with zeros) and, in the low bits,
    /// the end of the key in the text. As numbers they are ordered like the keys.
    places: Box<[u64]>,
    /// The common prefix of all keys, then the keys without it.
    text: Box<[u8]>,
}

impl IndexKeys {
    /// Decodes the keys of a page; `None` if one is damaged, they are out of order, or together
    /// they are too long.
    pub fn of(page: &IndexPage<'_>) -> Option<Self> {
        let (mut first, mut key) = (Vec::new(), Vec::new());
        page.append_key(0, &mut first)?;
        page.append_key(page.key_count() - 1, &mut key)?;
        let common = first.iter().zip(&key).take_while(|(a, b)| a == b).count();
        let prefix = first.get(..common)?;
        let mut places = Vec::with_capacity(page.key_count());
        let mut text: Vec<u8> = Vec::with_capacity(PAGE_SIZE);
        text.extend_from_slice(prefix);
        let mut start = common;
        for number in 0..page.key_count() {
            key.clear();
            page.append_key(number, &mut key)?;
            let rest = key.strip_prefix(prefix)?;
            if number > 0 && text.get(start..)? >= rest || text.len() + rest.len() > MAX_TEXT {
                return None;
            }
            start = text.len();
            text.extend_from_slice(rest);
            places.push(head(rest) << END_BITS | u64::from(u16::try_from(text.len()).ok()?));
        }
        let child = page.child(0);
        let only_child = page.children().all(|other| other == child).then_some(child);
        let prefix = u16::try_from(common).ok()?;
        let (places, text) = (places.into(), text.into());
        Some(Self {
            layout: page.layout(),
            only_child,
            prefix,
            places,
            text,
        })
    }

    /// The common prefix of all keys.
    pub fn prefix(&self) -> &[u8] {
        self.text
            .get(..usize::from(self.prefix))
            .unwrap_or_default()
    }

    /// A key without the prefix; empty for a number that does not exist.
    pub fn rest(&self, key: usize) -> &[u8] {
        let end = |key: usize| self.places.get(key).map_or(0, |&place| end_of(place));
        let start = key.checked_sub(1).map_or(usize::from(self.prefix), end);
        self.text.get(start..end(key)).unwrap_or_default()
    }

    /// The index of the first key that is not less than `text`, and whether it is equal.
    pub fn search(&self, text: &[u8]) -> (usize, bool) {
        let Some(rest) = text.strip_prefix(self.prefix()) else {
            return (
                if self.prefix() < text {
                    self.places.len()
                } else {
                    0
                },
                false,
            );
        };
        let wanted = head(rest);
        let low = self.below(wanted << END_BITS);
        let same = self.places.get(low..).unwrap_or_default();
        let same = same
            .iter()
            .take_while(|&&place| place >> END_BITS == wanted)
            .count();
        // Among those with the same head, the first that is not less.
        let (mut low, mut high) = (low, low + same);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.rest(middle).cmp(rest) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return (middle, true),
                Ordering::Greater => high = middle,
            }
        }
        (low, false)
    }

    /// Compares a key with `text`.
    pub fn compare(&self, key: usize, text: &[u8]) -> Ordering {
        match text.strip_prefix(self.prefix()) {
            Some(rest) => self.rest(key).cmp(rest),
            None => self.prefix().cmp(text),
        }
    }

    /// Number of places below a bound. All of a step are examined whatever their values, so that
    /// the processor waits for memory once per step and not once per comparison.
    fn below(&self, bound: u64) -> usize {
        let is_below = |place: &&u64| **place < bound;
        let steps = self
            .places
            .chunks_exact(STEP)
            .filter_map(<[u64]>::last)
            .filter(is_below)
            .count();
        let rest = self.places.get(STEP * steps..).unwrap_or_default();
        STEP * steps + rest.iter().take(STEP).filter(is_below).count()
    }

    /// The part of a key after `text`, if it begins with that.
    pub fn tail(&self, key: usize, text: &[u8]) -> Option<Cow<'_, [u8]>> {
        match text.strip_prefix(self.prefix()) {
            Some(rest) => self.rest(key).strip_prefix(rest).map(Cow::Borrowed),
            None => self
                .prefix()
                .strip_prefix(text)
                .map(|front| Cow::Owned([front, self.rest(key)].concat())),
        }
    }
}

/// The end of the key of a place.
fn end_of(place: u64) -> usize {
    let [.., high, low] = place.to_be_bytes();
    usize::from(u16::from_be_bytes([high, low]))
}

/// Number of bits of a place that hold the end of a key.
const END_BITS: u32 = 16;

/// Number of places that a search examines together.
const STEP: usize = 16;

/// The first six bytes as a number with the same order.
fn head(text: &[u8]) -> u64 {
    if let Some(first) = text.first_chunk() {
        return u64::from_be_bytes(*first) >> END_BITS;
    }
    text.iter()
        .zip((0..6).rev())
        .fold(0, |head, (&byte, place)| {
            head | u64::from(byte) << (8 * place)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page_no::{LogicalPage, NIL};
    use crate::base::site::{FileRole, Site};
    use crate::format::index::node::IndexNode;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_search_finds_what_a_search_in_the_page_finds(
            keys in prop::collection::btree_set("(AB_|ABC)[A-C]{1,12}(\\\\[A-C._0-9]{1,8}){0,2}", 1..60),
            texts in prop::collection::vec("(A|AB_|ABC)[A-C\\\\\u{0}]{0,12}", 0..30),
        ) {
            let own = LogicalPage::new(7).unwrap();
            let node = IndexNode::from_keys(keys.iter().map(|key| key.as_bytes()), vec![NIL; keys.len() + 1]);
            let bytes = node.to_page(own).unwrap();
            let page = IndexPage::parse(&bytes, own, Site::file(FileRole::Index)).unwrap();
            let decoded = IndexKeys::of(&page).unwrap();
            for (number, key) in keys.iter().enumerate() {
                prop_assert_eq!([decoded.prefix(), decoded.rest(number)].concat(), key.as_bytes());
                prop_assert_eq!(decoded.search(key.as_bytes()), (number, true));
                let tail = |text: &[u8]| decoded.tail(number, text).map(Cow::into_owned);
                prop_assert_eq!(tail(key.as_bytes()), Some(Vec::new()));
                prop_assert_eq!(tail(b"A"), Some(key.as_bytes()[1..].to_vec()));
                prop_assert_eq!(decoded.tail(number, b"AX"), None);
                for text in texts.iter().chain(&keys) {
                    prop_assert_eq!(decoded.compare(number, text.as_bytes()), key.cmp(text));
                }
            }
            for text in &texts {
                prop_assert_eq!(Ok(decoded.search(text.as_bytes())), page.search(text.as_bytes()));
            }
        }

        #[test]
        fn damaged_pages_give_no_keys_or_keys_in_order(
            keys in prop::collection::btree_set("[A-C]{1,2}(\\\\[A-C]{1,4}){0,2}", 2..30),
            changes in prop::collection::vec((0..1500usize, any::<u8>()), 1..6),
        ) {
            let own = LogicalPage::new(7).unwrap();
            let node = IndexNode::from_keys(keys.iter().map(|key| key.as_bytes()), vec![NIL; keys.len() + 1]);
            let mut bytes = node.to_page(own).unwrap();
            for (offset, byte) in changes {
                bytes[offset] = byte;
            }
            if let Ok(page) = IndexPage::parse(&bytes, own, Site::file(FileRole::Index))
                && let Some(decoded) = IndexKeys::of(&page)
            {
                prop_assert!((1..page.key_count()).all(|key| decoded.rest(key - 1) < decoded.rest(key)));
                let _ = (decoded.search(b"A\\B"), decoded.rest(usize::MAX), decoded.tail(9999, b"A"));
            }
        }
    }
}

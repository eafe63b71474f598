//! Building of index pages: a node as keys and children, and its bytes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::page::{HEADER_SIZE, IndexPage, SEPARATOR, SIGNATURE};
use crate::base::limits::MAX_KEY_BYTES;
use crate::base::page_no::{LogicalPage, NIL, PAGE_SIZE, PageBytes};
use crate::base::{narrow, widen};
use crate::format::bytes::put;

/// The content of an index page apart from its own number, sufficient to reproduce it byte for
/// byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexNode {
    /// The tokens, sorted.
    pub tokens: Vec<Box<[u8]>>,
    /// The token numbers of each key, in key order.
    pub keys: Vec<Box<[u16]>>,
    /// The child pointers as stored, one more than keys.
    pub children: Vec<u32>,
    /// Numbers of the keys, in the order of their definitions.
    pub definition_order: Vec<u16>,
    /// Numbers of the tokens, in the order in which the heap stores them.
    pub token_order: Vec<u16>,
    /// The bytes after the used ones; if shorter than the space, zeros follow.
    pub slack: Box<[u8]>,
}

impl IndexNode {
    /// A node with these keys (ascending, unique, not empty) and children, in the engine's own
    /// order: definitions by key, tokens sorted.
    pub fn from_keys<'k>(keys: impl IntoIterator<Item = &'k [u8]>, children: Vec<u32>) -> Self {
        let keys: Vec<&[u8]> = keys.into_iter().collect();
        let distinct: BTreeSet<&[u8]> = keys.iter().flat_map(|key| tokens_of(key)).collect();
        let numbers: BTreeMap<&[u8], u16> = distinct.iter().copied().zip(0..).collect();
        let number = |token| numbers.get(token).copied().unwrap_or_default();
        Self {
            tokens: distinct.iter().map(|&token| token.into()).collect(),
            definition_order: (0..).take(keys.len()).collect(),
            token_order: (0..).take(distinct.len()).collect(),
            keys: keys
                .iter()
                .map(|key| tokens_of(key).map(number).collect())
                .collect(),
            children,
            slack: Box::default(),
        }
    }

    /// Decodes a page; `None` if it is damaged.
    pub fn from_page(page: &IndexPage<'_>) -> Option<Self> {
        let token_numbers = 0..u16::try_from(page.token_count()).ok()?;
        let tokens: Vec<&[u8]> = token_numbers
            .clone()
            .map(|number| page.token(number))
            .collect::<Option<_>>()?;
        let keys = (0..page.key_count()).map(|key| page.token_numbers(key).map(Iterator::collect));
        let mut definition_order: Vec<u16> = (0..).take(page.key_count()).collect();
        definition_order.sort_by_key(|&key| page.definition_offset(usize::from(key)));
        let mut token_order: Vec<u16> = token_numbers.collect();
        // All tokens are slices of the same page, so their addresses give their order in the heap.
        token_order.sort_by_key(|&number| {
            tokens
                .get(usize::from(number))
                .map(|token| token.as_ptr().addr())
        });
        Some(Self {
            keys: keys.collect::<Option<_>>()?,
            tokens: tokens.into_iter().map(Into::into).collect(),
            children: page.children().collect(),
            definition_order,
            token_order,
            slack: page.slack().into(),
        })
    }

    /// The page; `None` if the node does not fit into one.
    pub fn to_page(&self, own: LogicalPage) -> Option<Box<PageBytes>> {
        let (definitions, definition_offsets) = self.definitions()?;
        let (heap, token_offsets) = self.heap()?;
        let mut bytes = Vec::with_capacity(PAGE_SIZE);
        let words = [SIGNATURE, own.get(), 0, 0, narrow(self.keys.len())];
        let zeros = std::iter::repeat_n(0, self.keys.len());
        for word in words
            .into_iter()
            .chain(zeros)
            .chain(self.children.iter().copied())
        {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let counted = |units: &[u16]| u16::try_from(units.len()).ok();
        let token_count = u16::try_from(self.tokens.len()).ok()?;
        let halves = definition_offsets
            .into_iter()
            .chain([counted(&definitions)?])
            .chain(definitions)
            .chain([token_count]);
        for half in halves.chain(token_offsets) {
            bytes.extend_from_slice(&half.to_le_bytes());
        }
        bytes.extend_from_slice(&heap);
        let mut page = Box::new([0; PAGE_SIZE]);
        let slack_at = bytes.len();
        bytes.extend_from_slice(
            self.slack
                .get(..PAGE_SIZE.checked_sub(slack_at)?)
                .unwrap_or(&self.slack),
        );
        put(&mut page[..], 0, &bytes);
        Some(page)
    }

    /// The definition table, and the offset of each key's definition in it.
    fn definitions(&self) -> Option<(Vec<u16>, Vec<u16>)> {
        let mut table = Vec::new();
        let mut offsets = vec![0; self.keys.len()];
        for &key in &self.definition_order {
            let numbers = self.keys.get(usize::from(key))?;
            *offsets.get_mut(usize::from(key))? = u16::try_from(table.len()).ok()?;
            table.push(u16::try_from(numbers.len()).ok()?);
            table.extend_from_slice(numbers);
        }
        Some((table, offsets))
    }

    /// The heap, and the offset of each token in it, followed by its length.
    fn heap(&self) -> Option<(Vec<u8>, Vec<u16>)> {
        let mut heap = Vec::new();
        let mut offsets = vec![0; self.tokens.len()];
        for &number in &self.token_order {
            *offsets.get_mut(usize::from(number))? = u16::try_from(heap.len()).ok()?;
            heap.extend_from_slice(self.tokens.get(usize::from(number))?);
            heap.push(0);
        }
        offsets.push(u16::try_from(heap.len()).ok()?);
        Some((heap, offsets))
    }
}

/// The tokens of a key.
pub(crate) fn tokens_of(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(key);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(SEPARATOR, text);
        rest = end.and_then(|end| text.get(end + 1..));
        text.get(..end.unwrap_or(text.len()))
    })
}

/// The page of a node with these keys (ascending, unique, not empty) and children, one more than
/// keys or none; `None` if they do not fit into one. The result equals that of
/// [`IndexNode::from_keys`], but no owned tables are built.
pub(crate) fn page_of<K: AsRef<[u8]>>(
    own: LogicalPage,
    keys: &[K],
    children: &[u32],
) -> Option<Box<PageBytes>> {
    let Numbered {
        tokens,
        numbers,
        definition_units,
    } = Numbered::of(keys)?;
    let heap_len: usize = tokens.iter().map(|token| token.len() + 1).sum();
    let fixed = HEADER_SIZE + 10 * keys.len() + 4 + 2 + 2 * definition_units + 2;
    if fixed + 2 * (tokens.len() + 1) + heap_len > PAGE_SIZE {
        return None;
    }
    let mut page = Box::new([0; PAGE_SIZE]);
    let mut at = 0;
    let mut write = |bytes: &[u8]| {
        put(&mut page[..], at, bytes);
        at += bytes.len();
    };
    let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
    [SIGNATURE, own.get(), 0, 0, narrow(keys.len())]
        .iter()
        .for_each(|word| write(&word.to_le_bytes()));
    keys.iter().for_each(|_| write(&[0; 4]));
    match children {
        [] => (0..=keys.len()).for_each(|_| write(&NIL.to_le_bytes())),
        children => children
            .iter()
            .for_each(|child| write(&child.to_le_bytes())),
    }
    let mut offset = 0;
    for key in keys {
        write(&count(offset));
        offset += 1 + tokens_of(key.as_ref()).count();
    }
    write(&count(definition_units));
    let mut numbers = numbers.iter();
    for key in keys {
        let tokens = tokens_of(key.as_ref()).count();
        write(&count(tokens));
        numbers
            .by_ref()
            .take(tokens)
            .for_each(|number| write(&number.to_le_bytes()));
    }
    write(&count(tokens.len()));
    let mut offset = 0;
    for token in &tokens {
        write(&count(offset));
        offset += token.len() + 1;
    }
    write(&count(heap_len));
    for token in &tokens {
        write(token);
        write(&[0]);
    }
    Some(page)
}

/// The tokens of keys, sorted and without duplicates, and for each key the numbers of its tokens.
pub(super) struct Numbered<'k> {
    pub tokens: Vec<&'k [u8]>,
    pub numbers: Vec<u16>,
    pub definition_units: usize,
}

impl<'k> Numbered<'k> {
    pub fn of<K: AsRef<[u8]>>(keys: &'k [K]) -> Option<Self> {
        let mut places: Vec<(&[u8], usize)> = keys
            .iter()
            .flat_map(|key| tokens_of(key.as_ref()))
            .zip(0..)
            .collect();
        let mut numbers = vec![0; places.len()];
        places.sort_unstable();
        let mut tokens: Vec<&[u8]> = Vec::with_capacity(places.len());
        for (token, place) in places {
            if tokens.last() != Some(&token) {
                tokens.push(token);
            }
            *numbers.get_mut(place)? = u16::try_from(tokens.len() - 1).ok()?;
        }
        let definition_units = keys.len() + numbers.len();
        Some(Self {
            tokens,
            numbers,
            definition_units,
        })
    }
}

/// The number of bytes that a node uses with the first key, with the first two, and so on.
pub(crate) fn sizes_of<K: AsRef<[u8]>>(keys: &[K]) -> Vec<usize> {
    let mut tokens: HashSet<&[u8]> = HashSet::with_capacity(2 * keys.len());
    let (mut used, mut last): (usize, &[u8]) = (EMPTY_NODE, &[]);
    let mut sizes = Vec::with_capacity(keys.len());
    for key in keys.iter().map(AsRef::as_ref) {
        used += KEY_UNITS;
        let mut before = tokens_of(last);
        for token in tokens_of(key) {
            used += 2;
            // A token that the previous key has in the same place need not be looked up.
            if before.next() != Some(token) && tokens.insert(token) {
                used += 2 + token.len() + 1;
            }
        }
        sizes.push(used);
        last = key;
    }
    sizes
}

/// Size of a node without keys: header, one child, and the empty tables.
pub(super) const EMPTY_NODE: usize = HEADER_SIZE + 4 + 2 + 2 + 2;

/// Size of a key apart from its tokens: a zero, a child, a definition offset, and its number of
/// tokens.
pub(super) const KEY_UNITS: usize = 4 + 4 + 2 + 2;

/// Tracks the size of a node while keys are added to it.
#[derive(Debug, Clone)]
pub(crate) struct NodeSize {
    used: usize,
    tokens: HashSet<Box<[u8]>>,
    /// The last key added. With sorted keys, the next one shares tokens with it.
    last: Vec<u8>,
}

impl Default for NodeSize {
    fn default() -> Self {
        Self {
            used: EMPTY_NODE,
            tokens: HashSet::new(),
            last: Vec::new(),
        }
    }
}

impl NodeSize {
    /// Adds a key, unless the node would then use more than `limit` bytes.
    pub(crate) fn add_within(&mut self, limit: usize, key: &[u8]) -> bool {
        let mut more = KEY_UNITS;
        let mut fresh: Vec<&[u8]> = Vec::new();
        let mut before = tokens_of(&self.last);
        for token in tokens_of(key) {
            more += 2;
            if before.next() != Some(token)
                && !self.tokens.contains(token)
                && !fresh.contains(&token)
            {
                more += 2 + token.len() + 1;
                fresh.push(token);
            }
        }
        drop(before);
        if self.used + more > limit {
            return false;
        }
        self.used += more;
        self.tokens.extend(fresh.into_iter().map(Box::from));
        self.last.clear();
        self.last.extend_from_slice(key);
        true
    }
}

/// True if a key can be stored: it is not empty and not too long, and has no empty token and no
/// zero byte.
pub(crate) fn is_storable(key: &[u8]) -> bool {
    key.len() <= MAX_KEY_BYTES && !key.contains(&0) && tokens_of(key).all(|token| !token.is_empty())
}

// A page holds at least six keys of the greatest length, so a node can always be split into two
// legal ones.
const _: () = assert!(6 * (MAX_KEY_BYTES + 64) + 64 < PAGE_SIZE);
const _: () = assert!(widen(u32::MAX) > PAGE_SIZE);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::site::{FileRole, Site};
    use proptest::prelude::*;
    use std::cmp::Ordering;

    const SITE: Site = Site::file(FileRole::Index);

    fn page_no(number: u32) -> LogicalPage {
        LogicalPage::new(number).unwrap()
    }

    fn keys() -> impl Strategy<Value = BTreeSet<String>> {
        prop::collection::btree_set("[A-C]{1,3}(\\\\[A-C._0-9]{1,8}){0,3}", 1..60)
    }

    proptest! {
        #[test]
        fn a_node_reads_back(keys in keys(), inner: bool) {
            let children: Vec<u32> = (0..=narrow(keys.len())).map(|n| if inner { n + 1 } else { NIL }).collect();
            let node = IndexNode::from_keys(keys.iter().map(|key| key.as_bytes()), children.clone());
            let page = node.to_page(page_no(7)).unwrap();
            let view = IndexPage::parse(&page, page_no(7), SITE).unwrap();
            prop_assert_eq!(view.check(NIL, SITE), vec![]);
            prop_assert_eq!(view.children().collect::<Vec<_>>(), children.clone());
            prop_assert_eq!(page_of(page_no(7), &keys.iter().collect::<Vec<_>>(), &children).unwrap(), page.clone());
            let mut size = NodeSize::default();
            for (number, key) in keys.iter().enumerate() {
                let mut text = Vec::new();
                view.append_key(number, &mut text).unwrap();
                prop_assert_eq!(text.as_slice(), key.as_bytes());
                prop_assert_eq!(view.search(key.as_bytes()), Ok((number, true)));
                let used = size.used;
                prop_assert!(!size.add_within(used, key.as_bytes()) && size.add_within(PAGE_SIZE, key.as_bytes()));
                prop_assert_eq!(sizes_of(&keys.iter().collect::<Vec<_>>())[number], size.used);
            }
            prop_assert_eq!(size.used, view.used());
            prop_assert_eq!(IndexNode::from_page(&view).unwrap().to_page(page_no(7)).unwrap(), page);
        }

        #[test]
        fn comparison_is_that_of_the_joined_text(keys in keys(), text in "[A-C\\\\._0-9]{0,12}") {
            let node = IndexNode::from_keys(keys.iter().map(|key| key.as_bytes()), vec![NIL; keys.len() + 1]);
            let page = node.to_page(page_no(0)).unwrap();
            let view = IndexPage::parse(&page, page_no(0), SITE).unwrap();
            for (number, key) in keys.iter().enumerate() {
                prop_assert_eq!(view.compare_key(number, text.as_bytes()), Some(key.as_bytes().cmp(text.as_bytes())));
            }
            let expected = keys.iter().position(|key| key.as_bytes() >= text.as_bytes()).unwrap_or(keys.len());
            prop_assert_eq!(view.search(text.as_bytes()).unwrap().0, expected);
        }

        #[test]
        fn no_byte_of_a_page_can_cause_a_panic(keys in keys(), changes in prop::collection::vec((0..2000usize, any::<u8>()), 1..8)) {
            let node = IndexNode::from_keys(keys.iter().map(|key| key.as_bytes()), vec![NIL; keys.len() + 1]);
            let mut page = node.to_page(page_no(3)).unwrap();
            for (offset, byte) in changes {
                page[offset] = byte;
            }
            if let Ok(view) = IndexPage::parse(&page, page_no(3), SITE) {
                let _ = (view.check(NIL, SITE), view.search(b"AB\\C").is_ok(), IndexNode::from_page(&view));
                let mut text = Vec::new();
                for key in 0..view.key_count() {
                    let _ = view.append_key(key, &mut text);
                }
            }
        }
    }

    #[test]
    fn the_measured_root_of_a_real_repository() {
        // docs::format, worked example: definition 3, 2, 0, 1; offsets 36, 72, 0, 107.
        let hash = |c: char| c.to_string().repeat(32);
        let (ns, cr, c) = (
            format!("NS_{}", hash('8')),
            format!("CR_{}", hash('C')),
            format!("C_{}", hash('0')),
        );
        let key = format!("{ns}\\{cr}\\{c}");
        let mut node = IndexNode::from_keys([key.as_bytes()], vec![101, 2]);
        node.token_order = vec![2, 0, 1];
        let page = node.to_page(page_no(100)).unwrap();
        let view = IndexPage::parse(&page, page_no(100), SITE).unwrap();
        assert_eq!(view.used(), 161);
        assert_eq!(
            view.token_numbers(0).unwrap().collect::<Vec<_>>(),
            [2, 0, 1]
        );
        assert_eq!(page[46..54], [36, 0, 72, 0, 0, 0, 107, 0]);
        assert_eq!(view.compare_key(0, key.as_bytes()), Some(Ordering::Equal));
    }

    #[test]
    fn a_node_too_large_for_a_page_is_refused() {
        let keys: Vec<String> = (0..200).map(|n| format!("NS_{n:064}")).collect();
        let node = IndexNode::from_keys(keys.iter().map(|key| key.as_bytes()), vec![NIL; 201]);
        assert!(node.to_page(page_no(0)).is_none());
        assert!(page_of(page_no(0), &keys, &[]).is_none());
    }
}

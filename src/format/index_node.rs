//! Building index pages: a node as keys and children, and its bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::bytes::put;
use super::index_page::{HEADER_SIZE, IndexPage, SEPARATOR, SIGNATURE};
use crate::base::limits::MAX_KEY_BYTES;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes};
use crate::base::{narrow, widen};

/// Everything an index page holds, apart from its own number: enough to write it again byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexNode {
    /// The tokens, sorted.
    pub tokens: Vec<Box<[u8]>>,
    /// The token numbers of each key, in key order.
    pub keys: Vec<Box<[u16]>>,
    /// The child pointers as stored, one more than keys.
    pub children: Vec<u32>,
    /// Keys by number, in the order of their definitions.
    pub definition_order: Vec<u16>,
    /// Tokens by number, in the order in which the heap stores them.
    pub token_order: Vec<u16>,
    /// What stands behind the used bytes; zeros where it is shorter than the room.
    pub slack: Box<[u8]>,
}

impl IndexNode {
    /// A node with these keys (ascending, unique, not empty) and children, in the engine's own order of definitions and
    /// tokens: that of the keys, that of the sorted tokens.
    pub fn from_keys<'k>(keys: impl IntoIterator<Item = &'k [u8]>, children: Vec<u32>) -> Self {
        let keys: Vec<&[u8]> = keys.into_iter().collect();
        let distinct: BTreeSet<&[u8]> = keys.iter().flat_map(|key| tokens_of(key)).collect();
        let numbers: BTreeMap<&[u8], u16> = distinct.iter().copied().zip(0..).collect();
        let number = |token| numbers.get(token).copied().unwrap_or_default();
        Self {
            tokens: distinct.iter().map(|&token| token.into()).collect(),
            definition_order: (0..).take(keys.len()).collect(),
            token_order: (0..).take(distinct.len()).collect(),
            keys: keys.iter().map(|key| tokens_of(key).map(number).collect()).collect(),
            children,
            slack: Box::default(),
        }
    }

    /// What a page holds; `None` when it is damaged.
    pub fn from_page(page: &IndexPage<'_>) -> Option<Self> {
        let token_numbers = 0..u16::try_from(page.token_count()).ok()?;
        let tokens: Vec<&[u8]> = token_numbers.clone().map(|number| page.token(number)).collect::<Option<_>>()?;
        let keys = (0..page.key_count()).map(|key| page.token_numbers(key).map(Iterator::collect));
        let mut definition_order: Vec<u16> = (0..).take(page.key_count()).collect();
        definition_order.sort_by_key(|&key| page.definition_offset(usize::from(key)));
        let mut token_order: Vec<u16> = token_numbers.collect();
        // A token's place in the heap is its address: all are slices of the same page.
        token_order.sort_by_key(|&number| tokens.get(usize::from(number)).map(|token| token.as_ptr().addr()));
        Some(Self {
            keys: keys.collect::<Option<_>>()?,
            tokens: tokens.into_iter().map(Into::into).collect(),
            children: page.children().collect(),
            definition_order,
            token_order,
            slack: page.slack().into(),
        })
    }

    /// The page; `None` when the node does not fit into one.
    pub fn to_page(&self, own: LogicalPage) -> Option<Box<PageBytes>> {
        let (definitions, definition_offsets) = self.definitions()?;
        let (heap, token_offsets) = self.heap()?;
        let mut bytes = Vec::with_capacity(PAGE_SIZE);
        let words = [SIGNATURE, own.get(), 0, 0, narrow(self.keys.len())];
        let zeros = std::iter::repeat_n(0, self.keys.len());
        for word in words.into_iter().chain(zeros).chain(self.children.iter().copied()) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let counted = |units: &[u16]| u16::try_from(units.len()).ok();
        let token_count = u16::try_from(self.tokens.len()).ok()?;
        let halves =
            definition_offsets.into_iter().chain([counted(&definitions)?]).chain(definitions).chain([token_count]);
        for half in halves.chain(token_offsets) {
            bytes.extend_from_slice(&half.to_le_bytes());
        }
        bytes.extend_from_slice(&heap);
        let mut page = Box::new([0; PAGE_SIZE]);
        let slack_at = bytes.len();
        bytes.extend_from_slice(self.slack.get(..PAGE_SIZE.checked_sub(slack_at)?).unwrap_or(&self.slack));
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

    /// The heap, and the offset of each token in it, closed by its length.
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
    key.split(|&byte| byte == SEPARATOR)
}

/// Measures a node while keys are added to it.
#[derive(Debug, Clone)]
pub(crate) struct NodeSize {
    used: usize,
    tokens: BTreeSet<Box<[u8]>>,
}

impl NodeSize {
    /// A node without keys: header, one child, and the empty tables.
    pub(crate) fn new() -> Self {
        Self { used: HEADER_SIZE + 4 + 2 + 2 + 2, tokens: BTreeSet::new() }
    }

    /// Bytes the node uses.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Bytes the node would use with one more key.
    pub(crate) fn with(&self, key: &[u8]) -> usize {
        let mut fresh: Vec<&[u8]> = tokens_of(key).filter(|&token| !self.tokens.contains(token)).collect();
        fresh.sort_unstable();
        fresh.dedup();
        let token_bytes: usize = fresh.iter().map(|token| 2 + token.len() + 1).sum();
        // A zero, a child, a definition offset, and the definition: a count and a number for each token.
        self.used + 4 + 4 + 2 + 2 * (1 + tokens_of(key).count()) + token_bytes
    }

    /// Adds a key.
    pub(crate) fn add(&mut self, key: &[u8]) {
        self.used = self.with(key);
        self.tokens.extend(tokens_of(key).map(Into::into));
    }
}

/// Whether a key can be stored: not empty, no empty token, no zero byte, not longer than the limit.
pub(crate) fn is_storable(key: &[u8]) -> bool {
    key.len() <= MAX_KEY_BYTES && !key.contains(&0) && tokens_of(key).all(|token| !token.is_empty())
}

// A page holds at least six keys of the greatest length, so that a node can always be cut into two legal ones.
const _: () = assert!(6 * (MAX_KEY_BYTES + 64) + 64 < PAGE_SIZE);
const _: () = assert!(widen(u32::MAX) > PAGE_SIZE);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page_no::NIL;
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
            prop_assert_eq!(view.children().collect::<Vec<_>>(), children);
            let mut size = NodeSize::new();
            for (number, key) in keys.iter().enumerate() {
                let mut text = Vec::new();
                view.append_key(number, &mut text).unwrap();
                prop_assert_eq!(text.as_slice(), key.as_bytes());
                prop_assert_eq!(view.search(key.as_bytes()), Ok((number, true)));
                size.add(key.as_bytes());
            }
            prop_assert_eq!(size.used(), view.used());
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
        let (ns, cr, c) = (format!("NS_{}", hash('8')), format!("CR_{}", hash('C')), format!("C_{}", hash('0')));
        let key = format!("{ns}\\{cr}\\{c}");
        let mut node = IndexNode::from_keys([key.as_bytes()], vec![101, 2]);
        node.token_order = vec![2, 0, 1];
        let page = node.to_page(page_no(100)).unwrap();
        let view = IndexPage::parse(&page, page_no(100), SITE).unwrap();
        assert_eq!(view.used(), 161);
        assert_eq!(view.token_numbers(0).unwrap().collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(page[46..54], [36, 0, 72, 0, 0, 0, 107, 0]);
        assert_eq!(view.compare_key(0, key.as_bytes()), Some(Ordering::Equal));
    }

    #[test]
    fn a_node_too_large_for_a_page_is_refused() {
        let keys: Vec<String> = (0..200).map(|n| format!("NS_{n:064}")).collect();
        let node = IndexNode::from_keys(keys.iter().map(|key| key.as_bytes()), vec![NIL; 201]);
        assert!(node.to_page(page_no(0)).is_none());
    }
}

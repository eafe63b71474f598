//! A node split into its keys and children, for rearranging them.

use crate::base::page_no::LogicalPage;
use crate::base::page_no::PageBytes;
use crate::format::index::draft::Draft;
use crate::format::index::node::{page_of, sizes_of};

/// The text of a key.
pub(crate) type KeyText = Box<[u8]>;

/// Keys and, in an inner node, the children between and around them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub keys: Vec<KeyText>,
    pub children: Vec<u32>,
}

impl Node {
    /// The content of a draft.
    pub(crate) fn of(draft: &Draft) -> Self {
        let keys = (0..draft.key_count())
            .map(|key| text_of(draft, key))
            .collect();
        Self {
            keys,
            children: draft.children().to_vec(),
        }
    }

    /// The draft with this content; `None` if it has more tokens than a node can have.
    pub(crate) fn into_draft(self) -> Option<Draft> {
        Draft::of(&self.keys, self.children)
    }

    /// The page; `None` if the node does not fit into one.
    pub(crate) fn to_page(&self, own: LogicalPage) -> Option<Box<PageBytes>> {
        page_of(own, &self.keys, &self.children)
    }

    /// Size of the node in a page, in bytes.
    pub(crate) fn used(&self) -> usize {
        sizes_of(&self.keys).last().copied().unwrap_or_default()
    }

    /// Combines this node, a key and the node after that key.
    pub(crate) fn join(mut self, separator: KeyText, right: Node) -> Self {
        self.keys.push(separator);
        self.keys.extend(right.keys);
        self.children.extend(right.children);
        self
    }

    /// Splits the node into two of about the same size. The key between them belongs to neither.
    pub(crate) fn cut(mut self) -> (Node, KeyText, Node) {
        let middle = self.middle();
        let mut right = Node {
            keys: self.keys.split_off(middle),
            children: Vec::new(),
        };
        let separator = right.keys.remove(0);
        if !self.children.is_empty() {
            right.children = self.children.split_off(middle + 1);
        }
        (self, separator, right)
    }

    /// The key that splits the node into halves of about the same size.
    fn middle(&self) -> usize {
        let sizes = sizes_of(&self.keys);
        let half = sizes.last().copied().unwrap_or_default() / 2;
        let cut = sizes.iter().position(|&size| size > half);
        cut.unwrap_or(self.keys.len() / 2)
            .clamp(1, self.keys.len().saturating_sub(2).max(1))
    }
}

/// The text of a key of a draft.
pub(crate) fn text_of(draft: &Draft, key: usize) -> KeyText {
    let mut text = Vec::new();
    draft.append_key(key, &mut text);
    text.into()
}

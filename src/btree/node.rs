//! A node taken apart: its keys and children, to be put together otherwise.

use crate::base::page_no::{LogicalPage, NIL, PageBytes};
use crate::format::index_node::{page_of, sizes_of};
use crate::format::index_page::IndexPage;

/// The text of a key.
pub(crate) type KeyText = Box<[u8]>;

/// Keys, and in an inner node the children between and around them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub keys: Vec<KeyText>,
    pub children: Vec<u32>,
}

impl Node {
    /// What a page of dialect 2.2 holds; `Err` names a key that is damaged.
    pub(crate) fn from_page(page: &IndexPage<'_>) -> Result<Self, usize> {
        let text = |number| {
            let mut text = Vec::new();
            page.append_key(number, &mut text).map(|()| text.into()).ok_or(number)
        };
        let keys = (0..page.key_count()).map(text).collect::<Result<_, usize>>()?;
        let is_leaf = page.child(0) == NIL;
        Ok(Self { keys, children: if is_leaf { Vec::new() } else { page.children().collect() } })
    }

    /// The page; `None` when the node does not fit into one.
    pub(crate) fn to_page(&self, own: LogicalPage) -> Option<Box<PageBytes>> {
        page_of(own, &self.keys, &self.children)
    }

    /// The bytes that the node takes in a page.
    pub(crate) fn used(&self) -> usize {
        sizes_of(&self.keys).last().copied().unwrap_or_default()
    }

    /// The node that this one, a key and the node behind that key make up.
    pub(crate) fn join(mut self, separator: KeyText, right: Node) -> Self {
        self.keys.push(separator);
        self.keys.extend(right.keys);
        self.children.extend(right.children);
        self
    }

    /// Cuts the node into two of about the same size; the key between them belongs to neither.
    pub(crate) fn cut(mut self) -> (Node, KeyText, Node) {
        let middle = self.middle();
        let mut right = Node { keys: self.keys.split_off(middle), children: Vec::new() };
        let separator = right.keys.remove(0);
        if !self.children.is_empty() {
            right.children = self.children.split_off(middle + 1);
        }
        (self, separator, right)
    }

    /// The key that cuts the node into halves of about the same size.
    fn middle(&self) -> usize {
        let sizes = sizes_of(&self.keys);
        let half = sizes.last().copied().unwrap_or_default() / 2;
        let cut = sizes.iter().position(|&size| size > half);
        cut.unwrap_or(self.keys.len() / 2).clamp(1, self.keys.len().saturating_sub(2).max(1))
    }
}

//! Point look-ups in the index.

use std::borrow::Cow;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::Result;
use crate::base::limits::MAX_TREE_DEPTH;
use crate::base::page_no::{LogicalPage, PageBytes, RecordRef, Space};
use crate::base::site::Site;
use crate::format::index_keys::IndexKeys;
use crate::format::index_page::IndexPage;
use crate::format::key;
use crate::pager::image::Image;
use crate::pager::page::Page;

/// A view of an index page fetched from `image`.
pub(crate) fn view<'p>(image: &Image, page: LogicalPage, bytes: &'p PageBytes) -> Result<IndexPage<'p>, Corruption> {
    // Where exactly the page lies is worked out for those that want to say so.
    let parsed = IndexPage::parse(bytes, page, Site::page(Space::Index, page));
    parsed.or_else(|_| IndexPage::parse(bytes, page, image.site(Space::Index, page)))
}

/// A node that is looked at: with its keys put together, where it is looked at often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeView<'p> {
    pub page: IndexPage<'p>,
    pub keys: Option<&'p IndexKeys>,
}

impl<'p> NodeView<'p> {
    /// The node on a page fetched from `image`.
    pub(crate) fn view(image: &Image, own: LogicalPage, page: &'p Page) -> Result<Self, Corruption> {
        let keys = page.keys(own);
        let known = keys.and_then(|keys| IndexPage::with_layout(page, keys.layout));
        Ok(Self { page: known.map_or_else(|| view(image, own, page), Ok)?, keys })
    }

    /// Whether it has no children.
    pub(crate) fn is_leaf(&self, image: &Image) -> bool {
        match self.keys {
            Some(keys) => keys.only_child == Some(image.dialect().no_child()),
            None => is_leaf(image, &self.page),
        }
    }

    /// The first key that is not less than `text`, and whether it is equal. `Err` names a damaged key.
    pub(crate) fn search(&self, text: &[u8]) -> Result<(usize, bool), usize> {
        match self.keys {
            Some(keys) => Ok(keys.search(text)),
            None => self.page.search(text),
        }
    }

    /// What a key has behind `text`, if it begins with that; `Err` names a damaged key.
    fn tail(&self, key: usize, text: &[u8]) -> Result<Option<Cow<'p, [u8]>>, usize> {
        if key >= self.page.key_count() {
            return Ok(None);
        }
        if let Some(keys) = self.keys {
            return Ok(keys.tail(key, text));
        }
        let mut all = Vec::new();
        self.page.append_key(key, &mut all).ok_or(key)?;
        Ok(all.strip_prefix(text).map(|tail| tail.to_vec().into()))
    }
}

/// Whether a node has no children: all of its pointers are "none".
pub(crate) fn is_leaf(image: &Image, node: &IndexPage<'_>) -> bool {
    let none = image.dialect().no_child();
    node.children().all(|child| child == none)
}

/// Child `number` of a node that is no leaf. Where a node has others and not this one, the pointer was lost, and what was
/// below it is not known.
pub(crate) fn child_page(
    image: &Image,
    node: &IndexPage<'_>,
    page: LogicalPage,
    number: usize,
) -> Result<LogicalPage, Corruption> {
    let raw = node.child(number);
    let child = if raw == image.dialect().no_child() { None } else { LogicalPage::new(raw) };
    child.ok_or_else(|| {
        let detail = format!("child {number} of an inner node is none");
        Corruption::new(CorruptionCode::IndexChildrenMixed, image.site(Space::Index, page), detail)
    })
}

/// The error for an index with more levels than any can have.
pub(crate) fn too_deep(image: &Image, page: LogicalPage) -> Corruption {
    let detail = format!("more than {MAX_TREE_DEPTH} levels");
    Corruption::new(CorruptionCode::IndexDepth, image.site(Space::Index, page), detail)
}

/// Whether the index holds exactly this key.
pub fn contains(image: &Image, key: &[u8]) -> Result<bool> {
    let mut is_there = false;
    descend(image, key, |_, _, is_found| {
        is_there = is_found;
        Ok(!is_found)
    })?;
    Ok(is_there)
}

/// The record that the first key of the form `key.page.id.size` names, if there is one.
pub fn reference(image: &Image, key: &[u8]) -> Result<Option<RecordRef>> {
    let mut prefix = Vec::with_capacity(key.len() + 1);
    prefix.extend_from_slice(key);
    prefix.push(b'.');
    // The first key that is not less than the prefix is in the leaf or, where that ends before, the one behind the last child
    // taken.
    let mut found = None;
    descend(image, &prefix, |node, position, _| {
        if position < node.page.key_count() {
            found = node.tail(position, &prefix)?.and_then(|tail| key::reference_in(&tail));
        }
        Ok(true)
    })?;
    Ok(found)
}

/// Goes down to where a key is or would be. `visit` gets every node on the way, the first key in it that is not less, and
/// whether it is equal; it says whether to go on, or which key is damaged.
fn descend(
    image: &Image,
    text: &[u8],
    mut visit: impl FnMut(&NodeView<'_>, usize, bool) -> Result<bool, usize>,
) -> Result<()> {
    let mut page = image.root()?;
    for _ in 0..MAX_TREE_DEPTH {
        let held = image.page(Space::Index, page)?;
        let node = NodeView::view(image, page, &held)?;
        let damaged = |key| node.page.damaged_key(key, image.site(Space::Index, page));
        let (position, is_found) = node.search(text).map_err(damaged)?;
        if !visit(&node, position, is_found).map_err(damaged)? {
            return Ok(());
        }
        if node.is_leaf(image) {
            return Ok(());
        }
        page = child_page(image, &node.page, page, position)?;
    }
    Err(too_deep(image, page).into())
}

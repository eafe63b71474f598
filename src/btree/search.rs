//! Point look-ups in the index.

use std::borrow::Cow;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::Result;
use crate::base::limits::MAX_TREE_DEPTH;
use crate::base::page_no::{LogicalPage, PageBytes, RecordRef, Space};
use crate::base::site::Site;
use crate::format::index_draft::Draft;
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
    child.ok_or_else(|| no_child(image, page, number))
}

fn no_child(image: &Image, page: LogicalPage, number: usize) -> Corruption {
    let detail = format!("child {number} of an inner node is none");
    Corruption::new(CorruptionCode::IndexChildrenMixed, image.site(Space::Index, page), detail)
}

/// The error for an index with more levels than any can have.
pub(crate) fn too_deep(image: &Image, page: LogicalPage) -> Corruption {
    let detail = format!("more than {MAX_TREE_DEPTH} levels");
    Corruption::new(CorruptionCode::IndexDepth, image.site(Space::Index, page), detail)
}

/// A node on the way down, as it is at hand: on its page, or as a draft that has no page yet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Visited<'n> {
    Page(NodeView<'n>),
    Draft(&'n Draft),
}

impl<'n> Visited<'n> {
    /// Whether it has no children.
    pub(crate) fn is_leaf(&self, image: &Image) -> bool {
        match self {
            Self::Page(node) => node.is_leaf(image),
            Self::Draft(draft) => draft.is_leaf(),
        }
    }

    /// Number of keys.
    pub(crate) fn key_count(&self) -> usize {
        match self {
            Self::Page(node) => node.page.key_count(),
            Self::Draft(draft) => draft.key_count(),
        }
    }

    /// The first key that is not less than `text`, and whether it is equal. `Err` names a damaged key.
    pub(crate) fn search(&self, text: &[u8]) -> Result<(usize, bool), usize> {
        match self {
            Self::Page(node) => node.search(text),
            Self::Draft(draft) => Ok(draft.search(text)),
        }
    }

    /// Child `number`, of a node that is no leaf.
    pub(crate) fn child(&self, image: &Image, own: LogicalPage, number: usize) -> Result<LogicalPage, Corruption> {
        match self {
            Self::Page(node) => child_page(image, &node.page, own, number),
            Self::Draft(draft) => draft.child(number).ok_or_else(|| no_child(image, own, number)),
        }
    }

    /// The text of a key; `Err` names it as damaged.
    pub(crate) fn key(&self, number: usize) -> Result<Vec<u8>, usize> {
        let mut text = Vec::new();
        match self {
            Self::Page(node) => node.page.append_key(number, &mut text).ok_or(number)?,
            Self::Draft(draft) => draft.append_key(number, &mut text),
        }
        Ok(text)
    }

    /// The error for a key that is damaged: no draft has one.
    pub(crate) fn damaged(&self, image: &Image, own: LogicalPage, key: usize) -> Corruption {
        let site = image.site(Space::Index, own);
        match self {
            Self::Page(node) => node.page.damaged_key(key, site),
            Self::Draft(_) => Corruption::new(CorruptionCode::IndexDefinition, site, format!("key number {key}")),
        }
    }

    /// What a key has behind `text`, if it begins with that; `Err` names a damaged key.
    fn tail(&self, key: usize, text: &[u8]) -> Result<Option<Cow<'n, [u8]>>, usize> {
        match self {
            Self::Page(node) => node.tail(key, text),
            Self::Draft(_) => Ok(self.key(key)?.strip_prefix(text).map(|tail| tail.to_vec().into())),
        }
    }
}

/// Whether drafts are looked at as they are. Whoever reads a state that changes no more has their pages written, once, and
/// finds the more in them the faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drafts {
    AsTheyAre,
    Written,
}

/// Calls `look` with a node.
pub(crate) fn visit<T>(
    image: &Image,
    page: LogicalPage,
    drafts: Drafts,
    look: impl FnOnce(&Visited<'_>) -> Result<T>,
) -> Result<T> {
    if drafts == Drafts::AsTheyAre
        && let Some(draft) = image.draft(page)
    {
        return look(&Visited::Draft(draft));
    }
    let held = image.page(Space::Index, page)?;
    look(&Visited::Page(NodeView::view(image, page, &held)?))
}

/// Keys below this length are put together without memory of their own.
const SHORT_KEY: usize = 256;

/// Whether the index holds exactly this key.
pub fn contains(image: &Image, key: &[u8]) -> Result<bool> {
    contains_among(image, key, Drafts::Written)
}

pub(crate) fn contains_among(image: &Image, key: &[u8], drafts: Drafts) -> Result<bool> {
    let mut is_there = false;
    descend(image, key, drafts, |_, _, is_found| {
        is_there = is_found;
        Ok(!is_found)
    })?;
    Ok(is_there)
}

/// The record that the first key of the form `key.page.id.size` names, if there is one.
pub fn reference(image: &Image, key: &[u8]) -> Result<Option<RecordRef>> {
    reference_among(image, key, Drafts::Written)
}

pub(crate) fn reference_among(image: &Image, key: &[u8], drafts: Drafts) -> Result<Option<RecordRef>> {
    let (mut short, long);
    let prefix = match key.len() {
        len @ ..SHORT_KEY => {
            short = [b'.'; SHORT_KEY];
            short.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
            short.get(..=len).unwrap_or_default()
        }
        _ => {
            long = [key, b"."].concat();
            long.as_slice()
        }
    };
    // The first key that is not less than the prefix is in the leaf or, where that ends before, the one behind the last child
    // taken.
    let mut found = None;
    descend(image, prefix, drafts, |node, position, _| {
        if position < node.key_count() {
            found = node.tail(position, prefix)?.and_then(|tail| key::reference_in(&tail));
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
    drafts: Drafts,
    mut look: impl FnMut(&Visited<'_>, usize, bool) -> Result<bool, usize>,
) -> Result<()> {
    let mut page = image.root()?;
    for _ in 0..MAX_TREE_DEPTH {
        let next = visit(image, page, drafts, |node| {
            let damaged = |key| node.damaged(image, page, key);
            let (position, is_found) = node.search(text).map_err(damaged)?;
            if !look(node, position, is_found).map_err(damaged)? || node.is_leaf(image) {
                return Ok(None);
            }
            Ok(node.child(image, page, position).map(Some)?)
        })?;
        match next {
            Some(child) => page = child,
            None => return Ok(()),
        }
    }
    Err(too_deep(image, page).into())
}

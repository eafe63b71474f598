//! Point look-ups in the index.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::Result;
use crate::base::limits::MAX_TREE_DEPTH;
use crate::base::page_no::{LogicalPage, PageBytes, RecordRef, Space};
use crate::base::site::Site;
use crate::format::index::draft::Draft;
use crate::format::index::key;
use crate::format::index::keys::IndexKeys;
use crate::format::index::page::IndexPage;
use crate::pager::page::Page;
use crate::pager::state::image::Image;

use super::levels::ensure_level;
use super::strays;
use super::survey::node_pages;

/// A view of an index page fetched from `image`.
pub(crate) fn view<'p>(
    image: &Image,
    page: LogicalPage,
    bytes: &'p PageBytes,
) -> Result<IndexPage<'p>, Corruption> {
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
    pub(crate) fn view(
        image: &Image,
        own: LogicalPage,
        page: &'p Page,
    ) -> Result<Self, Corruption> {
        Self::with_keys(image, own, page, page.keys(own))
    }

    /// As [`view`](Self::view), to go through all keys.
    pub(super) fn view_all(
        image: &Image,
        own: LogicalPage,
        page: &'p Page,
    ) -> Result<Self, Corruption> {
        Self::with_keys(image, own, page, page.keys_at_once(own))
    }

    fn with_keys(
        image: &Image,
        own: LogicalPage,
        page: &'p Page,
        keys: Option<&'p IndexKeys>,
    ) -> Result<Self, Corruption> {
        let known = keys.and_then(|keys| IndexPage::with_layout(page, keys.layout));
        Ok(Self {
            page: known.map_or_else(|| view(image, own, page), Ok)?,
            keys,
        })
    }

    /// True if it has no children.
    pub(crate) fn is_leaf(&self, image: &Image) -> bool {
        match self.keys {
            Some(keys) => keys.only_child == Some(image.dialect().no_child()),
            None => is_leaf(image, &self.page),
        }
    }

    /// The first key that is not less than `text`, and whether it is equal. `Err` names a damaged
    /// key.
    pub(crate) fn search(&self, text: &[u8]) -> Result<(usize, bool), usize> {
        match self.keys {
            Some(keys) => Ok(keys.search(text)),
            None => self.page.search(text),
        }
    }

    /// How a key compares to `text`; `None` when the key is damaged.
    pub(super) fn compare(&self, key: usize, text: &[u8]) -> Option<Ordering> {
        match self.keys {
            Some(keys) => Some(keys.compare(key, text)),
            None => self.page.compare_key(key, text),
        }
    }

    /// Appends the text of a key; `None`, and a part of it, when the key is damaged.
    pub(super) fn append_key(&self, key: usize, text: &mut Vec<u8>) -> Option<()> {
        let Some(keys) = self.keys else {
            return self.page.append_key(key, text);
        };
        text.extend_from_slice(keys.prefix());
        text.extend_from_slice(keys.rest(key));
        Some(())
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

/// True if a node has no children: all of its pointers are "none".
pub(crate) fn is_leaf(image: &Image, node: &IndexPage<'_>) -> bool {
    let none = image.dialect().no_child();
    node.children().all(|child| child == none)
}

/// Child `number` of a node that is no leaf. Where a node has others and not this one, the pointer
/// was lost, and what was below it is not known.
pub(crate) fn child_page(
    image: &Image,
    node: &IndexPage<'_>,
    page: LogicalPage,
    number: usize,
) -> Result<LogicalPage, Corruption> {
    let raw = node.child(number);
    let child = if raw == image.dialect().no_child() {
        None
    } else {
        LogicalPage::new(raw)
    };
    child.ok_or_else(|| no_child(image, page, number))
}

fn no_child(image: &Image, page: LogicalPage, number: usize) -> Corruption {
    let detail = format!("child {number} of an inner node is none");
    Corruption::new(
        CorruptionCode::IndexChildrenMixed,
        image.site(Space::Index, page),
        detail,
    )
}

/// The error for an index with more levels than any can have.
pub(crate) fn too_deep(image: &Image, page: LogicalPage) -> Corruption {
    let detail = format!("more than {MAX_TREE_DEPTH} levels");
    Corruption::new(
        CorruptionCode::IndexDepth,
        image.site(Space::Index, page),
        detail,
    )
}

/// The error for a pointer to a node whose keys do not lie between those on either side of the
/// pointer.
pub(crate) fn misplaced(image: &Image, parent: LogicalPage, child: LogicalPage) -> Corruption {
    let detail = format!("it leads to page {child}, whose keys do not belong there");
    Corruption::new(
        CorruptionCode::IndexKeyOrder,
        image.site(Space::Index, parent),
        detail,
    )
}

/// Logical pages that are looked at to see whether a root that is a leaf is the only page.
const ROOT_LOOKS: u32 = 64;

/// Fails for a root that is a leaf while other pages are in use: it was something else, and leads
/// to none of them.
pub(crate) fn ensure_root(image: &Image, is_leaf: bool, root: LogicalPage) -> Result<()> {
    // Where the tree has lost its root nearly all numbers are in use: a few tell, and cost the same
    // however many there are.
    let is_alone = || node_pages(image, ROOT_LOOKS).all(|page| page == root);
    if !is_leaf || is_alone() {
        return Ok(());
    }
    let detail = format!("the root, page {root}, leads to no other page, and others are in use");
    Err(Corruption::new(
        CorruptionCode::IndexRoot,
        image.site(Space::Index, root),
        detail,
    )
    .into())
}

/// A node on the way down, as it is at hand: on its page, or as a draft that has no page yet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Visited<'n> {
    Page(NodeView<'n>),
    Draft(&'n Draft),
}

impl<'n> Visited<'n> {
    /// True if it has no children.
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

    /// The first key that is not less than `text`, and whether it is equal. `Err` names a damaged
    /// key.
    pub(crate) fn search(&self, text: &[u8]) -> Result<(usize, bool), usize> {
        match self {
            Self::Page(node) => node.search(text),
            Self::Draft(draft) => Ok(draft.search(text)),
        }
    }

    /// Child `number`, of a node that is no leaf.
    pub(crate) fn child(
        &self,
        image: &Image,
        own: LogicalPage,
        number: usize,
    ) -> Result<LogicalPage, Corruption> {
        match self {
            Self::Page(node) => child_page(image, &node.page, own, number),
            Self::Draft(draft) => draft
                .child(number)
                .ok_or_else(|| no_child(image, own, number)),
        }
    }

    /// The text of a key; `Err` names it as damaged.
    pub(crate) fn key(&self, number: usize) -> Result<Vec<u8>, usize> {
        let mut text = Vec::new();
        match self {
            Self::Page(node) => node.append_key(number, &mut text).ok_or(number)?,
            Self::Draft(draft) => draft.append_key(number, &mut text),
        }
        Ok(text)
    }

    /// How a key compares to `text`; `None` when the key is damaged.
    fn compare(&self, key: usize, text: &[u8]) -> Option<Ordering> {
        match self {
            Self::Page(node) => node.compare(key, text),
            Self::Draft(_) => Some(self.key(key).ok()?.as_slice().cmp(text)),
        }
    }

    /// The error for a key that is damaged: no draft has one.
    pub(crate) fn damaged(&self, image: &Image, own: LogicalPage, key: usize) -> Corruption {
        let site = image.site(Space::Index, own);
        match self {
            Self::Page(node) => node.page.damaged_key(key, site),
            Self::Draft(_) => Corruption::new(
                CorruptionCode::IndexDefinition,
                site,
                format!("key number {key}"),
            ),
        }
    }

    /// What a key has behind `text`, if it begins with that; `Err` names a damaged key.
    fn tail(&self, key: usize, text: &[u8]) -> Result<Option<Cow<'n, [u8]>>, usize> {
        match self {
            Self::Page(node) => node.tail(key, text),
            Self::Draft(_) => Ok(self
                .key(key)?
                .strip_prefix(text)
                .map(|tail| tail.to_vec().into())),
        }
    }
}

/// Whether drafts are looked at as they are. Whoever reads a state that changes no more has their
/// pages written, once, and finds the more in them the faster.
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

/// Whether the index holds exactly this key. A page that cannot be read does not hide keys that
/// whole pages hold; "no" is said only when every page on the way was read.
pub fn contains(image: &Image, key: &[u8]) -> Result<bool> {
    match contains_among(image, key, Drafts::Written) {
        Err(_) if strays::contain(image, key) => Ok(true),
        told => told,
    }
}

pub(crate) fn contains_among(image: &Image, key: &[u8], drafts: Drafts) -> Result<bool> {
    let mut is_there = false;
    descend(image, key, drafts, |_, _, is_found| {
        is_there = is_found;
        Ok(!is_found)
    })?;
    Ok(is_there)
}

/// The record that the first key of the form `key.page.id.size` names, if there is one. As with
/// [`contains`], `None` is said only when every page on the way was read.
pub fn reference(image: &Image, key: &[u8]) -> Result<Option<RecordRef>> {
    with_dot(key, |prefix| {
        let (found, way) = first_reference(image, prefix, Drafts::Written);
        match way {
            Ok(()) => Ok(found),
            // A key that was read may lie beyond a page that was not.
            Err(error) => found
                .or_else(|| strays::reference(image, prefix))
                .map(Some)
                .ok_or(error),
        }
    })
}

pub(crate) fn reference_among(
    image: &Image,
    key: &[u8],
    drafts: Drafts,
) -> Result<Option<RecordRef>> {
    with_dot(key, |prefix| {
        let (found, way) = first_reference(image, prefix, drafts);
        way.map(|()| found)
    })
}

/// Hands on a key with a dot behind it.
fn with_dot<T>(key: &[u8], find: impl FnOnce(&[u8]) -> T) -> T {
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
    find(prefix)
}

/// The record that the first key with a prefix names, as far as the pages on the way could be read.
fn first_reference(
    image: &Image,
    prefix: &[u8],
    drafts: Drafts,
) -> (Option<RecordRef>, Result<()>) {
    // The first key that is not less than the prefix is in the leaf or, where that ends before, the
    // one behind the last child taken.
    let mut found = None;
    let way = descend(image, prefix, drafts, |node, position, _| {
        if position < node.key_count() {
            // A node below that is in the wrong place does not take back what was found above it.
            found = node
                .tail(position, prefix)?
                .and_then(|tail| key::reference_in(&tail))
                .or(found);
        }
        Ok(true)
    });
    (found, way)
}

/// The keys between which a node lies that the way down has come to, by page and number; none at
/// the edges of the tree.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Between {
    lower: Option<(LogicalPage, usize)>,
    upper: Option<(LogicalPage, usize)>,
}

impl Between {
    /// Goes on to child `number` of a page with so many keys.
    pub(super) fn enter(&mut self, page: LogicalPage, number: usize, keys: usize) {
        self.lower = number.checked_sub(1).map(|key| (page, key)).or(self.lower);
        self.upper = Some((page, number))
            .filter(|_| number < keys)
            .or(self.upper);
    }

    /// Fails when a node holds keys that lie outside. Then another one belongs in its place, and it
    /// says nothing of the keys that this one would hold.
    pub(super) fn check(
        self,
        image: &Image,
        node: &Visited<'_>,
        own: LogicalPage,
        drafts: Drafts,
    ) -> Result<()> {
        let last = node.key_count().saturating_sub(1);
        for (bound, key, wanted) in [
            (self.lower, 0, Ordering::Greater),
            (self.upper, last, Ordering::Less),
        ] {
            let Some((page, number)) = bound else {
                continue;
            };
            let bound = visit(image, page, drafts, |above| {
                above
                    .key(number)
                    .map_err(|key| above.damaged(image, page, key).into())
            })?;
            if node
                .compare(key, &bound)
                .is_some_and(|order| order != wanted)
            {
                return Err(misplaced(image, page, own).into());
            }
        }
        Ok(())
    }
}

/// Goes down to where a key is or would be. `look` gets every node on the way, the first key in it
/// that is not less, and whether it is equal; it says whether to go on, or which key is damaged.
fn descend(
    image: &Image,
    text: &[u8],
    drafts: Drafts,
    mut look: impl FnMut(&Visited<'_>, usize, bool) -> Result<bool, usize>,
) -> Result<()> {
    let mut page = image.root()?;
    let mut between = Between::default();
    for level in 1..=MAX_TREE_DEPTH {
        let next = visit(image, page, drafts, |node| {
            let damaged = |key| node.damaged(image, page, key);
            let (position, is_found) = node.search(text).map_err(damaged)?;
            if !look(node, position, is_found).map_err(damaged)? {
                return Ok(None);
            }
            // A node with keys on both sides of the text is in its place.
            if position == 0 || position == node.key_count() {
                between.check(image, node, page, drafts)?;
            }
            if node.is_leaf(image) {
                if level == 1 {
                    ensure_root(image, true, page)?;
                } else if drafts == Drafts::Written {
                    ensure_level(image, page, level)?;
                }
                return Ok(None);
            }
            between.enter(page, position, node.key_count());
            Ok(node.child(image, page, position).map(Some)?)
        })?;
        match next {
            Some(child) => page = child,
            None => return Ok(()),
        }
    }
    Err(too_deep(image, page).into())
}

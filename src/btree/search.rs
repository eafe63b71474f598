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
    // The exact place of the page is determined only when it must be reported.
    let parsed = IndexPage::parse(bytes, page, Site::page(Space::Index, page));
    parsed.or_else(|_| IndexPage::parse(bytes, page, image.site(Space::Index, page)))
}

/// A node to be searched, with its decoded keys if it is used often.
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

    /// The node on a page, for going through all keys; see [`view`].
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

    /// The index of the first key that is not less than `text`, and whether it is equal. `Err`
    /// names a damaged key.
    pub(crate) fn search(&self, text: &[u8]) -> Result<(usize, bool), usize> {
        match self.keys {
            Some(keys) => Ok(keys.search(text)),
            None => self.page.search(text),
        }
    }

    /// Compares a key with `text`; `None` if the key is damaged.
    pub(super) fn compare(&self, key: usize, text: &[u8]) -> Option<Ordering> {
        match self.keys {
            Some(keys) => Some(keys.compare(key, text)),
            None => self.page.compare_key(key, text),
        }
    }

    /// Appends the text of a key. If the key is damaged, appends a part of it and returns `None`.
    pub(super) fn append_key(&self, key: usize, text: &mut Vec<u8>) -> Option<()> {
        let Some(keys) = self.keys else {
            return self.page.append_key(key, text);
        };
        text.extend_from_slice(keys.prefix());
        text.extend_from_slice(keys.rest(key));
        Some(())
    }

    /// The part of a key after `text`, if it begins with that. `Err` names a damaged key.
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

/// True if a node has no children, because all of its pointers are "none".
pub(crate) fn is_leaf(image: &Image, node: &IndexPage<'_>) -> bool {
    let none = image.dialect().no_child();
    node.children().all(|child| child == none)
}

/// Child `number` of an inner node. If only this pointer is missing, it was lost, and the keys
/// below it are unknown.
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
    let detail = format!("child {number} of an inner node is missing");
    Corruption::new(
        CorruptionCode::IndexChildrenMixed,
        image.site(Space::Index, page),
        detail,
    )
}

/// The error for an index with too many levels.
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

/// Number of logical pages that are examined to see whether a leaf at the root is the only page.
const ROOT_LOOKS: u32 = 64;

/// Fails for a leaf at the root while other pages are in use. The page once had another role, and
/// leads to none of them.
pub(crate) fn ensure_root(image: &Image, is_leaf: bool, root: LogicalPage) -> Result<()> {
    // If the tree has lost its root, nearly all numbers are in use, so examining a few suffices and
    // has a constant cost.
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

/// A node on the path, in its present form: on its page, or as a draft without a page.
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

    /// The index of the first key that is not less than `text`, and whether it is equal. `Err`
    /// names a damaged key.
    pub(crate) fn search(&self, text: &[u8]) -> Result<(usize, bool), usize> {
        match self {
            Self::Page(node) => node.search(text),
            Self::Draft(draft) => Ok(draft.search(text)),
        }
    }

    /// Child `number` of an inner node.
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

    /// The text of a key. `Err` means that the key is damaged.
    pub(crate) fn key(&self, number: usize) -> Result<Vec<u8>, usize> {
        let mut text = Vec::new();
        match self {
            Self::Page(node) => node.append_key(number, &mut text).ok_or(number)?,
            Self::Draft(draft) => draft.append_key(number, &mut text),
        }
        Ok(text)
    }

    /// Compares a key with `text`; `None` if the key is damaged.
    fn compare(&self, key: usize, text: &[u8]) -> Option<Ordering> {
        match self {
            Self::Page(node) => node.compare(key, text),
            Self::Draft(_) => Some(self.key(key).ok()?.as_slice().cmp(text)),
        }
    }

    /// The error for a damaged key, which a draft never has.
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

    /// The part of a key after `text`, if it begins with that. `Err` names a damaged key.
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

/// Whether drafts are used as they are. Readers of a state that no longer changes have their pages
/// written, once, and then search them faster.
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

/// Keys below this length are assembled without allocation.
const SHORT_KEY: usize = 256;

/// True if the index holds exactly this key. An unreadable page does not hide the keys of intact
/// pages. `false` is returned only if every page on the path was read.
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

/// The address of the record that the first key of the form `key.page.id.size` names, if there is
/// one. As with [`contains`], `None` is returned only if every page on the path was read.
pub fn reference(image: &Image, key: &[u8]) -> Result<Option<RecordRef>> {
    with_dot(key, |prefix| {
        let (found, way) = first_reference(image, prefix, Drafts::Written);
        match way {
            Ok(()) => Ok(found),
            // A key that was read may come after a page that was not.
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

/// Passes a key with a dot appended to `find`.
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

/// The record that the first key with a prefix names, as far as the pages on the path could be
/// read.
fn first_reference(
    image: &Image,
    prefix: &[u8],
    drafts: Drafts,
) -> (Option<RecordRef>, Result<()>) {
    // The first key that is not less than the prefix is in the leaf or, if the leaf ends before it,
    // after the last child taken.
    let mut found = None;
    let way = descend(image, prefix, drafts, |node, position, _| {
        if position < node.key_count() {
            // A misplaced node below does not invalidate a key that was found above it.
            found = node
                .tail(position, prefix)?
                .and_then(|tail| key::reference_in(&tail))
                .or(found);
        }
        Ok(true)
    });
    (found, way)
}

/// The keys around the node that the descent has reached, by page and number; none at the edges of
/// the tree.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Between {
    lower: Option<(LogicalPage, usize)>,
    upper: Option<(LogicalPage, usize)>,
}

impl Between {
    /// Descends to child `number` of a page with `keys` keys.
    pub(super) fn enter(&mut self, page: LogicalPage, number: usize, keys: usize) {
        self.lower = number.checked_sub(1).map(|key| (page, key)).or(self.lower);
        self.upper = Some((page, number))
            .filter(|_| number < keys)
            .or(self.upper);
    }

    /// Fails if a node holds keys outside of these bounds. Another node belongs in its place then,
    /// and its keys say nothing about those of that node.
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

/// Descends to the place of a key. `look` receives every node on the path, the index of its first
/// key that is not less, and whether it is equal. It returns whether to go on, or which key is
/// damaged.
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

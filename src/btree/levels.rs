//! The levels of the tree: a leaf nearer to the root than others shows that a pointer passes by
//! what lies between.

use std::collections::BTreeMap;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::Result;
use crate::base::limits::MAX_TREE_DEPTH;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, Space};
use crate::base::{narrow, widen};
use crate::pager::state::image::Image;

use super::search::{Between, Drafts, Visited, is_leaf, visit};
use super::survey::{Extent, node_pages, whole};

/// Logical pages beyond the children of a root that are looked at to see whether there are pages it
/// does not lead to.
const MORE_LOOKS: u32 = 64;

/// Fails for a leaf that is nearer to the root than others: a pointer passed by a page between.
pub(super) fn ensure_level(image: &Image, leaf: LogicalPage, level: usize) -> Result<()> {
    let levels = image.levels(count);
    if level >= levels {
        return Ok(());
    }
    let detail = format!("a leaf at level {level}, others at {levels}");
    Err(Corruption::new(
        CorruptionCode::IndexDepth,
        image.site(Space::Index, leaf),
        detail,
    )
    .into())
}

/// The levels of the tree. Its two edges tell where both lead to a leaf as far down; where one of
/// them is damaged, so may be what the other says, and every inner node is asked.
fn count(image: &Image) -> usize {
    let [first, last] = [edge(image, false), edge(image, true)];
    let levels = first.levels.max(last.levels);
    let is_told = first.is_whole && last.is_whole && first.levels == last.levels;
    if is_told && !(levels == 2 && leads_past_pages(image)) {
        return levels;
    }
    levels.max(1 + most_levels_below_root(image))
}

/// An edge of the tree.
struct Edge {
    levels: usize,
    /// True if it leads to a leaf, by nodes that can be read and are in their places.
    is_whole: bool,
}

fn edge(image: &Image, is_last: bool) -> Edge {
    let (mut next, mut between) = (image.root().ok(), Between::default());
    for levels in 0..MAX_TREE_DEPTH {
        let Some(page) = next else {
            return Edge {
                levels,
                is_whole: levels > 0,
            };
        };
        let below = visit(image, page, Drafts::Written, |node| {
            between.check(image, node, page, Drafts::Written)?;
            let number = if is_last { node.key_count() } else { 0 };
            between.enter(page, number, node.key_count());
            let goes_on = !node.is_leaf(image);
            Ok(goes_on
                .then(|| node.child(image, page, number))
                .transpose()?)
        });
        match below {
            Ok(child) => next = child,
            Err(_) => {
                return Edge {
                    levels,
                    is_whole: false,
                };
            }
        }
    }
    Edge {
        levels: MAX_TREE_DEPTH,
        is_whole: false,
    }
}

/// True if there are more pages than a root and its children: where the edges lead to leaves at
/// once, other pointers of the root, or none, lead to those.
fn leads_past_pages(image: &Image) -> bool {
    let count = |node: &Visited<'_>| Ok(1 + narrow(node.key_count()) + 1);
    let known = image
        .root()
        .and_then(|root| visit(image, root, Drafts::Written, count));
    known.is_ok_and(|known: u32| node_pages(image, known + MORE_LOOKS).count() > widen(known))
}

/// An inner node.
struct Inner {
    extent: Extent,
    /// The children between two keys of it.
    children: Vec<u32>,
}

/// The most levels below the root that inner nodes show, whatever leads to them; 0 when there are
/// none.
///
/// Below an inner node there is a level more than below each of its children that can be read and
/// lie within it. Only the children between two keys are held against it: what is at an edge may
/// belong elsewhere.
fn most_levels_below_root(image: &Image) -> usize {
    let mut inner = inner_nodes(image);
    // What lies within another comes behind it, and is counted first.
    inner.sort_by(|a, b| {
        (&a.extent.least, &b.extent.greatest).cmp(&(&b.extent.least, &a.extent.greatest))
    });
    let mut counted: BTreeMap<u32, (usize, &Extent)> = BTreeMap::new();
    for Inner { extent, children } in inner.iter().rev() {
        let is_within =
            |child: &Extent| extent.least < child.least && child.greatest < extent.greatest;
        let below = children.iter().filter_map(|child| counted.get(child));
        let below = below
            .filter(|(_, child)| is_within(child))
            .map(|(levels, _)| *levels)
            .max();
        counted.insert(extent.page.get(), (1 + below.unwrap_or(1), extent));
    }
    counted
        .values()
        .map(|(levels, _)| *levels)
        .max()
        .unwrap_or_default()
        .min(MAX_TREE_DEPTH)
}

/// The inner nodes but the root that are whole and in order.
fn inner_nodes(image: &Image) -> Vec<Inner> {
    let root = image.root().ok();
    let mut bytes = Box::new([0; PAGE_SIZE]);
    let mut found = Vec::new();
    for page in node_pages(image, u32::MAX).filter(|page| Some(*page) != root) {
        if image.read(Space::Index, page, &mut bytes).is_err() {
            continue;
        }
        let Ok(node) = whole(image, page, &bytes) else {
            continue;
        };
        if is_leaf(image, &node) {
            continue;
        }
        if let Ok(extent) = Extent::of(page, &node)
            && extent.is_in_order
        {
            let children = node.children().take(node.key_count()).skip(1).collect();
            found.push(Inner { extent, children });
        }
    }
    found
}

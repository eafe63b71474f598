//! The levels of the tree. A leaf nearer to the root than the others shows that a pointer skips the
//! pages between.

use std::collections::BTreeMap;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::Result;
use crate::base::limits::MAX_TREE_DEPTH;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, Space};
use crate::base::{narrow, widen};
use crate::pager::state::image::Image;

use super::search::{Between, Drafts, Visited, is_leaf, visit};
use super::survey::{Extent, node_pages, whole};

/// Number of logical pages beyond the children of a root that are examined for pages that the root
/// does not lead to.
const MORE_LOOKS: u32 = 64;

/// Fails for a leaf that is nearer to the root than the others, because a pointer skipped a page.
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

/// Counts the levels of the tree. If both edges of the tree lead to leaves at the same depth, that
/// is the answer. If one is damaged, the other may be too, and every inner node is examined.
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
    /// True if readable nodes in their right places lead to a leaf.
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

/// True if there are more pages than a root and its children. If the edges lead directly to leaves,
/// those pages belong to other pointers of the root or to none.
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
    /// The children between two of its keys.
    children: Vec<u32>,
}

/// The greatest number of levels below the root that inner nodes show, whether or not anything
/// leads to them; 0 if there are none.
///
/// Below an inner node there is one level more than below each readable child that lies within its
/// bounds. Only children between two keys are compared, because a child at the edge may belong
/// elsewhere.
fn most_levels_below_root(image: &Image) -> usize {
    let mut inner = inner_nodes(image);
    // A node that lies within another comes after it, so it must be counted first.
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

/// The inner nodes, except the root, that are intact and in order.
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

//! Point look-ups in the index.

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::Result;
use crate::base::limits::MAX_TREE_DEPTH;
use crate::base::page_no::{LogicalPage, PageBytes, Space};
use crate::format::index_page::IndexPage;
use crate::pager::image::Image;

/// A view of an index page fetched from `image`.
pub(crate) fn view<'p>(image: &Image, page: LogicalPage, bytes: &'p PageBytes) -> Result<IndexPage<'p>, Corruption> {
    IndexPage::parse(bytes, page, image.site(Space::Index, page))
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
    let mut page = image.root()?;
    for _ in 0..MAX_TREE_DEPTH {
        let bytes = image.fetch(Space::Index, page)?;
        let node = view(image, page, &bytes)?;
        let damaged = |key| node.damaged_key(key, image.site(Space::Index, page));
        let (position, found) = node.search(key).map_err(damaged)?;
        if found {
            return Ok(true);
        }
        match child_page(image, &node, page, position) {
            Ok(child) => page = child,
            Err(_) if is_leaf(image, &node) => return Ok(false),
            Err(lost) => return Err(lost.into()),
        }
    }
    Err(too_deep(image, page).into())
}

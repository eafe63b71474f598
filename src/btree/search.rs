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

/// Child `number` of a node; `None` for a leaf.
pub(crate) fn child_page(image: &Image, node: &IndexPage<'_>, number: usize) -> Option<LogicalPage> {
    let raw = node.child(number);
    if raw == image.dialect().no_child() { None } else { LogicalPage::new(raw) }
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
        match child_page(image, &node, position) {
            Some(child) => page = child,
            None => return Ok(false),
        }
    }
    Err(too_deep(image, page).into())
}

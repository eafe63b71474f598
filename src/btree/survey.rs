//! Surveys of a damaged index, which examine every live page once, with and without its parents.

use std::sync::Arc;

use crate::base::corruption::Corruption;
use crate::base::error::{Error, Result};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, Space};
use crate::base::site::Site;
use crate::base::{narrow, widen};
use crate::format::Dialect;
use crate::format::index::page::IndexPage;
use crate::pager::state::image::Image;
use crate::pager::state::survey::{IndexHealth, Stray, Survey};

use super::scan::{Direction, KeyRange};
use super::search::view;
use super::walk::Walk;

/// The survey of an index, made on the first call.
pub fn survey(image: &Image) -> &Survey {
    image.survey(make)
}

/// The pages that are or should be nodes of the index, among the first `count` logical pages.
pub(crate) fn node_pages(image: &Image, count: u32) -> impl Iterator<Item = LogicalPage> {
    // Page 0 of dialect 2.1 is its admin page.
    let first = u32::from(image.dialect() == Dialect::V21);
    let pages = (first..image.logical_pages(Space::Index).min(count)).filter_map(LogicalPage::new);
    pages.filter(|&page| image.is_mapped(Space::Index, page))
}

/// The node on a page that was read, if the page is intact.
pub(super) fn whole<'p>(
    image: &Image,
    own: LogicalPage,
    bytes: &'p PageBytes,
) -> Result<IndexPage<'p>, Corruption> {
    let node = view(image, own, bytes)?;
    match node.overload(image.site(Space::Index, own)) {
        Some(overload) => Err(overload),
        None => Ok(node),
    }
}

/// Facts about a node from a pass over the pages.
pub(super) struct Extent {
    pub page: LogicalPage,
    pub least: Vec<u8>,
    pub greatest: Vec<u8>,
    keys: u64,
    /// True if all keys can be read and each is greater than the one before it.
    pub is_in_order: bool,
}

impl Extent {
    /// The extent of a node. Fails if none of its keys can be read.
    pub(super) fn of(page: LogicalPage, node: &IndexPage<'_>) -> Result<Self, Corruption> {
        let mut extent = Self {
            page,
            least: Vec::new(),
            greatest: Vec::new(),
            keys: 0,
            is_in_order: true,
        };
        let mut text = Vec::new();
        for key in 0..node.key_count() {
            text.clear();
            if node.append_key(key, &mut text).is_none() {
                extent.is_in_order = false;
            } else {
                extent.take(&mut text);
            }
        }
        if extent.keys == 0 {
            return Err(node.damaged_key(0, Site::page(Space::Index, page)));
        }
        Ok(extent)
    }

    fn take(&mut self, text: &mut Vec<u8>) {
        if self.keys == 0 {
            self.least.clone_from(text);
        }
        if self.keys == 0 || *text > self.greatest {
            std::mem::swap(&mut self.greatest, text);
        } else {
            self.is_in_order = false;
            if *text < self.least {
                std::mem::swap(&mut self.least, text);
            }
        }
        self.keys += 1;
    }
}

fn make(image: &Image) -> Survey {
    let mut health = IndexHealth::default();
    let (mut unreadable, mut nodes) = (Vec::new(), Vec::new());
    let mut bytes = Box::new([0; PAGE_SIZE]);
    for page in node_pages(image, u32::MAX) {
        health.pages += 1;
        match look(image, page, &mut bytes) {
            Ok(extent) => {
                health.keys += extent.keys;
                nodes.push(extent);
            }
            Err(_) => unreadable.push(page),
        }
    }
    health.unreadable = narrow(unreadable.len());

    // A node whose keys are out of order cannot be searched. It is left out of the tree, with
    // everything that only it leads to.
    let mut barred = vec![false; widen(image.logical_pages(Space::Index))];
    for node in nodes.iter().filter(|node| !node.is_in_order) {
        barred
            .get_mut(node.page.index())
            .into_iter()
            .for_each(|mark| *mark = true);
    }
    let mut walk = Walk::new(
        Arc::new(image.clone()),
        KeyRange::all(),
        Direction::Forward,
        barred,
    );
    walk.enter_all();
    nodes.retain(|node| walk.seen.get(node.page.index()) != Some(&true));
    let stray = |node: Extent| Stray {
        page: node.page,
        least: node.least.into(),
        greatest: node.greatest.into(),
    };
    Survey::new(
        health,
        unreadable,
        nodes.into_iter().map(stray).collect(),
        image.logical_pages(Space::Index),
    )
}

/// The error for a page that a survey could not read.
pub(super) fn unreadable(image: &Image, page: LogicalPage) -> Option<Error> {
    look(image, page, &mut Box::new([0; PAGE_SIZE])).err()
}

fn look(image: &Image, page: LogicalPage, bytes: &mut PageBytes) -> Result<Extent> {
    image.read(Space::Index, page, bytes)?;
    Ok(Extent::of(page, &whole(image, page, bytes)?)?)
}

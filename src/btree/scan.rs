//! Scans of the index: keys of a range in order, in either direction.

use std::sync::Arc;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::limits::MAX_TREE_DEPTH;
use crate::base::page_no::{LogicalPage, Space};
use crate::base::widen;
use crate::format::index_keys::IndexKeys;
use crate::format::index_page::{IndexPage, Layout};
use crate::format::key::Key;
use crate::pager::image::Image;
use crate::pager::page::Page;

use super::search::{NodeView, child_page, too_deep};

/// The direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// Keys from `from` (inclusive) up to `to` (exclusive); an absent bound is open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyRange {
    /// Least key.
    pub from: Option<Vec<u8>>,
    /// First key behind the range.
    pub to: Option<Vec<u8>>,
}

impl KeyRange {
    /// All keys.
    pub const fn all() -> Self {
        Self { from: None, to: None }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut to = prefix.to_vec();
        // The first text behind all that begin with the prefix: its last byte one higher; bytes that cannot be raised fall away.
        while let Some(last) = to.pop() {
            if let Some(next) = last.checked_add(1) {
                to.push(next);
                return Self { from: Some(prefix.to_vec()), to: Some(to) };
            }
        }
        Self { from: Some(prefix.to_vec()), to: None }
    }
}

/// A scan. It owns its view of the repository and gives each key once.
///
/// A damaged part gives an error, and the scan goes on behind it: one bad page does not hide the others.
#[derive(Debug)]
pub struct Scan {
    image: Arc<Image>,
    direction: Direction,
    range: KeyRange,
    stack: Vec<Frame>,
    seen: Vec<bool>,
    pending: Option<Error>,
    text: Vec<u8>,
    /// The page whose prefix the text begins with.
    loaded: Option<LogicalPage>,
    finished: bool,
}

/// A node on the way from the root; `next` counts its children and keys alternately: child 0, key 0, child 1, …
#[derive(Debug)]
struct Frame {
    page: LogicalPage,
    bytes: Arc<Page>,
    layout: Layout,
    next: usize,
    end: usize,
    is_leaf: bool,
    /// Whether all keys that are still to come lie in the range, as is known from their order.
    is_inside: bool,
}

enum Step {
    Descend(LogicalPage),
    Lost(Corruption),
    Key(usize),
    Up,
}

impl Scan {
    /// A scan of a range.
    pub fn new(image: Arc<Image>, range: KeyRange, direction: Direction) -> Self {
        let seen = vec![false; widen(image.logical_pages(Space::Index))];
        let (stack, text) = (Vec::new(), Vec::new());
        let mut scan =
            Self { image, direction, range, stack, seen, pending: None, text, loaded: None, finished: false };
        match scan.image.root() {
            Ok(root) => scan.push(root),
            Err(error) => scan.pending = Some(error),
        }
        scan
    }

    /// The text of the next key, borrowed until the one after it is asked for; `None` at the end.
    pub fn next_text(&mut self) -> Option<Result<&[u8]>> {
        if self.finished {
            return None;
        }
        loop {
            if let Some(error) = self.pending.take() {
                return Some(Err(error));
            }
            match self.step()? {
                Step::Descend(page) => self.push(page),
                Step::Lost(child) => return Some(Err(child.into())),
                Step::Up => _ = self.stack.pop(),
                Step::Key(key) => match self.load_key(key) {
                    Err(error) => return Some(Err(error)),
                    Ok(()) => match self.place() {
                        Place::Inside => return Some(Ok(&self.text)),
                        Place::Before => {}
                        Place::Behind => {
                            self.finished = true;
                            return None;
                        }
                    },
                },
            }
        }
    }

    /// What comes next in the node at hand; `None` when the scan is over.
    fn step(&mut self) -> Option<Step> {
        let frame = self.stack.last_mut()?;
        if frame.next == frame.end {
            return Some(Step::Up);
        }
        let at = frame.next;
        let number = match self.direction {
            Direction::Forward => at,
            Direction::Backward => frame.end - 1 - at,
        };
        frame.next = at + 1;
        if number % 2 == 1 {
            return Some(Step::Key(number / 2));
        }
        if frame.is_leaf {
            return self.step();
        }
        // The page was viewed once when it was pushed; the same bytes give the same view.
        let node = IndexPage::with_layout(&frame.bytes, frame.layout)?;
        Some(child_page(&self.image, &node, frame.page, number / 2).map_or_else(Step::Lost, Step::Descend))
    }

    fn load_key(&mut self, key: usize) -> Result<()> {
        let Some(frame) = self.stack.last() else { return Ok(()) };
        if let Some(keys) = frame.bytes.known_keys() {
            if self.loaded == Some(frame.page) {
                self.text.truncate(keys.prefix().len());
            } else {
                self.text.clear();
                self.text.extend_from_slice(keys.prefix());
                self.loaded = Some(frame.page);
            }
            self.text.extend_from_slice(keys.rest(key));
            return Ok(());
        }
        self.text.clear();
        self.loaded = None;
        let site = self.image.site(Space::Index, frame.page);
        let Some(node) = IndexPage::with_layout(&frame.bytes, frame.layout) else {
            return Err(Corruption::new(CorruptionCode::IndexSize, site, "the page is another than it was").into());
        };
        if node.append_key(key, &mut self.text).is_none() {
            return Err(node.damaged_key(key, site).into());
        }
        Ok(())
    }

    /// Where the loaded key lies, seen in the direction of the scan.
    fn place(&self) -> Place {
        if self.stack.last().is_some_and(|frame| frame.is_inside) {
            return Place::Inside;
        }
        let text = self.text.as_slice();
        let below = self.range.from.as_deref().is_some_and(|from| text < from);
        let above = self.range.to.as_deref().is_some_and(|to| text >= to);
        match (below, above, self.direction) {
            (false, false, _) => Place::Inside,
            (true, _, Direction::Forward) | (_, true, Direction::Backward) => Place::Before,
            _ => Place::Behind,
        }
    }

    /// Enters a page, at the place where the range begins in it.
    fn push(&mut self, page: LogicalPage) {
        match self.enter(page) {
            Ok(frame) => self.stack.push(frame),
            Err(error) => self.pending = Some(error),
        }
    }

    fn enter(&mut self, page: LogicalPage) -> Result<Frame> {
        if self.stack.len() >= MAX_TREE_DEPTH {
            return Err(too_deep(&self.image, page).into());
        }
        if let Some(seen) = self.seen.get_mut(page.index()) {
            if *seen {
                let site = self.image.site(Space::Index, page);
                return Err(Corruption::new(CorruptionCode::IndexPageTwice, site, "").into());
            }
            *seen = true;
        }
        let bytes = self.image.fetch(Space::Index, page)?;
        let node = NodeView::view(&self.image, page, &bytes)?;
        if let Some(overload) = node.page.overload(self.image.site(Space::Index, page)) {
            return Err(overload.into());
        }
        let (end, layout) = (2 * node.page.key_count() + 1, node.page.layout());
        let next = self.first_step(&node, page)?;
        let is_leaf = node.is_leaf(&self.image);
        let is_inside = node.keys.is_some_and(|keys| self.ends_inside(keys, node.page.key_count()));
        Ok(Frame { page, bytes, layout, next, end, is_leaf, is_inside })
    }

    /// Whether the key of a node that the scan comes to last lies in the range. Those before it, from [`first_step`](Self::first_step)
    /// on, do so too: keys that were put together are in order.
    fn ends_inside(&self, keys: &IndexKeys, count: usize) -> bool {
        let last = |key| [keys.prefix(), keys.rest(key)].concat();
        match (self.direction, &self.range.from, &self.range.to) {
            (Direction::Forward, _, Some(to)) => last(count.saturating_sub(1)) < *to,
            (Direction::Backward, Some(from), _) => last(0) >= *from,
            _ => true,
        }
    }

    /// How much of a node lies in front of the range: everything up to the child in which it begins.
    fn first_step(&self, node: &NodeView<'_>, page: LogicalPage) -> Result<usize> {
        let bound = match self.direction {
            Direction::Forward => self.range.from.as_deref(),
            Direction::Backward => self.range.to.as_deref(),
        };
        let Some(bound) = bound else { return Ok(0) };
        let damaged = |key| node.page.damaged_key(key, self.image.site(Space::Index, page));
        let (position, _) = node.search(bound).map_err(damaged)?;
        Ok(match self.direction {
            Direction::Forward => 2 * position,
            Direction::Backward => 2 * (node.page.key_count() - position),
        })
    }
}

enum Place {
    Before,
    Inside,
    Behind,
}

impl Iterator for Scan {
    type Item = Result<Key>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_text()?.map(Key::new))
    }
}

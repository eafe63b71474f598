//! The walk through the tree of the index over every node that its parents lead to, in order.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::limits::MAX_TREE_DEPTH;
use crate::base::page_no::{LogicalPage, Space};
use crate::base::widen;
use crate::format::index::keys::IndexKeys;
use crate::format::index::page::{IndexPage, Layout};
use crate::pager::page::Page;
use crate::pager::state::image::Image;

use super::levels::ensure_level;
use super::scan::{Direction, KeyRange};
use super::search::{NodeView, child_page, ensure_root, misplaced, too_deep};
use super::strays::disorder;

/// A walk over the keys of a range.
///
/// A node is entered only once, and only if its keys lie between those around its pointer. So a
/// walk over any range enters the same nodes in that range as a walk over all keys.
#[derive(Debug)]
pub(super) struct Walk {
    pub image: Arc<Image>,
    pub direction: Direction,
    pub range: KeyRange,
    /// True if pages that are not cached stay out of the cache.
    is_passing: bool,
    stack: Vec<Frame>,
    /// For each logical page, whether it was entered or could not be.
    pub seen: Vec<bool>,
    /// For each logical page, whether it is skipped silently. Empty while none is.
    pub barred: Vec<bool>,
    pending: Option<Error>,
    /// The current key.
    pub text: Vec<u8>,
    /// The page whose prefix the text begins with.
    loaded: Option<LogicalPage>,
    /// A key that a node is compared with.
    bound: Vec<u8>,
    /// True if a node could not be entered.
    pub is_broken: bool,
    /// A page that was not entered because its keys are out of order.
    pub disordered: Option<LogicalPage>,
    finished: bool,
}

/// A node on the path from the root. `next` counts its children and keys alternately: child 0, key
/// 0, child 1, …
#[derive(Debug)]
struct Frame {
    page: LogicalPage,
    bytes: Arc<Page>,
    layout: Layout,
    next: usize,
    end: usize,
    is_leaf: bool,
    /// True if all remaining keys are known to lie in the range because of their order.
    is_inside: bool,
}

impl Frame {
    /// The number of the child or key that the walk reached last.
    const fn number(&self, direction: Direction) -> usize {
        match direction {
            Direction::Forward => self.next - 1,
            Direction::Backward => self.end - self.next,
        }
    }

    /// Appends the text of a key; `None` if it is damaged.
    fn append_key(&self, key: usize, text: &mut Vec<u8>) -> Option<()> {
        // The page was parsed when it was pushed, and the same bytes give the same view.
        let page = IndexPage::with_layout(&self.bytes, self.layout)?;
        NodeView {
            page,
            keys: self.bytes.known_keys(),
        }
        .append_key(key, text)
    }
}

enum Step {
    Descend(LogicalPage),
    Lost(Corruption),
    Key(usize),
    Up,
}

impl Walk {
    /// Creates a walk over a range. It skips the pages that `barred` marks.
    pub(super) fn new(
        image: Arc<Image>,
        range: KeyRange,
        direction: Direction,
        barred: Vec<bool>,
    ) -> Self {
        Self::begin(image, range, direction, barred, false)
    }

    /// Creates a walk over all keys that leaves the cache unchanged, for a single pass.
    pub(super) fn passing(image: Arc<Image>) -> Self {
        Self::begin(image, KeyRange::all(), Direction::Forward, Vec::new(), true)
    }

    fn begin(
        image: Arc<Image>,
        range: KeyRange,
        direction: Direction,
        barred: Vec<bool>,
        is_passing: bool,
    ) -> Self {
        let seen = vec![false; widen(image.logical_pages(Space::Index))];
        let mut walk = Self {
            image,
            direction,
            range,
            is_passing,
            stack: Vec::new(),
            seen,
            barred,
            pending: None,
            text: Vec::new(),
            loaded: None,
            bound: Vec::new(),
            is_broken: false,
            disordered: None,
            finished: false,
        };
        match walk.image.root() {
            Ok(root) => walk.push(root),
            Err(error) => walk.broken(error),
        }
        walk
    }

    /// Records that a part of the tree is not entered.
    fn broken(&mut self, error: Error) {
        self.is_broken = true;
        self.pending = Some(error);
    }

    /// Advances to the next key, which is then [`text`](Self::text); `None` at the end.
    pub(super) fn advance(&mut self) -> Option<Result<()>> {
        if self.advance_in_leaf() {
            return Some(Ok(()));
        }
        if self.finished {
            return None;
        }
        loop {
            if let Some(error) = self.pending.take() {
                return Some(Err(error));
            }
            match self.step()? {
                Step::Descend(page) => self.push(page),
                Step::Lost(child) => self.broken(child.into()),
                Step::Up => self.leave(),
                Step::Key(key) => match self.load_key(key) {
                    Err(error) => return Some(Err(error)),
                    Ok(()) => match self.place() {
                        Place::Inside => return Some(Ok(())),
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

    /// Advances to the next key of the same leaf if all remaining keys lie in the range. Most steps
    /// of a scan are of this kind, so this is tried first.
    #[inline]
    fn advance_in_leaf(&mut self) -> bool {
        let Some(frame) = self.stack.last_mut() else {
            return false;
        };
        // The last step was a key, so the next is a child, which a leaf does not have, and then a
        // key.
        let is_fit =
            frame.is_leaf && frame.is_inside && frame.next % 2 == 0 && frame.next + 1 < frame.end;
        if !is_fit || self.loaded != Some(frame.page) {
            return false;
        }
        let Some(keys) = frame.bytes.known_keys() else {
            return false;
        };
        frame.next += 2;
        self.text.truncate(keys.prefix().len());
        self.text
            .extend_from_slice(keys.rest(frame.number(self.direction) / 2));
        true
    }

    /// Enters every node without examining its keys.
    pub(super) fn enter_all(&mut self) {
        while let Some(step) = self.step() {
            match step {
                Step::Descend(page) => self.push(page),
                Step::Up => _ = self.stack.pop(),
                Step::Lost(_) | Step::Key(_) => {}
            }
        }
    }

    /// The next step in the current node; `None` when the walk is over.
    fn step(&mut self) -> Option<Step> {
        let frame = self.stack.last_mut()?;
        if frame.next == frame.end {
            return Some(Step::Up);
        }
        frame.next += 1;
        let number = frame.number(self.direction);
        if number % 2 == 1 {
            return Some(Step::Key(number / 2));
        }
        if frame.is_leaf {
            return self.step();
        }
        // The page was parsed when it was pushed, and the same bytes give the same view.
        let node = IndexPage::with_layout(&frame.bytes, frame.layout)?;
        Some(
            child_page(&self.image, &node, frame.page, number / 2)
                .map_or_else(Step::Lost, Step::Descend),
        )
    }

    fn load_key(&mut self, key: usize) -> Result<()> {
        let Some(frame) = self.stack.last() else {
            return Ok(());
        };
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
            return Err(Corruption::new(
                CorruptionCode::IndexSize,
                site,
                "the page is another than it was",
            )
            .into());
        };
        if node.append_key(key, &mut self.text).is_none() {
            return Err(node.damaged_key(key, site).into());
        }
        Ok(())
    }

    /// The position of the loaded key relative to the range, in the direction of the walk.
    fn place(&self) -> Place {
        if self.stack.last().is_some_and(|frame| frame.is_inside) {
            return Place::Inside;
        }
        self.range.place(&self.text, self.direction)
    }

    /// Enters a page, at the place where the range begins in it.
    fn push(&mut self, page: LogicalPage) {
        if self.barred.get(page.index()) == Some(&true) {
            return;
        }
        match self.enter(page) {
            Ok(frame) => self.stack.push(frame),
            Err(error) => self.broken(error),
        }
    }

    /// Returns to the parent of the current node.
    fn leave(&mut self) {
        if let Some(frame) = self.stack.pop()
            && self.is_passing
        {
            self.image.give_back(frame.bytes);
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
        let bytes = match self.is_passing {
            true => self.image.fetch_passing(Space::Index, page)?,
            false => self.image.fetch(Space::Index, page)?,
        };
        let node = NodeView::view_all(&self.image, page, &bytes)?;
        if let Some(overload) = node.page.overload(self.image.site(Space::Index, page)) {
            return Err(overload.into());
        }
        let next = self
            .ensure_in_place(&node, page)
            .and_then(|()| self.first_step(&node, page));
        if next.is_err() {
            // The page is intact: its own place may come later, or it is found as a stray.
            self.seen
                .get_mut(page.index())
                .into_iter()
                .for_each(|seen| *seen = false);
        }
        let next = next?;
        let (end, layout) = (2 * node.page.key_count() + 1, node.page.layout());
        let is_leaf = node.is_leaf(&self.image);
        let is_inside = node
            .keys
            .is_some_and(|keys| self.ends_inside(keys, node.page.key_count()));
        Ok(Frame {
            page,
            bytes,
            layout,
            next,
            end,
            is_leaf,
            is_inside,
        })
    }

    /// Fails for a node that cannot be searched, and for one that does not belong here, because its
    /// keys are not between those on either side of the pointer. Either would hide keys of others.
    fn ensure_in_place(&mut self, node: &NodeView<'_>, page: LogicalPage) -> Result<()> {
        // Decoded keys are known to be in order.
        if node.keys.is_none()
            && let Some(disorder) = disorder(&node.page, self.image.site(Space::Index, page))
        {
            self.disordered = Some(page);
            return Err(disorder.into());
        }
        let Some(parent) = self.stack.last().map(|frame| frame.page) else {
            return ensure_root(&self.image, node.is_leaf(&self.image), page);
        };
        if node.is_leaf(&self.image) {
            ensure_level(&self.image, page, self.stack.len() + 1)?;
        }
        let last = node.page.key_count().saturating_sub(1);
        for (key, wanted) in [(0, Ordering::Greater), (last, Ordering::Less)] {
            if self.load_bound(wanted).is_some()
                && node
                    .compare(key, &self.bound)
                    .is_some_and(|order| order != wanted)
            {
                return Err(misplaced(&self.image, parent, page).into());
            }
        }
        Ok(())
    }

    /// Loads the key next to the current pointer: the one before it if nodes must be greater, the
    /// one after it if they must be less. `None` at the edge of the tree, and if the key is
    /// damaged.
    fn load_bound(&mut self, wanted: Ordering) -> Option<()> {
        self.bound.clear();
        for frame in self.stack.iter().rev() {
            let child = frame.number(self.direction) / 2;
            let key = match wanted {
                Ordering::Greater => child.checked_sub(1),
                _ => Some(child).filter(|&key| 2 * key + 1 < frame.end),
            };
            if let Some(key) = key {
                return frame.append_key(key, &mut self.bound);
            }
        }
        None
    }

    /// True if the last key that the walk will reach in a node lies in the range. The keys before
    /// it, from [`first_step`](Self::first_step) on, then do too, because decoded keys are in
    /// order.
    fn ends_inside(&self, keys: &IndexKeys, count: usize) -> bool {
        match (self.direction, &self.range.from, &self.range.to) {
            (Direction::Forward, _, Some(to)) => keys.compare(count.saturating_sub(1), to).is_lt(),
            (Direction::Backward, Some(from), _) => keys.compare(0, from).is_ge(),
            _ => true,
        }
    }

    /// The number of steps of a node before the range: everything up to the child in which it
    /// begins.
    fn first_step(&self, node: &NodeView<'_>, page: LogicalPage) -> Result<usize> {
        let Some(bound) = self.range.start(self.direction) else {
            return Ok(0);
        };
        let damaged = |key| {
            node.page
                .damaged_key(key, self.image.site(Space::Index, page))
        };
        let (position, _) = node.search(bound).map_err(damaged)?;
        Ok(match self.direction {
            Direction::Forward => 2 * position,
            Direction::Backward => 2 * (node.page.key_count() - position),
        })
    }
}

/// The position of a key relative to a range, in the direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Before,
    Inside,
    Behind,
}

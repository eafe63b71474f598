//! The state that a write transaction works on. Pages are changed in memory, and every change can
//! be undone.

use std::collections::HashSet;
use std::sync::Arc;

use super::draft_node::DraftNode;
use super::image::Image;
use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, Space};
use crate::format::index::draft::Draft;
use crate::pager::page::Page;
use crate::pager::page::logical::LogicalPages;
use crate::pager::page::table::Slot;

/// A state under change, with the information to undo the changes.
#[derive(Debug)]
pub struct Working {
    image: Image,
    logical: [LogicalPages; 2],
    undo: Vec<Change>,
    /// The pages whose state at the last mark is in `undo`. Intermediate states are not kept.
    kept: HashSet<(Space, LogicalPage)>,
    /// The changes of the step in progress.
    step: Option<Vec<Change>>,
}

/// A change, with the former state.
#[derive(Debug)]
enum Change {
    /// These numbers were taken.
    Took(Space, LogicalPage, u32),
    /// These numbers were released.
    Released(Space, LogicalPage, u32),
    /// The former state of a page.
    Slot(Space, LogicalPage, Option<Slot>),
    /// The former root of the index.
    Root(Option<Option<LogicalPage>>),
}

/// A point in a transaction to which it can be rolled back.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

impl Working {
    /// Begins to change a state.
    pub fn new(image: Image) -> Self {
        let logical = Space::ALL.map(|space| {
            let numbers = (0..image.logical_pages(space)).filter_map(LogicalPage::new);
            let free = numbers.filter(|&page| !image.is_mapped(space, page));
            LogicalPages::new(image.logical_pages(space), free)
        });
        Self {
            image,
            logical,
            undo: Vec::new(),
            kept: HashSet::new(),
            step: None,
        }
    }

    /// The present state.
    pub const fn image(&self) -> &Image {
        &self.image
    }

    /// Marks the present point.
    pub fn mark(&mut self) -> Mark {
        self.kept.clear();
        Mark(self.undo.len())
    }

    /// Rolls back to a mark.
    pub fn roll_back(&mut self, mark: Mark) {
        if self.step.is_some() {
            self.end_step(false); // a panic ended it
        }
        self.kept.clear();
        let changes = self.undo.split_off(mark.0.min(self.undo.len()));
        changes
            .into_iter()
            .rev()
            .for_each(|change| self.take_back(change));
    }

    /// Begins a step: a few changes that take effect together or not at all.
    pub fn begin_step(&mut self) {
        debug_assert!(self.step.is_none(), "steps are not nested");
        self.step = Some(Vec::new());
    }

    /// Ends the step, keeping its changes or undoing them.
    pub fn end_step(&mut self, is_made: bool) {
        let changes = self.step.take().unwrap_or_default();
        if is_made {
            changes.into_iter().for_each(|change| self.keep(change));
        } else {
            changes
                .into_iter()
                .rev()
                .for_each(|change| self.take_back(change));
        }
    }

    /// Makes the changes final, because the transaction is committed.
    pub fn commit(&mut self) {
        self.image.overlay_mut().commits += 1;
        let undo = std::mem::take(&mut self.undo);
        undo.into_iter().for_each(|change| self.reuse(change));
        self.kept.clear();
    }

    /// A page to fill that no one else refers to. It holds the remains of another page.
    pub fn new_page(&self) -> Arc<Page> {
        self.image.base().cache().new_page()
    }

    fn reuse(&self, change: Change) {
        if let Change::Slot(_, _, Some(Slot::Page { bytes, .. })) = change {
            self.image.base().cache().reuse(bytes);
        }
    }

    fn note(&mut self, change: Change) {
        match &mut self.step {
            Some(step) => step.push(change),
            None => self.keep(change),
        }
    }

    fn keep(&mut self, change: Change) {
        let is_wanted = match change {
            Change::Slot(space, page, _) => self.kept.insert((space, page)),
            _ => true,
        };
        if is_wanted {
            self.undo.push(change);
        } else {
            self.reuse(change);
        }
    }

    fn take_back(&mut self, change: Change) {
        match change {
            Change::Took(space, first, count) => self.numbers(space).release(first, count),
            Change::Released(space, first, count) => _ = self.numbers(space).take_at(first, count),
            Change::Slot(space, page, slot) => _ = self.image.overlay_mut().set(space, page, slot),
            Change::Root(root) => self.image.overlay_mut().set_root(root),
        }
    }

    /// Moves the state onto a generation that already contains a part of the changes.
    pub fn rebase(&mut self, image: Image) {
        debug_assert!(self.undo.is_empty(), "no transaction runs");
        self.image = image;
    }

    /// Sets the content of a page.
    pub fn put(&mut self, space: Space, page: LogicalPage, bytes: Arc<Page>, free_bytes: u32) {
        self.set(space, page, Slot::Page { bytes, free_bytes });
    }

    /// Sets the content of an index page to a node that fits into one.
    pub fn put_node(&mut self, page: LogicalPage, draft: Draft) {
        self.set(
            Space::Index,
            page,
            Slot::Node(Arc::new(DraftNode::new(page, draft))),
        );
    }

    /// Mutable access to an index node that is private to this transaction and whose state at the
    /// last mark is saved; `None` for any other node. A step cannot undo a change made this way, so
    /// it must be the last one of its step.
    pub fn own_node(&mut self, page: LogicalPage) -> Option<&mut Draft> {
        match self.own_slot(Space::Index, page)? {
            Slot::Node(node) => Arc::get_mut(node).map(DraftNode::draft_mut),
            _ => None,
        }
    }

    /// Mutable access to a page and its free bytes, under the rules of
    /// [`own_node`](Self::own_node).
    pub fn own_page(&mut self, space: Space, page: LogicalPage) -> Option<(&mut Page, &mut u32)> {
        match self.own_slot(space, page)? {
            Slot::Page { bytes, free_bytes } => Some((Arc::get_mut(bytes)?, free_bytes)),
            _ => None,
        }
    }

    fn own_slot(&mut self, space: Space, page: LogicalPage) -> Option<&mut Slot> {
        if !self.kept.contains(&(space, page)) {
            return None;
        }
        self.image.overlay_mut().slot_mut(space, page)
    }

    /// Takes consecutive logical pages. They have no page until one is put there.
    pub fn take(&mut self, space: Space, count: u32) -> Result<LogicalPage> {
        let first = self.numbers(space).take(count)?;
        self.note(Change::Took(space, first, count));
        Ok(first)
    }

    /// Takes exactly these logical pages.
    pub fn take_at(&mut self, space: Space, first: LogicalPage, count: u32) -> Result<()> {
        self.numbers(space).take_at(first, count)?;
        self.note(Change::Took(space, first, count));
        Ok(())
    }

    /// Releases logical pages; they no longer have a page.
    pub fn release(&mut self, space: Space, first: LogicalPage, count: u32) {
        for page in (0..count).filter_map(|number| first.checked_add(number)) {
            self.set(space, page, Slot::Unmapped);
        }
        self.note(Change::Released(space, first, count));
        self.numbers(space).release(first, count);
    }

    /// Changes the root of the index; `None` means an empty index.
    pub fn set_root(&mut self, root: Option<LogicalPage>) {
        self.note(Change::Root(self.image.overlay().root()));
        self.image.overlay_mut().set_root(Some(root));
    }

    fn set(&mut self, space: Space, page: LogicalPage, slot: Slot) {
        let old = self.image.overlay_mut().set(space, page, Some(slot));
        if old.is_none() {
            self.image.base().cache().replaced(space, page);
        }
        self.note(Change::Slot(space, page, old));
    }

    fn numbers(&mut self, space: Space) -> &mut LogicalPages {
        let [objects, index] = &mut self.logical;
        match space {
            Space::Objects => objects,
            Space::Index => index,
        }
    }
}

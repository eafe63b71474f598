//! The state that a write transaction works on: pages are changed in memory, and every change can be undone.

use std::sync::Arc;

use super::image::Image;
use super::logical::LogicalPages;
use super::page_table::Slot;
use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PageBytes, Space};

/// A state being changed, and what it takes to give its logical page numbers back.
#[derive(Debug)]
pub struct Working {
    image: Image,
    logical: [LogicalPages; 2],
    undo: Vec<Taken>,
}

/// A change of the logical page numbers.
#[derive(Debug, Clone, Copy)]
enum Taken {
    /// These numbers were taken.
    Took(Space, LogicalPage, u32),
    /// These numbers were released.
    Released(Space, LogicalPage, u32),
}

/// A moment to which a transaction can go back.
#[derive(Debug, Clone)]
pub struct Mark {
    image: Image,
    undo: usize,
}

impl Working {
    /// Begins to change a state.
    pub fn new(image: Image) -> Self {
        let logical = Space::ALL.map(|space| {
            let numbers = (0..image.logical_pages(space)).filter_map(LogicalPage::new);
            let free = numbers.filter(|&page| !image.is_mapped(space, page));
            LogicalPages::new(image.logical_pages(space), free)
        });
        Self { image, logical, undo: Vec::new() }
    }

    /// The state as it is now.
    pub const fn image(&self) -> &Image {
        &self.image
    }

    /// This moment.
    pub fn mark(&self) -> Mark {
        Mark { image: self.image.clone(), undo: self.undo.len() }
    }

    /// Goes back to a moment.
    pub fn roll_back(&mut self, mark: Mark) {
        for change in self.undo.split_off(mark.undo.min(self.undo.len())).into_iter().rev() {
            match change {
                Taken::Took(space, first, count) => self.numbers(space).release(first, count),
                Taken::Released(space, first, count) => _ = self.numbers(space).take_at(first, count),
            }
        }
        self.image = mark.image;
    }

    /// Makes the changes those of a committed transaction: they cannot be undone any more.
    pub fn commit(&mut self) {
        self.image.overlay_mut().commits += 1;
        self.undo.clear();
    }

    /// The same state over a generation that holds a part of the changes.
    pub fn rebase(&mut self, image: Image) {
        debug_assert!(self.undo.is_empty(), "no transaction runs");
        self.image = image;
    }

    /// Sets the content of a page.
    pub fn put(&mut self, space: Space, page: LogicalPage, bytes: Arc<PageBytes>, free_bytes: u32) {
        self.image.overlay_mut().set(space, page, Slot::Page { bytes, free_bytes });
    }

    /// Takes consecutive logical pages; they have no page before one is put there.
    pub fn take(&mut self, space: Space, count: u32) -> Result<LogicalPage> {
        let first = self.numbers(space).take(count)?;
        self.undo.push(Taken::Took(space, first, count));
        Ok(first)
    }

    /// Takes exactly these logical pages.
    pub fn take_at(&mut self, space: Space, first: LogicalPage, count: u32) -> Result<()> {
        self.numbers(space).take_at(first, count)?;
        self.undo.push(Taken::Took(space, first, count));
        Ok(())
    }

    /// Gives logical pages back: they have no page any more.
    pub fn release(&mut self, space: Space, first: LogicalPage, count: u32) {
        for page in (0..count).filter_map(|number| first.checked_add(number)) {
            self.image.overlay_mut().set(space, page, Slot::Unmapped);
        }
        self.undo.push(Taken::Released(space, first, count));
        self.numbers(space).release(first, count);
    }

    /// Changes the root of the index; `None`: the index is empty.
    pub fn set_root(&mut self, root: Option<LogicalPage>) {
        self.image.overlay_mut().set_root(root);
    }

    fn numbers(&mut self, space: Space) -> &mut LogicalPages {
        let [objects, index] = &mut self.logical;
        match space {
            Space::Objects => objects,
            Space::Index => index,
        }
    }
}

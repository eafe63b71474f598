//! Free space in the object heap.

use std::collections::BTreeSet;

use crate::base::page_no::{LogicalPage, Space};
use crate::base::{narrow, widen};
use crate::format::heap::page::DESCRIPTOR_SIZE;
use crate::pager::state::image::Image;

/// Pages of whole records sorted by their free bytes. Every change can be undone.
#[derive(Debug, Default)]
pub struct FreeSpace {
    by_room: BTreeSet<(u32, LogicalPage)>,
    /// The page that took the last record. The next record goes there if there is room, so that few
    /// pages change.
    last: Option<(u32, LogicalPage)>,
    undo: Vec<(LogicalPage, u32, u32)>,
}

impl FreeSpace {
    /// Collects the free space of every page from the mapping.
    pub fn of(image: &Image) -> Self {
        let pages = (0..image.logical_pages(Space::Objects)).filter_map(LogicalPage::new);
        let room = |page| (image.free_bytes(Space::Objects, page), page);
        let by_room = pages
            .map(room)
            .filter(|(free, _)| is_worth_knowing(*free))
            .collect();
        Self {
            by_room,
            ..Self::default()
        }
    }

    /// A page with room for a record of this size and its descriptor: the last page used, or else
    /// the fullest.
    pub fn find(&self, size: u32) -> Option<LogicalPage> {
        let need = size.saturating_add(narrow(DESCRIPTOR_SIZE));
        if let Some((free, page)) = self.last
            && free >= need
        {
            return Some(page);
        }
        let lowest = LogicalPage::new(0)?;
        self.by_room
            .range((need, lowest)..)
            .next()
            .map(|(_, page)| *page)
    }

    /// Records that the free bytes of a page changed from `old` to `new`.
    pub fn change(&mut self, page: LogicalPage, old: u32, new: u32) {
        self.undo.push((page, old, new));
        self.replace(page, old, new);
        if new < old {
            self.last = Some((new, page));
        } else if self.last.is_some_and(|(_, last)| last == page) {
            self.last = None;
        }
    }

    /// Marks the present point.
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Rolls back to a mark.
    pub fn roll_back(&mut self, mark: usize) {
        for (page, old, new) in self
            .undo
            .split_off(mark.min(self.undo.len()))
            .into_iter()
            .rev()
        {
            self.replace(page, new, old);
        }
        self.last = None;
    }

    /// Makes the changes so far final.
    pub fn commit(&mut self) {
        self.undo.clear();
    }

    fn replace(&mut self, page: LogicalPage, old: u32, new: u32) {
        self.by_room.remove(&(old, page));
        if is_worth_knowing(new) {
            self.by_room.insert((new, page));
        }
    }
}

/// True if there is room for any record at all.
fn is_worth_knowing(free: u32) -> bool {
    widen(free) > DESCRIPTOR_SIZE
}

//! Storage, replacement and removal of records.

use std::sync::Arc;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::limits::MAX_RECORD_BYTES;
use crate::base::narrow;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, RecordRef, Space};
use crate::format::heap::edit as object_edit;
use crate::format::heap::page::{
    MULTI_PAGE_ID, ObjectPage, build_multi_page, is_multi_page, pages_of,
};
use crate::pager::page::Page;
use crate::pager::state::working::Working;

use super::free_space::FreeSpace;
use super::record::{self, find_descriptor};
use super::record_ids::RecordIds;

/// Information for writing to the heap: the free space, and the ids in use.
#[derive(Debug)]
pub struct HeapEditor {
    free: FreeSpace,
    /// Collected when the first record needs a fresh id, since that reads the table of contents of
    /// every page of the heap.
    ids: Option<RecordIds>,
}

impl HeapEditor {
    /// Creates an editor for the heap of this state.
    pub fn new(working: &Working) -> Self {
        Self {
            free: FreeSpace::of(working.image()),
            ids: None,
        }
    }

    /// Stores a record.
    pub fn insert(&mut self, working: &mut Working, bytes: &[u8]) -> Result<RecordRef> {
        let size = checked_size(bytes)?;
        if is_multi_page(size) {
            let page = working.take(Space::Objects, pages_of(size))?;
            put_multi_page(working, page, bytes);
            return Ok(RecordRef {
                page,
                id: MULTI_PAGE_ID,
                size,
            });
        }
        let id = self.fresh_id(working);
        let page = match self.free.find(size) {
            Some(page) => page,
            None => working.take(Space::Objects, 1)?,
        };
        self.append(working, page, id, bytes)?;
        Ok(RecordRef { page, id, size })
    }

    /// Stores a record at a given place and with a given id; `None` if another record occupies
    /// either.
    pub fn insert_at(
        &mut self,
        working: &mut Working,
        page: LogicalPage,
        id: u32,
        bytes: &[u8],
    ) -> Result<Option<RecordRef>> {
        let size = checked_size(bytes)?;
        let reference = RecordRef { page, id, size };
        let pages = pages_of(size);
        if is_multi_page(size) {
            let mut places = (0..pages).map_while(|number| page.checked_add(number));
            let is_taken = places.any(|page| working.image().is_mapped(Space::Objects, page));
            if is_taken || id != MULTI_PAGE_ID {
                return Ok(None);
            }
            working.take_at(Space::Objects, page, pages)?;
            put_multi_page(working, page, bytes);
            return Ok(Some(reference));
        }
        if !working.image().is_mapped(Space::Objects, page) {
            working.take_at(Space::Objects, page, 1)?;
        } else if !has_room(&*working.image().page(Space::Objects, page)?, id) {
            return Ok(None);
        }
        if let Some(ids) = &mut self.ids {
            ids.add(id);
        }
        self.append(working, page, id, bytes)?;
        Ok(Some(reference))
    }

    /// Removes a record.
    pub fn remove(&mut self, working: &mut Working, reference: RecordRef) -> Result<()> {
        let image = working.image();
        let bytes = image.page(Space::Objects, reference.page)?;
        let descriptor = find_descriptor(image, &bytes, reference)?;
        if ObjectPage::new(&bytes).multi_page_head().is_some() {
            let pages = record::pages(image, reference.page, descriptor.size)?;
            drop(bytes);
            working.release(Space::Objects, reference.page, pages);
            return Ok(());
        }
        drop(bytes);
        self.edit(working, reference.page, |bytes| {
            object_edit::remove(bytes, reference.id)
        })
    }

    /// Marks the present point.
    pub fn mark(&self) -> usize {
        self.free.mark()
    }

    /// Rolls back to a mark, together with the state.
    pub fn roll_back(&mut self, mark: usize) {
        self.free.roll_back(mark);
    }

    /// Makes the changes so far final.
    pub fn commit(&mut self) {
        self.free.commit();
    }

    fn append(
        &mut self,
        working: &mut Working,
        at: LogicalPage,
        id: u32,
        bytes: &[u8],
    ) -> Result<()> {
        self.edit(working, at, |page| object_edit::append(page, id, bytes))
    }

    /// Changes a page of whole records, in place if it is private to the transaction, otherwise in
    /// a copy. `change` does nothing if the change is impossible, and reports that.
    fn edit(
        &mut self,
        working: &mut Working,
        at: LogicalPage,
        change: impl FnOnce(&mut PageBytes) -> bool,
    ) -> Result<()> {
        let old = working.image().free_bytes(Space::Objects, at);
        if let Some((page, free)) = working.own_page(Space::Objects, at) {
            if !change(page.bytes_mut()) {
                return Err(not_packed(working, at).into());
            }
            *free = ObjectPage::new(page).free_bytes();
            self.free.change(at, old, *free);
            return Ok(());
        }
        let mut page = if working.image().is_mapped(Space::Objects, at) {
            let bytes = working.image().fetch(Space::Objects, at)?;
            sound(working, at, &bytes)?
        } else {
            copy(working, &[0; PAGE_SIZE])
        };
        if !Arc::get_mut(&mut page).is_some_and(|page| change(page.bytes_mut())) {
            return Err(not_packed(working, at).into());
        }
        let new = ObjectPage::new(&page).free_bytes();
        self.free.change(at, old, new);
        working.put(Space::Objects, at, page, new);
        Ok(())
    }

    fn fresh_id(&mut self, working: &Working) -> u32 {
        let ids = self.ids.take().filter(|ids| !ids.is_crowded());
        self.ids
            .insert(ids.unwrap_or_else(|| RecordIds::of_heap(working.image())))
            .fresh()
    }
}

/// A copy of a page, if it is packed correctly. A change in a damaged page would spread the damage.
fn sound(working: &Working, page: LogicalPage, bytes: &PageBytes) -> Result<Arc<Page>> {
    let site = working.image().site(Space::Objects, page);
    match ObjectPage::new(bytes).check_single(site).into_iter().next() {
        Some(finding) => Err(finding.into()),
        None => Ok(copy(working, bytes)),
    }
}

fn copy(working: &Working, bytes: &PageBytes) -> Arc<Page> {
    let mut page = working.new_page();
    if let Some(page) = Arc::get_mut(&mut page) {
        *page.bytes_mut() = *bytes;
    }
    page
}

/// True if a page holds whole records, none of them with this id.
fn has_room(bytes: &PageBytes, id: u32) -> bool {
    ObjectPage::new(bytes).multi_page_head().is_none() && ObjectPage::find(bytes, id).is_none()
}

fn put_multi_page(working: &mut Working, first: LogicalPage, bytes: &[u8]) {
    for (number, page) in (0..).zip(build_multi_page(bytes, 0)) {
        if let Some(at) = first.checked_add(number) {
            working.put(Space::Objects, at, Page::new(&page), 0);
        }
    }
}

fn checked_size(bytes: &[u8]) -> Result<u32> {
    let (max, got) = (MAX_RECORD_BYTES.into(), bytes.len() as u64);
    if got > max {
        Err(Error::Limit {
            what: "the size of a record",
            max,
            got,
        })
    } else {
        Ok(narrow(bytes.len()))
    }
}

fn not_packed(working: &Working, page: LogicalPage) -> Corruption {
    let detail = "the page has less room than the mapping says";
    Corruption::new(
        CorruptionCode::MappingFreeBytes,
        working.image().site(Space::Objects, page),
        detail,
    )
}

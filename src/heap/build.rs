//! Building of a new object heap with well-filled pages.

use crate::base::error::{Error, Result};
use crate::base::limits::MAX_RECORD_BYTES;
use crate::base::narrow;
use crate::base::page_no::{LogicalPage, NIL, PageBytes, RecordRef};
use crate::base::random::UniqueIds;
use crate::format::heap::page::{
    MULTI_PAGE_ID, ObjectPageBuilder, build_multi_page, is_multi_page,
};

/// Number of pages that are kept open. A record goes to the one that it fits best.
const OPEN_PAGES: usize = 16;

/// Receives the pages of a heap: logical page, bytes, and free bytes as stated in the mapping.
pub type HeapSink<'s> = dyn FnMut(LogicalPage, &PageBytes, u32) -> Result<()> + 's;

/// A heap under construction.
#[derive(Debug)]
pub struct HeapBuilder {
    ids: UniqueIds,
    next: u32,
    open: Vec<(LogicalPage, ObjectPageBuilder)>,
}

impl HeapBuilder {
    /// An empty heap whose record ids come from `ids`.
    pub fn new(ids: UniqueIds) -> Self {
        Self {
            ids,
            next: 0,
            open: Vec::new(),
        }
    }

    /// Stores a record.
    pub fn push(&mut self, record: &[u8], sink: &mut HeapSink<'_>) -> Result<RecordRef> {
        let size = narrow(record.len());
        if size > MAX_RECORD_BYTES {
            let (max, got) = (MAX_RECORD_BYTES.into(), record.len() as u64);
            return Err(Error::Limit {
                what: "the size of a record",
                max,
                got,
            });
        }
        if is_multi_page(size) {
            return self.push_multi_page(record, sink);
        }
        let id = self.next_id();
        let fits = |page: &ObjectPageBuilder| page.free_bytes() >= size + 16;
        let candidates = self.open.iter_mut().filter(|(_, page)| fits(page));
        if let Some((page, builder)) = candidates.min_by_key(|(_, page)| page.free_bytes()) {
            builder.push(id, record, 0);
            return Ok(RecordRef {
                page: *page,
                id,
                size,
            });
        }
        let page = self.take_pages(1)?;
        let mut builder = ObjectPageBuilder::new();
        builder.push(id, record, 0);
        self.open.push((page, builder));
        if self.open.len() > OPEN_PAGES {
            self.close_fullest(sink)?;
        }
        Ok(RecordRef { page, id, size })
    }

    fn push_multi_page(&mut self, record: &[u8], sink: &mut HeapSink<'_>) -> Result<RecordRef> {
        let pages = build_multi_page(record, 0);
        let first = self.take_pages(narrow(pages.len()))?;
        for (number, bytes) in (0..).zip(&pages) {
            if let Some(page) = first.checked_add(number) {
                sink(page, bytes, 0)?;
            }
        }
        Ok(RecordRef {
            page: first,
            id: MULTI_PAGE_ID,
            size: narrow(record.len()),
        })
    }

    /// Completes the heap. Returns the number of its logical pages.
    pub fn finish(mut self, sink: &mut HeapSink<'_>) -> Result<u32> {
        for (page, builder) in std::mem::take(&mut self.open) {
            sink(page, &builder.build(), builder.free_bytes())?;
        }
        Ok(self.next)
    }

    fn close_fullest(&mut self, sink: &mut HeapSink<'_>) -> Result<()> {
        let fullest = self
            .open
            .iter()
            .enumerate()
            .min_by_key(|(_, (_, page))| page.free_bytes());
        let Some((position, _)) = fullest else {
            return Ok(());
        };
        let (page, builder) = self.open.swap_remove(position);
        sink(page, &builder.build(), builder.free_bytes())
    }

    /// Takes consecutive new logical pages.
    fn take_pages(&mut self, count: u32) -> Result<LogicalPage> {
        let first = LogicalPage::new(self.next);
        match (first, self.next.checked_add(count)) {
            (Some(first), Some(next)) => {
                self.next = next;
                Ok(first)
            }
            _ => Err(Error::Limit {
                what: "the number of logical pages",
                max: NIL.into(),
                got: u64::from(NIL) + 1,
            }),
        }
    }

    fn next_id(&mut self) -> u32 {
        loop {
            let id = self.ids.next();
            if id > MULTI_PAGE_ID {
                return id;
            }
        }
    }
}

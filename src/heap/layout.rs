//! The role of each page of the object heap, found by walking the logical pages upwards without the
//! index.

use std::iter::FusedIterator;
use std::ops::Range;
use std::sync::Arc;

use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, RecordRef, Space};
use crate::base::widen;
use crate::format::heap::page::{Descriptor, ObjectPage};
use crate::format::mapping::MappingEntry;
use crate::pager::state::image::Image;

use super::record;

/// The role of a logical page of the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// The logical page has no page.
    Unmapped,
    /// A page of whole records.
    Records,
    /// A page that is completely filled by a part of a multi-page record.
    Whole,
    /// The last page of a multi-page record of this size.
    Last {
        /// Size of the record in bytes.
        size: u32,
    },
    /// An admin page of dialect 2.1.
    Admin,
}

/// The role of each logical page of the heap, indexed by number.
pub fn page_kinds(image: &Image) -> Result<Vec<PageKind>> {
    let section = &image.mapping().objects;
    let mut kinds = vec![PageKind::Unmapped; section.entries.len()];
    image
        .admin()?
        .chain
        .iter()
        .for_each(|&page| set(&mut kinds, page, PageKind::Admin));
    let mut bytes = Box::new([0; PAGE_SIZE]);
    let mut behind = 0;
    for (page, ..) in section.mapped() {
        if page.get() < behind || kinds.get(page.index()) == Some(&PageKind::Admin) {
            continue;
        }
        image.read(Space::Objects, page, &mut bytes)?;
        let Some(head) = ObjectPage::new(&bytes).multi_page_head() else {
            set(&mut kinds, page, PageKind::Records);
            continue;
        };
        let count = record::pages(image, page, head.size)?;
        behind = page.get().saturating_add(count);
        for (number, page) in
            (1..=count).filter_map(|number| Some((number, page.checked_add(number - 1)?)))
        {
            let kind = if number == count {
                PageKind::Last { size: head.size }
            } else {
                PageKind::Whole
            };
            set(&mut kinds, page, kind);
        }
    }
    Ok(kinds)
}

/// The ranges of logical pages of the multi-page records of dialect 2.2, ascending.
pub fn multi_page_records(image: &Image) -> Result<Vec<Range<u32>>> {
    let (mut records, mut first) = (Vec::new(), None);
    for (number, kind) in (0..).zip(page_kinds(image)?) {
        match kind {
            PageKind::Whole => first = first.or(Some(number)),
            PageKind::Last { .. } => records.push(first.take().unwrap_or(number)..number + 1),
            PageKind::Unmapped | PageKind::Records | PageKind::Admin => first = None,
        }
    }
    Ok(records)
}

/// True if all pages of a record were last written together (invariant 25).
pub fn was_written_at_once(entries: &[MappingEntry], record: &Range<u32>) -> bool {
    let mut writes = pages_of(record)
        .filter_map(|page| entries.get(page))
        .map(|entry| entry.last_write);
    let first = writes.next();
    writes.all(|write| Some(write) == first)
}

/// Makes invariant 25 hold for records of which only some pages were written, by counting the
/// others as written in this generation.
pub fn count_as_written_at_once(
    entries: &mut [MappingEntry],
    records: &[Range<u32>],
    generation: u32,
) {
    for record in records {
        if !was_written_at_once(entries, record) {
            pages_of(record).for_each(|page| {
                if let Some(entry) = entries.get_mut(page) {
                    entry.last_write = generation;
                }
            });
        }
    }
}

fn pages_of(record: &Range<u32>) -> Range<usize> {
    widen(record.start)..widen(record.end)
}

fn set(kinds: &mut [PageKind], page: LogicalPage, kind: PageKind) {
    if let Some(slot) = kinds.get_mut(page.index()) {
        *slot = kind;
    }
}

/// Logical pages that share their place with an earlier one, ascending. The check of the mapping
/// reports them. Their records are not read twice, so that a small file cannot pretend to be a
/// large heap.
pub(crate) fn repeated(image: &Image) -> Vec<LogicalPage> {
    let mapped = image.mapping().objects.mapped();
    let mut places: Vec<(PhysicalPage, LogicalPage)> =
        mapped.map(|(page, physical, _)| (physical, page)).collect();
    places.sort_unstable();
    let second = |pair: &[(PhysicalPage, LogicalPage)]| match pair {
        [(first, _), (second, page)] if first == second => Some(*page),
        _ => None,
    };
    let mut pages: Vec<LogicalPage> = places.windows(2).filter_map(second).collect();
    pages.sort_unstable();
    pages
}

/// All records of a repository in order of their pages, found page by page without the index.
///
/// A damaged page yields an error, and the walk goes on after it. Of several logical pages with the
/// same place, which only a damaged mapping has, only the first is examined.
#[derive(Debug)]
pub struct Records {
    image: Arc<Image>,
    /// Pages to skip, ascending, once they have been determined: those of [`repeated`], and the
    /// admin pages of dialect 2.1.
    skipped: Option<Vec<LogicalPage>>,
    next: u32,
    page: Option<LogicalPage>,
    /// Buffer for a page, reused for each of them.
    bytes: Box<PageBytes>,
    queue: std::vec::IntoIter<Descriptor>,
}

impl Records {
    /// The records of a generation.
    pub fn new(image: Arc<Image>) -> Self {
        let (bytes, queue) = (Box::new([0; PAGE_SIZE]), Vec::new().into_iter());
        Self {
            image,
            skipped: None,
            next: 0,
            page: None,
            bytes,
            queue,
        }
    }

    /// Reads the next page that is mapped and begins records; `None` after the last one.
    fn advance(&mut self) -> Option<Result<()>> {
        let skipped = match self.skipped.take().map_or_else(|| skipped(&self.image), Ok) {
            Ok(skipped) => self.skipped.insert(skipped),
            Err(error) => {
                // Without the admin pages, pages of records cannot be told apart. The walk ends,
                // and the admin pages are not read again.
                self.skipped = Some(Vec::new());
                self.next = u32::MAX;
                return Some(Err(error));
            }
        };
        let section = &self.image.mapping().objects;
        loop {
            let page =
                LogicalPage::new(self.next).filter(|page| page.index() < section.entries.len())?;
            self.next += 1;
            if section.resolve(page).is_some() && skipped.binary_search(&page).is_err() {
                return Some(self.look(page));
            }
        }
    }

    fn look(&mut self, page: LogicalPage) -> Result<()> {
        self.image.read(Space::Objects, page, &mut self.bytes)?;
        let view = ObjectPage::new(&self.bytes);
        if let Some(head) = view.multi_page_head() {
            let count = record::pages(&self.image, page, head.size)?;
            self.next = page.get().saturating_add(count);
        }
        self.page = Some(page);
        self.queue = view.descriptors().collect::<Vec<_>>().into_iter();
        Ok(())
    }
}

fn skipped(image: &Image) -> Result<Vec<LogicalPage>> {
    let mut pages = image.admin()?.chain.clone();
    pages.extend(repeated(image));
    pages.sort_unstable();
    Ok(pages)
}

impl Iterator for Records {
    type Item = Result<RecordRef>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let (Some(page), Some(descriptor)) = (self.page, self.queue.next()) {
                return Some(Ok(RecordRef {
                    page,
                    id: descriptor.id,
                    size: descriptor.size,
                }));
            }
            if let Err(error) = self.advance()? {
                return Some(Err(error));
            }
        }
    }
}

impl FusedIterator for Records {}

//! The object heap: checksums, tables of contents, multi-page records, admin pages (invariants 8, 9, 20 to 24).

use std::ops::Range;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, RecordRef, Space};
use crate::base::parallel::split;
use crate::base::progress::Monitor;
use crate::format::Dialect;
use crate::format::object_page::{Descriptor, MULTI_PAGE_ID, ObjectPage};
use crate::heap::layout::repeated;
use crate::heap::record;
use crate::pager::image::{AdminTable, Image};

use crate::base::findings::Findings;

/// Pages that a thread takes at once.
const PIECE: u32 = 128;

/// What the heap holds.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    /// All records, in ascending order.
    pub records: Vec<RecordRef>,
    /// What is wrong with it.
    pub findings: Findings,
}

/// What the first look at a page shows. Whether it is a page of records is not known yet: it may continue a record.
struct PageSummary {
    descriptors: Vec<Descriptor>,
    is_head: bool,
    free_bytes: u32,
    findings: Vec<Corruption>,
}

/// Checks the heap; a damaged heap is one with fewer records.
pub(crate) fn check(image: &Image, threads: usize, monitor: &Monitor<'_>) -> Result<Heap> {
    let section = &image.mapping().objects;
    let mut findings = Findings::default();
    let repeated = repeated(image);
    let parts = split(section.logical_pages(), PIECE, threads, |range| look_at(image, range, &repeated, monitor));
    let mut pages = Vec::with_capacity(section.entries.len());
    for part in parts {
        let (summaries, found) = part?;
        pages.extend(summaries);
        findings.absorb(found);
    }
    let mut walk = Walk { image, admin: image.admin()?, heap: Heap { findings, ..Heap::default() } };
    walk.admin(&mut pages);
    walk.pages(pages)?;
    let mut heap = walk.heap;
    heap.records.sort_unstable();
    check_ids(image, &mut heap);
    Ok(heap)
}

/// First pass: each page of a range by itself.
fn look_at(
    image: &Image,
    range: Range<u32>,
    repeated: &[LogicalPage],
    monitor: &Monitor<'_>,
) -> Result<(Vec<Option<PageSummary>>, Findings)> {
    let mut findings = Findings::default();
    let mut summaries = Vec::with_capacity(range.len());
    let mut bytes = Box::new([0; PAGE_SIZE]);
    for page in range.filter_map(LogicalPage::new) {
        if image.mapping().objects.resolve(page).is_none() || repeated.binary_search(&page).is_ok() {
            summaries.push(None);
            continue;
        }
        summaries.push(match image.read_unchecked(Space::Objects, page, &mut bytes) {
            Ok(()) => {
                findings.extend(image.check_page(Space::Objects, page, &bytes)?);
                Some(summarise(image, page, &ObjectPage::new(&bytes)))
            }
            Err(Error::Corrupt(finding)) => {
                findings.push(*finding);
                None
            }
            Err(error) => return Err(error),
        });
        monitor.advance(1)?;
    }
    Ok((summaries, findings))
}

fn summarise(image: &Image, page: LogicalPage, view: &ObjectPage<'_>) -> PageSummary {
    let site = image.site(Space::Objects, page);
    let descriptors: Vec<Descriptor> = view.descriptors().collect();
    let head = view.multi_page_head();
    let mut findings = match &head {
        Some(head) => view.check_head(head, site).into_iter().collect(),
        None => view.check_single(site),
    };
    // Only a packed page has records that do not overlap; the sum over those of another could be made endless.
    if head.is_none() && findings.is_empty() {
        let check = |descriptor: &Descriptor| {
            let detail = record::check_value(image, view.record(descriptor)?, descriptor)?;
            Some(Corruption::new(CorruptionCode::RecordCheck, site, detail))
        };
        findings.extend(descriptors.iter().filter_map(check));
    }
    PageSummary { descriptors, is_head: head.is_some(), free_bytes: view.free_bytes(), findings }
}

/// Second pass: pages in ascending order, which tells pages of records from those that continue one.
struct Walk<'a> {
    image: &'a Image,
    admin: &'a AdminTable,
    heap: Heap,
}

impl Walk<'_> {
    fn report(&mut self, code: CorruptionCode, page: LogicalPage, detail: String) {
        self.heap.findings.push(Corruption::new(code, self.image.site(Space::Objects, page), detail));
    }

    /// Takes the admin pages of dialect 2.1 out, and reports what is wrong with their chain (invariant 23).
    fn admin(&mut self, pages: &mut [Option<PageSummary>]) {
        self.heap.findings.extend(self.admin.findings.iter().cloned());
        for page in &self.admin.chain {
            if let Some(summary) = pages.get_mut(page.index()) {
                *summary = None;
            }
        }
    }

    fn pages(&mut self, pages: Vec<Option<PageSummary>>) -> Result<()> {
        let mut listed = self.admin.listed.clone();
        let mut skip_to = 0;
        for (number, summary) in (0..).zip(pages) {
            let (Some(page), Some(summary)) = (LogicalPage::new(number), summary) else { continue };
            if number < skip_to {
                continue;
            }
            if summary.is_head {
                skip_to = number.saturating_add(self.multi_page(page, summary)?);
            } else {
                self.single(page, summary);
                listed.remove(&number);
            }
        }
        for number in listed.keys().filter_map(|&number| LogicalPage::new(number)) {
            let detail = "the page listed is no page of records".to_owned();
            self.report(CorruptionCode::AdminEntry, number, detail);
        }
        Ok(())
    }

    fn single(&mut self, page: LogicalPage, summary: PageSummary) {
        let is_packed = summary.findings.iter().all(|finding| finding.code == CorruptionCode::RecordCheck);
        self.heap.findings.extend(summary.findings);
        let reference = |descriptor: Descriptor| RecordRef { page, id: descriptor.id, size: descriptor.size };
        self.heap.records.extend(summary.descriptors.into_iter().map(reference));
        if is_packed {
            self.free_bytes(page, summary.free_bytes);
        }
    }

    /// Gives the number of pages that the record takes.
    fn multi_page(&mut self, page: LogicalPage, summary: PageSummary) -> Result<u32> {
        self.heap.findings.extend(summary.findings);
        let Some(head) = summary.descriptors.first() else { return Ok(1) };
        self.heap.records.push(RecordRef { page, id: head.id, size: head.size });
        let count = match record::pages(self.image, page, head.size) {
            Ok(count) => count,
            Err(finding) => {
                self.heap.findings.push(finding);
                return Ok(1);
            }
        };
        if self.image.dialect() == Dialect::V22 {
            for page in (0..count).filter_map(|number| page.checked_add(number)) {
                self.mapped_free_bytes(page, 0);
            }
        }
        self.check_value(page, head)?;
        Ok(count)
    }

    /// Invariant 22 for a multi-page record: only dialect 2.1 needs its bytes.
    fn check_value(&mut self, page: LogicalPage, head: &Descriptor) -> Result<()> {
        let bytes = match self.image.dialect() {
            Dialect::V22 => Vec::new(),
            Dialect::V21 => match record::multi_page(self.image, page, head) {
                Ok(bytes) => bytes,
                Err(Error::Corrupt(_)) => return Ok(()), // the page that cannot be read was reported in the first pass
                Err(error @ Error::Limit { .. }) => {
                    self.report(CorruptionCode::RecordMultiPage, page, error.to_string());
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        if let Some(detail) = record::check_value(self.image, &bytes, head) {
            self.report(CorruptionCode::RecordCheck, page, detail);
        }
        Ok(())
    }

    /// What the mapping (2.2) or the admin pages (2.1) say of the free bytes of a page of records.
    fn free_bytes(&mut self, page: LogicalPage, expected: u32) {
        match self.image.dialect() {
            Dialect::V22 => self.mapped_free_bytes(page, expected),
            Dialect::V21 => self.listed_free_bytes(page, expected),
        }
    }

    /// Invariant 9.
    fn mapped_free_bytes(&mut self, page: LogicalPage, expected: u32) {
        let found = self.image.mapping().objects.entry(page).map_or(0, |entry| entry.free_bytes);
        if found != expected {
            let detail = format!("{found} free bytes stated, {expected} there");
            self.report(CorruptionCode::MappingFreeBytes, page, detail);
        }
    }

    /// Invariant 23.
    fn listed_free_bytes(&mut self, page: LogicalPage, expected: u32) {
        match self.admin.listed.get(&page.get()) {
            Some(listing) if listing.free_bytes == expected => {}
            Some(listing) => {
                let detail = format!("{} free bytes stated, {expected} there", listing.free_bytes);
                self.report(CorruptionCode::AdminEntry, page, detail);
            }
            None => self.report(CorruptionCode::AdminMissing, page, String::new()),
        }
    }
}

/// Invariant 24: in dialect 2.2 no record id but 1 appears twice in the repository.
fn check_ids(image: &Image, heap: &mut Heap) {
    if image.dialect() == Dialect::V21 {
        return;
    }
    let mut ids: Vec<(u32, LogicalPage)> = heap
        .records
        .iter()
        .filter(|record| record.id != MULTI_PAGE_ID)
        .map(|record| (record.id, record.page))
        .collect();
    ids.sort_unstable();
    for pair in ids.windows(2) {
        let [(first, on), (second, page)] = pair else { continue };
        // Twice in one page is invariant 20.
        if first == second && on != page {
            let detail = format!("record id {first}, also on page {on}");
            heap.findings.push(Corruption::new(
                CorruptionCode::RecordIdRepeated,
                image.site(Space::Objects, *page),
                detail,
            ));
        }
    }
}

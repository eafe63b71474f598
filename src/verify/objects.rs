//! Verification of the object heap: checksums, tables of contents, multi-page records, admin pages
//! (invariants 8, 9, 20 to 24).

use std::ops::Range;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, RecordRef, Space};
use crate::base::parallel::ordered;
use crate::base::progress::Monitor;
use crate::base::{narrow, widen};
use crate::format::Dialect;
use crate::format::heap::page::{Descriptor, MULTI_PAGE_ID, ObjectPage};
use crate::heap::layout::{repeated, was_written_at_once};
use crate::heap::record;
use crate::pager::state::image::{AdminTable, Image};

use crate::base::findings::Findings;

/// Number of pages that a thread takes together.
const PIECE: u32 = 128;

/// The content of the heap.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    /// All records, in ascending order.
    pub records: Vec<RecordRef>,
    /// Its faults.
    pub findings: Findings,
}

/// The result of the first pass for a page. It is not known yet whether it is a page of records,
/// because it may continue a record.
struct PageSummary {
    descriptors: Vec<Descriptor>,
    is_head: bool,
    free_bytes: u32,
    /// Faults of its table of contents; at most two.
    findings: Vec<Corruption>,
    /// Numbers of descriptors with a check value other than that of their record, with the right
    /// value.
    wrong_checks: Vec<(usize, u32)>,
}

/// The result of the first pass for a range of pages.
struct Piece {
    range: Range<u32>,
    summaries: Vec<Option<PageSummary>>,
    /// Faults of the pages, whatever their role.
    findings: Findings,
}

/// Checks the heap. A damaged heap merely has fewer records. The results of the first pass are
/// merged in page order while other pages are examined, so that only a few pieces are in memory.
pub(crate) fn check(image: &Image, threads: usize, monitor: &Monitor<'_>) -> Result<Heap> {
    let pages = image.mapping().objects.logical_pages();
    let repeated = repeated(image);
    let mut walk = Walk::new(image, &repeated)?;
    let look = |bytes: &mut Box<PageBytes>, piece: usize| {
        let first = narrow(piece).saturating_mul(PIECE);
        look_at(
            image,
            first..first.saturating_add(PIECE).min(pages),
            &repeated,
            bytes,
            monitor,
        )
    };
    let pieces = widen(pages.div_ceil(PIECE));
    ordered(
        pieces,
        threads,
        || Box::new([0; PAGE_SIZE]),
        look,
        |piece| {
            // Here too: this thread alone may know of a wish to stop.
            monitor.check()?;
            walk.piece(piece)
        },
    )?;
    let mut heap = walk.finish();
    heap.records.sort_unstable();
    check_ids(image, &mut heap);
    Ok(heap)
}

/// First pass: examines each page of a range on its own.
fn look_at(
    image: &Image,
    range: Range<u32>,
    repeated: &[LogicalPage],
    bytes: &mut PageBytes,
    monitor: &Monitor<'_>,
) -> Result<Piece> {
    let mut piece = Piece {
        range: range.clone(),
        summaries: Vec::with_capacity(range.len()),
        findings: Findings::default(),
    };
    for page in range.filter_map(LogicalPage::new) {
        if image.mapping().objects.resolve(page).is_none() || repeated.binary_search(&page).is_ok()
        {
            piece.summaries.push(None);
            continue;
        }
        let summary = match image.read_unchecked(Space::Objects, page, bytes) {
            Ok(()) => {
                piece
                    .findings
                    .extend(image.check_page(Space::Objects, page, bytes)?);
                Some(summarise(image, page, &ObjectPage::new(bytes)))
            }
            Err(Error::Corrupt(finding)) => {
                piece.findings.push(*finding);
                None
            }
            Err(error) => return Err(error),
        };
        piece.summaries.push(summary);
        monitor.advance(1)?;
    }
    Ok(piece)
}

fn summarise(image: &Image, page: LogicalPage, view: &ObjectPage<'_>) -> PageSummary {
    let site = image.site(Space::Objects, page);
    let head = view.multi_page_head();
    let findings = match &head {
        Some(head) => view.check_head(head, site).into_iter().collect(),
        None => view.check_single(site),
    };
    // Only in a packed page do records not overlap. In any other page the total work over them
    // could be made endless.
    let wrong = |(number, descriptor): (usize, Descriptor)| {
        let expected = record::check_value(image.dialect(), view.record(&descriptor)?);
        (descriptor.check != expected).then_some((number, expected))
    };
    let is_packed = head.is_none() && findings.is_empty();
    let wrong_checks = if is_packed {
        view.descriptors().enumerate().filter_map(wrong).collect()
    } else {
        Vec::new()
    };
    let descriptors = view.descriptors().collect();
    PageSummary {
        descriptors,
        is_head: head.is_some(),
        free_bytes: view.free_bytes(),
        findings,
        wrong_checks,
    }
}

/// Second pass: pages in ascending order, which distinguishes pages of records from continuations.
struct Walk<'a> {
    image: &'a Image,
    admin: &'a AdminTable,
    /// The pages of the chain of admin pages, ascending.
    chain: Vec<LogicalPage>,
    repeated: &'a [LogicalPage],
    /// First page after the current multi-page record.
    skip_to: u32,
    /// For each logical page, whether it is a page of records. Empty in dialect 2.2, which has no
    /// list to compare with.
    singles: Vec<bool>,
    heap: Heap,
}

impl<'a> Walk<'a> {
    /// Begins with the faults of the admin pages of dialect 2.1 (invariant 23).
    fn new(image: &'a Image, repeated: &'a [LogicalPage]) -> Result<Self> {
        let admin = image.admin()?;
        let mut chain = admin.chain.clone();
        chain.sort_unstable();
        let singles = match image.dialect() {
            Dialect::V21 => vec![false; image.mapping().objects.entries.len()],
            Dialect::V22 => Vec::new(),
        };
        let mut heap = Heap::default();
        heap.findings.absorb(admin.findings.clone());
        Ok(Self {
            image,
            admin,
            chain,
            repeated,
            skip_to: 0,
            singles,
            heap,
        })
    }

    fn report(&mut self, code: CorruptionCode, page: LogicalPage, detail: impl FnOnce() -> String) {
        let image = self.image;
        self.heap.findings.push_with(code, || {
            Corruption::new(code, image.site(Space::Objects, page), detail())
        });
    }

    fn piece(&mut self, piece: Piece) -> Result<()> {
        self.heap.findings.absorb(piece.findings);
        for (number, summary) in piece.range.zip(piece.summaries) {
            let (Some(page), Some(summary)) = (LogicalPage::new(number), summary) else {
                continue;
            };
            if number < self.skip_to || self.chain.binary_search(&page).is_ok() {
                continue;
            }
            if summary.is_head {
                self.skip_to = number.saturating_add(self.multi_page(page, summary)?);
            } else {
                self.single(page, summary);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Heap {
        let admin = self.admin;
        for page in admin
            .listed
            .keys()
            .filter_map(|&number| LogicalPage::new(number))
        {
            if self.singles.get(page.index()) != Some(&true) {
                self.report(CorruptionCode::AdminEntry, page, || {
                    "the listed page is not a page of records".to_owned()
                });
            }
        }
        self.heap
    }

    fn single(&mut self, page: LogicalPage, summary: PageSummary) {
        if let Some(is_single) = self.singles.get_mut(page.index()) {
            *is_single = true;
        }
        let site = self.image.site(Space::Objects, page);
        for (number, expected) in summary.wrong_checks {
            let Some(descriptor) = summary.descriptors.get(number) else {
                continue;
            };
            let make = || record::wrong_check(descriptor, expected, site);
            self.heap
                .findings
                .push_with(CorruptionCode::RecordCheck, make);
        }
        let is_packed = summary.findings.is_empty();
        self.heap.findings.extend(summary.findings);
        let reference = |descriptor: Descriptor| RecordRef {
            page,
            id: descriptor.id,
            size: descriptor.size,
        };
        self.heap
            .records
            .extend(summary.descriptors.into_iter().map(reference));
        if is_packed {
            self.free_bytes(page, summary.free_bytes);
        }
    }

    /// Checks a multi-page record. Returns the number of its pages.
    fn multi_page(&mut self, page: LogicalPage, summary: PageSummary) -> Result<u32> {
        self.heap.findings.extend(summary.findings);
        let Some(head) = summary.descriptors.first() else {
            return Ok(1);
        };
        self.heap.records.push(RecordRef {
            page,
            id: head.id,
            size: head.size,
        });
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
            self.last_writes(page, count);
        }
        // Pages that share a place are damage already. Stopping there bounds the bytes read by the
        // size of the file.
        let next = self.repeated.partition_point(|&other| other < page);
        let is_repeated = self
            .repeated
            .get(next)
            .is_some_and(|other| other.get() - page.get() < count);
        if !is_repeated {
            self.check_value(page, head)?;
        }
        Ok(count)
    }

    /// Invariant 22 for a multi-page record; only dialect 2.1 needs its bytes.
    fn check_value(&mut self, page: LogicalPage, head: &Descriptor) -> Result<()> {
        let bytes = match self.image.dialect() {
            Dialect::V22 => Vec::new(),
            Dialect::V21 => match record::multi_page(self.image, page, head) {
                Ok(bytes) => bytes,
                Err(Error::Corrupt(_)) => return Ok(()), // the page that cannot be read was reported in the first pass
                Err(error @ Error::Limit { .. }) => {
                    self.report(CorruptionCode::RecordMultiPage, page, || error.to_string());
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        let expected = record::check_value(self.image.dialect(), &bytes);
        if head.check != expected {
            self.heap.findings.push(record::wrong_check(
                head,
                expected,
                self.image.site(Space::Objects, page),
            ));
        }
        Ok(())
    }

    /// Compares the free bytes of a page of records with the mapping (2.2) or the admin pages
    /// (2.1).
    fn free_bytes(&mut self, page: LogicalPage, expected: u32) {
        match self.image.dialect() {
            Dialect::V22 => self.mapped_free_bytes(page, expected),
            Dialect::V21 => self.listed_free_bytes(page, expected),
        }
    }

    /// Invariant 9.
    fn mapped_free_bytes(&mut self, page: LogicalPage, expected: u32) {
        let found = self
            .image
            .mapping()
            .objects
            .entry(page)
            .map_or(0, |entry| entry.free_bytes);
        if found != expected {
            let detail = || format!("{found} free bytes stated, {expected} there");
            self.report(CorruptionCode::MappingFreeBytes, page, detail);
        }
    }

    /// Invariant 25.
    fn last_writes(&mut self, page: LogicalPage, count: u32) {
        let record = page.get()..page.get().saturating_add(count);
        let entries = &self.image.mapping().objects.entries;
        if was_written_at_once(entries, &record) {
            return;
        }
        let writes = || {
            entries
                .iter()
                .skip(page.index())
                .take(widen(count))
                .map(|entry| entry.last_write)
        };
        let (oldest, newest) = (writes().min().unwrap_or(0), writes().max().unwrap_or(0));
        let detail =
            || format!("its {count} pages were last written in generations {oldest} to {newest}");
        self.report(CorruptionCode::RecordLastWrite, page, detail);
    }

    /// Invariant 23.
    fn listed_free_bytes(&mut self, page: LogicalPage, expected: u32) {
        match self.admin.listed.get(&page.get()) {
            Some(listing) if listing.free_bytes == expected => {}
            Some(listing) => {
                let stated = listing.free_bytes;
                let detail = || format!("{stated} free bytes stated, {expected} there");
                self.report(CorruptionCode::AdminEntry, page, detail);
            }
            None => self.report(CorruptionCode::AdminMissing, page, String::new),
        }
    }
}

/// Invariant 24: in dialect 2.2 no record id other than 1 appears twice in the repository.
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
        let [(first, on), (second, page)] = pair else {
            continue;
        };
        // Two in one page fall under invariant 20.
        if first == second && on != page {
            heap.findings
                .push_with(CorruptionCode::RecordIdRepeated, || {
                    let (site, detail) = (
                        image.site(Space::Objects, *page),
                        format!("record id {first}, also on page {on}"),
                    );
                    Corruption::new(CorruptionCode::RecordIdRepeated, site, detail)
                });
        }
    }
}

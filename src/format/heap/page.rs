//! Pages of the object heap.
//!
//! ```text
//! single page          m descriptors of 16 bytes | 16 zero bytes | record 0 | record 1 | ... | slack
//! multi-page record    one descriptor {1, 32, total size, check} | 16 zero bytes | record bytes ...
//!                      (following logical pages: record bytes from offset 0; the last one: rest, then slack)
//! descriptor           0 record id   4 offset   8 size   12 check (2.1: CRC-32 of the record; 2.2: 0)
//! ```
//!
//! A record has its own pages if `size + 32 > 8192`. A continuation page has no mark; it is
//! recognised only from the page on which its record starts. Source: `docs::format`,
//! "OBJECTS.DATA".

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::page_no::{PAGE_SIZE, PageBytes};
use crate::base::site::Site;
use crate::base::{narrow, widen};
use crate::format::bytes::put;

/// Size of a descriptor, including the zero descriptor that ends the table of contents.
pub const DESCRIPTOR_SIZE: usize = 16;

/// Record id of every multi-page record, and of no other.
pub const MULTI_PAGE_ID: u32 = 1;

/// Offset of the record bytes on the first page of a multi-page record.
pub const MULTI_PAGE_OFFSET: usize = 2 * DESCRIPTOR_SIZE;

/// Free bytes of a page without records.
pub const EMPTY_PAGE_FREE: u32 = 8176;
const _: () = assert!(widen(EMPTY_PAGE_FREE) == PAGE_SIZE - DESCRIPTOR_SIZE);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct DescriptorRaw {
    pub id: U32,
    pub offset: U32,
    pub size: U32,
    pub check: U32,
}
const _: () = assert!(size_of::<DescriptorRaw>() == DESCRIPTOR_SIZE);

/// An entry of a table of contents, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// Record id.
    pub id: u32,
    /// Offset of the record from the start of the page, in bytes.
    pub offset: u32,
    /// Size of the whole record in bytes.
    pub size: u32,
    /// CRC-32 of the record in dialect 2.1, 0 in 2.2.
    pub check: u32,
}

impl Descriptor {
    fn from_raw(raw: &DescriptorRaw) -> Self {
        Self {
            id: raw.id.get(),
            offset: raw.offset.get(),
            size: raw.size.get(),
            check: raw.check.get(),
        }
    }

    fn is_zero(&self) -> bool {
        *self
            == Descriptor {
                id: 0,
                offset: 0,
                size: 0,
                check: 0,
            }
    }

    /// True if the record needs its own pages.
    pub const fn is_multi_page(&self) -> bool {
        is_multi_page(self.size)
    }
}

const PAGE_BYTES: u32 = 8192;
const HEAD_BYTES: u32 = 32;
const _: () = assert!(widen(PAGE_BYTES) == PAGE_SIZE && widen(HEAD_BYTES) == MULTI_PAGE_OFFSET);

/// True if a record of this size needs its own pages.
pub const fn is_multi_page(size: u32) -> bool {
    size as usize > PAGE_SIZE - MULTI_PAGE_OFFSET
}

/// Number of pages of a multi-page record of this size.
pub const fn pages_of(size: u32) -> u32 {
    // The head takes the size of two descriptors. Computed without overflow for sizes near 2^32.
    let rest = size % PAGE_BYTES + HEAD_BYTES;
    size / PAGE_BYTES + rest.div_ceil(PAGE_BYTES)
}

/// Offset in its last page at which a multi-page record ends.
pub const fn end_in_last_page(size: u32) -> usize {
    let end = (size as usize % PAGE_SIZE + MULTI_PAGE_OFFSET) % PAGE_SIZE;
    if end == 0 { PAGE_SIZE } else { end }
}

/// A view of a page of the object heap that may be a continuation page.
#[derive(Debug, Clone, Copy)]
pub struct ObjectPage<'p> {
    bytes: &'p PageBytes,
    descriptors: usize,
}

impl<'p> ObjectPage<'p> {
    /// Reads the table of contents up to its zero descriptor or the end of the page. Checks nothing
    /// else.
    pub fn new(bytes: &'p PageBytes) -> Self {
        let descriptors = raw_table(bytes)
            .iter()
            .position(|raw| Descriptor::from_raw(raw).is_zero());
        Self {
            bytes,
            descriptors: descriptors.unwrap_or(PAGE_SIZE / DESCRIPTOR_SIZE),
        }
    }

    /// The first descriptor of a record with this id, without examining those after it.
    pub fn find(bytes: &PageBytes, id: u32) -> Option<Descriptor> {
        let mut descriptors = raw_table(bytes)
            .iter()
            .map(Descriptor::from_raw)
            .take_while(|found| !found.is_zero());
        descriptors.find(|found| found.id == id)
    }

    /// The descriptors in stored order.
    pub fn descriptors(&self) -> impl ExactSizeIterator<Item = Descriptor> + use<'p> {
        let table = raw_table(self.bytes);
        table
            .get(..self.descriptors)
            .unwrap_or(table)
            .iter()
            .map(Descriptor::from_raw)
    }

    /// The descriptor of a record that begins here and continues on the following pages, if the
    /// page holds one.
    pub fn multi_page_head(&self) -> Option<Descriptor> {
        self.descriptors()
            .next()
            .filter(|first| self.descriptors == 1 && first.is_multi_page())
    }

    /// The bytes of a record that lies entirely in this page, if the descriptor's range does.
    pub fn record(&self, descriptor: &Descriptor) -> Option<&'p [u8]> {
        let start = widen(descriptor.offset);
        self.bytes
            .get(start..start.checked_add(widen(descriptor.size))?)
    }

    /// Offset after the last record of a packed page.
    pub fn end(&self) -> usize {
        let table = DESCRIPTOR_SIZE * (self.descriptors + 1);
        self.descriptors().fold(table, |end, descriptor| {
            end.saturating_add(widen(descriptor.size))
        })
    }

    /// Free bytes of a packed page of whole records, as stated in its mapping entry or admin entry.
    pub fn free_bytes(&self) -> u32 {
        narrow(PAGE_SIZE.saturating_sub(self.end()))
    }

    /// The faults of a page of whole records: packing, ids (invariants 20 and 21).
    pub fn check_single(&self, site: Site) -> Vec<Corruption> {
        let mut findings = Vec::new();
        let mut expected = DESCRIPTOR_SIZE * (self.descriptors + 1);
        if expected > PAGE_SIZE {
            let detail = "no zero descriptor closes the table of contents";
            return vec![Corruption::new(CorruptionCode::RecordPacking, site, detail)];
        }
        let mut ids = Vec::with_capacity(self.descriptors);
        for (number, descriptor) in self.descriptors().enumerate() {
            let site = site.at_index(number * DESCRIPTOR_SIZE);
            if let Some(finding) = check_descriptor(&descriptor, expected, site) {
                findings.push(finding);
                // Further checks would depend on a broken sequence; one finding suffices.
                return findings;
            }
            expected += widen(descriptor.size);
            ids.push(descriptor.id);
        }
        ids.sort_unstable();
        if let Some(twice) = ids
            .windows(2)
            .find_map(|pair| pair.first().filter(|id| pair.last() == Some(id)))
        {
            findings.push(Corruption::new(
                CorruptionCode::RecordIdTwice,
                site,
                format!("record id {twice}"),
            ));
        }
        findings
    }

    /// The fault of the head of a multi-page record (invariant 21).
    pub fn check_head(&self, head: &Descriptor, site: Site) -> Option<Corruption> {
        let wrong = |detail: String| {
            Some(Corruption::new(
                CorruptionCode::RecordMultiPage,
                site,
                detail,
            ))
        };
        if head.id != MULTI_PAGE_ID {
            return wrong(format!("record id {}, not 1", head.id));
        }
        if widen(head.offset) != MULTI_PAGE_OFFSET {
            return wrong(format!("the record begins at {}, not 32", head.offset));
        }
        None
    }
}

fn raw_table(bytes: &PageBytes) -> &[DescriptorRaw; PAGE_SIZE / DESCRIPTOR_SIZE] {
    zerocopy::transmute_ref!(bytes)
}

fn check_descriptor(descriptor: &Descriptor, expected: usize, site: Site) -> Option<Corruption> {
    let wrong = |code, detail: String| Some(Corruption::new(code, site, detail));
    if descriptor.id == 0 {
        return wrong(CorruptionCode::RecordPacking, "record id 0".to_owned());
    }
    if descriptor.id == MULTI_PAGE_ID {
        return wrong(
            CorruptionCode::RecordMultiPage,
            "record id 1 on a page of whole records".to_owned(),
        );
    }
    if widen(descriptor.offset) != expected {
        let detail = format!(
            "record {} begins at {}, expected {expected}",
            descriptor.id, descriptor.offset
        );
        return wrong(CorruptionCode::RecordPacking, detail);
    }
    if widen(descriptor.size) > PAGE_SIZE.saturating_sub(expected) {
        let detail = format!(
            "record {} claims {} bytes from {expected} on",
            descriptor.id, descriptor.size
        );
        return wrong(CorruptionCode::RecordPacking, detail);
    }
    None
}

/// A page of whole records under construction. Its bytes are those of a page that never held
/// anything else: packed, with zero slack.
#[derive(Debug, Clone, Default)]
pub struct ObjectPageBuilder {
    descriptors: Vec<DescriptorRaw>,
    data: Vec<u8>,
}

impl ObjectPageBuilder {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Free bytes. A record fits if it and its descriptor do.
    pub fn free_bytes(&self) -> u32 {
        narrow(PAGE_SIZE - DESCRIPTOR_SIZE * (self.descriptors.len() + 1) - self.data.len())
    }

    /// True if the page holds no record.
    pub fn is_empty(&self) -> bool {
        self.descriptors.is_empty()
    }

    /// Appends a record. Returns `false`, without a change, if it does not fit. For `check` see
    /// [`Descriptor::check`].
    pub fn push(&mut self, id: u32, record: &[u8], check: u32) -> bool {
        if record.len() + DESCRIPTOR_SIZE > widen(self.free_bytes()) {
            return false;
        }
        let (offset, size) = (
            U32::new(narrow(self.data.len())),
            U32::new(narrow(record.len())),
        );
        self.descriptors.push(DescriptorRaw {
            id: U32::new(id),
            offset,
            size,
            check: U32::new(check),
        });
        self.data.extend_from_slice(record);
        true
    }

    /// The page.
    pub fn build(&self) -> Box<PageBytes> {
        let mut page = Box::new([0; PAGE_SIZE]);
        let table = DESCRIPTOR_SIZE * (self.descriptors.len() + 1);
        for (number, raw) in self.descriptors.iter().enumerate() {
            let raw = DescriptorRaw {
                offset: U32::new(raw.offset.get() + narrow(table)),
                ..*raw
            };
            put(&mut page[..], number * DESCRIPTOR_SIZE, raw.as_bytes());
        }
        put(&mut page[..], table, &self.data);
        page
    }
}

/// The pages of a multi-page record, with zero slack. For `check` see [`Descriptor::check`].
pub fn build_multi_page(record: &[u8], check: u32) -> Vec<Box<PageBytes>> {
    let head = DescriptorRaw {
        id: U32::new(MULTI_PAGE_ID),
        offset: U32::new(narrow(MULTI_PAGE_OFFSET)),
        size: U32::new(narrow(record.len())),
        check: U32::new(check),
    };
    let (first, rest) = record
        .split_at_checked(PAGE_SIZE - MULTI_PAGE_OFFSET)
        .unwrap_or((record, &[]));
    let mut page = Box::new([0; PAGE_SIZE]);
    put(&mut page[..], 0, head.as_bytes());
    put(&mut page[..], MULTI_PAGE_OFFSET, first);
    let mut pages = vec![page];
    for part in rest.chunks(PAGE_SIZE) {
        let mut page = Box::new([0; PAGE_SIZE]);
        put(&mut page[..], 0, part);
        pages.push(page);
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::site::FileRole;

    const SITE: Site = Site::file(FileRole::Objects);

    #[test]
    fn a_built_page_reads_back() {
        let mut builder = ObjectPageBuilder::new();
        assert_eq!(builder.free_bytes(), EMPTY_PAGE_FREE);
        assert!(builder.push(7, b"first", 0) && builder.push(9, b"second!", 3));
        let page = builder.build();
        let view = ObjectPage::new(&page);
        let records: Vec<_> = view
            .descriptors()
            .map(|d| (d.id, view.record(&d).unwrap(), d.check))
            .collect();
        assert_eq!(records, [(7, &b"first"[..], 0), (9, &b"second!"[..], 3)]);
        assert_eq!(view.check_single(SITE), []);
        assert_eq!(view.free_bytes(), builder.free_bytes());
        assert_eq!(view.free_bytes(), 8192 - 48 - 12);
    }

    #[test]
    fn a_record_of_the_largest_single_size_fits_and_one_byte_more_does_not() {
        let largest = PAGE_SIZE - MULTI_PAGE_OFFSET;
        assert!(!is_multi_page(narrow(largest)) && is_multi_page(narrow(largest + 1)));
        assert!(ObjectPageBuilder::new().push(2, &vec![1; largest], 0));
        assert!(!ObjectPageBuilder::new().push(2, &vec![1; largest + 1], 0));
    }

    #[test]
    fn multi_page_records_split_and_count_their_pages() {
        for size in [8161, 8185, 16352, 16353, 297_697] {
            let record: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let pages = build_multi_page(&record, 5);
            assert_eq!(pages.len(), pages_of(size) as usize);
            let head = ObjectPage::new(&pages[0]).multi_page_head().unwrap();
            assert_eq!((head.id, head.size, head.check), (1, size, 5));
            assert!(ObjectPage::new(&pages[0]).check_head(&head, SITE).is_none());
            let mut joined = pages
                .iter()
                .flat_map(|page| page.iter().copied())
                .collect::<Vec<u8>>();
            joined.truncate((pages.len() - 1) * PAGE_SIZE + end_in_last_page(size));
            assert_eq!(joined[32..], record);
        }
        assert_eq!(pages_of(u32::MAX), 524_289);
    }

    #[test]
    fn broken_tables_are_named() {
        let mut builder = ObjectPageBuilder::new();
        builder.push(7, b"first", 0);
        builder.push(9, b"second", 0);
        let good = builder.build();
        let cases: [(usize, u32, CorruptionCode); 5] = [
            (0, 0, CorruptionCode::RecordPacking),
            (0, 1, CorruptionCode::RecordMultiPage),
            (4, 50, CorruptionCode::RecordPacking),
            (24, 9000, CorruptionCode::RecordPacking),
            (16, 7, CorruptionCode::RecordIdTwice),
        ];
        for (offset, value, code) in cases {
            let mut page = good.clone();
            page[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
            let findings = ObjectPage::new(&page).check_single(SITE);
            assert_eq!(
                findings.first().map(|f| f.code),
                Some(code),
                "{offset} {value}"
            );
        }
        assert!(
            !ObjectPage::new(&[0xFF; PAGE_SIZE])
                .check_single(SITE)
                .is_empty()
        );
    }
}

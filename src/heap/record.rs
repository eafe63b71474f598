//! Reading of a record by its address.

use std::ops::Deref;
use std::sync::Arc;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::limits::MAX_RECORD_BYTES;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, RecordRef, Space};
use crate::base::site::Site;
use crate::base::widen;
use crate::format::Dialect;
use crate::format::checksum::crc32;
use crate::format::heap::page::{
    Descriptor, MULTI_PAGE_OFFSET, ObjectPage, is_multi_page, pages_of,
};
use crate::pager::page::Page;
use crate::pager::state::image::Image;

/// The bytes of a record, borrowed from the page in memory that holds it or assembled from several
/// pages.
#[derive(Debug, Clone)]
pub struct RecordView(Content);

#[derive(Debug, Clone)]
enum Content {
    InPage {
        page: Arc<Page>,
        start: usize,
        end: usize,
    },
    Whole(Vec<u8>),
}

impl Deref for RecordView {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Content::InPage { page, start, end } => page.get(*start..*end).unwrap_or_default(),
            Content::Whole(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for RecordView {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<RecordView> for Vec<u8> {
    fn from(view: RecordView) -> Self {
        match view.0 {
            Content::Whole(bytes) => bytes,
            Content::InPage { .. } => view.to_vec(),
        }
    }
}

/// The bytes of a record.
pub fn record(image: &Image, reference: RecordRef) -> Result<Vec<u8>> {
    view(image, reference).map(Into::into)
}

/// The bytes of a record, without a copy if one page holds it.
pub fn view(image: &Image, reference: RecordRef) -> Result<RecordView> {
    let held = image.page(Space::Objects, reference.page)?;
    let descriptor = find_descriptor(image, &held, reference)?;
    let (start, size) = (widen(descriptor.offset), widen(descriptor.size));
    let head = descriptor
        .is_multi_page()
        .then(|| ObjectPage::new(&held).multi_page_head())
        .flatten();
    let view = if let Some(head) = head {
        RecordView(Content::Whole(multi_page(image, reference.page, &head)?))
    } else if start.checked_add(size).is_some_and(|end| end <= PAGE_SIZE) {
        RecordView(Content::InPage {
            page: held.into_arc(),
            start,
            end: start.saturating_add(size),
        })
    } else {
        let detail = format!("record {} leaves its page", descriptor.id);
        let site = image.site(Space::Objects, reference.page);
        return Err(Corruption::new(CorruptionCode::RecordPacking, site, detail).into());
    };
    let expected = check_value(image.dialect(), &view);
    if descriptor.check == expected {
        return Ok(view);
    }
    Err(wrong_check(
        &descriptor,
        expected,
        image.site(Space::Objects, reference.page),
    )
    .into())
}

/// True if the page lists the record there, and the mapping has all its pages.
pub fn is_there(image: &Image, reference: RecordRef) -> bool {
    let Ok(held) = image.page(Space::Objects, reference.page) else {
        return false;
    };
    let is_listed = find_descriptor(image, &held, reference).is_ok();
    is_listed
        && (!is_multi_page(reference.size) || pages(image, reference.page, reference.size).is_ok())
}

/// The check value of a record (invariant 22).
pub(crate) fn check_value(dialect: Dialect, record: &[u8]) -> u32 {
    match dialect {
        Dialect::V21 => crc32(record),
        Dialect::V22 => 0,
    }
}

/// The descriptor of a record in its page.
pub(crate) fn find_descriptor(
    image: &Image,
    page: &PageBytes,
    reference: RecordRef,
) -> Result<Descriptor, Corruption> {
    let wrong =
        |code, detail| Corruption::new(code, image.site(Space::Objects, reference.page), detail);
    let found = ObjectPage::find(page, reference.id);
    let Some(descriptor) = found else {
        return Err(wrong(
            CorruptionCode::ReferenceRecord,
            format!("record {}", reference.id),
        ));
    };
    if descriptor.size != reference.size {
        let detail = format!(
            "record {}: {} bytes, the key says {}",
            reference.id, descriptor.size, reference.size
        );
        return Err(wrong(CorruptionCode::ReferenceSize, detail));
    }
    Ok(descriptor)
}

/// The finding for a record with a wrong check value.
pub(crate) fn wrong_check(descriptor: &Descriptor, expected: u32, site: Site) -> Corruption {
    let detail = format!(
        "record {}: check {:#010X}, expected {expected:#010X}",
        descriptor.id, descriptor.check
    );
    Corruption::new(CorruptionCode::RecordCheck, site, detail)
}

/// The logical pages of a multi-page record that begins on `first`. Fails if the mapping ends too
/// early or has a gap, so that a record that claims gigabytes costs nothing.
pub(crate) fn pages(image: &Image, first: LogicalPage, size: u32) -> Result<u32, Corruption> {
    let count = pages_of(size);
    let wrong = |detail: String| {
        Corruption::new(
            CorruptionCode::RecordMultiPage,
            image.site(Space::Objects, first),
            detail,
        )
    };
    let end = first
        .get()
        .checked_add(count)
        .filter(|&end| end <= image.logical_pages(Space::Objects));
    let Some(end) = end else {
        return Err(wrong(format!(
            "{size} bytes on {count} pages, the mapping ends before"
        )));
    };
    match image.object_gap(first, end) {
        Some(gap) => {
            let number = gap.get() - first.get();
            Err(wrong(format!(
                "{size} bytes on {count} pages, but page {number} of them is missing"
            )))
        }
        None => Ok(count),
    }
}

/// Assembles a multi-page record.
pub(crate) fn multi_page(image: &Image, first: LogicalPage, head: &Descriptor) -> Result<Vec<u8>> {
    let count = pages(image, first, head.size)?;
    if head.size > MAX_RECORD_BYTES {
        let (max, got) = (MAX_RECORD_BYTES.into(), head.size.into());
        return Err(Error::Limit {
            what: "the size of a record",
            max,
            got,
        });
    }
    let mut record = Vec::with_capacity(widen(count) * PAGE_SIZE);
    for page in (0..count).filter_map(|number| first.checked_add(number)) {
        record.extend_from_slice(&image.page(Space::Objects, page)?[..]);
    }
    record.drain(..MULTI_PAGE_OFFSET.min(record.len()));
    record.truncate(widen(head.size));
    Ok(record)
}

//! Records of a data file without a usable mapping, found physical page by physical page.
//!
//! The results are only candidates: the page may be free and its records deleted, and no key can be
//! matched to them. Only the beginning of a record on several pages can be found, because its pages
//! may lie anywhere.

use std::io;

use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::limits::MAX_CARVED_PAGES;
use crate::base::page_no::{PAGE_SIZE, PageBytes, PhysicalPage};
use crate::base::site::{FileRole, Site};
use crate::base::widen;
use crate::format::heap::page::{DESCRIPTOR_SIZE, Descriptor, ObjectPage};
use crate::pager::files::DataFile;
use crate::storage::read_exact_at;

/// A physical page that looks like a page of records.
#[derive(Debug, Clone)]
pub struct CarvedPage {
    /// Its place.
    pub physical: PhysicalPage,
    /// Its table of contents.
    pub descriptors: Vec<Descriptor>,
    /// True if it begins a record that continues on other pages.
    pub is_head: bool,
}

/// Number of pages that are read together.
const BLOCK: u32 = 64;

/// Examines the first `count` physical pages of the object heap, at most [`MAX_CARVED_PAGES`].
/// Yields those that hold records.
pub fn carve(file: &DataFile, count: u32) -> impl Iterator<Item = Result<CarvedPage>> + '_ {
    let pages = u32::try_from(file.len / PAGE_SIZE as u64)
        .unwrap_or(u32::MAX)
        .min(MAX_CARVED_PAGES)
        .min(count);
    let mut block = Block {
        file,
        pages,
        first: 0,
        bytes: Vec::new(),
    };
    (0..pages)
        .filter_map(PhysicalPage::new)
        .filter_map(move |physical| match block.page(physical) {
            Ok(bytes) => look(physical, bytes).map(Ok),
            Err(error) => Some(Err(Error::io(IoOp::Read, &file.path, error))),
        })
}

/// Some pages of the file, read together.
struct Block<'f> {
    file: &'f DataFile,
    pages: u32,
    first: u32,
    bytes: Vec<u8>,
}

impl Block<'_> {
    fn page(&mut self, page: PhysicalPage) -> io::Result<&PageBytes> {
        if self.get(page).is_none() {
            let left = self.pages.saturating_sub(page.get()).min(BLOCK);
            // If a block cannot be read, its pages are read one by one, so that a bad page does not
            // hide the others.
            self.read(page, left).or_else(|_| self.read(page, 1))?;
        }
        self.get(page)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn get(&self, page: PhysicalPage) -> Option<&PageBytes> {
        let at = widen(page.get().checked_sub(self.first)?).checked_mul(PAGE_SIZE)?;
        self.bytes.get(at..)?.first_chunk()
    }

    fn read(&mut self, first: PhysicalPage, count: u32) -> io::Result<()> {
        self.first = first.get();
        self.bytes.resize(widen(count) * PAGE_SIZE, 0);
        let read = read_exact_at(
            self.file.file.as_ref(),
            first.byte_offset(),
            &mut self.bytes,
        );
        if read.is_err() {
            self.bytes.clear();
        }
        read
    }
}

fn look(physical: PhysicalPage, bytes: &PageBytes) -> Option<CarvedPage> {
    if bytes.first_chunk() == Some(&[0; DESCRIPTOR_SIZE]) {
        return None; // no record, as in the holes of a sparse file
    }
    let view = ObjectPage::new(bytes);
    let site = Site::file(FileRole::Objects);
    let head = view.multi_page_head();
    let sound = match &head {
        Some(head) => view.check_head(head, site).is_none(),
        None => view.descriptors().len() > 0 && view.check_single(site).is_empty(),
    };
    sound.then(|| CarvedPage {
        physical,
        descriptors: view.descriptors().collect(),
        is_head: head.is_some(),
    })
}

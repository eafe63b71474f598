//! Records of a data file without a usable mapping: physical page by physical page.
//!
//! What is found is a candidate, no more: the page may be free and its records deleted, and nothing says which key named
//! them. Of a record on several pages only the beginning can be found, as its pages lie anywhere.

use crate::base::error::{Error, Result};
use crate::base::page_no::{PAGE_SIZE, PageBytes, PhysicalPage};
use crate::base::site::{FileRole, Site};
use crate::format::object_page::{Descriptor, ObjectPage};
use crate::pager::files::DataFile;
use crate::storage::read_exact_at;

/// A physical page that looks like one of records.
#[derive(Debug, Clone)]
pub struct CarvedPage {
    /// Where it lies.
    pub physical: PhysicalPage,
    /// Its table of contents.
    pub descriptors: Vec<Descriptor>,
    /// Whether it begins a record that goes on elsewhere.
    pub is_head: bool,
}

/// Looks at each physical page of the object heap; gives those that hold records.
pub fn carve(file: &DataFile) -> impl Iterator<Item = Result<CarvedPage>> + '_ {
    let pages = u32::try_from(file.len / PAGE_SIZE as u64).unwrap_or(u32::MAX);
    let mut bytes = Box::new([0; PAGE_SIZE]);
    (0..pages).filter_map(PhysicalPage::new).filter_map(move |physical| {
        match read_exact_at(file.file.as_ref(), physical.byte_offset(), &mut bytes[..]) {
            Ok(()) => look(physical, &bytes).map(Ok),
            Err(error) => Some(Err(Error::io("read", &file.path, error))),
        }
    })
}

fn look(physical: PhysicalPage, bytes: &PageBytes) -> Option<CarvedPage> {
    let view = ObjectPage::new(bytes);
    let site = Site::file(FileRole::Objects);
    let head = view.multi_page_head();
    let sound = match &head {
        Some(head) => view.check_head(head, site).is_none(),
        None => view.descriptors().len() > 0 && view.check_single(site).is_empty(),
    };
    sound.then(|| CarvedPage { physical, descriptors: view.descriptors().collect(), is_head: head.is_some() })
}

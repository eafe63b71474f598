//! What each page of the object heap is: found by walking the logical pages upwards, without the index.

use std::iter::FusedIterator;
use std::sync::Arc;

use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, RecordRef, Space};
use crate::format::object_page::{Descriptor, ObjectPage};
use crate::pager::image::Image;

use super::record;

/// All records of a repository, found page by page without the index, in order of their pages.
///
/// A damaged page gives an error, and the walk goes on behind it.
#[derive(Debug)]
pub struct Records {
    image: Arc<Image>,
    admin: Vec<LogicalPage>,
    next: u32,
    page: Option<LogicalPage>,
    queue: std::vec::IntoIter<Descriptor>,
}

impl Records {
    /// The records of a generation.
    pub fn new(image: Arc<Image>) -> Self {
        let mut admin = image.admin().chain.clone();
        admin.sort_unstable();
        Self { image, admin, next: 0, page: None, queue: Vec::new().into_iter() }
    }

    /// Looks at the next page that is mapped and begins records; `None` behind the last.
    fn advance(&mut self) -> Option<Result<()>> {
        let section = &self.image.mapping().objects;
        loop {
            let page = LogicalPage::new(self.next).filter(|page| page.index() < section.entries.len())?;
            self.next += 1;
            if section.resolve(page).is_some() && self.admin.binary_search(&page).is_err() {
                return Some(self.look(page));
            }
        }
    }

    fn look(&mut self, page: LogicalPage) -> Result<()> {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        self.image.read(Space::Objects, page, &mut bytes)?;
        let view = ObjectPage::new(&bytes);
        if let Some(head) = view.multi_page_head() {
            let count = record::pages(&self.image, page, head.size)?;
            self.next = page.get().saturating_add(count);
        }
        self.page = Some(page);
        self.queue = view.descriptors().collect::<Vec<_>>().into_iter();
        Ok(())
    }
}

impl Iterator for Records {
    type Item = Result<RecordRef>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let (Some(page), Some(descriptor)) = (self.page, self.queue.next()) {
                return Some(Ok(RecordRef { page, id: descriptor.id, size: descriptor.size }));
            }
            if let Err(error) = self.advance()? {
                return Some(Err(error));
            }
        }
    }
}

impl FusedIterator for Records {}

//! Where records lie in the files.

use std::fmt;

use crate::base::page_no::{PhysicalPage, RecordRef, Space};
use crate::format::heap::page::{MULTI_PAGE_OFFSET, ObjectPage};
use crate::store::Snapshot;

/// Where a record lies in OBJECTS.DATA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The physical page, of several the first.
    pub page: PhysicalPage,
    /// The offset in that page, in bytes.
    pub offset: u32,
}

impl Place {
    /// The place of a record; `None` where its page is not there or does not list it.
    pub fn of(snapshot: &Snapshot, record: RecordRef) -> Option<Self> {
        let section = snapshot.mapping().section(Space::Objects);
        let page = section.resolve(record.page)?;
        let bytes = snapshot.page(Space::Objects, record.page).ok()?;
        let view = ObjectPage::new(&bytes);
        let offset = match view.multi_page_head() {
            Some(_) => u32::try_from(MULTI_PAGE_OFFSET).ok()?,
            None => {
                let mut descriptors = view.descriptors();
                descriptors.find(|found| found.id == record.id)?.offset
            }
        };
        Some(Self { page, offset })
    }

    /// The offset in the file, in bytes.
    pub const fn file_offset(self) -> u64 {
        self.page.byte_offset() + self.offset as u64
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, offset } = self;
        write!(f, "OBJECTS.DATA, page {page}, offset {offset}")
    }
}

//! Where the bytes of a found record lie.

use crate::base::page_no::{PhysicalPage, Space};
use crate::base::site::FileRole;
use crate::base::widen;

use super::evidence::Evidence;
use super::regions::{Region, joined};

/// Where a record lies, to the byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The data file.
    pub space: Space,
    /// The physical pages: one, or those of a record on several pages in its order.
    pub pages: Vec<PhysicalPage>,
    /// Offset of the first byte in the first page.
    pub offset: u32,
    /// Bytes of the record.
    pub size: u32,
    /// The part of the page.
    pub region: Region,
    /// The id in the table of contents, where there is one.
    pub record_id: Option<u32>,
}

impl Place {
    /// The file.
    pub const fn file(&self) -> FileRole {
        FileRole::data(self.space)
    }

    /// The bytes of the record; `None` where they can no longer be read.
    pub(super) fn bytes(&self, evidence: &Evidence) -> Option<Vec<u8>> {
        match self.pages.as_slice() {
            [page] => {
                let bytes = evidence.page(self.space, *page)?;
                let start = widen(self.offset);
                let range = start..start.checked_add(widen(self.size))?;
                bytes.get(range).map(<[u8]>::to_vec)
            }
            chain => joined(evidence, chain, self.size),
        }
    }
}

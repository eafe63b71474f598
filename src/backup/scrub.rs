//! Scrubbing: zeroing everything in pages that is not content, so that a backup reveals no deleted
//! data.
//!
//! A page is scrubbed only if its content is valid, because only then is its end known. In dialect
//! 2.1 the admin pages state the CRC of each page and are therefore recomputed.

use std::collections::BTreeMap;

use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, Space};
use crate::btree::search::view;
use crate::format::Dialect;
use crate::format::checksum::crc32;
use crate::format::heap::admin_page::ObjectAdminPage;
use crate::format::heap::page::{ObjectPage, end_in_last_page};
use crate::heap::layout::{PageKind, page_kinds};
use crate::pager::state::image::Image;

/// The scrubbing of each object page.
#[derive(Debug)]
pub(crate) struct Scrub<'i> {
    image: &'i Image,
    kinds: Vec<PageKind>,
    crcs: BTreeMap<u32, u32>,
}

impl<'i> Scrub<'i> {
    /// Examines all pages of the heap. Fails if one is invalid.
    pub(crate) fn new(image: &'i Image) -> Result<Self> {
        let kinds = page_kinds(image)?;
        let mut scrub = Self {
            image,
            kinds,
            crcs: BTreeMap::new(),
        };
        if image.dialect() == Dialect::V21 {
            if let Some(finding) = image.admin()?.findings.first() {
                return Err(finding.clone().into());
            }
            scrub.crcs = scrub.scrubbed_crcs()?;
        }
        Ok(scrub)
    }

    /// The CRC of each listed page of dialect 2.1 after scrubbing.
    fn scrubbed_crcs(&self) -> Result<BTreeMap<u32, u32>> {
        let mut crcs = BTreeMap::new();
        let mut bytes = Box::new([0; PAGE_SIZE]);
        for page in self
            .image
            .admin()?
            .listed
            .keys()
            .filter_map(|&page| LogicalPage::new(page))
        {
            self.image.read(Space::Objects, page, &mut bytes)?;
            self.page(Space::Objects, page, &mut bytes)?;
            crcs.insert(page.get(), crc32(&bytes[..]));
        }
        Ok(crcs)
    }

    /// Scrubs a page.
    pub(crate) fn page(
        &self,
        space: Space,
        page: LogicalPage,
        bytes: &mut PageBytes,
    ) -> Result<()> {
        let end = match space {
            Space::Index => self.index_end(page, bytes)?,
            Space::Objects => match self.kinds.get(page.index()) {
                Some(PageKind::Records) => self.records_end(page, bytes)?,
                Some(PageKind::Last { size }) => end_in_last_page(*size),
                Some(PageKind::Admin) => self.admin(page, bytes)?,
                Some(PageKind::Whole | PageKind::Unmapped) | None => PAGE_SIZE,
            },
        };
        bytes.get_mut(end..).unwrap_or_default().fill(0);
        Ok(())
    }

    fn index_end(&self, page: LogicalPage, bytes: &PageBytes) -> Result<usize> {
        // The first admin page of dialect 2.1 has no slack.
        if self.image.dialect() == Dialect::V21 && page.get() == 0 {
            return Ok(PAGE_SIZE);
        }
        Ok(view(self.image, page, bytes)?.used())
    }

    fn records_end(&self, page: LogicalPage, bytes: &PageBytes) -> Result<usize> {
        let view = ObjectPage::new(bytes);
        let site = self.image.site(Space::Objects, page);
        match view.check_single(site).into_iter().next() {
            // Bytes that look like slack may be objects here.
            Some(finding) => Err(finding.into()),
            None => Ok(view.end()),
        }
    }

    /// Writes the CRCs of the scrubbed pages into an admin page. Returns the end of its content.
    fn admin(&self, page: LogicalPage, bytes: &mut PageBytes) -> Result<usize> {
        let mut admin = ObjectAdminPage::parse(bytes, self.image.site(Space::Objects, page))?;
        for entry in &mut admin.entries {
            entry.crc = self.crcs.get(&entry.page).copied().unwrap_or(entry.crc);
        }
        admin.write(bytes);
        Ok(admin.used())
    }
}

//! A backup and its bases, and the look-up of the one that holds a page.

use std::sync::Arc;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PageBytes, PhysicalPage, Space};
use crate::base::site::Site;
use crate::format::own::manifest::NO_FILE;
use crate::pager::page::source::{PageSource, Reading};
use crate::storage::Protection;

use super::codec::Payload;
use super::link::Link;

/// A backup and the backups on which it is based.
#[derive(Debug)]
pub(crate) struct Chain {
    pub top: Link,
    pub bases: Vec<Link>,
}

/// The place of a page in a chain.
#[derive(Debug)]
pub(crate) struct Held<'c> {
    /// Number of the backup in the chain; the most recent one has number 0.
    pub number: usize,
    pub link: &'c Link,
    /// Number of the chunk, and of the page in it.
    pub chunk: usize,
    pub slot: usize,
}

impl Chain {
    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        std::iter::once(&self.top).chain(&self.bases)
    }

    /// The place of a page in the chain, if the chain holds it.
    pub(crate) fn holder(&self, space: Space, mut page: LogicalPage) -> Option<Held<'_>> {
        for (number, link) in self.links().enumerate() {
            page = link.original(space, page);
            if let Some((chunk, slot)) = link.place(space, page) {
                return Some(Held {
                    number,
                    link,
                    chunk,
                    slot,
                });
            }
        }
        None
    }

    /// The place of a mapped page.
    pub(crate) fn find(
        &self,
        space: Space,
        page: LogicalPage,
        physical: PhysicalPage,
    ) -> Result<Held<'_>> {
        self.holder(space, page).ok_or_else(|| {
            // Such a page was accepted when the backup was opened, so the data file ended before
            // it.
            let site = Site::page(space, page).at_physical(Some(physical));
            let detail = match self.top.manifest.space(space).file_length {
                NO_FILE => "there was no such file".to_owned(),
                length => format!("the file had {length} bytes"),
            };
            Corruption::new(CorruptionCode::MappingBeyondFile, site, detail).into()
        })
    }

    /// The access rights common to all files of the chain.
    pub(crate) fn protection(&self) -> Protection {
        self.links()
            .fold(Protection::default(), |all, link| all.and(&link.protection))
    }

    /// True if the pages of a space exist at all.
    pub(crate) fn has(&self, space: Space) -> bool {
        // Any other backup is of a repository that has both files.
        !self.top.is_forensic() || self.top.manifest.space(space).file_length != NO_FILE
    }
}

impl Held<'_> {
    /// The chunk that holds a page of this space.
    pub(crate) fn chunk(&self, space: Space, how: Reading) -> Result<Arc<Payload>> {
        match (space, how) {
            (Space::Objects, Reading::Passing) => self.link.passing_chunk(self.chunk),
            // Pages of the index are visited as keys lead from one to the next, not in their order.
            (Space::Index, _) | (_, Reading::Single) => self.link.chunk(self.chunk),
        }
    }

    /// Copies the page from its chunk.
    pub(crate) fn copy(&self, raw: &Payload, into: &mut PageBytes) -> Result<()> {
        self.link.copy_page(self.chunk, raw, self.slot, into)
    }
}

impl PageSource for Arc<Chain> {
    fn has(&self, space: Space) -> bool {
        Chain::has(self, space)
    }

    fn protection(&self) -> Protection {
        Chain::protection(self)
    }

    fn read(
        &self,
        space: Space,
        page: LogicalPage,
        physical: PhysicalPage,
        how: Reading,
        into: &mut PageBytes,
    ) -> Result<()> {
        let held = self.find(space, page, physical)?;
        held.copy(&*held.chunk(space, how)?, into)
    }
}

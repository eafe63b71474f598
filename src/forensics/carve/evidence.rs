//! The files that are searched: those of a directory, or of a forensic backup. Any of them may be
//! missing.

use std::sync::Arc;

use crate::backup::Backup;
use crate::base::error::{Error, Result};
use crate::base::misuse::Misuse;
use crate::base::page_no::{PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::widen;
use crate::format::Dialect;
use crate::format::checksum::crc32;
use crate::format::heap::page::ObjectPage;
use crate::pager::files::{DataFiles, RepositoryFiles};
use crate::pager::generation::{Generation, read_all};
use crate::storage::{Directory, Protection, read_exact_at};
use crate::store::{OpenOptions, Repository};

/// Pages that are read at once.
const BLOCK: u32 = 64;

/// Pages that are looked at to tell the dialect where no mapping does.
const TELLING_PAGES: u32 = 64;

/// The files of a repository, as far as they are there.
#[derive(Debug)]
pub struct Evidence {
    pub(super) data: DataFiles,
    pub(super) repository: Option<Repository>,
    pub(super) generations: Vec<Generation>,
    pub(super) dialect: Dialect,
    protection: Protection,
}

impl Evidence {
    /// The files in a directory, opened for reading. The current state is that of the newest whole
    /// generation and its journal; where no mapping can be read there is none.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses, [`Error::NotARepository`] when neither data file is
    /// there.
    pub fn open(directory: &Directory, options: OpenOptions) -> Result<Self> {
        let repository = match options.open_in(directory) {
            Ok(repository) => Some(repository),
            Err(Error::NotARepository { .. }) => None,
            Err(error) => return Err(error),
        };
        let files = RepositoryFiles::locate(directory)?;
        let data = files.open_data()?;
        if Space::ALL.iter().all(|space| data.get(*space).is_none()) {
            return Err(Error::NotARepository {
                path: directory.path.as_path().into(),
                reason: "neither OBJECTS.DATA nor INDEX.BTR is there".into(),
            });
        }
        let (generations, _) = read_all(&files, &data)?;
        let dialect = match &repository {
            Some(repository) => repository.dialect(),
            None => dialect_of(&data),
        };
        Ok(Self {
            data,
            repository,
            generations,
            dialect,
            protection: files.protection(),
        })
    }

    /// The files in a forensic backup.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a backup of another kind, which has no free pages; as
    /// [`open`](Self::open).
    pub fn of_backup(backup: &Backup, options: OpenOptions) -> Result<Self> {
        let text =
            "it is no forensic backup, so it holds no remains; give one made with --forensic";
        let files = backup
            .exact_files()?
            .ok_or_else(|| Error::invalid(Misuse::Options, text))?;
        let inside = Self::open(&Directory::new(Arc::new(files), "."), options)?;
        Ok(Self {
            protection: backup.snapshot().protection(),
            ..inside
        })
    }

    /// The access rights common to all files: nothing made from them may be more readable (W-18).
    pub fn protection(&self) -> Protection {
        self.protection.clone()
    }

    /// The dialect: that of the mapping, else the one that the pages look like.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The current state; `None` where no mapping can be read.
    pub const fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }

    /// Whole pages in a data file.
    pub(super) fn pages(&self, space: Space) -> u32 {
        let pages = self.data.pages(space).unwrap_or(0);
        u32::try_from(pages)
            .unwrap_or(u32::MAX)
            .min(crate::base::limits::MAX_CARVED_PAGES)
    }

    /// A page of a data file; `None` where it cannot be read.
    pub(super) fn page(&self, space: Space, page: PhysicalPage) -> Option<Box<PageBytes>> {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        let file = self.data.get(space)?.file.as_ref();
        read_exact_at(file, page.byte_offset(), &mut bytes[..]).ok()?;
        Some(bytes)
    }
}

/// The pages of a data file in order, read in blocks.
#[derive(Debug)]
pub(super) struct Pages<'e> {
    evidence: &'e Evidence,
    space: Space,
    next: u32,
    first: u32,
    block: Vec<u8>,
}

impl<'e> Pages<'e> {
    pub(super) const fn new(evidence: &'e Evidence, space: Space) -> Self {
        Self::starting_at(evidence, space, 0)
    }

    pub(super) const fn starting_at(evidence: &'e Evidence, space: Space, next: u32) -> Self {
        Self {
            evidence,
            space,
            next,
            first: 0,
            block: Vec::new(),
        }
    }

    /// The next page, and its bytes if they can be read; `None` after the last.
    pub(super) fn advance(&mut self) -> Option<(PhysicalPage, Option<&PageBytes>)> {
        let pages = self.evidence.pages(self.space);
        let page = PhysicalPage::new(self.next).filter(|page| page.get() < pages)?;
        self.next += 1;
        if self.at(page).is_none() {
            let left = (pages - page.get()).min(BLOCK);
            // Where a block cannot be read, one bad page does not hide the others.
            if !self.read(page, left) {
                self.read(page, 1);
            }
        }
        Some((page, self.at(page)))
    }

    fn at(&self, page: PhysicalPage) -> Option<&PageBytes> {
        let block = page.get().checked_sub(self.first)?;
        self.block
            .get(widen(block).checked_mul(PAGE_SIZE)?..)?
            .first_chunk()
    }

    fn read(&mut self, first: PhysicalPage, count: u32) -> bool {
        let Some(file) = self.evidence.data.get(self.space) else {
            return false;
        };
        self.first = first.get();
        self.block.resize(widen(count) * PAGE_SIZE, 0);
        let read = read_exact_at(file.file.as_ref(), first.byte_offset(), &mut self.block);
        if read.is_err() {
            self.block.clear();
        }
        read.is_ok()
    }
}

/// The dialect that the pages of records look like: in 2.1 each descriptor has the CRC-32 of its
/// record, in 2.2 zero.
fn dialect_of(data: &DataFiles) -> Dialect {
    let (mut old, mut new) = (0, 0);
    let pages = data.pages(Space::Objects).unwrap_or(0);
    let file = data.get(Space::Objects);
    for number in (0..TELLING_PAGES).filter(|number| u64::from(*number) < pages) {
        let (Some(file), Some(page)) = (file, PhysicalPage::new(number)) else {
            continue;
        };
        let mut bytes = Box::new([0; PAGE_SIZE]);
        if read_exact_at(file.file.as_ref(), page.byte_offset(), &mut bytes[..]).is_err() {
            continue;
        }
        let view = ObjectPage::new(&bytes);
        for descriptor in view.descriptors() {
            let record = view.record(&descriptor);
            let is_old = record.is_some_and(|record| crc32(record) == descriptor.check);
            old += u32::from(is_old);
            new += u32::from(!is_old && record.is_some() && descriptor.check == 0);
        }
    }
    if old > new {
        Dialect::V21
    } else {
        Dialect::V22
    }
}

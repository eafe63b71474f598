//! Sources of pages: the data files of a repository, or a backup.

use std::fmt::Debug;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::site::{FileRole, Site};
use crate::storage::{Protection, read_exact_at};

use crate::pager::files::DataFiles;

/// Why a page is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// On its own. Pages read along with it are worth keeping for later.
    Single,
    /// In a pass over everything, which uses each page once.
    Passing,
}

/// A source of the pages of one generation.
pub trait PageSource: Send + Sync + Debug {
    /// True if the source has the pages of a space.
    fn has(&self, space: Space) -> bool;

    /// The protection of the source. Nothing made from its pages may be more accessible.
    fn protection(&self) -> Protection;

    /// Reads a mapped page as it is. The caller checks checksums of the repository; the source
    /// checks its own.
    fn read(
        &self,
        space: Space,
        page: LogicalPage,
        physical: PhysicalPage,
        how: Reading,
        into: &mut PageBytes,
    ) -> Result<()>;

    /// Reads the first bytes of a mapped page, at most its length.
    fn read_front(
        &self,
        space: Space,
        page: LogicalPage,
        physical: PhysicalPage,
        into: &mut [u8],
    ) -> Result<()> {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        self.read(space, page, physical, Reading::Single, &mut bytes)?;
        into.iter_mut()
            .zip(&*bytes)
            .for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

impl PageSource for DataFiles {
    fn has(&self, space: Space) -> bool {
        self.get(space).is_some()
    }

    fn protection(&self) -> Protection {
        self.files().protection()
    }

    fn read(
        &self,
        space: Space,
        page: LogicalPage,
        physical: PhysicalPage,
        _: Reading,
        into: &mut PageBytes,
    ) -> Result<()> {
        self.read_front(space, page, physical, into)
    }

    fn read_front(
        &self,
        space: Space,
        page: LogicalPage,
        physical: PhysicalPage,
        into: &mut [u8],
    ) -> Result<()> {
        let role = FileRole::data(space);
        let site = Site::page(space, page).at_physical(Some(physical));
        let Some(data) = self.get(space) else {
            return Err(Corruption::new(CorruptionCode::FileMissing, Site::file(role), "").into());
        };
        match read_exact_at(data.file.as_ref(), physical.byte_offset(), into) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                let detail = format!("the file has {} bytes", data.len);
                Err(Corruption::new(CorruptionCode::MappingBeyondFile, site, detail).into())
            }
            Err(error) => Err(Error::io(IoOp::Read, &data.path, error)),
        }
    }
}

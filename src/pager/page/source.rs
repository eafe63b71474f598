//! Where pages come from: the data files of a repository, or a backup.

use std::fmt::Debug;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::site::{FileRole, Site};
use crate::storage::{Protection, read_exact_at};

use crate::pager::files::DataFiles;

/// What for a page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// By itself: what is read with it is worth keeping for those who come again.
    Single,
    /// In a pass over everything, which comes by once.
    Passing,
}

/// A place that holds the pages of one generation.
pub trait PageSource: Send + Sync + Debug {
    /// True if the pages of a space are there at all.
    fn has(&self, space: Space) -> bool;

    /// Who may read the place: what is made from its pages must not be more readable.
    fn protection(&self) -> Protection;

    /// Reads a mapped page. Gives the bytes as they are: checksums of the repository are checked by
    /// the caller, those of the place by the place.
    fn read(
        &self,
        space: Space,
        page: LogicalPage,
        physical: PhysicalPage,
        how: Reading,
        into: &mut PageBytes,
    ) -> Result<()>;

    /// Reads the first bytes of a mapped page, not more than it has.
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

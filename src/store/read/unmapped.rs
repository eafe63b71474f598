//! The visible part of OBJECTS.DATA when no mapping can be read.

use std::path::Path;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::page_no::{PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::site::{FileRole, Site};
use crate::heap::carve::{CarvedPage, carve};
use crate::pager::files::{DataFile, DataFiles, RepositoryFiles};
use crate::storage::{Directory, read_exact_at};

/// The data files of a repository, read by physical page without any mapping.
///
/// The results are only candidates: a page may be free and its records deleted, and only the
/// beginning of a record on several pages is found.
#[derive(Debug)]
pub struct UnmappedFiles {
    files: RepositoryFiles,
    data: DataFiles,
}

impl UnmappedFiles {
    /// Opens the existing data files in a directory for reading.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the system refuses, and [`Error::NotARepository`] if there is no
    /// repository file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_in(&Directory::real(path.as_ref()))
    }

    /// Opens the data files in a directory of any storage; otherwise like [`open`](Self::open).
    ///
    /// # Errors
    /// The errors of [`open`](Self::open).
    pub fn open_in(directory: &Directory) -> Result<Self> {
        let files = RepositoryFiles::locate(directory)?;
        let data = files.open_data()?;
        Ok(Self { files, data })
    }

    /// Number of whole pages in a data file, if it exists.
    pub fn pages(&self, space: Space) -> Option<u64> {
        self.data.pages(space)
    }

    /// The physical pages of the object heap that look like pages of records, among the first
    /// [`MAX_CARVED_PAGES`](crate::base::limits::MAX_CARVED_PAGES).
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] if there is no OBJECTS.DATA. The iterator yields [`Error::Io`] if
    /// the system refuses.
    pub fn object_pages(&self) -> Result<impl Iterator<Item = Result<CarvedPage>> + '_> {
        self.object_pages_up_to(u32::MAX)
    }

    /// The pages that look like pages of records, among the first `count`.
    ///
    /// # Errors
    /// The errors of [`object_pages`](Self::object_pages).
    pub fn object_pages_up_to(
        &self,
        count: u32,
    ) -> Result<impl Iterator<Item = Result<CarvedPage>> + '_> {
        Ok(carve(self.file(Space::Objects)?, count))
    }

    /// A physical page.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] if there is no such data file, and [`Error::Io`] if the page
    /// cannot be read.
    pub fn page(&self, space: Space, physical: PhysicalPage) -> Result<Box<PageBytes>> {
        let file = self.file(space)?;
        let mut bytes = Box::new([0; PAGE_SIZE]);
        let read = read_exact_at(file.file.as_ref(), physical.byte_offset(), &mut bytes[..]);
        read.map_err(|error| Error::io(IoOp::Read, &file.path, error))?;
        Ok(bytes)
    }

    /// The files.
    pub const fn files(&self) -> &RepositoryFiles {
        &self.files
    }

    /// The data files.
    pub(crate) const fn data(&self) -> &DataFiles {
        &self.data
    }

    fn file(&self, space: Space) -> Result<&DataFile> {
        let missing = || {
            Corruption::new(
                CorruptionCode::FileMissing,
                Site::file(FileRole::data(space)),
                "",
            )
            .into()
        };
        self.data.get(space).ok_or_else(missing)
    }
}

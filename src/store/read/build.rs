//! The bulk builder, which makes a valid repository of dialect 2.2 from sorted keys with their
//! records.

use crate::base::error::{Error, Result};
use crate::base::limits::MAX_LOGICAL_PAGES;
use crate::base::narrow;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, RecordRef, Space};
use crate::base::random::UniqueIds;
use crate::btree::build::IndexBuilder;
use crate::format::Dialect;
use crate::format::checksum::sampled;
use crate::format::mapping::{Mapping, MappingEntry, MappingSection};
use crate::heap::build::HeapBuilder;
use crate::pager::generation::fresh::{FileRights, FreshRepository};
use crate::pager::leftovers::Leftovers;
use crate::storage::{Directory, Protection};

use crate::pager::lock::WriterLock;

/// Number of bytes of consecutive pages that are written together.
const WRITE_SIZE: usize = 1 << 20;

/// The generation of the built repository: the first of the three files that are written.
const FIRST_GENERATION: u32 = 1;

/// Builds a repository from records and sorted keys. Pages are well filled. The mapping is written
/// last, so there is no repository until [`finish`](Self::finish) has returned. A builder that is
/// dropped earlier removes what it wrote. While it exists no other writer can use the directory.
///
/// ```
/// use cimrepo::store::{BulkBuilder, OpenOptions};
/// use cimrepo::storage::{Directory, MemStorage};
/// # fn main() -> cimrepo::Result<()> {
/// let directory = Directory::new(std::sync::Arc::new(MemStorage::new()), ".");
/// let mut builder = BulkBuilder::create(directory.clone())?;
/// let record = builder.record(b"the bytes of a class definition")?;
/// builder.key(br"NS_A\CD_B", Some(record))?;
/// builder.finish()?;
/// let repository = OpenOptions::new().open_in(&directory)?;
/// assert_eq!(repository.snapshot().record(record)?, b"the bytes of a class definition");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BulkBuilder {
    heap: HeapBuilder,
    index: IndexBuilder,
    pages: Pages,
    // Declared after the pages, so that they are removed under the lock.
    lock: WriterLock,
}

impl BulkBuilder {
    /// Begins a repository in an existing empty directory. Remains of an interrupted restore or
    /// build there are removed. Its files are no more accessible than the directory.
    ///
    /// # Errors
    /// Returns [`Error::InvalidArgument`] if the directory holds anything else, [`Error::Locked`]
    /// while another process writes there, and [`Error::Io`] if the system refuses.
    pub fn create(directory: Directory) -> Result<Self> {
        Self::with_ids(directory, UniqueIds::random(), &Protection::default())
    }

    /// Begins a repository like [`create`](Self::create), for content that only readers of `source`
    /// may see: its files are no more accessible than `source` either.
    ///
    /// # Errors
    /// The errors of [`create`](Self::create).
    pub fn create_from(directory: Directory, source: &Protection) -> Result<Self> {
        Self::with_ids(directory, UniqueIds::random(), source)
    }

    /// Begins a repository like [`create`](Self::create), but derives the record ids, otherwise
    /// random, from `seed`, so that the same input gives the same bytes.
    ///
    /// # Errors
    /// The errors of [`create`](Self::create).
    pub fn create_seeded(directory: Directory, seed: u64) -> Result<Self> {
        Self::with_ids(directory, UniqueIds::seeded(seed), &Protection::default())
    }

    fn with_ids(directory: Directory, ids: UniqueIds, source: &Protection) -> Result<Self> {
        // W-9: everything that is built on is examined under the lock.
        let lock = WriterLock::acquire(&directory, "build")?;
        Leftovers::find(&directory)?.remove(&directory)?;
        let rights = directory
            .protection()
            .through_directory()
            .and(source)
            .for_file();
        let files = FreshRepository::create(directory, FileRights::Alike(rights), 1)?;
        let pages = Pages {
            files,
            spaces: [SpacePages::default(), SpacePages::default()],
        };
        Ok(Self {
            heap: HeapBuilder::new(ids),
            index: IndexBuilder::new(),
            pages,
            lock,
        })
    }

    /// Stores a record and returns the address to put into its keys.
    ///
    /// # Errors
    /// Returns [`Error::Limit`] for a record of more than 64 MiB, and [`Error::Io`] if the system
    /// refuses.
    pub fn record(&mut self, bytes: &[u8]) -> Result<RecordRef> {
        let pages = &mut self.pages;
        self.heap.push(bytes, &mut |page, bytes, free| {
            pages.put(Space::Objects, page, bytes, free)
        })
    }

    /// Adds a key. With a reference its text is `key` followed by `.page.id.size`. Keys must come
    /// in ascending order, and every record must be named by at least one.
    ///
    /// # Errors
    /// Returns [`Error::InvalidArgument`] if the key is out of order or cannot be stored, and
    /// [`Error::Io`] if the system refuses.
    pub fn key(&mut self, key: &[u8], reference: Option<RecordRef>) -> Result<()> {
        // Room for three numbers of at most ten digits.
        let mut text = Vec::with_capacity(key.len() + 36);
        text.extend_from_slice(key);
        if let Some(reference) = reference {
            text.extend_from_slice(format!(".{reference}").as_bytes());
        }
        let pages = &mut self.pages;
        self.index.push(&text, &mut |page, bytes| {
            pages.put(Space::Index, page, bytes, 0)
        })
    }

    /// Completes the repository.
    ///
    /// # Errors
    /// Returns [`Error::InvalidArgument`] if there is no key, and [`Error::Io`] if the system
    /// refuses.
    pub fn finish(self) -> Result<()> {
        // Bound first, so that it is released last.
        let Self {
            lock: _lock,
            heap,
            index,
            mut pages,
        } = self;
        heap.finish(&mut |page, bytes, free| pages.put(Space::Objects, page, bytes, free))?;
        let (root, _) = index.finish(&mut |page, bytes| pages.put(Space::Index, page, bytes, 0))?;
        pages.finish(root)
    }
}

/// Writes the pages of both spaces to the files. The place of each page is its logical number.
#[derive(Debug)]
struct Pages {
    files: FreshRepository,
    spaces: [SpacePages; 2],
}

/// The entries of the pages of a space, and a run of consecutive pages not written yet.
#[derive(Debug, Default)]
struct SpacePages {
    entries: Vec<MappingEntry>,
    run_start: Option<PhysicalPage>,
    run: Vec<u8>,
}

impl Pages {
    fn put(
        &mut self,
        space: Space,
        page: LogicalPage,
        bytes: &PageBytes,
        free_bytes: u32,
    ) -> Result<()> {
        need_room(page)?;
        let Some(physical) = PhysicalPage::new(page.get()) else {
            return Ok(());
        };
        let [objects, index] = &mut self.spaces;
        let pages = if space == Space::Objects {
            objects
        } else {
            index
        };
        if pages.entries.len() <= page.index() {
            pages
                .entries
                .resize(page.index() + 1, MappingEntry::default());
        }
        if let Some(entry) = pages.entries.get_mut(page.index()) {
            *entry = MappingEntry {
                physical: Some(physical),
                checksum: sampled(bytes),
                free_bytes,
                user_data: 0,
                stamp: FIRST_GENERATION,
                last_write: FIRST_GENERATION,
            };
        }
        if pages.run_end() != Some(page.get()) || pages.run.len() >= WRITE_SIZE {
            pages.flush(space, &self.files)?;
            pages.run_start = Some(physical);
        }
        pages.run.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self, root: LogicalPage) -> Result<()> {
        let Self {
            files,
            spaces: [mut objects, mut index],
        } = self;
        objects.flush(Space::Objects, &files)?;
        index.flush(Space::Index, &files)?;
        if let Some(entry) = index.entries.first_mut() {
            entry.user_data = root.get();
        }
        let mapping = Mapping {
            dialect: Dialect::V22,
            objects: objects.section(),
            index: index.section(),
            shutdown_flag: 1,
        };
        files.stage(&mapping)?;
        files.finish()
    }
}

/// Fails for a page number that no mapping can hold.
fn need_room(page: LogicalPage) -> Result<()> {
    let (what, max) = ("the number of logical pages", MAX_LOGICAL_PAGES);
    if page.get() < max {
        Ok(())
    } else {
        Err(Error::Limit {
            what,
            max: max.into(),
            got: u64::from(page.get()) + 1,
        })
    }
}

impl SpacePages {
    /// The number of the page after the run.
    fn run_end(&self) -> Option<u32> {
        self.run_start?
            .get()
            .checked_add(narrow(self.run.len() / PAGE_SIZE))
    }

    fn flush(&mut self, space: Space, files: &FreshRepository) -> Result<()> {
        if let Some(start) = self.run_start.take() {
            files.data().write_pages(space, start, &self.run)?;
            self.run.clear();
        }
        Ok(())
    }

    fn section(self) -> MappingSection {
        debug_assert!(
            self.entries.iter().all(|entry| entry.physical.is_some()),
            "builders leave no gaps"
        );
        MappingSection {
            transaction: FIRST_GENERATION,
            generation: FIRST_GENERATION,
            previous: FIRST_GENERATION - 1,
            physical_pages: narrow(self.entries.len()),
            entries: self.entries,
            free: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_pages_than_a_mapping_can_name_are_refused() {
        let page = |number| LogicalPage::new(number).unwrap();
        assert!(need_room(page(MAX_LOGICAL_PAGES - 1)).is_ok());
        assert!(matches!(
            need_room(page(MAX_LOGICAL_PAGES)),
            Err(Error::Limit { .. })
        ));
    }
}

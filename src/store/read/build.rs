//! The bulk builder: sorted keys with their records in, a valid repository of dialect 2.2 out.

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

/// Bytes of consecutive pages that are written at once.
const WRITE_SIZE: usize = 1 << 20;

/// The generation of what is built: the first of the three files that are written.
const FIRST_GENERATION: u32 = 1;

/// Builds a repository from records and sorted keys. Pages are well filled; the mapping is written
/// last, so until [`finish`](Self::finish) has returned there is no repository. A builder that is
/// dropped before takes away what it wrote. While it lives no other writer gets the directory.
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
    // Behind the pages: they are taken away under the lock.
    lock: WriterLock,
}

impl BulkBuilder {
    /// Begins a repository in an existing empty directory; what an interrupted restore or build
    /// left there is taken away. Its files are no more readable than the directory lets them be.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a directory that holds anything, [`Error::Locked`] while
    /// another process writes there, [`Error::Io`] when the system refuses.
    pub fn create(directory: Directory) -> Result<Self> {
        Self::with_ids(directory, UniqueIds::random(), &Protection::default())
    }

    /// As [`create`](Self::create), of what is for those alone who may read `source`: its files are
    /// no more readable either.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from(directory: Directory, source: &Protection) -> Result<Self> {
        Self::with_ids(directory, UniqueIds::random(), source)
    }

    /// As [`create`](Self::create); the record ids, otherwise random, follow from `seed`, so that
    /// the same input gives the same bytes.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_seeded(directory: Directory, seed: u64) -> Result<Self> {
        Self::with_ids(directory, UniqueIds::seeded(seed), &Protection::default())
    }

    fn with_ids(directory: Directory, ids: UniqueIds, source: &Protection) -> Result<Self> {
        // W-9: what is built on is looked at under the lock.
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

    /// Stores a record; what names it goes into the keys.
    ///
    /// # Errors
    /// [`Error::Limit`] for a record of more than 64 MiB, [`Error::Io`] when the system refuses.
    pub fn record(&mut self, bytes: &[u8]) -> Result<RecordRef> {
        let pages = &mut self.pages;
        self.heap.push(bytes, &mut |page, bytes, free| {
            pages.put(Space::Objects, page, bytes, free)
        })
    }

    /// Adds a key; with a reference its text is `key` followed by `.page.id.size`. Keys come in
    /// ascending order, and each record is named by one at least.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a key out of order or one that cannot be stored,
    /// [`Error::Io`] when the system refuses.
    pub fn key(&mut self, key: &[u8], reference: Option<RecordRef>) -> Result<()> {
        // Three numbers of ten digits at most.
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
    /// [`Error::InvalidArgument`] without any key, [`Error::Io`] when the system refuses.
    pub fn finish(self) -> Result<()> {
        // First here, so given back last.
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

/// The pages of both spaces on their way to the files; each lies where its logical number says.
#[derive(Debug)]
struct Pages {
    files: FreshRepository,
    spaces: [SpacePages; 2],
}

/// What is known of the pages of a space, and a run of consecutive ones that is not written yet.
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

/// Refuses a page that no mapping could name.
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
    /// The page behind the run.
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

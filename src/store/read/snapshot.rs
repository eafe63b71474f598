//! Snapshots: an unchanging view of one generation, owned and shared freely between threads.

use std::sync::Arc;

use crate::base::corruption::Corruption;
use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, RecordRef, Space};
use crate::base::parallel::{both, thread_count};
use crate::btree::scan::{Direction, KeyRange, Scan};
use crate::btree::search;
use crate::btree::survey::survey;
use crate::format::Dialect;
use crate::format::index::key;
use crate::format::index::key::KeyFamily;
use crate::format::mapping::Mapping;
use crate::heap::layout::Records;
use crate::heap::record::{self, RecordView};
use crate::pager::state::image::Image;
use crate::pager::state::survey::{IndexHealth, Survey};
use crate::storage::Protection;

/// An unchanging view of one generation of a repository or backup. Cheap to clone.
///
/// ```
/// # fn main() -> cimrepo::Result<()> {
/// # let directory = cimrepo::Directory::new(std::sync::Arc::new(cimrepo::MemStorage::new()), ".");
/// # cimrepo::create(&directory)?;
/// let engine = cimrepo::EngineOptions::new().open_in(&directory)?;
/// let before = engine.snapshot();
/// let mut writer = engine.begin_catalog_write()?;
/// writer.create_namespace(r"root\Shop")?;
/// writer.commit()?;
/// assert!(!before.catalog().has_namespace(r"root\Shop")?);
/// assert!(engine.snapshot().catalog().has_namespace(r"root\Shop")?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Snapshot {
    image: Arc<Image>,
}

/// Numbers of things in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Counts {
    /// Keys of the index.
    pub keys: u64,
    /// Class definitions: keys `NS_…\CD_…`.
    pub class_definitions: u64,
    /// Instances: keys `NS_…\CI_…\IL_…`.
    pub instances: u64,
    /// Different first tokens of keys: one for each namespace and one for the system classes. For
    /// the number of namespaces that paths can name, use
    /// [`Catalog::namespace_count`](crate::catalog::Catalog::namespace_count).
    pub namespaces: u64,
    /// Records of the object heap, found page by page.
    pub records: u64,
    /// Parts that could not be read during the count.
    pub unreadable: u64,
}

impl Snapshot {
    pub(crate) const fn new(image: Arc<Image>) -> Self {
        Self { image }
    }

    pub(crate) const fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// The generation alone, without the commits of its journals.
    pub(crate) fn on_disk(&self) -> Self {
        Self::new(Arc::new(self.image.on_disk()))
    }

    /// The dialect.
    pub fn dialect(&self) -> Dialect {
        self.image.dialect()
    }

    /// The mapping: generation, transaction, and places of the pages.
    pub fn mapping(&self) -> &Mapping {
        self.image.mapping()
    }

    /// The most permissive protection that a file made from this snapshot may have: the rights
    /// common to the directory and all files of the repository, or to all files of the backup. If
    /// they cannot be determined, the owner alone has access.
    pub fn protection(&self) -> Protection {
        self.image.base().protection()
    }

    /// True if the data file of a space exists.
    pub fn has(&self, space: Space) -> bool {
        self.image.has(space)
    }

    /// True if the index holds exactly this key. An unreadable page hides only its own keys, and
    /// `false` is returned only if every page on the path was read.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`](crate::Error::Corrupt) if a page on the path is damaged and no
    /// intact page holds the key, and [`Error::Io`](crate::Error::Io) if the system refuses.
    pub fn contains_key(&self, key: &[u8]) -> Result<bool> {
        search::contains(&self.image, key)
    }

    /// The keys of a range, in order. An unreadable page appears as an error among them and hides
    /// only its own keys.
    pub fn keys(&self, range: KeyRange, direction: Direction) -> Scan {
        Scan::new(self.image.clone(), range, direction)
    }

    /// The first key that begins with `prefix`, if any. Finds a key whose record address is not
    /// known.
    ///
    /// # Errors
    /// The errors of [`contains_key`](Self::contains_key).
    pub fn find(&self, prefix: &[u8]) -> Result<Option<crate::format::index::key::Key>> {
        let mut failed = None;
        for key in self.keys(KeyRange::prefix(prefix), Direction::Forward) {
            match key {
                Ok(key) => return Ok(Some(key)),
                Err(error) => _ = failed.get_or_insert(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// The extent to which the index can be read, determined by a pass over all its pages on the
    /// first call.
    pub fn index_health(&self) -> IndexHealth {
        survey(&self.image).health()
    }

    /// The extent to which the index can be read, if a scan or look-up of this state has met damage
    /// that hides keys. Costs nothing.
    pub fn index_damage(&self) -> Option<IndexHealth> {
        self.image.known_survey().map(Survey::health)
    }

    /// The bytes of a record.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`](crate::Error::Corrupt) if there is no such record or it is
    /// damaged, and [`Error::Io`](crate::Error::Io) if the system refuses.
    pub fn record(&self, reference: RecordRef) -> Result<Vec<u8>> {
        record::record(&self.image, reference)
    }

    /// The bytes of a record in place: if a single page holds the record, it is not copied, and the
    /// view keeps that page in memory.
    ///
    /// # Errors
    /// The errors of [`record`](Self::record).
    pub fn record_view(&self, reference: RecordRef) -> Result<RecordView> {
        record::view(&self.image, reference)
    }

    /// Total size of the pages of the object heap, in bytes.
    pub(crate) fn heap_bytes(&self) -> u64 {
        u64::from(self.image.logical_pages(Space::Objects)).saturating_mul(PAGE_SIZE as u64)
    }

    /// True if there is a record at this address. Does not read its content.
    pub(crate) fn has_record(&self, reference: RecordRef) -> bool {
        record::is_there(&self.image, reference)
    }

    /// The address of the record that `key` names: that of the first key that consists of `key` and
    /// `.page.id.size`. This is the fast way from the name of an object to its record.
    ///
    /// # Errors
    /// The errors of [`contains_key`](Self::contains_key).
    pub fn reference(&self, key: &[u8]) -> Result<Option<RecordRef>> {
        search::reference(&self.image, key)
    }

    /// All records, found page by page without the index.
    pub fn records(&self) -> Records {
        Records::new(self.image.clone())
    }

    /// A page, if it is mapped, even if its checksum is wrong.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`](crate::Error::Corrupt) if there is no such page, and
    /// [`Error::Io`](crate::Error::Io) if the system refuses.
    pub fn page(&self, space: Space, page: LogicalPage) -> Result<Box<PageBytes>> {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        self.image.read_unchecked(space, page, &mut bytes)?;
        Ok(bytes)
    }

    /// The fault of a page's checksum; `None` also for a page that cannot be read.
    pub fn check_page(&self, space: Space, page: LogicalPage) -> Option<Corruption> {
        self.image
            .check_page(space, page, &*self.page(space, page).ok()?)
            .ok()?
    }

    /// Counts the content of the repository, including the parts that cannot be read.
    pub fn counts(&self) -> Counts {
        self.counts_beside(|| ()).0
    }

    /// Counts the content and runs `more`, which starts after the keys are counted, while the
    /// records may still be counted.
    pub(crate) fn counts_beside<T>(&self, more: impl FnOnce() -> T) -> (Counts, T) {
        // The two passes read different files and are independent. The one over the records takes
        // longer.
        let keys = || (self.count_keys(), more());
        let ((records, unreadable), (counts, more)) =
            both(thread_count(None), || self.count_records(), keys);
        (
            Counts {
                records,
                unreadable: counts.unreadable + unreadable,
                ..counts
            },
            more,
        )
    }

    /// Counts records, and parts of OBJECTS.DATA that cannot be read.
    fn count_records(&self) -> (u64, u64) {
        let (mut records, mut unreadable) = (0, 0);
        if self.has(Space::Objects) {
            self.records().for_each(|record| match record {
                Ok(_) => records += 1,
                Err(_) => unreadable += 1,
            });
        }
        (records, unreadable)
    }

    fn count_keys(&self) -> Counts {
        let mut counts = Counts::default();
        if !self.has(Space::Index) {
            return counts;
        }
        let mut namespace = Vec::new();
        let mut keys = Scan::passing(self.image.clone());
        while let Some(key) = keys.next_text() {
            let Ok(key) = key else {
                counts.unreadable += 1;
                continue;
            };
            counts.keys += 1;
            let (first, family) = key::family(key);
            if namespace != first {
                counts.namespaces += 1;
                namespace = first.to_vec();
            }
            counts.class_definitions += u64::from(family == KeyFamily::ClassDefinition);
            counts.instances += u64::from(family == KeyFamily::Instance);
        }
        counts
    }
}

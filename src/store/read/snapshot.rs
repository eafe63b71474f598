//! A snapshot: one generation, read-only, owned, shared between threads at will.

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

/// One generation of a repository, or of a backup. Cheap to clone; what it shows never changes.
#[derive(Debug, Clone)]
pub struct Snapshot {
    image: Arc<Image>,
}

/// How much a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Counts {
    /// Keys of the index.
    pub keys: u64,
    /// Class definitions: keys `NS_…\CD_…`.
    pub class_definitions: u64,
    /// Instances: keys `NS_…\CI_…\IL_…`.
    pub instances: u64,
    /// Different first tokens of keys: one for each namespace, and one for the system classes. For
    /// people, a [`Catalog`](crate::catalog::Catalog::namespace_count) counts what paths name.
    pub namespaces: u64,
    /// Records of the object heap, found page by page.
    pub records: u64,
    /// Parts that could not be read while counting.
    pub unreadable: u64,
}

impl Snapshot {
    pub(crate) const fn new(image: Arc<Image>) -> Self {
        Self { image }
    }

    pub(crate) const fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// The generation alone, without what a journal holds beyond it.
    pub(crate) fn on_disk(&self) -> Self {
        Self::new(Arc::new(self.image.on_disk()))
    }

    /// The dialect.
    pub fn dialect(&self) -> Dialect {
        self.image.dialect()
    }

    /// The mapping: generation, transaction, what lies where.
    pub fn mapping(&self) -> &Mapping {
        self.image.mapping()
    }

    /// The rights that a file made from what the snapshot shows may have at most: what the
    /// directory and all files of the repository, or all files of the backup, let do. Where they
    /// cannot be found out, those of the owner alone.
    pub fn protection(&self) -> Protection {
        self.image.base().protection()
    }

    /// True if the data file of a space is there.
    pub fn has(&self, space: Space) -> bool {
        self.image.has(space)
    }

    /// Whether the index holds exactly this key. A page that cannot be read hides only the keys it
    /// holds itself, and `false` is said only when every page on the way was read.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) when a page on the way is damaged and no whole
    /// page holds the key, [`Error::Io`](crate::Error::Io) when the system refuses.
    pub fn contains_key(&self, key: &[u8]) -> Result<bool> {
        search::contains(&self.image, key)
    }

    /// The keys of a range, in order. A page that cannot be read is an error among them, and hides
    /// only the keys it holds itself.
    pub fn keys(&self, range: KeyRange, direction: Direction) -> Scan {
        Scan::new(self.image.clone(), range, direction)
    }

    /// The first key that begins with `prefix`, if any: how a key is found whose record reference
    /// is not known.
    ///
    /// # Errors
    /// As [`contains_key`](Self::contains_key).
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

    /// How much of the index can be read, found by a pass over all its pages the first time.
    pub fn index_health(&self) -> IndexHealth {
        survey(&self.image).health()
    }

    /// The same, if a scan or a look-up of this state has come to damage of the index that hides
    /// keys; costs nothing.
    pub fn index_damage(&self) -> Option<IndexHealth> {
        self.image.known_survey().map(Survey::health)
    }

    /// The bytes of a record.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) when there is no such record or it is damaged,
    /// [`Error::Io`](crate::Error::Io) when the system refuses.
    pub fn record(&self, reference: RecordRef) -> Result<Vec<u8>> {
        record::record(&self.image, reference)
    }

    /// The bytes of a record as they lie in memory: no copy is made of one that a single page
    /// holds. It keeps that page.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn record_view(&self, reference: RecordRef) -> Result<RecordView> {
        record::view(&self.image, reference)
    }

    /// Bytes that the pages of the object heap take together.
    pub(crate) fn heap_bytes(&self) -> u64 {
        u64::from(self.image.logical_pages(Space::Objects)).saturating_mul(PAGE_SIZE as u64)
    }

    /// True if there is a record where a key says, without reading what it holds.
    pub(crate) fn has_record(&self, reference: RecordRef) -> bool {
        record::is_there(&self.image, reference)
    }

    /// The record that `key` names: that of the first key which goes on behind `key` with
    /// `.page.id.size` and nothing else. The fast way from the name of a thing to its record.
    ///
    /// # Errors
    /// As [`contains_key`](Self::contains_key).
    pub fn reference(&self, key: &[u8]) -> Result<Option<RecordRef>> {
        search::reference(&self.image, key)
    }

    /// All records, found page by page without the index.
    pub fn records(&self) -> Records {
        Records::new(self.image.clone())
    }

    /// A page, if it is mapped, whether or not its checksum fits.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) when there is no such page,
    /// [`Error::Io`](crate::Error::Io) when the system refuses.
    pub fn page(&self, space: Space, page: LogicalPage) -> Result<Box<PageBytes>> {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        self.image.read_unchecked(space, page, &mut bytes)?;
        Ok(bytes)
    }

    /// What is wrong with the checksum of a page; nothing for a page that cannot be read.
    pub fn check_page(&self, space: Space, page: LogicalPage) -> Option<Corruption> {
        self.image
            .check_page(space, page, &*self.page(space, page).ok()?)
            .ok()?
    }

    /// Counts what the repository holds. What cannot be read is counted as that.
    pub fn counts(&self) -> Counts {
        self.counts_beside(|| ()).0
    }

    /// The same, and what `more` gives. It runs after the keys are counted, while the records may
    /// still be.
    pub(crate) fn counts_beside<T>(&self, more: impl FnOnce() -> T) -> (Counts, T) {
        // Both are a pass over a file, and neither waits for the other. The one over the records
        // takes longer.
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

    /// Records, and parts of OBJECTS.DATA that cannot be read.
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

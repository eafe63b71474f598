//! A run over the objects of a snapshot that reads each record once, however many keys name it. An
//! observer may end it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{Catalog, Counted};
use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::page_no::{PAGE_SIZE, RecordRef, Space};
use crate::base::progress::{Observer, Phase, Progress};
use crate::base::widen;
use crate::btree::scan::Scan;
use crate::format::heap::page::{is_multi_page, pages_of};
use crate::format::index::key::Key;

/// The records that a run has read. A class has one key in its family of keys, an instance has one
/// key in each of its two families. So a run over one family meets every honest record once.
#[derive(Default)]
pub(super) struct Run {
    met: Mutex<Met>,
}

#[derive(Default)]
struct Met {
    records: HashSet<RecordRef>,
    /// For each page with several records, the bytes of records that have been read.
    pages: HashMap<u32, usize>,
    /// Pages of records that take more than one page. They are kept apart, so that one large record
    /// cannot hide small ones.
    whole_pages: HashSet<u32>,
    /// Bytes that were read again because they belong to the pages of another record.
    shared: u64,
}

/// The observer of a run, with the progress.
pub(super) struct Watch {
    observer: Arc<dyn Observer + Send>,
    steps: AtomicU64,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl Watch {
    fn step(&self) -> Result<()> {
        let done = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        match self
            .observer
            .progress(Progress {
                phase: Phase::Read,
                done,
                total: 0,
            })
            .is_break()
        {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }
}

impl Catalog {
    /// The same objects, observed: `observer` is asked at each key and each class on the way. Once
    /// it says to stop, all reading ends with [`Error::Cancelled`]. The number of steps is not
    /// known beforehand, so the total is 0.
    #[must_use]
    pub fn observed(&self, observer: Arc<dyn Observer + Send>) -> Self {
        let watch = Watch {
            observer,
            steps: AtomicU64::new(0),
        };
        Self {
            watch: Some(Arc::new(watch)),
            ..self.clone()
        }
    }

    /// The same objects for a single run over them. Listings of classes or instances read each
    /// record once. A key that names a record again yields an error with the code
    /// [`RecordShared`](CorruptionCode::RecordShared) and costs nothing else. So no listing is
    /// larger than the content of the files, however many keys name one record. Classes and
    /// instances are counted separately.
    #[must_use]
    pub fn each_once(&self) -> Self {
        Self {
            runs: Some(Arc::default()),
            ..self.clone()
        }
    }

    /// Asks the observer whether to go on.
    pub(super) fn step_watch(&self) -> Result<()> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch.step())
    }

    /// Fails if a run may not read the record of a key.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] if it was read under another key already.
    pub(crate) fn admit(&self, family: Family, key: &Key, record: RecordRef) -> Result<()> {
        let Some(runs) = &self.runs else {
            return Ok(());
        };
        let run = match family {
            Family::Classes => &runs.classes,
            Family::Instances => &runs.instances,
        };
        let mut met = run.met.lock();
        if !met.records.insert(record) {
            return Err(self.shared(record, || format!("also named by the key {key}")));
        }
        // A reference that leads nowhere claims nothing; reading it reports the fault.
        if !self.snapshot.has_record(record) || met.claim(record, self.snapshot.heap_bytes()) {
            return Ok(());
        }
        Err(self.shared(record, || {
            "its pages are those of records that were read already".to_owned()
        }))
    }

    pub(super) fn shared(&self, record: RecordRef, detail: impl FnOnce() -> String) -> Error {
        let site = self.snapshot.image().site(Space::Objects, record.page);
        let detail = format!("record {}: {}", record.id, detail());
        Corruption::new(CorruptionCode::RecordShared, site, detail).into()
    }
}

/// The family of keys that a scan lists.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Family {
    Classes,
    Instances,
}

impl Family {
    pub(crate) const fn counted(self) -> Counted {
        match self {
            Family::Classes => Counted::Classes,
            Family::Instances => Counted::Instances,
        }
    }
}

/// The keys of a scan, each of which is a step. There are no more after the observer has ended it.
#[derive(Debug)]
pub(super) struct Keys {
    scan: Scan,
    watch: Option<Arc<Watch>>,
    is_over: bool,
}

impl Keys {
    pub(super) const fn new(scan: Scan, watch: Option<Arc<Watch>>) -> Self {
        Self {
            scan,
            watch,
            is_over: false,
        }
    }
}

impl Iterator for Keys {
    type Item = Result<Key>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        if let Some(Err(cancelled)) = self.watch.as_ref().map(|watch| watch.step()) {
            self.is_over = true;
            return Some(Err(cancelled));
        }
        self.scan.next()
    }
}

/// The runs over both families of keys.
#[derive(Default)]
pub(super) struct Runs {
    classes: Run,
    instances: Run,
}

impl Met {
    /// Claims the bytes of a record. Honest records share none. Overlapping ones are tolerated
    /// until as many bytes were read twice as the heap has, so that a damaged page does not hide
    /// its neighbours.
    fn claim(&mut self, record: RecordRef, heap: u64) -> bool {
        let size = widen(record.size);
        let is_shared = if is_multi_page(record.size) {
            !self.claim_pages(record)
        } else {
            let claimed = self.pages.entry(record.page.get()).or_default();
            *claimed = claimed.saturating_add(size);
            *claimed > PAGE_SIZE
        };
        if is_shared {
            self.shared = self.shared.saturating_add(record.size.into());
        }
        !is_shared || self.shared <= heap
    }

    /// Claims all pages of a record that takes several. Stops at the first that belongs to another.
    fn claim_pages(&mut self, record: RecordRef) -> bool {
        let mut pages =
            (0..pages_of(record.size)).filter_map(|number| record.page.checked_add(number));
        pages.all(|page| self.whole_pages.insert(page.get()))
    }
}

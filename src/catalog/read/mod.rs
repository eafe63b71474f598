//! What the keys and records of a snapshot mean: namespaces, classes with what they inherit,
//! instances, references.

mod census;
mod classes;
mod compose;
pub mod diff;
mod elsewhere;
mod instances;
#[cfg(feature = "serde")]
pub mod json;
pub mod keys;
mod namespace_count;
mod namespaces;
mod naming;
mod objects;
mod owners;
mod ranges;
mod references;
mod run;
mod security;
mod twins;
mod usage;

use std::fmt;
use std::sync::Arc;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::page_no::{RecordRef, Space};
use crate::btree::scan::{Direction, KeyRange};
use crate::format::Dialect;
use crate::format::index::object_key::{ObjectKeys, SYSTEM_NAMESPACE};
use crate::format::name_hash::NameHash;
use crate::format::record::reader::BadRecord;
use crate::store::{Repository, Snapshot};

pub use census::{Census, Counted, Grouped, IndexState, Tally};
pub use classes::StoredClass;
use compose::Composed;
use elsewhere::Elsewhere;
pub(crate) use instances::Located;
pub use instances::{Instances, StoredInstance};
pub use namespace_count::NamespaceCount;
pub use namespaces::{Hidden, Namespaces, ROOT};
pub(crate) use namespaces::{NAMESPACE_CLASS, is_possible};
pub use objects::{KeyFault, ObjectKey};
use owners::Owners;
pub(crate) use ranges::{ClassesByHash, InstanceRange, RangeInstances};
pub use references::Referrer;
pub(crate) use run::Family;
use run::{Keys, Runs, Watch};
pub use security::StoredSecurity;
pub use usage::{ClassUsage, NamespaceUsage, Share};

/// The objects of a snapshot. Cheap to clone; clones share the classes that were put together. As a
/// snapshot never changes, nor does what a catalog shows.
#[derive(Clone)]
pub struct Catalog {
    snapshot: Snapshot,
    keys: ObjectKeys,
    /// The hash of the namespace of the system classes.
    system: NameHash,
    composed: Arc<Composed>,
    /// Which class records answer to which names, in this state.
    owners: Arc<Owners>,
    /// Where classes lie in this state, for instances that lost theirs.
    elsewhere: Arc<Elsewhere>,
    /// True if a class that lacks an ancestor is an error.
    is_strict: bool,
    /// Who is asked whether to go on.
    watch: Option<Arc<Watch>>,
    /// The records that this run has read.
    runs: Option<Arc<Runs>>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog")
            .field("snapshot", &self.snapshot)
            .finish_non_exhaustive()
    }
}

impl Repository {
    /// The objects of the state that was opened. Each call gives a catalog of its own, with nothing
    /// in its cache: keep one, or clone it.
    pub fn catalog(&self) -> Catalog {
        Catalog::new(self.snapshot())
    }
}

impl Snapshot {
    /// The objects of the snapshot; see [`Catalog::new`].
    pub fn catalog(&self) -> Catalog {
        Catalog::new(self.clone())
    }
}

impl Catalog {
    /// The objects of a snapshot. A class whose superclass is lost has what it declares itself, and
    /// is marked [partial](crate::cim::FullClass::is_partial).
    pub fn new(snapshot: Snapshot) -> Self {
        let keys = ObjectKeys::new(snapshot.dialect());
        let system = keys.hash(SYSTEM_NAMESPACE);
        let composed = Arc::new(Composed::new(snapshot.heap_bytes()));
        let (owners, elsewhere) = (Arc::default(), Arc::default());
        Self {
            snapshot,
            keys,
            system,
            composed,
            owners,
            elsewhere,
            is_strict: false,
            watch: None,
            runs: None,
        }
    }

    /// The objects of a snapshot that are whole: a class whose superclass is lost is an error. So
    /// writers, and those that verify, take nothing for granted.
    pub(crate) fn strict(snapshot: Snapshot) -> Self {
        Self {
            is_strict: true,
            ..Self::new(snapshot)
        }
    }

    /// The same objects, but those that are partial: a class whose superclass is lost is an error.
    #[must_use]
    pub fn whole_only(&self) -> Self {
        Self {
            is_strict: true,
            ..self.clone()
        }
    }

    /// The objects of a later state, with the classes that are known already: those that have
    /// changed since have to be [forgotten](Self::forget).
    pub(crate) fn moved_to(&self, snapshot: Snapshot) -> Self {
        // A record that goes leaves its place to another.
        Self {
            snapshot,
            owners: Arc::default(),
            elsewhere: Arc::default(),
            ..self.clone()
        }
    }

    /// Puts a class together anew when it is wanted again.
    pub(crate) fn forget(&self, namespace: &str, class: &str) {
        self.composed
            .forget(&(self.keys.namespace_hash(namespace), self.keys.hash(class)));
    }

    /// As [`forget`](Self::forget), for all classes.
    pub(crate) fn forget_all(&self) {
        self.composed.clear();
    }

    /// The snapshot.
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The builder of its keys.
    pub const fn keys(&self) -> &ObjectKeys {
        &self.keys
    }

    /// The dialect.
    pub fn dialect(&self) -> Dialect {
        self.snapshot.dialect()
    }

    fn scan(&self, prefix: &str) -> Keys {
        let scan = self
            .snapshot
            .keys(KeyRange::prefix(prefix.as_bytes()), Direction::Forward);
        Keys::new(scan, self.watch.clone())
    }

    /// The record that the key with this text names, whatever the record is.
    fn record_of(&self, key: &str) -> Result<Option<RecordRef>> {
        self.snapshot.reference(key.as_bytes())
    }

    /// The error for a record that cannot be understood.
    pub(crate) fn bad(&self, code: CorruptionCode, reference: RecordRef, bad: BadRecord) -> Error {
        self.bad_record(code, reference, bad).into()
    }

    /// What is wrong with a record that cannot be understood.
    fn bad_record(&self, code: CorruptionCode, reference: RecordRef, bad: BadRecord) -> Corruption {
        let site = self.snapshot.image().site(Space::Objects, reference.page);
        Corruption::new(code, site, format!("record {}: {bad}", reference.id))
    }
}

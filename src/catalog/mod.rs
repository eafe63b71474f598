//! What the keys and records of a snapshot mean: namespaces, classes with what they inherit, instances, references.

mod classes;
pub mod diff;
mod instances;
#[cfg(feature = "serde")]
pub mod json;
pub mod keys;
mod namespaces;
mod references;
mod security;
mod usage;

use std::fmt;
use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::page_no::{RecordRef, Space};
use crate::btree::scan::{Direction, KeyRange, Scan};
use crate::format::Dialect;
use crate::format::name_hash::NameHash;
use crate::format::object_key::{ObjectKeys, SYSTEM_NAMESPACE};
use crate::format::record_reader::BadRecord;
use crate::repository::Snapshot;

pub use classes::StoredClass;
pub(crate) use instances::Located;
pub use instances::{Instances, StoredInstance};
pub(crate) use namespaces::NAMESPACE_CLASS;
pub use namespaces::ROOT;
pub use references::Referrer;
pub use security::StoredSecurity;
pub use usage::{ClassUsage, NamespaceUsage, Share};

/// Classes that are kept put together. A real repository has 4,000 to 7,000.
const CACHED_CLASSES: usize = 16_384;

/// The objects of a snapshot. Cheap to clone; clones share the classes that were put together. As a snapshot never changes,
/// nor does what a catalog shows.
#[derive(Clone)]
pub struct Catalog {
    snapshot: Snapshot,
    keys: ObjectKeys,
    /// The hash of the namespace of the system classes.
    system: NameHash,
    classes: Arc<Cache<(NameHash, NameHash), Arc<StoredClass>>>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

impl Catalog {
    /// The objects of a snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        let keys = ObjectKeys::new(snapshot.dialect());
        let system = keys.hash(SYSTEM_NAMESPACE);
        Self { snapshot, keys, system, classes: Arc::new(Cache::new(CACHED_CLASSES)) }
    }

    /// The objects of a later state, with the classes that are known already: those that have changed since have to be
    /// [forgotten](Self::forget).
    pub(crate) fn moved_to(&self, snapshot: Snapshot) -> Self {
        Self { snapshot, ..self.clone() }
    }

    /// Puts a class together anew when it is wanted again.
    pub(crate) fn forget(&self, namespace: &str, class: &str) {
        self.classes.remove(&(self.keys.hash(namespace), self.keys.hash(class)));
    }

    /// As [`forget`](Self::forget), for all classes.
    pub(crate) fn forget_all(&self) {
        self.classes.clear();
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

    fn scan(&self, prefix: &str) -> Scan {
        self.snapshot.keys(KeyRange::prefix(prefix.as_bytes()), Direction::Forward)
    }

    /// The record that the key with this text names, whatever the record is.
    fn record_of(&self, key: &str) -> Result<Option<RecordRef>> {
        self.snapshot.reference(key.as_bytes())
    }

    /// The error for a record that cannot be understood.
    pub(crate) fn bad(&self, code: CorruptionCode, reference: RecordRef, bad: BadRecord) -> Error {
        let site = self.snapshot.image().site(Space::Objects, reference.page);
        Corruption::new(code, site, format!("record {}: {bad}", reference.id)).into()
    }
}

//! Decoding of the keys and records of a snapshot: namespaces, classes with what they inherit,
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

/// The objects of a snapshot. Cheap to clone; clones share the cache of composed classes. Like the
/// snapshot, its content never changes.
///
/// ```no_run
/// # fn main() -> cimrepo::Result<()> {
/// let catalog = cimrepo::Repository::open_read_only("wbem/Repository")?.catalog();
/// let path = "__Win32Provider.Name=\"CIMWin32\"".parse()?;
/// if let Some(stored) = catalog.instance(r"root\cimv2", &path)? {
///     println!("{}: written {}", path, stored.stamp);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Catalog {
    snapshot: Snapshot,
    keys: ObjectKeys,
    /// The hash of the namespace of the system classes.
    system: NameHash,
    composed: Arc<Composed>,
    /// The names to which the records of classes belong, in this state.
    owners: Arc<Owners>,
    /// Places of classes in this state, for instances that lost theirs.
    elsewhere: Arc<Elsewhere>,
    /// True if a class that lacks an ancestor is an error.
    is_strict: bool,
    /// The observer that decides whether to go on.
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
    /// The objects of the state that was opened. Each call returns a new catalog with an empty
    /// cache, so keep one or clone it.
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
    /// The objects of a snapshot. A class whose superclass is lost has only its own declaration and
    /// is marked as [partial](crate::cim::FullClass::is_partial).
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

    /// The complete objects of a snapshot: a class whose superclass is lost is an error. Writers
    /// and verification use this catalog.
    pub(crate) fn strict(snapshot: Snapshot) -> Self {
        Self {
            is_strict: true,
            ..Self::new(snapshot)
        }
    }

    /// The same objects except partial ones: a class whose superclass is lost is an error.
    #[must_use]
    pub fn whole_only(&self) -> Self {
        Self {
            is_strict: true,
            ..self.clone()
        }
    }

    /// The objects of a later state, keeping the cached classes. Changed classes must be
    /// [forgotten](Self::forget).
    pub(crate) fn moved_to(&self, snapshot: Snapshot) -> Self {
        // A removed record leaves its place to another, so knowledge by place is dropped.
        Self {
            snapshot,
            owners: Arc::default(),
            elsewhere: Arc::default(),
            ..self.clone()
        }
    }

    /// Removes a class from the cache, so that it is composed again when needed.
    pub(crate) fn forget(&self, namespace: &str, class: &str) {
        self.composed
            .forget(&(self.keys.namespace_hash(namespace), self.keys.hash(class)));
    }

    /// Removes all classes from the cache.
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

    /// The address of the record that the key with this text names, whatever the record is.
    fn record_of(&self, key: &str) -> Result<Option<RecordRef>> {
        self.snapshot.reference(key.as_bytes())
    }

    /// The error for a record that cannot be decoded.
    pub(crate) fn bad(&self, code: CorruptionCode, reference: RecordRef, bad: BadRecord) -> Error {
        self.bad_record(code, reference, bad).into()
    }

    /// The finding for a record that cannot be decoded.
    fn bad_record(&self, code: CorruptionCode, reference: RecordRef, bad: BadRecord) -> Corruption {
        let site = self.snapshot.image().site(Space::Objects, reference.page);
        Corruption::new(code, site, format!("record {}: {bad}", reference.id))
    }
}

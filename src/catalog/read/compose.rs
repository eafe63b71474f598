//! Composition of classes with what they inherit, over chains of superclasses that may be cut,
//! endless or hostile.
//!
//! A class whose superclass is unavailable is composed of its own declaration and what is left
//! above it, and is marked as partial. Failures are remembered, so that each of many classes below
//! a lost one costs only a constant after its parent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::Catalog;
use super::classes::{Place, StoredClass};
use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::filetime::FileTime;
use crate::base::limits::{MAX_CLASS_DEPTH, MAX_DECODED_FACTOR};
use crate::base::page_no::RecordRef;
use crate::cim::name::Name;
use crate::format::name_hash::NameHash;
use crate::format::record::class_record::ClassRecordView;
use crate::format::record::reader::BadRecord;
use crate::heap::record::RecordView;

/// Usual number of classes that are cached in composed form. A real repository has 4,000 to 7,000.
const USUAL_CLASSES: usize = 16_384;

/// Size of the records whose classes are cached, for a heap of `heap` bytes. There is room for
/// every class in the heap, so that none is decoded twice. The cache has several parts, each of
/// which must be able to hold the largest class.
const fn cache_bytes(heap: u64) -> u64 {
    const LEAST: u64 = 64 << 20;
    heap.saturating_mul(8).saturating_add(LEAST)
}

/// Identifies a class by the hashes of its namespace and its name.
type ClassId = (NameHash, NameHash);

/// Weighs a class by the length of its record, of which its memory is a small multiple
/// ([`MAX_DECODED_FACTOR`]), plus what it repeats of its superclass.
#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<ClassId, Arc<StoredClass>> for Bytes {
    fn weight(&self, _: &ClassId, class: &Arc<StoredClass>) -> u64 {
        let inherited = class.class.inherited_bytes() / MAX_DECODED_FACTOR;
        u64::from(class.record.size)
            .saturating_add(inherited as u64)
            .saturating_add(64)
    }
}

const MISNAMED: BadRecord = BadRecord {
    offset: 0,
    what: "its key is that of a class with another name",
};

const TOO_LONG: &str = "the chain of superclasses is too long, or has no end";

/// The composed classes of a state, and the known failures.
pub(super) struct Composed {
    classes: Cache<ClassId, Arc<StoredClass>, Bytes>,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    /// Classes whose record cannot be read.
    unreadable: HashMap<ClassId, Arc<Corruption>>,
    /// Classes composed without their superclass, because the chain above them is too long or
    /// endless.
    cuts: HashSet<ClassId>,
}

impl Composed {
    /// Creates a cache for the classes of a heap of this many bytes.
    pub(super) fn new(heap: u64) -> Self {
        let classes = Cache::with_weighter(USUAL_CLASSES, cache_bytes(heap), Bytes);
        Self {
            classes,
            trouble: Mutex::new(Trouble::default()),
        }
    }

    pub(super) fn get(&self, id: &ClassId) -> Option<Arc<StoredClass>> {
        self.classes.get(id)
    }

    pub(super) fn forget(&self, id: &ClassId) {
        self.classes.remove(id);
        *self.trouble.lock() = Trouble::default();
    }

    pub(super) fn clear(&self) {
        self.classes.clear();
        *self.trouble.lock() = Trouble::default();
    }

    fn unreadable(&self, id: &ClassId) -> Option<Arc<Corruption>> {
        self.trouble.lock().unreadable.get(id).cloned()
    }

    fn is_cut(&self, id: &ClassId) -> bool {
        self.trouble.lock().cuts.contains(id)
    }
}

/// A class on the path to its topmost superclass.
struct Step {
    place: Place,
    /// Its identity; `None` if it is read only by its record and must not be cached.
    id: Option<ClassId>,
    record: RecordRef,
    bytes: RecordView,
    superclass: Option<Name>,
}

/// The place where a class was found.
enum Located {
    /// Composed already.
    Composed(Arc<StoredClass>),
    /// In a record, looked up from a place.
    Record(Place, RecordRef),
}

/// The part above the last class of a chain.
enum Above {
    /// Nothing.
    Top,
    /// A class that has been composed already.
    Class(Arc<StoredClass>),
    /// A superclass that is unavailable, and the reason.
    Lost(Arc<Corruption>),
}

impl Catalog {
    /// The class with this name in a place or, failing that, among the system classes.
    pub(super) fn resolve(&self, place: Place, name: NameHash) -> Result<Option<Arc<StoredClass>>> {
        match self.locate(place, name)? {
            Some(Located::Composed(class)) => self.accept(class).map(Some),
            Some(Located::Record(at, record)) => self.compose(at, Some(name), record).map(Some),
            None => Ok(None),
        }
    }

    /// Finds the class with this name: in the given place or, failing that, among the system
    /// classes.
    fn locate(&self, place: Place, name: NameHash) -> Result<Option<Located>> {
        let mut hidden = None;
        for at in [place, Place::system(self)] {
            if let Some(class) = self.composed.get(&(at.hash, name)) {
                return Ok(Some(Located::Composed(class)));
            }
            match self.record_of(&format!(r"NS_{}\CD_{name}", at.hash)) {
                Ok(Some(record)) => return Ok(Some(Located::Record(at, record))),
                Ok(None) => {}
                // If damage hides whether the namespace has the class, the system classes may still
                // have it.
                Err(error) => _ = hidden.get_or_insert(error),
            }
        }
        hidden.map_or(Ok(None), Err)
    }

    /// Composes the class in a record. It is cached if its name is given; its superclasses always
    /// are.
    pub(super) fn compose(
        &self,
        place: Place,
        name: Option<NameHash>,
        record: RecordRef,
    ) -> Result<Arc<StoredClass>> {
        let (mut chain, mut above) = self.climb(place, name, record)?;
        while let Some(step) = chain.pop() {
            let class = Arc::new(self.compose_step(&step, &above)?);
            if let Some(id) = step.id {
                self.composed.classes.insert(id, class.clone());
            }
            above = Above::Class(class);
        }
        match above {
            Above::Class(class) => self.accept(class),
            // The chain contains at least the class itself, so this cannot happen.
            Above::Top | Above::Lost(_) => {
                Err(self.bad(CorruptionCode::RecordClass, record, no_end()))
            }
        }
    }

    /// Rejects a partial class in a strict catalog. Writers and verifications use one.
    pub(super) fn accept(&self, class: Arc<StoredClass>) -> Result<Arc<StoredClass>> {
        match &class.damage {
            Some(damage) if self.is_strict => Err(Error::Corrupt(Box::new((**damage).clone()))),
            _ => Ok(class),
        }
    }

    /// The chain from this class up to the first class that need not be composed, and the part
    /// above it.
    fn climb(
        &self,
        place: Place,
        name: Option<NameHash>,
        record: RecordRef,
    ) -> Result<(Vec<Step>, Above)> {
        let first = self.step(place, name.map(|name| (place.hash, name)), record)?;
        let mut chain = vec![first];
        let mut seen = HashSet::new();
        loop {
            let Some(last) = chain.last() else {
                return Ok((chain, Above::Top));
            };
            if last.id.is_some_and(|id| self.composed.is_cut(&id)) {
                let lost = self.bad_class(last.record, no_end());
                return Ok((chain, Above::Lost(lost)));
            }
            let Some(superclass) = &last.superclass else {
                return Ok((chain, Above::Top));
            };
            match self.climb_one(last.place, superclass.as_str(), last.record)? {
                Ok(step) => {
                    // Real chains are short, so only long ones are tested for a cycle.
                    let is_endless = chain.len() > MAX_CLASS_DEPTH && {
                        seen.extend(chain.iter().skip(seen.len()).filter_map(|step| step.id));
                        step.id.is_some_and(|id| seen.contains(&id))
                    };
                    if is_endless {
                        self.cut_circle(&mut chain, &step);
                        continue;
                    }
                    chain.push(step);
                }
                Err(above) => return Ok((chain, above)),
            }
        }
    }

    /// Drops the cycle from the chain and marks each class on it, so that none inherits from
    /// another. `first` is on the cycle.
    fn cut_circle(&self, chain: &mut Vec<Step>, first: &Step) {
        let start = chain
            .iter()
            .position(|step| step.id == first.id)
            .unwrap_or(0);
        let circle = chain.iter().skip(start).filter_map(|step| step.id);
        self.composed.trouble.lock().cuts.extend(circle);
        chain.truncate(start + 1);
    }

    /// The superclass with this name as seen from a place, or the reason why there is none.
    fn climb_one(
        &self,
        place: Place,
        superclass: &str,
        record: RecordRef,
    ) -> Result<Result<Step, Above>> {
        let name = self.keys.hash(superclass);
        let found = self.locate(place, name).and_then(|found| match found {
            Some(Located::Composed(class)) => Ok(Err(Above::Class(class))),
            Some(Located::Record(at, record)) => {
                self.step(at, Some((at.hash, name)), record).map(Ok)
            }
            None => {
                let missing = BadRecord {
                    offset: 4,
                    what: "the superclass is not there",
                };
                Ok(Err(Above::Lost(self.bad_class(record, missing))))
            }
        });
        match found {
            Err(Error::Corrupt(damage)) => Ok(Err(Above::Lost(Arc::new(*damage)))),
            found => found,
        }
    }

    fn step(&self, place: Place, id: Option<ClassId>, record: RecordRef) -> Result<Step> {
        if let Some(damage) = id.and_then(|id| self.composed.unreadable(&id)) {
            return Err(Error::Corrupt(Box::new((*damage).clone())));
        }
        let read = || {
            self.step_watch()?;
            self.may_read(id, record)?;
            let bytes = self.snapshot.record_view(record)?;
            let bad = |bad| self.bad(CorruptionCode::RecordClass, record, bad);
            let view = ClassRecordView::parse(&bytes).map_err(bad)?;
            self.check_name(id, record, &view)?;
            let superclass = view.superclass().map_err(bad)?;
            Ok(Step {
                place,
                id,
                record,
                bytes,
                superclass: superclass.map(Name::from),
            })
        };
        read().inspect_err(|error| self.remember(id, error))
    }

    /// Fails if the record is known to belong to another name, or was decoded for too many
    /// namespaces.
    fn may_read(&self, id: Option<ClassId>, record: RecordRef) -> Result<()> {
        let Some((namespace, name)) = id else {
            return Ok(());
        };
        if !self.owners.may_be(record, name) {
            return Err(self.bad(CorruptionCode::RecordClass, record, MISNAMED));
        }
        match self
            .owners
            .admit(record, namespace, self.snapshot.heap_bytes())
        {
            true => Ok(()),
            false => Err(self.shared(record, || "keys of too many namespaces name it".to_owned())),
        }
    }

    /// Fails if a record was looked up under a name other than its own.
    fn check_name(
        &self,
        id: Option<ClassId>,
        record: RecordRef,
        view: &ClassRecordView<'_>,
    ) -> Result<()> {
        let bad = |bad| self.bad(CorruptionCode::RecordClass, record, bad);
        let Some((_, name)) = id else { return Ok(()) };
        let own = view
            .class_part()
            .name()
            .map_err(bad)?
            .map(|name| name.to_text())
            .unwrap_or_default();
        let own = self.keys.hash(&own);
        if own == name {
            return Ok(());
        }
        self.owners.note_name(record, own);
        Err(bad(MISNAMED))
    }

    fn remember(&self, id: Option<ClassId>, error: &Error) {
        if let (Some(id), Error::Corrupt(damage)) = (id, error) {
            self.composed
                .trouble
                .lock()
                .unreadable
                .insert(id, Arc::new((**damage).clone()));
        }
    }

    fn compose_step(&self, step: &Step, above: &Above) -> Result<StoredClass> {
        let bad = |bad| self.bad(CorruptionCode::RecordClass, step.record, bad);
        let view = ClassRecordView::parse(&step.bytes).map_err(bad)?;
        let stored = |class, damage| StoredClass {
            class: Arc::new(class),
            is_system: step.place.is_system,
            stamp: FileTime(view.stamp()),
            record: step.record,
            damage,
        };
        let (parent, damage) = match above {
            Above::Top => (None, None),
            Above::Lost(damage) => (None, Some(damage.clone())),
            // The depth of partial and cut classes is that of what is left of their chains.
            Above::Class(class) if widen_level(class) + 1 >= MAX_CLASS_DEPTH => {
                let cut = self.bad_class(step.record, no_end());
                if let Some(id) = step.id {
                    self.composed.trouble.lock().cuts.insert(id);
                }
                (None, Some(cut))
            }
            Above::Class(class) => (Some(class.class.clone()), class.damage.clone()),
        };
        let Some(superclass) = &step.superclass else {
            return view
                .to_class(None)
                .map(|class| stored(class, None))
                .map_err(bad);
        };
        let whole = match (&parent, &damage) {
            (Some(parent), None) => match view.to_class(Some(parent.clone())) {
                Ok(class) => return Ok(stored(class, None)),
                Err(fault) => Err(fault),
            },
            (parent, Some(_)) => view.partial_class(parent.clone(), superclass.clone()),
            (None, None) => Err(no_end()),
        };
        // A class that is incompatible with its superclass still has its own declaration.
        whole
            .map(|class| stored(class, damage.clone()))
            .or_else(|fault| {
                let alone = view
                    .partial_class(None, superclass.clone())
                    .map_err(|_| bad(fault));
                let damage = damage
                    .clone()
                    .unwrap_or_else(|| self.bad_class(step.record, fault));
                alone.map(|class| stored(class, Some(damage)))
            })
            .inspect_err(|error| self.remember(step.id, error))
    }

    fn bad_class(&self, record: RecordRef, bad: BadRecord) -> Arc<Corruption> {
        Arc::new(self.bad_record(CorruptionCode::RecordClass, record, bad))
    }
}

fn widen_level(class: &StoredClass) -> usize {
    crate::base::widen(class.class.level())
}

const fn no_end() -> BadRecord {
    BadRecord {
        offset: 0,
        what: TOO_LONG,
    }
}

//! Instances whose class is unavailable. They are decoded with a class of the same name in another
//! namespace if the key of the instance proves that it fits, or else shown with what their record
//! says by itself. Source: `docs::objects`, "What damage leaves".

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::classes::Place;
use super::{Catalog, StoredInstance};
use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::filetime::FileTime;
use crate::base::page_no::RecordRef;
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::name::Name;
use crate::format::index::object_key::KeyShape;
use crate::format::name_hash::NameHash;
use crate::format::record::instance_record::InstanceRecordView;

/// Largest number of classes with one name in other namespaces that are tried.
const TRIED: usize = 4;

/// The places of classes by the hashes of their names: namespaces and records.
type Places = HashMap<NameHash, Vec<(NameHash, RecordRef)>>;

/// The classes of all namespaces by name, found in one pass over the keys when first needed.
#[derive(Default)]
pub(super) struct Elsewhere {
    places: Mutex<Option<Arc<Places>>>,
    /// The distinct classes with a name, composed.
    classes: Mutex<HashMap<NameHash, Arc<[Arc<FullClass>]>>>,
}

/// An instance whose class is unavailable, and the reason.
pub(super) struct Classless<'v> {
    pub(super) view: &'v InstanceRecordView<'v>,
    pub(super) record: RecordRef,
    /// The hash of the name of its class.
    pub(super) class: NameHash,
    /// The hash of its key, taken from the key in the index.
    pub(super) key: NameHash,
    pub(super) damage: Corruption,
}

impl Catalog {
    /// The instance as far as it can be decoded.
    ///
    /// # Errors
    /// Returns the reason why its class is unavailable if not even the name of the class can be
    /// found, and [`Error::Cancelled`].
    pub(super) fn without_class(&self, lost: Classless<'_>) -> Result<StoredInstance> {
        let instance = match self.by_class_elsewhere(&lost)? {
            Some(instance) => Some(instance),
            None => self.by_itself(&lost),
        };
        let Some(instance) = instance else {
            return Err(Error::Corrupt(Box::new(lost.damage)));
        };
        let stamp = FileTime(lost.view.stamp());
        let class_stamp = FileTime(lost.view.class_stamp());
        Ok(StoredInstance {
            instance,
            stamp,
            class_stamp,
            record: lost.record,
            damage: Some(Arc::new(lost.damage)),
        })
    }

    /// The instance decoded with the only class of its name in other namespaces under which its key
    /// matches the one in the index. If two different classes match, neither is used.
    fn by_class_elsewhere(&self, lost: &Classless<'_>) -> Result<Option<Instance>> {
        let classes = self.classes_elsewhere(lost.class)?;
        let is_own = |instance: &Instance| {
            instance
                .key_text()
                .is_ok_and(|text| self.keys.hash(&text) == lost.key)
        };
        let mut fitting = classes
            .iter()
            .filter_map(|class| lost.view.to_instance(class).ok().filter(is_own));
        let first = fitting.next();
        Ok(first.filter(|_| fitting.next().is_none()))
    }

    /// The instance with only the name of its class, which its record holds and the hash confirms.
    fn by_itself(&self, lost: &Classless<'_>) -> Option<Instance> {
        let is_class = |name: &str| self.keys.hash(name) == lost.class;
        let name = lost.view.class_name(&is_class).ok()?;
        let class = FullClass::of_name_alone(Name::from(name)).ok()?;
        lost.view.to_instance(&Arc::new(class)).ok()
    }

    /// The distinct complete classes whose name has this hash, from a few namespaces.
    fn classes_elsewhere(&self, name: NameHash) -> Result<Arc<[Arc<FullClass>]>> {
        if let Some(known) = self.elsewhere.classes.lock().get(&name) {
            return Ok(known.clone());
        }
        let places = self.class_places()?;
        let mut found: Vec<Arc<FullClass>> = Vec::new();
        for &(namespace, record) in places.get(&name).into_iter().flatten() {
            let place = Place {
                hash: namespace,
                is_system: namespace == self.system,
            };
            match self.compose(place, Some(name), record) {
                Ok(class) if !class.class.is_partial() && !found.contains(&class.class) => {
                    found.push(class.class.clone());
                }
                Ok(_) | Err(Error::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let found: Arc<[_]> = found.into();
        self.elsewhere.classes.lock().insert(name, found.clone());
        Ok(found)
    }

    fn class_places(&self) -> Result<Arc<Places>> {
        if let Some(places) = &*self.elsewhere.places.lock() {
            return Ok(places.clone());
        }
        let mut places = Places::new();
        for key in self.scan("") {
            let key = match key {
                Ok(key) => key,
                Err(Error::Corrupt(_)) => continue,
                Err(error) => return Err(error),
            };
            if let (Some((namespace, KeyShape::Class(name))), Some(record)) =
                (KeyShape::parse(key.as_bytes()), key.reference())
            {
                let of_name = places.entry(name).or_default();
                if of_name.len() < TRIED {
                    of_name.push((namespace, record));
                }
            }
        }
        let places = Arc::new(places);
        *self.elsewhere.places.lock() = Some(places.clone());
        Ok(places)
    }

    /// The finding for an instance whose class does not exist, although every page on the path was
    /// read.
    pub(super) fn no_class(&self, record: RecordRef) -> Error {
        let missing = crate::format::record::reader::BadRecord {
            offset: 0,
            what: "its class is not there",
        };
        self.bad(CorruptionCode::RecordInstance, record, missing)
    }
}

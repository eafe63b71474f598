//! Instances whose class cannot be had. They are shown by a class of that name in another
//! namespace, where the key of the instance proves that it fits; else with what their record says
//! by itself. Source: `docs::objects`, "What damage leaves".

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

/// Classes of one name that are tried, of those in other namespaces.
const TRIED: usize = 4;

/// Where classes lie, by the hashes of their names: namespaces and records.
type Places = HashMap<NameHash, Vec<(NameHash, RecordRef)>>;

/// The classes of all namespaces by name, found by one pass over the keys when the first is wanted.
#[derive(Default)]
pub(super) struct Elsewhere {
    places: Mutex<Option<Arc<Places>>>,
    /// The different classes of a name, put together.
    classes: Mutex<HashMap<NameHash, Arc<[Arc<FullClass>]>>>,
}

/// An instance whose class cannot be had, and why not.
pub(super) struct Classless<'v> {
    pub(super) view: &'v InstanceRecordView<'v>,
    pub(super) record: RecordRef,
    /// The hash of the name of its class.
    pub(super) class: NameHash,
    /// The hash of its key, as the key in the index has it.
    pub(super) key: NameHash,
    pub(super) damage: Corruption,
}

impl Catalog {
    /// The instance as far as it can be told.
    ///
    /// # Errors
    /// What keeps its class from being had, when not even the name of the class can be told;
    /// [`Error::Cancelled`].
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

    /// The instance by the only class of its name in other namespaces under which its key is the
    /// one in the index. Where two different classes do, none is taken.
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

    /// The instance with nothing but the name of its class, which its record holds and the hash
    /// proves.
    fn by_itself(&self, lost: &Classless<'_>) -> Option<Instance> {
        let is_class = |name: &str| self.keys.hash(name) == lost.class;
        let name = lost.view.class_name(&is_class).ok()?;
        let class = FullClass::of_name_alone(Name::from(name)).ok()?;
        lost.view.to_instance(&Arc::new(class)).ok()
    }

    /// The different whole classes whose name has this hash, of a few namespaces.
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

    /// The error for an instance whose class is not there, though every page on the way was read.
    pub(super) fn no_class(&self, record: RecordRef) -> Error {
        let missing = crate::format::record::reader::BadRecord {
            offset: 0,
            what: "its class is not there",
        };
        self.bad(CorruptionCode::RecordInstance, record, missing)
    }
}

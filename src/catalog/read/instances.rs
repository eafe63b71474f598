//! Instances, found by path, by class, and by class with subclasses.

use std::sync::Arc;

use super::Catalog;
use super::classes::{Place, StoredClass};
use super::elsewhere::Classless;
use super::run::{Family, Keys};
use super::twins::OwnKeys;
use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::filetime::FileTime;
use crate::base::page_no::RecordRef;
use crate::cim::instance::Instance;
use crate::cim::name::Name;
use crate::cim::path::ObjectPath;
use crate::format::index::key::Key;
use crate::format::index::object_key::KeyShape;
use crate::format::name_hash::NameHash;
use crate::format::record::instance_record::InstanceRecordView;
use crate::format::record::reader::BadRecord;

/// An instance with its place in the repository.
#[derive(Debug, Clone)]
pub struct StoredInstance {
    /// The instance, with its class.
    pub instance: Instance,
    /// When it was written.
    pub stamp: FileTime,
    /// Time when the class was written whose layout it has, as a FILETIME.
    pub class_stamp: FileTime,
    /// Its record.
    pub record: RecordRef,
    /// Why its class is unavailable, if it is. The instance is then decoded with a class of the
    /// same name in another namespace under which its key matches the index, or has no properties.
    pub damage: Option<Arc<Corruption>>,
}

/// The target of a path.
#[derive(Debug)]
pub(crate) struct Located {
    /// The class that the path names.
    pub(crate) class: Arc<StoredClass>,
    /// The text from which the key is hashed.
    pub(crate) key_text: String,
    /// The record under that key.
    pub(crate) record: RecordRef,
}

/// The instances named by keys. One that cannot be read yields an error, and the others follow.
#[derive(Debug)]
pub struct Instances {
    catalog: Catalog,
    place: Place,
    keys: Behind,
    /// Restricts the listing to instances of this class and its subclasses.
    of_class: Option<Name>,
}

/// The keys that a listing follows.
#[derive(Debug)]
enum Behind {
    /// None, because there is no such class.
    Nothing,
    /// The keys of the instances under their own classes.
    Own(Box<OwnKeys>),
    /// The keys under the classes that declare keys.
    Keyed(Box<Keys>),
}

impl Behind {
    fn next(&mut self) -> Option<Result<Key>> {
        match self {
            Self::Nothing => None,
            Self::Own(keys) => keys.next(),
            Self::Keyed(keys) => keys.next(),
        }
    }
}

impl Iterator for Instances {
    type Item = Result<StoredInstance>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = match self.keys.next()? {
                Ok(key) => key,
                Err(error) => return Some(Err(error)),
            };
            // Keys of references lie between those of the instances of a namespace.
            let (Some(record), Some(hash)) = (key.reference(), instance_hash(&key)) else {
                continue;
            };
            if let Err(shared) = self.catalog.admit(Family::Instances, &key, record) {
                return Some(Err(shared));
            }
            match self
                .catalog
                .read_instance(self.place, record, Some(hash), self.of_class.as_ref())
            {
                Ok(None) => {}
                Ok(Some(instance)) => return Some(Ok(instance)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The hash in the key of an instance; `None` for a key of another kind.
fn instance_hash(key: &Key) -> Option<NameHash> {
    match KeyShape::parse(key.as_bytes())? {
        (_, KeyShape::Instance(_, hash) | KeyShape::KeyedInstance(_, hash)) => Some(hash),
        _ => None,
    }
}

impl Catalog {
    /// The instances of exactly this class in a namespace, in the order of their keys.
    pub fn instances(&self, namespace: &str, class: &str) -> Instances {
        self.instances_under(Place::new(self, namespace), Some(self.keys.hash(class)))
    }

    /// All instances of a namespace, in the order of their keys.
    pub fn all_instances(&self, namespace: &str) -> Instances {
        self.instances_under(Place::new(self, namespace), None)
    }

    fn instances_under(&self, place: Place, class: Option<NameHash>) -> Instances {
        let keys = Behind::Own(Box::new(self.own_keys(place, class)));
        Instances {
            catalog: self.clone(),
            place,
            keys,
            of_class: None,
        }
    }

    /// The instances of a class and of all its subclasses, in the order of their keys.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class). A missing class has no instances.
    pub fn instances_deep(&self, namespace: &str, class: &str) -> Result<Instances> {
        let (catalog, place) = (self.clone(), Place::new(self, namespace));
        let Some(found) = self.resolve(place, self.keys.hash(class))? else {
            return Ok(Instances {
                catalog,
                place,
                keys: Behind::Nothing,
                of_class: None,
            });
        };
        let keys = match found.class.key_class() {
            Some(key_class) => self.scan(
                &self
                    .keys
                    .keyed_instances(namespace, key_class.name().as_str()),
            ),
            // The class declares no keys yet; each of its subclasses that does has its own
            // instances.
            None => self.scan(&format!(r"NS_{}\KI_", place.hash)),
        };
        let of_class = Some(found.class.name().clone());
        Ok(Instances {
            catalog,
            place,
            keys: Behind::Keyed(Box::new(keys)),
            of_class,
        })
    }

    /// The instance that a path denotes. A path without a namespace refers to `namespace`; the
    /// server is ignored.
    ///
    /// # Errors
    /// Returns [`Error::WrongKeys`] if the keys of the path are not those of its class, and
    /// otherwise the errors of [`class`](Self::class).
    pub fn instance(&self, namespace: &str, path: &ObjectPath) -> Result<Option<StoredInstance>> {
        let namespace = path.namespace.as_deref().unwrap_or(namespace);
        let Some(located) = self.located(namespace, path)? else {
            return Ok(None);
        };
        let found = self.located_instance(namespace, &located)?;
        let class = located.class.class.name().as_str();
        Ok(found.filter(|found| found.instance.class().is_a(class)))
    }

    /// The class that a path names, and the record under the key that the path denotes. The record
    /// may belong to a subclass or to an unrelated class.
    ///
    /// # Errors
    /// The errors of [`instance`](Self::instance).
    pub(crate) fn located(&self, namespace: &str, path: &ObjectPath) -> Result<Option<Located>> {
        let Some(class) = self.class(namespace, path.class.as_str())? else {
            return Ok(None);
        };
        let key_text = class.class.key_text_of(path)?;
        let Some(key_class) = class.class.key_class() else {
            return Ok(None);
        };
        let keyed = self.record_of(&self.keys.keyed_instance(
            namespace,
            key_class.name().as_str(),
            &key_text,
        ));
        let record = self.or_by_own_key(keyed, namespace, path.class.as_str(), &key_text)?;
        Ok(record.map(|record| Located {
            class,
            key_text,
            record,
        }))
    }

    /// The instance of a namespace in a record.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class).
    pub fn instance_of_record(&self, namespace: &str, record: RecordRef) -> Result<StoredInstance> {
        self.instance_behind(namespace, record, None)
    }

    /// The instance in a record. The hash in the key that names it identifies an instance whose
    /// class is lost.
    pub(super) fn instance_behind(
        &self,
        namespace: &str,
        record: RecordRef,
        key: Option<NameHash>,
    ) -> Result<StoredInstance> {
        let found = self.read_instance(Place::new(self, namespace), record, key, None)?;
        let none = BadRecord {
            offset: 0,
            what: "it is of another class",
        };
        found.ok_or_else(|| self.bad(CorruptionCode::RecordInstance, record, none))
    }

    /// The instance in a record; `None` if it is not of the wanted class. If the hash in its key is
    /// given, the instance is read even if its class is unavailable.
    pub(super) fn read_instance(
        &self,
        place: Place,
        record: RecordRef,
        key: Option<NameHash>,
        of_class: Option<&Name>,
    ) -> Result<Option<StoredInstance>> {
        let bytes = self.snapshot.record_view(record)?;
        let bad = |bad| -> Error { self.bad(CorruptionCode::RecordInstance, record, bad) };
        let view = InstanceRecordView::parse(&bytes, self.dialect()).map_err(bad)?;
        let hash = view.class_hash().map_err(bad)?;
        let lost = |damage| {
            Some(Classless {
                view: &view,
                record,
                class: hash,
                key: key?,
                damage,
            })
        };
        let lost = |damage| lost(damage).filter(|_| !self.is_strict && of_class.is_none());
        let class = match self.resolve(place, hash) {
            Ok(class) => class.ok_or_else(|| self.no_class(record))?,
            Err(Error::Corrupt(damage)) => match lost((*damage).clone()) {
                Some(lost) => return self.without_class(lost).map(Some),
                None => return Err(Error::Corrupt(damage)),
            },
            Err(error) => return Err(error),
        };
        if of_class.is_some_and(|wanted| !class.class.is_a(wanted.as_str())) {
            return Ok(None);
        }
        let instance = match view.to_instance(&class.class) {
            Ok(instance) => instance,
            // What is left of the class may not determine the offsets of the values.
            Err(fault) => match class
                .damage
                .as_ref()
                .and_then(|damage| lost((**damage).clone()))
            {
                Some(lost) => return self.without_class(lost).map(Some).map_err(|_| bad(fault)),
                None => return Err(bad(fault)),
            },
        };
        Ok(Some(StoredInstance {
            instance,
            stamp: FileTime(view.stamp()),
            class_stamp: FileTime(view.class_stamp()),
            record,
            damage: None,
        }))
    }
}

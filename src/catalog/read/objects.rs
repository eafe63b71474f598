//! The walk over the objects of a namespace by the keys that name them. Listing, comparison,
//! conversion and counting all use it.

use std::fmt;
use std::sync::Arc;

use super::classes::Place;
use super::run::Family;
use super::{Catalog, Counted, StoredClass, StoredInstance};
use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::page_no::RecordRef;
use crate::base::site::{FileRole, Site};
use crate::cim::name::Name;
use crate::format::index::key::Key;
use crate::format::index::object_key::KeyShape;
use crate::format::name_hash::NameHash;

/// An object identified by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    /// The hash of the name of the class, or of the class of the instance.
    pub class: NameHash,
    /// The hash of the key of the instance; `None` for a class.
    pub instance: Option<NameHash>,
    /// Its record.
    pub record: RecordRef,
}

impl fmt::Display for ObjectKey {
    /// Prints the hashes as the key spells them, in place of a lost name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instance {
            None => write!(f, "CD_{}", self.class),
            Some(instance) => write!(f, r"CI_{}\IL_{instance}", self.class),
        }
    }
}

/// Why a walk over keys yields no object.
#[derive(Debug)]
pub enum KeyFault {
    /// A part of the index cannot be read. The number of keys in it is unknown.
    Index(Error),
    /// A key in the place of an object's key does not name an object, or names one that another key
    /// has named already in a run that reads [each object once](Catalog::each_once).
    Malformed(Error),
}

impl Catalog {
    /// The classes or instances that the keys of a namespace name, in the order of the keys.
    /// Several keys may denote one path; each is returned. A walk that the observer ends yields
    /// [`Error::Cancelled`] as a fault of the index.
    pub fn object_keys(
        &self,
        namespace: &str,
        counted: Counted,
    ) -> impl Iterator<Item = Result<ObjectKey, KeyFault>> + use<> {
        let place = Place::new(self, namespace);
        let (classes, instances, family) = match counted {
            Counted::Classes => (
                Some(self.scan(&format!(r"NS_{}\CD_", place.hash))),
                None,
                Family::Classes,
            ),
            _ => (None, Some(self.own_keys(place, None)), Family::Instances),
        };
        let catalog = self.clone();
        classes
            .into_iter()
            .flatten()
            .chain(instances.into_iter().flatten())
            .map(move |key| {
                let key = key.map_err(KeyFault::Index)?;
                let found = object_key(&key)?;
                catalog
                    .admit(family, &key, found.record)
                    .map_err(KeyFault::Malformed)?;
                Ok(found)
            })
    }

    /// The class that a key names.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class).
    pub fn class_of_key(&self, namespace: &str, key: &ObjectKey) -> Result<Arc<StoredClass>> {
        self.class_at(Place::new(self, namespace), key.class, key.record)
    }

    /// The name in the record of the class that a key names; empty if it has none. Nothing is
    /// composed, so this is the first step to a sorted list.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class).
    pub fn class_name_of_key(&self, key: &ObjectKey) -> Result<Name> {
        self.class_name(key.record)
    }

    /// The names in the record of the class that a key names: its own and that of its superclass.
    /// Nothing is composed, so this is the first step to an order by superclass.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class).
    pub(crate) fn class_head_of_key(&self, key: &ObjectKey) -> Result<(Name, Option<Name>)> {
        self.class_head(key.record)
    }

    /// A name for an object that cannot be read: its path as far as it is known, and its hashes.
    pub fn name_of_key(&self, namespace: &str, key: &ObjectKey) -> String {
        let Some(instance) = key.instance else {
            let name = self
                .class_name_of_key(key)
                .ok()
                .filter(|name| !name.as_str().is_empty());
            return name.map_or_else(
                || format!("{namespace}:{key}"),
                |name| format!("{namespace}:{}", name.as_str()),
            );
        };
        match self.class_by_hash(namespace, key.class) {
            Ok(Some(class)) => format!("{namespace}:{} IL_{instance}", class.class.name().as_str()),
            _ => format!("{namespace}:{key}"),
        }
    }

    /// The instance that a key names.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class).
    pub fn instance_of_key(&self, namespace: &str, key: &ObjectKey) -> Result<StoredInstance> {
        self.instance_behind(namespace, key.record, key.instance)
    }
}

fn object_key(key: &Key) -> Result<ObjectKey, KeyFault> {
    let shape = KeyShape::parse(key.as_bytes());
    let malformed = |code: CorruptionCode| {
        let corruption = Corruption::new(code, Site::file(FileRole::Index), key.to_string());
        KeyFault::Malformed(corruption.into())
    };
    let (class, instance) = match shape {
        Some((_, KeyShape::Class(class))) => (class, None),
        Some((_, KeyShape::Instance(class, instance))) => (class, Some(instance)),
        _ => return Err(malformed(CorruptionCode::KeyShape)),
    };
    let record = key
        .reference()
        .ok_or_else(|| malformed(CorruptionCode::KeyReference))?;
    Ok(ObjectKey {
        class,
        instance,
        record,
    })
}

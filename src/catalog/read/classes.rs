//! Classes: found in their namespace or among the system classes, put together with what they
//! inherit.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::Catalog;
use super::run::Family;
use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::Result;
use crate::base::filetime::FileTime;
use crate::base::page_no::RecordRef;
use crate::cim::full_class::FullClass;
use crate::cim::name::Name;
use crate::format::index::object_key::KeyShape;
use crate::format::name_hash::NameHash;
use crate::format::record::class_record::ClassRecordView;

/// A class and where it lies.
#[derive(Debug, Clone)]
pub struct StoredClass {
    /// The class with what it inherits.
    pub class: Arc<FullClass>,
    /// True if it is a system class: it lies in no namespace that a path can name.
    pub is_system: bool,
    /// When it was written.
    pub stamp: FileTime,
    /// Its record.
    pub record: RecordRef,
    /// Why the class is partial, if it is: what keeps the superclass from being read that
    /// [`missing_ancestor`](FullClass::missing_ancestor) names.
    pub damage: Option<Arc<Corruption>>,
}

/// The namespace that names are looked up in, by its hash: hashing its path for each of thousands
/// of objects would cost more than reading some of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) hash: NameHash,
    pub(super) is_system: bool,
}

impl Place {
    pub(super) fn new(catalog: &Catalog, namespace: &str) -> Self {
        let hash = catalog.keys.namespace_hash(namespace);
        Self {
            hash,
            is_system: hash == catalog.system,
        }
    }

    pub(super) const fn system(catalog: &Catalog) -> Self {
        Self {
            hash: catalog.system,
            is_system: true,
        }
    }
}

impl Catalog {
    /// The class with this name, of a namespace or else of the system.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) when it, a superclass or a page on the way is
    /// damaged or missing, [`Error::Io`](crate::Error::Io) when the system refuses.
    pub fn class(&self, namespace: &str, name: &str) -> Result<Option<Arc<StoredClass>>> {
        self.class_by_hash(namespace, self.keys.hash(name))
    }

    /// The class whose name has this hash, of a namespace or else of the system.
    ///
    /// # Errors
    /// As [`class`](Self::class).
    pub fn class_by_hash(
        &self,
        namespace: &str,
        name: NameHash,
    ) -> Result<Option<Arc<StoredClass>>> {
        self.resolve(Place::new(self, namespace), name)
    }

    /// The classes that lie in a namespace itself, in order of their keys. One that cannot be read
    /// is an error, and the others follow. Only what they are derived from is kept in memory.
    pub fn classes(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = Result<Arc<StoredClass>>> + use<> {
        let catalog = self.clone();
        let place = Place::new(self, namespace);
        let prefix = format!(r"NS_{}\CD_", place.hash);
        self.scan(&prefix).filter_map(move |key| {
            let key = match key {
                Ok(key) => key,
                Err(error) => return Some(Err(error)),
            };
            match (KeyShape::parse(key.as_bytes()), key.reference()) {
                (Some((_, KeyShape::Class(name))), Some(record)) => {
                    let admitted = catalog.admit(Family::Classes, &key, record);
                    Some(admitted.and_then(|()| catalog.class_at(place, name, record)))
                }
                _ => None,
            }
        })
    }

    /// The names of the classes that lie in a namespace itself, with their hashes, in order of
    /// their keys. Nothing is put together or kept for it: a list that is to be sorted begins with
    /// this.
    pub fn class_names(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = Result<(Name, NameHash)>> + use<> {
        let catalog = self.clone();
        let prefix = format!(r"NS_{}\CD_", Place::new(self, namespace).hash);
        self.scan(&prefix).filter_map(move |key| {
            let key = match key {
                Ok(key) => key,
                Err(error) => return Some(Err(error)),
            };
            match (KeyShape::parse(key.as_bytes()), key.reference()) {
                (Some((_, KeyShape::Class(hash))), Some(record)) => {
                    let name = catalog
                        .admit(Family::Classes, &key, record)
                        .and_then(|()| catalog.class_name(record));
                    Some(name.map(|name| (name, hash)))
                }
                _ => None,
            }
        })
    }

    /// The name in the record of a class; empty where it has none.
    pub(super) fn class_name(&self, record: RecordRef) -> Result<Name> {
        let bytes = self.snapshot.record_view(record)?;
        let name = ClassRecordView::parse(&bytes).and_then(|view| view.class_part().name());
        let name = name.map_err(|bad| self.bad(CorruptionCode::RecordClass, record, bad))?;
        Ok(name.map_or_else(|| Name::from(""), Name::from))
    }

    /// The names in the record of a class: its own, empty where it has none, and that of its
    /// superclass.
    pub(super) fn class_head(&self, record: RecordRef) -> Result<(Name, Option<Name>)> {
        let bytes = self.snapshot.record_view(record)?;
        let head = ClassRecordView::parse(&bytes).and_then(|view| {
            let name = view.class_part().name()?;
            Ok((
                name.map_or_else(|| Name::from(""), Name::from),
                view.superclass()?.map(Name::from),
            ))
        });
        head.map_err(|bad| self.bad(CorruptionCode::RecordClass, record, bad))
    }

    /// The class of a namespace itself whose name has this hash. Only what it is derived from is
    /// kept in memory.
    ///
    /// # Errors
    /// As [`class`](Self::class).
    pub fn class_once(&self, namespace: &str, name: NameHash) -> Result<Option<Arc<StoredClass>>> {
        let place = Place::new(self, namespace);
        let record = self.record_of(&format!(r"NS_{}\CD_{name}", place.hash))?;
        record
            .map(|record| self.class_at(place, name, record))
            .transpose()
    }

    /// The class of a record that a key names. Several keys may name a class of one name. Only what
    /// it is derived from is kept in memory.
    pub(super) fn class_at(
        &self,
        place: Place,
        name: NameHash,
        record: RecordRef,
    ) -> Result<Arc<StoredClass>> {
        match self
            .composed
            .get(&(place.hash, name))
            .filter(|class| class.record == record)
        {
            Some(class) => self.accept(class),
            None => self.compose(place, None, record),
        }
    }

    /// The classes of a namespace that are derived directly from a class, or from none, in order of
    /// their keys. The class may be one of the system.
    pub fn subclasses(
        &self,
        namespace: &str,
        superclass: Option<&str>,
    ) -> impl Iterator<Item = Result<Arc<StoredClass>>> + use<> {
        let (catalog, namespace_name) = (self.clone(), namespace.to_owned());
        self.scan(&self.keys.subclasses(namespace, superclass))
            .filter_map(move |key| {
                let key = match key {
                    Ok(key) => key,
                    Err(error) => return Some(Err(error)),
                };
                match KeyShape::parse(key.as_bytes()) {
                    Some((_, KeyShape::Subclass(_, hash))) => {
                        catalog.class_by_hash(&namespace_name, hash).transpose()
                    }
                    _ => None,
                }
            })
    }

    /// The classes of a namespace that are derived from a class, directly or not, nearest first.
    /// One that cannot be read is an error among them; what is derived from it alone is not found.
    pub fn derived_classes(&self, namespace: &str, class: &str) -> Vec<Result<Arc<StoredClass>>> {
        let mut seen = BTreeSet::from([self.keys.hash(class)]);
        let mut found = Vec::new();
        let mut ahead = VecDeque::from([class.to_owned()]);
        while let Some(parent) = ahead.pop_front() {
            for derived in self.subclasses(namespace, Some(&parent)) {
                let Ok(class) = &derived else {
                    found.push(derived);
                    continue;
                };
                let name = class.class.name().as_str();
                if !class.is_system && seen.insert(self.keys.hash(name)) {
                    ahead.push_back(name.to_owned());
                    found.push(derived);
                }
            }
        }
        found
    }

    /// The classes of a namespace that declare or inherit a reference to a class.
    pub fn classes_referring_to(
        &self,
        namespace: &str,
        target: &str,
    ) -> impl Iterator<Item = Result<Arc<StoredClass>>> + use<> {
        let (catalog, namespace_name) = (self.clone(), namespace.to_owned());
        let prefix = format!(
            r"{}CR_{}\R_",
            self.keys.namespace(namespace),
            self.keys.hash(target)
        );
        self.scan(&prefix).filter_map(move |key| {
            let key = match key {
                Ok(key) => key,
                Err(error) => return Some(Err(error)),
            };
            match KeyShape::parse(key.as_bytes()) {
                Some((_, KeyShape::ClassReference(_, hash))) => {
                    catalog.class_by_hash(&namespace_name, hash).transpose()
                }
                _ => None,
            }
        })
    }
}

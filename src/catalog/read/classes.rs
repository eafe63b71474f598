//! Classes, found in their namespace or among the system classes and composed with what they
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

/// A class with its place in the repository.
#[derive(Debug, Clone)]
pub struct StoredClass {
    /// The class with what it inherits.
    pub class: Arc<FullClass>,
    /// True if it is a system class, which lies in no namespace that a path can name.
    pub is_system: bool,
    /// When it was written.
    pub stamp: FileTime,
    /// Its record.
    pub record: RecordRef,
    /// The damage that makes the class partial, if it is: why the superclass named by
    /// [`missing_ancestor`](FullClass::missing_ancestor) cannot be read.
    pub damage: Option<Arc<Corruption>>,
}

/// The namespace in which names are looked up, as a hash. Hashing its path for each of thousands of
/// objects would cost more than reading some of them.
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
    /// The class with this name in a namespace or, failing that, among the system classes.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`](crate::Error::Corrupt) if the class, a superclass or a page on
    /// the path is damaged or missing, and [`Error::Io`](crate::Error::Io) if the system refuses.
    pub fn class(&self, namespace: &str, name: &str) -> Result<Option<Arc<StoredClass>>> {
        self.class_by_hash(namespace, self.keys.hash(name))
    }

    /// The class whose name has this hash, in a namespace or, failing that, among the system
    /// classes.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class).
    pub fn class_by_hash(
        &self,
        namespace: &str,
        name: NameHash,
    ) -> Result<Option<Arc<StoredClass>>> {
        self.resolve(Place::new(self, namespace), name)
    }

    /// The classes of a namespace itself, in the order of their keys. One that cannot be read
    /// yields an error, and the others follow. Only their superclasses are cached.
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

    /// The names of the classes of a namespace itself with their hashes, in the order of their
    /// keys. Nothing is composed or cached, so this is the first step to a sorted list.
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

    /// The name in the record of a class; empty if it has none.
    pub(super) fn class_name(&self, record: RecordRef) -> Result<Name> {
        let bytes = self.snapshot.record_view(record)?;
        let name = ClassRecordView::parse(&bytes).and_then(|view| view.class_part().name());
        let name = name.map_err(|bad| self.bad(CorruptionCode::RecordClass, record, bad))?;
        Ok(name.map_or_else(|| Name::from(""), Name::from))
    }

    /// The names in the record of a class: its own, empty if it has none, and that of its
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

    /// The class of a namespace itself whose name has this hash. Only its superclasses are cached.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class).
    pub fn class_once(&self, namespace: &str, name: NameHash) -> Result<Option<Arc<StoredClass>>> {
        let place = Place::new(self, namespace);
        let record = self.record_of(&format!(r"NS_{}\CD_{name}", place.hash))?;
        record
            .map(|record| self.class_at(place, name, record))
            .transpose()
    }

    /// The class in a record that a key names. Several keys may name classes with the same name.
    /// Only its superclasses are cached.
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

    /// The direct subclasses of a class in a namespace, or its root classes, in the order of their
    /// keys. The class may be a system class.
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

    /// The direct and indirect subclasses of a class in a namespace, nearest first. One that cannot
    /// be read appears as an error, and classes derived only from it are not found.
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

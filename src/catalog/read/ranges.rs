//! Instances by ranges of keys and by single keys, for queries. A key that names something outside
//! its range yields an error, never an instance of another class.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::classes::Place;
use super::instances::{Located, StoredInstance};
use super::run::{Family, Keys};
use super::twins::OwnKeys;
use super::{Catalog, StoredClass};
use crate::base::corruption::CorruptionCode;
use crate::base::error::Result;
use crate::base::page_no::RecordRef;
use crate::cim::name::{self, Name};
use crate::format::index::key::Key;
use crate::format::index::object_key::KeyShape;
use crate::format::name_hash::NameHash;
use crate::format::record::instance_record::InstanceRecordView;
use crate::format::record::reader::BadRecord;

/// The range of keys that a query reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstanceRange {
    /// `CI_c\IL_`: the instances of exactly this class.
    Class(NameHash),
    /// `KI_k\I_`: the instances of the classes whose keys this class declares.
    KeyClass(NameHash),
    /// `CI_`: all instances of the namespace.
    Namespace,
}

/// The number of keys and records read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RangeCount {
    /// Number of keys.
    pub(crate) keys: u64,
    /// Number of records of instances.
    pub(crate) records: u64,
}

/// Classes by the hashes of their names.
pub(crate) type ClassesByHash = HashMap<NameHash, Name>;

/// The instances of the wanted classes in a range. One that cannot be read yields an error, and the
/// others follow.
#[derive(Debug)]
pub(crate) struct RangeInstances {
    catalog: Catalog,
    place: Place,
    range: InstanceRange,
    keys: RangeKeys,
    wanted: Arc<ClassesByHash>,
    /// Classes in the range that belong there but are not wanted.
    others: HashSet<NameHash>,
    /// The number of keys and records read since the last request for it.
    count: RangeCount,
}

#[derive(Debug)]
enum RangeKeys {
    Own(Box<OwnKeys>),
    Keyed(Box<Keys>),
}

impl Catalog {
    /// The instances in a range of keys of a namespace whose classes have these hashes.
    pub(crate) fn instances_in(
        &self,
        namespace: &str,
        range: InstanceRange,
        wanted: Arc<ClassesByHash>,
    ) -> RangeInstances {
        let place = Place::new(self, namespace);
        let keys = match range {
            InstanceRange::Class(class) => {
                RangeKeys::Own(Box::new(self.own_keys(place, Some(class))))
            }
            InstanceRange::Namespace => RangeKeys::Own(Box::new(self.own_keys(place, None))),
            InstanceRange::KeyClass(class) => RangeKeys::Keyed(Box::new(
                self.scan(&format!(r"NS_{}\KI_{class}\I_", place.hash)),
            )),
        };
        let (others, count) = (HashSet::new(), RangeCount::default());
        RangeInstances {
            catalog: self.clone(),
            place,
            range,
            keys,
            wanted,
            others,
            count,
        }
    }

    /// The number of keys of a namespace for instances whose keys this class declares, counted up
    /// to `most`.
    ///
    /// # Errors
    /// Returns [`Error::Cancelled`](crate::Error::Cancelled). Unreadable parts are not counted;
    /// reading them reports the reason.
    pub(crate) fn keyed_instance_count(
        &self,
        namespace: &str,
        key_class: NameHash,
        most: u64,
    ) -> Result<u64> {
        let place = Place::new(self, namespace);
        let mut count = 0;
        for key in self.scan(&format!(r"NS_{}\KI_{key_class}\I_", place.hash)) {
            match key {
                Ok(_) => count += 1,
                Err(cancelled @ crate::Error::Cancelled) => return Err(cancelled),
                Err(_) => {}
            }
            if count >= most {
                break;
            }
        }
        Ok(count)
    }

    /// The instance, of a class or one of its subclasses, whose key has this text. The class must
    /// have a key.
    ///
    /// # Errors
    /// The errors of [`instance`](Catalog::instance).
    pub(crate) fn instance_with_key(
        &self,
        namespace: &str,
        class: &Arc<StoredClass>,
        key_text: &str,
    ) -> Result<Option<StoredInstance>> {
        let Some(key_class) = class.class.key_class() else {
            return Ok(None);
        };
        let keyed = self.record_of(&self.keys.keyed_instance(
            namespace,
            key_class.name().as_str(),
            key_text,
        ));
        let name = class.class.name().as_str();
        let Some(record) = self.or_by_own_key(keyed, namespace, name, key_text)? else {
            return Ok(None);
        };
        let located = Located {
            class: class.clone(),
            key_text: key_text.to_owned(),
            record,
        };
        let found = self.located_instance(namespace, &located)?;
        Ok(found.filter(|found| found.instance.class().is_a(name)))
    }

    /// The instance in the record that a key leads to. It may be of a class other than the
    /// requested one, but not of one with other keys.
    pub(super) fn located_instance(
        &self,
        namespace: &str,
        located: &Located,
    ) -> Result<Option<StoredInstance>> {
        let Located {
            class,
            key_text,
            record,
        } = located;
        let found = self.read_instance(Place::new(self, namespace), *record, None, None)?;
        let Some(found) = found else { return Ok(None) };
        let key_class = class.class.key_class();
        if key_class
            .is_some_and(|key_class| !found.instance.class().is_a(key_class.name().as_str()))
        {
            return Err(self.misplaced(
                *record,
                "it is of another class than the key that leads to it",
            ));
        }
        // A key that leads to the record of another instance is damage, and the other instance was
        // not requested.
        match found.instance.key_text() {
            Ok(own) if name::same(&own, key_text) => Ok(Some(found)),
            _ => Err(self.misplaced(*record, "it has another key than the one that leads to it")),
        }
    }

    fn misplaced(&self, record: RecordRef, what: &'static str) -> crate::Error {
        self.bad(
            CorruptionCode::RecordInstance,
            record,
            BadRecord { offset: 0, what },
        )
    }
}

impl RangeInstances {
    /// Returns the number of keys and records read since the last call.
    pub(crate) fn take_count(&mut self) -> RangeCount {
        std::mem::take(&mut self.count)
    }

    /// Skips to the next key that names an instance, without reading the record. In a range of
    /// several classes, only the keys under the own class tell the class of an instance.
    pub(crate) fn next_unread(&mut self) -> Option<Result<()>> {
        loop {
            match self.next_key()? {
                Ok(key) if self.record_in(&key).is_none() => {}
                key => return Some(key.map(|_| ())),
            }
        }
    }

    fn next_key(&mut self) -> Option<Result<Key>> {
        let key = match &mut self.keys {
            RangeKeys::Own(keys) => keys.next(),
            RangeKeys::Keyed(keys) => keys.next(),
        };
        self.count.keys += u64::from(key.is_some());
        key
    }

    /// The record of a key and the hash of the instance, if it may be a wanted one.
    fn record_in(&self, key: &Key) -> Option<(RecordRef, NameHash)> {
        let hash = match KeyShape::parse(key.as_bytes())?.1 {
            KeyShape::Instance(class, hash) if self.wanted.contains_key(&class) => hash,
            KeyShape::KeyedInstance(_, hash) => hash,
            _ => return None,
        };
        key.reference().map(|record| (record, hash))
    }

    fn read(
        &mut self,
        key: &Key,
        record: RecordRef,
        hash: NameHash,
    ) -> Result<Option<StoredInstance>> {
        self.catalog.admit(Family::Instances, key, record)?;
        self.count.records += 1;
        if let InstanceRange::KeyClass(keyed) = self.range {
            // Most records of a large range may be of other classes. The first bytes reveal the
            // class without decoding.
            let class = self.catalog.class_of_record(record)?;
            if self.others.contains(&class) {
                return Ok(None);
            }
            if !self.wanted.contains_key(&class) {
                return self.belongs(keyed, class, record).map(|()| None);
            }
        }
        let found = self
            .catalog
            .read_instance(self.place, record, Some(hash), None)?;
        match (found, self.class_of_key(key)) {
            (Some(found), Some(class)) if found.instance.class().name() != class => {
                Err(self.misplaced(record))
            }
            (found, _) => Ok(found),
        }
    }

    /// The class named in an instance's key under its own class.
    fn class_of_key(&self, key: &Key) -> Option<&Name> {
        match KeyShape::parse(key.as_bytes())?.1 {
            KeyShape::Instance(class, _) => self.wanted.get(&class),
            _ => None,
        }
    }

    /// True if an instance of a class that is not wanted lies under its correct key class.
    fn belongs(&mut self, keyed: NameHash, class: NameHash, record: RecordRef) -> Result<()> {
        let found = self.catalog.resolve(self.place, class)?;
        let own = found.and_then(|found| found.class.key_class());
        if own.is_none_or(|own| self.catalog.keys.hash(own.name().as_str()) != keyed) {
            return Err(self.misplaced(record));
        }
        self.others.insert(class);
        Ok(())
    }

    fn misplaced(&self, record: RecordRef) -> crate::Error {
        self.catalog.misplaced(
            record,
            "it is of another class than the key that leads to it",
        )
    }
}

impl Iterator for RangeInstances {
    type Item = Result<StoredInstance>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = match self.next_key()? {
                Ok(key) => key,
                Err(error) => return Some(Err(error)),
            };
            let Some((record, hash)) = self.record_in(&key) else {
                continue;
            };
            if let Some(found) = self.read(&key, record, hash).transpose() {
                return Some(found);
            }
        }
    }
}

impl Catalog {
    /// The hash of the class of an instance, taken from the beginning of its record.
    fn class_of_record(&self, record: RecordRef) -> Result<NameHash> {
        let bytes = self.snapshot.record_view(record)?;
        let hash =
            InstanceRecordView::parse(&bytes, self.dialect()).and_then(|view| view.class_hash());
        hash.map_err(|bad| self.bad(CorruptionCode::RecordInstance, record, bad))
    }
}

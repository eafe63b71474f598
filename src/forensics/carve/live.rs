//! The current state, as far as it can be read: what remains are compared with.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;

use crate::base::error::Result;
use crate::base::page_no::RecordRef;
use crate::base::progress::Monitor;
use crate::btree::scan::{Direction, KeyRange};
use crate::format::Dialect;
use crate::format::bytes::u32_at;
use crate::format::index::object_key::{KeyShape, SYSTEM_NAMESPACE};
use crate::format::name_hash::NameHash;
use crate::format::record::reader::RecordReader;
use crate::store::Snapshot;

/// A class by its namespace and its name.
pub(super) type ClassId = (NameHash, NameHash);

/// An instance by its namespace, the class that declares its keys, and the text of its key.
pub(super) type InstanceId = (NameHash, NameHash, NameHash);

/// The objects of the current state.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Digests of records, as [`Digests`] makes them.
    records: HashSet<(u64, usize)>,
    stamps: HashMap<RecordRef, u64>,
    pub(super) classes: HashMap<ClassId, RecordRef>,
    /// Where classes of a name lie.
    pub(super) class_homes: HashMap<NameHash, Vec<NameHash>>,
    pub(super) class_stamps: HashMap<u64, ClassId>,
    pub(super) instances: HashMap<InstanceId, RecordRef>,
    /// Where an instance of a key lies.
    pub(super) instance_homes: HashMap<(NameHash, NameHash), Vec<NameHash>>,
    /// The namespaces of objects by their stamps.
    pub(super) by_stamp: BTreeMap<u64, NameHash>,
    /// Digests of keys, with and without the record they name.
    keys: HashSet<u64>,
    /// True if every key of the index was read.
    pub(super) is_complete: bool,
    /// True if there is an index at all.
    pub(super) has_keys: bool,
}

/// Digests of byte strings that no one can foresee, so that no two can be made alike on purpose.
#[derive(Debug, Default)]
pub(super) struct Digests(RandomState);

impl Digests {
    pub(super) fn of(&self, bytes: &[u8]) -> u64 {
        self.0.hash_one(bytes)
    }
}

/// The time stamps in the head of a record: its own and, of an instance, that of its class.
pub(super) fn stamps_of(record: &[u8], dialect: Dialect) -> Option<(u64, Option<u64>)> {
    let digits = 2 * NameHash::digits(dialect);
    let is_digit = |pair: &[u8]| matches!(pair, [b'0'..=b'9' | b'A'..=b'F', 0]);
    let stamp = |offset: usize| {
        RecordReader::new(record.get(offset..)?, offset)
            .u64("")
            .ok()
    };
    let hash = record.get(..digits).unwrap_or_default();
    if !hash.is_empty() && hash.chunks(2).all(is_digit) {
        return Some((stamp(digits)?, stamp(digits + 8)));
    }
    let units = crate::base::widen(u32_at(record, 0)?);
    Some((stamp(units.checked_mul(2)?.checked_add(4)?)?, None))
}

impl Live {
    /// Reads the keys and records of a snapshot. What cannot be read is left out.
    pub(super) fn of(
        snapshot: &Snapshot,
        digests: &Digests,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let mut live = Self::default();
        live.read_records(snapshot, digests, monitor)?;
        live.read_keys(snapshot, digests, monitor)?;
        Ok(live)
    }

    fn read_records(
        &mut self,
        snapshot: &Snapshot,
        digests: &Digests,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        for reference in snapshot.records() {
            monitor.check()?;
            let Ok(reference) = reference else { continue };
            let Ok(record) = snapshot.record_view(reference) else {
                continue;
            };
            self.records.insert((digests.of(&record), record.len()));
            if let Some((stamp, _)) = stamps_of(&record, snapshot.dialect()) {
                self.stamps.insert(reference, stamp);
            }
        }
        Ok(())
    }

    fn read_keys(
        &mut self,
        snapshot: &Snapshot,
        digests: &Digests,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        self.has_keys = snapshot.has(crate::base::page_no::Space::Index);
        self.is_complete = self.has_keys;
        if !self.has_keys {
            return Ok(());
        }
        let system = NameHash::of(snapshot.dialect(), SYSTEM_NAMESPACE);
        for key in snapshot.keys(KeyRange::all(), Direction::Forward) {
            monitor.check()?;
            let Ok(key) = key else {
                self.is_complete = false;
                continue;
            };
            let text = key.as_bytes();
            self.keys.insert(digests.of(text));
            self.keys.insert(digests.of(without_record(text)));
            if let (Some(record), Some((namespace, shape))) =
                (key.reference(), KeyShape::parse(text))
            {
                self.add(namespace, shape, record, system);
            }
        }
        Ok(())
    }

    fn add(&mut self, namespace: NameHash, shape: KeyShape, record: RecordRef, system: NameHash) {
        let stamp = self.stamps.get(&record).copied();
        match shape {
            KeyShape::Class(name) => {
                self.classes.insert((namespace, name), record);
                self.class_homes.entry(name).or_default().push(namespace);
                if let Some(stamp) = stamp {
                    self.class_stamps.insert(stamp, (namespace, name));
                }
            }
            KeyShape::KeyedInstance(class, key) => {
                self.instances.insert((namespace, class, key), record);
                let homes = self.instance_homes.entry((class, key)).or_default();
                homes.push(namespace);
            }
            _ => return,
        }
        if let Some(stamp) = stamp.filter(|_| namespace != system) {
            self.by_stamp.insert(stamp, namespace);
        }
    }

    /// True if the current state has exactly this record.
    pub(super) fn has_record(&self, bytes: &[u8], digests: &Digests) -> bool {
        self.records.contains(&(digests.of(bytes), bytes.len()))
    }

    /// True if the current state has this key, or one that differs in the record it names alone.
    pub(super) fn has_key(&self, key: &[u8], digests: &Digests) -> bool {
        self.keys.contains(&digests.of(key))
    }

    /// When a record of the current state was written.
    pub(super) fn stamp(&self, record: RecordRef) -> Option<u64> {
        self.stamps.get(&record).copied()
    }

    /// The namespace of the objects written just before and just after a stamp, where both lie in
    /// the same one.
    pub(super) fn neighbours(&self, stamp: u64) -> Option<NameHash> {
        let before = self.by_stamp.range(..stamp).next_back()?;
        let after = self.by_stamp.range(stamp.saturating_add(1)..).next()?;
        // The engine counts every put: a gap of a second is another run of the service.
        let is_near = after.0.saturating_sub(*before.0) < 10_000_000;
        (is_near && before.1 == after.1).then_some(*before.1)
    }
}

/// A key without the record that it names.
pub(super) fn without_record(key: &[u8]) -> &[u8] {
    key.split(|byte| *byte == b'.').next().unwrap_or_default()
}

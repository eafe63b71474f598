//! The name to which the record of a class belongs, for look-ups by name.
//!
//! A record lies under the key of its own name, in one namespace. Other keys can name it too. Under
//! another name it is rejected after a single look. In another namespace it is composed again,
//! because its superclasses differ there, but not without limit.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::base::page_no::RecordRef;
use crate::format::name_hash::NameHash;

/// Number of times that the bytes of the heap may be decoded again for keys in other namespaces.
const AGAIN: u64 = 4;

/// The known facts about the records of classes that were looked up by name.
#[derive(Debug, Default)]
pub(super) struct Owners {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The names of the records that were looked up under another name.
    names: HashMap<RecordRef, NameHash>,
    /// The namespaces in which records were met first.
    namespaces: HashMap<RecordRef, NameHash>,
    /// Size of the records that were also met in other namespaces, in bytes.
    again: u64,
}

impl Owners {
    /// True if the record may have this name, as far as is known.
    pub(super) fn may_be(&self, record: RecordRef, name: NameHash) -> bool {
        self.known
            .lock()
            .names
            .get(&record)
            .is_none_or(|own| *own == name)
    }

    /// Records the name of a record that was looked up under another one.
    pub(super) fn note_name(&self, record: RecordRef, own: NameHash) {
        self.known.lock().names.insert(record, own);
    }

    /// True if the record may be decoded in this namespace, for a heap of `heap` bytes.
    pub(super) fn admit(&self, record: RecordRef, namespace: NameHash, heap: u64) -> bool {
        let mut known = self.known.lock();
        let first = *known.namespaces.entry(record).or_insert(namespace);
        if first == namespace {
            return true;
        }
        known.again = known.again.saturating_add(record.size.into());
        known.again <= heap.saturating_mul(AGAIN)
    }
}

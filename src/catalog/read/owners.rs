//! Which key a class record answers to, when it is looked up by name.
//!
//! A record lies under the key of its own name, in one namespace. Other keys can name it too: under
//! another name it is refused, after one look at it; in another namespace it is put together again,
//! as other superclasses lie there, but not without end.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::base::page_no::RecordRef;
use crate::format::name_hash::NameHash;

/// How often the bytes of the heap may be decoded again because of keys in other namespaces.
const AGAIN: u64 = 4;

/// What is known of the class records that were looked up by name.
#[derive(Debug, Default)]
pub(super) struct Owners {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The names of those that were looked up under another one.
    names: HashMap<RecordRef, NameHash>,
    /// The namespaces that they were met in first.
    namespaces: HashMap<RecordRef, NameHash>,
    /// Bytes of those that were met in others, too.
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

    /// Notes the name of a record that was looked up under another.
    pub(super) fn note_name(&self, record: RecordRef, own: NameHash) {
        self.known.lock().names.insert(record, own);
    }

    /// True if the record may be decoded in this namespace, in a heap of so many bytes.
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

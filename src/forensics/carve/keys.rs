//! Keys of earlier states, in index pages that the current one does not map.

use std::collections::{HashMap, HashSet};

use crate::base::error::Result;
use crate::base::page_no::{NIL, PhysicalPage, RecordRef, Space};
use crate::base::progress::Monitor;
use crate::base::site::{FileRole, Site};
use crate::format::Dialect;
use crate::format::index::key;
use crate::format::index::object_key::KeyShape;
use crate::format::name_hash::NameHash;

use super::evidence::{Evidence, Pages};
use super::live::{Digests, Live};
use super::regions::{Regions, node};

/// A key that the current state does not have, and where it was first found.
#[derive(Debug, Clone)]
pub(super) struct OldKey {
    pub(super) text: Box<[u8]>,
    pub(super) page: PhysicalPage,
    /// The part of its hashes that names an object.
    pub(super) namespace: Option<NameHash>,
    pub(super) shape: Option<KeyShape>,
}

/// The keys of earlier states.
#[derive(Debug, Default)]
pub(super) struct OldKeys {
    pub(super) keys: Vec<OldKey>,
    /// By id and size of the record that a key names.
    by_record: HashMap<(u32, u32), Vec<(NameHash, KeyShape)>>,
    /// Index pages that were looked at.
    pub(super) pages: u32,
}

/// Keys that are kept for one record. An instance has two.
const MAX_NAMES: usize = 8;

impl OldKeys {
    /// Reads every node that the current state does not map.
    pub(super) fn of(
        evidence: &Evidence,
        regions: &Regions,
        live: &Live,
        digests: &Digests,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let mut found = Self::default();
        let mut seen = HashSet::new();
        let mut pages = Pages::new(evidence, Space::Index);
        while let Some((page, bytes)) = pages.advance() {
            monitor.advance(1)?;
            let Some(bytes) = bytes.filter(|_| !regions.is_current_index(page)) else {
                continue;
            };
            found.pages += 1;
            let Some(node) = node(bytes) else { continue };
            let no_child = match evidence.dialect {
                Dialect::V21 => 0,
                Dialect::V22 => NIL,
            };
            if !node.check(no_child, Site::file(FileRole::Index)).is_empty() {
                continue;
            }
            for number in 0..node.key_count() {
                let mut text = Vec::new();
                let is_read = node.append_key(number, &mut text).is_some();
                let is_new = is_read && seen.insert(digests.of(&text));
                if is_new && !live.has_key(&text, digests) {
                    found.add(text, page);
                }
            }
        }
        Ok(found)
    }

    fn add(&mut self, text: Vec<u8>, page: PhysicalPage) {
        let parsed = KeyShape::parse(&text);
        if let (Some((namespace, shape)), Ok(Some(record))) = (parsed, key::reference(&text)) {
            let names = self.by_record.entry((record.id, record.size)).or_default();
            if names.len() < MAX_NAMES {
                names.push((namespace, shape));
            }
        }
        self.keys.push(OldKey {
            text: text.into(),
            page,
            namespace: parsed.map(|(namespace, _)| namespace),
            shape: parsed.map(|(_, shape)| shape),
        });
    }

    /// The namespaces and shapes of the keys that named a record of this id and size.
    pub(super) fn names_of(&self, id: u32, size: u32) -> &[(NameHash, KeyShape)] {
        self.by_record
            .get(&(id, size))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

impl OldKey {
    /// The record that the key names.
    pub(super) fn record(&self) -> Option<RecordRef> {
        key::reference(&self.text).ok().flatten()
    }
}

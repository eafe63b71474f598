//! Space in the object heap by namespace and class, computed from the keys alone. A key states the
//! length of its record, so nothing is decoded.

use std::collections::BTreeMap;

use super::Catalog;
use crate::base::error::Result;
use crate::base::page_no::{PAGE_SIZE, RecordRef};
use crate::format::index::key::Key;
use crate::format::index::object_key::KeyShape;
use crate::format::name_hash::NameHash;

/// Number of objects of one kind, and the size of their records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Share {
    /// Number of objects.
    pub count: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

impl Share {
    fn add(&mut self, record: RecordRef) {
        self.count += 1;
        self.bytes += u64::from(record.size);
    }
}

/// Space used by a class in one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassUsage {
    /// Its definition. A class that is defined elsewhere has none here.
    pub definition: Share,
    /// Its instances in this namespace, without those of subclasses.
    pub instances: Share,
    /// Number of pages of the object heap that hold any of them.
    pub pages: u64,
}

impl ClassUsage {
    /// Size of all its records, in bytes.
    pub const fn bytes(&self) -> u64 {
        self.definition.bytes + self.instances.bytes
    }
}

/// Space used by a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceUsage {
    /// The hash of its path, as in its keys.
    pub hash: NameHash,
    /// Class definitions.
    pub classes: Share,
    /// Instances.
    pub instances: Share,
    /// References to its instances.
    pub references: Share,
    /// Number of pages of the object heap that hold any of them.
    pub pages: u64,
    /// Number of keys of the index.
    pub keys: u64,
    /// The same by class, indexed by the hash of its name.
    pub by_class: BTreeMap<NameHash, ClassUsage>,
}

impl NamespaceUsage {
    /// Size of all its records, in bytes.
    pub const fn bytes(&self) -> u64 {
        self.classes.bytes + self.instances.bytes + self.references.bytes
    }
}

impl Catalog {
    /// Computes the space used by each namespace, in the order of their keys, and passes each
    /// result to `visit`. Memory grows with the largest namespace, not with the repository.
    ///
    /// A part of the index that cannot be read is passed as an error, and the rest follows.
    pub fn usage(&self, visit: &mut dyn FnMut(Result<NamespaceUsage>)) {
        let mut current: Option<Tally> = None;
        for key in self.scan("") {
            match key {
                Ok(key) => count(&mut current, &key, visit),
                Err(error) => visit(Err(error)),
            }
        }
        if let Some(last) = current {
            visit(Ok(last.finish()));
        }
    }

    /// Computes the space used by one namespace. A namespace without keys uses none.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class). An unreadable part of the index fails the computation.
    pub fn usage_of(&self, namespace: &str) -> Result<NamespaceUsage> {
        let mut tally = Tally::new(self.keys.namespace_hash(namespace));
        for key in self.scan(&self.keys.namespace(namespace)) {
            tally.add(&key?);
        }
        Ok(tally.finish())
    }
}

/// Adds a key to its namespace. Passes the previous namespace to `visit` when it ends.
fn count(current: &mut Option<Tally>, key: &Key, visit: &mut dyn FnMut(Result<NamespaceUsage>)) {
    let Some((namespace, _)) = KeyShape::parse(key.as_bytes()) else {
        return;
    };
    let tally = match current.take() {
        Some(tally) if tally.usage.hash == namespace => tally,
        Some(over) => {
            visit(Ok(over.finish()));
            Tally::new(namespace)
        }
        None => Tally::new(namespace),
    };
    current.insert(tally).add(key);
}

/// The sums of the current namespace.
struct Tally {
    usage: NamespaceUsage,
    /// Pairs of a class and a page with its records; for a record on several pages, the first page.
    pages: Vec<(NameHash, u32)>,
    /// Number of further pages of records on several pages, which hold nothing else.
    more_pages: u64,
}

impl Tally {
    fn new(hash: NameHash) -> Self {
        let empty = Share::default();
        let usage = NamespaceUsage {
            hash,
            classes: empty,
            instances: empty,
            references: empty,
            pages: 0,
            keys: 0,
            by_class: BTreeMap::new(),
        };
        Self {
            usage,
            pages: Vec::new(),
            more_pages: 0,
        }
    }

    fn add(&mut self, key: &Key) {
        self.usage.keys += 1;
        let Some(record) = key.reference() else {
            return;
        };
        match KeyShape::parse(key.as_bytes()) {
            Some((_, KeyShape::Class(class))) => {
                self.usage.classes.add(record);
                self.usage
                    .by_class
                    .entry(class)
                    .or_default()
                    .definition
                    .add(record);
                self.place(class, record);
            }
            Some((_, KeyShape::Instance(class, _))) => {
                self.usage.instances.add(record);
                self.usage
                    .by_class
                    .entry(class)
                    .or_default()
                    .instances
                    .add(record);
                self.place(class, record);
            }
            Some((_, KeyShape::Reference(class, ..))) => {
                self.usage.references.add(record);
                self.place(class, record);
            }
            // The second key of an instance, or a key without a record.
            _ => {}
        }
    }

    fn place(&mut self, class: NameHash, record: RecordRef) {
        self.pages.push((class, record.page.get()));
        // The first page has 32 bytes before the record.
        let more = (u64::from(record.size) + 31) / PAGE_SIZE as u64;
        self.more_pages += more;
        if let Some(class) = self.usage.by_class.get_mut(&class) {
            class.pages += more;
        }
    }

    /// Counts each page once for each of its classes and once for the namespace.
    fn finish(mut self) -> NamespaceUsage {
        self.pages.sort_unstable();
        self.pages.dedup();
        for (class, _) in &self.pages {
            if let Some(class) = self.usage.by_class.get_mut(class) {
                class.pages += 1;
            }
        }
        let mut pages: Vec<u32> = self.pages.iter().map(|&(_, page)| page).collect();
        pages.sort_unstable();
        pages.dedup();
        self.usage.pages = pages.len() as u64 + self.more_pages;
        self.usage
    }
}

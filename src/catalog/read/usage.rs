//! Space in the object heap by namespace and class, computed from the keys alone. A key states the
//! length of its record, so nothing is decoded.

use std::collections::{BTreeMap, HashSet};

use super::Catalog;
use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, RecordRef};
use crate::format::index::key::Key;
use crate::format::index::object_key::KeyShape;
use crate::format::name_hash::NameHash;

/// Number of objects of one kind, and the size of their records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Share {
    /// Number of objects.
    pub count: u64,
    /// Bytes of their records. A record that several keys of a namespace name counts for the first
    /// of them alone.
    pub bytes: u64,
}

impl Share {
    /// Adds an object and the bytes that are its own.
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
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
    /// Keys whose record an earlier key of the namespace names too, so that it was counted there.
    pub sharing_keys: u64,
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
    /// The records that were counted.
    counted: HashSet<(LogicalPage, u32)>,
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
            sharing_keys: 0,
            by_class: BTreeMap::new(),
        };
        Self {
            usage,
            pages: Vec::new(),
            more_pages: 0,
            counted: HashSet::new(),
        }
    }

    fn add(&mut self, key: &Key) {
        self.usage.keys += 1;
        let Some(record) = key.reference() else {
            return;
        };
        let Some((_, shape)) = KeyShape::parse(key.as_bytes()) else {
            return;
        };
        match shape {
            KeyShape::Class(class) => {
                self.usage.by_class.entry(class).or_default();
                let bytes = self.place(class, record);
                self.usage.classes.add(bytes);
                self.class(class).definition.add(bytes);
            }
            KeyShape::Instance(class, _) => {
                self.usage.by_class.entry(class).or_default();
                let bytes = self.place(class, record);
                self.usage.instances.add(bytes);
                self.class(class).instances.add(bytes);
            }
            KeyShape::Reference(class, ..) => {
                let bytes = self.place(class, record);
                self.usage.references.add(bytes);
            }
            // The second key of an instance, or a key without a record.
            _ => {}
        }
    }

    fn class(&mut self, class: NameHash) -> &mut ClassUsage {
        self.usage.by_class.entry(class).or_default()
    }

    /// Notes the pages of a record; gives its bytes, none where another key has named it.
    fn place(&mut self, class: NameHash, record: RecordRef) -> u64 {
        self.pages.push((class, record.page.get()));
        if !self.counted.insert((record.page, record.id)) {
            self.usage.sharing_keys += 1;
            return 0;
        }
        // The first page has 32 bytes before the record.
        let more = (u64::from(record.size) + 31) / PAGE_SIZE as u64;
        self.more_pages += more;
        // A class that references alone name takes nothing itself.
        if let Some(class) = self.usage.by_class.get_mut(&class) {
            class.pages += more;
        }
        record.size.into()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of three instances, two of which name one record.
    #[test]
    fn a_record_that_several_keys_name_counts_once() {
        let digits = |digit: &str| digit.repeat(64);
        let (namespace, class) = (digits("A"), digits("C"));
        let instance = |digit| format!("NS_{namespace}\\CI_{class}\\IL_{}", digits(digit));
        let texts = [
            format!("{}.7.3.100", instance("1")),
            format!("{}.7.3.100", instance("2")),
            format!("{}.7.4.50", instance("3")),
        ];
        let (hash, _) = KeyShape::parse(texts.first().unwrap().as_bytes()).unwrap();
        let mut tally = Tally::new(hash);
        for text in texts {
            tally.add(&Key::new(text.into_bytes()));
        }
        let usage = tally.finish();
        let expected = Share {
            count: 3,
            bytes: 150,
        };
        assert_eq!(usage.instances, expected);
        assert_eq!(
            (usage.sharing_keys, usage.pages, usage.bytes()),
            (1, 1, 150)
        );
        let class = usage.by_class.values().next().unwrap();
        assert_eq!((class.instances, class.pages), (expected, 1));
    }
}

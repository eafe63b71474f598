//! Checks that hold for the content of any sound repository.

use std::collections::{BTreeMap, BTreeSet};

use cimrepo::catalog::keys::{InstanceKeys, class_keys, instance_keys};
use cimrepo::catalog::{Catalog, StoredClass};
use cimrepo::cim::Instance;
use cimrepo::format::index::key::Key;
use cimrepo::format::index::object_key::{KeyShape, SYSTEM_NAMESPACE};
use cimrepo::format::record::reference_record::{ReferenceRecord, ReferenceRecordView};
use cimrepo::{Direction, KeyRange};

/// What [`check_keys`] counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub keys: usize,
    /// The number of keys of references.
    pub references: usize,
    pub instances: usize,
    /// The number of references without a key.
    pub unresolved: usize,
}

/// All keys with this prefix.
pub fn keys(catalog: &Catalog, prefix: &str) -> Vec<Key> {
    let range = KeyRange::prefix(prefix.as_bytes());
    catalog
        .snapshot()
        .keys(range, Direction::Forward)
        .map(Result::unwrap)
        .collect()
}

/// The namespaces of a repository, that of the system classes first.
pub fn namespaces(catalog: &Catalog) -> Vec<String> {
    let found = catalog.namespaces().into_iter().map(Result::unwrap);
    [SYSTEM_NAMESPACE.to_owned()]
        .into_iter()
        .chain(found)
        .collect()
}

/// Rebuilds every key from the content of classes and instances, and compares the result with the
/// stored keys. Every instance has the stamp of its class, and no two records have the same.
pub fn check_keys(catalog: &Catalog, name: &str) -> Content {
    let mut seen = Seen {
        catalog,
        content: Content::default(),
        expected: BTreeSet::new(),
        made: BTreeMap::new(),
    };
    let mut stamps = BTreeSet::new();
    for namespace in namespaces(catalog) {
        for class in catalog.classes(&namespace).map(Result::unwrap) {
            assert!(
                stamps.insert(class.stamp),
                "{name}: {namespace}:{}",
                class.class.name()
            );
            let keys = class_keys(catalog.keys(), &namespace, &class.class);
            seen.expected
                .insert(format!("{}.{}", keys.definition, class.record));
            seen.expected.insert(keys.subclass);
            seen.expected.extend(keys.references);
            seen.add_instances(&namespace, &class, &mut stamps);
        }
        // Instances of system classes lie in the namespaces.
        for class in catalog.classes(SYSTEM_NAMESPACE).map(Result::unwrap) {
            let local = catalog
                .class(&namespace, class.class.name().as_str())
                .unwrap()
                .unwrap();
            if local.is_system {
                seen.add_instances(&namespace, &class, &mut stamps);
            }
        }
    }
    seen.compare(name)
}

struct Seen<'c> {
    catalog: &'c Catalog,
    content: Content,
    expected: BTreeSet<String>,
    made: BTreeMap<String, ReferenceRecord>,
}

impl Seen<'_> {
    fn add_instances(
        &mut self,
        namespace: &str,
        class: &StoredClass,
        stamps: &mut BTreeSet<cimrepo::FileTime>,
    ) {
        for stored in self
            .catalog
            .instances(namespace, class.class.name().as_str())
            .map(Result::unwrap)
        {
            assert_eq!(
                stored.class_stamp,
                class.stamp,
                "{namespace}:{}",
                class.class.name()
            );
            assert!(
                stamps.insert(stored.stamp),
                "{namespace}:{}",
                class.class.name()
            );
            let keys = instance_keys(self.catalog.keys(), namespace, &stored.instance).unwrap();
            self.expected
                .insert(format!("{}.{}", keys.own, stored.record));
            self.expected
                .insert(format!("{}.{}", keys.keyed, stored.record));
            self.content.instances += 1;
            self.add_references(namespace, &stored.instance, &keys);
        }
    }

    fn add_references(&mut self, namespace: &str, instance: &Instance, keys: &InstanceKeys) {
        for reference in self
            .catalog
            .outgoing_references(namespace, instance, keys)
            .unwrap()
        {
            match reference.target {
                Ok(target) => _ = self.made.entry(target.key).or_insert(target.record),
                Err(_) => self.content.unresolved += 1,
            }
        }
    }

    fn compare(mut self, name: &str) -> Content {
        let mut stored = BTreeSet::new();
        for key in keys(self.catalog, "") {
            assert!(
                KeyShape::parse(key.as_bytes()).is_some(),
                "{name}: {key} has none of the six shapes"
            );
            let text = key.to_string();
            if let Some(made) = self.made.get(text.split('.').next().unwrap()) {
                self.content.references += 1;
                check_reference(self.catalog, &key, made);
                self.expected.insert(text.clone());
            }
            stored.insert(text);
        }
        assert_eq!(
            self.content.references,
            self.made.len(),
            "{name}: references without record"
        );
        let missing: Vec<&String> = self.expected.difference(&stored).take(5).collect();
        let unexpected: Vec<&String> = stored.difference(&self.expected).take(5).collect();
        assert!(
            missing.is_empty() && unexpected.is_empty(),
            "{name}: {missing:#?} {unexpected:#?}"
        );
        self.content.keys = stored.len();
        self.content
    }
}

fn check_reference(catalog: &Catalog, key: &Key, expected: &ReferenceRecord) {
    let record = catalog.snapshot().record(key.reference().unwrap()).unwrap();
    let stored = ReferenceRecordView::parse(&record)
        .unwrap()
        .to_reference()
        .unwrap();
    assert!(
        stored.namespace.eq_ignore_ascii_case(&expected.namespace),
        "{key}"
    );
    assert_eq!(
        (&stored.class, &stored.key),
        (&expected.class, &expected.key),
        "{key}"
    );
    assert!(
        stored.property.eq_ignore_ascii_case(&expected.property),
        "{key}"
    );
}

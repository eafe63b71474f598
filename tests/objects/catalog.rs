//! Looking things up in real repositories: every way to an object leads to the same one.

use std::collections::BTreeMap;

use cimrepo::catalog::{Catalog, StoredClass, StoredInstance};
use cimrepo::cim::{ObjectPath, Value};
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;
use cimrepo::store::Repository;

use crate::support::{corpus, name_of};

/// Classes of which each way is tried; a build without optimisation takes long over all of them.
const SAMPLE: usize = 7;

fn catalogs(test: &str) -> impl Iterator<Item = (String, Catalog)> {
    let open =
        |path: &std::path::Path| Catalog::new(Repository::open_read_only(path).unwrap().snapshot());
    corpus(test)
        .into_iter()
        .map(move |path| (name_of(&path), open(&path)))
}

fn namespaces(catalog: &Catalog) -> Vec<String> {
    catalog
        .namespaces()
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn namespaces_are_a_tree_that_holds_every_key() {
    for (name, catalog) in catalogs("namespaces_are_a_tree_that_holds_every_key") {
        let found = namespaces(&catalog);
        assert_eq!(found.first().map(String::as_str), Some("ROOT"));
        for (number, namespace) in found.iter().enumerate().skip(1) {
            let (parent, _) = namespace.rsplit_once('\\').unwrap();
            assert!(
                found[..number].iter().any(|above| above == parent),
                "{name}: {namespace} stands behind its parent"
            );
        }
        // The system classes have a namespace of their own, which no path names.
        assert_eq!(
            found.len() as u64 + 1,
            catalog.snapshot().counts().namespaces,
            "{name}"
        );
        println!("{name}: {} namespaces", found.len());
    }
}

#[test]
fn instances_are_found_by_their_paths() {
    for (name, catalog) in catalogs("instances_are_found_by_their_paths") {
        let (mut found, mut references) = (0, 0);
        for namespace in namespaces(&catalog) {
            for class in classes(&catalog, &namespace) {
                for stored in catalog
                    .instances(&namespace, class.class.name().as_str())
                    .map(Result::unwrap)
                {
                    let path = stored.instance.path().unwrap().in_namespace(&namespace);
                    let text = path.text();
                    let path: ObjectPath = text.parse().unwrap();
                    let again = catalog
                        .instance("ROOT", &path)
                        .unwrap()
                        .unwrap_or_else(|| panic!("{name}: {text}"));
                    assert_eq!(again.record, stored.record, "{name}: {text}");
                    found += 1;
                    references += check_references(&catalog, &namespace, &stored);
                }
            }
        }
        assert!(found > 0);
        println!("{name}: {found} instances by path, {references} references followed both ways");
    }
}

/// The classes that can have instances in a namespace.
fn classes(catalog: &Catalog, namespace: &str) -> Vec<std::sync::Arc<StoredClass>> {
    let local: Vec<_> = catalog.classes(namespace).map(Result::unwrap).collect();
    let system = catalog.classes(SYSTEM_NAMESPACE).map(Result::unwrap);
    let hidden = |class: &std::sync::Arc<StoredClass>| {
        local
            .iter()
            .any(|own| own.class.name() == class.class.name())
    };
    let system: Vec<_> = system.filter(|class| !hidden(class)).collect();
    local.into_iter().chain(system).collect()
}

/// Every reference leads to an instance that knows who refers to it.
fn check_references(catalog: &Catalog, namespace: &str, stored: &StoredInstance) -> usize {
    let mut count = 0;
    for (property, value) in stored.instance.values() {
        let Some(Value::Reference(text)) = value else {
            continue;
        };
        let path: ObjectPath = text.parse().unwrap();
        assert!(
            catalog.instance(namespace, &path).unwrap().is_some(),
            "{text} is there"
        );
        let referrers = catalog.referrers(namespace, &path).unwrap();
        let mine = referrers
            .into_iter()
            .map(Result::unwrap)
            .filter(|referrer| {
                let referring = catalog
                    .referring_instance(&referrer.reference)
                    .unwrap()
                    .unwrap();
                referring.record == stored.record
                    && *referrer.reference.property == *property.name.as_str()
            });
        assert_eq!(
            mine.count(),
            1,
            "{namespace}: {text} knows that {} refers to it",
            property.name
        );
        count += 1;
    }
    count
}

#[test]
fn instances_of_a_class_and_its_subclasses() {
    for (name, catalog) in catalogs("instances_of_a_class_and_its_subclasses") {
        let mut found = 0;
        for namespace in namespaces(&catalog) {
            let all = classes(&catalog, &namespace);
            let mut counts = BTreeMap::new();
            for class in &all {
                let own = catalog
                    .instances(&namespace, class.class.name().as_str())
                    .map(Result::unwrap)
                    .count();
                for of in [class.class.name()]
                    .into_iter()
                    .chain(class.class.derivation())
                {
                    *counts.entry(of.clone()).or_insert(0) += own;
                }
            }
            for class in all.iter().step_by(SAMPLE) {
                let deep = catalog
                    .instances_deep(&namespace, class.class.name().as_str())
                    .unwrap();
                let deep = deep.map(Result::unwrap).count();
                assert_eq!(
                    deep,
                    counts[class.class.name()],
                    "{name}: {namespace}:{}",
                    class.class.name()
                );
                found += deep;
            }
        }
        println!("{name}: {found} instances");
    }
}

#[test]
fn subclasses_and_references_of_classes() {
    for (name, catalog) in catalogs("subclasses_and_references_of_classes") {
        let (mut derived, mut referring) = (0, 0);
        for namespace in namespaces(&catalog) {
            let mut expected = BTreeMap::<_, usize>::new();
            for class in catalog.classes(&namespace).map(Result::unwrap) {
                *expected
                    .entry(class.class.declaration().superclass.clone())
                    .or_default() += 1;
            }
            for (superclass, count) in expected {
                let found = catalog
                    .subclasses(&namespace, superclass.as_ref().map(AsRef::as_ref))
                    .map(Result::unwrap);
                let found = found
                    .filter(|class| class.class.declaration().superclass == superclass)
                    .count();
                assert_eq!(found, count, "{name}: {namespace}: {superclass:?}");
                derived += found;
            }
            for class in catalog
                .classes(&namespace)
                .map(Result::unwrap)
                .step_by(SAMPLE)
            {
                for target in class
                    .class
                    .properties()
                    .iter()
                    .filter_map(|property| property.reference_class())
                {
                    let mut found = catalog
                        .classes_referring_to(&namespace, target)
                        .map(Result::unwrap);
                    assert!(
                        found.any(|found| found.class.name() == class.class.name()),
                        "{namespace}: {target}"
                    );
                    referring += 1;
                }
            }
        }
        println!("{name}: {derived} classes derived, {referring} classes that refer");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    for (_, catalog) in catalogs("what_is_not_there_is_not_found") {
        assert!(catalog.class("ROOT", "No such class").unwrap().is_none());
        assert!(
            catalog
                .class(r"ROOT\nowhere", "No such class")
                .unwrap()
                .is_none()
        );
        assert_eq!(catalog.instances("ROOT", "No such class").count(), 0);
        assert_eq!(
            catalog
                .instances_deep("ROOT", "No such class")
                .unwrap()
                .count(),
            0
        );
        assert_eq!(catalog.child_namespaces(r"ROOT\nowhere").len(), 0);
        for path in [r#"__NAMESPACE.Name="nowhere""#, "NoClass=1"] {
            let path: ObjectPath = path.parse().unwrap();
            assert!(catalog.instance("ROOT", &path).unwrap().is_none(), "{path}");
            assert!(
                catalog.referrers("ROOT", &path).unwrap().next().is_none(),
                "{path}"
            );
        }
        for path in [
            "__NAMESPACE=@",
            "__NAMESPACE",
            r#"__NAMESPACE.Nme="CIMV2""#,
            "__SystemSecurity=1",
        ] {
            let path: ObjectPath = path.parse().unwrap();
            for error in [
                catalog.instance("ROOT", &path).unwrap_err(),
                catalog.referrers("ROOT", &path).err().unwrap(),
            ] {
                assert_eq!(
                    (error.hresult().0, error.exit_code() as u8),
                    (0x8004_103A, 2),
                    "{error}"
                );
            }
        }
        let default: ObjectPath = r#"root:__namespace.name="DEFAULT""#.parse().unwrap();
        assert!(catalog.instance("x", &default).unwrap().is_some());
        let single: ObjectPath = "__SystemSecurity=@".parse().unwrap();
        assert!(catalog.instance("root", &single).unwrap().is_some());
    }
}

//! What another repository has is taken over as it is.

use std::sync::Arc;

use cimrepo::base::rule::Rule;
use cimrepo::catalog::Catalog;
use cimrepo::catalog::create::build;
use cimrepo::catalog::{Importer, PutClass};
use cimrepo::cim::{Class, Instance, Property, ScalarType};
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::OpenOptions;
use cimrepo::{Error, Result};

use crate::lab::{Lab, new_repository};
use crate::support::assert_clean;
use crate::support::content::{check_keys, namespaces};

fn empty() -> Directory {
    Directory::new(Arc::new(MemStorage::new()), ".")
}

/// The classes that can have instances in a namespace, those of the system behind its own.
fn classes(catalog: &Catalog, namespace: &str) -> Vec<String> {
    let name = |class: &Arc<cimrepo::catalog::StoredClass>| class.class.name().as_str().to_owned();
    let mut names: Vec<String> = catalog
        .classes(namespace)
        .map(|class| name(&class.unwrap()))
        .collect();
    let own = names.len();
    let system = catalog
        .classes(SYSTEM_NAMESPACE)
        .map(|class| name(&class.unwrap()));
    let new = |system: &String| {
        !names[..own]
            .iter()
            .any(|own| own.eq_ignore_ascii_case(system))
    };
    let system: Vec<String> = system.filter(new).collect();
    names.extend(system);
    names
}

/// Takes over all of a catalog: namespaces and classes first, in the order in which they were
/// written.
fn copy(from: &Catalog, importer: &mut Importer<'_>) -> Result<()> {
    let mut found = Vec::new();
    for namespace in namespaces(from) {
        found.extend(
            from.classes(&namespace)
                .map(|class| (namespace.clone(), class.unwrap())),
        );
    }
    found.sort_by_key(|(_, class)| class.stamp);
    for (namespace, class) in &found {
        importer.put_class(namespace, class.class.declaration(), Some(class.stamp))?;
    }
    for namespace in namespaces(from).into_iter().skip(1) {
        for class in classes(from, &namespace) {
            for stored in from
                .instances(&namespace, &class)
                .map(|stored| stored.unwrap())
            {
                importer.put_instance(&namespace, &stored.instance, Some(stored.stamp))?;
            }
        }
    }
    Ok(())
}

#[test]
fn a_repository_is_built_from_another_and_holds_the_same() {
    let lab = Lab::new();
    lab.write(|writer| {
        writer.create_namespace(r"ROOT\Shop")?;
        let shelf = Class::builder("Shelf")
            .property(Property::new("Name", ScalarType::String).key())
            .build();
        let class = writer.put_class(r"ROOT\Shop", &shelf, PutClass::CREATE)?;
        let instance = Instance::new(class.class.clone())
            .with("Name", "left")
            .unwrap();
        writer
            .put_instance(r"ROOT\Shop", &instance, Default::default())
            .map(|_| ())
    });
    let from = lab.catalog();
    let directory = empty();
    build(&directory, |importer| copy(&from, importer)).unwrap();
    let repository = OpenOptions::new().open_in(&directory).unwrap();
    assert_clean(&repository, "what was built");
    let to = Catalog::new(repository.snapshot());
    assert_eq!(
        check_keys(&to, "what was built"),
        check_keys(&from, "what it was built from")
    );
    for namespace in namespaces(&from) {
        for class in from.classes(&namespace).map(|class| class.unwrap()) {
            let again = to
                .class(&namespace, class.class.name().as_str())
                .unwrap()
                .unwrap();
            assert_eq!((&again.class, again.stamp), (&class.class, class.stamp));
        }
        for class in classes(&from, &namespace) {
            let content = |catalog: &Catalog| {
                let stored = catalog
                    .instances(&namespace, &class)
                    .map(|stored| stored.unwrap());
                stored
                    .map(|stored| (stored.instance, stored.stamp, stored.class_stamp))
                    .collect::<Vec<_>>()
            };
            assert_eq!(content(&to), content(&from), "{namespace}:{class}");
        }
    }
}

#[test]
fn what_fails_leaves_no_repository() {
    let directory = empty();
    let failed = build(&directory, |_| Err(Error::Cancelled));
    assert!(matches!(failed, Err(Error::Cancelled)));
    assert!(OpenOptions::new().open_in(&directory).is_err());
    assert!(
        matches!(
            build(&directory, |_| Ok(())),
            Err(Error::InvalidArgument(_))
        ),
        "nothing is no repository"
    );
    cimrepo::catalog::create(&directory).unwrap();
    assert!(
        matches!(
            cimrepo::catalog::create(&directory),
            Err(Error::InvalidArgument(_))
        ),
        "it is there already"
    );
}

#[test]
fn a_class_needs_its_superclass_and_an_instance_its_class() {
    let rule = |result: Result<()>| match result {
        Err(Error::Rule { rule, .. }) => rule,
        other => panic!("{other:?}"),
    };
    let orphan = Class::builder("Orphan").superclass("Nothing").build();
    let put = |class: Class| {
        build(&empty(), |importer| {
            importer.put_class("ROOT", &class, None).map(|_| ())
        })
    };
    assert_eq!(rule(put(orphan)), Rule::InvalidSuperclass);
    let from = Catalog::new(
        OpenOptions::new()
            .open_in(&new_repository())
            .unwrap()
            .snapshot(),
    );
    let class = from.class("ROOT", "__NAMESPACE").unwrap().unwrap();
    let instance = Instance::new(class.class.clone())
        .with("Name", "X")
        .unwrap();
    let put = build(&empty(), |importer| {
        importer.put_instance("ROOT", &instance, None).map(|_| ())
    });
    assert_eq!(rule(put), Rule::InvalidClass);
}

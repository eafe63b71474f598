//! Edits of copies of real repositories: each is made, held against what it should have changed and
//! nothing else, and taken back by further edits.

use std::collections::BTreeSet;
use std::sync::Arc;

use cimrepo::base::progress::Unobserved;
use cimrepo::catalog::diff::{Change, Compared, Detail, What, diff};
use cimrepo::catalog::{Catalog, StoredClass, StoredInstance};
use cimrepo::catalog::{Put, PutClass, convert, rules};
use cimrepo::cim::{Class, Instance, ObjectPath, Property, ScalarType, Setting, Value};
use cimrepo::format::Dialect;
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{OpenOptions, Repository};
use cimrepo::verify::{Level, VerifyOptions, verify_content, verify_snapshot};

use crate::lab::Lab;
use crate::support::content::namespaces;
use crate::support::{corpus, in_memory, load, name_of};

/// Classes of each kind that are edited.
const CLASSES: usize = 3;
/// References that are moved.
const REFERENCES: usize = 40;

/// Copies of real repositories; of one of dialect 2.1 what it becomes by conversion.
pub fn labs(test: &str) -> impl Iterator<Item = (String, Lab)> {
    corpus(test).into_iter().map(|path| {
        let mut directory = in_memory(&load(&path)).1;
        let from = OpenOptions::new().open_in(&directory).unwrap().snapshot();
        if from.dialect() == Dialect::V21 {
            directory = Directory::new(Arc::new(MemStorage::new()), ".");
            convert(&Catalog::new(from), &directory, &Unobserved).unwrap();
        }
        (name_of(&path), Lab::over(directory))
    })
}

/// How a later state differs: a line for each object, with what it is, its path and `+`, `-` or
/// what changed.
fn differences(before: &Catalog, after: &Catalog) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    diff(before, after, &mut |compared| {
        let Compared::Difference(difference) = compared else {
            panic!("{compared:?}")
        };
        let change = match difference.change {
            Change::Added => "+".to_owned(),
            Change::Removed => "-".to_owned(),
            Change::Changed(details) => details.iter().map(changed).collect::<Vec<_>>().join(", "),
        };
        assert!(found.insert(line(difference.what, &difference.path, &change)));
        true
    })
    .unwrap();
    found
}

fn changed(detail: &Detail) -> String {
    match (&detail.first, &detail.second) {
        (None, Some(_)) => format!("{} is added", detail.what),
        (Some(_), None) => format!("{} is removed", detail.what),
        _ => detail.what.clone(),
    }
}

fn line(what: What, path: &str, change: &str) -> String {
    format!("{what:?} {path}: {change}")
}

fn class_line(namespace: &str, class: &str, change: &str) -> String {
    line(What::Class, &format!("{namespace}:{class}"), change)
}

fn instance_line(namespace: &str, instance: &Instance, change: &str) -> String {
    line(
        What::Instance,
        &instance.path().unwrap().in_namespace(namespace).text(),
        change,
    )
}

/// What a verification at the highest level finds: nothing but references into what is not there,
/// which are counted.
fn dangling(catalog: &Catalog) -> usize {
    let mut report =
        verify_snapshot(catalog.snapshot(), VerifyOptions::default(), &Unobserved).unwrap();
    verify_content(catalog.snapshot(), Level::Schema, &Unobserved, &mut report).unwrap();
    let other = report
        .findings
        .iter()
        .find(|finding| finding.code.as_str() != "reference.dangling");
    assert!(other.is_none(), "{other:?}");
    report.findings.len()
}

/// The paths of all instances that refer to one.
fn referrers(catalog: &Catalog, namespace: &str, to: &ObjectPath) -> Vec<String> {
    let found = catalog
        .referrers(namespace, to)
        .unwrap()
        .map(Result::unwrap);
    let instances = found.map(|found| {
        catalog
            .referring_instance(&found.reference)
            .unwrap()
            .unwrap()
            .instance
    });
    instances
        .map(|instance| instance.path().unwrap().to_string())
        .collect()
}

/// A repository whose edits are held against what is expected of them.
struct Edited<'l> {
    name: &'l str,
    lab: &'l Lab,
    first: Catalog,
}

impl Edited<'_> {
    /// Makes an edit; the repository then differs from what it was at first by this, and is sound.
    fn write(
        &self,
        expected: impl IntoIterator<Item = String>,
        dangling_then: usize,
        edit: impl FnOnce(&mut cimrepo::catalog::CatalogWriter<'_>) -> cimrepo::Result<()>,
    ) {
        self.lab.write_unchecked(edit);
        let now = self.lab.catalog();
        assert_eq!(
            differences(&self.first, &now),
            expected.into_iter().collect(),
            "{}",
            self.name
        );
        assert_eq!(dangling(&now), dangling_then, "{}", self.name);
    }

    fn instances(&self, namespace: &str, class: &str) -> Vec<StoredInstance> {
        self.first
            .instances_deep(namespace, class)
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    /// A class and what is derived from it, superclasses first.
    fn subtree(&self, namespace: &str, class: &str) -> Vec<Arc<StoredClass>> {
        let mut found: Vec<_> = self.first.classes(namespace).map(Result::unwrap).collect();
        found.retain(|stored| stored.class.is_a(class));
        found.sort_by_key(|stored| stored.class.level());
        found
    }

    fn add_a_property(&self, namespace: &str, class: &Class) {
        let name = class.name.as_str();
        let mut wider = class.clone();
        wider
            .properties
            .push(Property::new("cimrepo_Added", ScalarType::String).default("here"));
        const ADDED: &str = "property cimrepo_Added is added";
        let instances = self.instances(namespace, name);
        let changed = instances
            .iter()
            .map(|stored| instance_line(namespace, &stored.instance, ADDED));
        let expected: Vec<String> = changed
            .chain([class_line(namespace, name, ADDED)])
            .collect();
        self.write(expected, 0, |writer| {
            writer
                .put_class(namespace, &wider, PutClass::FORCE)
                .map(|_| ())
        });
        let now = self.lab.catalog();
        for stored in now
            .instances_deep(namespace, name)
            .unwrap()
            .map(Result::unwrap)
        {
            assert_eq!(
                stored.instance.get("cimrepo_Added"),
                Ok(Some(&"here".into()))
            );
        }
        for derived in self.subtree(namespace, name) {
            let derived = now
                .class(namespace, derived.class.name().as_str())
                .unwrap()
                .unwrap();
            assert_eq!(
                derived.class.property("cimrepo_Added").unwrap().default,
                Some("here".into())
            );
        }
        self.write([], 0, |writer| {
            writer
                .put_class(namespace, class, PutClass::FORCE)
                .map(|_| ())
        });
    }

    fn delete_the_subtree(&self, namespace: &str, class: &Class) {
        let name = class.name.as_str();
        let (classes, instances) = (
            self.subtree(namespace, name),
            self.instances(namespace, name),
        );
        let gone: BTreeSet<String> = instances
            .iter()
            .map(|stored| stored.instance.path().unwrap().to_string())
            .collect();
        // Those that refer to what goes, and stay.
        let mut left = 0;
        for stored in &instances {
            let referrers = referrers(&self.first, namespace, &stored.instance.path().unwrap());
            left += referrers.iter().filter(|by| !gone.contains(*by)).count();
        }
        let of_classes = classes
            .iter()
            .map(|stored| class_line(namespace, stored.class.name().as_str(), "-"));
        let of_instances = instances
            .iter()
            .map(|stored| instance_line(namespace, &stored.instance, "-"));
        self.write(of_classes.chain(of_instances), left, |writer| {
            writer.delete_class(namespace, name)
        });
        self.write([], 0, |writer| {
            for stored in &classes {
                writer.put_class(namespace, stored.class.declaration(), PutClass::CREATE)?;
            }
            instances.iter().try_for_each(|stored| {
                writer
                    .put_instance(namespace, &stored.instance, Put::CreateOnly)
                    .map(|_| ())
            })
        });
    }

    /// A class without derived ones gets another name: it is put anew with its instances, and the
    /// old ones go.
    fn rename(&self, namespace: &str, class: &Class) {
        let name = class.name.as_str();
        let instances = self.instances(namespace, name);
        let renamed = Class {
            name: "cimrepo_Renamed".into(),
            ..class.clone()
        };
        let put = |writer: &mut cimrepo::catalog::CatalogWriter<'_>, from: &str, to: &Class| {
            // An instance keeps its key, so the old one goes first.
            writer.delete_class(namespace, from)?;
            let class = writer
                .put_class(namespace, to, PutClass::CREATE)?
                .class
                .clone();
            for stored in &instances {
                let mut instance = Instance::new(class.clone());
                instance.qualifiers = stored.instance.qualifiers.clone();
                instance.property_qualifiers = stored.instance.property_qualifiers.clone();
                for (property, setting) in class.properties().iter().zip(stored.instance.settings())
                {
                    if *setting != Setting::Inherited {
                        instance
                            .set(property.name.as_str(), setting.clone())
                            .unwrap();
                    }
                }
                writer.put_instance(namespace, &instance, Put::CreateOnly)?;
            }
            cimrepo::Result::Ok(())
        };
        let mut expected = vec![
            class_line(namespace, name, "-"),
            class_line(namespace, "cimrepo_Renamed", "+"),
        ];
        for stored in &instances {
            let path = stored.instance.path().unwrap();
            expected.push(instance_line(namespace, &stored.instance, "-"));
            let path = ObjectPath {
                class: "cimrepo_Renamed".into(),
                ..path
            }
            .in_namespace(namespace)
            .text();
            expected.push(line(What::Instance, &path, "+"));
        }
        self.write(expected, 0, |writer| put(writer, name, &renamed));
        self.write([], 0, |writer| put(writer, "cimrepo_Renamed", class));
    }
}

/// Classes that clients may change, those with the most instances first; whether with derived
/// classes.
fn busiest(catalog: &Catalog, with_derived: bool) -> Vec<(String, Class)> {
    let mut found = Vec::new();
    for namespace in namespaces(catalog).into_iter().skip(1) {
        for class in catalog.classes(&namespace).map(Result::unwrap) {
            let name = class.class.name().as_str();
            let has_derived = catalog.subclasses(&namespace, Some(name)).next().is_some();
            if name.starts_with("__") || has_derived != with_derived {
                continue;
            }
            let count = catalog.instances_deep(&namespace, name).unwrap().count();
            if count > 0 {
                found.push((count, namespace.clone(), class.class.declaration().clone()));
            }
        }
    }
    found.sort_by_key(|(count, _, _)| std::cmp::Reverse(*count));
    found
        .into_iter()
        .take(CLASSES)
        .map(|(_, namespace, class)| (namespace, class))
        .collect()
}

#[test]
fn copies_of_real_repositories_are_edited() {
    for (name, lab) in labs("copies_of_real_repositories_are_edited") {
        let edited = Edited {
            name: &name,
            lab: &lab,
            first: lab.catalog(),
        };
        for (namespace, class) in busiest(&edited.first, true) {
            edited.add_a_property(&namespace, &class);
            edited.delete_the_subtree(&namespace, &class);
            let instances = edited.instances(&namespace, class.name.as_str()).len();
            println!(
                "{name}: {namespace}:{} with derived classes and {instances} instances",
                class.name
            );
        }
        for (namespace, class) in busiest(&edited.first, false) {
            edited.rename(&namespace, &class);
            let instances = edited.instances(&namespace, class.name.as_str()).len();
            println!(
                "{name}: {namespace}:{} with {instances} instances, renamed",
                class.name
            );
        }
        lab.close();
    }
}

/// A property of an instance that refers to another.
struct Reference {
    namespace: String,
    instance: Instance,
    property: String,
    to: ObjectPath,
}

/// References that clients may move: to instances, and not out of the namespace of the one that
/// refers; one of each instance.
fn references(catalog: &Catalog) -> Vec<Reference> {
    let mut found = Vec::new();
    for namespace in namespaces(catalog).into_iter().skip(1) {
        for stored in catalog.all_instances(&namespace).map(Result::unwrap) {
            let first = stored.instance.values().find_map(|(property, value)| {
                let Some(Value::Reference(text)) = value else {
                    return None;
                };
                let to = text.parse::<ObjectPath>().ok()?;
                (to.namespace.is_none() && to.is_instance())
                    .then(|| (property.name.as_str().to_owned(), to))
            });
            let Some((property, to)) = first else {
                continue;
            };
            found.push(Reference {
                namespace: namespace.clone(),
                instance: stored.instance.clone(),
                property,
                to,
            });
        }
    }
    let step = found.len().div_ceil(REFERENCES).max(1);
    found.into_iter().step_by(step).collect()
}

#[test]
fn references_of_real_repositories_are_moved() {
    for (name, lab) in labs("references_of_real_repositories_are_moved") {
        let first = lab.catalog();
        let found = references(&first);
        assert!(!found.is_empty(), "{name}");
        let elsewhere: ObjectPath = r#"__EventFilter.Name="cimrepo""#.parse().unwrap();
        let mut moved = Vec::new();
        for Reference {
            namespace,
            instance,
            property,
            to,
        } in &found
        {
            let value = Setting::Value(Value::Reference(elsewhere.to_string()));
            let other = instance.clone().with(property, value).unwrap();
            lab.write_unchecked(|writer| {
                // Where the reference is a key, this is another instance.
                writer.delete_instance(namespace, &instance.path().unwrap())?;
                writer
                    .put_instance(namespace, &other, Put::CreateOnly)
                    .map(|_| ())
            });
            let now = lab.catalog();
            let (old, new) = (
                instance.path().unwrap().to_string(),
                other.path().unwrap().to_string(),
            );
            assert!(
                referrers(&first, namespace, to).contains(&old),
                "{name}: {to}"
            );
            assert!(
                !referrers(&now, namespace, to).contains(&new),
                "{name}: {to}"
            );
            assert!(
                referrers(&now, namespace, &elsewhere).contains(&new),
                "{name}: {to}"
            );
            moved.push(other);
        }
        assert_eq!(dangling(&lab.catalog()), found.len(), "{name}");
        for (
            Reference {
                namespace,
                instance,
                ..
            },
            other,
        ) in found.iter().zip(&moved)
        {
            lab.write_unchecked(|writer| {
                writer.delete_instance(namespace, &other.path().unwrap())?;
                writer
                    .put_instance(namespace, instance, Put::CreateOnly)
                    .map(|_| ())
            });
        }
        assert_eq!(
            differences(&first, &lab.catalog()),
            BTreeSet::new(),
            "{name}"
        );
        assert_eq!(dangling(&lab.catalog()), 0, "{name}");
        println!("{name}: {} references moved, and back", found.len());
        lab.close();
    }
}

/// Every class and every instance of real repositories holds the rules that the engine knows, so
/// that they can all be put by clients too.
#[test]
fn real_content_holds_the_rules() {
    for path in corpus("real_content_holds_the_rules") {
        let catalog = Catalog::new(Repository::open_read_only(&path).unwrap().snapshot());
        let (mut classes, mut instances) = (0, 0);
        for namespace in namespaces(&catalog) {
            for class in catalog.classes(&namespace).map(Result::unwrap) {
                rules::class(&class.class).unwrap_or_else(|error| panic!("{namespace}: {error}"));
                classes += 1;
                for stored in catalog
                    .instances(&namespace, class.class.name().as_str())
                    .map(Result::unwrap)
                {
                    let is_good = rules::class_of_instance(&class.class)
                        .and_then(|()| rules::instance(&stored.instance));
                    is_good.unwrap_or_else(|error| panic!("{namespace}: {error}"));
                    instances += 1;
                }
            }
        }
        assert_eq!(classes, catalog.snapshot().counts().class_definitions);
        println!(
            "{}: {classes} classes, {instances} instances of classes that are not the system's",
            name_of(&path)
        );
    }
}

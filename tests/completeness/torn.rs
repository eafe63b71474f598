//! One page of the index is gone: instances that lost a key are found by their other one, and those
//! that lost their class by the same class elsewhere or by what their record says.

use std::collections::BTreeSet;

use cimrepo::base::page_no::{LogicalPage, Space};
use cimrepo::catalog::{Catalog, Counted, ObjectKey};
use cimrepo::catalog::{Put, PutClass};
use cimrepo::cim::{Class, Instance, Property, ScalarType};
use cimrepo::format::index::key::Key;
use cimrepo::format::index::object_key::{KeyShape, SYSTEM_NAMESPACE};

use crate::lab::{catalog, keyed, made};
use crate::shapes;
use crate::support::Files;

/// Namespaces with the same class and a few instances each, as policies leave them behind.
const NAMESPACES: u32 = 60;

fn namespace(number: u32) -> String {
    format!(r"ROOT\RSOP\NS{number:08X}")
}

fn policies() -> Files {
    policies_in(NAMESPACES)
}

fn policies_in(namespaces: u32) -> Files {
    made(|writer| {
        writer.create_namespace(r"ROOT\RSOP")?;
        for number in 0..namespaces {
            let place = namespace(number);
            writer.create_namespace(&place)?;
            let setting = Class::builder("Setting")
                .property(Property::new("Name", ScalarType::String).key())
                .property(Property::new("Text", ScalarType::String));
            let setting = writer
                .put_class(&place, &setting.build(), PutClass::CREATE)?
                .class
                .clone();
            for value in 0..3 {
                let instance = Instance::new(setting.clone())
                    .with("Name", format!("setting {value}").as_str());
                let instance = instance
                    .and_then(|instance| instance.with("Text", "a value"))
                    .unwrap();
                writer.put_instance(&place, &instance, Put::CreateOnly)?;
            }
        }
        Ok(())
    })
}

/// Every class and instance that a catalog shows, by record, with its path or name.
fn shown(catalog: &Catalog) -> BTreeSet<(ObjectRecord, String)> {
    let catalog = catalog.each_once();
    let mut namespaces: Vec<String> = catalog
        .namespaces()
        .into_iter()
        .filter_map(Result::ok)
        .collect();
    namespaces.push(SYSTEM_NAMESPACE.to_owned());
    let mut found = BTreeSet::new();
    for namespace in &namespaces {
        for key in catalog
            .object_keys(namespace, Counted::Classes)
            .filter_map(Result::ok)
        {
            if let Ok(class) = catalog.class_of_key(namespace, &key) {
                found.insert((record(&key), class.class.name().as_str().to_owned()));
            }
        }
        for key in catalog
            .object_keys(namespace, Counted::Instances)
            .filter_map(Result::ok)
        {
            if let Ok(stored) = catalog.instance_of_key(namespace, &key) {
                let path = stored
                    .instance
                    .path()
                    .map(|path| path.to_string())
                    .unwrap_or_default();
                found.insert((record(&key), path));
            }
        }
    }
    found
}

type ObjectRecord = (u32, u32);

fn record(key: &ObjectKey) -> ObjectRecord {
    (key.record.page.get(), key.record.id)
}

/// The records whose keys, all of them, lie on a page of the index.
fn gone(whole: &Catalog, torn: &Catalog) -> BTreeSet<ObjectRecord> {
    let records = |catalog: &Catalog| -> BTreeSet<ObjectRecord> {
        let snapshot = catalog.snapshot();
        let keys = snapshot
            .keys(cimrepo::KeyRange::all(), cimrepo::Direction::Forward)
            .filter_map(Result::ok);
        let of_object = |key: &Key| {
            let shape = KeyShape::parse(key.as_bytes())?.1;
            let is_object = matches!(
                shape,
                KeyShape::Class(_) | KeyShape::Instance(..) | KeyShape::KeyedInstance(..)
            );
            key.reference()
                .filter(|_| is_object)
                .map(|record| (record.page.get(), record.id))
        };
        keys.filter_map(|key| of_object(&key)).collect()
    };
    records(whole).difference(&records(torn)).copied().collect()
}

/// Keys that name a class, or an instance under its own class.
fn own_keys(catalog: &Catalog) -> usize {
    let keys = catalog
        .snapshot()
        .keys(cimrepo::KeyRange::all(), cimrepo::Direction::Forward)
        .filter_map(Result::ok);
    let is_own = |key: &Key| {
        matches!(
            KeyShape::parse(key.as_bytes()),
            Some((_, KeyShape::Class(_) | KeyShape::Instance(..)))
        )
    };
    keys.filter(is_own).count()
}

/// Whichever page is zeroed, what is lost is what no key on another page names, and nothing else
/// changes.
#[test]
fn only_what_no_other_key_names_is_lost() {
    let files = policies();
    let whole = catalog(&files);
    let all = shown(&whole);
    assert!(all.len() > 500, "{}", all.len());
    // The keys of classes and the own keys of instances, one for each object.
    assert_eq!(own_keys(&whole), all.len());
    let mut by_twin = 0;
    for page in shapes::mapped(&files, Space::Index) {
        let mut files = files.clone();
        shapes::zero_page(&mut files, Space::Index, page);
        let torn = at_newest(&files);
        if torn
            .snapshot()
            .check_page(Space::Index, LogicalPage::new(page).unwrap())
            .is_none()
        {
            continue; // the page is empty
        }
        let (shown, gone) = (shown(&torn), gone(&whole, &torn));
        let records: BTreeSet<ObjectRecord> = shown.iter().map(|(record, _)| *record).collect();
        let lost: Vec<_> = all
            .iter()
            .filter(|(record, _)| !gone.contains(record) && !records.contains(record))
            .collect();
        assert!(lost.is_empty(), "page {page}: {lost:?}");
        // Without its class an instance has no path, but never another one.
        let is_right =
            |object: &&(ObjectRecord, String)| object.1.is_empty() || all.contains(*object);
        assert_eq!(
            shown.iter().find(|object| !is_right(object)),
            None,
            "page {page}"
        );
        // A page may hold system classes of which every namespace has instances.
        let without = shown.iter().filter(|(_, path)| path.is_empty()).count();
        assert!(
            without <= usize::try_from(4 * NAMESPACES).unwrap(),
            "page {page}: {without}"
        );
        // A page of keys of classes, which have no other.
        assert!(gone.len() <= 64, "page {page}: {gone:?}");
        by_twin += all.len() - gone.len() - own_keys(&torn);
    }
    assert!(by_twin > 100, "{by_twin} were found by their other key");
}

/// The newest generation, though it is torn and an older one is whole.
fn at_newest(files: &Files) -> Catalog {
    let generation =
        crate::support::small::mapping_in(files, &crate::support::small::current_file(files))
            .generation();
    let options = cimrepo::store::OpenOptions::new().generation(generation);
    Catalog::new(
        options
            .open_in(&crate::support::in_memory(files).1)
            .unwrap()
            .snapshot(),
    )
}

/// The record of a class is gone, and the class is in other namespaces too: the key proves that its
/// instances are read rightly.
#[test]
fn instances_are_read_by_the_class_of_another_namespace() {
    let place = namespace(7);
    let files = shapes::tampered(&policies(), |writer| {
        let record = writer.catalog().class(&place, "Setting")?.unwrap().record;
        writer.transaction().remove_record(record)
    });
    let catalog = catalog(&files);
    assert!(catalog.class(&place, "Setting").is_err());
    let found: Vec<_> = catalog
        .instances(&place, "Setting")
        .map(Result::unwrap)
        .collect();
    assert_eq!(found.len(), 3);
    for stored in &found {
        assert!(stored.damage.is_some());
        assert_eq!(
            stored.instance.get("Text").unwrap().unwrap().as_text(),
            Some("a value")
        );
    }
    let strict = catalog.whole_only();
    assert!(
        strict
            .instances(&place, "Setting")
            .all(|stored| stored.is_err()),
        "not for those that want whole ones"
    );
}

/// Two different classes of that name would do: neither is taken, and the instance has no
/// properties.
#[test]
fn of_two_classes_that_fit_neither_is_taken() {
    let place = namespace(1);
    let files = shapes::tampered(&policies_in(2), |writer| {
        writer.create_namespace(r"ROOT\Other")?;
        let setting = Class::builder("Setting")
            .property(Property::new("Name", ScalarType::String).key())
            .property(Property::new("Owner", ScalarType::String));
        writer.put_class(r"ROOT\Other", &setting.build(), PutClass::CREATE)?;
        let record = writer.catalog().class(&place, "Setting")?.unwrap().record;
        writer.transaction().remove_record(record)
    });
    let catalog = catalog(&files);
    let found: Vec<_> = catalog
        .instances(&place, "Setting")
        .map(Result::unwrap)
        .collect();
    assert_eq!(found.len(), 3);
    assert!(
        found.iter().all(
            |stored| stored.damage.is_some() && stored.instance.class().properties().is_empty()
        )
    );
}

/// The class is nowhere: the record says of which class the instance is, and when it was written.
#[test]
fn an_instance_without_class_has_the_name_of_its_class() {
    let files = shapes::tampered(&shapes::populated(), |writer| {
        for namespace in shapes::NAMESPACES {
            let record = writer.catalog().class(namespace, "Base")?.unwrap().record;
            writer.transaction().remove_record(record)?;
        }
        Ok(())
    });
    let catalog = catalog(&files);
    let found: Vec<_> = catalog
        .instances(shapes::NAMESPACES[0], "Base")
        .map(Result::unwrap)
        .collect();
    assert_eq!(found.len(), 6);
    for stored in &found {
        assert_eq!(stored.instance.class().name().as_str(), "Base");
        assert!(
            stored.instance.class().is_partial() && stored.instance.class().properties().is_empty()
        );
        assert!(stored.damage.is_some() && stored.instance.path().is_err());
    }
    #[cfg(feature = "cli")]
    {
        let place = crate::lab::on_disk(&files);
        let ran = crate::lab::cimrepo(&[&"export", &place.path(), &"--class", &"Leaf"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        let ran = crate::lab::cimrepo(&[&"export", &place.path()]);
        assert_eq!(
            ran.out.matches(r#""partial":"Base","written""#).count(),
            3 * (2 + 18),
            "{ran:?}"
        );
        assert!(
            ran.err.contains(" is partial, as Base is lost: "),
            "{ran:?}"
        );
    }
}

/// A class that declares no properties below one that lost its superclass: its instances have what
/// the other declares, or nothing, and are not lost.
#[test]
fn instances_of_partial_classes_without_properties_are_shown() {
    let files = made(|writer| {
        let note = |name: &str| Property::new(name, ScalarType::String);
        writer.put_class(
            "ROOT",
            &keyed("Top").property(note("Above")).build(),
            PutClass::CREATE,
        )?;
        let classes = [
            ("Plain", "Top", None),
            ("Own", "Top", Some("Here")),
            ("Below", "Own", None),
            ("Again", "Top", None),
        ];
        for (id, (name, superclass, property)) in (0u32..).zip(classes) {
            let mut class = Class::builder(name).superclass(superclass);
            if let Some(property) = property {
                class = class.property(note(property));
            }
            if name == "Again" {
                // Where values begin is not known of a class that declares nothing new.
                class = class.property(note("Above").default("another"));
            }
            let class = writer
                .put_class("ROOT", &class.build(), PutClass::CREATE)?
                .class
                .clone();
            let mut instance = Instance::new(class.clone())
                .with("Id", id)
                .unwrap()
                .with("Above", "above")
                .unwrap();
            if class.property("Here").is_some() {
                instance = instance.with("Here", name).unwrap();
            }
            writer.put_instance("ROOT", &instance, Put::CreateOnly)?;
        }
        let record = writer.catalog().class("ROOT", "Top")?.unwrap().record;
        writer.transaction().remove_record(record)
    });
    let catalog = catalog(&files);
    for (class, here) in [
        ("Plain", None),
        ("Own", Some("Own")),
        ("Below", Some("Below")),
        ("Again", None),
    ] {
        let found: Vec<_> = catalog.instances("ROOT", class).collect();
        assert_eq!(found.len(), 1, "{class}");
        let stored = found.into_iter().next().unwrap().unwrap();
        assert!(stored.instance.class().is_partial(), "{class}");
        let text = stored
            .instance
            .get("Here")
            .ok()
            .flatten()
            .and_then(|value| value.as_text());
        assert_eq!(text, here, "{class}");
    }
}

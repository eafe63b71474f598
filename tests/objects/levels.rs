//! The levels of verification above the structure: every rule, broken, is reported under its code.

use std::collections::BTreeSet;
use std::sync::Arc;

use cimrepo::base::progress::Unobserved;
use cimrepo::catalog::diff::{Compared, diff};
use cimrepo::catalog::{Catalog, Census};
use cimrepo::catalog::{Importer, convert, create};
use cimrepo::cim::{
    CimType, Class, Flavor, Instance, Method, Object, ObjectPath, Property, Qualifier, ScalarType,
    Setting, Value,
};
use cimrepo::format::Dialect;
use cimrepo::format::record::instance_record::encode_instance_record;
use cimrepo::format::record::reference_record::ReferenceRecordView;
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{Engine, EngineOptions};
use cimrepo::store::{OpenOptions, Repository, Snapshot};
use cimrepo::verify::{GenerationReport, Level, VerifyOptions, verify_content, verify_snapshot};
use cimrepo::{Direction, KeyRange};

use crate::support::{corpus, name_of};

fn report(snapshot: &Snapshot, level: Level) -> GenerationReport {
    let mut report = verify_snapshot(snapshot, VerifyOptions::default(), &Unobserved).unwrap();
    verify_content(snapshot, level, &Unobserved, &mut report).unwrap();
    report
}

fn codes(snapshot: &Snapshot, level: Level) -> BTreeSet<&'static str> {
    report(snapshot, level)
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

/// A new repository with a class that has a key and a reference, and two instances, one of which
/// refers to the other.
fn engine() -> Engine {
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    create(&directory).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap();
    let mut importer = Importer::new(engine.begin_write().unwrap()).unwrap();
    let class = Class::builder("Thing")
        .property(Property::new("Name", ScalarType::String).key())
        .property(Property::new("Next", ScalarType::Reference).of_class("Thing"))
        .build();
    let class = importer.put_class("ROOT", &class, None).unwrap();
    for (name, next) in [
        ("one", Setting::Null),
        ("two", Value::Reference("Thing.Name=\"one\"".into()).into()),
    ] {
        let thing = Instance::new(class.class.clone())
            .with("Name", name)
            .unwrap()
            .with("Next", next)
            .unwrap();
        importer.put_instance("ROOT", &thing, None).unwrap();
    }
    importer.commit().unwrap();
    engine
}

/// Imports something; gives what is found then at level schema.
fn imported(import: impl FnOnce(&mut Importer<'_>)) -> BTreeSet<&'static str> {
    let engine = engine();
    let mut importer = Importer::new(engine.begin_write().unwrap()).unwrap();
    import(&mut importer);
    importer.commit().unwrap();
    let found = codes(&engine.snapshot(), Level::Schema);
    let below = codes(&engine.snapshot(), Level::References);
    assert!(
        below.iter().all(|code| !code.starts_with("schema.")),
        "{below:?}"
    );
    found
}

/// The keys that begin like this, with their records.
fn keys(snapshot: &Snapshot, prefix: &str) -> Vec<String> {
    let range = KeyRange::prefix(prefix.as_bytes());
    snapshot
        .keys(range, Direction::Forward)
        .map(|key| key.unwrap().to_string())
        .collect()
}

/// Gives an instance another record; its keys go with it.
fn with_record(change: impl FnOnce(&mut Vec<u8>, &Instance)) -> BTreeSet<&'static str> {
    let engine = engine();
    let catalog = Catalog::new(engine.snapshot());
    let path: ObjectPath = "Thing.Name=\"two\"".parse().unwrap();
    let stored = catalog.instance("ROOT", &path).unwrap().unwrap();
    let mut record = engine.snapshot().record(stored.record).unwrap();
    change(&mut record, &stored.instance);
    let mut transaction = engine.begin_write().unwrap();
    let new = transaction.insert_record(&record).unwrap();
    let suffix = format!(".{}", stored.record);
    for key in keys(&engine.snapshot(), "")
        .iter()
        .filter(|key| key.ends_with(&suffix))
    {
        transaction.remove_key(key.as_bytes()).unwrap();
        let bare = key.strip_suffix(&suffix).unwrap();
        transaction
            .insert_key(format!("{bare}.{new}").as_bytes())
            .unwrap();
    }
    transaction.remove_record(stored.record).unwrap();
    transaction.commit().unwrap();
    codes(&engine.snapshot(), Level::Schema)
}

#[test]
fn a_new_repository_is_clean() {
    let engine = engine();
    let report = report(&engine.snapshot(), Level::Schema);
    assert!(report.is_consistent(), "{:#?}", report.findings);
}

#[test]
fn keys_that_are_missing_or_too_many_are_found() {
    for (change, code) in [
        ("remove", "key.missing"),
        ("add", "key.unexpected"),
        ("shape", "key.shape"),
    ] {
        let engine = engine();
        let catalog = Catalog::new(engine.snapshot());
        let subclass = catalog.keys().subclass("ROOT", None, "Thing");
        let mut transaction = engine.begin_write().unwrap();
        let changed = match change {
            "remove" => transaction.remove_key(subclass.as_bytes()),
            "add" => transaction.insert_key(
                catalog
                    .keys()
                    .subclass("ROOT", Some("Other"), "Thing")
                    .as_bytes(),
            ),
            _ => transaction
                .insert_key(format!("{}ZZ_1", catalog.keys().namespace("ROOT")).as_bytes()),
        };
        assert!(changed.unwrap(), "{change}");
        transaction.commit().unwrap();
        assert!(
            codes(&engine.snapshot(), Level::Structure).is_empty(),
            "{change}: the structure is sound"
        );
        assert_eq!(
            codes(&engine.snapshot(), Level::References),
            BTreeSet::from([code]),
            "{change}"
        );
    }
}

#[test]
fn references_that_lead_nowhere_are_found() {
    for path in [
        "Thing.Name=\"three\"",
        "ROOT\\nowhere:Thing.Name=\"one\"",
        "this is no path",
    ] {
        let found = imported(|importer| {
            let class = importer
                .catalog()
                .class("ROOT", "Thing")
                .unwrap()
                .unwrap()
                .class
                .clone();
            let thing = Instance::new(class).with("Name", "bad").unwrap();
            let thing = thing
                .with("Next", Value::Reference(path.to_owned()))
                .unwrap();
            importer.put_instance("ROOT", &thing, None).unwrap();
        });
        assert_eq!(found, BTreeSet::from(["reference.dangling"]), "{path}");
    }
}

#[test]
fn a_record_of_another_reference_is_found() {
    let engine = engine();
    let snapshot = engine.snapshot();
    let key = keys(&snapshot, "")
        .into_iter()
        .find(|key| key.contains(r"\IR_"))
        .unwrap();
    let (bare, _) = key.split_once('.').unwrap();
    let old = snapshot.reference(bare.as_bytes()).unwrap().unwrap();
    let mut reference = ReferenceRecordView::parse(&snapshot.record(old).unwrap())
        .unwrap()
        .to_reference()
        .unwrap();
    reference.property = "Other".to_owned();
    for (bytes, code) in [
        (reference.to_bytes(), "reference.content"),
        (vec![7; 9], "record.referrer"),
    ] {
        let mut transaction = engine.begin_write().unwrap();
        let last = transaction.reference(bare.as_bytes()).unwrap().unwrap();
        let new = transaction.insert_record(&bytes).unwrap();
        transaction
            .remove_key(format!("{bare}.{last}").as_bytes())
            .unwrap();
        transaction
            .insert_key(format!("{bare}.{new}").as_bytes())
            .unwrap();
        transaction.remove_record(last).unwrap();
        transaction.commit().unwrap();
        assert_eq!(
            codes(&engine.snapshot(), Level::References),
            BTreeSet::from([code])
        );
    }
}

#[test]
fn records_of_instances_that_are_wrong_are_found() {
    const STAMP: usize = 128;
    let stamp = |at: usize, value: u64| {
        with_record(|record, _| record[at..at + 8].copy_from_slice(&value.to_le_bytes()))
    };
    assert_eq!(stamp(STAMP + 8, 1), BTreeSet::from(["object.class-stamp"]));
    let of_class = with_record(|record, _| {
        let class_stamp: [u8; 8] = record[STAMP + 8..STAMP + 16].try_into().unwrap();
        record[STAMP..STAMP + 8].copy_from_slice(&class_stamp);
    });
    assert_eq!(of_class, BTreeSet::from(["object.stamp-twice"]));
    let no_key = with_record(|record, instance| {
        let read = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap());
        let stamps = (read(STAMP), read(STAMP + 8));
        let instance = instance.clone().with("Name", Setting::Null).unwrap();
        *record = encode_instance_record(&instance, Dialect::V22, stamps.0, stamps.1).unwrap();
    });
    // The reference that it made is that of no instance now.
    assert_eq!(no_key, BTreeSet::from(["key.unexpected", "object.no-key"]));
    let damaged = with_record(|record, _| record.truncate(150));
    assert_eq!(
        damaged,
        BTreeSet::from(["key.unexpected", "record.instance"])
    );
}

#[test]
fn classes_that_break_rules_are_found() {
    let class = |build: &dyn Fn(Class) -> Class| {
        imported(|importer| {
            let class = build(Class::builder("Bad").build());
            importer.put_class("ROOT", &class, None).unwrap();
        })
    };
    let property = |property: Property| {
        class(&|class| Class {
            properties: vec![property.clone()],
            ..class
        })
    };
    let twice = [
        Qualifier::flag("a", Flavor::empty()),
        Qualifier::flag("A", Flavor::empty()),
    ];
    let twice = class(&|class| Class {
        qualifiers: twice.clone().into_iter().collect(),
        ..class
    });
    assert_eq!(twice, BTreeSet::from(["schema.qualifier-twice"]));
    let inherited = Qualifier::flag("a", Flavor::INHERITED);
    let inherited = class(&|class| Class {
        qualifiers: [inherited.clone()].into_iter().collect(),
        ..class
    });
    assert_eq!(inherited, BTreeSet::from(["schema.qualifier-flavor"]));
    let wrong = Property::new("P", ScalarType::Uint8).qualifier(Qualifier::cimtype("string"));
    assert_eq!(property(wrong), BTreeSet::from(["schema.cimtype"]));
    let mut none = Property::new("P", ScalarType::Uint8);
    none.qualifiers.remove("CIMTYPE");
    assert_eq!(property(none), BTreeSet::from(["schema.cimtype"]));
    let key = Property::new("P", CimType::array(ScalarType::Uint8)).key();
    assert_eq!(property(key), BTreeSet::from(["schema.key-type"]));
    let opaque = Value::Object(Box::new(Object::Opaque(Box::new([9, 9]))));
    let opaque = Property::new("P", ScalarType::Object).default(opaque);
    assert_eq!(property(opaque), BTreeSet::from(["schema.object"]));
    let mut method = Method::new("Do").input(Property::new("A", ScalarType::Uint8));
    let parameters = Arc::make_mut(method.input.as_mut().unwrap());
    parameters.properties[0].qualifiers.remove("in");
    let method = class(&|class| Class {
        methods: vec![method.clone()],
        ..class
    });
    assert_eq!(method, BTreeSet::from(["schema.signature"]));
}

#[test]
fn fixed_qualifiers_and_abstract_classes_are_held() {
    let found = imported(|importer| {
        let fixed = Flavor::TO_SUBCLASS | Flavor::NOT_OVERRIDABLE;
        let above = Class::builder("Above")
            .qualifier(Qualifier::new("Fixed", 1, fixed))
            .build();
        importer.put_class("ROOT", &above, None).unwrap();
        let below = Class::builder("Below")
            .superclass("Above")
            .qualifier(Qualifier::new("Fixed", 2, fixed))
            .build();
        importer.put_class("ROOT", &below, None).unwrap();
    });
    assert_eq!(found, BTreeSet::from(["schema.qualifier-override"]));
    let found = imported(|importer| {
        let class = Class::builder("Idea")
            .qualifier(Qualifier::flag("abstract", Flavor::empty()))
            .property(Property::new("Name", ScalarType::String).key())
            .build();
        let class = importer.put_class("ROOT", &class, None).unwrap();
        let idea = Instance::new(class.class.clone())
            .with("Name", "x")
            .unwrap();
        importer.put_instance("ROOT", &idea, None).unwrap();
    });
    assert_eq!(found, BTreeSet::from(["schema.abstract-instance"]));
}

#[test]
fn real_repositories_keep_every_rule() {
    for path in corpus("real_repositories_keep_every_rule") {
        let report = report(
            &Repository::open_read_only(&path).unwrap().snapshot(),
            Level::Schema,
        );
        assert!(
            report.is_consistent(),
            "{}: {:#?}",
            name_of(&path),
            report.findings
        );
        println!("{}: {} keys", name_of(&path), report.keys);
    }
}

#[test]
fn all_content_goes_into_a_new_repository() {
    for path in corpus("all_content_goes_into_a_new_repository") {
        let name = name_of(&path);
        let from = Catalog::new(Repository::open_read_only(&path).unwrap().snapshot());
        let directory = Directory::new(Arc::new(MemStorage::new()), ".");
        let converted = convert(&from, &directory, &Unobserved).unwrap();
        assert!(
            converted.left_out.is_empty(),
            "{name}: {:?}",
            converted.left_out
        );
        let counts = from.snapshot().counts();
        let Census {
            classes, instances, ..
        } = &converted.census;
        assert!(converted.census.is_whole(), "{name}: {}", converted.census);
        assert_eq!(
            (classes.reached, instances.reached),
            (counts.class_definitions, counts.instances),
            "{name}"
        );
        let to = Catalog::new(OpenOptions::new().open_in(&directory).unwrap().snapshot());
        assert_eq!(to.dialect(), Dialect::V22);
        assert_eq!(to.snapshot().counts(), counts, "{name}");
        diff(&from, &to, &mut |compared: Compared| {
            panic!("{name}: {compared:?}")
        })
        .unwrap();
        let report = report(to.snapshot(), Level::Schema);
        assert!(report.is_consistent(), "{name}: {:#?}", report.findings);
        println!("{name}: {converted:?}");
    }
}

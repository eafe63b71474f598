//! Edits of small repositories: what depends on a class or instance follows.

use cimrepo::base::rule::Rule;
use cimrepo::catalog::Catalog;
use cimrepo::catalog::{CatalogWriter, Put, PutClass, UpdateMode};
use cimrepo::cim::{Class, Flavor, Instance, ObjectPath, Property, Qualifier, ScalarType, Value};

use crate::lab::Lab;

const NS: &str = "ROOT";

fn path(text: &str) -> ObjectPath {
    text.parse().unwrap()
}

fn base() -> cimrepo::cim::ClassBuilder {
    Class::builder("Base")
        .property(Property::new("Id", ScalarType::Uint32).key())
        .property(Property::new("Text", ScalarType::String).default("plain"))
}

fn middle() -> Class {
    let text = Property::new("Text", ScalarType::String).default("other");
    Class::builder("Middle")
        .superclass("Base")
        .property(text)
        .property(Property::new("Size", ScalarType::Uint64))
        .build()
}

fn leaf() -> Class {
    let to = Property::new("To", ScalarType::Reference).of_class("Base");
    Class::builder("Leaf")
        .superclass("Middle")
        .property(to)
        .property(Property::new("Flag", ScalarType::Boolean))
        .build()
}

fn put(
    writer: &mut CatalogWriter<'_>,
    class: &str,
    values: &[(&str, Value)],
) -> cimrepo::Result<()> {
    let class = writer.catalog().class(NS, class)?.unwrap().class.clone();
    let mut instance = Instance::new(class);
    values
        .iter()
        .for_each(|(name, value)| instance.set(name, value.clone()).unwrap());
    writer
        .put_instance(NS, &instance, Put::CreateOrUpdate)
        .map(|_| ())
}

/// Three classes in a chain with an instance each; the last refers to the first.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.write(|writer| {
        for class in [base().build(), middle(), leaf()] {
            writer.put_class(NS, &class, PutClass::CREATE)?;
        }
        put(writer, "Base", &[("Id", 1u32.into())])?;
        put(
            writer,
            "Middle",
            &[
                ("Id", 2u32.into()),
                ("Text", "own".into()),
                ("Size", 7u64.into()),
            ],
        )?;
        let to = Value::Reference("Base.Id=1".to_owned());
        put(
            writer,
            "Leaf",
            &[("Id", 3u32.into()), ("To", to), ("Flag", true.into())],
        )
    });
    lab
}

fn get(catalog: &Catalog, at: &str, property: &str) -> Option<Value> {
    catalog
        .instance(NS, &path(at))
        .unwrap()
        .unwrap_or_else(|| panic!("{at}"))
        .instance
        .get(property)
        .ok()?
        .cloned()
}

#[test]
fn a_property_is_added_to_a_class_with_subclasses_and_instances() {
    let lab = lab();
    let wider = base()
        .property(Property::new("Added", ScalarType::Uint16).default(9u16))
        .build();
    lab.refused(Rule::ClassHasInstances, |writer| {
        writer.put_class(NS, &wider, PutClass::default())
    });
    lab.refused(Rule::ClassHasInstances, |writer| {
        writer.put_class(NS, &wider, PutClass::update(UpdateMode::Safe))
    });
    let before = lab.catalog().class(NS, "Leaf").unwrap().unwrap().stamp;
    lab.write(|writer| writer.put_class(NS, &wider, PutClass::FORCE).map(|_| ()));
    let catalog = lab.catalog();
    let leaf = catalog.class(NS, "Leaf").unwrap().unwrap();
    assert!(leaf.stamp > before);
    let order = |name: &str| leaf.class.property(name).unwrap().order;
    assert_eq!((order("Added"), order("Size"), order("Flag")), (2, 3, 5));
    for id in 1..=3 {
        assert_eq!(
            get(&catalog, &format!("Base.Id={id}"), "Added"),
            Some(Value::Uint16(9))
        );
    }
    assert_eq!(get(&catalog, "Base.Id=2", "Text"), Some("own".into()));
    assert_eq!(get(&catalog, "Base.Id=2", "Size"), Some(Value::Uint64(7)));
    assert_eq!(
        get(&catalog, "Base.Id=3", "Flag"),
        Some(Value::Boolean(true))
    );
    assert_eq!(
        get(&catalog, "Base.Id=3", "Text"),
        Some("other".into()),
        "the default of the class in between"
    );
    assert_eq!(
        catalog.referrers(NS, &path("Base.Id=1")).unwrap().count(),
        1
    );
    lab.close();
}

#[test]
fn qualifiers_that_only_describe_change_in_every_mode() {
    let lab = lab();
    let told = base()
        .qualifier(Qualifier::new("Description", "the base", Flavor::AMENDED))
        .build();
    let stamp = |name: &str| lab.catalog().class(NS, name).unwrap().unwrap().stamp;
    let before = (stamp("Base"), stamp("Middle"));
    lab.write(|writer| writer.put_class(NS, &told, PutClass::default()).map(|_| ()));
    assert!(stamp("Base") > before.0);
    assert_eq!(stamp("Middle"), before.1, "its record says nothing of it");
    lab.write(|writer| writer.put_class(NS, &told, PutClass::default()).map(|_| ()));
    let important = base()
        .qualifier(Qualifier::flag("association", Flavor::TO_SUBCLASS))
        .build();
    lab.refused(Rule::ClassHasInstances, |writer| {
        writer.put_class(NS, &important, PutClass::default())
    });
    lab.close();
}

#[test]
fn modes_without_instances() {
    let lab = Lab::new();
    lab.write(|writer| {
        [base().build(), middle(), leaf()]
            .iter()
            .try_for_each(|class| writer.put_class(NS, class, PutClass::CREATE).map(|_| ()))
    });
    let wider = base()
        .property(Property::new("Added", ScalarType::Uint16))
        .build();
    lab.refused(Rule::ClassHasChildren, |writer| {
        writer.put_class(NS, &wider, PutClass::default())
    });
    lab.write(|writer| {
        writer
            .put_class(NS, &wider, PutClass::update(UpdateMode::Safe))
            .map(|_| ())
    });
    // A property that a subclass has with another type.
    let clash = base()
        .property(Property::new("Size", ScalarType::String))
        .build();
    let safe = PutClass::update(UpdateMode::Safe);
    lab.refused(Rule::UpdateTypeMismatch, |writer| {
        writer.put_class(NS, &clash, safe)
    });
    lab.write(|writer| writer.put_class(NS, &clash, PutClass::FORCE).map(|_| ()));
    let middle = lab.catalog().class(NS, "Middle").unwrap().unwrap();
    assert_eq!(
        middle.class.property("Size").unwrap().cim_type,
        ScalarType::String.into()
    );
    assert!(
        middle.class.declaration().property("Size").is_none(),
        "what conflicts is taken out"
    );
    // A qualifier that no subclass may have otherwise.
    let fixed = Flavor::TO_SUBCLASS | Flavor::NOT_OVERRIDABLE;
    lab.write(|writer| {
        let marked = Class {
            name: "Marked".into(),
            superclass: Some("Base".into()),
            ..Class::builder("x").build()
        };
        let own = Qualifier::new("Mark", "own", Flavor::empty());
        let marked = Class {
            qualifiers: [own].into_iter().collect(),
            ..marked
        };
        writer.put_class(NS, &marked, PutClass::CREATE).map(|_| ())
    });
    let mark = base()
        .qualifier(Qualifier::new("mark", "fixed", fixed))
        .build();
    lab.refused(Rule::UpdateOverrideNotAllowed, |writer| {
        writer.put_class(NS, &mark, safe)
    });
    lab.write(|writer| writer.put_class(NS, &mark, PutClass::FORCE).map(|_| ()));
    let marked = lab.catalog().class(NS, "Marked").unwrap().unwrap();
    assert_eq!(marked.class.qualifiers().text("Mark"), Some("fixed"));
    assert!(marked.class.declaration().qualifiers.is_empty());
    lab.close();
}

#[test]
fn a_property_is_taken_out_of_a_class_and_given_back() {
    let lab = lab();
    let narrower = Class::builder("Base")
        .property(Property::new("Id", ScalarType::Uint32).key())
        .build();
    lab.write(|writer| writer.put_class(NS, &narrower, PutClass::FORCE).map(|_| ()));
    let catalog = lab.catalog();
    assert_eq!(get(&catalog, "Base.Id=1", "Text"), None);
    assert_eq!(
        get(&catalog, "Base.Id=2", "Text"),
        Some("own".into()),
        "the subclass declares it"
    );
    assert_eq!(get(&catalog, "Base.Id=3", "Text"), Some("other".into()));
    let origin = |name: &str| {
        let class = lab.catalog().class(NS, name).unwrap().unwrap();
        class
            .class
            .property("Text")
            .unwrap()
            .origin
            .as_str()
            .to_owned()
    };
    assert_eq!(origin("Leaf"), "Middle");
    lab.write(|writer| {
        writer
            .put_class(NS, &base().build(), PutClass::FORCE)
            .map(|_| ())
    });
    assert_eq!(origin("Leaf"), "Base");
    assert_eq!(get(&lab.catalog(), "Base.Id=2", "Text"), Some("own".into()));
    lab.close();
}

/// The record of a derived class without properties stays the same, but its instances do not.
#[test]
fn a_property_that_takes_the_place_of_another_does_not_take_its_values() {
    let lab = Lab::new();
    let with = |name: &str| {
        base()
            .property(Property::new(name, ScalarType::String).default("default"))
            .build()
    };
    lab.write(|writer| {
        writer.put_class(NS, &with("One"), PutClass::CREATE)?;
        writer.put_class(
            NS,
            &Class::builder("Plain").superclass("Base").build(),
            PutClass::CREATE,
        )?;
        put(
            writer,
            "Plain",
            &[("Id", 1u32.into()), ("One", "own".into())],
        )
    });
    lab.write(|writer| {
        writer
            .put_class(NS, &with("Two"), PutClass::FORCE)
            .map(|_| ())
    });
    assert_eq!(
        get(&lab.catalog(), "Base.Id=1", "Two"),
        Some("default".into())
    );
    assert_eq!(get(&lab.catalog(), "Base.Id=1", "One"), None);
    lab.close();
}

#[test]
fn keys_do_not_change_under_instances() {
    let lab = lab();
    let other = Class::builder("Base")
        .property(Property::new("Name", ScalarType::String).key())
        .build();
    let more = base()
        .property(Property::new("More", ScalarType::String).key())
        .build();
    let default = Class::builder("Base")
        .property(Property::new("Id", ScalarType::Uint32).default(1u32).key())
        .build();
    for class in [other.clone(), more, default] {
        lab.refused(Rule::ClassHasInstances, |writer| {
            writer.put_class(NS, &class, PutClass::FORCE)
        });
    }
    lab.write(|writer| {
        (1..=3).try_for_each(|id| writer.delete_instance(NS, &path(&format!("Base.Id={id}"))))
    });
    lab.write(|writer| writer.put_class(NS, &other, PutClass::FORCE).map(|_| ()));
    lab.close();
}

#[test]
fn a_subtree_is_deleted() {
    let lab = lab();
    let before = lab.write(|_| Ok(()));
    let after = lab.write(|writer| writer.delete_class(NS, "middle"));
    assert_eq!(after.instances, before.instances - 2);
    assert_eq!((before.references, after.references), (1, 0));
    assert!(lab.catalog().class(NS, "Leaf").unwrap().is_none());
    assert!(
        lab.catalog()
            .instance(NS, &path("Base.Id=1"))
            .unwrap()
            .is_some()
    );
    lab.write(|writer| writer.delete_class(NS, "Base"));
    lab.close();
}

#[test]
fn references_are_moved_and_outlive_their_target_and_its_class() {
    let lab = lab();
    let referrers = |at: &str| lab.catalog().referrers(NS, &path(at)).unwrap().count();
    let point = |to: &str| {
        let values = [("Id", 3u32.into()), ("To", Value::Reference(to.to_owned()))];
        lab.write(|writer| put(writer, "Leaf", &values)).references
    };
    assert_eq!(point("Middle.Id=2"), 1);
    assert_eq!((referrers("Base.Id=1"), referrers("Base.Id=2")), (0, 1));
    assert_eq!(point("Nothing.Id=5"), 1);
    assert_eq!((referrers("Nothing.Id=5"), referrers("Base.Id=5")), (1, 0));
    // The class comes to be, derived from one that declares its keys.
    let class = Class::builder("Nothing").superclass("Base").build();
    lab.write(|writer| writer.put_class(NS, &class, PutClass::CREATE).map(|_| ()));
    assert_eq!((referrers("Nothing.Id=5"), referrers("Base.Id=5")), (1, 1));
    lab.write(|writer| put(writer, "Nothing", &[("Id", 5u32.into())]));
    lab.write(|writer| writer.delete_instance(NS, &path("Nothing.Id=5")));
    assert_eq!(referrers("Base.Id=5"), 1, "the reference stays");
    lab.write(|writer| writer.delete_class(NS, "Nothing"));
    assert_eq!((referrers("Nothing.Id=5"), referrers("Base.Id=5")), (1, 0));
    assert_eq!(point("no path at all"), 0);
    let values = [("Id", 3u32.into())];
    assert_eq!(
        lab.write(|writer| put(writer, "Leaf", &values)).unresolved,
        0
    );
    lab.close();
}

#[test]
fn an_own_class_may_hide_one_of_the_system() {
    let lab = Lab::new();
    let own = Class::builder("CIM_Error")
        .property(Property::new("Own", ScalarType::String).key())
        .build();
    let derived = Class::builder("Worse").superclass("CIM_Error").build();
    lab.write(|writer| writer.put_class(NS, &derived, PutClass::CREATE).map(|_| ()));
    lab.refused(Rule::ClassHasChildren, |writer| {
        writer.put_class(NS, &own, PutClass::default())
    });
    lab.write(|writer| writer.put_class(NS, &own, PutClass::FORCE).map(|_| ()));
    let class = |name: &str| lab.catalog().class(NS, name).unwrap().unwrap();
    assert!(!class("CIM_Error").is_system);
    assert!(class("Worse").class.property("Own").is_some());
    lab.write(|writer| writer.delete_class(NS, "CIM_Error"));
    assert!(class("CIM_Error").is_system);
    lab.close();
}

#[test]
fn savepoints_take_objects_back() {
    let lab = lab();
    lab.write(|writer| {
        let savepoint = writer.savepoint();
        writer.delete_class(NS, "Base")?;
        assert!(writer.catalog().class(NS, "Leaf")?.is_none());
        writer.roll_back(savepoint);
        assert!(writer.catalog().class(NS, "Leaf")?.is_some());
        put(writer, "Base", &[("Id", 4u32.into())])
    });
    assert_eq!(
        get(&lab.catalog(), "Base.Id=4", "Text"),
        Some("plain".into())
    );
    lab.close();
}

/// Cuts the record of an instance short.
fn damage(lab: &Lab, class: &str, key: &str) {
    damage_in(lab, NS, (class, "Base"), key);
}

/// The same, of a class whose keys another declares.
fn damage_in(lab: &Lab, namespace: &str, (class, key_class): (&str, &str), key: &str) {
    let keys = lab.catalog().keys().clone();
    let (own, keyed) = (
        keys.instance(namespace, class, key),
        keys.keyed_instance(namespace, key_class, key),
    );
    lab.write_unchecked(|writer| {
        let transaction = writer.transaction();
        let sound = transaction.reference(own.as_bytes())?.unwrap();
        let mut bytes = transaction.record(sound)?;
        bytes.pop();
        let damaged = transaction.insert_record(&bytes)?;
        for key in [&own, &keyed] {
            transaction.remove_key(format!("{key}.{sound}").as_bytes())?;
            transaction.insert_key(format!("{key}.{damaged}").as_bytes())?;
        }
        transaction.remove_record(sound)
    });
}

#[test]
fn a_damaged_instance_is_deleted_by_its_path() {
    for (class, key, by) in [
        ("Base", "1", "Base.Id=1"),
        ("Middle", "2", "Middle.Id=2"),
        ("Middle", "2", "Base.Id=2"),
    ] {
        let lab = lab();
        let instances = lab.write(|_| Ok(())).instances;
        damage(&lab, class, key);
        assert!(
            matches!(
                lab.catalog().instance(NS, &path(by)),
                Err(cimrepo::Error::Corrupt(_))
            ),
            "{by}"
        );
        let after = lab.write(|writer| writer.delete_instance(NS, &path(by)));
        assert_eq!(after.instances, instances - 1);
        lab.refused(Rule::NotFound, |writer| {
            writer.delete_instance(NS, &path(by))
        });
        lab.close();
    }
    // One of another class with that key is not what the path means.
    let lab = lab();
    damage(&lab, "Base", "1");
    assert!(
        lab.writer()
            .delete_instance(NS, &path("Middle.Id=1"))
            .is_err()
    );
}

#[test]
fn a_namespace_whose_instance_is_damaged_can_be_deleted() {
    let lab = lab();
    let before = lab.write(|_| Ok(()));
    lab.write(|writer| writer.create_namespace(&format!(r"{NS}\Sub")));
    damage_in(&lab, NS, ("__NAMESPACE", "__NAMESPACE"), "Sub");
    let after = lab.write(|writer| writer.delete_namespace(&format!(r"{NS}\Sub")));
    assert_eq!(
        (after.keys, after.instances),
        (before.keys, before.instances)
    );
    lab.close();
}

/// The keys of an instance name the record of a class: whose it is the class's own key says, and
/// the instance has none.
#[test]
fn a_record_that_is_something_else_stays_when_its_keys_go() {
    let lab = lab();
    let before = lab.write(|_| Ok(()));
    let keys = lab.catalog().keys().clone();
    let (own, keyed) = (
        keys.instance(NS, "Base", "1"),
        keys.keyed_instance(NS, "Base", "1"),
    );
    let class = keys.class(NS, "Middle");
    lab.write_unchecked(|writer| {
        let transaction = writer.transaction();
        let sound = transaction.reference(own.as_bytes())?.unwrap();
        let of_class = transaction.reference(class.as_bytes())?.unwrap();
        for key in [&own, &keyed] {
            transaction.remove_key(format!("{key}.{sound}").as_bytes())?;
            transaction.insert_key(format!("{key}.{of_class}").as_bytes())?;
        }
        transaction.remove_record(sound)
    });
    let after = lab.write(|writer| writer.delete_instance(NS, &path("Base.Id=1")));
    assert_eq!(
        (after.instances, after.keys),
        (before.instances - 1, before.keys - 2)
    );
    assert!(lab.catalog().class(NS, "Middle").unwrap().is_some());
    lab.close();
}

#[test]
fn a_damaged_instance_hinders_neither_the_next_nor_the_end_of_its_class() {
    let lab = lab();
    lab.write(|writer| put(writer, "Base", &[("Id", 9u32.into())]));
    damage(&lab, "Base", "9");
    assert_eq!(
        lab.catalog()
            .instances(NS, "Base")
            .filter(Result::is_err)
            .count(),
        1
    );
    let mut writer = lab.writer();
    let wider = base()
        .property(Property::new("X", ScalarType::Uint8))
        .build();
    let failed = writer.put_class(NS, &wider, PutClass::FORCE);
    assert!(
        matches!(failed, Err(cimrepo::Error::Corrupt(_))),
        "{failed:?}"
    );
    assert!(
        writer.commit().is_err(),
        "what was done in part cannot be committed"
    );
    lab.write_unchecked(|writer| {
        let before = writer.savepoint();
        put(
            writer,
            "Base",
            &[("Id", 9u32.into()), ("Text", "mended".into())],
        )?;
        assert_eq!(
            get(&writer.catalog(), "Base.Id=9", "Text"),
            Some("mended".into()),
            "it can be put anew"
        );
        writer.roll_back(before);
        Ok(())
    });
    let after = lab.write(|writer| writer.delete_class(NS, "Base"));
    assert_eq!(after.references, 0);
    lab.close();
}

//! Edits of small repositories and of copies of real ones: what depends on a class or instance follows.

use cimrepo::base::rule::Rule;
use cimrepo::catalog::Catalog;
use cimrepo::changes::{CatalogWriter, Put, PutClass, UpdateMode, rules};
use cimrepo::cim::{Class, Flavor, Instance, ObjectPath, Property, Qualifier, ScalarType, Setting, Value};

use crate::lab::Lab;
use crate::support::content::namespaces;
use crate::support::{corpus, in_memory, load, name_of};

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

fn put(writer: &mut CatalogWriter<'_>, class: &str, values: &[(&str, Value)]) -> cimrepo::Result<()> {
    let class = writer.catalog().class(NS, class)?.unwrap().class.clone();
    let mut instance = Instance::new(class);
    values.iter().for_each(|(name, value)| instance.set(name, value.clone()).unwrap());
    writer.put_instance(NS, &instance, Put::CreateOrUpdate).map(|_| ())
}

/// Three classes in a chain with an instance each; the last refers to the first.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.write(|writer| {
        for class in [base().build(), middle(), leaf()] {
            writer.put_class(NS, &class, PutClass::CREATE)?;
        }
        put(writer, "Base", &[("Id", 1u32.into())])?;
        put(writer, "Middle", &[("Id", 2u32.into()), ("Text", "own".into()), ("Size", 7u64.into())])?;
        let to = Value::Reference("Base.Id=1".to_owned());
        put(writer, "Leaf", &[("Id", 3u32.into()), ("To", to), ("Flag", true.into())])
    });
    lab
}

fn get(catalog: &Catalog, at: &str, property: &str) -> Option<Value> {
    catalog.instance(NS, &path(at)).unwrap().unwrap_or_else(|| panic!("{at}")).instance.get(property).cloned()
}

#[test]
fn a_property_is_added_to_a_class_with_subclasses_and_instances() {
    let lab = lab();
    let wider = base().property(Property::new("Added", ScalarType::Uint16).default(9u16)).build();
    lab.refused(Rule::ClassHasInstances, |writer| writer.put_class(NS, &wider, PutClass::default()));
    lab.refused(Rule::ClassHasInstances, |writer| writer.put_class(NS, &wider, PutClass::update(UpdateMode::Safe)));
    let before = lab.catalog().class(NS, "Leaf").unwrap().unwrap().stamp;
    lab.write(|writer| writer.put_class(NS, &wider, PutClass::FORCE).map(|_| ()));
    let catalog = lab.catalog();
    let leaf = catalog.class(NS, "Leaf").unwrap().unwrap();
    assert!(leaf.stamp > before);
    let order = |name: &str| leaf.class.property(name).unwrap().order;
    assert_eq!((order("Added"), order("Size"), order("Flag")), (2, 3, 5));
    for id in 1..=3 {
        assert_eq!(get(&catalog, &format!("Base.Id={id}"), "Added"), Some(Value::Uint16(9)));
    }
    assert_eq!(get(&catalog, "Base.Id=2", "Text"), Some("own".into()));
    assert_eq!(get(&catalog, "Base.Id=2", "Size"), Some(Value::Uint64(7)));
    assert_eq!(get(&catalog, "Base.Id=3", "Flag"), Some(Value::Boolean(true)));
    assert_eq!(get(&catalog, "Base.Id=3", "Text"), Some("other".into()), "the default of the class in between");
    assert_eq!(catalog.referrers(NS, &path("Base.Id=1")).unwrap().len(), 1);
    lab.close();
}

#[test]
fn qualifiers_that_only_describe_change_in_every_mode() {
    let lab = lab();
    let told = base().qualifier(Qualifier::new("Description", "the base", Flavor::AMENDED)).build();
    let stamp = |name: &str| lab.catalog().class(NS, name).unwrap().unwrap().stamp;
    let before = (stamp("Base"), stamp("Middle"));
    lab.write(|writer| writer.put_class(NS, &told, PutClass::default()).map(|_| ()));
    assert!(stamp("Base") > before.0);
    assert_eq!(stamp("Middle"), before.1, "its record says nothing of it");
    lab.write(|writer| writer.put_class(NS, &told, PutClass::default()).map(|_| ()));
    let important = base().qualifier(Qualifier::flag("association", Flavor::TO_SUBCLASS)).build();
    lab.refused(Rule::ClassHasInstances, |writer| writer.put_class(NS, &important, PutClass::default()));
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
    let wider = base().property(Property::new("Added", ScalarType::Uint16)).build();
    lab.refused(Rule::ClassHasChildren, |writer| writer.put_class(NS, &wider, PutClass::default()));
    lab.write(|writer| writer.put_class(NS, &wider, PutClass::update(UpdateMode::Safe)).map(|_| ()));
    // A property that a subclass has with another type.
    let clash = base().property(Property::new("Size", ScalarType::String)).build();
    let safe = PutClass::update(UpdateMode::Safe);
    lab.refused(Rule::UpdateTypeMismatch, |writer| writer.put_class(NS, &clash, safe));
    lab.write(|writer| writer.put_class(NS, &clash, PutClass::FORCE).map(|_| ()));
    let middle = lab.catalog().class(NS, "Middle").unwrap().unwrap();
    assert_eq!(middle.class.property("Size").unwrap().cim_type, ScalarType::String.into());
    assert!(middle.class.declaration().property("Size").is_none(), "what conflicts is taken out");
    // A qualifier that no subclass may have otherwise.
    let fixed = Flavor::TO_SUBCLASS | Flavor::NOT_OVERRIDABLE;
    lab.write(|writer| {
        let marked = Class { name: "Marked".into(), superclass: Some("Base".into()), ..Class::builder("x").build() };
        let own = Qualifier::new("Mark", "own", Flavor::empty());
        let marked = Class { qualifiers: [own].into_iter().collect(), ..marked };
        writer.put_class(NS, &marked, PutClass::CREATE).map(|_| ())
    });
    let mark = base().qualifier(Qualifier::new("mark", "fixed", fixed)).build();
    lab.refused(Rule::UpdateOverrideNotAllowed, |writer| writer.put_class(NS, &mark, safe));
    lab.write(|writer| writer.put_class(NS, &mark, PutClass::FORCE).map(|_| ()));
    let marked = lab.catalog().class(NS, "Marked").unwrap().unwrap();
    assert_eq!(marked.class.qualifiers().text("Mark"), Some("fixed"));
    assert!(marked.class.declaration().qualifiers.is_empty());
    lab.close();
}

#[test]
fn a_property_is_taken_out_of_a_class_and_given_back() {
    let lab = lab();
    let narrower = Class::builder("Base").property(Property::new("Id", ScalarType::Uint32).key()).build();
    lab.write(|writer| writer.put_class(NS, &narrower, PutClass::FORCE).map(|_| ()));
    let catalog = lab.catalog();
    assert_eq!(get(&catalog, "Base.Id=1", "Text"), None);
    assert_eq!(get(&catalog, "Base.Id=2", "Text"), Some("own".into()), "the subclass declares it");
    assert_eq!(get(&catalog, "Base.Id=3", "Text"), Some("other".into()));
    let origin = |name: &str| {
        let class = lab.catalog().class(NS, name).unwrap().unwrap();
        class.class.property("Text").unwrap().origin.as_str().to_owned()
    };
    assert_eq!(origin("Leaf"), "Middle");
    lab.write(|writer| writer.put_class(NS, &base().build(), PutClass::FORCE).map(|_| ()));
    assert_eq!(origin("Leaf"), "Base");
    assert_eq!(get(&lab.catalog(), "Base.Id=2", "Text"), Some("own".into()));
    lab.close();
}

#[test]
fn keys_do_not_change_under_instances() {
    let lab = lab();
    let other = Class::builder("Base").property(Property::new("Name", ScalarType::String).key()).build();
    let more = base().property(Property::new("More", ScalarType::String).key()).build();
    let default = Class::builder("Base").property(Property::new("Id", ScalarType::Uint32).default(1u32).key()).build();
    for class in [other.clone(), more, default] {
        lab.refused(Rule::ClassHasInstances, |writer| writer.put_class(NS, &class, PutClass::FORCE));
    }
    lab.write(|writer| (1..=3).try_for_each(|id| writer.delete_instance(NS, &path(&format!("Base.Id={id}")))));
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
    assert!(lab.catalog().instance(NS, &path("Base.Id=1")).unwrap().is_some());
    lab.write(|writer| writer.delete_class(NS, "Base"));
    lab.close();
}

#[test]
fn references_are_moved_and_outlive_their_target_and_its_class() {
    let lab = lab();
    let referrers = |at: &str| lab.catalog().referrers(NS, &path(at)).unwrap().len();
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
    assert_eq!(lab.write(|writer| put(writer, "Leaf", &values)).unresolved, 0);
    lab.close();
}

#[test]
fn an_own_class_may_hide_one_of_the_system() {
    let lab = Lab::new();
    let own = Class::builder("CIM_Error").property(Property::new("Own", ScalarType::String).key()).build();
    let derived = Class::builder("Worse").superclass("CIM_Error").build();
    lab.write(|writer| writer.put_class(NS, &derived, PutClass::CREATE).map(|_| ()));
    lab.refused(Rule::ClassHasChildren, |writer| writer.put_class(NS, &own, PutClass::default()));
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
    assert_eq!(get(&lab.catalog(), "Base.Id=4", "Text"), Some("plain".into()));
    lab.close();
}

#[test]
fn a_damaged_instance_hinders_neither_the_next_nor_the_end_of_its_class() {
    let lab = lab();
    lab.write(|writer| put(writer, "Base", &[("Id", 9u32.into())]));
    let keys = lab.catalog().keys().clone();
    let (own, keyed) = (keys.instance(NS, "Base", "9"), keys.keyed_instance(NS, "Base", "9"));
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
    assert_eq!(lab.catalog().instances(NS, "Base").filter(Result::is_err).count(), 1);
    let mut writer = lab.writer();
    let wider = base().property(Property::new("X", ScalarType::Uint8)).build();
    let failed = writer.put_class(NS, &wider, PutClass::FORCE);
    assert!(matches!(failed, Err(cimrepo::Error::Corrupt(_))), "{failed:?}");
    assert!(writer.commit().is_err(), "what was done in part cannot be committed");
    lab.write_unchecked(|writer| {
        let before = writer.savepoint();
        put(writer, "Base", &[("Id", 9u32.into()), ("Text", "mended".into())])?;
        assert_eq!(get(&writer.catalog(), "Base.Id=9", "Text"), Some("mended".into()), "it can be put anew");
        writer.roll_back(before);
        Ok(())
    });
    let after = lab.write(|writer| writer.delete_class(NS, "Base"));
    assert_eq!(after.references, 0);
    lab.close();
}

/// A class of a real repository with subclasses and instances of its own or theirs: the one with the most.
fn busiest(catalog: &Catalog) -> (String, String) {
    let mut found = (0, String::new(), String::new());
    for namespace in namespaces(catalog).into_iter().skip(1) {
        for class in catalog.classes(&namespace).map(Result::unwrap) {
            let name = class.class.name().as_str();
            if name.starts_with("__") || catalog.subclasses(&namespace, Some(name)).next().is_none() {
                continue;
            }
            let count = catalog.instances_deep(&namespace, name).unwrap().count();
            if count > found.0 {
                found = (count, namespace.clone(), name.to_owned());
            }
        }
    }
    assert!(found.0 > 0, "a repository has a class with subclasses and instances");
    (found.1, found.2)
}

fn real(test: &str) -> impl Iterator<Item = (String, Lab)> {
    let labs = corpus(test).into_iter().filter_map(|path| {
        let directory = in_memory(&load(&path)).1;
        let repository = cimrepo::repository::OpenOptions::new().open_in(&directory).unwrap();
        let is_written = repository.snapshot().dialect() == cimrepo::format::Dialect::V22;
        is_written.then(|| (name_of(&path), Lab::over(directory)))
    });
    labs.collect::<Vec<_>>().into_iter()
}

#[test]
fn copies_of_real_repositories_are_edited() {
    for (name, lab) in real("copies_of_real_repositories_are_edited") {
        let (namespace, class) = busiest(&lab.catalog());
        let before = lab.catalog().snapshot().counts();
        let deep = |lab: &Lab| lab.catalog().instances_deep(&namespace, &class).unwrap().count();
        let instances = deep(&lab);

        // A property is added to a class with subclasses and instances.
        let old = lab.catalog().class(&namespace, &class).unwrap().unwrap().class.declaration().clone();
        let mut wider = old.clone();
        wider.properties.push(Property::new("cimrepo_Added", ScalarType::String).default("here"));
        let after = lab.write(|writer| writer.put_class(&namespace, &wider, PutClass::FORCE).map(|_| ()));
        assert_eq!((after.keys as u64, after.instances as u64), (before.keys, before.instances), "{name}: {class}");
        for stored in lab.catalog().instances_deep(&namespace, &class).unwrap().map(Result::unwrap) {
            assert_eq!(stored.instance.get("cimrepo_Added"), Some(&"here".into()));
        }
        lab.write_unchecked(|writer| writer.put_class(&namespace, &old, PutClass::FORCE).map(|_| ()));

        // An instance is renamed: put with another key, and deleted.
        let stored = lab.catalog().instances_deep(&namespace, &class).unwrap().next().unwrap().unwrap();
        let key = stored.instance.class().key_properties().find(|key| key.cim_type == ScalarType::String.into());
        if let Some(key) = key.map(|key| key.name.as_str().to_owned()) {
            let renamed = stored.instance.clone().with(&key, "cimrepo renamed").unwrap();
            let old_path = stored.instance.path().unwrap();
            let after = lab.write(|writer| {
                writer.put_instance(&namespace, &renamed, Put::CreateOnly)?;
                writer.delete_instance(&namespace, &old_path)
            });
            assert_eq!(after.instances as u64, before.instances);
            let found = lab.catalog().instance(&namespace, &renamed.path().unwrap()).unwrap().unwrap();
            assert_eq!(found.instance, renamed);
        }

        // A subtree goes, with all instances.
        let after = lab.write(|writer| writer.delete_class(&namespace, &class));
        assert_eq!((after.instances + instances) as u64, before.instances, "{name}: {namespace}:{class}");
        println!("{name}: {namespace}:{class} with {instances} instances, {before:?}, {after:?}");
        lab.close();
    }
}

#[test]
fn references_of_real_repositories_are_moved() {
    for (name, lab) in real("references_of_real_repositories_are_moved") {
        let mut moved = 0;
        for namespace in namespaces(&lab.catalog()).into_iter().skip(1) {
            let bindings: Vec<_> = lab.catalog().instances(&namespace, "__FilterToConsumerBinding").collect();
            for binding in bindings.into_iter().map(Result::unwrap) {
                let Some(Value::Reference(to)) = binding.instance.get("Filter").cloned() else { continue };
                let elsewhere = Setting::Value(Value::Reference(r#"__EventFilter.Name="cimrepo""#.to_owned()));
                let other = binding.instance.clone().with("Filter", elsewhere).unwrap();
                lab.write_unchecked(|writer| {
                    writer.delete_instance(&namespace, &binding.instance.path().unwrap())?;
                    writer.put_instance(&namespace, &other, Put::CreateOnly).map(|_| ())
                });
                assert!(lab.catalog().referrers(&namespace, &path(&to)).unwrap().iter().all(|referrer| {
                    let referrer = referrer.as_ref().unwrap();
                    referrer.reference.class != "__FilterToConsumerBinding" || referrer.reference.property != "Filter"
                }));
                moved += 1;
            }
        }
        println!("{name}: {moved} references moved");
        lab.close();
    }
}

/// Every class and every instance of real repositories holds the rules that the engine knows, so that they can all be put by
/// clients too.
#[test]
fn real_content_holds_the_rules() {
    for path in corpus("real_content_holds_the_rules") {
        let catalog = Catalog::new(cimrepo::repository::Repository::open_read_only(&path).unwrap().snapshot());
        let (mut classes, mut instances) = (0, 0);
        for namespace in namespaces(&catalog) {
            for class in catalog.classes(&namespace).map(Result::unwrap) {
                rules::class(&class.class).unwrap_or_else(|error| panic!("{namespace}: {error}"));
                classes += 1;
                for stored in catalog.instances(&namespace, class.class.name().as_str()).map(Result::unwrap) {
                    let is_good =
                        rules::class_of_instance(&class.class).and_then(|()| rules::instance(&stored.instance));
                    is_good.unwrap_or_else(|error| panic!("{namespace}: {error}"));
                    instances += 1;
                }
            }
        }
        assert_eq!(classes, catalog.snapshot().counts().class_definitions);
        println!("{}: {classes} classes, {instances} instances of classes that are not the system's", name_of(&path));
    }
}

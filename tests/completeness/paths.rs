//! The keys of a path are held against its class, wherever a path is taken.

use cimrepo::catalog::Catalog;
use cimrepo::catalog::{CatalogWriter, Put, PutClass};
use cimrepo::cim::{Class, Flavor, Instance, ObjectPath, Property, Qualifier, ScalarType};
use cimrepo::store::EngineOptions;
use cimrepo::verify::{Level, verify_content};

use crate::lab::{catalog, keyed, made};
use crate::support::{Files, check, corpus, in_memory, open};

const NS: &str = "ROOT";

fn path(text: &str) -> ObjectPath {
    text.parse().unwrap()
}

/// `Item` (one key), `Derived : Item`, `Pair` (keys declared as Filter, Consumer), `Single`, and
/// references that name the keys rightly and wrongly.
fn content(writer: &mut CatalogWriter<'_>) -> cimrepo::Result<()> {
    let put = |writer: &mut CatalogWriter<'_>, instance: Result<Instance, _>| {
        writer.put_instance(NS, &instance.unwrap(), Put::CreateOnly)
    };
    let item = writer
        .put_class(NS, &keyed("Item").build(), PutClass::CREATE)?
        .class
        .clone();
    let derived = Class::builder("Derived").superclass("Item").build();
    let derived = writer
        .put_class(NS, &derived, PutClass::CREATE)?
        .class
        .clone();
    let pair = Class::builder("Pair")
        .property(Property::new("Filter", ScalarType::String).key())
        .property(Property::new("Consumer", ScalarType::String).key());
    let pair = writer
        .put_class(NS, &pair.build(), PutClass::CREATE)?
        .class
        .clone();
    let fixed = Flavor::TO_SUBCLASS | Flavor::NOT_OVERRIDABLE;
    let single = Class::builder("Single")
        .qualifier(Qualifier::flag("singleton", fixed))
        .build();
    let single = writer
        .put_class(NS, &single, PutClass::CREATE)?
        .class
        .clone();
    put(writer, Instance::new(item).with("Id", 1u32))?;
    put(writer, Instance::new(derived).with("Id", 2u32))?;
    put(
        writer,
        Instance::new(pair)
            .with("Filter", "f")
            .and_then(|pair| pair.with("Consumer", "c")),
    )?;
    put(writer, Ok(Instance::new(single)))?;
    let link = keyed("Link")
        .property(Property::new("To", ScalarType::Reference).of_class("Item"))
        .build();
    let link = writer.put_class(NS, &link, PutClass::CREATE)?.class.clone();
    for (id, to) in [(1u32, "Item.Id=1"), (2, "Item.Foo=2"), (3, "Item=@")] {
        let to = cimrepo::cim::Value::Reference(to.to_owned());
        put(
            writer,
            Instance::new(link.clone())
                .with("Id", id)
                .and_then(|link| link.with("To", to)),
        )?;
    }
    Ok(())
}

/// Paths with the wrong keys, and what their error names.
const WRONG: [(&str, &str); 9] = [
    ("Item.Foo=1", "the key of Item is Id"),
    ("Derived.Foo=2", "the key of Derived is Id"),
    ("Item.Id=1,Foo=1", "the key of Item is Id"),
    ("Item.Id=1,Id=1", "the key of Item is Id"),
    ("Item=@", "the key of Item is Id"),
    (r#"Pair="f""#, "the keys of Pair are Consumer, Filter"),
    (
        r#"Pair.Consumer="c""#,
        "the keys of Pair are Consumer, Filter",
    ),
    (
        r#"Pair.Consumr="c",Filter="f""#,
        "the keys of Pair are Consumer, Filter",
    ),
    ("Single.Name=1", "its instance is Single=@"),
];

const RIGHT: [&str; 6] = [
    "Item.Id=1",
    "item.ID=1",
    "Item=1",
    r#"Pair.Filter="f",Consumer="c""#,
    r#"Pair.Consumer="c",Filter="f""#,
    "Single=@",
];

fn is_refused<T: std::fmt::Debug>(result: cimrepo::Result<T>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(
        (error.hresult().0, error.exit_code() as u8),
        (0x8004_103A, 2),
        "{error}"
    );
    assert!(error.to_string().contains(words), "{error}");
}

fn all_keys(catalog: &Catalog) -> Vec<String> {
    crate::support::content::keys(catalog, "")
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_library_finds_and_deletes_nothing_by_values_under_other_names() {
    let files = made(content);
    let catalog = catalog(&files);
    for right in RIGHT {
        assert!(
            catalog.instance(NS, &path(right)).unwrap().is_some(),
            "{right}"
        );
    }
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&in_memory(&files).1)
        .unwrap();
    let before = all_keys(&catalog);
    for (wrong, words) in WRONG {
        is_refused(catalog.instance(NS, &path(wrong)), words);
        is_refused(catalog.referrers(NS, &path(wrong)).map(drop), words);
        let mut writer = engine.begin_catalog_write().unwrap();
        is_refused(writer.delete_instance(NS, &path(wrong)), words);
        writer.commit().unwrap();
        assert_eq!(
            all_keys(&Catalog::new(engine.snapshot())),
            before,
            "{wrong}"
        );
    }
    for right in RIGHT.iter().skip(2).step_by(2) {
        let mut writer = engine.begin_catalog_write().unwrap();
        writer.delete_instance(NS, &path(right)).unwrap();
        writer.commit().unwrap();
        assert!(
            Catalog::new(engine.snapshot())
                .instance(NS, &path(right))
                .unwrap()
                .is_none(),
            "{right}"
        );
    }
}

#[test]
fn references_with_other_keys_lead_nowhere_and_stop_nothing() {
    let repository = open(&made(content)).unwrap();
    let catalog = Catalog::new(repository.snapshot());
    assert_eq!(
        catalog.all_instances(NS).filter(Result::is_ok).count(),
        catalog.all_instances(NS).count()
    );
    let mut report = check(&repository, false).generations.remove(0);
    verify_content(
        &repository.snapshot(),
        Level::References,
        &cimrepo::base::progress::Unobserved,
        &mut report,
    )
    .unwrap();
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), 2, "{findings:#?}");
    for (finding, wrong) in findings.iter().zip(["Item.Foo=2", "Item=@"]) {
        assert!(
            finding.contains(wrong) && finding.contains("the key of Item is Id"),
            "{finding}"
        );
    }
}

/// The keys of one instance lead to the record of another: damage, and no reason to take the other
/// one for what was asked for.
#[test]
fn a_key_that_leads_to_another_instance_finds_and_deletes_nothing_else() {
    let files = made(|writer| {
        content(writer)?;
        let catalog = writer.catalog();
        let other = catalog.instance(NS, &path("Derived.Id=2"))?.unwrap().record;
        let keys = catalog.keys().clone();
        let own = catalog.instance(NS, &path("Item.Id=1"))?.unwrap().record;
        for key in [
            keys.instance(NS, "Item", "1"),
            keys.keyed_instance(NS, "Item", "1"),
        ] {
            writer
                .transaction()
                .remove_key(format!("{key}.{own}").as_bytes())?;
            writer
                .transaction()
                .insert_key(format!("{key}.{other}").as_bytes())?;
        }
        writer.transaction().remove_record(own)?;
        Ok(())
    });
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&in_memory(&files).1)
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    let error = writer
        .catalog()
        .instance(NS, &path("Item.Id=1"))
        .unwrap_err();
    assert!(error.to_string().contains("another key"), "{error}");
    let keys = |writer: &mut CatalogWriter<'_>| all_keys(&writer.catalog());
    let before = keys(&mut writer);
    writer.delete_instance(NS, &path("Item.Id=1")).unwrap();
    let gone: Vec<String> = before
        .into_iter()
        .filter(|key| !keys(&mut writer).contains(key))
        .collect();
    let hash = writer.catalog().keys().hash("1").to_string();
    assert!(
        gone.len() == 2 && gone.iter().all(|key| key.contains(&hash)),
        "{gone:?}"
    );
    let found = writer
        .catalog()
        .instance(NS, &path("Item.Id=2"))
        .unwrap()
        .unwrap();
    assert_eq!(found.instance.path().unwrap().to_string(), "Derived.Id=2");
    writer.commit().unwrap();
}

#[test]
fn real_paths_have_their_keys_in_order_of_names() {
    for repository in corpus("real_paths_have_their_keys_in_order_of_names") {
        let catalog = catalog(&crate::support::load(&repository));
        let mut of_several = 0;
        for namespace in catalog.namespaces().into_iter().map(Result::unwrap) {
            for stored in catalog.all_instances(&namespace).map(Result::unwrap) {
                let path = stored.instance.path().unwrap();
                let cimrepo::cim::PathKeys::Keys(keys) = &path.keys else {
                    continue;
                };
                assert!(keys.is_sorted_by(|a, b| a.name < b.name), "{path}");
                of_several += usize::from(keys.len() > 1);
            }
        }
        assert!(of_several > 0);
    }
}

#[test]
#[cfg(feature = "cli")]
fn the_command_shows_nothing_by_values_under_other_names() {
    let files: Files = made(content);
    let place = crate::lab::on_disk(&files);
    for (wrong, words) in WRONG {
        let ran = crate::lab::cimrepo(&[&"show", &place.path(), &format!("root:{wrong}")]);
        assert!(
            ran.code == 2 && ran.out.is_empty() && ran.err.contains(words),
            "{wrong}: {ran:?}"
        );
    }
    for right in RIGHT {
        assert_eq!(
            crate::lab::cimrepo(&[&"show", &place.path(), &format!("root:{right}")]).code,
            0,
            "{right}"
        );
    }
    let listed = crate::lab::cimrepo(&[&"ls", &place.path()]);
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(
        listed.out.contains(r#"ROOT:Pair.Consumer="c",Filter="f""#),
        "{}",
        listed.out
    );
}

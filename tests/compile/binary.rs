//! Binary MOF is compiled as text is, but for the flavors that it lists.

use cimrepo::cim::{Class, Flavor, Property, Qualifier, ScalarType};
use cimrepo::compile::{CompileOptions, CompileReport, MofSource, NoIncludes, compile};
use cimrepo::format::bmf::{BmfContent, BmfObject};
use cimrepo::store::Engine;

use super::{bmf, catalog, engine};

fn sample(name: &str, namespace: Option<&str>) -> BmfObject {
    let words = Qualifier::new("Words", "w".to_owned(), Flavor::AMENDED);
    let class = Class::builder(name)
        .property(Property::new("Id", ScalarType::String).key())
        .property(Property::new("Text", ScalarType::String).qualifier(words));
    BmfObject {
        offset: 0,
        namespace: namespace.map(ToOwned::to_owned),
        flags: 0,
        alias: None,
        content: BmfContent::Class(class.build()),
        notes: Vec::new(),
    }
}

fn run(engine: &Engine, bytes: Vec<u8>, namespace: &str) -> CompileReport {
    let mut options = CompileOptions::default();
    options.namespace = namespace.to_owned();
    let sources = [MofSource::new("driver.sys", bytes)];
    compile(engine, &sources, &mut NoIncludes, &options).unwrap()
}

#[test]
fn objects_go_where_their_source_said_or_where_the_caller_says() {
    let engine = engine();
    let objects = [
        sample("A", Some(r"root\default")),
        sample("B", Some(r"\\.\root\other")),
        sample("C", Some(r"root\default")),
    ];
    let report = run(&engine, bmf::container(&objects), r"root\wmi");
    assert!(report.is_stored(), "{:?}", report.diagnostics);
    let catalog = catalog(&engine);
    for (namespace, class) in [(r"root\wmi", "A"), (r"root\other", "B"), (r"root\wmi", "C")] {
        let found = catalog.class(namespace, class).unwrap().unwrap();
        let text = found.class.property("Text").unwrap();
        let words = text.qualifiers.get("Words").unwrap();
        assert_eq!(words.flavor, Flavor::AMENDED, "{class}");
    }
}

#[test]
fn a_binary_may_hold_several() {
    let engine = engine();
    let mut bytes = b"MZ and other bytes\0\0".to_vec();
    bytes.extend(bmf::container(&[sample("A", Some(r"\\.\root\one"))]));
    bytes.extend([0; 100]);
    bytes.extend(bmf::container(&[sample("B", None)]));
    let report = run(&engine, bytes, r"root\default");
    assert!(report.is_stored(), "{:?}", report.diagnostics);
    let catalog = catalog(&engine);
    assert!(catalog.class(r"root\one", "A").unwrap().is_some());
    assert!(catalog.class(r"root\default", "B").unwrap().is_some());
}

#[test]
fn binary_mof_that_is_cut_stores_nothing() {
    let engine = engine();
    let whole = bmf::container(&[sample("A", None), sample("B", None)]);
    for end in 8..whole.len() {
        let report = run(&engine, whole[..end].to_vec(), r"root\default");
        let codes = report.diagnostics.iter().filter(|one| one.is_error());
        let codes: Vec<&str> = codes.map(|one| one.code.name).collect();
        assert_eq!(codes, ["WBEMMOF_E_INVALID_FILE"], "cut at {end}");
    }
    assert!(
        catalog(&engine)
            .class(r"root\default", "A")
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_container_that_claims_more_than_it_can_hold_is_refused() {
    let engine = engine();
    let mut bytes = bmf::container(&[sample("A", None)]);
    bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let report = run(&engine, bytes, r"root\default");
    let error = report.diagnostics.iter().find(|one| one.is_error());
    assert_eq!(error.unwrap().code.name, "WBEMMOF_E_INVALID_FILE");
}

//! The number of namespaces costs nothing: making, finding and reading one asks for as much memory
//! with many there as with few. Memory that is asked for stands for work: every page that is looked
//! at, key that is compared and object that is decoded takes some.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

#[path = "support/counting.rs"]
mod counting;

use std::path::Path;
use std::sync::Arc;

use cimrepo::catalog::Catalog;
use cimrepo::catalog::{CatalogWriter, Put, PutClass, create};
use cimrepo::cim::{Class, Instance, Property, ScalarType};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{Engine, EngineOptions};

use counting::memory_of;

fn engine() -> Engine {
    let directory = Directory::new(Arc::new(MemStorage::new()), Path::new("."));
    create(&directory).unwrap();
    EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap()
}

/// Three namespaces with two classes and six instances.
fn make(engine: &Engine, number: usize) {
    let mut writer = CatalogWriter::new(engine.begin_write().unwrap()).unwrap();
    let top = format!(r"ROOT\N{number:05}");
    for namespace in [top.clone(), format!(r"{top}\A"), format!(r"{top}\B")] {
        writer.create_namespace(&namespace).unwrap();
    }
    for name in ["Item", "Thing"] {
        let class = Class::builder(name).property(Property::new("Id", ScalarType::Uint32).key());
        let class = writer
            .put_class(&top, &class.build(), PutClass::CREATE)
            .unwrap();
        for id in 0..3_u32 {
            let instance = Instance::new(class.class.clone()).with("Id", id).unwrap();
            writer
                .put_instance(&top, &instance, Put::CreateOnly)
                .unwrap();
        }
    }
    writer.commit().unwrap();
}

/// Bytes that are asked for to make one more, and to find and read one that is there: the least of
/// some, for now and then a page is split or a table grows.
fn costs(engine: &Engine, from: usize) -> (usize, usize) {
    let made = (from..from + 9).map(|number| memory_of(|| make(engine, number)).1.allocated);
    let made: usize = made.min().unwrap();
    let found = (from..from + 9).map(|number| {
        let look = || {
            let catalog = Catalog::new(engine.snapshot());
            let path = format!(r"ROOT\N{number:05}\A");
            assert!(catalog.has_namespace(&path).unwrap());
            assert_eq!(
                catalog
                    .find_namespace(&path.to_lowercase())
                    .unwrap()
                    .unwrap(),
                path
            );
            assert!(!catalog.has_namespace(&format!("{path}A")).unwrap());
            let class = catalog
                .class(&format!(r"ROOT\N{number:05}"), "Thing")
                .unwrap();
            assert_eq!(class.unwrap().class.name().as_str(), "Thing");
        };
        // The pages are in memory then, with many as with few.
        look();
        memory_of(look).1.allocated
    });
    (made, found.min().unwrap())
}

#[test]
fn a_namespace_costs_the_same_however_many_there_are() {
    let engine = engine();
    (0..4).for_each(|number| make(&engine, number));
    let (made, found) = costs(&engine, 4);
    (20..800).for_each(|number| make(&engine, number));
    engine.checkpoint().unwrap();
    // What is made first after a checkpoint copies the pages that it changes.
    make(&engine, 800);
    let (made_then, found_then) = costs(&engine, 801);
    println!(
        "made: {made} bytes with 12 namespaces, {made_then} with 2,400; found: {found} and \
            {found_then}"
    );
    // The index is a level deeper.
    assert!(
        made_then < made * 3 / 2,
        "made: {made} bytes with few, {made_then} with 2,400"
    );
    assert!(
        found_then < found * 3 / 2,
        "found: {found} bytes with few, {found_then} with 2,400"
    );
}

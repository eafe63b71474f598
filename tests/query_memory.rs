//! Memory that a query takes: that of one row and of what a plan keeps, however many rows there
//! are.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/counting.rs"]
mod counting;

use std::sync::Arc;

use cimrepo::catalog::{Catalog, Put, PutClass, create};
use cimrepo::cim::{Class, Instance, Property, ScalarType, Value};
use cimrepo::query::{self, QueryOptions};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{Engine, EngineOptions};

use counting::peak_of;

const NS: &str = r"ROOT\rows";

/// Rows of the smaller repository; the larger one has eight times as many.
const FEW: u32 = 250;

/// A class with so many instances, half of which are of a class below; each refers to the first.
fn repository(instances: u32) -> Engine {
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    create(&directory).unwrap();
    let options = EngineOptions::new().background(false);
    let engine = options.open_in(&directory).unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    writer.create_namespace(NS).unwrap();
    let item = Class::builder("Item")
        .property(Property::new("Id", ScalarType::Uint32).key())
        .property(Property::new("Text", ScalarType::String))
        .property(Property::new("First", ScalarType::Reference).of_class("Item"));
    for class in [item, Class::builder("Part").superclass("Item")] {
        let class = class.build();
        writer.put_class(NS, &class, PutClass::default()).unwrap();
    }
    let classes = ["Item", "Part"].map(|name| writer.catalog().class(NS, name).unwrap().unwrap());
    for number in 0..instances {
        let class = &classes[usize::from(!number.is_multiple_of(2))];
        let instance = Instance::new(class.class.clone())
            .with("Id", Value::Uint32(number))
            .and_then(|instance| instance.with("Text", Value::from(format!("{number:0>400}"))))
            .and_then(|instance| instance.with("First", Value::Reference("Item.Id=0".to_owned())));
        let instance = instance.unwrap();
        writer.put_instance(NS, &instance, Put::default()).unwrap();
    }
    writer.commit().unwrap();
    engine
}

/// Runs a query to its end; gives the number of its rows and the bytes that it held at once.
fn cost(engine: &Engine, text: &str) -> (usize, usize) {
    let catalog = Catalog::new(engine.snapshot());
    let rows = || {
        let rows = query::run(&catalog, NS, text, QueryOptions::default()).unwrap();
        rows.map(Result::unwrap).count()
    };
    // What caches keep is had before: classes, and as many pages as they take.
    rows();
    peak_of(rows)
}

#[test]
fn memory_of_a_query_does_not_depend_on_its_rows() {
    let (few, many) = (repository(FEW), repository(8 * FEW));
    for text in [
        "SELECT * FROM Part",
        "SELECT * FROM Item",
        "SELECT Text FROM Item WHERE Text LIKE '%1%' AND Id > 10",
        "SELECT * FROM Item WHERE NOT Id = 5",
        "SELECT COUNT(*) FROM Item",
        "SELECT COUNT(*) FROM Item WHERE Text <> 'x'",
        "REFERENCES OF {Item.Id=0}",
        "ASSOCIATORS OF {Item.Id=0}",
    ] {
        let (a, less) = cost(&few, text);
        let (b, more) = cost(&many, text);
        println!("{text}: {less} bytes for {a} rows, {more} for {b}");
        assert!(
            more <= less + less / 4 + 4_096,
            "{text}: {less} bytes for {a} rows, {more} for {b}"
        );
    }
}

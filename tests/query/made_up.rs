//! A schema with what the planner tells apart: keys of one and of several properties, singletons,
//! classes whose subclasses bring the keys, and subclasses that hide nothing.

use std::sync::{Arc, OnceLock};

use cimrepo::catalog::Catalog;
use cimrepo::catalog::{CatalogWriter, Put, PutClass, create};
use cimrepo::cim::{
    Class, ClassBuilder, Flavor, Instance, Property, Qualifier, ScalarType, Setting, Value,
};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{Engine, EngineOptions};

pub const NS: &str = r"ROOT\made";

/// The classes that queries ask.
pub const CLASSES: [&str; 7] = ["Item", "Tool", "Saw", "Pair", "Free", "FreeA", "Only"];

/// The objects, made once.
pub fn catalog() -> Catalog {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let directory = || Directory::new(Arc::new(MemStorage::new()), ".");
    Catalog::new(ENGINE.get_or_init(|| engine(&directory())).snapshot())
}

/// Puts the objects into an empty directory.
pub fn engine(directory: &Directory) -> Engine {
    create(directory).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(directory)
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    writer.create_namespace(NS).unwrap();
    writer.create_namespace(r"ROOT\made\below").unwrap();
    classes(&mut writer);
    items(&mut writer);
    links(&mut writer);
    writer.commit().unwrap();
    engine
}

fn with_values(builder: ClassBuilder) -> ClassBuilder {
    builder
        .property(Property::new("Text", ScalarType::String))
        .property(Property::new("Number", ScalarType::Sint32))
        .property(Property::new("Real", ScalarType::Real64))
        .property(Property::new("Flag", ScalarType::Boolean))
}

fn classes(writer: &mut CatalogWriter<'_>) {
    let key = |name: &str, scalar| Property::new(name, scalar).key();
    let association = || Qualifier::flag("Association", Flavor::TO_INSTANCE | Flavor::TO_SUBCLASS);
    let all = [
        with_values(Class::builder("Item").property(key("Id", ScalarType::String))),
        Class::builder("Tool").superclass("Item"),
        Class::builder("Saw")
            .superclass("Tool")
            .property(Property::new("Teeth", ScalarType::Uint8)),
        with_values(
            Class::builder("Pair")
                .property(key("B", ScalarType::Uint32))
                .property(key("A", ScalarType::Boolean)),
        ),
        with_values(Class::builder("Free")),
        Class::builder("FreeA")
            .superclass("Free")
            .property(key("Id", ScalarType::String)),
        Class::builder("FreeB")
            .superclass("Free")
            .property(key("Id", ScalarType::Sint64)),
        with_values(
            Class::builder("Only").qualifier(Qualifier::flag("singleton", Flavor::TO_SUBCLASS)),
        ),
        Class::builder("Computed")
            .qualifier(Qualifier::flag("dynamic", Flavor::TO_INSTANCE))
            .qualifier(Qualifier::new("provider", "Prov", Flavor::TO_INSTANCE))
            .property(key("Id", ScalarType::String)),
        Class::builder("Link")
            .qualifier(association())
            .property(key("Left", ScalarType::Reference).of_class("Item"))
            .property(key("Right", ScalarType::Reference).of_class("Item")),
    ];
    for builder in all {
        let class = builder.build();
        writer.put_class(NS, &class, PutClass::default()).unwrap();
    }
    let elsewhere = Class::builder("Item")
        .property(key("Id", ScalarType::String))
        .build();
    writer
        .put_class(r"ROOT\made\below", &elsewhere, PutClass::default())
        .unwrap();
}

fn put(writer: &mut CatalogWriter<'_>, namespace: &str, class: &str, values: &[(&str, Value)]) {
    let class = writer.catalog().class(namespace, class).unwrap().unwrap();
    let mut instance = Instance::new(class.class.clone());
    for (name, value) in values {
        instance.set(name, Setting::Value(value.clone())).unwrap();
    }
    writer
        .put_instance(namespace, &instance, Put::default())
        .unwrap();
}

fn items(writer: &mut CatalogWriter<'_>) {
    const TEXTS: [&str; 6] = ["", "a", "Ab", "b_a", "10", "aBBa%"];
    let values = |number: usize| {
        let mut values = Vec::new();
        if !number.is_multiple_of(4) {
            values.push(("Text", Value::from(TEXTS[number % TEXTS.len()])));
        }
        if !number.is_multiple_of(3) {
            values.push((
                "Number",
                Value::Sint32(i32::try_from(number % 7).unwrap() - 3),
            ));
        }
        if !number.is_multiple_of(5) {
            values.push((
                "Real",
                Value::Real64(f64::from(u32::try_from(number % 9).unwrap()) / 2.0),
            ));
        }
        if !number.is_multiple_of(2) {
            values.push(("Flag", Value::Boolean(number.is_multiple_of(3))));
        }
        values
    };
    for number in 0..36 {
        let class = ["Item", "Tool", "Saw"][number % 3];
        let mut all = values(number);
        all.push(("Id", Value::from(format!("i{number}"))));
        put(writer, NS, class, &all);
        let mut all = values(number);
        all.push(("A", Value::Boolean(number.is_multiple_of(2))));
        all.push(("B", Value::Uint32(u32::try_from(number / 2).unwrap())));
        put(writer, NS, "Pair", &all);
        let mut all = values(number);
        let id = if number.is_multiple_of(2) {
            Value::from(format!("f{number}"))
        } else {
            Value::Sint64(i64::try_from(number).unwrap())
        };
        all.push(("Id", id));
        put(writer, NS, ["FreeA", "FreeB"][number % 2], &all);
    }
    put(writer, NS, "Only", &values(7));
    put(
        writer,
        r"ROOT\made\below",
        "Item",
        &[("Id", Value::from("deep"))],
    );
}

fn links(writer: &mut CatalogWriter<'_>) {
    let item = |id: &str| Value::Reference(format!("Item.Id=\"{id}\""));
    for (left, right) in [
        ("i0", "i1"),
        ("i0", "i2"),
        ("i1", "i0"),
        ("i0", "gone"),
        ("i3", "i3"),
    ] {
        put(
            writer,
            NS,
            "Link",
            &[("Left", item(left)), ("Right", item(right))],
        );
    }
}

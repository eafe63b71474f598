//! A repository in memory with the schema and the objects that rows of `export` list.

use std::sync::Arc;

use cimrepo::catalog::Catalog;
use cimrepo::catalog::{CatalogWriter, Put, PutClass, create};
use cimrepo::cim::{
    Array, CimType, Class, Flavor, FullClass, Instance, Object, Property, Qualifier, QualifierSet,
    ScalarType, Setting, Value as Cim,
};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{Engine, EngineOptions};
use serde_json::Value;

/// A new repository with what the rows list, and its engine.
pub fn repository(rows: &[Value]) -> Engine {
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    create(&directory).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    // A class comes after its superclass, whatever the order of the rows.
    let mut waiting: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "class").collect();
    let others = |kind: &'static str| rows.iter().filter(move |row| row["kind"] == kind);
    others("namespace").for_each(|row| put(&mut writer, row));
    while !waiting.is_empty() {
        let (later, now): (Vec<_>, Vec<_>) = waiting.iter().copied().partition(|row| {
            waiting
                .iter()
                .any(|other| other["name"] == row["superclass"])
        });
        assert!(!now.is_empty(), "a superclass is missing");
        now.into_iter().for_each(|row| put(&mut writer, row));
        waiting = later;
    }
    others("instance").for_each(|row| put(&mut writer, row));
    writer.commit().unwrap();
    engine
}

fn put(writer: &mut CatalogWriter<'_>, row: &Value) {
    let namespace = row["namespace"].as_str().unwrap_or_default();
    match row["kind"].as_str().unwrap() {
        "namespace" => {
            let path = row["path"].as_str().unwrap();
            if !writer.catalog().has_namespace(path).unwrap() {
                writer.create_namespace(path).unwrap();
            }
        }
        "class" => {
            let class = class(row);
            writer
                .put_class(namespace, &class, PutClass::default())
                .unwrap();
        }
        _ => {
            let instance = instance(&writer.catalog(), namespace, row);
            writer
                .put_instance(namespace, &instance, Put::default())
                .unwrap();
        }
    }
}

fn class(row: &Value) -> Class {
    let mut builder = Class::builder(row["name"].as_str().unwrap());
    if let Some(superclass) = row["superclass"].as_str() {
        builder = builder.superclass(superclass);
    }
    for qualifier in qualifiers(&row["qualifiers"]).iter() {
        builder = builder.qualifier(qualifier.clone());
    }
    for property in row["properties"].as_array().unwrap() {
        if property["local"] == true {
            builder = builder.property(declared(property));
        }
    }
    builder.build()
}

fn declared(row: &Value) -> Property {
    let cim_type = type_of(row);
    let default = scalar_or_array(&row["default"], cim_type).map_or(Setting::Null, Setting::Value);
    let name = row["name"].as_str().unwrap().into();
    Property {
        name,
        cim_type,
        default,
        qualifiers: qualifiers(&row["qualifiers"]),
    }
}

fn type_of(row: &Value) -> CimType {
    let name = row["type"].as_str().unwrap();
    let scalar = *ScalarType::ALL
        .iter()
        .find(|scalar| scalar.as_str() == name)
        .unwrap();
    CimType {
        scalar,
        array: row["array"] == true,
    }
}

fn qualifiers(rows: &Value) -> QualifierSet {
    let mut set = QualifierSet::new();
    for row in rows.as_array().into_iter().flatten() {
        let flavor = u8::try_from(row["flavor"].as_u64().unwrap()).unwrap() & !0x20;
        let value = scalar_or_array(&row["value"], type_of(row)).unwrap();
        set.set(Qualifier::new(
            row["name"].as_str().unwrap(),
            value,
            Flavor::from_bits_retain(flavor),
        ));
    }
    set
}

fn instance(catalog: &Catalog, namespace: &str, row: &Value) -> Instance {
    let class = catalog
        .class(namespace, row["class"].as_str().unwrap())
        .unwrap()
        .unwrap();
    filled(catalog, namespace, class.class.clone(), &row["properties"])
}

fn filled(catalog: &Catalog, namespace: &str, class: Arc<FullClass>, values: &Value) -> Instance {
    let mut instance = Instance::new(class.clone());
    for (name, value) in values.as_object().unwrap() {
        let property = class.property(name).unwrap();
        let value = match value {
            Value::Object(inner) => {
                let class = catalog
                    .class(namespace, inner["class"].as_str().unwrap())
                    .unwrap()
                    .unwrap();
                let object = filled(
                    catalog,
                    namespace,
                    class.class.clone(),
                    &inner["properties"],
                );
                Some(Cim::Object(Box::new(Object::Instance(Box::new(object)))))
            }
            other => scalar_or_array(other, property.cim_type),
        };
        if value != property.default {
            instance
                .set(name, value.map_or(Setting::Null, Setting::Value))
                .unwrap();
        }
    }
    instance
}

fn scalar_or_array(value: &Value, cim_type: CimType) -> Option<Cim> {
    if value.is_null() {
        return None;
    }
    if !cim_type.array {
        return Some(scalar(value, cim_type.scalar));
    }
    let values = value.as_array().unwrap();
    Some(Cim::Array(match cim_type.scalar {
        ScalarType::String => Array::String(
            values
                .iter()
                .map(|value| value.as_str().map(str::to_owned))
                .collect(),
        ),
        ScalarType::Uint32 => Array::Uint32(
            values
                .iter()
                .map(|value| value.as_u64().unwrap().try_into().unwrap())
                .collect(),
        ),
        other => panic!("an array of {other}"),
    }))
}

fn scalar(value: &Value, scalar: ScalarType) -> Cim {
    let text = || value.as_str().unwrap().to_owned();
    let signed = || value.as_i64().unwrap();
    let unsigned = || value.as_u64().unwrap();
    match scalar {
        ScalarType::String => Cim::String(text()),
        ScalarType::DateTime => Cim::DateTime(text()),
        ScalarType::Reference => Cim::Reference(text()),
        ScalarType::Boolean => Cim::Boolean(value.as_bool().unwrap()),
        ScalarType::Sint8 => Cim::Sint8(signed().try_into().unwrap()),
        ScalarType::Sint16 => Cim::Sint16(signed().try_into().unwrap()),
        ScalarType::Sint32 => Cim::Sint32(signed().try_into().unwrap()),
        ScalarType::Sint64 => Cim::Sint64(signed()),
        ScalarType::Uint8 => Cim::Uint8(unsigned().try_into().unwrap()),
        ScalarType::Uint16 => Cim::Uint16(unsigned().try_into().unwrap()),
        ScalarType::Uint32 => Cim::Uint32(unsigned().try_into().unwrap()),
        ScalarType::Uint64 => Cim::Uint64(unsigned()),
        ScalarType::Char16 => Cim::Char16(unsigned().try_into().unwrap()),
        ScalarType::Real32 => Cim::Real32(value.to_string().parse().unwrap()),
        ScalarType::Real64 => Cim::Real64(value.as_f64().unwrap()),
        ScalarType::Object => panic!("objects are filled"),
    }
}

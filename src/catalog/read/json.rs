//! Rows of `export`: a namespace, class or instance as a JSON object. Source: `docs::objects`,
//! "JSON lines".

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{StoredClass, StoredInstance};
use crate::base::page_no::RecordRef;
use crate::cim::class::Setting;
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::json::Values;
use crate::cim::name::Name;
use crate::cim::qualifier::QualifierSet;

/// The version of the schema.
pub const SCHEMA: u32 = 1;

fn begin<S: Serializer>(serializer: S, kind: &str) -> Result<S::SerializeMap, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("schema", &SCHEMA)?;
    map.serialize_entry("kind", kind)?;
    Ok(map)
}

/// Marks an incomplete object with the name of the lost class: its own class or the nearest
/// ancestor.
fn partial<M: SerializeMap>(map: &mut M, class: &FullClass, is_lost: bool) -> Result<(), M::Error> {
    match class
        .missing_ancestor()
        .or_else(|| is_lost.then(|| class.name()))
    {
        Some(ancestor) => map.serialize_entry("partial", ancestor),
        None => Ok(()),
    }
}

/// A namespace, by its path.
#[derive(Debug)]
pub struct NamespaceRow<'r>(pub &'r str);

impl Serialize for NamespaceRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = begin(serializer, "namespace")?;
        map.serialize_entry("path", self.0)?;
        map.end()
    }
}

/// A class of a namespace.
#[derive(Debug)]
pub struct ClassRow<'r> {
    /// The path of the namespace.
    pub namespace: &'r str,
    /// The class.
    pub class: &'r StoredClass,
}

impl Serialize for ClassRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let class = &self.class.class;
        let mut map = begin(serializer, "class")?;
        map.serialize_entry("namespace", self.namespace)?;
        map.serialize_entry("name", class.name())?;
        map.serialize_entry("superclass", &class.declaration().superclass)?;
        partial(&mut map, class, false)?;
        map.serialize_entry("written", &self.class.stamp.to_string())?;
        map.serialize_entry("record", &place(self.class.record))?;
        class_content(&mut map, class)?;
        map.end()
    }
}

/// Adds what a class has, inherited members included.
pub(crate) fn class_content<M: SerializeMap>(
    map: &mut M,
    class: &FullClass,
) -> Result<(), M::Error> {
    map.serialize_entry("qualifiers", class.qualifiers())?;
    map.serialize_entry("properties", &Shared(class.properties()))?;
    map.serialize_entry("methods", &Shared(class.methods()))
}

struct Shared<'r, T>(&'r [std::sync::Arc<T>]);

impl<T: Serialize> Serialize for Shared<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|shared| &**shared))
    }
}

/// An instance of a namespace. Its path is null if it has no value for its key.
#[derive(Debug)]
pub struct InstanceRow<'r> {
    /// The path of the namespace.
    pub namespace: &'r str,
    /// The instance.
    pub instance: &'r StoredInstance,
}

impl Serialize for InstanceRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let instance = &self.instance.instance;
        let defaults = Defaulted(instance, |_: &Name| true);
        serialize_instance(
            serializer,
            self.namespace,
            self.instance,
            &Values(instance),
            &defaults,
        )
    }
}

/// Serializes an instance with some of its properties, and the names of those among them that have
/// the default of the class.
pub(crate) fn serialize_instance<S: Serializer>(
    serializer: S,
    namespace: &str,
    stored: &StoredInstance,
    properties: &impl Serialize,
    defaults: &impl Serialize,
) -> Result<S::Ok, S::Error> {
    let instance = &stored.instance;
    let path = instance
        .path()
        .ok()
        .map(|path| path.in_namespace(namespace).text());
    let mut map = begin(serializer, "instance")?;
    map.serialize_entry("namespace", namespace)?;
    map.serialize_entry("class", instance.class().name())?;
    map.serialize_entry("path", &path)?;
    partial(&mut map, instance.class(), stored.damage.is_some())?;
    map.serialize_entry("written", &stored.stamp.to_string())?;
    map.serialize_entry("record", &place(stored.record))?;
    instance_content(&mut map, instance, properties, defaults)?;
    map.end()
}

/// Adds what an instance has: these of its properties, the names of those that have the default of
/// the class, and its qualifiers.
fn instance_content<M: SerializeMap>(
    map: &mut M,
    instance: &Instance,
    properties: &impl Serialize,
    defaults: &impl Serialize,
) -> Result<(), M::Error> {
    map.serialize_entry("properties", properties)?;
    map.serialize_entry("defaults", defaults)?;
    map.serialize_entry("qualifiers", &instance.qualifiers)?;
    if let Some(sets) = &instance.property_qualifiers {
        let names = instance
            .class()
            .properties()
            .iter()
            .map(|property| &property.name);
        let sets: Vec<(&Name, &QualifierSet)> =
            names.zip(sets).filter(|(_, set)| !set.is_empty()).collect();
        map.serialize_entry("property_qualifiers", &Pairs(&sets))?;
    }
    Ok(())
}

/// Adds what an instance has, all of its properties.
pub(crate) fn whole_instance<M: SerializeMap>(
    map: &mut M,
    instance: &Instance,
) -> Result<(), M::Error> {
    let defaults = Defaulted(instance, |_: &Name| true);
    instance_content(map, instance, &Values(instance), &defaults)
}

/// The place of an object: the page and id of its record, as in its keys.
fn place(record: RecordRef) -> String {
    format!("{}.{}", record.page, record.id)
}

/// The names of those selected properties whose value, NULL included, is the default of the class.
pub(crate) struct Defaulted<'i, F>(pub(crate) &'i Instance, pub(crate) F);

impl<F: Fn(&Name) -> bool> Serialize for Defaulted<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let properties = self.0.class().properties().iter().zip(self.0.settings());
        let inherited = properties.filter(|(_, setting)| **setting == Setting::Inherited);
        let names = inherited.map(|(property, _)| &property.name);
        serializer.collect_seq(names.filter(|name| self.1(name)))
    }
}

struct Pairs<'r>(&'r [(&'r Name, &'r QualifierSet)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

//! Rows as JSON, in the form of `export`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::column::{Found, Head};
use super::explain::{AccessPath, Explanation};
use super::grouped::{Shown, grouped_inside};
use super::notes::Note;
use super::row::{ClassRow, Columns, InstanceRow, Projection, Row};
use crate::catalog::json::{self, SCHEMA};
use crate::cim::json::Values;
use crate::cim::name::Name;
use crate::cim::value::Object;

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Row::Instance(row) => row.serialize(serializer),
            Row::Class(row) => row.serialize(serializer),
            Row::Count(count) => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("schema", &SCHEMA)?;
                // A reader who knows the total alone finds none in a partial count.
                match count.total() {
                    Some(total) => {
                        map.serialize_entry("kind", "count")?;
                        map.serialize_entry("count", &total)?;
                    }
                    None => {
                        map.serialize_entry("kind", "partial-count")?;
                        map.serialize_entry("read", &count.read)?;
                        map.serialize_entry("unreadable", &count.unreadable)?;
                    }
                }
                map.end()
            }
        }
    }
}

impl Serialize for ClassRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json::ClassRow {
            namespace: &self.namespace,
            class: &self.class,
        }
        .serialize(serializer)
    }
}

impl Serialize for InstanceRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (namespace, stored, instance) = (&*self.namespace, &self.stored, &self.stored.instance);
        let wanted = |name: &Name| match self.projection.as_deref() {
            None => true,
            Some(Projection::Keys) => instance
                .class()
                .key_properties()
                .any(|key| key.name == *name),
            Some(Projection::Columns(columns)) => columns.has(name),
        };
        let defaults = json::Defaulted(instance, wanted);
        match self.projection.as_deref() {
            None => json::serialize_instance(
                serializer,
                namespace,
                stored,
                &Values(instance),
                &defaults,
            ),
            Some(_) => {
                json::serialize_instance(serializer, namespace, stored, &Projected(self), &defaults)
            }
        }
    }
}

impl Columns {
    /// True if all of a property is asked for.
    fn has(&self, name: &Name) -> bool {
        let is = |head: &Head| matches!(head, Head::Property(own, _) if own == name);
        self.0
            .iter()
            .any(|column| column.rest.is_empty() && is(&column.head))
    }
}

/// The values of a row that were asked for.
struct Projected<'r>(&'r InstanceRow);

impl Serialize for Projected<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let instance = &self.0.stored.instance;
        match self.0.projection.as_deref() {
            None => Values(instance).serialize(serializer),
            Some(Projection::Keys) => {
                let keys = instance.class().key_properties();
                serializer
                    .collect_map(keys.map(|property| (&property.name, instance.value_of(property))))
            }
            Some(Projection::Columns(columns)) => {
                let mut map = serializer.serialize_map(None)?;
                for (name, shown) in columns.grouped(self.0.subject()) {
                    map.serialize_entry(name, &shown)?;
                }
                map.end()
            }
        }
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Shown::Whole(found) => found.serialize(serializer),
            Shown::Parts(object, parts) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("class", &class_of(object))?;
                map.serialize_entry("properties", &Parts(object, parts))?;
                map.end()
            }
        }
    }
}

fn class_of(object: &Object) -> Option<&Name> {
    match object {
        Object::Instance(instance) => Some(instance.class().name()),
        Object::Class(class) => Some(&class.name),
        Object::Opaque(_) => None,
    }
}

/// Parts of an embedded object.
struct Parts<'r>(&'r Object, &'r [&'r [Name]]);

impl Serialize for Parts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(grouped_inside(self.0, self.1))
    }
}

impl Serialize for Found<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("code", self.code.as_str())?;
        map.serialize_entry("text", &self.text)?;
        map.end()
    }
}

impl Serialize for AccessPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("how", self.how)?;
        map.serialize_entry("names", &self.names)?;
        map.serialize_entry("key", &self.key)?;
        map.end()
    }
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(12))?;
        map.serialize_entry("schema", &SCHEMA)?;
        map.serialize_entry("kind", "plan")?;
        map.serialize_entry("statement", self.kind)?;
        map.serialize_entry("namespace", &self.namespace)?;
        map.serialize_entry("class", &self.class)?;
        map.serialize_entry("system_class", &self.is_system_class)?;
        map.serialize_entry("access", &self.access)?;
        map.serialize_entry("condition", &self.condition)?;
        map.serialize_entry("keys", &self.known_keys())?;
        map.serialize_entry("classes", &self.classes)?;
        map.serialize_entry("dynamic_classes", &self.dynamic_classes)?;
        map.serialize_entry("notes", &self.notes)?;
        map.end()
    }
}

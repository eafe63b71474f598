//! Rows of `recover`: a remnant as a JSON object.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Home, Object, Place, Remnant};
use crate::backup::hex;
use crate::base::filetime::FileTime;
use crate::catalog::json::{SCHEMA, class_content, whole_instance};
use crate::cim::name::Name;
use sha2::{Digest as _, Sha256};

/// A remnant with everything that is known of it. Unknown things are null.
#[derive(Debug)]
pub struct RemnantRow<'r>(pub &'r Remnant);

impl Serialize for RemnantRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let remnant = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", &SCHEMA)?;
        map.serialize_entry("kind", &remnant.kind)?;
        map.serialize_entry("status", &remnant.status)?;
        map.serialize_entry("certainty", &remnant.certainty)?;
        map.serialize_entry("namespace", &remnant.namespace)?;
        let homes: Vec<_> = remnant.namespaces.iter().map(HomeRow).collect();
        map.serialize_entry("namespaces", &homes)?;
        map.serialize_entry("class", &remnant.class)?;
        map.serialize_entry("path", &remnant.path)?;
        map.serialize_entry("written", &remnant.written.map(time))?;
        map.serialize_entry("class_written", &remnant.class_written.map(time))?;
        map.serialize_entry("why", &remnant.why)?;
        map.serialize_entry("changed", &remnant.changed)?;
        map.serialize_entry("size", &remnant.bytes.len())?;
        map.serialize_entry("sha256", &hex(&Sha256::digest(&remnant.bytes)))?;
        let places: Vec<_> = remnant.places.iter().map(PlaceRow).collect();
        map.serialize_entry("sources", &places)?;
        map.serialize_entry("object", &remnant.object.as_ref().map(ObjectRow))?;
        map.end()
    }
}

fn time(stamp: u64) -> String {
    FileTime(stamp).to_string()
}

struct HomeRow<'r>(&'r Home);

impl Serialize for HomeRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("path", &self.0.path)?;
        map.serialize_entry("evidence", self.0.evidence)?;
        let sure = if self.0.is_certain {
            "certain"
        } else {
            "inferred"
        };
        map.serialize_entry("certainty", sure)?;
        map.end()
    }
}

struct PlaceRow<'r>(&'r Place);

impl Serialize for PlaceRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("file", place.file().file_name())?;
        map.serialize_entry("page", &place.pages.first())?;
        map.serialize_entry("offset", &place.offset)?;
        map.serialize_entry("region", &place.region.name())?;
        map.serialize_entry("record_id", &place.record_id)?;
        if place.pages.len() > 1 {
            map.serialize_entry("pages", &place.pages)?;
        }
        map.end()
    }
}

struct ObjectRow<'r>(&'r Object);

impl Serialize for ObjectRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.0 {
            Object::Class(class) => {
                map.serialize_entry("name", class.name())?;
                let superclass = class.declaration().superclass.as_ref();
                map.serialize_entry("superclass", &superclass.map(Name::as_str))?;
                class_content(&mut map, class)?;
            }
            Object::Instance(instance) => whole_instance(&mut map, instance)?,
            Object::Reference(reference) => {
                map.serialize_entry("namespace", &reference.namespace)?;
                map.serialize_entry("class", &reference.class)?;
                map.serialize_entry("property", &reference.property)?;
                map.serialize_entry("key", &reference.key)?;
            }
        }
        map.end()
    }
}

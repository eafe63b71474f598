//! JSON form of the model, used wherever objects are printed as JSON. Source: `docs::objects`,
//! "JSON lines".

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::class::{Class, Property, Setting};
use super::full_class::{FullMethod, FullProperty};
use super::instance::Instance;
use super::qualifier::{Qualifier, QualifierSet};
use super::value::{Array, Object, Value};

/// A number, or the name of NaN or an infinity.
struct Real<R>(R, f64);

impl<R: Serialize> Serialize for Real<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            value if value.is_nan() => serializer.serialize_str("NaN"),
            f64::INFINITY => serializer.serialize_str("Infinity"),
            f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
            _ => self.0.serialize(serializer),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Boolean(value) => value.serialize(serializer),
            Value::Sint8(value) => value.serialize(serializer),
            Value::Sint16(value) => value.serialize(serializer),
            Value::Sint32(value) => value.serialize(serializer),
            Value::Sint64(value) => value.serialize(serializer),
            Value::Uint8(value) => value.serialize(serializer),
            Value::Uint16(value) | Value::Char16(value) => value.serialize(serializer),
            Value::Uint32(value) => value.serialize(serializer),
            Value::Uint64(value) => value.serialize(serializer),
            Value::Real32(value) => Real(value, f64::from(*value)).serialize(serializer),
            Value::Real64(value) => Real(value, *value).serialize(serializer),
            Value::String(text) | Value::DateTime(text) | Value::Reference(text) => {
                text.serialize(serializer)
            }
            Value::Object(object) => object.serialize(serializer),
            Value::Array(array) => array.serialize(serializer),
        }
    }
}

impl Serialize for Array {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Array::Boolean(values) => serializer.collect_seq(values),
            Array::Sint8(values) => serializer.collect_seq(values),
            Array::Sint16(values) => serializer.collect_seq(values),
            Array::Sint32(values) => serializer.collect_seq(values),
            Array::Sint64(values) => serializer.collect_seq(values),
            Array::Uint8(values) => serializer.collect_seq(values),
            Array::Uint16(values) | Array::Char16(values) => serializer.collect_seq(values),
            Array::Uint32(values) => serializer.collect_seq(values),
            Array::Uint64(values) => serializer.collect_seq(values),
            Array::Real32(values) => {
                serializer.collect_seq(values.iter().map(|value| Real(value, f64::from(*value))))
            }
            Array::Real64(values) => {
                serializer.collect_seq(values.iter().map(|value| Real(value, *value)))
            }
            Array::String(texts) | Array::DateTime(texts) | Array::Reference(texts) => {
                serializer.collect_seq(texts)
            }
            Array::Object(objects) => serializer.collect_seq(objects),
        }
    }
}

impl Serialize for Object {
    /// Writes an object. One that could not be decoded has no class, only its bytes in hexadecimal.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Object::Class(class) => {
                map.serialize_entry("class", &class.name)?;
                map.serialize_entry("properties", &Defaults(class))?;
            }
            Object::Instance(instance) => {
                map.serialize_entry("class", instance.class().name())?;
                map.serialize_entry("properties", &Values(instance))?;
            }
            Object::Opaque(bytes) => {
                map.serialize_entry("class", &())?;
                map.serialize_entry("properties", &std::collections::BTreeMap::<&str, ()>::new())?;
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                map.serialize_entry("opaque", &digits)?;
            }
        }
        map.end()
    }
}

struct Defaults<'c>(&'c Class);

impl Serialize for Defaults<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .properties
                .iter()
                .map(|property| (&property.name, property.default.value())),
        )
    }
}

/// The values of an instance keyed by property name, in order of declaration, with the defaults of
/// the class applied.
#[derive(Debug)]
pub struct Values<'i>(pub &'i Instance);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .values()
                .map(|(property, value)| (&property.name, value)),
        )
    }
}

impl Serialize for Setting {
    /// Writes both an inherited default and NULL as null.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl Serialize for Qualifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("type", &self.cim_type.scalar)?;
        map.serialize_entry("array", &self.cim_type.array)?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("flavor", &self.flavor.bits())?;
        map.end()
    }
}

impl Serialize for QualifierSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl Serialize for FullProperty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(8))?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("type", &self.cim_type.scalar)?;
        map.serialize_entry("array", &self.cim_type.array)?;
        map.serialize_entry("order", &self.order)?;
        map.serialize_entry("origin", &self.origin)?;
        map.serialize_entry("local", &self.local)?;
        map.serialize_entry("default", &self.default)?;
        map.serialize_entry("qualifiers", &self.qualifiers)?;
        map.end()
    }
}

impl Serialize for FullMethod {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("name", &self.method.name)?;
        map.serialize_entry("origin", &self.origin)?;
        map.serialize_entry("local", &self.local)?;
        map.serialize_entry("qualifiers", &self.method.qualifiers)?;
        map.serialize_entry("in", &Parameters(self.method.input.as_deref()))?;
        map.serialize_entry("out", &Parameters(self.method.output.as_deref()))?;
        map.end()
    }
}

/// The parameters of a signature; empty if there is no signature.
struct Parameters<'c>(Option<&'c Class>);

impl Serialize for Parameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parameters = self
            .0
            .map(|class| &class.properties[..])
            .unwrap_or_default();
        let mut sequence = serializer.serialize_seq(Some(parameters.len()))?;
        for (order, parameter) in parameters.iter().enumerate() {
            sequence.serialize_element(&Parameter(order, parameter))?;
        }
        sequence.end()
    }
}

struct Parameter<'c>(usize, &'c Property);

impl Serialize for Parameter<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(order, parameter) = self;
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("name", &parameter.name)?;
        map.serialize_entry("type", &parameter.cim_type.scalar)?;
        map.serialize_entry("array", &parameter.cim_type.array)?;
        map.serialize_entry("order", order)?;
        map.serialize_entry("default", &parameter.default)?;
        map.serialize_entry("qualifiers", &parameter.qualifiers)?;
        map.end()
    }
}

//! Approximate sizes of inherited content in memory, in bytes, for the bounds in `base::limits`.

use super::class::{Class, Method, Property};
use super::full_class::{FullMethod, FullProperty};
use super::qualifier::QualifierSet;
use super::value::{Array, Object, Value};

/// Size of a member apart from its texts and values.
const MEMBER: usize = 32;

/// Size of an element that lies in a heap, apart from its text.
const ELEMENT: usize = 24;

pub(super) fn of_value(value: &Value) -> usize {
    match value {
        Value::Object(object) => of_object(object),
        Value::Array(array) => of_array(array),
        other => other.as_text().map_or(size_of::<u64>(), str::len),
    }
}

fn of_array(array: &Array) -> usize {
    match array {
        Array::String(texts) | Array::DateTime(texts) | Array::Reference(texts) => texts
            .iter()
            .map(|text| ELEMENT + text.as_ref().map_or(0, String::len))
            .sum(),
        Array::Object(objects) => objects
            .iter()
            .map(|object| ELEMENT + object.as_ref().map_or(0, of_object))
            .sum(),
        numbers => numbers.len().saturating_mul(size_of::<u64>()),
    }
}

fn of_object(object: &Object) -> usize {
    match object {
        Object::Class(class) => of_class(class),
        Object::Instance(instance) => {
            let own = instance
                .settings()
                .iter()
                .filter_map(|setting| setting.value())
                .map(of_value)
                .sum::<usize>();
            own + instance
                .class()
                .properties()
                .iter()
                .map(|property| of_full_property(property))
                .sum::<usize>()
        }
        Object::Opaque(bytes) => bytes.len(),
    }
}

fn of_class(class: &Class) -> usize {
    let properties: usize = class.properties.iter().map(of_property).sum();
    let methods: usize = class.methods.iter().map(of_method).sum();
    class.name.as_str().len() + of_qualifiers(&class.qualifiers) + properties + methods
}

fn of_property(property: &Property) -> usize {
    let value = property.default.value().map_or(0, of_value);
    MEMBER + property.name.as_str().len() + value + of_qualifiers(&property.qualifiers)
}

pub(super) fn of_full_property(property: &FullProperty) -> usize {
    of_given(property) + of_qualifiers(&property.qualifiers)
}

/// Size of what every instance takes from a property: its name and its default.
pub(super) fn of_given(property: &FullProperty) -> usize {
    MEMBER + property.name.as_str().len() + property.default.as_ref().map_or(0, of_value)
}

pub(super) fn of_full_method(method: &FullMethod) -> usize {
    of_method(&method.method)
}

fn of_method(method: &Method) -> usize {
    let signatures: usize = method
        .input
        .iter()
        .chain(&method.output)
        .map(|class| of_class(class))
        .sum();
    MEMBER + method.name.as_str().len() + of_qualifiers(&method.qualifiers) + signatures
}

pub(super) fn of_qualifiers(set: &QualifierSet) -> usize {
    set.iter()
        .map(|of| MEMBER + of.name.as_str().len() + of.value.as_ref().map_or(0, of_value))
        .sum()
}

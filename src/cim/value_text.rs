//! The text of a value, for people. MOF has forms of its own: `text::mof`.

use std::fmt::{Debug, Display, Formatter, Result};

use super::full_class::FullClass;
use super::value::{Array, Object, Value};

impl Display for Value {
    /// Texts as they are, numbers in decimal, `TRUE` and `FALSE`, arrays in braces. A text may hold
    /// anything: escape it before a terminal sees it.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Value::Boolean(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Value::Char16(unit) => Display::fmt(unit, f),
            Value::Real32(value) => Display::fmt(value, f),
            Value::Real64(value) => Display::fmt(value, f),
            Value::Object(object) => Display::fmt(object, f),
            Value::Array(array) => Display::fmt(array, f),
            Value::String(text) | Value::DateTime(text) | Value::Reference(text) => {
                f.write_str(text)
            }
            _ => match self.as_integer() {
                Some(integer) => Display::fmt(&integer, f),
                None => Ok(()),
            },
        }
    }
}

impl Display for Array {
    /// The elements in braces with commas between them; texts in quotation marks.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("{")?;
        for (number, element) in self.iter().enumerate() {
            if number > 0 {
                f.write_str(", ")?;
            }
            match element {
                None => f.write_str("NULL")?,
                // Two texts with a comma in them must not read as three.
                Some(Value::String(text) | Value::DateTime(text) | Value::Reference(text)) => {
                    Debug::fmt(&text, f)?
                }
                Some(value) => Display::fmt(&value, f)?,
            }
        }
        f.write_str("}")
    }
}

impl Display for Object {
    /// `class NAME` or `instance of NAME`.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Object::Class(class) => write!(f, "class {}", class.name),
            Object::Instance(instance) => write!(f, "instance of {}", instance.class().name()),
            Object::Opaque(bytes) => write!(f, "object of {} bytes", bytes.len()),
        }
    }
}

impl Debug for FullClass {
    /// The names alone: of the class, its superclass, its properties and methods.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let properties: Vec<_> = self.properties().iter().map(|one| &one.name).collect();
        let methods: Vec<_> = self.methods().iter().map(|one| &one.method.name).collect();
        f.debug_struct("FullClass")
            .field("name", self.name())
            .field("superclass", &self.derivation().first())
            .field("properties", &properties)
            .field("methods", &methods)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cim::class::{Class, Property};
    use crate::cim::instance::Instance;
    use crate::cim::types::ScalarType;

    #[test]
    fn values_have_the_text_that_people_write() {
        let texts = Array::String(vec![Some("a, b".into()), None]);
        for (value, text) in [
            (Value::from("a\"b"), "a\"b"),
            (true.into(), "TRUE"),
            ((-3).into(), "-3"),
            (u64::MAX.into(), "18446744073709551615"),
            (0.5f32.into(), "0.5"),
            (0.1f64.into(), "0.1"),
            (Value::Char16(65), "65"),
            (Value::DateTime("tomorrow".into()), "tomorrow"),
            (vec![1u8, 2].into(), "{1, 2}"),
            (Value::Array(texts), "{\"a, b\", NULL}"),
            (Vec::<bool>::new().into(), "{}"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn a_class_is_shown_by_its_names() {
        let class = Class::builder("Shelf")
            .property(Property::new("Name", ScalarType::String).key())
            .build();
        let class = Arc::new(FullClass::compose(class, None).unwrap());
        let text = r#"FullClass { name: "Shelf", superclass: None, properties: ["Name"], methods: [], .. }"#;
        assert_eq!(format!("{class:?}"), text);
        let instance = Value::from(Instance::new(class));
        assert_eq!(instance.to_string(), "instance of Shelf");
    }
}

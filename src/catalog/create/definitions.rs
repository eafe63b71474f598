//! Text form of the definitions of the classes of a new repository.
//!
//! ```text
//! namespace PATH                             where what follows lies
//! class NAME [: SUPERCLASS] [QUALIFIERS]
//!   [again] TYPE NAME [= DEFAULT] [QUALIFIERS]     a property; `again`: one that the superclass has
//!   method NAME [QUALIFIERS]
//!     in|out TYPE NAME                       a parameter; all but ReturnValue are numbered
//! instance CLASS
//!   NAME = VALUE
//! ```
//!
//! A type is a MOF keyword, with `[]` for an array, and `:CLASS` after `ref` and `object`.
//! Qualifiers stand in brackets, separated by commas. Each is `NAME` or `NAME/FLAVOR`, followed by
//! `("text")`, `{text
//! text}` or nothing, which means TRUE. `key` and `singleton` have flavor 19, others have 0 unless stated, and `interval` is `SUBTYPE/3("interval")`. Values are numbers, `TRUE`, `FALSE`, `"text"`, and bytes after `0x`.

use std::sync::Arc;

use crate::cim::class::{Class, Method, Property, Setting};
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet};
use crate::cim::types::{CimType, ScalarType};
use crate::cim::value::{Array, Value};

/// The definitions of a new repository.
const DEFINITIONS: &str = include_str!("definitions.txt");

/// A definition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// Sets the namespace of the following classes.
    Namespace(&'static str),
    Class(Class),
    Instance(Values),
}

/// An instance: its class, and its values by property.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Values {
    pub class: &'static str,
    pub values: Vec<(&'static str, &'static str)>,
}

/// The content of a new repository, in the order of creation. `None` for a malformed line.
pub(super) fn items() -> Option<Vec<Item>> {
    let mut items = Vec::new();
    for line in DEFINITIONS.lines().filter(|line| !line.starts_with('#')) {
        let (head, qualifiers) = match line.split_once(" [") {
            Some((head, qualifiers)) => (head, self::qualifiers(qualifiers.strip_suffix(']')?)?),
            None => (line, QualifierSet::new()),
        };
        let depth = (head.len() - head.trim_start().len()) / 2;
        let (word, rest) = head.trim_start().split_once(' ')?;
        match (depth, word, items.last_mut()) {
            (0, "namespace", _) => items.push(Item::Namespace(rest)),
            (0, "instance", _) => items.push(Item::Instance(Values {
                class: rest,
                values: Vec::new(),
            })),
            (0, "class", _) => items.push(Item::Class(class(rest, qualifiers))),
            (1, "method", Some(Item::Class(class))) => {
                class.methods.push(Method {
                    qualifiers,
                    ..Method::new(rest)
                });
            }
            (1, _, Some(Item::Class(class))) => class.properties.push(property(head, qualifiers)?),
            (2, direction, Some(Item::Class(class))) => {
                add_parameter(class.methods.last_mut()?, direction, rest)?
            }
            (1, name, Some(Item::Instance(instance))) => {
                instance.values.push((name, rest.strip_prefix("= ")?))
            }
            _ => return None,
        }
    }
    Some(items)
}

fn class(head: &str, qualifiers: QualifierSet) -> Class {
    let (name, superclass) = head
        .split_once(" : ")
        .map_or((head, None), |(name, above)| (name, Some(above)));
    let class = Class::builder(name).build();
    Class {
        superclass: superclass.map(Into::into),
        qualifiers,
        ..class
    }
}

fn property(head: &str, qualifiers: QualifierSet) -> Option<Property> {
    let (head, default) = head
        .trim_start()
        .split_once(" = ")
        .map_or((head.trim(), None), |(a, b)| (a, Some(b)));
    if let Some((cim_type, name)) = head
        .strip_prefix("again ")
        .and_then(|rest| rest.split_once(' '))
    {
        let (cim_type, default) = (declared(cim_type, name)?.cim_type, Setting::Inherited);
        return Some(Property {
            name: name.into(),
            cim_type,
            default,
            qualifiers,
        });
    }
    let (cim_type, name) = head.split_once(' ')?;
    let mut property = declared(cim_type, name)?;
    if let Some(default) = default {
        property.default = Setting::Value(value(default, property.cim_type)?);
    }
    qualifiers
        .iter()
        .for_each(|qualifier| property.qualifiers.set(qualifier.clone()));
    Some(property)
}

/// A property with its `CIMTYPE`.
fn declared(text: &str, name: &str) -> Option<Property> {
    let (text, class) = text
        .split_once(':')
        .map_or((text, None), |(text, class)| (text, Some(class)));
    let scalar = text.strip_suffix("[]").unwrap_or(text);
    let word = if scalar == "ref" {
        ScalarType::Reference.as_str()
    } else {
        scalar
    };
    let scalar = ScalarType::ALL
        .into_iter()
        .find(|known| known.as_str() == word)?;
    let property = Property::new(
        name,
        CimType {
            scalar,
            array: text.ends_with("[]"),
        },
    );
    Some(class.into_iter().fold(property, Property::of_class))
}

/// In these signatures the parameter numbers have no flavor, and the return value stands first.
fn add_parameter(method: &mut Method, direction: &str, rest: &str) -> Option<()> {
    let (cim_type, name) = rest.split_once(' ')?;
    let parameters = method
        .input
        .iter()
        .chain(&method.output)
        .flat_map(|signature| &signature.properties);
    let number = parameters
        .filter(|parameter| parameter.name != Method::RETURN_VALUE)
        .count();
    let mut parameter =
        declared(cim_type, name)?.qualifier(Qualifier::flag(direction, Flavor::empty()));
    if parameter.name != Method::RETURN_VALUE {
        parameter = parameter.qualifier(Qualifier::new(
            "ID",
            i32::try_from(number).ok()?,
            Flavor::empty(),
        ));
    }
    let signature = match direction {
        "in" => &mut method.input,
        "out" => &mut method.output,
        _ => return None,
    };
    let empty = || {
        let flag = Qualifier::flag("abstract", Flavor::empty());
        Arc::new(Class::builder(Method::PARAMETERS).qualifier(flag).build())
    };
    Arc::make_mut(signature.get_or_insert_with(empty))
        .properties
        .push(parameter);
    Some(())
}

fn qualifiers(text: &str) -> Option<QualifierSet> {
    text.split(", ").map(qualifier).collect()
}

fn qualifier(text: &str) -> Option<Qualifier> {
    if text == "interval" {
        return Some(Qualifier::new(
            "SUBTYPE",
            "interval",
            Flavor::TO_INSTANCE | Flavor::TO_SUBCLASS,
        ));
    }
    let end = text.find(['(', '{']).unwrap_or(text.len());
    let (head, value) = text.split_at(end);
    let usual = if matches!(head, "key" | "singleton") {
        19
    } else {
        0
    };
    let (name, flavor) = match head.split_once('/') {
        Some((name, flavor)) => (name, flavor.parse().ok()?),
        None => (head, usual),
    };
    let list = value
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let text = value
        .strip_prefix("(\"")
        .and_then(|rest| rest.strip_suffix("\")"));
    let value = match (list, text) {
        (Some(""), _) => Value::Array(Array::String(Vec::new())),
        (Some(list), _) => Value::Array(Array::String(
            list.split('|').map(|text| Some(text.to_owned())).collect(),
        )),
        (None, Some(text)) => text.into(),
        (None, None) => value.is_empty().then_some(true)?.into(),
    };
    Some(Qualifier::new(
        name,
        value,
        Flavor::from_bits_retain(flavor),
    ))
}

/// Parses a value of this type.
pub(super) fn value(text: &str, cim_type: CimType) -> Option<Value> {
    let quoted = || Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    if cim_type.array {
        let digits = text.strip_prefix("0x")?.as_bytes().chunks(2);
        let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        return Some(digits.map(byte).collect::<Option<Vec<u8>>>()?.into());
    }
    Some(match cim_type.scalar {
        ScalarType::Boolean => Value::Boolean(text == "TRUE"),
        ScalarType::Sint32 => Value::Sint32(text.parse().ok()?),
        ScalarType::Uint32 => Value::Uint32(text.parse().ok()?),
        ScalarType::Uint64 => Value::Uint64(text.parse().ok()?),
        ScalarType::String => Value::String(quoted()?),
        ScalarType::DateTime => Value::DateTime(quoted()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_the_form() {
        let items = items().unwrap();
        let classes = items
            .iter()
            .filter(|item| matches!(item, Item::Class(_)))
            .count();
        let instances = items
            .iter()
            .filter(|item| matches!(item, Item::Instance(_)))
            .count();
        assert_eq!((classes, instances), (80, 8));
    }
}

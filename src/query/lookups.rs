//! Conditions that name instances by their keys, or their classes: what a plan reads instead of
//! everything.
//!
//! The whole condition is evaluated afterwards on what is read, so that a look-up may find too
//! much, and never too little.

use super::column::{Head, SystemProperty};
use super::compare::{Operand, whole_part};
use super::filter::{BoundTerm, Check, Filter};
use crate::cim::full_class::FullClass;
use crate::cim::name::Name;
use crate::cim::types::ScalarType;
use crate::text::wql::Relation;

/// Look-ups that one query makes at most.
pub(super) const MAX_LOOKUPS: usize = 1_024;

/// Stands between the values in the text of a key.
const SEPARATOR: char = '\u{FFFF}';

/// The texts of the only keys that instances may have which fulfil the condition; `None` when they
/// may have others.
pub(super) fn key_texts(filter: &Filter, class: &FullClass) -> Option<Vec<String>> {
    union(filter, &|conjuncts| {
        let by_path = conjuncts
            .iter()
            .find_map(|part| term(part).and_then(|term| by_path(term, class)));
        by_path.or_else(|| by_values(conjuncts, class))
    })
}

/// The names of the only classes that instances may have which fulfil the condition.
pub(super) fn classes(filter: &Filter) -> Option<Vec<String>> {
    union(filter, &|conjuncts| {
        conjuncts
            .iter()
            .find_map(|part| term(part).and_then(class_of))
    })
}

/// Looks for what `of_all` finds among parts that must all hold: in the condition itself, or in
/// each part of an OR.
fn union(
    filter: &Filter,
    of_all: &dyn Fn(&[Filter]) -> Option<Vec<String>>,
) -> Option<Vec<String>> {
    let conjuncts = filter.conjuncts();
    if let Some(found) = of_all(conjuncts) {
        return Some(found);
    }
    let of_any = |part: &Filter| match part {
        Filter::Any(parts) => {
            let mut found = Vec::new();
            for part in parts {
                found.extend(union(part, of_all)?);
                if found.len() > MAX_LOOKUPS {
                    return None;
                }
            }
            Some(found)
        }
        _ => None,
    };
    conjuncts.iter().find_map(of_any)
}

const fn term(filter: &Filter) -> Option<&BoundTerm> {
    match filter {
        Filter::Term(term) => Some(term),
        _ => None,
    }
}

/// `__CLASS = "…"`.
fn class_of(term: &BoundTerm) -> Option<Vec<String>> {
    match (&term.column.head, &term.check) {
        (
            Head::System(SystemProperty::Class),
            Check::Compare(Relation::Equal, Operand::Text(name)),
        ) => Some(vec![name.clone()]),
        (Head::System(SystemProperty::Class), Check::Null(false)) => Some(Vec::new()),
        _ => None,
    }
}

/// `__PATH = "…"` or `__RELPATH = "…"`, where the text is the path of an instance with the keys of
/// the class.
fn by_path(term: &BoundTerm, class: &FullClass) -> Option<Vec<String>> {
    let Check::Path(Relation::Equal, text) = &term.check else {
        return None;
    };
    let path = text.path.as_ref()?;
    class.key_text_of(path).ok().map(|text| vec![text])
}

/// A value for each key property; none at all where the values cannot be those of a key.
fn by_values(conjuncts: &[Filter], class: &FullClass) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    for key in class.key_properties() {
        let bound = |part: &Filter| key_value(term(part)?, &key.name, key.cim_type.scalar);
        match conjuncts.iter().find_map(bound)? {
            KeyValue::Text(text) => texts.push(text),
            KeyValue::None => return Some(Vec::new()),
        }
    }
    (!texts.is_empty()).then(|| vec![texts.join(&SEPARATOR.to_string())])
}

/// The value of a key property that a term leaves.
enum KeyValue {
    Text(String),
    /// No key has it.
    None,
}

/// The rows that `key = constant` leaves. Types whose equal values may have different texts are of
/// no use here: datetimes, characters, reals.
fn key_value(term: &BoundTerm, key: &Name, scalar: ScalarType) -> Option<KeyValue> {
    if !term.column.rest.is_empty()
        || !matches!(&term.column.head, Head::Property(name, _) if name == key)
    {
        return None;
    }
    match (&term.check, scalar) {
        // A key has a value.
        (Check::Null(false), _) => Some(KeyValue::None),
        (
            Check::Compare(Relation::Equal, Operand::Text(text)),
            ScalarType::String | ScalarType::Reference,
        ) => (!text.contains(SEPARATOR)).then(|| KeyValue::Text(text.clone())),
        (Check::Compare(Relation::Equal, Operand::Boolean(value)), ScalarType::Boolean) => Some(
            KeyValue::Text(if *value { "TRUE" } else { "FALSE" }.to_owned()),
        ),
        (
            _,
            ScalarType::Char16 | ScalarType::Real32 | ScalarType::Real64 | ScalarType::DateTime,
        ) => None,
        (Check::Compare(Relation::Equal, Operand::Integer(value)), _) => {
            Some(KeyValue::Text(value.to_string()))
        }
        (Check::Compare(Relation::Equal, Operand::Real(value)), _) => {
            Some(match whole_part(*value) {
                Some((whole, false)) => KeyValue::Text(whole.to_string()),
                _ => KeyValue::None,
            })
        }
        _ => None,
    }
}

//! Known good chains: bindings whose whole content is known, not only a name.

use crate::cim::name::same;
use crate::cim::value::{Array, Value};
use crate::format::security::sid::Sid;

use super::super::people::sid_in;
use super::baseline::KnownChain;
use super::finding::{Kind, Subject};

/// Identifiers that Windows itself creates subscriptions with.
const SYSTEM_CREATORS: [Sid; 2] = [Sid::LOCAL_SYSTEM, Sid::ADMINISTRATORS];

/// True if an identifier is one that Windows creates subscriptions with.
pub(super) fn is_system(sid: &Sid) -> bool {
    SYSTEM_CREATORS.contains(sid)
}

/// True if a chain is known as good: every value of both ends and of the binding.
pub(super) fn is_known(
    chains: &[KnownChain],
    binding: &Subject,
    filter: &Subject,
    consumer: &Subject,
) -> bool {
    chains.iter().any(|chain| {
        let lies_there = [binding, filter, consumer]
            .iter()
            .all(|subject| same(&subject.namespace, &chain.namespace));
        lies_there
            && is_created_by(chain, &[binding, filter, consumer])
            && consumer.class == *chain.consumer_class
            && filter.class == *"__EventFilter"
            && holds(filter, &chain.filter)
            && holds(consumer, &chain.consumer)
            && holds(binding, &chain.binding)
    })
}

/// True if an end by itself has the name of one in a known good chain and other content.
pub(super) fn imitates(chains: &[KnownChain], subject: &Subject) -> bool {
    let name = subject.text("Name");
    let mut has_name = false;
    for chain in chains {
        let (values, class) = match subject.kind {
            Kind::Filter => (&chain.filter, "__EventFilter"),
            _ => (&chain.consumer, &*chain.consumer_class),
        };
        let known = values.iter().find(|(property, _)| property == "Name");
        if known.is_none_or(|(_, known)| !same(known, name)) {
            continue;
        }
        has_name = true;
        let is_alike = subject.class == *class && holds(subject, values);
        if is_alike && is_created_by(chain, &[subject]) {
            return false;
        }
    }
    has_name
}

fn is_created_by(chain: &KnownChain, subjects: &[&Subject]) -> bool {
    subjects.iter().all(|subject| {
        subject
            .creator
            .as_ref()
            .is_some_and(|creator| match chain.creators.as_slice() {
                [] => is_system(creator),
                known => known.iter().any(|known| *known == creator.to_string()),
            })
    })
}

/// True if an object has these values, and no others that say anything. The references of a binding
/// are judged by what they lead to.
fn holds(subject: &Subject, values: &[(String, String)]) -> bool {
    let has = |(property, value): &(String, String)| {
        let found = subject.get(property).map(text_of);
        found.as_deref() == Some(value)
    };
    let is_accounted = |(property, value): &(crate::cim::name::Name, Option<Value>)| {
        let is_apart = ["CreatorSID", "Filter", "Consumer"].iter().any(|apart| {
            *property == **apart && (subject.kind == Kind::Binding || *apart == "CreatorSID")
        });
        let is_listed = values.iter().any(|(listed, _)| *property == **listed);
        is_apart || is_listed || value.as_ref().is_none_or(says_nothing)
    };
    values.iter().all(has) && subject.properties.iter().all(is_accounted)
}

/// True for values that are as good as none: zero, FALSE, empty texts.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Array(Array::String(texts)) => texts.iter().flatten().all(String::is_empty),
        Value::Array(array) => array.is_empty(),
        Value::Boolean(value) => !value,
        other => match (other.as_text(), other.as_integer()) {
            (Some(text), _) => text.is_empty(),
            (None, Some(number)) => number == 0,
            (None, None) => false,
        },
    }
}

/// A value as known good chains write it: texts as they are, numbers in decimal, TRUE and FALSE,
/// security identifiers as text; the elements of an array on a line each.
pub(super) fn text_of(value: &Value) -> String {
    if let Some(sid) = sid_in(Some(value)) {
        return sid.to_string();
    }
    match value {
        Value::Boolean(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
        Value::Array(Array::String(texts)) => {
            let texts = texts.iter().map(|text| text.as_deref().unwrap_or_default());
            texts.collect::<Vec<_>>().join("\n")
        }
        Value::Array(array) => format!("{array:?}"),
        other => match (other.as_text(), other.as_integer()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(number)) => number.to_string(),
            (None, None) => format!("{other:?}"),
        },
    }
}

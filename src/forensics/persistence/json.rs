//! Findings as rows of JSON, and rows of JSON as chains that are known as good. Source:
//! `docs::forensics`, "Rows".

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;

use crate::base::error::{Error, Result};
use crate::base::misuse::Misuse;
use crate::cim::name::{Name, same};
use crate::cim::value::Value;
use crate::security::readable;

use super::baseline::KnownChain;
use super::finding::{Finding, Kind, Level, Rule, Subject};
use super::known::text_of;

/// The version of the rows.
const SCHEMA: u32 = 1;

/// The subjects that a row names by their kinds.
const CHAIN: [Kind; 3] = [Kind::Binding, Kind::Filter, Kind::Consumer];

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Tag<'t> {
            rule: Rule,
            words: &'t str,
        }
        let tags = self
            .tags
            .iter()
            .map(|(rule, words)| Tag { rule: *rule, words });
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", &SCHEMA)?;
        map.serialize_entry("kind", &self.kind)?;
        map.serialize_entry("level", &self.level)?;
        map.serialize_entry("rules", &self.rules)?;
        map.serialize_entry("tags", &tags.collect::<Vec<_>>())?;
        map.serialize_entry("words", &self.words)?;
        map.serialize_entry("status", "live")?;
        map.serialize_entry("known_good", &self.is_known_good)?;
        map.serialize_entry("late", &self.is_late)?;
        map.serialize_entry("namespace", &self.namespace)?;
        map.serialize_entry("path", &self.path)?;
        let first = self.first_seen;
        map.serialize_entry("first_generation", &first.map(|first| first.generation))?;
        map.serialize_entry("or_earlier", &first.map(|first| first.or_earlier))?;
        for kind in CHAIN {
            map.serialize_entry(kind.as_str(), &self.subject(kind))?;
        }
        let others = self.subjects.iter();
        let others = others.filter(|subject| !CHAIN.contains(&subject.kind));
        map.serialize_entry("objects", &others.collect::<Vec<_>>())?;
        map.end()
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let record = format!("{}.{}", self.record.page, self.record.id);
        let place = self.place;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("namespace", &self.namespace)?;
        map.serialize_entry("class", &self.class)?;
        map.serialize_entry("path", &self.path)?;
        map.serialize_entry("reference", &self.reference)?;
        map.serialize_entry("written", &self.stamp.to_string())?;
        map.serialize_entry("run", &self.run)?;
        map.serialize_entry("record", &record)?;
        map.serialize_entry("page", &place.map(|place| place.page))?;
        map.serialize_entry("offset", &place.map(|place| place.offset))?;
        let creator = self.creator.as_ref().map(ToString::to_string);
        map.serialize_entry("creator", &creator)?;
        map.serialize_entry("creator_name", &self.creator_name)?;
        map.serialize_entry("properties", &Properties(&self.properties))?;
        map.serialize_entry("texts", &Texts(&self.properties))?;
        map.end()
    }
}

struct Properties<'p>(&'p [(Name, Option<Value>)]);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Security identifiers and descriptors among the values, as text.
struct Texts<'p>(&'p [(Name, Option<Value>)]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let texts = self.0.iter().filter_map(|(name, value)| {
            let text = readable::text_of(value.as_ref()?)?;
            Some((name, text))
        });
        serializer.collect_map(texts)
    }
}

/// The part of a row that tells a known good chain.
#[derive(Deserialize)]
struct Row {
    kind: String,
    binding: Option<End>,
    filter: Option<End>,
    consumer: Option<End>,
}

#[derive(Deserialize)]
struct End {
    namespace: String,
    class: String,
    creator: Option<String>,
    properties: serde_json::Map<String, Json>,
}

/// Reads chains that are known as good from rows, one a line, as findings are printed. Rows about
/// something else than a binding with both ends, and empty lines, say nothing.
///
/// # Errors
/// [`Error::InvalidArgument`] for a line that is no row, with its number.
pub fn known_good(text: &str) -> Result<Vec<KnownChain>> {
    let mut chains = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let row: Row = serde_json::from_str(line).map_err(|error| {
            let text = format!("line {} is no row of persistence: {error}", number + 1);
            Error::invalid(Misuse::Value, text)
        })?;
        if row.kind != "binding" {
            continue;
        }
        if let (Some(binding), Some(filter), Some(consumer)) =
            (row.binding, row.filter, row.consumer)
        {
            chains.push(chain(&binding, &filter, &consumer));
        }
    }
    Ok(chains)
}

fn chain(binding: &End, filter: &End, consumer: &End) -> KnownChain {
    let values = |end: &End, is_binding: bool| {
        let apart = |name: &str| {
            same(name, "CreatorSID")
                || is_binding && (same(name, "Filter") || same(name, "Consumer"))
        };
        let properties = end.properties.iter();
        let told = properties.filter(|(name, value)| !value.is_null() && !apart(name));
        told.map(|(name, value)| (name.clone(), json_text(value)))
            .collect()
    };
    let ends = [binding, filter, consumer];
    KnownChain {
        namespace: binding.namespace.clone(),
        consumer_class: consumer.class.clone(),
        filter: values(filter, false),
        consumer: values(consumer, false),
        binding: values(binding, true),
        creators: ends.iter().filter_map(|end| end.creator.clone()).collect(),
    }
}

/// A value of a row as known good chains write it.
fn json_text(value: &Json) -> String {
    match value {
        Json::Bool(value) => text_of(&Value::Boolean(*value)),
        Json::String(text) => text.clone(),
        Json::Array(values) => {
            let values: Vec<String> = values.iter().map(json_text).collect();
            values.join("\n")
        }
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

//! Advice on stored objects: faults that do not matter to readers of the repository, but that the
//! author of the object will want to know. It changes no verdict.

use std::fmt;

use crate::base::escape::{escape, guard};
use crate::base::limits::MAX_FINDINGS_PER_CODE;
use crate::cim::instance::Instance;
use crate::cim::path::ObjectPath;
use crate::cim::value::{Array, Value};
use crate::text::wql;

/// Properties that hold queries, and their classes.
const QUERIES: [(&str, &str); 3] = [
    ("__EventFilter", "Query"),
    ("__EventProviderRegistration", "EventQueryList"),
    ("MSFT_CliAlias", "Target"),
];

/// A fault in a stored text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The path of the object, and the property.
    pub place: Box<str>,
    /// The code of the fault.
    pub code: &'static str,
    /// A sentence that describes the fault.
    pub text: Box<str>,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "advice: {}: {}", escape(&self.place), guard(&self.text))
    }
}

/// A list of advice, bounded, and the number of the rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advices {
    /// Those that are listed.
    pub listed: Vec<Advice>,
    /// Number of pieces of advice that are not listed.
    pub not_listed: u64,
}

impl Advices {
    /// Parses the queries in an instance.
    pub(super) fn look_at(&mut self, namespace: &str, instance: &Instance) {
        let class = instance.class();
        let held = QUERIES.iter().filter(|(name, _)| class.is_a(name));
        for (_, property) in held {
            if is_other_language(instance) {
                continue;
            }
            match instance.get(property) {
                Ok(Some(Value::String(text))) => self.query(namespace, instance, property, text),
                Ok(Some(Value::Array(Array::String(texts)))) => {
                    texts
                        .iter()
                        .flatten()
                        .for_each(|text| self.query(namespace, instance, property, text));
                }
                _ => {}
            }
        }
    }

    fn query(&mut self, namespace: &str, instance: &Instance, property: &str, text: &str) {
        let Err(refused) = wql::parse(text) else {
            return;
        };
        if self.listed.len() >= MAX_FINDINGS_PER_CODE {
            self.not_listed += 1;
            return;
        }
        let path = instance
            .path()
            .unwrap_or_else(|_| ObjectPath::of_class(instance.class().name().clone()));
        let place = format!(
            "{}, property {property}",
            path.in_namespace(namespace).text()
        );
        let text = format!("its query is refused: {refused}");
        self.listed.push(Advice {
            place: place.into(),
            code: refused.code.as_str(),
            text: text.into(),
        });
    }
}

/// True if an object states that its query is in another language.
fn is_other_language(instance: &Instance) -> bool {
    let language = instance.text("QueryLanguage");
    language.is_some_and(|language| !language.eq_ignore_ascii_case("WQL"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cim::class::{Class, Property};
    use crate::cim::full_class::FullClass;
    use crate::cim::types::{CimType, ScalarType};

    fn instance(class: &str, property: Property) -> Instance {
        let class = Class::builder(class)
            .property(Property::new("Name", ScalarType::String).key().default("n"))
            .property(Property::new("QueryLanguage", ScalarType::String))
            .property(property);
        Instance::new(Arc::new(FullClass::compose(class.build(), None).unwrap()))
    }

    fn advice(instance: &Instance) -> Vec<String> {
        let mut found = Advices::default();
        found.look_at("ROOT", instance);
        found.listed.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn queries_that_cannot_be_read_are_named() {
        let filter = |query: &str| {
            instance(
                "__EventFilter",
                Property::new("Query", ScalarType::String).default(query),
            )
        };
        assert!(
            advice(&filter(
                "SELECT * FROM X WITHIN 5 WHERE TargetInstance ISA 'Y'"
            ))
            .is_empty()
        );
        let found = advice(&filter("SELECT * FORM X"));
        let start =
            "advice: ROOT:__EventFilter.Name=\"n\", property Query: its query is refused: syntax: ";
        assert!(
            matches!(&found[..], [only] if only.starts_with(start)),
            "{found:?}"
        );
        let other = filter("find x").with("QueryLanguage", "CQL").unwrap();
        assert!(advice(&other).is_empty(), "it is no WQL");

        let texts = Array::String(vec![
            Some("select * from x".into()),
            None,
            Some("select".into()),
        ]);
        let list = Property::new("EventQueryList", CimType::array(ScalarType::String))
            .default(Value::Array(texts));
        assert_eq!(
            advice(&instance("__EventProviderRegistration", list)).len(),
            1
        );
    }

    #[test]
    fn what_is_not_listed_is_counted() {
        let bad = instance(
            "MSFT_CliAlias",
            Property::new("Target", ScalarType::String).default("?"),
        );
        let mut found = Advices::default();
        (0..MAX_FINDINGS_PER_CODE + 3).for_each(|_| found.look_at("ROOT", &bad));
        assert_eq!(
            (found.listed.len(), found.not_listed),
            (MAX_FINDINGS_PER_CODE, 3)
        );
    }
}

//! The facts that are known of repositories as Windows makes them: data, in `baseline.txt` and
//! `facts.txt`.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::cim::name::to_upper;

use super::super::runs::is_of_a_language;

/// The facts, one a line. The heads of the files say how they were made.
const TEXT: &str = concat!(include_str!("baseline.txt"), include_str!("facts.txt"));

/// Objects that Windows itself brings.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    /// Namespaces, in upper case.
    namespaces: HashSet<String>,
    /// Classes of consumers with their namespaces, in upper case.
    consumers: HashSet<(String, String)>,
    /// The identifiers of the classes of providers, by namespace and name, in upper case.
    providers: HashMap<(String, String), HashSet<String>>,
    /// Names of filters and consumers that others report as common, in upper case.
    common: HashSet<String>,
    /// Chains that are known as good.
    pub(super) chains: Vec<KnownChain>,
}

/// A binding with both ends, known as good by its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownChain {
    /// The namespace of the binding.
    pub namespace: String,
    /// The class of the consumer.
    pub consumer_class: String,
    /// Values by property: of the filter.
    pub filter: Vec<(String, String)>,
    /// Of the consumer.
    pub consumer: Vec<(String, String)>,
    /// Of the binding, without its references.
    pub binding: Vec<(String, String)>,
    /// Identifiers that may have created them; none: any of those that Windows uses.
    pub creators: Vec<String>,
}

/// How a provider stands to the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Known,
    OtherClass,
    Unknown,
}

impl Baseline {
    /// The built-in one.
    pub(super) fn built_in() -> &'static Self {
        static BUILT_IN: LazyLock<Baseline> = LazyLock::new(|| Baseline::parse(TEXT));
        &BUILT_IN
    }

    fn parse(text: &str) -> Self {
        let mut baseline = Self::default();
        let facts = text.lines().filter(|line| !line.starts_with('#'));
        for fact in facts {
            let mut parts = fact.split('\t');
            let kind = parts.next().unwrap_or_default();
            let mut next = || parts.next().unwrap_or_default();
            match kind {
                "namespace" => _ = baseline.namespaces.insert(to_upper(next())),
                "consumer" => {
                    _ = baseline
                        .consumers
                        .insert((to_upper(next()), to_upper(next())));
                }
                "provider" => {
                    let place = (to_upper(next()), to_upper(next()));
                    let classes = baseline.providers.entry(place).or_default();
                    classes.insert(to_upper(next()));
                }
                "common" => _ = baseline.common.insert(to_upper(next())),
                "chain" => baseline.chains.push(KnownChain {
                    namespace: next().to_owned(),
                    consumer_class: next().to_owned(),
                    ..KnownChain::default()
                }),
                "filter" | "sink" | "binding" => {
                    let value = (next().to_owned(), next().to_owned());
                    let Some(chain) = baseline.chains.last_mut() else {
                        continue;
                    };
                    match kind {
                        "filter" => chain.filter.push(value),
                        "sink" => chain.consumer.push(value),
                        _ => chain.binding.push(value),
                    }
                }
                _ => {}
            }
        }
        baseline
    }

    /// True if Windows brings a namespace. Those of languages and of the policies of users do not
    /// count.
    pub(super) fn has_namespace(&self, namespace: &str) -> bool {
        let namespace = to_upper(namespace);
        self.namespaces.contains(&namespace)
            || is_of_a_language(&namespace)
            || namespace.starts_with(r"ROOT\RSOP\USER\S_1_5_21_")
    }

    /// True if Windows brings a class of consumers there.
    pub(super) fn has_consumer(&self, namespace: &str, class: &str) -> bool {
        let place = (to_upper(namespace), to_upper(class));
        self.consumers.contains(&place)
    }

    /// How a provider stands to what Windows brings.
    pub(super) fn standing(&self, namespace: &str, name: &str, class: &str) -> Standing {
        let place = (to_upper(namespace), to_upper(name));
        match self.providers.get(&place) {
            None => Standing::Unknown,
            Some(classes) if classes.contains(&to_upper(class)) => Standing::Known,
            Some(_) => Standing::OtherClass,
        }
    }

    /// True if others report a name as common on clean machines.
    pub(super) fn is_common(&self, name: &str) -> bool {
        self.common.contains(&to_upper(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_baseline_is_read() {
        let baseline = Baseline::built_in();
        let kinds = ["namespace", "consumer", "provider", "common", "chain"];
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            let kind = line.split('\t').next().unwrap();
            let is_known = kinds.contains(&kind) || ["filter", "sink", "binding"].contains(&kind);
            assert!(is_known, "{line}");
        }
        assert!(baseline.namespaces.len() > 50 && baseline.providers.len() > 150);
        assert_eq!(baseline.chains.len(), 2);
        assert!(baseline.has_consumer(r"root\subscription", "commandlineeventconsumer"));
        assert!(!baseline.has_consumer(r"ROOT\CIMV2", "CommandLineEventConsumer"));
    }
}

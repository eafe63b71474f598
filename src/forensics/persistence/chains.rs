//! Bindings and what they bind: resolves references, and joins filters, consumers and timers to
//! findings (rules P01 to P09).

use std::collections::HashSet;

use crate::base::escape::escape;
use crate::base::page_no::RecordRef;
use crate::catalog::StoredInstance;
use crate::cim::name::same;
use crate::cim::path::ObjectPath;
use crate::cim::value::Value;

use super::baseline::{Baseline, KnownChain};
use super::finding::{Finding, Kind, Level, Rule, Subject};
use super::gather::{CONSUMER, FILTER, Found, Gathered};
use super::judge::Judgement;
use super::known;
use super::look::Look;
use super::signs;
use super::words;

/// Where subscriptions belong.
pub(super) const SUBSCRIPTION: &str = r"ROOT\subscription";

/// Classes of consumers that run code.
const CODE: [&str; 2] = ["CommandLineEventConsumer", "ActiveScriptEventConsumer"];

/// The findings on bindings and on what no binding binds.
pub(super) fn findings(look: &Look, gathered: &Gathered, known: &[KnownChain]) -> Vec<Finding> {
    let mut chains = Chains {
        look,
        known,
        bound: HashSet::new(),
    };
    let mut findings: Vec<Finding> = gathered
        .bindings
        .iter()
        .map(|binding| chains.binding(binding))
        .collect();
    for (kind, list) in [
        (Kind::Filter, &gathered.filters),
        (Kind::Consumer, &gathered.consumers),
    ] {
        let lone = list
            .iter()
            .filter(|found| !chains.bound.contains(&found.stored.record));
        findings.extend(lone.map(|found| chains.lone(kind, found)));
    }
    let timers = gathered.timers.iter();
    findings.extend(timers.map(|timer| chains.timer(timer, &gathered.filters)));
    findings
}

struct Chains<'g> {
    look: &'g Look,
    known: &'g [KnownChain],
    /// Records that some binding leads to.
    bound: HashSet<RecordRef>,
}

/// Where a reference leads.
enum End {
    There(Box<Subject>),
    /// Nowhere, and why.
    Missing(String),
}

impl Chains<'_> {
    fn binding(&mut self, found: &Found) -> Finding {
        let stored = &found.stored;
        let binding = self
            .look
            .instance(Kind::Binding, &found.namespace, stored, None);
        let filter = self.end(found, "Filter", Kind::Filter, FILTER);
        let consumer = self.end(found, "Consumer", Kind::Consumer, CONSUMER);

        if let (End::There(filter), End::There(consumer)) = (&filter, &consumer)
            && known::is_known(self.known, &binding, filter, consumer)
        {
            let words = words::chain(&binding, Some(filter), Some(consumer), &[]);
            let mut judgement = Judgement::new(Kind::Binding, Level::Info);
            judgement.is_known_good = true;
            let subjects = vec![binding, (**filter).clone(), (**consumer).clone()];
            return judgement.finding(self.look, format!("known good: {words}"), subjects);
        }

        let mut judgement = self.judge_binding(&binding, &filter, &consumer);
        let mut missing = Vec::new();
        let mut subjects = vec![binding];
        for end in [filter, consumer] {
            match end {
                End::There(subject) => subjects.push(*subject),
                End::Missing(why) => missing.push(why),
            }
        }
        self.judge_all(&mut judgement, &subjects);
        let of = |kind| subjects.iter().find(|subject| subject.kind == kind);
        let words = match subjects.first() {
            Some(binding) => words::chain(binding, of(Kind::Filter), of(Kind::Consumer), &missing),
            None => String::new(),
        };
        judgement.finding(self.look, words, subjects)
    }

    /// The rules that look at both ends.
    fn judge_binding(&self, binding: &Subject, filter: &End, consumer: &End) -> Judgement {
        let mut judgement = Judgement::new(Kind::Binding, Level::Medium);
        match consumer {
            End::There(consumer) if runs_code(consumer) => judgement.add(Rule::P01, Level::High),
            _ => judgement.add(Rule::P02, Level::Medium),
        }
        let mut namespaces = vec![&*binding.namespace];
        for end in [filter, consumer] {
            match end {
                End::There(subject) => namespaces.push(&subject.namespace),
                End::Missing(_) => judgement.add(Rule::P04, Level::Medium),
            }
        }
        let is_across = namespaces
            .iter()
            .any(|namespace| !same(namespace, &binding.namespace));
        if is_across {
            judgement.add(Rule::P04, Level::Medium);
        }
        if let End::There(consumer) = consumer
            && !Baseline::built_in().has_consumer(&consumer.namespace, consumer.class.as_str())
        {
            judgement.add(Rule::P03, Level::High);
        }
        judgement
    }

    /// The rules that look at each object of a chain, and those that raise.
    fn judge_all(&self, judgement: &mut Judgement, subjects: &[Subject]) {
        for subject in subjects {
            match subject.kind {
                Kind::Filter => judge_filter(judgement, subject),
                Kind::Consumer => judge_consumer(judgement, subject),
                _ => {}
            }
            let is_end = matches!(subject.kind, Kind::Filter | Kind::Consumer);
            if is_end && known::imitates(self.known, subject) {
                judgement.add(Rule::Imitation, Level::High);
            }
        }
        let is_elsewhere = |subject: &Subject| !same(&subject.namespace, SUBSCRIPTION);
        if subjects.iter().any(is_elsewhere) {
            judgement.raise(Rule::P05);
        }
        judge_creators(judgement, subjects);
        judgement.lower_if_common(subjects);
    }

    fn lone(&self, kind: Kind, found: &Found) -> Finding {
        let subject = self
            .look
            .instance(kind, &found.namespace, &found.stored, None);
        let mut judgement = Judgement::new(kind, Level::Medium);
        judgement.add(Rule::P04, Level::Medium);
        let is_foreign = kind == Kind::Consumer
            && !Baseline::built_in().has_consumer(&subject.namespace, subject.class.as_str());
        if is_foreign {
            judgement.add(Rule::P03, Level::Medium);
        }
        let subjects = vec![subject];
        self.judge_all(&mut judgement, &subjects);
        let words = words::lone(&subjects);
        judgement.finding(self.look, words, subjects)
    }

    fn timer(&self, found: &Found, filters: &[Found]) -> Finding {
        let timer = self
            .look
            .instance(Kind::Timer, &found.namespace, &found.stored, None);
        let mut judgement = Judgement::new(Kind::Timer, Level::Medium);
        judgement.add(Rule::P08, Level::Medium);
        let id = timer.text("TimerId").to_owned();
        let names_it = |filter: &&Found| {
            let query = filter.stored.instance.text("Query").unwrap_or_default();
            !id.is_empty() && query.to_lowercase().contains(&id.to_lowercase())
        };
        let mut subjects = vec![timer];
        for filter in filters.iter().filter(names_it) {
            let (namespace, stored) = (&filter.namespace, &filter.stored);
            subjects.push(self.look.instance(Kind::Filter, namespace, stored, None));
        }
        let words = words::timer(&subjects);
        judgement.finding(self.look, words, subjects)
    }

    /// Follows a reference of a binding.
    fn end(&mut self, binding: &Found, property: &str, kind: Kind, family: &str) -> End {
        let name = kind.as_str();
        let Some(reference) = binding.stored.instance.text(property) else {
            return End::Missing(format!("it names no {name}"));
        };
        let Some((namespace, stored)) = self.resolve(&binding.namespace, reference) else {
            return End::Missing(format!("its {name} is missing: {}", escape(reference)));
        };
        if !stored.instance.class().is_a(family) {
            let text = format!("its {name} is none: {}", escape(reference));
            return End::Missing(text);
        }
        self.bound.insert(stored.record);
        let reference = Some(reference.to_owned());
        End::There(Box::new(
            self.look.instance(kind, &namespace, &stored, reference),
        ))
    }

    /// The instance to which a reference leads, from a namespace.
    fn resolve(&self, from: &str, reference: &str) -> Option<(String, StoredInstance)> {
        let mut path: ObjectPath = reference.parse().ok()?;
        let catalog = &self.look.catalog;
        let namespace = match path.namespace.take() {
            None => from.to_owned(),
            Some(named) => catalog.find_namespace(&named).ok().flatten()?,
        };
        path.server = None;
        let found = catalog.instance(&namespace, &path).ok().flatten()?;
        Some((namespace, found))
    }
}

fn runs_code(consumer: &Subject) -> bool {
    CODE.iter().any(|class| consumer.class == **class)
}

fn judge_filter(judgement: &mut Judgement, filter: &Subject) {
    for tag in signs::of_query(filter.text("Query")) {
        judgement.tag(Rule::P07, tag);
    }
}

fn judge_consumer(judgement: &mut Judgement, consumer: &Subject) {
    let mut signs = Vec::new();
    for (_, value) in &consumer.properties {
        let text = value.as_ref().and_then(Value::as_text).unwrap_or_default();
        signs.extend(signs::of_command(text));
    }
    signs.sort_unstable();
    signs.dedup();
    if signs.len() >= 2 {
        judgement.add(Rule::P09, Level::High);
    }
    for sign in signs {
        judgement.tag(Rule::P09, sign);
    }
}

/// P06: creators that differ, or are none of the system's.
fn judge_creators(judgement: &mut Judgement, subjects: &[Subject]) {
    let mut creators = subjects.iter().map(|subject| subject.creator.as_ref());
    let first = creators.next().flatten();
    let differ = creators.any(|creator| creator != first);
    let is_system = first.is_some_and(known::is_system);
    if differ || !is_system {
        judgement.raise(Rule::P06);
        let mut named: Vec<String> = subjects.iter().map(words::creator).collect();
        named.sort_unstable();
        named.dedup();
        for creator in named {
            judgement.tag(Rule::P06, &creator);
        }
    }
}

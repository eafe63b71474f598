//! The level of a finding: the highest of its rules, raised by those that raise.

use super::baseline::Baseline;
use super::finding::{Finding, Kind, Level, Rule, Subject};
use super::look::Look;

/// The verdict on a finding while the rules are applied.
#[derive(Debug)]
pub(super) struct Judgement {
    kind: Kind,
    level: Level,
    rules: Vec<Rule>,
    tags: Vec<(Rule, String)>,
    pub(super) is_known_good: bool,
}

impl Judgement {
    pub(super) const fn new(kind: Kind, level: Level) -> Self {
        Self {
            kind,
            level,
            rules: Vec::new(),
            tags: Vec::new(),
            is_known_good: false,
        }
    }

    /// A rule matches, and weighs this much.
    pub(super) fn add(&mut self, rule: Rule, level: Level) {
        self.rules.push(rule);
        self.level = self.level.max(level);
    }

    /// A rule matches that raises the level by one.
    pub(super) fn raise(&mut self, rule: Rule) {
        self.rules.push(rule);
        self.level = self.level.raised();
    }

    /// A rule matches that changes no level.
    pub(super) fn tag(&mut self, rule: Rule, words: &str) {
        self.rules.push(rule);
        self.tags.push((rule, words.to_owned()));
    }

    /// Lowers the level where every end has a name that others report as common on clean machines,
    /// and nothing else speaks against it. A name alone is easily taken.
    pub(super) fn lower_if_common(&mut self, subjects: &[Subject]) {
        const AGAINST: [Rule; 5] = [Rule::P03, Rule::P04, Rule::P05, Rule::P06, Rule::Imitation];
        let ends = subjects
            .iter()
            .filter(|subject| matches!(subject.kind, Kind::Filter | Kind::Consumer));
        let mut names = ends.map(|subject| subject.text("Name")).peekable();
        let is_common =
            names.peek().is_some() && names.all(|name| Baseline::built_in().is_common(name));
        let signs = self
            .tags
            .iter()
            .filter(|(rule, _)| *rule == Rule::P09)
            .count();
        let is_plain = signs < 2 && !self.rules.iter().any(|rule| AGAINST.contains(rule));
        if is_common && is_plain {
            self.level = Level::Info;
            self.tag(Rule::P02, "name that is common on clean machines");
        }
    }

    /// The finding on these objects; the first is the main one.
    pub(super) fn finding(mut self, look: &Look, words: String, subjects: Vec<Subject>) -> Finding {
        let is_late = subjects.iter().any(|subject| look.is_late(subject));
        if !self.is_known_good {
            if is_late {
                self.rules.push(Rule::P13);
            }
            let mut places: Vec<&str> =
                subjects.iter().map(|subject| &*subject.namespace).collect();
            places.dedup();
            for namespace in places {
                if !Baseline::built_in().has_namespace(namespace) {
                    self.rules.push(Rule::P15);
                    self.tags.push((Rule::P15, namespace.to_owned()));
                }
            }
        }
        self.rules.sort_unstable();
        self.rules.dedup();
        let main = subjects.first();
        let first_seen = main.and_then(|main| look.first_seen(main));
        Finding {
            level: self.level,
            kind: self.kind,
            rules: self.rules,
            tags: self.tags,
            words,
            namespace: main.map_or(String::new(), |main| main.namespace.clone()),
            path: main.map_or(String::new(), |main| main.path.clone()),
            is_known_good: self.is_known_good,
            is_late,
            first_seen,
            subjects,
        }
    }
}

//! Findings on what stands beside chains: providers, registrations, classes, payloads, descriptors
//! of namespaces (rules P03 and P10 to P15).

use std::collections::HashMap;

use crate::base::escape::escape;
use crate::cim::name::{same, to_upper};
use crate::cim::path::ObjectPath;
use crate::cim::value::{Array, Value};

use super::baseline::{Baseline, Standing};
use super::finding::{Finding, Kind, Level, Rule};
use super::gather::{CONSUMER_REGISTRATION, Found, FoundClass, Gathered, REGISTRATION, kind_of};
use super::judge::Judgement;
use super::look::Look;
use super::words::short;

/// Ways to host a provider in which it is a process of its own, or the service itself is not asked.
const OWN_HOSTS: [&str; 2] = ["SelfHost", "LocalSystemHostOrSelfHost"];

/// Files of classes by their identifiers, in upper case.
pub(super) type ClassFiles = HashMap<String, String>;

/// All of them.
pub(super) fn findings(look: &Look, gathered: &Gathered, files: &ClassFiles) -> Vec<Finding> {
    let roles = Roles::of(&gathered.registrations);
    let providers = gathered.providers.iter();
    let mut findings: Vec<Finding> = providers
        .filter_map(|found| provider(look, found, &roles, files))
        .collect();
    let registrations = gathered.registrations.iter();
    findings.extend(registrations.filter_map(|found| registration(look, found)));
    findings.extend(gathered.classes.iter().map(|found| class(look, found)));
    let payloads = gathered.payloads.iter();
    findings.extend(payloads.map(|(found, why)| {
        let kind = kind_of(found);
        let subject = look.instance(kind, &found.namespace, &found.stored, None);
        let mut judgement = Judgement::new(kind, Level::High);
        let words = format!(
            "{} holds {}",
            escape(&subject.path),
            tag_all(&mut judgement, why)
        );
        judgement.finding(look, words, vec![subject])
    }));
    findings
}

/// Registrations of providers, by namespace and name.
struct Roles(HashMap<(String, String), Vec<String>>);

impl Roles {
    fn of(registrations: &[Found]) -> Self {
        let mut roles: HashMap<_, Vec<String>> = HashMap::new();
        for found in registrations {
            let instance = &found.stored.instance;
            let path = instance
                .text("provider")
                .and_then(|text| text.parse::<ObjectPath>().ok());
            let Some(path) = path else { continue };
            let namespace = path.namespace.clone();
            let namespace = namespace.unwrap_or_else(|| found.namespace.to_string());
            let name = path.key_text().unwrap_or_default();
            let class = instance.class().name().as_str();
            let role = class.strip_prefix("__").unwrap_or(class);
            let role = role.strip_suffix("Registration").unwrap_or(role);
            let entry = roles.entry((to_upper(&namespace), to_upper(&name)));
            let entry = entry.or_default();
            if !entry.iter().any(|known| known == role) {
                entry.push(role.to_owned());
            }
        }
        Self(roles)
    }

    fn words(&self, namespace: &str, name: &str) -> String {
        match self.0.get(&(to_upper(namespace), to_upper(name))) {
            None => "not registered for anything".to_owned(),
            Some(roles) => {
                let roles: Vec<String> = roles.iter().map(|role| short(role)).collect();
                format!("registered as {}", roles.join(", "))
            }
        }
    }
}

/// P10: a provider that Windows does not bring, or not with this class.
fn provider(look: &Look, found: &Found, roles: &Roles, files: &ClassFiles) -> Option<Finding> {
    let subject = look.instance(Kind::Provider, &found.namespace, &found.stored, None);
    let (name, class) = (subject.text("Name"), subject.text("CLSID"));
    let standing = Baseline::built_in().standing(&found.namespace, name, class);
    let why = match standing {
        Standing::Known => return None,
        Standing::OtherClass => "has another class than the one that Windows brings",
        Standing::Unknown => "is not in the baseline",
    };
    let mut judgement = Judgement::new(Kind::Provider, Level::Medium);
    judgement.add(Rule::P10, Level::Medium);
    let host = subject.text("HostingModel");
    let is_own = OWN_HOSTS.iter().any(|own| same(own, host));
    let is_decoupled = host.to_ascii_lowercase().starts_with("decoupled");
    if is_own || is_decoupled || host.is_empty() {
        let host = if host.is_empty() { "none" } else { host };
        judgement.tag(Rule::P10, &format!("hosting model {}", short(host)));
    }
    let mut words = format!(
        "provider \"{}\" {why}; class {}; {}",
        short(name),
        if class.is_empty() {
            "none".to_owned()
        } else {
            short(class)
        },
        roles.words(&found.namespace, name)
    );
    if let Some(file) = files.get(&to_upper(class)) {
        words.push_str(&format!("; its file is {}", short(file)));
        judgement.tag(Rule::P10, &format!("file {file}"));
    }
    Some(judgement.finding(look, words, vec![subject]))
}

/// P03: consumers registered for a class that Windows does not bring there.
fn registration(look: &Look, found: &Found) -> Option<Finding> {
    let instance = &found.stored.instance;
    if !instance.class().is_a(CONSUMER_REGISTRATION) || !instance.class().is_a(REGISTRATION) {
        return None;
    }
    let Ok(Some(Value::Array(Array::String(classes)))) = instance.get("ConsumerClassNames") else {
        return None;
    };
    let is_foreign = |class: &&str| !Baseline::built_in().has_consumer(&found.namespace, class);
    let foreign = classes.iter().flatten().map(String::as_str);
    let foreign: Vec<String> = foreign.filter(is_foreign).map(short).collect();
    if foreign.is_empty() {
        return None;
    }
    let subject = look.instance(Kind::Registration, &found.namespace, &found.stored, None);
    let words = format!(
        "consumers of classes that Windows does not register in {}: {}",
        escape(&found.namespace),
        foreign.join(", ")
    );
    let mut judgement = Judgement::new(Kind::Registration, Level::Medium);
    judgement.add(Rule::P03, Level::Medium);
    Some(judgement.finding(look, words, vec![subject]))
}

/// P03, P11, P12: classes of consumers, classes with payloads, classes that are used as drawers.
fn class(look: &Look, found: &FoundClass) -> Finding {
    let subject = look.class(&found.namespace, &found.stored);
    let mut judgement = Judgement::new(Kind::Class, Level::Medium);
    let mut parts = Vec::new();
    if found.is_foreign_consumer {
        judgement.add(Rule::P03, Level::Medium);
        parts.push("is a class of consumers that Windows does not bring there".to_owned());
    }
    if found.is_drawer {
        judgement.add(Rule::P12, Level::Medium);
        parts.push("has neither qualifiers nor a superclass and keeps values".to_owned());
    }
    if !found.payloads.is_empty() {
        let payloads = tag_all(&mut judgement, &found.payloads);
        parts.push(format!("holds {payloads}"));
    }
    let words = format!("{} {}", escape(&subject.path), parts.join("; "));
    judgement.finding(look, words, vec![subject])
}

/// P11: the properties that look like payloads, and why.
fn tag_all(judgement: &mut Judgement, why: &[(crate::cim::name::Name, String)]) -> String {
    judgement.add(Rule::P11, Level::High);
    let mut all = Vec::new();
    for (property, why) in why {
        let words = format!("{why} in {}", escape(property.as_str()));
        judgement.tag(Rule::P11, &words);
        all.push(words);
    }
    all.join(", ")
}

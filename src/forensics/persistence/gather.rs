//! One walk over every namespace, which keeps what the rules look at.

use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::catalog::{Catalog, StoredClass, StoredInstance};
use crate::cim::class::Setting;
use crate::cim::name::Name;
use crate::cim::value::Value;
use crate::format::index::object_key::SYSTEM_NAMESPACE;

use super::super::runs::{Put, is_of_a_language};
use super::baseline::Baseline;
use super::finding::Kind;
use super::signs;

pub(super) const CONSUMER: &str = "__EventConsumer";
pub(super) const FILTER: &str = "__EventFilter";
pub(super) const TIMER: &str = "__TimerInstruction";
pub(super) const BINDING: &str = "__FilterToConsumerBinding";
pub(super) const PROVIDER: &str = "__Provider";
pub(super) const REGISTRATION: &str = "__ProviderRegistration";
pub(super) const CONSUMER_REGISTRATION: &str = "__EventConsumerProviderRegistration";

/// An instance that a rule looks at, and its namespace.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) namespace: Arc<str>,
    pub(super) stored: StoredInstance,
}

/// A class that a rule looks at.
#[derive(Debug, Clone)]
pub(super) struct FoundClass {
    pub(super) namespace: Arc<str>,
    pub(super) stored: Arc<StoredClass>,
    /// True if it has neither qualifiers nor a superclass, and defaults of its own.
    pub(super) is_drawer: bool,
    /// True if it is a class of consumers that Windows does not bring there.
    pub(super) is_foreign_consumer: bool,
    /// Defaults that look like payloads, and why.
    pub(super) payloads: Vec<(Name, String)>,
}

/// The objects found by the walk.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) namespaces: Vec<String>,
    pub(super) bindings: Vec<Found>,
    pub(super) filters: Vec<Found>,
    pub(super) consumers: Vec<Found>,
    pub(super) timers: Vec<Found>,
    pub(super) providers: Vec<Found>,
    pub(super) registrations: Vec<Found>,
    /// Other instances with texts that look like payloads, and why.
    pub(super) payloads: Vec<(Found, Vec<(Name, String)>)>,
    pub(super) classes: Vec<FoundClass>,
    /// The stamps of all objects.
    pub(super) stamps: Vec<(u64, Put)>,
    /// Errors of objects that could not be read.
    pub(super) faults: Vec<Error>,
}

impl Gathered {
    /// Walks over all namespaces, those included that nothing leads to.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; what cannot be read is a fault among the findings.
    pub(super) fn of(catalog: &Catalog) -> Result<Self> {
        let mut gathered = Self::default();
        let found = catalog.all_namespaces();
        for namespace in found.tree {
            match namespace {
                Ok(path) => gathered.namespaces.push(path),
                Err(error) => gathered.fault(error)?,
            }
        }
        let hidden = found.hidden.into_iter().map(|hidden| hidden.path);
        gathered.namespaces.extend(hidden);

        let once = catalog.each_once();
        let mut places = vec![SYSTEM_NAMESPACE.to_owned()];
        places.extend(gathered.namespaces.iter().cloned());
        for namespace in places {
            let namespace: Arc<str> = namespace.into();
            for class in once.classes(&namespace) {
                match class {
                    Ok(class) => gathered.class(&namespace, class),
                    Err(error) => gathered.fault(error)?,
                }
            }
            for instance in once.all_instances(&namespace) {
                match instance {
                    Ok(stored) => gathered.instance(&namespace, stored),
                    Err(error) => gathered.fault(error)?,
                }
            }
        }
        Ok(gathered)
    }

    fn fault(&mut self, error: Error) -> Result<()> {
        if matches!(error, Error::Cancelled) {
            return Err(error);
        }
        self.faults.push(error);
        Ok(())
    }

    fn class(&mut self, namespace: &Arc<str>, stored: Arc<StoredClass>) {
        let put = Put::class_of(namespace);
        self.stamps.push((stored.stamp.0, put));
        if &**namespace == SYSTEM_NAMESPACE {
            return;
        }
        let class = stored.class.declaration();
        let defaults = class
            .properties
            .iter()
            .filter_map(|property| match &property.default {
                Setting::Value(value) => Some((&property.name, value)),
                _ => None,
            });
        let defaults: Vec<(&Name, &Value)> = defaults.collect();
        let is_drawer =
            class.qualifiers.is_empty() && class.superclass.is_none() && !defaults.is_empty();
        let payload = |(name, value): &(&Name, &Value)| {
            signs::of_default(value).map(|why| ((*name).clone(), why))
        };
        let payloads: Vec<_> = defaults.iter().filter_map(payload).collect();
        let is_foreign_consumer = stored.class.is_a(CONSUMER)
            && !is_of_a_language(namespace)
            && !Baseline::built_in().has_consumer(namespace, stored.class.name().as_str());
        if is_drawer || is_foreign_consumer || !payloads.is_empty() {
            let namespace = namespace.clone();
            self.classes.push(FoundClass {
                namespace,
                stored,
                is_drawer,
                is_foreign_consumer,
                payloads,
            });
        }
    }

    fn instance(&mut self, namespace: &Arc<str>, stored: StoredInstance) {
        self.stamps.push((stored.stamp.0, Put::Instance));
        let class = stored.instance.class().clone();
        let namespace = namespace.clone();
        let found = Found { namespace, stored };
        // A consumer's own texts are judged as commands.
        if class.is_a(CONSUMER) {
            return self.consumers.push(found);
        }
        let payloads = payloads(&found.stored);
        if !payloads.is_empty() {
            self.payloads.push((found.clone(), payloads));
        }
        let lists = [
            (FILTER, &mut self.filters),
            (BINDING, &mut self.bindings),
            (TIMER, &mut self.timers),
            (REGISTRATION, &mut self.registrations),
            (PROVIDER, &mut self.providers),
        ];
        for (family, list) in lists {
            if class.is_a(family) {
                return list.push(found);
            }
        }
    }
}

/// The texts of an instance, not those of its class, that look like payloads.
fn payloads(stored: &StoredInstance) -> Vec<(Name, String)> {
    let instance = &stored.instance;
    let settings = instance
        .class()
        .properties()
        .iter()
        .zip(instance.settings());
    let own = settings.filter_map(|(property, setting)| match setting {
        Setting::Value(value) => signs::of_payload(value).map(|why| (property.name.clone(), why)),
        _ => None,
    });
    own.collect()
}

/// The kind of a finding about an instance by itself.
pub(super) fn kind_of(found: &Found) -> Kind {
    let class = found.stored.instance.class();
    let kinds = [
        (FILTER, Kind::Filter),
        (CONSUMER, Kind::Consumer),
        (BINDING, Kind::Binding),
        (TIMER, Kind::Timer),
        (PROVIDER, Kind::Provider),
        (REGISTRATION, Kind::Registration),
    ];
    let known = kinds.iter().find(|(family, _)| class.is_a(family));
    known.map_or(Kind::Instance, |(_, kind)| *kind)
}

//! The way to the instances of a data query: the narrowest that reads every row. Source:
//! `docs::query`, "Plans".

use std::sync::Arc;

use super::family::Family;
use super::filter::Filter;
use super::lookups;
use crate::base::error::Result;
use crate::catalog::{Catalog, InstanceRange, StoredClass};
use crate::cim::full_class::FullClass;
use crate::cim::name::{Name, same};
use crate::format::name_hash::NameHash;

/// Keys of a key class that are counted before its range is taken for large.
const FEW_KEYS: u64 = 4_096;

/// The range of a key class with so many keys counts as much as the ranges of so many classes.
const KEYS_A_CLASS: u64 = 10;

/// Classes below one without keys whose ranges are read one by one.
const MANY_CLASSES: usize = 256;

/// Part of the index that is read.
#[derive(Debug, Clone)]
pub(super) enum Access {
    /// Nothing: no stored instance can fulfil the condition.
    Nothing,
    /// The instances with keys of these texts.
    Keys(Arc<StoredClass>, Vec<String>),
    /// Ranges of keys, each with the name of its class.
    Ranges(Vec<(InstanceRange, Name)>),
}

/// The way to the instances of a family.
pub(super) struct Planner<'p> {
    pub(super) catalog: &'p Catalog,
    pub(super) namespace: &'p str,
    pub(super) family: &'p Family,
    pub(super) filter: Option<&'p Filter>,
}

impl Planner<'_> {
    pub(super) fn plan(&self) -> Result<Access> {
        let Some(top) = self.family.top() else {
            return Ok(Access::Nothing);
        };
        if let Some(access) = self.by_keys(top) {
            return Ok(access);
        }
        if let Some(names) = self.filter.and_then(lookups::classes) {
            return Ok(self.by_classes(&names));
        }
        if self.family.below().is_empty() {
            return Ok(Access::Ranges(vec![self.own_range(top)]));
        }
        self.by_key_classes().map(Access::Ranges)
    }

    /// All instances of the namespace.
    pub(super) fn full_scan(&self) -> Access {
        let everything = Name::from("");
        Access::Ranges(vec![(InstanceRange::Namespace, everything)])
    }

    fn hash(&self, name: &Name) -> NameHash {
        self.catalog.keys().hash(name.as_str())
    }

    fn own_range(&self, class: &StoredClass) -> (InstanceRange, Name) {
        let name = class.class.name();
        (InstanceRange::Class(self.hash(name)), name.clone())
    }

    /// The instances that the condition names by their keys. Only where every class has the same
    /// keys: WMI lets no class add one, a hostile file may.
    fn by_keys(&self, top: &Arc<StoredClass>) -> Option<Access> {
        let keys = top.class.expected_keys();
        let is_same = |class: &&Arc<StoredClass>| {
            class.class.expected_keys() == keys && class.class.key_class() == top.class.key_class()
        };
        top.class.key_class()?;
        if !self.family.faults.is_empty()
            || self.family.below().iter().any(|class| !is_same(&class))
        {
            return None;
        }
        if matches!(keys, crate::cim::ExpectedKeys::Singleton) {
            return Some(Access::Keys(top.clone(), vec!["@".to_owned()]));
        }
        let texts = lookups::key_texts(self.filter?, &top.class)?;
        Some(if texts.is_empty() {
            Access::Nothing
        } else {
            Access::Keys(top.clone(), texts)
        })
    }

    /// The instances of the classes of the family that the condition names.
    fn by_classes(&self, names: &[String]) -> Access {
        let is_named = |class: &&Arc<StoredClass>| {
            names
                .iter()
                .any(|name| same(name, class.class.name().as_str()))
        };
        let named: Vec<_> = self
            .family
            .classes
            .iter()
            .filter(is_named)
            .map(|class| self.own_range(class))
            .collect();
        if named.is_empty() {
            Access::Nothing
        } else {
            Access::Ranges(named)
        }
    }

    /// For each class that declares keys either its range, or those of its classes, whichever is
    /// likely smaller. A class that has keys has them from one such class, and one that has none
    /// has no instances.
    fn by_key_classes(&self) -> Result<Vec<(InstanceRange, Name)>> {
        let mut groups: Vec<(Name, Vec<&Arc<StoredClass>>)> = Vec::new();
        for class in &self.family.classes {
            let Some(key_class) = key_class(&class.class) else {
                continue;
            };
            match groups.iter_mut().find(|(name, _)| *name == key_class) {
                Some((_, group)) => group.push(class),
                None => groups.push((key_class, vec![class])),
            }
            if groups.len() > MANY_CLASSES {
                return Ok(vec![(InstanceRange::Namespace, Name::from(""))]);
            }
        }
        let has_keys = self
            .family
            .top()
            .is_some_and(|top| key_class(&top.class).is_some());
        if !has_keys && self.family.classes.len() > MANY_CLASSES {
            return Ok(vec![(InstanceRange::Namespace, Name::from(""))]);
        }
        let mut ranges = Vec::new();
        for (name, group) in groups {
            let hash = self.hash(&name);
            let keys = self
                .catalog
                .keyed_instance_count(self.namespace, hash, FEW_KEYS)?;
            let is_small = keys < FEW_KEYS || group.len() as u64 >= FEW_KEYS / KEYS_A_CLASS;
            match is_small && group.len() > 1 {
                true => ranges.push((InstanceRange::KeyClass(hash), name)),
                false => ranges.extend(group.into_iter().map(|class| self.own_range(class))),
            }
        }
        Ok(ranges)
    }
}

fn key_class(class: &FullClass) -> Option<Name> {
    class.key_class().map(|key_class| key_class.name().clone())
}

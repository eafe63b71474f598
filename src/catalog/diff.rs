//! How the content of two repositories differs: namespaces, classes, instances. Where and when an object is stored does not
//! matter, nor the order of keys; spelling, order of properties and qualifiers, and what is inherited or said do.

use std::collections::BTreeMap;

use super::{Catalog, StoredInstance};
use crate::base::error::{Error, Result};
use crate::base::escape::escape;
use crate::cim::class::Class;
use crate::cim::name::{Name, to_upper};
use crate::format::object_key::SYSTEM_NAMESPACE;

/// What a difference is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum What {
    /// A namespace.
    Namespace,
    /// A class.
    Class,
    /// An instance.
    Instance,
}

/// How an object differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The first has it alone.
    Removed,
    /// The second has it alone.
    Added,
    /// Both have it; what differs in it.
    Changed(Vec<String>),
}

/// An object that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is.
    pub what: What,
    /// Its path, as it is stored: to print, `escape` it.
    pub path: String,
    /// How it differs.
    pub change: Change,
}

/// What a comparison gives.
#[derive(Debug)]
pub enum Compared {
    /// A difference.
    Difference(Difference),
    /// An object that cannot be read, of the first or the second; it is compared no further.
    Unreadable {
        /// Whether it is of the second.
        second: bool,
        /// Why.
        error: Error,
    },
}

/// Compares the content of two snapshots. Each difference, and each object that cannot be read, is given to `visit`, which
/// says whether to go on.
///
/// # Errors
/// Those that are no damage: what the system refuses.
pub fn diff(first: &Catalog, second: &Catalog, visit: &mut dyn FnMut(Compared) -> bool) -> Result<()> {
    let mut walk = Walk { sides: [first, second], visit, is_over: false };
    let [a, b] = [walk.namespaces(0)?, walk.namespaces(1)?];
    let mut all: BTreeMap<String, [Option<String>; 2]> = BTreeMap::new();
    for (side, namespaces) in [a, b].into_iter().enumerate() {
        for namespace in namespaces {
            if let Some(slot) = all.entry(to_upper(&namespace)).or_default().get_mut(side) {
                *slot = Some(namespace);
            }
        }
    }
    for (_, sides) in all {
        if walk.is_over {
            break;
        }
        match sides {
            [Some(a), Some(b)] => walk.namespace(&a, &b)?,
            [Some(path), None] => walk.give(What::Namespace, path, Change::Removed),
            [None, Some(path)] => walk.give(What::Namespace, path, Change::Added),
            [None, None] => {}
        }
    }
    Ok(())
}

struct Walk<'d> {
    sides: [&'d Catalog; 2],
    visit: &'d mut dyn FnMut(Compared) -> bool,
    is_over: bool,
}

type Both<T> = BTreeMap<(String, String), [Option<(String, T)>; 2]>;

impl Walk<'_> {
    fn give(&mut self, what: What, path: String, change: Change) {
        self.is_over = self.is_over || !(self.visit)(Compared::Difference(Difference { what, path, change }));
    }

    /// Damage is told; everything else ends the comparison.
    fn readable<T>(&mut self, side: usize, found: Result<T>) -> Result<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error @ Error::Corrupt(_)) => {
                let compared = Compared::Unreadable { second: side == 1, error };
                self.is_over = self.is_over || !(self.visit)(compared);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn namespaces(&mut self, side: usize) -> Result<Vec<String>> {
        let mut namespaces = vec![SYSTEM_NAMESPACE.to_owned()];
        let found = self.sides.get(side).map(|catalog| catalog.namespaces()).unwrap_or_default();
        for namespace in found {
            namespaces.extend(self.readable(side, namespace)?);
        }
        Ok(namespaces)
    }

    fn namespace(&mut self, a: &str, b: &str) -> Result<()> {
        if a != b {
            let detail = format!("it is spelled {}", escape(b));
            self.give(What::Namespace, a.to_owned(), Change::Changed(vec![detail]));
        }
        self.classes(a, b)?;
        self.instances(a, b)
    }

    fn classes(&mut self, a: &str, b: &str) -> Result<()> {
        let mut all: Both<Class> = BTreeMap::new();
        for (side, namespace) in [a, b].into_iter().enumerate() {
            let Some(catalog) = self.sides.get(side).copied() else { continue };
            for class in catalog.classes(namespace) {
                let Some(class) = self.readable(side, class)? else { continue };
                let declaration = class.class.declaration().clone();
                let path = format!("{namespace}:{}", declaration.name.as_str());
                put(&mut all, side, String::new(), path, declaration);
            }
        }
        self.compare(What::Class, all, class_differences);
        Ok(())
    }

    fn instances(&mut self, a: &str, b: &str) -> Result<()> {
        let mut all: Both<StoredInstance> = BTreeMap::new();
        for (side, namespace) in [a, b].into_iter().enumerate() {
            let Some(catalog) = self.sides.get(side).copied() else { continue };
            for stored in catalog.all_instances(namespace) {
                let Some(stored) = self.readable(side, stored)? else { continue };
                let path = match stored.instance.path() {
                    Ok(path) => path.in_namespace(namespace).text(),
                    Err(_) => {
                        let class = stored.instance.class().name().as_str();
                        format!("{namespace}:{class} without key, record {}", stored.record)
                    }
                };
                put(&mut all, side, to_upper(stored.instance.class().name().as_str()), path, stored);
            }
        }
        self.compare(What::Instance, all, instance_differences);
        Ok(())
    }

    fn compare<T>(&mut self, what: What, all: Both<T>, differences: fn(&T, &T) -> Vec<String>) {
        for (_, sides) in all {
            if self.is_over {
                return;
            }
            match sides {
                [Some((path, _)), None] => self.give(what, path, Change::Removed),
                [None, Some((path, _))] => self.give(what, path, Change::Added),
                [Some((path, a)), Some((_, b))] => {
                    let found = differences(&a, &b);
                    if !found.is_empty() {
                        self.give(what, path, Change::Changed(found));
                    }
                }
                [None, None] => {}
            }
        }
    }
}

fn put<T>(all: &mut Both<T>, side: usize, group: String, path: String, object: T) {
    if let Some(slot) = all.entry((group, to_upper(&path))).or_default().get_mut(side) {
        *slot = Some((path, object));
    }
}

/// Both have the same spelling.
fn spelled_alike(a: &Name, b: &Name) -> bool {
    a.as_str() == b.as_str()
}

fn class_differences(a: &Class, b: &Class) -> Vec<String> {
    let mut found = Vec::new();
    if !spelled_alike(&a.name, &b.name) {
        found.push(format!("it is spelled {}", b.name));
    }
    if a.superclass != b.superclass {
        found.push("its superclass".to_owned());
    }
    if a.qualifiers != b.qualifiers {
        found.push("its qualifiers".to_owned());
    }
    members(&mut found, "property", &a.properties, &b.properties, |property| &property.name);
    members(&mut found, "method", &a.methods, &b.methods, |method| &method.name);
    found
}

fn members<T: PartialEq>(found: &mut Vec<String>, kind: &str, a: &[T], b: &[T], name: fn(&T) -> &Name) {
    let before = found.len();
    for member in a {
        match b.iter().find(|other| name(other) == name(member)) {
            None => found.push(format!("{kind} {} is removed", name(member))),
            Some(other) if other != member || !spelled_alike(name(member), name(other)) => {
                found.push(format!("{kind} {}", name(member)));
            }
            Some(_) => {}
        }
    }
    for member in b.iter().filter(|member| a.iter().all(|other| name(other) != name(member))) {
        found.push(format!("{kind} {} is added", name(member)));
    }
    if found.len() == before && a.iter().map(name).ne(b.iter().map(name)) {
        found.push(format!("the order of its {kind} declarations"));
    }
}

fn instance_differences(a: &StoredInstance, b: &StoredInstance) -> Vec<String> {
    let (a, b) = (&a.instance, &b.instance);
    let mut found = Vec::new();
    for (property, (setting, value)) in a.class().properties().iter().zip(a.settings().iter().zip(a.values())) {
        let other = b.class().property(property.name.as_str());
        let same = other.is_some_and(|other| {
            b.settings().get(usize::from(other.order)) == Some(setting) && b.value_of(other) == value.1
        });
        if !same {
            found.push(format!("property {}", property.name));
        }
    }
    let is_new = |name: &Name| a.class().property(name.as_str()).is_none();
    let added = b.class().properties().iter().filter(|property| is_new(&property.name));
    found.extend(added.map(|property| format!("property {} is added", property.name)));
    if a.qualifiers != b.qualifiers {
        found.push("its qualifiers".to_owned());
    }
    if a.property_qualifiers != b.property_qualifiers {
        found.push("qualifiers of its properties".to_owned());
    }
    found
}

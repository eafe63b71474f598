//! Completeness, measured by the keys of the index: the number of objects, the number of those that
//! could be reached, and the reasons for the others.

use std::collections::BTreeMap;
use std::fmt;

use super::{Catalog, KeyFault, Namespaces};
use crate::base::corruption::CorruptionCode;
use crate::base::error::Error;
use crate::base::page_no::Space;
use crate::format::index::object_key::SYSTEM_NAMESPACE;
use crate::store::Snapshot;

/// Numbers of objects of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Number of keys that name an object.
    pub has: u64,
    /// Number of objects that were reached.
    pub reached: u64,
}

impl Tally {
    const fn is_whole(&self) -> bool {
        self.has == self.reached
    }
}

/// The kinds of objects that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Namespaces, except that of the system classes, which no path can name.
    Namespaces,
    /// Class definitions, by their keys `NS_…\CD_…`.
    Classes,
    /// Instances, by their keys `NS_…\CI_…\IL_…`.
    Instances,
}

/// Completeness of the reading of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
pub enum IndexState {
    /// Everything that was requested was read.
    #[default]
    Whole,
    /// A part is missing: there may be more keys than were counted.
    Torn,
    /// There is no index.
    Missing,
}

/// The objects that the keys of the index name in the range that was read, and their fates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// Completeness of the reading of the index.
    pub index: IndexState,
    /// Namespaces.
    pub namespaces: Tally,
    /// Class definitions.
    pub classes: Tally,
    /// Instances.
    pub instances: Tally,
    /// Number of reached namespaces that no instance of `__NAMESPACE` leads to.
    pub hidden: u64,
    /// Number of reached classes that lack an ancestor, and of reached instances whose class is
    /// lost.
    pub partial: u64,
    /// Numbers of classes and instances that were not reached, by the code of the reason.
    pub lost: BTreeMap<&'static str, u64>,
}

impl Census {
    /// An empty census of the objects of a catalog.
    pub fn of(catalog: &Catalog) -> Self {
        Self::of_snapshot(catalog.snapshot())
    }

    pub(crate) fn of_snapshot(snapshot: &Snapshot) -> Self {
        let index = if snapshot.has(Space::Index) {
            IndexState::Whole
        } else {
            IndexState::Missing
        };
        Self {
            index,
            ..Self::default()
        }
    }

    fn tally(&mut self, counted: Counted) -> &mut Tally {
        match counted {
            Counted::Namespaces => &mut self.namespaces,
            Counted::Classes => &mut self.classes,
            Counted::Instances => &mut self.instances,
        }
    }

    /// Counts a key that names an object.
    pub fn has(&mut self, counted: Counted) {
        self.tally(counted).has += 1;
    }

    /// Counts an object that was reached.
    pub fn reach(&mut self, counted: Counted) {
        self.tally(counted).reached += 1;
    }

    /// Counts an object that was not reached.
    pub fn lose(&mut self, why: &Error) {
        self.lose_by(reason(why));
    }

    /// Counts an object that was not reached, for the reason with this code.
    pub(crate) fn lose_by(&mut self, code: &'static str) {
        *self.lost.entry(code).or_default() += 1;
    }

    /// Counts all namespaces of the index, and the objects outside of all namespaces.
    pub fn has_namespaces(&mut self, namespaces: &Namespaces) {
        self.namespaces.has += namespaces.count;
        let [classes, instances] = namespaces.strays;
        self.classes.has += classes;
        self.instances.has += instances;
        if classes + instances > 0 {
            *self
                .lost
                .entry(CorruptionCode::KeyShape.as_str())
                .or_default() += classes + instances;
        }
    }

    /// Records that a part of the index cannot be read.
    pub fn tear(&mut self) {
        if self.index == IndexState::Whole {
            self.index = IndexState::Torn;
        }
    }

    /// True if every object of the index was reached under its own keys and is complete.
    pub const fn is_whole(&self) -> bool {
        matches!(self.index, IndexState::Whole)
            && self.namespaces.is_whole()
            && self.classes.is_whole()
            && self.instances.is_whole()
            && self.hidden == 0
            && self.partial == 0
    }

    /// True if anything was reached at all.
    pub const fn has_any(&self) -> bool {
        self.namespaces.reached > 0 || self.has_objects()
    }

    /// True if any class or instance was reached.
    pub const fn has_objects(&self) -> bool {
        self.classes.reached + self.instances.reached > 0
    }
}

fn reason(error: &Error) -> &'static str {
    match error {
        Error::Corrupt(corruption) => corruption.code.as_str(),
        Error::Rule { rule, .. } => rule.constant(),
        _ => "other",
    }
}

impl Catalog {
    /// Counts the objects named by keys, and those whose records can be read. Only the tree of
    /// namespaces is decoded.
    pub fn readable_objects(&self) -> Census {
        let mut census = Census::of(self);
        let found = self.all_namespaces();
        census.has_namespaces(&found);
        census.hidden = found.hidden.len() as u64;
        let mut namespaces: Vec<String> = found.tree.into_iter().flatten().collect();
        namespaces.extend(found.hidden.into_iter().map(|hidden| hidden.path));
        namespaces
            .iter()
            .for_each(|_| census.reach(Counted::Namespaces));
        for namespace in namespaces
            .iter()
            .map(String::as_str)
            .chain([SYSTEM_NAMESPACE])
        {
            for counted in [Counted::Classes, Counted::Instances] {
                self.readable_in(namespace, counted, &mut census);
            }
        }
        census
    }

    fn readable_in(&self, namespace: &str, counted: Counted, census: &mut Census) {
        for key in self.object_keys(namespace, counted) {
            match key {
                Ok(key) => {
                    census.has(counted);
                    match self.snapshot().record_view(key.record) {
                        Ok(_) => census.reach(counted),
                        Err(error) => census.lose(&error),
                    }
                }
                Err(KeyFault::Malformed(error)) => {
                    census.has(counted);
                    census.lose(&error);
                }
                Err(KeyFault::Index(_)) => census.tear(),
            }
        }
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |tally: &Tally| self.index == IndexState::Whole && tally.is_whole();
        let kinds = [
            (&self.namespaces, "namespace", "namespaces"),
            (&self.classes, "class", "classes"),
            (&self.instances, "instance", "instances"),
        ];
        for (number, (tally, one, many)) in kinds.into_iter().enumerate() {
            f.write_str(if number == 0 { "" } else { ", " })?;
            let noun = |number: u64| if number == 1 { one } else { many };
            let (reached, has) = (Grouped(tally.reached), Grouped(tally.has));
            match self.index {
                _ if whole(tally) => write!(f, "{reached} {}", noun(tally.reached))?,
                IndexState::Missing => write!(f, "{reached} of an unknown number of {many}")?,
                IndexState::Torn => write!(f, "{reached} of at least {has} {}", noun(tally.has))?,
                IndexState::Whole => write!(f, "{reached} of {has} {}", noun(tally.has))?,
            }
        }
        for (number, what) in [(self.hidden, "hidden"), (self.partial, "partial")] {
            if number > 0 {
                write!(f, "; {} {what}", Grouped(number))?;
            }
        }
        if !self.lost.is_empty() {
            let reasons: Vec<String> = self
                .lost
                .iter()
                .map(|(reason, number)| format!("{} by {reason}", Grouped(*number)))
                .collect();
            write!(f, "; lost: {}", reasons.join(", "))?;
        }
        Ok(())
    }
}

/// A number printed with commas between groups of three digits.
#[derive(Debug, Clone, Copy)]
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (number, digit) in digits.chars().enumerate() {
            if number > 0 && (digits.len() - number).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
mod rows {
    use serde::ser::SerializeStruct;
    use serde::{Serialize, Serializer};

    use super::{Census, IndexState, Tally};

    /// A tally in which the number of keys may be unknown.
    #[derive(Serialize)]
    struct Row {
        has: Option<u64>,
        reached: u64,
    }

    impl Serialize for Census {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let row = |tally: &Tally| {
                let has = (self.index != IndexState::Missing).then_some(tally.has);
                Row {
                    has,
                    reached: tally.reached,
                }
            };
            let mut out = serializer.serialize_struct("Census", 7)?;
            out.serialize_field("index", &self.index)?;
            out.serialize_field("namespaces", &row(&self.namespaces))?;
            out.serialize_field("classes", &row(&self.classes))?;
            out.serialize_field("instances", &row(&self.instances))?;
            out.serialize_field("hidden", &self.hidden)?;
            out.serialize_field("partial", &self.partial)?;
            out.serialize_field("lost", &self.lost)?;
            out.end()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::corruption::{Corruption, CorruptionCode};
    use crate::base::site::{FileRole, Site};

    #[test]
    fn numbers_are_said_with_what_is_missing() {
        let tally = |has, reached| Tally { has, reached };
        let mut census = Census {
            namespaces: tally(1, 1),
            classes: tally(6605, 6605),
            ..Census::default()
        };
        assert!(census.is_whole());
        assert_eq!(
            census.to_string(),
            "1 namespace, 6,605 classes, 0 instances"
        );
        census.instances = tally(2514, 2513);
        census.lose(
            &Corruption::new(
                CorruptionCode::PageChecksum,
                Site::file(FileRole::Objects),
                "x",
            )
            .into(),
        );
        census.hidden = 2;
        assert!(!census.is_whole());
        let text = "1 namespace, 6,605 classes, 2,513 of 2,514 instances; 2 hidden; lost: 1 by \
            page.checksum";
        assert_eq!(census.to_string(), text);
        census.tear();
        assert!(
            census
                .to_string()
                .starts_with("1 of at least 1 namespace, "),
            "{census}"
        );
        census.index = IndexState::Missing;
        assert!(
            census
                .to_string()
                .contains("of an unknown number of classes"),
            "{census}"
        );
    }
}

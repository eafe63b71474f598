//! Turns stored objects into the subjects of findings: who, when, where, since when.

use crate::base::filetime::FileTime;
use crate::base::page_no::RecordRef;
use crate::catalog::{Catalog, StoredClass, StoredInstance};
use crate::cim::class::Setting;
use crate::cim::name::Name;
use crate::cim::path::ObjectPath;

use super::super::people::{People, sid_in};
use super::super::place::Place;
use super::super::runs::{Runs, fills_by_itself, is_of_a_language};
use super::finding::{FirstSeen, Kind, Subject};

/// Facts about a repository as a whole.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) catalog: Catalog,
    pub(super) people: People,
    pub(super) runs: Runs,
    /// The number and the objects of each generation on disk, newest first, the current one first
    /// of all. Empty where generations have no numbers.
    pub(super) generations: Vec<(u32, Catalog)>,
}

impl Look {
    /// An instance as a subject.
    pub(super) fn instance(
        &self,
        kind: Kind,
        namespace: &str,
        stored: &StoredInstance,
        reference: Option<String>,
    ) -> Subject {
        let instance = &stored.instance;
        let path = match instance.path() {
            Ok(path) => path.in_namespace(namespace).text(),
            Err(_) => format!(
                "{namespace}:{} {}",
                instance.class().name().as_str(),
                stored.record
            ),
        };
        let properties = instance.values();
        let properties =
            properties.map(|(property, value)| (property.name.clone(), value.cloned()));
        let mut subject = self.subject(kind, namespace, path, stored.stamp, stored.record);
        subject.class = instance.class().name().clone();
        subject.reference = reference;
        subject.creator = sid_in(instance.get("CreatorSID").ok().flatten());
        subject.creator_name = subject
            .creator
            .as_ref()
            .and_then(|sid| self.people.name_of(sid).map(str::to_owned));
        subject.properties = properties.collect();
        subject
    }

    /// A class as a subject, with its own defaults.
    pub(super) fn class(&self, namespace: &str, stored: &StoredClass) -> Subject {
        let name = stored.class.name();
        let path = format!("{namespace}:{}", name.as_str());
        let declared = stored.class.declaration().properties.iter();
        let defaults = declared.filter_map(|property| match &property.default {
            Setting::Value(value) => Some((property.name.clone(), Some(value.clone()))),
            _ => None,
        });
        let mut subject = self.subject(Kind::Class, namespace, path, stored.stamp, stored.record);
        subject.class = name.clone();
        subject.properties = defaults.collect();
        subject
    }

    fn subject(
        &self,
        kind: Kind,
        namespace: &str,
        path: String,
        stamp: FileTime,
        record: RecordRef,
    ) -> Subject {
        Subject {
            kind,
            namespace: namespace.to_owned(),
            class: Name::new(""),
            path,
            reference: None,
            stamp,
            run: self.runs.of_stamp(stamp.0).map(|run| run.number),
            record,
            place: Place::of(self.catalog.snapshot(), record),
            creator: None,
            creator_name: None,
            properties: Vec::new(),
        }
    }

    /// True if a subject was put in a late run, where little is put.
    pub(super) fn is_late(&self, subject: &Subject) -> bool {
        let run = self.runs.of_stamp(subject.stamp.0);
        let is_busy = fills_by_itself(&subject.namespace) || is_of_a_language(&subject.namespace);
        !is_busy && run.is_some_and(|run| run.is_late())
    }

    /// The oldest generation that has an object as it is now, with every one after it.
    pub(super) fn first_seen(&self, subject: &Subject) -> Option<FirstSeen> {
        let mut first = None;
        for (number, (generation, catalog)) in self.generations.iter().enumerate() {
            if number > 0 && !has(catalog, subject) {
                break;
            }
            let or_earlier = number + 1 == self.generations.len();
            first = Some(FirstSeen {
                generation: *generation,
                or_earlier,
            });
        }
        first
    }
}

/// True if a generation has an object with the same stamp.
fn has(catalog: &Catalog, subject: &Subject) -> bool {
    let stamp = match subject.kind {
        Kind::Class => {
            let class = catalog.class(&subject.namespace, subject.class.as_str());
            class.ok().flatten().map(|class| class.stamp)
        }
        _ => {
            let path = subject.path.parse::<ObjectPath>().ok();
            let found = path.and_then(|path| catalog.instance(&subject.namespace, &path).ok());
            found.flatten().map(|found| found.stamp)
        }
    };
    stamp == Some(subject.stamp)
}

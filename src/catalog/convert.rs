//! Conversion of the whole content of a repository into a new one. It turns dialect 2.1 into 2.2,
//! and rebuilds a repository from nothing but its objects.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::Importer;
use super::create::build_from;
use super::write::system;
use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::page_no::RecordRef;
use crate::base::progress::{Monitor, Observer, Phase};
use crate::base::rule::Rule;
use crate::base::site::{FileRole, Site};
use crate::catalog::{
    Catalog, Census, Counted, IndexState, KeyFault, ObjectKey, StoredClass, StoredInstance,
};
use crate::cim::name::to_upper;
use crate::format::index::object_key::SYSTEM_NAMESPACE;
use crate::storage::Directory;

/// Result of a conversion.
#[derive(Debug, Default)]
pub struct Converted {
    /// The objects named by the keys of the source, and how many of them were copied. `ROOT` counts
    /// among the namespaces, and the instances that represent namespaces among the instances.
    pub census: Census,
    /// The objects that could not be read or stored, with the reasons.
    pub left_out: Vec<(String, Error)>,
}

/// Creates a repository of dialect 2.2, in an existing empty directory, from the objects of another
/// one. Time stamps are kept. The files are no more accessible than those of the source. An object
/// that cannot be read is left out and reported. Until the conversion is complete there is no
/// repository.
///
/// # Errors
/// The errors of [`build`](super::create::build).
pub fn convert(from: &Catalog, to: &Directory, observer: &dyn Observer) -> Result<Converted> {
    let counts = from.snapshot().counts();
    let monitor = Monitor::new(
        observer,
        Phase::Convert,
        counts.class_definitions.saturating_add(counts.instances),
    );
    let mut converted = Converted {
        census: Census::of(from),
        left_out: Vec::new(),
    };
    let protection = from.snapshot().protection();
    // The missing part of an incomplete class cannot be invented.
    let from = from.whole_only().each_once();
    build_from(to, &protection, |importer| {
        let mut copy = Copy::new(from, importer, &mut converted, &monitor);
        copy.everything()?;
        // A repository has at least one key, and one without a class is not a copy of anything.
        match converted.census.has_objects() {
            true => Ok(()),
            false => Err(nothing_left(&mut converted)),
        }
    })?;
    Ok(converted)
}

/// The error for a source in which nothing could be read.
fn nothing_left(converted: &mut Converted) -> Error {
    match converted.left_out.pop() {
        _ if converted.census.index == IndexState::Missing => {
            let what = "without it no key says which objects there are";
            Corruption::new(
                CorruptionCode::FileMissing,
                Site::file(FileRole::Index),
                what,
            )
            .into()
        }
        Some((_, why)) => why,
        None => Error::Unsupported(
            "there is nothing to convert: no key of the index names an object".into(),
        ),
    }
}

/// Copies everything in existing namespaces, each of which comes after its ancestors.
pub(super) fn copy_namespaces(
    from: &Catalog,
    importer: &mut Importer<'_>,
    namespaces: &[String],
    monitor: &Monitor<'_>,
) -> Result<Converted> {
    let mut converted = Converted::default();
    let from = from.whole_only().each_once();
    Copy::new(from, importer, &mut converted, monitor).content_of(namespaces)?;
    Ok(converted)
}

struct Copy<'c, 'i> {
    from: Catalog,
    /// The source for the second pass over instances, which meets all of them again.
    again: Catalog,
    importer: &'c mut Importer<'i>,
    converted: &'c mut Converted,
    /// Namespaces that no namespace names and from which nothing has been copied yet. They are
    /// created by their first object.
    empty: BTreeSet<String>,
    monitor: &'c Monitor<'c>,
}

impl<'c, 'i> Copy<'c, 'i> {
    fn new(
        from: Catalog,
        importer: &'c mut Importer<'i>,
        converted: &'c mut Converted,
        monitor: &'c Monitor<'c>,
    ) -> Self {
        Self {
            again: from.each_once(),
            from,
            importer,
            converted,
            empty: BTreeSet::new(),
            monitor,
        }
    }
}

impl Copy<'_, '_> {
    /// Copies the system classes, the tree of namespaces, all classes (since instances refer across
    /// namespaces), and then the instances.
    fn everything(&mut self) -> Result<()> {
        self.classes(SYSTEM_NAMESPACE)?;
        self.instances(SYSTEM_NAMESPACE, true)?;
        self.instances(SYSTEM_NAMESPACE, false)?;
        let namespaces = self.namespaces()?;
        self.content_of(&namespaces)
    }

    /// Copies the content of namespaces, each of which comes after its ancestors.
    fn content_of(&mut self, namespaces: &[String]) -> Result<()> {
        for namespace in namespaces {
            self.classes(namespace)?;
            self.instances(namespace, true)?;
        }
        // Every instance is met a second time, again once each.
        self.from = self.from.each_once();
        for namespace in namespaces {
            self.instances(namespace, false)?;
        }
        for namespace in std::mem::take(&mut self.empty) {
            let none = "nothing that lies in it can be read, and no namespace names it";
            self.census().namespaces.reached -= 1;
            self.converted
                .left_out
                .push((namespace, Error::rule(Rule::InvalidNamespace, none)));
        }
        Ok(())
    }

    /// The namespaces whose content is copied. A namespace whose path is unknown cannot be;
    /// everything in it is lost.
    fn namespaces(&mut self) -> Result<Vec<String>> {
        let found = self
            .from
            .all_namespaces_while(&mut || self.monitor.check())?;
        self.census().has_namespaces(&found);
        if found.strays != [0, 0] {
            let [classes, instances] = found.strays;
            let detail = format!("{classes} of classes and {instances} of instances");
            let corruption = Corruption::new(
                CorruptionCode::KeyShape,
                Site::file(FileRole::Index),
                detail,
            );
            self.converted.left_out.push((
                "keys that lie in no namespace".to_owned(),
                corruption.into(),
            ));
        }
        let mut namespaces = Vec::new();
        for namespace in found.tree {
            match namespace {
                Ok(namespace) => namespaces.push(namespace),
                // It is met again among the instances.
                Err(Error::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
        }
        for hidden in found.hidden {
            self.census().hidden += 1;
            if hidden.is_named {
                self.empty.insert(hidden.path.clone());
                namespaces.push(hidden.path);
            } else {
                self.lose_namespace(&hidden.path)?;
            }
        }
        namespaces
            .iter()
            .for_each(|_| self.census().reach(Counted::Namespaces));
        Ok(namespaces)
    }

    fn lose_namespace(&mut self, namespace: &str) -> Result<()> {
        let error = || {
            Error::rule(
                Rule::InvalidNamespace,
                "no name is known of it, as no namespace names it",
            )
        };
        for counted in [Counted::Classes, Counted::Instances] {
            for key in self.keys(namespace, counted)? {
                let what = self.from.name_of_key(namespace, &key);
                self.lose(what, error());
            }
        }
        self.converted
            .left_out
            .push((namespace.to_owned(), error()));
        Ok(())
    }

    const fn census(&mut self) -> &mut Census {
        &mut self.converted.census
    }

    /// Counts an object as copied.
    fn reach(&mut self, namespace: &str, counted: Counted) {
        self.census().reach(counted);
        self.empty.remove(namespace);
    }

    /// Counts an object as left out.
    fn lose(&mut self, what: String, error: Error) {
        self.census().lose(&error);
        self.converted.left_out.push((what, error));
    }

    /// The keys of the objects of a namespace, each of them counted.
    fn keys(&mut self, namespace: &str, counted: Counted) -> Result<Vec<ObjectKey>> {
        let mut found = Vec::new();
        for key in self.from.object_keys(namespace, counted) {
            match key {
                Ok(key) => {
                    self.census().has(counted);
                    found.push(key);
                }
                Err(KeyFault::Malformed(error)) => {
                    self.census().has(counted);
                    self.lose(format!("a key of {namespace}"), error);
                }
                Err(KeyFault::Index(error @ Error::Corrupt(_))) => {
                    self.census().tear();
                    self.converted
                        .left_out
                        .push((format!("a part of the index of {namespace}"), error));
                }
                Err(KeyFault::Index(error)) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Records damage, and objects that cannot be stored. Any other error ends the conversion.
    fn keep<T>(
        &mut self,
        what: impl FnOnce(&Self) -> String,
        result: Result<T>,
    ) -> Result<Option<T>> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(error @ (Error::Corrupt(_) | Error::Rule { .. })) => {
                let what = what(self);
                self.lose(what, error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn classes(&mut self, namespace: &str) -> Result<()> {
        let mut classes = Vec::new();
        for key in self.keys(namespace, Counted::Classes)? {
            self.monitor.check()?;
            let class = self.from.class_of_key(namespace, &key);
            let class = self.keep(|copy| copy.from.name_of_key(namespace, &key), class)?;
            classes.extend(class.map(|class| (class, key)));
        }
        // Superclasses in this namespace come before their subclasses. The depth of a class is the
        // length of its chain. Of several classes with one name, the one found by name comes first.
        let is_misplaced = |class: &StoredClass, key: &ObjectKey| {
            self.from.keys().hash(class.class.name().as_str()) != key.class
        };
        classes.sort_by_key(|(class, key)| (class.class.level(), is_misplaced(class, key)));
        let mut names = HashSet::new();
        for (class, _) in classes {
            let is_first = names.insert(class.class.name().clone());
            self.class(namespace, &class, is_first)?;
        }
        Ok(())
    }

    fn class(&mut self, namespace: &str, class: &Arc<StoredClass>, is_first: bool) -> Result<()> {
        self.monitor.advance(1)?;
        let declaration = class.class.declaration();
        let put = match is_first {
            true => self
                .importer
                .put_class(namespace, declaration, Some(class.stamp))
                .map(drop),
            false => Err(twice(class.record)),
        };
        let put = self.keep(
            |_| format!("{namespace}:{}", declaration.name.as_str()),
            put,
        )?;
        put.into_iter()
            .for_each(|()| self.reach(namespace, Counted::Classes));
        Ok(())
    }

    /// Copies the instances that represent namespaces, or all others. The first of these passes
    /// counts; the second reports the ones that cannot be read.
    fn instances(&mut self, namespace: &str, of_namespaces: bool) -> Result<()> {
        let keys = match of_namespaces {
            true => self.keys(namespace, Counted::Instances)?,
            false => self
                .again
                .object_keys(namespace, Counted::Instances)
                .filter_map(Result::ok)
                .collect(),
        };
        let (mut taken, mut misplaced) = (HashSet::new(), Vec::new());
        for key in keys {
            self.monitor.check()?;
            let stored = match self.from.instance_of_key(namespace, &key) {
                Err(Error::Corrupt(_)) if of_namespaces => continue,
                stored => self.keep(|copy| copy.from.name_of_key(namespace, &key), stored)?,
            };
            let Some(stored) = stored else { continue };
            if stored.instance.class().is_a(system::NAMESPACE) != of_namespaces {
                continue;
            }
            // Of several instances with one path, the one found by path comes first.
            let hash = stored
                .instance
                .key_text()
                .ok()
                .map(|text| self.from.keys().hash(&text));
            match hash == key.instance {
                true => self.instance(namespace, &stored, &mut taken)?,
                false => misplaced.push(key),
            }
        }
        for key in misplaced {
            let stored = self.from.instance_of_key(namespace, &key)?;
            self.instance(namespace, &stored, &mut taken)?;
        }
        Ok(())
    }

    /// Copies an instance, unless one with its key has been copied already.
    fn instance(
        &mut self,
        namespace: &str,
        stored: &StoredInstance,
        taken: &mut HashSet<String>,
    ) -> Result<()> {
        self.monitor.advance(1)?;
        let class = stored.instance.class();
        let key_class = class
            .key_class()
            .map(|class| class.name().as_str().to_owned())
            .unwrap_or_default();
        let key = stored.instance.key_text().unwrap_or_default();
        let put = match taken.insert(to_upper(&format!("{key_class}.{key}"))) {
            true => self
                .importer
                .put_instance(namespace, &stored.instance, Some(stored.stamp))
                .map(drop),
            false => Err(twice(stored.record)),
        };
        let what = |_: &Self| match stored.instance.path() {
            Ok(path) => path.in_namespace(namespace).text(),
            Err(_) => format!("{namespace}:{} without key", class.name().as_str()),
        };
        let put = self.keep(what, put)?;
        put.into_iter()
            .for_each(|()| self.reach(namespace, Counted::Instances));
        Ok(())
    }
}

/// The error for a second object with the same path, since a repository can hold only one.
fn twice(record: RecordRef) -> Error {
    Error::rule(
        Rule::AlreadyExists,
        format!("another object has the same path; this one lies in record {record}"),
    )
}

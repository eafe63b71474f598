//! All content of a repository into a new one: how dialect 2.1 becomes 2.2, and how a repository is written anew from nothing but
//! what its objects say.

use super::Importer;
use super::create::build_from;
use crate::base::error::{Error, Result};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::catalog::{Catalog, StoredClass};
use crate::format::object_key::SYSTEM_NAMESPACE;
use crate::storage::Directory;

use std::collections::HashSet;
use std::sync::Arc;

/// What was taken over.
#[derive(Debug, Default)]
pub struct Converted {
    /// Namespaces below `ROOT`, and `ROOT`.
    pub namespaces: u64,
    /// Classes, those of the system among them.
    pub classes: u64,
    /// Instances, those that stand for namespaces among them.
    pub instances: u64,
    /// What could not be read or stored, and is left out: where, and why.
    pub left_out: Vec<(String, Error)>,
}

/// Makes a new repository of dialect 2.2, in an existing empty directory, with everything that the objects of another say. Time
/// stamps are kept. The files are no more readable than those of the other one. An object that cannot be read is left out and told; until all is done there is no repository.
///
/// # Errors
/// As [`build`](super::create::build).
pub fn convert(from: &Catalog, to: &Directory, observer: &dyn Observer) -> Result<Converted> {
    let counts = from.snapshot().counts();
    let monitor = Monitor::new(observer, Phase::Convert, counts.class_definitions.saturating_add(counts.instances));
    let mut converted = Converted::default();
    build_from(to, &from.snapshot().protection(), |importer| {
        let mut copy = Copy { from, importer, converted: &mut converted, monitor: &monitor };
        copy.everything()
    })?;
    Ok(converted)
}

struct Copy<'c, 'i> {
    from: &'c Catalog,
    importer: &'c mut Importer<'i>,
    converted: &'c mut Converted,
    monitor: &'c Monitor<'c>,
}

impl Copy<'_, '_> {
    /// System classes; the tree of namespaces; all classes, as instances refer across namespaces; then instances.
    fn everything(&mut self) -> Result<()> {
        self.classes(SYSTEM_NAMESPACE)?;
        let mut namespaces = Vec::new();
        for namespace in self.from.namespaces() {
            match namespace {
                Ok(namespace) => namespaces.push(namespace),
                // It is met again among the instances.
                Err(Error::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.converted.namespaces = namespaces.len() as u64;
        for namespace in &namespaces {
            self.classes(namespace)?;
            self.instances(namespace, true)?;
        }
        for namespace in &namespaces {
            self.instances(namespace, false)?;
        }
        Ok(())
    }

    /// Keeps what is damage or cannot be stored; ends with everything else.
    fn keep<T>(&mut self, what: impl FnOnce() -> String, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(error @ (Error::Corrupt(_) | Error::Rule { .. })) => {
                self.converted.left_out.push((what(), error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn classes(&mut self, namespace: &str) -> Result<()> {
        let mut classes = Vec::new();
        for class in self.from.classes(namespace) {
            classes.extend(self.keep(|| format!("a class of {namespace}"), class)?);
        }
        // Superclasses of this namespace come before what is derived from them; each is as deep as its chain is long.
        classes.sort_by_key(|class| class.class.level());
        for class in classes {
            self.class(namespace, &class)?;
        }
        Ok(())
    }

    fn class(&mut self, namespace: &str, class: &Arc<StoredClass>) -> Result<()> {
        self.monitor.advance(1)?;
        let declaration = class.class.declaration();
        let put = self.importer.put_class(namespace, declaration, Some(class.stamp));
        let what = || format!("{namespace}:{}", declaration.name.as_str());
        self.converted.classes += u64::from(self.keep(what, put)?.is_some());
        Ok(())
    }

    /// The instances that stand for namespaces, or all others.
    fn instances(&mut self, namespace: &str, of_namespaces: bool) -> Result<()> {
        const NAMESPACE: &str = "__NAMESPACE";
        let mut seen = HashSet::new();
        for stored in self.from.all_instances(namespace) {
            let stored = match stored {
                // Both rounds meet it; one tells.
                Err(Error::Corrupt(_)) if of_namespaces => continue,
                stored => self.keep(|| format!("an instance of {namespace}"), stored)?,
            };
            let Some(stored) = stored else { continue };
            let is_namespace = stored.instance.class().is_a(NAMESPACE);
            if is_namespace != of_namespaces || !seen.insert(stored.record) {
                continue;
            }
            self.monitor.advance(1)?;
            let put = self.importer.put_instance(namespace, &stored.instance, Some(stored.stamp));
            let what = || match stored.instance.path() {
                Ok(path) => path.in_namespace(namespace).text(),
                Err(_) => format!("{namespace}:{} without key", stored.instance.class().name().as_str()),
            };
            self.converted.instances += u64::from(self.keep(what, put)?.is_some());
        }
        Ok(())
    }
}

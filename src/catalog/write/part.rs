//! Replacement of a part of this repository by the same part of another: a namespace with
//! everything below it, a class with its subclasses and their instances, or one instance.
//!
//! The present content of the part is removed first, so that the result equals the other
//! repository. Missing prerequisites are copied as well: namespaces above, superclasses, the class
//! of an instance. All of it is one transaction.

use std::sync::Arc;

use super::{Changes, Deletion, Importer};
use crate::base::error::{Error, Result};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::base::rule::Rule;
use crate::catalog::convert::{Converted, copy_namespaces};
use crate::catalog::{Catalog, Namespaces, ROOT, StoredClass, StoredInstance};
use crate::cim::name;
use crate::cim::path::ObjectPath;

use super::system;

/// A part of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A namespace, not ROOT, with everything in it and below it.
    Namespace(String),
    /// A class with its subclasses and the instances of all of them.
    Class {
        /// The namespace of the class.
        namespace: String,
        /// Its name.
        class: String,
    },
    /// An instance.
    Instance {
        /// The namespace of the instance.
        namespace: String,
        /// Its path in that namespace.
        path: ObjectPath,
    },
}

/// Result of copying a part.
#[derive(Debug, Default)]
pub struct TakenPart {
    /// The former content of the part, which was removed; `None` if there was none.
    pub replaced: Option<Deletion>,
    /// The namespaces of the part, each after its ancestors.
    pub namespaces: Vec<String>,
    /// Number of classes of the part that were stored.
    pub classes: u64,
    /// Number of instances of the part that were stored, including the one that represents a
    /// namespace.
    pub instances: u64,
    /// Paths of the missing prerequisites that were copied: namespaces above, and classes.
    pub brought: Vec<String>,
    /// The objects that could not be read or stored, with the reasons.
    pub left_out: Vec<(String, Error)>,
}

impl Importer<'_> {
    /// Replaces a part of this repository by that of another.
    ///
    /// # Errors
    /// Returns [`Error::Rule`] if the other repository has no such part ([`Rule::NotFound`]) or the
    /// part cannot be replaced; nothing has changed then. Returns [`Error::Corrupt`],
    /// [`Error::Io`], or [`Error::Cancelled`] if the observer stops; after these the transaction
    /// can only be rolled back.
    pub fn take_part(
        &mut self,
        from: &Catalog,
        part: &Part,
        observer: &dyn Observer,
    ) -> Result<TakenPart> {
        let monitor = Monitor::new(observer, Phase::Restore, 0);
        match part {
            Part::Namespace(namespace) => self.take_namespace(from, namespace, &monitor),
            Part::Class { namespace, class } => self.take_class(from, namespace, class, &monitor),
            Part::Instance { namespace, path } => self.take_instance(from, namespace, path),
        }
    }

    fn take_namespace(
        &mut self,
        from: &Catalog,
        namespace: &str,
        monitor: &Monitor<'_>,
    ) -> Result<TakenPart> {
        let namespace = found_namespace(from, namespace)?;
        let Some((parent, _)) = namespace.rsplit_once('\\') else {
            let text = "ROOT holds everything: restore the whole backup";
            return Err(Error::rule(Rule::ReadOnly, text));
        };
        let below = at_or_below(from, &namespace);
        let mut changes = self.changes();
        let mut replaced = None;
        if changes.now().has_namespace(&namespace)? {
            replaced = Some(changes.deletion_of_namespace(&namespace)?);
            changes.delete_namespace(&namespace)?;
        }
        let mut brought = Vec::new();
        changes.bring_namespace(from, parent, &mut brought)?;
        // Done before namespaces with these names exist.
        changes.find_dangling()?;
        self.put_namespace(from, &namespace)?;
        let Converted { census, left_out } = copy_namespaces(from, self, &below, monitor)?;
        self.changes().attach_all_referrers(&below)?;
        Ok(TakenPart {
            replaced,
            namespaces: below,
            classes: census.classes.reached,
            // Includes the instance that represents the namespace.
            instances: census.instances.reached + 1,
            brought,
            left_out,
        })
    }

    /// Stores the instance that represents a namespace, as in the other repository, or else one
    /// with only its name.
    fn put_namespace(&mut self, from: &Catalog, namespace: &str) -> Result<()> {
        match standing_for(from, namespace) {
            Some((parent, stored)) => {
                self.put_instance(parent, &stored.instance, Some(stored.stamp))?;
                self.changes().touch_schema();
                Ok(())
            }
            None => self.changes().create_namespace(namespace, None),
        }
    }

    fn take_class(
        &mut self,
        from: &Catalog,
        namespace: &str,
        class: &str,
        monitor: &Monitor<'_>,
    ) -> Result<TakenPart> {
        let namespace = found_namespace(from, namespace)?;
        let from = from.whole_only();
        let first = need_class(&from, &namespace, class)?;
        if first.is_system {
            return Err(Error::rule(
                Rule::ReadOnly,
                format!("{class} is a class of the system"),
            ));
        }
        let mut taken = TakenPart {
            namespaces: vec![namespace.clone()],
            ..TakenPart::default()
        };
        let mut changes = self.changes();
        changes.bring_namespace(&from, &namespace, &mut taken.brought)?;
        let own = changes.class(&namespace, class)?;
        if own.is_some() {
            taken.replaced = Some(changes.deletion_of_class(&namespace, class)?);
            changes.delete_class(&namespace, class)?;
        }
        self.bring_superclass(&from, &namespace, &first, &mut taken.brought)?;
        let derived = from.derived_classes(&namespace, class);
        for stored in std::iter::once(Ok(first)).chain(derived) {
            monitor.check()?;
            let what = format!("a class derived from {namespace}:{class}");
            let Some(stored) = keep(&mut taken, what, stored)? else {
                continue;
            };
            let name = stored.class.name().as_str();
            let put = self.put_class(&namespace, stored.class.declaration(), Some(stored.stamp));
            if keep(&mut taken, format!("{namespace}:{name}"), put)?.is_none() {
                continue;
            }
            taken.classes += 1;
            for stored in from.instances(&namespace, name) {
                monitor.advance(1)?;
                self.take_stored(&namespace, name, stored, &mut taken)?;
            }
        }
        Ok(taken)
    }

    fn take_stored(
        &mut self,
        namespace: &str,
        class: &str,
        stored: Result<StoredInstance>,
        taken: &mut TakenPart,
    ) -> Result<()> {
        let put = stored
            .and_then(|stored| self.put_instance(namespace, &stored.instance, Some(stored.stamp)));
        let put = keep(taken, format!("an instance of {namespace}:{class}"), put)?;
        taken.instances += u64::from(put.is_some());
        Ok(())
    }

    fn take_instance(
        &mut self,
        from: &Catalog,
        namespace: &str,
        path: &ObjectPath,
    ) -> Result<TakenPart> {
        let namespace = found_namespace(from, namespace)?;
        let from = from.whole_only();
        let found = from.instance(&namespace, path)?;
        let stored = found.ok_or_else(|| missing(format!("{namespace}:{}", path.text())))?;
        let name = stored.instance.class().name().as_str().to_owned();
        if stored.instance.class().is_a(system::NAMESPACE) {
            let text = format!("{} stands for a namespace: restore that", path.text());
            return Err(Error::rule(Rule::ReadOnly, text));
        }
        let mut taken = TakenPart {
            namespaces: vec![namespace.clone()],
            ..TakenPart::default()
        };
        self.changes()
            .bring_namespace(&from, &namespace, &mut taken.brought)?;
        let class = need_class(&from, &namespace, &name)?;
        self.bring_class(&from, &namespace, &class, &mut taken.brought)?;
        let mut changes = self.changes();
        if changes.now().instance(&namespace, path)?.is_some() {
            taken.replaced = Some(changes.deletion_of_instance(&namespace, path)?);
            changes.delete_instance(&namespace, path)?;
        }
        self.put_instance(&namespace, &stored.instance, Some(stored.stamp))?;
        taken.instances = 1;
        Ok(taken)
    }

    /// Stores a missing class and its superclasses.
    fn bring_class(
        &mut self,
        from: &Catalog,
        namespace: &str,
        class: &StoredClass,
        brought: &mut Vec<String>,
    ) -> Result<()> {
        let name = class.class.name().as_str();
        if class.is_system || self.changes().class(namespace, name)?.is_some() {
            return Ok(());
        }
        self.bring_superclass(from, namespace, class, brought)?;
        self.put_class(namespace, class.class.declaration(), Some(class.stamp))?;
        brought.push(format!("{namespace}:{name}"));
        Ok(())
    }

    /// Stores the missing superclasses of a class. Their chain is short: at most `MAX_CLASS_DEPTH`.
    fn bring_superclass(
        &mut self,
        from: &Catalog,
        namespace: &str,
        class: &StoredClass,
        brought: &mut Vec<String>,
    ) -> Result<()> {
        let Some(superclass) = &class.class.declaration().superclass else {
            return Ok(());
        };
        let above = need_class(from, namespace, superclass.as_str())?;
        self.bring_class(from, namespace, &above, brought)
    }
}

impl Changes<'_, '_> {
    /// Creates a missing namespace and those above it, with their descriptors from the other
    /// repository.
    fn bring_namespace(
        &mut self,
        from: &Catalog,
        namespace: &str,
        brought: &mut Vec<String>,
    ) -> Result<()> {
        if self.now().has_namespace(namespace)? {
            return Ok(());
        }
        if let Some((parent, _)) = namespace.rsplit_once('\\') {
            self.bring_namespace(from, parent, brought)?;
        }
        let security = from.security_of(namespace)?;
        self.create_namespace(namespace, Some(&security.descriptor))?;
        brought.push(namespace.to_owned());
        Ok(())
    }

    fn attach_all_referrers(&mut self, namespaces: &[String]) -> Result<()> {
        namespaces
            .iter()
            .try_for_each(|namespace| self.change(|changes| changes.attach_referrers(namespace)))
    }
}

/// Records damage, and objects that cannot be stored. Any other error is returned.
fn keep<T>(taken: &mut TakenPart, what: String, result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error @ (Error::Corrupt(_) | Error::Rule { .. })) => {
            taken.left_out.push((what, error));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A namespace and those below it, each after its ancestors. One that cannot be read is met again,
/// and reported, among the instances of its parent.
fn at_or_below(from: &Catalog, namespace: &str) -> Vec<String> {
    let Namespaces { tree, hidden, .. } = from.all_namespaces();
    let hidden = hidden
        .into_iter()
        .filter(|hidden| hidden.is_named)
        .map(|hidden| hidden.path);
    let is_inside = |path: &String| {
        let (front, rest) = path.split_at_checked(namespace.len()).unwrap_or((path, ""));
        name::same(front, namespace) && (rest.is_empty() || rest.starts_with('\\'))
    };
    tree.into_iter()
        .flatten()
        .chain(hidden)
        .filter(is_inside)
        .collect()
}

/// The instance of `__NAMESPACE` that represents a namespace, and the namespace that contains it.
fn standing_for<'n>(from: &Catalog, namespace: &'n str) -> Option<(&'n str, StoredInstance)> {
    let (parent, name) = namespace.rsplit_once('\\')?;
    let has_name = |stored: &StoredInstance| {
        let own = stored.instance.text(system::NAMESPACE_NAME);
        own.is_some_and(|own| name::same(own, name))
    };
    let stored = from
        .instances(parent, system::NAMESPACE)
        .flatten()
        .find(has_name)?;
    Some((parent, stored))
}

/// A namespace in the spelling of the other repository.
fn found_namespace(from: &Catalog, namespace: &str) -> Result<String> {
    let found = from
        .find_namespace(namespace)?
        .filter(|found| name::same(found.split('\\').next().unwrap_or_default(), ROOT));
    found.ok_or_else(|| missing(format!("namespace {namespace}")))
}

fn need_class(from: &Catalog, namespace: &str, class: &str) -> Result<Arc<StoredClass>> {
    from.class(namespace, class)?
        .ok_or_else(|| missing(format!("{namespace}:{class}")))
}

fn missing(what: String) -> Error {
    Error::rule(Rule::NotFound, format!("{what} is not there to be taken"))
}

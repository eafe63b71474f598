//! Objects of a repository as MOF, one after the other: what compiles to equal content again.
//!
//! Order: namespaces as they are given, in each the classes so that a superclass comes first (else
//! by name), then the instances by class and path. An object is read, printed and forgotten; what
//! stays in memory for a namespace is names.
//!
//! Not printed: `__thisNAMESPACE`, whose descriptor stands in the qualifier `NamespaceSecuritySDDL`
//! of the namespace's own instance where it is not what a new namespace gets; `__SystemSecurity`
//! where it has no qualifier, since every namespace has one.

mod order;
mod security;
mod unsaid;

use std::collections::{HashMap, HashSet};

use crate::base::error::Error;
use crate::catalog::{
    Catalog, Census, Counted, KeyFault, NAMESPACE_CLASS, ObjectKey, ROOT, StoredClass,
    StoredInstance,
};
use crate::cim::name::{self, Name};
use crate::format::name_hash::NameHash;
use crate::format::security::descriptor::SecurityDescriptor;
use crate::text::mof::{Unsaid, literal_text, print_class, print_instance};

/// Where the text goes, and what is said of it.
pub trait Sink {
    /// Why nothing more can be taken.
    type Error;

    /// Takes a piece of the text: whole lines.
    ///
    /// # Errors
    /// The error that ends the export.
    fn text(&mut self, text: &str) -> Result<(), Self::Error>;

    /// Takes something that the text does not say of an object.
    ///
    /// # Errors
    /// The error that ends the export.
    fn unsaid(&mut self, object: &str, unsaid: &Unsaid) -> Result<(), Self::Error>;

    /// Takes the reason why an object, or a part of the index, cannot be read.
    ///
    /// # Errors
    /// The error that ends the export.
    fn lost(&mut self, object: &str, error: &Error) -> Result<(), Self::Error>;
}

/// Prints the objects of namespaces as MOF: all, or a class with what is derived from it and the
/// instances of these. `census` counts them against the keys of the index. Returns whether there is
/// anything of the kind: without `class`, always.
///
/// # Errors
/// Those of the sink alone: what cannot be read is handed to it.
pub fn export_mof<S: Sink>(
    catalog: &Catalog,
    namespaces: &[String],
    class: Option<&str>,
    census: &mut Census,
    sink: &mut S,
) -> Result<bool, S::Error> {
    sink.text(
        "// Objects of a CIM repository. `cimrepo compile --exact` stores them as they are, but for\n\
         // the times at which they were written.\n",
    )?;
    let mut export = Export {
        catalog: catalog.each_once(),
        census,
        sink,
        descriptors: HashMap::new(),
    };
    if class.is_none() && namespaces.iter().any(|path| name::same(path, ROOT)) {
        export.check_system_classes()?;
    }
    let mut is_there = class.is_none();
    for namespace in namespaces {
        is_there |= export.namespace(namespace, class)?;
    }
    Ok(is_there)
}

struct Export<'e, S> {
    catalog: Catalog,
    census: &'e mut Census,
    sink: &'e mut S,
    /// The descriptors that a compile gives to the namespaces printed so far.
    descriptors: HashMap<String, SecurityDescriptor>,
}

impl<S: Sink> Export<'_, S> {
    fn namespace(&mut self, namespace: &str, class: Option<&str>) -> Result<bool, S::Error> {
        self.census.reach(Counted::Namespaces);
        let family = match class {
            None => None,
            Some(class) => match self.family(namespace, class)? {
                None => return Ok(false),
                family => family,
            },
        };

        let path = literal_text(&format!(r"\\.\{namespace}"));
        self.sink
            .text(&format!("\n// {path}\n#pragma namespace({path})\n"))?;
        self.check_namespace(namespace)?;
        self.check_root(namespace)?;
        self.classes(namespace, family.as_ref())?;
        self.instances(namespace, family.as_ref())?;
        Ok(true)
    }

    /// The hashes of the names of a class and of what is derived from it; `None` where it is not.
    fn family(
        &mut self,
        namespace: &str,
        class: &str,
    ) -> Result<Option<HashSet<NameHash>>, S::Error> {
        match self.catalog.class(namespace, class) {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(error) => {
                self.sink.lost(&format!("{namespace}:{class}"), &error)?;
                return Ok(None);
            }
        }
        let mut family = HashSet::from([self.catalog.keys().hash(class)]);
        for derived in self.catalog.derived_classes(namespace, class) {
            match derived {
                Ok(class) => {
                    _ = family.insert(self.catalog.keys().hash(class.class.name().as_str()))
                }
                Err(error) => self.sink.lost(namespace, &error)?,
            }
        }
        Ok(Some(family))
    }

    fn classes(
        &mut self,
        namespace: &str,
        family: Option<&HashSet<NameHash>>,
    ) -> Result<(), S::Error> {
        let mut heads = Vec::new();
        for key in self.keys(namespace, Counted::Classes, family)? {
            let head = self.catalog.class_head_of_key(&key);
            if let Some((name, superclass)) = self.read(namespace, &key, head)? {
                heads.push(order::Head {
                    name,
                    superclass,
                    key,
                });
            }
        }
        for key in order::superclasses_first(heads) {
            let stored = self.catalog.class_of_key(namespace, &key);
            if let Some(stored) = self.read(namespace, &key, stored)? {
                self.class(namespace, &stored)?;
            }
        }
        Ok(())
    }

    fn class(&mut self, namespace: &str, stored: &StoredClass) -> Result<(), S::Error> {
        self.census.reach(Counted::Classes);
        let path = || format!("{namespace}:{}", stored.class.name().as_str());
        if let Some(damage) = &stored.damage {
            // Its text would not compile, as its superclass is lost; what it declares is shown all
            // the same.
            self.census.partial += 1;
            self.sink.lost(&path(), &Error::from((**damage).clone()))?;
        }
        let printed = print_class(&stored.class);
        for unsaid in &printed.unsaid {
            self.sink.unsaid(&path(), unsaid)?;
        }
        self.sink.text("\n")?;
        self.sink.text(&printed.text)
    }

    fn instances(
        &mut self,
        namespace: &str,
        family: Option<&HashSet<NameHash>>,
    ) -> Result<(), S::Error> {
        // A namespace may have more of them than should be in memory at once: they are read twice.
        let mut places = Vec::new();
        for key in self.keys(namespace, Counted::Instances, family)? {
            let stored = self.catalog.instance_of_key(namespace, &key);
            if let Some(stored) = self.read(namespace, &key, stored)? {
                let class = stored.instance.class().name().clone();
                let path = stored
                    .instance
                    .path()
                    .ok()
                    .map(|path| path.in_namespace(namespace).text());
                let path = path.unwrap_or_else(|| self.catalog.name_of_key(namespace, &key));
                places.push((class, path, key));
            }
        }
        places.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| name::order(&a.1, &b.1)));
        for (class, path, key) in places {
            let stored = self.catalog.instance_of_key(namespace, &key);
            if let Some(stored) = self.read(namespace, &key, stored)? {
                self.instance(namespace, &class, &path, stored)?;
            }
        }
        Ok(())
    }

    fn instance(
        &mut self,
        namespace: &str,
        class: &Name,
        path: &str,
        mut stored: StoredInstance,
    ) -> Result<(), S::Error> {
        self.census.reach(Counted::Instances);
        if let Some(damage) = &stored.damage {
            self.census.partial += 1;
            self.sink.lost(path, &Error::from((**damage).clone()))?;
        }
        let is_plain = stored.instance.qualifiers.is_empty();
        if *class == *"__thisNAMESPACE" || *class == *"__SystemSecurity" && is_plain {
            return Ok(());
        }
        if *class == *NAMESPACE_CLASS {
            self.secure(namespace, path, &mut stored.instance)?;
        }
        self.check_embedded(namespace, path, &stored.instance)?;
        let printed = print_instance(&stored.instance);
        for unsaid in &printed.unsaid {
            self.sink.unsaid(path, unsaid)?;
        }
        self.sink.text("\n")?;
        self.sink.text(&printed.text)
    }

    /// The keys of objects of a namespace, each counted; of all, or of classes with these hashes
    /// and their instances.
    fn keys(
        &mut self,
        namespace: &str,
        counted: Counted,
        family: Option<&HashSet<NameHash>>,
    ) -> Result<Vec<ObjectKey>, S::Error> {
        let mut found = Vec::new();
        for key in self.catalog.object_keys(namespace, counted) {
            match key {
                Ok(key) if family.is_some_and(|family| !family.contains(&key.class)) => {}
                Ok(key) => {
                    self.census.has(counted);
                    found.push(key);
                }
                Err(KeyFault::Index(error)) => {
                    self.census.tear();
                    self.sink.lost(namespace, &error)?;
                }
                Err(KeyFault::Malformed(error)) => {
                    self.census.has(counted);
                    self.census.lose(&error);
                    self.sink.lost(namespace, &error)?;
                }
            }
        }
        Ok(found)
    }

    /// An object that was read, or one that is lost.
    fn read<T>(
        &mut self,
        namespace: &str,
        key: &ObjectKey,
        found: crate::Result<T>,
    ) -> Result<Option<T>, S::Error> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                self.census.lose(&error);
                let name = self.catalog.name_of_key(namespace, key);
                self.sink.lost(&name, &error)?;
                Ok(None)
            }
        }
    }
}

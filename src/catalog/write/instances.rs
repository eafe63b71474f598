//! Storing and deleting instances.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fit::{Misfit, fit};
use super::store::{Footprint, encode, has_references};
use super::{Changes, Leave, Put, rules, system};
use crate::base::error::{Error, Result};
use crate::base::page_no::RecordRef;
use crate::base::rule::Rule;
use crate::btree::scan::{Direction, KeyRange};
use crate::catalog::keys::instance_keys;
use crate::catalog::{Located, StoredClass};
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::path::ObjectPath;
use crate::format::index::key::Key;

impl Changes<'_, '_> {
    pub(crate) fn put_instance(
        &mut self,
        namespace: &str,
        instance: &Instance,
        put: Put,
    ) -> Result<ObjectPath> {
        self.put_instance_with(namespace, instance, put, Leave::default())
    }

    /// Stores an instance for a compiler, to which other rules apply; see
    /// [`put_instance`](Self::put_instance).
    pub(crate) fn put_instance_with(
        &mut self,
        namespace: &str,
        instance: &Instance,
        put: Put,
        leave: Leave,
    ) -> Result<ObjectPath> {
        let (class, instance) = self.fitted(namespace, instance, leave)?;
        if class.class.is_a(system::NAMESPACE) {
            return self.put_namespace_instance(namespace, &instance, put);
        }
        self.write_instance(namespace, &class, &instance, put, None)
    }

    /// Stores an instance for a caller that may not write system objects; see
    /// [`put_instance`](Self::put_instance).
    pub(crate) fn put_own_instance(
        &mut self,
        namespace: &str,
        instance: &Instance,
        put: Put,
    ) -> Result<ObjectPath> {
        let (class, instance) = self.fitted(namespace, instance, Leave::default())?;
        need_own(&class.class)?;
        self.write_instance(namespace, &class, &instance, put, None)
    }

    /// Converts the instance to the stored class, if clients may put it.
    fn fitted(
        &mut self,
        namespace: &str,
        instance: &Instance,
        leave: Leave,
    ) -> Result<(Arc<StoredClass>, Instance)> {
        self.need_namespace(namespace)?;
        let name = instance.class().name();
        let class = self
            .class(namespace, name.as_str())?
            .ok_or_else(|| no_class(namespace, name.as_str()))?;
        if !leave.any_instance {
            rules::class_of_instance(&class.class)?;
        }
        let instance = fit(instance, &class.class, Misfit::Refuse)?;
        if !leave.any_instance {
            rules::instance(&instance)?;
        }
        Ok((class, instance))
    }

    /// Writes an instance of any kind.
    pub(super) fn write_instance(
        &mut self,
        namespace: &str,
        class: &StoredClass,
        instance: &Instance,
        put: Put,
        stamp: Option<u64>,
    ) -> Result<ObjectPath> {
        let path = instance.path()?;
        let new = self.footprint(namespace, instance)?;
        let old = self.replaced(namespace, class, &new, put, &path)?;
        let stamp = stamp.unwrap_or_else(|| self.stamp());
        let record = encode(instance, stamp, class.stamp.0)?;
        self.change(|changes| changes.swap(old.as_ref(), Some((&new, &record))))?;
        Ok(path)
    }

    /// The content that an instance replaces, if that is permitted.
    fn replaced(
        &mut self,
        namespace: &str,
        class: &StoredClass,
        new: &Footprint,
        put: Put,
        path: &ObjectPath,
    ) -> Result<Option<Footprint>> {
        let Some(record) = self.transaction.reference(new.keys.keyed.as_bytes())? else {
            let missing = || {
                Error::rule(
                    Rule::NotFound,
                    format!("there is no {namespace}:{path} to be updated"),
                )
            };
            return if put == Put::UpdateOnly {
                Err(missing())
            } else {
                Ok(None)
            };
        };
        if put == Put::CreateOnly {
            return Err(Error::rule(
                Rule::AlreadyExists,
                format!("{namespace}:{path} is there already"),
            ));
        }
        if !self.is_of_class(record, &class.class)? {
            let text = format!("an instance of another class has the key of {namespace}:{path}");
            return Err(Error::rule(Rule::AlreadyExists, text));
        }
        if !has_references(&class.class) {
            // Its content does not matter then, even if it is damaged.
            return Ok(Some(Footprint {
                keys: new.keys.clone(),
                references: BTreeMap::new(),
            }));
        }
        let (old, _) = self.need_instance(record, &class.class)?;
        self.footprint(namespace, &old).map(Some)
    }

    pub(crate) fn delete_instance(&mut self, namespace: &str, path: &ObjectPath) -> Result<()> {
        let namespace = path.namespace.as_deref().unwrap_or(namespace);
        let doomed = self.found(namespace, path)?;
        if let Some(doomed) = doomed.namespace_in(namespace) {
            return self.delete_namespace(&doomed);
        }
        self.drop_doomed(namespace, &doomed)
    }

    /// Deletes an instance for a caller that may not write system objects; see
    /// [`delete_instance`](Self::delete_instance).
    pub(crate) fn delete_own_instance(&mut self, namespace: &str, path: &ObjectPath) -> Result<()> {
        let doomed = self.found(namespace, path)?;
        need_own(doomed.class())?;
        self.drop_doomed(namespace, &doomed)
    }

    /// The instance that a path denotes, if clients may delete it.
    pub(super) fn found(&mut self, namespace: &str, path: &ObjectPath) -> Result<Doomed> {
        self.need_namespace(namespace)?;
        let found = match self.now().instance(namespace, path) {
            Ok(found) => found.map(|stored| Doomed::Whole(stored.instance)),
            Err(damage @ Error::Corrupt(_)) => Some(self.damaged(namespace, path)?.ok_or(damage)?),
            Err(error) => return Err(error),
        };
        let missing = || Error::rule(Rule::NotFound, format!("there is no {path} in {namespace}"));
        let found = found.ok_or_else(missing)?;
        rules::may_delete_instance_of(found.class())?;
        Ok(found)
    }

    /// The instance with the key of a path whose record cannot be read. The keys reveal its class,
    /// which is that of the path or a subclass. An instance that represents a namespace can only be
    /// deleted with the namespace.
    fn damaged(&mut self, namespace: &str, path: &ObjectPath) -> Result<Option<Doomed>> {
        let Some(located) = self.now().located(namespace, path)? else {
            return Ok(None);
        };
        let Located {
            class: named,
            key_text,
            record,
        } = located;
        let mut classes = vec![named.clone()];
        self.derived_from(namespace, &named, &mut classes)?;
        for class in classes
            .into_iter()
            .filter(|class| !class.class.is_a(system::NAMESPACE))
        {
            let keys = self.instance_keys(namespace, class.class.name().as_str())?;
            for own in keys
                .into_iter()
                .filter(|own| own.reference() == Some(record))
            {
                // If the keys contradict each other too, it is unknown which instance this is.
                let keyed = self.keyed_beside(namespace, &class.class, &own);
                let is_meant = keyed.is_some_and(|(key_class, keyed)| {
                    keyed
                        == format!(
                            "{}.{record}",
                            self.keys().keyed_instance(namespace, &key_class, &key_text)
                        )
                });
                if is_meant {
                    return Ok(Some(Doomed::Damaged {
                        class: class.class.clone(),
                        own,
                        record,
                    }));
                }
            }
        }
        Ok(None)
    }

    fn drop_doomed(&mut self, namespace: &str, doomed: &Doomed) -> Result<()> {
        match doomed {
            Doomed::Whole(instance) => self.drop_instance(namespace, instance),
            Doomed::Damaged { class, own, record } => {
                self.change(|changes| changes.drop_damaged(namespace, class, own, *record))
            }
        }
    }

    /// Removes an instance of any kind.
    pub(super) fn drop_instance(&mut self, namespace: &str, instance: &Instance) -> Result<()> {
        let old = self.footprint(namespace, instance)?;
        self.change(|changes| changes.swap(Some(&old), None))
    }

    /// The keys of all instances of exactly this class, readable or not.
    pub(super) fn instance_keys(&mut self, namespace: &str, class: &str) -> Result<Vec<Key>> {
        let prefix = self.keys().instances(namespace, class);
        self.transaction
            .keys(KeyRange::prefix(prefix.as_bytes()), Direction::Forward)
            .collect()
    }

    /// Removes all instances of a class. The references from a damaged instance are unknown; they
    /// stay, and a verification finds them.
    pub(super) fn drop_instances(&mut self, namespace: &str, class: &Arc<FullClass>) -> Result<()> {
        for key in self.instance_keys(namespace, class.name().as_str())? {
            let Some(record) = key.reference() else {
                continue;
            };
            match self.need_instance(record, class) {
                Ok((instance, _)) => self.drop_instance(namespace, &instance)?,
                Err(Error::Corrupt(_)) => self.drop_damaged(namespace, class, &key, record)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes an instance by its key alone. A record that can be read and belongs to another
    /// object stays, because other keys may name it rightly.
    pub(super) fn drop_damaged(
        &mut self,
        namespace: &str,
        class: &Arc<FullClass>,
        own: &Key,
        record: RecordRef,
    ) -> Result<()> {
        self.transaction.remove_key(own.as_bytes())?;
        if let Some((_, keyed)) = self.keyed_beside(namespace, class, own) {
            self.transaction.remove_key(keyed.as_bytes())?;
        }
        match self.transaction.record(record) {
            Ok(_) if !self.belongs_to(namespace, class, own, record) => Ok(()),
            Ok(_) | Err(Error::Corrupt(_)) => self.discard(record),
            Err(error) => Err(error),
        }
    }

    /// True if a record belongs to an instance of this class and, as far as it can be read, to the
    /// one with this key.
    fn belongs_to(
        &mut self,
        namespace: &str,
        class: &Arc<FullClass>,
        own: &Key,
        record: RecordRef,
    ) -> bool {
        if !self.is_of_class(record, class).unwrap_or(false) {
            return false;
        }
        let Ok(Some((instance, _))) = self.read(record, class) else {
            return true;
        };
        let named = instance_keys(&self.keys(), namespace, &instance);
        named.map_or(true, |named| {
            own.to_string() == format!("{}.{record}", named.own)
        })
    }

    /// The other key of the instance with this key, and the class that declares its keys. Both keys
    /// end in the same hash.
    fn keyed_beside(
        &self,
        namespace: &str,
        class: &FullClass,
        own: &Key,
    ) -> Option<(String, String)> {
        let key_class = class.key_class()?.name().as_str().to_owned();
        let text = own.to_string();
        let (_, hash) = text.rsplit_once('_')?;
        let keyed = format!(
            "{}{hash}",
            self.keys().keyed_instances(namespace, &key_class)
        );
        Some((key_class, keyed))
    }

    /// The instance in a record that must be of this class.
    pub(super) fn need_instance(
        &mut self,
        record: RecordRef,
        class: &Arc<FullClass>,
    ) -> Result<(Instance, u64)> {
        let text = || format!("the record {record} is not an instance of {}", class.name());
        self.read(record, class)?
            .ok_or_else(|| Error::rule(Rule::InvalidObject, text()))
    }
}

/// An instance to be deleted.
pub(super) enum Doomed {
    Whole(Instance),
    /// Its content cannot be read.
    Damaged {
        class: Arc<FullClass>,
        own: Key,
        record: RecordRef,
    },
}

impl Doomed {
    const fn class(&self) -> &Arc<FullClass> {
        match self {
            Doomed::Whole(instance) => instance.class(),
            Doomed::Damaged { class, .. } => class,
        }
    }

    /// The namespace that the instance represents, if it is one of `__NAMESPACE`.
    pub(super) fn namespace_in(&self, parent: &str) -> Option<String> {
        let Doomed::Whole(instance) = self else {
            return None;
        };
        if !instance.class().is_a(system::NAMESPACE) {
            return None;
        }
        let name = instance.text(system::NAMESPACE_NAME);
        Some(format!(r"{parent}\{}", name.unwrap_or_default()))
    }
}

pub(super) fn no_class(namespace: &str, class: &str) -> Error {
    Error::rule(
        Rule::InvalidClass,
        format!("there is no class {class} in {namespace}"),
    )
}

/// Rejects instances of system classes, including those that create namespaces.
fn need_own(class: &FullClass) -> Result<()> {
    let name = class.name();
    match system::is_system_name(name.as_str()) || class.is_a(system::NAMESPACE) {
        true => Err(Error::denied(format!(
            "to write an instance of {name} takes FULL_WRITE_REP"
        ))),
        false => Ok(()),
    }
}

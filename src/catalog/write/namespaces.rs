//! Creation and deletion of namespaces, and their descriptors.
//!
//! Each namespace has an instance of `__NAMESPACE` in its parent, and instances of
//! `__SystemSecurity` and `__thisNAMESPACE` in itself.

use std::sync::Arc;

use super::{Changes, Put, rules, system};
use crate::base::error::{Error, Result};
use crate::base::page_no::RecordRef;
use crate::base::rule::Rule;
use crate::btree::scan::{Direction, KeyRange};
use crate::catalog::{StoredClass, StoredSecurity};
use crate::cim::FullClass;
use crate::cim::instance::Instance;
use crate::cim::path::ObjectPath;
use crate::cim::value::{Array, Value};
use crate::format::index::key::Key;
use crate::format::index::object_key::KeyShape;
use crate::format::record::reference_record::ReferenceRecord;
use crate::format::security::descriptor::SecurityDescriptor;
use crate::security::inheritance::of_new_namespace;
use crate::store::Referrer;

impl Changes<'_, '_> {
    pub(crate) fn create_namespace(
        &mut self,
        namespace: &str,
        descriptor: Option<&SecurityDescriptor>,
    ) -> Result<()> {
        let Some((parent, name)) = namespace.rsplit_once('\\') else {
            return Err(Error::rule(
                Rule::AlreadyExists,
                format!("{namespace} cannot be the name of a new namespace"),
            ));
        };
        self.need_namespace(parent)?;
        let class = self.need_system_class(parent, system::NAMESPACE)?;
        let instance = Instance::new(class.class.clone()).with(system::NAMESPACE_NAME, name)?;
        self.found_namespace(parent, &class, &instance, Put::CreateOnly, descriptor)
    }

    /// Stores an instance of `__NAMESPACE`, which creates a namespace or changes the properties of
    /// its instance other than the name.
    pub(super) fn put_namespace_instance(
        &mut self,
        parent: &str,
        instance: &Instance,
        put: Put,
    ) -> Result<ObjectPath> {
        let class = self.need_system_class(parent, instance.class().name().as_str())?;
        let path = instance.path()?;
        let name = instance.text(system::NAMESPACE_NAME).unwrap_or_default();
        let is_there = self.schema().has_namespace(&format!(r"{parent}\{name}"))?;
        if is_there || put == Put::UpdateOnly {
            return self.write_instance(parent, &class, instance, put, None);
        }
        self.found_namespace(parent, &class, instance, Put::CreateOnly, None)?;
        Ok(path)
    }

    fn found_namespace(
        &mut self,
        parent: &str,
        class: &StoredClass,
        instance: &Instance,
        put: Put,
        descriptor: Option<&SecurityDescriptor>,
    ) -> Result<()> {
        let name = instance.text(system::NAMESPACE_NAME).unwrap_or_default();
        let namespace = format!(r"{parent}\{name}");
        rules::namespace(&namespace, name)?;
        let descriptor = match descriptor {
            Some(descriptor) => descriptor.clone(),
            None => of_new_namespace(&self.security(parent)?.descriptor)?,
        };
        // Done before the namespace exists.
        self.find_dangling()?;
        self.write_instance(parent, class, instance, put, None)?;
        self.touch_schema();
        self.change(|changes| {
            changes.write_singletons(&namespace, &descriptor)?;
            changes.attach_referrers(&namespace)
        })
    }

    /// Writes the two instances that every namespace has.
    pub(in crate::catalog) fn write_singletons(
        &mut self,
        namespace: &str,
        descriptor: &SecurityDescriptor,
    ) -> Result<()> {
        let class = self.need_system_class(namespace, system::SYSTEM_SECURITY)?;
        let instance = Instance::new(class.class.clone());
        self.write_instance(namespace, &class, &instance, Put::CreateOrUpdate, None)?;
        self.write_descriptor(namespace, descriptor)
    }

    pub(crate) fn set_security_descriptor(
        &mut self,
        namespace: &str,
        descriptor: &SecurityDescriptor,
    ) -> Result<()> {
        self.need_namespace(namespace)?;
        self.write_descriptor(namespace, descriptor)
    }

    fn write_descriptor(&mut self, namespace: &str, descriptor: &SecurityDescriptor) -> Result<()> {
        let class = self.need_system_class(namespace, system::THIS_NAMESPACE)?;
        let bytes = Value::Array(Array::Uint8(descriptor.to_bytes()));
        let instance = Instance::new(class.class.clone()).with(system::SECURITY_DESCRIPTOR, bytes);
        self.write_instance(namespace, &class, &instance?, Put::CreateOrUpdate, None)?;
        Ok(())
    }

    /// The stored access rights of a namespace.
    pub(crate) fn security(&mut self, namespace: &str) -> Result<StoredSecurity> {
        self.now().security_of(namespace)
    }

    fn need_system_class(&mut self, namespace: &str, class: &str) -> Result<Arc<StoredClass>> {
        let missing = || {
            Error::rule(
                Rule::InvalidClass,
                format!("the system class {class} is not there"),
            )
        };
        self.class(namespace, class)?.ok_or_else(missing)
    }

    pub(crate) fn delete_namespace(&mut self, namespace: &str) -> Result<()> {
        let Some((parent, name)) = namespace.rsplit_once('\\') else {
            return Err(Error::rule(
                Rule::ReadOnly,
                format!("{namespace} cannot be deleted"),
            ));
        };
        self.need_namespace(namespace)?;
        let class = self.need_system_class(parent, system::NAMESPACE)?;
        let key_class = class
            .class
            .key_class()
            .map(|key_class| key_class.name().clone());
        let key_class = key_class
            .as_ref()
            .map_or(system::NAMESPACE, |name| name.as_str());
        let key = self.keys().keyed_instance(parent, key_class, name);
        let record = self.transaction.reference(key.as_bytes())?;
        let tree = self.now().namespaces_below(namespace)?;
        self.change(|changes| {
            changes.detach_referrers(&tree)?;
            tree.iter()
                .try_for_each(|namespace| changes.empty_namespace(namespace))?;
            if let Some(record) = record {
                match changes.need_instance(record, &class.class) {
                    Ok((instance, _)) => changes.drop_instance(parent, &instance)?,
                    Err(Error::Corrupt(_)) => {
                        changes.drop_damaged_namespace(parent, &class.class, &key, record)?
                    }
                    Err(error) => return Err(error),
                }
            }
            changes.state.catalog.forget_all();
            changes.touch_schema();
            Ok(())
        })
    }

    /// Removes the unreadable instance that represents a namespace and has this key.
    fn drop_damaged_namespace(
        &mut self,
        parent: &str,
        class: &Arc<FullClass>,
        key: &str,
        record: RecordRef,
    ) -> Result<()> {
        let own = self.instance_keys(parent, class.name().as_str())?;
        match own.iter().find(|own| own.reference() == Some(record)) {
            Some(own) => self.drop_damaged(parent, class, own, record),
            None => self
                .transaction
                .remove_key(format!("{key}.{record}").as_bytes())
                .map(drop),
        }
    }

    /// Removes the references from the instances of namespaces to objects outside of them.
    fn detach_referrers(&mut self, namespaces: &[String]) -> Result<()> {
        let inside: Vec<String> = namespaces
            .iter()
            .map(|namespace| self.keys().namespace(namespace))
            .collect();
        let catalog = self.now();
        for namespace in namespaces {
            for instance in self.referring(&catalog, namespace)? {
                let references = self.footprint(namespace, &instance)?.references;
                for key in references
                    .keys()
                    .filter(|key| !inside.iter().any(|prefix| key.starts_with(prefix)))
                {
                    self.take(&[key])?;
                }
            }
        }
        Ok(())
    }

    /// Records the source of a reference into a namespace, which will dangle once the namespace is
    /// gone.
    fn keep_referrer(&mut self, prefix: &str, key: &Key) -> Result<()> {
        let Some((_, KeyShape::Reference(..))) = KeyShape::parse(key.as_bytes()) else {
            return Ok(());
        };
        let Some(record) = key.reference() else {
            return Ok(());
        };
        match self.read_reference(record) {
            Ok(ReferenceRecord {
                namespace,
                class,
                key,
                ..
            }) => {
                self.transaction.add_referrer(
                    prefix,
                    Referrer {
                        namespace,
                        class,
                        key,
                    },
                );
                Ok(())
            }
            // It is discarded like any other.
            Err(Error::Corrupt(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes every key of a namespace, and the records that they name.
    fn empty_namespace(&mut self, namespace: &str) -> Result<()> {
        let prefix = self.keys().namespace(namespace);
        let keys = self
            .transaction
            .keys(KeyRange::prefix(prefix.as_bytes()), Direction::Forward);
        let keys: Vec<Key> = keys.collect::<Result<_>>()?;
        for key in keys {
            self.keep_referrer(&prefix, &key)?;
            self.transaction.remove_key(key.as_bytes())?;
            // An instance has two keys.
            let is_second = matches!(
                KeyShape::parse(key.as_bytes()),
                Some((_, KeyShape::KeyedInstance(..)))
            );
            if let Some(record) = key.reference().filter(|_| !is_second) {
                self.discard(record)?;
            }
        }
        Ok(())
    }
}

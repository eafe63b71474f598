//! The keys that an object must have, derived from its content. Source: `docs::objects`, "Keys".

use std::collections::BTreeSet;

use super::Catalog;
use super::namespaces::ROOT;
use crate::base::error::Result;
use crate::cim::full_class::FullClass;
use crate::cim::instance::{Instance, InstanceError};
use crate::cim::name::{self, Name};
use crate::cim::path::ObjectPath;
use crate::cim::path_keys::KeyMismatch;
use crate::cim::value::Value;
use crate::format::index::object_key::ObjectKeys;
use crate::format::record::reference_record::ReferenceRecord;

/// The keys of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassKeys {
    /// The key of the class itself, which names the record.
    pub definition: String,
    /// The key that records its derivation from its superclass.
    pub subclass: String,
    /// The keys that record its references to other classes.
    pub references: BTreeSet<String>,
}

/// The keys of a class in a namespace.
pub fn class_keys(keys: &ObjectKeys, namespace: &str, class: &FullClass) -> ClassKeys {
    let name = class.name().as_str();
    let superclass = class.declaration().superclass.as_ref().map(Name::as_str);
    let targets = class
        .properties()
        .iter()
        .filter_map(|property| property.reference_class());
    ClassKeys {
        definition: keys.class(namespace, name),
        subclass: keys.subclass(namespace, superclass, name),
        references: targets
            .map(|target| keys.class_reference(namespace, target, name))
            .collect(),
    }
}

/// The keys of an instance. Both name its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceKeys {
    /// The key under its own class.
    pub own: String,
    /// The key under the class that declares its keys.
    pub keyed: String,
}

/// The keys of an instance in a namespace.
///
/// # Errors
/// Returns an [`InstanceError`] if it has no key, or a key property has no value.
pub fn instance_keys(
    keys: &ObjectKeys,
    namespace: &str,
    instance: &Instance,
) -> Result<InstanceKeys, InstanceError> {
    let class = instance.class();
    let no_key = || InstanceError::NoKey {
        class: class.name().clone(),
    };
    let key_class = class.key_class().ok_or_else(no_key)?;
    let key_text = instance.key_text()?;
    Ok(InstanceKeys {
        own: keys.instance(namespace, class.name().as_str(), &key_text),
        keyed: keys.keyed_instance(namespace, key_class.name().as_str(), &key_text),
    })
}

/// The key and record of a reference that an instance makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceKey {
    /// The key, which names the record.
    pub key: String,
    /// The content of the record.
    pub record: ReferenceRecord,
}

/// Why a reference has no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// Its text is not the path of an instance.
    NoPath,
    /// The namespace in the path, given here, does not exist, so nothing can lie in it.
    NoNamespace(String),
}

/// A reference from an instance to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingReference {
    /// The property.
    pub property: Name,
    /// The key of its target.
    pub target: Result<ReferenceKey, Unresolved>,
    /// Set if the path has other keys than the class that it names. Such a reference has a key,
    /// made from its values, but leads to no instance.
    pub mismatch: Option<KeyMismatch>,
}

impl Catalog {
    /// The references that an instance of a namespace makes, except those that are NULL. `keys` are
    /// those of the instance.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class).
    pub fn outgoing_references(
        &self,
        namespace: &str,
        instance: &Instance,
        keys: &InstanceKeys,
    ) -> Result<Vec<OutgoingReference>> {
        let text = |name: &Name| name.as_str().to_owned();
        let mut found = Vec::new();
        for (property, value) in instance.values() {
            let Some(Value::Reference(path)) = value else {
                continue;
            };
            let (key, mismatch) = match self.reference_key(namespace, path, &keys.keyed)? {
                Ok((key, mismatch)) => (Ok(key), mismatch),
                Err(unresolved) => (Err(unresolved), None),
            };
            let target = key.map(|key| {
                let (class, property) = (text(instance.class().name()), text(&property.name));
                let (namespace, referrer) =
                    (with_root(namespace), self.keys.referrer_text(&keys.keyed));
                ReferenceKey {
                    key,
                    record: ReferenceRecord {
                        namespace,
                        class,
                        property,
                        key: referrer,
                    },
                }
            });
            found.push(OutgoingReference {
                property: property.name.clone(),
                target,
                mismatch,
            });
        }
        Ok(found)
    }

    /// The key of a reference, and the mismatch between its path and the class.
    ///
    /// The key contains the name of the class that declares the keys of the target. If the class is
    /// missing or has no keys, it contains the name of the class itself. So a reference has a key
    /// whatever happens to the class.
    fn reference_key(
        &self,
        namespace: &str,
        path: &str,
        referrer: &str,
    ) -> Result<Result<KeyOfReference, Unresolved>> {
        let Ok(path) = path.parse::<ObjectPath>() else {
            return Ok(Err(Unresolved::NoPath));
        };
        let Some(key_text) = path.key_text() else {
            return Ok(Err(Unresolved::NoPath));
        };
        let target = path.namespace.as_deref().unwrap_or(namespace);
        if !name::same(target, namespace) && !self.has_namespace(target)? {
            return Ok(Err(Unresolved::NoNamespace(target.to_owned())));
        }
        let class = self.class(target, path.class.as_str())?;
        let mismatch = class
            .as_ref()
            .and_then(|class| class.class.key_text_of(&path).err());
        let key_class =
            class.map_or_else(|| path.class.clone(), |class| key_class_name(&class.class));
        Ok(Ok((
            self.keys
                .reference(target, key_class.as_str(), &key_text, referrer),
            mismatch,
        )))
    }
}

type KeyOfReference = (String, Option<KeyMismatch>);

/// The name in the keys of references to instances of a class: that of the class that declares its
/// keys, or its own name if none does.
pub(crate) fn key_class_name(class: &FullClass) -> Name {
    class.key_class().map_or_else(
        || class.name().clone(),
        |key_class| key_class.name().clone(),
    )
}

/// The path of a namespace as it appears in records of references, with its first part in capitals.
fn with_root(namespace: &str) -> String {
    let root = namespace.split('\\').next().unwrap_or_default();
    match namespace.strip_prefix(root) {
        Some(rest) if name::same(root, ROOT) => format!("{ROOT}{rest}"),
        _ => namespace.to_owned(),
    }
}

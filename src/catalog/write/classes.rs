//! Storing and deleting classes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::class_update::{Step, need_permission, need_same_layout};
use super::instances::no_class;
use super::store::not_storable;
use super::{Changes, Leave, Put, PutClass, UpdateMode, rules};
use crate::base::error::{Error, Result};
use crate::base::rule::Rule;
use crate::catalog::StoredClass;
use crate::catalog::keys::{ClassKeys, class_keys};
use crate::cim::class::Class;
use crate::cim::full_class::FullClass;
use crate::cim::name::Name;
use crate::format::index::object_key::SYSTEM_NAMESPACE;
use crate::format::record::class_record::encode_class_record;

impl Changes<'_, '_> {
    pub(crate) fn put_class(
        &mut self,
        namespace: &str,
        class: &Class,
        how: PutClass,
    ) -> Result<Arc<StoredClass>> {
        self.put_class_with(namespace, class, how, Leave::default())
    }

    /// Stores a class for a compiler, to which other rules apply; see
    /// [`put_class`](Self::put_class).
    pub(crate) fn put_class_with(
        &mut self,
        namespace: &str,
        class: &Class,
        how: PutClass,
        leave: Leave,
    ) -> Result<Arc<StoredClass>> {
        if !leave.system_names {
            rules::may_put_class(namespace, class)?;
        }
        self.need_namespace(namespace)?;
        let class = rules::tidied(class.clone());
        let old = self.own_class(namespace, class.name.as_str())?;
        let name = class.name.clone();
        match (how.put, &old) {
            (Put::CreateOnly, Some(_)) => {
                return Err(Error::rule(
                    Rule::AlreadyExists,
                    format!("{namespace}:{name} is there already"),
                ));
            }
            (Put::UpdateOnly, None) => {
                return Err(Error::rule(
                    Rule::NotFound,
                    format!("there is no {namespace}:{name} to be updated"),
                ));
            }
            _ => {}
        }
        let full = Arc::new(self.composed(namespace, class)?);
        rules::class_with(&full, leave)?;
        if let Some(old) = old.filter(|old| *old.class == *full) {
            return Ok(old);
        }
        self.replace_class(namespace, &full, how.mode, leave)
    }

    /// The class with this name in a namespace itself.
    pub(super) fn own_class(
        &mut self,
        namespace: &str,
        class: &str,
    ) -> Result<Option<Arc<StoredClass>>> {
        let is_own = |found: &Arc<StoredClass>| {
            !found.is_system || namespace.eq_ignore_ascii_case(SYSTEM_NAMESPACE)
        };
        Ok(self.class(namespace, class)?.filter(is_own))
    }

    /// Composes a class with what it inherits from the superclass that it names.
    pub(super) fn composed(&mut self, namespace: &str, class: Class) -> Result<FullClass> {
        let name = class.name.clone();
        let superclass = match &class.superclass {
            None => None,
            Some(superclass) if *superclass == name => return Err(circular(&name)),
            Some(superclass) => {
                let found = self.class(namespace, superclass.as_str())?;
                let missing = || {
                    format!(
                        "there is no class {superclass} in {namespace} for {name} to be derived \
                            from"
                    )
                };
                let found = found.ok_or_else(|| Error::rule(Rule::InvalidSuperclass, missing()))?;
                if found.class.is_a(name.as_str()) {
                    return Err(circular(&name));
                }
                Some(found.class.clone())
            }
        };
        // In the superclass's own spelling.
        let class = Class {
            superclass: superclass
                .as_ref()
                .map(|superclass| superclass.name().clone()),
            ..class
        };
        FullClass::compose(class, superclass).map_err(Error::from)
    }

    /// Replaces the class of the same name, along with all that is derived from it.
    pub(super) fn replace_class(
        &mut self,
        namespace: &str,
        class: &Arc<FullClass>,
        mode: UpdateMode,
        leave: Leave,
    ) -> Result<Arc<StoredClass>> {
        let name = class.name().as_str();
        let old = self.class(namespace, name)?;
        let mut steps = vec![Step::new(old, class.clone())];
        if steps.iter().any(|step| step.old.is_some()) {
            self.plan_derived(namespace, &mut steps, mode)?;
            let with_instances = self.first_with_instances(namespace, &steps)?;
            need_permission(&steps, mode, with_instances.as_ref())?;
            if let Some(class) = with_instances.filter(|_| leave.keeps_layouts) {
                need_same_layout(&steps, &class)?;
            }
        }
        let records = steps.iter().map(Step::record).collect::<Result<Vec<_>>>()?;
        self.change(|changes| changes.apply(namespace, &steps, records, None))?;
        self.class(namespace, name)?
            .ok_or_else(|| no_class(namespace, name))
    }

    /// Stores the record and keys of a class, replacing those of another.
    pub(super) fn store_class(
        &mut self,
        namespace: &str,
        old: Option<&FullClass>,
        new: Option<&FullClass>,
        record: Option<&[u8]>,
    ) -> Result<()> {
        let keys = self.keys();
        let (before, after) = (
            old.map(|old| class_keys(&keys, namespace, old)),
            new.map(|new| class_keys(&keys, namespace, new)),
        );
        let markers = |of: &Option<ClassKeys>| -> BTreeSet<String> {
            of.iter()
                .flat_map(|keys| keys.references.iter().chain([&keys.subclass]))
                .cloned()
                .collect()
        };
        let (old_markers, new_markers) = (markers(&before), markers(&after));
        for marker in old_markers.difference(&new_markers) {
            self.transaction.remove_key(marker.as_bytes())?;
        }
        for marker in new_markers.difference(&old_markers) {
            self.transaction.insert_key(marker.as_bytes())?;
        }
        if let Some(before) = before.filter(|_| record.is_some() || new.is_none()) {
            self.take(&[&before.definition])?;
        }
        if let (Some(after), Some(record)) = (after, record) {
            self.put(&[&after.definition], record)?;
        }
        Ok(())
    }

    pub(crate) fn delete_class(&mut self, namespace: &str, class: &str) -> Result<()> {
        self.need_namespace(namespace)?;
        let Some(found) = self.class(namespace, class)? else {
            return Err(Error::rule(
                Rule::NotFound,
                format!("there is no class {class} in {namespace}"),
            ));
        };
        rules::may_delete_class(&found)?;
        let mut subtree = vec![found.clone()];
        self.derived_from(namespace, &found, &mut subtree)?;
        self.change(|changes| {
            subtree
                .iter()
                .try_for_each(|class| changes.drop_instances(namespace, &class.class))?;
            for class in &subtree {
                let name = class.class.name();
                // A system class with the same name may become visible.
                let behind = changes.schema().class(SYSTEM_NAMESPACE, name.as_str())?;
                changes.move_referrers(
                    namespace,
                    Some(&class.class),
                    behind.as_ref().map(|of| &*of.class),
                    name,
                )?;
            }
            for class in subtree.iter().rev() {
                changes.store_class(namespace, Some(&class.class), None, None)?;
                changes.forget(namespace, class.class.name());
            }
            Ok(())
        })
    }

    /// The classes of a namespace that are derived from a class, each after its superclass.
    pub(super) fn derived_from(
        &mut self,
        namespace: &str,
        class: &StoredClass,
        found: &mut Vec<Arc<StoredClass>>,
    ) -> Result<()> {
        let derived = self
            .now()
            .derived_classes(namespace, class.class.name().as_str());
        found.extend(derived.into_iter().collect::<Result<Vec<_>>>()?);
        Ok(())
    }

    /// Drops a changed class from the cache.
    pub(super) fn forget(&mut self, namespace: &str, class: &Name) {
        self.state.catalog.forget(namespace, class.as_str());
        self.touch_schema();
    }
}

/// The record of a class with this stamp.
pub(super) fn record(class: &FullClass, stamp: u64) -> Result<Vec<u8>> {
    encode_class_record(class, stamp).map_err(|error| not_storable(class.name().as_str(), &error))
}

fn circular(class: &Name) -> Error {
    Error::rule(
        Rule::CircularReference,
        format!("class {class} would be derived from itself"),
    )
}

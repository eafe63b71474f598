//! References whose keys change because the class or namespace of their target does.
//!
//! The key of a reference names the class that declares the keys of its target, or the class in the
//! path if there is none yet. So it can be found, and moved, when a class is created, deleted, or
//! gets its keys from another class.

use std::collections::BTreeMap;

use super::Changes;
use super::store::has_references;
use crate::base::error::{Error, Result};
use crate::base::page_no::RecordRef;
use crate::btree::scan::{Direction, KeyRange};
use crate::catalog::Catalog;
use crate::catalog::keys::key_class_name;
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::name::Name;
use crate::cim::path::ObjectPath;
use crate::format::index::key::Key;
use crate::format::index::object_key::KeyShape;
use crate::format::record::reference_record::ReferenceRecord;
use crate::store::Referrer;

/// The class in the keys of references to instances of a class.
fn key_class(class: Option<&FullClass>, name: &Name) -> Name {
    class.map_or_else(|| name.clone(), key_class_name)
}

impl Changes<'_, '_> {
    /// Moves the references to instances of a class whose keys another class will declare. Must be
    /// called before the classes and instances change.
    pub(super) fn move_referrers(
        &mut self,
        namespace: &str,
        old: Option<&FullClass>,
        new: Option<&FullClass>,
        name: &Name,
    ) -> Result<()> {
        let (from, to) = (key_class(old, name), key_class(new, name));
        if from == to {
            return Ok(());
        }
        let keys = self.keys();
        let prefix = |class: &Name| {
            let instances = keys.keyed_instances(namespace, class.as_str());
            format!("{}IR_", instances.strip_suffix("I_").unwrap_or(&instances))
        };
        let (before, after) = (prefix(&from), prefix(&to));
        let range = KeyRange::prefix(before.as_bytes());
        let found: Vec<Key> = self
            .transaction
            .keys(range, Direction::Forward)
            .collect::<Result<_>>()?;
        for key in found {
            let Some(record) = key.reference() else {
                continue;
            };
            let text = key.to_string();
            let Some(rest) = text.strip_prefix(&before) else {
                continue;
            };
            if self.path_class(record)?.as_ref() != Some(name) {
                continue;
            }
            let moved = format!("{after}{rest}");
            let bare = moved.split('.').next().unwrap_or_default();
            self.transaction.remove_key(key.as_bytes())?;
            match self.transaction.reference(bare.as_bytes())? {
                None => _ = self.transaction.insert_key(moved.as_bytes())?,
                // The same instance refers to it through another class too.
                Some(_) => self.transaction.remove_record(record)?,
            }
        }
        Ok(())
    }

    /// The class in the path by which an instance refers to another; `None` if the instance cannot
    /// be read.
    fn path_class(&mut self, record: RecordRef) -> Result<Option<Name>> {
        let read = self
            .read_reference(record)
            .and_then(|reference| self.referring_path(&reference));
        match read {
            Ok(path) => Ok(path.map(|path| path.class)),
            // A damaged reference stays where it is.
            Err(Error::Corrupt(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn referring_path(&mut self, reference: &ReferenceRecord) -> Result<Option<ObjectPath>> {
        let Some(record) = self.transaction.reference(reference.key.as_bytes())? else {
            return Ok(None);
        };
        let Some(class) = self.class(&reference.namespace, &reference.class)? else {
            return Ok(None);
        };
        let Some((instance, _)) = self.read(record, &class.class)? else {
            return Ok(None);
        };
        let path = instance.text(&reference.property);
        Ok(path.and_then(|path| path.parse().ok()))
    }

    /// Creates the keys of references that lead from other namespaces into a new one.
    pub(super) fn attach_referrers(&mut self, namespace: &str) -> Result<()> {
        let inside = self.keys().namespace(namespace);
        let mut found = BTreeMap::new();
        for referrer in self.transaction.referrers_into(&inside) {
            // It may be gone, or refer to another object by now.
            let Some(instance) = self.referrer(&referrer)? else {
                continue;
            };
            let references = self.footprint(&referrer.namespace, &instance)?.references;
            found.extend(
                references
                    .into_iter()
                    .filter(|(key, _)| key.starts_with(&inside)),
            );
        }
        for (key, record) in found {
            if self.transaction.reference(key.as_bytes())?.is_none() {
                self.put(&[&key], &record.to_bytes())?;
            }
        }
        Ok(())
    }

    /// Ensures that all references into missing namespaces are known. This takes a pass over all
    /// instances, once while the engine is open. Later changes are recorded as they are written.
    pub(super) fn find_dangling(&mut self) -> Result<()> {
        if self.transaction.keep_referrers() {
            return Ok(());
        }
        self.transaction.find_referrers();
        let found = self.find_all_dangling();
        if found.is_err() {
            self.transaction.forget_referrers();
        }
        found
    }

    fn find_all_dangling(&mut self) -> Result<()> {
        let catalog = self.now();
        for place in catalog.namespace_tree() {
            let place = match place {
                Ok(place) => place,
                Err(Error::Corrupt(_)) => continue,
                Err(error) => return Err(error),
            };
            for instance in self.referring(&catalog, &place)? {
                // This records each reference that dangles.
                self.footprint(&place, &instance)?;
            }
        }
        Ok(())
    }

    /// An instance that referred to others when it was written.
    fn referrer(&mut self, referrer: &Referrer) -> Result<Option<Instance>> {
        let Some(record) = self.transaction.reference(referrer.key.as_bytes())? else {
            return Ok(None);
        };
        let Some(class) = self.class(&referrer.namespace, &referrer.class)? else {
            return Ok(None);
        };
        match self.read(record, &class.class) {
            Ok(instance) => Ok(instance.map(|(instance, _)| instance)),
            Err(Error::Corrupt(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The instances of a namespace that may refer to others, without those that cannot be read.
    pub(super) fn referring(
        &mut self,
        catalog: &Catalog,
        namespace: &str,
    ) -> Result<Vec<Instance>> {
        let prefix = format!("{}CI_", catalog.keys().namespace(namespace));
        let keys = catalog
            .snapshot()
            .keys(KeyRange::prefix(prefix.as_bytes()), Direction::Forward);
        let mut found = Vec::new();
        for key in keys {
            let key = key?;
            let Some((_, KeyShape::Instance(class, _))) = KeyShape::parse(key.as_bytes()) else {
                continue;
            };
            let (Some(record), Ok(Some(class))) =
                (key.reference(), catalog.class_by_hash(namespace, class))
            else {
                continue;
            };
            if has_references(&class.class) {
                match self.read(record, &class.class) {
                    Ok(instance) => found.extend(instance.map(|(instance, _)| instance)),
                    Err(Error::Corrupt(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(found)
    }
}

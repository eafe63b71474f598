//! Keys and records of objects in a transaction: the steps of which changes consist.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Changes;
use crate::base::corruption::CorruptionCode;
use crate::base::error::{Error, Result};
use crate::base::page_no::RecordRef;
use crate::base::rule::Rule;
use crate::catalog::keys::{InstanceKeys, Unresolved, instance_keys};
use crate::catalog::{Catalog, StoredClass};
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::types::ScalarType;
use crate::format::Dialect;
use crate::format::index::object_key::ObjectKeys;
use crate::format::record::heap::EncodeError;
use crate::format::record::instance_record::{InstanceRecordView, encode_instance_record};
use crate::format::record::reader::BadRecord;
use crate::format::record::reference_record::{ReferenceRecord, ReferenceRecordView};
use crate::store::Referrer;

/// The dialect that the engine writes.
pub(super) const DIALECT: Dialect = Dialect::V22;

/// An instance with everything that the repository stores for it.
#[derive(Debug)]
pub(super) struct Footprint {
    pub keys: InstanceKeys,
    /// Keys and records of the references that it makes.
    pub references: BTreeMap<String, ReferenceRecord>,
}

impl Changes<'_, '_> {
    /// The builder of keys.
    pub(super) fn keys(&self) -> ObjectKeys {
        self.state.catalog.keys().clone()
    }

    /// The present classes and namespaces; its instances may be older.
    pub(super) fn schema(&mut self) -> &Catalog {
        if self.state.is_stale {
            self.now();
        }
        &self.state.catalog
    }

    /// The present state of everything.
    pub(super) fn now(&mut self) -> Catalog {
        self.state.catalog = self.state.catalog.moved_to(self.transaction.snapshot());
        self.state.is_stale = false;
        self.state.catalog.clone()
    }

    /// Records that classes or namespaces change.
    pub(super) fn touch_schema(&mut self) {
        self.state.is_stale = true;
    }

    /// Runs a change. If it fails half-way, nothing can be committed any more.
    pub(super) fn change<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.state.check()?;
        let is_part = std::mem::replace(&mut self.state.is_changing, true);
        let result = change(self);
        self.state.is_changing = is_part;
        self.state.is_broken |= result.is_err();
        result
    }

    /// A new time stamp.
    pub(super) fn stamp(&mut self) -> u64 {
        self.state.stamps.take(self.transaction)
    }

    /// Stores a record under keys.
    pub(super) fn put(&mut self, keys: &[&str], record: &[u8]) -> Result<RecordRef> {
        let reference = self.transaction.insert_record(record)?;
        for key in keys {
            self.transaction
                .insert_key(format!("{key}.{reference}").as_bytes())?;
        }
        Ok(reference)
    }

    /// Removes a record and the keys that name it. Does nothing if the first key does not exist.
    pub(super) fn take(&mut self, keys: &[&str]) -> Result<()> {
        let Some(first) = keys.first() else {
            return Ok(());
        };
        let Some(reference) = self.transaction.reference(first.as_bytes())? else {
            return Ok(());
        };
        for key in keys {
            self.transaction
                .remove_key(format!("{key}.{reference}").as_bytes())?;
        }
        self.transaction.remove_record(reference)
    }

    /// Removes a record that no key names any more. If its page is damaged, it stays.
    pub(super) fn discard(&mut self, record: RecordRef) -> Result<()> {
        match self.transaction.remove_record(record) {
            Err(Error::Corrupt(_)) => Ok(()),
            other => other,
        }
    }

    /// Everything that the repository stores for an instance under the present classes and
    /// namespaces.
    pub(super) fn footprint(&mut self, namespace: &str, instance: &Instance) -> Result<Footprint> {
        let catalog = self.schema();
        let keys = instance_keys(catalog.keys(), namespace, instance)?;
        let mut references = BTreeMap::new();
        let mut dangling = Vec::new();
        if has_references(instance.class()) {
            for reference in catalog.outgoing_references(namespace, instance, &keys)? {
                match reference.target {
                    // If two properties refer to the same instance, the first one has the record.
                    Ok(target) => _ = references.entry(target.key).or_insert(target.record),
                    Err(Unresolved::NoNamespace(target)) => {
                        dangling.push(catalog.keys().namespace(&target))
                    }
                    Err(Unresolved::NoPath) => {}
                }
            }
        }
        for target in dangling {
            let (class, key) = (
                instance.class().name().as_str().to_owned(),
                keys.keyed.clone(),
            );
            self.transaction.add_referrer(
                &target,
                Referrer {
                    namespace: namespace.to_owned(),
                    class,
                    key,
                },
            );
        }
        Ok(Footprint { keys, references })
    }

    /// Replaces one state of an instance by another.
    pub(super) fn swap(
        &mut self,
        old: Option<&Footprint>,
        new: Option<(&Footprint, &[u8])>,
    ) -> Result<()> {
        if let Some(old) = old {
            self.take(&[&old.keys.keyed, &old.keys.own])?;
        }
        if let Some((new, record)) = new {
            self.put(&[&new.keys.keyed, &new.keys.own], record)?;
        }
        let none = BTreeMap::new();
        let before = old.map_or(&none, |old| &old.references);
        let after = new.map_or(&none, |(new, _)| &new.references);
        for (key, record) in before {
            if after.get(key).is_none_or(|kept| !is_same(kept, record)) {
                self.take(&[key])?;
            }
        }
        for (key, record) in after {
            if self.transaction.reference(key.as_bytes())?.is_none() {
                self.put(&[key], &record.to_bytes())?;
            }
        }
        Ok(())
    }

    /// The instance in a record if it is of this class; `None` if it is of another.
    pub(super) fn read(
        &mut self,
        record: RecordRef,
        class: &Arc<FullClass>,
    ) -> Result<Option<(Instance, u64)>> {
        let hash = self.state.catalog.keys().hash(class.name().as_str());
        self.look(record, |view| {
            if view.class_hash()? != hash {
                return Ok(None);
            }
            Ok(Some((view.to_instance(class)?, view.stamp())))
        })
    }

    /// True if the record is of an instance of exactly this class.
    pub(super) fn is_of_class(&mut self, record: RecordRef, class: &FullClass) -> Result<bool> {
        let hash = self.state.catalog.keys().hash(class.name().as_str());
        self.look(record, |view| Ok(view.class_hash()? == hash))
    }

    fn look<T>(
        &self,
        record: RecordRef,
        look: impl FnOnce(&InstanceRecordView<'_>) -> Result<T, BadRecord>,
    ) -> Result<T> {
        let bytes = self.transaction.record(record)?;
        let looked = InstanceRecordView::parse(&bytes, DIALECT).and_then(|view| look(&view));
        looked.map_err(|bad| {
            self.state
                .catalog
                .bad(CorruptionCode::RecordInstance, record, bad)
        })
    }

    /// The reference in a record.
    pub(super) fn read_reference(&mut self, record: RecordRef) -> Result<ReferenceRecord> {
        let bytes = self.transaction.record(record)?;
        let read = ReferenceRecordView::parse(&bytes).and_then(|view| view.to_reference());
        read.map_err(|bad| {
            self.state
                .catalog
                .bad(CorruptionCode::RecordReference, record, bad)
        })
    }

    /// The class with this name, in a namespace or, failing that, among the system classes.
    pub(super) fn class(
        &mut self,
        namespace: &str,
        class: &str,
    ) -> Result<Option<Arc<StoredClass>>> {
        self.schema().class(namespace, class)
    }

    /// Fails if a namespace does not exist.
    pub(super) fn need_namespace(&mut self, namespace: &str) -> Result<()> {
        match self.schema().has_namespace(namespace)? {
            true => Ok(()),
            false => Err(Error::rule(
                Rule::InvalidNamespace,
                format!("there is no namespace {namespace}"),
            )),
        }
    }
}

/// True if two records are equal apart from the spelling of the namespace, which is left to the
/// writer.
fn is_same(a: &ReferenceRecord, b: &ReferenceRecord) -> bool {
    (&a.class, &a.property, &a.key) == (&b.class, &b.property, &b.key)
}

/// True if instances of a class can refer to others.
pub(super) fn has_references(class: &FullClass) -> bool {
    class
        .properties()
        .iter()
        .any(|property| property.cim_type.scalar == ScalarType::Reference)
}

/// The record of an instance.
pub(super) fn encode(instance: &Instance, stamp: u64, class_stamp: u64) -> Result<Vec<u8>> {
    encode_instance_record(instance, DIALECT, stamp, class_stamp)
        .map_err(|error| not_storable(instance.class().name().as_str(), &error))
}

pub(super) fn not_storable(class: &str, error: &EncodeError) -> Error {
    Error::rule(Rule::InvalidObject, format!("{class} {error}"))
}

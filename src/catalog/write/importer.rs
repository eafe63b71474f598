//! Import of objects from another repository.

use std::fmt;
use std::sync::Arc;

use super::{Changes, Put, State, UpdateMode, system};
use crate::base::error::{Error, Result};
use crate::base::filetime::FileTime;
use crate::base::rule::Rule;
use crate::catalog::{Catalog, StoredClass};
use crate::cim::class::Class;
use crate::cim::instance::Instance;
use crate::cim::path::ObjectPath;
use crate::format::index::object_key::SYSTEM_NAMESPACE;
use crate::store::Transaction;

use super::class_update::Step;
use super::classes::record;
use super::fit::{Misfit, fit};
use super::instances::no_class;

/// A transaction that stores objects as they are. It rejects only what the format cannot hold.
/// System classes go into [`SYSTEM_NAMESPACE`]. Namespaces come as instances of `__NAMESPACE`;
/// nothing is created implicitly. An existing object is replaced.
///
/// Namespaces must come first, superclasses before their subclasses, and classes before their
/// instances.
pub struct Importer<'e> {
    transaction: Transaction<'e>,
    state: State,
}

impl fmt::Debug for Importer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Importer").finish_non_exhaustive()
    }
}

impl<'e> Importer<'e> {
    /// Starts an import in a transaction.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] or [`Error::Io`] if the index cannot be read.
    pub fn new(mut transaction: Transaction<'e>) -> Result<Self> {
        let state = State::begin(&mut transaction)?;
        Ok(Self { transaction, state })
    }

    pub(in crate::catalog) fn changes(&mut self) -> Changes<'_, 'e> {
        Changes::new(&mut self.transaction, &mut self.state)
    }

    /// The present objects of the transaction. Later changes do not show.
    pub fn catalog(&mut self) -> Catalog {
        self.changes().now()
    }

    /// Stores a class with the given time stamp or a new one.
    ///
    /// # Errors
    /// Returns [`Error::Rule`] if it cannot be stored or its superclass does not exist,
    /// [`Error::Corrupt`], or [`Error::Io`].
    pub fn put_class(
        &mut self,
        namespace: &str,
        class: &Class,
        stamp: Option<FileTime>,
    ) -> Result<Arc<StoredClass>> {
        let stamp = self.note(stamp);
        self.changes().import_class(namespace, class, stamp)
    }

    /// Stores an instance with the given time stamp or a new one. Its class is the one of the same
    /// name in the namespace, and values are matched by property name.
    ///
    /// # Errors
    /// Returns [`Error::Rule`] if it cannot be stored or its class does not exist,
    /// [`Error::Corrupt`], or [`Error::Io`].
    pub fn put_instance(
        &mut self,
        namespace: &str,
        instance: &Instance,
        stamp: Option<FileTime>,
    ) -> Result<ObjectPath> {
        let stamp = self.note(stamp);
        self.changes().import_instance(namespace, instance, stamp)
    }

    /// Notes a time stamp, which no object gets again, and returns its number.
    fn note(&mut self, stamp: Option<FileTime>) -> Option<u64> {
        let stamp = stamp.map(|stamp| stamp.0);
        if let Some(stamp) = stamp {
            self.state.stamps.note(stamp, &self.transaction);
        }
        stamp
    }

    /// The transaction over keys and records.
    pub(in crate::catalog) const fn transaction(&mut self) -> &mut Transaction<'e> {
        &mut self.transaction
    }

    /// Makes the changes permanent.
    ///
    /// # Errors
    /// The errors of [`Transaction::commit`], and [`Error::InvalidOperation`] after a change that
    /// failed half-way.
    pub fn commit(self) -> Result<()> {
        self.state.check()?;
        self.transaction.commit()
    }
}

impl Changes<'_, '_> {
    fn import_class(
        &mut self,
        namespace: &str,
        class: &Class,
        stamp: Option<u64>,
    ) -> Result<Arc<StoredClass>> {
        let is_system = namespace.eq_ignore_ascii_case(SYSTEM_NAMESPACE);
        let name = class.name.clone();
        let full = Arc::new(self.composed(namespace, class.clone())?);
        let old = self.class(namespace, name.as_str())?;
        if is_system && let Some(old) = old {
            return match *old.class == *full {
                true => Ok(old),
                false => Err(Error::rule(
                    Rule::ReadOnly,
                    format!("the system class {name} is there already"),
                )),
            };
        }
        let mut steps = vec![Step::new(old, full.clone())];
        if steps.iter().any(|step| step.old.is_some()) {
            self.plan_derived(namespace, &mut steps, UpdateMode::Force)?;
        }
        let mut records = steps.iter().map(Step::record).collect::<Result<Vec<_>>>()?;
        if let Some(first) = records.first_mut() {
            *first = Some(record(&full, 0)?);
        }
        self.change(|changes| changes.apply(namespace, &steps, records, stamp))?;
        self.class(namespace, name.as_str())?
            .ok_or_else(|| no_class(namespace, name.as_str()))
    }

    fn import_instance(
        &mut self,
        namespace: &str,
        instance: &Instance,
        stamp: Option<u64>,
    ) -> Result<ObjectPath> {
        let name = instance.class().name().as_str();
        let class = self
            .class(namespace, name)?
            .ok_or_else(|| no_class(namespace, name))?;
        let instance = fit(instance, &class.class, Misfit::Refuse)?;
        let path = self.write_instance(namespace, &class, &instance, Put::CreateOrUpdate, stamp)?;
        if class.class.is_a(system::NAMESPACE) {
            self.touch_schema();
        }
        Ok(path)
    }
}

//! Transactions on the objects of a namespace, through a connection with limited rights.

use std::sync::Arc;

use parking_lot::Mutex;

use super::namespace::{Identity, need_any, need_inside};
use super::writing::WriteTransaction;
use crate::base::error::Result;
use crate::catalog::StoredClass;
use crate::catalog::{Changes, Put, PutClass, State};
use crate::cim::class::Class;
use crate::cim::instance::Instance;
use crate::cim::path::ObjectPath;
use crate::format::security::descriptor::SecurityDescriptor;
use crate::security::AccessRights;
use crate::store::Durability;

/// The right required to write classes and namespaces.
const FULL: AccessRights = AccessRights::FULL_WRITE_REP;
/// The rights of which one is required to write instances.
const INSTANCES: AccessRights = FULL.union(AccessRights::PARTIAL_WRITE_REP);

/// A transaction on the objects of a namespace. Dropping it, or breaking the connection, rolls it
/// back. Every call fails with [`Error::Disconnected`](crate::Error::Disconnected) on a broken
/// connection, and with [`Error::AccessDenied`](crate::Error::AccessDenied) if a right is missing.
#[derive(Debug)]
pub struct NamespaceWriter {
    transaction: WriteTransaction,
    state: Mutex<State>,
    identity: Identity,
    namespace: Arc<str>,
    rights: AccessRights,
}

impl NamespaceWriter {
    pub(super) fn new(
        transaction: WriteTransaction,
        identity: Identity,
        namespace: Arc<str>,
        rights: AccessRights,
    ) -> Result<Self> {
        let state = Mutex::new(transaction.with(|transaction| State::begin(transaction))?);
        Ok(Self {
            transaction,
            state,
            identity,
            namespace,
            rights,
        })
    }

    /// Runs a change that requires one of these rights.
    fn change<T>(
        &mut self,
        needed: AccessRights,
        change: impl FnOnce(&mut Changes<'_, 'static>, &str) -> Result<T>,
    ) -> Result<T> {
        need_any(self.rights, needed, &self.namespace)?;
        let mut state = self.state.lock();
        self.transaction
            .with(|transaction| change(&mut Changes::new(transaction, &mut state), &self.namespace))
    }

    /// Sets when the commit counts as done.
    ///
    /// # Errors
    /// The errors of every call.
    pub fn set_durability(&mut self, durability: Durability) -> Result<()> {
        self.transaction.set_durability(durability)
    }

    /// Stores a class; see [`CatalogWriter::put_class`](crate::catalog::CatalogWriter::put_class).
    /// Requires `FULL_WRITE_REP`.
    ///
    /// # Errors
    /// The errors of that method and of every call.
    pub fn put_class(&mut self, class: &Class, how: PutClass) -> Result<Arc<StoredClass>> {
        self.change(FULL, |changes, namespace| {
            changes.put_class(namespace, class, how)
        })
    }

    /// Deletes a class; see
    /// [`CatalogWriter::delete_class`](crate::catalog::CatalogWriter::delete_class). Requires
    /// `FULL_WRITE_REP`.
    ///
    /// # Errors
    /// The errors of that method and of every call.
    pub fn delete_class(&mut self, class: &str) -> Result<()> {
        self.change(FULL, |changes, namespace| {
            changes.delete_class(namespace, class)
        })
    }

    /// Stores an instance; see
    /// [`CatalogWriter::put_instance`](crate::catalog::CatalogWriter::put_instance). Requires
    /// `FULL_WRITE_REP` or, except for instances of system classes, `PARTIAL_WRITE_REP`.
    ///
    /// # Errors
    /// The errors of that method and of every call.
    pub fn put_instance(&mut self, instance: &Instance, put: Put) -> Result<ObjectPath> {
        let is_full = self.rights.contains(FULL);
        self.change(INSTANCES, |changes, namespace| match is_full {
            true => changes.put_instance(namespace, instance, put),
            false => changes.put_own_instance(namespace, instance, put),
        })
    }

    /// Deletes an instance; see
    /// [`CatalogWriter::delete_instance`](crate::catalog::CatalogWriter::delete_instance). Requires
    /// the same rights as [`put_instance`](Self::put_instance).
    ///
    /// # Errors
    /// The errors of that method and of every call.
    pub fn delete_instance(&mut self, path: &ObjectPath) -> Result<()> {
        need_inside(path, &self.namespace)?;
        let is_full = self.rights.contains(FULL);
        self.change(INSTANCES, |changes, namespace| match is_full {
            true => changes.delete_instance(namespace, path),
            false => changes.delete_own_instance(namespace, path),
        })
    }

    /// Creates a namespace below this one, with the descriptor that it inherits. Requires
    /// `FULL_WRITE_REP`.
    ///
    /// # Errors
    /// The errors of
    /// [`CatalogWriter::create_namespace`](crate::catalog::CatalogWriter::create_namespace) and of
    /// every call.
    pub fn create_namespace(&mut self, name: &str) -> Result<()> {
        self.change(FULL, |changes, namespace| {
            changes.create_namespace(&format!(r"{namespace}\{name}"), None)
        })
    }

    /// Deletes a namespace below this one with all its content. Requires `FULL_WRITE_REP`.
    ///
    /// # Errors
    /// The errors of
    /// [`CatalogWriter::delete_namespace`](crate::catalog::CatalogWriter::delete_namespace) and of
    /// every call.
    pub fn delete_namespace(&mut self, name: &str) -> Result<()> {
        self.change(FULL, |changes, namespace| {
            changes.delete_namespace(&format!(r"{namespace}\{name}"))
        })
    }

    /// Sets the descriptor of the namespace (`SetSD`). Its own entries are taken from `bytes`,
    /// inherited ones from the present descriptor of the parent. The connection keeps its rights.
    ///
    /// # Errors
    /// The errors of [`NamespaceSecurity::set_sd`](crate::security::NamespaceSecurity::set_sd) or,
    /// without checks of rights, those of [`SecurityDescriptor::parse`], and the errors of every
    /// call.
    pub fn set_sd(&mut self, bytes: &[u8]) -> Result<()> {
        let identity = self.identity.clone();
        self.change(AccessRights::WRITE_DAC, |changes, namespace| {
            let descriptor = match &identity {
                Identity::Checked(caller) => {
                    let parent = namespace
                        .rsplit_once('\\')
                        .map(|(parent, _)| changes.security(parent))
                        .transpose()?;
                    let stored = changes.security(namespace)?;
                    let parent = parent.as_ref().map(|parent| &parent.descriptor);
                    stored.as_security().set_sd(caller, bytes, parent)?
                }
                Identity::Trusted => SecurityDescriptor::parse(bytes)
                    .map_err(|fault| crate::Error::InvalidObject(fault.to_string().into()))?,
            };
            changes.set_security_descriptor(namespace, &descriptor)
        })
    }

    /// Makes the changes permanent.
    ///
    /// # Errors
    /// The errors of [`WriteTransaction::commit`], and
    /// [`Error::InvalidOperation`](crate::Error::InvalidOperation) after a change that failed
    /// half-way.
    pub fn commit(self) -> Result<()> {
        self.state.lock().check()?;
        self.transaction.commit()
    }
}

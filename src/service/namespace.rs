//! Connections to a namespace, limited to the rights of the caller there.
//!
//! The rights are those that the stored descriptor gave the caller when the connection was made. A
//! change of the descriptor applies to later connections. `docs::security`, section 5, lists the
//! operations that each right allows.

use std::sync::Arc;
use std::time::Duration;

use super::connection::{Enumeration, Link};
use super::namespace_writer::NamespaceWriter;
use super::{Caller, Connection, Operation, Root, Service};
use crate::base::error::{Error, Result};
use crate::base::rule::Rule;
use crate::catalog::{Catalog, Referrer, StoredClass, StoredInstance, StoredSecurity};
use crate::cim::name;
use crate::cim::path::ObjectPath;
use crate::gate::Wait;
use crate::security::{self, AccessRights};

/// The client of a namespace as others see it. It was checked against the namespace earlier.
#[derive(Debug)]
struct Client {
    name: String,
}

impl Caller for Client {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, operation: Operation, _: &Root<'_>) -> Result<()> {
        match operation {
            Operation::Connect => Ok(()),
            _ => Err(Error::denied(format!(
                "{} is connected to a namespace alone",
                self.name
            ))),
        }
    }
}

/// The identity of the user of a connection.
#[derive(Debug, Clone)]
pub(super) enum Identity {
    /// A user whose rights are checked.
    Checked(security::Caller),
    /// Code of this process, which could write the files directly.
    Trusted,
}

impl Service {
    /// Connects a caller to a namespace. Waits while a restore replaces the content, at most
    /// `limit`. The connection has exactly the rights that the descriptor of the namespace gives
    /// the caller.
    ///
    /// # Errors
    /// Returns [`Error::AccessDenied`] without `WBEM_ENABLE`, or from another machine without
    /// `WBEM_REMOTE_ACCESS`; [`Error::EncryptionRequired`]; [`Error::Rule`] if there is no such
    /// namespace; [`Error::InvalidObject`] if its descriptor is damaged; [`Error::Timeout`];
    /// [`Error::Closed`]; [`Error::Corrupt`]; or [`Error::Io`].
    pub fn connect_namespace(
        &self,
        caller: security::Caller,
        namespace: &str,
        limit: Option<Duration>,
    ) -> Result<NamespaceConnection> {
        // A refusal must have no effect, so the check does not use a connection, which would
        // prevent a restore.
        Catalog::strict(self.snapshot()?)
            .security_of(namespace)?
            .as_security()
            .connect(&caller)?;
        let client = Arc::new(Client {
            name: caller.user().to_string(),
        });
        self.connect_client(client, Identity::Checked(caller), namespace, limit)
    }

    /// Connects code of this process to a namespace without checking rights.
    ///
    /// # Errors
    /// Returns [`Error::Rule`] if there is no such namespace, [`Error::Closed`],
    /// [`Error::Corrupt`], or [`Error::Io`].
    pub fn connect_namespace_unchecked(&self, namespace: &str) -> Result<NamespaceConnection> {
        self.connect_client(Arc::new(super::Trusted), Identity::Trusted, namespace, None)
    }

    fn connect_client(
        &self,
        client: Arc<dyn Caller>,
        identity: Identity,
        namespace: &str,
        limit: Option<Duration>,
    ) -> Result<NamespaceConnection> {
        let id = self.core.gate.connect(Wait::at_most(limit))?;
        let connection = Connection::new(&self.core, id, client);
        // A restore may have brought another descriptor in the meantime.
        let catalog = connection.catalog()?;
        let rights = match &identity {
            Identity::Checked(caller) => catalog
                .security_of(namespace)?
                .as_security()
                .connect(caller)?,
            Identity::Trusted if catalog.has_namespace(namespace)? => AccessRights::all(),
            Identity::Trusted => return Err(missing(namespace)),
        };
        Ok(NamespaceConnection {
            connection,
            identity,
            namespace: namespace.into(),
            rights,
        })
    }
}

fn missing(namespace: &str) -> Error {
    Error::rule(
        Rule::InvalidNamespace,
        format!("there is no namespace {namespace}"),
    )
}

/// A connection to a namespace. It also gives the guarantees of a [`Connection`].
#[derive(Debug)]
pub struct NamespaceConnection {
    connection: Connection,
    identity: Identity,
    namespace: Arc<str>,
    rights: AccessRights,
}

impl NamespaceConnection {
    /// The path of the namespace, as requested.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The rights of the caller here (`GetCallerAccessRights`).
    pub const fn rights(&self) -> AccessRights {
        self.rights
    }

    /// True if the connection is broken.
    pub fn is_broken(&self) -> bool {
        self.connection.is_broken()
    }

    /// The objects of the namespace after the last commit.
    ///
    /// # Errors
    /// The errors of [`Connection::view`].
    pub fn view(&self) -> Result<NamespaceView> {
        let catalog = self.connection.catalog()?;
        let (link, identity) = (self.connection.link().clone(), self.identity.clone());
        Ok(NamespaceView {
            link,
            catalog,
            namespace: self.namespace.clone(),
            identity,
        })
    }

    /// The descriptor of the namespace (`GetSD`), with its own and its inherited entries.
    ///
    /// # Errors
    /// Returns [`Error::AccessDenied`] without `READ_CONTROL`, [`Error::InvalidObject`] if the
    /// descriptor is damaged, and the errors of [`Connection::view`].
    pub fn get_sd(&self) -> Result<Vec<u8>> {
        let stored: StoredSecurity = self.connection.catalog()?.security_of(&self.namespace)?;
        match &self.identity {
            Identity::Checked(caller) => stored.as_security().get_sd(caller),
            Identity::Trusted => Ok(stored.descriptor.to_bytes()),
        }
    }

    /// Begins a transaction on the objects of the namespace. Waits for its turn while another one
    /// is running or the repository is paused.
    ///
    /// # Errors
    /// Returns [`Error::AccessDenied`] without any right to write, and the errors of
    /// [`Connection::begin_write`].
    pub fn begin_write(&self) -> Result<NamespaceWriter> {
        self.need_any(
            AccessRights::FULL_WRITE_REP
                | AccessRights::PARTIAL_WRITE_REP
                | AccessRights::WRITE_DAC,
        )?;
        let transaction = self.connection.begin_write()?;
        NamespaceWriter::new(
            transaction,
            self.identity.clone(),
            self.namespace.clone(),
            self.rights,
        )
    }

    fn need_any(&self, rights: AccessRights) -> Result<()> {
        need_any(self.rights, rights, &self.namespace)
    }
}

/// Fails unless the caller has one of these rights.
pub(super) fn need_any(has: AccessRights, any: AccessRights, namespace: &str) -> Result<()> {
    match has.intersects(any) {
        true => Ok(()),
        false => Err(Error::denied(format!(
            "the connection to {namespace} has {has} and needs one of {any}"
        ))),
    }
}

/// Fails for a path into another namespace, where other rights apply.
pub(super) fn need_inside(path: &ObjectPath, namespace: &str) -> Result<()> {
    match &path.namespace {
        Some(other) if !name::same(other, namespace) => {
            let text =
                format!("{path} lies in another namespace than {namespace}; connect to that");
            Err(Error::rule(Rule::InvalidNamespace, text))
        }
        _ => Ok(()),
    }
}

/// A state of a namespace on a connection. It does not change. It cannot be read after the
/// connection is broken.
#[derive(Debug, Clone)]
pub struct NamespaceView {
    pub(super) link: Arc<Link>,
    pub(super) catalog: Catalog,
    pub(super) namespace: Arc<str>,
    pub(super) identity: Identity,
}

impl NamespaceView {
    /// A class; see [`Catalog::class`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of that
    /// method.
    pub fn class(&self, class: &str) -> Result<Option<Arc<StoredClass>>> {
        self.link.check()?;
        self.catalog.class(&self.namespace, class)
    }

    /// The classes of the namespace; see [`Catalog::classes`].
    pub fn classes(&self) -> Enumeration<impl Iterator<Item = Result<Arc<StoredClass>>> + use<>> {
        Enumeration::new(self.link.clone(), self.catalog.classes(&self.namespace))
    }

    /// The direct subclasses of a class; see [`Catalog::subclasses`].
    pub fn subclasses(
        &self,
        superclass: Option<&str>,
    ) -> Enumeration<impl Iterator<Item = Result<Arc<StoredClass>>> + use<>> {
        Enumeration::new(
            self.link.clone(),
            self.catalog.subclasses(&self.namespace, superclass),
        )
    }

    /// The instance that a path denotes; see [`Catalog::instance`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, [`Error::Rule`] for a path into
    /// another namespace, and otherwise the errors of that method.
    pub fn instance(&self, path: &ObjectPath) -> Result<Option<StoredInstance>> {
        self.link.check()?;
        need_inside(path, &self.namespace)?;
        self.catalog.instance(&self.namespace, path)
    }

    /// The instances of exactly this class; see [`Catalog::instances`].
    pub fn instances(
        &self,
        class: &str,
    ) -> Enumeration<impl Iterator<Item = Result<StoredInstance>> + use<>> {
        Enumeration::new(
            self.link.clone(),
            self.catalog.instances(&self.namespace, class),
        )
    }

    /// The instances of a class and its subclasses; see [`Catalog::instances_deep`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of that
    /// method.
    pub fn instances_deep(
        &self,
        class: &str,
    ) -> Result<Enumeration<impl Iterator<Item = Result<StoredInstance>> + use<>>> {
        self.link.check()?;
        Ok(Enumeration::new(
            self.link.clone(),
            self.catalog.instances_deep(&self.namespace, class)?,
        ))
    }

    /// The references to an instance; see [`Catalog::referrers`].
    ///
    /// # Errors
    /// The errors of [`instance`](Self::instance).
    pub fn referrers(
        &self,
        path: &ObjectPath,
    ) -> Result<Enumeration<impl Iterator<Item = Result<Referrer>> + use<>>> {
        self.link.check()?;
        need_inside(path, &self.namespace)?;
        Ok(Enumeration::new(
            self.link.clone(),
            self.catalog.referrers(&self.namespace, path)?,
        ))
    }

    /// The namespaces directly below; see [`Catalog::child_namespaces`]. The caller may have no
    /// right to connect to them.
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection.
    pub fn child_namespaces(&self) -> Result<Vec<Result<String>>> {
        self.link.check()?;
        Ok(self.catalog.child_namespaces(&self.namespace))
    }
}

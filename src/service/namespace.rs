//! A connection to a namespace, with the rights that the caller has there.
//!
//! Rights are those that the stored descriptor gave the caller when the connection was made; a
//! change of the descriptor counts for later connections. What each of them allows stands in
//! `docs::security`, section 5.

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

/// A client of a namespace, as others see it. It was held against the namespace before.
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

/// Who works on a connection.
#[derive(Debug, Clone)]
pub(super) enum Identity {
    /// Someone whose rights are checked.
    Checked(security::Caller),
    /// Code of this process: it could write the files as well.
    Trusted,
}

impl Service {
    /// Connects a caller to a namespace; waits while a restore replaces the content, at most as
    /// long as `limit`. The connection has exactly the rights that the descriptor of the namespace
    /// gives the caller.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] without `WBEM_ENABLE`, or from another machine without
    /// `WBEM_REMOTE_ACCESS`; [`Error::EncryptionRequired`]; [`Error::Rule`] when there is no such
    /// namespace; [`Error::InvalidObject`] when its descriptor is damaged; [`Error::Timeout`];
    /// [`Error::Closed`]; [`Error::Corrupt`], [`Error::Io`].
    pub fn connect_namespace(
        &self,
        caller: security::Caller,
        namespace: &str,
        limit: Option<Duration>,
    ) -> Result<NamespaceConnection> {
        // A refusal has no effect: whoever may not connect hinders no restore.
        Catalog::strict(self.snapshot()?)
            .security_of(namespace)?
            .as_security()
            .connect(&caller)?;
        let client = Arc::new(Client {
            name: caller.user().to_string(),
        });
        self.connect_client(client, Identity::Checked(caller), namespace, limit)
    }

    /// Connects code of this process to a namespace, without any check of rights.
    ///
    /// # Errors
    /// [`Error::Rule`] when there is no such namespace; [`Error::Closed`]; [`Error::Corrupt`],
    /// [`Error::Io`].
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
        // A restore may have brought another descriptor meanwhile.
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

/// A connection to a namespace. What it promises beside is what [`Connection`] does.
#[derive(Debug)]
pub struct NamespaceConnection {
    connection: Connection,
    identity: Identity,
    namespace: Arc<str>,
    rights: AccessRights,
}

impl NamespaceConnection {
    /// The path of the namespace, as it was asked for.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What the caller may do here (`GetCallerAccessRights`).
    pub const fn rights(&self) -> AccessRights {
        self.rights
    }

    /// True if it was broken.
    pub fn is_broken(&self) -> bool {
        self.connection.is_broken()
    }

    /// The objects of the namespace after the last commit.
    ///
    /// # Errors
    /// As [`Connection::view`].
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

    /// The descriptor of the namespace (`GetSD`): its own entries and inherited ones.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] without `READ_CONTROL`; [`Error::InvalidObject`] when it is damaged;
    /// as [`Connection::view`].
    pub fn get_sd(&self) -> Result<Vec<u8>> {
        let stored: StoredSecurity = self.connection.catalog()?.security_of(&self.namespace)?;
        match &self.identity {
            Identity::Checked(caller) => stored.as_security().get_sd(caller),
            Identity::Trusted => Ok(stored.descriptor.to_bytes()),
        }
    }

    /// Begins a transaction on the objects of the namespace; waits for its turn, while another runs
    /// or the repository is paused.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] without any right to write; as [`Connection::begin_write`].
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

/// Refuses whoever has none of these rights.
pub(super) fn need_any(has: AccessRights, any: AccessRights, namespace: &str) -> Result<()> {
    match has.intersects(any) {
        true => Ok(()),
        false => Err(Error::denied(format!(
            "the connection to {namespace} has {has} and needs one of {any}"
        ))),
    }
}

/// Refuses a path into another namespace: the rights there are others.
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

/// A state of a namespace on a connection. It does not change; when the connection is broken it can
/// be read no more.
#[derive(Debug, Clone)]
pub struct NamespaceView {
    pub(super) link: Arc<Link>,
    pub(super) catalog: Catalog,
    pub(super) namespace: Arc<str>,
    pub(super) identity: Identity,
}

impl NamespaceView {
    /// As [`Catalog::class`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as there.
    pub fn class(&self, class: &str) -> Result<Option<Arc<StoredClass>>> {
        self.link.check()?;
        self.catalog.class(&self.namespace, class)
    }

    /// As [`Catalog::classes`].
    pub fn classes(&self) -> Enumeration<impl Iterator<Item = Result<Arc<StoredClass>>> + use<>> {
        Enumeration::new(self.link.clone(), self.catalog.classes(&self.namespace))
    }

    /// As [`Catalog::subclasses`].
    pub fn subclasses(
        &self,
        superclass: Option<&str>,
    ) -> Enumeration<impl Iterator<Item = Result<Arc<StoredClass>>> + use<>> {
        Enumeration::new(
            self.link.clone(),
            self.catalog.subclasses(&self.namespace, superclass),
        )
    }

    /// As [`Catalog::instance`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection; [`Error::Rule`] for a path into another
    /// namespace; else as there.
    pub fn instance(&self, path: &ObjectPath) -> Result<Option<StoredInstance>> {
        self.link.check()?;
        need_inside(path, &self.namespace)?;
        self.catalog.instance(&self.namespace, path)
    }

    /// As [`Catalog::instances`].
    pub fn instances(
        &self,
        class: &str,
    ) -> Enumeration<impl Iterator<Item = Result<StoredInstance>> + use<>> {
        Enumeration::new(
            self.link.clone(),
            self.catalog.instances(&self.namespace, class),
        )
    }

    /// As [`Catalog::instances_deep`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as there.
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

    /// As [`Catalog::referrers`].
    ///
    /// # Errors
    /// As [`instance`](Self::instance).
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

    /// As [`Catalog::child_namespaces`]. To be let in there is another matter.
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection.
    pub fn child_namespaces(&self) -> Result<Vec<Result<String>>> {
        self.link.check()?;
        Ok(self.catalog.child_namespaces(&self.namespace))
    }
}

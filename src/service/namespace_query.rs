//! Queries on a connection to a namespace. Every namespace that a query reads requires the right to
//! read it.

use std::sync::Arc;

use super::connection::Link;
use super::namespace::{Identity, NamespaceView};
use crate::base::error::{Error, Result};
use crate::catalog::Catalog;
use crate::cim::name;
use crate::query::{self, Counters, Note, QueryOptions, Rights, Row, Rows};

/// The rights of a caller in all namespaces of a state, according to their descriptors.
struct StoredRights {
    identity: Identity,
    catalog: Catalog,
    /// The namespace of the connection, whose rights are known.
    namespace: Arc<str>,
}

impl Rights for StoredRights {
    fn may_read(&self, namespace: &str) -> Result<bool> {
        let Identity::Checked(caller) = &self.identity else {
            return Ok(true);
        };
        if name::same(namespace, &self.namespace) {
            return Ok(true);
        }
        let security = match self.catalog.security_of(namespace) {
            Ok(security) => security,
            // An unreadable descriptor grants nobody a right.
            Err(Error::InvalidObject(_) | Error::Corrupt(_) | Error::Rule { .. }) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        match security.as_security().connect(caller) {
            Ok(_) => Ok(true),
            Err(Error::AccessDenied(_) | Error::EncryptionRequired { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The rows of a query on a connection. After the connection is broken they end with
/// [`Error::Disconnected`].
#[derive(Debug)]
pub struct NamespaceRows {
    link: Arc<Link>,
    rows: Rows,
    is_over: bool,
}

impl NamespaceRows {
    /// The notes of the query; see [`Rows::notes`].
    pub fn notes(&self) -> &[Note] {
        self.rows.notes()
    }

    /// The counters of the query; see [`Rows::counters`].
    pub const fn counters(&self) -> Counters {
        self.rows.counters()
    }
}

impl Iterator for NamespaceRows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        if let Err(error) = self.link.check() {
            self.is_over = true;
            return Some(Err(error));
        }
        let next = self.rows.next();
        self.is_over = next.is_none();
        next
    }
}

impl NamespaceView {
    /// Runs a query on the objects of the namespace. Objects in other namespaces are included as
    /// far as the caller may read them there; a note states what was left out.
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of
    /// [`query::run`].
    pub fn query(&self, text: &str, options: QueryOptions) -> Result<NamespaceRows> {
        self.link.check()?;
        let (identity, catalog, namespace) = (
            self.identity.clone(),
            self.catalog.clone(),
            self.namespace.clone(),
        );
        let rights = Arc::new(StoredRights {
            identity,
            catalog,
            namespace,
        });
        let rows = query::run(&self.catalog, &self.namespace, text, options.rights(rights))?;
        Ok(NamespaceRows {
            link: self.link.clone(),
            rows,
            is_over: false,
        })
    }
}

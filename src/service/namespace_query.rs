//! Queries on a connection to a namespace: every namespace that is read needs the right to be read.

use std::sync::Arc;

use super::connection::Link;
use super::namespace::{Identity, NamespaceView};
use crate::base::error::{Error, Result};
use crate::catalog::Catalog;
use crate::cim::name;
use crate::query::{self, Counters, Note, QueryOptions, Rights, Row, Rows};

/// The rights of a caller in all namespaces of a state, as their descriptors give them.
struct StoredRights {
    identity: Identity,
    catalog: Catalog,
    /// The namespace of the connection, where the right is known.
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
            // A descriptor that cannot be read gives nobody a right.
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

/// The rows of a query on a connection. When the connection is broken they end with
/// [`Error::Disconnected`].
#[derive(Debug)]
pub struct NamespaceRows {
    link: Arc<Link>,
    rows: Rows,
    is_over: bool,
}

impl NamespaceRows {
    /// As [`Rows::notes`].
    pub fn notes(&self) -> &[Note] {
        self.rows.notes()
    }

    /// As [`Rows::counters`].
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
    /// Runs a query on the objects of the namespace. What lies in other namespaces is answered as
    /// far as the caller may read it there; a note says what was left out.
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection; else as [`query::run`].
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

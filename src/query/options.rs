//! Options of a query, and the rights that it asks of a connection.

use std::fmt;
use std::sync::Arc;

use crate::base::error::Result;

/// Answers which namespaces may be read. Files at hand may all be read; a connection has rights in
/// each namespace.
pub trait Rights: Send + Sync {
    /// True if the objects of a namespace may be read.
    ///
    /// # Errors
    /// The error that keeps it from being known.
    fn may_read(&self, namespace: &str) -> Result<bool>;
}

/// The choices of a caller.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct QueryOptions {
    /// Refuses what WMI refuses too: `COUNT(*)`.
    pub strict: bool,
    /// Gives at most so many rows.
    pub limit: Option<u64>,
    /// Runs the query in the namespace and everything below it. A namespace without the class is
    /// passed over.
    pub recursive: bool,
    /// Reads all instances of the namespace, whatever the condition allows: what every other plan
    /// is held against.
    pub full_scan: bool,
    /// Which namespaces may be read; all when there is none.
    pub rights: Option<Arc<dyn Rights>>,
}

impl QueryOptions {
    /// The options with at most so many rows.
    #[must_use]
    pub fn limit(self, rows: u64) -> Self {
        Self {
            limit: Some(rows),
            ..self
        }
    }

    /// The options with the namespaces below, or without.
    #[must_use]
    pub fn recursive(self, recursive: bool) -> Self {
        Self { recursive, ..self }
    }

    /// The options without what WMI refuses, or with it.
    #[must_use]
    pub fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// The options with a reading of all instances, or without.
    #[must_use]
    pub fn full_scan(self, full_scan: bool) -> Self {
        Self { full_scan, ..self }
    }

    /// The options with the rights of a connection.
    #[must_use]
    pub fn rights(self, rights: Arc<dyn Rights>) -> Self {
        Self {
            rights: Some(rights),
            ..self
        }
    }

    pub(super) fn may_read(&self, namespace: &str) -> Result<bool> {
        self.rights
            .as_ref()
            .map_or(Ok(true), |rights| rights.may_read(namespace))
    }
}

impl fmt::Debug for QueryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryOptions")
            .field("strict", &self.strict)
            .field("limit", &self.limit)
            .field("recursive", &self.recursive)
            .field("full_scan", &self.full_scan)
            .finish_non_exhaustive()
    }
}

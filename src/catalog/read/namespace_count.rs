//! The one count of namespaces: whatever prints a number of them takes it from here.

use super::{Catalog, Namespaces, ROOT};
use crate::store::Counts;

/// How many namespaces a repository has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NamespaceCount {
    /// Namespaces whose path is known: ROOT, if it has any key, what is found below it, and the
    /// [hidden](super::Hidden) ones whose path hashing gives. The system classes lie in none of
    /// them.
    pub named: u64,
    /// Namespaces that have keys, but of whose path only the hash is known.
    pub unnamed: u64,
}

impl Catalog {
    /// Counts what the repository holds, and its namespaces: both together take little longer than
    /// the first alone.
    pub fn counts(&self) -> (Counts, NamespaceCount) {
        self.snapshot.counts_beside(|| self.namespace_count())
    }

    /// The number of namespaces. What cannot be read is not counted.
    pub fn namespace_count(&self) -> NamespaceCount {
        let Namespaces { tree, hidden, .. } = self.all_namespaces();
        let tree = tree.iter().flatten().count() as u64;
        let found = hidden.iter().filter(|namespace| namespace.is_named).count() as u64;
        // The tree begins with ROOT, whether or not there is one.
        let has_root = self.scan(&self.keys.namespace(ROOT)).next().is_some();
        let rootless = u64::from(!has_root);
        NamespaceCount {
            named: tree.saturating_sub(rootless) + found,
            unnamed: hidden.len() as u64 - found,
        }
    }
}

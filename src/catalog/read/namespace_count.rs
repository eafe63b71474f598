//! The number of namespaces, computed here for every place that prints it.

use super::{Catalog, Namespaces, ROOT};
use crate::store::Counts;

/// The number of namespaces of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NamespaceCount {
    /// Namespaces whose path is known: ROOT, if it has any key, those below it, and the
    /// [hidden](super::Hidden) ones whose path was found by hashing. The system classes lie in none
    /// of them.
    pub named: u64,
    /// Namespaces that have keys but of which only the hash is known.
    pub unnamed: u64,
}

impl Catalog {
    /// Counts the content of the repository and its namespaces. Both together take little longer
    /// than the first alone.
    pub fn counts(&self) -> (Counts, NamespaceCount) {
        self.snapshot.counts_beside(|| self.namespace_count())
    }

    /// The number of namespaces, without those that cannot be read.
    pub fn namespace_count(&self) -> NamespaceCount {
        let Namespaces { tree, hidden, .. } = self.all_namespaces();
        let tree = tree.iter().flatten().count() as u64;
        let found = hidden.iter().filter(|namespace| namespace.is_named).count() as u64;
        // The tree begins with ROOT even if there is none.
        let has_root = self.scan(&self.keys.namespace(ROOT)).next().is_some();
        let rootless = u64::from(!has_root);
        NamespaceCount {
            named: tree.saturating_sub(rootless) + found,
            unnamed: hidden.len() as u64 - found,
        }
    }
}

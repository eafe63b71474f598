//! The one count of namespaces: whatever prints a number of them takes it from here.

use std::collections::BTreeSet;

use super::{Catalog, ROOT};
use crate::btree::scan::{Direction, KeyRange};
use crate::format::key;
use crate::format::object_key::SYSTEM_NAMESPACE;

/// How many namespaces a repository has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NamespaceCount {
    /// Namespaces that a path names: ROOT, if it has any key, and what is found below it. The system classes lie in none
    /// of them.
    pub named: u64,
    /// Namespaces that have keys in the index although no path leads to them: only the hashes of their paths are known.
    pub unnamed: u64,
}

impl Catalog {
    /// The number of namespaces. What cannot be read is not counted.
    pub fn namespace_count(&self) -> NamespaceCount {
        let named: Vec<String> = self.namespaces().into_iter().flatten().collect();
        let known = named.iter().map(String::as_str).chain([SYSTEM_NAMESPACE]);
        let known: BTreeSet<Vec<u8>> = known.map(|path| self.keys.namespace(path).into_bytes()).collect();

        let (mut unnamed, mut has_root) = (0, false);
        let root = self.keys.namespace(ROOT).into_bytes();
        let mut last = Vec::new();
        let mut keys = self.snapshot.keys(KeyRange::all(), Direction::Forward);
        while let Some(key) = keys.next_text() {
            let Ok(key) = key else { continue };
            let (first, _) = key::family(key);
            if first == last {
                continue;
            }
            last = first.to_vec();
            // The keys of a namespace begin with its token and the separator.
            let token = [first, b"\\"].concat();
            has_root |= token == root;
            unnamed += u64::from(!known.contains(&token));
        }
        let rootless = u64::from(!has_root);
        NamespaceCount { named: (named.len() as u64).saturating_sub(rootless), unnamed }
    }
}

//! References into missing namespaces, kept in memory so that creating such a namespace does not
//! require a search of all others.
//!
//! The engine only determines how long the record is valid. `changes` finds the references and adds
//! to them whatever it writes. Deleted ones may stay, because each is checked before it is used.

use std::collections::{BTreeMap, BTreeSet};

/// An instance that refers to other instances.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Referrer {
    /// The namespace of the instance.
    pub namespace: String,
    /// The class of the instance.
    pub class: String,
    /// The key of the instance under the class that declares its keys.
    pub key: String,
}

/// Largest number that is kept. Beyond it, the references are searched for when they are needed.
const MAX_REFERRERS: usize = 1 << 18;

/// The known referrers, indexed by the common prefix of the keys of the namespace to which they
/// refer.
#[derive(Debug, Default)]
pub(crate) struct Referrers {
    /// Number of the next commit in the state for which all referrers are known. `None` if that is
    /// not even the state before the running transaction.
    pub whole_at: Option<u64>,
    known: BTreeMap<String, BTreeSet<Referrer>>,
    count: usize,
}

impl Referrers {
    /// Forgets all referrers.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds a referrer. Returns `false` if there are too many.
    pub fn add(&mut self, target: &str, referrer: Referrer) -> bool {
        let there = self.known.entry(target.to_owned()).or_default();
        self.count += usize::from(there.insert(referrer));
        self.count <= MAX_REFERRERS
    }

    /// The instances that refer, or have referred, into a namespace.
    pub fn leading_into(&self, target: &str) -> Vec<Referrer> {
        self.known
            .get(target)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }
}

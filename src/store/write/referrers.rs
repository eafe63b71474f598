//! What refers into namespaces that are not there: kept in memory, so that making one does not
//! search all others.
//!
//! The engine only says how long it holds. `changes` finds it, and adds to it whatever it writes;
//! what goes may stay in it, for each is looked at again before it is used.

use std::collections::{BTreeMap, BTreeSet};

/// An instance that refers to others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Referrer {
    /// The namespace in which it lies.
    pub namespace: String,
    /// Its class.
    pub class: String,
    /// Its key under the class that declares its keys.
    pub key: String,
}

/// More are not kept: they are found again when they are needed.
const MAX_REFERRERS: usize = 1 << 18;

/// Those that are known, by what all keys of the namespace begin with into which they refer.
#[derive(Debug, Default)]
pub(crate) struct Referrers {
    /// Number of the next commit in the state of which all are known. `None`: not even of that
    /// before the transaction that runs.
    pub whole_at: Option<u64>,
    known: BTreeMap<String, BTreeSet<Referrer>>,
    count: usize,
}

impl Referrers {
    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds one; `false` when there are too many.
    pub fn add(&mut self, target: &str, referrer: Referrer) -> bool {
        let there = self.known.entry(target.to_owned()).or_default();
        self.count += usize::from(there.insert(referrer));
        self.count <= MAX_REFERRERS
    }

    /// Those that refer, or have referred, into a namespace.
    pub fn leading_into(&self, target: &str) -> Vec<Referrer> {
        self.known
            .get(target)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }
}

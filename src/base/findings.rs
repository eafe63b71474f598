//! A bounded collection of findings.

use std::collections::BTreeMap;

use super::corruption::{Corruption, CorruptionCode};
use super::limits::MAX_FINDINGS_PER_CODE;

/// Collects findings. It keeps a bounded number of each kind and counts the rest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    list: Vec<Corruption>,
    counts: BTreeMap<CorruptionCode, usize>,
    not_listed: u64,
}

impl Findings {
    pub(crate) fn push(&mut self, finding: Corruption) {
        self.push_with(finding.code, || finding);
    }

    /// Adds a finding like [`push`](Self::push), but calls `make` only if the finding will be kept.
    pub(crate) fn push_with(&mut self, code: CorruptionCode, make: impl FnOnce() -> Corruption) {
        let count = self.counts.entry(code).or_default();
        *count += 1;
        if *count <= MAX_FINDINGS_PER_CODE {
            self.list.push(make());
        } else {
            self.not_listed += 1;
        }
    }

    pub(crate) fn extend(&mut self, findings: impl IntoIterator<Item = Corruption>) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }

    /// Adds the findings of another collection.
    pub(crate) fn absorb(&mut self, other: Findings) {
        self.not_listed += other.not_listed;
        self.extend(other.list);
    }

    /// The earliest finding.
    pub(crate) fn first(&self) -> Option<&Corruption> {
        self.list.first()
    }

    /// The kept findings, in the order in which they were added.
    pub(crate) fn into_list(self) -> Vec<Corruption> {
        self.list
    }

    /// The kept findings sorted by place, and the number of findings that were only counted.
    pub(crate) fn finish(mut self) -> (Vec<Corruption>, u64) {
        self.list
            .sort_by(|a, b| (&a.site, a.code).cmp(&(&b.site, b.code)));
        (self.list, self.not_listed)
    }
}

//! A bounded collection of findings.

use std::collections::BTreeMap;

use super::corruption::{Corruption, CorruptionCode};
use super::limits::MAX_FINDINGS_PER_CODE;

/// Gathers findings; of each kind a bounded number, the rest counted.
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

    /// As [`push`](Self::push); what is counted alone is not made.
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

    /// Takes over what another gathered.
    pub(crate) fn absorb(&mut self, other: Findings) {
        self.not_listed += other.not_listed;
        self.extend(other.list);
    }

    /// The finding that came first.
    pub(crate) fn first(&self) -> Option<&Corruption> {
        self.list.first()
    }

    /// The findings in the order in which they came; those beyond the bound are left out.
    pub(crate) fn into_list(self) -> Vec<Corruption> {
        self.list
    }

    /// The findings in order of place, and the number of those not listed.
    pub(crate) fn finish(mut self) -> (Vec<Corruption>, u64) {
        self.list
            .sort_by(|a, b| (&a.site, a.code).cmp(&(&b.site, b.code)));
        (self.list, self.not_listed)
    }
}

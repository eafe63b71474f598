//! Comparison of a repository with and without its journals. Both states are checked, and their
//! differences are named, because Windows knows no journal and one can be planted.

use std::cmp::Ordering;

use crate::base::error::Result;
use crate::base::progress::{Monitor, Observer, Phase};
use crate::btree::scan::{Direction, KeyRange, Scan};
use crate::catalog::Catalog;
use crate::catalog::diff::{Change, Compared, Difference, diff};
use crate::format::index::key::Key;
use crate::store::{Journals, Snapshot};

use super::{GenerationReport, VerifyOptions, verify_snapshot};

/// Number of differences that are named; the rest are counted.
const NAMED: usize = 10;

/// The result for the journals.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct JournalReport {
    /// The journals and the fate of their commits.
    pub found: Journals,
    /// The generation without the commits, if any were replayed.
    pub without: Option<GenerationReport>,
    /// The differences between the two states, if commits were replayed.
    pub difference: StateDifference,
}

/// The differences between two states.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StateDifference {
    /// Keys of the index that only the state with the journal has.
    pub keys_added: u64,
    /// Keys of the index that only the state without it has.
    pub keys_removed: u64,
    /// Objects that only the state with the journal has.
    pub added: u64,
    /// Objects that only the state without it has.
    pub removed: u64,
    /// Objects that differ between the two.
    pub changed: u64,
    /// Objects of either state that cannot be read and are not compared.
    pub unreadable: u64,
    /// The first of the differences, by name.
    pub first: Vec<Difference>,
}

impl JournalReport {
    /// Checks the state without the replayed commits, and compares the two.
    pub(crate) fn of(
        found: &Journals,
        snapshot: &Snapshot,
        options: VerifyOptions,
        observer: &dyn Observer,
    ) -> Result<Self> {
        if found.replayed() == 0 {
            return Ok(Self {
                found: found.clone(),
                ..Self::default()
            });
        }
        let without = verify_snapshot(&snapshot.on_disk(), options, observer)?;
        Self::beside(without, found, snapshot, observer)
    }

    /// Compares a state with the one without the replayed commits, which has been checked.
    pub(crate) fn beside(
        without: GenerationReport,
        found: &Journals,
        snapshot: &Snapshot,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let difference = StateDifference::between(&snapshot.on_disk(), snapshot, observer)?;
        Ok(Self {
            found: found.clone(),
            without: Some(without),
            difference,
        })
    }

    /// True if every commit could be replayed, and the state without them is consistent too.
    pub fn is_consistent(&self) -> bool {
        let is_sound = self
            .without
            .as_ref()
            .is_none_or(GenerationReport::is_consistent);
        is_sound && self.found.refused().next().is_none()
    }
}

impl StateDifference {
    /// The differences between a state and a later one.
    fn between(before: &Snapshot, after: &Snapshot, observer: &dyn Observer) -> Result<Self> {
        let monitor = Monitor::new(observer, Phase::Verify, 0);
        let mut found = Self::default();
        found.compare_keys(before, after, &monitor)?;
        let [before, after] = [before, after].map(|snapshot| Catalog::new(snapshot.clone()));
        let mut stopped = Ok(());
        diff(&before, &after, &mut |compared| {
            found.take(compared);
            stopped = monitor.check();
            stopped.is_ok()
        })?;
        stopped.map(|()| found)
    }

    fn compare_keys(
        &mut self,
        before: &Snapshot,
        after: &Snapshot,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let keys = |snapshot: &Snapshot| snapshot.keys(KeyRange::all(), Direction::Forward);
        let (mut old, mut new) = (keys(before), keys(after));
        let (mut a, mut b) = (next(&mut old), next(&mut new));
        loop {
            let order = match (&a, &b) {
                (Some(a), Some(b)) => a.as_bytes().cmp(b.as_bytes()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Ok(()),
            };
            self.keys_removed += u64::from(order == Ordering::Less);
            self.keys_added += u64::from(order == Ordering::Greater);
            if order != Ordering::Greater {
                a = next(&mut old);
            }
            if order != Ordering::Less {
                b = next(&mut new);
            }
            monitor.check()?;
        }
    }

    fn take(&mut self, compared: Compared) {
        let Compared::Difference(difference) = compared else {
            self.unreadable += 1;
            return;
        };
        match difference.change {
            Change::Removed => self.removed += 1,
            Change::Added => self.added += 1,
            Change::Changed(_) => self.changed += 1,
        }
        if self.first.len() < NAMED {
            self.first.push(difference);
        }
    }
}

/// The next key that can be read. Unreadable ones are findings of their state.
fn next(keys: &mut Scan) -> Option<Key> {
    keys.find_map(Result::ok)
}

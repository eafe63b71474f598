//! The logical page numbers of a space: the free ones and the total.

use std::collections::BTreeMap;

use crate::base::error::{Error, Result};
use crate::base::limits::MAX_LOGICAL_PAGES;
use crate::base::page_no::LogicalPage;

/// The free numbers of a space, as runs of consecutive numbers, and the first number never used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogicalPages {
    /// First number of each free run, with the length of the run.
    free: BTreeMap<u32, u32>,
    end: u32,
}

impl LogicalPages {
    /// All numbers below `end`, of which those in `free` (ascending) are free.
    pub fn new(end: u32, free: impl IntoIterator<Item = LogicalPage>) -> Self {
        let mut pages = Self {
            free: BTreeMap::new(),
            end,
        };
        free.into_iter().for_each(|page| pages.release(page, 1));
        pages
    }

    /// The first number that was never used.
    #[cfg(test)]
    pub const fn end(&self) -> u32 {
        self.end
    }

    /// Takes `count` consecutive numbers: the lowest free ones, or else new ones.
    pub fn take(&mut self, count: u32) -> Result<LogicalPage> {
        let found = self
            .free
            .iter()
            .find(|(_, length)| **length >= count)
            .map(|(&start, &length)| (start, length));
        let Some((start, length)) = found else {
            return self.grow(count);
        };
        self.free.remove(&start);
        if length > count {
            self.free.insert(start + count, length - count);
        }
        LogicalPage::new(start).ok_or_else(too_many)
    }

    /// Takes new numbers at the end, including a free run that reaches the end.
    fn grow(&mut self, count: u32) -> Result<LogicalPage> {
        let start = match self.free.last_key_value() {
            Some((&start, &length)) if start + length == self.end => start,
            _ => self.end,
        };
        let end = start
            .checked_add(count)
            .filter(|&end| end <= MAX_LOGICAL_PAGES)
            .ok_or_else(too_many)?;
        self.free.remove(&start);
        self.end = end;
        LogicalPage::new(start).ok_or_else(too_many)
    }

    /// Takes exactly these numbers, which must be free or never used.
    pub fn take_at(&mut self, first: LogicalPage, count: u32) -> Result<()> {
        let start = first.get();
        let end = start
            .checked_add(count)
            .filter(|&end| end <= MAX_LOGICAL_PAGES)
            .ok_or_else(too_many)?;
        if start > self.end {
            let (gap, length) = (
                LogicalPage::new(self.end).ok_or_else(too_many)?,
                start - self.end,
            );
            self.end = start;
            self.release(gap, length);
        }
        let run = self
            .free
            .range(..=start)
            .next_back()
            .map(|(&first, &length)| (first, first + length));
        if let Some((run_start, run_end)) = run.filter(|&(_, run_end)| start < run_end) {
            self.free.remove(&run_start);
            if run_start < start {
                self.free.insert(run_start, start - run_start);
            }
            if end < run_end {
                self.free.insert(end, run_end - end);
            }
        }
        self.end = self.end.max(end);
        Ok(())
    }

    /// Releases numbers.
    pub fn release(&mut self, first: LogicalPage, count: u32) {
        let (mut start, mut end) = (first.get(), first.get().saturating_add(count));
        if let Some(length) = self.free.remove(&end) {
            end += length;
        }
        if let Some((&before, &length)) = self.free.range(..start).next_back()
            && before + length == start
        {
            start = before;
        }
        self.free.insert(start, end - start);
    }
}

fn too_many() -> Error {
    let max = MAX_LOGICAL_PAGES.into();
    Error::Limit {
        what: "the number of logical pages",
        max,
        got: u64::from(MAX_LOGICAL_PAGES) + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn free_numbers(pages: &LogicalPages) -> BTreeSet<u32> {
        pages
            .free
            .iter()
            .flat_map(|(&start, &length)| start..start + length)
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_taken_was_free_and_in_one_piece(steps in prop::collection::vec((0..4u8, 1..6u32, any::<prop::sample::Index>()), 1..80)) {
            let mut pages = LogicalPages::default();
            let mut taken: Vec<(u32, u32)> = Vec::new();
            for (kind, count, index) in steps {
                if kind == 0 && !taken.is_empty() {
                    let (start, count) = taken.swap_remove(index.index(taken.len()));
                    pages.release(LogicalPage::new(start).unwrap(), count);
                } else if kind == 1 {
                    let start = pages.end() + count;
                    pages.take_at(LogicalPage::new(start).unwrap(), count).unwrap();
                    taken.push((start, count));
                } else {
                    let free = free_numbers(&pages);
                    let start = pages.take(count).unwrap().get();
                    prop_assert!((start..start + count).all(|n| free.contains(&n) || !taken.iter().any(|&(s, c)| (s..s + c).contains(&n))));
                    taken.push((start, count));
                }
                let used: BTreeSet<u32> = taken.iter().flat_map(|&(start, count)| start..start + count).collect();
                prop_assert_eq!(used.len(), taken.iter().map(|&(_, count)| count as usize).sum::<usize>());
                let free = free_numbers(&pages);
                prop_assert!(free.is_disjoint(&used));
                prop_assert_eq!(free.len() + used.len(), pages.end() as usize);
            }
        }
    }
}

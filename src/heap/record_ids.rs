//! Fresh record ids: random, and unique in the repository (invariant 24).

use crate::base::page_no::RecordRef;
use crate::base::random::UniqueIds;
use crate::base::widen;
use crate::format::object_page::MULTI_PAGE_ID;

/// Bits for each record that is expected: so many that a random id rarely meets one that is taken.
const BITS_PER_RECORD: usize = 32;

const WORD_BITS: u32 = 64;

/// The ids in use, coarsely: a bit stands for ids with the same leading bits. One that is set may have no id behind it (that
/// of a removed record, say), one that is clear has none for certain; and those are handed out.
#[derive(Debug)]
pub struct RecordIds {
    words: Vec<u64>,
    /// Leading bits of an id that name its bit.
    significant: u32,
    used: usize,
    random: UniqueIds,
}

impl RecordIds {
    /// Room for so many records.
    pub fn with_capacity(records: usize) -> Self {
        let bits = records.max(1 << 12).saturating_mul(BITS_PER_RECORD).next_power_of_two().min(1 << 31);
        let words = bits / widen(WORD_BITS);
        Self { words: vec![0; words], significant: bits.trailing_zeros(), used: 0, random: UniqueIds::random() }
    }

    /// All ids of a repository.
    pub fn of(records: impl IntoIterator<Item = RecordRef>) -> Self {
        let ids: Vec<u32> = records.into_iter().map(|record| record.id).filter(|&id| id != MULTI_PAGE_ID).collect();
        // Twice the room that is needed now, so that the repository can grow before they are gathered anew.
        let mut taken = Self::with_capacity(2 * ids.len());
        ids.into_iter().for_each(|id| taken.add(id));
        taken
    }

    /// Whether so many bits are set that the ids should be gathered anew.
    pub fn is_crowded(&self) -> bool {
        self.used > self.words.len() * widen(WORD_BITS) / 4
    }

    /// Notes an id that is in use.
    pub fn add(&mut self, id: u32) {
        let (word, bit) = self.place(id);
        if let Some(word) = self.words.get_mut(word) {
            self.used += usize::from(*word & bit == 0);
            *word |= bit;
        }
    }

    /// An id that no record has.
    pub fn fresh(&mut self) -> u32 {
        loop {
            let id = self.random.next();
            let (word, bit) = self.place(id);
            if id > MULTI_PAGE_ID && self.words.get(word).is_some_and(|word| word & bit == 0) {
                self.add(id);
                return id;
            }
        }
    }

    fn place(&self, id: u32) -> (usize, u64) {
        let number = id >> (32 - self.significant);
        (widen(number / WORD_BITS), 1 << (number % WORD_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page_no::LogicalPage;
    use std::collections::HashSet;

    #[test]
    fn fresh_ids_are_none_that_is_in_use() {
        let page = LogicalPage::new(3).unwrap();
        let record = |id| RecordRef { page, id, size: 1 };
        let mut ids = UniqueIds::seeded(5);
        let in_use: HashSet<u32> = (0..50_000).map(|_| ids.next()).filter(|&id| id > 1).collect();
        let mut taken = RecordIds::of(in_use.iter().copied().map(record));
        let mut seen = in_use;
        for _ in 0..100_000 {
            let id = taken.fresh();
            assert!(id > 1 && seen.insert(id), "{id}");
        }
        assert!(!taken.is_crowded());
        let mut small = RecordIds::with_capacity(0);
        while !small.is_crowded() {
            assert!(small.fresh() > 1);
        }
    }
}

//! Fresh record ids: random, and unique in the repository (invariant 24).

use super::record;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, Space};
use crate::base::random::UniqueIds;
use crate::base::widen;
use crate::format::heap::page::{DESCRIPTOR_SIZE, MULTI_PAGE_ID, ObjectPage};
use crate::pager::state::image::Image;

/// Bits for each expected record: enough that a random id rarely meets one that is taken.
const BITS_PER_RECORD: usize = 32;

const WORD_BITS: u32 = 64;

/// An approximate set of the ids in use. One bit stands for all ids with the same leading bits. A
/// set bit may be stale (from a removed record, for example). A clear bit certainly has no id in
/// use, and such ids are handed out.
#[derive(Debug)]
pub struct RecordIds {
    words: Vec<u64>,
    /// Number of leading bits of an id that select its bit.
    significant: u32,
    used: usize,
    random: UniqueIds,
}

impl RecordIds {
    /// An empty set with room for `records` ids.
    pub fn with_capacity(records: usize) -> Self {
        let bits = records
            .max(1 << 12)
            .saturating_mul(BITS_PER_RECORD)
            .next_power_of_two()
            .min(1 << 31);
        let words = bits / widen(WORD_BITS);
        Self {
            words: vec![0; words],
            significant: bits.trailing_zeros(),
            used: 0,
            random: UniqueIds::random(),
        }
    }

    /// All ids of a repository, read from the tables of contents of its pages. The records are not
    /// read and checksums are not checked; at worst, an unused id is avoided. The ids on a page
    /// that the system refuses to read are unknown, but the chance of drawing one of them is 1 in
    /// 2^32.
    pub fn of_heap(image: &Image) -> Self {
        let (mut ids, mut front) = (Vec::new(), [0; FRONT]);
        let mut next = 0;
        while let Some(page) =
            LogicalPage::new(next).filter(|_| next < image.logical_pages(Space::Objects))
        {
            next += 1;
            if !image.is_mapped(Space::Objects, page)
                || image.read_front(Space::Objects, page, &mut front).is_err()
            {
                continue;
            }
            match contents(&front) {
                Contents::Records(found) => ids.extend(found),
                Contents::More => {
                    let mut bytes = Box::new([0; PAGE_SIZE]);
                    if image
                        .read_front(Space::Objects, page, &mut bytes[..])
                        .is_ok()
                    {
                        ids.extend(
                            ObjectPage::new(&bytes)
                                .descriptors()
                                .map(|descriptor| descriptor.id),
                        );
                    }
                }
                // The pages after it have no table.
                Contents::MultiPage(size) => {
                    next += record::pages(image, page, size).map_or(0, |count| count - 1)
                }
            }
        }
        Self::of(ids)
    }

    /// A set of the given ids.
    fn of(ids: impl IntoIterator<Item = u32>) -> Self {
        let ids: Vec<u32> = ids.into_iter().filter(|&id| id != MULTI_PAGE_ID).collect();
        // Twice the present size, so that the repository can grow before the ids are collected
        // again.
        let mut taken = Self::with_capacity(2 * ids.len());
        ids.into_iter().for_each(|id| taken.add(id));
        taken
    }

    /// True if so many bits are set that the ids should be collected again.
    pub fn is_crowded(&self) -> bool {
        self.used > self.words.len() * widen(WORD_BITS) / 4
    }

    /// Adds an id that is in use.
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

    /// True if a record may have this id.
    #[cfg(test)]
    pub fn may_have(&self, id: u32) -> bool {
        let (word, bit) = self.place(id);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(&self, id: u32) -> (usize, u64) {
        let number = id >> (32 - self.significant);
        (widen(number / WORD_BITS), 1 << (number % WORD_BITS))
    }
}

/// Number of bytes read from a page for its table of contents, since most pages have few records.
const FRONT: usize = 512;

/// The information in the first bytes of a page of the heap.
#[derive(Debug)]
enum Contents {
    /// The ids of its records.
    Records(Vec<u32>),
    /// The table continues after these bytes.
    More,
    /// A record of this many bytes begins here and continues on the following pages.
    MultiPage(u32),
}

fn contents(front: &[u8; FRONT]) -> Contents {
    let mut page = [0; PAGE_SIZE];
    page.iter_mut()
        .zip(front)
        .for_each(|(to, from)| *to = *from);
    let view = ObjectPage::new(&page);
    match view.multi_page_head() {
        Some(head) => Contents::MultiPage(head.size),
        None if view.descriptors().len() >= FRONT / DESCRIPTOR_SIZE => Contents::More,
        None => Contents::Records(view.descriptors().map(|descriptor| descriptor.id).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn fresh_ids_are_none_that_is_in_use() {
        let mut ids = UniqueIds::seeded(5);
        let in_use: HashSet<u32> = (0..50_000)
            .map(|_| ids.next())
            .filter(|&id| id > 1)
            .collect();
        let mut taken = RecordIds::of(in_use.iter().copied());
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

//! Records on several pages whose mapping is gone: which pages go on with them.
//!
//! Only the first page of such a record is marked. The others are found by the mapping of an older
//! generation, by the checksums that mappings keep of released pages, or by trying: most records
//! lie in one run of pages, or in two.

use std::collections::HashMap;

use crate::base::page_no::{PAGE_SIZE, PhysicalPage, Space};
use crate::base::widen;
use crate::format::Dialect;
use crate::format::bytes::u32_at;
use crate::format::checksum::{crc32, sampled};
use crate::format::heap::page::{Descriptor, MULTI_PAGE_OFFSET, pages_of};
use crate::format::mapping::MappingEntry;
use crate::format::record::class_record::ClassRecordView;

use super::Kind;
use super::evidence::Evidence;
use super::place::Place;
use super::regions::{Regions, checksums, joined};
use super::search::{class_part_at, kind_of};

/// Bytes that are put together by trying, for each byte of the file: the work stays linear.
const TRIED_FACTOR: u64 = 16;

/// Bytes of these that are spent on one record, so that it leaves some for the others.
const TRIED_FOR_ONE: u64 = 8 << 20;

/// Work of a look at pages that do not fit.
const LOOK: u64 = 64;

/// Places of one checksum that are tried.
const MAX_ALIKE: usize = 4;

/// Puts records together.
pub(super) struct Chains<'e> {
    evidence: &'e Evidence,
    regions: &'e Regions,
    by_checksum: Option<HashMap<u32, Vec<PhysicalPage>>>,
    /// True for pages that may go on with a record and do not go on with another.
    is_free: Vec<bool>,
    left: u64,
    left_for_one: u64,
    was_cut: bool,
}

impl<'e> Chains<'e> {
    pub(super) fn new(evidence: &'e Evidence, regions: &'e Regions) -> Self {
        let bytes = u64::from(evidence.pages(Space::Objects)) * PAGE_SIZE as u64;
        Self {
            evidence,
            regions,
            by_checksum: None,
            is_free: regions.without_table(evidence),
            left: bytes.saturating_mul(TRIED_FACTOR),
            left_for_one: 0,
            was_cut: false,
        }
    }

    /// True if pages were left untried.
    pub(super) const fn was_cut(&self) -> bool {
        self.was_cut
    }

    /// The pages of the record that begins at a place, and whether they are proven: by its own
    /// checksum, or by a mapping.
    pub(super) fn of(&mut self, place: &Place, head: &Descriptor) -> Option<(Place, bool)> {
        let found = self.find(place, head)?;
        for page in found.0.pages.iter().skip(1) {
            if let Some(slot) = self.is_free.get_mut(page.index()) {
                *slot = false;
            }
        }
        Some(found)
    }

    fn find(&mut self, place: &Place, head: &Descriptor) -> Option<(Place, bool)> {
        let first = *place.pages.first()?;
        self.left_for_one = TRIED_FOR_ONE.min(self.left);
        let known = self.regions.chain(first).map(<[PhysicalPage]>::to_vec);
        if let Some(chain) = known.filter(|chain| self.is_record(chain, head)) {
            return Some((with_pages(place, chain), true));
        }
        if let Some(chain) = self.by_released(first, head) {
            return Some((with_pages(place, chain), true));
        }
        let chain = self.by_trying(first, head)?;
        // In 2.1 the checksum of the record decided.
        Some((
            with_pages(place, chain),
            self.evidence.dialect == Dialect::V21,
        ))
    }

    /// True if the pages hold a whole record: by its checksum in 2.1, else by its structure.
    fn is_record(&mut self, chain: &[PhysicalPage], head: &Descriptor) -> bool {
        if !self.spend(chain.len() as u64 * PAGE_SIZE as u64) {
            return false;
        }
        let Some(bytes) = joined(self.evidence, chain, head.size) else {
            return false;
        };
        match self.evidence.dialect {
            Dialect::V21 => crc32(&bytes) == head.check,
            Dialect::V22 => is_whole(&bytes, self.evidence.dialect),
        }
    }

    /// Takes some work out of what may be done for this record, and for all; `false` when that is
    /// used up.
    fn spend(&mut self, cost: u64) -> bool {
        if self.left_for_one < cost {
            self.left_for_one = 0;
            self.was_cut = true;
            return false;
        }
        self.left_for_one -= cost;
        self.left = self.left.saturating_sub(cost);
        true
    }

    /// The pages by the checksums of released logical pages, which follow each other.
    fn by_released(&mut self, first: PhysicalPage, head: &Descriptor) -> Option<Vec<PhysicalPage>> {
        if self.evidence.dialect == Dialect::V21 {
            return None;
        }
        let checksum = sampled(&*self.evidence.page(Space::Objects, first)?);
        let count = widen(pages_of(head.size));
        let evidence = self.evidence;
        for generation in &evidence.generations {
            let entries = &generation.mapping.objects.entries;
            let begins = (0..entries.len()).filter(|number| {
                let released = entries.get(*number);
                released.is_some_and(|entry| entry.physical.is_none() && entry.checksum == checksum)
            });
            for begin in begins.take(MAX_ALIKE) {
                let Some(released) = entries.get(begin..begin + count) else {
                    continue;
                };
                let chain = self.released(first, released);
                if let Some(chain) = chain.filter(|chain| self.is_record(chain, head)) {
                    return Some(chain);
                }
            }
        }
        None
    }

    fn released(
        &mut self,
        first: PhysicalPage,
        entries: &[MappingEntry],
    ) -> Option<Vec<PhysicalPage>> {
        let evidence = self.evidence;
        let by_checksum = self.by_checksum.get_or_insert_with(|| checksums(evidence));
        let mut chain = vec![first];
        for entry in entries.iter().skip(1) {
            let pages = by_checksum.get(&entry.checksum)?;
            let is_free =
                |page: &&PhysicalPage| self.regions.may_go_on(**page) && !chain.contains(page);
            let page = *pages.iter().find(is_free)?;
            chain.push(page);
        }
        Some(chain)
    }

    /// The pages in one run, or in two: the nearest second run is tried first.
    fn by_trying(&mut self, first: PhysicalPage, head: &Descriptor) -> Option<Vec<PhysicalPage>> {
        let count = pages_of(head.size);
        let pages = self.evidence.pages(Space::Objects);
        if count > pages {
            return None;
        }
        let anchor = self.anchor(first, head);
        let fits = |this: &Self, chain: &[PhysicalPage]| this.has_anchor(chain, anchor, head);
        let straight = run(first, count)?;
        if self.all_free(straight.get(1..)?)
            && fits(self, &straight)
            && self.is_record(&straight, head)
        {
            return Some(straight);
        }
        for before in (1..count).rev() {
            let front = run(first, before)?;
            if !self.all_free(front.get(1..)?) {
                continue;
            }
            for distance in 1..pages {
                let ahead = first
                    .get()
                    .checked_add(distance)
                    .filter(|page| *page < pages);
                let back = first.get().checked_sub(distance);
                for second in [ahead, back].into_iter().flatten() {
                    if !self.spend(LOOK + 4 * u64::from(count)) {
                        return None;
                    }
                    let rest = self.second_run(first, second, count - before);
                    let Some(rest) = rest else { continue };
                    let chain = [front.as_slice(), rest.as_slice()].concat();
                    if fits(self, &chain) && self.is_record(&chain, head) {
                        return Some(chain);
                    }
                }
            }
        }
        None
    }

    /// A run of free pages without the first page of the record.
    fn second_run(
        &self,
        first: PhysicalPage,
        second: u32,
        count: u32,
    ) -> Option<Vec<PhysicalPage>> {
        let rest = run(PhysicalPage::new(second)?, count)?;
        (self.all_free(&rest) && !rest.contains(&first)).then_some(rest)
    }

    fn all_free(&self, pages: &[PhysicalPage]) -> bool {
        let is_free = |page: &PhysicalPage| self.is_free.get(page.index()) == Some(&true);
        pages.iter().all(is_free)
    }

    /// Where the length of the methods part of a class stands in its record, if the first page
    /// tells.
    fn anchor(&self, first: PhysicalPage, head: &Descriptor) -> Option<usize> {
        let page = self.evidence.page(Space::Objects, first)?;
        let record = page.get(MULTI_PAGE_OFFSET..)?;
        if kind_of(record, self.evidence.dialect) != Kind::Class {
            return None;
        }
        let at = class_part_at(record)?;
        let anchor = at.checked_add(widen(u32_at(record, at)?))?;
        (anchor < widen(head.size)).then_some(anchor)
    }

    /// True if the length of the methods part leads to the end of the record.
    fn has_anchor(&self, chain: &[PhysicalPage], anchor: Option<usize>, head: &Descriptor) -> bool {
        let Some(anchor) = anchor else { return true };
        let (number, offset) = (
            (anchor + MULTI_PAGE_OFFSET) / PAGE_SIZE,
            (anchor + MULTI_PAGE_OFFSET) % PAGE_SIZE,
        );
        let page = chain
            .get(number)
            .and_then(|page| self.evidence.page(Space::Objects, *page));
        // A word that lies across two pages tells nothing before they are put together.
        let length = page.map(|page| (u32_at(&page[..], offset), offset + 4 > PAGE_SIZE));
        match length {
            Some((_, true)) => true,
            Some((Some(length), _)) => Some(widen(length)) == widen(head.size).checked_sub(anchor),
            _ => false,
        }
    }
}

/// True if the bytes are one whole record of a class, or may be one of an instance.
fn is_whole(bytes: &[u8], dialect: Dialect) -> bool {
    match kind_of(bytes, dialect) {
        Kind::Class => ClassRecordView::parse(bytes).and_then(|view| view.is_packed()) == Ok(true),
        _ => is_instance(bytes, dialect),
    }
}

/// True if a record of an instance ends where its heap ends.
fn is_instance(bytes: &[u8], dialect: Dialect) -> bool {
    let at = 2 * crate::format::name_hash::NameHash::digits(dialect) + 16;
    let part = bytes.get(at..).unwrap_or_default();
    u32_at(part, 0).is_some_and(|length| widen(length) == part.len())
}

fn run(first: PhysicalPage, count: u32) -> Option<Vec<PhysicalPage>> {
    (0..count).map(|number| first.checked_add(number)).collect()
}

fn with_pages(place: &Place, pages: Vec<PhysicalPage>) -> Place {
    Place {
        pages,
        ..place.clone()
    }
}

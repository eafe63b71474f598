//! Everything in the data files that no table of contents of the current state explains, piece by
//! piece.

use std::collections::HashMap;

use crate::base::corruption::Corruption;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::site::{FileRole, Site};
use crate::base::widen;
use crate::format::Dialect;
use crate::format::checksum;
use crate::format::heap::page::{
    Descriptor, MULTI_PAGE_OFFSET, ObjectPage, end_in_last_page, pages_of,
};
use crate::format::index::page::IndexPage;
use crate::format::mapping::{Mapping, MappingSection};

use super::evidence::{Evidence, Pages};

/// The part of a page that remains lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Region {
    /// A page of an older generation, which the current one does not map.
    Generation(u32),
    /// A page that no generation maps, with a table of contents.
    FreePage,
    /// A page that the current generation maps.
    Mapped,
    /// Bytes after the last record of a page.
    Slack,
    /// Bytes after the end of a record on several pages.
    MultiPageTail,
    /// Bytes after the end of an index page.
    IndexSlack,
    /// A page without a table of contents.
    Raw,
}

impl Region {
    /// Its name in reports.
    pub fn name(self) -> String {
        match self {
            Self::Generation(number) => format!("generation {number}"),
            Self::FreePage => "free page".to_owned(),
            Self::Mapped => "mapped page".to_owned(),
            Self::Slack => "slack".to_owned(),
            Self::MultiPageTail => "multi-page tail".to_owned(),
            Self::IndexSlack => "index slack".to_owned(),
            Self::Raw => "raw".to_owned(),
        }
    }
}

/// The meaning of a physical page of the object heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// No generation maps it, or none whose checksum it has.
    Free,
    /// The current generation has records there.
    Current,
    /// The current generation has a page of a longer record there, which ends at this offset.
    Inside(usize),
    /// An older generation has it.
    Older(u32, LogicalPage),
    /// It lists pages, in dialect 2.1.
    Admin,
}

/// The pieces of a page.
#[derive(Debug)]
pub(super) enum Piece<'p> {
    /// A record that a table of contents names.
    Record(Region, Descriptor, &'p [u8]),
    /// The first page of a record on several pages, which no current table of contents names.
    Head(Region, Descriptor),
    /// Bytes from an offset on that no table explains.
    Bytes(Region, usize, &'p [u8]),
}

/// The layout of the data files, by physical page.
#[derive(Debug)]
pub(super) struct Regions {
    objects: Vec<Use>,
    /// True for index pages that the current generation maps.
    index: Vec<bool>,
    /// Pages of records on several pages that a mapping on disk knows, by their first page.
    chains: HashMap<PhysicalPage, Vec<PhysicalPage>>,
}

impl Regions {
    /// Finds out about every page.
    pub(super) fn of(evidence: &Evidence) -> Self {
        let mut regions = Self {
            objects: vec![Use::Free; widen(evidence.pages(Space::Objects))],
            index: vec![false; widen(evidence.pages(Space::Index))],
            chains: HashMap::new(),
        };
        if let Some(repository) = &evidence.repository {
            let snapshot = repository.snapshot();
            let admin = snapshot.image().admin().map(|table| table.chain.clone());
            let mapping = snapshot.image().base().mapping();
            regions.current(evidence, mapping, &admin.unwrap_or_default());
        }
        let mut older: Vec<_> = evidence.generations.iter().collect();
        older.sort_by_key(|found| std::cmp::Reverse(found.mapping.generation()));
        for found in older {
            regions.older(evidence, &found.mapping);
        }
        regions
    }

    /// Notes the pages of the current generation.
    fn current(&mut self, evidence: &Evidence, mapping: &Mapping, admin: &[LogicalPage]) {
        for (_, physical, _) in mapping.index.mapped() {
            if let Some(slot) = self.index.get_mut(physical.index()) {
                *slot = true;
            }
        }
        let mut behind = 0;
        for (page, physical, _) in mapping.objects.mapped() {
            if page.get() < behind {
                continue;
            }
            if admin.contains(&page) {
                self.set(physical, Use::Admin);
                continue;
            }
            self.set(physical, Use::Current);
            let Some(head) = head_at(evidence, physical) else {
                continue;
            };
            let Some(chain) = chain(&mapping.objects, page, &head) else {
                continue;
            };
            behind = page.get().saturating_add(pages_of(head.size));
            for physical in chain.iter().skip(1) {
                self.set(*physical, Use::Inside(PAGE_SIZE));
            }
            if let Some(last) = chain.last() {
                self.set(*last, Use::Inside(end_in_last_page(head.size)));
            }
        }
    }

    /// Notes the pages that an older generation alone has, as far as they are still what it wrote.
    fn older(&mut self, evidence: &Evidence, mapping: &Mapping) {
        for (page, physical, entry) in mapping.objects.mapped() {
            if self.objects.get(physical.index()) != Some(&Use::Free) {
                continue;
            }
            let Some(bytes) = evidence.page(Space::Objects, physical) else {
                continue;
            };
            let is_same =
                mapping.dialect == Dialect::V21 || checksum::sampled(&bytes) == entry.checksum;
            if !is_same {
                continue;
            }
            self.set(physical, Use::Older(mapping.generation(), page));
            if let Some(head) = ObjectPage::new(&bytes).multi_page_head()
                && let Some(chain) = chain(&mapping.objects, page, &head)
            {
                self.chains.insert(physical, chain);
            }
        }
        // The pages that go on with a record hold no table, whatever they look like.
        for chain in self.chains.values() {
            for physical in chain.iter().skip(1) {
                if let Some(slot @ (Use::Older(..) | Use::Free)) =
                    self.objects.get_mut(physical.index())
                {
                    *slot = Use::Inside(PAGE_SIZE);
                }
            }
        }
    }

    fn set(&mut self, page: PhysicalPage, is: Use) {
        if let Some(slot) = self.objects.get_mut(page.index()) {
            *slot = is;
        }
    }

    /// The pages of the record that begins on a page, where a mapping on disk knows them.
    pub(super) fn chain(&self, head: PhysicalPage) -> Option<&[PhysicalPage]> {
        self.chains.get(&head).map(Vec::as_slice)
    }

    /// True if an index page is one of the current generation.
    pub(super) fn is_current_index(&self, page: PhysicalPage) -> bool {
        self.index.get(page.index()).copied().unwrap_or(false)
    }

    /// True if a page may go on with a record whose beginning lies elsewhere.
    pub(super) fn may_go_on(&self, page: PhysicalPage) -> bool {
        matches!(
            self.objects.get(page.index()),
            Some(Use::Free | Use::Older(..))
        )
    }

    /// True, by page, for those that may go on with a record and have no table of contents.
    pub(super) fn without_table(&self, evidence: &Evidence) -> Vec<bool> {
        let mut found = Vec::with_capacity(self.objects.len());
        let mut pages = Pages::new(evidence, Space::Objects);
        while let Some((page, bytes)) = pages.advance() {
            let is_bare = bytes.is_some_and(|bytes| {
                let pieces = self.pieces(page, bytes);
                matches!(pieces.as_slice(), [Piece::Bytes(Region::Raw, 0, _)])
            });
            found.push(is_bare && self.may_go_on(page));
        }
        found
    }

    /// The pieces of a page of the object heap.
    pub(super) fn pieces<'p>(&self, page: PhysicalPage, bytes: &'p PageBytes) -> Vec<Piece<'p>> {
        let whole = |region| vec![Piece::Bytes(region, 0, &bytes[..])];
        let region = match self.objects.get(page.index()) {
            Some(Use::Admin) => return Vec::new(),
            Some(Use::Inside(end)) => {
                let rest = bytes.get(*end..).unwrap_or_default();
                return vec![Piece::Bytes(Region::MultiPageTail, *end, rest)];
            }
            Some(Use::Current) => Region::Mapped,
            Some(Use::Older(generation, _)) => Region::Generation(*generation),
            Some(Use::Free) | None => Region::FreePage,
        };
        let view = ObjectPage::new(bytes);
        let site = Site::file(FileRole::Objects);
        if let Some(head) = view.multi_page_head() {
            return match (region, view.check_head(&head, site)) {
                (Region::Mapped, _) => Vec::new(),
                (_, None) => vec![Piece::Head(region, head)],
                _ => whole(Region::Raw),
            };
        }
        if !is_table(&view.check_single(site)) {
            return whole(Region::Raw);
        }
        let mut pieces = Vec::with_capacity(view.descriptors().len() + 1);
        for descriptor in view.descriptors() {
            if let Some(record) = view.record(&descriptor) {
                pieces.push(Piece::Record(region, descriptor, record));
            }
        }
        let rest = bytes.get(view.end()..).unwrap_or_default();
        let is_empty = pieces.is_empty() && region != Region::Mapped;
        let slack = if is_empty { Region::Raw } else { Region::Slack };
        pieces.push(Piece::Bytes(slack, view.end(), rest));
        pieces
    }
}

const fn is_table(findings: &[Corruption]) -> bool {
    findings.is_empty()
}

/// Bytes of an index page after its end, and where they begin; the whole page where it is no node.
pub(super) fn index_slack(bytes: &PageBytes) -> (Region, usize, &[u8]) {
    match node(bytes) {
        Some(node) => {
            let slack = node.slack();
            (Region::IndexSlack, PAGE_SIZE - slack.len(), slack)
        }
        None => (Region::Raw, 0, &bytes[..]),
    }
}

/// The node in a page of the index, whatever its logical page.
pub(super) fn node(bytes: &PageBytes) -> Option<IndexPage<'_>> {
    let own = crate::format::bytes::u32_at(bytes, 4)?;
    IndexPage::parse(bytes, LogicalPage::new(own)?, Site::file(FileRole::Index)).ok()
}

/// The pages of a record on several pages, in a generation that maps them all.
fn chain(
    section: &MappingSection,
    first: LogicalPage,
    head: &Descriptor,
) -> Option<Vec<PhysicalPage>> {
    let count = pages_of(head.size);
    if widen(count) > section.entries.len() {
        return None;
    }
    (0..count)
        .map(|number| section.resolve(first.checked_add(number)?))
        .collect()
}

fn head_at(evidence: &Evidence, page: PhysicalPage) -> Option<Descriptor> {
    let bytes = evidence.page(Space::Objects, page)?;
    ObjectPage::new(&bytes).multi_page_head()
}

/// The bytes of the record that a chain of pages holds.
pub(super) fn joined(evidence: &Evidence, chain: &[PhysicalPage], size: u32) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(chain.len().checked_mul(PAGE_SIZE)?);
    for (number, page) in chain.iter().enumerate() {
        let page = evidence.page(Space::Objects, *page)?;
        let start = if number == 0 { MULTI_PAGE_OFFSET } else { 0 };
        bytes.extend_from_slice(page.get(start..)?);
    }
    bytes.truncate(widen(size));
    (bytes.len() == widen(size)).then_some(bytes)
}

/// The checksums of pages, in the order of the file.
pub(super) fn checksums(evidence: &Evidence) -> HashMap<u32, Vec<PhysicalPage>> {
    let mut found: HashMap<u32, Vec<PhysicalPage>> = HashMap::new();
    let mut pages = Pages::new(evidence, Space::Objects);
    while let Some((page, bytes)) = pages.advance() {
        if let Some(bytes) = bytes {
            found
                .entry(checksum::sampled(bytes))
                .or_default()
                .push(page);
        }
    }
    found
}

//! Validity of a mapping: invariants 1 to 7 and 10 of `docs::format`, and the part of 9 that a
//! mapping shows by itself.

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::findings::Findings;
use crate::base::page_no::{LogicalPage, NIL, Space};
use crate::base::site::{FileRole, Site};
use crate::base::widen;
use crate::format::Dialect;
use crate::format::mapping::{Mapping, MappingSection};

/// Facts that a mapping is checked against: its own file, and the data files as far as they exist.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// The file the mapping was read from.
    pub role: FileRole,
    /// Number of bytes after its end.
    pub trailing_bytes: usize,
    /// Numbers of whole pages in OBJECTS.DATA and INDEX.BTR.
    pub file_pages: [Option<u64>; 2],
}

/// All faults of a mapping; a bounded number of each kind.
pub fn check(mapping: &Mapping, around: Surroundings) -> Vec<Corruption> {
    let mut findings = Findings::default();
    let [objects, index] = around.file_pages;
    for (space, pages) in Space::ALL.into_iter().zip([objects, index]) {
        let check = SectionCheck {
            section: mapping.section(space),
            space,
            site: Site::file(around.role),
        };
        check.pages(pages, &mut findings);
        if mapping.dialect == Dialect::V22 {
            check.numbers(&mut findings);
            check.entries(&mut findings);
        }
    }
    check_file(mapping, around, &mut findings);
    findings.into_list()
}

/// Invariants 5 and 6, which concern the file as a whole.
fn check_file(mapping: &Mapping, around: Surroundings, findings: &mut Findings) {
    let site = Site::file(around.role);
    let mut report = |code, detail: String| findings.push(Corruption::new(code, site, detail));
    let (objects, index) = (&mapping.objects, &mapping.index);
    if (objects.transaction, objects.generation) != (index.transaction, index.generation) {
        let detail = format!(
            "objects: transaction {}, generation {}; index: {}, {}",
            objects.transaction, objects.generation, index.transaction, index.generation
        );
        report(CorruptionCode::MappingSectionsDisagree, detail);
    }
    if mapping.dialect == Dialect::V21 {
        return;
    }
    let slot = Mapping::slot_of(mapping.generation());
    if let FileRole::Mapping(number) = around.role
        && number != slot
    {
        let detail = format!(
            "generation {} belongs into MAPPING{slot}.MAP",
            mapping.generation()
        );
        report(CorruptionCode::MappingSlot, detail);
    }
    if mapping.shutdown_flag > 1 {
        report(
            CorruptionCode::MappingShutdownFlag,
            format!("found {:#X}", mapping.shutdown_flag),
        );
    }
    if around.trailing_bytes > 0 {
        report(
            CorruptionCode::MappingTrailingBytes,
            format!("{} bytes", around.trailing_bytes),
        );
    }
}

struct SectionCheck<'m> {
    section: &'m MappingSection,
    space: Space,
    site: Site,
}

impl SectionCheck<'_> {
    fn report(&self, findings: &mut Findings, code: CorruptionCode, detail: String) {
        findings.push(Corruption::new(
            code,
            self.site,
            format!("{} section: {detail}", self.space),
        ));
    }

    /// Invariants 2 and 3: mapped and free pages together cover the space once and lie in the file.
    fn pages(&self, file_pages: Option<u64>, findings: &mut Findings) {
        let size = widen(self.section.physical_pages);
        // A healthy space has exactly its mapped and free pages. A header that claims more must not
        // make the check allocate more.
        let possible = self.section.entries.len() + self.section.free.len();
        if size > possible {
            let detail = format!("{size} pages stated, {possible} named at most");
            self.report(findings, CorruptionCode::MappingPageLost, detail);
        }
        let mut owner = vec![Owner::Nobody; size.min(possible)];
        for (page, physical, _) in self.section.mapped() {
            if file_pages.is_some_and(|pages| u64::from(physical.get()) >= pages) {
                let detail = format!("page {page} lies at {physical}");
                self.report(findings, CorruptionCode::MappingBeyondFile, detail);
            }
            match owner.get_mut(physical.index()) {
                Some(owner @ Owner::Nobody) => *owner = Owner::Mapped,
                Some(_) => {
                    let detail =
                        format!("physical page {physical}, the second time by page {page}");
                    self.report(findings, CorruptionCode::MappingPageTwice, detail);
                }
                None => {
                    let detail = format!("page {page} lies at {physical} of {size}");
                    self.report(findings, CorruptionCode::MappingPageOutside, detail);
                }
            }
        }
        self.free_list(&mut owner, findings);
        let lost = owner
            .iter()
            .filter(|owner| matches!(owner, Owner::Nobody))
            .count();
        if lost > 0 {
            self.report(
                findings,
                CorruptionCode::MappingPageLost,
                format!("{lost} pages"),
            );
        }
    }

    fn free_list(&self, owner: &mut [Owner], findings: &mut Findings) {
        for &physical in &self.section.free {
            let code = match owner.get_mut(physical.index()) {
                Some(owner @ Owner::Nobody) => {
                    *owner = Owner::Free;
                    continue;
                }
                Some(Owner::Mapped) => CorruptionCode::MappingMappedAndFree,
                Some(Owner::Free) => CorruptionCode::MappingFreeTwice,
                None => CorruptionCode::MappingPageOutside,
            };
            self.report(findings, code, format!("physical page {physical}"));
        }
    }

    /// Invariant 4: the numbers of generations.
    fn numbers(&self, findings: &mut Findings) {
        let (generation, previous) = (self.section.generation, self.section.previous);
        if generation.checked_sub(1) != Some(previous) {
            let detail = format!("generation {generation} says it follows {previous}");
            self.report(findings, CorruptionCode::MappingPrevious, detail);
        }
    }

    /// Invariants 7, 10 and, for entries without a page, 9. One finding of each kind suffices,
    /// because a torn file breaks hundreds of stamps.
    fn entries(&self, findings: &mut Findings) {
        let generation = self.section.generation;
        let mut first = |code, page: u32, detail: String, count: usize| {
            if count > 0 {
                let page = LogicalPage::new(page).map_or(NIL, LogicalPage::get);
                self.report(
                    findings,
                    code,
                    format!("page {page}{detail}; {count} entries in all"),
                );
            }
        };
        let entries = || (0u32..).zip(&self.section.entries);
        let stamps = || entries().filter(|(_, entry)| entry.stamp != generation);
        if let Some((page, entry)) = stamps().next() {
            let detail = format!(
                " is stamped {}, the file is generation {generation}",
                entry.stamp
            );
            first(CorruptionCode::MappingStamp, page, detail, stamps().count());
        }
        let writes = || {
            entries().filter(|(_, entry)| entry.last_write == 0 || entry.last_write > generation)
        };
        if let Some((page, entry)) = writes().next() {
            let detail = format!(
                " was last written in generation {} of {generation}",
                entry.last_write
            );
            first(
                CorruptionCode::MappingLastWrite,
                page,
                detail,
                writes().count(),
            );
        }
        let has_root = |page| self.space == Space::Index && page == 0;
        let values = || entries().filter(|&(page, entry)| entry.user_data != 0 && !has_root(page));
        if let Some((page, entry)) = values().next() {
            let detail = format!(" holds {:#X}", entry.user_data);
            first(
                CorruptionCode::MappingUserData,
                page,
                detail,
                values().count(),
            );
        }
        let nil =
            || entries().filter(|(_, entry)| entry.physical.is_none() && entry.free_bytes != 0);
        if let Some((page, entry)) = nil().next() {
            let detail = format!(" has no page but {} free bytes", entry.free_bytes);
            first(
                CorruptionCode::MappingFreeBytes,
                page,
                detail,
                nil().count(),
            );
        }
    }
}

#[derive(Clone, Copy)]
enum Owner {
    Nobody,
    Mapped,
    Free,
}

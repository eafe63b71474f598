//! What a verification found.

use std::fmt;

use crate::base::corruption::Corruption;
use crate::base::site::FileRole;
use crate::catalog::Census;
use crate::format::Dialect;
use crate::pager::generation::Refusal;

use super::advice::Advices;
use super::journal::JournalReport;

/// What a verification of a repository found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The generation that was opened, then the others if they were asked for.
    pub generations: Vec<GenerationReport>,
    /// Files that were refused when the repository was opened.
    pub refused: Vec<Refusal>,
    /// True if every generation on disk was to be checked.
    pub all_generations: bool,
    /// What was found of journals.
    pub journal: JournalReport,
}

impl Report {
    /// True if nothing was found, everything could be checked, and no file was refused that counts,
    /// nor a commit of a journal.
    pub fn is_consistent(&self) -> bool {
        let are_none_refused = self.refused_that_count().next().is_none();
        self.has_sound_generations() && are_none_refused && self.journal.is_consistent()
    }

    /// True if the generations that were checked are consistent, whatever was refused beside them:
    /// a crash in the middle of writing a generation leaves such a file, and the generation before
    /// it is whole and counts.
    pub fn has_sound_generations(&self) -> bool {
        self.generations.iter().all(GenerationReport::is_consistent)
    }

    /// The refused files that make the repository inconsistent: those that may have held a newer
    /// state than the one that was opened, and all of them when every generation was to be checked;
    /// but none that an interrupted write of this engine left.
    pub fn refused_that_count(&self) -> impl Iterator<Item = &Refusal> {
        let counts = |refusal: &&Refusal| {
            refusal.may_be_newer || self.all_generations && !refusal.is_unfinished()
        };
        self.refused.iter().filter(counts)
    }

    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = &Corruption> {
        self.generations.iter().flat_map(|report| &report.findings)
    }
}

/// What was found in one generation.
#[derive(Debug, Clone)]
pub struct GenerationReport {
    /// The dialect.
    pub dialect: Dialect,
    /// The generation.
    pub generation: u32,
    /// The file that holds its mapping.
    pub mapping: FileRole,
    /// Mapped pages of the object heap and of the index.
    pub pages: [u32; 2],
    /// Keys of the index that could be read.
    pub keys: u64,
    /// Records of the object heap that could be read.
    pub records: u64,
    /// What is wrong, in order of place.
    pub findings: Vec<Corruption>,
    /// Findings beyond the number that is listed of each kind.
    pub not_listed: u64,
    /// What could not be checked.
    pub unchecked: Vec<Unchecked>,
    /// What the keys have, and how much of it was reached; `None` where objects were not looked at.
    pub census: Option<Census>,
    /// What stored objects hold that is not as it should be, and is no damage: it counts for no
    /// verdict.
    pub advice: Advices,
}

impl GenerationReport {
    /// True if nothing was found and everything could be checked.
    pub fn is_consistent(&self) -> bool {
        self.findings.is_empty() && self.not_listed == 0 && self.unchecked.is_empty()
    }

    /// The first finding by which something may be lost or misread.
    pub fn first_damage(&self) -> Option<&Corruption> {
        // Of each kind one at least is listed.
        self.findings
            .iter()
            .find(|finding| !finding.code.is_bookkeeping())
    }

    /// True if the generation can be backed up, restored and written to: everything could be
    /// checked, and nothing may be lost or misread.
    pub fn can_be_built_on(&self) -> bool {
        self.first_damage().is_none() && self.unchecked.is_empty()
    }
}

/// A check that was not possible, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unchecked {
    /// OBJECTS.DATA is missing.
    NoObjects,
    /// INDEX.BTR is missing.
    NoIndex,
    /// Parts of the index are unreadable.
    IndexIncomplete,
    /// No mapping can be read.
    NoMapping,
}

impl fmt::Display for Unchecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unchecked::NoObjects => "OBJECTS.DATA is missing: objects were not checked",
            Unchecked::NoMapping => "no mapping can be read: there is no generation to verify",
            Unchecked::NoIndex => "INDEX.BTR is missing: keys were not checked",
            Unchecked::IndexIncomplete => {
                "parts of the index are unreadable: whether pages or objects are lost for good was \
                    not checked"
            }
        })
    }
}

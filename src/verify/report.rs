//! Reports of verifications.

use std::fmt;

use crate::base::corruption::Corruption;
use crate::base::site::FileRole;
use crate::catalog::Census;
use crate::format::Dialect;
use crate::pager::generation::Refusal;

use super::advice::Advices;
use super::journal::JournalReport;

/// Report on the verification of a repository.
#[derive(Debug, Clone)]
pub struct Report {
    /// The generation that was opened, followed by the others if they were requested.
    pub generations: Vec<GenerationReport>,
    /// Files that were rejected when the repository was opened.
    pub refused: Vec<Refusal>,
    /// True if checking every generation on disk was requested.
    pub all_generations: bool,
    /// The result for the journals.
    pub journal: JournalReport,
}

impl Report {
    /// True if there is no finding, everything could be checked, and neither a relevant file nor a
    /// commit of a journal was rejected.
    pub fn is_consistent(&self) -> bool {
        let are_none_refused = self.refused_that_count().next().is_none();
        self.has_sound_generations() && are_none_refused && self.journal.is_consistent()
    }

    /// True if the checked generations are consistent, whatever files were rejected. A crash while
    /// a generation is being written leaves such a file, and the generation before it is whole and
    /// current.
    pub fn has_sound_generations(&self) -> bool {
        self.generations.iter().all(GenerationReport::is_consistent)
    }

    /// The rejected files that make the repository inconsistent: those that may have held a newer
    /// state than the opened one, and all of them if checking every generation was requested. Files
    /// left by an interrupted write of this engine are never among them.
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

/// Report on one generation.
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
    /// The findings, sorted by place.
    pub findings: Vec<Corruption>,
    /// Number of findings beyond those listed of each kind.
    pub not_listed: u64,
    /// The checks that were not possible.
    pub unchecked: Vec<Unchecked>,
    /// The objects named by keys, and how many of them were reached; `None` if objects were not
    /// examined.
    pub census: Option<Census>,
    /// Faults of stored objects that are not damage and change no verdict.
    pub advice: Advices,
}

impl GenerationReport {
    /// True if there is no finding and everything could be checked.
    pub fn is_consistent(&self) -> bool {
        self.findings.is_empty() && self.not_listed == 0 && self.unchecked.is_empty()
    }

    /// The first finding that may mean loss or misreading.
    pub fn first_damage(&self) -> Option<&Corruption> {
        // At least one finding of each kind is listed.
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

/// A check that was not possible, and the reason.
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

//! Notes: what an answer alone does not say. They change no row.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::escape::guard;
use crate::base::limits::MAX_FINDINGS_PER_CODE;

/// The kind of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NoteCode {
    /// `dynamic`: a provider computes the instances of the class while Windows runs.
    Dynamic,
    /// `event-class`: the class is one of events, which are not stored.
    EventClass,
    /// `dangling`: a reference leads to an object that is not stored, or is recorded and not made.
    Dangling,
    /// `source-not-stored`: the object in braces is not stored, and others refer to it.
    SourceNotStored,
    /// `isa-unknown`: the class after ISA is not there.
    IsaUnknown,
    /// `pattern-unclosed`: a bracket in a pattern is never closed, so that it matches nothing.
    PatternUnclosed,
    /// `missing-class`: a class that others refer to is not there.
    MissingClass,
    /// `passed-over`: a namespace was not read, because the query is refused there or the right is
    /// missing.
    PassedOver,
}

impl NoteCode {
    /// The code as it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            NoteCode::Dynamic => "dynamic",
            NoteCode::EventClass => "event-class",
            NoteCode::Dangling => "dangling",
            NoteCode::SourceNotStored => "source-not-stored",
            NoteCode::IsaUnknown => "isa-unknown",
            NoteCode::PatternUnclosed => "pattern-unclosed",
            NoteCode::MissingClass => "missing-class",
            NoteCode::PassedOver => "passed-over",
        }
    }
}

impl fmt::Display for NoteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its kind.
    pub code: NoteCode,
    /// A sentence that names the namespace.
    pub text: Box<str>,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, guard(&self.text))
    }
}

/// The notes of a query. Of each kind so many are kept as of findings; the others are counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    listed: Vec<Note>,
    counts: BTreeMap<NoteCode, u64>,
}

impl Notes {
    pub(super) fn push(&mut self, code: NoteCode, text: impl FnOnce() -> String) {
        let count = self.counts.entry(code).or_default();
        *count += 1;
        if *count <= MAX_FINDINGS_PER_CODE as u64 {
            self.listed.push(Note {
                code,
                text: text().into(),
            });
        }
    }

    pub(super) fn listed(&self) -> &[Note] {
        &self.listed
    }

    pub(super) fn not_listed(&self) -> u64 {
        self.counts
            .values()
            .sum::<u64>()
            .saturating_sub(self.listed.len() as u64)
    }
}

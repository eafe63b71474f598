//! The report of a compile.

use crate::base::hresult::HResult;
use crate::text::diagnostic::{Code, Diagnostic, Place, Sources};

/// Whom a failure belongs to. Source: WMI SDK, `WBEM_COMPILE_STATUS_INFO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Nothing failed.
    #[default]
    None = 0,
    /// Reading.
    Parse = 1,
    /// Names, aliases, arguments.
    Argument = 2,
    /// Storing.
    Store = 3,
}

/// The outcome of a compile as Windows gives it (`WBEM_COMPILE_STATUS_INFO`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompileStatus {
    /// The phase that failed.
    pub phase: Phase,
    /// The code of the first error; `None` when nothing failed.
    pub code: Option<HResult>,
    /// The number of the object that failed, from 1, classes and instances counted together.
    pub object: Option<u32>,
    /// The place of that object.
    pub place: Option<Place>,
}

/// The kind of object that an operation concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
pub enum OperationKind {
    /// A namespace.
    Namespace,
    /// A class.
    Class,
    /// An instance.
    Instance,
}

/// Outcome for one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
pub enum Outcome {
    /// It was not there before.
    Created,
    /// It was there, and is another now.
    Updated,
    /// It was there and is the same.
    Unchanged,
    /// It was there and is gone.
    Deleted,
    /// It was not there to be deleted, or was refused.
    Skipped,
}

impl Outcome {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Created => "created",
            Outcome::Updated => "updated",
            Outcome::Unchanged => "unchanged",
            Outcome::Deleted => "deleted",
            Outcome::Skipped => "skipped",
        }
    }
}

/// One object of a compile, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// The kind of object.
    pub kind: OperationKind,
    /// Its outcome.
    pub outcome: Outcome,
    /// Its namespace.
    pub namespace: String,
    /// The name of a class or namespace, the path of an instance.
    pub name: String,
    /// Its place in the text.
    pub place: Place,
}

/// Result of a compile: the objects stored, or the diagnostics that kept it from storing any.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CompileReport {
    /// Errors, warnings and notes.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that they point into.
    pub sources: Sources,
    /// Outcome for each object.
    pub operations: Vec<Operation>,
    /// The outcome as Windows gives it.
    pub status: CompileStatus,
    /// True if a text has `#pragma autorecover`.
    pub auto_recover: bool,
    /// True if objects that were refused were passed over.
    pub(super) keeps_going: bool,
}

impl CompileReport {
    /// True if a text or an object was refused.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// True if what could be stored is in the transaction: always without errors, and with errors
    /// of the third phase where the options say to keep going.
    pub fn is_stored(&self) -> bool {
        !self.has_errors() || (self.keeps_going && self.status.phase == Phase::Store)
    }

    /// The number of objects with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.operations
            .iter()
            .filter(|operation| operation.outcome == outcome)
            .count()
    }

    /// Notes the first failure.
    pub(super) fn fail(&mut self, phase: Phase, object: Option<(u32, Place)>) {
        if self.status.phase != Phase::None {
            return;
        }
        let first = self
            .diagnostics
            .iter()
            .find(|diagnostic| diagnostic.is_error());
        let code = first.map(|diagnostic: &Diagnostic| {
            let Code { value, .. } = diagnostic.code;
            value
        });
        let (object, place) = object.unzip();
        self.status = CompileStatus {
            phase,
            code,
            object,
            place,
        };
    }
}

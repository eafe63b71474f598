//! The verification that an engine may run before its first write.

use super::{VerifyOptions, verify_snapshot};
use crate::base::corruption::CorruptionCode;
use crate::base::error::{Error, Result};
use crate::base::progress::Unobserved;
use crate::storage::Directory;
use crate::store::{EngineOptions, Snapshot};

impl EngineOptions {
    /// Verifies everything before the first write, and rejects a repository with findings that
    /// could spread (`docs::invariants`, "Damage"). Without this option, a damaged page is noticed
    /// when it is about to be changed, and that change fails. Reads the whole repository.
    pub fn verify(self, verify: bool) -> Self {
        self.check(verify.then_some(ensure_sound))
    }
}

/// Findings that no write makes worse, because their subject is left as it is and nothing is built
/// on it.
const HARMLESS: [CorruptionCode; 8] = [
    CorruptionCode::IndexUnderfull,
    CorruptionCode::MappingFreeBytes,
    CorruptionCode::RecordIdRepeated,
    CorruptionCode::RecordLastWrite,
    CorruptionCode::RecordOrphan,
    CorruptionCode::ReferencePage,
    CorruptionCode::ReferenceRecord,
    CorruptionCode::ReferenceSize,
];

fn ensure_sound(directory: &Directory, snapshot: &Snapshot) -> Result<()> {
    let report = verify_snapshot(snapshot, VerifyOptions::default(), &Unobserved)?;
    let worst = report
        .findings
        .iter()
        .find(|finding| !HARMLESS.contains(&finding.code))
        .map(ToString::to_string);
    let unchecked = report.unchecked.first().map(ToString::to_string);
    let Some(what) = worst.or(unchecked) else {
        return Ok(());
    };
    let text = "damaged content must not be built on. Restore a backup; `cimrepo verify` lists all \
        findings";
    let reason = format!("{what}; {text}");
    Err(Error::NotARepository {
        path: directory.path.as_path().into(),
        reason: reason.into(),
    })
}

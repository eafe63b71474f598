//! Verifying a backup without restoring it, in stages: the file by its checksums, then the repository in it.

use std::num::NonZeroUsize;

use crate::base::error::{BackupFault, Error, Result};
use crate::base::parallel::{both, split, thread_count};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::base::{narrow, widen};
use crate::format::manifest::Summary;
use crate::repository::Snapshot;
use crate::verify::{GenerationReport, VerifyOptions, verify_snapshot};

use super::read::Backup;
use super::summary::summarise;

/// What the verification of a backup found. That it exists says that every byte of the backup, and of its bases, matches
/// its checksum.
#[derive(Debug, Clone)]
pub struct BackupReport {
    /// What was found in the repository that the backup holds.
    pub repository: GenerationReport,
}

impl BackupReport {
    /// Whether the backup can be restored: nothing was found.
    pub fn is_consistent(&self) -> bool {
        self.repository.is_consistent()
    }
}

impl Backup {
    /// Reads and checks everything: every chunk against its checksums, every page against its digest, and the repository
    /// that the pages make up, as [`verify`](crate::verify::verify) does.
    ///
    /// # Errors
    /// [`Error::Backup`](crate::Error::Backup) when the file is damaged: then nothing in it can be trusted. Findings in the
    /// repository are in the report. [`Error::Io`](crate::Error::Io), [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn verify(&self, options: VerifyOptions, observer: &dyn Observer) -> Result<BackupReport> {
        self.verify_as(&self.snapshot(), options, observer)
    }

    /// The same, with the pages read by way of `snapshot`.
    pub(crate) fn verify_as(
        &self,
        snapshot: &Snapshot,
        options: VerifyOptions,
        observer: &dyn Observer,
    ) -> Result<BackupReport> {
        let threads = thread_count(options.threads);
        // The pass over the repository reads, and so checks, every chunk of pages that it needs; an error there ends it.
        let (verified, counted) =
            both(threads, || verify_snapshot(snapshot, options, observer), || summarise(snapshot));
        let repository = verified?;
        self.check_chunks(threads)?;
        self.check_exact()?;
        self.check_summary(&repository, &counted?)?;
        Ok(BackupReport { repository })
    }

    /// Every chunk of the backup and of its bases that is damaged, as an error that says where it is and which pages it has; in
    /// order. For whoever has to know how much is lost when [`verify`](Self::verify) has said that something is.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when the system refuses, [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn damaged_chunks(&self, threads: Option<NonZeroUsize>, observer: &dyn Observer) -> Result<Vec<Error>> {
        let threads = thread_count(threads);
        let total = self.chain().links().map(|link| link.manifest.chunks.len() as u64).sum();
        let monitor = Monitor::new(observer, Phase::Verify, total);
        let mut damaged = Vec::new();
        for link in self.chain().links() {
            let found = split(narrow(link.manifest.chunks.len()), 1, threads, |range| {
                let chunks = range.map(|number| {
                    monitor.advance(1)?;
                    link.fault_of_chunk(widen(number))
                });
                chunks.filter_map(Result::transpose).collect::<Result<Vec<_>>>()
            });
            for chunks in found {
                damaged.extend(chunks?);
            }
        }
        Ok(damaged)
    }

    /// Reads and checks every chunk of the chain that nothing has read yet.
    pub(crate) fn check_chunks(&self, threads: usize) -> Result<()> {
        let links: Vec<_> = self.chain().links().collect();
        let checked = split(narrow(links.len()), 1, threads, |range| {
            range.filter_map(|number| links.get(widen(number))).try_for_each(|link| link.check_rest())
        });
        checked.into_iter().collect()
    }

    /// The numbers in the manifest are those of the repository: all of them are counted anew, and where nothing is damaged
    /// those that verification counted otherwise are these.
    fn check_summary(&self, repository: &GenerationReport, counted: &Summary) -> Result<()> {
        let summary = &self.manifest().summary;
        let is_counted =
            !repository.is_consistent() || (summary.keys, summary.records) == (repository.keys, repository.records);
        if is_counted && counted == summary {
            return Ok(());
        }
        let text = "its summary counts something else than it holds";
        Err(self.chain().top.fault(BackupFault::Structure(text.to_owned())))
    }
}

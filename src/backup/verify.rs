//! Verification of a backup without restoring it, in stages: the file by its checksums, then the
//! repository in it.

use std::num::NonZeroUsize;

use crate::base::error::{BackupFault, Error, Result};
use crate::base::limits::MAX_FINDINGS_PER_CODE;
use crate::base::parallel::{both, split, thread_count};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::base::site::FileRole;
use crate::base::{narrow, widen};
use crate::format::own::backup_file::ChunkKind;
use crate::format::own::manifest::{ChunkEntry, Summary};
use crate::store::{PauseToken, Snapshot};
use crate::verify::{Disproof, GenerationReport, JournalReport, Proof, Unchecked, VerifyOptions};
use crate::verify::{faults, later_commits, verify_snapshot};

use super::read::Backup;
use super::summary::summarise;

/// Report on the verification of a backup. If there is one, every byte of the backup and its bases
/// matches its checksum.
#[derive(Debug, Clone)]
pub struct BackupReport {
    /// Report on the state of the repository that is read from the backup.
    pub repository: GenerationReport,
    /// Report on the journals in the backup, and on the generation without them.
    pub journal: JournalReport,
}

/// Number of chunks that a thread takes together when all are examined.
const CHUNKS_AT_ONCE: u32 = 256;

/// The damaged chunks of a backup.
#[derive(Debug, Default)]
pub struct DamagedChunks {
    /// The first ones, as errors that give their place and pages.
    pub listed: Vec<Error>,
    /// Number of further ones.
    pub not_listed: u64,
}

impl DamagedChunks {
    /// Number of damaged chunks.
    pub fn count(&self) -> u64 {
        self.listed.len() as u64 + self.not_listed
    }

    fn extend(&mut self, found: impl IntoIterator<Item = Error>) {
        for error in found {
            if self.listed.len() < MAX_FINDINGS_PER_CODE {
                self.listed.push(error);
            } else {
                self.not_listed += 1;
            }
        }
    }
}

impl BackupReport {
    /// True if the backup can be restored, because there are no findings.
    pub fn is_consistent(&self) -> bool {
        self.repository.is_consistent() && self.journal.is_consistent()
    }
}

impl Backup {
    /// Reads and checks everything: every chunk against its checksums, every page against its
    /// digest, and the repository formed by the pages, like [`verify`](crate::verify::verify).
    ///
    /// # Errors
    /// Returns [`Error::Backup`](crate::Error::Backup) if the file is damaged, since nothing in it
    /// can be trusted then, [`Error::Io`](crate::Error::Io), or
    /// [`Error::Cancelled`](crate::Error::Cancelled). Findings in the repository are in the report.
    pub fn verify(&self, options: VerifyOptions, observer: &dyn Observer) -> Result<BackupReport> {
        if self.is_unmapped() {
            return self.verify_files(options, observer);
        }
        let snapshot = self.snapshot();
        let BackupReport {
            repository: on_disk,
            ..
        } = self.verify_as(&snapshot.on_disk(), options, observer)?;
        if self.journal().replayed() == 0 {
            let journal = JournalReport {
                found: self.journal().clone(),
                ..JournalReport::default()
            };
            return Ok(BackupReport {
                repository: on_disk,
                journal,
            });
        }
        let repository = verify_snapshot(&snapshot, options, observer)?;
        let journal = JournalReport::beside(on_disk, self.journal(), &snapshot, observer)?;
        Ok(BackupReport {
            repository,
            journal,
        })
    }

    /// Checks files without a generation, of which it can only be said that they are those that
    /// were backed up.
    fn verify_files(
        &self,
        options: VerifyOptions,
        observer: &dyn Observer,
    ) -> Result<BackupReport> {
        Monitor::new(observer, Phase::Verify, 0).check()?;
        self.check_chunks(thread_count(options.threads))?;
        self.check_exact()?;
        let header = self.header();
        let repository = GenerationReport {
            dialect: header.dialect,
            generation: header.generation,
            mapping: self.snapshot().image().mapping_role(),
            pages: [0; 2],
            keys: 0,
            records: 0,
            findings: Vec::new(),
            not_listed: 0,
            unchecked: vec![Unchecked::NoMapping],
            census: None,
            advice: crate::verify::Advices::default(),
        };
        Ok(BackupReport {
            repository,
            journal: JournalReport::default(),
        })
    }

    /// Checks the generation in the backup without its journals. Its pages are read through
    /// `snapshot`.
    pub(crate) fn verify_as(
        &self,
        snapshot: &Snapshot,
        options: VerifyOptions,
        observer: &dyn Observer,
    ) -> Result<BackupReport> {
        let threads = thread_count(options.threads);
        // The pass over the repository reads, and so checks, every chunk of pages that it needs; an
        // error there ends it. It runs on the calling thread, where an observer may depend on the
        // thread.
        let (counted, verified) = both(
            threads,
            || summarise(snapshot),
            || verify_snapshot(snapshot, options, observer),
        );
        let repository = verified?;
        self.check_chunks(threads)?;
        self.check_exact()?;
        self.check_summary(&repository, &counted?)?;
        Ok(BackupReport {
            repository,
            journal: JournalReport::default(),
        })
    }

    /// Compares the backup with the token of a pause, as [`prove`](crate::verify::prove) does for a
    /// copy of the directory: whether it is of the paused state and complete. If scrubbing changed
    /// a page, the mapping has another checksum for it and therefore does not match.
    ///
    /// # Errors
    /// The errors of [`verify`](Self::verify). A backup of something else is not an error.
    pub fn prove(
        &self,
        token: &PauseToken,
        options: VerifyOptions,
        observer: &dyn Observer,
    ) -> Result<Proof> {
        let report = self.verify(options, observer)?;
        let Some(held) = self.pause_token()? else {
            let disproofs = vec![Disproof::OtherGeneration { newest: None }];
            return Ok(Proof {
                token: *token,
                disproofs,
                report: None,
            });
        };
        let snapshot = self.snapshot();
        let mut disproofs: Vec<Disproof> = later_commits(self.journal(), token).collect();
        if held == *token {
            // If journals were replayed, the state of the token is the one without them.
            let on_disk = report.journal.without.unwrap_or(report.repository);
            disproofs.extend(faults(&snapshot.image().on_disk(), &on_disk)?);
            return Ok(Proof {
                token: *token,
                disproofs,
                report: Some(on_disk),
            });
        }
        disproofs.push(match held.generation {
            generation if generation > token.generation => Disproof::LaterGeneration { generation },
            generation if generation == token.generation && held.dialect == token.dialect => {
                Disproof::OtherMapping {
                    file: snapshot.image().mapping_role(),
                }
            }
            generation => Disproof::OtherGeneration {
                newest: Some(generation),
            },
        });
        Ok(Proof {
            token: *token,
            disproofs,
            report: None,
        })
    }

    /// The token that a pause of the state in the backup gave or would have given; `None` for files
    /// without a generation.
    fn pause_token(&self) -> Result<Option<PauseToken>> {
        let is_mapping =
            |entry: &ChunkEntry| matches!(entry.header.kind, ChunkKind::File(FileRole::Mapping(_)));
        let top = &self.chain().top;
        let Some(number) = top
            .manifest
            .chunks
            .iter()
            .position(is_mapping)
            .filter(|_| !self.is_unmapped())
        else {
            return Ok(None);
        };
        let bytes = top.chunk(number)?;
        Ok(Some(PauseToken::of_bytes(
            self.snapshot().image().base().mapping(),
            &bytes,
        )))
    }

    /// Every damaged chunk of the backup and its bases, in order. It shows the extent of the loss
    /// after [`verify`](Self::verify) has reported damage.
    ///
    /// # Errors
    /// Returns [`Error::Io`](crate::Error::Io) if the system refuses, and
    /// [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn damaged_chunks(
        &self,
        threads: Option<NonZeroUsize>,
        observer: &dyn Observer,
    ) -> Result<DamagedChunks> {
        let threads = thread_count(threads);
        let total = self
            .chain()
            .links()
            .map(|link| link.manifest.chunks.len() as u64)
            .sum();
        let monitor = Monitor::new(observer, Phase::Verify, total);
        let mut damaged = DamagedChunks::default();
        for link in self.chain().links() {
            let found = split(
                narrow(link.manifest.chunks.len()),
                CHUNKS_AT_ONCE,
                threads,
                |range| {
                    let mut found = DamagedChunks::default();
                    for number in range {
                        monitor.advance(1)?;
                        found.extend(link.fault_of_chunk(widen(number))?);
                    }
                    Ok::<_, Error>(found)
                },
            );
            for found in found {
                let DamagedChunks { listed, not_listed } = found?;
                damaged.extend(listed);
                damaged.not_listed += not_listed;
            }
        }
        Ok(damaged)
    }

    /// Reads and checks every chunk of the chain that has not been read yet.
    pub(crate) fn check_chunks(&self, threads: usize) -> Result<()> {
        let links: Vec<_> = self.chain().links().collect();
        let checked = split(narrow(links.len()), 1, threads, |range| {
            range
                .filter_map(|number| links.get(widen(number)))
                .try_for_each(|link| link.check_rest())
        });
        checked.into_iter().collect()
    }

    /// Checks that the numbers in the manifest are those of the repository. All of them are counted
    /// again and, if nothing is damaged, also compared with the counts of the verification.
    fn check_summary(&self, repository: &GenerationReport, counted: &Summary) -> Result<()> {
        let summary = &self.manifest().summary;
        let is_counted = !repository.is_consistent()
            || (summary.keys, summary.records) == (repository.keys, repository.records);
        if is_counted && counted == summary {
            return Ok(());
        }
        let text = "its summary counts something else than it holds";
        Err(self
            .chain()
            .top
            .fault(BackupFault::Structure(text.to_owned())))
    }
}

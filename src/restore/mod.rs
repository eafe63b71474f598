//! Restoring of backups. Everything is checked before any existing file is touched, and a crash
//! leaves the old state or the new one. If there is nothing at the target, checking and writing run
//! together: files stay under temporary names until the result is known.
//!
//! | what is there | what happens | the switch |
//! |---|---|---|
//! | nothing, or an empty directory | files are written under temporary names | the first mapping gets its name (W-1) |
//! | a healthy repository of dialect 2.2 | pages that differ go to free places | the mapping of the next generation (W-2 to W-5) |
//! | a damaged one, one of dialect 2.1, one whose files have other names too | a new directory is filled beside it | the old directory is renamed to `<name>.001` … `.009`, the new one to `<name>` (W-7) |

mod fresh;
pub(crate) mod live;
mod next;
mod part;
mod plan;
mod single_pass;
mod target;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backup::{Backup, BackupReport};
use crate::base::error::{BackupFault, Error, Result};
use crate::base::escape::escape_path;
use crate::base::misuse::Misuse;
use crate::base::parallel::thread_count;
use crate::base::progress::{Monitor, Observer, Phase};
use crate::format::Dialect;
use crate::format::own::backup_file::BackupFlags;
use crate::pager::lock::{LockWait, WriterLock};
use crate::storage::Directory;
use crate::store::{JournalFate, OpenOptions};
use crate::verify::{GenerationReport, VerifyOptions};

pub(crate) use part::in_memory;
pub use part::{PartOptions, plan_part, restore_part};
pub use plan::{RestorePlan, Way, plan, writing_process};

use target::Found;

/// The action if a repository exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Fail.
    #[default]
    Refuse,
    /// Replace its content.
    Replace,
}

/// Options of a restore.
#[derive(Debug, Clone, Copy, Default)]
pub struct RestoreOptions {
    /// The action if a repository exists already.
    pub existing: Existing,
    /// Restore a forensic backup even if the repository in it is damaged: its files, byte for byte,
    /// into a new or empty directory. The backup itself must be intact.
    pub damaged: bool,
    /// Replace a repository of another dialect, which fails otherwise ([`Error::OtherDialect`]).
    pub change_dialect: bool,
    /// How long to wait for another process that writes there; not at all by default.
    pub wait: Option<Duration>,
    /// Number of threads; one per processor by default. With 1, no thread is started.
    pub threads: Option<NonZeroUsize>,
}

impl RestoreOptions {
    const fn verify(self) -> VerifyOptions {
        VerifyOptions {
            threads: self.threads,
            all_generations: false,
        }
    }
}

/// The way in which a backup was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Installed {
    /// As a new repository.
    New,
    /// As the next generation of the existing repository.
    NextGeneration {
        /// Its number.
        generation: u32,
    },
    /// As a new repository, after the existing one was set aside.
    SetAside {
        /// The present place of the old one.
        old: PathBuf,
    },
}

/// Result of a restore.
#[derive(Debug, Clone)]
pub struct RestoreSummary {
    /// The way in which the backup was restored.
    pub installed: Installed,
    /// The directory of the repository.
    pub directory: PathBuf,
    /// Number of pages written.
    pub pages_written: u64,
    /// Number of pages that were in place already with the same content.
    pub pages_kept: u64,
    /// Number of findings and impossible checks in the restored repository; 0 unless a damaged one
    /// was requested.
    pub findings: u64,
    /// Number of commits in journals of the replaced repository, as far as they can be counted.
    /// They are gone, or set aside with it.
    pub waiting_commits: u64,
}

/// Restores a backup to a directory in the file system.
///
/// # Errors
/// Returns [`Error::Backup`] if the backup is damaged or the repository in it inconsistent,
/// [`Error::InvalidArgument`] for a directory that cannot be the target, [`Error::OtherDialect`],
/// [`Error::Locked`] while another process writes there, [`Error::Io`] if the system refuses, or
/// [`Error::Cancelled`]. In all of these cases the existing content is untouched. (A backup is
/// checked while it is written into a new directory. After an error the written files are removed.
/// A loss of power right after that may bring them back, as files that the next restore removes.)
///
/// Returns [`Error::Unconfirmed`] if the last sync fails after the switch; the restored repository
/// is in place then. Returns [`Error::Stranded`] if the system refuses to rename a directory and to
/// rename it back.
pub fn restore(
    backup: &Backup,
    into: impl AsRef<Path>,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<RestoreSummary> {
    restore_in(backup, &Directory::real(into.as_ref()), options, observer)
}

/// Restores a backup to a directory of any storage, like [`restore`].
///
/// # Errors
/// The errors of [`restore`].
pub fn restore_in(
    backup: &Backup,
    into: &Directory,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<RestoreSummary> {
    let found = target::look(into)?;
    allowed(&found, options)?;
    ensure_same_dialect(backup, &found, options)?;
    let is_forensic = backup.header().flags.contains(BackupFlags::FORENSIC);
    let check = match found {
        Found::Missing | Found::Empty if !is_forensic => Check::Beside,
        _ => Check::Done {
            findings: validate(backup, options, observer)?,
        },
    };
    install(backup, into, options, check, observer)
}

/// The time at which the backup is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// It has been checked, with this many findings.
    Done { findings: u64 },
    /// It is checked while it is written.
    Beside,
}

impl Check {
    const fn findings(self) -> u64 {
        match self {
            Self::Done { findings } => findings,
            Self::Beside => 0,
        }
    }
}

/// The refusal to replace a repository by a damaged one.
fn not_by_a_damaged_one(directory: &Directory) -> Error {
    let text = "holds a repository, which is not replaced by a damaged one; give a new or empty \
        directory";
    let text = format!("{} {text}", escape_path(&directory.path));
    Error::invalid(Misuse::RepositoryExists, text)
}

/// Puts the repository into place. Damaged content is written only where nothing exists.
fn install(
    backup: &Backup,
    into: &Directory,
    options: RestoreOptions,
    check: Check,
    observer: &dyn Observer,
) -> Result<RestoreSummary> {
    let threads = thread_count(options.threads);
    let source = Source {
        backup,
        options,
        observer,
    };
    let directory = match target::look(into)? {
        Found::Missing | Found::Empty => into.clone(),
        Found::Repository(files) => files.directory,
    };
    // W-9: everything that is built on is examined under the lock.
    let monitor = Monitor::new(observer, Phase::Restore, 0);
    let may_go_on = || monitor.check();
    let wait = LockWait::new(options.wait, &may_go_on);
    let mut lock = wait.take(|| WriterLock::beside(&directory, "restore"))?;
    if matches!(target::look(&directory)?, Found::Missing) {
        return fresh::into_missing(&source, check, &directory, lock);
    }
    wait.take(|| lock.enter())?;
    let found = target::look(&directory)?;
    allowed(&found, options)?;
    ensure_same_dialect(backup, &found, options)?;
    let check = match found {
        // It appeared between the first look and the lock.
        Found::Repository(_) if check == Check::Beside => Check::Done {
            findings: validate(backup, options, observer)?,
        },
        _ => check,
    };
    let files = match found {
        Found::Repository(_) if check.findings() > 0 => {
            return Err(not_by_a_damaged_one(&directory));
        }
        Found::Repository(files) if files.directory.path == directory.path => files,
        Found::Empty => return fresh::into_empty(&source, check, &directory),
        Found::Missing | Found::Repository(_) => return Err(target::changed(&directory)),
    };
    fresh::unmark(&directory);
    // W-13: writing to a file with several names would change all of them, so the old files are
    // left as they are.
    let current = match files.shared()? {
        None => next::healthy(&directory, options, observer)?,
        Some(_) => None,
    };
    // An unused repository is closed here, because no file may be open in a directory that is
    // renamed.
    match current.filter(|_| backup.snapshot().dialect() == Dialect::V22) {
        Some(current) => next::over(backup, &current, threads, observer),
        None => {
            target::need_no_link(&directory)?;
            // A repository that cannot be opened has nothing to count.
            let old = OpenOptions::new().without_journal().open_in(&directory);
            let waiting_commits = old.map_or(0, |old| old.journal().commits());
            Ok(RestoreSummary {
                waiting_commits,
                ..fresh::aside(&source, &files, lock)?
            })
        }
    }
}

/// The content to restore, and the options.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    backup: &'a Backup,
    options: RestoreOptions,
    observer: &'a dyn Observer,
}

/// Fails unless the existing content may be replaced.
fn allowed(found: &Found, options: RestoreOptions) -> Result<()> {
    match (found, options.existing) {
        (Found::Repository(files), Existing::Refuse) => {
            let path = escape_path(&files.directory.path);
            let text = "holds a repository; allow that it is replaced (`Existing::Replace`, on the \
                command line --force)";
            Err(Error::invalid(
                Misuse::RepositoryExists,
                format!("{path} {text}"),
            ))
        }
        _ => Ok(()),
    }
}

/// Rejects a backup of another dialect than the existing repository, unless the caller wants the
/// dialect changed. A repository that cannot be opened has no dialect.
fn ensure_same_dialect(backup: &Backup, found: &Found, options: RestoreOptions) -> Result<()> {
    let Found::Repository(files) = found else {
        return Ok(());
    };
    if options.change_dialect {
        return Ok(());
    }
    let there = OpenOptions::new()
        .without_journal()
        .open_in(&files.directory);
    let (path, new) = (backup.path().into(), backup.snapshot().dialect());
    match there.map(|there| there.dialect()) {
        Ok(old) if old != new => Err(Error::OtherDialect {
            path,
            backup: new.as_str(),
            repository: old.as_str(),
        }),
        _ => Ok(()),
    }
}

/// Checks the backup and the repository in it, which may be damaged only if the options permit it.
/// Returns the number of findings.
fn validate(backup: &Backup, options: RestoreOptions, observer: &dyn Observer) -> Result<u64> {
    let BackupReport {
        repository,
        journal,
        ..
    } = backup.verify(options.verify(), observer)?;
    let count = |report: &GenerationReport| {
        report.findings.len() as u64 + report.not_listed + report.unchecked.len() as u64
    };
    if options.damaged && backup.header().flags.contains(BackupFlags::FORENSIC) {
        let without = journal.without.as_ref().map_or(0, count);
        return Ok(count(&repository) + without + journal.found.refused().count() as u64);
    }
    if let Some(file) = journal.found.refused().next() {
        let text = match &file.fate {
            JournalFate::Refused(finding) => finding.to_string(),
            _ => format!("{} is of a newer version", file.name),
        };
        return Err(Error::backup(backup.path(), BackupFault::Structure(text)));
    }
    refuse_findings(backup, repository)?;
    journal
        .without
        .map_or(Ok(()), |without| refuse_findings(backup, without))?;
    Ok(0)
}

/// Fails if there are findings, because an inconsistent repository is not restored.
fn refuse_findings(backup: &Backup, report: GenerationReport) -> Result<()> {
    match (report.first_damage().cloned(), report.unchecked.first()) {
        (Some(finding), _) => Err(Error::backup(
            backup.path(),
            BackupFault::Inconsistent(Box::new(finding)),
        )),
        (None, Some(unchecked)) => Err(Error::backup(
            backup.path(),
            BackupFault::Structure(unchecked.to_string()),
        )),
        (None, None) => Ok(()),
    }
}

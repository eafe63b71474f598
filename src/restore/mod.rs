//! Restoring a backup: everything is checked before anything is touched, and a crash leaves the old state or the new.
//!
//! | what is there | what happens | the switch |
//! |---|---|---|
//! | nothing, or an empty directory | files are written under temporary names | the first mapping gets its name (W-1) |
//! | a healthy repository of dialect 2.2 | pages that differ go to free places | the mapping of the next generation (W-2 to W-5) |
//! | a damaged one, or one of dialect 2.1 | a new directory is filled beside it | the old directory is renamed to `<name>.001` … `.009`, the new one to `<name>` (W-7) |

mod fresh;
pub(crate) mod live;
mod next;
mod target;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::backup::Backup;
use crate::base::error::{BackupFault, Error, Result};
use crate::base::parallel::thread_count;
use crate::base::progress::Observer;
use crate::format::Dialect;
use crate::repository::lock::WriterLock;
use crate::storage::Directory;
use crate::verify::VerifyOptions;

use target::Found;

/// What to do when there is a repository already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Refuse.
    #[default]
    Refuse,
    /// Replace its content.
    Replace,
}

/// How a backup is restored.
#[derive(Debug, Clone, Copy, Default)]
pub struct RestoreOptions {
    /// What to do when there is a repository already.
    pub existing: Existing,
    /// Threads; one a processor unless given. With one, no thread is started.
    pub threads: Option<NonZeroUsize>,
}

/// How a backup was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Installed {
    /// As a new repository.
    New,
    /// As the next generation of the repository that was there.
    NextGeneration {
        /// Its number.
        generation: u32,
    },
    /// As a new repository, after the one that was there was set aside.
    SetAside {
        /// Where it is now.
        old: PathBuf,
    },
}

/// What was restored.
#[derive(Debug, Clone)]
pub struct RestoreSummary {
    /// How.
    pub installed: Installed,
    /// The directory of the repository.
    pub directory: PathBuf,
    /// Pages written.
    pub pages_written: u64,
    /// Pages that were there already with the same content.
    pub pages_kept: u64,
}

/// Restores a backup to a directory of the file system.
///
/// # Errors
/// [`Error::Backup`] when the backup is damaged or the repository in it inconsistent; [`Error::InvalidArgument`] for a
/// directory that cannot be the target; [`Error::Locked`] while another process writes there; [`Error::Io`] when the system
/// refuses; [`Error::Cancelled`]. What was there is untouched then. [`Error::Unconfirmed`] when the system refuses the last
/// sync, behind the switch: the restored repository is in place. [`Error::Stranded`] when it refuses to rename a directory and
/// to rename it back.
pub fn restore(
    backup: &Backup,
    into: impl AsRef<Path>,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<RestoreSummary> {
    restore_in(backup, &Directory::real(into.as_ref()), options, observer)
}

/// As [`restore`], to a directory of any storage.
///
/// # Errors
/// As [`restore`].
pub fn restore_in(
    backup: &Backup,
    into: &Directory,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<RestoreSummary> {
    allowed(&target::look(into)?, options)?;
    validate(backup, options, observer)?;
    let threads = thread_count(options.threads);
    let directory = match target::look(into)? {
        Found::Missing | Found::Empty => into.clone(),
        Found::Repository(files) => files.directory,
    };
    // W-9: what is built on is looked at under the lock.
    let mut lock = WriterLock::beside(&directory, "restore")?;
    if matches!(target::look(&directory)?, Found::Missing) {
        return fresh::into_missing(backup, &directory, lock, threads, observer);
    }
    lock.enter()?;
    let found = target::look(&directory)?;
    allowed(&found, options)?;
    match found {
        Found::Repository(files) if files.directory.path == directory.path => {}
        Found::Empty => return fresh::into_empty(backup, &directory, threads, observer),
        Found::Missing | Found::Repository(_) => return Err(target::changed(&directory)),
    }
    fresh::unmark(&directory);
    let current = next::healthy(&directory, options, observer)?;
    // What is not built on is closed: no file may be open in a directory that is renamed.
    match current.filter(|_| backup.snapshot().dialect() == Dialect::V22) {
        Some(current) => next::over(backup, &current, threads, observer),
        None => fresh::aside(backup, &directory, lock, threads, observer),
    }
}

/// Whether what was found may be replaced.
fn allowed(found: &Found, options: RestoreOptions) -> Result<()> {
    match (found, options.existing) {
        (Found::Repository(files), Existing::Refuse) => {
            let path = files.directory.path.display();
            Err(Error::invalid(format!("{path} holds a repository; say that it is to be replaced")))
        }
        _ => Ok(()),
    }
}

/// Everything in the backup is right, and so is the repository that it makes.
fn validate(backup: &Backup, options: RestoreOptions, observer: &dyn Observer) -> Result<()> {
    let verify = VerifyOptions { threads: options.threads, all_generations: false };
    let report = backup.verify(verify, observer)?.repository;
    match (report.findings.into_iter().next(), report.unchecked.first()) {
        (Some(finding), _) => Err(Error::backup(backup.path(), BackupFault::Inconsistent(Box::new(finding)))),
        (None, Some(unchecked)) => Err(Error::backup(backup.path(), BackupFault::Structure(unchecked.to_string()))),
        (None, None) => Ok(()),
    }
}

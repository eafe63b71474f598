//! The plan of a restore, computed without changing anything.

use super::target::Found;
use super::{RestoreOptions, allowed, ensure_same_dialect, next, target, validate};
use crate::backup::Backup;
use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::misuse::Misuse;
use crate::base::progress::Observer;
use crate::format::Dialect;
use crate::pager::lock::lock_holder;
use crate::storage::Directory;
use crate::store::{OpenOptions, Repository};

/// The way in which the repository of a backup would be put into place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "kebab-case")
)]
pub enum Way {
    /// As a new repository where there is none.
    New,
    /// As the next generation of the existing repository, which can be read throughout.
    NextGeneration,
    /// As a new repository, with the existing one set aside.
    SetAside,
}

/// The effects that a restore would have.
#[derive(Debug)]
pub struct RestorePlan {
    /// The way in which it would be done.
    pub way: Way,
    /// Dialect of the backup.
    pub dialect: Dialect,
    /// The existing repository that would be replaced, including its journal. `None` if there is
    /// none, or it cannot be opened.
    pub replaced: Option<Repository>,
    /// Number of commits in journals of that repository, which would be gone or set aside with it.
    pub waiting_commits: u64,
    /// Number of findings in the content that would be restored.
    pub findings: u64,
    /// The process that has the directory locked for writing ([`writing_process`]). The restore
    /// would wait for it, or be refused.
    pub writer: Option<String>,
}

/// The process that has a directory locked for writing, in the words of its lock file: its number
/// and its purpose. `None` where there is no such process, or the directory is missing. Nothing is
/// created, and no lock is kept.
///
/// Clients of a repository are connected to that process, which alone knows them
/// ([`BackupRestore::plan_restore`](crate::service::BackupRestore::plan_restore)).
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where the lock files cannot be looked at.
pub fn writing_process(directory: &Directory) -> Result<Option<String>> {
    match target::look(directory)? {
        Found::Repository(files) => lock_holder(&files.directory),
        Found::Missing | Found::Empty => lock_holder(directory),
    }
}

/// Checks a backup completely and reports what restoring it would do. Nothing is written, and
/// no lock is taken.
///
/// # Errors
/// The errors that [`restore`](super::restore()) returns before it changes anything.
pub fn plan(
    backup: &Backup,
    into: &Directory,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<RestorePlan> {
    let found = target::look(into)?;
    allowed(&found, options)?;
    ensure_same_dialect(backup, &found, options)?;
    let findings = validate(backup, options, observer)?;
    let dialect = backup.snapshot().dialect();
    let writer = writing_process(into)?;
    let Found::Repository(files) = found else {
        return Ok(RestorePlan {
            way: Way::New,
            dialect,
            replaced: None,
            waiting_commits: 0,
            findings,
            writer,
        });
    };
    if findings > 0 {
        let text = "holds a repository, which is not replaced by a damaged one; give a new or \
            empty directory";
        let text = format!("{} {text}", escape_path(&files.directory.path));
        return Err(Error::invalid(Misuse::RepositoryExists, text));
    }
    let can_go_on = dialect == Dialect::V22
        && files.shared()?.is_none()
        && next::healthy(&files.directory, options, observer)?.is_some();
    let replaced = OpenOptions::new().open_in(&files.directory).ok();
    let waiting_commits = replaced.as_ref().map_or(0, |old| old.journal().commits());
    let way = if can_go_on {
        Way::NextGeneration
    } else {
        Way::SetAside
    };
    Ok(RestorePlan {
        way,
        dialect,
        replaced,
        waiting_commits,
        findings,
        writer,
    })
}

//! Restoring over a repository that an engine has open, as its next generation (W-2 to W-5, W-10).

use crate::backup::Backup;
use crate::base::error::{Error, Result};
use crate::base::parallel::thread_count;
use crate::base::progress::Observer;
use crate::format::Dialect;
use crate::store::{Engine, Replacing};

use super::next::{Restore, Written};
use super::{Installed, RestoreOptions, RestoreSummary, validate};

/// Checks that a backup can be restored over a live repository, which involves reading all of it.
pub(crate) fn check(
    backup: &Backup,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<()> {
    let dialect = backup.snapshot().dialect();
    if dialect != Dialect::V22 {
        let (path, repository) = (backup.path().into(), Dialect::V22.as_str());
        return Err(Error::OtherDialect {
            path,
            backup: dialect.as_str(),
            repository,
        });
    }
    validate(backup, options, observer).map(drop)
}

/// Restores a backup that has been checked. The caller holds the turn at the gate of the engine.
pub(crate) fn over_live(
    backup: &Backup,
    engine: &Engine,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<RestoreSummary> {
    let threads = thread_count(options.threads);
    let new = backup.snapshot();
    let mut counts = (0, 0);
    let generation = engine.replace(|into: &Replacing<'_>| {
        let restore = Restore {
            old: into.old,
            new: new.image(),
            on_disk: into.on_disk,
            pinned: into.pinned,
            held: into.held.each_ref().map(Vec::as_slice),
            next: into.next,
            threads,
            observer,
        };
        let Written {
            objects,
            index,
            pages_written,
            pages_kept,
        } = restore.write()?;
        counts = (pages_written, pages_kept);
        Ok([objects, index])
    })?;
    let (pages_written, pages_kept) = counts;
    let installed = Installed::NextGeneration { generation };
    let directory = engine.directory().path.clone();
    // Commits in the journal were visible to everyone, like those in a generation, so none counts
    // as waiting.
    let waiting_commits = 0;
    Ok(RestoreSummary {
        installed,
        directory,
        pages_written,
        pages_kept,
        findings: 0,
        waiting_commits,
    })
}

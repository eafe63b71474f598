//! A part of a backup into a repository that lives on: one transaction, beside its readers.

use std::num::NonZeroUsize;

use super::{RestoreOptions, validate};
use crate::backup::Backup;
use crate::base::error::Result;
use crate::base::progress::Observer;
use crate::catalog::Catalog;
use crate::changes::Importer;
use crate::changes::part::{Part, TakenPart};
use crate::engine::Engine;

/// How a part of a backup is restored.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartOptions {
    /// Take what can be read of a forensic backup of a damaged repository. The backup itself must be right.
    pub damaged: bool,
    /// Change nothing, and only tell what would be.
    pub dry_run: bool,
    /// Threads that check the backup; one a processor unless given.
    pub threads: Option<NonZeroUsize>,
}

/// Puts a part of a backup in the place of what a repository has of it, in one transaction: readers see all of it
/// or nothing, and so does a crash. The whole backup is checked before.
///
/// # Errors
/// [`Error::Backup`](crate::Error::Backup) when the backup is damaged or the repository in it inconsistent; as
/// [`Importer::take_part`]; as [`Transaction::commit`](crate::engine::Transaction::commit). Nothing is changed then,
/// but for the last, which says itself what it means.
pub fn restore_part(
    backup: &Backup,
    into: &Engine,
    part: &Part,
    options: PartOptions,
    observer: &dyn Observer,
) -> Result<TakenPart> {
    let PartOptions { damaged, dry_run, threads } = options;
    // Of files without a generation there is no part.
    let damaged = damaged && !backup.is_unmapped();
    validate(backup, RestoreOptions { damaged, threads, ..RestoreOptions::default() }, observer)?;
    let from = Catalog::new(backup.snapshot());
    let mut importer = Importer::new(into.begin_write()?)?;
    let taken = importer.take_part(&from, part, observer)?;
    // Dropped, the transaction is taken back.
    if !dry_run {
        importer.commit()?;
    }
    Ok(taken)
}

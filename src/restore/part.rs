//! A part of a backup into a repository that lives on: one transaction, beside its readers.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use super::{RestoreOptions, validate};
use crate::backup::Backup;
use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::progress::Observer;
use crate::catalog::Catalog;
use crate::catalog::Importer;
use crate::catalog::part::{Part, TakenPart};
use crate::pager::files::RepositoryFiles;
use crate::storage::{Directory, MemStorage, OpenMode, Storage, read_exact_at};
use crate::store::OpenOptions;
use crate::store::{Engine, EngineOptions};

/// How often a repository is copied again when another process writes over what is read.
const ATTEMPTS: usize = 8;

/// Where the copy lies in its own storage.
const COPY: &str = "/repository";

/// How a part of a backup is restored.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartOptions {
    /// Take what can be read of a forensic backup of a damaged repository. The backup itself must
    /// be right.
    pub damaged: bool,
    /// Change nothing, and only tell what would be.
    pub dry_run: bool,
    /// Threads that check the backup; one a processor unless given.
    pub threads: Option<NonZeroUsize>,
}

/// Puts a part of a backup in the place of what a repository has of it, in one transaction: readers
/// see all of it or nothing, and so does a crash. The whole backup is checked before.
///
/// # Errors
/// [`Error::Backup`](crate::Error::Backup) when the backup is damaged or the repository in it
/// inconsistent; as [`Importer::take_part`]; as
/// [`Transaction::commit`](crate::store::Transaction::commit). Nothing is changed then, but for the
/// last, which says itself what it means.
pub fn restore_part(
    backup: &Backup,
    into: &Engine,
    part: &Part,
    options: PartOptions,
    observer: &dyn Observer,
) -> Result<TakenPart> {
    let PartOptions {
        damaged,
        dry_run,
        threads,
    } = options;
    // Of files without a generation there is no part.
    let damaged = damaged && !backup.is_unmapped();
    validate(
        backup,
        RestoreOptions {
            damaged,
            threads,
            ..RestoreOptions::default()
        },
        observer,
    )?;
    let from = Catalog::new(backup.snapshot());
    let mut importer = Importer::new(into.begin_write()?)?;
    let taken = importer.take_part(&from, part, observer)?;
    // Dropped, the transaction is taken back.
    if !dry_run {
        importer.commit()?;
    }
    Ok(taken)
}

/// What [`restore_part`] would do to the repository in a directory, told without a byte written
/// there, and without the lock: what a journal holds is made again in a copy in memory, which is as
/// large as the files of the repository.
///
/// # Errors
/// As [`restore_part`] before it changes anything, and as [`EngineOptions::open`];
/// [`Error::Overtaken`] where another process wrote over what was copied each time.
pub fn plan_part(
    backup: &Backup,
    into: &Directory,
    part: &Part,
    options: PartOptions,
    observer: &dyn Observer,
) -> Result<TakenPart> {
    let copy = copied(into)?;
    let engine = EngineOptions::new().background(false).open_in(&copy)?;
    restore_part(
        backup,
        &engine,
        part,
        PartOptions {
            dry_run: true,
            ..options
        },
        observer,
    )
}

/// A copy in memory of the repository in a directory: of one generation, with the journals that
/// continue it.
fn copied(from: &Directory) -> Result<Directory> {
    let mut attempt = 1;
    loop {
        let repository = OpenOptions::new().without_journal().open_in(from)?;
        let copy = copy_of(repository.files());
        // As long as its mapping is there, the pages of a generation stay (W-2, W-4).
        match repository.ensure_unchanged() {
            Ok(()) => return copy,
            Err(Error::Overtaken { .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

fn copy_of(files: &RepositoryFiles) -> Result<Directory> {
    let storage = MemStorage::new();
    let failed = |error| Error::io(IoOp::CreateDirectory, Path::new(COPY), error);
    storage.create_dir(Path::new(COPY)).map_err(failed)?;
    let journals = files.journals().iter().map(|(_, name)| name.as_str());
    for name in files.present().map(|(_, name)| name).chain(journals) {
        let path = files.directory.join(name);
        let failed = |error| Error::io(IoOp::Read, &path, error);
        let file = files
            .directory
            .storage
            .open(&path, OpenMode::Read)
            .map_err(failed)?;
        let length = file.len().map_err(failed)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        read_exact_at(file.as_ref(), 0, &mut bytes).map_err(failed)?;
        storage.put(Path::new(COPY).join(name), bytes);
    }
    Ok(Directory::new(Arc::new(storage), COPY))
}

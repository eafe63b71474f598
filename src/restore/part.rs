//! Restoring a part of a backup into a live repository, in one transaction and next to its readers.

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

/// Number of attempts at copying a repository while another process overwrites what is being read.
const ATTEMPTS: usize = 8;

/// Path of the copy in its own storage.
const COPY: &str = "/repository";

/// Options for restoring a part of a backup.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartOptions {
    /// Take what can be read of a forensic backup of a damaged repository. The backup itself must
    /// be intact.
    pub damaged: bool,
    /// Change nothing; only report what would be changed.
    pub dry_run: bool,
    /// Number of threads that check the backup; one per processor by default.
    pub threads: Option<NonZeroUsize>,
}

/// Replaces a part of a repository by that of a backup, in one transaction: readers see all of it
/// or nothing, as does a crash. The whole backup is checked first.
///
/// # Errors
/// Returns [`Error::Backup`](crate::Error::Backup) if the backup is damaged or the repository in it
/// inconsistent, and the errors of [`Importer::take_part`]; nothing has changed then. Also returns
/// the errors of [`Transaction::commit`](crate::store::Transaction::commit), which explain their
/// effects themselves.
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
    // Files without a generation have no parts.
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
    // Dropping the transaction undoes it.
    if !dry_run {
        importer.commit()?;
    }
    Ok(taken)
}

/// Reports what [`restore_part`] would do to the repository in a directory, without writing a byte
/// there or taking the lock. Journals are replayed in a copy in memory, which is as large as the
/// files of the repository.
///
/// # Errors
/// The errors that [`restore_part`] returns before it changes anything, those of
/// [`EngineOptions::open`], and [`Error::Overtaken`] if another process overwrote the files during
/// each attempt to copy them.
pub fn plan_part(
    backup: &Backup,
    into: &Directory,
    part: &Part,
    options: PartOptions,
    observer: &dyn Observer,
) -> Result<TakenPart> {
    let copy = in_memory(into)?;
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

/// Copies the repository in a directory into memory: one generation, with the journals that
/// continue it.
pub(crate) fn in_memory(from: &Directory) -> Result<Directory> {
    let mut attempt = 1;
    loop {
        let repository = OpenOptions::new().without_journal().open_in(from)?;
        let copy = copy_of(repository.files());
        // While its mapping exists, the pages of a generation stay (W-2, W-4).
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

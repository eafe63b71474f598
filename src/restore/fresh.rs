//! Restoring as a new repository.

use std::path::{Path, PathBuf};

use crate::backup::{Backup, DataLayout, ExactFiles};
use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::io_op::IoOp;
use crate::base::misuse::Misuse;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PhysicalPage, Space};
use crate::base::parallel::{both, ordered, thread_count};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::base::site::FileRole;
use crate::format::mapping::Mapping;
use crate::pager::files::RepositoryFiles;
use crate::pager::generation::fresh::{FileRights, FreshRepository, place_densely};
use crate::pager::journal::is_journal_name;
use crate::pager::leftovers::{LOCK_NAME, Leftovers, STAGING_MARK, is_own_name};
use crate::pager::lock::WriterLock;
use crate::pager::state::image::Image;
use crate::storage::{Directory, EntryKind, OpenMode, Protection, parent_of};

use super::target::{self, Found, sibling};
use super::{Check, Installed, RestoreSummary, Source, single_pass};

/// Number of pages written together.
const RUN: usize = 32;

/// Suffix of the name of the directory in which a new repository is made next to a damaged one.
const STAGING_SUFFIX: &str = ".restoring";

/// Origin of the directory of a new repository: created for it, or there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Now,
    Before,
}

/// Restores into a directory that does not exist yet. The lock is the outer one, next to it.
pub(crate) fn into_missing(
    source: &Source<'_>,
    check: Check,
    into: &Directory,
    mut lock: WriterLock,
) -> Result<RestoreSummary> {
    create_directory(into, &source.backup.snapshot().protection().for_directory())?;
    let restored = lock.enter().and_then(|()| match target::look(into)? {
        Found::Empty => new(source, check, into, Made::Now),
        Found::Missing | Found::Repository(_) => Err(target::changed(into)),
    });
    lock.leave();
    if restored.is_err() {
        into.storage.remove_dir(&into.path).ok();
    } else if let Ok(path) = sibling(&into.path, STAGING_SUFFIX) {
        // The remains of a crash between the two renames of W-7 are no longer needed.
        clear_staging(&Directory::new(into.storage.clone(), path)).ok();
    }
    restored
}

/// Restores into an empty directory whose lock is held.
pub(crate) fn into_empty(
    source: &Source<'_>,
    check: Check,
    into: &Directory,
) -> Result<RestoreSummary> {
    new(source, check, into, Made::Before)
}

fn new(source: &Source<'_>, check: Check, into: &Directory, made: Made) -> Result<RestoreSummary> {
    let rights = FileRights::Alike(source.backup.snapshot().protection().for_file());
    let pages_written = fill(source, check, into, rights, made)?;
    Ok(RestoreSummary {
        installed: Installed::New,
        directory: into.path.clone(),
        pages_written,
        pages_kept: 0,
        findings: check.findings(),
        waiting_commits: 0,
    })
}

/// Restores in place of the repository `replaced`, whose lock is held and which is set aside. The
/// directory and files get the access rights of the old ones.
pub(crate) fn aside(
    source: &Source<'_>,
    replaced: &RepositoryFiles,
    mut lock: WriterLock,
) -> Result<RestoreSummary> {
    let directory = &replaced.directory;
    lock.need_beside()?;
    let old = free_name(directory)?;
    let staging = Directory::new(
        directory.storage.clone(),
        sibling(&directory.path, STAGING_SUFFIX)?,
    );
    clear_staging(&staging)?;
    let done = Check::Done { findings: 0 };
    let filled = create_staging(&staging, replaced).and_then(|()| {
        fill(
            source,
            done,
            &staging,
            FileRights::Of(replaced.clone()),
            Made::Now,
        )
    });
    let pages_written = filled.map_err(|error| {
        clear_staging(&staging).ok();
        match error {
            // The unconfirmed change is in the staging directory, where it helps nobody.
            Error::Unconfirmed { op, path, source } => Error::Io { op, path, source },
            error => error,
        }
    })?;
    lock.leave();
    let switched = match switch(directory, &staging, &old) {
        Err(Failed::Back(error)) => {
            clear_staging(&staging).ok();
            return Err(explained(error, source.backup, directory));
        }
        Err(Failed::Between(error)) => return Err(error),
        Err(Failed::Behind(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    unmark(directory);
    bring_back(directory, &old);
    switched?;
    let installed = Installed::SetAside { old };
    Ok(RestoreSummary {
        installed,
        directory: directory.path.clone(),
        pages_written,
        pages_kept: 0,
        findings: 0,
        waiting_commits: 0,
    })
}

/// Adds the reason to an error of the switch, if it is known.
fn explained(error: Error, backup: &Backup, directory: &Directory) -> Error {
    let inside = backup
        .chain()
        .links()
        .find(|link| link.path.starts_with(&directory.path));
    match (&error, inside) {
        (
            Error::Io {
                op: IoOp::SetAside,
                source,
                ..
            },
            Some(link),
        ) => {
            let path = escape_path(&link.path);
            let text = "lies in the directory that is to be set aside, and the system does not \
                rename that now";
            Error::invalid(
                Misuse::BackupInside,
                format!("{path} {text} ({source}); move the backup somewhere else"),
            )
        }
        _ => error,
    }
}

/// The progress of a switch that failed.
enum Failed {
    /// The old repository is in place, durably.
    Back(Error),
    /// The present state, or the one after a loss of power, is neither the old nor the new
    /// repository. The new one is kept in the staging directory.
    Between(Error),
    /// The new repository is in place, but may not survive a loss of power.
    Behind(Error),
}

/// W-7: the new directory is complete and durable. The old one is renamed durably before the new
/// one takes its place.
fn switch(directory: &Directory, staging: &Directory, old: &Path) -> Result<(), Failed> {
    let storage = &directory.storage;
    let parent = parent_of(&directory.path);
    let sync = || storage.sync_dir(parent);
    let set_aside = storage.rename(&directory.path, old);
    set_aside.map_err(|error| Failed::Back(Error::io(IoOp::SetAside, &directory.path, error)))?;
    let durable = sync().map_err(|error| Error::io(IoOp::SyncDirectory, parent, error));
    let renamed = durable.and_then(|()| {
        let rename = storage.rename(&staging.path, &directory.path);
        rename.map_err(|error| Error::io(IoOp::Rename, &staging.path, error))
    });
    renamed.map_err(|error| go_back(directory, staging, old, error))?;
    sync().map_err(|error| Failed::Behind(Error::unconfirmed(IoOp::SyncDirectory, parent, error)))
}

/// Renames the old repository back after an error.
fn go_back(directory: &Directory, staging: &Directory, old: &Path, error: Error) -> Failed {
    let storage = &directory.storage;
    if let Err(source) = storage.rename(old, &directory.path) {
        let [path, old, new] = [directory.path.as_path(), old, &staging.path].map(Into::into);
        return Failed::Between(Error::Stranded {
            path,
            old,
            new,
            source,
        });
    }
    match storage.sync_dir(parent_of(&directory.path)) {
        Ok(()) => Failed::Back(error),
        Err(_) => Failed::Between(error),
    }
}

/// Moves files that are not part of the repository (such as a backup kept in its directory) back
/// into place.
fn bring_back(directory: &Directory, old: &Path) {
    let storage = &directory.storage;
    let Ok(entries) = storage.read_dir(old) else {
        return;
    };
    // A journal continues the old repository and stays with it.
    let is_ours = |name: &str| is_own_name(name) || is_journal_name(name);
    let is_other = |name: &str| FileRole::from_file_name(name).is_none() && !is_ours(name);
    for entry in entries.into_iter().filter(|entry| is_other(&entry.name)) {
        let target = directory.join(&entry.name);
        if entry.kind == EntryKind::File && storage.kind(&target).is_ok_and(|kind| kind.is_none()) {
            // A file that cannot be moved stays with the old files and keeps its name.
            storage.rename(&old.join(&entry.name), &target).ok();
        }
    }
}

/// The first of the names `.001` to `.009` that is free.
fn free_name(directory: &Directory) -> Result<PathBuf> {
    for number in 1..=9 {
        let path = sibling(&directory.path, &format!(".00{number}"))?;
        let kind = directory
            .storage
            .kind(&path)
            .map_err(|error| Error::io(IoOp::Metadata, &path, error))?;
        if kind.is_none() {
            return Ok(path);
        }
    }
    let text = "nine repositories that were set aside are there already; remove one of";
    Err(Error::invalid(
        Misuse::NoNameLeft,
        format!("{text} {0}.001 to {0}.009", escape_path(&directory.path)),
    ))
}

fn create_directory(directory: &Directory, rights: &Protection) -> Result<()> {
    let create = directory.storage.create_dir_with(&directory.path, rights);
    create.map_err(|error| Error::io(IoOp::CreateDirectory, &directory.path, error))
}

fn sync_parent(directory: &Directory) -> Result<()> {
    let parent = parent_of(&directory.path);
    directory
        .storage
        .sync_dir(parent)
        .map_err(|error| Error::io(IoOp::SyncDirectory, parent, error))
}

/// Creates the directory for the new repository, with the mark that identifies it as such. The mark
/// is durable before any file in it gets the name of a repository file, because filling syncs the
/// directory before it gives names.
fn create_staging(staging: &Directory, replaced: &RepositoryFiles) -> Result<()> {
    create_directory(staging, &replaced.directory.protection().kept())?;
    let path = staging.join(STAGING_MARK);
    let mark = staging.storage.open(&path, OpenMode::CreateNew);
    mark.map(drop)
        .map_err(|error| Error::io(IoOp::Create, &path, error))
}

/// Removes the mark from a directory that has its final name and is now an ordinary repository.
pub(crate) fn unmark(directory: &Directory) {
    directory
        .storage
        .remove_file(&directory.join(STAGING_MARK))
        .ok();
}

/// Removes what an interrupted restore left. The name of the directory does not prove that; the
/// mark does. Without the mark only files with temporary names are removed.
fn clear_staging(staging: &Directory) -> Result<()> {
    let storage = &staging.storage;
    let failed = |error| Error::io(IoOp::Remove, &staging.path, error);
    if storage.kind(&staging.path).map_err(failed)?.is_none() {
        return Ok(());
    }
    target::need_no_link(staging)?;
    let entries = storage.read_dir(&staging.path).map_err(failed)?;
    let is_marked = entries.iter().any(|entry| entry.name == STAGING_MARK);
    let is_ours = |name: &str| {
        let is_file = FileRole::from_file_name(name).is_some() || is_journal_name(name);
        is_own_name(name) || is_marked && is_file
    };
    if let Some(foreign) = entries.iter().find(|entry| !is_ours(&entry.name)) {
        let is_repository = FileRole::from_file_name(&foreign.name).is_some();
        let what = if is_repository {
            "a repository that no restore left there"
        } else {
            "other files"
        };
        let path = escape_path(&staging.path);
        let text = format!(
            "{path} is where the new repository is made, but holds {what} ({}); move it away",
            foreign.name
        );
        return Err(Error::invalid(Misuse::NotEmpty, text));
    }
    // A process that works there still holds the lock.
    let lock = WriterLock::acquire(staging, "restore")?;
    for entry in entries
        .iter()
        .filter(|entry| ![STAGING_MARK, LOCK_NAME].contains(&&*entry.name))
    {
        storage
            .remove_file(&staging.join(&entry.name))
            .map_err(failed)?;
    }
    drop(lock);
    if is_marked {
        // The mark stays as long as any other file does.
        storage.sync_dir(&staging.path).map_err(failed)?;
        storage
            .remove_file(&staging.join(STAGING_MARK))
            .map_err(failed)?;
    }
    storage.remove_dir(&staging.path).map_err(failed)
}

/// Writes all files of the repository into an empty directory. If the directory was created for it,
/// the directory is made durable too.
fn fill(
    source: &Source<'_>,
    check: Check,
    into: &Directory,
    rights: FileRights,
    made: Made,
) -> Result<u64> {
    let Source {
        backup,
        options,
        observer,
    } = *source;
    let threads = thread_count(options.threads);
    Leftovers::find(into)?.remove(into)?;
    let exact = backup.exact_files()?;
    let mut mapping = backup.snapshot().mapping().clone();
    place_densely(&mut mapping.objects);
    place_densely(&mut mapping.index);
    let files = FreshRepository::create(into.clone(), rights, threads)?;
    // Everything except the pages is known beforehand, and is made durable while they are written.
    let stage = || {
        match &exact {
            Some(exact) => stage_exact(exact, &files)?,
            None => files.stage(&mapping)?,
        }
        if made == Made::Now {
            sync_parent(into)
        } else {
            Ok(())
        }
    };
    let write = || match &exact {
        Some(exact) => write_exact(exact, &files, threads, observer),
        None if check == Check::Beside => {
            single_pass::write(backup, &mapping, files.data(), options, observer)
        }
        None => write_pages(
            backup.snapshot().image(),
            &mapping,
            &files,
            threads,
            observer,
        ),
    };
    let (staged, written) = both(threads, stage, write);
    let written = written?;
    staged?;
    files.finish()?;
    Ok(written)
}

/// Consecutive physical pages of a space, with their logical pages.
struct Run {
    space: Space,
    first: PhysicalPage,
    pages: Vec<LogicalPage>,
}

/// Splits the mapped pages into runs of adjacent places.
fn runs(mapping: &Mapping) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for space in Space::ALL {
        let mut pages: Vec<(PhysicalPage, LogicalPage)> = mapping
            .section(space)
            .mapped()
            .map(|(page, physical, _)| (physical, page))
            .collect();
        pages.sort_unstable();
        for (physical, page) in pages {
            match runs.last_mut() {
                Some(run)
                    if run.space == space
                        && run.pages.len() < RUN
                        && run.end() == Some(physical) =>
                {
                    run.pages.push(page);
                }
                _ => runs.push(Run {
                    space,
                    first: physical,
                    pages: vec![page],
                }),
            }
        }
    }
    runs
}

impl Run {
    fn end(&self) -> Option<PhysicalPage> {
        self.first
            .checked_add(crate::base::narrow(self.pages.len()))
    }
}

fn write_pages(
    image: &Image,
    mapping: &Mapping,
    files: &FreshRepository,
    threads: usize,
    observer: &dyn Observer,
) -> Result<u64> {
    let runs = runs(mapping);
    let total: usize = runs.iter().map(|run| run.pages.len()).sum();
    let monitor = Monitor::new(observer, Phase::Restore, total as u64);
    monitor.check()?;
    let work = |bytes: &mut Vec<u8>, number: usize| {
        let Some(run) = runs.get(number) else {
            return Ok::<_, Error>(());
        };
        bytes.resize(run.pages.len() * PAGE_SIZE, 0);
        for (&page, target) in run.pages.iter().zip(bytes.as_chunks_mut::<PAGE_SIZE>().0) {
            image.read(run.space, page, target)?;
        }
        files
            .data()
            .write_and_sync_early(run.space, run.first, bytes)?;
        monitor.advance(run.pages.len() as u64)
    };
    ordered(runs.len(), threads, Vec::new, work, |()| monitor.check())?;
    Ok(total as u64)
}

/// Stages the small files and the journals of a forensic backup. The journals get their names
/// before any mapping does.
fn stage_exact(exact: &ExactFiles, files: &FreshRepository) -> Result<()> {
    for (generation, name) in exact.journal_names() {
        files.stage_journal(&name, exact.journal(generation))?;
    }
    files.stage_as_given(exact.small_files())
}

/// Writes the data files of a forensic backup, as they were.
fn write_exact(
    exact: &ExactFiles,
    files: &FreshRepository,
    threads: usize,
    observer: &dyn Observer,
) -> Result<u64> {
    let there = || {
        Space::ALL
            .into_iter()
            .filter_map(|space| Some((space, exact.data(space)?)))
    };
    let runs: Vec<(Space, &DataLayout, std::ops::Range<u32>)> = there()
        .flat_map(|(space, layout)| {
            let pages = layout.page_count();
            let run = crate::base::narrow(RUN);
            (0..pages).step_by(RUN).map(move |first| {
                (
                    space,
                    &**layout,
                    first..first.saturating_add(run).min(pages),
                )
            })
        })
        .collect();
    let total = there()
        .map(|(_, layout)| u64::from(layout.page_count()))
        .sum();
    let monitor = Monitor::new(observer, Phase::Restore, total);
    monitor.check()?;
    let work = |bytes: &mut Vec<u8>, number: usize| {
        let Some((space, layout, run)) = runs.get(number) else {
            return Ok::<_, Error>(());
        };
        bytes.resize(run.len() * PAGE_SIZE, 0);
        for (page, target) in run
            .clone()
            .filter_map(PhysicalPage::new)
            .zip(bytes.as_chunks_mut::<PAGE_SIZE>().0)
        {
            exact.read_page(layout, page, target)?;
        }
        if let Some(first) = PhysicalPage::new(run.start) {
            files.data().write_and_sync_early(*space, first, bytes)?;
        }
        monitor.advance(run.len() as u64)
    };
    ordered(runs.len(), threads, Vec::new, work, |()| monitor.check())?;
    for space in Space::ALL {
        match exact.data(space) {
            Some(layout) => {
                let (offset, tail) = exact.tail(layout)?;
                files.write_tail(space, offset, &tail)?;
            }
            None => files.omit(space)?,
        }
    }
    Ok(total)
}

//! Restoring as a new repository.

use std::path::{Path, PathBuf};

use crate::backup::Backup;
use crate::base::error::{Error, Result};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PhysicalPage, Space};
use crate::base::parallel::ordered;
use crate::base::progress::{Monitor, Observer, Phase};
use crate::base::site::FileRole;
use crate::format::mapping::Mapping;
use crate::pager::fresh::{FreshRepository, is_staged_name, place_densely, remove_unfinished};
use crate::pager::image::Image;
use crate::repository::lock::{LOCK_NAME, WriterLock};
use crate::storage::{Directory, EntryKind, parent_of};

use super::target::sibling;
use super::{Installed, RestoreSummary};

/// Pages written at once.
const RUN: usize = 32;

/// A sync is begun beside the writing each time one part of this many is written.
const EARLY_SYNCS: usize = 4;

/// Ending of the name of the directory in which a new repository is made beside a damaged one.
const STAGING_SUFFIX: &str = ".restoring";

/// Into a directory that does not exist yet.
pub(crate) fn into_missing(
    backup: &Backup,
    into: &Directory,
    threads: usize,
    observer: &dyn Observer,
) -> Result<RestoreSummary> {
    create_directory(into)?;
    let restored = WriterLock::acquire(into, "restore").and_then(|lock| {
        let restored = into_empty(backup, into, threads, observer);
        drop(lock);
        restored
    });
    if restored.is_err() {
        into.storage.remove_dir(&into.path).ok();
    }
    restored
}

/// Into an empty directory, whose lock is held.
pub(crate) fn into_empty(
    backup: &Backup,
    into: &Directory,
    threads: usize,
    observer: &dyn Observer,
) -> Result<RestoreSummary> {
    let pages_written = fill(backup, into, threads, observer)?;
    Ok(RestoreSummary { installed: Installed::New, directory: into.path.clone(), pages_written, pages_kept: 0 })
}

/// In place of a repository that is set aside. The lock is that of the old directory.
pub(crate) fn aside(
    backup: &Backup,
    directory: &Directory,
    lock: WriterLock,
    threads: usize,
    observer: &dyn Observer,
) -> Result<RestoreSummary> {
    let storage = &directory.storage;
    let old = free_name(directory)?;
    let staging = Directory::new(storage.clone(), sibling(&directory.path, STAGING_SUFFIX)?);
    clear_staging(&staging)?;
    let filled = create_directory(&staging).and_then(|()| fill(backup, &staging, threads, observer));
    let pages_written = filled.map_err(|error| {
        clear_staging(&staging).ok();
        match error {
            // What is in place is in the staging directory, where it helps nobody.
            Error::Unconfirmed { action, path, source } => Error::Io { action, path, source },
            error => error,
        }
    })?;
    let switched = match switch(directory, &staging, &old) {
        Err(error) if !matches!(error, Error::Unconfirmed { .. }) => {
            clear_staging(&staging).ok();
            return Err(error);
        }
        switched => switched,
    };
    storage.remove_file(&old.join(LOCK_NAME)).ok();
    drop(lock);
    bring_back(directory, &old);
    switched?;
    let installed = Installed::SetAside { old };
    Ok(RestoreSummary { installed, directory: directory.path.clone(), pages_written, pages_kept: 0 })
}

/// W-7: the new directory is complete and durable; the old one is durably renamed before it takes its place.
fn switch(directory: &Directory, staging: &Directory, old: &Path) -> Result<()> {
    let storage = &directory.storage;
    let parent = parent_of(&directory.path);
    let sync = || storage.sync_dir(parent);
    storage.rename(&directory.path, old).map_err(|error| Error::io("set aside", &directory.path, error))?;
    let durable = sync().map_err(|error| Error::io("sync directory", parent, error));
    let renamed = durable.and_then(|()| {
        let rename = storage.rename(&staging.path, &directory.path);
        rename.map_err(|error| Error::io("rename", &staging.path, error))
    });
    if let Err(error) = renamed {
        storage.rename(old, &directory.path).ok();
        return Err(error);
    }
    sync().map_err(|error| Error::unconfirmed("sync directory", parent, error))
}

/// Files that are no part of the repository (a backup kept in its directory, say) go back to where they were.
fn bring_back(directory: &Directory, old: &Path) {
    let storage = &directory.storage;
    let Ok(entries) = storage.read_dir(old) else { return };
    for entry in entries.into_iter().filter(|entry| FileRole::from_file_name(&entry.name).is_none()) {
        let target = directory.join(&entry.name);
        if entry.kind == EntryKind::File && storage.kind(&target).is_ok_and(|kind| kind.is_none()) {
            // What cannot be moved stays where the old files are, and is named there.
            storage.rename(&old.join(&entry.name), &target).ok();
        }
    }
}

/// The first of the names `.001` to `.009` that is not taken.
fn free_name(directory: &Directory) -> Result<PathBuf> {
    for number in 1..=9 {
        let path = sibling(&directory.path, &format!(".00{number}"))?;
        let kind = directory.storage.kind(&path).map_err(|error| Error::io("look at", &path, error))?;
        if kind.is_none() {
            return Ok(path);
        }
    }
    let text = "nine repositories that were set aside are there already; remove one of";
    Err(Error::invalid(format!("{text} {0}.001 to {0}.009", directory.path.display())))
}

fn create_directory(directory: &Directory) -> Result<()> {
    let create = directory.storage.create_dir(&directory.path);
    create.map_err(|error| Error::io("create directory", &directory.path, error))?;
    let parent = parent_of(&directory.path);
    let synced = directory.storage.sync_dir(parent);
    synced.map_err(|error| {
        directory.storage.remove_dir(&directory.path).ok();
        Error::io("sync directory", parent, error)
    })
}

/// Takes away what an interrupted restore left: a directory with files of ours and nothing else.
fn clear_staging(staging: &Directory) -> Result<()> {
    let storage = &staging.storage;
    let failed = |error| Error::io("remove", &staging.path, error);
    if storage.kind(&staging.path).map_err(failed)?.is_none() {
        return Ok(());
    }
    let entries = storage.read_dir(&staging.path).map_err(failed)?;
    let is_ours = |name: &str| FileRole::from_file_name(name).is_some() || is_staged_name(name);
    if let Some(foreign) = entries.iter().find(|entry| !is_ours(&entry.name)) {
        let text = "is where the new repository is made, but holds other files";
        return Err(Error::invalid(format!("{} {text} ({}); move it away", staging.path.display(), foreign.name)));
    }
    for entry in entries {
        storage.remove_file(&staging.join(&entry.name)).map_err(failed)?;
    }
    storage.remove_dir(&staging.path).map_err(failed)
}

/// Writes all files of the repository into an empty directory.
fn fill(backup: &Backup, into: &Directory, threads: usize, observer: &dyn Observer) -> Result<u64> {
    remove_unfinished(into).map_err(|error| Error::io("remove leftovers from", &into.path, error))?;
    let snapshot = backup.snapshot();
    let mut mapping = snapshot.mapping().clone();
    let exact = backup.forensic_files()?;
    let clean_up = || drop(remove_unfinished(into));
    let files = FreshRepository::create(into.clone(), threads).inspect_err(|_| clean_up())?;
    if exact.is_none() {
        place_densely(&mut mapping.objects);
        place_densely(&mut mapping.index);
    }
    let written = write_pages(snapshot.image(), &mapping, &files, threads, observer);
    let written = written.and_then(|pages| match &exact {
        Some(_) => backup.write_forensic(&files).map(|free| pages + free),
        None => Ok(pages),
    });
    let pages = match written {
        Ok(pages) => pages,
        Err(error) => {
            files.abort();
            return Err(error);
        }
    };
    let finished = match exact {
        Some(exact) => files.finish_with(exact),
        None => files.finish(&mapping),
    };
    finished.inspect_err(|_| clean_up())?;
    Ok(pages)
}

/// Consecutive physical pages of a space, with the logical pages that go there.
struct Run {
    space: Space,
    first: PhysicalPage,
    pages: Vec<LogicalPage>,
}

/// Splits the mapped pages into runs that lie side by side.
fn runs(mapping: &Mapping) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for space in Space::ALL {
        let mut pages: Vec<(PhysicalPage, LogicalPage)> =
            mapping.section(space).mapped().map(|(page, physical, _)| (physical, page)).collect();
        pages.sort_unstable();
        for (physical, page) in pages {
            match runs.last_mut() {
                Some(run) if run.space == space && run.pages.len() < RUN && run.end() == Some(physical) => {
                    run.pages.push(page);
                }
                _ => runs.push(Run { space, first: physical, pages: vec![page] }),
            }
        }
    }
    runs
}

impl Run {
    fn end(&self) -> Option<PhysicalPage> {
        self.first.checked_add(crate::base::narrow(self.pages.len()))
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
        let Some(run) = runs.get(number) else { return Ok::<_, Error>(None) };
        bytes.resize(run.pages.len() * PAGE_SIZE, 0);
        for (&page, target) in run.pages.iter().zip(bytes.as_chunks_mut::<PAGE_SIZE>().0) {
            image.read(run.space, page, target)?;
        }
        files.write_pages(run.space, run.first, bytes)?;
        monitor.advance(run.pages.len() as u64)?;
        Ok(Some(run.space))
    };
    let mut count = 0;
    let part = runs.len().div_ceil(EARLY_SYNCS);
    let done = |space: Option<Space>| {
        count += 1;
        if count % part == 0 {
            space.into_iter().for_each(|space| files.sync_early(space));
        }
        Ok(())
    };
    ordered(runs.len(), threads, Vec::new, work, done)?;
    Ok(total as u64)
}

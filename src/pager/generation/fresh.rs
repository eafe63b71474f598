//! Writing a whole new repository into an empty directory.
//!
//! Everything is written under temporary names and made durable, then the data files get their
//! names, then the mapping files: invariant W-1 of `docs::invariants`. A directory in which that
//! was interrupted holds no mapping, so no repository.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::limits::check_mapping_size;
use crate::base::page_no::{PAGE_SIZE, PhysicalPage, Space};
use crate::base::parallel::both;
use crate::base::site::FileRole;
use crate::base::widen;
use crate::format::Dialect;
use crate::format::mapping::{Mapping, MappingSection};
use crate::storage::{Directory, EarlySync, Protection, StorageFile, write_all_at};

use crate::pager::files::RepositoryFiles;
use crate::pager::leftovers::{NEW_VERSION, STAGED_SUFFIX};

/// A sync is begun beside the writing each time so many bytes were written.
const EARLY_SYNC_BYTES: usize = 6 << 20;

/// Generations whose number is near the end of what 32 bits count begin anew.
const LAST_GENERATION: u32 = u32::MAX - 16;

/// A repository in the making. What was written is taken away again unless it is finished.
#[derive(Debug)]
pub struct FreshRepository {
    // In this order: what is closed is taken away.
    data: Arc<DataWriter>,
    threads: usize,
    made: Mutex<Made>,
}

/// The data files of a repository in the making, to write pages to. Whoever has one keeps the files
/// open, so that they cannot get their names everywhere.
#[derive(Debug)]
pub struct DataWriter {
    // In this order: what is synced is closed.
    early_sync: Mutex<EarlySync>,
    files: [Arc<dyn StorageFile>; 2],
    /// Bytes written with early syncs.
    written: AtomicUsize,
    directory: Directory,
}

impl DataWriter {
    /// Writes consecutive pages. May be called from several threads for different pages.
    pub fn write_pages(&self, space: Space, first: PhysicalPage, pages: &[u8]) -> Result<()> {
        debug_assert!(
            pages.len().is_multiple_of(PAGE_SIZE),
            "whole pages are written"
        );
        self.write_at(space, first.byte_offset(), pages)
    }

    /// The same. Now and then it begins to make durable what was written of the file, beside the
    /// writing of the rest.
    pub fn write_and_sync_early(
        &self,
        space: Space,
        first: PhysicalPage,
        pages: &[u8],
    ) -> Result<()> {
        self.write_pages(space, first, pages)?;
        let before = self.written.fetch_add(pages.len(), Ordering::Relaxed);
        if before / EARLY_SYNC_BYTES != (before + pages.len()) / EARLY_SYNC_BYTES {
            self.early_sync.lock().begin(self.file(space));
        }
        Ok(())
    }

    fn write_at(&self, space: Space, offset: u64, bytes: &[u8]) -> Result<()> {
        let path = staged_path(&self.directory, FileRole::data(space));
        write_all_at(self.file(space).as_ref(), offset, bytes)
            .map_err(|error| Error::io(IoOp::Write, &path, error))
    }

    fn sync(&self, threads: usize) -> Result<()> {
        let early = self.early_sync.lock().join();
        early.map_err(|error| Error::io(IoOp::SyncFiles, &self.directory.path, error))?;
        let sync = |space| {
            let path = staged_path(&self.directory, FileRole::data(space));
            self.file(space)
                .sync()
                .map_err(|error| Error::io(IoOp::Sync, &path, error))
        };
        let (index, objects) = both(threads, || sync(Space::Index), || sync(Space::Objects));
        objects.and(index)
    }

    fn file(&self, space: Space) -> &Arc<dyn StorageFile> {
        let [objects, index] = &self.files;
        match space {
            Space::Objects => objects,
            Space::Index => index,
        }
    }
}

/// The rights of the files of a new repository.
#[derive(Debug, Clone)]
pub enum FileRights {
    /// Those of one protection, for all of them.
    Alike(Protection),
    /// Those of the files of the repository whose place it takes.
    Of(RepositoryFiles),
}

impl FileRights {
    /// The rights of a file.
    pub fn of(&self, role: FileRole) -> Protection {
        match self {
            Self::Alike(protection) => protection.clone(),
            Self::Of(replaced) => replaced.protection_for(role),
        }
    }
}

/// The files that were made so far; takes them away when it is dropped before there is a
/// repository.
#[derive(Debug)]
struct Made {
    directory: Directory,
    rights: FileRights,
    /// Those that wait for their names.
    staged: Vec<FileRole>,
    /// Those that have them.
    named: Vec<FileRole>,
    /// The mapping files among those that wait, in the order in which they get their names, and
    /// whether that matters.
    mappings: Vec<FileRole>,
    order: NameOrder,
    /// Names of journals: those that wait for them, and those that have them.
    journals: [Vec<String>; 2],
    /// True if all have their names.
    is_complete: bool,
}

impl FreshRepository {
    /// Begins a repository in an existing directory that holds none, nor leftovers of one. With
    /// more than one thread, early syncs have their own.
    pub fn create(directory: Directory, rights: FileRights, threads: usize) -> Result<Self> {
        let mut made = Made {
            directory: directory.clone(),
            rights,
            staged: Vec::new(),
            named: Vec::new(),
            mappings: Vec::new(),
            order: NameOrder::Any,
            journals: [Vec::new(), Vec::new()],
            is_complete: false,
        };
        let files = [
            made.create(FileRole::Objects)?.into(),
            made.create(FileRole::Index)?.into(),
        ];
        let early_sync = Mutex::new(EarlySync::new(threads));
        let data = Arc::new(DataWriter {
            early_sync,
            files,
            written: AtomicUsize::new(0),
            directory,
        });
        Ok(Self {
            data,
            threads,
            made: Mutex::new(made),
        })
    }

    /// The data files. To be given back before the repository is finished.
    pub const fn data(&self) -> &Arc<DataWriter> {
        &self.data
    }

    /// Writes bytes at an offset of a data file: for what is no whole page.
    pub fn write_tail(&self, space: Space, offset: u64, bytes: &[u8]) -> Result<()> {
        self.data.write_at(space, offset, bytes)
    }

    /// Writes the files that make the directory a repository whose current generation is `mapping`,
    /// and makes them durable under their temporary names; beside the writing of pages if that is
    /// wanted.
    pub fn stage(&self, mapping: &Mapping) -> Result<()> {
        // Each of them describes the same pages: whichever a crash leaves, the repository is this
        // one.
        self.stage_all(mapping_files(mapping).into_iter().map(Ok), NameOrder::Any)
    }

    /// The same with these mapping files, which get their names in this order.
    pub fn stage_as_given(
        &self,
        files: impl Iterator<Item = Result<(FileRole, Vec<u8>)>>,
    ) -> Result<()> {
        self.stage_all(files, NameOrder::AsGiven)
    }

    fn stage_all(
        &self,
        files: impl Iterator<Item = Result<(FileRole, Vec<u8>)>>,
        order: NameOrder,
    ) -> Result<()> {
        let mut made = self.made.lock();
        made.order = order;
        let mut written = Vec::new();
        for file in files {
            let (role, bytes) = file?;
            check_mapping_size(bytes.len() as u64)?;
            let path = made.staged_path(role);
            let file = made.create(role)?;
            write_all_at(file.as_ref(), 0, &bytes)
                .map_err(|error| Error::io(IoOp::Write, &path, error))?;
            made.mappings.push(role);
            written.push((path, file));
        }
        // All are written before the first is synced: one commit of the file system's journal may
        // then do for all.
        for (path, file) in written {
            file.sync()
                .map_err(|error| Error::io(IoOp::Sync, &path, error))?;
        }
        made.sync()
    }

    /// Writes a journal of this name, part by part, each at its offset, and makes it durable under
    /// a temporary name.
    pub fn stage_journal<B: AsRef<[u8]>>(
        &self,
        name: &str,
        parts: impl Iterator<Item = Result<(u64, B)>>,
    ) -> Result<()> {
        let mut made = self.made.lock();
        let path = made.directory.join(&format!("{name}{STAGED_SUFFIX}"));
        let failed = |op| {
            let path = path.clone();
            move |error| Error::io(op, &path, error)
        };
        // As readable as the data file whose changes it holds.
        let protection = made.rights.of(FileRole::Objects);
        let file = made
            .directory
            .storage
            .create(&path, &protection)
            .map_err(failed(IoOp::Create))?;
        let [staged, _] = &mut made.journals;
        staged.push(name.to_owned());
        for part in parts {
            let (offset, bytes) = part?;
            write_all_at(file.as_ref(), offset, bytes.as_ref()).map_err(failed(IoOp::Write))?;
        }
        file.sync().map_err(failed(IoOp::Sync))
    }

    /// The repository has no such data file.
    pub fn omit(&self, space: Space) -> Result<()> {
        self.made.lock().omit(FileRole::data(space))
    }

    /// Makes a repository of what was written and staged.
    pub fn finish(self) -> Result<()> {
        // W-1, 1 and 2: pages are durable under their temporary names; so are the mappings, and the
        // names.
        self.data.sync(self.threads)?;
        let Self { data, made, .. } = self;
        drop(data); // a file that is open cannot be renamed everywhere
        let mut made = made.into_inner();
        // W-1, 3: journals and data files get their names, durably, before any mapping does.
        made.name_journals()?;
        for role in Space::ALL.map(FileRole::data) {
            if made.staged.contains(&role) {
                made.name(role)?;
            }
        }
        made.sync()?;
        // W-1, 4: the first mapping makes it a repository. Where they differ each is there before
        // the next, so that none decides alone that belongs behind another.
        for role in std::mem::take(&mut made.mappings) {
            let is_there = made.is_repository();
            made.name(role).map_err(|error| {
                if is_there {
                    behind_the_switch(error)
                } else {
                    error
                }
            })?;
            match made.order {
                NameOrder::AsGiven if made.is_repository() => {
                    made.sync().map_err(behind_the_switch)?
                }
                NameOrder::AsGiven => made.sync()?,
                NameOrder::Any => {}
            }
        }
        // Files of which no mapping could be read are complete without one.
        made.is_complete = true;
        made.sync().map_err(behind_the_switch)
    }
}

/// In which order a crash may leave the names of mapping files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameOrder {
    Any,
    AsGiven,
}

/// Where a file waits for its name.
fn staged_path(directory: &Directory, role: FileRole) -> PathBuf {
    directory.join(&format!("{}{STAGED_SUFFIX}", role.file_name()))
}

impl Made {
    fn staged_path(&self, role: FileRole) -> PathBuf {
        staged_path(&self.directory, role)
    }

    fn create(&mut self, role: FileRole) -> Result<Box<dyn StorageFile>> {
        let path = self.staged_path(role);
        // Leftovers were taken away, so whatever is there now is someone's; a link would lead to
        // it.
        let file = self.directory.storage.create(&path, &self.rights.of(role));
        let file = file.map_err(|error| Error::io(IoOp::Create, &path, error))?;
        self.staged.push(role);
        Ok(file)
    }

    fn name(&mut self, role: FileRole) -> Result<()> {
        let (from, to) = (
            self.staged_path(role),
            self.directory.join(role.file_name()),
        );
        self.directory
            .storage
            .rename(&from, &to)
            .map_err(|error| Error::io(IoOp::Rename, &from, error))?;
        self.staged.retain(|staged| *staged != role);
        self.named.push(role);
        Ok(())
    }

    fn name_journals(&mut self) -> Result<()> {
        let [staged, named] = &mut self.journals;
        while let Some(name) = staged.last() {
            let from = self.directory.join(&format!("{name}{STAGED_SUFFIX}"));
            let renamed = self
                .directory
                .storage
                .rename(&from, &self.directory.join(name));
            renamed.map_err(|error| Error::io(IoOp::Rename, &from, error))?;
            named.extend(staged.pop());
        }
        Ok(())
    }

    fn omit(&mut self, role: FileRole) -> Result<()> {
        let path = self.staged_path(role);
        self.directory
            .storage
            .remove_file(&path)
            .map_err(|error| Error::io(IoOp::Remove, &path, error))?;
        self.staged.retain(|staged| *staged != role);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let Directory { storage, path } = &self.directory;
        storage
            .sync_dir(path)
            .map_err(|error| Error::io(IoOp::SyncDirectory, path, error))
    }

    /// True if what was named so far is a repository.
    fn is_repository(&self) -> bool {
        self.is_complete
            || self
                .named
                .iter()
                .any(|role| matches!(role, FileRole::Mapping(_)))
    }

    /// Takes away what is no part of a repository. As in an interrupted attempt, what has its name
    /// goes before the mappings by which it is known.
    fn discard(&mut self) -> Result<()> {
        let storage = &self.directory.storage;
        let remove = |path: &Path| {
            storage
                .remove_file(path)
                .map_err(|error| Error::io(IoOp::Remove, path, error))
        };
        let [staged_journals, named_journals] = &self.journals;
        let is_empty = self.named.is_empty() && named_journals.is_empty();
        if !is_empty && !self.is_repository() {
            named_journals
                .iter()
                .try_for_each(|name| remove(&self.directory.join(name)))?;
            self.named
                .iter()
                .try_for_each(|role| remove(&self.directory.join(role.file_name())))?;
            self.sync()?;
        }
        let staged_path_of = |name: &String| self.directory.join(&format!("{name}{STAGED_SUFFIX}"));
        staged_journals
            .iter()
            .try_for_each(|name| remove(&staged_path_of(name)))?;
        // The last that were made are the mappings.
        self.staged
            .iter()
            .rev()
            .try_for_each(|role| remove(&self.staged_path(*role)))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.discard().ok();
    }
}

/// A repository is there already when this error comes.
fn behind_the_switch(error: Error) -> Error {
    match error {
        Error::Io { op, path, source } => Error::Unconfirmed { op, path, source },
        error => error,
    }
}

/// The mapping files of a new repository, in the order in which they get their names.
///
/// Dialect 2.2: three generations with the same pages, as Windows leaves after three checkpoints:
/// independent readers want all three files. Dialect 2.1: both mappings, the single maps, and
/// MAPPING.VER, which switches.
fn mapping_files(mapping: &Mapping) -> Vec<(FileRole, Vec<u8>)> {
    match mapping.dialect {
        Dialect::V22 => {
            let first = if mapping.generation() < LAST_GENERATION {
                mapping.generation().max(1)
            } else {
                1
            };
            let file = |generation| {
                let role = FileRole::Mapping(Mapping::slot_of(generation));
                (role, as_generation(mapping, generation, first).to_bytes())
            };
            (first..first + 3).map(file).collect()
        }
        Dialect::V21 => {
            let section = |section: &MappingSection| {
                let mut bytes = Vec::new();
                section.write(Dialect::V21, &mut bytes);
                bytes
            };
            vec![
                (FileRole::ObjectsMap, section(&mapping.objects)),
                (FileRole::IndexMap, section(&mapping.index)),
                (FileRole::Mapping(1), mapping.to_bytes()),
                (FileRole::Mapping(2), mapping.to_bytes()),
                (FileRole::MappingVersion, NEW_VERSION.to_vec()),
            ]
        }
    }
}

/// The mapping as a generation, none of its pages written after `first`.
fn as_generation(mapping: &Mapping, generation: u32, first: u32) -> Mapping {
    let mut mapping = mapping.clone();
    mapping.shutdown_flag = 1;
    for space in Space::ALL {
        let section = mapping.section_mut(space);
        (section.generation, section.previous) = (generation, generation.wrapping_sub(1));
        for entry in &mut section.entries {
            entry.stamp = generation;
            entry.last_write = entry.last_write.clamp(1, first);
        }
    }
    mapping
}

/// Gives mapped pages places of their own in ascending order, without gaps: no page is free.
pub fn place_densely(section: &mut MappingSection) {
    let mut next = 0;
    for entry in section
        .entries
        .iter_mut()
        .filter(|entry| entry.physical.is_some())
    {
        entry.physical = PhysicalPage::new(next);
        next += 1;
    }
    section.physical_pages = next;
    section.free.clear();
    debug_assert!(widen(next) <= section.entries.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::MAX_MAPPING_BYTES;
    use crate::storage::MemStorage;

    #[test]
    fn a_mapping_that_no_reader_would_believe_is_not_written() {
        let storage = MemStorage::new();
        let files = FreshRepository::create(
            Directory::new(Arc::new(storage.clone()), "."),
            FileRights::Alike(Protection::default()),
            1,
        )
        .unwrap();
        let length = usize::try_from(MAX_MAPPING_BYTES).unwrap() + 1;
        let mapping = std::iter::once(Ok((FileRole::Mapping(1), vec![0; length])));
        let error = files.stage_as_given(mapping).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error}");
        assert!(storage.get("MAPPING1.MAP.restoring").is_none());
    }
}

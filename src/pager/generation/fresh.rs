//! Writing a complete new repository into an empty directory.
//!
//! All files are written under temporary names and made durable. Then the data files get their
//! names, and then the mapping files: invariant W-1 of `docs::invariants`. An interrupted attempt
//! leaves a directory without a mapping, which is not a repository.

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

/// Number of bytes written between two early syncs.
const EARLY_SYNC_BYTES: usize = 6 << 20;

/// Highest generation number that is continued; after it, numbering restarts because 32 bits are
/// nearly exhausted.
const LAST_GENERATION: u32 = u32::MAX - 16;

/// A new repository while it is being written. Unless it is finished, its files are removed again.
#[derive(Debug)]
pub struct FreshRepository {
    // Declared in this order so that files are closed before they are removed.
    data: Arc<DataWriter>,
    threads: usize,
    made: Mutex<Made>,
}

/// Accepts the pages of a new repository. It keeps the data files open, which on some systems
/// prevents them from being renamed.
#[derive(Debug)]
pub struct DataWriter {
    // Declared in this order so that syncs end before the files are closed.
    early_sync: Mutex<EarlySync>,
    files: [Arc<dyn StorageFile>; 2],
    /// Number of bytes written with early syncs.
    written: AtomicUsize,
    directory: Directory,
}

impl DataWriter {
    /// Writes consecutive pages. Several threads may call it for different pages.
    pub fn write_pages(&self, space: Space, first: PhysicalPage, pages: &[u8]) -> Result<()> {
        debug_assert!(
            pages.len().is_multiple_of(PAGE_SIZE),
            "whole pages are written"
        );
        self.write_at(space, first.byte_offset(), pages)
    }

    /// Writes consecutive pages, and now and then starts to make the written part of the file
    /// durable while the rest is being written.
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

/// Access rights for the files of a new repository.
#[derive(Debug, Clone)]
pub enum FileRights {
    /// The same protection for all files.
    Alike(Protection),
    /// Those of the files of the repository that is being replaced.
    Of(RepositoryFiles),
}

impl FileRights {
    /// The protection for a file.
    pub fn of(&self, role: FileRole) -> Protection {
        match self {
            Self::Alike(protection) => protection.clone(),
            Self::Of(replaced) => replaced.protection_for(role),
        }
    }
}

/// The files created so far. They are removed if this is dropped before the repository is complete.
#[derive(Debug)]
struct Made {
    directory: Directory,
    rights: FileRights,
    /// Files with temporary names.
    staged: Vec<FileRole>,
    /// Files with final names.
    named: Vec<FileRole>,
    /// The mapping files with temporary names, in the order of their renaming, and whether that
    /// order matters.
    mappings: Vec<FileRole>,
    order: NameOrder,
    /// Journals with temporary names, and those with final names.
    journals: [Vec<String>; 2],
    /// True if all files have their final names.
    is_complete: bool,
}

impl FreshRepository {
    /// Begins a repository in an existing directory without a repository or leftovers of one. With
    /// more than one thread, early syncs run on a separate thread.
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

    /// The data files. Every clone must be dropped before the repository is finished.
    pub const fn data(&self) -> &Arc<DataWriter> {
        &self.data
    }

    /// Writes bytes at an offset of a data file, for content that is not a whole page.
    pub fn write_tail(&self, space: Space, offset: u64, bytes: &[u8]) -> Result<()> {
        self.data.write_at(space, offset, bytes)
    }

    /// Writes the files that make the directory a repository with the current generation `mapping`,
    /// and makes them durable under their temporary names. May run in parallel with the writing of
    /// pages.
    pub fn stage(&self, mapping: &Mapping) -> Result<()> {
        // All of these files describe the same pages, so the result is the same whichever of them a
        // crash leaves.
        self.stage_all(mapping_files(mapping).into_iter().map(Ok), NameOrder::Any)
    }

    /// Stages the given mapping files, which get their names in the given order.
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
        // All are written before the first is synced, so that one commit of the file system's
        // journal may serve all of them.
        for (path, file) in written {
            file.sync()
                .map_err(|error| Error::io(IoOp::Sync, &path, error))?;
        }
        made.sync()
    }

    /// Writes a journal with this name from parts, each at its offset, and makes it durable under a
    /// temporary name.
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
        // It may be read by the same users as the data file whose changes it holds.
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

    /// Leaves out a data file that the repository does not have.
    pub fn omit(&self, space: Space) -> Result<()> {
        self.made.lock().omit(FileRole::data(space))
    }

    /// Gives the staged files their final names, which completes the repository.
    pub fn finish(self) -> Result<()> {
        // W-1, 1 and 2: pages and mappings are durable under their temporary names, and so are the
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
        // W-1, 4: the first mapping makes it a repository. If the mappings differ, each is in place
        // before the next, so that none takes effect without those that must precede it.
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
        // Without a readable mapping, the files are complete as they are.
        made.is_complete = true;
        made.sync().map_err(behind_the_switch)
    }
}

/// The order in which the names of mapping files may appear after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameOrder {
    Any,
    AsGiven,
}

/// The temporary path of a file.
fn staged_path(directory: &Directory, role: FileRole) -> PathBuf {
    directory.join(&format!("{}{STAGED_SUFFIX}", role.file_name()))
}

impl Made {
    fn staged_path(&self, role: FileRole) -> PathBuf {
        staged_path(&self.directory, role)
    }

    fn create(&mut self, role: FileRole) -> Result<Box<dyn StorageFile>> {
        let path = self.staged_path(role);
        // Leftovers have been removed, so anything that is there now belongs to others. A link
        // would redirect the write to its target.
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

    /// True if the files with final names form a repository.
    fn is_repository(&self) -> bool {
        self.is_complete
            || self
                .named
                .iter()
                .any(|role| matches!(role, FileRole::Mapping(_)))
    }

    /// Removes what is not part of a repository. As after an interrupted attempt, files with final
    /// names go before the mappings that identify them.
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
        // The mappings were created last and are removed last.
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

/// Converts an error that comes after the repository is in place.
fn behind_the_switch(error: Error) -> Error {
    match error {
        Error::Io { op, path, source } => Error::Unconfirmed { op, path, source },
        error => error,
    }
}

/// The mapping files of a new repository, in the order in which they get their names.
///
/// In dialect 2.2 these are three generations with the same pages, as Windows leaves after three
/// checkpoints; independent readers expect all three files. In dialect 2.1 they are both mappings,
/// the single maps, and MAPPING.VER, which selects one.
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

/// The mapping renumbered as `generation`, with no page written later than `first`.
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

/// Assigns places to mapped pages in ascending order and without gaps, so that no page is free.
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

//! Writing a whole new repository into an empty directory.
//!
//! Everything is written under temporary names and made durable, then the data files get their names, then the mapping
//! files: invariant W-1 of `docs::invariants`. A directory in which that was interrupted holds no mapping, so no repository.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::base::error::{Error, Result};
use crate::base::page_no::{PAGE_SIZE, PhysicalPage, Space};
use crate::base::site::FileRole;
use crate::base::widen;
use crate::format::Dialect;
use crate::format::mapping::{Mapping, MappingSection};
use crate::storage::{Directory, EarlySync, OpenMode, StorageFile, write_all_at};

/// Ending of the names under which the files of a new repository are written before they get their own.
pub const STAGED_SUFFIX: &str = ".restoring";

/// Generations whose number is near the end of what 32 bits count begin anew.
const LAST_GENERATION: u32 = u32::MAX - 16;

/// A repository in the making.
#[derive(Debug)]
pub struct FreshRepository {
    directory: Directory,
    data: [Arc<dyn StorageFile>; 2],
    early_sync: Mutex<EarlySync>,
}

impl FreshRepository {
    /// Begins a repository in an existing directory that holds none. With more than one thread, early syncs have their own.
    pub fn create(directory: Directory, threads: usize) -> Result<Self> {
        let open = |space| create_staged(&directory, FileRole::data(space)).map(Arc::from);
        let data = [open(Space::Objects)?, open(Space::Index)?];
        Ok(Self { directory, data, early_sync: Mutex::new(EarlySync::new(threads)) })
    }

    /// Writes consecutive pages. May be called from several threads for different pages.
    pub fn write_pages(&self, space: Space, first: PhysicalPage, pages: &[u8]) -> Result<()> {
        debug_assert!(pages.len().is_multiple_of(PAGE_SIZE), "whole pages are written");
        let path = staged_path(&self.directory, FileRole::data(space));
        write_all_at(self.file(space).as_ref(), first.byte_offset(), pages)
            .map_err(|error| Error::io("write", &path, error))
    }

    /// Writes bytes at an offset of a data file: for what is no whole page.
    pub fn write_tail(&self, space: Space, offset: u64, bytes: &[u8]) -> Result<()> {
        let path = staged_path(&self.directory, FileRole::data(space));
        write_all_at(self.file(space).as_ref(), offset, bytes).map_err(|error| Error::io("write", &path, error))
    }

    /// Gives a data file its length.
    pub fn set_len(&self, space: Space, len: u64) -> Result<()> {
        let path = staged_path(&self.directory, FileRole::data(space));
        self.file(space).set_len(len).map_err(|error| Error::io("set the length of", &path, error))
    }

    /// Begins to make what is written of a data file durable beside the writing of the rest.
    pub fn sync_early(&self, space: Space) {
        self.early_sync.lock().begin(self.file(space));
    }

    fn sync_data(&self) -> Result<()> {
        let early = self.early_sync.lock().join();
        early.map_err(|error| Error::io("sync the data files in", &self.directory.path, error))?;
        for space in Space::ALL {
            let path = staged_path(&self.directory, FileRole::data(space));
            self.file(space).sync().map_err(|error| Error::io("sync", &path, error))?;
        }
        Ok(())
    }

    /// Ends with the files that make the directory a repository whose current generation is `mapping`.
    pub fn finish(self, mapping: &Mapping) -> Result<()> {
        // Each of them describes the same pages: whichever a crash leaves, the repository is this one.
        self.install(mapping_files(mapping), NameOrder::Any)
    }

    /// Ends with these mapping files, which get their names in this order.
    pub fn finish_with(self, mapping_files: Vec<(FileRole, Vec<u8>)>) -> Result<()> {
        self.install(mapping_files, NameOrder::AsGiven)
    }

    fn install(self, mapping_files: Vec<(FileRole, Vec<u8>)>, order: NameOrder) -> Result<()> {
        // W-1, 1 and 2: pages and mappings are durable under their temporary names.
        self.sync_data()?;
        let mut written = Vec::new();
        for (role, bytes) in &mapping_files {
            let path = staged_path(&self.directory, *role);
            let file = create_staged(&self.directory, *role)?;
            write_all_at(file.as_ref(), 0, bytes).map_err(|error| Error::io("write", &path, error))?;
            written.push((path, file));
        }
        // All are written before the first is synced: one commit of the file system's journal may then do for all.
        for (path, file) in written {
            file.sync().map_err(|error| Error::io("sync", &path, error))?;
        }
        let directory = self.directory;
        drop(self.data); // a file that is open cannot be renamed everywhere
        sync_directory(&directory)?;
        // W-1, 3: the data files get their names, durably, before any mapping does.
        for space in Space::ALL {
            name_staged(&directory, FileRole::data(space))?;
        }
        sync_directory(&directory)?;
        // W-1, 4: the first mapping makes it a repository. Where they differ each is there before the next, so that none
        // decides alone that belongs behind another.
        let mut is_there = false;
        for (role, _) in &mapping_files {
            name_staged(&directory, *role).map_err(|error| if is_there { behind_the_switch(error) } else { error })?;
            is_there |= matches!(role, FileRole::Mapping(_));
            match order {
                NameOrder::AsGiven if is_there => confirm(&directory)?,
                NameOrder::AsGiven => sync_directory(&directory)?,
                NameOrder::Any => {}
            }
        }
        confirm(&directory)
    }

    /// Gives up: takes away what was written.
    pub fn abort(self) {
        self.early_sync.lock().join().ok();
        let directory = self.directory;
        drop(self.data);
        remove_unfinished(&directory).ok();
    }

    fn file(&self, space: Space) -> &Arc<dyn StorageFile> {
        let [objects, index] = &self.data;
        match space {
            Space::Objects => objects,
            Space::Index => index,
        }
    }
}

/// In which order a crash may leave the names of mapping files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameOrder {
    Any,
    AsGiven,
}

fn staged_name(role: FileRole) -> String {
    format!("{}{STAGED_SUFFIX}", role.file_name())
}

fn staged_path(directory: &Directory, role: FileRole) -> std::path::PathBuf {
    directory.join(&staged_name(role))
}

fn create_staged(directory: &Directory, role: FileRole) -> Result<Box<dyn StorageFile>> {
    let path = staged_path(directory, role);
    directory.storage.open(&path, OpenMode::Create).map_err(|error| Error::io("create", &path, error))
}

fn name_staged(directory: &Directory, role: FileRole) -> Result<()> {
    let (from, to) = (staged_path(directory, role), directory.join(role.file_name()));
    directory.storage.rename(&from, &to).map_err(|error| Error::io("rename", &from, error))
}

fn sync_directory(directory: &Directory) -> Result<()> {
    directory.storage.sync_dir(&directory.path).map_err(|error| Error::io("sync directory", &directory.path, error))
}

/// A repository is there already when this error comes.
fn behind_the_switch(error: Error) -> Error {
    match error {
        Error::Io { action, path, source } => Error::Unconfirmed { action, path, source },
        error => error,
    }
}

/// The last sync, behind the switch.
fn confirm(directory: &Directory) -> Result<()> {
    sync_directory(directory).map_err(behind_the_switch)
}

/// Whether a name is one under which a file of a new repository is written.
pub fn is_staged_name(name: &str) -> bool {
    name.strip_suffix(STAGED_SUFFIX).is_some_and(|name| FileRole::from_file_name(name).is_some())
}

/// Whether the files of a directory are those of an interrupted attempt: a mapping waits for its name, and none has one. The
/// data files may have theirs already.
pub fn is_unfinished<'n>(names: impl IntoIterator<Item = &'n str>) -> bool {
    let is_mapping = |name: &str| matches!(FileRole::from_file_name(name), Some(FileRole::Mapping(_)));
    let mut waits = false;
    for name in names {
        if is_mapping(name) {
            return false;
        }
        waits |= name.strip_suffix(STAGED_SUFFIX).is_some_and(is_mapping);
    }
    waits
}

/// Takes away what an interrupted attempt left in a directory; nothing where a mapping has its name.
pub fn remove_unfinished(directory: &Directory) -> io::Result<()> {
    let storage = &directory.storage;
    let names: Vec<String> = storage.read_dir(&directory.path)?.into_iter().map(|entry| entry.name).collect();
    let is_named = |name: &&String| FileRole::from_file_name(name).is_some();
    if is_unfinished(names.iter().map(String::as_str)) {
        // First, and durably, what has its name: by the mapping that waits it is known not to be anyone's data.
        for name in names.iter().filter(is_named) {
            storage.remove_file(&directory.join(name))?;
        }
        storage.sync_dir(&directory.path)?;
    } else if names.iter().any(|name| matches!(FileRole::from_file_name(name), Some(FileRole::Mapping(_)))) {
        return Ok(());
    }
    for name in names.iter().filter(|name| is_staged_name(name)) {
        storage.remove_file(&directory.join(name))?;
    }
    Ok(())
}

/// The mapping files of a new repository, in the order in which they get their names.
///
/// Dialect 2.2: three generations with the same pages, as Windows leaves after three checkpoints: independent readers want
/// all three files. Dialect 2.1: both mappings, the single maps, and MAPPING.VER, which switches.
fn mapping_files(mapping: &Mapping) -> Vec<(FileRole, Vec<u8>)> {
    match mapping.dialect {
        Dialect::V22 => {
            let first = if mapping.generation() < LAST_GENERATION { mapping.generation().max(1) } else { 1 };
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
                (FileRole::MappingVersion, 2u32.to_le_bytes().to_vec()),
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
    for entry in section.entries.iter_mut().filter(|entry| entry.physical.is_some()) {
        entry.physical = PhysicalPage::new(next);
        next += 1;
    }
    section.physical_pages = next;
    section.free.clear();
    debug_assert!(widen(next) <= section.entries.len());
}

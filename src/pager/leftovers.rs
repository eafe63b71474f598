//! Distinguishes what interrupted work left in a directory from files of others.
//!
//! A file is recognised as ours by its name if that is one of the engine's own or a temporary name.
//! Repository files with their final names may belong to anyone. Those of an interrupted attempt
//! are recognised by the mapping that describes them and still has its temporary name (W-1).

use std::io;

use super::journal::is_journal_name;
use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::io_op::IoOp;
use crate::base::limits::MAX_MAPPING_BYTES;
use crate::base::misuse::Misuse;
use crate::base::page_no::{PAGE_SIZE, Space};
use crate::base::site::FileRole;
use crate::format::Dialect;
use crate::format::checksum::sampled;
use crate::format::mapping::{Mapping, MappingSection};
use crate::storage::{
    DirEntry, Directory, EntryKind, OpenMode, StorageFile, Ties, read_exact_at, read_whole,
};

/// Name of the lock file in the directory of a repository.
pub const LOCK_NAME: &str = "cimrepo.lock";

/// Suffix of the name of the lock file next to the directory.
pub const LOCK_SUFFIX: &str = ".cimrepo.lock";

/// Name of the file that marks a directory as made to replace another. Only directories with this
/// mark are ever cleared.
pub const STAGING_MARK: &str = "cimrepo.restoring";

/// Suffix of the temporary names under which the files of a new repository are written.
pub const STAGED_SUFFIX: &str = ".restoring";

/// Content of MAPPING.VER in a new repository of dialect 2.1: the second mapping is current.
pub const NEW_VERSION: [u8; 4] = 2u32.to_le_bytes();

/// The role of the repository file with this temporary name, ignoring case.
pub fn staged_role(name: &str) -> Option<FileRole> {
    let (stem, suffix) = name.split_at_checked(name.len().checked_sub(STAGED_SUFFIX.len())?)?;
    if suffix.eq_ignore_ascii_case(STAGED_SUFFIX) {
        FileRole::from_file_name(stem)
    } else {
        None
    }
}

/// True if the name is the temporary name of a journal, ignoring case.
pub fn is_staged_journal(name: &str) -> bool {
    let stem = name
        .len()
        .checked_sub(STAGED_SUFFIX.len())
        .and_then(|at| name.split_at_checked(at));
    stem.is_some_and(|(stem, suffix)| {
        suffix.eq_ignore_ascii_case(STAGED_SUFFIX) && is_journal_name(stem)
    })
}

/// True if only the engine gives such a name: to a lock, a mark, or a file with a temporary name.
pub fn is_own_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    staged_role(name).is_some()
        || is_staged_journal(name)
        || [LOCK_NAME, STAGING_MARK].contains(&&*lower)
        || lower.ends_with(LOCK_SUFFIX)
}

/// The content of a directory, as far as interrupted work can have left it.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Files with temporary names.
    staged: Vec<(FileRole, String)>,
    /// Files of an interrupted attempt with final names.
    named: Vec<(FileRole, String)>,
    /// Journals with temporary names, and those with final names.
    journals: [Vec<String>; 2],
    /// The first entry that belongs to others.
    foreign: Option<String>,
}

impl Leftovers {
    /// Examines a directory. Repository files next to a mapping with a temporary name are read.
    pub fn find(directory: &Directory) -> Result<Self> {
        let entries = directory.storage.read_dir(&directory.path);
        let entries = entries.map_err(|error| Error::io(IoOp::List, &directory.path, error))?;
        let mut found = Self::default();
        let (mut staged_journals, mut named_journals) = (Vec::new(), Vec::new());
        for DirEntry { name, kind } in entries {
            // Interrupted work leaves only regular files with a single name. Anything else is not
            // opened.
            if kind != EntryKind::File || is_link(directory, &name)? {
                _ = found.foreign.get_or_insert(name);
                continue;
            }
            match (staged_role(&name), FileRole::from_file_name(&name)) {
                (Some(role), _) => found.staged.push((role, name)),
                (None, Some(role)) => found.named.push((role, name)),
                (None, None) if is_staged_journal(&name) => staged_journals.push(name),
                (None, None) if is_journal_name(&name) => named_journals.push(name),
                (None, None) if is_own_name(&name) => {}
                (None, None) => _ = found.foreign.get_or_insert(name),
            }
        }
        let is_mapping = |(role, _): &(FileRole, String)| matches!(role, FileRole::Mapping(_));
        // A journal gets its name before any mapping does, and an attempt begins in an empty
        // directory.
        if found.named.iter().any(is_mapping) || !found.staged.iter().any(is_mapping) {
            found.foreign = found.foreign.or_else(|| named_journals.first().cloned());
        }
        found.journals = [staged_journals, named_journals];
        let named = std::mem::take(&mut found.named);
        if found.foreign.is_none() {
            found.foreign = found.first_of_others(directory, &named)?;
        }
        if found.foreign.is_none() {
            found.named = named;
        }
        Ok(found)
    }

    /// The first entry of the directory that is not a leftover.
    pub fn foreign(&self) -> Option<&str> {
        self.foreign.as_deref()
    }

    /// Fails if the directory holds anything else.
    pub fn need_vacant(&self, directory: &Directory) -> Result<()> {
        let Some(foreign) = &self.foreign else {
            return Ok(());
        };
        let path = escape_path(&directory.path);
        let what = if FileRole::from_file_name(foreign).is_some() {
            "files of a repository"
        } else {
            "other files"
        };
        Err(Error::invalid(
            Misuse::NotEmpty,
            format!("{path} holds {what} ({foreign}); give an empty directory"),
        ))
    }

    /// The first file with a final name that no interrupted attempt can have left there.
    fn first_of_others(
        &self,
        directory: &Directory,
        named: &[(FileRole, String)],
    ) -> Result<Option<String>> {
        let is_mapping = |role: &FileRole| matches!(role, FileRole::Mapping(_));
        let is_waiting = |role: &FileRole| self.staged.iter().any(|(staged, _)| staged == role);
        let Some((_, first)) = named.first() else {
            return Ok(None);
        };
        if named.iter().any(|(role, _)| is_mapping(role)) {
            return Ok(Some(first.clone()));
        }
        let mut waiting = Vec::new();
        for (role, name) in self.staged.iter().filter(|(role, _)| is_mapping(role)) {
            let likely = if is_waiting(&FileRole::MappingVersion) {
                Dialect::V21
            } else {
                Dialect::V22
            };
            let bytes = with_file(directory, name, |file| read_whole(file, MAX_MAPPING_BYTES))?;
            waiting.extend(bytes.and_then(|bytes| Mapping::parse_any(&bytes, likely, *role).ok()));
        }
        for (role, name) in named {
            // A file gets its final name by losing the temporary one.
            let mut is_ours = false;
            for parsed in waiting.iter().filter(|_| !is_waiting(role)) {
                let describes = with_file(directory, name, |file| {
                    describes(&parsed.mapping, *role, file)
                })?;
                is_ours |= describes == Some(true);
            }
            if !is_ours {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    /// Removes the leftovers. Fails if any entry belongs to others.
    pub fn remove(self, directory: &Directory) -> Result<()> {
        self.need_vacant(directory)?;
        let [staged_journals, named_journals] = self.journals;
        let names = |files: Vec<(FileRole, String)>| files.into_iter().map(|(_, name)| name);
        // The files with final names go first, durably: only the mapping with a temporary name
        // proves that they are nobody's data.
        remove_durably(directory, names(self.named).chain(named_journals).collect())?;
        let (mappings, rest): (Vec<_>, Vec<_>) = self
            .staged
            .into_iter()
            .partition(|(role, _)| matches!(role, FileRole::Mapping(_)));
        remove_durably(directory, names(mappings).collect())?;
        remove_all(directory, names(rest).chain(staged_journals).collect())
    }
}

fn is_link(directory: &Directory, name: &str) -> Result<bool> {
    let path = directory.join(name);
    let ties = directory
        .storage
        .ties(&path)
        .map_err(|error| Error::io(IoOp::Metadata, &path, error))?;
    Ok(ties == Ties::Link)
}

/// True if the mapping belongs to this file. For a data file, every page that it maps must exist
/// and (in dialect 2.2, which has checksums) match.
fn describes(mapping: &Mapping, role: FileRole, file: &dyn StorageFile) -> io::Result<bool> {
    match role {
        FileRole::Objects => holds_pages(mapping, Space::Objects, file),
        FileRole::Index => holds_pages(mapping, Space::Index, file),
        FileRole::ObjectsMap => is_section(&mapping.objects, role, file),
        FileRole::IndexMap => is_section(&mapping.index, role, file),
        FileRole::MappingVersion => {
            Ok(mapping.dialect == Dialect::V21 && read_whole(file, 4)? == NEW_VERSION)
        }
        _ => Ok(false),
    }
}

fn holds_pages(mapping: &Mapping, space: Space, file: &dyn StorageFile) -> io::Result<bool> {
    let len = file.len()?;
    if mapping.section(space).mapped_count() == 0 {
        return Ok(len == 0); // it says nothing of what a longer file holds
    }
    let mut page = Box::new([0; PAGE_SIZE]);
    for (_, physical, entry) in mapping.section(space).mapped() {
        if physical.byte_offset() + PAGE_SIZE as u64 > len {
            return Ok(false);
        }
        if mapping.dialect == Dialect::V22 {
            read_exact_at(file, physical.byte_offset(), &mut page[..])?;
            if sampled(&page) != entry.checksum {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn is_section(
    section: &MappingSection,
    role: FileRole,
    file: &dyn StorageFile,
) -> io::Result<bool> {
    let parsed = MappingSection::parse_single(&read_whole(file, MAX_MAPPING_BYTES)?, role);
    Ok(parsed.is_ok_and(|(parsed, _)| parsed.entries == section.entries))
}

/// Reads a file and applies a test to it; `None` if the file is larger or shorter than expected.
fn with_file<T>(
    directory: &Directory,
    name: &str,
    look: impl FnOnce(&dyn StorageFile) -> io::Result<T>,
) -> Result<Option<T>> {
    let path = directory.join(name);
    let file = directory.storage.open(&path, OpenMode::Read);
    match file.and_then(|file| look(file.as_ref())) {
        Ok(found) => Ok(Some(found)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(Error::io(IoOp::Read, &path, error)),
    }
}

fn remove_all(directory: &Directory, files: Vec<String>) -> Result<()> {
    for name in files {
        let path = directory.join(&name);
        directory
            .storage
            .remove_file(&path)
            .map_err(|error| Error::io(IoOp::Remove, &path, error))?;
    }
    Ok(())
}

/// Removes files so that after a crash none of them remains while a file removed later is gone.
fn remove_durably(directory: &Directory, files: Vec<String>) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    remove_all(directory, files)?;
    let sync = directory.storage.sync_dir(&directory.path);
    sync.map_err(|error| Error::io(IoOp::SyncDirectory, &directory.path, error))
}

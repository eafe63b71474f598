//! The files of a repository in a directory, found without regard to the case of their names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::journal::generation_of;
use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::io_op::IoOp;
use crate::base::limits::MAX_MAPPING_BYTES;
use crate::base::misuse::Misuse;
use crate::base::page_no::{PAGE_SIZE, Space};
use crate::base::site::{FileRole, Site};
use crate::storage::{Directory, EntryKind, OpenMode, Protection, StorageFile, Ties, read_whole};

/// Paths below a given directory where a repository is looked for: Windows keeps it in
/// `wbem\Repository`, XP in `wbem\Repository\FS`.
const BELOW: [&[&str]; 4] = [&[], &["FS"], &["Repository"], &["Repository", "FS"]];

/// The files of a repository that are present in a directory.
#[derive(Debug, Clone)]
pub struct RepositoryFiles {
    /// The directory.
    pub directory: Directory,
    names: BTreeMap<FileRole, String>,
    no_files: BTreeMap<FileRole, String>,
    /// The journals of this engine, with the generations in their names, ascending.
    journals: Vec<(u32, String)>,
}

impl RepositoryFiles {
    /// Lists the files in this directory, not below it.
    pub fn list(directory: Directory) -> Result<Self> {
        let entries = directory.storage.read_dir(&directory.path);
        let mut entries = entries.map_err(|error| Error::io(IoOp::List, &directory.path, error))?;
        // If two names differ only in case, the choice must not depend on the order of the listing.
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let (mut names, mut no_files, mut journals) =
            (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for entry in entries {
            if let Some(generation) =
                generation_of(&entry.name).filter(|_| entry.kind == EntryKind::File)
            {
                journals.push((generation, entry.name));
                continue;
            }
            if let Some(role) = FileRole::from_file_name(&entry.name) {
                let names = if entry.kind == EntryKind::File {
                    &mut names
                } else {
                    &mut no_files
                };
                names.entry(role).or_insert(entry.name);
            }
        }
        no_files.retain(|role, _| !names.contains_key(role));
        journals.sort();
        Ok(Self {
            directory,
            names,
            no_files,
            journals,
        })
    }

    /// Findings for names of repository files that belong to something else: a directory, a pipe, a
    /// broken link. Such an entry is never opened.
    pub(crate) fn not_files(&self) -> impl Iterator<Item = Corruption> {
        self.no_files.iter().map(|(role, name)| {
            let detail = format!("{name} is not a regular file");
            Corruption::new(CorruptionCode::FileMissing, Site::file(*role), detail)
        })
    }

    /// Finds the files of the repository in `directory` or at the usual places below it.
    pub fn locate(directory: &Directory) -> Result<Self> {
        let path = directory.path.as_path();
        match directory
            .storage
            .kind(path)
            .map_err(|error| Error::io(IoOp::Open, path, error))?
        {
            Some(EntryKind::Directory) => {}
            Some(_) => {
                return Err(not_a_repository(
                    path,
                    "it is a file; give the directory that holds OBJECTS.DATA",
                ));
            }
            None => {
                let missing = std::io::Error::new(
                    std::io::ErrorKind::NotFound,
                    "there is no such file or directory",
                );
                return Err(Error::io(IoOp::Open, path, missing));
            }
        }
        for below in BELOW {
            if let Some(found) = descend(directory, below)? {
                let files = Self::list(found)?;
                if !files.names.is_empty() {
                    return Ok(files);
                }
            }
        }
        let reason = "it holds no file of a repository (OBJECTS.DATA, INDEX.BTR, MAPPING1.MAP …), \
            nor do FS or Repository in it";
        Err(not_a_repository(path, reason))
    }

    /// W-13: rejects a repository that is to be written in place if one of its names is a symbolic
    /// link. The target lies elsewhere and would be changed there.
    pub fn need_no_links(&self) -> Result<()> {
        let linked = |path: &Path| Ok::<_, Error>(self.ties(path)? == Ties::Link);
        for role in self.names.keys().chain(self.no_files.keys()) {
            let path = self.directory.join(self.name(*role));
            if linked(&path)? {
                let text = "is a symbolic link; what it leads to is not written to. Put the file \
                    itself in its place";
                return Err(Error::invalid(
                    Misuse::Link,
                    format!("{} {text}", escape_path(path)),
                ));
            }
        }
        Ok(())
    }

    /// A file that has other names too (hard links), with their number. Writing into it would
    /// change the content under those names. `None` if there is none.
    pub fn shared(&self) -> Result<Option<(PathBuf, u64)>> {
        for role in self.names.keys() {
            let path = self.path(*role);
            if let Ties::Names(count) = self.ties(&path)? {
                return Ok(Some((path, count)));
            }
        }
        Ok(None)
    }

    /// W-13: rejects a repository that must not be written in place because the changes would show
    /// under other names too.
    pub fn need_own(&self) -> Result<()> {
        self.need_no_links()?;
        let Some((path, count)) = self.shared()? else {
            return Ok(());
        };
        let text = "names (hard links), and what is written into it would show under each; put a \
            copy in its place";
        Err(Error::invalid(
            Misuse::Link,
            format!("{} has {count} {text}", escape_path(path)),
        ))
    }

    fn ties(&self, path: &Path) -> Result<Ties> {
        self.directory
            .storage
            .ties(path)
            .map_err(|error| Error::io(IoOp::Metadata, path, error))
    }

    /// The access rights common to the directory and all of its files. If they cannot be
    /// determined, the owner alone has access.
    pub fn protection(&self) -> Protection {
        let directory = self.directory.protection().through_directory();
        let files = self.names.keys().map(|role| self.protection_of(*role));
        files.fold(directory, |all, file| all.and(&file))
    }

    /// The rights for a new file of the repository: those of the old file of its role, else those
    /// of another file there.
    pub fn protection_for(&self, role: FileRole) -> Protection {
        let like = if self.has(role) {
            Some(role)
        } else {
            self.names.keys().next().copied()
        };
        match like {
            Some(role) => self.protection_of(role).kept(),
            None => self.directory.protection().for_file().kept(),
        }
    }

    fn protection_of(&self, role: FileRole) -> Protection {
        let storage = &self.directory.storage;
        storage
            .protection(&self.path(role))
            .unwrap_or_else(|_| Protection::private())
    }

    /// True if the file exists.
    pub fn has(&self, role: FileRole) -> bool {
        self.names.contains_key(&role)
    }

    /// The files that exist, with their names as stored.
    pub fn present(&self) -> impl Iterator<Item = (FileRole, &str)> {
        self.names.iter().map(|(role, name)| (*role, name.as_str()))
    }

    /// The path of a file: under its stored name if it exists, else under the name that Windows
    /// gives it.
    pub fn path(&self, role: FileRole) -> PathBuf {
        self.directory.join(self.name(role))
    }

    fn name(&self, role: FileRole) -> &str {
        self.names
            .get(&role)
            .or_else(|| self.no_files.get(&role))
            .map_or(role.file_name(), String::as_str)
    }

    /// The journals with their generations and names, ascending.
    pub fn journals(&self) -> &[(u32, String)] {
        &self.journals
    }

    /// Opens a file; `None` if it does not exist.
    pub fn open(&self, role: FileRole, mode: OpenMode) -> Result<Option<Box<dyn StorageFile>>> {
        if !self.has(role) {
            return Ok(None);
        }
        let path = self.path(role);
        let file = self.directory.storage.open(&path, mode);
        file.map(Some)
            .map_err(|error| Error::io(IoOp::Open, &path, error))
    }

    /// The content of a small file, such as a mapping; `None` if it does not exist.
    pub fn read(&self, role: FileRole) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open(role, OpenMode::Read)? else {
            return Ok(None);
        };
        let bytes = read_whole(file.as_ref(), MAX_MAPPING_BYTES);
        bytes
            .map(Some)
            .map_err(|error| Error::io(IoOp::Read, &self.path(role), error))
    }

    /// Opens both data files for reading.
    pub fn open_data(&self) -> Result<DataFiles> {
        let open = |space| self.open(FileRole::data(space), OpenMode::Read);
        let (objects, index) = (open(Space::Objects)?, open(Space::Index)?);
        DataFiles::new(self, objects, index)
    }
}

fn descend(directory: &Directory, below: &[&str]) -> Result<Option<Directory>> {
    let mut found = directory.clone();
    for name in below {
        let entries = found.storage.read_dir(&found.path);
        let entries = entries.map_err(|error| Error::io(IoOp::List, &found.path, error))?;
        let mut matches = entries
            .iter()
            .filter(|entry| {
                entry.kind == EntryKind::Directory && entry.name.eq_ignore_ascii_case(name)
            })
            .map(|entry| entry.name.as_str());
        match matches.next() {
            Some(name) => found.path = found.join(name),
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

fn not_a_repository(path: &Path, reason: &str) -> Error {
    Error::NotARepository {
        path: path.into(),
        reason: reason.into(),
    }
}

/// The two data files, as far as they exist, and their lengths when they were opened.
#[derive(Debug)]
pub struct DataFiles {
    data: [Option<DataFile>; 2],
    files: RepositoryFiles,
}

/// An open data file.
#[derive(Debug)]
pub struct DataFile {
    /// The file.
    pub file: Box<dyn StorageFile>,
    /// Its path.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
}

impl DataFiles {
    fn new(
        files: &RepositoryFiles,
        objects: Option<Box<dyn StorageFile>>,
        index: Option<Box<dyn StorageFile>>,
    ) -> Result<Self> {
        let data = |space, file: Option<Box<dyn StorageFile>>| -> Result<Option<DataFile>> {
            let Some(file) = file else { return Ok(None) };
            let path = files.path(FileRole::data(space));
            let len = file
                .len()
                .map_err(|error| Error::io(IoOp::Metadata, &path, error))?;
            Ok(Some(DataFile { file, path, len }))
        };
        Ok(Self {
            data: [data(Space::Objects, objects)?, data(Space::Index, index)?],
            files: files.clone(),
        })
    }

    /// All files of the repository.
    pub const fn files(&self) -> &RepositoryFiles {
        &self.files
    }

    /// The data file of a page space, if it exists.
    pub fn get(&self, space: Space) -> Option<&DataFile> {
        let [objects, index] = &self.data;
        match space {
            Space::Objects => objects.as_ref(),
            Space::Index => index.as_ref(),
        }
    }

    /// Number of whole pages in a data file, if it exists.
    pub fn pages(&self, space: Space) -> Option<u64> {
        self.get(space).map(|file| file.len / PAGE_SIZE as u64)
    }
}

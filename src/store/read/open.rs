//! Opening of a repository for reading. Nothing here opens a file for writing or creates one (W-8).

use std::path::Path;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::page_no::Space;
use crate::base::site::FileRole;
use crate::format::Dialect;
use crate::format::checksum::crc32;
use crate::format::mapping::Mapping;
use crate::format::own::journal::MappingId;
use crate::pager::files::RepositoryFiles;
use crate::pager::generation::recover::{Choice, Chosen, choose};
use crate::pager::generation::{Generation, Refusal, read_mapping, read_single_maps};
use crate::pager::leftovers::staged_role;
use crate::pager::state::image::{DEFAULT_CACHE_PAGES, Image};
use crate::storage::{DirEntry, Directory};

use super::journals::{self, Journals, Reading};
use super::snapshot::Snapshot;

/// Number of attempts if the repository changes while it is being opened.
const ATTEMPTS: usize = 8;

/// Options for opening a repository.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    choice: Choice,
    cache_pages: usize,
    without_journal: bool,
    is_cancelled: fn() -> bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            choice: Choice::default(),
            cache_pages: DEFAULT_CACHE_PAGES,
            without_journal: false,
            is_cancelled: || false,
        }
    }
}

impl OpenOptions {
    /// The defaults: the current generation with the commits of its journals, and a cache of 4,096
    /// pages (32 MiB).
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens this generation and no other, whether or not it is whole, and without any journal.
    pub fn generation(mut self, generation: u32) -> Self {
        self.choice.generation = Some(generation);
        self
    }

    /// Checks every page of a generation before choosing it as the current one, not just those that
    /// it wrote. Slow: it reads all mapped pages.
    pub fn check_all_pages(mut self) -> Self {
        self.choice.check_all_pages = true;
        self
    }

    /// Checks the pages that a generation wrote before choosing it as the current one, even if it
    /// is marked as closed in order. The mark proves nothing for evidence, since a copy or a disk
    /// may have torn such a page later. Without this option every page of a generation that was
    /// closed in order is checked on first use, and the error names that generation.
    pub fn check_written_pages(mut self) -> Self {
        self.choice.check_written_pages = true;
        self
    }

    /// Ignores the commits in journals, so that the state is that of the last checkpoint, as
    /// Windows would see it. The journals are still listed ([`Repository::journal`]).
    pub fn without_journal(mut self) -> Self {
        self.without_journal = true;
        self
    }

    /// Calls `is_cancelled` now and then while a journal is replayed. If it returns true, opening
    /// fails with [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn cancel_when(mut self, is_cancelled: fn() -> bool) -> Self {
        self.is_cancelled = is_cancelled;
        self
    }

    /// Number of pages of 8 KiB that are kept in memory. Index pages take up to three times as
    /// much.
    pub fn cache_pages(mut self, pages: usize) -> Self {
        self.cache_pages = pages;
        self
    }

    /// Opens the repository at `path` for reading. Nothing in the directory is created, changed or
    /// touched. `path` is the directory of the files or one above it (`wbem`, `Repository`).
    ///
    /// The commits in journals are replayed in memory, up to the first one that does not fit; see
    /// [`Repository::journal`]. No lock is taken. If a writer replaces what is being read, opening
    /// starts again, a few times.
    ///
    /// # Errors
    /// Returns [`Error::Io`](crate::Error::Io) if the system refuses,
    /// [`Error::NotARepository`](crate::Error::NotARepository) if no mapping file can be read, and
    /// [`Error::Overtaken`] if a writer was faster each time. A damaged repository opens; see
    /// [`Repository::refused`] and [`Repository::is_whole`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Repository> {
        self.open_in(&Directory::real(path.as_ref()))
    }

    /// Opens the repository in a directory of any storage; otherwise like [`open`](Self::open).
    ///
    /// # Errors
    /// The errors of [`open`](Self::open).
    pub fn open_in(self, directory: &Directory) -> Result<Repository> {
        for _ in 0..ATTEMPTS {
            if let Some(opened) = self.try_open(directory)? {
                return Ok(opened);
            }
        }
        Err(Error::Overtaken {
            path: directory.path.as_path().into(),
        })
    }

    /// Tries to open the repository; `None` if a writer replaced what was read.
    fn try_open(self, directory: &Directory) -> Result<Option<Repository>> {
        let interrupted = |error| with_interruption(error, directory);
        let files = RepositoryFiles::locate(directory).map_err(interrupted)?;
        let data = files.open_data()?;
        let chosen = choose(&files, &data, self.choice);
        let chosen = chosen
            .map_err(|error| with_interruption(with_not_files(error, &files), &files.directory))?;
        let (chosen, generations) = chosen;
        let Chosen {
            current,
            mut refused,
        } = chosen;
        for reason in files.not_files() {
            // This reason says more than the earlier finding that the file is missing.
            let is_same = |other: &&mut Refusal| {
                (other.role, other.reason.code) == (reason.site.role, reason.code)
            };
            match refused.iter_mut().find(is_same) {
                Some(known) => known.reason = reason,
                None => refused.push(Refusal::new(reason.site.role, None, reason)),
            }
        }
        let Generation {
            role,
            mapping,
            findings,
            ..
        } = current;
        let image = Image::new(mapping, role, Box::new(data), self.cache_pages);
        let Some((image, journals)) = self.with_journals(&files, image)? else {
            return Ok(None);
        };
        let snapshot = Snapshot::new(Arc::new(image));
        Ok(Some(Repository {
            files,
            snapshot,
            is_whole: findings.is_empty(),
            refused,
            generations,
            journals,
        }))
    }

    /// The state with the commits of the journals, and the fate of the journals. `None` if a writer
    /// replaced the mapping, or removed a journal because a newer generation contains its commits.
    /// A journal that has only grown is no obstacle.
    fn with_journals(
        self,
        files: &RepositoryFiles,
        image: Image,
    ) -> Result<Option<(Image, Journals)>> {
        if files.journals().is_empty() {
            return Ok(Some((image, Journals::default())));
        }
        let Some(id) = identity(files, &image)? else {
            return Ok(None);
        };
        let base = image.clone();
        let replayed = self.replay(files, image, id);
        // Pages are not reused as long as a mapping file names them (W-2, W-4). If the file
        // changed, what was read may be anything.
        if identity(files, &base)? != Some(id) {
            return Ok(None);
        }
        match replayed {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(None)
            }
            replayed => replayed.map(Some),
        }
    }

    fn replay(
        self,
        files: &RepositoryFiles,
        image: Image,
        id: MappingId,
    ) -> Result<(Image, Journals)> {
        let may_go_on = || !(self.is_cancelled)();
        let how = match self.without_journal || self.choice.generation.is_some() {
            true => Reading::LeftOut,
            false => Reading::Replayed,
        };
        journals::read(
            &files.directory,
            files.journals(),
            image,
            id,
            how,
            &may_go_on,
        )
    }
}

/// The identity by which a journal names the generation; `None` if its file now holds another one.
fn identity(files: &RepositoryFiles, image: &Image) -> Result<Option<MappingId>> {
    let (role, mapping) = (image.mapping_role(), image.base().mapping());
    if mapping.dialect == Dialect::V21 {
        return Ok(Some(MappingId {
            generation: mapping.generation(),
            mapping_crc: 0,
        }));
    }
    let bytes = files.read(role)?.unwrap_or_default();
    let is_same = Mapping::parse(&bytes, mapping.dialect, role)
        .is_ok_and(|parsed| parsed.mapping == *mapping);
    let id = MappingId {
        generation: mapping.generation(),
        mapping_crc: crc32(&bytes),
    };
    Ok(is_same.then_some(id))
}

/// Adds to an error that says there is no repository the names of files that belong to something
/// else.
fn with_not_files(error: Error, files: &RepositoryFiles) -> Error {
    match error {
        Error::NotARepository { path, reason } => {
            let also = files.not_files().map(|finding| format!("; {finding}"));
            let reason = std::iter::once(reason.into_string())
                .chain(also)
                .collect::<String>()
                .into();
            Error::NotARepository { path, reason }
        }
        other => other,
    }
}

/// Adds to an error that says there is no repository a hint that an interrupted restore left files.
fn with_interruption(error: Error, directory: &Directory) -> Error {
    let Error::NotARepository { path, reason } = error else {
        return error;
    };
    let entries = directory
        .storage
        .read_dir(&directory.path)
        .unwrap_or_default();
    let reason = match entries
        .iter()
        .find(|entry| staged_role(&entry.name).is_some())
    {
        Some(DirEntry { name, .. }) => format!(
            "{reason}; {name} is there: a restore into it, or its creation, was \
                interrupted; do it again"
        )
        .into(),
        None => reason,
    };
    Error::NotARepository { path, reason }
}

/// A repository in the on-disk format of Windows, opened for reading.
///
/// ```no_run
/// # fn main() -> cimrepo::Result<()> {
/// let repository = cimrepo::Repository::open_read_only("wbem/Repository")?;
/// if !repository.is_whole() {
///     for refused in repository.refused() {
///         println!("{refused:?}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Repository {
    files: RepositoryFiles,
    snapshot: Snapshot,
    is_whole: bool,
    refused: Vec<Refusal>,
    /// Numbers of all generations whose mapping can be read, newest first.
    generations: Vec<u32>,
    journals: Journals,
}

impl Repository {
    /// Opens a repository for reading with default options.
    ///
    /// # Errors
    /// The errors of [`OpenOptions::open`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::new().open(path)
    }

    /// The state that was opened, a generation with the commits of its journals, as an owned and
    /// unchanging view.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    /// The dialect.
    pub fn dialect(&self) -> Dialect {
        self.snapshot.dialect()
    }

    /// The files.
    pub const fn files(&self) -> &RepositoryFiles {
        &self.files
    }

    /// True if the opened generation passes all checks of opening. If not, it is the best one
    /// available.
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Mapping files that cannot be used, newer and older ones, with the reasons, and entries that
    /// have the name of a repository file but are not regular files. If a generation was requested
    /// by number, only the unreadable files are listed.
    pub fn refused(&self) -> &[Refusal] {
        &self.refused
    }

    /// The journals next to the files, with the number of commits in each and in the opened state,
    /// and the reasons why others could not be replayed.
    pub const fn journal(&self) -> &Journals {
        &self.journals
    }

    /// The data files that are missing.
    pub fn missing(&self) -> impl Iterator<Item = FileRole> + '_ {
        Space::ALL
            .into_iter()
            .map(FileRole::data)
            .filter(|&role| !self.files.has(role))
    }

    /// Fails unless the opened generation is still unchanged on disk. Reading takes no lock, and a
    /// writer in another process may reuse the pages of a generation as soon as its mapping file
    /// has been overwritten, but not before (invariants W-2 and W-4). So if this call succeeds,
    /// everything read before it belongs to that generation. The commits of journals have been in
    /// memory since the repository was opened. A journal that has grown, or was removed because a
    /// newer generation contains its commits, therefore does not matter.
    ///
    /// # Errors
    /// Returns [`Error::Overtaken`] if the mapping file has changed, and [`Error::Io`] if the
    /// system refuses.
    pub fn ensure_unchanged(&self) -> Result<()> {
        let image = self.snapshot.image();
        let (role, mapping) = (image.mapping_role(), image.base().mapping());
        let is_same = match mapping.dialect {
            Dialect::V21 if role == FileRole::ObjectsMap => {
                let found = read_single_maps(&self.files, &self.files.open_data()?)?;
                found
                    .and_then(Result::ok)
                    .is_some_and(|found| *found.mapping == *mapping)
            }
            _ => read_mapping(&self.files, role, mapping.dialect)?
                .is_some_and(|found| found == *mapping),
        };
        if is_same {
            Ok(())
        } else {
            Err(Error::Overtaken {
                path: self.files.path(role).into(),
            })
        }
    }

    /// The numbers of the generations whose mapping could be read when the repository was opened,
    /// newest first.
    pub fn generations(&self) -> &[u32] {
        &self.generations
    }
}

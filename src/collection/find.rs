//! The search for repositories below a directory.
//!
//! A collected tree comes from somewhere else: it may have directories of millions of entries,
//! links that lead out of it or around in it, and directories that cannot be read. So no link is
//! followed, depth and entries are bounded, the memory is that of the names that wait, and what was
//! passed over is reported instead of ending the search.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::base::escape::{escape, escape_path};
use crate::base::io_op::IoOp;
use crate::base::limits::{
    MAX_SEARCH_DEPTH, MAX_SEARCH_ENTRIES, MAX_SEARCH_FOUND, MAX_SEARCH_NOTES, MAX_SEARCH_PENDING,
};
use crate::base::progress::{Observer, Phase, Progress};
use crate::base::site::FileRole;
use crate::storage::{Directory, RawEntry, RawKind};

/// Entries of one directory after which the observer is asked whether to go on.
const ENTRIES_A_LOOK: u64 = 4096;

/// A search for repositories in a directory and below it.
///
/// A directory holds a repository when OBJECTS.DATA, INDEX.BTR or a MAPPINGn.MAP lies in it as a
/// regular file, in any case of letters: `…/wbem/Repository`, `…/FS`, `Repository.001`,
/// `repository.old`, whatever its name is. The directory that is given counts with any file of a
/// repository, and then nothing below it is looked at.
///
/// ```
/// use cimrepo::base::progress::Unobserved;
/// use cimrepo::collection::Finder;
/// use cimrepo::storage::Directory;
///
/// let found = Finder::new().find(&Directory::real("src"), &Unobserved)?;
/// assert!(found.repositories.is_empty());
/// # Ok::<(), cimrepo::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Finder {
    depth: usize,
    entries: u64,
    pending: usize,
    found: usize,
}

impl Default for Finder {
    fn default() -> Self {
        Self {
            depth: MAX_SEARCH_DEPTH,
            entries: MAX_SEARCH_ENTRIES,
            pending: MAX_SEARCH_PENDING,
            found: MAX_SEARCH_FOUND,
        }
    }
}

/// Result of a search.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Found {
    /// The directories that hold a repository, in order of their paths: each before those below it.
    pub repositories: Vec<PathBuf>,
    /// Places that were not looked at, as far as they are listed.
    pub passed_over: Vec<PassedOver>,
    /// Number of such places that are not listed.
    pub not_listed: u64,
    /// Number of symbolic links, none of which was followed.
    pub links: u64,
}

/// A place that a search did not look at.
#[derive(Debug)]
#[non_exhaustive]
pub struct PassedOver {
    /// The directory.
    pub path: PathBuf,
    /// Why it was passed over.
    pub reason: Reason,
}

/// Why a search passed something over.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The system refused to list the directory, or to list it to its end.
    Unreadable(io::Error),
    /// A file of the repository there is a symbolic link.
    LinkedFile(String),
    /// The directory lies deeper than the search goes.
    TooDeep {
        /// Levels below the directory that was given.
        limit: usize,
    },
    /// The tree has more entries than the search looks at. It ended in this directory.
    TooManyEntries {
        /// Entries that were looked at.
        limit: u64,
    },
    /// More directories waited than the search keeps in memory. Some of this one were not looked
    /// at.
    TooManyDirectories {
        /// Directories that may wait.
        limit: usize,
    },
    /// The tree holds more repositories than a search lists. It ended with this one.
    TooManyRepositories {
        /// Repositories that are listed.
        limit: usize,
    },
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = escape_path(&self.path);
        match &self.reason {
            Reason::Unreadable(error) => write!(f, "{path} was passed over: {error}"),
            Reason::LinkedFile(name) => {
                let name = escape(name);
                write!(
                    f,
                    "{path} was passed over: {name} is a symbolic link; give this directory itself \
                        to read it"
                )
            }
            Reason::TooDeep { limit } => {
                write!(
                    f,
                    "{path} was passed over: it lies more than {limit} directories deep; give it \
                        itself"
                )
            }
            Reason::TooManyEntries { limit } => {
                let advice = "give a directory closer to the repositories";
                write!(
                    f,
                    "the search ended in {path} after {limit} directory entries; {advice}"
                )
            }
            Reason::TooManyDirectories { limit } => {
                write!(
                    f,
                    "directories of {path} were passed over: more than {limit} of them waited; \
                        give it itself"
                )
            }
            Reason::TooManyRepositories { limit } => {
                write!(
                    f,
                    "the search ended in {path} after {limit} repositories; give the directories \
                        of the rest"
                )
            }
        }
    }
}

impl Found {
    /// True if some place was not looked at that may hold a repository. Links do not count: the
    /// tree is what lies in it.
    pub fn is_partial(&self) -> bool {
        !self.passed_over.is_empty()
    }

    fn pass_over(&mut self, path: &Path, reason: Reason) {
        if self.passed_over.len() < MAX_SEARCH_NOTES {
            self.passed_over.push(PassedOver {
                path: path.to_owned(),
                reason,
            });
        } else {
            self.not_listed += 1;
        }
    }
}

impl Finder {
    /// A search 16 directories deep over at most 4,000,000 directory entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many levels below the given directory are looked at.
    pub fn depth(mut self, levels: usize) -> Self {
        self.depth = levels;
        self
    }

    /// Sets how many directory entries are looked at in all.
    pub fn entries(mut self, count: u64) -> Self {
        self.entries = count;
        self
    }

    /// Sets how many directories may wait until the search comes to them.
    pub fn pending(mut self, count: usize) -> Self {
        self.pending = count;
        self
    }

    /// Looks for repositories in `directory` and below it. One that is a link itself is followed,
    /// as the caller named it.
    ///
    /// # Errors
    /// [`Error::Io`] when `directory` itself cannot be listed, [`Error::Cancelled`] when the
    /// observer asks to stop. Whatever is wrong below it is reported in what was found.
    pub fn find(self, directory: &Directory, observer: &dyn Observer) -> Result<Found> {
        let mut search = Search {
            limits: self,
            directory,
            observer,
            entries: 0,
            pending: 0,
            found: Found::default(),
        };
        search.run()?;
        Ok(search.found)
    }
}

/// A search under way.
struct Search<'s> {
    limits: Finder,
    directory: &'s Directory,
    observer: &'s dyn Observer,
    /// Entries looked at.
    entries: u64,
    /// Names that wait in all levels.
    pending: usize,
    found: Found,
}

/// A directory whose subdirectories wait.
struct Level {
    path: PathBuf,
    /// The last by name comes first off.
    names: Vec<OsString>,
}

/// The content of one directory.
#[derive(Default)]
struct Listed {
    directories: Vec<OsString>,
    /// Files of a repository.
    files: Vec<FileRole>,
    linked: Option<String>,
    links: u64,
    /// True if a directory did not fit into what may wait.
    is_crowded: bool,
    is_cancelled: bool,
    is_over: bool,
    error: Option<io::Error>,
}

impl Search<'_> {
    fn run(&mut self) -> Result<()> {
        let top = self.directory.path.clone();
        let mut listed = self.list(&top)?;
        if let Some(error) = listed
            .error
            .take_if(|_| listed.directories.is_empty() && listed.files.is_empty())
        {
            return Err(Error::io(IoOp::List, &top, error));
        }
        // The caller named this one: any file of a repository makes it what was meant, links too.
        if !listed.files.is_empty() || listed.linked.is_some() {
            self.found.repositories.push(top);
            return Ok(());
        }
        let mut is_over = listed.is_over;
        let mut levels: Vec<Level> = self.enter(top, listed).into_iter().collect();
        while !is_over && let Some(level) = levels.last_mut() {
            let Some(name) = level.names.pop() else {
                levels.pop();
                continue;
            };
            self.pending = self.pending.saturating_sub(1);
            let path = level.path.join(name);
            if levels.len() > self.limits.depth {
                self.found.pass_over(
                    &path,
                    Reason::TooDeep {
                        limit: self.limits.depth,
                    },
                );
                continue;
            }
            let listed = self.list(&path)?;
            is_over = listed.is_over;
            self.judge(&path, &listed);
            if self.found.repositories.len() >= self.limits.found {
                self.found.pass_over(
                    &path,
                    Reason::TooManyRepositories {
                        limit: self.limits.found,
                    },
                );
                is_over = true;
            }
            levels.extend(self.enter(path, listed));
        }
        Ok(())
    }

    /// Takes a directory below the top for a repository, or not.
    fn judge(&mut self, path: &Path, listed: &Listed) {
        // A map alone is no repository: other programs have files of the name INDEX.MAP.
        let is_one = listed.files.iter().any(|role| {
            matches!(
                role,
                FileRole::Objects | FileRole::Index | FileRole::Mapping(_)
            )
        });
        match &listed.linked {
            Some(name) => self.found.pass_over(path, Reason::LinkedFile(name.clone())),
            None if is_one => self.found.repositories.push(path.to_owned()),
            None => {}
        }
    }

    /// Reports what kept a directory from being listed whole; its subdirectories, if there are some
    /// to go to.
    fn enter(&mut self, path: PathBuf, listed: Listed) -> Option<Level> {
        self.found.links += listed.links;
        if let Some(error) = listed.error {
            self.found.pass_over(&path, Reason::Unreadable(error));
        }
        if listed.is_crowded {
            self.found.pass_over(
                &path,
                Reason::TooManyDirectories {
                    limit: self.limits.pending,
                },
            );
        }
        if listed.is_over {
            self.found.pass_over(
                &path,
                Reason::TooManyEntries {
                    limit: self.limits.entries,
                },
            );
        }
        let mut names = listed.directories;
        names.sort_unstable_by(|a, b| b.cmp(a));
        (!names.is_empty()).then_some(Level { path, names })
    }

    fn list(&mut self, path: &Path) -> Result<Listed> {
        self.look_around()?;
        let mut listed = Listed::default();
        let storage = self.directory.storage.clone();
        let walked = storage.walk_dir(path, &mut |entry| self.take(entry, &mut listed));
        if listed.is_cancelled {
            return Err(Error::Cancelled);
        }
        // It went away since its name was read.
        listed.error = walked
            .err()
            .filter(|error| path == self.directory.path || error.kind() != io::ErrorKind::NotFound);
        Ok(listed)
    }

    fn take(&mut self, entry: RawEntry, listed: &mut Listed) -> ControlFlow<()> {
        if self.entries >= self.limits.entries {
            listed.is_over = true;
            return ControlFlow::Break(());
        }
        self.entries += 1;
        if self.entries.is_multiple_of(ENTRIES_A_LOOK) && self.look_around().is_err() {
            listed.is_cancelled = true;
            return ControlFlow::Break(());
        }
        match entry.kind {
            RawKind::Directory if self.pending >= self.limits.pending => listed.is_crowded = true,
            RawKind::Directory => {
                self.pending += 1;
                listed.directories.push(entry.name);
            }
            RawKind::File => listed.files.extend(role(&entry)),
            RawKind::Link => {
                listed.links += 1;
                if role(&entry).is_some() {
                    listed.linked = entry.name.into_string().ok();
                }
            }
            RawKind::Other => {}
        }
        ControlFlow::Continue(())
    }

    /// Asks the observer whether to go on.
    fn look_around(&self) -> Result<()> {
        let progress = Progress {
            phase: Phase::Search,
            done: self.entries,
            total: self.limits.entries,
        };
        if self.observer.progress(progress).is_break() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}

fn role(entry: &RawEntry) -> Option<FileRole> {
    entry.name.to_str().and_then(FileRole::from_file_name)
}

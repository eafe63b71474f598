//! Examination of the target of a restore.

use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::io_op::IoOp;
use crate::base::misuse::Misuse;
use crate::pager::files::RepositoryFiles;
use crate::pager::leftovers::Leftovers;
use crate::storage::{Directory, EntryKind, Ties, parent_of};

/// The present content of the target.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing.
    Missing,
    /// A directory that is empty except for remains of an interrupted restore.
    Empty,
    /// Files of a repository, healthy or not.
    Repository(RepositoryFiles),
}

/// Examines the target. Fails if it cannot be one.
pub(crate) fn look(into: &Directory) -> Result<Found> {
    let path = into.path.as_path();
    if path.as_os_str().is_empty() {
        return Err(Error::invalid(
            Misuse::EmptyPath,
            "an empty path names no directory to restore to",
        ));
    }
    match into
        .storage
        .kind(path)
        .map_err(|error| Error::io(IoOp::Metadata, path, error))?
    {
        None => {
            if into.storage.ties(path).is_ok_and(|ties| ties == Ties::Link) {
                let text =
                    "is a symbolic link that leads nowhere; remove it, or give another directory";
                return Err(Error::invalid(
                    Misuse::Link,
                    format!("{} {text}", escape_path(path)),
                ));
            }
            let parent = parent_of(path);
            match into
                .storage
                .kind(parent)
                .map_err(|error| Error::io(IoOp::Metadata, parent, error))?
            {
                Some(EntryKind::Directory) => Ok(Found::Missing),
                _ => {
                    let reason = "it is not there; create it, the repository is made in it";
                    Err(Error::no_directory(parent, reason))
                }
            }
        }
        Some(EntryKind::Directory) => look_inside(into),
        Some(_) => Err(Error::invalid(
            Misuse::PathKind,
            format!(
                "{} is a file; give a directory to restore to",
                escape_path(path)
            ),
        )),
    }
}

fn look_inside(into: &Directory) -> Result<Found> {
    let leftovers = Leftovers::find(into)?;
    let Some(other) = leftovers.foreign() else {
        return Ok(Found::Empty);
    };
    match RepositoryFiles::locate(into) {
        Ok(files) => {
            let below = files
                .directory
                .path
                .ancestors()
                .take_while(|path| *path != into.path);
            for path in below {
                need_no_link(&Directory::new(into.storage.clone(), path))?;
            }
            files.need_no_links()?;
            Ok(Found::Repository(files))
        }
        Err(Error::NotARepository { .. }) => {
            let path = escape_path(&into.path);
            let text = format!(
                "{path} holds other files ({other}), and no repository; give an empty directory"
            );
            Err(Error::invalid(Misuse::NotEmpty, text))
        }
        Err(error) => Err(error),
    }
}

/// Rejects a directory that is reached through a symbolic link not named by the caller, or that
/// must be renamed and is a link.
pub(crate) fn need_no_link(directory: &Directory) -> Result<()> {
    // With a separator at its end, the name of a link stands for its target.
    let path = directory.path.components().as_path();
    match directory
        .storage
        .ties(path)
        .map_err(|error| Error::io(IoOp::Metadata, path, error))?
    {
        Ties::Link => {
            let text = "is a symbolic link; give the directory that it leads to";
            Err(Error::invalid(
                Misuse::Link,
                format!("{} {text}", escape_path(path)),
            ))
        }
        Ties::None | Ties::Names(_) => Ok(()),
    }
}

/// The error if the target has changed since it was examined.
pub(crate) fn changed(directory: &Directory) -> Error {
    Error::Changed {
        path: directory.path.as_path().into(),
        advice: "restore again",
    }
}

/// A path next to a directory: its name with a suffix.
pub(crate) fn sibling(path: &Path, suffix: &str) -> Result<PathBuf> {
    match path.file_name() {
        Some(name) => {
            let mut name = name.to_os_string();
            name.push(suffix);
            Ok(path.with_file_name(name))
        }
        None => {
            let text = "has no name of its own, so nothing can be put next to it; give the path \
                with the name of the directory";
            Err(Error::invalid(
                Misuse::UnnamedPath,
                format!("{} {text}", escape_path(path)),
            ))
        }
    }
}

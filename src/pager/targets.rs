//! Checks of the places where something may be written: the name must not stand for another one,
//! nor for a file of a repository in any spelling.

use std::path::Path;

use super::journal::is_journal_name;
use super::leftovers::is_own_name;
use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::io_op::IoOp;
use crate::base::misuse::Misuse;
use crate::base::site::FileRole;
use crate::storage::{Storage, parent_of};

/// Rejects a name that the system takes for another. A companion file would be placed next to the
/// wrong file.
pub(crate) fn ensure_plain_name(storage: &dyn Storage, path: &Path) -> Result<()> {
    match storage.name_fault(path) {
        None => Ok(()),
        Some(fault) => {
            let text = format!("nothing is written to {}: {fault}", escape_path(path));
            Err(Error::invalid(Misuse::AmbiguousName, text))
        }
    }
}

/// Rejects a file of a repository, or one that the engine puts next to it. The check uses the name
/// and the identity of the file, because case, links, hard links, mounts and short names of Windows
/// give one file several names.
pub(crate) fn ensure_no_repository_file(storage: &dyn Storage, path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if is_reserved(&name) {
        let text =
            "is the name of a file of a repository, or of one next to it; give the backup another";
        return Err(Error::invalid(
            Misuse::ReservedName,
            format!("{} {text}", escape_path(path)),
        ));
    }
    let id = |path: &Path| {
        storage
            .file_id(path)
            .map_err(|error| Error::io(IoOp::Metadata, path, error))
    };
    let Some(target) = id(path)? else {
        return Ok(());
    };
    for file in neighbours(storage, path) {
        let file = path.with_file_name(file);
        if id(&file)?.is_some_and(|id| id == target) {
            let (path, file) = (escape_path(path), escape_path(file));
            let text = format!(
                "{path} is another name of {file}, a file of a repository; give the backup another"
            );
            return Err(Error::invalid(Misuse::ReservedName, text));
        }
    }
    Ok(())
}

/// True if the name is that of a repository file or of one of the engine's files next to it.
fn is_reserved(name: &str) -> bool {
    FileRole::from_file_name(name).is_some() || is_own_name(name) || is_journal_name(name)
}

/// The reserved names in the directory of `path`. If the directory may not be listed, the names
/// that every repository has.
fn neighbours(storage: &dyn Storage, path: &Path) -> Vec<String> {
    match storage.read_dir(parent_of(path)) {
        Ok(entries) => entries
            .into_iter()
            .map(|entry| entry.name)
            .filter(|name| is_reserved(name))
            .collect(),
        Err(_) => FileRole::REPOSITORY
            .iter()
            .map(|role| role.file_name().to_owned())
            .collect(),
    }
}

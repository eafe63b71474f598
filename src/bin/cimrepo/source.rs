//! What a verb reads: a repository, or a backup where a repository could be.

use std::path::{Path, PathBuf};

use cimrepo::backup::{Backup, OpenBackup};
use cimrepo::base::error::BackupFault;
use cimrepo::base::escape::escape_path;
use cimrepo::base::page_no::Space;
use cimrepo::base::site::FileRole;
use cimrepo::repository::{OpenOptions, Repository, Snapshot, UnmappedFiles};
use clap::Args;

use super::output::{Failure, argument, complain};

/// Which repository or backup, and which state of it.
#[derive(Debug, Args)]
pub struct SourceArguments {
    /// Directory of a repository, or a backup
    #[arg(value_name = "REPO|BACKUP")]
    pub path: PathBuf,

    /// Read this generation of a repository instead of the current one (`info` lists those on disk)
    #[arg(long, value_name = "N")]
    pub generation: Option<u32>,

    /// Where the base of an incremental backup is, if not beside it; may be given several times
    #[arg(long, value_name = "FILE")]
    pub base: Vec<PathBuf>,
}

/// An opened one.
#[derive(Debug)]
pub enum Source {
    /// A repository.
    Repository(Box<Repository>),
    /// A backup.
    Backup(Box<Backup>),
}

impl SourceArguments {
    /// Opens it: what is a file is a backup, everything else a repository.
    pub fn open(&self) -> Result<Source, Failure> {
        if self.path.is_file() {
            let backup = open_backup(&self.path, &self.base)?;
            let held = backup.header().generation;
            if let Some(wanted) = self.generation.filter(|&wanted| wanted != held) {
                let path = escape_path(&self.path);
                let text = if backup.info().forensic {
                    format!(
                        "{path} is read as generation {held}; to read older ones that it may hold, such as {wanted}, restore it"
                    )
                } else {
                    format!("{path} is a backup of generation {held}; it holds no {wanted}")
                };
                return Err(Failure::usage(text));
            }
            return Ok(Source::Backup(Box::new(backup)));
        }
        if let Some(base) = self.base.first() {
            let (path, base) = (escape_path(&self.path), escape_path(base));
            return Err(Failure::usage(format!("{path} is no backup, so --base {base} means nothing")));
        }
        let mut options = OpenOptions::new();
        if let Some(generation) = self.generation {
            options = options.generation(generation);
        }
        let repository = options.open(&self.path).map_err(repository_failed)?;
        warn(&repository);
        Ok(Source::Repository(Box::new(repository)))
    }
}

/// Opens a backup with the bases given.
pub fn open_backup(path: &Path, bases: &[PathBuf]) -> Result<Backup, Failure> {
    let open = bases.iter().fold(OpenBackup::new(), |open, base| open.base(base));
    open.open(path).map_err(backup_failed)
}

/// The failure for a backup that cannot be used, with what helps.
pub fn backup_failed(error: cimrepo::Error) -> Failure {
    let cimrepo::Error::Backup { path, fault } = &error else { return error.into() };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hint = match **fault {
        BackupFault::BaseWrong { .. } => "give the right one with --base FILE",
        BackupFault::NotABackup if path.is_dir() => "it is a directory; give a file that `cimrepo backup` wrote",
        BackupFault::NotABackup if FileRole::from_file_name(&name).is_some() => {
            "it is a file of a repository, which is named by its directory"
        }
        BackupFault::NotABackup => "give a file that `cimrepo backup` wrote",
        BackupFault::Truncated(_) | BackupFault::Checksum(_) => "take another copy of it, or another backup",
        _ => return error.into(),
    };
    Failure::Hinted(error, hint.to_owned())
}

/// The failure for a repository that cannot be opened, with what helps.
pub fn repository_failed(error: cimrepo::Error) -> Failure {
    let cimrepo::Error::NotARepository { path, .. } = &error else { return error.into() };
    match UnmappedFiles::open(path) {
        Ok(files) if files.pages(Space::Objects).is_some_and(|pages| pages > 0) => {
            let hint = format!("`cimrepo page {} objects --physical` lists the objects that are left", argument(path));
            Failure::Hinted(error, hint)
        }
        _ => error.into(),
    }
}

impl Source {
    /// Its pages.
    pub fn snapshot(&self) -> Snapshot {
        match self {
            Source::Repository(repository) => repository.snapshot(),
            Source::Backup(backup) => backup.snapshot(),
        }
    }
}

/// Says on standard error how much of a data file is not looked at because it is larger than any can be.
pub fn warn_of_size(files: &UnmappedFiles, looked_at: u32) {
    let pages = files.pages(Space::Objects).unwrap_or(0);
    if pages > u64::from(looked_at) {
        complain(format_args!("OBJECTS.DATA has {pages} pages; the first {looked_at} are looked at"));
    }
}

/// Says on standard error what is not as it should be.
pub fn warn(repository: &Repository) {
    for refusal in repository.refused() {
        complain(format_args!("{} was refused: {}", refusal.role, refusal.reason));
    }
    let generation = repository.snapshot().mapping().generation();
    if !repository.is_whole() {
        complain(format_args!("generation {generation} is not whole; reading what is left of it"));
    } else if repository.refused().iter().any(|refusal| refusal.may_be_newer) {
        complain(format_args!("reading generation {generation}, which is whole; a newer state may be lost"));
    } else if !repository.refused().is_empty() {
        complain(format_args!("reading generation {generation}, which is whole and the newest"));
    }
    for role in repository.missing() {
        complain(format_args!("{role} is missing; what needs it cannot be read"));
    }
}

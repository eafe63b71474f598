//! What a verb reads: a repository, or a backup where a repository could be.

use std::path::{Path, PathBuf};

use cimrepo::backup::{Backup, OpenBackup};
use cimrepo::repository::{OpenOptions, Repository, Snapshot};
use clap::Args;

use super::output::Failure;

/// Which repository or backup, and which state of it.
#[derive(Debug, Args)]
pub struct SourceArguments {
    /// Directory of a repository, or a backup
    #[arg(value_name = "REPO|BACKUP")]
    pub path: PathBuf,

    /// Read this generation of a repository instead of the current one
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
            return Ok(Source::Backup(Box::new(open_backup(&self.path, &self.base)?)));
        }
        let mut options = OpenOptions::new();
        if let Some(generation) = self.generation {
            options = options.generation(generation);
        }
        let repository = options.open(&self.path)?;
        warn(&repository);
        Ok(Source::Repository(Box::new(repository)))
    }
}

/// Opens a backup with the bases given.
pub fn open_backup(path: &Path, bases: &[PathBuf]) -> Result<Backup, Failure> {
    let open = bases.iter().fold(OpenBackup::new(), |open, base| open.base(base));
    Ok(open.open(path)?)
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

/// Says on standard error what is not as it should be.
pub fn warn(repository: &Repository) {
    for refusal in repository.refused() {
        eprintln!("cimrepo: {} was refused: {}", refusal.role, refusal.reason);
    }
    let generation = repository.snapshot().mapping().generation();
    if !repository.is_whole() {
        eprintln!("cimrepo: no generation is whole; reading what is left of generation {generation}");
    } else if !repository.refused().is_empty() {
        eprintln!("cimrepo: reading generation {generation}, which is whole");
    }
    for role in repository.missing() {
        eprintln!("cimrepo: {role} is missing; what needs it cannot be read");
    }
}

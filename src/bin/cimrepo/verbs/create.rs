//! `create`: a new repository.

use std::fs;
use std::path::{Path, PathBuf};

use cimrepo::IoOp;
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape_path;
use cimrepo::catalog::{Catalog, create, create_bare};
use cimrepo::storage::{Directory, Protection, RealStorage, Storage};
use cimrepo::store::Repository;
use clap::Args;
use serde::Serialize;

use crate::ui::output::{Failure, Output};

/// Create a new, empty repository with the system classes
///
/// The repository has the format of Windows Vista and later, the system classes, ROOT and its
/// settings, and the namespaces DEFAULT and SECURITY. DIR must be empty or not exist. If
/// anything fails, no repository is left.
///
/// With --bare it has only ROOT and the system classes, for `cimrepo compile --exact` to store what
/// `cimrepo export --format mof` printed of another repository.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 created, 2 DIR is not empty, 3 I/O.

Examples:
  cimrepo create /tmp/Repository
  cimrepo verify /tmp/Repository --level schema
  cimrepo create /tmp/Copy --bare")]
pub struct Arguments {
    /// Directory of the new repository: empty, or not there yet
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Create only ROOT and the system classes
    #[arg(long)]
    bare: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    path: String,
    classes: u64,
    instances: u64,
    namespaces: u64,
}

/// The directory of a new repository. Directories that were created for it are removed again unless
/// they are [kept](Self::keep).
#[derive(Debug)]
pub struct NewDirectory {
    path: PathBuf,
    /// Created directories, deepest first.
    made: Vec<PathBuf>,
}

impl NewDirectory {
    /// Creates a directory that is missing, along with those above it, no more accessible than
    /// `source`.
    pub fn make(path: &Path, source: &Protection) -> Result<Self, Failure> {
        let rights = source.for_directory();
        let above: Vec<&Path> = path
            .ancestors()
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        let mut new = Self {
            path: path.to_owned(),
            made: Vec::new(),
        };
        for directory in above.into_iter().rev().filter(|path| !path.is_dir()) {
            match RealStorage.create_dir_with(directory, &rights) {
                Ok(()) => new.made.insert(0, directory.to_owned()),
                // Another process created it in the meantime.
                Err(_) if directory.is_dir() => {}
                Err(source) => {
                    return Err(cimrepo::Error::Io {
                        op: IoOp::Create,
                        path: path.into(),
                        source,
                    }
                    .into());
                }
            }
        }
        Ok(new)
    }

    pub fn directory(&self) -> Directory {
        Directory::real(&self.path)
    }

    /// Keeps the directories, because the repository exists.
    pub fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        // A directory with content stays, as do those above it.
        drop(self.made.iter().try_for_each(fs::remove_dir));
    }
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let new = NewDirectory::make(&self.dir, &Protection::default())?;
        let make = if self.bare { create_bare } else { create };
        make(&new.directory())?;
        new.keep();
        let snapshot = Repository::open_read_only(&self.dir)?.snapshot();
        let (counts, namespaces) = Catalog::new(snapshot).counts();
        let mut output = Output::new(self.json);
        let path = self.dir.display().to_string();
        let (classes, instances) = (counts.class_definitions, counts.instances);
        let namespaces = namespaces.named;
        if output.is_json() {
            output.row(
                "created",
                &Row {
                    path,
                    classes,
                    instances,
                    namespaces,
                },
            )?;
        } else {
            let path = escape_path(&self.dir);
            output.line(format_args!(
                "{path}: {namespaces} namespaces, {classes} classes, {instances} instances"
            ))?;
        }
        output.finish()?;
        Ok(Outcome::Done)
    }
}

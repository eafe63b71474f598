//! `create`: a new repository.

use std::fs;
use std::path::PathBuf;

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::changes::create;
use cimrepo::repository::Repository;
use cimrepo::storage::Directory;
use clap::Args;
use serde::Serialize;

use super::output::{Failure, Output};

/// Make a new, empty repository with the system classes
///
/// The format is that of Windows Vista and later. It has the system classes, ROOT and its settings, and the namespaces DEFAULT
/// and SECURITY. DIR must not exist or be empty; until the repository is complete there is none.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cimrepo create /tmp/Repository
  cimrepo verify /tmp/Repository --level schema")]
pub struct Arguments {
    /// Directory of the repository
    #[arg(value_name = "DIR")]
    dir: PathBuf,

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

/// The directory of a repository that is to be: made when it is not there.
pub fn new_directory(path: &PathBuf) -> Result<Directory, Failure> {
    fs::create_dir_all(path).map_err(|source| cimrepo::Error::Io {
        action: "create",
        path: path.as_path().into(),
        source,
    })?;
    Ok(Directory::real(path))
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        create(&new_directory(&self.dir)?)?;
        let counts = Repository::open_read_only(&self.dir)?.snapshot().counts();
        let mut output = Output::new(self.json);
        let path = self.dir.display().to_string();
        // The system classes have a namespace of their own, which no path names.
        let (classes, instances) = (counts.class_definitions, counts.instances);
        let namespaces = counts.namespaces.saturating_sub(1);
        if output.is_json() {
            output.row("created", &Row { path, classes, instances, namespaces })?;
        } else {
            output.line(format_args!("{path}: {namespaces} namespaces, {classes} classes, {instances} instances"))?;
        }
        output.finish()?;
        Ok(Outcome::Done)
    }
}

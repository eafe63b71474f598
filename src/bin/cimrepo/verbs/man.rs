//! `man`: writes a manual page for the command and for each verb.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use cimrepo::IoOp;
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape_path;
use clap::{Args, Command, CommandFactory};
use serde::Serialize;

use crate::ui::output::{Failure, Output, count};

/// First line of each page, which distinguishes a page of an older version from an unrelated file.
const MARK: &[u8] = b".\\\" Written by `cimrepo man`.\n";

/// Write a manual page for the command and for each of its verbs
///
/// The pages are called cimrepo.1, cimrepo-ls.1 and so on. Pages that this verb wrote earlier are
/// replaced; if any other file has one of these names, nothing is written. DIR is created if it
/// does not exist.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 written, 2 a file of another origin is in the way, 3 I/O.

Examples:
  cimrepo man /usr/local/share/man/man1
  cimrepo man pages && man pages/cimrepo-backup.1"
)]
pub struct Arguments {
    /// Directory for the pages
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    file: String,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let pages = pages(crate::Command::command())?;
        fs::create_dir_all(&self.dir)
            .map_err(|error| failed(IoOp::CreateDirectory, &self.dir, error))?;
        let pages: Vec<_> = pages
            .into_iter()
            .map(|(name, page)| (self.dir.join(name), page))
            .collect();
        for (path, _) in &pages {
            ensure_ours(path)?;
        }
        for (path, page) in &pages {
            write(path, page)?;
        }
        let mut output = Output::new(self.json);
        if output.is_json() {
            for (path, _) in &pages {
                output.row(
                    "man",
                    &Row {
                        file: path.display().to_string(),
                    },
                )?;
            }
        } else {
            let number = count(pages.len() as u64, "page", "pages");
            output.line(format!("{number} written to {}", escape_path(&self.dir)))?;
        }
        output.finish()?;
        Ok(Outcome::Done)
    }
}

/// The pages by their file names.
fn pages(command: Command) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let (mut pages, mut ahead) = (Vec::new(), vec![command]);
    while let Some(command) = ahead.pop() {
        ahead.extend(command.get_subcommands().cloned());
        let man = clap_mangen::Man::new(command);
        let mut page = MARK.to_vec();
        man.render(&mut page)?;
        pages.push((man.get_filename(), page));
    }
    pages.sort();
    Ok(pages)
}

/// Fails if an unrelated file has the name.
fn ensure_ours(path: &Path) -> Result<(), Failure> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(IoOp::Metadata, path, error)),
    };
    let mut begin = Vec::new();
    if metadata.is_file() {
        let file = File::open(path).map_err(|error| failed(IoOp::Open, path, error))?;
        let read = file.take(MARK.len() as u64).read_to_end(&mut begin);
        read.map_err(|error| failed(IoOp::Read, path, error))?;
    }
    if begin == MARK {
        return Ok(());
    }
    let path = escape_path(path);
    Err(Failure::usage(format!(
        "{path} was not written by `cimrepo man`; remove it, or give another directory"
    )))
}

/// Writes a page: a new file, or one of ours again. A link that appeared in the meantime is not
/// followed.
fn write(path: &Path, page: &[u8]) -> Result<(), Failure> {
    let is_new = fs::symlink_metadata(path).is_err();
    let file = File::options()
        .write(true)
        .create_new(is_new)
        .truncate(!is_new)
        .open(path);
    let mut file = file.map_err(|error| failed(IoOp::Create, path, error))?;
    file.write_all(page)
        .map_err(|error| failed(IoOp::Write, path, error))
}

fn failed(op: IoOp, path: &Path, source: io::Error) -> Failure {
    cimrepo::Error::Io {
        op,
        path: path.into(),
        source,
    }
    .into()
}

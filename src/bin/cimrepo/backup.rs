//! `backup`: a consistent backup in one file.

use std::path::PathBuf;

use cimrepo::backup::{BackupOptions, Compression, backup, hex, uuid_text};
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::shown::shown;
use cimrepo::repository::Repository;
use clap::Args;
use serde::Serialize;

use super::output::{Failure, Output, complain, human_bytes};
use super::progress::Bar;
use super::source::{backup_failed, repository_failed, warn};

/// Write a consistent backup of a repository to one file
///
/// The file holds the current generation: every page with its checksum, and a digest over all. It is written beside FILE and
/// renamed when it is complete and durable, so an older backup of that name is only ever replaced by a whole new one. The
/// repository is verified beside that: of one that is damaged, which no restore would take, only a forensic backup is made.
/// What is verified already, by this program and unchanged since, can go without (--no-verify): it is about a third faster.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cimrepo backup D:\\copy\\wbem\\Repository monday.cimbak
  cimrepo backup /evidence/Repository tuesday.cimbak --base monday.cimbak
  cimrepo backup /evidence/Repository all.cimbak --forensic")]
pub struct Arguments {
    /// Directory of the repository
    repo: PathBuf,

    /// File to write
    file: PathBuf,

    /// Leave out pages that this older backup holds; it is needed to restore
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,

    /// Zero the slack of pages, where remains of deleted objects are
    #[arg(long, conflicts_with = "forensic")]
    scrub: bool,

    /// Keep everything: free pages, older generations, pages that do not match their checksum
    #[arg(long)]
    forensic: bool,

    /// Do not compress
    #[arg(long)]
    no_compress: bool,

    /// Do not verify the repository; of a damaged one a backup may then be made too, and no restore takes it
    #[arg(long, conflicts_with = "forensic")]
    no_verify: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    file: String,
    identity: String,
    content_identity: String,
    generation: u32,
    pages: u64,
    pages_in_base: u64,
    bytes: u64,
    findings: u64,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let repository = Repository::open_read_only(&self.repo).map_err(repository_failed)?;
        warn(&repository);
        let options = BackupOptions {
            compression: if self.no_compress { Compression::None } else { Compression::default() },
            base: self.base,
            scrub: self.scrub,
            forensic: self.forensic,
            skip_verify: self.no_verify,
            threads: None,
        };
        let summary = {
            let bar = Bar::new();
            backup(&repository, &self.file, &options, &bar).map_err(failed)?
        };
        if let Some(damage) = &summary.damage {
            complain(format_args!("the repository is damaged: {}", damage.first));
            complain(if self.forensic {
                "only `cimrepo restore --damaged` takes this backup, to a new or empty directory"
            } else {
                "no restore takes this backup; a forensic one (--forensic) can be restored as damaged as it is"
            });
        }
        let mut output = Output::new(self.json);
        if output.is_json() {
            let row = Row {
                file: self.file.display().to_string(),
                identity: uuid_text(&summary.identity),
                content_identity: hex(&summary.content_identity),
                generation: summary.generation,
                pages: summary.pages,
                pages_in_base: summary.pages_in_base,
                bytes: summary.bytes,
                findings: summary.damage.as_ref().map_or(0, |damage| damage.findings),
            };
            output.row("backup", &row)?;
        } else {
            let base = if summary.pages_in_base > 0 {
                format!(", {} more in the base", summary.pages_in_base)
            } else {
                String::new()
            };
            output.line(format!(
                "generation {} backed up to {}: {} pages{base}, {}",
                summary.generation,
                shown(&self.file),
                summary.pages,
                human_bytes(summary.bytes)
            ))?;
        }
        output.finish()?;
        Ok(Outcome::Done)
    }
}

fn failed(error: cimrepo::Error) -> Failure {
    match error {
        cimrepo::Error::Corrupt(_) => {
            Failure::Hinted(error, "a forensic backup (--forensic) takes what is there".to_owned())
        }
        _ => backup_failed(error),
    }
}

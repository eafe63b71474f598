//! `backups`: a directory that keeps several backups.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use cimrepo::backup::{Backup, BackupInfo, BackupSet, SetEntry};
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::{escape, escape_path};
use cimrepo::verify::VerifyOptions;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::ui::output::{Failure, Output, count, human_bytes};
use crate::ui::progress::Bar;
use crate::ui::signing::Checker;

/// List, verify or remove the backups of a directory
///
/// The directory is one that `cimrepo backup --keep` writes into. Files with other names are
/// neither shown nor removed.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 done, 1 a backup cannot be restored, or the directory has none, 3 I/O.

Examples:
  cimrepo backups list /backups
  cimrepo backups verify /backups --json
  cimrepo backups prune /backups --keep 14")]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

const LIST: &str = "\
Exit codes: 0 listed, 1 a backup cannot be used, or the directory has none, 3 I/O.

Example:
  cimrepo backups list /backups";

const VERIFY: &str = "\
Exit codes: 0 all can be restored, 1 a backup cannot be, or the directory has none, 3 I/O.

Example:
  cimrepo backups verify /backups --json
  cimrepo backups verify /backups --key minisign.pub";

const PRUNE: &str = "Exit codes: 0 done, 3 I/O.

Example:
  cimrepo backups prune /backups --keep 14";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show each backup: its kind, what it is based on, and whether it is complete
    #[command(after_help = LIST)]
    List(Where),
    /// Read every byte of each backup, and check the repository in it
    #[command(after_help = VERIFY)]
    Verify {
        #[command(flatten)]
        place: Where,

        /// Public key of minisign: each backup must have a signature made with its secret key.
        /// Needs the feature `sign`
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Remove all but the newest and the ones those are based on
    #[command(after_help = PRUNE)]
    Prune {
        #[command(flatten)]
        place: Where,

        /// How many to keep. Backups that cannot be restored are neither counted nor removed
        #[arg(long, value_name = "N")]
        keep: NonZeroUsize,
    },
}

#[derive(Debug, Args)]
struct Where {
    /// Directory of the backups
    directory: PathBuf,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row<'e> {
    file: String,
    usable: bool,
    problem: Option<String>,
    /// Null unless it was verified.
    findings: Option<u64>,
    #[serde(flatten)]
    info: Option<&'e BackupInfo>,
}

#[derive(Serialize)]
struct PruneRow {
    removed: Vec<String>,
}

/// The number of findings in a backup, if it was verified, or the reason why it cannot be used.
type Found = Result<Option<u64>, String>;

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        match self.verb {
            Verb::List(place) => place.show(|entry| {
                Ok(entry
                    .info
                    .as_ref()
                    .map(|_| None)
                    .map_err(cimrepo::Error::full_text))
            }),
            Verb::Verify { place, key } => {
                let checker = key.as_deref().map(Checker::load).transpose()?;
                place.show(|entry| Ok(verify(entry, checker.as_ref())?.map(Some)))
            }
            Verb::Prune { place, keep } => place.prune(keep),
        }
    }
}

impl Where {
    /// Prints each backup with the number of findings in it, or the reason why it cannot be used.
    fn show(
        self,
        mut look: impl FnMut(&SetEntry) -> Result<Found, Failure>,
    ) -> Result<Outcome, Failure> {
        let entries = BackupSet::open(&self.directory)?.entries()?;
        let mut output = Output::new(self.json);
        let mut usable = 0;
        for entry in &entries {
            let found = look(entry)?;
            let is_usable = matches!(found, Ok(None | Some(0)));
            usable += usize::from(is_usable);
            if output.is_json() {
                let (findings, problem) = match found {
                    Ok(findings) => (findings, None),
                    Err(problem) => (None, Some(problem)),
                };
                let info = entry.info.as_ref().ok();
                output.row(
                    "backup",
                    &Row {
                        file: name(&entry.path),
                        usable: is_usable,
                        problem,
                        findings,
                        info,
                    },
                )?;
            } else {
                output.line(line(entry, &found))?;
            }
        }
        if !output.is_json() {
            let bad = entries.len() - usable;
            let bad = if bad > 0 {
                format!(", {bad} of them not usable")
            } else {
                String::new()
            };
            output.line(format!(
                "{}{bad}",
                count(entries.len() as u64, "backup", "backups")
            ))?;
        }
        output.finish()?;
        Ok(if usable == entries.len() && usable > 0 {
            Outcome::Done
        } else {
            Outcome::Findings
        })
    }

    fn prune(self, keep: NonZeroUsize) -> Result<Outcome, Failure> {
        let removed = BackupSet::open(&self.directory)?.prune(keep)?;
        let mut output = Output::new(self.json);
        if output.is_json() {
            output.row(
                "prune",
                &PruneRow {
                    removed: removed.iter().map(|path| name(path)).collect(),
                },
            )?;
        } else {
            for path in &removed {
                output.line(format!("removed {}", escape_path(path)))?;
            }
            output.line(format!(
                "{} removed",
                count(removed.len() as u64, "backup", "backups")
            ))?;
        }
        output.finish()?;
        Ok(Outcome::Done)
    }
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The number of findings in the repository of a backup, or the reason why the backup cannot be
/// read completely. Fails if the user ends it, which says nothing about the backup.
fn verify(entry: &SetEntry, checker: Option<&Checker>) -> Result<Result<u64, String>, Failure> {
    if let Err(error) = &entry.info {
        return Ok(Err(error.full_text()));
    }
    let bar = Bar::new();
    let report = Backup::open(&entry.path).and_then(|backup| {
        checker.map(|checker| checker.check(&backup)).transpose()?;
        backup.verify(VerifyOptions::default(), &bar)
    });
    let report = match report {
        Ok(report) => report.repository,
        Err(error @ cimrepo::Error::Cancelled) => return Err(error.into()),
        Err(error) => return Ok(Err(error.full_text())),
    };
    Ok(Ok(report.findings.len() as u64
        + report.not_listed
        + report.unchecked.len() as u64))
}

fn line(entry: &SetEntry, found: &Found) -> String {
    let name = escape(&name(&entry.path)).to_string();
    let what = match &entry.info {
        Ok(info) => {
            let kind = match &info.base {
                Some(base) => format!("incremental, {} in the chain, based on {base}", info.chain),
                None => "full".to_owned(),
            };
            let pages = count(info.pages, "page", "pages");
            format!("{kind}, {pages}, {}", human_bytes(info.bytes))
        }
        Err(_) => "NOT USABLE".to_owned(),
    };
    match found {
        Ok(None) => format!("{name}: {what}"),
        Ok(Some(0)) => format!("{name}: {what}: consistent"),
        Ok(Some(findings)) => format!(
            "{name}: {what}: FAILED: {}",
            count(*findings, "finding", "findings")
        ),
        Err(problem) => format!("{name}: {what}: {problem}"),
    }
}

//! `restore`: a repository from a backup.

use std::path::PathBuf;

use cimrepo::backup::Backup;
use cimrepo::base::error::{BackupFault, ExitCode as Outcome};
use cimrepo::base::escape::escape_path;
use cimrepo::restore::{Existing, Installed, RestoreOptions, RestoreSummary, restore};
use clap::Args;
use serde::Serialize;

use super::output::{Failure, Output, complain, count};
use super::progress::Bar;
use super::source::{backup_failed, open_backup, written_failed};

/// Restore a backup to a directory
///
/// The whole backup is checked before anything is touched, and a crash at any moment leaves the
/// old repository or the new one. Over a healthy repository of dialect 2.2, the backup becomes
/// its next generation. Any other repository is first renamed to REPO.001 … REPO.009: a damaged
/// one, one of dialect 2.1, and one whose files have other names (hard links).
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 restored, 2 REPO cannot be a target, 3 I/O, 4 the backup cannot be used, 5 the
repository is locked.

Examples:
  cimrepo restore monday.cimbak restored
  cimrepo restore tuesday.cimbak restored --force
  cimrepo restore tuesday.cimbak restored --base /backups/monday.cimbak --force

To restore over the repository of Windows itself, stop the service winmgmt first.")]
pub struct Arguments {
    /// The backup
    file: PathBuf,

    /// Directory to restore to: a new one in a directory that exists, an empty one, or with --force that of a repository
    repo: PathBuf,

    /// Replace the repository that is in REPO
    #[arg(long)]
    force: bool,

    /// Restore a forensic backup of a damaged repository, byte for byte, to a new or empty directory
    #[arg(long)]
    damaged: bool,

    /// File of the base of an incremental backup, if it is not in the same directory; may be given several times
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    directory: String,
    installed: &'static str,
    generation: Option<u32>,
    set_aside: Option<String>,
    pages_written: u64,
    pages_kept: u64,
    findings: u64,
    /// Commits that waited in a journal of the repository that was replaced.
    discarded_commits: u64,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let backup = open_backup(&self.file, &self.base)?;
        let existing = if self.force { Existing::Replace } else { Existing::Refuse };
        let summary = {
            let bar = Bar::new();
            let options = RestoreOptions { existing, damaged: self.damaged, threads: None };
            restore(&backup, &self.repo, options, &bar).map_err(|error| self.failed(error, &backup))?
        };
        if summary.findings > 0 {
            let found = count(summary.findings, "finding", "findings");
            complain(format_args!("what was restored is damaged, as it was: {found}; `cimrepo verify` lists them"));
        }
        if summary.waiting_commits > 0 {
            let commits = count(summary.waiting_commits, "commit", "commits");
            let what = match &summary.installed {
                Installed::SetAside { .. } => "are set aside with it",
                _ => "are discarded",
            };
            complain(format_args!("{commits} in the journal of the repository that was replaced {what}"));
        }
        let mut output = Output::new(self.json);
        if output.is_json() {
            output.row("restore", &row(&summary))?;
        } else {
            output.line(sentence(&summary))?;
        }
        output.finish()?;
        Ok(Outcome::Done)
    }

    fn failed(&self, error: cimrepo::Error, backup: &Backup) -> Failure {
        let cimrepo::Error::Backup { fault, .. } = &error else { return written_failed(error, &self.repo) };
        if !matches!(**fault, BackupFault::Inconsistent(_)) {
            return backup_failed(error);
        }
        let hint = match (backup.info().forensic, self.damaged) {
            (true, false) => "--damaged restores it as it is, to a new or empty directory",
            (true, true) => return error.into(),
            (false, _) => "no restore takes it; `cimrepo keys` and `cimrepo page` read what it holds",
        };
        Failure::Hinted(error, hint.to_owned())
    }
}

fn row(summary: &RestoreSummary) -> Row {
    let (installed, generation, set_aside) = match &summary.installed {
        Installed::NextGeneration { generation } => ("next-generation", Some(*generation), None),
        Installed::SetAside { old } => ("set-aside", None, Some(old.display().to_string())),
        _ => ("new", None, None),
    };
    Row {
        directory: summary.directory.display().to_string(),
        installed,
        generation,
        set_aside,
        pages_written: summary.pages_written,
        pages_kept: summary.pages_kept,
        findings: summary.findings,
        discarded_commits: summary.waiting_commits,
    }
}

fn sentence(summary: &RestoreSummary) -> String {
    let directory = escape_path(&summary.directory);
    let how = match &summary.installed {
        Installed::NextGeneration { generation } => {
            format!("as generation {generation} of the repository that was there")
        }
        Installed::SetAside { old } => format!("as a new repository; the old one is now {}", escape_path(old)),
        _ => "as a new repository".to_owned(),
    };
    let kept =
        if summary.pages_kept > 0 { format!(", {} were there already", summary.pages_kept) } else { String::new() };
    format!("restored to {directory} {how}: {} pages written{kept}", summary.pages_written)
}

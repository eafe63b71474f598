//! `pause`: a command runs while nobody writes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape_path;
use cimrepo::service::{PauseOptions, pause_repository};
use clap::Args;
use serde::Serialize;

use super::output::{Failure, Output, even_if_closed};
use super::source::written_failed;

/// Run a command while nobody writes to a repository
///
/// Takes the writer lock, brings the files up to date with the journal, and runs COMMAND: a
/// copy of the directory, or a shadow copy of the volume. Meanwhile the files are a complete
/// repository and do not change. Refused if another process has the repository open for
/// writing, unless --wait gives it time to end. A repository of dialect 2.1 is only locked. When
/// the lease runs out, the lock is released, whether COMMAND has ended or not.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 COMMAND succeeded and the pause held, 1 COMMAND failed, 3 COMMAND cannot be
run, 5 the repository is locked, or the lease ran out before COMMAND ended: then what it
copied is not to be trusted.

Examples:
  cimrepo pause work/Repository -- cp -a work/Repository copy
  cimrepo pause D:\\wbem --lease 60 -- robocopy D:\\wbem D:\\copy /S /XF cimrepo.lock")]
pub struct Arguments {
    /// Directory of the repository
    repo: PathBuf,

    /// Longest time the pause may last, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    lease: u64,

    /// Wait at most this long, in seconds, for another process that writes to REPO
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,

    /// Print JSON, one object a line, after what COMMAND prints
    #[arg(long)]
    json: bool,

    /// The command to run, with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Serialize)]
struct Row {
    directory: String,
    held: bool,
    /// Nothing when a signal ended it.
    status: Option<i32>,
}

impl Arguments {
    fn print(&self, row: &Row) -> Result<(), Failure> {
        let mut output = Output::new(self.json);
        if output.is_json() {
            output.row("pause", row)?;
        }
        output.finish()
    }

    pub fn run(self) -> Result<Outcome, Failure> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Failure::Command("give a command to run".to_owned(), Outcome::Usage));
        };
        let mut directory = PathBuf::new();
        let (lease, wait) = (Duration::from_secs(self.lease), self.wait.map(Duration::from_secs));
        let run = pause_repository(&self.repo, PauseOptions { lease, wait }, |paused| {
            directory.clone_from(&paused.path);
            Command::new(program).args(arguments).status()
        })
        .map_err(|error| written_failed(error, &self.repo))?;
        let program = escape_path(program);
        let status =
            run.value.map_err(|error| Failure::Command(format!("cannot run {program}: {error}"), Outcome::Io))?;
        let row = Row { directory: directory.display().to_string(), held: run.held, status: status.code() };
        even_if_closed(self.print(&row))?;
        if !run.held {
            let lease = self.lease;
            let text =
                format!("the lease of {lease} s ran out before {program} ended; what it copied is not to be trusted");
            return Err(Failure::Command(text, Outcome::Busy));
        }
        if !status.success() {
            return Err(Failure::Command(format!("{program} failed ({status}); the pause held"), Outcome::Findings));
        }
        Ok(Outcome::Done)
    }
}

//! `pause`: runs a command while nobody writes, and others before and after it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape_path;
use cimrepo::service::{PauseOptions, PausedRun, pause_repository};
use cimrepo::store::PauseToken;
use clap::Args;
use serde::Serialize;

use crate::ui::output::{Failure, Output, complain, even_if_closed};
use crate::ui::source::written_failed;

/// The variable that holds the token for COMMAND and the command after it.
const TOKEN: &str = "CIMREPO_PAUSE_TOKEN";
/// The variable for the command after the pause: 1 if the pause held, else 0.
const HELD: &str = "CIMREPO_PAUSE_HELD";
/// The variable for the command after the pause: the exit code of COMMAND, or empty if there is
/// none.
const STATUS: &str = "CIMREPO_PAUSE_STATUS";

/// Run a command while nobody writes to a repository
///
/// Takes the writer lock, brings the files up to date with the journal, and runs COMMAND: a
/// copy of the directory, or a shadow copy of the volume. Meanwhile the files are a complete
/// repository and do not change. Refused if another process has the repository open for
/// writing, unless --wait gives it time to end. A repository of dialect 2.1 is only locked. When
/// the lease runs out, the lock is released, whether COMMAND has ended or not.
///
/// Prints a token of the state at the end, which COMMAND finds in CIMREPO_PAUSE_TOKEN.
/// `cimrepo verify COPY --token TOKEN` says whether a copy is that state.
///
/// --before runs first, while others may write; if it fails, nothing else runs. --after runs when
/// the pause has ended, whatever became of it: CIMREPO_PAUSE_HELD is 1 if the pause held to the
/// end of COMMAND, else 0, and CIMREPO_PAUSE_STATUS is the exit code of COMMAND, empty if
/// it did not run or a signal ended it. Both run in the shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 COMMAND succeeded and the pause held, 1 COMMAND or one of the others failed,
3 COMMAND cannot be run, 5 the repository is locked, or the lease ran out before COMMAND ended:
then what it copied is not to be trusted.

Examples:
  cimrepo pause work/Repository -- cp -a work/Repository copy
  cimrepo pause D:\\wbem --lease 60 -- robocopy D:\\wbem D:\\copy /S /XF cimrepo.lock
  cimrepo pause /srv/wbem --lease 30 --after 'mount /dev/vg/snap /mnt &&
      cimrepo verify /mnt/wbem --token \"$CIMREPO_PAUSE_TOKEN\"' -- lvcreate -s -n snap vg/srv")]
pub struct Arguments {
    /// Directory of the repository
    repo: PathBuf,

    /// Command line to run before the pause: what takes time and needs no pause
    #[arg(long, value_name = "CMD")]
    before: Option<OsString>,

    /// Command line to run after the pause, whatever became of it
    #[arg(long, value_name = "CMD")]
    after: Option<OsString>,

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
    token: PauseToken,
    held: bool,
    /// Exit code of COMMAND. None if a signal ended it.
    status: Option<i32>,
    /// True if the command after the pause succeeded; null if there is none.
    after: Option<bool>,
}

/// The result of COMMAND and of the pause in which it ran.
struct Paused {
    directory: PathBuf,
    run: PausedRun<io::Result<ExitStatus>>,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Failure::Command(
                "give a command to run".to_owned(),
                Outcome::Usage,
            ));
        };
        if let Some(before) = &self.before {
            let failed =
                |text| Failure::Command(format!("{text}; nothing was paused"), Outcome::Findings);
            finished("the command before the pause", shell(before).status()).map_err(failed)?;
        }
        let paused = self.pause(program, arguments);
        // It undoes what the first command did, so it runs whatever happened in the pause.
        let after = self.run_after(paused.as_ref().ok());
        let paused = match (paused, &after) {
            (Err(failure), Err(text)) => {
                complain(text);
                return Err(failure);
            }
            (paused, _) => paused?,
        };
        self.conclude(program, paused, after)
    }

    /// Runs COMMAND in a pause.
    fn pause(&self, program: &OsStr, arguments: &[OsString]) -> Result<Paused, Failure> {
        let mut directory = PathBuf::new();
        let (lease, wait) = (
            Duration::from_secs(self.lease),
            self.wait.map(Duration::from_secs),
        );
        let run = pause_repository(&self.repo, PauseOptions { lease, wait }, |paused, token| {
            directory.clone_from(&paused.path);
            Command::new(program)
                .args(arguments)
                .env(TOKEN, token.to_string())
                .status()
        });
        let run = run.map_err(|error| written_failed(error, &self.repo))?;
        Ok(Paused { directory, run })
    }

    /// Runs the command after the pause. Returns the reason if it failed.
    fn run_after(&self, paused: Option<&Paused>) -> Result<(), String> {
        let Some(after) = &self.after else {
            return Ok(());
        };
        let run = paused.map(|paused| &paused.run);
        let held = run.is_some_and(|run| run.held);
        let status = run
            .and_then(|run| run.value.as_ref().ok())
            .and_then(ExitStatus::code);
        let mut command = shell(after);
        command.env(HELD, if held { "1" } else { "0" });
        command.env(
            STATUS,
            status.map(|code| code.to_string()).unwrap_or_default(),
        );
        command.env(
            TOKEN,
            run.map(|run| run.token.to_string()).unwrap_or_default(),
        );
        finished("the command after the pause", command.status())
    }

    /// Reports the results. A pause that did not hold outranks any other failure.
    fn conclude(
        &self,
        program: &OsStr,
        paused: Paused,
        after: Result<(), String>,
    ) -> Result<Outcome, Failure> {
        let Paused { directory, run } = paused;
        let program = escape_path(program);
        let cannot_run =
            |error| Failure::Command(format!("cannot run {program}: {error}"), Outcome::Io);
        let status = run.value.map_err(cannot_run)?;
        let row = Row {
            directory: directory.display().to_string(),
            token: run.token,
            held: run.held,
            status: status.code(),
            after: self.after.as_ref().map(|_| after.is_ok()),
        };
        even_if_closed(self.print(&row))?;
        if let Err(text) = &after {
            complain(text);
        }
        if !run.held {
            let lease = self.lease;
            let text = format!(
                "the lease of {lease} s ran out before {program} ended; what it copied is \
                    not to be trusted"
            );
            return Err(Failure::Command(text, Outcome::Busy));
        }
        if !status.success() {
            return Err(Failure::Command(
                format!("{program} failed ({status}); the pause held"),
                Outcome::Findings,
            ));
        }
        Ok(if after.is_ok() {
            Outcome::Done
        } else {
            Outcome::Findings
        })
    }

    fn print(&self, row: &Row) -> Result<(), Failure> {
        let mut output = Output::new(self.json);
        if output.is_json() {
            output.row("pause", row)?;
        } else {
            output.line(row.token)?;
        }
        output.finish()
    }
}

/// A command that runs a line in the shell of the system.
fn shell(line: &OsStr) -> Command {
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt;
        let mut command = Command::new("cmd");
        // The shell parses the line by its own rules, so it must be passed unchanged.
        command.raw_arg("/S /C \"").raw_arg(line).raw_arg("\"");
        command
    }
    #[cfg(not(windows))]
    {
        let mut command = Command::new("sh");
        command.arg("-c").arg(line);
        command
    }
}

/// Returns the reason if a command failed.
fn finished(what: &str, status: io::Result<ExitStatus>) -> Result<(), String> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what} failed ({status})")),
        Err(error) => Err(format!("{what} cannot be run: {error}")),
    }
}

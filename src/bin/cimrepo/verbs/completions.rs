//! `completions`: a script with which a shell completes the command.

use cimrepo::base::error::ExitCode as Outcome;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::ui::output::{Failure, Output};

/// Print the completions of this command for a shell
///
/// The script goes to standard output; where to put it differs from shell to shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 printed, 2 not a known shell, 3 the output cannot be written.

Examples:
  cimrepo completions bash > /etc/bash_completion.d/cimrepo
  cimrepo completions fish > ~/.config/fish/completions/cimrepo.fish
  cimrepo completions powershell >> $PROFILE")]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let mut command = crate::Command::command();
        let mut script = Vec::new();
        generate(self.shell, &mut command, "cimrepo", &mut script);
        let mut output = Output::new(false);
        output.text(&String::from_utf8_lossy(&script))?;
        output.finish()?;
        Ok(Outcome::Done)
    }
}

//! The `cimrepo` command: reads, verifies, backs up and restores a Windows CIM (WMI) repository.

mod affected;
mod backup;
mod backups;
mod compact;
mod completions;
mod convert;
mod create;
mod delete;
mod demo;
mod diff;
mod export;
mod info;
mod inside;
mod interrupt;
mod keys;
mod listing;
mod ls;
mod man;
mod near;
mod output;
mod page;
mod pause;
mod progress;
mod restore;
mod show;
mod source;
mod usage;
mod verify;

use std::process::ExitCode;

use cimrepo::base::error::ExitCode as Outcome;
use clap::{CommandFactory, Parser, Subcommand};

use output::{Failure, complain_of_bug, guard_panics, read_arguments};

/// Reads, verifies, backs up and restores the Windows CIM (WMI) repository as it lies on disk.
///
/// REPO is the directory that holds OBJECTS.DATA, or one above it (wbem, Repository). Reading never changes anything there.
/// Give a copy, or stop the service winmgmt first: what Windows writes meanwhile is not waited for.
#[derive(Debug, Parser)]
#[command(name = "cimrepo", version, max_term_width = 100, after_help = EXIT_CODES, propagate_version = true)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 findings or nothing found, 2 usage, 3 I/O, 4 corrupt or not a repository or
backup, 5 busy or locked, 70 a fault of this program. Ctrl-C takes away what is half written and
ends the program as the shell expects (130).

Examples:
  cimrepo demo /tmp/demo                         see it all at work on a repository made for it
  cimrepo verify /evidence/wbem/Repository       is it consistent?
  cimrepo ls /evidence/wbem/Repository 'root\\subscription'
  cimrepo backup /evidence/wbem/Repository monday.cimbak
  cimrepo restore monday.cimbak restored";

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::Arguments),
    Create(create::Arguments),
    Info(info::Arguments),
    Verify(verify::Arguments),
    Backup(backup::Arguments),
    Backups(backups::Arguments),
    Restore(restore::Arguments),
    Compact(compact::Arguments),
    Ls(ls::Arguments),
    Show(show::Arguments),
    Export(export::Arguments),
    Diff(diff::Arguments),
    Convert(convert::Arguments),
    Delete(delete::Arguments),
    Usage(usage::Arguments),
    Keys(keys::Arguments),
    Page(page::Arguments),
    Pause(pause::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

impl Verb {
    fn run(self) -> Result<Outcome, Failure> {
        match self {
            Verb::Demo(arguments) => arguments.run(),
            Verb::Create(arguments) => arguments.run(),
            Verb::Info(arguments) => arguments.run(),
            Verb::Verify(arguments) => arguments.run(),
            Verb::Backup(arguments) => arguments.run(),
            Verb::Backups(arguments) => arguments.run(),
            Verb::Restore(arguments) => arguments.run(),
            Verb::Compact(arguments) => arguments.run(),
            Verb::Ls(arguments) => arguments.run(),
            Verb::Show(arguments) => arguments.run(),
            Verb::Export(arguments) => arguments.run(),
            Verb::Diff(arguments) => arguments.run(),
            Verb::Convert(arguments) => arguments.run(),
            Verb::Delete(arguments) => arguments.run(),
            Verb::Usage(arguments) => arguments.run(),
            Verb::Keys(arguments) => arguments.run(),
            Verb::Page(arguments) => arguments.run(),
            Verb::Pause(arguments) => arguments.run(),
            Verb::Completions(arguments) => arguments.run(Command::command()),
            Verb::Man(arguments) => arguments.run(Command::command()),
        }
    }
}

fn main() -> ExitCode {
    guard_panics();
    let verb = match read_arguments::<Command>() {
        Ok(command) => command.verb,
        Err(code) => return ExitCode::from(code),
    };
    let outcome = match std::panic::catch_unwind(|| verb.run()) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(failure)) => {
            let is_cancelled = failure.is_cancelled();
            let outcome = failure.report();
            if is_cancelled {
                interrupt::end_by_signal();
            }
            outcome
        }
        Err(_) => complain_of_bug(),
    };
    ExitCode::from(outcome as u8)
}

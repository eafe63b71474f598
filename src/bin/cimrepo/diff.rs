//! `diff`: how the content of two repositories or backups differs.

use std::path::PathBuf;

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::{escape, escape_path};
use cimrepo::catalog::Catalog;
use cimrepo::catalog::diff::{Change, Compared, Difference, What, diff};
use clap::Args;
use serde::Serialize;

use super::output::{Failure, Output, complain, count, words};
use super::source::SourceArguments;

/// Compare two repositories or backups by their namespaces, classes and instances
///
/// Where and when objects are stored does not matter, nor the dialect. Prints `-` for what only A has, `+` for what only B has,
/// and `~` for what differs, with what differs in it. Exits with 0 when nothing does, else with 1. An object that cannot be
/// read is reported on standard error and compared no further.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cimrepo diff monday.cimbak /evidence/wbem/Repository
  cimrepo diff monday.cimbak tuesday.cimbak --json")]
pub struct Arguments {
    /// Directory of a repository, or a backup
    #[arg(value_name = "A")]
    first: PathBuf,

    /// The same
    #[arg(value_name = "B")]
    second: PathBuf,

    /// Where the base of an incremental backup is, if not beside it; may be given several times
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row<'r> {
    change: &'r str,
    what: What,
    path: &'r str,
    details: &'r [String],
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let open = |path: &PathBuf| {
            let base = if path.is_file() { self.base.clone() } else { Vec::new() };
            SourceArguments { path: path.clone(), generation: None, base }.open()
        };
        let (first, second) = (open(&self.first)?, open(&self.second)?);
        let mut output = Output::new(self.json);
        let (mut differences, mut failed, mut broken) = (0u64, None, Ok(()));
        diff(&Catalog::new(first.snapshot()), &Catalog::new(second.snapshot()), &mut |compared| {
            match compared {
                Compared::Difference(difference) => {
                    differences += 1;
                    broken = show(&difference, &mut output);
                }
                Compared::Unreadable { second, error } => {
                    let of = if second { &self.second } else { &self.first };
                    complain(format_args!("{}: {}", escape_path(of), words(&error)));
                    failed = Some(error.exit_code());
                }
            }
            broken.is_ok() && !output.is_closed()
        })?;
        broken?;
        output.finish()?;
        if differences > 0 {
            complain(count(differences, "difference", "differences"));
        }
        Ok(failed.unwrap_or(if differences > 0 { Outcome::Findings } else { Outcome::Done }))
    }
}

fn show(difference: &Difference, output: &mut Output) -> Result<(), Failure> {
    let (sign, change, details): (_, _, &[String]) = match &difference.change {
        Change::Removed => ('-', "removed", &[]),
        Change::Added => ('+', "added", &[]),
        Change::Changed(details) => ('~', "changed", details),
    };
    let (what, path) = (difference.what, &difference.path);
    if output.is_json() {
        return output.row("difference", &Row { change, what, path, details });
    }
    let word = match what {
        What::Namespace => "namespace",
        What::Class => "class    ",
        What::Instance => "instance ",
    };
    let details = if details.is_empty() { String::new() } else { format!("  ({})", details.join("; ")) };
    output.line(format_args!("{sign} {word} {}{details}", escape(path)))
}

//! `convert`: copies the content of a repository into a new one of the present format.

use std::collections::HashSet;
use std::path::PathBuf;

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape;
use cimrepo::catalog::diff::{Change, Compared, Difference, diff};
use cimrepo::catalog::{Catalog, Census};
use cimrepo::catalog::{Converted, convert};
use cimrepo::store::Repository;
use clap::Args;
use serde::Serialize;

use super::create::NewDirectory;
use crate::ui::inside;
use crate::ui::output::{Failure, Output, complain, count};
use crate::ui::progress::Bar;
use crate::ui::source::SourceArguments;

/// Convert a repository of Windows XP or Server 2003 to the format of Vista and later
///
/// Reads every namespace, class and instance, writes them with their time stamps into a new
/// repository, and compares the two object by object. The source is not changed. A repository
/// that already has this format, or a backup, is rewritten in the same way. What cannot be read
/// is left out and named.
///
/// Nothing is written into the repository that is read, or into the directory given above it,
/// unless --inside is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 converted, and the content is the same, 1 something was left out or differs, 2
DIR cannot be a target, or REPO holds several repositories, 3 I/O, 4 not a repository or
backup.

Examples:
  cimrepo convert /evidence/xp/wbem/Repository/FS converted
  cimrepo diff /evidence/xp/wbem/Repository/FS converted")]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// Directory of the new repository: empty, or not there yet
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Write into the directory of the repository that is read, or into the one given above it
    #[arg(long)]
    inside: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct LeftOutRow<'r> {
    what: &'r str,
    why: String,
}

#[derive(Serialize)]
struct Row<'r> {
    from: &'static str,
    to: &'static str,
    namespaces: u64,
    classes: u64,
    instances: u64,
    left_out: usize,
    differences: u64,
    census: &'r Census,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let source = self.source.the_one()?;
        let opened = source.open()?;
        if !self.inside {
            inside::refuse(&self.dir, &opened.evidence(&self.source.path))?;
        }
        let from = Catalog::new(opened.snapshot());
        let target = NewDirectory::make(&self.dir, &from.snapshot().protection())?;
        let converted = {
            let bar = Bar::new();
            convert(&from, &target.directory(), &bar)?
        };
        target.keep();
        let to = Catalog::new(Repository::open_read_only(&self.dir)?.snapshot());
        let differences = compare(&from, &to, &converted)?;
        let mut output = Output::new(self.json);
        show(&converted, &from, &to, differences, &mut output)?;
        output.finish()?;
        let is_whole =
            converted.left_out.is_empty() && converted.census.is_whole() && differences == 0;
        Ok(if is_whole {
            Outcome::Done
        } else {
            Outcome::Findings
        })
    }
}

/// Counts the differences between the old repository and the new one. Objects that were left out
/// have been reported and do not count.
fn compare(from: &Catalog, to: &Catalog, converted: &Converted) -> Result<u64, Failure> {
    let left_out: HashSet<&str> = converted
        .left_out
        .iter()
        .map(|(what, _)| what.as_str())
        .collect();
    let mut differences = 0;
    diff(&from.whole_only(), to, &mut |compared| {
        match compared {
            Compared::Difference(Difference {
                path,
                change: Change::Removed,
                ..
            }) if left_out.contains(path.as_str()) => {}
            Compared::Difference(difference) => {
                differences += 1;
                complain(format_args!("not the same: {}", escape(&difference.path)));
            }
            Compared::Unreadable {
                second: true,
                error,
            } => {
                differences += 1;
                complain(error.full_text());
            }
            Compared::Unreadable { .. } => {}
        }
        true
    })?;
    Ok(differences)
}

fn show(
    converted: &Converted,
    from: &Catalog,
    to: &Catalog,
    differences: u64,
    output: &mut Output,
) -> Result<(), Failure> {
    for (what, why) in &converted.left_out {
        match output.is_json() {
            true => output.row(
                "left-out",
                &LeftOutRow {
                    what,
                    why: why.full_text(),
                },
            )?,
            false => output.line(format_args!(
                "left out: {}: {}",
                escape(what),
                why.full_text()
            ))?,
        }
    }
    let Converted { census, left_out } = converted;
    let is_whole = census.is_whole() && left_out.is_empty();
    let (from, to) = (from.dialect().as_str(), to.dialect().as_str());
    if output.is_json() {
        let [namespaces, classes, instances] =
            [&census.namespaces, &census.classes, &census.instances].map(|tally| tally.reached);
        let left_out = left_out.len();
        let row = Row {
            from,
            to,
            namespaces,
            classes,
            instances,
            left_out,
            differences,
            census,
        };
        return output.row("converted", &row);
    }
    let verdict = match (differences, is_whole) {
        (0, true) => "the same content".to_owned(),
        (0, false) => "what could be read is the same".to_owned(),
        (differences, _) => count(differences, "difference", "differences"),
    };
    output.line(format_args!("dialect {from} to {to}: {census}; {verdict}"))
}

//! `compile`: MOF into a repository, or a check of MOF alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cimrepo::IoOp;
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape;
use cimrepo::compile::{
    CompileOptions, CompileReport, FileIncludes, MofSource, Operation, OperationKind,
    Outcome as Fate, Phase, check, compile,
};
use cimrepo::storage::RealStorage;
use cimrepo::store::EngineOptions;
use clap::Args;
use serde::Serialize;

use crate::ui::diagnostic::{DiagnosticRow, complain_of};
use crate::ui::output::{Failure, Output, count, even_if_closed};
use crate::ui::source::written_failed;

/// Compile MOF files into a repository
///
/// All files are one change: what they say is stored wholly, or nothing of it. Errors and warnings
/// are printed with their place in the text and the code that Windows documents. Files that are
/// included have to lie in the directory of the main file or in one given by -I.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 stored, 1 stored but for what --keep-going passed over, 2 wrong usage, 3 I/O, 5 the
repository is in use, 6 an error in the MOF.

Examples:
  cimrepo compile copy/Repository shelves.mof --namespace 'root\\shop'
  cimrepo compile --check shelves.mof
  cimrepo compile copy/Repository main.mof -I /usr/share/mof --json")]
pub struct Arguments {
    /// Directory of the repository, then the MOF files; with --check the files alone
    #[arg(value_name = "REPO|MOF", required = true, num_args = 1..)]
    paths: Vec<PathBuf>,

    /// Check the files, and store nothing
    #[arg(long)]
    check: bool,

    /// Namespace of what stands before the first `#pragma namespace`
    #[arg(long, value_name = "NS", default_value = "root\\default")]
    namespace: String,

    /// Refuse what is doubtful
    #[arg(long)]
    strict: bool,

    /// Store the others when an object is refused
    #[arg(long)]
    keep_going: bool,

    /// Store what an export says and nothing else: add no keys and no creators
    #[arg(long)]
    exact: bool,

    /// Delete the instances that are in the way of a class that is changed by force
    #[arg(long)]
    delete_instances: bool,

    /// Refuse namespaces that are not there
    #[arg(long)]
    no_create_namespace: bool,

    /// Look for included files here too
    #[arg(short = 'I', value_name = "DIR")]
    include: Vec<PathBuf>,

    /// Let included files lie anywhere
    #[arg(long)]
    allow_include_anywhere: bool,

    /// End with the exit codes of mofcomp: 1 not stored, 3 an error in the text
    #[arg(long)]
    mofcomp: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct OperationRow<'r> {
    object: OperationKind,
    outcome: Fate,
    namespace: &'r str,
    name: &'r str,
    file: Option<String>,
    line: Option<u32>,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let (repo, files) = match (self.check, self.paths.split_first()) {
            (true, _) => (None, &self.paths[..]),
            (false, Some((repo, files))) if !files.is_empty() => (Some(repo), files),
            (false, _) => {
                return Err(Failure::usage(
                    "give the repository and at least one MOF file, or --check",
                ));
            }
        };
        let sources = files
            .iter()
            .map(|file| read(file))
            .collect::<Result<Vec<_>, _>>()?;
        let options = self.options();
        let mut includes = self.includes()?;
        let report = match repo {
            None => check(&sources, &mut includes, &options)?,
            Some(repo) => {
                let engine = EngineOptions::new().background(false).open(repo);
                let engine = engine.map_err(|error| written_failed(error, repo))?;
                let report = compile(&engine, &sources, &mut includes, &options)?;
                engine.close()?;
                report
            }
        };
        let mut output = Output::new(self.json);
        even_if_closed(self.show(&report, &mut output))?;
        even_if_closed(output.finish())?;
        self.judged(&report)
    }

    fn options(&self) -> CompileOptions {
        let mut options = CompileOptions::default();
        options.namespace.clone_from(&self.namespace);
        options.strict = self.strict;
        options.keep_going = self.keep_going;
        options.exact = self.exact;
        options.delete_instances = self.delete_instances;
        options.require_namespaces = self.no_create_namespace;
        options
    }

    fn includes(&self) -> Result<FileIncludes, Failure> {
        let failed = |source| cimrepo::Error::Io {
            op: IoOp::FindDirectory,
            path: Path::new(".").into(),
            source,
        };
        let current = std::env::current_dir().map_err(failed)?;
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut includes =
            FileIncludes::new(Arc::new(RealStorage), &current).environment(variables);
        for directory in &self.include {
            includes = includes.directory(current.join(directory));
        }
        Ok(if self.allow_include_anywhere {
            includes.anywhere()
        } else {
            includes
        })
    }

    fn show(&self, report: &CompileReport, output: &mut Output) -> Result<(), Failure> {
        for diagnostic in &report.diagnostics {
            match output.is_json() {
                true => {
                    let row = DiagnosticRow::new(&report.sources, diagnostic);
                    output.row("diagnostic", &row)?;
                }
                false => complain_of(&report.sources, diagnostic),
            }
        }
        if !report.is_stored() || self.check {
            return Ok(());
        }
        for operation in &report.operations {
            self.show_operation(report, operation, output)?;
        }
        if !output.is_json() {
            let fates = [
                Fate::Created,
                Fate::Updated,
                Fate::Unchanged,
                Fate::Deleted,
                Fate::Skipped,
            ];
            let counts: Vec<String> = fates
                .iter()
                .map(|fate| format!("{} {}", report.count(*fate), fate.as_str()))
                .collect();
            let objects = count(report.operations.len() as u64, "object", "objects");
            output.line(format_args!("{objects}: {}", counts.join(", ")))?;
        }
        Ok(())
    }

    fn show_operation(
        &self,
        report: &CompileReport,
        operation: &Operation,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let Operation {
            kind,
            outcome,
            namespace,
            name,
            place,
            ..
        } = operation;
        if output.is_json() {
            let location = report.sources.locate(*place);
            let (file, line) = location
                .map(|location| (location.name, location.start.line))
                .unzip();
            let row = OperationRow {
                object: *kind,
                outcome: *outcome,
                namespace,
                name,
                file,
                line,
            };
            return output.row("operation", &row);
        }
        let whole = match kind {
            OperationKind::Namespace => name.clone(),
            OperationKind::Class | OperationKind::Instance => format!("{namespace}:{name}"),
        };
        output.line(format_args!("{:<9} {}", outcome.as_str(), escape(&whole)))
    }

    fn judged(&self, report: &CompileReport) -> Result<Outcome, Failure> {
        if self.mofcomp {
            return Ok(match report.status.phase {
                _ if report.is_stored() => Outcome::Done,
                Phase::Parse => Outcome::Io,
                _ => Outcome::Findings,
            });
        }
        Ok(match (report.has_errors(), report.is_stored()) {
            (false, _) => Outcome::Done,
            (true, true) => Outcome::Findings,
            (true, false) => Outcome::Language,
        })
    }
}

fn read(file: &Path) -> Result<MofSource, Failure> {
    let failed = |source| cimrepo::Error::Io {
        op: IoOp::Read,
        path: file.into(),
        source,
    };
    let bytes = std::fs::read(file).map_err(failed)?;
    Ok(MofSource::new(file.to_string_lossy(), bytes))
}

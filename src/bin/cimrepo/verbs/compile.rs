//! `compile`: compiles MOF into a repository, or only checks it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cimrepo::IoOp;
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape;
use cimrepo::compile::{
    CompileOptions, CompileReport, FileIncludes, Locale, MofSource, Operation, OperationKind,
    Outcome as Fate, Phase, check, check_in, compile, split,
};
use cimrepo::format::security::sid::Sid;
use cimrepo::storage::{Directory, Protection, RealStorage, Storage};
use cimrepo::store::EngineOptions;
use cimrepo::text::mof::tree::{FlagMode, Flags};
use clap::Args;
use serde::Serialize;

use crate::ui::diagnostic::{DiagnosticRow, complain_of};
use crate::ui::file::{read, write_file};
use crate::ui::output::{Failure, Output, complain, count, even_if_closed};
use crate::ui::source::written_failed;

/// Compile MOF files into a repository
///
/// All files are one change: what they say is stored wholly, or nothing of it. A file is MOF,
/// binary MOF, or any binary that holds some, such as a driver. Errors and warnings are printed
/// with their place in the text and the code that Windows documents. Files that are included have
/// to lie in the directory of the main file or in one given by -I.
///
/// With --mof and --mfl the files are master files of a translated schema: they are split into
/// neutral and localised MOF, and nothing is stored.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 stored, 1 stored but for what --keep-going passed over, 2 wrong usage, 3 I/O, 5 the
repository is in use, 6 an error in the MOF.

Examples:
  cimrepo compile copy/Repository shelves.mof --namespace 'root\\shop'
  cimrepo compile --check shelves.mof
  cimrepo compile --check shelves.mof --in copy/Repository
  cimrepo compile copy/Repository main.mof -I /usr/share/mof --json
  cimrepo compile --amendment MS_409 --mof neutral.mof --mfl english.mfl master.mof")]
pub struct Arguments {
    /// Directory of the repository, then the MOF files; with --check or --mof the files alone
    #[arg(value_name = "REPO|MOF", required = true, num_args = 1..)]
    paths: Vec<PathBuf>,

    /// Check the files, and store nothing
    #[arg(long, conflicts_with = "mof")]
    check: bool,

    /// With --check: see whether this repository would take the objects
    #[arg(long = "in", value_name = "REPO", requires = "check")]
    within: Option<PathBuf>,

    /// Namespace of everything before the first `#pragma namespace`
    #[arg(long, value_name = "NS", default_value = "root\\default")]
    namespace: String,

    /// Flags of classes before the first `#pragma classflags`: updateonly (1) or createonly (2),
    /// safeupdate (32) or forceupdate (64)
    #[arg(long, value_name = "FLAGS", value_parser = class_flags)]
    class: Option<Flags>,

    /// Flags of instances before the first `#pragma instanceflags`: updateonly (1) or createonly
    /// (2)
    #[arg(long, value_name = "FLAGS", value_parser = instance_flags)]
    instance: Option<Flags>,

    /// Treat doubtful constructs as errors
    #[arg(long)]
    strict: bool,

    /// If an object is rejected, store the others
    #[arg(long)]
    keep_going: bool,

    /// Store exactly what an export contains: add no keys and no creators
    #[arg(long)]
    exact: bool,

    /// Delete the instances that prevent a forced change of a class
    #[arg(long)]
    delete_instances: bool,

    /// Fail for a namespace that does not exist instead of creating it
    #[arg(long)]
    no_create_namespace: bool,

    /// User whom subscriptions name as their creator where they name none
    #[arg(long, value_name = "SID", default_value = "S-1-5-18")]
    creator_sid: Sid,

    /// Also look for included files in this directory
    #[arg(short = 'I', value_name = "DIR")]
    include: Vec<PathBuf>,

    /// Allow included files in any directory
    #[arg(long)]
    allow_include_anywhere: bool,

    /// Language of what is amended, as MS_409; without it `#pragma amendment` says it
    #[arg(long, value_name = "LOCALE", requires = "mof", value_parser = locale)]
    amendment: Option<Locale>,

    /// Write the neutral part of master files here, and store nothing
    #[arg(long, value_name = "FILE", requires = "mfl")]
    mof: Option<PathBuf>,

    /// Write the localised part of master files here
    #[arg(long, value_name = "FILE", requires = "mof")]
    mfl: Option<PathBuf>,

    /// Use the exit codes of mofcomp: 1 not stored, 3 an error in the text
    #[arg(long)]
    mofcomp: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// The message of mofcomp about files that Windows would not compile again by itself.
const NO_AUTORECOVER: &str = "warning: no file has `#pragma autorecover`: what it says is gone \
    when Windows rebuilds the repository";

fn class_flags(text: &str) -> Result<Flags, String> {
    Flags::parse(text).ok_or_else(|| "these are no flags, or they exclude each other".to_owned())
}

fn instance_flags(text: &str) -> Result<Flags, String> {
    let flags = class_flags(text)?;
    match flags.mode {
        FlagMode::Compatible => Ok(flags),
        FlagMode::Safe | FlagMode::Force => Err("instances have no such flag".to_owned()),
    }
}

fn locale(text: &str) -> Result<Locale, String> {
    Locale::parse(text).ok_or_else(|| "a locale is MS_ and hexadecimal digits".to_owned())
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
        match self.compile() {
            // mofcomp has one code for all that keeps it from storing.
            Err(failure) if self.mofcomp && !failure.ends_the_run() => {
                failure.report();
                Ok(Outcome::Findings)
            }
            outcome => outcome,
        }
    }

    fn compile(&self) -> Result<Outcome, Failure> {
        let (repo, files) = self.targets()?;
        let read = |file: &PathBuf| Ok(MofSource::new(file.to_string_lossy(), read(file)?));
        let sources = files
            .iter()
            .map(read)
            .collect::<Result<Vec<_>, Failure>>()?;
        if let (Some(neutral), Some(localised)) = (&self.mof, &self.mfl) {
            return self.split(&sources, neutral, localised);
        }
        let options = self.options();
        let mut includes = self.includes()?;
        let report = match (repo, &self.within) {
            (None, None) => check(&sources, &mut includes, &options)?,
            (None, Some(within)) => {
                let directory = Directory::real(within);
                check_in(&directory, &sources, &mut includes, &options)?
            }
            (Some(repo), _) => {
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
        if self.mofcomp && report.is_stored() && !report.auto_recover {
            complain(NO_AUTORECOVER);
        }
        self.judged(&report)
    }

    /// The repository that is written, and the files.
    fn targets(&self) -> Result<(Option<&PathBuf>, &[PathBuf]), Failure> {
        match (self.check || self.mof.is_some(), self.paths.split_first()) {
            (true, _) => Ok((None, &self.paths)),
            (false, Some((repo, files))) if !files.is_empty() => Ok((Some(repo), files)),
            (false, _) => Err(Failure::usage(
                "give the repository and at least one MOF file, or --check",
            )),
        }
    }

    /// Writes the two parts of master files.
    fn split(
        &self,
        sources: &[MofSource],
        neutral: &Path,
        localised: &Path,
    ) -> Result<Outcome, Failure> {
        let mut includes = self.includes()?;
        let split = split(
            sources,
            &mut includes,
            &self.options(),
            self.amendment.as_ref(),
        );
        let mut output = Output::new(self.json);
        even_if_closed(self.show_diagnostics(&split.report, &mut output))?;
        even_if_closed(output.finish())?;
        if !split.report.has_errors() {
            let protection = protection_of(&self.paths)?;
            write_new(neutral, &split.neutral, &protection)?;
            write_new(localised, &split.localised, &protection)?;
        }
        self.judged(&split.report)
    }

    fn options(&self) -> CompileOptions {
        let mut options = CompileOptions::default();
        options.namespace.clone_from(&self.namespace);
        options.strict = self.strict;
        options.keep_going = self.keep_going;
        options.exact = self.exact;
        options.delete_instances = self.delete_instances;
        options.require_namespaces = self.no_create_namespace;
        options.creator = self.creator_sid;
        options.class_flags = self.class.unwrap_or_default();
        options.instance_flags = self.instance.unwrap_or_default();
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

    fn show_diagnostics(&self, report: &CompileReport, output: &mut Output) -> Result<(), Failure> {
        for diagnostic in &report.diagnostics {
            match output.is_json() {
                true => {
                    let row = DiagnosticRow::new(&report.sources, diagnostic);
                    output.row("diagnostic", &row)?;
                }
                false => complain_of(&report.sources, diagnostic),
            }
        }
        Ok(())
    }

    fn show(&self, report: &CompileReport, output: &mut Output) -> Result<(), Failure> {
        self.show_diagnostics(report, output)?;
        if !report.is_stored() || self.check && self.within.is_none() {
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

/// The access rights common to some files.
fn protection_of(files: &[PathBuf]) -> Result<Protection, Failure> {
    let mut all = Protection::default();
    for file in files {
        let one = RealStorage.protection(file);
        let one = one.map_err(|error| failed(IoOp::Open, file, error))?;
        all = all.and(&one);
    }
    Ok(all.for_file())
}

/// Writes MOF into a file that is not there yet: UTF-8, with a mark where it is not ASCII alone.
fn write_new(path: &Path, text: &str, protection: &Protection) -> Result<(), Failure> {
    let mark = if text.is_ascii() { "" } else { "\u{feff}" };
    write_file(path, format!("{mark}{text}").as_bytes(), protection)
}

fn failed(op: IoOp, path: &Path, source: std::io::Error) -> cimrepo::Error {
    cimrepo::Error::Io {
        op,
        path: path.into(),
        source,
    }
}

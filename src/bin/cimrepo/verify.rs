//! `verify`: is it consistent?

use cimrepo::base::corruption::Corruption;
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::verify::{GenerationReport, Report, VerifyOptions, verify};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::output::{Failure, Output, count};
use super::progress::Bar;
use super::source::{Source, SourceArguments};

/// Check a repository or a backup wholly, changing nothing
///
/// Reads every page, record and key, and reports everything that is wrong: where, what, and a code that stays the same from
/// version to version. Says `WMI repository is consistent` when nothing is. A backup is checked without restoring it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cimrepo verify C:\\Windows\\System32\\wbem\\Repository
  cimrepo verify /evidence/Repository --all-generations --json
  cimrepo verify monday.cimbak")]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// How deep to check
    #[arg(long, value_enum, default_value_t = Level::Structure)]
    level: Level,

    /// Check every generation on disk, not only the current one
    #[arg(long)]
    all_generations: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    /// Pages, records, keys, and that they agree
    Structure,
}

#[derive(Serialize)]
struct FindingRow<'r> {
    generation: u32,
    #[serde(flatten)]
    finding: &'r Corruption,
}

#[derive(Serialize)]
struct RefusalRow<'r> {
    file: &'r str,
    generation: Option<u32>,
    reason: String,
}

#[derive(Serialize)]
struct ResultRow {
    consistent: bool,
    dialect: &'static str,
    generation: u32,
    object_pages: u32,
    index_pages: u32,
    records: u64,
    keys: u64,
    findings: u64,
    unchecked: Vec<String>,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let Level::Structure = self.level;
        let options = VerifyOptions { threads: None, all_generations: self.all_generations };
        let source = self.source.open()?;
        let report = {
            let bar = Bar::new();
            match &source {
                Source::Repository(repository) => verify(repository, options, &bar)?,
                Source::Backup(backup) => {
                    let report = backup.verify(options, &bar)?;
                    Report { generations: vec![report.repository], refused: Vec::new() }
                }
            }
        };
        let mut output = Output::new(self.json);
        show(&report, &mut output)?;
        output.finish()?;
        Ok(if report.is_consistent() { Outcome::Done } else { Outcome::Findings })
    }
}

/// Prints a report.
pub fn show(report: &Report, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        for refusal in &report.refused {
            let row = RefusalRow {
                file: refusal.role.file_name(),
                generation: refusal.generation,
                reason: refusal.reason.to_string(),
            };
            output.row("refusal", &row)?;
        }
    }
    for generation in &report.generations {
        if output.is_json() {
            show_json(generation, output)?;
        } else {
            show_text(generation, output)?;
        }
    }
    if output.is_json() {
        return Ok(());
    }
    if report.is_consistent() {
        return output.line("WMI repository is consistent");
    }
    // Scripts look for the word of the line above; it does not appear in this one.
    let findings: u64 = report.generations.iter().map(total).sum();
    let found = count(findings, "finding", "findings");
    output.line(format!("WMI repository FAILED verification: {found} (1358, ERROR_INTERNAL_DB_CORRUPTION)"))
}

fn total(report: &GenerationReport) -> u64 {
    report.findings.len() as u64 + report.not_listed
}

fn show_text(report: &GenerationReport, output: &mut Output) -> Result<(), Failure> {
    for finding in &report.findings {
        output.line(finding)?;
    }
    if report.not_listed > 0 {
        output.line(format!("… and {} more of these kinds", report.not_listed))?;
    }
    for unchecked in &report.unchecked {
        output.line(unchecked)?;
    }
    let [objects, index] = report.pages;
    output.line(format!(
        "generation {} ({}, dialect {}): {} and {} pages, {} records, {} keys, {}",
        report.generation,
        report.mapping,
        report.dialect,
        objects,
        index,
        report.records,
        report.keys,
        count(total(report), "finding", "findings"),
    ))
}

fn show_json(report: &GenerationReport, output: &mut Output) -> Result<(), Failure> {
    for finding in &report.findings {
        output.row("finding", &FindingRow { generation: report.generation, finding })?;
    }
    let [object_pages, index_pages] = report.pages;
    let row = ResultRow {
        consistent: report.is_consistent(),
        dialect: report.dialect.as_str(),
        generation: report.generation,
        object_pages,
        index_pages,
        records: report.records,
        keys: report.keys,
        findings: total(report),
        unchecked: report.unchecked.iter().map(ToString::to_string).collect(),
    };
    output.row("result", &row)
}

//! `verify`: checks whether a repository or backup is consistent.

use std::path::{Path, PathBuf};

use cimrepo::backup::Backup;
use cimrepo::base::corruption::Corruption;
use cimrepo::base::error::{Error, ExitCode as Outcome};
use cimrepo::base::escape::escape_path;
use cimrepo::catalog::{Catalog, Census};
use cimrepo::store::PauseToken;
use cimrepo::verify::{
    Advice, GenerationReport, JournalReport, Report, VerifyOptions, verify, verify_content,
};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::ui::affected;
use crate::ui::journal::{self, DifferenceRow, JournalRow};
use crate::ui::output::{Failure, Output, complain, count};
use crate::ui::progress::Bar;
use crate::ui::proof;
use crate::ui::signing::{self, Checker};
use crate::ui::source::{Source, SourceArguments, SourcesArguments};

/// Check a repository or a backup, changing nothing
///
/// Reads every page, record and key and reports everything that is wrong: where, what, and a
/// code that stays the same from version to version. Prints `WMI repository is consistent` if
/// nothing is. An unusable mapping file that may have held a newer state is a finding too; with
/// --all-generations, any unusable one is. A backup is checked without restoring it.
///
/// If a journal of cimrepo holds commits, the states with and without them are both checked, and
/// their differences are counted and named.
///
/// Some damage cannot be seen: in the format of Windows Vista and later, the checksum of a page
/// covers one byte in 512, so most changed bytes inside an object or a key go unnoticed. A
/// backup has digests over every byte.
///
/// With --token, a copy is compared with the state that was paused when it was made. The result is
/// PROVEN, or the reason why not, with a code that stays the same: other-generation, other-mapping,
/// later-generation, later-commit, unreadable-mapping, incomplete-copy, torn-page, mixed-copy,
/// damaged.
///
/// A PATH may be a directory above repositories, such as the root of a collected tree. Every
/// repository below it is checked; if there are several, each line begins with the one it is
/// about.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 consistent, or proven, 1 findings, or not proven, or a directory was passed over, 3 \
I/O, 4 not a
repository or backup, or a damaged backup, 5 another process wrote meanwhile. Of several
sources the most telling code counts: 70, 130, 2, 6, 3, 4, 5, 1, 0, in this order.

Examples:
  cimrepo verify D:\\copy\\wbem\\Repository
  cimrepo verify /evidence/Repository --all-generations --json
  cimrepo verify copy --token cimrepo-pause-1:2.2:41:97:5f0c…
  cimrepo verify monday.cimbak --level schema
  cimrepo verify monday.cimbak --key minisign.pub")]
pub struct Arguments {
    #[command(flatten)]
    sources: SourcesArguments,

    /// Depth of the check; beyond the structure, only the current generation is checked
    #[arg(long, value_enum, default_value_t = Level::Structure)]
    level: Level,

    /// Check every generation on disk, not only the current one (of a backup, the one that it
    /// restores to)
    #[arg(long)]
    all_generations: bool,

    /// Token that `cimrepo pause` printed: say whether each PATH is the state that was paused,
    /// whole, and whether the pause held
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["level", "all_generations"])]
    token: Option<PauseToken>,

    /// Public key of minisign: the signature next to each backup, FILE.minisig, must be made with
    /// its secret key. Needs the feature `sign`
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    /// Pages, records and keys, and their agreement
    Structure,
    /// Also the keys that each object needs, the targets of references, and time stamps
    References,
    /// Also the rules of the model for classes and instances, and advice on stored queries
    Schema,
}

impl From<Level> for cimrepo::verify::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Structure => Self::Structure,
            Level::References => Self::References,
            Level::Schema => Self::Schema,
        }
    }
}

/// A fault of a stored object that is not damage.
#[derive(Serialize)]
struct AdviceRow<'r> {
    generation: u32,
    level: &'static str,
    code: &'static str,
    place: &'r str,
    text: &'r str,
}

impl<'r> AdviceRow<'r> {
    fn of(generation: u32, advice: &'r Advice) -> Self {
        let Advice { place, code, text } = advice;
        Self {
            generation,
            level: "advice",
            code,
            place,
            text,
        }
    }
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
    code: &'r str,
    reason: String,
    may_be_newer: bool,
    /// True if an interrupted write of this engine left it, so that nothing is lost with it.
    unfinished: bool,
}

#[derive(Serialize)]
struct ResultRow {
    consistent: bool,
    mapping: String,
    dialect: &'static str,
    generation: u32,
    object_pages: u32,
    index_pages: u32,
    records: u64,
    keys: u64,
    findings: u64,
    unchecked: Vec<String>,
    /// The objects named by keys, and how many of them were reached; null if objects were not
    /// examined.
    census: Option<Census>,
}

/// A backup of files without a generation.
#[derive(Serialize)]
struct FilesRow {
    digests_match: bool,
    unchecked: Vec<String>,
}

#[derive(Serialize)]
struct VerdictRow {
    consistent: bool,
    generations: usize,
    findings: u64,
    refused: usize,
    newer_state_lost: bool,
    journal: JournalRow,
}

#[derive(Serialize)]
struct JournalStatesRow<'r> {
    files: Vec<String>,
    #[serde(flatten)]
    journal: JournalRow,
    /// The differences between the states with and without the journals.
    difference: DifferenceRow<'r>,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let checker = self.key.as_deref().map(Checker::load).transpose()?;
        self.sources
            .each(|source| self.verify(source, checker.as_ref()))
    }

    fn verify(
        &self,
        source: &SourceArguments,
        checker: Option<&Checker>,
    ) -> Result<Outcome, Failure> {
        let options = VerifyOptions {
            threads: None,
            all_generations: self.all_generations,
        };
        let path = &source.path;
        let source = source.open_any()?;
        if let Some(checker) = checker {
            self.check_signature(&source, path, checker)?;
        }
        if let Some(token) = &self.token {
            let mut output = Output::new(self.json);
            let is_proven = proof::show(&source, token, &mut output)?;
            output.finish()?;
            return Ok(if is_proven {
                Outcome::Done
            } else {
                Outcome::Findings
            });
        }
        if let Source::Backup(backup) = &source
            && backup.is_unmapped()
        {
            return self.verify_files(backup, options);
        }
        let mut report = match &source {
            Source::Repository(repository) => verify(repository, options, &Bar::new())?,
            Source::Backup(backup) => match self.backup_report(backup, options) {
                Err(error @ Error::Backup { .. }) => return tell_damage(backup, error),
                report => report?,
            },
        };
        if let Some(current) = report.generations.first_mut() {
            verify_content(&source.snapshot(), self.level.into(), &Bar::new(), current)?;
            if !current.is_consistent() && current.census.is_none() {
                current.census = Some(Catalog::new(source.snapshot()).readable_objects());
            }
        }
        let mut output = Output::new(self.json);
        show(&report, &mut output)?;
        if !report.is_consistent() {
            affected::show(&source, &report, path, &mut output)?;
        }
        output.finish()?;
        Ok(if report.is_consistent() {
            Outcome::Done
        } else {
            Outcome::Findings
        })
    }
}

impl Arguments {
    /// Verifies the generation in a backup. The older generations in a forensic backup are only
    /// checked against their digests, which is reported.
    fn backup_report(&self, backup: &Backup, options: VerifyOptions) -> cimrepo::Result<Report> {
        if self.all_generations && backup.info().forensic {
            complain(
                "the older generations in the backup are held against their digests alone; \
                    restore it to check them",
            );
        }
        let report = backup.verify(options, &Bar::new())?;
        Ok(Report {
            generations: vec![report.repository],
            refused: Vec::new(),
            all_generations: false,
            journal: report.journal,
        })
    }

    /// Prints the trusted comment of the signature. Fails if the signature is not valid, before
    /// anything else is read.
    fn check_signature(
        &self,
        source: &Source,
        path: &Path,
        checker: &Checker,
    ) -> Result<(), Failure> {
        let Source::Backup(backup) = source else {
            let path = escape_path(path);
            return Err(Failure::usage(format!(
                "{path} is a repository, which has no signature; --key is for backups"
            )));
        };
        let mut output = Output::new(self.json);
        signing::show(checker.check(backup)?, &mut output)?;
        output.finish()
    }

    /// Verifies a backup of files without a readable mapping, of which it can only be said that
    /// they are those that were backed up.
    fn verify_files(&self, backup: &Backup, options: VerifyOptions) -> Result<Outcome, Failure> {
        let report = match backup.verify(options, &Bar::new()) {
            Err(error @ Error::Backup { .. }) => return tell_damage(backup, error),
            report => report?,
        };
        let mut output = Output::new(self.json);
        let unchecked = report.repository.unchecked.iter().map(ToString::to_string);
        if output.is_json() {
            let journal = (&report.journal.found).into();
            output.row(
                "unmapped",
                &FilesRow {
                    digests_match: true,
                    unchecked: unchecked.collect(),
                },
            )?;
            let (generations, findings, refused) = (0, 0, 0);
            let row = VerdictRow {
                consistent: false,
                generations,
                findings,
                refused,
                newer_state_lost: false,
                journal,
            };
            output.row("verdict", &row)?;
        } else {
            output.line("every file in the backup matches its digests")?;
            unchecked
                .into_iter()
                .try_for_each(|line| output.line(line))?;
            output.line(
                "WMI repository FAILED verification: not everything could be checked \
                (1358, ERROR_INTERNAL_DB_CORRUPTION)",
            )?;
        }
        output.finish()?;
        Ok(Outcome::Findings)
    }
}

/// Reports all damage of a backup, not only the first that was met.
fn tell_damage(backup: &Backup, first: Error) -> Result<Outcome, Failure> {
    let damaged = backup.damaged_chunks(None, &Bar::new())?;
    let total = damaged.count();
    if total <= 1 {
        return Err(damaged.listed.into_iter().next().unwrap_or(first).into());
    }
    damaged.listed.iter().for_each(complain);
    if damaged.not_listed > 0 {
        complain(format_args!("… and {} more", damaged.not_listed));
    }
    let text = format!(
        "{} of the backup are damaged",
        count(total, "chunk", "chunks")
    );
    Err(Failure::Command(text, Outcome::Corrupt))
}

/// Prints a report.
pub fn show(report: &Report, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        for refusal in &report.refused {
            let row = RefusalRow {
                file: refusal.role.file_name(),
                generation: refusal.generation,
                code: refusal.reason.code.as_str(),
                reason: refusal.reason.to_string(),
                may_be_newer: refusal.may_be_newer,
                unfinished: refusal.is_unfinished(),
            };
            output.row("refusal", &row)?;
        }
    }
    report
        .generations
        .iter()
        .try_for_each(|generation| show_generation(generation, output))?;
    show_journal(&report.journal, output)?;
    let without = report.journal.without.as_ref();
    let findings = report.generations.iter().chain(without).map(total).sum();
    let refused = report.refused_that_count().count();
    if output.is_json() {
        let row = VerdictRow {
            consistent: report.is_consistent(),
            generations: report.generations.len(),
            findings,
            refused,
            newer_state_lost: report.refused.iter().any(|refusal| refusal.may_be_newer),
            journal: (&report.journal.found).into(),
        };
        return output.row("verdict", &row);
    }
    for refusal in report.refused_that_count() {
        let lost = if refusal.may_be_newer {
            "; a newer state may be lost with it"
        } else {
            ""
        };
        output.line(format!("{}{lost}", refusal.reason))?;
    }
    if report.is_consistent() {
        return output.line("WMI repository is consistent");
    }
    // Scripts search for the words of the line above, so this line must not contain them.
    let found = found_words(report, findings, refused);
    output.line(format!(
        "WMI repository FAILED verification: {found} (1358, ERROR_INTERNAL_DB_CORRUPTION)"
    ))
}

/// The numbers of findings, rejected files and journals, and whether something was left unchecked.
fn found_words(report: &Report, findings: u64, refused: usize) -> String {
    let mut found = count(findings, "finding", "findings");
    if refused > 0 {
        let files = count(refused as u64, "file", "files");
        found = format!("{found}, {files} refused");
    }
    let journals = report.journal.found.refused().count() as u64;
    if journals > 0 {
        let journals = count(journals, "journal", "journals");
        found = format!("{found}, {journals} refused");
    }
    let without = report.journal.without.as_ref();
    let mut verified = report.generations.iter().chain(without);
    if verified.any(|report| !report.unchecked.is_empty()) {
        found = format!("{found}, not everything could be checked");
    }
    found
}

/// Prints the results for journals, and those of the state without them.
fn show_journal(report: &JournalReport, output: &mut Output) -> Result<(), Failure> {
    if report.found.files().is_empty() {
        return Ok(());
    }
    if output.is_json() {
        let row = JournalStatesRow {
            files: report
                .found
                .files()
                .iter()
                .map(|file| file.name.clone())
                .collect(),
            journal: (&report.found).into(),
            difference: (&report.difference).into(),
        };
        output.row("journal", &row)?;
        return report
            .without
            .as_ref()
            .map_or(Ok(()), |without| show_json(without, output));
    }
    for line in journal::lines(&report.found) {
        output.line(line)?;
    }
    if let Some(without) = &report.without {
        for line in journal::difference_lines(&report.difference) {
            output.line(line)?;
        }
        output.line("without the journal:")?;
        show_text(without, output)?;
    }
    Ok(())
}

fn total(report: &GenerationReport) -> u64 {
    report.findings.len() as u64 + report.not_listed
}

/// Prints the results for a generation.
pub fn show_generation(report: &GenerationReport, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        show_json(report, output)
    } else {
        show_text(report, output)
    }
}

fn show_text(report: &GenerationReport, output: &mut Output) -> Result<(), Failure> {
    for advice in &report.advice.listed {
        output.line(advice)?;
    }
    if report.advice.not_listed > 0 {
        output.line(format!("advice: … and {} more", report.advice.not_listed))?;
    }
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
    ))?;
    match report.census.as_ref().filter(|census| !census.is_whole()) {
        Some(census) => output.line(format_args!("reached: {census}")),
        None => Ok(()),
    }
}

fn show_json(report: &GenerationReport, output: &mut Output) -> Result<(), Failure> {
    for advice in &report.advice.listed {
        output.row("advice", &AdviceRow::of(report.generation, advice))?;
    }
    for finding in &report.findings {
        output.row(
            "finding",
            &FindingRow {
                generation: report.generation,
                finding,
            },
        )?;
    }
    let [object_pages, index_pages] = report.pages;
    let row = ResultRow {
        consistent: report.is_consistent(),
        mapping: report.mapping.to_string(),
        dialect: report.dialect.as_str(),
        generation: report.generation,
        object_pages,
        index_pages,
        records: report.records,
        keys: report.keys,
        findings: total(report),
        unchecked: report.unchecked.iter().map(ToString::to_string).collect(),
        census: report.census.clone(),
    };
    output.row("result", &row)
}

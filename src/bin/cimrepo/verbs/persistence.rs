//! `persistence`: what would run by itself.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use cimrepo::IoOp;
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape;
use cimrepo::catalog::Catalog;
use cimrepo::cim::Value;
use cimrepo::forensics::Persistence;
use cimrepo::forensics::persistence::{Finding, Kind, KnownChain, Level, Subject, json};
use cimrepo::store::OpenOptions;
use clap::Args;

use crate::ui::output::{Failure, Output, complain, count};
use crate::ui::progress::Bar;
use crate::ui::source::{Source, SourceArguments, SourcesArguments};

/// Lines of a script that are shown.
const SCRIPT_LINES: usize = 6;

/// Show what would run by itself: subscriptions to events, timers, providers, hidden payloads
///
/// Looks in every namespace, also in those that nothing leads to. A binding is one finding, with its
/// filter and its consumer; then come filters and consumers without binding, timers, providers that
/// Windows does not bring, classes and texts that look like payloads, and namespaces whose security
/// descriptor lets others in. The most telling come first: high, medium, info.
///
/// What Windows itself brings is recognised by its whole content, not by its name, and shown as
/// info. Add your own with --known-good: lines that this command printed with --json.
///
/// A time shown is that of a run of the service and tells the order; it is no clock.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 nothing above info, 1 findings, or a part could not be read, 3 I/O, 4 no object could be
read, or not a repository or backup.

Examples:
  cimrepo persistence /evidence/wbem/Repository
  cimrepo persistence /evidence --json | jq 'select(.level == \"high\") | .words'
  cimrepo persistence /evidence --known-good ours.jsonl")]
pub struct Arguments {
    #[command(flatten)]
    sources: SourcesArguments,

    /// File of findings that are known as good: lines that this command printed with --json
    #[arg(long, value_name = "FILE")]
    known_good: Option<PathBuf>,

    /// Print JSON, one finding a line
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let known = self
            .known_good
            .as_ref()
            .map_or(Ok(Vec::new()), read_known)?;
        self.sources.each(|source| self.search(source, &known))
    }

    fn search(&self, source: &SourceArguments, known: &[KnownChain]) -> Result<Outcome, Failure> {
        let opened = source.open()?;
        let catalog = Catalog::new(opened.snapshot()).observed(Arc::new(Bar::new()));
        let search = Persistence::new(catalog)
            .generations(older(&opened))
            .known_good(known.iter().cloned());

        let mut output = Output::new(self.json);
        let (mut outcome, mut levels) = (Outcome::Done, [0u64; 3]);
        for finding in search {
            let finding = match finding {
                Ok(finding) => finding,
                Err(cimrepo::Error::Cancelled) => return Err(cimrepo::Error::Cancelled.into()),
                Err(error) => {
                    complain(error.full_text());
                    outcome = Outcome::Findings;
                    continue;
                }
            };
            let [info, medium, high] = &mut levels;
            match finding.level {
                Level::Info => *info += 1,
                Level::Medium => *medium += 1,
                Level::High => *high += 1,
            }
            match self.json {
                true => output.json(&finding)?,
                false => show(&finding, &mut output)?,
            }
        }
        output.finish()?;
        let [info, medium, high] = levels;
        complain(format_args!(
            "{}: {high} high, {medium} medium, {info} info",
            count(info + medium + high, "finding", "findings")
        ));
        let is_clean = high + medium == 0;
        Ok(if is_clean { outcome } else { Outcome::Findings })
    }
}

/// The older generations of a repository, as far as each can be opened: what cannot be is reported
/// when the repository is opened itself.
fn older(source: &Source) -> Vec<(u32, Catalog)> {
    let Source::Repository(repository) = source else {
        return Vec::new();
    };
    let directory = &repository.files().directory.path;
    let open = |number: u32| {
        let opened = OpenOptions::new().generation(number).open(directory).ok()?;
        Some((number, Catalog::new(opened.snapshot())))
    };
    let numbers = repository.generations().iter();
    numbers.copied().filter_map(open).collect()
}

fn read_known(path: &PathBuf) -> Result<Vec<KnownChain>, Failure> {
    let text = fs::read_to_string(path).map_err(|source| cimrepo::Error::Io {
        op: IoOp::Read,
        path: path.clone().into(),
        source,
    })?;
    Ok(json::known_good(&text)?)
}

fn show(finding: &Finding, output: &mut Output) -> Result<(), Failure> {
    output.line(format_args!("{:<7}{}", finding.level, finding.words))?;
    let rules = finding.rules.iter();
    let rules: Vec<String> = rules
        .map(|rule| format!("{} {}", rule.id(), rule.words()))
        .collect();
    if !rules.is_empty() {
        field(output, "rules", rules.join("; "))?;
    }
    let tags: Vec<&str> = finding.tags.iter().map(|(_, words)| &**words).collect();
    if !tags.is_empty() {
        field(output, "signs", escape(&tags.join("; ")))?;
    }
    if let Some(first) = finding.first_seen {
        let bound = if first.or_earlier { " or earlier" } else { "" };
        field(
            output,
            "first seen",
            format_args!("generation {}{bound}", first.generation),
        )?;
    }
    for subject in &finding.subjects {
        show_subject(subject, output)?;
    }
    Ok(())
}

fn show_subject(subject: &Subject, output: &mut Output) -> Result<(), Failure> {
    field(output, subject.kind.as_str(), escape(&subject.path))?;
    let run = subject
        .run
        .map(|run| format!("run {run}, "))
        .unwrap_or_default();
    let place = subject
        .place
        .map(|place| format!(", {place}"))
        .unwrap_or_default();
    let stamp = subject.stamp;
    field(output, "", format_args!("{run}stamp {stamp}{place}"))?;
    if subject.kind == Kind::Consumer {
        for (name, value) in &subject.properties {
            let text = value.as_ref().and_then(Value::as_text).unwrap_or_default();
            let lines: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim().is_empty())
                .collect();
            for line in lines.iter().take(SCRIPT_LINES) {
                field(output, "", format_args!("{name}: {}", escape(line)))?;
            }
            if lines.len() > SCRIPT_LINES {
                let rest = count(
                    (lines.len() - SCRIPT_LINES) as u64,
                    "more line",
                    "more lines",
                );
                field(output, "", format_args!("{name}: {rest}; --json has all"))?;
            }
        }
    }
    Ok(())
}

fn field(output: &mut Output, label: &str, text: impl std::fmt::Display) -> Result<(), Failure> {
    output.line(format_args!("       {label:<13}{text}"))
}

//! `diff`: compares the content of two repositories, backups or generations.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::{escape, escape_path};
use cimrepo::catalog::diff::{
    Change, Compared, Content, Detail, Difference, What, diff, diff_below,
};
use cimrepo::catalog::{Catalog, Census};
use cimrepo::cim::value::Value;
use cimrepo::security::readable;
use cimrepo::text::mof;
use clap::Args;
use serde::{Serialize, Serializer};

use crate::ui::listing::namespace_path;
use crate::ui::output::{Failure, Output, complain, count};
use crate::ui::source::{ReadArguments, Source, SourceArguments};

/// Compare two repositories, backups or generations by their namespaces, classes and instances
///
/// Prints `-` for what only A has, `+` for what only B has, and `~` for what differs, followed by
/// the content of each side. The place and time of storage and the dialect do not matter. An object
/// that cannot be read is reported on standard error and not compared.
///
/// A repository keeps up to three generations. Comparing the newest two shows what the last change
/// added to an attacked machine: without B, both are taken from A.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 nothing differs and everything could be read, 1 something differs or could not be
read, 4 nothing could be compared.

Examples:
  cimrepo diff monday.cimbak /evidence/wbem/Repository
  cimrepo diff monday.cimbak tuesday.cimbak --namespace 'root\\subscription' --json
  cimrepo diff /evidence/wbem/Repository --generation-a 390 --generation-b 391
  cimrepo diff monday.cimbak tuesday.cimbak --stat")]
pub struct Arguments {
    /// Directory of a repository, or one above it, or a backup
    #[arg(value_name = "A")]
    first: PathBuf,

    /// The same for the second side; A itself if omitted
    #[arg(value_name = "B", required_unless_present_any = ["generation_a", "generation_b"])]
    second: Option<PathBuf>,

    /// Read this generation of A instead of the current one (`info` lists those on disk)
    #[arg(long, value_name = "N")]
    generation_a: Option<u32>,

    /// Read this generation of B instead of the current one
    #[arg(long, value_name = "N")]
    generation_b: Option<u32>,

    /// Compare only this namespace and those below it
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,

    /// Print only the number of objects that differ in each namespace
    #[arg(long)]
    stat: bool,

    /// File of the base of an incremental backup, if it is not in the same directory; may be given
    /// several times
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,

    /// Ignore the commits in a journal of cimrepo on both sides
    #[arg(long)]
    no_journal: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let second = self.second.as_ref().unwrap_or(&self.first);
        let sources = [
            self.open(&self.first, self.generation_a)?,
            self.open(second, self.generation_b)?,
        ];
        let [a, b] = sources
            .each_ref()
            .map(|source| Catalog::new(source.snapshot()));
        let top = self.namespace.as_deref().map(namespace_path);
        let mut found = Found::new(self.stat, Output::new(self.json));
        // Each scan of the index meets an unreadable part again.
        let mut said = HashSet::new();
        let census = diff_below(&a, &b, top.as_deref(), &mut |compared| {
            match compared {
                Compared::Difference(difference) => found.add(&difference),
                Compared::Unreadable {
                    second: is_second,
                    error,
                } => {
                    let of = if is_second { second } else { &self.first };
                    let text = format!("{}: {}", escape_path(of), error.full_text());
                    if said.insert(text.clone()) {
                        complain(text);
                    }
                    found.has_unreadable = true;
                }
            }
            found.broken.is_ok()
        })?;
        found.finish(&[&self.first, second], census)
    }

    fn open(&self, path: &Path, generation: Option<u32>) -> Result<Source, Failure> {
        let base = if path.is_file() {
            self.base.clone()
        } else {
            Vec::new()
        };
        SourceArguments {
            path: path.to_owned(),
            read: ReadArguments {
                generation,
                no_journal: self.no_journal,
                base,
            },
        }
        .the_one()?
        .open()
    }
}

/// Prints the number of objects that differ in each namespace, from the first to the second.
/// Unreadable objects are not compared.
pub fn show_stat(first: &Catalog, second: &Catalog, output: &mut Output) -> Result<u64, Failure> {
    let (mut counts, mut differences) = (BTreeMap::<String, Counts>::new(), 0);
    diff(first, second, &mut |compared| {
        if let Compared::Difference(difference) = compared {
            differences += 1;
            counts
                .entry(namespace_of(&difference))
                .or_default()
                .add(&difference.change);
        }
        true
    })?;
    for (namespace, counts) in counts {
        show_counts(&namespace, counts, output)?;
    }
    Ok(differences)
}

/// The results so far, and their destination.
struct Found {
    output: Output,
    /// The counts by namespace, if only counts are wanted.
    counts: Option<BTreeMap<String, Counts>>,
    differences: u64,
    has_unreadable: bool,
    broken: Result<(), Failure>,
}

/// Numbers of objects of a namespace that differ.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Counts {
    removed: u64,
    added: u64,
    changed: u64,
}

impl Counts {
    fn add(&mut self, change: &Change) {
        *match change {
            Change::Removed => &mut self.removed,
            Change::Added => &mut self.added,
            Change::Changed(_) => &mut self.changed,
        } += 1;
    }
}

impl Found {
    fn new(stat: bool, output: Output) -> Self {
        let counts = stat.then(BTreeMap::new);
        Self {
            output,
            counts,
            differences: 0,
            has_unreadable: false,
            broken: Ok(()),
        }
    }

    fn add(&mut self, difference: &Difference) {
        self.differences += 1;
        match &mut self.counts {
            Some(counts) => counts
                .entry(namespace_of(difference))
                .or_default()
                .add(&difference.change),
            None => self.broken = show(difference, &mut self.output),
        }
    }

    fn finish(mut self, sides: &[&PathBuf; 2], census: [Census; 2]) -> Result<Outcome, Failure> {
        self.broken?;
        for (namespace, counts) in self.counts.unwrap_or_default() {
            show_counts(&namespace, counts, &mut self.output)?;
        }
        let is_whole = census.iter().all(Census::is_whole);
        let is_lost = census
            .iter()
            .any(|side| !side.is_whole() && !side.has_objects());
        if self.output.is_json() && !is_whole {
            let [a, b] = &census;
            self.output.row(
                "totals",
                &Totals {
                    differences: self.differences,
                    a,
                    b,
                },
            )?;
        }
        self.output.finish()?;
        if self.differences > 0 {
            complain(count(self.differences, "difference", "differences"));
        } else if !is_whole && !is_lost {
            complain("what could be read of both is the same");
        }
        for (path, census) in sides
            .iter()
            .zip(&census)
            .filter(|(_, census)| !census.is_whole())
        {
            complain(format_args!("{}: {census}", escape_path(path)));
        }
        Ok(match () {
            () if is_lost => Outcome::Corrupt,
            () if self.differences > 0 || self.has_unreadable || !is_whole => Outcome::Findings,
            () => Outcome::Done,
        })
    }
}

#[derive(Serialize)]
struct Totals<'r> {
    differences: u64,
    a: &'r Census,
    b: &'r Census,
}

/// The namespace that contains an object; for a namespace, itself.
fn namespace_of(difference: &Difference) -> String {
    let path = difference.path.as_str();
    let end = if difference.what == What::Namespace {
        None
    } else {
        path.find(':')
    };
    path.get(..end.unwrap_or(path.len()))
        .unwrap_or(path)
        .to_owned()
}

#[derive(Serialize)]
struct StatRow<'r> {
    namespace: &'r str,
    #[serde(flatten)]
    counts: Counts,
}

fn show_counts(namespace: &str, counts: Counts, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.row("stat", &StatRow { namespace, counts });
    }
    let Counts {
        removed,
        added,
        changed,
    } = counts;
    output.line(format_args!(
        "{removed:>6} removed  {added:>6} added  {changed:>6} changed  {}",
        escape(namespace)
    ))
}

#[derive(Serialize)]
struct Row<'r> {
    change: &'r str,
    what: What,
    path: &'r str,
    details: Vec<DetailRow<'r>>,
}

/// A differing part. A side without that part is omitted; NULL is null.
#[derive(Serialize)]
struct DetailRow<'r> {
    what: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<ContentValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<ContentValue<'r>>,
}

struct ContentValue<'r>(&'r Content);

impl Serialize for ContentValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Content::Null => serializer.serialize_none(),
            Content::Value(value) => value.serialize(serializer),
            Content::Text(text) => serializer.serialize_str(text),
        }
    }
}

fn show(difference: &Difference, output: &mut Output) -> Result<(), Failure> {
    let (sign, change, details): (_, _, &[Detail]) = match &difference.change {
        Change::Removed => ('-', "removed", &[]),
        Change::Added => ('+', "added", &[]),
        Change::Changed(details) => ('~', "changed", details),
    };
    let (what, path) = (difference.what, difference.path.as_str());
    if output.is_json() {
        let details = details.iter().map(detail_row).collect();
        return output.row(
            "difference",
            &Row {
                change,
                what,
                path,
                details,
            },
        );
    }
    let word = match what {
        What::Namespace => "namespace",
        What::Class => "class    ",
        What::Instance => "instance ",
    };
    output.line(format_args!("{sign} {word} {}", escape(path)))?;
    details
        .iter()
        .try_for_each(|detail| show_detail(detail, output))
}

fn detail_row(detail: &Detail) -> DetailRow<'_> {
    let (a, b) = (detail.first.as_ref(), detail.second.as_ref());
    DetailRow {
        what: &detail.what,
        a: a.map(ContentValue),
        b: b.map(ContentValue),
    }
}

/// Prints a differing part, and under it the content of each side.
fn show_detail(detail: &Detail, output: &mut Output) -> Result<(), Failure> {
    output.line(format_args!("    {}", detail.what))?;
    for (sign, content) in [('-', &detail.first), ('+', &detail.second)] {
        if let Some(content) = content {
            output.line(format_args!("      {sign} {}", content_text(content)))?;
        }
    }
    Ok(())
}

/// The content of a side on one line: a value as MOF, security as text.
fn content_text(content: &Content) -> String {
    let of_value = |value: &Value| {
        let text = readable::text_of(value).unwrap_or_else(|| mof::value_text(value));
        text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
    };
    match content {
        Content::Null => "NULL".to_owned(),
        Content::Value(value) => of_value(value),
        Content::Text(text) => text.clone(),
    }
}

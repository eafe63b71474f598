//! `recover`: records of earlier states.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::{escape, escape_path};
use cimrepo::base::filetime::FileTime;
use cimrepo::cim::name;
use cimrepo::forensics::carve::row::RemnantRow;
use cimrepo::forensics::carve::{Certainty, Kind, Object, Status};
use cimrepo::forensics::{CarveOptions, Carver, Remnant};
use cimrepo::storage::Protection;
use cimrepo::text::mof::{print_class, print_instance};
use clap::{Args, ValueEnum};

use super::create::NewDirectory;
use crate::ui::file::write_file;
use crate::ui::output::{Failure, Output, complain, count};
use crate::ui::progress::Bar;
use crate::ui::source::{ReadArguments, SourceArguments, SourcesArguments, open_evidence};

/// List what is left of earlier states: deleted objects, older versions, old keys
///
/// Every part of the files that the current state does not use is searched: pages of older
/// generations, free pages, the unused ends of pages, and pages without any structure. What is
/// listed are whole records. A record that equals one of the current state is only counted.
///
/// Of each record it is said where it lies to the byte, how sure it is, which namespaces are
/// possible by which evidence, and what became of its object: deleted, older (the object exists now
/// with another record), newer, or unknown. Where the evidence is no proof the namespace is left
/// empty. A time stamp tells the order of writes within one run of the service; it is no clock.
///
/// Any of the files may be missing. Without a mapping file and the index it cannot be told what is
/// deleted.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 something was found, 1 nothing was found, 3 I/O, 4 not a repository.

Examples:
  cimrepo recover /evidence/wbem/Repository
  cimrepo recover /evidence/wbem/Repository --json --status deleted > deleted.jsonl
  cimrepo recover /evidence/wbem/Repository --class __EventFilter --format mof
  cimrepo recover case.cimbak --like /clean/Repository --out records")]
pub struct Arguments {
    #[command(flatten)]
    sources: SourcesArguments,

    /// Only objects that lay in this namespace for certain
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,

    /// Only this class and its instances
    #[arg(long, value_name = "NAME")]
    class: Option<String>,

    /// Only objects with one of these fates
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATUS")]
    status: Vec<Fate>,

    /// Only what is certain
    #[arg(long)]
    certain: bool,

    /// Take class definitions and namespaces from this healthy repository of a similar system too
    #[arg(long, value_name = "REPO")]
    like: Option<PathBuf>,

    /// Write the bytes of each record to a file of its own in this new directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// The same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line for each record
    Text,
    /// JSON, one object a line, with everything that is known
    Jsonl,
    /// The objects as MOF, with where they lie as a comment
    Mof,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fate {
    /// No such object exists now
    Deleted,
    /// The object exists now with another record
    Older,
    /// The record was written after that of the current state
    Newer,
    /// Not known
    Unknown,
}

impl Fate {
    const fn of(status: Status) -> Self {
        match status {
            Status::Deleted => Self::Deleted,
            Status::Older => Self::Older,
            Status::Newer => Self::Newer,
            Status::Unknown => Self::Unknown,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Older => "older",
            Self::Newer => "newer",
            Self::Unknown => "unknown",
        }
    }
}

/// The directory that the bytes of records go to, a file each, numbered over all sources.
#[derive(Debug)]
struct Out {
    directory: PathBuf,
    shown: Cell<u64>,
}

impl Out {
    /// Refuses a directory that is there: nothing in it may be mistaken for a record.
    fn new(directory: &Path) -> Result<Self, Failure> {
        if directory.symlink_metadata().is_ok() {
            let text = format!(
                "{} exists; give a new directory to --out",
                escape_path(directory)
            );
            return Err(Failure::usage(text));
        }
        Ok(Self {
            directory: directory.to_owned(),
            shown: Cell::new(0),
        })
    }

    /// Writes the bytes of a record, no more readable than the files that it is from.
    fn write(&self, remnant: &Remnant, protection: &Protection) -> Result<(), Failure> {
        self.shown.set(self.shown.get() + 1);
        if remnant.kind == Kind::Key {
            return Ok(());
        }
        NewDirectory::make(&self.directory, protection)?.keep();
        let name = format!("{:06}.{}", self.shown.get(), kind_word(remnant.kind));
        let path = self.directory.join(name);
        write_file(&path, &remnant.bytes, &protection.for_file())
    }
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let out = self.out.as_deref().map(Out::new).transpose()?;
        self.sources
            .each(|source| self.recover(source, out.as_ref()))
    }

    fn recover(&self, source: &SourceArguments, out: Option<&Out>) -> Result<Outcome, Failure> {
        let evidence = open_evidence(source)?;
        let mut options = CarveOptions::new();
        if let Some(like) = &self.like {
            let like = SourceArguments {
                path: like.clone(),
                read: ReadArguments::default(),
            };
            options = options.like(like.the_one()?.open()?.snapshot());
        }
        let protection = evidence.protection();
        let mut carver = Carver::new(evidence, options, &Bar::new())?;
        let format = if self.json {
            Format::Jsonl
        } else {
            self.format
        };
        let mut output = Output::new(format == Format::Jsonl);
        let mut shown: BTreeMap<(Kind, &str), u64> = BTreeMap::new();
        for remnant in carver.by_ref() {
            if !self.wants(&remnant) {
                continue;
            }
            let fate = Fate::of(remnant.status).word();
            *shown.entry((remnant.kind, fate)).or_default() += 1;
            show(&remnant, format, &mut output)?;
            if let Some(out) = out {
                out.write(&remnant, &protection)?;
            }
        }
        output.finish()?;
        summary(&carver, &shown);
        Ok(if shown.is_empty() {
            Outcome::Findings
        } else {
            Outcome::Done
        })
    }

    fn wants(&self, remnant: &Remnant) -> bool {
        let same = |wanted: &Option<String>, text: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| {
                let wanted = wanted.replace('/', "\\");
                text.is_some_and(|text| name::same(text, &wanted))
            })
        };
        let is_fate = self.status.is_empty() || self.status.contains(&Fate::of(remnant.status));
        let is_certain = !self.certain || remnant.certainty == Certainty::Certain;
        is_fate
            && is_certain
            && same(&self.namespace, remnant.namespace.as_deref())
            && same(&self.class, remnant.class.as_deref())
    }
}

const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Class => "class",
        Kind::Instance => "instance",
        Kind::Reference => "reference",
        Kind::Key => "key",
    }
}

fn show(remnant: &Remnant, format: Format, output: &mut Output) -> Result<(), Failure> {
    match format {
        Format::Jsonl => output.json(&RemnantRow(remnant)),
        Format::Text => output.line(line(remnant)),
        Format::Mof => {
            let text = match &remnant.object {
                Some(Object::Class(class)) => print_class(class).text,
                Some(Object::Instance(instance)) => print_instance(instance).text,
                _ => return Ok(()),
            };
            output.line(format_args!("// {}", line(remnant)))?;
            output.text(&text)?;
            output.line("")
        }
    }
}

/// A remnant in one line: its fate, how sure it is, what it is, when and where.
fn line(remnant: &Remnant) -> String {
    let possible = || {
        let paths: Vec<&str> = remnant
            .namespaces
            .iter()
            .map(|home| home.path.as_str())
            .collect();
        match paths.as_slice() {
            [] => "(namespace not known)".to_owned(),
            paths => format!("({}?)", paths.join(", ")),
        }
    };
    let namespace = remnant.namespace.clone().unwrap_or_else(possible);
    let name = remnant
        .path
        .as_deref()
        .or(remnant.class.as_deref())
        .unwrap_or("(class not known)");
    let sure = match remnant.certainty {
        Certainty::Certain => "",
        Certainty::Probable => " (probable)",
    };
    let written = remnant
        .written
        .map(|stamp| FileTime(stamp).to_string())
        .unwrap_or_default();
    let changed = match remnant.changed.as_slice() {
        [] => String::new(),
        changed => format!("  changed since: {}", changed.join(", ")),
    };
    let place = remnant.places.first().map(|place| {
        let page = place.pages.first().map_or(0, |page| page.get());
        format!(
            "{} page {page} offset {} ({})",
            place.file(),
            place.offset,
            place.region.name()
        )
    });
    format!(
        "{:<8}{:<10}{}:{}{sure}  {written}  {}{}",
        Fate::of(remnant.status).word(),
        kind_word(remnant.kind),
        escape(&namespace),
        escape(name),
        place.unwrap_or_default(),
        escape(&changed),
    )
}

/// Says on standard error what was searched, and what was found.
fn summary(carver: &Carver, shown: &BTreeMap<(Kind, &str), u64>) {
    let counts = carver.counts();
    let regions: Vec<String> = counts
        .regions
        .iter()
        .map(|(region, number)| format!("{number} {region}"))
        .collect();
    complain(format_args!("searched: {}", regions.join(", ")));
    for ((kind, fate), number) in shown {
        complain(format_args!("{number} {fate}: {}", kind_word(*kind)));
    }
    complain(format_args!(
        "{} equal to the current state",
        count(counts.same.into(), "record", "records")
    ));
    let notes = [
        (
            counts.undecoded,
            "of a table of contents could not be decoded",
        ),
        (
            counts.incomplete,
            "on several pages could not be put together",
        ),
        (counts.unreadable, "(pages) could not be read"),
        (
            counts.cut,
            "(regions) were not searched to the end, as a limit was met",
        ),
    ];
    for (number, text) in notes.into_iter().filter(|(number, _)| *number > 0) {
        complain(format_args!("{number} {text}"));
    }
    if !carver.knows_what_is_there() {
        complain("the index is not whole, so it cannot be told what is deleted");
    }
}

//! `query`: answers WQL queries from stored objects.

use std::io::Read;
use std::sync::Arc;

use cimrepo::base::error::{Error, ExitCode as Outcome};
use cimrepo::catalog::Catalog;
use cimrepo::query::{self, NoteCode, QueryOptions, Rows};
use cimrepo::text::wql::{MAX_QUERY_BYTES, QueryError};
use clap::{Args, ValueEnum};

use crate::ui::diagnostic::{self, DiagnosticRow};
use crate::ui::listing::namespace_path;
use crate::ui::output::{Failure, Output, complain, count};
use crate::ui::progress::Bar;
use crate::ui::query_rows::{Printer, Shape};
use crate::ui::source::SourceArguments;

/// Answer a WQL query from what is stored
///
/// WQL is SELECT … FROM class [WHERE …], SELECT * FROM meta_class for classes, ASSOCIATORS OF
/// {path} and REFERENCES OF {path}; COUNT(*) counts. Rows are the instances of the class and of all
/// classes derived from it. Nothing is computed: a class whose instances Windows gets from a
/// provider has none here. A note on standard error says so, and another one names references that
/// lead nowhere.
///
/// A rejected query is shown with the place of the error and a suggestion. Objects that cannot be
/// read are reported on standard error, and the others follow.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 there are rows, 1 none, an object could not be read or a namespace below was passed
over, 3 I/O, 4 no object could be read, or not a repository or backup, 6 the query is refused.

Examples:
  cimrepo query /evidence/wbem/Repository 'SELECT * FROM __EventFilter' --namespace \
  'root\\subscription'
  cimrepo query monday.cimbak 'SELECT Name, Query FROM __EventFilter' --namespace root -r --format \
  csv
  cimrepo query monday.cimbak 'ASSOCIATORS OF {__EventFilter.Name=\"x\"}' --namespace \
      'root\\subscription'
  cimrepo query REPO 'SELECT * FROM meta_class WHERE __this ISA \"__EventConsumer\"' --json
  cimrepo query REPO 'SELECT * FROM Win32_Service WHERE Name = \"x\"' --explain")]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// Text of the query; - reads it from standard input
    #[arg(value_name = "WQL")]
    text: String,

    /// Namespace to query
    #[arg(long, value_name = "NS", default_value = r"ROOT\CIMV2")]
    namespace: String,

    /// Also query everything below it, skipping namespaces without the class
    #[arg(short, long)]
    recursive: bool,

    /// Print at most this many rows
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Output format of the rows; csv needs a list of columns, or rows of one class
    #[arg(long, value_enum, default_value_t = Format::List)]
    format: Format,

    /// The same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Print what would be read, without reading any object
    #[arg(long)]
    explain: bool,

    /// Reject COUNT(*), as Windows does
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One value a line
    List,
    /// Comma-separated values, with a header
    Csv,
    /// MOF
    Mof,
    /// JSON, one object a line
    Jsonl,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let text = match self.text.as_str() {
            "-" => from_standard_input()?,
            text => text.to_owned(),
        };
        self.source.each(|source| self.ask(source, &text))
    }

    fn ask(&self, source: &SourceArguments, text: &str) -> Result<Outcome, Failure> {
        let catalog = Catalog::new(source.open()?.snapshot()).observed(Arc::new(Bar::new()));
        let namespace = namespace_path(&self.namespace);
        let mut options = QueryOptions::default()
            .recursive(self.recursive)
            .strict(self.strict);
        options.limit = self.limit;
        let outcome = match self.explain {
            true => self.explain(&catalog, &namespace, text, &options),
            false => match query::run(&catalog, &namespace, text, options) {
                Ok(rows) => self.print(rows),
                Err(error) => Err(error.into()),
            },
        };
        match outcome {
            Err(Failure::Engine(Error::Query(refused))) => {
                self.refuse(&refused, text, &namespace)?;
                Ok(Outcome::Language)
            }
            outcome => outcome,
        }
    }

    /// Shows why a query is rejected, on standard error or as a JSON row.
    fn refuse(&self, refused: &QueryError, text: &str, namespace: &str) -> Result<(), Failure> {
        if !self.is_json() {
            diagnostic::complain_of_query(refused, text, namespace);
            return Ok(());
        }
        let mut output = Output::new(true);
        output.row("diagnostic", &DiagnosticRow::of_query(refused, text))?;
        output.finish()
    }

    fn is_json(&self) -> bool {
        self.json || self.format == Format::Jsonl
    }

    fn explain(
        &self,
        catalog: &Catalog,
        namespace: &str,
        text: &str,
        options: &QueryOptions,
    ) -> Result<Outcome, Failure> {
        let plans = query::explain(catalog, namespace, text, options)?;
        let mut output = Output::new(self.is_json());
        for plan in plans {
            match output.is_json() {
                true => output.json(&plan)?,
                false => output.text(&plan.to_string())?,
            }
        }
        output.finish()?;
        Ok(Outcome::Done)
    }

    fn print(&self, mut rows: Rows) -> Result<Outcome, Failure> {
        let shape = match self.format {
            _ if self.is_json() => Shape::Json,
            Format::List => Shape::List,
            Format::Csv => Shape::Csv,
            Format::Mof | Format::Jsonl => Shape::Mof,
        };
        let mut printer = Printer::new(shape, Output::new(shape == Shape::Json));
        let (mut unreadable, mut refused) = (0u64, None);
        for row in rows.by_ref() {
            match row {
                Ok(row) => printer.row(&row)?,
                Err(error @ Error::Corrupt(_)) => {
                    unreadable += 1;
                    complain(error.full_text());
                }
                Err(Error::Cancelled) => return Err(Error::Cancelled.into()),
                // A system that refuses one page may deliver the next.
                Err(error) => {
                    complain(error.full_text());
                    refused = Some(error);
                }
            }
        }
        // Remarks on an answer follow it.
        let printed = rows.counters().rows;
        printer.finish()?;
        rows.notes()
            .iter()
            .for_each(|note| complain(format_args!("note: {note}")));
        if rows.notes_not_listed() > 0 {
            complain(format_args!(
                "… and {}",
                count(rows.notes_not_listed(), "more note", "more notes")
            ));
        }
        if unreadable > 0 {
            let read = count(
                rows.counters().records,
                "object was read",
                "objects were read",
            );
            let lost = count(
                unreadable,
                "part of the repository",
                "parts of the repository",
            );
            complain(format_args!("{read}; {lost} could not be"));
        }
        let is_partial = rows
            .notes()
            .iter()
            .any(|note| note.code == NoteCode::PassedOver);
        Ok(match refused {
            Some(error) => error.exit_code(),
            None if unreadable > 0 && printed == 0 => Outcome::Corrupt,
            None if unreadable > 0 || printed == 0 || is_partial => Outcome::Findings,
            None => Outcome::Done,
        })
    }
}

/// The text of a query from standard input, up to one byte more than a query may have, so that a
/// longer one is rejected.
fn from_standard_input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(MAX_QUERY_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| Failure::usage("the query on standard input is not UTF-8"))
}

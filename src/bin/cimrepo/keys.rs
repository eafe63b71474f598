//! `keys`: the keys of the index.

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::{Direction, KeyRange};
use clap::Args;
use serde::Serialize;

use super::output::{Failure, Output};
use super::source::SourceArguments;

/// List the keys of the index, in its order
///
/// Prints one key a line, as stored. The last token of a key may end in `.page.id.size`, which names a record of
/// OBJECTS.DATA. A damaged page is reported on standard error, and the list goes on behind it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cimrepo keys /evidence/wbem/Repository | wc -l
  cimrepo keys monday.cimbak NS_68577372 --json")]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// Only keys that begin with this text
    #[arg(default_value = "")]
    prefix: String,

    /// In descending order
    #[arg(long)]
    reverse: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    key: String,
    page: Option<u32>,
    id: Option<u32>,
    size: Option<u32>,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let snapshot = self.source.open()?.snapshot();
        let direction = if self.reverse { Direction::Backward } else { Direction::Forward };
        let mut output = Output::new(self.json);
        let (mut found, mut failed) = (false, None);
        for key in snapshot.keys(KeyRange::prefix(self.prefix.as_bytes()), direction) {
            match key {
                Ok(key) => {
                    found = true;
                    if output.is_json() {
                        let reference = key.reference();
                        let row = Row {
                            key: key.to_string(),
                            page: reference.map(|record| record.page.get()),
                            id: reference.map(|record| record.id),
                            size: reference.map(|record| record.size),
                        };
                        output.row("key", &row)?;
                    } else {
                        output.line(key)?;
                    }
                }
                Err(error) => {
                    eprintln!("cimrepo: {error}");
                    failed = Some(error);
                }
            }
        }
        output.finish()?;
        Ok(match (failed, found) {
            (Some(error), _) => error.exit_code(),
            (None, true) => Outcome::Done,
            (None, false) => Outcome::Findings,
        })
    }
}

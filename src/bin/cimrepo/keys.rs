//! `keys`: the keys of the index.

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::format::key::Key;
use cimrepo::{Direction, KeyRange};
use clap::Args;
use serde::Serialize;

use super::output::{Failure, Output, complain, words};
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
        let snapshot = self.source.the_one()?.open()?.snapshot();
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
                    complain(words(&error));
                    failed = Some(error);
                }
            }
        }
        output.finish()?;
        if !found && failed.is_none() {
            let prefix = Key::new(self.prefix.as_bytes());
            complain(if self.prefix.is_empty() {
                "there is no key".to_owned()
            } else {
                format!("no key begins with {prefix}")
            });
        }
        Ok(match (failed, found) {
            (Some(error), _) => error.exit_code(),
            (None, true) => Outcome::Done,
            (None, false) => Outcome::Findings,
        })
    }
}

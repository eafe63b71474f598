//! `keys`: lists the keys of the index.

use cimrepo::base::error::{Error, ExitCode as Outcome};
use cimrepo::format::index::key::Key;
use cimrepo::store::IndexHealth;
use cimrepo::{Direction, KeyRange};
use clap::Args;
use serde::Serialize;

use crate::ui::output::{Failure, Output, complain, count};
use crate::ui::source::SourceArguments;

/// List the keys of the index, in its order
///
/// Prints one key a line, as stored. The last token of a key may end in `.page.id.size`, which
/// names a record of OBJECTS.DATA. A damaged page is reported on standard error and hides only the
/// keys it holds itself; an estimate of how many those are follows the list.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 listed, 1 no key begins with PREFIX or a page is damaged, 3 I/O, 4 no key could be
read, or not a repository or backup.

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

impl Row {
    fn of(key: &Key) -> Self {
        let record = key.reference();
        Self {
            key: key.to_string(),
            page: record.map(|record| record.page.get()),
            id: record.map(|record| record.id),
            size: record.map(|record| record.size),
        }
    }
}

/// Extent of the damage to the index, after the keys.
#[derive(Serialize)]
struct DamageRow {
    #[serde(flatten)]
    health: IndexHealth,
    /// An estimate.
    keys_lost: Option<u64>,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let snapshot = self.source.the_one()?.open()?.snapshot();
        let direction = if self.reverse {
            Direction::Backward
        } else {
            Direction::Forward
        };
        let mut output = Output::new(self.json);
        let (mut found, mut failed) = (false, None);
        for key in snapshot.keys(KeyRange::prefix(self.prefix.as_bytes()), direction) {
            match key {
                Ok(key) => {
                    found = true;
                    match output.is_json() {
                        true => output.row("key", &Row::of(&key))?,
                        false => output.line(key)?,
                    }
                }
                Err(error) => {
                    complain(error.full_text());
                    failed = Some(error);
                }
            }
        }
        if let Some(health) = snapshot.index_damage() {
            // The extent follows the keys, and is omitted if the reader of the list left early.
            output.flush()?;
            complain(extent(health));
            if output.is_json() {
                output.row(
                    "index",
                    &DamageRow {
                        health,
                        keys_lost: health.keys_lost(),
                    },
                )?;
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
        Ok(match failed {
            Some(error @ Error::Io { .. }) => error.exit_code(),
            Some(error) if !found => error.exit_code(),
            None if found => Outcome::Done,
            _ => Outcome::Findings,
        })
    }
}

/// Extent of the damage to an index, in words.
fn extent(health: IndexHealth) -> String {
    let pages = count(health.pages.into(), "index page", "index pages");
    let lost = match health.keys_lost() {
        Some(0) => "every key was found".to_owned(),
        Some(lost) => format!("about {} may be lost with them", count(lost, "key", "keys")),
        None => "how many keys are lost is not known".to_owned(),
    };
    format!(
        "{} of {pages} cannot be read; {} found without the pages that lead to them; {lost}",
        health.unreadable,
        count(health.strays.into(), "was", "were"),
    )
}

//! `compact`: rewrites the content into as few pages as it needs.

use std::path::{Path, PathBuf};

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape;
use cimrepo::store::{CompactSummary, EngineOptions, SpaceSize};
use clap::Args;
use serde::Serialize;

use crate::ui::output::{Failure, Output, count, human_bytes};
use crate::ui::progress::Bar;
use crate::ui::source::written_failed;

/// Rewrite a repository densely, truncate its files, and report the space reclaimed
///
/// Everything is rewritten into as few pages as it needs; then OBJECTS.DATA and INDEX.BTR are
/// truncated. Readers can go on reading. A crash at any moment leaves the old content or the new
/// one, both complete; run it again then. Until it is done it needs additional space, up to the
/// size of the content. Objects move, so record addresses noted before no longer apply. If neither
/// file would become shorter, nothing is written.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 done, 2 not a repository of dialect 2.2, 3 I/O, 4 damaged, or not a
repository, 5 the repository is locked.

Examples:
  cimrepo compact /restored/Repository
  cimrepo compact /restored/Repository --json")]
pub struct Arguments {
    /// Directory of a repository of dialect 2.2
    repo: PathBuf,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    directory: String,
    #[serde(flatten)]
    summary: CompactSummary,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let engine = {
            let options = EngineOptions::new().background(false);
            options
                .open(&self.repo)
                .map_err(|error| failed(error, &self.repo))?
        };
        let directory = engine.directory().path.display().to_string();
        let summary = {
            let bar = Bar::new();
            engine
                .compact(&bar)
                .map_err(|error| failed(error, &self.repo))?
        };
        engine.close()?;
        let mut output = Output::new(self.json);
        if output.is_json() {
            output.row("compact", &Row { directory, summary })?;
        } else {
            output.field("repository", escape(&directory))?;
            output.field(
                "objects",
                change(&summary.objects_before, &summary.objects_after),
            )?;
            output.field("index", change(&summary.index_before, &summary.index_after))?;
            output.field("reclaimed", reclaimed(&summary))?;
            let (keys, records) = (
                count(summary.keys, "key", "keys"),
                count(summary.records, "record", "records"),
            );
            output.field(
                "content",
                format!("{keys} and {records}, the same as before"),
            )?;
        }
        output.finish()?;
        Ok(Outcome::Done)
    }
}

/// Damage stops the rewriting before the old content is given up.
fn failed(error: cimrepo::Error, given: &Path) -> Failure {
    match error {
        cimrepo::Error::Corrupt(_) => Failure::Hinted(
            error,
            "the content is unchanged; `cimrepo verify` lists all damage, and what is \
                lost comes from a backup"
                .to_owned(),
        ),
        _ => written_failed(error, given),
    }
}

fn change(before: &SpaceSize, after: &SpaceSize) -> String {
    format!(
        "{} pages in use, a file of {} ({} bytes); before: {} pages, {} ({} bytes)",
        after.pages,
        human_bytes(after.bytes),
        after.bytes,
        before.pages,
        human_bytes(before.bytes),
        before.bytes
    )
}

fn reclaimed(summary: &CompactSummary) -> String {
    let before = summary.objects_before.bytes + summary.index_before.bytes;
    let after = summary.objects_after.bytes + summary.index_after.bytes;
    match before.checked_sub(after) {
        Some(0) if !summary.is_rewritten => {
            "nothing: it is dense already, and nothing was written".to_owned()
        }
        Some(0) => "nothing: it is dense already".to_owned(),
        Some(bytes) => format!("{} of {}", human_bytes(bytes), human_bytes(before)),
        None => format!("nothing: {} more", human_bytes(after - before)),
    }
}

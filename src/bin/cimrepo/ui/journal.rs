//! Output about journals.

use cimrepo::base::escape::escape;
use cimrepo::catalog::diff::{Change, Difference};
use cimrepo::store::{JournalFate, JournalFile, Journals};
use cimrepo::verify::StateDifference;
use serde::Serialize;

use super::output::{complain, count};

/// Commits in journals, for JSON.
#[derive(Serialize)]
pub struct JournalRow {
    commits: u64,
    replayed: u64,
    /// Journals with commits that were not replayed, with the reasons.
    refused: Vec<RefusedRow>,
}

#[derive(Serialize)]
struct RefusedRow {
    file: String,
    /// Number of lost commits; null if they cannot be counted.
    commits: Option<u64>,
    reason: String,
}

impl From<&Journals> for JournalRow {
    fn from(journals: &Journals) -> Self {
        let refused = |file: &JournalFile| RefusedRow {
            file: file.name.clone(),
            commits: file.lost(),
            reason: reason(file),
        };
        let (commits, replayed) = (journals.commits(), journals.replayed());
        Self {
            commits,
            replayed,
            refused: journals.refused().map(refused).collect(),
        }
    }
}

fn reason(file: &JournalFile) -> String {
    match &file.fate {
        JournalFate::Refused(finding) => finding.to_string(),
        JournalFate::UnknownVersion(version) => {
            format!(
                "{}: journal format version {version} is unknown; use a newer cimrepo",
                file.name
            )
        }
        JournalFate::LeftOut => format!("{}: it was not asked for", file.name),
        _ => file.name.clone(),
    }
}

/// Reports on standard error the commits that were read from journals, in one line, and those that
/// could not be. Returns true if all were read.
pub fn warn(journals: &Journals) -> bool {
    let names: Vec<&str> = journals
        .files()
        .iter()
        .filter(|file| file.replayed > 0)
        .map(|file| file.name.as_str())
        .collect();
    if !names.is_empty() {
        let commits = count(journals.replayed(), "commit", "commits");
        let names = names.join(", ");
        complain(format_args!(
            "replayed {commits} of {names}; --no-journal reads without them"
        ));
    }
    for file in journals.refused() {
        complain(refusal(file));
    }
    journals.refused().next().is_none()
}

/// The number of commits of a journal that cannot be replayed, with the reason.
pub fn refusal(file: &JournalFile) -> String {
    let lost = match file.lost() {
        Some(lost) => count(lost, "commit", "commits"),
        None => "commits, nobody knows how many,".to_owned(),
    };
    format!("{lost} cannot be replayed: {}", reason(file))
}

/// One line on each journal.
pub fn lines(journals: &Journals) -> impl Iterator<Item = String> + '_ {
    journals.files().iter().map(|file| {
        let commits = file
            .commits
            .map_or("commits unknown".to_owned(), |commits| {
                count(commits, "commit", "commits")
            });
        let what = match &file.fate {
            JournalFate::Replayed => "replayed".to_owned(),
            JournalFate::LeftOut => "left out".to_owned(),
            JournalFate::Unfinished => "never used".to_owned(),
            JournalFate::Stale => "stale: a newer generation has them or replaced them".to_owned(),
            _ => format!("{} replayed: {}", file.replayed, reason(file)),
        };
        let torn = if file.has_torn_tail {
            "; a torn one follows"
        } else {
            ""
        };
        format!("{}: {commits}, {what}{torn}", file.name)
    })
}

/// The differences between the states with and without the journal, in lines.
pub fn difference_lines(difference: &StateDifference) -> Vec<String> {
    let StateDifference {
        keys_added,
        keys_removed,
        added,
        removed,
        changed,
        unreadable,
        first,
        ..
    } = difference;
    let mut lines = vec![format!(
        "with the journal: {keys_added} keys more and {keys_removed} fewer; {added} objects more, \
            {removed} fewer, {changed} changed"
    )];
    lines.extend(
        first
            .iter()
            .map(|one| format!("  {} {}", sign(one), escape(&one.path))),
    );
    let more = (added + removed + changed).saturating_sub(first.len() as u64);
    if more > 0 {
        lines.push(format!(
            "  … and {more} more; `cimrepo diff` of the repository with --generation lists all"
        ));
    }
    if *unreadable > 0 {
        lines.push(format!(
            "  {} could not be compared",
            count(*unreadable, "object", "objects")
        ));
    }
    lines
}

fn sign(difference: &Difference) -> char {
    match difference.change {
        Change::Removed => '-',
        Change::Added => '+',
        Change::Changed(_) => '~',
    }
}

/// The differences between the states with and without the journal, for JSON.
#[derive(Serialize)]
pub struct DifferenceRow<'r> {
    keys_added: u64,
    keys_removed: u64,
    added: u64,
    removed: u64,
    changed: u64,
    unreadable: u64,
    first: Vec<NamedRow<'r>>,
}

#[derive(Serialize)]
struct NamedRow<'r> {
    change: char,
    path: &'r str,
}

impl<'r> From<&'r StateDifference> for DifferenceRow<'r> {
    fn from(difference: &'r StateDifference) -> Self {
        let StateDifference {
            keys_added,
            keys_removed,
            added,
            removed,
            changed,
            unreadable,
            ..
        } = *difference;
        let named = |one: &'r Difference| NamedRow {
            change: sign(one),
            path: &one.path,
        };
        let first = difference.first.iter().map(named).collect();
        Self {
            keys_added,
            keys_removed,
            added,
            removed,
            changed,
            unreadable,
            first,
        }
    }
}

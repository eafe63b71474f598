//! `info`: describes a repository or backup and its size.

use cimrepo::backup::{Backup, BackupInfo};
use cimrepo::base::calendar::date;
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape_path;
use cimrepo::base::limits::WINDOWS_REPOSITORY_BYTES;
use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::catalog::{Catalog, NamespaceCount};
use cimrepo::format::Dialect;
use cimrepo::format::own::manifest::Summary;
use cimrepo::store::{Counts, Repository, Snapshot, UnmappedFiles};
use clap::Args;
use serde::Serialize;

use crate::ui::journal::{self, JournalRow};
use crate::ui::output::{Failure, Output, argument, count, human_bytes};
use crate::ui::source::{Source, SourceArguments, SourcesArguments, warn_of_size};

/// Number of physical pages that are counted without a mapping: 1 GiB, so that the answer takes
/// only seconds.
const QUICK_PAGES: u32 = 1 << 17;

/// Show what a repository or backup is and how much it holds
///
/// Only `verify` looks for all damage; this reports what it comes across. If no mapping file
/// can be read, it says why and counts the pages of OBJECTS.DATA that look like pages of
/// objects.
///
/// A PATH may be a directory above repositories, such as the root of a collected tree. Every
/// repository below it is shown; if there are several, each line begins with the one it is
/// about.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 shown, 1 damage was met, a file is missing or a directory was passed over, 3
I/O, 4 not a repository or backup. Of several sources the most telling code counts: 70, 130,
2, 6, 3, 4, 5, 1, 0, in this order.

Examples:
  cimrepo info /evidence/wbem/Repository
  cimrepo info monday.cimbak --json")]
pub struct Arguments {
    #[command(flatten)]
    sources: SourcesArguments,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct SpaceRow {
    logical_pages: u32,
    mapped_pages: u32,
    physical_pages: u32,
    free_pages: usize,
}

#[derive(Serialize)]
struct RepositoryRow {
    directory: String,
    dialect: Dialect,
    generation: u32,
    transaction: u32,
    shutdown_flag: u32,
    generations: Vec<u32>,
    whole: bool,
    missing: Vec<String>,
    refused: Vec<String>,
    /// Mapping files left by an interrupted write of this engine, with which nothing is lost.
    unfinished: Vec<String>,
    journal: JournalRow,
    objects: SpaceRow,
    index: SpaceRow,
    /// True if the pages exceed the size that Windows documents for a repository.
    beyond_windows: bool,
    content: Content,
}

/// The numbers of keys and records.
#[derive(Serialize)]
struct Content {
    keys: Option<u64>,
    class_definitions: Option<u64>,
    instances: Option<u64>,
    namespaces: Option<u64>,
    /// Number of namespaces of which only the hash is known.
    unnamed_namespaces: Option<u64>,
    records: Option<u64>,
    unreadable: Option<u64>,
}

impl Content {
    /// The counts, and the number of namespaces. A count whose file is missing is unknown, not 0.
    fn new((counts, namespaces): (Counts, NamespaceCount), snapshot: &Snapshot) -> Self {
        let NamespaceCount { named, unnamed } = namespaces;
        let (has_index, has_objects) = (snapshot.has(Space::Index), snapshot.has(Space::Objects));
        let Counts {
            keys,
            class_definitions,
            instances,
            records,
            unreadable,
            ..
        } = counts;
        Self {
            keys: has_index.then_some(keys),
            class_definitions: has_index.then_some(class_definitions),
            instances: has_index.then_some(instances),
            namespaces: (has_index && has_objects).then_some(named),
            unnamed_namespaces: (has_index && has_objects).then_some(unnamed),
            records: has_objects.then_some(records),
            unreadable: Some(unreadable),
        }
    }

    /// The counts for files without a readable mapping.
    const fn unknown() -> Self {
        Self {
            keys: None,
            class_definitions: None,
            instances: None,
            namespaces: None,
            unnamed_namespaces: None,
            records: None,
            unreadable: None,
        }
    }

    fn words(&self) -> String {
        let unnamed = match self.unnamed_namespaces {
            None | Some(0) => String::new(),
            Some(number) => format!(" and {number} without a name"),
        };
        format!(
            "{}{unnamed}, {}, {} ({}, {})",
            known(self.namespaces, "namespace", "namespaces"),
            known(
                self.class_definitions,
                "class definition",
                "class definitions"
            ),
            known(self.instances, "instance", "instances"),
            known(self.keys, "key", "keys"),
            known(self.records, "record", "records"),
        )
    }
}

#[derive(Serialize)]
struct BackupRow<'b> {
    file: String,
    /// This and the following numbers are null if no mapping can be read.
    dialect: Option<Dialect>,
    generation: Option<u32>,
    transaction: Option<u32>,
    #[serde(flatten)]
    info: BackupInfo,
    namespaces: Option<u64>,
    unnamed_namespaces: Option<u64>,
    journal: JournalRow,
    content: Option<&'b Summary>,
}

#[derive(Serialize)]
struct UnmappedRow {
    directory: String,
    /// Null, because no mapping states it.
    dialect: Option<Dialect>,
    generation: Option<u32>,
    content: Content,
    physical_pages: Option<u64>,
    object_pages: u64,
    records: u64,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        self.sources.each(|source| self.show(source))
    }

    fn show(&self, source: &SourceArguments) -> Result<Outcome, Failure> {
        let mut output = Output::new(self.json);
        let outcome = match source.open_any() {
            Ok(Source::Repository(repository)) => Ok(repository_info(&repository, &mut output)?),
            Ok(Source::Backup(backup)) => Ok(backup_info(&backup, &mut output)?),
            Err(
                Failure::Engine(error @ cimrepo::Error::NotARepository { .. })
                | Failure::Hinted(error @ cimrepo::Error::NotARepository { .. }, _),
            ) => {
                if let Ok(files) = UnmappedFiles::open(&source.path) {
                    unmapped_info(&files, &mut output)?;
                }
                Err(error.into())
            }
            Err(failure) => Err(failure),
        };
        output.finish()?;
        outcome
    }
}

fn space_row(repository: &Repository, space: Space) -> SpaceRow {
    let snapshot = repository.snapshot();
    let section = snapshot.mapping().section(space);
    SpaceRow {
        logical_pages: section.logical_pages(),
        mapped_pages: section.mapped_count(),
        physical_pages: section.physical_pages,
        free_pages: section.free.len(),
    }
}

/// Damage that was met counts as a finding.
fn outcome(is_sound: bool) -> Outcome {
    if is_sound {
        Outcome::Done
    } else {
        Outcome::Findings
    }
}

fn repository_row(repository: &Repository) -> Result<RepositoryRow, Failure> {
    let snapshot = repository.snapshot();
    let mapping = snapshot.mapping();
    let refused = || {
        repository
            .refused()
            .iter()
            .filter(|refusal| !refusal.is_unfinished())
    };
    Ok(RepositoryRow {
        directory: repository.files().directory.path.display().to_string(),
        dialect: repository.dialect(),
        generation: mapping.generation(),
        transaction: mapping.transaction(),
        shutdown_flag: mapping.shutdown_flag,
        generations: repository.generations().to_vec(),
        whole: repository.is_whole(),
        missing: repository.missing().map(|role| role.to_string()).collect(),
        refused: refused()
            .map(|refusal| refusal.reason.to_string())
            .collect(),
        unfinished: repository
            .refused()
            .iter()
            .filter(|refusal| refusal.is_unfinished())
            .map(|refusal| refusal.role.to_string())
            .collect(),
        journal: repository.journal().into(),
        objects: space_row(repository, Space::Objects),
        index: space_row(repository, Space::Index),
        beyond_windows: Space::ALL
            .map(|space| u64::from(mapping.section(space).physical_pages) * PAGE_SIZE as u64)
            .iter()
            .sum::<u64>()
            > WINDOWS_REPOSITORY_BYTES,
        content: Content::new(Catalog::new(snapshot.clone()).counts(), &snapshot),
    })
}

fn repository_info(repository: &Repository, output: &mut Output) -> Result<Outcome, Failure> {
    let row = repository_row(repository)?;
    let is_newest = repository
        .refused()
        .iter()
        .all(|refusal| !refusal.may_be_newer);
    let is_replayed = repository.journal().refused().next().is_none();
    let is_sound = row.whole && is_newest && row.missing.is_empty() && is_replayed;
    let outcome = outcome(is_sound && row.content.unreadable == Some(0));
    if output.is_json() {
        output.row("repository", &row)?;
    } else {
        repository_words(repository, &row, output)?;
    }
    Ok(outcome)
}

fn repository_words(
    repository: &Repository,
    row: &RepositoryRow,
    output: &mut Output,
) -> Result<(), Failure> {
    output.field(
        "repository",
        escape_path(&repository.files().directory.path),
    )?;
    output.field("dialect", dialect_words(row.dialect))?;
    let flag = if row.dialect == Dialect::V22 {
        format!(", shutdown flag {}", row.shutdown_flag)
    } else {
        String::new()
    };
    output.field(
        "generation",
        format!("{} (transaction {}{flag})", row.generation, row.transaction),
    )?;
    let generations: Vec<String> = row.generations.iter().map(ToString::to_string).collect();
    output.field("on disk", generations.join(", "))?;
    if !row.unfinished.is_empty() {
        let files = row.unfinished.join(", ");
        output.field(
            "unfinished",
            format!("{files}: a write that was interrupted; nothing is lost with it"),
        )?;
    }
    for line in journal::lines(repository.journal()) {
        output.field("journal", line)?;
    }
    output.field("objects", space_words(&row.objects))?;
    output.field("index", space_words(&row.index))?;
    output.field("content", row.content.words())?;
    if row.beyond_windows {
        output.field(
            "warning",
            "the data files have more than 4 GB, which Windows documents as the limit of a \
                repository",
        )?;
    }
    unreadable_words(row.content.unreadable.unwrap_or(0), output)
}

fn unreadable_words(unreadable: u64, output: &mut Output) -> Result<(), Failure> {
    if unreadable > 0 {
        let parts = count(unreadable, "part", "parts");
        output.field(
            "",
            format!("{parts} could not be read; `cimrepo verify` says which"),
        )?;
    }
    Ok(())
}

fn dialect_words(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::V21 => "2.1 (Windows XP, Server 2003)",
        Dialect::V22 => "2.2 (Windows Vista and later)",
    }
}

fn space_words(space: &SpaceRow) -> String {
    let free = u64::try_from(space.free_pages).unwrap_or(0) * PAGE_SIZE as u64;
    format!(
        "{} pages ({}), {} free ({})",
        space.mapped_pages,
        human_bytes(u64::from(space.mapped_pages) * PAGE_SIZE as u64),
        space.free_pages,
        human_bytes(free)
    )
}

fn backup_info(backup: &Backup, output: &mut Output) -> Result<Outcome, Failure> {
    let (header, info, summary) = (backup.header(), backup.info(), &backup.manifest().summary);
    let is_replayed = backup.journal().refused().next().is_none();
    let is_known = !backup.is_unmapped();
    let outcome = outcome(is_known && summary.unreadable == 0 && is_replayed);
    let held = held(backup);
    if output.is_json() {
        let row = BackupRow {
            file: backup.path().display().to_string(),
            dialect: is_known.then_some(header.dialect),
            generation: is_known.then_some(header.generation),
            transaction: is_known.then_some(header.transaction),
            info,
            namespaces: held.namespaces,
            unnamed_namespaces: held.unnamed_namespaces,
            journal: backup.journal().into(),
            content: is_known.then_some(summary),
        };
        output.row("backup", &row)?;
    } else {
        backup_words(backup, &held, output)?;
    }
    Ok(outcome)
}

fn backup_words(backup: &Backup, held: &Content, output: &mut Output) -> Result<(), Failure> {
    let (header, info, summary) = (backup.header(), backup.info(), &backup.manifest().summary);
    let is_known = !backup.is_unmapped();
    output.field("backup", escape_path(backup.path()))?;
    output.field("identity", &info.identity)?;
    if let Some(base) = &info.base {
        output.field(
            "based on",
            format!("{base} ({} backups in the chain)", info.chain),
        )?;
    }
    output.field("content", format!("SHA-256 {}", info.content_identity))?;
    output.field("created", utc(info.created))?;
    if is_known {
        output.field("dialect", dialect_words(header.dialect))?;
        output.field(
            "generation",
            format!("{} (transaction {})", header.generation, header.transaction),
        )?;
    } else {
        output.field(
            "generation",
            "unknown: no mapping can be read, the files are held as they were",
        )?;
    }
    output.field("kind", kind_words(&info))?;
    let base = if info.incremental {
        format!(", {} in the base", info.pages_in_base)
    } else {
        String::new()
    };
    output.field(
        "size",
        format!("{} for {} pages{base}", human_bytes(info.bytes), info.pages),
    )?;
    output.field("holds", held.words())?;
    for line in journal::lines(backup.journal()) {
        output.field("journal", line)?;
    }
    unreadable_words(summary.unreadable, output)
}

fn kind_words(info: &BackupInfo) -> String {
    let kinds = [
        (info.incremental, "incremental"),
        (info.scrubbed, "scrubbed"),
        (info.forensic, "forensic"),
    ];
    let kinds: Vec<&str> = kinds
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, word)| word)
        .collect();
    if kinds.is_empty() {
        "full".to_owned()
    } else {
        kinds.join(", ")
    }
}

/// Formats a count with its noun, or says that it is unknown.
fn known(number: Option<u64>, one: &str, many: &str) -> String {
    number.map_or_else(
        || format!("an unknown number of {many}"),
        |number| count(number, one, many),
    )
}

/// The content of a backup: its own summary, and the number of namespaces.
fn held(backup: &Backup) -> Content {
    if backup.is_unmapped() {
        return Content::unknown();
    }
    let &Summary {
        keys,
        class_definitions,
        instances,
        records,
        unreadable,
        ..
    } = &backup.manifest().summary;
    let counts = Counts {
        keys,
        class_definitions,
        instances,
        records,
        unreadable,
        ..Counts::default()
    };
    let snapshot = backup.snapshot();
    let namespaces = Catalog::new(snapshot.clone()).namespace_count();
    Content::new((counts, namespaces), &snapshot)
}

/// Formats seconds since 1970 as a date and time.
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

fn unmapped_info(files: &UnmappedFiles, output: &mut Output) -> Result<(), Failure> {
    warn_of_size(files, QUICK_PAGES);
    let (mut object_pages, mut records) = (0, 0);
    if let Ok(pages) = files.object_pages_up_to(QUICK_PAGES) {
        for page in pages {
            object_pages += 1;
            records += page?.descriptors.len() as u64;
        }
    }
    let path = &files.files().directory.path;
    let physical_pages = files.pages(Space::Objects);
    if output.is_json() {
        let directory = path.display().to_string();
        let content = Content::unknown();
        let (dialect, generation) = (None, None);
        let row = UnmappedRow {
            directory,
            dialect,
            generation,
            content,
            physical_pages,
            object_pages,
            records,
        };
        return output.row("unmapped", &row);
    }
    output.field(
        "repository",
        format!("{}, without a usable mapping", escape_path(path)),
    )?;
    output.field("content", Content::unknown().words())?;
    if let Some(pages) = physical_pages {
        let text = format!(
            "{pages} physical pages, {object_pages} look like pages of objects, {records} records"
        );
        output.field("objects", text)?;
        output.field(
            "",
            format!(
                "`cimrepo page {} objects --physical` lists them",
                argument(path)
            ),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn dates() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(4_107_542_399), "2100-02-28 23:59:59 UTC");
        assert_eq!(utc(4_107_542_400), "2100-03-01 00:00:00 UTC");
    }
}

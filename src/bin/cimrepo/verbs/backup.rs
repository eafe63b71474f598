//! `backup`: a consistent backup in one file.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cimrepo::backup::{
    BackupOptions, BackupSet, BackupSummary, Compression, SetOptions, SetSummary, backup,
    backup_to, backup_unmapped, backup_unmapped_to, hex, uuid_text,
};
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape_path;
use cimrepo::base::page_no::Space;
use cimrepo::base::site::FileRole;
use cimrepo::catalog::{Catalog, Census};
use cimrepo::store::{Journals, OpenOptions, Repository, UnmappedFiles};
use clap::Args;
use serde::Serialize;

use crate::ui::inside;
use crate::ui::journal::JournalRow;
use crate::ui::output::{Failure, Output, complain, even_if_closed, human_bytes};
use crate::ui::progress::Bar;
use crate::ui::signing::Signer;
use crate::ui::source::{backup_failed, open_repository, the_one};

/// Back up a repository to one file, or into a directory that keeps several backups
///
/// The file holds the current generation: every page with its checksum, and a digest over all
/// of it. It is written next to FILE under a temporary name and renamed once it is complete and
/// durable, so an older backup is only ever replaced by a complete new one, and a file that is
/// no backup is not replaced without --overwrite. The repository is verified in the meantime. If
/// it is damaged, only a forensic backup is made, because no restore would take any other. If no
/// mapping file can be read, that takes the files that are there as they are.
/// --no-verify saves about a third of the time; use it for a repository that was verified and
/// has not changed since.
///
/// With --keep, FILE is a directory, which is created if necessary. Each backup is named by its
/// time and identity and holds what the one before it does not. After --full-after of these
/// incremental backups, the next one is full. Then all but the newest N are removed, except
/// those that one of the N is based on. `cimrepo backups` lists, verifies and removes them.
///
/// To standard output, the backup is sent when it is complete; until then it is kept in a temporary
/// file.
///
/// Nothing is written into the repository that is read, or into the directory given above it,
/// unless --inside is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 backed up, 2 FILE cannot be a target, or REPO holds several repositories, 3
I/O, 4 damaged, or not a repository, 5 locked, or another process wrote meanwhile.

Examples:
  cimrepo backup D:\\copy\\wbem\\Repository monday.cimbak
  cimrepo backup /evidence/Repository tuesday.cimbak --base monday.cimbak
  cimrepo backup /evidence/Repository all.cimbak --forensic
  cimrepo backup /evidence/Repository - | ssh host 'cat > monday.cimbak'
  cimrepo backup /evidence/Repository monday.cimbak --sign minisign.key
  cimrepo backup D:\\copy\\wbem\\Repository E:\\backups --keep 14 --full-after 6")]
pub struct Arguments {
    /// Directory of the repository, or one above it
    repo: PathBuf,

    /// File to write, - for standard output; with --keep, directory of backups
    file: PathBuf,

    /// Write into a directory of backups, and keep the newest N
    #[arg(long, value_name = "N", conflicts_with = "base")]
    keep: Option<NonZeroUsize>,

    /// In a directory of backups: the number of incremental backups after which a full one follows
    #[arg(long, value_name = "K", default_value_t = 6, requires = "keep")]
    full_after: usize,

    /// In a directory of backups: make this backup full, the first of a new chain
    #[arg(long, requires = "keep")]
    full: bool,

    /// Leave out the pages that this older backup holds; restoring needs both
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,

    /// Zero the unused bytes of pages, which hold remains of deleted objects
    #[arg(long, conflicts_with = "forensic")]
    scrub: bool,

    /// Keep everything: free pages, older generations, pages that do not match their checksum
    #[arg(long)]
    forensic: bool,

    /// Do not compress
    #[arg(long)]
    no_compress: bool,

    /// Do not verify the repository. A backup of a damaged one is then possible, but no restore
    /// takes it
    #[arg(long, conflicts_with = "forensic")]
    no_verify: bool,

    /// Read at most this many bytes a second; K, M and G are powers of 1024
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    rate: Option<NonZeroU64>,

    /// Wait at most this long, in seconds, for another backup to the same FILE or directory
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,

    /// Sign the backup with this secret key of minisign; the signature goes to FILE.minisig.
    /// `cimrepo verify FILE --key` checks it. Needs the feature `sign`
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,

    /// File with the password of KEY, if it has one
    #[arg(long, value_name = "FILE", requires = "sign")]
    password_file: Option<PathBuf>,

    /// Replace FILE even if it is no backup
    #[arg(long, conflicts_with = "keep")]
    overwrite: bool,

    /// Write into the directory of the repository, or into the one given above it
    #[arg(long)]
    inside: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Number of attempts at a backup next to a process that writes.
const MAX_TRIES: u32 = 8;

/// Parses a number of bytes.
fn rate(text: &str) -> Result<NonZeroU64, String> {
    let (digits, unit) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (text.get(..text.len() - 1), 1 << 10),
        Some(b'M') => (text.get(..text.len() - 1), 1 << 20),
        Some(b'G') => (text.get(..text.len() - 1), 1 << 30),
        _ => (Some(text), 1),
    };
    let number: Option<u64> = digits.and_then(|digits| digits.parse().ok());
    let bytes = number
        .and_then(|number| number.checked_mul(unit))
        .and_then(NonZeroU64::new);
    bytes.ok_or_else(|| "give a number of bytes above 0, as 500K, 20M or 1G".to_owned())
}

#[derive(Serialize)]
struct Row {
    file: String,
    identity: String,
    content_identity: String,
    /// Null if no mapping can be read.
    generation: Option<u32>,
    pages: u64,
    pages_in_base: u64,
    bytes: u64,
    findings: u64,
    /// For a damaged repository: the objects named by keys, and how many of them can be read.
    census: Option<Census>,
    /// In a directory of backups: the base, and the backups that were removed.
    base: Option<String>,
    removed: Vec<String>,
    /// Why the newest backup in the directory is not the base.
    broken: Option<String>,
    /// The path of its signature.
    signature: Option<String>,
    journal: JournalRow,
}

/// The new backup, and the fate of older ones.
struct Done {
    summary: BackupSummary,
    census: Option<Census>,
    file: PathBuf,
    base: Option<PathBuf>,
    removed: Vec<PathBuf>,
    broken: Option<cimrepo::Error>,
    not_removed: Option<cimrepo::Error>,
    signature: Option<PathBuf>,
}

impl Done {
    /// A backup in a single file.
    fn of(summary: BackupSummary, file: PathBuf) -> Self {
        let (base, removed) = (None, Vec::new());
        Self {
            summary,
            census: None,
            file,
            base,
            removed,
            broken: None,
            not_removed: None,
            signature: None,
        }
    }
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let path = the_one(&self.repo)?;
        if self.is_piped() && self.sign.is_some() {
            return Err(Failure::usage(
                "a signature lies next to its backup; give a file, and no -",
            ));
        }
        // Read before anything is written, since an unusable key must not result in an unsigned
        // backup.
        let signer = self
            .sign
            .as_deref()
            .map(|key| Signer::load(key, self.password_file.as_deref()))
            .transpose()?;
        if self.is_piped() {
            let piped = of_the_newest(&path, |repository| self.pipe(repository));
            return piped
                .map(|(_, outcome)| outcome)
                .or_else(|failure| self.run_unmapped(&path, failure, None));
        }
        let backed_up = of_the_newest(&path, |repository| {
            if !self.inside {
                inside::refuse(
                    &self.file,
                    &[&self.repo, &repository.files().directory.path],
                )?;
            }
            self.back_up(repository)
        });
        let (repository, mut done) = match backed_up {
            Ok(done) => done,
            Err(failure) => return self.run_unmapped(&path, failure, signer.as_ref()),
        };
        done.signature = signer.map(|signer| signer.sign(&done.file)).transpose()?;
        let damaged = done.summary.damage.as_ref();
        done.census = damaged.map(|_| Catalog::new(repository.snapshot()).readable_objects());
        let summary = &done.summary;
        if let Some(damage) = &summary.damage {
            complain(format_args!("the repository is damaged: {}", damage.first));
            done.census
                .iter()
                .for_each(|census| complain(format_args!("what can be read: {census}")));
            complain(if self.forensic {
                "only `cimrepo restore --damaged` takes this backup, to a new or empty directory"
            } else {
                "no restore takes this backup; a forensic one (--forensic) can be restored as \
                    damaged as it is"
            });
        }
        if let Some(broken) = &done.broken {
            complain(broken.full_text());
            complain(
                "the chain of backups is broken there: this is a full backup, and what is broken \
                    is left as it is",
            );
        }
        even_if_closed(self.print(&done, Some(&repository)))?;
        match done.not_removed {
            Some(error) => Err(Failure::Hinted(
                error,
                "the new backup is in its place; `cimrepo backups prune` tries again".to_owned(),
            )),
            None if done.broken.is_some() => Ok(Outcome::Findings),
            None => Ok(Outcome::Done),
        }
    }

    fn is_piped(&self) -> bool {
        self.file == Path::new("-") && self.keep.is_none()
    }

    /// Backs up to standard output, so messages go to standard error.
    fn pipe(&self, repository: &Repository) -> Result<Outcome, Failure> {
        let mut output = Output::new(false);
        let summary =
            backup_to(repository, output.pipe()?, &self.options(), &Bar::new()).map_err(failed)?;
        if let Some(damage) = &summary.damage {
            complain(format_args!("the repository is damaged: {}", damage.first));
        }
        complain(format_args!(
            "generation {} backed up to standard output: {} pages, {}",
            summary.generation,
            summary.pages,
            human_bytes(summary.bytes)
        ));
        Ok(Outcome::Done)
    }

    /// Backs up what exists of a repository without a readable mapping.
    fn run_unmapped(
        &self,
        path: &Path,
        failure: Failure,
        signer: Option<&Signer>,
    ) -> Result<Outcome, Failure> {
        use cimrepo::Error::NotARepository;
        let has_none = matches!(
            &failure,
            Failure::Engine(NotARepository { .. }) | Failure::Hinted(NotARepository { .. }, _)
        ) && matches!(
            OpenOptions::new().without_journal().open(path),
            Err(NotARepository { .. })
        );
        let Some(files) = has_none.then(|| UnmappedFiles::open(path).ok()).flatten() else {
            return Err(failure);
        };
        if !self.forensic {
            let hint = "a forensic backup (--forensic) takes the files as they are".to_owned();
            return Err(match failure {
                Failure::Engine(error) | Failure::Hinted(error, _) => Failure::Hinted(error, hint),
                other => other,
            });
        }
        if self.base.is_some() {
            let text = "no mapping can be read, so it is unknown which pages the base has already";
            return Err(Failure::usage(format!("{text}; back up without --base")));
        }
        if self.is_piped() {
            return self.pipe_unmapped(&files);
        }
        if self.keep.is_some() {
            let text = "no mapping can be read, so there is no generation that later backups could \
                be based on";
            return Err(Failure::usage(format!(
                "{text}; give a file, and no --keep"
            )));
        }
        if !self.inside {
            inside::refuse(&self.file, &[&self.repo, &files.files().directory.path])?;
        }
        let bar = Bar::new();
        let summary = backup_unmapped(&files, &self.file, &self.options(), &bar).map_err(failed)?;
        drop(bar);
        complain_of_unmapped(&files, &summary);
        let mut done = Done::of(summary, self.file.clone());
        done.signature = signer.map(|signer| signer.sign(&self.file)).transpose()?;
        even_if_closed(self.print(&done, None))?;
        Ok(Outcome::Done)
    }

    /// The same to standard output.
    fn pipe_unmapped(&self, files: &UnmappedFiles) -> Result<Outcome, Failure> {
        let mut output = Output::new(false);
        let (pipe, bar) = (output.pipe()?, Bar::new());
        let summary = backup_unmapped_to(files, pipe, &self.options(), &bar).map_err(failed)?;
        drop(bar);
        complain_of_unmapped(files, &summary);
        complain(format_args!(
            "files without a readable mapping backed up to standard output: {} pages, {}",
            summary.pages,
            human_bytes(summary.bytes)
        ));
        Ok(Outcome::Done)
    }

    fn print(&self, done: &Done, repository: Option<&Repository>) -> Result<(), Failure> {
        let mut output = Output::new(self.json);
        if output.is_json() {
            output.row("backup", &row(done, repository))?;
        } else {
            show(done, repository.is_some(), &mut output)?;
        }
        output.finish()
    }

    fn options(&self) -> BackupOptions {
        BackupOptions {
            compression: if self.no_compress {
                Compression::None
            } else {
                Compression::default()
            },
            base: self.base.clone(),
            scrub: self.scrub,
            forensic: self.forensic,
            skip_verify: self.no_verify,
            threads: None,
            rate: self.rate,
            overwrite: self.overwrite,
            wait: self.wait.map(Duration::from_secs),
        }
    }

    fn back_up(&self, repository: &Repository) -> Result<Done, Failure> {
        let options = self.options();
        let bar = Bar::new();
        let Some(keep) = self.keep else {
            let summary = backup(repository, &self.file, &options, &bar).map_err(failed)?;
            return Ok(Done {
                base: options.base,
                ..Done::of(summary, self.file.clone())
            });
        };
        let options = SetOptions {
            backup: options,
            keep: Some(keep),
            full_after: self.full_after,
            full: self.full,
        };
        let set = BackupSet::create_for(&self.file, &repository.snapshot().protection())?;
        let done = set.back_up(repository, &options, &bar).map_err(failed)?;
        let SetSummary {
            backup: summary,
            path: file,
            base,
            broken,
            removed,
            not_removed,
        } = done;
        Ok(Done {
            base,
            removed,
            broken,
            not_removed,
            ..Done::of(summary, file)
        })
    }
}

/// Says why no mapping was read, which files there are none of, and what takes the backup.
fn complain_of_unmapped(files: &UnmappedFiles, summary: &BackupSummary) {
    if let Some(damage) = &summary.damage {
        complain(&damage.first);
    }
    for role in Space::ALL.map(FileRole::data) {
        if !files.files().has(role) {
            complain(format_args!("{role} is missing"));
        }
    }
    complain("only `cimrepo restore --damaged` takes this backup, to a new or empty directory");
}

/// Runs a backup, and repeats it a limited number of times if another process overwrote what was
/// read and a newer generation exists.
fn of_the_newest<T>(
    path: &Path,
    mut back_up: impl FnMut(&Repository) -> Result<T, Failure>,
) -> Result<(Repository, T), Failure> {
    let mut tries = 1;
    loop {
        let repository = open_repository(path, OpenOptions::new())?;
        match back_up(&repository) {
            Err(Failure::Engine(cimrepo::Error::Overtaken { .. })) if tries < MAX_TRIES => {
                tries += 1
            }
            done => return Ok((repository, done?)),
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The numbers of a backup; `repository` is `None` for files without a generation.
fn row(done: &Done, repository: Option<&Repository>) -> Row {
    let Done {
        summary,
        file,
        base,
        removed,
        broken,
        ..
    } = done;
    Row {
        file: text(file),
        identity: uuid_text(&summary.identity),
        content_identity: hex(&summary.content_identity),
        generation: repository.map(|_| summary.generation),
        pages: summary.pages,
        pages_in_base: summary.pages_in_base,
        bytes: summary.bytes,
        findings: summary.damage.as_ref().map_or(0, |damage| damage.findings),
        census: done.census.clone(),
        base: base.as_deref().map(text),
        removed: removed.iter().map(|path| text(path)).collect(),
        broken: broken.as_ref().map(ToString::to_string),
        signature: done.signature.as_deref().map(text),
        journal: repository
            .map_or(&Journals::default(), Repository::journal)
            .into(),
    }
}

fn show(done: &Done, has_generation: bool, output: &mut Output) -> Result<(), Failure> {
    let Done {
        summary,
        file,
        removed,
        ..
    } = done;
    let base = if summary.pages_in_base > 0 {
        format!(", {} more in the base", summary.pages_in_base)
    } else {
        String::new()
    };
    let what = match has_generation {
        true => format!("generation {}", summary.generation),
        false => "files without a readable mapping".to_owned(),
    };
    output.line(format!(
        "{what} backed up to {}: {} pages{base}, {}",
        escape_path(file),
        summary.pages,
        human_bytes(summary.bytes)
    ))?;
    if let Some(signature) = &done.signature {
        output.line(format!("signed: {}", escape_path(signature)))?;
    }
    for path in removed {
        output.line(format!("removed {}", escape_path(path)))?;
    }
    Ok(())
}

fn failed(error: cimrepo::Error) -> Failure {
    match error {
        cimrepo::Error::Corrupt(_) => Failure::Hinted(
            error,
            "a forensic backup (--forensic) takes what is there".to_owned(),
        ),
        _ => backup_failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn rates_have_units() {
        let bytes = |text| rate(text).ok().map(std::num::NonZeroU64::get);
        assert_eq!(
            [bytes("1"), bytes("500K"), bytes("20m")],
            [Some(1), Some(512_000), Some(20 << 20)]
        );
        assert_eq!(bytes("3G"), Some(3 << 30));
        for none in [
            "",
            "0",
            "0K",
            "-1",
            "K",
            "1.5M",
            "20MB",
            "1€",
            "18446744073709551615K",
        ] {
            assert_eq!(bytes(none), None, "{none}");
        }
    }
}

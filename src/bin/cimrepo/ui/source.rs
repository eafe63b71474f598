//! The sources of a verb: a repository, a backup in place of a repository, or all of them below a
//! directory.

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use cimrepo::Refusal;
use cimrepo::backup::{Backup, OpenBackup};
use cimrepo::base::error::{BackupFault, ExitCode as Outcome};
use cimrepo::base::escape::escape_path;
use cimrepo::base::page_no::Space;
use cimrepo::base::progress::Unobserved;
use cimrepo::base::site::FileRole;
use cimrepo::collection::{Finder, Found};
use cimrepo::forensics::carve::Evidence;
use cimrepo::storage::Directory;
use cimrepo::store::{OpenOptions, Repository, Snapshot, UnmappedFiles};
use clap::Args;

use super::interrupt::{Cancellable, was_requested};
use super::journal;
use super::output::{Failure, Label, argument, complain, complain_of_bug, count};
use super::progress::Bar;

/// Largest number of repositories that a message names.
const NAMED: usize = 10;

/// Selects the state of a source to read.
#[derive(Debug, Clone, Default, Args)]
pub struct ReadArguments {
    /// Read this generation of a repository instead of the current one (`info` lists those on disk)
    #[arg(long, value_name = "N")]
    pub generation: Option<u32>,

    /// Ignore the commits in a journal of cimrepo, which Windows does not see
    #[arg(long)]
    pub no_journal: bool,

    /// File of the base of an incremental backup, if it is not in the same directory; may be given
    /// several times
    #[arg(long, value_name = "FILE")]
    pub base: Vec<PathBuf>,
}

/// The source of a verb that reads only one.
#[derive(Debug, Clone, Args)]
pub struct SourceArguments {
    /// Directory of a repository, or one above it, or a backup
    #[arg(value_name = "REPO|BACKUP")]
    pub path: PathBuf,

    #[command(flatten)]
    pub read: ReadArguments,
}

/// The sources of a verb that reads any number of them.
#[derive(Debug, Clone, Args)]
pub struct SourcesArguments {
    /// Repositories, backups, or directories above repositories, of which all below are read
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub read: ReadArguments,
}

/// An opened source.
#[derive(Debug)]
pub enum Source {
    /// A repository.
    Repository(Box<Repository>),
    /// A backup.
    Backup(Box<Backup>),
}

impl SourcesArguments {
    /// Runs a verb on each source; see [`each`].
    pub fn each(
        &self,
        verb: impl FnMut(&SourceArguments) -> Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        each(&self.paths, &self.read, verb)
    }
}

impl SourceArguments {
    /// Runs a verb on each source that the path names; see [`each`].
    pub fn each(
        &self,
        verb: impl FnMut(&Self) -> Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        each(std::slice::from_ref(&self.path), &self.read, verb)
    }

    /// The only source that the path names: itself, or the only repository below it.
    pub fn the_one(&self) -> Result<Self, Failure> {
        Ok(Self {
            path: the_one(&self.path)?,
            read: self.read.clone(),
        })
    }

    /// Opens the source: a file is a backup, anything else the directory of a repository.
    pub fn open(&self) -> Result<Source, Failure> {
        match self.open_any()? {
            Source::Backup(backup) if backup.is_unmapped() => Err(no_generation(&self.path)),
            source => Ok(source),
        }
    }

    /// Opens the source, for verbs that also accept a backup without a generation.
    pub fn open_any(&self) -> Result<Source, Failure> {
        if self.path.is_file() {
            self.open_backup()
        } else {
            self.open_repository()
        }
    }

    fn open_backup(&self) -> Result<Source, Failure> {
        let open = if self.read.no_journal {
            OpenBackup::new().without_journal()
        } else {
            OpenBackup::new()
        };
        let backup = open_backup_with(open, &self.path, &self.read.base)?;
        let is_replayed = journal::warn(backup.journal());
        DOUBTFUL.fetch_or(!is_replayed, Ordering::Relaxed);
        if backup.is_unmapped() {
            return Ok(Source::Backup(Box::new(backup)));
        }
        let held = backup.header().generation;
        let Some(wanted) = self.read.generation.filter(|&wanted| wanted != held) else {
            return Ok(Source::Backup(Box::new(backup)));
        };
        let path = escape_path(&self.path);
        Err(Failure::usage(if backup.info().forensic {
            let older =
                format!("to read older ones that it may hold, such as {wanted}, restore it");
            format!("{path} is read as generation {held}; {older}")
        } else {
            format!("{path} is a backup of generation {held}; it holds no {wanted}")
        }))
    }

    fn open_repository(&self) -> Result<Source, Failure> {
        if let Some(base) = self.read.base.first() {
            let (path, base) = (escape_path(&self.path), escape_path(base));
            return Err(Failure::usage(format!(
                "{path} is no backup, so --base {base} means nothing"
            )));
        }
        let mut options = OpenOptions::new();
        if let Some(generation) = self.read.generation {
            options = options.generation(generation);
        }
        if self.read.no_journal {
            options = options.without_journal();
        }
        Ok(Source::Repository(Box::new(open_repository(
            &self.path, options,
        )?)))
    }
}

/// Opens a repository to show its content, and reports irregularities. The pages that the newest
/// generation wrote are checked first, even if it is marked as closed in order, because evidence
/// may have been torn later.
pub fn open_repository(path: &Path, options: OpenOptions) -> Result<Repository, Failure> {
    let _running = Cancellable::new();
    let options = options.check_written_pages().cancel_when(was_requested);
    let repository = options.open(path).map_err(repository_failed)?;
    warn(&repository);
    Ok(repository)
}

/// Opens all files of a source for a search of remains, whether or not a mapping can be read.
pub fn open_evidence(source: &SourceArguments) -> Result<Evidence, Failure> {
    let mut options = OpenOptions::new().cancel_when(was_requested);
    if let Some(generation) = source.read.generation {
        options = options.generation(generation);
    }
    if source.read.no_journal {
        options = options.without_journal();
    }
    let _running = Cancellable::new();
    if source.path.is_file() {
        let backup = open_backup(&source.path, &source.read.base)?;
        return Ok(Evidence::of_backup(&backup, options)?);
    }
    let options = options.check_written_pages();
    let evidence = Evidence::open(&Directory::real(&source.path), options);
    let evidence = evidence.map_err(repository_failed)?;
    match evidence.repository() {
        Some(repository) => warn(repository),
        None => complain("no mapping can be read: what is live and what is not cannot be told"),
    }
    Ok(evidence)
}

/// The sources that a path on the command line names.
struct Chosen {
    paths: Vec<PathBuf>,
    /// True if a place below it was skipped.
    is_partial: bool,
}

/// Searches for the repositories that a path names. If there are none, the path stands for itself,
/// and opening it reports the reason.
fn choose(path: &Path) -> Result<Chosen, Failure> {
    let itself = || Chosen {
        paths: vec![path.to_owned()],
        is_partial: false,
    };
    if !path.is_dir() {
        return Ok(itself());
    }
    let found = match Finder::new().find(&Directory::real(path), &Bar::new()) {
        Ok(found) => found,
        Err(error @ cimrepo::Error::Cancelled) => return Err(error.into()),
        Err(_) => return Ok(itself()),
    };
    say_what_was_passed_over(path, &found);
    let is_partial = found.is_partial();
    let paths = if found.repositories.is_empty() {
        itself().paths
    } else {
        found.repositories
    };
    Ok(Chosen { paths, is_partial })
}

fn say_what_was_passed_over(path: &Path, found: &Found) {
    found.passed_over.iter().for_each(complain);
    if found.not_listed > 0 {
        complain(format_args!(
            "… and {} more places were passed over",
            found.not_listed
        ));
    }
    // A path that is itself a repository is not a tree, whatever else is in its directory.
    if found.links > 0 && found.repositories.first().is_none_or(|first| first != path) {
        let links = count(found.links, "symbolic link", "symbolic links");
        complain(format_args!("{}: {links} not followed", escape_path(path)));
    }
}

/// The only source that a path names, for a verb that reads one.
pub fn the_one(path: &Path) -> Result<PathBuf, Failure> {
    let mut paths = choose(path)?.paths;
    match (paths.pop(), paths.len()) {
        (Some(only), 0) => Ok(only),
        (last, _) => {
            paths.extend(last);
            let (path, number) = (escape_path(path), paths.len());
            let names = names(&paths);
            Err(Failure::usage(format!(
                "{path} holds {number} repositories, and this reads one; give one of {names}"
            )))
        }
    }
}

fn names(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths
        .iter()
        .take(NAMED)
        .map(|path| argument(path))
        .collect();
    let more = paths.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(", "))
}

/// Runs a verb on each source that the paths name, once each. If there are several, each line names
/// its source, and a bad source does not prevent the others from being read. The outcome is then
/// the most telling one.
pub fn each(
    paths: &[PathBuf],
    read: &ReadArguments,
    mut verb: impl FnMut(&SourceArguments) -> Result<Outcome, Failure>,
) -> Result<Outcome, Failure> {
    let (mut sources, mut known, mut outcome) = (Vec::new(), HashSet::new(), Outcome::Done);
    for path in paths {
        let chosen = choose(path)?;
        if chosen.is_partial {
            outcome = Outcome::Findings;
        }
        let new =
            |path: &PathBuf| known.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone()));
        sources.extend(chosen.paths.into_iter().filter(new));
    }
    if let [only] = sources.as_slice() {
        let source = SourceArguments {
            path: only.clone(),
            read: read.clone(),
        };
        return Ok(outcome.most_telling(judged(verb(&source)?)));
    }

    let has_backup = sources.iter().any(|path| path.is_file());
    for path in sources {
        let mut source = SourceArguments {
            path,
            read: read.clone(),
        };
        // The given bases belong to the backups among the sources, if there are any.
        if has_backup && !source.path.is_file() {
            source.read.base.clear();
        }
        let _label = Label::new(&source.path);
        // Doubts about one source do not apply to the next.
        DOUBTFUL.store(false, Ordering::Relaxed);
        let one = match catch_unwind(AssertUnwindSafe(|| verb(&source))) {
            Ok(Ok(one)) => judged(one),
            Ok(Err(failure)) if failure.ends_the_run() => return Err(failure),
            Ok(Err(failure)) => failure.report(),
            Err(_) => complain_of_bug(),
        };
        outcome = outcome.most_telling(one);
    }
    Ok(outcome)
}

/// Opens a backup with the given bases.
pub fn open_backup(path: &Path, bases: &[PathBuf]) -> Result<Backup, Failure> {
    open_backup_with(OpenBackup::new(), path, bases)
}

fn open_backup_with(open: OpenBackup, path: &Path, bases: &[PathBuf]) -> Result<Backup, Failure> {
    let _running = Cancellable::new();
    let open = bases
        .iter()
        .fold(open.cancel_when(was_requested), |open, base| {
            open.base(base)
        });
    open.open(path).map_err(backup_failed)
}

/// The failure for a backup that cannot be used, with a hint.
pub fn backup_failed(error: cimrepo::Error) -> Failure {
    let cimrepo::Error::Backup { path, fault } = &error else {
        return error.into();
    };
    let hint = match **fault {
        BackupFault::BaseWrong { .. } => "give the right one with --base FILE".to_owned(),
        BackupFault::NotABackup if path.is_dir() => {
            "it is a directory; give a file that `cimrepo backup` wrote".to_owned()
        }
        BackupFault::NotABackup => match directory_of(path) {
            Some(directory) => format!(
                "it is a file of a repository, which is named by its directory: {directory}"
            ),
            None => "give a file that `cimrepo backup` wrote".to_owned(),
        },
        BackupFault::Truncated(_) | BackupFault::Checksum(_) => {
            "take another copy of it, or another backup".to_owned()
        }
        _ => return error.into(),
    };
    Failure::Hinted(error, hint)
}

/// The failure for a backup of files without a readable mapping.
fn no_generation(path: &Path) -> Failure {
    let reason = "it holds files of which no mapping can be read, and so no generation".into();
    let hint = format!(
        "`cimrepo restore --damaged {} DIR` gives the files back",
        argument(path)
    );
    Failure::Hinted(
        cimrepo::Error::NotARepository {
            path: path.into(),
            reason,
        },
        hint,
    )
}

/// The argument for the directory of the repository that contains a file, judging by the file's
/// name.
fn directory_of(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_string_lossy();
    FileRole::from_file_name(&name)?;
    let parent = file.parent()?;
    Some(argument(if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    }))
}

/// The failure for a repository that cannot be opened, with a hint.
pub fn repository_failed(error: cimrepo::Error) -> Failure {
    let cimrepo::Error::NotARepository { path, .. } = &error else {
        return error.into();
    };
    if let Some(directory) = directory_of(path).filter(|_| path.is_file()) {
        return Failure::Hinted(
            error,
            format!("it is a file of a repository: give {directory}"),
        );
    }
    match UnmappedFiles::open(path) {
        Ok(files) if files.pages(Space::Objects).is_some_and(|pages| pages > 0) => {
            let page = argument(path);
            let hint =
                format!("`cimrepo page {page} objects --physical` lists the objects that are left");
            Failure::Hinted(error, hint)
        }
        _ => error.into(),
    }
}

/// The failure of a verb that writes to a repository. Such a verb does not accept a directory far
/// above it, so the message names the repositories below.
pub fn written_failed(error: cimrepo::Error, given: &Path) -> Failure {
    if !matches!(
        Repository::open_read_only(given),
        Err(cimrepo::Error::NotARepository { .. })
    ) {
        return error.into();
    }
    let found = Finder::new()
        .find(&Directory::real(given), &Unobserved)
        .unwrap_or_default();
    if found.repositories.is_empty()
        || found
            .repositories
            .first()
            .is_some_and(|first| first == given)
    {
        return repository_failed(error);
    }
    let names = names(&found.repositories);
    Failure::Hinted(
        error,
        format!("what is written to is named itself; give one of {names}"),
    )
}

impl Source {
    /// The directories that hold the evidence: that of the repository, and the one that was given.
    pub fn evidence<'s>(&'s self, given: &'s Path) -> Vec<&'s Path> {
        match self {
            Source::Repository(repository) => vec![given, &repository.files().directory.path],
            Source::Backup(_) => Vec::new(),
        }
    }

    /// Its pages.
    pub fn snapshot(&self) -> Snapshot {
        match self {
            Source::Repository(repository) => repository.snapshot(),
            Source::Backup(backup) => backup.snapshot(),
        }
    }
}

/// Reports on standard error the part of a data file that is not examined because the file is too
/// large.
pub fn warn_of_size(files: &UnmappedFiles, looked_at: u32) {
    let pages = files.pages(Space::Objects).unwrap_or(0);
    if pages > u64::from(looked_at) {
        complain(format_args!(
            "OBJECTS.DATA has {pages} pages; the first {looked_at} are looked at"
        ));
    }
}

/// True if [`warn`] reported that a newer state may have been lost.
static DOUBTFUL: AtomicBool = AtomicBool::new(false);

/// The outcome of a verb that has read sources. A state that may not be the newest counts as a
/// finding, whatever else the verb found. This resets the condition for later sources.
pub fn judged(outcome: Outcome) -> Outcome {
    let was_doubtful = DOUBTFUL.swap(false, Ordering::Relaxed);
    if was_doubtful && outcome == Outcome::Done {
        Outcome::Findings
    } else {
        outcome
    }
}

/// Reports irregularities of a repository on standard error.
fn warn(repository: &Repository) {
    let refused = || {
        repository
            .refused()
            .iter()
            .filter(|refusal| !refusal.is_unfinished())
    };
    for refusal in refused() {
        match refusal.generation {
            Some(generation) => {
                let Refusal { role, reason, .. } = refusal;
                complain(format_args!(
                    "generation {generation} ({role}) was refused: {reason}"
                ));
            }
            None => complain(format_args!(
                "{} was refused: {}",
                refusal.role, refusal.reason
            )),
        }
    }
    let generation = repository.snapshot().mapping().generation();
    let newer = refused().find(|refusal| refusal.may_be_newer);
    if !repository.is_whole() {
        complain(format_args!(
            "generation {generation} is not whole; reading what is left of it"
        ));
    } else if let Some(newer) = newer {
        let torn = newer
            .generation
            .filter(|torn| repository.generations().contains(torn));
        let hint = torn.map_or(String::new(), |torn| {
            format!("; --generation {torn} reads what is left of that one")
        });
        complain(format_args!(
            "reading generation {generation}, which is whole; a newer state may be lost{hint}"
        ));
    } else if refused().next().is_some() {
        complain(format_args!(
            "reading generation {generation}, which is whole and the newest"
        ));
    }
    for role in repository.missing() {
        complain(format_args!(
            "{role} is missing; what needs it cannot be read"
        ));
    }
    let is_replayed = journal::warn(repository.journal());
    let is_doubtful = !repository.is_whole() || newer.is_some() || !is_replayed;
    DOUBTFUL.fetch_or(is_doubtful, Ordering::Relaxed);
}

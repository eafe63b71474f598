//! Writing a backup.

use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::base::error::{BackupFault, Error, Result};
use crate::base::escape::escape_path;
use crate::base::limits::{MAX_BACKUP_CHAIN, MAX_MANIFEST_BYTES};
use crate::base::misuse::Misuse;
use crate::base::pace::Paced;
use crate::base::page_no::Space;
use crate::base::parallel::{both_watched, thread_count};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::format::own::backup_file::{BackupFlags, Digest};
use crate::format::own::manifest::Summary;
use crate::pager::files::{DataFiles, RepositoryFiles};
use crate::pager::lock::LockWait;
use crate::storage::{Directory, RealStorage, Storage};
use crate::store::{JournalFate, Journals, OpenOptions, Repository, Snapshot};
use crate::verify::{GenerationReport, VerifyOptions, verify_snapshot};

use super::frame::Spare;
use super::pages::Packer;
use super::read::{Backup, OpenBackup};
use super::scrub::Scrub;
use super::summary::summarise;
use super::target::Target;
use super::writer::{Writer, mapped_places};
use super::{BackupOptions, CHUNK_PAGES};

/// Size of the entry of a chunk in the manifest, in bytes.
const ENTRY_SIZE: u64 = 72;

/// Number of parts into which a backup is divided for early syncs.
const EARLY_SYNCS: usize = 6;

/// Result of a backup.
#[derive(Debug, Clone)]
pub struct BackupSummary {
    /// Identity of the backup, as a UUID.
    pub identity: [u8; 16],
    /// Identity of its content.
    pub content_identity: Digest,
    /// The generation in the backup.
    pub generation: u32,
    /// Number of pages in the backup.
    pub pages: u64,
    /// Number of pages left out because the base holds them.
    pub pages_in_base: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// The damage of the repository. Only a forensic backup accepts a damaged one.
    pub damage: Option<Damage>,
    /// The journals of the repository. A forensic backup carries them; any other contains the state
    /// after their replay. Empty for a snapshot of an engine.
    pub journal: Journals,
}

/// The damage of a repository in a forensic backup. It is restored only on request
/// ([`RestoreOptions::damaged`](crate::restore::RestoreOptions)).
#[derive(Debug, Clone)]
pub struct Damage {
    /// The first finding, or a check that was not possible.
    pub first: String,
    /// Number of findings.
    pub findings: u64,
}

impl Damage {
    fn of(report: GenerationReport) -> Option<Self> {
        let findings = report.findings.len() as u64 + report.not_listed;
        first_reason(&report).map(|first| Self { first, findings })
    }

    /// Damage in the form of commits that cannot be replayed.
    fn of_journals(journals: &Journals) -> Option<Self> {
        let findings = journals.refused().count() as u64;
        let first = journals.refused().find_map(|file| match &file.fate {
            JournalFate::Refused(finding) => Some(finding.to_string()),
            _ => None,
        });
        Some(Self {
            first: first.or_else(|| journals.refused().next().map(|file| file.name.clone()))?,
            findings,
        })
    }
}

/// Backs a repository up to a file in the file system. The backup contains the generation that
/// `repository` has opened, whatever is written in the meantime.
///
/// # Errors
/// Returns [`Error::InvalidArgument`] for an unsuitable target or contradictory options,
/// [`Error::Corrupt`] for a page that does not match its checksum, [`Error::NotARepository`] for
/// anything else that a restore would reject (a forensic backup accepts both), [`Error::Backup`]
/// for a base that is damaged or cannot be used, [`Error::Locked`] while another process writes to
/// the target, [`Error::Io`] if the system refuses, or [`Error::Cancelled`]. An older file of that
/// name is untouched in all of these cases. Returns [`Error::Unconfirmed`] if the last sync of the
/// directory fails; the complete new backup has its name then.
pub fn backup(
    repository: &Repository,
    target: impl AsRef<Path>,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    backup_in(
        repository,
        &(Arc::new(RealStorage) as Arc<dyn Storage>),
        target,
        options,
        observer,
    )
}

/// Backs a repository up to a file in any storage, like [`backup`]. The base is looked for in the
/// same storage.
///
/// # Errors
/// The errors of [`backup`].
pub fn backup_in(
    repository: &Repository,
    storage: &Arc<dyn Storage>,
    target: impl AsRef<Path>,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    if options.scrub && options.forensic {
        return Err(Error::invalid(
            Misuse::Options,
            "a forensic backup keeps everything; it cannot be scrubbed",
        ));
    }
    need_data(repository, options)?;
    need_current(repository, options)?;
    // A forensic backup keeps the files unchanged.
    let snapshot = repository.snapshot();
    let snapshot = if options.forensic {
        snapshot.on_disk()
    } else {
        snapshot
    };
    let written = write(
        &snapshot,
        Some(repository),
        storage,
        target.as_ref(),
        options,
        observer,
    );
    match written {
        // Apparent damage may be pages that another process has overwritten.
        Err(error) if !matches!(error, Error::Cancelled | Error::Unconfirmed { .. }) => {
            match repository.ensure_unchanged() {
                Err(overtaken @ Error::Overtaken { .. }) => Err(overtaken),
                _ => Err(error),
            }
        }
        written => written,
    }
}

/// Number of attempts at a backup next to another process that writes.
const MAX_TRIES: usize = 8;

/// Opens the repository and runs `attempt` on it. Starts again if another process has overwritten
/// what was read, a limited number of times.
fn begin_again<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..MAX_TRIES {
        match attempt() {
            Err(Error::Overtaken { .. }) => {}
            result => return result,
        }
    }
    attempt()
}

/// Opens the repository in a directory and backs it up, including the commits of its journal. If
/// another process overwrites the generation being read, the backup starts again with a newer one,
/// at most 8 times.
///
/// # Errors
/// The errors of [`OpenOptions::open`] and [`backup`], and [`Error::Overtaken`] if the other
/// process was faster each time.
pub fn backup_directory(
    directory: &Directory,
    storage: &Arc<dyn Storage>,
    target: impl AsRef<Path>,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    begin_again(|| {
        let repository = OpenOptions::new().open_in(directory)?;
        backup_in(&repository, storage, target.as_ref(), options, observer)
    })
}

/// Backs up a snapshot of a repository that remains in use. The snapshot keeps its pages from being
/// reused, so the repository can grow by that much (`docs::pausing`). Only one thread is used
/// unless more are requested, and there is a single sync at the end, so that commits are not
/// delayed.
///
/// # Errors
/// The errors of [`backup`], and [`Error::InvalidArgument`] for a forensic backup, because that
/// copies the files, which must be at rest.
pub fn backup_snapshot(
    snapshot: &Snapshot,
    storage: &Arc<dyn Storage>,
    target: impl AsRef<Path>,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    if options.forensic {
        let text = "a forensic backup takes the files as they lie, and they change; pause the \
            repository and back up its directory";
        return Err(Error::invalid(Misuse::Options, text));
    }
    write(snapshot, None, storage, target.as_ref(), options, observer)
}

fn write(
    snapshot: &Snapshot,
    files: Option<&Repository>,
    storage: &Arc<dyn Storage>,
    target: &Path,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    // Next to writers, every further thread or sync may delay a commit.
    let is_beside_writers = files.is_none();
    let fewest = is_beside_writers.then_some(NonZeroUsize::MIN);
    let threads = thread_count(options.threads.or(fewest));

    let observer = &Paced::new(observer, options.rate);
    let base = open_base(storage, snapshot, options, threads)?;
    let mut mapping = snapshot.mapping().clone();
    let packer = packer(snapshot, base.as_ref(), options)?;
    let jobs = packer.jobs();

    // A forensic backup also takes the free pages of the files.
    let forensic = files.filter(|_| options.forensic);
    let data = forensic.map(|repository| repository.files().open_data());
    let data = data.transpose()?;
    let free = data.as_ref().map_or(0, |data| free_count(snapshot, data));
    let total = jobs.iter().map(|job| job.pages.len() as u64).sum::<u64>() + free;
    need_room(total)?;
    let monitor = Monitor::new(observer, Phase::Backup, total);
    monitor.check()?;

    let flags = forensic.map_or(BackupFlags::empty(), |files| flags_of(files.files()));
    let may_go_on = || monitor.check();
    let wait = LockWait::new(options.wait, &may_go_on);
    let place = (storage, target);
    let target = open_target(place, snapshot, base.as_ref(), options, threads, wait)?;
    let mut writer = Writer::begin(target, snapshot, base.as_ref(), options, flags)?;
    let early_syncs = if is_beside_writers { 1 } else { EARLY_SYNCS };

    // Half of the threads verify the pages; the others pack and write them.
    let look = || look(snapshot, options, threads, &monitor);
    let pages = || writer.pages(&packer, &jobs, threads, &monitor, &mut mapping, early_syncs);
    let (looked, written) = both_watched(threads, look, pages, || drop(monitor.check()));
    written?;
    let (summary, report) = looked?;
    if let Some(report) = report.as_ref().filter(|_| !options.forensic) {
        let path = files.map(|files| files.files().directory.path.as_path());
        need_consistent(path.unwrap_or(Path::new("the repository")), report)?;
    }

    writer.manifest.summary = summary;
    writer.mapping(snapshot, &mapping)?;
    if let Some(repository) = files {
        if let Some(data) = &data {
            writer.same_places(snapshot);
            writer.forensic(repository.files(), snapshot, data, &monitor)?;
        }
        // An older backup must not be replaced by one with pages that another process has
        // overwritten.
        repository.ensure_unchanged()?;
    }

    let journal = files.map_or_else(Journals::default, |files| files.journal().clone());
    let cut_off = || Damage::of_journals(&journal).filter(|_| options.forensic);
    let damage = report.and_then(Damage::of).or_else(cut_off);
    Ok(BackupSummary {
        damage,
        journal,
        ..writer.finish(storage, &mapping, base.as_ref())?
    })
}

/// A packer for the pages of a snapshot, according to the options.
fn packer<'a>(
    snapshot: &'a Snapshot,
    base: Option<&'a Backup>,
    options: &BackupOptions,
) -> Result<Packer<'a>> {
    let scrub = options.scrub.then(|| Scrub::new(snapshot.image()));
    Ok(Packer {
        image: snapshot.image(),
        base: base.map(Backup::manifest),
        scrub: scrub.transpose()?,
        is_forensic: options.forensic,
        compression: options.compression,
        spare: Spare::default(),
    })
}

/// Summarises the content of the backup, and verifies it unless the options forbid that.
fn look(
    snapshot: &Snapshot,
    options: &BackupOptions,
    threads: usize,
    monitor: &Monitor<'_>,
) -> Result<(Summary, Option<GenerationReport>)> {
    let is_verified = options.forensic || !options.skip_verify;
    let report = is_verified.then(|| judge(snapshot, threads, options.rate, monitor));
    let report = report.transpose()?;
    monitor.check()?;
    Ok((summarise(snapshot)?, report))
}

/// The flags of a forensic backup of these files, which state whether it carries journals.
pub(super) fn flags_of(files: &RepositoryFiles) -> BackupFlags {
    if files.journals().is_empty() {
        BackupFlags::empty()
    } else {
        BackupFlags::JOURNALS
    }
}

/// Verifies the content in parallel with the backup, without reporting progress.
fn judge(
    snapshot: &Snapshot,
    threads: usize,
    rate: Option<NonZeroU64>,
    monitor: &Monitor<'_>,
) -> Result<GenerationReport> {
    let options = VerifyOptions {
        threads: NonZeroUsize::new(threads),
        all_generations: false,
    };
    let may_go_on = |_| match monitor.check() {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    verify_snapshot(snapshot, options, &Paced::new(&may_go_on, rate))
}

/// Fails if a restore would reject the backup, because it might replace an older one that can be
/// restored.
fn need_consistent(path: &Path, report: &GenerationReport) -> Result<()> {
    let Some(reason) = first_reason(report) else {
        return Ok(());
    };
    let reason = format!(
        "{reason}; no restore would take a backup of it. A forensic backup (--forensic) takes what \
            is there"
    );
    Err(Error::NotARepository {
        path: path.into(),
        reason: reason.into(),
    })
}

fn first_reason(report: &GenerationReport) -> Option<String> {
    let finding = report.first_damage().map(ToString::to_string);
    finding.or_else(|| report.unchecked.first().map(ToString::to_string))
}

/// Fails unless the current generation is the one to be backed up, since a forensic backup restores
/// all files as they are.
fn need_current(repository: &Repository, options: &BackupOptions) -> Result<()> {
    if !options.forensic {
        return Ok(());
    }
    let files = repository.files();
    let current = OpenOptions::new()
        .without_journal()
        .open_in(&files.directory)?
        .snapshot();
    if current.mapping() == repository.snapshot().on_disk().mapping() {
        return Ok(());
    }
    let text = "a forensic backup keeps all generations, and the current one counts: open the \
        repository without choosing another, and while nothing writes to it";
    Err(Error::invalid(Misuse::Options, text))
}

/// Number of physical pages without a mapped page.
fn free_count(snapshot: &Snapshot, data: &DataFiles) -> u64 {
    let count = |space| {
        let pages = data.pages(space).unwrap_or(0);
        pages.saturating_sub(mapped_places(snapshot, space).len() as u64)
    };
    Space::ALL.into_iter().map(count).sum()
}

/// Fails before the start if the manifest, which lists each chunk, would exceed what readers
/// accept.
pub(super) fn need_room(pages: u64) -> Result<()> {
    let max = MAX_MANIFEST_BYTES / ENTRY_SIZE * CHUNK_PAGES as u64;
    let what = "the number of pages in a backup";
    if pages > max {
        Err(Error::Limit {
            what,
            max,
            got: pages,
        })
    } else {
        Ok(())
    }
}

/// Fails if data is missing: a backup needs a whole generation and both data files, except a
/// forensic one.
fn need_data(repository: &Repository, options: &BackupOptions) -> Result<()> {
    let refuse = |path: &Path, reason: String| {
        let reason = format!("{reason}; a forensic backup (--forensic) takes what is there").into();
        Err(Error::NotARepository {
            path: path.into(),
            reason,
        })
    };
    if options.forensic {
        return Ok(());
    }
    if let Some(role) = repository.missing().next() {
        let known = repository
            .refused()
            .iter()
            .find(|refusal| refusal.role == role);
        let reason = known.map_or("the file is missing".to_owned(), |refusal| {
            refusal.reason.to_string()
        });
        return refuse(&repository.files().path(role), reason);
    }
    if !repository.is_whole() {
        let first = repository
            .refused()
            .first()
            .map_or(String::new(), |refusal| format!(": {}", refusal.reason));
        return refuse(
            &repository.files().directory.path,
            format!("no generation is whole{first}"),
        );
    }
    Ok(())
}

fn open_base(
    storage: &Arc<dyn Storage>,
    snapshot: &Snapshot,
    options: &BackupOptions,
    threads: usize,
) -> Result<Option<Backup>> {
    let Some(path) = &options.base else {
        return Ok(None);
    };
    let base = OpenBackup::new().open_in(storage, path)?;
    if base.is_unmapped() {
        let text = "holds no generation; it cannot be the base";
        return Err(Error::invalid(
            Misuse::Base,
            format!("{} {text}", escape_path(path)),
        ));
    }
    if base.header().dialect != snapshot.dialect() {
        let text = "is a backup of the other dialect; it cannot be the base";
        return Err(Error::invalid(
            Misuse::Base,
            format!("{} {text}", escape_path(path)),
        ));
    }
    if base.chain_len() >= MAX_BACKUP_CHAIN {
        let (max, got) = (MAX_BACKUP_CHAIN as u64, base.chain_len() as u64 + 1);
        return Err(Error::Limit {
            what: "the length of a chain of backups",
            max,
            got,
        });
    }
    // Pages that are left out exist only in the base, so they must be right there.
    base.check_chunks(threads)?;
    Ok(Some(base))
}

/// Fails if the target is a file of the base's chain, because replacing it would destroy both
/// backups. Must be called under the lock of the target, so that the file at the target stays until
/// the new backup replaces it.
fn need_no_link(storage: &Arc<dyn Storage>, target: &Path, base: &Backup) -> Result<()> {
    if OpenBackup::identity_in(storage, target)?.is_some_and(|identity| base.has_link(&identity)) {
        let text = "is the base, or what the base is based on; write the incremental backup to \
            another file";
        return Err(Error::invalid(
            Misuse::Base,
            format!("{} {text}", escape_path(target)),
        ));
    }
    Ok(())
}

/// Begins to write the file, unless another backup is being written to it.
pub(super) fn open_target(
    (storage, path): (&Arc<dyn Storage>, &Path),
    snapshot: &Snapshot,
    base: Option<&Backup>,
    options: &BackupOptions,
    threads: usize,
    wait: LockWait<'_>,
) -> Result<Target> {
    let mut rights = snapshot.protection().for_file();
    if let Some(base) = base {
        rights = rights.and(&base.snapshot().protection());
    }
    let target = Target::create(storage, path, &rights, threads, options.overwrite, wait)?;
    if let Some(base) = base {
        need_no_link(storage, path, base)?;
    }
    Ok(target)
}

/// The fault of a backup whose chain is too long.
pub(crate) fn chain_too_long() -> BackupFault {
    BackupFault::Structure(format!(
        "more than {MAX_BACKUP_CHAIN} backups are based on each other"
    ))
}

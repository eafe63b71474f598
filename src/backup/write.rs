//! Writing a backup.

use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::error::{BackupFault, Error, Result};
use crate::base::escape::escape_path;
use crate::base::io_op::IoOp;
use crate::base::limits::{MAX_BACKUP_CHAIN, MAX_MANIFEST_BYTES};
use crate::base::misuse::Misuse;
use crate::base::pace::Paced;
use crate::base::page_no::{PAGE_SIZE, PhysicalPage, Space};
use crate::base::parallel::{both, ordered, thread_count};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::base::random::random_uuid;
use crate::base::site::FileRole;
use crate::format::Dialect;
use crate::format::mapping::Mapping;
use crate::format::own::backup_file::{BackupFlags, ChunkHeader, ChunkKind, Digest, Header, TRAILER_SIZE, Trailer};
use crate::format::own::manifest::{ChunkEntry, Manifest, NO_FILE, PageState, SpaceManifest, is_plain_name};
use crate::pager::files::{DataFile, DataFiles, RepositoryFiles};
use crate::pager::lock::LockWait;
use crate::storage::{Directory, OpenMode, RealStorage, Storage, read_exact_at};
use crate::store::{JournalFate, Journals, OpenOptions, Repository, Snapshot};
use crate::verify::{GenerationReport, VerifyOptions, verify_snapshot};

use super::frame::{Frame, Spare};
use super::identity::{content_identity, digest, identity_of_files, seal};
use super::pages::{Job, Packed, Packer, byte_chunk, page_chunk, same_places};
use super::read::{Backup, OpenBackup, pages_in};
use super::scrub::Scrub;
use super::summary::summarise;
use super::target::Target;
use super::{BackupOptions, CHUNK_PAGES};

/// Bytes that the manifest has for a chunk.
const ENTRY_SIZE: u64 = 72;

/// Bytes of a journal in a chunk at most.
const JOURNAL_PART: u64 = 4 << 20;

/// A sync is begun beside the writing each time one part of this many is written.
const EARLY_SYNCS: usize = 6;

/// What was backed up.
#[derive(Debug, Clone)]
pub struct BackupSummary {
    /// Identity of the backup, a UUID.
    pub identity: [u8; 16],
    /// Identity of its content.
    pub content_identity: Digest,
    /// Generation that was backed up.
    pub generation: u32,
    /// Pages in the backup.
    pub pages: u64,
    /// Pages left out because the base holds them.
    pub pages_in_base: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// What is wrong with the repository; only a forensic backup is made of one that is damaged.
    pub damage: Option<Damage>,
    /// The journals of the repository: a forensic backup carries them, any other is of the state that they were replayed to.
    /// Empty for a snapshot of an engine.
    pub journal: Journals,
}

/// What is wrong with a repository of which a forensic backup was made. It is restored only where that is asked for
/// ([`RestoreOptions::damaged`](crate::restore::RestoreOptions)).
#[derive(Debug, Clone)]
pub struct Damage {
    /// The first finding, or what could not be checked.
    pub first: String,
    /// Findings in all.
    pub findings: u64,
}

impl Damage {
    fn of(report: GenerationReport) -> Option<Self> {
        let findings = report.findings.len() as u64 + report.not_listed;
        first_reason(&report).map(|first| Self { first, findings })
    }

    /// Commits that cannot be replayed.
    fn of_journals(journals: &Journals) -> Option<Self> {
        let findings = journals.refused().count() as u64;
        let first = journals.refused().find_map(|file| match &file.fate {
            JournalFate::Refused(finding) => Some(finding.to_string()),
            _ => None,
        });
        Some(Self { first: first.or_else(|| journals.refused().next().map(|file| file.name.clone()))?, findings })
    }
}

/// Backs a repository up to a file of the file system. The generation that `repository` has opened is backed up, whatever
/// is written meanwhile.
///
/// # Errors
/// [`Error::InvalidArgument`] for a target that cannot be one, or options that exclude each other; [`Error::Corrupt`] for a
/// page that does not match its checksum, [`Error::NotARepository`] for anything else that a restore would refuse (a forensic
/// backup takes it as it is); [`Error::Backup`] for a base that cannot be used, or is damaged; [`Error::Locked`] while another
/// process writes to the target; [`Error::Io`] when the system refuses; [`Error::Cancelled`]. An older file of that name is untouched then.
/// [`Error::Unconfirmed`] when the system refuses the last sync of the directory: the new backup, complete, has its name.
pub fn backup(
    repository: &Repository,
    target: impl AsRef<Path>,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    backup_in(repository, &(Arc::new(RealStorage) as Arc<dyn Storage>), target, options, observer)
}

/// As [`backup`], to a file of any storage; the base is looked for in the same.
///
/// # Errors
/// As [`backup`].
pub fn backup_in(
    repository: &Repository,
    storage: &Arc<dyn Storage>,
    target: impl AsRef<Path>,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    if options.scrub && options.forensic {
        return Err(Error::invalid(Misuse::Options, "a forensic backup keeps everything; it cannot be scrubbed"));
    }
    need_data(repository, options)?;
    need_current(repository, options)?;
    // A forensic backup keeps the files as they lie.
    let snapshot = repository.snapshot();
    let snapshot = if options.forensic { snapshot.on_disk() } else { snapshot };
    let written = write(&snapshot, Some(repository), storage, target.as_ref(), options, observer);
    match written {
        // What looks like damage may be pages that another process wrote over.
        Err(error) if !matches!(error, Error::Cancelled | Error::Unconfirmed { .. }) => {
            match repository.ensure_unchanged() {
                Err(overtaken @ Error::Overtaken { .. }) => Err(overtaken),
                _ => Err(error),
            }
        }
        written => written,
    }
}

/// How often a backup is begun, beside a process that writes, before it is given up.
const MAX_TRIES: usize = 8;

/// Does something with a repository that is opened anew for it; begins again when another process wrote over what was read, at
/// most as often as a reader does.
fn begin_again<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..MAX_TRIES {
        match attempt() {
            Err(Error::Overtaken { .. }) => {}
            result => return result,
        }
    }
    attempt()
}

/// Opens the repository in a directory and backs it up, with what its journal holds. While another process writes, it begins
/// again with a newer generation when the one that was read is written over, at most 8 times.
///
/// # Errors
/// As [`OpenOptions::open`] and [`backup`]; [`Error::Overtaken`] when the other process was faster each time.
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

/// Backs up what a snapshot shows, of a repository that is being written meanwhile. The snapshot keeps the pages that it
/// shows; the repository can grow by no more than those (`docs::pausing`). One thread does it unless more are asked for, and
/// syncs once, in the end: so a commit waits for neither.
///
/// # Errors
/// As [`backup`]; [`Error::InvalidArgument`] for a forensic backup too: it takes files as they lie, which must be at rest.
pub fn backup_snapshot(
    snapshot: &Snapshot,
    storage: &Arc<dyn Storage>,
    target: impl AsRef<Path>,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    if options.forensic {
        let text = "a forensic backup takes the files as they lie, and they change; pause the repository and back up its directory";
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
    // Beside writers: every thread more, and every sync more, is one that a commit waits for.
    let is_beside_writers = files.is_none();
    let threads = thread_count(options.threads.or(is_beside_writers.then_some(NonZeroUsize::MIN)));
    let observer = &Paced::new(observer, options.rate);
    let base = open_base(storage, snapshot, options, threads)?;
    let mut mapping = snapshot.mapping().clone();
    let scrub = if options.scrub { Some(Scrub::new(snapshot.image())?) } else { None };
    let packer = Packer {
        image: snapshot.image(),
        base: base.as_ref().map(Backup::manifest),
        scrub,
        is_forensic: options.forensic,
        compression: options.compression,
        spare: Spare::default(),
    };
    let jobs = packer.jobs();
    let data = match files.filter(|_| options.forensic) {
        Some(repository) => Some(repository.files().open_data()?),
        None => None,
    };
    let free = data.as_ref().map_or(0, |data| free_count(snapshot, data));
    let total = jobs.iter().map(|job| job.pages.len() as u64).sum::<u64>() + free;
    need_room(total)?;
    let monitor = Monitor::new(observer, Phase::Backup, total);
    monitor.check()?;
    let flags = files.filter(|_| options.forensic).map_or(BackupFlags::empty(), |files| flags_of(files.files()));
    let may_go_on = || monitor.check();
    let wait = LockWait::new(options.wait, &may_go_on);
    let target = open_target((storage, target), snapshot, base.as_ref(), options, threads, wait)?;
    let mut writer = Writer::begin(target, snapshot, base.as_ref(), options, flags)?;
    let early_syncs = if is_beside_writers { 1 } else { EARLY_SYNCS };
    let is_verified = options.forensic || !options.skip_verify;
    let look = || {
        let report = if is_verified { Some(judge(snapshot, threads, options.rate, &monitor)?) } else { None };
        Ok::<_, Error>((summarise(snapshot)?, report))
    };
    let (looked, written) =
        both(threads, look, || writer.pages(&packer, &jobs, threads, &monitor, &mut mapping, early_syncs));
    written?;
    let (summary, report) = looked?;
    if let Some(report) = report.as_ref().filter(|_| !options.forensic) {
        need_consistent(files.map_or(Path::new("the repository"), |files| &files.files().directory.path), report)?;
    }
    writer.manifest.summary = summary;
    writer.mapping(snapshot, &mapping)?;
    if let Some(repository) = files {
        if let Some(data) = &data {
            writer.same_places(snapshot);
            writer.forensic(repository.files(), snapshot, data, &monitor)?;
        }
        // Before an older backup gives way to one of pages that another process wrote over.
        repository.ensure_unchanged()?;
    }
    let journal = files.map(|files| files.journal().clone()).unwrap_or_default();
    let damage = report.and_then(Damage::of).or_else(|| Damage::of_journals(&journal).filter(|_| options.forensic));
    Ok(BackupSummary { damage, journal, ..writer.finish(storage, &mapping, base.as_ref())? })
}

/// Whether a forensic backup of these files carries journals.
pub(super) fn flags_of(files: &RepositoryFiles) -> BackupFlags {
    if files.journals().is_empty() { BackupFlags::empty() } else { BackupFlags::JOURNALS }
}

/// Verifies what is backed up, beside the backing up; its progress is not told.
fn judge(
    snapshot: &Snapshot,
    threads: usize,
    rate: Option<NonZeroU64>,
    monitor: &Monitor<'_>,
) -> Result<GenerationReport> {
    let options = VerifyOptions { threads: NonZeroUsize::new(threads), all_generations: false };
    let may_go_on = |_| match monitor.check() {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    verify_snapshot(snapshot, options, &Paced::new(&may_go_on, rate))
}

/// A backup that no restore would take, and that may take the place of an older one that does, is none.
fn need_consistent(path: &Path, report: &GenerationReport) -> Result<()> {
    let Some(reason) = first_reason(report) else { return Ok(()) };
    let reason =
        format!("{reason}; no restore would take a backup of it. A forensic backup (--forensic) takes what is there");
    Err(Error::NotARepository { path: path.into(), reason: reason.into() })
}

fn first_reason(report: &GenerationReport) -> Option<String> {
    let finding = report.first_damage().map(ToString::to_string);
    finding.or_else(|| report.unchecked.first().map(ToString::to_string))
}

/// A forensic backup restores all files as they are, so what counts among them must be what is backed up.
fn need_current(repository: &Repository, options: &BackupOptions) -> Result<()> {
    if !options.forensic {
        return Ok(());
    }
    let files = repository.files();
    let current = OpenOptions::new().without_journal().open_in(&files.directory)?.snapshot();
    if current.mapping() == repository.snapshot().on_disk().mapping() {
        return Ok(());
    }
    let text = "a forensic backup keeps all generations, and the current one counts: open the repository without choosing \
                another, and while nothing writes to it";
    Err(Error::invalid(Misuse::Options, text))
}

/// Physical pages that no mapped page lies in.
fn free_count(snapshot: &Snapshot, data: &DataFiles) -> u64 {
    let count = |space| {
        let pages = data.pages(space).unwrap_or(0);
        pages.saturating_sub(mapped_places(snapshot, space).len() as u64)
    };
    Space::ALL.into_iter().map(count).sum()
}

fn mapped_places(snapshot: &Snapshot, space: Space) -> BTreeSet<u32> {
    snapshot.mapping().section(space).mapped().map(|(_, physical, _)| physical.get()).collect()
}

/// The manifest names each chunk; one that no reader would believe is not begun.
pub(super) fn need_room(pages: u64) -> Result<()> {
    let max = MAX_MANIFEST_BYTES / ENTRY_SIZE * CHUNK_PAGES as u64;
    let what = "the number of pages in a backup";
    if pages > max { Err(Error::Limit { what, max, got: pages }) } else { Ok(()) }
}

/// A backup needs a whole generation and both data files; a forensic one takes what is there.
fn need_data(repository: &Repository, options: &BackupOptions) -> Result<()> {
    let refuse = |path: &Path, reason: String| {
        let reason = format!("{reason}; a forensic backup (--forensic) takes what is there").into();
        Err(Error::NotARepository { path: path.into(), reason })
    };
    if options.forensic {
        return Ok(());
    }
    if let Some(role) = repository.missing().next() {
        let known = repository.refused().iter().find(|refusal| refusal.role == role);
        let reason = known.map_or("the file is missing".to_owned(), |refusal| refusal.reason.to_string());
        return refuse(&repository.files().path(role), reason);
    }
    if !repository.is_whole() {
        let first = repository.refused().first().map_or(String::new(), |refusal| format!(": {}", refusal.reason));
        return refuse(&repository.files().directory.path, format!("no generation is whole{first}"));
    }
    Ok(())
}

fn open_base(
    storage: &Arc<dyn Storage>,
    snapshot: &Snapshot,
    options: &BackupOptions,
    threads: usize,
) -> Result<Option<Backup>> {
    let Some(path) = &options.base else { return Ok(None) };
    let base = OpenBackup::new().open_in(storage, path)?;
    if base.is_unmapped() {
        let text = "holds no generation; it cannot be the base";
        return Err(Error::invalid(Misuse::Base, format!("{} {text}", escape_path(path))));
    }
    if base.header().dialect != snapshot.dialect() {
        let text = "is a backup of the other dialect; it cannot be the base";
        return Err(Error::invalid(Misuse::Base, format!("{} {text}", escape_path(path))));
    }
    if base.chain_len() >= MAX_BACKUP_CHAIN {
        let (max, got) = (MAX_BACKUP_CHAIN as u64, base.chain_len() as u64 + 1);
        return Err(Error::Limit { what: "the length of a chain of backups", max, got });
    }
    // What is left out is in no other file, so it must be right there.
    base.check_chunks(threads)?;
    Ok(Some(base))
}

/// Refuses to replace a link of the chain by what is based on it, which would leave neither. To be asked under the lock of the target:
/// what has its name then stays until the new backup takes it.
fn need_no_link(storage: &Arc<dyn Storage>, target: &Path, base: &Backup) -> Result<()> {
    if OpenBackup::identity_in(storage, target)?.is_some_and(|identity| base.has_link(&identity)) {
        let text = "is the base, or what the base is based on; write the incremental backup to another file";
        return Err(Error::invalid(Misuse::Base, format!("{} {text}", escape_path(target))));
    }
    Ok(())
}

/// Begins to write to the file, when no other backup is being written to it.
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

pub(super) struct Writer<'o> {
    target: Target,
    options: &'o BackupOptions,
    header: Header,
    header_bytes: Vec<u8>,
    manifest: Manifest,
}

impl<'o> Writer<'o> {
    /// Begins a backup of what a snapshot shows, which has these flags beyond those that follow from the options.
    pub(super) fn begin(
        mut target: Target,
        snapshot: &Snapshot,
        base: Option<&Backup>,
        options: &'o BackupOptions,
        mut flags: BackupFlags,
    ) -> Result<Self> {
        flags.set(BackupFlags::INCREMENTAL, base.is_some());
        flags.set(BackupFlags::SCRUBBED, options.scrub);
        flags.set(BackupFlags::FORENSIC, options.forensic);
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let header = Header {
            identity: random_uuid(),
            base: base.map(|base| (base.header().identity, *base.seal())),
            created: u64::try_from(created).unwrap_or(u64::MAX),
            dialect: snapshot.dialect(),
            generation: snapshot.mapping().generation(),
            transaction: snapshot.mapping().transaction(),
            flags,
        };
        let header_bytes = header.to_bytes().to_vec();
        target.append(&header_bytes)?;
        let pages = |space| vec![PageState::Unmapped; snapshot.mapping().section(space).entries.len()];
        let space = |space| SpaceManifest { pages: pages(space), file_length: 0 };
        let spaces = [space(Space::Objects), space(Space::Index)];
        let manifest = Manifest { spaces, ..Manifest::default() };
        Ok(Self { target, options, header, header_bytes, manifest })
    }

    /// All mapped pages, in chunks. `mapping` gets the checksums of scrubbed ones.
    fn pages(
        &mut self,
        packer: &Packer<'_>,
        jobs: &[Job],
        threads: usize,
        monitor: &Monitor<'_>,
        mapping: &mut Mapping,
        early_syncs: usize,
    ) -> Result<()> {
        let job = |scratch: &mut Frame, number: usize| match jobs.get(number) {
            Some(job) => packer.run(job, scratch, monitor).map(Some),
            None => Ok(None),
        };
        let is_scrubbed = packer.scrub.is_some();
        let mut done = 0;
        let part = jobs.len().div_ceil(early_syncs);
        let take = |packed: Option<Packed>| {
            let Some(packed) = packed else { return Ok(()) };
            monitor.check()?; // here too: only the thread of the call knows a COM client's wish
            if done > 0 && done % part == 0 {
                self.target.sync_early();
            }
            done += 1;
            if is_scrubbed {
                restate_checksums(mapping, &packed);
            }
            packer.spare.give(self.take(packed)?);
            Ok(())
        };
        ordered(jobs.len(), threads, Frame::default, job, take)
    }

    /// Writes the chunk; gives back its buffer.
    fn take(&mut self, packed: Packed) -> Result<Frame> {
        let [objects, index] = &mut self.manifest.spaces;
        let space = if packed.space == Space::Objects { objects } else { index };
        for done in &packed.pages {
            if let Some(state) = space.pages.get_mut(done.page.index()) {
                *state =
                    if done.is_included { PageState::Included(done.digest) } else { PageState::InBase(done.digest) };
            }
        }
        if let Some(header) = packed.header {
            self.chunk(header, packed.frame.filled(), Digest::default())?;
        }
        Ok(packed.frame)
    }

    fn chunk(&mut self, header: ChunkHeader, bytes: &[u8], digest: Digest) -> Result<()> {
        let offset = self.target.append(bytes)?;
        self.manifest.chunks.push(ChunkEntry { offset, header, digest });
        Ok(())
    }

    /// The mapping of the generation; the first chunk of its kind.
    fn mapping(&mut self, snapshot: &Snapshot, mapping: &Mapping) -> Result<()> {
        let role = match (mapping.dialect, snapshot.image().mapping_role()) {
            (Dialect::V22, _) => FileRole::Mapping(Mapping::slot_of(mapping.generation())),
            (Dialect::V21, role @ FileRole::Mapping(_)) => role,
            (Dialect::V21, _) => FileRole::Mapping(1),
        };
        self.bytes(ChunkKind::File(role), &mapping.to_bytes())
    }

    fn bytes(&mut self, kind: ChunkKind, bytes: &[u8]) -> Result<()> {
        self.numbered_bytes(kind, (0, 0), bytes)
    }

    fn numbered_bytes(&mut self, kind: ChunkKind, numbers: (u32, u32), bytes: &[u8]) -> Result<()> {
        let digest = digest(bytes);
        let (header, frame) = byte_chunk(kind, numbers, bytes, self.options.compression);
        self.chunk(header, frame.filled(), digest)
    }

    /// The pages that lie where a lower one lies.
    fn same_places(&mut self, snapshot: &Snapshot) {
        for space in Space::ALL {
            let [objects, index] = &mut self.manifest.spaces;
            let states = if space == Space::Objects { &mut objects.pages } else { &mut index.pages };
            for (page, lowest) in same_places(snapshot.mapping().section(space)) {
                let digest = states.get(lowest.index()).and_then(PageState::digest).copied();
                if let (Some(state), Some(digest)) = (states.get_mut(page.index()), digest) {
                    *state = PageState::Same(lowest, digest);
                }
            }
        }
    }

    /// Everything else that the files hold: mapping files as they are, free pages, ends of files.
    pub(super) fn forensic(
        &mut self,
        files: &RepositoryFiles,
        snapshot: &Snapshot,
        data: &DataFiles,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        for role in FileRole::REPOSITORY.into_iter().filter(|role| !matches!(role, FileRole::Objects | FileRole::Index))
        {
            if let Some(bytes) = files.read(role)? {
                self.bytes(ChunkKind::File(role), &bytes)?;
            }
        }
        self.journals(files, monitor)?;
        for space in Space::ALL {
            let length = match data.get(space) {
                Some(file) => self.data_file(snapshot, space, file, monitor)?,
                None => NO_FILE,
            };
            let [objects, index] = &mut self.manifest.spaces;
            (if space == Space::Objects { objects } else { index }).file_length = length;
        }
        Ok(())
    }

    /// Every journal, byte for byte, in parts. What is appended to one meanwhile is left out.
    fn journals(&mut self, files: &RepositoryFiles, monitor: &Monitor<'_>) -> Result<()> {
        for (generation, name) in distinct(files.journals()) {
            let path = files.directory.join(name);
            let failed = |action| {
                let path = path.clone();
                move |error| Error::io(action, &path, error)
            };
            let file = files.directory.storage.open(&path, OpenMode::Read).map_err(failed(IoOp::Open))?;
            let length = file.len().map_err(failed(IoOp::Metadata))?;
            let mut part = 0;
            loop {
                monitor.check()?;
                let start = u64::from(part) * JOURNAL_PART;
                let mut bytes = vec![0; usize::try_from(length.saturating_sub(start).min(JOURNAL_PART)).unwrap_or(0)];
                read_exact_at(file.as_ref(), start, &mut bytes).map_err(failed(IoOp::Read))?;
                self.numbered_bytes(ChunkKind::Journal, (generation, part), &bytes)?;
                part += 1;
                if u64::from(part) * JOURNAL_PART >= length {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What a data file holds besides mapped pages; gives its length.
    fn data_file(&mut self, snapshot: &Snapshot, space: Space, file: &DataFile, monitor: &Monitor<'_>) -> Result<u64> {
        let mapped = mapped_places(snapshot, space);
        let pages = u32::try_from(file.len / PAGE_SIZE as u64).unwrap_or(u32::MAX);
        let mut free = (0..pages).filter(|page| !mapped.contains(page));
        loop {
            let numbers: Vec<u32> = free.by_ref().take(CHUNK_PAGES).collect();
            if numbers.is_empty() {
                break;
            }
            self.free_pages(space, file, &numbers)?;
            monitor.advance(numbers.len() as u64)?;
        }
        self.tail(space, file)?;
        Ok(file.len)
    }

    fn free_pages(&mut self, space: Space, file: &DataFile, numbers: &[u32]) -> Result<()> {
        let mut pages = vec![0; numbers.len() * PAGE_SIZE];
        for (&number, page) in numbers.iter().zip(pages.chunks_exact_mut(PAGE_SIZE)) {
            let Some(physical) = PhysicalPage::new(number) else { continue };
            let read = read_exact_at(file.file.as_ref(), physical.byte_offset(), page);
            read.map_err(|error| Error::io(IoOp::Read, &file.path, error))?;
        }
        let (header, frame) = page_chunk(ChunkKind::FreePages(space), numbers, &pages, self.options.compression);
        self.chunk(header, frame.filled(), digest(&pages))
    }

    fn tail(&mut self, space: Space, file: &DataFile) -> Result<()> {
        let len = usize::try_from(file.len % PAGE_SIZE as u64).unwrap_or(0);
        if len == 0 {
            return Ok(());
        }
        let mut bytes = vec![0; len];
        let read = read_exact_at(file.file.as_ref(), file.len - len as u64, &mut bytes);
        read.map_err(|error| Error::io(IoOp::Read, &file.path, error))?;
        self.bytes(ChunkKind::Tail(space), &bytes)
    }

    /// Manifest, trailer, and the name.
    pub(super) fn finish(
        mut self,
        storage: &Arc<dyn Storage>,
        mapping: &Mapping,
        base: Option<&Backup>,
    ) -> Result<BackupSummary> {
        let [objects, index] = &self.manifest.spaces;
        self.manifest.content_identity = match self.header.is_unmapped() {
            true => identity_of_files(&self.manifest.chunks),
            false => content_identity(mapping, [objects, index]),
        };
        if let Some(path) = base.map(Backup::path) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // It is a hint: without one the base is found by its identity.
            self.manifest.base_name = if is_plain_name(&name) { name.into_owned() } else { String::new() };
        }
        let manifest = self.manifest.to_bytes();
        let (what, got) = ("the size of the manifest of a backup in bytes", manifest.len() as u64);
        if got > MAX_MANIFEST_BYTES {
            return Err(Error::Limit { what, max: MAX_MANIFEST_BYTES, got });
        }
        let manifest_offset = self.target.append(&manifest)?;
        let trailer = Trailer {
            file_length: self.target.written() + TRAILER_SIZE as u64,
            manifest_offset,
            manifest_length: manifest.len() as u64,
            identity: self.header.identity,
            seal: seal(&self.header_bytes, &manifest),
        };
        self.target.append(&trailer.to_bytes())?;
        let pages = || self.manifest.spaces.iter().flat_map(|space| &space.pages);
        let summary = BackupSummary {
            identity: self.header.identity,
            content_identity: self.manifest.content_identity,
            generation: self.header.generation,
            pages: pages_in(&self.header, &self.manifest),
            pages_in_base: pages().filter(|page| matches!(page, PageState::InBase(_))).count() as u64,
            bytes: trailer.file_length,
            damage: None,
            journal: Journals::default(),
        };
        // Another backup may have taken the place of the base meanwhile.
        self.target.publish(|| base.map_or(Ok(()), |base| base.need_in_place(storage)))?;
        Ok(summary)
    }
}

/// Of journals whose names differ in the case of letters alone, which the engine never makes, the first.
fn distinct(journals: &[(u32, String)]) -> impl Iterator<Item = (u32, &str)> {
    let runs = journals.chunk_by(|(a, _), (b, _)| a == b);
    runs.filter_map(|run| run.first().map(|(generation, name)| (*generation, name.as_str())))
}

/// Puts the checksums of changed pages into the mapping.
fn restate_checksums(mapping: &mut Mapping, packed: &Packed) {
    if mapping.dialect == Dialect::V21 {
        return;
    }
    let section = mapping.section_mut(packed.space);
    for done in &packed.pages {
        if let Some(entry) = section.entries.get_mut(done.page.index()) {
            entry.checksum = done.checksum;
        }
    }
}

/// The fault of a backup whose chain is longer than allowed.
pub(crate) fn chain_too_long() -> BackupFault {
    BackupFault::Structure(format!("more than {MAX_BACKUP_CHAIN} backups are based on each other"))
}

//! Opening for writing: the current generation, and the commits that the journal holds beyond it.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use crate::base::corruption::CorruptionCode;
use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::progress::Unobserved;
use crate::btree::edit;
use crate::format::Dialect;
use crate::format::checksum::crc32;
use crate::format::journal::{CommitBuilder, JournalOp, MappingId};
use crate::heap::edit::HeapEditor;
use crate::pager::files::RepositoryFiles;
use crate::pager::generation::read_all;
use crate::pager::image::Image;
use crate::pager::journal::{self, Journal, JournalScan};
use crate::pager::recover::{Choice, choose_among, choose_newest};
use crate::pager::working::Working;
use crate::repository::Snapshot;
use crate::repository::gate::Gate;
use crate::repository::lock::WriterLock;
use crate::storage::Directory;
use crate::verify::{VerifyOptions, verify_snapshot};

use super::background::Background;
use super::checkpoint::{OnDisk, make_durable};
use super::group_commit::GroupCommit;
use super::{Engine, EngineOptions, Shared, Writer};

/// Opens a repository for writing.
pub(super) fn open(directory: &Directory, options: EngineOptions) -> Result<Engine> {
    let directory = RepositoryFiles::locate(directory)?.directory;
    // W-9: what is built on is looked at under the lock.
    let lock = WriterLock::acquire(&directory, "write")?;
    let files = RepositoryFiles::list(directory)?;
    files.need_own()?;
    let data = files.open_data()?;
    let newest = choose_newest(&files, &data)?;
    let has_others = newest.is_none();
    let (current, crc, generations) = match newest {
        Some((newest, crc)) => (newest.clone(), crc, vec![newest]),
        None => {
            let (generations, refused) = read_all(&files, &data)?;
            let chosen = choose_among((generations.clone(), refused), &files, &data, Choice::default())?;
            let bytes = files.read(chosen.current.role)?.unwrap_or_default();
            (chosen.current, crc32(&bytes), generations)
        }
    };
    let path = files.directory.path.as_path();
    if current.mapping.dialect == Dialect::V21 {
        let text =
            format!("{} is of dialect 2.1, which is only read; convert it to 2.2 to write in it", escape_path(path));
        return Err(Error::Unsupported(text.into()));
    }
    if let Some(finding) = current.findings.first() {
        let reason =
            format!("no generation is whole ({finding}); restore a backup, what is damaged must not be built on");
        return Err(Error::NotARepository { path: path.into(), reason: reason.into() });
    }
    let id = MappingId { generation: current.mapping.generation(), mapping_crc: crc };
    let image = Image::new(current.mapping, current.role, Box::new(data), options.cache_pages);
    let mut on_disk = OnDisk {
        generations,
        has_others,
        current: current.role,
        id,
        is_marked_open: false,
        is_confirmed: false,
        unsettled: None,
        left_journal: None,
        bases: vec![Arc::downgrade(image.base())],
        released: [Vec::new(), Vec::new()],
    };
    if has_others {
        on_disk.reconstruct_released();
    }
    let writer = recover(&files, id, image)?;
    let published = Arc::new(writer.working.image().clone());
    if options.verify {
        need_sound(&files.directory, Snapshot::new(published.clone()))?;
    }
    let with_thread = options.background;
    let shared = Arc::new(Shared {
        files,
        options,
        gate: Gate::default(),
        writer: Arc::new(Mutex::new(writer)),
        on_disk: Mutex::new(on_disk),
        group: GroupCommit::default(),
        published: RwLock::new(published),
        poison: OnceLock::new(),
        last_stamp: AtomicU64::new(0),
        _lock: lock,
    });
    let background = if with_thread { Background::start(&shared) } else { None };
    Ok(Engine { shared, background })
}

/// Findings that no write makes worse: what they are about is left as it is, and nothing is built on it.
const HARMLESS: [CorruptionCode; 8] = [
    CorruptionCode::IndexUnderfull,
    CorruptionCode::MappingFreeBytes,
    CorruptionCode::RecordIdRepeated,
    CorruptionCode::RecordLastWrite,
    CorruptionCode::RecordOrphan,
    CorruptionCode::ReferencePage,
    CorruptionCode::ReferenceRecord,
    CorruptionCode::ReferenceSize,
];

fn need_sound(directory: &Directory, snapshot: Snapshot) -> Result<()> {
    let report = verify_snapshot(&snapshot, VerifyOptions::default(), &Unobserved)?;
    let worst = report.findings.iter().find(|finding| !HARMLESS.contains(&finding.code)).map(ToString::to_string);
    let unchecked = report.unchecked.first().map(ToString::to_string);
    let Some(what) = worst.or(unchecked) else { return Ok(()) };
    let text = "what is damaged must not be built on. Restore a backup; `cimrepo verify` lists all findings";
    let reason = format!("{what}; {text}");
    Err(Error::NotARepository { path: directory.path.as_path().into(), reason: reason.into() })
}

/// The state with the commits of the journals that continue the generation, in their order (`docs::journal`).
fn recover(files: &RepositoryFiles, current: MappingId, image: Image) -> Result<Writer> {
    let directory = &files.directory;
    let role = image.mapping_role();
    let next_commit = u64::from(image.mapping().transaction()) + 1;
    let mut writer = Writer {
        working: Working::new(image),
        heap: None,
        journal: None,
        journal_since: None,
        next_commit,
        spare: CommitBuilder::new(),
        is_unlogged: false,
    };
    let mut scans = Vec::new();
    for (_, name) in journal::list(directory)? {
        match Journal::scan(directory, &name)? {
            Some(scan) => scans.push((name, scan)),
            // Its header never became whole, so no commit in it was ever acknowledged.
            None => journal::remove(directory, &name)?,
        }
    }
    let mut last = None;
    let mut wanted = Some(current);
    while let Some(id) = wanted.take() {
        let is_next = |scan: &JournalScan| match &last {
            None => scan.header().base == id,
            Some(_) => scan.header().previous == id && scan.header().base != id,
        };
        let Some(place) = scans.iter().position(|(_, scan)| is_next(scan)) else { break };
        let (_, mut scan) = scans.swap_remove(place);
        replay(&mut writer, &mut scan)?;
        wanted = Some(scan.header().base);
        last = Some(scan);
    }
    if !scans.is_empty() {
        // J-7: the generation that makes them stale is seen; it is not durable where its writer died before its last sync.
        make_durable(files, role)?;
    }
    for (name, scan) in scans {
        discard(directory, &name, &scan, current)?;
    }
    if let Some(scan) = last {
        writer.next_commit = scan.next_number().unwrap_or(writer.next_commit);
        writer.journal = Some(Journal::resume(scan)?);
        writer.journal_since = Some(Instant::now());
    }
    Ok(writer)
}

/// A journal that continues no generation there is: stale, or else something is missing that it continues.
fn discard(directory: &Directory, name: &str, scan: &JournalScan, current: MappingId) -> Result<()> {
    let generation = scan.header().base.generation;
    if generation <= current.generation {
        return journal::remove(directory, name);
    }
    let reason = format!(
        "{name} holds commits that continue generation {generation}, which is not there or damaged; the newest whole one is {}. \
         Restore a backup, or move the journal away to go on without those commits",
        current.generation
    );
    Err(Error::NotARepository { path: directory.path.as_path().into(), reason: reason.into() })
}

fn replay(writer: &mut Writer, scan: &mut JournalScan) -> Result<()> {
    while let Some(commit) = scan.next_commit()? {
        for operation in commit.operations() {
            apply(writer, operation?)?;
        }
        writer.settle();
    }
    Ok(())
}

fn apply(writer: &mut Writer, operation: JournalOp<'_>) -> Result<()> {
    let Writer { working, heap, .. } = writer;
    match operation {
        JournalOp::InsertKey(key) => edit::insert(working, key).map(drop),
        JournalOp::DeleteKey(key) => edit::remove(working, key).map(drop),
        JournalOp::PutRecord { page, id, bytes } => {
            let heap = heap.get_or_insert_with(|| HeapEditor::new(working));
            heap.insert_at(working, page, id, bytes).map(drop)
        }
        JournalOp::DeleteRecord(reference) => {
            let heap = heap.get_or_insert_with(|| HeapEditor::new(working));
            heap.remove(working, reference)
        }
    }
}

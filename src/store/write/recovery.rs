//! Opening for writing: the current generation with the commits of its journals.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use crate::base::corruption::CorruptionCode;
use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::format::Dialect;
use crate::format::checksum::crc32;
use crate::format::own::journal::{CommitBuilder, MappingId};
use crate::gate::Gate;
use crate::pager::files::RepositoryFiles;
use crate::pager::generation::read_all;
use crate::pager::generation::recover::{Choice, choose_among, choose_newest};
use crate::pager::journal::{self, Journal};
use crate::pager::lock::WriterLock;
use crate::pager::state::image::Image;
use crate::storage::Directory;
use crate::store::Snapshot;
use crate::store::read::journals;
use crate::store::read::journals::{JournalFate, JournalFile};
use crate::store::read::replay::Replay;

use super::background::Background;
use super::checkpoint::{OnDisk, make_durable};
use super::group_commit::GroupCommit;
use super::{Engine, EngineOptions, Shared, Writer};

/// Opens a repository for writing.
pub(super) fn open(directory: &Directory, options: EngineOptions) -> Result<Engine> {
    let directory = RepositoryFiles::locate(directory)?.directory;
    // W-9: everything that is built on is examined under the lock.
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
            let chosen = choose_among(
                (generations.clone(), refused),
                &files,
                &data,
                Choice::default(),
            )?;
            let bytes = files.read(chosen.current.role)?.unwrap_or_default();
            (chosen.current, crc32(&bytes), generations)
        }
    };
    let path = files.directory.path.as_path();
    if current.mapping.dialect == Dialect::V21 {
        let text = format!(
            "{} is of dialect 2.1, which is only read; convert it to 2.2 to write in it",
            escape_path(path)
        );
        return Err(Error::Unsupported(text.into()));
    }
    if let Some(finding) = current.findings.first() {
        let reason = format!(
            "no generation is whole ({finding}); restore a backup, what is damaged must not be \
                built on"
        );
        return Err(Error::NotARepository {
            path: path.into(),
            reason: reason.into(),
        });
    }
    let id = MappingId {
        generation: current.mapping.generation(),
        mapping_crc: crc,
    };
    let image = Image::new(
        current.mapping,
        current.role,
        Box::new(data),
        options.cache_pages,
    );
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
    if let Some(check) = options.check {
        check(&files.directory, &Snapshot::new(published.clone()))?;
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
        referrers: Mutex::default(),
        _lock: lock,
    });
    let background = if with_thread {
        Background::start(&shared)
    } else {
        None
    };
    Ok(Engine { shared, background })
}

/// The state with the commits of the journals that continue the generation, in their order
/// (`docs::journal`).
fn recover(files: &RepositoryFiles, current: MappingId, image: Image) -> Result<Writer> {
    let directory = &files.directory;
    let role = image.mapping_role();
    let next_commit = u64::from(image.mapping().transaction()) + 1;
    let mut replay = Replay::new(image);
    let mut found = journals::find(directory, files.journals())?;
    let last = journals::replay_all(&mut found, current, &mut replay, &|| true)?;
    for one in &found {
        need_replayed(directory, &one.file)?;
    }
    if found.iter().any(|one| one.file.fate == JournalFate::Stale) {
        // J-7: the generation that makes them stale is visible, but not durable if its writer died
        // before its last sync.
        make_durable(files, role)?;
    }
    for JournalFile { name, fate, .. } in found.iter().map(|one| &one.file) {
        // If the header was never complete, no commit in the journal was ever acknowledged.
        if matches!(fate, JournalFate::Stale | JournalFate::Unfinished) {
            journal::remove(directory, name)?;
        }
    }
    drop(found);
    let Replay { working, heap, .. } = replay;
    let mut writer = Writer {
        working,
        heap,
        journal: None,
        journal_since: None,
        next_commit,
        spare: CommitBuilder::new(),
        is_unlogged: false,
    };
    if let Some(scan) = last {
        writer.next_commit = scan.next_number().unwrap_or(writer.next_commit);
        writer.journal = Some(Journal::resume(scan)?);
        writer.journal_since = Some(Instant::now());
    }
    Ok(writer)
}

/// Fails if acknowledged commits are missing, since nothing may be built on such a state.
fn need_replayed(directory: &Directory, file: &JournalFile) -> Result<()> {
    let finding = match &file.fate {
        JournalFate::Refused(finding) => finding,
        JournalFate::UnknownVersion(version) => {
            let path = directory.join(&file.name);
            let text = format!(
                "{}: journal format version {version} is unknown; use a newer cimrepo",
                escape_path(path)
            );
            return Err(Error::Unsupported(text.into()));
        }
        _ => return Ok(()),
    };
    if finding.code != CorruptionCode::JournalUnplaced {
        return Err(finding.clone().into());
    }
    let reason = format!(
        "{finding}. Restore a backup, or move the journal away to go on without those commits"
    );
    Err(Error::NotARepository {
        path: directory.path.as_path().into(),
        reason: reason.into(),
    })
}

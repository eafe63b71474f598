//! Checkpoints, which turn all commits into a generation of the repository (`docs::invariants`, W-2
//! to W-5).

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::limits::MAX_MAPPING_BYTES;
use crate::base::page_no::{LogicalPage, PhysicalPage, Space};
use crate::base::site::{FileRole, Site};
use crate::base::trace::tell;
use crate::base::widen;
use crate::format::checksum::crc32;
use crate::format::mapping::{Mapping, MappingSection};
use crate::format::own::journal::MappingId;
use crate::pager::files::RepositoryFiles;
use crate::pager::generation::commit::{
    Failed, FreePages, NextGeneration, next_section, released, withdraw,
};
use crate::pager::generation::{Generation, read_some};
use crate::pager::journal::{self, Journal};
use crate::pager::page::Page;
use crate::pager::page::cache::PageCache;
use crate::pager::page::run::Run;
use crate::pager::state::image::{Base, Image};
use crate::storage::{Directory, OpenMode, read_whole};

use super::{Shared, Writer};

/// A page released in generation G may be reused in generation G + 5 and later (`docs::format`,
/// "The reuse rule").
pub(super) const REUSE_LAG: u32 = 5;

/// The content of the files, and the parts of it that must stay.
#[derive(Debug)]
pub(super) struct OnDisk {
    /// The mapping files, as far as they can be read.
    pub generations: Vec<Generation>,
    /// True if all of them are present; opening reads only the current one.
    pub has_others: bool,
    /// The file of the current one.
    pub current: FileRole,
    /// The identity of the generation in the header of a journal.
    pub id: MappingId,
    /// True if this engine has written a generation that is marked as open.
    pub is_marked_open: bool,
    /// True if the current generation is known to be durable, because this engine wrote it or has
    /// synced it.
    pub is_confirmed: bool,
    /// The file of a mapping whose write failed and which may count (W-12).
    pub unsettled: Option<FileRole>,
    /// The generation for which a journal was begun that could be neither finished nor removed.
    pub left_journal: Option<u32>,
    /// The generations that snapshots use.
    pub bases: Vec<Weak<Base>>,
    /// For each space, the known pages that each generation released.
    pub released: [Vec<(u32, Vec<PhysicalPage>)>; 2],
}

/// The flag at the end of a mapping: the repository is in use, or was closed in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Open,
    Closed,
}

/// A changed page with its new place.
struct Placed {
    page: LogicalPage,
    physical: PhysicalPage,
    bytes: Arc<Page>,
}

impl Shared {
    /// True if the journal is long enough or old enough for a checkpoint.
    pub(super) fn is_due(&self) -> bool {
        if self.poison.get().is_some() {
            return false;
        }
        self.writer.try_lock().is_some_and(|writer| {
            let is_old = writer
                .journal_since
                .is_some_and(|since| since.elapsed() >= self.options.checkpoint_age);
            is_old
                || writer
                    .journal
                    .as_ref()
                    .is_some_and(|journal| journal.len() >= self.options.checkpoint_bytes)
        })
    }

    /// Writes the commits since the last checkpoint as a generation.
    pub(super) fn checkpoint(&self) -> Result<()> {
        self.check()?;
        let mut writer = self.writer.lock();
        self.fold(&mut writer, Mark::Open)?;
        drop(writer);
        tell!(
            DEBUG,
            "a checkpoint is done: everything committed is in the files"
        );
        Ok(())
    }

    /// Writes all commits as a generation, and marks the repository as closed in order.
    pub(super) fn close(&self) -> Result<()> {
        self.check()?;
        let mut writer = self.writer.lock();
        self.fold(&mut writer, Mark::Closed)
    }

    /// Commits the running transaction by writing it as a generation.
    pub(super) fn commit_by_checkpoint(&self, writer: &mut Writer) -> Result<()> {
        let mut image = writer.working.image().clone();
        image.overlay_mut().commits += 1;
        let image = self.write_generation(&image, Mark::Open)?;
        writer.settle();
        writer.next_commit += 1;
        self.begin_anew(writer, image)
    }

    pub(super) fn fold(&self, writer: &mut Writer, mark: Mark) -> Result<()> {
        // A frame that could not be removed disappears with its journal (J-3).
        let is_broken = writer.journal.as_ref().is_some_and(Journal::is_broken);
        let is_clean = writer.working.image().overlay().is_empty() && !is_broken;
        let mut on_disk = self.on_disk.lock();
        on_disk.settle(self)?;
        let needs_mark = mark == Mark::Closed && on_disk.is_marked_open;
        if is_clean && !needs_mark {
            return self.watch(on_disk.confirm(self));
        }
        drop(on_disk);
        let image = self.write_generation(writer.working.image(), mark)?;
        self.begin_anew(writer, image)
    }

    /// Starts over after everything has been written to the generation of `image`, so that the
    /// journal is no longer needed.
    pub(super) fn begin_anew(&self, writer: &mut Writer, image: Image) -> Result<()> {
        writer.working.rebase(image.clone());
        writer.is_unlogged = false;
        writer.journal_since = None;
        self.group.settle_all(|image| self.publish(image));
        self.publish(Arc::new(image));
        // J-7: the mapping is durable. If removing the journal fails, it remains, but is recognised
        // as stale.
        if let Some(journal) = writer.journal.take()
            && let Some(name) = journal
                .path()
                .file_name()
                .and_then(|name| name.to_str())
                .map(str::to_owned)
        {
            drop(journal);
            journal::remove(&self.files.directory, &name).ok();
        }
        Ok(())
    }

    /// Writes a state as the next generation. Returns it as it is on disk.
    fn write_generation(&self, image: &Image, mark: Mark) -> Result<Image> {
        let mut on_disk = self.on_disk.lock();
        self.watch(on_disk.write(self, image, mark))
    }

    /// W-12: poisons the engine after a failed sync that nothing can make up for.
    pub(super) fn watch<T>(&self, written: Result<T, Failed>) -> Result<T> {
        written.map_err(|failed| {
            let is_unsynced = matches!(failed, Failed::Unsynced(_));
            let error = Error::from(failed);
            if is_unsynced {
                self.poison(&error);
            }
            error
        })
    }

    /// Makes a state visible to new snapshots.
    pub(super) fn publish(&self, image: Arc<Image>) {
        *self.published.write() = image;
    }
}

impl OnDisk {
    fn write(&mut self, shared: &Shared, image: &Image, mark: Mark) -> Result<Image, Failed> {
        self.need_unchanged(shared)?;
        self.need_others(shared)?;
        let next = NextGeneration::begin(shared.files.clone(), &self.generations, self.current)?;
        let prepared = self.prepare(&next, image);
        let [(objects, in_objects), (index, in_index)] = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                next.abort();
                return Err(error.into());
            }
        };
        let base = image.base().mapping();
        let transaction = base.transaction().wrapping_add(image.overlay().commits);
        let mapping = next.seal(objects, index, transaction, u32::from(mark == Mark::Closed));
        let image = self.install(shared, next, mapping, base)?;
        for (space, placed) in [(Space::Objects, in_objects), (Space::Index, in_index)] {
            let cache = image.base().cache();
            placed
                .into_iter()
                .for_each(|placed| cache.insert(space, placed.page, placed.bytes));
        }
        Ok(image)
    }

    /// W-2: reads the mapping files that opening skipped. Their pages must not be overwritten, so
    /// all of them have to be known before anything is written.
    pub(super) fn need_others(&mut self, shared: &Shared) -> Result<()> {
        if !self.has_others {
            let data = shared.files.open_data()?;
            let (others, _) = read_some(&shared.files, &data, |role| role != self.current)?;
            self.generations.extend(others);
            self.has_others = true;
            self.reconstruct_released();
        }
        Ok(())
    }

    /// W-12: withdraws the mapping that a failed write may have left. Nothing else is written until
    /// that succeeds, because a commit in the journal of the present generation would be lost if
    /// the other one counts.
    pub(super) fn settle(&mut self, shared: &Shared) -> Result<()> {
        if let Some(role) = self.unsettled {
            shared.watch(withdraw(&shared.files, role))?;
            self.unsettled = None;
        }
        Ok(())
    }

    /// Ensures that the files can be built on: they are the ones that this engine knows, and
    /// nothing that it began is unsettled.
    pub(super) fn need_unchanged(&mut self, shared: &Shared) -> Result<()> {
        self.settle(shared)?;
        let unchanged = self.check_unchanged(&shared.files);
        if let Err(error @ Error::Changed { .. }) = &unchanged {
            shared.poison(error);
        }
        unchanged
    }

    /// Detects changes by other programs. W-9 excludes writers that respect the lock. If one does
    /// not, or the files were replaced, the mapping is not the one that this engine knows, or a
    /// data file ends before a page that the mapping names.
    fn check_unchanged(&self, files: &RepositoryFiles) -> Result<()> {
        // Opened by path, because the listing may be older than the file.
        let path = files.path(self.current);
        let failed =
            |op| move |error| changed_if_gone(Error::io(op, &files.path(self.current), error));
        let file = files
            .directory
            .storage
            .open(&path, OpenMode::Read)
            .map_err(failed(IoOp::Open))?;
        let mapping = read_whole(file.as_ref(), MAX_MAPPING_BYTES).map_err(failed(IoOp::Read))?;
        if crc32(&mapping) != self.id.mapping_crc {
            return Err(changed(path));
        }
        let data = files.open_data().map_err(changed_if_gone)?;
        let current = self
            .generations
            .iter()
            .find(|found| found.role == self.current);
        for space in Space::ALL {
            let mapped = current
                .into_iter()
                .flat_map(|found| found.mapping.section(space).mapped());
            let last = mapped
                .map(|(_, physical, _)| u64::from(physical.get()) + 1)
                .max()
                .unwrap_or(0);
            if data.pages(space).is_none_or(|pages| pages < last) {
                return Err(changed(files.path(FileRole::data(space))));
            }
        }
        Ok(())
    }

    /// W-16: makes durable what another process wrote and this one builds on or has shown. That
    /// process may have died, or met an error, before its last sync.
    pub(super) fn confirm(&mut self, shared: &Shared) -> Result<(), Failed> {
        if self.is_confirmed {
            return Ok(());
        }
        make_durable(&shared.files, self.current)?;
        self.is_confirmed = true;
        Ok(())
    }

    /// Commits a generation that follows the one with the mapping `old`. Returns it as it is on
    /// disk.
    pub(super) fn install(
        &mut self,
        shared: &Shared,
        next: NextGeneration,
        mapping: Mapping,
        old: &Mapping,
    ) -> Result<Image, Failed> {
        // Opened first, so that nothing can fail after the switch.
        let source = match shared.files.open_data() {
            Ok(source) => Box::new(source),
            Err(error) => {
                next.abort();
                return Err(error.into());
            }
        };
        let bytes = mapping.to_bytes();
        let role = FileRole::Mapping(Mapping::slot_of(mapping.generation()));
        next.publish(&bytes).inspect_err(|failed| {
            self.doubt(role);
            if let Failed::Unsettled(_) = failed {
                self.unsettled = Some(role);
            }
        })?;
        let mapping = Arc::new(mapping);
        self.note(old, &mapping, &bytes);
        let cache = match self.bases.last().and_then(Weak::upgrade) {
            Some(base) => base.cache().next(base.mapping(), &mapping),
            None => PageCache::new(&mapping, shared.options.cache_pages),
        };
        let image = Image::with_cache(mapping, self.current, source, cache);
        self.bases.push(Arc::downgrade(image.base()));
        Ok(image)
    }

    /// W-4: a file that may have been written in part no longer holds a whole generation. Its pages
    /// are still not reused.
    fn doubt(&mut self, role: FileRole) {
        for found in self
            .generations
            .iter_mut()
            .filter(|found| found.role == role)
        {
            let detail = "a later generation was begun in this file";
            found.findings.push(Corruption::new(
                CorruptionCode::MappingStamp,
                Site::file(role),
                detail,
            ));
        }
    }

    /// Finds a place for each changed page and writes the page there.
    fn prepare(
        &self,
        next: &NextGeneration,
        image: &Image,
    ) -> Result<[(MappingSection, Vec<Placed>); 2]> {
        let [objects, index] = Space::ALL.map(|space| self.prepare_space(next, image, space));
        Ok([objects?, index?])
    }

    fn prepare_space(
        &self,
        next: &NextGeneration,
        image: &Image,
        space: Space,
    ) -> Result<(MappingSection, Vec<Placed>)> {
        let base = image.base().mapping();
        let pinned = self.pinned();
        let pinned: Vec<&Mapping> = pinned.iter().map(|base| base.mapping()).collect();
        let held = self.held(space, next.generation());
        let mut free = FreePages::new(space, base, &self.generations, &pinned, held);
        let mut placed = Vec::new();
        for (page, slot) in image.overlay().table(space).iter() {
            if let Some(bytes) = slot.page() {
                placed.push(Placed {
                    page,
                    physical: free.take()?,
                    bytes: bytes.clone(),
                });
            }
        }
        let mut places = placed.iter().map(|placed| placed.physical);
        let entries =
            image
                .overlay()
                .entries(space, base.section(space), next.generation(), |_| {
                    places.next()
                });
        let section = next_section(base.section(space), entries, free.size());
        write_pages(next, space, &placed)?;
        Ok((section, placed))
    }

    /// The generations that live snapshots use (W-10).
    pub(super) fn pinned(&self) -> Vec<Arc<Base>> {
        self.bases.iter().filter_map(Weak::upgrade).collect()
    }

    /// Pages that were released too recently to be reused.
    pub(super) fn held(
        &self,
        space: Space,
        generation: u32,
    ) -> impl Iterator<Item = &PhysicalPage> {
        let [objects, index] = &self.released;
        let released = if space == Space::Objects {
            objects
        } else {
            index
        };
        let is_recent = move |released_in: u32| generation < released_in.saturating_add(REUSE_LAG);
        released
            .iter()
            .filter(move |(released_in, _)| is_recent(*released_in))
            .flat_map(|(_, pages)| pages)
    }

    /// Records the pages that a generation released, and forgets those that no later generation
    /// needs to know.
    pub(super) fn note_released(&mut self, old: &Mapping, new: &Mapping) {
        let generation = new.generation();
        for (space, noted) in Space::ALL.into_iter().zip(&mut self.released) {
            noted.push((generation, released(old.section(space), new.section(space))));
            noted.retain(|(released_in, _)| generation < released_in.saturating_add(REUSE_LAG));
        }
    }

    /// Reconstructs the pages released by the last generations from the mapping files, each
    /// compared with the one before it. Pages released earlier are not recorded anywhere; of those,
    /// the ones that have been free longest are reused first.
    pub(super) fn reconstruct_released(&mut self) {
        let mut generations = std::mem::take(&mut self.generations);
        generations.sort_by_key(|found| found.mapping.generation());
        let whole: Vec<&Mapping> = generations
            .iter()
            .filter(|found| found.findings.is_empty())
            .map(|found| &*found.mapping)
            .collect();
        for pair in whole.windows(2) {
            if let [old, new] = *pair
                && old.generation().checked_add(1) == Some(new.generation())
            {
                self.note_released(old, new);
            }
        }
        self.generations = generations;
    }

    /// Records that the generation is on disk.
    fn note(&mut self, old: &Mapping, mapping: &Arc<Mapping>, bytes: &[u8]) {
        let generation = mapping.generation();
        self.note_released(old, mapping);
        self.current = FileRole::Mapping(Mapping::slot_of(generation));
        self.generations.retain(|found| found.role != self.current);
        self.generations
            .push(Generation::whole(self.current, mapping.clone()));
        self.id = MappingId {
            generation,
            mapping_crc: crc32(bytes),
        };
        self.is_marked_open = mapping.shutdown_flag == 0;
        self.is_confirmed = true;
        self.bases.retain(|base| base.strong_count() > 0);
    }
}

/// The error for files that are not the ones this engine knows.
fn changed(path: PathBuf) -> Error {
    let advice = "nothing more is written to it: close it, verify it, and open it again";
    Error::Changed {
        path: path.into(),
        advice,
    }
}

/// Converts the error for a known file that is missing: another program removed it.
fn changed_if_gone(error: Error) -> Error {
    match error {
        Error::Io { path, source, .. } if source.kind() == ErrorKind::NotFound => {
            changed(path.into())
        }
        error => error,
    }
}

/// W-16: syncs everything that belongs to the generation in the mapping file `current`. Another
/// process wrote it, and it is not written again, so a failed sync cannot be made up for (W-12).
pub(super) fn make_durable(files: &RepositoryFiles, current: FileRole) -> Result<(), Failed> {
    for role in [FileRole::Objects, FileRole::Index, current] {
        // Opened by path, because the listing may be older than the file.
        let path = files.path(role);
        let file = files.directory.storage.open(&path, OpenMode::Write);
        let file = file.map_err(|error| Error::io(IoOp::Open, &path, error))?;
        file.sync()
            .map_err(|error| Failed::Unsynced(Error::io(IoOp::Sync, &path, error)))?;
    }
    let Directory { storage, path } = &files.directory;
    let synced = storage.sync_dir(path);
    synced.map_err(|error| Failed::Unsynced(Error::io(IoOp::SyncDirectory, path, error)))
}

/// Writes pages in order of their places, neighbours together.
fn write_pages(next: &NextGeneration, space: Space, placed: &[Placed]) -> Result<()> {
    let mut order: Vec<&Placed> = placed.iter().collect();
    order.sort_unstable_by_key(|placed| placed.physical);
    let mut run = Run::default();
    for placed in order {
        run.push(placed.physical, &placed.bytes, |first, pages| {
            next.write_pages(space, first, pages)
        })?;
    }
    run.flush(|first, pages| next.write_pages(space, first, pages))
}

const _: () = assert!(widen(REUSE_LAG) > 3, "more than there are mapping files");

//! Checkpoints: all commits become a generation of the repository (`docs::invariants`, W-2 to W-5).

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Arc, Weak};

use crate::base::error::{Error, Result};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PhysicalPage, Space};
use crate::base::site::FileRole;
use crate::base::widen;
use crate::format::checksum::crc32;
use crate::format::journal::MappingId;
use crate::format::mapping::{Mapping, MappingSection};
use crate::pager::commit::{FreePages, NextGeneration, next_section};
use crate::pager::generation::Generation;
use crate::pager::image::{Base, Image};
use crate::pager::journal;
use crate::pager::page::Page;
use crate::pager::page_table::Slot;

use super::{Shared, Writer};

/// A page released in generation G may be taken for generation G + 5 and later (`docs::format`, "The reuse rule").
const REUSE_LAG: u32 = 5;

/// Bytes of neighbouring pages that are written at once.
const WRITE_SIZE: usize = 1 << 20;

/// What the files hold, and what must stay in them.
#[derive(Debug)]
pub(super) struct OnDisk {
    /// The mapping files, as far as they can be read.
    pub generations: Vec<Generation>,
    /// The file of the current one.
    pub current: FileRole,
    /// What the journal names it by.
    pub id: MappingId,
    /// Whether this engine has written a generation that is marked as open.
    pub is_marked_open: bool,
    /// The generations that snapshots see.
    pub bases: Vec<Weak<Base>>,
    /// By space: how many pages which generation released, the oldest first; they stand in that order at the end of the free
    /// list.
    pub released: [VecDeque<(u32, usize)>; 2],
}

/// Whether the repository is in use or closed in order: what the flag at the end of a mapping says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Open,
    Closed,
}

/// A page on its way to its place.
struct Placed {
    page: LogicalPage,
    physical: PhysicalPage,
    bytes: Arc<Page>,
}

impl Shared {
    /// Whether the journal is so long or so old that a checkpoint should be made.
    pub(super) fn is_due(&self) -> bool {
        if self.poison.get().is_some() {
            return false;
        }
        self.writer.try_lock().is_some_and(|writer| {
            let is_old = writer.journal_since.is_some_and(|since| since.elapsed() >= self.options.checkpoint_age);
            is_old || writer.journal.as_ref().is_some_and(|journal| journal.len() >= self.options.checkpoint_bytes)
        })
    }

    /// Writes what was committed since the last checkpoint.
    pub(super) fn checkpoint(&self) -> Result<()> {
        self.check()?;
        let mut writer = self.writer.lock();
        self.fold(&mut writer, Mark::Open)
    }

    /// Writes what was committed, and marks the repository as closed in order.
    pub(super) fn close(&self) -> Result<()> {
        self.check()?;
        let mut writer = self.writer.lock();
        self.fold(&mut writer, Mark::Closed)
    }

    /// Commits the transaction that runs by writing it as a generation.
    pub(super) fn commit_by_checkpoint(&self, writer: &mut Writer) -> Result<()> {
        let mut image = writer.working.image().clone();
        image.overlay_mut().commits += 1;
        let image = self.write_generation(&image, Mark::Open)?;
        writer.settle();
        writer.next_commit += 1;
        self.begin_anew(writer, image)
    }

    fn fold(&self, writer: &mut Writer, mark: Mark) -> Result<()> {
        let is_clean = writer.working.image().overlay().is_empty();
        let needs_mark = mark == Mark::Closed && self.on_disk.lock().is_marked_open;
        if is_clean && !needs_mark {
            return Ok(());
        }
        let image = self.write_generation(writer.working.image(), mark)?;
        self.begin_anew(writer, image)
    }

    /// Everything is in the generation that `image` shows: the journal is not needed any more.
    fn begin_anew(&self, writer: &mut Writer, image: Image) -> Result<()> {
        writer.working.rebase(image.clone());
        writer.is_unlogged = false;
        writer.journal_since = None;
        self.group.settle_all(|image| self.publish(image));
        self.publish(Arc::new(image));
        // J-7: the mapping is durable. A journal that stays behind, because this fails, is stale and known as that.
        if let Some(journal) = writer.journal.take()
            && let Some(name) = journal.path().file_name().and_then(|name| name.to_str()).map(str::to_owned)
        {
            drop(journal);
            journal::remove(&self.files.directory, &name).ok();
        }
        Ok(())
    }

    /// Writes a state as the next generation; gives it as it is on disk.
    fn write_generation(&self, image: &Image, mark: Mark) -> Result<Image> {
        let mut on_disk = self.on_disk.lock();
        let written = on_disk.write(self, image, mark);
        written.inspect_err(|error| {
            if !is_harmless(error) {
                self.poison(error);
            }
        })
    }

    /// Makes a state the one that new snapshots see.
    pub(super) fn publish(&self, image: Arc<Image>) {
        *self.published.write() = image;
    }
}

/// W-12: whether the engine can go on after a failed checkpoint: no space was left for new pages, and nothing was lost.
fn is_harmless(error: &Error) -> bool {
    matches!(error, Error::Io { action, source, .. } if source.kind() == ErrorKind::StorageFull && *action != "sync")
}

impl OnDisk {
    fn write(&mut self, shared: &Shared, image: &Image, mark: Mark) -> Result<Image> {
        let next = NextGeneration::begin(shared.files.clone(), &self.generations, self.current)?;
        let prepared = self.prepare(&next, image);
        let [(objects, in_objects), (index, in_index)] = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                next.abort();
                return Err(error);
            }
        };
        let base = image.base().mapping();
        let transaction = base.transaction().wrapping_add(image.overlay().commits);
        let mapping = next.seal(objects, index, transaction, u32::from(mark == Mark::Closed));
        let bytes = mapping.to_bytes();
        next.publish(&bytes)?;
        self.note(image, &mapping, &bytes, mark);
        let source = Box::new(shared.files.open_data()?);
        let cache = image.base().cache().next(base, &mapping);
        for (space, placed) in [(Space::Objects, in_objects), (Space::Index, in_index)] {
            placed.into_iter().for_each(|placed| cache.insert(space, placed.page, placed.bytes));
        }
        let image = Image::with_cache(mapping, self.current, source, cache);
        self.bases.push(Arc::downgrade(image.base()));
        Ok(image)
    }

    /// Finds a place for each changed page and writes it there.
    fn prepare(&self, next: &NextGeneration, image: &Image) -> Result<[(MappingSection, Vec<Placed>); 2]> {
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
        // W-10.
        let pinned: Vec<Arc<Base>> = self.bases.iter().filter_map(Weak::upgrade).collect();
        let pinned: Vec<&Mapping> = pinned.iter().map(|base| base.mapping()).collect();
        let held = self.held(space, next.generation());
        let mut free = FreePages::new(space, base, &self.generations, &pinned, held);
        let mut placed = Vec::new();
        for (page, slot) in image.overlay().table(space).iter() {
            if let Slot::Page { bytes, .. } = slot {
                placed.push(Placed { page, physical: free.take()?, bytes: bytes.clone() });
            }
        }
        let mut places = placed.iter().map(|placed| placed.physical);
        let entries = image.overlay().entries(space, base.section(space), next.generation(), |_| places.next());
        let section = next_section(base.section(space), entries, free.size());
        write_pages(next, space, &placed)?;
        Ok((section, placed))
    }

    /// Pages at the end of the free list that were released too recently to be taken for a generation.
    fn held(&self, space: Space, generation: u32) -> usize {
        let [objects, index] = &self.released;
        let released = if space == Space::Objects { objects } else { index };
        let recent = released.iter().filter(|(released_in, _)| generation < released_in.saturating_add(REUSE_LAG));
        recent.map(|(_, count)| count).sum()
    }

    /// The generation is on disk.
    fn note(&mut self, image: &Image, mapping: &Mapping, bytes: &[u8], mark: Mark) {
        let generation = mapping.generation();
        for (space, released) in Space::ALL.into_iter().zip(&mut self.released) {
            let (old, new) = (image.base().mapping().section(space), mapping.section(space));
            let kept: std::collections::HashSet<PhysicalPage> = new.mapped().map(|(_, physical, _)| physical).collect();
            let count = old.mapped().filter(|(_, physical, _)| !kept.contains(physical)).count();
            released.push_back((generation, count));
            released.retain(|(released_in, _)| generation < released_in.saturating_add(REUSE_LAG));
        }
        self.current = FileRole::Mapping(Mapping::slot_of(generation));
        self.generations.retain(|found| found.role != self.current);
        self.generations.push(Generation { role: self.current, mapping: mapping.clone(), findings: Vec::new() });
        self.id = MappingId { generation, mapping_crc: crc32(bytes) };
        self.is_marked_open = mark == Mark::Open;
        self.bases.retain(|base| base.strong_count() > 0);
    }
}

/// Writes pages in order of their places, neighbours at once.
fn write_pages(next: &NextGeneration, space: Space, placed: &[Placed]) -> Result<()> {
    let mut order: Vec<&Placed> = placed.iter().collect();
    order.sort_unstable_by_key(|placed| placed.physical);
    let mut run: Vec<u8> = Vec::new();
    let mut start = None;
    for placed in order {
        let end = start.and_then(|start: PhysicalPage| start.checked_add(crate::base::narrow(run.len() / PAGE_SIZE)));
        if end != Some(placed.physical) || run.len() >= WRITE_SIZE {
            if let Some(start) = start {
                next.write_pages(space, start, &run)?;
            }
            run.clear();
            start = Some(placed.physical);
        }
        run.extend_from_slice(&placed.bytes[..]);
    }
    match start {
        Some(start) => next.write_pages(space, start, &run),
        None => Ok(()),
    }
}

const _: () = assert!(widen(REUSE_LAG) > 3, "more than there are mapping files");

//! Compaction: the content is rewritten into as few pages as it needs, and the data files are
//! truncated after them.
//!
//! Nothing is renamed and no file is replaced, so other processes can keep the files open. Each
//! step is a generation written by the usual protocol. With `g` the present generation
//! (`docs::invariants`, W-14 and W-15):
//!
//! ```text
//! g + 1            the content in new pages, at free places and behind the end       the switch
//! g + 2 … g + 5    the same mapping again: no file maps the old pages any more,
//!                  and they are free for as long as the reuse rule asks
//! g + 6            pages that lie too far behind move to the places of the old ones
//! g + 7, g + 8     the same mapping again: no file maps what lies behind
//! then             the data files are cut
//! ```

use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::base::random::UniqueIds;
use crate::base::site::FileRole;
use crate::base::{narrow, widen};
use crate::format::checksum::sampled;
use crate::format::mapping::{Mapping, MappingEntry, MappingSection};
use crate::gate::Wait;
use crate::heap::layout::{count_as_written_at_once, multi_page_records, was_written_at_once};
use crate::pager::generation::commit::{Failed, FreePages, NextGeneration, next_section};
use crate::pager::page::run::Run;
use crate::pager::state::image::{Base, Image};
use crate::pager::state::working::Working;
use crate::storage::OpenMode;

use super::checkpoint::{Mark, OnDisk, REUSE_LAG};
use super::rewrite::{Rewritten, rewrite};
use super::{Engine, Shared, Writer};

/// The size of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SpaceSize {
    /// Pages in use.
    pub pages: u32,
    /// Length of the file in bytes.
    pub bytes: u64,
}

/// Result of a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CompactSummary {
    /// OBJECTS.DATA before.
    pub objects_before: SpaceSize,
    /// OBJECTS.DATA after.
    pub objects_after: SpaceSize,
    /// INDEX.BTR before.
    pub index_before: SpaceSize,
    /// INDEX.BTR after.
    pub index_after: SpaceSize,
    /// Number of keys written.
    pub keys: u64,
    /// Number of records written.
    pub records: u64,
    /// Number of pages, used by snapshots older than the compaction, that keep their places and so
    /// make the files longer. Once the snapshots are gone, another compaction reclaims them.
    pub pages_held: u64,
    /// The generation after the compaction.
    pub generation: u32,
    /// True if anything was written. Nothing is if neither file would become shorter.
    pub is_rewritten: bool,
}

impl Engine {
    /// Rewrites the content into as few pages as it needs and truncates the data files after them.
    /// Records get new places and ids, and their keys new references, so addresses that a caller
    /// remembers are valid only in older snapshots.
    ///
    /// Readers are not disturbed, including those of older snapshots, but writers wait. While it
    /// runs, it needs additional space for the pages that do not fit into free places. A crash at
    /// any step leaves the old or the new content, complete. If the files were not truncated yet,
    /// another compaction does so. Other processes that read an older generation can go on until
    /// the files are truncated.
    ///
    /// If neither file would become shorter, and each record on several pages was written at once
    /// (invariant 25 of `docs::format`), nothing is written and the summary says so.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] for damage anywhere and for a record that no key names,
    /// [`Error::Cancelled`], and [`Error::Io`] if the system refuses; the content is then
    /// unchanged. If the refusal comes after the switch, the content is in its new place and the
    /// files are not completely truncated. [`Error::Unconfirmed`] and [`Error::Poisoned`] have the
    /// same meaning as for a commit.
    pub fn compact(&self, observer: &dyn Observer) -> Result<CompactSummary> {
        self.shared.check()?;
        // Nothing is written while the repository is paused.
        let _turn = self.shared.gate.enter(None, Wait::ForEver)?;
        let mut writer = self.shared.writer.lock();
        self.shared
            .compact(&mut writer, &self.shared.gate.inside(observer))
    }
}

/// A step that writes the state on disk as one more generation.
type Step = fn(&mut OnDisk, &Shared, &Image) -> Result<Image, Failed>;

impl Shared {
    fn compact(&self, writer: &mut Writer, observer: &dyn Observer) -> Result<CompactSummary> {
        let [objects_before, index_before] = self.sizes(writer.working.image().mapping())?;
        // This empties the journal, which cannot apply to pages with other numbers.
        self.fold(writer, Mark::Open)?;
        let old = Arc::new(writer.working.image().clone());
        if let Some(Rewritten { keys, records, .. }) =
            self.on_disk.lock().is_dense(self, &old, observer)?
        {
            let [objects_after, index_after] = self.sizes(old.mapping())?;
            return Ok(CompactSummary {
                objects_before,
                objects_after,
                index_before,
                index_after,
                keys,
                records,
                pages_held: 0,
                generation: old.mapping().generation(),
                is_rewritten: false,
            });
        }
        let (image, Rewritten { keys, records, .. }) = {
            let mut on_disk = self.on_disk.lock();
            self.watch(on_disk.write_anew(self, &old, observer))?
        };
        drop(old);
        (writer.working, writer.heap) = (Working::new(image.clone()), None);
        writer.next_commit += 1;
        self.begin_anew(writer, image)?;
        for _ in 2..=REUSE_LAG {
            self.step(writer, OnDisk::repeat)?;
        }
        self.step(writer, OnDisk::move_down)?;
        // The other two mapping files must stop naming the old places too.
        self.step(writer, OnDisk::repeat)?;
        self.step(writer, OnDisk::repeat)?;
        let mut on_disk = self.on_disk.lock();
        on_disk.released = Default::default();
        let pages_held = on_disk.cut(self)?;
        drop(on_disk);
        let mapping = writer.working.image().mapping();
        let [objects_after, index_after] = self.sizes(mapping)?;
        let generation = mapping.generation();
        Ok(CompactSummary {
            objects_before,
            objects_after,
            index_before,
            index_after,
            keys,
            records,
            pages_held,
            generation,
            is_rewritten: true,
        })
    }

    /// Writes one more generation by `step` and works on that.
    fn step(&self, writer: &mut Writer, step: Step) -> Result<()> {
        let image = {
            let mut on_disk = self.on_disk.lock();
            self.watch(step(&mut on_disk, self, writer.working.image()))?
        };
        self.begin_anew(writer, image)
    }

    fn sizes(&self, mapping: &Mapping) -> Result<[SpaceSize; 2]> {
        let data = self.files.open_data()?;
        Ok(Space::ALL.map(|space| SpaceSize {
            pages: mapping.section(space).mapped_count(),
            bytes: data.get(space).map_or(0, |file| file.len),
        }))
    }
}

impl OnDisk {
    /// Returns the present sizes if rewriting would make neither file shorter and repair no record.
    /// Finding out takes reading everything, as does rewriting.
    fn is_dense(
        &self,
        shared: &Shared,
        old: &Arc<Image>,
        observer: &dyn Observer,
    ) -> Result<Option<Rewritten>> {
        let monitor = Monitor::new(observer, Phase::Compact, 0);
        monitor.check()?;
        let mut needed = [0_usize; 2];
        // The longest ids give the largest possible index, so files that are predicted to shrink do
        // shrink.
        let rewritten = rewrite(old, UniqueIds::longest(), &mut |space, page, _, _| {
            let [objects, index] = &mut needed;
            let needed = if space == Space::Objects {
                objects
            } else {
                index
            };
            *needed = (*needed).max(page.index() + 1);
            monitor.check()
        })?;
        let entries = &old.mapping().objects.entries;
        if !multi_page_records(old)?
            .iter()
            .all(|record| was_written_at_once(entries, record))
        {
            return Ok(None);
        }
        let data = shared.files.open_data()?;
        // The engine itself holds the current one until it has the new one.
        let mut pinned = self.pinned();
        pinned.retain(|base| !Arc::ptr_eq(base, old.base()));
        let is_shorter = |(space, needed)| {
            let held = named_by(space, pinned.iter().map(|base| base.mapping()));
            let last = held
                .iter()
                .rposition(|held| *held)
                .map_or(0, |last| last + 1);
            let pages = size_around(&held, needed).max(last) as u64;
            data.get(space)
                .is_some_and(|file| file.len > pages * PAGE_SIZE as u64)
        };
        Ok(if Space::ALL.into_iter().zip(needed).any(is_shorter) {
            None
        } else {
            Some(rewritten)
        })
    }

    /// W-14: writes the content of `old` as the next generation, in new pages.
    fn write_anew(
        &mut self,
        shared: &Shared,
        old: &Arc<Image>,
        observer: &dyn Observer,
    ) -> Result<(Image, Rewritten), Failed> {
        let mapping = old.mapping();
        let total = Space::ALL
            .map(|space| u64::from(mapping.section(space).mapped_count()))
            .iter()
            .sum();
        let monitor = Monitor::new(observer, Phase::Compact, total);
        monitor.check()?;
        self.need_unchanged(shared)?;
        self.need_others(shared)?;
        let next = NextGeneration::begin(shared.files.clone(), &self.generations, self.current)?;
        let pinned = self.pinned();
        let mut spaces = Space::ALL
            .map(|space| NewPages::new(self.free(space, mapping, &pinned, next.generation())));
        let written = write_content(&next, old, &mut spaces, &monitor);
        let (sections, rewritten) = match written {
            Ok(written) => written,
            Err(error) => {
                next.abort();
                return Err(error.into());
            }
        };
        let [objects, index] = sections;
        let sealed = next.seal(objects, index, mapping.transaction().wrapping_add(1), 0);
        Ok((self.install(shared, next, sealed, mapping)?, rewritten))
    }

    fn free(
        &self,
        space: Space,
        current: &Mapping,
        pinned: &[Arc<Base>],
        generation: u32,
    ) -> FreePages {
        let pinned: Vec<&Mapping> = pinned.iter().map(|base| base.mapping()).collect();
        FreePages::new(
            space,
            current,
            &self.generations,
            &pinned,
            self.held(space, generation),
        )
        .lowest_first()
    }

    /// Writes the same state as one more generation.
    fn repeat(&mut self, shared: &Shared, image: &Image) -> Result<Image, Failed> {
        let old = image.base().mapping();
        let next = NextGeneration::begin(shared.files.clone(), &self.generations, self.current)?;
        let sealed = next.seal(old.objects.clone(), old.index.clone(), old.transaction(), 0);
        self.install(shared, next, sealed, old)
    }

    /// Writes the same state as one more generation in which pages past the needed number of places
    /// have moved to lower places.
    fn move_down(&mut self, shared: &Shared, image: &Image) -> Result<Image, Failed> {
        let old = image.base().mapping();
        let next = NextGeneration::begin(shared.files.clone(), &self.generations, self.current)?;
        let pinned = self.pinned();
        let moved = Space::ALL.map(|space| {
            let down = Down::plan(old.section(space), &self.others(space, old, &pinned));
            down.write(&next, image, space)
        });
        let sections = match (moved, multi_page_records(image)) {
            ([Ok(objects), Ok(index)], Ok(records)) => Ok((objects, index, records)),
            ([Err(error), _] | [_, Err(error)], _) | (_, Err(error)) => Err(error),
        };
        let (mut objects, index, records) = match sections {
            Ok(sections) => sections,
            Err(error) => {
                next.abort();
                return Err(error.into());
            }
        };
        // If a record moves in part, its other pages count as rewritten.
        count_as_written_at_once(&mut objects.entries, &records, next.generation());
        let sealed = next.seal(objects, index, old.transaction(), 0);
        self.install(shared, next, sealed, old)
    }

    /// For each physical page of a space, whether a mapping on disk or a snapshot names it, not
    /// counting those that `own` names.
    fn others(&self, space: Space, own: &Mapping, pinned: &[Arc<Base>]) -> Vec<bool> {
        let on_disk = self.generations.iter().map(|found| &*found.mapping);
        let mut named = named_by(
            space,
            on_disk.chain(pinned.iter().map(|base| base.mapping())),
        );
        for (_, physical, _) in own.section(space).mapped() {
            if let Some(named) = named.get_mut(physical.index()) {
                *named = false;
            }
        }
        named
    }

    /// W-15: truncates the data files after the last page that any mapping on disk or live snapshot
    /// names. Returns the number of pages that only snapshots name.
    fn cut(&mut self, shared: &Shared) -> Result<u64> {
        let pinned = self.pinned();
        let current = self
            .generations
            .iter()
            .find(|found| found.role == self.current);
        let Some(current) = current.map(|found| &found.mapping) else {
            return Ok(0);
        };
        let mut held = 0;
        for space in Space::ALL {
            let section = current.section(space);
            let others = self.others(space, current, &pinned);
            held += others.iter().filter(|named| **named).count() as u64;
            let last = others
                .iter()
                .rposition(|named| *named)
                .map_or(0, |last| last + 1);
            let pages = widen(section.physical_pages).max(last) as u64;
            cut_file(shared, FileRole::data(space), pages * PAGE_SIZE as u64)?;
        }
        Ok(held)
    }
}

/// For each physical page of a space, whether one of the mappings names it.
fn named_by<'m>(space: Space, mappings: impl Iterator<Item = &'m Mapping>) -> Vec<bool> {
    let mut named = Vec::new();
    for (_, physical, _) in mappings.flat_map(|mapping| mapping.section(space).mapped()) {
        if named.len() <= physical.index() {
            named.resize(physical.index() + 1, false);
        }
        if let Some(named) = named.get_mut(physical.index()) {
            *named = true;
        }
    }
    named
}

/// The size of a space in which `needed` pages lie as low as possible around those that are kept.
fn size_around(kept: &[bool], needed: usize) -> usize {
    (0..)
        .filter(|&page| kept.get(page) != Some(&true))
        .take(needed)
        .last()
        .map_or(0, |last| last + 1)
}

fn cut_file(shared: &Shared, role: FileRole, len: u64) -> Result<()> {
    let path = shared.files.path(role);
    let Some(file) = shared.files.open(role, OpenMode::Write)? else {
        return Ok(());
    };
    if file
        .len()
        .map_err(|error| Error::io(IoOp::Metadata, &path, error))?
        > len
    {
        file.set_len(len)
            .map_err(|error| Error::io(IoOp::Truncate, &path, error))?;
        file.sync()
            .map_err(|error| Error::io(IoOp::Sync, &path, error))?;
    }
    Ok(())
}

/// Writes the content to the free places. Returns the sections of the new mapping.
fn write_content(
    next: &NextGeneration,
    old: &Arc<Image>,
    spaces: &mut [NewPages; 2],
    monitor: &Monitor<'_>,
) -> Result<([MappingSection; 2], Rewritten)> {
    let [objects, index] = spaces;
    let rewritten = rewrite(old, UniqueIds::random(), &mut |space, page, bytes, free| {
        let pages = if space == Space::Objects {
            &mut *objects
        } else {
            &mut *index
        };
        pages.put(next, space, page, bytes, free)?;
        monitor.advance(1)
    })?;
    for (space, pages) in [(Space::Objects, &mut *objects), (Space::Index, &mut *index)] {
        pages
            .run
            .flush(|first, bytes| next.write_pages(space, first, bytes))?;
    }
    if let Some(first) = index.entries.first_mut() {
        first.user_data = rewritten.root.get();
    }
    let section = |space, pages: &mut NewPages| {
        next_section(
            old.mapping().section(space),
            std::mem::take(&mut pages.entries),
            pages.free.size(),
        )
    };
    Ok((
        [
            section(Space::Objects, objects),
            section(Space::Index, index),
        ],
        rewritten,
    ))
}

/// The new pages of a space on their way to their places.
#[derive(Debug)]
struct NewPages {
    free: FreePages,
    entries: Vec<MappingEntry>,
    run: Run,
}

impl NewPages {
    fn new(free: FreePages) -> Self {
        Self {
            free,
            entries: Vec::new(),
            run: Run::default(),
        }
    }

    fn put(
        &mut self,
        next: &NextGeneration,
        space: Space,
        page: LogicalPage,
        bytes: &PageBytes,
        free_bytes: u32,
    ) -> Result<()> {
        let physical = self.free.take()?;
        if self.entries.len() <= page.index() {
            self.entries
                .resize(page.index() + 1, MappingEntry::default());
        }
        let last_write = next.generation();
        if let Some(entry) = self.entries.get_mut(page.index()) {
            let checksum = sampled(bytes);
            *entry = MappingEntry {
                physical: Some(physical),
                checksum,
                free_bytes,
                user_data: 0,
                stamp: 0,
                last_write,
            };
        }
        self.run.push(physical, bytes, |first, pages| {
            next.write_pages(space, first, pages)
        })
    }
}

/// A plan that moves the pages of a space as low as possible.
#[derive(Debug)]
struct Down {
    section: MappingSection,
    /// The pages that move, with their new places.
    moves: Vec<(LogicalPage, PhysicalPage)>,
}

impl Down {
    /// Plans the moves; `others` marks places that must stay as they are.
    fn plan(old: &MappingSection, others: &[bool]) -> Self {
        let mut own = vec![false; widen(old.physical_pages)];
        for (_, physical, _) in old.mapped() {
            if let Some(own) = own.get_mut(physical.index()) {
                *own = true;
            }
        }
        let is_kept = |page: usize| others.get(page) == Some(&true);
        let needed = widen(old.mapped_count());
        let size = size_around(others, needed);
        let is_own = |page: usize| own.get(page) == Some(&true);
        let mut places = (0..size).filter(|&page| !is_kept(page) && !is_own(page));
        let behind = old
            .mapped()
            .filter(|(_, physical, _)| physical.index() >= size);
        let moves: Vec<(LogicalPage, PhysicalPage)> = behind
            .filter_map(|(page, ..)| Some((page, PhysicalPage::new(narrow(places.next()?))?)))
            .collect();
        let free = (0..size)
            .filter(|&page| is_kept(page))
            .filter_map(|page| PhysicalPage::new(narrow(page)))
            .collect();
        Self {
            section: MappingSection {
                physical_pages: narrow(size),
                free,
                ..old.clone()
            },
            moves,
        }
    }

    fn write(
        mut self,
        next: &NextGeneration,
        image: &Image,
        space: Space,
    ) -> Result<MappingSection> {
        let (mut run, mut bytes) = (Run::default(), Box::new([0; PAGE_SIZE]));
        for (page, to) in self.moves {
            image.read(space, page, &mut bytes)?;
            run.push(to, &bytes, |first, pages| {
                next.write_pages(space, first, pages)
            })?;
            if let Some(entry) = self.section.entries.get_mut(page.index()) {
                (entry.physical, entry.last_write) = (Some(to), next.generation());
            }
        }
        run.flush(|first, pages| next.write_pages(space, first, pages))?;
        Ok(self.section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(places: &[u32], size: u32) -> MappingSection {
        let entry = |&place| MappingEntry {
            physical: PhysicalPage::new(place),
            ..MappingEntry::default()
        };
        let free = (0..size)
            .filter(|page| !places.contains(page))
            .filter_map(PhysicalPage::new)
            .collect();
        MappingSection {
            transaction: 1,
            generation: 1,
            previous: 0,
            physical_pages: size,
            entries: places.iter().map(entry).collect(),
            free,
        }
    }

    fn plan(places: &[u32], size: u32, kept: &[usize]) -> (u32, Vec<(u32, u32)>, usize) {
        let others: Vec<bool> = (0..widen(size)).map(|page| kept.contains(&page)).collect();
        let down = Down::plan(&section(places, size), &others);
        let moves = down
            .moves
            .iter()
            .map(|(page, to)| (page.get(), to.get()))
            .collect();
        (down.section.physical_pages, moves, down.section.free.len())
    }

    #[test]
    fn only_what_lies_behind_moves_and_never_onto_what_is_kept() {
        assert_eq!(plan(&[0, 1, 2], 9, &[]), (3, vec![], 0));
        assert_eq!(plan(&[6, 1, 8], 9, &[]), (3, vec![(0, 0), (2, 2)], 0));
        assert_eq!(plan(&[6, 1, 8], 9, &[0, 2]), (5, vec![(0, 3), (2, 4)], 2));
        assert_eq!(plan(&[4, 5], 6, &[0, 1, 2, 3]), (6, vec![], 4));
        assert_eq!(plan(&[], 3, &[1]), (0, vec![], 0));
    }
}

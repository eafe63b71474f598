//! Writing the next generation of a repository of dialect 2.2 (`docs::invariants`, W-2 to W-5).
//!
//! ```text
//! 1  pages to physical pages that no mapping file on disk maps     (W-2)
//! 2  sync both data files                                          (W-3)
//! 3  the whole mapping over the file of the oldest generation,     (W-4)
//!    or over one that was refused, marked as unfinished
//! 4  sync it
//! 5  the first byte that takes the mark away; sync it: now, and     (W-5)
//!    only now, the generation is committed
//! ```
//!
//! How far this came says what an error means, [`Failed`] (W-12).

use std::collections::BTreeSet;
use std::path::Path;

use crate::base::corruption::CorruptionCode;
use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::limits::check_mapping_size;
use crate::base::page_no::{NIL, PAGE_SIZE, PhysicalPage, Space};
use crate::base::site::FileRole;
use crate::base::widen;
use crate::format::Dialect;
use crate::format::mapping::{Mapping, MappingEntry, MappingSection, UNFINISHED};
use crate::storage::{OpenMode, StorageFile, write_all_at};

use super::Generation;
use crate::pager::files::RepositoryFiles;
use crate::pager::leftovers::STAGED_SUFFIX;

/// How far a write came that failed: this alone, and not what was refused or why, decides how to go
/// on (W-12).
#[derive(Debug)]
pub enum Failed {
    /// Nothing of it counts, and nothing will. The next attempt writes again all that it relies on.
    Before(Error),
    /// A mapping was written in part, or for all that is known wholly, and could not be withdrawn:
    /// it may count. It is withdrawn before anything else is written.
    Unsettled(Error),
    /// A sync was refused, and what it was for is not written again: no later sync is to be
    /// believed.
    Unsynced(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Before(error)
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Before(error) | Failed::Unsettled(error) | Failed::Unsynced(error) => error,
        }
    }
}

/// A generation in the making, over an existing repository.
#[derive(Debug)]
pub struct NextGeneration {
    files: RepositoryFiles,
    data: [Box<dyn StorageFile>; 2],
    lengths: [u64; 2],
    generation: u32,
    transaction: u32,
    /// Mapping files that hold a whole generation: what is written over one shows by its stamps
    /// where the old one is left.
    whole: Vec<FileRole>,
}

/// The pages of one space that may be written: no mapping file on disk maps them.
#[derive(Debug)]
pub struct FreePages {
    queue: std::vec::IntoIter<PhysicalPage>,
    size: u32,
    /// Pages behind the end of the space that a refused generation maps.
    beyond: BTreeSet<PhysicalPage>,
}

/// True if recovery chooses the generation, or could: nothing is wrong with it but that its pages
/// lie behind the end of a data file, which may grow. What is wrong with its numbers and stamps
/// stays wrong.
fn may_count(found: &Generation) -> bool {
    found
        .findings
        .iter()
        .all(|finding| finding.code == CorruptionCode::MappingBeyondFile)
}

/// The number of the generation after those on disk that count or could; `current` is the file of
/// the one that does. A file that is refused for good does not stand in the way, whatever number it
/// bears.
pub fn next_number(on_disk: &[Generation], current: FileRole) -> Result<u32> {
    let counting = on_disk.iter().filter(|found| may_count(found));
    let newest = counting
        .map(|found| found.mapping.generation())
        .max()
        .unwrap_or(0);
    // Where two newer ones were refused, the next number belongs into the file of the one that
    // counts (W-4).
    let is_taken = |generation: u32| FileRole::Mapping(Mapping::slot_of(generation)) == current;
    let next = newest.checked_add(1).and_then(|next| {
        if is_taken(next) {
            next.checked_add(1)
        } else {
            Some(next)
        }
    });
    next.filter(|&generation| generation != NIL)
        .ok_or(Error::Limit {
            what: "the generation number",
            max: u64::from(NIL) - 1,
            got: u64::from(NIL),
        })
}

impl NextGeneration {
    /// Begins the generation after all on disk that count; `current` is the file of the one that
    /// counts. The caller holds the writer lock.
    pub fn begin(
        files: RepositoryFiles,
        on_disk: &[Generation],
        current: FileRole,
    ) -> Result<Self> {
        files.need_own()?;
        let generation = next_number(on_disk, current)?;
        let counting = on_disk.iter().filter(|found| may_count(found));
        let transaction = counting
            .map(|found| found.mapping.transaction())
            .max()
            .unwrap_or(0);
        let whole = on_disk
            .iter()
            .filter(|found| found.findings.is_empty())
            .map(|found| found.role)
            .collect();
        let open = |space| {
            let role = FileRole::data(space);
            let file = files.open(role, OpenMode::Write)?;
            file.ok_or_else(|| {
                Error::io(
                    IoOp::Open,
                    &files.path(role),
                    std::io::ErrorKind::NotFound.into(),
                )
            })
        };
        let data = [open(Space::Objects)?, open(Space::Index)?];
        let length = |space, file: &dyn StorageFile| {
            file.len().map_err(|error| {
                Error::io(IoOp::Metadata, &files.path(FileRole::data(space)), error)
            })
        };
        let [objects, index] = &data;
        let lengths = [
            length(Space::Objects, objects.as_ref())?,
            length(Space::Index, index.as_ref())?,
        ];
        Ok(Self {
            files,
            data,
            lengths,
            generation,
            transaction: transaction.wrapping_add(1),
            whole,
        })
    }

    /// The number of the generation.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Writes consecutive pages to places that [`FreePages`] gave. May be called from several
    /// threads for different pages.
    pub fn write_pages(&self, space: Space, first: PhysicalPage, pages: &[u8]) -> Result<()> {
        debug_assert!(
            pages.len().is_multiple_of(PAGE_SIZE),
            "whole pages are written"
        );
        let write = write_all_at(self.file(space), first.byte_offset(), pages);
        write
            .map_err(|error| Error::io(IoOp::Write, &self.files.path(FileRole::data(space)), error))
    }

    /// The transaction number behind all that are on disk.
    pub const fn transaction(&self) -> u32 {
        self.transaction
    }

    /// The mapping of the generation: sections give entries, sizes and free lists; numbers and
    /// stamps are set here.
    pub fn seal(
        &self,
        objects: MappingSection,
        index: MappingSection,
        transaction: u32,
        flag: u32,
    ) -> Mapping {
        let mut mapping = Mapping {
            dialect: Dialect::V22,
            objects,
            index,
            shutdown_flag: flag,
        };
        for space in Space::ALL {
            let section = mapping.section_mut(space);
            section.transaction = transaction;
            (section.generation, section.previous) = (self.generation, self.generation - 1);
            section
                .entries
                .iter_mut()
                .for_each(|entry| entry.stamp = self.generation);
        }
        mapping
    }

    /// Commits: `mapping` are the bytes of the one that was sealed.
    pub fn publish(self, mapping: &[u8]) -> Result<(), Failed> {
        // One that no reader would believe is not written. W-3: every page is durable before the
        // mapping that names it is.
        let sound = check_mapping_size(mapping.len() as u64).and_then(|()| self.sync_data());
        let written = sound
            .map_err(Failed::Before)
            .and_then(|()| self.write_mapping(mapping));
        if let Err(Failed::Before(_)) = written {
            self.abort();
        }
        written
    }

    fn sync_data(&self) -> Result<()> {
        for space in Space::ALL {
            let sync = self.file(space).sync();
            sync.map_err(|error| {
                Error::io(IoOp::Sync, &self.files.path(FileRole::data(space)), error)
            })?;
        }
        Ok(())
    }

    /// W-4 and W-5.
    fn write_mapping(&self, bytes: &[u8]) -> Result<(), Failed> {
        let role = FileRole::Mapping(Mapping::slot_of(self.generation));
        let path = self.files.path(role);
        let file = match self.files.directory.storage.open(&path, OpenMode::Write) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return self.make_mapping(role, bytes);
            }
            opened => opened.map_err(|error| Error::io(IoOp::Open, &path, error))?,
        };
        self.make_room(role, file.as_ref(), bytes.len() as u64)?;

        let mut marked = bytes.to_vec();
        if let Some(first) = marked.first_mut() {
            *first = UNFINISHED;
        }
        write_all_at(file.as_ref(), 0, &marked)
            .map_err(|error| Error::io(IoOp::Write, &path, error))?;
        file.sync()
            .map_err(|error| Error::io(IoOp::Sync, &path, error))?;

        // W-19: all of it is durable but this byte, so whatever a crash leaves from here on is the
        // old state or the new.
        if let Err(error) = write_all_at(file.as_ref(), 0, bytes.get(..1).unwrap_or_default()) {
            let error = Error::io(IoOp::Write, &path, error);
            // A call that failed may have written it. It is marked again, so that it is known what
            // is there.
            return Err(match mark(file.as_ref(), &path) {
                Ok(()) => Failed::Before(error),
                Err(_) => Failed::Unsettled(error),
            });
        }
        file.sync()
            .map_err(|error| Failed::Unsynced(Error::unconfirmed(IoOp::Sync, &path, error)))?;
        if !self.whole.contains(&role) {
            // Its name may be left of an attempt that did not make it durable.
            self.sync_directory()?;
        }
        Ok(())
    }

    /// Makes a mapping file where there is none: it gets its name when it is whole. A file without
    /// a byte, or with zeros where the mark belongs, would look like one whose content was lost.
    fn make_mapping(&self, role: FileRole, bytes: &[u8]) -> Result<(), Failed> {
        let storage = &self.files.directory.storage;
        let staged = self
            .files
            .directory
            .join(&format!("{}{STAGED_SUFFIX}", role.file_name()));
        let failed = |op| {
            let staged = staged.clone();
            move |error| Error::io(op, &staged, error)
        };
        match storage.remove_file(&staged) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(IoOp::Remove)(error).into());
            }
            _ => {}
        }
        let file = storage
            .create(&staged, &self.files.protection_for(role))
            .map_err(failed(IoOp::Create))?;
        write_all_at(file.as_ref(), 0, bytes).map_err(failed(IoOp::Write))?;
        file.sync().map_err(failed(IoOp::Sync))?;
        drop(file);
        if let Err(error) = storage.rename(&staged, &self.files.path(role)) {
            let error = failed(IoOp::Rename)(error);
            return Err(match withdraw(&self.files, role) {
                Ok(()) => Failed::Before(error),
                Err(_) => Failed::Unsettled(error),
            });
        }
        self.sync_directory()
    }

    /// From here on the new generation is seen by everyone, and after a loss of power perhaps by no
    /// one.
    fn sync_directory(&self) -> Result<(), Failed> {
        let directory = &self.files.directory.path;
        let unconfirmed =
            |error| Failed::Unsynced(Error::unconfirmed(IoOp::SyncDirectory, directory, error));
        self.files
            .directory
            .storage
            .sync_dir(directory)
            .map_err(unconfirmed)
    }

    /// Takes from the file what would be left of it after the new mapping: the end of a longer one.
    /// One that was refused is marked first, durably: it may be what a commit of this same number
    /// left when it was interrupted, and where the new mapping is torn in turn, the stamps would
    /// not tell the two apart.
    ///
    /// A file that was refused counts neither before nor after, and one that loses its end is the
    /// oldest generation: where this fails, nothing of the new one is there.
    fn make_room(&self, role: FileRole, file: &dyn StorageFile, new: u64) -> Result<()> {
        let path = self.files.path(role);
        if !self.whole.contains(&role) {
            mark(file, &path)?;
        }
        if file
            .len()
            .map_err(|error| Error::io(IoOp::Metadata, &path, error))?
            > new
        {
            file.set_len(new)
                .map_err(|error| Error::io(IoOp::Truncate, &path, error))?;
        }
        Ok(())
    }

    /// Gives up: nothing of it is named by any mapping. The data files get their old lengths back,
    /// as far as that works.
    pub fn abort(self) {
        for (space, length) in Space::ALL.into_iter().zip(self.lengths) {
            if self.file(space).len().is_ok_and(|now| now > length) {
                self.file(space).set_len(length).ok();
            }
        }
    }

    fn file(&self, space: Space) -> &dyn StorageFile {
        let [objects, index] = &self.data;
        match space {
            Space::Objects => objects.as_ref(),
            Space::Index => index.as_ref(),
        }
    }
}

/// Withdraws the mapping in a file whose write failed (W-12).
pub fn withdraw(files: &RepositoryFiles, role: FileRole) -> Result<(), Failed> {
    let path = files.path(role);
    // By its path: the listing may be older than the file.
    let file = match files.directory.storage.open(&path, OpenMode::Write) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()), // it never got its name
        opened => opened.map_err(|error| Failed::Unsettled(Error::io(IoOp::Open, &path, error)))?,
    };
    mark(file.as_ref(), &path).map_err(Failed::Unsettled)
}

/// Marks a mapping file as unfinished, durably. Where it fails the mark is written again by the
/// next attempt, so that a later sync is to be believed.
fn mark(file: &dyn StorageFile, path: &Path) -> Result<()> {
    write_all_at(file, 0, &[UNFINISHED]).map_err(|error| Error::io(IoOp::Write, path, error))?;
    file.sync()
        .map_err(|error| Error::io(IoOp::Sync, path, error))
}

impl FreePages {
    /// The pages of a space that may be written (W-2): free in the current generation and mapped by
    /// no other on disk nor by one that is `pinned`, the one free for longest first; behind them,
    /// new pages. Those that are `held` are left alone.
    pub fn new<'h>(
        space: Space,
        current: &Mapping,
        on_disk: &[Generation],
        pinned: &[&Mapping],
        held: impl IntoIterator<Item = &'h PhysicalPage>,
    ) -> Self {
        let mut taken = vec![false; widen(current.section(space).physical_pages)];
        let mut size = current.section(space).physical_pages;
        let mut beyond = BTreeSet::new();
        for found in on_disk {
            let section = found.mapping.section(space);
            // What a mapping that recovery would never choose says of the size of the space is not
            // to be believed.
            if found.findings.is_empty() {
                size = size.max(section.physical_pages);
            }
        }
        for mapping in on_disk
            .iter()
            .map(|found| &*found.mapping)
            .chain(pinned.iter().copied())
        {
            for (_, physical, _) in mapping.section(space).mapped() {
                match taken.get_mut(physical.index()) {
                    Some(taken) => *taken = true,
                    None => _ = beyond.insert(physical),
                }
            }
        }
        for held in held {
            if let Some(taken) = taken.get_mut(held.index()) {
                *taken = true;
            }
        }
        let is_free = |page: &PhysicalPage| taken.get(page.index()) == Some(&false);
        let queue: Vec<PhysicalPage> = current
            .section(space)
            .free
            .iter()
            .copied()
            .filter(is_free)
            .collect();
        Self {
            queue: queue.into_iter(),
            size,
            beyond,
        }
    }

    /// The same pages, the lowest number first.
    pub fn lowest_first(self) -> Self {
        let mut queue: Vec<PhysicalPage> = self.queue.collect();
        queue.sort_unstable();
        Self {
            queue: queue.into_iter(),
            ..self
        }
    }

    /// The next page to write.
    pub fn take(&mut self) -> Result<PhysicalPage> {
        if let Some(page) = self.queue.next() {
            return Ok(page);
        }
        while let Some(page) = PhysicalPage::new(self.size) {
            self.size = self.size.saturating_add(1);
            // Those that are left out become free pages of the new generation, and are written when
            // no mapping names them.
            if !self.beyond.contains(&page) {
                return Ok(page);
            }
        }
        Err(Error::Limit {
            what: "the size of a data file in pages",
            max: NIL.into(),
            got: u64::from(NIL) + 1,
        })
    }

    /// Size of the space with what was taken.
    pub const fn size(&self) -> u32 {
        self.size
    }
}

/// The section that follows `old`: `entries` are its content, `size` pages its space. The free list
/// keeps its order; what was released comes behind (`docs::format`, "The free list and its order").
pub fn next_section(old: &MappingSection, entries: Vec<MappingEntry>, size: u32) -> MappingSection {
    let mut mapped = vec![false; widen(size)];
    for physical in entries.iter().filter_map(|entry| entry.physical) {
        if let Some(mapped) = mapped.get_mut(physical.index()) {
            *mapped = true;
        }
    }
    let is_free = |page: PhysicalPage| mapped.get(page.index()) == Some(&false);
    let kept = old.free.iter().copied().filter(|&page| is_free(page));
    let released = old
        .mapped()
        .map(|(_, physical, _)| physical)
        .filter(|&page| is_free(page));
    let mut free: Vec<PhysicalPage> = kept.chain(released).collect();
    // Pages beyond the old space that no one took are free as well: another file on disk had a
    // larger space.
    let known = old.physical_pages;
    free.extend(
        (known..size)
            .filter_map(PhysicalPage::new)
            .filter(|&page| is_free(page)),
    );
    MappingSection {
        physical_pages: size,
        entries,
        free,
        ..old.clone()
    }
}

/// The pages that `new` does not map any more and `old`, the generation before it, does: `new`
/// released them.
pub fn released(old: &MappingSection, new: &MappingSection) -> Vec<PhysicalPage> {
    let places = |section: &MappingSection, other: &MappingSection| {
        let moved = section
            .mapped()
            .filter(|(page, physical, _)| other.resolve(*page) != Some(*physical));
        moved.map(|(_, physical, _)| physical).collect::<Vec<_>>()
    };
    // What lies where it lay is no question: most of it.
    let kept: std::collections::HashSet<PhysicalPage> = places(new, old).into_iter().collect();
    places(old, new)
        .into_iter()
        .filter(|physical| !kept.contains(physical))
        .collect()
}

/// The entry of a logical page without page, as the generation that released it leaves it.
pub const fn unmapped_entry(checksum: u32, generation: u32) -> MappingEntry {
    MappingEntry {
        physical: None,
        checksum,
        free_bytes: 0,
        user_data: 0,
        stamp: generation,
        last_write: generation,
    }
}

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
//! The progress at the time of an error determines what the error means; see [`Failed`] (W-12).

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

/// The progress of a write at the time of its failure. It alone, not the failed call or the cause,
/// determines how to go on (W-12).
#[derive(Debug)]
pub enum Failed {
    /// The write has no effect and never will. The next attempt writes everything it relies on
    /// again.
    Before(Error),
    /// A mapping was written in part or perhaps completely, and could not be withdrawn, so it may
    /// count. It is withdrawn before anything else is written.
    Unsettled(Error),
    /// A sync failed and its data is not written again, so no later sync can be trusted.
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

/// A new generation of an existing repository, while it is being written.
#[derive(Debug)]
pub struct NextGeneration {
    files: RepositoryFiles,
    data: [Box<dyn StorageFile>; 2],
    lengths: [u64; 2],
    generation: u32,
    transaction: u32,
    /// Mapping files that hold a whole generation. If one of them is overwritten in part, its
    /// stamps show what is left of the old generation.
    whole: Vec<FileRole>,
}

/// The pages of one space that may be written, because no mapping file on disk maps them.
#[derive(Debug)]
pub struct FreePages {
    queue: std::vec::IntoIter<PhysicalPage>,
    size: u32,
    /// Pages past the end of the space that a rejected generation maps.
    beyond: BTreeSet<PhysicalPage>,
}

/// True if recovery chooses the generation or might choose it: its only fault is that pages lie
/// past the end of a data file, which may still grow. Wrong numbers and stamps stay wrong.
fn may_count(found: &Generation) -> bool {
    found
        .findings
        .iter()
        .all(|finding| finding.code == CorruptionCode::MappingBeyondFile)
}

/// The number that follows all generations on disk that count or might count; `current` is the file
/// of the current one. A file that is rejected for good does not block a number, whatever number it
/// bears.
pub fn next_number(on_disk: &[Generation], current: FileRole) -> Result<u32> {
    let counting = on_disk.iter().filter(|found| may_count(found));
    let newest = counting
        .map(|found| found.mapping.generation())
        .max()
        .unwrap_or(0);
    // If two newer generations were rejected, the next number could fall into the current one's
    // file (W-4).
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
    /// Begins the generation that follows all valid ones on disk; `current` is the file of the
    /// current one. The caller holds the writer lock.
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

    /// Writes consecutive pages to places supplied by [`FreePages`]. Several threads may call it
    /// for different pages.
    pub fn write_pages(&self, space: Space, first: PhysicalPage, pages: &[u8]) -> Result<()> {
        debug_assert!(
            pages.len().is_multiple_of(PAGE_SIZE),
            "whole pages are written"
        );
        let write = write_all_at(self.file(space), first.byte_offset(), pages);
        write
            .map_err(|error| Error::io(IoOp::Write, &self.files.path(FileRole::data(space)), error))
    }

    /// The transaction number after all those on disk.
    pub const fn transaction(&self) -> u32 {
        self.transaction
    }

    /// Assembles the mapping of the generation. The sections supply entries, sizes and free lists;
    /// numbers and stamps are set here.
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

    /// Commits the generation; `mapping` is the encoded form of the sealed mapping.
    pub fn publish(self, mapping: &[u8]) -> Result<(), Failed> {
        // A mapping that no reader would accept is not written. W-3: every page is durable before
        // the mapping that names it is written.
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

    /// Steps W-4 and W-5.
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

        // W-19: everything except this byte is durable, so from here on a crash leaves either the
        // old state or the new one.
        if let Err(error) = write_all_at(file.as_ref(), 0, bytes.get(..1).unwrap_or_default()) {
            let error = Error::io(IoOp::Write, &path, error);
            // The failed call may have written the byte. The file is marked again, so that its
            // state is known.
            return Err(match mark(file.as_ref(), &path) {
                Ok(()) => Failed::Before(error),
                Err(_) => Failed::Unsettled(error),
            });
        }
        file.sync()
            .map_err(|error| Failed::Unsynced(Error::unconfirmed(IoOp::Sync, &path, error)))?;
        if !self.whole.contains(&role) {
            // Its name may stem from an attempt that did not make it durable.
            self.sync_directory()?;
        }
        Ok(())
    }

    /// Creates a mapping file that is missing. It gets its name once it is complete, because a file
    /// that is empty or has zeros in place of the mark would look as if its content had been lost.
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

    /// From here on every reader sees the new generation, but a loss of power may still undo it.
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

    /// Cuts off the end of a file that is longer than the new mapping. A rejected file is first
    /// marked, durably: it may be what an interrupted commit of this same number left. If the new
    /// mapping is torn in turn, the stamps could not tell the two apart.
    ///
    /// A rejected file counts neither before nor after, and a file that loses its end holds the
    /// oldest generation. So if this fails, nothing of the new generation exists.
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

    /// Gives up. No mapping names anything of the generation. The data files get their old lengths
    /// back if possible.
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

/// Withdraws the mapping in a file after a failed write (W-12).
pub fn withdraw(files: &RepositoryFiles, role: FileRole) -> Result<(), Failed> {
    let path = files.path(role);
    // Opened by path, because the listing may be older than the file.
    let file = match files.directory.storage.open(&path, OpenMode::Write) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()), // it never got its name
        opened => opened.map_err(|error| Failed::Unsettled(Error::io(IoOp::Open, &path, error)))?,
    };
    mark(file.as_ref(), &path).map_err(Failed::Unsettled)
}

/// Marks a mapping file as unfinished, durably. If this fails, the next attempt writes the mark
/// again, so its sync can be trusted.
fn mark(file: &dyn StorageFile, path: &Path) -> Result<()> {
    write_all_at(file, 0, &[UNFINISHED]).map_err(|error| Error::io(IoOp::Write, path, error))?;
    file.sync()
        .map_err(|error| Error::io(IoOp::Sync, path, error))
}

impl FreePages {
    /// The pages of a space that may be written (W-2). First come those that are free in the
    /// current generation and mapped neither by another one on disk nor by a `pinned` one, longest
    /// free first; then new pages at the end. Pages in `held` are left alone.
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
            // If recovery would never choose a mapping, its claim about the size of the space is
            // not trusted.
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

    /// Sorts the pages by ascending number.
    pub fn lowest_first(self) -> Self {
        let mut queue: Vec<PhysicalPage> = self.queue.collect();
        queue.sort_unstable();
        Self {
            queue: queue.into_iter(),
            ..self
        }
    }

    /// Takes the next page to write.
    pub fn take(&mut self) -> Result<PhysicalPage> {
        if let Some(page) = self.queue.next() {
            return Ok(page);
        }
        while let Some(page) = PhysicalPage::new(self.size) {
            self.size = self.size.saturating_add(1);
            // Skipped pages become free pages of the new generation. They are written once no
            // mapping names them.
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

    /// Size of the space including the pages taken, in pages.
    pub const fn size(&self) -> u32 {
        self.size
    }
}

/// The section that follows `old`, with `entries` and a space of `size` pages. The free list keeps
/// its order, and newly released pages come after it (`docs::format`, "The free list and its
/// order").
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
    // Pages past the old space that were not taken are free as well, because another file on disk
    // had a larger space.
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

/// The pages that `new` released: `old`, the generation before it, maps them and `new` does not.
pub fn released(old: &MappingSection, new: &MappingSection) -> Vec<PhysicalPage> {
    let places = |section: &MappingSection, other: &MappingSection| {
        let moved = section
            .mapped()
            .filter(|(page, physical, _)| other.resolve(*page) != Some(*physical));
        moved.map(|(_, physical, _)| physical).collect::<Vec<_>>()
    };
    // Pages that kept their places, as most do, need no look-up.
    let kept: std::collections::HashSet<PhysicalPage> = places(new, old).into_iter().collect();
    places(old, new)
        .into_iter()
        .filter(|physical| !kept.contains(physical))
        .collect()
}

/// The entry of a logical page without a page, as written by the generation that released it.
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

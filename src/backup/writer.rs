//! Writing of the backup file: its chunks in order, the manifest that lists them, and the trailer
//! that seals both.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::limits::MAX_MANIFEST_BYTES;
use crate::base::page_no::{PAGE_SIZE, PhysicalPage, Space};
use crate::base::parallel::ordered;
use crate::base::progress::Monitor;
use crate::base::random::random_uuid;
use crate::base::site::FileRole;
use crate::format::Dialect;
use crate::format::mapping::Mapping;
use crate::format::own::backup_file::{
    BackupFlags, ChunkHeader, ChunkKind, Digest, Header, TRAILER_SIZE, Trailer,
};
use crate::format::own::manifest::{
    ChunkEntry, Manifest, NO_FILE, PageState, SpaceManifest, is_plain_name,
};
use crate::pager::files::{DataFile, DataFiles, RepositoryFiles};
use crate::storage::{OpenMode, Storage, read_exact_at};
use crate::store::{Journals, Snapshot};

use super::frame::Frame;
use super::identity::{content_identity, digest, identity_of_files, seal};
use super::pages::{Job, Packed, Packer, byte_chunk, page_chunk, same_places};
use super::read::{Backup, pages_in};
use super::target::Target;
use super::write::BackupSummary;
use super::{BackupOptions, CHUNK_PAGES};

/// Largest part of a journal in a chunk, in bytes.
const JOURNAL_PART: u64 = 4 << 20;

/// Writes a backup file. The target gets its name only in [`Writer::finish`].
pub(super) struct Writer<'o> {
    target: Target,
    options: &'o BackupOptions,
    header: Header,
    header_bytes: Vec<u8>,
    pub(super) manifest: Manifest,
}

impl<'o> Writer<'o> {
    /// Begins a backup of a snapshot, with these flags in addition to those that follow from the
    /// options.
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
        let created = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
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
        let pages =
            |space| vec![PageState::Unmapped; snapshot.mapping().section(space).entries.len()];
        let space = |space| SpaceManifest {
            pages: pages(space),
            file_length: 0,
        };
        let spaces = [space(Space::Objects), space(Space::Index)];
        let manifest = Manifest {
            spaces,
            ..Manifest::default()
        };
        Ok(Self {
            target,
            options,
            header,
            header_bytes,
            manifest,
        })
    }

    /// Writes all mapped pages in chunks. `mapping` gets the checksums of scrubbed pages.
    pub(super) fn pages(
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

    /// Writes a chunk. Returns its buffer.
    fn take(&mut self, packed: Packed) -> Result<Frame> {
        let [objects, index] = &mut self.manifest.spaces;
        let space = if packed.space == Space::Objects {
            objects
        } else {
            index
        };
        for done in &packed.pages {
            if let Some(state) = space.pages.get_mut(done.page.index()) {
                *state = if done.is_included {
                    PageState::Included(done.digest)
                } else {
                    PageState::InBase(done.digest)
                };
            }
        }
        if let Some(header) = packed.header {
            self.chunk(header, packed.frame.filled(), Digest::default())?;
        }
        Ok(packed.frame)
    }

    fn chunk(&mut self, header: ChunkHeader, bytes: &[u8], digest: Digest) -> Result<()> {
        let offset = self.target.append(bytes)?;
        self.manifest.chunks.push(ChunkEntry {
            offset,
            header,
            digest,
        });
        Ok(())
    }

    /// Writes the mapping of the generation, which is the first chunk of its kind.
    pub(super) fn mapping(&mut self, snapshot: &Snapshot, mapping: &Mapping) -> Result<()> {
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

    /// Records the pages that share their place with a lower one.
    pub(super) fn same_places(&mut self, snapshot: &Snapshot) {
        for space in Space::ALL {
            let [objects, index] = &mut self.manifest.spaces;
            let states = if space == Space::Objects {
                &mut objects.pages
            } else {
                &mut index.pages
            };
            for (page, lowest) in same_places(snapshot.mapping().section(space)) {
                let digest = states
                    .get(lowest.index())
                    .and_then(PageState::digest)
                    .copied();
                if let (Some(state), Some(digest)) = (states.get_mut(page.index()), digest) {
                    *state = PageState::Same(lowest, digest);
                }
            }
        }
    }

    /// Writes all other content of the files: mapping files, free pages, ends of files.
    pub(super) fn forensic(
        &mut self,
        files: &RepositoryFiles,
        snapshot: &Snapshot,
        data: &DataFiles,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        for role in FileRole::REPOSITORY
            .into_iter()
            .filter(|role| !matches!(role, FileRole::Objects | FileRole::Index))
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
            (if space == Space::Objects {
                objects
            } else {
                index
            })
            .file_length = length;
        }
        Ok(())
    }

    /// Writes every journal, byte for byte, in parts. Bytes appended to one in the meantime are
    /// left out.
    fn journals(&mut self, files: &RepositoryFiles, monitor: &Monitor<'_>) -> Result<()> {
        for (generation, name) in distinct(files.journals()) {
            let path = files.directory.join(name);
            let failed = |action| {
                let path = path.clone();
                move |error| Error::io(action, &path, error)
            };
            let file = files
                .directory
                .storage
                .open(&path, OpenMode::Read)
                .map_err(failed(IoOp::Open))?;
            let length = file.len().map_err(failed(IoOp::Metadata))?;
            let mut part = 0;
            loop {
                monitor.check()?;
                let start = u64::from(part) * JOURNAL_PART;
                let mut bytes = vec![
                    0;
                    usize::try_from(length.saturating_sub(start).min(JOURNAL_PART))
                        .unwrap_or(0)
                ];
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

    /// Writes the content of a data file other than mapped pages. Returns the length of the file.
    fn data_file(
        &mut self,
        snapshot: &Snapshot,
        space: Space,
        file: &DataFile,
        monitor: &Monitor<'_>,
    ) -> Result<u64> {
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
            let Some(physical) = PhysicalPage::new(number) else {
                continue;
            };
            let read = read_exact_at(file.file.as_ref(), physical.byte_offset(), page);
            read.map_err(|error| Error::io(IoOp::Read, &file.path, error))?;
        }
        let (header, frame) = page_chunk(
            ChunkKind::FreePages(space),
            numbers,
            &pages,
            self.options.compression,
        );
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

    /// Writes manifest and trailer, and gives the file its name.
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
            // The name is only a hint; without it, the base is found by its identity.
            self.manifest.base_name = if is_plain_name(&name) {
                name.into_owned()
            } else {
                String::new()
            };
        }
        let manifest = self.manifest.to_bytes();
        let (what, got) = (
            "the size of the manifest of a backup in bytes",
            manifest.len() as u64,
        );
        if got > MAX_MANIFEST_BYTES {
            return Err(Error::Limit {
                what,
                max: MAX_MANIFEST_BYTES,
                got,
            });
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
            pages_in_base: pages()
                .filter(|page| matches!(page, PageState::InBase(_)))
                .count() as u64,
            bytes: trailer.file_length,
            damage: None,
            journal: Journals::default(),
        };
        // Another backup may have replaced the base in the meantime.
        self.target
            .publish(|| base.map_or(Ok(()), |base| base.need_in_place(storage)))?;
        Ok(summary)
    }
}

/// The journals, keeping the first of those whose names differ only in case, which the engine never
/// creates.
fn distinct(journals: &[(u32, String)]) -> impl Iterator<Item = (u32, &str)> {
    let runs = journals.chunk_by(|(a, _), (b, _)| a == b);
    runs.filter_map(|run| {
        run.first()
            .map(|(generation, name)| (*generation, name.as_str()))
    })
}

/// Updates the checksums of changed pages in the mapping.
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

/// Numbers of the physical pages that hold a mapped page.
pub(super) fn mapped_places(snapshot: &Snapshot, space: Space) -> BTreeSet<u32> {
    snapshot
        .mapping()
        .section(space)
        .mapped()
        .map(|(_, physical, _)| physical.get())
        .collect()
}

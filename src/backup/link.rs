//! One file of a chain of backups: opening it in stages, and finding, reading and checking its
//! chunks.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::base::error::{BackupFault, Error, Result};
use crate::base::io_op::IoOp;
use crate::base::limits::{MAX_CHUNK_PAGES, MAX_MANIFEST_BYTES, MAX_MAPPING_BYTES, MAX_THREADS};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, Space};
use crate::base::site::FileRole;
use crate::base::widen;
use crate::format::checksum::crc32;
use crate::format::own::backup_file::{
    BackupFlags, CHUNK_HEADER_SIZE, ChunkHeader, ChunkKind, Digest, HEADER_SIZE, Header,
    TRAILER_SIZE, Trailer,
};
use crate::format::own::manifest::{ChunkEntry, Manifest, NO_FILE, PageState, SpaceManifest};
use crate::storage::{EntryKind, OpenMode, Protection, Storage, StorageFile, read_exact_at};

use super::codec::{Payload, unpack};
use super::frame::{Frame, Spare};
use super::identity::{digest, seal};
use super::pages::split_pages;

/// Size of the unpacked chunks of a chain that are kept in memory, in bytes.
const CHUNK_CACHE_BYTES: u64 = 64 << 20;

/// Number of a file in the chain, and of a chunk in it.
type ChunkKey = (usize, usize);

/// Unpacked chunks of all files of a chain.
#[derive(Debug)]
pub(crate) struct ChunkCache {
    kept: Cache<ChunkKey, Arc<Payload>, ByBytes>,
    passing: Passing,
    spare: Arc<Spare>,
    links: AtomicUsize,
}

impl ChunkCache {
    pub(crate) fn new() -> Arc<Self> {
        let kept = Cache::with_weighter(256, CHUNK_CACHE_BYTES, ByBytes);
        Arc::new(Self {
            kept,
            passing: Passing::default(),
            spare: Arc::default(),
            links: AtomicUsize::new(0),
        })
    }
}

/// The chunks of pages in use by the threads of a pass over everything, most recently used last.
#[derive(Debug, Default)]
struct Passing(Mutex<VecDeque<(ChunkKey, Arc<Payload>)>>);

impl Passing {
    fn get(&self, key: &ChunkKey) -> Option<Arc<Payload>> {
        let mut chunks = self.0.lock();
        let at = chunks.iter().rposition(|(held, _)| held == key)?;
        if at + MAX_THREADS < chunks.len() {
            let found = chunks.remove(at)?;
            chunks.push_back(found);
            return chunks.back().map(|(_, chunk)| chunk.clone());
        }
        chunks.get(at).map(|(_, chunk)| chunk.clone())
    }

    /// Keeps a chunk, for a chain of `links` files: a thread may be using one of each. A chunk of
    /// pages has at most 512 KiB.
    fn put(&self, key: ChunkKey, chunk: Arc<Payload>, links: usize) {
        let capacity = (MAX_THREADS + 8).max(2 * links);
        let mut chunks = self.0.lock();
        while chunks.len() >= capacity {
            chunks.pop_front();
        }
        chunks.push_back((key, chunk));
    }
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<ChunkKey, Arc<Payload>> for ByBytes {
    fn weight(&self, _: &ChunkKey, chunk: &Arc<Payload>) -> u64 {
        chunk.held_bytes() as u64 + 1
    }
}

/// One file of a chain of backups.
#[derive(Debug)]
pub(crate) struct Link {
    pub path: PathBuf,
    file: Box<dyn StorageFile>,
    pub length: u64,
    /// The access rights of the file.
    pub protection: Protection,
    pub header: Header,
    pub seal: Digest,
    pub manifest: Manifest,
    places: Places,
    cache: Arc<ChunkCache>,
    /// The number of the file in the cache.
    number: usize,
    /// For each chunk, whether it was read and found right.
    checked: Vec<AtomicBool>,
}

/// Fails if the path is not a file, because opening a pipe would wait for its writer.
fn ensure_file(storage: &Arc<dyn Storage>, path: &Path) -> Result<()> {
    let kind = storage.kind(path);
    match kind.map_err(|error| Error::io(IoOp::Open, path, error))? {
        Some(EntryKind::File) | None => Ok(()),
        Some(_) => Err(Error::backup(path, BackupFault::NotABackup)),
    }
}

impl Link {
    pub(crate) fn open(
        storage: &Arc<dyn Storage>,
        path: &Path,
        cache: &Arc<ChunkCache>,
    ) -> Result<Self> {
        let failed = |op| move |error| Error::io(op, path, error);
        ensure_file(storage, path)?;
        let file = storage
            .open(path, OpenMode::Read)
            .map_err(failed(IoOp::Open))?;
        let length = file.len().map_err(failed(IoOp::Metadata))?;
        let protection = storage.protection(path).map_err(failed(IoOp::Metadata))?;
        let read = |offset: u64, len: u64| -> Result<Vec<u8>> {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
            read_exact_at(file.as_ref(), offset, &mut bytes).map_err(failed(IoOp::Read))?;
            Ok(bytes)
        };
        let fault = |fault| Error::backup(path, fault);
        let header_bytes = read(0, length.min(HEADER_SIZE as u64))?;
        let header = Header::parse(&header_bytes).map_err(fault)?;
        let trailer_at = length
            .checked_sub(TRAILER_SIZE as u64)
            .filter(|&at| at >= HEADER_SIZE as u64);
        let Some(trailer_at) = trailer_at else {
            let text = format!("only {length} bytes are left");
            return Err(fault(BackupFault::Truncated(text)));
        };
        let trailer =
            Trailer::parse(&read(trailer_at, TRAILER_SIZE as u64)?, length).map_err(fault)?;
        check_extent(&trailer, trailer_at).map_err(fault)?;
        let manifest_bytes = read(trailer.manifest_offset, trailer.manifest_length)?;
        if seal(&header_bytes, &manifest_bytes) != trailer.seal
            || trailer.identity != header.identity
        {
            let text = "header and manifest do not match their seal".to_owned();
            return Err(fault(BackupFault::Checksum(text)));
        }
        let structure = |text| fault(BackupFault::Structure(text));
        let unreadable = || structure("its manifest cannot be read".to_owned());
        let manifest = Manifest::parse(&manifest_bytes).ok_or_else(unreadable)?;
        check_kinds(&header, &manifest).map_err(structure)?;
        let places =
            Places::find(&header, &manifest, trailer.manifest_offset).map_err(structure)?;
        let unread = |_| AtomicBool::new(false);
        let checked = manifest.chunks.iter().map(unread).collect();
        let (cache, number) = (cache.clone(), cache.links.fetch_add(1, Ordering::Relaxed));
        let path = path.to_owned();
        Ok(Self {
            path,
            file,
            length,
            protection,
            header,
            seal: trailer.seal,
            manifest,
            places,
            cache,
            number,
            checked,
        })
    }

    /// Frees the information about pages that are not in this file. It is not needed for a base
    /// once the next backup has been compared with it. A manifest of a few bytes may list hundreds
    /// of thousands of pages.
    pub(crate) fn forget_pages(&mut self) {
        for space in &mut self.manifest.spaces {
            space.pages = Vec::new();
        }
    }

    pub(crate) fn is_forensic(&self) -> bool {
        self.header.flags.contains(BackupFlags::FORENSIC)
    }

    /// True if it holds files without a generation.
    pub(crate) const fn is_unmapped(&self) -> bool {
        self.header.is_unmapped()
    }

    pub(crate) fn fault(&self, fault: BackupFault) -> Error {
        Error::backup(&self.path, fault)
    }

    /// Checks that every page stated to be in the base is there with that content.
    pub(crate) fn check_against_base(&self, base: &Link) -> Result<()> {
        for space in Space::ALL {
            for (page, state) in (0..).zip(&self.manifest.space(space).pages) {
                let (PageState::InBase(digest), Some(page)) = (state, LogicalPage::new(page))
                else {
                    continue;
                };
                if base.manifest.space(space).page(page).digest() != Some(digest) {
                    let text =
                        format!("{space} page {page} is said to be in the base, which has another");
                    return Err(self.fault(BackupFault::Structure(text)));
                }
            }
        }
        Ok(())
    }

    /// The unpacked and checked payload of a chunk. If another thread is reading the same chunk,
    /// waits for it.
    pub(crate) fn chunk(&self, number: usize) -> Result<Arc<Payload>> {
        let key = (self.number, number);
        self.cache.kept.get_or_insert_with(&key, || {
            self.cache
                .passing
                .get(&key)
                .map_or_else(|| self.load(number), Ok)
        })
    }

    /// The payload of a chunk in a pass over everything, so it is not kept long; otherwise like
    /// [`chunk`](Self::chunk).
    pub(crate) fn passing_chunk(&self, number: usize) -> Result<Arc<Payload>> {
        let key = (self.number, number);
        if let Some(found) = self
            .cache
            .passing
            .get(&key)
            .or_else(|| self.cache.kept.get(&key))
        {
            return Ok(found);
        }
        let chunk = self.load(number)?;
        // Other chunks are used only once and may be large.
        if self
            .manifest
            .chunks
            .get(number)
            .is_some_and(|entry| entry.header.kind.has_pages())
        {
            self.cache
                .passing
                .put(key, chunk.clone(), self.cache.links.load(Ordering::Relaxed));
        }
        Ok(chunk)
    }

    fn load(&self, number: usize) -> Result<Arc<Payload>> {
        let Some(entry) = self.manifest.chunks.get(number) else {
            return Err(self.fault(BackupFault::Structure(format!(
                "there is no chunk {number}"
            ))));
        };
        let raw = Arc::new(self.read_chunk(number, entry)?);
        if let Some(checked) = self.checked.get(number) {
            checked.store(true, Ordering::Relaxed);
        }
        Ok(raw)
    }

    fn read_chunk(&self, number: usize, entry: &ChunkEntry) -> Result<Payload> {
        let damaged = |what: &str| {
            let text = format!(
                "chunk {number} at offset {}{}: {what}",
                entry.offset,
                pages_of(&entry.header)
            );
            self.fault(BackupFault::Checksum(text))
        };
        let framed = self.read_framed(number, entry)?;
        let (header, stored) = framed.filled().split_at(CHUNK_HEADER_SIZE);
        if header != entry.header.to_bytes() {
            return Err(damaged("its header does not match the manifest"));
        }
        if crc32(stored) != entry.header.payload_crc {
            return Err(damaged("it does not match its checksum"));
        }
        let raw = unpack(&entry.header, framed, CHUNK_HEADER_SIZE, &self.cache.spare);
        let raw = raw.ok_or_else(|| damaged("it cannot be unpacked"))?;
        if !self.is_as_stated(number, entry, &raw) {
            return Err(damaged("its content does not match its digest"));
        }
        Ok(raw)
    }

    /// The bytes of a chunk as stored in the file, header included.
    fn read_framed(&self, number: usize, entry: &ChunkEntry) -> Result<Frame> {
        let length = CHUNK_HEADER_SIZE + widen(entry.header.stored);
        let mut framed = self.cache.spare.take();
        framed.clear(length);
        let room = framed.split().1.get_mut(..length).unwrap_or_default();
        read_exact_at(self.file.as_ref(), entry.offset, room).map_err(|error| {
            match error.kind() {
                std::io::ErrorKind::UnexpectedEof => {
                    self.fault(BackupFault::Truncated(format!("chunk {number} is cut")))
                }
                _ => Error::io(IoOp::Read, &self.path, error),
            }
        })?;
        framed.fill(length);
        Ok(framed)
    }

    /// The fault of a chunk, if it has one.
    pub(crate) fn fault_of_chunk(&self, number: usize) -> Result<Option<Error>> {
        match self.passing_chunk(number) {
            Ok(_) => Ok(None),
            Err(error @ Error::Backup { .. }) => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    /// True if the content of a chunk is what the manifest states.
    fn is_as_stated(&self, number: usize, entry: &ChunkEntry, raw: &[u8]) -> bool {
        let header = &entry.header;
        if !header.kind.has_pages() {
            return digest(raw) == entry.digest;
        }
        let Some((pages, numbers)) = split_pages(header, raw) else {
            return false;
        };
        let ChunkKind::Pages(space) = header.kind else {
            return digest(pages) == entry.digest;
        };
        numbers
            .iter()
            .zip(pages.chunks_exact(PAGE_SIZE))
            .enumerate()
            .all(|(slot, (&page, bytes))| {
                let place =
                    LogicalPage::new(page).and_then(|page| self.places.of(space).get(&page));
                place
                    == Some(&Place {
                        chunk: number,
                        slot,
                        digest: digest(bytes),
                    })
            })
    }

    /// Checks the chunks that have not been read yet.
    pub(crate) fn check_rest(&self) -> Result<()> {
        for (number, checked) in self.checked.iter().enumerate() {
            if !checked.load(Ordering::Relaxed) {
                self.passing_chunk(number)?;
            }
        }
        Ok(())
    }

    /// The page that this page duplicates according to the manifest, or else the page itself.
    pub(crate) fn original(&self, space: Space, page: LogicalPage) -> LogicalPage {
        self.places.same(space).get(&page).copied().unwrap_or(page)
    }

    /// The chunk in which the file holds a page itself, and the number of the page in it.
    pub(crate) fn place(&self, space: Space, page: LogicalPage) -> Option<(usize, usize)> {
        self.places
            .of(space)
            .get(&page)
            .map(|place| (place.chunk, place.slot))
    }

    /// Copies a page from the chunk with this number.
    pub(crate) fn copy_page(
        &self,
        chunk: usize,
        raw: &Payload,
        slot: usize,
        into: &mut PageBytes,
    ) -> Result<()> {
        let start = slot * PAGE_SIZE;
        let bytes = raw.get(start..start + PAGE_SIZE);
        into.copy_from_slice(bytes.ok_or_else(|| self.too_short(chunk))?);
        Ok(())
    }

    pub(crate) fn too_short(&self, chunk: usize) -> Error {
        self.fault(BackupFault::Structure(format!(
            "chunk {chunk} is too short"
        )))
    }
}

/// Checks that chunks, manifest and trailer fill the file without a gap.
fn check_extent(trailer: &Trailer, trailer_at: u64) -> Result<(), BackupFault> {
    let end = trailer.manifest_offset.checked_add(trailer.manifest_length);
    if end != Some(trailer_at) || trailer.manifest_offset < HEADER_SIZE as u64 {
        return Err(BackupFault::Structure(
            "the manifest is not at the offset in the trailer".to_owned(),
        ));
    }
    if trailer.manifest_length > MAX_MANIFEST_BYTES {
        return Err(BackupFault::Structure(
            "the manifest is larger than any can be".to_owned(),
        ));
    }
    Ok(())
}

/// The pages of a chunk in words; empty if it has none.
fn pages_of(header: &ChunkHeader) -> String {
    let what = match header.kind {
        ChunkKind::Pages(Space::Objects) => "object",
        ChunkKind::Pages(Space::Index) => "index",
        ChunkKind::FreePages(_) => "free",
        _ => return String::new(),
    };
    format!(" ({what} pages {} to {})", header.first, header.last)
}

/// The place and nature of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    chunk: usize,
    /// Number of the page in the chunk.
    slot: usize,
    digest: Digest,
}

/// The pages in a file, and those that duplicate a page of the file or of a base, by space.
#[derive(Debug, Default)]
struct Places {
    own: [BTreeMap<LogicalPage, Place>; 2],
    same: [BTreeMap<LogicalPage, LogicalPage>; 2],
}

/// Selects the element for a space.
fn of_space<T>([objects, index]: &[T; 2], space: Space) -> &T {
    if space == Space::Objects {
        objects
    } else {
        index
    }
}

impl Places {
    fn of(&self, space: Space) -> &BTreeMap<LogicalPage, Place> {
        of_space(&self.own, space)
    }

    fn same(&self, space: Space) -> &BTreeMap<LogicalPage, LogicalPage> {
        of_space(&self.same, space)
    }

    /// Finds the place of each included page, and checks that chunks and pages agree in number,
    /// order and extent.
    fn find(header: &Header, manifest: &Manifest, manifest_offset: u64) -> Result<Self, String> {
        let mut places = Self {
            same: Space::ALL.map(|space| same_pages(manifest.space(space))),
            ..Self::default()
        };
        let mut included = Space::ALL.map(|space| included_pages(manifest.space(space)));
        let mut end = HEADER_SIZE as u64;
        for (number, chunk) in manifest.chunks.iter().enumerate() {
            if chunk.offset != end {
                return Err(format!(
                    "chunk {number} does not begin where the previous one ends"
                ));
            }
            end = end.saturating_add(CHUNK_HEADER_SIZE as u64 + u64::from(chunk.header.stored));
            check_chunk(&chunk.header)
                .ok_or_else(|| format!("chunk {number} has impossible sizes"))?;
            let ChunkKind::Pages(space) = chunk.header.kind else {
                continue;
            };
            let ([objects, index], [in_objects, in_index]) = (&mut places.own, &mut included);
            let (places, pages) = if space == Space::Objects {
                (objects, in_objects)
            } else {
                (index, in_index)
            };
            take_pages(number, &chunk.header, pages, places)?;
        }
        if end != manifest_offset || included.iter_mut().any(|pages| pages.next().is_some()) {
            return Err("the chunks do not hold what the manifest lists".to_owned());
        }
        let mut states = manifest.spaces.iter().flat_map(|space| &space.pages);
        let needs_base = states.any(|page| matches!(page, PageState::InBase(_)));
        if needs_base && !header.flags.contains(BackupFlags::INCREMENTAL) {
            return Err("pages are missing that no base holds".to_owned());
        }
        Ok(places)
    }
}

fn included_pages(space: &SpaceManifest) -> impl Iterator<Item = (LogicalPage, Digest)> {
    (0..)
        .zip(&space.pages)
        .filter_map(|(page, state)| match state {
            PageState::Included(digest) => Some((LogicalPage::new(page)?, *digest)),
            _ => None,
        })
}

fn same_pages(space: &SpaceManifest) -> BTreeMap<LogicalPage, LogicalPage> {
    let states = (0..).zip(&space.pages);
    let same = states.filter_map(|(page, state)| match state {
        PageState::Same(as_page, _) => Some((LogicalPage::new(page)?, *as_page)),
        _ => None,
    });
    same.collect()
}

/// Assigns the next pages to a chunk.
fn take_pages(
    chunk: usize,
    header: &ChunkHeader,
    pages: &mut impl Iterator<Item = (LogicalPage, Digest)>,
    places: &mut BTreeMap<LogicalPage, Place>,
) -> Result<(), String> {
    let mut last = None;
    for slot in 0..widen(header.count) {
        let (page, digest) = pages
            .next()
            .ok_or_else(|| format!("chunk {chunk} has more pages than the manifest"))?;
        if slot == 0 && page.get() != header.first {
            return Err(format!(
                "chunk {chunk} begins with another page than the manifest says"
            ));
        }
        places.insert(
            page,
            Place {
                chunk,
                slot,
                digest,
            },
        );
        last = Some(page.get());
    }
    if last != Some(header.last) {
        return Err(format!(
            "chunk {chunk} ends with another page than the manifest says"
        ));
    }
    Ok(())
}

/// Checks that the chunks are those of a backup of its kind. There is one mapping. A forensic
/// backup also has each file once, and the parts of a data file if that exists.
fn check_kinds(header: &Header, manifest: &Manifest) -> Result<(), String> {
    let is_forensic = header.flags.contains(BackupFlags::FORENSIC);
    let has_journals = header.flags.contains(BackupFlags::JOURNALS);
    let is_unmapped = header.is_unmapped();
    let mut seen = Vec::new();
    // Without a generation no file has the role of its mapping.
    let mut has_mapping = is_unmapped;
    let mut journal: Option<(u32, u32)> = None;
    for (number, chunk) in manifest.chunks.iter().enumerate() {
        let kind = chunk.header.kind;
        let is_right = match kind {
            ChunkKind::Pages(_) => !is_unmapped,
            // The mapping of the generation. In a forensic backup it is present again among the
            // files.
            ChunkKind::File(role) if !has_mapping => matches!(role, FileRole::Mapping(_)),
            ChunkKind::File(_) => is_forensic && !seen.contains(&kind),
            ChunkKind::FreePages(space) => {
                is_forensic && manifest.space(space).file_length != NO_FILE
            }
            ChunkKind::Tail(space) => {
                let has_file = is_forensic && manifest.space(space).file_length != NO_FILE;
                has_file && !seen.contains(&kind) && widen(chunk.header.count) < PAGE_SIZE
            }
            ChunkKind::Journal => {
                has_journals && follows(journal, (chunk.header.first, chunk.header.last))
            }
        };
        if !is_right {
            return Err(format!(
                "chunk {number} is of a kind that does not belong there"
            ));
        }
        match kind {
            ChunkKind::File(_) if !has_mapping => has_mapping = true,
            ChunkKind::File(_) | ChunkKind::Tail(_) => seen.push(kind),
            ChunkKind::Journal => journal = Some((chunk.header.first, chunk.header.last)),
            ChunkKind::Pages(_) | ChunkKind::FreePages(_) => {}
        }
    }
    if has_journals != journal.is_some() {
        return Err("it does not hold the journals that its header says".to_owned());
    }
    let lengths = || manifest.spaces.iter().map(|space| space.file_length);
    if !has_mapping {
        return Err("it holds no mapping".to_owned());
    }
    if !is_forensic && lengths().any(|length| length != 0) {
        return Err("it gives lengths of files that only a forensic backup keeps".to_owned());
    }
    Ok(())
}

/// True if one part of a journal may follow another: journals ascend by generation, and their parts
/// count from 0.
fn follows(before: Option<(u32, u32)>, (generation, part): (u32, u32)) -> bool {
    match before {
        Some((same, last)) if same == generation => last.checked_add(1) == Some(part),
        before => part == 0 && before.is_none_or(|(before, _)| before < generation),
    }
}

/// Checks the sizes in the header of a chunk.
fn check_chunk(header: &ChunkHeader) -> Option<()> {
    let limit = if header.kind.has_pages() {
        MAX_CHUNK_PAGES.into()
    } else {
        MAX_MAPPING_BYTES
    };
    let is_possible =
        u64::from(header.count) <= limit && u64::from(header.stored) <= header.raw_len();
    let has_content = !header.kind.has_pages() || header.count > 0;
    (is_possible && has_content).then_some(())
}

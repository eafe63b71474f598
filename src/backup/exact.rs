//! The exact files in a forensic backup, presented as a readable directory. A restore writes these
//! files, and they must be checked as such. The rules of recovery, not the backup, decide which
//! generation is current.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::base::error::{BackupFault, Error, Result};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::site::FileRole;
use crate::base::{narrow, widen};
use crate::format::checksum::crc32;
use crate::format::mapping::Mapping;
use crate::format::own::backup_file::ChunkKind;
use crate::format::own::journal::MappingId;
use crate::format::own::manifest::{NO_FILE, PageState};
use crate::pager::journal::{generation_of, journal_name};
use crate::pager::page::source;
use crate::pager::page::source::PageSource;
use crate::pager::state::image::Image;
use crate::storage::{DirEntry, Directory, EntryKind, OpenMode, Storage, StorageFile, read_only};
use crate::store::OpenOptions;
use crate::store::read::journals;
use crate::store::read::journals::{Journals, Reading};

use super::chain::Chain;
use super::link::Link;
use super::pages::split_pages;
use super::read::Backup;

/// A small file with its content.
pub(crate) type SmallFile = (FileRole, Vec<u8>);

/// The files of a forensic backup.
#[derive(Debug, Clone)]
pub(crate) struct ExactFiles {
    chain: Arc<Chain>,
    /// The data files of both spaces, as far as they exist.
    data: [Option<Arc<DataLayout>>; 2],
    /// The small files with their chunks. The mapping of the generation in the backup comes first,
    /// followed by the file that selects it, so that an interrupted restore never shows an older
    /// generation.
    small: Vec<(FileRole, usize)>,
    /// The journals by the generations in their names, ascending.
    journals: Vec<(u32, Arc<JournalLayout>)>,
}

/// A journal in parts, each with its offset in bytes.
#[derive(Debug, Default)]
struct JournalLayout {
    parts: Vec<(u64, usize)>,
    length: u64,
}

/// The composition of a data file.
#[derive(Debug)]
pub(crate) struct DataLayout {
    space: Space,
    /// The places of the pages, by physical page.
    pages: Vec<Held>,
    /// The chunk with the bytes after the last whole page.
    tail: Option<usize>,
    length: u64,
}

/// The place of a physical page.
#[derive(Debug, Clone, Copy)]
enum Held {
    /// Stored as this logical page.
    Mapped(LogicalPage),
    /// Stored as a free page: number of the chunk, and number in it.
    Free(u32, u32),
}

impl Backup {
    /// The files of a forensic backup; `None` for any other backup. Fails if they are incomplete.
    pub(crate) fn exact_files(&self) -> Result<Option<ExactFiles>> {
        let top = &self.chain().top;
        if !top.is_forensic() {
            return Ok(None);
        }
        let snapshot = self.snapshot();
        let mapping = snapshot.image().base().mapping();
        let data = [
            layout(top, mapping, Space::Objects)?,
            layout(top, mapping, Space::Index)?,
        ];
        Ok(Some(ExactFiles {
            data,
            ..ExactFiles::small_of(self.chain())
        }))
    }

    /// Checks that a forensic backup restores what was verified: all bytes of its files are
    /// present, and recovery chooses among their generations the one in the backup.
    pub(crate) fn check_exact(&self) -> Result<()> {
        let Some(files) = self.exact_files()? else {
            return Ok(());
        };
        let top = &self.chain().top;
        let directory = Directory::new(Arc::new(files), ".");
        match OpenOptions::new().without_journal().open_in(&directory) {
            Err(Error::NotARepository { .. }) if top.is_unmapped() => Ok(()),
            Ok(opened) if top.is_unmapped() => {
                let generation = opened.snapshot().mapping().generation();
                Err(not_right(
                    top,
                    &format!(
                        "it says that no mapping can be read, and holds generation {generation}"
                    ),
                ))
            }
            Ok(opened)
                if opened.snapshot().mapping() == self.snapshot().image().base().mapping() =>
            {
                Ok(())
            }
            Ok(opened) => {
                let generation = opened.snapshot().mapping().generation();
                let text = format!(
                    "of the files in it generation {generation} is the current one, and not what \
                        it says"
                );
                Err(not_right(top, &text))
            }
            Err(error @ Error::NotARepository { .. }) => Err(not_right(top, &error.to_string())),
            Err(error) => Err(error),
        }
    }
}

impl ExactFiles {
    /// The files of a forensic backup except its data files, for reading the journals.
    pub(super) fn small_of(chain: &Arc<Chain>) -> Self {
        let top = &chain.top;
        let mut small: Vec<(FileRole, usize)> = Vec::new();
        // The first file is the mapping of the generation, if there is one. It is present again
        // among the others, unchanged.
        let chunks = top.manifest.chunks.iter().enumerate();
        let mut files = chunks.filter_map(|(number, entry)| match entry.header.kind {
            ChunkKind::File(role) => Some((role, number)),
            _ => None,
        });
        let current = if top.is_unmapped() {
            None
        } else {
            files.next().map(|(role, _)| role)
        };
        small.extend(files);
        small.sort_by_key(|(role, _)| (Some(*role) != current, *role != FileRole::MappingVersion));
        Self {
            chain: chain.clone(),
            data: [None, None],
            small,
            journals: journals(top),
        }
    }
}

/// The places of the parts of the journals.
fn journals(top: &Link) -> Vec<(u32, Arc<JournalLayout>)> {
    let mut journals: Vec<(u32, JournalLayout)> = Vec::new();
    let chunks = top.manifest.chunks.iter().enumerate();
    for (number, entry) in chunks.filter(|(_, entry)| entry.header.kind == ChunkKind::Journal) {
        let generation = entry.header.first;
        if journals.last().is_none_or(|(last, _)| *last != generation) {
            journals.push((generation, JournalLayout::default()));
        }
        if let Some((_, layout)) = journals.last_mut() {
            layout.parts.push((layout.length, number));
            layout.length += entry.header.raw_len();
        }
    }
    journals
        .into_iter()
        .map(|(generation, layout)| (generation, Arc::new(layout)))
        .collect()
}

/// Checks that mapped pages, free pages and the end fill a data file without a gap or overlap.
fn layout(top: &Link, mapping: &Mapping, space: Space) -> Result<Option<Arc<DataLayout>>> {
    let manifest = top.manifest.space(space);
    if manifest.file_length == NO_FILE {
        return Ok(None);
    }
    let is_own = |page| {
        matches!(
            manifest.page(page),
            PageState::Included(_) | PageState::InBase(_)
        )
    };
    let mapped = mapping
        .section(space)
        .mapped()
        .filter(|(page, ..)| is_own(*page));
    let mut pages: Vec<(u32, Held)> = mapped
        .map(|(page, physical, _)| (physical.get(), Held::Mapped(page)))
        .collect();
    let (mut tail, mut length) = (None, 0);
    for (number, entry) in top.manifest.chunks.iter().enumerate() {
        if entry.header.kind == ChunkKind::FreePages(space) {
            let numbers =
                split_pages(&entry.header, &top.chunk(number)?).map(|(_, numbers)| numbers);
            let free = numbers.unwrap_or_default().into_iter().zip(0..);
            pages.extend(free.map(|(page, slot)| (page, Held::Free(narrow(number), slot))));
        } else if entry.header.kind == ChunkKind::Tail(space) {
            (tail, length) = (Some(number), entry.header.raw_len());
        }
    }
    pages.sort_unstable_by_key(|(page, _)| *page);
    length += pages.len() as u64 * PAGE_SIZE as u64;
    if length != manifest.file_length
        || !(0..).zip(&pages).all(|(number, (page, _))| number == *page)
    {
        return Err(not_right(
            top,
            &format!("its pages do not make up {}", FileRole::data(space)),
        ));
    }
    let pages = pages.into_iter().map(|(_, held)| held).collect();
    Ok(Some(Arc::new(DataLayout {
        space,
        pages,
        tail,
        length,
    })))
}

fn not_right(top: &Link, text: &str) -> Error {
    top.fault(BackupFault::Structure(text.to_owned()))
}

impl ExactFiles {
    /// The small files, one at a time, in the order in which they get their names.
    pub(crate) fn small_files(&self) -> impl Iterator<Item = Result<SmallFile>> {
        self.small
            .iter()
            .map(|&(role, chunk)| Ok((role, self.chain.top.chunk(chunk)?.to_vec())))
    }

    /// A generation, the one in the backup, with the commits of its journals.
    pub(super) fn with_journals(
        self,
        image: Image,
        without_journal: bool,
        may_go_on: &dyn Fn() -> bool,
    ) -> Result<(Image, Journals)> {
        let names: Vec<(u32, String)> = self.journal_names().collect();
        if names.is_empty() {
            return Ok((image, Journals::default()));
        }
        let how = if without_journal {
            Reading::LeftOut
        } else {
            Reading::Replayed
        };
        let role = image.mapping_role();
        let chunk = self
            .small
            .iter()
            .find(|(small, _)| *small == role)
            .map(|(_, chunk)| *chunk);
        let mapping_crc = chunk
            .map(|chunk| self.chain.top.chunk(chunk))
            .transpose()?
            .map_or(0, |bytes| crc32(&bytes));
        let id = MappingId {
            generation: image.base().mapping().generation(),
            mapping_crc,
        };
        let directory = Directory::new(Arc::new(self), ".");
        journals::read(&directory, &names, image, id, how, may_go_on)
    }

    /// The names of the journals.
    pub(crate) fn journal_names(&self) -> impl Iterator<Item = (u32, String)> {
        self.journals
            .iter()
            .map(|(generation, _)| (*generation, journal_name(*generation)))
    }

    /// The bytes of a journal, part by part.
    pub(crate) fn journal(&self, generation: u32) -> impl Iterator<Item = Result<(u64, Vec<u8>)>> {
        let layout = self
            .journals
            .iter()
            .find(|(named, _)| *named == generation)
            .map(|(_, layout)| layout);
        let parts = layout.into_iter().flat_map(|layout| &layout.parts);
        parts.map(|&(start, chunk)| Ok((start, self.chain.top.chunk(chunk)?.to_vec())))
    }

    /// A data file, if it exists.
    pub(crate) fn data(&self, space: Space) -> Option<&Arc<DataLayout>> {
        let [objects, index] = &self.data;
        if space == Space::Objects {
            objects.as_ref()
        } else {
            index.as_ref()
        }
    }

    /// Reads a physical page of a data file; a page past the end is zeros.
    pub(crate) fn read_page(
        &self,
        layout: &DataLayout,
        page: PhysicalPage,
        into: &mut PageBytes,
    ) -> Result<()> {
        match layout.pages.get(page.index()) {
            Some(Held::Mapped(logical)) => {
                self.chain
                    .read(layout.space, *logical, page, source::Reading::Single, into)
            }
            Some(Held::Free(chunk, slot)) => {
                let (chunk, slot) = (widen(*chunk), widen(*slot));
                self.chain
                    .top
                    .copy_page(chunk, &*self.chain.top.chunk(chunk)?, slot, into)
            }
            None => {
                into.fill(0);
                Ok(())
            }
        }
    }

    /// The bytes after the last whole page of a data file, with their offset.
    pub(crate) fn tail(&self, layout: &DataLayout) -> Result<(u64, Vec<u8>)> {
        let bytes = layout
            .tail
            .map(|chunk| self.chain.top.chunk(chunk))
            .transpose()?;
        Ok((
            u64::from(layout.page_count()) * PAGE_SIZE as u64,
            bytes.map(|bytes| bytes.to_vec()).unwrap_or_default(),
        ))
    }

    /// The journal with this name.
    fn find_journal(&self, path: &Path) -> Option<&Arc<JournalLayout>> {
        let wanted = generation_of(path.file_name()?.to_str()?)?;
        self.journals
            .iter()
            .find(|(generation, _)| *generation == wanted)
            .map(|(_, layout)| layout)
    }

    /// The file with this name.
    fn find(&self, path: &Path) -> Option<(FileRole, Option<usize>)> {
        let role = FileRole::from_file_name(path.file_name()?.to_str()?)?;
        let small = self
            .small
            .iter()
            .find(|(small, _)| *small == role)
            .map(|(_, chunk)| *chunk);
        let is_data = Space::ALL
            .into_iter()
            .any(|space| FileRole::data(space) == role && self.data(space).is_some());
        (small.is_some() || is_data).then_some((role, small))
    }
}

impl DataLayout {
    /// Number of whole pages of the file.
    pub(crate) fn page_count(&self) -> u32 {
        narrow(self.pages.len())
    }
}

impl Storage for ExactFiles {
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        if path == Path::new(".") {
            return Ok(Some(EntryKind::Directory));
        }
        Ok(self
            .find(path)
            .map(drop)
            .or(self.find_journal(path).map(drop))
            .map(|()| EntryKind::File))
    }

    fn read_dir(&self, _: &Path) -> io::Result<Vec<DirEntry>> {
        let there = FileRole::REPOSITORY
            .into_iter()
            .filter(|role| self.find(Path::new(role.file_name())).is_some());
        let names = there.map(|role| role.file_name().to_owned());
        let names = names.chain(self.journal_names().map(|(_, name)| name));
        Ok(names
            .map(|name| DirEntry {
                name,
                kind: EntryKind::File,
            })
            .collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        if mode != OpenMode::Read {
            return read_only();
        }
        let failed = io::Error::other::<Error>;
        if let Some(layout) = self.find_journal(path) {
            return Ok(Box::new(OpenJournal {
                files: self.clone(),
                layout: layout.clone(),
            }));
        }
        match self.find(path) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some((_, Some(chunk))) => {
                let bytes = self.chain.top.chunk(chunk).map_err(failed)?.to_vec();
                Ok(Box::new(OpenFile {
                    files: self.clone(),
                    bytes,
                    data: None,
                }))
            }
            Some((role, None)) => {
                let space = if role == FileRole::Objects {
                    Space::Objects
                } else {
                    Space::Index
                };
                let layout = self.data(space).cloned().ok_or(io::ErrorKind::NotFound)?;
                let (_, bytes) = self.tail(&layout).map_err(failed)?;
                Ok(Box::new(OpenFile {
                    files: self.clone(),
                    bytes,
                    data: Some(layout),
                }))
            }
        }
    }
}

/// An open file of a forensic backup: all bytes of a small file, or those of a data file after its
/// last whole page.
#[derive(Debug)]
struct OpenFile {
    files: ExactFiles,
    bytes: Vec<u8>,
    data: Option<Arc<DataLayout>>,
}

impl StorageFile for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self
            .data
            .as_ref()
            .map_or(self.bytes.len() as u64, |layout| layout.length))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let number = u32::try_from(offset / PAGE_SIZE as u64).unwrap_or(u32::MAX);
        let whole = self
            .data
            .as_ref()
            .filter(|layout| number < layout.page_count());
        let mut page = [0; PAGE_SIZE];
        let (bytes, start) = match (whole, PhysicalPage::new(number)) {
            (Some(layout), Some(physical)) => {
                self.files
                    .read_page(layout, physical, &mut page)
                    .map_err(io::Error::other::<Error>)?;
                (&page[..], offset % PAGE_SIZE as u64)
            }
            _ => {
                let pages = self
                    .data
                    .as_ref()
                    .map_or(0, |layout| u64::from(layout.page_count()));
                (
                    &self.bytes[..],
                    offset.saturating_sub(pages * PAGE_SIZE as u64),
                )
            }
        };
        let rest = usize::try_from(start)
            .ok()
            .and_then(|start| bytes.get(start..))
            .unwrap_or_default();
        Ok(fill_front(buf, rest))
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<usize> {
        read_only()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        read_only()
    }

    fn sync(&self) -> io::Result<()> {
        read_only()
    }
}

/// Copies as many bytes as there are and as fit. Returns their number.
fn fill_front(buf: &mut [u8], bytes: &[u8]) -> usize {
    let count = bytes.len().min(buf.len());
    if let (Some(target), Some(source)) = (buf.get_mut(..count), bytes.get(..count)) {
        target.copy_from_slice(source);
    }
    count
}

/// An open journal of a forensic backup.
#[derive(Debug)]
struct OpenJournal {
    files: ExactFiles,
    layout: Arc<JournalLayout>,
}

impl StorageFile for OpenJournal {
    fn len(&self) -> io::Result<u64> {
        Ok(self.layout.length)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let parts = &self.layout.parts;
        let number = parts.partition_point(|(start, _)| *start <= offset);
        let Some(&(start, chunk)) = number.checked_sub(1).and_then(|number| parts.get(number))
        else {
            return Ok(0);
        };
        let bytes = self
            .files
            .chain
            .top
            .chunk(chunk)
            .map_err(io::Error::other::<Error>)?;
        let rest = usize::try_from(offset - start)
            .ok()
            .and_then(|from| bytes.get(from..))
            .unwrap_or_default();
        Ok(fill_front(buf, rest))
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<usize> {
        read_only()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        read_only()
    }

    fn sync(&self) -> io::Result<()> {
        read_only()
    }
}

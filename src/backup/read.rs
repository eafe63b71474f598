//! Opening of a backup: its bases are found, and their combined content is presented as a readable
//! repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::error::{BackupFault, Error, Result};
use crate::base::io_op::IoOp;
use crate::base::limits::MAX_BACKUP_CHAIN;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PhysicalPage, Space};
use crate::base::site::FileRole;
use crate::format::mapping::{Mapping, MappingEntry};
use crate::format::own::backup_file::{BackupFlags, ChunkKind, Digest, HEADER_SIZE, Header};
use crate::format::own::manifest::{Manifest, NO_FILE, PageState, SpaceManifest, Summary};
use crate::pager::state::image::{DEFAULT_CACHE_PAGES, Image};
use crate::storage::{EntryKind, OpenMode, RealStorage, Storage, read_exact_at};
use crate::store::{Journals, Snapshot};

use super::chain::Chain;
use super::exact::ExactFiles;
use super::identity::{content_identity, identity_of_files};
use super::link::{ChunkCache, Link};
use super::pages::same_places;
use super::search::Search;
use super::write::chain_too_long;
use super::{hex, uuid_text};

/// Options for opening a backup.
#[derive(Debug, Clone)]
pub struct OpenBackup {
    bases: Vec<PathBuf>,
    without_journal: bool,
    is_cancelled: fn() -> bool,
}

impl Default for OpenBackup {
    fn default() -> Self {
        Self {
            bases: Vec::new(),
            without_journal: false,
            is_cancelled: || false,
        }
    }
}

impl OpenBackup {
    /// The defaults. The base of an incremental backup is looked for next to it, first by its
    /// former name and then by its identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file that may be the base, or the base's base, and so on.
    pub fn base(mut self, path: impl Into<PathBuf>) -> Self {
        self.bases.push(path.into());
        self
    }

    /// Ignores the commits of the journals in a forensic backup.
    pub fn without_journal(mut self) -> Self {
        self.without_journal = true;
        self
    }

    /// Calls `is_cancelled` now and then while the journals of a forensic backup are replayed. If
    /// it returns true, opening fails with [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn cancel_when(mut self, is_cancelled: fn() -> bool) -> Self {
        self.is_cancelled = is_cancelled;
        self
    }

    /// Opens a backup: header, trailer and manifest are checked, and the bases found. Chunks are
    /// checked as they are read; [`Backup::verify`] reads them all.
    ///
    /// # Errors
    /// Returns [`Error::Backup`](crate::Error::Backup) with the fault of the backup, and
    /// [`Error::Io`](crate::Error::Io) if the system refuses.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Backup> {
        self.open_in(&(Arc::new(RealStorage) as Arc<dyn Storage>), path)
    }

    /// Opens a backup in any storage; otherwise like [`open`](Self::open).
    ///
    /// # Errors
    /// The errors of [`open`](Self::open).
    pub fn open_in(&self, storage: &Arc<dyn Storage>, path: impl AsRef<Path>) -> Result<Backup> {
        let cache = ChunkCache::new();
        let top = Link::open(storage, path.as_ref(), &cache)?;
        let mut bases: Vec<Link> = Vec::new();
        loop {
            let link = bases.last().unwrap_or(&top);
            let Some((base, base_seal)) = link.header.base else {
                break;
            };
            if bases.len() + 1 >= MAX_BACKUP_CHAIN {
                return Err(top.fault(chain_too_long()));
            }
            let next = self
                .search(storage, &cache)
                .base_of(link, &base, &base_seal)?;
            link.check_against_base(&next)?;
            bases.last_mut().into_iter().for_each(Link::forget_pages);
            bases.push(next);
        }
        bases.last_mut().into_iter().for_each(Link::forget_pages);
        Backup::new(top, bases, self)
    }

    fn search<'s>(
        &'s self,
        storage: &'s Arc<dyn Storage>,
        cache: &'s Arc<ChunkCache>,
    ) -> Search<'s> {
        Search {
            given: &self.bases,
            storage,
            cache,
        }
    }

    /// The identity of a backup, if the file begins like one.
    pub(crate) fn identity_in(storage: &Arc<dyn Storage>, path: &Path) -> Result<Option<[u8; 16]>> {
        let kind = storage
            .kind(path)
            .map_err(|error| Error::io(IoOp::Metadata, path, error))?;
        if kind != Some(EntryKind::File) {
            return Ok(None);
        }
        Ok(Self::header_in(storage, path)?.map(|header| header.identity))
    }

    /// The header of a backup, if the file begins like one.
    pub(crate) fn header_in(storage: &Arc<dyn Storage>, path: &Path) -> Result<Option<Header>> {
        let mut bytes = [0; HEADER_SIZE];
        let read = storage
            .open(path, OpenMode::Read)
            .and_then(|file| read_exact_at(file.as_ref(), 0, &mut bytes));
        match read {
            Ok(()) => Ok(Header::parse(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(Error::io(IoOp::Read, path, error)),
        }
    }
}

/// An open backup, with its bases if it is incremental.
///
/// ```no_run
/// # fn main() -> cimrepo::Result<()> {
/// let backup = cimrepo::Backup::open("monday.cimbak")?;
/// // Everything that reads a repository reads its snapshot.
/// for name in backup.snapshot().catalog().namespaces() {
///     println!("{}", name?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Backup {
    chain: Arc<Chain>,
    snapshot: Snapshot,
    journals: Journals,
}

/// Description of a backup.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BackupInfo {
    /// Identity, as a UUID.
    pub identity: String,
    /// Identity of the base, for an incremental backup.
    pub base: Option<String>,
    /// SHA-256 of the content.
    pub content_identity: String,
    /// Creation time, in seconds since 1970-01-01 UTC.
    pub created: u64,
    /// True if pages of the base are left out.
    pub incremental: bool,
    /// True if in-page slack is zeroed.
    pub scrubbed: bool,
    /// True if free pages and all mapping files are kept.
    pub forensic: bool,
    /// True if it holds files without a readable mapping.
    pub unmapped: bool,
    /// Number of pages in this file: those of the generation or, without one, of the data files.
    pub pages: u64,
    /// Number of pages in the bases.
    pub pages_in_base: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Number of backups in the chain, including this one.
    pub chain: usize,
}

impl Backup {
    /// Opens a backup whose base, if it has one, is next to it.
    ///
    /// # Errors
    /// The errors of [`OpenBackup::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        OpenBackup::new().open(path)
    }

    fn new(top: Link, bases: Vec<Link>, open: &OpenBackup) -> Result<Self> {
        let structure = |text: String| top.fault(BackupFault::Structure(text));
        if top.is_unmapped() {
            check_unmapped(&top).map_err(structure)?;
            let chain = Arc::new(Chain { top, bases });
            let image = Image::new(
                Mapping::none(),
                FileRole::Mapping(1),
                Box::new(chain.clone()),
                0,
            );
            let (snapshot, journals) = (Snapshot::new(Arc::new(image)), Journals::default());
            return Ok(Self {
                chain,
                snapshot,
                journals,
            });
        }
        let mappings = top
            .manifest
            .chunks
            .iter()
            .enumerate()
            .filter_map(|(number, entry)| match entry.header.kind {
                ChunkKind::File(role @ FileRole::Mapping(_)) => Some((number, role)),
                _ => None,
            });
        let (number, role) = mappings
            .into_iter()
            .next()
            .ok_or_else(|| structure("it holds no mapping".to_owned()))?;
        let parsed = Mapping::parse(&top.chunk(number)?, top.header.dialect, role);
        let mapping = parsed
            .map_err(|corruption| structure(corruption.to_string()))?
            .mapping;
        check_mapping(&mapping, &top).map_err(structure)?;
        let chain = Arc::new(Chain { top, bases });
        let image = Image::new(mapping, role, Box::new(chain.clone()), DEFAULT_CACHE_PAGES);
        let has_journals = chain.top.header.flags.contains(BackupFlags::JOURNALS);
        let (image, journals) = match has_journals {
            true => {
                let may_go_on = || !(open.is_cancelled)();
                ExactFiles::small_of(&chain).with_journals(
                    image,
                    open.without_journal,
                    &may_go_on,
                )?
            }
            false => (image, Journals::default()),
        };
        Ok(Self {
            chain,
            snapshot: Snapshot::new(Arc::new(image)),
            journals,
        })
    }

    /// The journals in it, with the fate of their commits. A forensic backup carries journals,
    /// which are replayed as for a repository.
    pub const fn journal(&self) -> &Journals {
        &self.journals
    }

    /// True if it holds files without a readable mapping. It has no generation, its snapshot is
    /// empty, and a restore writes the files.
    pub fn is_unmapped(&self) -> bool {
        self.chain.top.is_unmapped()
    }

    /// Its pages as a readable repository, with the commits of its journals. A chunk is checked
    /// when it is first read.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.chain.top.path
    }

    /// Header of the file.
    pub fn header(&self) -> &Header {
        &self.chain.top.header
    }

    /// Manifest of the file.
    pub fn manifest(&self) -> &Manifest {
        &self.chain.top.manifest
    }

    /// SHA-256 of header and manifest, by which an incremental backup identifies its base.
    pub fn seal(&self) -> &Digest {
        &self.chain.top.seal
    }

    /// Number of backups in the chain, including this one.
    pub fn chain_len(&self) -> usize {
        1 + self.chain.bases.len()
    }

    pub(crate) const fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// True if a backup with that identity is in the chain.
    pub(crate) fn has_link(&self, identity: &[u8; 16]) -> bool {
        self.chain
            .links()
            .any(|link| link.header.identity == *identity)
    }

    /// Fails if one of the chain's files is gone or has been replaced.
    pub(crate) fn need_in_place(&self, storage: &Arc<dyn Storage>) -> Result<()> {
        for link in self.chain.links() {
            if OpenBackup::identity_in(storage, &link.path)? != Some(link.header.identity) {
                let found = "another file, or none, has come in its place meanwhile; back up again"
                    .to_owned();
                let fault = BackupFault::BaseWrong {
                    base: uuid_text(&link.header.identity),
                    found,
                };
                return Err(Error::backup(&link.path, fault));
            }
        }
        Ok(())
    }

    /// A description of the backup.
    pub fn info(&self) -> BackupInfo {
        let header = self.header();
        let manifest = self.manifest();
        let pages = || manifest.spaces.iter().flat_map(|space| &space.pages);
        BackupInfo {
            identity: uuid_text(&header.identity),
            base: header.base.map(|(base, _)| uuid_text(&base)),
            content_identity: hex(&manifest.content_identity),
            created: header.created / 1_000_000_000,
            incremental: header.flags.contains(BackupFlags::INCREMENTAL),
            scrubbed: header.flags.contains(BackupFlags::SCRUBBED),
            forensic: header.flags.contains(BackupFlags::FORENSIC),
            unmapped: header.is_unmapped(),
            pages: pages_in(header, manifest),
            pages_in_base: pages()
                .filter(|page| matches!(page, PageState::InBase(_)))
                .count() as u64,
            bytes: self.chain.top.length,
            chain: self.chain_len(),
        }
    }
}

/// Number of pages in the backup itself: those of its generation or, without one, all whole pages
/// of the data files.
pub(super) fn pages_in(header: &Header, manifest: &Manifest) -> u64 {
    if header.is_unmapped() {
        let pages = manifest
            .chunks
            .iter()
            .filter(|chunk| chunk.header.kind.has_pages());
        return pages.map(|chunk| u64::from(chunk.header.count)).sum();
    }
    let pages = manifest.spaces.iter().flat_map(|space| &space.pages);
    pages
        .filter(|page| matches!(page, PageState::Included(_)))
        .count() as u64
}

/// Checks a backup without a generation, which has no logical pages and no counts.
fn check_unmapped(top: &Link) -> Result<(), String> {
    let manifest = &top.manifest;
    if manifest.spaces.iter().any(|space| !space.pages.is_empty())
        || manifest.summary != Summary::default()
    {
        return Err("it holds no generation, but states the content of one".to_owned());
    }
    if identity_of_files(&manifest.chunks) != manifest.content_identity {
        return Err("its content identity does not match its files".to_owned());
    }
    Ok(())
}

/// Checks that the mapping describes the pages that the manifest lists.
fn check_mapping(mapping: &Mapping, top: &Link) -> Result<(), String> {
    for space in Space::ALL {
        let section = mapping.section(space);
        let SpaceManifest { pages, file_length } = top.manifest.space(space);
        // A forensic backup may lack pages past the end of a data file that was truncated or is
        // missing.
        let length = if *file_length == NO_FILE {
            0
        } else {
            *file_length
        };
        let is_behind = |page: PhysicalPage| page.byte_offset() + PAGE_SIZE as u64 > length;
        let agree =
            |(entry, page): (&MappingEntry, &PageState)| match (entry.physical, page.digest()) {
                (Some(physical), None) => top.is_forensic() && is_behind(physical),
                (Some(physical), Some(_)) => !top.is_forensic() || !is_behind(physical),
                (None, digest) => digest.is_none(),
            };
        let agree =
            section.entries.len() == pages.len() && section.entries.iter().zip(pages).all(agree);
        if !agree {
            return Err(format!(
                "its mapping and its manifest disagree about the {space} pages"
            ));
        }
        let same = if top.is_forensic() {
            same_places(section)
        } else {
            BTreeMap::new()
        };
        let is_same = |(page, state): (u32, &PageState)| {
            let expected = LogicalPage::new(page).and_then(|page| same.get(&page));
            match state {
                PageState::Same(as_page, _) => expected == Some(as_page),
                PageState::Unmapped => true,
                PageState::Included(_) | PageState::InBase(_) => expected.is_none(),
            }
        };
        if !(0..).zip(pages).all(is_same) {
            return Err(format!(
                "its mapping and its manifest disagree about which {space} pages are the same"
            ));
        }
    }
    if (mapping.generation(), mapping.transaction())
        != (top.header.generation, top.header.transaction)
    {
        return Err("its mapping and its header are of different generations".to_owned());
    }
    let [objects, index] = &top.manifest.spaces;
    if content_identity(mapping, [objects, index]) != top.manifest.content_identity {
        return Err("its content identity does not match its pages".to_owned());
    }
    Ok(())
}

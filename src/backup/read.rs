//! Opening a backup: its bases are found, and what they hold together is given out as a repository to read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{BackupFault, Error, Result};
use crate::base::limits::MAX_BACKUP_CHAIN;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::site::{FileRole, Site};
use crate::format::backup_file::{BackupFlags, ChunkKind, Digest, HEADER_SIZE, Header};
use crate::format::manifest::{Manifest, PageState, SpaceManifest};
use crate::format::mapping::{Mapping, MappingEntry};
use crate::pager::image::{DEFAULT_CACHE_PAGES, Image};
use crate::pager::source::PageSource;
use crate::repository::Snapshot;
use crate::storage::{EntryKind, OpenMode, RealStorage, Storage, parent_of, read_exact_at};

use super::identity::content_identity;
use super::link::Link;
use super::write::chain_too_long;
use super::{hex, uuid_text};

/// How a backup is opened.
#[derive(Debug, Clone, Default)]
pub struct OpenBackup {
    bases: Vec<PathBuf>,
}

impl OpenBackup {
    /// An incremental backup finds its base beside itself: under the name it had, else by its identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file that may be the base, or the base's base, and so on.
    pub fn base(mut self, path: impl Into<PathBuf>) -> Self {
        self.bases.push(path.into());
        self
    }

    /// Opens a backup: header, trailer and manifest are checked, and the bases found. The chunks are checked as they are
    /// read; [`Backup::verify`] reads them all.
    ///
    /// # Errors
    /// [`Error::Backup`] says what is wrong with it, [`Error::Io`] when the system refuses.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Backup> {
        self.open_in(&(Arc::new(RealStorage) as Arc<dyn Storage>), path)
    }

    /// As [`open`](Self::open), from any storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(&self, storage: &Arc<dyn Storage>, path: impl AsRef<Path>) -> Result<Backup> {
        let top = Link::open(storage, path.as_ref())?;
        let mut bases: Vec<Link> = Vec::new();
        loop {
            let link = bases.last().unwrap_or(&top);
            let Some((base, base_seal)) = link.header.base else { break };
            if bases.len() + 1 >= MAX_BACKUP_CHAIN {
                return Err(top.fault(chain_too_long()));
            }
            let next = self.find_base(storage, link, &base)?;
            if next.seal != base_seal {
                let found = format!("{} is another backup of that identity", next.path.display());
                return Err(link.fault(BackupFault::BaseWrong { base: uuid_text(&base), found }));
            }
            link.check_against_base(&next)?;
            bases.push(next);
        }
        Backup::new(top, bases)
    }

    /// The identity of a backup, if it is a file that begins like one.
    pub(crate) fn identity_in(storage: &Arc<dyn Storage>, path: &Path) -> Option<[u8; 16]> {
        storage.kind(path).ok()?.filter(|&kind| kind == EntryKind::File)?;
        let file = storage.open(path, OpenMode::Read).ok()?;
        let mut bytes = [0; HEADER_SIZE];
        read_exact_at(file.as_ref(), 0, &mut bytes).ok()?;
        Some(Header::parse(&bytes).ok()?.identity)
    }

    /// The base of a link: among those given, under its old name, or anywhere beside the link.
    fn find_base(&self, storage: &Arc<dyn Storage>, link: &Link, identity: &[u8; 16]) -> Result<Link> {
        let is_base = |path: &Path| Self::identity_in(storage, path).as_ref() == Some(identity);
        if let Some(path) = self.bases.iter().find(|path| is_base(path)) {
            return Link::open(storage, path);
        }
        let directory = parent_of(&link.path);
        let named = directory.join(&link.manifest.base_name);
        let is_plain =
            Path::new(&link.manifest.base_name).file_name().is_some_and(|name| *name == *link.manifest.base_name);
        if is_plain && is_base(&named) {
            return Link::open(storage, &named);
        }
        let mut files: Vec<PathBuf> = match storage.read_dir(directory) {
            Ok(entries) => entries
                .into_iter()
                .filter(|entry| entry.kind == EntryKind::File)
                .map(|entry| directory.join(entry.name))
                .collect(),
            Err(_) => Vec::new(),
        };
        files.sort();
        if let Some(path) = files.iter().find(|path| is_base(path)) {
            return Link::open(storage, path);
        }
        Err(self.no_base(storage, link, identity, &named))
    }

    fn no_base(&self, storage: &Arc<dyn Storage>, link: &Link, identity: &[u8; 16], named: &Path) -> Error {
        let base = uuid_text(identity);
        let candidate = self.bases.first().map(PathBuf::as_path).or_else(|| {
            let there = !link.manifest.base_name.is_empty() && storage.kind(named).ok().flatten().is_some();
            there.then_some(named)
        });
        match candidate {
            Some(path) => {
                let found = match Self::identity_in(storage, path) {
                    Some(other) => format!("{} is {}", path.display(), uuid_text(&other)),
                    None => format!("{} is no backup", path.display()),
                };
                link.fault(BackupFault::BaseWrong { base, found })
            }
            None => {
                let name = &link.manifest.base_name;
                let hint =
                    format!("it was called {name} when this backup was made; put it beside this one, or name it");
                link.fault(BackupFault::BaseMissing { base, hint })
            }
        }
    }
}

/// A backup, opened: with its bases, if it is incremental.
#[derive(Debug)]
pub struct Backup {
    chain: Arc<Chain>,
    snapshot: Snapshot,
}

/// What a backup is, in words and numbers.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BackupInfo {
    /// Identity, a UUID.
    pub identity: String,
    /// Identity of the base of an incremental backup.
    pub base: Option<String>,
    /// SHA-256 over the content.
    pub content_identity: String,
    /// Creation time, seconds since 1970-01-01 UTC.
    pub created: u64,
    /// Whether pages of the base are left out.
    pub incremental: bool,
    /// Whether in-page slack is zeroed.
    pub scrubbed: bool,
    /// Whether free pages and all mapping files are kept.
    pub forensic: bool,
    /// Pages in this file.
    pub pages: u64,
    /// Pages in the bases.
    pub pages_in_base: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Backups in the chain, this one included.
    pub chain: usize,
}

/// A backup and those it is based on.
#[derive(Debug)]
pub(crate) struct Chain {
    pub top: Link,
    pub bases: Vec<Link>,
}

impl Chain {
    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        std::iter::once(&self.top).chain(&self.bases)
    }

    /// The link that holds a page.
    fn holder(&self, space: Space, page: LogicalPage) -> Option<&Link> {
        self.links().find(|link| matches!(link.manifest.space(space).page(page), PageState::Included(_)))
    }
}

impl PageSource for Arc<Chain> {
    fn has(&self, space: Space) -> bool {
        let manifest = self.top.manifest.space(space);
        manifest.file_length > 0 || manifest.pages.iter().any(|page| page.digest().is_some())
    }

    fn read(&self, space: Space, page: LogicalPage, physical: PhysicalPage, into: &mut PageBytes) -> Result<()> {
        match self.holder(space, page) {
            Some(link) => link.read_page(space, page, into),
            // Such a page was let through when the backup was opened, so the data file ended before it.
            None => {
                let site = Site::page(space, page).at_physical(Some(physical));
                let length = self.top.manifest.space(space).file_length;
                let detail = format!("the file had {length} bytes");
                Err(Corruption::new(CorruptionCode::MappingBeyondFile, site, detail).into())
            }
        }
    }
}

impl Backup {
    /// Opens a backup whose base, if it has one, lies beside it.
    ///
    /// # Errors
    /// As [`OpenBackup::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        OpenBackup::new().open(path)
    }

    fn new(top: Link, bases: Vec<Link>) -> Result<Self> {
        let structure = |text: String| top.fault(BackupFault::Structure(text));
        let mappings = top.manifest.chunks.iter().enumerate().filter_map(|(number, entry)| match entry.header.kind {
            ChunkKind::File(role @ FileRole::Mapping(_)) => Some((number, role)),
            _ => None,
        });
        let (number, role) = mappings.into_iter().next().ok_or_else(|| structure("it holds no mapping".to_owned()))?;
        let parsed = Mapping::parse(&top.chunk(number)?, top.header.dialect, role);
        let mapping = parsed.map_err(|corruption| structure(corruption.to_string()))?.mapping;
        check_mapping(&mapping, &top).map_err(structure)?;
        let chain = Arc::new(Chain { top, bases });
        let image = Image::new(mapping, role, Box::new(chain.clone()), DEFAULT_CACHE_PAGES);
        Ok(Self { chain, snapshot: Snapshot::new(Arc::new(image)) })
    }

    /// Its pages, as a repository to read. A chunk is checked when it is first read.
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

    /// SHA-256 of header and manifest: what an incremental backup names its base by.
    pub fn seal(&self) -> &Digest {
        &self.chain.top.seal
    }

    /// Backups in the chain, this one included.
    pub fn chain_len(&self) -> usize {
        1 + self.chain.bases.len()
    }

    pub(crate) const fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// Whether a backup of that identity is in the chain.
    pub(crate) fn has_link(&self, identity: &[u8; 16]) -> bool {
        self.chain.links().any(|link| link.header.identity == *identity)
    }

    /// What it is, in words and numbers.
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
            pages: pages().filter(|page| matches!(page, PageState::Included(_))).count() as u64,
            pages_in_base: pages().filter(|page| matches!(page, PageState::InBase(_))).count() as u64,
            bytes: self.chain.top.length,
            chain: self.chain_len(),
        }
    }
}

/// The mapping describes the pages that the manifest lists.
fn check_mapping(mapping: &Mapping, top: &Link) -> Result<(), String> {
    for space in Space::ALL {
        let entries = &mapping.section(space).entries;
        let SpaceManifest { pages, file_length } = top.manifest.space(space);
        // A forensic backup may lack pages: those behind the end of a data file that was cut or is missing.
        let is_forensic = top.header.flags.contains(BackupFlags::FORENSIC);
        let is_behind = |page: PhysicalPage| page.byte_offset() + PAGE_SIZE as u64 > *file_length;
        let agree = |(entry, page): (&MappingEntry, &PageState)| match (entry.physical, page.digest()) {
            (Some(physical), None) => is_forensic && is_behind(physical),
            (physical, digest) => physical.is_some() == digest.is_some(),
        };
        let agree = entries.len() == pages.len() && entries.iter().zip(pages).all(agree);
        if !agree {
            return Err(format!("its mapping and its manifest disagree about the {space} pages"));
        }
    }
    if (mapping.generation(), mapping.transaction()) != (top.header.generation, top.header.transaction) {
        return Err("its mapping and its header are of different generations".to_owned());
    }
    let [objects, index] = &top.manifest.spaces;
    if content_identity(mapping, [objects, index]) != top.manifest.content_identity {
        return Err("its content identity is not that of its pages".to_owned());
    }
    Ok(())
}

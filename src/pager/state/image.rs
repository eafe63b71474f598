//! A state of a repository: a generation on disk whose pages are checked when they are read, a
//! cache of them, and the changes committed since.

use std::sync::{Arc, OnceLock};

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::findings::Findings;
use crate::base::limits::MAX_ADMIN_PAGES;
use crate::base::page_no::{LogicalPage, NIL, PAGE_SIZE, PageBytes, Space};
use crate::base::site::{FileRole, Site};

use crate::format::Dialect;
use crate::format::checksum;
use crate::format::heap::admin_page::{ObjectAdminPage, index_root};
use crate::format::index::draft::Draft;
use crate::format::mapping::Mapping;

use crate::storage::Protection;

use super::overlay::Overlay;
use super::survey::Survey;
use crate::pager::page::cache::PageCache;
use crate::pager::page::source::{PageSource, Reading};
use crate::pager::page::table::Slot;
use crate::pager::page::{Page, PageRef};

/// Default number of cached pages: 32 MiB.
pub const DEFAULT_CACHE_PAGES: usize = 4096;

/// A state of a repository whose pages can be read: a generation and the commits since. A copy is
/// cheap and independent. A shared state does not change.
#[derive(Debug)]
pub struct Image {
    base: Arc<Base>,
    overlay: Overlay,
    /// The mapping of both together, made on demand.
    merged: OnceLock<Box<Mapping>>,
    /// Whole nodes of a damaged index, determined when damage is found.
    survey: OnceLock<Box<Survey>>,
    /// Number of levels of the index, counted on demand.
    levels: OnceLock<usize>,
    /// Logical pages of the object heap without a page in the overlaid state, ascending.
    gaps: OnceLock<Vec<LogicalPage>>,
}

/// A generation on disk, or in a backup.
#[derive(Debug)]
pub struct Base {
    mapping: Arc<Mapping>,
    role: FileRole,
    source: Box<dyn PageSource>,
    cache: PageCache,
    admin: OnceLock<AdminTable>,
    /// Logical pages of the object heap without a page, ascending.
    gaps: OnceLock<Vec<LogicalPage>>,
}

impl Base {
    /// The mapping of the generation.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The protection of the source of the pages.
    pub fn protection(&self) -> Protection {
        self.source.protection()
    }

    /// The cached pages of the generation.
    pub const fn cache(&self) -> &PageCache {
        &self.cache
    }
}

impl Clone for Image {
    fn clone(&self) -> Self {
        Self::of(self.base.clone(), self.overlay.clone())
    }
}

/// The content of the admin pages of dialect 2.1, as far as they can be read.
#[derive(Debug, Default)]
pub struct AdminTable {
    /// The pages of the chain.
    pub chain: Vec<LogicalPage>,
    /// Free bytes and CRC-32 of each logical page that the mapping knows.
    pub listed: std::collections::BTreeMap<u32, AdminListing>,
    /// Faults of the chain, its form and its entries.
    pub(crate) findings: Findings,
}

/// The admin entry of a page.
#[derive(Debug, Clone, Copy)]
pub struct AdminListing {
    /// Free bytes of the page.
    pub free_bytes: u32,
    /// CRC-32 of the page.
    pub crc: u32,
}

impl Image {
    /// A generation whose pages come from `source`.
    pub fn new(
        mapping: impl Into<Arc<Mapping>>,
        role: FileRole,
        source: Box<dyn PageSource>,
        cache_pages: usize,
    ) -> Self {
        let mapping = mapping.into();
        let cache = PageCache::new(&mapping, cache_pages);
        Self::with_cache(mapping, role, source, cache)
    }

    /// A generation with a cache that already has some of its pages; see [`new`](Self::new).
    pub fn with_cache(
        mapping: Arc<Mapping>,
        role: FileRole,
        source: Box<dyn PageSource>,
        cache: PageCache,
    ) -> Self {
        let base = Arc::new(Base {
            mapping,
            role,
            source,
            cache,
            admin: OnceLock::new(),
            gaps: OnceLock::new(),
        });
        Self::of(base, Overlay::default())
    }

    const fn of(base: Arc<Base>, overlay: Overlay) -> Self {
        Self {
            base,
            overlay,
            merged: OnceLock::new(),
            survey: OnceLock::new(),
            levels: OnceLock::new(),
            gaps: OnceLock::new(),
        }
    }

    /// The generation under the changes.
    pub const fn base(&self) -> &Arc<Base> {
        &self.base
    }

    /// The generation alone, without the commits since.
    pub fn on_disk(&self) -> Self {
        Self::of(self.base.clone(), Overlay::default())
    }

    /// The changes committed since the generation.
    pub const fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// Mutable access to the changes.
    pub fn overlay_mut(&mut self) -> &mut Overlay {
        (self.merged, self.survey, self.levels, self.gaps) = Default::default();
        &mut self.overlay
    }

    /// The mapping. Pages that are not on disk yet appear at the end of the file, where they would
    /// be written after all others.
    pub fn mapping(&self) -> &Mapping {
        if self.overlay.is_empty() {
            return &self.base.mapping;
        }
        self.merged
            .get_or_init(|| Box::new(self.overlay.merge(&self.base.mapping)))
    }

    /// The file the mapping came from.
    pub fn mapping_role(&self) -> FileRole {
        self.base.role
    }

    /// The dialect.
    pub fn dialect(&self) -> Dialect {
        self.base.mapping.dialect
    }

    /// True if the pages of a space exist at all.
    pub fn has(&self, space: Space) -> bool {
        self.base.source.has(space)
    }

    /// True if the logical page has a page.
    pub fn is_mapped(&self, space: Space, page: LogicalPage) -> bool {
        match self.overlay.table(space).get(page) {
            Some(slot) => slot.is_mapped(),
            None => self.base.mapping.section(space).resolve(page).is_some(),
        }
    }

    /// Free bytes of a page as stated in the mapping.
    pub fn free_bytes(&self, space: Space, page: LogicalPage) -> u32 {
        match self.overlay.table(space).get(page) {
            Some(slot) => slot.free_bytes(),
            None => self
                .base
                .mapping
                .section(space)
                .entry(page)
                .map_or(0, |entry| entry.free_bytes),
        }
    }

    /// Number of logical pages of a space, with and without a page.
    pub fn logical_pages(&self, space: Space) -> u32 {
        self.overlay
            .logical_pages(space, self.base.mapping.section(space))
    }

    /// The site of a page, with its physical page if it is on disk.
    pub fn site(&self, space: Space, page: LogicalPage) -> Site {
        let on_disk = self.overlay.table(space).get(page).is_none();
        let physical = self
            .base
            .mapping
            .section(space)
            .resolve(page)
            .filter(|_| on_disk);
        Site::page(space, page).at_physical(physical)
    }

    /// A page, from memory or else read and checked.
    pub fn page(&self, space: Space, page: LogicalPage) -> Result<PageRef<'_>> {
        if let Some(slot) = self.overlay.table(space).get(page) {
            let bytes = slot.page().ok_or_else(|| self.unmapped(space, page))?;
            return Ok(PageRef::changed(bytes));
        }
        match self.base.cache.get(space, page) {
            Some(found) => Ok(found),
            None => self.page_from_source(space, page).map(PageRef::read),
        }
    }

    /// A survey of the index page by page; `make` performs it on the first call.
    pub fn survey(&self, make: impl FnOnce(&Self) -> Survey) -> &Survey {
        self.survey.get_or_init(|| Box::new(make(self)))
    }

    /// The number of levels of the index; `count` determines it on the first call.
    pub fn levels(&self, count: impl FnOnce(&Self) -> usize) -> usize {
        *self.levels.get_or_init(|| count(self))
    }

    /// The survey, if damage of the index was found.
    pub fn known_survey(&self) -> Option<&Survey> {
        self.survey.get().map(Box::as_ref)
    }

    /// An index node that is being changed, if the page is one.
    pub fn draft(&self, page: LogicalPage) -> Option<&Draft> {
        match self.overlay.table(Space::Index).get(page)? {
            Slot::Node(node) => Some(node.draft()),
            _ => None,
        }
    }

    /// The page as an owned reference; otherwise like [`page`](Self::page).
    pub fn fetch(&self, space: Space, page: LogicalPage) -> Result<Arc<Page>> {
        self.page(space, page).map(PageRef::into_arc)
    }

    /// Reads a page in a pass over everything, without adding it to the cache. Pass the page to
    /// [`give_back`](Self::give_back) after use. Otherwise like [`fetch`](Self::fetch).
    pub fn fetch_passing(&self, space: Space, page: LogicalPage) -> Result<Arc<Page>> {
        let is_at_hand = self.overlay.table(space).get(page).is_some();
        if is_at_hand || self.base.cache.get(space, page).is_some() {
            return self.fetch(space, page);
        }
        self.read_new(space, page)
    }

    /// Takes back a page that was [fetched in passing](Self::fetch_passing), so that its memory
    /// serves for the next one.
    pub fn give_back(&self, page: Arc<Page>) {
        if Arc::strong_count(&page) == 1 {
            self.base.cache.reuse(page);
        }
    }

    fn page_from_source(&self, space: Space, page: LogicalPage) -> Result<Arc<Page>> {
        let content = self.read_new(space, page)?;
        self.base.cache.insert(space, page, content.clone());
        Ok(content)
    }

    fn read_new(&self, space: Space, page: LogicalPage) -> Result<Arc<Page>> {
        let mut content = self.base.cache.new_page();
        if let Some(target) = Arc::get_mut(&mut content) {
            let target = target.bytes_mut();
            let physical = self.base.mapping.section(space).resolve(page);
            let physical = physical.ok_or_else(|| self.unmapped(space, page))?;
            self.base
                .source
                .read(space, page, physical, Reading::Single, target)?;
            self.need_right(space, page, target)?;
        }
        Ok(content)
    }

    /// Reads and checks a page without the cache, for a pass over everything.
    pub fn read(&self, space: Space, page: LogicalPage, into: &mut PageBytes) -> Result<()> {
        self.read_unchecked(space, page, into)?;
        self.need_right(space, page, into)
    }

    fn need_right(&self, space: Space, page: LogicalPage, bytes: &PageBytes) -> Result<()> {
        match self.check_page(space, page, bytes)? {
            Some(corruption) => Err(corruption.into()),
            None => Ok(()),
        }
    }

    /// Reads a page without checking it and without the cache.
    pub fn read_unchecked(
        &self,
        space: Space,
        page: LogicalPage,
        into: &mut PageBytes,
    ) -> Result<()> {
        if let Some(slot) = self.overlay.table(space).get(page) {
            let bytes = slot.page().ok_or_else(|| self.unmapped(space, page))?;
            *into = ***bytes;
            return Ok(());
        }
        match self.base.mapping.section(space).resolve(page) {
            Some(physical) => self
                .base
                .source
                .read(space, page, physical, Reading::Passing, into),
            None => Err(self.unmapped(space, page).into()),
        }
    }

    /// Reads the first bytes of a page without checking it and without the cache.
    pub fn read_front(&self, space: Space, page: LogicalPage, into: &mut [u8]) -> Result<()> {
        if let Some(slot) = self.overlay.table(space).get(page) {
            let bytes = slot.page().ok_or_else(|| self.unmapped(space, page))?;
            into.iter_mut()
                .zip(&***bytes)
                .for_each(|(to, from)| *to = *from);
            return Ok(());
        }
        match self.base.mapping.section(space).resolve(page) {
            Some(physical) => self.base.source.read_front(space, page, physical, into),
            None => Err(self.unmapped(space, page).into()),
        }
    }

    fn unmapped(&self, space: Space, page: LogicalPage) -> Corruption {
        let count = self.logical_pages(space);
        let detail = if page.get() < count {
            "the mapping has no page for it".to_owned()
        } else {
            format!("the mapping ends at page {count}")
        };
        Corruption::new(
            CorruptionCode::PageUnmapped,
            Site::page(space, page),
            detail,
        )
    }

    /// The fault of a page's checksum, compared with the mapping entry in 2.2 and the admin entry
    /// in 2.1.
    pub fn check_page(
        &self,
        space: Space,
        page: LogicalPage,
        bytes: &PageBytes,
    ) -> Result<Option<Corruption>> {
        if self.overlay.table(space).get(page).is_some() {
            return Ok(None); // it never left memory
        }
        let (found, expected) = match self.dialect() {
            Dialect::V22 => (
                checksum::sampled(bytes),
                self.base
                    .mapping
                    .section(space)
                    .entry(page)
                    .map_or(0, |entry| entry.checksum),
            ),
            Dialect::V21 if space == Space::Objects => {
                let Some(listing) = self.admin()?.listed.get(&page.get()) else {
                    return Ok(None);
                };
                (checksum::crc32(bytes), listing.crc)
            }
            Dialect::V21 => return Ok(None),
        };
        if found == expected {
            return Ok(None);
        }
        let mut detail = format!("checksum {found:#010X}, expected {expected:#010X}");
        if let Dialect::V22 = self.dialect() {
            // A crash can tear only the pages that the newest generation wrote; the generation
            // before it may be whole.
            let written = self
                .base
                .mapping
                .section(space)
                .entry(page)
                .map_or(0, |entry| entry.last_write);
            let current = self.base.mapping.generation();
            detail.push_str(&format!(", written by generation {written} of {current}"));
        }
        Ok(Some(Corruption::new(
            CorruptionCode::PageChecksum,
            self.site(space, page),
            detail,
        )))
    }

    /// The first logical page of the object heap from `first` to `end` that has no page.
    pub fn object_gap(&self, first: LogicalPage, end: u32) -> Option<LogicalPage> {
        /// Number of pages of a range that are examined one by one. Records of honest writers take
        /// no more, and for them the gaps need not be computed again after each change.
        const NEAR: u32 = 64;
        let is_gap = |page: &LogicalPage| !self.is_mapped(Space::Objects, *page);
        let near = end.min(first.get().saturating_add(NEAR));
        let found = (first.get()..near)
            .filter_map(LogicalPage::new)
            .find(is_gap);
        if found.is_some() || near == end {
            return found;
        }
        // Computed once, because every page of a hostile file or journal may claim to begin a
        // record of gigabytes.
        let gaps = match self.overlay.is_empty() {
            true => self.base.gaps.get_or_init(|| {
                let entries = (0..).zip(&self.base.mapping.objects.entries);
                let unmapped = entries.filter(|(_, entry)| entry.physical.is_none());
                unmapped
                    .filter_map(|(page, _)| LogicalPage::new(page))
                    .collect()
            }),
            false => self.gaps.get_or_init(|| {
                let pages = (0..self.logical_pages(Space::Objects)).filter_map(LogicalPage::new);
                pages.filter(is_gap).collect()
            }),
        };
        let next = gaps.partition_point(|gap| gap.get() < near);
        gaps.get(next).copied().filter(|gap| gap.get() < end)
    }

    /// The root of the index.
    pub fn root(&self) -> Result<LogicalPage> {
        if let Some(root) = self.overlay.root() {
            return root.ok_or_else(|| self.no_root(NIL));
        }
        let section = &self.base.mapping.index;
        let root = match self.dialect() {
            Dialect::V21 => {
                let Some(page) = LogicalPage::new(0) else {
                    return Err(self.no_root(0));
                };
                index_root(
                    &**self.page(Space::Index, page)?,
                    self.site(Space::Index, page),
                )?
            }
            Dialect::V22 => {
                let stored = section.entries.first().map_or(0, |entry| entry.user_data);
                LogicalPage::new(stored).ok_or_else(|| self.no_root(stored))?
            }
        };
        match section.resolve(root) {
            Some(_) => Ok(root),
            None => Err(self.no_root(root.get())),
        }
    }

    fn no_root(&self, stored: u32) -> Error {
        let detail = format!("the root is said to be page {stored}, which is not mapped");
        let site = match (self.dialect(), LogicalPage::new(0)) {
            (Dialect::V21, Some(page)) => self.site(Space::Index, page),
            _ => Site::file(self.base.role),
        };
        Corruption::new(CorruptionCode::IndexRoot, site, detail).into()
    }

    /// The list in the admin pages of dialect 2.1; empty in 2.2, which has none. Damage is among
    /// its findings. An error means that the system refused to read; the next call tries again.
    pub fn admin(&self) -> Result<&AdminTable> {
        if let Some(table) = self.base.admin.get() {
            return Ok(table);
        }
        let table = match self.dialect() {
            Dialect::V21 if self.has(Space::Objects) => self.read_admin()?,
            _ => AdminTable::default(),
        };
        Ok(self.base.admin.get_or_init(|| table))
    }

    /// Follows the chain of admin pages from logical page 0, bounded and with a check for cycles.
    fn read_admin(&self) -> Result<AdminTable> {
        let mut table = AdminTable::default();
        let mut seen = vec![false; self.base.mapping.objects.entries.len()];
        let mut next = LogicalPage::new(0);
        while let Some(page) = next {
            let site = self.site(Space::Objects, page);
            let wrong = |detail: &str| Corruption::new(CorruptionCode::AdminChain, site, detail);
            match seen.get_mut(page.index()) {
                Some(seen) if !*seen && table.chain.len() < MAX_ADMIN_PAGES => *seen = true,
                Some(_) => return Ok(table.ended_by(wrong("the chain comes back to this page"))),
                None => {
                    return Ok(
                        table.ended_by(wrong("the chain leads to a page that does not exist"))
                    );
                }
            }
            let mut bytes = Box::new([0; PAGE_SIZE]);
            let parsed = match self.read_unchecked(Space::Objects, page, &mut bytes) {
                Ok(()) => ObjectAdminPage::parse(&bytes, site),
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(error) => Err(wrong(&error.to_string())),
            };
            let admin = match parsed {
                Ok(admin) => admin,
                Err(corruption) => return Ok(table.ended_by(corruption)),
            };
            table.add(
                &admin,
                page,
                site,
                self.base.mapping.objects.logical_pages(),
            );
            next = LogicalPage::new(admin.next).filter(|_| admin.next != 0);
        }
        Ok(table)
    }
}

impl AdminTable {
    fn ended_by(mut self, finding: Corruption) -> Self {
        self.findings.push(finding);
        self
    }

    /// Adds the content of a page of the chain, in a space of `pages` logical pages.
    fn add(&mut self, admin: &ObjectAdminPage, page: LogicalPage, site: Site, pages: u32) {
        if admin.head_mark != u32::from(self.chain.is_empty()) {
            let detail = format!("head mark {}", admin.head_mark);
            self.findings.push(Corruption::new(
                CorruptionCode::AdminChain,
                site.at(0),
                detail,
            ));
        }
        self.chain.push(page);
        for (number, entry) in admin.entries.iter().enumerate() {
            let listing = AdminListing {
                free_bytes: entry.free_bytes,
                crc: entry.crc,
            };
            let wrong = if entry.page >= pages {
                ", which does not exist"
            } else if self.listed.insert(entry.page, listing).is_some() {
                ", listed twice"
            } else if entry.zero != 0 {
                ""
            } else {
                continue;
            };
            self.findings.push_with(CorruptionCode::AdminEntry, || {
                let detail = format!("entry for page {}{wrong}", entry.page);
                Corruption::new(
                    CorruptionCode::AdminEntry,
                    site.at_index(12 + 16 * number),
                    detail,
                )
            });
        }
    }
}

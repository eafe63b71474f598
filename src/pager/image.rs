//! One generation of a repository, opened: its mapping, its pages checked as they are fetched, and a cache of them.

use std::sync::{Arc, OnceLock};

use quick_cache::sync::Cache;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::findings::Findings;
use crate::base::limits::MAX_ADMIN_PAGES;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, Space};
use crate::base::site::{FileRole, Site};

use crate::format::Dialect;
use crate::format::admin_page::{ObjectAdminPage, index_root};
use crate::format::checksum;
use crate::format::mapping::Mapping;

use super::source::PageSource;

/// Pages the cache keeps unless told otherwise: 32 MiB.
pub const DEFAULT_CACHE_PAGES: usize = 4096;

/// A generation of a repository whose pages can be fetched. Nothing of it ever changes.
#[derive(Debug)]
pub struct Image {
    mapping: Mapping,
    role: FileRole,
    source: Box<dyn PageSource>,
    cache: Cache<(Space, LogicalPage), Arc<PageBytes>>,
    admin: OnceLock<AdminTable>,
    /// The logical pages of the object heap that have no page, ascending.
    gaps: OnceLock<Vec<LogicalPage>>,
}

/// What the admin pages of dialect 2.1 say, as far as they can be read.
#[derive(Debug, Default)]
pub struct AdminTable {
    /// The pages of the chain.
    pub chain: Vec<LogicalPage>,
    /// By logical page, of those that the mapping knows: free bytes and CRC-32 of the page.
    pub listed: std::collections::BTreeMap<u32, AdminListing>,
    /// What is wrong with the chain, its form and its entries.
    pub(crate) findings: Findings,
}

/// What an admin entry says of a page.
#[derive(Debug, Clone, Copy)]
pub struct AdminListing {
    /// Free bytes of the page.
    pub free_bytes: u32,
    /// CRC-32 of the page.
    pub crc: u32,
}

impl Image {
    /// A generation whose pages come from `source`.
    pub fn new(mapping: Mapping, role: FileRole, source: Box<dyn PageSource>, cache_pages: usize) -> Self {
        let cache = Cache::new(cache_pages.max(16));
        Self { mapping, role, source, cache, admin: OnceLock::new(), gaps: OnceLock::new() }
    }

    /// The mapping.
    pub const fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The file the mapping came from.
    pub const fn mapping_role(&self) -> FileRole {
        self.role
    }

    /// The dialect.
    pub const fn dialect(&self) -> Dialect {
        self.mapping.dialect
    }

    /// Whether the pages of a space are there at all.
    pub fn has(&self, space: Space) -> bool {
        self.source.has(space)
    }

    /// The place of a page, with the physical page it is mapped to.
    pub fn site(&self, space: Space, page: LogicalPage) -> Site {
        Site::page(space, page).at_physical(self.mapping.section(space).resolve(page))
    }

    /// A page, from the cache or else read and checked.
    pub fn fetch(&self, space: Space, page: LogicalPage) -> Result<Arc<PageBytes>> {
        if let Some(bytes) = self.cache.get(&(space, page)) {
            return Ok(bytes);
        }
        let mut bytes = Arc::new([0; PAGE_SIZE]);
        if let Some(target) = Arc::get_mut(&mut bytes) {
            self.read(space, page, target)?;
        }
        self.cache.insert((space, page), bytes.clone());
        Ok(bytes)
    }

    /// Reads and checks a page, past the cache: for a pass over everything.
    pub fn read(&self, space: Space, page: LogicalPage, into: &mut PageBytes) -> Result<()> {
        self.read_unchecked(space, page, into)?;
        match self.check_page(space, page, into)? {
            Some(corruption) => Err(corruption.into()),
            None => Ok(()),
        }
    }

    /// Reads a page whatever its checksum.
    pub fn read_unchecked(&self, space: Space, page: LogicalPage, into: &mut PageBytes) -> Result<()> {
        let section = self.mapping.section(space);
        let Some(physical) = section.resolve(page) else {
            let detail = match section.entry(page) {
                Some(_) => "the mapping has no page for it".to_owned(),
                None => format!("the mapping ends at page {}", section.logical_pages()),
            };
            return Err(Corruption::new(CorruptionCode::PageUnmapped, Site::page(space, page), detail).into());
        };
        self.source.read(space, page, physical, into)
    }

    /// What is wrong with a page's checksum: that of its mapping entry in 2.2, that of its admin entry in 2.1.
    pub fn check_page(&self, space: Space, page: LogicalPage, bytes: &PageBytes) -> Result<Option<Corruption>> {
        let (found, expected) = match self.dialect() {
            Dialect::V22 => {
                (checksum::sampled(bytes), self.mapping.section(space).entry(page).map_or(0, |entry| entry.checksum))
            }
            Dialect::V21 if space == Space::Objects => {
                let Some(listing) = self.admin()?.listed.get(&page.get()) else { return Ok(None) };
                (checksum::crc32(bytes), listing.crc)
            }
            Dialect::V21 => return Ok(None),
        };
        if found == expected {
            return Ok(None);
        }
        let detail = format!("checksum {found:#010X}, expected {expected:#010X}");
        Ok(Some(Corruption::new(CorruptionCode::PageChecksum, self.site(space, page), detail)))
    }

    /// The first logical page of the object heap from `first` on that has no page. They are looked up once: every page of a
    /// hostile file may claim to begin a record of gigabytes.
    pub fn object_gap(&self, first: LogicalPage) -> Option<LogicalPage> {
        let gaps = self.gaps.get_or_init(|| {
            let entries = (0..).zip(&self.mapping.objects.entries);
            entries
                .filter(|(_, entry)| entry.physical.is_none())
                .filter_map(|(page, _)| LogicalPage::new(page))
                .collect()
        });
        gaps.get(gaps.partition_point(|&gap| gap < first)).copied()
    }

    /// The root of the index.
    pub fn root(&self) -> Result<LogicalPage> {
        let section = &self.mapping.index;
        let root = match self.dialect() {
            Dialect::V21 => {
                let Some(page) = LogicalPage::new(0) else { return Err(self.no_root(0)) };
                index_root(&*self.fetch(Space::Index, page)?, self.site(Space::Index, page))?
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
            _ => Site::file(self.role),
        };
        Corruption::new(CorruptionCode::IndexRoot, site, detail).into()
    }

    /// What the admin pages of dialect 2.1 list; empty in 2.2, which has none. Damage is among its findings; the error is that
    /// the system refused to read, which the next call tries again.
    pub fn admin(&self) -> Result<&AdminTable> {
        if let Some(table) = self.admin.get() {
            return Ok(table);
        }
        let table = match self.dialect() {
            Dialect::V21 if self.has(Space::Objects) => self.read_admin()?,
            _ => AdminTable::default(),
        };
        Ok(self.admin.get_or_init(|| table))
    }

    /// Follows the chain of admin pages from logical page 0, with a bound and a check for cycles.
    fn read_admin(&self) -> Result<AdminTable> {
        let mut table = AdminTable::default();
        let mut seen = vec![false; self.mapping.objects.entries.len()];
        let mut next = LogicalPage::new(0);
        while let Some(page) = next {
            let site = self.site(Space::Objects, page);
            let wrong = |detail: &str| Corruption::new(CorruptionCode::AdminChain, site, detail);
            match seen.get_mut(page.index()) {
                Some(seen) if !*seen && table.chain.len() < MAX_ADMIN_PAGES => *seen = true,
                Some(_) => return Ok(table.ended_by(wrong("the chain comes back to this page"))),
                None => return Ok(table.ended_by(wrong("the chain leads to a page that does not exist"))),
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
            table.add(&admin, page, site, self.mapping.objects.logical_pages());
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

    /// Takes what a page of the chain says, in a space of so many logical pages.
    fn add(&mut self, admin: &ObjectAdminPage, page: LogicalPage, site: Site, pages: u32) {
        if admin.head_mark != u32::from(self.chain.is_empty()) {
            let detail = format!("head mark {}", admin.head_mark);
            self.findings.push(Corruption::new(CorruptionCode::AdminChain, site.at(0), detail));
        }
        self.chain.push(page);
        for (number, entry) in admin.entries.iter().enumerate() {
            let listing = AdminListing { free_bytes: entry.free_bytes, crc: entry.crc };
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
                Corruption::new(CorruptionCode::AdminEntry, site.at_index(12 + 16 * number), detail)
            });
        }
    }
}

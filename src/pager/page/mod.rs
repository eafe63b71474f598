//! A page in memory, and a reference to one.

pub mod cache;
pub mod logical;
pub mod run;
pub mod source;
pub mod table;

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::Guard;

use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes};
use crate::base::site::{FileRole, Site};
use crate::format::index::keys::IndexKeys;
use crate::format::index::page::IndexPage;

/// Number of uses of an index page after which its keys are decoded. Fewer uses cost less than
/// decoding.
const LOOKS: u8 = 4;

/// A page in memory. It does not change once it is shared.
// In this order the table of contents of an object page shares a cache line with the fields before
// it.
#[repr(C)]
pub struct Page {
    looks: AtomicU8,
    /// True if the page was used since the cache last asked.
    is_used: AtomicBool,
    bytes: PageBytes,
    keys: OnceLock<Option<IndexKeys>>,
}

impl Page {
    /// A page of zeros.
    pub const fn blank() -> Self {
        Self {
            bytes: [0; PAGE_SIZE],
            keys: OnceLock::new(),
            looks: AtomicU8::new(0),
            is_used: AtomicBool::new(false),
        }
    }

    /// A page with the given content.
    pub fn new(bytes: &PageBytes) -> Arc<Self> {
        let (keys, looks, is_used) = (OnceLock::new(), AtomicU8::new(0), AtomicBool::new(false));
        Arc::new(Self {
            bytes: *bytes,
            keys,
            looks,
            is_used,
        })
    }

    /// Mutable content, for filling a page that is not shared yet.
    pub fn bytes_mut(&mut self) -> &mut PageBytes {
        (self.keys, self.looks, self.is_used) =
            (OnceLock::new(), AtomicU8::new(0), AtomicBool::new(false));
        &mut self.bytes
    }

    /// The decoded keys of an index page with logical number `own`, once the page was used often
    /// enough. `None` also if one of the keys is damaged.
    pub fn keys(&self, own: LogicalPage) -> Option<&IndexKeys> {
        if let Some(keys) = self.keys.get() {
            return keys.as_ref();
        }
        let looks = self.looks.load(Ordering::Relaxed);
        if looks < LOOKS {
            self.looks.store(looks + 1, Ordering::Relaxed); // one that gets lost does not matter
            return None;
        }
        self.keys_at_once(own)
    }

    /// The decoded keys regardless of the number of uses, for callers that go through all of them.
    /// Otherwise like [`keys`](Self::keys).
    pub fn keys_at_once(&self, own: LogicalPage) -> Option<&IndexKeys> {
        let put_together = || {
            let page = IndexPage::parse(&self.bytes, own, Site::file(FileRole::Index)).ok()?;
            IndexKeys::of(&page)
        };
        self.keys.get_or_init(put_together).as_ref()
    }

    /// The keys, if they have been decoded already.
    pub fn known_keys(&self) -> Option<&IndexKeys> {
        self.keys.get()?.as_ref()
    }

    pub(super) fn note_use(&self) {
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// True if the page was used since the last call of this function.
    pub(super) fn take_use(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }
}

impl Deref for Page {
    type Target = PageBytes;

    fn deref(&self) -> &PageBytes {
        &self.bytes
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

/// A reference to a page for the duration of a use. For a cached page no counter is touched that
/// threads share.
#[derive(Debug)]
pub struct PageRef<'i>(Held<'i>);

#[derive(Debug)]
enum Held<'i> {
    Changed(&'i Arc<Page>),
    Cached(Guard<Option<Arc<Page>>>),
    Read(Arc<Page>),
}

impl<'i> PageRef<'i> {
    /// Refers to a page of an overlay.
    pub(super) const fn changed(page: &'i Arc<Page>) -> Self {
        Self(Held::Changed(page))
    }

    /// Refers to the content of a slot of the cache; `None` if the slot is empty.
    pub(super) fn cached(guard: Guard<Option<Arc<Page>>>) -> Option<Self> {
        guard.is_some().then_some(Self(Held::Cached(guard)))
    }

    /// Refers to a page that was just read.
    pub(super) const fn read(page: Arc<Page>) -> Self {
        Self(Held::Read(page))
    }

    /// The page as an owned reference.
    pub fn into_arc(self) -> Arc<Page> {
        match self.0 {
            Held::Changed(page) => page.clone(),
            Held::Cached(guard) => Guard::into_inner(guard).unwrap_or_default(),
            Held::Read(page) => page,
        }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::blank()
    }
}

/// The target for an empty slot, to which no reference is ever returned.
static BLANK: Page = Page::blank();

impl Deref for PageRef<'_> {
    type Target = Page;

    fn deref(&self) -> &Page {
        match &self.0 {
            Held::Changed(page) => page,
            Held::Cached(guard) => guard.as_deref().unwrap_or(&BLANK),
            Held::Read(page) => page,
        }
    }
}

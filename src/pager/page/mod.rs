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

/// Looks at an index page after which its keys are put together: fewer cost less than that.
const LOOKS: u8 = 4;

/// A page in memory. It does not change any more once others see it.
// In this order: the table of contents of an object page lies in the same line of the processor's
// cache as what is in front.
#[repr(C)]
pub struct Page {
    looks: AtomicU8,
    /// Whether it was looked at since the cache last asked.
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

    /// A page with this content.
    pub fn new(bytes: &PageBytes) -> Arc<Self> {
        let (keys, looks, is_used) = (OnceLock::new(), AtomicU8::new(0), AtomicBool::new(false));
        Arc::new(Self {
            bytes: *bytes,
            keys,
            looks,
            is_used,
        })
    }

    /// To fill a page that no one else has seen.
    pub fn bytes_mut(&mut self) -> &mut PageBytes {
        (self.keys, self.looks, self.is_used) =
            (OnceLock::new(), AtomicU8::new(0), AtomicBool::new(false));
        &mut self.bytes
    }

    /// The keys of an index page, which is logical page `own`, once it was looked at often enough.
    /// `None` as well where something is wrong with one of them.
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

    /// As [`keys`](Self::keys), however often it was looked at: for those that go through all of
    /// them.
    pub fn keys_at_once(&self, own: LogicalPage) -> Option<&IndexKeys> {
        let put_together = || {
            let page = IndexPage::parse(&self.bytes, own, Site::file(FileRole::Index)).ok()?;
            IndexKeys::of(&page)
        };
        self.keys.get_or_init(put_together).as_ref()
    }

    /// The keys, if they were put together already.
    pub fn known_keys(&self) -> Option<&IndexKeys> {
        self.keys.get()?.as_ref()
    }

    pub(super) fn note_use(&self) {
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// True if it was looked at since this was asked the last time.
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

/// A page that is held for as long as one looks at it. Where it comes from the cache no counter is
/// touched that threads share.
#[derive(Debug)]
pub struct PageRef<'i>(Held<'i>);

#[derive(Debug)]
enum Held<'i> {
    Changed(&'i Arc<Page>),
    Cached(Guard<Option<Arc<Page>>>),
    Read(Arc<Page>),
}

impl<'i> PageRef<'i> {
    /// A page of an overlay.
    pub(super) const fn changed(page: &'i Arc<Page>) -> Self {
        Self(Held::Changed(page))
    }

    /// What a slot of the cache holds; `None` when it is empty.
    pub(super) fn cached(guard: Guard<Option<Arc<Page>>>) -> Option<Self> {
        guard.is_some().then_some(Self(Held::Cached(guard)))
    }

    /// A page that was just read.
    pub(super) const fn read(page: Arc<Page>) -> Self {
        Self(Held::Read(page))
    }

    /// The page, to keep.
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

/// Stands where a slot is empty, which no reference refers to.
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

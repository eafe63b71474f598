//! An index page that was changed and may change again. Its bytes are produced only on demand.

use std::sync::{Arc, OnceLock};

use crate::base::page_no::LogicalPage;
use crate::format::index::draft::Draft;
use crate::pager::page::Page;

/// An index node in its editable form, with its page once that was requested.
#[derive(Debug, Clone)]
pub struct DraftNode {
    own: LogicalPage,
    draft: Draft,
    page: OnceLock<Arc<Page>>,
}

impl DraftNode {
    /// A node that fits into a page, with logical page number `own`.
    pub const fn new(own: LogicalPage, draft: Draft) -> Self {
        Self {
            own,
            draft,
            page: OnceLock::new(),
        }
    }

    /// The node.
    pub const fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Mutable access to the node. Its page will be produced again.
    pub fn draft_mut(&mut self) -> &mut Draft {
        self.page = OnceLock::new();
        &mut self.draft
    }

    /// The page. It is produced once, regardless of the number of preceding changes and of later
    /// uses.
    pub fn page(&self) -> &Arc<Page> {
        self.page.get_or_init(|| {
            #[cfg(test)]
            written::count();
            let mut page = Arc::new(Page::blank());
            if let Some(page) = Arc::get_mut(&mut page) {
                self.draft.to_page(self.own, page.bytes_mut());
            }
            page
        })
    }
}

/// Counts how often this thread produced the page of a draft.
#[cfg(test)]
pub(crate) mod written {
    use std::cell::Cell;

    thread_local! {
        static PAGES: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        PAGES.set(PAGES.get() + 1);
    }

    pub(crate) fn pages() -> usize {
        PAGES.get()
    }
}

//! An index page that was changed and may change again: it is written when someone wants its bytes.

use std::sync::{Arc, OnceLock};

use crate::base::page_no::LogicalPage;
use crate::format::index::draft::Draft;
use crate::pager::page::Page;

/// A node as it is changed, and its page once that was asked for.
#[derive(Debug, Clone)]
pub struct DraftNode {
    own: LogicalPage,
    draft: Draft,
    page: OnceLock<Arc<Page>>,
}

impl DraftNode {
    /// A node that fits into a page, which is logical page `own`.
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

    /// To change the node: its page is to be written anew.
    pub fn draft_mut(&mut self) -> &mut Draft {
        self.page = OnceLock::new();
        &mut self.draft
    }

    /// The page. It is written once, however many changes came before and however often it is
    /// looked at.
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

/// How often this thread wrote the page of a draft.
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

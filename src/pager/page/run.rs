//! Batching of pages on their way to a data file: neighbours are written together.

use crate::base::error::Result;
use crate::base::narrow;
use crate::base::page_no::{PAGE_SIZE, PageBytes, PhysicalPage};

/// Number of bytes of neighbouring pages that are written together.
const WRITE_SIZE: usize = 1 << 20;

/// Consecutive pages that have not been written yet.
#[derive(Debug, Default)]
pub struct Run {
    start: Option<PhysicalPage>,
    bytes: Vec<u8>,
}

impl Run {
    /// Adds a page. Flushes the pending run through `write` first if the page does not follow it or
    /// the run is full.
    pub fn push(
        &mut self,
        at: PhysicalPage,
        page: &PageBytes,
        write: impl FnOnce(PhysicalPage, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let end = self
            .start
            .and_then(|start| start.checked_add(narrow(self.bytes.len() / PAGE_SIZE)));
        if end != Some(at) || self.bytes.len() >= WRITE_SIZE {
            self.flush(write)?;
            self.start = Some(at);
        }
        self.bytes.extend_from_slice(page);
        Ok(())
    }

    /// Passes the pending run to `write`.
    pub fn flush(&mut self, write: impl FnOnce(PhysicalPage, &[u8]) -> Result<()>) -> Result<()> {
        if let Some(start) = self.start.take() {
            write(start, &self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

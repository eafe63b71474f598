//! Pages on their way to a data file: neighbours are written at once.

use crate::base::error::Result;
use crate::base::narrow;
use crate::base::page_no::{PAGE_SIZE, PageBytes, PhysicalPage};

/// Bytes of neighbouring pages that are written at once.
const WRITE_SIZE: usize = 1 << 20;

/// Consecutive pages that are not written yet.
#[derive(Debug, Default)]
pub struct Run {
    start: Option<PhysicalPage>,
    bytes: Vec<u8>,
}

impl Run {
    /// Adds a page. Gives what has to be written before it to `write`: when it is no neighbour, or
    /// there is much already.
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

    /// Gives what is left to `write`.
    pub fn flush(&mut self, write: impl FnOnce(PhysicalPage, &[u8]) -> Result<()>) -> Result<()> {
        if let Some(start) = self.start.take() {
            write(start, &self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

//! A sync that runs beside the writing of the rest of a file, so that less is left for the last one.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::StorageFile;

/// A sync that was begun, or none.
#[derive(Debug, Default)]
pub(crate) struct EarlySync(Option<JoinHandle<io::Result<()>>>);

impl EarlySync {
    /// Begins a sync of `file`, unless one was begun.
    pub(crate) fn begin(&mut self, file: &Arc<dyn StorageFile>) {
        if self.0.is_none() {
            let file = file.clone();
            self.0 = Some(thread::spawn(move || file.sync()));
        }
    }

    /// Waits for it. An error here may be told only once, so a later sync that succeeds proves nothing.
    pub(crate) fn join(&mut self) -> io::Result<()> {
        let panicked = |_| Err(io::Error::other("the thread that synced the file ended early"));
        self.0.take().map_or(Ok(()), |handle| handle.join().unwrap_or_else(panicked))
    }
}

//! A commit on its way through the journal.

use std::sync::Arc;
use std::time::Instant;

use crate::base::error::{Error, Result};
use crate::base::random::random_u64;
use crate::format::journal::{CommitBuilder, JournalHeader};
use crate::pager::journal::Journal;
use crate::storage::StorageFile;

use super::group_commit::Synced;
use super::{Shared, Writer};

impl Shared {
    /// Appends the frame of a commit to the journal; gives the file that has to be synced.
    pub(super) fn append(
        &self,
        writer: &mut Writer,
        operations: &mut CommitBuilder,
        number: u64,
    ) -> Result<Arc<dyn StorageFile>> {
        if writer.journal.is_none() {
            writer.journal = Some(self.new_journal(number)?);
            writer.journal_since = Some(Instant::now());
        }
        let Some(journal) = &mut writer.journal else { return Err(Error::invalid("there is no journal")) };
        let salt = journal.header().salt;
        let appended = journal.append(operations.finish(salt, number));
        if journal.is_broken()
            && let Err(error) = &appended
        {
            self.poison(error);
        }
        appended.map(|()| journal.sync_handle())
    }

    /// J-1: a journal counts before the first commit in it is appended; its header binds it to the generation it continues.
    fn new_journal(&self, number: u64) -> Result<Journal> {
        let base = self.on_disk.lock().id;
        let header = JournalHeader { base, previous: base, first_commit: number, salt: random_u64() };
        Journal::create(&self.files.directory, &header)
    }

    /// J-4: waits until a commit is durable.
    pub(super) fn wait(&self, number: u64) -> Result<()> {
        match self.group.wait(number, |image| self.publish(image)) {
            Synced::Durable => {}
            Synced::Failed(source) => {
                let error = Error::unconfirmed("sync the journal in", &self.files.directory.path, source);
                self.poison(&error);
                return Err(error);
            }
            Synced::FailedBefore => return self.check().and_then(|()| Err(Error::Poisoned("a sync failed".into()))),
        }
        if !self.options.background && self.is_due() {
            // What it meets the next checkpoint meets too: this commit is durable.
            self.checkpoint().ok();
        }
        Ok(())
    }
}

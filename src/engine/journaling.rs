//! A commit on its way through the journal.

use std::sync::Arc;
use std::time::Instant;

use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::random::random_u64;
use crate::base::site::FileRole;
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
            // Where one was begun and could not be taken away again, no other can be made before the next open.
            let made = self.new_journal(number);
            writer.journal = Some(made.inspect_err(|error| {
                if !error.is_disk_full() {
                    self.poison(error)
                }
            })?);
            writer.journal_since = Some(Instant::now());
        }
        let Some(journal) = &mut writer.journal else { return Err(Error::invalid("there is no journal")) };
        let salt = journal.header().salt;
        let mended = journal.mend();
        let appended = mended.and_then(|()| journal.append(operations.finish(salt, number)));
        if journal.is_broken()
            && !journal.can_mend()
            && let Err(error) = &appended
        {
            self.poison(error);
        }
        appended.map(|()| journal.sync_handle())
    }

    /// J-1: a journal counts before the first commit in it is appended; its header binds it to the generation it continues.
    fn new_journal(&self, number: u64) -> Result<Journal> {
        let mut on_disk = self.on_disk.lock();
        on_disk.need_unchanged(self)?;
        on_disk.confirm(self)?;
        let base = on_disk.id;
        drop(on_disk);
        let header = JournalHeader { base, previous: base, first_commit: number, salt: random_u64() };
        let protection = self.files.protection_for(FileRole::Objects);
        Journal::create(&self.files.directory, &header, &protection)
    }

    /// J-4: waits until a commit is durable.
    pub(super) fn wait(&self, number: u64) -> Result<()> {
        match self.group.wait(number, |image| self.publish(image)) {
            Synced::Durable => {}
            Synced::Failed(source) => {
                let error = Error::unconfirmed(IoOp::SyncFiles, &self.files.directory.path, source);
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

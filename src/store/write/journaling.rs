//! Commits through the journal.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::random::random_u64;
use crate::base::site::FileRole;
use crate::format::own::journal::{CommitBuilder, JournalHeader};
use crate::pager::journal::{self, Journal, journal_name};
use crate::storage::StorageFile;

use super::group_commit::Synced;
use super::{Shared, Writer};

impl Shared {
    /// Appends the frame of a commit to the journal. Returns the file to sync.
    pub(super) fn append(
        &self,
        writer: &mut Writer,
        operations: &mut CommitBuilder,
        number: u64,
    ) -> Result<Arc<dyn StorageFile>> {
        self.on_disk.lock().settle(self)?;
        if writer.journal.is_none() {
            writer.journal = Some(self.new_journal(number)?);
            writer.journal_since = Some(Instant::now());
        }
        let Some(journal) = &mut writer.journal else {
            return Err(Error::Bug("there is no journal to append to".into()));
        };
        let salt = journal.header().salt;
        let mended = self.mend(journal);
        let appended = mended.and_then(|()| journal.append(operations.finish(salt, number)));
        if appended.is_err() {
            // If this fails now, the next commit tries it again.
            self.mend(journal).ok();
        }
        appended.map(|()| journal.sync_handle())
    }

    /// J-3: removes the frame that a failed write left. After a failed sync no waiting commit is
    /// durable, and none will be (W-12).
    fn mend(&self, journal: &mut Journal) -> Result<()> {
        if !journal.is_broken() {
            return Ok(());
        }
        let mut mended = Ok(());
        self.group.sync_alone(|| {
            mended = journal.mend();
            !journal.is_broken() || journal.can_mend()
        });
        if let Err(error) = &mended
            && !journal.can_mend()
        {
            self.poison(error);
        }
        mended
    }

    /// J-1: a journal is durable before the first commit is appended to it. Its header binds it to
    /// the generation that it continues.
    fn new_journal(&self, number: u64) -> Result<Journal> {
        let mut on_disk = self.on_disk.lock();
        on_disk.need_unchanged(self)?;
        self.watch(on_disk.confirm(self))?;
        let base = on_disk.id;
        if on_disk.left_journal == Some(base.generation) {
            match journal::remove(&self.files.directory, &journal_name(base.generation)) {
                // The failed call may have removed it.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
            on_disk.left_journal = None;
        }
        let header = JournalHeader {
            base,
            previous: base,
            first_commit: number,
            salt: random_u64(),
        };
        let protection = self.files.protection_for(FileRole::Objects);
        Journal::create(&self.files.directory, &header, &protection).map_err(|unmade| {
            if unmade.is_left {
                on_disk.left_journal = Some(base.generation);
            }
            unmade.error
        })
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
            Synced::FailedBefore => {
                return self
                    .check()
                    .and_then(|()| Err(Error::Poisoned("a sync failed".into())));
            }
        }
        if !self.options.background && self.is_due() {
            // An error is ignored, because this commit is durable and the next checkpoint meets the
            // error too.
            self.checkpoint().ok();
        }
        Ok(())
    }
}

//! A transaction on a connection.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::base::error::{Error, Result};
use crate::base::page_no::RecordRef;
use crate::btree::scan::{Direction, KeyRange, Scan};
use crate::format::index::key::Key;
use crate::store::{Durability, Savepoint, Transaction};

use super::connection::{Enumeration, Link};

/// Where the transaction is while no call is in it: there the one who breaks the connection finds
/// it.
#[derive(Debug)]
pub(super) struct Slot(Mutex<Option<Transaction<'static>>>);

impl Slot {
    /// Takes the transaction out, when the call that is in it has ended. Dropping it takes it back.
    pub(super) fn take(&self) -> Option<Transaction<'static>> {
        self.0.lock().take()
    }
}

/// A transaction on a connection. Dropping it takes it back; so does whatever breaks the
/// connection. It is a [`Transaction`] in everything else.
#[derive(Debug)]
pub struct WriteTransaction {
    link: Arc<Link>,
    slot: Arc<Slot>,
}

impl WriteTransaction {
    pub(super) fn new(link: Arc<Link>, transaction: Transaction<'static>) -> Result<Self> {
        let slot = Arc::new(Slot(Mutex::new(Some(transaction))));
        link.note(&slot)?;
        Ok(Self { link, slot })
    }

    /// Runs a call on the transaction.
    pub(super) fn with<T>(
        &self,
        call: impl FnOnce(&mut Transaction<'static>) -> Result<T>,
    ) -> Result<T> {
        let mut slot = self.slot.0.lock();
        self.link.check()?;
        slot.as_mut().map_or(Err(Error::Disconnected), call)
    }

    /// When the commit counts as done.
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection.
    pub fn set_durability(&mut self, durability: Durability) -> Result<()> {
        self.with(|transaction| {
            transaction.set_durability(durability);
            Ok(())
        })
    }

    /// As [`Transaction::insert_record`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as there.
    pub fn insert_record(&mut self, bytes: &[u8]) -> Result<RecordRef> {
        self.with(|transaction| transaction.insert_record(bytes))
    }

    /// As [`Transaction::remove_record`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as there.
    pub fn remove_record(&mut self, reference: RecordRef) -> Result<()> {
        self.with(|transaction| transaction.remove_record(reference))
    }

    /// As [`Transaction::insert_key`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as there.
    pub fn insert_key(&mut self, key: &[u8]) -> Result<bool> {
        self.with(|transaction| transaction.insert_key(key))
    }

    /// As [`Transaction::remove_key`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as there.
    pub fn remove_key(&mut self, key: &[u8]) -> Result<bool> {
        self.with(|transaction| transaction.remove_key(key))
    }

    /// As [`Transaction::contains_key`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as there.
    pub fn contains_key(&self, key: &[u8]) -> Result<bool> {
        self.with(|transaction| transaction.contains_key(key))
    }

    /// As [`Transaction::find`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as there.
    pub fn find(&self, prefix: &[u8]) -> Result<Option<Key>> {
        self.with(|transaction| transaction.find(prefix))
    }

    /// The keys of a range as they are now in the transaction; later changes do not show.
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection.
    pub fn keys(&self, range: KeyRange, direction: Direction) -> Result<Enumeration<Scan>> {
        let scan = self.with(|transaction| Ok(transaction.keys(range, direction)))?;
        Ok(Enumeration::new(self.link.clone(), scan))
    }

    /// As [`Transaction::record`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as there.
    pub fn record(&self, reference: RecordRef) -> Result<Vec<u8>> {
        self.with(|transaction| transaction.record(reference))
    }

    /// As [`Transaction::savepoint`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection.
    pub fn savepoint(&self) -> Result<Savepoint> {
        self.with(|transaction| Ok(transaction.savepoint()))
    }

    /// As [`Transaction::roll_back`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection.
    pub fn roll_back(&mut self, to: Savepoint) -> Result<()> {
        self.with(|transaction| {
            transaction.roll_back(to);
            Ok(())
        })
    }

    /// As [`Transaction::commit`].
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection: nothing is changed then. Else as there.
    pub fn commit(self) -> Result<()> {
        // The slot stays locked: who breaks the connection meanwhile waits, and finds a commit that
        // is done.
        let mut slot = self.slot.0.lock();
        self.link.check()?;
        slot.take()
            .map_or(Err(Error::Disconnected), Transaction::commit)
    }
}

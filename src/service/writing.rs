//! Transactions on a connection.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::base::error::{Error, Result};
use crate::base::page_no::RecordRef;
use crate::btree::scan::{Direction, KeyRange, Scan};
use crate::format::index::key::Key;
use crate::store::{Durability, Savepoint, Transaction};

use super::connection::{Enumeration, Link};

/// The place of the transaction while no call uses it, where whatever breaks the connection can
/// find it.
#[derive(Debug)]
pub(super) struct Slot(Mutex<Option<Transaction<'static>>>);

impl Slot {
    /// Takes the transaction out, after the call that uses it has ended. Dropping it rolls it back.
    pub(super) fn take(&self) -> Option<Transaction<'static>> {
        self.0.lock().take()
    }
}

/// A transaction on a connection. Dropping it, or breaking the connection, rolls it back. In
/// everything else it is a [`Transaction`].
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

    /// Sets when the commit counts as done.
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection.
    pub fn set_durability(&mut self, durability: Durability) -> Result<()> {
        self.with(|transaction| {
            transaction.set_durability(durability);
            Ok(())
        })
    }

    /// Stores a record; see [`Transaction::insert_record`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of that
    /// method.
    pub fn insert_record(&mut self, bytes: &[u8]) -> Result<RecordRef> {
        self.with(|transaction| transaction.insert_record(bytes))
    }

    /// Removes a record; see [`Transaction::remove_record`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of that
    /// method.
    pub fn remove_record(&mut self, reference: RecordRef) -> Result<()> {
        self.with(|transaction| transaction.remove_record(reference))
    }

    /// Inserts a key; see [`Transaction::insert_key`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of that
    /// method.
    pub fn insert_key(&mut self, key: &[u8]) -> Result<bool> {
        self.with(|transaction| transaction.insert_key(key))
    }

    /// Removes a key; see [`Transaction::remove_key`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of that
    /// method.
    pub fn remove_key(&mut self, key: &[u8]) -> Result<bool> {
        self.with(|transaction| transaction.remove_key(key))
    }

    /// True if the index holds exactly this key; see [`Transaction::contains_key`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of that
    /// method.
    pub fn contains_key(&self, key: &[u8]) -> Result<bool> {
        self.with(|transaction| transaction.contains_key(key))
    }

    /// The first key with a prefix; see [`Transaction::find`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of that
    /// method.
    pub fn find(&self, prefix: &[u8]) -> Result<Option<Key>> {
        self.with(|transaction| transaction.find(prefix))
    }

    /// The present keys of a range in the transaction. Later changes do not show.
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection.
    pub fn keys(&self, range: KeyRange, direction: Direction) -> Result<Enumeration<Scan>> {
        let scan = self.with(|transaction| Ok(transaction.keys(range, direction)))?;
        Ok(Enumeration::new(self.link.clone(), scan))
    }

    /// The bytes of a record; see [`Transaction::record`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of that
    /// method.
    pub fn record(&self, reference: RecordRef) -> Result<Vec<u8>> {
        self.with(|transaction| transaction.record(reference))
    }

    /// Marks the present point; see [`Transaction::savepoint`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection.
    pub fn savepoint(&self) -> Result<Savepoint> {
        self.with(|transaction| Ok(transaction.savepoint()))
    }

    /// Undoes the changes since a savepoint; see [`Transaction::roll_back`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection.
    pub fn roll_back(&mut self, to: Savepoint) -> Result<()> {
        self.with(|transaction| {
            transaction.roll_back(to);
            Ok(())
        })
    }

    /// Makes the changes permanent; see [`Transaction::commit`].
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, in which case nothing has changed,
    /// and otherwise the errors of that method.
    pub fn commit(self) -> Result<()> {
        // The slot stays locked: whatever breaks the connection in the meantime waits and finds a
        // completed commit.
        let mut slot = self.slot.0.lock();
        self.link.check()?;
        slot.take()
            .map_or(Err(Error::Disconnected), Transaction::commit)
    }
}

//! The connection of a client, through which it reads and writes. A restore by force breaks it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::base::error::{Error, Result};
use crate::base::page_no::RecordRef;
use crate::btree::scan::{Direction, KeyRange, Scan};
use crate::catalog::Catalog;
use crate::format::index::key::Key;
use crate::gate::Wait;
use crate::gate::state::ConnectionId;
use crate::heap::layout::Records;
use crate::store::Snapshot;

use super::writing::{Slot, WriteTransaction};
use super::{Caller, Core};

/// A connection. It counts as open, and prevents a restore without force, until it and everything
/// obtained from it (views, enumerations, transactions) are dropped. Several threads may use it at
/// once.
///
/// After a restore by force has broken it, every call on it and on everything obtained from it
/// fails with [`Error::Disconnected`].
#[derive(Debug)]
pub struct Connection {
    link: Arc<Link>,
}

/// The state shared by a connection and everything obtained from it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) core: Arc<Core>,
    pub(super) id: ConnectionId,
    pub(super) caller: Arc<dyn Caller>,
    is_broken: AtomicBool,
    /// The running transaction, if there is one.
    running: Mutex<Weak<Slot>>,
}

impl Link {
    /// Fails if the connection is broken.
    pub(super) fn check(&self) -> Result<()> {
        if !self.is_broken.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(if self.core.is_closing.load(Ordering::Acquire) {
            Error::Closed
        } else {
            Error::Disconnected
        })
    }

    /// Registers the running transaction. Fails on a broken connection.
    pub(super) fn note(&self, slot: &Arc<Slot>) -> Result<()> {
        let mut running = self.running.lock();
        // Done under the lock: either this call sees that the connection is broken, or `cut` sees
        // the transaction.
        self.check()?;
        *running = Arc::downgrade(slot);
        Ok(())
    }

    /// Breaks the connection. A call in progress on the transaction finishes, and then the
    /// transaction is rolled back. So an idle client with an open transaction cannot delay the
    /// restore.
    pub(super) fn cut(&self) {
        self.is_broken.store(true, Ordering::Release);
        let running = self.running.lock().upgrade();
        if let Some(slot) = running {
            drop(slot.take());
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.core.gate.disconnect(self.id);
        self.core.links.lock().remove(&self.id);
    }
}

impl Connection {
    pub(super) fn new(core: &Arc<Core>, id: ConnectionId, caller: Arc<dyn Caller>) -> Self {
        let link = Arc::new(Link {
            core: core.clone(),
            id,
            caller,
            is_broken: AtomicBool::new(false),
            running: Mutex::new(Weak::new()),
        });
        core.links.lock().insert(id, Arc::downgrade(&link));
        // A restore may have broken it before it was registered.
        if !core.gate.is_open(id) {
            link.cut();
        }
        Self { link }
    }

    /// The caller of the connection.
    pub fn caller(&self) -> &dyn Caller {
        self.link.caller.as_ref()
    }

    /// The state shared with everything obtained from the connection.
    pub(super) const fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The objects after the last commit.
    pub(super) fn catalog(&self) -> Result<Catalog> {
        Ok(Catalog::new(self.view()?.snapshot))
    }

    /// True if the connection is broken.
    pub fn is_broken(&self) -> bool {
        self.link.check().is_err()
    }

    /// The state after the last commit, for several reads of the same state.
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and [`Error::Closed`].
    pub fn view(&self) -> Result<View> {
        self.link.check()?;
        let snapshot = self.link.core.engine()?.snapshot();
        // A restore breaks connections before it shows its content, so an unbroken connection has
        // obtained the earlier state.
        self.link.check()?;
        Ok(View {
            link: self.link.clone(),
            snapshot,
        })
    }

    /// True if the index holds exactly this key.
    ///
    /// # Errors
    /// The errors of [`view`](Self::view) and [`View::contains_key`].
    pub fn contains_key(&self, key: &[u8]) -> Result<bool> {
        self.view()?.contains_key(key)
    }

    /// The first key that begins with `prefix`, if any.
    ///
    /// # Errors
    /// The errors of [`view`](Self::view) and [`View::find`].
    pub fn find(&self, prefix: &[u8]) -> Result<Option<Key>> {
        self.view()?.find(prefix)
    }

    /// The present keys of a range, in order.
    ///
    /// # Errors
    /// The errors of [`view`](Self::view).
    pub fn keys(&self, range: KeyRange, direction: Direction) -> Result<Enumeration<Scan>> {
        Ok(self.view()?.keys(range, direction))
    }

    /// Begins a transaction. Waits for its turn while another one is running or the repository is
    /// paused.
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, even if it breaks during the wait,
    /// [`Error::Closed`], and [`Error::Poisoned`] after a failed write.
    pub fn begin_write(&self) -> Result<WriteTransaction> {
        self.begin(Wait::ForEver)
    }

    /// Begins a transaction, waiting at most `limit`.
    ///
    /// # Errors
    /// The errors of [`begin_write`](Self::begin_write), and [`Error::Timeout`].
    pub fn begin_write_within(&self, limit: Duration) -> Result<WriteTransaction> {
        self.begin(Wait::at_most(Some(limit)))
    }

    /// Begins a transaction without waiting.
    ///
    /// # Errors
    /// The errors of [`begin_write`](Self::begin_write), and [`Error::Busy`].
    pub fn try_begin_write(&self) -> Result<WriteTransaction> {
        self.begin(Wait::No)
    }

    fn begin(&self, wait: Wait) -> Result<WriteTransaction> {
        self.link.check()?;
        let transaction = self.link.core.engine()?.begin(Some(self.link.id), wait)?;
        WriteTransaction::new(self.link.clone(), transaction)
    }
}

/// A state of the repository on a connection. It does not change. It cannot be read after the
/// connection is broken.
#[derive(Debug, Clone)]
pub struct View {
    link: Arc<Link>,
    snapshot: Snapshot,
}

impl View {
    /// True if the index holds exactly this key.
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of
    /// [`Snapshot::contains_key`].
    pub fn contains_key(&self, key: &[u8]) -> Result<bool> {
        self.link.check()?;
        self.snapshot.contains_key(key)
    }

    /// The first key that begins with `prefix`, if any.
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of
    /// [`Snapshot::find`].
    pub fn find(&self, prefix: &[u8]) -> Result<Option<Key>> {
        self.link.check()?;
        self.snapshot.find(prefix)
    }

    /// The bytes of a record.
    ///
    /// # Errors
    /// Returns [`Error::Disconnected`] on a broken connection, and otherwise the errors of
    /// [`Snapshot::record`].
    pub fn record(&self, reference: RecordRef) -> Result<Vec<u8>> {
        self.link.check()?;
        self.snapshot.record(reference)
    }

    /// The keys of a range, in order.
    pub fn keys(&self, range: KeyRange, direction: Direction) -> Enumeration<Scan> {
        Enumeration::new(self.link.clone(), self.snapshot.keys(range, direction))
    }

    /// All records, found page by page without the index.
    pub fn records(&self) -> Enumeration<Records> {
        Enumeration::new(self.link.clone(), self.snapshot.records())
    }
}

/// An enumeration on a connection. After the connection is broken it yields [`Error::Disconnected`]
/// and ends. The items before that are an incomplete part of one state.
#[derive(Debug)]
pub struct Enumeration<I> {
    link: Arc<Link>,
    inner: Option<I>,
}

impl<I> Enumeration<I> {
    pub(super) const fn new(link: Arc<Link>, inner: I) -> Self {
        Self {
            link,
            inner: Some(inner),
        }
    }
}

impl<T, I: Iterator<Item = Result<T>>> Iterator for Enumeration<I> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let inner = self.inner.as_mut()?;
        if let Err(error) = self.link.check() {
            self.inner = None;
            return Some(Err(error));
        }
        let next = inner.next();
        if next.is_none() {
            self.inner = None;
        }
        next
    }
}

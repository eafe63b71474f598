//! A client's connection: what it reads and writes by. A restore by force breaks it.

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

/// A connection. It is open, and hinders a restore without force, until it and everything it gave
/// (views, enumerations, transactions) is dropped. May be used by several threads at once.
///
/// When a restore by force breaks it, every later call on it and on what it gave fails with
/// [`Error::Disconnected`].
#[derive(Debug)]
pub struct Connection {
    link: Arc<Link>,
}

/// What a connection and all that it gave share.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) core: Arc<Core>,
    pub(super) id: ConnectionId,
    pub(super) caller: Arc<dyn Caller>,
    is_broken: AtomicBool,
    /// The transaction that runs on it, if one does.
    running: Mutex<Weak<Slot>>,
}

impl Link {
    /// Fails when the connection is broken.
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

    /// Notes the transaction that runs; not on a broken connection.
    pub(super) fn note(&self, slot: &Arc<Slot>) -> Result<()> {
        let mut running = self.running.lock();
        // Under the lock: either this sees that the connection is broken, or `cut` sees the
        // transaction.
        self.check()?;
        *running = Arc::downgrade(slot);
        Ok(())
    }

    /// Breaks the connection. A call that a transaction is in comes to its end; then the
    /// transaction is taken back. So a client that keeps one and does nothing does not hold up the
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
        // A restore may have broken it before it could be found there.
        if !core.gate.is_open(id) {
            link.cut();
        }
        Self { link }
    }

    /// Whose it is.
    pub fn caller(&self) -> &dyn Caller {
        self.link.caller.as_ref()
    }

    /// What it shares with all that it gave.
    pub(super) const fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The objects after the last commit.
    pub(super) fn catalog(&self) -> Result<Catalog> {
        Ok(Catalog::new(self.view()?.snapshot))
    }

    /// True if it was broken.
    pub fn is_broken(&self) -> bool {
        self.link.check().is_err()
    }

    /// The state after the last commit, to look at it several times.
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, [`Error::Closed`].
    pub fn view(&self) -> Result<View> {
        self.link.check()?;
        let snapshot = self.link.core.engine()?.snapshot();
        // A restore breaks connections before it shows its content: what a connection that is whole
        // now has got is of before.
        self.link.check()?;
        Ok(View {
            link: self.link.clone(),
            snapshot,
        })
    }

    /// Whether the index holds exactly this key.
    ///
    /// # Errors
    /// As [`view`](Self::view) and [`View::contains_key`].
    pub fn contains_key(&self, key: &[u8]) -> Result<bool> {
        self.view()?.contains_key(key)
    }

    /// The first key that begins with `prefix`, if any.
    ///
    /// # Errors
    /// As [`view`](Self::view) and [`View::find`].
    pub fn find(&self, prefix: &[u8]) -> Result<Option<Key>> {
        self.view()?.find(prefix)
    }

    /// The keys of a range, in order, as they are now.
    ///
    /// # Errors
    /// As [`view`](Self::view).
    pub fn keys(&self, range: KeyRange, direction: Direction) -> Result<Enumeration<Scan>> {
        Ok(self.view()?.keys(range, direction))
    }

    /// Begins a transaction; waits for its turn, while another runs or the repository is paused.
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, also when it is broken during the wait;
    /// [`Error::Closed`]; [`Error::Poisoned`] after a write that failed.
    pub fn begin_write(&self) -> Result<WriteTransaction> {
        self.begin(Wait::ForEver)
    }

    /// As [`begin_write`](Self::begin_write), but waits at most so long.
    ///
    /// # Errors
    /// As [`begin_write`](Self::begin_write); [`Error::Timeout`].
    pub fn begin_write_within(&self, limit: Duration) -> Result<WriteTransaction> {
        self.begin(Wait::at_most(Some(limit)))
    }

    /// As [`begin_write`](Self::begin_write), but does not wait.
    ///
    /// # Errors
    /// As [`begin_write`](Self::begin_write); [`Error::Busy`].
    pub fn try_begin_write(&self) -> Result<WriteTransaction> {
        self.begin(Wait::No)
    }

    fn begin(&self, wait: Wait) -> Result<WriteTransaction> {
        self.link.check()?;
        let transaction = self.link.core.engine()?.begin(Some(self.link.id), wait)?;
        WriteTransaction::new(self.link.clone(), transaction)
    }
}

/// A state of the repository on a connection. It does not change; when the connection is broken it
/// can be read no more.
#[derive(Debug, Clone)]
pub struct View {
    link: Arc<Link>,
    snapshot: Snapshot,
}

impl View {
    /// Whether the index holds exactly this key.
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as [`Snapshot::contains_key`].
    pub fn contains_key(&self, key: &[u8]) -> Result<bool> {
        self.link.check()?;
        self.snapshot.contains_key(key)
    }

    /// The first key that begins with `prefix`, if any.
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as [`Snapshot::find`].
    pub fn find(&self, prefix: &[u8]) -> Result<Option<Key>> {
        self.link.check()?;
        self.snapshot.find(prefix)
    }

    /// The bytes of a record.
    ///
    /// # Errors
    /// [`Error::Disconnected`] on a broken connection, else as [`Snapshot::record`].
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

/// An enumeration on a connection. When the connection is broken it gives [`Error::Disconnected`]
/// and ends: what it gave before is of one state, and not all of it.
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

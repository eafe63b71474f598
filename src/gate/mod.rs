//! The gate that all writers pass. It admits one transaction at a time, in the order in which they
//! ask. A pause closes it, and a restore takes it for itself.
//!
//! [`state`], a machine without threads and clock, decides what is allowed when. This module adds
//! both. Its lock is held for single steps of the machine. It is never held during reads, writes or
//! waits, nor while code of a caller runs, so that an owner that hangs cannot block queries for the
//! state.
//!
//! Time is that of [`Instant`]: it cannot be set and does not depend on the time of day. Whether it
//! advances while the machine sleeps depends on the system (on Linux it does not).

mod inside;
pub(crate) mod lease;
pub(crate) mod state;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::moment::Moment;
use crate::base::parallel::join_other;
use crate::base::trace::tell;
use state::{Broken, ConnectionId, OwnerId, Refusal, Standing, State, Ticket, Turn};

/// How long a caller waits for its turn.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    /// Does not wait.
    No,
    /// Waits until a point in time.
    Until(Instant),
    /// Waits without limit.
    ForEver,
}

impl Wait {
    /// Waits up to `limit`; forever if `None`.
    pub(crate) fn at_most(limit: Option<Duration>) -> Self {
        limit
            .and_then(|limit| Instant::now().checked_add(limit))
            .map_or(Self::ForEver, Self::Until)
    }
}

/// Snapshot of the activity at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Activity {
    /// The object whose pause is in force.
    pub paused_by: Option<OwnerId>,
    /// Time until that pause expires unless it is ended before.
    pub remaining_lease: Option<Duration>,
    /// The object whose restore is in progress.
    pub restoring: Option<OwnerId>,
    /// Backups in progress.
    pub backups: usize,
    /// Open connections.
    pub connections: usize,
    /// True if a transaction is running.
    pub is_writing: bool,
    /// Number of transactions waiting for their turn.
    pub waiting_writers: usize,
    /// Number of pauses waiting for their turn.
    pub waiting_pauses: usize,
}

/// The gate. Clones share one state.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// Signals changes to the lease's thread and to callers that wait for a connection.
    changed: Condvar,
    start: Instant,
    /// Called by the lease's thread when a pause has expired.
    on_expiry: OnceLock<Hook>,
}

/// The action to take when a pause has expired.
struct Hook {
    act: Box<dyn Fn() + Send + Sync>,
    /// The repository, for the error message if no thread can be started.
    place: PathBuf,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// Waiting calls; each has its own condition variable and is woken alone.
    waiting: HashMap<Ticket, Arc<Condvar>>,
    last_number: u64,
    /// The lease's thread, from the first pause until the gate is closed or sent to rest.
    thread: Option<JoinHandle<()>>,
    /// Its number, which distinguishes it from earlier threads.
    last_thread: u64,
    is_closed: bool,
    /// The owner whose pause has expired, until the lease's thread has reported it.
    expired: Option<OwnerId>,
    /// The thread that holds the turn for a transaction.
    writer: Option<(Ticket, ThreadId)>,
    /// The thread that paused the writers.
    pauser: Option<(OwnerId, ThreadId)>,
}

impl Inner {
    /// Rejects a writer that would wait for a pause of its own thread.
    fn ensure_not_pauser(&self) -> Result<()> {
        let is_own = self.pauser.is_some_and(|(owner, thread)| {
            self.state.paused_by() == Some(owner) && thread == thread::current().id()
        });
        if is_own {
            Err(Error::InvalidOperation(Moment::OwnPause))
        } else {
            Ok(())
        }
    }

    /// Rejects a pause that would wait for a transaction of its own thread.
    fn ensure_not_writer(&self) -> Result<()> {
        let is_own = self.writer.is_some_and(|(ticket, thread)| {
            self.state.turn() == Turn::Write(ticket) && thread == thread::current().id()
        });
        if is_own {
            Err(Error::InvalidOperation(Moment::OwnTransaction))
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn ticket(&mut self) -> Ticket {
        Ticket(self.number())
    }
}

impl Default for Gate {
    fn default() -> Self {
        let inner = Inner {
            state: State::new(),
            waiting: HashMap::new(),
            last_number: 0,
            thread: None,
            last_thread: 0,
            is_closed: false,
            expired: None,
            writer: None,
            pauser: None,
        };
        let (inner, changed, start) = (Mutex::new(inner), Condvar::new(), Instant::now());
        Self(Arc::new(Shared {
            inner,
            changed,
            start,
            on_expiry: OnceLock::new(),
        }))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock();
        self.step(&mut inner, |_| ());
        inner
    }

    /// Makes a step of the machine at the present time, and wakes the call that gets the turn by
    /// it.
    fn step<T>(&self, inner: &mut Inner, step: impl FnOnce(&mut State) -> T) -> T {
        let before = (
            inner.state.admitted(),
            inner.state.expiry(),
            inner.state.restoring(),
        );
        let paused = inner.state.paused_by();
        inner.state.tick(self.start.elapsed());
        if paused.is_some() && inner.state.paused_by().is_none() {
            inner.expired = paused;
        }
        let result = step(&mut inner.state);
        let after = (
            inner.state.admitted(),
            inner.state.expiry(),
            inner.state.restoring(),
        );
        if let Some(ticket) = after.0.filter(|_| before.0 != after.0)
            && let Some(waiting) = inner.waiting.get(&ticket)
        {
            waiting.notify_one();
        }
        if (before.1, before.2) != (after.1, after.2) {
            self.changed.notify_all();
        }
        result
    }

    fn change<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        let mut inner = self.inner.lock();
        self.step(&mut inner, step)
    }

    /// Waits until a queued call has its turn. A wait that ends early removes the call from the
    /// queue.
    fn wait(&self, inner: &mut MutexGuard<'_, Inner>, ticket: Ticket, wait: Wait) -> Turned {
        let own = Arc::new(Condvar::new());
        inner.waiting.insert(ticket, own.clone());
        let turned = loop {
            match inner.state.standing(ticket) {
                Standing::Admitted => break Turned::Admitted,
                Standing::Removed => break Turned::Removed,
                Standing::Waiting => {}
            }
            let limit = match wait {
                Wait::ForEver => None,
                Wait::Until(moment) => Some(moment),
                Wait::No => Some(self.start),
            };
            if limit.is_some_and(|limit| limit <= Instant::now()) {
                if self.step(inner, |state| state.withdraw(ticket)) == Standing::Removed {
                    break Turned::TimedOut;
                }
                continue;
            }
            // Every waiting call also ends an expired lease, in case the thread that should do so
            // is gone.
            let expiry = inner
                .state
                .expiry()
                .and_then(|expiry| self.start.checked_add(expiry));
            match limit.into_iter().chain(expiry).min() {
                Some(moment) => _ = own.wait_until(inner, moment),
                None => own.wait(inner),
            }
            self.step(inner, |_| ());
        };
        inner.waiting.remove(&ticket);
        turned
    }

    fn wake_all(&self, inner: &Inner) {
        for waiting in inner.waiting.values() {
            waiting.notify_one();
        }
        self.changed.notify_all();
    }
}

/// The outcome of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turned {
    Admitted,
    Removed,
    TimedOut,
}

impl Turned {
    /// Converts the outcome into the result for a writer.
    fn check(self, inner: &Inner, what: &'static str) -> Result<()> {
        match self {
            Turned::Admitted => Ok(()),
            Turned::TimedOut => Err(Error::Timeout { what }),
            Turned::Removed if inner.is_closed => Err(Error::Closed),
            Turned::Removed => Err(Error::Disconnected),
        }
    }
}

impl Gate {
    /// A new number for an object or a connection.
    pub(crate) fn number(&self) -> u64 {
        self.0.inner.lock().number()
    }

    /// The activity at present.
    pub(crate) fn activity(&self) -> Activity {
        let inner = self.0.lock();
        let state = &inner.state;
        let (waiting_writers, waiting_pauses) = state.waiting();
        let (paused_by, remaining_lease) = match state.turn() {
            Turn::Paused(owner, until) => (
                Some(owner),
                Some(until.saturating_sub(self.0.start.elapsed())),
            ),
            _ => (None, None),
        };
        Activity {
            paused_by,
            remaining_lease,
            restoring: state.restoring(),
            backups: state.backups(),
            connections: state.connections(),
            is_writing: matches!(state.turn(), Turn::Write(_)),
            waiting_writers,
            waiting_pauses,
        }
    }

    /// Sets the action that the lease's thread takes when a pause of `place` has expired. While
    /// there is no such thread, a pause with an action is refused. Must be called at most once,
    /// before the first pause.
    pub(crate) fn on_expiry(&self, place: &Path, act: impl Fn() + Send + Sync + 'static) {
        self.0
            .on_expiry
            .set(Hook {
                act: Box::new(act),
                place: place.to_owned(),
            })
            .ok();
    }

    /// Ends the lease's thread and waits for it, unless a pause needs it. The caller that released
    /// the last object may unload the module next. The calling thread must not hold a lock that the
    /// lease's thread takes.
    pub(crate) fn rest(&self) {
        let mut inner = self.0.lock();
        let is_needed = matches!(inner.state.turn(), Turn::Persist(..) | Turn::Paused(..));
        if is_needed || inner.state.waiting().1 > 0 {
            return;
        }
        let thread = inner.thread.take();
        self.0.changed.notify_all();
        drop(inner);
        thread.into_iter().for_each(join_other);
    }

    /// True if a pause is in force or in preparation.
    pub(crate) fn is_pausing(&self) -> bool {
        matches!(
            self.0.lock().state.turn(),
            Turn::Persist(..) | Turn::Paused(..)
        )
    }

    /// Admits a transaction when its turn comes. Fails for the thread that has paused if it may
    /// wait, since it would wait for itself.
    pub(crate) fn enter(&self, connection: Option<ConnectionId>, wait: Wait) -> Result<Pass> {
        let may_wait = !matches!(wait, Wait::No);
        let mut inner = self.0.lock();
        if may_wait {
            self.ensure_outside()?;
            inner.ensure_not_pauser()?;
        }
        let ticket = inner.ticket();
        let standing = self.0.step(&mut inner, |state| {
            state.write(ticket, connection, may_wait)
        });
        if standing.map_err(refuse)? != Standing::Admitted {
            self.0
                .wait(&mut inner, ticket, wait)
                .check(&inner, "the turn of the transaction")?;
        }
        inner.writer = Some((ticket, thread::current().id()));
        drop(inner);
        tell!(TRACE, ticket = ticket.0, "a transaction has the turn");
        Ok(Pass {
            gate: self.clone(),
            ticket,
        })
    }

    /// Closes the gate for an owner. Once the running transaction has ended, `persist` brings
    /// everything to the files. If it fails or panics, the gate opens again.
    pub(crate) fn pause<T>(
        &self,
        owner: OwnerId,
        at_once: bool,
        wait: Wait,
        lease: Duration,
        persist: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.ensure_outside()?;
        let mut inner = self.0.lock();
        let ticket = inner.ticket();
        inner.ensure_not_writer()?;
        // Without a thread, waiting calls and queries still end the lease. Only the action at
        // expiry needs the thread.
        if let (Err(error), Some(hook)) = (lease::start(self, &mut inner), self.0.on_expiry.get()) {
            return Err(Error::io(IoOp::SpawnThread, &hook.place, error));
        }
        let standing = self
            .0
            .step(&mut inner, |state| state.pause(ticket, owner, at_once));
        if standing.map_err(refuse)? != Standing::Admitted {
            self.0
                .wait(&mut inner, ticket, wait)
                .check(&inner, "the turn of the pause")?;
        }
        drop(inner);
        let mut persisting = Persisting {
            gate: self,
            ticket: Some(ticket),
        };
        let persisted = persist()?;
        persisting.ticket = None;
        let mut inner = self.0.inner.lock();
        inner.pauser = Some((owner, thread::current().id()));
        self.0
            .step(&mut inner, |state| state.persisted(ticket, Some(lease)))
            .map_err(refuse)?;
        drop(inner);
        tell!(
            INFO,
            owner = owner.0,
            lease_s = lease.as_secs_f64(),
            "paused"
        );
        Ok(persisted)
    }

    /// Ends the pause of its owner and opens the gate.
    pub(crate) fn resume(&self, owner: OwnerId) -> Result<()> {
        self.0.change(|state| state.resume(owner)).map_err(refuse)?;
        tell!(INFO, owner = owner.0, "resumed");
        Ok(())
    }

    /// Gives back everything that an owner holds, because it is gone.
    pub(crate) fn release(&self, owner: OwnerId) {
        let held = self.0.change(|state| {
            let held = state.paused_by() == Some(owner);
            state.release(owner);
            held
        });
        if held {
            tell!(INFO, owner = owner.0, "resumed, because its owner is gone");
        }
    }

    /// Registers a backup until the guard is dropped.
    pub(crate) fn begin_backup(&self) -> Result<BackingUp<'_>> {
        self.0.change(State::begin_backup).map_err(refuse)?;
        tell!(INFO, "a backup begins");
        Ok(BackingUp(self))
    }

    /// Begins a restore with its checks; it lasts until the guard is dropped.
    pub(crate) fn begin_restore(&self, owner: OwnerId) -> Result<Restoring<'_>> {
        self.0
            .change(|state| state.begin_restore(owner))
            .map_err(refuse)?;
        tell!(INFO, owner = owner.0, "a restore begins with its checks");
        Ok(Restoring { gate: self, owner })
    }

    /// Opens a connection. Waits while a restore switches.
    pub(crate) fn connect(&self, wait: Wait) -> Result<ConnectionId> {
        let mut inner = self.0.inner.lock();
        let connection = ConnectionId(inner.number());
        loop {
            match (
                self.0.step(&mut inner, |state| state.connect(connection)),
                wait,
            ) {
                (Ok(()), _) => return Ok(connection),
                (Err(Refusal::Restoring), _) if self.ensure_outside().is_err() => {
                    return Err(Error::InvalidOperation(Moment::InsideCall));
                }
                (Err(Refusal::Restoring), Wait::ForEver) => self.0.changed.wait(&mut inner),
                (Err(Refusal::Restoring), Wait::Until(moment)) => {
                    if self.0.changed.wait_until(&mut inner, moment).timed_out() {
                        return Err(Error::Timeout {
                            what: "the end of a restore",
                        });
                    }
                }
                (Err(refusal), _) => return Err(refuse(refusal)),
            }
        }
    }

    /// True if a connection is open.
    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        self.0.lock().state.is_open(connection)
    }

    /// Closes a connection.
    pub(crate) fn disconnect(&self, connection: ConnectionId) {
        self.0.change(|state| state.disconnect(connection));
    }

    /// Ends everything: pauses, connections, waits, and the lease's thread. Returns the connections
    /// that were open.
    pub(crate) fn close(&self) -> Vec<ConnectionId> {
        let mut inner = self.0.inner.lock();
        inner.is_closed = true;
        let Broken { connections, .. } = self.0.step(&mut inner, State::close);
        self.0.wake_all(&inner);
        let thread = inner.thread.take();
        drop(inner);
        thread.into_iter().for_each(join_other);
        connections
    }
}

/// The turn of a transaction, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Gate,
    ticket: Ticket,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.0.change(|state| state.leave(self.ticket));
        tell!(
            TRACE,
            ticket = self.ticket.0,
            "a transaction has given its turn back"
        );
    }
}

/// The turn of a pause that is still in preparation.
struct Persisting<'g> {
    gate: &'g Gate,
    ticket: Option<Ticket>,
}

impl Drop for Persisting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.gate
                .0
                .change(|state| state.persisted(ticket, None))
                .ok();
            tell!(
                WARN,
                "a pause has failed: the state could not be brought to the files"
            );
        }
    }
}

/// A backup in progress.
#[derive(Debug)]
pub(crate) struct BackingUp<'g>(&'g Gate);

impl Drop for BackingUp<'_> {
    fn drop(&mut self) {
        self.0.0.change(State::end_backup);
        tell!(INFO, "a backup has ended");
    }
}

/// A restore in progress.
#[derive(Debug)]
pub(crate) struct Restoring<'g> {
    gate: &'g Gate,
    owner: OwnerId,
}

impl Restoring<'_> {
    /// Fails if a restore without force could not go on at present.
    pub(crate) fn need_no_connections(&self) -> Result<()> {
        self.gate
            .0
            .change(|state| state.need_no_connections())
            .map_err(refuse)
    }

    /// Takes the turn after all checks. Open connections make it fail or, by force, are broken.
    /// `cut` receives the broken connections before the wait for the turn.
    pub(crate) fn switch(
        &self,
        force: bool,
        wait: Wait,
        cut: impl FnOnce(&[ConnectionId]),
    ) -> Result<()> {
        let mut inner = self.gate.0.inner.lock();
        let ticket = inner.ticket();
        let broken = self
            .gate
            .0
            .step(&mut inner, |state| state.switch(ticket, self.owner, force));
        let broken = broken.map_err(refuse)?;
        self.gate.0.wake_all(&inner);
        drop(inner);
        tell!(
            INFO,
            owner = self.owner.0,
            connections = broken.connections.len(),
            "a restore switches; connections are broken"
        );
        cut(&broken.connections);
        let mut inner = self.gate.0.lock();
        self.gate
            .0
            .wait(&mut inner, ticket, wait)
            .check(&inner, "the end of the transaction that runs")
    }
}

impl Drop for Restoring<'_> {
    fn drop(&mut self) {
        let mut inner = self.gate.0.inner.lock();
        self.gate
            .0
            .step(&mut inner, |state| state.end_restore(self.owner));
        self.gate.0.changed.notify_all();
        drop(inner);
        tell!(INFO, owner = self.owner.0, "a restore has ended");
    }
}

/// Converts a refusal into an error.
fn refuse(refusal: Refusal) -> Error {
    Error::InvalidOperation(match refusal {
        Refusal::PausedByCaller => Moment::PausedByCaller,
        Refusal::PausedByOther => Moment::PausedByOther,
        Refusal::NotPaused => Moment::NotPaused,
        Refusal::Restoring => Moment::Restoring,
        Refusal::Connections(count) => return Error::ConnectionsActive { count },
        Refusal::Disconnected => return Error::Disconnected,
        Refusal::Busy => return Error::Busy,
        Refusal::Closed => return Error::Closed,
    })
}

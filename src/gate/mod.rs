//! The gate that writers pass: one transaction at a time, in the order in which they ask; a pause
//! closes it, a restore takes it for itself.
//!
//! What is allowed when is decided by [`state`], a machine without threads and clock. Here it gets
//! both. Its lock is held for single steps of the machine and never while anything is read, written
//! or waited for, nor while code of a caller runs: so an owner that hangs holds up no one who asks
//! for the state.
//!
//! Time is that of [`Instant`]: no one can set it, and it does not depend on the time of day.
//! Whether it goes on while the machine sleeps is the system's affair (on Linux it does not).

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
    /// Not at all.
    No,
    /// Until a moment.
    Until(Instant),
    /// As long as it takes.
    ForEver,
}

impl Wait {
    /// At most so long; without a limit as long as it takes.
    pub(crate) fn at_most(limit: Option<Duration>) -> Self {
        limit
            .and_then(|limit| Instant::now().checked_add(limit))
            .map_or(Self::ForEver, Self::Until)
    }
}

/// What goes on at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Activity {
    /// The object whose pause is in force.
    pub paused_by: Option<OwnerId>,
    /// How long that pause lasts yet unless it is ended before.
    pub remaining_lease: Option<Duration>,
    /// The object whose restore is in progress.
    pub restoring: Option<OwnerId>,
    /// Backups in progress.
    pub backups: usize,
    /// Open connections.
    pub connections: usize,
    /// True if a transaction runs.
    pub is_writing: bool,
    /// Transactions that wait for their turn.
    pub waiting_writers: usize,
    /// Pauses that wait for theirs.
    pub waiting_pauses: usize,
}

/// The gate. Clones are the same gate.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// Something changed that the lease's thread or those who want a connection wait for.
    changed: Condvar,
    start: Instant,
    /// Called by the lease's thread when a pause has run out.
    on_expiry: OnceLock<Hook>,
}

/// What is to be done when a pause has run out.
struct Hook {
    act: Box<dyn Fn() + Send + Sync>,
    /// What is paused, for the error when no thread can be had.
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
    /// Those in line; each is woken alone.
    waiting: HashMap<Ticket, Arc<Condvar>>,
    last_number: u64,
    /// The lease's thread, from the first pause until the gate is closed or at rest.
    thread: Option<JoinHandle<()>>,
    /// Its number: each of them is told from those before.
    last_thread: u64,
    is_closed: bool,
    /// Whose pause has run out, until the lease's thread has told of it.
    expired: Option<OwnerId>,
    /// The thread that got the turn for a transaction.
    writer: Option<(Ticket, ThreadId)>,
    /// The thread that paused.
    pauser: Option<(OwnerId, ThreadId)>,
}

impl Inner {
    /// Refuses a writer that would wait for a pause of its own thread.
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

    /// Refuses a pause that would wait for a transaction of its own thread.
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

    /// A step of the machine, at the time that it is; whoever gets the turn by it is woken.
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

    /// Waits until a call in line has its turn. A wait that ends before that takes the call out of
    /// the line.
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
            // Whoever waits sees to it that a lease ends, whatever became of the thread that has
            // to.
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

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turned {
    Admitted,
    Removed,
    TimedOut,
}

impl Turned {
    /// What a writer is told.
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
    /// A new name for an object or a connection.
    pub(crate) fn number(&self) -> u64 {
        self.0.inner.lock().number()
    }

    /// What goes on.
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

    /// Has something done, by the lease's thread, when a pause of `place` has run out. Without that
    /// thread there is no pause then. To be said once, before the first pause.
    pub(crate) fn on_expiry(&self, place: &Path, act: impl Fn() + Send + Sync + 'static) {
        self.0
            .on_expiry
            .set(Hook {
                act: Box::new(act),
                place: place.to_owned(),
            })
            .ok();
    }

    /// Ends the lease's thread, and waits for it, unless a pause needs it: whoever released the
    /// last object may unload the module next. No lock is to be held that the thread takes.
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

    /// True if a pause is in force, or about to be.
    pub(crate) fn is_pausing(&self) -> bool {
        matches!(
            self.0.lock().state.turn(),
            Turn::Persist(..) | Turn::Paused(..)
        )
    }

    /// Lets a transaction in, when its turn comes. One that may wait is refused to the thread that
    /// has paused, which would wait for itself.
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

    /// Closes the gate for an owner. `persist` brings everything to the files, when the transaction
    /// that runs has ended; when it fails, or panics, the gate is open.
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
        // Without a thread those who wait or ask end the lease, and all that is missing is what has
        // to be done then.
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

    /// Opens the gate for its owner.
    pub(crate) fn resume(&self, owner: OwnerId) -> Result<()> {
        self.0.change(|state| state.resume(owner)).map_err(refuse)?;
        tell!(INFO, owner = owner.0, "resumed");
        Ok(())
    }

    /// An owner is no more: what it holds is given back.
    pub(crate) fn release(&self, owner: OwnerId) {
        let held = self.0.change(|state| {
            let held = state.paused_by() == Some(owner);
            state.release(owner);
            held
        });
        if held {
            tell!(INFO, owner = owner.0, "resumed, for its owner is no more");
        }
    }

    /// Notes a backup, until the guard is dropped.
    pub(crate) fn begin_backup(&self) -> Result<BackingUp<'_>> {
        self.0.change(State::begin_backup).map_err(refuse)?;
        tell!(INFO, "a backup begins");
        Ok(BackingUp(self))
    }

    /// Begins a restore with its checks, until the guard is dropped.
    pub(crate) fn begin_restore(&self, owner: OwnerId) -> Result<Restoring<'_>> {
        self.0
            .change(|state| state.begin_restore(owner))
            .map_err(refuse)?;
        tell!(INFO, owner = owner.0, "a restore begins with its checks");
        Ok(Restoring { gate: self, owner })
    }

    /// Makes a connection; waits while a restore switches.
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

    /// A connection is no more.
    pub(crate) fn disconnect(&self, connection: ConnectionId) {
        self.0.change(|state| state.disconnect(connection));
    }

    /// Ends everything: pauses, connections, waits, and the lease's thread. Gives the connections
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

/// The turn of a transaction, until it is dropped.
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

/// The turn of a pause that is not in force yet.
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
    /// Says whether a restore without force could go on as things are.
    pub(crate) fn need_no_connections(&self) -> Result<()> {
        self.gate
            .0
            .change(|state| state.need_no_connections())
            .map_err(refuse)
    }

    /// Everything is checked: takes the turn. Connections refuse it, or are broken by force; `cut`
    /// is told which, before the turn is waited for.
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

/// What a caller is told.
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

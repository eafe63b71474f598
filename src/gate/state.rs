//! The gate as a state machine: no threads, no clock, no I/O. The caller supplies the time.
//!
//! ```text
//!            Write(ticket)    Persist(owner) --ok--> Paused(owner, until)
//!               |   ^              |   ^                    |
//!         leave |   | first        |   | first              | resume, release, expiry
//!               v   | in line fail v   | in line            v
//!              Free ---------------------------------------- Free
//!               |   ^
//!   all          v   | end
//!   connections  Restore(owner)
//!   broken
//! ```
//!
//! One party has the turn at a time: a transaction, a pause, or a restore that switches.
//! Transactions and pauses share one queue in order of arrival, so that neither starves the other.
//! A restore that switches goes to the head of the queue: it waits only for the running
//! transaction.
//!
//! The invariants are asserted in every state that three owners, three writers and two connections
//! can reach (`explore`).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// A backup and restore object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub u64);

/// A connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A call that waits for its turn or has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The holder of the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Turn {
    /// No one; then no one is waiting either.
    Free,
    /// A transaction.
    Write(Ticket),
    /// A pause that is bringing everything to the files.
    Persist(Ticket, OwnerId),
    /// A pause in force until the given time.
    Paused(OwnerId, Duration),
    /// A restore that switches.
    Restore(Ticket, OwnerId),
}

/// Position of a call in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It has the turn.
    Admitted,
    /// It is in the queue.
    Waiting,
    /// It is no longer known: its connection was broken, or the repository closed.
    Removed,
}

/// Why a call is refused. A refused call changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The object has paused the writers already, or is about to.
    PausedByCaller,
    /// Another object has paused the writers, or is about to.
    PausedByOther,
    /// There is no pause, or its lease has expired.
    NotPaused,
    /// A restore is in progress.
    Restoring,
    /// This many connections are open.
    Connections(usize),
    /// The connection is broken.
    Disconnected,
    /// Another party has the turn and the caller does not want to wait.
    Busy,
    /// The repository is closed.
    Closed,
}

/// The connections and calls that a restore by force cut off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Broken {
    /// The connections that were open.
    pub connections: Vec<ConnectionId>,
    /// Their calls that were removed from the queue.
    pub tickets: Vec<Ticket>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Wish {
    Write(Option<ConnectionId>),
    Pause(OwnerId),
    Restore(OwnerId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Waiting {
    ticket: Ticket,
    wish: Wish,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Restoring {
    owner: OwnerId,
    /// True if connections are broken and new ones are refused.
    is_switching: bool,
}

/// The state of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    now: Duration,
    turn: Turn,
    line: VecDeque<Waiting>,
    restoring: Option<Restoring>,
    backups: usize,
    open: BTreeSet<ConnectionId>,
    is_closed: bool,
}

impl State {
    /// An idle gate whose clock shows zero.
    pub const fn new() -> Self {
        Self {
            now: Duration::ZERO,
            turn: Turn::Free,
            line: VecDeque::new(),
            restoring: None,
            backups: 0,
            open: BTreeSet::new(),
            is_closed: false,
        }
    }

    /// Sets the time to `now` and ends a lease that has expired by then. The clock never goes back.
    pub fn tick(&mut self, now: Duration) {
        self.now = self.now.max(now);
        if self.expiry().is_some_and(|until| until <= self.now) {
            self.free();
        }
    }

    /// The end of the lease in force.
    pub const fn expiry(&self) -> Option<Duration> {
        match self.turn {
            Turn::Paused(_, until) => Some(until),
            _ => None,
        }
    }

    /// The holder of the turn.
    pub const fn turn(&self) -> Turn {
        self.turn
    }

    /// The ticket that has the turn.
    pub const fn admitted(&self) -> Option<Ticket> {
        match self.turn {
            Turn::Write(ticket) | Turn::Persist(ticket, _) | Turn::Restore(ticket, _) => {
                Some(ticket)
            }
            Turn::Free | Turn::Paused(..) => None,
        }
    }

    /// Position of a call in the queue.
    pub fn standing(&self, ticket: Ticket) -> Standing {
        if self.admitted() == Some(ticket) {
            Standing::Admitted
        } else if self.line.iter().any(|waiting| waiting.ticket == ticket) {
            Standing::Waiting
        } else {
            Standing::Removed
        }
    }

    /// Numbers of queued calls: transactions, and pauses or restores.
    pub fn waiting(&self) -> (usize, usize) {
        let writers = self
            .line
            .iter()
            .filter(|waiting| matches!(waiting.wish, Wish::Write(_)))
            .count();
        (writers, self.line.len() - writers)
    }

    /// The owner whose restore is in progress.
    pub fn restoring(&self) -> Option<OwnerId> {
        self.restoring.map(|restoring| restoring.owner)
    }

    /// Backups in progress.
    pub const fn backups(&self) -> usize {
        self.backups
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.open.len()
    }

    /// True if a connection is open.
    pub fn is_open(&self, connection: ConnectionId) -> bool {
        self.open.contains(&connection)
    }

    /// Requests the turn for a transaction.
    pub fn write(
        &mut self,
        ticket: Ticket,
        connection: Option<ConnectionId>,
        may_wait: bool,
    ) -> Result<Standing, Refusal> {
        self.need_open()?;
        if connection.is_some_and(|connection| !self.is_open(connection)) {
            return Err(Refusal::Disconnected);
        }
        if !may_wait && self.turn != Turn::Free {
            return Err(Refusal::Busy);
        }
        self.line.push_back(Waiting {
            ticket,
            wish: Wish::Write(connection),
        });
        self.advance();
        Ok(self.standing(ticket))
    }

    /// Ends a transaction, with whatever outcome.
    pub fn leave(&mut self, ticket: Ticket) {
        if self.turn == Turn::Write(ticket) {
            self.free();
        }
    }

    /// Withdraws a call that stops waiting. A call that has got its turn in the meantime keeps it.
    pub fn withdraw(&mut self, ticket: Ticket) -> Standing {
        self.line.retain(|waiting| waiting.ticket != ticket);
        self.standing(ticket)
    }

    /// Requests a pause for an object. With `at_once` it is refused while another object has paused
    /// or is about to, but still waits for transactions. When its turn comes, the caller must bring
    /// everything to the files and call [`persisted`](Self::persisted).
    pub fn pause(
        &mut self,
        ticket: Ticket,
        owner: OwnerId,
        at_once: bool,
    ) -> Result<Standing, Refusal> {
        self.need_no_restore()?;
        self.need_no_pause(owner, at_once)?;
        self.line.push_back(Waiting {
            ticket,
            wish: Wish::Pause(owner),
        });
        self.advance();
        Ok(self.standing(ticket))
    }

    /// Reports that everything is in the files, which puts the pause in force; without a lease,
    /// reports that this failed and ends the pause.
    pub fn persisted(&mut self, ticket: Ticket, lease: Option<Duration>) -> Result<(), Refusal> {
        match (self.turn, lease) {
            (Turn::Persist(held, owner), Some(lease)) if held == ticket && !self.is_closed => {
                self.turn = Turn::Paused(owner, self.now.saturating_add(lease));
                Ok(())
            }
            (Turn::Persist(held, _), _) if held == ticket => {
                self.free();
                self.need_open()
            }
            _ => Err(Refusal::NotPaused),
        }
    }

    /// The owner of the pause in force.
    pub const fn paused_by(&self) -> Option<OwnerId> {
        match self.turn {
            Turn::Paused(owner, _) => Some(owner),
            _ => None,
        }
    }

    /// Ends the pause of its owner.
    pub fn resume(&mut self, owner: OwnerId) -> Result<(), Refusal> {
        match self.turn {
            Turn::Paused(paused, _) if paused == owner => {
                self.free();
                Ok(())
            }
            Turn::Paused(..) => Err(Refusal::PausedByOther),
            _ => Err(Refusal::NotPaused),
        }
    }

    /// Removes everything that an object holds, because it is gone.
    pub fn release(&mut self, owner: OwnerId) {
        self.line
            .retain(|waiting| waiting.wish != Wish::Pause(owner));
        self.resume(owner).ok();
    }

    /// Begins a restore with its checks. Until it ends, no pause, backup or other restore may
    /// begin.
    pub fn begin_restore(&mut self, owner: OwnerId) -> Result<(), Refusal> {
        self.need_no_restore()?;
        self.need_no_pause(owner, true)?;
        self.restoring = Some(Restoring {
            owner,
            is_switching: false,
        });
        Ok(())
    }

    /// Fails if a restore without force could not go on at present.
    pub fn need_no_connections(&self) -> Result<(), Refusal> {
        if self.open.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Connections(self.open.len()))
        }
    }

    /// Requests the turn for a restore whose checks have passed. Open connections make it fail or
    /// are broken.
    pub fn switch(
        &mut self,
        ticket: Ticket,
        owner: OwnerId,
        force: bool,
    ) -> Result<Broken, Refusal> {
        self.need_open()?;
        if self.restoring
            != Some(Restoring {
                owner,
                is_switching: false,
            })
        {
            return Err(Refusal::Restoring);
        }
        if !force {
            self.need_no_connections()?;
        }
        self.restoring = Some(Restoring {
            owner,
            is_switching: true,
        });
        let broken = self.break_all();
        self.line.push_front(Waiting {
            ticket,
            wish: Wish::Restore(owner),
        });
        self.advance();
        Ok(broken)
    }

    /// Ends a restore, with whatever outcome and at whatever stage.
    pub fn end_restore(&mut self, owner: OwnerId) {
        if self.restoring() != Some(owner) {
            return;
        }
        self.restoring = None;
        self.line
            .retain(|waiting| waiting.wish != Wish::Restore(owner));
        if matches!(self.turn, Turn::Restore(..)) {
            self.free();
        }
    }

    /// Begins a backup.
    pub fn begin_backup(&mut self) -> Result<(), Refusal> {
        self.need_no_restore()?;
        self.backups += 1;
        Ok(())
    }

    /// Ends a backup, with whatever outcome.
    pub fn end_backup(&mut self) {
        self.backups = self.backups.saturating_sub(1);
    }

    /// Opens a connection. Refused while a restore switches.
    pub fn connect(&mut self, connection: ConnectionId) -> Result<(), Refusal> {
        self.need_open()?;
        if self
            .restoring
            .is_some_and(|restoring| restoring.is_switching)
        {
            return Err(Refusal::Restoring);
        }
        self.open.insert(connection);
        Ok(())
    }

    /// Closes a connection on behalf of its client.
    pub fn disconnect(&mut self, connection: ConnectionId) {
        self.open.remove(&connection);
    }

    /// Closes the repository: nothing is admitted any more, pauses end, and connections are broken.
    pub fn close(&mut self) -> Broken {
        self.is_closed = true;
        let mut broken = self.break_all();
        broken
            .tickets
            .extend(self.line.drain(..).map(|waiting| waiting.ticket));
        if matches!(self.turn, Turn::Paused(..)) {
            self.free();
        }
        broken
    }

    fn need_open(&self) -> Result<(), Refusal> {
        if self.is_closed {
            Err(Refusal::Closed)
        } else {
            Ok(())
        }
    }

    fn need_no_restore(&self) -> Result<(), Refusal> {
        self.need_open()?;
        if self.restoring.is_some() {
            Err(Refusal::Restoring)
        } else {
            Ok(())
        }
    }

    fn need_no_pause(&self, caller: OwnerId, minds_others: bool) -> Result<(), Refusal> {
        if self.pausers().any(|pauser| pauser == caller) {
            return Err(Refusal::PausedByCaller);
        }
        if minds_others && self.pausers().next().is_some() {
            return Err(Refusal::PausedByOther);
        }
        Ok(())
    }

    /// Objects that have paused the writers or are about to.
    fn pausers(&self) -> impl Iterator<Item = OwnerId> + '_ {
        let held = match self.turn {
            Turn::Persist(_, owner) | Turn::Paused(owner, _) => Some(owner),
            Turn::Free | Turn::Write(_) | Turn::Restore(..) => None,
        };
        held.into_iter()
            .chain(self.line.iter().filter_map(|waiting| match waiting.wish {
                Wish::Pause(owner) => Some(owner),
                Wish::Write(_) | Wish::Restore(_) => None,
            }))
    }

    fn break_all(&mut self) -> Broken {
        let connections = std::mem::take(&mut self.open).into_iter().collect();
        let is_theirs = |waiting: &Waiting| matches!(waiting.wish, Wish::Write(Some(_)));
        let tickets = self
            .line
            .iter()
            .filter(|waiting| is_theirs(waiting))
            .map(|waiting| waiting.ticket)
            .collect();
        self.line.retain(|waiting| !is_theirs(waiting));
        Broken {
            connections,
            tickets,
        }
    }

    fn free(&mut self) {
        self.turn = Turn::Free;
        self.advance();
    }

    /// Gives a free turn to the first call in the queue.
    fn advance(&mut self) {
        if self.turn != Turn::Free {
            return;
        }
        if let Some(Waiting { ticket, wish }) = self.line.pop_front() {
            self.turn = match wish {
                Wish::Write(_) => Turn::Write(ticket),
                Wish::Pause(owner) => Turn::Persist(ticket, owner),
                Wish::Restore(owner) => Turn::Restore(ticket, owner),
            };
        }
    }
}

#[cfg(test)]
mod explore;

//! Exploration of every state that three owners, three writers and two connections can bring the
//! gate to, with every call in each of them.
//!
//! Next to the machine runs a plain account of the answers that each party has received. The two
//! must agree, because the answers are all that a caller can hold the gate to. One writer works
//! without a connection, each of the others on its own.
//! connection, the others on one each.

mod events;

use std::collections::{HashMap, HashSet};

use super::*;
use events::{Event, event_writer, events};

const OWNERS: usize = 3;
const WRITERS: usize = 3;
const LINKS: usize = 2;
const LEASE: u64 = 2;
const MAX_BACKUPS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Idle,
    Waiting,
    Persisting,
    /// Remaining ticks of the lease.
    Paused(u64),
    Checking,
    Switching,
    Switched,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Writer {
    Idle,
    Waiting,
    Running,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Link {
    None,
    Open,
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Owner(usize),
    Writer(usize),
}

/// The machine and the answers that each party has received. Times count from now, so the clock
/// stands at zero.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    state: State,
    owners: [Owner; OWNERS],
    writers: [Writer; WRITERS],
    links: [Link; LINKS],
    backups: usize,
    /// The waiting parties, in the order in which they must be admitted.
    line: Vec<Who>,
    is_closed: bool,
}

const fn ticket(who: Who) -> Ticket {
    match who {
        Who::Owner(number) => Ticket(10 + number as u64),
        Who::Writer(number) => Ticket(number as u64),
    }
}

const fn owner(number: usize) -> OwnerId {
    OwnerId(number as u64)
}

const fn link(number: usize) -> ConnectionId {
    ConnectionId(number as u64)
}

/// The connection of a writer.
const fn link_of(writer: usize) -> Option<usize> {
    writer.checked_sub(1)
}

impl World {
    fn new() -> Self {
        Self {
            state: State::new(),
            owners: [Owner::Idle; OWNERS],
            writers: [Writer::Idle; WRITERS],
            links: [Link::None; LINKS],
            backups: 0,
            line: Vec::new(),
            is_closed: false,
        }
    }

    fn owner(&self, number: usize) -> Owner {
        self.owners.get(number).copied().unwrap_or(Owner::Idle)
    }

    fn set_owner(&mut self, number: usize, told: Owner) {
        self.owners
            .iter_mut()
            .skip(number)
            .take(1)
            .for_each(|owner| *owner = told);
    }

    fn writer(&self, number: usize) -> Writer {
        self.writers.get(number).copied().unwrap_or(Writer::Idle)
    }

    fn set_writer(&mut self, number: usize, told: Writer) {
        self.writers
            .iter_mut()
            .skip(number)
            .take(1)
            .for_each(|writer| *writer = told);
    }

    fn link(&self, number: usize) -> Link {
        self.links.get(number).copied().unwrap_or(Link::None)
    }

    fn set_link(&mut self, number: usize, told: Link) {
        self.links
            .iter_mut()
            .skip(number)
            .take(1)
            .for_each(|link| *link = told);
    }

    fn restorer(&self) -> Option<usize> {
        let is_at_it =
            |owner: &Owner| matches!(owner, Owner::Checking | Owner::Switching | Owner::Switched);
        self.owners.iter().position(is_at_it)
    }

    fn is_switching(&self) -> bool {
        self.owners
            .iter()
            .any(|owner| matches!(owner, Owner::Switching | Owner::Switched))
    }

    fn pauses(owner: Owner) -> bool {
        matches!(owner, Owner::Waiting | Owner::Persisting | Owner::Paused(_))
    }

    /// True if a party has the turn, according to the answers.
    fn is_taken(&self) -> bool {
        let owners = |owner: &Owner| {
            matches!(
                owner,
                Owner::Persisting | Owner::Paused(_) | Owner::Switched
            )
        };
        self.owners.iter().any(owners) || self.writers.contains(&Writer::Running)
    }

    /// The expected refusal of a pause of an owner, or of the beginning of a restore.
    fn refusal(&self, number: usize, minds_others: bool) -> Option<Refusal> {
        if self.is_closed {
            return Some(Refusal::Closed);
        }
        if self.restorer().is_some() {
            return Some(Refusal::Restoring);
        }
        if Self::pauses(self.owner(number)) {
            return Some(Refusal::PausedByCaller);
        }
        let others = self.owners.iter().any(|&owner| Self::pauses(owner));
        (minds_others && others).then_some(Refusal::PausedByOther)
    }

    /// Makes a call; `None` if there is no party to make it.
    fn after(&self, event: Event) -> Option<Self> {
        let mut world = self.clone();
        let refused = world.call(event)?;
        world.notice();
        // A refused call changes nothing.
        if let Err(refusal) = refused {
            assert_eq!(
                &world, self,
                "{event:?} was refused ({refusal:?}) and had an effect"
            );
        }
        Some(world)
    }

    fn call(&mut self, event: Event) -> Option<Result<(), Refusal>> {
        match event {
            Event::Write(..) | Event::Leave(_) | Event::Timeout(Who::Writer(_)) => {
                self.call_of_writer(event)
            }
            Event::Connect(_) | Event::Disconnect(_) => self.call_of_client(event),
            Event::Tick(_) | Event::BeginBackup | Event::EndBackup | Event::Close => {
                self.call_of_world(event)
            }
            Event::BeginRestore(_) | Event::Switch(..) | Event::EndRestore(_) => {
                self.call_of_restorer(event)
            }
            _ => self.call_of_pauser(event),
        }
    }

    fn call_of_writer(&mut self, event: Event) -> Option<Result<(), Refusal>> {
        match (event, self.writer(event_writer(event)?)) {
            (Event::Write(writer, may_wait), Writer::Idle) => {
                let link_state = link_of(writer).map(|number| self.link(number));
                if link_state == Some(Link::None) {
                    return None;
                }
                let expected = if self.is_closed {
                    Err(Refusal::Closed)
                } else if link_state == Some(Link::Broken) {
                    Err(Refusal::Disconnected)
                } else if !may_wait && self.is_taken() {
                    Err(Refusal::Busy)
                } else {
                    Ok(if self.is_taken() {
                        Standing::Waiting
                    } else {
                        Standing::Admitted
                    })
                };
                let who = Who::Writer(writer);
                let answer = self
                    .state
                    .write(ticket(who), link_of(writer).map(link), may_wait);
                assert_eq!(answer, expected, "{event:?} in {self:?}");
                if answer.is_ok() {
                    self.set_writer(writer, Writer::Waiting);
                    self.line.push(who);
                }
                Some(answer.map(drop))
            }
            (Event::Leave(writer), Writer::Running) => {
                self.state.leave(ticket(Who::Writer(writer)));
                self.set_writer(writer, Writer::Idle);
                Some(Ok(()))
            }
            // A writer without the turn cannot give it back.
            (Event::Leave(writer), Writer::Idle | Writer::Waiting) => {
                let before = self.state.clone();
                self.state.leave(ticket(Who::Writer(writer)));
                assert_eq!(self.state, before);
                Some(Ok(()))
            }
            (Event::Timeout(who @ Who::Writer(writer)), Writer::Waiting) => {
                assert_eq!(self.state.withdraw(ticket(who)), Standing::Removed);
                self.line.retain(|waiting| *waiting != who);
                self.set_writer(writer, Writer::Idle);
                Some(Ok(()))
            }
            _ => None,
        }
    }

    fn call_of_client(&mut self, event: Event) -> Option<Result<(), Refusal>> {
        match event {
            Event::Connect(number) if self.link(number) == Link::None => {
                let expected = match (self.is_closed, self.is_switching()) {
                    (true, _) => Err(Refusal::Closed),
                    (_, true) => Err(Refusal::Restoring),
                    _ => Ok(()),
                };
                let answer = self.state.connect(link(number));
                assert_eq!(answer, expected, "{event:?} in {self:?}");
                if answer.is_ok() {
                    self.set_link(number, Link::Open);
                }
                Some(answer)
            }
            // A connection counts until nothing that it created is left.
            Event::Disconnect(number)
                if self.link(number) != Link::None && self.writer(number + 1) == Writer::Idle =>
            {
                self.state.disconnect(link(number));
                self.set_link(number, Link::None);
                Some(Ok(()))
            }
            _ => None,
        }
    }

    fn call_of_world(&mut self, event: Event) -> Option<Result<(), Refusal>> {
        match event {
            Event::Tick(ticks) => {
                self.state.tick(Duration::from_secs(ticks));
                // A clock that goes back stands still.
                let now = self.state.clone();
                self.state.tick(Duration::ZERO);
                assert_eq!(self.state, now);
                for owner in &mut self.owners {
                    if let Owner::Paused(left) = *owner {
                        *owner = if left <= ticks {
                            Owner::Idle
                        } else {
                            Owner::Paused(left - ticks)
                        };
                    }
                }
                self.normalise();
                Some(Ok(()))
            }
            Event::BeginBackup if self.backups < MAX_BACKUPS => {
                let expected = match (self.is_closed, self.restorer()) {
                    (true, _) => Err(Refusal::Closed),
                    (_, Some(_)) => Err(Refusal::Restoring),
                    _ => Ok(()),
                };
                let answer = self.state.begin_backup();
                assert_eq!(answer, expected, "{event:?} in {self:?}");
                self.backups += usize::from(answer.is_ok());
                Some(answer)
            }
            Event::EndBackup if self.backups > 0 => {
                self.state.end_backup();
                self.backups -= 1;
                Some(Ok(()))
            }
            Event::Close if !self.is_closed => {
                self.is_closed = true;
                let broken = self.state.close();
                self.cut_off(&broken);
                for owner in &mut self.owners {
                    if matches!(owner, Owner::Paused(_)) {
                        *owner = Owner::Idle;
                    }
                }
                Some(Ok(()))
            }
            _ => None,
        }
    }

    /// Informs every party of the broken connections.
    fn cut_off(&mut self, broken: &Broken) {
        for number in 0..LINKS {
            let was_open = self.link(number) == Link::Open;
            assert_eq!(broken.connections.contains(&link(number)), was_open);
            if was_open {
                self.set_link(number, Link::Broken);
            }
        }
        let waiting: Vec<Who> = self.line.clone();
        for who in waiting {
            let is_cut = match who {
                Who::Writer(writer) => self.is_closed || link_of(writer).is_some(),
                Who::Owner(_) => self.is_closed,
            };
            assert_eq!(
                broken.tickets.contains(&ticket(who)),
                is_cut,
                "{who:?} in {self:?}"
            );
        }
    }

    fn call_of_restorer(&mut self, event: Event) -> Option<Result<(), Refusal>> {
        match event {
            Event::BeginRestore(number) => {
                let expected = self.refusal(number, true).map_or(Ok(()), Err);
                let answer = self.state.begin_restore(owner(number));
                assert_eq!(answer, expected, "{event:?} in {self:?}");
                if answer.is_ok() {
                    self.set_owner(number, Owner::Checking);
                }
                Some(answer)
            }
            Event::Switch(number, force) if self.owner(number) == Owner::Checking => {
                let open = self
                    .links
                    .iter()
                    .filter(|link| **link == Link::Open)
                    .count();
                let expected = match (self.is_closed, force || open == 0) {
                    (true, _) => Err(Refusal::Closed),
                    (_, false) => Err(Refusal::Connections(open)),
                    _ => Ok(()),
                };
                let answer = self
                    .state
                    .switch(ticket(Who::Owner(number)), owner(number), force);
                assert_eq!(answer.clone().map(drop), expected, "{event:?} in {self:?}");
                if let Ok(broken) = &answer {
                    self.cut_off(broken);
                    self.set_owner(number, Owner::Switching);
                    self.line.insert(0, Who::Owner(number));
                }
                Some(answer.map(drop))
            }
            Event::EndRestore(number) if self.restorer() == Some(number) => {
                self.state.end_restore(owner(number));
                self.line.retain(|waiting| *waiting != Who::Owner(number));
                self.set_owner(number, Owner::Idle);
                Some(Ok(()))
            }
            _ => None,
        }
    }

    fn call_of_pauser(&mut self, event: Event) -> Option<Result<(), Refusal>> {
        match event {
            Event::Pause(number, at_once) => {
                let expected = match self.refusal(number, at_once) {
                    Some(refusal) => Err(refusal),
                    None => Ok(if self.is_taken() {
                        Standing::Waiting
                    } else {
                        Standing::Admitted
                    }),
                };
                let who = Who::Owner(number);
                // While the first call of this object is in progress, a second call has a ticket of
                // its own.
                let own = if Self::pauses(self.owner(number)) {
                    Ticket(99)
                } else {
                    ticket(who)
                };
                let answer = self.state.pause(own, owner(number), at_once);
                assert_eq!(answer, expected, "{event:?} in {self:?}");
                if answer.is_ok() {
                    self.set_owner(number, Owner::Waiting);
                    self.line.push(who);
                }
                Some(answer.map(drop))
            }
            Event::Persisted(number, is_done) if self.owner(number) == Owner::Persisting => {
                let lease = is_done.then_some(Duration::from_secs(LEASE));
                let answer = self.state.persisted(ticket(Who::Owner(number)), lease);
                assert_eq!(answer.is_err(), self.is_closed, "{event:?} in {self:?}");
                let told = if is_done && !self.is_closed {
                    Owner::Paused(LEASE)
                } else {
                    Owner::Idle
                };
                self.set_owner(number, told);
                Some(Ok(()))
            }
            Event::Resume(number) => {
                let is_paused = matches!(self.owner(number), Owner::Paused(_));
                let answer = self.state.resume(owner(number));
                assert_eq!(answer.is_ok(), is_paused, "{event:?} in {self:?}");
                if is_paused {
                    self.set_owner(number, Owner::Idle);
                }
                Some(answer)
            }
            Event::Timeout(who @ Who::Owner(number)) if self.owner(number) == Owner::Waiting => {
                assert_eq!(self.state.withdraw(ticket(who)), Standing::Removed);
                self.line.retain(|waiting| *waiting != who);
                self.set_owner(number, Owner::Idle);
                Some(Ok(()))
            }
            Event::Drop(number) => {
                let who = Who::Owner(number);
                if self.owner(number) == Owner::Persisting {
                    self.state.persisted(ticket(who), None).ok();
                }
                if self.restorer() == Some(number) {
                    self.state.end_restore(owner(number));
                }
                self.state.release(owner(number));
                self.line.retain(|waiting| *waiting != who);
                self.set_owner(number, Owner::Idle);
                Some(Ok(()))
            }
            _ => None,
        }
    }

    /// Lets every waiting party check its position. The party that is admitted must be the first of
    /// them.
    fn notice(&mut self) {
        for who in self.line.clone() {
            match self.state.standing(ticket(who)) {
                Standing::Waiting => {}
                Standing::Admitted => {
                    assert_eq!(self.line.first(), Some(&who), "out of turn in {self:?}");
                    self.line.remove(0);
                    match who {
                        Who::Writer(writer) => self.set_writer(writer, Writer::Running),
                        Who::Owner(number) => {
                            let was = self.owner(number);
                            self.set_owner(
                                number,
                                if was == Owner::Waiting {
                                    Owner::Persisting
                                } else {
                                    Owner::Switched
                                },
                            );
                        }
                    }
                }
                Standing::Removed => {
                    let is_cut_off = match who {
                        Who::Writer(writer) => {
                            link_of(writer).is_some_and(|number| self.link(number) == Link::Broken)
                        }
                        Who::Owner(_) => false,
                    };
                    assert!(
                        is_cut_off || self.is_closed,
                        "{who:?} was forgotten in {self:?}"
                    );
                    self.line.retain(|waiting| *waiting != who);
                    match who {
                        Who::Writer(writer) => self.set_writer(writer, Writer::Idle),
                        Who::Owner(number) if self.owner(number) == Owner::Waiting => {
                            self.set_owner(number, Owner::Idle);
                        }
                        // A restore that cannot go on still has to end.
                        Who::Owner(number) => self.set_owner(number, Owner::Checking),
                    }
                }
            }
        }
        self.check();
    }

    /// Asserts that the answers and the machine agree, and that no rule is broken.
    fn check(&self) {
        let state = &self.state;
        let takers = |taker: &Owner| {
            matches!(
                taker,
                Owner::Persisting | Owner::Paused(_) | Owner::Switched
            )
        };
        let running = self
            .writers
            .iter()
            .filter(|writer| **writer == Writer::Running)
            .count();
        let turns = running + self.owners.iter().filter(|owner| takers(owner)).count();
        assert!(turns <= 1, "two at once in {self:?}");
        assert_eq!(
            state.turn() == Turn::Free,
            turns == 0,
            "the turn belongs to no one in {self:?}"
        );
        assert!(
            turns == 1 || self.line.is_empty(),
            "the turn is free and someone waits in {self:?}"
        );
        for (number, told) in self.owners.iter().enumerate() {
            // A pause is never lost, never lengthened and never outlives its lease.
            if let Owner::Paused(left) = told {
                assert_eq!(
                    state.turn(),
                    Turn::Paused(owner(number), Duration::from_secs(*left)),
                    "{self:?}"
                );
            }
        }
        assert_eq!(state.backups(), self.backups, "{self:?}");
        assert_eq!(state.restoring(), self.restorer().map(owner), "{self:?}");
        if self.restorer().is_some() {
            assert!(
                !self.owners.iter().any(|&owner| Self::pauses(owner)),
                "paused and restoring: {self:?}"
            );
        }
        for number in 0..LINKS {
            assert_eq!(
                state.is_open(link(number)),
                self.link(number) == Link::Open,
                "{self:?}"
            );
        }
        for (writer, told) in self.writers.iter().enumerate() {
            let is_broken = link_of(writer).is_some_and(|number| self.link(number) == Link::Broken);
            assert!(
                *told != Writer::Waiting || !is_broken,
                "waits on a broken connection in {self:?}"
            );
        }
        if self.is_switching() || self.is_closed {
            assert!(
                !self.links.contains(&Link::Open),
                "a client is connected in {self:?}"
            );
        }
    }

    fn normalise(&mut self) {
        if let Turn::Paused(_, until) = &mut self.state.turn {
            *until -= self.state.now;
        }
        self.state.now = Duration::ZERO;
    }

    /// The next event if no party begins anything and every party ends what it holds.
    fn next_end(&self) -> Option<Event> {
        if let Some(writer) = self
            .writers
            .iter()
            .position(|writer| *writer == Writer::Running)
        {
            return Some(Event::Leave(writer));
        }
        let (number, told) = self.owners.iter().enumerate().find(|(_, owner)| {
            matches!(
                owner,
                Owner::Persisting | Owner::Paused(_) | Owner::Switched | Owner::Checking
            )
        })?;
        Some(match told {
            Owner::Persisting => Event::Persisted(number, true),
            // The owner never calls again, so time must end its pause.
            Owner::Paused(_) => Event::Tick(1),
            _ => Event::EndRestore(number),
        })
    }

    /// Asserts that from this state every waiting party gets its turn without outside help.
    fn must_end(&self, known: &mut HashSet<Self>) {
        let mut world = self.clone();
        let mut way = Vec::new();
        while !known.contains(&world) {
            let Some(event) = world.next_end() else { break };
            way.push(world.clone());
            assert!(way.len() < 64, "no end from {self:?}");
            world = world
                .after(event)
                .unwrap_or_else(|| unreachable!("{event:?} cannot happen in {world:?}"));
        }
        assert!(
            known.contains(&world) || world.line.is_empty(),
            "{:?} wait for ever in {world:?}",
            world.line
        );
        known.extend(way);
    }
}

#[test]
fn every_state_of_three_owners_three_writers_and_two_connections() {
    let events = events();
    let mut seen = HashSet::from([World::new()]);
    let mut todo = vec![World::new()];
    let mut transitions = 0_u64;
    let mut kinds: HashMap<std::mem::Discriminant<Event>, u64> = HashMap::new();
    while let Some(world) = todo.pop() {
        for &event in &events {
            let Some(after) = world.after(event) else {
                continue;
            };
            transitions += 1;
            *kinds.entry(std::mem::discriminant(&event)).or_default() += 1;
            if seen.insert(after.clone()) {
                todo.push(after);
            }
        }
    }
    let mut ending = HashSet::new();
    seen.iter().for_each(|world| world.must_end(&mut ending));
    println!(
        "{} states, {transitions} transitions, {} ways to an end",
        seen.len(),
        ending.len()
    );
    assert_eq!(kinds.len(), 16, "every kind of call was made");
    assert!(seen.len() > 20_000, "{} states", seen.len());
}

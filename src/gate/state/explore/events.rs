//! The calls and events that the exploration tries in every state.

use super::{LINKS, OWNERS, WRITERS, Who};

/// A call to the gate, or an event that happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Event {
    Write(usize, bool),
    Leave(usize),
    Timeout(Who),
    Pause(usize, bool),
    Persisted(usize, bool),
    Resume(usize),
    /// The object is dropped, in an orderly way or by a panic.
    Drop(usize),
    BeginRestore(usize),
    Switch(usize, bool),
    EndRestore(usize),
    BeginBackup,
    EndBackup,
    Connect(usize),
    Disconnect(usize),
    Tick(u64),
    Close,
}

/// Every event of the explored world.
pub(super) fn events() -> Vec<Event> {
    let mut events = vec![Event::BeginBackup, Event::EndBackup, Event::Close];
    events.extend([0, 1, 1000].map(Event::Tick));
    for writer in 0..WRITERS {
        events.extend([
            Event::Write(writer, true),
            Event::Write(writer, false),
            Event::Leave(writer),
        ]);
        events.push(Event::Timeout(Who::Writer(writer)));
    }
    for link in 0..LINKS {
        events.extend([Event::Connect(link), Event::Disconnect(link)]);
    }
    for owner in 0..OWNERS {
        events.extend([
            Event::Pause(owner, false),
            Event::Pause(owner, true),
            Event::Resume(owner),
        ]);
        events.extend([
            Event::Persisted(owner, true),
            Event::Persisted(owner, false),
            Event::Drop(owner),
        ]);
        events.extend([
            Event::BeginRestore(owner),
            Event::Switch(owner, false),
            Event::Switch(owner, true),
        ]);
        events.extend([Event::EndRestore(owner), Event::Timeout(Who::Owner(owner))]);
    }
    events
}

/// The writer that an event is about.
pub(super) const fn event_writer(event: Event) -> Option<usize> {
    match event {
        Event::Write(writer, _) | Event::Leave(writer) | Event::Timeout(Who::Writer(writer)) => {
            Some(writer)
        }
        _ => None,
    }
}

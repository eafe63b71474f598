//! Detection of calls from an observer of the operation that has the turn. They must not wait for
//! that operation, since it waits for them.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Gate;
use crate::base::error::{Error, Result};
use crate::base::moment::Moment;
use crate::base::progress::{Observer, Progress};

thread_local! {
    /// The gates of the operations whose observers are running on this thread, innermost last.
    static INSIDE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// An observer whose own calls to the gate are recognised, on whatever thread it runs.
pub(crate) struct Inside<'o> {
    gate: usize,
    observer: &'o dyn Observer,
}

impl Observer for Inside<'_> {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                INSIDE.with_borrow_mut(Vec::pop);
            }
        }
        INSIDE.with_borrow_mut(|inside| inside.push(self.gate));
        let _leave = Leave;
        self.observer.progress(progress)
    }
}

impl Gate {
    /// Wraps the observer of the operation that has the turn, so that its calls are recognised.
    pub(crate) fn inside<'o>(&self, observer: &'o dyn Observer) -> Inside<'o> {
        Inside {
            gate: self.place(),
            observer,
        }
    }

    /// Fails for a call that would wait for the operation from whose observer it comes.
    pub(crate) fn ensure_outside(&self) -> Result<()> {
        let place = self.place();
        match INSIDE.with_borrow(|inside| inside.contains(&place)) {
            true => Err(Error::InvalidOperation(Moment::InsideCall)),
            false => Ok(()),
        }
    }

    /// The address of the gate, which no other gate has while this one exists.
    fn place(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

//! What goes wrong, and at which operation.

use std::io;

/// A way in which an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The device fails: [`io::ErrorKind::Other`].
    Io,
    /// No space is left: [`io::ErrorKind::StorageFull`]. Only operations that can need space fail:
    /// writes, changes of a length, creation of files and directories, locks.
    NoSpace,
    /// The call fails with an error of this kind, whatever call it is. A file system that gives
    /// room only when it has to refuses a sync because the disk is full.
    Refused(io::ErrorKind),
    /// Reads and writes transfer fewer bytes than asked for, at least one, and succeed. Other
    /// operations do not notice.
    Short,
    /// A signal arrives: [`io::ErrorKind::Interrupted`]. Happens to reads and writes, once; the
    /// other calls are repeated by the standard library and do not show it.
    Interrupted,
    /// The power is off: this operation fails and every later one does, whatever the plan says of
    /// them.
    PowerOff,
}

/// The faults to come, each at the number of an operation: 0 is the first one of the storage.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    rules: Vec<Rule>,
    transfer_first: bool,
    transfer_all: bool,
    pub(super) sync_loses: bool,
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    at: u64,
    for_ever: bool,
    fault: Fault,
}

impl FaultPlan {
    /// No fault.
    pub fn none() -> Self {
        Self::default()
    }

    /// A fault at operation `at` only; the power stays off nevertheless.
    pub fn once(at: u64, fault: Fault) -> Self {
        Self::none().and_once(at, fault)
    }

    /// A fault at operation `at` and every later one that it can hit.
    pub fn from(at: u64, fault: Fault) -> Self {
        Self::none().and_from(at, fault)
    }

    /// The same plan with one more fault; where several hit an operation, the first in the plan
    /// does.
    #[must_use]
    pub fn and_once(mut self, at: u64, fault: Fault) -> Self {
        self.rules.push(Rule {
            at,
            for_ever: fault == Fault::PowerOff,
            fault,
        });
        self
    }

    /// The same plan with one more fault for all operations from `at` on. A signal arrives only
    /// once all the same: a call that is interrupted for ever would be repeated for ever.
    #[must_use]
    pub fn and_from(mut self, at: u64, fault: Fault) -> Self {
        self.rules.push(Rule {
            at,
            for_ever: fault != Fault::Interrupted,
            fault,
        });
        self
    }

    /// The same plan, but a write that fails transfers a part of its bytes before: it fails and has
    /// changed the file.
    #[must_use]
    pub fn transfer_first(mut self) -> Self {
        self.transfer_first = true;
        self
    }

    /// The same plan, but a write that fails has done all its work before.
    #[must_use]
    pub fn transfer_all(mut self) -> Self {
        self.transfer_all = true;
        self
    }

    /// The same plan, but a sync that fails has given up what it was for: programs see it still,
    /// and no later sync makes it durable, unless it is written again. So do kernels that report a
    /// failed write-back once and drop the data.
    #[must_use]
    pub fn sync_loses(mut self) -> Self {
        self.sync_loses = true;
        self
    }

    fn fault_at(&self, number: u64, class: Class) -> Option<Fault> {
        let hit = |rule: &&Rule| {
            (number == rule.at || rule.for_ever && number > rule.at) && class.can(rule.fault)
        };
        self.rules.iter().find(hit).map(|rule| rule.fault)
    }
}

/// What faults distinguish operations by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Read,
    Write,
    /// Needs space, but transfers nothing.
    Grow,
    Other,
}

impl Class {
    fn can(self, fault: Fault) -> bool {
        match fault {
            Fault::Io | Fault::Refused(_) | Fault::PowerOff => true,
            Fault::NoSpace => matches!(self, Class::Write | Class::Grow),
            Fault::Short | Fault::Interrupted => matches!(self, Class::Read | Class::Write),
        }
    }
}

/// How an operation that was let through goes on.
#[derive(Debug)]
pub(super) enum Transfer {
    /// As asked.
    Whole,
    /// With fewer bytes.
    Short,
    /// With fewer bytes, and an error afterwards.
    Fail(io::Error),
    /// As asked, and an error afterwards.
    FailAfter(io::Error),
}

impl Transfer {
    /// How many of `len` bytes are transferred.
    pub(super) fn count(&self, len: usize) -> usize {
        match self {
            Transfer::Whole | Transfer::FailAfter(_) => len,
            // Two thirds, so that the cut seldom is the border of a sector.
            Transfer::Short | Transfer::Fail(_) => (len / 3 * 2).max(1).min(len),
        }
    }
}

/// Counts the operations and lets the plan strike.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) plan: FaultPlan,
    pub(super) operations: u64,
    pub(super) struck: u64,
    pub(super) off: bool,
}

impl Faults {
    /// Counts an operation and says how it goes.
    pub(super) fn next(&mut self, class: Class) -> io::Result<Transfer> {
        let number = self.operations;
        self.operations += 1;
        if self.off {
            return Err(power_is_off());
        }
        let Some(fault) = self.plan.fault_at(number, class) else {
            return Ok(Transfer::Whole);
        };
        self.struck += 1;
        let error = match fault {
            Fault::Short => return Ok(Transfer::Short),
            Fault::Interrupted => return Err(io::ErrorKind::Interrupted.into()),
            Fault::Io => io::Error::other("simulated I/O error"),
            Fault::NoSpace => io::ErrorKind::StorageFull.into(),
            Fault::Refused(kind) => kind.into(),
            Fault::PowerOff => {
                self.off = true;
                power_is_off()
            }
        };
        match class {
            Class::Write if self.plan.transfer_all => Ok(Transfer::FailAfter(error)),
            Class::Write if self.plan.transfer_first => Ok(Transfer::Fail(error)),
            _ => Err(error),
        }
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("power is off")
}

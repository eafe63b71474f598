//! Faults, and the operations that they strike.

use std::io;

/// A way in which an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The device fails: [`io::ErrorKind::Other`].
    Io,
    /// No space is left: [`io::ErrorKind::StorageFull`]. Only operations that can need space fail:
    /// writes, changes of a length, creation of files and directories, and locks.
    NoSpace,
    /// The call fails with an error of this kind, whatever call it is. For example, a file system
    /// that allocates late refuses a sync because the disk is full.
    Refused(io::ErrorKind),
    /// Reads and writes transfer fewer bytes than requested, but at least one, and succeed. Other
    /// operations are unaffected.
    Short,
    /// A signal arrives: [`io::ErrorKind::Interrupted`]. It strikes reads and writes once. The
    /// standard library repeats the other calls, so they do not show it.
    Interrupted,
    /// The power fails: this operation and every later one fail, whatever else the plan says.
    PowerOff,
}

/// The planned faults, each with the number of the operation that it strikes. The first operation
/// of the storage has number 0.
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
    /// A plan without faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// A fault at operation `at` only, except that failed power stays off.
    pub fn once(at: u64, fault: Fault) -> Self {
        Self::none().and_once(at, fault)
    }

    /// A fault at operation `at` and every later one that it can strike.
    pub fn from(at: u64, fault: Fault) -> Self {
        Self::none().and_from(at, fault)
    }

    /// Adds a fault at one operation. If several faults would strike it, the first in the plan
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

    /// Adds a fault at all operations from `at` on. A signal still arrives only once, because a
    /// call that is always interrupted would be repeated for ever.
    #[must_use]
    pub fn and_from(mut self, at: u64, fault: Fault) -> Self {
        self.rules.push(Rule {
            at,
            for_ever: fault != Fault::Interrupted,
            fault,
        });
        self
    }

    /// Makes a failing write transfer a part of its bytes first, so that it fails and has changed
    /// the file.
    #[must_use]
    pub fn transfer_first(mut self) -> Self {
        self.transfer_first = true;
        self
    }

    /// Makes a failing write transfer all its bytes first.
    #[must_use]
    pub fn transfer_all(mut self) -> Self {
        self.transfer_all = true;
        self
    }

    /// Makes a failing sync drop its operations: they stay visible, and no later sync makes them
    /// durable unless they are repeated. Some kernels behave so: they report a failed write-back
    /// once and drop the data.
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

/// The classes of operations that faults distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Read,
    Write,
    /// Needs space but transfers no bytes.
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

/// How an operation that was admitted proceeds.
#[derive(Debug)]
pub(super) enum Transfer {
    /// As requested.
    Whole,
    /// With fewer bytes.
    Short,
    /// With fewer bytes, and then an error.
    Fail(io::Error),
    /// As requested, and then an error.
    FailAfter(io::Error),
}

impl Transfer {
    /// The number of bytes out of `len` that are transferred.
    pub(super) fn count(&self, len: usize) -> usize {
        match self {
            Transfer::Whole | Transfer::FailAfter(_) => len,
            // Two thirds, so that the cut is seldom on a sector border.
            Transfer::Short | Transfer::Fail(_) => (len / 3 * 2).max(1).min(len),
        }
    }
}

/// Counts the operations and applies the plan.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) plan: FaultPlan,
    pub(super) operations: u64,
    pub(super) struck: u64,
    pub(super) off: bool,
}

impl Faults {
    /// Counts an operation and returns how it proceeds.
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

//! Hosts of the tests: a caller of choice, and what the object does.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cimrepo::base::error::HResult;
use cimrepo::com::{Callers, Failure, Files, Host, Service};
use cimrepo::format::sid::Sid;
use cimrepo::security::{Caller, Privileges};

/// A caller on this machine with these privileges enabled.
pub fn caller(privileges: Privileges) -> Caller {
    Caller::local(user()).in_groups([Sid::ADMINISTRATORS]).holding(privileges).enabling(privileges)
}

/// Some user.
pub fn user() -> Sid {
    "S-1-5-21-1-2-3-1001".parse().unwrap()
}

/// What a call came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Opened,
    Backup(PathBuf, i32),
    Restore(PathBuf, i32),
    Paused,
    Resumed,
    Dropped,
}

/// Writes down what it is asked for; answers and panics as it is told to.
#[derive(Debug, Default)]
pub struct Log {
    pub events: Mutex<Vec<Event>>,
    /// What the calls fail with.
    pub failure: Mutex<Option<Failure>>,
    /// What fails at opening.
    pub refused: Mutex<Option<Failure>>,
    /// Whether everything panics, dropping included.
    pub panics: Mutex<bool>,
}

impl Log {
    fn note(&self, event: Event) -> Result<(), Failure> {
        self.events.lock().unwrap().push(event);
        let panics = *self.panics.lock().unwrap();
        assert!(!panics, "told to");
        self.failure.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

#[derive(Debug)]
struct Logging(Arc<Log>);

impl Service for Logging {
    fn backup(&self, to: &Path, flags: i32) -> Result<(), Failure> {
        self.0.note(Event::Backup(to.to_owned(), flags))
    }

    fn restore(&self, from: &Path, flags: i32) -> Result<(), Failure> {
        self.0.note(Event::Restore(from.to_owned(), flags))
    }

    fn pause(&self) -> Result<(), Failure> {
        self.0.note(Event::Paused)
    }

    fn resume(&self) -> Result<(), Failure> {
        self.0.note(Event::Resumed)
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.note(Event::Dropped).ok();
    }
}

/// The host of [`Log`].
#[derive(Debug)]
pub struct LoggingHost(pub Arc<Log>);

impl Host for LoggingHost {
    fn open(&self) -> Result<Box<dyn Service>, Failure> {
        if let Some(failure) = self.0.refused.lock().unwrap().clone() {
            return Err(failure);
        }
        self.0.note(Event::Opened)?;
        Ok(Box::new(Logging(self.0.clone())))
    }
}

/// A caller that the test changes; without one nobody can say who it is.
#[derive(Debug)]
pub struct Changing(pub Mutex<Option<Caller>>);

impl Callers for Changing {
    fn caller(&self) -> Result<Caller, Failure> {
        let caller = self.0.lock().unwrap().clone();
        caller.ok_or_else(|| Failure::new(HResult(super::ACCESS_DENIED), "nobody"))
    }
}

/// A repository on disk.
#[derive(Debug)]
pub struct DiskHost {
    pub directory: PathBuf,
    pub callers: Arc<Changing>,
}

impl Host for DiskHost {
    fn open(&self) -> Result<Box<dyn Service>, Failure> {
        Ok(Box::new(Files::new(self.directory.clone(), self.callers.clone())))
    }
}

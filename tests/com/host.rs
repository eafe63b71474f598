//! Hosts of the tests: a caller of choice, and what the object does.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cimrepo::base::progress::Observer;
use cimrepo::com::{Failure, Host};
use cimrepo::format::security::sid::Sid;
use cimrepo::security::{Caller, Privileges};
use cimrepo::service::{BackupAndRestore, BackupRestoreFlags, EachCall, Standby};
use cimrepo::{Error, Result};

/// A caller on this machine with these privileges enabled.
pub fn caller(privileges: Privileges) -> Caller {
    Caller::local(user())
        .in_groups([Sid::ADMINISTRATORS])
        .holding(privileges)
        .enabling(privileges)
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
#[derive(Default)]
pub struct Log {
    pub events: Mutex<Vec<Event>>,
    /// What the calls fail with.
    pub failure: Mutex<Option<fn() -> Error>>,
    /// What fails at opening.
    pub refused: Mutex<Option<Failure>>,
    /// Whether everything panics, dropping included.
    pub panics: Mutex<bool>,
}

impl Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

impl Log {
    fn note(&self, event: Event) -> Result<()> {
        self.events.lock().unwrap().push(event);
        let panics = *self.panics.lock().unwrap();
        assert!(!panics, "told to");
        self.failure
            .lock()
            .unwrap()
            .map_or(Ok(()), |failure| Err(failure()))
    }

    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

#[derive(Debug)]
struct Logging(Arc<Log>);

fn bits(flags: BackupRestoreFlags) -> i32 {
    flags.bits().cast_signed()
}

impl BackupAndRestore for Logging {
    fn back_up_to(&self, to: &Path, flags: BackupRestoreFlags, _: &dyn Observer) -> Result<()> {
        self.0.note(Event::Backup(to.to_owned(), bits(flags)))
    }

    fn restore_from(&self, from: &Path, flags: BackupRestoreFlags, _: &dyn Observer) -> Result<()> {
        self.0.note(Event::Restore(from.to_owned(), bits(flags)))
    }

    fn pause_now(&self) -> Result<()> {
        self.0.note(Event::Paused)
    }

    fn end_pause(&self) -> Result<()> {
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
    fn open(&self) -> Result<Box<dyn BackupAndRestore>, Failure> {
        if let Some(failure) = self.0.refused.lock().unwrap().clone() {
            return Err(failure);
        }
        self.0.note(Event::Opened)?;
        Ok(Box::new(Logging(self.0.clone())))
    }
}

/// A caller that the test changes; without one nobody can say who it is.
#[derive(Debug, Clone)]
pub struct Changing(Arc<Mutex<Option<Caller>>>);

impl Changing {
    /// One with both privileges, for now.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(caller(Privileges::all())))))
    }

    pub fn is_now(&self, caller: Option<Caller>) {
        *self.0.lock().unwrap() = caller;
    }

    /// As the service asks for it.
    pub fn asked(&self) -> Arc<EachCall> {
        let now = self.0.clone();
        Arc::new(EachCall::new(move || {
            let caller = now.lock().unwrap().clone();
            caller.ok_or_else(|| Error::AccessDenied("nobody".into()))
        }))
    }
}

/// A repository on disk, as the DLL serves it.
#[derive(Debug)]
pub struct DiskHost {
    pub standby: Standby,
    pub callers: Changing,
}

impl Host for DiskHost {
    fn open(&self) -> Result<Box<dyn BackupAndRestore>, Failure> {
        Ok(Box::new(
            self.standby.backup_restore_as(self.callers.asked()),
        ))
    }
}

//! Where objects get from what they do, and who is taken for their caller.

use std::fmt::Debug;
use std::sync::Arc;

use super::failure::Failure;
use crate::security;
use crate::service::{BackupAndRestore, Caller, EachCall, Service};

/// Where objects get from what they do.
pub trait Host: Send + Sync + Debug {
    /// What a new object does. Asked for with its first call, so that making and looking at an object needs no repository.
    ///
    /// # Errors
    /// When there is nothing to serve; the object asks again with its next call.
    fn open(&self) -> Result<Box<dyn BackupAndRestore>, Failure>;
}

/// A repository that this process has open: its objects stand beside the connections of the clients, and restore beneath them.
#[derive(Debug)]
pub struct Hosted {
    service: Service,
    caller: Arc<dyn Caller>,
}

impl Hosted {
    /// The objects of a service; every call on them asks this caller first, as a rule [`token_caller`].
    pub fn new(service: Service, caller: Arc<dyn Caller>) -> Self {
        Self { service, caller }
    }
}

impl Host for Hosted {
    fn open(&self) -> Result<Box<dyn BackupAndRestore>, Failure> {
        Ok(Box::new(self.service.backup_restore_as(self.caller.clone())))
    }
}

/// Callers who are who their tokens say they are: the client that COM called for, else whom the thread impersonates, else the
/// user of the process. Where there are no tokens, everyone is refused.
pub fn token_caller() -> Arc<dyn Caller> {
    Arc::new(EachCall::new(who_calls))
}

#[cfg(windows)]
fn who_calls() -> crate::Result<security::Caller> {
    super::token::caller()
}

/// Nobody is let in unseen.
#[cfg(not(windows))]
fn who_calls() -> crate::Result<security::Caller> {
    Err(crate::Error::denied("this system has no token that says who calls"))
}

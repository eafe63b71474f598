//! Where objects get from what they do, and who is taken for their caller.

use std::fmt::Debug;
use std::sync::Arc;

use super::failure::Failure;
use crate::service::{BackupAndRestore, Caller, ObjectOptions, Service};

/// Where objects get from what they do.
pub trait Host: Send + Sync + Debug {
    /// What a new object does. Asked for with its first call, so that making and looking at an
    /// object needs no repository.
    ///
    /// # Errors
    /// When there is nothing to serve; the object asks again with its next call.
    fn open(&self) -> Result<Box<dyn BackupAndRestore>, Failure>;
}

/// A repository that this process has open: its objects stand beside the connections of the
/// clients, and restore beneath them.
#[derive(Debug)]
pub struct Hosted {
    service: Service,
    caller: Arc<dyn Caller>,
    options: ObjectOptions,
}

impl Hosted {
    /// The objects of a service. Every call on them asks `caller` first, as a rule a
    /// [`token_caller`](super::token_caller) with the privilege policy of the program; their
    /// options are those of the service.
    pub fn new(service: Service, caller: Arc<dyn Caller>) -> Self {
        let options = service.object_options();
        Self {
            service,
            caller,
            options,
        }
    }

    /// Sets the options of the objects: the lease, the limit of waiting, the meaning of flag 0.
    #[must_use]
    pub fn options(mut self, options: ObjectOptions) -> Self {
        self.options = options;
        self
    }
}

impl Host for Hosted {
    fn open(&self) -> Result<Box<dyn BackupAndRestore>, Failure> {
        Ok(Box::new(
            self.service
                .backup_restore_with(self.caller.clone(), self.options),
        ))
    }
}

//! A service over the files of a repository that nobody has open for writing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::Failure;
use super::service::{Callers, Service};
use crate::backup::{Backup, BackupOptions, backup};
use crate::base::error::HResult;
use crate::base::progress::Unobserved;
use crate::repository::Repository;
use crate::restore::{Existing, RestoreOptions, restore};
use crate::security::backup_rights::{BackupPolicy, Operation, need_privilege};

/// `WBEM_FLAG_BACKUP_RESTORE_FORCE_SHUTDOWN`.
const FORCE_SHUTDOWN: i32 = 1;

/// The files in a directory, opened anew by each call.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    callers: Arc<dyn Callers>,
}

impl Files {
    /// Those in this directory, for callers that are asked for here.
    pub fn new(directory: PathBuf, callers: Arc<dyn Callers>) -> Self {
        Self { directory, callers }
    }

    /// Who calls has to be on this machine, for a DLL in the caller's process serves no other, and to have the privilege.
    fn need(&self, operation: Operation) -> Result<(), Failure> {
        let caller = self.callers.caller()?;
        if caller.is_remote() {
            let text = format!("{} calls from another machine, and this object serves its own alone", caller.user());
            return Err(Failure::new(HResult::ACCESS_DENIED, text));
        }
        Ok(need_privilege(operation, &caller, BackupPolicy::default())?)
    }
}

impl Service for Files {
    fn backup(&self, to: &Path, flags: i32) -> Result<(), Failure> {
        self.need(Operation::Backup)?;
        if flags != 0 {
            return Err(Failure::invalid(format!("Backup knows no flags, and {flags:#x} was given")));
        }
        let repository = Repository::open_read_only(&self.directory)?;
        backup(&repository, to, &BackupOptions::default(), &Unobserved)?;
        Ok(())
    }

    fn restore(&self, from: &Path, flags: i32) -> Result<(), Failure> {
        self.need(Operation::Restore)?;
        if !(0..=FORCE_SHUTDOWN).contains(&flags) {
            return Err(Failure::invalid(format!("Restore knows the flags 0 and 1, and {flags:#x} was given")));
        }
        let backup = Backup::open(from)?;
        let options = RestoreOptions { existing: Existing::Replace, ..RestoreOptions::default() };
        restore(&backup, &self.directory, options, &Unobserved)?;
        Ok(())
    }

    fn pause(&self) -> Result<(), Failure> {
        self.need(Operation::Pause)?;
        Err(Failure::new(HResult::NOT_SUPPORTED, "nothing writes this repository, so there is nothing to pause"))
    }

    fn resume(&self) -> Result<(), Failure> {
        self.need(Operation::Resume)?;
        Err(Failure::new(HResult::INVALID_OPERATION, "the repository is not paused"))
    }
}

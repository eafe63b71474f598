//! What stands behind the object: what its four methods do, and whom they ask who calls.

use std::fmt::Debug;
use std::path::Path;

use super::failure::Failure;
use crate::security::Caller;

/// Who calls, as far as a service needs to know it. It is asked on the thread of the call, before anything else is done.
pub trait Callers: Send + Sync + Debug {
    /// Who makes the call that runs on this thread.
    ///
    /// # Errors
    /// When that cannot be found out; the call is refused then.
    fn caller(&self) -> Result<Caller, Failure>;
}

/// What one COM object does. The value is the owner of a pause: whatever it holds, dropping it gives back.
pub trait Service: Send + Sync + Debug {
    /// Backs the repository up to `to`. The flags are as they came.
    ///
    /// # Errors
    /// What the caller is to be told.
    fn backup(&self, to: &Path, flags: i32) -> Result<(), Failure>;

    /// Replaces the repository by what is in `from`. The flags are as they came.
    ///
    /// # Errors
    /// What the caller is to be told.
    fn restore(&self, from: &Path, flags: i32) -> Result<(), Failure>;

    /// Holds the repository still; does not wait for another holder.
    ///
    /// # Errors
    /// What the caller is to be told.
    fn pause(&self) -> Result<(), Failure>;

    /// Lets writers go on.
    ///
    /// # Errors
    /// What the caller is to be told.
    fn resume(&self) -> Result<(), Failure>;
}

/// Where objects get from what they do.
pub trait Host: Send + Sync + Debug {
    /// What a new object does. Asked for with its first call, so that making and looking at an object needs no repository.
    ///
    /// # Errors
    /// When there is nothing to serve; the object asks again with its next call.
    fn open(&self) -> Result<Box<dyn Service>, Failure>;
}

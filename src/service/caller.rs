//! Who calls, as far as the service asks: the one place where rights and privileges come in.

use std::fmt::Debug;

use crate::base::error::Result;

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Connect as a client.
    Connect,
    /// Back up.
    Backup,
    /// Restore.
    Restore,
    /// Pause.
    Pause,
    /// Resume.
    Resume,
}

/// Someone who calls. It is asked before anything else is done, so that a refusal has no effect.
pub trait Caller: Debug + Send + Sync {
    /// What it is called, for those who look who is there.
    fn name(&self) -> &str;

    /// Whether it may.
    ///
    /// # Errors
    /// [`Error::AccessDenied`](crate::Error::AccessDenied) when not.
    fn check(&self, operation: Operation) -> Result<()>;
}

/// Code of the process itself, which may do everything: it could write the files as well.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trusted;

impl Caller for Trusted {
    fn name(&self) -> &str {
        "this process"
    }

    fn check(&self, _: Operation) -> Result<()> {
        Ok(())
    }
}

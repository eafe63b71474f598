//! Callers of the service, and the only place where rights and privileges are checked.

use std::fmt::{self, Debug};
use std::sync::Arc;

use crate::base::error::Result;
use crate::security;
pub use crate::security::backup_rights::Operation;
use crate::security::backup_rights::{BackupPolicy, authorize, need_privilege};
use crate::storage::Storage;

use super::Root;

/// A caller. It is checked before anything else is done, so that a refusal has no effect.
pub trait Caller: Debug + Send + Sync {
    /// Display name, for listing clients.
    fn name(&self) -> &str;

    /// Checks that the caller may perform the operation. Called on the thread of the call; `root`
    /// is ROOT of the repository concerned.
    ///
    /// # Errors
    /// Returns [`Error::AccessDenied`](crate::Error::AccessDenied) if it may not.
    /// [`Error::AccessDenied`](crate::Error::AccessDenied) when not.
    fn check(&self, operation: Operation, root: &Root<'_>) -> Result<()>;

    /// The storage through which files named by the caller are opened: the target of a backup, the
    /// source of a restore. Called on the thread of the call, after [`check`](Self::check). It is
    /// the storage of the repository, unless the identity of the caller decides which files may be
    /// opened there.
    ///
    /// # Errors
    /// Fails if the identity of the caller cannot be assumed.
    /// When the identity of the caller cannot be used.
    fn files(&self, storage: &Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        Ok(storage.clone())
    }
}

/// Code of the process itself, which may do everything, since it could write the files directly.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trusted;

impl Caller for Trusted {
    fn name(&self) -> &str {
        "this process"
    }

    fn check(&self, _: Operation, _: &Root<'_>) -> Result<()> {
        Ok(())
    }
}

/// A caller with a known identity. It is checked against its privileges and, for some operations,
/// against the descriptor of ROOT in the repository.
#[derive(Debug)]
pub struct Identified {
    name: String,
    identity: security::Caller,
    policy: BackupPolicy,
}

impl Identified {
    /// Creates a caller.
    pub fn new(identity: security::Caller) -> Self {
        Self {
            name: identity.user().to_string(),
            identity,
            policy: BackupPolicy::default(),
        }
    }

    /// Sets which privilege a backup requires.
    #[must_use]
    pub fn policy(mut self, policy: BackupPolicy) -> Self {
        self.policy = policy;
        self
    }
}

impl Caller for Identified {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, operation: Operation, root: &Root<'_>) -> Result<()> {
        may(operation, &self.identity, self.policy, root)
    }
}

/// Determines the identity that makes the call on the current thread.
type WhoCalls = dyn Fn() -> Result<security::Caller> + Send + Sync;

/// A caller whose identity may differ with each call. It is determined on the thread of the call,
/// as a server identifies its clients.
pub struct EachCall {
    who: Box<WhoCalls>,
    policy: BackupPolicy,
}

impl Debug for EachCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EachCall")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl EachCall {
    /// Creates a caller with the identity that `who` returns. If `who` fails, the call is refused
    /// with its error.
    pub fn new(who: impl Fn() -> Result<security::Caller> + Send + Sync + 'static) -> Self {
        Self {
            who: Box::new(who),
            policy: BackupPolicy::default(),
        }
    }

    /// Sets which privilege a backup requires.
    #[must_use]
    pub fn policy(mut self, policy: BackupPolicy) -> Self {
        self.policy = policy;
        self
    }
}

impl Caller for EachCall {
    fn name(&self) -> &str {
        "the caller"
    }

    fn check(&self, operation: Operation, root: &Root<'_>) -> Result<()> {
        may(operation, &(self.who)()?, self.policy, root)
    }
}

/// Checks that an identity may perform an operation. ROOT is read only for those who connect or
/// call from another machine. Thus a repository too damaged to be read can be restored by a local
/// user with the privilege.
fn may(
    operation: Operation,
    identity: &security::Caller,
    policy: BackupPolicy,
    root: &Root<'_>,
) -> Result<()> {
    need_privilege(operation, identity, policy)?;
    if operation != Operation::Connect && !identity.is_remote() {
        return Ok(());
    }
    authorize(operation, identity, policy, root.security()?.as_security())
}

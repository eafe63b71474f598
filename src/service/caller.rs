//! Who calls, as far as the service asks: the one place where rights and privileges come in.

use std::fmt::{self, Debug};
use std::sync::Arc;

use crate::base::error::Result;
use crate::security;
pub use crate::security::backup_rights::Operation;
use crate::security::backup_rights::{BackupPolicy, authorize, need_privilege};
use crate::storage::Storage;

use super::Root;

/// Someone who calls. It is asked before anything else is done, so that a refusal has no effect
///
pub trait Caller: Debug + Send + Sync {
    /// What it is called, for those who look who is there.
    fn name(&self) -> &str;

    /// Whether it may. Asked on the thread of the call; `root` is ROOT of the repository that is
    /// meant.
    ///
    /// # Errors
    /// [`Error::AccessDenied`](crate::Error::AccessDenied) when not.
    fn check(&self, operation: Operation, root: &Root<'_>) -> Result<()>;

    /// The storage through which the files that the caller names are opened: the target of a
    /// backup, the source of a restore. Asked for on the thread of the call, after
    /// [`check`](Self::check). It is the one of the repository, unless the caller's identity
    /// decides what may be opened there.
    ///
    /// # Errors
    /// When the identity of the caller cannot be used.
    fn files(&self, storage: &Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        Ok(storage.clone())
    }
}

/// Code of the process itself, which may do everything: it could write the files as well.
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

/// A caller whose identity the embedder knows: held against its privileges and, where that is
/// asked, against the descriptor of ROOT in the repository.
#[derive(Debug)]
pub struct Identified {
    name: String,
    identity: security::Caller,
    policy: BackupPolicy,
}

impl Identified {
    /// A caller.
    pub fn new(identity: security::Caller) -> Self {
        Self {
            name: identity.user().to_string(),
            identity,
            policy: BackupPolicy::default(),
        }
    }

    /// Which privilege backing up needs.
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

/// Finds out who makes the call that runs on this thread.
type WhoCalls = dyn Fn() -> Result<security::Caller> + Send + Sync;

/// A caller that may be another with each call: who it is, is asked on the thread of the call. So a
/// server knows its clients.
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
    /// Whoever `who` says. When it cannot be found out the call is refused with what `who` fails
    /// with.
    pub fn new(who: impl Fn() -> Result<security::Caller> + Send + Sync + 'static) -> Self {
        Self {
            who: Box::new(who),
            policy: BackupPolicy::default(),
        }
    }

    /// Which privilege backing up needs.
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

/// Whether someone may. ROOT is read for those who connect and for those who call from another
/// machine; no one else is held against it, so that a repository too damaged to be read is restored
/// by whoever has the privilege on this one.
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

//! Who calls, as far as the service asks: the one place where rights and privileges come in.

use std::fmt::Debug;

use crate::base::error::Result;
use crate::format::security_descriptor::SecurityDescriptor;
use crate::security;
use crate::security::NamespaceSecurity;
pub use crate::security::backup_rights::Operation;
use crate::security::backup_rights::{BackupPolicy, authorize};

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

/// A caller whose identity the embedder knows: held against its privileges and, where that is asked, against the descriptor of ROOT
///
#[derive(Debug)]
pub struct Identified {
    name: String,
    identity: security::Caller,
    policy: BackupPolicy,
    root: SecurityDescriptor,
    requires_encryption: bool,
}

impl Identified {
    /// A caller; `root` is the descriptor of the namespace ROOT.
    pub fn new(identity: security::Caller, root: SecurityDescriptor) -> Self {
        let (name, policy) = (identity.user().to_string(), BackupPolicy::default());
        Self { name, identity, policy, root, requires_encryption: false }
    }

    /// Which privilege backing up needs.
    #[must_use]
    pub fn policy(mut self, policy: BackupPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Whether ROOT has the qualifier `RequiresEncryption`.
    #[must_use]
    pub fn requires_encryption(mut self, requires: bool) -> Self {
        self.requires_encryption = requires;
        self
    }
}

impl Caller for Identified {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, operation: Operation) -> Result<()> {
        let requires_encryption = self.requires_encryption;
        let root = NamespaceSecurity { path: "ROOT", descriptor: &self.root, requires_encryption };
        authorize(operation, &self.identity, self.policy, root)
    }
}

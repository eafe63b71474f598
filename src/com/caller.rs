//! Callers who are who their tokens say they are.

use std::sync::Arc;

use crate::base::error::Result;
use crate::security;
use crate::security::backup_rights::BackupPolicy;
use crate::service::{Caller, EachCall, Operation, Root};
use crate::storage::Storage;

/// Callers who are who their tokens say they are ([`token_identity`]). `policy` says which
/// privilege a backup needs. Where there are no tokens, everyone is refused.
///
/// The files that such a caller names are opened under its identity: of a client of COM that lets
/// itself be impersonated, and of a thread that impersonates, on whatever thread of the call they
/// are opened.
pub fn token_caller(policy: BackupPolicy) -> Arc<dyn Caller> {
    Arc::new(TokenCaller(EachCall::new(token_identity).policy(policy)))
}

/// The caller of the call that runs on this thread, with the privileges that are enabled in its
/// token: the client that COM called for, else the one that the thread impersonates, else the user
/// of the process.
///
/// # Errors
/// [`Error::AccessDenied`](crate::Error::AccessDenied) when the token cannot be read or is
/// restricted, when the thread cannot revert to the identity of the process, and on systems without
/// tokens.
#[cfg(windows)]
pub fn token_identity() -> Result<security::Caller> {
    super::token::caller()
}

/// Fails: the system has no token that says who calls, and nobody is let in unseen.
///
/// # Errors
/// [`Error::AccessDenied`](crate::Error::AccessDenied).
#[cfg(not(windows))]
pub fn token_identity() -> Result<security::Caller> {
    Err(crate::Error::denied(
        "this system has no token that says who calls",
    ))
}

#[derive(Debug)]
struct TokenCaller(EachCall);

impl Caller for TokenCaller {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn check(&self, operation: Operation, root: &Root<'_>) -> Result<()> {
        self.0.check(operation, root)
    }

    #[cfg(windows)]
    fn files(&self, storage: &Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        super::acting::as_caller(storage)
    }

    #[cfg(not(windows))]
    fn files(&self, storage: &Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        Ok(storage.clone())
    }
}

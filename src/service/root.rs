//! What the repository itself says of who may use its namespace ROOT.

use std::fmt;

use crate::base::error::Result;
use crate::catalog::{Catalog, ROOT, StoredSecurity};
use crate::security::defaults;
use crate::store::Snapshot;

/// The namespace ROOT of the repository that is asked about. It is read when someone wants to know,
/// and each time anew: it may have been changed, or another restored in its place.
pub struct Root<'r> {
    snapshot: &'r dyn Fn() -> Result<Snapshot>,
}

impl fmt::Debug for Root<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root")
    }
}

impl<'r> Root<'r> {
    /// That of a state which is had by a call.
    pub fn new(snapshot: &'r dyn Fn() -> Result<Snapshot>) -> Self {
        Self { snapshot }
    }

    /// Its descriptor (`__thisNAMESPACE.SECURITY_DESCRIPTOR`) and whether it wants encryption (the
    /// qualifier `RequiresEncryption` of its `__SystemSecurity`). Where a repository says nothing,
    /// what a new one has.
    ///
    /// # Errors
    /// What reading says; [`Error::InvalidObject`](crate::Error::InvalidObject) when the descriptor
    /// is none.
    pub fn security(&self) -> Result<StoredSecurity> {
        let (descriptor, requires_encryption) =
            Catalog::strict((self.snapshot)()?).security_parts(ROOT)?;
        let descriptor = descriptor.unwrap_or_else(defaults::of_root);
        Ok(StoredSecurity {
            namespace: ROOT.to_owned(),
            descriptor,
            requires_encryption,
        })
    }
}

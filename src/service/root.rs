//! Access rights to the namespace ROOT, as stored in the repository itself.

use std::fmt;

use crate::base::error::Result;
use crate::catalog::{Catalog, ROOT, StoredSecurity};
use crate::security::defaults;
use crate::store::Snapshot;

/// The namespace ROOT of the repository concerned. It is read again for each question, because it
/// may have been changed or replaced by a restore.
pub struct Root<'r> {
    snapshot: &'r dyn Fn() -> Result<Snapshot>,
}

impl fmt::Debug for Root<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root")
    }
}

impl<'r> Root<'r> {
    /// Reads ROOT lazily from the snapshot that `snapshot` returns.
    pub fn new(snapshot: &'r dyn Fn() -> Result<Snapshot>) -> Self {
        Self { snapshot }
    }

    /// Its descriptor (`__thisNAMESPACE.SECURITY_DESCRIPTOR`), and whether it requires encryption
    /// (the qualifier `RequiresEncryption` of its `__SystemSecurity`). If the repository has none,
    /// those of a new repository apply.
    ///
    /// # Errors
    /// Returns the errors of reading, and [`Error::InvalidObject`](crate::Error::InvalidObject) if
    /// the descriptor is invalid.
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

//! What the repository itself says of who may use its namespace ROOT.

use std::fmt;

use crate::base::error::{Error, Result};
use crate::catalog::Catalog;
use crate::cim::instance::Instance;
use crate::cim::path::{ObjectPath, PathKeys};
use crate::cim::value::{Array, Value};
use crate::format::security_descriptor::SecurityDescriptor;
use crate::repository::Snapshot;
use crate::security::{NamespaceSecurity, defaults};

/// The namespace that all others lie below.
const ROOT: &str = "ROOT";

/// The namespace ROOT of the repository that is asked about. It is read when someone wants to know, and each time anew: it may
/// have been changed, or another restored in its place.
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

    /// Its descriptor (`__thisNAMESPACE.SECURITY_DESCRIPTOR`) and whether it wants encryption (the qualifier
    /// `RequiresEncryption` of its `__SystemSecurity`). Where a repository says nothing, what a new one has.
    ///
    /// # Errors
    /// What reading says; [`Error::InvalidObject`] when the descriptor is none.
    pub fn security(&self) -> Result<RootSecurity> {
        let catalog = Catalog::new((self.snapshot)()?);
        let descriptor = match singleton(&catalog, "__thisNAMESPACE")? {
            Some(namespace) => descriptor(&namespace)?,
            None => None,
        };
        let system = singleton(&catalog, "__SystemSecurity")?;
        Ok(RootSecurity {
            descriptor: descriptor.unwrap_or_else(defaults::of_root),
            requires_encryption: system.is_some_and(|system| system.qualifiers.is_true("RequiresEncryption")),
        })
    }
}

/// What ROOT says.
#[derive(Debug, Clone)]
pub struct RootSecurity {
    descriptor: SecurityDescriptor,
    requires_encryption: bool,
}

impl RootSecurity {
    /// As rights are asked for.
    pub fn namespace(&self) -> NamespaceSecurity<'_> {
        let Self { descriptor, requires_encryption } = self;
        NamespaceSecurity { path: ROOT, descriptor, requires_encryption: *requires_encryption }
    }
}

fn singleton(catalog: &Catalog, class: &str) -> Result<Option<Instance>> {
    let path = ObjectPath { keys: PathKeys::Singleton, ..ObjectPath::of_class(class) };
    Ok(catalog.instance(ROOT, &path)?.map(|stored| stored.instance))
}

/// The descriptor of a `__thisNAMESPACE`, if it has one.
fn descriptor(namespace: &Instance) -> Result<Option<SecurityDescriptor>> {
    let Some(value) = namespace.get("SECURITY_DESCRIPTOR") else { return Ok(None) };
    let Value::Array(Array::Uint8(bytes)) = value else {
        return Err(Error::InvalidObject("the descriptor of ROOT is no row of bytes".into()));
    };
    let parsed = SecurityDescriptor::parse(bytes);
    parsed.map(Some).map_err(|fault| Error::InvalidObject(format!("the descriptor of ROOT is none: {fault}").into()))
}

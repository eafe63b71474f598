//! Names that are known to the engine itself.

use crate::catalog::NAMESPACE_CLASS;

/// The class of namespaces: each is represented by an instance of it in its parent.
pub(in crate::catalog) const NAMESPACE: &str = NAMESPACE_CLASS;

/// The key property of that class.
pub(in crate::catalog) const NAMESPACE_NAME: &str = "Name";

/// The class of the instance in each namespace that holds its descriptor.
pub(in crate::catalog) const THIS_NAMESPACE: &str = "__thisNAMESPACE";

/// The property that holds the descriptor, a `uint8[]`.
pub(in crate::catalog) const SECURITY_DESCRIPTOR: &str = "SECURITY_DESCRIPTOR";

/// The class of the instance in each namespace whose methods read and set the descriptor.
pub(in crate::catalog) const SYSTEM_SECURITY: &str = "__SystemSecurity";

/// True if a name is reserved for the system.
pub(super) fn is_system_name(name: &str) -> bool {
    name.starts_with("__")
}

//! The names that the engine itself knows.

use crate::catalog::NAMESPACE_CLASS;

/// The class of namespaces: each lies as an instance of it in the one above.
pub(in crate::catalog) const NAMESPACE: &str = NAMESPACE_CLASS;

/// Its key.
pub(in crate::catalog) const NAMESPACE_NAME: &str = "Name";

/// The class of the instance in each namespace that holds its descriptor.
pub(in crate::catalog) const THIS_NAMESPACE: &str = "__thisNAMESPACE";

/// Its property with the descriptor, a `uint8[]`.
pub(in crate::catalog) const SECURITY_DESCRIPTOR: &str = "SECURITY_DESCRIPTOR";

/// The class of the instance in each namespace whose methods read and set the descriptor.
pub(in crate::catalog) const SYSTEM_SECURITY: &str = "__SystemSecurity";

/// True if a name is the system's.
pub(super) fn is_system_name(name: &str) -> bool {
    name.starts_with("__")
}

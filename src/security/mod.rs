//! Access checks: pure functions over security descriptors and callers. No I/O, and no knowledge of
//! where a descriptor is stored.
//!
//! Each namespace has a security descriptor, in `__thisNAMESPACE.SECURITY_DESCRIPTOR`. A [`Caller`]
//! is the identity stated by the embedder; the library never determines one by itself.
//! [`access::granted`] returns the [`AccessRights`] that a descriptor gives a caller, and
//! everything else follows from that. `docs::security` lists the requirements of the contract, and
//! the decisions on points that it leaves open.

pub mod access;
pub mod backup_rights;
pub mod caller;
pub mod connect;
pub mod defaults;
pub mod inheritance;
pub mod methods;
pub mod readable;
pub mod rights;
pub mod sddl;

pub use caller::{AuthenticationLevel, Caller, Origin, Privileges};
pub use connect::NamespaceSecurity;
pub use rights::AccessRights;

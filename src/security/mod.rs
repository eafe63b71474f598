//! Who may do what: pure functions over security descriptors and callers. No I/O, and no knowledge
//! of where a descriptor is kept.
//!
//! Each namespace has a security descriptor, in `__thisNAMESPACE.SECURITY_DESCRIPTOR`. A [`Caller`]
//! is whoever asks, as the embedder says it; the library never finds out by itself.
//! [`access::granted`] says which [`AccessRights`] a descriptor gives a caller; everything else
//! follows from that. What the contract asks for, and what it leaves open and is decided here,
//! stands in `docs::security`.

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

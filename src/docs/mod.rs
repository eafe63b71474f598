//! The long texts: how the engine is built, what lies on disk, what is promised and how that is
//! shown.

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("format.md")]
pub mod format {}

#[doc = include_str!("objects.md")]
pub mod objects {}

#[doc = include_str!("changes.md")]
pub mod changes {}

#[doc = include_str!("backup.md")]
pub mod backup {}

#[doc = include_str!("journal.md")]
pub mod journal {}

#[doc = include_str!("pausing.md")]
pub mod pausing {}

#[doc = include_str!("contract.md")]
pub mod contract {}

#[doc = include_str!("invariants.md")]
pub mod invariants {}

#[doc = include_str!("query.md")]
pub mod query {}

#[doc = include_str!("security.md")]
pub mod security {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("windows.md")]
pub mod windows {}

#[doc = include_str!("mof.md")]
pub mod mof {}

#[doc = include_str!("forensics.md")]
pub mod forensics {}

#[doc = include_str!("verify.md")]
pub mod verify {}

#[doc = include_str!("performance.md")]
pub mod performance {}

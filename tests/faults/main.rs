//! Backup and restore on a disk that fails: every call once and from then on, and the power lost at
//! every call.
//!
//! After each fault and each loss of power the old state is there or the new one, and it verifies;
//! then the same is done again without fault, and it succeeds. Where the old state is "nothing", a
//! directory without any mapping is that too.
//!
//! Two places are not as simple as that:
//!
//! * *In doubt.* When a call behind the switch fails (the sync of the directory after a rename, the
//!   sync of the mapping), the caller gets `Error::Unconfirmed` and the new state is there: it is
//!   seen, and only a crash can take it back. The tests allow that behind the switch and nowhere
//!   else, and count it.
//! * *The gap.* A damaged repository is set aside by two renames (W-7). Power lost between them, or
//!   a disk that fails for ever from the second one on, leaves nothing under the name of the
//!   repository: the old one is whole as `<name>.001`, the new one whole as `<name>.restoring`. The
//!   tests check both and restore again.
//!
//! What the simulated disk cannot show is listed in `cimrepo::storage::sim`: a device that lies
//! about a sync, a kernel that reports a failed write-back once and forgets it, rot, calls that
//! fail after their work, what other processes do. Nor does it see threads: all of it runs on one.
//! The early syncs are made, and fail, there too, but where they stand in the order of the calls is
//! fixed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod backing_up;
mod keeping;
mod lab;
mod restoring;
#[path = "../support/mod.rs"]
mod support;
mod tiny;

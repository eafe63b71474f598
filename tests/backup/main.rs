//! Backups: what goes in comes out, whatever the options; what was changed, cut or does not belong
//! together is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod chain;
mod damage;
mod forensic;
mod forge;
mod lies;
mod names;
mod round_trip;
mod set;
#[cfg(feature = "sign")]
mod signing;
#[path = "../support/mod.rs"]
mod support;
mod target;
#[path = "../faults/tiny.rs"]
mod tiny;
mod unmapped;

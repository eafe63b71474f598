//! Pages of a repository: which generation is current, where its pages lie, the pages themselves,
//! and new generations.

pub mod files;
pub mod generation;
pub mod journal;
pub mod leftovers;
pub(crate) mod lock;
pub mod page;
pub mod state;
pub(crate) mod targets;

//! Pages of a repository: the choice of the current generation, the places of its pages, the pages
//! themselves, and the writing of new generations.

pub mod files;
pub mod generation;
pub mod journal;
pub mod leftovers;
pub(crate) mod lock;
pub mod page;
pub mod state;
pub(crate) mod targets;

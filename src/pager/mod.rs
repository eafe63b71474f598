//! Pages of a repository: which generation is current, where its pages lie, the pages themselves, and new generations.

pub mod commit;
pub mod files;
pub mod fresh;
pub mod generation;
pub mod image;
pub mod leftovers;
pub mod recover;
pub mod source;
pub mod wholeness;

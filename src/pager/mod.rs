//! Pages of a repository: which generation is current, where its pages lie, the pages themselves, and new generations.

pub mod commit;
pub mod files;
pub mod fresh;
pub mod generation;
pub mod image;
#[cfg_attr(not(test), expect(dead_code, reason = "the engine that commits through it comes next"))]
pub mod journal;
pub mod recover;
pub mod source;
pub mod wholeness;

//! Pages of a repository: which generation is current, where its pages lie, and the pages themselves.

pub mod files;
pub mod generation;
pub mod image;
pub mod recover;
pub mod source;
pub mod wholeness;

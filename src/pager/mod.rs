//! Pages of a repository: which generation is current, where its pages lie, the pages themselves, and new generations.

pub mod commit;
pub mod draft_node;
pub mod files;
pub mod fresh;
pub mod generation;
pub mod image;
pub mod journal;
pub mod leftovers;
pub mod logical;
pub mod overlay;
pub mod page;
pub mod page_cache;
pub mod page_table;
pub mod recover;
pub mod run;
pub mod source;
pub mod survey;
pub(crate) mod targets;
pub mod wholeness;
pub mod working;

//! States of the pages: one that readers see, and the one that a writer is changing.

pub mod draft_node;
pub mod image;
pub mod overlay;
pub mod survey;
pub mod working;

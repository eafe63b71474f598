//! States of the pages: the one that readers see, and the one that a writer changes.

pub mod draft_node;
pub mod image;
pub mod overlay;
pub mod survey;
pub mod working;

//! The object heap: records in the pages of OBJECTS.DATA.

pub mod build;
pub mod carve;
pub mod edit;
pub mod free_space;
pub mod layout;
pub mod record;
pub mod record_ids;

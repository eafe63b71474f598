//! The object heap: records in the pages of OBJECTS.DATA.

pub mod build;
pub mod carve;
pub mod layout;
pub mod record;

//! Pages of the object heap, OBJECTS.DATA.

pub mod admin_page;
pub mod edit;
pub mod page;

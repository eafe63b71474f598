//! Pages and keys of the index, INDEX.BTR.

pub mod draft;
pub mod key;
pub mod keys;
pub mod node;
pub mod object_key;
pub mod page;

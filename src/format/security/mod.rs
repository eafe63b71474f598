//! Security descriptors, access lists and security identifiers, as Windows stores them.

pub mod acl;
pub mod descriptor;
pub mod sid;

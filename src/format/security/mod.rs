//! Security descriptors, access control lists and security identifiers in the encoding of Windows.

pub mod acl;
pub mod descriptor;
pub mod sid;

//! Binary MOF: compiled MOF as Windows binaries, drivers and the firmware of PCs carry it.
//!
//! ```text
//! container   0  "FOMB"
//!             4  u32  1
//!             8  u32  length c of the compressed data
//!            12  u32  length u of the body
//!            16  c bytes, compressed                                       (compression.rs)
//! body        0  "FOMB"
//!             4  u32  length n of this part
//!             8  u32  1, u32 1, u32 count of objects
//!            20  objects, back to back, up to n                            (object.rs)
//!             n  optional: "BMOFQUALFLAVOR11", u32 count, pairs of u32     (flavors.rs)
//! ```
//!
//! [`resources`] finds the containers of any file, [`Body`] holds what is unpacked of one, and
//! [`Body::objects`] decodes it, an object at a time, to the CIM model. An object that is damaged
//! is an error with its offset; the others are not lost by it. Source: `docs::format`, "Binary
//! MOF".

mod area;
mod body;
mod compression;
mod container;
mod error;
mod find;
mod flavors;
mod object;
mod print;
mod value;

pub use body::{Body, Objects};
pub use container::Container;
pub use error::{BmfError, BmfFault, BmfNote, BmfPlace, BmfRemark};
pub use find::{Resource, Resources, resources};
pub use object::{BmfContent, BmfInstance, BmfObject};
pub use print::BmfPrinter;

/// The first bytes of a container and of a body.
const SIGNATURE: &[u8; 4] = b"FOMB";

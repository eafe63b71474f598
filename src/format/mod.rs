//! Conversion between bytes and structures, without I/O. Each on-disk structure has its own file,
//! with its layout drawn at the top.
//!
//! The evidence for every layout is in `docs::format`. Parsers never panic, check every length
//! against the remaining bytes before they use it, and report the file, page and offset of an
//! error.

pub mod bmf;
pub mod checksum;
pub mod heap;
pub mod index;
pub mod mapping;
pub mod name_hash;
pub mod own;
pub mod record;
pub mod security;

pub(crate) mod bytes;

use std::fmt;

/// The two layouts of a repository. They are detected, never chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Format 2.1: Windows XP and Server 2003.
    V21,
    /// Format 2.2: Windows Vista and later.
    V22,
}

impl Dialect {
    /// The child pointer of a leaf of the index, "none". In dialect 2.2 child 0 is an ordinary
    /// page.
    pub const fn no_child(self) -> u32 {
        match self {
            Dialect::V21 => 0,
            Dialect::V22 => crate::base::page_no::NIL,
        }
    }

    /// `2.1` or `2.2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Dialect::V21 => "2.1",
            Dialect::V22 => "2.2",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Dialect {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

//! Page and record numbers.
//!
//! Logical and physical page numbers have different types. Only a mapping turns one into the other
//! (`docs::format`, "Files and roles").

use std::fmt;

use super::widen;

/// Bytes in a page.
pub const PAGE_SIZE: usize = 8192;

/// The bytes of one page.
pub type PageBytes = [u8; PAGE_SIZE];

/// The raw value that stands for "no page".
pub const NIL: u32 = u32::MAX;

/// One of the two page spaces of a repository. Each has a data file and a section in a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
pub enum Space {
    /// The object heap, OBJECTS.DATA.
    Objects,
    /// The index, INDEX.BTR.
    Index,
}

impl Space {
    /// Both spaces, in the order of the sections of a mapping.
    pub const ALL: [Space; 2] = [Space::Objects, Space::Index];
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Space::Objects => "objects",
            Space::Index => "index",
        })
    }
}

macro_rules! page_number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
        pub struct $name(u32);

        impl $name {
            /// The page with this number, or `None` for the value that stands for "no page".
            pub const fn new(raw: u32) -> Option<Self> {
                if raw == NIL { None } else { Some(Self(raw)) }
            }

            /// The number in its stored form.
            pub const fn get(self) -> u32 {
                self.0
            }

            /// The number as an index into a table with one entry per page.
            pub const fn index(self) -> usize {
                widen(self.0)
            }

            /// The page `count` pages after this one, if that is still a page number.
            pub fn checked_add(self, count: u32) -> Option<Self> {
                self.0.checked_add(count).and_then(Self::new)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

page_number! {
    /// A page number that means the same page in every generation. Keys, child pointers and the
    /// root hold such numbers.
    LogicalPage
}
page_number! {
    /// The position of a page in its data file. Only a mapping holds such numbers.
    PhysicalPage
}

impl PhysicalPage {
    /// Offset of the page in its file, in bytes.
    pub const fn byte_offset(self) -> u64 {
        self.0 as u64 * PAGE_SIZE as u64
    }
}

/// The address of a record, which a key carries after its last token as `.page.id.size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RecordRef {
    /// Logical page of the object heap that holds the record, or its first page.
    pub page: LogicalPage,
    /// Record id: unique in its page. The value 1 marks a record that spans several pages.
    pub id: u32,
    /// Length of the record in bytes.
    pub size: u32,
}

impl fmt::Display for RecordRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.page, self.id, self.size)
    }
}

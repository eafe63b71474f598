//! Places in a repository or backup, for errors and findings.

use std::fmt;

use super::page_no::{LogicalPage, PhysicalPage, Space};

/// The role of a file, independent of the case of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FileRole {
    /// OBJECTS.DATA, the object heap.
    Objects,
    /// INDEX.BTR, the index.
    Index,
    /// MAPPING1.MAP to MAPPING3.MAP, one generation each.
    Mapping(u8),
    /// MAPPING.VER, the number of the current mapping in dialect 2.1.
    MappingVersion,
    /// OBJECTS.MAP, the single-section map of the object heap in dialect 2.1.
    ObjectsMap,
    /// INDEX.MAP, the single-section map of the index in dialect 2.1.
    IndexMap,
    /// A backup.
    Backup,
    /// The journal of a generation, `cimrepo-….journal`: a file of this engine, unknown to Windows.
    Journal,
}

impl FileRole {
    /// The data file of a page space.
    pub const fn data(space: Space) -> Self {
        match space {
            Space::Objects => FileRole::Objects,
            Space::Index => FileRole::Index,
        }
    }

    /// The name that Windows gives the file.
    pub const fn file_name(self) -> &'static str {
        match self {
            FileRole::Objects => "OBJECTS.DATA",
            FileRole::Index => "INDEX.BTR",
            FileRole::Mapping(1) => "MAPPING1.MAP",
            FileRole::Mapping(2) => "MAPPING2.MAP",
            FileRole::Mapping(_) => "MAPPING3.MAP",
            FileRole::MappingVersion => "MAPPING.VER",
            FileRole::ObjectsMap => "OBJECTS.MAP",
            FileRole::IndexMap => "INDEX.MAP",
            FileRole::Backup => "backup",
            FileRole::Journal => "journal",
        }
    }

    /// Every file of a repository, of either dialect.
    pub const REPOSITORY: [FileRole; 8] = [
        FileRole::Objects,
        FileRole::Index,
        FileRole::Mapping(1),
        FileRole::Mapping(2),
        FileRole::Mapping(3),
        FileRole::MappingVersion,
        FileRole::ObjectsMap,
        FileRole::IndexMap,
    ];

    /// The role of a repository file with this name, ignoring case.
    pub fn from_file_name(name: &str) -> Option<Self> {
        Self::REPOSITORY
            .into_iter()
            .find(|role| role.file_name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for FileRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file_name())
    }
}

/// A place: a file and, as far as they are known, a page and an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// The role of the file.
    pub role: FileRole,
    /// The logical page, for data files.
    pub page: Option<LogicalPage>,
    /// The physical page, for data files.
    pub physical: Option<PhysicalPage>,
    /// Offset in bytes, within the page if there is one, else within the file.
    pub offset: Option<u64>,
}

impl Site {
    /// The file as a whole.
    pub const fn file(role: FileRole) -> Self {
        Self {
            role,
            page: None,
            physical: None,
            offset: None,
        }
    }

    /// A logical page of a page space.
    pub const fn page(space: Space, page: LogicalPage) -> Self {
        Self {
            role: FileRole::data(space),
            page: Some(page),
            physical: None,
            offset: None,
        }
    }

    /// The same place, with the physical page added.
    pub const fn at_physical(self, physical: Option<PhysicalPage>) -> Self {
        Self { physical, ..self }
    }

    /// The same place, with an offset in bytes added.
    pub const fn at(self, offset: u64) -> Self {
        Self {
            offset: Some(offset),
            ..self
        }
    }

    /// The same place, with an offset added that is given as an index.
    pub(crate) const fn at_index(self, offset: usize) -> Self {
        self.at(offset as u64)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.role)?;
        if let Some(page) = self.page {
            write!(f, ", page {page}")?;
        }
        if let Some(physical) = self.physical {
            write!(f, " (physical {physical})")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", offset {offset}")?;
        }
        Ok(())
    }
}

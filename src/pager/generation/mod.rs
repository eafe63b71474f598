//! The generations on disk, read from the mapping files, with the faults of each.

pub mod commit;
pub mod fresh;
pub mod recover;
pub mod wholeness;

use std::sync::Arc;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::page_no::{PAGE_SIZE, Space};
use crate::base::site::{FileRole, Site};
use crate::format::Dialect;
use crate::format::checksum;
use crate::format::mapping::{
    MAPPING_HEAD, Mapping, MappingFront, MappingSection, ParsedMapping, stated_generation,
};

use super::files::{DataFiles, RepositoryFiles};
use crate::storage::{OpenMode, read_exact_at};
use wholeness::Surroundings;

/// A mapping file that could be read.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The file. For the pair of single maps of dialect 2.1 this is OBJECTS.MAP.
    pub role: FileRole,
    /// Its content. It is shared, because it takes megabytes in a large repository.
    pub mapping: Arc<Mapping>,
    /// The faults of the mapping; empty if it is whole.
    pub findings: Vec<Corruption>,
    /// Information from the first bytes of the file.
    pub front: MappingFront,
}

/// A mapping file that cannot be used, and the reason.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The file.
    pub role: FileRole,
    /// Its generation, if it can be read.
    pub generation: Option<u32>,
    /// The first fault found.
    pub reason: Corruption,
    /// True if the file may have held a newer state than the one that was opened. Then the last
    /// commit was lost, or was in progress when a crash came. Always false for a file that is
    /// examined without opening the repository.
    pub may_be_newer: bool,
    /// Information from the first bytes of the file.
    pub(super) front: MappingFront,
}

impl Refusal {
    /// True if this engine was interrupted while it wrote the file. The generation in it never took
    /// effect, so nothing is lost, and the next one overwrites it (W-5).
    pub fn is_unfinished(&self) -> bool {
        self.front == MappingFront::Unfinished
    }

    /// A mapping file that cannot be used, and its generation if that can be read.
    pub(crate) const fn new(role: FileRole, generation: Option<u32>, reason: Corruption) -> Self {
        Self {
            role,
            generation,
            reason,
            may_be_newer: false,
            front: MappingFront::Unknown,
        }
    }
}

impl Generation {
    /// A generation that was just written and is whole.
    pub fn whole(role: FileRole, mapping: Arc<Mapping>) -> Self {
        let front = MappingFront::Generation(mapping.generation());
        Self {
            role,
            mapping,
            findings: Vec::new(),
            front,
        }
    }

    /// The rejection of a generation that is not whole.
    pub fn refusal(&self) -> Option<Refusal> {
        let reason = self.findings.first()?.clone();
        Some(Refusal {
            front: self.front,
            ..Refusal::new(self.role, Some(self.mapping.generation()), reason)
        })
    }

    /// Checks the pages of the generation against their checksums: all pages, or only those that it
    /// wrote itself. Mappings of dialect 2.1 have no page checksums, so nothing is checked there.
    /// If the system refuses to read a page, this says nothing about the generation. It is an error
    /// and no reason to take an older generation.
    pub fn check_pages(&mut self, data: &DataFiles, extent: PageExtent) -> Result<()> {
        if self.mapping.dialect == Dialect::V21 {
            return Ok(());
        }
        let mut page_bytes = Box::new([0; PAGE_SIZE]);
        for space in Space::ALL {
            let Some(file) = data.get(space) else {
                continue;
            };
            let generation = self.mapping.generation();
            for (page, physical, entry) in self.mapping.section(space).mapped() {
                if extent == PageExtent::Written && entry.last_write != generation {
                    continue;
                }
                let read = read_exact_at(
                    file.file.as_ref(),
                    physical.byte_offset(),
                    &mut page_bytes[..],
                );
                let detail = match read {
                    Ok(()) if checksum::sampled(&page_bytes) == entry.checksum => continue,
                    Ok(()) => "written by this generation".to_owned(),
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                        error.to_string()
                    }
                    Err(error) => return Err(Error::io(IoOp::Read, &file.path, error)),
                };
                let site = Site::page(space, page).at_physical(Some(physical));
                self.findings
                    .push(Corruption::new(CorruptionCode::PageChecksum, site, detail));
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The pages of a generation to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageExtent {
    /// Those that the generation itself wrote, since only they can be torn by a crash.
    Written,
    /// All mapped pages.
    All,
}

/// Reads every mapping file of a repository. Unreadable ones are rejected; the others carry their
/// faults.
pub fn read_all(
    files: &RepositoryFiles,
    data: &DataFiles,
) -> Result<(Vec<Generation>, Vec<Refusal>)> {
    read_some(files, data, |_| true)
}

/// Reads some of the mapping files, like [`read_all`].
pub fn read_some(
    files: &RepositoryFiles,
    data: &DataFiles,
    is_wanted: impl Fn(FileRole) -> bool,
) -> Result<(Vec<Generation>, Vec<Refusal>)> {
    let likely = if files.has(FileRole::MappingVersion) {
        Dialect::V21
    } else {
        Dialect::V22
    };
    let (mut generations, mut refused) = (Vec::new(), Vec::new());
    for role in (1..=3)
        .map(FileRole::Mapping)
        .filter(|role| is_wanted(*role))
    {
        let Some(bytes) = read_small(files, role)? else {
            continue;
        };
        let front = bytes
            .as_deref()
            .map_or(MappingFront::Unknown, MappingFront::of);
        match parse_one(bytes.as_deref().map_err(Clone::clone), likely, role, data) {
            Ok(found) => generations.push(found),
            Err(reason) => refused.push(Refusal {
                front,
                ..Refusal::new(role, None, reason)
            }),
        }
    }
    Ok((generations, refused))
}

/// The generation of dialect 2.2 with the greatest number, if it is whole, and the CRC-32 of its
/// file. It is the only mapping file that is read completely. `None` if all files must be examined
/// to find the current one.
pub(super) fn read_newest(
    files: &RepositoryFiles,
    data: &DataFiles,
) -> Result<Option<(Generation, u32)>> {
    if files.has(FileRole::MappingVersion) {
        return Ok(None);
    }
    let mut newest = None;
    for role in (1..=3).map(FileRole::Mapping) {
        let Some(file) = files.open(role, OpenMode::Read)? else {
            continue;
        };
        let mut head = [0; MAPPING_HEAD];
        match read_exact_at(file.as_ref(), 0, &mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(Error::io(IoOp::Read, &files.path(role), error)),
        }
        let Some(generation) = stated_generation(&head) else {
            return Ok(None);
        };
        match newest {
            Some((greatest, _)) if greatest == generation => return Ok(None),
            Some((greatest, _)) if greatest > generation => {}
            _ => newest = Some((generation, role)),
        }
    }
    let Some((_, role)) = newest else {
        return Ok(None);
    };
    let Some(Ok(bytes)) = read_small(files, role)? else {
        return Ok(None);
    };
    let found = parse_one(Ok(&bytes), Dialect::V22, role, data).ok();
    let whole =
        found.filter(|found| found.findings.is_empty() && found.mapping.dialect == Dialect::V22);
    Ok(whole.map(|found| (found, checksum::crc32(&bytes))))
}

/// Parses a mapping file and lists its faults.
fn parse_one(
    bytes: Result<&[u8], Corruption>,
    likely: Dialect,
    role: FileRole,
    data: &DataFiles,
) -> Result<Generation, Corruption> {
    let bytes = bytes?;
    let ParsedMapping {
        mapping,
        trailing_bytes,
    } = Mapping::parse_any(bytes, likely, role)?;
    let file_pages = [data.pages(Space::Objects), data.pages(Space::Index)];
    let findings = wholeness::check(
        &mapping,
        Surroundings {
            role,
            trailing_bytes,
            file_pages,
        },
    );
    Ok(Generation {
        role,
        mapping: Arc::new(mapping),
        findings,
        front: MappingFront::of(bytes),
    })
}

/// The mapping in a file, if the file exists and can be read.
pub fn read_mapping(
    files: &RepositoryFiles,
    role: FileRole,
    dialect: Dialect,
) -> Result<Option<Mapping>> {
    let bytes = read_small(files, role)?.and_then(Result::ok);
    Ok(bytes
        .and_then(|bytes| Mapping::parse(&bytes, dialect, role).ok())
        .map(|parsed| parsed.mapping))
}

/// The content of a mapping file, if it exists. A file larger than the largest mapping is damage
/// and not an error. If the system refuses to read it, its content is unknown, which is an error.
pub(super) fn read_small(
    files: &RepositoryFiles,
    role: FileRole,
) -> Result<Option<Result<Vec<u8>, Corruption>>> {
    match files.read(role) {
        Ok(bytes) => Ok(bytes.map(Ok)),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::InvalidData => {
            let site = Site::file(role);
            Ok(Some(Err(Corruption::new(
                CorruptionCode::MappingTooLarge,
                site,
                source.to_string(),
            ))))
        }
        Err(error) => Err(error),
    }
}

/// The generation that OBJECTS.MAP and INDEX.MAP of dialect 2.1 describe together, if both exist
/// and can be read.
pub fn read_single_maps(
    files: &RepositoryFiles,
    data: &DataFiles,
) -> Result<Option<Result<Generation, Refusal>>> {
    let role = FileRole::ObjectsMap;
    let (objects, index) = (
        read_small(files, role)?,
        read_small(files, FileRole::IndexMap)?,
    );
    let (Some(objects), Some(index)) = (objects, index) else {
        return Ok(None);
    };
    let parse = |bytes: Result<Vec<u8>, Corruption>, role| {
        let parsed = bytes.and_then(|bytes| MappingSection::parse_single(&bytes, role));
        parsed
            .map(|(section, _)| section)
            .map_err(|reason| Refusal::new(role, None, reason))
    };
    Ok(Some(parse(objects, role).and_then(|objects| {
        let index = parse(index, FileRole::IndexMap)?;
        let mapping = Mapping {
            dialect: Dialect::V21,
            objects,
            index,
            shutdown_flag: 0,
        };
        let file_pages = [data.pages(Space::Objects), data.pages(Space::Index)];
        let findings = wholeness::check(
            &mapping,
            Surroundings {
                role,
                trailing_bytes: 0,
                file_pages,
            },
        );
        Ok(Generation {
            role,
            mapping: Arc::new(mapping),
            findings,
            front: MappingFront::Unknown,
        })
    })))
}

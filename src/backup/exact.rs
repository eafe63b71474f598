//! Restoring a forensic backup byte for byte: what belongs into the files besides the mapped pages.

use crate::base::error::{BackupFault, Result};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PhysicalPage, Space};
use crate::base::site::FileRole;
use crate::format::backup_file::{BackupFlags, ChunkKind};
use crate::format::mapping::{Mapping, MappingSection};
use crate::pager::fresh::FreshRepository;

use super::pages::split_pages;
use super::read::Backup;

/// Files with their whole content, in the order in which they are written.
pub(crate) type SmallFiles = Vec<(FileRole, Vec<u8>)>;

impl Backup {
    /// The small files of a forensic backup as they were; `None` for another backup. The mapping of the generation in the
    /// backup comes first, then the file that says it is the one: an interrupted restore shows no older generation.
    pub(crate) fn forensic_files(&self) -> Result<Option<SmallFiles>> {
        if !self.header().flags.contains(BackupFlags::FORENSIC) {
            return Ok(None);
        }
        let top = &self.chain().top;
        let mut files = Vec::new();
        // The first file is the mapping of the generation, which stands among the others again, as it was.
        let chunks = top.manifest.chunks.iter().enumerate();
        let mut small = chunks.filter_map(|(number, entry)| match entry.header.kind {
            ChunkKind::File(role) => Some((number, role)),
            _ => None,
        });
        let current = small.next().map(|(_, role)| role);
        for (number, role) in small {
            files.push((role, top.chunk(number)?.to_vec()));
        }
        files.sort_by_key(|(role, _)| (Some(*role) != current, *role != FileRole::MappingVersion));
        Ok(Some(files))
    }

    /// Writes the free pages and the ends of the data files; gives the number of pages.
    pub(crate) fn write_forensic(&self, files: &FreshRepository) -> Result<u64> {
        let top = &self.chain().top;
        let mut written = 0;
        for (number, entry) in top.manifest.chunks.iter().enumerate() {
            match entry.header.kind {
                ChunkKind::FreePages(space) => {
                    let raw = top.chunk(number)?;
                    let Some((pages, numbers)) = split_pages(&entry.header, &raw) else { continue };
                    let contents = pages.chunks_exact(PAGE_SIZE);
                    for (physical, page) in numbers.into_iter().filter_map(PhysicalPage::new).zip(contents) {
                        files.write_pages(space, physical, page)?;
                        written += 1;
                    }
                }
                ChunkKind::Tail(space) => {
                    let raw = top.chunk(number)?;
                    let length = self.manifest().space(space).file_length;
                    files.write_tail(space, length.saturating_sub(raw.len() as u64), &raw)?;
                }
                ChunkKind::Pages(_) | ChunkKind::File(_) => {}
            }
        }
        for space in Space::ALL {
            files.set_len(space, self.manifest().space(space).file_length)?;
        }
        Ok(written)
    }

    /// What a forensic backup restores is what was verified: its files hold the mapping, every physical page is mapped or
    /// listed as free, and the lengths are theirs.
    pub(crate) fn check_exact(&self) -> Result<()> {
        if !self.header().flags.contains(BackupFlags::FORENSIC) {
            return Ok(());
        }
        let is_right =
            self.is_extent_right(Space::Objects)? && self.is_extent_right(Space::Index)? && self.has_mapping()?;
        let text = "the files that it restores are not those of its pages";
        if is_right { Ok(()) } else { Err(self.chain().top.fault(BackupFault::Structure(text.to_owned()))) }
    }

    /// Mapped pages, free pages and the end fill a data file without gap or overlap.
    fn is_extent_right(&self, space: Space) -> Result<bool> {
        let top = &self.chain().top;
        let manifest = top.manifest.space(space);
        let mapping = self.snapshot();
        let is_there = |page: LogicalPage| manifest.page(page).digest().is_some();
        let mapped = mapping.mapping().section(space).mapped().filter(|(page, ..)| is_there(*page));
        let mut physical: Vec<u32> = mapped.map(|(_, physical, _)| physical.get()).collect();
        // That two logical pages share a place is for the verification of the repository to say.
        physical.sort_unstable();
        physical.dedup();
        let mut length = 0;
        for (number, entry) in top.manifest.chunks.iter().enumerate() {
            if entry.header.kind == ChunkKind::FreePages(space) {
                let raw = top.chunk(number)?;
                physical.extend(split_pages(&entry.header, &raw).map(|(_, numbers)| numbers).unwrap_or_default());
            } else if entry.header.kind == ChunkKind::Tail(space) {
                length += entry.header.raw_len();
            }
        }
        physical.sort_unstable();
        length += physical.len() as u64 * PAGE_SIZE as u64;
        Ok(length == manifest.file_length && (0..).zip(&physical).all(|(number, page)| number == *page))
    }

    /// The mapping of the generation is among the files, or the pair of single maps that make it up.
    fn has_mapping(&self) -> Result<bool> {
        let (snapshot, dialect) = (self.snapshot(), self.header().dialect);
        let sections = |mapping: &Mapping| (mapping.objects.entries.clone(), mapping.index.entries.clone());
        let mut singles = Vec::new();
        for (role, bytes) in self.forensic_files()?.unwrap_or_default() {
            match role {
                FileRole::Mapping(_) => {
                    let parsed = Mapping::parse(&bytes, dialect, role);
                    if parsed.is_ok_and(|parsed| sections(&parsed.mapping) == sections(snapshot.mapping())) {
                        return Ok(true);
                    }
                }
                FileRole::ObjectsMap | FileRole::IndexMap => {
                    singles.extend(MappingSection::parse_single(&bytes, role).map(|(section, _)| section.entries));
                }
                _ => {}
            }
        }
        let (objects, index) = sections(snapshot.mapping());
        Ok(singles == [objects, index])
    }
}

//! Restoring a forensic backup byte for byte: what belongs into the files besides the mapped pages.

use crate::base::error::Result;
use crate::base::page_no::{PAGE_SIZE, PhysicalPage, Space};
use crate::base::site::FileRole;
use crate::format::backup_file::{BackupFlags, ChunkKind};
use crate::pager::fresh::FreshRepository;

use super::pages::split_pages;
use super::read::Backup;

/// Files with their whole content, in the order in which they are written.
pub(crate) type SmallFiles = Vec<(FileRole, Vec<u8>)>;

impl Backup {
    /// The small files of a forensic backup as they were; `None` for another backup.
    pub(crate) fn forensic_files(&self) -> Result<Option<SmallFiles>> {
        if !self.header().flags.contains(BackupFlags::FORENSIC) {
            return Ok(None);
        }
        let top = &self.chain().top;
        let mut files = Vec::new();
        // The first file is the mapping of the generation, which stands among the others again, as it was.
        let chunks = top.manifest.chunks.iter().enumerate();
        let small = chunks.filter_map(|(number, entry)| match entry.header.kind {
            ChunkKind::File(role) => Some((number, role)),
            _ => None,
        });
        for (number, role) in small.skip(1) {
            files.push((role, top.chunk(number)?.to_vec()));
        }
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
}

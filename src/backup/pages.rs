//! The pages of a backup on their way in: read, checked, scrubbed, digested, and packed into chunks.

use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, Space};
use crate::base::progress::Monitor;
use crate::base::{narrow, widen};
use crate::format::backup_file::{CHUNK_HEADER_SIZE, ChunkHeader, ChunkKind, Digest};
use crate::format::checksum::{crc32, sampled};
use crate::format::manifest::Manifest;
use crate::pager::image::Image;

use super::codec::{Compression, pack};
use super::identity::digest;
use super::scrub::Scrub;

/// Consecutive mapped pages of a space that become a chunk.
#[derive(Debug)]
pub(crate) struct Job {
    pub space: Space,
    pub pages: Vec<LogicalPage>,
}

/// What has become of a page.
#[derive(Debug)]
pub(crate) struct PageDone {
    pub page: LogicalPage,
    pub digest: Digest,
    /// The sampled checksum, as the mapping states it.
    pub checksum: u32,
    pub is_included: bool,
}

/// What has become of a job.
#[derive(Debug)]
pub(crate) struct Packed {
    pub space: Space,
    pub pages: Vec<PageDone>,
    /// Header and the bytes to write, header included; `None` when the base holds all pages.
    pub chunk: Option<(ChunkHeader, Vec<u8>)>,
}

/// How pages are read and packed.
#[derive(Debug)]
pub(crate) struct Packer<'a> {
    pub image: &'a Image,
    pub base: Option<&'a Manifest>,
    pub scrub: Option<Scrub<'a>>,
    pub is_forensic: bool,
    pub compression: Compression,
}

impl Packer<'_> {
    /// Splits all mapped pages into jobs.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for space in Space::ALL.into_iter().filter(|&space| self.image.has(space)) {
            let pages: Vec<LogicalPage> = self.image.mapping().section(space).mapped().map(|(page, ..)| page).collect();
            jobs.extend(pages.chunks(super::CHUNK_PAGES).map(|pages| Job { space, pages: pages.to_vec() }));
        }
        jobs
    }

    /// Does a job.
    pub(crate) fn run(&self, job: &Job, monitor: &Monitor<'_>) -> Result<Packed> {
        let mut done = Vec::with_capacity(job.pages.len());
        let mut contents = Vec::with_capacity(job.pages.len() * PAGE_SIZE);
        let mut bytes = Box::new([0; PAGE_SIZE]);
        for &page in &job.pages {
            if self.is_forensic {
                self.image.read_unchecked(job.space, page, &mut bytes)?;
            } else {
                self.image.read(job.space, page, &mut bytes)?;
            }
            if let Some(scrub) = &self.scrub {
                scrub.page(job.space, page, &mut bytes)?;
            }
            let digest = digest(&bytes[..]);
            let in_base = self.base.and_then(|base| base.space(job.space).page(page).digest().copied());
            let is_included = in_base != Some(digest);
            if is_included {
                contents.extend_from_slice(&bytes[..]);
            }
            done.push(PageDone { page, digest, checksum: sampled(&bytes), is_included });
        }
        monitor.advance(job.pages.len() as u64)?;
        let included: Vec<u32> = done.iter().filter(|page| page.is_included).map(|page| page.page.get()).collect();
        let kind = ChunkKind::Pages(job.space);
        let chunk = (!included.is_empty()).then(|| page_chunk(kind, &included, &contents, self.compression));
        Ok(Packed { space: job.space, pages: done, chunk })
    }
}

/// A chunk of numbered pages: header, and all bytes to write.
pub(crate) fn page_chunk(
    kind: ChunkKind,
    numbers: &[u32],
    pages: &[u8],
    compression: Compression,
) -> (ChunkHeader, Vec<u8>) {
    let mut raw = Vec::with_capacity(numbers.len() * 4 + pages.len());
    numbers.iter().for_each(|number| raw.extend_from_slice(&number.to_le_bytes()));
    raw.extend_from_slice(pages);
    let range = (numbers.first().copied().unwrap_or(0), numbers.last().copied().unwrap_or(0));
    frame(kind, range, narrow(numbers.len()), raw, compression)
}

/// A chunk of plain bytes.
pub(crate) fn byte_chunk(kind: ChunkKind, bytes: Vec<u8>, compression: Compression) -> (ChunkHeader, Vec<u8>) {
    frame(kind, (0, 0), narrow(bytes.len()), bytes, compression)
}

fn frame(
    kind: ChunkKind,
    (first, last): (u32, u32),
    count: u32,
    raw: Vec<u8>,
    compression: Compression,
) -> (ChunkHeader, Vec<u8>) {
    let (codec, stored) = pack(raw, compression);
    let header =
        ChunkHeader { kind, codec, first, last, count, stored: narrow(stored.len()), payload_crc: crc32(&stored) };
    let mut bytes = Vec::with_capacity(CHUNK_HEADER_SIZE + stored.len());
    bytes.extend_from_slice(&header.to_bytes());
    bytes.extend_from_slice(&stored);
    (header, bytes)
}

/// Numbers and pages of a chunk's payload; `None` when its length does not fit.
pub(crate) fn split_pages(header: &ChunkHeader, raw: &[u8]) -> Option<(Vec<u32>, usize)> {
    let count = widen(header.count);
    let numbers = raw.get(..count.checked_mul(4)?)?;
    let numbers: Vec<u32> = numbers
        .chunks_exact(4)
        .map(|word| word.try_into().map(u32::from_le_bytes))
        .collect::<Result<_, _>>()
        .ok()?;
    (raw.len() == count * (4 + PAGE_SIZE)).then_some((numbers, count * 4))
}

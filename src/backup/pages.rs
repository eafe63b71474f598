//! The pages of a backup on their way in: read, checked, scrubbed, digested, and packed into chunks.

use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, Space};
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

    /// Does a job. Pages are read to where they lie in the chunk, so that nothing is copied that is not compressed.
    pub(crate) fn run(&self, job: &Job, monitor: &Monitor<'_>) -> Result<Packed> {
        let mut done = Vec::with_capacity(job.pages.len());
        let mut included = Vec::with_capacity(job.pages.len());
        let mut framed = Vec::with_capacity(CHUNK_HEADER_SIZE + job.pages.len() * (PAGE_SIZE + 4));
        framed.resize(CHUNK_HEADER_SIZE, 0);
        for &page in &job.pages {
            let start = framed.len();
            framed.resize(start + PAGE_SIZE, 0);
            let Some(bytes) = framed.last_chunk_mut() else { continue };
            let (digest, checksum) = self.load(job.space, page, bytes)?;
            let in_base = self.base.and_then(|base| base.space(job.space).page(page).digest().copied());
            let is_included = in_base != Some(digest);
            if is_included {
                included.push(page.get());
            } else {
                framed.truncate(start);
            }
            done.push(PageDone { page, digest, checksum, is_included });
        }
        monitor.advance(job.pages.len() as u64)?;
        let kind = ChunkKind::Pages(job.space);
        let chunk = (!included.is_empty()).then(|| finish_page_chunk(kind, &included, framed, self.compression));
        Ok(Packed { space: job.space, pages: done, chunk })
    }

    /// Reads a page as it goes into the backup; gives its digest and its sampled checksum.
    fn load(&self, space: Space, page: LogicalPage, bytes: &mut PageBytes) -> Result<(Digest, u32)> {
        if self.is_forensic {
            self.image.read_unchecked(space, page, bytes)?;
        } else {
            self.image.read(space, page, bytes)?;
        }
        if let Some(scrub) = &self.scrub {
            scrub.page(space, page, bytes)?;
        }
        Ok((digest(&bytes[..]), sampled(bytes)))
    }
}

/// A chunk of numbered pages: header, and all bytes to write.
pub(crate) fn page_chunk(
    kind: ChunkKind,
    numbers: &[u32],
    pages: &[u8],
    compression: Compression,
) -> (ChunkHeader, Vec<u8>) {
    let mut framed = vec![0; CHUNK_HEADER_SIZE];
    framed.extend_from_slice(pages);
    finish_page_chunk(kind, numbers, framed, compression)
}

/// As [`page_chunk`]; the pages stand in `framed` already, behind room for the header.
fn finish_page_chunk(
    kind: ChunkKind,
    numbers: &[u32],
    mut framed: Vec<u8>,
    compression: Compression,
) -> (ChunkHeader, Vec<u8>) {
    numbers.iter().for_each(|number| framed.extend_from_slice(&number.to_le_bytes()));
    let range = (numbers.first().copied().unwrap_or(0), numbers.last().copied().unwrap_or(0));
    finish(kind, range, narrow(numbers.len()), framed, compression)
}

/// A chunk of plain bytes.
pub(crate) fn byte_chunk(kind: ChunkKind, bytes: &[u8], compression: Compression) -> (ChunkHeader, Vec<u8>) {
    let mut framed = vec![0; CHUNK_HEADER_SIZE];
    framed.extend_from_slice(bytes);
    finish(kind, (0, 0), narrow(bytes.len()), framed, compression)
}

/// Compresses the payload and puts the header in front of it.
fn finish(
    kind: ChunkKind,
    (first, last): (u32, u32),
    count: u32,
    mut framed: Vec<u8>,
    compression: Compression,
) -> (ChunkHeader, Vec<u8>) {
    let codec = pack(&mut framed, CHUNK_HEADER_SIZE, compression);
    let payload = framed.get(CHUNK_HEADER_SIZE..).unwrap_or_default();
    let (stored, payload_crc) = (narrow(payload.len()), crc32(payload));
    let header = ChunkHeader { kind, codec, first, last, count, stored, payload_crc };
    if let Some(front) = framed.first_chunk_mut() {
        *front = header.to_bytes();
    }
    (header, framed)
}

/// The pages of a chunk's payload, and their numbers; `None` when its length does not fit.
pub(crate) fn split_pages<'r>(header: &ChunkHeader, raw: &'r [u8]) -> Option<(&'r [u8], Vec<u32>)> {
    let (pages, numbers) = raw.split_at_checked(widen(header.count).checked_mul(PAGE_SIZE)?)?;
    let (numbers, rest) = numbers.as_chunks();
    let is_whole = rest.is_empty() && numbers.len() == widen(header.count);
    is_whole.then(|| (pages, numbers.iter().map(|number| u32::from_le_bytes(*number)).collect()))
}

//! The pages of a backup on their way in: reading, checking, scrubbing, hashing, and packing into
//! chunks.

use std::collections::BTreeMap;

use crate::base::error::{Error, Result};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::progress::Monitor;
use crate::base::{narrow, widen};
use crate::format::checksum::{crc32, sampled};
use crate::format::mapping::MappingSection;
use crate::format::own::backup_file::{CHUNK_HEADER_SIZE, ChunkHeader, ChunkKind, Digest};
use crate::format::own::manifest::Manifest;
use crate::pager::state::image::Image;

use super::codec::{Compression, pack};
use super::frame::{Frame, Spare};
use super::identity::digest;
use super::scrub::Scrub;

/// Size of a page in an uncompressed chunk, in bytes: the page and its number.
const PAGE_ROOM: usize = PAGE_SIZE + 4;

/// Consecutive mapped pages of a space that form a chunk.
#[derive(Debug)]
pub(crate) struct Job {
    pub space: Space,
    pub pages: Vec<LogicalPage>,
}

/// The result for a page.
#[derive(Debug)]
pub(crate) struct PageDone {
    pub page: LogicalPage,
    pub digest: Digest,
    /// The sampled checksum, as stated in the mapping.
    pub checksum: u32,
    pub is_included: bool,
}

/// The result of a job.
#[derive(Debug)]
pub(crate) struct Packed {
    pub space: Space,
    pub pages: Vec<PageDone>,
    /// Header of the chunk; `None` if the base holds all pages.
    pub header: Option<ChunkHeader>,
    /// The bytes to write, header included.
    pub frame: Frame,
}

/// Settings for reading and packing pages.
#[derive(Debug)]
pub(crate) struct Packer<'a> {
    pub image: &'a Image,
    pub base: Option<&'a Manifest>,
    pub scrub: Option<Scrub<'a>>,
    pub is_forensic: bool,
    pub compression: Compression,
    pub spare: Spare,
}

impl Packer<'_> {
    /// Splits all mapped pages into jobs. A forensic backup takes pages that share a place only
    /// once.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for space in Space::ALL
            .into_iter()
            .filter(|&space| self.image.has(space))
        {
            let section = self.image.mapping().section(space);
            let same = if self.is_forensic {
                same_places(section)
            } else {
                BTreeMap::new()
            };
            let pages = section
                .mapped()
                .map(|(page, ..)| page)
                .filter(|page| !same.contains_key(page));
            let pages: Vec<LogicalPage> = pages.collect();
            jobs.extend(pages.chunks(super::CHUNK_PAGES).map(|pages| Job {
                space,
                pages: pages.to_vec(),
            }));
        }
        jobs
    }

    /// Runs a job. Pages are read directly into the chunk, so that nothing is copied unless it is
    /// compressed.
    pub(crate) fn run(
        &self,
        job: &Job,
        scratch: &mut Frame,
        monitor: &Monitor<'_>,
    ) -> Result<Packed> {
        let mut done = Vec::with_capacity(job.pages.len());
        let mut included = Vec::with_capacity(job.pages.len());
        let mut frame = self.spare.take();
        frame.clear(CHUNK_HEADER_SIZE + job.pages.len() * PAGE_ROOM);
        frame.fill(CHUNK_HEADER_SIZE);
        for &page in &job.pages {
            let Some(bytes) = frame.split().1.first_chunk_mut() else {
                continue;
            };
            let (digest, checksum) = match self.load(job.space, page, bytes) {
                // The data file ends before the page. A forensic backup takes what is there.
                Err(Error::Corrupt(_)) if self.is_forensic => continue,
                loaded => loaded?,
            };
            let in_base = self
                .base
                .and_then(|base| base.space(job.space).page(page).digest().copied());
            let is_included = in_base != Some(digest);
            if is_included {
                included.push(page.get());
                frame.fill(PAGE_SIZE);
            }
            done.push(PageDone {
                page,
                digest,
                checksum,
                is_included,
            });
        }
        monitor.advance(job.pages.len() as u64)?;
        let kind = ChunkKind::Pages(job.space);
        let finish = || finish_page_chunk(kind, &included, &mut frame, scratch, self.compression);
        let header = (!included.is_empty()).then(finish);
        Ok(Packed {
            space: job.space,
            pages: done,
            header,
            frame,
        })
    }

    /// Reads a page as it goes into the backup. Returns its digest and its sampled checksum.
    fn load(
        &self,
        space: Space,
        page: LogicalPage,
        bytes: &mut PageBytes,
    ) -> Result<(Digest, u32)> {
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

/// The logical pages that share their place with a lower one, with that page. A mapping of two
/// megabytes can put hundreds of thousands of pages into one place, which a forensic backup holds
/// once.
pub(crate) fn same_places(section: &MappingSection) -> BTreeMap<LogicalPage, LogicalPage> {
    let mut first: BTreeMap<PhysicalPage, LogicalPage> = BTreeMap::new();
    let mut same = BTreeMap::new();
    for (page, physical, _) in section.mapped() {
        let lowest = *first.entry(physical).or_insert(page);
        if lowest != page {
            same.insert(page, lowest);
        }
    }
    same
}

/// A chunk of numbered pages: the header, and all bytes to write.
pub(crate) fn page_chunk(
    kind: ChunkKind,
    numbers: &[u32],
    pages: &[u8],
    compression: Compression,
) -> (ChunkHeader, Frame) {
    let mut frame = framed(pages);
    let header = finish_page_chunk(
        kind,
        numbers,
        &mut frame,
        &mut Frame::default(),
        compression,
    );
    (header, frame)
}

/// Completes a chunk of pages that are in `frame` already, after room for the header; see
/// [`page_chunk`].
fn finish_page_chunk(
    kind: ChunkKind,
    numbers: &[u32],
    frame: &mut Frame,
    scratch: &mut Frame,
    compression: Compression,
) -> ChunkHeader {
    numbers
        .iter()
        .for_each(|number| frame.extend(&number.to_le_bytes()));
    let range = (
        numbers.first().copied().unwrap_or(0),
        numbers.last().copied().unwrap_or(0),
    );
    finish(
        kind,
        range,
        narrow(numbers.len()),
        frame,
        scratch,
        compression,
    )
}

/// A chunk of plain bytes; `numbers` identify a part of a journal, and are zeros otherwise.
pub(crate) fn byte_chunk(
    kind: ChunkKind,
    numbers: (u32, u32),
    bytes: &[u8],
    compression: Compression,
) -> (ChunkHeader, Frame) {
    let mut frame = framed(bytes);
    let header = finish(
        kind,
        numbers,
        narrow(bytes.len()),
        &mut frame,
        &mut Frame::default(),
        compression,
    );
    (header, frame)
}

/// The bytes, after room for the header.
fn framed(bytes: &[u8]) -> Frame {
    let mut frame = Frame::default();
    frame.clear(CHUNK_HEADER_SIZE + bytes.len());
    frame.fill(CHUNK_HEADER_SIZE);
    frame.extend(bytes);
    frame
}

/// Compresses the payload, using `scratch`, and writes the header before it.
fn finish(
    kind: ChunkKind,
    (first, last): (u32, u32),
    count: u32,
    frame: &mut Frame,
    scratch: &mut Frame,
    compression: Compression,
) -> ChunkHeader {
    let codec = pack(frame, scratch, CHUNK_HEADER_SIZE, compression);
    let payload = frame.filled().get(CHUNK_HEADER_SIZE..).unwrap_or_default();
    let (stored, payload_crc) = (narrow(payload.len()), crc32(payload));
    let header = ChunkHeader {
        kind,
        codec,
        first,
        last,
        count,
        stored,
        payload_crc,
    };
    if let Some(front) = frame.split().0.first_chunk_mut() {
        *front = header.to_bytes();
    }
    header
}

/// The pages in the payload of a chunk, and their numbers; `None` if its length does not fit.
pub(crate) fn split_pages<'r>(header: &ChunkHeader, raw: &'r [u8]) -> Option<(&'r [u8], Vec<u32>)> {
    let (pages, numbers) = raw.split_at_checked(widen(header.count).checked_mul(PAGE_SIZE)?)?;
    let (numbers, rest) = numbers.as_chunks();
    let is_whole = rest.is_empty() && numbers.len() == widen(header.count);
    is_whole.then(|| {
        (
            pages,
            numbers
                .iter()
                .map(|number| u32::from_le_bytes(*number))
                .collect(),
        )
    })
}

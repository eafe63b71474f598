//! The journal of a generation, which holds the commits since its mapping file was written.
//! Specified in `docs::journal`.
//!
//! ```text
//! header (64)      0 magic   8 version  12 length  16 generation  20 CRC-32 of its mapping file
//!                 24 previous generation  28 CRC-32 of its mapping file  32 first commit  40 salt
//!                 48 zeros  60 CRC-32 of 0..60
//! frame (20 + n)   0 magic   4 n, length of the payload   8 number of the commit
//!                 16 CRC-32 of salt, number, length, payload; then the payload, then zeros up to a multiple of 8
//! payload          operations: 1 insert key, 2 delete key   u8 kind | u16 length | text
//!                              3 put record                 u8 kind | u32 page | u32 id | u32 length | bytes
//!                              4 delete record              u8 kind | u32 page | u32 id | u32 size
//! ```
//!
//! An incomplete frame ends the journal and is not an error, because a crash leaves one.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::limits::{MAX_COMMIT_BYTES, MAX_KEY_BYTES, MAX_RECORD_BYTES};
use crate::base::page_no::{LogicalPage, RecordRef};
use crate::base::site::{FileRole, Site};
use crate::base::{narrow, widen};
use crate::format::bytes::{Reader, put};
use crate::format::checksum::{crc32, crc32_of};

/// First bytes of a journal. The line ends and the end-of-file mark reveal a transfer as text.
pub const MAGIC: [u8; 8] = *b"CIMJL\r\n\x1A";

/// First bytes of a frame.
pub const FRAME_MAGIC: [u8; 4] = *b"JCMT";

/// Format version that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// Size of the header, in bytes; the first frame follows it.
pub const HEADER_SIZE: usize = 64;
/// Size of the part of a frame before the payload, in bytes.
pub const FRAME_HEAD_SIZE: usize = 20;
/// Alignment of frames, in bytes.
pub const FRAME_ALIGNMENT: usize = 8;

const _: () = assert!(HEADER_SIZE.is_multiple_of(FRAME_ALIGNMENT));
// A length that was checked fits in the field that holds it.
const _: () = assert!(MAX_KEY_BYTES <= u16::MAX as usize && MAX_RECORD_BYTES < MAX_COMMIT_BYTES);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct HeaderRaw {
    magic: [u8; 8],
    version: U32,
    length: U32,
    generation: U32,
    mapping_crc: U32,
    previous_generation: U32,
    previous_mapping_crc: U32,
    first_commit: U64,
    salt: U64,
    zeros: [u8; 12],
    crc: U32,
}
const _: () = assert!(size_of::<HeaderRaw>() == HEADER_SIZE);

/// Identifies a generation without ambiguity: two generations with the same number have different
/// mapping files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappingId {
    /// The number of the generation.
    pub generation: u32,
    /// CRC-32 of all bytes of its mapping file.
    pub mapping_crc: u32,
}

/// The header, which states what the journal continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalHeader {
    /// The generation that the commits build on.
    pub base: MappingId,
    /// The generation whose journal this one continues; equal to `base` if there is none.
    pub previous: MappingId,
    /// Number of the first commit; later ones count on from it.
    pub first_commit: u64,
    /// A random number that is part of every checksum, so that a frame left by another journal in
    /// the same place of the disk is never mistaken for one of this journal.
    pub salt: u64,
}

/// Why a file is not read as a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderFault {
    /// The header was never completely written, so nothing was committed through the file.
    Unfinished,
    /// The format version of the journal is unknown to this program.
    UnknownVersion(u32),
    /// The header of a journal with commits is damaged, or contradicts itself.
    Damaged(Corruption),
}

impl JournalHeader {
    /// Encodes the header.
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let mut raw = HeaderRaw {
            magic: MAGIC,
            version: U32::new(VERSION),
            length: U32::new(narrow(HEADER_SIZE)),
            generation: U32::new(self.base.generation),
            mapping_crc: U32::new(self.base.mapping_crc),
            previous_generation: U32::new(self.previous.generation),
            previous_mapping_crc: U32::new(self.previous.mapping_crc),
            first_commit: U64::new(self.first_commit),
            salt: U64::new(self.salt),
            zeros: [0; 12],
            crc: U32::ZERO,
        };
        raw.crc = U32::new(raw.checksum());
        zerocopy::transmute!(raw)
    }

    /// Parses the header at the front of a journal. The bytes after it distinguish an unfinished
    /// header from a damaged one. The header is durable before the first frame is written, so if
    /// there is a frame there was a header.
    pub fn parse(front: &[u8]) -> Result<Self, HeaderFault> {
        let raw = front
            .get(..HEADER_SIZE)
            .and_then(|header| HeaderRaw::read_from_bytes(header).ok());
        let whole = raw.filter(|raw| raw.magic == MAGIC && raw.crc.get() == raw.checksum());
        let Some(raw) = whole else {
            let behind = front.get(HEADER_SIZE..).unwrap_or_default();
            return Err(match FrameHead::parse(behind) {
                Some(_) => damaged("it does not match its checksum, and a commit follows it"),
                None => HeaderFault::Unfinished,
            });
        };
        if raw.version.get() != VERSION {
            return Err(HeaderFault::UnknownVersion(raw.version.get()));
        }
        Self::from_raw(&raw)
    }

    fn from_raw(raw: &HeaderRaw) -> Result<Self, HeaderFault> {
        if widen(raw.length.get()) != HEADER_SIZE || raw.zeros != [0; 12] {
            return Err(damaged("it has an impossible length"));
        }
        let id = |generation: U32, crc: U32| MappingId {
            generation: generation.get(),
            mapping_crc: crc.get(),
        };
        let header = Self {
            base: id(raw.generation, raw.mapping_crc),
            previous: id(raw.previous_generation, raw.previous_mapping_crc),
            first_commit: raw.first_commit.get(),
            salt: raw.salt.get(),
        };
        let is_in_order =
            header.previous == header.base || header.previous.generation < header.base.generation;
        if is_in_order {
            Ok(header)
        } else {
            Err(damaged("it continues a generation that is not older"))
        }
    }

    /// True if the journal continues the one with the other header, so that its commits come after
    /// those.
    pub fn continues(&self, other: &JournalHeader) -> bool {
        self.base.generation > other.base.generation && self.previous == other.base
    }
}

impl HeaderRaw {
    /// CRC-32 of all bytes before the checksum.
    fn checksum(&self) -> u32 {
        let (content, _) = self.as_bytes().split_at(HEADER_SIZE - 4);
        crc32(content)
    }
}

fn damaged(detail: &str) -> HeaderFault {
    HeaderFault::Damaged(Corruption::new(
        CorruptionCode::JournalHeader,
        Site::file(FileRole::Journal),
        detail,
    ))
}

/// The part of a frame before the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Length of the payload in bytes, at most [`MAX_COMMIT_BYTES`].
    pub payload_len: u32,
    /// Number of the commit.
    pub number: u64,
    crc: u32,
}

impl FrameHead {
    /// Parses the head at the front of the bytes; `None` if there is none with a possible length.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let magic: [u8; 4] = reader.array()?;
        let head = Self {
            payload_len: reader.u32()?,
            number: reader.u64()?,
            crc: reader.u32()?,
        };
        (magic == FRAME_MAGIC && head.payload_len <= MAX_COMMIT_BYTES).then_some(head)
    }

    /// Length of the frame including its trailing zeros, in bytes.
    pub const fn frame_len(&self) -> usize {
        (FRAME_HEAD_SIZE + widen(self.payload_len)).next_multiple_of(FRAME_ALIGNMENT)
    }

    fn is_sealed(&self, salt: u64, payload: &[u8]) -> bool {
        self.crc == seal(salt, self.number, payload)
    }
}

/// The checksum of a frame.
fn seal(salt: u64, number: u64, payload: &[u8]) -> u32 {
    let length = narrow(payload.len()).to_le_bytes();
    crc32_of(&[&salt.to_le_bytes(), &number.to_le_bytes(), &length, payload])
}

/// A whole commit of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit<'a> {
    /// Its number.
    pub number: u64,
    /// Offset of its payload in the file, in bytes.
    pub offset: u64,
    /// Its operations in encoded form.
    pub payload: &'a [u8],
}

impl<'a> Commit<'a> {
    /// Parses the commit in the frame at the front of the bytes, which lies at `offset` in the
    /// file. `None` if the frame is incomplete or not the one of this journal with this number. The
    /// zeros at its end are ignored.
    pub fn read(frame: &'a [u8], salt: u64, number: u64, offset: u64) -> Option<Self> {
        let head = FrameHead::parse(frame)?;
        let payload = frame
            .get(..head.frame_len())?
            .get(FRAME_HEAD_SIZE..)?
            .get(..widen(head.payload_len))?;
        let is_whole = head.number == number && head.is_sealed(salt, payload);
        is_whole.then_some(Self {
            number,
            offset: offset.saturating_add(FRAME_HEAD_SIZE as u64),
            payload,
        })
    }

    /// Its operations, in the order in which they were made.
    pub const fn operations(&self) -> Operations<'a> {
        Operations {
            reader: Reader::new(self.payload),
            base: self.offset,
            has_failed: false,
        }
    }
}

/// The whole commits at the front of a journal in memory, in order, up to the first incomplete
/// frame.
#[derive(Debug, Clone)]
pub struct Commits<'a> {
    bytes: &'a [u8],
    salt: u64,
    next: Option<u64>,
    end: usize,
}

impl<'a> Commits<'a> {
    /// The commits in the bytes of a journal with this header.
    pub const fn new(journal: &'a [u8], header: &JournalHeader) -> Self {
        Self {
            bytes: journal,
            salt: header.salt,
            next: Some(header.first_commit),
            end: HEADER_SIZE,
        }
    }

    /// Offset of the end of the last commit returned, in bytes.
    pub const fn end(&self) -> usize {
        self.end
    }
}

impl<'a> Iterator for Commits<'a> {
    type Item = Commit<'a>;

    fn next(&mut self) -> Option<Commit<'a>> {
        let frame = self.bytes.get(self.end..)?;
        let commit = Commit::read(frame, self.salt, self.next?, self.end as u64)?;
        self.end += FrameHead::parse(frame)?.frame_len();
        self.next = commit.number.checked_add(1);
        Some(commit)
    }
}

/// A change that a commit made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalOp<'a> {
    /// A key was inserted into the index.
    InsertKey(&'a [u8]),
    /// A key was removed from the index.
    DeleteKey(&'a [u8]),
    /// A record was stored.
    PutRecord {
        /// The logical page that holds it, or its first page.
        page: LogicalPage,
        /// Its record id.
        id: u32,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A record was removed.
    DeleteRecord(RecordRef),
}

const INSERT_KEY: u8 = 1;
const DELETE_KEY: u8 = 2;
const PUT_RECORD: u8 = 3;
const DELETE_RECORD: u8 = 4;

impl<'a> JournalOp<'a> {
    /// Takes an operation from the front; `None` for anything that [`CommitBuilder`] does not
    /// write.
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let [kind] = reader.array()?;
        match kind {
            INSERT_KEY => read_key(reader).map(JournalOp::InsertKey),
            DELETE_KEY => read_key(reader).map(JournalOp::DeleteKey),
            PUT_RECORD => {
                let record = read_reference(reader)?;
                let bytes = reader.take(widen(record.size))?;
                Some(JournalOp::PutRecord {
                    page: record.page,
                    id: record.id,
                    bytes,
                })
            }
            DELETE_RECORD => read_reference(reader).map(JournalOp::DeleteRecord),
            _ => None,
        }
    }

    /// Fails for the first bound that the operation exceeds.
    fn check(&self) -> Result<()> {
        let (what, max, got) = match self {
            JournalOp::InsertKey(text) | JournalOp::DeleteKey(text) => (
                "the length of a key",
                MAX_KEY_BYTES as u64,
                text.len() as u64,
            ),
            JournalOp::PutRecord { bytes, .. } => (
                "the length of a record",
                MAX_RECORD_BYTES.into(),
                bytes.len() as u64,
            ),
            JournalOp::DeleteRecord(record) => (
                "the length of a record",
                MAX_RECORD_BYTES.into(),
                record.size.into(),
            ),
        };
        if got > max {
            Err(Error::Limit { what, max, got })
        } else {
            Ok(())
        }
    }

    /// Appends the operation, whose lengths have been checked.
    fn write(&self, bytes: &mut Vec<u8>) {
        match *self {
            JournalOp::InsertKey(text) => write_key(bytes, INSERT_KEY, text),
            JournalOp::DeleteKey(text) => write_key(bytes, DELETE_KEY, text),
            JournalOp::PutRecord {
                page,
                id,
                bytes: record,
            } => {
                write_reference(
                    bytes,
                    PUT_RECORD,
                    RecordRef {
                        page,
                        id,
                        size: narrow(record.len()),
                    },
                );
                bytes.extend_from_slice(record);
            }
            JournalOp::DeleteRecord(record) => write_reference(bytes, DELETE_RECORD, record),
        }
    }

    /// Size of the encoded operation, in bytes.
    const fn encoded_len(&self) -> usize {
        match self {
            JournalOp::InsertKey(text) | JournalOp::DeleteKey(text) => 3 + text.len(),
            JournalOp::PutRecord { bytes, .. } => MAX_HEAD + bytes.len(),
            JournalOp::DeleteRecord(_) => MAX_HEAD,
        }
    }
}

/// Largest size of an operation without its key or record, in bytes.
const MAX_HEAD: usize = 13;

fn read_key<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = usize::from(reader.u16()?);
    if len <= MAX_KEY_BYTES {
        reader.take(len)
    } else {
        None
    }
}

fn read_reference(reader: &mut Reader<'_>) -> Option<RecordRef> {
    let (page, id, size) = (
        LogicalPage::new(reader.u32()?)?,
        reader.u32()?,
        reader.u32()?,
    );
    (size <= MAX_RECORD_BYTES).then_some(RecordRef { page, id, size })
}

fn write_key(bytes: &mut Vec<u8>, kind: u8, text: &[u8]) {
    let [low, high, ..] = narrow(text.len()).to_le_bytes();
    bytes.extend_from_slice(&[kind, low, high]);
    bytes.extend_from_slice(text);
}

fn write_reference(bytes: &mut Vec<u8>, kind: u8, record: RecordRef) {
    bytes.push(kind);
    [record.page.get(), record.id, record.size]
        .into_iter()
        .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
}

/// The operations of a commit. An invalid one yields an error and ends the iteration.
#[derive(Debug, Clone)]
pub struct Operations<'a> {
    reader: Reader<'a>,
    base: u64,
    has_failed: bool,
}

impl<'a> Iterator for Operations<'a> {
    type Item = Result<JournalOp<'a>, Corruption>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed || self.reader.remaining() == 0 {
            return None;
        }
        let offset = self.base.saturating_add(self.reader.position() as u64);
        let operation = JournalOp::read(&mut self.reader);
        self.has_failed = operation.is_none();
        Some(operation.ok_or_else(|| {
            Corruption::new(
                CorruptionCode::JournalOperation,
                Site::file(FileRole::Journal).at(offset),
                "",
            )
        }))
    }
}

/// Collects the operations of a commit into its frame. One builder serves many commits in turn.
#[derive(Debug, Clone)]
pub struct CommitBuilder {
    /// Space for the head, then the payload and, once finished, zeros.
    frame: Vec<u8>,
    /// The end of the payload.
    end: usize,
}

impl Default for CommitBuilder {
    fn default() -> Self {
        Self {
            frame: vec![0; FRAME_HEAD_SIZE],
            end: FRAME_HEAD_SIZE,
        }
    }
}

impl CommitBuilder {
    /// A commit without operations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an operation. One that exceeds a bound is rejected and changes nothing.
    pub fn push(&mut self, operation: JournalOp<'_>) -> Result<()> {
        operation.check()?;
        self.need_bytes(operation.encoded_len())?;
        self.frame.truncate(self.end);
        operation.write(&mut self.frame);
        self.end = self.frame.len();
        Ok(())
    }

    /// Fails if an operation with a key or record of `len` bytes might not fit. Must be checked
    /// before the operation is carried out.
    pub fn need_room(&self, len: usize) -> Result<()> {
        self.need_bytes(MAX_HEAD.saturating_add(len))
    }

    fn need_bytes(&self, more: usize) -> Result<()> {
        let got = (self.payload_len() as u64).saturating_add(more as u64);
        let max = u64::from(MAX_COMMIT_BYTES);
        if got > max {
            Err(Error::Limit {
                what: "the size of a commit",
                max,
                got,
            })
        } else {
            Ok(())
        }
    }

    /// True if it has no operation.
    pub const fn is_empty(&self) -> bool {
        self.payload_len() == 0
    }

    /// Size of the encoded operations, in bytes.
    pub const fn payload_len(&self) -> usize {
        self.end - FRAME_HEAD_SIZE
    }

    /// Removes the operations after the first `payload_len` bytes.
    pub fn truncate(&mut self, payload_len: usize) {
        self.end = self.end.min(FRAME_HEAD_SIZE.saturating_add(payload_len));
        self.frame.truncate(self.end);
    }

    /// The frame for the journal with this salt. Can be produced again with another number.
    pub fn finish(&mut self, salt: u64, number: u64) -> &[u8] {
        self.frame.truncate(self.end);
        let payload = self.frame.get(FRAME_HEAD_SIZE..).unwrap_or_default();
        let (length, crc) = (narrow(payload.len()), seal(salt, number, payload));
        put(&mut self.frame, 0, &FRAME_MAGIC);
        put(&mut self.frame, 4, &length.to_le_bytes());
        put(&mut self.frame, 8, &number.to_le_bytes());
        put(&mut self.frame, 16, &crc.to_le_bytes());
        self.frame
            .resize(self.end.next_multiple_of(FRAME_ALIGNMENT), 0);
        &self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: JournalHeader = JournalHeader {
        base: MappingId {
            generation: 42,
            mapping_crc: 0xA1B2_C3D4,
        },
        previous: MappingId {
            generation: 41,
            mapping_crc: 5,
        },
        first_commit: 1000,
        salt: 0x0123_4567_89AB_CDEF,
    };

    fn page(number: u32) -> LogicalPage {
        LogicalPage::new(number).unwrap()
    }

    fn commit(operations: &[JournalOp<'_>]) -> CommitBuilder {
        let mut builder = CommitBuilder::new();
        operations
            .iter()
            .for_each(|operation| builder.push(*operation).unwrap());
        builder
    }

    /// A journal of four commits, and their payloads.
    fn journal() -> (Vec<u8>, Vec<Vec<u8>>) {
        let record = RecordRef {
            page: page(7),
            id: 9,
            size: 300,
        };
        let commits = [
            commit(&[
                JournalOp::InsertKey(b"NS_A\\CD_B.7.9.300"),
                JournalOp::DeleteRecord(record),
            ]),
            commit(&[JournalOp::PutRecord {
                page: page(7),
                id: 9,
                bytes: b"0123456789",
            }]),
            commit(&[]),
            commit(&[JournalOp::DeleteKey(b"NS_A")]),
        ];
        let (mut bytes, mut payloads) = (HEADER.to_bytes().to_vec(), Vec::new());
        for (mut commit, number) in commits.into_iter().zip(HEADER.first_commit..) {
            bytes.extend_from_slice(commit.finish(HEADER.salt, number));
            payloads.push(commit.frame[FRAME_HEAD_SIZE..commit.end].to_vec());
        }
        (bytes, payloads)
    }

    /// The payloads that are found; their numbers are checked.
    fn found(bytes: &[u8]) -> Vec<Vec<u8>> {
        let commits: Vec<_> = Commits::new(bytes, &HEADER).collect();
        assert!(
            commits
                .iter()
                .zip(1000..)
                .all(|(commit, number)| commit.number == number)
        );
        commits
            .into_iter()
            .map(|commit| commit.payload.to_vec())
            .collect()
    }

    #[test]
    fn a_header_comes_back_and_no_other_is_read() {
        let bytes = HEADER.to_bytes();
        assert_eq!(JournalHeader::parse(&bytes), Ok(HEADER));
        let (journal, _) = journal();
        for bit in 0..HEADER_SIZE * 8 {
            let (mut alone, mut used) = (bytes, journal.clone());
            alone[bit / 8] ^= 1 << (bit % 8);
            used[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                JournalHeader::parse(&alone),
                Err(HeaderFault::Unfinished),
                "{bit}"
            );
            assert!(
                matches!(JournalHeader::parse(&used), Err(HeaderFault::Damaged(_))),
                "{bit}"
            );
        }
        for cut in 0..HEADER_SIZE {
            assert_eq!(
                JournalHeader::parse(&bytes[..cut]),
                Err(HeaderFault::Unfinished)
            );
        }
    }

    #[test]
    fn sealed_headers_that_make_no_sense_are_told() {
        let sealed = |offset: usize, value: u8| {
            let mut bytes = HEADER.to_bytes();
            bytes[offset] = value;
            let crc = crc32(&bytes[..60]);
            bytes[60..].copy_from_slice(&crc.to_le_bytes());
            JournalHeader::parse(&bytes)
        };
        assert_eq!(sealed(8, 2), Err(HeaderFault::UnknownVersion(2)));
        let cases = [
            (12, 63, "length"),
            (50, 1, "length"),
            (24, 43, "not older"),
            (24, 42, "not older"),
        ];
        for (offset, value, word) in cases {
            let Err(HeaderFault::Damaged(finding)) = sealed(offset, value) else {
                panic!("{offset}")
            };
            assert_eq!(finding.code, CorruptionCode::JournalHeader);
            assert!(finding.detail.contains(word), "{finding}");
        }
    }

    #[test]
    fn journals_are_linked_by_number_and_mapping() {
        let first = JournalHeader {
            previous: HEADER.base,
            ..HEADER
        };
        let next = JournalHeader {
            base: MappingId {
                generation: 43,
                mapping_crc: 1,
            },
            previous: HEADER.base,
            ..HEADER
        };
        let other = JournalHeader {
            previous: MappingId {
                mapping_crc: 1,
                ..HEADER.base
            },
            ..next
        };
        assert!(next.continues(&HEADER) && next.continues(&first));
        assert!(!first.continues(&first) && !other.continues(&HEADER) && !HEADER.continues(&next));
    }

    #[test]
    fn a_cut_journal_gives_the_commits_before_the_cut() {
        let (bytes, payloads) = journal();
        assert_eq!(found(&bytes), payloads);
        let mut last = 0;
        for cut in 0..=bytes.len() {
            let found = found(&bytes[..cut]);
            assert!(payloads.starts_with(&found) && found.len() >= last);
            last = found.len();
            let padded = [&bytes[..cut], &[0; 50]].concat();
            assert!(payloads.starts_with(&self::found(&padded)));
        }
    }

    #[test]
    fn a_changed_journal_gives_the_commits_before_the_change() {
        let (bytes, payloads) = journal();
        let ends: Vec<usize> = {
            let mut commits = Commits::new(&bytes, &HEADER);
            std::iter::from_fn(|| commits.next().map(|_| commits.end())).collect()
        };
        for bit in HEADER_SIZE * 8..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let found = found(&changed);
            let before = ends.iter().filter(|end| **end <= bit / 8).count();
            assert!(payloads.starts_with(&found), "bit {bit}");
            // A change in the zeros after a payload does not matter.
            assert!(
                found.len() == before || found.len() == payloads.len(),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn frames_of_another_journal_are_not_taken() {
        let (bytes, _) = journal();
        assert_eq!(
            Commits::new(&bytes, &JournalHeader { salt: 1, ..HEADER }).count(),
            0
        );
        assert_eq!(
            Commits::new(
                &bytes,
                &JournalHeader {
                    first_commit: 999,
                    ..HEADER
                }
            )
            .count(),
            0
        );
        let frame = |number| commit(&[]).finish(1, number).to_vec();
        let frame = [vec![0; HEADER_SIZE], frame(u64::MAX), frame(0)].concat();
        let commits = Commits::new(
            &frame,
            &JournalHeader {
                first_commit: u64::MAX,
                salt: 1,
                ..HEADER
            },
        );
        assert_eq!(commits.count(), 1, "numbers end");
    }

    #[test]
    fn a_builder_serves_again() {
        let mut builder = commit(&[JournalOp::InsertKey(b"A")]);
        let first = builder.finish(1, 1).to_vec();
        let _ = builder.finish(1, 2);
        assert_eq!(builder.finish(1, 1), first);
        builder.push(JournalOp::DeleteKey(b"B")).unwrap();
        let both = commit(&[JournalOp::InsertKey(b"A"), JournalOp::DeleteKey(b"B")])
            .finish(1, 1)
            .to_vec();
        assert_eq!(builder.finish(1, 1), both);
        builder.truncate(0);
        assert!(builder.is_empty());
        builder.push(JournalOp::InsertKey(b"A")).unwrap();
        assert_eq!(builder.finish(1, 1), first);
    }

    #[test]
    fn bounds_are_held() {
        let mut builder = CommitBuilder::new();
        let longest = vec![b'x'; MAX_KEY_BYTES];
        builder.push(JournalOp::InsertKey(&longest)).unwrap();
        let before = builder.finish(1, 1).to_vec();
        let huge = vec![0; widen(MAX_RECORD_BYTES) + 1];
        let refused = [
            JournalOp::InsertKey(&huge[..MAX_KEY_BYTES + 1]),
            JournalOp::DeleteKey(&huge[..MAX_KEY_BYTES + 1]),
            JournalOp::PutRecord {
                page: page(1),
                id: 2,
                bytes: &huge,
            },
            JournalOp::DeleteRecord(RecordRef {
                page: page(1),
                id: 2,
                size: MAX_RECORD_BYTES + 1,
            }),
        ];
        for operation in refused {
            assert!(matches!(builder.push(operation), Err(Error::Limit { .. })));
        }
        assert_eq!(builder.finish(1, 1), before);
        builder
            .push(JournalOp::PutRecord {
                page: page(1),
                id: 2,
                bytes: &huge[1..],
            })
            .unwrap();
        assert_eq!(
            Commit::read(builder.finish(1, 1), 1, 1, 0)
                .unwrap()
                .operations()
                .count(),
            2
        );
    }

    #[test]
    fn operations_that_are_never_written_are_told() {
        let word = u32::to_le_bytes;
        let cases: [Vec<u8>; 9] = [
            vec![0],
            vec![5, 0, 0],
            vec![INSERT_KEY],
            vec![INSERT_KEY, 2, 0, b'x'],
            [&[DELETE_KEY, 1, 4][..], &[b'x'; 2000]].concat(),
            [&[PUT_RECORD][..], &word(1), &word(2), &word(3), b"12"].concat(),
            [&[PUT_RECORD][..], &word(u32::MAX), &word(2), &word(0)].concat(),
            [&[PUT_RECORD][..], &word(1), &word(2), &word(u32::MAX)].concat(),
            [
                &[DELETE_RECORD][..],
                &word(1),
                &word(2),
                &word(MAX_RECORD_BYTES + 1),
            ]
            .concat(),
        ];
        for case in cases {
            let payload = [&[INSERT_KEY, 1, 0, b'A'][..], &case].concat();
            let mut operations = Commit {
                number: 1,
                offset: 84,
                payload: &payload,
            }
            .operations();
            assert_eq!(operations.next(), Some(Ok(JournalOp::InsertKey(b"A"))));
            let finding = operations.next().unwrap().unwrap_err();
            assert_eq!(
                (finding.code, finding.site.offset),
                (CorruptionCode::JournalOperation, Some(88))
            );
            assert_eq!(operations.next(), None);
        }
    }

    /// An operation as its kind, two numbers and some bytes.
    type Parts = (u8, u32, u32, Vec<u8>);

    fn operation((kind, page, id, bytes): &Parts) -> JournalOp<'_> {
        let (page, id, key) = (
            self::page(page % 1000),
            *id,
            &bytes[..bytes.len().min(MAX_KEY_BYTES)],
        );
        match kind {
            0 => JournalOp::InsertKey(key),
            1 => JournalOp::DeleteKey(key),
            2 => JournalOp::PutRecord { page, id, bytes },
            _ => JournalOp::DeleteRecord(RecordRef {
                page,
                id,
                size: narrow(bytes.len()),
            }),
        }
    }

    proptest! {
        #[test]
        fn operations_come_back(
            commits in prop::collection::vec(
                prop::collection::vec((0..4u8, any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..1200)), 0..8),
                0..6,
            ),
        ) {
            let mut bytes = HEADER.to_bytes().to_vec();
            for (operations, number) in commits.iter().zip(HEADER.first_commit..) {
                let operations: Vec<_> = operations.iter().map(operation).collect();
                bytes.extend_from_slice(commit(&operations).finish(HEADER.salt, number));
                prop_assert!(bytes.len().is_multiple_of(FRAME_ALIGNMENT));
            }
            let mut found = Commits::new(&bytes, &HEADER);
            for operations in &commits {
                let commit = found.next().unwrap();
                let decoded: Result<Vec<_>, _> = commit.operations().collect();
                prop_assert_eq!(decoded.unwrap(), operations.iter().map(operation).collect::<Vec<_>>());
            }
            prop_assert_eq!((found.next(), found.end()), (None, bytes.len()));
        }

        #[test]
        fn no_payload_breaks_the_decoder(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let operations: Vec<_> = Commit { number: 1, offset: 0, payload: &payload }.operations().collect();
            prop_assert!(operations.len() <= payload.len());
        }
    }
}

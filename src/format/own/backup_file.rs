//! The backup container: header, chunks, manifest, trailer. Specified byte by byte in
//! `docs::backup`.
//!
//! ```text
//! header (128)      0 magic   8 version  12 length  16 identity  32 base identity  48 base seal  80 created
//!                  88 dialect 92 generation 96 transaction 100 flags 104 zeros 124 CRC-32 of 0..124
//! chunk (32 + n)    0 "CHNK"  4 kind  5 codec  6 zero  8 first  12 last  16 count  20 stored  24 CRC-32 of the payload
//!                  28 CRC-32 of 0..28; then the payload
//! manifest          see `Manifest`
//! trailer (96)      0 magic   8 file length  16 manifest offset  24 manifest length  32 identity  48 seal  80 zeros
//!                  92 CRC-32 of 0..92
//! ```

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::base::error::BackupFault;
use crate::base::page_no::{PAGE_SIZE, Space};
use crate::base::site::FileRole;
use crate::base::{narrow, widen};
use crate::format::Dialect;
use crate::format::checksum::crc32;

/// First bytes of a backup. The line ends and the end-of-file mark reveal a transfer as text.
pub const MAGIC: [u8; 8] = *b"CIMBK\r\n\x1A";

/// First bytes of the trailer.
pub const TRAILER_MAGIC: [u8; 8] = *b"CIMBKEND";

/// The format version of a backup without journals.
pub const VERSION: u32 = 1;

/// Format version of a backup that carries journals. A reader of version 1 alone would restore an
/// older state from it.
pub const VERSION_WITH_JOURNALS: u32 = 2;

/// Format version of a backup of files without a readable mapping. A reader of older versions alone
/// would look for the generation in it.
pub const VERSION_UNMAPPED: u32 = 3;

const CHUNK_MAGIC: [u8; 4] = *b"CHNK";

/// Size of the header, in bytes.
pub const HEADER_SIZE: usize = 128;
/// Size of the header of a chunk, in bytes.
pub const CHUNK_HEADER_SIZE: usize = 32;
/// Size of the trailer, in bytes.
pub const TRAILER_SIZE: usize = 96;

/// A SHA-256 value.
pub type Digest = [u8; 32];

bitflags::bitflags! {
    /// The kind of a backup.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct BackupFlags: u32 {
        /// Pages in the base are left out.
        const INCREMENTAL = 1;
        /// In-page slack is zeroed.
        const SCRUBBED = 2;
        /// Free pages and all mapping files are kept.
        const FORENSIC = 4;
        /// The journals are kept. Only in a forensic backup, and from format version 2 on.
        const JOURNALS = 8;
        /// No mapping could be read: the files are kept, and there is no generation. Only in a full
        /// forensic backup, and from format version 3 on.
        const UNMAPPED = 16;
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct HeaderRaw {
    magic: [u8; 8],
    version: U32,
    length: U32,
    identity: [u8; 16],
    base: [u8; 16],
    base_seal: [u8; 32],
    created: U64,
    dialect: U32,
    generation: U32,
    transaction: U32,
    flags: U32,
    zeros: [u8; 20],
    crc: U32,
}
const _: () = assert!(size_of::<HeaderRaw>() == HEADER_SIZE);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct ChunkRaw {
    magic: [u8; 4],
    kind: u8,
    codec: u8,
    zeros: [u8; 2],
    first: U32,
    last: U32,
    count: U32,
    stored: U32,
    payload_crc: U32,
    crc: U32,
}
const _: () = assert!(size_of::<ChunkRaw>() == CHUNK_HEADER_SIZE);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct TrailerRaw {
    magic: [u8; 8],
    file_length: U64,
    manifest_offset: U64,
    manifest_length: U64,
    identity: [u8; 16],
    seal: Digest,
    zeros: [u8; 12],
    crc: U32,
}
const _: () = assert!(size_of::<TrailerRaw>() == TRAILER_SIZE);

/// The header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Random identity of the backup, a UUID.
    pub identity: [u8; 16],
    /// Identity and seal of the base of an incremental backup.
    pub base: Option<([u8; 16], Digest)>,
    /// Creation time, in nanoseconds since 1970-01-01 UTC.
    pub created: u64,
    /// Dialect of the repository; 2.2, without meaning, if no mapping could be read.
    pub dialect: Dialect,
    /// Its generation; 0 if no mapping could be read.
    pub generation: u32,
    /// Its transaction number; 0 if no mapping could be read.
    pub transaction: u32,
    /// The kind of the backup.
    pub flags: BackupFlags,
}

impl Header {
    /// Encodes the header.
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let (base, base_seal) = self.base.unwrap_or_default();
        let mut raw = HeaderRaw {
            magic: MAGIC,
            version: U32::new(self.version()),
            length: U32::new(narrow(HEADER_SIZE)),
            identity: self.identity,
            base,
            base_seal,
            created: U64::new(self.created),
            dialect: U32::new(if self.is_unmapped() {
                UNKNOWN_DIALECT
            } else {
                dialect_number(self.dialect)
            }),
            generation: U32::new(self.generation),
            transaction: U32::new(self.transaction),
            flags: U32::new(self.flags.bits()),
            zeros: [0; 20],
            crc: U32::ZERO,
        };
        raw.crc = U32::new(crc_before_last_word(raw.as_bytes()));
        zerocopy::transmute!(raw)
    }

    /// The format version.
    pub const fn version(&self) -> u32 {
        match (
            self.is_unmapped(),
            self.flags.contains(BackupFlags::JOURNALS),
        ) {
            (true, _) => VERSION_UNMAPPED,
            (false, true) => VERSION_WITH_JOURNALS,
            (false, false) => VERSION,
        }
    }

    /// True for a backup of files without a generation, because no mapping could be read.
    pub const fn is_unmapped(&self) -> bool {
        self.flags.contains(BackupFlags::UNMAPPED)
    }

    /// Parses a header. Distinguishes a file that is not a backup, another version, and damage.
    pub fn parse(bytes: &[u8]) -> Result<Self, BackupFault> {
        if !bytes.starts_with(&MAGIC) {
            // If a single byte of the magic differs and everything else is that of a backup, the
            // file is a damaged backup.
            return Err(
                match bytes
                    .get(..HEADER_SIZE)
                    .filter(|header| is_sealed_but_for_magic(header))
                {
                    Some(_) => BackupFault::Checksum("the first bytes are changed".to_owned()),
                    None => BackupFault::NotABackup,
                },
            );
        }
        let Some(raw) = bytes
            .get(..HEADER_SIZE)
            .and_then(|header| HeaderRaw::read_from_bytes(header).ok())
        else {
            return Err(BackupFault::Truncated(format!(
                "the header has {} of {HEADER_SIZE} bytes",
                bytes.len()
            )));
        };
        if raw.crc.get() != crc_before_last_word(raw.as_bytes()) {
            return Err(BackupFault::Checksum(
                "the header does not match its checksum".to_owned(),
            ));
        }
        if !(VERSION..=VERSION_UNMAPPED).contains(&raw.version.get()) {
            return Err(BackupFault::UnknownVersion(raw.version.get()));
        }
        Self::from_raw(&raw)
    }

    fn from_raw(raw: &HeaderRaw) -> Result<Self, BackupFault> {
        let wrong =
            |what: &str| BackupFault::Structure(format!("the header has an impossible {what}"));
        let flags = BackupFlags::from_bits(raw.flags.get()).ok_or_else(|| wrong("flag"))?;
        let dialect = match raw.dialect.get() {
            21 => Dialect::V21,
            22 => Dialect::V22,
            UNKNOWN_DIALECT if flags.contains(BackupFlags::UNMAPPED) => Dialect::V22,
            _ => return Err(wrong("dialect")),
        };
        if widen(raw.length.get()) != HEADER_SIZE || raw.zeros != [0; 20] {
            return Err(wrong("length"));
        }
        let incremental = flags.contains(BackupFlags::INCREMENTAL);
        if incremental == (raw.base == [0; 16]) {
            return Err(wrong("base"));
        }
        let header = Self {
            identity: raw.identity,
            base: incremental.then_some((raw.base, raw.base_seal)),
            created: raw.created.get(),
            dialect,
            generation: raw.generation.get(),
            transaction: raw.transaction.get(),
            flags,
        };
        if header.version() != raw.version.get() {
            return Err(BackupFault::UnknownVersion(raw.version.get()));
        }
        if flags.contains(BackupFlags::JOURNALS) && !flags.contains(BackupFlags::FORENSIC) {
            return Err(wrong("flag"));
        }
        if header.is_unmapped() {
            if flags.difference(BackupFlags::JOURNALS)
                != BackupFlags::FORENSIC | BackupFlags::UNMAPPED
            {
                return Err(wrong("flag"));
            }
            if (raw.dialect.get(), header.generation, header.transaction) != (UNKNOWN_DIALECT, 0, 0)
            {
                return Err(wrong("generation"));
            }
        }
        Ok(header)
    }
}

fn is_sealed_but_for_magic(header: &[u8]) -> bool {
    let Ok(mut raw) = HeaderRaw::read_from_bytes(header) else {
        return false;
    };
    raw.magic = MAGIC;
    raw.crc.get() == crc_before_last_word(raw.as_bytes())
}

/// The dialect of files without a readable mapping.
const UNKNOWN_DIALECT: u32 = 0;

const fn dialect_number(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::V21 => 21,
        Dialect::V22 => 22,
    }
}

/// CRC-32 of everything except the last four bytes.
fn crc_before_last_word(bytes: &[u8]) -> u32 {
    crc32(
        bytes
            .get(..bytes.len().saturating_sub(4))
            .unwrap_or_default(),
    )
}

/// The content of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChunkKind {
    /// Logical pages of a space.
    Pages(Space),
    /// Free physical pages of a space (forensic).
    FreePages(Space),
    /// The bytes of a data file after its last whole page (forensic).
    Tail(Space),
    /// A whole small file: a mapping.
    File(FileRole),
    /// A part of a journal (forensic). Its first number is the generation in the journal's name,
    /// its last number that of the part.
    Journal,
}

impl ChunkKind {
    /// The number of the kind.
    pub const fn number(self) -> u8 {
        match self {
            ChunkKind::Pages(Space::Objects) => 0,
            ChunkKind::Pages(Space::Index) => 1,
            ChunkKind::FreePages(Space::Objects) => 2,
            ChunkKind::FreePages(Space::Index) => 3,
            ChunkKind::Tail(Space::Objects) => 4,
            ChunkKind::Tail(Space::Index) => 5,
            ChunkKind::File(FileRole::Mapping(1)) => 16,
            ChunkKind::File(FileRole::Mapping(2)) => 17,
            ChunkKind::File(FileRole::Mapping(_)) => 18,
            ChunkKind::File(FileRole::MappingVersion) => 19,
            ChunkKind::File(FileRole::ObjectsMap) => 20,
            ChunkKind::File(_) => 21,
            ChunkKind::Journal => 22,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => ChunkKind::Pages(Space::Objects),
            1 => ChunkKind::Pages(Space::Index),
            2 => ChunkKind::FreePages(Space::Objects),
            3 => ChunkKind::FreePages(Space::Index),
            4 => ChunkKind::Tail(Space::Objects),
            5 => ChunkKind::Tail(Space::Index),
            16..=18 => ChunkKind::File(FileRole::Mapping(number - 15)),
            19 => ChunkKind::File(FileRole::MappingVersion),
            20 => ChunkKind::File(FileRole::ObjectsMap),
            21 => ChunkKind::File(FileRole::IndexMap),
            22 => ChunkKind::Journal,
            _ => return None,
        })
    }

    /// True if the payload consists of numbered pages, otherwise of plain bytes.
    pub const fn has_pages(self) -> bool {
        matches!(self, ChunkKind::Pages(_) | ChunkKind::FreePages(_))
    }
}

/// The header of a chunk. With an offset and a digest it is also the entry of the chunk in the
/// manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHeader {
    /// The kind of the content.
    pub kind: ChunkKind,
    /// Number of the compression; 0 for none.
    pub codec: u8,
    /// Number of the first page; for a journal its generation; 0 for other bytes.
    pub first: u32,
    /// Number of the last page; for a journal that of the part; 0 for other bytes.
    pub last: u32,
    /// Number of pages, or of bytes.
    pub count: u32,
    /// Size of the stored payload, in bytes.
    pub stored: u32,
    /// CRC-32 of the stored payload.
    pub payload_crc: u32,
}

impl ChunkHeader {
    /// Size of the uncompressed payload, in bytes: for pages, the pages and then their numbers of
    /// four bytes each.
    pub const fn raw_len(&self) -> u64 {
        if self.kind.has_pages() {
            self.count as u64 * (PAGE_SIZE as u64 + 4)
        } else {
            self.count as u64
        }
    }

    /// Encodes the header.
    pub fn to_bytes(&self) -> [u8; CHUNK_HEADER_SIZE] {
        let mut raw = ChunkRaw {
            magic: CHUNK_MAGIC,
            kind: self.kind.number(),
            codec: self.codec,
            zeros: [0; 2],
            first: U32::new(self.first),
            last: U32::new(self.last),
            count: U32::new(self.count),
            stored: U32::new(self.stored),
            payload_crc: U32::new(self.payload_crc),
            crc: U32::ZERO,
        };
        raw.crc = U32::new(crc_before_last_word(raw.as_bytes()));
        zerocopy::transmute!(raw)
    }

    /// Parses the header of a chunk; `None` if it is damaged.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let raw = ChunkRaw::read_from_bytes(bytes).ok()?;
        let sound =
            raw.magic == CHUNK_MAGIC && raw.crc.get() == crc_before_last_word(raw.as_bytes());
        if !sound || raw.zeros != [0; 2] {
            return None;
        }
        Some(Self {
            kind: ChunkKind::from_number(raw.kind)?,
            codec: raw.codec,
            first: raw.first.get(),
            last: raw.last.get(),
            count: raw.count.get(),
            stored: raw.stored.get(),
            payload_crc: raw.payload_crc.get(),
        })
    }
}

/// The trailer, which closes a complete backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// Length of the whole file, in bytes.
    pub file_length: u64,
    /// Offset of the manifest.
    pub manifest_offset: u64,
    /// Length of the manifest, in bytes.
    pub manifest_length: u64,
    /// Identity of the backup, as in the header.
    pub identity: [u8; 16],
    /// SHA-256 of the header followed by the manifest.
    pub seal: Digest,
}

impl Trailer {
    /// Encodes the trailer.
    pub fn to_bytes(&self) -> [u8; TRAILER_SIZE] {
        let mut raw = TrailerRaw {
            magic: TRAILER_MAGIC,
            file_length: U64::new(self.file_length),
            manifest_offset: U64::new(self.manifest_offset),
            manifest_length: U64::new(self.manifest_length),
            identity: self.identity,
            seal: self.seal,
            zeros: [0; 12],
            crc: U32::ZERO,
        };
        raw.crc = U32::new(crc_before_last_word(raw.as_bytes()));
        zerocopy::transmute!(raw)
    }

    /// Parses the last bytes of a file of `file_length` bytes. Distinguishes a truncated file from
    /// a damaged trailer.
    pub fn parse(bytes: &[u8], file_length: u64) -> Result<Self, BackupFault> {
        let damaged =
            || BackupFault::Checksum("the trailer does not match its checksum".to_owned());
        let raw = TrailerRaw::read_from_bytes(bytes)
            .map_err(|_| BackupFault::Truncated("no trailer".to_owned()))?;
        let is_sound =
            raw.magic == TRAILER_MAGIC && raw.crc.get() == crc_before_last_word(raw.as_bytes());
        if !is_sound {
            // If two of three signs of a trailer are present, it was changed. If fewer are, it is
            // missing.
            let signs = [
                raw.magic == TRAILER_MAGIC,
                raw.file_length.get() == file_length,
                raw.zeros == [0; 12],
            ];
            return Err(if signs.into_iter().filter(|&sign| sign).count() >= 2 {
                damaged()
            } else {
                BackupFault::Truncated(
                    "its end is missing, or something was appended; the backup \
                    was interrupted, or not copied as it was"
                        .to_owned(),
                )
            });
        }
        let trailer = Self {
            file_length: raw.file_length.get(),
            manifest_offset: raw.manifest_offset.get(),
            manifest_length: raw.manifest_length.get(),
            identity: raw.identity,
            seal: raw.seal,
        };
        if trailer.file_length != file_length {
            let text = format!(
                "{file_length} bytes are there, {} were written",
                trailer.file_length
            );
            return Err(BackupFault::Truncated(text));
        }
        Ok(trailer)
    }
}

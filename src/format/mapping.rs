//! Mapping files, which map logical to physical pages. Each file holds one generation.
//!
//! ```text
//! 2.2   section (objects) | section (index) | u32 shutdown flag
//!       section:  0 signature ABCD   4 transaction   8 generation  12 previous generation
//!                16 physical pages  20 n            24 n entries of 24 bytes
//!                 + free count f     + f free pages  + footer DCBA
//!       entry:    0 physical page    4 checksum      8 free bytes  12 user data  16 stamp  20 last write
//! 2.1   section (objects) | section (index)
//!       section:  0 signature ABCD   4 transaction   8 physical pages  12 n   16 n physical pages
//!                 + free count f     + f free pages  + footer DCBA
//! ```
//!
//! Source: `docs::format`, "Mapping files".

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Dialect;
use super::bytes::Reader;
use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::limits::MAX_LOGICAL_PAGES;
use crate::base::page_no::{LogicalPage, NIL, PhysicalPage, Space};
use crate::base::site::{FileRole, Site};
use crate::base::{narrow, widen};

const SIGNATURE: u32 = 0x0000_ABCD;
const FOOTER: u32 = 0x0000_DCBA;

/// First byte of a mapping file while it is being written: the inverted first byte of a signature,
/// so that no single flipped bit turns one into the other. A single byte is either completely
/// written to the disk or not at all (W-5).
pub const UNFINISHED: u8 = !SIGNATURE.to_le_bytes()[0];

/// Number of bytes at the front of a mapping file that reach the disk together: the head, and an
/// entry with its stamp.
const FRONT: usize = 48;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct EntryRaw {
    physical: U32,
    checksum: U32,
    free_bytes: U32,
    user_data: U32,
    stamp: U32,
    last_write: U32,
}
const _: () = assert!(size_of::<EntryRaw>() == 24);

/// The entry of one logical page. Dialect 2.1 stores only the physical page; the other fields are 0
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MappingEntry {
    /// The place of the page; `None` if the logical page has no page.
    pub physical: Option<PhysicalPage>,
    /// Sampled checksum of the page; in an entry without a page, that of the last content.
    pub checksum: u32,
    /// Free bytes of a page of whole records; otherwise 0.
    pub free_bytes: u32,
    /// 0, except in entry 0 of the index: the logical page of the root.
    pub user_data: u32,
    /// The generation of the file, in every entry.
    pub stamp: u32,
    /// The generation that last wrote this logical page.
    pub last_write: u32,
}

/// One section of a mapping: the map of one data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingSection {
    /// Number of committed transactions.
    pub transaction: u32,
    /// Number of mapping files written. Dialect 2.1 has no such field; the transaction number is
    /// used there.
    pub generation: u32,
    /// The previous generation. In dialect 2.1 the same as `generation`.
    pub previous: u32,
    /// Size of the physical page space, in pages: mapped and free ones.
    pub physical_pages: u32,
    /// The entries, by logical page.
    pub entries: Vec<MappingEntry>,
    /// Pages that this generation does not map, longest free first.
    pub free: Vec<PhysicalPage>,
}

/// A mapping file: one generation of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The layout of the file.
    pub dialect: Dialect,
    /// The map of OBJECTS.DATA.
    pub objects: MappingSection,
    /// The map of INDEX.BTR.
    pub index: MappingSection,
    /// 1 after an orderly shutdown, 0 while running. Always 0 in dialect 2.1, which has no such
    /// field.
    pub shutdown_flag: u32,
}

/// Number of bytes of a mapping file of dialect 2.2 up to and including the number of its
/// generation.
pub const MAPPING_HEAD: usize = 12;

/// The number of the generation in the head of a mapping file of dialect 2.2; `None` if it is not a
/// mapping file.
pub fn stated_generation(head: &[u8; MAPPING_HEAD]) -> Option<u32> {
    let mut reader = Reader::new(head);
    let (signature, _transaction) = (reader.u32()?, reader.u32()?);
    reader.u32().filter(|_| signature == SIGNATURE)
}

/// Information from the first bytes of a mapping file of dialect 2.2, however torn the rest may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingFront {
    /// The mark of a file that is being written. The generation in it never took effect (W-5).
    Unfinished,
    /// The generation in the head, which agrees with the stamp of the first entry.
    Generation(u32),
    /// Neither.
    Unknown,
}

impl MappingFront {
    /// Examines the first bytes of a mapping file.
    pub fn of(bytes: &[u8]) -> Self {
        let [signature, rest @ ..] = SIGNATURE.to_le_bytes();
        if bytes
            .strip_prefix(&[UNFINISHED])
            .is_some_and(|bytes| bytes.starts_with(&rest))
        {
            return Self::Unfinished;
        }
        debug_assert!(signature != UNFINISHED, "the mark is not a signature");
        Self::generation(bytes).map_or(Self::Unknown, Self::Generation)
    }

    fn generation(bytes: &[u8]) -> Option<u32> {
        let mut reader = Reader::new(bytes.get(..FRONT.min(bytes.len()))?);
        let (signature, _transaction) = (reader.u32()?, reader.u32()?);
        let (generation, previous) = (reader.u32()?, reader.u32()?);
        let (_pages, count) = (reader.u32()?, reader.u32()?);
        let there = reader.remaining() / size_of::<EntryRaw>();
        let entries = reader.take(there.min(widen(count)) * size_of::<EntryRaw>())?;
        let entries = <[EntryRaw]>::ref_from_bytes(entries).ok()?;
        let is_stamped = entries.iter().all(|entry| entry.stamp.get() == generation);
        let agree =
            signature == SIGNATURE && generation.checked_sub(1) == Some(previous) && is_stamped;
        agree.then_some(generation)
    }
}

/// A parsed mapping file and the number of bytes after its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedMapping {
    /// The mapping.
    pub mapping: Mapping,
    /// Number of bytes after it. Dialect 2.1 overwrites its files without truncating them, so they
    /// are not damage there.
    pub trailing_bytes: usize,
}

impl Mapping {
    /// Parses a mapping file of a dialect. Checks only the form: signatures, counts against the
    /// remaining bytes, and footers. `verify` checks the content.
    pub fn parse(
        bytes: &[u8],
        dialect: Dialect,
        role: FileRole,
    ) -> Result<ParsedMapping, Corruption> {
        let mut reader = SectionReader {
            reader: Reader::new(bytes),
            dialect,
            site: Site::file(role),
        };
        let objects = reader.section()?;
        let index = reader.section()?;
        let shutdown_flag = match dialect {
            Dialect::V21 => 0,
            Dialect::V22 => reader.u32("the shutdown flag")?,
        };
        let trailing_bytes = reader.reader.remaining();
        Ok(ParsedMapping {
            mapping: Mapping {
                dialect,
                objects,
                index,
                shutdown_flag,
            },
            trailing_bytes,
        })
    }

    /// Parses a mapping file of unknown dialect, trying 2.2 first. If neither fits, returns the
    /// error for `likely`.
    pub fn parse_any(
        bytes: &[u8],
        likely: Dialect,
        role: FileRole,
    ) -> Result<ParsedMapping, Corruption> {
        let other = if likely == Dialect::V22 {
            Dialect::V21
        } else {
            Dialect::V22
        };
        Self::parse(bytes, likely, role)
            .or_else(|error| Self::parse(bytes, other, role).map_err(|_| error))
    }

    /// Encodes the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entry = if self.dialect == Dialect::V22 {
            size_of::<EntryRaw>()
        } else {
            size_of::<u32>()
        };
        let size =
            |section: &MappingSection| 32 + section.entries.len() * entry + section.free.len() * 4;
        let mut bytes = Vec::with_capacity(size(&self.objects) + size(&self.index) + 4);
        for space in Space::ALL {
            self.section(space).write(self.dialect, &mut bytes);
        }
        if self.dialect == Dialect::V22 {
            bytes.extend_from_slice(&self.shutdown_flag.to_le_bytes());
        }
        bytes
    }

    /// The section of a page space.
    pub const fn section(&self, space: Space) -> &MappingSection {
        match space {
            Space::Objects => &self.objects,
            Space::Index => &self.index,
        }
    }

    /// Mutable access to the section of a page space.
    pub const fn section_mut(&mut self, space: Space) -> &mut MappingSection {
        match space {
            Space::Objects => &mut self.objects,
            Space::Index => &mut self.index,
        }
    }

    /// The generation of the file: that of its first section.
    pub const fn generation(&self) -> u32 {
        self.objects.generation
    }

    /// An empty mapping, for files without a readable one.
    pub const fn none() -> Self {
        Self {
            dialect: Dialect::V22,
            objects: MappingSection::none(),
            index: MappingSection::none(),
            shutdown_flag: 0,
        }
    }

    /// The transaction number of the file: that of its first section.
    pub const fn transaction(&self) -> u32 {
        self.objects.transaction
    }

    /// The number of the mapping file that holds a generation in dialect 2.2: 1, 2 or 3.
    pub const fn slot_of(generation: u32) -> u8 {
        match generation % 3 {
            0 => 2,
            1 => 3,
            _ => 1,
        }
    }
}

impl MappingSection {
    /// A section without pages.
    const fn none() -> Self {
        Self {
            transaction: 0,
            generation: 0,
            previous: 0,
            physical_pages: 0,
            entries: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Parses a file of a single section: OBJECTS.MAP or INDEX.MAP of dialect 2.1. Returns the
    /// section and the number of bytes after it, which are not damage.
    pub fn parse_single(bytes: &[u8], role: FileRole) -> Result<(Self, usize), Corruption> {
        let dialect = Dialect::V21;
        let mut reader = SectionReader {
            reader: Reader::new(bytes),
            dialect,
            site: Site::file(role),
        };
        let section = reader.section()?;
        Ok((section, reader.reader.remaining()))
    }

    /// Encodes the section.
    pub fn write(&self, dialect: Dialect, bytes: &mut Vec<u8>) {
        let mut put = |value: u32| bytes.extend_from_slice(&value.to_le_bytes());
        put(SIGNATURE);
        put(self.transaction);
        if dialect == Dialect::V22 {
            put(self.generation);
            put(self.previous);
        }
        put(self.physical_pages);
        put(narrow(self.entries.len()));
        for entry in &self.entries {
            entry.write(dialect, bytes);
        }
        bytes.extend_from_slice(&narrow(self.free.len()).to_le_bytes());
        for page in &self.free {
            bytes.extend_from_slice(&page.get().to_le_bytes());
        }
        bytes.extend_from_slice(&FOOTER.to_le_bytes());
    }

    /// Number of logical pages; they are numbered from 0.
    pub fn logical_pages(&self) -> u32 {
        narrow(self.entries.len())
    }

    /// The entry of a logical page, if there is such a page.
    pub fn entry(&self, page: LogicalPage) -> Option<&MappingEntry> {
        self.entries.get(page.index())
    }

    /// The place of a logical page, if it has a page.
    pub fn resolve(&self, page: LogicalPage) -> Option<PhysicalPage> {
        self.entry(page)?.physical
    }

    /// The mapped logical pages in ascending order, with their entries.
    pub fn mapped(&self) -> impl Iterator<Item = (LogicalPage, PhysicalPage, &MappingEntry)> {
        (0..)
            .zip(&self.entries)
            .filter_map(|(page, entry)| Some((LogicalPage::new(page)?, entry.physical?, entry)))
    }

    /// Number of mapped pages.
    pub fn mapped_count(&self) -> u32 {
        narrow(self.mapped().count())
    }
}

impl MappingEntry {
    fn write(&self, dialect: Dialect, bytes: &mut Vec<u8>) {
        let physical = U32::new(self.physical.map_or(NIL, PhysicalPage::get));
        match dialect {
            Dialect::V21 => bytes.extend_from_slice(physical.as_bytes()),
            Dialect::V22 => bytes.extend_from_slice(
                EntryRaw {
                    physical,
                    checksum: U32::new(self.checksum),
                    free_bytes: U32::new(self.free_bytes),
                    user_data: U32::new(self.user_data),
                    stamp: U32::new(self.stamp),
                    last_write: U32::new(self.last_write),
                }
                .as_bytes(),
            ),
        }
    }

    fn from_raw(raw: &EntryRaw) -> Self {
        Self {
            physical: PhysicalPage::new(raw.physical.get()),
            checksum: raw.checksum.get(),
            free_bytes: raw.free_bytes.get(),
            user_data: raw.user_data.get(),
            stamp: raw.stamp.get(),
            last_write: raw.last_write.get(),
        }
    }
}

struct SectionReader<'b> {
    reader: Reader<'b>,
    dialect: Dialect,
    site: Site,
}

impl<'b> SectionReader<'b> {
    fn section(&mut self) -> Result<MappingSection, Corruption> {
        self.mark(SIGNATURE, CorruptionCode::MappingSignature)?;
        let transaction = self.u32("the header")?;
        let (generation, previous) = match self.dialect {
            Dialect::V21 => (transaction, transaction),
            Dialect::V22 => (self.u32("the header")?, self.u32("the header")?),
        };
        let physical_pages = self.u32("the header")?;
        let at = self.reader.position();
        let count = self.u32("the header")?;
        self.bound(count, at)?;
        let entries = self.entries(count)?;
        let count = self.u32("the free count")?;
        let free = self.free_list(count)?;
        self.mark(FOOTER, CorruptionCode::MappingFooter)?;
        Ok(MappingSection {
            transaction,
            generation,
            previous,
            physical_pages,
            entries,
            free,
        })
    }

    /// Rejects counts that are too large. In dialect 2.1 an entry has 4 bytes in the file and 24 in
    /// memory, so the size of the file is a sufficient bound only in 2.2. A count without bytes in
    /// the file is truncation, not size.
    fn bound(&self, count: u32, at: usize) -> Result<(), Corruption> {
        if count <= MAX_LOGICAL_PAGES || widen(count) > self.reader.remaining() / size_of::<U32>() {
            return Ok(());
        }
        let detail = format!("{count} logical pages, at most {MAX_LOGICAL_PAGES} are possible");
        Err(Corruption::new(
            CorruptionCode::MappingTooLarge,
            self.site.at_index(at),
            detail,
        ))
    }

    fn entries(&mut self, count: u32) -> Result<Vec<MappingEntry>, Corruption> {
        match self.dialect {
            Dialect::V21 => {
                let entry = |raw: &U32| MappingEntry {
                    physical: PhysicalPage::new(raw.get()),
                    ..Default::default()
                };
                Ok(self
                    .table::<U32>(count, "entries")?
                    .iter()
                    .map(entry)
                    .collect())
            }
            Dialect::V22 => Ok(self
                .table(count, "entries")?
                .iter()
                .map(MappingEntry::from_raw)
                .collect()),
        }
    }

    fn free_list(&mut self, count: u32) -> Result<Vec<PhysicalPage>, Corruption> {
        let (at, site) = (self.reader.position(), self.site);
        let outside = || {
            let detail = "the free list holds the mark for no page";
            Corruption::new(
                CorruptionCode::MappingPageOutside,
                site.at_index(at),
                detail,
            )
        };
        let table = self.table::<U32>(count, "free pages")?;
        table
            .iter()
            .map(|raw| PhysicalPage::new(raw.get()).ok_or_else(outside))
            .collect()
    }

    /// Takes `count` fixed structures. The count is checked against the remaining bytes before
    /// anything is allocated.
    fn table<T>(&mut self, count: u32, what: &str) -> Result<&'b [T], Corruption>
    where
        T: FromBytes + Immutable + KnownLayout + Unaligned,
    {
        let (at, left) = (self.reader.position(), self.reader.remaining());
        let bytes = widen(count)
            .checked_mul(size_of::<T>())
            .and_then(|len| self.reader.take(len));
        bytes
            .and_then(|bytes| <[T]>::ref_from_bytes(bytes).ok())
            .ok_or_else(|| {
                let detail = format!("{count} {what} announced, {left} bytes left");
                Corruption::new(
                    CorruptionCode::MappingTruncated,
                    self.site.at_index(at),
                    detail,
                )
            })
    }

    fn u32(&mut self, what: &str) -> Result<u32, Corruption> {
        let at = self.reader.position();
        self.reader.u32().ok_or_else(|| {
            let detail = format!("no bytes left for {what}");
            Corruption::new(
                CorruptionCode::MappingTruncated,
                self.site.at_index(at),
                detail,
            )
        })
    }

    fn mark(&mut self, expected: u32, code: CorruptionCode) -> Result<(), Corruption> {
        let at = self.reader.position();
        let found = self.u32("a mark")?;
        if found == expected {
            return Ok(());
        }
        let detail = format!("found {found:#010X}, expected {expected:#010X}");
        Err(Corruption::new(code, self.site.at_index(at), detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(dialect: Dialect) -> Mapping {
        let page = |n| PhysicalPage::new(n);
        let v22 = dialect == Dialect::V22;
        let entry = |n| match dialect {
            Dialect::V21 => MappingEntry {
                physical: page(n),
                ..Default::default()
            },
            Dialect::V22 => MappingEntry {
                physical: page(n),
                checksum: 0xECBB_4B55,
                free_bytes: 8176,
                user_data: 0,
                stamp: 5,
                last_write: 4,
            },
        };
        let section = |entries: Vec<u32>, free: Vec<u32>| MappingSection {
            transaction: 9,
            generation: if v22 { 5 } else { 9 },
            previous: if v22 { 4 } else { 9 },
            physical_pages: narrow(entries.len() + free.len()),
            entries: entries.into_iter().map(entry).collect(),
            free: free.into_iter().filter_map(page).collect(),
        };
        let objects = section(vec![2, NIL, 0], vec![3, 1]);
        Mapping {
            dialect,
            objects,
            index: section(vec![0], vec![]),
            shutdown_flag: u32::from(v22),
        }
    }

    #[test]
    fn bytes_round_trip_in_both_dialects() {
        for dialect in [Dialect::V21, Dialect::V22] {
            let mapping = sample(dialect);
            let mut bytes = mapping.to_bytes();
            let parsed = Mapping::parse_any(&bytes, Dialect::V22, FileRole::Mapping(1)).unwrap();
            assert_eq!(
                parsed,
                ParsedMapping {
                    mapping: mapping.clone(),
                    trailing_bytes: 0
                }
            );
            bytes.extend_from_slice(b"stale");
            let parsed = Mapping::parse_any(&bytes, Dialect::V21, FileRole::Mapping(1)).unwrap();
            assert_eq!((parsed.mapping, parsed.trailing_bytes), (mapping, 5));
        }
    }

    #[test]
    fn more_pages_than_a_repository_can_have_are_not_believed() {
        for dialect in [Dialect::V21, Dialect::V22] {
            let mut mapping = sample(dialect);
            mapping
                .index
                .entries
                .resize(widen(MAX_LOGICAL_PAGES), MappingEntry::default());
            let bytes = mapping.to_bytes();
            assert_eq!(
                Mapping::parse(&bytes, dialect, FileRole::Mapping(1))
                    .unwrap()
                    .mapping,
                mapping
            );
            mapping.index.entries.push(MappingEntry::default());
            let error =
                Mapping::parse(&mapping.to_bytes(), dialect, FileRole::Mapping(1)).unwrap_err();
            assert_eq!(error.code, CorruptionCode::MappingTooLarge, "{error}");
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        for dialect in [Dialect::V21, Dialect::V22] {
            let bytes = sample(dialect).to_bytes();
            for len in 0..bytes.len() {
                let error =
                    Mapping::parse(&bytes[..len], dialect, FileRole::Mapping(1)).unwrap_err();
                assert_eq!(error.code, CorruptionCode::MappingTruncated, "cut at {len}");
            }
        }
    }

    #[test]
    fn huge_counts_reserve_nothing() {
        let mut bytes = sample(Dialect::V22).to_bytes();
        bytes[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = Mapping::parse(&bytes, Dialect::V22, FileRole::Mapping(1)).unwrap_err();
        assert_eq!(error.code, CorruptionCode::MappingTruncated);
    }

    #[test]
    fn generations_take_turns_in_three_files() {
        // docs::format: generation mod 3 = 2 is in file 1, 0 in file 2, 1 in file 3.
        assert_eq!([389, 390, 391, 392].map(Mapping::slot_of), [1, 2, 3, 1]);
        assert_eq!([2, 3, 4].map(Mapping::slot_of), [1, 2, 3]);
    }
}

//! Admin pages of dialect 2.1: the list of object pages, and the page that names the root of the
//! index.
//!
//! ```text
//! object admin page   0  head mark (1 in logical page 0, else 0)   4  next logical page, 0 = last   8  count
//!                    12  count entries of 16 bytes: logical page, free bytes, CRC-32 of the whole page, zero
//! index admin page    0  signature ADDD   4  own logical page = 0   8  zero   12  logical page of the root
//! ```
//!
//! Source: `docs::format`, "2.1 object admin pages" and "2.1 index admin page".

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes};
use crate::base::site::Site;
use crate::base::widen;
use crate::format::bytes::{put, u32_at};

/// First word of the index admin page.
pub const INDEX_ADMIN_SIGNATURE: u32 = 0x0000_ADDD;

const HEADER_SIZE: usize = 12;

/// Number of entries that an object admin page can hold.
pub const CAPACITY: usize = (PAGE_SIZE - HEADER_SIZE) / size_of::<EntryRaw>();

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct EntryRaw {
    page: U32,
    free_bytes: U32,
    crc: U32,
    zero: U32,
}
const _: () = assert!(size_of::<EntryRaw>() == 16);

/// The entry of an object page in an object admin page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminEntry {
    /// Logical page.
    pub page: u32,
    /// Free bytes of the page.
    pub free_bytes: u32,
    /// CRC-32 of the whole page.
    pub crc: u32,
    /// 0.
    pub zero: u32,
}

/// A page of the chain that lists the object pages of dialect 2.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectAdminPage {
    /// 1 at the head of the chain, else 0.
    pub head_mark: u32,
    /// Logical page of the next page of the chain; 0 for the last.
    pub next: u32,
    /// Its entries, in stored order.
    pub entries: Vec<AdminEntry>,
}

impl ObjectAdminPage {
    /// Parses a page of the chain.
    pub fn parse(bytes: &PageBytes, site: Site) -> Result<Self, Corruption> {
        let field = |offset| u32_at(bytes, offset).unwrap_or_default();
        let count = widen(field(8));
        let table = bytes
            .get(HEADER_SIZE..HEADER_SIZE + 16 * count.min(CAPACITY))
            .filter(|_| count <= CAPACITY);
        let Some(entries) = table.and_then(|table| <[EntryRaw]>::ref_from_bytes(table).ok()) else {
            let detail = format!("{count} entries announced, room for {CAPACITY}");
            return Err(Corruption::new(
                CorruptionCode::AdminChain,
                site.at(8),
                detail,
            ));
        };
        let entry = |raw: &EntryRaw| AdminEntry {
            page: raw.page.get(),
            free_bytes: raw.free_bytes.get(),
            crc: raw.crc.get(),
            zero: raw.zero.get(),
        };
        Ok(Self {
            head_mark: field(0),
            next: field(4),
            entries: entries.iter().map(entry).collect(),
        })
    }

    /// Writes the page over `page`. The bytes after the entries stay.
    pub fn write(&self, page: &mut PageBytes) {
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        for (word, offset) in [self.head_mark, self.next, count]
            .into_iter()
            .zip([0, 4, 8])
        {
            put(page, offset, &word.to_le_bytes());
        }
        for (number, entry) in self.entries.iter().enumerate().take(CAPACITY) {
            let raw = EntryRaw {
                page: U32::new(entry.page),
                free_bytes: U32::new(entry.free_bytes),
                crc: U32::new(entry.crc),
                zero: U32::new(entry.zero),
            };
            put(page, HEADER_SIZE + 16 * number, raw.as_bytes());
        }
    }

    /// Number of bytes used by the header and the entries.
    pub fn used(&self) -> usize {
        HEADER_SIZE + 16 * self.entries.len()
    }
}

/// The root of the index, from the admin page of dialect 2.1.
pub fn index_root(bytes: &PageBytes, site: Site) -> Result<LogicalPage, Corruption> {
    let field = |offset| u32_at(bytes, offset).unwrap_or_default();
    if field(0) != INDEX_ADMIN_SIGNATURE {
        let detail = format!(
            "found {:#010X}, expected {INDEX_ADMIN_SIGNATURE:#010X}",
            field(0)
        );
        return Err(Corruption::new(
            CorruptionCode::IndexSignature,
            site.at(0),
            detail,
        ));
    }
    let root = field(12);
    LogicalPage::new(root).filter(|_| root != 0).ok_or_else(|| {
        Corruption::new(
            CorruptionCode::IndexRoot,
            site.at(12),
            format!("the root is said to be page {root:#X}"),
        )
    })
}

/// Checks that everything except signature and root is zero in an index admin page, including the
/// rest of the page (invariant 11).
pub fn check_index_admin(bytes: &PageBytes, site: Site) -> Option<Corruption> {
    let nonzero = (4..PAGE_SIZE).step_by(4).filter(|&offset| offset != 12);
    let offset = nonzero
        .into_iter()
        .find(|&offset| u32_at(bytes, offset) != Some(0))?;
    Some(Corruption::new(
        CorruptionCode::IndexReserved,
        site.at_index(offset),
        "the admin page of the index",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::site::FileRole;

    const SITE: Site = Site::file(FileRole::Objects);

    #[test]
    fn an_admin_page_reads_back_and_keeps_its_tail() {
        let entries = (1..=509)
            .map(|page| AdminEntry {
                page,
                free_bytes: page * 2,
                crc: page * 3,
                zero: 0,
            })
            .collect();
        let admin = ObjectAdminPage {
            head_mark: 1,
            next: 863,
            entries,
        };
        let mut page = [0xCC; PAGE_SIZE];
        admin.write(&mut page);
        assert_eq!(ObjectAdminPage::parse(&page, SITE).unwrap(), admin);
        assert_eq!(page[admin.used()], 0xCC);
        page[8..12].copy_from_slice(&512u32.to_le_bytes());
        assert_eq!(
            ObjectAdminPage::parse(&page, SITE).unwrap_err().code,
            CorruptionCode::AdminChain
        );
    }

    #[test]
    fn the_root_of_the_index() {
        let mut page = [0; PAGE_SIZE];
        assert_eq!(
            index_root(&page, SITE).unwrap_err().code,
            CorruptionCode::IndexSignature
        );
        page[..4].copy_from_slice(&INDEX_ADMIN_SIGNATURE.to_le_bytes());
        assert_eq!(
            index_root(&page, SITE).unwrap_err().code,
            CorruptionCode::IndexRoot
        );
        page[12] = 100;
        assert_eq!(index_root(&page, SITE).unwrap().get(), 100);
        assert!(check_index_admin(&page, SITE).is_none());
        page[8191] = 1;
        assert!(check_index_admin(&page, SITE).is_some());
    }
}

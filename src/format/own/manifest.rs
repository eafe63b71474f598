//! The manifest of a backup: its content, and the places of the content (`docs::backup`).
//!
//! ```text
//! magic "CIMBKMAN" | content identity (32)
//! two spaces, objects then index:   u32 logical pages | bitmap: mapped | bitmap: included | u32 mapped count
//!                                   | a SHA-256 for each mapped page | u64 length of the data file (forensic), else 0
//!                                   | u32 count, each: u32 page, u32 page below it that is the same page (forensic)
//! u32 chunk count | chunks: u64 offset, the 32 bytes that precede the payload, SHA-256 of the raw payload (bytes) or zeros (pages)
//! summary: u64 keys, class definitions, instances, records, unreadable | u32 namespaces, each: u16 length, first token of its
//!          keys, u64 keys, u64 class definitions, u64 instances
//! u16 length, name of the base file as it was given; empty for a full backup
//! ```
//!
//! A bitmap has one bit for each logical page, starting with the least significant bit of the first
//! byte, in whole bytes. The included pages of a space are stored in its chunks in ascending order,
//! with the chunks in the order of their offsets.

use super::backup_file::{CHUNK_HEADER_SIZE, ChunkHeader, Digest};
use crate::base::escape::is_invisible;
use crate::base::limits::MAX_LOGICAL_PAGES;
use crate::base::page_no::{LogicalPage, Space};
use crate::base::{narrow, widen};
use crate::format::bytes::Reader;

const MAGIC: [u8; 8] = *b"CIMBKMAN";

/// The content of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// SHA-256 of the content of the repository, equal for equal content, wherever its pages lie.
    pub content_identity: Digest,
    /// The pages of both spaces.
    pub spaces: [SpaceManifest; 2],
    /// The chunks in order of their offsets.
    pub chunks: Vec<ChunkEntry>,
    /// Numbers of objects in the repository.
    pub summary: Summary,
    /// File name of the base, as a hint for finding it: empty, or [plain](is_plain_name).
    pub base_name: String,
}

/// The pages of a space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpaceManifest {
    /// The states of the pages, by logical page.
    pub pages: Vec<PageState>,
    /// Length of the data file in a forensic backup, in bytes, or [`NO_FILE`] if there is none; 0
    /// in other backups.
    pub file_length: u64,
}

/// Length that a forensic backup states for a missing data file.
pub const NO_FILE: u64 = u64::MAX;

/// The state of a logical page in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageState {
    /// The logical page has no page.
    #[default]
    Unmapped,
    /// The page is in this backup.
    Included(Digest),
    /// The page is in the base.
    InBase(Digest),
    /// The page is that of a lower logical page, because damage maps both to one place. It has the
    /// same content, and a forensic backup holds it once.
    Same(LogicalPage, Digest),
}

impl PageState {
    /// SHA-256 of the page, if there is one.
    pub const fn digest(&self) -> Option<&Digest> {
        match self {
            PageState::Unmapped => None,
            PageState::Included(digest)
            | PageState::InBase(digest)
            | PageState::Same(_, digest) => Some(digest),
        }
    }
}

/// A chunk and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkEntry {
    /// Offset of its header in the file.
    pub offset: u64,
    /// Its header.
    pub header: ChunkHeader,
    /// SHA-256 of the uncompressed payload; zeros for
    /// [`ChunkKind::Pages`](super::backup_file::ChunkKind::Pages), whose pages have their own
    /// digests.
    pub digest: Digest,
}

/// Numbers of objects in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Summary {
    /// Number of keys of the index.
    pub keys: u64,
    /// Number of class definitions.
    pub class_definitions: u64,
    /// Number of instances.
    pub instances: u64,
    /// Number of records of the object heap that keys name.
    pub records: u64,
    /// Number of parts of the index that could not be read.
    pub unreadable: u64,
    /// The namespaces, in the order of their keys.
    pub namespaces: Vec<NamespaceSummary>,
}

/// Numbers of objects in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NamespaceSummary {
    /// The first token of its keys: `NS_` and the hash of its name.
    pub token: String,
    /// Number of keys.
    pub keys: u64,
    /// Number of class definitions.
    pub class_definitions: u64,
    /// Number of instances.
    pub instances: u64,
}

impl Manifest {
    /// The pages of a space.
    pub const fn space(&self, space: Space) -> &SpaceManifest {
        let [objects, index] = &self.spaces;
        match space {
            Space::Objects => objects,
            Space::Index => index,
        }
    }

    /// Encodes the manifest.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.content_identity);
        for space in &self.spaces {
            space.write(&mut bytes);
        }
        bytes.extend_from_slice(&narrow(self.chunks.len()).to_le_bytes());
        for chunk in &self.chunks {
            bytes.extend_from_slice(&chunk.offset.to_le_bytes());
            bytes.extend_from_slice(&chunk.header.to_bytes());
            bytes.extend_from_slice(&chunk.digest);
        }
        self.summary.write(&mut bytes);
        write_text(&self.base_name, &mut bytes);
        bytes
    }

    /// Parses a manifest; `None` if it contradicts itself. Nothing is allocated for content that is
    /// missing.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != MAGIC {
            return None;
        }
        let content_identity = reader.array()?;
        let spaces = [
            SpaceManifest::parse(&mut reader)?,
            SpaceManifest::parse(&mut reader)?,
        ];
        let count = widen(reader.u32()?);
        let mut chunks = Vec::with_capacity(count.min(reader.remaining() / CHUNK_HEADER_SIZE));
        for _ in 0..count {
            let offset = reader.u64()?;
            let header = ChunkHeader::parse(reader.take(CHUNK_HEADER_SIZE)?)?;
            chunks.push(ChunkEntry {
                offset,
                header,
                digest: reader.array()?,
            });
        }
        let summary = Summary::parse(&mut reader)?;
        let base_name =
            read_text(&mut reader).filter(|name| name.is_empty() || is_plain_name(name))?;
        (reader.remaining() == 0).then_some(Self {
            content_identity,
            spaces,
            chunks,
            summary,
            base_name,
        })
    }
}

/// True if a text is just a file name on every system: it leads to no other directory, and is
/// printed unchanged.
pub fn is_plain_name(name: &str) -> bool {
    let is_plain = |c: char| !is_invisible(c) && !"/\\:*?\"<>|".contains(c);
    !matches!(name, "" | "." | "..") && name.len() <= 255 && name.chars().all(is_plain)
}

impl SpaceManifest {
    /// The state of a logical page.
    pub fn page(&self, page: LogicalPage) -> PageState {
        self.pages.get(page.index()).copied().unwrap_or_default()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&narrow(self.pages.len()).to_le_bytes());
        write_bitmap(self.pages.iter().map(|page| page.digest().is_some()), bytes);
        write_bitmap(
            self.pages
                .iter()
                .map(|page| matches!(page, PageState::Included(_))),
            bytes,
        );
        let digests = || self.pages.iter().filter_map(PageState::digest);
        bytes.extend_from_slice(&narrow(digests().count()).to_le_bytes());
        digests().for_each(|digest| bytes.extend_from_slice(digest));
        bytes.extend_from_slice(&self.file_length.to_le_bytes());
        let same = || {
            (0u32..)
                .zip(&self.pages)
                .filter_map(|(page, state)| match state {
                    PageState::Same(as_page, _) => Some([page, as_page.get()]),
                    _ => None,
                })
        };
        bytes.extend_from_slice(&narrow(same().count()).to_le_bytes());
        same()
            .flatten()
            .for_each(|page| bytes.extend_from_slice(&page.to_le_bytes()));
    }

    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let count = widen(reader.u32().filter(|&count| count <= MAX_LOGICAL_PAGES)?);
        let mapped = reader.take(count.div_ceil(8))?;
        let included = reader.take(count.div_ceil(8))?;
        let mut digests = widen(reader.u32()?);
        let mut pages = Vec::with_capacity(count);
        for page in 0..count {
            pages.push(match (bit(mapped, page), bit(included, page)) {
                (false, false) => PageState::Unmapped,
                (false, true) => return None,
                (true, is_included) => {
                    digests = digests.checked_sub(1)?;
                    let digest = reader.array()?;
                    if is_included {
                        PageState::Included(digest)
                    } else {
                        PageState::InBase(digest)
                    }
                }
            });
        }
        let file_length = reader.u64()?;
        for _ in 0..reader.u32()? {
            mark_same(&mut pages, reader.u32()?, reader.u32()?)?;
        }
        (digests == 0).then_some(Self { pages, file_length })
    }
}

/// Marks a page as equal to a lower one that has its own page with the same content; `None` if that
/// is not the case.
fn mark_same(pages: &mut [PageState], page: u32, as_page: u32) -> Option<()> {
    let own = match pages.get(widen(as_page)).filter(|_| as_page < page)? {
        PageState::Included(digest) | PageState::InBase(digest) => *digest,
        PageState::Unmapped | PageState::Same(..) => return None,
    };
    let state = pages
        .get_mut(widen(page))
        .filter(|state| **state == PageState::InBase(own))?;
    *state = PageState::Same(LogicalPage::new(as_page)?, own);
    Some(())
}

fn write_bitmap(bits: impl ExactSizeIterator<Item = bool>, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.resize(start + bits.len().div_ceil(8), 0);
    for (number, _) in bits.enumerate().filter(|(_, bit)| *bit) {
        if let Some(byte) = bytes.get_mut(start + number / 8) {
            *byte |= 1 << (number % 8);
        }
    }
}

fn bit(bitmap: &[u8], number: usize) -> bool {
    bitmap
        .get(number / 8)
        .is_some_and(|byte| byte >> (number % 8) & 1 == 1)
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    let text = text.as_bytes();
    let text = text
        .get(..text.len().min(usize::from(u16::MAX)))
        .unwrap_or_default();
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend_from_slice(text);
}

fn read_text(reader: &mut Reader<'_>) -> Option<String> {
    let len = usize::from(reader.u16()?);
    String::from_utf8(reader.take(len)?.to_vec()).ok()
}

impl Summary {
    fn write(&self, bytes: &mut Vec<u8>) {
        for count in [
            self.keys,
            self.class_definitions,
            self.instances,
            self.records,
            self.unreadable,
        ] {
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes.extend_from_slice(&narrow(self.namespaces.len()).to_le_bytes());
        for namespace in &self.namespaces {
            write_text(&namespace.token, bytes);
            for count in [
                namespace.keys,
                namespace.class_definitions,
                namespace.instances,
            ] {
                bytes.extend_from_slice(&count.to_le_bytes());
            }
        }
    }

    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let (keys, class_definitions, instances) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (records, unreadable) = (reader.u64()?, reader.u64()?);
        let count = widen(reader.u32()?);
        let mut namespaces = Vec::with_capacity(count.min(reader.remaining() / 26));
        for _ in 0..count {
            namespaces.push(NamespaceSummary {
                token: read_text(reader)?,
                keys: reader.u64()?,
                class_definitions: reader.u64()?,
                instances: reader.u64()?,
            });
        }
        Some(Self {
            keys,
            class_definitions,
            instances,
            records,
            unreadable,
            namespaces,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::own::backup_file::ChunkKind;
    use proptest::prelude::*;

    fn manifest() -> impl Strategy<Value = Manifest> {
        let page = prop_oneof![
            Just(PageState::Unmapped),
            any::<Digest>().prop_map(PageState::Included),
            any::<Digest>().prop_map(PageState::InBase),
        ];
        let space = (prop::collection::vec(page, 0..30), any::<u64>())
            .prop_map(|(pages, file_length)| SpaceManifest { pages, file_length });
        let chunk = (any::<u64>(), any::<[u32; 5]>(), any::<Digest>()).prop_map(
            |(offset, numbers, digest)| ChunkEntry {
                offset,
                header: ChunkHeader {
                    kind: ChunkKind::FreePages(Space::Index),
                    codec: 1,
                    first: numbers[0],
                    last: numbers[1],
                    count: numbers[2],
                    stored: numbers[3],
                    payload_crc: numbers[4],
                },
                digest,
            },
        );
        let namespace =
            ("NS_[0-9A-F]{4}", any::<[u64; 3]>()).prop_map(|(token, n)| NamespaceSummary {
                token,
                keys: n[0],
                class_definitions: n[1],
                instances: n[2],
            });
        let summary = (any::<[u64; 5]>(), prop::collection::vec(namespace, 0..5)).prop_map(
            |(n, namespaces)| Summary {
                keys: n[0],
                class_definitions: n[1],
                instances: n[2],
                records: n[3],
                unreadable: n[4],
                namespaces,
            },
        );
        let chunks = prop::collection::vec(chunk, 0..6);
        (
            any::<Digest>(),
            [space.clone(), space],
            chunks,
            summary,
            "[a-z]{0,12}",
        )
            .prop_map(
                |(content_identity, spaces, chunks, summary, base_name)| Manifest {
                    content_identity,
                    spaces,
                    chunks,
                    summary,
                    base_name,
                },
            )
    }

    #[test]
    fn pages_that_are_the_same_read_back_and_lie_below() {
        let page = |number| LogicalPage::new(number).unwrap();
        let (one, two) = ([1; 32], [2; 32]);
        let read = |pages: Vec<PageState>| {
            let mut manifest = Manifest::default();
            manifest.spaces[0].pages = pages;
            Manifest::parse(&manifest.to_bytes()).map(|read| read == manifest)
        };
        let included = PageState::Included(one);
        assert_eq!(
            read(vec![
                included,
                PageState::Unmapped,
                PageState::Same(page(0), one)
            ]),
            Some(true)
        );
        assert_eq!(
            read(vec![PageState::InBase(one), PageState::Same(page(0), one)]),
            Some(true)
        );
        let same = PageState::Same(page(0), one);
        for wrong in [
            vec![same],
            vec![PageState::Unmapped, same],
            vec![PageState::Included(two), same],
            vec![PageState::Same(page(1), one), included],
            vec![included, same, PageState::Same(page(1), one)],
            vec![included, PageState::Same(page(7), one)],
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_name_of_a_base_that_leads_elsewhere_or_shows_as_another_is_refused() {
        for name in [
            "..",
            ".",
            "a/b",
            "/etc/passwd",
            "..\\b",
            "c:x",
            "a\nb",
            "\u{1b}[2J",
            "x\u{202e}kabmic.a",
            "a\0",
        ] {
            assert!(!is_plain_name(name), "{name:?}");
            let manifest = Manifest {
                base_name: name.to_owned(),
                ..Manifest::default()
            };
            assert_eq!(Manifest::parse(&manifest.to_bytes()), None, "{name:?}");
        }
        for name in ["monday.cimbak", "..monday", "Größe 1 (alt).bak"] {
            assert!(is_plain_name(name), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_manifest_reads_back(manifest in manifest()) {
            prop_assert_eq!(Manifest::parse(&manifest.to_bytes()), Some(manifest));
        }

        #[test]
        fn cut_or_changed_ones_do_not_panic(manifest in manifest(), at in 0..4000usize, value: u8) {
            let mut bytes = manifest.to_bytes();
            let at = at % bytes.len();
            prop_assert_eq!(Manifest::parse(&bytes[..at]), None);
            bytes[at] = value;
            let _ = Manifest::parse(&bytes);
        }
    }
}

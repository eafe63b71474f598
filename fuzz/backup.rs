//! The target `backup`: it edits the backup of a tiny repository, and reads
//! what came of it.
//!
//! ```text
//! byte 0          which backup: bits 0 and 1 (plain, compressed, forensic, of dialect 2.1), or, with bit 3, one of files
//!                 without a mapping; bit 2: make checksums, digests and seal fit after the edits, so that they reach what
//!                 lies behind
//! then, repeated  u24 offset, counted from the end of the file if its top bit is set | u8 n | n bytes to write there;
//!                 n = 255: the file is cut there
//! ```

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use cimrepo::backup::{
    Backup, BackupOptions, Compression, OpenBackup, backup_in, backup_unmapped_in,
};
use cimrepo::base::page_no::{LogicalPage, PAGE_SIZE, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::base::site::FileRole;
use cimrepo::format::Dialect;
use cimrepo::format::checksum::crc32;
use cimrepo::format::mapping::Mapping;
use cimrepo::format::own::backup_file::{
    CHUNK_HEADER_SIZE, ChunkKind, Digest, HEADER_SIZE, Header, TRAILER_SIZE, Trailer,
};
use cimrepo::format::own::manifest::{ChunkEntry, Manifest, PageState};
use cimrepo::restore::{RestoreOptions, restore_in};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::{OpenOptions, UnmappedFiles};
use cimrepo::verify::{VerifyOptions, verify};
use sha2::{Digest as _, Sha256};

use super::{lay_out, template};

/// The bit of the first byte that asks for fitting checksums.
const REPAIR: u8 = 4;

/// The bit that stands for the backup of files without a mapping.
pub(crate) const UNMAPPED: u8 = 8;

/// The input is a choice of a backup and edits of it.
pub(crate) fn backup(input: &[u8]) {
    let Some((&flags, edits)) = input.split_first() else {
        return;
    };
    let mut bytes = seed(flags).to_vec();
    edit(&mut bytes, edits);
    if flags & REPAIR != 0 {
        repair(&mut bytes);
    }
    let memory = MemStorage::new();
    memory.put("b", bytes.clone());
    let storage: Arc<dyn Storage> = Arc::new(memory);
    match OpenBackup::new().open_in(&storage, "b") {
        Ok(opened) => read_through(&opened, &storage, bytes == seed(flags)),
        Err(error) => assert!(
            bytes != seed(flags) && !error.to_string().is_empty(),
            "an intact backup opens: {error}"
        ),
    }
}

/// Everything that a backup can be asked for ends; what restores is a clean repository with the
/// same content.
fn read_through(opened: &Backup, storage: &Arc<dyn Storage>, is_intact: bool) {
    let snapshot = opened.snapshot();
    let counts = snapshot.counts();
    for space in Space::ALL {
        for (page, ..) in snapshot.mapping().section(space).mapped().take(64) {
            snapshot.page(space, page).err();
        }
    }
    assert!(opened.info().chain == 1, "no base is at hand");
    let one = VerifyOptions {
        threads: std::num::NonZeroUsize::new(1),
        all_generations: false,
    };
    let is_clean = opened
        .verify(one, &Unobserved)
        .is_ok_and(|report| report.is_consistent());
    let target = Directory::new(storage.clone(), "restored");
    let options = RestoreOptions {
        threads: one.threads,
        ..RestoreOptions::default()
    };
    let restored = restore_in(opened, &target, options, &Unobserved);
    assert_eq!(
        restored.is_ok(),
        is_clean,
        "what verifies is restored, and nothing else: {restored:?}"
    );
    assert!(
        is_clean != opened.is_unmapped() || !is_intact,
        "an intact backup of a generation verifies clean"
    );
    if opened.is_unmapped() {
        assert!(!is_clean, "there is no generation that could be clean");
        let options = RestoreOptions {
            damaged: true,
            ..options
        };
        let restored = restore_in(opened, &target, options, &Unobserved);
        assert!(
            restored.is_ok() || !is_intact,
            "its files come back: {restored:?}"
        );
    }
    if is_clean {
        let repository = OpenOptions::new()
            .open_in(&target)
            .expect("a restored repository opens");
        let report = verify(&repository, one, &Unobserved).expect("memory does not fail");
        assert!(
            report.has_sound_generations(),
            "a restored repository is clean: {:?}",
            report.findings().next()
        );
        assert_eq!(repository.snapshot().counts(), counts, "nothing is lost");
    }
}

/// The backups that are edited.
fn seed(flags: u8) -> &'static [u8] {
    static SEEDS: OnceLock<[Vec<u8>; 5]> = OnceLock::new();
    let plain = BackupOptions {
        compression: Compression::None,
        ..BackupOptions::default()
    };
    let seeds = SEEDS.get_or_init(|| {
        [
            make(0, &plain),
            make(0, &BackupOptions::default()),
            make(
                0,
                &BackupOptions {
                    forensic: true,
                    ..plain.clone()
                },
            ),
            make(2, &plain),
            make_unmapped(&BackupOptions {
                forensic: true,
                ..plain.clone()
            }),
        ]
    });
    &seeds[if flags & UNMAPPED != 0 {
        4
    } else {
        usize::from(flags & 3)
    }]
}

/// The backup of a template, with a fixed identity and time: an input means the same in each run.
fn make(template_flags: u8, options: &BackupOptions) -> Vec<u8> {
    let repository = OpenOptions::new().open_in(&lay_out(template(template_flags).clone(), false));
    let repository = repository.expect("a template opens");
    let memory = MemStorage::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let options = BackupOptions {
        threads: std::num::NonZeroUsize::new(1),
        ..options.clone()
    };
    backup_in(&repository, &storage, "b", &options, &Unobserved)
        .expect("a template can be backed up");
    fixed(memory.get("b").expect("the backup was written"))
}

/// The backup of a template without its mappings.
fn make_unmapped(options: &BackupOptions) -> Vec<u8> {
    let mut files = template(0).clone();
    for (role, file) in FileRole::REPOSITORY.into_iter().zip(&mut files) {
        if !matches!(role, FileRole::Objects | FileRole::Index) {
            *file = None;
        }
    }
    let files = UnmappedFiles::open_in(&lay_out(files, false)).expect("data files are there");
    let memory = MemStorage::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let options = BackupOptions {
        threads: std::num::NonZeroUsize::new(1),
        ..options.clone()
    };
    backup_unmapped_in(&files, &storage, "b", &options, &Unobserved)
        .expect("files can be backed up");
    fixed(memory.get("b").expect("the backup was written"))
}

/// A backup with the identity and time that all have here.
fn fixed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[16..32].fill(0x11);
    bytes[80..88].fill(0);
    let trailer = bytes.len() - TRAILER_SIZE;
    bytes[trailer + 32..trailer + 48].fill(0x11);
    repair(&mut bytes);
    bytes
}

fn edit(bytes: &mut Vec<u8>, mut edits: &[u8]) {
    while let Some(([a, b, c, count], rest)) = edits.split_first_chunk() {
        let distance = usize::from(*a) | usize::from(*b) << 8 | usize::from(*c & 0x7F) << 16;
        let offset = if c & 0x80 == 0 {
            distance
        } else {
            bytes.len().saturating_sub(distance)
        };
        if *count == u8::MAX {
            bytes.truncate(offset);
            edits = rest;
            continue;
        }
        let (data, rest) = rest.split_at(usize::from(*count).min(rest.len()));
        for (target, value) in bytes.iter_mut().skip(offset).zip(data) {
            *target = *value;
        }
        edits = rest;
    }
}

/// Makes every checksum and digest fit what is there, from the inside out.
fn repair(bytes: &mut [u8]) {
    if bytes.len() < HEADER_SIZE + TRAILER_SIZE {
        return;
    }
    let trailer = bytes.len() - TRAILER_SIZE..bytes.len();
    close(bytes, 0..HEADER_SIZE);
    let number = |at: usize| {
        let word = bytes[trailer.start + at..][..8]
            .try_into()
            .expect("eight bytes");
        usize::try_from(u64::from_le_bytes(word)).unwrap_or(usize::MAX)
    };
    let (start, length) = (number(16), number(24));
    if let Some(manifest) = start
        .checked_add(length)
        .filter(|&end| end <= trailer.start)
        .map(|end| start..end)
    {
        repair_manifest(bytes, manifest.clone());
        let seal = Sha256::new()
            .chain_update(&bytes[..HEADER_SIZE])
            .chain_update(&bytes[manifest])
            .finalize();
        bytes[trailer.start + 48..trailer.start + 80].copy_from_slice(&seal);
    }
    close(bytes, trailer);
}

/// Writes the CRC-32 of a header or trailer into its last four bytes.
fn close(bytes: &mut [u8], range: Range<usize>) {
    let crc = crc32(&bytes[range.start..range.end - 4]);
    bytes[range.end - 4..range.end].copy_from_slice(&crc.to_le_bytes());
}

fn repair_manifest(bytes: &mut [u8], range: Range<usize>) {
    let Some(mut manifest) = Manifest::parse(&bytes[range.clone()]) else {
        return;
    };
    let mut roots = [0, 0];
    for number in 0..manifest.chunks.len() {
        let mut entry = manifest.chunks[number];
        let Some(payload) = payload_of(bytes, &entry) else {
            continue;
        };
        entry.header.payload_crc = crc32(payload);
        if entry.header.codec == 0 {
            restate(&mut manifest, &mut entry, payload, &mut roots);
        }
        let start = usize::try_from(entry.offset).expect("the payload behind it was found");
        bytes[start..start + CHUNK_HEADER_SIZE].copy_from_slice(&entry.header.to_bytes());
        manifest.chunks[number] = entry;
    }
    // The root stands in the mapping; one that is compressed was not looked into, nor were its
    // pages.
    let first_file = manifest
        .chunks
        .iter()
        .find(|entry| matches!(entry.header.kind, ChunkKind::File(_)));
    if first_file.is_none_or(|entry| entry.header.codec == 0) {
        manifest.content_identity = identity(bytes, &manifest, roots);
    }
    let made = manifest.to_bytes();
    if made.len() == range.len() {
        bytes[range].copy_from_slice(&made);
    }
}

fn payload_of<'b>(bytes: &'b [u8], entry: &ChunkEntry) -> Option<&'b [u8]> {
    let start = usize::try_from(entry.offset)
        .ok()?
        .checked_add(CHUNK_HEADER_SIZE)?;
    bytes.get(start..start.checked_add(usize::try_from(entry.header.stored).ok()?)?)
}

/// Makes digests fit a payload that is not compressed, and takes the roots from a mapping.
fn restate(manifest: &mut Manifest, entry: &mut ChunkEntry, payload: &[u8], roots: &mut [u32; 2]) {
    let pages = usize::try_from(entry.header.count)
        .unwrap_or(usize::MAX)
        .saturating_mul(PAGE_SIZE);
    match entry.header.kind {
        ChunkKind::Pages(space) => {
            let Some((pages, numbers)) = payload.split_at_checked(pages) else {
                return;
            };
            let states = &mut manifest.spaces[usize::from(space == Space::Index)].pages;
            for (page, number) in pages.chunks_exact(PAGE_SIZE).zip(numbers.as_chunks().0) {
                let state = LogicalPage::new(u32::from_le_bytes(*number))
                    .and_then(|page| states.get_mut(page.index()));
                if let Some(state @ PageState::Included(_)) = state {
                    *state = PageState::Included(Sha256::digest(page).into());
                }
            }
        }
        ChunkKind::FreePages(_) => {
            entry.digest = payload
                .get(..pages)
                .map_or(entry.digest, |pages| Sha256::digest(pages).into());
        }
        ChunkKind::File(role) => {
            entry.digest = Sha256::digest(payload).into();
            let parsed = Mapping::parse(payload, Dialect::V22, role);
            if let (Ok(parsed), true) = (parsed, *roots == [0, 0]) {
                *roots = Space::ALL.map(|space| {
                    parsed
                        .mapping
                        .section(space)
                        .entries
                        .first()
                        .map_or(0, |entry| entry.user_data)
                });
            }
        }
        ChunkKind::Tail(_) | ChunkKind::Journal => entry.digest = Sha256::digest(payload).into(),
    }
}

/// The content identity as `docs::backup` defines it.
fn identity(bytes: &[u8], manifest: &Manifest, roots: [u32; 2]) -> Digest {
    let Ok(header) = Header::parse(&bytes[..HEADER_SIZE]) else {
        return manifest.content_identity;
    };
    let mut hash = Sha256::new();
    if header.is_unmapped() {
        for chunk in &manifest.chunks {
            hash.update([chunk.header.kind.number()]);
            hash.update(chunk.digest);
        }
        return hash.finalize().into();
    }
    hash.update(header.dialect.as_str());
    for (space, root) in manifest.spaces.iter().zip(roots) {
        hash.update(
            u32::try_from(space.pages.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        hash.update(root.to_le_bytes());
        for page in &space.pages {
            hash.update([u8::from(page.digest().is_some())]);
            hash.update(page.digest().map_or(&[][..], |digest| &digest[..]));
        }
    }
    hash.finalize().into()
}

/// Where the parts of a backup begin, for the edits of seeds.
#[allow(
    dead_code,
    reason = "the seeds are made by the test that replays them, not by the targets"
)]
pub(crate) fn parts(flags: u8) -> (usize, usize, Vec<usize>) {
    let bytes = seed(flags);
    let trailer_at = bytes.len() - TRAILER_SIZE;
    let trailer =
        Trailer::parse(&bytes[trailer_at..], bytes.len() as u64).expect("a seed is intact");
    let manifest_at = usize::try_from(trailer.manifest_offset).expect("a small file");
    let manifest = Manifest::parse(&bytes[manifest_at..trailer_at]).expect("a seed is intact");
    let chunks = manifest
        .chunks
        .iter()
        .map(|chunk| usize::try_from(chunk.offset).expect("a small file"))
        .collect();
    (manifest_at, trailer_at, chunks)
}

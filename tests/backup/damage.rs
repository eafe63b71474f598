//! Changed, cut and foreign files: always an error that says which of these it is, and nothing
//! else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use cimrepo::backup::{BackupOptions, Compression};
use cimrepo::base::corruption::CorruptionCode;
use cimrepo::base::error::{BackupFault, HResult};
use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::format::Dialect;
use cimrepo::format::checksum::crc32;
use cimrepo::format::own::backup_file::{CHUNK_HEADER_SIZE, HEADER_SIZE, TRAILER_SIZE};
use cimrepo::storage::MemStorage;

use crate::support::small::Numbers;
use crate::support::{Files, PLACE, corpus, in_memory, load, name_of};
use crate::tiny::{
    DIALECTS, NEW, REPLACE, bytes_of, checked, fault_of, listing, load_into, save, single,
    stored_at, tiny,
};

/// Flips in each backup of a generated repository, and in each of a real one.
const FLIPS: usize = 2_000;
const FLIPS_IN_REAL: usize = 300;

fn backup_of(files: &Files, options: &BackupOptions) -> Vec<u8> {
    let (storage, _) = in_memory(files);
    save(&storage, PLACE, "backup", options).unwrap();
    bytes_of(&storage, Path::new("backup"))
}

/// A byte and the bit of it that is flipped.
type Flip = (usize, u8);

/// Every byte of header, trailer, chunk headers and of the beginning and end of the manifest, and
/// with equal distances as many others as are wanted in all.
fn flips(bytes: &[u8], count: usize) -> Vec<Flip> {
    let storage = MemStorage::new();
    storage.put("backup", bytes.to_vec());
    let backup = checked(&storage, "backup").unwrap();
    let chunks = &backup.manifest().chunks;
    let end = |offset: u64, stored: u32| {
        usize::try_from(offset + u64::from(stored)).unwrap() + CHUNK_HEADER_SIZE
    };
    let manifest = chunks
        .last()
        .map(|chunk| end(chunk.offset, chunk.header.stored))
        .unwrap();
    let trailer = bytes.len() - TRAILER_SIZE;
    let mut places: Vec<usize> = (0..HEADER_SIZE).chain(trailer..bytes.len()).collect();
    places.extend(manifest..manifest + 64);
    places.extend(trailer - 64..trailer);
    for chunk in chunks {
        let at = usize::try_from(chunk.offset).unwrap();
        places.extend(at..at + CHUNK_HEADER_SIZE);
    }
    places.truncate(count);
    let more = count.saturating_sub(places.len()).max(1);
    // The distance is odd, so that the places drift through the pages.
    let distance = (bytes.len() - HEADER_SIZE - 7) / more;
    places.extend((HEADER_SIZE + 7..bytes.len()).step_by((distance.max(2) - 1) | 1));
    let mut numbers = Numbers(3);
    places
        .into_iter()
        .map(|place| (place, numbers.next().to_le_bytes()[0] % 8))
        .collect()
}

/// Runs a check for each of many, on two threads.
fn on_two_threads<T: Sync>(all: &[T], check: impl Fn(&[T]) + Sync) {
    let (left, right) = all.split_at(all.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| check(left));
        scope.spawn(|| check(right));
    });
}

/// Asserts that opening and verifying a file is an error; gives its fault.
fn fault_in(storage: &MemStorage, path: &str, what: &str) -> BackupFault {
    let result = catch_unwind(AssertUnwindSafe(|| checked(storage, path)));
    let error = result
        .unwrap_or_else(|_| panic!("{what}: a panic"))
        .err()
        .unwrap_or_else(|| panic!("{what}: not seen"));
    fault_of(&error)
        .unwrap_or_else(|| panic!("{what}: {error}"))
        .clone()
}

fn assert_each_flip_is_seen(bytes: &[u8], flips: &[Flip], what: &str) {
    on_two_threads(flips, |flips| {
        let storage = MemStorage::new();
        for &(place, bit) in flips {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1 << bit;
            storage.put("backup", changed);
            let what = format!("{what}, bit {bit} of byte {place}");
            let fault = fault_in(&storage, "backup", &what);
            assert!(matches!(fault, BackupFault::Checksum(_)), "{what}: {fault}");
        }
    });
    println!(
        "{what}: {} bytes, {} flips, all seen as damage",
        bytes.len(),
        flips.len()
    );
}

#[test]
fn every_flipped_bit_is_seen_as_damage() {
    for dialect in DIALECTS {
        for compression in [Compression::None, Compression::Lz4] {
            let bytes = backup_of(
                &tiny(dialect, 1),
                &BackupOptions {
                    compression,
                    ..single()
                },
            );
            let flips = flips(&bytes, FLIPS);
            assert!(flips.len() >= FLIPS);
            assert_each_flip_is_seen(&bytes, &flips, &format!("{dialect}, {compression:?}"));
        }
    }
}

#[test]
fn every_flipped_bit_of_a_forensic_backup_is_seen() {
    let bytes = backup_of(
        &crate::support::small::small_v22(),
        &BackupOptions {
            forensic: true,
            ..single()
        },
    );
    let flips: Vec<Flip> = flips(&bytes, FLIPS).into_iter().step_by(4).collect();
    assert_each_flip_is_seen(&bytes, &flips, "forensic");
}

#[test]
fn flipped_bits_in_backups_of_real_repositories_are_seen() {
    for path in corpus("flipped_bits_in_backups_of_real_repositories_are_seen") {
        let bytes = backup_of(&load(&path), &single());
        let mut numbers = Numbers(11);
        let places = |_| usize::try_from(numbers.next() % bytes.len() as u64).unwrap();
        let mut places: Vec<usize> = (0..FLIPS_IN_REAL).map(places).collect();
        places.sort_unstable();
        let storage = MemStorage::new();
        storage.put("backup", bytes.clone());
        for place in &places {
            // In place: a copy for each would take longer than the check of the one chunk.
            flip(&storage, *place);
            let fault = first_fault(&storage, *place);
            assert!(
                matches!(fault, BackupFault::Checksum(_)),
                "byte {place}: {fault}"
            );
            flip(&storage, *place);
        }
        checked(&storage, "backup").unwrap();
        println!(
            "{}: {} bytes, {} flips, all seen",
            name_of(&path),
            bytes.len(),
            places.len()
        );
    }
}

fn flip(storage: &MemStorage, place: usize) {
    use cimrepo::storage::{OpenMode, Storage, read_exact_at, write_all_at};
    let file = storage.open(Path::new("backup"), OpenMode::Write).unwrap();
    let mut byte = [0];
    read_exact_at(&*file, place as u64, &mut byte).unwrap();
    write_all_at(&*file, place as u64, &[byte[0] ^ 1 << (place % 8)]).unwrap();
}

/// The fault that reading just the damaged place gives: a whole verification of a large file for
/// each is too slow. What opening does not see lies in a chunk; its pages are read.
fn first_fault(storage: &MemStorage, place: usize) -> BackupFault {
    let backup =
        match cimrepo::backup::OpenBackup::new().open_in(&crate::tiny::shared(storage), "backup") {
            Ok(backup) => backup,
            Err(error) => return fault_of(&error).unwrap().clone(),
        };
    let is_here = |offset: u64, stored: u32| {
        let at = usize::try_from(offset).unwrap();
        (at..at + CHUNK_HEADER_SIZE + usize::try_from(stored).unwrap()).contains(&place)
    };
    let chunk = backup
        .manifest()
        .chunks
        .iter()
        .find(|chunk| is_here(chunk.offset, chunk.header.stored))
        .unwrap();
    let cimrepo::format::own::backup_file::ChunkKind::Pages(space) = chunk.header.kind else {
        panic!("not a chunk of pages")
    };
    let page = crate::support::small::logical(chunk.header.first);
    let error = backup
        .snapshot()
        .page(space, page)
        .err()
        .unwrap_or_else(|| panic!("byte {place}: not seen"));
    fault_of(&error).unwrap().clone()
}

#[test]
fn a_damaged_backup_is_not_restored_and_the_target_is_untouched() {
    let (storage, _) = in_memory(&tiny(Dialect::V22, 0));
    let bytes = backup_of(&tiny(Dialect::V22, 1), &single());
    let before = listing(&storage, PLACE);
    for (place, bit) in flips(&bytes, FLIPS).into_iter().step_by(17) {
        let mut changed = bytes.clone();
        changed[place] ^= 1 << bit;
        storage.put("backup", changed);
        for (into, options) in [(PLACE, REPLACE), ("nothing here", NEW)] {
            let error = load_into(&storage, "backup", into, options).unwrap_err();
            assert!(
                matches!(fault_of(&error), Some(BackupFault::Checksum(_))),
                "byte {place}: {error}"
            );
        }
    }
    assert!(listing(&storage, PLACE) == before);
    let root = cimrepo::storage::Storage::read_dir(&storage, Path::new(".")).unwrap();
    assert_eq!(root.len(), 2, "{root:?}");
}

#[test]
fn a_cut_backup_is_called_truncated_wherever_it_ends() {
    for dialect in DIALECTS {
        let bytes = backup_of(&tiny(dialect, 1), &single());
        let trailer = bytes.len() - TRAILER_SIZE;
        let borders = (0..bytes.len())
            .step_by(512)
            .chain(0..HEADER_SIZE + 40)
            .chain(trailer - 40..bytes.len());
        let borders: Vec<usize> = borders.collect();
        on_two_threads(&borders, |borders| {
            let storage = MemStorage::new();
            for &end in borders {
                storage.put("backup", bytes[..end].to_vec());
                let what = format!("{dialect}, cut at {end} of {}", bytes.len());
                let fault = fault_in(&storage, "backup", &what);
                // With less than the magic there is nothing that could be called a backup.
                let expected = if end < 8 {
                    matches!(fault, BackupFault::NotABackup)
                } else {
                    matches!(fault, BackupFault::Truncated(_))
                };
                assert!(expected, "{what}: {fault}");
            }
        });
        println!(
            "{dialect}: cut at {} places of {} bytes",
            borders.len(),
            bytes.len()
        );
    }
}

#[test]
fn bytes_behind_the_end_are_seen() {
    let bytes = backup_of(&tiny(Dialect::V22, 1), &single());
    let trailer = bytes[bytes.len() - TRAILER_SIZE..].to_vec();
    let random: Vec<u8> = (0..5_000u32)
        .flat_map(|number| crc32(&number.to_le_bytes()).to_le_bytes())
        .collect();
    let storage = MemStorage::new();
    for garbage in [
        &[0][..],
        b"\n",
        &[0; 96],
        &[0xFF; 512],
        &[0; 4096],
        &trailer,
        &random,
        &bytes,
    ] {
        storage.put("backup", [&bytes[..], garbage].concat());
        let fault = fault_in(&storage, "backup", &format!("{} bytes more", garbage.len()));
        assert!(
            matches!(fault, BackupFault::Truncated(_)),
            "{} bytes more: {fault}",
            garbage.len()
        );
    }
}

#[test]
fn what_lost_a_piece_or_has_one_more_is_refused() {
    let bytes = backup_of(&tiny(Dialect::V22, 1), &single());
    let storage = MemStorage::new();
    for (at, length) in [
        (0, 1),
        (8, 4),
        (200, 512),
        (1_000, 1),
        (bytes.len() / 2, 4096),
    ] {
        let without = [&bytes[..at], &bytes[at + length..]].concat();
        let with = [&bytes[..at + length], &bytes[at..]].concat();
        for changed in [without, with] {
            storage.put("backup", changed);
            fault_in(&storage, "backup", &format!("{length} bytes at {at}"));
        }
    }
    // Two halves of two backups.
    let other = backup_of(&tiny(Dialect::V22, 2), &single());
    storage.put(
        "backup",
        [&bytes[..bytes.len() / 2], &other[other.len() / 2..]].concat(),
    );
    fault_in(&storage, "backup", "two halves");
}

#[test]
fn foreign_files_are_no_backups() {
    let storage = MemStorage::new();
    let repository = tiny(Dialect::V22, 1);
    let mut tar = vec![0; 10_240];
    tar[..8].copy_from_slice(b"file.txt");
    tar[257..263].copy_from_slice(b"ustar\0");
    let zip = [&b"PK\x03\x04"[..], &[0; 500]].concat();
    let as_text: Vec<u8> = {
        let bytes = backup_of(&repository, &single());
        let pairs = bytes.windows(2).zip(&bytes);
        pairs
            .filter(|(pair, _)| *pair != b"\r\n")
            .map(|(_, &byte)| byte)
            .collect()
    };
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("a tar archive", tar),
        ("a zip archive", zip),
        ("an empty file", Vec::new()),
        (
            "text",
            b"CIMBK is not how this text begins, but nearly.\n".repeat(50),
        ),
        ("a short text", b"CIM".to_vec()),
        ("zeros", vec![0; 4096]),
        ("a page", vec![0xCC; PAGE_SIZE]),
        ("objects", repository["OBJECTS.DATA"].clone()),
        ("a mapping", repository["MAPPING1.MAP"].clone()),
        ("a backup that was copied as text", as_text),
    ];
    stored_at(&storage, PLACE, &repository);
    let before = listing(&storage, PLACE);
    for (what, bytes) in files {
        storage.put("file", bytes);
        assert_eq!(
            fault_in(&storage, "file", what),
            BackupFault::NotABackup,
            "{what}"
        );
        let error = load_into(&storage, "file", PLACE, REPLACE).unwrap_err();
        assert_eq!(error.hresult(), HResult::INVALID_PARAMETER);
    }
    assert_eq!(
        fault_in(&storage, PLACE, "a directory"),
        BackupFault::NotABackup
    );
    assert!(matches!(
        checked(&storage, "missing"),
        Err(cimrepo::Error::Io { .. })
    ));
    assert!(listing(&storage, PLACE) == before);
}

#[test]
fn another_version_is_named() {
    let mut bytes = backup_of(&tiny(Dialect::V22, 1), &single());
    let storage = MemStorage::new();
    for version in [0, 2, 3, u32::MAX] {
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let crc = crc32(&bytes[..HEADER_SIZE - 4]);
        bytes[HEADER_SIZE - 4..HEADER_SIZE].copy_from_slice(&crc.to_le_bytes());
        storage.put("backup", bytes.clone());
        assert_eq!(
            fault_in(&storage, "backup", "version"),
            BackupFault::UnknownVersion(version)
        );
        let error = checked(&storage, "backup").unwrap_err();
        assert_eq!(error.hresult(), HResult::DATABASE_VER_MISMATCH);
    }
}

#[test]
fn a_repository_with_a_bad_page_is_backed_up_only_forensically_and_never_restored() {
    let mut files = tiny(Dialect::V22, 1);
    files.get_mut("OBJECTS.DATA").unwrap()[PAGE_SIZE] ^= 1;
    let (storage, _) = in_memory(&files);
    for scrub in [false, true] {
        let error = save(
            &storage,
            PLACE,
            "backup",
            &BackupOptions { scrub, ..single() },
        )
        .unwrap_err();
        assert!(matches!(error, cimrepo::Error::Corrupt(_)), "{error}");
    }
    assert!(storage.get("backup").is_none());
    save(
        &storage,
        PLACE,
        "backup",
        &BackupOptions {
            forensic: true,
            ..single()
        },
    )
    .unwrap();
    let backup = cimrepo::backup::OpenBackup::new()
        .open_in(&crate::tiny::shared(&storage), "backup")
        .unwrap();
    let report = backup
        .verify(crate::tiny::VERIFY, &cimrepo::base::progress::Unobserved)
        .unwrap();
    assert!(!report.is_consistent());
    assert!(
        backup
            .snapshot()
            .page(Space::Objects, crate::support::small::logical(1))
            .is_ok()
    );
    let error = load_into(&storage, "backup", "restored", NEW).unwrap_err();
    assert!(
        matches!(fault_of(&error), Some(BackupFault::Inconsistent(_))),
        "{error}"
    );
}

#[test]
fn a_cut_data_file_is_refused_and_nothing_is_left_unless_the_backup_is_forensic() {
    for (dialect, name) in [
        (Dialect::V22, "OBJECTS.DATA"),
        (Dialect::V22, "INDEX.BTR"),
        (Dialect::V21, "OBJECTS.DATA"),
        (Dialect::V21, "INDEX.BTR"),
    ] {
        let mut files = tiny(dialect, 1);
        let bytes = files.get_mut(name).unwrap();
        bytes.truncate(bytes.len() / 2 - 100);
        let kept = bytes.clone();
        let (storage, _) = in_memory(&files);
        assert!(save(&storage, PLACE, "backup", &single()).is_err());
        let left = cimrepo::storage::Storage::read_dir(&storage, Path::new(".")).unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
        takes_what_is_there(&storage, name, &kept);
    }
}

/// The forensic backup of the repository holds the cut file to its last byte, and says what is
/// missing.
fn takes_what_is_there(storage: &MemStorage, name: &str, kept: &[u8]) {
    save(
        storage,
        PLACE,
        "backup",
        &BackupOptions {
            forensic: true,
            ..single()
        },
    )
    .unwrap();
    let backup = cimrepo::backup::OpenBackup::new()
        .open_in(&crate::tiny::shared(storage), "backup")
        .unwrap();
    let report = backup
        .verify(crate::tiny::VERIFY, &cimrepo::base::progress::Unobserved)
        .unwrap();
    let beyond = report
        .repository
        .findings
        .iter()
        .filter(|found| found.code == CorruptionCode::MappingBeyondFile);
    assert!(
        beyond.count() > 0,
        "{name} {} {:?}",
        kept.len(),
        report.repository
    );
    let space = if name == "OBJECTS.DATA" {
        Space::Objects
    } else {
        Space::Index
    };
    let snapshot = backup.snapshot();
    let (mut whole, mut missing) = (0, 0);
    for (page, physical, _) in snapshot.mapping().section(space).mapped() {
        let at = usize::try_from(physical.byte_offset()).unwrap();
        match (snapshot.page(space, page), kept.get(at..at + PAGE_SIZE)) {
            (Ok(found), Some(bytes)) => {
                assert_eq!(&found[..], bytes);
                whole += 1;
            }
            (Err(_), None) => missing += 1,
            (found, _) => panic!("{space} page {page}: {found:?}"),
        }
    }
    assert!(
        missing > 0 && (whole > 0 || space == Space::Index),
        "{name}: {whole} whole, {missing} missing"
    );
    assert_eq!(
        backup.manifest().space(space).file_length,
        kept.len() as u64
    );
    let error = load_into(storage, "backup", "restored", NEW).unwrap_err();
    assert!(
        matches!(fault_of(&error), Some(BackupFault::Inconsistent(_))),
        "{error}"
    );
}

#[test]
fn every_damaged_chunk_is_named_with_its_pages() {
    for dialect in DIALECTS {
        let mut bytes = backup_of(&tiny(dialect, 1), &single());
        let (storage, _) = in_memory(&tiny(dialect, 1));
        storage.put("backup", bytes.clone());
        let backup = checked(&storage, "backup").unwrap();
        assert!(
            backup
                .damaged_chunks(None, &cimrepo::base::progress::Unobserved)
                .unwrap()
                .count()
                == 0
        );
        // That of the mapping is read when a backup is opened.
        let chunks: Vec<_> = backup
            .manifest()
            .chunks
            .iter()
            .filter(|chunk| chunk.header.kind.has_pages())
            .collect();
        assert!(chunks.len() > 1);
        for chunk in &chunks {
            bytes[usize::try_from(chunk.offset).unwrap() + CHUNK_HEADER_SIZE] ^= 4;
        }
        storage.put("backup", bytes);
        let backup = cimrepo::backup::OpenBackup::new()
            .open_in(&crate::tiny::shared(&storage), "backup")
            .unwrap();
        let found = backup
            .damaged_chunks(None, &cimrepo::base::progress::Unobserved)
            .unwrap();
        assert_eq!((found.listed.len(), found.not_listed), (chunks.len(), 0));
        for (chunk, error) in chunks.iter().zip(&found.listed) {
            assert!(
                matches!(fault_of(error), Some(BackupFault::Checksum(_))),
                "{error}"
            );
            let pages = format!("pages {} to {})", chunk.header.first, chunk.header.last);
            let text = error.to_string();
            assert!(
                text.contains(&pages) && text.contains(&format!("at offset {}", chunk.offset)),
                "{text}"
            );
        }
    }
}

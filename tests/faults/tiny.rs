//! Repositories of a dozen pages in several versions that share most of their pages, and how two of
//! them are compared.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use cimrepo::backup::{Backup, BackupOptions, BackupSummary, OpenBackup, backup_in};
use cimrepo::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::format::Dialect;
use cimrepo::format::checksum::crc32;
use cimrepo::format::heap::admin_page::{AdminEntry, INDEX_ADMIN_SIGNATURE, ObjectAdminPage};
use cimrepo::format::heap::page::{
    MULTI_PAGE_ID, ObjectPage, ObjectPageBuilder, build_multi_page, end_in_last_page,
};
use cimrepo::format::index::node::IndexNode;
use cimrepo::format::mapping::{Mapping, MappingEntry, MappingSection};
use cimrepo::restore::{Existing, RestoreOptions, RestoreSummary, restore_in};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::{BulkBuilder, OpenOptions, Repository, Snapshot};
use cimrepo::verify::VerifyOptions;
use cimrepo::{Direction, Error, KeyRange};

use crate::support::Files;
use crate::support::small::{Numbers, logical, physical, stored};

/// One thread: no thread is started, and the same calls are made in the same order at every run.
pub const ONE: Option<NonZeroUsize> = NonZeroUsize::new(1);

/// How the tests verify.
pub const VERIFY: VerifyOptions = VerifyOptions {
    threads: ONE,
    all_generations: false,
};

/// How the tests restore over what is there.
pub const REPLACE: RestoreOptions = RestoreOptions {
    existing: Existing::Replace,
    damaged: false,
    change_dialect: false,
    wait: None,
    threads: ONE,
};

/// How the tests restore where nothing is.
pub const NEW: RestoreOptions = RestoreOptions {
    existing: Existing::Refuse,
    ..REPLACE
};

/// Backup options on one thread.
pub fn single() -> BackupOptions {
    BackupOptions {
        threads: ONE,
        ..BackupOptions::default()
    }
}

/// Keys in order, each with its record, if it names one.
type Entries = BTreeMap<String, Option<Vec<u8>>>;

/// The entries of a version. Every fourth record differs from version to version, and up to two are
/// more.
fn entries(version: u8) -> Entries {
    let mut entries = Entries::new();
    for number in 0..14 + version % 3 {
        let is_own = number % 4 == version % 4;
        let length = if number == 5 {
            20_000
        } else {
            2_000 + 300 * usize::from(number)
        };
        let seed = u64::from(number) << 8 | if is_own { u64::from(version) } else { 0 };
        entries.insert(
            format!("NS_{:064}\\CD_{number:064}", number % 3),
            Some(record(seed, length)),
        );
    }
    for number in 0..60 {
        entries.insert(
            format!("NS_{:064}\\CR_{number:0120}\\C_{number:0120}", number % 3),
            None,
        );
    }
    entries
}

/// Bytes that a compressor can do something with.
fn record(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let mut random = || numbers.next().to_le_bytes()[0];
    (0..length)
        .map(|at| if at % 64 < 24 { random() } else { 0x20 })
        .collect()
}

/// A repository of dialect 2.2.
pub fn tiny_v22(version: u8) -> Files {
    let storage = MemStorage::new();
    storage.create_dir(Path::new("tiny")).unwrap();
    let mut builder = BulkBuilder::create_seeded(directory(&storage, "tiny"), 7).unwrap();
    for (key, record) in entries(version) {
        let reference = record.map(|record| builder.record(&record).unwrap());
        builder.key(key.as_bytes(), reference).unwrap();
    }
    builder.finish().unwrap();
    listing(&storage, "tiny")
}

/// A repository of dialect 2.2 of two pages, so small that every single write can be lost alone.
pub fn mini(version: u8) -> Files {
    let storage = MemStorage::new();
    storage.create_dir(Path::new("mini")).unwrap();
    let mut builder = BulkBuilder::create_seeded(directory(&storage, "mini"), 7).unwrap();
    for number in 0..2 {
        let reference = builder
            .record(&record(u64::from(version * number), 3_000))
            .unwrap();
        builder
            .key(
                format!("NS_{:064}\\CD_{number:064}", 0).as_bytes(),
                Some(reference),
            )
            .unwrap();
    }
    builder.finish().unwrap();
    listing(&storage, "mini")
}

/// What the slack of the pages of dialect 2.1 is full of.
const SLACK: u8 = 0xE1;

/// A repository of dialect 2.1 with the same entries, most keys without record left out: the index
/// is one page.
pub fn tiny_v21(version: u8) -> Files {
    let (heap, keys) = heap_v21(version);
    let mut root = IndexNode::from_keys(keys.iter().map(Vec::as_slice), vec![0; keys.len() + 1]);
    root.slack = vec![SLACK; PAGE_SIZE].into();
    let index = vec![index_admin(1), root.to_page(logical(1)).unwrap()];
    let mapping = Mapping {
        dialect: Dialect::V21,
        objects: section(heap.len()),
        index: section(index.len()),
        shutdown_flag: 0,
    };
    let bytes_of = |section: &MappingSection| {
        let mut bytes = Vec::new();
        section.write(Dialect::V21, &mut bytes);
        bytes
    };
    let flat = |pages: &[Box<PageBytes>]| pages.iter().flat_map(|page| page.to_vec()).collect();
    let files = [
        ("OBJECTS.DATA", flat(&heap)),
        ("INDEX.BTR", flat(&index)),
        ("OBJECTS.MAP", bytes_of(&mapping.objects)),
        ("INDEX.MAP", bytes_of(&mapping.index)),
        ("MAPPING1.MAP", mapping.to_bytes()),
        ("MAPPING2.MAP", mapping.to_bytes()),
        ("MAPPING.VER", 1u32.to_le_bytes().to_vec()),
    ];
    files
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect()
}

/// The heap, its admin page first, and the keys.
fn heap_v21(version: u8) -> (Vec<Box<PageBytes>>, Vec<Vec<u8>>) {
    let mut heap = vec![Box::new([0; PAGE_SIZE])];
    let (mut keys, mut listed, mut filling) = (Vec::new(), Vec::new(), ObjectPageBuilder::new());
    let mut close = |heap: &mut Vec<Box<PageBytes>>, page: ObjectPageBuilder| {
        let mut bytes = page.build();
        let end = ObjectPage::new(&bytes).end();
        bytes[end..].fill(SLACK);
        let (number, free_bytes) = (stored(heap.len()), page.free_bytes());
        listed.push(AdminEntry {
            page: number,
            free_bytes,
            crc: crc32(&bytes[..]),
            zero: 0,
        });
        heap.push(bytes);
    };
    for ((key, record), id) in entries(version).into_iter().zip(100..) {
        let Some(record) = record else {
            if id % 4 == 0 {
                keys.push(key.into_bytes());
            }
            continue;
        };
        let mut id = id;
        if record.len() > PAGE_SIZE {
            if !filling.is_empty() {
                close(&mut heap, std::mem::take(&mut filling));
            }
            id = MULTI_PAGE_ID;
            keys.push(format!("{key}.{}.{id}.{}", heap.len(), record.len()).into_bytes());
            heap.extend(build_multi_page(&record, crc32(&record)));
            let last = heap.last_mut().unwrap();
            last[end_in_last_page(stored(record.len()))..].fill(SLACK);
            continue;
        }
        if !filling.push(id, &record, crc32(&record)) {
            close(&mut heap, std::mem::take(&mut filling));
            assert!(filling.push(id, &record, crc32(&record)));
        }
        keys.push(format!("{key}.{}.{id}.{}", heap.len(), record.len()).into_bytes());
    }
    close(&mut heap, filling);
    ObjectAdminPage {
        head_mark: 1,
        next: 0,
        entries: listed,
    }
    .write(&mut heap[0]);
    (heap, keys)
}

fn index_admin(root: u32) -> Box<PageBytes> {
    let mut page = Box::new([0; PAGE_SIZE]);
    page[..4].copy_from_slice(&INDEX_ADMIN_SIGNATURE.to_le_bytes());
    page[12..16].copy_from_slice(&root.to_le_bytes());
    page
}

/// A section of dialect 2.1 in which each page lies where its number says.
fn section(pages: usize) -> MappingSection {
    let entry = |number| MappingEntry {
        physical: Some(physical(number)),
        ..MappingEntry::default()
    };
    MappingSection {
        transaction: 3,
        generation: 3,
        previous: 3,
        physical_pages: stored(pages),
        entries: (0..stored(pages)).map(entry).collect(),
        free: Vec::new(),
    }
}

/// A version in a dialect.
pub fn tiny(dialect: Dialect, version: u8) -> Files {
    match dialect {
        Dialect::V21 => tiny_v21(version),
        Dialect::V22 => tiny_v22(version),
    }
}

/// The dialects.
pub const DIALECTS: [Dialect; 2] = [Dialect::V22, Dialect::V21];

/// Every key with the bytes of its record.
pub type Content = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What a snapshot holds, key by key and record by record.
pub fn content(snapshot: &Snapshot) -> Content {
    let entry = |key: cimrepo::Result<cimrepo::format::index::key::Key>| {
        let key = key.unwrap();
        let record = key
            .reference()
            .map(|reference| snapshot.record(reference).unwrap());
        (key.as_bytes().to_vec(), record)
    };
    snapshot
        .keys(KeyRange::all(), Direction::Forward)
        .map(entry)
        .collect()
}

/// Asserts that two snapshots have equal logical pages.
pub fn assert_same_pages(left: &Snapshot, right: &Snapshot, what: &str) {
    for space in Space::ALL {
        let count = left.mapping().section(space).logical_pages();
        assert_eq!(
            count,
            right.mapping().section(space).logical_pages(),
            "{what}: {space} pages"
        );
        for page in (0..count).map(logical) {
            let read = |snapshot: &Snapshot| {
                let is_mapped = snapshot.mapping().section(space).resolve(page).is_some();
                is_mapped.then(|| snapshot.page(space, page).unwrap())
            };
            assert!(
                read(left) == read(right),
                "{what}: {space} page {page} differs"
            );
        }
    }
}

/// Asserts that two snapshots have equal keys and records.
pub fn assert_same_content(left: &Snapshot, right: &Snapshot, what: &str) {
    assert!(
        content(left) == content(right),
        "{what}: keys or records differ"
    );
}

/// A storage as the functions of the crate want it.
pub fn shared(storage: &(impl Storage + Clone + 'static)) -> Arc<dyn Storage> {
    Arc::new(storage.clone())
}

/// A directory of a storage.
pub fn directory(storage: &(impl Storage + Clone + 'static), path: &str) -> Directory {
    Directory::new(shared(storage), path)
}

/// A storage that holds a repository at [`PLACE`](crate::support::PLACE).
pub fn stored_at(storage: &MemStorage, place: &str, files: &Files) {
    for (name, bytes) in files {
        storage.put(Path::new(place).join(name), bytes.clone());
    }
}

/// Backs up a repository of a storage to a file in the same.
pub fn save(
    storage: &(impl Storage + Clone + 'static),
    repository: &str,
    target: &str,
    options: &BackupOptions,
) -> cimrepo::Result<BackupSummary> {
    let repository = OpenOptions::new().open_in(&directory(storage, repository))?;
    backup_in(&repository, &shared(storage), target, options, &Unobserved)
}

/// Opens a backup of a storage and verifies it, file and content.
pub fn checked(storage: &(impl Storage + Clone + 'static), path: &str) -> cimrepo::Result<Backup> {
    let backup = OpenBackup::new().open_in(&shared(storage), path)?;
    let report = backup.verify(VERIFY, &Unobserved)?;
    assert!(report.is_consistent(), "{path}: {:?}", report.repository);
    Ok(backup)
}

/// Restores a backup of a storage to a directory of the same.
pub fn load_into(
    storage: &(impl Storage + Clone + 'static),
    backup: &str,
    into: &str,
    options: RestoreOptions,
) -> cimrepo::Result<RestoreSummary> {
    let backup = OpenBackup::new().open_in(&shared(storage), backup)?;
    restore_in(&backup, &directory(storage, into), options, &Unobserved)
}

/// Opens a repository of a storage.
pub fn opened(
    storage: &(impl Storage + Clone + 'static),
    path: &str,
) -> cimrepo::Result<Repository> {
    OpenOptions::new().open_in(&directory(storage, path))
}

/// Opens a repository, asserts that the current generation is sound, and gives what it holds.
pub fn sound(storage: &(impl Storage + Clone + 'static), path: &str) -> cimrepo::Result<Content> {
    let repository = opened(storage, path)?;
    let report = cimrepo::verify::verify(&repository, VERIFY, &Unobserved)?;
    let findings: Vec<String> = report.findings().map(ToString::to_string).collect();
    assert!(
        report.has_sound_generations() && repository.is_whole(),
        "{path}: {findings:#?}"
    );
    Ok(content(&repository.snapshot()))
}

/// The bytes of every file in a directory, by name.
pub fn listing(storage: &impl Storage, path: impl AsRef<Path>) -> Files {
    let path = path.as_ref();
    let mut files = Files::new();
    for entry in storage.read_dir(path).unwrap() {
        if entry.kind == cimrepo::storage::EntryKind::File {
            files.insert(
                entry.name.clone(),
                bytes_of(storage, &path.join(&entry.name)),
            );
        }
    }
    files
}

/// The bytes of a file.
pub fn bytes_of(storage: &impl Storage, path: &Path) -> Vec<u8> {
    let file = storage
        .open(path, cimrepo::storage::OpenMode::Read)
        .unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    cimrepo::storage::read_exact_at(&*file, 0, &mut bytes).unwrap();
    bytes
}

/// The fault of a backup that an error names.
pub fn fault_of(error: &Error) -> Option<&cimrepo::base::error::BackupFault> {
    match error {
        Error::Backup { fault, .. } => Some(fault),
        _ => None,
    }
}

/// The offsets of the pages that a mapping maps.
pub fn mapped_offsets(section: &MappingSection) -> impl Iterator<Item = (LogicalPage, usize)> + '_ {
    section
        .mapped()
        .map(|(page, physical, _)| (page, physical.index() * PAGE_SIZE))
}

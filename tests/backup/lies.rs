//! Backups whose checksums and seal are right and whose content contradicts itself: refused,
//! without a panic and without more memory than the file is large.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use cimrepo::backup::{BackupOptions, Compression};
use cimrepo::base::error::BackupFault;
use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::base::site::FileRole;
use cimrepo::format::Dialect;
use cimrepo::format::own::backup_file::{BackupFlags, ChunkKind, Trailer};
use cimrepo::format::own::manifest::{ChunkEntry, PageState};
use cimrepo::storage::{MemStorage, Storage};

use crate::forge::Parts;
use crate::support::{Files, PLACE, in_memory};
use crate::tiny::{NEW, bytes_of, checked, fault_of, load_into, save, single, tiny};

fn parts(files: &Files, options: &BackupOptions) -> Parts {
    let (storage, _) = in_memory(files);
    save(&storage, PLACE, "backup", options).unwrap();
    Parts::of(&bytes_of(&storage, Path::new("backup")))
}

fn honest() -> Parts {
    parts(
        &tiny(Dialect::V22, 1),
        &BackupOptions {
            compression: Compression::None,
            ..single()
        },
    )
}

fn forensic() -> Parts {
    let options = BackupOptions {
        compression: Compression::None,
        forensic: true,
        ..single()
    };
    parts(&crate::support::small::small_v22(), &options)
}

/// Asserts that a file is refused as contradicting itself, whole and when it is restored.
fn assert_refused(what: &str, bytes: Vec<u8>) {
    let storage = MemStorage::new();
    storage.put("backup", bytes);
    let look = || {
        (
            checked(&storage, "backup").err(),
            load_into(&storage, "backup", "restored", NEW).err(),
        )
    };
    let (verified, restored) =
        catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| panic!("{what}: a panic"));
    for error in [verified, restored] {
        let error = error.unwrap_or_else(|| panic!("{what}: not seen"));
        assert!(
            matches!(fault_of(&error), Some(BackupFault::Structure(_))),
            "{what}: {error}"
        );
    }
    assert!(
        storage.kind(Path::new("restored")).unwrap().is_none(),
        "{what}: something was restored"
    );
}

/// A way to lie.
type Lie = (&'static str, fn(&mut Parts));

/// Adds a chunk of a kind, with the payload of the last.
fn add(parts: &mut Parts, kind: ChunkKind) {
    let mut entry = *parts.manifest.chunks.last().unwrap();
    entry.header.kind = kind;
    parts.manifest.chunks.push(entry);
    parts.payloads.push(parts.payloads.last().unwrap().clone());
    parts.settle();
}

fn first_file(parts: &Parts) -> usize {
    parts
        .manifest
        .chunks
        .iter()
        .position(|chunk| matches!(chunk.header.kind, ChunkKind::File(_)))
        .unwrap()
}

fn assert_all_refused(honest: impl Fn() -> Parts, lies: &[Lie]) {
    let storage = MemStorage::new();
    storage.put("backup", honest().to_bytes());
    checked(&storage, "backup").expect("put together as it was, it is right");
    for (what, lie) in lies {
        let mut parts = honest();
        lie(&mut parts);
        assert_refused(what, parts.to_bytes());
    }
}

#[test]
fn headers_that_contradict_the_rest_are_refused() {
    assert_all_refused(
        honest,
        &[
            ("the other dialect", |parts| {
                parts.header.dialect = Dialect::V21
            }),
            ("another generation", |parts| parts.header.generation += 1),
            ("another transaction", |parts| parts.header.transaction += 1),
            ("forensic without files", |parts| {
                parts.header.flags = BackupFlags::FORENSIC
            }),
        ],
    );
}

#[test]
fn page_lists_that_contradict_the_rest_are_refused() {
    assert_all_refused(
        honest,
        &[
            ("another content identity", |parts| {
                parts.manifest.content_identity[31] ^= 1
            }),
            ("a page too many", |parts| {
                parts.manifest.spaces[0]
                    .pages
                    .push(PageState::Included([7; 32]))
            }),
            ("a page without page too many", |parts| {
                parts.manifest.spaces[1].pages.push(PageState::Unmapped)
            }),
            ("a page too few", |parts| {
                parts.manifest.spaces[0].pages.truncate(3)
            }),
            ("no pages", |parts| parts.manifest.spaces[1].pages.clear()),
            ("a page that is not there", |parts| {
                parts.manifest.spaces[0].pages[2] = PageState::Unmapped
            }),
            ("a base that there is not", |parts| {
                let digest = *parts.manifest.spaces[0].pages[2].digest().unwrap();
                parts.manifest.spaces[0].pages[2] = PageState::InBase(digest);
            }),
            ("the digest of another page", |parts| {
                parts.manifest.spaces[0].pages[2] = parts.manifest.spaces[0].pages[3]
            }),
            ("exchanged spaces", |parts| parts.manifest.spaces.reverse()),
        ],
    );
}

#[test]
fn chunks_that_contradict_the_rest_are_refused() {
    assert_all_refused(
        honest,
        &[
            ("no chunks", |parts| {
                parts.manifest.chunks.clear();
                parts.payloads.clear();
            }),
            ("a chunk that is not listed", |parts| {
                parts.manifest.chunks.remove(0);
            }),
            ("a chunk listed twice", |parts| {
                parts.manifest.chunks.insert(0, parts.manifest.chunks[0])
            }),
            ("an offset", |parts| parts.manifest.chunks[1].offset += 1),
            ("an offset behind everything", |parts| {
                parts.manifest.chunks[0].offset = u64::MAX
            }),
            ("a stored length", |parts| {
                parts.manifest.chunks[0].header.stored = u32::MAX
            }),
            ("more pages than there are", |parts| {
                parts.manifest.chunks[0].header.count += 1
            }),
            ("fewer pages than there are", |parts| {
                parts.manifest.chunks[0].header.count -= 1
            }),
            ("no page", |parts| parts.manifest.chunks[0].header.count = 0),
            ("a page more than any chunk has", |parts| {
                parts.manifest.chunks[0].header.count = cimrepo::base::limits::MAX_CHUNK_PAGES + 1;
            }),
            ("free pages in a backup that is not forensic", |parts| {
                add(parts, ChunkKind::FreePages(Space::Index))
            }),
            ("the end of a file in one", |parts| {
                add(parts, ChunkKind::Tail(Space::Index))
            }),
            ("a second mapping in one", |parts| {
                add(parts, ChunkKind::File(FileRole::Mapping(2)))
            }),
            ("the length of a file in one", |parts| {
                parts.manifest.spaces[0].file_length = 8_192
            }),
            ("a page that is the same as another in one", |parts| {
                let digest = *parts.manifest.spaces[0].pages[2].digest().unwrap();
                parts.manifest.spaces[0].pages[3] =
                    PageState::Same(crate::support::small::logical(2), digest);
            }),
            ("four billion pages", |parts| {
                parts.manifest.chunks[0].header.count = u32::MAX
            }),
            ("another first page", |parts| {
                parts.manifest.chunks[0].header.first += 1
            }),
            ("another last page", |parts| {
                parts.manifest.chunks[0].header.last += 1
            }),
            ("the other space", |parts| {
                parts.manifest.chunks[0].header.kind = ChunkKind::Pages(Space::Index)
            }),
            ("another kind", |parts| {
                parts.manifest.chunks[0].header.kind = ChunkKind::Tail(Space::Index)
            }),
            ("no mapping", |parts| {
                let file = first_file(parts);
                parts.manifest.chunks[file].header.kind = ChunkKind::File(FileRole::ObjectsMap);
            }),
            ("a mapping of four gigabytes", |parts| {
                let file = first_file(parts);
                parts.manifest.chunks[file].header.count = u32::MAX;
            }),
        ],
    );
}

#[test]
fn mappings_that_contradict_the_rest_are_refused() {
    fn with_mapping(parts: &mut Parts, change: impl Fn(&mut Vec<u8>)) {
        let file = first_file(parts);
        change(&mut parts.payloads[file]);
        parts.manifest.chunks[file].header.count =
            u32::try_from(parts.payloads[file].len()).unwrap();
        parts.manifest.chunks[file].digest = digest(&parts.payloads[file]);
        parts.settle();
    }
    assert_all_refused(
        honest,
        &[
            ("an empty mapping", |parts| with_mapping(parts, Vec::clear)),
            ("a cut mapping", |parts| {
                with_mapping(parts, |bytes| bytes.truncate(bytes.len() / 2))
            }),
            ("a mapping without mark", |parts| {
                with_mapping(parts, |bytes| bytes[0] ^= 1)
            }),
            ("four billion entries", |parts| {
                with_mapping(parts, |bytes| bytes[20..24].fill(0xFF))
            }),
            ("a page unmapped", |parts| {
                with_mapping(parts, |bytes| bytes[24..28].fill(0xFF))
            }),
            ("another generation", |parts| {
                with_mapping(parts, |bytes| bytes[8] ^= 4)
            }),
        ],
    );
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// The number of the first page of a chunk; the numbers stand behind the pages.
fn first_number(parts: &mut Parts, chunk: usize) -> &mut [u8] {
    let pages = usize::try_from(parts.manifest.chunks[chunk].header.count).unwrap();
    &mut parts.payloads[chunk][pages * PAGE_SIZE..][..4]
}

#[test]
fn chunk_numbers_that_do_not_fit_their_pages_are_damage() {
    // The payload itself names its pages: what it says is not covered by any page's digest.
    let mut parts = honest();
    first_number(&mut parts, 0).copy_from_slice(&77u32.to_le_bytes());
    parts.settle();
    let storage = MemStorage::new();
    storage.put("backup", parts.to_bytes());
    let error = checked(&storage, "backup").unwrap_err();
    assert!(
        matches!(fault_of(&error), Some(BackupFault::Checksum(_))),
        "{error}"
    );

    let mut parts = honest();
    parts.manifest.chunks[0].header.codec = 9;
    storage.put("backup", parts.to_bytes());
    let error = checked(&storage, "backup").unwrap_err();
    assert!(
        matches!(fault_of(&error), Some(BackupFault::Checksum(_))),
        "{error}"
    );
}

#[test]
fn pages_that_do_not_fit_their_digests_are_damage() {
    let mut parts = honest();
    parts.manifest.spaces[0].pages[2] = parts.manifest.spaces[0].pages[3];
    let root = crate::support::open(&tiny(Dialect::V22, 1))
        .unwrap()
        .snapshot()
        .mapping()
        .index
        .entries[0]
        .user_data;
    parts.identify([0, root]);
    let storage = MemStorage::new();
    storage.put("backup", parts.to_bytes());
    let error = checked(&storage, "backup").unwrap_err();
    assert!(
        matches!(fault_of(&error), Some(BackupFault::Checksum(_))),
        "{error}"
    );
}

#[test]
fn summaries_that_count_something_else_are_refused() {
    assert_all_refused(
        honest,
        &[
            ("a key more", |parts| parts.manifest.summary.keys += 1),
            ("no records", |parts| parts.manifest.summary.records = 0),
            ("a class more", |parts| {
                parts.manifest.summary.class_definitions += 1
            }),
            ("an instance more", |parts| {
                parts.manifest.summary.instances += 1
            }),
            ("something unreadable", |parts| {
                parts.manifest.summary.unreadable += 1
            }),
            ("a namespace less", |parts| {
                parts.manifest.summary.namespaces.pop();
            }),
            ("another namespace", |parts| {
                parts.manifest.summary.namespaces[0].token.push('0')
            }),
            ("a key of another namespace", |parts| {
                parts.manifest.summary.namespaces[0].keys += 1;
                parts.manifest.summary.namespaces[1].keys -= 1;
            }),
            ("a class of a namespace", |parts| {
                parts.manifest.summary.namespaces[0].class_definitions += 1
            }),
            ("an instance of a namespace", |parts| {
                parts.manifest.summary.namespaces[0].instances += 1
            }),
        ],
    );
}

#[test]
fn compressed_chunks_that_do_not_fit_their_length_are_damage() {
    let honest = || parts(&tiny(Dialect::V22, 1), &single());
    let bomb = |parts: &mut Parts, payload: Vec<u8>| {
        parts.payloads[0] = payload;
        parts.settle();
    };
    // A run that goes on for ever, a copy from before the beginning, nothing.
    let run = [&[0x1F, 0x00, 0x01, 0x00][..], &[0xFF; 60_000]].concat();
    for payload in [run, vec![0x0F, 0xFF, 0xFF, 0x00], Vec::new(), vec![0xF0]] {
        let mut parts = honest();
        bomb(&mut parts, payload);
        let storage = MemStorage::new();
        storage.put("backup", parts.to_bytes());
        let error = checked(&storage, "backup").unwrap_err();
        assert!(
            matches!(fault_of(&error), Some(BackupFault::Checksum(_))),
            "{error}"
        );
    }
}

#[test]
fn numbers_that_promise_more_than_there_is_are_refused_at_once() {
    let parts = honest();
    let manifest = parts.manifest.to_bytes();
    let count_at = |needle: u32, nth: usize| {
        let places = manifest
            .windows(4)
            .enumerate()
            .filter(|(_, word)| *word == needle.to_le_bytes());
        places.map(|(place, _)| place).nth(nth).unwrap()
    };
    let pages = u32::try_from(parts.manifest.spaces[0].pages.len()).unwrap();
    let chunks = u32::try_from(parts.manifest.chunks.len()).unwrap();
    let namespaces = u32::try_from(parts.manifest.summary.namespaces.len()).unwrap();
    let places = [
        count_at(pages, 0),
        count_at(pages, 1),
        count_at(chunks, 0),
        count_at(namespaces, 0),
    ];
    for place in places {
        for number in [0, 1, 0x7FFF_FFFF, u32::MAX] {
            let mut changed = manifest.clone();
            changed[place..place + 4].copy_from_slice(&number.to_le_bytes());
            if changed != manifest {
                let what = format!("{number} at {place} of the manifest");
                assert_refused(&what, parts.to_bytes_with(changed, |_| {}));
            }
        }
    }
    assert_refused("an empty manifest", parts.to_bytes_with(Vec::new(), |_| {}));
    assert_refused(
        "a byte more",
        parts.to_bytes_with([&manifest[..], &[0]].concat(), |_| {}),
    );
    assert_refused(
        "a byte less",
        parts.to_bytes_with(manifest[..manifest.len() - 1].to_vec(), |_| {}),
    );
}

#[test]
fn trailers_that_point_elsewhere_are_refused() {
    let parts = honest();
    type TrailerLie = (&'static str, fn(&mut Trailer));
    let lies: [TrailerLie; 6] = [
        ("an offset", |trailer| trailer.manifest_offset += 1),
        ("an offset behind everything", |trailer| {
            trailer.manifest_offset = u64::MAX
        }),
        ("the beginning", |trailer| trailer.manifest_offset = 0),
        ("a length", |trailer| trailer.manifest_length -= 1),
        ("a huge length", |trailer| {
            trailer.manifest_length = u64::MAX
        }),
        ("all of it", |trailer| {
            trailer.manifest_length += trailer.manifest_offset - 64;
            trailer.manifest_offset = 64;
        }),
    ];
    for (what, lie) in lies {
        assert_refused(what, parts.to_bytes_with(parts.manifest.to_bytes(), lie));
    }
}

#[test]
fn forensic_backups_that_do_not_make_what_was_checked_are_refused() {
    fn position(parts: &Parts, wanted: impl Fn(&ChunkEntry) -> bool) -> usize {
        parts.manifest.chunks.iter().position(wanted).unwrap()
    }
    fn free_pages(parts: &Parts) -> usize {
        position(parts, |chunk| {
            chunk.header.kind == ChunkKind::FreePages(Space::Objects)
        })
    }
    fn renumber(parts: &mut Parts, number: u32) {
        let chunk = free_pages(parts);
        first_number(parts, chunk).copy_from_slice(&number.to_le_bytes());
        parts.settle();
    }
    fn remove(parts: &mut Parts, chunk: usize) {
        parts.manifest.chunks.remove(chunk);
        parts.payloads.remove(chunk);
        parts.settle();
    }
    assert_all_refused(
        forensic,
        &[
            ("files that are cut", |parts| {
                parts.manifest.spaces[0].file_length = PAGE_SIZE as u64
            }),
            ("files without end", |parts| {
                parts.manifest.spaces[1].file_length = 1 << 60
            }),
            ("files that are not there", |parts| {
                parts.manifest.spaces[1].file_length = u64::MAX
            }),
            ("a file twice", |parts| {
                let last = parts
                    .manifest
                    .chunks
                    .iter()
                    .rposition(|chunk| matches!(chunk.header.kind, ChunkKind::File(_)));
                let (entry, payload) = (
                    parts.manifest.chunks[last.unwrap()],
                    parts.payloads[last.unwrap()].clone(),
                );
                parts.manifest.chunks.push(entry);
                parts.payloads.push(payload);
                parts.settle();
            }),
            ("an end that is a page", |parts| {
                let mut entry = *parts.manifest.chunks.last().unwrap();
                let payload = vec![7; PAGE_SIZE];
                (entry.header.kind, entry.header.count) = (ChunkKind::Tail(Space::Objects), 8_192);
                (entry.header.first, entry.header.last, entry.digest) = (0, 0, digest(&payload));
                parts.manifest.chunks.push(entry);
                parts.payloads.push(payload);
                parts.manifest.spaces[0].file_length += 8_192;
                parts.settle();
            }),
            ("a free page where a page is", |parts| {
                let current = crate::support::small::mapping_in(
                    &crate::support::small::small_v22(),
                    &crate::support::small::current_file(&crate::support::small::small_v22()),
                );
                renumber(parts, current.objects.mapped().next().unwrap().1.get());
            }),
            ("a free page far away", |parts| {
                renumber(parts, u32::MAX - 1)
            }),
            ("free pages of less than all", |parts| {
                let chunk = free_pages(parts);
                remove(parts, chunk);
            }),
            ("mappings of other generations alone", |parts| {
                // The first file is the mapping that was checked; the second of its kind is what
                // gets its name.
                let role = parts.manifest.chunks[first_file(parts)].header.kind;
                let second = parts
                    .manifest
                    .chunks
                    .iter()
                    .rposition(|chunk| chunk.header.kind == role)
                    .unwrap();
                assert_ne!(second, first_file(parts));
                remove(parts, second);
            }),
        ],
    );
}

#[test]
fn a_forensic_backup_whose_files_make_another_generation_current_is_refused() {
    let all = crate::support::small::small_v22();
    let newest = crate::support::small::current_file(&all);
    let mut older = all.clone();
    older.remove(&newest);
    let options = BackupOptions {
        compression: Compression::None,
        forensic: true,
        ..single()
    };
    let mut parts = parts(&older, &options);
    // What is verified is the generation before; what is restored would have the newest one too, in
    // a file of its own.
    let mut entry = parts.manifest.chunks[first_file(&parts)];
    let payload = all[&newest].clone();
    entry.header.kind = ChunkKind::File(FileRole::from_file_name(&newest).unwrap());
    entry.header.count = u32::try_from(payload.len()).unwrap();
    entry.digest = digest(&payload);
    parts.manifest.chunks.push(entry);
    parts.payloads.push(payload);
    parts.settle();
    assert_refused("another generation", parts.to_bytes());
    // Such a backup is not made either.
    let (storage, directory) = in_memory(&all);
    let current = crate::support::open(&all)
        .unwrap()
        .snapshot()
        .mapping()
        .generation();
    let repository = cimrepo::store::OpenOptions::new()
        .generation(current - 1)
        .open_in(&directory)
        .unwrap();
    let shared = crate::tiny::shared(&storage);
    let error = cimrepo::backup::backup_in(
        &repository,
        &shared,
        "it",
        &options,
        &cimrepo::base::progress::Unobserved,
    );
    assert!(
        matches!(error, Err(cimrepo::Error::InvalidArgument(_))),
        "{error:?}"
    );
}

//! Damaged, cut, mixed-up and malicious repositories: no panic, no endless work, and words that say
//! which file it is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::error::Error as _;
use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use cimrepo::backup::{BackupOptions, backup_in};
use cimrepo::base::corruption::{Corruption, CorruptionCode};
use cimrepo::base::page_no::{LogicalPage, PAGE_SIZE, RecordRef, Space};
use cimrepo::base::progress::{Observer, Progress, Unobserved};
use cimrepo::base::site::FileRole;
use cimrepo::format::Dialect;
use cimrepo::format::index::key::Key;
use cimrepo::format::mapping::{Mapping, MappingEntry, MappingSection};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{OpenOptions, Repository};
use cimrepo::verify::{Level, Unchecked, VerifyOptions, verify};
use cimrepo::{Direction, Error, KeyRange};

use support::areas::{Area, Areas, areas, is_cut};
use support::edit::{
    edit_mapping, edit_page, mapping_files, root_and_child, set_first_child, set_word, word,
};
use support::flips::{self, Look, Position, positions};
use support::small::{current_file, data_mut, mapping_in, physical, small_v21, small_v22};
use support::{
    Files, assert_clean, check, codes, corpus, in_memory, load, name_of, odd_case, open,
};

/// Bits changed in a file of a real repository; verifying one takes long in a build without
/// optimisation.
const REAL_FLIPS: usize = if cfg!(debug_assertions) { 8 } else { 500 };

/// Bits changed in a file of a small repository.
const SMALL_FLIPS: usize = 420;

/// Bits changed besides in each file where a change must be seen.
const SURE_FLIPS: usize = if cfg!(debug_assertions) { 60 } else { 160 };

fn both() -> [(&'static str, Files); 2] {
    [("2.1", small_v21()), ("2.2", small_v22())]
}

/// An error with what caused it.
fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Asserts that a text names a file or place, and is a sentence for a human being.
fn assert_names(text: &str, name: &str) {
    assert!(text.contains(name), "{text:?} does not name {name}");
    assert!(
        text.len() > name.len() + 15 && !text.contains(['\0', '\u{FFFD}']),
        "{text:?} says too little"
    );
}

/// The damage that a call failed with.
fn corruption<T: std::fmt::Debug>(result: cimrepo::Result<T>) -> Corruption {
    match result.unwrap_err() {
        Error::Corrupt(corruption) => *corruption,
        other => panic!("{}", words(&other)),
    }
}

/// Why a mapping file that was cut is refused.
fn code_of_cut(name: &str) -> CorruptionCode {
    match FileRole::from_file_name(name) {
        Some(FileRole::MappingVersion) => CorruptionCode::MappingVersion,
        _ => CorruptionCode::MappingTruncated,
    }
}

/// Asserts that exactly one file was refused, this one, for this reason.
fn assert_refused(repository: &Repository, name: &str, code: CorruptionCode) {
    let refused = repository.refused();
    assert_eq!(
        refused
            .iter()
            .map(|refusal| refusal.reason.code)
            .collect::<Vec<_>>(),
        [code],
        "{name}: {refused:?}"
    );
    assert_names(&refused[0].reason.to_string(), name);
    assert!(repository.is_whole(), "{name}: no other generation served");
}

#[test]
fn the_small_repositories_are_what_the_tests_need() {
    for (dialect, files) in both() {
        let repository = open(&files).unwrap();
        assert_clean(&repository, dialect);
        assert_eq!(repository.dialect().as_str(), dialect);
        let mapping = mapping_in(&files, &current_file(&files));
        assert_eq!(repository.snapshot().mapping(), &mapping);
        for space in Space::ALL {
            let section = mapping.section(space);
            let mapped = section.mapped_count();
            println!(
                "{dialect} {space}: {mapped} pages mapped, {} free",
                section.free.len()
            );
            assert!(
                !section.free.is_empty() && (15..60).contains(&mapped),
                "{dialect} {space}: {mapped}"
            );
        }
        assert!(
            mapping
                .objects
                .entries
                .iter()
                .any(|entry| entry.physical.is_none())
        );
        let (_, child) = root_and_child(&files);
        let page = repository.snapshot().page(Space::Index, child).unwrap();
        let keys = usize::try_from(word(&page[..], 16)).unwrap();
        assert_ne!(
            word(&page[..], 20 + 4 * keys),
            mapping.dialect.no_child(),
            "{dialect}: three levels"
        );
        let generations: std::collections::BTreeSet<Vec<u8>> = mapping_files(&files)
            .iter()
            .map(|name| files[name].clone())
            .collect();
        assert_eq!(
            generations.len(),
            mapping_files(&files).len(),
            "{dialect}: generations differ"
        );
    }
    assert!(
        small_v21() == small_v21() && small_v22() == small_v22(),
        "the same at every run"
    );
}

#[test]
fn both_dialects_hold_the_same() {
    let [old, new] = both().map(|(_, files)| open(&files).unwrap().snapshot());
    let scan = |snapshot: &cimrepo::store::Snapshot| -> Vec<Key> {
        snapshot
            .keys(KeyRange::all(), Direction::Forward)
            .map(Result::unwrap)
            .collect()
    };
    let (old_keys, new_keys) = (scan(&old), scan(&new));
    assert_eq!(old_keys.len(), new_keys.len());
    let name = |key: &Key| key.to_string().split('.').next().unwrap().to_owned();
    for (old_key, new_key) in old_keys.iter().zip(&new_keys) {
        assert_eq!(name(old_key), name(new_key));
        if let (Some(a), Some(b)) = (old_key.reference(), new_key.reference()) {
            assert_eq!(old.record(a).unwrap(), new.record(b).unwrap());
        }
    }
}

/// Runs flips and holds the outcome against what each byte is for.
fn flip_all(what: &str, files: &Files, areas: &Areas, list: &[Position], look: Look) {
    let seen = flips::run(files, list, look);
    flips::print(what, &flips::tally(list, &seen, areas));
    for (position, seen) in list.iter().zip(seen) {
        let area = areas[&position.file][position.byte];
        assert!(
            seen || !area.is_always_seen(),
            "{what}: no word of {position:?}, {area:?}"
        );
        assert!(
            !seen || !area.is_never_seen(),
            "{what}: a false alarm of {position:?}, {area:?}"
        );
    }
}

/// Flips `count` bits all over each file, then `sure` more where a change must be seen: in 2.2 most
/// bytes are under no checksum, and a spread hits those that matter too seldom. Gives how many were
/// flipped in all.
///
/// The data files are held against the current generation alone, the mapping files against all:
/// that is where it makes a difference, and verifying three generations takes thrice as long.
fn flip_everywhere(what: &str, files: &Files, count: usize, sure: usize, read_all: bool) -> usize {
    let mut flips = 0;
    for all_generations in [false, true] {
        let mut areas = areas(files, all_generations);
        areas.retain(|name, _| (name == "OBJECTS.DATA" || name == "INDEX.BTR") != all_generations);
        let pick = |count, wanted: fn(Area) -> bool| -> Vec<Position> {
            areas
                .iter()
                .flat_map(|(name, of)| positions(name, of, count, wanted))
                .collect()
        };
        let (spread, must) = (pick(count, |_| true), pick(sure, Area::is_always_seen));
        flip_all(
            what,
            files,
            &areas,
            &spread,
            Look {
                all_generations,
                read_all: false,
                level: Level::Structure,
            },
        );
        flip_all(
            &format!("{what}+"),
            files,
            &areas,
            &must,
            Look {
                all_generations,
                read_all,
                level: Level::Structure,
            },
        );
        flips += spread.len() + must.len();
    }
    flips
}

#[test]
fn flipped_bits_in_small_repositories() {
    for (dialect, files) in both() {
        let flips = flip_everywhere(dialect, &files, SMALL_FLIPS, SURE_FLIPS, true);
        assert!(flips >= 2_000, "{flips}");
    }
}

#[test]
fn every_byte_of_the_current_mapping_is_checked() {
    for (dialect, files) in both() {
        let current = current_file(&files);
        let areas = areas(&files, true);
        let all = positions(
            &current,
            &areas[&current],
            areas[&current].len(),
            Area::is_always_seen,
        );
        let seen = flips::run(
            &files,
            &all,
            Look {
                all_generations: true,
                read_all: false,
                level: Level::Structure,
            },
        );
        for (position, seen) in all.iter().zip(seen) {
            assert!(seen, "{dialect}: no word of {position:?}");
        }
        println!(
            "{dialect}: {} bits of {current}, one in each byte with one right value",
            all.len()
        );
    }
}

#[test]
fn flipped_bits_in_real_repositories() {
    for path in corpus("flipped_bits_in_real_repositories") {
        flip_everywhere(
            &name_of(&path),
            &load(&path),
            REAL_FLIPS,
            REAL_FLIPS / 4,
            false,
        );
    }
}

/// Cuts a file and asserts that it shows, unless nothing that counts was cut off.
fn cut(what: &str, files: &Files, name: &str, len: usize) {
    let mut files = files.clone();
    let intact = files.clone();
    files.get_mut(name).unwrap().truncate(len);
    let context = format!("{what}: {name} cut to {len} bytes");
    let role = FileRole::from_file_name(name).unwrap();
    let repository = open(&files).unwrap_or_else(|error| panic!("{context}: {}", words(&error)));
    let report = check(&repository, true);
    match role {
        FileRole::Objects | FileRole::Index => {
            let space = if role == FileRole::Objects {
                Space::Objects
            } else {
                Space::Index
            };
            let found = codes(&report);
            if is_cut(&intact, space, len / PAGE_SIZE) {
                assert!(
                    found.contains(&CorruptionCode::MappingBeyondFile),
                    "{context}: {found:?}"
                );
            } else {
                assert!(found.is_empty(), "{context}: {found:?}");
            }
        }
        FileRole::ObjectsMap | FileRole::IndexMap if len >= section_len(&intact[name], role) => {
            assert!(
                report.is_consistent() && repository.refused().is_empty(),
                "{context}: only stale bytes were cut"
            );
        }
        _ => {
            assert_refused(&repository, name, code_of_cut(name));
            assert!(
                report.has_sound_generations(),
                "{context}: {:?}",
                codes(&report)
            );
            assert!(
                !report.is_consistent(),
                "{context}: a file that was refused counts where all are checked"
            );
        }
    }
}

/// Bytes of a single-section map without what is stale behind it.
fn section_len(bytes: &[u8], role: FileRole) -> usize {
    bytes.len() - MappingSection::parse_single(bytes, role).unwrap().1
}

#[test]
fn files_cut_at_every_sector() {
    for (dialect, files) in both() {
        let mut count = 0;
        for (name, bytes) in &files {
            for len in (0..bytes.len()).step_by(512) {
                cut(dialect, &files, name, len);
                count += 1;
            }
        }
        println!("{dialect}: {count} cuts");
    }
}

#[test]
fn real_files_cut_here_and_there() {
    for path in corpus("real_files_cut_here_and_there") {
        let files = load(&path);
        for (name, bytes) in &files {
            for part in 0..3 {
                cut(&name_of(&path), &files, name, bytes.len() * part / 3);
            }
        }
    }
}

#[test]
fn a_cut_current_mapping_leaves_the_generation_before_it() {
    for (dialect, mut files) in both() {
        let now = open(&files).unwrap().snapshot().mapping().generation();
        let current = current_file(&files);
        files.get_mut(&current).unwrap().truncate(40);
        let repository = open(&files).unwrap();
        assert_refused(&repository, &current, code_of_cut(&current));
        assert_eq!(
            repository.snapshot().mapping().generation(),
            now - 1,
            "{dialect}"
        );
    }
}

/// What the current generation is may hang on a file that cannot be used any more: then it is not
/// known whether what is there is the newest state, and no verification may say that all is well.
#[test]
fn a_newer_state_that_may_be_lost_is_no_consistent_repository() {
    for (dialect, files) in both() {
        let (current, intact) = (current_file(&files), files);
        let now = mapping_in(&intact, &current).generation();
        for name in mapping_files(&intact) {
            for remove in [false, true] {
                let context = format!("{dialect}: {name}, removed: {remove}");
                let mut files = intact.clone();
                if remove {
                    files.remove(&name);
                } else {
                    files.get_mut(&name).unwrap().truncate(40);
                }
                let repository = open(&files).unwrap();
                let (report, all) = (check(&repository, false), check(&repository, true));
                assert!(
                    report.has_sound_generations() && all.has_sound_generations(),
                    "{context}"
                );
                // In dialect 2.2 the next generation goes where the oldest is. Where that file is
                // cut, its front shows that the oldest is what was there; where it is gone, that is
                // not known.
                let generation = mapping_in(&intact, &name).generation();
                let is_lost =
                    name == current || dialect == "2.2" && remove && generation != now - 1;
                assert_eq!(
                    report.is_consistent(),
                    !is_lost,
                    "{context}: {:?}",
                    report.refused
                );
                assert_eq!(
                    report.refused_that_count().count(),
                    usize::from(is_lost),
                    "{context}"
                );
                // Of the two maps of dialect 2.1 the one that does not count need not be there.
                let is_fine = dialect == "2.1" && remove && !is_lost;
                assert_eq!(all.is_consistent(), is_fine, "{context}: {:?}", all.refused);
            }
        }
    }
}

/// A generation that was torn while it was written bears the number of the one that was there
/// before, or its own.
#[test]
fn a_newest_generation_whose_mapping_or_page_is_torn_may_be_lost() {
    let files = small_v22();
    let current = current_file(&files);
    let mapping = mapping_in(&files, &current);
    let mut stamps = files.clone();
    edit_mapping(&mut stamps, &current, |mapping| {
        mapping.objects.entries[0].stamp -= 3
    });
    let mut older = files.clone();
    edit_mapping(&mut older, &current, |mapping| {
        for section in [&mut mapping.objects, &mut mapping.index] {
            (section.generation, section.previous) = (section.generation - 3, section.previous - 3);
        }
    });
    let mut page = files.clone();
    let written = |entry: &&MappingEntry| entry.last_write == mapping.generation();
    let torn = mapping
        .objects
        .entries
        .iter()
        .find(written)
        .unwrap()
        .physical
        .unwrap();
    data_mut(&mut page, Space::Objects)[torn.index() * PAGE_SIZE] ^= 1;
    for files in [stamps, older, page] {
        let repository = open(&files).unwrap();
        assert_eq!(
            repository.snapshot().mapping().generation(),
            mapping.generation() - 1
        );
        let report = check(&repository, false);
        assert!(
            report.has_sound_generations() && !report.is_consistent(),
            "{:?}",
            report.refused
        );
        assert!(
            report.refused.iter().all(|refusal| refusal.may_be_newer),
            "{:?}",
            report.refused
        );
    }
    // Asked for the generation before, one has it, and need not hear what came after it.
    let (_, directory) = in_memory(&files);
    let before = OpenOptions::new()
        .generation(mapping.generation() - 1)
        .open_in(&directory)
        .unwrap();
    assert!(check(&before, false).is_consistent());
}

#[test]
fn a_verification_tells_how_far_it_is_and_ends_when_asked_to() {
    for (dialect, files) in both() {
        let repository = open(&files).unwrap();
        for threads in [1, 3] {
            let options = VerifyOptions {
                threads: NonZeroUsize::new(threads),
                all_generations: true,
            };
            let (calls, last) = (AtomicU64::new(0), AtomicU64::new(0));
            let watch = |progress: Progress| {
                calls.fetch_add(1, Ordering::Relaxed);
                last.fetch_max(progress.done, Ordering::Relaxed);
                assert!(progress.done <= progress.total, "{progress:?}");
                ControlFlow::Continue(())
            };
            verify(&repository, options, &watch).unwrap();
            let mapped = |space| {
                u64::from(
                    repository
                        .snapshot()
                        .mapping()
                        .section(space)
                        .mapped_count(),
                )
            };
            let mut pages = Space::ALL.map(mapped).iter().sum::<u64>();
            if dialect == "2.1" {
                pages -= 1; // the admin page of the index is looked at beside the others
            }
            assert!(last.into_inner() >= pages, "{dialect}: {pages} pages");
            for stop in (0..calls.into_inner()).step_by(7) {
                let calls = AtomicU64::new(0);
                let watch = |_: Progress| match calls.fetch_add(1, Ordering::Relaxed) {
                    call if call == stop => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                };
                let error = verify(&repository, options, &watch).unwrap_err();
                assert!(
                    matches!(error, Error::Cancelled),
                    "{dialect}, call {stop}: {error}"
                );
            }
        }
    }
}

/// Does something at the first sign of progress: what another process may do at any moment.
fn first(act: &(impl Fn() + Sync)) -> impl Observer {
    let once = std::sync::Once::new();
    move |_: Progress| {
        once.call_once(act);
        ControlFlow::Continue(())
    }
}

/// Reading takes no lock. What another process writes is not seen as long as the mapping file that
/// was opened stays; and when it goes, neither a verification nor a backup says anything of a
/// mixture of states.
#[test]
fn a_writer_that_goes_over_what_is_read_is_noticed() {
    for (dialect, files) in both() {
        let current = current_file(&files);
        for name in mapping_files(&files) {
            let (storage, directory) = in_memory(&files);
            let path = Path::new(support::PLACE).join(&name);
            let shared: std::sync::Arc<dyn cimrepo::storage::Storage> =
                std::sync::Arc::new(storage.clone());
            let repository = OpenOptions::new().open_in(&directory).unwrap();
            backup_in(
                &repository,
                &shared,
                "b.cimbak",
                &BackupOptions::default(),
                &Unobserved,
            )
            .unwrap();
            let older = storage.get("b.cimbak").unwrap();
            let overwrite = || {
                let mut bytes = files[&name].clone();
                bytes[4] ^= 0x40;
                storage.put(&path, bytes);
            };
            let verified =
                verify(&repository, VerifyOptions::default(), &first(&overwrite)).map(drop);
            storage.put(&path, files[&name].clone());
            let options = BackupOptions::default();
            let backed_up = backup_in(
                &repository,
                &shared,
                "b.cimbak",
                &options,
                &first(&overwrite),
            )
            .map(drop);
            for result in [verified, backed_up] {
                match result {
                    Err(error @ Error::Overtaken { .. }) => {
                        assert_eq!(name, current, "{dialect}");
                        assert_names(&error.to_string(), &current);
                        assert_eq!(error.exit_code() as u8, 5);
                    }
                    other => assert!(
                        other.is_ok() && name != current,
                        "{dialect}, {name}: {other:?}"
                    ),
                }
            }
            if name == current {
                assert!(
                    storage.get("b.cimbak") == Some(older),
                    "an older backup gave way to one that failed"
                );
            }
        }
    }
}

#[test]
fn places_without_repository() {
    let place = tempfile::tempdir().unwrap();
    let (empty, file) = (place.path().join("empty"), place.path().join("some.file"));
    fs::create_dir(&empty).unwrap();
    fs::write(&file, b"no directory").unwrap();
    let missing = place.path().join("missing");
    for (path, says) in [
        (&empty, "holds no file of a repository"),
        (&file, "it is a file"),
    ] {
        let error = Repository::open_read_only(path).unwrap_err();
        assert!(matches!(error, Error::NotARepository { .. }), "{error:?}");
        assert_names(&words(&error), path.to_str().unwrap());
        assert_names(&words(&error), says);
    }
    for directory in [
        Directory::real(&missing),
        Directory::new(std::sync::Arc::new(MemStorage::new()), &missing),
    ] {
        match OpenOptions::new().open_in(&directory).unwrap_err() {
            Error::Io { path, source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                assert_eq!(*path, *missing)
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        fs::read_dir(&empty).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn without_objects_data_the_keys_are_there() {
    for (dialect, mut files) in both() {
        let whole = open(&files).unwrap().snapshot();
        files.remove("OBJECTS.DATA");
        let repository = open(&files).unwrap();
        assert!(repository.is_whole() && repository.refused().is_empty());
        assert_eq!(
            repository.missing().collect::<Vec<_>>(),
            [FileRole::Objects],
            "{dialect}"
        );
        let snapshot = repository.snapshot();
        let expected = whole.counts();
        let counts = snapshot.counts();
        assert_eq!(
            (counts.keys, counts.namespaces, counts.instances),
            (expected.keys, expected.namespaces, expected.instances)
        );
        assert_eq!((counts.records, counts.unreadable), (0, 0));
        let mut references = snapshot
            .keys(KeyRange::all(), Direction::Forward)
            .filter_map(|key| key.unwrap().reference());
        let lost = corruption(snapshot.record(references.next().unwrap()));
        assert_eq!(lost.code, CorruptionCode::FileMissing);
        assert_names(&lost.to_string(), "OBJECTS.DATA");
        let report = check(&repository, false);
        assert_eq!((codes(&report), report.is_consistent()), (vec![], false));
        assert_eq!(report.generations[0].unchecked, [Unchecked::NoObjects]);
        assert_names(
            &report.generations[0].unchecked[0].to_string(),
            "OBJECTS.DATA",
        );
    }
}

#[test]
fn without_index_btr_the_records_are_there() {
    for (dialect, mut files) in both() {
        let whole = open(&files).unwrap().snapshot();
        files.remove("INDEX.BTR");
        let repository = open(&files).unwrap();
        assert_eq!(
            repository.missing().collect::<Vec<_>>(),
            [FileRole::Index],
            "{dialect}"
        );
        let snapshot = repository.snapshot();
        let counts = snapshot.counts();
        assert_eq!(
            (counts.keys, counts.records, counts.unreadable),
            (0, whole.counts().records, 0)
        );
        for record in whole.records().map(Result::unwrap) {
            assert_eq!(
                snapshot.record(record).unwrap(),
                whole.record(record).unwrap()
            );
        }
        for lost in [
            corruption(snapshot.contains_key(b"NS_A")),
            corruption(snapshot.find(b"NS_A")),
        ] {
            assert_eq!(lost.code, CorruptionCode::FileMissing);
            assert_names(&lost.to_string(), "INDEX.BTR");
        }
        let report = check(&repository, false);
        assert_eq!((codes(&report), report.is_consistent()), (vec![], false));
        assert_eq!(report.generations[0].unchecked, [Unchecked::NoIndex]);
    }
}

#[test]
fn without_one_mapping_another_generation_serves() {
    for (dialect, files) in both() {
        let current = current_file(&files);
        let now = open(&files).unwrap().snapshot().mapping().generation();
        for name in mapping_files(&files) {
            let mut files = files.clone();
            files.remove(&name);
            let repository = open(&files).unwrap();
            let expected = if name == current { now - 1 } else { now };
            assert_eq!(
                repository.snapshot().mapping().generation(),
                expected,
                "{dialect} without {name}"
            );
            assert!(repository.is_whole() && codes(&check(&repository, true)).is_empty());
        }
    }
}

#[test]
fn without_any_mapping_there_is_no_repository() {
    let mut files = small_v22();
    files.retain(|name, _| !name.starts_with("MAPPING"));
    let error = open(&files).unwrap_err();
    assert!(matches!(error, Error::NotARepository { .. }), "{error:?}");
    for name in ["MAPPING1.MAP", "OBJECTS.DATA", "INDEX.BTR", support::PLACE] {
        assert_names(&error.to_string(), name);
    }
}

#[test]
fn the_single_maps_of_2_1_serve_when_no_other_does() {
    let mut files = small_v21();
    files.remove("MAPPING1.MAP");
    files.remove("MAPPING2.MAP");
    let repository = open(&files).unwrap();
    let report = check(&repository, true);
    assert!(report.has_sound_generations() && repository.is_whole());
    assert_eq!(report.generations[0].mapping, FileRole::ObjectsMap);
    assert_refused(&repository, "MAPPING2.MAP", CorruptionCode::FileMissing);
    assert!(
        report.refused[0].may_be_newer && !report.is_consistent(),
        "MAPPING.VER names the file that is gone"
    );
    files.remove("INDEX.MAP");
    let error = open(&files).unwrap_err();
    assert!(matches!(error, Error::NotARepository { .. }), "{error:?}");
    assert_names(&error.to_string(), "MAPPING1.MAP");
}

#[test]
fn the_single_maps_of_2_1_are_not_needed() {
    for name in ["OBJECTS.MAP", "INDEX.MAP"] {
        let mut files = small_v21();
        files.remove(name);
        assert_clean(&open(&files).unwrap(), name);
    }
}

#[test]
fn mapping_ver_that_names_nothing() {
    let values = [
        None,
        Some(vec![]),
        Some(vec![0; 4]),
        Some(vec![3, 0, 0, 0]),
        Some(vec![0xFF; 4]),
        Some(vec![2, 0]),
    ];
    for value in values {
        let mut files = small_v21();
        let now = open(&files).unwrap().snapshot().mapping().generation();
        files.remove("MAPPING.VER");
        files.extend(value.clone().map(|bytes| ("MAPPING.VER".to_owned(), bytes)));
        let repository = open(&files).unwrap();
        assert_refused(&repository, "MAPPING.VER", CorruptionCode::MappingVersion);
        assert_eq!(
            repository.snapshot().mapping().generation(),
            now,
            "{value:?}"
        );
        let report = check(&repository, false);
        assert!(
            report.has_sound_generations() && !report.is_consistent(),
            "{value:?}"
        );
        assert!(report.refused[0].may_be_newer);
    }
}

#[test]
fn files_without_bytes() {
    for (dialect, files) in both() {
        for name in files.keys() {
            let mut files = files.clone();
            files.insert(name.clone(), Vec::new());
            let repository = open(&files).unwrap();
            if name == "OBJECTS.DATA" || name == "INDEX.BTR" {
                assert!(!repository.is_whole(), "{dialect}: {name}");
                let reasons = repository
                    .refused()
                    .iter()
                    .map(|refusal| refusal.reason.code);
                assert!(
                    reasons
                        .clone()
                        .all(|code| code == CorruptionCode::MappingBeyondFile)
                        && reasons.count() >= 2
                );
                assert!(
                    codes(&check(&repository, false)).contains(&CorruptionCode::MappingBeyondFile)
                );
                assert!(
                    repository.snapshot().counts().unreadable > 0,
                    "{dialect}: {name}"
                );
            } else {
                assert_refused(&repository, name, code_of_cut(name));
            }
        }
    }
}

#[test]
fn mapping_files_may_differ_in_size() {
    for (dialect, files) in both() {
        let sizes: std::collections::BTreeSet<usize> = mapping_files(&files)
            .iter()
            .map(|name| files[name].len())
            .collect();
        assert_eq!(sizes.len(), mapping_files(&files).len(), "{dialect}");
        assert_clean(&open(&files).unwrap(), dialect);
    }
}

#[test]
fn when_all_mappings_are_bad_each_is_named() {
    for (dialect, mut files) in both() {
        let maps: Vec<String> = files
            .keys()
            .filter(|name| name.ends_with(".MAP"))
            .cloned()
            .collect();
        for name in &maps {
            files.get_mut(name).unwrap()[1] ^= 1;
        }
        let error = open(&files).unwrap_err();
        assert!(
            matches!(error, Error::NotARepository { .. }),
            "{dialect}: {error:?}"
        );
        for name in mapping_files(&files)
            .iter()
            .chain([&CorruptionCode::MappingSignature.to_string()])
        {
            assert_names(&error.to_string(), name);
        }
    }
}

#[test]
fn when_no_generation_is_whole_the_best_one_is_shown() {
    for (dialect, mut files) in both() {
        let now = open(&files).unwrap().snapshot().mapping().generation();
        for name in mapping_files(&files) {
            edit_mapping(&mut files, &name, |mapping| {
                let used = mapping.index.entries[5].physical.unwrap();
                mapping.index.free.push(used);
            });
        }
        // The single maps of 2.1 are whole; without them nothing is.
        files.remove("INDEX.MAP");
        let repository = open(&files).unwrap();
        assert!(
            !repository.is_whole() && repository.refused().len() == mapping_files(&files).len(),
            "{dialect}"
        );
        assert_eq!(repository.snapshot().mapping().generation(), now);
        assert_eq!(
            codes(&check(&repository, false)),
            [CorruptionCode::MappingMappedAndFree]
        );
    }
}

#[test]
fn pages_of_the_index_that_lead_in_a_circle() {
    for (dialect, files) in both() {
        let (root, child) = root_and_child(&files);
        for (from, to) in [(root, root), (child, child), (child, root)] {
            let mut files = files.clone();
            edit_page(&mut files, Space::Index, from, |page| {
                set_first_child(page, to)
            });
            let repository = open(&files).unwrap();
            assert!(repository.is_whole(), "{dialect}: checksums fit");
            let found = check(&repository, false);
            let circle = found
                .findings()
                .find(|finding| finding.code == CorruptionCode::IndexPageTwice);
            assert_eq!(
                circle.map(|finding| finding.site.page),
                Some(Some(to)),
                "{dialect}: {from} to {to}"
            );
            let snapshot = repository.snapshot();
            for direction in [Direction::Forward, Direction::Backward] {
                let errors: Vec<_> = snapshot
                    .keys(KeyRange::all(), direction)
                    .filter_map(Result::err)
                    .collect();
                let [Error::Corrupt(error)] = &errors[..] else {
                    panic!("{dialect}: {errors:?}")
                };
                assert_eq!(error.code, CorruptionCode::IndexPageTwice);
                assert_names(&error.to_string(), "INDEX.BTR");
            }
            let lost = corruption(snapshot.contains_key(b"A"));
            assert_eq!(lost.code, CorruptionCode::IndexKeyOrder, "{dialect}");
            assert_names(&lost.to_string(), "INDEX.BTR, page");
        }
    }
}

#[test]
fn a_child_pointer_that_was_lost_is_reported_and_hides_no_key() {
    for (dialect, files) in both() {
        let whole: Vec<Key> = scan(&files, Direction::Forward)
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let (root, child) = root_and_child(&files);
        for parent in [root, child] {
            let page = open(&files)
                .unwrap()
                .snapshot()
                .page(Space::Index, parent)
                .unwrap();
            let keys = usize::try_from(word(&page[..], 16)).unwrap();
            for number in [0, keys / 2, keys] {
                let at = 20 + 4 * keys + 4 * number;
                let mut files = files.clone();
                let none = if dialect == "2.1" { 0 } else { u32::MAX };
                edit_page(&mut files, Space::Index, parent, |page| {
                    set_word(page, at, none)
                });
                for direction in [Direction::Forward, Direction::Backward] {
                    let (mut found, failed): (Vec<_>, Vec<_>) =
                        scan(&files, direction).into_iter().partition(Result::is_ok);
                    let [Err(Error::Corrupt(error))] = &failed[..] else {
                        panic!("{dialect}: {failed:?}")
                    };
                    assert_eq!(
                        (error.code, error.site.page),
                        (CorruptionCode::IndexChildrenMixed, Some(parent))
                    );
                    if direction == Direction::Backward {
                        found.reverse();
                    }
                    let found: Vec<Key> = found.into_iter().map(Result::unwrap).collect();
                    assert_eq!(found, whole, "{dialect}: child {number} of {parent}");
                }
                let snapshot = open(&files).unwrap().snapshot();
                for key in &whole {
                    assert!(
                        snapshot.contains_key(key.as_bytes()).unwrap(),
                        "{key} was there"
                    );
                }
                let report = check(&open(&files).unwrap(), false);
                assert_eq!(
                    codes(&report),
                    [CorruptionCode::IndexChildrenMixed],
                    "{dialect}"
                );
                assert_eq!(
                    report.generations[0].unchecked,
                    [Unchecked::IndexIncomplete]
                );
                assert_eq!(report.generations[0].keys, whole.len() as u64);
            }
        }
    }
}

fn scan(files: &Files, direction: Direction) -> Vec<cimrepo::Result<Key>> {
    open(files)
        .unwrap()
        .snapshot()
        .keys(KeyRange::all(), direction)
        .collect()
}

#[test]
fn a_root_that_is_no_page() {
    for (dialect, files) in both() {
        for root in [5_000, u32::MAX] {
            let mut files = files.clone();
            if dialect == "2.1" {
                let admin = LogicalPage::new(0).unwrap();
                edit_page(&mut files, Space::Index, admin, |page| {
                    set_word(page, 12, root)
                });
            } else {
                for name in mapping_files(&files) {
                    edit_mapping(&mut files, &name, |mapping| {
                        mapping.index.entries[0].user_data = root
                    });
                }
            }
            let repository = open(&files).unwrap();
            assert_eq!(
                corruption(repository.snapshot().contains_key(b"A")).code,
                CorruptionCode::IndexRoot
            );
            let report = check(&repository, false);
            let finding = report
                .findings()
                .find(|finding| finding.code == CorruptionCode::IndexRoot)
                .unwrap();
            assert_names(&finding.to_string(), "the root is said to be page");
            assert_eq!(
                report.generations[0].unchecked,
                [Unchecked::IndexIncomplete],
                "{dialect} {root}"
            );
        }
    }
}

/// The first record on several pages.
fn large_record(files: &Files) -> RecordRef {
    open(files)
        .unwrap()
        .snapshot()
        .records()
        .map(Result::unwrap)
        .find(|record| record.id == 1)
        .unwrap()
}

#[test]
fn records_that_claim_gigabytes() {
    for (dialect, files) in both() {
        let record = large_record(&files);
        for size in [u32::MAX, 1 << 31, 100 << 20, 65 << 20] {
            let mut files = files.clone();
            edit_page(&mut files, Space::Objects, record.page, |page| {
                set_word(page, 8, size)
            });
            let repository = open(&files).unwrap();
            let snapshot = repository.snapshot();
            let claimed = corruption(snapshot.record(RecordRef { size, ..record }));
            assert_eq!(
                claimed.code,
                CorruptionCode::RecordMultiPage,
                "{dialect} {size}"
            );
            assert_names(&claimed.to_string(), "OBJECTS.DATA, page");
            assert_eq!(
                corruption(snapshot.record(record)).code,
                CorruptionCode::ReferenceSize
            );
            let found = codes(&check(&repository, false));
            assert!(
                found.contains(&CorruptionCode::RecordMultiPage),
                "{dialect} {size}: {found:?}"
            );
        }
    }
}

/// A mapping in which thousands of logical pages claim one physical page gives a record all the
/// pages it could want.
#[test]
fn a_record_with_pages_enough_for_its_claim_meets_the_bound() {
    for (dialect, mut files) in both() {
        let record = large_record(&files);
        let size = 100 << 20;
        edit_page(&mut files, Space::Objects, record.page, |page| {
            set_word(page, 8, size)
        });
        for name in mapping_files(&files) {
            edit_mapping(&mut files, &name, |mapping| {
                let section = &mut mapping.objects;
                let entry = section.entries[record.page.index() + 1];
                section.entries.resize(13_000, MappingEntry::default());
                section.entries[record.page.index() + 1..].fill(entry);
            });
        }
        files.remove("OBJECTS.MAP");
        let repository = open(&files).unwrap();
        let error = repository
            .snapshot()
            .record(RecordRef { size, ..record })
            .unwrap_err();
        assert!(
            matches!(error, Error::Limit { got, .. } if got == u64::from(size)),
            "{dialect}: {error:?}"
        );
        assert!(
            codes(&check(&repository, false)).contains(&CorruptionCode::MappingPageTwice),
            "{dialect}"
        );
    }
}

#[test]
fn mapping_headers_that_claim_billions() {
    for (dialect, files) in both() {
        let header = if dialect == "2.1" { 8 } else { 16 };
        let entries = mapping_in(&files, &current_file(&files))
            .objects
            .entries
            .len();
        let free = header + 8 + entries * if dialect == "2.1" { 4 } else { 24 };
        let claims = [
            (header, CorruptionCode::MappingPageLost),
            (header + 4, CorruptionCode::MappingTruncated),
            (free, CorruptionCode::MappingTruncated),
        ];
        for (at, code) in claims {
            for value in [u32::MAX, u32::MAX - 1, 1 << 31, 1 << 28] {
                let mut files = files.clone();
                let current = current_file(&files);
                set_word(files.get_mut(&current).unwrap(), at, value);
                assert_refused(&open(&files).unwrap(), &current, code);
            }
        }
    }
}

#[test]
fn a_page_space_of_billions_in_every_generation_costs_nothing() {
    for (dialect, mut files) in both() {
        for name in mapping_files(&files) {
            edit_mapping(&mut files, &name, |mapping| {
                mapping.objects.physical_pages = u32::MAX
            });
        }
        files.remove("OBJECTS.MAP");
        let repository = open(&files).unwrap();
        assert!(!repository.is_whole(), "{dialect}");
        assert_eq!(
            codes(&check(&repository, false)),
            [CorruptionCode::MappingPageLost]
        );
        assert_eq!(repository.snapshot().counts().unreadable, 0);
    }
}

#[test]
fn a_mapping_of_the_other_dialect_is_refused() {
    let [(_, old), (_, new)] = both();
    for (files, other) in [(&old, &new), (&new, &old)] {
        let now = open(files).unwrap().snapshot().mapping().generation();
        let current = current_file(files);
        for name in mapping_files(files) {
            let mut files = files.clone();
            files.insert(name.clone(), other[&current_file(other)].clone());
            let repository = open(&files).unwrap();
            assert_refused(&repository, &name, CorruptionCode::MappingSignature);
            assert_names(&repository.refused()[0].reason.to_string(), "of dialect");
            let expected = if name == current { now - 1 } else { now };
            assert_eq!(
                repository.snapshot().mapping().generation(),
                expected,
                "{name}"
            );
        }
    }
}

#[test]
fn files_of_2_1_beside_a_repository_of_2_2_do_not_matter() {
    let (old, mut files) = (small_v21(), small_v22());
    for name in ["MAPPING.VER", "OBJECTS.MAP", "INDEX.MAP"] {
        files.insert(name.to_owned(), old[name].clone());
    }
    let repository = open(&files).unwrap();
    assert_eq!(repository.dialect(), Dialect::V22);
    assert_clean(&repository, "2.2 with files of 2.1");
}

#[test]
fn data_files_of_the_other_dialect_are_seen() {
    let [(_, old), (_, new)] = both();
    for (files, other) in [(&old, &new), (&new, &old)] {
        for name in ["OBJECTS.DATA", "INDEX.BTR"] {
            let mut files = files.clone();
            files.insert(name.to_owned(), other[name].clone());
            let repository = open(&files).unwrap();
            assert!(
                check(&repository, false).findings().next().is_some(),
                "{name}"
            );
        }
    }
}

#[test]
fn bytes_behind_a_mapping_are_stale_in_2_1() {
    let mut files = small_v21();
    for (_, bytes) in files.iter_mut().filter(|(name, _)| name.ends_with(".MAP")) {
        bytes.extend_from_slice(&[0xEE; 40]);
    }
    assert_clean(&open(&files).unwrap(), "2.1 with stale bytes");
}

#[test]
fn bytes_behind_a_mapping_are_damage_in_2_2() {
    let files = small_v22();
    let current = current_file(&files);
    for name in mapping_files(&files) {
        let mut files = files.clone();
        files.get_mut(&name).unwrap().extend_from_slice(&[0; 40]);
        let repository = open(&files).unwrap();
        if name == current {
            assert_refused(&repository, &name, CorruptionCode::MappingTrailingBytes);
        }
        let report = check(&repository, true);
        assert_eq!(codes(&report), [CorruptionCode::MappingTrailingBytes]);
        assert_names(&report.findings().next().unwrap().to_string(), &name);
    }
}

#[test]
fn a_data_file_may_lack_pages_that_are_free() {
    for (dialect, files) in both() {
        for space in Space::ALL {
            let mut files = files.clone();
            // The last page of the file is free, and a further one was handed out and never
            // written.
            let bytes = data_mut(&mut files, space);
            bytes.truncate(bytes.len() - PAGE_SIZE);
            let current = current_file(&files);
            edit_mapping(&mut files, &current, |mapping| {
                let section = mapping.section_mut(space);
                section.free.push(physical(section.physical_pages));
                section.physical_pages += 1;
            });
            let stated = mapping_in(&files, &current).section(space).physical_pages;
            assert_eq!(
                data_mut(&mut files, space).len(),
                (stated as usize - 2) * PAGE_SIZE
            );
            assert_clean(&open(&files).unwrap(), &format!("{dialect} {space}"));
        }
    }
}

#[test]
fn a_page_beyond_the_end_of_its_file_is_named() {
    for (dialect, mut files) in both() {
        let current = current_file(&files);
        edit_mapping(&mut files, &current, |mapping: &mut Mapping| {
            let section = &mut mapping.objects;
            let new = physical(section.physical_pages + 5);
            section.entries[3].physical = Some(new);
        });
        let repository = open(&files).unwrap();
        assert_refused(&repository, &current, CorruptionCode::MappingBeyondFile);
        assert_names(&repository.refused()[0].reason.to_string(), "page 3");
        println!("{dialect}: {}", repository.refused()[0].reason);
    }
}

#[test]
fn the_case_of_file_names_does_not_matter() {
    for (dialect, files) in both() {
        let odd: Files = files
            .iter()
            .map(|(name, bytes)| (odd_case(name), bytes.clone()))
            .collect();
        let (plain, odd) = (open(&files).unwrap(), open(&odd).unwrap());
        assert_clean(&odd, dialect);
        assert_eq!(odd.snapshot().mapping(), plain.snapshot().mapping());
        assert_eq!(odd.snapshot().counts(), plain.snapshot().counts());
    }
}

#[test]
fn of_two_names_that_differ_in_case_one_is_taken_for_good() {
    let mut files = small_v22();
    let rubbish = vec![0xAB; 100];
    for name in [
        "objects.data",
        "index.btr",
        "mapping1.map",
        "Mapping2.map",
        "mApping3.map",
    ] {
        files.insert(name.to_owned(), rubbish.clone());
    }
    let (_, directory) = in_memory(&files);
    let opened = OpenOptions::new().open_in(&directory).unwrap();
    let names: Vec<&str> = opened.files().present().map(|(_, name)| name).collect();
    assert_eq!(
        names,
        [
            "OBJECTS.DATA",
            "INDEX.BTR",
            "MAPPING1.MAP",
            "MAPPING2.MAP",
            "MAPPING3.MAP"
        ]
    );
    assert_clean(&opened, "two of each");
    assert_eq!(
        opened.files().path(FileRole::Objects),
        Path::new(support::PLACE).join("OBJECTS.DATA")
    );
}

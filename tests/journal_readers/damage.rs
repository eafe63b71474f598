//! Journals that are damaged, or continue what is not there: the longest whole beginning is
//! replayed, and the rest is said with the number of commits.

use std::path::Path;

use cimrepo::base::corruption::CorruptionCode;
use cimrepo::format::own::journal::{HEADER_SIZE, JournalOp, MappingId};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{JournalFate, JournalFile, Repository};

use crate::{
    check, files, fresh, identity, journal_name, journal_on, names, open, plant, still, support,
    waiting,
};

fn key(name: &str) -> Vec<u8> {
    format!("NS_0\\{name}").into_bytes()
}

/// The one journal.
fn only(repository: &Repository) -> JournalFile {
    let [file] = repository.journal().files() else {
        panic!("{:?}", repository.journal())
    };
    file.clone()
}

fn code(file: &JournalFile) -> CorruptionCode {
    let JournalFate::Refused(finding) = &file.fate else {
        panic!("{file:?}")
    };
    finding.code
}

/// The name and the bytes of the one journal of a directory.
fn journal(directory: &Directory) -> (String, Vec<u8>) {
    files(directory)
        .into_iter()
        .find(|(name, _)| name.ends_with(".journal"))
        .unwrap()
}

/// What is found where the second of three commits does not fit: the first counts, two are lost,
/// and no writer builds on it.
fn assert_second_refused(directory: &Directory, what: &str) {
    let repository = open(directory);
    let file = only(&repository);
    assert_eq!(
        (file.commits, file.replayed, file.lost()),
        (Some(3), 1, Some(2)),
        "{what}: {file:?}"
    );
    assert_eq!(code(&file), CorruptionCode::JournalOperation, "{what}");
    assert_eq!(names(&repository.snapshot()), ["FIRST", "GOOD"], "{what}");
    let report = check(&repository);
    assert!(
        report.has_sound_generations() && !report.is_consistent(),
        "{what}: {report:?}"
    );
    assert!(still().open_in(directory).is_err(), "{what}");
}

#[test]
fn operations_that_do_not_fit_end_the_replay() {
    let good = key("GOOD");
    let (missing, late) = (key("MISSING"), key("LATE"));
    let place = support::small::logical;
    let record = |page, id, size| cimrepo::base::page_no::RecordRef {
        page: place(page),
        id,
        size,
    };
    let large = vec![1; 30_000];
    let put = |page, id, bytes| JournalOp::PutRecord {
        page: place(page),
        id,
        bytes,
    };
    let wrong: [(&str, Vec<JournalOp<'_>>); 8] = [
        (
            "a key that is not there",
            vec![JournalOp::DeleteKey(&missing)],
        ),
        ("a key that is there", vec![JournalOp::InsertKey(&good)]),
        (
            "half of it fits",
            vec![JournalOp::InsertKey(&missing), JournalOp::DeleteKey(&late)],
        ),
        (
            "a record that is not there",
            vec![JournalOp::DeleteRecord(record(0, 77, 5))],
        ),
        (
            "an id twice",
            vec![put(9, 1, &b"x"[..]), put(9, 1, &b"y"[..])],
        ),
        ("over another", vec![put(9, 0, &large), put(10, 0, &large)]),
        ("beyond all pages", vec![put(0xFFFF_FFF0, 5, &b"x"[..])]),
        ("no key", vec![JournalOp::InsertKey(b"")]),
    ];
    for (what, operations) in wrong {
        let (storage, directory) = fresh();
        let commits = [
            vec![JournalOp::InsertKey(&good)],
            operations,
            vec![JournalOp::InsertKey(&late)],
        ];
        plant(&storage, &directory, &commits);
        assert_second_refused(&directory, what);
    }
}

#[test]
fn a_payload_that_is_no_operation_ends_the_replay() {
    let (storage, directory) = fresh();
    let (good, late) = (key("GOOD"), key("LATE"));
    plant(
        &storage,
        &directory,
        &[
            vec![JournalOp::InsertKey(&good)],
            vec![JournalOp::InsertKey(b"NS_0\\BAD")],
            vec![JournalOp::InsertKey(&late)],
        ],
    );
    let (name, mut bytes) = journal(&directory);
    // The kind of the operation in the second frame, and its checksum again.
    let second = HEADER_SIZE + 32;
    assert_eq!(&bytes[second..second + 4], b"JCMT");
    bytes[second + 20] = 9;
    let len = usize::try_from(support::edit::word(&bytes, second + 4)).unwrap();
    let sealed: Vec<u8> = [
        &0x5EED_u64.to_le_bytes()[..],
        &bytes[second + 8..second + 16],
        &bytes[second + 4..second + 8],
        &bytes[second + 20..second + 20 + len],
    ]
    .concat();
    let crc = cimrepo::format::checksum::crc32(&sealed);
    support::edit::set_word(&mut bytes, second + 16, crc);
    storage.put(Path::new(&name), bytes);
    assert_second_refused(&directory, "an operation of no kind");
}

#[test]
fn a_torn_frame_ends_the_journal_and_is_no_finding() {
    let (storage, directory) = waiting();
    let (name, bytes) = journal(&directory);
    let whole = bytes.clone();
    for at in [HEADER_SIZE + 30, HEADER_SIZE + 200] {
        let mut torn = bytes.clone();
        torn[at] ^= 0x40;
        storage.put(Path::new(&name), torn);
        let repository = open(&directory);
        let file = only(&repository);
        assert!(
            file.has_torn_tail && file.fate == JournalFate::Replayed && file.replayed < 3,
            "{file:?}"
        );
        assert!(check(&repository).is_consistent());
    }
    // Cut in the middle of the last frame, and of the header.
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    storage.put(Path::new(&name), whole[..end - 3].to_vec());
    assert_eq!(only(&open(&directory)).replayed, 2);
    storage.put(Path::new(&name), whole[..40].to_vec());
    let repository = open(&directory);
    assert_eq!(only(&repository).fate, JournalFate::Unfinished);
    assert!(repository.journal().is_empty() && check(&repository).is_consistent());
}

#[test]
fn a_header_that_is_damaged_or_newer_is_said() {
    let (storage, directory) = waiting();
    let (name, bytes) = journal(&directory);
    let mut damaged = bytes.clone();
    damaged[33] ^= 1;
    storage.put(Path::new(&name), damaged);
    let repository = open(&directory);
    assert_eq!(
        (only(&repository).lost(), code(&only(&repository))),
        (None, CorruptionCode::JournalHeader)
    );
    assert!(!check(&repository).is_consistent());
    let mut newer = bytes;
    newer[8] = 2;
    let crc = cimrepo::format::checksum::crc32(&newer[..60]);
    support::edit::set_word(&mut newer, 60, crc);
    storage.put(Path::new(&name), newer);
    let repository = open(&directory);
    assert_eq!(only(&repository).fate, JournalFate::UnknownVersion(2));
    assert_eq!(names(&repository.snapshot()), ["FIRST"]);
    assert!(!check(&repository).is_consistent());
}

#[test]
fn chains_are_followed_and_gaps_are_not() {
    let (a, b, c) = (key("A"), key("B"), key("C"));
    let one = |key| vec![JournalOp::InsertKey(key)];
    // A gap in the numbers; a generation that is left out; and a chain without either.
    for (first_of_second, previous_of_third, expected) in [
        (52, 1, &["A", "B", "C", "FIRST"][..]),
        (53, 1, &["A", "FIRST"]),
        (52, 7, &["A", "B", "FIRST"]),
    ] {
        let (storage, directory) = fresh();
        let base = identity(&directory);
        let next = |number| MappingId {
            generation: base.generation + number,
            mapping_crc: 7 * number,
        };
        let put =
            |id: MappingId, bytes| storage.put(Path::new(&journal_name(id.generation)), bytes);
        put(base, journal_on(base, base, 50, &[one(&a[..]), vec![]]));
        put(
            next(1),
            journal_on(next(1), base, first_of_second, &[one(&b[..])]),
        );
        let previous = MappingId {
            mapping_crc: 7 * previous_of_third,
            ..next(1)
        };
        put(next(2), journal_on(next(2), previous, 53, &[one(&c[..])]));
        let repository = open(&directory);
        assert_eq!(names(&repository.snapshot()), expected);
        let lost: u64 = repository
            .journal()
            .files()
            .iter()
            .map(|file| file.lost().unwrap())
            .sum();
        assert_eq!(lost, 4 - expected.len() as u64);
        assert_eq!(check(&repository).is_consistent(), lost == 0);
        assert_eq!(still().open_in(&directory).is_ok(), lost == 0);
    }
}

#[test]
fn stale_journals_count_for_nothing() {
    let (storage, directory) = waiting();
    let (name, bytes) = journal(&directory);
    let engine = still().open_in(&directory).unwrap();
    engine.checkpoint().unwrap();
    let generation = identity(&directory).generation;
    storage.put(Path::new(&name), bytes);
    let repository = open(&directory);
    let file = only(&repository);
    assert_eq!(
        (&file.fate, file.commits, file.lost()),
        (&JournalFate::Stale, Some(3), Some(0))
    );
    assert!(repository.journal().is_empty() && check(&repository).is_consistent());
    // And one that continues another generation of the same number.
    let other = MappingId {
        generation,
        mapping_crc: 1,
    };
    let text = key("PLANTED");
    let planted = journal_on(other, other, 9, &[vec![JournalOp::InsertKey(&text)]]);
    storage.put(Path::new(&journal_name(generation)), planted);
    assert_eq!(names(&open(&directory).snapshot()), ["B", "FIRST"]);
}

#[test]
fn a_journal_of_a_generation_that_is_lost_is_said() {
    let (storage, directory) = fresh();
    let base = identity(&directory);
    let lost = MappingId {
        generation: base.generation + 2,
        mapping_crc: 5,
    };
    let (a, b) = (key("A"), key("B"));
    let commits = [
        vec![JournalOp::InsertKey(&a)],
        vec![JournalOp::InsertKey(&b)],
    ];
    storage.put(
        Path::new(&journal_name(lost.generation)),
        journal_on(lost, lost, 9, &commits),
    );
    let repository = open(&directory);
    let file = only(&repository);
    assert_eq!(
        (file.lost(), code(&file)),
        (Some(2), CorruptionCode::JournalUnplaced)
    );
    assert!(!check(&repository).is_consistent());
    let error = still().open_in(&directory).unwrap_err().to_string();
    assert!(
        error.contains(&file.name) && error.contains("move the journal away"),
        "{error}"
    );
}

/// Dialect 2.1 is only read, so no journal of it can be this engine's.
#[test]
fn a_journal_beside_dialect_2_1_is_refused() {
    let files = support::small::small_v21();
    let (storage, directory) = support::in_memory(&files);
    let planted = MappingId {
        generation: 1,
        mapping_crc: 0,
    };
    let text = key("A");
    let bytes = journal_on(planted, planted, 1, &[vec![JournalOp::InsertKey(&text)]]);
    storage.put(directory.join(&journal_name(1)), bytes);
    let repository = open(&directory);
    assert_eq!(
        (only(&repository).lost(), code(&only(&repository))),
        (Some(1), CorruptionCode::JournalUnplaced)
    );
    assert!(!check(&repository).is_consistent());
}

/// A few bytes of journal a page: millions of them would take gigabytes.
#[test]
fn records_that_are_spread_over_more_pages_than_they_fill_are_refused() {
    let (storage, directory) = fresh();
    let spread: Vec<JournalOp<'_>> = (0..60_000)
        .map(|page| JournalOp::PutRecord {
            page: support::small::logical(page * 10 + 5),
            id: 1,
            bytes: b"",
        })
        .collect();
    plant(&storage, &directory, &[spread]);
    let file = only(&open(&directory));
    assert_eq!(
        (file.commits, file.replayed, code(&file)),
        (Some(1), 0, CorruptionCode::JournalOperation)
    );
}

/// What a writer does stays within that bound: each record here leaves no room for the next one,
/// small or large.
#[test]
fn what_a_writer_spreads_is_replayed() {
    let (_, directory): (MemStorage, Directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    let mut transaction = engine.begin_write().unwrap();
    for number in 0..400 {
        let record = transaction
            .insert_record(&vec![1; if number % 2 == 0 { 8_130 } else { 90 }])
            .unwrap();
        transaction
            .insert_key(format!("NS_0\\N{number}.{record}").as_bytes())
            .unwrap();
    }
    transaction.commit().unwrap();
    let repository = open(&directory);
    assert_eq!(names(&repository.snapshot()).len(), 401);
}

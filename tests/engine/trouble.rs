//! Damaged repositories, files that are taken away or replaced under the engine, and limits.

use std::io;

use cimrepo::base::limits::{MAX_KEY_BYTES, MAX_RECORD_BYTES};
use cimrepo::base::page_no::PhysicalPage;
use cimrepo::format::mapping::Mapping;
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::{Durability, Engine, EngineOptions};
use cimrepo::{Error, KeyRange};

use crate::support::hooked::Hooked;
use crate::{copy_of, fresh, keys, on_disk, put, still, verified};

/// A repository with some objects, closed.
fn filled() -> (MemStorage, Directory) {
    let (storage, directory) = fresh();
    let engine = still()
        .durability(Durability::None)
        .open_in(&directory)
        .unwrap();
    for number in 0..60 {
        put(
            &engine,
            &format!("NS_0\\CD_{number:050}"),
            &vec![7; 400 + number * 3],
        );
    }
    engine.close().unwrap();
    (storage, directory)
}

#[test]
fn pages_released_before_reopening_rest_as_long_as_others() {
    let (_, directory) = fresh();
    let mut engine = still().open_in(&directory).unwrap();
    let mut history: Vec<Mapping> = Vec::new();
    let mut reopened_at = Vec::new();
    for round in 0..40_u8 {
        put(&engine, &format!("NS_0\\CI_{}", round % 3), &[round; 100]);
        if round % 4 == 3 {
            engine.close().unwrap();
            reopened_at.push(on_disk(&directory).mapping().generation());
            engine = still().open_in(&directory).unwrap();
        } else {
            engine.checkpoint().unwrap();
        }
        history.push(on_disk(&directory).mapping().clone());
    }
    let maps = |mapping: &Mapping, page: PhysicalPage| {
        mapping
            .objects
            .mapped()
            .any(|(_, physical, _)| physical == page)
    };
    let (mut checked, mut across) = (0, 0);
    for (at, new) in history.iter().enumerate().skip(1) {
        for (_, page, _) in new
            .objects
            .mapped()
            .filter(|(_, page, _)| !maps(&history[at - 1], *page))
        {
            let Some(last) = history[..at].iter().rposition(|old| maps(old, page)) else {
                continue;
            };
            let (released, taken) = (history[last].generation() + 1, new.generation());
            let reopened = reopened_at
                .iter()
                .filter(|&&reopened| reopened < taken && reopened >= released)
                .min();
            // Known: the last two releases before the first opening behind it.
            if reopened.is_none_or(|reopened| released + 1 >= *reopened) {
                assert!(
                    taken >= released + 5,
                    "page {page}: released in {released}, taken in {taken}"
                );
                checked += 1;
                across += usize::from(reopened.is_some());
            }
        }
    }
    assert!(
        checked > 10 && across > 5,
        "{checked}, {across} of them over an opening"
    );
}

#[test]
fn a_mapping_file_that_is_missing_is_made_again() {
    let (storage, directory) = filled();
    let gone = format!(
        "MAPPING{}.MAP",
        Mapping::slot_of(on_disk(&directory).mapping().generation() + 1)
    );
    storage.remove_file(gone.as_ref()).unwrap();
    let engine = still().open_in(&directory).unwrap();
    for number in 0..7 {
        put(&engine, &format!("NS_1\\CD_{number}"), b"x");
        engine.checkpoint().unwrap();
    }
    assert!(storage.get(&gone).is_some());
    engine.close().unwrap();
    on_disk(&directory);
}

#[test]
fn damage_is_met_where_it_is_to_be_changed_and_does_not_spread() {
    let (storage, directory) = filled();
    // A table of contents that overlaps: the checksum of the page, which samples, does not see it.
    let mut bytes = storage.get("OBJECTS.DATA").unwrap();
    let (_, place, _) = on_disk(&directory)
        .mapping()
        .objects
        .mapped()
        .next()
        .unwrap();
    bytes[place.index() * 8192 + 4 + 1] ^= 0x10;
    storage.put("OBJECTS.DATA", bytes);
    assert!(matches!(
        still().verify(true).open_in(&directory),
        Err(Error::NotARepository { .. })
    ));
    let engine = still().open_in(&directory).unwrap();
    let key = keys(&engine.snapshot())
        .into_iter()
        .find(|key| key.contains(".0."))
        .unwrap();
    let record = cimrepo::format::index::key::reference(key.as_bytes())
        .unwrap()
        .unwrap();
    let mut transaction = engine.begin_write().unwrap();
    transaction.remove_key(key.as_bytes()).unwrap();
    assert!(matches!(
        transaction.remove_record(record),
        Err(Error::Corrupt(_))
    ));
    drop(transaction);
    put(&engine, "NS_1\\CD_ELSEWHERE", &[1; 9_000]);
    engine.close().unwrap();
    assert!(still().verify(true).open_in(&filled().1).is_ok());
}

#[test]
fn what_another_program_does_to_the_files_is_seen_before_anything_is_built_on_it() {
    let (other, _) = filled();
    for replaced in ["mapping", "a missing mapping", "OBJECTS.DATA", "INDEX.BTR"] {
        for through_journal in [true, false] {
            let (storage, directory) = filled();
            let engine = still().open_in(&directory).unwrap();
            let before = (engine.snapshot(), keys(&engine.snapshot()));
            if replaced == "a missing mapping" {
                storage
                    .remove_file(
                        format!(
                            "MAPPING{}.MAP",
                            Mapping::slot_of(before.0.mapping().generation())
                        )
                        .as_ref(),
                    )
                    .unwrap();
            } else if replaced == "mapping" {
                let current = format!(
                    "MAPPING{}.MAP",
                    Mapping::slot_of(before.0.mapping().generation())
                );
                let mut bytes = other.get(&current).unwrap();
                bytes[4] ^= 1;
                storage.put(&current, bytes);
            } else {
                storage.put(replaced, Vec::new());
            }
            let mut transaction = engine.begin_write().unwrap();
            if !through_journal {
                transaction.set_durability(Durability::Checkpoint);
            }
            let changed = transaction
                .insert_key(b"NS_1\\CR_A\\C_B")
                .and_then(|_| transaction.commit());
            if replaced == "INDEX.BTR" {
                assert!(changed.is_err()); // reading it may fail first
                continue;
            }
            assert!(
                matches!(&changed, Err(Error::Changed { .. })),
                "{replaced}: {changed:?}"
            );
            assert!(matches!(
                engine.begin_write().map(drop),
                Err(Error::Poisoned(_))
            ));
            assert_eq!(
                before
                    .0
                    .keys(KeyRange::all(), cimrepo::Direction::Forward)
                    .count(),
                before.1.len()
            );
        }
    }
}

#[test]
fn a_directory_that_vanishes_is_an_error() {
    let temporary = tempfile::tempdir().unwrap();
    let place = temporary.path().join("r");
    std::fs::create_dir(&place).unwrap();
    let (storage, _) = filled();
    for name in [
        "OBJECTS.DATA",
        "INDEX.BTR",
        "MAPPING1.MAP",
        "MAPPING2.MAP",
        "MAPPING3.MAP",
    ] {
        std::fs::write(place.join(name), storage.get(name).unwrap()).unwrap();
    }
    let engine = EngineOptions::new().background(false).open(&place).unwrap();
    let snapshot = engine.snapshot();
    put(&engine, "NS_1\\CD_A", b"before");
    std::fs::rename(&place, temporary.path().join("elsewhere")).unwrap();
    verified(&snapshot);
    let commit = |engine: &Engine| {
        let mut transaction = engine.begin_write()?;
        transaction.set_durability(Durability::Checkpoint);
        transaction.insert_key(b"NS_1\\CR_A\\C_B")?;
        transaction.commit()
    };
    assert!(matches!(commit(&engine), Err(Error::Changed { .. })));
    assert!(matches!(commit(&engine), Err(Error::Poisoned(_))));
    assert!(engine.close().is_err());
    let engine = Engine::open(temporary.path().join("elsewhere")).unwrap();
    assert!(
        keys(&engine.snapshot())
            .iter()
            .any(|key| key.starts_with("NS_1\\CD_A.")),
        "the journal has it"
    );
}

#[test]
fn a_file_system_that_takes_no_writes_is_an_error_and_nothing_is_touched() {
    let (storage, directory) = filled();
    let before = copy_of(&storage);
    let hooked = Hooked::new(storage.clone(), |call, _| match call {
        "open" | "kind" | "read_dir" => Ok(()),
        _ => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
    });
    let refused = still().open_in(&hooked.directory("."));
    assert!(matches!(&refused, Err(Error::Io { .. })), "{refused:?}");
    drop(refused);
    assert_eq!(crate::names(&directory), crate::names(&before));
    on_disk(&directory);
}

#[test]
fn limits_are_errors_and_size_is_told() {
    let (_, directory) = filled();
    let engine = still().open_in(&directory).unwrap();
    let mut transaction = engine.begin_write().unwrap();
    assert!(transaction.insert_key(&[b'K'; MAX_KEY_BYTES]).unwrap());
    assert!(matches!(
        transaction.insert_key(&[b'K'; MAX_KEY_BYTES + 1]),
        Err(Error::Limit { .. })
    ));
    let too_large = vec![0; usize::try_from(MAX_RECORD_BYTES).unwrap() + 1];
    assert!(matches!(
        transaction.insert_record(&too_large),
        Err(Error::Limit { .. })
    ));
    transaction.commit().unwrap();
    let info = engine.info().unwrap();
    assert!(
        (info.commits_waiting, info.pages_waiting) == (1, 1) && !info.is_beyond_windows,
        "{info:?}"
    );
    assert!(info.journal_bytes > MAX_KEY_BYTES as u64 && info.data_bytes.is_multiple_of(8192));
    engine.checkpoint().unwrap();
    let after = engine.info().unwrap();
    assert_eq!(
        (after.generation, after.commits_waiting, after.journal_bytes),
        (info.generation + 1, 0, 0)
    );
}

#[test]
fn a_commit_without_change_writes_nothing() {
    let (storage, directory) = filled();
    let engine = still().open_in(&directory).unwrap();
    let files = || {
        crate::names(&directory)
            .into_iter()
            .map(|name| (storage.get(&name), name))
            .collect::<Vec<_>>()
    };
    let before = files();
    for durability in [
        Durability::Journal,
        Durability::Checkpoint,
        Durability::None,
    ] {
        let mut transaction = engine.begin_write().unwrap();
        transaction.set_durability(durability);
        assert!(!transaction.remove_key(b"NOT_THERE").unwrap());
        transaction.commit().unwrap();
        engine.checkpoint().unwrap();
    }
    assert!(files() == before);
    engine.close().unwrap();
}

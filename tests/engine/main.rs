//! The write engine against a model, on every storage: what a transaction did is there, what it did
//! not is not, and the files are a sound repository at every checkpoint.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod compact;
#[cfg(feature = "sim")]
mod crashes;
#[cfg(feature = "sim")]
mod faults;
mod model;
mod real;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "sim")]
mod takeover;
mod threads;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use cimrepo::base::page_no::RecordRef;
use cimrepo::base::progress::Unobserved;
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{BulkBuilder, OpenOptions, Snapshot};
use cimrepo::store::{Durability, Engine, EngineOptions};
use cimrepo::verify::{VerifyOptions, verify, verify_snapshot};
use cimrepo::{Direction, Error, KeyRange, Misuse};

/// Repositories are small and tests are many.
const ONE_THREAD: VerifyOptions = VerifyOptions {
    threads: std::num::NonZeroUsize::new(1),
    all_generations: false,
};

/// Options under which nothing happens by itself.
fn still() -> EngineOptions {
    EngineOptions::new()
        .background(false)
        .checkpoint_at(u64::MAX, Duration::MAX)
}

/// A new repository with one key, in memory.
fn fresh() -> (MemStorage, Directory) {
    let storage = MemStorage::new();
    let directory = Directory::new(Arc::new(storage.clone()), ".");
    let mut builder = BulkBuilder::create_seeded(directory.clone(), 1).unwrap();
    builder.key(b"NS_0\\FIRST", None).unwrap();
    builder.finish().unwrap();
    (storage, directory)
}

fn verified(snapshot: &Snapshot) {
    let report = verify_snapshot(snapshot, ONE_THREAD, &Unobserved).unwrap();
    assert!(report.is_consistent(), "{:?}", report.findings);
}

/// What a reader finds that knows nothing of the journal.
fn on_disk(directory: &Directory) -> Snapshot {
    let repository = OpenOptions::new()
        .without_journal()
        .open_in(directory)
        .unwrap();
    assert!(
        repository.is_whole() && repository.refused().is_empty(),
        "{:?}",
        repository.refused()
    );
    let options = VerifyOptions {
        all_generations: true,
        ..ONE_THREAD
    };
    let report = verify(&repository, options, &Unobserved).unwrap();
    assert!(report.is_consistent(), "{report:?}");
    repository.snapshot()
}

fn keys(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .keys(KeyRange::all(), Direction::Forward)
        .map(|key| key.unwrap().to_string())
        .collect()
}

/// Stores a record under a name; gives the key.
fn put(engine: &Engine, name: &str, bytes: &[u8]) -> (String, RecordRef) {
    let mut transaction = engine.begin_write().unwrap();
    let record = transaction.insert_record(bytes).unwrap();
    let key = format!("{name}.{record}");
    assert!(transaction.insert_key(key.as_bytes()).unwrap());
    transaction.commit().unwrap();
    (key, record)
}

#[test]
fn a_commit_is_seen_and_outlasts_the_process_and_the_checkpoint() {
    for durability in [
        Durability::Journal,
        Durability::Checkpoint,
        Durability::None,
    ] {
        let (storage, directory) = fresh();
        let engine = still().durability(durability).open_in(&directory).unwrap();
        let before = engine.snapshot();
        let (small, small_record) = put(&engine, "NS_0\\CD_A", b"the bytes of a class");
        let large_bytes = vec![7; 50_000];
        let (large, large_record) = put(&engine, "NS_0\\CD_B", &large_bytes);
        let after = engine.snapshot();
        assert_eq!(keys(&before), ["NS_0\\FIRST"]);
        let all = [small.clone(), large.clone(), "NS_0\\FIRST".to_owned()];
        for snapshot in [&after, &engine.snapshot()] {
            assert_eq!(keys(snapshot), all);
            assert_eq!(
                snapshot.record(small_record).unwrap(),
                b"the bytes of a class"
            );
            assert_eq!(snapshot.record(large_record).unwrap(), large_bytes);
            verified(snapshot);
        }
        if durability == Durability::Journal {
            assert_eq!(
                keys(&on_disk(&directory)),
                ["NS_0\\FIRST"],
                "the journal holds the commits"
            );
            // The process ends without a word: its files are as they are, its lock is gone.
            let copy = copy_of(&storage);
            let engine = still().open_in(&copy).unwrap();
            assert_eq!(keys(&engine.snapshot()), all);
            verified(&engine.snapshot());
            put(&engine, "NS_0\\CD_C", b"behind");
            engine.close().unwrap();
            assert_eq!(keys(&on_disk(&copy)).len(), 4);
        }
        engine.checkpoint().unwrap();
        assert_eq!(keys(&on_disk(&directory)), all);
        assert_eq!(keys(&before), ["NS_0\\FIRST"]);
        engine.close().unwrap();
        let left = names(&directory);
        assert_eq!(
            left,
            [
                "INDEX.BTR",
                "MAPPING1.MAP",
                "MAPPING2.MAP",
                "MAPPING3.MAP",
                "OBJECTS.DATA"
            ]
        );
        assert_eq!(on_disk(&directory).mapping().shutdown_flag, 1);
        assert_eq!(keys(&after), all);
    }
}

/// The files of a storage, without locks.
fn copy_of(storage: &MemStorage) -> Directory {
    let copy = MemStorage::new();
    let directory = Directory::new(Arc::new(storage.clone()), ".");
    for name in names(&directory)
        .into_iter()
        .filter(|name| name != "cimrepo.lock")
    {
        copy.put(name.clone(), storage.get(&name).unwrap());
    }
    Directory::new(Arc::new(copy), ".")
}

fn names(directory: &Directory) -> Vec<String> {
    let entries = directory.storage.read_dir(&directory.path).unwrap();
    let mut names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

#[test]
fn what_is_not_committed_is_not_there() {
    let (_, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    let before = keys(&engine.snapshot());
    let mut transaction = engine.begin_write().unwrap();
    let record = transaction.insert_record(b"lost").unwrap();
    transaction
        .insert_key(format!("NS_0\\CD_X.{record}").as_bytes())
        .unwrap();
    drop(transaction);
    assert_eq!(keys(&engine.snapshot()), before);
    // A panic takes one transaction with it and nothing else.
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut transaction = engine.begin_write().unwrap();
        transaction.insert_key(b"NS_0\\LOST").unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    let mut transaction = engine.begin_write().unwrap();
    assert!(!transaction.contains_key(b"NS_0\\LOST").unwrap());
    transaction.insert_key(b"NS_0\\KEPT").unwrap();
    transaction.commit().unwrap();
    assert_eq!(keys(&engine.snapshot()), ["NS_0\\FIRST", "NS_0\\KEPT"]);
    verified(&engine.snapshot());
}

#[test]
fn savepoints_nest() {
    let (_, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    let mut transaction = engine.begin_write().unwrap();
    transaction.insert_key(b"A").unwrap();
    let outer = transaction.savepoint();
    transaction.insert_key(b"B").unwrap();
    let inner = transaction.savepoint();
    let record = transaction.insert_record(&[1; 9000]).unwrap();
    transaction
        .insert_key(format!("C.{record}").as_bytes())
        .unwrap();
    transaction.roll_back(inner);
    assert!(transaction.contains_key(b"B").unwrap() && transaction.find(b"C").unwrap().is_none());
    transaction.roll_back(outer);
    transaction.insert_key(b"D").unwrap();
    transaction.commit().unwrap();
    let all = ["A", "D", "NS_0\\FIRST"];
    assert_eq!(keys(&engine.snapshot()), all);
    engine.close().unwrap();
    assert_eq!(keys(&on_disk(&directory)), all);
}

#[test]
fn what_makes_no_repository_is_refused() {
    let (_, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    let refused = |error: cimrepo::Result<()>, misuse| match error {
        Err(Error::InvalidArgument(invalid)) => assert_eq!(invalid.misuse, misuse),
        other => panic!("{other:?}"),
    };
    let mut transaction = engine.begin_write().unwrap();
    refused(transaction.insert_key(b"").map(drop), Misuse::Key);
    transaction.commit().unwrap();
    let mut transaction = engine.begin_write().unwrap();
    transaction.insert_record(b"no key names it").unwrap();
    refused(transaction.commit(), Misuse::UnnamedRecord);
    let mut transaction = engine.begin_write().unwrap();
    assert!(
        matches!(transaction.insert_key(b"A.0.77.5"), Err(Error::Corrupt(_))),
        "no such record"
    );
    assert!(matches!(
        transaction.insert_key(&[b'A'; 2000]),
        Err(Error::Limit { .. })
    ));
    assert!(transaction.remove_key(b"NS_0\\FIRST").unwrap());
    refused(transaction.commit(), Misuse::LastKey);
    assert_eq!(keys(&engine.snapshot()), ["NS_0\\FIRST"]);
    assert!(matches!(
        still().open_in(&directory),
        Err(Error::Locked { .. })
    ));
    drop(engine);
    still().open_in(&directory).unwrap();
}

#[test]
fn snapshots_stay_as_they_were_over_many_generations() {
    let (_, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    let mut held = Vec::new();
    for number in 0..30 {
        put(
            &engine,
            &format!("NS_0\\CI_{}", number % 7),
            format!("record {number}").as_bytes(),
        );
        held.push((engine.snapshot(), keys(&engine.snapshot())));
        engine.checkpoint().unwrap();
        on_disk(&directory);
    }
    for (snapshot, expected) in &held {
        assert_eq!(&keys(snapshot), expected);
        verified(snapshot);
    }
}

//! Compaction: the same content in fewer pages, whoever reads meanwhile.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use cimrepo::Error;
use cimrepo::base::page_no::PAGE_SIZE;
use cimrepo::base::progress::{Progress, Unobserved};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::Snapshot;
use cimrepo::store::{CompactSummary, Durability, Engine};

use crate::model::content;
use crate::{fresh, keys, on_disk, put, still, verified};

/// A repository of which most was taken out again.
fn sparse(engine: &Engine) -> BTreeMap<String, Vec<u8>> {
    for group in 0..20 {
        let mut transaction = engine.begin_write().unwrap();
        for number in group * 20..group * 20 + 20 {
            let record = transaction
                .insert_record(&vec![1; 200 + number * 37 % 1500])
                .unwrap();
            let name = format!("NS_{}\\CI_{:04}\\IL_{number:060}", number % 3, number % 11);
            transaction
                .insert_key(format!("{name}.{record}").as_bytes())
                .unwrap();
        }
        let record = transaction.insert_record(&vec![2; 20_000 + group]).unwrap();
        transaction
            .insert_key(format!("NS_9\\CD_{group}.{record}").as_bytes())
            .unwrap();
        transaction.commit().unwrap();
    }
    engine.checkpoint().unwrap();
    let mut transaction = engine.begin_write().unwrap();
    for (number, key) in keys(&engine.snapshot()).iter().enumerate() {
        let record = cimrepo::format::index::key::reference(key.as_bytes()).unwrap();
        if let Some(record) = record.filter(|_| number % 7 != 0) {
            transaction.remove_key(key.as_bytes()).unwrap();
            transaction.remove_record(record).unwrap();
        }
    }
    transaction.commit().unwrap();
    content(&engine.snapshot())
}

fn length(storage: &MemStorage, name: &str) -> u64 {
    storage.get(name).unwrap().len() as u64
}

fn pages(bytes: u64) -> u64 {
    bytes / PAGE_SIZE as u64
}

fn assert_dense(storage: &MemStorage, summary: &CompactSummary, snapshot: &Snapshot) {
    assert_eq!(length(storage, "OBJECTS.DATA"), summary.objects_after.bytes);
    assert_eq!(length(storage, "INDEX.BTR"), summary.index_after.bytes);
    assert_eq!(
        pages(summary.objects_after.bytes),
        u64::from(summary.objects_after.pages)
    );
    assert_eq!(
        pages(summary.index_after.bytes),
        u64::from(summary.index_after.pages)
    );
    assert!(snapshot.mapping().objects.free.is_empty() && snapshot.mapping().index.free.is_empty());
}

#[test]
fn the_content_is_the_same_and_the_files_are_as_small_as_it_is() {
    let (storage, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    let expected = sparse(&engine);
    let journals = || {
        crate::names(&directory)
            .into_iter()
            .filter(|name| name.ends_with(".journal"))
            .count()
    };
    assert_eq!(
        journals(),
        1,
        "what is only in the journal is compacted too"
    );
    let summary = engine.compact(&Unobserved).unwrap();
    assert_eq!(journals(), 0);
    assert_eq!(content(&engine.snapshot()), expected);
    assert_eq!(
        (summary.keys, summary.records, summary.pages_held),
        (expected.len() as u64 + 1, expected.len() as u64, 0)
    );
    assert!(
        summary.objects_after.bytes * 3 < summary.objects_before.bytes,
        "{summary:?}"
    );
    assert!(
        summary.index_after.bytes < summary.index_before.bytes,
        "{summary:?}"
    );
    assert_dense(&storage, &summary, &engine.snapshot());
    let disk = on_disk(&directory);
    assert_eq!(
        (content(&disk), disk.mapping().generation()),
        (expected.clone(), summary.generation)
    );
    // It goes on as before, by the journal too.
    put(&engine, "NS_0\\CD_AFTER", b"behind the compaction");
    let again = still().open_in(&crate::copy_of(&storage)).unwrap();
    assert_eq!(content(&again.snapshot()).len(), expected.len() + 1);
    verified(&again.snapshot());
    engine.close().unwrap();
    assert_eq!(content(&on_disk(&directory)).len(), expected.len() + 1);
}

#[test]
fn a_dense_repository_stays_as_large_as_it_is() {
    let (storage, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    let expected = sparse(&engine);
    engine.compact(&Unobserved).unwrap();
    let summary = engine.compact(&Unobserved).unwrap();
    assert_eq!(summary.objects_after.bytes, summary.objects_before.bytes);
    assert_eq!(content(&engine.snapshot()), expected);
    assert_dense(&storage, &summary, &engine.snapshot());
}

#[test]
fn old_snapshots_read_on_and_hold_their_pages() {
    let (storage, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    let first = (engine.snapshot(), content(&engine.snapshot()));
    let expected = sparse(&engine);
    let (before, listed) = (engine.snapshot(), keys(&engine.snapshot()));
    let summary = engine.compact(&Unobserved).unwrap();
    assert!(summary.pages_held > 0, "{summary:?}");
    assert_eq!(
        (content(&before), keys(&before)),
        (expected.clone(), listed),
        "the snapshot has the old references"
    );
    assert_eq!(content(&first.0), first.1);
    verified(&before);
    // They hold them as long as they live, over later commits too.
    for number in 0..8 {
        put(&engine, &format!("NS_0\\CD_LATER{number}"), &[number; 9000]);
        engine.checkpoint().unwrap();
    }
    verified(&before);
    assert_eq!(content(&before), expected);
    drop((before, first));
    let summary = engine.compact(&Unobserved).unwrap();
    assert_eq!(summary.pages_held, 0);
    assert_dense(&storage, &summary, &engine.snapshot());
    on_disk(&directory);
}

#[test]
fn names_that_are_equal_but_for_the_record_are_put_in_order() {
    let (_, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    for number in 0..40 {
        put(&engine, "NS_0\\CI_SAME", &[number; 3000]);
    }
    let mut transaction = engine.begin_write().unwrap();
    let shared = transaction.insert_record(b"named by two keys").unwrap();
    for name in ["NS_0\\CI_A\\IL_X", "NS_0\\KI_A\\I_X"] {
        transaction
            .insert_key(format!("{name}.{shared}").as_bytes())
            .unwrap();
    }
    transaction.commit().unwrap();
    engine.compact(&Unobserved).unwrap();
    let snapshot = engine.snapshot();
    verified(&snapshot);
    let records: Vec<_> = keys(&snapshot)
        .iter()
        .filter_map(|key| cimrepo::format::index::key::reference(key.as_bytes()).unwrap())
        .collect();
    assert_eq!(records.len(), 42);
    let mut bytes: Vec<u8> = records
        .iter()
        .map(|record| snapshot.record(*record).unwrap()[0])
        .collect();
    bytes.sort_unstable();
    bytes.dedup();
    assert_eq!(bytes.len(), 41);
    let named: Vec<String> = keys(&snapshot)
        .into_iter()
        .filter(|key| key.contains("_X."))
        .collect();
    assert_eq!(named.len(), 2);
    assert_eq!(
        named[0].split_once('.').unwrap().1,
        named[1].split_once('.').unwrap().1,
        "both name the one record"
    );
}

#[test]
fn it_can_be_stopped_and_nothing_has_happened() {
    let (storage, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    let expected = sparse(&engine);
    engine.checkpoint().unwrap();
    let generation = on_disk(&directory).mapping().generation();
    let length_before = length(&storage, "OBJECTS.DATA");
    let stop = |progress: Progress| {
        if progress.done < 10 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    assert!(matches!(engine.compact(&stop), Err(Error::Cancelled)));
    assert_eq!(on_disk(&directory).mapping().generation(), generation);
    assert_eq!(length(&storage, "OBJECTS.DATA"), length_before);
    assert_eq!(content(&engine.snapshot()), expected);
    engine.compact(&Unobserved).unwrap();
    assert_eq!(content(&engine.snapshot()), expected);
}

#[test]
fn readers_go_on_while_it_works() {
    let (_, directory) = fresh();
    let engine = Arc::new(
        still()
            .durability(Durability::Journal)
            .open_in(&directory)
            .unwrap(),
    );
    let expected = sparse(&engine);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let read = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut rounds = 0;
                    while rounds == 0 || !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        assert_eq!(content(&engine.snapshot()), expected);
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        for _ in 0..5 {
            engine.compact(&Unobserved).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum::<usize>()
    });
    assert!(read >= 2);
    verified(&engine.snapshot());
}

#[test]
fn a_record_that_no_key_names_is_not_lost_in_silence() {
    // What the engine refuses to make, another program may have left: the key is taken out, the
    // record stays.
    let (storage, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    let (key, _) = put(&engine, "NS_0\\CD_ORPHAN", b"no key names it");
    let mut transaction = engine.begin_write().unwrap();
    assert!(transaction.remove_key(key.as_bytes()).unwrap());
    transaction.commit().unwrap();
    let Err(Error::Corrupt(finding)) = engine.compact(&Unobserved) else {
        panic!("it was compacted")
    };
    assert_eq!(finding.code.as_str(), "record.orphan");
    drop(engine);
    let copy: Directory = crate::copy_of(&storage);
    assert_eq!(
        still().open_in(&copy).unwrap().snapshot().counts().records,
        1
    );
}

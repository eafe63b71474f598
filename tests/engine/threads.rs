//! Writers, readers, checkpoints in the background and compactions at the same time: every snapshot
//! is the state between two commits, whoever takes it and however long it is held. Meant for a
//! thread sanitiser too (`docs::testing`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cimrepo::base::progress::Unobserved;
use cimrepo::format::index::key::reference;
use cimrepo::store::Snapshot;
use cimrepo::store::{Durability, Engine, EngineOptions};
use cimrepo::{Direction, KeyRange};

use crate::support::hooked::Hooked;
use crate::{fresh, on_disk, put, still, verified};

const WRITERS: u8 = 3;
const COMMITS: u32 = 60;

/// Replaces the two objects of a writer by two with the next number.
fn commit(engine: &Engine, writer: u8, number: u32) {
    let mut transaction = engine.begin_write().unwrap();
    if number % 9 == 4 {
        transaction.set_durability(Durability::Checkpoint);
    }
    for half in ["A", "B"] {
        if let Some(old) = transaction
            .find(format!("NS_{writer}\\CD_{half}_").as_bytes())
            .unwrap()
        {
            transaction.remove_key(old.as_bytes()).unwrap();
            transaction.remove_record(old.reference().unwrap()).unwrap();
        }
        let record = transaction.insert_record(&[writer ^ 0x5A; 700]).unwrap();
        transaction
            .insert_key(format!("NS_{writer}\\CD_{half}_{number:06}.{record}").as_bytes())
            .unwrap();
    }
    transaction.commit().unwrap();
}

/// The number of a writer's last commit in a snapshot; both its objects have it.
fn last(snapshot: &Snapshot, writer: u8) -> u32 {
    let keys = snapshot.keys(
        KeyRange::prefix(format!("NS_{writer}\\CD_").as_bytes()),
        Direction::Forward,
    );
    let keys: Vec<String> = keys.map(|key| key.unwrap().to_string()).collect();
    let numbers: Vec<u32> = keys
        .iter()
        .map(|key| key.split(['_', '.']).nth(3).unwrap().parse().unwrap())
        .collect();
    for key in &keys {
        let record = reference(key.as_bytes()).unwrap().unwrap();
        assert_eq!(snapshot.record(record).unwrap(), [writer ^ 0x5A; 700]);
    }
    match numbers[..] {
        [] => 0,
        [a, b] if a == b => a,
        _ => panic!("half a commit: {keys:?}"),
    }
}

#[test]
fn every_snapshot_is_a_state_between_two_commits() {
    let (_, directory) = fresh();
    let options = EngineOptions::new()
        .checkpoint_at(20_000, Duration::from_millis(3))
        .cache_pages(16);
    let engine = options.open_in(&directory).unwrap();
    let (engine, is_over) = (&engine, &AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(move || {
                let (mut seen, mut held) = ([0; 3], Vec::new());
                while !is_over.load(Ordering::Relaxed) {
                    let snapshot = engine.snapshot();
                    let now = [0, 1, 2].map(|writer| last(&snapshot, writer));
                    assert!(
                        now.iter().zip(&seen).all(|(now, before)| now >= before),
                        "{now:?} behind {seen:?}"
                    );
                    seen = now;
                    held.push((snapshot, now));
                    if held.len() > 6 {
                        let (old, expected) = held.remove(0);
                        assert_eq!([0, 1, 2].map(|writer| last(&old, writer)), expected);
                    }
                }
            });
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    for number in 1..=COMMITS {
                        commit(engine, writer, number);
                        assert_eq!(
                            last(&engine.snapshot(), writer),
                            number,
                            "what is committed is seen"
                        );
                        if writer == 0 && number % 20 == 0 {
                            engine.compact(&Unobserved).unwrap();
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    verified(&engine.snapshot());
    engine.checkpoint().unwrap();
    assert_eq!(
        [0, 1, 2].map(|writer| last(&on_disk(&directory), writer)),
        [COMMITS; 3]
    );
}

/// While a commit waits for its sync, another one is made that waits for none.
#[test]
fn a_snapshot_never_goes_back() {
    let (storage, _) = fresh();
    let (entered, wait_for_entry) = std::sync::mpsc::channel();
    let (go_on, wait_to_go_on) = std::sync::mpsc::channel::<()>();
    let ends = parking_lot::Mutex::new((entered, wait_to_go_on));
    let is_armed = std::sync::Arc::new(AtomicBool::new(false));
    let armed = is_armed.clone();
    let storage = Hooked::new(storage, move |call, path| {
        let is_journal = path
            .extension()
            .is_some_and(|extension| extension == "journal");
        if call == "sync" && is_journal && armed.swap(false, Ordering::SeqCst) {
            let ends = ends.lock();
            ends.0.send(()).unwrap();
            ends.1.recv().unwrap();
        }
        Ok(())
    });
    let engine = still().open_in(&storage.directory(".")).unwrap();
    put(&engine, "NS_0\\CD_A", b"the journal is there");
    std::thread::scope(|scope| {
        is_armed.store(true, Ordering::SeqCst);
        let waiting = scope.spawn(|| put(&engine, "NS_0\\CD_B", b"waits for its sync"));
        wait_for_entry.recv().unwrap();
        let mut transaction = engine.begin_write().unwrap();
        transaction.set_durability(Durability::None);
        transaction.insert_key(b"NS_0\\CD_C").unwrap();
        transaction.commit().unwrap();
        assert!(engine.snapshot().contains_key(b"NS_0\\CD_C").unwrap());
        go_on.send(()).unwrap();
        waiting.join().unwrap();
        assert!(
            engine.snapshot().contains_key(b"NS_0\\CD_C").unwrap(),
            "the commit was seen and is gone"
        );
    });
}

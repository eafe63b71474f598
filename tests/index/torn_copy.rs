//! A copy of a repository that was made while it was written: the mapping of now, the index of before.

use std::collections::BTreeSet;
use std::sync::Arc;

use cimrepo::base::page_no::Space;
use cimrepo::engine::EngineOptions;
use cimrepo::format::Dialect;
use cimrepo::repository::{OpenOptions, Snapshot};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::{Direction, Error, KeyRange};

use crate::damage::{KeyText, Pages};
use crate::support::small::{Numbers, small_v22};
use crate::support::{Files, corpus, load, name_of, open};

/// Commits a few keys in each of two places, and puts the index of before back; gives the state and the keys it should have.
fn torn(files: &Files) -> (Snapshot, BTreeSet<KeyText>) {
    let storage = MemStorage::new();
    files.iter().for_each(|(name, bytes)| storage.put(name, bytes.clone()));
    let directory = Directory::new(Arc::new(storage.clone()), ".");
    let engine = EngineOptions::new().open_in(&directory).unwrap();
    let mut transaction = engine.begin_write().unwrap();
    let mut numbers = Numbers(11);
    let near: Vec<_> = transaction.keys(KeyRange::all(), Direction::Forward).step_by(97).collect();
    for beside in near.iter().step_by(near.len().div_ceil(40)) {
        let beside = beside.as_ref().unwrap().to_string();
        let name = beside.split_once('.').map_or(beside.as_str(), |(name, _)| name);
        transaction.insert_key(format!("{name}{:016X}", numbers.next()).as_bytes()).unwrap();
    }
    transaction.commit().unwrap();
    let keys = engine.snapshot().keys(KeyRange::all(), Direction::Forward);
    let keys = keys.map(|key| key.unwrap().as_bytes().to_vec()).collect();
    engine.close().unwrap();
    storage.put("INDEX.BTR", files["INDEX.BTR"].clone());
    let generation = OpenOptions::new().open_in(&directory).unwrap().generations().unwrap()[0];
    (OpenOptions::new().generation(generation).open_in(&directory).unwrap().snapshot(), keys)
}

#[test]
fn whole_pages_of_a_torn_copy_are_read_and_the_others_are_named() {
    let real = corpus("whole_pages_of_a_torn_copy_are_read_and_the_others_are_named");
    let real = real.iter().map(|path| (name_of(path), load(path)));
    for (name, files) in [("small".to_owned(), small_v22())].into_iter().chain(real) {
        if open(&files).unwrap().dialect() == Dialect::V21 {
            continue; // the engine does not write it
        }
        let (snapshot, stored) = torn(&files);
        let pages = Pages::of(&snapshot);
        let left = pages.keys();
        assert!(!pages.unreadable.is_empty() && snapshot.has(Space::Index), "{name}: nothing is torn");
        let found = snapshot.keys(KeyRange::all(), Direction::Forward).filter_map(Result::ok);
        let found: BTreeSet<KeyText> = found.map(|key| key.as_bytes().to_vec()).collect();
        println!("{name}: {} of {} keys, {} pages torn", found.len(), stored.len(), pages.unreadable.len());
        assert!(found == left, "{name}: {} found, {} on whole pages", found.len(), left.len());
        for (number, key) in stored.iter().enumerate() {
            match (left.contains(key), number % 40) {
                (true, 1..) => {}
                (true, 0) => assert!(snapshot.contains_key(key).unwrap(), "{name}"),
                (false, _) => {
                    let Err(Error::Corrupt(torn)) = snapshot.contains_key(key) else { panic!("{name}: it is lost") };
                    assert!(pages.unreadable.contains(&torn.site.page.unwrap()), "{name}: {torn}");
                }
            }
        }
    }
}

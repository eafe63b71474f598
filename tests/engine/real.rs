//! Repositories of Windows, written in.

use std::collections::BTreeMap;
use std::sync::Arc;

use cimrepo::base::page_no::{RecordRef, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::format::Dialect;
use cimrepo::format::index::key::reference;
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{BulkBuilder, Repository, Snapshot};
use cimrepo::store::{Durability, Engine};
use cimrepo::{Direction, KeyRange};

use crate::support::{corpus, load, name_of};
use crate::{on_disk, still};

/// A record, and the names of the keys that end in its reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Object {
    names: Vec<String>,
    bytes: Vec<u8>,
}

/// Everything in a repository, with no word of where it lies.
fn content(snapshot: &Snapshot) -> (BTreeMap<RecordRef, Object>, Vec<String>) {
    let (mut objects, mut plain) = (BTreeMap::<RecordRef, Object>::new(), Vec::new());
    for key in snapshot.keys(KeyRange::all(), Direction::Forward) {
        let key = key.unwrap().to_string();
        match reference(key.as_bytes()).unwrap() {
            Some(record) => {
                let (name, _) = key.split_once('.').unwrap();
                let object = objects.entry(record).or_insert_with(|| Object {
                    names: Vec::new(),
                    bytes: snapshot.record(record).unwrap(),
                });
                object.names.push(name.to_owned());
            }
            None => plain.push(key),
        }
    }
    (objects, plain)
}

fn sorted(content: (BTreeMap<RecordRef, Object>, Vec<String>)) -> (Vec<Object>, Vec<String>) {
    let mut objects: Vec<Object> = content.0.into_values().collect();
    objects.sort();
    (objects, content.1)
}

/// A number that looks random and is the same in each run.
fn mixed(number: usize) -> u32 {
    u32::try_from(number)
        .unwrap()
        .wrapping_mul(0x9E37_79B9)
        .rotate_left(13)
        .wrapping_mul(0x85EB_CA6B)
}

fn put(engine: &Engine, objects: &[&Object], plain: &[&String], durability: Durability) {
    let mut transaction = engine.begin_write().unwrap();
    transaction.set_durability(durability);
    for object in objects {
        let record = transaction.insert_record(&object.bytes).unwrap();
        for name in &object.names {
            assert!(
                transaction
                    .insert_key(format!("{name}.{record}").as_bytes())
                    .unwrap()
            );
        }
    }
    for key in plain {
        assert!(transaction.insert_key(key.as_bytes()).unwrap());
    }
    transaction.commit().unwrap();
}

fn repositories(test: &str) -> Vec<(String, MemStorage, Directory)> {
    let mut found = Vec::new();
    for path in corpus(test) {
        if Repository::open_read_only(&path).unwrap().dialect() == Dialect::V22 {
            let storage = MemStorage::new();
            load(&path)
                .into_iter()
                .for_each(|(name, bytes)| storage.put(name, bytes));
            let directory = Directory::new(Arc::new(storage.clone()), ".");
            found.push((name_of(&path), storage, directory));
        }
    }
    found
}

#[test]
fn a_fifth_taken_out_and_put_back_leaves_the_same_content() {
    for (name, storage, directory) in repositories("a fifth taken out and put back") {
        let before = on_disk(&directory);
        let (objects, plain) = content(&before);
        let chosen: Vec<(&RecordRef, &Object)> = objects
            .iter()
            .enumerate()
            .filter(|(at, _)| mixed(*at).is_multiple_of(5))
            .map(|(_, object)| object)
            .collect();
        let chosen_plain: Vec<&String> = plain
            .iter()
            .enumerate()
            .filter(|(at, _)| mixed(*at) % 5 == 1)
            .map(|(_, key)| key)
            .collect();
        let engine = still().open_in(&directory).unwrap();
        for (number, group) in chosen.chunks(37).enumerate() {
            let mut transaction = engine.begin_write().unwrap();
            for (record, object) in group {
                for name in &object.names {
                    assert!(
                        transaction
                            .remove_key(format!("{name}.{record}").as_bytes())
                            .unwrap()
                    );
                }
                transaction.remove_record(**record).unwrap();
            }
            for key in chosen_plain.iter().skip(number * 61).take(61) {
                assert!(transaction.remove_key(key.as_bytes()).unwrap());
            }
            transaction.commit().unwrap();
            if number % 10 == 0 {
                engine.checkpoint().unwrap();
            }
        }
        let gone = chosen_plain.len().min(chosen.len().div_ceil(37) * 61);
        let (left, left_plain) = content(&engine.snapshot());
        assert_eq!(
            (left.len(), left_plain.len()),
            (objects.len() - chosen.len(), plain.len() - gone)
        );
        for (number, group) in chosen.chunks(11).enumerate() {
            let group: Vec<&Object> = group.iter().map(|(_, object)| *object).collect();
            let keys: Vec<&String> = chosen_plain[..gone]
                .iter()
                .skip(number * 17)
                .take(17)
                .copied()
                .collect();
            put(&engine, &group, &keys, Durability::Journal);
        }
        let rest = chosen.len().div_ceil(11) * 17;
        if rest < gone {
            put(&engine, &[], &chosen_plain[rest..gone], Durability::Journal);
        }
        engine.close().unwrap();
        let after = on_disk(&directory);
        assert_eq!(
            sorted(content(&after)),
            sorted((objects.clone(), plain.clone())),
            "{name}"
        );
        let untouched = unchanged(&before, &after);
        keep(&storage, &directory, &name);
        // The same once more, compacted.
        let engine = still().open_in(&directory).unwrap();
        let won = engine.compact(&Unobserved).unwrap();
        engine.close().unwrap();
        let compacted = on_disk(&directory);
        assert_eq!(
            sorted(content(&compacted)),
            sorted((objects.clone(), plain.clone())),
            "{name}, compacted"
        );
        assert!(
            won.objects_after.bytes <= won.objects_before.bytes
                && won.index_after.bytes < won.index_before.bytes
        );
        keep(&storage, &directory, &format!("{name}-compacted"));
        println!("{name}: compacted: {won:?}");
        println!(
            "{name}: {} records and {gone} keys taken out and put back; {untouched} pages were not \
                touched",
            chosen.len()
        );
    }
}

/// Leaves a repository to the readers that `.ci/interop` asks.
fn keep(storage: &MemStorage, directory: &Directory, name: &str) {
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("rewritten")
        .join(name);
    std::fs::create_dir_all(&place).unwrap();
    for name in crate::names(directory) {
        std::fs::write(place.join(&name), storage.get(&name).unwrap()).unwrap();
    }
}

/// Pages that nothing wrote since are byte for byte what they were; gives their number.
fn unchanged(before: &Snapshot, after: &Snapshot) -> usize {
    let (mut count, first) = (0, before.mapping().generation());
    for space in Space::ALL {
        for (page, _, entry) in after.mapping().section(space).mapped() {
            if entry.last_write <= first {
                assert_eq!(
                    before.page(space, page).unwrap(),
                    after.page(space, page).unwrap(),
                    "{space} page {page}"
                );
                count += 1;
            }
        }
    }
    count
}

#[test]
fn everything_put_into_an_empty_repository_is_the_same_and_no_larger() {
    for (name, storage, directory) in repositories("everything into an empty repository") {
        let (objects, plain) = content(&on_disk(&directory));
        let original: usize = ["OBJECTS.DATA", "INDEX.BTR"]
            .iter()
            .map(|file| storage.get(file).unwrap().len())
            .sum();
        // One transaction each, and in batches.
        for batch in [1, 500] {
            let (storage, directory) = empty();
            let engine = still().open_in(&directory).unwrap();
            let all: Vec<&Object> = objects.values().collect();
            // In the order of no key.
            let mut order: Vec<usize> = (0..all.len()).collect();
            order.sort_by_key(|&at| mixed(at));
            for group in order.chunks(batch) {
                let group: Vec<&Object> = group.iter().map(|&at| all[at]).collect();
                put(&engine, &group, &[], Durability::Journal);
            }
            let keys: Vec<&String> = plain.iter().collect();
            keys.chunks(batch * 3)
                .for_each(|group| put(&engine, &[], group, Durability::Journal));
            let mut transaction = engine.begin_write().unwrap();
            assert!(transaction.remove_key(b"A").unwrap());
            transaction.commit().unwrap();
            engine.close().unwrap();
            let after = on_disk(&directory);
            assert_eq!(
                sorted(content(&after)),
                sorted((objects.clone(), plain.clone())),
                "{name}"
            );
            let size: usize = ["OBJECTS.DATA", "INDEX.BTR"]
                .iter()
                .map(|file| storage.get(file).unwrap().len())
                .sum();
            println!(
                "{name}: {size} bytes after transactions of {batch}, {original} in the original"
            );
            assert!(
                size <= original,
                "{name}: {size} bytes, {original} in the original"
            );
        }
    }
}

/// A repository with the key `A` alone.
fn empty() -> (MemStorage, Directory) {
    let storage = MemStorage::new();
    let directory = Directory::new(Arc::new(storage.clone()), ".");
    let mut builder = BulkBuilder::create_seeded(directory.clone(), 1).unwrap();
    builder.key(b"A", None).unwrap();
    builder.finish().unwrap();
    (storage, directory)
}

//! A copy of a repository that was made while it was written: the mapping of now, the index of
//! before.

use std::collections::BTreeSet;
use std::sync::Arc;

use cimrepo::base::page_no::Space;
use cimrepo::format::Dialect;
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::EngineOptions;
use cimrepo::store::{OpenOptions, Snapshot};
use cimrepo::{Direction, Error, KeyRange};

use crate::damage::{KeyText, Pages};
use crate::support::small::{Numbers, small_v22};
use crate::support::{Files, corpus, load, name_of, open};

/// Commits a few keys in each of two places, and puts the index of before back; gives the state and
/// the keys it should have.
fn torn(files: &Files) -> (Snapshot, BTreeSet<KeyText>) {
    let (storage, directory, keys) = torn_in_memory(files);
    drop(storage);
    let generation = OpenOptions::new()
        .open_in(&directory)
        .unwrap()
        .generations()[0];
    (
        OpenOptions::new()
            .generation(generation)
            .open_in(&directory)
            .unwrap()
            .snapshot(),
        keys,
    )
}

/// The same, as it lies in a storage.
fn torn_in_memory(files: &Files) -> (MemStorage, Directory, BTreeSet<KeyText>) {
    let storage = MemStorage::new();
    files
        .iter()
        .for_each(|(name, bytes)| storage.put(name, bytes.clone()));
    let directory = Directory::new(Arc::new(storage.clone()), ".");
    let engine = EngineOptions::new().open_in(&directory).unwrap();
    let mut transaction = engine.begin_write().unwrap();
    let mut numbers = Numbers(11);
    let near: Vec<_> = transaction
        .keys(KeyRange::all(), Direction::Forward)
        .step_by(97)
        .collect();
    for beside in near.iter().step_by(near.len().div_ceil(40)) {
        let beside = beside.as_ref().unwrap().to_string();
        let name = beside
            .split_once('.')
            .map_or(beside.as_str(), |(name, _)| name);
        transaction
            .insert_key(format!("{name}{:016X}", numbers.next()).as_bytes())
            .unwrap();
    }
    transaction.commit().unwrap();
    let keys = engine.snapshot().keys(KeyRange::all(), Direction::Forward);
    let keys = keys.map(|key| key.unwrap().as_bytes().to_vec()).collect();
    engine.close().unwrap();
    storage.put("INDEX.BTR", files["INDEX.BTR"].clone());
    (storage, directory, keys)
}

/// The command looks namespaces and objects up by hash: it lists them, or says which page keeps it
/// from telling whether they are there; never that they are not.
#[test]
#[cfg(feature = "cli")]
fn the_command_says_of_nothing_that_was_there_that_it_is_not() {
    use cimrepo::catalog::Catalog;
    use std::process::{Command, Stdio};

    for path in corpus("the_command_says_of_nothing_that_was_there_that_it_is_not") {
        let files = load(&path);
        if open(&files).unwrap().dialect() == Dialect::V21 {
            continue;
        }
        let whole = Catalog::new(open(&files).unwrap().snapshot());
        let namespaces: Vec<String> = whole.namespaces().into_iter().map(Result::unwrap).collect();
        let (storage, directory, _) = torn_in_memory(&files);
        let torn: Files = files
            .keys()
            .map(|name| (name.clone(), storage.get(name).unwrap()))
            .collect();
        let generation = OpenOptions::new()
            .open_in(&directory)
            .unwrap()
            .generations()[0]
            .to_string();
        let place = tempfile::tempdir().unwrap();
        crate::support::write_to(&torn, place.path(), str::to_owned);
        let run = |verb: &str, what: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
            command
                .arg(verb)
                .arg(place.path())
                .args([what, "--generation", &generation]);
            let output = command.stdin(Stdio::null()).output().unwrap();
            (
                output.status.code().unwrap(),
                String::from_utf8(output.stderr).unwrap(),
            )
        };
        let mut counts = [0; 2];
        for namespace in &namespaces {
            let security = format!("{namespace}:__SystemSecurity=@");
            for (verb, what) in [("ls", namespace), ("show", &security)] {
                let (code, said) = run(verb, what);
                assert!(!said.contains("there is no "), "{verb} {what}: {said}");
                assert!(matches!(code, 0 | 1 | 4), "{verb} {what}: {code}, {said}");
                assert!(
                    code != 4 || said.contains("INDEX.BTR, page "),
                    "{verb} {what}: {said}"
                );
                counts[usize::from(code == 4)] += 1;
            }
        }
        let (code, said) = run("ls", r"root\nowhere at all");
        assert!(
            code == 1 && said.contains("there is no ")
                || code == 4 && said.contains("cannot be told: "),
            "{said}"
        );
        println!(
            "{}: {} shown, {} cannot be told",
            name_of(&path),
            counts[0],
            counts[1]
        );
        assert!(counts[0] > counts[1]);
    }
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
        assert!(
            !pages.unreadable.is_empty() && snapshot.has(Space::Index),
            "{name}: nothing is torn"
        );
        let found = snapshot
            .keys(KeyRange::all(), Direction::Forward)
            .filter_map(Result::ok);
        let found: BTreeSet<KeyText> = found.map(|key| key.as_bytes().to_vec()).collect();
        println!(
            "{name}: {} of {} keys, {} pages torn",
            found.len(),
            stored.len(),
            pages.unreadable.len()
        );
        assert!(
            found == left,
            "{name}: {} found, {} on whole pages",
            found.len(),
            left.len()
        );
        for (number, key) in stored.iter().enumerate() {
            match (left.contains(key), number % 40) {
                (true, 1..) => {}
                (true, 0) => assert!(snapshot.contains_key(key).unwrap(), "{name}"),
                (false, _) => {
                    let Err(Error::Corrupt(torn)) = snapshot.contains_key(key) else {
                        panic!("{name}: it is lost")
                    };
                    assert!(
                        pages.unreadable.contains(&torn.site.page.unwrap()),
                        "{name}: {torn}"
                    );
                }
            }
        }
    }
}

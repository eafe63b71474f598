//! Queries on states other than the current one of a sound repository: older generations, backups
//! alone and in chains, and repositories of which a part cannot be read.

use std::sync::Arc;

use cimrepo::backup::{BackupOptions, OpenBackup, backup_in};
use cimrepo::base::page_no::{RecordRef, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::base::site::FileRole;
use cimrepo::catalog::Catalog;
use cimrepo::query::{self, QueryOptions, Row, RowCount};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::{OpenOptions, Snapshot};

use crate::made_up::{self, NS};
use crate::support::edit::edit_page;
use crate::support::small::{current_file, logical, mapping_in};
use crate::support::{Files, PLACE, in_memory, open};

const COUNT: &str = "SELECT COUNT(*) FROM Item";

/// What a query gives: rows, and what could not be read.
struct Asked {
    rows: Vec<Row>,
    errors: Vec<String>,
}

fn ask(snapshot: Snapshot, text: &str) -> Asked {
    let catalog = Catalog::new(snapshot);
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for row in query::run(&catalog, NS, text, QueryOptions::default()).unwrap() {
        match row {
            Ok(row) => rows.push(row),
            Err(error) => errors.push(error.to_string()),
        }
    }
    Asked { rows, errors }
}

fn count(snapshot: Snapshot, text: &str) -> RowCount {
    match &ask(snapshot, text).rows[..] {
        [Row::Count(count)] => *count,
        other => panic!("{other:?}"),
    }
}

/// The number of rows of a state of which everything can be read.
fn total(snapshot: Snapshot, text: &str) -> u64 {
    count(snapshot, text).total().unwrap()
}

/// A repository in memory with a second state: without `i0`, `i3` and `i6`, which are Items.
fn two_states(between: impl FnOnce(&MemStorage, &Directory)) -> (MemStorage, Directory) {
    let (storage, directory) = in_memory(&Files::new());
    let engine = made_up::engine(&directory);
    engine.checkpoint().unwrap();
    between(&storage, &directory);
    let mut writer = engine.begin_catalog_write().unwrap();
    for id in ["i0", "i3", "i6"] {
        let path = format!("Item.Id=\"{id}\"").parse().unwrap();
        writer.delete_instance(NS, &path).unwrap();
    }
    writer.commit().unwrap();
    engine.close().unwrap();
    (storage, directory)
}

#[test]
fn an_older_generation_has_the_rows_that_it_had() {
    let (_, directory) = two_states(|_, _| ());
    let current = OpenOptions::new().open_in(&directory).unwrap();
    assert_eq!(total(current.snapshot(), COUNT), 33);
    let mut seen = Vec::new();
    for &generation in current.generations() {
        let older = OpenOptions::new().generation(generation);
        let snapshot = older.open_in(&directory).unwrap().snapshot();
        // The first one is from before the objects.
        if !Catalog::new(snapshot.clone()).has_namespace(NS).unwrap() {
            continue;
        }
        let asked = ask(snapshot.clone(), "SELECT * FROM Item WHERE Id = 'i0'");
        assert!(asked.errors.is_empty(), "{:?}", asked.errors);
        seen.push((total(snapshot, COUNT), asked.rows.len()));
    }
    assert!(
        seen.contains(&(36, 1)) && seen.contains(&(33, 0)),
        "{seen:?}"
    );
}

#[test]
fn a_backup_and_a_chain_of_them_answer_as_the_repository_did() {
    let save = |storage: &MemStorage, directory: &Directory, target: &str, base: Option<&str>| {
        let repository = OpenOptions::new().open_in(directory).unwrap();
        let options = BackupOptions {
            base: base.map(Into::into),
            ..BackupOptions::default()
        };
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        backup_in(&repository, &shared, target, &options, &Unobserved).unwrap();
        shared
    };
    let (storage, directory) = two_states(|storage, directory| {
        save(storage, directory, "first", None);
    });
    let storage = save(&storage, &directory, "second", Some("first"));
    for (name, chain, items) in [("first", 1, 36), ("second", 2, 33)] {
        let backup = OpenBackup::new().open_in(&storage, name).unwrap();
        assert_eq!(backup.chain_len(), chain);
        assert_eq!(total(backup.snapshot(), COUNT), items, "{name}");
        let i0 = ask(backup.snapshot(), "SELECT * FROM Item WHERE Id = 'i0'");
        assert_eq!(i0.rows.len(), usize::from(items == 36), "{name}");
        let ends = ask(backup.snapshot(), "ASSOCIATORS OF {Item='i3'}");
        assert!(ends.errors.is_empty(), "{name}: {:?}", ends.errors);
    }
}

/// The files of the objects, and where the record of an Item lies.
fn files_and_record(id: &str) -> (Files, RecordRef) {
    let (storage, directory) = in_memory(&Files::new());
    made_up::engine(&directory).close().unwrap();
    let name = |role: FileRole| role.file_name().to_owned();
    let files: Files = FileRole::REPOSITORY
        .iter()
        .filter_map(|&role| Some((name(role), storage.get(format!("{PLACE}/{}", name(role)))?)))
        .collect();
    let catalog = Catalog::new(open(&files).unwrap().snapshot());
    let path = format!("Item.Id=\"{id}\"").parse().unwrap();
    let record = catalog.instance(NS, &path).unwrap().unwrap().record;
    (files, record)
}

/// Spoils the record of an Item; every checksum of a page fits.
fn with_bad_record(id: &str) -> Files {
    let (mut files, record) = files_and_record(id);
    let bytes = open(&files).unwrap().snapshot().record(record).unwrap();
    edit_page(&mut files, Space::Objects, record.page, |page| {
        let found = page.windows(bytes.len()).position(|part| part == bytes);
        let at = found.expect("a small record lies on its page");
        page[at..at + bytes.len()].fill(0xEE);
    });
    files
}

#[test]
fn an_unreadable_object_is_an_error_among_the_rows_and_makes_a_count_partial() {
    let files = with_bad_record("i4");
    let snapshot = || open(&files).unwrap().snapshot();
    for text in [
        "SELECT * FROM Item",
        "SELECT * FROM Item WHERE NOT Id = 'i99'",
        "SELECT Id FROM Item WHERE __CLASS <> 'x'",
    ] {
        let asked = ask(snapshot(), text);
        assert_eq!((asked.rows.len(), asked.errors.len()), (35, 1), "{text}");
    }
    for text in [COUNT, "SELECT COUNT(*) FROM Item WHERE Id <> 'i99'"] {
        let partial = count(snapshot(), text);
        let expected = RowCount {
            read: 35,
            unreadable: 1,
        };
        assert_eq!((partial, partial.total()), (expected, None), "{text}");
        let json = serde_json::to_value(Row::Count(partial)).unwrap();
        let wanted = serde_json::json!(
            {"schema": 1, "kind": "partial-count", "read": 35, "unreadable": 1}
        );
        assert_eq!(json, wanted);
    }
    // What does not need the object is whole: another key, and a class that the object is not of.
    assert_eq!(
        ask(snapshot(), "SELECT * FROM Item WHERE Id = 'i5'")
            .rows
            .len(),
        1
    );
    assert_eq!(total(snapshot(), "SELECT COUNT(*) FROM Saw"), 12);
    let itself = ask(snapshot(), "SELECT * FROM Item WHERE Id = 'i4'");
    assert_eq!((itself.rows.len(), itself.errors.len()), (0, 1));
}

/// What came of queries on one damaged repository.
#[derive(Debug, Default)]
struct Seen {
    rows: u64,
    errors: u64,
    partial: u64,
    /// Queries that were refused, which is no answer.
    refused: u64,
}

impl Seen {
    fn ask(&mut self, catalog: &Catalog, text: &str) {
        let Ok(answer) = query::run(catalog, NS, text, QueryOptions::default()) else {
            self.refused += 1;
            return;
        };
        let before = self.errors;
        for row in answer {
            match row {
                Ok(Row::Count(count)) => {
                    assert_eq!(count.unreadable, self.errors - before, "{text}");
                    self.partial += u64::from(count.total().is_none());
                }
                Ok(_) => self.rows += 1,
                Err(_) => self.errors += 1,
            }
        }
    }
}

#[test]
fn an_unreadable_page_of_the_index_is_reported_and_the_rest_is_answered() {
    let (files, _) = files_and_record("i4");
    let mapping = mapping_in(&files, &current_file(&files));
    let mut seen = Seen::default();
    for number in 1..mapping.index.entries.len() {
        let page = logical(number.try_into().unwrap());
        if mapping.index.resolve(page).is_none() {
            continue;
        }
        let mut damaged = files.clone();
        edit_page(&mut damaged, Space::Index, page, |page| page.fill(0));
        let catalog = Catalog::new(open(&damaged).unwrap().snapshot());
        for class in ["Item", "Pair", "Free", "__NAMESPACE", "meta_class"] {
            seen.ask(&catalog, &format!("SELECT * FROM {class}"));
            seen.ask(&catalog, &format!("SELECT COUNT(*) FROM {class}"));
        }
    }
    assert!(
        seen.errors > 0 && seen.partial > 0 && seen.rows > 0,
        "{seen:?}"
    );
}

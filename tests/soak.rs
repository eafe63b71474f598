//! A long random life of a repository beside a model of it: puts, replacements, deletions, scans,
//! savepoints, aborts, snapshots that are held over commits, reopening, dying without a word,
//! compaction, backup and restore. It is verified after every 1,000 commits.
//!
//! `cargo test --all-features --test soak` is short;
//! `cargo test --release --all-features --test soak -- 1000000` does as many operations as it is
//! told; a second number is the seed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cimrepo::backup::{BackupOptions, OpenBackup, backup_in};
use cimrepo::base::page_no::RecordRef;
use cimrepo::base::progress::Unobserved;
use cimrepo::format::index::key::reference;
use cimrepo::restore::{Existing, RestoreOptions, restore_in};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::{BulkBuilder, OpenOptions, Snapshot};
use cimrepo::store::{Durability, Engine, EngineOptions, Transaction};
use cimrepo::verify::{VerifyOptions, verify, verify_snapshot};
use cimrepo::{Direction, KeyRange};

/// Names that objects can have.
const NAMES: u64 = 4_000;

/// Snapshots that are held at a time.
const HELD: usize = 4;

const VERIFY: VerifyOptions = VerifyOptions {
    threads: NonZeroUsize::new(1),
    all_generations: true,
};

/// What is there by name: the object's number, from which its bytes follow, and its reference.
type Model = BTreeMap<String, (u64, RecordRef)>;

/// Numbers that look random and follow from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn name(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!(
        "NS_{}\\CI_{:04}\\IL_{mixed:016X}{mixed:016X}",
        number % 7,
        number % 61
    )
}

fn bytes(number: u64) -> Vec<u8> {
    let size = match number % 200 {
        0 => 9_000 + number % 30_000,
        1..10 => 2_000 + number % 6_500,
        _ => number % 500,
    };
    (0..size)
        .map(|at| (at.wrapping_mul(number | 1) >> 3).to_le_bytes()[0])
        .collect()
}

/// What was done.
#[derive(Debug, Default)]
struct Done {
    operations: u64,
    commits: u64,
    aborts: u64,
    rolled_back: u64,
    scans: u64,
    verified: u64,
    snapshots: u64,
    reopened: u64,
    died: u64,
    compacted: u64,
    restored: u64,
}

struct Life {
    storage: MemStorage,
    numbers: Numbers,
    model: Model,
    /// After the last durable commit.
    durable: Model,
    next_object: u64,
    held: Vec<(Snapshot, Model)>,
    backup: Option<Model>,
    done: Done,
}

fn directory(storage: &MemStorage) -> Directory {
    Directory::new(Arc::new(storage.clone()), "r")
}

fn open(storage: &MemStorage) -> Engine {
    let options = EngineOptions::new()
        .background(false)
        .checkpoint_at(2 << 20, Duration::MAX);
    options.open_in(&directory(storage)).unwrap()
}

fn check(snapshot: &Snapshot, model: &Model) {
    let mut expected = model.iter();
    for key in snapshot.keys(KeyRange::all(), Direction::Forward) {
        let key = key.unwrap().to_string();
        let Some((key, record)) = key
            .split_once('.')
            .map(|(name, _)| (name, reference(key.as_bytes()).unwrap().unwrap()))
        else {
            assert_eq!(key, "NS_0\\FIRST");
            continue;
        };
        let (name, (object, place)) = expected.next().unwrap();
        assert_eq!((key, &record), (name.as_str(), place));
        assert_eq!(snapshot.record(record).unwrap(), bytes(*object), "{name}");
    }
    assert!(expected.next().is_none());
}

impl Life {
    fn change(&mut self, transaction: &mut Transaction<'_>) {
        let mut savepoints = Vec::new();
        for _ in 0..1 + self.numbers.below(12) {
            self.done.operations += 1;
            match self.numbers.below(100) {
                0..45 => self.put(transaction),
                45..70 => self.remove(transaction),
                70..78 => self.scan(transaction),
                78..94 => self.get(transaction),
                94..97 => savepoints.push((transaction.savepoint(), self.model.clone())),
                _ => {
                    if let Some((savepoint, before)) = savepoints.pop() {
                        transaction.roll_back(savepoint);
                        self.model = before;
                        self.done.rolled_back += 1;
                    }
                }
            }
        }
    }

    fn put(&mut self, transaction: &mut Transaction<'_>) {
        let name = name(self.numbers.below(NAMES));
        if let Some((_, old)) = self.model.remove(&name) {
            assert!(
                transaction
                    .remove_key(format!("{name}.{old}").as_bytes())
                    .unwrap()
            );
            transaction.remove_record(old).unwrap();
        }
        self.next_object += 1;
        let record = transaction.insert_record(&bytes(self.next_object)).unwrap();
        assert!(
            transaction
                .insert_key(format!("{name}.{record}").as_bytes())
                .unwrap()
        );
        self.model.insert(name, (self.next_object, record));
    }

    fn remove(&mut self, transaction: &mut Transaction<'_>) {
        let from = name(self.numbers.below(NAMES));
        let Some((name, (_, record))) = self
            .model
            .range(from..)
            .next()
            .map(|(name, object)| (name.clone(), *object))
        else {
            return;
        };
        assert!(
            transaction
                .remove_key(format!("{name}.{record}").as_bytes())
                .unwrap()
        );
        transaction.remove_record(record).unwrap();
        self.model.remove(&name);
    }

    fn scan(&mut self, transaction: &Transaction<'_>) {
        self.done.scans += 1;
        let prefix = format!(
            "NS_{}\\CI_{:04}\\",
            self.numbers.below(7),
            self.numbers.below(61)
        );
        let keys = transaction.keys(KeyRange::prefix(prefix.as_bytes()), Direction::Forward);
        let keys: Vec<String> = keys.map(|key| key.unwrap().to_string()).collect();
        let expected = self
            .model
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix));
        let expected: Vec<String> = expected
            .map(|(name, (_, record))| format!("{name}.{record}"))
            .collect();
        assert_eq!(keys, expected);
    }

    fn get(&mut self, transaction: &Transaction<'_>) {
        let name = name(self.numbers.below(NAMES));
        let key = transaction.find(format!("{name}.").as_bytes()).unwrap();
        let expected = self.model.get(&name);
        assert_eq!(key.is_some(), expected.is_some(), "{name}");
        if let (Some(key), Some((object, record))) = (key, expected) {
            assert_eq!(key.reference(), Some(*record));
            assert_eq!(transaction.record(*record).unwrap(), bytes(*object));
        }
    }

    /// A transaction, and what becomes of it.
    fn transaction(&mut self, engine: &Engine) {
        let before = self.model.clone();
        let mut transaction = engine.begin_write().unwrap();
        self.change(&mut transaction);
        if self.numbers.below(15) == 0 {
            drop(transaction);
            self.model = before;
            self.done.aborts += 1;
            return;
        }
        let durability = match self.numbers.below(60) {
            0 => Durability::Checkpoint,
            1 => Durability::None,
            _ => Durability::Journal,
        };
        transaction.set_durability(durability);
        transaction.commit().unwrap();
        self.done.commits += 1;
        // A commit without change makes nothing durable.
        if durability != Durability::None && before != self.model {
            self.durable.clone_from(&self.model);
        }
        if self.done.commits.is_multiple_of(1_000) {
            self.verify(engine);
        }
    }

    fn verify(&mut self, engine: &Engine) {
        let report = verify_snapshot(&engine.snapshot(), VERIFY, &Unobserved).unwrap();
        assert!(report.is_consistent(), "{:?}", report.findings);
        let repository = OpenOptions::new()
            .open_in(&directory(&self.storage))
            .unwrap();
        let report = verify(&repository, VERIFY, &Unobserved).unwrap();
        assert!(
            report.is_consistent() && repository.refused().is_empty(),
            "{report:?}"
        );
        check(&engine.snapshot(), &self.model);
        self.done.verified += 1;
    }

    /// What happens between transactions.
    fn event(&mut self, mut engine: Engine) -> Engine {
        match self.numbers.below(1_500) {
            0..20 => {
                if self.held.len() == HELD {
                    let (snapshot, model) = self
                        .held
                        .swap_remove(usize::try_from(self.numbers.below(4)).unwrap());
                    check(&snapshot, &model);
                }
                self.held.push((engine.snapshot(), self.model.clone()));
                self.done.snapshots += 1;
            }
            20..23 => {
                engine.close().unwrap();
                // The next engine knows nothing of them.
                self.held
                    .drain(..)
                    .for_each(|(snapshot, model)| check(&snapshot, &model));
                self.durable.clone_from(&self.model);
                engine = open(&self.storage);
                self.done.reopened += 1;
            }
            23..25 => engine = self.die(engine),
            25..27 => {
                // Records move: what is held from before knows them where they were.
                engine.compact(&Unobserved).unwrap();
                self.moved(&engine);
                self.done.compacted += 1;
            }
            27 => {
                self.backup(&engine);
            }
            28 => engine = self.restore(engine),
            _ => {}
        }
        engine
    }

    /// Takes the new places of the records into the model; everything else must be as it was.
    fn moved(&mut self, engine: &Engine) {
        for key in engine.snapshot().keys(KeyRange::all(), Direction::Forward) {
            let key = key.unwrap();
            if let Some(record) = key.reference() {
                let text = key.to_string();
                self.model
                    .get_mut(text.split('.').next().unwrap())
                    .unwrap()
                    .1 = record;
            }
        }
        check(&engine.snapshot(), &self.model);
        self.durable.clone_from(&self.model);
    }

    /// The process ends without a word: its files stay as they are, its lock is gone.
    fn die(&mut self, engine: Engine) -> Engine {
        let left = MemStorage::new();
        left.create_dir("r".as_ref()).unwrap();
        for entry in self.storage.read_dir("r".as_ref()).unwrap() {
            if entry.name != "cimrepo.lock" {
                let path = format!("r/{}", entry.name);
                left.put(&path, self.storage.get(&path).unwrap());
            }
        }
        if let Some(backup) = self.storage.get("backup") {
            left.put("backup", backup);
        }
        self.held
            .drain(..)
            .for_each(|(snapshot, model)| check(&snapshot, &model));
        drop(engine);
        self.storage = left;
        let engine = open(&self.storage);
        self.model.clone_from(&self.durable);
        check(&engine.snapshot(), &self.model);
        self.done.died += 1;
        engine
    }

    fn backup(&mut self, engine: &Engine) {
        // A backup takes what is on disk.
        engine.checkpoint().unwrap();
        self.durable.clone_from(&self.model);
        let repository = OpenOptions::new()
            .open_in(&directory(&self.storage))
            .unwrap();
        let storage: Arc<dyn Storage> = Arc::new(self.storage.clone());
        let options = BackupOptions {
            threads: NonZeroUsize::new(1),
            ..BackupOptions::default()
        };
        backup_in(&repository, &storage, "backup", &options, &Unobserved).unwrap();
        self.backup = Some(self.model.clone());
    }

    fn restore(&mut self, engine: Engine) -> Engine {
        let Some(model) = self.backup.clone() else {
            return engine;
        };
        self.held
            .drain(..)
            .for_each(|(snapshot, model)| check(&snapshot, &model));
        engine.close().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(self.storage.clone());
        let backup = OpenBackup::new().open_in(&storage, "backup").unwrap();
        let options = RestoreOptions {
            existing: Existing::Replace,
            threads: NonZeroUsize::new(1),
            ..RestoreOptions::default()
        };
        restore_in(&backup, &directory(&self.storage), options, &Unobserved).unwrap();
        (self.model, self.durable) = (model.clone(), model);
        let engine = open(&self.storage);
        check(&engine.snapshot(), &self.model);
        self.done.restored += 1;
        engine
    }
}

fn live(operations: u64, seed: u64) {
    let storage = MemStorage::new();
    storage.create_dir("r".as_ref()).unwrap();
    let mut builder = BulkBuilder::create_seeded(directory(&storage), 1).unwrap();
    builder.key(b"NS_0\\FIRST", None).unwrap();
    builder.finish().unwrap();
    let begun = Instant::now();
    let mut life = Life {
        storage,
        numbers: Numbers(seed),
        model: Model::new(),
        durable: Model::new(),
        next_object: 0,
        held: Vec::new(),
        backup: None,
        done: Done::default(),
    };
    let mut engine = open(&life.storage);
    while life.done.operations < operations {
        life.transaction(&engine);
        engine = life.event(engine);
    }
    life.verify(&engine);
    life.held
        .drain(..)
        .for_each(|(snapshot, model)| check(&snapshot, &model));
    engine.close().unwrap();
    let repository = OpenOptions::new()
        .open_in(&directory(&life.storage))
        .unwrap();
    check(&repository.snapshot(), &life.model);
    assert!(
        verify(&repository, VERIFY, &Unobserved)
            .unwrap()
            .is_consistent()
    );
    let size = ["OBJECTS.DATA", "INDEX.BTR"]
        .map(|name| life.storage.get(format!("r/{name}")).unwrap().len());
    println!(
        "seed {seed}, {:.0?}: {:?}; {} objects, files of {size:?} bytes",
        begun.elapsed(),
        life.done,
        life.model.len()
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let numbers: Vec<u64> = arguments
        .iter()
        .filter_map(|word| word.parse().ok())
        .collect();
    if numbers.is_empty()
        && !arguments.is_empty()
        && !arguments.iter().any(|word| "soak".contains(word.as_str()))
    {
        return; // it is not meant
    }
    live(
        numbers.first().copied().unwrap_or(15_000),
        numbers.get(1).copied().unwrap_or(1),
    );
}

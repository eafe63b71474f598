//! Random histories against a model.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use cimrepo::backup::{BackupOptions, OpenBackup, backup_in};
use cimrepo::base::page_no::RecordRef;
use cimrepo::base::progress::Unobserved;
use cimrepo::restore::{Existing, RestoreOptions, restore_in};
use cimrepo::store::{Durability, Engine, Transaction};
use cimrepo::store::{OpenOptions, Snapshot};
use cimrepo::{Direction, KeyRange};
use proptest::prelude::*;

use crate::{copy_of, fresh, on_disk, still, verified};

const ONE: Option<NonZeroUsize> = NonZeroUsize::new(1);

/// Names and the records behind them.
type Model = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Put(u16, u16),
    Remove(u16),
    Savepoint,
    RollBack,
    Commit(Durability),
    Abort,
    Checkpoint,
    Compact,
    Backup,
    Restore,
    Hold,
    Crash,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![8 => 0..600u16, 1 => 7000..9000u16, 1 => 9000..40_000u16];
    prop_oneof![
        12 => (0..120u16, size).prop_map(|(name, size)| Step::Put(name, size)),
        7 => (0..120u16).prop_map(Step::Remove),
        1 => Just(Step::Savepoint),
        1 => Just(Step::RollBack),
        3 => Just(Step::Commit(Durability::Journal)),
        1 => Just(Step::Commit(Durability::Checkpoint)),
        1 => Just(Step::Commit(Durability::None)),
        1 => Just(Step::Abort),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Compact),
        1 => Just(Step::Backup),
        1 => Just(Step::Restore),
        1 => Just(Step::Hold),
        1 => Just(Step::Crash),
        1 => Just(Step::Close),
    ]
}

fn name(number: u16) -> String {
    format!(
        "NS_{}\\CI_{:04X}\\IL_{:08X}",
        number % 3,
        number % 11,
        u32::from(number).wrapping_mul(0x9E37_79B9)
    )
}

fn bytes(number: u16, size: u16) -> Vec<u8> {
    (0..size)
        .map(|at| u8::try_from((at ^ number) % 251).unwrap())
        .collect()
}

fn reference(key: &str) -> RecordRef {
    cimrepo::format::index::key::reference(key.as_bytes())
        .unwrap()
        .unwrap()
}

fn remove(transaction: &mut Transaction<'_>, name: &str) {
    let key = transaction
        .find(format!("{name}.").as_bytes())
        .unwrap()
        .unwrap();
    assert!(transaction.remove_key(key.as_bytes()).unwrap());
    transaction
        .remove_record(reference(&key.to_string()))
        .unwrap();
}

fn put(transaction: &mut Transaction<'_>, name: &str, bytes: &[u8]) {
    let record = transaction.insert_record(bytes).unwrap();
    assert!(
        transaction
            .insert_key(format!("{name}.{record}").as_bytes())
            .unwrap()
    );
}

pub fn content(snapshot: &Snapshot) -> Model {
    let keys = snapshot
        .keys(KeyRange::all(), Direction::Forward)
        .map(|key| key.unwrap().to_string());
    keys.filter(|key| key != "NS_0\\FIRST")
        .map(|key| {
            (
                key.split('.').next().unwrap().to_owned(),
                snapshot.record(reference(&key)).unwrap(),
            )
        })
        .collect()
}

/// Changes inside of a transaction, up to its end.
fn change(transaction: &mut Transaction<'_>, steps: &[Step], model: &mut Model) {
    let mut savepoints = Vec::new();
    for step in steps {
        match step {
            Step::Put(number, size) => {
                let (name, bytes) = (name(*number), bytes(*number, *size));
                if model.contains_key(&name) {
                    remove(transaction, &name);
                }
                put(transaction, &name, &bytes);
                model.insert(name, bytes);
            }
            Step::Remove(number) if model.remove(&name(*number)).is_some() => {
                remove(transaction, &name(*number))
            }
            Step::Savepoint => savepoints.push((transaction.savepoint(), model.clone())),
            Step::RollBack => {
                if let Some((savepoint, before)) = savepoints.pop() {
                    transaction.roll_back(savepoint);
                    *model = before;
                }
            }
            _ => {}
        }
    }
}

fn is_end(step: &Step) -> bool {
    !matches!(
        step,
        Step::Put(..) | Step::Remove(_) | Step::Savepoint | Step::RollBack
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn histories(steps in prop::collection::vec(step(), 1..250)) {
        let (storage, directory) = fresh();
        let mut engine: Engine = still().open_in(&directory).unwrap();
        let (mut model, mut held, mut backup) = (Model::new(), Vec::new(), None);
        // What a crash may take: commits that were not durable.
        let mut durable = Model::new();
        for group in steps.split_inclusive(is_end) {
            let end = group.last().filter(|step| is_end(step));
            let before = model.clone();
            let mut transaction = engine.begin_write().unwrap();
            change(&mut transaction, group, &mut model);
            match end {
                Some(Step::Commit(durability)) => {
                    transaction.set_durability(*durability);
                    transaction.commit().unwrap();
                    if *durability != Durability::None && model != before {
                        durable.clone_from(&model);
                    }
                }
                Some(Step::Abort | Step::Crash) => {
                    drop(transaction);
                    model = before;
                }
                _ => {
                    transaction.commit().unwrap();
                    if model != before {
                        durable.clone_from(&model);
                    }
                }
            }
            prop_assert_eq!(&content(&engine.snapshot()), &model);
            match end {
                Some(Step::Checkpoint) => {
                    engine.checkpoint().unwrap();
                    durable.clone_from(&model);
                    prop_assert_eq!(&content(&on_disk(&directory)), &model);
                }
                Some(Step::Compact) => {
                    engine.compact(&Unobserved).unwrap();
                    durable.clone_from(&model);
                    prop_assert_eq!(&content(&engine.snapshot()), &model);
                    prop_assert_eq!(&content(&on_disk(&directory)), &model);
                }
                // A backup without a record has no object pages, and is refused as one whose heap
                // is missing.
                Some(Step::Backup) if !model.is_empty() => {
                    engine.checkpoint().unwrap();
                    durable.clone_from(&model);
                    let repository = OpenOptions::new().open_in(&directory).unwrap();
                    let options = BackupOptions { threads: ONE, ..BackupOptions::default() };
                    backup_in(&repository, &directory.storage, "backup", &options, &Unobserved).unwrap();
                    backup = Some(model.clone());
                }
                Some(Step::Restore) if backup.is_some() => {
                    // What snapshots see another process does not know of.
                    for (snapshot, expected) in held.drain(..) {
                        prop_assert_eq!(&content(&snapshot), &expected);
                    }
                    engine.close().unwrap();
                    let file = OpenBackup::new().open_in(&directory.storage, "backup").unwrap();
                    let options = RestoreOptions { existing: Existing::Replace, threads: ONE, ..RestoreOptions::default() };
                    restore_in(&file, &directory, options, &Unobserved).unwrap();
                    model.clone_from(backup.as_ref().unwrap());
                    durable.clone_from(&model);
                    engine = still().open_in(&directory).unwrap();
                    prop_assert_eq!(&content(&engine.snapshot()), &model);
                }
                Some(Step::Hold) => held.push((engine.snapshot(), model.clone())),
                Some(Step::Crash) => {
                    let left = copy_of(&storage);
                    let reader = OpenOptions::new().open_in(&left).unwrap();
                    prop_assert_eq!(&content(&reader.snapshot()), &durable);
                    let reopened = still().open_in(&left).unwrap();
                    prop_assert_eq!(&content(&reopened.snapshot()), &durable);
                    verified(&reopened.snapshot());
                }
                Some(Step::Close) => {
                    // The next engine knows nothing of the snapshots of this one.
                    for (snapshot, expected) in held.drain(..) {
                        prop_assert_eq!(&content(&snapshot), &expected);
                    }
                    engine.close().unwrap();
                    prop_assert_eq!(&content(&on_disk(&directory)), &model);
                    durable.clone_from(&model);
                    engine = still().open_in(&directory).unwrap();
                }
                _ => {}
            }
        }
        for (snapshot, expected) in &held {
            prop_assert_eq!(&content(snapshot), expected);
        }
        verified(&engine.snapshot());
        engine.close().unwrap();
        prop_assert_eq!(&content(&on_disk(&directory)), &model);
    }
}

//! The power is lost at every I/O step of a writer. Whoever reads or backs up what is left sees the
//! state of the last commit that was acknowledged, or the one in flight; nothing is found, and no
//! newer state is said to be lost.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use cimrepo::Result;
use cimrepo::backup::{BackupOptions, OpenBackup, backup_in};
use cimrepo::base::progress::Unobserved;
use cimrepo::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};
use cimrepo::storage::{Directory, Storage};
use cimrepo::store::{Durability, Engine};

use crate::{ONE_THREAD, check, make, names, open, put, remove, still};

fn at(disk: &SimStorage) -> Directory {
    Directory::new(Arc::new(disk.clone()), "/r")
}

fn disk() -> SimStorage {
    let disk = SimStorage::new();
    disk.create_dir("/r".as_ref()).unwrap();
    disk.sync_dir("/".as_ref()).unwrap();
    make(&at(&disk));
    disk
}

/// The states that a crash may leave: that of the last acknowledged commit, and that of the one in
/// flight.
#[derive(Default)]
struct Told(Vec<Vec<String>>);

impl Told {
    fn act(&mut self, after: &[&str], act: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut after: Vec<String> = after
            .iter()
            .map(|name| (*name).to_owned())
            .chain(["FIRST".to_owned()])
            .collect();
        after.sort();
        self.0.push(after.clone());
        act()?;
        self.0 = vec![after];
        Ok(())
    }
}

fn history(disk: &SimStorage, told: &mut Told) -> Result<()> {
    told.0 = vec![vec!["FIRST".to_owned()]];
    let engine: Engine = still().open_in(&at(disk))?;
    told.act(&["A"], || put(&engine, "A", 100, Durability::Journal))?;
    told.act(&["A", "B"], || {
        put(&engine, "B", 9_000, Durability::Journal)
    })?;
    told.act(&["A", "B"], || engine.checkpoint())?;
    told.act(&["B"], || remove(&engine, "A"))?;
    told.act(&["B", "C"], || {
        put(&engine, "C", 50, Durability::Checkpoint)
    })?;
    told.act(&["B", "C", "D"], || {
        put(&engine, "D", 300, Durability::Journal)
    })?;
    told.act(&["B", "C", "D"], || engine.close())
}

/// What a reader and two kinds of backup see is one of the states that may be there.
fn look(image: &SimStorage, told: &Told, what: &str) {
    let repository = open(&at(image));
    let found = names(&repository.snapshot());
    assert!(
        told.0.contains(&found),
        "{what}: {found:?} is none of {:?}",
        told.0
    );
    let report = check(&repository);
    assert!(report.is_consistent(), "{what}: {report:?}");
    assert!(
        report.refused.iter().all(|refusal| !refusal.may_be_newer),
        "{what}: {:?}",
        report.refused
    );
    let storage: Arc<dyn Storage> = Arc::new(image.clone());
    for forensic in [false, true] {
        let options = BackupOptions {
            forensic,
            threads: ONE_THREAD.threads,
            ..BackupOptions::default()
        };
        backup_in(&repository, &storage, "/backup", &options, &Unobserved).unwrap();
        let backup = OpenBackup::new().open_in(&storage, "/backup").unwrap();
        assert_eq!(
            names(&backup.snapshot()),
            found,
            "{what}: forensic {forensic}"
        );
        assert!(
            backup
                .verify(ONE_THREAD, &Unobserved)
                .unwrap()
                .is_consistent(),
            "{what}"
        );
    }
}

#[test]
fn readers_and_backups_see_the_last_acknowledged_state() {
    let start = disk();
    let measured = start.crash(CrashPolicy::KeepAll);
    history(&measured, &mut Told::default()).unwrap();
    let (mut seen, hasher, mut images) = (HashSet::new(), RandomState::new(), 0);
    for step in 0..measured.operations() {
        let disk = start.crash(CrashPolicy::KeepAll);
        disk.set_plan(FaultPlan::once(step, Fault::PowerOff));
        let mut told = Told::default();
        history(&disk, &mut told).ok();
        let single = |number| {
            [
                CrashPolicy::LoseOne(number),
                CrashPolicy::TearOne(number),
                CrashPolicy::KeepOne(number),
            ]
        };
        let policies = [CrashPolicy::DropAll, CrashPolicy::KeepAll].into_iter();
        let policies = policies.chain(disk.telling().into_iter().flat_map(single));
        for policy in policies.chain((0..4).map(CrashPolicy::Seeded)) {
            let image = disk.crash(policy);
            images += 1;
            if seen.insert(hasher.hash_one((image.files(), &told.0))) {
                look(&image, &told, &format!("step {step}, {policy:?}"));
            }
        }
    }
    println!(
        "power lost at {} steps, {images} images, {} distinct",
        measured.operations(),
        seen.len()
    );
    assert!(seen.len() > 50);
}

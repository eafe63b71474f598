//! The power is lost at every I/O step of small histories, with what was not synced kept, lost and torn.
//!
//! Afterwards the engine opens the disk: it holds the state of the last commit that was acknowledged, or the one in flight;
//! it verifies; a reader that knows nothing of the journal finds a whole repository; and the next commit works. What the
//! simulated disk cannot show is listed in `cimrepo::storage::sim`.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use cimrepo::Result;
use cimrepo::engine::{Durability, Engine};
use cimrepo::repository::{BulkBuilder, OpenOptions, Snapshot};
use cimrepo::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};
use cimrepo::storage::{Directory, Storage};

use crate::{keys, still, verified};

/// Sectors of which one alone is lost, kept or torn, of each crash.
const SINGLES: usize = 12;

fn at(disk: &SimStorage) -> Directory {
    Directory::new(Arc::new(disk.clone()), "/r")
}

/// A disk with a repository of one key.
fn disk() -> SimStorage {
    let disk = SimStorage::new();
    disk.create_dir("/r".as_ref()).unwrap();
    disk.sync_dir("/".as_ref()).unwrap();
    let mut builder = BulkBuilder::create_seeded(at(&disk), 1).unwrap();
    builder.key(b"NS_0\\FIRST", Option::None).unwrap();
    builder.finish().unwrap();
    disk
}

/// One commit of a history: what it puts there, and how durable it is.
#[derive(Debug, Clone, Copy)]
enum Act {
    Put(&'static str, usize, Durability),
    Remove(&'static str),
    Checkpoint,
    Reopen,
}

fn commit(engine: &Engine, act: Act) -> Result<()> {
    let mut transaction = engine.begin_write()?;
    match act {
        Act::Put(name, size, durability) => {
            transaction.set_durability(durability);
            let record = transaction.insert_record(&vec![u8::try_from(size % 251).unwrap(); size])?;
            transaction.insert_key(format!("{name}.{record}").as_bytes())?;
        }
        Act::Remove(name) => {
            let key = transaction.find(name.as_bytes())?.unwrap();
            let record = cimrepo::format::key::reference(key.as_bytes()).unwrap().unwrap();
            transaction.remove_key(key.as_bytes())?;
            transaction.remove_record(record)?;
        }
        Act::Checkpoint | Act::Reopen => return Ok(()),
    }
    transaction.commit()
}

/// What a run has said: the states that a crash may leave, as lists of names.
#[derive(Debug, Default)]
struct Told {
    /// After the last acknowledged durable commit, and after each one behind it.
    allowed: Vec<Vec<String>>,
}

fn names_after(before: &[String], act: Act) -> Vec<String> {
    let mut names = before.to_vec();
    match act {
        Act::Put(name, ..) => names.push(name.to_owned()),
        Act::Remove(name) => names.retain(|other| other != name),
        Act::Checkpoint | Act::Reopen => {}
    }
    names.sort();
    names
}

/// Runs a history until something fails; notes what may be there at each moment.
fn run(disk: &SimStorage, history: &[Act], told: &mut Told) -> Result<()> {
    let mut state = vec!["NS_0\\FIRST".to_owned()];
    told.allowed = vec![state.clone()];
    let mut engine = still().open_in(&at(disk))?;
    for &act in history {
        let next = names_after(&state, act);
        told.allowed.push(next.clone());
        match act {
            Act::Checkpoint => engine.checkpoint()?,
            Act::Reopen => {
                engine.close()?;
                engine = still().open_in(&at(disk))?;
            }
            _ => commit(&engine, act)?,
        }
        state = next;
        if !matches!(act, Act::Put(_, _, Durability::None)) {
            told.allowed = vec![state.clone()];
        }
    }
    engine.close()
}

fn names(engine: &Engine) -> Vec<String> {
    let name = |key: String| key.split('.').next().unwrap().to_owned();
    keys(&engine.snapshot()).into_iter().map(name).collect()
}

/// What a reader finds that knows nothing of the journal. A mapping that the crash tore is refused, the one before it counts.
fn read(disk: &SimStorage) -> Snapshot {
    let repository = OpenOptions::new().open_in(&at(disk)).unwrap();
    assert!(repository.is_whole());
    verified(&repository.snapshot());
    repository.snapshot()
}

/// Looks at what is left, and goes on with it.
fn check(image: &SimStorage, told: &Told, what: &str) {
    read(image);
    let engine = still().open_in(&at(image)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = names(&engine);
    assert!(told.allowed.contains(&found), "{what}: {found:?} is none of {:?}", told.allowed);
    verified(&engine.snapshot());
    commit(&engine, Act::Put("NS_9\\AFTER", 300, Durability::Journal)).unwrap();
    engine.close().unwrap();
    let after = keys(&read(image));
    assert_eq!(after.len(), found.len() + 1, "{what}: {after:?}");
}

fn policies(unsynced: usize) -> Vec<CrashPolicy> {
    let mut policies = vec![CrashPolicy::DropAll, CrashPolicy::KeepAll];
    let step = unsynced.div_ceil(SINGLES).max(1);
    for number in (0..unsynced).step_by(step).chain(unsynced.saturating_sub(4)..unsynced) {
        policies.extend([CrashPolicy::LoseOne(number), CrashPolicy::TearOne(number), CrashPolicy::KeepOne(number)]);
    }
    policies.extend((0..4).map(CrashPolicy::Seeded));
    policies
}

fn lose_power_everywhere(name: &str, history: &[Act]) {
    let start = disk();
    let measured = start.crash(CrashPolicy::KeepAll);
    run(&measured, history, &mut Told::default()).unwrap();
    let operations = measured.operations();
    let (mut seen, hasher, mut images) = (HashSet::new(), RandomState::new(), 0);
    for step in 0..operations {
        let disk = start.crash(CrashPolicy::KeepAll);
        disk.set_plan(FaultPlan::once(step, Fault::PowerOff));
        let mut told = Told::default();
        run(&disk, history, &mut told).ok();
        for policy in policies(disk.unsynced()) {
            let image = disk.crash(policy);
            images += 1;
            if seen.insert(hasher.hash_one((image.files(), &told.allowed))) {
                check(&image, &told, &format!("{name}: step {step}, {policy:?}"));
            }
        }
    }
    println!("{name}: power lost at {operations} steps, {images} images, {} distinct", seen.len());
    assert!(seen.len() > 20);
}

use Durability::{Checkpoint, Journal, None};

#[test]
fn commits_by_the_journal_and_checkpoints() {
    lose_power_everywhere(
        "journal",
        &[
            Act::Put("NS_0\\CD_A", 100, Journal),
            Act::Put("NS_0\\CD_B", 20_000, Journal),
            Act::Remove("NS_0\\CD_A"),
            Act::Checkpoint,
            Act::Put("NS_0\\CD_C", 500, Journal),
            Act::Remove("NS_0\\CD_B"),
            Act::Put("NS_0\\CD_D", 9_000, Journal),
        ],
    );
}

#[test]
fn commits_by_checkpoint() {
    lose_power_everywhere(
        "checkpoint per commit",
        &[
            Act::Put("NS_0\\CD_A", 100, Checkpoint),
            Act::Put("NS_0\\CD_B", 20_000, Checkpoint),
            Act::Remove("NS_0\\CD_A"),
            Act::Put("NS_0\\CD_C", 700, Checkpoint),
        ],
    );
}

#[test]
fn commits_that_nothing_makes_durable_go_together() {
    lose_power_everywhere(
        "no durability",
        &[
            Act::Put("NS_0\\CD_A", 100, None),
            Act::Put("NS_0\\CD_B", 10_000, None),
            Act::Put("NS_0\\CD_C", 100, Journal),
            Act::Put("NS_0\\CD_D", 100, Journal),
            Act::Put("NS_0\\CD_E", 100, None),
            Act::Checkpoint,
        ],
    );
}

#[test]
fn recovery_is_interrupted() {
    let history = [
        Act::Put("NS_0\\CD_A", 100, Journal),
        Act::Put("NS_0\\CD_B", 12_000, Journal),
        Act::Reopen,
        Act::Remove("NS_0\\CD_A"),
    ];
    lose_power_everywhere("reopening", &history);
    // The process dies without closing, and the next one is interrupted while it takes over.
    let start = disk();
    let engine = still().open_in(&at(&start)).unwrap();
    commit(&engine, history[0]).unwrap();
    commit(&engine, history[1]).unwrap();
    let died = start.crash(CrashPolicy::KeepAll);
    drop(engine);
    let measured = died.crash(CrashPolicy::KeepAll);
    let take_over = |disk: &SimStorage| -> Result<()> {
        let engine = still().open_in(&at(disk))?;
        commit(&engine, Act::Put("NS_0\\CD_C", 100, Journal))?;
        engine.close()
    };
    take_over(&measured).unwrap();
    let both = ["NS_0\\CD_A", "NS_0\\CD_B", "NS_0\\FIRST"].map(str::to_owned).to_vec();
    let all = names_after(&both, Act::Put("NS_0\\CD_C", 100, Journal));
    let told = Told { allowed: vec![both, all] };
    let mut images = 0;
    for step in 0..measured.operations() {
        let disk = died.crash(CrashPolicy::KeepAll);
        disk.set_plan(FaultPlan::once(step, Fault::PowerOff));
        take_over(&disk).ok();
        for policy in policies(disk.unsynced()) {
            images += 1;
            check(&disk.crash(policy), &told, &format!("taking over: step {step}, {policy:?}"));
        }
    }
    println!("taking over: power lost at {} steps, {images} images", measured.operations());
}

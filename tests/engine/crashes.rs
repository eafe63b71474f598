//! The power is lost at every I/O step of small histories, with what was not synced kept and lost
//! as a whole, and each single write, length and name lost, torn and kept alone; and at random
//! steps of long histories, with random parts of it lost.
//!
//! Afterwards the engine opens the disk: it holds the state of the last commit that was
//! acknowledged, or the one in flight; it verifies; a reader that knows nothing of the journal
//! finds a whole repository; and the next commit works. What the simulated disk cannot show is
//! listed in `cimrepo::storage::sim`.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use cimrepo::Result;
use cimrepo::base::progress::Unobserved;
use cimrepo::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};
use cimrepo::storage::{Directory, Storage};
use cimrepo::store::{BulkBuilder, OpenOptions, Snapshot};
use cimrepo::store::{Durability, Engine, EngineOptions};
use cimrepo::verify::verify;

use crate::{ONE_THREAD, keys, still, verified};

pub fn at(disk: &SimStorage) -> Directory {
    Directory::new(Arc::new(disk.clone()), "/r")
}

/// A disk with a repository of one key.
pub fn disk() -> SimStorage {
    let disk = SimStorage::new();
    disk.create_dir("/r".as_ref()).unwrap();
    disk.sync_dir("/".as_ref()).unwrap();
    let mut builder = BulkBuilder::create_seeded(at(&disk), 1).unwrap();
    builder.key(b"NS_0\\FIRST", Option::None).unwrap();
    builder.finish().unwrap();
    disk
}

/// One step of a history; a commit says what it puts there, and how durable it is.
#[derive(Debug, Clone)]
pub enum Act {
    Put(String, usize, Durability),
    Remove(String),
    Checkpoint,
    Compact,
    Reopen,
}

pub fn put(name: &str, size: usize, durability: Durability) -> Act {
    Act::Put(name.to_owned(), size, durability)
}

pub fn remove(name: &str) -> Act {
    Act::Remove(name.to_owned())
}

pub fn commit(engine: &Engine, act: &Act) -> Result<()> {
    match act {
        Act::Checkpoint => return engine.checkpoint(),
        Act::Compact => return engine.compact(&Unobserved).map(drop),
        _ => {}
    }
    let mut transaction = engine.begin_write()?;
    match act {
        Act::Put(name, size, durability) => {
            transaction.set_durability(*durability);
            let record =
                transaction.insert_record(&vec![u8::try_from(size % 251).unwrap(); *size])?;
            transaction.insert_key(format!("{name}.{record}").as_bytes())?;
        }
        Act::Remove(name) => {
            let key = transaction.find(format!("{name}.").as_bytes())?.unwrap();
            let record = cimrepo::format::index::key::reference(key.as_bytes())
                .unwrap()
                .unwrap();
            transaction.remove_key(key.as_bytes())?;
            transaction.remove_record(record)?;
        }
        Act::Checkpoint | Act::Compact | Act::Reopen => return Ok(()),
    }
    transaction.commit()
}

/// What a run has said: the states that a crash may leave, as lists of names.
#[derive(Debug, Default, Clone)]
pub struct Told {
    /// After the last acknowledged durable commit, and after each one behind it.
    pub allowed: Vec<Vec<String>>,
}

pub fn names_after(before: &[String], act: &Act) -> Vec<String> {
    let mut names = before.to_vec();
    match act {
        Act::Put(name, ..) => names.push(name.clone()),
        Act::Remove(name) => names.retain(|other| other != name),
        Act::Checkpoint | Act::Compact | Act::Reopen => {}
    }
    names.sort();
    names
}

/// Runs a history until something fails; notes what may be there at each moment.
pub fn run(
    disk: &SimStorage,
    options: &EngineOptions,
    history: &[Act],
    told: &mut Told,
) -> Result<()> {
    let first = vec!["NS_0\\FIRST".to_owned()];
    told.allowed = vec![first.clone()];
    go_on(disk, options, history, first, told)
}

/// As [`run`], of a process that finds `state`. What `told` has may be there until this one
/// acknowledges something durable.
pub fn go_on(
    disk: &SimStorage,
    options: &EngineOptions,
    history: &[Act],
    mut state: Vec<String>,
    told: &mut Told,
) -> Result<()> {
    let mut engine = options.clone().open_in(&at(disk))?;
    for act in history {
        let next = names_after(&state, act);
        told.allowed.push(next.clone());
        match act {
            Act::Reopen => {
                engine.close()?;
                engine = options.clone().open_in(&at(disk))?;
            }
            _ => commit(&engine, act)?,
        }
        state = next;
        if !matches!(act, Act::Put(_, _, Durability::None)) {
            told.allowed = vec![state.clone()];
        }
    }
    engine.close()?;
    told.allowed = vec![state];
    Ok(())
}

pub fn names(engine: &Engine) -> Vec<String> {
    keys(&engine.snapshot()).into_iter().map(name_of).collect()
}

fn name_of(key: String) -> String {
    key.split('.').next().unwrap().to_owned()
}

/// What a reader finds that knows nothing of the journal. A mapping that the crash tore is refused,
/// the one before it counts, and the torn one is known as what an interrupted switch leaves (W-19).
pub fn read(disk: &SimStorage) -> Snapshot {
    let repository = OpenOptions::new()
        .without_journal()
        .open_in(&at(disk))
        .unwrap();
    assert!(repository.is_whole());
    let report = verify(&repository, ONE_THREAD, &Unobserved).unwrap();
    assert!(
        report.is_consistent(),
        "{:?} {:?}",
        report.refused,
        report.findings().collect::<Vec<_>>()
    );
    repository.snapshot()
}

/// What a reader finds that replays the journal.
fn replayed(disk: &SimStorage) -> Vec<String> {
    let repository = OpenOptions::new().open_in(&at(disk)).unwrap();
    assert_eq!(
        repository.journal().refused().count(),
        0,
        "{:?}",
        repository.journal()
    );
    keys(&repository.snapshot())
        .into_iter()
        .map(name_of)
        .collect()
}

/// Looks at what is left, and goes on with it.
pub fn check(image: &SimStorage, told: &Told, what: &str) {
    read(image);
    let read_only = replayed(image);
    let engine = still()
        .open_in(&at(image))
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = names(&engine);
    assert_eq!(
        read_only, found,
        "{what}: a reader and a writer see the same"
    );
    assert!(
        told.allowed.contains(&found),
        "{what}: {found:?} is none of {:?}",
        told.allowed
    );
    verified(&engine.snapshot());
    commit(&engine, &put("NS_9\\AFTER", 300, Durability::Journal)).unwrap();
    engine.close().unwrap();
    let after = keys(&read(image));
    assert_eq!(after.len(), found.len() + 1, "{what}: {after:?}");
}

/// All and nothing, each single operation lost, torn and kept, and some at random.
pub fn policies(disk: &SimStorage) -> Vec<CrashPolicy> {
    let mut policies = vec![CrashPolicy::DropAll, CrashPolicy::KeepAll];
    for number in disk.telling() {
        policies.extend([
            CrashPolicy::LoseOne(number),
            CrashPolicy::TearOne(number),
            CrashPolicy::KeepOne(number),
        ]);
    }
    policies.extend((0..4).map(CrashPolicy::Seeded));
    policies
}

/// What was looked at, so that nothing is looked at twice.
#[derive(Default)]
pub struct Seen {
    pub hashes: HashSet<u64>,
    hasher: RandomState,
    pub images: usize,
}

impl Seen {
    pub fn check(&mut self, image: &SimStorage, told: &Told, what: impl FnOnce() -> String) {
        self.images += 1;
        if self
            .hashes
            .insert(self.hasher.hash_one((image.files(), &told.allowed)))
        {
            check(image, told, &what());
        }
    }
}

fn lose_power_everywhere(name: &str, history: &[Act]) {
    let act = |disk: &SimStorage, told: &mut Told| run(disk, &still(), history, told);
    lose_power_of(name, &disk(), act);
}

/// Runs `act` on copies of a disk, and takes the power away at each of its steps.
fn lose_power_of(
    name: &str,
    start: &SimStorage,
    act: impl Fn(&SimStorage, &mut Told) -> Result<()>,
) {
    let measured = start.crash(CrashPolicy::KeepAll);
    act(&measured, &mut Told::default()).unwrap();
    let operations = measured.operations();
    let mut seen = Seen::default();
    for step in 0..operations {
        let disk = start.crash(CrashPolicy::KeepAll);
        disk.set_plan(FaultPlan::once(step, Fault::PowerOff));
        let mut told = Told::default();
        act(&disk, &mut told).ok();
        for policy in policies(&disk) {
            seen.check(&disk.crash(policy), &told, || {
                format!("{name}: step {step}, {policy:?}")
            });
        }
    }
    println!(
        "{name}: power lost at {operations} steps, {} images, {} distinct",
        seen.images,
        seen.hashes.len()
    );
    assert!(seen.hashes.len() > 20);
}

use Durability::{Checkpoint, Journal, None};

#[test]
fn commits_by_the_journal_and_checkpoints() {
    lose_power_everywhere(
        "journal",
        &[
            put("NS_0\\CD_A", 100, Journal),
            put("NS_0\\CD_B", 20_000, Journal),
            remove("NS_0\\CD_A"),
            Act::Checkpoint,
            put("NS_0\\CD_C", 500, Journal),
            remove("NS_0\\CD_B"),
            put("NS_0\\CD_D", 9_000, Journal),
        ],
    );
}

#[test]
fn commits_by_checkpoint() {
    lose_power_everywhere(
        "checkpoint per commit",
        &[
            put("NS_0\\CD_A", 100, Checkpoint),
            put("NS_0\\CD_B", 20_000, Checkpoint),
            remove("NS_0\\CD_A"),
            put("NS_0\\CD_C", 700, Checkpoint),
        ],
    );
}

#[test]
fn commits_that_nothing_makes_durable_go_together() {
    lose_power_everywhere(
        "no durability",
        &[
            put("NS_0\\CD_A", 100, None),
            put("NS_0\\CD_B", 10_000, None),
            put("NS_0\\CD_C", 100, Journal),
            put("NS_0\\CD_D", 100, Journal),
            put("NS_0\\CD_E", 100, None),
            Act::Checkpoint,
        ],
    );
}

#[test]
fn compaction_is_interrupted() {
    lose_power_everywhere(
        "compaction",
        &[
            put("NS_0\\CD_A", 100, Journal),
            put("NS_0\\CD_B", 30_000, Checkpoint),
            put("NS_0\\CD_C", 9_000, Journal),
            remove("NS_0\\CD_B"),
            Act::Compact,
            put("NS_0\\CD_D", 500, Journal),
        ],
    );
}

#[test]
fn reopening_is_interrupted() {
    let (a, b) = (
        put("NS_0\\CD_A", 100, Journal),
        put("NS_0\\CD_B", 12_000, Journal),
    );
    lose_power_everywhere("reopening", &[a, b, Act::Reopen, remove("NS_0\\CD_A")]);
}

#[test]
fn replay_of_a_journal_is_interrupted() {
    // The process dies without closing, and the next one is interrupted while it takes over.
    let (a, b) = (
        put("NS_0\\CD_A", 100, Journal),
        put("NS_0\\CD_B", 12_000, Journal),
    );
    let start = disk();
    let engine = still().open_in(&at(&start)).unwrap();
    commit(&engine, &a).unwrap();
    commit(&engine, &b).unwrap();
    let died = start.crash(CrashPolicy::KeepAll);
    drop(engine);
    let c = put("NS_0\\CD_C", 100, Journal);
    let both = ["NS_0\\CD_A", "NS_0\\CD_B", "NS_0\\FIRST"]
        .map(str::to_owned)
        .to_vec();
    let all = names_after(&both, &c);
    lose_power_of("replay", &died, |disk, told| {
        told.allowed = vec![both.clone()];
        let engine = still().open_in(&at(disk))?;
        told.allowed.push(all.clone());
        commit(&engine, &c)?;
        told.allowed = vec![all.clone()];
        engine.close()
    });
}

/// Numbers that look random and follow from a seed.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// A history of many commits, with checkpoints, compactions and reopenings among them: of a process
/// that finds records under the names `there`, and whose own have the numbers `own`.
pub fn long_history(
    numbers: &mut Numbers,
    mut there: Vec<String>,
    own: std::ops::Range<usize>,
) -> Vec<Act> {
    let mut history = Vec::new();
    for number in own {
        let durability = [
            Journal, Journal, Journal, Journal, Journal, Journal, Checkpoint, None,
        ][numbers.below(8)];
        match numbers.below(40) {
            0..12 if there.len() > 2 => {
                history.push(Act::Remove(there.swap_remove(numbers.below(there.len()))))
            }
            12 | 13 => history.push(Act::Checkpoint),
            14 => history.push(Act::Reopen),
            15 => history.push(Act::Compact),
            way => {
                let size = if way == 16 {
                    9_000 + numbers.below(20_000)
                } else {
                    numbers.below(900)
                };
                let name = format!("NS_{}\\CI_{}\\IL_{number:060}", number % 3, number % 5);
                there.push(name.clone());
                history.push(Act::Put(name, size, durability));
            }
        }
    }
    history
}

/// Images of each run that are looked at.
const IMAGES_PER_RUN: u64 = 26;

fn lose_power_somewhere(
    name: &str,
    seeds: std::ops::Range<u64>,
    options: &EngineOptions,
    is_threaded: bool,
) -> u32 {
    let (mut seen, runs, mut generations) = (Seen::default(), seeds.end - seeds.start, 0);
    for seed in seeds {
        let mut numbers = Numbers(seed);
        let history = long_history(&mut numbers, Vec::new(), 0..70);
        let start = disk();
        let measured = start.crash(CrashPolicy::KeepAll);
        run(&measured, options, &history, &mut Told::default()).unwrap();
        let step = numbers.below(usize::try_from(measured.operations()).unwrap()) as u64;
        generations += read(&measured).mapping().generation();
        let disk = start.crash(CrashPolicy::KeepAll);
        disk.set_plan(FaultPlan::once(step, Fault::PowerOff));
        let mut told = Told::default();
        // With a thread beside it the order of the steps differs from run to run, and a run may end
        // before the step.
        let ended = run(&disk, options, &history, &mut told);
        assert!(is_threaded || ended.is_err());
        for number in 0..IMAGES_PER_RUN {
            let policy = match number {
                0 => CrashPolicy::DropAll,
                1 => CrashPolicy::KeepAll,
                _ => CrashPolicy::Seeded(seed << 8 | number),
            };
            seen.check(&disk.crash(policy), &told, || {
                format!("{name}: seed {seed}, step {step}, {policy:?}")
            });
        }
    }
    println!(
        "{name}: {runs} histories, {generations} generations, {} images, {} distinct",
        seen.images,
        seen.hashes.len()
    );
    assert!(seen.images as u64 == runs * IMAGES_PER_RUN && seen.hashes.len() > seen.images / 8);
    generations
}

#[test]
fn long_histories_without_power() {
    let still = lose_power_somewhere("long histories", 0..200, &still(), false);
    // The journal is always too old for the thread.
    let options = EngineOptions::new().checkpoint_at(1, std::time::Duration::ZERO);
    let threaded = lose_power_somewhere(
        "long histories with checkpoints in the background",
        0..200,
        &options,
        true,
    );
    assert!(
        threaded > still,
        "the thread made {still} generations into {threaded}"
    );
}

//! A process dies at a step of its work, and the machine goes on: what it wrote and did not sync is
//! read by the next process as if it were durable. That one takes over, and then the power goes.
//!
//! What the first one acknowledged is there all the same, and what the second one did.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cimrepo::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};
use cimrepo::store::Durability::{Checkpoint, Journal, None};

#[cfg(unix)]
use crate::crashes::commit;
use crate::crashes::{
    Act, Numbers, Seen, Told, at, disk, go_on, long_history, names, policies, put, remove,
};
use crate::still;

/// What a process leaves that died: the disk, what the next one finds on it, and what a loss of
/// power may make of that.
struct Left {
    disk: SimStorage,
    found: Vec<String>,
    told: Told,
}

/// Runs a process that finds what another left, and dies at its step `step`; a write that is under
/// way then is done in part.
fn die(left: &Left, history: &[Act], step: u64) -> Left {
    let (disk, mut told) = (left.disk.after_death(), left.told.clone());
    disk.set_plan(FaultPlan::once(step, Fault::PowerOff).transfer_first());
    go_on(&disk, &still(), history, left.found.clone(), &mut told).ok();
    let disk = disk.after_death();
    let found = names(
        &still()
            .open_in(&at(&disk.crash(CrashPolicy::KeepAll)))
            .unwrap(),
    );
    // What the disk holds beyond what is seen there is nothing.
    let place = told.allowed.iter().rposition(|state| *state == found);
    let place = place.unwrap_or_else(|| {
        panic!(
            "after a death at {step}: {found:?} is none of {:?}",
            told.allowed
        )
    });
    told.allowed.truncate(place + 1);
    Left { disk, found, told }
}

/// What stands on a disk that was just made.
fn nothing_happened() -> Left {
    let found = vec!["NS_0\\FIRST".to_owned()];
    Left {
        disk: disk(),
        told: Told {
            allowed: vec![found.clone()],
        },
        found,
    }
}

/// Runs a process to its end; gives how many steps it takes.
fn steps_of(left: &Left, history: &[Act]) -> u64 {
    let disk = left.disk.after_death();
    go_on(
        &disk,
        &still(),
        history,
        left.found.clone(),
        &mut left.told.clone(),
    )
    .unwrap();
    disk.operations()
}

/// Runs a process that finds what another left, and that loses power at its step `step`.
fn lose_power(left: &Left, history: &[Act], step: u64) -> (SimStorage, Told) {
    let (disk, mut told) = (left.disk.after_death(), left.told.clone());
    disk.set_plan(FaultPlan::once(step, Fault::PowerOff));
    go_on(&disk, &still(), history, left.found.clone(), &mut told).ok();
    (disk, told)
}

/// Whether a disk, or what was said, is another than the one this was asked of before: most calls
/// only look.
#[derive(Default)]
struct Last(Option<Shape>);

/// The bytes of each file, what is not synced, what was told.
type Shape = (BTreeMap<PathBuf, Vec<u8>>, Vec<String>, Vec<Vec<String>>);

impl Last {
    fn is_other(&mut self, disk: &SimStorage, told: &Told) -> bool {
        let shape = (disk.files(), disk.unsynced_log(), told.allowed.clone());
        let is_other = self.0.as_ref() != Some(&shape);
        self.0 = Some(shape);
        is_other
    }
}

/// Whether every death and every loss of power is looked at, each in all ways. Else it is every
/// `DEATHS`th death, and of the losses of power behind it every `LOSSES`th in all ways, the others
/// in four.
fn is_thorough() -> bool {
    std::env::var_os("CIMREPO_EVERY_DEATH").is_some()
}

const DEATHS: usize = 7;
const LOSSES: usize = 8;

fn few_policies(number: usize) -> Vec<CrashPolicy> {
    let seed = number as u64;
    vec![
        CrashPolicy::DropAll,
        CrashPolicy::KeepAll,
        CrashPolicy::Seeded(2 * seed),
        CrashPolicy::Seeded(2 * seed + 1),
    ]
}

/// A process dies at each of its steps; the next one takes over and does one thing, and the power
/// goes at each of its steps.
fn lose_power_behind_deaths(name: &str, history: &[Act]) {
    let start = nothing_happened();
    let then = [put("NS_0\\CD_Z", 200, Journal)];
    let (mut seen, mut last, mut deaths, mut losses) = (Seen::default(), Last::default(), 0, 0);
    for step in 0..=steps_of(&start, history) {
        let left = die(&start, history, step);
        if !last.is_other(&left.disk, &left.told) {
            continue;
        }
        deaths += 1;
        if !is_thorough() && deaths % DEATHS != 0 {
            continue;
        }
        let mut last = Last::default();
        for later in 0..=steps_of(&left, &then) {
            let (disk, told) = lose_power(&left, &then, later);
            if !last.is_other(&disk, &told) {
                continue;
            }
            losses += 1;
            let is_full = is_thorough() || losses % LOSSES == 0;
            for policy in if is_full {
                policies(&disk)
            } else {
                few_policies(losses)
            } {
                let what = || format!("{name}: dead at {step}, no power at {later}, {policy:?}");
                seen.check(&disk.crash(policy), &told, what);
            }
        }
    }
    println!(
        "{name}: {deaths} deaths, {losses} losses of power looked at, {} images, {} distinct",
        seen.images,
        seen.hashes.len()
    );
    assert!(deaths > 20 && losses > deaths && seen.hashes.len() > 200);
}

#[test]
fn commits_by_the_journal() {
    let (a, b) = (
        put("NS_0\\CD_A", 100, Journal),
        put("NS_0\\CD_B", 3_000, Journal),
    );
    lose_power_behind_deaths("journal", &[a, b, remove("NS_0\\CD_A")]);
}

#[test]
fn a_checkpoint_and_commits_behind_it() {
    let (a, b) = (
        put("NS_0\\CD_A", 100, Journal),
        put("NS_0\\CD_B", 200, Journal),
    );
    lose_power_behind_deaths("checkpoint", &[a, Act::Checkpoint, b]);
}

#[test]
fn commits_by_checkpoint_and_without_durability() {
    let (a, b) = (
        put("NS_0\\CD_A", 100, Checkpoint),
        put("NS_0\\CD_B", 200, None),
    );
    lose_power_behind_deaths(
        "checkpoint per commit",
        &[a, b, put("NS_0\\CD_C", 300, Journal)],
    );
}

#[test]
fn compaction() {
    let (a, b) = (
        put("NS_0\\CD_A", 100, Checkpoint),
        put("NS_0\\CD_B", 12_000, Checkpoint),
    );
    lose_power_behind_deaths("compaction", &[a, b, remove("NS_0\\CD_B"), Act::Compact]);
}

/// Up to three processes die one after the other, each somewhere in its work; the power goes while
/// the next one takes over, or somewhat later.
#[test]
fn deaths_one_after_the_other() {
    const RUNS: u64 = 200;
    const IMAGES_PER_RUN: u64 = 20;
    let (mut seen, mut deaths) = (Seen::default(), 0);
    for seed in 0..RUNS {
        let mut numbers = Numbers(seed);
        let mut left = nothing_happened();
        let mut own = 0;
        let mut work = |numbers: &mut Numbers, left: &Left, acts: usize| {
            let there = left
                .found
                .iter()
                .filter(|name| *name != "NS_0\\FIRST")
                .cloned()
                .collect();
            own += acts;
            long_history(numbers, there, own - acts..own)
        };
        for _ in 0..=numbers.below(3) {
            let history = work(&mut numbers, &left, 30);
            left = die(
                &left,
                &history,
                below(&mut numbers, steps_of(&left, &history)),
            );
            deaths += 1;
        }
        let history = work(&mut numbers, &left, 4);
        let step = below(&mut numbers, steps_of(&left, &history));
        let (disk, told) = lose_power(&left, &history, step);
        for number in 0..IMAGES_PER_RUN {
            let policy = match number {
                0 => CrashPolicy::DropAll,
                1 => CrashPolicy::KeepAll,
                _ => CrashPolicy::Seeded(seed << 8 | number),
            };
            seen.check(&disk.crash(policy), &told, || {
                format!("deaths: seed {seed}, step {step}, {policy:?}")
            });
        }
    }
    println!(
        "deaths: {RUNS} runs, {deaths} deaths, {} images, {} distinct",
        seen.images,
        seen.hashes.len()
    );
    assert!(deaths > RUNS && seen.hashes.len() > seen.images / 8);
}

fn below(numbers: &mut Numbers, end: u64) -> u64 {
    numbers.below(usize::try_from(end).unwrap()) as u64
}

/// W-13: what is written into a journal must not show under a name that someone gave it.
#[cfg(unix)]
#[test]
fn a_journal_with_other_names_is_not_gone_on_with() {
    use std::fs;

    use cimrepo::storage::Directory;
    use cimrepo::store::BulkBuilder;

    let place = tempfile::tempdir().unwrap();
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    let mut builder = BulkBuilder::create_seeded(Directory::real(&first), 1).unwrap();
    builder.key(b"NS_0\\FIRST", Option::None).unwrap();
    builder.finish().unwrap();
    let engine = still().open(&first).unwrap();
    commit(&engine, &put("NS_0\\CD_A", 100, Journal)).unwrap();
    // What a process leaves that dies now.
    for entry in fs::read_dir(&first).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_name() != "cimrepo.lock" {
            fs::copy(entry.path(), second.join(entry.file_name())).unwrap();
        }
    }
    engine.close().unwrap();
    let is_journal = |path: &std::path::PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "journal")
    };
    let journal = fs::read_dir(&second)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(is_journal)
        .unwrap();
    let kept = place.path().join("kept");
    fs::hard_link(&journal, &kept).unwrap();
    let bytes = fs::read(&kept).unwrap();
    for is_link in [false, true] {
        if is_link {
            fs::remove_file(&journal).unwrap();
            std::os::unix::fs::symlink(&kept, &journal).unwrap();
        }
        let error = still().open(&second).unwrap_err();
        assert!(
            matches!(error, cimrepo::Error::InvalidArgument(_)),
            "{error}"
        );
        assert_eq!(fs::read(&kept).unwrap(), bytes);
    }
    fs::remove_file(&journal).unwrap();
    fs::copy(&kept, &journal).unwrap();
    assert_eq!(
        names(&still().open(&second).unwrap()),
        ["NS_0\\CD_A", "NS_0\\FIRST"]
    );
}

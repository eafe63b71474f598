//! A scenario, and what is done to it.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use cimrepo::storage::Storage;
use cimrepo::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};
use cimrepo::{Error, Result};

/// What is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Old,
    New,
    /// Between two renames: both are there, whole, under other names.
    Gap,
}

/// Something that is done to a disk, and how its outcome is told.
pub struct Scenario {
    pub name: &'static str,
    /// The disk before; everything on it is durable.
    pub disk: SimStorage,
    /// What is done.
    pub act: fn(&SimStorage) -> Result<()>,
    /// What is done when `act` was interrupted and the new state is not there.
    pub again: fn(&SimStorage) -> Result<()>,
    /// What is there; panics when it is neither the old state nor the new one, or does not verify.
    pub look: Box<dyn Fn(&SimStorage) -> State>,
    /// The call with which the new state appears: its line in the log of operations begins like
    /// this and has this in it.
    pub switch: (&'static str, &'static str),
    /// Whether the gap may be seen.
    pub has_gap: bool,
    pub depth: Depth,
}

/// How much of what may go wrong is tried.
#[derive(Debug, Clone, Copy)]
pub enum Depth {
    /// Of so many operations one is broken, and all of the last ones, which do the switch; a loss
    /// of power takes, tears and keeps some twenty writes alone.
    Every(usize),
    /// Every operation is broken, and a loss of power takes, tears and keeps each write of a
    /// sector, length and name alone.
    Each,
}

/// Operations at the end of a run that are broken one by one, whatever the stride.
const LAST: u64 = 30;

/// At most this many unsynced operations are lost, torn and kept one by one.
const SINGLES: usize = 10;

/// What was counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// Operations of a run without fault; printed alone.
    #[allow(dead_code)]
    pub operations: u64,
    /// Runs with a fault, and those that succeeded all the same.
    pub faults: usize,
    pub survived: usize,
    /// Runs that failed with the new state there.
    pub in_doubt: usize,
    /// Losses of power, images that they left, and images that differ.
    pub crashes: usize,
    pub images: usize,
    pub distinct: usize,
    /// Distinct images with the new state, and in the gap.
    pub new: usize,
    pub gaps: usize,
}

impl Scenario {
    /// The disk before, anew.
    fn fresh(&self) -> SimStorage {
        self.disk.crash(CrashPolicy::KeepAll)
    }

    /// Runs without fault; gives the operations and the number of the switch.
    fn measure(&self) -> (Vec<String>, u64) {
        let disk = self.fresh();
        assert_eq!((self.look)(&disk), State::Old, "{}: before", self.name);
        let disk = self.fresh();
        (self.act)(&disk).unwrap();
        let log = disk.operation_log();
        let is_switch =
            |line: &&String| line.starts_with(self.switch.0) && line.contains(self.switch.1);
        let switch = log
            .iter()
            .position(|line| is_switch(&line))
            .unwrap_or_else(|| panic!("{}: {log:#?}", self.name));
        assert_eq!((self.look)(&disk), State::New, "{}: after", self.name);
        (log, switch as u64)
    }

    /// The numbers of the operations that are broken.
    fn broken(&self, operations: u64, switch: u64) -> Vec<u64> {
        let near = operations.min(switch).saturating_sub(LAST);
        let stride = match self.depth {
            Depth::Every(stride) => stride,
            Depth::Each => 1,
        };
        (0..near)
            .step_by(stride)
            .chain(near..operations + 1)
            .collect()
    }

    /// Breaks every operation in every way.
    pub fn fail_everywhere(&self) -> Tally {
        let (log, switch) = self.measure();
        let operations = log.len() as u64;
        let mut tally = Tally {
            operations,
            ..Tally::default()
        };
        for at in self.broken(operations, switch) {
            let Some(operation) = usize::try_from(at).ok().and_then(|at| log.get(at)) else {
                continue;
            };
            for way in ways(at, operation) {
                let what = format!("{}: {:?}", self.name, way.plan);
                self.fail(&way, at >= switch, &what, &mut tally);
            }
        }
        println!("{}: {tally:?}", self.name);
        tally
    }

    fn fail(&self, way: &Way, behind_switch: bool, what: &str, tally: &mut Tally) {
        let disk = self.fresh();
        disk.set_plan(way.plan.clone());
        let result = (self.act)(&disk);
        disk.set_plan(FaultPlan::none());
        tally.faults += 1;
        assert!(
            disk.faults_struck() > 0,
            "{what}: the run differs from the one without fault"
        );
        let state = (self.look)(&disk);
        match (&result, state) {
            (Ok(()), State::New) => tally.survived += 1,
            (Err(Error::Unconfirmed { .. }), State::New)
                if !way.is_harmless && (behind_switch || way.lasts) =>
            {
                tally.in_doubt += 1;
            }
            (Err(Error::Unconfirmed { .. }), _) => panic!("{what}: {result:?} and {state:?}"),
            (Err(_), State::Old) if !way.is_harmless => {}
            (Err(_), State::Gap) if way.lasts && self.has_gap => tally.gaps += 1,
            _ => panic!("{what}: {result:?} and {state:?}"),
        }
        if result.is_err() && state == State::Old && !way.lasts {
            let (left, before) = (paths(&disk), paths(&self.disk));
            assert!(left == before, "{what}: left behind {left:#?}");
        }
        self.repeat(&disk, state, what);
    }

    /// Does it again, without fault.
    fn repeat(&self, disk: &SimStorage, state: State, what: &str) {
        if state != State::New {
            (self.again)(disk).unwrap_or_else(|error| {
                panic!("{what}: then, without fault: {error}: {:?}", chain(&error))
            });
            assert_eq!((self.look)(disk), State::New, "{what}: done again");
        }
    }

    /// Takes the power away at every operation, and looks at what the disk may hold then.
    pub fn lose_power_everywhere(&self) -> Tally {
        let (log, switch) = self.measure();
        let operations = log.len() as u64;
        let mut tally = Tally {
            operations,
            ..Tally::default()
        };
        let (mut seen, hasher) = (HashSet::new(), RandomState::new());
        for at in self.broken(operations, switch) {
            let disk = self.fresh();
            disk.set_plan(FaultPlan::once(at, Fault::PowerOff));
            let result = (self.act)(&disk);
            tally.crashes += 1;
            for policy in self.policies(&disk) {
                let image = disk.crash(policy);
                tally.images += 1;
                // What succeeded must be there whatever is lost, so it is looked at whenever a run
                // succeeded.
                if !seen.insert((
                    result.is_ok(),
                    hasher.hash_one((image.files(), directories(&image))),
                )) {
                    continue;
                }
                tally.distinct += 1;
                let what = format!(
                    "{}: power off at {at} of {operations}, {policy:?}",
                    self.name
                );
                self.examine(&image, result.is_ok(), &what, &mut tally);
            }
        }
        println!("{}: {tally:?}", self.name);
        tally
    }

    /// What may have reached the disk of what was not synced.
    fn policies(&self, disk: &SimStorage) -> Vec<CrashPolicy> {
        let singles = match self.depth {
            Depth::Each => disk.telling(),
            Depth::Every(_) => some(disk.unsynced()),
        };
        let alone = |number| {
            [
                CrashPolicy::LoseOne(number),
                CrashPolicy::TearOne(number),
                CrashPolicy::KeepOne(number),
            ]
        };
        let mut policies = vec![CrashPolicy::DropAll, CrashPolicy::KeepAll];
        policies.extend(singles.into_iter().flat_map(alone));
        policies.extend((0..8).map(CrashPolicy::Seeded));
        policies
    }

    fn examine(&self, image: &SimStorage, succeeded: bool, what: &str, tally: &mut Tally) {
        let look = std::panic::AssertUnwindSafe(|| (self.look)(image));
        let state = std::panic::catch_unwind(look)
            .unwrap_or_else(|_| panic!("{what}: neither old nor new"));
        match state {
            State::New => tally.new += 1,
            State::Gap if self.has_gap => tally.gaps += 1,
            State::Old => {}
            State::Gap => panic!("{what}: nothing is there"),
        }
        assert!(
            !succeeded || state == State::New,
            "{what}: it had succeeded, and there is {state:?}"
        );
        self.repeat(image, state, what);
    }
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect()
}

/// A way in which an operation fails.
struct Way {
    plan: FaultPlan,
    /// The failure goes on for ever.
    lasts: bool,
    /// It is none to the caller: a transfer is only cut, or begun anew.
    is_harmless: bool,
}

/// The ways in which an operation, as the log has it, fails. What it is not subject to would strike
/// a later one, which has its own turn.
fn ways(at: u64, operation: &str) -> Vec<Way> {
    let begins = |words: &[&str]| words.iter().any(|word| operation.starts_with(word));
    let way = |plan, lasts| Way {
        plan,
        lasts,
        is_harmless: false,
    };
    let both = |fault| {
        [
            way(FaultPlan::once(at, fault), false),
            way(FaultPlan::from(at, fault), true),
        ]
    };
    let mut ways = Vec::from(both(Fault::Io));
    if begins(&["write", "create", "lock", "set_len"]) {
        ways.extend(both(Fault::NoSpace));
    }
    if begins(&["write"]) {
        let half_done: Vec<Way> = ways
            .iter()
            .map(|half| way(half.plan.clone().transfer_first(), half.lasts))
            .collect();
        ways.extend(half_done);
    }
    if begins(&["read ", "write"]) {
        let plans = [
            FaultPlan::from(at, Fault::Short),
            FaultPlan::once(at, Fault::Interrupted),
        ];
        ways.extend(plans.map(|plan| Way {
            plan,
            lasts: false,
            is_harmless: true,
        }));
    }
    ways
}

/// Some of so many operations. The last ones are names more often than bytes: they are all there.
fn some(unsynced: usize) -> Vec<usize> {
    let step = unsynced.div_ceil(SINGLES).max(1);
    (0..unsynced)
        .step_by(step)
        .chain(unsynced.saturating_sub(SINGLES)..unsynced)
        .collect()
}

/// The directories at the root.
fn directories(disk: &SimStorage) -> Vec<String> {
    let entries = disk.read_dir(Path::new("/")).unwrap();
    entries.into_iter().map(|entry| entry.name).collect()
}

/// Every path of a disk, directories at the root too.
fn paths(disk: &SimStorage) -> Vec<String> {
    let mut paths: Vec<String> = disk
        .files()
        .keys()
        .map(|path| path.display().to_string())
        .collect();
    paths.extend(directories(disk));
    paths.sort();
    paths
}

//! Every call to the storage fails, once and from then on, in every way there is (the device, a
//! full disk, a used up quota; a write after a part of its work or all of it; a sync that gives up
//! what it was for), while transactions, checkpoints, replay, compaction and closing go on.
//!
//! How far the write came decides whether the engine goes on (W-12), not what was refused or why:
//! `ends_writing` says it by the calls alone, and holds in every case. After an error the engine
//! goes on as if nothing had been, or its snapshots still read and opening again decides. What was
//! acknowledged is there in any case, also when the power is lost right after the failure.

use std::io::ErrorKind;

use cimrepo::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};
use cimrepo::store::Engine;
use cimrepo::{Error, Result};

use crate::crashes::{Act, Told, at, check, commit, disk, names, names_after, put, read};
use crate::{still, verified};
use cimrepo::store::Durability::{Checkpoint, Journal, None as Later};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is refused.
    Refused,
    /// A transfer is cut or begun again, which no one notices.
    Harmless,
}

const REFUSALS: [Fault; 3] = [
    Fault::Io,
    Fault::Refused(ErrorKind::StorageFull),
    Fault::Refused(ErrorKind::QuotaExceeded),
];

fn ways(log: &[String], step: usize) -> Vec<(Kind, FaultPlan)> {
    let (at, operation) = (step as u64, &log[step]);
    let begins = |words: &[&str]| words.iter().any(|word| operation.starts_with(word));
    let mut plans: Vec<FaultPlan> = REFUSALS
        .into_iter()
        .map(|fault| FaultPlan::once(at, fault))
        .collect();
    // In turn, for each is as good as the others.
    let fault = REFUSALS[step % REFUSALS.len()];
    plans.push(FaultPlan::from(at, fault));
    if begins(&["write", "create", "lock", "set_len"]) {
        // What needs no room goes on.
        plans.push(FaultPlan::from(at, Fault::NoSpace));
    }
    if begins(&["write"]) {
        let both = [
            FaultPlan::once(at, fault),
            FaultPlan::from(at, fault),
            FaultPlan::from(at, Fault::NoSpace),
        ];
        plans.extend(both.clone().map(FaultPlan::transfer_first));
        plans.extend(both.map(FaultPlan::transfer_all));
    }
    // A system that gives up what it was to sync and shows it all the same is not to be outwitted
    // where a mapping is concerned: opening again believes the first sync (docs::invariants, W-12).
    if begins(&["sync"]) && !ends_writing(log, step) && !operation.contains("MAPPING") {
        plans.push(FaultPlan::once(at, fault).sync_loses());
    }
    let mut ways: Vec<_> = plans
        .into_iter()
        .map(|plan| (Kind::Refused, plan))
        .collect();
    if begins(&["read ", "write"]) {
        ways.push((Kind::Harmless, FaultPlan::from(at, Fault::Short)));
        ways.push((Kind::Harmless, FaultPlan::once(at, Fault::Interrupted)));
    }
    ways
}

/// W-12, by the calls alone: the engine writes nothing more after a refused sync of something that
/// is not written again. `step` is the call that failed.
fn ends_writing(log: &[String], step: usize) -> bool {
    let (call, before) = (&log[step], log[..step].last().map_or("", String::as_str));
    let is = |call: &str, what: &str, file: &str| call.starts_with(what) && call.contains(file);
    if call.starts_with("sync_dir") {
        // A journal that is being made is removed, with its name, and made again.
        return !is(before, "sync", ".journal");
    }
    if is(call, "sync", ".journal") {
        // The same; the header is what was written last.
        return !is(before, "write", " 0+64");
    }
    if is(call, "sync", "MAPPING") {
        // A mapping is written with a mark and synced, and written again after a failure; it counts
        // once the mark is gone, and the sync of that is the one that is not made again (W-19).
        let earlier = step.checked_sub(2).map_or("", |at| log[at].as_str());
        let is_anothers = before.starts_with("open for writing");
        return is_anothers
            || is(before, "write", "MAPPING")
                && before.ends_with(" 0+1")
                && is(earlier, "sync", "MAPPING");
    }
    // Pages of the next generation are written again. Those of one that another process wrote are
    // not.
    call.starts_with("sync") && before.starts_with("open for writing")
}

/// A history over a disk, and what the disk holds at first.
struct Scenario {
    name: &'static str,
    disk: SimStorage,
    before: Vec<String>,
    history: Vec<Act>,
}

/// What was counted.
#[derive(Debug, Default)]
struct Tally {
    runs: usize,
    refused: usize,
    poisoned: usize,
    images: usize,
}

/// A run with a fault in it.
struct Run<'s> {
    scenario: &'s Scenario,
    disk: SimStorage,
    /// The call that fails first.
    step: usize,
    kind: Kind,
    what: String,
    state: Vec<String>,
    tally: &'s mut Tally,
}

fn open(disk: &SimStorage) -> Result<Engine> {
    still().open_in(&at(disk))
}

impl Scenario {
    fn fail_everywhere(&self) -> Tally {
        let measured = self.disk.crash(CrashPolicy::KeepAll);
        let mut unused = Tally::default();
        let calls = self
            .start(
                &measured,
                (0, Kind::Harmless),
                "without fault".to_owned(),
                &mut unused,
            )
            .go();
        let log: Vec<String> = measured.operation_log().into_iter().take(calls).collect();
        let mut tally = Tally::default();
        for (step, operation) in log.iter().enumerate() {
            for (kind, plan) in ways(&log, step) {
                let disk = self.disk.crash(CrashPolicy::KeepAll);
                disk.set_plan(plan.clone());
                tally.runs += 1;
                let (way, what) = (
                    (step, kind),
                    format!("{}: {operation}: {plan:?}", self.name),
                );
                self.start(&disk, way, what, &mut tally).go();
                assert!(
                    disk.faults_struck() > 0,
                    "{}: {operation}: {plan:?} did not strike",
                    self.name
                );
            }
        }
        println!("{}: {} calls, {tally:?}", self.name, log.len());
        tally
    }

    fn start<'s>(
        &'s self,
        disk: &SimStorage,
        (step, kind): (usize, Kind),
        what: String,
        tally: &'s mut Tally,
    ) -> Run<'s> {
        Run {
            scenario: self,
            disk: disk.clone(),
            step,
            kind,
            what,
            state: self.before.clone(),
            tally,
        }
    }
}

impl Run<'_> {
    /// Gives the number of calls that may fail.
    fn go(mut self) -> usize {
        let mut engine = self.opened();
        for act in &self.scenario.history {
            engine = self.act(engine, act);
        }
        if let Err(error) = engine.close() {
            self.failed(&error);
            self.look(&self.state.clone());
            self.opened().close().unwrap();
        }
        let calls = usize::try_from(self.disk.operations()).unwrap();
        self.disk.set_plan(FaultPlan::none());
        let disk = self.disk.crash(CrashPolicy::DropAll);
        let end = still().open_in(&at(&disk)).unwrap();
        assert_eq!(names(&end), self.state, "{}", self.what);
        drop(end);
        read(&self.disk);
        calls
    }

    /// Opens the engine; where the fault strikes there, again.
    fn opened(&mut self) -> Engine {
        // What it holds is looked at when the fault is over, for looking at it reads.
        open(&self.disk).unwrap_or_else(|error| {
            self.failed(&error);
            self.look(&self.state.clone());
            let engine =
                open(&self.disk).unwrap_or_else(|error| panic!("{}: then: {error}", self.what));
            assert_eq!(names(&engine), self.state, "{}", self.what);
            engine
        })
    }

    /// Notes a failure: the fault is over.
    fn failed(&mut self, error: &Error) {
        assert!(
            self.kind != Kind::Harmless && self.disk.faults_struck() > 0,
            "{}: {error}",
            self.what
        );
        assert!(
            !matches!(error, Error::Corrupt(_) | Error::InvalidArgument(_)),
            "{}: {error}",
            self.what
        );
        self.disk.set_plan(FaultPlan::none());
        self.tally.refused += 1;
    }

    /// What the disk holds if the power is lost now.
    fn look(&mut self, next: &[String]) {
        let told = Told {
            allowed: vec![self.state.clone(), next.to_vec()],
        };
        // In turn: the same moment comes again with the next fault.
        let policies = [
            CrashPolicy::DropAll,
            CrashPolicy::KeepAll,
            CrashPolicy::Seeded(self.tally.images as u64),
        ];
        for policy in &policies[self.tally.images % policies.len()..][..1] {
            self.tally.images += 1;
            check(
                &self.disk.crash(*policy),
                &told,
                &format!("{}, then {policy:?}", self.what),
            );
        }
    }

    fn act(&mut self, engine: Engine, act: &Act) -> Engine {
        let next = names_after(&self.state, act);
        let before = engine.snapshot();
        if let Act::Reopen = act {
            drop(before);
            if let Err(error) = engine.close() {
                self.failed(&error);
                self.look(&next);
            }
            return self.opened();
        }
        let Err(error) = commit(&engine, act) else {
            self.state = next;
            return engine;
        };
        let log = self.disk.operation_log();
        // A journal that is not needed any more may stay: no one fails because it cannot be
        // removed.
        let refused = (self.step..log.len())
            .find(|&call| !log[call].starts_with("remove_file"))
            .unwrap();
        self.failed(&error);
        assert_eq!(
            crate::keys(&before).len(),
            self.state.len(),
            "{}: the snapshot before",
            self.what
        );
        verified(&before);
        self.look(&next);
        let ends = ends_writing(&log, refused);
        match engine.begin_write().map(drop) {
            Ok(()) => assert!(!ends, "{}: {}: {error}", self.what, log[refused]),
            Err(Error::Poisoned(_)) => {
                assert!(ends, "{}: {}: {error}", self.what, log[refused]);
                self.tally.poisoned += 1;
                verified(&engine.snapshot());
                assert!(matches!(engine.checkpoint(), Err(Error::Poisoned(_))));
                drop((engine, before));
                return self.reopened(act, next);
            }
            Err(other) => panic!("{}: {error}, then {other}", self.what),
        }
        assert_eq!(
            names(&engine),
            self.state,
            "{}: a commit that was refused",
            self.what
        );
        self.again(&engine, act, next);
        engine
    }

    /// Opening decides whether the commit counts; if not it is made again.
    fn reopened(&mut self, act: &Act, next: Vec<String>) -> Engine {
        let engine =
            open(&self.disk).unwrap_or_else(|error| panic!("{}: reopening: {error}", self.what));
        let found = names(&engine);
        verified(&engine.snapshot());
        if found == next {
            self.state = next;
        } else {
            assert_eq!(found, self.state, "{}", self.what);
            self.again(&engine, act, next);
        }
        engine
    }

    fn again(&mut self, engine: &Engine, act: &Act, next: Vec<String>) {
        commit(engine, act).unwrap_or_else(|error| panic!("{}: again: {error}", self.what));
        self.state = next;
        assert_eq!(names(engine), self.state, "{}", self.what);
    }
}

fn first() -> Vec<String> {
    vec!["NS_0\\FIRST".to_owned()]
}

#[test]
fn every_call_fails_during_commits_and_checkpoints() {
    let history = vec![
        put("NS_0\\CD_A", 100, Journal),
        // More than the room that the journal makes ahead.
        put("NS_0\\CD_B", 300_000, Journal),
        Act::Checkpoint,
        put("NS_0\\CD_C", 9_000, Journal),
        Act::Remove("NS_0\\CD_A".to_owned()),
        put("NS_0\\CD_D", 500, Checkpoint),
        Act::Reopen,
        Act::Remove("NS_0\\CD_B".to_owned()),
        put("NS_0\\CD_E", 100, Checkpoint),
    ];
    let scenario = Scenario {
        name: "commits",
        disk: disk(),
        before: first(),
        history,
    };
    let tally = scenario.fail_everywhere();
    assert!(
        tally.runs > 500 && tally.refused > 300 && tally.poisoned > 50,
        "{tally:?}"
    );
}

#[test]
fn every_call_fails_during_compaction() {
    let history = vec![
        put("NS_0\\CD_A", 100, Journal),
        put("NS_0\\CD_B", 40_000, Checkpoint),
        put("NS_0\\CD_C", 9_000, Journal),
        Act::Remove("NS_0\\CD_B".to_owned()),
        Act::Compact,
        put("NS_0\\CD_D", 500, Journal),
    ];
    let scenario = Scenario {
        name: "compaction",
        disk: disk(),
        before: first(),
        history,
    };
    let tally = scenario.fail_everywhere();
    assert!(
        tally.runs > 500 && tally.refused > 300 && tally.poisoned > 50,
        "{tally:?}"
    );
}

#[test]
fn every_call_fails_during_replay() {
    let disk = disk();
    let engine = open(&disk).unwrap();
    let (a, b) = (
        put("NS_0\\CD_A", 100, Journal),
        put("NS_0\\CD_B", 12_000, Journal),
    );
    commit(&engine, &a).unwrap();
    commit(&engine, &b).unwrap();
    let died = disk.crash(CrashPolicy::KeepAll);
    drop(engine);
    let before = names_after(&names_after(&first(), &a), &b);
    let history = vec![put("NS_0\\CD_C", 100, Journal), Act::Reopen];
    let tally = Scenario {
        name: "replay",
        disk: died,
        before,
        history,
    }
    .fail_everywhere();
    assert!(tally.runs > 150 && tally.refused > 80, "{tally:?}");
}

#[test]
fn commits_that_wait_for_the_next_checkpoint_are_lost_together_and_only_then() {
    // Those are acknowledged without being durable: what the engine shows is asserted, what a crash
    // leaves is in `crashes`.
    let disk = disk();
    let engine = open(&disk).unwrap();
    commit(&engine, &put("NS_0\\CD_A", 100, Later)).unwrap();
    disk.set_plan(FaultPlan::from(disk.operations(), Fault::NoSpace));
    assert!(engine.checkpoint().is_err());
    commit(&engine, &put("NS_0\\CD_B", 100, Later)).unwrap();
    let refused = commit(&engine, &put("NS_0\\CD_C", 100, Journal));
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
    disk.set_plan(FaultPlan::none());
    commit(&engine, &put("NS_0\\CD_D", 100, Journal)).unwrap();
    let expected = ["NS_0\\CD_A", "NS_0\\CD_B", "NS_0\\CD_D", "NS_0\\FIRST"];
    assert_eq!(names(&engine), expected);
    drop(engine);
    assert_eq!(
        names(&open(&disk.crash(CrashPolicy::DropAll)).unwrap()),
        expected
    );
}

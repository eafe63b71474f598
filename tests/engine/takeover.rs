//! A process dies at a step of its work, and the machine goes on: what it wrote and did not sync is read by the next process as
//! if it were durable. That one takes over, and then the power goes.
//!
//! What the first one acknowledged is there all the same, and what the second one did.

use cimrepo::Result;
use cimrepo::engine::Durability::Journal;
use cimrepo::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};

use crate::crashes::{Act, Seen, Told, at, commit, disk, names, names_after, policies, put, run};
use crate::still;

/// Runs a history of a process that dies at its step `step`: of its calls from there on none reaches the system.
fn die(start: &SimStorage, history: &[Act], step: u64) -> (SimStorage, Told) {
    let disk = start.crash(CrashPolicy::KeepAll);
    disk.set_plan(FaultPlan::from(step, Fault::Io));
    let mut told = Told::default();
    run(&disk, &still(), history, &mut told).ok();
    disk.set_plan(FaultPlan::none());
    (disk, told)
}

/// The next process opens the repository, in which it finds `found`, and does one thing; `told` is what may be there at each
/// moment.
fn take_over(disk: &SimStorage, found: &[String], act: &Act, told: &mut Told) -> Result<()> {
    let engine = still().open_in(&at(disk))?;
    told.allowed.push(names_after(found, act));
    commit(&engine, act)?;
    // What was found was perhaps not durable; what is acknowledged on top of it makes it so.
    told.allowed = vec![names_after(found, act)];
    engine.close()
}

/// The process dies at the first call behind the last `from` that begins with `call`; the power goes at each step of the next.
fn lose_power_behind_a_death(name: &str, history: &[Act], [from, call]: [&str; 2]) {
    let (start, act) = (disk(), put("NS_0\\CD_Z", 200, Journal));
    let measured = start.crash(CrashPolicy::KeepAll);
    run(&measured, &still(), history, &mut Told::default()).unwrap();
    let log = measured.operation_log();
    let place = |begin: &str, first: usize| log[first..].iter().position(|line| line.starts_with(begin));
    let first = place(from, 0).unwrap_or_else(|| panic!("{from} is not in {log:#?}"));
    let step = (first + place(call, first).unwrap_or_else(|| panic!("{call} is not in {log:#?}"))) as u64;
    let (measured, mut told) = die(&start, history, step);
    let first = measured.operations();
    let found = names(&still().open_in(&at(&measured.crash(CrashPolicy::KeepAll))).unwrap());
    assert!(told.allowed.contains(&found), "{found:?} is none of {:?}", told.allowed);
    take_over(&measured, &found, &act, &mut told).unwrap();
    let mut seen = Seen::default();
    for later in first..=measured.operations() {
        let (disk, mut told) = die(&start, history, step);
        disk.set_plan(FaultPlan::once(later, Fault::PowerOff));
        take_over(&disk, &found, &act, &mut told).ok();
        for policy in policies(&disk) {
            seen.check(&disk.crash(policy), &told, || format!("{name}: power lost at {later}, {policy:?}"));
        }
    }
    println!("{name}: {} images, {} distinct", seen.images, seen.hashes.len());
    assert!(seen.hashes.len() > 20);
}

/// Its header is whole, and nothing says that its name outlasts a loss of power.
#[test]
fn a_journal_whose_name_is_not_durable_goes_on() {
    let history = [put("NS_0\\CD_A", 100, Journal)];
    lose_power_behind_a_death("a journal without a durable name", &history, ["write /r/cimrepo-", "sync_dir"]);
}

/// The mapping is whole, and was not synced: as long as it is not, the journal of the generation before holds the commits.
#[test]
fn a_generation_that_is_not_durable_replaces_no_journal() {
    let history = [put("NS_0\\CD_A", 100, Journal), Act::Checkpoint];
    lose_power_behind_a_death("a generation that was not synced", &history, ["write /r/MAPPING", "sync"]);
}

/// W-13: what is written into a journal must not show under a name that someone gave it.
#[cfg(unix)]
#[test]
fn a_journal_with_other_names_is_not_gone_on_with() {
    use std::fs;

    use cimrepo::repository::BulkBuilder;
    use cimrepo::storage::Directory;

    let place = tempfile::tempdir().unwrap();
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    let mut builder = BulkBuilder::create_seeded(Directory::real(&first), 1).unwrap();
    builder.key(b"NS_0\\FIRST", None).unwrap();
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
    let is_journal = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "journal");
    let journal = fs::read_dir(&second).unwrap().map(|entry| entry.unwrap().path()).find(is_journal).unwrap();
    let kept = place.path().join("kept");
    fs::hard_link(&journal, &kept).unwrap();
    let bytes = fs::read(&kept).unwrap();
    for is_link in [false, true] {
        if is_link {
            fs::remove_file(&journal).unwrap();
            std::os::unix::fs::symlink(&kept, &journal).unwrap();
        }
        let error = still().open(&second).unwrap_err();
        assert!(matches!(error, cimrepo::Error::InvalidArgument(_)), "{error}");
        assert_eq!(fs::read(&kept).unwrap(), bytes);
    }
    fs::remove_file(&journal).unwrap();
    fs::copy(&kept, &journal).unwrap();
    assert_eq!(names(&still().open(&second).unwrap()), ["NS_0\\CD_A", "NS_0\\FIRST"]);
}

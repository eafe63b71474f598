//! No thread of the library outlives what started it: a program that unloads the module next, as
//! COM does with DLLs, leaves no thread in it. In a process of its own, because all its threads are
//! counted.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cimrepo::base::progress::Unobserved;
use cimrepo::service::{
    BackupAndRestore, BackupRestoreFlags, ServiceOptions, Standby, StandbyObject, Trusted,
};
use cimrepo::storage::Directory;
use cimrepo::store::BulkBuilder;

/// The flag of a thread that is past the last line of its program (`PF_EXITING` of Linux): who
/// waited for its end goes on a little before the system has forgotten it.
const EXITING: u64 = 4;

/// Threads of this process that may still run code.
fn threads() -> usize {
    let runs = |stat: String| {
        let numbers = stat.rsplit_once(") ").unwrap().1;
        let flags: u64 = numbers.split(' ').nth(6).unwrap().parse().unwrap();
        flags & EXITING == 0
    };
    let entries = fs::read_dir("/proc/self/task").unwrap();
    let stats = entries.map(|entry| fs::read_to_string(entry.unwrap().path().join("stat")));
    // One that is gone by now cannot be read.
    stats.flatten().filter(|stat| runs(stat.clone())).count()
}

const ROUNDS: usize = 30;
const LEASE: Duration = Duration::from_millis(5);
const STEP: Duration = Duration::from_micros(150);

fn object(standby: &Standby) -> StandbyObject {
    standby.backup_restore_as(Arc::new(Trusted))
}

#[test]
fn nothing_leaves_a_thread_behind() {
    let place = tempfile::tempdir().unwrap();
    let repository = place.path().join("repository");
    fs::create_dir(&repository).unwrap();
    let mut builder = BulkBuilder::create(Directory::real(&repository)).unwrap();
    builder.key(b"NS_0\\FIRST", None).unwrap();
    builder.finish().unwrap();
    let at_first = threads();
    objects_of_a_standby(&repository, at_first);
    leases_that_run_out(&repository, at_first);
    objects_of_a_service(&repository, at_first);
}

fn objects_of_a_standby(repository: &Path, at_first: usize) {
    let standby = Standby::new(repository);
    for round in 0..ROUNDS {
        let made = object(&standby);
        made.pause_now().unwrap();
        assert!(
            threads() > at_first,
            "a pause has threads: else nothing is counted here"
        );
        made.end_pause().unwrap();
        assert_eq!(threads(), at_first, "after a resume, round {round}");
        made.pause_now().unwrap();
        drop(made);
        assert_eq!(
            threads(),
            at_first,
            "after a release while paused, round {round}"
        );
    }
    let made = object(&standby);
    made.back_up_to(
        &repository.with_extension("cimbak"),
        BackupRestoreFlags::empty(),
        &Unobserved,
    )
    .unwrap();
    assert_eq!(threads(), at_first, "after a backup");
    made.restore_from(
        &repository.with_extension("cimbak"),
        BackupRestoreFlags::empty(),
        &Unobserved,
    )
    .unwrap();
    assert_eq!(threads(), at_first, "after a restore");
}

/// The release comes before, while and after the lease's thread closes the repository.
fn leases_that_run_out(repository: &Path, at_first: usize) {
    let standby = Standby::with_lease(&Directory::real(repository), LEASE);
    for round in 0..u32::try_from(ROUNDS).unwrap() {
        let made = object(&standby);
        made.pause_now().unwrap();
        // From a little before to a good while after, in steps shorter than closing takes.
        thread::sleep(LEASE * 4 / 5 + STEP * round);
        drop(made);
        assert_eq!(
            threads(),
            at_first,
            "after a release about when the lease runs out, round {round}"
        );
    }
    let made = object(&standby);
    for round in 0..ROUNDS {
        made.pause_now().unwrap();
        thread::sleep(LEASE * 2);
        // Whether it was in time does not matter here.
        made.end_pause().ok();
        if round % 2 == 1 {
            made.pause_now().unwrap();
            made.end_pause().ok();
        }
    }
    drop(made);
    assert_eq!(threads(), at_first, "after the leases of one object");
}

fn objects_of_a_service(repository: &Path, at_first: usize) {
    for round in 0..ROUNDS {
        let service = ServiceOptions::new()
            .lease(LEASE * 100)
            .open(repository)
            .unwrap();
        let made = service.backup_restore();
        made.pause().unwrap();
        if round % 2 == 0 {
            service.close().unwrap();
            assert_eq!(
                threads(),
                at_first,
                "after a close while paused, round {round}"
            );
        } else {
            drop(service);
            drop(made);
            assert_eq!(threads(), at_first, "after the last handle, round {round}");
        }
    }
}

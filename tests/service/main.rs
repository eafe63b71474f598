//! A repository in use: pause, resume, backup and restore beneath clients at work.
//! `cimrepo::docs::contract` says which test shows which requirement.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod authority;
mod backing_up;
mod contract;
#[cfg(feature = "sim")]
mod faults;
mod namespaces;
mod options;
mod pausing;
mod proof;
mod restoring;
mod standby;
mod stress;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tracing")]
mod traced;
mod twins;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cimrepo::base::error::HResult;
use cimrepo::base::progress::Unobserved;
use cimrepo::service::{BackupRestore, BackupRestoreFlags, Connection, Service, ServiceOptions};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::EngineOptions;
use cimrepo::store::{BulkBuilder, OpenOptions, Snapshot};
use cimrepo::verify::{VerifyOptions, verify};
use cimrepo::{Direction, Error, KeyRange, Result};

const NONE: BackupRestoreFlags = BackupRestoreFlags::empty();
const FORCE: BackupRestoreFlags = BackupRestoreFlags::FORCE_SHUTDOWN;

/// Where the repository is.
const PLACE: &str = "/r";

/// Options under which nothing happens by itself.
fn still() -> EngineOptions {
    EngineOptions::new()
        .background(false)
        .checkpoint_at(u64::MAX, Duration::MAX)
}

/// Puts a repository with one record into a storage.
fn found(storage: &dyn Storage, directory: &Directory) {
    storage.create_dir(Path::new(PLACE)).unwrap();
    storage.sync_dir(Path::new("/")).unwrap();
    let mut builder = BulkBuilder::create_seeded(directory.clone(), 1).unwrap();
    let record = builder.record(b"the first").unwrap();
    builder.key(b"NS_0\\FIRST", Some(record)).unwrap();
    builder.finish().unwrap();
}

/// A repository in memory.
fn place() -> (MemStorage, Directory) {
    let storage = MemStorage::new();
    let directory = Directory::new(Arc::new(storage.clone()), PLACE);
    found(&storage, &directory);
    (storage, directory)
}

/// It, in use.
fn serve(options: ServiceOptions) -> (MemStorage, Service) {
    let (storage, directory) = place();
    (
        storage,
        options.engine(still()).open_in(&directory).unwrap(),
    )
}

/// It, with pauses that end soon enough for a test that fails to end.
fn service() -> (MemStorage, Service) {
    serve(ServiceOptions::new().lease(Duration::from_secs(20)))
}

/// Stores a record of so many bytes under a name.
fn put(connection: &Connection, name: &str, size: usize) -> Result<()> {
    let mut transaction = connection.begin_write()?;
    let record = transaction.insert_record(&vec![u8::try_from(size % 251).unwrap(); size])?;
    assert!(transaction.insert_key(format!("NS_0\\{name}.{record}").as_bytes())?);
    transaction.commit()
}

fn name_of_key(key: &str) -> String {
    key.trim_start_matches("NS_0\\")
        .split('.')
        .next()
        .unwrap()
        .to_owned()
}

/// The names in a state; `FIRST` is in all of them.
fn names(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .keys(KeyRange::all(), Direction::Forward)
        .map(|key| name_of_key(&key.unwrap().to_string()))
        .collect()
}

/// What a reader finds in a directory that knows nothing of engines; it is clean.
fn read(directory: &Directory) -> Snapshot {
    let repository = OpenOptions::new().open_in(directory).unwrap();
    assert!(
        repository.is_whole() && repository.refused().is_empty(),
        "{:?}",
        repository.refused()
    );
    let options = VerifyOptions {
        all_generations: true,
        ..VerifyOptions::default()
    };
    let report = verify(&repository, options, &Unobserved).unwrap();
    assert!(report.is_consistent(), "{report:?}");
    repository.snapshot()
}

/// The files of the directory, by name.
fn files(storage: &MemStorage) -> Vec<(String, Vec<u8>)> {
    let entries = storage.read_dir(Path::new(PLACE)).unwrap();
    let mut files: Vec<_> = entries
        .into_iter()
        .map(|entry| {
            (
                entry.name.clone(),
                storage.get(Path::new(PLACE).join(entry.name)).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

/// A copy of the directory, every file of it, somewhere else.
fn copy(storage: &MemStorage) -> Directory {
    let copy = MemStorage::new();
    copy.create_dir(Path::new("/copy")).unwrap();
    for (name, bytes) in files(storage) {
        copy.put(Path::new("/copy").join(name), bytes);
    }
    Directory::new(Arc::new(copy), "/copy")
}

/// Asserts what a COM caller would see.
fn fails<T: std::fmt::Debug>(result: Result<T>, code: u32) -> Error {
    let error = result.expect_err("it is refused");
    assert_eq!(error.hresult(), HResult(code), "{error}");
    error
}

const ACCESS_DENIED: u32 = 0x8004_1003;
const INVALID_PARAMETER: u32 = 0x8004_1008;
const ENCRYPTION_REQUIRED: u32 = 0x8004_1087;
const INVALID_OBJECT: u32 = 0x8004_100F;
const CRITICAL_ERROR: u32 = 0x8004_100A;
const INVALID_OPERATION: u32 = 0x8004_1016;
const SHUTTING_DOWN: u32 = 0x8004_1033;
const WINMGMT_RUNNING: u32 = 0x8004_1060;
const TIMED_OUT: u32 = 0x8004_1069;
const VER_MISMATCH: u32 = 0x8004_1078;
const DISCONNECTED: u32 = 0x8001_0108;

/// Waits until something is so: what another thread is about to do.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what} does not come"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_closed_repository_says_so_on_every_handle() {
    let (storage, service) = service();
    let (connection, object) = (service.connect().unwrap(), service.backup_restore());
    let mut enumeration = connection
        .keys(KeyRange::all(), Direction::Forward)
        .unwrap();
    let mut open = connection.begin_write().unwrap();
    open.insert_key(b"NS_0\\LOST").unwrap();
    let view = connection.view().unwrap();
    service.close().unwrap();
    fails(connection.view(), SHUTTING_DOWN);
    fails(connection.begin_write(), SHUTTING_DOWN);
    fails(view.find(b"N"), SHUTTING_DOWN);
    fails(open.commit(), SHUTTING_DOWN);
    fails(enumeration.next().unwrap(), SHUTTING_DOWN);
    assert!(enumeration.next().is_none());
    fails(object.pause(), SHUTTING_DOWN);
    fails(object.resume(), INVALID_OPERATION);
    fails(object.backup("/b", NONE), SHUTTING_DOWN);
    fails(object.restore("/b", FORCE), SHUTTING_DOWN);
    // Nothing is locked, nothing is left, and what was not committed is not there.
    let names_left: Vec<String> = files(&storage).into_iter().map(|(name, _)| name).collect();
    assert!(
        !names_left.iter().any(|name| name.contains("cimrepo")),
        "{names_left:?}"
    );
    let directory = Directory::new(Arc::new(storage), PLACE);
    assert_eq!(names(&read(&directory)), ["FIRST"]);
    let again = Service::close(ServiceOptions::new().open_in(&directory).unwrap());
    again.unwrap();
}

#[test]
fn a_close_wakes_those_who_wait_and_ends_a_pause() {
    let (_, service) = service();
    let (object, other) = (service.backup_restore(), service.backup_restore());
    let connection = service.connect().unwrap();
    object.pause().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| connection.begin_write().map(drop));
        let pauser = scope.spawn(|| other.pause());
        until("the wait", || {
            service.activity().waiting_writers == 1 && service.activity().waiting_pauses == 1
        });
        service.close().unwrap();
        fails(writer.join().unwrap(), SHUTTING_DOWN);
        fails(pauser.join().unwrap(), SHUTTING_DOWN);
    });
    fails(object.resume(), INVALID_OPERATION);
}

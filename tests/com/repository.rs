//! The object over a repository on disk.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cimrepo::base::progress::Unobserved;
use cimrepo::com::{Hosted, IClassFactory, IWbemBackupRestoreEx, class_factory};
use cimrepo::format::security::sid::Sid;
use cimrepo::security::{AuthenticationLevel, Caller, Privileges};
use cimrepo::service::{ServiceOptions, Standby};
use cimrepo::storage::Directory;
use cimrepo::store::Engine;
use cimrepo::store::{BulkBuilder, Repository};
use cimrepo::verify::{VerifyOptions, verify};
use cimrepo::{Direction, Error, KeyRange};

use crate::host::{Changing, DiskHost, caller, user};
use crate::{
    ACCESS_DENIED, CRITICAL_ERROR, DISCONNECTED, INVALID_OPERATION, INVALID_PARAMETER, S_OK,
    SHUTTING_DOWN, WINMGMT_RUNNING, code, object, wide,
};

/// A repository with this many keys.
fn build(directory: &Path, keys: u32) {
    fs::create_dir(directory).unwrap();
    let mut builder = BulkBuilder::create_seeded(Directory::real(directory), 7).unwrap();
    for number in 0..keys {
        let record = builder
            .record(format!("record {number}").repeat(50).as_bytes())
            .unwrap();
        builder
            .key(
                format!("NS_{}\\CD_{number:064}", number / 10).as_bytes(),
                Some(record),
            )
            .unwrap();
    }
    builder.finish().unwrap();
}

/// How many keys there are, in a repository that is consistent.
fn keys(directory: &Path) -> usize {
    let repository = Repository::open_read_only(directory).unwrap();
    assert!(
        verify(&repository, VerifyOptions::default(), &Unobserved)
            .unwrap()
            .is_consistent()
    );
    repository
        .snapshot()
        .keys(KeyRange::prefix(b""), Direction::Forward)
        .count()
}

fn factory(standby: Standby) -> (Changing, IClassFactory) {
    let callers = Changing::new();
    (
        callers.clone(),
        class_factory(Arc::new(DiskHost { standby, callers })),
    )
}

fn served(directory: &Path) -> (Changing, IWbemBackupRestoreEx) {
    let (callers, factory) = factory(Standby::new(directory));
    (callers, object(&factory))
}

fn pause(object: &IWbemBackupRestoreEx) -> u32 {
    // SAFETY: the call takes no pointer.
    code(unsafe { object.Pause() })
}

fn resume(object: &IWbemBackupRestoreEx) -> u32 {
    // SAFETY: as above.
    code(unsafe { object.Resume() })
}

fn backup(object: &IWbemBackupRestoreEx, to: &Path, flags: i32) -> u32 {
    let to = wide(to);
    // SAFETY: the path ends with a zero.
    code(unsafe { object.Backup(to.as_ptr(), flags) })
}

fn restore(object: &IWbemBackupRestoreEx, from: &Path, flags: i32) -> u32 {
    let from = wide(from);
    // SAFETY: the path ends with a zero.
    code(unsafe { object.Restore(from.as_ptr(), flags) })
}

#[test]
fn what_was_backed_up_comes_back() {
    let temp = tempfile::tempdir().unwrap();
    let [first, second, file] =
        ["first", "second", "Снимок.cimbak"].map(|name| temp.path().join(name));
    build(&first, 40);
    build(&second, 15);
    let (_, one) = served(&first);
    assert_eq!(backup(&one, &file, 0), S_OK);
    let (_, other) = served(&second);
    for flags in [0, 1] {
        assert_eq!(restore(&other, &file, flags), S_OK);
        assert_eq!(keys(&second), keys(&first));
    }
    assert_eq!(backup(&other, &file, 0), S_OK, "the object goes on");

    // Into a place where there is nothing.
    let third = temp.path().join("third");
    assert_eq!(restore(&served(&third).1, &file, 0), S_OK);
    assert_eq!(keys(&third), keys(&first));
}

#[test]
fn what_is_refused_changes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let [place, file, other] =
        ["place", "file.cimbak", "other.cimbak"].map(|name| temp.path().join(name));
    build(&place, 20);
    let (_, made) = served(&place);
    assert_eq!(backup(&made, &file, 0), S_OK);
    let before = fs::read(place.join("INDEX.BTR")).unwrap();
    for flags in [1, 2, i32::MIN, -1] {
        assert_eq!(backup(&made, &other, flags), INVALID_PARAMETER);
    }
    for flags in [2, 3, i32::MIN, -1] {
        assert_eq!(restore(&made, &file, flags), INVALID_PARAMETER);
    }
    assert_eq!(backup(&made, temp.path(), 0), INVALID_PARAMETER);
    assert_eq!(
        backup(&made, &temp.path().join("none/x"), 0) & 0xFFFF_0000,
        0x8007_0000
    );
    assert_eq!(restore(&made, &other, 0), 0x8007_0002);
    assert_eq!(
        restore(&made, &place.join("INDEX.BTR"), 0),
        INVALID_PARAMETER
    );
    let bytes = fs::read(&file).unwrap();
    fs::write(&other, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(restore(&made, &other, 1), CRITICAL_ERROR);
    assert!(fs::read(place.join("INDEX.BTR")).unwrap() == before);
    let mut left: Vec<_> = fs::read_dir(temp.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["file.cimbak", "other.cimbak", "place"]);
}

#[test]
fn each_call_needs_its_privilege() {
    let temp = tempfile::tempdir().unwrap();
    let [place, file] = ["place", "file.cimbak"].map(|name| temp.path().join(name));
    build(&place, 20);
    let (callers, made) = served(&place);
    let [none, by_backup, by_restore] =
        [Privileges::empty(), Privileges::BACKUP, Privileges::RESTORE];
    for (privileges, may_back_up, may_restore) in [
        (none, ACCESS_DENIED, ACCESS_DENIED),
        (by_backup, S_OK, ACCESS_DENIED),
        (by_restore, S_OK, S_OK),
    ] {
        callers.is_now(Some(caller(privileges)));
        assert_eq!(backup(&made, &file, 0), may_back_up, "{privileges:?}");
        assert_eq!(restore(&made, &file, 1), may_restore, "{privileges:?}");
        assert_eq!(file.exists(), may_back_up == S_OK);
    }
    assert_eq!(
        (pause(&made), resume(&made)),
        (ACCESS_DENIED, ACCESS_DENIED)
    );
    callers.is_now(Some(caller(by_backup)));
    assert_eq!(resume(&made), INVALID_OPERATION);
    // From another machine ROOT has to give the right to write: this one says nothing, and is taken
    // for a new one, which gives it to administrators alone.
    let remote = Caller::remote(user(), AuthenticationLevel::PacketPrivacy)
        .holding(by_backup)
        .enabling(by_backup);
    for nobody in [
        Some(remote.clone()),
        Some(caller(none).holding(by_backup)),
        None,
    ] {
        callers.is_now(nobody);
        assert_eq!(
            (pause(&made), resume(&made)),
            (ACCESS_DENIED, ACCESS_DENIED)
        );
    }
    callers.is_now(Some(remote.in_groups([Sid::ADMINISTRATORS])));
    assert_eq!((pause(&made), resume(&made)), (S_OK, S_OK));
    callers.is_now(None);
    assert_eq!(
        backup(&made, &file, 0),
        ACCESS_DENIED,
        "whoever cannot be recognised is refused"
    );
}

/// The files of a directory that are the repository's, with their bytes.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let names = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| !name.contains("lock"));
    let mut files: Vec<_> = names
        .map(|name| (name.clone(), fs::read(directory.join(name)).unwrap()))
        .collect();
    files.sort();
    files
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what} does not come"
        );
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_pause_of_files_that_nobody_has_open_locks_them() {
    let temp = tempfile::tempdir().unwrap();
    let [place, file] = ["place", "file.cimbak"].map(|name| temp.path().join(name));
    build(&place, 20);
    let (_, factory) = factory(Standby::new(&place));
    let [owner, other] = [object(&factory), object(&factory)];
    assert_eq!(
        (resume(&owner), resume(&other)),
        (INVALID_OPERATION, INVALID_OPERATION)
    );
    assert_eq!(pause(&owner), S_OK);
    let held = files(&place);
    assert_eq!(
        (pause(&owner), pause(&other), resume(&other)),
        (INVALID_OPERATION, INVALID_OPERATION, INVALID_OPERATION)
    );
    assert!(
        matches!(Engine::open(&place), Err(Error::Locked { .. })),
        "others do not write"
    );
    for object in [&owner, &other] {
        assert_eq!(backup(object, &file, 0), S_OK);
        assert_eq!(
            (restore(object, &file, 0), restore(object, &file, 1)),
            (INVALID_OPERATION, INVALID_OPERATION)
        );
    }
    assert_eq!(files(&place), held, "not one byte changes");
    assert_eq!((resume(&owner), resume(&owner)), (S_OK, INVALID_OPERATION));
    drop(Engine::open(&place).unwrap());
    assert_eq!((pause(&other), pause(&owner)), (S_OK, INVALID_OPERATION));
    drop(owner);
    assert!(
        matches!(Engine::open(&place), Err(Error::Locked { .. })),
        "one that does not hold may go"
    );
    drop(other);
    drop(Engine::open(&place).unwrap());
    let third = object(&factory);
    assert_eq!(
        (restore(&third, &file, 0), pause(&third), resume(&third)),
        (S_OK, S_OK, S_OK)
    );
    assert_eq!(keys(&place), 20);
}

#[test]
fn a_repository_that_another_has_open_is_backed_up_and_else_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    let [place, file] = ["place", "file.cimbak"].map(|name| temp.path().join(name));
    build(&place, 20);
    let engine = Engine::open(&place).unwrap();
    let (_, made) = served(&place);
    assert_eq!(backup(&made, &file, 0), S_OK);
    assert_eq!(
        (pause(&made), resume(&made)),
        (INVALID_OPERATION, INVALID_OPERATION)
    );
    assert_eq!(
        (restore(&made, &file, 0), restore(&made, &file, 1)),
        (INVALID_OPERATION, INVALID_OPERATION)
    );
    engine.close().unwrap();
    assert_eq!(
        (pause(&made), resume(&made), restore(&made, &file, 0)),
        (S_OK, S_OK, S_OK)
    );
}

#[test]
fn a_lease_that_runs_out_gives_the_files_back() {
    let temp = tempfile::tempdir().unwrap();
    let place = temp.path().join("place");
    build(&place, 20);
    let lease = Duration::from_millis(300);
    let (_, factory) = factory(Standby::with_lease(&Directory::real(&place), lease));
    let [owner, other] = [object(&factory), object(&factory)];
    let start = Instant::now();
    assert_eq!((pause(&owner), pause(&other)), (S_OK, INVALID_OPERATION));
    // Nobody calls: the lock is given back by itself.
    until("the lock", || Engine::open(&place).is_ok());
    assert!(start.elapsed() >= lease);
    assert_eq!(
        resume(&owner),
        INVALID_OPERATION,
        "so it learns that its copy is worth nothing"
    );
    assert_eq!((pause(&owner), pause(&other)), (S_OK, INVALID_OPERATION));
    // One that is quicker than the thread finds the lease over as well; the next pause is not ended
    // by what is left of the last.
    until("the other's turn", || pause(&other) == S_OK);
    assert_eq!(
        (pause(&owner), resume(&owner)),
        (INVALID_OPERATION, INVALID_OPERATION)
    );
    assert_eq!(resume(&other), S_OK);
}

#[test]
fn what_is_damaged_is_set_aside_by_a_restore() {
    let temp = tempfile::tempdir().unwrap();
    let [place, file] = ["place", "file.cimbak"].map(|name| temp.path().join(name));
    build(&place, 20);
    let (_, made) = served(&place);
    assert_eq!(backup(&made, &file, 0), S_OK);
    fs::write(place.join("INDEX.BTR"), vec![7; 4 * 8192]).unwrap();
    assert_eq!(backup(&made, &temp.path().join("none"), 0), CRITICAL_ERROR);
    assert_eq!(restore(&made, &file, 0), S_OK);
    assert_eq!(keys(&place), 20);
    assert!(temp.path().join("place.001").exists());
}

/// A program that has the repository open, with clients: the object restores beneath them.
#[test]
fn an_object_of_a_repository_in_use_stands_beside_its_connections() {
    let temp = tempfile::tempdir().unwrap();
    let [place, file] = ["place", "file.cimbak"].map(|name| temp.path().join(name));
    build(&place, 20);
    let lease = Duration::from_millis(300);
    let service = ServiceOptions::new().lease(lease).open(&place).unwrap();
    let callers = Changing::new();
    let factory = class_factory(Arc::new(Hosted::new(service.clone(), callers.asked())));
    let [owner, other] = [object(&factory), object(&factory)];
    let client = service.connect().unwrap();
    let mut enumeration = client.keys(KeyRange::all(), Direction::Forward).unwrap();
    assert_eq!(backup(&owner, &file, 0), S_OK);
    let mut transaction = client.begin_write().unwrap();
    transaction.insert_key(b"NS_9\\LATER").unwrap();
    transaction.commit().unwrap();

    // Without force the client hinders a restore, and notices nothing.
    assert_eq!(restore(&owner, &file, 0), WINMGMT_RUNNING);
    assert_eq!(
        restore(&owner, &place.join("INDEX.BTR"), 1),
        INVALID_PARAMETER
    );
    assert_eq!(restore(&owner, &file, 2), INVALID_PARAMETER);
    assert!(enumeration.next().unwrap().is_ok() && client.contains_key(b"NS_9\\LATER").unwrap());
    // By force it is broken, in the middle of its enumeration, and sees nothing of the new content.
    assert_eq!(restore(&owner, &file, 1), S_OK);
    assert_eq!(
        enumeration.next().unwrap().unwrap_err().hresult().0,
        DISCONNECTED
    );
    assert_eq!(
        client.contains_key(b"NS_9\\LATER").unwrap_err().hresult().0,
        DISCONNECTED
    );
    let again = service.connect().unwrap();
    assert!(!again.contains_key(b"NS_9\\LATER").unwrap());

    // Pause, and what others may meanwhile.
    assert_eq!(
        (pause(&owner), pause(&owner), pause(&other)),
        (S_OK, INVALID_OPERATION, INVALID_OPERATION)
    );
    assert!(matches!(again.try_begin_write(), Err(Error::Busy)));
    assert_eq!(
        (backup(&other, &file, 0), restore(&owner, &file, 1)),
        (S_OK, INVALID_OPERATION)
    );
    assert!(
        !again.is_broken(),
        "a restore that is refused breaks no one"
    );
    callers.is_now(Some(caller(Privileges::empty())));
    assert_eq!(
        (resume(&owner), pause(&other)),
        (ACCESS_DENIED, ACCESS_DENIED)
    );
    callers.is_now(Some(caller(Privileges::all())));
    assert_eq!(
        (resume(&other), resume(&owner), resume(&owner)),
        (INVALID_OPERATION, S_OK, INVALID_OPERATION)
    );

    // The lease, and the last release.
    assert_eq!(pause(&owner), S_OK);
    until("the end of the lease", || {
        service.activity().paused_by.is_none()
    });
    assert_eq!((resume(&owner), pause(&owner)), (INVALID_OPERATION, S_OK));
    drop(owner);
    assert_eq!((pause(&other), resume(&other)), (S_OK, S_OK));
    drop((again, client, enumeration));
    assert_eq!(restore(&other, &file, 0), S_OK, "nobody is connected");

    drop((factory, service));
    assert_eq!(pause(&other), S_OK, "the object keeps what it serves open");
    drop(other);
    assert_eq!(keys(&place), 20);
}

#[test]
fn objects_of_a_repository_that_was_closed_say_so() {
    let temp = tempfile::tempdir().unwrap();
    let [place, file] = ["place", "file.cimbak"].map(|name| temp.path().join(name));
    build(&place, 20);
    let service = ServiceOptions::new().open(&place).unwrap();
    let factory = class_factory(Arc::new(Hosted::new(
        service.clone(),
        Changing::new().asked(),
    )));
    let made = object(&factory);
    assert_eq!(pause(&made), S_OK);
    service.close().unwrap();
    let codes = [
        pause(&made),
        backup(&made, &file, 0),
        restore(&made, &file, 1),
    ];
    assert_eq!(
        (codes, resume(&made)),
        ([SHUTTING_DOWN; 3], INVALID_OPERATION)
    );
}

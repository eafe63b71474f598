//! The object over a repository on disk.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use cimrepo::base::progress::Unobserved;
use cimrepo::com::{IWbemBackupRestoreEx, class_factory};
use cimrepo::repository::{BulkBuilder, Repository};
use cimrepo::security::{AuthenticationLevel, Caller, Privileges};
use cimrepo::storage::Directory;
use cimrepo::verify::{VerifyOptions, verify};
use cimrepo::{Direction, KeyRange};

use crate::host::{Changing, DiskHost, caller, user};
use crate::{ACCESS_DENIED, CRITICAL_ERROR, INVALID_OPERATION, INVALID_PARAMETER, S_OK, code, object, wide};

/// A repository with this many keys.
fn build(directory: &Path, keys: u32) {
    fs::create_dir(directory).unwrap();
    let mut builder = BulkBuilder::create_seeded(Directory::real(directory), 7).unwrap();
    for number in 0..keys {
        let record = builder.record(format!("record {number}").repeat(50).as_bytes()).unwrap();
        builder.key(format!("NS_{}\\CD_{number:064}", number / 10).as_bytes(), Some(record)).unwrap();
    }
    builder.finish().unwrap();
}

/// How many keys there are, in a repository that is consistent.
fn keys(directory: &Path) -> usize {
    let repository = Repository::open_read_only(directory).unwrap();
    assert!(verify(&repository, VerifyOptions::default(), &Unobserved).unwrap().is_consistent());
    repository.snapshot().keys(KeyRange::prefix(b""), Direction::Forward).count()
}

fn served(directory: &Path) -> (Arc<Changing>, IWbemBackupRestoreEx) {
    let callers = Arc::new(Changing(Mutex::new(Some(caller(Privileges::all())))));
    let host = DiskHost { directory: directory.to_owned(), callers: callers.clone() };
    (callers, object(&class_factory(Arc::new(host))))
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
    let [first, second, file] = ["first", "second", "Снимок.cimbak"].map(|name| temp.path().join(name));
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
    let [place, file, other] = ["place", "file.cimbak", "other.cimbak"].map(|name| temp.path().join(name));
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
    assert_eq!(backup(&made, &temp.path().join("none/x"), 0) & 0xFFFF_0000, 0x8007_0000);
    assert_eq!(restore(&made, &other, 0), 0x8007_0002);
    assert_eq!(restore(&made, &place.join("INDEX.BTR"), 0), INVALID_PARAMETER);
    let bytes = fs::read(&file).unwrap();
    fs::write(&other, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(restore(&made, &other, 1), CRITICAL_ERROR);
    assert!(fs::read(place.join("INDEX.BTR")).unwrap() == before);
    let mut left: Vec<_> = fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["file.cimbak", "other.cimbak", "place"]);
}

#[test]
fn each_call_needs_its_privilege() {
    let temp = tempfile::tempdir().unwrap();
    let [place, file] = ["place", "file.cimbak"].map(|name| temp.path().join(name));
    build(&place, 20);
    let (callers, made) = served(&place);
    let [none, by_backup, by_restore] = [Privileges::empty(), Privileges::BACKUP, Privileges::RESTORE];
    for (privileges, may_back_up, may_restore) in
        [(none, ACCESS_DENIED, ACCESS_DENIED), (by_backup, S_OK, ACCESS_DENIED), (by_restore, S_OK, S_OK)]
    {
        *callers.0.lock().unwrap() = Some(caller(privileges));
        assert_eq!(backup(&made, &file, 0), may_back_up, "{privileges:?}");
        assert_eq!(restore(&made, &file, 1), may_restore, "{privileges:?}");
        assert_eq!(file.exists(), may_back_up == S_OK);
    }
    // SAFETY: the calls take no pointer.
    let resume = || code(unsafe { made.Resume() });
    assert_eq!(resume(), ACCESS_DENIED);
    *callers.0.lock().unwrap() = Some(caller(by_backup));
    assert_eq!(resume(), INVALID_OPERATION);
    let remote = Caller::remote(user(), AuthenticationLevel::PacketPrivacy).holding(by_backup).enabling(by_backup);
    for nobody in [Some(remote), Some(caller(none).holding(by_backup)), None] {
        *callers.0.lock().unwrap() = nobody;
        assert_eq!(resume(), ACCESS_DENIED);
    }
    assert_eq!(backup(&made, &file, 0), ACCESS_DENIED, "whoever cannot be recognised is refused");
}

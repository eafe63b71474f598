//! A directory that keeps several backups: chains, what is kept, what is refused.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use cimrepo::Error;
use cimrepo::backup::{BackupOptions, BackupSet, OpenBackup, SetOptions, SetSummary};
use cimrepo::base::error::{BackupFault, HResult};
use cimrepo::base::progress::{Progress, Unobserved};
use cimrepo::format::Dialect;
use cimrepo::format::checksum::crc32;
use cimrepo::format::own::backup_file::{HEADER_SIZE, Header};
use cimrepo::format::own::backup_name::BackupName;
use cimrepo::storage::{MemStorage, Storage};

use crate::support::Files;
use crate::tiny::{
    bytes_of, checked, content, directory, fault_of, listing, opened, shared, single, stored_at,
    tiny,
};

const KEPT: &str = "kept";

fn storage() -> MemStorage {
    let storage = MemStorage::new();
    storage.create_dir(Path::new(KEPT)).unwrap();
    storage
}

fn set(storage: &MemStorage) -> BackupSet {
    BackupSet::open_in(&directory(storage, KEPT)).unwrap()
}

fn keeping(keep: usize, full_after: usize) -> SetOptions {
    SetOptions {
        backup: single(),
        keep: NonZeroUsize::new(keep),
        full_after,
        full: false,
    }
}

/// Puts a version of the repository in place and backs it up.
fn back_up(storage: &MemStorage, version: u8, options: &SetOptions) -> cimrepo::Result<SetSummary> {
    stored_at(storage, "repository", &tiny(Dialect::V22, version % 2));
    set(storage).back_up(
        &opened(storage, "repository").unwrap(),
        options,
        &Unobserved,
    )
}

/// Lengths of the chains of all backups, the oldest first; each verifies and holds its version.
fn chains(storage: &MemStorage) -> Vec<usize> {
    let entries = set(storage).entries().unwrap();
    let chain = |path: &PathBuf| {
        checked(storage, path.to_str().unwrap())
            .unwrap()
            .chain_len()
    };
    entries.iter().map(|entry| chain(&entry.path)).collect()
}

fn remove(storage: &MemStorage, path: &Path) -> Vec<u8> {
    let bytes = bytes_of(storage, path);
    storage.remove_file(path).unwrap();
    bytes
}

fn fault(error: &Error) -> &BackupFault {
    fault_of(error).unwrap_or_else(|| panic!("{error}"))
}

#[test]
fn chains_begin_anew_and_every_backup_is_of_its_time() {
    let storage = storage();
    let mut made = Vec::new();
    for version in 0..7 {
        let done = back_up(&storage, version, &keeping(100, 2)).unwrap();
        assert!(done.removed.is_empty() && done.not_removed.is_none());
        assert_eq!(
            done.base,
            (version % 3 != 0).then(|| made.last().cloned().unwrap())
        );
        let header = OpenBackup::new()
            .open_in(&shared(&storage), &done.path)
            .unwrap()
            .header()
            .clone();
        let name = BackupName::parse(done.path.file_name().unwrap().to_str().unwrap()).unwrap();
        assert!(name.is_of(&header.identity) && header.identity == done.backup.identity);
        assert!(
            name.time.abs_diff(header.created / 1_000_000) < 1000,
            "the time is that of the backup"
        );
        made.push(done.path);
    }
    let entries = set(&storage).entries().unwrap();
    assert_eq!(
        entries.iter().map(|entry| &entry.path).collect::<Vec<_>>(),
        made.iter().collect::<Vec<_>>()
    );
    assert_eq!(chains(&storage), [1, 2, 3, 1, 2, 3, 1]);
    for (version, path) in (0_u8..).zip(&made) {
        stored_at(&storage, "repository", &tiny(Dialect::V22, version % 2));
        let backup = checked(&storage, path.to_str().unwrap()).unwrap();
        assert!(
            content(&backup.snapshot())
                == content(&opened(&storage, "repository").unwrap().snapshot())
        );
    }
    // Without increments, and where one is to be full.
    assert_eq!(back_up(&storage, 7, &keeping(100, 0)).unwrap().base, None);
    assert!(
        back_up(&storage, 8, &keeping(100, 9))
            .unwrap()
            .base
            .is_some()
    );
    let full = SetOptions {
        full: true,
        ..keeping(100, 9)
    };
    assert_eq!(back_up(&storage, 9, &full).unwrap().base, None);
}

/// What is needed by one of the newest stays, and nothing else; never is there one without its
/// base.
#[test]
fn what_is_kept_keeps_what_it_is_based_on() {
    let storage = storage();
    let mut seen = Vec::new();
    for version in 0..8 {
        let done = back_up(&storage, version, &keeping(2, 2)).unwrap();
        assert!(done.not_removed.is_none());
        seen.push((chains(&storage), done.removed.len()));
    }
    let expected: [(&[usize], usize); 8] = [
        (&[1], 0),
        (&[1, 2], 0),
        (&[1, 2, 3], 0),
        (&[1, 2, 3, 1], 0), // the second newest still needs its chain
        (&[1, 2], 3),
        (&[1, 2, 3], 0),
        (&[1, 2, 3, 1], 0),
        (&[1, 2], 3),
    ];
    for (number, ((chains, removed), expected)) in seen.iter().zip(expected).enumerate() {
        assert_eq!((chains.as_slice(), *removed), expected, "{number}");
    }
    // By itself: first what is based on the others.
    (0..2).for_each(|version| _ = back_up(&storage, version, &keeping(9, 5)).unwrap());
    back_up(
        &storage,
        0,
        &SetOptions {
            full: true,
            ..keeping(9, 5)
        },
    )
    .unwrap();
    let before: Vec<_> = set(&storage)
        .entries()
        .unwrap()
        .into_iter()
        .map(|entry| entry.path)
        .collect();
    let removed = set(&storage).prune(NonZeroUsize::MIN).unwrap();
    assert_eq!(
        removed,
        before[..4].iter().rev().cloned().collect::<Vec<_>>()
    );
    assert_eq!(chains(&storage), [1]);
    assert!(set(&storage).prune(NonZeroUsize::MIN).unwrap().is_empty());
}

#[test]
fn other_files_are_left_alone() {
    let storage = storage();
    let own = "20200101T000000.000Z-00000000.cimbak";
    let others = [
        "monday.cimbak",
        "notes.txt",
        "20200101T000000.000Z-00000000.cimbak.old",
        own,
    ];
    for name in others {
        storage.put(
            Path::new(KEPT).join(name),
            format!("this is {name}").into_bytes(),
        );
    }
    storage
        .create_dir(Path::new("kept/20200102T000000.000Z-00000000.cimbak"))
        .unwrap();
    for version in 0..4 {
        back_up(&storage, version, &keeping(1, 0)).unwrap();
    }
    let files = listing(&storage, KEPT);
    assert_eq!(files.len(), others.len() + 1);
    for name in others {
        assert_eq!(files[name], format!("this is {name}").into_bytes());
    }
    // One with such a name that is none is told of, and neither counted nor removed.
    let entries = set(&storage).entries().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(
        fault(entries[0].info.as_ref().unwrap_err()),
        &BackupFault::NotABackup
    );
    assert!(entries[1].info.is_ok());
}

/// Everything in the directory.
fn all(storage: &MemStorage) -> Files {
    listing(storage, KEPT)
}

#[test]
fn on_what_was_replaced_damaged_or_lost_comes_a_full_backup_and_what_is_broken_stays() {
    let storage = storage();
    let paths: Vec<PathBuf> = (0..3)
        .map(|version| back_up(&storage, version, &keeping(9, 5)).unwrap().path)
        .collect();
    let [base, middle, newest] = &paths[..] else {
        panic!()
    };
    let elsewhere = self::storage();
    stored_at(&elsewhere, "repository", &tiny(Dialect::V22, 1));
    let other = back_up(&elsewhere, 1, &keeping(1, 0)).unwrap().path;
    let other = bytes_of(&elsewhere, &other);
    let broken = |what: &str, hresult: HResult| {
        let before = all(&storage);
        let done = back_up(&storage, 3, &keeping(1, 5)).unwrap();
        let error = done.broken.expect(what);
        assert_eq!(error.hresult(), hresult, "{what}: {error}");
        assert!(done.base.is_none() && done.not_removed.is_none(), "{what}");
        checked(&storage, done.path.to_str().unwrap()).unwrap();
        // What was there is there, but for whole ones that nothing needs any more.
        let mut after = all(&storage);
        after
            .remove(done.path.file_name().unwrap().to_str().unwrap())
            .unwrap();
        assert!(
            after.iter().all(|(name, bytes)| before[name] == *bytes),
            "{what}"
        );
        let gone: Vec<&String> = before
            .keys()
            .filter(|name| !after.contains_key(*name))
            .collect();
        assert_eq!(gone.len(), done.removed.len(), "{what}");
        // As it was, for the next.
        storage.remove_file(&done.path).unwrap();
        for name in gone {
            storage.put(Path::new(KEPT).join(name), before[name].clone());
        }
        (error, done.removed)
    };
    // The base, replaced by another backup of the same name.
    let bytes = remove(&storage, base);
    storage.put(base, other.clone());
    let (error, _) = broken("replaced", HResult::CRITICAL_ERROR);
    assert!(
        matches!(fault(&error), BackupFault::BaseWrong { .. }),
        "{error}"
    );
    // The newest itself.
    storage.put(base, bytes.clone());
    let kept = remove(&storage, newest);
    storage.put(newest, other);
    let (error, _) = broken("newest replaced", HResult::CRITICAL_ERROR);
    assert!(
        error
            .to_string()
            .contains("by its name it is another backup"),
        "{error}"
    );
    storage.put(newest, kept.clone());
    // Lost.
    let lost = remove(&storage, middle);
    assert!(matches!(
        fault(&broken("lost", HResult::CRITICAL_ERROR).0),
        BackupFault::BaseMissing { .. }
    ));
    // Cut, and changed in the middle of a chunk.
    storage.put(middle, lost[..lost.len() - 100].to_vec());
    assert!(matches!(
        fault(&broken("cut", HResult::CRITICAL_ERROR).0),
        BackupFault::Truncated(_)
    ));
    storage.put(middle, lost);
    let mut changed = bytes.clone();
    changed[2000] ^= 1;
    storage.put(base, changed);
    let (error, removed) = broken("changed", HResult::CRITICAL_ERROR);
    assert!(matches!(fault(&error), BackupFault::Checksum(_)));
    assert!(
        removed.is_empty(),
        "all three need what is damaged: {removed:?}"
    );
    storage.put(base, bytes.clone());
    // A newer version of the format.
    let mut newer = kept.clone();
    newer[8] = 99;
    let check = crc32(&newer[..HEADER_SIZE - 4]);
    newer[HEADER_SIZE - 4..HEADER_SIZE].copy_from_slice(&check.to_le_bytes());
    storage.put(newest, newer);
    broken("newer", HResult::DATABASE_VER_MISMATCH);
    storage.put(newest, kept);
    // A base of one's own choice.
    let options = SetOptions {
        backup: BackupOptions {
            base: Some(base.clone()),
            ..single()
        },
        ..keeping(1, 5)
    };
    assert_eq!(
        back_up(&storage, 3, &options).unwrap_err().hresult(),
        HResult::INVALID_PARAMETER
    );

    // A full one begins anew, and what is damaged is not taken away with what is not needed.
    let broken = remove(&storage, middle);
    storage.put(middle, broken[..broken.len() - 100].to_vec());
    let done = back_up(
        &storage,
        3,
        &SetOptions {
            full: true,
            ..keeping(1, 5)
        },
    )
    .unwrap();
    assert!(
        done.removed.is_empty(),
        "the damaged one says that it is based on the first: {:?}",
        done.removed
    );
    storage.put(middle, broken);
    // Nor is it when the damage is in a chunk, which is read before anything is removed; or what is
    // based on it.
    let mut changed = bytes.clone();
    changed[2000] ^= 1;
    storage.put(base, changed);
    assert!(set(&storage).prune(NonZeroUsize::MIN).unwrap().is_empty());
    storage.put(base, bytes);
    let removed = set(&storage).prune(NonZeroUsize::MIN).unwrap();
    assert_eq!(removed, [newest.clone(), middle.clone(), base.clone()]);
}

/// The order is that of the names, whatever the clock says.
#[test]
fn a_clock_that_was_put_back_makes_no_backup_old() {
    let storage = storage();
    let first = back_up(&storage, 0, &keeping(1, 5)).unwrap();
    let late = BackupName::new(4_000_000_000_000, &first.backup.identity).unwrap();
    storage
        .rename(&first.path, &Path::new(KEPT).join(late.to_string()))
        .unwrap();
    let second = back_up(&storage, 1, &keeping(1, 0)).unwrap();
    let name = second.path.file_name().unwrap().to_str().unwrap();
    assert_eq!(BackupName::parse(name).unwrap().time, 4_000_000_000_001);
    assert_eq!(second.removed.len(), 1);
    assert_eq!(set(&storage).entries().unwrap().len(), 1);
    // Where names have no later time there is no room for another.
    let end = BackupName::new(253_402_300_799_999, &second.backup.identity).unwrap();
    storage
        .rename(&second.path, &Path::new(KEPT).join(end.to_string()))
        .unwrap();
    let before = all(&storage);
    assert!(matches!(
        back_up(&storage, 0, &keeping(1, 0)),
        Err(Error::Limit { .. })
    ));
    assert!(all(&storage) == before);
}

#[test]
fn one_at_a_time_makes_and_removes_backups() {
    let storage = storage();
    back_up(&storage, 0, &keeping(1, 5)).unwrap();
    let repository = opened(&storage, "repository").unwrap();
    let meanwhile = |_: Progress| {
        assert!(matches!(
            back_up(&storage, 0, &keeping(1, 5)),
            Err(Error::Locked { .. })
        ));
        assert!(matches!(
            set(&storage).prune(NonZeroUsize::MIN),
            Err(Error::Locked { .. })
        ));
        assert_eq!(set(&storage).entries().unwrap().len(), 1, "looking is free");
        ControlFlow::Break(())
    };
    let before = all(&storage);
    let error = set(&storage)
        .back_up(&repository, &keeping(1, 5), &meanwhile)
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled));
    let mut after = all(&storage);
    after.retain(|name, _| !name.contains("lock"));
    assert!(after == before);
}

#[test]
fn a_header_says_when_a_backup_was_made() {
    let storage = storage();
    let done = back_up(&storage, 0, &keeping(1, 0)).unwrap();
    let bytes = bytes_of(&storage, &done.path);
    let header = Header::parse(&bytes[..HEADER_SIZE]).unwrap();
    let name = BackupName::parse(done.path.file_name().unwrap().to_str().unwrap()).unwrap();
    assert_eq!(
        name,
        BackupName::new(header.created / 1_000_000, &header.identity).unwrap()
    );
}

#[test]
fn a_set_needs_a_directory() {
    let storage = storage();
    let missing = BackupSet::open_in(&directory(&storage, "nowhere")).unwrap_err();
    assert!(matches!(missing, Error::Io { .. }));
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("kept");
    BackupSet::create(&path).unwrap();
    assert!(
        BackupSet::create(&path)
            .unwrap()
            .entries()
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        BackupSet::create(path.join("no/such")),
        Err(Error::Io { .. })
    ));
    std::fs::write(place.path().join("file"), b"x").unwrap();
    assert!(matches!(
        BackupSet::create(place.path().join("file")),
        Err(Error::Io { .. })
    ));
}

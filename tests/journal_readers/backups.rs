//! Backups of a repository whose journal waits.

use std::sync::Arc;

use cimrepo::backup::{Backup, BackupOptions, OpenBackup, backup_in};
use cimrepo::base::progress::Unobserved;
use cimrepo::format::own::journal::JournalOp;
use cimrepo::restore::{Existing, RestoreOptions, restore_in};
use cimrepo::storage::{Directory, MemStorage, Storage};

use crate::{ONE_THREAD, check, files, fresh, journal_name, names, open, plant, waiting};

fn back_up(directory: &Directory, forensic: bool) -> Backup {
    let options = BackupOptions {
        forensic,
        threads: ONE_THREAD.threads,
        ..BackupOptions::default()
    };
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let summary = backup_in(&open(directory), &storage, "backup", &options, &Unobserved).unwrap();
    assert!(summary.damage.is_none(), "{:?}", summary.damage);
    let backup = OpenBackup::new().open_in(&storage, "backup").unwrap();
    assert!(
        backup
            .verify(ONE_THREAD, &Unobserved)
            .unwrap()
            .is_consistent()
    );
    backup
}

fn empty() -> Directory {
    Directory::new(Arc::new(MemStorage::new()), ".")
}

#[test]
fn a_backup_has_the_commits_that_wait() {
    let (_, directory) = waiting();
    let backup = back_up(&directory, false);
    assert_eq!(names(&backup.snapshot()), ["B", "FIRST"]);
    let restored = empty();
    restore_in(&backup, &restored, RestoreOptions::default(), &Unobserved).unwrap();
    let repository = open(&restored);
    assert_eq!(names(&repository.snapshot()), ["B", "FIRST"]);
    assert!(repository.journal().files().is_empty() && check(&repository).is_consistent());
}

/// The replay of a journal in a backup ends when the user ends it; where there is none, nothing is
/// asked.
#[test]
fn opening_a_backup_with_a_journal_can_be_cancelled() {
    let (_, directory) = waiting();
    for (forensic, is_cancelled) in [(true, true), (false, false)] {
        let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
        let options = BackupOptions {
            forensic,
            threads: ONE_THREAD.threads,
            ..BackupOptions::default()
        };
        backup_in(&open(&directory), &storage, "backup", &options, &Unobserved).unwrap();
        let opened = OpenBackup::new()
            .cancel_when(|| true)
            .open_in(&storage, "backup");
        assert_eq!(
            matches!(opened, Err(cimrepo::Error::Cancelled)),
            is_cancelled,
            "{opened:?}"
        );
        OpenBackup::new()
            .cancel_when(|| false)
            .open_in(&storage, "backup")
            .unwrap();
    }
}

#[test]
fn a_forensic_backup_carries_the_journal_and_gives_it_back() {
    let (_, directory) = waiting();
    let backup = back_up(&directory, true);
    assert_eq!(backup.header().version(), 2);
    assert_eq!(names(&backup.snapshot()), ["B", "FIRST"]);
    assert_eq!(
        (backup.journal().commits(), backup.journal().replayed()),
        (3, 3)
    );
    let report = backup.verify(ONE_THREAD, &Unobserved).unwrap();
    assert_eq!(
        (report.repository.keys, report.journal.without.unwrap().keys),
        (2, 1)
    );
    let restored = empty();
    restore_in(&backup, &restored, RestoreOptions::default(), &Unobserved).unwrap();
    assert!(files(&restored) == files(&directory));
    // Over a healthy repository it becomes the next generation, of the state with the journal.
    let (_, other) = fresh();
    let options = RestoreOptions {
        existing: Existing::Replace,
        ..RestoreOptions::default()
    };
    restore_in(&backup, &other, options, &Unobserved).unwrap();
    let repository = open(&other);
    assert_eq!(names(&repository.snapshot()), ["B", "FIRST"]);
    assert!(repository.journal().files().is_empty() && check(&repository).is_consistent());
}

#[test]
fn a_forensic_backup_without_journals_is_of_version_1() {
    let (_, directory) = fresh();
    assert_eq!(back_up(&directory, true).header().version(), 1);
}

/// Every journal that is there is carried: a stale one, one that nothing was written to, a large
/// one.
#[test]
fn journals_of_every_kind_are_carried() {
    let (storage, directory) = waiting();
    let large: Vec<u8> = (0..9_000_000_u32)
        .map(|number| (number % 251).to_le_bytes()[0])
        .collect();
    for (generation, bytes) in [(1, Vec::new()), (2, vec![0; 64]), (77, large)] {
        storage.put(journal_name(generation), bytes);
    }
    let backup = back_up(&directory, true);
    let restored = empty();
    restore_in(&backup, &restored, RestoreOptions::default(), &Unobserved).unwrap();
    assert!(files(&restored) == files(&directory));
    assert_eq!(names(&open(&restored).snapshot()), ["B", "FIRST"]);
}

/// A journal that cannot be replayed is damage: the backup says so, and is restored where that is
/// asked for.
#[test]
fn a_forensic_backup_of_a_journal_that_does_not_fit_is_damaged() {
    let (storage, directory) = fresh();
    plant(
        &storage,
        &directory,
        &[vec![JournalOp::DeleteKey(b"NS_0\\MISSING")]],
    );
    let options = BackupOptions {
        forensic: true,
        threads: ONE_THREAD.threads,
        ..BackupOptions::default()
    };
    let target: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let summary = backup_in(&open(&directory), &target, "backup", &options, &Unobserved).unwrap();
    assert!(summary.damage.is_some() && summary.journal.commits() == 1);
    let backup = OpenBackup::new().open_in(&target, "backup").unwrap();
    assert!(
        !backup
            .verify(ONE_THREAD, &Unobserved)
            .unwrap()
            .is_consistent()
    );
    assert!(restore_in(&backup, &empty(), RestoreOptions::default(), &Unobserved).is_err());
    let (damaged, restored) = (
        RestoreOptions {
            damaged: true,
            ..RestoreOptions::default()
        },
        empty(),
    );
    assert_eq!(
        restore_in(&backup, &restored, damaged, &Unobserved)
            .unwrap()
            .findings,
        1
    );
    assert!(files(&restored) == files(&directory));
}

#[test]
fn a_restore_over_a_repository_whose_journal_waits_says_what_it_discards() {
    let (_, other) = fresh();
    let backup = back_up(&other, false);
    let (_, directory) = waiting();
    let options = RestoreOptions {
        existing: Existing::Replace,
        ..RestoreOptions::default()
    };
    let summary = restore_in(&backup, &directory, options, &Unobserved).unwrap();
    assert_eq!(summary.waiting_commits, 3);
    let repository = open(&directory);
    assert_eq!(names(&repository.snapshot()), ["FIRST"]);
    assert!(repository.journal().files().is_empty() && check(&repository).is_consistent());
    // What is built on is the generation, and not what the journal held beyond it.
    assert_eq!(check(&repository).generations[0].keys, 1);
}

//! Costs that do not grow: what is dense is not written again, a broken chain of backups is healed,
//! records on several pages keep one last-write generation whatever writes them, and the number of
//! namespaces costs nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cimrepo::backup::{BackupOptions, OpenBackup, backup_in};
use cimrepo::base::corruption::CorruptionCode;
use cimrepo::base::page_no::RecordRef;
use cimrepo::base::progress::Unobserved;
use cimrepo::catalog::create;
use cimrepo::restore::{Existing, Installed, RestoreOptions, restore_in};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::{BulkBuilder, OpenOptions};
use cimrepo::store::{Engine, EngineOptions};

use support::edit::edit_mapping;
use support::small::current_file;
use support::{Files, assert_clean, check, codes, corpus, in_memory, load, name_of};

fn engine(directory: &Directory) -> Engine {
    EngineOptions::new()
        .background(false)
        .open_in(directory)
        .unwrap()
}

fn files_of(storage: &MemStorage, directory: &Directory) -> Files {
    let entries = storage.read_dir(&directory.path).unwrap();
    entries
        .into_iter()
        .map(|entry| {
            (
                entry.name.clone(),
                storage.get(directory.join(&entry.name)).unwrap(),
            )
        })
        .collect()
}

fn fresh() -> (MemStorage, Directory) {
    in_memory(&Files::new())
}

/// A number that looks like any other.
fn next(seed: &mut u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

fn assert_verified(directory: &Directory, what: &str) {
    assert_clean(&OpenOptions::new().open_in(directory).unwrap(), what);
}

/// Compacts, and then again: the second time nothing is written.
fn compact_twice(storage: &MemStorage, directory: &Directory, what: &str) {
    let first = engine(directory);
    first.compact(&Unobserved).unwrap();
    first.close().unwrap();
    assert_verified(directory, what);
    let before = files_of(storage, directory);
    let second = engine(directory);
    let generation = second.snapshot().mapping().generation();
    let done = second.compact(&Unobserved).unwrap();
    assert!(!done.is_rewritten, "{what}");
    assert_eq!(
        (done.generation, done.objects_after, done.index_after),
        (generation, done.objects_before, done.index_before)
    );
    second.close().unwrap();
    let after = files_of(storage, directory);
    let changed: Vec<&String> = after
        .keys()
        .filter(|name| before.get(*name) != after.get(*name))
        .collect();
    assert!(
        changed.is_empty() && before.len() == after.len(),
        "{what}: {changed:?}"
    );
}

#[test]
fn what_is_dense_is_not_written_again() {
    let (storage, directory) = fresh();
    create(&directory).unwrap();
    compact_twice(&storage, &directory, "created");
    // One record fewer, and it pays again.
    let engine = engine(&directory);
    let large = vec![7; 200_000];
    let mut transaction = engine.begin_write().unwrap();
    let record = transaction.insert_record(&large).unwrap();
    transaction
        .insert_key(format!("NS_Z.{record}").as_bytes())
        .unwrap();
    transaction.commit().unwrap();
    engine.checkpoint().unwrap();
    let mut transaction = engine.begin_write().unwrap();
    transaction
        .remove_key(format!("NS_Z.{record}").as_bytes())
        .unwrap();
    transaction.remove_record(record).unwrap();
    transaction.commit().unwrap();
    let done = engine.compact(&Unobserved).unwrap();
    assert!(
        done.is_rewritten && done.objects_after.bytes < done.objects_before.bytes,
        "{done:?}"
    );
    engine.close().unwrap();
    compact_twice(&storage, &directory, "after a removal");
}

#[test]
fn real_repositories_are_compacted_once() {
    for path in corpus("compacting twice") {
        let files = load(&path);
        if !files.contains_key("MAPPING3.MAP") {
            continue;
        }
        let (storage, directory) = in_memory(&files);
        compact_twice(&storage, &directory, &name_of(&path));
    }
}

/// Records of one to six pages under one key each.
fn fill(engine: &Engine, seed: &mut u64, count: usize) -> BTreeMap<String, RecordRef> {
    let mut records = BTreeMap::new();
    for number in 0..count {
        let mut transaction = engine.begin_write().unwrap();
        let length = 100 + usize::try_from(next(seed) % 48_000).unwrap();
        let bytes: Vec<u8> = (0..length)
            .map(|at| u8::try_from((at + number) % 251).unwrap())
            .collect();
        let record = transaction.insert_record(&bytes).unwrap();
        let key = format!("NS_{number:04}");
        transaction
            .insert_key(format!("{key}.{record}").as_bytes())
            .unwrap();
        transaction.commit().unwrap();
        records.insert(key, record);
    }
    records
}

#[test]
fn records_on_several_pages_are_written_at_once_by_whatever_writes_them() {
    for start in 0..12 {
        let mut seed = start;
        let (_, directory) = fresh();
        let mut builder = BulkBuilder::create(directory.clone()).unwrap();
        let built = builder.record(&vec![9; 70_000]).unwrap();
        builder.key(b"NS_A", Some(built)).unwrap();
        builder.finish().unwrap();
        assert_verified(&directory, "built");
        let engine = engine(&directory);
        let records = fill(&engine, &mut seed, 40);
        engine.checkpoint().unwrap();
        // Holes everywhere, so that a compaction moves records in part.
        for (number, (key, record)) in records.iter().enumerate() {
            if next(&mut seed).is_multiple_of(3) {
                let mut transaction = engine.begin_write().unwrap();
                transaction
                    .remove_key(format!("{key}.{record}").as_bytes())
                    .unwrap();
                transaction.remove_record(*record).unwrap();
                transaction.commit().unwrap();
            }
            if number % 7 == 0 {
                engine.checkpoint().unwrap();
            }
        }
        // What a snapshot sees stays in its place, and the pages of the others move around it.
        let held = (start % 2 == 0).then(|| engine.snapshot());
        fill(&engine, &mut seed, 3);
        let done = engine.compact(&Unobserved).unwrap();
        assert!(done.is_rewritten || held.is_some(), "{done:?}");
        drop(held);
        assert!(
            check(&OpenOptions::new().open_in(&directory).unwrap(), true)
                .findings()
                .next()
                .is_none(),
            "{start}"
        );
        engine.close().unwrap();
        assert_verified(&directory, &format!("compacted, {start}"));
    }
}

/// Two repositories whose large records differ in one byte, on a page in the middle.
fn differing() -> [(MemStorage, Directory); 2] {
    [1_u8, 2].map(|version| {
        let (storage, directory) = fresh();
        let mut builder = BulkBuilder::create_seeded(directory.clone(), 5).unwrap();
        let mut large = vec![7; 50_000];
        large[20_000] = version;
        for (key, bytes) in [
            ("NS_A", vec![1; 300]),
            ("NS_B", large),
            ("NS_C", vec![3; 30_000]),
        ] {
            let record = builder.record(&bytes).unwrap();
            builder.key(key.as_bytes(), Some(record)).unwrap();
        }
        builder.finish().unwrap();
        (storage, directory)
    })
}

fn back_up(storage: &MemStorage, directory: &Directory, file: &str) -> cimrepo::backup::Backup {
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let repository = OpenOptions::new().open_in(directory).unwrap();
    backup_in(
        &repository,
        &shared,
        Path::new(file),
        &BackupOptions::default(),
        &Unobserved,
    )
    .unwrap();
    OpenBackup::new().open_in(&shared, Path::new(file)).unwrap()
}

const REPLACE: fn() -> RestoreOptions = || RestoreOptions {
    existing: Existing::Replace,
    ..RestoreOptions::default()
};

#[test]
fn a_restore_over_a_record_that_differs_in_part_counts_all_of_it_as_written() {
    let [(old_storage, old), (new_storage, new)] = differing();
    let backup = back_up(&new_storage, &new, "new.cimbak");
    let done = restore_in(&backup, &old, REPLACE(), &Unobserved).unwrap();
    assert!(
        matches!(done.installed, Installed::NextGeneration { .. }) && done.pages_kept > 0,
        "{done:?}"
    );
    assert_eq!(done.pages_written, 1, "the one page that differs");
    assert_verified(&old, "restored over");
    drop(old_storage);
}

/// What an earlier version of the engine left: pages of one record with different last-write
/// generations.
fn with_broken_rule() -> (MemStorage, Directory) {
    let [(storage, directory), _] = differing();
    let engine = engine(&directory);
    let mut seed = 1;
    fill(&engine, &mut seed, 4);
    engine.close().unwrap();
    let mut files = files_of(&storage, &directory);
    let repository = OpenOptions::new().open_in(&directory).unwrap();
    let large = repository
        .snapshot()
        .records()
        .map(Result::unwrap)
        .find(|record| record.size == 50_000)
        .unwrap();
    let current = current_file(&files);
    edit_mapping(&mut files, &current, |mapping| {
        let entry = &mut mapping.objects.entries[large.page.index() + 2];
        entry.last_write = mapping.objects.generation;
    });
    in_memory(&files)
}

#[test]
fn what_was_written_in_parts_is_found_harms_nothing_and_is_mended_by_a_compaction() {
    let (storage, directory) = with_broken_rule();
    let found = |directory: &Directory| {
        codes(&check(
            &OpenOptions::new().open_in(directory).unwrap(),
            false,
        ))
    };
    assert_eq!(found(&directory), [CorruptionCode::RecordLastWrite]);

    // It can be backed up and restored, in a new place and over what is there.
    let backup = back_up(&storage, &directory, "broken.cimbak");
    let [(_, other), _] = differing();
    restore_in(&backup, &other, REPLACE(), &Unobserved).unwrap();
    assert_eq!(found(&other), [], "all of it is written by the restore");
    let (_, empty) = fresh();
    restore_in(&backup, &empty, RestoreOptions::default(), &Unobserved).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .verify(true)
        .open_in(&empty)
        .unwrap();
    assert!(engine.compact(&Unobserved).unwrap().is_rewritten);
    engine.close().unwrap();
    assert_verified(&empty, "restored and compacted");

    // Dense or not: it is rewritten for that alone, once.
    let first = self::engine(&directory);
    first.compact(&Unobserved).unwrap();
    first.close().unwrap();
    let mut files = files_of(&storage, &directory);
    let current = current_file(&files);
    let repository = OpenOptions::new().open_in(&directory).unwrap();
    let large = repository
        .snapshot()
        .records()
        .map(Result::unwrap)
        .find(|record| record.size == 50_000)
        .unwrap();
    edit_mapping(&mut files, &current, |mapping| {
        mapping.objects.entries[large.page.index() + 2].last_write -= 1
    });
    let (storage, directory) = in_memory(&files);
    assert_eq!(found(&directory), [CorruptionCode::RecordLastWrite]);
    let second = self::engine(&directory);
    assert!(second.compact(&Unobserved).unwrap().is_rewritten);
    second.close().unwrap();
    assert_verified(&directory, "compacted");
    compact_twice(&storage, &directory, "compacted again");
}

#[cfg(feature = "cli")]
mod command {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use cimrepo::catalog::create;
    use cimrepo::storage::Directory;

    fn run(arguments: &[&dyn AsRef<Path>], code: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
        let output = command
            .args(
                arguments
                    .iter()
                    .map(|argument| argument.as_ref().as_os_str()),
            )
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    }

    fn listed(directory: &Path) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }

    /// One bad byte in the newest backup, wherever it is: the next is a full one, with a warning,
    /// and the one after goes on.
    #[test]
    fn a_broken_newest_backup_is_followed_by_a_full_one() {
        let place = tempfile::tempdir().unwrap();
        let repository = place.path().join("repository");
        fs::create_dir(&repository).unwrap();
        create(&Directory::real(&repository)).unwrap();
        let kept = place.path().join("kept");
        let back_up = |code: i32| run(&[&"backup", &repository, &kept, &"--keep", &"2"], code);
        back_up(0);
        let length = fs::read(&listed(&kept)[0]).unwrap().len();
        for at in [0, 9, 40, length / 3, length / 2, length - 200, length - 1] {
            fs::remove_dir_all(&kept).unwrap();
            back_up(0);
            let broken = listed(&kept)[0].clone();
            let mut bytes = fs::read(&broken).unwrap();
            bytes[at] ^= 0x10;
            fs::write(&broken, &bytes).unwrap();
            let text = back_up(1);
            assert!(
                text.contains("the chain of backups is broken there: this is a full backup"),
                "{at}: {text}"
            );
            assert!(
                text.contains(broken.file_name().unwrap().to_str().unwrap()),
                "{at}: {text}"
            );
            let full = listed(&kept)[1].clone();
            run(&[&"verify", &full], 0);
            // It goes on from there; what is broken is neither counted nor removed.
            let text = back_up(0);
            assert!(!text.contains("removed"), "{at}: {text}");
            for _ in 0..8 {
                back_up(0);
            }
            let text = run(
                &[
                    &"backup",
                    &repository,
                    &kept,
                    &"--keep",
                    &"1",
                    &"--full-after",
                    &"0",
                ],
                0,
            );
            assert!(
                text.contains("removed") && !text.contains(broken.to_str().unwrap()),
                "{at}: {text}"
            );
            assert_eq!(fs::read(&broken).unwrap(), bytes, "{at}");
            assert_eq!(listed(&kept).len(), 2, "{at}");
        }
    }

    #[test]
    fn compacting_what_is_dense_says_that_nothing_was_written() {
        let place = tempfile::tempdir().unwrap();
        let repository = place.path().join("repository");
        run(&[&"create", &repository], 0);
        run(&[&"compact", &repository], 0);
        let before: Vec<Vec<u8>> = listed(&repository)
            .iter()
            .map(|path| fs::read(path).unwrap())
            .collect();
        assert!(run(&[&"compact", &repository], 0).contains("nothing was written"));
        assert!(run(&[&"compact", &repository, &"--json"], 0).contains("\"is_rewritten\":false"));
        let after: Vec<Vec<u8>> = listed(&repository)
            .iter()
            .map(|path| fs::read(path).unwrap())
            .collect();
        assert!(before == after);
    }
}

//! A journal is part of the repository for whoever reads: its commits are replayed in memory, what
//! cannot be is said with the number of commits, and nothing on disk changes. A newest generation
//! that is torn is found whatever it says of how it was closed, and what an interrupted write of
//! the engine left is told from damage.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod backups;
#[cfg(feature = "cli")]
mod command;
#[cfg(feature = "sim")]
mod crashes;
mod damage;
mod planted;
mod reading;
#[path = "../support/mod.rs"]
mod support;
mod torn;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cimrepo::base::progress::Unobserved;
use cimrepo::format::checksum::crc32;
use cimrepo::format::own::journal::{CommitBuilder, JournalHeader, JournalOp, MappingId};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{BulkBuilder, OpenOptions, Repository, Snapshot};
use cimrepo::store::{Durability, Engine, EngineOptions};
use cimrepo::verify::{Report, VerifyOptions, verify};
use cimrepo::{Direction, KeyRange};

/// Repositories are small and tests are many.
const ONE_THREAD: VerifyOptions = VerifyOptions {
    threads: std::num::NonZeroUsize::new(1),
    all_generations: false,
};

/// Options under which nothing happens by itself.
fn still() -> EngineOptions {
    EngineOptions::new()
        .background(false)
        .checkpoint_at(u64::MAX, Duration::MAX)
}

/// Makes a repository of one key.
fn make(directory: &Directory) {
    let mut builder = BulkBuilder::create_seeded(directory.clone(), 1).unwrap();
    builder.key(b"NS_0\\FIRST", None).unwrap();
    builder.finish().unwrap();
}

/// A new repository in memory.
fn fresh() -> (MemStorage, Directory) {
    let storage = MemStorage::new();
    let directory = Directory::new(Arc::new(storage.clone()), ".");
    make(&directory);
    (storage, directory)
}

fn put(engine: &Engine, name: &str, size: usize, durability: Durability) -> cimrepo::Result<()> {
    let mut transaction = engine.begin_write()?;
    transaction.set_durability(durability);
    let record = transaction.insert_record(&vec![7; size])?;
    transaction.insert_key(format!("NS_0\\{name}.{record}").as_bytes())?;
    transaction.commit()
}

fn remove(engine: &Engine, name: &str) -> cimrepo::Result<()> {
    let mut transaction = engine.begin_write()?;
    let key = transaction
        .find(format!("NS_0\\{name}.").as_bytes())?
        .unwrap();
    let record = key.reference().unwrap();
    transaction.remove_key(key.as_bytes())?;
    transaction.remove_record(record)?;
    transaction.commit()
}

/// The files of a directory in memory, copied: what a process that is killed leaves.
fn killed(directory: &Directory) -> (MemStorage, Directory) {
    let storage = MemStorage::new();
    for (name, bytes) in files(directory) {
        storage.put(name, bytes);
    }
    let directory = Directory::new(Arc::new(storage.clone()), ".");
    (storage, directory)
}

/// Every file of a directory but its lock, by name.
fn files(directory: &Directory) -> Vec<(String, Vec<u8>)> {
    let entries = directory.storage.read_dir(&directory.path).unwrap();
    let read = |name: &str| {
        let file = directory
            .storage
            .open(&directory.join(name), cimrepo::storage::OpenMode::Read)
            .unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        assert_eq!(file.read_at(0, &mut bytes).unwrap(), bytes.len());
        bytes
    };
    let entries = entries
        .into_iter()
        .filter(|entry| entry.name != "cimrepo.lock");
    let mut files: Vec<_> = entries
        .map(|entry| (entry.name.clone(), read(&entry.name)))
        .collect();
    files.sort();
    files
}

/// A repository whose journal waits: three commits, of which the last takes away what the first
/// made.
fn waiting() -> (MemStorage, Directory) {
    let (_, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    put(&engine, "A", 100, Durability::Journal).unwrap();
    put(&engine, "B", 30_000, Durability::Journal).unwrap();
    remove(&engine, "A").unwrap();
    killed(&directory)
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    let name = |key: String| {
        key.trim_start_matches("NS_0\\")
            .split('.')
            .next()
            .unwrap()
            .to_owned()
    };
    let keys = snapshot.keys(KeyRange::all(), Direction::Forward);
    keys.map(|key| name(key.unwrap().to_string())).collect()
}

fn open(directory: &Directory) -> Repository {
    OpenOptions::new().open_in(directory).unwrap()
}

fn check(repository: &Repository) -> Report {
    verify(repository, ONE_THREAD, &Unobserved).unwrap()
}

/// What a journal names the current generation by.
fn identity(directory: &Directory) -> MappingId {
    let repository = OpenOptions::new()
        .without_journal()
        .open_in(directory)
        .unwrap();
    let snapshot = repository.snapshot();
    let generation = snapshot.mapping().generation();
    let name = format!(
        "MAPPING{}.MAP",
        cimrepo::format::mapping::Mapping::slot_of(generation)
    );
    let (_, bytes) = files(directory)
        .into_iter()
        .find(|(file, _)| *file == name)
        .unwrap();
    MappingId {
        generation,
        mapping_crc: crc32(&bytes),
    }
}

/// The bytes of a journal on a generation, with these commits.
fn journal_on(
    base: MappingId,
    previous: MappingId,
    first_commit: u64,
    commits: &[Vec<JournalOp<'_>>],
) -> Vec<u8> {
    let header = JournalHeader {
        base,
        previous,
        first_commit,
        salt: 0x5EED,
    };
    let mut bytes = header.to_bytes().to_vec();
    for (number, operations) in (first_commit..).zip(commits) {
        let mut builder = CommitBuilder::new();
        operations
            .iter()
            .for_each(|operation| builder.push(*operation).unwrap());
        bytes.extend_from_slice(builder.finish(header.salt, number));
    }
    bytes.extend_from_slice(&[0; 4096]);
    bytes
}

fn journal_name(generation: u32) -> String {
    format!("cimrepo-{generation:010}.journal")
}

/// Plants a journal of these commits on the current generation.
fn plant(storage: &MemStorage, directory: &Directory, commits: &[Vec<JournalOp<'_>>]) {
    let base = identity(directory);
    storage.put(
        Path::new(&journal_name(base.generation)),
        journal_on(base, base, 50, commits),
    );
}

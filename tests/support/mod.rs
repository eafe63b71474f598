//! Common parts of the tests on whole repositories: real ones if there are any, and small generated
//! ones.

// Each test binary uses a part of it.
#![allow(dead_code)]

pub mod areas;
pub mod content;
pub mod crafted;
pub mod edit;
pub mod flips;
pub mod flood;
pub mod hooked;
pub mod raw;
pub mod small;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cimrepo::base::corruption::CorruptionCode;
use cimrepo::base::progress::Unobserved;
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::{OpenOptions, Repository};
use cimrepo::verify::{Report, VerifyOptions, verify};

/// The files of a repository by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The path at which [`in_memory`] stores the files.
pub const PLACE: &str = "repository";

/// Real repositories: every subdirectory of `$CIMREPO_CORPUS`, or else of
/// `target/corpus/repositories`. If there are none, this is reported past the capture of test
/// output, so that a test without any input does not look like one that passed.
pub fn corpus(test: &str) -> Vec<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus/repositories");
    let place = std::env::var_os("CIMREPO_CORPUS").map_or_else(default, PathBuf::from);
    let entries = fs::read_dir(&place)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut repositories: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    repositories.sort();
    if repositories.is_empty() {
        let place = place.display();
        let line = format!(
            "*** {test}: NOT TESTED, no real repository in {place}; set CIMREPO_CORPUS ***"
        );
        #[expect(
            clippy::explicit_write,
            reason = "what eprintln prints is kept back when a test passes"
        )]
        writeln!(std::io::stderr(), "{line}").unwrap();
    }
    repositories
}

/// The name of a directory, for messages.
pub fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The files of a directory that belong to a repository, under the names that Windows gives them.
pub fn load(path: &Path) -> Files {
    let located = OpenOptions::new().open(path).unwrap();
    let read = |name: &str| fs::read(located.files().directory.join(name)).unwrap();
    located
        .files()
        .present()
        .map(|(role, name)| (role.file_name().to_owned(), read(name)))
        .collect()
}

/// The files as a directory in memory, and the storage for changing them without the engine.
pub fn in_memory(files: &Files) -> (MemStorage, Directory) {
    let storage = MemStorage::new();
    storage.create_dir(Path::new(PLACE)).unwrap();
    for (name, bytes) in files {
        storage.put(Path::new(PLACE).join(name), bytes.clone());
    }
    let directory = Directory::new(Arc::new(storage.clone()), PLACE);
    (storage, directory)
}

/// Opens the files from memory.
pub fn open(files: &Files) -> cimrepo::Result<Repository> {
    OpenOptions::new().open_in(&in_memory(files).1)
}

/// Verifies on one thread, because the tests themselves use the others.
pub fn check(repository: &Repository, all_generations: bool) -> Report {
    let options = VerifyOptions {
        threads: NonZeroUsize::new(1),
        all_generations,
    };
    verify(repository, options, &Unobserved).unwrap()
}

/// The codes of all findings, each once.
pub fn codes(report: &Report) -> Vec<CorruptionCode> {
    let mut codes: Vec<CorruptionCode> = report.findings().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// Asserts that there is no finding, and reports any.
pub fn assert_clean(repository: &Repository, what: &str) {
    let report = check(repository, true);
    let findings: Vec<String> = report
        .findings()
        .take(10)
        .map(ToString::to_string)
        .collect();
    assert!(findings.is_empty(), "{what}: {findings:#?}");
    assert!(
        report.is_consistent(),
        "{what}: something could not be checked"
    );
    assert!(
        repository.refused().is_empty() && repository.is_whole(),
        "{what}: {:?}",
        repository.refused()
    );
}

/// Copies the files of a repository into an existing directory, each under the name returned by
/// `rename`.
pub fn write_to(files: &Files, directory: &Path, rename: impl Fn(&str) -> String) {
    for (name, bytes) in files {
        fs::write(directory.join(rename(name)), bytes).unwrap();
    }
}

/// The name with every other letter in lower case.
pub fn odd_case(name: &str) -> String {
    let letters = name.char_indices();
    letters
        .map(|(at, letter)| {
            if at % 2 == 0 {
                letter.to_ascii_lowercase()
            } else {
                letter
            }
        })
        .collect()
}

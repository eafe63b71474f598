//! Several repositories and collected trees in one run: the search in the library, and the command
//! that reads what it finds.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]
#![cfg(feature = "cli")]

mod counts;
mod finder;
mod inside;
mod pages;
mod pipes;
// They compare paths as they are printed, which Windows separates with backslashes.
#[cfg(unix)]
mod trees;

use std::fs;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use cimrepo::catalog::create;
use cimrepo::storage::Directory;
use serde_json::Value;

type Argument<'a> = &'a dyn AsRef<Path>;

fn command(arguments: &[Argument<'_>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    command
        .args(
            arguments
                .iter()
                .map(|argument| argument.as_ref().as_os_str()),
        )
        .stdin(Stdio::null());
    command
}

/// Runs the command; gives standard output and standard error.
fn run(arguments: &[Argument<'_>], code: i32) -> (String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(arguments).output().expect("the command runs");
    let (out, err) = (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    );
    assert_eq!(status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    (out, err)
}

fn rows(arguments: &[Argument<'_>], code: i32) -> Vec<Value> {
    let (out, _) = run(arguments, code);
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A repository with the system classes, and the directories above it.
fn repository(path: &Path) {
    fs::create_dir_all(path).unwrap();
    create(&Directory::real(path)).unwrap();
}

/// A collected tree: the repository of a machine, the one that was set aside, and one of the
/// Windows before.
#[cfg(unix)]
fn evidence(dir: &Path) -> [PathBuf; 3] {
    let wbem = dir.join("evidence/C/Windows/System32/wbem");
    let old = dir.join("evidence/C/Windows.old/WINDOWS/system32/wbem/repository/FS");
    let places = [wbem.join("Repository"), wbem.join("Repository.001"), old];
    places.iter().for_each(|place| repository(place));
    places
}

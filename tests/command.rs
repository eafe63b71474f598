//! The command as a user sees it: output, exit codes, help.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on stops")]
#![cfg(feature = "cli")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cimrepo::repository::BulkBuilder;
use cimrepo::storage::{Directory, RealStorage, Storage};
use serde_json::Value;

fn cimrepo(arguments: &[&dyn AsRef<Path>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    command.args(arguments.iter().map(|argument| argument.as_ref().as_os_str()));
    command.stdin(Stdio::null()).output().expect("the command runs")
}

fn run(arguments: &[&dyn AsRef<Path>], code: i32) -> String {
    let output = cimrepo(arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    if code > 1 {
        assert!(!err.is_empty(), "a failure says why");
    }
    format!("{out}{err}")
}

fn rows(arguments: &[&dyn AsRef<Path>], code: i32) -> Vec<Value> {
    let output = cimrepo(arguments);
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.iter().all(|row| row["schema"] == 1 && row["kind"].is_string()));
    rows
}

/// A small repository and an empty directory.
struct Place {
    dir: tempfile::TempDir,
    repo: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("Repository");
        fs::create_dir(&repo).unwrap();
        let mut builder = BulkBuilder::create_seeded(Directory::real(&repo), 3).unwrap();
        for number in 0..40 {
            let record = builder.record(format!("record {number}").repeat(60).as_bytes()).unwrap();
            builder.key(format!("NS_{:02}\\CD_{number:064}", number / 10).as_bytes(), Some(record)).unwrap();
        }
        builder.finish().unwrap();
        Self { dir, repo }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[test]
fn the_demo_shows_the_main_job() {
    let place = Place::new();
    let demo = place.at("demo");
    let text = run(&[&"demo", &demo], 0);
    for word in ["1. build", "5. damage", "seen: INDEX.BTR", "nothing is lost"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(demo.join("damaged.001").is_dir());
    run(&[&"verify", &demo.join("damaged")], 0);
    run(&[&"verify", &demo.join("damaged.001")], 1);
    assert!(run(&[&"demo", &demo], 2).contains("not empty"));
    assert_eq!(rows(&[&"demo", &place.at("demo2"), &"--json"], 0).len(), 8);
}

#[test]
fn the_main_job_from_repository_to_repository() {
    let place = Place::new();
    let (first, second, restored) = (place.at("monday.cimbak"), place.at("tuesday.cimbak"), place.at("restored"));
    assert!(run(&[&"verify", &place.repo], 0).ends_with("WMI repository is consistent\n"));
    run(&[&"backup", &place.repo, &first], 0);
    let row = &rows(&[&"backup", &place.repo, &second, &"--base", &first, &"--json"], 0)[0];
    assert_eq!(row["pages"], 0);
    assert!(run(&[&"verify", &second], 0).contains("WMI repository is consistent"));
    run(&[&"restore", &second, &restored], 0);
    assert!(run(&[&"restore", &second, &restored], 2).contains("holds a repository"));
    let row = &rows(&[&"restore", &first, &restored, &"--force", &"--json"], 0)[0];
    assert_eq!(row["installed"], "next-generation");
    let keys = run(&[&"keys", &place.repo], 0);
    assert_eq!(keys.lines().count(), 40);
    for other in [&restored, &first, &second] {
        assert_eq!(run(&[&"keys", other], 0), keys);
        let (a, b) = (run(&[&"page", other, &"objects", &"0"], 0), run(&[&"page", &place.repo, &"objects", &"0"], 0));
        assert_eq!(a.lines().skip(1).collect::<Vec<_>>(), b.lines().skip(1).collect::<Vec<_>>());
    }
}

#[test]
fn rows_of_keys_and_pages() {
    let place = Place::new();
    let keys = rows(&[&"keys", &place.repo, &"NS_02", &"--json"], 0);
    assert_eq!(keys.len(), 10);
    assert!(keys[0]["key"].as_str().unwrap().starts_with("NS_02\\CD_") && keys[0]["size"].is_u64());
    run(&[&"keys", &place.repo, &"NS_77"], 1);
    let mut reversed: Vec<String> =
        run(&[&"keys", &place.repo, &"--reverse"], 0).lines().map(ToOwned::to_owned).collect();
    reversed.reverse();
    assert_eq!(reversed.join("\n") + "\n", run(&[&"keys", &place.repo], 0));
    assert_eq!(rows(&[&"page", &place.repo, &"objects", &"--json"], 0).len(), 40);
    let node = &rows(&[&"page", &place.repo, &"index", &"0", &"--json"], 0)[0];
    assert_eq!(node["kind"], "node");
    let raw = cimrepo(&[&"page", &place.repo, &"index", &"0", &"--raw"]);
    assert_eq!(raw.stdout.len(), 8192);
    assert_eq!(raw.stdout, fs::read(place.repo.join("INDEX.BTR")).unwrap()[..8192]);
    assert!(run(&[&"page", &place.repo, &"objects", &"0", &"--hex"], 0).contains("1ff0  "));
    assert!(run(&[&"page", &place.repo, &"objects", &"4000000"], 4).contains("the mapping ends"));
    run(&[&"page", &place.repo, &"index"], 2);
}

#[test]
fn without_a_mapping_the_objects_can_still_be_listed() {
    let place = Place::new();
    for number in 1..=3 {
        fs::remove_file(place.repo.join(format!("MAPPING{number}.MAP"))).unwrap();
    }
    let text = run(&[&"info", &place.repo], 4);
    assert!(text.contains("40 records") && text.contains("no mapping file"), "{text}");
    assert_eq!(rows(&[&"page", &place.repo, &"objects", &"--physical", &"--json"], 0).len(), 40);
}

#[test]
fn each_failure_has_its_exit_code() {
    let place = Place::new();
    let (backup, text) = (place.at("b.cimbak"), place.at("text"));
    fs::write(&text, "not a backup").unwrap();
    let empty = place.at("empty");
    fs::create_dir(&empty).unwrap();
    run(&[&"backup", &place.repo, &backup], 0);

    run(&[&"verify"], 2);
    run(&[&"keys", &place.repo, &"--generation", &"77"], 2);
    run(&[&"backup", &place.repo, &empty], 2);
    run(&[&"backup", &place.repo, &place.repo.join("objects.data")], 2);
    run(&[&"backup", &place.repo, &backup, &"--scrub", &"--forensic"], 2);
    run(&[&"verify", &place.at("nowhere")], 3);
    run(&[&"backup", &place.repo, &place.at("nowhere/b.cimbak")], 3);
    run(&[&"verify", &empty], 4);
    assert!(run(&[&"verify", &text], 4).contains("not a cimrepo backup"));
    run(&[&"restore", &text, &place.at("x")], 4);
    run(&[&"backup", &place.repo, &place.at("c.cimbak"), &"--base", &text], 4);

    let lock = RealStorage.lock(&place.repo.join("cimrepo.lock"), "process 1 (a test)").unwrap();
    assert!(run(&[&"restore", &backup, &place.repo, &"--force"], 5).contains("process 1 (a test)"));
    drop(lock);
    assert!(!place.at("x").exists() && !place.at("c.cimbak").exists());

    let mut bytes = fs::read(place.repo.join("OBJECTS.DATA")).unwrap();
    bytes[0] ^= 1;
    fs::write(place.repo.join("OBJECTS.DATA"), bytes).unwrap();
    let text = run(&[&"verify", &place.repo], 1);
    assert!(text.contains("[page.checksum]") && !text.contains("consistent"), "{text}");
    let found = rows(&[&"verify", &place.repo, &"--json"], 1);
    assert_eq!(found.last().unwrap()["consistent"], false);
    assert!(run(&[&"backup", &place.repo, &backup], 4).contains("OBJECTS.DATA, page 0"));
    run(&[&"verify", &backup], 0);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    let mut child = command.arg("keys").arg(&place.repo).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn help_says_what_how_and_what_for() {
    let text = run(&[&"--help"], 0);
    for verb in ["demo", "info", "verify", "backup", "restore", "keys", "page"] {
        assert!(text.contains(verb));
        let help = run(&[&verb, &"--help"], 0);
        assert!(help.contains("Example") && help.contains(&format!("cimrepo {verb}")), "{help}");
    }
    assert!(text.contains("Exit codes"));
    assert!(run(&[&"--version"], 0).starts_with("cimrepo 0.1.0"));
}

#[cfg(unix)]
#[test]
fn a_command_runs_while_the_repository_is_paused() {
    let place = Place::new();
    let copy = place.at("copy");
    let text = run(&[&"pause", &place.repo, &"--", &"cp", &"-a", &place.repo, &copy], 0);
    assert_eq!(text, "");
    run(&[&"verify", &copy], 0);
    // Meanwhile no one else gets the lock, and is told who has it.
    let nested =
        cimrepo(&[&"pause", &place.repo, &"--", &env!("CARGO_BIN_EXE_cimrepo"), &"pause", &place.repo, &"--", &"true"]);
    assert_eq!(nested.status.code(), Some(1), "the inner one failed");
    let err = String::from_utf8_lossy(&nested.stderr);
    assert!(err.contains("is locked by process ") && err.contains("exit status: 5"), "{err}");
    assert!(run(&[&"pause", &place.repo, &"--", &"false"], 1).contains("the pause held"));
    assert!(run(&[&"pause", &place.repo, &"--", &"/no such program"], 3).contains("cannot run"));
    run(&[&"pause", &place.repo], 2);
    run(&[&"pause", &place.at("nothing"), &"--", &"true"], 3);
    let expired = run(&[&"pause", &place.repo, &"--lease", &"0", &"--", &"sleep", &"0.3"], 5);
    assert!(expired.contains("not to be trusted"), "{expired}");
    let rows = rows(&[&"pause", &place.repo, &"--json", &"--", &"true"], 0);
    assert_eq!((rows[0]["held"].clone(), rows[0]["status"].clone()), (Value::Bool(true), 0.into()));
}

#[cfg(unix)]
#[test]
fn a_killed_pause_leaves_nothing_locked() {
    let place = Place::new();
    for _ in 0..5 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
        let inner = ["--", "sh", "-c", "echo paused; cat"].map(std::ffi::OsStr::new);
        command.arg("pause").arg(&place.repo).args(inner);
        // It lasts until its input ends, which is when it is dropped here.
        let mut paused = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 7];
        std::io::Read::read_exact(paused.stdout.as_mut().unwrap(), &mut said).unwrap();
        assert_eq!(&said, b"paused\n");
        assert!(run(&[&"pause", &place.repo, &"--", &"true"], 5).contains("is locked by process "));
        paused.kill().unwrap();
        paused.wait().unwrap();
        run(&[&"pause", &place.repo, &"--", &"true"], 0);
        run(&[&"verify", &place.repo], 0);
    }
}

//! The command as a user sees it: output, exit codes, help.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]
#![cfg(feature = "cli")]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cimrepo::storage::{Directory, RealStorage, Storage};
use cimrepo::store::BulkBuilder;
use serde_json::Value;

fn cimrepo(arguments: &[&dyn AsRef<Path>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    command.args(
        arguments
            .iter()
            .map(|argument| argument.as_ref().as_os_str()),
    );
    command
        .stdin(Stdio::null())
        .output()
        .expect("the command runs")
}

fn run(arguments: &[&dyn AsRef<Path>], code: i32) -> String {
    let output = cimrepo(arguments);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout: {out}\nstderr: {err}"
    );
    if code > 1 {
        assert!(!err.is_empty(), "a failure says why");
    }
    format!("{out}{err}")
}

fn rows(arguments: &[&dyn AsRef<Path>], code: i32) -> Vec<Value> {
    let output = cimrepo(arguments);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        rows.iter()
            .all(|row| row["schema"] == 1 && row["kind"].is_string())
    );
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
            let record = builder
                .record(format!("record {number}").repeat(60).as_bytes())
                .unwrap();
            builder
                .key(
                    format!("NS_{:02}\\CD_{number:064}", number / 10).as_bytes(),
                    Some(record),
                )
                .unwrap();
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
    for word in [
        "1. build",
        "a sample MOF",
        "5. change",
        "6. damage",
        "seen: INDEX.BTR",
        "nothing is lost",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(demo.join("damaged.001").is_dir());
    run(&[&"verify", &demo.join("damaged")], 0);
    run(&[&"verify", &demo.join("damaged.001")], 1);
    assert!(run(&[&"demo", &demo], 2).contains("not empty"));
    assert_eq!(rows(&[&"demo", &place.at("demo2"), &"--json"], 0).len(), 9);
}

#[test]
fn the_main_job_from_repository_to_repository() {
    let place = Place::new();
    let (first, second, restored) = (
        place.at("monday.cimbak"),
        place.at("tuesday.cimbak"),
        place.at("restored"),
    );
    assert!(run(&[&"verify", &place.repo], 0).ends_with("WMI repository is consistent\n"));
    run(&[&"backup", &place.repo, &first], 0);
    let row = &rows(
        &[
            &"backup",
            &place.repo,
            &second,
            &"--base",
            &first,
            &"--json",
        ],
        0,
    )[0];
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
        let (a, b) = (
            run(&[&"page", other, &"objects", &"0"], 0),
            run(&[&"page", &place.repo, &"objects", &"0"], 0),
        );
        assert_eq!(
            a.lines().skip(1).collect::<Vec<_>>(),
            b.lines().skip(1).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_directory_keeps_so_many_backups() {
    let place = Place::new();
    let kept = place.at("kept");
    let back_up = |more: &[&dyn AsRef<Path>], code: i32| {
        let mut arguments: Vec<&dyn AsRef<Path>> =
            vec![&"backup", &place.repo, &kept, &"--keep", &"2", &"--json"];
        arguments.extend(more);
        rows(&arguments, code)
    };
    let first = &back_up(&[&"--full-after", &"1"], 0)[0];
    assert!(first["base"].is_null() && first["removed"].as_array().unwrap().is_empty());
    let second = &back_up(&[&"--full-after", &"1", &"--rate", &"100M"], 0)[0];
    assert_eq!(
        (&second["base"], &second["pages"]),
        (&first["file"], &Value::from(0))
    );
    assert!(back_up(&[&"--full-after", &"1"], 0)[0]["base"].is_null());
    let fourth = &back_up(&[&"--full-after", &"1"], 0)[0];
    assert_eq!(
        fourth["removed"].as_array().unwrap().as_slice(),
        [second["file"].clone(), first["file"].clone()]
    );
    let listed = rows(&[&"backups", &"list", &kept, &"--json"], 0);
    assert_eq!(
        listed
            .iter()
            .map(|row| row["chain"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(
        listed
            .iter()
            .all(|row| row["usable"] == true && row["findings"].is_null())
    );
    let verified = run(&[&"backups", &"verify", &kept], 0);
    assert!(
        verified.contains("in the chain") && verified.ends_with("2 backups\n"),
        "{verified}"
    );
    assert_eq!(verified.matches(": consistent").count(), 2);
    // The newest is changed: that is told, nothing is based on it, and a full one begins anew.
    let newest = PathBuf::from(fourth["file"].as_str().unwrap());
    let mut bytes = fs::read(&newest).unwrap();
    let len = bytes.len();
    bytes[len - 40] ^= 1;
    fs::write(&newest, bytes).unwrap();
    assert!(run(&[&"backups", &"list", &kept], 1).contains("NOT USABLE"));
    assert_eq!(
        rows(&[&"backups", &"verify", &kept, &"--json"], 1)[1]["usable"],
        false
    );
    assert!(
        run(&[&"backup", &place.repo, &kept, &"--keep", &"2"], 1).contains("this is a full backup")
    );
    assert!(
        run(
            &[&"backup", &place.repo, &kept, &"--keep", &"2", &"--full"],
            0
        )
        .contains("backed up to")
    );
    fs::remove_file(&newest).unwrap();
    assert!(run(&[&"backups", &"prune", &kept, &"--keep", &"1"], 0).contains("2 backups removed"));
    run(&[&"backups", &"verify", &kept], 0);
    // What makes no sense.
    run(&[&"backup", &place.repo, &kept, &"--keep", &"0"], 2);
    run(&[&"backup", &place.repo, &kept, &"--full"], 2);
    run(
        &[&"backup", &place.repo, &place.at("x"), &"--rate", &"0"],
        2,
    );
    run(
        &[
            &"backup",
            &place.repo,
            &kept,
            &"--keep",
            &"2",
            &"--base",
            &newest,
        ],
        2,
    );
    run(&[&"backups", &"list", &place.at("nowhere")], 3);
    let empty = place.at("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(run(&[&"backups", &"list", &empty], 1), "0 backups\n");
}

#[test]
fn rows_of_keys_and_pages() {
    let place = Place::new();
    let keys = rows(&[&"keys", &place.repo, &"NS_02", &"--json"], 0);
    assert_eq!(keys.len(), 10);
    assert!(keys[0]["key"].as_str().unwrap().starts_with("NS_02\\CD_") && keys[0]["size"].is_u64());
    run(&[&"keys", &place.repo, &"NS_77"], 1);
    let mut reversed: Vec<String> = run(&[&"keys", &place.repo, &"--reverse"], 0)
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    reversed.reverse();
    assert_eq!(reversed.join("\n") + "\n", run(&[&"keys", &place.repo], 0));
    assert_eq!(
        rows(&[&"page", &place.repo, &"objects", &"--json"], 0).len(),
        40
    );
    let page = rows(&[&"page", &place.repo, &"index", &"0", &"--json"], 0);
    assert_eq!(
        (&page[0]["kind"], &page[1]["kind"]),
        (&"page".into(), &"node".into())
    );
    assert_eq!(
        (
            &page[0]["space"],
            &page[0]["physical_page"],
            &page[0]["finding"]
        ),
        (&"index".into(), &0.into(), &Value::Null)
    );
    assert!(run(&[&"keys", &place.repo, &"NS_\x1b"], 1).contains("no key begins with NS_\\x1B"));
    let raw = cimrepo(&[&"page", &place.repo, &"index", &"0", &"--raw"]);
    assert_eq!(raw.stdout.len(), 8192);
    assert_eq!(
        raw.stdout,
        fs::read(place.repo.join("INDEX.BTR")).unwrap()[..8192]
    );
    assert!(run(&[&"page", &place.repo, &"objects", &"0", &"--hex"], 0).contains("1ff0  "));
    let beyond = run(&[&"page", &place.repo, &"objects", &"4000000"], 2);
    assert!(
        beyond.contains("OBJECTS.DATA has no logical page 4000000; its logical pages are 0 to"),
        "{beyond}"
    );
    assert!(
        run(&[&"page", &place.repo, &"index", &"70", &"--physical"], 2)
            .contains("no physical page 70; its")
    );
    run(&[&"page", &place.repo, &"index"], 2);
}

#[test]
fn without_a_mapping_the_objects_can_still_be_listed() {
    let place = Place::new();
    for number in 1..=3 {
        fs::remove_file(place.repo.join(format!("MAPPING{number}.MAP"))).unwrap();
    }
    let text = run(&[&"info", &place.repo], 4);
    assert!(
        text.contains("40 records") && text.contains("no mapping file"),
        "{text}"
    );
    assert_eq!(
        rows(
            &[&"page", &place.repo, &"objects", &"--physical", &"--json"],
            0
        )
        .len(),
        40
    );
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
    run(
        &[&"backup", &place.repo, &place.repo.join("objects.data")],
        2,
    );
    run(
        &[&"backup", &place.repo, &backup, &"--scrub", &"--forensic"],
        2,
    );
    assert!(run(&[&"backup", &place.repo, &text], 2).contains("--overwrite"));
    assert_eq!(fs::read(&text).unwrap(), b"not a backup");
    run(&[&"backup", &place.repo, &text, &"--overwrite"], 0);
    run(&[&"verify", &text], 0);
    fs::write(&text, "not a backup").unwrap();
    run(&[&"verify", &place.at("nowhere")], 3);
    run(&[&"backup", &place.repo, &place.at("nowhere/b.cimbak")], 3);
    run(&[&"verify", &empty], 4);
    assert!(run(&[&"verify", &text], 4).contains("not a cimrepo backup"));
    run(&[&"restore", &text, &place.at("x")], 4);
    run(
        &[
            &"backup",
            &place.repo,
            &place.at("c.cimbak"),
            &"--base",
            &text,
        ],
        4,
    );

    let lock = RealStorage
        .lock(&place.repo.join("cimrepo.lock"), "process 1 (a test)")
        .unwrap();
    assert!(run(&[&"restore", &backup, &place.repo, &"--force"], 5).contains("process 1 (a test)"));
    drop(lock);
    assert!(!place.at("x").exists() && !place.at("c.cimbak").exists());

    let mut bytes = fs::read(place.repo.join("OBJECTS.DATA")).unwrap();
    bytes[0] ^= 1;
    fs::write(place.repo.join("OBJECTS.DATA"), bytes).unwrap();
    let text = run(&[&"verify", &place.repo], 1);
    assert!(
        text.contains("[page.checksum]") && !text.contains("consistent"),
        "{text}"
    );
    let found = rows(&[&"verify", &place.repo, &"--json"], 1);
    assert_eq!(found.last().unwrap()["consistent"], false);
    assert!(run(&[&"backup", &place.repo, &backup], 4).contains("OBJECTS.DATA, page 0"));
    run(&[&"verify", &backup], 0);

    // Everything that is damaged is told, not only what was met first.
    let mut bytes = fs::read(&backup).unwrap();
    let chunks = cimrepo::backup::Backup::open(&backup)
        .unwrap()
        .manifest()
        .chunks
        .clone();
    for chunk in chunks.iter().filter(|chunk| chunk.header.kind.has_pages()) {
        bytes[usize::try_from(chunk.offset).unwrap()] ^= 1;
    }
    fs::write(&backup, bytes).unwrap();
    let text = run(&[&"verify", &backup], 4);
    assert!(
        text.contains("2 chunks of the backup are damaged")
            && text.matches("object pages").count() > 0,
        "{text}"
    );
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    let mut child = command
        .arg("keys")
        .arg(&place.repo)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

/// Runs a verb with standard output or standard error that nobody reads; gives the exit code and
/// what the other one got.
fn unheard(arguments: &[&dyn AsRef<Path>], close_error: bool) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    command.args(
        arguments
            .iter()
            .map(|argument| argument.as_ref().as_os_str()),
    );
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if close_error {
        drop(child.stderr.take());
    } else {
        drop(child.stdout.take());
    }
    let output = child.wait_with_output().unwrap();
    let text = if close_error {
        output.stdout
    } else {
        output.stderr
    };
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn the_exit_code_is_right_whoever_listens() {
    let place = Place::new();
    let mut bytes = fs::read(place.repo.join("OBJECTS.DATA")).unwrap();
    bytes[0] ^= 1;
    let sound = place.at("sound.cimbak");
    run(&[&"backup", &place.repo, &sound], 0);
    fs::write(place.repo.join("OBJECTS.DATA"), bytes).unwrap();
    for close_error in [false, true] {
        // Whoever closes standard output has seen enough, and 0 is the end of that.
        let found = i32::from(close_error);
        assert_eq!(
            unheard(&[&"verify", &place.repo], close_error).0,
            Some(found)
        );
        assert_eq!(
            unheard(&[&"verify", &place.repo, &"--json"], close_error).0,
            Some(found)
        );
        assert_eq!(unheard(&[&"verify", &sound], close_error).0, Some(0));
        assert_eq!(
            unheard(&[&"verify", &place.at("nowhere")], close_error).0,
            Some(3)
        );
        assert_eq!(
            unheard(&[&"page", &place.repo, &"objects", &"0"], close_error).0,
            Some(0)
        );
        assert_eq!(unheard(&[&"info", &place.repo], close_error).0, Some(found));
        assert_eq!(
            unheard(&[&"keys", &place.at("nowhere")], close_error).0,
            Some(3)
        );
    }
    // What is done without being shown is done.
    let (restored, again) = (place.at("restored"), place.at("again.cimbak"));
    assert_eq!(
        unheard(&[&"restore", &sound, &restored], false),
        (Some(0), String::new())
    );
    assert_eq!(
        unheard(&[&"backup", &restored, &again], false),
        (Some(0), String::new())
    );
    run(&[&"verify", &restored], 0);
    run(&[&"verify", &again], 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let place = Place::new();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    let output = command
        .arg("keys")
        .arg(&place.repo)
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write the output: "));
}

#[test]
fn a_refused_mapping_file_fails_the_verification() {
    let place = Place::new();
    let files = ["MAPPING1.MAP", "MAPPING2.MAP", "MAPPING3.MAP"].map(|name| place.repo.join(name));
    let generations: Vec<u32> = files.iter().map(|file| word(file, 8)).collect();
    let newest = *generations.iter().max().unwrap();
    for (file, generation) in files.iter().zip(generations) {
        let intact = fs::read(file).unwrap();
        fs::write(file, &intact[..intact.len() - 6]).unwrap();
        // The front of the file says which generation was there: only that of the newest may hide a
        // newer state.
        let may_be_newer = generation == newest;
        let text = run(&[&"verify", &place.repo], i32::from(may_be_newer));
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(
            text.contains(&format!("cimrepo: {name} was refused: ")),
            "{text}"
        );
        assert_eq!(
            text.contains("a newer state may be lost with it"),
            may_be_newer,
            "{text}"
        );
        assert_eq!(
            text.contains("FAILED verification: 0 findings, 1 file refused"),
            may_be_newer,
            "{text}"
        );
        assert_eq!(text.contains("is consistent"), !may_be_newer, "{text}");
        let rows = rows(
            &[&"verify", &place.repo, &"--json"],
            i32::from(may_be_newer),
        );
        let row = |kind: &str| rows.iter().find(|row| row["kind"] == kind).unwrap();
        assert_eq!(
            (
                row("refusal")["file"].as_str(),
                &row("refusal")["may_be_newer"]
            ),
            (Some(name), &may_be_newer.into())
        );
        assert_eq!(row("result")["consistent"], true);
        let verdict = rows.last().unwrap();
        assert_eq!(
            (verdict["kind"].as_str(), &verdict["consistent"]),
            (Some("verdict"), &(!may_be_newer).into())
        );
        assert_eq!(verdict["newer_state_lost"], may_be_newer);
        assert!(run(&[&"verify", &place.repo, &"--all-generations"], 1).contains("1 file refused"));
        fs::write(file, intact).unwrap();
    }
    run(&[&"verify", &place.repo, &"--all-generations"], 0);
}

fn word(file: &Path, at: usize) -> u32 {
    u32::from_le_bytes(fs::read(file).unwrap()[at..at + 4].try_into().unwrap())
}

#[test]
fn options_that_do_not_fit_say_so_and_messages_name_those_that_help() {
    let place = Place::new();
    let (monday, tuesday, restored) = (
        place.at("monday.cimbak"),
        place.at("tuesday.cimbak"),
        place.at("restored"),
    );
    run(&[&"backup", &place.repo, &monday], 0);
    run(&[&"backup", &place.repo, &tuesday, &"--base", &monday], 0);
    run(&[&"restore", &tuesday, &restored], 0);
    assert!(run(&[&"restore", &tuesday, &restored], 2).contains("--force"));
    let generation =
        word(&place.repo.join("MAPPING1.MAP"), 8).max(word(&place.repo.join("MAPPING2.MAP"), 8));
    let generation = generation.max(word(&place.repo.join("MAPPING3.MAP"), 8));
    for verb in ["info", "verify", "keys"] {
        run(
            &[&verb, &monday, &"--generation", &generation.to_string()],
            0,
        );
        let other = run(&[&verb, &monday, &"--generation", &"77"], 2);
        assert!(
            other.contains(&format!(
                "is a backup of generation {generation}; it holds no 77"
            )),
            "{other}"
        );
        assert!(
            run(&[&verb, &place.repo, &"--base", &monday], 2).contains("is no backup, so --base")
        );
    }
    let physical = run(&[&"page", &monday, &"objects", &"0", &"--physical"], 2);
    assert!(
        physical.contains("--physical reads the data files in a directory"),
        "{physical}"
    );
    let elsewhere = place.at("elsewhere/monday.cimbak");
    fs::create_dir(place.at("elsewhere")).unwrap();
    fs::rename(&monday, &elsewhere).unwrap();
    for verb in ["info", "verify", "keys"] {
        assert!(run(&[&verb, &tuesday], 4).contains("--base FILE"));
        run(&[&verb, &tuesday, &"--base", &elsewhere], 0);
    }
    assert!(run(&[&"restore", &tuesday, &place.at("second")], 4).contains("--base FILE"));
    let missing = run(
        &[
            &"restore",
            &tuesday,
            &place.at("no/parent"),
            &"--base",
            &elsewhere,
        ],
        3,
    );
    assert!(missing.contains("cannot find directory"), "{missing}");
}

/// An inner page shows each of its children; in dialect 2.2 page 0 is one like any other.
#[test]
fn an_inner_page_shows_all_its_children() {
    let place = Place::new();
    let big = place.at("big");
    fs::create_dir(&big).unwrap();
    let mut builder = BulkBuilder::create_seeded(Directory::real(&big), 3).unwrap();
    for number in 0..400 {
        builder
            .key(
                format!("NS_00\\CR_{number:064}\\C_{number:064}").as_bytes(),
                None,
            )
            .unwrap();
    }
    builder.finish().unwrap();
    let root = open_root(&big);
    let row = &rows(&[&"page", &big, &"index", &root, &"--json"], 0)[1];
    let children: Vec<String> = row["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        children.len() > 2 && children.contains(&"0".to_owned()),
        "{children:?}"
    );
    for physical in [false, true] {
        // The builder puts each page where its number says.
        let arguments: &[&dyn AsRef<Path>] = &[&"page", &big, &"index", &root, &"--physical"];
        let text = run(if physical { arguments } else { &arguments[..4] }, 0);
        let shown: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("  child "))
            .collect();
        assert_eq!(shown, children);
    }
    assert!(
        !run(&[&"page", &big, &"index", &children[0]], 0).contains("child"),
        "a leaf has none"
    );
}

fn open_root(path: &Path) -> String {
    let snapshot = cimrepo::store::Repository::open_read_only(path)
        .unwrap()
        .snapshot();
    snapshot.mapping().index.entries[0].user_data.to_string()
}

/// A sparse file takes no room on the disk, and whoever reads it to its end reads for days.
#[cfg(unix)]
#[test]
fn a_sparse_file_of_a_terabyte_is_looked_at_in_seconds() {
    let place = Place::new();
    let objects = fs::OpenOptions::new()
        .write(true)
        .open(place.repo.join("OBJECTS.DATA"))
        .unwrap();
    if objects.set_len(1 << 40).is_err() {
        println!("not shown: the file system has no files of a terabyte");
        return;
    }
    run(&[&"verify", &place.repo], 0);
    assert!(run(&[&"info", &place.repo], 0).contains("40 records"));
    for number in 1..=3 {
        fs::remove_file(place.repo.join(format!("MAPPING{number}.MAP"))).unwrap();
    }
    let text = run(&[&"info", &place.repo], 4);
    assert!(
        text.contains("40 records")
            && text.contains("has 134217728 pages; the first 131072 are looked at"),
        "{text}"
    );
}

#[test]
fn objects_are_listed_shown_exported_compared_and_converted() {
    let place = Place::new();
    let new = place.at("new");
    assert!(run(&[&"create", &new], 0).contains("3 namespaces, "));
    assert!(
        run(&[&"create", &new], 2).contains("new"),
        "what is there is not written over"
    );
    assert!(
        run(&[&"verify", &new, &"--level", &"schema"], 0).contains("WMI repository is consistent")
    );

    let list = run(&[&"ls", &new], 0);
    assert!(
        list.starts_with("namespace ROOT\\DEFAULT\nnamespace ROOT\\SECURITY\nclass     ROOT:"),
        "{list}"
    );
    assert!(list.contains("instance  ROOT:__SystemSecurity=@\n"));
    assert!(
        run(&[&"ls", &new, &"/root/security", &"-r"], 0)
            .contains("class     ROOT\\SECURITY:__User : __Subject")
    );
    assert!(run(&[&"ls", &new, &"root\\none"], 1).contains("there is no namespace root\\none"));

    let mof = run(&[&"show", &new, &"root:__win32provider", &"--inherited"], 0);
    assert!(
        mof.contains("class __Win32Provider : __Provider\n{\n")
            && mof.contains("(of __Provider, key)"),
        "{mof}"
    );
    let mof = run(&[&"show", &new, &"root:__NAMESPACE.Name=\"default\""], 0);
    assert_eq!(
        mof,
        "instance of __NAMESPACE\n{\n    Name = \"DEFAULT\";\n};\n"
    );
    assert!(
        run(&[&"show", &new, &"root:__NAMESPACE.Name=\"x\""], 1)
            .contains("there is no root:__NAMESPACE")
    );
    assert!(run(&[&"show", &new, &"root:="], 2).contains("not an object path"));
    let shown = rows(
        &[
            &"show",
            &new,
            &"root:__NAMESPACE.Name=\"default\"",
            &"--json",
        ],
        0,
    );
    assert_eq!(shown[0]["path"], "ROOT:__NAMESPACE.Name=\"DEFAULT\"");

    let all = rows(&[&"export", &new], 0);
    let count = |kind: &str| all.iter().filter(|row| row["kind"] == kind).count() as u64;
    let snapshot = cimrepo::store::Repository::open_read_only(&new)
        .unwrap()
        .snapshot();
    let counts = snapshot.counts();
    assert_eq!(
        [count("namespace"), count("class"), count("instance")],
        [
            counts.namespaces,
            counts.class_definitions,
            counts.instances
        ]
    );
    let paths: Vec<&str> = all
        .iter()
        .filter_map(|row| row["path"].as_str())
        .filter(|path| !path.contains(':'))
        .collect();
    assert_eq!(
        paths,
        ["__SystemClass", "ROOT", "ROOT\\DEFAULT", "ROOT\\SECURITY"]
    );
    assert!(shown.iter().all(|row| all.contains(row)), "one schema");
    let class = all
        .iter()
        .find(|row| row["name"] == "__Win32Provider")
        .unwrap();
    let name = &class["properties"][0];
    assert_eq!(
        (&name["name"], &name["origin"], &name["local"]),
        (&"Name".into(), &"__Provider".into(), &false.into())
    );
    let of_system =
        |row: &&Value| row["namespace"] == "__SystemClass" || row["path"] == "__SystemClass";
    let below_root = rows(&[&"export", &new, &"--namespace", &"root", &"-r"], 0);
    assert_eq!(
        below_root.len() + all.iter().filter(of_system).count(),
        all.len()
    );

    let again = place.at("again");
    assert!(run(&[&"convert", &new, &again], 0).contains("the same content"));
    assert_eq!(run(&[&"diff", &new, &again], 0), "");
    let backup = place.at("new.cimbak");
    run(&[&"backup", &new, &backup], 0);
    assert_eq!(run(&[&"diff", &backup, &again], 0), "");
    let engine = cimrepo::store::EngineOptions::new().open(&again).unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    writer.create_namespace("ROOT\\Added").unwrap();
    writer.commit().unwrap();
    engine.close().unwrap();
    let differences = run(&[&"diff", &new, &again], 1);
    assert!(
        differences.contains("+ instance  ROOT:__NAMESPACE.Name=\"Added\"\n"),
        "{differences}"
    );
    assert!(
        differences.contains("+ namespace ROOT\\Added\n"),
        "{differences}"
    );
    let differences = rows(&[&"diff", &again, &new, &"--json"], 1);
    assert!(
        differences.iter().all(|row| row["change"] == "removed"),
        "{differences:?}"
    );
}

/// A directory that was made for a repository goes when none comes to be; one that was there stays,
/// empty.
#[test]
fn what_fails_leaves_no_new_directory() {
    let place = Place::new();
    // No object can be read, so there is nothing to be converted.
    run(
        &[&"convert", &place.repo, &place.at("above").join("new")],
        4,
    );
    assert!(!place.at("above").exists());
    let there = place.at("there");
    fs::create_dir(&there).unwrap();
    run(&[&"convert", &place.repo, &there.join("new")], 4);
    run(&[&"convert", &place.repo, &there], 4);
    assert_eq!(fs::read_dir(&there).unwrap().count(), 0);
}

/// What cannot be read is told, and the rest follows.
#[test]
fn one_bad_object_does_not_end_a_list() {
    let place = Place::new();
    let text = run(&[&"export", &place.repo], 4);
    assert!(
        text.contains("1 namespace, 0 of 40 classes, 0 instances; lost: 40 by key.shape"),
        "{text}"
    );
    let text = run(&[&"verify", &place.repo, &"--level", &"references"], 1);
    assert!(text.contains("[key.shape]"), "{text}");
}

#[test]
fn help_says_what_how_and_what_for() {
    let text = run(&[&"--help"], 0);
    for verb in [
        "demo", "info", "verify", "backup", "backups", "restore", "keys", "page", "create", "ls",
        "show", "export", "diff", "convert",
    ] {
        assert!(text.contains(verb));
        let help = run(&[&verb, &"--help"], 0);
        assert!(
            help.contains("Example") && help.contains(&format!("cimrepo {verb}")),
            "{help}"
        );
    }
    assert!(text.contains("Exit codes"));
    assert!(run(&[&"--version"], 0).starts_with("cimrepo 0.1.0"));
}

#[cfg(unix)]
#[test]
fn a_command_runs_while_the_repository_is_paused() {
    let place = Place::new();
    let copy = place.at("copy");
    let text = run(
        &[
            &"pause",
            &place.repo,
            &"--",
            &"cp",
            &"-a",
            &place.repo,
            &copy,
        ],
        0,
    );
    let token = text.trim_end();
    assert!(
        token.starts_with("cimrepo-pause-1:2.2:") && !token.contains(char::is_whitespace),
        "{text}"
    );
    run(&[&"verify", &copy], 0);
    assert!(run(&[&"verify", &copy, &"--token", &token], 0).contains("PROVEN: "));
    // Meanwhile no one else gets the lock, and is told who has it.
    let nested = cimrepo(&[
        &"pause",
        &place.repo,
        &"--",
        &env!("CARGO_BIN_EXE_cimrepo"),
        &"pause",
        &place.repo,
        &"--",
        &"true",
    ]);
    assert_eq!(nested.status.code(), Some(1), "the inner one failed");
    let err = String::from_utf8_lossy(&nested.stderr);
    assert!(
        err.contains("is locked by process ") && err.contains("exit status: 5"),
        "{err}"
    );
    assert!(run(&[&"pause", &place.repo, &"--", &"false"], 1).contains("the pause held"));
    assert!(run(&[&"pause", &place.repo, &"--", &"/no such program"], 3).contains("cannot run"));
    run(&[&"pause", &place.repo], 2);
    run(&[&"pause", &place.at("nothing"), &"--", &"true"], 3);
    let expired = run(
        &[
            &"pause",
            &place.repo,
            &"--lease",
            &"0",
            &"--",
            &"sleep",
            &"0.3",
        ],
        5,
    );
    assert!(expired.contains("not to be trusted"), "{expired}");
    let rows = rows(&[&"pause", &place.repo, &"--json", &"--", &"true"], 0);
    assert_eq!(
        (rows[0]["held"].clone(), rows[0]["status"].clone()),
        (Value::Bool(true), 0.into())
    );
}

/// A copy is held against the token that the pause printed: in text and in JSON, with a code for
/// what is wrong.
#[cfg(unix)]
#[test]
fn a_copy_is_held_against_the_token_of_its_pause() {
    let place = Place::new();
    let (copy, backup) = (place.at("copy"), place.at("paused.cimbak"));
    let row = &rows(
        &[
            &"pause",
            &place.repo,
            &"--json",
            &"--",
            &"cp",
            &"-a",
            &place.repo,
            &copy,
        ],
        0,
    )[0];
    let token = row["token"].as_str().unwrap().to_owned();
    run(&[&"backup", &place.repo, &backup], 0);
    for proven in [&copy, &backup] {
        let found = rows(&[&"verify", proven, &"--token", &token, &"--json"], 0);
        assert_eq!(found.last().unwrap()["proven"], true, "{found:?}");
    }
    run(&[&"compact", &place.repo], 0);
    append_record(&place.repo);
    let later = rows(&[&"verify", &place.repo, &"--token", &token, &"--json"], 1);
    let (reason, verdict) = (
        later.iter().find(|row| row["kind"] == "disproof").unwrap(),
        later.last().unwrap(),
    );
    assert_eq!(reason["code"], "later-generation");
    assert_eq!(
        (&verdict["proven"], &verdict["held"]),
        (&false.into(), &false.into())
    );
    fs::write(copy.join("OBJECTS.DATA"), vec![7; 8192 * 60]).unwrap();
    let torn = run(&[&"verify", &copy, &"--token", &token], 1);
    assert!(
        torn.contains("torn-page: ") && torn.contains("NOT PROVEN: "),
        "{torn}"
    );
    for wrong in ["", "7", "cimrepo-pause-2:2.2:1:1:00", &token[1..]] {
        assert!(
            run(&[&"verify", &copy, &"--token", &wrong], 2).contains("not the token of a pause"),
            "{wrong}"
        );
    }
    run(
        &[&"verify", &copy, &"--token", &token, &"--level", &"schema"],
        2,
    );
}

/// Commits a key by an engine that is closed in order: the files hold a later generation.
#[cfg(unix)]
fn append_record(repo: &Path) {
    let engine = cimrepo::store::Engine::open(repo).unwrap();
    let mut transaction = engine.begin_write().unwrap();
    transaction.insert_key(b"NS_09\\LATER").unwrap();
    transaction.commit().unwrap();
    engine.close().unwrap();
}

/// The key pair of `tests/backup/signing.rs`.
#[cfg(feature = "sign")]
fn keys(place: &Place) -> (PathBuf, PathBuf) {
    let (secret, public) = (place.at("test.key"), place.at("test.pub"));
    let key = "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0WHxhxpeHaNs37aYEY0szJDDtVLbXzPNnDgs\
               AJWezOqz+O6vb0XaGKUSIo/s9sQPnKZyTBOloOEf6GJtSYCYUQLhkVbbM8TiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    fs::write(&secret, format!("untrusted comment: x\n{key}\n")).unwrap();
    fs::write(
        &public,
        "RWTRYfGHGl4do6USIo/s9sQPnKZyTBOloOEf6GJtSYCYUQLhkVbbM8Ti\n",
    )
    .unwrap();
    (secret, public)
}

#[cfg(feature = "sign")]
#[test]
fn a_backup_is_signed_and_its_signature_is_checked() {
    let place = Place::new();
    let (secret, public) = keys(&place);
    let (file, unsigned, set) = (place.at("s.cimbak"), place.at("u.cimbak"), place.at("set"));
    let text = run(&[&"backup", &place.repo, &file, &"--sign", &secret], 0);
    assert!(
        text.contains("signed: ") && place.at("s.cimbak.minisig").is_file(),
        "{text}"
    );
    assert!(
        run(&[&"verify", &file, &"--key", &public], 0).contains("the signature is good: backup ")
    );
    assert_eq!(
        rows(&[&"verify", &file, &"--key", &public, &"--json"], 0)[0]["kind"],
        "signature"
    );
    run(&[&"backup", &place.repo, &unsigned], 0);
    assert!(run(&[&"verify", &unsigned, &"--key", &public], 4).contains("there is no signature"));
    assert!(run(&[&"verify", &place.repo, &"--key", &public], 2).contains("--key is for backups"));
    assert!(run(&[&"verify", &file, &"--key", &secret], 2).contains("not a public key"));
    assert!(
        run(&[&"backup", &place.repo, &"-", &"--sign", &secret], 2).contains("next to its backup")
    );
    // Nothing is written where the key cannot be used, and an older backup stays where the
    // signature has no place.
    let none = place.at("none.cimbak");
    run(&[&"backup", &place.repo, &none, &"--sign", &public], 2);
    run(
        &[
            &"backup",
            &place.repo,
            &none,
            &"--sign",
            &place.at("no key"),
        ],
        3,
    );
    run(
        &[
            &"backup",
            &place.repo,
            &none,
            &"--sign",
            &secret,
            &"--password-file",
            &public,
        ],
        2,
    );
    assert!(!none.exists());

    // In a directory of backups each has its own, which goes with it.
    for _ in 0..3 {
        let row = &rows(
            &[
                &"backup",
                &place.repo,
                &set,
                &"--keep",
                &"2",
                &"--full",
                &"--sign",
                &secret,
                &"--json",
            ],
            0,
        )[0];
        assert!(
            row["signature"]
                .as_str()
                .unwrap()
                .ends_with(".cimbak.minisig")
        );
    }
    assert_eq!(
        fs::read_dir(&set).unwrap().count(),
        4,
        "two backups with their signatures"
    );
    run(&[&"backups", &"verify", &set, &"--key", &public], 0);
    run(&[&"backup", &place.repo, &set, &"--keep", &"3"], 0);
    let text = run(&[&"backups", &"verify", &set, &"--key", &public], 1);
    assert!(
        text.contains("there is no signature") && text.contains("1 of them not usable"),
        "{text}"
    );
    run(&[&"backups", &"prune", &set, &"--keep", &"1"], 0);
    run(
        &[&"backups", &"verify", &set, &"--key", &place.at("no key")],
        3,
    );
}

/// Without the feature the options are there, and say what is missing.
#[cfg(not(feature = "sign"))]
#[test]
fn signatures_that_are_not_built_in_name_their_feature() {
    let place = Place::new();
    let file = place.at("s.cimbak");
    let text = run(&[&"backup", &place.repo, &file, &"--sign", &"key"], 2);
    assert!(text.contains("feature `sign`") && !file.exists(), "{text}");
    run(&[&"backup", &place.repo, &file], 0);
    assert!(run(&[&"verify", &file, &"--key", &"key"], 2).contains("feature `sign`"));
    assert!(
        run(
            &[&"backups", &"verify", &place.at("."), &"--key", &"key"],
            2
        )
        .contains("feature `sign`")
    );
}

/// What runs before, in and after a pause, and what each of them hears of the others.
#[cfg(unix)]
#[test]
fn commands_run_before_and_after_a_pause() {
    let place = Place::new();
    let log = place.at("log");
    let say = |what: &str| {
        format!(
            "echo {what} held=$CIMREPO_PAUSE_HELD status=$CIMREPO_PAUSE_STATUS >> {}",
            log.display()
        )
    };
    let said = || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        fs::remove_file(&log).ok();
        text
    };
    let (before, after) = (say("before"), say("after"));
    let pause = |more: &[&str], command: &[&str], code: i32| {
        let mut arguments: Vec<&dyn AsRef<Path>> =
            vec![&"pause", &place.repo, &"--before", &before];
        arguments.extend(more.iter().map(|one| one as &dyn AsRef<Path>));
        arguments.push(&"--");
        arguments.extend(command.iter().map(|one| one as &dyn AsRef<Path>));
        run(&arguments, code)
    };
    let inside = say("inside");
    let held = "before held= status=\ninside held= status=\nafter held=1 status=0\n";
    let text = pause(&["--after", &after], &["sh", "-c", &inside], 0);
    assert_eq!((said().as_str(), text.lines().count()), (held, 1));
    // The lock is free before and after, and taken in between.
    let cimrepo = env!("CARGO_BIN_EXE_cimrepo");
    let nested = format!(
        "{cimrepo} pause {} -- true >> {} 2>&1; echo $? >> {1}",
        place.repo.display(),
        log.display()
    );
    run(
        &[
            &"pause",
            &place.repo,
            &"--before",
            &nested,
            &"--after",
            &nested,
            &"--",
            &"sh",
            &"-c",
            &nested,
        ],
        0,
    );
    let codes: Vec<String> = said()
        .lines()
        .filter(|line| line.len() == 1)
        .map(str::to_owned)
        .collect();
    assert_eq!(codes, ["0", "5", "0"]);
    // COMMAND finds the token that is printed, and so does the one after it.
    let token = format!("echo $CIMREPO_PAUSE_TOKEN >> {}", log.display());
    let text = run(
        &[
            &"pause",
            &place.repo,
            &"--after",
            &token,
            &"--",
            &"sh",
            &"-c",
            &token,
        ],
        0,
    );
    assert_eq!(said(), text.repeat(2));

    // One before the pause that fails ends it all.
    let text = run(
        &[
            &"pause",
            &place.repo,
            &"--before",
            &"exit 3",
            &"--after",
            &after,
            &"--",
            &"sh",
            &"-c",
            &inside,
        ],
        1,
    );
    assert!(
        text.contains("nothing was paused") && said().is_empty(),
        "{text}"
    );
    // Whatever else fails, the one after the pause runs and hears of it.
    let text = pause(&["--after", &after], &["sh", "-c", "exit 7"], 1);
    assert!(text.contains("the pause held"), "{text}");
    assert_eq!(said(), "before held= status=\nafter held=1 status=7\n");
    pause(&["--after", &after], &["/no such program"], 3);
    assert_eq!(said(), "before held= status=\nafter held=1 status=\n");
    pause(&["--after", &after, "--lease", "0"], &["sleep", "0.3"], 5);
    assert_eq!(said(), "before held= status=\nafter held=0 status=0\n");
    let text = pause(&["--after", "exit 9"], &["true"], 1);
    assert!(
        text.contains("the command after the pause failed (exit status: 9)"),
        "{text}"
    );
    said();
    let row = &rows(
        &[
            &"pause",
            &place.repo,
            &"--json",
            &"--after",
            &"false",
            &"--",
            &"true",
        ],
        1,
    )[0];
    assert_eq!(
        (&row["held"], &row["after"], &row["status"]),
        (&true.into(), &false.into(), &0.into())
    );
    // Where the pause is refused, it undoes what was done before it.
    let beside = PathBuf::from(format!("{}.cimrepo.lock", place.repo.display()));
    let lock = RealStorage.lock(&beside, "process 1 (a test)").unwrap();
    pause(&["--after", &after], &["sh", "-c", &inside], 5);
    assert_eq!(said(), "before held= status=\nafter held=0 status=\n");
    drop(lock);
}

/// A repository of dialect 2.1 is locked by a pause, and gives way to a backup of the other only
/// where that is asked for.
#[cfg(unix)]
#[test]
fn the_older_dialect_is_paused_and_not_replaced_unasked() {
    let place = Place::new();
    let (old, backup) = (place.at("FS"), place.at("new.cimbak"));
    fs::create_dir(&old).unwrap();
    support::write_to(&support::small::small_v21(), &old, str::to_owned);
    let text = run(
        &[
            &"pause",
            &old,
            &"--",
            &env!("CARGO_BIN_EXE_cimrepo"),
            &"pause",
            &old,
            &"--",
            &"true",
        ],
        1,
    );
    assert!(
        text.contains("is locked by process ") && text.contains("the pause held"),
        "{text}"
    );
    run(&[&"backup", &place.repo, &backup], 0);
    let before = support::load(&old);
    let text = run(&[&"restore", &backup, &old, &"--force"], 2);
    assert!(
        text.contains("dialect 2.2") && text.contains("--change-dialect"),
        "{text}"
    );
    assert!(support::load(&old) == before && !place.at("FS.001").exists());
    run(&[&"restore", &backup, &old, &"--change-dialect"], 2);
    run(
        &[&"restore", &backup, &old, &"--force", &"--change-dialect"],
        0,
    );
    assert!(support::load(&place.at("FS.001")) == before);
    // And back.
    let back = place.at("old.cimbak");
    run(&[&"backup", &place.at("FS.001"), &back], 0);
    assert!(run(&[&"restore", &back, &old, &"--force"], 2).contains("dialect 2.1"));
}

/// Each verb that needs a lock waits for it as long as it is told to, and no longer.
#[test]
fn who_waits_for_a_lock_gets_it_or_gives_up() {
    let (place, program) = (Place::new(), env!("CARGO_BIN_EXE_cimrepo"));
    let (file, set) = (place.at("b.cimbak"), place.at("set"));
    run(&[&"backup", &place.repo, &file], 0);
    run(&[&"backup", &place.repo, &set, &"--keep", &"3"], 0);
    let lock = |path: &Path| RealStorage.lock(path, "process 1 (a test)").unwrap();
    let beside = |path: &Path| PathBuf::from(format!("{}.cimrepo.lock", path.display()));
    let pause: Vec<&dyn AsRef<Path>> = vec![
        &"pause",
        &place.repo,
        &"--wait",
        &"60",
        &"--",
        &program,
        &"--version",
    ];
    let restore: Vec<&dyn AsRef<Path>> =
        vec![&"restore", &file, &place.repo, &"--force", &"--wait", &"60"];
    let backup: Vec<&dyn AsRef<Path>> = vec![&"backup", &place.repo, &file, &"--wait", &"60"];
    let keep: Vec<&dyn AsRef<Path>> = vec![
        &"backup",
        &place.repo,
        &set,
        &"--keep",
        &"3",
        &"--wait",
        &"60",
    ];
    let set_lock = set.join("backups");
    for (mut arguments, locked) in [
        (pause, &place.repo),
        (restore, &place.repo),
        (backup, &file),
        (keep, &set_lock),
    ] {
        let held = lock(&beside(locked));
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(200));
                drop(held);
            });
            run(&arguments, 0);
        });
        let _held = lock(&beside(locked));
        let at = arguments
            .iter()
            .position(|argument| argument.as_ref() == Path::new("60"))
            .unwrap();
        arguments[at] = &"0";
        assert!(run(&arguments, 5).contains("is locked by process 1 (a test)"));
        arguments[at] = &"1";
        let start = std::time::Instant::now();
        run(&arguments, 5);
        assert!(start.elapsed() >= std::time::Duration::from_secs(1));
    }
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
        let mut paused = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
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

/// Each message says what to do next.
#[test]
fn failures_lead_further() {
    let place = Place::new();
    let (backup, copy) = (place.at("b.cimbak"), place.at("copy"));
    run(&[&"backup", &place.repo, &backup], 0);

    let index = place.repo.join("INDEX.BTR");
    assert!(run(&[&"verify", &index], 4).contains("is named by its directory"));
    assert!(
        run(&[&"restore", &place.repo, &copy], 4)
            .contains("it is a directory; give a file that `cimrepo backup`")
    );
    let no_parent = run(&[&"backup", &place.repo, &place.at("no/b.cimbak")], 3);
    assert!(
        no_parent.contains("cannot find directory") && !no_parent.contains("lock"),
        "{no_parent}"
    );
    assert!(run(&[&"page", &place.repo, &"objects", &"--hex"], 2).contains("<NUMBER>"));
    #[cfg(unix)]
    assert!(
        run(&[&"backup", &place.repo, &place.at(&"x".repeat(250))], 3)
            .contains("give a shorter name")
    );

    let mut cut = fs::read(&backup).unwrap();
    cut.truncate(cut.len() - 9);
    let half = place.at("half.cimbak");
    fs::write(&half, cut).unwrap();
    assert!(run(&[&"verify", &half], 4).contains("take another copy of it"));

    fs::create_dir(&copy).unwrap();
    fs::copy(place.repo.join("OBJECTS.DATA"), copy.join("OBJECTS.DATA")).unwrap();
    for verb in ["verify", "keys"] {
        assert!(
            run(&[&verb, &copy], 4).contains("objects --physical` lists the objects that are left")
        );
    }
    assert!(
        run(&[&"backup", &copy, &place.at("c.cimbak"), &"--forensic"], 0)
            .contains("restore --damaged`")
    );
    let info = run(&[&"info", &copy], 4);
    assert!(
        info.contains("objects --physical` lists them") && !info.contains("that are left"),
        "{info}"
    );
}

/// What a damaged repository can become, and what says so.
#[test]
fn backups_of_damaged_repositories_say_what_takes_them() {
    let place = Place::new();
    let mut bytes = fs::read(place.repo.join("OBJECTS.DATA")).unwrap();
    bytes[0] ^= 1;
    fs::write(place.repo.join("OBJECTS.DATA"), bytes).unwrap();
    let (file, plain, to) = (place.at("f.cimbak"), place.at("p.cimbak"), place.at("to"));
    assert!(run(&[&"backup", &place.repo, &plain], 4).contains("--forensic"));
    assert!(run(&[&"backup", &place.repo, &file, &"--forensic"], 0).contains("restore --damaged"));
    assert!(run(&[&"restore", &file, &to], 4).contains("--damaged restores it as it is"));
    assert!(!to.exists());
    run(&[&"restore", &file, &to, &"--damaged"], 0);
    assert!(run(&[&"compact", &to], 4).contains("`cimrepo verify` lists"));
    assert!(run(&[&"info", &file, &"--generation", &"1"], 2).contains("restore it"));

    // The root of the index, which has no checksum over this byte, is read by every verb; a backup
    // without verifying takes it.
    let mut bytes = fs::read(place.repo.join("OBJECTS.DATA")).unwrap();
    bytes[0] ^= 1;
    fs::write(place.repo.join("OBJECTS.DATA"), bytes).unwrap();
    let root = open_root(&place.repo).parse::<usize>().unwrap() * 8192;
    let mut bytes = fs::read(place.repo.join("INDEX.BTR")).unwrap();
    bytes[root + 16] ^= 0x40;
    fs::write(place.repo.join("INDEX.BTR"), bytes).unwrap();
    run(&[&"backup", &place.repo, &plain, &"--no-verify"], 0);
    let text = run(&[&"restore", &plain, &place.at("never"), &"--damaged"], 4);
    assert!(text.contains("no restore takes it"), "{text}");
    assert!(run(&[&"info", &place.repo], 1).contains("1 part could not be read"));
    assert!(run(&[&"info", &plain], 1).contains("1 part could not be read"));

    fs::remove_file(place.repo.join("INDEX.BTR")).unwrap();
    assert!(
        run(&[&"verify", &place.repo], 1).contains("0 findings, not everything could be checked")
    );
    let rows = rows(&[&"verify", &place.repo, &"--json"], 1);
    let result = rows.iter().find(|row| row["kind"] == "result").unwrap();
    assert!(
        result["mapping"].as_str().unwrap().ends_with(".MAP"),
        "{result}"
    );
}

/// A name from elsewhere moves no cursor.
#[cfg(unix)]
#[test]
fn control_characters_in_names_are_escaped() {
    let place = Place::new();
    let (odd, to) = (place.at("a\u{1b}[31mb\n"), place.at("to\u{1b}[0m"));
    let text = [
        run(&[&"backup", &place.repo, &odd], 0),
        run(&[&"info", &odd], 0),
        run(&[&"restore", &odd, &to], 0),
        run(&[&"info", &to], 0),
    ];
    for text in text {
        assert!(
            !text.contains('\u{1b}') && text.contains("\\u{1b}"),
            "{text:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_failed_pause_is_no_fault_where_nobody_can_be_told() {
    let place = Place::new();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    let status = command
        .arg("pause")
        .arg(&place.repo)
        .args(["--", "false"])
        .stderr(full)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

/// Ctrl-C takes away what is half written, and the process ends by the signal.
#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing_behind() {
    use std::os::unix::process::ExitStatusExt;

    let place = Place::new();
    let large = place.at("large");
    fs::create_dir(&large).unwrap();
    let mut builder = BulkBuilder::create_seeded(Directory::real(&large), 5).unwrap();
    for number in 0..4000u32 {
        let mut word = number;
        let bytes = std::iter::repeat_with(|| {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            word.to_le_bytes()[3]
        });
        let record = builder
            .record(&bytes.take(7000).collect::<Vec<u8>>())
            .unwrap();
        builder
            .key(format!("NS_1\\CD_{number:064}").as_bytes(), Some(record))
            .unwrap();
    }
    builder.finish().unwrap();
    let target = place.at("t.cimbak");
    run(&[&"backup", &place.repo, &target], 0);
    let older = fs::read(&target).unwrap();

    let entries = || {
        let names = fs::read_dir(place.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        names
            .map(|name| name.into_string().unwrap())
            .collect::<Vec<_>>()
    };
    let mut interrupted = 0;
    for signal in ["-INT", "-TERM", "-INT", "-TERM", "-INT", "-TERM"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
        let command = command
            .arg("backup")
            .arg(&large)
            .arg(&target)
            .stderr(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        while child.try_wait().unwrap().is_none()
            && !entries().iter().any(|name| name.contains(".partial-"))
        {}
        Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(entries().len(), 3, "{:?}", entries());
        if output.status.signal() == Some(if signal == "-INT" { 2 } else { 15 }) {
            interrupted += 1;
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(
                text.contains("cancelled; what was there before is still there"),
                "{text}"
            );
            assert_eq!(fs::read(&target).unwrap(), older);
        } else {
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            fs::write(&target, &older).unwrap();
        }
    }
    assert!(
        interrupted > 0,
        "each backup was done before the signal came"
    );

    // What it was started to ignore, as by `nohup`, it ignores.
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap '' INT TERM; exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_cimrepo"),
        "backup",
    ]);
    let mut child = command
        .arg(&large)
        .arg(&target)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none()
        && !entries().iter().any(|name| name.contains(".partial-"))
    {}
    for signal in ["-INT", "-TERM", "-INT", "-TERM"] {
        Command::new("kill")
            .args([signal, &child.id().to_string()])
            .stderr(Stdio::null())
            .status()
            .unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_ne!(fs::read(&target).unwrap(), older);
}

#[test]
fn where_a_restore_was_interrupted_that_is_said() {
    let place = Place::new();
    let (backup, to) = (place.at("b.cimbak"), place.at("to"));
    run(&[&"backup", &place.repo, &backup], 0);
    fs::create_dir(&to).unwrap();
    fs::copy(
        place.repo.join("OBJECTS.DATA"),
        to.join("OBJECTS.DATA.restoring"),
    )
    .unwrap();
    for verb in ["verify", "info"] {
        let text = run(&[&verb, &to], 4);
        assert!(
            text.contains(
                "OBJECTS.DATA.restoring is there: a restore into it, or its creation, \
                was interrupted"
            ),
            "{text}"
        );
    }
    run(&[&"restore", &backup, &to], 0);
    run(&[&"verify", &to], 0);
}

#[test]
fn what_the_demo_says_to_run_can_be_run() {
    let place = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    let output = command
        .current_dir(place.dir.path())
        .args(["demo", "--", "-a b"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let slash = std::path::MAIN_SEPARATOR;
    let quote = if cfg!(windows) { '"' } else { '\'' };
    assert!(
        text.contains(&format!(
            "  cimrepo info {quote}.{slash}-a b{slash}demo.cimbak{quote}\n"
        )),
        "{text}"
    );
}

/// A link is told from the directory that it leads to, however it is written.
#[cfg(unix)]
#[test]
fn a_restore_sets_no_link_aside() {
    let place = Place::new();
    let (backup, link, nowhere) = (place.at("b.cimbak"), place.at("link"), place.at("nowhere"));
    run(&[&"backup", &place.repo, &backup], 0);
    fs::write(place.repo.join("INDEX.BTR"), "").unwrap();
    std::os::unix::fs::symlink(&place.repo, &link).unwrap();
    std::os::unix::fs::symlink(place.at("gone"), &nowhere).unwrap();
    for path in [link.clone(), link.join("")] {
        let text = run(&[&"restore", &backup, &path, &"--force"], 2);
        assert!(
            text.contains("is a symbolic link; give the directory that it leads to"),
            "{text}"
        );
    }
    let text = run(&[&"restore", &backup, &nowhere], 2);
    assert!(
        text.contains("is a symbolic link that leads nowhere"),
        "{text}"
    );
    assert!(!place.at("gone").exists());
}

/// Files of which no mapping can be read are kept as they are, and of what is not known nothing is
/// said but that.
#[test]
fn files_without_a_mapping_are_backed_up_and_unknown_is_said_as_unknown() {
    for (kept, missing) in [
        (&["OBJECTS.DATA"][..], "INDEX.BTR"),
        (&["OBJECTS.DATA", "INDEX.BTR"], "MAPPING1.MAP"),
    ] {
        let place = Place::new();
        let is_lost = |name: &str| !kept.contains(&name);
        for name in ["INDEX.BTR", "MAPPING1.MAP", "MAPPING2.MAP", "MAPPING3.MAP"]
            .into_iter()
            .filter(|&name| is_lost(name))
        {
            fs::remove_file(place.repo.join(name)).unwrap();
        }
        let (backup, restored) = (place.at("it.cimbak"), place.at("restored"));
        assert!(run(&[&"backup", &place.repo, &backup], 4).contains("--forensic"));
        assert!(!backup.exists());
        assert!(
            run(
                &[
                    &"backup",
                    &place.repo,
                    &place.at("set"),
                    &"--forensic",
                    &"--keep",
                    &"3"
                ],
                2
            )
            .contains("--keep")
        );
        let based: [&dyn AsRef<Path>; 6] = [
            &"backup",
            &place.repo,
            &backup,
            &"--forensic",
            &"--base",
            &"b",
        ];
        assert!(run(&based, 2).contains("back up without --base"));
        let told = run(&[&"backup", &place.repo, &backup, &"--forensic"], 0);
        for words in [
            missing,
            "no mapping can be read",
            "restore --damaged",
            "files without a readable mapping backed up",
        ] {
            assert!(told.contains(words), "{words} in {told}");
        }
        let row = &rows(
            &[&"backup", &place.repo, &backup, &"--forensic", &"--json"],
            0,
        )[0];
        assert!(
            row["generation"].is_null() && row["pages"].as_u64() > Some(0) && row["findings"] == 1,
            "{row}"
        );

        for (source, code, kind) in [(&place.repo, 4, "unmapped"), (&backup, 1, "backup")] {
            let row = &rows(&[&"info", source, &"--json"], code)[0];
            assert_eq!(row["kind"], kind);
            for field in ["dialect", "generation"] {
                assert!(
                    row.get(field).is_some_and(Value::is_null),
                    "{field} in {row}"
                );
            }
            let text = run(&[&"info", source], code);
            assert!(text.contains("an unknown number of namespaces"), "{text}");
        }
        let row = &rows(&[&"info", &place.repo, &"--json"], 4)[0];
        for field in [
            "keys",
            "class_definitions",
            "instances",
            "namespaces",
            "records",
            "unreadable",
        ] {
            assert!(
                row["content"].get(field).is_some_and(Value::is_null),
                "{field} in {row}"
            );
        }
        let row = &rows(&[&"info", &backup, &"--json"], 1)[0];
        assert!(
            row["content"].is_null() && row["namespaces"].is_null() && row["unmapped"] == true,
            "{row}"
        );

        let text = run(&[&"verify", &backup], 1);
        assert!(
            text.contains("matches its digests") && text.contains("no generation to verify"),
            "{text}"
        );
        assert!(!text.contains("is consistent"), "{text}");
        let verdict = rows(&[&"verify", &backup, &"--json"], 1).pop().unwrap();
        assert!(
            verdict["consistent"] == false && verdict["generations"] == 0,
            "{verdict}"
        );
        for verb in ["ls", "keys", "export"] {
            assert!(run(&[&verb, &backup], 4).contains("restore --damaged"));
        }

        assert!(run(&[&"restore", &backup, &restored], 4).contains("--damaged"));
        assert!(!restored.exists());
        let new = place.at("new");
        run(&[&"create", &new], 0);
        run(
            &[
                &"restore",
                &backup,
                &new,
                &"--damaged",
                &"--namespace",
                &r"root\default",
            ],
            4,
        );
        run(
            &[&"restore", &backup, &restored, &"--damaged", &"--dry-run"],
            0,
        );
        assert!(!restored.exists());
        run(&[&"restore", &backup, &restored, &"--damaged"], 0);
        let names = |directory: &Path| -> Vec<(String, Vec<u8>)> {
            let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
            let read = |entry: fs::DirEntry| {
                (
                    entry.file_name().into_string().unwrap(),
                    fs::read(entry.path()).unwrap(),
                )
            };
            let mut files: Vec<_> = entries
                .map(read)
                .filter(|(name, _)| name != "cimrepo.lock")
                .collect();
            files.sort();
            files
        };
        assert!(names(&restored) == names(&place.repo));
        // The same through a stream.
        let piped = cimrepo(&[&"backup", &place.repo, &"-", &"--forensic"]);
        let told = String::from_utf8_lossy(&piped.stderr);
        assert!(
            piped.status.success() && told.contains("backed up to standard output"),
            "{told}"
        );
        let (stream, again) = (place.at("stream.cimbak"), place.at("again"));
        fs::write(&stream, piped.stdout).unwrap();
        run(&[&"restore", &stream, &again, &"--damaged"], 0);
        assert!(names(&again) == names(&place.repo));
        let mut bytes = fs::read(&backup).unwrap();
        bytes[300] ^= 1;
        fs::write(&backup, bytes).unwrap();
        run(&[&"verify", &backup], 4);
    }
}

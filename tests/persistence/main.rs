//! What would run by itself: planted subscriptions of all kinds are found, and nothing else is.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

#[path = "../support/mod.rs"]
mod support;

mod baseline;
mod plant;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use plant::{clean, planted};

/// The rows of `persistence --json`, and its exit code.
fn rows(repository: &Path, more: &[&str]) -> (Vec<Value>, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_cimrepo"))
        .args(["persistence", repository.to_str().unwrap(), "--json"])
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (rows.collect(), output.status.code().unwrap())
}

fn run(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_cimrepo"))
        .args(arguments)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {words}");
}

/// A new repository with a MOF compiled into it.
fn compiled(dir: &Path, name: &str, mof: &str) -> std::path::PathBuf {
    let (repository, file) = (dir.join(name), dir.join(format!("{name}.mof")));
    fs::write(&file, mof).unwrap();
    run(&["create", repository.to_str().unwrap()]);
    run(&[
        "compile",
        repository.to_str().unwrap(),
        file.to_str().unwrap(),
    ]);
    repository
}

#[test]
fn every_planted_object_is_found_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let empty = compiled(dir.path(), "clean", &clean());
    assert_eq!(rows(&empty, &[]), (vec![], 0));

    let plants = planted();
    assert!(plants.len() >= 60, "{} objects", plants.len());
    let mof: String = plants.iter().map(|plant| plant.mof.as_str()).collect();
    let repository = compiled(dir.path(), "planted", &format!("{}{mof}", clean()));
    let (rows, code) = rows(&repository, &[]);
    assert_eq!(code, 1);

    let mut expected = BTreeSet::new();
    for plant in &plants {
        let found = rows.iter().find(|row| plant.is_in(row));
        let row = found.unwrap_or_else(|| panic!("not found: {}", plant.mof));
        assert_eq!(row["level"], plant.level, "{row}");
        let rules: Vec<&str> = row["rules"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(Value::as_str)
            .collect();
        for rule in &plant.rules {
            assert!(rules.contains(rule), "{rule} in {row}");
        }
        expected.insert(row["path"].as_str().unwrap());
    }
    for row in &rows {
        assert!(
            expected.contains(row["path"].as_str().unwrap()),
            "not planted: {row}"
        );
    }
}

#[test]
fn what_the_user_knows_as_good_is_known_by_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let mof: String = planted().iter().map(|plant| plant.mof.clone()).collect();
    let repository = compiled(dir.path(), "planted", &format!("{}{mof}", clean()));
    let (all, _) = rows(&repository, &[]);
    let is_chain = |row: &&Value| {
        row["kind"] == "binding" && !row["filter"].is_null() && !row["consumer"].is_null()
    };
    let chosen = all.iter().find(is_chain).unwrap();
    let known = dir.path().join("known.jsonl");
    let mut other = chosen.clone();
    fs::write(&known, format!("{chosen}\n")).unwrap();
    let arguments = ["--known-good", known.to_str().unwrap()];
    let of = |rows: Vec<Value>| {
        rows.into_iter()
            .find(|row| row["path"] == chosen["path"])
            .unwrap()
    };
    assert_eq!(of(rows(&repository, &arguments).0)["level"], "info");

    other["filter"]["properties"]["Query"] = "SELECT * FROM Other".into();
    fs::write(&known, format!("{other}\n")).unwrap();
    let imitated = of(rows(&repository, &arguments).0);
    assert_eq!(imitated["level"], "high");
    assert!(
        imitated["rules"]
            .as_array()
            .unwrap()
            .contains(&"Imitation".into())
    );
}

#[test]
fn real_repositories_have_the_findings_that_are_known() {
    for path in support::corpus("real_repositories_have_the_findings_that_are_known") {
        let (rows, code) = rows(&path, &[]);
        let levels: Vec<&str> = rows.iter().flat_map(|row| row["level"].as_str()).collect();
        match support::name_of(&path).as_str() {
            "win10" => {
                assert_eq!((levels, code), (vec!["high", "info"], 1));
                let high = &rows[0];
                assert_eq!(high["consumer"]["properties"]["Name"], "KillProcess");
                assert_eq!(high["filter"]["properties"]["Name"], "ProcessStartTrigger");
                assert_eq!(
                    (&high["first_generation"], &high["or_earlier"]),
                    (&391.into(), &false.into())
                );
                let creator = high["consumer"]["creator"].as_str().unwrap();
                assert!(creator.starts_with("S-1-5-21-") && creator.ends_with("-1000"));
                assert_eq!(rows[1]["known_good"], true);
            }
            "xp" => assert_eq!((levels, code), (vec!["info", "info"], 0)),
            _ => {}
        }
    }
}

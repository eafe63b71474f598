//! `cimrepo keys` of a damaged index.

use std::process::{Command, Stdio};

use cimrepo::base::page_no::Space;
use cimrepo::{Direction, KeyRange};
use serde_json::Value;

use crate::damage::Pages;
use crate::support::edit::{edit_page, root_and_child};
use crate::support::small::{small_v21, small_v22};
use crate::support::{Files, open, write_to};

/// Exit code, lines of standard output, standard error.
fn keys(files: &Files, arguments: &[&str]) -> (i32, Vec<String>, String) {
    let place = tempfile::tempdir().unwrap();
    write_to(files, place.path(), str::to_owned);
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    let output = command
        .arg("keys")
        .arg(place.path())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (
        output.status.code().unwrap(),
        out.lines().map(str::to_owned).collect(),
        err,
    )
}

#[test]
fn the_keys_of_whole_pages_are_listed_and_the_loss_is_estimated() {
    for files in [small_v21(), small_v22()] {
        let whole: Vec<String> = {
            let keys = open(&files)
                .unwrap()
                .snapshot()
                .keys(KeyRange::all(), Direction::Forward);
            keys.map(|key| key.unwrap().to_string()).collect()
        };
        assert_eq!(keys(&files, &[]), (0, whole.clone(), String::new()));

        let (root, child) = root_and_child(&files);
        let mut damaged = files.clone();
        edit_page(&mut damaged, Space::Index, root, |page| page.fill(0));
        let own = Pages::of(&open(&files).unwrap().snapshot()).whole[&root].clone();
        let left: Vec<String> = whole
            .iter()
            .filter(|key| !own.contains(&key.as_bytes().to_vec()))
            .cloned()
            .collect();
        let (code, found, said) = keys(&damaged, &[]);
        assert_eq!((code, &found), (1, &left));
        let health = open(&damaged).unwrap().snapshot().index_health();
        let lost = health.keys_lost().unwrap();
        assert!(
            said.contains(&format!("1 of {} index pages cannot be read", health.pages)),
            "{said}"
        );
        assert!(
            lost > 0 && said.contains(&format!("about {lost} keys may be lost with them")),
            "{said}"
        );

        let (code, rows, _) = keys(&damaged, &["--json", "--reverse"]);
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect();
        let (end, rows) = rows.split_last().unwrap();
        assert!(
            code == 1
                && rows
                    .iter()
                    .map(|row| row["key"].as_str().unwrap())
                    .eq(left.iter().rev())
        );
        assert_eq!(
            (&end["kind"], &end["unreadable"], end["keys_lost"].as_u64()),
            (&"index".into(), &1.into(), Some(lost))
        );

        // What may have been on the page cannot be told; what it cannot have held is not there.
        let (code, found, _) = keys(&damaged, &["NS_nothing"]);
        assert!(code == 4 && found.is_empty());
        let mut leaf_lost = files.clone();
        edit_page(&mut leaf_lost, Space::Index, child, |page| page.fill(0));
        let (code, found, said) = keys(&leaf_lost, &["ZZ"]);
        assert_eq!(
            (code, found.len(), said.contains("no key begins with ZZ")),
            (1, 0, true),
            "{said}"
        );
    }
}

//! One count of namespaces, whoever prints it.

use std::fs;

use cimrepo::catalog::{Catalog, NamespaceCount};
use cimrepo::store::Repository;

use super::{rows, run};

#[path = "../support/mod.rs"]
mod support;

/// The number before a word in a text.
fn number(text: &str, word: &str) -> u64 {
    let before = text.split(&format!(" {word}")).next().unwrap();
    before
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn every_verb_counts_the_same_namespaces() {
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new");
    assert_eq!(number(&run(&[&"create", &new], 0).0, "namespaces"), 3);
    let mut places = support::corpus("every_verb_counts_the_same_namespaces");
    places.push(new);
    for (at, place) in places.into_iter().enumerate() {
        let backup = dir.path().join(format!("{at}.cimbak"));
        run(&[&"backup", &place, &backup], 0);
        let NamespaceCount { named, unnamed } =
            Catalog::new(Repository::open_read_only(&place).unwrap().snapshot()).namespace_count();
        assert!(named >= 3 && unnamed == 0);
        for source in [&place, &backup] {
            assert_eq!(number(&run(&[&"info", source], 0).0, "namespaces"), named);
            let listed = run(&[&"ls", source, &"-r"], 0).0;
            assert_eq!(
                listed
                    .lines()
                    .filter(|line| line.starts_with("namespace "))
                    .count() as u64,
                named
            );
            assert_eq!(number(&run(&[&"export", source], 0).1, "namespaces"), named);
        }
        assert_eq!(
            rows(&[&"info", &place, &"--json"], 0)[0]["content"]["namespaces"],
            named
        );
        assert_eq!(
            rows(&[&"info", &backup, &"--json"], 0)[0]["namespaces"],
            named
        );
    }
}

/// A number that a missing file would say is unknown, not 0.
#[test]
fn without_its_file_a_number_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("Repository");
    super::repository(&place);
    fs::remove_file(place.join("INDEX.BTR")).unwrap();
    let row = &rows(&[&"info", &place, &"--json"], 1)[0]["content"];
    assert!(
        ["keys", "class_definitions", "instances", "namespaces"]
            .iter()
            .all(|name| row[name].is_null()),
        "{row}"
    );
    assert!(row["records"].as_u64().unwrap() > 80);
    assert!(
        run(&[&"info", &place], 1)
            .0
            .contains("an unknown number of namespaces")
    );
}

//! The public items stay few, and are enough for the examples. `.ci/public-items` prints them, and the
//! gate holds the list next to this file against it.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Items of the crate that belong to no wing, at most.
const CORE: usize = 120;

/// Items of one wing, at most.
const WING: usize = 25;

/// The modules that are wings: each may grow by itself.
const WINGS: [(&str, &str); 4] = [
    ("compile", "MOF"),
    ("export", "MOF"),
    ("query", "WQL"),
    ("forensics", "forensics"),
];

/// What the root names again: rustdoc lists it in its own module.
const NAMED_AGAIN: [&str; 4] = ["Service", "compile", "export_mof", "query"];

fn listed() -> Vec<&'static str> {
    let lines = include_str!("public_items.txt").lines();
    lines
        .map(|line| line.split(' ').next().unwrap_or_default())
        .collect()
}

#[test]
fn the_public_items_stay_few() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for item in listed() {
        let module = item.split_once("::").map_or("", |(module, _)| module);
        let wing = WINGS.iter().find(|(name, _)| *name == module);
        *counts.entry(wing.map_or("", |(_, wing)| wing)).or_default() += 1;
    }
    for (wing, count) in counts {
        let limit = if wing.is_empty() { CORE } else { WING };
        assert!(
            count <= limit,
            "{count} items of {wing:?}, of at most {limit}"
        );
    }
}

/// The paths after `cimrepo::` in a text, those in braces one by one.
fn used(text: &str) -> BTreeSet<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut paths = BTreeSet::new();
    for rest in text.split("cimrepo::").skip(1) {
        let end = rest.find(|c| !is_path(c)).unwrap_or(rest.len());
        let (head, rest) = rest.split_at(end);
        let Some(inner) = rest.strip_prefix('{') else {
            paths.insert(head.to_owned());
            continue;
        };
        let (inner, _) = inner.split_once('}').unwrap();
        let names = inner.split(',').map(str::trim);
        paths.extend(
            names
                .filter(|name| !name.is_empty())
                .map(|name| format!("{head}{name}")),
        );
    }
    paths
}

/// True if the path is an item of the list, or something of one.
fn is_public(path: &str) -> bool {
    let listed = listed();
    let mut items = listed.iter().chain(&NAMED_AGAIN);
    items.any(|item| {
        let rest = path.strip_prefix(item);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}

#[test]
fn the_examples_use_public_items_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("examples")).unwrap() {
        files.push(entry.unwrap().path());
    }
    let mut checked = 0;
    for file in files.iter().filter(|file| file.is_file()) {
        for path in used(&fs::read_to_string(file).unwrap()) {
            checked += 1;
            assert!(is_public(&path), "{}: {path}", file.display());
        }
    }
    assert!(checked > 20, "{checked} uses were found");
}

//! The documents say what the code does: numbers of invariants, tests, stages of the gate.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The documents whose sections are invariants, and the letter of their numbers.
const INVARIANTS: [(&str, char); 2] = [
    ("src/docs/invariants.md", 'W'),
    ("src/docs/journal.md", 'J'),
];

/// Words of prose that the front page may have.
const README_WORDS: usize = 700;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every source file under a folder of the project.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The numbers of one letter that a text cites, as in `W-12`.
fn cited(text: &str, letter: char) -> BTreeSet<u32> {
    let bytes = text.as_bytes();
    let head = [letter as u8, b'-'];
    let mut numbers = BTreeSet::new();
    for at in 0..bytes.len().saturating_sub(2) {
        let is_word = at > 0 && bytes[at - 1].is_ascii_alphanumeric();
        if bytes[at..].starts_with(&head) && !is_word {
            let digits = text[at + 2..].split(|next: char| !next.is_ascii_digit());
            numbers.extend(
                digits
                    .take(1)
                    .filter_map(|digits| digits.parse::<u32>().ok()),
            );
        }
    }
    numbers
}

/// The sections of a document that are invariants: the number and the text of each.
fn sections(text: &str, letter: char) -> Vec<(u32, &str)> {
    let head = format!("\n## {letter}-");
    let parts = text.split(&head).skip(1);
    let numbered = parts.map(|part| {
        let (number, rest) = part.split_once(':').unwrap();
        let end = rest.find("\n#").unwrap_or(rest.len());
        (number.parse().unwrap(), &rest[..end])
    });
    numbered.collect()
}

#[test]
fn every_invariant_says_why_is_cited_in_code_and_has_a_test() {
    for (document, letter) in INVARIANTS {
        let text = read(document);
        let sections = sections(&text, letter);
        let numbers: BTreeSet<u32> = sections.iter().map(|&(number, _)| number).collect();
        let wanted = 1..=u32::try_from(sections.len()).unwrap();
        assert_eq!(
            numbers,
            wanted.collect(),
            "{document}: the numbers follow each other"
        );

        let mut in_code = BTreeSet::new();
        for path in sources("src") {
            in_code.extend(cited(&fs::read_to_string(path).unwrap(), letter));
        }
        assert_eq!(in_code, numbers, "{document}: numbers that the code cites");

        for (number, section) in sections {
            for part in ["*Why.*", "*Where.*", "*Test.*"] {
                assert!(section.contains(part), "{letter}-{number} has no {part}");
            }
            let (_, test) = section.split_once("*Test.*").unwrap();
            assert_named_tests(test, 1, &format!("{letter}-{number}"));
        }
    }
}

/// Fails unless the text names at least so many tests, as in `` `tests/kill.rs::main` ``, and each
/// is there.
fn assert_named_tests(text: &str, least: usize, whose: &str) {
    let words = text.split('`').skip(1).step_by(2);
    let tests: Vec<(&str, &str)> = words.filter_map(|word| word.split_once(".rs::")).collect();
    assert!(tests.len() >= least, "{whose} names no test");
    for (file, test) in tests {
        let source = read(&format!("{file}.rs"));
        assert!(
            source.contains(&format!("fn {test}()")),
            "{whose}: {file}.rs has no {test}"
        );
    }
}

#[test]
fn tests_and_tools_cite_no_invariant_that_does_not_exist() {
    for (document, letter) in INVARIANTS {
        let text = read(document);
        let known: BTreeSet<u32> = sections(&text, letter)
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        for path in ["tests", "benches", "fuzz"].into_iter().flat_map(sources) {
            let cited = cited(&fs::read_to_string(&path).unwrap(), letter);
            let unknown: Vec<_> = cited.difference(&known).collect();
            assert!(
                unknown.is_empty(),
                "{}: {letter}-{unknown:?}",
                path.display()
            );
        }
    }
}

/// Words outside of code blocks and tables.
fn words_of_prose(text: &str) -> usize {
    let mut is_code = false;
    let mut words = 0;
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if !is_code && !line.starts_with('|') {
            words += line.split_whitespace().count();
        }
    }
    words
}

#[test]
fn the_front_page_is_short() {
    let words = words_of_prose(&read("README.md"));
    assert!(
        words <= README_WORDS,
        "README.md has {words} words of prose"
    );
}

#[test]
fn every_stage_of_the_gate_is_explained_and_every_explained_one_is_there() {
    let gate = read(".ci/run");
    let stages = gate.lines().filter_map(|line| line.strip_prefix("stage_"));
    let stages: BTreeSet<&str> = stages
        .filter_map(|line| line.split_once("()"))
        .map(|(name, _)| name)
        .collect();
    let guide = read("CONTRIBUTING.md");
    let rows = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `.ci/run "));
    let explained: BTreeSet<&str> = rows
        .filter_map(|row| row.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    assert!(stages.len() >= 7, "{stages:?}");
    assert_eq!(stages, explained);
}

#[test]
fn the_test_command_is_the_same_in_the_front_page_and_in_the_gate() {
    let command = "cargo test --all-features";
    assert!(read("README.md").contains(command));
    assert!(read(".ci/run").contains(command));
}

#[test]
fn every_test_program_is_listed_with_what_it_shows() {
    let list = read("tests/README.md");
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_program = name.ends_with(".rs") || path.join("main.rs").exists();
        let named = list.contains(&format!("`{name}`"));
        assert!(!is_program || named, "tests/README.md does not list {name}");
    }
}

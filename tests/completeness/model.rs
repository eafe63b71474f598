//! Random damage: what every verb says of the index and of what it reached is what an independent
//! count of keys gives.

use std::collections::BTreeSet;
use std::sync::Arc;

use cimrepo::base::page_no::Space;
use cimrepo::base::progress::Unobserved;
use cimrepo::catalog::convert;
use cimrepo::catalog::diff::diff;
use cimrepo::catalog::{Census, IndexState};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::verify::{Level, verify_content};

use crate::lab::catalog;
use crate::shapes;
use crate::support::Files;
use crate::support::small::Numbers;

/// Objects by the keys of an index, counted from their text alone.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    namespaces: u64,
    classes: u64,
    instances: u64,
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| matches!(c, '0'..='9' | 'A'..='F'))
}

/// Whether a token is one of these prefixes with a hash, and what follows the hash.
fn token<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(prefix)?;
    let (hash, rest) = rest.split_at_checked(64)?;
    is_hash(hash).then_some(rest)
}

fn count(files: &Files) -> Counted {
    let catalog = catalog(files);
    let (mut namespaces, mut classes, mut instances) = (BTreeSet::new(), 0, 0);
    let system = format!("NS_{}", catalog.keys().hash("__SystemClass"));
    for key in crate::support::content::keys(&catalog, "") {
        let text = key.to_string();
        let mut tokens = text.split('\\');
        let namespace = tokens.next().unwrap().to_owned();
        let (second, third) = (tokens.next().unwrap_or_default(), tokens.next());
        classes += u64::from(
            token(second, "CD_").is_some_and(|rest| rest.starts_with('.')) && third.is_none(),
        );
        let is_own = third
            .and_then(|third| token(third, "IL_"))
            .is_some_and(|rest| rest.starts_with('.'));
        instances += u64::from(token(second, "CI_") == Some("") && is_own);
        namespaces.insert(namespace);
    }
    namespaces.remove(&system);
    Counted {
        namespaces: namespaces.len() as u64,
        classes,
        instances,
    }
}

/// What both sides of a comparison, a conversion and an export say.
fn said(files: &Files) -> Vec<(&'static str, Census)> {
    let source = catalog(files);
    let [a, b] = diff(&source, &catalog(files), &mut |_| true).unwrap();
    assert_eq!(a, b);
    let mut said = vec![("diff", a), ("backup", source.readable_objects())];
    let repository = crate::support::open(files).unwrap();
    let mut report = crate::support::check(&repository, false)
        .generations
        .remove(0);
    verify_content(
        &repository.snapshot(),
        Level::References,
        &Unobserved,
        &mut report,
    )
    .unwrap();
    said.push(("verify", report.census.unwrap()));
    let target = Directory::new(Arc::new(MemStorage::new()), ".");
    if let Ok(converted) = convert(&source, &target, &Unobserved) {
        said.push(("convert", converted.census));
    }
    said
}

fn check(files: &Files, what: &str) {
    let expected = count(files);
    for (verb, census) in said(files) {
        let has = Counted {
            namespaces: census.namespaces.has,
            classes: census.classes.has,
            instances: census.instances.has,
        };
        assert_eq!(has, expected, "{what}: {verb}: {census}");
        assert_eq!(census.index, IndexState::Whole, "{what}: {verb}");
        let lost: u64 = census.lost.values().sum();
        let reached = census.classes.reached + census.instances.reached;
        assert_eq!(
            reached + lost,
            has.classes + has.instances,
            "{what}: {verb}: {census}"
        );
    }
    #[cfg(feature = "cli")]
    exported(files, &expected, what);
}

/// What `export` and `ls` print is what they say they reached.
#[cfg(feature = "cli")]
fn exported(files: &Files, expected: &Counted, what: &str) {
    use serde_json::Value;
    let place = crate::lab::on_disk(files);
    // The damaged one, though older generations are whole.
    let generation = crate::support::open(files)
        .unwrap()
        .snapshot()
        .mapping()
        .generation()
        .to_string();
    let ran = crate::lab::cimrepo(&[&"export", &place.path(), &"--generation", &generation]);
    let rows: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let printed = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).count() as u64;
    let pairs = [
        ("namespaces", expected.namespaces, printed("namespace") - 1),
        ("classes", expected.classes, printed("class")),
        ("instances", expected.instances, printed("instance")),
    ];
    match rows.iter().find(|row| row["kind"] == "totals") {
        None => assert!(
            pairs.iter().all(|(_, has, reached)| has == reached),
            "{what}: {pairs:?}"
        ),
        Some(totals) => {
            for (kind, has, reached) in pairs {
                assert_eq!(totals[kind]["has"], has, "{what}: {kind}: {totals}");
                assert_eq!(totals[kind]["reached"], reached, "{what}: {kind}: {totals}");
            }
            assert_eq!(ran.code, 1, "{what}: {}", ran.err);
        }
    }
}

/// A number below another.
fn below(numbers: &mut Numbers, limit: usize) -> usize {
    usize::try_from(numbers.next() % u64::try_from(limit).unwrap()).unwrap()
}

#[test]
fn pages_of_objects_are_zeroed() {
    let whole = shapes::populated();
    check(&whole, "whole");
    let mut numbers = Numbers(0x0B_1EC7);
    let pages = shapes::mapped(&whole, Space::Objects);
    for round in 0..12 {
        let mut files = whole.clone();
        let zeroed: Vec<u32> = (0..1 + numbers.next() % 4)
            .map(|_| pages[below(&mut numbers, pages.len())])
            .collect();
        zeroed
            .iter()
            .for_each(|&page| shapes::zero_page(&mut files, Space::Objects, page));
        check(&files, &format!("round {round}: objects {zeroed:?}"));
    }
}

#[test]
fn keys_are_removed_and_doubled() {
    let whole = shapes::populated();
    let keys: Vec<String> = crate::support::content::keys(&catalog(&whole), "")
        .iter()
        .map(ToString::to_string)
        .collect();
    let objects: Vec<&String> = keys
        .iter()
        .filter(|key| key.contains(r"\CD_") || key.contains(r"\IL_"))
        .collect();
    let mut numbers = Numbers(0x6E75);
    for round in 0..12 {
        let mut pick = |from: &[&String]| (*from[below(&mut numbers, from.len())]).clone();
        let removed: BTreeSet<String> = (0..4).map(|_| pick(&objects)).collect();
        let doubled: BTreeSet<String> = (0..4)
            .map(|_| pick(&objects))
            .filter(|key| !removed.contains(key))
            .collect();
        let others: BTreeSet<String> = (0..2).map(|_| pick(&objects)).collect();
        let files = shapes::tampered(&whole, |writer| {
            for key in &doubled {
                let (bare, _) = key.split_once('.').unwrap();
                shapes::double(writer, bare, |_| ())?;
            }
            for key in &removed {
                writer.transaction().remove_key(key.as_bytes())?;
            }
            // Keys whose records are nowhere.
            for key in others.difference(&removed) {
                let record = cimrepo::format::index::key::Key::new(key.clone().into_bytes())
                    .reference()
                    .unwrap();
                writer.transaction().remove_record(record)?;
            }
            Ok(())
        });
        check(
            &files,
            &format!("round {round}: {removed:?} {doubled:?} {others:?}"),
        );
    }
}

/// Where pages of the index are gone, what is counted is what is left, and that there may be more
/// is said.
#[test]
fn pages_of_the_index_are_zeroed() {
    let whole = shapes::populated();
    let all = count(&whole);
    let mut torn = 0;
    for page in shapes::mapped(&whole, Space::Index).into_iter().skip(1) {
        let mut files = whole.clone();
        shapes::zero_page(&mut files, Space::Index, page);
        for (verb, census) in said(&files) {
            let has = census.classes.has + census.instances.has;
            match census.index {
                // No key of an object lay there.
                IndexState::Whole => assert_eq!(
                    has,
                    all.classes + all.instances,
                    "page {page}: {verb}: {census}"
                ),
                _ => {
                    assert!(
                        has <= all.classes + all.instances,
                        "page {page}: {verb}: {census}"
                    );
                    assert!(
                        census.to_string().contains("at least"),
                        "page {page}: {verb}: {census}"
                    );
                    torn += 1;
                }
            }
            let reached = census.classes.reached + census.instances.reached;
            assert_eq!(
                reached + census.lost.values().sum::<u64>(),
                has,
                "page {page}: {verb}: {census}"
            );
        }
    }
    assert!(torn > 0);
}

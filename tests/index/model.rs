//! Random damage beside a model: scans and look-ups find every key of every whole page, and nothing
//! else.

use std::collections::BTreeSet;
use std::ops::Bound;

use cimrepo::base::page_no::{LogicalPage, RecordRef};
use cimrepo::format::index::key::Key;
use cimrepo::store::Snapshot;
use cimrepo::{Direction, Error, KeyRange};

use crate::damage::{KeyText, Pages, children, damage, leaves, point, repositories, zero};
use crate::support::edit::root_and_child;
use crate::support::small::Numbers;
use crate::support::{Files, open};

const SEEDS: u64 = if cfg!(debug_assertions) { 3 } else { 12 };
const ROUNDS: u64 = if cfg!(debug_assertions) { 10 } else { 200 };

#[test]
fn every_key_of_every_whole_page_is_found() {
    for seed in 0..SEEDS {
        for (name, files) in repositories(seed) {
            let stored = Pages::of(&open(&files).unwrap().snapshot()).keys();
            let mut numbers = Numbers(seed + 1000);
            let leaves = leaves(&files);
            for round in 0..ROUNDS {
                let mut files = files.clone();
                let done: Vec<String> = (0..1 + numbers.next() % 4)
                    .map(|_| damage(&mut files, &leaves, &mut numbers))
                    .collect();
                check(
                    &files,
                    &stored,
                    &mut numbers,
                    &format!("{name}, round {round}: {done:?}"),
                );
            }
        }
    }
}

/// A pointer of the root that leads to a leaf two levels down passes by what lies between. It is
/// told from others at the other edge, and where that is damaged too from the nodes that were
/// passed by.
#[test]
fn keys_come_in_order_where_both_edges_of_the_tree_are_damaged() {
    let mut tried = 0;
    for (name, files) in repositories(1) {
        let stored = Pages::of(&open(&files).unwrap().snapshot()).keys();
        let (root, _) = root_and_child(&files);
        let sides = children(&files, root);
        let (first, last) = (0, sides.len() - 1);
        let inner = |side: usize| children(&files, sides[side]);
        let (left, right) = (inner(first), inner(last));
        if left.is_empty() || right.is_empty() {
            continue;
        }
        for (short, leaf, other) in [
            (first, left[0], last),
            (first, left[left.len() - 1], last),
            (last, right[0], first),
            (last, right[right.len() - 1], first),
        ] {
            let mut passed_by = files.clone();
            point(&mut passed_by, root, short, leaf.get());
            let mut torn = passed_by.clone();
            zero(&mut torn, sides[other]);
            let mut both = passed_by.clone();
            point(&mut both, root, other, inner(other)[0].get());
            for (what, files) in [("one", passed_by), ("a torn one", torn), ("both", both)] {
                check(
                    &files,
                    &stored,
                    &mut Numbers(tried),
                    &format!("{name}, {what}: child {short} is {leaf}"),
                );
                tried += 1;
            }
        }
    }
    assert!(tried >= 24, "{tried}");
}

fn check(files: &Files, stored: &BTreeSet<KeyText>, numbers: &mut Numbers, what: &str) {
    let snapshot = open(files).unwrap().snapshot();
    let pages = Pages::of(&snapshot);
    let left = pages.keys();
    let all: Vec<&KeyText> = stored.iter().collect();
    let mut bound = || match numbers.next() % 4 {
        0 => None,
        number => {
            let mut key = all[usize::try_from(numbers.next()).unwrap() % all.len()].clone();
            if number == 1 {
                key.truncate(key.len() / 2);
            }
            Some(key)
        }
    };
    let mut ranges = vec![KeyRange::all()];
    ranges.extend((0..6).map(|_| KeyRange {
        from: bound(),
        to: bound(),
    }));
    for range in ranges {
        for direction in [Direction::Forward, Direction::Backward] {
            scan(&snapshot, &pages, &left, range.clone(), direction, what);
        }
    }
    look_up(&snapshot, &left, stored, what);
    let health = snapshot.index_health();
    assert_eq!(
        usize::try_from(health.unreadable).unwrap(),
        pages.unreadable.len(),
        "{what}"
    );
    assert_eq!(
        usize::try_from(health.pages).unwrap(),
        pages.unreadable.len() + pages.whole.len(),
        "{what}"
    );
    assert_eq!(
        usize::try_from(health.keys).unwrap(),
        pages.whole.values().map(Vec::len).sum::<usize>(),
        "{what}"
    );
}

fn scan(
    snapshot: &Snapshot,
    pages: &Pages,
    left: &BTreeSet<KeyText>,
    range: KeyRange,
    direction: Direction,
    what: &str,
) {
    let is_all = range == KeyRange::all();
    let is_empty = matches!((&range.from, &range.to), (Some(from), Some(to)) if from >= to);
    let from = range.from.clone().map_or(Bound::Unbounded, Bound::Included);
    let to = range.to.clone().map_or(Bound::Unbounded, Bound::Excluded);
    let mut expected: Vec<&KeyText> = if is_empty {
        Vec::new()
    } else {
        left.range((from, to)).collect()
    };
    if direction == Direction::Backward {
        expected.reverse();
    }
    let mut scan = snapshot.keys(range.clone(), direction);
    let (mut found, mut failed): (Vec<KeyText>, Vec<Option<LogicalPage>>) = Default::default();
    while let Some(key) = scan.next_text() {
        match key {
            Ok(key) => found.push(key.to_vec()),
            Err(Error::Corrupt(error)) => failed.push(error.site.page),
            Err(other) => panic!("{what}: {other}"),
        }
    }
    let differs = found
        .iter()
        .zip(&expected)
        .position(|(found, expected)| found != *expected);
    let at = differs.unwrap_or(found.len().min(expected.len()));
    let shown = |key: Option<&KeyText>| key.map(|key| Key::new(key.as_slice()));
    let (there, wanted) = (shown(found.get(at)), shown(expected.get(at).copied()));
    let counts = (found.len(), expected.len());
    assert!(
        there == wanted,
        "{what}, {direction:?}, {range:?}: key {at} is {there:?}, not {wanted:?}; {counts:?}; \
            {failed:?}"
    );
    assert_eq!(scan.is_complete(), failed.is_empty(), "{what}");
    if is_all {
        for &page in &pages.unreadable {
            assert!(
                failed.contains(&Some(page)),
                "{what}: page {page} is not reported: {failed:?}"
            );
        }
    }
}

fn look_up(snapshot: &Snapshot, left: &BTreeSet<KeyText>, stored: &BTreeSet<KeyText>, what: &str) {
    for key in stored {
        let told = snapshot.contains_key(key);
        let shown = Key::new(key.as_slice());
        match left.contains(key) {
            true => assert!(matches!(told, Ok(true)), "{what}: {shown}: {told:?}"),
            false => assert!(told.is_err(), "{what}: {shown} is lost: {told:?}"),
        }
        let absent = [key.as_slice(), b"x"].concat();
        assert!(
            !matches!(snapshot.contains_key(&absent), Ok(true)),
            "{what}"
        );
        let Some(record) = shown.reference() else {
            continue;
        };
        let dot = key.len() - format!(".{record}").len();
        assert_eq!(&key[dot..], format!(".{record}").as_bytes());
        let told: Option<Option<RecordRef>> = snapshot.reference(&key[..dot]).ok();
        assert_eq!(
            told,
            left.contains(key).then_some(Some(record)),
            "{what}: {shown}"
        );
    }
}

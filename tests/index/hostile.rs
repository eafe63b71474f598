//! Indexes made to cost as much as possible: every page is read a few times, whatever leads where.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use cimrepo::base::page_no::{NIL, PageBytes, Space};
use cimrepo::format::index::node::IndexNode;
use cimrepo::storage::sim::SimStorage;
use cimrepo::storage::{Directory, Storage};
use cimrepo::store::{OpenOptions, Snapshot};
use cimrepo::{Direction, KeyRange};

use crate::damage::{KeyText, Pages};
use crate::support::edit::{edit_mapping, with_pages};
use crate::support::small::{current_file, logical, stored};
use crate::support::{Files, PLACE};

/// Calls of the system that a scan or a look-up may make a page of the index: the count of levels
/// reads each page once, a survey twice, a scan once.
const READS: u64 = 6;

/// A node.
fn node(own: usize, keys: &[String], children: Vec<u32>) -> Box<PageBytes> {
    let children = if children.is_empty() {
        vec![NIL; keys.len() + 1]
    } else {
        children
    };
    IndexNode::from_keys(keys.iter().map(String::as_bytes), children)
        .to_page(logical(stored(own)))
        .unwrap()
}

/// An index of these pages, whose root cannot be found.
fn rootless(pages: Vec<Box<PageBytes>>) -> Files {
    let mut files = with_pages(Space::Index, pages.into_iter());
    let name = current_file_of(&files);
    edit_mapping(&mut files, &name, |mapping| {
        mapping.index.entries[0].user_data = 0x00FF_FFFF
    });
    files
}

/// The mapping file, of which there is one.
fn current_file_of(files: &Files) -> String {
    files
        .keys()
        .find(|name| name.starts_with("MAPPING"))
        .cloned()
        .unwrap_or_else(|| current_file(files))
}

/// Every kind, of about so many pages, with a name.
fn kinds(count: usize) -> Vec<(&'static str, Files)> {
    let key = |number: usize| format!("NS_{number:08}");
    let single = |own| node(own, &[key(own)], Vec::new());
    // Each has a key at the front and one at the end of all that there are.
    let wide = |own| {
        node(
            own,
            &[format!("NS_{own:08}"), format!("NT_{own:08}")],
            Vec::new(),
        )
    };
    let same = |own| node(own, &[key(1), key(2), key(3)], Vec::new());
    // Each leads to the next and to itself, the last to the first.
    let circle = |own| {
        let next = stored((own + 1) % count);
        node(own, &[key(2 * own)], vec![stored(own), next])
    };
    // Two pages that both lead to all others.
    let shared = |own| match own {
        0 | 1 => {
            let keys: Vec<String> = (0..300)
                .map(|number| format!("NS_{number:03}{own}"))
                .collect();
            node(
                own,
                &keys,
                (0..=300)
                    .map(|child| 2 + child % (stored(count) - 2))
                    .collect(),
            )
        }
        _ => single(own),
    };
    vec![
        (
            "trees of one page",
            rootless((0..count).map(single).collect()),
        ),
        (
            "pages that all overlap",
            rootless((0..count).map(wide).collect()),
        ),
        (
            "pages that are all the same",
            rootless((0..count).map(same).collect()),
        ),
        ("a circle", rootless((0..count).map(circle).collect())),
        (
            "pages below two parents",
            rootless((0..count).map(shared).collect()),
        ),
        (
            "a circle with a root",
            with_pages(Space::Index, (0..count).map(circle)),
        ),
        (
            "pages below two parents with a root",
            with_pages(Space::Index, (0..count).map(shared)),
        ),
    ]
}

fn on_disk(files: &Files) -> (SimStorage, Snapshot) {
    let disk = SimStorage::new();
    for (name, bytes) in files {
        disk.put(Path::new(PLACE).join(name), bytes);
    }
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    // A small cache, so that a page that is looked at again is read again.
    let options = OpenOptions::new().cache_pages(8);
    let repository = options.open_in(&Directory::new(storage, PLACE)).unwrap();
    (disk, repository.snapshot())
}

#[test]
fn every_page_is_read_a_few_times_whatever_leads_where() {
    for count in [200, 1_500] {
        for (what, files) in kinds(count) {
            let (disk, snapshot) = on_disk(&files);
            let keys = Pages::of(&snapshot).keys();
            let most = READS * u64::try_from(count).unwrap() + 64;
            for direction in [Direction::Forward, Direction::Backward] {
                let before = disk.operations();
                let mut found: Vec<KeyText> = Vec::new();
                let mut scan = snapshot.keys(KeyRange::all(), direction);
                while let Some(key) = scan.next_text() {
                    found.extend(key.ok().map(<[u8]>::to_vec));
                }
                let reads = disk.operations() - before;
                if direction == Direction::Backward {
                    found.reverse();
                }
                let expected: Vec<&KeyText> = keys.iter().collect();
                assert!(
                    found.iter().eq(expected),
                    "{what}, {direction:?}: {} of {} keys",
                    found.len(),
                    keys.len()
                );
                assert!(
                    reads <= most,
                    "{what}, {direction:?}: {reads} reads for {count} pages"
                );
            }
            look_up(&disk, &snapshot, &keys, what);
        }
    }
}

/// A look-up reads a bounded number of pages. Without a root it never says that a key is not there;
/// with one it may, where each page on the way is whole and no honest index has the key elsewhere.
fn look_up(disk: &SimStorage, snapshot: &Snapshot, keys: &BTreeSet<KeyText>, what: &str) {
    for key in keys.iter().step_by(keys.len().div_ceil(20)) {
        let before = disk.operations();
        let told = snapshot.contains_key(key);
        let reads = disk.operations() - before;
        assert!(
            !matches!(told, Ok(false)) || what.ends_with("with a root"),
            "{what}: it is there"
        );
        assert!(reads < 200, "{what}: {reads} reads");
    }
}

//! Each index page of real repositories zeroed in turn: what is lost is what its own keys name.
//!
//! In a build without optimisation some pages stand for all.

use std::collections::BTreeSet;

use cimrepo::base::page_no::{LogicalPage, PAGE_SIZE};
use cimrepo::catalog::{Catalog, Counted};
use cimrepo::format::index::key::{Key, KeyFamily, family};
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;
use cimrepo::storage::MemStorage;
use cimrepo::store::{OpenOptions, Snapshot};
use cimrepo::{Direction, KeyRange};

use crate::damage::{KeyText, Pages, live};
use crate::support::edit::root_and_child;
use crate::support::small::{current_file, mapping_in};
use crate::support::{Files, PLACE, corpus, in_memory, load, name_of, open};

/// Pages of a repository that are zeroed in a build without optimisation, besides the root.
const SAMPLED: usize = 6;

/// Lines of `export` that any one page may take away: of the 9,212 of Windows 10, 9,000 are left.
const MAX_LOST: usize = 212;

#[test]
fn each_index_page_zeroed_hides_only_its_own_keys() {
    for path in corpus("each_index_page_zeroed_hides_only_its_own_keys") {
        let files = load(&path);
        let whole = open(&files).unwrap().snapshot();
        let pages = Pages::of(&whole);
        let stored = pages.keys();
        let objects = listed(&whole);
        let (mut fewest_keys, mut fewest_objects) = ((stored.len(), None), (objects, None));

        let zeroing = Zeroing::new(&files);
        let chosen = chosen(&files);
        for &page in &chosen {
            let damaged = zeroing.without(page);
            let own: BTreeSet<&KeyText> = pages.whole[&page].iter().collect();
            let found = check_keys(
                &damaged,
                &stored,
                &own,
                &format!("{}, page {page}", name_of(&path)),
            );
            if found < fewest_keys.0 {
                fewest_keys = (found, Some(page));
            }
            let listed = listed(&damaged);
            assert!(
                listed + MAX_LOST >= objects,
                "{}, page {page}: {listed} of {objects}",
                name_of(&path)
            );
            if listed < fewest_objects.0 {
                fewest_objects = (listed, Some(page));
            }
        }
        println!(
            "{}: {} of {} index pages zeroed in turn; keys {}, fewest {} (page {}); objects \
                {objects}, fewest {} (page {})",
            name_of(&path),
            chosen.len(),
            pages.whole.len(),
            stored.len(),
            fewest_keys.0,
            fewest_keys.1.map_or(0, LogicalPage::get),
            fewest_objects.0,
            fewest_objects.1.map_or(0, LogicalPage::get),
        );
    }
}

/// The pages that are zeroed: all, or the root and a few at even distances.
fn chosen(files: &Files) -> Vec<LogicalPage> {
    let (root, child) = root_and_child(files);
    let mut pages = live(files);
    if cfg!(debug_assertions) {
        let step = pages.len().div_ceil(SAMPLED);
        pages = pages.into_iter().step_by(step).collect();
    }
    pages.retain(|&page| page != root && page != child);
    [root, child].into_iter().chain(pages).collect()
}

/// A repository in memory of which one page is zeroed at a time.
struct Zeroing<'f> {
    files: &'f Files,
    storage: MemStorage,
    directory: cimrepo::storage::Directory,
}

impl<'f> Zeroing<'f> {
    fn new(files: &'f Files) -> Self {
        let (storage, directory) = in_memory(files);
        Self {
            files,
            storage,
            directory,
        }
    }

    /// The state with a page zeroed.
    fn without(&self, page: LogicalPage) -> Snapshot {
        let mapping = mapping_in(self.files, &current_file(self.files));
        let at = mapping.index.resolve(page).unwrap().index() * PAGE_SIZE;
        let mut index = self.files["INDEX.BTR"].clone();
        index[at..at + PAGE_SIZE].fill(0);
        self.storage
            .put(std::path::Path::new(PLACE).join("INDEX.BTR"), index);
        // The same generation, should the page be one that it wrote: an older one would have all
        // keys.
        let options = OpenOptions::new();
        let options = match mapping.dialect {
            cimrepo::format::Dialect::V21 => options,
            cimrepo::format::Dialect::V22 => options.generation(mapping.generation()),
        };
        options.open_in(&self.directory).unwrap().snapshot()
    }
}

/// Checks that a scan gives all keys but those of the page, and that look-ups agree; gives how many
/// there are.
fn check_keys(
    damaged: &Snapshot,
    stored: &BTreeSet<KeyText>,
    own: &BTreeSet<&KeyText>,
    what: &str,
) -> usize {
    for direction in [Direction::Forward, Direction::Backward] {
        let (mut found, mut errors): (Vec<Key>, usize) = (Vec::new(), 0);
        for key in damaged.keys(KeyRange::all(), direction) {
            match key {
                Ok(key) => found.push(key),
                Err(_) => errors += 1,
            }
        }
        let mut expected: Vec<&KeyText> = stored.iter().filter(|key| !own.contains(key)).collect();
        if direction == Direction::Backward {
            expected.reverse();
        }
        assert!(
            found
                .iter()
                .map(Key::as_bytes)
                .eq(expected.iter().map(|key| key.as_slice())),
            "{what}, {direction:?}"
        );
        assert_eq!(errors, 1, "{what}");
    }
    for (number, key) in stored.iter().enumerate() {
        let is_own = own.contains(key);
        if is_own || number % 50 == 0 {
            let told = damaged.contains_key(key);
            assert!(
                if is_own {
                    told.is_err()
                } else {
                    matches!(told, Ok(true))
                },
                "{what}: {told:?}"
            );
        }
    }
    let health = damaged.index_damage().unwrap();
    assert_eq!(
        (health.unreadable, health.keys),
        (1, (stored.len() - own.len()) as u64),
        "{what}"
    );
    let named = |key: &&KeyText| {
        matches!(
            family(key).1,
            KeyFamily::ClassDefinition | KeyFamily::Instance
        )
    };
    assert!(own.iter().filter(|key| named(key)).count() <= own.len());
    stored.len() - own.len()
}

/// The lines of `export`: namespaces, that of the system classes among them, classes, instances.
fn listed(snapshot: &Snapshot) -> usize {
    let catalog = Catalog::new(snapshot.clone()).each_once();
    let below = catalog.namespaces().into_iter().filter_map(Result::ok);
    let mut count = 0;
    for namespace in [SYSTEM_NAMESPACE.to_owned()].into_iter().chain(below) {
        let classes = catalog
            .object_keys(&namespace, Counted::Classes)
            .filter_map(Result::ok);
        let instances = catalog
            .object_keys(&namespace, Counted::Instances)
            .filter_map(Result::ok);
        count += 1
            + classes
                .filter(|key| catalog.class_of_key(&namespace, key).is_ok())
                .count()
            + instances
                .filter(|key| catalog.instance_of_key(&namespace, key).is_ok())
                .count();
    }
    count
}

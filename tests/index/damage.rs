//! Repositories to be damaged, ways to damage their index, and a count of what is left that does
//! not use the tree.

use std::collections::{BTreeMap, BTreeSet};

use cimrepo::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, Space};
use cimrepo::base::site::Site;
use cimrepo::format::Dialect;
use cimrepo::format::index::page::IndexPage;
use cimrepo::store::{BulkBuilder, Snapshot};

use crate::support::edit::{edit_page, set_word, word};
use crate::support::small::{
    Numbers, as_v21, current_file, mapping_in, page_at, small_v21, small_v22,
};
use crate::support::{Files, in_memory, open};

/// A key.
pub type KeyText = Vec<u8>;

/// Small repositories of both dialects, and larger ones whose keys follow from a seed.
pub fn repositories(seed: u64) -> Vec<(String, Files)> {
    let made = made(seed);
    let old = as_v21(&open(&made).unwrap().snapshot());
    vec![
        ("small 2.1".to_owned(), small_v21()),
        ("small 2.2".to_owned(), small_v22()),
        (format!("made {seed} 2.1"), old),
        (format!("made {seed} 2.2"), made),
    ]
}

/// A repository of dialect 2.2: keys of many lengths, a few hundred of them, some with a record.
fn made(seed: u64) -> Files {
    let (storage, directory) = in_memory(&Files::new());
    let mut builder = BulkBuilder::create_seeded(directory.clone(), seed).unwrap();
    let mut numbers = Numbers(seed);
    let mut keys = BTreeMap::new();
    for _ in 0..200 + numbers.next() % 400 {
        let length = usize::try_from(20 + numbers.next() % 700).unwrap();
        let hash: String = (0..length.div_ceil(16))
            .map(|_| format!("{:016X}", numbers.next()))
            .collect();
        let record = numbers
            .next()
            .is_multiple_of(3)
            .then(|| builder.record(&[7; 600]).unwrap());
        keys.insert(format!("NS_{}\\CI_{hash}", numbers.next() % 5), record);
    }
    for (key, record) in keys {
        builder.key(key.as_bytes(), record).unwrap();
    }
    builder.finish().unwrap();
    let names = [
        "OBJECTS.DATA",
        "INDEX.BTR",
        "MAPPING1.MAP",
        "MAPPING2.MAP",
        "MAPPING3.MAP",
    ];
    let file = |name: &str| Some((name.to_owned(), storage.get(directory.join(name))?));
    names.into_iter().filter_map(file).collect()
}

/// Each live page of the index: its keys, where it is whole.
pub struct Pages {
    pub whole: BTreeMap<LogicalPage, Vec<KeyText>>,
    pub unreadable: BTreeSet<LogicalPage>,
}

impl Pages {
    /// Looks at each page by itself.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut pages = Self {
            whole: BTreeMap::new(),
            unreadable: BTreeSet::new(),
        };
        let admin = snapshot.dialect() == Dialect::V21;
        for (page, ..) in snapshot
            .mapping()
            .index
            .mapped()
            .filter(|(page, ..)| !admin || page.get() > 0)
        {
            match keys_of(snapshot, page) {
                Some(keys) => _ = pages.whole.insert(page, keys),
                None => _ = pages.unreadable.insert(page),
            }
        }
        pages
    }

    /// The keys of all whole pages.
    pub fn keys(&self) -> BTreeSet<KeyText> {
        self.whole.values().flatten().cloned().collect()
    }
}

fn keys_of(snapshot: &Snapshot, page: LogicalPage) -> Option<Vec<KeyText>> {
    if snapshot.check_page(Space::Index, page).is_some() {
        return None;
    }
    let bytes = snapshot.page(Space::Index, page).ok()?;
    let site = Site::page(Space::Index, page);
    let node = IndexPage::parse(&bytes, page, site)
        .ok()
        .filter(|node| node.overload(site).is_none())?;
    let key = |number| {
        let mut text = Vec::new();
        node.append_key(number, &mut text).map(|()| text)
    };
    (0..node.key_count()).map(key).collect()
}

/// The live pages of the index but the admin page.
pub fn live(files: &Files) -> Vec<LogicalPage> {
    let mapping = mapping_in(files, &current_file(files));
    let first = u32::from(mapping.dialect == Dialect::V21);
    mapping
        .index
        .mapped()
        .map(|(page, ..)| page)
        .filter(|page| page.get() >= first)
        .collect()
}

/// The bytes of an index page.
pub fn index_page(files: &Files, page: LogicalPage) -> PageBytes {
    let place = mapping_in(files, &current_file(files))
        .index
        .resolve(page)
        .unwrap();
    *page_at(&files["INDEX.BTR"], place)
}

/// Writes zeros over a page, as a sector that was never written reads; the checksum stays what it
/// was.
pub fn zero(files: &mut Files, page: LogicalPage) {
    let place = mapping_in(files, &current_file(files))
        .index
        .resolve(page)
        .unwrap();
    files.get_mut("INDEX.BTR").unwrap()[place.index() * PAGE_SIZE..][..PAGE_SIZE].fill(0);
}

/// Damages the index in a way that the numbers choose; says how. Checksums are made to fit where
/// that hides more. Pages that take the number of another are leaves: an inner page that becomes a
/// whole page with keys of its own range is told from a smaller index by nothing.
pub fn damage(files: &mut Files, leaves: &[LogicalPage], numbers: &mut Numbers) -> String {
    let pages = live(files);
    let mut pick =
        |from: &[LogicalPage]| from[usize::try_from(numbers.next()).unwrap() % from.len()];
    let (page, other) = (pick(&pages), pick(&pages));
    let (one, two) = (pick(leaves), pick(leaves));
    match numbers.next() % 7 {
        0 => {
            zero(files, page);
            format!("{page} zeroed")
        }
        1 => {
            edit_page(files, Space::Index, page, |bytes| bytes.fill(0));
            format!("{page} zeroed, checksum fits")
        }
        2 => {
            let (a, b) = (index_page(files, page), index_page(files, other));
            edit_page(files, Space::Index, page, |bytes| *bytes = b);
            edit_page(files, Space::Index, other, |bytes| *bytes = a);
            format!("{page} and {other} swapped")
        }
        3 => {
            // With their own numbers: each is whole, and in the wrong place.
            let (a, b) = (index_page(files, one), index_page(files, two));
            for (place, content) in [(one, b), (two, a)] {
                edit_page(files, Space::Index, place, |bytes| {
                    *bytes = content;
                    set_word(bytes, 4, place.get());
                });
            }
            format!("{one} and {two} swapped with their numbers")
        }
        4 => {
            let bytes_of_one = index_page(files, one);
            edit_page(files, Space::Index, two, |bytes| {
                *bytes = bytes_of_one;
                set_word(bytes, 4, two.get());
            });
            format!("{one} copied over {two}")
        }
        _ => break_pointer(files, numbers),
    }
}

/// The leaves of an index that is whole.
pub fn leaves(files: &Files) -> Vec<LogicalPage> {
    let none = open(files).unwrap().snapshot().dialect().no_child();
    live(files)
        .into_iter()
        .filter(|&page| first_child(&index_page(files, page)) == Some(none))
        .collect()
}

/// The first child pointer of a page; `None` for one that is no node.
fn first_child(bytes: &PageBytes) -> Option<u32> {
    let keys = usize::try_from(word(bytes, 16)).unwrap();
    (1..500).contains(&keys).then(|| word(bytes, 20 + 4 * keys))
}

/// The children of a page; none for a leaf.
pub fn children(files: &Files, page: LogicalPage) -> Vec<LogicalPage> {
    let none = open(files).unwrap().snapshot().dialect().no_child();
    let bytes = index_page(files, page);
    let keys = usize::try_from(word(&bytes, 16)).unwrap();
    let children = (0..=keys).map(|number| word(&bytes, 20 + 4 * keys + 4 * number));
    children
        .filter(|&child| child != none)
        .map(|child| LogicalPage::new(child).unwrap())
        .collect()
}

/// Points child `number` of a page to another page; the checksum fits.
pub fn point(files: &mut Files, page: LogicalPage, number: usize, target: u32) {
    let keys = usize::try_from(word(&index_page(files, page), 16)).unwrap();
    edit_page(files, Space::Index, page, |bytes| {
        set_word(bytes, 20 + 4 * keys + 4 * number, target)
    });
}

/// Points a child pointer elsewhere: to another page, to none, to one that does not exist.
fn break_pointer(files: &mut Files, numbers: &mut Numbers) -> String {
    let none = open(files).unwrap().snapshot().dialect().no_child();
    let inner = |&page: &LogicalPage| {
        let bytes = index_page(files, page);
        first_child(&bytes).filter(|&child| child != none)?;
        Some((page, usize::try_from(word(&bytes, 16)).unwrap()))
    };
    let inner: Vec<_> = live(files).iter().filter_map(inner).collect();
    let Some(&(page, keys)) =
        inner.get(usize::try_from(numbers.next()).unwrap() % inner.len().max(1))
    else {
        return "no pointer is left".to_owned();
    };
    let number = usize::try_from(numbers.next()).unwrap() % (keys + 1);
    let count = u64::try_from(live(files).len()).unwrap();
    let target = match numbers.next() % 6 {
        0 => none,
        1 => 0x00FF_FFFF,
        _ => u32::try_from(numbers.next() % (count + 3)).unwrap(),
    };
    point(files, page, number, target);
    format!("child {number} of {page} is {target}")
}

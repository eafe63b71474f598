//! Each invariant of the format, broken: the verification says which, whatever else it says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cimrepo::base::corruption::CorruptionCode::{self, *};
use cimrepo::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, RecordRef, Space};
use cimrepo::base::site::Site;
use cimrepo::format::Dialect::{self, V21, V22};
use cimrepo::format::index::node::IndexNode;
use cimrepo::format::index::page::IndexPage;
use cimrepo::format::mapping::Mapping;

use support::edit::{edit_mapping, edit_page, root_and_child, set_first_child, set_word, word};
use support::small::{current_file, data_mut, logical, physical, small_v21, small_v22};
use support::{Files, check, codes, open};

const BOTH: &[Dialect] = &[V21, V22];
const NEW: &[Dialect] = &[V22];
const OLD: &[Dialect] = &[V21];

/// An invariant by its number, the code of its breach, the dialects that have it, and a breach.
type Row = (u32, CorruptionCode, &'static [Dialect], fn(&mut Files));

const ROWS: &[Row] = &[
    (1, MappingSignature, BOTH, |files| current(files)[0] ^= 1),
    (1, MappingFooter, BOTH, |files| {
        let behind = if dialect(files) == V22 { 8 } else { 4 };
        let bytes = current(files);
        let at = bytes.len() - behind;
        bytes[at] ^= 1;
    }),
    (1, MappingTruncated, BOTH, |files| {
        current(files).truncate(80)
    }),
    (2, MappingPageTwice, BOTH, |files| {
        mapping(files, |mapping| {
            mapping.objects.entries[3].physical = mapping.objects.entries[4].physical
        });
    }),
    (2, MappingFreeTwice, BOTH, |files| {
        mapping(files, |mapping| {
            mapping.index.free.push(mapping.index.free[0])
        })
    }),
    (2, MappingMappedAndFree, BOTH, |files| {
        mapping(files, |mapping| {
            mapping
                .index
                .free
                .push(mapping.index.entries[1].physical.unwrap())
        });
    }),
    (2, MappingPageOutside, BOTH, |files| {
        mapping(files, |mapping| {
            mapping
                .index
                .free
                .push(physical(mapping.index.physical_pages + 5))
        });
    }),
    (2, MappingPageLost, BOTH, |files| {
        mapping(files, |mapping| mapping.objects.free.truncate(1))
    }),
    (3, MappingBeyondFile, BOTH, |files| {
        data_mut(files, Space::Objects).truncate(2 * PAGE_SIZE)
    }),
    (4, MappingPrevious, NEW, |files| {
        mapping(files, |mapping| mapping.index.previous -= 1)
    }),
    (5, MappingSectionsDisagree, BOTH, |files| {
        mapping(files, |mapping| mapping.index.transaction += 1)
    }),
    (5, MappingSectionsDisagree, NEW, |files| {
        mapping(files, |mapping| mapping.index.generation += 1)
    }),
    (6, MappingSlot, NEW, |files| {
        let (one, two) = (files["MAPPING1.MAP"].clone(), files["MAPPING2.MAP"].clone());
        files.extend([
            ("MAPPING1.MAP".to_owned(), two),
            ("MAPPING2.MAP".to_owned(), one),
        ]);
    }),
    (6, MappingShutdownFlag, NEW, |files| {
        mapping(files, |mapping| mapping.shutdown_flag = 2)
    }),
    (6, MappingTrailingBytes, NEW, |files| current(files).push(0)),
    (7, MappingStamp, NEW, |files| {
        mapping(files, |mapping| mapping.index.entries[2].stamp -= 1)
    }),
    (7, MappingLastWrite, NEW, |files| {
        mapping(files, |mapping| mapping.index.entries[2].last_write = 0)
    }),
    (7, MappingLastWrite, NEW, |files| {
        mapping(files, |mapping| mapping.index.entries[2].last_write += 90)
    }),
    (8, PageChecksum, NEW, |files| {
        mapping(files, |mapping| mapping.index.entries[2].checksum ^= 1)
    }),
    (8, PageChecksum, NEW, |files| {
        mapping(files, |mapping| mapping.objects.entries[2].checksum ^= 1)
    }),
    (9, MappingFreeBytes, NEW, |files| {
        let page = single(files).page;
        mapping(files, |mapping| {
            mapping.objects.entries[page.index()].free_bytes += 1
        });
    }),
    (9, MappingFreeBytes, NEW, |files| {
        let page = large(files).page.index() + 1;
        mapping(files, |mapping| {
            mapping.objects.entries[page].free_bytes = 1
        });
    }),
    (9, MappingFreeBytes, NEW, |files| {
        mapping(files, |mapping| mapping.index.entries[2].free_bytes = 1)
    }),
    (9, MappingFreeBytes, NEW, |files| {
        mapping(files, |mapping| {
            let nil = mapping
                .objects
                .entries
                .iter_mut()
                .find(|entry| entry.physical.is_none());
            nil.unwrap().free_bytes = 1;
        });
    }),
    (10, MappingUserData, NEW, |files| {
        mapping(files, |mapping| mapping.objects.entries[0].user_data = 1)
    }),
    (10, MappingUserData, NEW, |files| {
        mapping(files, |mapping| mapping.index.entries[1].user_data = 1)
    }),
    (11, IndexSignature, BOTH, |files| {
        leaf(files, |page| set_word(page, 0, 0xADDD))
    }),
    (11, IndexOwnPage, BOTH, |files| {
        leaf(files, |page| set_word(page, 4, 77_777))
    }),
    (11, IndexReserved, BOTH, |files| {
        leaf(files, |page| set_word(page, 8, 1))
    }),
    (11, IndexReserved, BOTH, |files| {
        leaf(files, |page| set_word(page, 12, 1))
    }),
    (11, IndexReserved, BOTH, |files| {
        leaf(files, |page| set_word(page, 20, 1))
    }),
    (11, IndexNoKeys, BOTH, |files| {
        leaf(files, |page| set_word(page, 16, 0))
    }),
    (11, IndexSize, BOTH, |files| {
        leaf(files, |page| set_word(page, 16, 2_000))
    }),
    (12, IndexTokenOrder, BOTH, |files| {
        leaf(files, |page| {
            let at = Tables::of(page).token_offsets;
            swap_halves(page, at, at + 2);
        });
    }),
    (12, IndexTokenUnused, BOTH, |files| {
        leaf(files, |page| {
            // The last token of the first definition belongs to its key alone; now it is the first
            // one once more.
            let at = Tables::of(page).definitions;
            let last = at + 2 * usize::from(half(page, at));
            page.copy_within(at + 2..at + 4, last);
        });
    }),
    (12, IndexHeap, BOTH, |files| {
        leaf(files, |page| page[Tables::of(page).heap_end - 1] = b'X')
    }),
    (12, IndexHeap, BOTH, |files| {
        leaf(files, |page| page[Tables::of(page).heap] = b'\\')
    }),
    (12, IndexDefinition, BOTH, |files| {
        leaf(files, |page| {
            let at = Tables::of(page).key_offsets;
            page[at..at + 2].fill(0xFF);
        });
    }),
    (13, IndexChildrenMixed, BOTH, |files| {
        let (none, (root, _)) = (dialect(files).no_child(), root_and_child(files));
        let at = 20 + 4 * keys_of(files, root);
        edit_page(files, Space::Index, root, |page| set_word(page, at, none));
    }),
    (13, IndexDepth, BOTH, leaf_below_the_root),
    (14, IndexKeyOrder, BOTH, |files| {
        leaf(files, |page| {
            let at = Tables::of(page).key_offsets;
            swap_halves(page, at, at + 2);
        });
    }),
    (15, IndexPageTwice, BOTH, |files| {
        let (root, _) = root_and_child(files);
        let at = 20 + 4 * keys_of(files, root);
        edit_page(files, Space::Index, root, |page| {
            page.copy_within(at..at + 4, at + 4)
        });
    }),
    (15, IndexPageUnreached, BOTH, leaf_below_the_root),
    (16, IndexUnderfull, BOTH, |files| {
        let (own, none) = (leaf_page(files), dialect(files).no_child());
        leaf(files, |page| {
            let mut key = Vec::new();
            IndexPage::parse(page, own, Site::page(Space::Index, own))
                .unwrap()
                .append_key(0, &mut key)
                .unwrap();
            let node = IndexNode::from_keys([key.as_slice()], vec![none; 2]);
            *page = *node.to_page(own).unwrap();
        });
    }),
    (17, KeyReference, BOTH, |files| {
        in_reference(files, |digits| digits[0] = b'0')
    }),
    (17, KeyReference, BOTH, |files| {
        in_reference(files, |digits| digits[0] = b'\\')
    }),
    (18, ReferencePage, BOTH, |files| {
        let page = single(files).page;
        mapping(files, |mapping| {
            let entry = &mut mapping.objects.entries[page.index()];
            let place = entry.physical.take().unwrap();
            entry.free_bytes = 0;
            mapping.objects.free.push(place);
        });
    }),
    (18, ReferenceRecord, BOTH, |files| {
        record_page(files, |page| set_word(page, 0, 123_456))
    }),
    (18, ReferenceSize, BOTH, |files| {
        record_page(files, |page| {
            let last = last_descriptor(page);
            add(page, last + 8, -1);
        });
    }),
    (19, RecordOrphan, BOTH, |files| {
        record_page(files, |page| set_word(page, 0, 123_456))
    }),
    (20, RecordPacking, BOTH, |files| {
        record_page(files, |page| add(page, 4, 1))
    }),
    (20, RecordPacking, BOTH, |files| {
        record_page(files, |page| set_word(page, 0, 0))
    }),
    (20, RecordPacking, BOTH, |files| {
        record_page(files, |page| set_word(page, 8, 9_000))
    }),
    (20, RecordIdTwice, BOTH, |files| {
        record_page(files, |page| page.copy_within(0..4, 16))
    }),
    (21, RecordMultiPage, BOTH, |files| {
        record_page(files, |page| set_word(page, 0, 1))
    }),
    (21, RecordMultiPage, BOTH, |files| {
        large_page(files, |page| set_word(page, 0, 2))
    }),
    (21, RecordMultiPage, BOTH, |files| {
        large_page(files, |page| set_word(page, 4, 33))
    }),
    (21, RecordMultiPage, BOTH, |files| {
        large_page(files, |page| set_word(page, 8, 60 << 20))
    }),
    (22, RecordCheck, BOTH, |files| {
        record_page(files, |page| page[12] ^= 1)
    }),
    (22, RecordCheck, BOTH, |files| {
        large_page(files, |page| page[12] ^= 1)
    }),
    (23, AdminChain, OLD, |files| {
        admin(files, |page| set_word(page, 0, 7))
    }),
    (23, AdminChain, OLD, |files| {
        admin(files, |page| set_word(page, 4, 70_000))
    }),
    (23, AdminChain, OLD, |files| {
        admin(files, |page| set_word(page, 8, 600))
    }),
    (23, AdminEntry, OLD, |files| {
        admin(files, |page| set_word(page, 16, 9_000))
    }),
    (23, AdminEntry, OLD, |files| {
        admin(files, |page| set_word(page, 24, 1))
    }),
    (23, AdminMissing, OLD, |files| {
        admin(files, |page| add(page, 8, -1))
    }),
    (23, PageChecksum, OLD, |files| {
        admin(files, |page| page[20] ^= 1)
    }),
    (25, RecordLastWrite, NEW, |files| {
        let page = large(files).page.index();
        mapping(files, |mapping| {
            mapping.objects.entries[page].last_write -= 1
        });
    }),
    (25, RecordLastWrite, NEW, |files| {
        let page = large(files).page.index() + 1;
        mapping(files, |mapping| {
            mapping.objects.entries[page].last_write -= 1
        });
    }),
    (24, RecordIdRepeated, NEW, |files| {
        let first = single(files);
        let other = records(files)
            .into_iter()
            .find(|record| record.id != 1 && record.page != first.page)
            .unwrap();
        edit_page(files, Space::Objects, other.page, |page| {
            set_word(page, 0, first.id)
        });
    }),
];

/// Changes a number by so much.
fn add(page: &mut PageBytes, at: usize, change: i32) {
    let value = word(page, at).checked_add_signed(change).unwrap();
    set_word(page, at, value);
}

fn dialect(files: &Files) -> Dialect {
    if files.contains_key("MAPPING.VER") {
        V21
    } else {
        V22
    }
}

fn current(files: &mut Files) -> &mut Vec<u8> {
    let name = current_file(files);
    files.get_mut(&name).unwrap()
}

fn mapping(files: &mut Files, change: impl FnOnce(&mut Mapping)) {
    let name = current_file(files);
    edit_mapping(files, &name, change);
}

fn keys_of(files: &Files, page: LogicalPage) -> usize {
    let bytes = open(files)
        .unwrap()
        .snapshot()
        .page(Space::Index, page)
        .unwrap();
    usize::try_from(word(&bytes[..], 16)).unwrap()
}

fn child_of(files: &Files, page: LogicalPage) -> LogicalPage {
    let bytes = open(files)
        .unwrap()
        .snapshot()
        .page(Space::Index, page)
        .unwrap();
    logical(word(&bytes[..], 20 + 4 * keys_of(files, page)))
}

/// The leaf that holds the first keys.
fn leaf_page(files: &Files) -> LogicalPage {
    let (_, inner) = root_and_child(files);
    child_of(files, inner)
}

fn leaf(files: &mut Files, change: impl FnOnce(&mut PageBytes)) {
    let page = leaf_page(files);
    edit_page(files, Space::Index, page, change);
}

/// The root leads to a leaf where it led to an inner page: that leaf is too high, and the inner
/// page is lost.
fn leaf_below_the_root(files: &mut Files) {
    let ((root, _), leaf) = (root_and_child(files), leaf_page(files));
    edit_page(files, Space::Index, root, |page| {
        set_first_child(page, leaf)
    });
}

/// Where the tables of a node lie.
struct Tables {
    key_offsets: usize,
    definitions: usize,
    token_offsets: usize,
    heap: usize,
    heap_end: usize,
}

impl Tables {
    fn of(page: &PageBytes) -> Self {
        let keys = usize::try_from(word(page, 16)).unwrap();
        let key_offsets = 20 + 4 * keys + 4 * (keys + 1);
        let definitions = key_offsets + 2 * keys + 2;
        let token_offsets = definitions + 2 * usize::from(half(page, definitions - 2)) + 2;
        let heap = token_offsets + 2 * (usize::from(half(page, token_offsets - 2)) + 1);
        let heap_end = heap + usize::from(half(page, heap - 2));
        Self {
            key_offsets,
            definitions,
            token_offsets,
            heap,
            heap_end,
        }
    }
}

fn half(page: &PageBytes, at: usize) -> u16 {
    u16::from_le_bytes(page[at..at + 2].try_into().unwrap())
}

fn swap_halves(page: &mut PageBytes, one: usize, two: usize) {
    page.swap(one, two);
    page.swap(one + 1, two + 1);
}

/// Changes the digits behind the first dot in the text of a leaf.
fn in_reference(files: &mut Files, change: impl FnOnce(&mut [u8])) {
    leaf(files, |page| {
        let Tables { heap, heap_end, .. } = Tables::of(page);
        let text = &mut page[heap..heap_end];
        // A number of several digits, so that a zero in front of the others is a wrong form.
        let is_dot = |at: &usize| {
            text[*at] == b'.' && text[at + 1].is_ascii_digit() && text[at + 2].is_ascii_digit()
        };
        let dot = (0..text.len() - 2).find(is_dot).unwrap();
        change(&mut text[dot + 1..]);
    });
}

fn records(files: &Files) -> Vec<RecordRef> {
    open(files)
        .unwrap()
        .snapshot()
        .records()
        .map(Result::unwrap)
        .collect()
}

/// The first record of a page with several.
fn single(files: &Files) -> RecordRef {
    let records = records(files);
    let pair = records
        .windows(2)
        .find(|pair| pair[0].page == pair[1].page)
        .unwrap();
    pair[0]
}

/// A record on several pages.
fn large(files: &Files) -> RecordRef {
    records(files)
        .into_iter()
        .find(|record| record.id == 1)
        .unwrap()
}

fn record_page(files: &mut Files, change: impl FnOnce(&mut PageBytes)) {
    let page = single(files).page;
    edit_page(files, Space::Objects, page, change);
}

fn large_page(files: &mut Files, change: impl FnOnce(&mut PageBytes)) {
    let page = large(files).page;
    edit_page(files, Space::Objects, page, change);
}

fn admin(files: &mut Files, change: impl FnOnce(&mut PageBytes)) {
    edit_page(files, Space::Objects, logical(0), change);
}

fn last_descriptor(page: &PageBytes) -> usize {
    (0..)
        .step_by(16)
        .find(|&at| page[at + 16..at + 32] == [0; 16])
        .unwrap()
}

/// Everything that a verification of all generations says, of files that it could not use too.
fn said(files: &Files) -> BTreeSet<CorruptionCode> {
    let report = check(&open(files).unwrap(), true);
    assert!(!report.is_consistent());
    codes(&report)
        .into_iter()
        .chain(report.refused.iter().map(|refusal| refusal.reason.code))
        .collect()
}

#[test]
fn every_breach_of_an_invariant_is_reported_under_its_code() {
    let mut wrong = Vec::new();
    for (row, &(number, code, dialects, breach)) in ROWS.iter().enumerate() {
        for &of in dialects {
            let mut files = if of == V21 { small_v21() } else { small_v22() };
            let before = files.clone();
            breach(&mut files);
            assert!(
                files != before,
                "row {row}, invariant {number}, {of}: nothing was changed"
            );
            let said = said(&files);
            if !said.contains(&code) {
                wrong.push(format!(
                    "row {row}, invariant {number}, {of}: {code} is not among {said:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let numbers: BTreeSet<u32> = ROWS.iter().map(|row| row.0).collect();
    assert_eq!(numbers, (1..=25).collect());
}

#[test]
fn the_table_in_the_documents_is_this_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/testing.md");
    let text = fs::read_to_string(path).unwrap();
    for number in 1..=25 {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("| {number} |")))
            .unwrap();
        let stated: BTreeSet<&str> = line.split('`').skip(1).step_by(2).collect();
        let tested: BTreeSet<&str> = ROWS
            .iter()
            .filter(|row| row.0 == number)
            .map(|row| row.1.as_str())
            .collect();
        assert_eq!(stated, tested, "invariant {number}");
    }
}

/// Each test that the documents name is there.
#[test]
fn the_tests_that_the_documents_name_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("src/docs/testing.md")).unwrap();
    let named: Vec<(&str, &str)> = text
        .split('`')
        .filter_map(|word| word.split_once(".rs::"))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for (file, test) in named {
        let source = fs::read_to_string(root.join(file).with_extension("rs")).unwrap();
        assert!(
            source.contains(&format!("fn {test}()")),
            "{file}.rs has no test {test}"
        );
    }
}

//! What a verification holds in memory at once is measured: hostile files must not make it many
//! times their own size.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/counting.rs"]
mod counting;
mod support;

use std::num::NonZeroUsize;

use cimrepo::base::corruption::CorruptionCode;
use cimrepo::base::limits::MAX_FINDINGS_PER_CODE;
use cimrepo::base::page_no::{LogicalPage, NIL, PAGE_SIZE, PageBytes, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::format::heap::admin_page::{AdminEntry, CAPACITY, ObjectAdminPage};
use cimrepo::format::index::node::IndexNode;
use cimrepo::format::mapping::MappingEntry;
use cimrepo::store::OpenOptions;
use cimrepo::verify::{Report, VerifyOptions, verify};
use cimrepo::{Direction, KeyRange};

use counting::peak_of;
use support::edit::{edit_mapping, set_word, with_pages};
use support::flood::floods;
use support::small::{physical, small_v21, stored};
use support::{Files, codes, in_memory, open};

const PAGES: usize = 3_000;

/// What is in memory at once grows with them.
const THREADS: usize = 2;

/// Verifies; gives what was found and the bytes that were held at once more than before.
fn measure(what: &str, files: Files) -> (Report, usize) {
    let repository = open(&files).unwrap();
    drop(files);
    let options = VerifyOptions {
        threads: NonZeroUsize::new(THREADS),
        all_generations: false,
    };
    let (report, peak) = peak_of(|| verify(&repository, options, &Unobserved).unwrap());
    let heap = PAGES * PAGE_SIZE;
    println!(
        "{what}: {:.1} MiB at once, a heap of {:.1} MiB",
        mib(peak),
        mib(heap)
    );
    (report, peak)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A page of as many empty records as it can hold, each with a check value that is wrong.
fn page_of_empty_records(page: usize) -> Box<PageBytes> {
    let mut bytes = Box::new([0; PAGE_SIZE]);
    for number in 0..PAGE_SIZE / 16 - 1 {
        let id = stored(page * 512 + number) + 10;
        for (at, word) in [id, stored(PAGE_SIZE), 0, 7].into_iter().enumerate() {
            set_word(&mut bytes[..], number * 16 + 4 * at, word);
        }
    }
    bytes
}

/// Every page looks like one of records that are all wrong, and continues a record: nothing of it
/// counts.
fn continued() -> Files {
    let mut head = Box::new([0; PAGE_SIZE]);
    for (at, word) in [1, 32, stored(PAGES * PAGE_SIZE - 32), 0]
        .into_iter()
        .enumerate()
    {
        set_word(&mut head[..], 4 * at, word);
    }
    with_pages(
        Space::Objects,
        std::iter::once(head).chain((1..PAGES).map(page_of_empty_records)),
    )
}

/// A chain of admin pages of dialect 2.1 that list nothing but pages that do not exist.
fn admin_pages() -> Files {
    let mut files = small_v21();
    files.retain(|name, _| !["OBJECTS.MAP", "MAPPING2.MAP"].contains(&&**name));
    files.insert("MAPPING.VER".to_owned(), 1u32.to_le_bytes().to_vec());
    let entry = |number| AdminEntry {
        page: 5_000_000 + stored(number),
        free_bytes: 0,
        crc: 0,
        zero: 1,
    };
    let page = |number| {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        let entries = (0..CAPACITY)
            .map(|at| entry(number * CAPACITY + at))
            .collect();
        let next = if number + 1 == PAGES {
            0
        } else {
            stored(number) + 1
        };
        ObjectAdminPage {
            head_mark: u32::from(number == 0),
            next,
            entries,
        }
        .write(&mut bytes);
        bytes
    };
    files.insert(
        "OBJECTS.DATA".to_owned(),
        (0..PAGES)
            .flat_map(|number| page(number).to_vec())
            .collect(),
    );
    edit_mapping(&mut files, "MAPPING1.MAP", |mapping| {
        let entry = |number| MappingEntry {
            physical: Some(physical(stored(number))),
            ..MappingEntry::default()
        };
        mapping.objects.entries = (0..PAGES).map(entry).collect();
        (mapping.objects.physical_pages, mapping.objects.free) = (stored(PAGES), Vec::new());
    });
    files
}

/// A scan of pages that nothing leads to holds those that overlap at a place, and of each page its
/// first and last key.
fn scans_without_a_root() {
    let single = |own: usize| vec![format!("NS_{own:08}")];
    let wide = |own: usize| vec![format!("NS_{own:08}"), format!("NT_{own:08}")];
    let index = PAGES * PAGE_SIZE;
    for (what, most, keys_of) in [
        (
            "trees of one page",
            1 << 20,
            &single as &dyn Fn(usize) -> Vec<String>,
        ),
        ("pages that all overlap", 3 * index / 2, &wide),
    ] {
        let page = |own| {
            let keys: Vec<String> = keys_of(own);
            let node =
                IndexNode::from_keys(keys.iter().map(String::as_bytes), vec![NIL; keys.len() + 1]);
            node.to_page(LogicalPage::new(stored(own)).unwrap())
                .unwrap()
        };
        let mut files = with_pages(Space::Index, (0..PAGES).map(page));
        let mapping = files
            .keys()
            .find(|name| name.starts_with("MAPPING"))
            .unwrap()
            .clone();
        edit_mapping(&mut files, &mapping, |mapping| {
            mapping.index.entries[0].user_data = 0x00FF_FFFF
        });
        let repository = OpenOptions::new()
            .cache_pages(8)
            .open_in(&in_memory(&files).1)
            .unwrap();
        drop(files);
        let scan = || {
            let mut keys = repository
                .snapshot()
                .keys(KeyRange::all(), Direction::Forward);
            let mut count = 0;
            while let Some(key) = keys.next_text() {
                count += usize::from(key.is_ok());
            }
            count
        };
        let (count, peak) = peak_of(scan);
        println!(
            "{what}: {:.1} MiB at once, an index of {:.1} MiB",
            mib(peak),
            mib(index)
        );
        assert_eq!(
            count,
            (0..PAGES).map(|own| keys_of(own).len()).sum::<usize>()
        );
        assert!(peak < most, "{what}: {:.1} MiB", mib(peak));
    }
}

/// One test: what is measured is that of the whole process.
#[test]
fn a_verification_holds_what_the_documents_say() {
    let heap = PAGES * PAGE_SIZE;
    let (report, peak) = measure(
        "records without end",
        with_pages(Space::Objects, (0..PAGES).map(page_of_empty_records)),
    );
    assert_eq!(report.generations[0].records, (PAGES * 511) as u64);
    assert!(codes(&report).contains(&CorruptionCode::RecordCheck));
    assert!(report.generations[0].not_listed > (PAGES * 511 - 2_000) as u64);
    // Twelve bytes a record in a list that doubles, eight more for its id: of empty ones there are
    // as many as bytes by 16.
    assert!(peak < 5 * heap / 2, "{:.1} MiB", mib(peak));

    let (report, peak) = measure("pages that continue a record", continued());
    assert_eq!(report.generations[0].records, 1);
    assert!(!codes(&report).contains(&CorruptionCode::RecordCheck));
    // A piece is 128 pages, of 32 bytes a record. Each thread is at one and has two that wait to be
    // taken; one more is taken.
    let piece = 128 * 512 * 32;
    assert!(
        peak < (3 * THREADS + 1) * piece + (1 << 20),
        "{:.1} MiB",
        mib(peak)
    );

    for (what, files) in floods(if cfg!(debug_assertions) { 200 } else { 770 }) {
        let size = files["INDEX.BTR"].len();
        let (report, peak) = measure(what, files);
        println!(
            "    an index of {:.1} MiB, {} findings and {} more",
            mib(size),
            report.findings().count(),
            report.generations[0].not_listed
        );
        assert!(!report.is_consistent());
        // Twenty bytes a reference in a list that doubles, of a thousand findings a kind a few
        // hundred bytes each.
        assert!(peak < 6 * size + (8 << 20), "{what}: {:.1} MiB", mib(peak));
    }

    scans_without_a_root();

    let (report, peak) = measure("admin pages that list nothing", admin_pages());
    let entries = report
        .findings()
        .filter(|finding| finding.code == CorruptionCode::AdminEntry)
        .count();
    assert!(
        entries == MAX_FINDINGS_PER_CODE && report.generations[0].records == 0,
        "{entries} entries"
    );
    assert!(peak < 12 << 20, "{:.1} MiB", mib(peak));
}

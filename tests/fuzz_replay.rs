//! Replays the committed inputs of the fuzz targets, and makes the seeds among them.
//!
//! `testdata/fuzz/<target>` holds seeds and, as `crash-<what it shows>`, inputs that once broke
//! something. Seeds come from the code below and from nowhere else:
//! `CIMREPO_REGENERATE_SEEDS=1 cargo test --test fuzz_replay` writes them anew, and without that
//! variable they are compared. `testdata/README.md` says more.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/bmf.rs"]
mod encoder;
#[path = "../fuzz/entries.rs"]
mod entries;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cimrepo::base::page_no::{
    LogicalPage, NIL, PAGE_SIZE, PageBytes, PhysicalPage, RecordRef, Space,
};
use cimrepo::base::site::FileRole;
use cimrepo::cim::{
    Array, CimType, Class, Flavor, FullClass, Instance, Method, Object, Property, Qualifier,
    QualifierSet, ScalarType, Setting, Value,
};
use cimrepo::format::Dialect;
use cimrepo::format::bmf::{BmfContent, BmfInstance, BmfObject};
use cimrepo::format::checksum::crc32;
use cimrepo::format::heap::admin_page::{
    AdminEntry, CAPACITY, INDEX_ADMIN_SIGNATURE, ObjectAdminPage,
};
use cimrepo::format::heap::page::{MULTI_PAGE_OFFSET, ObjectPageBuilder, build_multi_page};
use cimrepo::format::index::node::IndexNode;
use cimrepo::format::mapping::{Mapping, MappingEntry, MappingSection};
use cimrepo::format::own::journal::{
    CommitBuilder, HEADER_SIZE, JournalHeader, JournalOp, MappingId,
};
use cimrepo::format::record::class_record::encode_class_record;
use cimrepo::format::record::instance_record::encode_instance_record;
use cimrepo::format::record::reference_record::ReferenceRecord;
use cimrepo::format::security::acl::{Ace, AceBody, AceFlags, Acl};
use cimrepo::format::security::descriptor::{Control, SecurityDescriptor};
use cimrepo::format::security::sid::Sid;
use cimrepo::security::{defaults, inheritance, sddl};

use entries::objects::{self, DERIVED, base};
use entries::security::{ADMINISTRATOR, AUDITOR, TEXT};
use entries::{BELOW, REPAIR};

/// Beginning of the names of inputs that are kept and not made.
const KEPT: &str = "crash-";

/// The seeds of a target by name.
type Seeds = BTreeMap<String, Vec<u8>>;

fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/fuzz")
        .join(target)
}

/// The committed inputs of a target by name.
fn inputs(target: &str) -> Seeds {
    let entries = fs::read_dir(directory(target)).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

fn replay(target: &str) {
    for (name, input) in inputs(target) {
        // Shown when the input breaks something.
        println!("{target}/{name}");
        entries::run(target, &input);
    }
}

#[test]
fn mapping_inputs() {
    replay("mapping");
}

#[test]
fn index_page_inputs() {
    replay("index_page");
}

#[test]
fn object_page_inputs() {
    replay("object_page");
}

#[test]
fn repository_inputs() {
    replay("repository");
}

#[test]
fn backup_inputs() {
    replay("backup");
}

#[test]
fn journal_inputs() {
    replay("journal");
}

#[test]
fn security_descriptor_inputs() {
    replay("security_descriptor");
}

#[test]
fn class_record_inputs() {
    replay("class_record");
}

#[test]
fn instance_record_inputs() {
    replay("instance_record");
}

#[test]
fn reference_record_inputs() {
    replay("reference_record");
}

#[test]
fn object_path_inputs() {
    replay("object_path");
}

#[test]
fn pause_token_inputs() {
    replay("pause_token");
}

#[test]
fn bmf_inputs() {
    replay("bmf");
}

#[test]
fn query_text_inputs() {
    replay("query_text");
}

#[test]
fn query_inputs() {
    replay("query");
}

#[test]
fn carve_inputs() {
    replay("carve");
}

/// Each byte of each seed of a record in turn becomes another: what a fuzzer would try first.
#[test]
fn changed_object_records() {
    for target in [
        "class_record",
        "instance_record",
        "reference_record",
        "object_path",
        "bmf",
    ] {
        for (name, seed) in inputs(target) {
            println!("{target}/{name}");
            for at in 0..seed.len() {
                for byte in [
                    0,
                    1,
                    2,
                    0x7F,
                    0xFF,
                    seed[at] ^ 0x20,
                    seed[at].wrapping_add(1),
                    seed[at].wrapping_sub(4),
                ] {
                    let mut changed = seed.clone();
                    changed[at] = byte;
                    entries::run(target, &changed);
                }
            }
        }
    }
}

#[test]
fn every_target_has_the_seeds_that_are_made_for_it() {
    let made = [
        ("mapping", mapping_seeds()),
        ("index_page", index_page_seeds()),
        ("object_page", object_page_seeds()),
        ("repository", repository_seeds()),
        ("backup", backup_seeds()),
        ("journal", journal_seeds()),
        ("security_descriptor", security_descriptor_seeds()),
        ("class_record", class_record_seeds()),
        ("instance_record", instance_record_seeds()),
        ("reference_record", reference_record_seeds()),
        ("object_path", object_path_seeds()),
        ("pause_token", pause_token_seeds()),
        ("bmf", bmf_seeds()),
        ("query_text", query_text_seeds()),
        ("query", query_seeds()),
        ("carve", carve_seeds()),
    ];
    assert!(
        made.iter()
            .map(|(target, _)| target)
            .eq(entries::TARGETS.iter().map(|(target, _)| target))
    );
    let regenerate = std::env::var_os("CIMREPO_REGENERATE_SEEDS").is_some();
    for (target, seeds) in made {
        if regenerate {
            write_anew(target, &seeds);
        }
        let mut committed = inputs(target);
        committed.retain(|name, _| !name.starts_with(KEPT));
        assert!(
            committed.keys().eq(seeds.keys()),
            "{target}: {:?} are made",
            seeds.keys()
        );
        for (name, seed) in seeds {
            assert!(
                committed[&name] == seed,
                "{target}/{name} is not what is made"
            );
        }
    }
}

fn write_anew(target: &str, seeds: &Seeds) {
    let directory = directory(target);
    fs::create_dir_all(&directory).unwrap();
    for name in inputs(target).keys().filter(|name| !name.starts_with(KEPT)) {
        fs::remove_file(directory.join(name)).unwrap();
    }
    for (name, seed) in seeds {
        fs::write(directory.join(name), seed).unwrap();
    }
}

/// Seeds with their names in place of those that the map needs.
fn named<const N: usize>(seeds: [(&str, Vec<u8>); N]) -> Seeds {
    let count = seeds.len();
    let seeds: Seeds = seeds
        .into_iter()
        .map(|(name, seed)| (name.to_owned(), seed))
        .collect();
    assert_eq!(seeds.len(), count, "names differ");
    seeds
}

// ---- mappings

fn mapping_seeds() -> Seeds {
    let new = mapping(Dialect::V22, &[2, NIL, 0], &[3, 1]).to_bytes();
    let old = mapping(Dialect::V21, &[2, NIL, 0, 4], &[3, 1]).to_bytes();
    let mut single = Vec::new();
    mapping(Dialect::V21, &[0, 1], &[2])
        .objects
        .write(Dialect::V21, &mut single);
    let long: Vec<u32> = (0..40).rev().collect();
    named([
        ("new", new.clone()),
        ("new-and-bytes-behind", [&new[..], b"\x01\0\0\0"].concat()),
        ("new-cut", new[..new.len() - 7].to_vec()),
        ("new-empty", mapping(Dialect::V22, &[], &[]).to_bytes()),
        ("new-long", mapping(Dialect::V22, &long, &[]).to_bytes()),
        ("old", old.clone()),
        (
            "old-and-bytes-behind",
            [&old[..], b"\0\0\0\0\xBA\xDC\0\0"].concat(),
        ),
        ("old-empty", mapping(Dialect::V21, &[], &[]).to_bytes()),
        ("old-single", single),
    ])
}

fn mapping(dialect: Dialect, objects: &[u32], free: &[u32]) -> Mapping {
    let objects = section(dialect, objects, free);
    Mapping {
        dialect,
        objects,
        index: section(dialect, &[0], &[]),
        shutdown_flag: u32::from(dialect == Dialect::V22),
    }
}

fn section(dialect: Dialect, physical: &[u32], free: &[u32]) -> MappingSection {
    let count =
        |pages: &[u32]| u32::try_from(pages.iter().filter(|page| **page != NIL).count()).unwrap();
    let is_new = dialect == Dialect::V22;
    let entry = |&page: &u32| match is_new {
        true => MappingEntry {
            physical: PhysicalPage::new(page),
            checksum: 0xECBB_4B55,
            free_bytes: if page == NIL { 0 } else { 8176 },
            user_data: 0,
            stamp: 389,
            last_write: 388,
        },
        false => MappingEntry {
            physical: PhysicalPage::new(page),
            ..MappingEntry::default()
        },
    };
    MappingSection {
        transaction: 8592,
        generation: if is_new { 389 } else { 8592 },
        previous: if is_new { 388 } else { 8592 },
        physical_pages: count(physical) + count(free),
        entries: physical.iter().map(entry).collect(),
        free: free
            .iter()
            .filter_map(|&page| PhysicalPage::new(page))
            .collect(),
    }
}

// ---- pages

/// A page without the zeros at its end, which the targets put back.
fn front(page: &PageBytes) -> &[u8] {
    &page[..page
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1)]
}

fn put(page: &mut PageBytes, offset: usize, word: u32) {
    page[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
}

const KEYS: [&str; 6] = [
    "NS_1\\CD_A.5.77.300",
    "NS_1\\CI_A\\IL_B.5.9.20",
    "NS_1\\CR_A\\C_B",
    "NS_1\\KI_A\\I_B.5.9.20",
    "NS_2\\CD_A.6.1.9000",
    "NS_2\\CR_A\\R_B",
];

fn index_page_seeds() -> Seeds {
    let seed = |old: bool, text: &str, page: &PageBytes| {
        let length = u8::try_from(text.len()).unwrap();
        [&[u8::from(old), length], text.as_bytes(), front(page)].concat()
    };
    let leaf = index_node(&KEYS, None);
    let mut shuffled = index_node(&KEYS, None);
    shuffled.definition_order.reverse();
    shuffled.token_order.rotate_left(3);
    shuffled.slack = b"remains of another page\0".repeat(4).into();
    let mut old = index_node(&KEYS, None);
    old.children.fill(Dialect::V21.no_child());
    let many: Vec<String> = (0..150)
        .map(|number| format!("NS_1\\CD_{number:04}.3.{number}.40"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut mixed = index_node(&KEYS, Some(0));
    mixed.children[2] = NIL;
    named([
        ("leaf", seed(false, KEYS[2], &page_of(&leaf))),
        ("leaf-of-old", seed(true, "NS_1\\CR", &page_of(&old))),
        (
            "leaf-full",
            seed(false, "NS_1\\CD_0077", &page_of(&index_node(&many, None))),
        ),
        ("leaf-shuffled", seed(false, "NS_2", &page_of(&shuffled))),
        (
            "inner",
            seed(false, "NS_3", &page_of(&index_node(&KEYS, Some(10)))),
        ),
        ("inner-with-a-gap", seed(false, "", &page_of(&mixed))),
        (
            "root-with-one-key",
            seed(
                false,
                "NS_1\\CD_A",
                &page_of(&index_node(&KEYS[..1], Some(4))),
            ),
        ),
        ("token-order", seed(false, KEYS[1], &token_order())),
        (
            "definitions-shared",
            seed(false, KEYS[0], &definitions_shared()),
        ),
        (
            "definitions-overlap",
            seed(false, "A\\A", &definitions_overlap()),
        ),
        ("not-an-index-page", seed(false, "", &[0x5A; PAGE_SIZE])),
    ])
}

/// A leaf, or an inner node whose children are numbered from the one given.
fn index_node(keys: &[&str], first_child: Option<u32>) -> IndexNode {
    let children = match first_child {
        None => vec![NIL; keys.len() + 1],
        Some(first) => (first..).take(keys.len() + 1).collect(),
    };
    IndexNode::from_keys(keys.iter().map(|key| key.as_bytes()), children)
}

fn page_of(node: &IndexNode) -> Box<PageBytes> {
    node.to_page(LogicalPage::new(7).unwrap()).unwrap()
}

/// A leaf whose tokens are numbered in another order than theirs.
fn token_order() -> Box<PageBytes> {
    let mut node = index_node(&KEYS, None);
    node.tokens.swap(0, 1);
    page_of(&node)
}

/// A leaf all of whose keys have the definition of the first.
fn definitions_shared() -> Box<PageBytes> {
    let mut page = page_of(&index_node(&KEYS, None));
    let offsets = 20 + 4 * KEYS.len() + 4 * (KEYS.len() + 1);
    page[offsets..offsets + 2 * KEYS.len()].fill(0);
    page
}

/// A leaf of so many keys with the same long definition that they are not read one by one.
fn definitions_overlap() -> Box<PageBytes> {
    let long = ["A"; 200].join("\\");
    let short: Vec<String> = (0..110)
        .map(|number| format!("B\\C_{number:03}.3.{number}.40"))
        .collect();
    let keys: Vec<&str> = [long.as_str()]
        .into_iter()
        .chain(short.iter().map(String::as_str))
        .collect();
    let mut page = page_of(&index_node(&keys, None));
    let offsets = 20 + 4 * keys.len() + 4 * (keys.len() + 1);
    page[offsets..offsets + 2 * keys.len()].fill(0);
    page
}

/// Bytes of every kind of record, alone and among others, and what looks like one.
fn carve_seeds() -> Seeds {
    let class = class_record_seeds().into_iter().next_back();
    let instance = instance_record_seeds().into_iter().next_back();
    let records = [class, instance].into_iter().flatten();
    let records: Vec<Vec<u8>> = records.map(|(_, seed)| seed).collect();
    let mut digits: Vec<u8> = [b'A', 0].repeat(70);
    digits.extend(0x01D0_0000_0000_0001u64.to_le_bytes().repeat(2));
    digits.extend([40, 0, 0, 0, 0, 0, 0, 0, 0]);
    let reference = ReferenceRecord {
        namespace: "ROOT".to_owned(),
        class: "C".to_owned(),
        property: "P".to_owned(),
        key: "NS_1\\KI_2\\I_3".to_owned(),
    };
    let among = [&[0xFF; 5][..], &records.concat(), &reference.to_bytes()].concat();
    let mut page = among.clone();
    page.resize(PAGE_SIZE, 0);
    let table = single_page(&[(7, &reference.to_bytes()[..])]);
    let head = build_multi_page(&vec![0x6B; 9000], 0);
    named([
        ("class", records.first().cloned().unwrap_or_default()),
        ("instance", records.last().cloned().unwrap_or_default()),
        ("reference", reference.to_bytes()),
        ("among-others", among),
        ("digits", digits),
        ("raw-page", page),
        ("page", table.to_vec()),
        (
            "two-pages",
            head.iter().flat_map(|page| page.to_vec()).collect(),
        ),
    ])
}

fn object_page_seeds() -> Seeds {
    let admin = |head_mark, next, count: u32| {
        let entry = |page| AdminEntry {
            page,
            free_bytes: page * 2,
            crc: page * 3,
            zero: 0,
        };
        let mut page = Box::new([0; PAGE_SIZE]);
        ObjectAdminPage {
            head_mark,
            next,
            entries: (1..=count).map(entry).collect(),
        }
        .write(&mut page);
        front(&page).to_vec()
    };
    let two = |change: fn(&mut PageBytes)| {
        let mut page = single_page(&[(7, b"first"), (9, b"second")]);
        change(&mut page);
        front(&page).to_vec()
    };
    let mut index_admin = [0; PAGE_SIZE];
    put(&mut index_admin, 0, INDEX_ADMIN_SIGNATURE);
    put(&mut index_admin, 12, 100);
    let small: Vec<(u32, &[u8])> = (2..250).map(|id| (id, &b"0123456789abcdef"[..])).collect();
    let head = |size: usize| front(&build_multi_page(&vec![0x6B; size], 0)[0]).to_vec();
    named([
        ("empty", vec![0]),
        (
            "empty-with-remains",
            [&[0; 32][..], b"remains of a deleted record"].concat(),
        ),
        ("two-records", two(|_| {})),
        (
            "record-without-bytes",
            front(&single_page(&[(7, b""), (9, b"x")])).to_vec(),
        ),
        ("full", front(&single_page(&small)).to_vec()),
        (
            "largest-record",
            front(&single_page(&[(7, &[0x6B; PAGE_SIZE - MULTI_PAGE_OFFSET])])).to_vec(),
        ),
        ("multi-page-head", head(8161)),
        (
            "multi-page-head-of-old",
            front(&build_multi_page(&[7; 20_000], 0xCAFE)[0]).to_vec(),
        ),
        ("id-twice", two(|page| put(page, 16, 7))),
        ("id-zero", two(|page| put(page, 16, 0))),
        ("id-of-multi-page", two(|page| put(page, 0, 1))),
        ("offset-wrong", two(|page| put(page, 20, 47))),
        ("size-endless", two(|page| put(page, 24, u32::MAX))),
        ("admin-head", admin(1, 863, 20)),
        ("admin-full", admin(0, 0, u32::try_from(CAPACITY).unwrap())),
        ("admin-of-the-index", front(&index_admin).to_vec()),
    ])
}

fn single_page(records: &[(u32, &[u8])]) -> Box<PageBytes> {
    let mut builder = ObjectPageBuilder::new();
    for (id, record) in records {
        assert!(builder.push(*id, record, crc32(record)));
    }
    builder.build()
}

// ---- repositories

/// The repositories that seeds edit: the numbers that `fuzz/entries.rs` gives them.
const SHALLOW: u8 = 0;
const DEEP: u8 = 1;
const OLD: u8 = 2;

/// The file of the newest generation: builders write three.
const NEWEST: FileRole = FileRole::Mapping(2);

fn repository_seeds() -> Seeds {
    let mut seeds = named([
        ("new", edited(SHALLOW, [])),
        ("new-deep", edited(DEEP, [])),
        ("new-repaired", edited(SHALLOW | REPAIR, [])),
        ("old", edited(OLD, [])),
        ("old-below", edited(OLD | BELOW, [])),
        ("old-repaired", edited(OLD | REPAIR, [])),
    ]);
    seeds.extend(mapping_edits());
    seeds.extend(index_edits());
    seeds.extend(object_edits());
    seeds.extend(old_edits());
    seeds
}

/// What an input of the repository target is made of.
fn edited<const N: usize>(flags: u8, edits: [Vec<u8>; N]) -> Vec<u8> {
    [vec![flags], edits.concat()].concat()
}

fn operation(operation: u8, role: FileRole, offset: usize, argument: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(offset).unwrap().to_le_bytes();
    [
        &[
            operation,
            u8::try_from(entries::number_of(role)).unwrap(),
            a,
            b,
            c,
        ],
        argument,
    ]
    .concat()
}

fn write(role: FileRole, offset: usize, bytes: &[u8]) -> Vec<u8> {
    operation(
        0,
        role,
        offset,
        &[&[u8::try_from(bytes.len()).unwrap()], bytes].concat(),
    )
}

fn word(role: FileRole, offset: usize, word: u32) -> Vec<u8> {
    write(role, offset, &word.to_le_bytes())
}

fn copy_page(role: FileRole, from: u8, to: usize) -> Vec<u8> {
    operation(4, role, to * PAGE_SIZE, &[from])
}

fn cut(role: FileRole, length: usize) -> Vec<u8> {
    operation(5, role, length, &[0])
}

fn extend(role: FileRole, sectors: u8) -> Vec<u8> {
    operation(5, role, 0, &[sectors])
}

fn remove(role: FileRole) -> Vec<u8> {
    operation(6, role, 0, &[])
}

fn copy_file(from: FileRole, to: FileRole) -> Vec<u8> {
    operation(7, to, 0, &[u8::try_from(entries::number_of(from)).unwrap()])
}

fn bytes_of(flags: u8, role: FileRole) -> &'static [u8] {
    entries::file(entries::template(flags), role).unwrap()
}

/// Where a mapping file of dialect 2.2 keeps the entry of a page.
fn entry_at(flags: u8, space: Space, page: usize) -> usize {
    let mapping = Mapping::parse(bytes_of(flags, NEWEST), Dialect::V22, NEWEST)
        .unwrap()
        .mapping;
    let before = match space {
        Space::Objects => 0,
        Space::Index => 32 + 24 * mapping.objects.entries.len() + 4 * mapping.objects.free.len(),
    };
    before + 24 + 24 * page
}

/// The last page of the index, which the builders make the root.
fn root_of(flags: u8) -> usize {
    let pages = bytes_of(flags, FileRole::Index).len() / PAGE_SIZE;
    pages - if flags == OLD { 2 } else { 1 }
}

/// Where an index page keeps a child.
fn child_at(flags: u8, page: usize, child: usize) -> usize {
    let count = &bytes_of(flags, FileRole::Index)[page * PAGE_SIZE + 16..][..4];
    let keys = usize::try_from(u32::from_le_bytes(count.try_into().unwrap())).unwrap();
    page * PAGE_SIZE + 20 + 4 * keys + 4 * child
}

fn mapping_edits() -> Seeds {
    let length = bytes_of(SHALLOW, NEWEST).len();
    let entry = |space, page| entry_at(SHALLOW, space, page);
    named([
        ("mapping-cut", edited(SHALLOW, [cut(NEWEST, length - 5)])),
        (
            "mapping-cut-all",
            edited(
                SHALLOW,
                [1, 2, 3].map(|slot| cut(FileRole::Mapping(slot), length / 2)),
            ),
        ),
        ("mapping-gone", edited(SHALLOW, [remove(NEWEST)])),
        (
            "mapping-gone-all",
            edited(
                SHALLOW,
                [1, 2, 3].map(|slot| remove(FileRole::Mapping(slot))),
            ),
        ),
        (
            "mapping-in-wrong-file",
            edited(SHALLOW, [copy_file(NEWEST, FileRole::Mapping(1))]),
        ),
        (
            "mapping-torn",
            edited(SHALLOW, [word(NEWEST, entry(Space::Objects, 1) + 16, 1)]),
        ),
        ("mapping-longer", edited(SHALLOW, [extend(NEWEST, 1)])),
        (
            "mapping-while-running",
            edited(
                SHALLOW,
                [
                    word(NEWEST, length - 4, 0),
                    word(FileRole::Objects, 512, 0xFFFF_FFFF),
                ],
            ),
        ),
        (
            "page-outside",
            edited(
                SHALLOW,
                [1, 2, 3].map(|slot| word(FileRole::Mapping(slot), entry(Space::Index, 1), 900)),
            ),
        ),
        (
            "page-twice",
            edited(
                SHALLOW,
                [1, 2, 3].map(|slot| word(FileRole::Mapping(slot), entry(Space::Objects, 1), 0)),
            ),
        ),
        (
            "page-unmapped",
            edited(
                SHALLOW,
                [1, 2, 3].map(|slot| word(FileRole::Mapping(slot), entry(Space::Index, 0), NIL)),
            ),
        ),
        (
            "old-among-new",
            edited(
                SHALLOW,
                [
                    word(FileRole::MappingVersion, 0, 2),
                    write(
                        FileRole::Mapping(1),
                        0,
                        &mapping(Dialect::V21, &[0], &[]).to_bytes(),
                    ),
                ],
            ),
        ),
        (
            "root-outside",
            edited(
                SHALLOW,
                [1, 2, 3]
                    .map(|slot| word(FileRole::Mapping(slot), entry(Space::Index, 0) + 12, 77)),
            ),
        ),
        (
            "root-is-a-leaf",
            edited(
                SHALLOW,
                [1, 2, 3].map(|slot| word(FileRole::Mapping(slot), entry(Space::Index, 0) + 12, 0)),
            ),
        ),
    ])
}

fn index_edits() -> Seeds {
    let child = |flags, number| child_at(flags, root_of(flags), number);
    let (index, root) = (FileRole::Index, root_of(DEEP));
    let root_number = u32::try_from(root).unwrap();
    // In the middle of the tokens of the first leaf.
    let text = 5000;
    named([
        ("index-gone", edited(SHALLOW, [remove(index)])),
        ("index-cut", edited(SHALLOW, [cut(index, PAGE_SIZE + 100)])),
        (
            "child-twice",
            edited(SHALLOW | REPAIR, [word(index, child(SHALLOW, 1), 0)]),
        ),
        (
            "child-is-root",
            edited(DEEP | REPAIR, [word(index, child(DEEP, 0), root_number)]),
        ),
        (
            "child-is-none",
            edited(DEEP | REPAIR, [word(index, child(DEEP, 1), NIL)]),
        ),
        (
            "child-outside",
            edited(DEEP | REPAIR, [word(index, child(DEEP, 1), 4000)]),
        ),
        (
            "leaf-at-another-depth",
            edited(DEEP | REPAIR, [word(index, child(DEEP, 0), 0)]),
        ),
        (
            "leaf-misplaced",
            edited(DEEP | REPAIR, [copy_page(index, 1, 0)]),
        ),
        (
            "leaf-torn",
            edited(SHALLOW, [write(index, 1024, &[0xAA; 64])]),
        ),
        (
            "leaf-text-changed",
            edited(SHALLOW | REPAIR, [write(index, text, b"1.1")]),
        ),
        (
            "leaf-text-ended",
            edited(SHALLOW | REPAIR, [write(index, text, &[0, 0x2E, 0x5C])]),
        ),
        (
            "root-keys-many",
            edited(
                SHALLOW | REPAIR,
                [word(index, root_of(SHALLOW) * PAGE_SIZE + 16, 700)],
            ),
        ),
    ])
}

fn object_edits() -> Seeds {
    let objects = FileRole::Objects;
    let head = bytes_of(SHALLOW, objects)
        .chunks(PAGE_SIZE)
        .position(|page| page[..4] == [1, 0, 0, 0])
        .unwrap();
    named([
        ("objects-gone", edited(SHALLOW, [remove(objects)])),
        (
            "objects-cut",
            edited(SHALLOW, [cut(objects, 2 * PAGE_SIZE - 1)]),
        ),
        ("objects-longer", edited(SHALLOW, [extend(objects, 3)])),
        (
            "record-endless",
            edited(
                SHALLOW | REPAIR,
                [word(objects, head * PAGE_SIZE + 8, u32::MAX)],
            ),
        ),
        (
            "record-longer",
            edited(
                SHALLOW | REPAIR,
                [word(objects, head * PAGE_SIZE + 8, 24_000)],
            ),
        ),
        (
            "record-renumbered",
            edited(SHALLOW | REPAIR, [word(objects, 16, 99)]),
        ),
        (
            "record-unlisted",
            edited(SHALLOW | REPAIR, [write(objects, 0, &[0; 16])]),
        ),
        (
            "records-overlap",
            edited(SHALLOW | REPAIR, [word(objects, 20, 601)]),
        ),
        (
            "records-of-another-page",
            edited(SHALLOW | REPAIR, [copy_page(objects, 1, 0)]),
        ),
    ])
}

fn old_edits() -> Seeds {
    let objects = FileRole::Objects;
    let root = u32::try_from(root_of(OLD)).unwrap();
    let second = u32::from_le_bytes(bytes_of(OLD, objects)[4..8].try_into().unwrap());
    let next_of_second = usize::try_from(second).unwrap() * PAGE_SIZE + 4;
    named([
        ("old-admin-crowded", edited(OLD, [word(objects, 8, 600)])),
        ("old-admin-is-records", edited(OLD, [word(objects, 4, 1)])),
        (
            "old-admin-loop",
            edited(OLD, [word(objects, next_of_second, second)]),
        ),
        ("old-admin-outside", edited(OLD, [word(objects, 4, 4000)])),
        (
            "old-child-is-none",
            edited(
                OLD,
                [word(FileRole::Index, child_at(OLD, root_of(OLD), 1), 0)],
            ),
        ),
        (
            "old-index-admin-used",
            edited(OLD, [word(FileRole::Index, 8, 1)]),
        ),
        (
            "old-maps-single",
            edited(OLD, [1, 2].map(|slot| remove(FileRole::Mapping(slot)))),
        ),
        (
            "old-record-changed",
            edited(OLD, [write(objects, PAGE_SIZE + 4000, b"changed")]),
        ),
        (
            "old-record-changed-repaired",
            edited(OLD | REPAIR, [write(objects, PAGE_SIZE + 4000, b"changed")]),
        ),
        (
            "old-root-is-admin",
            edited(OLD, [word(FileRole::Index, 12, 0)]),
        ),
        (
            "old-root-is-leaf",
            edited(OLD, [word(FileRole::Index, 12, root - 1)]),
        ),
        (
            "old-version-gone",
            edited(OLD, [remove(FileRole::MappingVersion)]),
        ),
        (
            "old-version-wrong",
            edited(OLD, [word(FileRole::MappingVersion, 0, 3)]),
        ),
    ])
}

// ---- backups

fn backup_seeds() -> Seeds {
    let mut seeds = Seeds::new();
    let unmapped = entries::backup::UNMAPPED;
    let kinds = [
        (0u8, "plain"),
        (1, "packed"),
        (2, "forensic"),
        (3, "old"),
        (unmapped, "unmapped"),
    ];
    for (flags, kind) in kinds {
        let (manifest, trailer, chunks) = entries::backup::parts(flags);
        let mut add = |name: &str, flags: u8, edits: Vec<u8>| {
            seeds.insert(format!("{kind}-{name}"), [vec![flags], edits].concat());
        };
        add("intact", flags, Vec::new());
        add("repaired", flags | 4, Vec::new());
        add("cut-in-the-trailer", flags, backup_cut(trailer + 5));
        add("cut-in-the-manifest", flags, backup_cut(manifest + 50));
        add("magic", flags, backup_write(0, b"X"));
        add("version", flags | 4, backup_write(8, &[9]));
        add("flag-unknown", flags | 4, backup_write(100, &[8]));
        let says_unmapped = [
            backup_write(8, &[3]),
            backup_write(88, &[0]),
            backup_write(92, &[0; 8]),
            backup_write(100, &[20]),
        ];
        add(
            "says-that-no-mapping-can-be-read",
            flags | 4,
            says_unmapped.concat(),
        );
        add(
            "incremental-without-base",
            flags | 4,
            backup_write(100, &[1]),
        );
        add("payload", flags, backup_write(chunks[0] + 100, &[0xAA]));
        add(
            "payload-repaired",
            flags | 4,
            backup_write(chunks[0] + 100, &[0xAA, 0xBB]),
        );
        add(
            "page-counts-endless",
            flags | 4,
            backup_write(manifest + 40, &[0xFF; 4]),
        );
        add(
            "manifest-elsewhere",
            flags | 4,
            backup_write(trailer + 16, &[0x80, 0]),
        );
        add(
            "table-of-records",
            flags | 4,
            backup_write(chunks[0] + 32, &[0xFF; 8]),
        );
        let mapping = chunks[chunks.len() - 1];
        add(
            "mapping-other-generation",
            flags | 4,
            backup_write(mapping + 32 + 8, &[7]),
        );
        add(
            "mapping-free-list",
            flags | 4,
            backup_write(trailer - 3, &[7]),
        );
    }
    seeds
}

fn backup_write(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(offset).unwrap().to_le_bytes();
    [&[a, b, c, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn backup_cut(offset: usize) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(offset).unwrap().to_le_bytes();
    vec![a, b, c, u8::MAX]
}

// ---- journals

const JOURNAL: JournalHeader = JournalHeader {
    base: MappingId {
        generation: 42,
        mapping_crc: 0x0A0B_0C0D,
    },
    previous: MappingId {
        generation: 41,
        mapping_crc: 7,
    },
    first_commit: 1000,
    salt: 0x0102_0304_0506_0708,
};

fn journal_seeds() -> Seeds {
    let page = LogicalPage::new(7).unwrap();
    let (size, bytes) = (300, [0x6B; 300]);
    let commits: [&[JournalOp]; 4] = [
        &[
            JournalOp::PutRecord {
                page,
                id: 77,
                bytes: &bytes,
            },
            JournalOp::InsertKey(b"NS_A\\CD_B.7.77.300"),
            JournalOp::InsertKey(b"NS_A\\CR_B\\C_D"),
        ],
        &[],
        &[
            JournalOp::DeleteKey(b"NS_A\\CD_B.7.77.300"),
            JournalOp::DeleteRecord(RecordRef { page, id: 77, size }),
        ],
        &[JournalOp::InsertKey(b"")],
    ];
    let new = journal(&commits);
    // Where the second frame begins; it has no payload, and the third follows after 24 bytes.
    let second = journal(&commits[..1]).len();
    let edited = |offset: usize, bytes: &[u8]| {
        let mut journal = new.clone();
        journal[offset..offset + bytes.len()].copy_from_slice(bytes);
        journal
    };
    let seed = |flags: u8, journal: &[u8]| [&[flags], journal].concat();
    let repaired = entries::journal::HEADER | entries::journal::FRAMES;
    named([
        ("whole", seed(0, &new)),
        (
            "whole-and-zeros-behind",
            seed(0, &[&new[..], &[0; 100]].concat()),
        ),
        ("without-commits", seed(0, &journal(&[]))),
        ("cut-in-a-frame", seed(0, &new[..new.len() - 9])),
        ("cut-in-the-header", seed(0, &new[..50])),
        ("header-damaged", seed(0, &edited(17, &[1]))),
        (
            "header-of-another-version",
            seed(entries::journal::FRAMES, &edited(8, &[2])),
        ),
        (
            "header-continues-itself",
            seed(repaired, &edited(24, &[42])),
        ),
        (
            "numbers-end",
            seed(
                repaired,
                &edited(32, &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
            ),
        ),
        ("frame-torn", seed(0, &edited(second + 4, &[9]))),
        (
            "frame-endless",
            seed(repaired, &edited(second + 4, &[0xFF; 4])),
        ),
        (
            "operation-unknown",
            seed(repaired, &edited(HEADER_SIZE + 20, &[9])),
        ),
        (
            "key-endless",
            seed(repaired, &edited(second + 24 + 21, &[0xFF, 0xFF])),
        ),
        (
            "record-endless",
            seed(repaired, &edited(HEADER_SIZE + 29, &[0xFF; 4])),
        ),
        (
            "page-none",
            seed(repaired, &edited(HEADER_SIZE + 21, &[0xFF; 4])),
        ),
        ("zeros-repaired", seed(repaired, &[0; 200])),
    ])
}

fn journal(commits: &[&[JournalOp]]) -> Vec<u8> {
    let mut bytes = JOURNAL.to_bytes().to_vec();
    for (operations, number) in commits.iter().zip(JOURNAL.first_commit..) {
        let mut commit = CommitBuilder::new();
        operations
            .iter()
            .for_each(|operation| commit.push(*operation).unwrap());
        bytes.extend_from_slice(commit.finish(JOURNAL.salt, number));
    }
    bytes
}

// ---- security descriptors

fn security_descriptor_seeds() -> Seeds {
    let seed = |flags: u8, bytes: &[u8]| [&[flags], bytes].concat();
    let root = defaults::of_root();
    let child = inheritance::of_new_namespace(&root).unwrap().to_bytes();
    let (none, owner) = (AceFlags::empty(), Some(Sid::ADMINISTRATORS));
    let other = AceBody::Other {
        kind: 6,
        bytes: [1; 20].into(),
    };
    let entries = vec![
        Ace::allow(none, 1, Sid::USERS),
        Ace::deny(AceFlags::CONTAINER_INHERIT, 2, Sid::EVERYONE),
        Ace::allow(
            AceFlags::CONTAINER_INHERIT | AceFlags::INHERIT_ONLY,
            0x20000,
            Sid::OWNER_RIGHTS,
        ),
        Ace::allow(
            AceFlags::from_bits_retain(0x16),
            0x1C,
            "S-1-0xABCDEF012345-1-2-3".parse().unwrap(),
        ),
    ];
    let mixed = SecurityDescriptor::new(owner, owner).with_dacl(Acl::new(entries.clone()).unwrap());
    let carried = Acl::new(
        [
            entries,
            vec![Ace {
                flags: none,
                body: other,
            }],
        ]
        .concat(),
    )
    .unwrap();
    let carried = SecurityDescriptor::new(owner, None)
        .with_dacl(carried.padded_to(200))
        .to_bytes();
    let text = "O:BAG:BAD:PAR(A;CI;CCDCLCSWRPWPRCWD;;;BA)(D;CIIONP;0x23;;;S-1-5-80-1-2)S:(AU;SAFA;CCRC;;;WD)";
    let audited = sddl::parse(text).unwrap();
    let mut null = SecurityDescriptor::new(owner, owner)
        .with_control(Control::DACL_PROTECTED)
        .to_bytes();
    null[2] |= 4;
    let mut shared = SecurityDescriptor::new(owner, None).to_bytes();
    shared[8] = 20;
    // The owner first, as other programs lay descriptors out, and bytes before and behind it.
    let mut owner_first = SecurityDescriptor::new(owner, None).to_bytes();
    owner_first.splice(20..20, [0xAA; 4]);
    owner_first[4] = 24;
    owner_first.extend([0xBB, 2, 0, 8, 0, 0, 0, 0, 0, 0xCC]);
    (owner_first[2], owner_first[16]) = (4, 41);
    named([
        ("audited", seed(AUDITOR, &audited.to_bytes())),
        ("carried", seed(ADMINISTRATOR, &carried)),
        ("child", seed(0, &child)),
        ("cut", seed(0, &child[..100])),
        ("mixed", seed(ADMINISTRATOR, &mixed.to_bytes())),
        ("null", seed(0, &null)),
        ("owner-first", seed(ADMINISTRATOR, &owner_first)),
        ("root", seed(ADMINISTRATOR | AUDITOR, &root.to_bytes())),
        ("shared", seed(0, &shared)),
        ("text", seed(TEXT, text.as_bytes())),
        (
            "text-of-root",
            seed(TEXT, sddl::print(&root).unwrap().as_bytes()),
        ),
    ])
}

// ---- objects

fn class_record_seeds() -> Seeds {
    let record = |class: Class, superclass: Option<std::sync::Arc<FullClass>>| {
        let flags = if superclass.is_some() { DERIVED } else { 0 };
        let full = FullClass::compose(class, superclass).unwrap();
        [
            &[flags][..],
            &encode_class_record(&full, 0x1D0_0000_0000_0000).unwrap(),
        ]
        .concat()
    };
    let derived = || Class::builder("Derived").superclass("Base");
    let overriding = Property {
        default: Setting::Inherited,
        ..Property::new("Number", ScalarType::Uint32)
    };
    let wide = Property::new("P\u{416}", ScalarType::String)
        .default("\u{E9}")
        .qualifier(Qualifier::new("Q", "\u{416}", Flavor::AMENDED));
    let whole = record(base().declaration().clone(), None);
    named([
        ("empty", record(Class::builder("C").build(), None)),
        ("base-cut", whole[..whole.len() - 20].to_vec()),
        ("base", whole),
        ("derived", record(derived().build(), Some(base()))),
        (
            "derived-with-overrides",
            record(
                derived()
                    .property(overriding)
                    .property(Property::new("Default", ScalarType::String))
                    .property(Property::new("New", ScalarType::Sint16).default(-1i16))
                    .method(
                        Method::new("Do").qualifier(Qualifier::flag("static", Flavor::TO_SUBCLASS)),
                    )
                    .build(),
                Some(base()),
            ),
        ),
        (
            "wide-texts",
            record(Class::builder("C").property(wide).build(), None),
        ),
        (
            "embedded",
            record(
                Class::builder("C").property(embedded_property()).build(),
                None,
            ),
        ),
    ])
}

fn embedded_instance() -> Object {
    Object::Instance(Box::new(
        Instance::new(base()).with("Name", "inner").unwrap(),
    ))
}

fn embedded_property() -> Property {
    let class = Object::Class(Box::new(
        Class::builder("Inner")
            .property(Property::new("P", ScalarType::Uint8))
            .build(),
    ));
    let objects = vec![
        Some(embedded_instance()),
        None,
        Some(class),
        Some(Object::Opaque(Box::new([9, 9]))),
    ];
    Property::new("O", CimType::array(ScalarType::Object))
        .default(Value::Array(Array::Object(objects)))
}

fn instance_record_seeds() -> Seeds {
    let record = |instance: &Instance, flags: u8| {
        let dialect = if flags == objects::OLD {
            Dialect::V21
        } else {
            Dialect::V22
        };
        [
            &[flags][..],
            &encode_instance_record(instance, dialect, 3, 2).unwrap(),
        ]
        .concat()
    };
    let plain = Instance::new(base()).with("Name", "n").unwrap();
    let texts = Value::Array(Array::String(vec![
        Some("a".to_owned()),
        None,
        Some("\u{416}".to_owned()),
    ]));
    let mut full = plain
        .clone()
        .with("Texts", texts)
        .unwrap()
        .with("Number", Setting::Null)
        .unwrap();
    full.set("Object", Value::Object(Box::new(embedded_instance())))
        .unwrap();
    full.set("Target", Value::Reference("Base.Name=\"n\"".to_owned()))
        .unwrap();
    let mut qualified = plain.clone();
    qualified
        .qualifiers
        .set(Qualifier::flag("DYNPROPS", Flavor::empty()));
    let mut sets = vec![QualifierSet::new(); base().properties().len()];
    sets[1].set(Qualifier::flag("dynamic", Flavor::TO_INSTANCE));
    qualified.property_qualifiers = Some(sets);
    let whole = record(&plain, 0);
    named([
        ("cut", whole[..whole.len() - 3].to_vec()),
        ("plain", whole),
        ("plain-old", record(&plain, objects::OLD)),
        ("full", record(&full, 0)),
        ("qualified", record(&qualified, 0)),
    ])
}

fn reference_record_seeds() -> Seeds {
    let text = str::to_owned;
    let reference = ReferenceRecord {
        namespace: text("ROOT\\x"),
        class: text("C"),
        property: text("P"),
        key: text("NS_0"),
    };
    let whole = reference.to_bytes();
    named([
        ("cut", whole[..whole.len() - 1].to_vec()),
        ("endless", [&[0xFF; 4], &whole[4..]].concat()),
        ("whole", whole),
    ])
}

fn pause_token_seeds() -> Seeds {
    let digest = "0123456789abcdef".repeat(4);
    named([
        (
            "vista",
            format!("cimrepo-pause-1:2.2:41:97:{digest}").into_bytes(),
        ),
        (
            "xp",
            format!("cimrepo-pause-1:2.1:0:4294967295:{digest}").into_bytes(),
        ),
        (
            "too-long",
            format!("cimrepo-pause-1:2.2:041:97:{digest}:").into_bytes(),
        ),
    ])
}

fn object_path_seeds() -> Seeds {
    let text = |text: &str| text.as_bytes().to_vec();
    named([
        ("class", text("Class")),
        (
            "whole",
            text(r#"\\SERVER\ROOT\cimv2:Class.Key="a\"b\\c",Key2=-1,Key3=TRUE"#),
        ),
        ("singleton", text(r"root\cimv2:Class=@")),
        ("single-key", text("C='x'")),
        ("hexadecimal", text("C.K=0xFF")),
        ("timestamp", text("20220310123456.123456-420")),
        ("interval", text("00000001010203.000004:000")),
        ("wildcards", text("********235959.******+***")),
    ])
}

// ---- binary MOF

fn bmf_seeds() -> Seeds {
    let spread = Flavor::TO_INSTANCE | Flavor::TO_SUBCLASS;
    let class = Class::builder("C")
        .superclass("Base")
        .qualifier(Qualifier::flag("Dynamic", Flavor::TO_INSTANCE))
        .qualifier(Qualifier::new("Description", "a text", Flavor::AMENDED))
        .property(
            Property::new("Name", ScalarType::String)
                .key()
                .qualifier(Qualifier::flag("read", spread)),
        )
        .property(Property::new("Data", CimType::array(ScalarType::Uint8)).default(vec![1u8, 2]))
        .method(
            Method::new("Do")
                .input(Property::new("A", ScalarType::Uint8))
                .returns(ScalarType::Uint32),
        )
        .build();
    let properties = [
        Property::new("Name", ScalarType::String),
        Property::new("Provider", ScalarType::String),
        Property::new("Inner", ScalarType::Object),
        Property::new("Texts", CimType::array(ScalarType::String)),
    ];
    let named = |name: &str, properties: &[Property]| {
        let mut class = Class::builder(name).build();
        class.properties = properties.to_vec();
        Instance::new(std::sync::Arc::new(
            FullClass::compose(class, None).unwrap(),
        ))
    };
    let inner = named("D", &properties[..1]).with("Name", "x").unwrap();
    let instance = named("C", &properties);
    let instance = instance
        .with("Name", "n")
        .unwrap()
        .with("Provider", "P")
        .unwrap();
    let inner = Value::Object(Box::new(Object::Instance(Box::new(inner))));
    let instance = instance.with("Inner", inner).unwrap();
    let texts = Value::Array(Array::String(vec![
        Some("a".to_owned()),
        Some("b".to_owned()),
    ]));
    let instance = instance.with("Texts", texts).unwrap();
    let instance = BmfInstance {
        instance,
        aliases: vec![1],
    };
    let object = |content: BmfContent, alias: Option<&str>| BmfObject {
        offset: 0,
        namespace: Some(r"\\.\Root\WMI".to_owned()),
        flags: 64,
        alias: alias.map(str::to_owned),
        content,
        notes: Vec::new(),
    };
    let objects = [
        object(BmfContent::Class(class), Some("P")),
        object(BmfContent::Instance(instance), None),
    ];
    let (body, container) = (encoder::body(&objects), encoder::container(&objects));
    self::named([
        ("body", body.clone()),
        (
            "body-without-flavors",
            body[..usize::try_from(u32::from_le_bytes(*body[4..].first_chunk().unwrap())).unwrap()]
                .to_vec(),
        ),
        ("container", container.clone()),
        ("container-cut", container[..container.len() - 9].to_vec()),
        ("resource", [b"MZ", &container[..], &[0; 7]].concat()),
        ("empty", encoder::container(&[])),
    ])
}

fn query_text_seeds() -> Seeds {
    let text = |text: &str| text.as_bytes().to_vec();
    named([
        ("all", text("SELECT * FROM C")),
        (
            "columns",
            text(
                "SELECT A, Obj.B.C, __CLASS FROM C WHERE NOT A LIKE '%[a-c]_' OR 0x1F <= B AND Obj \
                    ISA \"D\"",
            ),
        ),
        (
            "count",
            text("select count(*) from C where (A = TRUE or B is not null) and 'x\\\\' = C"),
        ),
        (
            "event",
            text(
                "SELECT * FROM E WITHIN 1.5 WHERE A = -1 GROUP WITHIN 300 BY A HAVING \
                    NumberOfEvents > 1e3",
            ),
        ),
        (
            "associators",
            text(
                "ASSOCIATORS OF {C.A='}',B=1} WHERE AssocClass = L Role = Left ResultRole='R' \
                    KeysOnly",
            ),
        ),
        (
            "references",
            text(r#"REFERENCES OF{\\.\root:C="v"}WHERE ClassDefsOnly"#),
        ),
        ("schema", text("ASSOCIATORS OF {C} WHERE SchemaOnly")),
    ])
}

fn query_seeds() -> Seeds {
    let with = |text: &str, edits: &[u8]| [text.as_bytes(), b"\0", edits].concat();
    // A byte of the object heap and one of the index become others.
    let edits = [1, 4, 0, 0, 32, 0, 4, 1, 0, 32, 0, 4];
    named([
        ("as-made", with("SELECT * FROM __SystemSecurity", &[])),
        (
            "changed",
            with("SELECT Name FROM __NAMESPACE WHERE Name LIKE '%a%'", &edits),
        ),
        (
            "schema",
            with("SELECT * FROM meta_class WHERE __CLASS > '__N'", &[1]),
        ),
        (
            "associations",
            with("ASSOCIATORS OF {__NAMESPACE.Name='default'}", &[0]),
        ),
    ])
}

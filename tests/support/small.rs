//! Small repositories of both dialects, the same in every run. They have several levels of index,
//! records on several pages, three (in 2.1 two) different generations, logical pages without a
//! page, and free pages inside and at the end of the files.

use std::collections::BTreeMap;
use std::fmt::Write;

use cimrepo::base::page_no::{
    LogicalPage, NIL, PAGE_SIZE, PageBytes, PhysicalPage, RecordRef, Space,
};
use cimrepo::base::site::{FileRole, Site};
use cimrepo::format::Dialect;
use cimrepo::format::checksum::{crc32, sampled};
use cimrepo::format::heap::admin_page::{AdminEntry, INDEX_ADMIN_SIGNATURE, ObjectAdminPage};
use cimrepo::format::heap::page::{ObjectPage, ObjectPageBuilder, build_multi_page};
use cimrepo::format::index::key::Key;
use cimrepo::format::index::node::IndexNode;
use cimrepo::format::index::page::IndexPage;
use cimrepo::format::mapping::{Mapping, MappingEntry, MappingSection};
use cimrepo::store::{BulkBuilder, Snapshot};

use super::{Files, in_memory, open};

const SEED: u64 = 0x5EED;

/// The first generation that is left on disk; that of the bulk builder came before.
const GENERATIONS: u32 = 3;

/// Pseudo-random numbers that are the same everywhere (SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn hex(&mut self, digits: usize) -> String {
        let mut text = String::new();
        while text.len() < digits {
            write!(text, "{:016X}", self.next()).unwrap();
        }
        text.truncate(digits);
        text
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// A logical page.
pub fn logical(number: u32) -> LogicalPage {
    LogicalPage::new(number).unwrap()
}

/// A physical page.
pub fn physical(number: u32) -> PhysicalPage {
    PhysicalPage::new(number).unwrap()
}

/// A length in its stored form.
pub fn stored(length: usize) -> u32 {
    u32::try_from(length).unwrap()
}

/// The bytes of a physical page of a data file.
pub fn page_at(file: &[u8], page: PhysicalPage) -> &PageBytes {
    file[page.index() * PAGE_SIZE..][..PAGE_SIZE]
        .try_into()
        .unwrap()
}

/// Mutable access to the bytes of a physical page.
pub fn page_at_mut(file: &mut [u8], page: PhysicalPage) -> &mut PageBytes {
    (&mut file[page.index() * PAGE_SIZE..][..PAGE_SIZE])
        .try_into()
        .unwrap()
}

/// The data file of a space.
pub fn data_mut(files: &mut Files, space: Space) -> &mut Vec<u8> {
    files.get_mut(FileRole::data(space).file_name()).unwrap()
}

/// The mapping in a file.
pub fn mapping_in(files: &Files, name: &str) -> Mapping {
    let role = FileRole::from_file_name(name).unwrap();
    Mapping::parse_any(&files[name], Dialect::V22, role)
        .unwrap()
        .mapping
}

/// The name of the file that holds the current generation of an intact repository.
pub fn current_file(files: &Files) -> String {
    let snapshot = open(files).unwrap().snapshot();
    let generation = snapshot.mapping().generation();
    match snapshot.dialect() {
        Dialect::V21 => format!("MAPPING{}.MAP", files["MAPPING.VER"][0]),
        Dialect::V22 => FileRole::Mapping(Mapping::slot_of(generation))
            .file_name()
            .to_owned(),
    }
}

/// A repository of dialect 2.2.
pub fn small_v22() -> Files {
    let (storage, directory) = in_memory(&Files::new());
    fill(BulkBuilder::create_seeded(directory.clone(), SEED).unwrap());
    let name = |role: FileRole| role.file_name().to_owned();
    let file = |role: FileRole| Some((name(role), storage.get(directory.join(&name(role)))?));
    let mut files: Files = FileRole::REPOSITORY.into_iter().filter_map(file).collect();
    for step in 0..GENERATIONS {
        next_generation(&mut files, step);
    }
    files
}

/// Classes, instances under two keys each, and keys without a record, in three namespaces.
fn fill(mut builder: BulkBuilder) {
    let mut numbers = Numbers(SEED);
    let mut keys = BTreeMap::new();
    for _ in 0..3 {
        let namespace = format!("NS_{}", numbers.hex(64));
        for class in 0..12 {
            let length = if class % 5 == 0 {
                9_000 + class * 1_000
            } else {
                300 + class * 150
            };
            let record = Some(builder.record(&numbers.bytes(length)).unwrap());
            // Longer than any in Windows, so that few keys fill a page and a few dozen pages make
            // three levels.
            // three levels.
            keys.insert(format!("{namespace}\\CD_{}", numbers.hex(880)), record);
            keys.insert(
                format!(
                    "{namespace}\\CR_{}\\C_{}",
                    numbers.hex(440),
                    numbers.hex(440)
                ),
                None,
            );
            let record = Some(builder.record(&numbers.bytes(100 + class * 10)).unwrap());
            let instance = numbers.hex(430);
            keys.insert(
                format!("{namespace}\\CI_{}\\IL_{instance}", numbers.hex(440)),
                record,
            );
            keys.insert(
                format!("{namespace}\\KI_{}\\I_{instance}", numbers.hex(440)),
                record,
            );
        }
    }
    for (key, record) in keys {
        builder.key(key.as_bytes(), record).unwrap();
    }
    builder.finish().unwrap();
}

/// Writes the next generation as Windows does: an object page and an index page move to new places,
/// and the mapping replaces the file of the oldest generation. A page of garbage at the end of each
/// file is free.
fn next_generation(files: &mut Files, step: u32) {
    let mut mapping = mapping_in(files, &current_file(files));
    let generation = mapping.generation() + 1;
    for space in Space::ALL {
        let page = nth_movable(mapping.section(space), space, step);
        let file = data_mut(files, space);
        let moved = relocate(file, mapping.section_mut(space), page);
        let slack = move_slack(
            page_at_mut(file, moved),
            page,
            space,
            u8::try_from(step).unwrap(),
        );
        let section = mapping.section_mut(space);
        let entry = &mut section.entries[page.index()];
        (entry.checksum, entry.last_write) = (slack, generation);
        if step == 0 {
            let gap = MappingEntry {
                checksum: 0xECBB_4B55,
                last_write: 1,
                ..MappingEntry::default()
            };
            section.entries.push(gap);
        }
        append_rubbish(file, section);
        (section.transaction, section.generation, section.previous) =
            (generation * 4, generation, generation - 1);
        section
            .entries
            .iter_mut()
            .for_each(|entry| entry.stamp = generation);
    }
    // 0, as if the computer were still running, so that opening checks the pages that the
    // generation wrote.
    mapping.shutdown_flag = 0;
    let name = FileRole::Mapping(Mapping::slot_of(generation)).file_name();
    files.insert(name.to_owned(), mapping.to_bytes());
}

/// A page that may be rewritten on its own: in the heap a page of whole records.
fn nth_movable(section: &MappingSection, space: Space, number: u32) -> LogicalPage {
    let movable = |entry: &MappingEntry| space == Space::Index || entry.free_bytes > 0;
    let mut pages = section
        .mapped()
        .filter(|(.., entry)| movable(entry))
        .map(|(page, ..)| page);
    pages.nth(usize::try_from(number).unwrap()).unwrap()
}

/// Copies a page to the end of the space; its old place becomes free.
fn relocate(file: &mut Vec<u8>, section: &mut MappingSection, page: LogicalPage) -> PhysicalPage {
    let old = section.entries[page.index()].physical.unwrap();
    let new = physical(section.physical_pages);
    let bytes = *page_at(file, old);
    file.resize(new.index() * PAGE_SIZE, 0);
    file.extend_from_slice(&bytes);
    section.entries[page.index()].physical = Some(new);
    section.physical_pages += 1;
    section.free.push(old);
    new
}

/// Fills the slack as in an edited page. Returns the new checksum.
fn move_slack(page: &mut PageBytes, own: LogicalPage, space: Space, step: u8) -> u32 {
    let end = match space {
        Space::Objects => ObjectPage::new(page).end(),
        Space::Index => IndexPage::parse(page, own, Site::page(space, own))
            .unwrap()
            .used(),
    };
    page[end..].fill(0xE0 + step);
    sampled(page)
}

/// Adds a free page with unknown content at the end of the file.
fn append_rubbish(file: &mut Vec<u8>, section: &mut MappingSection) {
    file.extend_from_slice(&[0x5A; PAGE_SIZE]);
    section.free.push(physical(section.physical_pages));
    section.physical_pages += 1;
}

/// A repository of dialect 2.1 with the content of [`small_v22`].
pub fn small_v21() -> Files {
    as_v21(&open(&small_v22()).unwrap().snapshot())
}

/// A repository of dialect 2.1 with the content of one of dialect 2.2: two generations, and two
/// admin pages of the heap.
pub fn as_v21(source: &Snapshot) -> Files {
    let mut objects = convert_objects(source);
    let mut index = convert_index(source);
    let mut mapping = Mapping {
        dialect: Dialect::V21,
        objects: objects.place(8),
        index: index.place(8),
        shutdown_flag: 0,
    };
    let mut files = Files::new();
    files.insert("MAPPING1.MAP".into(), mapping.to_bytes());
    for space in Space::ALL {
        let file = if space == Space::Objects {
            &mut objects.file
        } else {
            &mut index.file
        };
        let section = mapping.section_mut(space);
        let page = section.mapped().nth(3).unwrap().0;
        relocate(file, section, page);
        append_rubbish(file, section);
        (section.transaction, section.generation, section.previous) = (9, 9, 9);
    }
    files.insert("MAPPING2.MAP".into(), mapping.to_bytes());
    files.insert("MAPPING.VER".into(), 2u32.to_le_bytes().to_vec());
    let section_bytes = |section: &MappingSection| {
        let mut bytes = Vec::new();
        section.write(Dialect::V21, &mut bytes);
        bytes
    };
    // An older and longer image was overwritten without truncation: its last bytes are still there.
    let stale = [7, 0, 0, 0, 9, 0, 0, 0, 0xBA, 0xDC, 0, 0];
    files.insert(
        "OBJECTS.MAP".into(),
        [&section_bytes(&mapping.objects)[..], &stale[..]].concat(),
    );
    files.insert("INDEX.MAP".into(), section_bytes(&mapping.index));
    files.insert("OBJECTS.DATA".into(), objects.file);
    files.insert("INDEX.BTR".into(), index.file);
    files
}

/// Logical pages on their way into a file.
#[derive(Default)]
struct Pages {
    pages: BTreeMap<u32, Box<PageBytes>>,
    file: Vec<u8>,
}

impl Pages {
    /// Gives every page a place, in reverse order, so that logical and physical numbers differ.
    fn place(&mut self, transaction: u32) -> MappingSection {
        let count = self.pages.keys().last().unwrap() + 1;
        let mut entries = vec![MappingEntry::default(); usize::try_from(count).unwrap()];
        for (&number, bytes) in self.pages.iter().rev() {
            entries[logical(number).index()].physical =
                Some(physical(stored(self.file.len() / PAGE_SIZE)));
            self.file.extend_from_slice(&bytes[..]);
        }
        MappingSection {
            transaction,
            generation: transaction,
            previous: transaction,
            physical_pages: stored(self.pages.len()),
            entries,
            free: Vec::new(),
        }
    }
}

/// The heap, with each page number increased by one, because page 0 is an admin page in 2.1. A
/// second admin page follows the last page.
fn convert_objects(source: &Snapshot) -> Pages {
    let mut pages = Pages::default();
    let mut singles = Vec::new();
    let mut records: BTreeMap<LogicalPage, Vec<RecordRef>> = BTreeMap::new();
    for record in source.records().map(Result::unwrap) {
        records.entry(record.page).or_default().push(record);
    }
    for (page, records) in records {
        let bytes: Vec<Vec<u8>> = records
            .iter()
            .map(|record| source.record(*record).unwrap())
            .collect();
        let number = page.get() + 1;
        if let ([record], [bytes]) = (&records[..], &bytes[..])
            && record.id == 1
        {
            pages
                .pages
                .extend((number..).zip(build_multi_page(bytes, crc32(bytes))));
            continue;
        }
        let mut builder = ObjectPageBuilder::new();
        for (record, bytes) in records.iter().zip(&bytes) {
            assert!(builder.push(record.id, bytes, crc32(bytes)));
        }
        let page = builder.build();
        let entry = AdminEntry {
            page: number,
            free_bytes: builder.free_bytes(),
            crc: crc32(&page[..]),
            zero: 0,
        };
        singles.push(entry);
        pages.pages.insert(number, page);
    }
    // One number is skipped: a logical page without a page.
    let second = pages.pages.keys().last().unwrap() + 2;
    let (front, back) = singles.split_at(singles.len() / 2);
    pages.pages.insert(0, admin_page(1, second, front));
    pages.pages.insert(second, admin_page(0, 0, back));
    pages
}

fn admin_page(head_mark: u32, next: u32, entries: &[AdminEntry]) -> Box<PageBytes> {
    let mut page = Box::new([0; PAGE_SIZE]);
    ObjectAdminPage {
        head_mark,
        next,
        entries: entries.to_vec(),
    }
    .write(&mut page);
    page
}

/// The index, with each page number increased by one, because page 0 is its admin page in 2.1.
fn convert_index(source: &Snapshot) -> Pages {
    let mut pages = Pages::default();
    let section = &source.mapping().index;
    let mut admin = Box::new([0; PAGE_SIZE]);
    admin[..4].copy_from_slice(&INDEX_ADMIN_SIGNATURE.to_le_bytes());
    admin[12..16].copy_from_slice(&(section.entries[0].user_data + 1).to_le_bytes());
    pages.pages.insert(0, admin);
    for (page, ..) in section.mapped() {
        let bytes = source.page(Space::Index, page).unwrap();
        let node = IndexPage::parse(&bytes, page, Site::page(Space::Index, page)).unwrap();
        let keys: Vec<Vec<u8>> = (0..node.key_count())
            .map(|key| convert_key(&node, key))
            .collect();
        let child = |child| if child == NIL { 0 } else { child + 1 };
        let node = IndexNode::from_keys(
            keys.iter().map(Vec::as_slice),
            node.children().map(child).collect(),
        );
        let number = page.get() + 1;
        pages
            .pages
            .insert(number, node.to_page(logical(number)).unwrap());
    }
    pages
}

/// The text of a key, with the page number in its reference increased by one.
fn convert_key(node: &IndexPage<'_>, key: usize) -> Vec<u8> {
    let mut text = Vec::new();
    node.append_key(key, &mut text).unwrap();
    let Some(reference) = Key::new(text.clone()).reference() else {
        return text;
    };
    let dot = text.iter().position(|&byte| byte == b'.').unwrap();
    text.truncate(dot);
    text.extend_from_slice(
        format!(
            ".{}.{}.{}",
            reference.page.get() + 1,
            reference.id,
            reference.size
        )
        .as_bytes(),
    );
    text
}

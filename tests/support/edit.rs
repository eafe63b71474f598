//! Deliberate damage, with the checksums corrected afterwards.

use cimrepo::base::page_no::{LogicalPage, NIL, PAGE_SIZE, PageBytes, Space};
use cimrepo::base::site::FileRole;
use cimrepo::format::Dialect;
use cimrepo::format::checksum::sampled;
use cimrepo::format::mapping::{Mapping, MappingEntry};

use super::Files;
use super::small::{current_file, data_mut, mapping_in, page_at_mut, physical, small_v22, stored};

/// The names of the existing mapping files.
pub fn mapping_files(files: &Files) -> Vec<String> {
    let is_mapping =
        |name: &&String| matches!(FileRole::from_file_name(name), Some(FileRole::Mapping(_)));
    files.keys().filter(is_mapping).cloned().collect()
}

/// Changes a little-endian number.
pub fn set_word(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// A little-endian number.
pub fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Changes a mapping file through its structure.
pub fn edit_mapping(files: &mut Files, name: &str, change: impl FnOnce(&mut Mapping)) {
    let mut mapping = mapping_in(files, name);
    change(&mut mapping);
    files.insert(name.to_owned(), mapping.to_bytes());
}

/// Changes a page of the current generation and corrects its checksum in every generation that maps
/// it.
pub fn edit_page(
    files: &mut Files,
    space: Space,
    page: LogicalPage,
    change: impl FnOnce(&mut PageBytes),
) {
    let physical = mapping_in(files, &current_file(files))
        .section(space)
        .resolve(page)
        .unwrap();
    let bytes = page_at_mut(data_mut(files, space), physical);
    change(bytes);
    let checksum = sampled(bytes);
    for name in mapping_files(files) {
        edit_mapping(files, &name, |mapping| {
            let has_checksum = mapping.dialect == Dialect::V22;
            // An older generation may have had fewer pages.
            let entry = mapping.section_mut(space).entries.get_mut(page.index());
            if let Some(entry) = entry.filter(|entry| entry.physical == Some(physical))
                && has_checksum
            {
                entry.checksum = checksum;
            }
        });
    }
}

/// The root of the index and its first child.
pub fn root_and_child(files: &Files) -> (LogicalPage, LogicalPage) {
    let mapping = mapping_in(files, &current_file(files));
    let place = |page: LogicalPage| mapping.index.resolve(page).unwrap().index() * 8192;
    let root = match mapping.dialect {
        Dialect::V21 => word(
            &files["INDEX.BTR"],
            place(LogicalPage::new(0).unwrap()) + 12,
        ),
        Dialect::V22 => mapping.index.entries[0].user_data,
    };
    let root = LogicalPage::new(root).unwrap();
    let node = place(root);
    let keys = usize::try_from(word(&files["INDEX.BTR"], node + 16)).unwrap();
    let child = word(&files["INDEX.BTR"], node + 20 + 4 * keys);
    assert_ne!(child, NIL);
    (root, LogicalPage::new(child).unwrap())
}

/// Makes child 0 of a node point elsewhere.
pub fn set_first_child(page: &mut PageBytes, child: LogicalPage) {
    let keys = usize::try_from(word(page, 16)).unwrap();
    set_word(page, 20 + 4 * keys, child.get());
}

/// Corrects the checksum of a physical page in every generation of dialect 2.2 that maps it.
pub fn restate_checksum(files: &mut Files, space: Space, physical: usize) {
    let checksum = sampled(page_at_mut(
        data_mut(files, space),
        super::small::physical(physical.try_into().unwrap()),
    ));
    for name in mapping_files(files) {
        edit_mapping(files, &name, |mapping| {
            let has_checksum = mapping.dialect == Dialect::V22;
            let mapped = mapping.section_mut(space).entries.iter_mut();
            let here =
                mapped.filter(|entry| entry.physical.is_some_and(|page| page.index() == physical));
            here.filter(|_| has_checksum)
                .for_each(|entry| entry.checksum = checksum);
        });
    }
}

/// A repository of dialect 2.2 with one generation, in which these pages replace all of a space.
pub fn with_pages(space: Space, pages: impl Iterator<Item = Box<PageBytes>>) -> Files {
    let mut files = small_v22();
    let current = current_file(&files);
    files.retain(|name, _| !name.starts_with("MAPPING") || *name == current);
    let bytes: Vec<u8> = pages.flat_map(|page| page.to_vec()).collect();
    edit_mapping(&mut files, &current, |mapping| {
        let generation = mapping.generation();
        let entry = |(number, page): (usize, &[u8])| MappingEntry {
            physical: Some(physical(stored(number))),
            checksum: sampled(page.try_into().unwrap()),
            stamp: generation,
            last_write: 1,
            ..MappingEntry::default()
        };
        let section = mapping.section_mut(space);
        section.entries = bytes.chunks(PAGE_SIZE).enumerate().map(entry).collect();
        section.physical_pages = stored(section.entries.len());
        section.free.clear();
    });
    *data_mut(&mut files, space) = bytes;
    files
}

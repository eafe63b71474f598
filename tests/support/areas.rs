//! The purpose of each byte of a repository, which determines whether a change of it can be
//! detected.

use std::collections::BTreeMap;

use cimrepo::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, Space};
use cimrepo::base::site::{FileRole, Site};
use cimrepo::format::Dialect;
use cimrepo::format::heap::admin_page::ObjectAdminPage;
use cimrepo::format::heap::page::{ObjectPage, end_in_last_page, pages_of};
use cimrepo::format::mapping::Mapping;

use super::Files;
use super::small::{current_file, mapping_in, page_at, stored};

/// The use of a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// A statement that is repeated elsewhere or can have only one value, so a change contradicts
    /// something.
    Structure,
    /// Under a checksum.
    Checksummed,
    /// Names in keys, and the numbers of the tokens that form them. A change makes another key,
    /// which is detected if it is out of order or loses its object.
    KeyText,
    /// A number for which other values are valid as well: what wrote a page last, the shutdown
    /// flag, or the checksum kept by an entry without a page.
    AnyValue,
    /// A map that is used only if no other can be; its marks and counts are read.
    Spare,
    /// Bytes of a record without a checksum: in 2.2 all but those at the start of a sector.
    Record,
    /// After the used bytes.
    Slack,
    /// Pages that no generation maps.
    Free,
}

impl Area {
    /// True if every change of such a byte must be detected.
    pub fn is_always_seen(self) -> bool {
        matches!(self, Area::Structure | Area::Checksummed)
    }

    /// True if a change of such a byte must never be reported, because that would be a false alarm.
    pub fn is_never_seen(self) -> bool {
        matches!(self, Area::Slack | Area::Free)
    }
}

/// The area of each byte of each file.
pub type Areas = BTreeMap<String, Vec<Area>>;

/// The areas of a healthy repository, as seen by its current generation or by all generations.
pub fn areas(files: &Files, all_generations: bool) -> Areas {
    let mut areas: Areas = files
        .iter()
        .map(|(name, bytes)| (name.clone(), vec![Area::Free; bytes.len()]))
        .collect();
    let current = current_file(files);
    for name in files.keys() {
        let target = areas.get_mut(name).unwrap();
        match FileRole::from_file_name(name) {
            Some(FileRole::Mapping(_)) => paint_mapping(&mapping_in(files, name), target),
            Some(FileRole::MappingVersion) => target.fill(Area::Structure),
            Some(FileRole::ObjectsMap | FileRole::IndexMap) => target.fill(Area::Spare),
            _ => {}
        }
    }
    let maps = files
        .keys()
        .filter(|name| matches!(FileRole::from_file_name(name), Some(FileRole::Mapping(_))));
    for name in maps.filter(|&name| all_generations || *name == current) {
        let mapping = mapping_in(files, name);
        let generation = Generation {
            mapping: &mapping,
            files,
        };
        generation.paint_index(areas.get_mut("INDEX.BTR").unwrap());
        generation.paint_objects(areas.get_mut("OBJECTS.DATA").unwrap());
    }
    areas
}

/// Assigns areas to bytes, one after the other.
struct Brush<'a> {
    target: &'a mut [Area],
    at: usize,
}

impl Brush<'_> {
    fn paint(&mut self, count: usize, area: Area) {
        self.target[self.at..self.at + count].fill(area);
        self.at += count;
    }
}

fn paint_mapping(mapping: &Mapping, target: &mut [Area]) {
    let mut brush = Brush { target, at: 0 };
    for section in Space::ALL.map(|space| mapping.section(space)) {
        brush.paint(
            if mapping.dialect == Dialect::V22 {
                24
            } else {
                16
            },
            Area::Structure,
        );
        for entry in &section.entries {
            brush.paint(4, Area::Structure);
            if mapping.dialect == Dialect::V22 {
                let is_mapped = entry.physical.is_some();
                brush.paint(
                    4,
                    if is_mapped {
                        Area::Structure
                    } else {
                        Area::AnyValue
                    },
                );
                brush.paint(12, Area::Structure);
                brush.paint(4, Area::AnyValue);
            }
        }
        brush.paint(4 + 4 * section.free.len() + 4, Area::Structure);
    }
    if mapping.dialect == Dialect::V22 {
        brush.paint(1, Area::AnyValue);
        brush.paint(3, Area::Structure);
    }
    let rest = brush.target.len() - brush.at;
    brush.paint(rest, Area::Slack);
}

struct Generation<'f> {
    mapping: &'f Mapping,
    files: &'f Files,
}

impl<'f> Generation<'f> {
    fn page(&self, space: Space, page: LogicalPage) -> Option<(PhysicalPage, &'f PageBytes)> {
        let physical = self.mapping.section(space).resolve(page)?;
        Some((
            physical,
            page_at(&self.files[FileRole::data(space).file_name()], physical),
        ))
    }

    fn is_v21(&self) -> bool {
        self.mapping.dialect == Dialect::V21
    }

    /// In 2.2 the first byte of each sector is under the checksum of the page, whatever it is.
    fn lay(&self, target: &mut [Area], at: PhysicalPage, mut page: Vec<Area>) {
        if !self.is_v21() {
            page.iter_mut()
                .step_by(512)
                .for_each(|area| *area = Area::Checksummed);
        }
        target[at.index() * PAGE_SIZE..][..PAGE_SIZE].copy_from_slice(&page);
    }

    fn paint_index(&self, target: &mut [Area]) {
        for (page, ..) in self.mapping.index.mapped() {
            let (at, bytes) = self.page(Space::Index, page).unwrap();
            let is_admin = self.is_v21() && page.get() == 0;
            let painted = if is_admin {
                vec![Area::Structure; PAGE_SIZE]
            } else {
                node_areas(bytes)
            };
            self.lay(target, at, painted);
        }
    }

    fn paint_objects(&self, target: &mut [Area]) {
        let admin = self.paint_admin(target);
        let mut next = 0;
        while let Some(page) =
            LogicalPage::new(next).filter(|page| page.index() < self.mapping.objects.entries.len())
        {
            next += 1;
            let Some((at, bytes)) = self
                .page(Space::Objects, page)
                .filter(|_| !admin.contains(&page))
            else {
                continue;
            };
            let view = ObjectPage::new(bytes);
            match view.multi_page_head() {
                Some(head) => {
                    next = page.get() + pages_of(head.size);
                    self.paint_multi_page(target, page, head.size);
                }
                None => self.lay(target, at, self.single(&view)),
            }
        }
    }

    /// In 2.1 there is a checksum over the whole page, slack included.
    fn single(&self, view: &ObjectPage<'_>) -> Vec<Area> {
        if self.is_v21() {
            return vec![Area::Checksummed; PAGE_SIZE];
        }
        let mut page = vec![Area::Slack; PAGE_SIZE];
        page[..view.end()].fill(Area::Record);
        page[..16 * (view.descriptors().len() + 1)].fill(Area::Structure);
        page
    }

    fn paint_multi_page(&self, target: &mut [Area], first: LogicalPage, size: u32) {
        let count = pages_of(size);
        for number in 0..count {
            let (at, _) = self
                .page(Space::Objects, first.checked_add(number).unwrap())
                .unwrap();
            let mut page = vec![
                if self.is_v21() {
                    Area::Checksummed
                } else {
                    Area::Record
                };
                PAGE_SIZE
            ];
            if number == 0 {
                page[..32].fill(Area::Structure);
            }
            if number + 1 == count {
                page[end_in_last_page(size)..].fill(Area::Slack);
            }
            self.lay(target, at, page);
        }
    }

    fn paint_admin(&self, target: &mut [Area]) -> Vec<LogicalPage> {
        let mut chain = Vec::new();
        let mut next = LogicalPage::new(0).filter(|_| self.is_v21());
        while let Some(page) = next {
            let (at, bytes) = self.page(Space::Objects, page).unwrap();
            let admin = ObjectAdminPage::parse(bytes, Site::file(FileRole::Objects)).unwrap();
            let mut painted = vec![Area::Slack; PAGE_SIZE];
            painted[..admin.used()].fill(Area::Structure);
            self.lay(target, at, painted);
            chain.push(page);
            next = LogicalPage::new(admin.next).filter(|_| admin.next != 0);
        }
        chain
    }
}

/// The areas of a node of the index, found without the parser under test.
fn node_areas(bytes: &PageBytes) -> Vec<Area> {
    let half = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let keys = usize::try_from(u32::from_le_bytes(bytes[16..20].try_into().unwrap())).unwrap();
    let definitions = 20 + 4 * keys + 4 * (keys + 1) + 2 * keys + 2;
    let units = half(definitions - 2);
    let tokens = half(definitions + 2 * units);
    let heap = definitions + 2 * units + 2 + 2 * (tokens + 1);
    let end = heap + half(heap - 2);
    let mut page = vec![Area::Slack; PAGE_SIZE];
    page[..end].fill(Area::Structure);
    let mut unit = 0;
    while unit < units {
        let count = half(definitions + 2 * unit);
        page[definitions + 2 * (unit + 1)..][..2 * count].fill(Area::KeyText);
        unit += 1 + count;
    }
    let mut is_name = true;
    for (area, &byte) in page[heap..end].iter_mut().zip(&bytes[heap..end]) {
        // From the first dot to the terminating zero a token is the reference to a record, which
        // must exist.
        is_name = byte == 0 || is_name && byte != b'.';
        if is_name && byte != 0 {
            *area = Area::KeyText;
        }
    }
    page
}

/// True if some generation maps a page after the first `pages` of a data file.
pub fn is_cut(files: &Files, space: Space, pages: usize) -> bool {
    let maps = files
        .keys()
        .filter(|name| matches!(FileRole::from_file_name(name), Some(FileRole::Mapping(_))));
    let mut mappings = maps.map(|name| mapping_in(files, name));
    mappings.any(|mapping| {
        mapping
            .section(space)
            .mapped()
            .any(|(_, physical, _)| physical.get() >= stored(pages))
    })
}

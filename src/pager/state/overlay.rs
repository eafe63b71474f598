//! Changes committed since the generation on disk: pages in memory that replace those on disk.

use crate::base::narrow;
use crate::base::page_no::{LogicalPage, NIL, PhysicalPage, Space};
use crate::format::checksum::sampled;
use crate::format::mapping::{Mapping, MappingEntry, MappingSection};
use crate::pager::generation::commit::{next_section, unmapped_entry};
use crate::pager::page::table::{PageTable, Slot};

/// Changes over a generation. Copies are cheap and independent.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    tables: [PageTable; 2],
    /// The root of the index if it differs from the generation's; the inner `None` means an empty
    /// index.
    root: Option<Option<LogicalPage>>,
    /// Number of commits since the generation.
    pub commits: u32,
}

impl Overlay {
    /// True if nothing has changed.
    pub const fn is_empty(&self) -> bool {
        let [objects, index] = &self.tables;
        objects.is_empty() && index.is_empty() && self.root.is_none()
    }

    /// The changed pages of a space.
    pub const fn table(&self, space: Space) -> &PageTable {
        let [objects, index] = &self.tables;
        match space {
            Space::Objects => objects,
            Space::Index => index,
        }
    }

    /// Sets the state of a page and returns the former one. `None` restores that of the generation.
    pub fn set(&mut self, space: Space, page: LogicalPage, slot: Option<Slot>) -> Option<Slot> {
        let [objects, index] = &mut self.tables;
        let table = if space == Space::Objects {
            objects
        } else {
            index
        };
        table.set(page, slot)
    }

    /// Mutable access to the state of a page.
    pub fn slot_mut(&mut self, space: Space, page: LogicalPage) -> Option<&mut Slot> {
        let [objects, index] = &mut self.tables;
        let table = if space == Space::Objects {
            objects
        } else {
            index
        };
        table.get_mut(page)
    }

    /// The root if it was changed; the inner `None` means an empty index.
    pub const fn root(&self) -> Option<Option<LogicalPage>> {
        self.root
    }

    /// Changes the root. The outer `None` restores that of the generation.
    pub const fn set_root(&mut self, root: Option<Option<LogicalPage>>) {
        self.root = root;
    }

    /// The changes that this overlay does not share with `older`, from which it was derived. They
    /// remain after `older` has been written as a generation.
    pub fn since(&self, older: &Overlay) -> Overlay {
        let [objects, index] = &self.tables;
        let [old_objects, old_index] = &older.tables;
        Overlay {
            tables: [objects.since(old_objects), index.since(old_index)],
            root: self.root.filter(|_| self.root != older.root),
            commits: self.commits - older.commits,
        }
    }

    /// The mapping of the generation and the changes together. Changed pages have places after all
    /// others, where nothing is stored yet.
    pub fn merge(&self, base: &Mapping) -> Mapping {
        let mut mapping = base.clone();
        for space in Space::ALL {
            let section = base.section(space);
            let mut next = (section.physical_pages..).filter_map(PhysicalPage::new);
            let entries = self.entries(space, section, base.generation(), |_| next.next());
            let mapped = narrow(
                self.table(space)
                    .iter()
                    .filter(|(_, slot)| slot.is_mapped())
                    .count(),
            );
            *mapping.section_mut(space) = next_section(
                section,
                entries,
                section.physical_pages.saturating_add(mapped),
            );
        }
        let transaction = base.transaction().wrapping_add(self.commits);
        (mapping.objects.transaction, mapping.index.transaction) = (transaction, transaction);
        mapping
    }

    /// The entries of a space with the changes applied, as written by `generation`; `place` assigns
    /// a physical page to each changed page.
    pub fn entries(
        &self,
        space: Space,
        base: &MappingSection,
        generation: u32,
        mut place: impl FnMut(LogicalPage) -> Option<PhysicalPage>,
    ) -> Vec<MappingEntry> {
        let mut entries = base.entries.clone();
        for (page, slot) in self.table(space).iter() {
            if entries.len() <= page.index() {
                entries.resize(page.index() + 1, unmapped_entry(0, generation));
            }
            let Some(entry) = entries.get_mut(page.index()) else {
                continue;
            };
            *entry = match slot.page() {
                Some(bytes) => MappingEntry {
                    physical: place(page),
                    checksum: sampled(bytes),
                    free_bytes: slot.free_bytes(),
                    last_write: generation,
                    ..*entry
                },
                // Its checksum and last write stay, as Windows leaves them.
                None => MappingEntry {
                    physical: None,
                    free_bytes: 0,
                    ..*entry
                },
            };
        }
        if let (Space::Index, Some(root), Some(first)) = (space, self.root, entries.first_mut()) {
            first.user_data = root.map_or(NIL, LogicalPage::get);
        }
        entries
    }

    /// Number of logical pages of a space, including those after the generation's.
    pub fn logical_pages(&self, space: Space, base: &MappingSection) -> u32 {
        let last = self
            .table(space)
            .last()
            .map_or(0, |page| page.get().saturating_add(1));
        narrow(base.entries.len()).max(last)
    }
}

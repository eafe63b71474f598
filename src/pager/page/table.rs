//! The pages that differ from the generation on disk: a table indexed by logical page whose copies
//! share their common parts.
//!
//! It is a tree of two levels with 32 branches each below a short top. Copying it copies the top. A
//! change copies the two nodes on its path if they are shared. So each commit can keep its own
//! table, and a snapshot is one more reference. Nodes are small because copying one increments the
//! counter of every page in it.

use std::array;
use std::sync::Arc;

use crate::base::narrow;
use crate::base::page_no::LogicalPage;

use super::Page;
use crate::pager::state::draft_node::DraftNode;

/// Number of branches of a node, a power of two.
const BRANCHES: usize = 32;

/// The state of a logical page that was changed since the generation on disk.
#[derive(Debug, Clone)]
pub enum Slot {
    /// The page has this content.
    Page {
        /// The bytes.
        bytes: Arc<Page>,
        /// Free bytes as stated in the mapping.
        free_bytes: u32,
    },
    /// The page is an index node that is being changed and has no bytes yet.
    Node(Arc<DraftNode>),
    /// The logical page no longer has a page.
    Unmapped,
}

type Leaf = [Option<Slot>; BRANCHES];
type Inner = [Option<Arc<Leaf>>; BRANCHES];

/// A table of slots indexed by logical page.
#[derive(Debug, Clone, Default)]
pub struct PageTable {
    top: Vec<Option<Arc<Inner>>>,
    len: usize,
}

/// Indices that lead to a page: in the top, in the inner node, in the leaf.
const fn way(page: LogicalPage) -> (usize, usize, usize) {
    let index = page.index();
    (
        index / (BRANCHES * BRANCHES),
        index / BRANCHES % BRANCHES,
        index % BRANCHES,
    )
}

impl PageTable {
    /// Number of set slots.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if no slot is set.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot of a page, if it is set.
    pub fn get(&self, page: LogicalPage) -> Option<&Slot> {
        let (top, inner, leaf) = way(page);
        self.top
            .get(top)?
            .as_ref()?
            .get(inner)?
            .as_ref()?
            .get(leaf)?
            .as_ref()
    }

    /// Mutable access to the slot of a page. Other copies of the table are not affected.
    pub fn get_mut(&mut self, page: LogicalPage) -> Option<&mut Slot> {
        let (top, inner, leaf) = way(page);
        let inner_node = Arc::make_mut(self.top.get_mut(top)?.as_mut()?);
        Arc::make_mut(inner_node.get_mut(inner)?.as_mut()?)
            .get_mut(leaf)?
            .as_mut()
    }

    /// Sets or clears the slot of a page. Returns the old slot.
    pub fn set(&mut self, page: LogicalPage, slot: Option<Slot>) -> Option<Slot> {
        let is_set = slot.is_some();
        let (top, inner, leaf) = way(page);
        if self.top.len() <= top {
            self.top.resize(top + 1, None);
        }
        let place = self
            .top
            .get_mut(top)
            .map(|node| node.get_or_insert_with(|| Arc::new(array::from_fn(|_| None))))
            .and_then(|node| Arc::make_mut(node).get_mut(inner))
            .map(|node| node.get_or_insert_with(|| Arc::new(array::from_fn(|_| None))))
            .and_then(|node| Arc::make_mut(node).get_mut(leaf));
        let old = place.and_then(|place| std::mem::replace(place, slot));
        self.len = self.len + usize::from(is_set) - usize::from(old.is_some());
        old
    }

    /// The set slots, by ascending page.
    pub fn iter(&self) -> impl Iterator<Item = (LogicalPage, &Slot)> {
        let inners = (0..)
            .step_by(BRANCHES * BRANCHES)
            .zip(&self.top)
            .filter_map(|(at, node)| Some((at, node.as_ref()?)));
        let leaves = inners.flat_map(|(at, node)| {
            (at..)
                .step_by(BRANCHES)
                .zip(node.iter())
                .filter_map(|(at, node)| Some((at, node.as_ref()?)))
        });
        leaves.flat_map(|(at, leaf)| {
            let slots = (at..).zip(leaf.iter());
            slots.filter_map(|(page, slot)| Some((LogicalPage::new(page)?, slot.as_ref()?)))
        })
    }

    /// The greatest page whose slot is set. Nodes whose slots have all been cleared again, as by an
    /// abort, are skipped.
    pub fn last(&self) -> Option<LogicalPage> {
        self.top.iter().enumerate().rev().find_map(|(top, node)| {
            node.as_ref()?
                .iter()
                .enumerate()
                .rev()
                .find_map(|(inner, node)| {
                    let leaf = node.as_ref()?.iter().rposition(Option::is_some)?;
                    LogicalPage::new(narrow((top * BRANCHES + inner) * BRANCHES + leaf))
                })
        })
    }

    /// The slots that this table does not share with `older`, from which it was derived.
    pub fn since(&self, older: &PageTable) -> PageTable {
        let mut changed = PageTable::default();
        for (page, slot) in self.iter() {
            if !older.get(page).is_some_and(|old| old.is_same(slot)) {
                changed.set(page, Some(slot.clone()));
            }
        }
        changed
    }
}

impl Slot {
    /// The page; `None` if there is none.
    pub fn page(&self) -> Option<&Arc<Page>> {
        match self {
            Slot::Page { bytes, .. } => Some(bytes),
            Slot::Node(node) => Some(node.page()),
            Slot::Unmapped => None,
        }
    }

    /// Free bytes as stated in the mapping.
    pub const fn free_bytes(&self) -> u32 {
        match self {
            Slot::Page { free_bytes, .. } => *free_bytes,
            Slot::Node(_) | Slot::Unmapped => 0,
        }
    }

    /// True if there is a page.
    pub const fn is_mapped(&self) -> bool {
        !matches!(self, Slot::Unmapped)
    }

    /// True if both are the very same state of a page.
    fn is_same(&self, other: &Slot) -> bool {
        match (self, other) {
            (Slot::Page { bytes: a, .. }, Slot::Page { bytes: b, .. }) => Arc::ptr_eq(a, b),
            (Slot::Node(a), Slot::Node(b)) => Arc::ptr_eq(a, b),
            (Slot::Unmapped, Slot::Unmapped) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn slot(free_bytes: u32) -> Slot {
        Slot::Page {
            bytes: Arc::default(),
            free_bytes,
        }
    }

    fn content(table: &PageTable) -> BTreeMap<u32, Option<u32>> {
        let free = |slot: &Slot| slot.is_mapped().then(|| slot.free_bytes());
        table
            .iter()
            .map(|(page, slot)| (page.get(), free(slot)))
            .collect()
    }

    #[test]
    fn slots_that_were_cleared_again_are_not_the_last() {
        let page = |number| LogicalPage::new(number).unwrap();
        let mut table = PageTable::default();
        table.set(page(5), Some(slot(1)));
        for number in [6, 40, 2_000, 9_000] {
            table.set(page(number), Some(slot(1)));
            table.set(page(number), None);
            assert_eq!(table.last(), Some(page(5)), "{number}");
        }
        table.set(page(5), None);
        assert_eq!(table.last(), None);
    }

    proptest! {
        #[test]
        fn it_is_a_map_whose_copies_stand_alone(
            first in prop::collection::vec((0..20_000u32, any::<Option<u16>>()), 0..60),
            second in prop::collection::vec((0..20_000u32, any::<Option<u16>>()), 0..60),
        ) {
            let (mut table, mut model) = (PageTable::default(), BTreeMap::new());
            let mut apply = |table: &mut PageTable, changes: &[(u32, Option<u16>)]| {
                for &(page, free) in changes {
                    let free = free.map(u32::from);
                    table.set(LogicalPage::new(page).unwrap(), Some(free.map_or(Slot::Unmapped, slot)));
                    model.insert(page, free);
                }
                model.clone()
            };
            let before = apply(&mut table, &first);
            let copy = table.clone();
            let after = apply(&mut table, &second);
            prop_assert_eq!(content(&copy), before);
            prop_assert_eq!(content(&table), after.clone());
            prop_assert_eq!(table.len(), after.len());
            prop_assert_eq!(table.last().map(LogicalPage::get), after.keys().next_back().copied());
            let changed = content(&table.since(&copy));
            // A page that is set and unmapped again may equal its original state.
            for (page, _) in second.iter().filter(|(page, _)| after[page].is_some()) {
                prop_assert!(changed.contains_key(page), "{page}");
            }
            prop_assert!(changed.iter().all(|(page, free)| after.get(page) == Some(free)));
        }
    }
}

//! A cache of the pages of a generation.
//!
//! There is a slot for each logical page, allocated in groups on first use. A reader that finds a
//! page in its slot takes no lock and touches no shared counter, so readers do not disturb each
//! other. If there are too many pages, those are dropped that were not used since the clock hand
//! last passed (the clock algorithm). A scan, which uses each page once, evicts no page that is in
//! use.

use std::array;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::{Page, PageRef};
use crate::base::page_no::{LogicalPage, Space};
use crate::base::widen;
use crate::format::mapping::{Mapping, MappingEntry};

/// Number of slots in a group, a power of two. It is large enough that the list of groups stays in
/// the processor's cache.
const GROUP: usize = 1024;

/// Smallest capacity of a cache, in pages.
const MIN_CAPACITY: usize = 16;

/// Largest number of spare pages: 4 MiB.
const MAX_SPARE: usize = 512;

type Group = [ArcSwapOption<Page>; GROUP];
type Slots = Box<[OnceLock<Box<Group>>]>;

/// Pages of a generation that have been read and checked.
pub struct PageCache {
    capacity: usize,
    slots: [Slots; 2],
    /// The cached pages in the order in which the clock hand visits them.
    clock: Mutex<VecDeque<(Space, LogicalPage)>>,
    /// Pages that may no longer be needed, kept for their memory: fresh memory costs more than
    /// reading into it.
    spare: Mutex<Vec<Arc<Page>>>,
}

impl PageCache {
    /// An empty cache for `capacity` pages of the generation with this mapping.
    pub fn new(mapping: &Mapping, capacity: usize) -> Self {
        let slots = Space::ALL.map(|space| {
            let groups = widen(mapping.section(space).logical_pages()).div_ceil(GROUP);
            (0..groups).map(|_| OnceLock::new()).collect()
        });
        Self {
            capacity: capacity.max(MIN_CAPACITY),
            slots,
            clock: Mutex::default(),
            spare: Mutex::default(),
        }
    }

    /// The cache for the generation that follows this one, with the pages that both have in common.
    pub fn next(&self, old: &Mapping, new: &Mapping) -> Self {
        let next = Self::new(new, self.capacity);
        let place = |entry: &MappingEntry| (entry.physical, entry.last_write);
        for &(space, page) in self.clock.lock().iter() {
            let entry = |mapping: &Mapping| mapping.section(space).entry(page).map(place);
            if entry(old) == entry(new)
                && let Some(held) = self.get(space, page)
            {
                next.insert(space, page, held.into_arc());
            }
        }
        next
    }

    /// The page, if it is cached.
    pub fn get(&self, space: Space, page: LogicalPage) -> Option<PageRef<'static>> {
        let slot = self.group(space, page)?.get()?.get(page.index() % GROUP)?;
        let found = PageRef::cached(slot.load())?;
        found.note_use();
        Some(found)
    }

    /// Adds a page to the cache.
    pub fn insert(&self, space: Space, page: LogicalPage, content: Arc<Page>) {
        let Some(group) = self.group(space, page) else {
            return;
        };
        let group = group.get_or_init(|| Box::new(array::from_fn(|_| ArcSwapOption::empty())));
        let Some(slot) = group.get(page.index() % GROUP) else {
            return;
        };
        let mut clock = self.clock.lock();
        if slot.swap(Some(content)).is_none() {
            clock.push_back((space, page));
        }
        while clock.len() > self.capacity {
            self.drop_one(&mut clock);
        }
    }

    /// Drops a page that changes in later states. A reader of an older state reads it again.
    pub fn replaced(&self, space: Space, page: LogicalPage) {
        let group = self.group(space, page).and_then(OnceLock::get);
        // Its place in the clock stays until the hand reaches it.
        if let Some(slot) = group.and_then(|group| group.get(page.index() % GROUP))
            && let Some(held) = slot.swap(None)
        {
            self.reuse(held);
        }
    }

    /// Takes back a page that may no longer be needed.
    pub fn reuse(&self, page: Arc<Page>) {
        let mut spare = self.spare.lock();
        if spare.len() < MAX_SPARE {
            spare.push(page);
        }
    }

    /// A page to fill that no one else refers to. It holds the remains of another page.
    pub fn new_page(&self) -> Arc<Page> {
        let mut spare = self.spare.lock();
        while let Some(mut page) = spare.pop() {
            // A snapshot may still refer to it.
            if Arc::get_mut(&mut page).is_some() {
                return page;
            }
        }
        drop(spare);
        Arc::default()
    }

    /// Drops the first page that was not used since the clock hand last passed.
    fn drop_one(&self, clock: &mut VecDeque<(Space, LogicalPage)>) {
        // After a full turn the first page is dropped in any case, because readers may use pages
        // faster than the hand moves.
        for _ in 0..clock.len() {
            let Some((space, page)) = clock.pop_front() else {
                return;
            };
            let group = self.group(space, page).and_then(OnceLock::get);
            let Some(slot) = group.and_then(|group| group.get(page.index() % GROUP)) else {
                continue;
            };
            let is_used = slot.load().as_ref().is_some_and(|held| held.take_use());
            if !is_used {
                slot.store(None);
                return;
            }
            clock.push_back((space, page));
        }
        if let Some((space, page)) = clock.pop_front()
            && let Some(group) = self.group(space, page).and_then(OnceLock::get)
            && let Some(slot) = group.get(page.index() % GROUP)
        {
            slot.store(None);
        }
    }

    fn group(&self, space: Space, page: LogicalPage) -> Option<&OnceLock<Box<Group>>> {
        let [objects, index] = &self.slots;
        let slots = if space == Space::Objects {
            objects
        } else {
            index
        };
        slots.get(page.index() / GROUP)
    }
}

impl fmt::Debug for PageCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageCache")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page_no::PhysicalPage;
    use crate::format::Dialect;
    use crate::format::mapping::MappingSection;

    fn mapping(pages: u32, moved: &[u32]) -> Mapping {
        let entry = |page| MappingEntry {
            physical: PhysicalPage::new(if moved.contains(&page) {
                page + pages
            } else {
                page
            }),
            ..MappingEntry::default()
        };
        let section = MappingSection {
            transaction: 1,
            generation: 1,
            previous: 0,
            physical_pages: 2 * pages,
            entries: (0..pages).map(entry).collect(),
            free: Vec::new(),
        };
        Mapping {
            dialect: Dialect::V22,
            objects: section.clone(),
            index: section,
            shutdown_flag: 1,
        }
    }

    fn page(number: u32) -> LogicalPage {
        LogicalPage::new(number).unwrap()
    }

    fn marked(mark: u8) -> Arc<Page> {
        Page::new(&[mark; 8192])
    }

    #[test]
    fn what_is_used_stays_and_what_was_seen_once_goes() {
        let cache = PageCache::new(&mapping(1000, &[]), 20);
        (0..10).for_each(|number| cache.insert(Space::Index, page(number), marked(7)));
        for number in 0..500 {
            cache.insert(Space::Objects, page(number), marked(9));
            assert!(
                (0..10).all(|number| cache.get(Space::Index, page(number)).is_some()),
                "after {number}"
            );
        }
        let left = (0..500)
            .filter(|&number| cache.get(Space::Objects, page(number)).is_some())
            .count();
        assert_eq!(left, 10);
        assert_eq!(cache.clock.lock().len(), 20);
        cache.insert(Space::Objects, page(1000), marked(1));
        assert!(
            cache.get(Space::Objects, page(1000)).is_none(),
            "the generation has no such page"
        );
    }

    #[test]
    fn the_next_generation_takes_over_the_pages_that_stayed() {
        let old = mapping(10, &[]);
        let cache = PageCache::new(&old, 20);
        (0..10).for_each(|number| cache.insert(Space::Index, page(number), marked(7)));
        let next = cache.next(&old, &mapping(10, &[3, 4]));
        for number in 0..10 {
            assert_eq!(
                next.get(Space::Index, page(number)).is_some(),
                ![3, 4].contains(&number),
                "{number}"
            );
            assert!(cache.get(Space::Index, page(number)).is_some());
        }
    }

    #[test]
    fn the_memory_of_a_replaced_page_is_taken_again_when_no_one_looks_at_it() {
        let cache = PageCache::new(&mapping(10, &[]), 20);
        cache.insert(Space::Index, page(1), marked(7));
        cache.insert(Space::Index, page(2), marked(8));
        let held = cache.get(Space::Index, page(1)).unwrap().into_arc();
        cache.replaced(Space::Index, page(1));
        cache.replaced(Space::Index, page(2));
        cache.replaced(Space::Index, page(3));
        assert!(
            cache.get(Space::Index, page(1)).is_none()
                && cache.get(Space::Index, page(2)).is_none()
        );
        assert!(
            cache.new_page().iter().all(|&byte| byte == 8),
            "page 2 is needed by no one"
        );
        assert!(
            cache.new_page().iter().all(|&byte| byte == 0),
            "page 1 is still looked at"
        );
        assert!(held.iter().all(|&byte| byte == 7));
        cache.insert(Space::Index, page(1), marked(9));
        assert_eq!(
            cache.get(Space::Index, page(1)).map(|page| page[0]),
            Some(9)
        );
    }

    /// Number of look-ups of each thread; Miri is slow.
    const LOOKS: u32 = if cfg!(miri) { 16 } else { 3000 };

    #[test]
    fn threads_that_read_and_drive_out_see_whole_pages() {
        let cache = PageCache::new(&mapping(200, &[]), 16);
        std::thread::scope(|scope| {
            for start in 0..4u32 {
                let cache = &cache;
                scope.spawn(move || {
                    for step in 0..LOOKS {
                        let number = (start * 31 + step * 7) % 200;
                        let mark = u8::try_from(number).unwrap();
                        match cache.get(Space::Objects, page(number)) {
                            Some(found) => assert!(found.iter().all(|&byte| byte == mark)),
                            None => cache.insert(Space::Objects, page(number), marked(mark)),
                        }
                    }
                });
            }
        });
        assert_eq!(cache.clock.lock().len(), 16);
    }
}

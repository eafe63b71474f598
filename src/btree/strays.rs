//! The keys of strays: intact nodes that no readable node leads to.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, RecordRef, Space};
use crate::base::site::Site;
use crate::format::index::key;
use crate::format::index::page::{IndexPage, Layout};
use crate::pager::page::Page;
use crate::pager::state::image::Image;
use crate::pager::state::survey::{Stray, Survey};

use super::scan::{Direction, KeyRange};
use super::survey::{survey, whole};
use super::walk::Place;

/// Largest number of strays that a look-up reads. Without malice, as many cover a text as the tree
/// has levels.
const MAX_LOOKED_AT: usize = 64;

/// True if a stray holds exactly this key.
pub(super) fn contain(image: &Image, key: &[u8]) -> bool {
    first_from(image, key).is_some_and(|found| found == key)
}

/// The record that the first key of strays with a prefix names.
pub(super) fn reference(image: &Image, prefix: &[u8]) -> Option<RecordRef> {
    key::reference_in(first_from(image, prefix)?.strip_prefix(prefix)?)
}

/// The least key of strays that begins with a prefix.
fn first_from(image: &Image, prefix: &[u8]) -> Option<Vec<u8>> {
    if !image.has(Space::Index) {
        return None;
    }
    let (survey, range) = (survey(image), KeyRange::prefix(prefix));
    let mut covering = covering(survey, &range);
    let looked_at: Vec<&Stray> = covering.by_ref().take(MAX_LOOKED_AT).collect();
    if covering.next().is_some() {
        return None;
    }
    let runs = looked_at.into_iter().filter_map(|stray| {
        let mut run = Run::open(image, stray.page, &range, Direction::Forward).ok()?;
        while let Some(Err(_)) = run.advance(&range) {}
        run.has_key.then_some(run.text)
    });
    runs.min()
}

/// The strays that may hold a key in a range.
fn covering<'s>(survey: &'s Survey, range: &KeyRange) -> impl Iterator<Item = &'s Stray> + use<'s> {
    let end = range
        .to
        .as_deref()
        .map_or(usize::MAX, |to| survey.begin_below(to));
    survey.reaching(range.from.as_deref().unwrap_or_default(), end)
}

/// The keys of a stray that lie in a range, in order.
#[derive(Debug)]
pub(super) struct Run {
    page: LogicalPage,
    bytes: Arc<Page>,
    layout: Layout,
    direction: Direction,
    /// Numbers of its keys in ascending order, if the page has them in another order.
    order: Option<Box<[u16]>>,
    /// Number of keys taken.
    taken: usize,
    count: usize,
    /// Damage to be reported before the next key, in reverse order.
    damage: Vec<Corruption>,
    /// The current key.
    pub text: Vec<u8>,
    pub has_key: bool,
}

impl Run {
    /// Opens the keys of a page, before the first one.
    pub(super) fn open(
        image: &Image,
        page: LogicalPage,
        range: &KeyRange,
        direction: Direction,
    ) -> Result<Self> {
        let bytes = image.fetch(Space::Index, page)?;
        let node = whole(image, page, &bytes)?;
        let layout = node.layout();
        let mut run = Self {
            page,
            layout,
            direction,
            order: None,
            taken: 0,
            count: node.key_count(),
            damage: Vec::new(),
            text: Vec::new(),
            has_key: false,
            bytes: bytes.clone(),
        };
        if let Some(disorder) = disorder(&node, image.site(Space::Index, page)) {
            run.sort(image, &node, disorder);
        } else if let Some(bound) = range.start(direction) {
            let (position, _) = node.search(bound).unwrap_or_default();
            run.taken = match direction {
                Direction::Forward => position,
                Direction::Backward => run.count - position.min(run.count),
            };
        }
        Ok(run)
    }

    /// Sorts the readable keys, and records the others as damage.
    fn sort(&mut self, image: &Image, node: &IndexPage<'_>, disorder: Corruption) {
        let site = image.site(Space::Index, self.page);
        let mut keys = Vec::with_capacity(self.count);
        for (number, key) in (0..self.count).zip(0u16..) {
            let mut text = Vec::new();
            match node.append_key(number, &mut text) {
                Some(()) => keys.push((text, key)),
                None => self.damage.push(node.damaged_key(number, site)),
            }
        }
        if self.damage.is_empty() {
            self.damage.push(disorder);
        }
        self.damage.reverse();
        keys.sort_unstable();
        self.count = keys.len();
        self.order = Some(keys.into_iter().map(|(_, key)| key).collect());
    }

    /// Drops the damage that comes first, because it has been reported.
    pub(super) fn forget_first_damage(&mut self) {
        self.damage.pop();
    }

    /// Advances to the next key, which is then [`text`](Self::text); `None` at the end.
    pub(super) fn advance(&mut self, range: &KeyRange) -> Option<Result<()>> {
        if let Some(damage) = self.damage.pop() {
            return Some(Err(damage.into()));
        }
        self.has_key = false;
        while self.taken < self.count {
            let position = match self.direction {
                Direction::Forward => self.taken,
                Direction::Backward => self.count - 1 - self.taken,
            };
            self.taken += 1;
            self.load(position)?;
            match range.place(&self.text, self.direction) {
                Place::Before => {}
                Place::Inside => {
                    self.has_key = true;
                    return Some(Ok(()));
                }
                Place::Behind => self.taken = self.count,
            }
        }
        None
    }

    fn load(&mut self, position: usize) -> Option<()> {
        let key = match &self.order {
            Some(order) => usize::from(*order.get(position)?),
            None => position,
        };
        self.text.clear();
        IndexPage::with_layout(&self.bytes, self.layout)?.append_key(key, &mut self.text)
    }
}

/// The fault that prevents a node from being searched: a key that cannot be read or is not greater
/// than the one before it.
pub(super) fn disorder(node: &IndexPage<'_>, site: Site) -> Option<Corruption> {
    let (mut before, mut text) = (Vec::new(), Vec::new());
    let mut is_in_order = true;
    for key in 0..node.key_count() {
        std::mem::swap(&mut before, &mut text);
        text.clear();
        if node.append_key(key, &mut text).is_none() {
            return Some(node.damaged_key(key, site));
        }
        is_in_order &= key == 0 || before < text;
    }
    (!is_in_order).then(|| {
        Corruption::new(
            CorruptionCode::IndexKeyOrder,
            site,
            "the keys of the page are not in order",
        )
    })
}

/// Orders runs so that the one needed first is the greatest, as the heap requires.
impl Ord for Run {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = (&self.text, self.page).cmp(&(&other.text, other.page));
        match self.direction {
            Direction::Forward => order.reverse(),
            Direction::Backward => order,
        }
    }
}

impl PartialOrd for Run {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Run {}

//! An editable index page: keys are inserted and removed, and the page is produced once, on demand.
//!
//! As in Windows (`docs::format`, "Node layout"), a new definition and new tokens come last in
//! their tables, removed ones leave no gap, and slack is zero. The page is byte for byte the same,
//! whether it is produced after each change or after all of them.

use std::cmp::Ordering;

use super::node::{EMPTY_NODE, KEY_UNITS, Numbered, tokens_of};
use super::page::{IndexPage, SEPARATOR, SIGNATURE};
use crate::base::page_no::{LogicalPage, NIL, PAGE_SIZE, PageBytes};
use crate::base::{narrow, widen};
use crate::format::bytes::put;

/// Number of bytes or units of removed items that the tables may hold before they are packed.
const MAX_HOLES: usize = 4 * PAGE_SIZE;

/// Marks the count of a removed definition.
const REMOVED: u16 = 1 << 15;

/// Space for some more keys, so that the first insertions do not move the tables.
const MORE_TEXT: usize = 512;
const MORE_UNITS: usize = 32;
const MORE_ENTRIES: usize = 8;

/// Copies a slice with space for `more` elements.
fn roomy<T: Copy>(from: &[T], more: usize) -> Vec<T> {
    let mut copy = Vec::with_capacity(from.len() + more);
    copy.extend_from_slice(from);
    copy
}

/// A node whose keys change. It has at least one key, unless the last one was removed. Before it is
/// split it may hold more than fits into a page.
#[derive(Debug, Default)]
pub struct Draft {
    /// The texts of the tokens, each terminated by a zero, in order of insertion, including removed
    /// ones.
    heap: Vec<u8>,
    /// The tokens in that order.
    tokens: Vec<Token>,
    /// Numbers of the tokens, by ascending text.
    order: Vec<u16>,
    /// For each key its number of tokens and the tokens, in order of insertion, including removed
    /// keys.
    definitions: Vec<u16>,
    /// The place of the definition of each key, by ascending key.
    keys: Vec<u32>,
    /// In an inner node the children, one more than keys; empty in a leaf.
    children: Vec<u32>,
    /// Number of bytes that the page uses.
    used: usize,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    start: u32,
    len: u16,
    /// Number of keys that name it; `None` if it was removed.
    uses: Option<u16>,
}

impl Clone for Draft {
    fn clone(&self) -> Self {
        Self {
            heap: roomy(&self.heap, MORE_TEXT),
            tokens: roomy(&self.tokens, MORE_ENTRIES),
            order: roomy(&self.order, MORE_ENTRIES),
            definitions: roomy(&self.definitions, MORE_UNITS),
            keys: roomy(&self.keys, MORE_ENTRIES),
            children: self.children.clone(),
            used: self.used,
        }
    }
}

impl Draft {
    /// The node on a page of dialect 2.2; `None` if a table of the page is damaged, because nothing
    /// may be built on it.
    pub fn from_page(page: &IndexPage<'_>) -> Option<Self> {
        let mut definitions = Vec::with_capacity(page.definitions().len() / 2 + MORE_UNITS);
        definitions.extend(
            page.definitions()
                .as_chunks()
                .0
                .iter()
                .map(|unit| u16::from_le_bytes(*unit)),
        );
        let mut tokens = Vec::with_capacity(page.token_count() + MORE_ENTRIES);
        tokens.resize(
            page.token_count(),
            Token {
                start: 0,
                len: 0,
                uses: Some(0),
            },
        );
        let mut keys = Vec::with_capacity(page.key_count() + MORE_ENTRIES);
        for key in 0..page.key_count() {
            keys.push(narrow(page.definition_offset(key)?));
        }
        let mut draft = Self {
            heap: roomy(page.heap(), MORE_TEXT),
            tokens,
            order: Vec::new(),
            definitions,
            keys,
            children: Vec::new(),
            used: page.used(),
        };
        if page.children().any(|child| child != NIL) {
            draft.children = page.children().collect();
            draft
                .children
                .iter()
                .all(|&child| LogicalPage::new(child).is_some())
                .then_some(())?;
        }
        draft.take_tokens(page)?;
        draft.count_uses()?;
        Some(draft)
    }

    /// Takes the tokens of a page. Each is numbered by its place in the heap, and the definitions
    /// refer to that number.
    fn take_tokens(&mut self, page: &IndexPage<'_>) -> Option<()> {
        let count = u16::try_from(page.token_count()).ok()?;
        let mut places: Vec<(u16, u16)> = (0..count)
            .map(|number| (page.raw_token_offset(usize::from(number)), number))
            .collect();
        if !places.is_sorted() {
            places.sort_unstable();
        }
        self.order = Vec::with_capacity(places.len() + MORE_ENTRIES);
        self.order.resize(places.len(), 0);
        let mut end = 0;
        for ((place, (start, number)), token) in (0..).zip(&places).zip(&mut self.tokens) {
            // Each begins where the previous one ends, so there are no gaps and nothing is shared.
            let len = memchr::memchr(0, self.heap.get(usize::from(*start)..)?)?;
            (usize::from(*start) == end).then_some(())?;
            end += len + 1;
            (token.start, token.len) = (u32::from(*start), u16::try_from(len).ok()?);
            *self.order.get_mut(usize::from(*number))? = place;
        }
        (end == self.heap.len()).then_some(())?;
        let order = &self.order;
        for_each_number(&mut self.definitions, |number| {
            order
                .get(usize::from(*number))
                .map(|&place| *number = place)
        })
    }

    /// Counts the uses of each token. Each definition belongs to one key.
    fn count_uses(&mut self) -> Option<()> {
        let mut units = 0;
        for &at in &self.keys {
            let numbers = numbers_at(&self.definitions, at)?;
            units += 1 + numbers.len();
            for &number in numbers {
                let uses = self.tokens.get_mut(usize::from(number))?.uses.as_mut()?;
                *uses = uses.checked_add(1)?;
            }
        }
        (units == self.definitions.len()).then_some(())
    }

    /// A node with these keys (ascending, unique, storable) and children, one more than keys or
    /// none.
    pub(crate) fn of<K: AsRef<[u8]>>(keys: &[K], children: Vec<u32>) -> Option<Self> {
        let Numbered {
            tokens,
            numbers,
            definition_units,
        } = Numbered::of(keys)?;
        let mut draft = Self {
            children,
            used: EMPTY_NODE + KEY_UNITS * keys.len() + 2 * numbers.len(),
            ..Self::default()
        };
        draft.definitions.reserve(definition_units + MORE_UNITS);
        for token in &tokens {
            draft.order.push(u16::try_from(draft.tokens.len()).ok()?);
            draft.push_token(token)?;
        }
        let mut numbers = numbers.into_iter();
        for key in keys {
            draft.keys.push(narrow(draft.definitions.len()));
            let count = tokens_of(key.as_ref()).count();
            draft.definitions.push(u16::try_from(count).ok()?);
            draft.definitions.extend(numbers.by_ref().take(count));
        }
        draft.count_uses()?;
        Some(draft)
    }

    /// Number of keys.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Number of bytes that the page uses; more than a page has if the node must be split.
    pub fn used(&self) -> usize {
        self.used
    }

    /// True if it has no children.
    pub fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }

    /// Child `number`, in an inner node.
    pub fn child(&self, number: usize) -> Option<LogicalPage> {
        self.children
            .get(number)
            .copied()
            .and_then(LogicalPage::new)
    }

    /// All children.
    pub(crate) fn children(&self) -> &[u32] {
        &self.children
    }

    /// Appends the text of a key; nothing for a number that does not exist.
    pub fn append_key(&self, key: usize, text: &mut Vec<u8>) {
        for (position, token) in self.texts_of(key).enumerate() {
            if position > 0 {
                text.push(SEPARATOR);
            }
            text.extend_from_slice(token);
        }
    }

    /// The index of the first key that is not less than `text`, and whether it is equal.
    pub fn search(&self, text: &[u8]) -> (usize, bool) {
        let (mut low, mut high) = (0, self.keys.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.compare_key(middle, text) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return (middle, true),
                Ordering::Greater => high = middle,
            }
        }
        (low, false)
    }

    fn compare_key(&self, key: usize, text: &[u8]) -> Ordering {
        let mut rest = text;
        for (position, token) in self.texts_of(key).enumerate() {
            if position > 0 {
                rest = match rest.split_first() {
                    None => return Ordering::Greater,
                    Some((&SEPARATOR, rest)) => rest,
                    Some((other, _)) => return SEPARATOR.cmp(other),
                };
            }
            match rest.strip_prefix(token) {
                Some(behind) => rest = behind,
                None => return token.cmp(rest),
            }
        }
        if rest.is_empty() {
            Ordering::Equal
        } else {
            Ordering::Less
        }
    }

    /// Number of bytes that the page would use with this additional key.
    pub fn used_with(&self, key: &[u8]) -> usize {
        let mut fresh: Vec<&[u8]> = Vec::new();
        let mut used = self.used + KEY_UNITS;
        for token in tokens_of(key) {
            used += 2;
            if self.find_token(token).is_err() && !fresh.contains(&token) {
                used += token_bytes(token.len());
                fresh.push(token);
            }
        }
        used
    }

    /// Inserts a key before key `position` and, in an inner node, `child` before child `position`.
    /// `None` if the tables have no space for so many tokens.
    pub fn insert(
        &mut self,
        position: usize,
        key: &[u8],
        child: Option<LogicalPage>,
    ) -> Option<()> {
        let at = self.definitions.len();
        self.definitions
            .push(u16::try_from(tokens_of(key).count()).ok()?);
        for token in tokens_of(key) {
            let number = match self.find_token(token) {
                Ok(number) => number,
                Err(below) => {
                    let number = u16::try_from(self.tokens.len()).ok()?;
                    self.push_token(token)?;
                    self.order.insert(below, number);
                    number
                }
            };
            if let Some(uses) = self
                .tokens
                .get_mut(usize::from(number))
                .and_then(|token| token.uses.as_mut())
            {
                *uses += 1;
            }
            self.definitions.push(number);
        }
        self.used += KEY_UNITS + 2 * (self.definitions.len() - at - 1);
        self.keys.insert(position.min(self.keys.len()), narrow(at));
        if let Some(child) = child {
            self.children
                .insert(position.min(self.children.len()), child.get());
        }
        Some(())
    }

    /// Number of bytes that the page would use without one of its keys.
    pub fn used_without(&self, position: usize) -> usize {
        let numbers = self
            .keys
            .get(position)
            .and_then(|&at| numbers_at(&self.definitions, at))
            .unwrap_or_default();
        let mut used = self.used.saturating_sub(KEY_UNITS + 2 * numbers.len());
        for (place, number) in numbers.iter().enumerate() {
            let is_first = !numbers.iter().take(place).any(|other| other == number);
            let here = numbers.iter().filter(|other| *other == number).count();
            let token = self.tokens.get(usize::from(*number));
            if let Some(token) =
                token.filter(|token| is_first && token.uses.map(usize::from) == Some(here))
            {
                used = used.saturating_sub(token_bytes(usize::from(token.len)));
            }
        }
        used
    }

    /// Replaces a key by another; the children stay. Returns `None` under the same condition as
    /// [`insert`](Self::insert).
    pub fn replace(&mut self, position: usize, key: &[u8]) -> Option<()> {
        self.remove(position, usize::MAX);
        self.insert(position, key, None)
    }

    /// Removes key `position` and, in an inner node, child `child`.
    pub fn remove(&mut self, position: usize, child: usize) {
        let Some(&at) = self.keys.get(position) else {
            return;
        };
        self.keys.remove(position);
        if child < self.children.len() {
            self.children.remove(child);
        }
        let numbers: Vec<u16> = numbers_at(&self.definitions, at)
            .unwrap_or_default()
            .to_vec();
        if let Some(count) = self.definitions.get_mut(widen(at)) {
            *count |= REMOVED;
        }
        self.used -= KEY_UNITS + 2 * numbers.len();
        numbers.into_iter().for_each(|number| self.release(number));
        self.pack();
    }

    /// Records that a key no longer names a token.
    fn release(&mut self, number: u16) {
        let text = self.text(number).to_vec();
        let Some(token) = self.tokens.get_mut(usize::from(number)) else {
            return;
        };
        match token.uses {
            Some(0 | 1) => token.uses = None,
            Some(uses) => {
                token.uses = Some(uses - 1);
                return;
            }
            None => return,
        }
        self.used -= token_bytes(text.len());
        // Found by its text, since the order is by text.
        let place = self
            .order
            .partition_point(|&other| self.text(other) < text.as_slice());
        if self.order.get(place) == Some(&number) {
            self.order.remove(place);
        } else {
            self.order.retain(|&other| other != number);
        }
    }

    /// Drops removed items if there are many.
    fn pack(&mut self) {
        if self.heap.len() + 2 * self.definitions.len() > PAGE_SIZE + MAX_HOLES {
            let (heap, places) = self.packed_heap();
            let (definitions, offsets) = self.packed_definitions();
            let mut new_number = vec![0; self.tokens.len()];
            let live = (0..self.tokens.len()).filter(|&number| self.is_live(number));
            for (new, old) in (0..).zip(live) {
                if let Some(number) = new_number.get_mut(old) {
                    *number = new;
                }
            }
            let renumbered = |number: u16| {
                new_number
                    .get(usize::from(number))
                    .copied()
                    .unwrap_or_default()
            };
            self.order
                .iter_mut()
                .for_each(|number| *number = renumbered(*number));
            (self.heap, self.definitions, self.keys) = (heap, definitions, offsets);
            for_each_number(&mut self.definitions, |number| {
                *number = renumbered(*number);
                Some(())
            });
            let tokens = self
                .tokens
                .iter()
                .zip(places)
                .filter(|(token, _)| token.uses.is_some());
            self.tokens = tokens
                .map(|(token, start)| Token { start, ..*token })
                .collect();
        }
    }

    fn push_token(&mut self, text: &[u8]) -> Option<()> {
        let (start, len) = (
            u32::try_from(self.heap.len()).ok()?,
            u16::try_from(text.len()).ok()?,
        );
        self.heap.extend_from_slice(text);
        self.heap.push(0);
        self.tokens.push(Token {
            start,
            len,
            uses: Some(0),
        });
        self.used += token_bytes(text.len());
        Some(())
    }

    fn is_live(&self, number: usize) -> bool {
        self.tokens
            .get(number)
            .is_some_and(|token| token.uses.is_some())
    }

    fn text(&self, number: u16) -> &[u8] {
        let Some(token) = self.tokens.get(usize::from(number)) else {
            return &[];
        };
        let start = widen(token.start);
        self.heap
            .get(start..start + usize::from(token.len))
            .unwrap_or_default()
    }

    fn texts_of(&self, key: usize) -> impl Iterator<Item = &[u8]> {
        let numbers = self
            .keys
            .get(key)
            .and_then(|&at| numbers_at(&self.definitions, at))
            .unwrap_or_default();
        numbers.iter().map(|&number| self.text(number))
    }

    /// The number of a token, or else how many tokens are less than it.
    fn find_token(&self, token: &[u8]) -> Result<u16, usize> {
        let found = self
            .order
            .binary_search_by(|&number| self.text(number).cmp(token));
        found.map(|place| self.order.get(place).copied().unwrap_or_default())
    }

    /// Writes the page. Keys that do not fit are left out; the editor of a node must prevent that.
    pub fn to_page(&self, own: LogicalPage, page: &mut PageBytes) {
        let (heap, places) = self.packed_heap();
        let (mut definitions, offsets) = self.packed_definitions();
        let mut rank = vec![0; self.tokens.len()];
        for (place, &number) in (0..).zip(&self.order) {
            if let Some(rank) = rank.get_mut(usize::from(number)) {
                *rank = place;
            }
        }
        for_each_number(&mut definitions, |number| {
            rank.get(usize::from(*number)).map(|&place| *number = place)
        });
        let mut at = 0;
        let mut write = |bytes: &[u8]| {
            put(&mut page[..], at, bytes);
            at += bytes.len();
        };
        let half = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
        [SIGNATURE, own.get(), 0, 0, narrow(self.keys.len())]
            .iter()
            .for_each(|word| write(&word.to_le_bytes()));
        self.keys.iter().for_each(|_| write(&[0; 4]));
        match &*self.children {
            [] => (0..=self.keys.len()).for_each(|_| write(&NIL.to_le_bytes())),
            children => children
                .iter()
                .for_each(|child| write(&child.to_le_bytes())),
        }
        offsets
            .iter()
            .for_each(|&offset| write(&half(widen(offset))));
        write(&half(definitions.len()));
        definitions
            .iter()
            .for_each(|unit| write(&unit.to_le_bytes()));
        write(&half(self.order.len()));
        let place_of = |number: &u16| {
            places
                .get(usize::from(*number))
                .copied()
                .unwrap_or_default()
        };
        self.order
            .iter()
            .for_each(|number| write(&half(widen(place_of(number)))));
        write(&half(heap.len()));
        write(&heap);
        let used = at.min(PAGE_SIZE);
        page.iter_mut().skip(used).for_each(|byte| *byte = 0);
    }

    /// The heap without removed tokens, and the place of each token in it.
    fn packed_heap(&self) -> (Vec<u8>, Vec<u32>) {
        if self.order.len() == self.tokens.len() {
            return (
                self.heap.clone(),
                self.tokens.iter().map(|token| token.start).collect(),
            );
        }
        let mut heap = Vec::with_capacity(self.heap.len());
        let mut places = Vec::with_capacity(self.tokens.len());
        for token in &self.tokens {
            places.push(narrow(heap.len()));
            let start = widen(token.start);
            if token.uses.is_some() {
                heap.extend_from_slice(
                    self.heap
                        .get(start..=start + usize::from(token.len))
                        .unwrap_or_default(),
                );
            }
        }
        (heap, places)
    }

    /// The definitions without removed ones, and the offset of each key's definition.
    fn packed_definitions(&self) -> (Vec<u16>, Vec<u32>) {
        let mut definitions = Vec::with_capacity(self.definitions.len());
        let mut moved = vec![0; self.definitions.len()];
        let mut at = 0;
        while let Some(&count) = self.definitions.get(at) {
            let next = at + 1 + usize::from(count & !REMOVED);
            if count & REMOVED == 0 {
                if let Some(moved) = moved.get_mut(at) {
                    *moved = narrow(definitions.len());
                }
                definitions.extend_from_slice(self.definitions.get(at..next).unwrap_or_default());
            }
            at = next;
        }
        let offsets = self
            .keys
            .iter()
            .map(|&at| moved.get(widen(at)).copied().unwrap_or_default());
        (definitions, offsets.collect())
    }
}

/// Size of a token: an offset, its text, a zero.
const fn token_bytes(len: usize) -> usize {
    2 + len + 1
}

/// The token numbers of the definition at `at`; `None` if it extends past the table.
fn numbers_at(definitions: &[u16], at: u32) -> Option<&[u16]> {
    let (&count, behind) = definitions.get(widen(at)..)?.split_first()?;
    behind.get(..usize::from(count))
}

/// Calls `change` with each token number of a definition table; `None` if a definition extends past
/// it or `change` returns `None`.
fn for_each_number(
    definitions: &mut [u16],
    mut change: impl FnMut(&mut u16) -> Option<()>,
) -> Option<()> {
    let mut rest = definitions;
    while let Some((count, behind)) = rest.split_first_mut() {
        let (numbers, behind) = behind.split_at_mut_checked(usize::from(*count))?;
        numbers.iter_mut().try_for_each(&mut change)?;
        rest = behind;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::site::{FileRole, Site};
    use crate::format::index::node::IndexNode;
    use crate::format::index::page::HEADER_SIZE;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SITE: Site = Site::file(FileRole::Index);

    fn own() -> LogicalPage {
        LogicalPage::new(7).unwrap()
    }

    fn page(draft: &Draft) -> Box<PageBytes> {
        let mut page = Box::new([0xEE; PAGE_SIZE]);
        draft.to_page(own(), &mut page);
        page
    }

    fn draft(page: &PageBytes) -> Draft {
        Draft::from_page(&IndexPage::parse(page, own(), SITE).unwrap()).unwrap()
    }

    fn texts(draft: &Draft) -> Vec<String> {
        let text = |key| {
            let mut text = Vec::new();
            draft.append_key(key, &mut text);
            String::from_utf8(text).unwrap()
        };
        (0..draft.key_count()).map(text).collect()
    }

    /// Asserts that the page of a draft is valid and has the same content as the draft.
    fn check(draft: &Draft) -> Box<PageBytes> {
        let page = page(draft);
        let view = IndexPage::parse(&page, own(), SITE).unwrap();
        assert_eq!(view.check(NIL, SITE), vec![]);
        assert_eq!(view.used(), draft.used());
        assert!(view.slack().iter().all(|&byte| byte == 0));
        let text = |key| {
            let mut text = Vec::new();
            view.append_key(key, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(
            (0..view.key_count()).map(text).collect::<Vec<_>>(),
            texts(draft)
        );
        page
    }

    proptest! {
        #[test]
        fn a_page_written_once_is_the_page_written_after_each_change(
            first in "[A-C]{1,2}",
            steps in prop::collection::vec(("[A-C]{1,2}(\\\\[A-C._0-9]{1,6}){0,3}", any::<bool>(), any::<prop::sample::Index>()), 1..80),
        ) {
            let mut once = Draft::of(&[first.as_bytes()], Vec::new()).unwrap();
            let mut each = page(&once);
            let mut model = BTreeSet::from([first]);
            for (key, is_removal, index) in steps {
                let mut next = draft(&each);
                if is_removal && model.len() > 1 {
                    let victim = model.iter().nth(index.index(model.len())).unwrap().clone();
                    model.remove(&victim);
                    let (position, is_found) = next.search(victim.as_bytes());
                    prop_assert!(is_found && once.search(victim.as_bytes()) == (position, true));
                    let used = next.used_without(position);
                    [&mut once, &mut next].into_iter().for_each(|draft| draft.remove(position, position));
                    prop_assert_eq!(next.used(), used);
                } else {
                    let (position, is_found) = next.search(key.as_bytes());
                    prop_assert_eq!(is_found, model.contains(&key));
                    if is_found { continue; }
                    let used = next.used_with(key.as_bytes());
                    [&mut once, &mut next].into_iter().for_each(|draft| draft.insert(position, key.as_bytes(), None).unwrap());
                    prop_assert_eq!(next.used(), used);
                    model.insert(key);
                }
                each = check(&next);
                prop_assert_eq!(texts(&once), model.iter().cloned().collect::<Vec<_>>());
            }
            prop_assert_eq!(check(&once), each);
        }

        #[test]
        fn a_search_finds_what_a_search_in_the_page_finds(
            keys in prop::collection::btree_set("[A-C]{1,3}(\\\\[A-C._0-9]{1,8}){0,3}", 1..60),
            texts in prop::collection::vec("[A-C\\\\._0-9]{0,12}", 0..30),
        ) {
            let draft = Draft::of(&keys.iter().collect::<Vec<_>>(), Vec::new()).unwrap();
            let page = check(&draft);
            let view = IndexPage::parse(&page, own(), SITE).unwrap();
            for text in keys.iter().chain(&texts) {
                prop_assert_eq!(Ok(draft.search(text.as_bytes())), view.search(text.as_bytes()));
            }
            let node = IndexNode::from_keys(keys.iter().map(|key| key.as_bytes()), vec![NIL; keys.len() + 1]);
            prop_assert_eq!(node.to_page(own()).unwrap(), page);
        }

        #[test]
        fn damaged_pages_are_refused_or_changed_but_never_panic(
            keys in prop::collection::btree_set("[A-C]{1,2}(\\\\[A-C]{1,4}){0,2}", 2..30),
            changes in prop::collection::vec((0..1500usize, any::<u8>()), 1..6),
            at in 0..40usize,
        ) {
            let node = IndexNode::from_keys(keys.iter().map(|key| key.as_bytes()), vec![NIL; keys.len() + 1]);
            let mut bytes = node.to_page(own()).unwrap();
            for (offset, byte) in changes {
                bytes[offset] = byte;
            }
            if let Ok(view) = IndexPage::parse(&bytes, own(), SITE)
                && let Some(mut draft) = Draft::from_page(&view)
            {
                prop_assert_eq!(draft.used(), view.used());
                let _ = (draft.used_with(b"B\\NEW\\B"), draft.search(b"B\\A"));
                let _ = draft.insert(at, b"B\\NEW\\B", None);
                draft.remove(at, at);
                draft.remove(0, 0);
                page(&draft);
            }
        }
    }

    #[test]
    fn children_go_with_their_keys() {
        let mut draft = Draft::of(&[&b"B"[..], b"D"], vec![1, 2, 3]).unwrap();
        let before = page(&draft);
        draft.insert(1, b"C", LogicalPage::new(9)).unwrap();
        let view = page(&draft);
        let view = IndexPage::parse(&view, own(), SITE).unwrap();
        assert_eq!(view.children().collect::<Vec<_>>(), [1, 9, 2, 3]);
        draft.remove(1, 1);
        assert_eq!(page(&draft), before);
        assert!(draft.used_with(&[b'C'; 8150]) > PAGE_SIZE);
    }

    #[test]
    fn what_was_removed_takes_no_room_in_the_long_run() {
        let mut draft = Draft::of(&[&b"A\\X"[..], b"Z"], Vec::new()).unwrap();
        let before = page(&draft);
        for number in 0..20_000 {
            let key = format!("B\\{number:0100}");
            draft.insert(1, key.as_bytes(), None).unwrap();
            draft.remove(1, 1);
        }
        assert!(draft.heap.len() + 2 * draft.definitions.len() <= PAGE_SIZE + MAX_HOLES);
        assert_eq!(page(&draft), before);
    }

    #[test]
    fn tables_with_gaps_are_refused() {
        let node = IndexNode::from_keys([&b"AB"[..], b"CD"], vec![NIL; 3]);
        let page = node.to_page(own()).unwrap();
        let refuse = |change: &dyn Fn(&mut PageBytes)| {
            let mut page = page.clone();
            change(&mut page);
            assert!(Draft::from_page(&IndexPage::parse(&page, own(), SITE).unwrap()).is_none());
        };
        let used = draft(&page).used();
        refuse(&|page| page[used - 2] = 0); // a token that ends early
        refuse(&|page| page[HEADER_SIZE + 8] = 4); // a leaf with a child
        refuse(&|page| page[HEADER_SIZE + 8 + 12 + 4 + 2 + 2] = 9); // a token that is not there
    }
}

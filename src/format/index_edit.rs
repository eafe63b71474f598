//! Changing an index page as it is stored: a key goes in or out, and everything else keeps its order.
//!
//! As Windows does it (`docs::format`, "Node layout"): a new definition and new tokens come last in their tables, what is
//! removed leaves no gap, slack is zero.

use super::bytes::put;
use super::index_node::tokens_of;
use super::index_page::{HEADER_SIZE, IndexPage, SIGNATURE};
use crate::base::narrow;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes};

/// What became of an edit.
#[derive(Debug)]
pub enum Edited {
    /// The page was written; so many bytes of it are used.
    Page(usize),
    /// It would not fit, or nothing would be left; the node has to be taken apart.
    Beyond,
}

/// Puts a key in front of key `position`, and `child` in front of child `position`: `into` gets the page after that. `None`:
/// the page is damaged.
pub fn insert(
    page: &IndexPage<'_>,
    own: LogicalPage,
    position: usize,
    (key, child): (&[u8], u32),
    into: &mut PageBytes,
) -> Option<Edited> {
    let mut tables = Tables::of(page);
    let mut numbers = Vec::new();
    for token in tokens_of(key) {
        numbers.push(tables.number_of(page, token)?);
    }
    if tables.added.len() + page.token_count() > usize::from(u16::MAX) {
        return Some(Edited::Beyond);
    }
    let offset = u16::try_from(page.definitions().len() / 2).ok()?;
    tables.insert_definition(page, &numbers)?;
    let children = page.children().enumerate();
    let children = children.flat_map(|(at, old)| [(at == position).then_some(child), Some(old)]).flatten();
    let offsets = (0..page.key_count()).map(|key| page.definition_offset(key));
    let mut offsets: Vec<u16> = offsets.map(|offset| u16::try_from(offset?).ok()).collect::<Option<_>>()?;
    offsets.insert(position.min(offsets.len()), offset);
    Some(tables.assemble(own, children, &offsets, into))
}

/// Takes key `position` and child `child` out: `into` gets the page after that. `None`: the page is damaged.
pub fn remove(
    page: &IndexPage<'_>,
    own: LogicalPage,
    position: usize,
    child: usize,
    into: &mut PageBytes,
) -> Option<Edited> {
    if page.key_count() == 1 {
        return Some(Edited::Beyond);
    }
    let mut tables = Tables::of(page);
    let gone = page.definition_offset(position)?;
    let removed = tables.remove_definition(page, position)?;
    let children = page.children().enumerate().filter(|(at, _)| *at != child).map(|(_, old)| old);
    let offsets = (0..page.key_count()).filter(|&key| key != position).map(|key| {
        let offset = page.definition_offset(key)?;
        u16::try_from(if offset > gone { offset.checked_sub(removed)? } else { offset }).ok()
    });
    let offsets: Vec<u16> = offsets.collect::<Option<_>>()?;
    Some(tables.assemble(own, children, &offsets, into))
}

/// The tables of a page while they change.
#[derive(Debug)]
struct Tables<'p> {
    definitions: Vec<u16>,
    /// Tokens that are new, by ascending text, each with the number of old tokens below it.
    added: Vec<(usize, Box<[u8]>)>,
    token_offsets: Vec<u16>,
    heap: std::borrow::Cow<'p, [u8]>,
}

impl<'p> Tables<'p> {
    fn of(page: &IndexPage<'p>) -> Self {
        Self { definitions: Vec::new(), added: Vec::new(), token_offsets: Vec::new(), heap: page.heap().into() }
    }

    /// The number that a token will have, not counting new tokens below it: `Err` for a new one.
    fn number_of(&mut self, page: &IndexPage<'p>, token: &[u8]) -> Option<Result<u16, Box<[u8]>>> {
        match page.find_token(token)? {
            Ok(number) => Some(Ok(number)),
            Err(below) => {
                let place = self.added.partition_point(|(_, added)| &**added < token);
                if self.added.get(place).is_none_or(|(_, added)| &**added != token) {
                    self.added.insert(place, (usize::from(below), token.into()));
                }
                Some(Err(token.into()))
            }
        }
    }

    /// The new number of an old token: new ones below it push it up.
    fn renumber(&self, old: u16) -> u16 {
        let below = self.added.iter().take_while(|(below, _)| *below <= usize::from(old)).count();
        old.saturating_add(u16::try_from(below).unwrap_or(u16::MAX))
    }

    fn insert_definition(&mut self, page: &IndexPage<'p>, numbers: &[Result<u16, Box<[u8]>>]) -> Option<()> {
        self.definitions = units(page.definitions());
        if !self.added.is_empty() {
            let mut definitions = std::mem::take(&mut self.definitions);
            for_each_number(&mut definitions, |number| *number = self.renumber(*number))?;
            self.definitions = definitions;
        }
        self.definitions.push(u16::try_from(numbers.len()).ok()?);
        for number in numbers {
            let number = match number {
                Ok(old) => self.renumber(*old),
                Err(text) => {
                    let place = self.added.iter().position(|(_, added)| added == text)?;
                    let (below, _) = self.added.get(place)?;
                    u16::try_from(below + place).ok()?
                }
            };
            self.definitions.push(number);
        }
        self.token_offsets = (0..page.token_count()).map(|number| page.raw_token_offset(number)).collect();
        let mut heap = std::mem::take(&mut self.heap).into_owned();
        for (place, (below, text)) in self.added.iter().enumerate() {
            self.token_offsets.insert((below + place).min(self.token_offsets.len()), u16::try_from(heap.len()).ok()?);
            heap.extend_from_slice(text);
            heap.push(0);
        }
        self.heap = heap.into();
        Some(())
    }

    /// Takes a definition out, and the tokens that no other uses; gives the units it took.
    fn remove_definition(&mut self, page: &IndexPage<'p>, key: usize) -> Option<usize> {
        let start = page.definition_offset(key)?;
        let numbers: Vec<u16> = page.token_numbers(key)?.collect();
        let mut definitions = units(page.definitions());
        drain(&mut definitions, start, 1 + numbers.len())?;
        let mut is_used = vec![false; page.token_count()];
        for_each_number(&mut definitions, |number| {
            if let Some(used) = is_used.get_mut(usize::from(*number)) {
                *used = true;
            }
        })?;
        let mut unused: Vec<u16> =
            numbers.iter().copied().filter(|number| is_used.get(usize::from(*number)) == Some(&false)).collect();
        unused.sort_unstable();
        unused.dedup();
        self.token_offsets = (0..page.token_count()).map(|number| page.raw_token_offset(number)).collect();
        let mut heap = std::mem::take(&mut self.heap).into_owned();
        for &number in unused.iter().rev() {
            let length = page.token(number)?.len() + 1;
            let offset = self.token_offsets.get(usize::from(number)).copied()?;
            drain(&mut heap, usize::from(offset), length)?;
            self.token_offsets.remove(usize::from(number));
            let shift = u16::try_from(length).ok()?;
            for other in self.token_offsets.iter_mut().filter(|other| **other > offset) {
                *other = other.checked_sub(shift)?;
            }
        }
        if !unused.is_empty() {
            for_each_number(&mut definitions, |number| {
                let below = unused.partition_point(|gone| gone < number);
                *number = number.saturating_sub(u16::try_from(below).unwrap_or_default());
            })?;
        }
        self.heap = heap.into();
        self.definitions = definitions;
        Some(1 + numbers.len())
    }

    /// Writes the page with these tables.
    fn assemble(
        self,
        own: LogicalPage,
        children: impl Iterator<Item = u32>,
        offsets: &[u16],
        page: &mut PageBytes,
    ) -> Edited {
        let keys = offsets.len();
        let fixed = HEADER_SIZE + 4 * keys + 4 * (keys + 1) + 2 * keys + 2 + 2 * self.definitions.len() + 2;
        let used = fixed + 2 * (self.token_offsets.len() + 1) + self.heap.len();
        if used > PAGE_SIZE {
            return Edited::Beyond;
        }
        let mut at = 0;
        let mut write = |bytes: &[u8]| {
            put(&mut page[..], at, bytes);
            at += bytes.len();
        };
        for word in [SIGNATURE, own.get(), 0, 0, narrow(keys)] {
            write(&word.to_le_bytes());
        }
        (0..keys).for_each(|_| write(&[0; 4]));
        children.for_each(|child| write(&child.to_le_bytes()));
        let mut halves = |halves: &[u16]| halves.iter().for_each(|half| write(&half.to_le_bytes()));
        let count = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        halves(offsets);
        halves(&[count(self.definitions.len())]);
        halves(&self.definitions);
        halves(&[count(self.token_offsets.len())]);
        halves(&self.token_offsets);
        halves(&[count(self.heap.len())]);
        write(&self.heap);
        page.iter_mut().skip(used).for_each(|byte| *byte = 0);
        Edited::Page(used)
    }
}

/// Takes `len` elements out; `None` when they are not all there.
fn drain<T>(elements: &mut Vec<T>, start: usize, len: usize) -> Option<()> {
    let end = start.checked_add(len).filter(|&end| end <= elements.len())?;
    elements.drain(start..end);
    Some(())
}

/// Little-endian units of two bytes.
fn units(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect()
}

/// Calls `change` with each token number of a definition table; `None` when a definition leaves it.
fn for_each_number(definitions: &mut [u16], mut change: impl FnMut(&mut u16)) -> Option<()> {
    let mut rest = definitions;
    while let Some((count, behind)) = rest.split_first_mut() {
        let (numbers, behind) = behind.split_at_mut_checked(usize::from(*count))?;
        numbers.iter_mut().for_each(&mut change);
        rest = behind;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page_no::NIL;
    use crate::base::site::{FileRole, Site};
    use crate::format::index_node::IndexNode;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SITE: Site = Site::file(FileRole::Index);

    fn own() -> LogicalPage {
        LogicalPage::new(7).unwrap()
    }

    fn texts(page: &PageBytes) -> Vec<String> {
        let view = IndexPage::parse(page, own(), SITE).unwrap();
        assert_eq!(view.check(NIL, SITE), vec![]);
        let text = |key| {
            let mut text = Vec::new();
            view.append_key(key, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        (0..view.key_count()).map(text).collect()
    }

    proptest! {
        #[test]
        fn a_page_edited_key_by_key_is_sound_and_holds_the_keys(
            first in "[A-C]{1,2}",
            steps in prop::collection::vec(("[A-C]{1,2}(\\\\[A-C._0-9]{1,6}){0,3}", any::<bool>(), any::<prop::sample::Index>()), 1..80),
        ) {
            let mut page = IndexNode::from_keys([first.as_bytes()], vec![NIL; 2]).to_page(own()).unwrap();
            let mut model = BTreeSet::from([first]);
            for (key, is_removal, index) in steps {
                let mut next = Box::new([0xEE; PAGE_SIZE]);
                let view = IndexPage::parse(&page, own(), SITE).unwrap();
                let edited = if is_removal && model.len() > 1 {
                    let victim = model.iter().nth(index.index(model.len())).unwrap().clone();
                    model.remove(&victim);
                    let (position, found) = view.search(victim.as_bytes()).unwrap();
                    prop_assert!(found);
                    remove(&view, own(), position, position, &mut next).unwrap()
                } else {
                    let (position, found) = view.search(key.as_bytes()).unwrap();
                    if found { continue; }
                    model.insert(key.clone());
                    insert(&view, own(), position, (key.as_bytes(), NIL), &mut next).unwrap()
                };
                let Edited::Page(used) = edited else { panic!("it fits") };
                prop_assert_eq!(IndexPage::parse(&next, own(), SITE).unwrap().used(), used);
                prop_assert!(next[used..].iter().all(|&byte| byte == 0));
                page = next;
                prop_assert_eq!(texts(&page), model.iter().cloned().collect::<Vec<_>>());
            }
        }

        #[test]
        fn damaged_pages_are_refused_or_edited_but_never_panic(
            keys in prop::collection::btree_set("[A-C]{1,2}(\\\\[A-C]{1,4}){0,2}", 2..30),
            changes in prop::collection::vec((0..1500usize, any::<u8>()), 1..6),
            at in 0..40usize,
        ) {
            let node = IndexNode::from_keys(keys.iter().map(|key| key.as_bytes()), vec![NIL; keys.len() + 1]);
            let mut page = node.to_page(own()).unwrap();
            for (offset, byte) in changes {
                page[offset] = byte;
            }
            if let Ok(view) = IndexPage::parse(&page, own(), SITE) {
                let mut into = [0; PAGE_SIZE];
                let _ = insert(&view, own(), at, (b"B\\NEW\\B", NIL), &mut into);
                let _ = remove(&view, own(), at, at, &mut into);
            }
        }
    }

    #[test]
    fn children_go_with_their_keys() {
        let node = IndexNode::from_keys([&b"B"[..], b"D"], vec![1, 2, 3]);
        let page = node.to_page(own()).unwrap();
        let view = IndexPage::parse(&page, own(), SITE).unwrap();
        let (mut more, mut less) = ([0xEE; PAGE_SIZE], [0xEE; PAGE_SIZE]);
        assert!(matches!(insert(&view, own(), 1, (b"C", 9), &mut more), Some(Edited::Page(_))));
        let more = IndexPage::parse(&more, own(), SITE).unwrap();
        assert_eq!(more.children().collect::<Vec<_>>(), [1, 9, 2, 3]);
        assert!(matches!(remove(&more, own(), 1, 1, &mut less), Some(Edited::Page(_))));
        assert_eq!(less, *page);
        assert!(matches!(insert(&view, own(), 1, (&[b'C'; 8150], NIL), &mut less), Some(Edited::Beyond)));
    }
}

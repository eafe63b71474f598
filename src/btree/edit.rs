//! Insertion and removal of keys.
//!
//! Most edits change one leaf and are done on the page as it is stored. Where a node would pass a page or fall below a
//! third of it, it is taken apart: cut in the middle, joined with a sibling, or evened out with it, up to the root.

use std::sync::Arc;

use crate::base::corruption::Corruption;
use crate::base::error::{Error, Result};
use crate::base::limits::{MAX_KEY_BYTES, MAX_TREE_DEPTH};
use crate::base::page_no::{LogicalPage, NIL, PAGE_SIZE, Space};
use crate::format::index_edit::{self, Edited};
use crate::format::index_node::is_storable;
use crate::format::index_page::{IndexPage, MIN_USED};
use crate::format::key::Key;
use crate::pager::page::Page;
use crate::pager::working::Working;

use super::node::{KeyText, Node};
use super::search::{NodeView, child_page, is_leaf, too_deep, view};

/// A node on the way from the root, and the child (or, at the end, the key) in it.
#[derive(Debug, Clone, Copy)]
struct Step {
    page: LogicalPage,
    position: usize,
}

/// The way to a key, from the root; at the end the node that has it or would have it.
#[derive(Debug)]
struct Way {
    steps: Vec<Step>,
    is_found: bool,
    is_leaf: bool,
}

/// Inserts a key; `false` when the index has it already.
pub fn insert(working: &mut Working, key: &[u8]) -> Result<bool> {
    if !is_storable(key) {
        return Err(unstorable(key));
    }
    let Some(root) = root(working)? else {
        let root = working.take(Space::Index, 1)?;
        put(working, root, &Node { keys: vec![key.into()], children: Vec::new() })?;
        working.set_root(Some(root));
        return Ok(true);
    };
    let way = find(working, root, key)?;
    let Some((&leaf, above)) = way.steps.split_last() else { return Ok(false) };
    if way.is_found {
        return Ok(false);
    }
    let bytes = working.image().fetch(Space::Index, leaf.page)?;
    let node = view(working.image(), leaf.page, &bytes)?;
    let mut page = working.new_page();
    let edit = |into: &mut Page| index_edit::insert(&node, leaf.page, leaf.position, (key, NIL), into.bytes_mut());
    let edited = Arc::get_mut(&mut page).and_then(edit);
    match edited.ok_or_else(|| damaged(working, &node, leaf.page, leaf.position))? {
        Edited::Page(_) => working.put(Space::Index, leaf.page, page, 0),
        Edited::Beyond => {
            let mut node = take_apart(working, &node, leaf.page)?;
            node.keys.insert(leaf.position.min(node.keys.len()), key.into());
            settle(working, above, leaf.page, node)?;
        }
    }
    Ok(true)
}

/// Removes a key; `false` when the index does not have it.
pub fn remove(working: &mut Working, key: &[u8]) -> Result<bool> {
    let Some(root) = root(working)? else { return Ok(false) };
    let way = find(working, root, key)?;
    if !way.is_found {
        return Ok(false);
    }
    if way.is_leaf {
        return remove_from_leaf(working, &way.steps).map(|()| true);
    }
    // An inner key is replaced by the one before it, the last of a leaf. That one is taken out first; where the key is
    // afterwards has to be looked up again.
    let before = predecessor(working, &way.steps)?;
    let way = find(working, root, &before)?;
    remove_from_leaf(working, &way.steps)?;
    replace(working, key, before)?;
    Ok(true)
}

/// The root, unless the index is empty.
fn root(working: &Working) -> Result<Option<LogicalPage>> {
    match working.image().overlay().root() {
        Some(None) => Ok(None),
        _ => working.image().root().map(Some),
    }
}

/// The way to a key.
fn find(working: &Working, root: LogicalPage, key: &[u8]) -> Result<Way> {
    let image = working.image();
    let mut steps = Vec::with_capacity(4);
    let mut page = root;
    for _ in 0..MAX_TREE_DEPTH {
        let bytes = image.page(Space::Index, page)?;
        let seen = NodeView::view(image, page, &bytes)?;
        let node = seen.page;
        let (position, is_found) = seen.search(key).map_err(|key| damaged(working, &node, page, key))?;
        steps.push(Step { page, position });
        let is_leaf = seen.is_leaf(image);
        if is_found || is_leaf {
            return Ok(Way { steps, is_found, is_leaf });
        }
        page = child_page(image, &node, page, position)?;
    }
    Err(too_deep(image, page).into())
}

/// The greatest key below the inner key at the end of a way.
fn predecessor(working: &Working, steps: &[Step]) -> Result<KeyText> {
    let image = working.image();
    let Some(&Step { page: mut at, mut position }) = steps.last() else { return Err(no_way()) };
    for _ in 0..MAX_TREE_DEPTH {
        let bytes = image.fetch(Space::Index, at)?;
        let node = view(image, at, &bytes)?;
        if is_leaf(image, &node) {
            let last = node.key_count().saturating_sub(1);
            let mut text = Vec::new();
            node.append_key(last, &mut text).ok_or_else(|| damaged(working, &node, at, last))?;
            return Ok(text.into());
        }
        // Behind the first node the way goes along the last children.
        at = child_page(image, &node, at, position.min(node.key_count()))?;
        position = usize::MAX;
    }
    Err(too_deep(image, at).into())
}

fn remove_from_leaf(working: &mut Working, steps: &[Step]) -> Result<()> {
    let Some((&leaf, above)) = steps.split_last() else { return Err(no_way()) };
    let bytes = working.image().fetch(Space::Index, leaf.page)?;
    let node = view(working.image(), leaf.page, &bytes)?;
    let mut page = working.new_page();
    let edit = |into: &mut Page| index_edit::remove(&node, leaf.page, leaf.position, leaf.position, into.bytes_mut());
    let edited = Arc::get_mut(&mut page).and_then(edit);
    match edited.ok_or_else(|| damaged(working, &node, leaf.page, leaf.position))? {
        Edited::Page(used) if used >= MIN_USED || above.is_empty() => {
            working.put(Space::Index, leaf.page, page, 0);
            Ok(())
        }
        _ => {
            let mut node = take_apart(working, &node, leaf.page)?;
            node.keys.remove(leaf.position.min(node.keys.len().saturating_sub(1)));
            settle(working, above, leaf.page, node)
        }
    }
}

/// Puts another text in the place of a key: one that belongs there in order.
fn replace(working: &mut Working, key: &[u8], by: KeyText) -> Result<()> {
    let root = root(working)?.ok_or_else(no_way)?;
    let way = find(working, root, key)?;
    let Some((&at, above)) = way.steps.split_last().filter(|_| way.is_found) else { return Err(no_way()) };
    let bytes = working.image().fetch(Space::Index, at.page)?;
    let mut node = take_apart(working, &view(working.image(), at.page, &bytes)?, at.page)?;
    if let Some(text) = node.keys.get_mut(at.position) {
        *text = by;
    }
    settle(working, above, at.page, node)
}

/// Stores a changed node, with all that follows when it is too large or too small for a page.
fn settle(working: &mut Working, above: &[Step], page: LogicalPage, node: Node) -> Result<()> {
    let used = node.used();
    let Some((&parent, further)) = above.split_last() else { return settle_root(working, page, node, used) };
    if used > PAGE_SIZE {
        let parent_node = read(working, parent.page)?;
        let parent_node = split(working, parent_node, parent.position, page, node)?;
        return settle(working, further, parent.page, parent_node);
    }
    if used >= MIN_USED {
        return put(working, page, &node);
    }
    let parent_node = read(working, parent.page)?;
    let parent_node = even_out(working, parent_node, parent.position, page, node)?;
    settle(working, further, parent.page, parent_node)
}

fn settle_root(working: &mut Working, page: LogicalPage, node: Node, used: usize) -> Result<()> {
    if used > PAGE_SIZE {
        let root = working.take(Space::Index, 1)?;
        let parent = Node { keys: Vec::new(), children: vec![page.get()] };
        let parent = split(working, parent, 0, page, node)?;
        put(working, root, &parent)?;
        working.set_root(Some(root));
        return Ok(());
    }
    if !node.keys.is_empty() {
        return put(working, page, &node);
    }
    // The tree loses a level, or its last key.
    working.set_root(node.children.first().copied().and_then(LogicalPage::new));
    working.release(Space::Index, page, 1);
    Ok(())
}

/// Cuts a node that is child `position` of `parent` into two. The right half keeps its page, as Windows does it.
fn split(working: &mut Working, mut parent: Node, position: usize, page: LogicalPage, node: Node) -> Result<Node> {
    let (left, separator, right) = node.cut();
    let left_page = working.take(Space::Index, 1)?;
    put(working, left_page, &left)?;
    put(working, page, &right)?;
    let position = position.min(parent.keys.len());
    parent.keys.insert(position, separator);
    parent.children.insert(position, left_page.get());
    Ok(parent)
}

/// Joins a node that is too small, child `position` of `parent`, with a sibling, or evens the two out.
fn even_out(working: &mut Working, mut parent: Node, position: usize, page: LogicalPage, node: Node) -> Result<Node> {
    // Between this child and its sibling stands key `between`.
    let between = position.saturating_sub(1).min(parent.keys.len().saturating_sub(1));
    let sibling = if position == 0 { 1 } else { position - 1 };
    let sibling_page = parent.children.get(sibling).copied().and_then(LogicalPage::new);
    let (Some(sibling_page), Some(separator)) = (sibling_page, parent.keys.get(between).cloned()) else {
        return Err(no_way());
    };
    let sibling_node = read(working, sibling_page)?;
    let ((left_page, left), (right_page, right)) = if sibling > position {
        ((page, node), (sibling_page, sibling_node))
    } else {
        ((sibling_page, sibling_node), (page, node))
    };
    let all = left.join(separator, right);
    if all.used() <= PAGE_SIZE {
        put(working, right_page, &all)?;
        working.release(Space::Index, left_page, 1);
        parent.keys.remove(between);
        parent.children.remove(between);
        return Ok(parent);
    }
    let (left, separator, right) = all.cut();
    put(working, left_page, &left)?;
    put(working, right_page, &right)?;
    if let Some(text) = parent.keys.get_mut(between) {
        *text = separator;
    }
    Ok(parent)
}

fn read(working: &Working, page: LogicalPage) -> Result<Node> {
    let bytes = working.image().fetch(Space::Index, page)?;
    take_apart(working, &view(working.image(), page, &bytes)?, page)
}

fn take_apart(working: &Working, node: &IndexPage<'_>, page: LogicalPage) -> Result<Node> {
    // A node that lost some of its children must not be written again without them.
    if !is_leaf(working.image(), node) {
        (0..=node.key_count()).try_for_each(|child| child_page(working.image(), node, page, child).map(drop))?;
    }
    Node::from_page(node).map_err(|key| damaged(working, node, page, key).into())
}

fn put(working: &mut Working, page: LogicalPage, node: &Node) -> Result<()> {
    let too_large = || Error::invalid("the keys of an index page do not fit into it");
    let bytes = node.to_page(page).ok_or_else(too_large)?;
    working.put(Space::Index, page, Page::new(&bytes), 0);
    Ok(())
}

fn damaged(working: &Working, node: &IndexPage<'_>, page: LogicalPage, key: usize) -> Corruption {
    node.damaged_key(key, working.image().site(Space::Index, page))
}

fn unstorable(key: &[u8]) -> Error {
    if key.len() > MAX_KEY_BYTES {
        return Error::Limit { what: "the length of a key in bytes", max: MAX_KEY_BYTES as u64, got: key.len() as u64 };
    }
    let text = "cannot be stored: it is empty, has an empty token or a zero byte";
    Error::invalid(format!("the key {} {text}", Key::new(key)))
}

/// A tree whose nodes do not fit together: a parent without the child the way went through.
fn no_way() -> Error {
    Error::invalid("the index changed its shape while a key was looked up in it; verify the repository")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page_no::{PageBytes, PhysicalPage};
    use crate::base::site::FileRole;
    use crate::btree::scan::{Direction, KeyRange, Scan};
    use crate::format::Dialect;
    use crate::format::mapping::{Mapping, MappingSection};
    use crate::pager::image::Image;
    use crate::pager::source::PageSource;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A source without pages: all are in memory.
    #[derive(Debug)]
    struct Nothing;

    impl PageSource for Nothing {
        fn has(&self, _: Space) -> bool {
            true
        }

        fn read(&self, space: Space, page: LogicalPage, _: PhysicalPage, _: &mut PageBytes) -> Result<()> {
            panic!("{space} page {page} is on no disk")
        }
    }

    fn empty() -> Working {
        let section = MappingSection {
            transaction: 1,
            generation: 1,
            previous: 0,
            physical_pages: 0,
            entries: Vec::new(),
            free: Vec::new(),
        };
        let mapping = Mapping { dialect: Dialect::V22, objects: section.clone(), index: section, shutdown_flag: 1 };
        let mut working = Working::new(Image::new(mapping, FileRole::Mapping(3), Box::new(Nothing), 0));
        working.set_root(None);
        working
    }

    /// All keys; every page but the root is at least a third full, every mapped page is in the tree, leaves lie level.
    fn check(working: &Working) -> Vec<Vec<u8>> {
        let image = working.image();
        let Some(root) = root(working).unwrap() else { return Vec::new() };
        let (mut reached, mut depths) = (0, BTreeSet::new());
        let mut queue = vec![(root, 0)];
        while let Some((page, depth)) = queue.pop() {
            reached += 1;
            let bytes = image.fetch(Space::Index, page).unwrap();
            let node = view(image, page, &bytes).unwrap();
            assert_eq!(node.check(NIL, image.site(Space::Index, page)), []);
            assert!(page == root || node.used() >= MIN_USED, "{} bytes", node.used());
            let children = node.children().filter_map(LogicalPage::new);
            let before = queue.len();
            queue.extend(children.map(|child| (child, depth + 1)));
            if queue.len() == before {
                depths.insert(depth);
            }
        }
        assert!(depths.len() <= 1);
        let mapped = (0..image.logical_pages(Space::Index)).filter_map(LogicalPage::new);
        assert_eq!(mapped.filter(|&page| image.is_mapped(Space::Index, page)).count(), reached);
        let scan = Scan::new(image.clone().into(), KeyRange::all(), Direction::Forward);
        scan.map(|key| key.unwrap().as_bytes().to_vec()).collect()
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        let token = prop_oneof![
            3 => "[AB]_[0-9A-F]{1,3}",
            1 => "[AB]_[0-9A-F]{32}",
            1 => "[AB]{200,600}",
        ];
        prop::collection::vec(token, 1..4).prop_map(|tokens| {
            let mut text = tokens.join("\\").into_bytes();
            text.truncate(MAX_KEY_BYTES);
            while text.last() == Some(&b'\\') {
                text.pop();
            }
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_tree_holds_what_a_set_holds(steps in prop::collection::vec((key(), 0..5u8, any::<prop::sample::Index>()), 1..400)) {
            let (mut working, mut model) = (empty(), BTreeSet::<Vec<u8>>::new());
            for (number, (key, kind, index)) in steps.into_iter().enumerate() {
                // Phases of growth and of decline, so that the tree gets and loses levels.
                let removes = if number % 200 < 120 { kind == 0 } else { kind > 0 };
                match model.iter().nth(index.index(model.len().max(1))).cloned() {
                    Some(victim) if removes => {
                        prop_assert!(remove(&mut working, &victim).unwrap());
                        prop_assert!(!remove(&mut working, &victim).unwrap());
                        model.remove(&victim);
                    }
                    _ => prop_assert_eq!(insert(&mut working, &key).unwrap(), model.insert(key)),
                }
            }
            prop_assert_eq!(check(&working), model.iter().cloned().collect::<Vec<_>>());
            let before = working.mark();
            for key in &model {
                prop_assert!(remove(&mut working, key).unwrap());
            }
            prop_assert_eq!(check(&working), Vec::<Vec<u8>>::new());
            working.roll_back(before);
            prop_assert_eq!(check(&working), model.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn many_short_keys_make_several_levels_and_go_again() {
        let mut working = empty();
        let keys: Vec<String> = (0..20_000u32)
            .map(|n| format!("NS_A\\CI_{:02}\\IL_{:08X}.1.2.3", n % 7, n.wrapping_mul(0x9E37_79B9)))
            .collect();
        for key in &keys {
            assert!(insert(&mut working, key.as_bytes()).unwrap());
        }
        let mut sorted: Vec<&String> = keys.iter().collect();
        sorted.sort();
        assert!(check(&working).iter().eq(sorted.iter().map(|key| key.as_bytes())));
        for key in keys.iter().step_by(3).chain(keys.iter().skip(1).step_by(3)) {
            assert!(remove(&mut working, key.as_bytes()).unwrap());
        }
        assert_eq!(check(&working).len(), keys.len() - keys.len().div_ceil(3) - (keys.len() - 1).div_ceil(3));
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        for bad in [&b""[..], b"A\\\\B", b"A\0", &[b'A'; MAX_KEY_BYTES + 1]] {
            assert!(insert(&mut empty(), bad).is_err());
        }
        assert!(!remove(&mut empty(), b"A").unwrap());
    }
}

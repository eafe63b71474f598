//! Insertion and removal of keys.
//!
//! A changing node is a draft (`format::index::draft`): keys are inserted and removed there, and
//! its page is written once, on demand. A node that exceeds a page is split; one that falls below a
//! third of a page is joined or balanced with a sibling. This may continue up to the root.

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::limits::{MAX_KEY_BYTES, MAX_TREE_DEPTH};
use crate::base::misuse::Misuse;
use crate::base::page_no::{LogicalPage, NIL, PAGE_SIZE, RecordRef, Space};
use crate::format::index::draft::Draft;
use crate::format::index::key::Key;
use crate::format::index::node::is_storable;
use crate::format::index::page::MIN_USED;
use crate::pager::state::working::Working;

use super::node::{KeyText, Node, text_of};
use super::search::{Drafts, contains_among, reference_among, too_deep, view, visit};

/// A node on the path from the root, with the child or, at the end, the key in it.
#[derive(Debug, Clone, Copy)]
struct Step {
    page: LogicalPage,
    position: usize,
}

/// The path from the root to a key. It ends at the node that has the key or would have it.
#[derive(Debug)]
struct Way {
    steps: Vec<Step>,
    is_found: bool,
    is_leaf: bool,
}

/// Whether a later part of the same step can still fail. If so, a node is changed in a copy, which
/// the step can discard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    MayFail,
}

/// True if the index holds exactly this key.
pub fn contains(working: &Working, key: &[u8]) -> Result<bool> {
    root(working)?.map_or(Ok(false), |_| {
        contains_among(working.image(), key, Drafts::AsTheyAre)
    })
}

/// The address of the record that the first key of the form `key.page.id.size` names, if there is
/// one.
pub fn reference(working: &Working, key: &[u8]) -> Result<Option<RecordRef>> {
    root(working)?.map_or(Ok(None), |_| {
        reference_among(working.image(), key, Drafts::AsTheyAre)
    })
}

/// Inserts a key. Returns `false` if the index has it already.
pub fn insert(working: &mut Working, key: &[u8]) -> Result<bool> {
    if !is_storable(key) {
        return Err(unstorable(key));
    }
    let Some(root) = root(working)? else {
        let root = working.take(Space::Index, 1)?;
        let draft = Draft::of(&[key], Vec::new()).ok_or_else(|| does_not_fit(working, root))?;
        working.put_node(root, draft);
        working.set_root(Some(root));
        return Ok(true);
    };
    let way = find(working, root, key)?;
    let Some((&leaf, above)) = way.steps.split_last() else {
        return Ok(false);
    };
    if way.is_found {
        return Ok(false);
    }
    if let Some(draft) = working.own_node(leaf.page)
        && draft.used_with(key) <= PAGE_SIZE
    {
        let inserted = draft.insert(leaf.position, key, None);
        inserted.ok_or_else(|| does_not_fit(working, leaf.page))?;
        return Ok(true);
    }
    let mut draft = take(working, leaf.page)?;
    draft
        .insert(leaf.position, key, None)
        .ok_or_else(|| does_not_fit(working, leaf.page))?;
    if draft.used() <= PAGE_SIZE {
        working.put_node(leaf.page, draft);
    } else {
        settle(working, above, leaf.page, draft)?;
    }
    Ok(true)
}

/// Removes a key. Returns `false` if the index does not have it.
pub fn remove(working: &mut Working, key: &[u8]) -> Result<bool> {
    let Some(root) = root(working)? else {
        return Ok(false);
    };
    let way = find(working, root, key)?;
    if !way.is_found {
        return Ok(false);
    }
    if way.is_leaf {
        return remove_from_leaf(working, &way.steps, Rest::Nothing).map(|()| true);
    }
    // An inner key is replaced by its predecessor, the last key of a leaf. Since that is removed
    // first, the key must be looked up again.
    let before = predecessor(working, &way.steps)?;
    let way = find(working, root, &before)?;
    remove_from_leaf(working, &way.steps, Rest::MayFail)?;
    replace(working, key, &before)?;
    Ok(true)
}

/// The root, unless the index is empty.
fn root(working: &Working) -> Result<Option<LogicalPage>> {
    match working.image().overlay().root() {
        Some(None) => Ok(None),
        _ => working.image().root().map(Some),
    }
}

/// The path to a key.
fn find(working: &Working, root: LogicalPage, key: &[u8]) -> Result<Way> {
    let image = working.image();
    let mut steps = Vec::with_capacity(4);
    let mut page = root;
    for _ in 0..MAX_TREE_DEPTH {
        let (position, is_found, child) = visit(image, page, Drafts::AsTheyAre, |node| {
            let (position, is_found) = node
                .search(key)
                .map_err(|key| node.damaged(image, page, key))?;
            let goes_on = !is_found && !node.is_leaf(image);
            let child = goes_on
                .then(|| node.child(image, page, position))
                .transpose()?;
            Ok((position, is_found, child.ok_or(node.is_leaf(image))))
        })?;
        steps.push(Step { page, position });
        match child {
            Ok(child) => page = child,
            Err(is_leaf) => {
                return Ok(Way {
                    steps,
                    is_found,
                    is_leaf,
                });
            }
        }
    }
    Err(too_deep(image, page).into())
}

/// The greatest key below the inner key at the end of a path.
fn predecessor(working: &Working, steps: &[Step]) -> Result<KeyText> {
    let image = working.image();
    let Some(&Step {
        page: mut at,
        mut position,
    }) = steps.last()
    else {
        return Err(no_way());
    };
    for _ in 0..MAX_TREE_DEPTH {
        let next = visit(image, at, Drafts::AsTheyAre, |node| {
            if node.is_leaf(image) {
                let last = node.key(node.key_count().saturating_sub(1));
                return Ok(Err(last.map_err(|key| node.damaged(image, at, key))?));
            }
            // After the first node the path follows the last children.
            Ok(Ok(node.child(image, at, position.min(node.key_count()))?))
        })?;
        match next {
            Ok(child) => (at, position) = (child, usize::MAX),
            Err(text) => return Ok(text.into()),
        }
    }
    Err(too_deep(image, at).into())
}

fn remove_from_leaf(working: &mut Working, steps: &[Step], rest: Rest) -> Result<()> {
    let Some((&leaf, above)) = steps.split_last() else {
        return Err(no_way());
    };
    if rest == Rest::Nothing
        && let Some(draft) = working.own_node(leaf.page)
        && draft.key_count() > 1
        && (above.is_empty() || draft.used_without(leaf.position) >= MIN_USED)
    {
        draft.remove(leaf.position, leaf.position);
        return Ok(());
    }
    let mut draft = take(working, leaf.page)?;
    draft.remove(leaf.position, leaf.position);
    settle(working, above, leaf.page, draft)
}

/// Replaces a key by another text with the same position in the order.
fn replace(working: &mut Working, key: &[u8], by: &[u8]) -> Result<()> {
    let root = root(working)?.ok_or_else(no_way)?;
    let way = find(working, root, key)?;
    let Some((&at, above)) = way.steps.split_last() else {
        return Err(no_way());
    };
    if !way.is_found {
        let detail = "a key that was found in it is not found from the root; verify the repository";
        return Err(damaged(
            working,
            CorruptionCode::IndexKeyOrder,
            at.page,
            detail,
        ));
    }
    let mut draft = take(working, at.page)?;
    draft
        .replace(at.position, by)
        .ok_or_else(|| does_not_fit(working, at.page))?;
    settle(working, above, at.page, draft)
}

/// Stores a changed node, splitting or joining it if it is too large or too small for a page.
fn settle(working: &mut Working, above: &[Step], page: LogicalPage, draft: Draft) -> Result<()> {
    let used = draft.used();
    let Some((&parent, further)) = above.split_last() else {
        return settle_root(working, page, draft);
    };
    if (MIN_USED..=PAGE_SIZE).contains(&used) {
        working.put_node(page, draft);
        return Ok(());
    }
    let mut parent_draft = take(working, parent.page)?;
    if used > PAGE_SIZE {
        split(working, &mut parent_draft, parent.position, page, &draft)?;
    } else {
        even_out(working, &mut parent_draft, parent.position, page, &draft)?;
    }
    settle(working, further, parent.page, parent_draft)
}

fn settle_root(working: &mut Working, page: LogicalPage, draft: Draft) -> Result<()> {
    if draft.used() > PAGE_SIZE {
        let root = working.take(Space::Index, 1)?;
        let parent = Draft::of::<KeyText>(&[], vec![page.get()]);
        let mut parent = parent.ok_or_else(|| does_not_fit(working, root))?;
        split(working, &mut parent, 0, page, &draft)?;
        working.put_node(root, parent);
        working.set_root(Some(root));
    } else if draft.key_count() > 0 {
        working.put_node(page, draft);
    } else {
        // The tree loses a level or its last key.
        working.set_root(draft.child(0));
        working.release(Space::Index, page, 1);
    }
    Ok(())
}

/// Splits a node, child `position` of `parent`, into two. The right half keeps the page, as in
/// Windows.
fn split(
    working: &mut Working,
    parent: &mut Draft,
    position: usize,
    page: LogicalPage,
    draft: &Draft,
) -> Result<()> {
    let (left, separator, right) = Node::of(draft).cut();
    let left_page = working.take(Space::Index, 1)?;
    put(working, left_page, left)?;
    put(working, page, right)?;
    let inserted = parent.insert(
        position.min(parent.key_count()),
        &separator,
        Some(left_page),
    );
    inserted.ok_or_else(|| does_not_fit(working, page))
}

/// Joins a node that is too small, child `position` of `parent`, with a sibling, or balances the
/// two.
fn even_out(
    working: &mut Working,
    parent: &mut Draft,
    position: usize,
    page: LogicalPage,
    draft: &Draft,
) -> Result<()> {
    // Key `between` separates this child and its sibling.
    let between = position
        .saturating_sub(1)
        .min(parent.key_count().saturating_sub(1));
    let sibling = if position == 0 { 1 } else { position - 1 };
    let Some(sibling_page) = parent.child(sibling).filter(|_| parent.key_count() > 0) else {
        return Err(damaged(
            working,
            CorruptionCode::IndexNoKeys,
            page,
            "the page above it has no key and no other child",
        ));
    };
    let (node, sibling_node) = (Node::of(draft), Node::of(&take(working, sibling_page)?));
    let ((left_page, left), (right_page, right)) = if sibling > position {
        ((page, node), (sibling_page, sibling_node))
    } else {
        ((sibling_page, sibling_node), (page, node))
    };
    let all = left.join(text_of(parent, between), right);
    if all.used() <= PAGE_SIZE {
        put(working, right_page, all)?;
        working.release(Space::Index, left_page, 1);
        parent.remove(between, between);
        return Ok(());
    }
    let (left, separator, right) = all.cut();
    put(working, left_page, left)?;
    put(working, right_page, right)?;
    parent
        .replace(between, &separator)
        .ok_or_else(|| does_not_fit(working, page))
}

/// A node for changing: a copy of its draft if there is one, or else the content of its page.
fn take(working: &Working, page: LogicalPage) -> Result<Draft> {
    let image = working.image();
    if let Some(draft) = image.draft(page) {
        return Ok(draft.clone());
    }
    let bytes = image.page(Space::Index, page)?;
    let node = view(image, page, &bytes)?;
    Draft::from_page(&node).ok_or_else(|| {
        let site = image.site(Space::Index, page);
        let finding = node.check(NIL, site).into_iter().next();
        finding.unwrap_or_else(|| node.damaged_key(0, site)).into()
    })
}

fn put(working: &mut Working, page: LogicalPage, node: Node) -> Result<()> {
    let draft = node.into_draft().filter(|draft| draft.used() <= PAGE_SIZE);
    let draft = draft.ok_or_else(|| does_not_fit(working, page))?;
    working.put_node(page, draft);
    Ok(())
}

/// The error for a page whose changed keys do not fit into pages, because they are longer than any
/// that are stored here.
/// stored here.
fn does_not_fit(working: &Working, page: LogicalPage) -> Error {
    damaged(
        working,
        CorruptionCode::IndexSize,
        page,
        "its keys do not fit into a page any more when one of them changes",
    )
}

fn unstorable(key: &[u8]) -> Error {
    if key.len() > MAX_KEY_BYTES {
        return Error::Limit {
            what: "the length of a key in bytes",
            max: MAX_KEY_BYTES as u64,
            got: key.len() as u64,
        };
    }
    let text = "cannot be stored: it is empty, has an empty token or a zero byte";
    Error::invalid(Misuse::Key, format!("the key {} {text}", Key::new(key)))
}

fn damaged(working: &Working, code: CorruptionCode, page: LogicalPage, detail: &str) -> Error {
    Corruption::new(code, working.image().site(Space::Index, page), detail).into()
}

/// The error for an empty path, which the index never has.
fn no_way() -> Error {
    Error::Bug("a way through the index has no step".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page_no::{PageBytes, PhysicalPage};
    use crate::base::site::FileRole;
    use crate::btree::scan::{Direction, KeyRange, Scan};
    use crate::format::Dialect;
    use crate::format::mapping::{Mapping, MappingSection};
    use crate::pager::page::source::{PageSource, Reading};
    use crate::pager::state::image::Image;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A source without pages, since all of them are in memory.
    #[derive(Debug)]
    struct Nothing;

    impl PageSource for Nothing {
        fn has(&self, _: Space) -> bool {
            true
        }

        fn protection(&self) -> crate::storage::Protection {
            crate::storage::Protection::default()
        }

        fn read(
            &self,
            space: Space,
            page: LogicalPage,
            _: PhysicalPage,
            _: Reading,
            _: &mut PageBytes,
        ) -> Result<()> {
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
        let mapping = Mapping {
            dialect: Dialect::V22,
            objects: section.clone(),
            index: section,
            shutdown_flag: 1,
        };
        let mut working = Working::new(Image::new(
            mapping,
            FileRole::Mapping(3),
            Box::new(Nothing),
            0,
        ));
        working.set_root(None);
        working
    }

    /// All keys. Asserts that every page but the root is at least a third full, every mapped page
    /// is in the tree, and all leaves have the same depth.
    fn check(working: &Working) -> Vec<Vec<u8>> {
        let image = working.image();
        let Some(root) = root(working).unwrap() else {
            return Vec::new();
        };
        let (mut reached, mut depths) = (0, BTreeSet::new());
        let mut queue = vec![(root, 0)];
        while let Some((page, depth)) = queue.pop() {
            reached += 1;
            let bytes = image.fetch(Space::Index, page).unwrap();
            let node = view(image, page, &bytes).unwrap();
            assert_eq!(node.check(NIL, image.site(Space::Index, page)), []);
            assert!(
                page == root || node.used() >= MIN_USED,
                "{} bytes",
                node.used()
            );
            let children = node.children().filter_map(LogicalPage::new);
            let before = queue.len();
            queue.extend(children.map(|child| (child, depth + 1)));
            if queue.len() == before {
                depths.insert(depth);
            }
        }
        assert!(depths.len() <= 1);
        let mapped = (0..image.logical_pages(Space::Index)).filter_map(LogicalPage::new);
        assert_eq!(
            mapped
                .filter(|&page| image.is_mapped(Space::Index, page))
                .count(),
            reached
        );
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
                // Alternating phases of growth and decline make the tree gain and lose levels.
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
            .map(|n| {
                format!(
                    "NS_A\\CI_{:02}\\IL_{:08X}.1.2.3",
                    n % 7,
                    n.wrapping_mul(0x9E37_79B9)
                )
            })
            .collect();
        for key in &keys {
            assert!(insert(&mut working, key.as_bytes()).unwrap());
        }
        let mut sorted: Vec<&String> = keys.iter().collect();
        sorted.sort();
        assert!(
            check(&working)
                .iter()
                .eq(sorted.iter().map(|key| key.as_bytes()))
        );
        for key in keys.iter().step_by(3).chain(keys.iter().skip(1).step_by(3)) {
            assert!(remove(&mut working, key.as_bytes()).unwrap());
        }
        assert_eq!(
            check(&working).len(),
            keys.len() - keys.len().div_ceil(3) - (keys.len() - 1).div_ceil(3)
        );
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        for bad in [&b""[..], b"A\\\\B", b"A\0", &[b'A'; MAX_KEY_BYTES + 1]] {
            assert!(insert(&mut empty(), bad).is_err());
        }
        assert!(!remove(&mut empty(), b"A").unwrap());
    }
}

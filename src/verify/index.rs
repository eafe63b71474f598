//! Verification of the index: pages, shape of the tree, order of keys, references (invariants 8, 9,
//! 11 to 17).

use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::limits::MAX_TREE_DEPTH;
use crate::base::narrow;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, RecordRef, Space};
use crate::base::parallel::ordered;
use crate::base::progress::Monitor;
use crate::btree::search::{is_leaf, too_deep, view};
use crate::btree::survey::node_pages;
use crate::format::Dialect;
use crate::format::heap::admin_page::check_index_admin;
use crate::format::index::key;
use crate::format::index::page::{IndexPage, MIN_USED};
use crate::pager::state::image::Image;

use crate::base::findings::Findings;

/// The result for the index.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Number of keys read.
    pub keys: u64,
    /// The records that keys name, each with the position of the key.
    pub references: Vec<(RecordRef, KeyPlace)>,
    /// True if every page that is referred to could be read.
    pub is_complete: bool,
    /// The damage found in it.
    pub findings: Findings,
}

/// The position of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyPlace {
    pub page: LogicalPage,
    pub number: u32,
}

/// Checks the index.
pub(crate) fn check(image: &Image, threads: usize, monitor: &Monitor<'_>) -> Result<Tree> {
    let mut part = walk(image, threads, monitor)?;
    if part.has_page_twice && threads > 1 {
        // If several references lead to one page, the order in which threads meet it is random, and
        // the findings depend on it. Their existence does not, so a single thread repeats the walk.
        part = walk(image, 1, monitor)?;
    }
    Ok(Tree {
        keys: part.keys,
        references: part.references,
        is_complete: !part.is_broken,
        findings: part.findings,
    })
}

/// Walks through the whole index.
fn walk(image: &Image, threads: usize, monitor: &Monitor<'_>) -> Result<Part> {
    let section = &image.mapping().index;
    let seen: Vec<AtomicBool> = section
        .entries
        .iter()
        .map(|_| AtomicBool::new(false))
        .collect();
    let walk = Walk {
        image,
        monitor,
        seen: &seen,
    };
    let mut part = Part::default();
    check_admin(image, &seen, &mut part)?;
    match image.root() {
        Ok(root) => walk.root(root, threads, &mut part)?,
        Err(Error::Corrupt(finding)) => part.broken(*finding),
        Err(error) => return Err(error),
    }
    if part.is_broken {
        walk.strays(&mut part)?;
    } else {
        unreached(image, &seen, &mut part.findings);
    }
    Ok(part)
}

/// The admin page of dialect 2.1, logical page 0.
fn check_admin(image: &Image, seen: &[AtomicBool], part: &mut Part) -> Result<()> {
    let (Dialect::V21, Some(page)) = (image.dialect(), LogicalPage::new(0)) else {
        return Ok(());
    };
    if let Some(seen) = seen.first() {
        seen.store(true, Ordering::Relaxed);
    }
    let mut bytes = Box::new([0; PAGE_SIZE]);
    match image.read_unchecked(Space::Index, page, &mut bytes) {
        Ok(()) => part
            .findings
            .extend(check_index_admin(&bytes, image.site(Space::Index, page))),
        Err(Error::Corrupt(_)) => {} // the root cannot be found without it, which is reported there
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Invariant 15: every mapped page is reached.
fn unreached(image: &Image, seen: &[AtomicBool], findings: &mut Findings) {
    for (page, ..) in image.mapping().index.mapped() {
        if seen
            .get(page.index())
            .is_some_and(|seen| !seen.load(Ordering::Relaxed))
        {
            let site = image.site(Space::Index, page);
            findings.push(Corruption::new(
                CorruptionCode::IndexPageUnreached,
                site,
                "",
            ));
        }
    }
}

/// The result of a walk over a part of the tree, in the order of the keys.
#[derive(Debug, Default)]
struct Part {
    keys: u64,
    references: Vec<(RecordRef, KeyPlace)>,
    first_key: Option<Vec<u8>>,
    last_key: Vec<u8>,
    leaf_depth: Option<usize>,
    findings: Findings,
    is_broken: bool,
    has_page_twice: bool,
}

impl Part {
    /// Records that a part of the tree cannot be read.
    fn broken(&mut self, finding: Corruption) {
        self.findings.push(finding);
        self.is_broken = true;
    }

    /// Adds the key in `text`, which must be greater than `previous` (invariants 14 and 17).
    fn key(&mut self, text: &[u8], place: KeyPlace, image: &Image) {
        self.keys += 1;
        match &self.first_key {
            None => self.first_key = Some(text.to_vec()),
            Some(_) if self.last_key.as_slice() >= text => self.out_of_order(place, image),
            Some(_) => {}
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(text);
        match key::reference(text) {
            Ok(Some(reference)) => self.references.push((reference, place)),
            Ok(None) => {}
            Err(key::BadReference) => {
                let make = || key::bad_reference(text, image.site(Space::Index, place.page));
                self.findings.push_with(CorruptionCode::KeyReference, make);
            }
        }
    }

    fn out_of_order(&mut self, place: KeyPlace, image: &Image) {
        self.findings.push_with(CorruptionCode::IndexKeyOrder, || {
            let detail = format!("key number {} is not above the one before it", place.number);
            Corruption::new(
                CorruptionCode::IndexKeyOrder,
                image.site(Space::Index, place.page),
                detail,
            )
        });
    }

    /// Adds a leaf at a depth (invariant 13).
    fn leaf(&mut self, depth: usize, page: LogicalPage, image: &Image) {
        let first = *self.leaf_depth.get_or_insert(depth);
        if first != depth {
            let detail = format!("a leaf at level {depth}, others at {first}");
            self.findings.push(Corruption::new(
                CorruptionCode::IndexDepth,
                image.site(Space::Index, page),
                detail,
            ));
        }
    }

    /// Appends the part that follows in the order of the keys; `page` is the page that leads to it.
    fn append(&mut self, next: Part, page: LogicalPage, image: &Image) {
        if let Some(first) = next.first_key {
            match &self.first_key {
                None => self.first_key = Some(first),
                Some(_) if self.last_key >= first => {
                    self.out_of_order(KeyPlace { page, number: 0 }, image)
                }
                Some(_) => {}
            }
            self.last_key = next.last_key;
        }
        if let Some(depth) = next.leaf_depth {
            self.leaf(depth, page, image);
        }
        self.keys += next.keys;
        self.references.extend(next.references);
        self.findings.absorb(next.findings);
        self.is_broken |= next.is_broken;
        self.has_page_twice |= next.has_page_twice;
    }
}

struct Walk<'a> {
    image: &'a Image,
    monitor: &'a Monitor<'a>,
    seen: &'a [AtomicBool],
}

impl Walk<'_> {
    /// Walks the root and, in parallel, its subtrees. Results are merged in the order of the keys
    /// while other subtrees are walked, so that only a few subtrees hold findings beyond those that
    /// are kept.
    fn root(&self, root: LogicalPage, threads: usize, part: &mut Part) -> Result<()> {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        let Some(node) = self.enter(root, 0, &mut bytes, part)? else {
            return Ok(());
        };
        let Some(children) = self.children(&node) else {
            part.leaf(0, root, self.image);
            return self.keys(&node, root, part, |_, _| Ok(()));
        };
        let walk = |(): &mut (), number: usize| match children.get(number) {
            Some(&Some(page)) => Ok(Some((page, self.subtree(page)?))),
            _ => Ok(None),
        };
        let (mut number, mut text) = (0, Vec::new());
        ordered(
            children.len(),
            threads,
            || (),
            walk,
            |subtree| {
                match subtree {
                    Some((page, subtree)) => part.append(subtree, page, self.image),
                    None => part.is_broken = true,
                }
                if number < node.key_count() {
                    self.key(&node, root, number, &mut text, part);
                }
                number += 1;
                Ok(())
            },
        )
    }

    fn subtree(&self, page: LogicalPage) -> Result<Part> {
        let mut part = Part::default();
        self.descend(page, 1, &mut part)?;
        Ok(part)
    }

    /// Examines the pages that a broken tree does not reach, each on its own. Their content is not
    /// lost: their records are no orphans, and their damage is reported too.
    fn strays(&self, part: &mut Part) -> Result<()> {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        for page in node_pages(self.image, u32::MAX) {
            if self
                .seen
                .get(page.index())
                .is_some_and(|seen| seen.load(Ordering::Relaxed))
            {
                continue;
            }
            let mut stray = Part::default();
            if let Some(node) = self.enter(page, 0, &mut bytes, &mut stray)? {
                self.keys(&node, page, &mut stray, |_, _| Ok(()))?;
            }
            part.keys += stray.keys;
            part.references.extend(stray.references);
            part.findings.absorb(stray.findings);
        }
        Ok(())
    }

    fn descend(&self, page: LogicalPage, depth: usize, part: &mut Part) -> Result<()> {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        let Some(node) = self.enter(page, depth, &mut bytes, part)? else {
            return Ok(());
        };
        if node.used() < MIN_USED {
            let detail = format!("{} bytes used, at least {MIN_USED} expected", node.used());
            let site = self.image.site(Space::Index, page);
            part.findings.push(Corruption::new(
                CorruptionCode::IndexUnderfull,
                site,
                detail,
            ));
        }
        let Some(children) = self.children(&node) else {
            part.leaf(depth, page, self.image);
            return self.keys(&node, page, part, |_, _| Ok(()));
        };
        self.keys(&node, page, part, |part, number| {
            match children.get(number) {
                Some(&Some(child)) => self.descend(child, depth + 1, part),
                _ => {
                    part.is_broken = true;
                    Ok(())
                }
            }
        })
    }

    /// Reads and checks a page that is referred to. `None` if it is not a node or was reached
    /// before.
    fn enter<'p>(
        &self,
        page: LogicalPage,
        depth: usize,
        bytes: &'p mut PageBytes,
        part: &mut Part,
    ) -> Result<Option<IndexPage<'p>>> {
        let site = self.image.site(Space::Index, page);
        if self
            .seen
            .get(page.index())
            .is_some_and(|seen| seen.swap(true, Ordering::Relaxed))
        {
            part.broken(Corruption::new(CorruptionCode::IndexPageTwice, site, ""));
            part.has_page_twice = true;
            return Ok(None);
        }
        if depth >= MAX_TREE_DEPTH {
            part.broken(too_deep(self.image, page));
            return Ok(None);
        }
        match self.image.read_unchecked(Space::Index, page, bytes) {
            Ok(()) => {}
            Err(Error::Corrupt(finding)) => {
                part.broken(*finding);
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        self.monitor.advance(1)?;
        let bytes: &'p PageBytes = bytes;
        part.findings
            .extend(self.image.check_page(Space::Index, page, bytes)?);
        self.check_entry(page, part);
        match view(self.image, page, bytes) {
            Ok(node) => {
                if let Some(overload) = node.overload(site) {
                    part.broken(overload);
                    return Ok(None);
                }
                part.findings
                    .extend(node.check(self.image.dialect().no_child(), site));
                Ok(Some(node))
            }
            Err(finding) => {
                part.broken(finding);
                Ok(None)
            }
        }
    }

    /// Invariant 9 for index pages: free bytes are always 0.
    fn check_entry(&self, page: LogicalPage, part: &mut Part) {
        let stated = self
            .image
            .mapping()
            .index
            .entry(page)
            .map_or(0, |entry| entry.free_bytes);
        if stated != 0 {
            let (site, detail) = (
                self.image.site(Space::Index, page),
                format!("{stated} free bytes stated, always 0 here"),
            );
            part.findings.push(Corruption::new(
                CorruptionCode::MappingFreeBytes,
                site,
                detail,
            ));
        }
    }

    /// The children of an inner node. If only some are set, which the check of the page reports,
    /// that part of the tree cannot be read.
    fn children(&self, node: &IndexPage<'_>) -> Option<Vec<Option<LogicalPage>>> {
        let none = self.image.dialect().no_child();
        let child = |child| {
            if child == none {
                None
            } else {
                LogicalPage::new(child)
            }
        };
        (!is_leaf(self.image, node)).then(|| node.children().map(child).collect())
    }

    /// Walks a node in the order of the keys. Before each key and after the last one, `between` is
    /// called with the number of the child there.
    fn keys(
        &self,
        node: &IndexPage<'_>,
        page: LogicalPage,
        part: &mut Part,
        mut between: impl FnMut(&mut Part, usize) -> Result<()>,
    ) -> Result<()> {
        let mut text = Vec::new();
        for number in 0..node.key_count() {
            between(part, number)?;
            self.key(node, page, number, &mut text, part);
        }
        between(part, node.key_count())
    }

    /// Adds a key of a node.
    fn key(
        &self,
        node: &IndexPage<'_>,
        page: LogicalPage,
        number: usize,
        text: &mut Vec<u8>,
        part: &mut Part,
    ) {
        text.clear();
        // A damaged key is reported by the check of the page.
        if node.append_key(number, text).is_some() {
            part.key(
                text,
                KeyPlace {
                    page,
                    number: narrow(number),
                },
                self.image,
            );
        } else {
            part.is_broken = true;
        }
    }
}

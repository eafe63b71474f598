//! Building of a new index from sorted keys, bottom up. Every node is written once, well filled.

use std::collections::BTreeMap;

use crate::base::error::{Error, Result};
use crate::base::misuse::Misuse;
use crate::base::page_no::{LogicalPage, NIL, PAGE_SIZE, PageBytes};
use crate::format::index::key::Key;
use crate::format::index::node::{NodeSize, is_storable};
use crate::format::index::page::MIN_USED;

use super::node::{KeyText, Node};

/// Size to which a node is filled, in bytes. It leaves room for the first insertions.
const FILL: usize = PAGE_SIZE * 9 / 10;

/// Receives the pages of an index.
pub type IndexSink<'s> = dyn FnMut(LogicalPage, &PageBytes) -> Result<()> + 's;

/// An index under construction.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    next: u32,
    levels: BTreeMap<usize, Level>,
    last: Vec<u8>,
}

/// One level of the tree, with its last two nodes. They are held back so that they can be balanced
/// at the end.
#[derive(Debug, Default)]
struct Level {
    held: Option<(Node, KeyText)>,
    current: Node,
    /// Size of the current node.
    size: NodeSize,
}

impl IndexBuilder {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key, which must be greater than all before it.
    pub fn push(&mut self, key: &[u8], sink: &mut IndexSink<'_>) -> Result<()> {
        if !is_storable(key) {
            let text = "cannot be stored: it is empty, too long, has an empty token or a zero byte";
            return Err(Error::invalid(
                Misuse::Key,
                format!("the key {} {text}", Key::new(key)),
            ));
        }
        if self.last.as_slice() >= key {
            return Err(Error::invalid(
                Misuse::Key,
                format!("the key {} is not above the one before it", Key::new(key)),
            ));
        }
        self.last.clear();
        self.last.extend_from_slice(key);
        self.push_key(0, key.into(), sink)
    }

    /// Completes the index. Returns its root and the number of its logical pages.
    pub fn finish(mut self, sink: &mut IndexSink<'_>) -> Result<(LogicalPage, u32)> {
        if self.last.is_empty() {
            return Err(Error::invalid(
                Misuse::LastKey,
                "an index holds at least one key",
            ));
        }
        let mut level = 0;
        loop {
            let Level { held, current, .. } = std::mem::take(self.level(level));
            let Some((held, separator)) = held else {
                let root = self.emit(&current, sink)?;
                return Ok((root, self.next));
            };
            match even_out(held, separator, current) {
                Ending::One(node) if self.levels.len() == level + 1 => {
                    let root = self.emit(&node, sink)?;
                    return Ok((root, self.next));
                }
                Ending::One(node) => {
                    let page = self.emit(&node, sink)?;
                    self.level(level + 1).current.children.push(page.get());
                }
                Ending::Two(left, separator, right) => {
                    let left = self.emit(&left, sink)?;
                    self.level(level + 1).current.children.push(left.get());
                    self.push_key(level + 1, separator, sink)?;
                    let right = self.emit(&right, sink)?;
                    self.level(level + 1).current.children.push(right.get());
                }
            }
            level += 1;
        }
    }

    fn level(&mut self, number: usize) -> &mut Level {
        self.levels.entry(number).or_default()
    }

    /// Adds a key to the current node of a level, or closes that node with the key as the
    /// separator.
    fn push_key(&mut self, number: usize, key: KeyText, sink: &mut IndexSink<'_>) -> Result<()> {
        let level = self.level(number);
        let limit = if level.current.keys.len() < 2 {
            usize::MAX
        } else {
            FILL
        };
        if level.size.add_within(limit, &key) {
            level.current.keys.push(key);
            return Ok(());
        }
        let closed = std::mem::take(&mut level.current);
        level.size = NodeSize::default();
        if let Some((node, separator)) = level.held.replace((closed, key)) {
            let page = self.emit(&node, sink)?;
            self.level(number + 1).current.children.push(page.get());
            self.push_key(number + 1, separator, sink)?;
        }
        Ok(())
    }

    /// Writes a node to the next logical page.
    fn emit(&mut self, node: &Node, sink: &mut IndexSink<'_>) -> Result<LogicalPage> {
        let limit = || Error::Limit {
            what: "the number of logical pages",
            max: NIL.into(),
            got: u64::from(NIL) + 1,
        };
        let page = LogicalPage::new(self.next).ok_or_else(limit)?;
        self.next = self.next.checked_add(1).ok_or_else(limit)?;
        let too_large = || Error::Bug("the keys of an index page do not fit into it".into());
        sink(page, &*node.to_page(page).ok_or_else(too_large)?)?;
        Ok(page)
    }
}

/// The replacement for the last two nodes of a level.
enum Ending {
    One(Node),
    Two(Node, KeyText, Node),
}

/// Balances the last two nodes of a level, of which the second may be too small or even without
/// keys.
fn even_out(held: Node, separator: KeyText, current: Node) -> Ending {
    if current.used() >= MIN_USED {
        return Ending::Two(held, separator, current);
    }
    let all = held.join(separator, current);
    if all.used() <= PAGE_SIZE {
        return Ending::One(all);
    }
    let (left, separator, right) = all.cut();
    Ending::Two(left, separator, right)
}

//! Scans of the index: the keys of a range in either direction.

use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::page_no::Space;
use crate::format::index::key::Key;
use crate::pager::state::image::Image;

use super::merge::Merge;
use super::walk::{Place, Walk};

/// The direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// Keys from `from` (inclusive) to `to` (exclusive). An absent bound is open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyRange {
    /// Least key.
    pub from: Option<Vec<u8>>,
    /// First key after the range.
    pub to: Option<Vec<u8>>,
}

impl KeyRange {
    /// All keys.
    pub const fn all() -> Self {
        Self {
            from: None,
            to: None,
        }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut to = prefix.to_vec();
        // The first text after all that begin with the prefix: its last byte is incremented, and
        // bytes that cannot be incremented are dropped.
        while let Some(last) = to.pop() {
            if let Some(next) = last.checked_add(1) {
                to.push(next);
                return Self {
                    from: Some(prefix.to_vec()),
                    to: Some(to),
                };
            }
        }
        Self {
            from: Some(prefix.to_vec()),
            to: None,
        }
    }

    /// The bound at which a scan begins.
    pub(super) fn start(&self, direction: Direction) -> Option<&[u8]> {
        match direction {
            Direction::Forward => self.from.as_deref(),
            Direction::Backward => self.to.as_deref(),
        }
    }

    /// The position of a key relative to the range, in the scan direction.
    pub(super) fn place(&self, key: &[u8], direction: Direction) -> Place {
        let below = self.from.as_deref().is_some_and(|from| key < from);
        let above = self.to.as_deref().is_some_and(|to| key >= to);
        match (below, above, direction) {
            (false, false, _) => Place::Inside,
            (true, _, Direction::Forward) | (_, true, Direction::Backward) => Place::Before,
            _ => Place::Behind,
        }
    }
}

/// A scan. It owns its view of the repository and returns each key once.
///
/// An unreadable page yields an error among the keys and hides only its own keys. After it the scan
/// also returns the keys of intact pages that no readable page leads to, each in its place. These
/// come late only if pages claim keys that the scan had passed already, which no writer produces.
#[derive(Debug)]
pub struct Scan {
    walk: Walk,
    /// The keys of the tree merged with those of pages outside it, once damage was met.
    merge: Option<Box<Merge>>,
    is_complete: bool,
}

impl Scan {
    /// Creates a scan of a range.
    pub fn new(image: Arc<Image>, range: KeyRange, direction: Direction) -> Self {
        Self {
            walk: Walk::new(image, range, direction, Vec::new()),
            merge: None,
            is_complete: true,
        }
    }

    /// Creates a scan of all keys that leaves the page cache unchanged, for a single pass.
    pub(crate) fn passing(image: Arc<Image>) -> Self {
        Self {
            walk: Walk::passing(image),
            merge: None,
            is_complete: true,
        }
    }

    /// The text of the next key, valid until the next call; `None` at the end.
    pub fn next_text(&mut self) -> Option<Result<&[u8]>> {
        if self.merge.is_some() {
            return self.next_merged();
        }
        match self.walk.advance()? {
            Ok(()) => Some(Ok(&self.walk.text)),
            Err(error) => Some(Err(self.met(error))),
        }
    }

    /// True if every page needed so far could be read.
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    fn next_merged(&mut self) -> Option<Result<&[u8]>> {
        match self.merge.as_mut()?.advance(&mut self.walk)? {
            Ok(()) => self.merge.as_ref().map(|merge| Ok(merge.given())),
            Err(error) => {
                self.is_complete = false;
                Some(Err(error))
            }
        }
    }

    /// Records damage. If a page was not entered, the pages below it are looked for elsewhere.
    fn met(&mut self, error: Error) -> Error {
        self.is_complete = false;
        if self.walk.is_broken && self.walk.image.has(Space::Index) {
            self.merge = Some(Box::new(Merge::new(&mut self.walk)));
        }
        error
    }
}

impl Iterator for Scan {
    type Item = Result<Key>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_text()?.map(Key::new))
    }
}

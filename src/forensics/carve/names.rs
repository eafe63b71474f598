//! Names by their hashes: every identifier in the files is hashed where a hash has no name yet.

use std::collections::{HashMap, HashSet};

use crate::base::page_no::Space;
use crate::format::name_hash::NameHash;

use super::evidence::{Evidence, Pages};

/// Shortest and longest text that is tried.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=256;

/// Bytes of the files for each hash that is computed, so that the work stays linear.
const BYTES_FOR_A_HASH: u64 = 16;

/// Texts that are always tried, however small the files are.
const LEAST_TEXTS: u64 = 1 << 16;

/// Gives hashes their names back, as far as texts in the files have them.
#[derive(Debug, Default)]
pub(super) struct Names {
    wanted: HashSet<NameHash>,
    pub(super) found: HashMap<NameHash, String>,
    seen: HashSet<Box<[u8]>>,
    left: u64,
    /// Texts that were hashed.
    pub(super) tried: u64,
}

impl Names {
    /// Looks for the names of these hashes.
    pub(super) fn search(evidence: &Evidence, wanted: HashSet<NameHash>) -> Self {
        let pages = u64::from(evidence.pages(Space::Objects));
        let mut names = Self {
            wanted,
            left: (pages * 8192 / BYTES_FOR_A_HASH).max(LEAST_TEXTS),
            ..Self::default()
        };
        let mut pages = Pages::new(evidence, Space::Objects);
        while !names.wanted.is_empty() && names.left > 0 {
            let Some((_, bytes)) = pages.advance() else {
                break;
            };
            if let Some(bytes) = bytes {
                names.texts(evidence, &bytes[..]);
            }
        }
        names.seen = HashSet::new();
        names
    }

    /// True if texts were left untried.
    pub(super) fn was_cut(&self) -> bool {
        self.left == 0 && !self.wanted.is_empty()
    }

    /// Tries the texts of a page, in one byte a character and in two.
    fn texts(&mut self, evidence: &Evidence, bytes: &[u8]) {
        for text in bytes.split(|byte| !is_of_name(*byte)) {
            self.text(evidence, text);
        }
        for parity in 0..2 {
            let mut text = Vec::new();
            for unit in bytes.get(parity..).unwrap_or_default().chunks(2) {
                match unit {
                    [low, 0] if is_of_name(*low) => text.push(*low),
                    _ => {
                        self.text(evidence, &text);
                        text.clear();
                    }
                }
            }
            self.text(evidence, &text);
        }
    }

    /// Tries a text as a whole and, where it has backslashes, each of its parts and each path that
    /// leads to it.
    fn text(&mut self, evidence: &Evidence, text: &[u8]) {
        if !LENGTHS.contains(&text.len()) || self.seen.contains(text) {
            return;
        }
        self.seen.insert(text.into());
        let Ok(text) = str::from_utf8(text) else {
            return;
        };
        self.one(evidence, text);
        let ends = text.match_indices('\\').map(|(at, _)| at);
        for front in ends.filter_map(|end| text.get(..end)) {
            self.one(evidence, front);
        }
        if text.contains('\\') {
            text.split('\\').for_each(|part| self.one(evidence, part));
        }
    }

    fn one(&mut self, evidence: &Evidence, text: &str) {
        if self.left == 0 || text.is_empty() {
            return;
        }
        self.left -= 1;
        self.tried += 1;
        let hash = NameHash::of(evidence.dialect, text);
        if self.wanted.remove(&hash) {
            self.found.insert(hash, text.to_owned());
        }
    }
}

const fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\\' | b'-' | b'.')
}

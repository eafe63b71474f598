//! Pages of the index: nodes of a B-tree whose keys are lists of tokens.
//!
//! ```text
//!  0  signature ACCC      4  own logical page     8  zero     12  zero
//! 16  n, number of keys  20  n zeros of 4 bytes
//!     n + 1 children of 4 bytes: logical pages, or "none" in a leaf
//!     n offsets of 2 bytes into the definition table, in units of 2 bytes
//!     d of 2 bytes, then the definition table of d units: for each key a token count and as many token numbers
//!     t of 2 bytes, then t + 1 offsets of 2 bytes into the heap; the last is the length of the heap
//!     heap: tokens, each closed by a zero byte           slack
//! ```
//!
//! A key is its tokens joined by `\`. Tokens are numbered in sorted order but stored in order of
//! insertion, as are definitions. Source: `docs::format`, "INDEX.BTR".

use std::cmp::Ordering;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::limits::{MAX_PAGE_TOKENS, MAX_READ_KEY_BYTES};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes};
use crate::base::site::Site;
use crate::base::widen;
use crate::format::bytes::{u16_at, u32_at};

/// First word of an index page.
pub const SIGNATURE: u32 = 0x0000_ACCC;

/// Size of the header, which is the offset of the table of zeros, one for each key.
pub(crate) const HEADER_SIZE: usize = 20;

/// Smallest number of bytes used in a page other than the root: a third.
pub const MIN_USED: usize = PAGE_SIZE.div_ceil(3);

/// The byte between two tokens of a key.
pub const SEPARATOR: u8 = b'\\';

/// A view of an index page whose tables are known to lie inside it. Their content is checked at
/// each use.
#[derive(Debug, Clone, Copy)]
pub struct IndexPage<'p> {
    bytes: &'p PageBytes,
    keys: usize,
    children_at: usize,
    offsets_at: usize,
    definitions_at: usize,
    definition_units: usize,
    tokens: usize,
    token_offsets_at: usize,
    heap: &'p [u8],
}

/// The places of the tables of an index page, for viewing a known page again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Layout {
    keys: u16,
    definition_units: u16,
    tokens: u16,
    heap_len: u16,
}

impl<'p> IndexPage<'p> {
    /// A view of `bytes`, the content of logical page `page`. Checks the signature, the page number
    /// and the extent of the tables.
    pub fn parse(bytes: &'p PageBytes, page: LogicalPage, site: Site) -> Result<Self, Corruption> {
        let field = |offset| u32_at(bytes, offset).unwrap_or_default();
        if field(0) != SIGNATURE {
            let detail = format!("found {:#010X}, expected {SIGNATURE:#010X}", field(0));
            return Err(Corruption::new(
                CorruptionCode::IndexSignature,
                site.at(0),
                detail,
            ));
        }
        if field(4) != page.get() {
            let detail = format!("it says it is page {}", field(4));
            return Err(Corruption::new(
                CorruptionCode::IndexOwnPage,
                site.at(4),
                detail,
            ));
        }
        if field(16) == 0 {
            return Err(Corruption::new(
                CorruptionCode::IndexNoKeys,
                site.at(16),
                "",
            ));
        }
        Self::tables(bytes, widen(field(16))).ok_or_else(|| {
            Corruption::new(
                CorruptionCode::IndexSize,
                site.at(16),
                format!("{} keys", field(16)),
            )
        })
    }

    /// Finds the tables of a page with `keys` keys; `None` if one of them extends past the end.
    fn tables(bytes: &'p PageBytes, keys: usize) -> Option<Self> {
        if keys > PAGE_SIZE {
            return None;
        }
        let definitions_at = HEADER_SIZE + 4 * keys + 4 * (keys + 1) + 2 * keys + 2;
        let definition_units = u16_at(bytes, definitions_at - 2)?;
        let token_offsets_at = definitions_at + 2 * usize::from(definition_units) + 2;
        let tokens = u16_at(bytes, token_offsets_at - 2)?;
        let heap_at = token_offsets_at + 2 * (usize::from(tokens) + 1);
        let heap_len = u16_at(bytes, heap_at - 2)?;
        Self::with_layout(
            bytes,
            Layout {
                keys: u16::try_from(keys).ok()?,
                definition_units,
                tokens,
                heap_len,
            },
        )
    }

    /// A view of a page with a known layout; `None` if the layout is not that of this page and
    /// extends past its end.
    pub fn with_layout(bytes: &'p PageBytes, layout: Layout) -> Option<Self> {
        let [keys, definition_units, tokens, heap_len] = [
            layout.keys,
            layout.definition_units,
            layout.tokens,
            layout.heap_len,
        ]
        .map(usize::from);
        let children_at = HEADER_SIZE + 4 * keys;
        let offsets_at = children_at + 4 * (keys + 1);
        let definitions_at = offsets_at + 2 * keys + 2;
        let token_offsets_at = definitions_at + 2 * definition_units + 2;
        let heap_at = token_offsets_at + 2 * (tokens + 1);
        let heap = bytes.get(heap_at..heap_at + heap_len)?;
        Some(Self {
            bytes,
            keys,
            children_at,
            offsets_at,
            definitions_at,
            definition_units,
            tokens,
            token_offsets_at,
            heap,
        })
    }

    /// The places of the tables.
    pub fn layout(&self) -> Layout {
        // They lie in a page, so all numbers are smaller than its size.
        let small = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        Layout {
            keys: small(self.keys),
            definition_units: small(self.definition_units),
            tokens: small(self.tokens),
            heap_len: small(self.heap.len()),
        }
    }

    /// Number of keys, at least 1.
    pub const fn key_count(&self) -> usize {
        self.keys
    }

    /// Number of tokens.
    pub const fn token_count(&self) -> usize {
        self.tokens
    }

    /// Number of bytes used, before the slack.
    pub const fn used(&self) -> usize {
        self.token_offsets_at + 2 * (self.tokens + 1) + self.heap.len()
    }

    /// The slack.
    pub fn slack(&self) -> &'p [u8] {
        self.bytes.get(self.used()..).unwrap_or_default()
    }

    /// Child pointer `number`, as stored. Children are numbered from 0 to `key_count()`; child `i`
    /// leads to the keys less than key `i`.
    pub fn child(&self, number: usize) -> u32 {
        u32_at(self.bytes, self.children_at + 4 * number.min(self.keys))
            .unwrap_or(crate::base::page_no::NIL)
    }

    /// All child pointers.
    pub fn children(&self) -> impl ExactSizeIterator<Item = u32> + use<'p> {
        let page = *self;
        (0..self.keys + 1).map(move |number| page.child(number))
    }

    /// Token `number` without its terminating zero; `None` for an invalid number or place.
    pub fn token(&self, number: u16) -> Option<&'p [u8]> {
        let rest = self.token_rest(number)?;
        rest.get(..memchr::memchr(0, rest)?)
    }

    /// The heap from the start of a token.
    fn token_rest(&self, number: u16) -> Option<&'p [u8]> {
        if usize::from(number) >= self.tokens {
            return None;
        }
        self.heap.get(self.token_offset(usize::from(number))..)
    }

    fn token_offset(&self, number: usize) -> usize {
        u16_at(self.bytes, self.token_offsets_at + 2 * number).map_or(PAGE_SIZE, usize::from)
    }

    /// Offset of a key's definition in the definition table, in units of two bytes.
    pub(crate) fn definition_offset(&self, key: usize) -> Option<usize> {
        if key >= self.keys {
            return None;
        }
        u16_at(self.bytes, self.offsets_at + 2 * key).map(usize::from)
    }

    /// The definition table.
    pub(crate) fn definitions(&self) -> &'p [u8] {
        self.bytes
            .get(self.definitions_at..self.definitions_at + 2 * self.definition_units)
            .unwrap_or_default()
    }

    /// The heap.
    pub(crate) const fn heap(&self) -> &'p [u8] {
        self.heap
    }

    /// Offset of a token in the heap, as stored.
    pub(crate) fn raw_token_offset(&self, number: usize) -> u16 {
        u16_at(self.bytes, self.token_offsets_at + 2 * number).unwrap_or(u16::MAX)
    }

    /// The token numbers of a key; `None` if its definition extends past the table.
    pub fn token_numbers(
        &self,
        key: usize,
    ) -> Option<impl ExactSizeIterator<Item = u16> + use<'p>> {
        let offset = self.definition_offset(key)?;
        let unit = |index: usize| u16_at(self.bytes, self.definitions_at + 2 * index);
        let count = if offset < self.definition_units {
            usize::from(unit(offset)?)
        } else {
            return None;
        };
        if count > self.definition_units - offset - 1 {
            return None;
        }
        let start = self.definitions_at + 2 * (offset + 1);
        let numbers = self.bytes.get(start..start + 2 * count)?;
        Some(
            numbers
                .chunks_exact(2)
                .map(|unit| u16_at(unit, 0).unwrap_or(u16::MAX)),
        )
    }

    /// Appends the text of a key. If the key is damaged, appends a part of it and returns `None`.
    pub fn append_key(&self, key: usize, text: &mut Vec<u8>) -> Option<()> {
        let end = text.len().saturating_add(MAX_READ_KEY_BYTES);
        for (position, number) in self.token_numbers(key)?.enumerate() {
            if position > 0 {
                text.push(SEPARATOR);
            }
            text.extend_from_slice(self.token(number)?);
            if text.len() > end {
                return None;
            }
        }
        Some(())
    }

    /// Compares a key with `text`; `None` if the key is damaged.
    pub fn compare_key(&self, key: usize, text: &[u8]) -> Option<Ordering> {
        let mut rest = text;
        for (position, number) in self.token_numbers(key)?.enumerate() {
            if position > 0 {
                rest = match rest.split_first() {
                    None => return Some(Ordering::Greater),
                    Some((&SEPARATOR, rest)) => rest,
                    Some((other, _)) => return Some(SEPARATOR.cmp(other)),
                };
            }
            match compare_token(self.token_rest(number)?, rest)? {
                TokenOrder::Prefix(len) => rest = rest.get(len..)?,
                TokenOrder::Differs(order) => return Some(order),
            }
        }
        Some(if rest.is_empty() {
            Ordering::Equal
        } else {
            Ordering::Less
        })
    }

    /// The index of the first key that is not less than `text`, and whether it is equal. `Err`
    /// names a damaged key.
    pub fn search(&self, text: &[u8]) -> Result<(usize, bool), usize> {
        let (mut low, mut high) = (0, self.keys);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.compare_key(middle, text).ok_or(middle)? {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok((middle, true)),
                Ordering::Greater => high = middle,
            }
        }
        Ok((low, false))
    }

    /// The finding for a page whose definitions overlap so that its keys together name more tokens
    /// than the page has room for. Such keys are not read one by one, since a few kilobytes of such
    /// pages would take minutes.
    pub fn overload(&self, site: Site) -> Option<Corruption> {
        let mut named = 0;
        for key in 0..self.keys {
            named += self.token_numbers(key).map_or(0, |numbers| numbers.len());
            if named > MAX_PAGE_TOKENS {
                let detail = format!(
                    "the definitions overlap: the first {} keys name {named} tokens",
                    key + 1
                );
                let site = site.at_index(self.definitions_at);
                return Some(Corruption::new(
                    CorruptionCode::IndexDefinition,
                    site,
                    detail,
                ));
            }
        }
        None
    }

    /// The finding for a damaged key.
    pub(crate) fn damaged_key(&self, key: usize, site: Site) -> Corruption {
        let site = site.at_index(self.offsets_at + 2 * key);
        Corruption::new(
            CorruptionCode::IndexDefinition,
            site,
            format!("key number {key}"),
        )
    }

    /// The faults of the page by itself: invariants 11 and 12, and the mixed children of 13.
    pub fn check(&self, no_child: u32, site: Site) -> Vec<Corruption> {
        let mut findings = Vec::new();
        self.check_reserved(site, &mut findings);
        self.check_children(no_child, site, &mut findings);
        self.check_definitions(site, &mut findings);
        self.check_tokens(site, &mut findings);
        findings
    }

    fn check_reserved(&self, site: Site, findings: &mut Vec<Corruption>) {
        let fields = [8, 12]
            .into_iter()
            .chain((HEADER_SIZE..self.children_at).step_by(4));
        for offset in fields {
            let value = u32_at(self.bytes, offset).unwrap_or_default();
            if value != 0 {
                let detail = format!("found {value:#X}");
                findings.push(Corruption::new(
                    CorruptionCode::IndexReserved,
                    site.at_index(offset),
                    detail,
                ));
                return;
            }
        }
    }

    fn check_children(&self, no_child: u32, site: Site, findings: &mut Vec<Corruption>) {
        let absent = self.children().filter(|&child| child == no_child).count();
        // "No page" means "none" in dialect 2.2. In dialect 2.1 it is neither "none" nor a page.
        let set = self
            .children()
            .filter(|&child| child != no_child && LogicalPage::new(child).is_some())
            .count();
        if ![absent, set].contains(&(self.keys + 1)) {
            let detail = format!("{set} of {} children are set", self.keys + 1);
            findings.push(Corruption::new(
                CorruptionCode::IndexChildrenMixed,
                site.at_index(self.children_at),
                detail,
            ));
        }
    }

    /// Checks that definitions lie in the table, fill it without gap or overlap, name existing
    /// tokens, and give keys that are neither empty nor too long.
    fn check_definitions(&self, site: Site, findings: &mut Vec<Corruption>) {
        if let Some(overload) = self.overload(site) {
            return findings.push(overload);
        }
        let mut ranges = Vec::with_capacity(self.keys);
        let mut used = vec![false; self.tokens];
        let lengths: Vec<usize> = (0..)
            .take(self.tokens)
            .map(|number| self.token(number).map_or(0, <[u8]>::len))
            .collect();
        for key in 0..self.keys {
            let (Some(offset), Some(numbers)) =
                (self.definition_offset(key), self.token_numbers(key))
            else {
                findings.push(self.damaged_key(key, site));
                return;
            };
            ranges.push((offset, offset + 1 + numbers.len()));
            let (count, mut length) = (numbers.len(), 0);
            for number in numbers.map(usize::from) {
                match (used.get_mut(number), lengths.get(number)) {
                    (Some(used), Some(token)) => (*used, length) = (true, length + token),
                    _ => return findings.push(self.damaged_key(key, site)),
                }
            }
            // A separator precedes each token but the first.
            if count == 0 || length + count - 1 > MAX_READ_KEY_BYTES {
                return findings.push(self.damaged_key(key, site));
            }
        }
        let site_of_table = site.at_index(self.definitions_at);
        if !is_gap_free(&mut ranges, self.definition_units) {
            let detail = "definitions leave a gap or overlap";
            findings.push(Corruption::new(
                CorruptionCode::IndexDefinition,
                site_of_table,
                detail,
            ));
        }
        if let Some(unused) = used.iter().position(|used| !used) {
            let detail = format!("token number {unused}");
            findings.push(Corruption::new(
                CorruptionCode::IndexTokenUnused,
                site_of_table,
                detail,
            ));
        }
    }

    /// Checks that tokens are strictly sorted, each ends in a zero inside the heap, and they fill
    /// the heap without gap or overlap.
    fn check_tokens(&self, site: Site, findings: &mut Vec<Corruption>) {
        let mut ranges = Vec::with_capacity(self.tokens);
        let mut previous: Option<&[u8]> = None;
        for number in 0..self.tokens {
            let site = site.at_index(self.token_offsets_at + 2 * number);
            let token = u16::try_from(number)
                .ok()
                .and_then(|number| self.token(number));
            let Some(token) = token
                .filter(|token| !token.is_empty() && memchr::memchr(SEPARATOR, token).is_none())
            else {
                let detail = format!("token number {number}");
                return findings.push(Corruption::new(CorruptionCode::IndexHeap, site, detail));
            };
            if previous.is_some_and(|previous| previous >= token) {
                let detail = format!("token number {number} is not above the one before it");
                findings.push(Corruption::new(
                    CorruptionCode::IndexTokenOrder,
                    site,
                    detail,
                ));
                return;
            }
            previous = Some(token);
            let start = self.token_offset(number);
            ranges.push((start, start + token.len() + 1));
        }
        if !is_gap_free(&mut ranges, self.heap.len()) {
            let site = site.at_index(self.used() - self.heap.len());
            findings.push(Corruption::new(
                CorruptionCode::IndexHeap,
                site,
                "tokens leave a gap or overlap",
            ));
        }
    }
}

enum TokenOrder {
    /// The text begins with the token, which has this length.
    Prefix(usize),
    Differs(Ordering),
}

/// Compares the zero-terminated token at the front of `heap` with the front of `text`; `None`
/// without a terminating zero.
fn compare_token(heap: &[u8], text: &[u8]) -> Option<TokenOrder> {
    // Most comparisons meet an equal token, the namespace that all keys of a page tend to share. A
    // comparison up to the next separator settles this without examining single bytes. A zero in
    // the text ends the word too, because it must not continue into the next token.
    let word = memchr::memchr2(SEPARATOR, 0, text).unwrap_or(text.len());
    if heap.get(word) == Some(&0) && heap.get(..word) == text.get(..word) {
        return Some(TokenOrder::Prefix(word));
    }
    for (position, &byte) in heap.iter().enumerate() {
        match (byte, text.get(position)) {
            (0, _) => return Some(TokenOrder::Prefix(position)),
            (_, None) => return Some(TokenOrder::Differs(Ordering::Greater)),
            (byte, Some(other)) if byte != *other => {
                return Some(TokenOrder::Differs(byte.cmp(other)));
            }
            _ => {}
        }
    }
    None
}

/// True if half-open ranges cover `0..len` exactly.
fn is_gap_free(ranges: &mut [(usize, usize)], len: usize) -> bool {
    ranges.sort_unstable();
    let end = ranges
        .iter()
        .try_fold(0, |end, &(start, next)| (start == end).then_some(next));
    end == Some(len)
}

//! Indexes made to cost as much time and memory as possible for their size: overlapping definitions
//! give a page many more keys than it has room for, each as long as any that is read.

use cimrepo::base::page_no::{NIL, PAGE_SIZE, PageBytes, Space};

use super::Files;
use super::edit::with_pages;
use super::small::stored;

/// Number of keys that fit next to one definition and little text, at ten bytes each.
pub const KEYS: usize = 780;

/// A node whose keys all have the same definition.
pub fn node(
    own: usize,
    keys: usize,
    children: &[u32],
    definition: &[u16],
    tokens: &[&[u8]],
) -> Box<PageBytes> {
    let half = |value: usize| u16::try_from(value).unwrap().to_le_bytes();
    let mut bytes = Vec::new();
    let words = [0xACCC, stored(own), 0, 0, stored(keys)]
        .into_iter()
        .chain(std::iter::repeat_n(0, keys));
    words
        .chain(children.iter().copied())
        .for_each(|word| bytes.extend(word.to_le_bytes()));
    bytes.extend(std::iter::repeat_n([0, 0], keys).flatten());
    bytes.extend(half(definition.len() + 1));
    bytes.extend(half(definition.len()));
    definition
        .iter()
        .for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes.extend(half(tokens.len()));
    let mut at = 0;
    for token in tokens {
        bytes.extend(half(at));
        at += token.len() + 1;
    }
    bytes.extend(half(at));
    tokens
        .iter()
        .for_each(|token| bytes.extend(token.iter().copied().chain([0])));
    assert!(bytes.len() <= PAGE_SIZE, "{} bytes", bytes.len());
    let mut page = Box::new([0; PAGE_SIZE]);
    page[..bytes.len()].copy_from_slice(&bytes);
    page
}

/// A repository whose index is a root over leaves that differ only in their numbers.
pub fn index_of(leaves: usize, keys: usize, definition: &[u16], tokens: &[&[u8]]) -> Files {
    let none = vec![NIL; keys + 1];
    let children: Vec<u32> = (1..=stored(leaves)).collect();
    let root = node(0, leaves - 1, &children, &[0], &[b"A"]);
    let leaves = (1..=leaves).map(|own| node(own, keys, &none, definition, tokens));
    with_pages(Space::Index, std::iter::once(root).chain(leaves))
}

/// Every kind of flood with its name, each with this many leaves.
pub fn floods(leaves: usize) -> Vec<(&'static str, Files)> {
    let long = [b"A.01.2.3.".as_slice(), &[b'7'; 90]].concat();
    // Twenty tokens of a hundred bytes, named by as many keys as a page may claim.
    let many = vec![0; 20];
    vec![
        ("references", index_of(leaves, KEYS, &[0], &[b"A.1.2.3"])),
        (
            "references in a wrong form, long",
            index_of(leaves, KEYS - 20, &many, &[&long]),
        ),
        (
            "keys of thousands of tokens",
            index_of(leaves, 300, &vec![0; 2_000], &[b"A"]),
        ),
        (
            "keys of a thousand tokens, as many as are read",
            index_of(leaves, 16, &vec![0; 1_000], &[b"A"]),
        ),
        (
            "long keys out of order",
            index_of(leaves, KEYS - 20, &many, &[&long[9..]]),
        ),
    ]
}

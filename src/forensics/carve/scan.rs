//! Searches raw bytes for what may begin a record. Everything found is a candidate: `proof` says
//! which of them are records.
//!
//! Every offset is looked at, since a run of hexadecimal digits longer than a hash hides where the
//! record begins. The work is linear in the bytes, and at most [`MAX_HITS`] candidates come out of
//! one region.

use memchr::memmem;

use crate::base::widen;
use crate::format::Dialect;
use crate::format::bytes::{u16_at, u32_at};
use crate::format::name_hash::NameHash;

use super::Kind;

/// Candidates of one region that are looked at. A page of honest records has fewer than 60.
pub const MAX_HITS: usize = 256;

/// Upper halves of the FILETIMEs that a record may have: the years 1999 to 2059.
const STAMPS: std::ops::Range<u32> = 0x01BF_0000..0x01E0_0000;

/// Least bytes of an instance part: length, zero, name, empty qualifiers, mark, heap.
const LEAST_INSTANCE: usize = 4 + 1 + 4 + 4 + 1 + 4;

/// Least bytes of a methods part.
const LEAST_METHODS: usize = 12;

/// Longest text of a reference in UTF-16 units.
const MAX_TEXT: u32 = 4096;

/// Bytes that may be a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Offset of the first byte in the region.
    pub offset: usize,
    /// Bytes that the record claims; they lie in the region.
    pub length: usize,
    /// The kind of record.
    pub kind: Kind,
}

/// The candidates in a region, in order of their offsets, and whether there were more than
/// [`MAX_HITS`].
pub fn hits(bytes: &[u8], dialect: Dialect) -> (Vec<Hit>, bool) {
    let mut found = Vec::new();
    instances(bytes, dialect, &mut found);
    classes(bytes, &mut found);
    references(bytes, &mut found);
    found.sort_unstable();
    let is_cut = found.len() >= MAX_HITS;
    found.truncate(MAX_HITS);
    (found, is_cut)
}

/// True if the eight bytes at an offset can be the time stamp of a record.
fn is_stamp(bytes: &[u8], offset: usize) -> bool {
    offset
        .checked_add(4)
        .and_then(|upper| u32_at(bytes, upper))
        .is_some_and(|upper| STAMPS.contains(&upper))
}

/// Looks for hashes in UTF-16 with two time stamps behind them.
fn instances(bytes: &[u8], dialect: Dialect, found: &mut Vec<Hit>) {
    let digits = NameHash::digits(dialect);
    // Digits in a row that end at an even and at an odd offset.
    let (mut even, mut odd) = (0usize, 0usize);
    for (offset, pair) in bytes.windows(2).enumerate() {
        let is_digit = matches!(pair, [b'0'..=b'9' | b'A'..=b'F', 0]);
        let run = if offset % 2 == 0 { &mut even } else { &mut odd };
        *run = if is_digit { *run + 1 } else { 0 };
        if *run < digits {
            continue;
        }
        let (start, stamps) = (offset + 2 - 2 * digits, offset + 2);
        if let Some(length) = instance_length(bytes, stamps) {
            found.push(Hit {
                offset: start,
                length: 2 * digits + 16 + length,
                kind: Kind::Instance,
            });
            if found.len() >= MAX_HITS {
                return;
            }
        }
    }
}

/// The length of the instance part behind two time stamps, if it can be one and lies in the region.
fn instance_length(bytes: &[u8], stamps: usize) -> Option<usize> {
    if !is_stamp(bytes, stamps) || !is_stamp(bytes, stamps + 8) {
        return None;
    }
    let part = bytes.get(stamps + 16..)?;
    let length = widen(u32_at(part, 0)?);
    let is_headed = part.get(4..9)?.iter().all(|byte| *byte == 0);
    (is_headed && (LEAST_INSTANCE..=part.len()).contains(&length)).then_some(length)
}

/// Looks for time stamps with a class part behind them whose superclass stands before them.
fn classes(bytes: &[u8], found: &mut Vec<Hit>) {
    let most = found.len().saturating_add(MAX_HITS);
    for (stamp, window) in bytes.windows(17).enumerate() {
        let is_headed = matches!(
            window,
            [_, _, _, _, _, _, 0xBF..=0xDF, 1, .., 0, 0, 0, 0, 0]
        );
        if !is_headed || !is_stamp(bytes, stamp) {
            continue;
        }
        if let Some(hit) = class_around(bytes, stamp) {
            found.push(hit);
            if found.len() >= most {
                return;
            }
        }
    }
}

/// The class record whose time stamp lies at an offset.
fn class_around(bytes: &[u8], stamp: usize) -> Option<Hit> {
    let part = bytes.get(stamp + 8..)?;
    let class_part = widen(u32_at(part, 0)?);
    let methods = widen(u32_at(part.get(class_part..)?, 0)?);
    if methods < LEAST_METHODS || class_part < 29 {
        return None;
    }
    let end = stamp
        .checked_add(8)?
        .checked_add(class_part)?
        .checked_add(methods)?;
    let head = head_length(bytes, stamp, part)?;
    let offset = stamp.checked_sub(head)?;
    (end <= bytes.len()).then(|| Hit {
        offset,
        length: end - offset,
        kind: Kind::Class,
    })
}

/// Bytes before the time stamp: the name of the superclass that the derivation tells, with its
/// count. `None` when something else stands there.
fn head_length(bytes: &[u8], stamp: usize, part: &[u8]) -> Option<usize> {
    let derivation = widen(u32_at(part, 13)?);
    if derivation == 4 {
        let count = stamp.checked_sub(4)?;
        return (u32_at(bytes, count)? == 0).then_some(4);
    }
    let text = part.get(17..13usize.checked_add(derivation)?)?;
    let units: Vec<u16> = match text.split_first()? {
        (0, rest) => rest
            .iter()
            .take_while(|byte| **byte != 0)
            .map(|byte| u16::from(*byte))
            .collect(),
        (1, rest) => (0..rest.len() / 2)
            .map_while(|unit| u16_at(rest, 2 * unit).filter(|unit| *unit != 0))
            .collect(),
        _ => return None,
    };
    let head = units.len().checked_mul(2)?.checked_add(4)?;
    let start = stamp.checked_sub(head)?;
    let is_same = (0..)
        .zip(&units)
        .all(|(number, unit): (usize, _)| u16_at(bytes, start + 4 + 2 * number) == Some(*unit));
    (widen(u32_at(bytes, start)?) == units.len() && is_same).then_some(head)
}

/// Looks for four counted texts, the first of which begins with `ROOT`.
fn references(bytes: &[u8], found: &mut Vec<Hit>) {
    let most = found.len().saturating_add(MAX_HITS);
    for text in memmem::find_iter(bytes, b"R\0O\0O\0T\0") {
        let Some(offset) = text.checked_sub(4) else {
            continue;
        };
        if let Some(length) = bytes.get(offset..).and_then(reference_length) {
            found.push(Hit {
                offset,
                length,
                kind: Kind::Reference,
            });
            if found.len() >= most {
                return;
            }
        }
    }
}

fn reference_length(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut last) = (0usize, &[][..]);
    for _ in 0..4 {
        let units = u32_at(bytes, at).filter(|units| (1..=MAX_TEXT).contains(units))?;
        let end = at + 4 + 2 * widen(units);
        last = bytes.get(at + 4..end)?;
        at = end;
    }
    let is_key = memmem::find(last, b"N\0S\0_\0").is_some_and(|at| at <= 2);
    (is_key && at + 8 <= bytes.len()).then_some(at + 8)
}

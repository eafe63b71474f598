//! A stretch of the body that a part may not leave.

use super::error::{BmfError, BmfFault};
use crate::base::widen;

/// The offset that stands for nothing.
const ABSENT: u32 = u32::MAX;

/// Bytes from `start` to `end` of a body. Offsets in it count from its start; those of errors from
/// the start of the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area<'b> {
    body: &'b [u8],
    start: usize,
    end: usize,
}

impl<'b> Area<'b> {
    /// All of a body up to `end`.
    pub(super) fn new(body: &'b [u8], end: usize) -> Self {
        Self {
            body,
            start: 0,
            end: end.min(body.len()),
        }
    }

    /// Where it begins in the body.
    pub(super) const fn start(&self) -> usize {
        self.start
    }

    /// Its length in bytes.
    pub(super) const fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// The error for what stands at an offset in it.
    pub(super) const fn fail(&self, offset: usize, fault: BmfFault) -> BmfError {
        let at = self.start.saturating_add(offset);
        BmfError::body(if at < self.end { at } else { self.end }, fault)
    }

    /// The bytes from an offset on.
    pub(super) fn bytes(&self, offset: usize) -> &'b [u8] {
        let start = self.start.saturating_add(offset);
        self.body.get(start..self.end).unwrap_or_default()
    }

    pub(super) fn word(&self, offset: usize) -> Result<u32, BmfError> {
        let word = self.bytes(offset).first_chunk();
        word.map(|word| u32::from_le_bytes(*word))
            .ok_or(self.fail(offset, BmfFault::Bounds))
    }

    /// A length or count that stands at an offset.
    pub(super) fn size(&self, offset: usize) -> Result<usize, BmfError> {
        self.word(offset).map(widen)
    }

    /// An offset that stands at `at`, counted from `base`; `None` where there is none.
    pub(super) fn offset(&self, at: usize, base: usize) -> Result<Option<usize>, BmfError> {
        let offset = self.word(at)?;
        Ok((offset != ABSENT).then(|| base.saturating_add(widen(offset))))
    }

    /// The part from one offset to another.
    pub(super) fn part(&self, from: usize, to: usize) -> Result<Self, BmfError> {
        if from > to || to > self.len() {
            return Err(self.fail(from.min(self.len()), BmfFault::Bounds));
        }
        let at = |offset: usize| self.start.saturating_add(offset);
        Ok(Self {
            body: self.body,
            start: at(from),
            end: at(to),
        })
    }

    /// The part at an offset that begins with its own length, of at least `least` bytes.
    pub(super) fn measured(&self, offset: usize, least: usize) -> Result<Self, BmfError> {
        let length = self.size(offset)?;
        if length < least {
            return Err(self.fail(offset, BmfFault::Bounds));
        }
        self.part(offset, offset.saturating_add(length))
    }

    /// The text at an offset and where it ends, terminator included.
    pub(super) fn text(&self, offset: usize) -> Result<Text, BmfError> {
        let (units, _) = self.bytes(offset).as_chunks();
        let end = units.iter().position(|unit| *unit == [0, 0]);
        let end = end.ok_or(self.fail(offset, BmfFault::Text))?;
        let units = units.get(..end).unwrap_or_default();

        // Nearly every text is ASCII, and room for it is then known.
        let mut text = String::with_capacity(end);
        let mut is_whole = true;
        for c in char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))) {
            is_whole &= c.is_ok();
            text.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let end = end.saturating_add(1).saturating_mul(2);
        Ok(Text {
            text,
            end: offset.saturating_add(end),
            is_whole,
        })
    }
}

/// A text that was read.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// Where the next part may begin, in the same area.
    pub(super) end: usize,
    /// True if it had no half of a surrogate pair.
    pub(super) is_whole: bool,
}

//! Reading of object records: little-endian fields taken from the front, and errors with their
//! offset in the record.

use thiserror::Error;

use crate::base::widen;
use crate::format::bytes::Reader;

/// The error of an invalid record or part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("offset {offset} of the record: {what}")]
pub struct BadRecord {
    /// Offset in the record, in bytes.
    pub offset: usize,
    /// Description of the error.
    pub what: &'static str,
}

/// Result of the parsers of records.
pub(crate) type Parsed<T> = Result<T, BadRecord>;

/// Takes fields from the front of a part of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordReader<'b> {
    inner: Reader<'b>,
    base: usize,
}

impl<'b> RecordReader<'b> {
    /// Creates a reader for a part that begins at `base` of its record.
    pub(crate) const fn new(bytes: &'b [u8], base: usize) -> Self {
        Self {
            inner: Reader::new(bytes),
            base,
        }
    }

    /// Offset of the next field in the record.
    pub(crate) const fn offset(&self) -> usize {
        self.base.saturating_add(self.inner.position())
    }

    /// Number of bytes taken so far.
    pub(crate) const fn position(&self) -> usize {
        self.inner.position()
    }

    pub(crate) const fn fail<T>(&self, what: &'static str) -> Parsed<T> {
        Err(BadRecord {
            offset: self.offset(),
            what,
        })
    }

    pub(crate) fn take(&mut self, length: usize, what: &'static str) -> Parsed<&'b [u8]> {
        let offset = self.offset();
        self.inner.take(length).ok_or(BadRecord { offset, what })
    }

    /// Takes the remaining bytes.
    pub(crate) fn rest(&mut self) -> &'b [u8] {
        self.inner.take(self.inner.remaining()).unwrap_or_default()
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Parsed<u8> {
        let offset = self.offset();
        self.inner
            .array()
            .map(|[byte]| byte)
            .ok_or(BadRecord { offset, what })
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Parsed<u16> {
        let offset = self.offset();
        self.inner.u16().ok_or(BadRecord { offset, what })
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Parsed<u32> {
        let offset = self.offset();
        self.inner.u32().ok_or(BadRecord { offset, what })
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Parsed<u64> {
        let offset = self.offset();
        self.inner.u64().ok_or(BadRecord { offset, what })
    }

    /// Takes a part whose length, itself included, is in its first four bytes.
    pub(crate) fn counted_part(&mut self, what: &'static str) -> Parsed<RecordReader<'b>> {
        let offset = self.offset();
        let mut ahead = *self;
        let length = widen(ahead.u32(what)?);
        if length < 4 {
            return self.fail(what);
        }
        let mut part = Self::new(self.take(length, what)?, offset);
        part.u32(what)?;
        Ok(part)
    }

    /// Takes a text with a count of UTF-16 units before it, as in the heads of records.
    pub(crate) fn counted_utf16(&mut self, what: &'static str) -> Parsed<&'b [u8]> {
        let units = widen(self.u32(what)?);
        let Some(length) = units.checked_mul(2) else {
            return self.fail(what);
        };
        self.take(length, what)
    }
}

/// The units of a text in UTF-16LE.
pub(crate) fn utf16_units(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes
        .as_chunks::<2>()
        .0
        .iter()
        .map(|&unit| u16::from_le_bytes(unit))
}

/// Decodes a text in UTF-16LE; `None` if it has unpaired surrogates.
pub(crate) fn utf16_text(bytes: &[u8]) -> Option<String> {
    char::decode_utf16(utf16_units(bytes))
        .collect::<Result<String, _>>()
        .ok()
}

/// Appends a text in UTF-16LE.
pub(crate) fn push_utf16(text: &str, bytes: &mut Vec<u8>) {
    text.encode_utf16()
        .for_each(|unit| bytes.extend_from_slice(&unit.to_le_bytes()));
}

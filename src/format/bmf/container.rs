//! The container: a header and compressed data.

use super::SIGNATURE;
use super::body::Body;
use super::compression::{Unpacked, unpack};
use super::error::{BmfError, BmfFault};
use crate::base::limits::MAX_BMF_BYTES;
use crate::base::widen;

/// Bytes in front of the compressed data.
const HEADER_BYTES: usize = 16;

/// How many times the compressed data a body may be at most: 25 bits of it give 512 bytes.
const MAX_RATIO: u64 = 256;

/// A container whose header makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Container<'b> {
    compressed: &'b [u8],
    body_bytes: usize,
}

impl<'b> Container<'b> {
    /// Reads the container at the beginning of `bytes`. Bytes that follow it are not part of it.
    ///
    /// # Errors
    /// [`BmfError`] when the header makes no sense or the data is cut off.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, BmfError> {
        let fail = BmfError::container;
        if !bytes.starts_with(SIGNATURE) {
            return Err(fail(0, BmfFault::Signature));
        }

        let word = |at: usize| {
            let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
            word.map(|word| u32::from_le_bytes(*word))
                .ok_or(fail(at, BmfFault::CutOff))
        };
        let version = word(4)?;
        if version != 1 {
            return Err(fail(4, BmfFault::Version(version)));
        }

        let (compressed, body) = (word(8)?, u64::from(word(12)?));
        // Nothing is reserved for what the data cannot hold.
        let max = MAX_BMF_BYTES.min(u64::from(compressed) * MAX_RATIO);
        if body > max {
            return Err(fail(12, BmfFault::TooLarge { claimed: body, max }));
        }

        let end = HEADER_BYTES.saturating_add(widen(compressed));
        let compressed = bytes.get(HEADER_BYTES..end);
        let compressed = compressed.ok_or(fail(bytes.len(), BmfFault::CutOff))?;
        let body_bytes = usize::try_from(body).unwrap_or(usize::MAX);
        Ok(Self {
            compressed,
            body_bytes,
        })
    }

    /// Its length with the header, in bytes.
    pub const fn bytes(&self) -> usize {
        HEADER_BYTES.saturating_add(self.compressed.len())
    }

    /// The length of the body that it holds, in bytes.
    pub const fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// Unpacks the body and reads its header.
    ///
    /// # Errors
    /// [`BmfError`] when the data cannot be unpacked or the body does not begin as one.
    pub fn unpack(&self) -> Result<Body, BmfError> {
        self.unpack_counted().map(|(body, _)| body)
    }

    /// As [`unpack`](Self::unpack); gives also how many bytes were made use of, header included.
    pub(super) fn unpack_counted(&self) -> Result<(Body, usize), BmfError> {
        let unpacked = unpack(self.compressed, self.body_bytes, HEADER_BYTES)?;
        let Unpacked { body, used, notes } = unpacked;
        Ok((
            Body::with_notes(body, notes)?,
            HEADER_BYTES.saturating_add(used),
        ))
    }
}

//! The compression of the body, "DS 00 01": literals and copies in blocks of 512 bytes, bit by bit.

use super::error::{BmfError, BmfFault, BmfNote, BmfPlace, BmfRemark};
use crate::base::widen;

const SIGNATURE: &[u8; 4] = b"DS\0\x01";

/// Bytes of output after which a mark stands.
const BLOCK_BYTES: usize = 512;

/// The distance that is no copy but the mark at the end of a block.
const MARK: usize = 4415;

/// Zero bits that a length begins with at most.
const MAX_LENGTH_BITS: u32 = 8;

/// Bits that may be read past the last byte, as zeros: the encoder cuts its last word.
const SPARE_BITS: usize = 15;

/// Unpacked bytes.
pub(super) struct Unpacked {
    pub(super) body: Vec<u8>,
    /// Bytes of the compressed data that were made use of.
    pub(super) used: usize,
    pub(super) notes: Vec<BmfNote>,
}

/// Unpacks `bytes` into a body of `length` bytes. `base` is the offset of `bytes` in the container,
/// for errors and notes.
pub(super) fn unpack(bytes: &[u8], length: usize, base: usize) -> Result<Unpacked, BmfError> {
    let Some(stream) = bytes.strip_prefix(SIGNATURE) else {
        return Err(BmfError::container(base, BmfFault::Compression));
    };
    let base = base.saturating_add(SIGNATURE.len());
    let bits = Bits {
        bytes: stream,
        at: 0,
        base,
    };
    let mut unpacker = Unpacker {
        bits,
        body: Vec::new(),
        length,
        marks: 0,
        notes: Vec::new(),
    };
    unpacker.run()?;
    let used = bytes
        .len()
        .min(SIGNATURE.len().saturating_add(unpacker.bits.at.div_ceil(8)));
    Ok(Unpacked {
        body: unpacker.body,
        used,
        notes: unpacker.notes,
    })
}

enum Symbol {
    Literal(u8),
    Copy(usize),
}

struct Unpacker<'b> {
    bits: Bits<'b>,
    body: Vec<u8>,
    /// How long the body is to be.
    length: usize,
    /// Marks that were read.
    marks: usize,
    notes: Vec<BmfNote>,
}

impl Unpacker<'_> {
    fn run(&mut self) -> Result<(), BmfError> {
        while self.body.len() < self.length || self.due_marks() > self.marks {
            let at = self.bits.offset();
            let fail = |fault| Err(BmfError::container(at, fault));

            let symbol = self.symbol()?;
            let is_mark = matches!(symbol, Symbol::Copy(MARK));
            if is_mark != (self.due_marks() > self.marks) {
                return fail(BmfFault::Mark);
            }
            match symbol {
                Symbol::Copy(MARK) => self.marks += 1,
                Symbol::Literal(byte) => self.body.push(byte),
                Symbol::Copy(distance) => {
                    let length = self.copy_length()?;
                    let start = self
                        .body
                        .len()
                        .checked_sub(distance)
                        .filter(|_| distance > 0);
                    let Some(start) = start else {
                        return fail(BmfFault::Copy);
                    };
                    if length > self.length.saturating_sub(self.body.len()) {
                        return fail(BmfFault::Overflow);
                    }
                    self.copy(start, length, at);
                }
            }
        }
        self.note_spare();
        Ok(())
    }

    /// Marks that must have been read by now: one a block, and one at the end.
    const fn due_marks(&self) -> usize {
        if self.body.len() < self.length {
            self.body.len() / BLOCK_BYTES
        } else {
            self.length.div_ceil(BLOCK_BYTES)
        }
    }

    fn symbol(&mut self) -> Result<Symbol, BmfError> {
        let literal = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
        Ok(match self.bits.take(2)? {
            1 => Symbol::Literal(literal(self.bits.take(7)?) | 0x80),
            2 => Symbol::Literal(literal(self.bits.take(7)?)),
            0 => Symbol::Copy(self.bits.take(6)?),
            _ => match self.bits.take(1)? {
                0 => Symbol::Copy(self.bits.take(8)? + 64),
                _ => Symbol::Copy(self.bits.take(12)? + 320),
            },
        })
    }

    /// k zero bits, a one, and k bits b: 2^k + 1 + b.
    fn copy_length(&mut self) -> Result<usize, BmfError> {
        let at = self.bits.offset();
        let mut width = 0;
        while self.bits.take(1)? == 0 {
            width += 1;
            if width > MAX_LENGTH_BITS {
                return Err(BmfError::container(at, BmfFault::Copy));
            }
        }
        Ok((1 << width) + 1 + self.bits.take(width)?)
    }

    /// Copies bytes that were written before; those that the copy itself writes may be among them.
    fn copy(&mut self, start: usize, length: usize, at: usize) {
        if self.body.len() % BLOCK_BYTES + length > BLOCK_BYTES {
            self.note(at, BmfRemark::Crossing);
        }
        let end = start.saturating_add(length);
        if end <= self.body.len() {
            return self.body.extend_from_within(start..end);
        }
        for from in start..end {
            let byte = self.body.get(from).copied().unwrap_or_default();
            self.body.push(byte);
        }
    }

    fn note_spare(&mut self) {
        let (at, end) = (self.bits.at.div_ceil(8), self.bits.bytes.len());
        // The encoder writes words of 16 bits.
        if at.saturating_add(2) < end {
            self.note(self.bits.base.saturating_add(at), BmfRemark::Spare);
        }
    }

    /// One note of a kind is enough: a hostile file has any number of reasons for one.
    fn note(&mut self, offset: usize, remark: BmfRemark) {
        if self.notes.iter().all(|note| note.remark != remark) {
            self.notes.push(BmfNote {
                place: BmfPlace::Container,
                offset,
                remark,
            });
        }
    }
}

/// Bits of bytes, the least significant first.
struct Bits<'b> {
    bytes: &'b [u8],
    /// Bits that were read.
    at: usize,
    /// Offset of the first byte in the container.
    base: usize,
}

impl Bits<'_> {
    /// Offset of the next bit's byte in the container.
    const fn offset(&self) -> usize {
        let (at, end) = (self.at / 8, self.bytes.len());
        self.base.saturating_add(if at < end { at } else { end })
    }

    /// Reads a number of up to 16 bits.
    fn take(&mut self, width: u32) -> Result<usize, BmfError> {
        let end = self.at.saturating_add(widen(width));
        if end
            > self
                .bytes
                .len()
                .saturating_mul(8)
                .saturating_add(SPARE_BITS)
        {
            return Err(BmfError::container(self.offset(), BmfFault::CutOff));
        }

        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(word) => u32::from_le_bytes(*word),
            None => {
                let mut word = [0; 4];
                word.iter_mut()
                    .zip(rest)
                    .for_each(|(byte, value)| *byte = *value);
                u32::from_le_bytes(word)
            }
        };
        let value = (word >> (self.at % 8)) & ((1 << width) - 1);
        self.at = end;
        Ok(widen(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first bytes of the worked example of `docs::format`.
    #[test]
    fn literals_and_copies_are_read_bit_by_bit() {
        let stream = [
            0x1A, 0x7D, 0xDA, 0x54, 0x18, 0xCF, 0x81, 0x00, 0x01, 0x06, 0x18, 0x42, 0x20,
        ];
        let bits = Bits {
            bytes: &stream,
            at: 0,
            base: 0,
        };
        let (body, notes) = (Vec::new(), Vec::new());
        let mut unpacker = Unpacker {
            bits,
            body,
            length: 4096,
            marks: 0,
            notes,
        };
        // It ends in the middle of the block.
        assert_eq!(unpacker.run().unwrap_err().fault, BmfFault::CutOff);
        let expected = [*b"FOMB", 0x3BC_u32.to_le_bytes(), [1, 0, 0, 0]].concat();
        assert_eq!(unpacker.body.get(..12), Some(&expected[..]));
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        let fault = |bits: &[u8]| {
            let bytes = [&SIGNATURE[..], bits].concat();
            unpack(&bytes, 4, 16)
                .map(|unpacked| unpacked.used)
                .unwrap_err()
                .fault
        };
        assert_eq!(
            unpack(b"XX", 4, 16)
                .map(|unpacked| unpacked.used)
                .unwrap_err()
                .fault,
            BmfFault::Compression
        );
        assert_eq!(fault(&[]), BmfFault::CutOff);
        // A copy of distance 0, one beyond the beginning, and a mark before the end of the block.
        assert_eq!(fault(&[0x00, 0xFF]), BmfFault::Copy);
        assert_eq!(fault(&[0x04, 0xFF]), BmfFault::Copy);
        assert_eq!(fault(&[0xFF, 0xFF]), BmfFault::Mark);
        // Nine zeros where the length stands.
        assert_eq!(fault(&[0x02, 0x08, 0x00, 0x00]), BmfFault::Copy);
    }
}

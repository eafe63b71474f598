//! The bytes of a file, in shared sectors. Copying an image copies pointers, and changing a copy
//! leaves the original unchanged.

use std::io;
use std::iter;
use std::ops::Range;
use std::sync::Arc;

/// Size of the unit that a disk writes atomically, in bytes. A torn write is cut within such a
/// unit.
pub(super) const SECTOR: usize = 512;

/// The longest file, in bytes: enough for tests, and far from exhausting the memory.
const MAX_LEN: usize = 1 << 30;

pub(super) type Sector = [u8; SECTOR];

/// A part of one sector.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    sector: usize,
    start: usize,
    end: usize,
}

impl Piece {
    /// Offset of the piece in the file.
    pub(super) fn offset(self) -> usize {
        self.sector * SECTOR + self.start
    }

    pub(super) fn len(self) -> usize {
        self.end - self.start
    }

    fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// The two halves of the piece.
    pub(super) fn halves(self) -> (Piece, Piece) {
        let middle = self.start + self.len() / 2;
        (
            Piece {
                end: middle,
                ..self
            },
            Piece {
                start: middle,
                ..self
            },
        )
    }

    /// The part of the piece before the end of a file; may be empty.
    fn clip(self, len: usize) -> Piece {
        let end = len
            .saturating_sub(self.sector * SECTOR)
            .clamp(self.start, self.end);
        Piece { end, ..self }
    }
}

/// The pieces that `count` bytes from `offset` fall into, in order.
pub(super) fn pieces(offset: usize, count: usize) -> impl Iterator<Item = Piece> {
    let end = offset + count;
    let mut at = offset;
    iter::from_fn(move || {
        let (sector, start) = (at / SECTOR, at % SECTOR);
        let piece = Piece {
            sector,
            start,
            end: SECTOR.min(end - sector * SECTOR),
        };
        at += piece.len();
        (piece.start < piece.end).then_some(piece)
    })
}

/// Cuts bytes that are written at `offset` into one piece for each sector.
pub(super) fn cut(offset: usize, bytes: &[u8]) -> Vec<(Piece, Arc<Sector>)> {
    let mut rest = bytes;
    let cut = |piece: Piece| {
        let (part, after) = rest.split_at(piece.len());
        rest = after;
        let mut sector = [0; SECTOR];
        copy(sector.get_mut(piece.range()), Some(part));
        (piece, Arc::new(sector))
    };
    pieces(offset, bytes.len()).map(cut).collect()
}

/// The offset as an index, if a file can have a byte there.
pub(super) fn bounded(offset: u64, count: usize) -> io::Result<usize> {
    match usize::try_from(offset) {
        Ok(offset) if offset <= MAX_LEN && count <= MAX_LEN - offset => Ok(offset),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    }
}

/// A file. Sectors that were never written are absent and read as zeros, as do the bytes after the
/// end in the last sector.
#[derive(Clone, Default)]
pub(super) struct Image {
    len: usize,
    sectors: Arc<Vec<Option<Arc<Sector>>>>,
}

impl Image {
    /// A file with the given content.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut image = Self::default();
        image.set_len(bytes.len());
        for (piece, sector) in cut(0, bytes) {
            image.put(piece, &sector);
        }
        image
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read(0, &mut bytes);
        bytes
    }

    /// Fills the beginning of `buf`. Returns how many bytes the file has there.
    pub(super) fn read(&self, offset: usize, buf: &mut [u8]) -> usize {
        let count = self.len.saturating_sub(offset).min(buf.len());
        let (mut rest, _) = buf.split_at_mut(count);
        for piece in pieces(offset, count) {
            let (target, after) = rest.split_at_mut(piece.len());
            match self.sectors.get(piece.sector) {
                Some(Some(sector)) => copy(Some(target), sector.get(piece.range())),
                _ => target.fill(0),
            }
            rest = after;
        }
        count
    }

    /// Replaces a piece by the same piece of `source`, up to the end of the file.
    pub(super) fn put(&mut self, piece: Piece, source: &Arc<Sector>) {
        let piece = piece.clip(self.len);
        if piece.len() == 0 {
            return;
        }
        let sectors = Arc::make_mut(&mut self.sectors);
        if sectors.len() <= piece.sector {
            sectors.resize(piece.sector + 1, None);
        }
        let Some(slot) = sectors.get_mut(piece.sector) else {
            return;
        };
        if piece.len() == SECTOR {
            *slot = Some(source.clone());
        } else {
            let sector = Arc::make_mut(slot.get_or_insert_with(|| Arc::new([0; SECTOR])));
            copy(sector.get_mut(piece.range()), source.get(piece.range()));
        }
    }

    /// Fills a range with one byte, up to the end of the file.
    pub(super) fn fill(&mut self, range: Range<usize>, byte: u8) {
        let sector = Arc::new([byte; SECTOR]);
        for piece in pieces(range.start, range.len()) {
            self.put(piece, &sector);
        }
    }

    /// Truncates or extends the file. Bytes after the new end are forgotten at once.
    pub(super) fn set_len(&mut self, len: usize) {
        let old = std::mem::replace(&mut self.len, len);
        if len >= old || self.sectors.is_empty() {
            return;
        }
        let (whole, tail) = (len / SECTOR, len % SECTOR);
        let sectors = Arc::make_mut(&mut self.sectors);
        sectors.truncate(len.div_ceil(SECTOR));
        if let Some(Some(sector)) = sectors.get_mut(whole)
            && let Some(behind) = Arc::make_mut(sector).get_mut(tail..)
        {
            behind.fill(0);
        }
    }
}

/// Copies a slice onto one of the same length. Both exist for pieces made by [`pieces`].
fn copy(target: Option<&mut [u8]>, source: Option<&[u8]>) {
    if let (Some(target), Some(source)) = (target, source) {
        target.copy_from_slice(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_range_once_and_stay_in_their_sector() {
        for (offset, count) in [
            (0, 0),
            (0, 512),
            (1, 511),
            (511, 2),
            (100, 1500),
            (512, 1024),
        ] {
            let mut at = offset;
            for piece in pieces(offset, count) {
                assert_eq!(piece.offset(), at);
                assert!(piece.len() > 0 && piece.end <= SECTOR);
                at += piece.len();
            }
            assert_eq!(at, offset + count);
        }
    }

    #[test]
    fn bytes_behind_a_cut_do_not_come_back() {
        let mut image = Image::new(&[7; 1500]);
        let before = image.clone();
        image.set_len(600);
        image.set_len(1500);
        assert_eq!(image.bytes(), [vec![7; 600], vec![0; 900]].concat());
        assert_eq!(before.bytes(), [7; 1500]);
    }

    #[test]
    fn a_piece_behind_the_end_is_lost() {
        let mut image = Image::new(&[1; 700]);
        for (piece, sector) in cut(600, &[2; 600]) {
            image.put(piece, &sector);
        }
        assert_eq!(image.bytes(), [vec![1; 600], vec![2; 100]].concat());
    }
}

//! Buffers for the bytes of a chunk.

use parking_lot::Mutex;

/// Largest number of spare buffers.
const MAX_SPARE: usize = 64;

/// Largest buffer that is kept, in bytes. Those of chunks of pages are smaller, and others are used
/// only once.
const MAX_SPARE_BYTES: usize = 1 << 20;

/// Used buffers that wait to be filled again. The system would have to clear new ones first.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Vec<Frame>>);

impl Spare {
    pub(crate) fn take(&self) -> Frame {
        self.0.lock().pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, buffer: Frame) {
        let mut spare = self.0.lock();
        if spare.len() < MAX_SPARE && buffer.bytes.len() <= MAX_SPARE_BYTES {
            spare.push(buffer);
        }
    }
}

/// A buffer whose first bytes are filled. It is reused and never becomes shorter, because a vector
/// that is shortened and lengthened is cleared each time.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
    filled: usize,
}

impl Frame {
    /// Empties the buffer and makes room for this many bytes.
    pub(crate) fn clear(&mut self, room: usize) {
        if self.bytes.len() < room {
            self.bytes.resize(room, 0);
        }
        self.filled = 0;
    }

    /// Number of bytes that there is room for, filled or not.
    pub(crate) const fn room(&self) -> usize {
        self.bytes.len()
    }

    /// The filled bytes.
    pub(crate) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// The filled bytes, and the room after them.
    pub(crate) fn split(&mut self) -> (&mut [u8], &mut [u8]) {
        self.bytes.split_at_mut(self.filled)
    }

    /// Counts `count` more bytes as filled.
    pub(crate) fn fill(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.bytes.len());
    }

    /// Keeps only the first bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.filled = self.filled.min(len);
    }

    /// Appends bytes, extending the room if needed.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if let Some(room) = self.bytes.get_mut(self.filled..end) {
            room.copy_from_slice(bytes);
        }
        self.filled = end;
    }
}

//! The bytes of a chunk on their way out or in.

use parking_lot::Mutex;

/// Buffers that wait to be filled again, at most.
const MAX_SPARE: usize = 64;

/// Larger ones are not kept, in bytes: those of chunks of pages are smaller, and the others come
/// once.
const MAX_SPARE_BYTES: usize = 1 << 20;

/// Buffers that are done with and wait to be filled again: new ones would have to be cleared by the
/// system first.
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

/// A buffer of which the first bytes are filled. It is used again and again and never becomes
/// shorter, because a vector that is shortened and lengthened is cleared each time.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
    filled: usize,
}

impl Frame {
    /// Makes room for so many bytes; nothing is filled then.
    pub(crate) fn clear(&mut self, room: usize) {
        if self.bytes.len() < room {
            self.bytes.resize(room, 0);
        }
        self.filled = 0;
    }

    /// Bytes there is room for, filled or not.
    pub(crate) const fn room(&self) -> usize {
        self.bytes.len()
    }

    /// What is filled.
    pub(crate) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// What is filled, and the room behind it.
    pub(crate) fn split(&mut self) -> (&mut [u8], &mut [u8]) {
        self.bytes.split_at_mut(self.filled)
    }

    /// Counts bytes of the room as filled.
    pub(crate) fn fill(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.bytes.len());
    }

    /// Keeps the first bytes alone.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.filled = self.filled.min(len);
    }

    /// Appends bytes; room is made for what has none.
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

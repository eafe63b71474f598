//! Compression of chunks.
//!
//! The codec is LZ4 blocks. Of the codecs without C or unsafe code that were measured on real
//! repositories (`benches/codec.rs`), it is the one with which a backup takes little longer than a
//! plain copy. `docs::backup` has the table.

use std::ops::Deref;
use std::sync::Arc;

use crate::format::own::backup_file::ChunkHeader;

use super::frame::{Frame, Spare};

/// Compression of the chunks of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// No compression.
    None,
    /// LZ4 blocks.
    #[default]
    Lz4,
}

/// The unpacked content of a chunk: the bytes after its header, which stays in front if the chunk
/// was never packed. Its buffer returns to the pool from which it was taken.
#[derive(Debug)]
pub(crate) struct Payload {
    frame: Frame,
    start: usize,
    home: Arc<Spare>,
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.frame.filled().get(self.start..).unwrap_or_default()
    }
}

impl Payload {
    /// Size of its memory, in bytes.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.frame.room()
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.home.give(std::mem::take(&mut self.frame));
    }
}

const STORED: u8 = 0;
const LZ4: u8 = 1;

/// Compresses the bytes of `frame` after `start`, if that makes them smaller. Returns the number of
/// the codec. The content of `scratch` is irrelevant before and after.
pub(crate) fn pack(
    frame: &mut Frame,
    scratch: &mut Frame,
    start: usize,
    compression: Compression,
) -> u8 {
    let raw = frame.filled().get(start..).unwrap_or_default();
    if compression == Compression::Lz4 && !raw.is_empty() {
        scratch.clear(lz4_flex::block::get_maximum_output_size(raw.len()));
        let (_, room) = scratch.split();
        if let Ok(len) = lz4_flex::block::compress_into(raw, room)
            && len < raw.len()
        {
            scratch.fill(len);
            frame.truncate(start);
            frame.extend(scratch.filled());
            return LZ4;
        }
    }
    STORED
}

/// Reverses [`pack`] for the filled part of `framed` after `start`. Returns `None` if the result is
/// not what the header states. The output never exceeds the length in the header, which the caller
/// has bounded.
pub(crate) fn unpack(
    header: &ChunkHeader,
    framed: Frame,
    start: usize,
    spare: &Arc<Spare>,
) -> Option<Payload> {
    let raw_len = usize::try_from(header.raw_len()).ok()?;
    let packed = Payload {
        frame: framed,
        start,
        home: spare.clone(),
    };
    match header.codec {
        STORED => (packed.len() == raw_len).then_some(packed),
        LZ4 => {
            let mut frame = spare.take();
            frame.clear(raw_len);
            let len =
                lz4_flex::block::decompress_into(&packed, frame.split().1.get_mut(..raw_len)?)
                    .ok()?;
            frame.fill(len);
            (len == raw_len).then_some(Payload {
                frame,
                start: 0,
                home: spare.clone(),
            })
        }
        _ => None,
    }
}

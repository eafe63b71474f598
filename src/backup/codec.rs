//! Compression of chunks.
//!
//! LZ4 blocks: of the codecs without C or unsafe code measured on real repositories
//! (`benches/codec.rs`) the one with which a backup stays near the time of a plain copy;
//! `docs::backup` has the table.

use std::ops::Deref;
use std::sync::Arc;

use crate::format::own::backup_file::ChunkHeader;

use super::frame::{Frame, Spare};

/// How the chunks of a backup are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4 blocks.
    #[default]
    Lz4,
}

/// What a chunk holds, unpacked: the bytes behind its header, which stays in front of what was
/// never packed. Its buffer goes back to where it was taken from.
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
    /// Bytes of memory that it takes.
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

/// Compresses what `frame` has behind `start`, if that makes it smaller; gives the number of the
/// codec. What stands in `scratch` before and after has no meaning.
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

/// Undoes [`pack`] for what is filled of `framed` behind `start`; `None` when it is not what the
/// header says. Never makes more than the header's length, which the caller has bounded.
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

//! Compression of chunks.
//!
//! LZ4 blocks: of the codecs without C or unsafe code measured on real repositories (`benches/codec.rs`) the one with which a
//! backup stays near the time of a plain copy; `docs::backup` has the table.

use crate::format::backup_file::ChunkHeader;

/// How the chunks of a backup are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4 blocks.
    #[default]
    Lz4,
}

const STORED: u8 = 0;
const LZ4: u8 = 1;

/// Compresses the bytes of `framed` behind `start`, if that makes them smaller; gives the number of the codec.
pub(crate) fn pack(framed: &mut Vec<u8>, start: usize, compression: Compression) -> u8 {
    let raw = framed.get(start..).unwrap_or_default();
    if compression == Compression::Lz4 && !raw.is_empty() {
        let mut packed = vec![0; start + lz4_flex::block::get_maximum_output_size(raw.len())];
        let target = packed.get_mut(start..).unwrap_or_default();
        if let Ok(len) = lz4_flex::block::compress_into(raw, target)
            && len < raw.len()
        {
            packed.truncate(start + len);
            *framed = packed;
            return LZ4;
        }
    }
    STORED
}

/// Undoes [`pack`]; `None` when the bytes are not what the header says. Never makes more than the header's length, which
/// the caller has bounded.
pub(crate) fn unpack(header: &ChunkHeader, stored: Vec<u8>) -> Option<Vec<u8>> {
    let raw_len = usize::try_from(header.raw_len()).ok()?;
    match header.codec {
        STORED => (stored.len() == raw_len).then_some(stored),
        LZ4 => {
            let mut raw = vec![0; raw_len];
            let len = lz4_flex::block::decompress_into(&stored, &mut raw).ok()?;
            (len == raw_len).then_some(raw)
        }
        _ => None,
    }
}

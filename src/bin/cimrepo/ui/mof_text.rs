//! Encoding of exported MOF: UTF-8, or UTF-16 for compilers that require it for text beyond ASCII.

use clap::ValueEnum;

use super::output::{Failure, Output};

/// Size of the text that is held back until it is known whether it needs a byte order mark. Longer
/// text goes without a mark, as every reader of UTF-8 without a mark accepts it.
const KEPT_BYTES: usize = 16 << 20;

/// The encoding of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// UTF-8, with a byte order mark unless the text is pure ASCII
    #[value(name = "utf-8")]
    Utf8,
    /// UTF-16, little-endian, with a byte order mark
    #[value(name = "utf-16")]
    Utf16,
}

/// Text that is kept back, in pieces: one text of that size would be in memory twice while it grows.
#[derive(Default)]
struct Kept {
    pieces: Vec<String>,
    bytes: usize,
}

/// Bytes of a piece of kept text.
const PIECE: usize = 64 << 10;

impl Kept {
    /// Keeps whole lines.
    fn push(&mut self, text: &str) {
        self.bytes += text.len();
        match self.pieces.last_mut() {
            Some(last) if last.len() + text.len() <= PIECE => last.push_str(text),
            _ => {
                let mut piece = String::with_capacity(PIECE.max(text.len()));
                piece.push_str(text);
                self.pieces.push(piece);
            }
        }
    }
}

/// Writes MOF to the output.
pub struct MofText {
    encoding: Encoding,
    /// The text held back while the mark is undecided.
    kept: Option<Kept>,
}

impl MofText {
    pub fn new(encoding: Encoding, output: &mut Output) -> Result<Self, Failure> {
        if encoding == Encoding::Utf16 {
            write_wide("\u{feff}", output)?;
            return Ok(Self {
                encoding,
                kept: None,
            });
        }
        // A terminal would show the mark.
        let kept = (!output.is_terminal()).then(Kept::default);
        Ok(Self { encoding, kept })
    }

    pub fn write(&mut self, text: &str, output: &mut Output) -> Result<(), Failure> {
        if self.encoding == Encoding::Utf16 {
            return write_wide(text, output);
        }
        let Some(kept) = &mut self.kept else {
            return output.text(text);
        };
        kept.push(text);
        if !text.is_ascii() {
            output.bytes("\u{feff}".as_bytes())?;
            return self.finish(output);
        }
        if kept.bytes > KEPT_BYTES {
            self.finish(output)
        } else {
            Ok(())
        }
    }

    /// Writes the text that was held back.
    pub fn finish(&mut self, output: &mut Output) -> Result<(), Failure> {
        let kept = self.kept.take().unwrap_or_default();
        for piece in kept.pieces {
            output.text(&piece)?;
        }
        Ok(())
    }
}

fn write_wide(text: &str, output: &mut Output) -> Result<(), Failure> {
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    output.bytes(&units)
}

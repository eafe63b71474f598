//! Bytes of a MOF file to characters. Which encodings Windows reads: WMI SDK, "mofcomp"; the others
//! are this engine's choice.

use std::borrow::Cow;

use super::code;
use crate::base::limits::MAX_MOF_BYTES;
use crate::text::diagnostic::{Diagnostic, Place, Severity, SourceId};
use crate::text::span::Span;

/// The encoding of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// UTF-8, plain ASCII too.
    Utf8,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// Windows-1252.
    Windows1252,
}

/// The text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'b> {
    /// The text, without byte order mark and without the NUL and 1A characters at its end.
    pub text: Cow<'b, str>,
    /// The encoding that it was read in.
    pub encoding: Encoding,
    /// Guesses and replacements made.
    pub diagnostics: Vec<Diagnostic>,
}

/// The first bytes of binary MOF.
pub const BINARY_MARK: [u8; 4] = *b"FOMB";

/// Units that are looked at to recognise UTF-16 without a mark.
const PROBED_UNITS: usize = 64;

/// Reads the bytes of a file as text.
///
/// # Errors
/// A diagnostic `INVALID_FILE` when the file is longer than [`MAX_MOF_BYTES`] or is binary MOF.
pub fn decode(bytes: &[u8], source: SourceId) -> Result<Decoded<'_>, Box<Diagnostic>> {
    let refused = |message: String| {
        let place = Place::new(source, Span::at(0));
        Err(Box::new(Diagnostic::error(
            code::INVALID_FILE,
            place,
            message,
        )))
    };
    if bytes.len() > MAX_MOF_BYTES {
        return refused(format!(
            "the file has {} bytes, more than {MAX_MOF_BYTES}",
            bytes.len()
        ));
    }
    let mut decoded = match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, Encoding::Utf16Le, source),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, Encoding::Utf16Be, source),
        [0xEF, 0xBB, 0xBF, rest @ ..] => bytewise(rest, source),
        _ if bytes.starts_with(&BINARY_MARK) => {
            return refused("the file is binary MOF, not text".to_owned());
        }
        _ => match unmarked_utf16(bytes) {
            Some(encoding) => {
                let mut decoded = utf16(bytes, encoding, source);
                let text = "the file has no byte order mark and is read as UTF-16";
                decoded.diagnostics.push(note(source, Span::at(0), text));
                decoded
            }
            None => bytewise(bytes, source),
        },
    };
    trim_end(&mut decoded.text);
    Ok(decoded)
}

/// A warning of this module.
fn note(source: SourceId, span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(
        Severity::Warning,
        code::INVALID_FILE,
        Some(Place::new(source, span)),
        message,
    )
}

/// Takes NUL and 1A away from the end.
fn trim_end(text: &mut Cow<'_, str>) {
    let length = text.trim_end_matches(['\0', '\u{1a}']).len();
    match text {
        Cow::Borrowed(text) => *text = text.get(..length).unwrap_or_default(),
        Cow::Owned(text) => text.truncate(length),
    }
}

/// Recognises UTF-16 by its zero bytes: every second one of the first [`PROBED_UNITS`] units.
fn unmarked_utf16(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < 4 || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let units = || bytes.chunks_exact(2).take(PROBED_UNITS);
    let has_zero = |index: usize| units().all(|unit| unit.get(index) == Some(&0));
    match (has_zero(0), has_zero(1)) {
        (false, true) => Some(Encoding::Utf16Le),
        (true, false) => Some(Encoding::Utf16Be),
        _ => None,
    }
}

fn utf16(bytes: &[u8], encoding: Encoding, source: SourceId) -> Decoded<'static> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| match encoding {
        Encoding::Utf16Be => u16::from_be_bytes(*pair),
        _ => u16::from_le_bytes(*pair),
    };
    // Most files are ASCII; the rest grows the text once or twice.
    let mut text = String::with_capacity(pairs.len());
    let mut diagnostics = Vec::new();
    let mut lone = 0usize;
    for character in char::decode_utf16(pairs.iter().map(unit)) {
        let at = crate::base::narrow(text.len());
        text.push(character.unwrap_or_else(|_| {
            lone = lone.saturating_add(1);
            if lone == 1 {
                let message = "half a surrogate pair is no character; U+FFFD stands for it";
                diagnostics.push(note(source, Span::new(at, at.saturating_add(3)), message));
            }
            char::REPLACEMENT_CHARACTER
        }));
    }
    if !odd.is_empty() {
        let end = Span::at(crate::base::narrow(text.len()));
        diagnostics.push(note(source, end, "the file ends in half a UTF-16 unit"));
    }
    Decoded {
        text: Cow::Owned(text),
        encoding,
        diagnostics,
    }
}

/// UTF-8, or Windows-1252 where it is none.
fn bytewise(bytes: &[u8], source: SourceId) -> Decoded<'_> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => {
            let (text, encoding) = (Cow::Borrowed(text), Encoding::Utf8);
            return Decoded {
                text,
                encoding,
                diagnostics: Vec::new(),
            };
        }
        Err(error) => error,
    };
    let first = error.valid_up_to();
    let byte = bytes.get(first).copied().unwrap_or_default();
    let text: String = bytes.iter().map(|&byte| windows_1252(byte)).collect();
    // All before the first byte beyond ASCII has the same offset in both; characters before it may
    // be longer now.
    let before: usize = bytes
        .get(..first)
        .unwrap_or_default()
        .iter()
        .map(|&byte| windows_1252(byte).len_utf8())
        .sum();
    let at = crate::base::narrow(before);
    let width = crate::base::narrow(windows_1252(byte).len_utf8());
    let message = format!(
        "the byte {byte:02X} at offset {first} is no UTF-8; the file is read as Windows-1252"
    );
    let diagnostics = vec![note(
        source,
        Span::new(at, at.saturating_add(width)),
        message,
    )];
    Decoded {
        text: Cow::Owned(text),
        encoding: Encoding::Windows1252,
        diagnostics,
    }
}

/// Windows-1252 where it differs from Latin-1: 80 to 9F. The five bytes without a character stay
/// controls, as on Windows.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn windows_1252(byte: u8) -> char {
    let high = byte
        .checked_sub(0x80)
        .and_then(|index| HIGH.get(usize::from(index)));
    high.copied().unwrap_or_else(|| char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> (String, Encoding, usize) {
        let decoded = decode(bytes, SourceId(0)).unwrap();
        (
            decoded.text.into_owned(),
            decoded.encoding,
            decoded.diagnostics.len(),
        )
    }

    fn units(text: &str, unit: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn every_encoding_is_recognised() {
        let text = "class A {}; // é€𝄞";
        let (le, be) = (units(text, u16::to_le_bytes), units(text, u16::to_be_bytes));
        let marked = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        let told = |bytes: &[u8]| decoded(bytes);
        assert_eq!(
            told(&marked(&[0xFF, 0xFE], &le)),
            (text.into(), Encoding::Utf16Le, 0)
        );
        assert_eq!(
            told(&marked(&[0xFE, 0xFF], &be)),
            (text.into(), Encoding::Utf16Be, 0)
        );
        assert_eq!(
            told(&marked(&[0xEF, 0xBB, 0xBF], text.as_bytes())),
            (text.into(), Encoding::Utf8, 0)
        );
        assert_eq!(told(text.as_bytes()), (text.into(), Encoding::Utf8, 0));
        let plain = "class A {};";
        assert_eq!(
            told(&units(plain, u16::to_le_bytes)),
            (plain.into(), Encoding::Utf16Le, 1)
        );
        assert_eq!(
            told(&units(plain, u16::to_be_bytes)),
            (plain.into(), Encoding::Utf16Be, 1)
        );
        assert_eq!(
            told(b"// \xA9 \x80 \x81"),
            ("// © € \u{81}".into(), Encoding::Windows1252, 1)
        );
        assert_eq!(told(b""), (String::new(), Encoding::Utf8, 0));
    }

    #[test]
    fn ends_and_halves_are_mended() {
        assert_eq!(
            decoded(b"class\0\x1a\0"),
            ("class".into(), Encoding::Utf8, 0)
        );
        assert_eq!(
            decoded(b"\xFF\xFEa\0\x00\xD8b\0c"),
            ("a\u{FFFD}b".into(), Encoding::Utf16Le, 2)
        );
        let binary = decode(b"FOMB\x01\0\0\0", SourceId(0)).unwrap_err();
        assert_eq!(binary.code, code::INVALID_FILE);
    }

    #[test]
    fn the_first_foreign_byte_is_named() {
        let decoded = decode(
            "é "
                .as_bytes()
                .iter()
                .chain(b"\xE9")
                .copied()
                .collect::<Vec<u8>>()
                .as_slice(),
            SourceId(0),
        )
        .map(|decoded| (decoded.text.into_owned(), decoded.diagnostics));
        let (text, diagnostics) = decoded.unwrap();
        assert_eq!(text, "Ã© é");
        assert!(
            diagnostics[0].message.contains("the byte E9 at offset 3"),
            "{diagnostics:?}"
        );
        assert_eq!(diagnostics[0].place.unwrap().span.of(&text), "é");
    }
}

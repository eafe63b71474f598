//! Encoded strings, and the dictionary of names.
//!
//! ```text
//! 0  u8   0: one byte a character, U+0000 to U+00FF; 1: UTF-16LE
//! 1  …    the text
//!    …    its end: one zero byte, or two
//! ```
//!
//! The long form is used only if a character is above U+00FF. If bit 31 of a reference to the name
//! of a qualifier or property is set, it is not an offset in a heap but a number in the dictionary.
//! A name that is in the dictionary, ignoring case, is always stored in this way. Source:
//! `docs::objects`, "Strings".

use std::fmt;
use std::sync::LazyLock;

use super::reader::utf16_units;
use crate::cim::name::{self, Name};

/// Bit 31 of a reference, which marks a number in the dictionary.
pub(crate) const DICTIONARY_BIT: u32 = 0x8000_0000;

/// The reference that leads nowhere: NULL.
pub(crate) const NO_REFERENCE: u32 = u32::MAX;

const DICTIONARY: [&str; 11] = [
    "\"", "key", "NADA", "read", "write", "volatile", "provider", "dynamic", "cimwin32", "DWORD",
    "CIMTYPE",
];

/// The word of the dictionary that a reference denotes.
pub(crate) fn dictionary_word(reference: u32) -> Option<&'static str> {
    let number = usize::try_from(reference ^ DICTIONARY_BIT).ok()?;
    DICTIONARY.get(number).copied()
}

/// The word of the dictionary that a reference denotes, as a name. All uses share one allocation.
pub(crate) fn dictionary_name(reference: u32) -> Option<Name> {
    static NAMES: LazyLock<[Name; DICTIONARY.len()]> = LazyLock::new(|| DICTIONARY.map(Name::from));
    NAMES
        .get(usize::try_from(reference ^ DICTIONARY_BIT).ok()?)
        .cloned()
}

/// The reference to a name that is in the dictionary.
pub(crate) fn dictionary_reference(text: &str) -> Option<u32> {
    let position = DICTIONARY
        .iter()
        .zip(0u32..)
        .find(|(word, _)| name::same(word, text));
    position.map(|(_, number)| number | DICTIONARY_BIT)
}

/// A string in its encoded form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TextView<'b> {
    wide: bool,
    text: &'b [u8],
}

impl<'b> TextView<'b> {
    /// A word of the dictionary.
    pub(crate) const fn word(word: &'static str) -> TextView<'static> {
        TextView {
            wide: false,
            text: word.as_bytes(),
        }
    }

    /// Parses the string at the front of `bytes`.
    pub(crate) fn parse(bytes: &'b [u8]) -> Option<Self> {
        let (flag, rest) = bytes.split_first()?;
        match flag {
            0 => Some(Self {
                wide: false,
                text: rest.get(..memchr::memchr(0, rest)?)?,
            }),
            1 => {
                let units = rest.as_chunks::<2>().0;
                let length = units.iter().position(|unit| *unit == [0, 0])?;
                Some(Self {
                    wide: true,
                    text: rest.get(..length * 2)?,
                })
            }
            _ => None,
        }
    }

    /// Its size with flag and terminator, in bytes.
    pub(crate) const fn size(&self) -> usize {
        self.text.len() + if self.wide { 3 } else { 2 }
    }

    /// Upper bound on the size of its text in memory, in bytes.
    pub(crate) const fn memory(&self) -> usize {
        // A character above U+007F takes two bytes, a UTF-16 unit up to three.
        if self.wide {
            self.text.len() / 2 * 3
        } else {
            self.text.len() * 2
        }
    }

    /// Its characters, with U+FFFD for an unpaired surrogate.
    pub fn chars(&self) -> impl Iterator<Item = char> + 'b {
        let (narrow, wide) = if self.wide {
            (&[][..], self.text)
        } else {
            (self.text, &[][..])
        };
        let wide =
            char::decode_utf16(utf16_units(wide)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
        narrow.iter().map(|&byte| char::from(byte)).chain(wide)
    }

    /// The text if it is plain ASCII, without copying it.
    pub fn as_ascii(&self) -> Option<&'b str> {
        if self.wide || !self.text.is_ascii() {
            None
        } else {
            str::from_utf8(self.text).ok()
        }
    }

    /// True if it equals this name, ignoring case.
    pub fn is(&self, other: &str) -> bool {
        match self.as_ascii() {
            Some(text) => name::same(text, other),
            None => name::same(&self.to_text(), other),
        }
    }

    /// The text, with U+FFFD for an unpaired surrogate.
    pub fn to_text(&self) -> String {
        self.as_ascii()
            .map_or_else(|| self.chars().collect(), str::to_owned)
    }
}

impl From<TextView<'_>> for Name {
    fn from(text: TextView<'_>) -> Self {
        match text.as_ascii() {
            Some(text) => frequent_name(text).unwrap_or_else(|| Name::from(text)),
            None => text.to_text().into(),
        }
    }
}

/// Names that classes use again and again. All uses share one allocation: a repository has a
/// hundred thousand qualifiers.
const FREQUENT: [&str; 31] = [
    "abstract",
    "Amendment",
    "Association",
    "Bitmap",
    "BitValues",
    "Description",
    "DisplayName",
    "ID",
    "Implemented",
    "in",
    "InParams",
    "Locale",
    "MappingStrings",
    "Max",
    "MaxLen",
    "Min",
    "ModelCorrespondence",
    "Optional",
    "out",
    "Override",
    "Privileges",
    "PropertyContext",
    "Required",
    "ReturnValue",
    "Static",
    "Units",
    "UUID",
    "ValueMap",
    "Values",
    "WmiDataId",
    "__PARAMETERS",
];

const SLOTS: usize = 256;

fn frequent_name(text: &str) -> Option<Name> {
    static NAMES: LazyLock<[Option<Name>; SLOTS]> = LazyLock::new(|| {
        let mut slots = [const { None }; SLOTS];
        for word in FREQUENT {
            if let Some(slot) = slot_of(word).and_then(|slot| slots.get_mut(slot)) {
                *slot = Some(Name::from(word));
            }
        }
        slots
    });
    NAMES
        .get(slot_of(text)?)?
        .as_ref()
        .filter(|name| name.as_str() == text)
        .cloned()
}

/// The slot of a name, computed from its length and both ends.
fn slot_of(text: &str) -> Option<usize> {
    let (first, last) = (
        usize::from(*text.as_bytes().first()?),
        usize::from(*text.as_bytes().last()?),
    );
    Some((text.len() + first * 3 + last * 17) % SLOTS)
}

impl fmt::Display for TextView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for TextView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_text(), f)
    }
}

/// Encodes a text.
pub(crate) fn encode_text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 3);
    if text.is_ascii() {
        bytes.push(0);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        return bytes;
    }
    let narrow: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    match narrow {
        Some(narrow) => {
            bytes.push(0);
            bytes.extend(narrow);
            bytes.push(0);
        }
        None => {
            bytes.push(1);
            super::reader::push_utf16(text, &mut bytes);
            bytes.extend([0, 0]);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        for (text, first) in [
            ("", 0),
            ("abc", 0),
            ("é\u{80}", 0),
            ("Ā", 1),
            ("\u{1F600}", 1),
        ] {
            let bytes = encode_text(text);
            assert_eq!(bytes[0], first);
            let view = TextView::parse(&bytes).unwrap();
            assert_eq!((view.to_text().as_str(), view.size()), (text, bytes.len()));
        }
    }

    #[test]
    fn strings_without_end_or_with_another_flag_are_refused() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\0abc",
            b"\x01a",
            b"\x01a\0\0",
            b"\x01a\0b\0\0",
            b"\x02a\0",
        ] {
            assert_eq!(TextView::parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn every_frequent_name_has_its_place() {
        for word in FREQUENT {
            assert_eq!(frequent_name(word).unwrap().as_str(), word);
            assert!(
                frequent_name(&word.to_lowercase())
                    .is_none_or(|name| name.as_str() == word.to_lowercase())
            );
        }
        assert!(frequent_name("").is_none());
    }

    #[test]
    fn words_of_the_dictionary_have_no_case() {
        assert_eq!(dictionary_reference("cimType"), Some(0x8000_000A));
        assert_eq!(dictionary_word(0x8000_0001), Some("key"));
        assert_eq!(dictionary_word(0x8000_000B), None);
        assert_eq!(dictionary_word(1), None);
    }
}

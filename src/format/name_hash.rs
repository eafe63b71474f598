//! The hash of a name in keys and instance records: upper-case hexadecimal digits of the MD5 (2.1)
//! or SHA-256 (2.2) of the upper-case name in UTF-16LE. Source: `docs::objects`, "Hashes".

use std::fmt;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::Dialect;
use super::record::reader::push_utf16;
use crate::cim::name::to_upper;

/// The hash of a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameHash {
    digits: [u8; 64],
    length: u8,
}

impl NameHash {
    /// The hash of a name in this dialect.
    pub fn of(dialect: Dialect, name: &str) -> Self {
        let mut bytes = Vec::with_capacity(2 * name.len());
        if name.is_ascii() {
            bytes.extend(name.bytes().flat_map(|byte| [byte.to_ascii_uppercase(), 0]));
        } else {
            push_utf16(&to_upper(name), &mut bytes);
        }
        match dialect {
            Dialect::V21 => Self::from_digest(&Md5::digest(&bytes)),
            Dialect::V22 => Self::from_digest(&Sha256::digest(&bytes)),
        }
    }

    fn from_digest(digest: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
        let mut hash = Self {
            digits: [0; 64],
            length: 0,
        };
        let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        for (slot, nibble) in hash.digits.iter_mut().zip(nibbles) {
            *slot = digit(nibble);
            hash.length += 1;
        }
        hash
    }

    /// Parses a hash.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
        // Examining all digits is faster than stopping at the first wrong one, because many are
        // examined at once.
        let is_hash = [32, 64].contains(&text.len())
            && text.iter().fold(true, |all, byte| all & is_digit(byte));
        let mut hash = Self {
            digits: [0; 64],
            length: u8::try_from(text.len()).ok()?,
        };
        hash.digits.get_mut(..text.len())?.copy_from_slice(text);
        is_hash.then_some(hash)
    }

    /// Number of digits of the hashes of a dialect.
    pub const fn digits(dialect: Dialect) -> usize {
        match dialect {
            Dialect::V21 => 32,
            Dialect::V22 => 64,
        }
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        let digits = self
            .digits
            .get(..usize::from(self.length))
            .unwrap_or_default();
        str::from_utf8(digits).unwrap_or_default()
    }
}

impl fmt::Display for NameHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NameHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_real_repositories() {
        for (name, old, new) in [
            ("", "D41D8CD98F00B204E9800998ECF8427E", "E3B0C44298FC1C14"),
            (
                "root",
                "C82638BEBD36E6F8E4573C4F475C62BF",
                "E8C4F9926E52E924",
            ),
            (
                "__SystemClass",
                "DBF21B925FFA9E1C6698804D0E53308C",
                "FCBAF5A1255D45B1",
            ),
            (
                r"ROOT\CIMv2",
                "DD73323810DAB2D362482D85928C165A",
                "68577372C66A7B20",
            ),
            ("@", "18BA379108CD7CCC2FA0FD754AD45A25", "EEC4121F2A07B61A"),
        ] {
            assert_eq!(NameHash::of(Dialect::V21, name).as_str(), old);
            let hash = NameHash::of(Dialect::V22, name);
            assert!(
                hash.as_str().len() == 64 && hash.as_str().starts_with(new),
                "{name}"
            );
            assert_eq!(NameHash::parse(hash.as_str().as_bytes()), Some(hash));
        }
        assert_eq!(NameHash::parse(&[b'a'; 32]), None);
        assert_eq!(NameHash::parse(&[b'A'; 33]), None);
    }
}

//! Security identifiers.
//!
//! ```text
//! 0  u8      revision, 1
//! 1  u8      number of sub-authorities, 0 to 15
//! 2  u8[6]   identifier authority, big-endian
//! 8  u32[n]  sub-authorities, little-endian
//! ```
//!
//! Source: [MS-DTYP] 2.4.2; the text form is 2.4.2.1.

use std::fmt;
use std::str::FromStr;

use crate::base::error::Error;
use crate::base::misuse::Misuse;
use crate::format::bytes::Reader;

/// The greatest number of sub-authorities.
pub const MAX_SUB_AUTHORITIES: usize = 15;

/// The length of the longest identifier in bytes.
pub const MAX_SID_BYTES: usize = 8 + 4 * MAX_SUB_AUTHORITIES;

/// Sub-authority of the machine's own groups.
const BUILTIN: u32 = 32;

/// Identifies a user, a group or a service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid {
    authority: [u8; 6],
    count: u8,
    /// Filled with zeros after `count`, so that the derived comparisons are right.
    parts: [u32; MAX_SUB_AUTHORITIES],
}

impl Sid {
    /// Everyone, `S-1-1-0`.
    pub const EVERYONE: Sid = Self::known(1, [0]);
    /// Owner rights, `S-1-3-4`. In a list it stands for the owner and replaces the owner's implicit
    /// rights.
    pub const OWNER_RIGHTS: Sid = Self::known(3, [4]);
    /// Authenticated users, `S-1-5-11`.
    pub const AUTHENTICATED_USERS: Sid = Self::known(5, [11]);
    /// The system, `S-1-5-18`.
    pub const LOCAL_SYSTEM: Sid = Self::known(5, [18]);
    /// `LOCAL SERVICE`, `S-1-5-19`.
    pub const LOCAL_SERVICE: Sid = Self::known(5, [19]);
    /// `NETWORK SERVICE`, `S-1-5-20`.
    pub const NETWORK_SERVICE: Sid = Self::known(5, [20]);
    /// The machine's administrators, `S-1-5-32-544`.
    pub const ADMINISTRATORS: Sid = Self::known(5, [BUILTIN, 544]);
    /// The machine's users, `S-1-5-32-545`.
    pub const USERS: Sid = Self::known(5, [BUILTIN, 545]);

    /// An identifier of an authority with a small number.
    pub(crate) const fn known<const N: usize>(authority: u8, sub_authorities: [u32; N]) -> Self {
        const { assert!(N <= MAX_SUB_AUTHORITIES) };
        let mut parts = [0; MAX_SUB_AUTHORITIES];
        let (target, _) = parts.split_at_mut(N);
        target.copy_from_slice(&sub_authorities);
        #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
        Self {
            authority: [0, 0, 0, 0, 0, authority],
            count: N as u8,
            parts,
        }
    }

    /// The identifier with this authority, of 48 bits, and these sub-authorities; `None` if the
    /// authority has more bits or there are more than [`MAX_SUB_AUTHORITIES`].
    pub fn new(authority: u64, sub_authorities: &[u32]) -> Option<Self> {
        let [0, 0, authority @ ..] = authority.to_be_bytes() else {
            return None;
        };
        let count = u8::try_from(sub_authorities.len()).ok()?;
        let mut parts = [0; MAX_SUB_AUTHORITIES];
        parts
            .get_mut(..sub_authorities.len())?
            .copy_from_slice(sub_authorities);
        Some(Self {
            authority,
            count,
            parts,
        })
    }

    /// Parses the identifier at the front of a byte string, which may be longer; see
    /// [`Sid::byte_len`]. `None` if there is none.
    pub fn parse_prefix(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let [revision, count] = reader.array()?;
        let authority = reader.array()?;
        let mut parts = [0; MAX_SUB_AUTHORITIES];
        for part in parts.get_mut(..usize::from(count))? {
            *part = reader.u32()?;
        }
        (revision == 1).then_some(Self {
            authority,
            count,
            parts,
        })
    }

    /// Parses a byte string that is exactly an identifier.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::parse_prefix(bytes).filter(|sid| sid.byte_len() == bytes.len())
    }

    /// The identifier authority.
    pub fn authority(&self) -> u64 {
        self.authority
            .iter()
            .fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    /// The sub-authorities.
    pub fn sub_authorities(&self) -> &[u32] {
        self.parts
            .get(..usize::from(self.count))
            .unwrap_or_default()
    }

    /// Length in bytes: 8, and 4 for each sub-authority.
    pub fn byte_len(&self) -> usize {
        8 + 4 * usize::from(self.count)
    }

    /// Appends the bytes.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend([1, self.count]);
        bytes.extend(self.authority);
        bytes.extend(
            self.sub_authorities()
                .iter()
                .flat_map(|part| part.to_le_bytes()),
        );
    }

    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.byte_len());
        self.write(&mut bytes);
        bytes
    }
}

impl fmt::Display for Sid {
    /// Prints `S-1-5-32-544`; an authority of more than 32 bits is written in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.authority() {
            small @ ..=0xFFFF_FFFF => write!(f, "S-1-{small}")?,
            large => write!(f, "S-1-0x{large:012X}")?,
        }
        self.sub_authorities()
            .iter()
            .try_for_each(|part| write!(f, "-{part}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a security identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a security identifier: S-1-authority-number… is, with at most 15 numbers of 32 bits")]
pub struct NotASid;

impl From<NotASid> for Error {
    fn from(error: NotASid) -> Self {
        Error::invalid(Misuse::Value, error.to_string())
    }
}

impl FromStr for Sid {
    type Err = NotASid;

    fn from_str(text: &str) -> Result<Self, NotASid> {
        let mut pieces = text.strip_prefix("S-1-").ok_or(NotASid)?.split('-');
        let authority = pieces.next().and_then(authority).ok_or(NotASid)?;
        let mut parts = Vec::new();
        for piece in pieces {
            // One more than fits is enough to reject the text.
            if parts.len() > MAX_SUB_AUTHORITIES {
                return Err(NotASid);
            }
            parts.push(decimal(piece).ok_or(NotASid)?);
        }
        Self::new(authority, &parts).ok_or(NotASid)
    }
}

/// Parses the authority: a decimal number of at most 32 bits, or `0x` and hexadecimal digits.
fn authority(text: &str) -> Option<u64> {
    let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
        return decimal(text).map(u64::from);
    };
    let is_hex = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Parses a number of digits only, since `parse` would accept a plus sign too.
fn decimal(text: &str) -> Option<u32> {
    text.bytes()
        .all(|digit| digit.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_sid() -> impl Strategy<Value = Sid> {
        let authority = prop_oneof![Just(5), 0..(1u64 << 48)];
        (
            authority,
            prop::collection::vec(any::<u32>(), 0..=MAX_SUB_AUTHORITIES),
        )
            .prop_map(|(authority, parts)| Sid::new(authority, &parts).unwrap())
    }

    proptest! {
        #[test]
        fn bytes_and_text_come_back(sid in any_sid(), behind in prop::collection::vec(any::<u8>(), 0..9)) {
            let bytes = sid.to_bytes();
            prop_assert_eq!(bytes.len(), sid.byte_len());
            prop_assert_eq!(Sid::from_bytes(&bytes), Some(sid));
            let longer = [&bytes[..], &behind].concat();
            prop_assert_eq!(Sid::parse_prefix(&longer), Some(sid));
            prop_assert_eq!(Sid::from_bytes(&longer).is_some(), behind.is_empty());
            (0..bytes.len()).for_each(|cut| assert_eq!(Sid::parse_prefix(&bytes[..cut]), None));
            prop_assert_eq!(sid.to_string().parse(), Ok(sid));
        }

        #[test]
        fn what_is_read_is_written(bytes in prop::collection::vec(any::<u8>(), 0..80), count in 0..20u8, text in "S-1-[-0-9xA-F]{0,20}") {
            let bytes = [&[1, count], &bytes[..]].concat();
            if let Some(sid) = Sid::parse_prefix(&bytes) {
                prop_assert!(bytes.starts_with(&sid.to_bytes()));
            }
            if let Ok(sid) = text.parse::<Sid>() {
                prop_assert_eq!(sid.to_string().parse(), Ok(sid));
            }
        }
    }

    #[test]
    fn well_known_ones_have_their_bytes_and_texts() {
        assert_eq!(
            Sid::LOCAL_SYSTEM.to_bytes(),
            [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]
        );
        assert_eq!(
            Sid::ADMINISTRATORS.to_bytes(),
            [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0]
        );
        let texts = [
            (Sid::EVERYONE, "S-1-1-0"),
            (Sid::OWNER_RIGHTS, "S-1-3-4"),
            (Sid::AUTHENTICATED_USERS, "S-1-5-11"),
            (Sid::LOCAL_SYSTEM, "S-1-5-18"),
            (Sid::LOCAL_SERVICE, "S-1-5-19"),
            (Sid::NETWORK_SERVICE, "S-1-5-20"),
            (Sid::ADMINISTRATORS, "S-1-5-32-544"),
            (Sid::USERS, "S-1-5-32-545"),
            (Sid::new(0xFFFF_FFFF, &[]).unwrap(), "S-1-4294967295"),
            (
                Sid::new(0x1_0000_0000, &[u32::MAX]).unwrap(),
                "S-1-0x000100000000-4294967295",
            ),
        ];
        for (sid, text) in texts {
            assert_eq!(sid.to_string(), text);
            assert_eq!(text.parse(), Ok(sid));
        }
        assert_eq!("S-1-0x5-18".parse(), Ok(Sid::LOCAL_SYSTEM));
    }

    #[test]
    fn what_is_none_is_refused() {
        let long = format!("S-1-5{}", "-1".repeat(MAX_SUB_AUTHORITIES + 1));
        for text in [
            "",
            "S-1-",
            "S-1",
            "S-2-5-18",
            "s-1-5-18",
            "S-1-5-",
            "S-1-5--1",
            "S-1-+5",
            "S-1-5-+1",
            "S-1-5-4294967296",
            "S-1-4294967296",
            "S-1-0x1000000000000",
            "S-1-0x",
            "S-1-0x+5",
            "S-1-5-18 ",
            &long,
        ] {
            assert_eq!(text.parse::<Sid>(), Err(NotASid), "{text}");
        }
        assert_eq!(Sid::new(1 << 48, &[]), None);
        assert_eq!(Sid::new(5, &[0; MAX_SUB_AUTHORITIES + 1]), None);
        assert_eq!(
            Sid::from_bytes(&[2, 0, 0, 0, 0, 0, 0, 5]),
            None,
            "no such revision"
        );
        assert_eq!(
            Sid::parse_prefix(&[[1, 16].as_slice(), &[0; 80]].concat()),
            None,
            "more than fifteen"
        );
    }
}

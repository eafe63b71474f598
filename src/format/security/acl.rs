//! Access control lists and their entries.
//!
//! ```text
//! list   0  u8    revision: 2, or 4 where object entries may stand in it
//!        1  u8    0
//!        2  u16   length of the list, header and spare bytes included
//!        4  u16   number of entries
//!        6  u16   0
//!        8  …     entries, then spare bytes
//!
//! entry  0  u8    kind: 0 allows, 1 denies; others are carried as they are
//!        1  u8    flags: inheritance and audit
//!        2  u16   length of the entry
//!        4  u32   access mask             } kinds 0 and 1
//!        8  …     security identifier     }
//! ```
//!
//! Spare bytes are those that the length of a list covers after its last entry. Windows leaves them
//! if it builds a list in a buffer of fixed size, and some are remains of other data. They are kept
//! until a list is rebuilt.
//!
//! Source: [MS-DTYP] 2.4.4 and 2.4.5; lengths found in repositories are in `docs::security`.

use super::sid::Sid;
use crate::base::limits::MAX_ACL_BYTES;
use crate::format::bytes::{Reader, u32_at};

/// Length of a list without entries.
pub const ACL_HEADER_BYTES: usize = 8;

/// Length of the head of an entry.
const ACE_HEADER_BYTES: usize = 4;

/// Length of an allowing or denying entry before its identifier.
const ACE_FIXED_BYTES: usize = 8;

/// Revision of the lists of namespaces.
const REVISION: u8 = 2;

/// The revisions that Windows accepts.
const REVISIONS: std::ops::RangeInclusive<u8> = 2..=4;

bitflags::bitflags! {
    /// Inheritance of an entry by child namespaces, and its use in audits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct AceFlags: u8 {
        /// Inherited by objects that are not containers, which a namespace does not have.
        const OBJECT_INHERIT = 0x01;
        /// Inherited by child namespaces.
        const CONTAINER_INHERIT = 0x02;
        /// Inherited by immediate children only.
        const NO_PROPAGATE = 0x04;
        /// Takes effect only in children.
        const INHERIT_ONLY = 0x08;
        /// The entry was inherited.
        const INHERITED = 0x10;
        /// In an audit list: success is recorded.
        const SUCCESSFUL_ACCESS = 0x40;
        /// In an audit list: failure is recorded.
        const FAILED_ACCESS = 0x80;
        const _ = !0;
    }
}

/// The content of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AceBody {
    /// Rights that a trustee has.
    Allow(Trustee),
    /// Rights that a trustee is denied.
    Deny(Trustee),
    /// An entry of another kind, kept unchanged.
    Other {
        /// The kind; neither 0 nor 1.
        kind: u8,
        /// Everything after the head of the entry.
        bytes: Box<[u8]>,
    },
}

/// A subject and its rights.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Trustee {
    /// The rights, as an access mask.
    pub mask: u32,
    /// The subject.
    pub sid: Sid,
    /// Bytes after the identifier; none in any known list.
    pub tail: Box<[u8]>,
}

/// An entry of an access control list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ace {
    /// Inheritance and audit flags.
    pub flags: AceFlags,
    /// The content of the entry.
    pub body: AceBody,
}

/// Why bytes are not an access control list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AclFault {
    /// The header is incomplete, or states a length greater than the remaining bytes or smaller
    /// than the header.
    #[error("the length of the list does not fit")]
    Length,
    /// The revision is not one of those known to Windows, 2 to 4.
    #[error("a list of revision {0} is unknown")]
    Revision(u8),
    /// The entry with this number, counted from 0, does not fit into the list.
    #[error("entry {0} does not fit into the list")]
    Entry(u16),
    /// The entry with this number, counted from 0, allows or denies something but names no subject.
    #[error("entry {0} has no valid mask and security identifier")]
    Trustee(u16),
}

impl Ace {
    /// An entry that grants rights.
    pub fn allow(flags: AceFlags, mask: u32, sid: Sid) -> Self {
        Self {
            flags,
            body: AceBody::Allow(Trustee {
                mask,
                sid,
                tail: Box::default(),
            }),
        }
    }

    /// An entry that denies rights.
    pub fn deny(flags: AceFlags, mask: u32, sid: Sid) -> Self {
        Self {
            flags,
            body: AceBody::Deny(Trustee {
                mask,
                sid,
                tail: Box::default(),
            }),
        }
    }

    /// The kind as stored: 0 allows, 1 denies.
    pub fn kind(&self) -> u8 {
        match &self.body {
            AceBody::Allow(_) => 0,
            AceBody::Deny(_) => 1,
            AceBody::Other { kind, .. } => *kind,
        }
    }

    /// The access mask. Every kind of entry in Windows begins with one; `None` if an entry of
    /// another kind is too short.
    pub fn mask(&self) -> Option<u32> {
        match &self.body {
            AceBody::Allow(trustee) | AceBody::Deny(trustee) => Some(trustee.mask),
            AceBody::Other { bytes, .. } => u32_at(bytes, 0),
        }
    }

    /// Length in bytes.
    pub fn byte_len(&self) -> usize {
        match &self.body {
            AceBody::Allow(trustee) | AceBody::Deny(trustee) => {
                ACE_FIXED_BYTES + trustee.sid.byte_len() + trustee.tail.len()
            }
            AceBody::Other { bytes, .. } => ACE_HEADER_BYTES + bytes.len(),
        }
    }

    fn parse(reader: &mut Reader<'_>, number: u16) -> Result<Self, AclFault> {
        let head = reader.array().zip(reader.u16());
        let ([kind, flags], len) = head.ok_or(AclFault::Entry(number))?;
        let body = usize::from(len)
            .checked_sub(ACE_HEADER_BYTES)
            .and_then(|len| reader.take(len));
        let body = body.ok_or(AclFault::Entry(number))?;
        let trustee = || Trustee::parse(body).ok_or(AclFault::Trustee(number));
        let body = match kind {
            0 => AceBody::Allow(trustee()?),
            1 => AceBody::Deny(trustee()?),
            _ => AceBody::Other {
                kind,
                bytes: body.into(),
            },
        };
        Ok(Self {
            flags: AceFlags::from_bits_retain(flags),
            body,
        })
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend([self.kind(), self.flags.bits()]);
        bytes.extend(len_field(self.byte_len()));
        match &self.body {
            AceBody::Allow(trustee) | AceBody::Deny(trustee) => {
                bytes.extend(trustee.mask.to_le_bytes());
                trustee.sid.write(bytes);
                bytes.extend(&trustee.tail);
            }
            AceBody::Other { bytes: body, .. } => bytes.extend(body),
        }
    }
}

impl Trustee {
    fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let mask = reader.u32()?;
        let rest = reader.take(reader.remaining())?;
        let sid = Sid::parse_prefix(rest)?;
        Some(Self {
            mask,
            sid,
            tail: rest.get(sid.byte_len()..)?.into(),
        })
    }
}

/// A length of at most [`MAX_ACL_BYTES`] in its stored form.
fn len_field(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes()
}

/// An access control list, whose entries are evaluated in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Acl {
    revision: u8,
    /// The bytes 1, 6 and 7, which are 0 in every known list.
    reserved: [u8; 3],
    entries: Vec<Ace>,
    spare: Box<[u8]>,
}

impl Default for Acl {
    /// An empty list.
    fn default() -> Self {
        Self {
            revision: REVISION,
            reserved: [0; 3],
            entries: Vec::new(),
            spare: Box::default(),
        }
    }
}

impl Acl {
    /// A list of these entries without spare bytes; `None` if it would be longer than
    /// [`MAX_ACL_BYTES`], the most that its length field can express.
    pub fn new(entries: Vec<Ace>) -> Option<Self> {
        let acl = Self {
            entries,
            ..Self::default()
        };
        (acl.byte_len() <= MAX_ACL_BYTES).then_some(acl)
    }

    /// The same entries in a list of at least this many bytes, padded with zeros.
    #[must_use]
    pub fn padded_to(self, len: u16) -> Self {
        let used = self.byte_len() - self.spare.len();
        let spare = vec![0; usize::from(len).saturating_sub(used)].into();
        Self { spare, ..self }
    }

    /// Parses the list at the front of a byte string, which may be longer; see [`Acl::byte_len`].
    ///
    /// # Errors
    /// Returns [`AclFault`] if there is no valid list.
    pub fn parse_prefix(bytes: &[u8]) -> Result<Self, AclFault> {
        let list = extent(bytes)?;
        let mut reader = Reader::new(list);
        let head = reader
            .array()
            .zip(reader.u16())
            .zip(reader.u16().zip(reader.array()));
        let (([revision, first], _), (count, [second, third])) = head.ok_or(AclFault::Length)?;
        if !REVISIONS.contains(&revision) {
            return Err(AclFault::Revision(revision));
        }
        // Nothing is allocated for a count that the bytes may not confirm.
        let entries = (0..count)
            .map(|number| Ace::parse(&mut reader, number))
            .collect::<Result<_, _>>()?;
        let spare = reader.take(reader.remaining()).unwrap_or_default().into();
        Ok(Self {
            revision,
            reserved: [first, second, third],
            entries,
            spare,
        })
    }

    /// The entries.
    pub fn entries(&self) -> &[Ace] {
        &self.entries
    }

    /// The bytes after the last entry.
    pub fn spare(&self) -> &[u8] {
        &self.spare
    }

    /// Length in bytes, including spare ones.
    pub fn byte_len(&self) -> usize {
        ACL_HEADER_BYTES + self.entries.iter().map(Ace::byte_len).sum::<usize>() + self.spare.len()
    }

    /// Appends the bytes.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let [first, second, third] = self.reserved;
        bytes.extend([self.revision, first]);
        bytes.extend(len_field(self.byte_len()));
        bytes.extend(len_field(self.entries.len()));
        bytes.extend([second, third]);
        self.entries.iter().for_each(|entry| entry.write(bytes));
        bytes.extend(&self.spare);
    }
}

/// The bytes of the list at the front of a byte string, according to its own length.
pub(super) fn extent(bytes: &[u8]) -> Result<&[u8], AclFault> {
    let len = crate::format::bytes::u16_at(bytes, 2)
        .map(usize::from)
        .filter(|len| *len >= ACL_HEADER_BYTES);
    len.and_then(|len| bytes.get(..len)).ok_or(AclFault::Length)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::sid::tests::any_sid;
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_ace() -> impl Strategy<Value = Ace> {
        let trustee = (
            any::<u32>(),
            any_sid(),
            prop::collection::vec(any::<u8>(), 0..5),
        );
        let trustee = trustee
            .prop_map(|(mask, sid, tail)| Trustee {
                mask,
                sid,
                tail: tail.into(),
            })
            .boxed();
        let other = (2u8.., prop::collection::vec(any::<u8>(), 0..40));
        let body = prop_oneof![
            trustee.clone().prop_map(AceBody::Allow),
            trustee.prop_map(AceBody::Deny),
            other.prop_map(|(kind, bytes)| AceBody::Other {
                kind,
                bytes: bytes.into()
            }),
        ];
        (any::<u8>(), body).prop_map(|(flags, body)| Ace {
            flags: AceFlags::from_bits_retain(flags),
            body,
        })
    }

    pub(crate) fn any_acl() -> impl Strategy<Value = Acl> {
        let parts = (
            2..=4u8,
            any::<[u8; 3]>(),
            prop::collection::vec(any_ace(), 0..8),
            prop::collection::vec(any::<u8>(), 0..50),
        );
        parts.prop_map(|(revision, reserved, entries, spare)| Acl {
            revision,
            reserved,
            entries,
            spare: spare.into(),
        })
    }

    fn bytes_of(acl: &Acl) -> Vec<u8> {
        let mut bytes = Vec::new();
        acl.write(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn a_list_comes_back(acl in any_acl(), behind in prop::collection::vec(any::<u8>(), 0..9)) {
            let bytes = bytes_of(&acl);
            prop_assert_eq!(bytes.len(), acl.byte_len());
            (0..bytes.len()).for_each(|cut| assert_eq!(Acl::parse_prefix(&bytes[..cut]), Err(AclFault::Length)));
            prop_assert_eq!(Acl::parse_prefix(&[bytes, behind].concat()), Ok(acl));
        }

        #[test]
        fn what_is_read_is_written(acl in any_acl(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)) {
            let mut bytes = bytes_of(&acl);
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(read) = Acl::parse_prefix(&bytes) {
                prop_assert_eq!(Some(&bytes_of(&read)[..]), bytes.get(..read.byte_len()));
            }
        }
    }

    #[test]
    fn an_entry_has_the_documented_bytes() {
        let acl = Acl::new(vec![Ace::deny(
            AceFlags::CONTAINER_INHERIT,
            0x6003F,
            Sid::EVERYONE,
        )])
        .unwrap();
        let expected = [
            2, 0, 28, 0, 1, 0, 0, 0, // list
            1, 2, 20, 0, 0x3F, 0, 6, 0, // entry
            1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, // S-1-1-0
        ];
        assert_eq!(bytes_of(&acl), expected);
        let padded = acl.padded_to(32);
        assert_eq!((padded.byte_len(), padded.spare()), (32, &[0; 4][..]));
        assert_eq!(
            padded.padded_to(4).byte_len(),
            28,
            "spare bytes are no floor"
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        let good =
            bytes_of(&Acl::new(vec![Ace::allow(AceFlags::empty(), 1, Sid::EVERYONE)]).unwrap());
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            Acl::parse_prefix(&bytes)
        };
        assert_eq!(with(0, 1), Err(AclFault::Revision(1)));
        assert_eq!(with(0, 5), Err(AclFault::Revision(5)));
        assert_eq!(with(2, 7), Err(AclFault::Length), "shorter than a header");
        assert_eq!(
            with(2, 29),
            Err(AclFault::Length),
            "longer than what is there"
        );
        assert_eq!(with(4, 2), Err(AclFault::Entry(1)));
        assert_eq!(with(5, 255), Err(AclFault::Entry(1)));
        assert_eq!(
            with(10, 3),
            Err(AclFault::Entry(0)),
            "shorter than its head"
        );
        assert_eq!(with(10, 21), Err(AclFault::Entry(0)));
        assert_eq!(with(10, 16), Err(AclFault::Trustee(0)));
        assert_eq!(with(16, 2), Err(AclFault::Trustee(0)));
        assert_eq!(with(17, 2), Err(AclFault::Trustee(0)));
        let other = with(8, 9).unwrap();
        assert_eq!(
            (other.entries()[0].kind(), other.entries()[0].mask()),
            (9, Some(1)),
            "an unknown kind is carried"
        );
    }

    #[test]
    fn the_length_field_bounds_a_list() {
        let entry = Ace::allow(AceFlags::empty(), 1, Sid::EVERYONE);
        let most = (MAX_ACL_BYTES - ACL_HEADER_BYTES) / entry.byte_len();
        let acl = Acl::new(vec![entry.clone(); most]).unwrap();
        assert_eq!(Acl::parse_prefix(&bytes_of(&acl)), Ok(acl));
        assert_eq!(Acl::new(vec![entry; most + 1]), None);
    }
}

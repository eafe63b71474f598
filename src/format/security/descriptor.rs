//! Self-relative security descriptors: the value of `__thisNAMESPACE.SECURITY_DESCRIPTOR`.
//!
//! ```text
//!  0  u8   revision, 1
//!  1  u8   resource manager's byte, 0
//!  2  u16  control
//!  4  u32  offset of the owner, a security identifier   } from the beginning
//!  8  u32  offset of the group, likewise                } of the descriptor;
//! 12  u32  offset of the list of audits (SACL)          } 0: there is none
//! 16  u32  offset of the access control list (DACL)     }
//! 20  …    the parts: Windows writes SACL, DACL, owner, group, without gaps
//! ```
//!
//! A part may lie anywhere after the header. The order of the parts, bytes between and after them,
//! and spare bytes in the lists are kept, so that a parsed descriptor is written unchanged. There
//! are two exceptions: parts that share bytes are written one after the other, and the offset of a
//! list that is absent according to the control word becomes 0.
//!
//! Source: [MS-DTYP] 2.4.6; `docs::security` describes what Windows wrote.

use super::acl::{self, Acl, AclFault};
use super::sid::Sid;
use crate::base::error::Error;
use crate::base::misuse::Misuse;
use crate::base::{narrow, widen};
use crate::format::bytes::Reader;

/// Length of the header.
pub const HEADER_BYTES: usize = 20;

bitflags::bitflags! {
    /// The control word.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Control: u16 {
        /// The owner is a default.
        const OWNER_DEFAULTED = 0x0001;
        /// The group is a default.
        const GROUP_DEFAULTED = 0x0002;
        /// There is an access control list, or a NULL one.
        const DACL_PRESENT = 0x0004;
        /// The access control list is a default.
        const DACL_DEFAULTED = 0x0008;
        /// There is an audit list, or a NULL one.
        const SACL_PRESENT = 0x0010;
        /// The audit list is a default.
        const SACL_DEFAULTED = 0x0020;
        /// Inheritance to children is requested (SDDL `AR`).
        const DACL_AUTO_INHERIT_REQ = 0x0100;
        /// The same for audits.
        const SACL_AUTO_INHERIT_REQ = 0x0200;
        /// Entries were inherited by Windows' newer rules (SDDL `AI`).
        const DACL_AUTO_INHERITED = 0x0400;
        /// The same for audits.
        const SACL_AUTO_INHERITED = 0x0800;
        /// Nothing is inherited from above (SDDL `P`).
        const DACL_PROTECTED = 0x1000;
        /// The same for audits.
        const SACL_PROTECTED = 0x2000;
        /// The resource manager's byte is valid.
        const RM_CONTROL_VALID = 0x4000;
        /// The parts follow the header; always set.
        const SELF_RELATIVE = 0x8000;
        const _ = !0;
    }
}

impl Control {
    /// Bits that follow from the parts and cannot be set directly.
    const OF_PARTS: Control = Control::DACL_PRESENT
        .union(Control::SACL_PRESENT)
        .union(Control::SELF_RELATIVE);
}

/// A part of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The audit list.
    Sacl,
    /// The access control list.
    Dacl,
    /// The owner.
    Owner,
    /// The group.
    Group,
}

impl Part {
    /// The parts in the order in which Windows writes them.
    const ORDER: [Part; 4] = [Part::Sacl, Part::Dacl, Part::Owner, Part::Group];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Part::Sacl => "SACL",
            Part::Dacl => "DACL",
            Part::Owner => "owner",
            Part::Group => "group",
        }
    }
}

/// Why bytes are not a security descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorFault {
    /// The header is incomplete.
    #[error("a security descriptor has at least {HEADER_BYTES} bytes, and there are {0}")]
    Short(usize),
    /// The revision is not 1.
    #[error("a security descriptor of revision {0} is unknown")]
    Revision(u8),
    /// The control word says that the offsets are pointers.
    #[error("the security descriptor is not self-relative")]
    NotSelfRelative,
    /// Owner or group are not at the place stated in the header.
    #[error("there is no security identifier at offset {offset}, where the {} is to \
        be", part.as_str())]
    Sid {
        /// Owner or group.
        part: Part,
        /// Offset from the beginning of the descriptor.
        offset: u32,
    },
    /// A list is not at the place stated in the header, or is damaged.
    #[error("there is no valid list at offset {offset}, where the {} is to be: \
        {fault}", part.as_str())]
    List {
        /// The list.
        part: Part,
        /// Offset from the beginning of the descriptor.
        offset: u32,
        /// The fault of the list.
        fault: AclFault,
    },
}

impl From<DescriptorFault> for Error {
    /// A damaged access control list is an invalid parameter; bytes that are not a descriptor at
    /// all are an invalid object.
    fn from(fault: DescriptorFault) -> Self {
        match fault {
            DescriptorFault::List {
                part: Part::Dacl, ..
            } => Error::invalid(Misuse::SecurityDescriptor, fault.to_string()),
            _ => Error::InvalidObject(fault.to_string().into()),
        }
    }
}

/// The access control list of a descriptor. Its evaluation decides what absence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dacl<'d> {
    /// The control word says that there is none.
    Absent,
    /// There is one, and it is NULL.
    Null,
    /// The list. An empty list differs from an absent one.
    List(&'d Acl),
}

/// A security descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecurityDescriptor {
    resource_manager: u8,
    control: Control,
    owner: Option<Sid>,
    group: Option<Sid>,
    /// The whole list, uninterpreted.
    sacl: Option<Box<[u8]>>,
    dacl: Option<Acl>,
    layout: Layout,
}

/// The order of the parts of a descriptor that was parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Layout {
    /// Each part, with the bytes between it and the one before it.
    parts: Vec<(Part, Box<[u8]>)>,
    /// The bytes after the last part.
    tail: Box<[u8]>,
}

impl SecurityDescriptor {
    /// A descriptor without lists.
    pub fn new(owner: Option<Sid>, group: Option<Sid>) -> Self {
        let control = Control::SELF_RELATIVE;
        Self {
            resource_manager: 0,
            control,
            owner,
            group,
            sacl: None,
            dacl: None,
            layout: Layout::default(),
        }
    }

    /// Replaces the access control list, using Windows' own layout.
    #[must_use]
    pub fn with_dacl(self, dacl: Acl) -> Self {
        let control = self.control | Control::DACL_PRESENT;
        Self {
            control,
            dacl: Some(dacl),
            layout: Layout::default(),
            ..self
        }
    }

    /// Replaces the audit list, using Windows' own layout.
    #[must_use]
    pub fn with_sacl(self, sacl: &Acl) -> Self {
        let mut bytes = Vec::with_capacity(sacl.byte_len());
        sacl.write(&mut bytes);
        let control = self.control | Control::SACL_PRESENT;
        Self {
            control,
            sacl: Some(bytes.into()),
            layout: Layout::default(),
            ..self
        }
    }

    /// Takes the audit list of another descriptor, with its bits of the control word, using
    /// Windows' own layout.
    #[must_use]
    pub fn with_sacl_of(self, other: &SecurityDescriptor) -> Self {
        const OF_SACL: Control = Control::SACL_PRESENT
            .union(Control::SACL_DEFAULTED)
            .union(Control::SACL_AUTO_INHERIT_REQ)
            .union(Control::SACL_AUTO_INHERITED)
            .union(Control::SACL_PROTECTED);
        let control = (self.control - OF_SACL) | (other.control & OF_SACL);
        Self {
            control,
            sacl: other.sacl.clone(),
            layout: Layout::default(),
            ..self
        }
    }

    /// Replaces the control word, except for the presence of lists and for being self-relative.
    #[must_use]
    pub fn with_control(self, control: Control) -> Self {
        Self {
            control: (control - Control::OF_PARTS) | (self.control & Control::OF_PARTS),
            ..self
        }
    }

    /// Parses a byte string that is a descriptor.
    ///
    /// # Errors
    /// Returns [`DescriptorFault`] if it is not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, DescriptorFault> {
        let mut reader = Reader::new(bytes);
        let head = reader.array().zip(reader.u16()).zip(reader.array());
        let (([revision, resource_manager], control), offsets) =
            head.ok_or(DescriptorFault::Short(bytes.len()))?;
        let [owner, group, sacl, dacl] = split(offsets);
        if revision != 1 {
            return Err(DescriptorFault::Revision(revision));
        }
        let control = Control::from_bits_retain(control);
        if !control.contains(Control::SELF_RELATIVE) {
            return Err(DescriptorFault::NotSelfRelative);
        }
        let mut places = Places {
            bytes,
            found: Vec::new(),
        };
        let owner = places.sid(Part::Owner, owner)?;
        let group = places.sid(Part::Group, group)?;
        let sacl = places.sacl(if control.contains(Control::SACL_PRESENT) {
            sacl
        } else {
            0
        })?;
        let dacl = places.dacl(if control.contains(Control::DACL_PRESENT) {
            dacl
        } else {
            0
        })?;
        Ok(Self {
            resource_manager,
            control,
            owner,
            group,
            sacl,
            dacl,
            layout: places.layout(),
        })
    }

    /// The control word.
    pub fn control(&self) -> Control {
        self.control
    }

    /// The owner.
    pub fn owner(&self) -> Option<&Sid> {
        self.owner.as_ref()
    }

    /// The group.
    pub fn group(&self) -> Option<&Sid> {
        self.group.as_ref()
    }

    /// The access control list.
    pub fn dacl(&self) -> Dacl<'_> {
        match &self.dacl {
            Some(list) => Dacl::List(list),
            None if self.control.contains(Control::DACL_PRESENT) => Dacl::Null,
            None => Dacl::Absent,
        }
    }

    /// The bytes of the audit list, header included.
    pub fn sacl(&self) -> Option<&[u8]> {
        self.sacl.as_deref()
    }

    /// The same parts in Windows' own layout, without bytes between them.
    #[must_use]
    pub fn canonical(self) -> Self {
        Self {
            layout: Layout::default(),
            ..self
        }
    }

    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let mut offsets = [0u32; 4];
        let known = |part| self.layout.parts.iter().any(|(known, _)| *known == part);
        let others = Part::ORDER
            .into_iter()
            .filter(|part| !known(*part))
            .map(|part| (part, &[][..]));
        let parts = self
            .layout
            .parts
            .iter()
            .map(|(part, gap)| (*part, &gap[..]));
        for (part, gap) in parts.chain(others) {
            bytes.extend(gap);
            let start = narrow(bytes.len());
            if self.write_part(part, &mut bytes) {
                let [owner, group, sacl, dacl] = &mut offsets;
                *match part {
                    Part::Owner => owner,
                    Part::Group => group,
                    Part::Sacl => sacl,
                    Part::Dacl => dacl,
                } = start;
            }
        }
        bytes.extend(&self.layout.tail);
        let mut head = vec![1, self.resource_manager];
        head.extend(self.control.bits().to_le_bytes());
        head.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
        bytes.splice(..HEADER_BYTES, head);
        bytes
    }

    /// Appends a part; `false` if it does not exist.
    fn write_part(&self, part: Part, bytes: &mut Vec<u8>) -> bool {
        let before = bytes.len();
        match part {
            Part::Owner => self.owner.iter().for_each(|sid| sid.write(bytes)),
            Part::Group => self.group.iter().for_each(|sid| sid.write(bytes)),
            Part::Sacl => self.sacl.iter().for_each(|list| bytes.extend(&list[..])),
            Part::Dacl => self.dacl.iter().for_each(|list| list.write(bytes)),
        }
        bytes.len() > before
    }
}

/// The four offsets of the header, in their order.
fn split(offsets: [u8; 16]) -> [u32; 4] {
    let mut reader = Reader::new(&offsets);
    [(); 4].map(|()| reader.u32().unwrap_or_default())
}

/// The places where the parts of a descriptor were found.
struct Places<'b> {
    bytes: &'b [u8],
    found: Vec<(usize, usize, Part)>,
}

impl<'b> Places<'b> {
    /// The bytes from an offset on; `None` if it lies in the header or past the end.
    fn at(&self, offset: u32) -> Option<&'b [u8]> {
        self.bytes
            .get(widen(offset)..)
            .filter(|_| widen(offset) >= HEADER_BYTES)
    }

    fn note(&mut self, part: Part, offset: u32, len: usize) {
        self.found.push((widen(offset), len, part));
    }

    fn sid(&mut self, part: Part, offset: u32) -> Result<Option<Sid>, DescriptorFault> {
        if offset == 0 {
            return Ok(None);
        }
        let sid = self
            .at(offset)
            .and_then(Sid::parse_prefix)
            .ok_or(DescriptorFault::Sid { part, offset })?;
        self.note(part, offset, sid.byte_len());
        Ok(Some(sid))
    }

    fn sacl(&mut self, offset: u32) -> Result<Option<Box<[u8]>>, DescriptorFault> {
        if offset == 0 {
            return Ok(None);
        }
        let list = self
            .at(offset)
            .ok_or(AclFault::Length)
            .and_then(acl::extent);
        let list = list.map_err(|fault| DescriptorFault::List {
            part: Part::Sacl,
            offset,
            fault,
        })?;
        self.note(Part::Sacl, offset, list.len());
        Ok(Some(list.into()))
    }

    fn dacl(&mut self, offset: u32) -> Result<Option<Acl>, DescriptorFault> {
        if offset == 0 {
            return Ok(None);
        }
        let list = self
            .at(offset)
            .ok_or(AclFault::Length)
            .and_then(Acl::parse_prefix);
        let list = list.map_err(|fault| DescriptorFault::List {
            part: Part::Dacl,
            offset,
            fault,
        })?;
        self.note(Part::Dacl, offset, list.byte_len());
        Ok(Some(list))
    }

    /// The order of the parts; Windows' own layout if they share bytes.
    fn layout(mut self) -> Layout {
        self.found.sort_unstable_by_key(|(offset, ..)| *offset);
        let mut end = HEADER_BYTES;
        let mut parts = Vec::with_capacity(self.found.len());
        for (offset, len, part) in self.found {
            let Some(gap) = self.bytes.get(end..offset) else {
                return Layout::default();
            };
            parts.push((part, gap.into()));
            end = offset + len;
        }
        Layout {
            parts,
            tail: self.bytes.get(end..).unwrap_or_default().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::acl::tests::any_acl;
    use super::super::acl::{Ace, AceFlags};
    use super::super::sid::tests::any_sid;
    use super::*;
    use proptest::prelude::*;

    fn any_descriptor() -> impl Strategy<Value = SecurityDescriptor> {
        let some = |strategy| prop::option::of(strategy);
        let parts = (
            some(any_sid().boxed()),
            some(any_sid().boxed()),
            prop::option::of(any_acl()),
            prop::option::of(any_acl()),
        );
        (parts, any::<u16>()).prop_map(|((owner, group, sacl, dacl), control)| {
            let mut descriptor = SecurityDescriptor::new(owner, group)
                .with_control(Control::from_bits_retain(control));
            if let Some(sacl) = sacl {
                descriptor = descriptor.with_sacl(&sacl);
            }
            if let Some(dacl) = dacl {
                descriptor = descriptor.with_dacl(dacl);
            }
            descriptor
        })
    }

    /// A descriptor with its parts in the given order and bytes between them.
    fn laid_out(descriptor: &SecurityDescriptor, order: &[Part], gap: &[u8]) -> Vec<u8> {
        let parts = order.iter().map(|part| (*part, gap.into())).collect();
        SecurityDescriptor {
            layout: Layout {
                parts,
                tail: gap.into(),
            },
            ..descriptor.clone()
        }
        .to_bytes()
    }

    proptest! {
        #[test]
        fn a_descriptor_comes_back(descriptor in any_descriptor()) {
            let bytes = descriptor.to_bytes();
            let read = SecurityDescriptor::parse(&bytes).unwrap();
            prop_assert_eq!(read.to_bytes(), bytes);
            prop_assert_eq!(read.canonical(), descriptor);
        }

        #[test]
        fn any_layout_comes_back_byte_for_byte(
            descriptor in any_descriptor(),
            order in Just(Part::ORDER.to_vec()).prop_shuffle(),
            gap in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let bytes = laid_out(&descriptor, &order, &gap);
            let read = SecurityDescriptor::parse(&bytes).unwrap();
            prop_assert_eq!(read.to_bytes(), bytes);
            prop_assert_eq!(read.canonical(), descriptor);
        }

        #[test]
        fn damage_is_refused_or_read_for_good(
            descriptor in any_descriptor(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = descriptor.to_bytes();
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
                let Ok(read) = SecurityDescriptor::parse(bytes) else { continue };
                let again = SecurityDescriptor::parse(&read.to_bytes()).unwrap();
                prop_assert_eq!(again.to_bytes(), read.to_bytes());
                prop_assert_eq!(again.canonical(), read.canonical());
            }
        }
    }

    #[test]
    fn the_header_has_the_documented_bytes() {
        let list = Acl::new(vec![Ace::allow(AceFlags::empty(), 1, Sid::EVERYONE)]).unwrap();
        let descriptor = SecurityDescriptor::new(Some(Sid::ADMINISTRATORS), Some(Sid::EVERYONE))
            .with_control(Control::DACL_PROTECTED)
            .with_sacl(&list)
            .with_dacl(list);
        let bytes = descriptor.to_bytes();
        assert_eq!(
            bytes[..20],
            [
                1, 0, 0x14, 0x90, 76, 0, 0, 0, 92, 0, 0, 0, 20, 0, 0, 0, 48, 0, 0, 0
            ]
        );
        assert_eq!(bytes.len(), 104);
        assert_eq!(
            SecurityDescriptor::parse(&bytes).unwrap().sacl(),
            Some(&bytes[20..48])
        );
    }

    #[test]
    fn no_list_a_null_list_and_an_empty_list_are_three_things() {
        let owned = SecurityDescriptor::new(Some(Sid::ADMINISTRATORS), None);
        assert_eq!(owned.dacl(), Dacl::Absent);
        let mut null = owned.to_bytes();
        null[2] |= 4;
        assert_eq!(SecurityDescriptor::parse(&null).unwrap().dacl(), Dacl::Null);
        assert_eq!(SecurityDescriptor::parse(&null).unwrap().to_bytes(), null);
        let empty = owned.with_dacl(Acl::new(vec![]).unwrap());
        assert!(matches!(empty.dacl(), Dacl::List(list) if list.entries().is_empty()));
    }

    #[test]
    fn what_is_none_is_refused() {
        let list = Acl::new(vec![]).unwrap();
        let descriptor =
            SecurityDescriptor::new(Some(Sid::EVERYONE), Some(Sid::EVERYONE)).with_dacl(list);
        let good = descriptor.with_sacl(&Acl::new(vec![]).unwrap()).to_bytes();
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            SecurityDescriptor::parse(&bytes).map(|_| ())
        };
        assert_eq!(
            SecurityDescriptor::parse(&good[..19]),
            Err(DescriptorFault::Short(19))
        );
        assert_eq!(with(0, 2), Err(DescriptorFault::Revision(2)));
        assert_eq!(with(3, 0), Err(DescriptorFault::NotSelfRelative));
        assert_eq!(
            with(4, 19),
            Err(DescriptorFault::Sid {
                part: Part::Owner,
                offset: 19
            }),
            "in the header"
        );
        assert_eq!(
            with(8, 50),
            Err(DescriptorFault::Sid {
                part: Part::Group,
                offset: 50
            })
        );
        assert_eq!(
            with(11, 1),
            Err(DescriptorFault::Sid {
                part: Part::Group,
                offset: 0x0100_0030
            })
        );
        let list = |part, offset, fault| {
            Err(DescriptorFault::List {
                part,
                offset,
                fault,
            })
        };
        assert_eq!(with(12, 57), list(Part::Sacl, 57, AclFault::Length));
        assert_eq!(with(16, 1), list(Part::Dacl, 1, AclFault::Length));
        assert_eq!(with(28, 9), list(Part::Dacl, 28, AclFault::Revision(9)));
        assert_eq!(with(20, 9), Ok(()), "the list of audits is not looked into");
    }

    #[test]
    fn what_cannot_be_kept_is_written_in_order() {
        // Owner and group share their bytes, and there is an offset of a list that is absent.
        let mut bytes = SecurityDescriptor::new(Some(Sid::EVERYONE), None).to_bytes();
        (bytes[8], bytes[12]) = (20, 20);
        let read = SecurityDescriptor::parse(&bytes).unwrap();
        assert_eq!(
            (read.owner(), read.group(), read.sacl()),
            (Some(&Sid::EVERYONE), Some(&Sid::EVERYONE), None)
        );
        assert_eq!(
            read.to_bytes(),
            SecurityDescriptor::new(Some(Sid::EVERYONE), Some(Sid::EVERYONE)).to_bytes()
        );
    }
}

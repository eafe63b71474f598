//! Text form of security descriptors: the argument of `NamespaceSecuritySDDL("…")`.
//!
//! ```text
//! descriptor = [ "O:" sid ] [ "G:" sid ] [ "D:" list ] [ "S:" list ]
//! list       = *( "P" / "AR" / "AI" ) *( "(" kind ";" flags ";" rights ";;;" sid ")" )
//! kind       = "A" / "D"          in a DACL;   "AU" in a SACL
//! flags      = *( "OI" / "CI" / "NP" / "IO" / "ID" / "SA" / "FA" )
//! rights     = "0x" hexadecimal / decimal / *( two letters )
//! sid        = "S-1-…" / two letters
//! ```
//!
//! Upper and lower case differ. The following are rejected with a message: names of domain accounts
//! (`DA`, `LA`, …), because a text does not say on which machine to look them up; entries for
//! objects and with conditions; generic rights and those of files and the registry, which have no
//! meaning for a namespace. Source: [MS-DTYP] 2.5.1; WMI SDK, "Setting security on namespace
//! creation".

use std::fmt::{self, Write};

use super::inheritance;
use super::methods::check_entries;
use crate::base::error::{Error, Result};
use crate::base::misuse::Misuse;
use crate::format::security::acl::{Ace, AceBody, AceFlags, Acl};
use crate::format::security::descriptor::{Control, Dacl, SecurityDescriptor};
use crate::format::security::sid::Sid;

/// The kind of an entry of an audit list.
const AUDIT: u8 = 2;

/// Names of identifiers that are the same on every machine.
const SIDS: [(&str, Sid); 34] = [
    ("WD", Sid::EVERYONE),
    ("CO", Sid::known(3, [0])),
    ("CG", Sid::known(3, [1])),
    ("OW", Sid::OWNER_RIGHTS),
    ("NU", Sid::known(5, [2])),
    ("IU", Sid::known(5, [4])),
    ("SU", Sid::known(5, [6])),
    ("AN", Sid::known(5, [7])),
    ("ED", Sid::known(5, [9])),
    ("PS", Sid::known(5, [10])),
    ("AU", Sid::AUTHENTICATED_USERS),
    ("RC", Sid::known(5, [12])),
    ("SY", Sid::LOCAL_SYSTEM),
    ("LS", Sid::LOCAL_SERVICE),
    ("NS", Sid::NETWORK_SERVICE),
    ("BA", Sid::ADMINISTRATORS),
    ("BU", Sid::USERS),
    ("BG", Sid::known(5, [32, 546])),
    ("PU", Sid::known(5, [32, 547])),
    ("AO", Sid::known(5, [32, 548])),
    ("SO", Sid::known(5, [32, 549])),
    ("PO", Sid::known(5, [32, 550])),
    ("BO", Sid::known(5, [32, 551])),
    ("RE", Sid::known(5, [32, 552])),
    ("RU", Sid::known(5, [32, 554])),
    ("RD", Sid::known(5, [32, 555])),
    ("NO", Sid::known(5, [32, 556])),
    ("MU", Sid::known(5, [32, 558])),
    ("LU", Sid::known(5, [32, 559])),
    ("IS", Sid::known(5, [32, 568])),
    ("CY", Sid::known(5, [32, 569])),
    ("ER", Sid::known(5, [32, 573])),
    ("CD", Sid::known(5, [32, 574])),
    ("RM", Sid::known(5, [32, 580])),
];

/// Names of rights. Those of directory objects are the lowest bits, and texts for WMI use them for
/// its rights.
const RIGHTS: [(&str, u32); 13] = [
    ("CC", 0x1),
    ("DC", 0x2),
    ("LC", 0x4),
    ("SW", 0x8),
    ("RP", 0x10),
    ("WP", 0x20),
    ("DT", 0x40),
    ("LO", 0x80),
    ("CR", 0x100),
    ("SD", 0x1_0000),
    ("RC", 0x2_0000),
    ("WD", 0x4_0000),
    ("WO", 0x8_0000),
];

const FLAGS: [(&str, AceFlags); 7] = [
    ("OI", AceFlags::OBJECT_INHERIT),
    ("CI", AceFlags::CONTAINER_INHERIT),
    ("NP", AceFlags::NO_PROPAGATE),
    ("IO", AceFlags::INHERIT_ONLY),
    ("ID", AceFlags::INHERITED),
    ("SA", AceFlags::SUCCESSFUL_ACCESS),
    ("FA", AceFlags::FAILED_ACCESS),
];

/// Flags that may precede the entries of a list, with their meanings in a DACL and in a SACL.
const LIST_FLAGS: [(&str, Control, Control); 3] = [
    ("P", Control::DACL_PROTECTED, Control::SACL_PROTECTED),
    (
        "AR",
        Control::DACL_AUTO_INHERIT_REQ,
        Control::SACL_AUTO_INHERIT_REQ,
    ),
    (
        "AI",
        Control::DACL_AUTO_INHERITED,
        Control::SACL_AUTO_INHERITED,
    ),
];

/// Parses a descriptor.
///
/// # Errors
/// Returns [`Error::InvalidArgument`] with the byte offset in the text.
pub fn parse(text: &str) -> Result<SecurityDescriptor> {
    let mut parser = Parser { text, at: 0 };
    let (mut owner, mut group, mut dacl, mut sacl) = (None, None, None, None);
    while parser.at < text.len() {
        let is_new = match parser.tag()? {
            'O' => owner.replace(parser.sid()?).is_none(),
            'G' => group.replace(parser.sid()?).is_none(),
            'D' => dacl.replace(parser.list(ListKind::Dacl)?).is_none(),
            _ => sacl.replace(parser.list(ListKind::Sacl)?).is_none(),
        };
        if !is_new {
            return Err(parser.fault("this part is there twice"));
        }
    }
    let mut descriptor = SecurityDescriptor::new(owner, group);
    let mut control = Control::empty();
    if let Some((flags, list)) = dacl {
        (control, descriptor) = (control | flags, descriptor.with_dacl(list));
    }
    if let Some((flags, list)) = sacl {
        (control, descriptor) = (control | flags, descriptor.with_sacl(&list));
    }
    Ok(descriptor.with_control(control))
}

/// The descriptor of a namespace that is created with this text or receives it later. `parent` is
/// the descriptor of the parent namespace, or `None` for ROOT.
///
/// # Errors
/// Returns [`Error::InvalidArgument`] if the text cannot be parsed, has no access control list, or
/// has an entry that a namespace may not have.
pub fn of_namespace(text: &str, parent: Option<&SecurityDescriptor>) -> Result<SecurityDescriptor> {
    let own = parse(text)?;
    if own.dacl() == Dacl::Absent {
        return Err(Error::invalid(
            Misuse::SecurityDescriptor,
            "security descriptor as text: there is no access control list (D:)",
        ));
    }
    check_entries(&inheritance::explicit(&own))?;
    inheritance::merged(&own, parent)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListKind {
    Dacl,
    Sacl,
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fault(&self, what: impl fmt::Display) -> Error {
        Error::invalid(
            Misuse::SecurityDescriptor,
            format!("security descriptor as text, at byte {}: {what}", self.at),
        )
    }

    fn skip(&mut self, prefix: &str) -> bool {
        let is_there = self.rest().starts_with(prefix);
        self.at += if is_there { prefix.len() } else { 0 };
        is_there
    }

    /// The letter of a part and its colon.
    fn tag(&mut self) -> Result<char> {
        let tag = self
            .rest()
            .chars()
            .next()
            .filter(|tag| "OGDS".contains(*tag));
        let tag = tag.ok_or_else(|| self.fault("O:, G:, D: or S: is expected"))?;
        self.at += 1;
        if self.skip(":") {
            Ok(tag)
        } else {
            Err(self.fault("a colon is expected"))
        }
    }

    /// An identifier, which other text may follow.
    fn sid(&mut self) -> Result<Sid> {
        let rest = self.rest();
        if !rest.starts_with("S-") {
            let name = rest.get(..2).unwrap_or(rest);
            let found = SIDS.iter().find(|(known, _)| *known == name);
            let (_, sid) = found
                .ok_or_else(|| self.fault("no known name of a security identifier; write S-1-…"))?;
            self.at += 2;
            return Ok(*sid);
        }
        // Digits follow, and the next part begins with a letter that is not a digit.
        let is_of_sid =
            |byte: u8| byte == b'-' || byte.is_ascii_hexdigit() || byte == b'x' || byte == b'X';
        let digits = rest
            .bytes()
            .skip(1)
            .take_while(|byte| is_of_sid(*byte))
            .count();
        let mut text = rest.get(..1 + digits).unwrap_or_default();
        // The D of "D:" is also a hexadecimal digit.
        if rest
            .get(text.len()..)
            .is_some_and(|behind| behind.starts_with(':'))
        {
            text = text.get(..text.len() - 1).unwrap_or_default();
        }
        let sid = text.parse().map_err(|fault| self.fault(fault))?;
        self.at += text.len();
        Ok(sid)
    }

    fn list(&mut self, kind: ListKind) -> Result<(Control, Acl)> {
        let mut control = Control::empty();
        while let Some((_, dacl, sacl)) = LIST_FLAGS.iter().find(|(name, ..)| self.skip(name)) {
            control |= if kind == ListKind::Dacl { *dacl } else { *sacl };
        }
        if self.rest().starts_with("NO_ACCESS_CONTROL") {
            return Err(self.fault("a list that lets everybody in is not for namespaces"));
        }
        let mut entries = Vec::new();
        while self.skip("(") {
            entries.push(self.entry(kind)?);
        }
        let list = Acl::new(entries)
            .ok_or_else(|| self.fault("the list would have more than 65,535 bytes"))?;
        Ok((control, list))
    }

    fn entry(&mut self, kind: ListKind) -> Result<Ace> {
        let name = self.field()?;
        let flags = self.field()?;
        let flags = AceFlags::from_bits_retain(
            self.letters(flags, &FLAGS.map(|(name, flag)| (name, flag.bits())))?,
        );
        let mask = self.field()?;
        let mask = self.mask(mask)?;
        for _ in ["object", "inherited object"] {
            if !self.field()?.is_empty() {
                return Err(self.fault("entries for objects are not for namespaces"));
            }
        }
        let sid = self.sid()?;
        if !self.skip(")") {
            return Err(self.fault("a closing parenthesis is expected"));
        }
        match (kind, name) {
            (ListKind::Dacl, "A") => Ok(Ace::allow(flags, mask, sid)),
            (ListKind::Dacl, "D") => Ok(Ace::deny(flags, mask, sid)),
            (ListKind::Sacl, "AU") => Ok(audit(flags, mask, sid)),
            _ => Err(self.fault(format_args!(
                "an entry of kind {name} is not for namespaces"
            ))),
        }
    }

    /// The text up to the next semicolon.
    fn field(&mut self) -> Result<&'t str> {
        let rest = self.rest();
        let end = rest
            .find([';', ')'])
            .filter(|end| rest.as_bytes().get(*end) == Some(&b';'));
        let field = end
            .and_then(|end| rest.get(..end))
            .ok_or_else(|| self.fault("a semicolon is expected"))?;
        self.at += field.len() + 1;
        Ok(field)
    }

    fn mask(&self, field: &str) -> Result<u32> {
        let number = match field
            .strip_prefix("0x")
            .or_else(|| field.strip_prefix("0X"))
        {
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                u32::from_str_radix(digits, 16).ok()
            }
            Some(_) => None,
            None if field.bytes().all(|digit| digit.is_ascii_digit()) && !field.is_empty() => {
                field.parse().ok()
            }
            None => return self.letters(field, &RIGHTS),
        };
        number.ok_or_else(|| self.fault("the rights are not a number of 32 bits"))
    }

    /// The combined values of two-letter names.
    fn letters<T>(&self, field: &str, names: &[(&str, T)]) -> Result<T>
    where
        T: Copy + Default + std::ops::BitOr<Output = T>,
    {
        let value_of = |pair: &[u8]| {
            names
                .iter()
                .find(|(name, _)| name.as_bytes() == pair)
                .map(|(_, value)| *value)
        };
        let mut values = field.as_bytes().chunks(2).map(value_of);
        let sum = values.try_fold(T::default(), |sum, value| value.map(|value| sum | value));
        sum.ok_or_else(|| {
            self.fault(format_args!(
                "{field:?} has names that namespaces do not know"
            ))
        })
    }
}

fn audit(flags: AceFlags, mask: u32, sid: Sid) -> Ace {
    let bytes = [&mask.to_le_bytes()[..], &sid.to_bytes()].concat().into();
    Ace {
        flags,
        body: AceBody::Other { kind: AUDIT, bytes },
    }
}

/// Prints a descriptor as text for [`parse`]. `None` for a descriptor without such a text: one with
/// entries of other kinds, other flags, bytes after an identifier, an entry in the wrong list, or a
/// NULL list.
pub fn print(descriptor: &SecurityDescriptor) -> Option<String> {
    let mut text = String::new();
    for (tag, sid) in [("O:", descriptor.owner()), ("G:", descriptor.group())] {
        if let Some(sid) = sid {
            write!(text, "{tag}{}", name_of(sid)).ok()?;
        }
    }
    let control = descriptor.control();
    match descriptor.dacl() {
        Dacl::Absent => {}
        Dacl::Null => return None,
        Dacl::List(list) => {
            text.push_str("D:");
            LIST_FLAGS
                .iter()
                .filter(|(_, flag, _)| control.contains(*flag))
                .for_each(|(name, ..)| text.push_str(name));
            list.entries()
                .iter()
                .try_for_each(|ace| print_entry(ListKind::Dacl, ace, &mut text))?;
        }
    }
    match descriptor.sacl().map(Acl::parse_prefix) {
        None if control.contains(Control::SACL_PRESENT) => return None,
        None => {}
        Some(list) => {
            text.push_str("S:");
            LIST_FLAGS
                .iter()
                .filter(|(.., flag)| control.contains(*flag))
                .for_each(|(name, ..)| text.push_str(name));
            list.ok()?
                .entries()
                .iter()
                .try_for_each(|ace| print_entry(ListKind::Sacl, ace, &mut text))?;
        }
    }
    Some(text)
}

fn print_entry(kind: ListKind, ace: &Ace, text: &mut String) -> Option<()> {
    let (name, mask, sid) = match (kind, &ace.body) {
        (ListKind::Dacl, AceBody::Allow(trustee)) if trustee.tail.is_empty() => {
            ("A", trustee.mask, trustee.sid)
        }
        (ListKind::Dacl, AceBody::Deny(trustee)) if trustee.tail.is_empty() => {
            ("D", trustee.mask, trustee.sid)
        }
        (ListKind::Sacl, AceBody::Other { kind: AUDIT, bytes }) => {
            ("AU", ace.mask()?, Sid::from_bytes(bytes.get(4..)?)?)
        }
        _ => return None,
    };
    let known = FLAGS
        .iter()
        .fold(AceFlags::empty(), |sum, (_, flag)| sum | *flag);
    if !known.contains(ace.flags) {
        return None;
    }
    write!(text, "({name};").ok()?;
    FLAGS
        .iter()
        .filter(|(_, flag)| ace.flags.contains(*flag))
        .for_each(|(name, _)| text.push_str(name));
    text.push(';');
    let named = RIGHTS.iter().fold(0, |sum, (_, right)| sum | right);
    match mask & !named {
        0 => RIGHTS
            .iter()
            .filter(|(_, right)| mask & right != 0)
            .for_each(|(name, _)| text.push_str(name)),
        _ => write!(text, "{mask:#x}").ok()?,
    }
    write!(text, ";;;{})", name_of(&sid)).ok()
}

/// The two letters of an identifier, or its text.
fn name_of(sid: &Sid) -> String {
    let found = SIDS.iter().find(|(_, known)| known == sid);
    found.map_or_else(|| sid.to_string(), |(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{defaults, rights::AccessRights};
    use super::*;
    use crate::base::error::HResult;
    use proptest::prelude::*;

    const ROOT: &str = "O:BAG:BAD:(A;CI;CCDCLCSWRPWPRCWD;;;BA)(A;CI;CCDCRP;;;NS)(A;CI;CCDCRP;;;LS)(A;CI;CCDCRP;;;AU)";

    fn entries(descriptor: &SecurityDescriptor) -> &[Ace] {
        let Dacl::List(list) = descriptor.dacl() else {
            panic!("there is a list")
        };
        list.entries()
    }

    #[test]
    fn the_default_of_root_as_text() {
        let root = defaults::of_root();
        assert_eq!(print(&root).unwrap(), ROOT);
        let parsed = parse(ROOT).unwrap();
        assert_eq!(entries(&parsed), entries(&root));
        assert_eq!(
            (parsed.owner(), parsed.group(), parsed.control()),
            (root.owner(), root.group(), root.control())
        );
    }

    #[test]
    fn every_part_has_its_bytes() {
        let text = "O:S-1-5-18G:S-1-5-32-544D:PAR(D;OICINPIO;0x6003f;;;S-1-5-80-1-2)(A;;19;;;WD)S:AI(AU;SAFA;RCWD;;;WD)";
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.owner(), Some(&Sid::LOCAL_SYSTEM));
        assert_eq!(parsed.group(), Some(&Sid::ADMINISTRATORS));
        assert_eq!(
            parsed.control().bits(),
            0x8000 | 0x1000 | 0x100 | 0x4 | 0x10 | 0x800
        );
        let service = "S-1-5-80-1-2".parse().unwrap();
        let all = AceFlags::from_bits_retain(0xF);
        let expected = [
            Ace::deny(all, 0x6003F, service),
            Ace::allow(AceFlags::empty(), 19, Sid::EVERYONE),
        ];
        assert_eq!(entries(&parsed), expected);
        let audits = [
            2, 0, 28, 0, 1, 0, 0, 0, // list
            2, 0xC0, 20, 0, 0, 0, 6, 0, // entry
            1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, // S-1-1-0
        ];
        assert_eq!(parsed.sacl(), Some(&audits[..]));
        let printed = "O:SYG:BAD:PAR(D;OICINPIO;CCDCLCSWRPWPRCWD;;;S-1-5-80-1-2)(A;;CCDCRP;;;WD)S:AI(AU;SAFA;RCWD;;;WD)";
        assert_eq!(print(&parsed).unwrap(), printed);
        assert_eq!(parse(printed).unwrap(), parsed);
    }

    #[test]
    fn names_differ_and_stand_for_one_thing() {
        for (number, (name, sid)) in SIDS.iter().enumerate() {
            assert!(
                SIDS[..number]
                    .iter()
                    .all(|(other, known)| other != name && known != sid),
                "{name}"
            );
            assert_eq!(parse(&format!("O:{name}")).unwrap().owner(), Some(sid));
        }
        let named = |mask: u32| print_mask(mask);
        assert_eq!(named(AccessRights::all().bits()), "CCDCLCSWRPWPDTLORCWD");
        assert_eq!(named(0x1000_0000), "0x10000000");
    }

    fn print_mask(mask: u32) -> String {
        let mut text = String::new();
        print_entry(
            ListKind::Dacl,
            &Ace::allow(AceFlags::empty(), mask, Sid::EVERYONE),
            &mut text,
        )
        .unwrap();
        text.trim_start_matches("(A;;")
            .trim_end_matches(";;;WD)")
            .to_owned()
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_place() {
        let wrong = [
            ("x", "byte 0"),
            ("O", "byte 1"),
            ("O:ba", "byte 2"),
            ("o:BA", "byte 0"),
            ("O:DA", "byte 2"),
            ("O:S-1-", "byte 2"),
            ("O:é", "byte 2"),
            ("O:BAO:BA", "twice"),
            ("D:D:", "twice"),
            ("D:(A;CI;CC;;;WD", "parenthesis"),
            ("D:(A;CI;CC;;WD)", "semicolon"),
            ("D:(A;ci;CC;;;WD)", "ci"),
            ("D:(a;CI;CC;;;WD)", "kind a"),
            ("D:(A;CI;GA;;;WD)", "GA"),
            ("D:(A;C;CC;;;WD)", "\"C\""),
            ("D:(A;;0x1FFFFFFFF;;;WD)", "32 bits"),
            ("D:(A;;0x+1;;;WD)", "32 bits"),
            ("D:(AU;;CC;;;WD)", "kind AU"),
            ("S:(A;;CC;;;WD)", "kind A "),
            ("D:(XA;;CC;;;WD;(x))", "parenthesis"),
            ("D:(OA;;CC;e0;;WD)", "objects"),
            ("D:NO_ACCESS_CONTROL", "everybody"),
            ("D:(A;;CC;;;WD) ", "byte 14"),
        ];
        for (text, hint) in wrong {
            let refusal = parse(text).unwrap_err();
            assert_eq!(refusal.hresult(), HResult::INVALID_PARAMETER);
            assert!(refusal.to_string().contains(hint), "{text}: {refusal}");
        }
        assert_eq!(parse("").unwrap().dacl(), Dacl::Absent);
    }

    #[test]
    fn what_has_no_text_is_not_printed() {
        let with = |ace| {
            print(&SecurityDescriptor::new(None, None).with_dacl(Acl::new(vec![ace]).unwrap()))
        };
        assert!(with(Ace::allow(AceFlags::empty(), 1, Sid::EVERYONE)).is_some());
        assert_eq!(
            with(Ace::allow(
                AceFlags::from_bits_retain(0x20),
                1,
                Sid::EVERYONE
            )),
            None
        );
        let other = |kind, bytes: &[u8]| Ace {
            flags: AceFlags::empty(),
            body: AceBody::Other {
                kind,
                bytes: bytes.into(),
            },
        };
        assert_eq!(with(other(9, &[0; 16])), None);
        assert_eq!(
            with(audit(AceFlags::empty(), 1, Sid::EVERYONE)),
            None,
            "it belongs into the list of audits"
        );
        let audits = |ace| {
            print(&SecurityDescriptor::new(None, None).with_sacl(&Acl::new(vec![ace]).unwrap()))
        };
        assert!(audits(audit(AceFlags::empty(), 1, Sid::EVERYONE)).is_some());
        assert_eq!(
            audits(Ace::allow(AceFlags::empty(), 1, Sid::EVERYONE)),
            None,
            "it belongs into the other list"
        );
        assert_eq!(audits(other(AUDIT, &[0; 5])), None);
        let mut null = SecurityDescriptor::new(None, None).to_bytes();
        null[2] = 4;
        assert_eq!(print(&SecurityDescriptor::parse(&null).unwrap()), None);
        null[2] = 16;
        assert_eq!(print(&SecurityDescriptor::parse(&null).unwrap()), None);
    }

    #[test]
    fn a_namespace_gets_what_the_text_says_and_what_it_inherits() {
        let root = defaults::of_root();
        let open = of_namespace("O:BAG:BAD:(A;CI;CCDCWP;;;AU)", Some(&root)).unwrap();
        assert_eq!(entries(&open).len(), 5);
        assert_eq!(
            entries(&open)[0],
            Ace::allow(AceFlags::CONTAINER_INHERIT, 0x23, Sid::AUTHENTICATED_USERS)
        );
        let closed = of_namespace("O:BAG:BAD:P(A;CI;CCDCLCSWRPWPRCWD;;;SY)", Some(&root)).unwrap();
        assert_eq!(
            (entries(&closed).len(), closed.control().bits()),
            (1, 0x9004)
        );
        assert_eq!(
            of_namespace("D:", Some(&root)).unwrap().owner(),
            Some(&Sid::ADMINISTRATORS)
        );
        for refused in [
            "O:BAG:BA",
            "D:(A;CI;LC;;;AU)",
            "D:(A;IO;CC;;;AU)",
            "D:(A;CI;CR;;;AU)",
            "nonsense",
        ] {
            let refusal = of_namespace(refused, Some(&root)).unwrap_err();
            assert_eq!(refusal.hresult(), HResult::INVALID_PARAMETER, "{refused}");
        }
    }

    fn any_ace() -> impl Strategy<Value = Ace> {
        let sid = prop_oneof![
            prop::sample::select(&SIDS[..]).prop_map(|(_, sid)| sid),
            prop::collection::vec(any::<u32>(), 0..4)
                .prop_map(|parts| Sid::new(5, &parts).unwrap()),
            Just(Sid::new(0xABC_DEF0_1234, &[13]).unwrap()),
        ];
        let flags = prop::bits::u8::masked(0xDF).prop_map(AceFlags::from_bits_retain);
        (
            any::<bool>(),
            flags,
            prop_oneof![0..0x200u32, any::<u32>()],
            sid,
        )
            .prop_map(|(is_deny, flags, mask, sid)| {
                if is_deny {
                    Ace::deny(flags, mask, sid)
                } else {
                    Ace::allow(flags, mask, sid)
                }
            })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(
            list in prop::collection::vec(any_ace(), 0..6),
            audits in prop::option::of(prop::collection::vec(any_ace(), 0..3)),
            owner in prop::option::of(any_ace()),
            control in any::<u16>(),
        ) {
            let sid = |ace: &Ace| match &ace.body {
                AceBody::Allow(trustee) | AceBody::Deny(trustee) => trustee.sid,
                AceBody::Other { .. } => unreachable!("none is made"),
            };
            let owner = owner.as_ref().map(sid);
            let mut descriptor = SecurityDescriptor::new(owner, owner).with_dacl(Acl::new(list).unwrap());
            // Flags that only the text of an audit list can express require such a list.
            let mut sayable = Control::DACL_PROTECTED | Control::DACL_AUTO_INHERIT_REQ | Control::DACL_AUTO_INHERITED;
            if let Some(audits) = audits {
                let audits = audits.iter().map(|ace| audit(ace.flags, ace.mask().unwrap(), sid(ace))).collect();
                descriptor = descriptor.with_sacl(&Acl::new(audits).unwrap());
                sayable |= Control::SACL_PROTECTED | Control::SACL_AUTO_INHERIT_REQ | Control::SACL_AUTO_INHERITED;
            }
            let descriptor = descriptor.with_control(Control::from_bits_retain(control) & sayable);
            let text = print(&descriptor).unwrap();
            prop_assert_eq!(parse(&text).unwrap(), descriptor, "{}", text);
        }

        #[test]
        fn any_text_is_refused_or_read_for_good(text in "([OGDS]:|[(;)]|CI|A|D|AU|CC|WD|BA|S-1-5-18|[a-zé0-9]){0,20}") {
            if let Ok(descriptor) = parse(&text) {
                let printed = print(&descriptor).unwrap();
                prop_assert_eq!(parse(&printed).unwrap(), descriptor);
            }
        }
    }
}

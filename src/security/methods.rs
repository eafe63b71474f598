//! Rights checks of the methods of `__SystemSecurity`, which read and set the descriptor of a
//! namespace.
//!
//! Sources: WMI SDK, "GetSD", "SetSD", "GetCallerAccessRights". Points on which they are silent:
//!
//! * *Owner and group missing* is returned if either is missing; both are stored as given.
//! * Inherited entries in a new descriptor are not checked, because they are not used. So a
//!   descriptor that was read can be set again.
//! * The flags that an entry may have are object and container inheritance, no propagation, inherit
//!   only, and inherited.
//! * The audit list is for callers with `SeSecurityPrivilege` enabled. Others do not receive it,
//!   may not set one, and leave the present one unchanged.

use super::caller::{Caller, Privileges};
use super::connect::NamespaceSecurity;
use super::inheritance;
use super::rights::AccessRights;
use crate::base::error::{Error, Result};
use crate::base::misuse::Misuse;
use crate::format::security::acl::{Ace, AceBody, AceFlags};
use crate::format::security::descriptor::{Control, Dacl, SecurityDescriptor};

/// The flags of entries that are documented for namespaces.
const KNOWN_FLAGS: AceFlags = AceFlags::OBJECT_INHERIT
    .union(AceFlags::CONTAINER_INHERIT)
    .union(AceFlags::NO_PROPAGATE)
    .union(AceFlags::INHERIT_ONLY)
    .union(AceFlags::INHERITED);

impl NamespaceSecurity<'_> {
    /// `GetSD`: the descriptor with its own and its inherited entries.
    ///
    /// # Errors
    /// Returns [`Error::AccessDenied`] without `READ_CONTROL`.
    pub fn get_sd(&self, caller: &Caller) -> Result<Vec<u8>> {
        self.require(caller, AccessRights::READ_CONTROL)?;
        if caller.enabled().contains(Privileges::SECURITY) {
            return Ok(self.descriptor.to_bytes());
        }
        let without = SecurityDescriptor::new(None, None);
        Ok(self.descriptor.clone().with_sacl_of(&without).to_bytes())
    }

    /// `SetSD`: the descriptor that the namespace has after these bytes are set. `parent` is the
    /// descriptor of the parent namespace, or `None` for ROOT.
    ///
    /// # Errors
    /// Returns [`Error::AccessDenied`] without `WRITE_DAC`, or for an audit list without
    /// `SeSecurityPrivilege`; [`Error::InvalidObject`] if the bytes are not a descriptor;
    /// [`Error::InvalidArgument`] if owner, group or list is missing, if the list is damaged or
    /// would become too long, and for an entry that a namespace may not have.
    pub fn set_sd(
        &self,
        caller: &Caller,
        bytes: &[u8],
        parent: Option<&SecurityDescriptor>,
    ) -> Result<SecurityDescriptor> {
        self.require(caller, AccessRights::WRITE_DAC)?;
        let given = SecurityDescriptor::parse(bytes)?;
        check_parts(&given)?;
        let given = if given.control().contains(Control::SACL_PRESENT) {
            may_set_audits(caller)?;
            given
        } else {
            given.with_sacl_of(self.descriptor)
        };
        check_entries(&inheritance::explicit(&given))?;
        inheritance::merged(&given, parent)
    }

    /// `GetCallerAccessRights`: the rights of the caller. Any caller who may use the namespace at
    /// all may ask, even one who may not run methods.
    ///
    /// # Errors
    /// Returns [`Error::AccessDenied`] without `WBEM_ENABLE`.
    pub fn caller_access_rights(&self, caller: &Caller) -> Result<AccessRights> {
        self.require(caller, AccessRights::ENABLE)
    }
}

fn check_parts(given: &SecurityDescriptor) -> Result<()> {
    if given.owner().is_none() || given.group().is_none() {
        return Err(Error::invalid(
            Misuse::SecurityDescriptor,
            "the security descriptor has to name its owner and its group",
        ));
    }
    match given.dacl() {
        Dacl::List(_) => Ok(()),
        Dacl::Absent | Dacl::Null => Err(Error::invalid(
            Misuse::SecurityDescriptor,
            "the security descriptor has no access control list, which would let everybody in",
        )),
    }
}

fn may_set_audits(caller: &Caller) -> Result<()> {
    if caller.enabled().contains(Privileges::SECURITY) {
        return Ok(());
    }
    let user = caller.user();
    Err(Error::denied(format!(
        "{user} needs SeSecurityPrivilege, enabled, to set a list of audits"
    )))
}

/// Checks that a namespace may have these entries as its own.
///
/// # Errors
/// Returns [`Error::InvalidArgument`] for the first that it may not have.
pub fn check_entries(entries: &[Ace]) -> Result<()> {
    entries
        .iter()
        .enumerate()
        .try_for_each(|(number, ace)| match fault_of(ace) {
            Some(fault) => Err(Error::invalid(
                Misuse::SecurityDescriptor,
                format!("own entry {number} of the access control list {fault}"),
            )),
            None => Ok(()),
        })
}

fn fault_of(ace: &Ace) -> Option<String> {
    let mask = match &ace.body {
        AceBody::Allow(trustee) | AceBody::Deny(trustee) => {
            AccessRights::from_bits_retain(trustee.mask)
        }
        AceBody::Other { kind, .. } => {
            return Some(format!(
                "is of kind {kind}, and neither allows (0) nor denies (1)"
            ));
        }
    };
    let (unknown, unknown_flags) = (mask - AccessRights::all(), ace.flags - KNOWN_FLAGS);
    if !unknown.is_empty() {
        return Some(format!("has unknown rights: {unknown}"));
    }
    if !unknown_flags.is_empty() {
        return Some(format!("has unknown flags: {:#x}", unknown_flags.bits()));
    }
    if mask.contains(AccessRights::FULL_WRITE_REP) && !mask.contains(AccessRights::FULL_WRITE) {
        return Some("has FULL_WRITE_REP without PARTIAL_WRITE_REP and WRITE_PROVIDER".to_owned());
    }
    if ace.flags.contains(AceFlags::INHERIT_ONLY)
        && !ace.flags.contains(AceFlags::CONTAINER_INHERIT)
    {
        return Some(
            "is for children alone (INHERIT_ONLY), but no children inherit it (CONTAINER_INHERIT)"
                .to_owned(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::connect::tests::giving;
    use super::super::defaults;
    use super::*;
    use crate::base::error::HResult;
    use crate::format::security::acl::Acl;
    use crate::format::security::sid::Sid;
    use proptest::prelude::*;

    const USER: Sid = Sid::USERS;
    const NONE: AceFlags = AceFlags::empty();

    fn descriptor(entries: Vec<Ace>) -> SecurityDescriptor {
        SecurityDescriptor::new(Some(USER), Some(USER)).with_dacl(Acl::new(entries).unwrap())
    }

    fn set(bytes: &[u8]) -> Result<SecurityDescriptor, HResult> {
        set_as(
            &Caller::local(USER),
            &giving(USER, AccessRights::WRITE_DAC),
            bytes,
        )
    }

    fn set_as(
        caller: &Caller,
        now: &SecurityDescriptor,
        bytes: &[u8],
    ) -> Result<SecurityDescriptor, HResult> {
        let namespace = NamespaceSecurity {
            path: "ROOT\\X",
            descriptor: now,
            requires_encryption: false,
        };
        namespace
            .set_sd(caller, bytes, Some(&defaults::of_root()))
            .map_err(|error| error.hresult())
    }

    fn set_entry(ace: Ace) -> Result<(), HResult> {
        set(&descriptor(vec![ace]).to_bytes()).map(|_| ())
    }

    #[test]
    fn rights_are_asked_for_first() {
        let good = descriptor(vec![]).to_bytes();
        for bits in [0, 0x2FFFF, 0x600FF - 0x40000] {
            let now = giving(USER, AccessRights::from_bits_retain(bits));
            assert_eq!(
                set_as(&Caller::local(USER), &now, &good),
                Err(HResult::ACCESS_DENIED),
                "{bits:#x}"
            );
            assert_eq!(
                set_as(&Caller::local(USER), &now, b"no descriptor"),
                Err(HResult::ACCESS_DENIED),
                "{bits:#x}"
            );
        }
        assert!(set(&good).is_ok());
    }

    #[test]
    fn reading_needs_the_right_to_read() {
        let get = |bits| {
            let now = giving(USER, AccessRights::from_bits_retain(bits));
            let namespace = NamespaceSecurity {
                path: "ROOT",
                descriptor: &now,
                requires_encryption: false,
            };
            (
                now.to_bytes(),
                namespace
                    .get_sd(&Caller::local(USER))
                    .map_err(|error| error.hresult()),
            )
        };
        let (stored, read) = get(0x20000);
        assert_eq!(read, Ok(stored));
        assert_eq!(get(0x600FF - 0x20000).1, Err(HResult::ACCESS_DENIED));
    }

    #[test]
    fn bytes_that_are_no_descriptor_are_no_valid_object() {
        let good = descriptor(vec![]).to_bytes();
        let mut no_owner_there = good.clone();
        no_owner_there[4] = 200;
        for bytes in [
            &[][..],
            b"no descriptor at all, but long enough for one",
            &good[..19],
            &no_owner_there,
        ] {
            assert_eq!(set(bytes), Err(HResult::INVALID_OBJECT));
        }
    }

    #[test]
    fn a_missing_or_damaged_list_is_a_bad_parameter() {
        let owned = SecurityDescriptor::new(Some(USER), Some(USER));
        let absent = owned.to_bytes();
        let mut null = absent.clone();
        null[2] |= 4;
        let mut damaged = descriptor(vec![Ace::allow(NONE, 1, USER)]).to_bytes();
        damaged[24] = 2;
        let mut behind = descriptor(vec![]).to_bytes();
        behind[17] = 1;
        for bytes in [absent, null, damaged, behind] {
            assert_eq!(set(&bytes), Err(HResult::INVALID_PARAMETER));
        }
    }

    #[test]
    fn owner_and_group_have_to_be_there() {
        let list = || Acl::new(vec![]).unwrap();
        for (owner, group) in [(None, None), (Some(USER), None), (None, Some(USER))] {
            let bytes = SecurityDescriptor::new(owner, group)
                .with_dacl(list())
                .to_bytes();
            assert_eq!(set(&bytes), Err(HResult::INVALID_PARAMETER));
        }
    }

    #[test]
    fn full_write_comes_with_its_parts() {
        for other in 0..0x20u32 {
            let mask = 0x4 | other;
            let expected = if mask & 0x1C == 0x1C {
                Ok(())
            } else {
                Err(HResult::INVALID_PARAMETER)
            };
            assert_eq!(
                set_entry(Ace::allow(NONE, mask, USER)),
                expected,
                "{mask:#x}"
            );
            assert_eq!(
                set_entry(Ace::deny(NONE, mask, USER)),
                expected,
                "{mask:#x}"
            );
        }
        assert_eq!(
            set_entry(Ace::allow(NONE, 0x18, USER)),
            Ok(()),
            "the parts without the whole"
        );
    }

    #[test]
    fn of_rights_flags_and_kinds_only_the_documented_ones_are_taken() {
        for bit in (0..32).map(|bit| 1u32 << bit) {
            let mask = bit | if bit == 4 { 0x1C } else { 0 };
            let expected = if 0x600FF & bit != 0 {
                Ok(())
            } else {
                Err(HResult::INVALID_PARAMETER)
            };
            assert_eq!(
                set_entry(Ace::allow(NONE, mask, USER)),
                expected,
                "{bit:#x}"
            );
        }
        for flags in (0..=255)
            .map(AceFlags::from_bits_retain)
            .filter(|flags| !flags.contains(AceFlags::INHERITED))
        {
            let lost = flags.bits() & 0xA == 8;
            let expected = if flags.bits() < 0x20 && !lost {
                Ok(())
            } else {
                Err(HResult::INVALID_PARAMETER)
            };
            assert_eq!(set_entry(Ace::allow(flags, 1, USER)), expected, "{flags:?}");
        }
        for kind in 2..=255 {
            let body = AceBody::Other {
                kind,
                bytes: Ace::allow(NONE, 1, USER)
                    .mask()
                    .unwrap()
                    .to_le_bytes()
                    .into(),
            };
            assert_eq!(
                set_entry(Ace { flags: NONE, body }),
                Err(HResult::INVALID_PARAMETER),
                "kind {kind}"
            );
        }
    }

    #[test]
    fn inherited_entries_are_not_used() {
        let foreign = Ace::allow(
            AceFlags::INHERITED | AceFlags::CONTAINER_INHERIT,
            0x1F01FF,
            Sid::EVERYONE,
        );
        let own = Ace::allow(AceFlags::CONTAINER_INHERIT, 0x23, USER);
        let stored = set(&descriptor(vec![foreign, own.clone()]).to_bytes()).unwrap();
        let Dacl::List(list) = stored.dacl() else {
            panic!("there is a list")
        };
        assert_eq!(list.entries()[0], own);
        assert_eq!(
            list.entries()[1..],
            inheritance::inherited(&defaults::of_root())[..]
        );
        assert!(list.spare().is_empty());
        let again = set_as(
            &Caller::local(USER).in_groups([Sid::ADMINISTRATORS]),
            &stored,
            &stored.to_bytes(),
        );
        assert_eq!(again.unwrap(), stored, "what was read can be set");
    }

    #[test]
    fn audits_are_for_callers_with_the_privilege() {
        let audit = Acl::new(vec![Ace::allow(AceFlags::FAILED_ACCESS, 1, Sid::EVERYONE)]).unwrap();
        let now =
            giving(USER, AccessRights::WRITE_DAC | AccessRights::READ_CONTROL).with_sacl(&audit);
        let namespace = NamespaceSecurity {
            path: "ROOT",
            descriptor: &now,
            requires_encryption: false,
        };
        let without = Caller::local(USER).holding(Privileges::SECURITY);
        let with = without.clone().enabling(Privileges::SECURITY);
        let read = |caller| SecurityDescriptor::parse(&namespace.get_sd(caller).unwrap()).unwrap();
        assert_eq!(
            read(&with),
            SecurityDescriptor::parse(&now.to_bytes()).unwrap()
        );
        assert_eq!(
            (read(&without).sacl(), read(&without).control().bits()),
            (None, 0x8004)
        );

        let plain = descriptor(vec![]);
        for caller in [&with, &without] {
            let stored = set_as(caller, &now, &plain.to_bytes()).unwrap();
            assert_eq!(
                (stored.sacl(), stored.control().bits()),
                (now.sacl(), 0x8014),
                "what is not given stays"
            );
        }
        let other = Acl::new(vec![]).unwrap();
        let given = plain.with_sacl(&other).to_bytes();
        assert_eq!(set_as(&without, &now, &given), Err(HResult::ACCESS_DENIED));
        assert_eq!(
            set_as(&with, &now, &given).unwrap().sacl(),
            Some(&[2, 0, 8, 0, 0, 0, 0, 0][..])
        );
    }

    #[test]
    fn any_enabled_caller_learns_its_rights() {
        let ask = |bits| {
            let now = giving(USER, AccessRights::from_bits_retain(bits));
            let namespace = NamespaceSecurity {
                path: "ROOT",
                descriptor: &now,
                requires_encryption: false,
            };
            namespace
                .caller_access_rights(&Caller::local(USER))
                .map_err(|error| error.hresult())
        };
        assert_eq!(
            ask(0x21),
            Ok(AccessRights::ENABLE | AccessRights::REMOTE_ACCESS),
            "without METHOD_EXECUTE"
        );
        assert_eq!(ask(0x60022), Err(HResult::ACCESS_DENIED));
    }

    fn any_ace() -> impl Strategy<Value = Ace> {
        let flags = prop_oneof![prop::bits::u8::masked(0x1F), any::<u8>()]
            .prop_map(AceFlags::from_bits_retain);
        let mask = prop_oneof![
            prop::bits::u32::masked(0x600FB),
            prop::bits::u32::masked(0x600FF),
            any::<u32>()
        ];
        let kind = prop_oneof![9 => 0..2u8, 1 => 2..20u8];
        (
            flags,
            mask,
            kind,
            prop::sample::select(&[Sid::EVERYONE, USER][..]),
        )
            .prop_map(|(flags, mask, kind, sid)| match kind {
                0 => Ace::allow(flags, mask, sid),
                1 => Ace::deny(flags, mask, sid),
                _ => Ace {
                    flags,
                    body: AceBody::Other {
                        kind,
                        bytes: mask.to_le_bytes().into(),
                    },
                },
            })
    }

    proptest! {
        #[test]
        fn what_is_taken_holds_every_rule_and_can_be_set_again(entries in prop::collection::vec(any_ace(), 0..4), control in any::<u16>()) {
            let given = descriptor(entries.clone()).with_control(Control::from_bits_retain(control));
            let own: Vec<&Ace> = entries.iter().filter(|ace| ace.flags.bits() & 0x10 == 0).collect();
            let is_good = |ace: &&&Ace| {
                let (flags, mask) = (ace.flags.bits(), ace.mask().unwrap());
                ace.kind() < 2 && flags < 0x20 && flags & 0xA != 8 && mask & !0x600FF == 0 && (mask & 4 == 0 || mask & 0x1C == 0x1C)
            };
            match set(&given.to_bytes()) {
                Ok(stored) => {
                    prop_assert_eq!(own.iter().filter(is_good).count(), own.len());
                    let Dacl::List(list) = stored.dacl() else { panic!("there is a list") };
                    let inherited = if control & 0x1000 == 0 { 4 } else { 0 };
                    prop_assert_eq!(list.entries().len(), own.len() + inherited);
                    prop_assert!(list.entries().iter().zip(&own).all(|(stored, own)| stored == *own));
                    prop_assert_eq!(set(&stored.to_bytes()).unwrap().to_bytes(), stored.to_bytes());
                }
                Err(code) => {
                    prop_assert_eq!(code, HResult::INVALID_PARAMETER);
                    prop_assert!(own.iter().filter(is_good).count() < own.len());
                }
            }
        }

        #[test]
        fn other_bytes_are_refused_with_one_of_two_codes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let code = set(&bytes).unwrap_err();
            prop_assert!(code == HResult::INVALID_OBJECT || code == HResult::INVALID_PARAMETER);
        }
    }
}

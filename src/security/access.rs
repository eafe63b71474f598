//! Evaluation of the rights that a descriptor gives a caller.
//!
//! This is the standard algorithm of Windows ([MS-DTYP] 2.5.3.2), applied to all rights at once.
//! The entries of the list are examined in order, and for each right the first entry that mentions
//! it for the caller decides. So a list has a meaning even if it is not in canonical order (denials
//! first), but another order has another meaning.
//!
//! * Without a list, and with a NULL list, everybody has all rights; with an empty list nobody has
//!   any.
//! * The owner may read the descriptor and change the list whatever the list says, unless it has an
//!   entry for `S-1-3-4`, which then applies to the owner. Windows treats every descriptor in this
//!   way. The documents of WMI do not confirm it, but the owner of every namespace in known
//!   repositories is the group of administrators, who have both rights anyway.
//! * Entries of kinds other than allow and deny, which no namespace may have, grant nothing.
//!   Entries of a kind that denies something deny it to everyone, because their subject cannot be
//!   determined and refusal is the safe side.
//!
//! A page of the SDK ("Access to WMI Securable Objects") describes it differently: the first
//! allowing entry that applies ends the search. Both give the same result on a list in canonical
//! order with a single allowing entry that covers the request. They differ if two entries each
//! grant a part; the standard algorithm then grants the sum.

use super::caller::Caller;
use super::rights::AccessRights;
use crate::format::security::acl::{Ace, AceBody, AceFlags};
use crate::format::security::descriptor::{Dacl, SecurityDescriptor};
use crate::format::security::sid::Sid;

/// Kinds of entries that deny something under conditions that a namespace does not have: for
/// objects, by a callback, or both.
const OTHER_DENYING_KINDS: [u8; 3] = [6, 10, 12];

/// Rights that an owner always has.
const OF_OWNER: AccessRights = AccessRights::READ_CONTROL.union(AccessRights::WRITE_DAC);

/// The rights that a descriptor gives a caller. An absent list gives all rights that have a name;
/// other bits are kept if an entry grants them.
pub fn granted(descriptor: &SecurityDescriptor, caller: &Caller) -> AccessRights {
    let Dacl::List(list) = descriptor.dacl() else {
        return AccessRights::all();
    };
    let counting = || {
        list.entries()
            .iter()
            .filter(|ace| !ace.flags.contains(AceFlags::INHERIT_ONLY))
    };
    let owner = descriptor.owner();
    let has_owner_entry = counting().any(|ace| trustee_of(ace) == Some(&Sid::OWNER_RIGHTS));
    let is_owner = owner.is_some_and(|owner| caller.is_allowed_as(owner));
    let mut granted = if is_owner && !has_owner_entry {
        OF_OWNER
    } else {
        AccessRights::empty()
    };
    let mut denied = AccessRights::empty();
    for ace in counting() {
        let mask = AccessRights::from_bits_retain(ace.mask().unwrap_or(u32::MAX));
        let (is_allowing, is_denying) = match &ace.body {
            AceBody::Allow(trustee) => {
                (caller.is_allowed_as(stands_for(&trustee.sid, owner)), false)
            }
            AceBody::Deny(trustee) => (false, caller.is_denied_as(stands_for(&trustee.sid, owner))),
            AceBody::Other { kind, .. } => (false, OTHER_DENYING_KINDS.contains(kind)),
        };
        if is_allowing {
            granted |= mask - denied;
        }
        if is_denying {
            denied |= mask - granted;
        }
    }
    granted
}

/// The subject of an entry that allows or denies something.
fn trustee_of(ace: &Ace) -> Option<&Sid> {
    match &ace.body {
        AceBody::Allow(trustee) | AceBody::Deny(trustee) => Some(&trustee.sid),
        AceBody::Other { .. } => None,
    }
}

/// Replaces the identifier of owner rights by the owner.
fn stands_for<'s>(sid: &'s Sid, owner: Option<&'s Sid>) -> &'s Sid {
    owner.filter(|_| *sid == Sid::OWNER_RIGHTS).unwrap_or(sid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::security::acl::Acl;
    use crate::format::security::descriptor::Control;
    use proptest::prelude::*;

    const NONE: AceFlags = AceFlags::empty();
    const PEOPLE: [Sid; 6] = [
        Sid::EVERYONE,
        Sid::ADMINISTRATORS,
        Sid::LOCAL_SERVICE,
        Sid::NETWORK_SERVICE,
        Sid::AUTHENTICATED_USERS,
        Sid::OWNER_RIGHTS,
    ];

    fn descriptor(entries: Vec<Ace>) -> SecurityDescriptor {
        let owner = Some(Sid::ADMINISTRATORS);
        SecurityDescriptor::new(owner, owner).with_dacl(Acl::new(entries).unwrap())
    }

    fn rights(bits: u32) -> AccessRights {
        AccessRights::from_bits_retain(bits)
    }

    /// The standard algorithm as published, for one request: it ends at the first denial of a
    /// requested right, or when everything requested has been granted.
    fn standard(entries: &[Ace], caller: &Caller, owner: &Sid, wanted: u32) -> bool {
        let counting: Vec<&Ace> = entries
            .iter()
            .filter(|ace| !ace.flags.contains(AceFlags::INHERIT_ONLY))
            .collect();
        let mut wanted = wanted;
        let is_special = |ace: &&&Ace| trustee_of(ace) == Some(&Sid::OWNER_RIGHTS);
        if caller.is_allowed_as(owner) && counting.iter().find(is_special).is_none() {
            wanted &= !0x6_0000;
        }
        for ace in counting {
            let sid = trustee_of(ace).map(|sid| {
                if *sid == Sid::OWNER_RIGHTS {
                    owner
                } else {
                    sid
                }
            });
            match &ace.body {
                _ if wanted == 0 => break,
                AceBody::Allow(trustee) if caller.is_allowed_as(sid.unwrap()) => {
                    wanted &= !trustee.mask
                }
                AceBody::Deny(trustee)
                    if caller.is_denied_as(sid.unwrap()) && wanted & trustee.mask != 0 =>
                {
                    return false;
                }
                _ => {}
            }
        }
        wanted == 0
    }

    /// The rule on the SDK's page: the first allowing entry that applies ends the search.
    fn first_applicable(entries: &[Ace], caller: &Caller, wanted: u32) -> bool {
        for ace in entries
            .iter()
            .filter(|ace| !ace.flags.contains(AceFlags::INHERIT_ONLY))
        {
            match &ace.body {
                AceBody::Deny(trustee)
                    if caller.is_denied_as(&trustee.sid) && trustee.mask & wanted != 0 =>
                {
                    return false;
                }
                AceBody::Allow(trustee) if caller.is_allowed_as(&trustee.sid) => {
                    return trustee.mask & wanted == wanted;
                }
                _ => {}
            }
        }
        false
    }

    fn any_ace() -> impl Strategy<Value = Ace> {
        let mask = prop_oneof![0..16u32, any::<u32>()];
        (
            any::<bool>(),
            prop::bits::u8::masked(0x1F),
            mask,
            prop::sample::select(&PEOPLE[..]),
        )
            .prop_map(|(is_deny, flags, mask, sid)| match is_deny {
                true => Ace::deny(AceFlags::from_bits_retain(flags), mask, sid),
                false => Ace::allow(AceFlags::from_bits_retain(flags), mask, sid),
            })
    }

    fn any_caller() -> impl Strategy<Value = Caller> {
        let groups = || prop::sample::subsequence(&PEOPLE[..5], 0..4);
        (prop::sample::select(&PEOPLE[..5]), groups(), groups()).prop_map(
            |(user, groups, deny_only)| {
                Caller::local(user)
                    .in_groups(groups)
                    .in_deny_only_groups(deny_only)
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_granted_is_what_the_standard_algorithm_grants_of_each_request(
            entries in prop::collection::vec(any_ace(), 0..8),
            caller in any_caller(),
            wanted in prop_oneof![0..16u32, any::<u32>()],
        ) {
            let granted = granted(&descriptor(entries.clone()), &caller);
            let expected = standard(&entries, &caller, &Sid::ADMINISTRATORS, wanted);
            prop_assert_eq!(granted.contains(rights(wanted)), expected, "{:?}", granted);
        }

        /// The case in which both descriptions must agree: denials first, and a single allowing
        /// entry that covers the request.
        #[test]
        fn both_descriptions_agree_on_canonical_lists(
            entries in prop::collection::vec(any_ace(), 0..8),
            allowing in prop::sample::select(&PEOPLE[..5]),
            caller in any_caller(),
            wanted in 1..0x100u32,
        ) {
            let mut entries: Vec<Ace> = entries.into_iter().filter(|ace| ace.kind() == 1).collect();
            entries.push(Ace::allow(NONE, 0x600FF, allowing));
            entries.retain(|ace| trustee_of(ace) != Some(&Sid::OWNER_RIGHTS));
            let granted = granted(&descriptor(entries.clone()), &caller);
            prop_assert_eq!(granted.contains(rights(wanted)), first_applicable(&entries, &caller, wanted));
        }
    }

    #[test]
    fn both_descriptions_differ_where_two_entries_give_a_part_each() {
        let entries = vec![
            Ace::allow(NONE, 0x1, Sid::EVERYONE),
            Ace::allow(NONE, 0x2, Sid::USERS),
        ];
        let caller = Caller::local(Sid::USERS).in_groups([Sid::EVERYONE]);
        assert!(!first_applicable(&entries, &caller, 3));
        assert_eq!(granted(&descriptor(entries), &caller), rights(3));
    }

    #[test]
    fn the_order_of_entries_decides() {
        let allow = Ace::allow(NONE, 0x13, Sid::USERS);
        let deny = Ace::deny(NONE, 0x2, Sid::USERS);
        let caller = Caller::local(Sid::USERS);
        assert_eq!(
            granted(&descriptor(vec![deny.clone(), allow.clone()]), &caller),
            rights(0x11)
        );
        assert_eq!(
            granted(&descriptor(vec![allow, deny]), &caller),
            rights(0x13)
        );
    }

    #[test]
    fn without_a_list_everybody_has_all_and_with_an_empty_one_nobody_has_any() {
        let stranger = Caller::local(Sid::USERS);
        let absent = SecurityDescriptor::new(Some(Sid::ADMINISTRATORS), None);
        assert_eq!(granted(&absent, &stranger), AccessRights::all());
        let mut null = absent.to_bytes();
        null[2] |= u8::try_from(Control::DACL_PRESENT.bits()).unwrap();
        let null = SecurityDescriptor::parse(&null).unwrap();
        assert_eq!(granted(&null, &stranger), AccessRights::all());
        assert_eq!(
            granted(&descriptor(vec![]), &stranger),
            AccessRights::empty()
        );
    }

    #[test]
    fn no_matching_entry_is_no_right() {
        let entries = vec![Ace::allow(NONE, 0x6003F, Sid::LOCAL_SYSTEM)];
        assert_eq!(
            granted(&descriptor(entries), &Caller::local(Sid::USERS)),
            AccessRights::empty()
        );
    }

    #[test]
    fn the_owner_reads_the_descriptor_and_changes_the_list() {
        let owner = Caller::local(Sid::USERS).in_groups([Sid::ADMINISTRATORS]);
        assert_eq!(granted(&descriptor(vec![]), &owner), OF_OWNER);
        let denied = descriptor(vec![Ace::deny(NONE, u32::MAX, Sid::EVERYONE)]);
        assert_eq!(
            granted(&denied, &owner.clone().in_groups([Sid::EVERYONE])),
            OF_OWNER,
            "no entry takes it"
        );
        let before_consent = Caller::local(Sid::USERS).in_deny_only_groups([Sid::ADMINISTRATORS]);
        assert_eq!(
            granted(&descriptor(vec![]), &before_consent),
            AccessRights::empty()
        );
        let restrained = |flags| descriptor(vec![Ace::allow(flags, 0x20000, Sid::OWNER_RIGHTS)]);
        assert_eq!(
            granted(&restrained(NONE), &owner),
            AccessRights::READ_CONTROL,
            "the entry speaks for the owner"
        );
        assert_eq!(
            granted(&restrained(AceFlags::INHERIT_ONLY), &owner),
            OF_OWNER,
            "it does not count here"
        );
        assert_eq!(
            granted(&restrained(NONE), &Caller::local(Sid::USERS)),
            AccessRights::empty()
        );
    }

    #[test]
    fn entries_for_children_do_not_count() {
        let entries = vec![
            Ace::deny(
                AceFlags::INHERIT_ONLY | AceFlags::CONTAINER_INHERIT,
                1,
                Sid::USERS,
            ),
            Ace::allow(AceFlags::CONTAINER_INHERIT, 1, Sid::USERS),
            Ace::allow(
                AceFlags::INHERIT_ONLY | AceFlags::CONTAINER_INHERIT,
                2,
                Sid::USERS,
            ),
        ];
        assert_eq!(
            granted(&descriptor(entries), &Caller::local(Sid::USERS)),
            rights(1)
        );
    }

    #[test]
    fn other_kinds_give_nothing_and_may_take() {
        let other = |kind, mask: u32| Ace {
            flags: NONE,
            body: AceBody::Other {
                kind,
                bytes: mask.to_le_bytes().into(),
            },
        };
        let with = |ace| {
            let entries = vec![ace, Ace::allow(NONE, 0x13, Sid::USERS)];
            granted(&descriptor(entries), &Caller::local(Sid::USERS))
        };
        for kind in (2..=255).filter(|kind| !OTHER_DENYING_KINDS.contains(kind)) {
            assert_eq!(with(other(kind, u32::MAX)), rights(0x13), "kind {kind}");
        }
        OTHER_DENYING_KINDS
            .iter()
            .for_each(|kind| assert_eq!(with(other(*kind, 2)), rights(0x11)));
        let short = Ace {
            flags: NONE,
            body: AceBody::Other {
                kind: 6,
                bytes: Box::new([1]),
            },
        };
        assert_eq!(with(short), AccessRights::empty());
    }

    #[test]
    fn generic_rights_are_no_rights() {
        let entries = vec![Ace::allow(NONE, 0x1000_0000, Sid::USERS)];
        let granted = granted(&descriptor(entries), &Caller::local(Sid::USERS));
        assert!(!granted.intersects(AccessRights::all()));
    }
}

//! Inheritance: the entries that a new namespace inherits, and the combination of inherited entries
//! with own ones.
//!
//! A namespace inherits the entries of its parent that are for containers, when it is created and
//! when its descriptor is set. A later change of the parent does not affect existing namespaces.
//! The sources do not mention this case, but in known repositories descriptors have stayed as they
//! were created.
//!
//! The documents say that `SE_DACL_PROTECTED` has no effect. It has none on the children of a
//! protected namespace, which inherit from it as from others. But every protected namespace in
//! known repositories has only its own entries, although its parent would have passed some on. So a
//! protected descriptor inherits nothing here. Otherwise setting a descriptor that was read would
//! admit users whom the namespace was to keep out.

use super::defaults;
use crate::base::error::{Error, Result};
use crate::base::misuse::Misuse;
use crate::format::security::acl::{Ace, AceFlags, Acl};
use crate::format::security::descriptor::{Control, Dacl, SecurityDescriptor};
use crate::format::security::sid::Sid;

/// Flags that describe only how an entry is inherited.
const OF_INHERITANCE: AceFlags = AceFlags::OBJECT_INHERIT
    .union(AceFlags::CONTAINER_INHERIT)
    .union(AceFlags::NO_PROPAGATE)
    .union(AceFlags::INHERIT_ONLY);

/// The entries that a child namespace inherits, in the order of the parent's list. An entry for one
/// level is not passed on by the child; an entry only for children takes effect in the child.
pub fn inherited(parent: &SecurityDescriptor) -> Vec<Ace> {
    let Dacl::List(list) = parent.dacl() else {
        return Vec::new();
    };
    let inheritable = list
        .entries()
        .iter()
        .filter(|ace| ace.flags.contains(AceFlags::CONTAINER_INHERIT));
    inheritable
        .map(|ace| Ace {
            flags: flags_in_child(ace.flags),
            ..ace.clone()
        })
        .collect()
}

fn flags_in_child(flags: AceFlags) -> AceFlags {
    let taken = match flags.contains(AceFlags::NO_PROPAGATE) {
        true => OF_INHERITANCE,
        false => AceFlags::INHERIT_ONLY,
    };
    (flags - taken) | AceFlags::INHERITED
}

/// The entries of a descriptor that are not inherited, in order.
pub fn explicit(descriptor: &SecurityDescriptor) -> Vec<Ace> {
    let Dacl::List(list) = descriptor.dacl() else {
        return Vec::new();
    };
    list.entries()
        .iter()
        .filter(|ace| !ace.flags.contains(AceFlags::INHERITED))
        .cloned()
        .collect()
}

/// The descriptor of a new namespace that is given none: only inherited entries.
pub fn of_new_namespace(parent: &SecurityDescriptor) -> Result<SecurityDescriptor> {
    Ok(defaults::owned_by_administrators(
        list(inherited(parent))?.padded_to(defaults::LIST_BYTES),
    ))
}

/// The descriptor of a namespace that is given one: its own entries, followed by the inherited
/// ones. Owner and group are the given ones, or administrators if missing. A namespace without a
/// parent is ROOT.
///
/// # Errors
/// Returns [`Error::InvalidArgument`] if the list would be too long.
pub fn merged(
    own: &SecurityDescriptor,
    parent: Option<&SecurityDescriptor>,
) -> Result<SecurityDescriptor> {
    let parent = parent.filter(|_| !own.control().contains(Control::DACL_PROTECTED));
    let entries = [explicit(own), parent.map(inherited).unwrap_or_default()].concat();
    let or_administrators = |sid: Option<&Sid>| Some(*sid.unwrap_or(&Sid::ADMINISTRATORS));
    let merged = SecurityDescriptor::new(
        or_administrators(own.owner()),
        or_administrators(own.group()),
    );
    Ok(merged
        .with_dacl(list(entries)?)
        .with_control(own.control())
        .with_sacl_of(own))
}

fn list(entries: Vec<Ace>) -> Result<Acl> {
    Acl::new(entries).ok_or_else(|| {
        Error::invalid(
            Misuse::SecurityDescriptor,
            "the access control list would have more than 65,535 bytes; shorten it",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTAINER: AceFlags = AceFlags::CONTAINER_INHERIT;
    const INHERITED: AceFlags = AceFlags::INHERITED;

    fn descriptor(entries: Vec<Ace>) -> SecurityDescriptor {
        let owner = Some(Sid::ADMINISTRATORS);
        SecurityDescriptor::new(owner, owner).with_dacl(Acl::new(entries).unwrap())
    }

    fn entries(descriptor: &SecurityDescriptor) -> Vec<Ace> {
        let Dacl::List(list) = descriptor.dacl() else {
            panic!("there is a list")
        };
        list.entries().to_vec()
    }

    /// The flags that each of these becomes in a child and in a grandchild; `None` if the entry is
    /// not inherited.
    #[test]
    fn flags_say_how_far_an_entry_goes() {
        let (object, once, only) = (
            AceFlags::OBJECT_INHERIT,
            AceFlags::NO_PROPAGATE,
            AceFlags::INHERIT_ONLY,
        );
        let expected = [
            (AceFlags::empty(), None, None),
            (
                CONTAINER,
                Some(CONTAINER | INHERITED),
                Some(CONTAINER | INHERITED),
            ),
            (
                CONTAINER | INHERITED,
                Some(CONTAINER | INHERITED),
                Some(CONTAINER | INHERITED),
            ),
            (CONTAINER | once, Some(INHERITED), None),
            (
                CONTAINER | only,
                Some(CONTAINER | INHERITED),
                Some(CONTAINER | INHERITED),
            ),
            (CONTAINER | only | once, Some(INHERITED), None),
            (
                CONTAINER | object,
                Some(CONTAINER | object | INHERITED),
                Some(CONTAINER | object | INHERITED),
            ),
            (CONTAINER | object | once, Some(INHERITED), None),
            (object, None, None),
            (object | only, None, None),
            (INHERITED, None, None),
        ];
        for (flags, child, grandchild) in expected {
            for make in [Ace::allow, Ace::deny] {
                let root = descriptor(vec![make(flags, 0x13, Sid::USERS)]);
                let first = of_new_namespace(&root).unwrap();
                let in_child = |flags| make(flags, 0x13, Sid::USERS);
                assert_eq!(
                    entries(&first),
                    child.map(in_child).into_iter().collect::<Vec<_>>(),
                    "{flags:?}"
                );
                let second = of_new_namespace(&first).unwrap();
                assert_eq!(
                    entries(&second),
                    grandchild.map(in_child).into_iter().collect::<Vec<_>>(),
                    "{flags:?}"
                );
            }
        }
    }

    #[test]
    fn own_entries_stand_before_inherited_ones() {
        let parent = descriptor(vec![
            Ace::allow(CONTAINER, 0x6003F, Sid::ADMINISTRATORS),
            Ace::allow(AceFlags::empty(), 0x1, Sid::EVERYONE),
            Ace::deny(CONTAINER, 0x2, Sid::USERS),
        ]);
        let own = descriptor(vec![
            Ace::allow(CONTAINER, 0x23, Sid::USERS),
            Ace::allow(CONTAINER | INHERITED, 0x1, Sid::LOCAL_SERVICE),
            Ace::deny(AceFlags::empty(), 0x8, Sid::USERS),
        ]);
        let expected = [
            Ace::allow(CONTAINER, 0x23, Sid::USERS),
            Ace::deny(AceFlags::empty(), 0x8, Sid::USERS),
            Ace::allow(CONTAINER | INHERITED, 0x6003F, Sid::ADMINISTRATORS),
            Ace::deny(CONTAINER | INHERITED, 0x2, Sid::USERS),
        ];
        assert_eq!(entries(&merged(&own, Some(&parent)).unwrap()), expected);
        assert_eq!(
            entries(&merged(&own, None).unwrap()),
            expected[..2],
            "ROOT inherits nothing"
        );
        let protected = own.with_control(Control::DACL_PROTECTED | Control::DACL_AUTO_INHERIT_REQ);
        let merged = merged(&protected, Some(&parent)).unwrap();
        assert_eq!(entries(&merged), expected[..2]);
        assert_eq!(merged.control().bits(), 0x9104);
        assert_eq!(
            entries(&of_new_namespace(&merged).unwrap()).len(),
            1,
            "a protected parent gives as others do"
        );
    }

    #[test]
    fn a_parent_that_gives_nothing_leaves_a_list_without_entries() {
        let parent = descriptor(vec![Ace::allow(AceFlags::empty(), 0x13, Sid::USERS)]);
        let child = of_new_namespace(&parent).unwrap();
        assert!(
            matches!(child.dacl(), Dacl::List(list) if list.entries().is_empty() && list.byte_len() == 128)
        );
        let lists = SecurityDescriptor::new(None, None);
        assert_eq!(entries(&of_new_namespace(&lists).unwrap()), []);
    }

    #[test]
    fn missing_owners_and_lists_of_audits() {
        let audit = Acl::new(vec![Ace::deny(
            AceFlags::SUCCESSFUL_ACCESS,
            1,
            Sid::EVERYONE,
        )])
        .unwrap();
        let own = SecurityDescriptor::new(None, Some(Sid::USERS)).with_sacl(&audit);
        let merged = merged(&own, None).unwrap();
        assert_eq!(
            (merged.owner(), merged.group()),
            (Some(&Sid::ADMINISTRATORS), Some(&Sid::USERS))
        );
        assert_eq!(merged.sacl(), own.sacl());
        assert_eq!(merged.control().bits(), 0x8014);
    }

    #[test]
    fn a_list_that_grows_too_long_is_refused() {
        let many = vec![Ace::allow(CONTAINER, 1, Sid::EVERYONE); 2000];
        let (own, parent) = (descriptor(many.clone()), descriptor(many));
        assert!(matches!(
            merged(&own, Some(&parent)),
            Err(Error::InvalidArgument(_))
        ));
        assert!(merged(&own, None).is_ok());
    }
}

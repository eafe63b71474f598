//! The target `security_descriptor`: the input is a byte of flags and a security descriptor, or
//! with flag 1 one as text.
//!
//! Flags 2 and 4 choose who asks; the entry goes through all that is done with a descriptor that
//! somebody else wrote.

use cimrepo::format::security::acl::{Ace, AceFlags, Acl};
use cimrepo::format::security::descriptor::{Dacl, SecurityDescriptor};
use cimrepo::format::security::sid::Sid;
use cimrepo::security::{
    AccessRights, Caller, NamespaceSecurity, Privileges, access, defaults, inheritance, sddl,
};

/// The descriptor comes as text.
pub(crate) const TEXT: u8 = 1;
/// The caller is an administrator, and in two groups.
pub(crate) const ADMINISTRATOR: u8 = 2;
/// The caller has the privilege for lists of audits.
pub(crate) const AUDITOR: u8 = 4;

/// Runs the target on an input.
pub(crate) fn security_descriptor(input: &[u8]) {
    let [flags, rest @ ..] = input else { return };
    let caller = caller(*flags);
    if flags & TEXT != 0 {
        let Ok(text) = std::str::from_utf8(rest) else {
            return;
        };
        match sddl::parse(text) {
            Ok(descriptor) => check_text(&descriptor),
            Err(refusal) => assert!(!refusal.to_string().is_empty()),
        }
        return;
    }
    set(rest, &caller);
    match SecurityDescriptor::parse(rest) {
        Ok(descriptor) => check(&descriptor, rest, &caller),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}

fn caller(flags: u8) -> Caller {
    let mut caller = Caller::local(Sid::USERS);
    if flags & ADMINISTRATOR != 0 {
        caller = caller
            .in_groups([Sid::ADMINISTRATORS, Sid::EVERYONE])
            .in_deny_only_groups([Sid::LOCAL_SERVICE]);
    }
    if flags & AUDITOR != 0 {
        caller = caller
            .holding(Privileges::SECURITY)
            .enabling(Privileges::SECURITY);
    }
    caller
}

/// What was read says the same when it is written and read again, and is no longer than what it was
/// read from and the parts that may have shared bytes.
fn check(descriptor: &SecurityDescriptor, input: &[u8], caller: &Caller) {
    let bytes = descriptor.to_bytes();
    assert!(bytes.len() <= 4 * input.len());
    let again = SecurityDescriptor::parse(&bytes).expect("what was written can be read");
    assert_eq!(again.to_bytes(), bytes);
    assert_eq!(again.canonical(), descriptor.clone().canonical());
    if let Some(text) = sddl::print(descriptor) {
        let said = sddl::parse(&text).expect("what was printed can be read");
        assert_eq!(
            access::granted(&said, caller),
            access::granted(descriptor, caller),
            "{text}"
        );
    }
    check_rights(descriptor, caller);
    check_inheritance(descriptor);
}

/// Nobody gets more by one more entry that denies it at the front, and nobody less by one that
/// allows it at the end.
fn check_rights(descriptor: &SecurityDescriptor, caller: &Caller) {
    let granted = access::granted(descriptor, caller);
    assert!(!granted.to_string().is_empty());
    let Dacl::List(list) = descriptor.dacl() else {
        return assert_eq!(granted, AccessRights::all());
    };
    let with = |front: Option<Ace>, end: Option<Ace>| {
        let entries = front
            .into_iter()
            .chain(list.entries().iter().cloned())
            .chain(end);
        let list = Acl::new(entries.collect())?;
        Some(access::granted(&descriptor.clone().with_dacl(list), caller))
    };
    let of_owner = AccessRights::READ_CONTROL | AccessRights::WRITE_DAC;
    let nothing = with(
        Some(Ace::deny(AceFlags::empty(), u32::MAX, *caller.user())),
        None,
    );
    assert!(nothing.is_none_or(|left| of_owner.contains(left)));
    let more = with(
        None,
        Some(Ace::allow(AceFlags::empty(), u32::MAX, *caller.user())),
    );
    assert!(more.is_none_or(|more| more.contains(granted)));
}

fn check_inheritance(descriptor: &SecurityDescriptor) {
    let Ok(child) = inheritance::of_new_namespace(descriptor) else {
        return;
    };
    let Dacl::List(list) = child.dacl() else {
        panic!("a child has a list")
    };
    assert!(
        list.entries()
            .iter()
            .all(|ace| ace.flags.contains(AceFlags::INHERITED))
    );
    assert!(inheritance::explicit(&child).is_empty());
    let inheritable = inheritance::inherited(&child).len();
    assert!(inheritable <= list.entries().len());
    if let Ok(merged) = inheritance::merged(descriptor, Some(&defaults::of_root())) {
        assert_eq!(
            inheritance::explicit(&merged),
            inheritance::explicit(descriptor)
        );
    }
}

/// What is set is refused, or can be set again and stays.
fn set(bytes: &[u8], caller: &Caller) {
    let now = SecurityDescriptor::new(Some(*caller.user()), Some(Sid::ADMINISTRATORS))
        .with_dacl(Acl::default());
    let root = defaults::of_root();
    let namespace = NamespaceSecurity {
        path: "ROOT\\X",
        descriptor: &now,
        requires_encryption: false,
    };
    match namespace.set_sd(caller, bytes, Some(&root)) {
        Ok(stored) => {
            let again = namespace
                .set_sd(caller, &stored.to_bytes(), Some(&root))
                .expect("what was stored can be set");
            assert_eq!(again, stored);
        }
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}

fn check_text(descriptor: &SecurityDescriptor) {
    let text = sddl::print(descriptor).expect("what was said can be said again");
    let again = sddl::parse(&text).expect("what was printed can be read");
    assert_eq!(again, *descriptor, "{text}");
    assert_eq!(
        SecurityDescriptor::parse(&descriptor.to_bytes())
            .map(SecurityDescriptor::canonical)
            .as_ref(),
        Ok(descriptor)
    );
}

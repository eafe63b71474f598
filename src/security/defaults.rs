//! The descriptors of a new repository.

use super::rights::AccessRights;
use crate::format::security::acl::{Ace, AceFlags, Acl};
use crate::format::security::descriptor::SecurityDescriptor;
use crate::format::security::sid::Sid;

/// Windows builds the list of ROOT, and of each namespace that only inherits, in a buffer of this
/// many bytes and stores all of it.
pub(super) const LIST_BYTES: u16 = 128;

/// The default descriptor of ROOT, and thereby of every namespace without its own. Administrators
/// have all rights except for events. The two service accounts and all authenticated users may
/// read, run methods, and write through providers. Source: known repositories; the pages of the SDK
/// disagree.
pub fn of_root() -> SecurityDescriptor {
    let users = AccessRights::USERS_DEFAULT;
    let entries = [
        (AccessRights::ADMINISTRATORS_DEFAULT, Sid::ADMINISTRATORS),
        (users, Sid::NETWORK_SERVICE),
        (users, Sid::LOCAL_SERVICE),
        (users, Sid::AUTHENTICATED_USERS),
    ];
    let entry = |(rights, sid): (AccessRights, Sid)| {
        Ace::allow(AceFlags::CONTAINER_INHERIT, rights.bits(), sid)
    };
    let list = Acl::new(entries.map(entry).to_vec()).unwrap_or_default();
    owned_by_administrators(list.padded_to(LIST_BYTES))
}

/// A descriptor with this list. Administrators are owner and group, as in all known repositories.
pub(super) fn owned_by_administrators(list: Acl) -> SecurityDescriptor {
    SecurityDescriptor::new(Some(Sid::ADMINISTRATORS), Some(Sid::ADMINISTRATORS)).with_dacl(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::access::granted;
    use crate::security::caller::Caller;
    use crate::security::inheritance::of_new_namespace;

    /// The bytes that Windows stores for ROOT (`inherited` 0) and for its children (0x10).
    fn stored(inherited: u8) -> Vec<u8> {
        let flags = 2 | inherited;
        let mut bytes = vec![
            1, 0, 4, 0x80, 0x94, 0, 0, 0, 0xA4, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0,
        ];
        bytes.extend([2, 0, 0x80, 0, 4, 0, 0, 0]);
        bytes.extend([
            0, flags, 0x18, 0, 0x3F, 0, 6, 0, 1, 2, 0, 0, 0, 0, 0, 5, 0x20, 0, 0, 0, 0x20, 2, 0, 0,
        ]);
        for user in [0x14, 0x13, 0x0B] {
            bytes.extend([
                0, flags, 0x14, 0, 0x13, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 5, user, 0, 0, 0,
            ]);
        }
        bytes.extend([0; 36]);
        for _ in ["owner", "group"] {
            bytes.extend([1, 2, 0, 0, 0, 0, 0, 5, 0x20, 0, 0, 0, 0x20, 2, 0, 0]);
        }
        bytes
    }

    #[test]
    fn root_and_its_children_have_the_bytes_that_windows_stores() {
        let root = of_root();
        assert_eq!(root.to_bytes(), stored(0));
        let child = of_new_namespace(&root).unwrap();
        assert_eq!(child.to_bytes(), stored(0x10));
        assert_eq!(of_new_namespace(&child).unwrap().to_bytes(), stored(0x10));
        assert_eq!(
            SecurityDescriptor::parse(&stored(0)),
            SecurityDescriptor::parse(&root.to_bytes())
        );
    }

    #[test]
    fn by_default_writing_the_repository_and_coming_from_outside_is_for_administrators() {
        let rights = |sid| granted(&of_root(), &Caller::local(sid)).bits();
        assert_eq!(rights(Sid::ADMINISTRATORS), 0x6003F);
        for user in [
            Sid::AUTHENTICATED_USERS,
            Sid::LOCAL_SERVICE,
            Sid::NETWORK_SERVICE,
        ] {
            assert_eq!(rights(user), 0x13, "{user}");
        }
        assert_eq!(rights(Sid::EVERYONE), 0);
    }
}

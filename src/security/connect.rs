//! Connecting to a namespace.

use super::access::granted;
use super::caller::Caller;
use super::rights::AccessRights;
use crate::base::error::{Error, Result};
use crate::format::security::descriptor::SecurityDescriptor;

/// The access rights of a namespace.
#[derive(Debug, Clone, Copy)]
pub struct NamespaceSecurity<'n> {
    /// Its path, for messages.
    pub path: &'n str,
    /// Its descriptor.
    pub descriptor: &'n SecurityDescriptor,
    /// True if it has the qualifier `RequiresEncryption`.
    pub requires_encryption: bool,
}

impl NamespaceSecurity<'_> {
    /// The rights of a connection that a caller requests.
    ///
    /// # Errors
    /// Returns [`Error::EncryptionRequired`] if the namespace requires encryption and the call is
    /// not encrypted, and [`Error::AccessDenied`] if the caller may not read the namespace or not
    /// use it from another machine.
    pub fn connect(&self, caller: &Caller) -> Result<AccessRights> {
        if self.requires_encryption && !caller.is_private() {
            return Err(Error::EncryptionRequired {
                namespace: self.path.into(),
            });
        }
        let needed = match caller.is_remote() {
            true => AccessRights::ENABLE | AccessRights::REMOTE_ACCESS,
            false => AccessRights::ENABLE,
        };
        self.require(caller, needed)
    }

    /// The rights of a caller, if they include all needed ones.
    ///
    /// # Errors
    /// Returns [`Error::AccessDenied`] otherwise.
    pub fn require(&self, caller: &Caller, needed: AccessRights) -> Result<AccessRights> {
        let granted = granted(self.descriptor, caller);
        if granted.contains(needed) {
            return Ok(granted);
        }
        let (user, path) = (caller.user(), self.path);
        let text = format!(
            "{user} has {granted} on {path} and needs {needed}; an administrator can grant it"
        );
        Err(Error::denied(text))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::base::error::HResult;
    use crate::format::security::acl::{Ace, AceFlags, Acl};
    use crate::format::security::sid::Sid;
    use crate::security::caller::AuthenticationLevel::{Packet, PacketIntegrity, PacketPrivacy};

    /// A descriptor that gives one user one set of rights.
    pub(crate) fn giving(user: Sid, rights: AccessRights) -> SecurityDescriptor {
        let list = Acl::new(vec![Ace::allow(AceFlags::empty(), rights.bits(), user)]).unwrap();
        SecurityDescriptor::new(Some(Sid::ADMINISTRATORS), Some(Sid::ADMINISTRATORS))
            .with_dacl(list)
    }

    fn connect(
        rights: u32,
        requires_encryption: bool,
        caller: &Caller,
    ) -> Result<AccessRights, HResult> {
        let descriptor = giving(Sid::USERS, AccessRights::from_bits_retain(rights));
        let namespace = NamespaceSecurity {
            path: "ROOT",
            descriptor: &descriptor,
            requires_encryption,
        };
        namespace.connect(caller).map_err(|error| error.hresult())
    }

    #[test]
    fn a_connection_has_exactly_the_rights_of_the_caller() {
        let local = Caller::local(Sid::USERS);
        assert_eq!(
            connect(0x13, false, &local),
            Ok(AccessRights::USERS_DEFAULT)
        );
        assert_eq!(
            connect(0x12, false, &local),
            Err(HResult::ACCESS_DENIED),
            "reading is not among them"
        );
        assert_eq!(
            connect(0x13, false, &Caller::local(Sid::EVERYONE)),
            Err(HResult::ACCESS_DENIED)
        );
    }

    #[test]
    fn from_another_machine_the_right_to_do_so_is_needed() {
        let remote = Caller::remote(Sid::USERS, Packet);
        assert_eq!(connect(0x13, false, &remote), Err(HResult::ACCESS_DENIED));
        assert_eq!(
            connect(0x33, false, &remote).map(|rights| rights.bits()),
            Ok(0x33)
        );
        assert_eq!(connect(0x32, false, &remote), Err(HResult::ACCESS_DENIED));
    }

    #[test]
    fn encryption_is_asked_of_remote_callers() {
        let required = Err(HResult::ENCRYPTED_CONNECTION_REQUIRED);
        assert_eq!(
            connect(0x33, true, &Caller::remote(Sid::USERS, PacketIntegrity)),
            required
        );
        assert!(connect(0x33, true, &Caller::remote(Sid::USERS, PacketPrivacy)).is_ok());
        assert!(connect(0x33, true, &Caller::local(Sid::USERS)).is_ok());
        assert!(connect(0x33, false, &Caller::remote(Sid::USERS, Packet)).is_ok());
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        let descriptor = giving(Sid::USERS, AccessRights::ENABLE);
        let namespace = NamespaceSecurity {
            path: "ROOT\\CIMV2",
            descriptor: &descriptor,
            requires_encryption: false,
        };
        let refusal = namespace
            .connect(&Caller::remote(Sid::USERS, Packet))
            .unwrap_err()
            .to_string();
        let expected = "access denied: S-1-5-32-545 has ENABLE on ROOT\\CIMV2 and needs ENABLE, \
            REMOTE_ACCESS; an administrator can grant it";
        assert_eq!(refusal, expected);
    }
}

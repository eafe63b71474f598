//! Identities of callers.

use std::collections::BTreeSet;

use crate::format::security::sid::Sid;

bitflags::bitflags! {
    /// The privileges that matter to a repository.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Privileges: u8 {
        /// `SeBackupPrivilege`.
        const BACKUP = 1;
        /// `SeRestorePrivilege`.
        const RESTORE = 2;
        /// `SeSecurityPrivilege`: reading and changing audit lists.
        const SECURITY = 4;
    }
}

/// The protection of the packets of a remote call: the authentication levels of RPC, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthenticationLevel {
    /// No authentication (`RPC_C_AUTHN_LEVEL_NONE`, 1).
    None = 1,
    /// Authentication when the connection is made (`CONNECT`, 2).
    Connect = 2,
    /// Authentication at the beginning of each call (`CALL`, 3).
    Call = 3,
    /// Authentication of each packet (`PKT`, 4).
    Packet = 4,
    /// Packets also protected against change (`PKT_INTEGRITY`, 5).
    PacketIntegrity = 5,
    /// Packets also encrypted (`PKT_PRIVACY`, 6).
    PacketPrivacy = 6,
}

/// The origin of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// From this machine. Such a call never leaves it, which is as good as
    /// [`AuthenticationLevel::PacketPrivacy`].
    Local,
    /// From another machine.
    Remote(AuthenticationLevel),
}

/// The identity of a caller: the relevant parts of a Windows token. The code that creates one
/// vouches for it.
///
/// Disabled groups of a token are left out. The groups of everybody (`S-1-1-0`) and of most users
/// (`S-1-5-11`) must be listed like any other. A token with a second list, of restricting
/// identifiers, cannot be represented and must be refused, because without that list it would
/// receive too many rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    user: Sid,
    origin: Origin,
    groups: BTreeSet<Sid>,
    deny_only: BTreeSet<Sid>,
    held: Privileges,
    enabled: Privileges,
}

impl Caller {
    /// A user without groups and privileges.
    pub fn new(user: Sid, origin: Origin) -> Self {
        let (groups, deny_only) = (BTreeSet::new(), BTreeSet::new());
        Self {
            user,
            origin,
            groups,
            deny_only,
            held: Privileges::empty(),
            enabled: Privileges::empty(),
        }
    }

    /// A user on this machine.
    pub fn local(user: Sid) -> Self {
        Self::new(user, Origin::Local)
    }

    /// A user who calls from another machine.
    pub fn remote(user: Sid, level: AuthenticationLevel) -> Self {
        Self::new(user, Origin::Remote(level))
    }

    /// Adds groups.
    #[must_use]
    pub fn in_groups(mut self, groups: impl IntoIterator<Item = Sid>) -> Self {
        self.groups.extend(groups);
        self
    }

    /// Adds groups that count where something is denied but not where it is allowed. Administrators
    /// have theirs in this form until they consent to elevation.
    #[must_use]
    pub fn in_deny_only_groups(mut self, groups: impl IntoIterator<Item = Sid>) -> Self {
        self.deny_only.extend(groups);
        self
    }

    /// Adds privileges that are held but not enabled.
    #[must_use]
    pub fn holding(mut self, privileges: Privileges) -> Self {
        self.held |= privileges;
        self
    }

    /// Enables privileges. One that is not held has no effect, as in Windows.
    #[must_use]
    pub fn enabling(mut self, privileges: Privileges) -> Self {
        self.enabled |= privileges;
        self
    }

    /// The user.
    pub fn user(&self) -> &Sid {
        &self.user
    }

    /// The origin of the call.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// True if the call comes from another machine.
    pub fn is_remote(&self) -> bool {
        matches!(self.origin, Origin::Remote(_))
    }

    /// True if nobody between the caller and the repository can read the packets.
    pub fn is_private(&self) -> bool {
        match self.origin {
            Origin::Local => true,
            Origin::Remote(level) => level >= AuthenticationLevel::PacketPrivacy,
        }
    }

    /// The privileges that are held.
    pub fn held(&self) -> Privileges {
        self.held
    }

    /// The privileges that are held and enabled, which are the only ones that count.
    pub fn enabled(&self) -> Privileges {
        self.held & self.enabled
    }

    /// True if an entry that allows something to `sid` applies to the caller.
    pub fn is_allowed_as(&self, sid: &Sid) -> bool {
        // A group that is listed both ways counts only where something is denied.
        *sid == self.user || (self.groups.contains(sid) && !self.deny_only.contains(sid))
    }

    /// True if an entry that denies something to `sid` applies to the caller.
    pub fn is_denied_as(&self, sid: &Sid) -> bool {
        self.is_allowed_as(sid) || self.deny_only.contains(sid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privilege_counts_when_it_is_held_and_enabled() {
        let caller = Caller::local(Sid::LOCAL_SYSTEM);
        assert_eq!(
            caller.clone().holding(Privileges::BACKUP).enabled(),
            Privileges::empty()
        );
        assert_eq!(
            caller.clone().enabling(Privileges::BACKUP).enabled(),
            Privileges::empty()
        );
        let both = caller
            .holding(Privileges::BACKUP)
            .enabling(Privileges::BACKUP | Privileges::RESTORE);
        assert_eq!(
            (both.enabled(), both.held()),
            (Privileges::BACKUP, Privileges::BACKUP)
        );
    }

    #[test]
    fn groups_for_denial_give_nothing() {
        let caller = Caller::local(Sid::USERS)
            .in_groups([Sid::EVERYONE, Sid::LOCAL_SERVICE])
            .in_deny_only_groups([Sid::ADMINISTRATORS, Sid::LOCAL_SERVICE]);
        let allowed = [Sid::USERS, Sid::EVERYONE];
        assert!(
            allowed
                .iter()
                .all(|sid| caller.is_allowed_as(sid) && caller.is_denied_as(sid))
        );
        let denied = [Sid::ADMINISTRATORS, Sid::LOCAL_SERVICE];
        assert!(
            denied
                .iter()
                .all(|sid| !caller.is_allowed_as(sid) && caller.is_denied_as(sid))
        );
        assert!(!caller.is_denied_as(&Sid::LOCAL_SYSTEM));
    }

    #[test]
    fn only_the_highest_level_is_private() {
        use AuthenticationLevel::{Call, Connect, None, Packet, PacketIntegrity, PacketPrivacy};
        for level in [None, Connect, Call, Packet, PacketIntegrity] {
            assert!(!Caller::remote(Sid::USERS, level).is_private(), "{level:?}");
        }
        assert!(Caller::remote(Sid::USERS, PacketPrivacy).is_private());
        assert!(Caller::local(Sid::USERS).is_private());
    }
}

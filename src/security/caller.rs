//! Who calls.

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
        /// `SeSecurityPrivilege`: reading and changing lists of audits.
        const SECURITY = 4;
    }
}

/// How the packets of a remote call are protected; the levels of RPC, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthenticationLevel {
    /// Not at all (`RPC_C_AUTHN_LEVEL_NONE`, 1).
    None = 1,
    /// Who calls is known when the connection is made (`CONNECT`, 2).
    Connect = 2,
    /// At the beginning of each call (`CALL`, 3).
    Call = 3,
    /// With each packet (`PKT`, 4).
    Packet = 4,
    /// And no packet can be changed (`PKT_INTEGRITY`, 5).
    PacketIntegrity = 5,
    /// And none can be read (`PKT_PRIVACY`, 6).
    PacketPrivacy = 6,
}

/// Where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// From this machine. Such a call never leaves it, which is as good as
    /// [`AuthenticationLevel::PacketPrivacy`].
    Local,
    /// From another machine.
    Remote(AuthenticationLevel),
}

/// The identity of a caller: what a Windows token says, as far as it matters here. Whoever makes
/// one vouches for it.
///
/// A group that is switched off in a token is left out; the groups that everybody is in (`S-1-1-0`,
/// and most are in `S-1-5-11`) have to be named like others. A token with a second list, of
/// restricting identifiers, cannot be told in this form and must be refused by whoever meets one:
/// without that list it would be given too much.
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

    /// A user of this machine.
    pub fn local(user: Sid) -> Self {
        Self::new(user, Origin::Local)
    }

    /// A user who calls from another machine.
    pub fn remote(user: Sid, level: AuthenticationLevel) -> Self {
        Self::new(user, Origin::Remote(level))
    }

    /// The same as a member of more groups.
    #[must_use]
    pub fn in_groups(mut self, groups: impl IntoIterator<Item = Sid>) -> Self {
        self.groups.extend(groups);
        self
    }

    /// The same with more groups that count where something is denied, and not where it is allowed:
    /// administrators before they consent to be such have theirs in this form.
    #[must_use]
    pub fn in_deny_only_groups(mut self, groups: impl IntoIterator<Item = Sid>) -> Self {
        self.deny_only.extend(groups);
        self
    }

    /// The same with more privileges, which are not enabled.
    #[must_use]
    pub fn holding(mut self, privileges: Privileges) -> Self {
        self.held |= privileges;
        self
    }

    /// The same with privileges enabled. One that is not held stays without effect, as in Windows.
    #[must_use]
    pub fn enabling(mut self, privileges: Privileges) -> Self {
        self.enabled |= privileges;
        self
    }

    /// The user.
    pub fn user(&self) -> &Sid {
        &self.user
    }

    /// Where the call comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// True if the call comes from another machine.
    pub fn is_remote(&self) -> bool {
        matches!(self.origin, Origin::Remote(_))
    }

    /// True if nobody between caller and repository can read what they say.
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

    /// The privileges that are held and enabled: the only ones that count.
    pub fn enabled(&self) -> Privileges {
        self.held & self.enabled
    }

    /// True if what is allowed to somebody is allowed to the caller.
    pub fn is_allowed_as(&self, sid: &Sid) -> bool {
        // A group that is named twice counts only where something is denied.
        *sid == self.user || (self.groups.contains(sid) && !self.deny_only.contains(sid))
    }

    /// True if what is denied to somebody is denied to the caller.
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

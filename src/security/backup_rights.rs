//! Rights to connect, back up, restore, pause and resume.
//!
//! A privilege must be held and enabled. It is enough for a caller on this machine; a caller from
//! another machine also needs `WBEM_FULL_WRITE_REP` on ROOT. Sources: remarks of
//! `IWbemBackupRestoreEx` and `IWbemBackupRestore`. They name `SeRestorePrivilege` for restoring
//! and `SeBackupPrivilege` for pausing and resuming. For backing up, a sentence that means to
//! contrast two privileges names the same one twice, hence the [`BackupPolicy`].

use super::caller::{Caller, Privileges};
use super::connect::NamespaceSecurity;
use super::rights::AccessRights;
use crate::base::error::{Error, Result};

/// An operation that a caller requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Connect as a client, which requires no privilege.
    Connect,
    /// `Backup`.
    Backup,
    /// `Restore`.
    Restore,
    /// `Pause`.
    Pause,
    /// `Resume`.
    Resume,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Operation::Connect => "connect",
            Operation::Backup => "back up",
            Operation::Restore => "restore",
            Operation::Pause => "pause",
            Operation::Resume => "resume",
        }
    }
}

/// The privilege that backing up requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BackupPolicy {
    /// `SeBackupPrivilege` or `SeRestorePrivilege`.
    #[default]
    Either,
    /// `SeBackupPrivilege`, as its description says.
    Strict,
    /// `SeRestorePrivilege`, as the page of the interface says.
    Literal,
}

/// Checks that a caller may perform an operation. Must be called before anything else happens.
///
/// `root` is the security of ROOT. It applies to connecting, and to all operations from another
/// machine.
///
/// # Errors
/// Returns [`Error::AccessDenied`], or [`Error::EncryptionRequired`] for connecting, under the
/// conditions of [`NamespaceSecurity::connect`].
/// [`NamespaceSecurity::connect`] says.
pub fn authorize(
    operation: Operation,
    caller: &Caller,
    policy: BackupPolicy,
    root: NamespaceSecurity<'_>,
) -> Result<()> {
    need_privilege(operation, caller, policy)?;
    if operation == Operation::Connect {
        root.connect(caller)?;
    } else if caller.is_remote() {
        root.require(caller, AccessRights::FULL_WRITE_REP)?;
    }
    Ok(())
}

/// Checks that a caller has the privilege, which is the only requirement for a caller on this
/// machine.
///
/// # Errors
/// Returns [`Error::AccessDenied`] if the caller does not have it.
pub fn need_privilege(operation: Operation, caller: &Caller, policy: BackupPolicy) -> Result<()> {
    match sufficient(operation, policy) {
        Some(sufficient) if !caller.enabled().intersects(sufficient) => {
            Err(refusal(operation, caller, sufficient))
        }
        _ => Ok(()),
    }
}

/// The privileges any one of which suffices; `None` if no privilege is required.
fn sufficient(operation: Operation, policy: BackupPolicy) -> Option<Privileges> {
    match (operation, policy) {
        (Operation::Connect, _) => None,
        (Operation::Backup, BackupPolicy::Either) => Some(Privileges::BACKUP | Privileges::RESTORE),
        (Operation::Backup, BackupPolicy::Literal) | (Operation::Restore, _) => {
            Some(Privileges::RESTORE)
        }
        (Operation::Backup, BackupPolicy::Strict) | (Operation::Pause | Operation::Resume, _) => {
            Some(Privileges::BACKUP)
        }
    }
}

fn refusal(operation: Operation, caller: &Caller, sufficient: Privileges) -> Error {
    let names = [
        (Privileges::BACKUP, "SeBackupPrivilege"),
        (Privileges::RESTORE, "SeRestorePrivilege"),
    ];
    let names: Vec<&str> = names
        .into_iter()
        .filter(|(one, _)| sufficient.contains(*one))
        .map(|(_, name)| name)
        .collect();
    let (user, verb, names) = (caller.user(), operation.as_str(), names.join(" or "));
    let hint = match caller.held().intersects(sufficient) {
        true => "it is held but not enabled: enable it (AdjustTokenPrivileges)",
        false => "it is not held",
    };
    Error::denied(format!("to {verb}, {user} needs {names}, enabled; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::super::connect::tests::giving;
    use super::*;
    use crate::base::error::HResult;
    use crate::format::security::sid::Sid;
    use crate::security::caller::{AuthenticationLevel, Origin};

    const USER: Sid = Sid::USERS;
    const B: Privileges = Privileges::BACKUP;
    const R: Privileges = Privileges::RESTORE;

    /// Each operation under each policy, with the privileges any one of which suffices.
    fn table() -> [(Operation, BackupPolicy, Privileges); 12] {
        use BackupPolicy::{Either, Literal, Strict};
        use Operation::{Backup, Pause, Restore, Resume};
        [
            (Backup, Either, B | R),
            (Backup, Strict, B),
            (Backup, Literal, R),
            (Restore, Either, R),
            (Restore, Strict, R),
            (Restore, Literal, R),
            (Pause, Either, B),
            (Pause, Strict, B),
            (Pause, Literal, B),
            (Resume, Either, B),
            (Resume, Strict, B),
            (Resume, Literal, B),
        ]
    }

    fn try_all(origin: Origin, rights: AccessRights, may: impl Fn(bool) -> bool) {
        let descriptor = giving(USER, rights);
        let root = NamespaceSecurity {
            path: "ROOT",
            descriptor: &descriptor,
            requires_encryption: false,
        };
        for (operation, policy, sufficient) in table() {
            for held in (0..8).map(Privileges::from_bits_retain) {
                for enabled in (0..8).map(Privileges::from_bits_retain) {
                    let caller = Caller::new(USER, origin).holding(held).enabling(enabled);
                    let result = authorize(operation, &caller, policy, root)
                        .map_err(|error| error.hresult());
                    let has_privilege = (held & enabled).intersects(sufficient);
                    let expected = if may(has_privilege) {
                        Ok(())
                    } else {
                        Err(HResult::ACCESS_DENIED)
                    };
                    assert_eq!(
                        result, expected,
                        "{operation:?} {policy:?} {held:?} {enabled:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn on_this_machine_the_privilege_is_enough() {
        try_all(Origin::Local, AccessRights::empty(), |has_privilege| {
            has_privilege
        });
    }

    #[test]
    fn from_another_machine_full_write_on_root_is_needed_as_well() {
        let origin = Origin::Remote(AuthenticationLevel::PacketPrivacy);
        try_all(origin, AccessRights::FULL_WRITE, |has_privilege| {
            has_privilege
        });
        try_all(
            origin,
            AccessRights::all() - AccessRights::FULL_WRITE_REP,
            |_| false,
        );
        try_all(origin, AccessRights::empty(), |_| false);
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        let descriptor = giving(USER, AccessRights::empty());
        let root = NamespaceSecurity {
            path: "ROOT",
            descriptor: &descriptor,
            requires_encryption: false,
        };
        let refused = |caller: Caller| {
            authorize(Operation::Backup, &caller, BackupPolicy::default(), root)
                .unwrap_err()
                .to_string()
        };
        let none = "access denied: to back up, S-1-5-32-545 needs SeBackupPrivilege or \
            SeRestorePrivilege, enabled; it is not held";
        assert_eq!(refused(Caller::local(USER)), none);
        assert!(refused(Caller::local(USER).holding(B)).contains("held but not enabled"));
        let remote = Caller::remote(USER, AuthenticationLevel::Packet)
            .holding(B)
            .enabling(B);
        assert!(refused(remote).contains("needs FULL_WRITE_REP"));
    }
}

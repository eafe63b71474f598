//! Whoever may not do something is refused before anything happens. How privileges and rights decide that is the caller's part.

use std::sync::Arc;

use cimrepo::format::sid::Sid;
use cimrepo::security::backup_rights::BackupPolicy;
use cimrepo::security::{self, AuthenticationLevel, Privileges, defaults};
use cimrepo::service::{Caller, Identified, Operation};

use super::*;

/// A caller that may do all but one thing.
#[derive(Debug)]
struct AllBut(Operation);

impl Caller for AllBut {
    fn name(&self) -> &str {
        "someone"
    }

    fn check(&self, operation: Operation) -> Result<()> {
        if operation == self.0 { Err(Error::AccessDenied("not this".into())) } else { Ok(()) }
    }
}

#[test]
fn a_caller_without_the_right_is_refused_before_any_effect() {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    put(&connection, "N", 10).unwrap();
    service.backup_restore().backup("/b", NONE).unwrap();
    let before = files(&storage);
    let object = |operation| service.backup_restore_as(Arc::new(AllBut(operation)));
    // Even where the arguments are wrong as well: nothing is told to who may not ask.
    for flags in [NONE, BackupRestoreFlags::from_bits_retain(8)] {
        fails(object(Operation::Backup).backup("/new", flags), ACCESS_DENIED);
        fails(object(Operation::Restore).restore("/b", flags), ACCESS_DENIED);
        fails(object(Operation::Restore).restore("/not there", FORCE), ACCESS_DENIED);
    }
    fails(object(Operation::Pause).pause(), ACCESS_DENIED);
    fails(object(Operation::Pause).try_pause(), ACCESS_DENIED);
    fails(object(Operation::Resume).resume(), ACCESS_DENIED);
    fails(service.connect_as(Arc::new(AllBut(Operation::Connect)), None), ACCESS_DENIED);
    assert_eq!(storage.get("/new"), None);
    assert_eq!(files(&storage), before);
    assert!(!connection.is_broken());
    let activity = service.activity();
    assert_eq!((activity.paused_by, activity.backups, activity.restoring, activity.connections), (None, 0, None, 1));
    // The others work; one that lost the right to resume ends its pause by going.
    object(Operation::Restore).backup("/new", NONE).unwrap();
    let pauser = object(Operation::Resume);
    pauser.pause().unwrap();
    fails(pauser.resume(), ACCESS_DENIED);
    drop(pauser);
    let named = service.connect_as(Arc::new(AllBut(Operation::Backup)), None).unwrap();
    assert_eq!(named.caller().name(), "someone");
    let clients = || service.clients().iter().map(|client| client.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(clients(), ["this process", "someone"]);
    drop(connection);
    assert_eq!(clients(), ["someone"]);
    put(&named, "M", 10).unwrap();
    service.backup_restore().restore("/b", FORCE).unwrap();
    assert!(named.is_broken() && clients().is_empty());
}

/// Privileges as a token has them, and the rights that the descriptor of a new ROOT gives.
#[test]
fn an_identified_caller_needs_privileges_and_from_elsewhere_rights() {
    let (storage, service) = service();
    let user: Sid = "S-1-5-21-1-2-3-1001".parse().unwrap();
    let users = || security::Caller::local(user).in_groups([Sid::AUTHENTICATED_USERS]);
    let object = |caller, policy| {
        service.backup_restore_as(Arc::new(Identified::new(caller, defaults::of_root()).policy(policy)))
    };
    let (backup, restore) = (Privileges::BACKUP, Privileges::RESTORE);
    let either = BackupPolicy::Either;
    // held is not enough.
    fails(object(users(), either).backup("/b", NONE), ACCESS_DENIED);
    fails(object(users().holding(backup | restore), either).backup("/b", NONE), ACCESS_DENIED);
    assert_eq!(storage.get("/b"), None);
    //
    let with = |privileges| users().holding(privileges).enabling(privileges);
    for (privileges, policy, may) in [
        (backup, BackupPolicy::Either, true),
        (restore, BackupPolicy::Either, true),
        (restore, BackupPolicy::Strict, false),
        (backup, BackupPolicy::Literal, false),
    ] {
        let done = object(with(privileges), policy).backup("/b", NONE);
        assert_eq!(done.is_ok(), may, "{privileges:?} {policy:?}");
    }
    fails(object(with(backup), either).restore("/b", NONE), ACCESS_DENIED);
    fails(object(with(restore), either).pause(), ACCESS_DENIED);
    object(with(restore), either).restore("/b", NONE).unwrap();
    let pauser = object(with(backup), either);
    pauser.pause().unwrap();
    pauser.resume().unwrap();
    // from another machine only administrators have the rights on ROOT.
    let remote = |group| {
        let caller = security::Caller::remote(user, AuthenticationLevel::Packet).in_groups([group]);
        caller.holding(backup).enabling(backup)
    };
    fails(object(remote(Sid::AUTHENTICATED_USERS), either).backup("/b", NONE), ACCESS_DENIED);
    object(remote(Sid::ADMINISTRATORS), either).backup("/b", NONE).unwrap();
    let connect = |caller| service.connect_as(Arc::new(Identified::new(caller, defaults::of_root())), None);
    fails(connect(remote(Sid::AUTHENTICATED_USERS)), ACCESS_DENIED);
    assert_eq!(connect(users()).unwrap().caller().name(), "S-1-5-21-1-2-3-1001");
    connect(remote(Sid::ADMINISTRATORS)).unwrap();
}

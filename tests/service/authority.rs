//! Whoever may not do something is refused before anything happens. How privileges and rights
//! decide that is the caller's part.

use std::sync::Arc;

use cimrepo::catalog::keys;
use cimrepo::cim::full_class::FullClass;
use cimrepo::cim::qualifier::Flavor;
use cimrepo::cim::{Class, Instance, Property, Qualifier, Value};
use cimrepo::format::Dialect;
use cimrepo::format::index::object_key::{ObjectKeys, SYSTEM_NAMESPACE};
use cimrepo::format::record::class_record::encode_class_record;
use cimrepo::format::record::instance_record::encode_instance_record;
use cimrepo::format::security::acl::{Ace, AceFlags, Acl};
use cimrepo::format::security::descriptor::SecurityDescriptor;
use cimrepo::format::security::sid::Sid;
use cimrepo::security::backup_rights::BackupPolicy;
use cimrepo::security::{self, AccessRights, AuthenticationLevel, Privileges};
use cimrepo::service::{Caller, Identified, Operation, Root, WriteTransaction};

use super::*;

/// A caller that may do all but one thing.
#[derive(Debug)]
struct AllBut(Operation);

impl Caller for AllBut {
    fn name(&self) -> &str {
        "someone"
    }

    fn check(&self, operation: Operation, _: &Root<'_>) -> Result<()> {
        if operation == self.0 {
            Err(Error::AccessDenied("not this".into()))
        } else {
            Ok(())
        }
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
        fails(
            object(Operation::Backup).backup("/new", flags),
            ACCESS_DENIED,
        );
        fails(
            object(Operation::Restore).restore("/b", flags),
            ACCESS_DENIED,
        );
        fails(
            object(Operation::Restore).restore("/not there", FORCE),
            ACCESS_DENIED,
        );
    }
    fails(object(Operation::Pause).pause(), ACCESS_DENIED);
    fails(object(Operation::Pause).try_pause(), ACCESS_DENIED);
    fails(object(Operation::Resume).resume(), ACCESS_DENIED);
    fails(
        service.connect_as(Arc::new(AllBut(Operation::Connect)), None),
        ACCESS_DENIED,
    );
    assert_eq!(storage.get("/new"), None);
    assert_eq!(files(&storage), before);
    assert!(!connection.is_broken());
    let activity = service.activity();
    assert_eq!(
        (
            activity.paused_by,
            activity.backups,
            activity.restoring,
            activity.connections
        ),
        (None, 0, None, 1)
    );
    // The others work; one that lost the right to resume ends its pause by going.
    object(Operation::Restore).backup("/new", NONE).unwrap();
    let pauser = object(Operation::Resume);
    pauser.pause().unwrap();
    fails(pauser.resume(), ACCESS_DENIED);
    drop(pauser);
    let named = service
        .connect_as(Arc::new(AllBut(Operation::Backup)), None)
        .unwrap();
    assert_eq!(named.caller().name(), "someone");
    let clients = || {
        service
            .clients()
            .iter()
            .map(|client| client.name().to_owned())
            .collect::<Vec<_>>()
    };
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
        service.backup_restore_as(Arc::new(Identified::new(caller).policy(policy)))
    };
    let (backup, restore) = (Privileges::BACKUP, Privileges::RESTORE);
    let either = BackupPolicy::Either;
    // held is not enough.
    fails(object(users(), either).backup("/b", NONE), ACCESS_DENIED);
    fails(
        object(users().holding(backup | restore), either).backup("/b", NONE),
        ACCESS_DENIED,
    );
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
    fails(
        object(with(backup), either).restore("/b", NONE),
        ACCESS_DENIED,
    );
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
    fails(
        object(remote(Sid::AUTHENTICATED_USERS), either).backup("/b", NONE),
        ACCESS_DENIED,
    );
    object(remote(Sid::ADMINISTRATORS), either)
        .backup("/b", NONE)
        .unwrap();
    let connect = |caller| service.connect_as(Arc::new(Identified::new(caller)), None);
    fails(connect(remote(Sid::AUTHENTICATED_USERS)), ACCESS_DENIED);
    assert_eq!(
        connect(users()).unwrap().caller().name(),
        "S-1-5-21-1-2-3-1001"
    );
    connect(remote(Sid::ADMINISTRATORS)).unwrap();
}

/// Stores in ROOT what `__thisNAMESPACE` and `__SystemSecurity` say, with their classes.
fn store_root(connection: &Connection, descriptor: impl Into<Value>, requires_encryption: bool) {
    let singleton = || Qualifier::flag("singleton", Flavor::TO_INSTANCE | Flavor::TO_SUBCLASS);
    let descriptor = descriptor.into();
    let property = Property::new("SECURITY_DESCRIPTOR", descriptor.cim_type());
    let namespace = Class::builder("__thisNAMESPACE")
        .qualifier(singleton())
        .property(property)
        .build();
    let system = Class::builder("__SystemSecurity")
        .qualifier(singleton())
        .build();
    let [namespace, system] =
        [namespace, system].map(|class| Arc::new(FullClass::compose(class, None).unwrap()));
    let mut security = Instance::new(system);
    if requires_encryption {
        security
            .qualifiers
            .set(Qualifier::flag("RequiresEncryption", Flavor::TO_INSTANCE));
    }
    let mut transaction = connection.begin_write().unwrap();
    for instance in [
        Instance::new(namespace)
            .with("SECURITY_DESCRIPTOR", descriptor)
            .unwrap(),
        security,
    ] {
        store(&mut transaction, &instance);
    }
    transaction.commit().unwrap();
}

/// An instance of ROOT, in place of one that is there, with its class.
fn store(transaction: &mut WriteTransaction, instance: &Instance) {
    let keys = ObjectKeys::new(Dialect::V22);
    let class = keys::class_keys(&keys, SYSTEM_NAMESPACE, instance.class());
    let own = keys::instance_keys(&keys, "ROOT", instance).unwrap();
    let records = [
        (
            encode_class_record(instance.class(), 1).unwrap(),
            vec![class.definition],
        ),
        (
            encode_instance_record(instance, Dialect::V22, 1, 1).unwrap(),
            vec![own.own, own.keyed],
        ),
    ];
    for (bytes, names) in records {
        for name in &names {
            if let Some(old) = transaction.find(format!("{name}.").as_bytes()).unwrap() {
                assert!(transaction.remove_key(old.as_bytes()).unwrap());
            }
        }
        let record = transaction.insert_record(&bytes).unwrap();
        for name in names {
            assert!(
                transaction
                    .insert_key(format!("{name}.{record}").as_bytes())
                    .unwrap()
            );
        }
    }
}

/// What ROOT of this repository says counts, from the call on in which it says it.
#[test]
fn who_calls_from_another_machine_is_held_against_root_of_the_repository() {
    let (_, service) = service();
    let user: Sid = "S-1-5-21-1-2-3-1001".parse().unwrap();
    let caller = |level| {
        security::Caller::remote(user, level)
            .holding(Privileges::all())
            .enabling(Privileges::all())
    };
    let remote = || caller(AuthenticationLevel::Packet);
    let object = service.backup_restore_as(Arc::new(Identified::new(remote())));
    let connect = |caller| {
        service
            .connect_as(Arc::new(Identified::new(caller)), None)
            .map(drop)
    };
    let local = || security::Caller::local(user);
    let trusted = service.connect().unwrap();
    let giving = |rights: AccessRights| {
        let list = Acl::new(vec![Ace::allow(
            AceFlags::CONTAINER_INHERIT,
            rights.bits(),
            user,
        )])
        .unwrap();
        let owner = Some(Sid::ADMINISTRATORS);
        SecurityDescriptor::new(owner, owner)
            .with_dacl(list)
            .to_bytes()
    };
    // A repository that says nothing is taken for a new one.
    fails(object.backup("/b", NONE), ACCESS_DENIED);
    service.backup_restore().backup("/nothing", NONE).unwrap();
    // The right to write in ROOT, and nothing else, is what these calls need; connecting needs
    // other rights.
    store_root(&trusted, giving(AccessRights::FULL_WRITE), false);
    object.backup("/b", NONE).unwrap();
    object.pause().unwrap();
    object.resume().unwrap();
    fails(connect(remote()), ACCESS_DENIED);
    fails(connect(local()), ACCESS_DENIED);
    store_root(&trusted, giving(AccessRights::ENABLE), false);
    fails(object.backup("/c", NONE), ACCESS_DENIED);
    connect(local()).unwrap();
    fails(connect(remote()), ACCESS_DENIED);
    store_root(
        &trusted,
        giving(AccessRights::ENABLE | AccessRights::REMOTE_ACCESS),
        false,
    );
    connect(remote()).unwrap();
    // The qualifier.
    store_root(
        &trusted,
        giving(AccessRights::ENABLE | AccessRights::REMOTE_ACCESS),
        true,
    );
    fails(connect(remote()), ENCRYPTION_REQUIRED);
    connect(caller(AuthenticationLevel::PacketPrivacy)).unwrap();
    connect(local()).unwrap();
    // What is no descriptor lets in no one who is held against it; who is not goes on.
    for (text, fault) in [
        (Value::from(vec![1_u8, 2, 3]), "is damaged"),
        (Value::from("D:"), "not an array of bytes"),
    ] {
        store_root(&trusted, text, false);
        let error = fails(object.backup("/c", NONE), INVALID_OBJECT);
        assert!(error.to_string().contains(fault), "{error}");
        fails(connect(local()), INVALID_OBJECT);
    }
    let privileged = local()
        .holding(Privileges::all())
        .enabling(Privileges::all());
    let near = service.backup_restore_as(Arc::new(Identified::new(privileged)));
    near.restore("/b", FORCE).unwrap();
    // And what the restored repository says counts at once.
    object.backup("/c", NONE).unwrap();
    near.restore("/nothing", FORCE).unwrap();
    fails(object.backup("/c", NONE), ACCESS_DENIED);
}

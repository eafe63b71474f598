//! Clients of namespaces have the rights that the stored descriptors give them, and no others.

use cimrepo::catalog::{Put, PutClass, create};
use cimrepo::cim::{Class, FullClass, Instance, ObjectPath, Property, ScalarType};
use cimrepo::format::security::sid::Sid;
use cimrepo::security::{self, AccessRights, AuthenticationLevel, sddl};
use cimrepo::service::{Identified, NamespaceConnection, Service};

use super::*;

/// A user that is in no group but that of all authenticated ones, a member of the administrators,
/// and others that the descriptor of `ROOT\Shop` names.
const READER: Sid = Sid::AUTHENTICATED_USERS;
const ADMINISTRATOR: Sid = Sid::ADMINISTRATORS;
const CLERK: Sid = Sid::USERS;
const ROBOT: Sid = Sid::LOCAL_SERVICE;

fn class() -> Class {
    Class::builder("Shelf")
        .property(Property::new("Id", ScalarType::Uint32).key())
        .build()
}

fn instance(id: u32) -> Instance {
    let class = Arc::new(FullClass::compose(class(), None).unwrap());
    Instance::new(class).with("Id", id).unwrap()
}

fn path(text: &str) -> ObjectPath {
    text.parse().unwrap()
}

/// A repository with a namespace in which clerks may write instances and robots only set the
/// descriptor, and not read.
fn shop() -> Service {
    let storage = MemStorage::new();
    storage.create_dir(Path::new(PLACE)).unwrap();
    let directory = Directory::new(Arc::new(storage), PLACE);
    create(&directory).unwrap();
    let service = ServiceOptions::new()
        .engine(still())
        .open_in(&directory)
        .unwrap();
    let root = service.connect_namespace_unchecked("ROOT").unwrap();
    let mut writer = root.begin_write().unwrap();
    writer.create_namespace("Shop").unwrap();
    writer.commit().unwrap();
    let connection = service.connect_namespace_unchecked(r"ROOT\Shop").unwrap();
    let mut writer = connection.begin_write().unwrap();
    writer.put_class(&class(), PutClass::CREATE).unwrap();
    writer.put_instance(&instance(1), Put::CreateOnly).unwrap();
    let list = "O:BAG:BAD:(A;CI;0x6003F;;;BA)(A;CI;0x9;;;BU)(A;;0x40001;;;LS)(A;CI;0x1;;;AU)";
    writer
        .set_sd(&sddl::parse(list).unwrap().to_bytes())
        .unwrap();
    writer.commit().unwrap();
    service
}

fn connect(service: &Service, user: Sid) -> Result<NamespaceConnection> {
    service.connect_namespace(security::Caller::local(user), r"ROOT\Shop", None)
}

#[test]
fn a_connection_has_the_rights_of_the_stored_descriptor() {
    let service = shop();
    let rights = |user| connect(&service, user).map(|connection| connection.rights().bits());
    assert_eq!(rights(READER).unwrap(), 0x1);
    assert_eq!(rights(CLERK).unwrap(), 0x9);
    assert_eq!(rights(ROBOT).unwrap(), 0x4_0001);
    assert_eq!(rights(ADMINISTRATOR).unwrap(), 0x6_003F);
    fails(rights(Sid::EVERYONE), ACCESS_DENIED);
    let remote = |user| {
        let caller = security::Caller::remote(user, AuthenticationLevel::PacketPrivacy);
        service
            .connect_namespace(caller, r"ROOT\Shop", None)
            .map(|connection| connection.rights().bits())
    };
    fails(remote(READER), ACCESS_DENIED);
    assert_eq!(remote(ADMINISTRATOR).unwrap(), 0x6_003F);
    let elsewhere = service.connect_namespace(
        security::Caller::local(ADMINISTRATOR),
        r"ROOT\nowhere",
        None,
    );
    fails(elsewhere, 0x8004_100E);
    fails(
        service.connect_namespace_unchecked(r"ROOT\nowhere"),
        0x8004_100E,
    );
    assert_eq!(
        service.activity().connections,
        0,
        "those who were refused are gone"
    );
    assert_eq!(
        service
            .connect_namespace_unchecked("root")
            .unwrap()
            .rights(),
        AccessRights::all()
    );
}

#[test]
fn each_write_takes_its_right() {
    let service = shop();
    fails(
        connect(&service, READER).unwrap().begin_write(),
        ACCESS_DENIED,
    );

    let clerk = connect(&service, CLERK).unwrap();
    let mut writer = clerk.begin_write().unwrap();
    fails(writer.put_class(&class(), PutClass::FORCE), ACCESS_DENIED);
    fails(writer.delete_class("Shelf"), ACCESS_DENIED);
    fails(writer.create_namespace("Cellar"), ACCESS_DENIED);
    fails(writer.delete_namespace("Cellar"), ACCESS_DENIED);
    fails(
        writer.set_sd(&sddl::parse("O:BAG:BAD:").unwrap().to_bytes()),
        ACCESS_DENIED,
    );
    let class = clerk
        .view()
        .unwrap()
        .class("__NAMESPACE")
        .unwrap()
        .unwrap()
        .class
        .clone();
    let cellar = Instance::new(class).with("Name", "Cellar").unwrap();
    fails(writer.put_instance(&cellar, Put::CreateOnly), ACCESS_DENIED);
    writer.put_instance(&instance(2), Put::CreateOnly).unwrap();
    writer.delete_instance(&path("Shelf.Id=1")).unwrap();
    writer.commit().unwrap();
    assert!(
        clerk
            .view()
            .unwrap()
            .instance(&path("Shelf.Id=2"))
            .unwrap()
            .is_some()
    );

    let robot = connect(&service, ROBOT).unwrap();
    let mut writer = robot.begin_write().unwrap();
    fails(
        writer.put_instance(&instance(3), Put::CreateOnly),
        ACCESS_DENIED,
    );
    fails(robot.get_sd(), ACCESS_DENIED);
    drop(writer);

    let administrator = connect(&service, ADMINISTRATOR).unwrap();
    let mut writer = administrator.begin_write().unwrap();
    writer.put_class(&self::class(), PutClass::FORCE).unwrap();
    writer.create_namespace("Cellar").unwrap();
    writer.delete_namespace("Cellar").unwrap();
    writer.delete_class("Shelf").unwrap();
    writer.commit().unwrap();
}

#[test]
fn a_path_does_not_lead_out_of_the_namespace() {
    let service = shop();
    let clerk = connect(&service, CLERK).unwrap();
    let outside = path(r#"ROOT:__NAMESPACE.Name="DEFAULT""#);
    fails(clerk.view().unwrap().instance(&outside), 0x8004_100E);
    fails(
        clerk.view().unwrap().referrers(&outside).map(drop),
        0x8004_100E,
    );
    fails(
        clerk.begin_write().unwrap().delete_instance(&outside),
        0x8004_100E,
    );
    assert!(
        clerk
            .view()
            .unwrap()
            .instance(&path(r"root\shop:Shelf.Id=1"))
            .unwrap()
            .is_some()
    );
}

#[test]
fn the_descriptor_is_set_and_counts_for_later_connections() {
    let service = shop();
    let robot = connect(&service, ROBOT).unwrap();
    let clerk = connect(&service, CLERK).unwrap();
    let mut writer = robot.begin_write().unwrap();
    fails(writer.set_sd(b"none"), HResult::INVALID_OBJECT.0);
    let list = "O:BAG:BAD:(A;;0x1;;;LS)";
    writer
        .set_sd(&sddl::parse(list).unwrap().to_bytes())
        .unwrap();
    writer.commit().unwrap();
    assert!(
        clerk
            .view()
            .unwrap()
            .instance(&path("Shelf.Id=1"))
            .unwrap()
            .is_some(),
        "who is there stays"
    );
    fails(connect(&service, CLERK), ACCESS_DENIED);
    // What the namespace inherits from ROOT is there again.
    assert_eq!(
        connect(&service, READER).unwrap().rights(),
        AccessRights::USERS_DEFAULT
    );
    let administrator = connect(&service, ADMINISTRATOR).unwrap();
    let stored = administrator.get_sd().unwrap();
    let Ok(descriptor) = cimrepo::format::security::descriptor::SecurityDescriptor::parse(&stored)
    else {
        panic!()
    };
    assert_eq!(security::inheritance::explicit(&descriptor).len(), 1);
}

#[test]
fn a_restore_by_force_breaks_it() {
    let service = shop();
    let object = service.backup_restore();
    object.backup("/b", NONE).unwrap();
    let clerk = connect(&service, CLERK).unwrap();
    let view = clerk.view().unwrap();
    let mut all = view.instances("Shelf");
    let mut writer = clerk.begin_write().unwrap();
    fails(
        object.restore("/b", NONE),
        HResult::BACKUP_RESTORE_WINMGMT_RUNNING.0,
    );
    object.restore("/b", FORCE).unwrap();
    assert!(clerk.is_broken());
    fails(clerk.view(), HResult::DISCONNECTED.0);
    fails(view.class("Shelf"), HResult::DISCONNECTED.0);
    fails(all.next().unwrap(), HResult::DISCONNECTED.0);
    fails(
        writer.put_instance(&instance(5), Put::CreateOnly),
        HResult::DISCONNECTED.0,
    );
    fails(writer.commit(), HResult::DISCONNECTED.0);
    let again = connect(&service, CLERK).unwrap();
    let mut writer = again.begin_write().unwrap();
    writer.put_instance(&instance(5), Put::CreateOnly).unwrap();
    writer.commit().unwrap();
}

#[test]
fn encryption_is_asked_for_where_the_namespace_wants_it() {
    let service = shop();
    let connection = service.connect_namespace_unchecked(r"ROOT\Shop").unwrap();
    let security = connection
        .view()
        .unwrap()
        .instance(&path("__SystemSecurity=@"))
        .unwrap()
        .unwrap();
    let mut marked = security.instance;
    let flag = cimrepo::cim::Qualifier::flag("RequiresEncryption", cimrepo::cim::Flavor::empty());
    marked.qualifiers.set(flag);
    let mut writer = connection.begin_write().unwrap();
    writer.put_instance(&marked, Put::UpdateOnly).unwrap();
    writer.commit().unwrap();
    let remote = |level| {
        let caller = security::Caller::remote(ADMINISTRATOR, level);
        service
            .connect_namespace(caller, r"ROOT\Shop", None)
            .map(|_| ())
    };
    fails(
        remote(AuthenticationLevel::PacketIntegrity),
        HResult::ENCRYPTED_CONNECTION_REQUIRED.0,
    );
    remote(AuthenticationLevel::PacketPrivacy).unwrap();
}

#[test]
fn a_caller_is_held_against_the_stored_descriptor_of_root() {
    let service = shop();
    let caller = |user| Arc::new(Identified::new(security::Caller::local(user)));
    fails(
        service.connect_as(caller(Sid::EVERYONE), None),
        ACCESS_DENIED,
    );
    service.connect_as(caller(READER), None).unwrap();
}

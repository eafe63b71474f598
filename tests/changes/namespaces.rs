//! Namespaces come and go with all that lies in them, and what refers into them from elsewhere is
//! kept right.

use cimrepo::catalog::{Put, PutClass};
use cimrepo::cim::{Class, Instance, Property, Qualifier, ScalarType, Setting};
use cimrepo::format::security::descriptor::SecurityDescriptor;
use cimrepo::security::{inheritance, sddl};

use crate::lab::Lab;
use crate::support::content::{Content, check_keys, namespaces};

fn target() -> Class {
    Class::builder("Target")
        .property(Property::new("Id", ScalarType::Uint32).key())
        .build()
}

fn link() -> Class {
    Class::builder("Link")
        .property(Property::new("Id", ScalarType::Uint32).key())
        .property(Property::new("To", ScalarType::Reference).of_class("Target"))
        .build()
}

#[test]
fn a_namespace_is_made_with_its_singletons_and_deleted_deep() {
    let lab = Lab::new();
    let before = check_keys(&lab.catalog(), "new");
    lab.write(|writer| {
        writer.create_namespace(r"ROOT\Shop")?;
        writer.create_namespace(r"root\shop\Cellar")?;
        let class = writer.put_class(r"ROOT\Shop\Cellar", &target(), PutClass::CREATE)?;
        let instance = Instance::new(class.class.clone()).with("Id", 1u32).unwrap();
        writer
            .put_instance(r"ROOT\Shop\Cellar", &instance, Put::CreateOnly)
            .map(|_| ())
    });
    assert!(namespaces(&lab.catalog()).contains(&r"ROOT\Shop\Cellar".to_owned()));
    let inherited =
        inheritance::of_new_namespace(&lab.catalog().security_of("ROOT").unwrap().descriptor)
            .unwrap();
    let stored = lab.catalog().security_of(r"ROOT\Shop").unwrap();
    assert_eq!(stored.descriptor.to_bytes(), inherited.to_bytes());
    assert!(!stored.requires_encryption);
    let after = lab.write(|writer| writer.delete_namespace(r"ROOT\SHOP"));
    assert_eq!(after, before);
    lab.close();
}

#[test]
fn by_the_instance_of_the_class_of_namespaces() {
    let lab = Lab::new();
    let class = lab
        .catalog()
        .class("ROOT", "__NAMESPACE")
        .unwrap()
        .unwrap()
        .class
        .clone();
    let instance = Instance::new(class).with("Name", "Shop").unwrap();
    lab.write(|writer| {
        writer
            .put_instance("ROOT", &instance, Put::CreateOnly)
            .map(|_| ())
    });
    assert!(lab.catalog().security_of(r"ROOT\Shop").is_ok());
    // What it says beside its name can change.
    let mut marked = instance.clone();
    marked.qualifiers.set(Qualifier::new(
        "Locale",
        0x409i32,
        cimrepo::cim::Flavor::empty(),
    ));
    let content = lab.write(|writer| {
        writer
            .put_instance("ROOT", &marked, Put::CreateOrUpdate)
            .map(|_| ())
    });
    let path = r#"__NAMESPACE.Name="shop""#.parse().unwrap();
    let stored = lab.catalog().instance("ROOT", &path).unwrap().unwrap();
    assert_eq!(stored.instance.qualifiers.len(), 1);
    let after = lab.write(|writer| writer.delete_instance("ROOT", &path));
    assert_eq!(content.instances, after.instances + 3);
    lab.close();
}

#[test]
fn a_descriptor_is_given_or_set_and_children_made_before_keep_theirs() {
    let lab = Lab::new();
    let own = sddl::parse("O:BAG:BAD:(A;CI;0x6003F;;;BA)(A;;0x1;;;WD)").unwrap();
    lab.write(|writer| {
        writer.create_namespace_with(r"ROOT\Shop", &own)?;
        writer.create_namespace(r"ROOT\Shop\Old")?;
        let other = sddl::parse("O:BAG:BAD:(A;CI;0x13;;;BU)").unwrap();
        writer.set_security_descriptor(r"ROOT\Shop", &other)?;
        writer.create_namespace(r"ROOT\Shop\New")
    });
    let descriptor = |namespace: &str| lab.catalog().security_of(namespace).unwrap().descriptor;
    let child_of =
        |parent: &SecurityDescriptor| inheritance::of_new_namespace(parent).unwrap().to_bytes();
    assert_eq!(
        descriptor(r"ROOT\Shop\Old").to_bytes(),
        child_of(&own),
        "D-11: a later change does not reach it"
    );
    assert_eq!(
        descriptor(r"ROOT\Shop\New").to_bytes(),
        child_of(&descriptor(r"ROOT\Shop"))
    );
    lab.close();
}

#[test]
fn references_from_one_namespace_to_another_come_and_go_with_it() {
    let lab = Lab::new();
    let put = |lab: &Lab, to: &str| -> Content {
        lab.write(|writer| {
            let class = writer.catalog().class(r"ROOT\From", "Link")?.unwrap();
            let to = Setting::Value(cimrepo::cim::Value::Reference(to.to_owned()));
            let instance = Instance::new(class.class.clone())
                .with("Id", 1u32)
                .unwrap()
                .with("To", to)
                .unwrap();
            writer
                .put_instance(r"ROOT\From", &instance, Put::CreateOrUpdate)
                .map(|_| ())
        })
    };
    lab.write(|writer| {
        writer.create_namespace(r"ROOT\From")?;
        writer
            .put_class(r"ROOT\From", &link(), PutClass::CREATE)
            .map(|_| ())
    });
    let there = put(&lab, r"ROOT\To:Target.Id=1");
    assert_eq!((there.references, there.unresolved), (0, 1));
    let made = lab.write(|writer| writer.create_namespace(r"ROOT\To"));
    assert_eq!(
        (made.references, made.unresolved),
        (1, 0),
        "the namespace comes to be"
    );
    let with_class = lab.write(|writer| {
        writer
            .put_class(r"ROOT\To", &target(), PutClass::CREATE)
            .map(|_| ())
    });
    assert_eq!((with_class.references, with_class.unresolved), (1, 0));
    let referrers = |lab: &Lab| {
        let path = r"ROOT\To:Target.Id=1".parse().unwrap();
        lab.catalog().referrers("ROOT", &path).unwrap().count()
    };
    assert_eq!(referrers(&lab), 1);
    let gone = lab.write(|writer| writer.delete_namespace(r"ROOT\To"));
    assert_eq!((gone.references, gone.unresolved), (0, 1));
    lab.write(|writer| writer.create_namespace(r"ROOT\To"));
    assert_eq!(referrers(&lab), 1);
    let gone = lab.write(|writer| writer.delete_namespace(r"ROOT\From"));
    assert_eq!(
        (gone.references, gone.unresolved),
        (0, 0),
        "the namespace that refers"
    );
    lab.close();
}

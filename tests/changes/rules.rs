//! Every rule refuses what breaks it, with its code, and nothing is changed then.

use std::sync::Arc;

use cimrepo::base::rule::Rule;
use cimrepo::catalog::{Put, PutClass, UpdateMode};
use cimrepo::cim::{
    CimType, Class, ClassBuilder, Flavor, FullClass, Instance, Method, ObjectPath, Property,
    Qualifier, ScalarType, Setting, Value,
};

use crate::lab::Lab;

const NS: &str = "ROOT";

fn keyed(name: &str) -> ClassBuilder {
    Class::builder(name).property(Property::new("Id", ScalarType::Uint32).key())
}

fn path(text: &str) -> ObjectPath {
    text.parse().unwrap()
}

fn refuses_class(lab: &Lab, rule: Rule, class: Class) {
    lab.refused(rule, |writer| {
        writer.put_class(NS, &class, PutClass::default())
    });
}

/// A repository with `A(Id key, Text)`, `B : A (More)`, an abstract class, a singleton and one with
/// a fixed qualifier.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.write(|writer| {
        let text = Property::new("Text", ScalarType::String);
        let a = writer.put_class(NS, &keyed("A").property(text).build(), PutClass::CREATE)?;
        let more = Property::new("More", ScalarType::Sint64);
        writer.put_class(
            NS,
            &Class::builder("B").superclass("A").property(more).build(),
            PutClass::CREATE,
        )?;
        let abstract_ = Qualifier::flag("abstract", Flavor::empty());
        writer.put_class(
            NS,
            &keyed("Idea").qualifier(abstract_).build(),
            PutClass::CREATE,
        )?;
        let fixed = Flavor::TO_SUBCLASS | Flavor::NOT_OVERRIDABLE;
        let one = Class::builder("One").qualifier(Qualifier::flag("singleton", fixed));
        writer.put_class(NS, &one.build(), PutClass::CREATE)?;
        let units = Property::new("Size", ScalarType::Uint32)
            .qualifier(Qualifier::new("units", "bytes", fixed));
        writer.put_class(
            NS,
            &keyed("Fixed").property(units).build(),
            PutClass::CREATE,
        )?;
        writer.put_instance(
            NS,
            &Instance::new(a.class.clone()).with("Id", 1u32).unwrap(),
            Put::CreateOnly,
        )?;
        Ok(())
    });
    lab
}

#[test]
fn names_and_places() {
    let lab = lab();
    refuses_class(&lab, Rule::ReadOnly, keyed("__Mine").build());
    refuses_class(&lab, Rule::ReadOnly, keyed("__Provider").build());
    refuses_class(&lab, Rule::InvalidObject, keyed("").build());
    refuses_class(&lab, Rule::InvalidObject, keyed("1st").build());
    refuses_class(&lab, Rule::InvalidObject, keyed("a b").build());
    refuses_class(
        &lab,
        Rule::ClassNameTooWide,
        keyed(&"x".repeat(256)).build(),
    );
    lab.write(|writer| {
        writer
            .put_class(NS, &keyed(&"x".repeat(255)).build(), PutClass::CREATE)
            .map(|_| ())
    });
    lab.refused(Rule::InvalidNamespace, |writer| {
        writer.put_class(r"ROOT\nowhere", &keyed("C").build(), PutClass::CREATE)
    });
    lab.refused(Rule::InvalidNamespace, |writer| {
        writer.put_class("__SystemClass", &keyed("C").build(), PutClass::CREATE)
    });
    lab.refused(Rule::InvalidNamespace, |writer| {
        writer.delete_instance(r"ROOT\nowhere", &path("A.Id=1"))
    });
    let property = |name: &str| {
        keyed("C")
            .property(Property::new(name, ScalarType::String))
            .build()
    };
    refuses_class(&lab, Rule::SystemProperty, property("__PATH"));
    refuses_class(&lab, Rule::InvalidProperty, property("a.b"));
    refuses_class(&lab, Rule::PropertyNameTooWide, property(&"x".repeat(256)));
    refuses_class(
        &lab,
        Rule::MethodNameTooWide,
        keyed("C").method(Method::new("m".repeat(256))).build(),
    );
    let long = Qualifier::flag("q".repeat(256), Flavor::empty());
    refuses_class(
        &lab,
        Rule::QualifierNameTooWide,
        keyed("C").qualifier(long).build(),
    );
    lab.close();
}

#[test]
fn put_flags() {
    let lab = lab();
    lab.refused(Rule::AlreadyExists, |writer| {
        writer.put_class(NS, &keyed("a").build(), PutClass::CREATE)
    });
    let update = PutClass {
        put: Put::UpdateOnly,
        mode: UpdateMode::Safe,
    };
    lab.refused(Rule::NotFound, |writer| {
        writer.put_class(NS, &keyed("New").build(), update)
    });
    let class = lab.catalog().class(NS, "A").unwrap().unwrap().class.clone();
    let instance = |id: u32| Instance::new(class.clone()).with("Id", id).unwrap();
    lab.refused(Rule::AlreadyExists, |writer| {
        writer.put_instance(NS, &instance(1), Put::CreateOnly)
    });
    lab.refused(Rule::NotFound, |writer| {
        writer.put_instance(NS, &instance(2), Put::UpdateOnly)
    });
    let derived = lab.catalog().class(NS, "B").unwrap().unwrap().class.clone();
    let same_key = Instance::new(derived).with("Id", 1u32).unwrap();
    lab.refused(Rule::AlreadyExists, |writer| {
        writer.put_instance(NS, &same_key, Put::CreateOrUpdate)
    });
    lab.write(|writer| {
        writer
            .put_instance(NS, &instance(1), Put::UpdateOnly)
            .map(|_| ())
    });
    lab.write(|writer| {
        writer
            .put_instance(NS, &instance(2), Put::CreateOrUpdate)
            .map(|_| ())
    });
    lab.refused(Rule::NotFound, |writer| {
        writer.delete_instance(NS, &path("A.Id=3"))
    });
    lab.refused(Rule::NotFound, |writer| {
        writer.delete_instance(NS, &path("Nothing.Id=3"))
    });
    lab.refused(Rule::InvalidObjectPath, |writer| {
        writer.delete_instance(NS, &path("A"))
    });
    lab.refused(Rule::NotFound, |writer| writer.delete_class(NS, "Nothing"));
    lab.close();
}

#[test]
fn derivation() {
    let lab = lab();
    refuses_class(
        &lab,
        Rule::InvalidSuperclass,
        keyed("C").superclass("Nothing").build(),
    );
    refuses_class(
        &lab,
        Rule::CircularReference,
        keyed("C").superclass("c").build(),
    );
    refuses_class(
        &lab,
        Rule::CircularReference,
        keyed("A").superclass("B").build(),
    );
    let again = |class: &str, name: &str, scalar| {
        Class::builder("C")
            .superclass(class)
            .property(Property::new(name, scalar))
            .build()
    };
    refuses_class(
        &lab,
        Rule::TypeMismatch,
        again("A", "TEXT", ScalarType::Uint8),
    );
    let fixed = Property::new("Size", ScalarType::Uint32).qualifier(Qualifier::new(
        "Units",
        "bits",
        Flavor::TO_SUBCLASS | Flavor::NOT_OVERRIDABLE,
    ));
    let class = Class::builder("C")
        .superclass("Fixed")
        .property(fixed)
        .build();
    refuses_class(&lab, Rule::OverrideNotAllowed, class);
    let abstract_ = Qualifier::flag("Abstract", Flavor::empty());
    refuses_class(
        &lab,
        Rule::CannotBeAbstract,
        Class::builder("C")
            .superclass("A")
            .qualifier(abstract_)
            .build(),
    );
    let twice = keyed("C")
        .property(Property::new("ID", ScalarType::Uint32))
        .build();
    refuses_class(&lab, Rule::InvalidObject, twice);
    lab.close();
}

#[test]
fn keys_and_singletons() {
    let lab = lab();
    let key_of = |cim_type: CimType| {
        Class::builder("C")
            .property(Property::new("K", cim_type).key())
            .build()
    };
    for scalar in [ScalarType::Real32, ScalarType::Real64, ScalarType::Object] {
        refuses_class(&lab, Rule::CannotBeKey, key_of(scalar.into()));
    }
    refuses_class(
        &lab,
        Rule::CannotBeKey,
        key_of(CimType::array(ScalarType::String)),
    );
    let more = Class::builder("C")
        .superclass("A")
        .property(Property::new("K", ScalarType::String).key())
        .build();
    refuses_class(&lab, Rule::CannotBeKey, more);
    let mut not = Qualifier::key();
    not.value = Some(Value::Boolean(false));
    let property = Property::new("Id", ScalarType::Uint32)
        .default(Setting::Inherited)
        .qualifier(not);
    let back = Class::builder("C")
        .superclass("A")
        .property(property)
        .build();
    refuses_class(&lab, Rule::CannotChangeKeyInheritance, back);
    let single = Qualifier::flag("singleton", Flavor::TO_SUBCLASS);
    refuses_class(
        &lab,
        Rule::CannotBeSingleton,
        keyed("C").qualifier(single.clone()).build(),
    );
    refuses_class(
        &lab,
        Rule::CannotBeSingleton,
        Class::builder("C")
            .superclass("A")
            .qualifier(single)
            .build(),
    );
    lab.close();
}

#[test]
fn types_of_defaults_and_qualifiers() {
    let lab = lab();
    for wrong in [Value::from("1"), (-1).into(), true.into(), vec![1].into()] {
        let wrong = Property::new("P", ScalarType::Uint32).default(wrong);
        refuses_class(&lab, Rule::TypeMismatch, keyed("C").property(wrong).build());
    }
    let wide = Qualifier::new("q", 1u64, Flavor::empty());
    refuses_class(
        &lab,
        Rule::InvalidQualifierType,
        keyed("C").qualifier(wide.clone()).build(),
    );
    let property = Property::new("P", ScalarType::Uint32).qualifier(wide.clone());
    refuses_class(
        &lab,
        Rule::InvalidQualifierType,
        keyed("C").property(property).build(),
    );
    let method = Method::new("M").qualifier(wide);
    refuses_class(
        &lab,
        Rule::InvalidQualifierType,
        keyed("C").method(method).build(),
    );
    let zero = Property::new("P", ScalarType::String).default("a\0b");
    refuses_class(&lab, Rule::InvalidObject, keyed("C").property(zero).build());
    lab.close();
}

#[test]
fn parameters_of_methods() {
    let lab = lab();
    let numbered = |id: i32| {
        Property::new("P", ScalarType::Uint32).qualifier(Qualifier::new("ID", id, Flavor::empty()))
    };
    let with = |parameters: Vec<Property>| {
        let signature = Class {
            properties: parameters,
            ..Class::builder(Method::PARAMETERS).build()
        };
        let method = Method {
            input: Some(Arc::new(signature)),
            ..Method::new("M")
        };
        keyed("C").method(method).build()
    };
    refuses_class(
        &lab,
        Rule::MissingParameterId,
        with(vec![Property::new("P", ScalarType::Uint32)]),
    );
    refuses_class(
        &lab,
        Rule::NonconsecutiveParameterIds,
        with(vec![numbered(1)]),
    );
    let returns = Property {
        name: Method::RETURN_VALUE.into(),
        ..numbered(0)
    };
    refuses_class(&lab, Rule::ParameterIdOnReturnValue, with(vec![returns]));
    let good = Method::new("M")
        .input(Property::new("X", ScalarType::String))
        .returns(ScalarType::Uint32);
    lab.write(|writer| {
        writer
            .put_class(NS, &keyed("C").method(good).build(), PutClass::CREATE)
            .map(|_| ())
    });
    lab.close();
}

#[test]
fn instances() {
    let lab = lab();
    let class = |name: &str| {
        lab.catalog()
            .class(NS, name)
            .unwrap()
            .unwrap()
            .class
            .clone()
    };
    let refuses = |rule, instance: &Instance| {
        lab.refused(rule, |writer| {
            writer.put_instance(NS, instance, Put::default())
        })
    };
    refuses(
        Rule::InvalidClass,
        &Instance::new(class("Idea")).with("Id", 1u32).unwrap(),
    );
    refuses(Rule::IllegalNull, &Instance::new(class("A")));
    refuses(
        Rule::IllegalNull,
        &Instance::new(class("A")).with("Id", Setting::Null).unwrap(),
    );
    refuses(Rule::InvalidClass, &Instance::new(class("__SystemClass")));
    refuses(Rule::ReadOnly, &Instance::new(class("__thisNAMESPACE")));
    let foreign =
        |builder: ClassBuilder| Arc::new(FullClass::compose(builder.build(), None).unwrap());
    refuses(
        Rule::InvalidClass,
        &Instance::new(foreign(keyed("Nothing")))
            .with("Id", 1u32)
            .unwrap(),
    );
    let other = foreign(keyed("A").property(Property::new("Text", ScalarType::Uint8)));
    refuses(
        Rule::TypeMismatch,
        &Instance::new(other)
            .with("Id", 2u32)
            .unwrap()
            .with("Text", 1u8)
            .unwrap(),
    );
    let other = foreign(keyed("A").property(Property::new("Else", ScalarType::Uint8)));
    refuses(
        Rule::InvalidProperty,
        &Instance::new(other.clone())
            .with("Id", 2u32)
            .unwrap()
            .with("Else", 1u8)
            .unwrap(),
    );
    let text = Instance::new(class("A"))
        .with("Id", 2u32)
        .unwrap()
        .with("Text", "a\0b")
        .unwrap();
    refuses(Rule::InvalidObject, &text);
    // What the other definition has no value for does not matter.
    lab.write(|writer| {
        writer
            .put_instance(
                NS,
                &Instance::new(other).with("Id", 2u32).unwrap(),
                Put::CreateOnly,
            )
            .map(|_| ())
    });
    let strict = Property::new("S", ScalarType::String)
        .qualifier(Qualifier::flag("not_null", Flavor::TO_INSTANCE));
    lab.write(|writer| {
        writer.put_class(
            NS,
            &keyed("Strict").property(strict).build(),
            PutClass::CREATE,
        )?;
        let dynamic = Qualifier::flag("dynamic", Flavor::TO_INSTANCE);
        writer
            .put_class(
                NS,
                &keyed("Live").qualifier(dynamic).build(),
                PutClass::CREATE,
            )
            .map(|_| ())
    });
    refuses(
        Rule::IllegalNull,
        &Instance::new(class("Strict")).with("Id", 1u32).unwrap(),
    );
    refuses(
        Rule::ProviderNotCapable,
        &Instance::new(class("Live")).with("Id", 1u32).unwrap(),
    );
    lab.close();
}

#[test]
fn what_is_the_systems_stays() {
    let lab = lab();
    lab.refused(Rule::ReadOnly, |writer| {
        writer.delete_class(NS, "__Win32Provider")
    });
    lab.refused(Rule::ReadOnly, |writer| {
        writer.delete_class(NS, "CIM_Error")
    });
    lab.refused(Rule::ReadOnly, |writer| {
        writer.delete_class(NS, "__CIMOMIdentification")
    });
    lab.refused(Rule::ReadOnly, |writer| {
        writer.delete_instance(NS, &path("__SystemSecurity=@"))
    });
    lab.refused(Rule::ReadOnly, |writer| {
        writer.delete_instance(NS, &path("__thisNAMESPACE=@"))
    });
    lab.refused(Rule::ReadOnly, |writer| writer.delete_namespace(NS));
    lab.close();
}

#[test]
fn namespaces() {
    let lab = lab();
    lab.refused(Rule::AlreadyExists, |writer| {
        writer.create_namespace("ROOT")
    });
    lab.refused(Rule::AlreadyExists, |writer| {
        writer.create_namespace(r"root\default")
    });
    lab.refused(Rule::InvalidNamespace, |writer| {
        writer.create_namespace(r"ROOT\a\b")
    });
    lab.refused(Rule::InvalidNamespace, |writer| {
        writer.delete_namespace(r"ROOT\a")
    });
    for name in ["", "a/b", "a:b", "a\"b"] {
        lab.refused(Rule::InvalidObject, |writer| {
            writer.create_namespace(&format!(r"ROOT\{name}"))
        });
    }
    lab.close();
}

//! Any class and any instance that can be made up is written and read again.

use std::sync::Arc;

use cimrepo::cim::{
    Array, CimType, Class, Flavor, FullClass, Instance, Method, Name, Object, ObjectPath, Property,
    Qualifier, QualifierSet, ScalarType, Setting, Value,
};
use cimrepo::format::Dialect;
use cimrepo::format::record::class_record::{
    ClassRecordView, encode_class_record, encode_exact_class_record,
};
use cimrepo::format::record::instance_record::{InstanceRecordView, encode_instance_record};
use cimrepo::format::record::reference_record::{ReferenceRecord, ReferenceRecordView};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Any text without a zero character, which would end it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ -~]{0,12}", 1 => "[\u{1}-\u{FF}]{0,6}", 1 => "[\u{1}-\u{10FFFF}]{0,6}"]
}

fn name() -> impl Strategy<Value = Name> {
    let known = prop_oneof![
        Just("KEY"),
        Just("Read"),
        Just("Provider"),
        Just("_a"),
        Just("Ab"),
        Just("a_b"),
        Just("äö")
    ];
    prop_oneof![2 => known.prop_map(Name::from), 5 => "[A-Za-z_][A-Za-z0-9_]{0,8}".prop_map(Name::from)]
}

fn embedded() -> impl Strategy<Value = Object> {
    let properties = vec((name(), scalar(false)), 0..3);
    (name(), properties, any::<bool>()).prop_map(|(class, properties, is_class)| {
        let mut builder = Class::builder(class);
        for (name, value) in properties {
            let property = Property::new(name.clone(), value.cim_type()).default(value);
            let taken = builder.clone().build().property(name.as_str()).is_some();
            builder = if taken {
                builder
            } else {
                builder.property(property)
            };
        }
        let class = builder.build();
        if is_class {
            return Object::Class(Box::new(class));
        }
        let full = FullClass::compose(class, None).unwrap();
        Object::Instance(Box::new(Instance::new(Arc::new(full))))
    })
}

fn scalar(with_objects: bool) -> BoxedStrategy<Value> {
    let plain = prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        any::<u8>().prop_map(Value::Uint8),
        any::<i8>().prop_map(Value::Sint8),
        any::<u16>().prop_map(Value::Uint16),
        any::<i16>().prop_map(Value::Sint16),
        any::<u32>().prop_map(Value::Uint32),
        any::<i32>().prop_map(Value::Sint32),
        any::<u64>().prop_map(Value::Uint64),
        any::<i64>().prop_map(Value::Sint64),
        any::<u32>().prop_map(|bits| Value::Real32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::Real64(f64::from_bits(bits))),
        any::<u16>().prop_map(Value::Char16),
        text().prop_map(Value::String),
        text().prop_map(Value::DateTime),
        text().prop_map(Value::Reference),
    ];
    if with_objects {
        prop_oneof![15 => plain, 1 => embedded().prop_map(|object| Value::Object(Box::new(object)))]
            .boxed()
    } else {
        plain.boxed()
    }
}

fn value() -> impl Strategy<Value = Value> {
    let array = prop_oneof![
        vec(any::<bool>(), 0..5).prop_map(Array::Boolean),
        vec(any::<u8>(), 0..20).prop_map(Array::Uint8),
        vec(any::<i64>(), 0..5).prop_map(Array::Sint64),
        vec(any::<u16>(), 0..5).prop_map(Array::Char16),
        vec(any::<u32>().prop_map(f32::from_bits), 0..5).prop_map(Array::Real32),
        vec(option::of(text()), 0..5).prop_map(Array::String),
        vec(option::of(text()), 0..5).prop_map(Array::Reference),
        vec(option::of(text()), 0..5).prop_map(Array::DateTime),
        vec(option::of(embedded()), 0..3).prop_map(Array::Object),
    ];
    prop_oneof![3 => scalar(true), 1 => array.prop_map(Value::Array)]
}

fn qualifiers() -> impl Strategy<Value = QualifierSet> {
    let flavor = any::<u8>().prop_map(|bits| Flavor::from_bits_retain(bits & !0x20));
    let null = (name(), flavor.clone()).prop_map(|(name, flavor)| Qualifier {
        name,
        cim_type: CimType::one(ScalarType::String),
        value: None,
        flavor,
    });
    let some = (name(), value(), flavor)
        .prop_map(|(name, value, flavor)| Qualifier::new(name, value, flavor));
    let several = vec(prop_oneof![5 => some, 1 => null], 0..4);
    several.prop_map(|several| {
        let mut set = QualifierSet::new();
        several.into_iter().for_each(|qualifier| set.set(qualifier));
        set
    })
}

fn property() -> impl Strategy<Value = Property> {
    (name(), value(), any::<bool>(), qualifiers()).prop_map(
        |(name, value, has_default, qualifiers)| {
            let cim_type = value.cim_type();
            let default = if has_default {
                Setting::Value(value)
            } else {
                Setting::Null
            };
            Property {
                name,
                cim_type,
                default,
                qualifiers,
            }
        },
    )
}

fn method() -> impl Strategy<Value = Method> {
    (name(), qualifiers(), vec(property(), 0..3), any::<bool>()).prop_map(
        |(name, qualifiers, parameters, returns)| {
            let mut method = Method {
                qualifiers,
                ..Method::new(name)
            };
            let mut names = Vec::new();
            for (number, parameter) in parameters.into_iter().enumerate() {
                if names.contains(&parameter.name) {
                    continue;
                }
                names.push(parameter.name.clone());
                method = if number % 2 == 0 {
                    method.input(parameter)
                } else {
                    method.output(parameter)
                };
            }
            if returns {
                method.returns(ScalarType::Uint32)
            } else {
                method
            }
        },
    )
}

/// The members whose names are new.
fn distinct<T>(members: Vec<T>, name: impl Fn(&T) -> &Name) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for member in members {
        if kept.iter().all(|other| name(other) != name(&member)) {
            kept.push(member);
        }
    }
    kept
}

fn class() -> impl Strategy<Value = Class> {
    let members = (vec(property(), 0..7), vec(method(), 0..3));
    (name(), qualifiers(), members).prop_map(|(name, qualifiers, (properties, methods))| Class {
        name,
        superclass: None,
        qualifiers,
        properties: distinct(properties, |property| &property.name),
        methods: distinct(methods, |method| &method.name),
    })
}

/// A chain of classes. Where a class has a property of its superclass, it takes its type and
/// spelling.
fn chain() -> impl Strategy<Value = Vec<Arc<FullClass>>> {
    (vec(class(), 1..4), any::<u64>()).prop_map(|(classes, choices)| {
        let mut chain: Vec<Arc<FullClass>> = Vec::new();
        for (number, mut class) in classes.into_iter().enumerate() {
            class.name = Name::from(format!("{}_{number}", class.name));
            let parent = chain.last().cloned();
            if let Some(parent) = &parent {
                class.superclass = Some(parent.name().clone());
                fit(&mut class, parent, choices);
            }
            chain.push(Arc::new(FullClass::compose(class, parent).unwrap()));
        }
        chain
    })
}

fn fit(class: &mut Class, parent: &FullClass, choices: u64) {
    // In a record, properties stand in order of declaration over the whole chain.
    let (mut overriding, mut new): (Vec<_>, Vec<_>) = std::mem::take(&mut class.properties)
        .into_iter()
        .partition(|property| parent.property(property.name.as_str()).is_some());
    let inherited = parent
        .properties()
        .iter()
        .filter(|property| choices >> (property.order % 64) & 1 == 1);
    overriding
        .extend(inherited.map(|property| Property::new(property.name.clone(), property.cim_type)));
    let mut overriding = distinct(overriding, |property| &property.name);
    for property in &mut overriding {
        let inherited = parent.property(property.name.as_str()).unwrap();
        if property.cim_type != inherited.cim_type {
            property.cim_type = inherited.cim_type;
            property.default = if inherited.order.is_multiple_of(2) {
                Setting::Inherited
            } else {
                Setting::Null
            };
        }
    }
    overriding.sort_by_key(|property| parent.property(property.name.as_str()).unwrap().order);
    overriding.append(&mut new);
    class.properties = overriding;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn classes_are_written_and_read(chain in chain(), stamp: u64) {
        for class in &chain {
            let record = encode_class_record(class, stamp).unwrap();
            let view = ClassRecordView::parse(&record).unwrap();
            let (again, notes) = view.to_exact(class.superclass().cloned()).unwrap();
            prop_assert_eq!(&again, &**class);
            prop_assert_eq!(view.stamp(), stamp);
            prop_assert!(notes.class.heap.is_canonical() && notes.methods.heap.is_canonical());
            prop_assert!(notes.class.table.has_usual_states() && notes.class.table.stale_slots() == 0);
            prop_assert_eq!(encode_exact_class_record(&again, stamp, &notes).unwrap(), record);
        }
    }

    #[test]
    fn instances_are_written_and_read(
        chain in chain(),
        values in vec((any::<prop::sample::Index>(), value(), any::<bool>()), 0..8),
        own in qualifiers(),
        of_properties in option::of(vec(qualifiers(), 40)),
        old: bool,
    ) {
        let class = chain.last().unwrap();
        let mut instance = Instance::new(class.clone());
        instance.qualifiers = own;
        instance.property_qualifiers = of_properties.map(|mut sets| {
            sets.resize(class.properties().len(), QualifierSet::new());
            sets
        });
        for (index, value, null) in values {
            let Some(property) = class.properties().get(index.index(class.properties().len().max(1))) else { continue };
            let setting = if null { Setting::Null } else { Setting::Value(value) };
            // A value of another type is refused; then the default stays.
            let is_set = instance.set(property.name.as_str(), setting.clone()).is_ok();
            let is_same_type = setting.value().is_none_or(|value| value.cim_type() == property.cim_type);
            prop_assert!(is_set || !is_same_type);
            if is_set && is_same_type {
                prop_assert_eq!(instance.get(property.name.as_str()), Ok(setting.value()));
            }
        }
        let dialect = if old { Dialect::V21 } else { Dialect::V22 };
        let record = encode_instance_record(&instance, dialect, 1, 2).unwrap();
        let view = InstanceRecordView::parse(&record, dialect).unwrap();
        prop_assert_eq!((view.stamp(), view.class_stamp()), (1, 2));
        prop_assert_eq!(view.to_instance(class).unwrap(), instance);
    }

    #[test]
    fn references_are_written_and_read(namespace in any::<String>(), class in text(), property in text(), key in text()) {
        let reference = ReferenceRecord { namespace, class, property, key };
        let record = reference.to_bytes();
        prop_assert_eq!(ReferenceRecordView::parse(&record).unwrap().to_reference().unwrap(), reference);
    }

    #[test]
    fn object_paths_are_read_as_they_are_written(text in r#"[\\/a-c.:=@,"'0-9xTRUE]{0,24}"#) {
        if let Ok(path) = text.parse::<ObjectPath>() {
            prop_assert_eq!(path.text().parse::<ObjectPath>(), Ok(path));
        }
    }
}

#[test]
fn what_would_not_be_read_again_is_not_written() {
    let write = |class: Class| encode_class_record(&FullClass::compose(class, None).unwrap(), 0);
    let zero = Property::new("P", ScalarType::String).default("a\0b");
    assert!(write(Class::builder("C").property(zero).build()).is_err());
    assert!(
        write(
            Class::builder("C")
                .property(Property::new("P\0", ScalarType::String))
                .build()
        )
        .is_err()
    );
    let wrong = Property {
        cim_type: CimType::one(ScalarType::Uint8),
        ..Property::new("P", ScalarType::String)
    };
    assert!(
        write(
            Class::builder("C")
                .property(wrong.clone().default("text"))
                .build()
        )
        .is_err()
    );
    assert!(write(Class::builder("C").property(wrong).build()).is_ok());
}

#[test]
fn a_record_that_repeats_its_items_is_not_decoded_without_end() {
    // Arrays of references to one long text, as a hostile record would have them: a writer repeats
    // the text, so the references are changed to lead to the first.
    let long = "x".repeat(60_000);
    let texts: Vec<Option<String>> = vec![Some(long)]
        .into_iter()
        .chain(vec![Some(String::new()); 3000])
        .collect();
    let property = Property::new("P", CimType::array(ScalarType::String))
        .default(Value::Array(Array::String(texts)));
    let class = FullClass::compose(Class::builder("C").property(property).build(), None).unwrap();
    let mut record = encode_class_record(&class, 0).unwrap();
    let count = 3001u32.to_le_bytes();
    let at = record
        .windows(4)
        .position(|window| window == count)
        .unwrap()
        + 4;
    let first: [u8; 4] = record[at..at + 4].try_into().unwrap();
    for slot in record[at..].chunks_exact_mut(4).take(3001) {
        slot.copy_from_slice(&first);
    }
    let error = ClassRecordView::parse(&record)
        .unwrap()
        .to_class(None)
        .unwrap_err();
    assert!(error.to_string().contains("too often"), "{error}");
}

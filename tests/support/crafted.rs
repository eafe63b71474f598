//! Repositories with costly structures. Each grows with a number, and none needs more than a few
//! kilobytes a unit.
//!
//! They are made with the writer of the crate. Records and keys that it refuses to write are added
//! directly.

use std::path::Path;
use std::sync::Arc;

use cimrepo::base::page_no::PAGE_SIZE;
use cimrepo::catalog::{Importer, create};
use cimrepo::cim::{
    CimType, Class, Flavor, FullClass, Instance, Method, Object, Property, Qualifier, QualifierSet,
    ScalarType, Value,
};
use cimrepo::format::Dialect;
use cimrepo::format::index::object_key::ObjectKeys;
use cimrepo::format::record::class_record::{ClassRecordView, encode_class_record};
use cimrepo::format::record::instance_record::{InstanceRecordView, encode_instance_record};
use cimrepo::format::record::reader::BadRecord;
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::{Durability, Engine, EngineOptions};

use super::edit::{set_word, word};
use super::small::stored;
use super::{Files, PLACE};

/// A structure: its name, and a repository that has it at a given size.
pub struct Shape {
    /// Its name, for messages.
    pub name: &'static str,
    /// A size that takes a moment to read.
    pub size: usize,
    /// Makes the files.
    pub make: fn(usize) -> Files,
}

/// All shapes whose cost must follow the bytes of the files.
pub const SHAPES: &[Shape] = &[
    Shape {
        name: "qualifiers of a class and its subclass",
        size: 2_000,
        make: qualifiers,
    },
    Shape {
        name: "methods of a class and its subclass",
        size: 1_000,
        make: methods,
    },
    Shape {
        name: "properties of one class",
        size: 2_000,
        make: properties,
    },
    Shape {
        name: "parameters of one method",
        size: 500,
        make: parameters,
    },
    Shape {
        name: "subclasses of a wide class",
        size: 50,
        make: subclasses,
    },
    Shape {
        name: "a chain of wide classes",
        size: 50,
        make: chain,
    },
    Shape {
        name: "a chain of classes without its top",
        size: 1_000,
        make: topless,
    },
    Shape {
        name: "instances of a wide class",
        size: 100,
        make: instances,
    },
    Shape {
        name: "keys that name one instance",
        size: 100,
        make: fan_of_instances,
    },
    Shape {
        name: "keys that name one class",
        size: 100,
        make: fan_of_classes,
    },
    Shape {
        name: "namespaces that share a class",
        size: 20,
        make: fan_of_namespaces,
    },
    Shape {
        name: "records that lie on each other's pages",
        size: 20,
        make: overlaps,
    },
    Shape {
        name: "references to one instance",
        size: 100,
        make: references,
    },
    Shape {
        name: "namespaces in each other",
        size: 200,
        make: nested_namespaces,
    },
    Shape {
        name: "namespaces of one name",
        size: 7,
        make: twin_namespaces,
    },
    Shape {
        name: "strings that share their text",
        size: 400,
        make: shared_strings,
    },
    Shape {
        name: "embedded objects that are one",
        size: 400,
        make: shared_objects,
    },
    Shape {
        name: "embedded objects of their own",
        size: 100,
        make: embedded,
    },
    Shape {
        name: "a large default for many",
        size: 100,
        make: defaults,
    },
    Shape {
        name: "long names",
        size: 20,
        make: long_names,
    },
];

/// Time stamp of records that are made by hand.
const STAMP: u64 = 133_000_000_000_000_000;

/// Bytes before a record on the first of its pages.
const MULTI_PAGE_HEAD: usize = 32;

const SPREAD: Flavor = Flavor::TO_SUBCLASS.union(Flavor::TO_INSTANCE);

/// A new repository with the content that `fill` adds.
fn made(fill: impl FnOnce(&Engine)) -> Files {
    let storage = MemStorage::new();
    let directory = Directory::new(Arc::new(storage.clone()), PLACE);
    storage.create_dir(Path::new(PLACE)).unwrap();
    create(&directory).unwrap();
    let options = EngineOptions::new()
        .background(false)
        .durability(Durability::None);
    let engine = options.open_in(&directory).unwrap();
    fill(&engine);
    engine.close().unwrap();
    let names = [
        "OBJECTS.DATA",
        "INDEX.BTR",
        "MAPPING1.MAP",
        "MAPPING2.MAP",
        "MAPPING3.MAP",
    ];
    let file = |name: &str| Some((name.to_owned(), storage.get(Path::new(PLACE).join(name))?));
    names.into_iter().filter_map(file).collect()
}

fn imported(import: impl FnOnce(&mut Importer<'_>)) -> Files {
    made(|engine| {
        let mut importer = Importer::new(engine.begin_write().unwrap()).unwrap();
        import(&mut importer);
        importer.commit().unwrap();
    })
}

/// A new repository without additions.
pub fn nothing() -> Files {
    made(|_| {})
}

/// A repository with the given records and keys.
fn raw(records: impl IntoIterator<Item = (Vec<u8>, Vec<String>)>) -> Files {
    made(|engine| put(engine, records))
}

/// Stores records under keys.
pub fn put(engine: &Engine, records: impl IntoIterator<Item = (Vec<u8>, Vec<String>)>) {
    let mut transaction = engine.begin_write().unwrap();
    for (record, keys) in records {
        let reference = transaction.insert_record(&record).unwrap();
        for key in keys {
            transaction
                .insert_key(format!("{key}.{reference}").as_bytes())
                .unwrap();
        }
    }
    transaction.commit().unwrap();
}

fn keys() -> ObjectKeys {
    ObjectKeys::new(Dialect::V22)
}

fn keyed(name: &str) -> Property {
    Property::new(name, ScalarType::String).key()
}

fn composed(class: Class, superclass: Option<&Arc<FullClass>>) -> Arc<FullClass> {
    Arc::new(FullClass::compose(class, superclass.cloned()).unwrap())
}

fn class_record(namespace: &str, class: &FullClass) -> (Vec<u8>, Vec<String>) {
    (
        encode_class_record(class, STAMP).unwrap(),
        vec![keys().class(namespace, class.name().as_str())],
    )
}

fn instance_record(instance: &Instance) -> Vec<u8> {
    encode_instance_record(instance, Dialect::V22, STAMP, STAMP).unwrap()
}

fn instance_keys(namespace: &str, class: &str, text: &str) -> Vec<String> {
    vec![
        keys().instance(namespace, class, text),
        keys().keyed_instance(namespace, class, text),
    ]
}

fn set(count: usize, prefix: &str) -> QualifierSet {
    (0..count)
        .map(|number| Qualifier::flag(format!("{prefix}{number}"), SPREAD))
        .collect()
}

fn qualifiers(count: usize) -> Files {
    imported(|importer| {
        let mut base = Class::builder("Base").build();
        base.qualifiers = set(count, "Q");
        importer.put_class("ROOT", &base, None).unwrap();
        let mut below = Class::builder("Below").superclass("Base").build();
        below.qualifiers = set(count, "R");
        importer.put_class("ROOT", &below, None).unwrap();
    })
}

fn methods(count: usize) -> Files {
    imported(|importer| {
        let mut base = Class::builder("Base").build();
        base.methods = (0..count)
            .map(|number| Method::new(format!("M{number}")))
            .collect();
        importer.put_class("ROOT", &base, None).unwrap();
        let below = Class {
            name: "Below".into(),
            superclass: Some("Base".into()),
            ..base
        };
        importer.put_class("ROOT", &below, None).unwrap();
    })
}

fn wide(name: &str, count: usize) -> Class {
    let mut class = Class::builder(name).build();
    class.properties = (0..count)
        .map(|number| Property::new(format!("P{number}"), ScalarType::Uint32))
        .collect();
    class.properties.insert(0, keyed("Id"));
    class
}

fn properties(count: usize) -> Files {
    imported(|importer| {
        drop(
            importer
                .put_class("ROOT", &wide("Wide", count), None)
                .unwrap(),
        )
    })
}

fn parameters(count: usize) -> Files {
    imported(|importer| {
        let names = wide("__PARAMETERS", count);
        let method = Method {
            input: Some(Arc::new(names.clone())),
            output: Some(Arc::new(names)),
            ..Method::new("Do")
        };
        importer
            .put_class("ROOT", &Class::builder("Doer").method(method).build(), None)
            .unwrap();
    })
}

fn subclasses(count: usize) -> Files {
    imported(|importer| {
        importer
            .put_class("ROOT", &wide("Wide", 500), None)
            .unwrap();
        for number in 0..count {
            let class = Class::builder(format!("Below{number}"))
                .superclass("Wide")
                .build();
            importer.put_class("ROOT", &class, None).unwrap();
        }
    })
}

/// Chains of the greatest permitted depth, each class with its own properties.
fn chain(count: usize) -> Files {
    imported(|importer| {
        for number in 0..count {
            let level = number % 25;
            let mut class = Class::builder(format!("C{number}"));
            if level > 0 {
                class = class.superclass(format!("C{}", number - 1));
            }
            for property in 0..20 {
                class = class.property(Property::new(
                    format!("P{level}x{property}"),
                    ScalarType::Uint8,
                ));
            }
            importer.put_class("ROOT", &class.build(), None).unwrap();
        }
    })
}

/// A chain, deeper than is permitted, of classes whose topmost superclass is missing.
pub fn topless(count: usize) -> Files {
    raw((1..=count).map(|number| {
        let above = composed(Class::builder(format!("C{}", number - 1)).build(), None);
        let class = Class::builder(format!("C{number}")).superclass(above.name().clone());
        let class = class
            .property(Property::new(format!("P{number}"), ScalarType::Uint8))
            .build();
        class_record("ROOT", &composed(class, Some(&above)))
    }))
}

fn instances(count: usize) -> Files {
    imported(|importer| {
        let class = importer
            .put_class("ROOT", &wide("Wide", 500), None)
            .unwrap();
        for number in 0..count {
            let instance = Instance::new(class.class.clone())
                .with("Id", format!("{number}").as_str())
                .unwrap();
            importer.put_instance("ROOT", &instance, None).unwrap();
        }
    })
}

/// A class with a key and a text, and an instance with a text of this length.
fn noted(length: usize) -> (Arc<FullClass>, Instance) {
    let class = Class::builder("Noted")
        .property(keyed("Id"))
        .property(Property::new("Text", ScalarType::String));
    let class = composed(class.build(), None);
    let instance = Instance::new(class.clone())
        .with("Id", "1")
        .unwrap()
        .with("Text", "x".repeat(length).as_str());
    (class, instance.unwrap())
}

fn fan_of_instances(count: usize) -> Files {
    let (class, instance) = noted(1_000 * count);
    let names = (0..count).map(|number| keys().instance("ROOT", "Noted", &number.to_string()));
    raw([
        class_record("ROOT", &class),
        (instance_record(&instance), names.collect()),
    ])
}

fn heavy(name: &str, length: usize) -> Class {
    let text = "x".repeat(length);
    Class::builder(name)
        .qualifier(Qualifier::new(
            "Description",
            text.as_str(),
            Flavor::empty(),
        ))
        .build()
}

/// One class under many keys; each is the superclass of a class of its own.
fn fan_of_classes(count: usize) -> Files {
    let base = composed(heavy("Base", 1_000 * count), None);
    let aliases = (0..count).map(|number| keys().class("ROOT", &format!("Alias{number}")));
    let below = (0..count).map(|number| {
        let alias = composed(Class::builder(format!("Alias{number}")).build(), None);
        let class = Class::builder(format!("Below{number}"))
            .superclass(alias.name().clone())
            .build();
        class_record("ROOT", &composed(class, Some(&alias)))
    });
    raw([(
        encode_class_record(&base, STAMP).unwrap(),
        aliases.collect(),
    )]
    .into_iter()
    .chain(below))
}

/// The instance that represents a namespace in its parent.
fn namespace_record(name: &str) -> Vec<u8> {
    let system = composed(Class::builder("__SystemClass").build(), None);
    let namespace = Class::builder("__NAMESPACE")
        .superclass("__SystemClass")
        .property(keyed("Name"))
        .build();
    let class = composed(namespace, Some(&system));
    instance_record(&Instance::new(class).with("Name", name).unwrap())
}

fn namespace(parent: &str, name: &str) -> (Vec<u8>, Vec<String>) {
    (
        namespace_record(name),
        instance_keys(parent, "__NAMESPACE", name),
    )
}

/// One class record under the key of its name in many namespaces, with a class derived from it in
/// each.
fn fan_of_namespaces(count: usize) -> Files {
    let base = composed(heavy("Base", 10_000 * count), None);
    let paths: Vec<String> = (0..count).map(|number| format!("N{number}")).collect();
    let names = paths
        .iter()
        .map(|path| keys().class(&format!(r"ROOT\{path}"), "Base"))
        .collect();
    let namespaces = paths.iter().map(|path| namespace("ROOT", path));
    let below = paths.iter().map(|path| {
        let class = Class::builder("Below").superclass("Base").build();
        class_record(&format!(r"ROOT\{path}"), &composed(class, Some(&base)))
    });
    let base = (encode_class_record(&base, STAMP).unwrap(), names);
    raw([base]
        .into_iter()
        .chain(below.collect::<Vec<_>>())
        .chain(namespaces))
}

/// The record of a class without members with a given length; the content of its heap after the
/// name is arbitrary.
fn stretched(name: &str, length: usize) -> Vec<u8> {
    let mut record =
        encode_class_record(&composed(Class::builder(name).build(), None), STAMP).unwrap();
    let methods = record.split_off(record.len() - 12);
    let heap = record.len() - name.len() - 6;
    record.resize(length - methods.len(), 0xA5);
    let filled = record.len();
    set_word(&mut record, 12, stored(filled - 12));
    set_word(&mut record, heap, 0x8000_0000 | stored(filled - heap - 4));
    [record, methods].concat()
}

/// Records of many pages, each of which begins on the second page of the previous one and ends at
/// the common end.
fn overlaps(count: usize) -> Files {
    let pages = count + 1;
    let length = pages * PAGE_SIZE - MULTI_PAGE_HEAD;
    let mut record = stretched("Over0", length);
    let size_on = |page: usize| length - page * PAGE_SIZE;
    for page in 1..count {
        let start = page * PAGE_SIZE - MULTI_PAGE_HEAD;
        for (at, word) in [
            1,
            stored(MULTI_PAGE_HEAD),
            stored(size_on(page)),
            0,
            0,
            0,
            0,
            0,
        ]
        .into_iter()
        .enumerate()
        {
            set_word(&mut record, start + 4 * at, word);
        }
        let inner = stretched(&format!("Over{page}"), size_on(page));
        let begin = &inner[..100];
        record[start + MULTI_PAGE_HEAD..][..begin.len()].copy_from_slice(begin);
    }
    made(|engine| {
        let mut transaction = engine.begin_write().unwrap();
        let first = transaction.insert_record(&record).unwrap();
        for page in 0..count {
            let key = keys().class("ROOT", &format!("Over{page}"));
            let key = format!(
                "{key}.{}.1.{}",
                first.page.get() + stored(page),
                size_on(page)
            );
            transaction.insert_key(key.as_bytes()).unwrap();
        }
        transaction.commit().unwrap();
    })
}

fn references(count: usize) -> Files {
    imported(|importer| {
        let class = Class::builder("Thing")
            .property(keyed("Id"))
            .property(Property::new("Next", ScalarType::Reference).of_class("Thing"))
            .build();
        let class = importer.put_class("ROOT", &class, None).unwrap();
        for number in 0..count {
            let id = number.to_string();
            let next = Value::Reference("Thing.Id=\"0\"".to_owned());
            let thing = Instance::new(class.class.clone())
                .with("Id", id.as_str())
                .unwrap()
                .with("Next", next)
                .unwrap();
            importer.put_instance("ROOT", &thing, None).unwrap();
        }
    })
}

/// Nested namespaces.
pub fn nested_namespaces(count: usize) -> Files {
    let mut path = "ROOT".to_owned();
    raw((0..count).map(|_| {
        let found = namespace(&path, "a");
        path.push_str(r"\a");
        found
    }))
}

/// Two namespaces with one name on each level, which gives as many paths as two to the power of the
/// levels.
fn twin_namespaces(levels: usize) -> Files {
    let mut path = "ROOT".to_owned();
    raw((0..levels).flat_map(|_| {
        let other = vec![keys().instance(&path, "__NAMESPACE", "b")];
        let found = [namespace(&path, "a"), (namespace_record("a"), other)];
        path.push_str(r"\a");
        found
    }))
}

/// A record, with what is needed to decode it.
pub struct Record {
    /// Its name, for messages.
    pub name: &'static str,
    bytes: Vec<u8>,
    /// The class of an instance; `None` for a class.
    class: Option<Arc<FullClass>>,
}

impl Record {
    /// Its length in bytes.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Decodes it.
    pub fn decode(&self) -> Result<Decoded, BadRecord> {
        match &self.class {
            None => ClassRecordView::parse(&self.bytes)?
                .to_class(None)
                .map(|class| Decoded::Class(Box::new(class))),
            Some(class) => InstanceRecordView::parse(&self.bytes, Dialect::V22)?
                .to_instance(class)
                .map(Decoded::Instance),
        }
    }
}

/// The content of a record.
pub enum Decoded {
    /// A class.
    Class(Box<FullClass>),
    /// An instance.
    Instance(Instance),
}

/// Records that take much memory for their length, including some that share their items.
pub fn records() -> Vec<Record> {
    let of_class = |name, class: Class| {
        let bytes = encode_class_record(&composed(class, None), STAMP).unwrap();
        Record {
            name,
            bytes,
            class: None,
        }
    };
    let of_instance = |name, (class, bytes): (Arc<FullClass>, Vec<u8>)| Record {
        name,
        bytes,
        class: Some(class),
    };
    let mut flags = Class::builder("C").build();
    flags.qualifiers = set(30_000, "");
    let mut does = Class::builder("C").build();
    does.methods = (0..30_000)
        .map(|number| Method::new(format!("{number}")))
        .collect();
    let mut bare = wide("C", 30_000);
    bare.properties
        .iter_mut()
        .for_each(|property| property.qualifiers = QualifierSet::new());
    vec![
        of_class("qualifiers", flags),
        of_class("methods", does),
        of_class("properties", bare),
        of_class("properties with their types", wide("C", 30_000)),
        of_instance("shared strings", shared(ScalarType::String, 2_000, texts)),
        of_instance("shared objects", shared(ScalarType::Object, 2_000, objects)),
        of_instance("embedded objects", parts(2_000)),
    ]
}

/// A record in which each of nine arrays has its elements all at one place.
fn shared(kind: ScalarType, count: usize, value: fn(usize) -> Value) -> (Arc<FullClass>, Vec<u8>) {
    let mut class = Class::builder("Shared").property(keyed("Id"));
    for number in 0..9 {
        class = class.property(Property::new(format!("A{number}"), CimType::array(kind)));
    }
    let class = composed(class.build(), None);
    let mut instance = Instance::new(class.clone()).with("Id", "1").unwrap();
    for number in 0..9 {
        instance = instance.with(&format!("A{number}"), value(count)).unwrap();
    }
    let mut record = instance_record(&instance);
    share_elements(&mut record, count);
    (class, record)
}

/// Makes all elements of the arrays of this length refer to the target of the first one.
fn share_elements(record: &mut [u8], count: usize) {
    let words = |record: &[u8], at: usize| {
        (1..=count)
            .map(|number| word(record, at + 4 * number))
            .collect::<Vec<u32>>()
    };
    let (mut first, mut arrays) = (None, 0);
    for at in 0..record.len() - 4 * (count + 1) {
        if word(record, at) != stored(count) || !words(record, at).is_sorted_by(|a, b| a < b) {
            continue;
        }
        let first = *first.get_or_insert(word(record, at + 4));
        (1..=count).for_each(|number| set_word(record, at + 4 * number, first));
        arrays += 1;
    }
    assert_eq!(arrays, 9, "the arrays of the record");
}

/// An instance with one class and one record.
fn one((class, record): (Arc<FullClass>, Vec<u8>)) -> Files {
    let keys = instance_keys("ROOT", class.name().as_str(), "1");
    raw([class_record("ROOT", &class), (record, keys)])
}

/// One long text and many empty ones.
fn texts(count: usize) -> Value {
    let texts = (0..count).map(|number| {
        Some(if number == 0 {
            "x".repeat(10 * count)
        } else {
            String::new()
        })
    });
    Value::Array(cimrepo::cim::Array::String(texts.collect()))
}

fn shared_strings(count: usize) -> Files {
    one(shared(ScalarType::String, count, texts))
}

fn embedded_object(properties: usize) -> Object {
    let mut class = Class::builder("Part");
    for number in 0..properties {
        class = class.property(Property::new(format!("P{number}"), ScalarType::String));
    }
    Object::Instance(Box::new(Instance::new(composed(class.build(), None))))
}

/// One object with many properties and many without any.
fn objects(count: usize) -> Value {
    let objects =
        (0..count).map(|number| Some(embedded_object(if number == 0 { count / 4 } else { 0 })));
    Value::Array(cimrepo::cim::Array::Object(objects.collect()))
}

fn shared_objects(count: usize) -> Files {
    one(shared(ScalarType::Object, count, objects))
}

fn parts(count: usize) -> (Arc<FullClass>, Vec<u8>) {
    let class = Class::builder("Holder")
        .property(keyed("Id"))
        .property(Property::new("Parts", CimType::array(ScalarType::Object)))
        .build();
    let class = composed(class, None);
    let parts = (0..count).map(|_| Some(embedded_object(5))).collect();
    let instance = Instance::new(class.clone()).with("Id", "1").unwrap();
    let instance = instance
        .with("Parts", Value::Array(cimrepo::cim::Array::Object(parts)))
        .unwrap();
    (class, instance_record(&instance))
}

fn embedded(count: usize) -> Files {
    one(parts(count))
}

/// A class with a default of kilobytes for each unit. Subclasses and instances have it without a
/// byte of their own.
fn defaults(count: usize) -> Files {
    let text = "x".repeat(10_000 * count);
    let class = |text: &str| {
        let class = Class::builder("Heavy").property(keyed("Id"));
        composed(
            class
                .property(Property::new("Text", ScalarType::String).default(text))
                .build(),
            None,
        )
    };
    let (heavy, light) = (class(&text), class("x"));
    let below = (0..count).map(|number| {
        let class = Class::builder(format!("Below{number}"))
            .superclass("Heavy")
            .build();
        class_record("ROOT", &composed(class, Some(&light)))
    });
    let instances = (0..count).map(|number| {
        let id = number.to_string();
        let instance = Instance::new(light.clone())
            .with("Id", id.as_str())
            .unwrap();
        (
            instance_record(&instance),
            instance_keys("ROOT", "Heavy", &id),
        )
    });
    raw([class_record("ROOT", &heavy)]
        .into_iter()
        .chain(below)
        .chain(instances))
}

/// Properties and classes whose names differ only at their ends.
fn long_names(count: usize) -> Files {
    let name = |number: usize| format!("{}{number:06}", "n".repeat(2_000));
    let mut wide = Class::builder(name(0));
    for number in 1..=count {
        wide = wide.property(Property::new(name(number), ScalarType::Uint32));
    }
    let classes = (1..=count).map(|number| {
        class_record(
            "ROOT",
            &composed(Class::builder(name(number)).build(), None),
        )
    });
    raw([class_record("ROOT", &composed(wide.build(), None))]
        .into_iter()
        .chain(classes))
}

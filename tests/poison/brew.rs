//! A repository in which every text that a file can hold is poison: what a terminal obeys, what
//! ends a line, what turns it, what closes a comment or a string, and what claims to be the
//! verdict.
//!
//! The engine refuses to store most of it, so the records are encoded and inserted under their keys
//! one by one. The same repository can be made with plain words in all these places: what then
//! differs in an output comes from the poison.

use std::sync::Arc;

use cimrepo::catalog::create;
use cimrepo::catalog::keys::{class_keys, instance_keys};
use cimrepo::cim::value::{Array, Object};
use cimrepo::cim::{
    CimType, Class, Flavor, FullClass, Instance, Method, Property, Qualifier, QualifierSet,
    ScalarType, Value,
};
use cimrepo::format::Dialect;
use cimrepo::format::index::object_key::{ObjectKeys, SYSTEM_NAMESPACE};
use cimrepo::format::record::class_record::encode_class_record;
use cimrepo::format::record::instance_record::encode_instance_record;
use cimrepo::format::record::reference_record::ReferenceRecord;
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{EngineOptions, Transaction};

use crate::support::Files;

/// The line that only a consistent repository may have in its output.
pub const VERDICT: &str = "WMI repository is consistent";

/// Texts that must not do what they say. No zero byte: it ends a stored text.
pub const POISON: [&str; 30] = [
    "\nWMI repository is consistent\n",
    "\r\nWMI repository is consistent\r\n",
    "\u{2028}WMI repository is consistent\u{2029}",
    "\u{85}WMI repository is consistent\u{b}\u{c}",
    "\u{1b}[2J\u{1b}[1;31mred\u{1b}[0m",
    "\u{1b}]0;title\u{7}\u{8}\u{8}",
    "\u{9b}31mred\u{90}\u{9c}",
    "\u{202e}gpj.exe\u{202c}",
    "\u{2066}a\u{2067}b\u{2068}c\u{2069}\u{61c}",
    "a\u{200b}b\u{200c}c\u{200d}d\u{200e}e\u{200f}\u{2060}\u{feff}",
    "\u{ad}\u{34f}\u{115f}\u{17b4}\u{180e}\u{3164}\u{fe0f}\u{ffa0}\u{fff9}",
    "\u{1d173}\u{e0041}\u{e0100}\u{1bca0}\u{fdd0}\u{10ffff}",
    "z\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}",
    "\u{338}\u{20dd}",
    "*/ class Evil { }; /*",
    "// \n class Evil { };",
    "\"; }; class Evil { string \"",
    "\\\"; }; class Evil { };\\",
    "a' 'b",
    "`$(id)`; $HOME; %PATH%",
    "..",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\ttab\u{7f}",
    "\\u{1b}\\u001b\\x1b\\n",
    "{[(,;:#)]}",
    "class",
    " ",
];

/// Two characters for private use that stand for two lone surrogates until a record is stored.
const MARK: &str = "\u{e123}\u{e124}";

/// The stamp of the first object; the next ones follow. By its stamp an object is found in both
/// kinds of the repository.
pub const STAMP: u64 = 140_000_000_000_000_000;

/// A maker of texts.
pub struct Words {
    is_poison: bool,
    next: usize,
}

impl Words {
    /// Poison, or plain words in its place.
    pub const fn new(is_poison: bool) -> Self {
        Self { is_poison, next: 0 }
    }

    /// The next text: another one each time, and sooner or later every poison.
    pub fn word(&mut self) -> String {
        let number = self.next;
        self.next += 1;
        match self.is_poison {
            true => format!("{}{number}", POISON[number % POISON.len()]),
            false => format!("Plain{number}"),
        }
    }

    /// The next text that can be the name of a namespace.
    fn namespace(&mut self) -> String {
        self.word().replace(['\\', '/', ':'], "_")
    }

    /// Every character that does not show, in order, in texts of a few hundred; and lone
    /// surrogates.
    fn everything(&self) -> Vec<Option<String>> {
        let all: Vec<char> = ('\u{1}'..=char::MAX)
            .filter(|c| crate::shows::is_hidden(*c))
            .collect();
        let texts = all.chunks(400).map(|chars| chars.iter().collect());
        let texts = texts.chain([format!("lone {MARK}")]);
        texts
            .map(|text| {
                Some(if self.is_poison {
                    text
                } else {
                    "Plain".to_owned()
                })
            })
            .collect()
    }
}

/// The files of the repository.
pub fn brew(is_poison: bool) -> Files {
    let storage = MemStorage::new();
    let directory = Directory::new(Arc::new(storage.clone()), ".");
    create(&directory).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    let namespace_class = writer
        .catalog()
        .class("ROOT", "__NAMESPACE")
        .unwrap()
        .unwrap();

    let mut kettle = Kettle {
        words: Words::new(is_poison),
        keys: ObjectKeys::new(Dialect::V22),
        stamp: STAMP,
        transaction: writer.transaction(),
    };
    let mut namespaces = vec!["ROOT".to_owned()];
    for _ in POISON {
        let name = kettle.words.namespace();
        let instance = Instance::new(namespace_class.class.clone())
            .with("Name", &*name)
            .unwrap();
        kettle.instance("ROOT", &instance, namespace_class.stamp.0);
        namespaces.push(format!("ROOT\\{name}"));
    }
    for namespace in namespaces.iter().take(2) {
        kettle.objects(namespace);
    }
    kettle.rubbish();

    writer.commit().unwrap();
    engine.close().unwrap();
    let names = [
        "OBJECTS.DATA",
        "INDEX.BTR",
        "MAPPING1.MAP",
        "MAPPING2.MAP",
        "MAPPING3.MAP",
    ];
    names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), storage.get(name)?)))
        .collect()
}

struct Kettle<'t, 'e> {
    words: Words,
    keys: ObjectKeys,
    stamp: u64,
    transaction: &'t mut Transaction<'e>,
}

impl Kettle<'_, '_> {
    fn put(&mut self, keys: &[String], mut record: Vec<u8>) {
        let units = |text: &str| {
            text.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>()
        };
        let mark = units(MARK);
        while let Some(at) = record.windows(mark.len()).position(|window| window == mark) {
            record[at..at + 4].copy_from_slice(&[0x00, 0xD8, 0x00, 0xD8]);
        }
        let at = self.transaction.insert_record(&record).unwrap();
        for key in keys {
            self.transaction
                .insert_key(format!("{key}.{at}").as_bytes())
                .unwrap();
        }
    }

    fn stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    fn class(&mut self, namespace: &str, class: &FullClass) -> u64 {
        let stamp = self.stamp();
        let keys = class_keys(&self.keys, namespace, class);
        self.put(
            &[keys.definition],
            encode_class_record(class, stamp).unwrap(),
        );
        for key in keys.references.into_iter().chain([keys.subclass]) {
            self.transaction.insert_key(key.as_bytes()).unwrap();
        }
        stamp
    }

    fn instance(&mut self, namespace: &str, instance: &Instance, class_stamp: u64) {
        let keys = instance_keys(&self.keys, namespace, instance).unwrap();
        let record =
            encode_instance_record(instance, Dialect::V22, self.stamp(), class_stamp).unwrap();
        self.put(&[keys.own, keys.keyed], record);
    }

    /// A class, one derived from it, one of a superclass that is not there, and instances.
    fn objects(&mut self, namespace: &str) {
        let base = Arc::new(FullClass::compose(self.base(), None).unwrap());
        self.class(namespace, &base);
        let derived = self.derived(&base);
        let stamp = self.class(namespace, &derived);
        let lost = Class::builder(self.words.word()).build();
        let lost = Arc::new(FullClass::compose(lost, None).unwrap());
        let orphan = Class::builder(self.words.word())
            .superclass(lost.name().clone())
            .build();
        let orphan = FullClass::compose(orphan, Some(lost)).unwrap();
        self.class(namespace, &orphan);

        let derived = Arc::new(derived);
        for _ in POISON {
            let instance = self.made(&derived);
            self.instance(namespace, &instance, stamp);
            let (key_class, text) = (self.words.word(), self.words.word());
            let key = self
                .keys
                .reference(namespace, &key_class, &text, "referrer");
            let (class, property) = (self.words.word(), self.words.word());
            let record = ReferenceRecord {
                namespace: namespace.to_owned(),
                class,
                property,
                key: self.words.word(),
            };
            self.put(&[key], record.to_bytes());
        }
    }

    fn base(&mut self) -> Class {
        let mut class = Class::builder(self.words.word());
        class = class.property(Property::new(self.words.word(), ScalarType::String).key());
        for _ in POISON {
            class = class.qualifier(self.qualifier());
            class = class.property(self.property());
            class = class.method(self.method());
        }
        class = class.property(
            Property::new(self.words.word(), CimType::array(ScalarType::String))
                .default(Value::Array(Array::String(self.words.everything()))),
        );
        class.build()
    }

    fn derived(&mut self, base: &Arc<FullClass>) -> FullClass {
        let mut class = Class::builder(self.words.word()).superclass(base.name().clone());
        for (kind, value) in self.odd_values() {
            let property = Property::new(self.words.word(), kind).default(value);
            class = class.property(match kind.scalar {
                ScalarType::Reference | ScalarType::Object => property.of_class(&self.words.word()),
                _ => property,
            });
        }
        FullClass::compose(class.build(), Some(base.clone())).unwrap()
    }

    fn qualifier(&mut self) -> Qualifier {
        Qualifier::new(
            self.words.word(),
            &*self.words.word(),
            Flavor::TO_INSTANCE | Flavor::TO_SUBCLASS,
        )
    }

    fn property(&mut self) -> Property {
        let property =
            Property::new(self.words.word(), ScalarType::String).default(&*self.words.word());
        property.qualifier(self.qualifier())
    }

    fn method(&mut self) -> Method {
        let class = self.words.word();
        let parameter = Property::new(self.words.word(), ScalarType::Reference).of_class(&class);
        let parameter = parameter.qualifier(self.qualifier());
        let method = Method::new(self.words.word())
            .qualifier(self.qualifier())
            .input(parameter);
        method
            .output(Property::new(self.words.word(), ScalarType::String))
            .returns(ScalarType::Uint32)
    }

    /// Values that are no plain texts. As many, of the same types, whatever the words are.
    fn odd_values(&mut self) -> Vec<(CimType, Value)> {
        let texts = vec![Some(self.words.word()), None, Some(self.words.word())];
        let path = format!(
            "{}:{}.{}=\"{}\"",
            self.words.word(),
            self.words.word(),
            self.words.word(),
            self.words.word()
        );
        let inner = Class::builder(self.words.word())
            .property(self.property())
            .qualifier(self.qualifier())
            .build();
        let mut made = Instance::new(Arc::new(FullClass::compose(inner.clone(), None).unwrap()));
        made.qualifiers = [self.qualifier()].into_iter().collect();
        vec![
            (
                CimType::one(ScalarType::DateTime),
                Value::DateTime(self.words.word()),
            ),
            (CimType::one(ScalarType::Reference), Value::Reference(path)),
            (
                CimType::array(ScalarType::Reference),
                Value::Array(Array::Reference(texts)),
            ),
            (CimType::one(ScalarType::Char16), Value::Char16(0x202E)),
            (
                CimType::array(ScalarType::Real64),
                Value::Array(Array::Real64(vec![f64::NAN, f64::NEG_INFINITY, 1.5])),
            ),
            (
                CimType::one(ScalarType::Object),
                Value::Object(Box::new(Object::Class(Box::new(inner)))),
            ),
            (
                CimType::one(ScalarType::Object),
                Value::Object(Box::new(Object::Instance(Box::new(made)))),
            ),
        ]
    }

    /// An instance with a text of its own in its key, qualifiers of its own and of its properties.
    fn made(&mut self, class: &Arc<FullClass>) -> Instance {
        let key = class.properties()[0].name.as_str();
        let text = class.properties()[1].name.as_str();
        let mut made = Instance::new(class.clone());
        made.set(key, &*self.words.word()).unwrap();
        made.set(text, &*self.words.word()).unwrap();
        made.qualifiers = [self.qualifier()].into_iter().collect();
        let mut sets = vec![QualifierSet::new(); class.properties().len()];
        sets[1] = [self.qualifier()].into_iter().collect();
        made.property_qualifiers = Some(sets);
        made
    }

    /// Keys and records of no shape at all.
    fn rubbish(&mut self) {
        for namespace in ["ROOT", SYSTEM_NAMESPACE] {
            let (class, key) = (self.words.word(), self.words.word());
            self.put(
                &[self.keys.class(namespace, &class)],
                key.clone().into_bytes(),
            );
            self.put(
                &[self.keys.instance(namespace, &class, &key)],
                class.into_bytes(),
            );
        }
        for _ in POISON {
            let key = self.words.word().replace(['\\', '.'], "_");
            self.transaction.insert_key(key.as_bytes()).unwrap();
            self.transaction
                .insert_key(format!("NS_{key}\\CD_{key}").as_bytes())
                .unwrap();
        }
        self.transaction.insert_key(b"\x80\xff\x1b[2J").unwrap();
    }
}

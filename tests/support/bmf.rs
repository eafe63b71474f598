//! A writer of binary MOF for tests, with the layout of Windows.

// Each program uses a part of it.
#![allow(dead_code)]

use cimrepo::cim::{
    Array, Class, Flavor, Instance, Method, Object, Qualifier, QualifierSet, ScalarType, Setting,
    Value,
};
use cimrepo::format::bmf::{BmfContent, BmfInstance, BmfObject};

/// The value in place of an absent offset.
const ABSENT: u32 = u32::MAX;

const ARRAY: u32 = 0x2000;
const ALIAS: u32 = 0x4000;

/// Objects as a container.
pub fn container(objects: &[BmfObject]) -> Vec<u8> {
    packed(&body(objects))
}

/// A body as a container.
pub fn packed(body: &[u8]) -> Vec<u8> {
    let compressed = compress(body);
    let words = [1, number(compressed.len()), number(body.len())];
    let words = words.map(u32::to_le_bytes).concat();
    [b"FOMB", &words[..], &compressed].concat()
}

/// Objects as a body, unpacked.
pub fn body(objects: &[BmfObject]) -> Vec<u8> {
    let mut writer = Writer {
        out: b"FOMB".to_vec(),
        flavors: Vec::new(),
    };
    for word in [0, 1, 1, number(objects.len())] {
        writer.word(word);
    }
    for object in objects {
        writer.object(object);
    }
    writer.patch(4, number(writer.out.len()));
    writer.out.extend(b"BMOFQUALFLAVOR11");
    writer.word(number(writer.flavors.len()));
    for (offset, flavor) in std::mem::take(&mut writer.flavors) {
        writer.word(offset);
        writer.word(flavor);
    }
    writer.out
}

struct Writer {
    out: Vec<u8>,
    flavors: Vec<(u32, u32)>,
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap()
}

impl Writer {
    fn word(&mut self, word: u32) {
        self.out.extend(word.to_le_bytes());
    }

    fn patch(&mut self, at: usize, word: u32) {
        self.out[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    /// Bytes from an offset to the end.
    fn since(&self, start: usize) -> u32 {
        number(self.out.len() - start)
    }

    fn pad(&mut self, start: usize) {
        while !(self.out.len() - start).is_multiple_of(4) {
            self.out.push(0);
        }
    }

    fn text(&mut self, text: &str) {
        self.out
            .extend(text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    }

    fn object(&mut self, object: &BmfObject) {
        let mut system = vec![("__CLASS", Value::from(object.content.class_name().as_str()))];
        if let Some(namespace) = &object.namespace {
            system.push(("__NAMESPACE", namespace.as_str().into()));
        }
        if object.flags != 0 {
            system.push(("__CLASSFLAGS", object.flags.into()));
        }
        if let Some(alias) = &object.alias {
            system.push(("__ALIAS", alias.as_str().into()));
        }
        match &object.content {
            BmfContent::Class(class) => self.class(class, system),
            BmfContent::Instance(BmfInstance { instance, aliases }) => {
                self.instance(instance, aliases, Some(&instance.qualifiers), system);
            }
        }
    }

    /// The header of an object whose lists follow; filled in by [`Writer::end_object`].
    fn begin_object(&mut self, kind: u32) -> usize {
        let start = self.out.len();
        for word in [0, ABSENT, ABSENT, ABSENT, kind] {
            self.word(word);
        }
        start
    }

    fn begin_list(&mut self, object: usize, slot: usize, count: usize) -> usize {
        let start = self.out.len();
        self.patch(object + slot, self.since(object + 20));
        self.word(0);
        self.word(number(count));
        start
    }

    fn end(&mut self, start: usize) {
        self.patch(start, self.since(start));
    }

    fn class(&mut self, class: &Class, mut system: Vec<(&str, Value)>) {
        if let Some(superclass) = &class.superclass {
            system.push(("__SUPERCLASS", superclass.as_str().into()));
        }
        let start = self.begin_object(0);
        let list = self.begin_list(start, 4, class.qualifiers.len());
        self.qualifiers(&class.qualifiers);
        self.end(list);
        let list = self.begin_list(start, 8, class.properties.len() + system.len());
        for property in &class.properties {
            let kind = kind(property.cim_type.scalar, property.cim_type.array);
            let value = property.default.value();
            self.member(
                property.name.as_str(),
                kind,
                value,
                Some(&property.qualifiers),
            );
        }
        self.system(&system);
        self.end(list);
        let list = self.begin_list(start, 12, class.methods.len());
        for method in &class.methods {
            self.method(method);
        }
        self.end(list);
        self.end(start);
    }

    fn system(&mut self, system: &[(&str, Value)]) {
        for (name, value) in system {
            let kind = value.cim_type().scalar.number().into();
            self.member(name, kind, Some(value), None);
        }
    }

    fn instance(
        &mut self,
        instance: &Instance,
        aliases: &[u16],
        qualifiers: Option<&QualifierSet>,
        system: Vec<(&str, Value)>,
    ) {
        let start = self.begin_object(1);
        if let Some(qualifiers) = qualifiers {
            let list = self.begin_list(start, 4, qualifiers.len());
            self.qualifiers(qualifiers);
            self.end(list);
        }
        let properties = instance.class().properties();
        let list = self.begin_list(start, 8, properties.len() + system.len());
        let sets = instance.property_qualifiers.as_deref().unwrap_or_default();
        for (order, (property, setting)) in properties.iter().zip(instance.settings()).enumerate() {
            let is_alias = aliases.contains(&u16::try_from(order).unwrap());
            let kind = kind(property.cim_type.scalar, property.cim_type.array);
            let kind = kind | if is_alias { ALIAS } else { 0 };
            let set = sets.get(order).filter(|set| !set.is_empty());
            self.member(property.name.as_str(), kind, setting.value(), set);
        }
        self.system(&system);
        self.end(list);
        let list = self.begin_list(start, 12, 0);
        self.end(list);
        self.end(start);
    }

    fn qualifiers(&mut self, set: &QualifierSet) {
        set.iter().for_each(|qualifier| self.qualifier(qualifier));
    }

    fn qualifier(&mut self, qualifier: &Qualifier) {
        let start = self.out.len();
        let name = qualifier.name.as_str();
        if qualifier.flavor != Flavor::implied(name) {
            self.flavors
                .push((number(start), qualifier.flavor.bits().into()));
        }
        for word in [
            0,
            kind(qualifier.cim_type.scalar, qualifier.cim_type.array),
            0,
            ABSENT,
        ] {
            self.word(word);
        }
        self.text(name);
        self.pad(start);
        if let Some(value) = &qualifier.value {
            self.patch(start + 12, self.since(start + 16));
            self.value(value);
            self.pad(start);
        }
        self.end(start);
    }

    fn member(
        &mut self,
        name: &str,
        kind: u32,
        value: Option<&Value>,
        qualifiers: Option<&QualifierSet>,
    ) {
        let start = self.begin_member(name, kind);
        if let Some(value) = value {
            self.patch(start + 12, self.since(start + 20));
            self.value(value);
            self.pad(start);
        }
        self.end_member(start, qualifiers);
    }

    fn begin_member(&mut self, name: &str, kind: u32) -> usize {
        let start = self.out.len();
        for word in [0, kind, 0, ABSENT, ABSENT] {
            self.word(word);
        }
        self.text(name);
        self.pad(start);
        start
    }

    fn end_member(&mut self, start: usize, qualifiers: Option<&QualifierSet>) {
        if let Some(qualifiers) = qualifiers {
            self.patch(start + 16, self.since(start + 20));
            let list = self.out.len();
            self.word(0);
            self.word(number(qualifiers.len()));
            self.qualifiers(qualifiers);
            self.end(list);
        }
        self.end(start);
    }

    fn method(&mut self, method: &Method) {
        let signatures: Vec<&Class> = [&method.input, &method.output]
            .into_iter()
            .flatten()
            .map(|class| &**class)
            .collect();
        let kind = if signatures.is_empty() {
            0
        } else {
            kind(ScalarType::Object, true)
        };
        let start = self.begin_member(method.name.as_str(), kind);
        if !signatures.is_empty() {
            self.patch(start + 12, self.since(start + 20));
            self.array(signatures.len(), |writer| {
                signatures
                    .iter()
                    .for_each(|signature| writer.signature(signature));
            });
        }
        self.end_member(start, Some(&method.qualifiers));
    }

    fn signature(&mut self, class: &Class) {
        let start = self.begin_object(1);
        let list = self.begin_list(start, 8, class.properties.len() + 1);
        for property in &class.properties {
            let kind = kind(property.cim_type.scalar, property.cim_type.array);
            self.member(
                property.name.as_str(),
                kind,
                property.default.value(),
                Some(&property.qualifiers),
            );
        }
        self.system(&[("__CLASS", class.name.as_str().into())]);
        self.end(list);
        let list = self.begin_list(start, 12, 0);
        self.end(list);
        self.end(start);
    }

    fn array(&mut self, count: usize, elements: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        for word in [0, 1, number(count), 0] {
            self.word(word);
        }
        elements(self);
        self.pad(start);
        self.end(start);
        self.patch(start + 12, self.since(start + 12));
    }

    fn value(&mut self, value: &Value) {
        let words = |value: i128| u32::from_le_bytes(value.to_le_bytes()[..4].try_into().unwrap());
        match value {
            Value::String(text) | Value::DateTime(text) | Value::Reference(text) => self.text(text),
            Value::Boolean(value) => self.out.extend([if *value { 0xFF } else { 0 }; 2]),
            Value::Char16(value) => self.word((*value).into()),
            Value::Real32(value) => self.word(value.to_bits()),
            Value::Real64(value) => self.out.extend(value.to_bits().to_le_bytes()),
            Value::Sint64(value) => self.out.extend(value.to_le_bytes()),
            Value::Uint64(value) => self.out.extend(value.to_le_bytes()),
            Value::Object(object) => self.embedded(object),
            Value::Array(array) => self.array(array.len(), |writer| writer.elements(array)),
            integer => self.word(words(integer.as_integer().unwrap())),
        }
    }

    fn embedded(&mut self, object: &Object) {
        match object {
            Object::Instance(instance) => {
                let class = ("__CLASS", Value::from(instance.class().name().as_str()));
                self.instance(instance, &[], None, vec![class]);
            }
            other => panic!("{other:?} is no value of MOF"),
        }
    }

    fn elements(&mut self, array: &Array) {
        let mut each = |values: Vec<Value>| values.iter().for_each(|value| self.value(value));
        match array {
            // Otherwise only the length would distinguish two bytes from one word for each.
            Array::Boolean(values) => {
                values
                    .iter()
                    .for_each(|value| self.word(if *value { 0xFFFF } else { 0 }));
            }
            Array::Sint8(values) => each(values.iter().map(|value| (*value).into()).collect()),
            Array::Uint8(values) => each(values.iter().map(|value| (*value).into()).collect()),
            Array::Sint16(values) => each(values.iter().map(|value| (*value).into()).collect()),
            Array::Uint16(values) => each(values.iter().map(|value| (*value).into()).collect()),
            Array::Char16(values) => {
                each(values.iter().map(|value| Value::Char16(*value)).collect())
            }
            Array::Sint32(values) => each(values.iter().map(|value| (*value).into()).collect()),
            Array::Uint32(values) => each(values.iter().map(|value| (*value).into()).collect()),
            Array::Sint64(values) => each(values.iter().map(|value| (*value).into()).collect()),
            Array::Uint64(values) => each(values.iter().map(|value| (*value).into()).collect()),
            Array::Real32(values) => each(values.iter().map(|value| (*value).into()).collect()),
            Array::Real64(values) => each(values.iter().map(|value| (*value).into()).collect()),
            Array::String(texts) | Array::DateTime(texts) | Array::Reference(texts) => {
                texts.iter().flatten().for_each(|text| self.text(text));
            }
            Array::Object(objects) => objects
                .iter()
                .flatten()
                .for_each(|object| self.embedded(object)),
        }
    }
}

fn kind(scalar: ScalarType, array: bool) -> u32 {
    u32::from(scalar.number()) | if array { ARRAY } else { 0 }
}

/// True if MOF can express the setting: an unset property has no value of its own but qualifiers,
/// one that is NULL has none.
pub fn is_expressible(setting: &Setting, set: &QualifierSet) -> bool {
    match setting {
        Setting::Inherited => !set.is_empty(),
        Setting::Null => set.is_empty(),
        Setting::Value(_) => true,
    }
}

// ---- compression

const BLOCK: usize = 512;
const FARTHEST: usize = 4414;

struct Bits {
    out: Vec<u8>,
    used: usize,
}

impl Bits {
    fn push(&mut self, value: usize, width: usize) {
        for bit in 0..width {
            if self.used.is_multiple_of(8) {
                self.out.push(0);
            }
            *self.out.last_mut().unwrap() |= u8::from(value >> bit & 1 == 1) << (self.used % 8);
            self.used += 1;
        }
    }

    fn distance(&mut self, distance: usize) {
        match distance {
            0..=63 => self.push(distance << 2, 8),
            64..=319 => self.push((distance - 64) << 3 | 0b011, 11),
            _ => self.push((distance - 320) << 3 | 0b111, 15),
        }
    }

    fn copy(&mut self, distance: usize, length: usize) {
        self.distance(distance);
        let width = (length - 1).ilog2() as usize;
        self.push(1 << width, width + 1);
        self.push(length - 1 - (1 << width), width);
    }
}

/// Packs bytes, in blocks as the encoder of Windows does.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut bits = Bits {
        out: b"DS\0\x01".to_vec(),
        used: 32,
    };
    let mut last = std::collections::HashMap::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min((at / BLOCK + 1) * BLOCK);
        let pair = bytes.get(at..at + 2);
        let before = pair
            .and_then(|pair| last.insert(pair, at))
            .filter(|before| at - before <= FARTHEST);
        let length = before.map_or(0, |before| {
            (at..end)
                .take_while(|place| bytes[*place] == bytes[before + place - at])
                .count()
        });
        if length >= 2 {
            bits.copy(at - before.unwrap(), length);
            at += length;
        } else {
            let byte = usize::from(bytes[at]);
            bits.push(if byte < 0x80 { 2 } else { 1 } | (byte & 0x7F) << 2, 9);
            at += 1;
        }
        if at.is_multiple_of(BLOCK) || at == bytes.len() {
            bits.distance(4415);
        }
    }
    bits.out
}

//! Objects made by chance, of every kind that MOF has.

use std::sync::Arc;

use cimrepo::cim::{
    Array, CimType, Class, Flavor, FullClass, Instance, Method, Object, Property, Qualifier,
    QualifierSet, ScalarType, Setting, Value,
};
use cimrepo::format::bmf::{BmfContent, BmfInstance, BmfObject};

use crate::encoder::is_expressible;

/// Chance, from a seed.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn count(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).unwrap()
    }

    fn text(&mut self) -> String {
        let letters = [
            "a",
            "Z",
            "_",
            "0",
            " ",
            "\\",
            "\"",
            "\n",
            "ä",
            "日",
            "\u{1F600}",
            "\u{202e}",
            "*/",
        ];
        (0..self.count(9))
            .map(|_| letters[self.count(letters.len() as u64)])
            .collect()
    }

    fn name(&mut self, prefix: &str, number: usize) -> String {
        format!("{prefix}{number}{}", ["", "x", "ö", "Name"][self.count(4)])
    }

    fn scalar(&mut self) -> ScalarType {
        ScalarType::ALL[self.count(16)]
    }

    fn value(&mut self, cim_type: CimType, depth: usize) -> Value {
        match (cim_type.array, cim_type.scalar) {
            (false, ScalarType::Object) => Value::Object(Box::new(self.object(depth))),
            (false, scalar) => self.one(scalar),
            (true, ScalarType::Object) => {
                let objects = (0..self.count(3))
                    .map(|_| Some(self.object(depth)))
                    .collect();
                Value::Array(Array::Object(objects))
            }
            (true, scalar) => self.many(scalar),
        }
    }

    fn one(&mut self, scalar: ScalarType) -> Value {
        let bits = self.below(1 << 31) << 33 | self.below(1 << 31);
        let [a, b, c, d, ..] = bits.to_le_bytes();
        match scalar {
            ScalarType::String => Value::String(self.text()),
            ScalarType::DateTime => Value::DateTime("20260101000000.000000+000".to_owned()),
            ScalarType::Reference => Value::Reference("C.K=1".to_owned()),
            ScalarType::Boolean => Value::Boolean(a & 1 == 1),
            ScalarType::Sint8 => Value::Sint8(i8::from_le_bytes([a])),
            ScalarType::Uint8 => Value::Uint8(a),
            ScalarType::Sint16 => Value::Sint16(i16::from_le_bytes([a, b])),
            ScalarType::Uint16 => Value::Uint16(u16::from_le_bytes([a, b])),
            ScalarType::Char16 => Value::Char16(u16::from_le_bytes([a, b])),
            ScalarType::Sint32 => Value::Sint32(i32::from_le_bytes([a, b, c, d])),
            ScalarType::Uint32 => Value::Uint32(u32::from_le_bytes([a, b, c, d])),
            ScalarType::Sint64 => Value::Sint64(bits.cast_signed()),
            ScalarType::Uint64 => Value::Uint64(bits),
            ScalarType::Real32 => Value::Real32(f32::from_bits(u32::from_le_bytes([a, b, c, d]))),
            ScalarType::Real64 => Value::Real64(f64::from_bits(bits)),
            ScalarType::Object => unreachable!(),
        }
    }

    fn many(&mut self, scalar: ScalarType) -> Value {
        macro_rules! many {
            ($($kind:ident),*; $($text:ident),*) => {
                match scalar {
                    $(ScalarType::$kind => Array::$kind((0..self.count(5)).map(|_| match self.one(scalar) {
                        Value::$kind(value) => value,
                        _ => unreachable!(),
                    }).collect()),)*
                    $(ScalarType::$text => Array::$text((0..self.count(5)).map(|_| match self.one(scalar) {
                        Value::$text(value) => Some(value),
                        _ => unreachable!(),
                    }).collect()),)*
                    ScalarType::Object => unreachable!(),
                }
            };
        }
        Value::Array(
            many!(Boolean, Sint8, Uint8, Sint16, Uint16, Char16, Sint32, Uint32, Sint64, Uint64, Real32, Real64;
            String, DateTime, Reference),
        )
    }

    fn object(&mut self, depth: usize) -> Object {
        Object::Instance(Box::new(self.instance(depth + 1).instance))
    }

    fn qualifiers(&mut self) -> QualifierSet {
        let flavors = [0x00, 0x01, 0x02, 0x03, 0x11, 0x80, 0x82];
        let one = |chance: &mut Self, number: usize| {
            let name = match chance.below(6) {
                0 => "key".to_owned(),
                1 => "dynamic".to_owned(),
                _ => chance.name("Q", number),
            };
            let scalar =
                [ScalarType::Boolean, ScalarType::Sint32, ScalarType::String][chance.count(3)];
            let cim_type = CimType {
                scalar,
                array: chance.below(4) == 0,
            };
            let written = Flavor::from_bits_retain(flavors[chance.count(7)]);
            let flavor = Flavor::fixed(&name).unwrap_or(written);
            Qualifier::new(name, chance.value(cim_type, 0), flavor)
        };
        (0..self.count(4)).map(|number| one(self, number)).collect()
    }

    fn property(&mut self, number: usize) -> Property {
        let cim_type = CimType {
            scalar: self.scalar(),
            array: self.below(3) == 0,
        };
        let mut property = Property::new(self.name("P", number), cim_type);
        for qualifier in &self.qualifiers() {
            property.qualifiers.set(qualifier.clone());
        }
        if self.below(3) == 0 {
            property.default = Setting::Value(self.value(cim_type, 0));
        }
        property
    }

    fn method(&mut self, number: usize) -> Method {
        let mut method = Method::new(self.name("M", number));
        method.qualifiers = self.qualifiers();
        for number in 0..self.count(4) {
            let parameter = self.property(number);
            method = if self.below(2) == 0 {
                method.input(parameter)
            } else {
                method.output(parameter)
            };
        }
        if self.below(2) == 0 {
            method.returns(ScalarType::Uint32)
        } else {
            method
        }
    }

    fn class(&mut self) -> Class {
        let mut class = Class::builder(self.name("C", 0)).build();
        class.superclass = (self.below(2) == 0).then(|| "Base".into());
        class.qualifiers = self.qualifiers();
        class.properties = (0..self.count(5))
            .map(|number| self.property(number))
            .collect();
        class.methods = (0..self.count(3))
            .map(|number| self.method(number))
            .collect();
        class
    }

    fn instance(&mut self, depth: usize) -> BmfInstance {
        let mut class = Class::builder(self.name("C", 1)).build();
        for number in 0..self.count(5) {
            let scalar = match self.scalar() {
                ScalarType::Object if depth > 3 => ScalarType::String,
                scalar => scalar,
            };
            let cim_type = CimType {
                scalar,
                array: self.below(3) == 0,
            };
            class
                .properties
                .push(Property::new(self.name("P", number), cim_type));
        }
        let properties = class.properties.clone();
        let mut instance = Instance::new(Arc::new(FullClass::compose(class, None).unwrap()));
        let (mut sets, mut aliases) = (Vec::new(), Vec::new());
        for (order, property) in properties.iter().enumerate() {
            let set = if self.below(3) == 0 {
                self.qualifiers()
            } else {
                QualifierSet::new()
            };
            let mut setting = match self.below(5) {
                0 => Setting::Null,
                1 => Setting::Inherited,
                _ => Setting::Value(self.value(property.cim_type, depth)),
            };
            if !is_expressible(&setting, &set) {
                setting = Setting::Value(self.value(property.cim_type, depth));
            }
            let is_text = property.cim_type == CimType::one(ScalarType::String);
            if depth == 0 && is_text && self.below(2) == 0 {
                setting = Setting::Value("$Alias".into());
                aliases.push(u16::try_from(order).unwrap());
            }
            instance.set(property.name.as_str(), setting).unwrap();
            sets.push(set);
        }
        instance.property_qualifiers = sets.iter().any(|set| !set.is_empty()).then_some(sets);
        if depth == 0 {
            instance.qualifiers = self.qualifiers();
        }
        BmfInstance { instance, aliases }
    }

    /// Any object.
    pub fn any(&mut self) -> BmfObject {
        let content = match self.below(2) {
            0 => BmfContent::Class(self.class()),
            _ => BmfContent::Instance(self.instance(0)),
        };
        let namespace = [None, Some(r"root\default"), Some(r"\\.\Root\WMI")][self.count(3)];
        let alias = (self.below(4) == 0).then(|| "$A".to_owned());
        let flags = [0, 1, 64][self.count(3)];
        let namespace = namespace.map(str::to_owned);
        BmfObject {
            offset: 0,
            namespace,
            flags,
            alias,
            content,
            notes: Vec::new(),
        }
    }
}

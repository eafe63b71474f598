//! A class with everything it inherits. Source of the rules: `docs::objects`, "Composition".

mod inherit;
mod partial;

use std::sync::{Arc, OnceLock};

use thiserror::Error;

use super::class::{Class, Method, Property, Setting};
use super::members::{Member, Members};
use super::name::Name;
use super::qualifier::QualifierSet;
use super::types::CimType;
use super::value::Value;
use super::weight;
use crate::base::limits::{MAX_CLASS_DEPTH, MAX_METHODS, MAX_PROPERTIES, MAX_QUALIFIERS};

use inherit::{all_inherited, inherited_method, inherited_property, overridden_property};

pub(crate) use partial::{Partial, TableShape};

/// Why a class cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ComposeError {
    /// The superclass is not the one that the class names.
    #[error("class {class} names the superclass {expected:?}, not {given:?}")]
    Superclass {
        /// The class.
        class: Name,
        /// What it names.
        expected: Option<Name>,
        /// What was given.
        given: Option<Name>,
    },
    /// A property is declared anew with another type.
    #[error("property {property} of class {class} is {own}, the superclass has it as {inherited}")]
    OverrideType {
        /// The class.
        class: Name,
        /// The property.
        property: Name,
        /// Its type here.
        own: CimType,
        /// Its type in the superclass.
        inherited: CimType,
    },
    /// A class declares two properties or two methods of one name.
    #[error("class {class} declares {member} twice")]
    Twice {
        /// The class.
        class: Name,
        /// The property or method.
        member: Name,
    },
    /// There are more properties, or the chain of superclasses is longer, than the engine accepts.
    #[error("class {class}: too many {what}")]
    TooMany {
        /// The class.
        class: Name,
        /// Of what.
        what: &'static str,
    },
}

/// A property of a full class.
#[derive(Debug, Clone, PartialEq)]
pub struct FullProperty {
    /// Its name, as first declared.
    pub name: Name,
    /// Its type.
    pub cim_type: CimType,
    /// Its place in order of declaration over the whole chain.
    pub order: u16,
    /// Where its value begins in the table of values, in bytes.
    pub(crate) offset: u32,
    /// The class that first declared it.
    pub origin: Name,
    /// How deep that class lies: 0 is the topmost of the chain.
    pub origin_level: u32,
    /// True if this class declares it, or declares it anew.
    pub local: bool,
    /// True if a superclass has it too.
    pub overrides: bool,
    /// The default that holds; `None` is NULL.
    pub default: Option<Value>,
    /// The qualifiers that hold.
    pub qualifiers: QualifierSet,
}

impl FullProperty {
    /// True if it is a key.
    pub fn is_key(&self) -> bool {
        self.qualifiers.is_true("key")
    }

    /// The class that a reference is to be of, from a `CIMTYPE` of the form `ref:Class`.
    pub fn reference_class(&self) -> Option<&str> {
        let (kind, class) = self.qualifiers.text("CIMTYPE")?.split_once(':')?;
        (kind.eq_ignore_ascii_case("ref") && !class.is_empty()).then_some(class)
    }
}

/// A method of a full class.
#[derive(Debug, Clone, PartialEq)]
pub struct FullMethod {
    /// Its name, qualifiers that hold, and signatures.
    pub method: Method,
    /// The class that first declared it.
    pub origin: Name,
    /// How deep that class lies: 0 is the topmost of the chain.
    pub origin_level: u32,
    /// True if this class declares it, or declares it anew.
    pub local: bool,
    /// True if a superclass has it too.
    pub overrides: bool,
}

/// The class whose name stands in the keys of instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyClass {
    /// The topmost class that declares a key property.
    Keyed(Name),
    /// The topmost class with the qualifier `singleton`: there is one instance at most.
    Singleton(Name),
}

impl KeyClass {
    /// Its name.
    pub const fn name(&self) -> &Name {
        match self {
            KeyClass::Keyed(name) | KeyClass::Singleton(name) => name,
        }
    }
}

/// A class with everything it inherits.
#[derive(Clone)]
pub struct FullClass {
    declaration: Class,
    superclass: Option<Arc<FullClass>>,
    derivation: Vec<Name>,
    qualifiers: QualifierSet,
    properties: Members<FullProperty>,
    methods: Members<FullMethod>,
    /// Orders of the key properties, sorted by name.
    keys: Vec<u16>,
    keyed: Option<Name>,
    singleton: Option<Name>,
    table_size: u32,
    /// Size of everything that it inherits.
    inherited_bytes: usize,
    /// Size of the names and defaults of its properties, which every instance has.
    given_bytes: usize,
    /// What subclasses get of all this: made once, for the first of them.
    heritage: OnceLock<Heritage>,
    /// Of a class that lacks an ancestor, what is known of it.
    partial: Option<Arc<Partial>>,
}

/// Everything that the direct subclasses of a class have before they declare anything themselves.
#[derive(Debug, Clone)]
struct Heritage {
    qualifiers: QualifierSet,
    properties: Members<FullProperty>,
    methods: Members<FullMethod>,
    keys: Vec<u16>,
    bytes: usize,
}

impl Member for FullProperty {
    fn name(&self) -> &Name {
        &self.name
    }
}

impl Member for FullMethod {
    fn name(&self) -> &Name {
        &self.method.name
    }
}

impl FullClass {
    /// A class with what it inherits from its superclass.
    ///
    /// # Errors
    /// [`ComposeError`] when the superclass is another, or the class does not fit to it.
    pub fn compose(
        declaration: Class,
        superclass: Option<Arc<FullClass>>,
    ) -> Result<Self, ComposeError> {
        let given = superclass.as_ref().map(|superclass| superclass.name());
        if declaration.superclass.as_ref() != given {
            let (class, expected) = (declaration.name.clone(), declaration.superclass.clone());
            return Err(ComposeError::Superclass {
                class,
                expected,
                given: given.cloned(),
            });
        }
        let derivation: Vec<Name> = superclass
            .iter()
            .flat_map(|superclass| {
                [superclass.name()]
                    .into_iter()
                    .chain(superclass.derivation())
            })
            .cloned()
            .collect();
        if derivation.len() >= MAX_CLASS_DEPTH {
            return Err(ComposeError::TooMany {
                class: declaration.name,
                what: "superclasses",
            });
        }
        Self::begin(declaration, superclass, derivation).with_members()
    }

    /// A class that an embedded instance brings along: it lists what it inherits as if it were its
    /// own. `derivation` is its superclasses, the nearest first; `origins` gives, in order of
    /// declaration, the origin level of each property and whether it is declared anew.
    pub(crate) fn merged(
        declaration: Class,
        derivation: Vec<Name>,
        origins: &[(u32, bool)],
    ) -> Result<Self, ComposeError> {
        if derivation.len() >= MAX_CLASS_DEPTH {
            return Err(ComposeError::TooMany {
                class: declaration.name,
                what: "superclasses",
            });
        }
        let mut class = Self::begin(declaration, None, derivation).with_members()?;
        for (property, &(level, overrides)) in class.properties.slots().zip(origins) {
            // Level 0 is the last of the derivation, the deepest level is the class itself.
            let above = class
                .derivation
                .iter()
                .rev()
                .chain([&class.declaration.name]);
            let origin = above
                .clone()
                .nth(crate::base::widen(level))
                .unwrap_or(&class.declaration.name)
                .clone();
            let property = Arc::make_mut(property);
            (property.origin, property.origin_level, property.overrides) =
                (origin, level, overrides);
        }
        Ok(class)
    }

    /// The class as an embedded instance brings it along: everything it inherits listed as its own.
    pub(crate) fn to_merged(&self) -> Self {
        let properties = self.properties().iter().map(|property| Property {
            name: property.name.clone(),
            cim_type: property.cim_type,
            default: property
                .default
                .clone()
                .map_or(Setting::Null, Setting::Value),
            qualifiers: property.qualifiers.clone(),
        });
        let declaration = match self.superclass {
            None => self.declaration.clone(),
            Some(_) => Class {
                qualifiers: self.qualifiers.clone(),
                properties: properties.collect(),
                methods: Vec::new(),
                ..self.declaration.clone()
            },
        };
        Self {
            declaration,
            superclass: None,
            heritage: OnceLock::new(),
            ..self.clone()
        }
    }

    fn begin(
        declaration: Class,
        superclass: Option<Arc<FullClass>>,
        derivation: Vec<Name>,
    ) -> Self {
        let own = || Some(declaration.name.clone());
        let is_singleton = declaration.qualifiers.is_true("singleton");
        let Some(parent) = &superclass else {
            return Self {
                qualifiers: declaration.qualifiers.clone(),
                properties: Members::default(),
                methods: Members::default(),
                keys: Vec::new(),
                keyed: None,
                singleton: own().filter(|_| is_singleton),
                table_size: 0,
                inherited_bytes: 0,
                given_bytes: 0,
                heritage: OnceLock::new(),
                partial: None,
                declaration,
                superclass,
                derivation,
            };
        };
        let heritage = parent.heritage.get_or_init(|| Heritage::of(parent));
        Self {
            qualifiers: declaration.qualifiers.with_inherited(&heritage.qualifiers),
            properties: heritage.properties.clone(),
            methods: heritage.methods.clone(),
            keys: heritage.keys.clone(),
            keyed: parent.keyed.clone(),
            singleton: parent
                .singleton
                .clone()
                .or_else(|| own().filter(|_| is_singleton)),
            table_size: parent.table_size,
            inherited_bytes: heritage.bytes,
            given_bytes: parent.given_bytes,
            heritage: OnceLock::new(),
            declaration,
            superclass,
            derivation,
            partial: None,
        }
    }

    fn with_members(mut self) -> Result<Self, ComposeError> {
        self.check_names()?;
        let declaration = std::mem::replace(&mut self.declaration, Class::builder("").build());
        let added = self.add_members(&declaration);
        self.declaration = declaration;
        added.map(|()| self)
    }

    fn add_members(&mut self, class: &Class) -> Result<(), ComposeError> {
        class
            .properties
            .iter()
            .try_for_each(|property| self.add_property(class, property))?;
        class
            .methods
            .iter()
            .try_for_each(|method| self.add_method(class, method))?;
        self.properties.sort();
        self.methods.sort();
        if self.qualifiers.len() > MAX_QUALIFIERS {
            return Err(ComposeError::TooMany {
                class: class.name.clone(),
                what: "qualifiers",
            });
        }
        let properties = &self.properties;
        let name_of = |order: &u16| properties.get(*order).map(|property| &property.name);
        self.keys.sort_by(|a, b| name_of(a).cmp(&name_of(b)));
        Ok(())
    }

    fn check_names(&self) -> Result<(), ComposeError> {
        let class = &self.declaration;
        let mut properties: Vec<&Name> = class
            .properties
            .iter()
            .map(|property| &property.name)
            .collect();
        let mut methods: Vec<&Name> = class.methods.iter().map(|method| &method.name).collect();
        for names in [&mut properties, &mut methods] {
            names.sort_unstable();
            if let Some([member, _]) = names
                .windows(2)
                .find_map(|pair| <&[_; 2]>::try_from(pair).ok().filter(|[a, b]| a == b))
            {
                return Err(ComposeError::Twice {
                    class: class.name.clone(),
                    member: (*member).clone(),
                });
            }
        }
        Ok(())
    }

    fn add_property(&mut self, class: &Class, own: &Property) -> Result<(), ComposeError> {
        let is_key = own.qualifiers.is_true("key");
        if is_key {
            self.keyed.get_or_insert_with(|| class.name.clone());
        }
        if let Some(order) = self.properties.find(own.name.as_str()) {
            return self.override_property(class, own, order);
        }
        let order = u16::try_from(self.properties.len())
            .ok()
            .filter(|&order| usize::from(order) < MAX_PROPERTIES);
        let Some(order) = order else {
            return Err(ComposeError::TooMany {
                class: class.name.clone(),
                what: "properties",
            });
        };
        let property = FullProperty {
            name: own.name.clone(),
            cim_type: own.cim_type,
            order,
            offset: self.table_size,
            origin: class.name.clone(),
            origin_level: self.level(),
            local: true,
            overrides: false,
            default: own.default.value().cloned(),
            qualifiers: own.qualifiers.clone(),
        };
        self.keys.extend(is_key.then_some(order));
        self.given_bytes = self.given_bytes.saturating_add(weight::of_given(&property));
        self.properties.push(property);
        self.table_size = self
            .table_size
            .saturating_add(crate::base::narrow(own.cim_type.slot_size()));
        Ok(())
    }

    fn override_property(
        &mut self,
        class: &Class,
        own: &Property,
        order: u16,
    ) -> Result<(), ComposeError> {
        let Some(slot) = self.properties.slot(order) else {
            return Ok(());
        };
        if slot.cim_type != own.cim_type {
            let (class, property) = (class.name.clone(), own.name.clone());
            return Err(ComposeError::OverrideType {
                class,
                property,
                own: own.cim_type,
                inherited: slot.cim_type,
            });
        }
        let property = overridden_property(slot, own);
        if property.qualifiers.len() > MAX_QUALIFIERS {
            return Err(ComposeError::TooMany {
                class: class.name.clone(),
                what: "qualifiers of a property",
            });
        }
        self.keys.retain(|&key| key != order);
        self.keys.extend(property.is_key().then_some(order));
        self.given_bytes = self.given_bytes.saturating_add(weight::of_given(&property));
        *slot = Arc::new(property);
        Ok(())
    }

    fn add_method(&mut self, class: &Class, own: &Method) -> Result<(), ComposeError> {
        let too_many = |what| {
            Err(ComposeError::TooMany {
                class: class.name.clone(),
                what,
            })
        };
        let origin_level = self.level();
        if let Some(slot) = self
            .methods
            .find(own.name.as_str())
            .and_then(|number| self.methods.slot(number))
        {
            let qualifiers = own.qualifiers.with_inherited(&slot.method.qualifiers);
            if qualifiers.len() > MAX_QUALIFIERS {
                return too_many("qualifiers of a method");
            }
            let method = Method {
                qualifiers,
                ..own.clone()
            };
            let (origin, origin_level) = (slot.origin.clone(), slot.origin_level);
            *slot = Arc::new(FullMethod {
                method,
                origin,
                origin_level,
                local: true,
                overrides: true,
            });
            return Ok(());
        }
        if self.methods.len() >= MAX_METHODS {
            return too_many("methods");
        }
        let (method, origin) = (own.clone(), class.name.clone());
        self.methods.push(FullMethod {
            method,
            origin,
            origin_level,
            local: true,
            overrides: false,
        });
        Ok(())
    }

    /// Its name.
    pub const fn name(&self) -> &Name {
        &self.declaration.name
    }

    /// What the class declares itself.
    pub const fn declaration(&self) -> &Class {
        &self.declaration
    }

    /// The superclass.
    pub const fn superclass(&self) -> Option<&Arc<FullClass>> {
        self.superclass.as_ref()
    }

    /// The names of its superclasses, the nearest first.
    pub fn derivation(&self) -> &[Name] {
        &self.derivation
    }

    /// How many superclasses it has.
    pub fn level(&self) -> u32 {
        crate::base::narrow(self.derivation.len())
    }

    /// True if it is the class with this name or derived from it.
    pub fn is_a(&self, class: &str) -> bool {
        *self.name() == *class || self.derivation.iter().any(|name| *name == *class)
    }

    /// The qualifiers that hold, inherited ones included and marked.
    pub const fn qualifiers(&self) -> &QualifierSet {
        &self.qualifiers
    }

    /// The properties in order of declaration, inherited ones first.
    pub fn properties(&self) -> &[Arc<FullProperty>] {
        self.properties.as_slice()
    }

    /// The property with this name.
    pub fn property(&self, name: &str) -> Option<&FullProperty> {
        self.properties
            .get(self.properties.find(name)?)
            .map(|property| &**property)
    }

    /// The properties sorted by name.
    pub(crate) fn properties_by_name(&self) -> impl Iterator<Item = &FullProperty> {
        self.properties.by_name()
    }

    /// The methods, inherited ones first.
    pub fn methods(&self) -> &[Arc<FullMethod>] {
        self.methods.as_slice()
    }

    /// The method with this name.
    pub fn method(&self, name: &str) -> Option<&FullMethod> {
        self.methods
            .get(self.methods.find(name)?)
            .map(|method| &**method)
    }

    /// The key properties, sorted by name: the order of their values in a key.
    pub fn key_properties(&self) -> impl Iterator<Item = &FullProperty> {
        self.keys
            .iter()
            .filter_map(|&order| self.properties.get(order).map(|property| &**property))
    }

    /// The class whose name stands in the keys of instances; `None` for a class that cannot have
    /// any.
    pub fn key_class(&self) -> Option<KeyClass> {
        let keyed = self.keyed.clone().map(KeyClass::Keyed);
        keyed.or_else(|| self.singleton.clone().map(KeyClass::Singleton))
    }

    /// Size in bytes of everything that it inherits.
    pub(crate) const fn inherited_bytes(&self) -> usize {
        self.inherited_bytes
    }

    /// Size in bytes of the names and defaults of its properties, which every instance has.
    pub(crate) const fn given_bytes(&self) -> usize {
        self.given_bytes
    }

    /// Bytes of the table of values, without the bits in front of it.
    pub(crate) const fn table_size(&self) -> u32 {
        self.table_size
    }
}

impl PartialEq for FullClass {
    /// Equal when they declare and have the same; where the superclasses differ in what is not
    /// inherited does not matter.
    fn eq(&self, other: &Self) -> bool {
        let has = |class: &Self| {
            (
                class.keyed.clone(),
                class.singleton.clone(),
                class.table_size,
            )
        };
        self.declaration == other.declaration
            && self.derivation == other.derivation
            && self.qualifiers == other.qualifiers
            && self.properties == other.properties
            && self.methods == other.methods
            && self.partial == other.partial
            && has(self) == has(other)
    }
}

impl Heritage {
    fn of(class: &FullClass) -> Self {
        let property = |property: &Arc<FullProperty>| match property {
            property if property.local || !all_inherited(&property.qualifiers) => {
                Arc::new(inherited_property(property))
            }
            property => property.clone(),
        };
        let method = |method: &Arc<FullMethod>| match method {
            method if method.local || !all_inherited(&method.method.qualifiers) => {
                Arc::new(inherited_method(method))
            }
            method => method.clone(),
        };
        let (properties, methods) = (class.properties.map(property), class.methods.map(method));
        let is_key = |order: &u16| {
            properties
                .get(*order)
                .is_some_and(|property| property.is_key())
        };
        let keys = class.keys.iter().copied().filter(is_key).collect();
        let qualifiers = QualifierSet::new().with_inherited(&class.qualifiers);
        let mut heritage = Self {
            qualifiers,
            properties,
            methods,
            keys,
            bytes: class.inherited_bytes,
        };
        heritage.bytes = heritage.bytes.saturating_add(heritage.added_bytes(class));
        heritage
    }

    /// Size of what the class itself adds for its subclasses. What it declares again counts twice.
    fn added_bytes(&self, class: &FullClass) -> usize {
        let own = QualifierSet::new().with_inherited(&class.declaration.qualifiers);
        let properties = class
            .properties()
            .iter()
            .zip(self.properties.as_slice())
            .filter(|(own, _)| own.local);
        let methods = class
            .methods()
            .iter()
            .zip(self.methods.as_slice())
            .filter(|(own, _)| own.local);
        weight::of_qualifiers(&own)
            + properties
                .map(|(_, inherited)| weight::of_full_property(inherited))
                .sum::<usize>()
            + methods
                .map(|(_, inherited)| weight::of_full_method(inherited))
                .sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::qualifier::{Flavor, Qualifier};
    use super::super::types::ScalarType;
    use super::*;

    #[test]
    fn what_is_inherited_is_measured_without_what_is_not() {
        let text = "x".repeat(1_000);
        let described = |flavor| Qualifier::new("Description", text.as_str(), flavor);
        let compose = |class, superclass: &Arc<FullClass>| {
            Arc::new(FullClass::compose(class, Some(superclass.clone())).unwrap())
        };
        let below = |name: &str, above: &str| Class::builder(name).superclass(above).build();
        for (flavor, least, most) in [
            (Flavor::empty(), 0, 200),
            (Flavor::TO_SUBCLASS, 2_000, 2_300),
        ] {
            let top = Class::builder("A").qualifier(described(flavor));
            let top = top
                .property(Property::new("P", ScalarType::Uint8).qualifier(described(flavor)))
                .build();
            let top = Arc::new(FullClass::compose(top, None).unwrap());
            assert_eq!(top.inherited_bytes(), 0);
            let middle = compose(below("B", "A"), &top);
            assert!(
                (least..most).contains(&middle.inherited_bytes()),
                "{flavor:?}: {}",
                middle.inherited_bytes()
            );
            // Nothing is added on the way down by a class that declares nothing.
            assert_eq!(
                compose(below("C", "B"), &middle).inherited_bytes(),
                middle.inherited_bytes()
            );
        }
    }
}

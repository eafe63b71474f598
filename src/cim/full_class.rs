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

/// Why a class cannot be composed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ComposeError {
    /// The given superclass is not the one that the class names.
    #[error("class {class} names the superclass {expected:?}, not {given:?}")]
    Superclass {
        /// The class.
        class: Name,
        /// The superclass that the class names.
        expected: Option<Name>,
        /// The superclass that was given.
        given: Option<Name>,
    },
    /// A property is redeclared with another type.
    #[error("property {property} of class {class} is {own}, the superclass has it as {inherited}")]
    OverrideType {
        /// The class.
        class: Name,
        /// The property.
        property: Name,
        /// Its type in this class.
        own: CimType,
        /// Its type in the superclass.
        inherited: CimType,
    },
    /// A class declares two properties or two methods with the same name.
    #[error("class {class} declares {member} twice")]
    Twice {
        /// The class.
        class: Name,
        /// The property or method.
        member: Name,
    },
    /// The class has too many properties or methods, or its chain of superclasses is too long.
    #[error("class {class}: too many {what}")]
    TooMany {
        /// The class.
        class: Name,
        /// The kind of thing of which there are too many.
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
    /// Its position in the order of declaration over the whole chain.
    pub order: u16,
    /// Offset of its value in the table of values, in bytes.
    pub(crate) offset: u32,
    /// The class that first declared it.
    pub origin: Name,
    /// The level of that class: 0 is the topmost of the chain.
    pub origin_level: u32,
    /// True if this class declares or redeclares it.
    pub local: bool,
    /// True if a superclass has it too.
    pub overrides: bool,
    /// The effective default; `None` is NULL.
    pub default: Option<Value>,
    /// The effective qualifiers.
    pub qualifiers: QualifierSet,
}

impl FullProperty {
    /// True if it is a key.
    pub fn is_key(&self) -> bool {
        self.qualifiers.is_true("key")
    }

    /// The class that a reference must point to, from a `CIMTYPE` of the form `ref:Class`.
    pub fn reference_class(&self) -> Option<&str> {
        let (kind, class) = self.qualifiers.text("CIMTYPE")?.split_once(':')?;
        (kind.eq_ignore_ascii_case("ref") && !class.is_empty()).then_some(class)
    }
}

/// A method of a full class.
#[derive(Debug, Clone, PartialEq)]
pub struct FullMethod {
    /// Its name, effective qualifiers, and signatures.
    pub method: Method,
    /// The class that first declared it.
    pub origin: Name,
    /// The level of that class: 0 is the topmost of the chain.
    pub origin_level: u32,
    /// True if this class declares or redeclares it.
    pub local: bool,
    /// True if a superclass has it too.
    pub overrides: bool,
}

/// The class whose name is part of the keys of instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyClass {
    /// The topmost class that declares a key property.
    Keyed(Name),
    /// The topmost class with the qualifier `singleton`, which has at most one instance.
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
    /// Size in bytes of everything that the class inherits.
    inherited_bytes: usize,
    /// Size in bytes of the names and defaults of its properties, which every instance takes over.
    given_bytes: usize,
    /// The content that subclasses inherit; computed once, for the first of them.
    heritage: OnceLock<Heritage>,
    /// The known parts of a class that lacks an ancestor.
    partial: Option<Arc<Partial>>,
}

/// Everything that the direct subclasses of a class inherit from it.
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
    /// Composes a class with what it inherits from its superclass.
    ///
    /// # Errors
    /// Returns a [`ComposeError`] if `superclass` is not the one that the class names, or the class
    /// is incompatible with it.
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

    /// The class of an embedded instance, which lists what it inherits as if it were its own.
    /// `derivation` lists its superclasses, nearest first. `origins` gives, in order of
    /// declaration, the origin level of each property and whether it is redeclared.
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
            // Level 0 is the last of the derivation; the class itself has the deepest level.
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

    /// The form of the class in an embedded instance: everything it inherits is listed as its own.
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

    /// The declaration of the class itself.
    pub const fn declaration(&self) -> &Class {
        &self.declaration
    }

    /// The superclass.
    pub const fn superclass(&self) -> Option<&Arc<FullClass>> {
        self.superclass.as_ref()
    }

    /// The names of its superclasses, nearest first.
    pub fn derivation(&self) -> &[Name] {
        &self.derivation
    }

    /// The number of its superclasses.
    pub fn level(&self) -> u32 {
        crate::base::narrow(self.derivation.len())
    }

    /// True if it is `class` or derived from it.
    pub fn is_a(&self, class: &str) -> bool {
        *self.name() == *class || self.derivation.iter().any(|name| *name == *class)
    }

    /// The effective qualifiers; inherited ones are marked.
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

    /// The key properties, sorted by name, which is the order of their values in a key.
    pub fn key_properties(&self) -> impl Iterator<Item = &FullProperty> {
        self.keys
            .iter()
            .filter_map(|&order| self.properties.get(order).map(|property| &**property))
    }

    /// The class whose name is part of the keys of instances; `None` for a class that cannot have
    /// instances.
    pub fn key_class(&self) -> Option<KeyClass> {
        let keyed = self.keyed.clone().map(KeyClass::Keyed);
        keyed.or_else(|| self.singleton.clone().map(KeyClass::Singleton))
    }

    /// Size in bytes of everything that the class inherits.
    pub(crate) const fn inherited_bytes(&self) -> usize {
        self.inherited_bytes
    }

    /// Size in bytes of the names and defaults of its properties, which every instance takes over.
    pub(crate) const fn given_bytes(&self) -> usize {
        self.given_bytes
    }

    /// Size in bytes of the table of values, without the bits before it.
    pub(crate) const fn table_size(&self) -> u32 {
        self.table_size
    }
}

impl PartialEq for FullClass {
    /// Compares the declaration and everything effective. Differences between the superclasses that
    /// are not inherited do not count.
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

    /// Size in bytes of what the class itself adds for its subclasses. Redeclared members count
    /// twice.
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
            // A class that declares nothing adds nothing for its subclasses.
            assert_eq!(
                compose(below("C", "B"), &middle).inherited_bytes(),
                middle.inherited_bytes()
            );
        }
    }
}

//! Qualifiers: named values with a flavor, on classes, properties, methods, parameters and
//! instances.

use std::sync::Arc;

use bitflags::bitflags;

use super::name::{ByName, Name, same};
use super::types::{CimType, ScalarType};
use super::value::Value;

bitflags! {
    /// How a qualifier propagates. Bits without a name are preserved.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct Flavor: u8 {
        /// Propagates to instances.
        const TO_INSTANCE = 0x01;
        /// Propagates to subclasses.
        const TO_SUBCLASS = 0x02;
        /// Must not be changed by a subclass.
        const NOT_OVERRIDABLE = 0x10;
        /// Inherited from a superclass; never stored.
        const INHERITED = 0x20;
        /// Created by the engine; never stored.
        const SYSTEM = 0x40;
        /// Its text is translated in another namespace.
        const AMENDED = 0x80;
        const _ = !0;
    }
}

impl Flavor {
    /// The flavor that a qualifier has in the store whatever its declaration says; `None` for
    /// nearly all, which keep the declared one.
    pub fn fixed(name: &str) -> Option<Self> {
        let is_fixed = ["key", "singleton", "in", "out"]
            .iter()
            .any(|fixed| same(name, fixed));
        is_fixed.then(|| Self::implied(name))
    }

    /// The flavor that a qualifier has in the store when its declaration has none. Source:
    /// `docs::objects`, "Implicit flavors".
    pub fn implied(name: &str) -> Self {
        let spreads = Self::TO_INSTANCE | Self::TO_SUBCLASS;
        match () {
            () if same(name, "key") || same(name, "singleton") => spreads | Self::NOT_OVERRIDABLE,
            () if same(name, "CIMTYPE") => spreads,
            () if same(name, "dynamic") => Self::TO_INSTANCE,
            () => Self::empty(),
        }
    }
}

/// A qualifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Qualifier {
    /// Its name.
    pub name: Name,
    /// The type of its value.
    pub cim_type: CimType,
    /// Its value; `None` is NULL.
    pub value: Option<Value>,
    /// How it propagates.
    pub flavor: Flavor,
}

impl Qualifier {
    /// A qualifier with the type of its value.
    pub fn new(name: impl Into<Name>, value: impl Into<Value>, flavor: Flavor) -> Self {
        let value = value.into();
        Self {
            name: name.into(),
            cim_type: value.cim_type(),
            value: Some(value),
            flavor,
        }
    }

    /// A boolean qualifier that is TRUE.
    pub fn flag(name: impl Into<Name>, flavor: Flavor) -> Self {
        Self::new(name, true, flavor)
    }

    /// `CIMTYPE`, the type as MOF spells it. Every property and parameter has this qualifier.
    pub fn cimtype(text: &str) -> Self {
        Self::new("CIMTYPE", text, Flavor::TO_INSTANCE | Flavor::TO_SUBCLASS)
    }

    /// `key`: the property is part of the identity of an instance.
    pub fn key() -> Self {
        Self::flag(
            "key",
            Flavor::TO_INSTANCE | Flavor::TO_SUBCLASS | Flavor::NOT_OVERRIDABLE,
        )
    }

    /// True if the value is the boolean TRUE.
    pub fn is_true(&self) -> bool {
        self.value == Some(Value::Boolean(true))
    }
}

/// The default text of `CIMTYPE` for a type. For `ref` and `object` the name of a class may follow
/// after a colon.
pub(crate) const fn cimtype_text(scalar: ScalarType) -> &'static str {
    match scalar {
        ScalarType::Reference => "ref",
        other => other.as_str(),
    }
}

/// Qualifiers in order of their definition. Cheap to clone: a class and those composed from it
/// share them.
#[derive(Debug, Clone, Default)]
pub struct QualifierSet(Option<Arc<[Qualifier]>>);

impl PartialEq for QualifierSet {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl QualifierSet {
    /// No qualifiers.
    pub const fn new() -> Self {
        Self(None)
    }

    fn as_slice(&self) -> &[Qualifier] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The qualifier with this name.
    pub fn get(&self, name: &str) -> Option<&Qualifier> {
        self.iter().find(|qualifier| qualifier.name == *name)
    }

    /// An index of the qualifiers by name, for many look-ups.
    pub(crate) fn by_name(&self) -> ByName<'_, Qualifier> {
        ByName::new(self.as_slice(), |qualifier| &qualifier.name)
    }

    /// True if the qualifier with this name is the boolean TRUE.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(Qualifier::is_true)
    }

    /// The text of the qualifier with this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.value.as_ref()?.as_text()
    }

    /// Adds a qualifier at the end, or replaces the one with the same name in its place.
    pub fn set(&mut self, qualifier: Qualifier) {
        let mut qualifiers = self.as_slice().to_vec();
        match qualifiers.iter_mut().find(|old| old.name == qualifier.name) {
            Some(old) => *old = qualifier,
            None => qualifiers.push(qualifier),
        }
        *self = qualifiers.into_iter().collect();
    }

    /// Removes the qualifier with this name and returns it.
    pub fn remove(&mut self, name: &str) -> Option<Qualifier> {
        let position = self.iter().position(|qualifier| qualifier.name == *name)?;
        let mut qualifiers = self.as_slice().to_vec();
        let removed = qualifiers.remove(position);
        *self = qualifiers.into_iter().collect();
        Some(removed)
    }

    /// The qualifiers in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Qualifier> {
        self.as_slice().iter()
    }

    /// The number of qualifiers.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// These qualifiers, followed by those of the superclass that propagate to subclasses and whose
    /// names are new, marked as inherited. Source: `docs::objects`, "Composition".
    pub fn with_inherited(&self, superclass: &QualifierSet) -> Self {
        let is_ready = |qualifier: &Qualifier| {
            qualifier
                .flavor
                .contains(Flavor::TO_SUBCLASS | Flavor::INHERITED)
        };
        if self.is_empty() && superclass.iter().all(is_ready) {
            return superclass.clone();
        }
        let own = self.by_name();
        let goes_down = |qualifier: &&Qualifier| qualifier.flavor.contains(Flavor::TO_SUBCLASS);
        let is_new = |qualifier: &&Qualifier| own.get(&qualifier.name).is_none();
        let inherited = || superclass.iter().filter(goes_down).filter(is_new);
        if inherited().next().is_none() {
            return self.clone();
        }
        let marked = |qualifier: &Qualifier| Qualifier {
            name: qualifier.name.clone(),
            cim_type: qualifier.cim_type,
            value: qualifier.value.clone(),
            flavor: qualifier.flavor | Flavor::INHERITED,
        };
        self.iter()
            .cloned()
            .chain(inherited().map(marked))
            .collect()
    }
}

impl FromIterator<Qualifier> for QualifierSet {
    /// Keeps every qualifier in order, even several with one name, so that stored sets can be shown
    /// as they are.
    fn from_iter<I: IntoIterator<Item = Qualifier>>(qualifiers: I) -> Self {
        let qualifiers = qualifiers.into_iter();
        if qualifiers.size_hint() == (0, Some(0)) {
            return Self(None);
        }
        let qualifiers: Arc<[Qualifier]> = qualifiers.collect();
        Self((!qualifiers.is_empty()).then_some(qualifiers))
    }
}

impl<'q> IntoIterator for &'q QualifierSet {
    type Item = &'q Qualifier;
    type IntoIter = std::slice::Iter<'q, Qualifier>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

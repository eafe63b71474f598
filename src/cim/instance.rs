//! Instances: values for the properties of a class.

use std::sync::Arc;

use thiserror::Error;

use super::class::Setting;
use super::full_class::{FullClass, FullProperty, KeyClass};
use super::name::Name;
use super::path::{KeyBinding, ObjectPath, PathKeys, PathValue};
use super::qualifier::QualifierSet;
use super::types::CimType;
use super::value::Value;

/// Why a value cannot be set, or why an instance has no key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InstanceError {
    /// The class has no property of this name.
    #[error("class {class} has no property {property}")]
    NoProperty {
        /// The class.
        class: Name,
        /// The name that was requested.
        property: String,
    },
    /// The value has the wrong type.
    #[error("property {property} is {expected}, the value is {given}")]
    WrongType {
        /// The property.
        property: Name,
        /// Its type.
        expected: CimType,
        /// The type of the value.
        given: CimType,
    },
    /// The value is an integer that the property cannot hold.
    #[error("property {property} is {expected}, which cannot hold {value}")]
    OutOfRange {
        /// The property.
        property: Name,
        /// Its type.
        expected: CimType,
        /// The value, as text.
        value: String,
    },
    /// A key property is NULL or of a type that cannot be a key.
    #[error("key property {property} has no value that can be a key")]
    NoKeyValue {
        /// The property.
        property: Name,
    },
    /// The class has neither keys nor the qualifier `singleton`.
    #[error("class {class} has no key")]
    NoKey {
        /// The class.
        class: Name,
    },
}

/// An instance of a class.
///
/// ```
/// use std::sync::Arc;
///
/// use cimrepo::{Class, FullClass, Instance, Property, ScalarType};
/// # fn main() -> cimrepo::Result<()> {
/// let shelf = Class::builder("Shelf")
///     .property(Property::new("Name", ScalarType::String).key())
///     .property(Property::new("Boards", ScalarType::Uint32).default(3));
/// let shelf = Arc::new(FullClass::compose(shelf.build(), None)?);
/// let left = Instance::new(shelf).with("Name", "left")?;
/// assert_eq!(left.get("Boards")?.and_then(|value| value.as_u32()), Some(3));
/// assert_eq!(left.path()?.to_string(), "Shelf.Name=\"left\"");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    class: Arc<FullClass>,
    settings: Vec<Setting>,
    /// The qualifiers of the instance itself.
    pub qualifiers: QualifierSet,
    /// The qualifiers of its properties, in order of declaration; `None` if no property has any.
    pub property_qualifiers: Option<Vec<QualifierSet>>,
}

impl Instance {
    /// Creates an instance in which every property has the default of its class.
    pub fn new(class: Arc<FullClass>) -> Self {
        let settings = vec![Setting::Inherited; class.properties().len()];
        Self {
            class,
            settings,
            qualifiers: QualifierSet::new(),
            property_qualifiers: None,
        }
    }

    /// Creates an instance from one setting for each property, in order of declaration.
    pub(crate) fn from_settings(class: Arc<FullClass>, settings: Vec<Setting>) -> Self {
        Self {
            class,
            settings,
            qualifiers: QualifierSet::new(),
            property_qualifiers: None,
        }
    }

    /// Sets a property and returns the instance.
    ///
    /// # Errors
    /// The errors of [`set`](Self::set).
    pub fn with(
        mut self,
        property: &str,
        value: impl Into<Setting>,
    ) -> Result<Self, InstanceError> {
        self.set(property, value)?;
        Ok(self)
    }

    /// Its class.
    pub const fn class(&self) -> &Arc<FullClass> {
        &self.class
    }

    /// Borrows its class.
    pub(crate) fn class_ref(&self) -> &FullClass {
        &self.class
    }

    /// The instance's own settings, one for each property, in order of declaration.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The value of a property, the default of the class where the instance has none; `None` when
    /// it is NULL.
    ///
    /// # Errors
    /// [`InstanceError::NoProperty`].
    pub fn get(&self, property: &str) -> Result<Option<&Value>, InstanceError> {
        Ok(self.value_of(self.declared(property)?))
    }

    /// The text of a property; `None` where it is NULL, of another type, or not there. For classes
    /// that damage may have changed.
    pub(crate) fn text(&self, property: &str) -> Option<&str> {
        self.get(property).ok()??.as_text()
    }

    /// The property of the class with this name.
    fn declared(&self, property: &str) -> Result<&FullProperty, InstanceError> {
        let no_property = || InstanceError::NoProperty {
            class: self.class.name().clone(),
            property: property.to_owned(),
        };
        self.class.property(property).ok_or_else(no_property)
    }

    /// The value of one of the properties of its class.
    pub fn value_of<'i>(&'i self, property: &'i FullProperty) -> Option<&'i Value> {
        match self.settings.get(usize::from(property.order))? {
            Setting::Inherited => property.default.as_ref(),
            Setting::Null => None,
            Setting::Value(value) => Some(value),
        }
    }

    /// Every property with its value, in order of declaration.
    pub fn values(&self) -> impl Iterator<Item = (&FullProperty, Option<&Value>)> {
        self.class
            .properties()
            .iter()
            .map(|property| (&**property, self.value_of(property)))
    }

    /// Sets a property: to a value, to NULL, or back to the default of the class. An integer of
    /// another size, alone or in an array, is taken where the property can hold it.
    ///
    /// # Errors
    /// [`InstanceError::NoProperty`], [`InstanceError::WrongType`], [`InstanceError::OutOfRange`].
    pub fn set(&mut self, property: &str, value: impl Into<Setting>) -> Result<(), InstanceError> {
        let wanted = self.declared(property)?.cim_type;
        self.set_exact(property, value.into().fitted(wanted))
    }

    /// As [`set`](Self::set), for a value that is of the type of the property.
    pub(crate) fn set_exact(
        &mut self,
        property: &str,
        setting: Setting,
    ) -> Result<(), InstanceError> {
        let found = self.declared(property)?;
        let (order, expected) = (usize::from(found.order), found.cim_type);
        if let Some(value) = setting.value()
            && value.cim_type() != expected
        {
            return Err(misfit(found, value));
        }
        if let Some(slot) = self.settings.get_mut(order) {
            *slot = setting;
        }
        Ok(())
    }

    /// The text from which the key of the instance is hashed: the values of the key properties in
    /// order of their names, separated by U+FFFF, or `@` for the instance of a singleton.
    ///
    /// # Errors
    /// Returns [`InstanceError::NoKey`] or [`InstanceError::NoKeyValue`].
    pub fn key_text(&self) -> Result<String, InstanceError> {
        match self.class.key_class() {
            None => Err(InstanceError::NoKey {
                class: self.class.name().clone(),
            }),
            Some(KeyClass::Singleton(_)) => Ok("@".to_owned()),
            Some(KeyClass::Keyed(_)) => {
                let text = |property: &FullProperty| {
                    let text = self.value_of(property).and_then(Value::key_text);
                    text.ok_or_else(|| InstanceError::NoKeyValue {
                        property: property.name.clone(),
                    })
                };
                let texts: Result<Vec<String>, _> = self.class.key_properties().map(text).collect();
                Ok(texts?.join("\u{FFFF}"))
            }
        }
    }

    /// Its path, without server and namespace. The keys stand in ascending order of their names.
    ///
    /// # Errors
    /// The errors of [`key_text`](Self::key_text).
    pub fn path(&self) -> Result<ObjectPath, InstanceError> {
        let keys = match self.class.key_class() {
            None => {
                return Err(InstanceError::NoKey {
                    class: self.class.name().clone(),
                });
            }
            Some(KeyClass::Singleton(_)) => PathKeys::Singleton,
            Some(KeyClass::Keyed(_)) => {
                let binding = |property: &FullProperty| {
                    let value = self.value_of(property).and_then(PathValue::of);
                    let value = value.ok_or_else(|| InstanceError::NoKeyValue {
                        property: property.name.clone(),
                    })?;
                    Ok(KeyBinding {
                        name: Some(property.name.clone()),
                        value,
                    })
                };
                PathKeys::Keys(
                    self.class
                        .key_properties()
                        .map(binding)
                        .collect::<Result<_, _>>()?,
                )
            }
        };
        Ok(ObjectPath {
            server: None,
            namespace: None,
            class: self.class.name().clone(),
            keys,
        })
    }
}

/// The error for a value that a property cannot have.
fn misfit(property: &FullProperty, value: &Value) -> InstanceError {
    let (expected, given) = (property.cim_type, value.cim_type());
    let are_integers = expected.scalar.is_integer() && given.scalar.is_integer();
    let property = property.name.clone();
    match are_integers && expected.array == given.array {
        true => InstanceError::OutOfRange {
            property,
            expected,
            value: value.to_string(),
        },
        false => InstanceError::WrongType {
            property,
            expected,
            given,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cim::class::{Class, Property};
    use crate::cim::types::ScalarType;

    fn shelf() -> Instance {
        let class = Class::builder("Shelf")
            .property(Property::new("Name", ScalarType::String).key())
            .property(Property::new("Boards", ScalarType::Uint8).default(3))
            .property(Property::new("Widths", CimType::array(ScalarType::Uint16)))
            .build();
        Instance::new(Arc::new(FullClass::compose(class, None).unwrap()))
    }

    #[test]
    fn null_and_no_such_property_are_told_apart() {
        let shelf = shelf();
        assert_eq!(shelf.get("name"), Ok(None));
        assert_eq!(shelf.get("boards"), Ok(Some(&Value::Uint8(3))));
        let refused = shelf.get("Colour").unwrap_err().to_string();
        assert_eq!(refused, "class Shelf has no property Colour");
    }

    #[test]
    fn integers_that_fit_are_taken() {
        let shelf = shelf().with("Boards", 255u64).unwrap();
        let mut shelf = shelf.with("Widths", vec![1, 2]).unwrap();
        assert_eq!(shelf.get("Boards"), Ok(Some(&Value::Uint8(255))));
        assert_eq!(shelf.get("Widths"), Ok(Some(&vec![1u16, 2].into())));

        let too_large = shelf.set("Boards", 256).unwrap_err().to_string();
        assert_eq!(too_large, "property Boards is uint8, which cannot hold 256");
        let negative = shelf.set("Widths", vec![1, -1]).unwrap_err().to_string();
        assert_eq!(
            negative,
            "property Widths is uint16[], which cannot hold {1, -1}"
        );
        let one = shelf.set("Widths", 1).unwrap_err().to_string();
        assert_eq!(one, "property Widths is uint16[], the value is sint32");
        // What is refused changes nothing.
        assert_eq!(shelf.get("Boards"), Ok(Some(&Value::Uint8(255))));
        // What takes over stored values takes none of another type.
        assert!(shelf.set_exact("Boards", 7.into()).is_err());
    }
}

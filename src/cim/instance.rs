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

/// Why a value cannot be set, or an instance has no key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InstanceError {
    /// The class has no property of this name.
    #[error("class {class} has no property {property}")]
    NoProperty {
        /// The class.
        class: Name,
        /// The name asked for.
        property: String,
    },
    /// The value is of another type.
    #[error("property {property} is {expected}, the value is {given}")]
    WrongType {
        /// The property.
        property: Name,
        /// Its type.
        expected: CimType,
        /// That of the value.
        given: CimType,
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
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    class: Arc<FullClass>,
    settings: Vec<Setting>,
    /// Its own qualifiers.
    pub qualifiers: QualifierSet,
    /// Qualifiers of its properties, in order of declaration; `None` when it has none.
    pub property_qualifiers: Option<Vec<QualifierSet>>,
}

impl Instance {
    /// An instance in which every property has the default of its class.
    pub fn new(class: Arc<FullClass>) -> Self {
        let settings = vec![Setting::Inherited; class.properties().len()];
        Self {
            class,
            settings,
            qualifiers: QualifierSet::new(),
            property_qualifiers: None,
        }
    }

    /// An instance with a setting for each property, in order of declaration.
    pub(crate) fn from_settings(class: Arc<FullClass>, settings: Vec<Setting>) -> Self {
        Self {
            class,
            settings,
            qualifiers: QualifierSet::new(),
            property_qualifiers: None,
        }
    }

    /// The instance with this value.
    ///
    /// # Errors
    /// As [`set`](Self::set).
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

    /// Its class, borrowed.
    pub(crate) fn class_ref(&self) -> &FullClass {
        &self.class
    }

    /// What the instance says of each property itself, in order of declaration.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The value of a property, the default of the class where the instance has none; `None` when
    /// it is NULL or there is no such property.
    pub fn get(&self, property: &str) -> Option<&Value> {
        self.value_of(self.class.property(property)?)
    }

    /// The value of a property of its class.
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

    /// Sets a property: to a value, to NULL, or back to the default of the class.
    ///
    /// # Errors
    /// [`InstanceError::NoProperty`], [`InstanceError::WrongType`].
    pub fn set(&mut self, property: &str, value: impl Into<Setting>) -> Result<(), InstanceError> {
        let value = value.into();
        let no_property = || InstanceError::NoProperty {
            class: self.class.name().clone(),
            property: property.to_owned(),
        };
        let found = self.class.property(property).ok_or_else(no_property)?;
        if let Some(given) = value
            .value()
            .map(Value::cim_type)
            .filter(|&given| given != found.cim_type)
        {
            let (property, expected) = (found.name.clone(), found.cim_type);
            return Err(InstanceError::WrongType {
                property,
                expected,
                given,
            });
        }
        let slot = self
            .settings
            .get_mut(usize::from(found.order))
            .ok_or_else(no_property)?;
        *slot = value;
        Ok(())
    }

    /// The text that the key of the instance is hashed from: the values of the key properties in
    /// order of their names, with U+FFFF between them; `@` for the instance of a singleton.
    ///
    /// # Errors
    /// [`InstanceError::NoKey`], [`InstanceError::NoKeyValue`].
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

    /// Its path, without server and namespace. Keys stand in ascending order of their names.
    ///
    /// # Errors
    /// As [`key_text`](Self::key_text).
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

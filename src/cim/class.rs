//! Class declarations: the content of a class without what it inherits.

use std::sync::Arc;

use super::name::Name;
use super::qualifier::{Flavor, Qualifier, QualifierSet, cimtype_text};
use super::types::CimType;
use super::value::Value;

/// The setting of a default in a class, or of a value in an instance.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Setting {
    /// No setting of its own: the superclass or, for an instance, the class decides.
    #[default]
    Inherited,
    /// NULL.
    Null,
    /// A value.
    Value(Value),
}

impl Setting {
    /// The value, if the setting has one of its own.
    pub const fn value(&self) -> Option<&Value> {
        match self {
            Setting::Value(value) => Some(value),
            _ => None,
        }
    }
}

impl Setting {
    /// The setting with its value fitted to the wanted type; see [`Value::fitted`].
    pub(crate) fn fitted(self, wanted: CimType) -> Self {
        match self {
            Setting::Value(value) => Setting::Value(value.fitted(wanted)),
            other => other,
        }
    }
}

impl<V: Into<Value>> From<V> for Setting {
    fn from(value: V) -> Self {
        Setting::Value(value.into())
    }
}

/// A property that a class declares or redeclares, or a parameter of a method.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub cim_type: CimType,
    /// Its default. A new property without a default has [`Setting::Null`].
    pub default: Setting,
    /// Its own qualifiers, `CIMTYPE` among them.
    pub qualifiers: QualifierSet,
}

impl Property {
    /// A property without default, with its `CIMTYPE` qualifier.
    pub fn new(name: impl Into<Name>, cim_type: impl Into<CimType>) -> Self {
        let cim_type = cim_type.into();
        let qualifiers = [Qualifier::cimtype(cimtype_text(cim_type.scalar))]
            .into_iter()
            .collect();
        Self {
            name: name.into(),
            cim_type,
            default: Setting::Null,
            qualifiers,
        }
    }

    /// The property with this default. An integer of another size is taken where the type can hold
    /// it.
    #[must_use]
    pub fn default(mut self, value: impl Into<Setting>) -> Self {
        self.default = value.into().fitted(self.cim_type);
        self
    }

    /// Adds a qualifier.
    #[must_use]
    pub fn qualifier(mut self, qualifier: Qualifier) -> Self {
        self.qualifiers.set(qualifier);
        self
    }

    /// Makes the property a key.
    #[must_use]
    pub fn key(self) -> Self {
        self.qualifier(Qualifier::key())
    }

    /// Sets the class of a reference or embedded object.
    #[must_use]
    pub fn of_class(self, class: &str) -> Self {
        let text = format!("{}:{class}", cimtype_text(self.cim_type.scalar));
        self.qualifier(Qualifier::cimtype(&text))
    }
}

/// A method that a class declares or redeclares.
#[derive(Debug, Clone, PartialEq)]
pub struct Method {
    /// Its name.
    pub name: Name,
    /// Its own qualifiers.
    pub qualifiers: QualifierSet,
    /// The input parameters, as a class [`Method::PARAMETERS`] with one property for each. `None`
    /// if there are none.
    pub input: Option<Arc<Class>>,
    /// The output parameters and the return value, in the same form.
    pub output: Option<Arc<Class>>,
}

impl Method {
    /// The name of the class of a signature.
    pub const PARAMETERS: &'static str = "__PARAMETERS";
    /// The name of the output parameter that holds the return value.
    pub const RETURN_VALUE: &'static str = "ReturnValue";

    /// A method without parameters and return value.
    pub fn new(name: impl Into<Name>) -> Self {
        Self {
            name: name.into(),
            qualifiers: QualifierSet::new(),
            input: None,
            output: None,
        }
    }

    /// Adds a qualifier.
    #[must_use]
    pub fn qualifier(mut self, qualifier: Qualifier) -> Self {
        self.qualifiers.set(qualifier);
        self
    }

    /// Adds an input parameter with the next `ID`.
    #[must_use]
    pub fn input(mut self, parameter: Property) -> Self {
        let parameter = self.numbered(parameter, "in");
        add(&mut self.input, parameter);
        self
    }

    /// Adds an output parameter with the next `ID`.
    #[must_use]
    pub fn output(mut self, parameter: Property) -> Self {
        let parameter = self.numbered(parameter, "out");
        add(&mut self.output, parameter);
        self
    }

    /// Sets the type of the return value.
    #[must_use]
    pub fn returns(mut self, cim_type: impl Into<CimType>) -> Self {
        let value = Property::new(Self::RETURN_VALUE, cim_type)
            .qualifier(Qualifier::flag("out", Flavor::empty()));
        add(&mut self.output, value);
        self
    }

    fn numbered(&self, parameter: Property, direction: &str) -> Property {
        let parameters = self
            .input
            .iter()
            .chain(&self.output)
            .flat_map(|class| &class.properties);
        let ids = parameters
            .filter_map(|parameter| parameter.qualifiers.get("ID")?.value.as_ref()?.as_integer());
        let id = ids
            .max()
            .and_then(|id| i32::try_from(id).ok()?.checked_add(1))
            .unwrap_or_default();
        let spread = Flavor::TO_INSTANCE | Flavor::NOT_OVERRIDABLE;
        parameter
            .qualifier(Qualifier::new("ID", id, spread))
            .qualifier(Qualifier::flag(direction, Flavor::empty()))
    }
}

/// Adds a parameter before the return value, which stands last.
fn add(signature: &mut Option<Arc<Class>>, parameter: Property) {
    let class = signature.get_or_insert_with(|| {
        let flag = Qualifier::flag("abstract", Flavor::empty());
        Arc::new(Class::builder(Method::PARAMETERS).qualifier(flag).build())
    });
    let class = Arc::make_mut(class);
    let is_return = |property: &Property| property.name == Method::RETURN_VALUE;
    let end = class
        .properties
        .iter()
        .position(is_return)
        .unwrap_or(class.properties.len());
    class.properties.insert(end, parameter);
}

/// A class declaration.
///
/// ```
/// use cimrepo::{Class, Property, ScalarType};
///
/// let shelf = Class::builder("Shelf")
///     .property(Property::new("Name", ScalarType::String).key())
///     .property(Property::new("Boards", ScalarType::Uint32).default(3))
///     .build();
/// assert_eq!(shelf.properties.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Its name.
    pub name: Name,
    /// The name of its superclass.
    pub superclass: Option<Name>,
    /// Its own qualifiers.
    pub qualifiers: QualifierSet,
    /// The properties that the class declares or redeclares, in order of declaration.
    pub properties: Vec<Property>,
    /// The methods that the class declares or redeclares, in order of declaration.
    pub methods: Vec<Method>,
}

impl Class {
    /// Starts building a class.
    pub fn builder(name: impl Into<Name>) -> ClassBuilder {
        let (superclass, qualifiers) = (None, QualifierSet::new());
        ClassBuilder(Self {
            name: name.into(),
            superclass,
            qualifiers,
            properties: Vec::new(),
            methods: Vec::new(),
        })
    }

    /// The property with this name, if the class itself declares it.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties
            .iter()
            .find(|property| property.name == *name)
    }

    /// The method with this name, if the class itself declares it.
    pub fn method(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.name == *name)
    }
}

/// Builds a [`Class`].
#[derive(Debug, Clone)]
pub struct ClassBuilder(Class);

impl ClassBuilder {
    /// Sets the superclass.
    #[must_use]
    pub fn superclass(mut self, name: impl Into<Name>) -> Self {
        self.0.superclass = Some(name.into());
        self
    }

    /// Adds a qualifier.
    #[must_use]
    pub fn qualifier(mut self, qualifier: Qualifier) -> Self {
        self.0.qualifiers.set(qualifier);
        self
    }

    /// Adds a property.
    #[must_use]
    pub fn property(mut self, property: Property) -> Self {
        self.0.properties.push(property);
        self
    }

    /// Adds a method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.0.methods.push(method);
        self
    }

    /// Finishes the class.
    pub fn build(self) -> Class {
        self.0
    }
}

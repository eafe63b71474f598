//! Columns: system properties, properties of the class, and what lies inside the objects that these
//! hold.

use crate::cim::class::Class;
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::name::Name;
use crate::cim::types::{CimType, ScalarType};
use crate::cim::value::{Array, Object, Value};

/// The class itself, in queries for classes.
pub(super) const THIS: &str = "__this";

/// A property that every object has, whatever its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SystemProperty {
    Genus,
    Class,
    Superclass,
    Dynasty,
    Derivation,
    PropertyCount,
    Namespace,
    RelPath,
    Server,
    Path,
}

impl SystemProperty {
    const ALL: [(&'static str, Self); 10] = [
        ("__GENUS", Self::Genus),
        ("__CLASS", Self::Class),
        ("__SUPERCLASS", Self::Superclass),
        ("__DYNASTY", Self::Dynasty),
        ("__DERIVATION", Self::Derivation),
        ("__PROPERTY_COUNT", Self::PropertyCount),
        ("__NAMESPACE", Self::Namespace),
        ("__RELPATH", Self::RelPath),
        ("__SERVER", Self::Server),
        ("__PATH", Self::Path),
    ];

    pub(super) fn of(name: &Name) -> Option<Self> {
        // Nearly no name begins with two low lines, and nothing else can be one of them.
        if !name.as_str().starts_with("__") {
            return None;
        }
        Self::ALL
            .iter()
            .find(|(own, _)| *name == *own)
            .map(|(_, property)| *property)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, property)| *property == self)
            .map_or("", |(name, _)| name)
    }

    pub(super) const fn cim_type(self) -> CimType {
        match self {
            Self::Genus | Self::PropertyCount => CimType::one(ScalarType::Sint32),
            Self::Derivation => CimType::array(ScalarType::String),
            _ => CimType::one(ScalarType::String),
        }
    }

    /// The value that an object of a class has; `None` is NULL.
    fn of_class(self, class: &FullClass, is_instance: bool) -> Option<Value> {
        let text = |name: &Name| Value::String(name.as_str().to_owned());
        match self {
            Self::Genus => Some(Value::Sint32(if is_instance { 2 } else { 1 })),
            Self::Class => Some(text(class.name())),
            Self::Superclass => class.derivation().first().map(text),
            Self::Dynasty => Some(text(class.derivation().last().unwrap_or(class.name()))),
            Self::Derivation => {
                let names = class
                    .derivation()
                    .iter()
                    .map(|name| Some(name.as_str().to_owned()));
                Some(Value::Array(Array::String(names.collect())))
            }
            Self::PropertyCount => i32::try_from(class.properties().len())
                .ok()
                .map(Value::Sint32),
            Self::Server => Some(Value::from(".")),
            Self::Namespace | Self::RelPath | Self::Path => None,
        }
    }
}

/// The object that a column is looked up in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'s> {
    /// An instance, in the namespace where it lies.
    Instance(&'s str, &'s Instance),
    /// A class, in the namespace that was asked.
    Class(&'s str, &'s FullClass),
}

impl<'s> Subject<'s> {
    fn system(self, property: SystemProperty) -> Option<Value> {
        let (Subject::Instance(namespace, _) | Subject::Class(namespace, _)) = self;
        match property {
            SystemProperty::Namespace => Some(Value::from(namespace)),
            SystemProperty::RelPath => self.relative_path().map(Value::String),
            SystemProperty::Path => {
                let path = self.relative_path()?;
                Some(Value::String(format!(r"\\.\{namespace}:{path}")))
            }
            other => other.of_class(self.class(), matches!(self, Subject::Instance(..))),
        }
    }

    pub(super) fn class(self) -> &'s FullClass {
        match self {
            Subject::Instance(_, instance) => instance.class_ref(),
            Subject::Class(_, class) => class,
        }
    }

    /// The path without namespace; `None` of an instance without a value for its key.
    fn relative_path(self) -> Option<String> {
        match self {
            Subject::Instance(_, instance) => instance.path().ok().map(|path| path.text()),
            Subject::Class(_, class) => Some(class.name().as_str().to_owned()),
        }
    }
}

/// Value found in a column.
#[derive(Debug)]
pub(super) enum Found<'v> {
    /// The names lead nowhere in the object at hand.
    Nowhere,
    Null,
    Value(&'v Value),
    Made(Value),
}

impl<'v> Found<'v> {
    fn of(value: Option<&'v Value>) -> Self {
        value.map_or(Found::Null, Found::Value)
    }

    pub(super) const fn value(&self) -> Option<&Value> {
        match self {
            Found::Value(value) => Some(value),
            Found::Made(value) => Some(value),
            Found::Nowhere | Found::Null => None,
        }
    }
}

/// The first name of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    System(SystemProperty),
    /// A property of the class that is asked, with its place in order of declaration there, and in
    /// most classes below.
    Property(Name, u16),
    /// `__this`.
    This,
}

/// A column whose first name is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BoundColumn {
    pub(super) head: Head,
    /// The names inside the object that the property holds.
    pub(super) rest: Box<[Name]>,
}

impl BoundColumn {
    /// The first name as results spell it.
    pub(super) fn head_name(&self) -> &str {
        match &self.head {
            Head::System(property) => property.name(),
            Head::Property(name, _) => name.as_str(),
            Head::This => THIS,
        }
    }

    /// The names with points between them.
    pub(super) fn label(&self) -> String {
        let names = [self.head_name()]
            .into_iter()
            .chain(self.rest.iter().map(Name::as_str));
        names.collect::<Vec<_>>().join(".")
    }

    /// Value of the column in an object.
    pub(super) fn find<'s>(&self, subject: Subject<'s>) -> Found<'s> {
        let first = self.find_head(subject);
        let mut names = self.rest.iter();
        let Some(second) = names.next() else {
            return first;
        };
        let Found::Value(Value::Object(object)) = first else {
            return Found::Nowhere;
        };
        let mut found = inside(object, second);
        for name in names {
            let Found::Value(Value::Object(object)) = found else {
                return Found::Nowhere;
            };
            found = inside(object, name);
        }
        found
    }

    /// Value of an object under the first name alone.
    pub(super) fn find_head<'s>(&self, subject: Subject<'s>) -> Found<'s> {
        match (&self.head, subject) {
            (Head::System(property), _) => {
                subject.system(*property).map_or(Found::Null, Found::Made)
            }
            (Head::Property(name, order), Subject::Instance(_, instance)) => {
                let class = instance.class_ref();
                // Classes below have the inherited properties first, and share their names.
                let at = class
                    .properties()
                    .get(usize::from(*order))
                    .filter(|property| property.name == *name);
                let property = at
                    .map(|property| &**property)
                    .or_else(|| class.property(name.as_str()));
                Found::of(property.and_then(|property| instance.value_of(property)))
            }
            (Head::Property(..) | Head::This, _) => Found::Null,
        }
    }
}

/// Value of an embedded object under a name.
pub(super) fn inside<'o>(object: &'o Object, name: &Name) -> Found<'o> {
    let system = SystemProperty::of(name);
    match (object, system) {
        (Object::Instance(instance), Some(system)) => system
            .of_class(instance.class(), true)
            .map_or(Found::Null, Found::Made),
        (Object::Instance(instance), None) => match instance.class_ref().property(name.as_str()) {
            Some(property) => Found::of(instance.value_of(property)),
            None => Found::Nowhere,
        },
        (Object::Class(class), Some(system)) => {
            of_declaration(class, system).map_or(Found::Null, Found::Made)
        }
        (Object::Class(class), None) => match class.property(name.as_str()) {
            Some(property) => Found::of(property.default.value()),
            None => Found::Nowhere,
        },
        (Object::Opaque(_), _) => Found::Nowhere,
    }
}

/// System property of an embedded class.
fn of_declaration(class: &Class, property: SystemProperty) -> Option<Value> {
    match property {
        SystemProperty::Genus => Some(Value::Sint32(1)),
        SystemProperty::Class => Some(Value::from(class.name.as_str())),
        SystemProperty::Superclass => class
            .superclass
            .as_ref()
            .map(|name| Value::from(name.as_str())),
        _ => None,
    }
}

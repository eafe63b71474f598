//! Rules for classes and instances. Sources: WMI SDK, "Creating a WMI Base Class", "Key Qualifier",
//! "WBEM Error Constants"; where they are silent, `docs::changes`.

use super::Leave;
use super::system::{self, is_system_name};
use crate::base::error::{Error, Result};
use crate::base::rule::Rule;
use crate::catalog::{StoredClass, is_possible};
use crate::cim::class::{Class, Method, Property, Setting};
use crate::cim::full_class::{FullClass, KeyClass};
use crate::cim::instance::Instance;
use crate::cim::name::{ByName, Name};
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet};
use crate::cim::types::{CimType, ScalarType};

/// Longest name of a class, property, method or qualifier, in characters.
const MAX_NAME_CHARS: usize = 255;

fn broken(rule: Rule, text: String) -> Error {
    Error::rule(rule, text)
}

/// Fails if clients may not put a class of this name here.
pub(super) fn may_put_class(namespace: &str, class: &Class) -> Result<()> {
    let name = class.name.as_str();
    if is_system_name(name) {
        return Err(broken(
            Rule::ReadOnly,
            format!("{namespace}:{name} is a system class, or would be one"),
        ));
    }
    check_name(name, "class", Rule::ClassNameTooWide, Rule::InvalidObject)
}

/// Fails if clients may not delete the class.
pub(super) fn may_delete_class(class: &StoredClass) -> Result<()> {
    let name = class.class.name();
    match class.is_system || is_system_name(name.as_str()) {
        true => Err(broken(Rule::ReadOnly, format!("{name} is a system class"))),
        false => Ok(()),
    }
}

/// Fails unless the name is a letter or underscore followed by letters, underscores and digits.
/// Characters beyond ASCII count as letters.
fn check_name(name: &str, what: &str, too_long: Rule, malformed: Rule) -> Result<()> {
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(broken(
            too_long,
            format!("the name of the {what} has more than {MAX_NAME_CHARS} characters"),
        ));
    }
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let mut chars = name.chars();
    let is_name =
        chars.next().is_some_and(is_letter) && chars.all(|c| is_letter(c) || c.is_ascii_digit());
    match is_name {
        true => Ok(()),
        false => Err(broken(
            malformed,
            format!("{name:?} cannot be the name of a {what}"),
        )),
    }
}

/// The class without the parts that only a full class has: qualifiers that are inherited or made by
/// the engine.
pub(super) fn tidied(mut class: Class) -> Class {
    let tidy = |set: &mut QualifierSet| {
        let own = set
            .iter()
            .filter(|of| !of.flavor.intersects(Flavor::INHERITED | Flavor::SYSTEM))
            .cloned();
        *set = own.collect();
    };
    tidy(&mut class.qualifiers);
    class
        .properties
        .iter_mut()
        .for_each(|property| tidy(&mut property.qualifiers));
    class
        .methods
        .iter_mut()
        .for_each(|method| tidy(&mut method.qualifiers));
    class
}

/// Checks every rule that depends only on a class and what it inherits.
///
/// # Errors
/// Returns [`Error::Rule`] for the first rule that it breaks.
pub fn class(class: &FullClass) -> Result<()> {
    class_with(class, Leave::default())
}

/// Checks a class for a compiler, to which other rules apply; see [`class`].
pub(super) fn class_with(class: &FullClass, leave: Leave) -> Result<()> {
    let own = class.declaration();
    qualifiers(&own.qualifiers, own.name.as_str())?;
    own.properties
        .iter()
        .try_for_each(|property| self::property(class, property, leave))?;
    own.methods
        .iter()
        .try_for_each(|method| self::method(&own.name, method))?;
    if let Some(parent) = class.superclass() {
        if let Some(conflict) = overrides(own, parent) {
            return Err(broken(Rule::OverrideNotAllowed, conflict));
        }
        let is_abstract = |class: &FullClass| class.declaration().qualifiers.is_true("abstract");
        if is_abstract(class) && !is_abstract(parent) && !leave.abstract_anywhere {
            let text = format!(
                "class {} is abstract, and {} is not",
                own.name,
                parent.name()
            );
            return Err(broken(Rule::CannotBeAbstract, text));
        }
    }
    if own.qualifiers.is_true("singleton") && matches!(class.key_class(), Some(KeyClass::Keyed(_)))
    {
        return Err(broken(
            Rule::CannotBeSingleton,
            format!("class {} has keys", own.name),
        ));
    }
    Ok(())
}

fn property(class: &FullClass, own: &Property, leave: Leave) -> Result<()> {
    let (class_name, name) = (class.name(), own.name.as_str());
    if is_system_name(name) && !is_system_name(class_name.as_str()) && !leave.system_names {
        return Err(broken(
            Rule::SystemProperty,
            format!("{class_name} cannot declare {name}"),
        ));
    }
    check_name(
        name,
        "property",
        Rule::PropertyNameTooWide,
        Rule::InvalidProperty,
    )?;
    qualifiers(&own.qualifiers, name)?;
    if let Setting::Value(default) = &own.default
        && default.cim_type() != own.cim_type
    {
        let (given, expected) = (default.cim_type(), own.cim_type);
        let text =
            format!("the default of {class_name}.{name} is {given}, the property {expected}");
        return Err(broken(Rule::TypeMismatch, text));
    }
    key(class, own)
}

fn key(class: &FullClass, own: &Property) -> Result<()> {
    let (class_name, name) = (class.name(), own.name.as_str());
    let inherited = class.superclass().and_then(|parent| parent.property(name));
    let was_key = inherited.is_some_and(|inherited| inherited.is_key());
    match own.qualifiers.get("key") {
        Some(given) if was_key && !given.is_true() => {
            let text = format!("{class_name} cannot take the key {name} back");
            Err(broken(Rule::CannotChangeKeyInheritance, text))
        }
        Some(given) if given.is_true() && !can_be_key(own.cim_type) => {
            let text = format!(
                "{class_name}.{name} is {}, which cannot be a key",
                own.cim_type
            );
            Err(broken(Rule::CannotBeKey, text))
        }
        Some(given) if given.is_true() && !was_key => {
            let has_keys = class.superclass().and_then(|parent| parent.key_class());
            match has_keys {
                Some(KeyClass::Keyed(keyed)) => {
                    let text =
                        format!("{class_name} cannot add the key {name} to those of {keyed}");
                    Err(broken(Rule::CannotBeKey, text))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// True if a property of this type can be a key.
fn can_be_key(cim_type: CimType) -> bool {
    !cim_type.array
        && !matches!(
            cim_type.scalar,
            ScalarType::Real32 | ScalarType::Real64 | ScalarType::Object
        )
}

/// The permitted types of a qualifier.
const QUALIFIER_TYPES: [ScalarType; 4] = [
    ScalarType::Boolean,
    ScalarType::Sint32,
    ScalarType::Real64,
    ScalarType::String,
];

fn qualifiers(set: &QualifierSet, of: &str) -> Result<()> {
    set.iter().try_for_each(|qualifier| {
        let name = qualifier.name.as_str();
        check_name(
            name,
            "qualifier",
            Rule::QualifierNameTooWide,
            Rule::InvalidObject,
        )?;
        let matches_value = qualifier
            .value
            .as_ref()
            .is_none_or(|value| value.cim_type() == qualifier.cim_type);
        match QUALIFIER_TYPES.contains(&qualifier.cim_type.scalar) && matches_value {
            true => Ok(()),
            false => {
                let text = format!(
                    "the qualifier {name} of {of} is {}, which none can be",
                    qualifier.cim_type
                );
                Err(broken(Rule::InvalidQualifierType, text))
            }
        }
    })
}

fn method(class: &Name, own: &Method) -> Result<()> {
    let name = own.name.as_str();
    check_name(name, "method", Rule::MethodNameTooWide, Rule::InvalidObject)?;
    qualifiers(&own.qualifiers, name)?;
    let parameters = || {
        own.input
            .iter()
            .chain(&own.output)
            .flat_map(|signature| &signature.properties)
    };
    let mut ids = Vec::new();
    for parameter in parameters() {
        qualifiers(&parameter.qualifiers, parameter.name.as_str())?;
        let id = parameter
            .qualifiers
            .get("ID")
            .and_then(|id| id.value.as_ref()?.as_integer());
        let is_return = parameter.name == Method::RETURN_VALUE;
        match id {
            None if is_return => {}
            Some(_) if is_return => {
                return Err(broken(
                    Rule::ParameterIdOnReturnValue,
                    format!("{class}.{name}: the return value has an ID"),
                ));
            }
            None => {
                let text = format!("{class}.{name}: the parameter {} has no ID", parameter.name);
                return Err(broken(Rule::MissingParameterId, text));
            }
            Some(id) => ids.push(id),
        }
    }
    ids.sort_unstable();
    ids.dedup(); // a parameter for both directions stands in both
    let numbered = (0i128..).zip(&ids).all(|(expected, &id)| expected == id);
    match numbered {
        true => Ok(()),
        false => {
            let text = format!("{class}.{name}: the parameters are not numbered 0, 1, 2, …");
            Err(broken(Rule::NonconsecutiveParameterIds, text))
        }
    }
}

/// A declaration that the superclass forbids to override, if the class overrides one.
pub(super) fn overrides(own: &Class, parent: &FullClass) -> Option<String> {
    let of_class =
        forbidden(&own.qualifiers, parent.qualifiers()).map(|name| format!("{}: {name}", own.name));
    of_class.or_else(|| {
        own.properties.iter().find_map(|property| {
            let inherited = parent.property(property.name.as_str())?;
            let name = forbidden(&property.qualifiers, &inherited.qualifiers)?;
            Some(format!(
                "{}.{}: the qualifier {name} cannot be declared again",
                own.name, property.name
            ))
        })
    })
}

/// The first qualifier that propagates to subclasses, must not be overridden, and is overridden.
fn forbidden<'q>(own: &'q QualifierSet, inherited: &QualifierSet) -> Option<&'q Name> {
    let inherited = inherited.by_name();
    own.iter()
        .find(|qualifier| is_forbidden(qualifier, &inherited))
        .map(|qualifier| &qualifier.name)
}

fn is_forbidden(own: &Qualifier, inherited: &ByName<'_, Qualifier>) -> bool {
    let fixed = Flavor::TO_SUBCLASS | Flavor::NOT_OVERRIDABLE;
    let above = inherited.get(&own.name);
    above.is_some_and(|above| above.flavor.contains(fixed) && above.value != own.value)
}

/// Removes from a class the declarations that its superclass forbids it to override.
pub(super) fn yield_overrides(own: &mut Class, parent: &FullClass) {
    let keep = |set: &mut QualifierSet, inherited: &QualifierSet| {
        let inherited = inherited.by_name();
        *set = set
            .iter()
            .filter(|qualifier| !is_forbidden(qualifier, &inherited))
            .cloned()
            .collect();
    };
    keep(&mut own.qualifiers, parent.qualifiers());
    for property in &mut own.properties {
        if let Some(inherited) = parent.property(property.name.as_str()) {
            keep(&mut property.qualifiers, &inherited.qualifiers);
        }
    }
}

/// Checks that clients may put instances of a class.
///
/// # Errors
/// Returns [`Error::Rule`] if they may not.
pub fn class_of_instance(class: &FullClass) -> Result<()> {
    let name = class.name();
    if *name == system::THIS_NAMESPACE {
        let text = format!(
            "{name} is read only; the methods of {} change it",
            system::SYSTEM_SECURITY
        );
        return Err(broken(Rule::ReadOnly, text));
    }
    if class.declaration().qualifiers.is_true("abstract") {
        return Err(broken(
            Rule::InvalidClass,
            format!("class {name} is abstract: it has no instances"),
        ));
    }
    if class.qualifiers().is_true("dynamic") {
        return Err(broken(
            Rule::ProviderNotCapable,
            format!("instances of {name} are a provider's"),
        ));
    }
    match class.key_class() {
        Some(_) => Ok(()),
        None => Err(broken(
            Rule::InvalidClass,
            format!("class {name} has no keys and is not a singleton"),
        )),
    }
}

/// Checks every rule that depends only on an instance.
///
/// # Errors
/// Returns [`Error::Rule`] for the first rule that it breaks.
pub fn instance(instance: &Instance) -> Result<()> {
    for (property, value) in instance.values() {
        let is_needed = property.is_key() || property.qualifiers.is_true("not_null");
        if value.is_none() && is_needed {
            let text = format!(
                "{}.{} needs a value",
                instance.class().name(),
                property.name
            );
            return Err(broken(Rule::IllegalNull, text));
        }
    }
    qualifiers(&instance.qualifiers, instance.class().name().as_str())
}

/// Fails if clients may not delete instances of a class.
pub(super) fn may_delete_instance_of(class: &FullClass) -> Result<()> {
    let name = class.name();
    match *name == system::THIS_NAMESPACE || *name == system::SYSTEM_SECURITY {
        true => Err(broken(
            Rule::ReadOnly,
            format!("every namespace has its {name}"),
        )),
        false => Ok(()),
    }
}

/// Fails if a namespace cannot have this name and path.
pub(super) fn namespace(path: &str, name: &str) -> Result<()> {
    let is_name =
        !name.is_empty() && !name.contains(['\\', '/', ':', '"', '\0']) && is_possible(path);
    match is_name {
        true => Ok(()),
        false => Err(broken(
            Rule::InvalidObject,
            format!("{name:?} cannot be the name of a namespace"),
        )),
    }
}

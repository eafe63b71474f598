//! A master file taken apart: neutral MOF without what is translated, and localised MOF with that
//! alone. Source: WMI SDK, "Creating Localized Class Definitions", "#pragma amendment"; details from
//! pairs of such files that Windows ships (`docs::mof`, "Amendment").

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::namespaces;
use super::places::Stop;
use super::source::{Step, Unit};
use crate::cim::name;
use crate::text::diagnostic::Place;
use crate::text::mof::tree::{
    Assignment, ClassDeclaration, DirectiveKind, Feature, FlavorWords, Initializer,
    InstanceDeclaration, Item, MethodDeclaration, PropertyDeclaration, Qualifier, Value, ValueKind,
};
use crate::text::mof::{class_text_with, file_items_text, literal_text};

/// The language of a localised file: `MS_409` is English of the United States.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale {
    digits: String,
}

impl Locale {
    /// The locale with this name: `MS_` in any case, and hexadecimal digits.
    pub fn parse(name: &str) -> Option<Self> {
        let (mark, digits) = name.split_at_checked(3)?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        (mark.eq_ignore_ascii_case("MS_") && is_number).then(|| Self {
            digits: digits.to_owned(),
        })
    }

    /// The name of its namespaces: `ms_409`.
    fn namespace(&self) -> String {
        format!("ms_{}", self.digits.to_lowercase())
    }
}

/// Flavors that declarations give to qualifiers, by their names in capitals.
#[derive(Default)]
struct Declared(HashMap<String, FlavorWords>);

impl Declared {
    fn flavors(&self, qualifier: &Qualifier<'_>) -> FlavorWords {
        if !qualifier.flavors.is_empty() {
            return qualifier.flavors;
        }
        let declared = self.0.get(&name::to_upper(&qualifier.name.text));
        declared.copied().unwrap_or_default()
    }

    fn is_amended(&self, qualifier: &Qualifier<'_>) -> bool {
        self.flavors(qualifier).contains(FlavorWords::AMENDED)
    }

    /// Those that are amended, each with its flavors.
    fn amended<'t>(&self, qualifiers: &[Qualifier<'t>]) -> Vec<Qualifier<'t>> {
        let amended = qualifiers.iter().filter(|one| self.is_amended(one));
        let written = |one: &Qualifier<'t>| Qualifier {
            flavors: self.flavors(one),
            ..one.clone()
        };
        amended.map(written).collect()
    }

    /// Those that are not.
    fn neutral<'t>(&self, qualifiers: &[Qualifier<'t>]) -> Vec<Qualifier<'t>> {
        let neutral = qualifiers.iter().filter(|one| !self.is_amended(one));
        neutral.cloned().collect()
    }

    fn declare(&mut self, item: &Item<'_>) {
        if let Item::Qualifier(declaration) = item {
            let name = name::to_upper(&declaration.name.text);
            self.0.insert(name, declaration.flavors);
        }
    }
}

/// The neutral text of units: all that they say, without what is amended.
pub(super) fn neutral_text(units: &[Unit<'_>]) -> String {
    let mut items = Vec::new();
    for unit in units {
        let mut declared = Declared::default();
        for Step { item, .. } in &unit.steps {
            declared.declare(item);
            items.extend(neutral_item(item, &declared));
        }
    }
    file_items_text(&items)
}

fn neutral_item<'t>(item: &Item<'t>, declared: &Declared) -> Option<Item<'t>> {
    Some(match item {
        Item::Directive(directive) => match directive.kind {
            DirectiveKind::Amendment(_) | DirectiveKind::Line { .. } => return None,
            _ => item.clone(),
        },
        Item::Qualifier(_) => item.clone(),
        Item::Class(class) => Item::Class(neutral_class(class, declared)),
        Item::Instance(instance) => Item::Instance(neutral_instance(instance, declared)),
    })
}

fn neutral_class<'t>(class: &ClassDeclaration<'t>, declared: &Declared) -> ClassDeclaration<'t> {
    let property = |property: &PropertyDeclaration<'t>| PropertyDeclaration {
        qualifiers: declared.neutral(&property.qualifiers),
        ..property.clone()
    };
    let feature = |feature: &Feature<'t>| match feature {
        Feature::Property(written) => Feature::Property(property(written)),
        Feature::Method(method) => Feature::Method(MethodDeclaration {
            qualifiers: declared.neutral(&method.qualifiers),
            parameters: method.parameters.iter().map(property).collect(),
            ..method.clone()
        }),
    };
    ClassDeclaration {
        qualifiers: declared.neutral(&class.qualifiers),
        features: class.features.iter().map(feature).collect(),
        ..class.clone()
    }
}

fn neutral_instance<'t>(
    instance: &InstanceDeclaration<'t>,
    declared: &Declared,
) -> InstanceDeclaration<'t> {
    let assignment = |written: &Assignment<'t>| Assignment {
        qualifiers: declared.neutral(&written.qualifiers),
        value: written
            .value
            .as_ref()
            .map(|value| neutral_values(value, declared)),
        ..written.clone()
    };
    InstanceDeclaration {
        qualifiers: declared.neutral(&instance.qualifiers),
        assignments: instance.assignments.iter().map(assignment).collect(),
        ..instance.clone()
    }
}

/// Values, the objects embedded in them made neutral too.
fn neutral_values<'t>(values: &Initializer<'t>, declared: &Declared) -> Initializer<'t> {
    let neutral = |value: &Value<'t>| match &value.kind {
        ValueKind::Instance(instance) => Value {
            kind: ValueKind::Instance(Box::new(neutral_instance(instance, declared))),
            at: value.at,
        },
        _ => value.clone(),
    };
    match values {
        Initializer::One(value) => Initializer::One(neutral(value)),
        Initializer::List(values, at) => {
            Initializer::List(values.iter().map(neutral).collect(), *at)
        }
    }
}

/// A class of a localised file, before it is known whether it stands there.
struct Localised<'t> {
    namespace: String,
    class: ClassDeclaration<'t>,
    is_amended: bool,
}

/// The localised text of units: the amended classes with what is amended of them, and their
/// superclasses.
pub(super) fn localised_text(units: &[Unit<'_>], namespace: &str, locale: &Locale) -> String {
    let mut text = String::new();
    for unit in units {
        let mut classes = localised_classes(unit, namespace);
        mark_superclasses(&mut classes);
        let mut current: Option<&str> = None;
        for Localised {
            namespace, class, ..
        } in classes.iter().filter(|class| class.is_amended)
        {
            if !current.is_some_and(|current| name::same(current, namespace)) {
                enter(&mut text, namespace, locale);
                current = Some(namespace);
            }
            let locale = format!("LOCALE(0x{})", locale.digits);
            text.push('\n');
            text.push_str(&class_text_with(class, &["AMENDMENT", &locale]));
        }
    }
    text
}

/// Goes into the localised namespace below `namespace`, which is made first.
fn enter(text: &mut String, namespace: &str, locale: &Locale) {
    let (path, child) = (format!(r"\\.\{namespace}"), locale.namespace());
    let below = literal_text(&format!(r"{path}\{child}"));
    let path = literal_text(&path);
    // Nothing can fail that writes into a string.
    writeln!(text, "#pragma namespace({path})").ok();
    writeln!(text, "instance of __namespace {{ name = \"{child}\"; }};").ok();
    writeln!(text, "#pragma namespace({below})").ok();
}

fn localised_classes<'t>(unit: &Unit<'t>, namespace: &str) -> Vec<Localised<'t>> {
    let mut namespace = namespace.trim_matches(['\\', '/']).replace('/', "\\");
    let mut declared = Declared::default();
    let mut classes = Vec::new();
    for Step { item, .. } in &unit.steps {
        declared.declare(item);
        match item {
            Item::Directive(directive) => {
                // Paths that are none were refused before.
                if let DirectiveKind::Namespace(path) = &directive.kind
                    && let Ok(entered) = entered(&path.value, &namespace)
                {
                    namespace = entered;
                }
            }
            Item::Class(class) => {
                let class = localised_class(class, &declared);
                let is_amended = !class.qualifiers.is_empty() || !class.features.is_empty();
                classes.push(Localised {
                    namespace: namespace.clone(),
                    class,
                    is_amended,
                });
            }
            Item::Qualifier(_) | Item::Instance(_) => {}
        }
    }
    classes
}

fn entered(path: &str, current: &str) -> Result<String, Stop> {
    namespaces::namespace(path, current, Place::default())
}

/// Marks every class that an amended one is derived from.
fn mark_superclasses(classes: &mut [Localised<'_>]) {
    let key = |namespace: &str, class: &str| name::to_upper(&format!("{namespace}:{class}"));
    let mut wanted = HashSet::new();
    // A superclass is declared before what is derived from it.
    for Localised {
        namespace,
        class,
        is_amended,
    } in classes.iter_mut().rev()
    {
        *is_amended |= wanted.contains(&key(namespace, &class.name.text));
        if let Some(superclass) = class.superclass.as_ref().filter(|_| *is_amended) {
            wanted.insert(key(namespace, &superclass.text));
        }
    }
}

/// A class with its amended qualifiers, and the features that have some.
fn localised_class<'t>(class: &ClassDeclaration<'t>, declared: &Declared) -> ClassDeclaration<'t> {
    let feature = |feature: &Feature<'t>| match feature {
        Feature::Property(property) => {
            localised_property(property, declared).map(Feature::Property)
        }
        Feature::Method(method) => localised_method(method, declared).map(Feature::Method),
    };
    ClassDeclaration {
        qualifiers: declared.amended(&class.qualifiers),
        features: class.features.iter().filter_map(feature).collect(),
        alias: None,
        ..class.clone()
    }
}

/// A property with an amended qualifier: a key stays one, its default is left out.
fn localised_property<'t>(
    property: &PropertyDeclaration<'t>,
    declared: &Declared,
) -> Option<PropertyDeclaration<'t>> {
    let amended = declared.amended(&property.qualifiers);
    if amended.is_empty() {
        return None;
    }
    let mut qualifiers = only(&property.qualifiers, &["key"]);
    qualifiers.extend(amended);
    Some(PropertyDeclaration {
        qualifiers,
        default: None,
        ..property.clone()
    })
}

/// A method with an amended qualifier, its own or a parameter's: then all parameters stay, with
/// their directions.
fn localised_method<'t>(
    method: &MethodDeclaration<'t>,
    declared: &Declared,
) -> Option<MethodDeclaration<'t>> {
    let of_parameters = || method.parameters.iter().flat_map(|one| &one.qualifiers);
    let mut all = method.qualifiers.iter().chain(of_parameters());
    if !all.any(|one| declared.is_amended(one)) {
        return None;
    }
    let parameter = |parameter: &PropertyDeclaration<'t>| {
        let mut qualifiers = only(&parameter.qualifiers, &["in", "out"]);
        qualifiers.extend(declared.amended(&parameter.qualifiers));
        PropertyDeclaration {
            qualifiers,
            default: None,
            ..parameter.clone()
        }
    };
    Some(MethodDeclaration {
        qualifiers: declared.amended(&method.qualifiers),
        parameters: method.parameters.iter().map(parameter).collect(),
        ..method.clone()
    })
}

/// The qualifiers with these names, without flavors.
fn only<'t>(qualifiers: &[Qualifier<'t>], names: &[&str]) -> Vec<Qualifier<'t>> {
    let wanted = |one: &&Qualifier<'t>| names.iter().any(|name| one.name.is(name));
    let plain = |one: &Qualifier<'t>| Qualifier {
        flavors: FlavorWords::empty(),
        ..one.clone()
    };
    qualifiers.iter().filter(wanted).map(plain).collect()
}
